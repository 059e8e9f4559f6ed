// The networks of sounds.h, all of this shape: log powers of 32 bands and their floor and top over the whole
// stretch go through a convolution over time, some blocks (a filter a channel, farther and farther apart,
// then two dense layers, added to what came in) and one dense layer. Their weights, 8 bits each with a scale
// a row, are part of the program (sounds_net.bin, made by training/sounds). Where several are asked, or one
// several times with the bands moved as other throats would, their answers are averaged. Edges are
// sounds_settle.c's.
#include "speech/sounds.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "audio/mel.h"
#include "base/mem.h"
#include "base/order.h"
#include "speech/sounds_net.h"

#define BANDS 32
#define FIRST 5   /* frames the first layer hears */
#define TAPS 7    /* of a block's filters */
#define BLOCKS 12 /* at most */
#define HEADS (3 * PZ_PH_COUNT)
#define WINDOW 400
#define FFT 512
#define BINS (FFT / 2 + 1)
#define LOW_HZ 60.0
#define HIGH_HZ 7600.0
#define LEAST (-4.0f) /* after scaling: 70 dB below the loudest */
#define SCALE 0.25f
#define LOUD 0.95  /* quantile of the loudest band: what levels are measured from */
#define FLOOR 0.10 /* quantiles of a band over the stretch */
#define TOP 0.90
#define TILE 32 /* outputs and */
#define ROWS 8  /* frames at once */

/* Edges are asked through the bands of several throats: no voice is one that was taught. */
#define THROATS 5
static const double throats[THROATS] = {1.0, 0.94, 1.06, 0.88, 1.13};

/** Weights as numbers, [in][stride]: the transposed matrix, so that sums run over outputs. */
struct layer {
    int in, out, stride;
    float *w, *bias;
};

struct block {
    struct layer around, up, down;
};

struct net {
    int width, n_blocks;
    int dilations[BLOCKS];
    struct layer first, level, last, heads; /* last: a factor and a bias a channel */
    struct block blocks[BLOCKS];
};

/** Quantile of `n` values, which it sorts. */
static float quantile(float *v, int64_t n, double q)
{
    double at = q * (double)(n - 1);
    int64_t i = (int64_t)at;

    qsort(v, (size_t)n, sizeof *v, pz_by_float);
    return i + 1 < n ? v[i] + (float)(at - (double)i) * (v[i + 1] - v[i]) : v[n - 1];
}

static double mel_of(double hz)
{
    return 1127.0 * log(1.0 + hz / 700.0);
}

/** Bands of a throat whose resonances lie at 1 / `warp` of the usual places. */
static void make_bank(double warp, float bank[BANDS][BINS])
{
    double lo = mel_of(LOW_HZ), step = (mel_of(HIGH_HZ) - lo) / (BANDS + 1);

    for (int b = 0; b < BANDS; b++)
        for (int k = 0; k < BINS; k++) {
            double hz = fmin(warp * k * PZ_SPEECH_RATE / FFT, PZ_SPEECH_RATE / 2.0);
            double m = (mel_of(hz) - lo) / step - b;

            bank[b][k] = (float)(m <= 0.0 || m >= 2.0 ? 0.0 : m < 1.0 ? m : 2.0 - m);
        }
}

/** Powers [frames][BINS]. */
static enum pz_status powers(const float *x, int64_t n, int64_t frames, float *out)
{
    struct pz_fft *fft = pz_fft_create(FFT);
    float window[WINDOW], buf[FFT] = {0}, spec[FFT + 2];

