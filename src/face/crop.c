/*
 * Sampling for the networks. Luma and chroma are read bilinearly at their own siting (MPEG-2: chroma co-sited
 * left, centred between rows). Does not do: high-quality resampling; engines use image/warp.h.
 */
#include "face/crop.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

/* One plane at some level: `x0, y0` is where its sample (0,0) lies in the level's own grid. */
struct plane {
    const uint8_t *p;
    int stride, w, h, x0, y0;
};

void pz_crop_scratch_free(struct pz_crop_scratch *s)
{
    pz_free(s->data);
    *s = (struct pz_crop_scratch){0};
}

void pz_face_rect_point(const struct pz_face_rect *r, float u, float v, float *x, float *y)
{
    float dx = (u - 0.5f) * r->w, dy = (v - 0.5f) * r->h, c = cosf(r->angle), s = sinf(r->angle);
    *x = r->cx + c * dx - s * dy;
    *y = r->cy + s * dx + c * dy;
}

static float clampf(float v, float lo, float hi)
{
    return v < lo ? lo : v > hi ? hi : v;
}

static float sample(const struct plane *q, float x, float y)
{
    x = clampf(x - (float)q->x0, 0, (float)(q->w - 1));
    y = clampf(y - (float)q->y0, 0, (float)(q->h - 1));
    int ix = (int)x, iy = (int)y;
    float wx = x - (float)ix, wy = y - (float)iy;
    const uint8_t *p = q->p + (size_t)iy * (size_t)q->stride + ix;
    int right = ix + 1 < q->w, down = iy + 1 < q->h ? q->stride : 0;
    float a = (float)p[0] + wx * (float)(p[right] - p[0]);
    float b = (float)p[down] + wx * (float)(p[down + right] - p[down]);
    return a + wy * (b - a);
}

/* Mean of 2×2 samples of the part [x0,x1)×[y0,y1) (in the halved grid) of a plane. */
static struct plane halve(const struct plane *q, int x0, int y0, int x1, int y1, uint8_t *out)
{
    for (int y = y0; y < y1; y++) {
        int ya = 2 * y - q->y0, yb = ya + 1;
        ya = ya < 0 ? 0 : ya > q->h - 1 ? q->h - 1 : ya;
        yb = yb < 0 ? 0 : yb > q->h - 1 ? q->h - 1 : yb;
        const uint8_t *a = q->p + (size_t)ya * (size_t)q->stride, *b = q->p + (size_t)yb * (size_t)q->stride;
        uint8_t *o = out + (size_t)(y - y0) * (size_t)(x1 - x0);
        for (int x = x0; x < x1; x++) {
            int xa = 2 * x - q->x0, xb = xa + 1;
            xa = xa < 0 ? 0 : xa > q->w - 1 ? q->w - 1 : xa;
            xb = xb < 0 ? 0 : xb > q->w - 1 ? q->w - 1 : xb;
            *o++ = (uint8_t)((a[xa] + a[xb] + b[xa] + b[xb] + 2) >> 2);
        }
    }
    return (struct plane){out, x1 - x0, x1 - x0, y1 - y0, x0, y0};
}

/* Bring a plane down `levels` halvings, only where the box (in the plane's own samples) needs it. */
static struct plane shrink(struct plane q, const float box[4], int levels, uint8_t **at)
{
    for (int l = 1; l <= levels; l++) {
        float s = ldexpf(1, -l);
        int hw = (q.x0 + q.w + 1) / 2, hh = (q.y0 + q.h + 1) / 2, lx = q.x0 / 2, ly = q.y0 / 2;
        int x0 = (int)clampf(floorf(box[0] * s) - 2, (float)lx, (float)(hw - 1));
        int y0 = (int)clampf(floorf(box[1] * s) - 2, (float)ly, (float)(hh - 1));
        int x1 = (int)clampf(ceilf(box[2] * s) + 3, (float)(x0 + 1), (float)hw);
        int y1 = (int)clampf(ceilf(box[3] * s) + 3, (float)(y0 + 1), (float)hh);
        q = halve(&q, x0, y0, x1, y1, *at);
        *at += (size_t)q.w * (size_t)q.h;
    }
    return q;
}

struct colour {
    float y_scale, y_off, c_scale, rv, gu, gv, bu;
};

static struct colour colour_of(const struct pz_picture *pic)
{
    bool wide = pic->matrix == PZ_MATRIX_BT709;
    float kr = wide ? 0.2126f : 0.299f, kb = wide ? 0.0722f : 0.114f, kg = 1 - kr - kb;
    struct colour c = {.y_scale = pic->full_range ? 1 / 255.0f : 1 / 219.0f,
                       .y_off = pic->full_range ? 0 : 16,
                       .c_scale = pic->full_range ? 1 / 255.0f : 1 / 224.0f};
    c.rv = 2 * (1 - kr);
    c.bu = 2 * (1 - kb);
    c.gu = -c.bu * kb / kg;
    c.gv = -c.rv * kr / kg;
    return c;
}

