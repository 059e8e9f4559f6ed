/* Packs the head. Does: bytes for identity modes, sparse expressions in 16 bits, openness per vertex from
 * depth maps of 112 directions. Does not: choose what is drawn (asset.c). Source: fact sheet synth.md §3. */
#include "pack.h"

#include <string.h>

#include "asset.h"
#include "base/mem.h"
#include "quick_head.h"
#include "raster.h"
#include "weights/safetensors.h"

enum { N_DIR = 112 };

struct open_job {
    const struct pz_syn_asset *a;
    struct pz_syn_shadow sh;
    struct v3 *nrm;
    float *open;
};

static void draw_dir(void *user, int i, int worker)
{
    (void)worker;
    struct open_job *j = user;
    pz_syn_shadow_draw(&j->sh, i, j->a->tri, j->a->n_tri, j->a->neutral, NULL, 0);
}

static enum pz_status bake_open(struct pz_log *log, struct pz_pool *pool, const struct pz_syn_asset *a,
                                float *open)
{
    struct open_job j = {.a = a, .open = open};
    j.nrm = pz_calloc(PZ_SYN_N_VERTS, sizeof *j.nrm);
    if (!j.nrm || pz_syn_shadow_open(log, 16, 320, 24.f, v3(0, -3, 0), 0, &j.sh) != PZ_OK) {
        pz_free(j.nrm);
        return PZ_ERR_NOMEM;
    }
    for (int t = 0; t < a->n_tri; t++) {
        const uint32_t *v = a->tri + 3 * (size_t)t;
        struct v3 n =
            v3_cross(v3_sub(a->neutral[v[1]], a->neutral[v[0]]), v3_sub(a->neutral[v[2]], a->neutral[v[0]]));
        for (int k = 0; k < 3; k++)
            j.nrm[v[k]] = v3_add(j.nrm[v[k]], n);
    }
    for (int b = 0; b < N_DIR; b += 16) {
        for (int i = 0; i < 16; i++) {
            float y = 1.f - 2.f * ((float)(b + i) + .5f) / N_DIR, r = sqrtf(1.f - y * y),
                  w = 2.3999632f * (float)(b + i);
            pz_syn_shadow_aim(&j.sh, i, v3(r * cosf(w), y, r * sinf(w)));
        }
        pz_pool_run(pool, draw_dir, &j, 16);
        for (int i = 0; i < 16; i++)
            for (int v = 0; v < PZ_SYN_N_VERTS; v++) {
                struct v3 n = v3_norm(j.nrm[v]);
                float c = v3_dot(n, j.sh.dir[i]);
                if (c > 0.f)
                    open[v] +=
                        c * 4.f / N_DIR * pz_syn_shadow_get(&j.sh, i, v3_madd(a->neutral[v], n, .12f), .18f);
            }
    }
    pz_syn_shadow_close(&j.sh);
    pz_free(j.nrm);
    return PZ_OK;
}

struct packed {
    int8_t *mode;
    float scale[PZ_SYN_N_ID];
    int32_t count[PZ_SYN_N_EXPR], *vertex;
    int16_t *delta;
    float ex_scale[PZ_SYN_N_EXPR];
    uint8_t *open8;
    float *open;
    int n_sparse;
    char names[PZ_SYN_N_EXPR * 24];
};

static void fill(const struct pz_syn_asset *a, struct packed *p)
{
    for (int k = 0; k < PZ_SYN_N_ID; k++) {
        const float *d = (const void *)&a->identity[(size_t)k * PZ_SYN_N_VERTS];
        float top = 1e-9f;
        for (int i = 0; i < 3 * PZ_SYN_N_VERTS; i++)
            top = fmaxf(top, fabsf(d[i]));
        p->scale[k] = top / 127.f;
        for (int i = 0; i < 3 * PZ_SYN_N_VERTS; i++)
            p->mode[(size_t)k * 3 * PZ_SYN_N_VERTS + (size_t)i] = (int8_t)lrintf(d[i] / p->scale[k]);
    }
    int o = 0;
    for (int k = 0; k < PZ_SYN_N_EXPR; k++) {
        const struct pz_syn_sparse *e = &a->expr[k];
        float top = 1e-9f;
        for (int i = 0; i < e->n; i++)
            top = fmaxf(top, fmaxf(fabsf(e->delta[i].x), fmaxf(fabsf(e->delta[i].y), fabsf(e->delta[i].z))));
        p->ex_scale[k] = top / 32767.f;
        p->count[k] = e->n;
        for (int i = 0; i < e->n; i++, o++) {
            p->vertex[o] = e->vertex[i];
            p->delta[3 * o] = (int16_t)lrintf(e->delta[i].x / p->ex_scale[k]);
            p->delta[3 * o + 1] = (int16_t)lrintf(e->delta[i].y / p->ex_scale[k]);
            p->delta[3 * o + 2] = (int16_t)lrintf(e->delta[i].z / p->ex_scale[k]);
        }
        memcpy(p->names + 24 * k, a->expr_name[k], 24);
    }
    for (int v = 0; v < PZ_SYN_N_VERTS; v++)
        p->open8[v] = (uint8_t)lrintf(255.f * pz_clampf(p->open[v], 0.f, 1.f));
}

