// Likelihoods of phone states from the recogniser's own features: cepstra as its front end makes them, their
// level and, half way, their spread set to what a quiet room gives (noise flattens them), slopes, then every
// Gaussian of every phone for one frame at a time. What the files say is acoustic_model.c's.
#include <math.h>
#include <string.h>

#include <pocketsphinx.h>
#include <sphinxbase/err.h>

#include "base/file.h"
#include "base/mem.h"
#include "speech/acoustic_impl.h"
#include "speech/ears.h"

#define FEATURES (STREAMS * CEPSTRA)
#define AROUND 3            /* frames that slopes look at on either side */
#define LEAST (-40.0f)      /* nats: nothing is worse */
#define LOUDNESS_SHARE 0.7f /* in looks: how loud it is says less */
#define SLOPE_SHARE 0.7f
#define LANES 8           /* sums side by side */
#define BLOCK 8           /* frames side by side */
#define EXP_LEAST (-80.0) /* natural exponent that is as good as nothing */

/* Spread of the cepstra over sentences in a quiet room (slt saying the bench's tuning half). */
static const float spreads[CEPSTRA] = {15.6f, 16.9f, 15.4f, 23.4f, 16.2f, 13.7f, 15.5f,
                                       11.7f, 14.2f, 11.8f, 8.8f,  9.8f,  10.2f};
#define SPREAD_SHARE 0.5 /* how far towards them, in logarithms */

static const char *const warps[PZ_ACOUSTIC_WARPS] = {"0.9", "1.0", "1.12"};

static enum pz_status front_end_open(struct pz_acoustic *a, const char *dir, int warp)
{
    char *path = pz_path_join(dir, "feat.params");
    const char *const argv[] = {"pz",         "-remove_silence", "no",           "-remove_noise", "yes",
                                "-warp_type", "inverse_linear",  "-warp_params", warps[warp]};
    cmd_ln_t *config = NULL;
    enum pz_status st = PZ_ERR_NOMEM;

    if (!path)
        return st;
    err_set_logfp(NULL); // per thread: it prints otherwise
    config = cmd_ln_parse_r(NULL, ps_args(), 9, (char **)argv, FALSE);
    if (config && pz_file_exists(path))
        config = cmd_ln_parse_file_r(config, ps_args(), path, FALSE);
    a->fe[warp] = config ? fe_init_auto_r(config) : NULL;
    st = a->fe[warp] && fe_get_output_size(a->fe[warp]) == CEPSTRA
             ? PZ_OK
             : pz_fail(a->log, PZ_ERR_WEIGHTS, "speech recogniser: %s asks for features of another kind",
                       path);
    if (config)
        cmd_ln_free_r(config);
    pz_free(path);
    return st;
}

enum pz_status pz_acoustic_open(struct pz_log *log, const char *dir, struct pz_acoustic **out)
{
    struct pz_acoustic *a = pz_calloc(1, sizeof *a);
    enum pz_status st;

    *out = NULL;
    if (!a)
        return PZ_ERR_NOMEM;
    a->log = log;
    pthread_mutex_init(&a->busy, NULL);
    PZ_TRY(pz_acoustic_read(a, dir));
    for (int w = 0; w < PZ_ACOUSTIC_WARPS; w++)
        PZ_TRY(front_end_open(a, dir, w));
    *out = a;
    return PZ_OK;
fail:
    pz_acoustic_close(&a);
    return st;
}

void pz_acoustic_close(struct pz_acoustic **out)
{
    struct pz_acoustic *a = *out;

    if (!a)
        return;
    for (int w = 0; w < PZ_ACOUSTIC_WARPS; w++)
        if (a->fe[w])
            fe_free(a->fe[w]);
    pthread_mutex_destroy(&a->busy);
    pz_free(a->triphones);
    pz_free(a->plain);
    pz_free(a->sequences);
    pz_free(a->sound_of);
    pz_free(a->square);
    pz_free(a->line);
    pz_free(a->base);
    pz_free(a->mix);
    pz_free(a);
    *out = NULL;
}

