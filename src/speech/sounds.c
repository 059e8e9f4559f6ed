// The networks of sounds.h, both of this shape: log powers of 32 bands and their floor and top over the whole
// stretch go through a convolution over time, seven blocks (a filter a channel, farther and farther apart,
// then two dense layers, added to what came in) and one dense layer. Its weights, 8 bits each with a scale a
// row, are part of the program (sounds_net.bin, made by training/sounds). Edges are sounds_settle.c's.
#include "speech/sounds.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "audio/mel.h"
#include "base/mem.h"
#include "base/order.h"
#include "speech/sounds_net.h"

#define BANDS 32
#define FIRST 5 /* frames the first layer hears */
#define TAPS 7  /* of a block's filters */
#define BLOCKS 7
#define HEADS (3 * PZ_PH_COUNT)
#define WINDOW 400
#define FFT 512
#define LOW_HZ 60.0
#define HIGH_HZ 7600.0
#define LEAST (-4.0f) /* after scaling: 70 dB below the loudest */
#define SCALE 0.25f
#define LOUD 0.95  /* quantile of the loudest band: what levels are measured from */
#define FLOOR 0.10 /* quantiles of a band over the stretch */
#define TOP 0.90
#define TILE 16 /* outputs and */
#define ROWS 4  /* frames at once */

static const int dilations[BLOCKS] = {1, 2, 4, 8, 16, 4, 1};

/** Weights as numbers, [in][stride]: the transposed matrix, so that sums run over outputs. */
struct layer {
    int in, out, stride;
    float *w, *bias;
};

struct block {
    struct layer around, up, down;
};

struct net {
    int width;
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

static void make_bank(float bank[BANDS][FFT / 2 + 1])
{
    double lo = mel_of(LOW_HZ), step = (mel_of(HIGH_HZ) - lo) / (BANDS + 1);

    for (int b = 0; b < BANDS; b++)
        for (int k = 0; k <= FFT / 2; k++) {
            double m = (mel_of((double)k * PZ_SPEECH_RATE / FFT) - lo) / step - b;

            bank[b][k] = (float)(m <= 0.0 || m >= 2.0 ? 0.0 : m < 1.0 ? m : 2.0 - m);
        }
}

/** Log powers [frames][BANDS]. */
static enum pz_status band_logs(const float *x, int64_t n, int64_t frames, float *out)
{
    struct pz_fft *fft = pz_fft_create(FFT);
    float(*bank)[FFT / 2 + 1] = pz_calloc(BANDS, sizeof *bank);
    float window[WINDOW], buf[FFT] = {0}, spec[FFT + 2];