static enum pz_status write(struct pz_log *log, const struct pz_syn_asset *a, const struct packed *p,
                            const char *out)
{
    const int64_t V = PZ_SYN_N_VERTS, T = a->n_tri, S = p->n_sparse;
    const struct pz_stored_tensor t[] = {
        {"neutral", PZ_DTYPE_F32, 2, {V, 3}, a->neutral, 0},
        {"mode", PZ_DTYPE_I8, 3, {PZ_SYN_N_ID, V, 3}, p->mode, 0},
        {"mode_scale", PZ_DTYPE_F32, 1, {PZ_SYN_N_ID}, p->scale, 0},
        {"expression_name", PZ_DTYPE_U8, 2, {PZ_SYN_N_EXPR, 24}, p->names, 0},
        {"expression_count", PZ_DTYPE_I32, 1, {PZ_SYN_N_EXPR}, p->count, 0},
        {"expression_scale", PZ_DTYPE_F32, 1, {PZ_SYN_N_EXPR}, p->ex_scale, 0},
        {"expression_vertex", PZ_DTYPE_I32, 1, {S}, p->vertex, 0},
        {"expression_delta", PZ_DTYPE_I16, 2, {S, 3}, p->delta, 0},
        {"triangle", PZ_DTYPE_I32, 2, {T, 3}, a->tri, 0},
        {"triangle_uv", PZ_DTYPE_F32, 3, {T, 3, 2}, a->tri_uv, 0},
        {"material", PZ_DTYPE_U8, 1, {T}, a->mat, 0},
        {"part", PZ_DTYPE_U8, 1, {V}, a->part, 0},
        {"lower", PZ_DTYPE_U8, 1, {V}, a->lower, 0},
        {"open", PZ_DTYPE_U8, 1, {V}, p->open8, 0},
    };
    const struct pz_stored_text meta[] = {
        {"licence", "ICT-FaceKit, MIT, (c) 2020 USC Institute for Creative Technologies"}};
    return pz_safetensors_write(log, out, t, (int)(sizeof t / sizeof *t), meta, 1);
}

enum pz_status pz_syn_pack(struct pz_log *log, struct pz_pool *pool, const char *head, const char *out)
{
    enum pz_status st = PZ_OK;
    struct pz_syn_asset a;
    memset(&a, 0, sizeof a);
    struct packed *p = pz_calloc(1, sizeof *p);
    if (!p)
        return pz_fail(log, PZ_ERR_NOMEM, "pack: out of memory");
    PZ_TRY(pz_syn_asset_open(log, head, &a));
    for (int k = 0; k < PZ_SYN_N_EXPR; k++)
        p->n_sparse += a.expr[k].n;
    p->mode = pz_calloc((size_t)PZ_SYN_N_ID * PZ_SYN_N_VERTS, 3);
    p->vertex = pz_calloc((size_t)p->n_sparse, sizeof *p->vertex);
    p->delta = pz_calloc((size_t)p->n_sparse, 3 * sizeof *p->delta);
    p->open = pz_calloc(PZ_SYN_N_VERTS, sizeof *p->open);
    p->open8 = pz_calloc(PZ_SYN_N_VERTS, 1);
    if (!p->mode || !p->vertex || !p->delta || !p->open || !p->open8)
        PZ_TRY(pz_fail(log, PZ_ERR_NOMEM, "pack: out of memory"));
    PZ_TRY(bake_open(log, pool, &a, p->open));
    fill(&a, p);
    PZ_TRY(write(log, &a, p, out));
fail:
    pz_free(p->mode);
    pz_free(p->vertex);
    pz_free(p->delta);
    pz_free(p->open);
    pz_free(p->open8);
    pz_free(p);
    pz_syn_asset_close(&a);
    return st;
}