/** Sequence of a phone between two others, `where` in its word: the nearest that the model has. */
static int32_t sequence_of(const struct pz_acoustic *a, int phone, int left, int right, int where)
{
    const int32_t *of =
        a->triphones + ((size_t)(phone * a->n_plain + left) * (size_t)a->n_plain + (size_t)right) * POSITIONS;

    if (of[where] >= 0)
        return of[where];
    for (int i = 0; i < POSITIONS; i++)
        if (of[i] >= 0)
            return of[i];
    return a->plain[phone];
}

void pz_acoustic_chain(const struct pz_acoustic *a, const struct pz_pron *pron, uint16_t *states)
{
    const int silence = a->phone_of[PZ_PH_SIL];

    for (int i = 0; i < pron->n; i++) {
        int left = i ? a->phone_of[pron->phones[i - 1]] : silence;
        int right = i + 1 < pron->n ? a->phone_of[pron->phones[i + 1]] : silence;
        int where = pron->n == 1 ? 3 : i == 0 ? 1 : i + 1 == pron->n ? 2 : 0;
        int32_t s = sequence_of(a, a->phone_of[pron->phones[i]], left, right, where);

        memcpy(states + (size_t)i * STATES, a->sequences + (size_t)s * STATES, STATES * sizeof *states);
    }
}

void pz_scores_free(struct pz_scores *s)
{
    pz_free(s->values);
    *s = (struct pz_scores){0};
}

/* --- features --- */

/** Level and spread of cepstra [frames] at `stride` floats, in place. */
static void normalise(float *c, int64_t frames, size_t stride)
{
    for (int k = 0; k < CEPSTRA; k++) {
        double mean = 0.0, square = 1e-6;
        float factor;

        for (int64_t t = 0; t < frames; t++)
            mean += c[(size_t)t * stride + (size_t)k] / (double)frames;
        for (int64_t t = 0; t < frames; t++) {
            double d = c[(size_t)t * stride + (size_t)k] - mean;

            square += d * d / (double)frames;
        }
        factor = (float)pow((double)(spreads[k] * spreads[k]) / square, 0.5 * SPREAD_SHARE);
        for (int64_t t = 0; t < frames; t++) {
            float *v = c + (size_t)t * stride + (size_t)k;

            *v = (*v - (float)mean) * factor;
        }
    }
}

/** Slopes behind the cepstra: x [frames][FEATURES]. */
static void add_slopes(float *x, int64_t frames)
{
    for (int64_t t = 0; t < frames; t++) {
        const float *at[2 * AROUND + 1];
        float *slope = x + t * FEATURES + CEPSTRA;

        for (int d = -AROUND; d <= AROUND; d++) {
            int64_t u = t + d < 0 ? 0 : t + d >= frames ? frames - 1 : t + d;

            at[d + AROUND] = x + u * FEATURES;
        }
        for (int k = 0; k < CEPSTRA; k++) {
            slope[k] = at[AROUND + 2][k] - at[AROUND - 2][k];
            slope[CEPSTRA + k] =
                at[AROUND + 3][k] - at[AROUND - 1][k] - at[AROUND + 1][k] + at[AROUND - 3][k];
        }
    }
}

/** Features [frames][FEATURES] on the heap. */
static enum pz_status features(struct pz_acoustic *a, int warp, const float *samples, int64_t n, float **out,
                               int64_t *frames)
{
    enum pz_status st = PZ_ERR_NOMEM;
    int16_t *pcm = pz_ears_pcm(samples, n);
    mfcc_t **cepstra = NULL;
    int32_t count = 0;

    *out = NULL;
    *frames = 0;
    if (!pcm)
        return st;
    pthread_mutex_lock(&a->busy);
    fe_start_stream(a->fe[warp]);
    if (fe_start_utt(a->fe[warp]) < 0 || fe_process_utt(a->fe[warp], pcm, (size_t)n, &cepstra, &count) < 0) {
        st = pz_fail(a->log, PZ_ERR_INTERNAL, "speech recogniser: no features of %lld samples", (long long)n);
        goto fail;
    }
    *out = pz_calloc((size_t)(count > 0 ? count : 1) * FEATURES, sizeof **out);
    if (!*out)
        goto fail;
    for (int32_t t = 0; t < count; t++)
        for (int k = 0; k < CEPSTRA; k++)
            (*out)[t * FEATURES + k] = (float)cepstra[t][k];
    normalise(*out, count, FEATURES);
    add_slopes(*out, count);
    *frames = count;
    st = PZ_OK;
fail:
    pthread_mutex_unlock(&a->busy);
    if (cepstra)
        fe_free_2d(cepstra);
    pz_free(pcm);
    return st;
}

