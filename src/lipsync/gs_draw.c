/**
 * Drawing a mouth: both layers, the inner-lip hole and the feathered outline. Light, sharpness and grain are
 * matched by the compositor, not here.
 */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "image/mask.h"
#include "lipsync/gs_skin.h"

#define FEATHER 0.055f /* head units */

struct pz_gs_canvas {
    const struct pz_gs_model *m;
    struct pz_splat_work *face, *mouth;
    float *block;
    float *inner, *back; /* [3][H][W] */
    float *hole, *alpha, *through;
    float (*nodes)[2]; /* the skin's net */
    struct pz_rgb rgb;
};

void pz_gs_canvas_destroy(struct pz_gs_canvas **c)
{
    if (!c || !*c)
        return;
    pz_splat_work_destroy(&(*c)->face);
    pz_splat_work_destroy(&(*c)->mouth);
    pz_free((*c)->block);
    pz_free((*c)->nodes);
    pz_rgb_free(&(*c)->rgb);
    pz_free(*c);
    *c = NULL;
}

enum pz_status pz_gs_canvas_create(const struct pz_gs_model *m, enum pz_splat_rung rung,
                                   struct pz_gs_canvas **out)
{
    enum pz_status st;
    *out = NULL;
    struct pz_gs_canvas *c = pz_calloc(1, sizeof(*c));
    if (!c)
        return PZ_ERR_NOMEM;
    const size_t area = (size_t)m->width * (size_t)m->height;
    c->m = m;
    PZ_TRY(pz_splat_work_create(m->face.cap, m->width, m->height, rung, &c->face));
    PZ_TRY(pz_splat_work_create(m->mouth.cap, m->width, m->height, rung, &c->mouth));
    PZ_TRY(pz_rgb_alloc(&c->rgb, m->width, m->height));
    c->block = pz_calloc(area * 9, sizeof(float));
    c->nodes = pz_calloc((size_t)m->skin.net.n + 1, sizeof *c->nodes);
    st = c->block && c->nodes ? PZ_OK : PZ_ERR_NOMEM;
    PZ_TRY(st);
    c->inner = c->block;
    c->back = c->block + 3 * area;
    c->hole = c->block + 6 * area;
    c->alpha = c->block + 7 * area;
    c->through = c->block + 8 * area;
    *out = c;
    return PZ_OK;
fail:
    pz_gs_canvas_destroy(&c);
    return st;
}

/** Both layers into c->rgb, c->through: what neither the skin nor the open mouth covers. */
static enum pz_status draw_layers(struct pz_gs_canvas *c, const struct pz_splat_camera *cam, const float *m,
                                  struct pz_pool *pool)
{
    const struct pz_gs_model *g = c->m;
    const int64_t area = (int64_t)g->width * g->height;
    float ring[PZ_GS_MAX_CURVE][2];
    pz_gs_curve_px(&g->lips, g->k, m, cam, 1.0f, 2.0f, ring);
    enum pz_status st =
        pz_mask_polygon((const float(*)[2])ring, g->lips.n, c->hole, g->width, g->height, false);
    if (st < PZ_OK)
        return st;
    for (int ch = 0; ch < 3; ch++)
        for (int64_t i = 0; i < area; i++)
            c->back[ch * area + i] = g->cavity[ch];
    st = pz_splat_draw(c->mouth, &g->mouth, cam, m, c->back, c->inner, NULL, pool);
    if (st < PZ_OK)
        return st;
    for (int ch = 0; ch < 3; ch++)
        for (int64_t i = 0; i < area; i++)
            c->back[ch * area + i] = c->hole[i] * c->inner[ch * area + i];
    st = pz_splat_draw(c->face, &g->face, cam, m, c->back, c->rgb.data, c->through, pool);
    for (int64_t i = 0; i < area; i++)
        c->through[i] *= 1.0f - c->hole[i];
    return st;
}

static enum pz_status draw_outline(struct pz_gs_canvas *c, const struct pz_splat_camera *cam, const float *m,
                                   const float *film_m)
{
    const struct pz_gs_model *g = c->m;
    float ring[PZ_GS_MAX_CURVE][2];
    for (int pass = 0; pass < (film_m ? 2 : 1); pass++) {
        pz_gs_curve_px(&g->outline, g->k, pass ? film_m : m, cam, 1.0f, 0.0f, ring);
        const enum pz_status st =
            pz_mask_polygon((const float(*)[2])ring, g->outline.n, c->alpha, g->width, g->height, pass == 1);
        if (st < PZ_OK)
            return st;
    }
    return pz_mask_feather(c->alpha, g->width, g->height, FEATHER * cam->scale);
}

enum pz_status pz_gs_draw(struct pz_gs_canvas *c, const struct pz_face *face, const float *m,
                          const float *film_m, struct pz_pool *pool, struct pz_patch *patch)
{
    struct pz_gs_view v;
    const struct pz_gs_model *g = c->m;
    if (!pz_gs_view_of(g, face, &v))
        return PZ_ERR_USAGE;
    float to[PZ_MOTION_MAX], from[PZ_MOTION_MAX];
    pz_gs_limit_motion(g, m, to);
    if (film_m)
        pz_gs_limit_motion(g, film_m, from);
    enum pz_status st = draw_layers(c, &v.cam, to, pool);
    if (st == PZ_OK)
        st = draw_outline(c, &v.cam, to, film_m ? from : NULL);
    if (st < PZ_OK)
        return st;
    const int64_t area = (int64_t)g->width * g->height;
    for (int64_t i = 0; i < area; i++) {
        const float cover = 1.0f - c->through[i];
        const float inv = 1.0f / fmaxf(cover, 0.05f);
        for (int ch = 0; ch < 3; ch++) {
            const float v1 = c->rgb.data[ch * area + i] * inv;
            c->rgb.data[ch * area + i] = fminf(fmaxf(v1, 0.0f), 1.0f);
        }
        c->alpha[i] *= fminf(fmaxf((cover - 0.3f) * (1.0f / 0.6f), 0.0f), 1.0f);
    }
    const struct pz_gs_skin_map map = {c->back, c->back + area};
    pz_gs_skin_lay(g, &v.cam, to, c->nodes, &map);
    pz_gs_skin_apply(g, &map, c->hole, g->crisp, c->rgb.data, c->inner, c->inner + area, c->inner + 2 * area);
    patch->rgb = c->rgb;
    patch->alpha = c->alpha;
    patch->to_frame = v.to_frame;
    return PZ_OK;
}
