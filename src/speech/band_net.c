// Features and layers of the networks of band_net.h. Their weights, 8 bits each with a scale a row, are part
// of the program (sounds_net.bin, made by training/sounds).
#include "speech/band_net.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "audio/mel.h"
#include "base/mem.h"
#include "base/order.h"
#include "speech/sounds.h"
#include "speech/sounds_net.h"

#define BANDS PZ_BANDS
#define BINS PZ_BAND_BINS
#define FIRST 5 /* frames the first layer hears */
#define TAPS 7  /* of a block's filters */
#define WINDOW 400
#define FFT 512
#define LOW_HZ 60.0
#define HIGH_HZ 7600.0
#define LEAST (-4.0f) /* after scaling: 70 dB below the loudest */
#define SCALE 0.25f
#define LOUD 0.95  /* quantile of the loudest band: what levels are measured from */
#define FLOOR 0.10 /* quantiles of a band over the stretch */
#define TOP 0.90
#define TILE PZ_BAND_TILE /* outputs and */
#define ROWS 8            /* frames at once, in registers */
#define MANY 32           /* frames for which weights are fetched once, a multiple of ROWS */

/** fmaxf() is a call. */
static inline float larger(float a, float b)
{
    return a > b ? a : b;
}

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

float pz_band_share(double warp, int b, int k)
{
    const double lo = mel_of(LOW_HZ), step = (mel_of(HIGH_HZ) - lo) / (BANDS + 1);
    const double hz = fmin(warp * k * PZ_SPEECH_RATE / FFT, PZ_SPEECH_RATE / 2.0);
    const double m = (mel_of(hz) - lo) / step - b;

    return (float)(m <= 0.0 || m >= 2.0 ? 0.0 : m < 1.0 ? m : 2.0 - m);
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
            column[t] = larger(column[t], logs[t * BANDS + b]);
    }
    top = quantile(column, frames, LOUD);
    for (int64_t i = 0; i < frames * BANDS; i++)
        logs[i] = larger((logs[i] - top) * SCALE, LEAST);
    for (int b = 0; b < BANDS; b++) {
        for (int64_t t = 0; t < frames; t++)
            column[t] = logs[t * BANDS + b];
        levels[b] = quantile(column, frames, FLOOR);
        levels[BANDS + b] = quantile(column, frames, TOP);
    }
}

/* --- weights --- */

static void layer_free(struct pz_band_layer *l)
{
    pz_free(l->w);
    pz_free(l->bias);
}

void pz_band_net_free(struct pz_band_net *n)
{
    layer_free(&n->first);
    layer_free(&n->level);
    layer_free(&n->last);
    layer_free(&n->out);
    for (int i = 0; i < n->n_blocks; i++) {
        layer_free(&n->blocks[i].around);
        layer_free(&n->blocks[i].up);
        layer_free(&n->blocks[i].down);
    }
    *n = (struct pz_band_net){0};
}

/** Unpack one layer: scales [out], biases [out], weights [out][in] as bytes; `in` 0: the scales are the
 * weights. Moves `*p` behind it. */
static enum pz_status unpack(const unsigned char **p, int in, int out, struct pz_band_layer *l)
{
    const unsigned char *scales = *p, *biases = scales + sizeof(float) * (size_t)out;
    const signed char *bytes = (const signed char *)(biases + sizeof(float) * (size_t)out);

    *l = (struct pz_band_layer){.in = in, .out = out, .tiles = (out + TILE - 1) / TILE};
    l->w = pz_calloc((size_t)(in ? in : 1) * (size_t)l->tiles * TILE, sizeof *l->w);
    l->bias = pz_calloc((size_t)l->tiles * TILE, sizeof *l->bias);
    if (!l->w || !l->bias)
        return PZ_ERR_NOMEM;
    memcpy(l->bias, biases, sizeof(float) * (size_t)out);
    if (in == 0)
        memcpy(l->w, scales, sizeof(float) * (size_t)out);
    for (int o = 0; o < out; o++) {
        float scale, *to = l->w + (size_t)(o / TILE) * (size_t)in * TILE + o % TILE;

        memcpy(&scale, scales + sizeof scale * (size_t)o, sizeof scale);
        for (int i = 0; i < in; i++)
            to[(size_t)i * TILE] = scale * (float)bytes[(size_t)o * (size_t)in + (size_t)i];
    }
    *p = (const unsigned char *)(bytes + (size_t)in * (size_t)out);
    return PZ_OK;
}

