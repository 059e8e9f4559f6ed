/* Separable resizing with tabulated taps. The filter is stretched by the shrink factor, as Pillow and swscale
 * do. */
#include <math.h>

#include "base/mem.h"
#include "image/warp.h"

#define PI 3.14159265358979323846

static double kernel(enum pz_filter f, double x)
{
    x = fabs(x);
    switch (f) {
    case PZ_FILTER_BILINEAR:
        return x < 1 ? 1 - x : 0;
    case PZ_FILTER_CUBIC:
        if (x < 1)
            return (1.5 * x - 2.5) * x * x + 1;
        return x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
    case PZ_FILTER_LANCZOS3:
        if (x < 1e-9)
            return 1;
        return x < 3 ? sin(PI * x) / (PI * x) * sin(PI * x / 3) / (PI * x / 3) : 0;
    }
    return 0;
}

/** Taps of one axis: output i reads sources first[i] .. first[i]+taps-1 (clamped by the reader). */
struct axis {
    int *first;
    float *weight; /**< [n][taps], each row sums to 1 */
    int taps;
};

static enum pz_status axis_build(int src, int dst, enum pz_filter f, struct axis *a)
{
    static const double radius[3] = {1, 2, 3};
    double ratio = (double)src / dst, stretch = ratio > 1 ? ratio : 1, r = radius[f] * stretch;
    a->taps = (int)ceil(2 * r) + 1;
    a->first = pz_calloc((size_t)dst, sizeof *a->first);
    a->weight = pz_calloc((size_t)dst * a->taps, sizeof *a->weight);
    if (!a->first || !a->weight)
        return PZ_ERR_NOMEM;
    for (int i = 0; i < dst; i++) {
        double c = (i + 0.5) * ratio - 0.5, sum = 0;
        float *w = a->weight + (size_t)i * a->taps;
        a->first[i] = (int)floor(c - r) + 1;
        for (int k = 0; k < a->taps; k++)
            sum += kernel(f, (a->first[i] + k - c) / stretch);
        for (int k = 0; k < a->taps; k++)
            w[k] = (float)(kernel(f, (a->first[i] + k - c) / stretch) / sum);
    }
    return PZ_OK;
}

static void axis_free(struct axis *a)
{
    pz_free(a->first);
    pz_free(a->weight);
}

static inline int clamp_index(int i, int n)
{
    return i < 0 ? 0 : i >= n ? n - 1 : i;
}

static void rows_pass(const float *src, int sw, int h, const struct axis *a, float *dst, int dw)
{
    for (int y = 0; y < h; y++)
        for (int x = 0; x < dw; x++) {
            const float *w = a->weight + (size_t)x * a->taps, *s = src + (size_t)y * sw;
            float sum = 0;
            for (int k = 0; k < a->taps; k++)
                sum += w[k] * s[clamp_index(a->first[x] + k, sw)];
            dst[(size_t)y * dw + x] = sum;
        }
}

static void columns_pass(const float *src, int w, int sh, const struct axis *a, float *dst, int dh)
{
    for (int y = 0; y < dh; y++) {
        float *d = dst + (size_t)y * w;
        for (int x = 0; x < w; x++)
            d[x] = 0;
        for (int k = 0; k < a->taps; k++) {
            const float *s = src + (size_t)clamp_index(a->first[y] + k, sh) * w;
            float wk = a->weight[(size_t)y * a->taps + k];
            for (int x = 0; x < w; x++)
                d[x] += wk * s[x];
        }
    }
}

enum pz_status pz_plane_resize(const float *src, int sw, int sh, float *dst, int dw, int dh,
                               enum pz_filter filter)
{
    enum pz_status st = PZ_ERR_USAGE;
    struct axis ax = {0}, ay = {0};
    float *mid = NULL;
    const int max = PZ_PICTURE_MAX_SIDE;
    if (sw < 1 || sh < 1 || dw < 1 || dh < 1 || sw > max || sh > max || dw > max || dh > max ||
        (unsigned)filter > PZ_FILTER_LANCZOS3)
        return st;
    PZ_TRY(axis_build(sw, dw, filter, &ax));
    PZ_TRY(axis_build(sh, dh, filter, &ay));
    mid = pz_calloc((size_t)dw * sh, sizeof *mid);
    st = mid ? PZ_OK : PZ_ERR_NOMEM;
    PZ_TRY(st);
    rows_pass(src, sw, sh, &ax, mid, dw);
    columns_pass(mid, dw, sh, &ay, dst, dh);
fail:
    axis_free(&ax);
    axis_free(&ay);
    pz_free(mid);
    return st;
}

enum pz_status pz_rgb_resize(const struct pz_rgb *src, struct pz_rgb *dst, enum pz_filter filter)
{
    size_t ns = (size_t)src->width * src->height, nd = (size_t)dst->width * dst->height;
    for (int k = 0; k < 3; k++) {
        enum pz_status st = pz_plane_resize(src->data + k * ns, src->width, src->height, dst->data + k * nd,
                                            dst->width, dst->height, filter);
        if (st < PZ_OK)
            return st;
    }
    return PZ_OK;
}
