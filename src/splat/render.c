/**
 * One image: blend, project, one global radix sort by depth, counting bin into tiles, tile kernels; and the
 * way back. The maths is in geometry_body.h and tile_body.h; this file only moves data between them.
 */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "splat/geometry_api.h"
#include "splat/kernels.h"

struct pz_splat_work {
    const struct pz_splat_kernels *kern;
    int cap, width, height, tiles_x, tiles_y;
    float *moved;  /* [7][cap] */
    float *screen; /* [9][cap], the planes of `scr` */
    struct pz_splat_screen scr;
    struct pz_splat_item *items; /* [cap], depth order */
    uint32_t *key[2];            /* [cap] each */
    int32_t *val[2];
    int n_items, n;      /* drawn and total Gaussians of the last draw */
    int32_t *tile_start; /* [tiles + 1] */
    int32_t *tile_fill;  /* [tiles] */
    int32_t *list;
    int64_t list_room;
    float *t_final, *last; /* [tiles][256] */
    float *sums;           /* [cap][PZ_SUM_COUNT] */
    float *g_screen;       /* [9][cap] */
};

void pz_splat_work_destroy(struct pz_splat_work **work)
{
    struct pz_splat_work *w = *work;
    *work = NULL;
    if (!w)
        return;
    pz_free(w->moved);
    pz_free(w->screen);
    pz_free(w->items);
    for (int j = 0; j < 2; j++) {
        pz_free(w->key[j]);
        pz_free(w->val[j]);
    }
    pz_free(w->tile_start);
    pz_free(w->tile_fill);
    pz_free(w->list);
    pz_free(w->t_final);
    pz_free(w->last);
    pz_free(w->sums);
    pz_free(w->g_screen);
    pz_free(w);
}

static bool size_ok(int side)
{
    return side >= PZ_SPLAT_TILE && side <= PZ_SPLAT_MAX_SIDE && side % PZ_SPLAT_TILE == 0;
}

enum pz_status pz_splat_work_create(int cap, int width, int height, enum pz_splat_rung rung,
                                    struct pz_splat_work **work)
{
    *work = NULL;
    if (cap < 1 || cap > 1 << 22 || !size_ok(width) || !size_ok(height))
        return PZ_ERR_USAGE;
    struct pz_splat_work *w = pz_calloc(1, sizeof(*w));
    if (!w)
        return PZ_ERR_NOMEM;
    w->kern = pz_splat_kernels_of(pz_splat_rung_best(rung));
    w->cap = (cap + 15) / 16 * 16;
    w->width = width;
    w->height = height;
    w->tiles_x = width / PZ_SPLAT_TILE;
    w->tiles_y = height / PZ_SPLAT_TILE;
    const size_t n = (size_t)w->cap, tiles = (size_t)w->tiles_x * (size_t)w->tiles_y;
    w->list_room = (int64_t)n * 8;
    w->moved = pz_calloc(n * PZ_SPLAT_MOVING, sizeof(float));
    w->screen = pz_calloc(n * 9, sizeof(float));
    w->items = pz_calloc(n, sizeof(*w->items));
    for (int j = 0; j < 2; j++) {
        w->key[j] = pz_calloc(n, sizeof(uint32_t));
        w->val[j] = pz_calloc(n, sizeof(int32_t));
    }
    w->tile_start = pz_calloc(tiles + 1, sizeof(int32_t));
    w->tile_fill = pz_calloc(tiles, sizeof(int32_t));
    w->list = pz_calloc((size_t)w->list_room, sizeof(int32_t));
    w->t_final = pz_calloc(tiles * 256, sizeof(float));
    w->last = pz_calloc(tiles * 256, sizeof(float));
    w->sums = pz_calloc(n * PZ_SUM_COUNT, sizeof(float));
    w->g_screen = pz_calloc(n * 9, sizeof(float));
    if (!w->moved || !w->screen || !w->items || !w->key[0] || !w->key[1] || !w->val[0] || !w->val[1] ||
        !w->tile_start || !w->tile_fill || !w->list || !w->t_final || !w->last || !w->sums || !w->g_screen) {
        pz_splat_work_destroy(&w);
        return PZ_ERR_NOMEM;
    }
    float *p = w->screen;
    const struct pz_splat_screen scr = {
        .cap = w->cap,
        .x = p,
        .y = p + n,
        .a = p + 2 * n,
        .b = p + 3 * n,
        .c = p + 4 * n,
        .alpha = p + 5 * n,
        .rx = p + 6 * n,
        .ry = p + 7 * n,
        .depth = p + 8 * n,
    };
    w->scr = scr;
    *work = w;
    return PZ_OK;
}