enum pz_status pz_acoustic_look(struct pz_acoustic *a, const float *samples, int64_t n, float **looks,
                                int64_t *frames)
{
    enum pz_status st = PZ_OK;
    float *x = NULL;

    *looks = NULL;
    *frames = 0;
    if (n < PZ_EARS_HOP || n > PZ_EARS_MAX_SAMPLES)
        return PZ_OK;
    PZ_TRY(features(a, PZ_ACOUSTIC_AS_IS, samples, n, &x, frames));
    *looks = pz_calloc((size_t)*frames * PZ_LOOK + 1, sizeof **looks);
    if (!*looks) {
        st = PZ_ERR_NOMEM;
        goto fail;
    }
    for (int k = 0; k < CEPSTRA; k++) {
        double square = 1e-6;
        float factor;

        for (int64_t t = 0; t < *frames; t++)
            square += (double)x[t * FEATURES + k] * (double)x[t * FEATURES + k] / (double)*frames;
        factor = (float)(1.0 / sqrt(square));
        for (int64_t t = 0; t < *frames; t++) {
            (*looks)[t * PZ_LOOK + k] = x[t * FEATURES + k] * factor * (k ? 1.0f : LOUDNESS_SHARE);
            (*looks)[t * PZ_LOOK + CEPSTRA + k] = x[t * FEATURES + CEPSTRA + k] * factor * SLOPE_SHARE;
        }
    }
fail:
    pz_free(x);
    return st;
}

/* --- likelihoods --- */

/* Into one form for each instruction set; none of them may round differently: no sum depends on the width. */
#define INLINE static inline __attribute__((always_inline))

/** The states that are asked for, those of phones without context before them, by whose densities they mix.
 */
struct asked {
    int n;          /* of all of them */
    int *first;     /* [n_plain + 1]: of each phone's */
    int *column;    /* [n]: of the result, −1: only to compare with */
    bool *compared; /* [n] */
    float *mix;     /* [n][STREAMS][DENSITIES] */
};

static void asked_free(struct asked *q)
{
    pz_free(q->first);
    pz_free(q->column);
    pz_free(q->compared);
    pz_free(q->mix);
}

static enum pz_status asked_make(const struct pz_acoustic *a, const uint16_t *states, int n, struct asked *q)
{
    const int plain = a->n_plain * STATES;
    float weights[256];

    *q = (struct asked){.first = pz_calloc((size_t)a->n_plain + 1, sizeof *q->first),
                        .column = pz_calloc((size_t)(plain + n), sizeof *q->column),
                        .compared = pz_calloc((size_t)(plain + n), sizeof *q->compared),
                        .mix = pz_calloc((size_t)(plain + n) * STREAMS * DENSITIES, sizeof *q->mix)};
    if (!q->first || !q->column || !q->compared || !q->mix)
        return PZ_ERR_NOMEM;
    for (int i = 0; i < 256; i++)
        weights[i] = (float)exp(-MIX_UNIT * i);
    for (int p = 0; p < a->n_plain; p++) {
        q->first[p] = q->n;
        for (int i = 0; i < plain + n; i++) {
            uint16_t s = i < plain
                             ? a->sequences[(size_t)a->plain[i / STATES] * STATES + (size_t)(i % STATES)]
                             : states[i - plain];
            float *mix = q->mix + (size_t)q->n * STREAMS * DENSITIES;

            if (s >= a->n_states || a->sound_of[s] != p)
                continue;
            for (int d = 0; d < STREAMS * DENSITIES; d++)
                mix[d] = weights[a->mix[(size_t)d * (size_t)a->n_states + s]];
            q->column[q->n] = i < plain ? -1 : i - plain;
            q->compared[q->n++] = i < plain;
        }
    }
    q->first[a->n_plain] = q->n;
    return PZ_OK;
}

