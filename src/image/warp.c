/* Affine warps of byte and float planes. Catmull-Rom weights are computed four at a time with GCC vectors,
 * which plain C targets lower by themselves. Bilinear rows gather eight samples at a time where the processor
 * has AVX2; there every sample goes through the same operations in the same order as one by one (and no
 * multiplication is fused with an addition), so that the result is the same to the bit. Does not do
 * projective or mesh warps. Kernel: Keys 1981, a = -1/2. */
#include "image/warp.h"

#include <math.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "image/color.h"

typedef float v4 __attribute__((vector_size(16)));
typedef uint8_t b4 __attribute__((vector_size(4)));

#define MAX_SUB 8

static inline v4 cubic_weights(float t)
{
    const v4 c0 = {0, 1, 0, 0}, c1 = {-0.5f, 0, 0.5f, 0}, c2 = {1, -2.5f, 2, -0.5f},
             c3 = {-0.5f, 1.5f, -1.5f, 0.5f};
    return c0 + t * (c1 + t * (c2 + t * c3));
}

static inline int clamp_index(int i, int n)
{
    return i < 0 ? 0 : i >= n ? n - 1 : i;
}

/** One source plane of either type; `bytes` says which pointer is used. */
struct plane {
    const uint8_t *u8;
    const float *f32;
    int stride, w, h;
    bool bytes;
};

static inline float at(const struct plane *p, int x, int y)
{
    size_t i = (size_t)y * p->stride + x;
    return p->bytes ? p->u8[i] : p->f32[i];
}

/* x, y are sample coordinates: integer = centre of a sample. */
static float sample_linear(const struct plane *p, float x, float y)
{
    float fx = floorf(x), fy = floorf(y);
    int ix = (int)fx, iy = (int)fy;
    float tx = x - fx, ty = y - fy;
    int x0 = clamp_index(ix, p->w), x1 = clamp_index(ix + 1, p->w);
    int y0 = clamp_index(iy, p->h), y1 = clamp_index(iy + 1, p->h);
    float a = at(p, x0, y0) + tx * (at(p, x1, y0) - at(p, x0, y0));
    float b = at(p, x0, y1) + tx * (at(p, x1, y1) - at(p, x0, y1));
    return a + ty * (b - a);
}

static inline v4 row4(const struct plane *p, int x, int y)
{
    size_t i = (size_t)y * p->stride + x;
    v4 r;
    if (p->bytes) {
        b4 b;
        memcpy(&b, p->u8 + i, 4);
        r = __builtin_convertvector(b, v4);
    } else {
        memcpy(&r, p->f32 + i, 16);
    }
    return r;
}

static float sample_cubic(const struct plane *p, float x, float y)
{
    float fx = floorf(x), fy = floorf(y);
    int ix = (int)fx - 1, iy = (int)fy - 1;
    v4 wx = cubic_weights(x - fx), wy = cubic_weights(y - fy), s = {0, 0, 0, 0};
    if (ix >= 0 && iy >= 0 && ix + 4 <= p->w && iy + 4 <= p->h) {
        for (int j = 0; j < 4; j++)
            s += wy[j] * row4(p, ix, iy + j);
    } else {
        for (int j = 0; j < 4; j++) {
            int yy = clamp_index(iy + j, p->h);
            v4 r = {at(p, clamp_index(ix, p->w), yy), at(p, clamp_index(ix + 1, p->w), yy),
                    at(p, clamp_index(ix + 2, p->w), yy), at(p, clamp_index(ix + 3, p->w), yy)};
            s += wy[j] * r;
        }
    }
    s *= wx;
    return s[0] + s[1] + s[2] + s[3];
}

/** Sample in px of a plane; far-away and NaN coordinates are brought near first, so that the int casts are
 * defined. */
static inline float sample_px(const struct plane *p, float x, float y, bool cubic)
{
    float lx = (float)p->w + 8, ly = (float)p->h + 8;
    x = x > -8 ? (x < lx ? x : lx) : -8;
    y = y > -8 ? (y < ly ? y : ly) : -8;
    return cubic ? sample_cubic(p, x - 0.5f, y - 0.5f) : sample_linear(p, x - 0.5f, y - 0.5f);
}

/** Samples a side that one target pixel needs. */
static int sub_samples(const struct pz_affine *m)
{
    float s = fmaxf(hypotf(m->a, m->d), hypotf(m->b, m->e));
    if (!(s > 1.25f))
        return 1;
    int n = (int)ceilf(fminf(s, MAX_SUB) - 0.25f);
    return n < 1 ? 1 : n;
}

