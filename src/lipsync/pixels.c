// Resampling as published. Float sums, one rounding.
#include "lipsync/pixels.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "image/affine.h"
#include "image/warp.h"

#define LANCZOS_TAPS 8

static uint8_t round8(float v)
{
    return v <= 0 ? 0 : v >= 255 ? 255 : (uint8_t)lrintf(v);
}

static int clamp(int v, int lo, int hi)
{
    return v < lo ? lo : v > hi ? hi : v;
}

enum pz_status pz_pixels_region(const struct pz_picture *src, int x0, int y0, int w, int h, bool repeat,
                                uint8_t *out)
{
    struct pz_rgb rgb;
    enum pz_status st = pz_rgb_alloc(&rgb, w, h);
    if (st < PZ_OK)
        return st;
    struct pz_affine shift = {1, 0, (float)x0, 0, 1, (float)y0};
    pz_warp_picture_to_rgb(src, &shift, PZ_FILTER_BILINEAR, PZ_BORDER_REPLICATE, &rgb);
    size_t n = (size_t)w * (size_t)h;
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            size_t i = (size_t)y * (size_t)w + (size_t)x;
            bool inside = x0 + x >= 0 && x0 + x < src->width && y0 + y >= 0 && y0 + y < src->height;
            for (size_t k = 0; k < 3; k++)
                out[i * 3 + k] = inside || repeat ? round8(rgb.data[k * n + i] * 255) : 0;
        }
    pz_rgb_free(&rgb);
    return PZ_OK;
}

/* Eight weights around a position between pixels 3 and 4 of them, `f` in [0,1) behind pixel 3. */
static void lanczos_weights(double f, float out[LANCZOS_TAPS])
{
    double sum = 0, w[LANCZOS_TAPS];
    for (int i = 0; i < LANCZOS_TAPS; i++) {
        double d = f + 3 - i, a = M_PI * d;
        w[i] = fabs(d) < 1e-7 ? 1 : sin(a) * sin(a / 4) * 4 / (a * a);
        sum += w[i];
    }
    for (int i = 0; i < LANCZOS_TAPS; i++)
        out[i] = (float)(w[i] / sum);
}

struct taps {
    int at[LANCZOS_TAPS];
    float weight[LANCZOS_TAPS];
};

/* Taps of each of `side` places of the stretch [a, b], pixels limited to [lo, hi]. */
static void lanczos_taps(float a, float b, int side, int limit, struct taps *t)
{
    int lo = clamp((int)floorf(a), 0, limit - 1), hi = clamp((int)ceilf(b) - 1, lo, limit - 1);
    for (int i = 0; i < side; i++) {
        double x = a + (i + 0.5) * ((double)b - a) / side - 0.5, whole = floor(x);
        lanczos_weights(x - whole, t[i].weight);
        for (int k = 0; k < LANCZOS_TAPS; k++)
            t[i].at[k] = clamp((int)whole - 3 + k, lo, hi);
    }
}

enum pz_status pz_pixels_lanczos4(const uint8_t *src, int w, int h, const float box[4], int side,
                                  uint8_t *out)
{
    if (!(box[2] - box[0] >= 1) || !(box[3] - box[1] >= 1) || !(box[0] < (float)w) || !(box[1] < (float)h) ||
        !(box[2] > 0) || !(box[3] > 0) || side < 1)
        return PZ_ERR_USAGE;
    struct taps *tx = pz_calloc((size_t)side, 2 * sizeof *tx), *ty = tx + side;
    float *rows = pz_calloc((size_t)h, (size_t)side * 3 * sizeof *rows);
    if (!tx || !rows) {
        pz_free(tx);
        pz_free(rows);
        return PZ_ERR_NOMEM;
    }
    lanczos_taps(box[0], box[2], side, w, tx);
    lanczos_taps(box[1], box[3], side, h, ty);
    int from = clamp((int)floorf(box[1]), 0, h - 1), to = clamp((int)ceilf(box[3]), from + 1, h);
    size_t row = (size_t)side * 3;
    for (int y = from; y < to; y++)
        for (int x = 0; x < side; x++)
            for (int c = 0; c < 3; c++) {
                float s = 0;
                for (int k = 0; k < LANCZOS_TAPS; k++)
                    s += tx[x].weight[k] * src[((size_t)y * (size_t)w + (size_t)tx[x].at[k]) * 3 + (size_t)c];
                rows[(size_t)y * row + (size_t)x * 3 + (size_t)c] = s;
            }
    for (int y = 0; y < side; y++)
        for (size_t x = 0; x < row; x++) {
            float s = 0;
            for (int k = 0; k < LANCZOS_TAPS; k++)
                s += ty[y].weight[k] * rows[(size_t)ty[y].at[k] * row + x];
            out[(size_t)y * row + x] = round8(s);
        }
    pz_free(tx);
    pz_free(rows);
    return PZ_OK;
}

void pz_pixels_bilinear(const float *src, int n, int sw, int sh, float *dst, int dw, int dh)
{
    for (int y = 0; y < dh; y++) {
        float v = ((float)y + 0.5f) * (float)sh / (float)dh - 0.5f, fy = v - floorf(v);
        int y0 = clamp((int)floorf(v), 0, sh - 1), y1 = clamp((int)floorf(v) + 1, 0, sh - 1);
        for (int x = 0; x < dw; x++) {
            float u = ((float)x + 0.5f) * (float)sw / (float)dw - 0.5f, fx = u - floorf(u);
            int x0 = clamp((int)floorf(u), 0, sw - 1), x1 = clamp((int)floorf(u) + 1, 0, sw - 1);
            for (int k = 0; k < n; k++) {
                const float *p = src + (size_t)k * (size_t)sw * (size_t)sh;
                const float *a = p + (size_t)y0 * (size_t)sw, *b = p + (size_t)y1 * (size_t)sw;
                float top = a[x0] + fx * (a[x1] - a[x0]), low = b[x0] + fx * (b[x1] - b[x0]);
                dst[((size_t)k * (size_t)dh + (size_t)y) * (size_t)dw + (size_t)x] = top + fy * (low - top);
            }
        }
    }
}

