// Measurements on plain float arrays: energy, zero crossings, loudness (libebur128), long-term spectrum.
// Pitch is in pitch.c.
#include "audio/track.h"

#include <ebur128.h>
#include <math.h>
#include <stdlib.h>

#include "audio/mel.h"
#include "base/mem.h"
#include "base/order.h"

void pz_rms_track(const float *x, int64_t n, int win, int hop, float *out, int64_t n_t)
{
    for (int64_t t = 0; t < n_t; t++) {
        int64_t a = t * hop - win / 2, b = a + win;
        double sum = 0.0;

        for (int64_t i = a < 0 ? 0 : a; i < b && i < n; i++)
            sum += (double)x[i] * x[i];
        out[t] = (float)sqrt(sum / win);
    }
}

double pz_rms(const float *x, int64_t n)
{
    double sum = 0.0;

    if (n <= 0)
        return 0.0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)x[i] * x[i];
    return sqrt(sum / (double)n);
}

/** Does the signal cross zero between i and i+1? */
static bool crosses(const float *x, int64_t n, int64_t i)
{
    return i >= 0 && i + 1 < n && ((x[i] <= 0.0f && x[i + 1] > 0.0f) || (x[i] >= 0.0f && x[i + 1] < 0.0f));
}

int64_t pz_zero_crossing(const float *x, int64_t n, int64_t at, int64_t lo, int64_t hi)
{
    if (lo < 0)
        lo = 0;
    if (hi > n - 1)
        hi = n - 1;
    if (hi < lo)
        return lo;
    if (at < lo)
        at = lo;
    if (at > hi)
        at = hi;
    for (int64_t d = 0; at - d >= lo || at + d <= hi; d++) {
        for (int side = 0; side < 2; side++) {
            int64_t i = side ? at + d : at - d;
            int64_t k;

            if (i < lo || i > hi || !crosses(x, n, i))
                continue;
            k = fabsf(x[i + 1]) < fabsf(x[i]) && i + 1 <= hi ? i + 1 : i;
            return k;
        }
    }
    return at;
}

double pz_loudness(const float *interleaved, int64_t n, int rate, int channels)
{
    double lufs = -70.0, power = 0.0;
    ebur128_state *st;

    if (n < rate / 10 || channels < 1 || rate < 8000)
        return -70.0;
    st = ebur128_init((unsigned)channels, (unsigned long)rate, EBUR128_MODE_I);
    if (!st)
        return -70.0;
    if (n >= (int64_t)rate * 2) {
        if (ebur128_add_frames_float(st, interleaved, (size_t)n) == EBUR128_SUCCESS &&
            ebur128_loudness_global(st, &lufs) == EBUR128_SUCCESS && lufs < -70.0)
            lufs = -70.0;
        ebur128_destroy(&st);
        return isfinite(lufs) ? lufs : -70.0;
    }
    // Shorter than a few gating blocks: one ungated figure over the stretch, to the millisecond.
    ebur128_destroy(&st);
    st = ebur128_init((unsigned)channels, (unsigned long)rate, EBUR128_MODE_S);
    if (!st)
        return -70.0;
    if (ebur128_add_frames_float(st, interleaved, (size_t)n) == EBUR128_SUCCESS &&
        ebur128_loudness_window(st, (unsigned long)((n * 1000) / rate), &power) == EBUR128_SUCCESS)
        lufs = power;
    ebur128_destroy(&st);
    return isfinite(lufs) && lufs > -70.0 ? lufs : -70.0;
}

double pz_ltas_hz(int band)
{
    return 1000.0 * pow(2.0, (band - 11) / 3.0); // 11 = the 1 kHz third octave; 0 = 78.7 Hz
}

/** Add |X|² of one Hann frame into third octaves. */
static void add_bands(const float *spec, int n_fft, int rate, double power[PZ_LTAS_BANDS])
{
    double bin = (double)rate / n_fft;

    for (int b = 0; b < PZ_LTAS_BANDS; b++) {
        double lo = pz_ltas_hz(b) / 1.122462, hi = pz_ltas_hz(b) * 1.122462;
        int a = (int)floor(lo / bin), z = (int)ceil(hi / bin);

        for (int k = a < 1 ? 1 : a; k <= z && k <= n_fft / 2; k++) {
            // Share of this bin's width inside the band, so that narrow low bands are right too.
            double l = (k - 0.5) * bin, h = (k + 0.5) * bin;
            double share = (fmin(h, hi) - fmax(l, lo)) / bin;

            if (share > 0.0)
                power[b] +=
                    share * ((double)spec[2 * k] * spec[2 * k] + (double)spec[2 * k + 1] * spec[2 * k + 1]);
        }
    }
}

enum pz_status pz_ltas(const float *x, int64_t n, int rate, double out_db[PZ_LTAS_BANDS])
{
    enum pz_status st = PZ_ERR_NOMEM;
    int n_fft = rate >= 32000 ? 2048 : 1024, hop = n_fft / 2;
    int64_t n_t = n > n_fft ? 1 + (n - n_fft) / hop : 1, used = 0;
    struct pz_fft *fft = pz_fft_create(n_fft);
    float *frame = pz_calloc((size_t)n_fft, sizeof *frame);
    float *spec = pz_calloc((size_t)n_fft + 2, sizeof *spec);
    float *level = pz_calloc((size_t)n_t, 2 * sizeof *level);
    double power[PZ_LTAS_BANDS] = {0};
    float gate;

    if (!fft || !frame || !spec || !level)
        goto fail;
    for (int64_t t = 0; t < n_t; t++)
        level[t] = (float)pz_rms(x + t * hop, n - t * hop < n_fft ? n - t * hop : n_fft);
    for (int64_t t = 0; t < n_t; t++)
        level[n_t + t] = level[t];
    qsort(level + n_t, (size_t)n_t, sizeof *level, pz_by_float);
    gate = level[n_t + n_t * 9 / 10] * 0.056f; // 25 dB under the loud frames: speech in, pauses out
    for (int64_t t = 0; t < n_t; t++) {
        if (level[t] < gate)
            continue;
        for (int i = 0; i < n_fft; i++) {
            int64_t s = t * hop + i;

            frame[i] = s < n ? x[s] * (float)(0.5 - 0.5 * cos(2.0 * M_PI * i / n_fft)) : 0.0f;
        }
        pz_fft_real(fft, frame, spec);
        add_bands(spec, n_fft, rate, power);
        used++;
    }
    for (int b = 0; b < PZ_LTAS_BANDS; b++) {
        double p = used ? power[b] / ((double)used * n_fft * n_fft * 0.1875) : 0.0;

        out_db[b] = p > 1e-12 && pz_ltas_hz(b) < rate * 0.48 ? 10.0 * log10(p) : -120.0;
    }
    st = PZ_OK;
fail:
    pz_fft_destroy(&fft);
    pz_free(frame);
    pz_free(spec);
    pz_free(level);
    return st;
}