    if (!fft || !bank) {
        pz_fft_destroy(&fft);
        pz_free(bank);
        return PZ_ERR_NOMEM;
    }
    make_bank(bank);
    for (int i = 0; i < WINDOW; i++)
        window[i] = 0.5f - 0.5f * cosf(2.0f * (float)M_PI * ((float)i + 0.5f) / WINDOW);
    for (int64_t t = 0; t < frames; t++) {
        for (int i = 0; i < WINDOW; i++) {
            int64_t at = t * PZ_SOUNDS_HOP - WINDOW / 2 + i;

            buf[i] = at >= 0 && at < n ? x[at] * window[i] : 0.0f;
        }
        pz_fft_real(fft, buf, spec);
        for (int k = 0; k <= FFT / 2; k++)
            spec[k] = spec[2 * k] * spec[2 * k] + spec[2 * k + 1] * spec[2 * k + 1];
        for (int b = 0; b < BANDS; b++) {
            float p = 1e-12f;

            for (int k = 0; k <= FFT / 2; k++)
                p += bank[b][k] * spec[k];
            out[t * BANDS + b] = logf(p);
        }
    }
    pz_fft_destroy(&fft);
    pz_free(bank);
    return PZ_OK;
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
    for (int i = 0; i < BLOCKS; i++) {
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
    const int w = n->width = pz_sounds_width();
    enum pz_status st;

    PZ_TRY(unpack(p, FIRST * BANDS, w, &n->first));
    PZ_TRY(unpack(p, 2 * BANDS, w, &n->level));
    for (int i = 0; i < BLOCKS; i++) {
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

/** y[t] (+)= W x[t] + bias for `rows` (at most ROWS) rows that lie `step` floats apart; y [rows][out]. */
static void product(const struct layer *l, const float *x, int64_t step, int rows, bool add, bool relu,
                    float *y)
{
    for (int o = 0; o < l->stride; o += TILE) {
        float sum[ROWS][TILE];
        int n = l->out - o < TILE ? l->out - o : TILE;

        for (int r = 0; r < ROWS; r++)
            memcpy(sum[r], l->bias + o, sizeof sum[r]);
        for (int i = 0; i < l->in; i++) {
            const float *restrict w = l->w + (size_t)i * (size_t)l->stride + (size_t)o;

            for (int r = 0; r < ROWS; r++) {
                float v = x[(r < rows ? r : 0) * step + i];

                for (int k = 0; k < TILE; k++)
                    sum[r][k] += v * w[k];
            }
        }
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
static void run_net(struct net *n, const float *logs, int64_t frames, const float levels[2 * BANDS], float *x,
                    float *y, float *room, float *out)
{
    const int w = n->width;

    product(&n->level, levels, 0, 1, false, false, room);
    for (int c = 0; c < w; c++) // the same for every frame
        n->first.bias[c] += room[c];
    for (int64_t t = 0; t < frames; t += ROWS)
        product(&n->first, logs + t * BANDS, BANDS, frames - t < ROWS ? (int)(frames - t) : ROWS, false, true,
                x + t * w);
    for (int i = 0; i < BLOCKS; i++) {
        float *swap = x;

        run_block(&n->blocks[i], x, frames, dilations[i], room, y);
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
    float *logs;  /* [frames + FIRST + ROWS][BANDS] */
    float *x, *y; /* [frames][width] */
    float *rows;  /* [ROWS][3 width] */
};

/** The network of that place in the file. */
static enum pz_status net_take(enum pz_sounds_for what, struct net *n)
{
    const unsigned char *p = pz_sounds_weights();
    enum pz_status st = net_unpack(&p, n);

    for (int i = 0; i < (int)what && st == PZ_OK; i++) {
        net_free(n);
        *n = (struct net){0};
        st = net_unpack(&p, n);
    }
    return st;
}

enum pz_status pz_sounds_listen(const float *samples, int64_t n, enum pz_sounds_for what,
                                struct pz_sounds *out)
{
    enum pz_status st = PZ_ERR_NOMEM;
    const size_t f = (size_t)(n / PZ_SOUNDS_HOP), w = (size_t)pz_sounds_width();
    struct room r = {.logs = pz_calloc((f + FIRST + ROWS) * BANDS, sizeof *r.logs),
                     .x = pz_calloc(f * w + 1, sizeof *r.x),
                     .y = pz_calloc(f * w + 1, sizeof *r.y),
                     .rows = pz_calloc(ROWS * 3 * w, sizeof *r.rows)};
    struct net net = {0};
    float levels[2 * BANDS];

    *out = (struct pz_sounds){.frames = (int64_t)f, .values = pz_calloc(f * HEADS + 1, sizeof *out->values)};
    if (!r.logs || !r.x || !r.y || !r.rows || !out->values)
        goto fail;
    PZ_TRY(net_take(what, &net));
    if (f == 0)
        goto fail;
    PZ_TRY(band_logs(samples, n, (int64_t)f, r.logs + FIRST / 2 * BANDS));
    level(r.logs + FIRST / 2 * BANDS, (int64_t)f, r.x, levels);
    run_net(&net, r.logs, (int64_t)f, levels, r.x, r.y, r.rows, out->values);
    for (size_t t = 0; t < f; t++)
        log_softmax(out->values + t * HEADS);
fail:
    net_free(&net);
    pz_free(r.logs);
    pz_free(r.x);
    pz_free(r.y);
    pz_free(r.rows);
    if (st < PZ_OK)
        pz_sounds_free(out);
    return st;
}