/* ---- resize with a widened filter ---- */

static double filter_at(enum pz_pixels_filter f, double x)
{
    x = fabs(x);
    if (f == PZ_PIXELS_TRIANGLE)
        return x < 1 ? 1 - x : 0;
    if (x < 1)
        return (1.5 * x - 2.5) * x * x + 1;
    return x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
}

/* One direction: `lines` lines of `sn` items, `step` apart, to `dn` items. */
struct line {
    int n, sn, dn;
    size_t step, next; /* between items of a line, between lines */
    size_t dstep, dnext;
    int lines;
};

static enum pz_status resize_lines(const uint8_t *src, const struct line *l, enum pz_pixels_filter f,
                                   uint8_t *dst)
{
    double scale = (double)l->sn / l->dn, wide = fmax(scale, 1),
           support = (f == PZ_PIXELS_TRIANGLE ? 1 : 2) * wide;
    float *w = pz_calloc((size_t)(2 * support) + 4, sizeof *w);
    if (!w)
        return PZ_ERR_NOMEM;
    for (int i = 0; i < l->dn; i++) {
        double centre = (i + 0.5) * scale, sum = 0;
        int lo = clamp((int)(centre - support + 0.5), 0, l->sn - 1);
        int hi = clamp((int)(centre + support + 0.5), lo + 1, l->sn);
        for (int k = lo; k < hi; k++)
            sum += filter_at(f, (k - centre + 0.5) / wide);
        for (int k = lo; k < hi; k++)
            w[k - lo] = (float)(filter_at(f, (k - centre + 0.5) / wide) / sum);
        for (int j = 0; j < l->lines; j++)
            for (int c = 0; c < l->n; c++) {
                const uint8_t *from = src + (size_t)j * l->next + (size_t)c;
                float s = 0;
                for (int k = lo; k < hi; k++)
                    s += w[k - lo] * from[(size_t)k * l->step];
                dst[(size_t)j * l->dnext + (size_t)i * l->dstep + (size_t)c] = round8(s);
            }
    }
    pz_free(w);
    return PZ_OK;
}

enum pz_status pz_pixels_resize(const uint8_t *src, int sw, int sh, int n, enum pz_pixels_filter filter,
                                uint8_t *dst, int dw, int dh)
{
    size_t c = (size_t)n;
    uint8_t *mid = pz_calloc((size_t)sh, (size_t)dw * c);
    if (!mid)
        return PZ_ERR_NOMEM;
    struct line across = {n, sw, dw, c, (size_t)sw * c, c, (size_t)dw * c, sh};
    struct line down = {n, sh, dh, (size_t)dw * c, c, (size_t)dw * c, c, dw};
    enum pz_status st = resize_lines(src, &across, filter, mid);
    if (st >= PZ_OK)
        st = resize_lines(mid, &down, filter, dst);
    pz_free(mid);
    return st;
}

/* ---- blur ---- */

static int mirror(int i, int n)
{
    while (n > 1 && (i < 0 || i >= n))
        i = i < 0 ? -i : 2 * n - 2 - i;
    return n > 1 ? i : 0;
}

static void gaussian(float *w, int k)
{
    static const float small[4][7] = {
        {1},
        {0.25f, 0.5f, 0.25f},
        {0.0625f, 0.25f, 0.375f, 0.25f, 0.0625f},
        {0.03125f, 0.109375f, 0.21875f, 0.28125f, 0.21875f, 0.109375f, 0.03125f}};
    if (k <= 7) { // short kernels are a table of the library
        memcpy(w, small[k / 2], (size_t)k * sizeof *w);
        return;
    }
    double sigma = 0.3 * ((k - 1) * 0.5 - 1) + 0.8, sum = 0;
    for (int i = 0; i < k; i++)
        sum += exp(-0.5 * pow((i - (k - 1) * 0.5) / sigma, 2));
    for (int i = 0; i < k; i++)
        w[i] = (float)(exp(-0.5 * pow((i - (k - 1) * 0.5) / sigma, 2)) / sum);
}

enum pz_status pz_pixels_blur(uint8_t *plane, int w, int h, int k)
{
    size_t n = (size_t)w * (size_t)h;
    float *weight = pz_calloc((size_t)k, sizeof *weight), *mid = pz_calloc(n, sizeof *mid);
    if (!weight || !mid) {
        pz_free(weight);
        pz_free(mid);
        return PZ_ERR_NOMEM;
    }
    gaussian(weight, k);
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            const uint8_t *row = plane + (size_t)y * (size_t)w;
            float s = 0;
            for (int i = 0; i < k; i++)
                s += weight[i] * row[mirror(x + i - k / 2, w)];
            mid[(size_t)y * (size_t)w + (size_t)x] = s;
        }
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            float s = 0;
            for (int i = 0; i < k; i++)
                s += weight[i] * mid[(size_t)mirror(y + i - k / 2, h) * (size_t)w + (size_t)x];
            plane[(size_t)y * (size_t)w + (size_t)x] = round8(s);
        }
    pz_free(weight);
    pz_free(mid);
    return PZ_OK;
}
