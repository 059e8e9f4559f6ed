// Area means of upright boxes, and separable enlargement. No rotation, no other layouts: warp.c has those.
#include "image/area.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "image/affine.h"
#include "image/color.h"
#include "image/warp.h"

/* What pixel i of a row of n covers: source pixels [from, to), the first and the last in part. */
struct cover {
    int from, to;
    float first, last; /* weights of the outer two; 1 between */
};

static void cover_of(float a, float b, int n, struct cover *out)
{
    for (int i = 0; i < n; i++) {
        double lo = a + (double)(b - a) * i / n, hi = a + (double)(b - a) * (i + 1) / n;
        int f = (int)floor(lo), t = (int)ceil(hi);
        t = t > f ? t : f + 1;
        out[i] = (struct cover){f, t, (float)(f + 1 - lo), (float)(hi - (t - 1))};
        if (t == f + 1)
            out[i].first = out[i].last = (float)(hi - lo);
    }
}

static int clamp(int v, int n)
{
    return v < 0 ? 0 : v >= n ? n - 1 : v;
}

/* Sums over the columns of one source row. */
static void sum_row(const uint8_t *row, int w, const struct cover *c, int n, float *out)
{
    for (int i = 0; i < n; i++) {
        int f = c[i].from, l = c[i].to - 1;
        float s = c[i].first * row[clamp(f, w)];
        if (f >= 0 && l < w) {
            int whole = 0;
            for (int x = f + 1; x < l; x++)
                whole += row[x];
            s += (float)whole;
        } else {
            for (int x = f + 1; x < l; x++)
                s += row[clamp(x, w)];
        }
        out[i] = l > f ? s + c[i].last * row[clamp(l, w)] : s;
    }
}

struct area_work {
    struct cover *x, *y;
    float *row;
};

/* Means of one plane over a box in its own px: dst [h][w]. */
static void area_plane(const uint8_t *plane, int stride, int pw, int ph, const float box[4], int w, int h,
                       struct area_work *k, float *dst)
{
    float scale = (float)(1.0 / (((double)box[2] - box[0]) / w * (((double)box[3] - box[1]) / h)));
    int have = -1; // the source row in k->row, so that a shared one is summed once
    cover_of(box[0], box[2], w, k->x);
    cover_of(box[1], box[3], h, k->y);
    memset(dst, 0, (size_t)w * (size_t)h * sizeof *dst);
    for (int y = 0; y < h; y++) {
        const struct cover *c = &k->y[y];
        float *to = dst + (size_t)y * (size_t)w;
        for (int s = c->from; s < c->to; s++) {
            float weight = (s == c->from ? c->first : s == c->to - 1 ? c->last : 1) * scale;
            int at = clamp(s, ph);
            if (at != have)
                sum_row(plane + (size_t)at * (size_t)stride, pw, k->x, w, k->row);
            have = at;
            for (int x = 0; x < w; x++)
                to[x] += weight * k->row[x];
        }
    }
}

static void to_rgb(const struct pz_picture *src, struct pz_rgb *dst)
{
    struct pz_color c = pz_color_of(src->matrix, src->full_range);
    size_t n = (size_t)dst->width * (size_t)dst->height;
    float *r = dst->data, *g = r + n, *b = g + n;
    for (size_t i = 0; i < n; i++) {
        float y = (r[i] - c.zero[0]) * c.to_rgb[0][0], u = g[i] - c.zero[1], v = b[i] - c.zero[2];
        r[i] = y + c.to_rgb[0][2] * v;
        g[i] = y + c.to_rgb[1][1] * u + c.to_rgb[1][2] * v;
        b[i] = y + c.to_rgb[2][1] * u;
    }
}

