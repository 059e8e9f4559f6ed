/* Resamplings and mask filters as published pipelines have them. Knows nothing of colours or faces. */
#include "image/resample.h"

#include <math.h>

#include "base/mem.h"

#define MAX_SIDE 8192
#define PI 3.14159265358979323846

/* One axis: output i is the sum of `taps` weighted inputs from index first[i] on (clamped to the edge). */
struct axis {
    int in, out, taps;
    int *first;
    float *weight; /* [out][taps] */
};

struct pz_resample {
    struct axis x, y;
};

static double lanczos4(double d)
{
    if (fabs(d) < 1e-7)
        return 1;
    return fabs(d) >= 4 ? 0 : sin(PI * d) * sin(PI * d / 4) / (PI * d * PI * d / 4);
}

static double cubic(double d)
{
    const double a = -0.5;
    d = fabs(d);
    if (d < 1)
        return ((a + 2) * d - (a + 3)) * d * d + 1;
    return d < 2 ? ((a * d - 5 * a) * d + 8 * a) * d - 4 * a : 0;
}

/* Weights of output `i`, summing to 1. */
static void weigh(struct axis *a, enum pz_resample_kind kind, int i)
{
    double scale = (double)a->in / a->out, sum = 0;
    float *w = a->weight + (size_t)i * (size_t)a->taps;
    int n = a->taps;
    if (kind == PZ_RESAMPLE_LANCZOS4) {
        double at = (i + 0.5) * scale - 0.5;
        a->first[i] = (int)floor(at) - 3;
        for (int k = 0; k < n; k++)
            sum += w[k] = (float)lanczos4(at - a->first[i] - k);
    } else {
        double wide = scale > 1 ? scale : 1, centre = (i + 0.5) * scale;
        int lo = (int)(centre - 2 * wide + 0.5), hi = (int)(centre + 2 * wide + 0.5);
        lo = centre - 2 * wide + 0.5 < 0 ? 0 : lo;
        hi = hi > a->in ? a->in : hi;
        a->first[i] = lo;
        for (int k = 0; k < n; k++)
            sum += w[k] = lo + k < hi ? (float)cubic((lo + k - centre + 0.5) / wide) : 0;
    }
    for (int k = 0; k < n; k++)
        w[k] = (float)(w[k] / sum);
}

static bool make_axis(struct axis *a, enum pz_resample_kind kind, int in, int out)
{
    double scale = (double)in / out;
    a->in = in;
    a->out = out;
    a->taps = kind == PZ_RESAMPLE_LANCZOS4 ? 8 : 2 * (int)ceil(2 * fmax(scale, 1)) + 1;
    a->first = pz_calloc((size_t)out, sizeof *a->first);
    a->weight = pz_calloc((size_t)out, (size_t)a->taps * sizeof *a->weight);
    for (int i = 0; a->first && a->weight && i < out; i++)
        weigh(a, kind, i);
    return a->first && a->weight;
}

struct pz_resample *pz_resample_create(enum pz_resample_kind kind, int sw, int sh, int dw, int dh)
{
    const int side[4] = {sw, sh, dw, dh};
    for (int i = 0; i < 4; i++)
        if (side[i] < 1 || side[i] > MAX_SIDE)
            return NULL;
    struct pz_resample *r = pz_calloc(1, sizeof *r);
    if (r && (!make_axis(&r->x, kind, sw, dw) || !make_axis(&r->y, kind, sh, dh)))
        pz_resample_destroy(&r);
    return r;
}

void pz_resample_destroy(struct pz_resample **r)
{
    if (!*r)
        return;
    struct axis *a[2] = {&(*r)->x, &(*r)->y};
    for (int i = 0; i < 2; i++) {
        pz_free(a[i]->first);
        pz_free(a[i]->weight);
    }
    pz_free(*r);
    *r = NULL;
}

size_t pz_resample_scratch(const struct pz_resample *r)
{
    return (size_t)r->y.in * (size_t)r->x.out;
}

static int clamp(int i, int n)
{
    return i < 0 ? 0 : i >= n ? n - 1 : i;
}

void pz_resample_run(const struct pz_resample *r, const float *src, float *scratch, float *dst)
{
    const struct axis *x = &r->x, *y = &r->y;
    size_t sw = (size_t)x->in, dw = (size_t)x->out;
    for (size_t row = 0; row < (size_t)y->in; row++)
        for (size_t i = 0; i < dw; i++) {
            const float *w = x->weight + i * (size_t)x->taps, *from = src + row * sw;
            int first = x->first[i];
            float sum = 0;
            if (first >= 0 && first + x->taps <= x->in)
                for (int k = 0; k < x->taps; k++)
                    sum += w[k] * from[first + k];
            else
                for (int k = 0; k < x->taps; k++)
                    sum += w[k] * from[clamp(first + k, x->in)];
            scratch[row * dw + i] = sum;
        }
    for (size_t row = 0; row < (size_t)y->out; row++) {
        const float *w = y->weight + row * (size_t)y->taps;
        float *to = dst + row * dw;
        for (size_t i = 0; i < dw; i++)
            to[i] = 0;
        for (int k = 0; k < y->taps; k++) {
            const float *from = scratch + (size_t)clamp(y->first[row] + k, y->in) * dw;
            for (size_t i = 0; i < dw; i++)
                to[i] += w[k] * from[i];
        }
    }
}

void pz_erode_box(float *plane, float *scratch, int w, int h, int k)
{
    int lo = -(k / 2), hi = k - 1 - k / 2;
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            float least = plane[(size_t)y * (size_t)w + (size_t)x];
            for (int i = x + lo < 0 ? 0 : x + lo; i <= x + hi && i < w; i++)
                least = fminf(least, plane[(size_t)y * (size_t)w + (size_t)i]);
            scratch[(size_t)y * (size_t)w + (size_t)x] = least;
        }
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            float least = scratch[(size_t)y * (size_t)w + (size_t)x];
            for (int i = y + lo < 0 ? 0 : y + lo; i <= y + hi && i < h; i++)
                least = fminf(least, scratch[(size_t)i * (size_t)w + (size_t)x]);
            plane[(size_t)y * (size_t)w + (size_t)x] = least;
        }
}

static int mirror(int i, int n)
{
    if (n == 1)
        return 0;
    i = i < 0 ? -i : i;
    return i >= n ? 2 * (n - 1) - i : i;
}

void pz_gauss_taps(float *plane, float *scratch, int w, int h, int k, float sigma)
{
    float tap[255], sum = 0;
    int r = k / 2;
    for (int i = 0; i < k; i++)
        sum += tap[i] = expf(-(float)((i - r) * (i - r)) / (2 * sigma * sigma));
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            float v = 0;
            for (int i = 0; i < k; i++)
                v += tap[i] * plane[(size_t)y * (size_t)w + (size_t)mirror(x + i - r, w)];
            scratch[(size_t)y * (size_t)w + (size_t)x] = v / sum;
        }
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            float v = 0;
            for (int i = 0; i < k; i++)
                v += tap[i] * scratch[(size_t)mirror(y + i - r, h) * (size_t)w + (size_t)x];
            plane[(size_t)y * (size_t)w + (size_t)x] = v / sum;
        }
}
