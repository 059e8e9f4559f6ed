/* Affine warps of byte and float planes. Catmull-Rom weights are computed four at a time with GCC vectors,
 * which plain C targets lower by themselves. Does not do projective or mesh warps. Kernel: Keys 1981, a =
 * -1/2. */
#include "image/warp.h"

#include <math.h>
#include <string.h>

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

/** One output row of one plane. The plane's px are `sx*x + ox`, `sy*y + oy` of the source px (chroma siting).
 */
static void warp_row(const struct plane *p, const float siting[4], const struct pz_affine *m, int y,
                     bool cubic, float outside, bool zero, int pw, int ph, int sub, float *dst, int dw)
{
    float inv = 1.0f / (float)(sub * sub), step = 1.0f / (float)sub;
    for (int x = 0; x < dw; x++) {
        float sum = 0;
        for (int j = 0; j < sub; j++)
            for (int i = 0; i < sub; i++) {
                float px = (float)x + (i + 0.5f) * step, py = (float)y + (j + 0.5f) * step;
                float u = m->a * px + m->b * py + m->c, v = m->d * px + m->e * py + m->f;
                if (zero && !inside(u, v, pw, ph))
                    sum += outside;
                else
                    sum += sample_px(p, siting[0] * u + siting[1], siting[2] * v + siting[3], cubic);
            }
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
    int sub = sub_samples(m), w = dst->width;
    bool zero = border == PZ_BORDER_ZERO;
    size_t n = (size_t)w * dst->height;
    for (int y = 0; y < dst->height; y++) {
        float *r = dst->data + (size_t)y * w, *g = r + n, *b = g + n;
        for (int k = 0; k < 3; k++)
            warp_row(&p[k], k ? chroma_siting : luma_siting, m, y, k == 0 && filter != PZ_FILTER_BILINEAR,
                     c.zero[k], zero, src->width, src->height, sub, r + k * n, w);
        for (int x = 0; x < w; x++) {
            float l = (r[x] - c.zero[0]) * c.to_rgb[0][0], cb = g[x] - c.zero[1], cr = b[x] - c.zero[2];
            r[x] = l + c.to_rgb[0][2] * cr;
            g[x] = l + c.to_rgb[1][1] * cb + c.to_rgb[1][2] * cr;
            b[x] = l + c.to_rgb[2][1] * cb;
        }
    }
}

void pz_warp_luma(const struct pz_picture *src, const struct pz_affine *m, enum pz_filter filter,
                  enum pz_border border, float *dst, int w, int h)
{
    struct plane p = picture_plane(src, 0);
    for (int y = 0; y < h; y++)
        warp_row(&p, luma_siting, m, y, filter != PZ_FILTER_BILINEAR, 0, border == PZ_BORDER_ZERO, src->width,
                 src->height, sub_samples(m), dst + (size_t)y * w, w);
}

void pz_warp_plane(const float *src, int sw, int sh, const struct pz_affine *m, enum pz_filter filter,
                   enum pz_border border, float *dst, int dw, int dh)
{
    struct plane p = {.f32 = src, .stride = sw, .w = sw, .h = sh};
    for (int y = 0; y < dh; y++)
        warp_row(&p, luma_siting, m, y, filter != PZ_FILTER_BILINEAR, 0, border == PZ_BORDER_ZERO, sw, sh,
                 sub_samples(m), dst + (size_t)y * dw, dw);
}

void pz_warp_rgb(const struct pz_rgb *src, const struct pz_affine *m, enum pz_filter filter,
                 enum pz_border border, struct pz_rgb *dst)
{
    size_t ns = (size_t)src->width * src->height, nd = (size_t)dst->width * dst->height;
    for (int k = 0; k < 3; k++)
        pz_warp_plane(src->data + k * ns, src->width, src->height, m, filter, border, dst->data + k * nd,
                      dst->width, dst->height);
}
