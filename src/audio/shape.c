// Changing sound: stretch (libsonic), pitch (TD-PSOLA), equaliser (linear-phase FIR by frequency sampling),
// cross-fades. Source for PSOLA: Moulines & Charpentier, "Pitch-synchronous waveform processing techniques",
// Speech Communication 9 (1990).
#include "audio/shape.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <sonic.h>

#include "audio/mel.h"
#include "base/mem.h"

enum pz_status pz_stretch(const float *x, int64_t n, int rate, double factor, float **out, int64_t *n_out)
{
    enum pz_status st = PZ_ERR_NOMEM;
    int tail = rate / 20; // silence that pushes the last period through
    int64_t want = llrint((double)n * factor), got = 0;
    sonicStream s = NULL;
    float *in = NULL, *y = NULL;

    *out = NULL;
    *n_out = 0;
    if (n < 1 || n > 600 * (int64_t)rate || factor < 0.5 || factor > 2.0 || rate < 8000)
        return PZ_ERR_USAGE;
    in = pz_calloc((size_t)(n + tail), sizeof *in);
    y = pz_calloc((size_t)want + (size_t)rate, sizeof *y);
    s = sonicCreateStream(rate, 1);
    if (!in || !y || !s)
        goto fail;
    memcpy(in, x, (size_t)n * sizeof *in);
    for (int64_t i = 0; i < n; i++) // sonic works on 16 bits and wraps beyond ±1
        in[i] = in[i] > 0.999f ? 0.999f : in[i] < -0.999f ? -0.999f : in[i];
    sonicSetSpeed(s, (float)(1.0 / factor));
    sonicSetQuality(s, 1);
    if (!sonicWriteFloatToStream(s, in, (int)(n + tail)) || !sonicFlushStream(s))
        goto fail;
    while (got < want + rate) {
        int k = sonicReadFloatFromStream(s, y + got, (int)(want + rate - got));

        if (k <= 0)
            break;
        got += k;
    }
    if (got < want / 2) {
        st = PZ_ERR_INTERNAL;
        goto fail;
    }
    if (got < want)
        memset(y + got, 0, (size_t)(want - got) * sizeof *y);
    sonicDestroyStream(s);
    pz_free(in);
    *out = y;
    *n_out = want;
    return PZ_OK;
fail:
    if (s)
        sonicDestroyStream(s);
    pz_free(in);
    pz_free(y);
    return st;
}

/** Pitch of the track at a sample, 0 = unvoiced. */
static float pitch_at(const struct pz_pitch *track, int64_t n_t, int hop, int64_t i)
{
    int64_t t = (i + hop / 2) / hop;

    return t >= 0 && t < n_t ? track[t].hz : 0.0f;
}

static float target_at(const float *target, int64_t n_t, int hop, int64_t i)
{
    int64_t t = i / hop;
    float u = (float)(i % hop) / (float)hop;

    if (t + 1 >= n_t)
        return n_t ? target[n_t - 1] : 0.0f;
    if (target[t] <= 0.0f || target[t + 1] <= 0.0f)
        return u < 0.5f ? target[t] : target[t + 1];
    return target[t] + u * (target[t + 1] - target[t]);
}

/** Largest |x| in [a, b). */
static int64_t peak(const float *x, int64_t a, int64_t b, float sign)
{
    int64_t best = a;

    for (int64_t i = a; i < b; i++)
        if (sign * x[i] > sign * x[best])
            best = i;
    return best;
}

/** Pitch marks of one voiced stretch [a, b): peaks one period apart. Returns how many. */
static int64_t marks_of(const float *x, int64_t n, int rate, const struct pz_pitch *track, int64_t n_t,
                        int hop, int64_t a, int64_t b, float sign, int64_t *marks, int64_t cap)
{
    int64_t count = 0, at = a;
    float hz = pitch_at(track, n_t, hop, a);
    int64_t period = (int64_t)((float)rate / (hz > 0.0f ? hz : 100.0f));

    at = peak(x, a, a + period < b ? a + period : b, sign);
    while (at < b && count < cap) {
        int64_t lo, hi;

        marks[count++] = at;
        hz = pitch_at(track, n_t, hop, at);
        if (hz > 0.0f)
            period = (int64_t)((float)rate / hz);
        lo = at + period * 4 / 5;
        hi = at + period * 6 / 5 + 1;
        if (hi > n)
            hi = n;
        if (lo >= hi || lo >= b)
            break;
        at = peak(x, lo, hi, sign);
    }
    return count;
}

/** Overlap-add one two-period grain of x around mark m at position `to`. */
static void grain(const float *x, int64_t n, int64_t m, int64_t half, int64_t to, float *sum, float *weight)
{
    for (int64_t k = -half; k <= half; k++) {
        int64_t src = m + k, dst = to + k;
        float w;

        if (src < 0 || src >= n || dst < 0 || dst >= n)
            continue;
        w = 0.5f + 0.5f * (float)cos(M_PI * (double)k / (double)(half + 1));
        sum[dst] += w * x[src];
        weight[dst] += w;
    }
}

/** One voiced stretch. */
static void resynth(const float *x, int64_t n, int rate, int64_t a, int64_t b, const int64_t *marks,
                    int64_t n_marks, const float *target, int64_t n_t, int hop, float *sum, float *weight)
{
    int64_t k = 0;
    double pos = (double)marks[0];

    while (pos < (double)b) {
        int64_t at = (int64_t)llrint(pos), own;
        float hz = target_at(target, n_t, hop, at);
        double step;

        while (k + 1 < n_marks && llabs(marks[k + 1] - at) <= llabs(marks[k] - at))
            k++;
        own = k + 1 < n_marks ? marks[k + 1] - marks[k] : k > 0 ? marks[k] - marks[k - 1] : rate / 100;
        step = hz > 0.0f ? (double)rate / hz : (double)own;
        if (at >= a)
            grain(x, n, marks[k], own, at, sum, weight);
        pos += step;
    }
}

