/* The seam figure: colours just inside and just outside a paste border, made against source. */
#include <math.h>

#include "base/mem.h"
#include "image/affine.h"
#include "image/color.h"
#include "image/filter.h"
#include "image/metrics.h"
#include "image/warp.h"

#define BORDER_LEVEL 0.02f
#define REACH_IN 9.0f  /* px at 256: past the feather, into what was made */
#define REACH_OUT 4.0f /* px at 256: outside everything that was pasted */
#define PATCH_RADIUS 2 /* 5×5 px means */
#define MARGIN 24      /* px of film cut around the patch */

/** Everything in one grid: the patch's px plus a margin. */
struct seam {
    int w, h;
    struct pz_rgb made, source;
    float *mask; /**< blurred 0/1 mask, for normals */
};

static void seam_free(struct seam *s)
{
    pz_rgb_free(&s->made);
    pz_rgb_free(&s->source);
    pz_free(s->mask);
}

static bool lab_mean(const struct pz_rgb *p, float x, float y, float lab[3])
{
    int cx = (int)floorf(x), cy = (int)floorf(y), r = PATCH_RADIUS;
    size_t n = (size_t)p->width * p->height;
    float rgb[3] = {0};
    if (cx < r || cy < r || cx + r >= p->width || cy + r >= p->height)
        return false;
    for (int k = 0; k < 3; k++) {
        for (int j = -r; j <= r; j++)
            for (int i = -r; i <= r; i++)
                rgb[k] += p->data[k * n + (size_t)(cy + j) * p->width + cx + i];
        rgb[k] /= (float)((2 * r + 1) * (2 * r + 1));
    }
    pz_color_lab(rgb, lab);
    return true;
}

/** Difference across the border at (x, y) with outward normal (nx, ny); false outside the grid or the frame.
 */
static bool across(const struct seam *s, float x, float y, float nx, float ny, float k, double *delta)
{
    float a[3], b[3], c[3], d[3];
    float xi = x - nx * REACH_IN * k, yi = y - ny * REACH_IN * k, xo = x + nx * REACH_OUT * k,
          yo = y + ny * REACH_OUT * k;
    if (!lab_mean(&s->made, xi, yi, a) || !lab_mean(&s->made, xo, yo, b) ||
        !lab_mean(&s->source, xi, yi, c) || !lab_mean(&s->source, xo, yo, d))
        return false;
    *delta = pz_metric_ciede2000(a, b) - pz_metric_ciede2000(c, d);
    return true;
}

static bool in_frame(const struct pz_picture *f, const struct pz_affine *m, float x, float y)
{
    float u, v;
    pz_affine_apply(m, x, y, &u, &v);
    return u >= 0 && v >= 0 && u < (float)f->width && v < (float)f->height;
}

static double walk_border(const struct seam *s, const struct pz_picture *frame,
                          const struct pz_affine *grid_to_frame, float k)
{
    double sum = 0;
    int64_t n = 0;
    for (int y = 3; y < s->h - 3; y++)
        for (int x = 3; x < s->w - 3; x++) {
            const float *m = s->mask + (size_t)y * s->w + x;
            /* One pixel wide: inside the level, with an outside neighbour. */
            if (m[0] < 0.5f || (m[-1] >= 0.5f && m[1] >= 0.5f && m[-s->w] >= 0.5f && m[s->w] >= 0.5f))
                continue;
            float gx = m[-2] - m[2], gy = m[-2 * s->w] - m[2 * s->w], len = hypotf(gx, gy);
            double d;
            if (len < 1e-4f)
                continue;
            gx /= len;
            gy /= len;
            float cx = (float)x + 0.5f, cy = (float)y + 0.5f, far_out = (REACH_OUT + 3) * k;
            if (!in_frame(frame, grid_to_frame, cx + gx * far_out, cy + gy * far_out) ||
                !across(s, cx, cy, gx, gy, k, &d))
                continue;
            sum += d;
            n++;
        }
    return n ? sum / (double)n : NAN;
}

enum pz_status pz_metric_seam(const struct pz_picture *made, const struct pz_picture *source,
                              const float *alpha, int w, int h, const struct pz_affine *to_frame, double *out)
{
    enum pz_status st;
    struct seam s = {.w = w + 2 * MARGIN, .h = h + 2 * MARGIN};
    struct pz_affine shift = {1, 0, -MARGIN, 0, 1, -MARGIN}, map = pz_affine_chain(&shift, to_frame), unused;
    float *scratch = NULL;
    *out = NAN;
    if (w < 1 || h < 1 || made->width != source->width || made->height != source->height)
        return PZ_ERR_USAGE;
    PZ_TRY(pz_affine_invert(to_frame, &unused));
    PZ_TRY(pz_rgb_alloc(&s.made, s.w, s.h));
    PZ_TRY(pz_rgb_alloc(&s.source, s.w, s.h));
    s.mask = pz_calloc((size_t)s.w * s.h, sizeof *s.mask);
    scratch = pz_calloc((size_t)s.w * s.h, sizeof *scratch);
    st = s.mask && scratch ? PZ_OK : PZ_ERR_NOMEM;
    PZ_TRY(st);
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++)
            s.mask[(size_t)(y + MARGIN) * s.w + x + MARGIN] = alpha[(size_t)y * w + x] > BORDER_LEVEL;
    pz_blur_gaussian(s.mask, scratch, s.w, s.h, 2.0f);
    pz_warp_picture_to_rgb(made, &map, PZ_FILTER_BILINEAR, PZ_BORDER_REPLICATE, &s.made);
    pz_warp_picture_to_rgb(source, &map, PZ_FILTER_BILINEAR, PZ_BORDER_REPLICATE, &s.source);
    *out = walk_border(&s, made, &map, (float)(w > h ? w : h) / 256.0f);
fail:
    pz_free(scratch);
    seam_free(&s);
    return st;
}