/** Tiles a Gaussian can touch; false when none (NaN and infinity fail the comparisons). */
static bool tile_rect(const struct pz_splat_work *w, float x, float y, float rx, float ry, int rect[4])
{
    if (!(rx > 0.0f && ry > 0.0f && x + rx > 0.5f && x - rx < (float)w->width - 0.5f && y + ry > 0.5f &&
          y - ry < (float)w->height - 0.5f))
        return false;
    const float x0 = (x - rx) / PZ_SPLAT_TILE, x1 = (x + rx) / PZ_SPLAT_TILE;
    const float y0 = (y - ry) / PZ_SPLAT_TILE, y1 = (y + ry) / PZ_SPLAT_TILE;
    rect[0] = x0 > 0.0f ? (int)x0 : 0;
    rect[1] = x1 < (float)w->tiles_x ? (int)x1 : w->tiles_x - 1;
    rect[2] = y0 > 0.0f ? (int)y0 : 0;
    rect[3] = y1 < (float)w->tiles_y ? (int)y1 : w->tiles_y - 1;
    return true;
}

/** Order-preserving integer of a float. */
static uint32_t sort_key(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof(u));
    return u & 0x80000000u ? ~u : u | 0x80000000u;
}

/** Stable LSD radix sort, 3 × 11 bits; the result ends in buffer 1. */
static void sort_by_depth(struct pz_splat_work *w)
{
    uint32_t count[3][2048];
    memset(count, 0, sizeof(count));
    const int n = w->n_items;
    for (int i = 0; i < n; i++) {
        const uint32_t k = w->key[0][i];
        count[0][k & 2047]++;
        count[1][k >> 11 & 2047]++;
        count[2][k >> 22]++;
    }
    for (int pass = 0; pass < 3; pass++) {
        uint32_t at = 0;
        for (int j = 0; j < 2048; j++) {
            const uint32_t c = count[pass][j];
            count[pass][j] = at;
            at += c;
        }
        const int from = pass & 1, shift = 11 * pass;
        const uint32_t mask = pass == 2 ? 1023 : 2047;
        for (int i = 0; i < n; i++) {
            const uint32_t k = w->key[from][i];
            const uint32_t to = count[pass][k >> shift & mask]++;
            w->key[!from][to] = k;
            w->val[!from][to] = w->val[from][i];
        }
    }
}

/** Keep what falls into the image, sort it by depth and pack it for the tile kernels. */
static void gather_items(struct pz_splat_work *w, int n)
{
    int used = 0, rect[4];
    const struct pz_splat_screen *s = &w->scr;
    for (int i = 0; i < n; i++) {
        if (!tile_rect(w, s->x[i], s->y[i], s->rx[i], s->ry[i], rect))
            continue;
        w->key[0][used] = sort_key(s->depth[i]);
        w->val[0][used++] = i;
    }
    w->n_items = used;
    w->n = n;
    sort_by_depth(w);
    const int64_t cap = s->cap;
    const float *col = w->moved + PZ_SPLAT_COLOR * cap;
    for (int j = 0; j < used; j++) {
        const int i = w->val[1][j];
        const struct pz_splat_item it = {
            .x = s->x[i],
            .y = s->y[i],
            .a = s->a[i],
            .b = s->b[i],
            .c = s->c[i],
            .alpha = s->alpha[i],
            .rgb = {col[i], col[cap + i], col[2 * cap + i]},
            .rx = s->rx[i],
            .ry = s->ry[i],
            .id = i,
        };
        w->items[j] = it;
    }
}

/** Two-pass counting bin; lists come out in depth order. */
static enum pz_status bin_items(struct pz_splat_work *w)
{
    const int tiles = w->tiles_x * w->tiles_y;
    memset(w->tile_fill, 0, sizeof(int32_t) * (size_t)tiles);
    int rect[4];
    int64_t total = 0;
    for (int j = 0; j < w->n_items; j++) {
        const struct pz_splat_item *g = &w->items[j];
        if (!tile_rect(w, g->x, g->y, g->rx, g->ry, rect))
            continue;
        for (int ty = rect[2]; ty <= rect[3]; ty++)
            for (int tx = rect[0]; tx <= rect[1]; tx++)
                w->tile_fill[ty * w->tiles_x + tx]++;
        total += (int64_t)(rect[1] - rect[0] + 1) * (rect[3] - rect[2] + 1);
    }
    if (total > INT32_MAX)
        return PZ_ERR_NOMEM;
    if (total > w->list_room) {
        int32_t *more = pz_calloc((size_t)total * 2, sizeof(int32_t));
        if (!more)
            return PZ_ERR_NOMEM;
        pz_free(w->list);
        w->list = more;
        w->list_room = total * 2;
    }
    int32_t at = 0;
    for (int t = 0; t < tiles; t++) {
        w->tile_start[t] = at;
        at += w->tile_fill[t];
        w->tile_fill[t] = w->tile_start[t];
    }
    w->tile_start[tiles] = at;
    for (int j = 0; j < w->n_items; j++) {
        const struct pz_splat_item *g = &w->items[j];
        if (!tile_rect(w, g->x, g->y, g->rx, g->ry, rect))
            continue;
        for (int ty = rect[2]; ty <= rect[3]; ty++)
            for (int tx = rect[0]; tx <= rect[1]; tx++)
                w->list[w->tile_fill[ty * w->tiles_x + tx]++] = j;
    }
    return PZ_OK;
}

