// Steady noise out of a chunk of sound: each bin's noise power is the low quantile of its smoothed power over
// the chunk, the gain is the log-spectral amplitude estimator with decision-directed SNR (Ephraim & Malah
// 1985), floored so that no musical noise is made. Music and other voices stay: they are not steady.
#include "speech/quiet.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/order.h"
#include "speech/phones.h"
#include "speech/stft.h"

#define BINS PZ_STFT_BINS
#define QUANTILE 0.2
#define QUANTILE_OF_MEAN 0.72 /* of smoothed noise power, measured on white noise */
#define SMOOTH 0.7f
#define DIRECTED 0.97f
#define GAIN_LEAST 0.15f /* −16 dB */
#define SNR_ENOUGH_DB 22.0

/** Exponential integral E1 (Abramowitz & Stegun 5.1.53 and 5.1.56). */
static float e1(float x)
{
    if (x < 1.0f)
        return -logf(x + 1e-20f) - 0.57721566f +
               x * (0.99999193f +
                    x * (-0.24991055f + x * (0.05519968f + x * (-0.00976004f + x * 0.00107857f))));
    return expf(-x) / x * (x * x + 2.334733f * x + 0.250621f) / (x * x + 3.330657f * x + 1.681534f);
}

struct work {
    struct pz_stft stft;
    float *power, *column; /* [frames][BINS], [frames] */
    float noise[BINS];
    int64_t frames, n;
};

/** Noise power per bin; returns speech over noise in dB. */
static double measure(struct work *w, const float *x)
{
    float spec[2 * BINS];
    double speech = 0.0, noise = 1e-12;

    for (int64_t t = 0; t < w->frames; t++) {
        pz_stft_read(&w->stft, x, w->n, t, spec);
        for (int k = 0; k < BINS; k++)
            w->power[t * BINS + k] = spec[2 * k] * spec[2 * k] + spec[2 * k + 1] * spec[2 * k + 1];
    }
    for (int k = 0; k < BINS; k++) {
        double mean = 0.0;
        float s = w->power[k];

        for (int64_t t = 0; t < w->frames; t++) {
            s = SMOOTH * s + (1.0f - SMOOTH) * w->power[t * BINS + k];
            w->column[t] = s;
            mean += w->power[t * BINS + k];
        }
        qsort(w->column, (size_t)w->frames, sizeof *w->column, pz_by_float);
        w->noise[k] = w->column[(int64_t)((double)w->frames * QUANTILE)] / (float)QUANTILE_OF_MEAN + 1e-12f;
        speech += mean / (double)w->frames;
        noise += w->noise[k];
    }
    return 10.0 * log10(speech / noise);
}

enum pz_status pz_quiet(float *x, int64_t n, double *snr_db)
{
    enum pz_status st = PZ_ERR_NOMEM;
    struct work *w = pz_calloc(1, sizeof *w);
    float *out = NULL, before[BINS] = {0}, spec[2 * BINS], gain[BINS];

    *snr_db = 60.0;
    if (n < PZ_SPEECH_RATE) {
        pz_free(w);
        return PZ_OK;
    }
    if (!w)
        return st;
    w->n = n;
    w->frames = n / PZ_STFT_HOP + 2;
    w->power = pz_calloc((size_t)w->frames * BINS, sizeof *w->power);
    w->column = pz_calloc((size_t)w->frames, sizeof *w->column);
    out = pz_calloc((size_t)n, sizeof *out);
    if (!pz_stft_make(&w->stft) || !w->power || !w->column || !out)
        goto fail;
    st = PZ_OK;
    *snr_db = measure(w, x);
    if (*snr_db >= SNR_ENOUGH_DB)
        goto fail;
    for (int64_t t = 0; t < w->frames; t++) {
        pz_stft_read(&w->stft, x, w->n, t, spec);
        for (int k = 0; k < BINS; k++) {
            float post = w->power[t * BINS + k] / w->noise[k], over = post > 1.0f ? post - 1.0f : 0.0f;
            float prior = DIRECTED * before[k] + (1.0f - DIRECTED) * over, v, g;

            prior = prior < 0.003f ? 0.003f : prior;
            v = prior / (1.0f + prior) * post;
            g = prior / (1.0f + prior) * expf(0.5f * e1(v < 1e-4f ? 1e-4f : v));
            g = g > 1.0f ? 1.0f : g;
            before[k] = g * g * post;
            gain[k] = g < GAIN_LEAST ? GAIN_LEAST : g;
        }
        pz_stft_add(&w->stft, spec, gain, t, out, n);
    }
    memcpy(x, out, (size_t)n * sizeof *x);
fail:
    pz_free(out);
    pz_stft_free(&w->stft);
    pz_free(w->power);
    pz_free(w->column);
    pz_free(w);
    return st;
}
