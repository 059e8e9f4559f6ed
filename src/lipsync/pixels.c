// Resampling as published. Float sums, one rounding.
#include "lipsync/pixels.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "image/color.h"

#define LANCZOS_TAPS 8

static uint8_t round8(float v)
{
    return v <= 0 ? 0 : v >= 255 ? 255 : (uint8_t)lrintf(v);
}

static int clamp(int v, int lo, int hi)
{
    return v < lo ? lo : v > hi ? hi : v;
}

/* The picture's px [x0,x1) × [y0,y1) with those beside them that their chroma needs, from even px `at` on. */
static struct pz_picture part_of(const struct pz_picture *src, int x0, int y0, int x1, int y1, int at[2])
{
    struct pz_picture part = *src;
    at[0] = x0 > 2 ? (x0 - 2) & ~1 : 0;
    at[1] = y0 > 2 ? (y0 - 2) & ~1 : 0;
    part.width = (x1 < src->width - 2 ? x1 + 2 : src->width) - at[0];
    part.height = (y1 < src->height - 2 ? y1 + 2 : src->height) - at[1];
    for (int k = 0; k < 3; k++) {
        int step = k ? 2 : 1;
        part.plane[k] += (size_t)(at[1] / step) * (size_t)src->stride[k] + (size_t)(at[0] / step);
    }
    return part;
}

