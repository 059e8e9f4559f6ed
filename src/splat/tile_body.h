/**
 * Inside the splat module: the tile kernels on vec.h, one row (or half row) of a tile at a time. Same
 * arithmetic as body_pixel() and body_pixel_back(), which explain it.
 */
#include <stdbool.h>
#include <string.h>

#include "splat/vec.h"

#define TILE_PARTS (16 / VF_LANES)

/** Rows of the tile a Gaussian can reach. */
static inline void tile_rows(const struct pz_splat_tile *t, const struct pz_splat_item *g, int *y0, int *y1)
{
    const float lo = g->y - g->ry - (float)t->y0 - 0.5f, hi = g->y + g->ry - (float)t->y0 - 0.5f;
    *y0 = lo > 0.0f ? (int)ceilf(lo) : 0;
    *y1 = hi < 15.0f ? (int)floorf(hi) : 15;
}

static inline vf tile_columns(int x0, int part)
{
    float px[VF_LANES] __attribute__((aligned(64)));
    for (int l = 0; l < VF_LANES; l++)
        px[l] = (float)(x0 + part * VF_LANES + l) + 0.5f;
    return vf_load(px);
}

/** True when columns of this part lie outside the Gaussian's extent. */
static inline bool tile_skip(const struct pz_splat_item *g, int x0, int part)
{
    const float lo = (float)(x0 + part * VF_LANES), hi = lo + VF_LANES;
    return TILE_PARTS > 1 && (g->x + g->rx < lo || g->x - g->rx > hi);
}

static void tile_forward(const struct pz_splat_tile *t, struct pz_splat_pixels *p)
{
    const vf alpha_max = vf_set(0.99f), alpha_min = vf_set(1.0f / 255.0f), t_min = vf_set(1e-4f),
             zero = vf_set(0.0f);
    const vf one = vf_set(1.0f);
    for (int part = 0; part < TILE_PARTS; part++) {
        const vf px = tile_columns(t->x0, part);
        uint32_t open = 0xffff; /* rows with unfinished pixels */
        for (int k = 0; k < t->n_list && open; k++) {
            const struct pz_splat_item *g = &t->items[t->list[k]];
            if (tile_skip(g, t->x0, part))
                continue;
            int y0, y1;
            tile_rows(t, g, &y0, &y1);
            const vf dx = vf_sub(vf_set(g->x), px);
            const vf sxx = vf_mul(vf_set(0.5f * g->a), vf_mul(dx, dx)), bx = vf_mul(vf_set(g->b), dx);
            const vf peak = vf_set(g->alpha), cr = vf_set(g->rgb[0]), cg = vf_set(g->rgb[1]),
                     cb = vf_set(g->rgb[2]);
            const vf index = vf_set((float)(k + 1));
            const float half_c = 0.5f * g->c;
            for (int y = y0; y <= y1; y++) {
                if (!(open >> y & 1))
                    continue;
                const int j = y * 16 + part * VF_LANES;
                const float dy = g->y - ((float)(t->y0 + y) + 0.5f);
                const vf s = vf_fma(bx, vf_set(dy), vf_add(sxx, vf_set(half_c * dy * dy)));
                const vf alpha = vf_min(vf_mul(peak, vf_exp_neg(s)), alpha_max);
                const vf tr = vf_load(p->t + j);
                vmask hit = vm_and(vf_ge(alpha, alpha_min), vf_gt(tr, zero));
                if (!vm_any(hit))
                    continue;
                const vf next = vf_mul(tr, vf_sub(one, alpha));
                const vmask go = vm_and(hit, vf_gt(next, t_min));
                const vmask stop = vm_andnot(hit, go);
                const vf w = vf_keep(go, vf_mul(alpha, tr));
                vf_store(p->rgb[0] + j, vf_fma(w, cr, vf_load(p->rgb[0] + j)));
                vf_store(p->rgb[1] + j, vf_fma(w, cg, vf_load(p->rgb[1] + j)));
                vf_store(p->rgb[2] + j, vf_fma(w, cb, vf_load(p->rgb[2] + j)));
                vf_store(p->last + j, vf_pick(go, index, vf_load(p->last + j)));
                const vf after = vf_pick(stop, vf_sub(zero, tr), vf_pick(go, next, tr));
                vf_store(p->t + j, after);
                if (vm_any(stop) && !vm_any(vf_gt(after, zero)))
                    open &= ~(1u << y);
            }
        }
    }
    for (int j = 0; j < 256; j++)
        p->t[j] = fabsf(p->t[j]);
}

