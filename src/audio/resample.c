// Resampling of whole stretches: Kaiser-windowed sinc evaluated per output sample from a polyphase table. No
// streaming: callers that stream cut with margins. Source: Smith, "Digital audio resampling" (CCRMA).
#include <math.h>

#include "audio/shape.h"
#include "base/mem.h"

#define ZEROS 24 /* zero crossings each side of the kernel */
#define BETA 9.0 /* Kaiser: > 80 dB stop band */
#define MAX_PHASES 4096

static double bessel_i0(double x)
{
    double sum = 1.0, term = 1.0;

    for (int k = 1; k < 60 && term > 1e-14 * sum; k++) {
        term *= (x / (2.0 * k)) * (x / (2.0 * k));
        sum += term;
    }
    return sum;
}

static int gcd(int a, int b)
{
    while (b) {
        int t = a % b;

        a = b;
        b = t;
    }
    return a;
}

/** Kernel at distance d input samples, cut at `fc` of the input Nyquist. */
static double kernel(double d, double fc, double half)
{
    double u = d / half, w, s = M_PI * d * fc;

    if (fabs(u) >= 1.0)
        return 0.0;
    w = bessel_i0(BETA * sqrt(1.0 - u * u)) / bessel_i0(BETA);
    return w * fc * (fabs(s) < 1e-9 ? 1.0 : sin(s) / s);
}

enum pz_status pz_resample(const float *x, int64_t n, int from, int to, float **out, int64_t *n_out)
{
    int g, up, down, phases, taps;
    double fc, half;
    float *table = NULL, *y = NULL;

    *out = NULL;
    *n_out = 0;
    if (from < 1000 || to < 1000 || from > 768000 || to > 768000 || n < 0 || n > INT64_MAX / to)
        return PZ_ERR_USAGE;
    g = gcd(from, to);
    up = to / g;
    down = from / g;
    fc = to < from ? 0.94 * to / from : 0.94;
    if (up == down)
        fc = 1.0;
    half = ZEROS / fc;
    taps = 2 * (int)ceil(half) + 1;
    phases = up <= MAX_PHASES
                 ? up
                 : MAX_PHASES; // odd ratios: nearest of 4096 phases, −90 dB of jitter noise at worst
    *n_out = (n * up + down - 1) / down;
    y = pz_calloc((size_t)*n_out + 1, sizeof *y);
    table = pz_calloc((size_t)phases, (size_t)taps * sizeof *table);
    if (!y || !table) {
        pz_free(y);
        pz_free(table);
        return PZ_ERR_NOMEM;
    }
    for (int p = 0; p < phases; p++)
        for (int k = 0; k < taps; k++)
            table[(size_t)p * (size_t)taps + (size_t)k] =
                (float)(up == down ? (k == taps / 2) : kernel(k - taps / 2 - (double)p / phases, fc, half));
    for (int64_t i = 0; i < *n_out; i++) {
        int64_t whole = i * down / up, rest = i * down % up, a;
        int64_t phase = phases == up ? rest : rest * phases / up;
        const float *h = table + (size_t)phase * (size_t)taps;
        double sum = 0.0;

        a = whole - taps / 2;
        for (int k = a < 0 ? (int)-a : 0; k < taps && a + k < n; k++)
            sum += (double)h[k] * x[a + k];
        y[i] = (float)sum;
    }
    pz_free(table);
    *out = y;
    return PZ_OK;
}