enum pz_status pz_pixels_region(const struct pz_picture *src, int x0, int y0, int w, int h, bool repeat,
                                uint8_t *out)
{
    int at[2], left = clamp(x0, 0, src->width - 1), top = clamp(y0, 0, src->height - 1);
    struct pz_picture part =
        part_of(src, left, top, clamp(x0 + w, left + 1, src->width), clamp(y0 + h, top + 1, src->height), at);
    struct pz_rgb rgb;
    enum pz_status st = pz_rgb_alloc(&rgb, part.width, part.height);
    if (st < PZ_OK)
        return st;
    pz_picture_to_rgb(&part, &rgb);
    size_t n = (size_t)part.width * (size_t)part.height;
    for (int y = y0; y < y0 + h; y++)
        for (int x = x0; x < x0 + w; x++, out += 3) {
            int i = clamp(x, 0, src->width - 1), j = clamp(y, 0, src->height - 1);
            const float *from = rgb.data + (size_t)(j - at[1]) * (size_t)part.width + (size_t)(i - at[0]);
            for (size_t k = 0; k < 3; k++)
                out[k] = repeat || (i == x && j == y) ? round8(from[k * n] * 255) : 0;
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

/* Two taps of places along a direction. */
static void two_taps(int i, int sn, int dn, int *from, int *to, float *share)
{
    float v = ((float)i + 0.5f) * (float)sn / (float)dn - 0.5f;
    *share = v - floorf(v);
    *from = clamp((int)floorf(v), 0, sn - 1);
    *to = clamp((int)floorf(v) + 1, 0, sn - 1);
}

enum { STRIP = 256 };

/* A strip of columns of one plane: rows are widened once, then blended. */
static void bilinear_strip(const float *p, int sw, int sh, float *dst, int dw, int dh, int x0, int n)
{
    int a[STRIP], b[STRIP], at[2] = {-1, -1};
    float share[STRIP], wide[2][STRIP];
    for (int i = 0; i < n; i++)
        two_taps(x0 + i, sw, dw, &a[i], &b[i], &share[i]);
    for (int y = 0; y < dh; y++) {
        int rows[2];
        float fy, *to = dst + (size_t)y * (size_t)dw + (size_t)x0;
        two_taps(y, sh, dh, &rows[0], &rows[1], &fy);
        for (int k = 0; k < 2; k++) {
            int slot = rows[k] & 1; // neighbours never share one
            const float *from = p + (size_t)rows[k] * (size_t)sw;
            for (int i = 0; i < n && at[slot] != rows[k]; i++)
                wide[slot][i] = from[a[i]] + share[i] * (from[b[i]] - from[a[i]]);
            at[slot] = rows[k];
        }
        const float *top = wide[rows[0] & 1], *low = wide[rows[1] & 1];
        for (int i = 0; i < n; i++)
            to[i] = top[i] + fy * (low[i] - top[i]);
    }
}

void pz_pixels_bilinear(const float *src, int n, int sw, int sh, float *dst, int dw, int dh)
{
    for (int k = 0; k < n; k++)
        for (int x = 0; x < dw; x += STRIP)
            bilinear_strip(src + (size_t)k * (size_t)sw * (size_t)sh, sw, sh,
                           dst + (size_t)k * (size_t)dw * (size_t)dh, dw, dh, x,
                           dw - x < STRIP ? dw - x : STRIP);
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

/* Taps of every place of `dn` over `sn` items: where they begin, how many, their weights [dn][room]. */
struct spread {
    int room, *from, *count;
    float *weight;
};

static void spread_free(struct spread *t)
{
    pz_free(t->from);
    pz_free(t->weight);
}

static enum pz_status spread_make(struct spread *t, int sn, int dn, enum pz_pixels_filter f)
{
    double scale = (double)sn / dn, wide = fmax(scale, 1), support = (f == PZ_PIXELS_TRIANGLE ? 1 : 2) * wide;
    t->room = (int)(2 * support) + 4;
    t->from = pz_calloc((size_t)dn, 2 * sizeof *t->from);
    t->weight = pz_calloc((size_t)dn, (size_t)t->room * sizeof *t->weight);
    if (!t->from || !t->weight)
        return PZ_ERR_NOMEM;
    t->count = t->from + dn;
    for (int i = 0; i < dn; i++) {
        double centre = (i + 0.5) * scale, sum = 0;
        int lo = clamp((int)(centre - support + 0.5), 0, sn - 1);
        int hi = clamp((int)(centre + support + 0.5), lo + 1, sn);
        float *w = t->weight + (size_t)i * (size_t)t->room;
        for (int k = lo; k < hi; k++)
            sum += filter_at(f, (k - centre + 0.5) / wide);
        for (int k = lo; k < hi; k++)
            w[k - lo] = (float)(filter_at(f, (k - centre + 0.5) / wide) / sum);
        t->from[i] = lo;
        t->count[i] = hi - lo;
    }
    return PZ_OK;
}

/* Sum of `n` rows of `w` items by their weights, in bytes. */
static void blend_rows(const uint8_t *const *row, const float *weight, int n, size_t w, float *sum,
                       uint8_t *out)
{
    memset(sum, 0, w * sizeof *sum);
    for (int k = 0; k < n; k++)
        for (size_t x = 0; x < w; x++)
            sum[x] += weight[k] * row[k][x];
    for (size_t x = 0; x < w; x++)
        out[x] = round8(sum[x]);
}

static void across(const struct spread *t, const uint8_t *src, int n, int x0, int w, uint8_t *dst)
{
    for (int i = 0; i < w; i++) {
        const float *weight = t->weight + (size_t)(x0 + i) * (size_t)t->room;
        const uint8_t *from = src + (size_t)t->from[x0 + i] * (size_t)n;
        for (int c = 0; c < n; c++) {
            float s = 0;
            for (int k = 0; k < t->count[x0 + i]; k++)
                s += weight[k] * from[k * n + c];
            dst[i * n + c] = round8(s);
        }
    }
}

enum pz_status pz_pixels_resize_part(const uint8_t *src, int sw, int sh, int n, enum pz_pixels_filter filter,
                                     int dw, int dh, const int part[4], uint8_t *dst)
{
    struct spread x = {0}, y = {0};
    enum pz_status st = PZ_OK;
    int x0 = part[0], y0 = part[1], w = part[2], h = part[3];
    if (x0 < 0 || y0 < 0 || w < 1 || h < 1 || w > dw - x0 || h > dh - y0)
        return PZ_ERR_USAGE;
    size_t row = (size_t)w * (size_t)n;
    uint8_t *mid = pz_calloc((size_t)sh, row);
    float *sum = pz_calloc(row, sizeof *sum);
    const uint8_t **rows = NULL;
    PZ_TRY(spread_make(&x, sw, dw, filter));
    PZ_TRY(spread_make(&y, sh, dh, filter));
    rows = pz_calloc((size_t)y.room, sizeof *rows);
    if (!mid || !sum || !rows) {
        st = PZ_ERR_NOMEM;
        goto fail;
    }
    for (int j = y.from[y0]; j < y.from[y0 + h - 1] + y.count[y0 + h - 1]; j++)
        across(&x, src + (size_t)j * (size_t)sw * (size_t)n, n, x0, w, mid + (size_t)j * row);
    for (int j = 0; j < h; j++) {
        const float *weight = y.weight + (size_t)(y0 + j) * (size_t)y.room;
        for (int k = 0; k < y.count[y0 + j]; k++)
            rows[k] = mid + (size_t)(y.from[y0 + j] + k) * row;
        blend_rows(rows, weight, y.count[y0 + j], row, sum, dst + (size_t)j * row);
    }
fail:
    spread_free(&x);
    spread_free(&y);
    pz_free(rows);
    pz_free(sum);
    pz_free(mid);
    return st;
}

enum pz_status pz_pixels_resize(const uint8_t *src, int sw, int sh, int n, enum pz_pixels_filter filter,
                                uint8_t *dst, int dw, int dh)
{
    return pz_pixels_resize_part(src, sw, sh, n, filter, dw, dh, (const int[4]){0, 0, dw, dh}, dst);
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
    size_t row = (size_t)w, edge = (size_t)(k / 2);
    float *weight = pz_calloc((size_t)k, sizeof *weight), *mid = pz_calloc(row, (size_t)h * sizeof *mid);
    float *wide = pz_calloc(row + 2 * edge, sizeof *wide), *sum = pz_calloc(row, sizeof *sum);
    enum pz_status st = weight && mid && wide && sum ? PZ_OK : PZ_ERR_NOMEM;
    if (st >= PZ_OK)
        gaussian(weight, k);
    for (int y = 0; y < h && st >= PZ_OK; y++) { // a row with its mirrored ends, tap by tap
        const uint8_t *from = plane + (size_t)y * row;
        float *to = mid + (size_t)y * row;
        for (size_t x = 0; x < row + 2 * edge; x++)
            wide[x] = from[mirror((int)x - (int)edge, w)];
        for (int i = 0; i < k; i++)
            for (size_t x = 0; x < row; x++)
                to[x] += weight[i] * wide[x + (size_t)i];
    }
    for (int y = 0; y < h && st >= PZ_OK; y++) {
        memset(sum, 0, row * sizeof *sum);
        for (int i = 0; i < k; i++) {
            const float *from = mid + (size_t)mirror(y + i - (int)edge, h) * row;
            for (size_t x = 0; x < row; x++)
                sum[x] += weight[i] * from[x];
        }
        for (size_t x = 0; x < row; x++)
            plane[(size_t)y * row + x] = round8(sum[x]);
    }
    pz_free(weight);
    pz_free(mid);
    pz_free(wide);
    pz_free(sum);
    return st;
}