/** e^x for x ≤ 0, relative error below 2e-5. */
INLINE float exponential(float x)
{
    const float least = (float)EXP_LEAST;
    uint32_t at, end;
    int32_t whole, bits;
    float t, f, p, power;

    // Of numbers below 0 the lower ones have the higher bits: compared as whole numbers, which lets the
    // compiler take many at once.
    memcpy(&at, &x, sizeof at);
    memcpy(&end, &least, sizeof end);
    at = at < end ? at : end;
    memcpy(&t, &at, sizeof t);
    t *= 1.44269504f;
    whole = (int32_t)t; // towards 0: the rest is in (−1, 0]
    f = t - (float)whole;
    p = 1.0f + f * (0.69314508f + f * (0.24022265f + f * (0.05548834f + f * (0.00966886f + f * 0.00134f))));
    bits = (whole + 127) << 23;
    memcpy(&power, &bits, sizeof power);
    return p * power;
}

/** Densities of one phone in one stream, divided by the largest, whose logarithm is returned. */
INLINE float densities(const struct pz_acoustic *a, size_t which, const float *x, float e[DENSITIES])
{
    const float *restrict square = a->square + which * CEPSTRA * DENSITIES, *restrict line =
                                                                                a->line +
                                                                                which * CEPSTRA * DENSITIES;
    float top[LANES], most;

    memcpy(e, a->base + which * DENSITIES, DENSITIES * sizeof *e);
    for (int k = 0; k < CEPSTRA; k++) {
        const float v = x[k];

        for (int d = 0; d < DENSITIES; d++)
            e[d] += v * (v * square[k * DENSITIES + d] + line[k * DENSITIES + d]);
    }
    memcpy(top, e, sizeof top);
    for (int d = LANES; d < DENSITIES; d += LANES)
        for (int i = 0; i < LANES; i++)
            top[i] = e[d + i] > top[i] ? e[d + i] : top[i];
    most = top[0];
    for (int i = 1; i < LANES; i++)
        most = top[i] > most ? top[i] : most;
    for (int d = 0; d < DENSITIES; d++)
        e[d] = exponential(e[d] - most);
    return most;
}

/** LANES numbers side by side, in any memory. */
typedef float lanes __attribute__((vector_size(LANES * sizeof(float)), aligned(sizeof(float)), may_alias));

/** How well a state's weights fit the densities of BLOCK frames, in one stream. */
INLINE void mixed(const float e[BLOCK][STREAMS][DENSITIES], int s, const float *w, float out[BLOCK])
{
    lanes sum[BLOCK] = {{0}};

    for (int d = 0; d < DENSITIES; d += LANES) {
        const lanes weights = *(const lanes *)(w + d);

        for (int b = 0; b < BLOCK; b++)
            sum[b] += *(const lanes *)(e[b][s] + d) * weights;
    }
    for (int b = 0; b < BLOCK; b++)
        out[b] = ((sum[b][0] + sum[b][1]) + (sum[b][2] + sum[b][3])) +
                 ((sum[b][4] + sum[b][5]) + (sum[b][6] + sum[b][7]));
}

/** BLOCK frames `x` [BLOCK][FEATURES] into `rows` [BLOCK][n]. All states' weights are megabytes: they are
 * read once for several frames. */
INLINE void score_frames(const struct pz_acoustic *a, const struct asked *q, const float *x, float *rows,
                         int n)
{
    float best[BLOCK];

    for (int b = 0; b < BLOCK; b++)
        best[b] = -1e30f;
    for (int p = 0; p < a->n_plain; p++) {
        float e[BLOCK][STREAMS][DENSITIES], level[BLOCK] = {0.0f};

        if (q->first[p] == q->first[p + 1])
            continue;
        for (int b = 0; b < BLOCK; b++)
            for (int s = 0; s < STREAMS; s++)
                level[b] += densities(a, (size_t)(p * STREAMS + s), x + b * FEATURES + s * CEPSTRA, e[b][s]);
        for (int i = q->first[p]; i < q->first[p + 1]; i++) {
            const float *w = q->mix + (size_t)i * STREAMS * DENSITIES;
            float fits[STREAMS][BLOCK];

            for (int s = 0; s < STREAMS; s++)
                mixed(e, s, w + s * DENSITIES, fits[s]);
            for (int b = 0; b < BLOCK; b++) {
                const double product = 1e-300 + (double)fits[0][b] * (double)fits[1][b] * (double)fits[2][b];
                const float v = level[b] + (float)log(product);

                if (!q->compared[i])
                    rows[b * n + q->column[i]] = v;
                else if (v > best[b])
                    best[b] = v;
            }
        }
    }
    for (int b = 0; b < BLOCK; b++)
        for (int i = 0; i < n; i++) {
            const float v = rows[b * n + i] - best[b];

            rows[b * n + i] = v > LEAST ? v : LEAST;
        }
}