static inline bool inside(float x, float y, int w, int h)
{
    return x >= 0 && y >= 0 && x < (float)w && y < (float)h;
}

/** One row to be made of one plane. The plane's px are `siting[0] * x + siting[1]`, `siting[2] * y +
 * siting[3]` of the source px (chroma siting). */
struct row {
    const struct plane *plane;
    const float *siting;
    const struct pz_affine *map; /* target px → source px */
    int y, sub;                  /* row of the target; samples a side of one of its px */
    bool cubic, zero;            /* zero: `outside` where the source, pw × ph, ends */
    float outside;
    int pw, ph;
};

/** One sample: `px`, `py` target px. */
static inline float sample_target(const struct row *r, float px, float py)
{
    const struct pz_affine *m = r->map;
    float u = m->a * px + m->b * py + m->c, v = m->d * px + m->e * py + m->f;
    if (r->zero && !inside(u, v, r->pw, r->ph))
        return r->outside;
    return sample_px(r->plane, r->siting[0] * u + r->siting[1], r->siting[2] * v + r->siting[3], r->cubic);
}

#if defined(__x86_64__)
typedef float v8 __attribute__((vector_size(32)));
typedef int i8 __attribute__((vector_size(32)));

/** The four neighbours of eight samples: (x, y), (x+1, y), (x, y+1), (x+1, y+1). All of bytes x … x+3 of both
 * rows are read. */
__attribute__((target("avx2"))) static inline void gather(const struct plane *p, i8 x, i8 y, v8 out[4])
{
    __m256i at = (__m256i)(y * p->stride + x), below = (__m256i)((y + 1) * p->stride + x);
    if (p->bytes) {
        i8 top = (i8)_mm256_i32gather_epi32((const int *)(const void *)p->u8, at, 1);
        i8 low = (i8)_mm256_i32gather_epi32((const int *)(const void *)p->u8, below, 1);
        out[0] = __builtin_convertvector(top & 255, v8);
        out[1] = __builtin_convertvector(top >> 8 & 255, v8);
        out[2] = __builtin_convertvector(low & 255, v8);
        out[3] = __builtin_convertvector(low >> 8 & 255, v8);
    } else {
        out[0] = _mm256_i32gather_ps(p->f32, at, 4);
        out[1] = _mm256_i32gather_ps(p->f32 + 1, at, 4);
        out[2] = _mm256_i32gather_ps(p->f32, below, 4);
        out[3] = _mm256_i32gather_ps(p->f32 + 1, below, 4);
    }
}

/** Samples of eight neighbouring px of the target at the same place within each. */
__attribute__((target("avx2"))) static inline v8 sample_eight(const struct row *r, v8 px, float py)
{
    const struct pz_affine *m = r->map;
    const struct plane *p = r->plane;
    v8 u = m->a * px + m->b * py + m->c, v = m->d * px + m->e * py + m->f;
    v8 x = r->siting[0] * u + r->siting[1] - 0.5f, y = r->siting[2] * v + r->siting[3] - 0.5f;
    v8 fx = _mm256_floor_ps(x), fy = _mm256_floor_ps(y), c[4];
    /* far away, NaN or near an edge: one by one (comparisons with NaN are false) */
    i8 inner = (fx >= 0) & (fy >= 0) & (fx <= (float)(p->w - 4)) & (fy <= (float)(p->h - 2));
    if (_mm256_movemask_ps((__m256)inner) != 0xff) {
        v8 s;
        for (int k = 0; k < 8; k++)
            s[k] = sample_target(r, px[k], py);
        return s;
    }
    gather(p, __builtin_convertvector(fx, i8), __builtin_convertvector(fy, i8), c);
    v8 tx = x - fx, ty = y - fy, a = c[0] + tx * (c[1] - c[0]), b = c[2] + tx * (c[3] - c[2]);
    return a + ty * (b - a);
}

/** As many px of a bilinear row as there are whole vectors; returns how many. */
__attribute__((target("avx2"))) static int warp_eights(const struct row *r, float *dst, int dw)
{
    const v8 lane = {0, 1, 2, 3, 4, 5, 6, 7};
    float inv = 1.0f / (float)(r->sub * r->sub), step = 1.0f / (float)r->sub;
    int x = 0;
    for (; x + 8 <= dw; x += 8) {
        v8 sum = {0};
        for (int j = 0; j < r->sub; j++)
            for (int i = 0; i < r->sub; i++)
                sum += sample_eight(r, (float)x + lane + ((float)i + 0.5f) * step,
                                    (float)r->y + ((float)j + 0.5f) * step);
        sum *= inv;
        memcpy(dst + x, &sum, sizeof sum);
    }
    return x;
}
#endif