static void tile_backward(const struct pz_splat_tile *t, struct pz_splat_pixels *p, float *behind,
                          const float *g_rgb, float *sums)
{
    const vf alpha_max = vf_set(0.99f), alpha_min = vf_set(1.0f / 255.0f), one = vf_set(1.0f),
             zero = vf_set(0.0f);
    for (int part = 0; part < TILE_PARTS; part++) {
        const vf px = tile_columns(t->x0, part);
        float deepest = 0.0f;
        for (int y = 0; y < 16; y++)
            for (int l = 0; l < VF_LANES; l++) {
                const float v = p->last[y * 16 + part * VF_LANES + l];
                deepest = v > deepest ? v : deepest;
            }
        for (int k = (int)deepest - 1; k >= 0; k--) {
            const struct pz_splat_item *g = &t->items[t->list[k]];
            if (tile_skip(g, t->x0, part))
                continue;
            int y0, y1;
            tile_rows(t, g, &y0, &y1);
            const vf dx = vf_sub(vf_set(g->x), px);
            const vf sxx = vf_mul(vf_set(0.5f * g->a), vf_mul(dx, dx)), bx = vf_mul(vf_set(g->b), dx);
            const vf peak = vf_set(g->alpha), cr = vf_set(g->rgb[0]), cg = vf_set(g->rgb[1]),
                     cb = vf_set(g->rgb[2]);
            const vf index = vf_set((float)k);
            const float half_c = 0.5f * g->c;
            vf sr = zero, sg = zero, sb = zero, sa = zero, svx = zero, svy = zero, svxy = zero, svyy = zero;
            vf svxx = zero;
            bool any = false;
            for (int y = y0; y <= y1; y++) {
                const int j = y * 16 + part * VF_LANES;
                const float dyf = g->y - ((float)(t->y0 + y) + 0.5f);
                const vf dy = vf_set(dyf);
                const vf s = vf_fma(bx, dy, vf_add(sxx, vf_set(half_c * dyf * dyf)));
                const vf e = vf_exp_neg(s);
                const vf raw = vf_mul(peak, e), alpha = vf_min(raw, alpha_max);
                const vmask hit = vm_and(vf_ge(alpha, alpha_min), vf_gt(vf_load(p->last + j), index));
                if (!vm_any(hit))
                    continue;
                any = true;
                const vf back = vf_div(one, vf_sub(one, alpha));
                const vf tr = vf_mul(vf_load(p->t + j), back), u = vf_load(behind + j);
                const vf gr = vf_load(g_rgb + j), gg = vf_load(g_rgb + 256 + j),
                         gb = vf_load(g_rgb + 512 + j);
                const vf dot = vf_fma(cr, gr, vf_fma(cg, gg, vf_mul(cb, gb)));
                const vf w = vf_keep(hit, vf_mul(alpha, tr));
                const vf ga = vf_keep(hit, vf_sub(vf_mul(tr, dot), vf_mul(back, u)));
                vf_store(p->t + j, vf_pick(hit, tr, vf_load(p->t + j)));
                vf_store(behind + j, vf_fma(w, dot, u));
                sr = vf_fma(w, gr, sr);
                sg = vf_fma(w, gg, sg);
                sb = vf_fma(w, gb, sb);
                const vf free_ga = vf_keep(vf_gt(alpha_max, raw), ga);
                sa = vf_fma(e, free_ga, sa);
                const vf v = vf_mul(vf_sub(zero, raw), free_ga), vy = vf_mul(v, dy);
                svy = vf_add(svy, vy);
                svyy = vf_fma(vy, dy, svyy);
                svx = vf_fma(v, dx, svx);
                svxy = vf_fma(vy, dx, svxy);
            }
            if (!any)
                continue;
            svxx = vf_mul(svx, dx);
            float *o = sums + (ptrdiff_t)g->id * PZ_SUM_COUNT;
            o[PZ_SUM_R] += vf_sum(sr);
            o[PZ_SUM_G] += vf_sum(sg);
            o[PZ_SUM_B] += vf_sum(sb);
            o[PZ_SUM_ALPHA] += vf_sum(sa);
            o[PZ_SUM_VX] += vf_sum(svx);
            o[PZ_SUM_VY] += vf_sum(svy);
            o[PZ_SUM_VXX] += vf_sum(svxx);
            o[PZ_SUM_VXY] += vf_sum(svxy);
            o[PZ_SUM_VYY] += vf_sum(svyy);
        }
    }
}