/** The network at `*p`, which moves behind it. */
static enum pz_status net_unpack(const unsigned char **p, struct pz_band_net *n)
{
    enum pz_status st = PZ_OK;
    uint32_t head[3 + PZ_BAND_BLOCKS];
    int w;

    memcpy(head, *p, 3 * sizeof *head);
    w = n->width = (int)head[0];
    n->n_blocks = (int)head[1];
    n->heads = (int)head[2];
    memcpy(head + 3, *p + 3 * sizeof *head, (size_t)n->n_blocks * sizeof *head);
    *p += (size_t)(3 + n->n_blocks) * sizeof *head;
    for (int i = 0; i < n->n_blocks; i++)
        n->dilations[i] = (int)head[3 + i];
    PZ_TRY(unpack(p, FIRST * BANDS, w, &n->first));
    PZ_TRY(unpack(p, 2 * BANDS, w, &n->level));
    for (int i = 0; i < n->n_blocks; i++) {
        PZ_TRY(unpack(p, TAPS, w, &n->blocks[i].around));
        PZ_TRY(unpack(p, w, 2 * w, &n->blocks[i].up));
        PZ_TRY(unpack(p, 2 * w, w, &n->blocks[i].down));
    }
    PZ_TRY(unpack(p, 0, w, &n->last));
    PZ_TRY(unpack(p, w, n->heads, &n->out));
fail:
    return st;
}

/** Behind the network at `p`. */
static const unsigned char *behind(const unsigned char *p)
{
    uint32_t head[3];
    size_t w, floats, bytes;

    memcpy(head, p, sizeof head);
    w = head[0];
    floats = 2 * (w + w + (size_t)head[1] * (w + 2 * w + w) + w + head[2]);
    bytes = w * (FIRST * BANDS + 2 * BANDS + (size_t)head[1] * (TAPS + 4 * w) + head[2]);
    return p + sizeof head + sizeof *head * head[1] + sizeof(float) * floats + bytes;
}

/* --- layers --- */

/** sum[r][k] = bias[k] + sum over `in` of x[r step + i] w[i TILE + k], for ROWS rows and TILE outputs: once
 * for each instruction set; those that multiply and add in one step round once instead of twice. */
#define TILE_FORM(name, attributes, ADD)                                                                     \
    attributes static void tile_##name(const float *restrict w, const float *bias, const float *restrict x,  \
                                       int64_t step, int in, float sum[ROWS][TILE])                          \
    {                                                                                                        \
        float v[ROWS][TILE];                                                                                 \
                                                                                                             \
        for (int r = 0; r < ROWS; r++)                                                                       \
            for (int k = 0; k < TILE; k++)                                                                   \
                v[r][k] = bias[k];                                                                           \
        for (int i = 0; i < in; i++, w += TILE)                                                              \
            for (int r = 0; r < ROWS; r++) {                                                                 \
                const float by = x[r * step + i];                                                            \
                                                                                                             \
                for (int k = 0; k < TILE; k++)                                                               \
                    v[r][k] = ADD(by, w[k], v[r][k]);                                                        \
            }                                                                                                \
        memcpy(sum, v, sizeof v);                                                                            \
    }
#define IN_TWO(a, b, c) ((c) + (a) * (b))

TILE_FORM(plain, , IN_TWO)
#if defined(__x86_64__)
TILE_FORM(fma, __attribute__((target("avx2,fma"))), __builtin_fmaf)
TILE_FORM(avx512, __attribute__((target("avx512f"))), __builtin_fmaf)
#endif