    if (!fft)
        return PZ_ERR_NOMEM;
    for (int i = 0; i < WINDOW; i++)
        window[i] = 0.5f - 0.5f * cosf(2.0f * (float)M_PI * ((float)i + 0.5f) / WINDOW);
    for (int64_t t = 0; t < frames; t++) {
        for (int i = 0; i < WINDOW; i++) {
            int64_t at = t * PZ_SOUNDS_HOP - WINDOW / 2 + i;

            buf[i] = at >= 0 && at < n ? x[at] * window[i] : 0.0f;
        }
        pz_fft_real(fft, buf, spec);
        for (int k = 0; k < BINS; k++)
            out[t * BINS + k] = spec[2 * k] * spec[2 * k] + spec[2 * k + 1] * spec[2 * k + 1];
    }
    pz_fft_destroy(&fft);
    return PZ_OK;
}

/** Log powers of the bands [frames][BANDS]. */
static void band_logs(float bank[BANDS][BINS], const float *power, int64_t frames, float *out)
{
    for (int b = 0; b < BANDS; b++) {
        int from = 0, to = BINS;

        while (from < to && bank[b][from] == 0.0f)
            from++;
        while (to > from && bank[b][to - 1] == 0.0f)
            to--;
        for (int64_t t = 0; t < frames; t++) {
            float p = 1e-12f;

            for (int k = from; k < to; k++)
                p += bank[b][k] * power[t * BINS + k];
            out[t * BANDS + b] = logf(p);
        }
    }
}

/** Levels measured from the loud parts; floor and top of every band. `column` [frames]: room to sort in. */
static void level(float *logs, int64_t frames, float *column, float levels[2 * BANDS])
{
    float top;

    for (int64_t t = 0; t < frames; t++) {
        column[t] = logs[t * BANDS];
        for (int b = 1; b < BANDS; b++)
            column[t] = fmaxf(column[t], logs[t * BANDS + b]);
    }
    top = quantile(column, frames, LOUD);
    for (int64_t i = 0; i < frames * BANDS; i++)
        logs[i] = fmaxf((logs[i] - top) * SCALE, LEAST);
    for (int b = 0; b < BANDS; b++) {
        for (int64_t t = 0; t < frames; t++)
            column[t] = logs[t * BANDS + b];
        levels[b] = quantile(column, frames, FLOOR);
        levels[BANDS + b] = quantile(column, frames, TOP);
    }
}

/* --- weights --- */

static void layer_free(struct layer *l)
{
    pz_free(l->w);
    pz_free(l->bias);
}

static void net_free(struct net *n)
{
    layer_free(&n->first);
    layer_free(&n->level);
    layer_free(&n->last);
    layer_free(&n->heads);
    for (int i = 0; i < n->n_blocks; i++) {
        layer_free(&n->blocks[i].around);
        layer_free(&n->blocks[i].up);
        layer_free(&n->blocks[i].down);
    }
}

/** Unpack one layer: scales [out], biases [out], weights [out][in] as bytes; `in` 0: the scales are the
 * weights. Moves
 * `*p` behind it. */
static enum pz_status unpack(const unsigned char **p, int in, int out, struct layer *l)
{
    const unsigned char *scales = *p, *biases = scales + sizeof(float) * (size_t)out;
    const signed char *bytes = (const signed char *)(biases + sizeof(float) * (size_t)out);

    *l = (struct layer){.in = in, .out = out, .stride = (out + TILE - 1) / TILE * TILE};
    l->w = pz_calloc((size_t)(in ? in : 1) * (size_t)l->stride, sizeof *l->w);
    l->bias = pz_calloc((size_t)l->stride, sizeof *l->bias);
    if (!l->w || !l->bias)
        return PZ_ERR_NOMEM;
    memcpy(l->bias, biases, sizeof(float) * (size_t)out);
    if (in == 0)
        memcpy(l->w, scales, sizeof(float) * (size_t)out);
    for (int o = 0; o < out; o++) {
        float scale;

        memcpy(&scale, scales + sizeof scale * (size_t)o, sizeof scale);
        for (int i = 0; i < in; i++)
            l->w[(size_t)i * (size_t)l->stride + (size_t)o] =
                scale * (float)bytes[(size_t)o * (size_t)in + (size_t)i];
    }
    *p = (const unsigned char *)(bytes + (size_t)in * (size_t)out);
    return PZ_OK;
}