enum pz_status pz_psola(const float *x, int64_t n, int rate, const struct pz_pitch *track, int64_t n_t,
                        int hop, const float *target_hz, float *out)
{
    enum pz_status st = PZ_ERR_NOMEM;
    int64_t cap = n / (rate / 1000) + 16, fade = rate / 200;
    int64_t *marks = pz_calloc((size_t)cap, sizeof *marks);
    float *sum = pz_calloc((size_t)n + 1, sizeof *sum), *weight = pz_calloc((size_t)n + 1, sizeof *weight);
    float top = 0.0f, bottom = 0.0f, sign;

    if (!marks || !sum || !weight)
        goto fail;
    for (int64_t i = 0; i < n; i++) {
        top = x[i] > top ? x[i] : top;
        bottom = x[i] < bottom ? x[i] : bottom;
    }
    sign = top >= -bottom ? 1.0f : -1.0f; // glottal peaks point one way
    memcpy(out, x, (size_t)n * sizeof *out);
    for (int64_t t = 0; t < n_t;) {
        int64_t t1 = t, a, b, count;

        while (t1 < n_t && track[t1].hz > 0.0f && target_hz[t1] > 0.0f)
            t1++;
        if (t1 - t < 3) {
            t = t1 + 1;
            continue;
        }
        a = t * hop;
        b = t1 * hop < n ? t1 * hop : n;
        count = marks_of(x, n, rate, track, n_t, hop, a, b, sign, marks, cap);
        if (count >= 2) {
            resynth(x, n, rate, a, b, marks, count, target_hz, n_t, hop, sum, weight);
            for (int64_t i = a; i < b; i++) {
                float in = (float)(i - a) / (float)fade, end = (float)(b - 1 - i) / (float)fade;
                float u = fminf(1.0f, fminf(in, end));

                if (weight[i] > 0.05f)
                    out[i] = x[i] + u * (sum[i] / weight[i] - x[i]);
            }
        }
        t = t1 + 1;
    }
    st = PZ_OK;
fail:
    pz_free(marks);
    pz_free(sum);
    pz_free(weight);
    return st;
}

enum pz_status pz_eq_apply(float *x, int64_t n, int rate, const double gain_db[PZ_LTAS_BANDS])
{
    enum { N = 2048, HALF = 512, LANES = 16 }; // LANES: samples made side by side, as vectors
    enum pz_status st = PZ_ERR_NOMEM;
    struct pz_fft *fft = pz_fft_create(N);
    float *spec = pz_calloc(N + 2, sizeof *spec), *h = pz_calloc(N, sizeof *h);
    double *copy = pz_calloc((size_t)n + 2 * HALF + LANES, sizeof *copy); // silence at both ends

    if (!fft || !spec || !h || !copy)
        goto fail;
    for (int k = 0; k <= N / 2; k++) {
        double hz = (double)k * rate / N, pos = hz > 0.0 ? 3.0 * log2(hz / 1000.0) + 11.0 : -1.0, u;
        int b;

        pos = fmax(0.0, fmin(PZ_LTAS_BANDS - 1.0, pos));
        b = (int)pos;
        if (b > PZ_LTAS_BANDS - 2)
            b = PZ_LTAS_BANDS - 2;
        u = 0.5 - 0.5 * cos(M_PI * (pos - b));
        spec[2 * k] = (float)pow(10.0, (gain_db[b] + u * (gain_db[b + 1] - gain_db[b])) / 20.0);
    }
    pz_fft_real_inverse(fft, spec, h);
    for (int i = -HALF; i <= HALF; i++) // Hann-windowed to ±HALF: smooth in frequency, no long ringing
        spec[i + HALF] = h[(i + N) % N] * (float)(0.5 + 0.5 * cos(M_PI * i / (HALF + 1)));
    for (int64_t i = 0; i < n; i++)
        copy[HALF + i] = x[i];
    for (int64_t i = 0; i < n; i += LANES) {
        double sum[LANES] = {0};

        for (int k = 0; k <= 2 * HALF; k++) {
            double tap = spec[2 * HALF - k];

            for (int l = 0; l < LANES; l++)
                sum[l] += copy[i + k + l] * tap;
        }
        for (int l = 0; l < LANES && i + l < n; l++)
            x[i + l] = (float)sum[l];
    }
    st = PZ_OK;
fail:
    pz_fft_destroy(&fft);
    pz_free(spec);
    pz_free(h);
    pz_free(copy);
    return st;
}

void pz_fade_gains(double u, float *out_gain, float *in_gain)
{
    u = u < 0.0 ? 0.0 : u > 1.0 ? 1.0 : u;
    *out_gain = (float)cos(u * M_PI / 2.0);
    *in_gain = (float)sin(u * M_PI / 2.0);
}

void pz_crossfade(const float *a, const float *b, float *out, int64_t n, int channels)
{
    for (int64_t i = 0; i < n; i++) {
        float ga, gb;

        pz_fade_gains(((double)i + 0.5) / (double)n, &ga, &gb);
        for (int c = 0; c < channels; c++)
            out[i * channels + c] = ga * a[i * channels + c] + gb * b[i * channels + c];
    }
}