typedef void tile_form(const float *restrict w, const float *bias, const float *restrict x, int64_t step,
                       int in, float sum[ROWS][TILE]);

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

/** y[t] (+)= W x[t] + bias for `rows` (at most MANY) rows that lie `step` floats apart; y [rows][out]. Behind
 * them x goes on, to a multiple of ROWS, with whatever. */
static void product(const struct pz_band_layer *l, const float *x, int64_t step, int rows, bool add,
                    bool relu, float *y)
{
    tile_form *tile = best_tile();

    for (int o = 0; o < l->tiles * TILE; o += TILE) {
        const float *w = l->w + (size_t)o * (size_t)l->in;
        const int n = l->out - o < TILE ? l->out - o : TILE;

        for (int first = 0; first < rows; first += ROWS) {
            const int count = rows - first < ROWS ? rows - first : ROWS;
            float sum[ROWS][TILE];

            tile(w, l->bias + o, x + first * step, step, l->in, sum);
            for (int r = 0; r < count; r++) {
                float *to = y + (size_t)(first + r) * (size_t)l->out + (size_t)o;

                for (int k = 0; k < n; k++) {
                    const float v = relu ? larger(sum[r][k], 0.0f) : sum[r][k];

                    to[k] = add ? to[k] + v : v;
                }
            }
        }
    }
}

/** A filter a channel: y[t] = bias + sum of w[k] x[t + (k - TAPS / 2) dilation], nothing beyond the ends. */
static void filter(const struct pz_band_layer *l, const float *x, int64_t frames, int64_t t, int dilation,
                   float *restrict y)
{
    memcpy(y, l->bias, (size_t)l->out * sizeof *y);
    for (int o = 0; o < l->out; o += TILE) {
        const int n = l->out - o < TILE ? l->out - o : TILE;

        for (int k = 0; k < TAPS; k++) {
            const int64_t at = t + (int64_t)(k - TAPS / 2) * dilation;
            const float *restrict w = l->w + (size_t)o * TAPS + (size_t)k * TILE;

            if (at < 0 || at >= frames)
                continue;
            const float *from = x + at * l->out + o;

            for (int c = 0; c < n; c++)
                y[o + c] += w[c] * from[c];
        }
    }
}

/** What the network is at. */
struct pass {
    const struct pz_band_net *net;
    int block;
    int64_t frames;
    const float *x;
    float *y, *rooms; /* y [frames][width]; a room [MANY][3 width] for each worker */
};

/** One block of MANY frames: x [frames][width] into y. */
static void run_frames(void *user, int index, int worker)
{
    const struct pass *p = user;
    const struct pz_band_net *n = p->net;
    const int w = n->width;
    const int64_t first = (int64_t)index * MANY;
    const int rows = p->frames - first < MANY ? (int)(p->frames - first) : MANY;
    float *room = p->rooms + (size_t)worker * MANY * 3 * (size_t)w, *up = room + (size_t)MANY * (size_t)w;
    float *y = p->y + first * w;

    memcpy(y, p->x + first * w, (size_t)rows * (size_t)w * sizeof *y);
    for (int r = 0; r < rows; r++)
        filter(&n->blocks[p->block].around, p->x, p->frames, first + r, n->dilations[p->block],
               room + (size_t)r * (size_t)w);
    product(&n->blocks[p->block].up, room, w, rows, false, true, up);
    product(&n->blocks[p->block].down, up, 2 * (int64_t)w, rows, true, false, y);
}