enum pz_status pz_area_picture_to_rgb(const struct pz_picture *src, float x0, float y0, float x1, float y1,
                                      struct pz_rgb *dst)
{
    int w = dst->width, h = dst->height;
    float bound = 4.0f * PZ_PICTURE_MAX_SIDE;
    if (!(x1 > x0) || !(y1 > y0) || !(fabsf(x0) < bound) || !(fabsf(y0) < bound) || !(fabsf(x1) < bound) ||
        !(fabsf(y1) < bound))
        return PZ_ERR_USAGE;
    if (x1 - x0 < (float)w || y1 - y0 < (float)h) {
        struct pz_affine m = {(x1 - x0) / (float)w, 0, x0, 0, (y1 - y0) / (float)h, y0};
        pz_warp_picture_to_rgb(src, &m, PZ_FILTER_BILINEAR, PZ_BORDER_REPLICATE, dst);
        return PZ_OK;
    }
    struct area_work k = {pz_calloc((size_t)w, sizeof *k.x), pz_calloc((size_t)h, sizeof *k.y),
                          pz_calloc((size_t)w, sizeof *k.row)};
    enum pz_status st = k.x && k.y && k.row ? PZ_OK : PZ_ERR_NOMEM;
    for (int p = 0; p < 3 && st == PZ_OK; p++) {
        // Chroma lies level with the left luma column and between two rows: its pixel c covers 2c − ½ … 2c +
        // 3/2.
        float box[4] = {x0, y0, x1, y1};
        if (p) {
            memcpy(box, (float[]){(x0 + 0.5f) / 2, y0 / 2, (x1 + 0.5f) / 2, y1 / 2}, sizeof box);
        }
        area_plane(src->plane[p], src->stride[p], p ? (src->width + 1) / 2 : src->width,
                   p ? (src->height + 1) / 2 : src->height, box, w, h, &k,
                   dst->data + (size_t)p * (size_t)w * (size_t)h);
    }
    if (st == PZ_OK)
        to_rgb(src, dst);
    pz_free(k.x);
    pz_free(k.y);
    pz_free(k.row);
    return st;
}

#define TAPS 4

struct pz_enlarge {
    int from, to, first;
    int *at;     /* [to][TAPS] clamped source index */
    float *tap;  /* [to][TAPS] */
    float *line; /* [from] rows mixed */
};

struct pz_enlarge *pz_enlarge_create(int from, int to, int first, bool cubic)
{
    if (from < 1 || from > 4096 || to < 1 || to > 4096 || first < 0 || first >= to)
        return NULL;
    struct pz_enlarge *e = pz_calloc(1, sizeof *e);
    if (!e)
        return NULL;
    *e = (struct pz_enlarge){.from = from, .to = to, .first = first};
    e->at = pz_calloc((size_t)to, TAPS * sizeof *e->at);
    e->tap = pz_calloc((size_t)to, TAPS * sizeof *e->tap);
    e->line = pz_calloc((size_t)from, sizeof *e->line);
    if (!e->at || !e->tap || !e->line) {
        pz_enlarge_destroy(&e);
        return NULL;
    }
    for (int i = 0; i < to; i++) {
        double x = (i + 0.5) * from / to - 0.5, t = x - floor(x);
        float *w = e->tap + (size_t)i * TAPS;
        if (cubic) {
            w[0] = (float)(t * (-0.5 + t * (1 - 0.5 * t)));
            w[1] = (float)(1 + t * t * (-2.5 + 1.5 * t));
            w[2] = (float)(t * (0.5 + t * (2 - 1.5 * t)));
            w[3] = (float)(t * t * (-0.5 + 0.5 * t));
        } else {
            w[1] = (float)(1 - t);
            w[2] = (float)t;
        }
        for (int k = 0; k < TAPS; k++)
            e->at[i * TAPS + k] = clamp((int)floor(x) - 1 + k, from);
    }
    return e;
}

void pz_enlarge_destroy(struct pz_enlarge **e)
{
    if (!*e)
        return;
    pz_free((*e)->at);
    pz_free((*e)->tap);
    pz_free((*e)->line);
    pz_free(*e);
    *e = NULL;
}

void pz_enlarge_run(struct pz_enlarge *e, const float *src, float *dst)
{
    size_t n = (size_t)e->from;
    for (int y = e->first; y < e->to; y++, dst += e->to) {
        const float *w = e->tap + (size_t)y * TAPS;
        const float *r[TAPS];
        for (int k = 0; k < TAPS; k++)
            r[k] = src + (size_t)e->at[y * TAPS + k] * n;
        for (size_t i = 0; i < n; i++)
            e->line[i] = w[0] * r[0][i] + w[1] * r[1][i] + w[2] * r[2][i] + w[3] * r[3][i];
        for (int x = 0; x < e->to; x++) {
            const float *v = e->tap + (size_t)x * TAPS;
            const int *a = e->at + (size_t)x * TAPS;
            dst[x] =
                v[0] * e->line[a[0]] + v[1] * e->line[a[1]] + v[2] * e->line[a[2]] + v[3] * e->line[a[3]];
        }
    }
}