/** The network at `*p`, which moves behind it. */
static enum pz_status net_unpack(const unsigned char **p, struct net *n)
{
    enum pz_status st = PZ_OK;
    uint32_t head[2 + BLOCKS];
    int w;

    memcpy(head, *p, 2 * sizeof *head);
    w = n->width = (int)head[0];
    n->n_blocks = (int)head[1];
    memcpy(head + 2, *p + 2 * sizeof *head, (size_t)n->n_blocks * sizeof *head);
    *p += (size_t)(2 + n->n_blocks) * sizeof *head;
    for (int i = 0; i < n->n_blocks; i++)
        n->dilations[i] = (int)head[2 + i];
    PZ_TRY(unpack(p, FIRST * BANDS, w, &n->first));
    PZ_TRY(unpack(p, 2 * BANDS, w, &n->level));
    for (int i = 0; i < n->n_blocks; i++) {
        PZ_TRY(unpack(p, TAPS, w, &n->blocks[i].around));
        PZ_TRY(unpack(p, w, 2 * w, &n->blocks[i].up));
        PZ_TRY(unpack(p, 2 * w, w, &n->blocks[i].down));
    }
    PZ_TRY(unpack(p, 0, w, &n->last));
    PZ_TRY(unpack(p, w, HEADS, &n->heads));
fail:
    return st;
}

/* --- layers --- */

/** sum[r][k] = bias[k] + sum over `in` of x[r step + i] w[i stride + k], for ROWS rows and TILE outputs: once
 * for each instruction set. */
#define TILE_FORM(name, attributes)                                                                          \
    attributes static void tile_##name(const float *restrict w, int stride, const float *bias,               \
                                       const float *restrict x, int64_t step, int in, float sum[ROWS][TILE]) \
    {                                                                                                        \
        float v[ROWS][TILE];                                                                                 \
                                                                                                             \
        for (int r = 0; r < ROWS; r++)                                                                       \
            for (int k = 0; k < TILE; k++)                                                                   \
                v[r][k] = bias[k];                                                                           \
        for (int i = 0; i < in; i++, w += stride)                                                            \
            for (int r = 0; r < ROWS; r++) {                                                                 \
                float by = x[r * step + i];                                                                  \
                                                                                                             \
                for (int k = 0; k < TILE; k++)                                                               \
                    v[r][k] += by * w[k];                                                                    \
            }                                                                                                \
        memcpy(sum, v, sizeof v);                                                                            \
    }

TILE_FORM(plain, )
#if defined(__x86_64__)
TILE_FORM(fma, __attribute__((target("avx2,fma"))))
TILE_FORM(avx512, __attribute__((target("avx512f"))))
#endif

typedef void tile_form(const float *restrict w, int stride, const float *bias, const float *restrict x,
                       int64_t step, int in, float sum[ROWS][TILE]);

static tile_form *best_tile(void)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f"))
        return tile_avx512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return tile_fma;
#endif
    return tile_plain;
}

/** y[t] (+)= W x[t] + bias for `rows` (at most ROWS) rows that lie `step` floats apart; y [rows][out]. Behind
 * them x goes on for ROWS rows in all, of whatever. */
static void product(const struct layer *l, const float *x, int64_t step, int rows, bool add, bool relu,
                    float *y)
{
    tile_form *tile = best_tile();

    for (int o = 0; o < l->stride; o += TILE) {
        float sum[ROWS][TILE];
        int n = l->out - o < TILE ? l->out - o : TILE;

        tile(l->w + o, l->stride, l->bias + o, x, step, l->in, sum);
        for (int r = 0; r < rows; r++)
            for (int k = 0; k < n; k++) {
                float v = relu ? fmaxf(sum[r][k], 0.0f) : sum[r][k];
                float *to = y + (size_t)r * (size_t)l->out + (size_t)(o + k);

                *to = add ? *to + v : v;
            }
    }
}