struct tile_run {
    struct pz_splat_work *w;
    const float *bg;
    float *rgb, *through;
};

static struct pz_splat_tile tile_of(const struct pz_splat_work *w, int index)
{
    const struct pz_splat_tile t = {
        .items = w->items,
        .list = w->list + w->tile_start[index],
        .n_list = w->tile_start[index + 1] - w->tile_start[index],
        .x0 = index % w->tiles_x * PZ_SPLAT_TILE,
        .y0 = index / w->tiles_x * PZ_SPLAT_TILE,
    };
    return t;
}

/** A tile no Gaussian reaches: the background as it is. */
static void draw_empty_tile(const struct tile_run *run, const struct pz_splat_tile *t, int index)
{
    struct pz_splat_work *w = run->w;
    const int64_t area = (int64_t)w->width * w->height;
    float *final = w->t_final + (int64_t)index * 256;
    for (int j = 0; j < 256; j++)
        final[j] = 1.0f;
    memset(w->last + (int64_t)index * 256, 0, sizeof(float) * 256);
    for (int y = 0; y < 16; y++) {
        const int64_t at = (int64_t)(t->y0 + y) * w->width + t->x0;
        for (int c = 0; c < 3; c++) {
            if (run->bg)
                memcpy(run->rgb + c * area + at, run->bg + c * area + at, sizeof(float) * 16);
            else
                memset(run->rgb + c * area + at, 0, sizeof(float) * 16);
        }
        if (run->through)
            memcpy(run->through + at, final, sizeof(float) * 16);
    }
}

static void draw_tile(const struct tile_run *run, int index)
{
    struct pz_splat_work *w = run->w;
    const struct pz_splat_tile t = tile_of(w, index);
    if (!t.n_list) {
        draw_empty_tile(run, &t, index);
        return;
    }
    struct pz_splat_pixels p;
    memset(&p.rgb, 0, sizeof(p.rgb));
    memset(&p.last, 0, sizeof(p.last));
    for (int j = 0; j < 256; j++)
        p.t[j] = 1.0f;
    w->kern->tile(&t, &p);
    memcpy(w->t_final + (int64_t)index * 256, p.t, sizeof(p.t));
    memcpy(w->last + (int64_t)index * 256, p.last, sizeof(p.last));
    const int64_t area = (int64_t)w->width * w->height;
    for (int y = 0; y < 16; y++) {
        const int64_t at = (int64_t)(t.y0 + y) * w->width + t.x0;
        for (int c = 0; c < 3; c++) {
            float *o = run->rgb + c * area + at;
            for (int x = 0; x < 16; x++)
                o[x] = p.rgb[c][y * 16 + x];
            if (run->bg)
                for (int x = 0; x < 16; x++)
                    o[x] += p.t[y * 16 + x] * run->bg[c * area + at + x];
        }
        if (run->through)
            memcpy(run->through + at, p.t + (ptrdiff_t)y * 16, sizeof(float) * 16);
    }
}

static void draw_tile_row(void *user, int row, int worker)
{
    const struct tile_run *run = user;
    for (int x = 0; x < run->w->tiles_x; x++)
        draw_tile(run, row * run->w->tiles_x + x);
}

enum pz_status pz_splat_draw(struct pz_splat_work *w, const struct pz_splat_set *s,
                             const struct pz_splat_camera *cam, const float *m, const float *bg, float *rgb,
                             float *through, struct pz_pool *pool)
{
    if (s->cap > w->cap || s->n > s->cap || s->n < 0 || (s->k > 0 && !m))
        return PZ_ERR_USAGE;
    /* The planes of the work are strided by the set's cap when that is smaller. */
    const int cap = s->cap;
    float *p = w->screen;
    float **planes[9] = {&w->scr.x,     &w->scr.y,  &w->scr.a,  &w->scr.b,    &w->scr.c,
                         &w->scr.alpha, &w->scr.rx, &w->scr.ry, &w->scr.depth};
    for (int j = 0; j < 9; j++)
        *planes[j] = p + (int64_t)j * cap;
    w->scr.cap = cap;
    w->kern->blend(s, m, w->moved);
    w->kern->project(s, w->moved, cam, &w->scr);
    gather_items(w, s->n);
    const enum pz_status st = bin_items(w);
    if (st < PZ_OK)
        return st;
    struct tile_run run = {w, bg, rgb, through};
    pz_pool_run(pool, draw_tile_row, &run, w->tiles_y);
    return PZ_OK;
}