typedef void frames_form(const struct pz_acoustic *a, const struct asked *q, const float *x, float *rows,
                         int n);

#define FRAMES_FORM(name, attributes)                                                                        \
    attributes static void frames_##name(const struct pz_acoustic *a, const struct asked *q, const float *x, \
                                         float *rows, int n)                                                 \
    {                                                                                                        \
        score_frames(a, q, x, rows, n);                                                                      \
    }

FRAMES_FORM(plain, )
#if defined(__x86_64__)
FRAMES_FORM(avx2, __attribute__((target("avx2"))))
FRAMES_FORM(avx512, __attribute__((target("avx512f"))))
#endif

static frames_form *best_form(void)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f"))
        return frames_avx512;
    if (__builtin_cpu_supports("avx2"))
        return frames_avx2;
#endif
    return frames_plain;
}

enum pz_status pz_acoustic_rows(struct pz_acoustic *a, int warp, const float *samples, int64_t n,
                                const uint16_t *states, int n_states, pz_acoustic_row *take, void *user)
{
    frames_form *form = best_form();
    struct asked q = {0};
    float *x = NULL, *rows = NULL, last[BLOCK * FEATURES] = {0.0f};
    int64_t frames;
    enum pz_status st;

    if (n < PZ_EARS_HOP || n_states < 1)
        return PZ_OK;
    if (n > PZ_EARS_MAX_SAMPLES)
        return pz_fail(a->log, PZ_ERR_INTERNAL, "speech recogniser: %lld samples at once", (long long)n);
    PZ_TRY(asked_make(a, states, n_states, &q));
    PZ_TRY(features(a, warp, samples, n, &x, &frames));
    rows = pz_calloc((size_t)n_states * BLOCK, sizeof *rows);
    if (!rows) {
        st = PZ_ERR_NOMEM;
        goto fail;
    }
    for (int64_t t = 0; t < frames; t += BLOCK) {
        const float *at = x + t * FEATURES;
        const int64_t left = frames - t;

        if (left < BLOCK) {
            memcpy(last, at, (size_t)left * FEATURES * sizeof *last);
            at = last;
        }
        form(a, &q, at, rows, n_states);
        for (int b = 0; b < BLOCK && b < left; b++)
            take(user, t + b, rows + (size_t)b * (size_t)n_states);
    }
fail:
    asked_free(&q);
    pz_free(x);
    pz_free(rows);
    return st;
}

static void keep_row(void *user, int64_t t, const float *row)
{
    struct pz_scores *s = user;

    memcpy(s->values + t * s->n, row, (size_t)s->n * sizeof *row);
    s->frames = t + 1;
}

enum pz_status pz_acoustic_score(struct pz_acoustic *a, int warp, const float *samples, int64_t n,
                                 const uint16_t *states, int n_states, struct pz_scores *out)
{
    const int64_t most = n / PZ_EARS_HOP + 2; // frames
    enum pz_status st;

    *out = (struct pz_scores){.n = n_states};
    if (n_states < 1 || n > PZ_EARS_MAX_SAMPLES)
        return pz_acoustic_rows(a, warp, samples, n, states, n_states, keep_row, out);
    out->values = pz_calloc((size_t)most * (size_t)n_states + 1, sizeof *out->values);
    st = out->values ? pz_acoustic_rows(a, warp, samples, n, states, n_states, keep_row, out) : PZ_ERR_NOMEM;
    if (st < PZ_OK)
        pz_scores_free(out);
    return st;
}
