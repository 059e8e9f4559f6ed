/* Plane filters. Rows are the vector axis everywhere; no recursive (IIR) filters, so results do not depend on
 * tiling. */
#include "image/filter.h"

#include <math.h>
#include <stdlib.h>

#define MAX_RADIUS 121

static int gaussian_taps(float sigma, float *w)
{
    if (sigma > PZ_BLUR_MAX_SIGMA)
        sigma = PZ_BLUR_MAX_SIGMA;
    int r = (int)ceilf(3 * sigma);
    float sum = 0;
    for (int i = 0; i <= r; i++) {
        w[i] = expf(-0.5f * (float)(i * i) / (sigma * sigma));
        sum += i ? 2 * w[i] : w[i];
    }
    for (int i = 0; i <= r; i++)
        w[i] /= sum;
    return r;
}

static void blur_row(const float *s, float *d, int n, const float *w, int r)
{
    int lo = r < n ? r : n, hi = n - r > lo ? n - r : lo;
    for (int x = lo; x < hi; x++)
        d[x] = w[0] * s[x];
    for (int k = 1; k <= r; k++)
        for (int x = lo; x < hi; x++)
            d[x] += w[k] * (s[x - k] + s[x + k]);
    for (int x = 0; x < n; x++) {
        if (x == lo)
            x = hi;
        if (x >= n)
            break;
        float sum = w[0] * s[x];
        for (int k = 1; k <= r; k++)
            sum += w[k] * (s[x - k < 0 ? 0 : x - k] + s[x + k >= n ? n - 1 : x + k]);
        d[x] = sum;
    }
}

void pz_blur_gaussian(float *plane, float *scratch, int w, int h, float sigma)
{
    float tap[MAX_RADIUS + 1];
    if (!(sigma > 0))
        return;
    int r = gaussian_taps(sigma, tap);
    for (int y = 0; y < h; y++)
        blur_row(plane + (size_t)y * w, scratch + (size_t)y * w, w, tap, r);
    for (int y = 0; y < h; y++) {
        float *d = plane + (size_t)y * w;
        const float *s = scratch + (size_t)y * w;
        for (int x = 0; x < w; x++)
            d[x] = tap[0] * s[x];
        for (int k = 1; k <= r; k++) {
            const float *a = scratch + (size_t)(y - k < 0 ? 0 : y - k) * w;
            const float *b = scratch + (size_t)(y + k >= h ? h - 1 : y + k) * w;
            for (int x = 0; x < w; x++)
                d[x] += tap[k] * (a[x] + b[x]);
        }
    }
}

static inline float laplacian_at(const float *p, int stride)
{
    return p[-1] + p[1] + p[-stride] + p[stride] - 4 * p[0];
}

void pz_laplacian(const float *plane, float *out, int w, int h)
{
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            bool edge = x == 0 || y == 0 || x == w - 1 || y == h - 1;
            size_t i = (size_t)y * w + x;
            out[i] = edge ? 0 : laplacian_at(plane + i, w);
        }
}

double pz_laplacian_variance(const float *plane, int stride, int w, int h)
{
    double sum = 0, sq = 0, n = (double)(w - 2) * (h - 2);
    if (w < 3 || h < 3)
        return 0;
    for (int y = 1; y < h - 1; y++)
        for (int x = 1; x < w - 1; x++) {
            double v = laplacian_at(plane + (size_t)y * stride + x, stride);
            sum += v;
            sq += v * v;
        }
    return fmax(0, sq / n - sum / n * (sum / n));
}

double pz_noise_sigma(const float *plane, int stride, int w, int h)
{
    /* A histogram of |response| in steps of 1/16 avoids sorting and allocation; responses above 128 share the
     * last. */
    enum { BINS = 2048 };
    uint32_t bin[BINS] = {0};
    uint64_t n = 0;
    if (w < 3 || h < 3)
        return 0;
    for (int y = 1; y < h - 1; y++)
        for (int x = 1; x < w - 1; x++) {
            const float *p = plane + (size_t)y * stride + x, *a = p - stride, *b = p + stride;
            float v = fabsf(a[-1] + a[1] + b[-1] + b[1] - 2 * (a[0] + b[0] + p[-1] + p[1]) + 4 * p[0]) * 16;
            bin[v < BINS - 1 ? (int)v : BINS - 1]++;
            n++;
        }
    uint64_t keep = n - n / 5, seen = 0;
    double sum = 0;
    for (int i = 0; i < BINS && seen < keep; i++) {
        uint64_t k = bin[i] < keep - seen ? bin[i] : keep - seen;
        sum += (double)k * (i + 0.5) / 16;
        seen += k;
    }
    /* E|x| of a unit normal given |x| below its 80 % point is 0.5586; the mask's norm is 6. */
    return keep ? sum / (double)keep / 0.5586 / 6 : 0;
}
