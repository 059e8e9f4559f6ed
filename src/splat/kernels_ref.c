/**
 * Plain C kernels: the truth the vector rungs are compared with. Nothing here depends on the processor.
 */
#include "splat/plane_body.h"

static struct body_item ref_item(const struct pz_splat_item *g)
{
    const struct body_item b = {
        g->x, g->y, g->a, g->b, g->c, g->alpha, {g->rgb[0], g->rgb[1], g->rgb[2]}, g->ry, g->id,
    };
    return b;
}

/** Rows of the tile a Gaussian can reach. */
static void ref_rows(const struct pz_splat_tile *t, const struct pz_splat_item *g, int *y0, int *y1)
{
    const float lo = g->y - g->ry - (float)t->y0 - 0.5f, hi = g->y + g->ry - (float)t->y0 - 0.5f;
    *y0 = lo > 0.0f ? (int)ceilf(lo) : 0;
    *y1 = hi < 15.0f ? (int)floorf(hi) : 15;
}

static void ref_tile(const struct pz_splat_tile *t, struct pz_splat_pixels *p)
{
    for (int k = 0; k < t->n_list; k++) {
        const struct pz_splat_item *src = &t->items[t->list[k]];
        const struct body_item g = ref_item(src);
        int y0, y1;
        ref_rows(t, src, &y0, &y1);
        for (int y = y0; y <= y1; y++) {
            for (int x = 0; x < 16; x++) {
                const int j = y * 16 + x;
                float rgb[3] = {p->rgb[0][j], p->rgb[1][j], p->rgb[2][j]};
                body_pixel(&g, (float)(t->x0 + x) + 0.5f, (float)(t->y0 + y) + 0.5f, &p->t[j], rgb,
                           &p->last[j], k);
                for (int c = 0; c < 3; c++)
                    p->rgb[c][j] = rgb[c];
            }
        }
    }
    for (int j = 0; j < 256; j++)
        p->t[j] = fabsf(p->t[j]);
}

static void ref_tile_back(const struct pz_splat_tile *t, struct pz_splat_pixels *p, float *behind,
                          const float *g_rgb, float *sums)
{
    for (int k = t->n_list - 1; k >= 0; k--) {
        const struct pz_splat_item *src = &t->items[t->list[k]];
        const struct body_item g = ref_item(src);
        float sum[PZ_SUM_COUNT] = {0};
        int y0, y1;
        ref_rows(t, src, &y0, &y1);
        for (int y = y0; y <= y1; y++) {
            for (int x = 0; x < 16; x++) {
                const int j = y * 16 + x;
                if ((float)k >= p->last[j])
                    continue;
                const float grad[3] = {g_rgb[j], g_rgb[256 + j], g_rgb[512 + j]};
                body_pixel_back(&g, (float)(t->x0 + x) + 0.5f, (float)(t->y0 + y) + 0.5f, &p->t[j],
                                &behind[j], grad, sum);
            }
        }
        for (int j = 0; j < PZ_SUM_COUNT; j++)
            sums[(ptrdiff_t)g.id * PZ_SUM_COUNT + j] += sum[j];
    }
}

const struct pz_splat_kernels pz_splat_kernels_ref = {
    .blend = plane_blend,
    .project = plane_project,
    .project_back = plane_project_back,
    .tile = ref_tile,
    .tile_back = ref_tile_back,
    .adam = plane_adam,
    .blur11 = plane_blur11,
};
