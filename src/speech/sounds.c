// The network of sounds.h: log powers of 24 bands around a frame and the floor of each band over the whole
// stretch go through two hidden layers to phones. Its weights, 8 bits each with a scale a row, are part of
// the program (sounds_net.bin, made by training/sounds). Edges are sounds_settle.c's.
#include "speech/sounds.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "audio/mel.h"
#include "base/mem.h"
#include "speech/sounds_net.h"

#define BANDS 24
#define AROUND 7 /* frames on each side, */
#define STEP 2   /* so far apart */
#define TAPS (2 * AROUND + 1)
#define INPUTS (BANDS * TAPS + BANDS)
#define WINDOW 400
#define FFT 512
#define LOW_HZ 60.0
#define HIGH_HZ 7600.0
#define LEAST (-4.0f) /* after scaling: 70 dB below the loudest */
#define SCALE 0.25f
#define LOUD 0.95  /* quantile of the loudest band: what levels are measured from */
#define FLOOR 0.10 /* quantile of a band over the stretch */

/** Weights as numbers, the transposed matrix [in][out] so that sums run over `out`. */
struct layer {
    int in, out;
    float *w, *bias;
};

static int by_value(const void *a, const void *b)
{
    float p = *(const float *)a, q = *(const float *)b;

    return p < q ? -1 : p > q;
}

/** Quantile of `n` values, which it sorts. */
static float quantile(float *v, int64_t n, double q)
{
    double at = q * (double)(n - 1);
    int64_t i = (int64_t)at;

    qsort(v, (size_t)n, sizeof *v, by_value);
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

/** Levels measured from the loud parts, and the floor of every band. `column` [frames]: room to sort in. */
static void level(float *logs, int64_t frames, float *column, float floors[BANDS])
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
        floors[b] = quantile(column, frames, FLOOR);
    }
}

/** Unpack one layer: scales [out], biases [out], weights [out][in] as bytes. Returns what follows. */
static const unsigned char *unpack(const unsigned char *p, int in, int out, struct layer *l)
{
    *l = (struct layer){.in = in, .out = out};
    l->w = pz_calloc((size_t)in * (size_t)out, sizeof *l->w);
    l->bias = pz_calloc((size_t)out, sizeof *l->bias);
    if (!l->w || !l->bias)
        return NULL;
    memcpy(l->bias, p + sizeof(float) * (size_t)out, sizeof(float) * (size_t)out);
    for (int o = 0; o < out; o++) {
        const signed char *row =
            (const signed char *)p + 2 * sizeof(float) * (size_t)out + (size_t)o * (size_t)in;
        float scale;

        memcpy(&scale, p + sizeof scale * (size_t)o, sizeof scale);
        for (int i = 0; i < in; i++)
            l->w[(size_t)i * (size_t)out + (size_t)o] = scale * (float)row[i];
    }
    return p + (2 * sizeof(float) + (size_t)in) * (size_t)out;
}

/** y = W x + bias, negative values to 0 when `relu`. */
static void apply(const struct layer *l, const float *x, bool relu, float *restrict y)
{
    memcpy(y, l->bias, (size_t)l->out * sizeof *y);
    for (int i = 0; i < l->in; i++) {
        const float *restrict w = l->w + (size_t)i * (size_t)l->out;
        float v = x[i];

        if (v == 0.0f) // half of what a layer with relu gives
            continue;
        for (int o = 0; o < l->out; o++)
            y[o] += v * w[o];
    }
    for (int o = 0; relu && o < l->out; o++)
        y[o] = fmaxf(y[o], 0.0f);
}

static void log_softmax(const float *y, float *out)
{
    float most = y[0];
    double sum = 0.0;

    for (int i = 1; i < PZ_PH_COUNT; i++)
        most = fmaxf(most, y[i]);
    for (int i = 0; i < PZ_PH_COUNT; i++)
        sum += exp((double)(y[i] - most));
    for (int i = 0; i < PZ_PH_COUNT; i++)
        out[i] = y[i] - most - (float)log(sum);
    out[PZ_PH_AX] = out[PZ_PH_AH];
}

/** The inputs of one frame. */
static void gather(const float *logs, int64_t frames, int64_t t, const float floors[BANDS], float x[INPUTS])
{
    for (int k = 0; k < TAPS; k++) {
        int64_t at = t + (int64_t)(k - AROUND) * STEP;

        at = at < 0 ? 0 : at >= frames ? frames - 1 : at;
        memcpy(x + k * BANDS, logs + at * BANDS, BANDS * sizeof *x);
    }
    memcpy(x + TAPS * BANDS, floors, BANDS * sizeof *x);
}

enum pz_status pz_sounds_listen(const float *samples, int64_t n, float **logp, int64_t *frames)
{
    enum pz_status st = PZ_ERR_NOMEM;
    const int hidden = pz_sounds_hidden(), sizes[4] = {INPUTS, hidden, hidden, PZ_PH_COUNT};
    struct layer l[3] = {{0}};
    const unsigned char *p = pz_sounds_weights();
    float floors[BANDS], x[INPUTS], *logs, *column, *h;
    int64_t f = n / PZ_SOUNDS_HOP;

    *logp = NULL;
    *frames = f;
    logs = pz_calloc((size_t)f * BANDS + 1, sizeof *logs);
    column = pz_calloc((size_t)f + 1, sizeof *column);
    h = pz_calloc((size_t)hidden * 2 + PZ_PH_COUNT, sizeof *h);
    *logp = pz_calloc((size_t)f * PZ_PH_COUNT + 1, sizeof **logp);
    if (!logs || !column || !h || !*logp)
        goto fail;
    for (int i = 0; i < 3; i++) {
        p = unpack(p, sizes[i], sizes[i + 1], &l[i]);
        if (!p)
            goto fail;
    }
    st = PZ_OK;
    if (f == 0)
        goto fail;
    PZ_TRY(band_logs(samples, n, f, logs));
    level(logs, f, column, floors);
    for (int64_t t = 0; t < f; t++) {
        float *second = h + hidden, *last = second + hidden;

        gather(logs, f, t, floors, x);
        apply(&l[0], x, true, h);
        apply(&l[1], h, true, second);
        apply(&l[2], second, false, last);
        log_softmax(last, *logp + t * PZ_PH_COUNT);
    }
fail:
    for (int i = 0; i < 3; i++) {
        pz_free(l[i].w);
        pz_free(l[i].bias);
    }
    pz_free(logs);
    pz_free(column);
    pz_free(h);
    if (st < PZ_OK) {
        pz_free(*logp);
        *logp = NULL;
    }
    return st;
}