/** A filter a channel: y[t] = bias + sum of w[k] x[t + (k - TAPS / 2) dilation], nothing beyond the ends. */
static void filter(const struct layer *l, const float *x, int64_t frames, int64_t t, int dilation,
                   float *restrict y)
{
    memcpy(y, l->bias, (size_t)l->out * sizeof *y);
    for (int k = 0; k < TAPS; k++) {
        int64_t at = t + (int64_t)(k - TAPS / 2) * dilation;

        if (at < 0 || at >= frames)
            continue;
        const float *restrict w = l->w + (size_t)k * (size_t)l->stride, *from = x + at * l->out;

        for (int c = 0; c < l->out; c++)
            y[c] += w[c] * from[c];
    }
}

/** One block: x [frames][width] into y. `room` [ROWS][3 width]. */
static void run_block(const struct block *b, const float *x, int64_t frames, int dilation, float *room,
                      float *y)
{
    const int w = b->around.out;
    float *up = room + (size_t)ROWS * (size_t)w;

    memcpy(y, x, (size_t)frames * (size_t)w * sizeof *y);
    for (int64_t t = 0; t < frames; t += ROWS) {
        int rows = frames - t < ROWS ? (int)(frames - t) : ROWS;

        for (int r = 0; r < rows; r++)
            filter(&b->around, x, frames, t + r, dilation, room + (size_t)r * (size_t)w);
        product(&b->up, room, w, rows, false, true, up);
        product(&b->down, up, 2 * (int64_t)w, rows, true, false, y + t * w);
    }
}

/** logs [frames + FIRST - 1][BANDS], padded; out [frames][HEADS]. x, y [frames][width], room [ROWS][3 width].
 */
static void run_net(const struct net *n, const float *logs, int64_t frames, const float levels[2 * BANDS],
                    float *x, float *y, float *room, float *out)
{
    const int w = n->width;

    struct layer first = n->first;

    product(&n->level, levels, 0, 1, false, false, room);
    first.bias = room; // the same for every frame
    for (int c = 0; c < w; c++)
        room[c] += n->first.bias[c];
    for (int64_t t = 0; t < frames; t += ROWS)
        product(&first, logs + t * BANDS, BANDS, frames - t < ROWS ? (int)(frames - t) : ROWS, false, true,
                x + t * w);
    for (int i = 0; i < n->n_blocks; i++) {
        float *swap = x;

        run_block(&n->blocks[i], x, frames, n->dilations[i], room, y);
        x = y;
        y = swap;
    }
    for (int64_t t = 0; t < frames; t++)
        for (int c = 0; c < w; c++)
            x[t * w + c] = fmaxf(x[t * w + c] * n->last.w[c] + n->last.bias[c], 0.0f);
    for (int64_t t = 0; t < frames; t += ROWS)
        product(&n->heads, x + t * w, w, frames - t < ROWS ? (int)(frames - t) : ROWS, false, false,
                out + t * HEADS);
}

/** Logarithms of probabilities out of the first head, all heads given to AX as well; x [HEADS] in place. */
static void log_softmax(float *x)
{
    float most = x[0];
    double sum = 0.0;

    for (int i = 1; i < PZ_PH_COUNT; i++)
        most = i == PZ_PH_AX ? most : fmaxf(most, x[i]);
    for (int i = 0; i < PZ_PH_COUNT; i++)
        sum += i == PZ_PH_AX ? 0.0 : exp((double)(x[i] - most));
    for (int i = 0; i < PZ_PH_COUNT; i++)
        x[i] -= most + (float)log(sum);
    for (int h = 0; h < 3; h++)
        x[h * PZ_PH_COUNT + PZ_PH_AX] = x[h * PZ_PH_COUNT + PZ_PH_AH];
}