static void warp_row(const struct row *r, float *dst, int dw)
{
    float inv = 1.0f / (float)(r->sub * r->sub), step = 1.0f / (float)r->sub;
    int x = 0;
#if defined(__x86_64__)
    if (!r->cubic && __builtin_cpu_supports("avx2"))
        x = warp_eights(r, dst, dw);
#endif
    for (; x < dw; x++) {
        float sum = 0;
        for (int j = 0; j < r->sub; j++)
            for (int i = 0; i < r->sub; i++)
                sum += sample_target(r, (float)x + ((float)i + 0.5f) * step,
                                     (float)r->y + ((float)j + 0.5f) * step);
        dst[x] = sum * inv;
    }
}

static const float luma_siting[4] = {1, 0, 1, 0}, chroma_siting[4] = {0.5f, 0.25f, 0.5f, 0};

static struct plane picture_plane(const struct pz_picture *p, int k)
{
    return (struct plane){.u8 = p->plane[k],
                          .stride = p->stride[k],
                          .w = k ? (p->width + 1) / 2 : p->width,
                          .h = k ? (p->height + 1) / 2 : p->height,
                          .bytes = true};
}

void pz_warp_picture_to_rgb(const struct pz_picture *src, const struct pz_affine *m, enum pz_filter filter,
                            enum pz_border border, struct pz_rgb *dst)
{
    struct pz_color c = pz_color_of(src->matrix, src->full_range);
    struct plane p[3] = {picture_plane(src, 0), picture_plane(src, 1), picture_plane(src, 2)};
    int w = dst->width;
    struct row row = {.map = m,
                      .sub = sub_samples(m),
                      .zero = border == PZ_BORDER_ZERO,
                      .pw = src->width,
                      .ph = src->height};
    size_t n = (size_t)w * dst->height;
    for (int y = 0; y < dst->height; y++) {
        float *r = dst->data + (size_t)y * w, *g = r + n, *b = g + n;
        row.y = y;
        for (int k = 0; k < 3; k++) {
            row.plane = &p[k];
            row.siting = k ? chroma_siting : luma_siting;
            row.cubic = k == 0 && filter != PZ_FILTER_BILINEAR;
            row.outside = c.zero[k];
            warp_row(&row, r + k * n, w);
        }
        for (int x = 0; x < w; x++) {
            float l = (r[x] - c.zero[0]) * c.to_rgb[0][0], cb = g[x] - c.zero[1], cr = b[x] - c.zero[2];
            r[x] = l + c.to_rgb[0][2] * cr;
            g[x] = l + c.to_rgb[1][1] * cb + c.to_rgb[1][2] * cr;
            b[x] = l + c.to_rgb[2][1] * cb;
        }
    }
}

/** A whole plane that is sited as luma is. */
static void warp_luma_like(const struct plane *p, const struct pz_affine *m, enum pz_filter filter,
                           enum pz_border border, float *dst, int w, int h)
{
    struct row row = {.plane = p,
                      .siting = luma_siting,
                      .map = m,
                      .sub = sub_samples(m),
                      .cubic = filter != PZ_FILTER_BILINEAR,
                      .zero = border == PZ_BORDER_ZERO,
                      .pw = p->w,
                      .ph = p->h};
    for (row.y = 0; row.y < h; row.y++)
        warp_row(&row, dst + (size_t)row.y * (size_t)w, w);
}

void pz_warp_luma(const struct pz_picture *src, const struct pz_affine *m, enum pz_filter filter,
                  enum pz_border border, float *dst, int w, int h)
{
    struct plane p = picture_plane(src, 0);
    warp_luma_like(&p, m, filter, border, dst, w, h);
}

void pz_warp_plane(const float *src, int sw, int sh, const struct pz_affine *m, enum pz_filter filter,
                   enum pz_border border, float *dst, int dw, int dh)
{
    struct plane p = {.f32 = src, .stride = sw, .w = sw, .h = sh};
    warp_luma_like(&p, m, filter, border, dst, dw, dh);
}

void pz_warp_rgb(const struct pz_rgb *src, const struct pz_affine *m, enum pz_filter filter,
                 enum pz_border border, struct pz_rgb *dst)
{
    size_t ns = (size_t)src->width * src->height, nd = (size_t)dst->width * dst->height;
    for (int k = 0; k < 3; k++)
        pz_warp_plane(src->data + k * ns, src->width, src->height, m, filter, border, dst->data + k * nd,
                      dst->width, dst->height);
}
