/**
 * Adam over a set. Motion components get their gradient folded on the fly: ∂L/∂(component k) = m_k ·
 * ∂L/∂(blended).
 */
#include "splat/fit.h"

#include <math.h>

#include "splat/kernels.h"

enum pz_status pz_splat_optimiser_create(struct pz_splat_optimiser *o, const struct pz_splat_set *s)
{
    const struct pz_splat_optimiser none = {0};
    *o = none;
    enum pz_status st = pz_splat_set_alloc(&o->first, s->cap, s->k);
    if (st == PZ_OK)
        st = pz_splat_set_alloc(&o->second, s->cap, s->k);
    if (st < PZ_OK)
        pz_splat_optimiser_free(o);
    return st;
}

void pz_splat_optimiser_free(struct pz_splat_optimiser *o)
{
    pz_splat_set_free(&o->first);
    pz_splat_set_free(&o->second);
    o->step = 0;
}

struct step_run {
    struct pz_splat_optimiser *o;
    struct pz_splat_set *s;
    const struct pz_splat_rates *r;
    const struct pz_splat_kernels *kern;
    int batch;
    const float *const *blended, *const *m;
};

static float rate_of(const struct pz_splat_rates *r, int plane, bool moving)
{
    if (plane < PZ_SPLAT_OPACITY)
        return moving ? r->move_pos : r->pos;
    if (plane < PZ_SPLAT_COLOR)
        return moving ? r->move_opacity : r->opacity;
    if (plane < PZ_SPLAT_ROT)
        return moving ? r->move_color : r->color;
    return plane < PZ_SPLAT_SCALE ? r->rot : r->scale;
}

static void step_plane(void *user, int j, int worker)
{
    const struct step_run *run = user;
    const bool moving = j >= PZ_SPLAT_BASE;
    const int k = moving ? (j - PZ_SPLAT_BASE) / PZ_SPLAT_MOVING : 0;
    const int plane = moving ? (j - PZ_SPLAT_BASE) % PZ_SPLAT_MOVING : j;
    if (moving && k >= (plane < PZ_SPLAT_OPACITY ? run->r->move_pos_k : run->r->move_color_k))
        return;
    struct pz_splat_adam a = {
        .rate = rate_of(run->r, plane, moving), .beta1 = 0.9f, .beta2 = 0.99f, .epsilon = 1e-15f};
    if (a.rate <= 0.0f)
        return;
    a.correct1 = (float)(1.0 / (1.0 - pow(0.9, (double)run->o->step)));
    a.correct2 = (float)(1.0 / (1.0 - pow(0.99, (double)run->o->step)));
    a.decay = moving && plane >= PZ_SPLAT_OPACITY ? run->r->move_decay : 0.0f;
    const float *g[PZ_SPLAT_MAX_BATCH];
    float w[PZ_SPLAT_MAX_BATCH];
    for (int b = 0; b < run->batch; b++) {
        g[b] = run->blended[b] + (int64_t)plane * run->s->cap;
        w[b] = moving ? run->m[b][k] : 1.0f;
    }
    run->kern->adam(&a, run->s->n, run->batch, g, w, pz_splat_plane(run->s, j),
                    pz_splat_plane(&run->o->first, j), pz_splat_plane(&run->o->second, j));
}

void pz_splat_step(struct pz_splat_optimiser *o, struct pz_splat_set *s, const struct pz_splat_rates *r,
                   int batch, const float *const *blended, const float *const *m, enum pz_splat_rung rung,
                   struct pz_pool *pool)
{
    if (batch < 1 || batch > PZ_SPLAT_MAX_BATCH)
        return;
    o->step++;
    struct step_run run = {o, s, r, pz_splat_kernels_of(pz_splat_rung_best(rung)), batch, blended, m};
    pz_pool_run(pool, step_plane, &run, pz_splat_planes(s));
}
