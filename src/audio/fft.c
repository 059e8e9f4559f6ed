// Real FFT of power-of-two length: radix-2 complex transform of half length, then the usual untangling. No
// other lengths; mel.c has a table for those. Source: Cooley & Tukey 1965; Sorensen et al. 1987 for the real
// split.
#include <math.h>
#include <string.h>

#include "audio/mel.h"
#include "base/mem.h"

struct pz_fft {
    int n, half;
    uint16_t *rev;  /* [half] bit-reversed index */
    float *twiddle; /* [half/2][2] e^(−2πik/half) */
    float *untwist; /* [half/2+1][2] e^(−2πik/n) */
};

struct pz_fft *pz_fft_create(int n)
{
    struct pz_fft *f;
    int bits = 0;

    if (n < 4 || n > 65536 || (n & (n - 1)))
        return NULL;
    f = pz_calloc(1, sizeof *f);
    if (!f)
        return NULL;
    f->n = n;
    f->half = n / 2;
    f->rev = pz_calloc((size_t)f->half, sizeof *f->rev);
    f->twiddle = pz_calloc((size_t)f->half, sizeof *f->twiddle);
    f->untwist = pz_calloc((size_t)f->half + 2, sizeof *f->untwist);
    if (!f->rev || !f->twiddle || !f->untwist) {
        pz_fft_destroy(&f);
        return NULL;
    }
    while ((1 << bits) < f->half)
        bits++;
    for (int i = 0; i < f->half; i++)
        for (int b = 0; b < bits; b++)
            if (i & (1 << b))
                f->rev[i] = (uint16_t)(f->rev[i] | 1 << (bits - 1 - b));
    for (int k = 0; k < f->half / 2; k++) {
        f->twiddle[2 * k] = (float)cos(2.0 * M_PI * k / f->half);
        f->twiddle[2 * k + 1] = (float)-sin(2.0 * M_PI * k / f->half);
    }
    for (int k = 0; k <= f->half / 2; k++) {
        f->untwist[2 * k] = (float)cos(2.0 * M_PI * k / n);
        f->untwist[2 * k + 1] = (float)-sin(2.0 * M_PI * k / n);
    }
    return f;
}

void pz_fft_destroy(struct pz_fft **f)
{
    if (!*f)
        return;
    pz_free((*f)->rev);
    pz_free((*f)->twiddle);
    pz_free((*f)->untwist);
    pz_free(*f);
    *f = NULL;
}

/** In-place butterflies over bit-reversed data z [half][2]. */
static void butterflies(const struct pz_fft *f, float *z)
{
    for (int len = 2; len <= f->half; len *= 2) {
        int step = f->half / len;

        for (int base = 0; base < f->half; base += len) {
            for (int k = 0; k < len / 2; k++) {
                float wr = f->twiddle[2 * k * step], wi = f->twiddle[2 * k * step + 1];
                float *a = z + 2 * (base + k), *b = a + len;
                float tr = b[0] * wr - b[1] * wi, ti = b[0] * wi + b[1] * wr;

                b[0] = a[0] - tr;
                b[1] = a[1] - ti;
                a[0] += tr;
                a[1] += ti;
            }
        }
    }
}

void pz_fft_real(const struct pz_fft *f, const float *in, float *out)
{
    int h = f->half;
    float r0, i0;

    for (int i = 0; i < h; i++) {
        out[2 * f->rev[i]] = in[2 * i];
        out[2 * f->rev[i] + 1] = in[2 * i + 1];
    }
    butterflies(f, out);
    r0 = out[0];
    i0 = out[1];
    for (int k = 1; k <= h / 2; k++) {
        float *p = out + 2 * k, *q = out + 2 * (h - k);
        float er = 0.5f * (p[0] + q[0]), ei = 0.5f * (p[1] - q[1]);
        float dr = 0.5f * (p[1] + q[1]), di = -0.5f * (p[0] - q[0]);
        float wr = f->untwist[2 * k], wi = f->untwist[2 * k + 1];
        float tr = dr * wr - di * wi, ti = dr * wi + di * wr;

        p[0] = er + tr;
        p[1] = ei + ti;
        q[0] = er - tr;
        q[1] = -(ei - ti);
    }
    out[0] = r0 + i0;
    out[1] = 0.0f;
    out[2 * h] = r0 - i0;
    out[2 * h + 1] = 0.0f;
}

void pz_fft_real_inverse(const struct pz_fft *f, const float *in, float *out)
{
    int h = f->half;
    float scale = 1.0f / (float)h;

    // Tangle back to the half-length spectrum, conjugated so that the forward butterflies invert it.
    for (int k = 0; k < h; k++) {
        const float *p = in + 2 * k, *q = in + 2 * (h - k);
        int m = k <= h / 2 ? k : h - k;
        float wr = k <= h / 2 ? f->untwist[2 * m] : -f->untwist[2 * m];
        float wi = f->untwist[2 * m + 1];
        float er = 0.5f * (p[0] + q[0]), ei = 0.5f * (p[1] - q[1]);
        float tr = 0.5f * (p[0] - q[0]), ti = 0.5f * (p[1] + q[1]);
        float dr = tr * wr + ti * wi, di = ti * wr - tr * wi; // times conj(w)
        int at = f->rev[k];

        out[2 * at] = er - di;
        out[2 * at + 1] = -(ei + dr);
    }
    butterflies(f, out);
    for (int i = 0; i < h; i++) {
        out[2 * i] *= scale;
        out[2 * i + 1] *= -scale;
    }
}