void pz_splat_where(const struct pz_splat_work *w, int i, float *x, float *y, float *radius)
{
    int rect[4];
    const struct pz_splat_screen *s = &w->scr;
    *x = s->x[i];
    *y = s->y[i];
    const bool seen = i < w->n && tile_rect(w, s->x[i], s->y[i], s->rx[i], s->ry[i], rect);
    *radius = !seen ? 0.0f : s->rx[i] > s->ry[i] ? s->rx[i] : s->ry[i];
}

/** Tile pass of the gradient: fills w->sums and the background gradient. */
static void tiles_back(struct pz_splat_work *w, const float *bg, const float *g_rgb, const float *g_through,
                       float *g_bg)
{
    const int64_t area = (int64_t)w->width * w->height;
    struct pz_splat_pixels p;
    float behind[256] __attribute__((aligned(64))), g[768] __attribute__((aligned(64)));
    for (int index = 0; index < w->tiles_x * w->tiles_y; index++) {
        const struct pz_splat_tile t = tile_of(w, index);
        if (!t.n_list && !g_bg)
            continue;
        memcpy(p.t, w->t_final + (int64_t)index * 256, sizeof(p.t));
        memcpy(p.last, w->last + (int64_t)index * 256, sizeof(p.last));
        bool any = false;
        for (int j = 0; j < 256; j++) {
            const int64_t at = (int64_t)(t.y0 + j / 16) * w->width + t.x0 + j % 16;
            float dot = g_through ? g_through[at] : 0.0f;
            for (int c = 0; c < 3; c++) {
                const float v = g_rgb[c * area + at];
                g[c * 256 + j] = v;
                any = any || v != 0.0f;
                if (bg)
                    dot += bg[c * area + at] * v;
                if (g_bg)
                    g_bg[c * area + at] = p.t[j] * v;
            }
            behind[j] = p.t[j] * dot;
            any = any || dot != 0.0f;
        }
        if (any && t.n_list)
            w->kern->tile_back(&t, &p, behind, g, w->sums);
    }
}

void pz_splat_gradient(struct pz_splat_work *w, const struct pz_splat_set *s,
                       const struct pz_splat_camera *cam, const float *m, const float *bg, const float *g_rgb,
                       const float *g_through, struct pz_splat_gradient *out)
{
    const int cap = s->cap, n = s->n;
    memset(w->sums, 0, sizeof(float) * (size_t)n * PZ_SUM_COUNT);
    tiles_back(w, bg, g_rgb, g_through, out->bg);
    memset(w->g_screen, 0, sizeof(float) * 9 * (size_t)cap);
    float *gs = w->g_screen;
    const struct pz_splat_screen *scr = &w->scr;
    if (out->screen)
        memset(out->screen, 0, sizeof(float) * (size_t)cap);
    for (int j = 0; j < w->n_items; j++) {
        const int i = w->items[j].id;
        const float *q = w->sums + (ptrdiff_t)i * PZ_SUM_COUNT;
        for (int c = 0; c < 4; c++)
            gs[(int64_t)c * cap + i] = q[c];
        const float gx = scr->a[i] * q[PZ_SUM_VX] + scr->b[i] * q[PZ_SUM_VY];
        const float gy = scr->b[i] * q[PZ_SUM_VX] + scr->c[i] * q[PZ_SUM_VY];
        gs[4 * (int64_t)cap + i] = gx;
        gs[5 * (int64_t)cap + i] = gy;
        gs[6 * (int64_t)cap + i] = 0.5f * q[PZ_SUM_VXX];
        gs[7 * (int64_t)cap + i] = q[PZ_SUM_VXY];
        gs[8 * (int64_t)cap + i] = 0.5f * q[PZ_SUM_VYY];
        if (out->screen)
            out->screen[i] = sqrtf(gx * gx + gy * gy);
    }
    double g_q[8] = {0}, pose[6];
    w->kern->project_back(s, w->moved, cam, scr, gs, out->blended, g_q);
    pz_splat_pose_gradient(cam, g_q, pose);
    for (int j = 0; j < 6; j++)
        out->pose[j] = (float)pose[j];
    if (out->m)
        pz_splat_motion_gradient(s, out->blended, out->m);
}