enum pz_status pz_face_crop(const struct pz_picture *pic, const struct pz_face_rect *rect, float lo, float hi,
                            unsigned how, struct pz_crop_scratch *scratch, float *out, int size_w, int size_h)
{
    float px[4], py[4]; /* corners */
    for (int i = 0; i < 4; i++)
        pz_face_rect_point(rect, (float)(i & 1), (float)(i >> 1), &px[i], &py[i]);
    float box[4] = {px[0], py[0], px[0], py[0]};
    for (int i = 1; i < 4; i++) {
        box[0] = fminf(box[0], px[i]);
        box[1] = fminf(box[1], py[i]);
        box[2] = fmaxf(box[2], px[i]);
        box[3] = fmaxf(box[3], py[i]);
    }
    float step = fmaxf(rect->w / (float)size_w, rect->h / (float)size_h);
    int levels = 0;
    while (levels < 8 && ldexpf(step, -levels) > 2)
        levels++;
    int clevels = levels > 0 ? levels - 1 : 0;
    int cw = (pic->width + 1) / 2, ch = (pic->height + 1) / 2;
    /* each halving is at most a quarter of the one before, plus margins */
    size_t need =
        levels ? ((size_t)pic->width * (size_t)pic->height + 2 * (size_t)cw * (size_t)ch) / 2 + 65536 : 0;
    if (need > scratch->bytes) {
        pz_crop_scratch_free(scratch);
        scratch->data = pz_calloc(need, 1);
        if (!scratch->data)
            return PZ_ERR_NOMEM;
        scratch->bytes = need;
    }
    float cbox[4] = {box[0] / 2, box[1] / 2, box[2] / 2, box[3] / 2};
    uint8_t *at = scratch->data;
    struct plane y = shrink((struct plane){pic->plane[0], pic->stride[0], pic->width, pic->height, 0, 0}, box,
                            levels, &at);
    struct plane u = shrink((struct plane){pic->plane[1], pic->stride[1], cw, ch, 0, 0}, cbox, clevels, &at);
    struct plane v = shrink((struct plane){pic->plane[2], pic->stride[2], cw, ch, 0, 0}, cbox, clevels, &at);
    float ys = ldexpf(1, -levels), cs = ldexpf(0.5f, -clevels);
    /* chroma sample 0 sits at luma x = ½ (left) and y = 1 */
    float cx_shift = 0.5f - 0.25f * ldexpf(1, -clevels);
    struct colour k = colour_of(pic);
    /* steps of one crop pixel along and down, and the centre of the first */
    float c = cosf(rect->angle), sn = sinf(rect->angle), pw = rect->w / (float)size_w,
          ph = rect->h / (float)size_h;
    float ax = c * pw, ay = sn * pw, bx = -sn * ph, by = c * ph, x0, y0;
    float quarter = ldexpf(0.25f, -levels);
    bool four = (how & PZ_CROP_FINE) && ldexpf(step, -levels) > 1.25f;
    pz_face_rect_point(rect, 0.5f / (float)size_w, 0.5f / (float)size_h, &x0, &y0);
    for (int i = 0; i < size_h; i++)
        for (int j = 0; j < size_w; j++, out += 3) {
            float x = x0 + (float)j * ax + (float)i * bx, yy = y0 + (float)j * ay + (float)i * by, l;
            if ((how & PZ_CROP_BLACK) &&
                (x < 0 || yy < 0 || x >= (float)pic->width || yy >= (float)pic->height)) {
                out[0] = out[1] = out[2] = lo;
                continue;
            }
            float lx = x * ys - 0.5f, ly = yy * ys - 0.5f;
            if (four) {
                float dx = quarter * (ax + bx), dy = quarter * (ay + by), qx = quarter * (ax - bx),
                      qy = quarter * (ay - by);
                l = (sample(&y, lx + dx, ly + dy) + sample(&y, lx - dx, ly - dy) +
                     sample(&y, lx + qx, ly + qy) + sample(&y, lx - qx, ly - qy)) /
                    4;
            } else {
                l = sample(&y, lx, ly);
            }
            l = (l - k.y_off) * k.y_scale;
            float cb = (sample(&u, x * cs - cx_shift, yy * cs - 0.5f) - 128) * k.c_scale;
            float cr = (sample(&v, x * cs - cx_shift, yy * cs - 0.5f) - 128) * k.c_scale;
            out[0] = lo + (hi - lo) * clampf(l + k.rv * cr, 0, 1);
            out[1] = lo + (hi - lo) * clampf(l + k.gu * cb + k.gv * cr, 0, 1);
            out[2] = lo + (hi - lo) * clampf(l + k.bu * cb, 0, 1);
        }
    return PZ_OK;
}