/** r->logs [frames + FIRST - 1][BANDS], padded, into r->out. */
static void run_net(const struct pz_band_net *n, const float levels[2 * BANDS], struct pz_band_room *r)
{
    const int w = n->width;
    const int64_t frames = r->frames;
    struct pass p = {.net = n, .frames = frames, .x = r->x, .y = r->y, .rooms = r->rows};
    struct pz_band_layer first = n->first;
    float *x = r->x;

    product(&n->level, levels, 0, 1, false, false, r->rows);
    first.bias = r->rows; // the same for every frame
    for (int c = 0; c < w; c++)
        r->rows[c] += n->first.bias[c];
    for (int64_t t = 0; t < frames; t += MANY)
        product(&first, r->logs + t * BANDS, BANDS, frames - t < MANY ? (int)(frames - t) : MANY, false, true,
                x + t * w);
    for (p.block = 0; p.block < n->n_blocks; p.block++) {
        pz_pool_run(r->pool, run_frames, &p, (int)((frames + MANY - 1) / MANY));
        x = p.y;
        p.y = (float *)p.x;
        p.x = x;
    }
    for (int64_t t = 0; t < frames; t++)
        for (int c = 0; c < w; c++)
            x[t * w + c] = larger(x[t * w + c] * n->last.w[c] + n->last.bias[c], 0.0f);
    for (int64_t t = 0; t < frames; t += MANY)
        product(&n->out, x + t * w, w, frames - t < MANY ? (int)(frames - t) : MANY, false, false,
                r->out + t * n->heads);
}

enum pz_status pz_band_net_next(enum pz_band_net_for what, int *i, struct pz_band_net *net)
{
    const unsigned char *p = pz_sounds_weights();
    enum pz_status st = PZ_OK;

    *net = (struct pz_band_net){0};
    for (int k = 0; k < pz_sounds_nets() && st >= PZ_OK; k++) {
        const bool mine = k >= *i && (pz_sounds_asked((int)what) >> k & 1);

        if (!mine) {
            p = behind(p);
            continue;
        }
        *i = k + 1;
        st = net_unpack(&p, net);
        if (st < PZ_OK)
            pz_band_net_free(net);
        return st;
    }
    return st;
}

void pz_band_room_free(struct pz_band_room *r)
{
    pz_free(r->power);
    pz_free(r->logs);
    pz_free(r->x);
    pz_free(r->y);
    pz_free(r->rows);
    pz_free(r->out);
    *r = (struct pz_band_room){0};
}

enum pz_status pz_band_room_make(const float *samples, int64_t n, const struct pz_band_net *net,
                                 struct pz_pool *pool, struct pz_band_room *r)
{
    const size_t frames = (size_t)(n / PZ_SOUNDS_HOP), width = (size_t)net->width;

    *r = (struct pz_band_room){.frames = (int64_t)frames, .pool = pool};
    r->power = pz_calloc(frames * BINS + 1, sizeof *r->power);
    r->logs = pz_calloc((frames + FIRST + ROWS) * BANDS, sizeof *r->logs);
    r->x = pz_calloc((frames + ROWS) * width, sizeof *r->x);
    r->y = pz_calloc((frames + ROWS) * width, sizeof *r->y);
    r->rows = pz_calloc((size_t)pz_pool_threads(pool) * MANY * 3 * width, sizeof *r->rows);
    r->out = pz_calloc(frames * (size_t)net->heads + 1, sizeof *r->out);
    return r->power && r->logs && r->x && r->y && r->rows && r->out
               ? powers(samples, n, (int64_t)frames, r->power)
               : PZ_ERR_NOMEM;
}

enum pz_status pz_band_net_run(const struct pz_band_net *net, double warp, struct pz_band_room *r)
{
    float levels[2 * BANDS];
    float(*bank)[BINS] = pz_calloc(BANDS, sizeof *bank);
    float *logs = r->logs + FIRST / 2 * BANDS;

    if (!bank)
        return PZ_ERR_NOMEM;
    for (int b = 0; b < BANDS; b++)
        for (int k = 0; k < BINS; k++)
            bank[b][k] = pz_band_share(warp, b, k);
    band_logs(bank, r->power, r->frames, logs);
    pz_free(bank);
    if (r->frames > 0) {
        level(logs, r->frames, r->x, levels);
        run_net(net, levels, r);
    }
    return PZ_OK;
}