void pz_sounds_free(struct pz_sounds *s)
{
    pz_free(s->values);
    *s = (struct pz_sounds){0};
}

/** Room for one stretch of sound. */
struct room {
    float *power; /* [frames][BINS] */
    float *logs;  /* [frames + FIRST + ROWS][BANDS] */
    float *x, *y; /* [frames][width] */
    float *rows;  /* [ROWS][3 width] */
    float *out;   /* [frames][HEADS] */
};

static void room_free(struct room *r)
{
    pz_free(r->power);
    pz_free(r->logs);
    pz_free(r->x);
    pz_free(r->y);
    pz_free(r->rows);
    pz_free(r->out);
}

static enum pz_status room_make(struct room *r, size_t frames, size_t width)
{
    r->power = pz_calloc(frames * BINS + 1, sizeof *r->power);
    r->logs = pz_calloc((frames + FIRST + ROWS) * BANDS, sizeof *r->logs);
    r->x = pz_calloc((frames + ROWS) * width, sizeof *r->x);
    r->y = pz_calloc((frames + ROWS) * width, sizeof *r->y);
    r->rows = pz_calloc(ROWS * 3 * width, sizeof *r->rows);
    r->out = pz_calloc(frames * HEADS + 1, sizeof *r->out);
    return r->power && r->logs && r->x && r->y && r->rows && r->out ? PZ_OK : PZ_ERR_NOMEM;
}

/** What one network hears through one throat's bands is added to `out`. */
static enum pz_status add_view(const struct net *net, double warp, struct room *r, struct pz_sounds *out)
{
    float levels[2 * BANDS];
    float(*bank)[BINS] = pz_calloc(BANDS, sizeof *bank);
    float *logs = r->logs + FIRST / 2 * BANDS;

    if (!bank)
        return PZ_ERR_NOMEM;
    make_bank(warp, bank);
    band_logs(bank, r->power, out->frames, logs);
    pz_free(bank);
    level(logs, out->frames, r->x, levels);
    run_net(net, r->logs, out->frames, levels, r->x, r->y, r->rows, r->out);
    for (int64_t t = 0; t < out->frames; t++) {
        log_softmax(r->out + t * HEADS);
        for (int i = 0; i < HEADS; i++)
            out->values[t * HEADS + i] += r->out[t * HEADS + i];
    }
    return PZ_OK;
}

enum pz_status pz_sounds_listen(const float *samples, int64_t n, enum pz_sounds_for what,
                                struct pz_sounds *out)
{
    enum pz_status st = PZ_ERR_NOMEM;
    const size_t f = (size_t)(n / PZ_SOUNDS_HOP);
    const unsigned char *p = pz_sounds_weights();
    struct room r = {0};
    struct net net = {0};
    int views = 0;

    *out = (struct pz_sounds){.frames = (int64_t)f, .values = pz_calloc(f * HEADS + 1, sizeof *out->values)};
    if (!out->values)
        goto fail;
    st = PZ_OK;
    for (int i = 0; i < pz_sounds_nets() && f > 0; i++) {
        PZ_TRY(net_unpack(&p, &net));
        if (pz_sounds_asked(what) >> i & 1) {
            PZ_TRY(room_make(&r, f, (size_t)net.width));
            PZ_TRY(powers(samples, n, (int64_t)f, r.power));
            for (int k = 0; k < (what == PZ_SOUNDS_EDGES ? THROATS : 1); k++, views++)
                PZ_TRY(add_view(&net, throats[k], &r, out));
            room_free(&r);
            r = (struct room){0};
        }
        net_free(&net);
        net = (struct net){0};
    }
    for (size_t i = 0; i < f * HEADS; i++)
        out->values[i] /= (float)views;
    for (size_t t = 0; t < f && views > 1; t++)
        log_softmax(out->values + t * HEADS);
fail:
    net_free(&net);
    room_free(&r);
    if (st < PZ_OK)
        pz_sounds_free(out);
    return st;
}
