/**
 * The Gaussian head as a file: one safetensors file. Positions keep 32 bits (a half is 0.1 px at the chin),
 * the rest has
 * 16. The file is hostile when read.
 */
#include "lipsync/gs_model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "lipsync/gs_skin.h"
#include "tensor/half.h"
#include "weights/safetensors.h"

#define FILE_NAME "gaussians.safetensors"
#define FORMAT_NAME "pz-gaussian-head-2"
#define HEAD_VALUES 13
#define MAX_GAUSSIANS 65536
#define SKIN_TENSORS 4 /* the last of the file; a head may have no skin */

void pz_gs_model_free(struct pz_gs_model **m)
{
    if (!m || !*m)
        return;
    pz_splat_set_free(&(*m)->face);
    pz_splat_set_free(&(*m)->mouth);
    pz_gs_curve_free(&(*m)->outline);
    pz_gs_curve_free(&(*m)->lips);
    pz_gs_curve_free(&(*m)->skin.net);
    pz_free((*m)->skin.on);
    pz_free((*m)->skin.at);
    pz_free((*m)->skin.detail);
    pz_free(*m);
    *m = NULL;
}

/* ---- save
 * ---------------------------------------------------------------------------------------------------- */

/** Rows [0, n) of planes [from, to) as one block. */
static float *pack_planes(const struct pz_splat_set *s, int from, int to)
{
    float *out = pz_calloc((size_t)(to - from) * (size_t)s->n, sizeof(float));
    for (int j = from; out && j < to; j++)
        memcpy(out + (ptrdiff_t)(j - from) * s->n, pz_splat_plane(s, j), sizeof(float) * (size_t)s->n);
    return out;
}

struct packed {
    float *pos, *rest;
    uint16_t *half;
};

static enum pz_status pack_set(const struct pz_splat_set *s, struct packed *p)
{
    const int planes = pz_splat_planes(s);
    const size_t n = (size_t)(planes - 3) * (size_t)s->n;
    p->pos = pack_planes(s, 0, 3);
    p->rest = pack_planes(s, 3, planes);
    p->half = pz_calloc(n, sizeof(uint16_t));
    if (!p->pos || !p->rest || !p->half)
        return PZ_ERR_NOMEM;
    for (size_t i = 0; i < n; i++)
        p->half[i] = pz_f32_to_f16(p->rest[i]);
    return PZ_OK;
}

static void free_packed(struct packed *p)
{
    pz_free(p->pos);
    pz_free(p->rest);
    pz_free(p->half);
}

static uint16_t *half_of(const float *p, size_t n)
{
    uint16_t *out = pz_calloc(n + 1, sizeof *out);
    for (size_t i = 0; out && i < n; i++)
        out[i] = pz_f32_to_f16(p[i]);
    return out;
}

enum pz_status pz_gs_model_save(const struct pz_gs_model *m, const char *dir, struct pz_log *log)
{
    enum pz_status st;
    struct packed face = {0}, mouth = {0};
    const size_t n_net = (size_t)m->k * 3 * (size_t)m->skin.net.n,
                 area = (size_t)m->width * (size_t)m->height;
    const int columns = m->skin.columns > 0 ? m->skin.columns : 1;
    const bool skin = m->skin.detail && m->skin.at;
    uint16_t *net = half_of(m->skin.net.basis, skin ? n_net : 0),
             *detail = half_of(m->skin.detail, skin ? area : 0);
    char *path = pz_path_join(dir, FILE_NAME);
    st = path && net && detail ? PZ_OK : PZ_ERR_NOMEM;
    PZ_TRY(st);
    PZ_TRY(pack_set(&m->face, &face));
    PZ_TRY(pack_set(&m->mouth, &mouth));
    const float head[HEAD_VALUES] = {
        (float)m->width,    (float)m->height,   m->zoom,      m->focus[0],  m->focus[1],
        m->focus[2],        m->cavity[0],       m->cavity[1], m->cavity[2], m->rigid_center[0],
        m->rigid_center[1], m->rigid_center[2], m->crisp};
    float motion[4 * PZ_MOTION_MAX];
    for (int j = 0; j < m->k; j++) {
        motion[j] = m->unit[j];
        motion[m->k + j] = m->lo[j];
        motion[2 * m->k + j] = m->hi[j];
        motion[3 * m->k + j] = m->reach;
    }
    const int64_t planes = PZ_SPLAT_BASE + PZ_SPLAT_MOVING * m->k - 3, k = m->k;
    const struct pz_stored_tensor t[] = {
        {.name = "head", .dtype = PZ_DTYPE_F32, .rank = 1, .shape = {HEAD_VALUES}, .data = head},
        {.name = "motion", .dtype = PZ_DTYPE_F32, .rank = 2, .shape = {4, m->k}, .data = motion},
        {.name = "rigid", .dtype = PZ_DTYPE_I32, .rank = 1, .shape = {m->n_rigid}, .data = m->rigid},
        {.name = "face.position",
         .dtype = PZ_DTYPE_F32,
         .rank = 2,
         .shape = {3, m->face.n},
         .data = face.pos},
        {.name = "face.rest",
         .dtype = PZ_DTYPE_F16,
         .rank = 2,
         .shape = {planes, m->face.n},
         .data = face.half},
        {.name = "mouth.position",
         .dtype = PZ_DTYPE_F32,
         .rank = 2,
         .shape = {3, m->mouth.n},
         .data = mouth.pos},
        {.name = "mouth.rest",
         .dtype = PZ_DTYPE_F16,
         .rank = 2,
         .shape = {planes, m->mouth.n},
         .data = mouth.half},
        {.name = "outline.mean",
         .dtype = PZ_DTYPE_F32,
         .rank = 2,
         .shape = {m->outline.n, 3},
         .data = m->outline.mean},
        {.name = "outline.basis",
         .dtype = PZ_DTYPE_F32,
         .rank = 3,
         .shape = {k, m->outline.n, 3},
         .data = m->outline.basis},
        {.name = "lips.mean",
         .dtype = PZ_DTYPE_F32,
         .rank = 2,
         .shape = {m->lips.n, 3},
         .data = m->lips.mean},
        {.name = "lips.basis",
         .dtype = PZ_DTYPE_F32,
         .rank = 3,
         .shape = {k, m->lips.n, 3},
         .data = m->lips.basis},
        {.name = "skin.mean",
         .dtype = PZ_DTYPE_F32,
         .rank = 2,
         .shape = {m->skin.net.n, 3},
         .data = m->skin.net.mean},
        {.name = "skin.basis", .dtype = PZ_DTYPE_F16, .rank = 3, .shape = {k, m->skin.net.n, 3}, .data = net},
        {.name = "skin.at",
         .dtype = PZ_DTYPE_F32,
         .rank = 3,
         .shape = {m->skin.net.n / columns, columns, 2},
         .data = m->skin.at},
        {.name = "skin.detail",
         .dtype = PZ_DTYPE_F16,
         .rank = 2,
         .shape = {m->height, m->width},
         .data = detail},
    };
    char n_points[16], psnr[16];
    snprintf(n_points, sizeof(n_points), "%d", m->n_points);
    snprintf(psnr, sizeof(psnr), "%.3f", (double)m->heldout_psnr);
    const struct pz_stored_text meta[] = {
        {"format", FORMAT_NAME}, {"topology", m->topology}, {"n_points", n_points}, {"heldout_psnr", psnr}};
    const int n_tensors = (int)(sizeof(t) / sizeof(t[0])) - (skin ? 0 : SKIN_TENSORS);
    st = pz_safetensors_write(log, path, t, n_tensors, meta, 4);
fail:
    pz_free(net);
    pz_free(detail);
    free_packed(&face);
    free_packed(&mouth);
    pz_free(path);
    return st;
}

/* ---- load
 * ---------------------------------------------------------------------------------------------------- */

static bool all_finite(const float *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(p[i]))
            return false;
    return true;
}

static enum pz_status load_curve(struct pz_log *log, const struct pz_safetensors *f, const char *mean,
                                 const char *basis, int k, struct pz_gs_curve *c)
{
    const int64_t any[2] = {-1, 3};
    const struct pz_stored_tensor *tm, *tb;
    enum pz_status st = pz_safetensors_expect(log, f, mean, PZ_DTYPE_F32, 2, any, &tm);
    if (st < PZ_OK)
        return st;
    const int64_t n = tm->shape[0], full[3] = {k, n, 3};
    if (n < 3 || n > PZ_GS_MAX_CURVE)
        return pz_fail(log, PZ_ERR_FORMAT, "%s has %lld points, 3 to %d are allowed", mean, (long long)n,
                       PZ_GS_MAX_CURVE);
    st = pz_safetensors_expect(log, f, basis, PZ_DTYPE_F32, 3, full, &tb);
    if (st < PZ_OK)
        return st;
    st = pz_gs_curve_alloc(c, (int)n, k);
    if (st < PZ_OK)
        return st;
    memcpy(c->mean, tm->data, sizeof(float) * 3 * (size_t)n);
    memcpy(c->basis, tb->data, sizeof(float) * 3 * (size_t)(n * k));
    if (!all_finite(c->mean, 3 * (size_t)n) || !all_finite(c->basis, 3 * (size_t)(n * k)))
        return pz_fail(log, PZ_ERR_FORMAT, "%s holds values that are not finite", mean);
    return PZ_OK;
}

static enum pz_status load_set(struct pz_log *log, const struct pz_safetensors *f, const char *pos,
                               const char *rest, int *k, struct pz_splat_set *s)
{
    const int64_t any[2] = {3, -1};
    const struct pz_stored_tensor *tp, *tr = pz_safetensors_find(f, rest);
    enum pz_status st = pz_safetensors_expect(log, f, pos, PZ_DTYPE_F32, 2, any, &tp);
    if (st < PZ_OK)
        return st;
    const int64_t n = tp->shape[1], planes = tr && tr->rank == 2 ? tr->shape[0] : 0;
    const int64_t moving = planes - (PZ_SPLAT_BASE - 3);
    if (n < 1 || n > MAX_GAUSSIANS || moving < PZ_SPLAT_MOVING || moving % PZ_SPLAT_MOVING ||
        moving / PZ_SPLAT_MOVING > PZ_MOTION_MAX || (*k && moving / PZ_SPLAT_MOVING != *k))
        return pz_fail(log, PZ_ERR_FORMAT, "%s does not describe Gaussians (%lld, %lld planes)", rest,
                       (long long)n, (long long)planes);
    *k = (int)(moving / PZ_SPLAT_MOVING);
    const int64_t full[2] = {planes, n};
    st = pz_safetensors_expect(log, f, rest, PZ_DTYPE_F16, 2, full, &tr);
    if (st < PZ_OK)
        return st;
    st = pz_splat_set_alloc(s, (int)n, *k);
    if (st < PZ_OK)
        return st;
    s->n = (int)n;
    const uint16_t *half = tr->data;
    for (int64_t j = 0; j < 3; j++)
        memcpy(pz_splat_plane(s, (int)j), (const float *)tp->data + j * n, sizeof(float) * (size_t)n);
    for (int64_t j = 0; j < planes; j++)
        for (int64_t i = 0; i < n; i++)
            pz_splat_plane(s, (int)j + 3)[i] = pz_f16_to_f32(half[j * n + i]);
    for (int j = 0; j < pz_splat_planes(s); j++)
        if (!all_finite(pz_splat_plane(s, j), (size_t)n))
            return pz_fail(log, PZ_ERR_FORMAT, "%s holds values that are not finite", rest);
    return PZ_OK;
}

static enum pz_status load_head(struct pz_log *log, const struct pz_safetensors *f, struct pz_gs_model *m)
{
    const int64_t n_head[1] = {HEAD_VALUES}, any[1] = {-1};
    const struct pz_stored_tensor *t, *r;
    enum pz_status st = pz_safetensors_expect(log, f, "head", PZ_DTYPE_F32, 1, n_head, &t);
    if (st == PZ_OK)
        st = pz_safetensors_expect(log, f, "rigid", PZ_DTYPE_I32, 1, any, &r);
    if (st < PZ_OK)
        return st;
    const float *h = t->data;
    const char *format = pz_safetensors_text(f, "format"), *topo = pz_safetensors_text(f, "topology"),
               *points = pz_safetensors_text(f, "n_points"), *psnr = pz_safetensors_text(f, "heldout_psnr");
    if (!format || strcmp(format, FORMAT_NAME) != 0 || !topo || strlen(topo) >= sizeof(m->topology) ||
        !points)
        return pz_fail(log, PZ_ERR_FORMAT, "%s is not of the format %s", FILE_NAME, FORMAT_NAME);
    const long n_points = strtol(points, NULL, 10);
    bool ok = all_finite(h, HEAD_VALUES) && h[0] >= 16.0f && h[0] <= 1024.0f && h[1] >= 16.0f &&
              h[1] <= 1024.0f && h[2] > 1e-3f && h[2] <= 1.0f && n_points >= 1 &&
              n_points <= PZ_FACE_MAX_POINTS && r->shape[0] >= 1 && r->shape[0] <= PZ_MOTION_MAX_RIGID;
    const int32_t *rigid = r->data;
    for (int64_t i = 0; ok && i < r->shape[0]; i++)
        ok = rigid[i] >= 0 && rigid[i] < n_points;
    m->width = ok ? (int)h[0] : 0;
    m->height = ok ? (int)h[1] : 0;
    if (!ok || m->width % PZ_SPLAT_TILE || m->height % PZ_SPLAT_TILE)
        return pz_fail(log, PZ_ERR_FORMAT, "%s: head values out of range", FILE_NAME);
    snprintf(m->topology, sizeof m->topology, "%s", topo);
    m->n_points = (int)n_points;
    m->n_rigid = (int)r->shape[0];
    memcpy(m->rigid, rigid, sizeof(int32_t) * (size_t)m->n_rigid);
    m->zoom = h[2];
    memcpy(m->focus, h + 3, sizeof(m->focus));
    memcpy(m->cavity, h + 6, sizeof(m->cavity));
    memcpy(m->rigid_center, h + 9, sizeof(m->rigid_center));
    m->crisp = fminf(fmaxf(h[12], 0.0f), PZ_GS_CRISP_MAX);
    m->heldout_psnr = psnr ? strtof(psnr, NULL) : 0.0f;
    return PZ_OK;
}

static enum pz_status load_motion(struct pz_log *log, const struct pz_safetensors *f, struct pz_gs_model *m)
{
    const int64_t shape[2] = {4, m->k};
    const struct pz_stored_tensor *t;
    const enum pz_status st = pz_safetensors_expect(log, f, "motion", PZ_DTYPE_F32, 2, shape, &t);
    if (st < PZ_OK)
        return st;
    const float *v = t->data;
    if (!all_finite(v, 4 * (size_t)m->k))
        return pz_fail(log, PZ_ERR_FORMAT, "%s: motion holds values that are not finite", FILE_NAME);
    for (int j = 0; j < m->k; j++) {
        m->unit[j] = v[j];
        m->lo[j] = v[m->k + j];
        m->hi[j] = v[2 * m->k + j];
    }
    m->reach = v[3 * m->k];
    return PZ_OK;
}

static enum pz_status load_skin(struct pz_log *log, const struct pz_safetensors *f, struct pz_gs_model *m)
{
    struct pz_gs_skin *s = &m->skin;
    const struct pz_stored_tensor *tm, *tb, *ta = pz_safetensors_find(f, "skin.at"), *td;
    if (!ta)
        return PZ_OK;
    const int64_t any[3] = {-1, -1, 2}, size[2] = {m->height, m->width};
    enum pz_status st = pz_safetensors_expect(log, f, "skin.at", PZ_DTYPE_F32, 3, any, &ta);
    if (st < PZ_OK)
        return st;
    const int64_t rows = ta->shape[0], columns = ta->shape[1];
    if (rows < 2 || columns < 2 || rows > PZ_GS_SKIN_MAX || columns > PZ_GS_SKIN_MAX ||
        rows * columns > PZ_GS_SKIN_MAX)
        return pz_fail(log, PZ_ERR_FORMAT, "%s: the skin's net has an impossible size", FILE_NAME);
    const int64_t n = rows * columns, mean[2] = {n, 3}, basis[3] = {m->k, n, 3}, n_basis = 3 * n * m->k,
                  area = (int64_t)m->width * m->height;
    PZ_TRY(pz_safetensors_expect(log, f, "skin.mean", PZ_DTYPE_F32, 2, mean, &tm));
    PZ_TRY(pz_safetensors_expect(log, f, "skin.basis", PZ_DTYPE_F16, 3, basis, &tb));
    PZ_TRY(pz_safetensors_expect(log, f, "skin.detail", PZ_DTYPE_F16, 2, size, &td));
    PZ_TRY(pz_gs_curve_alloc(&s->net, (int)n, m->k));
    s->columns = (int)columns;
    s->at = pz_calloc((size_t)n * 2, sizeof(float));
    s->detail = pz_calloc((size_t)area, sizeof(float));
    st = s->at && s->detail ? PZ_OK : PZ_ERR_NOMEM;
    PZ_TRY(st);
    memcpy(s->net.mean, tm->data, sizeof(float) * 3 * (size_t)n);
    memcpy(s->at, ta->data, sizeof(float) * 2 * (size_t)n);
    for (int64_t i = 0; i < n_basis; i++)
        s->net.basis[i] = pz_f16_to_f32(((const uint16_t *)tb->data)[i]);
    for (int64_t i = 0; i < area; i++)
        s->detail[i] = pz_f16_to_f32(((const uint16_t *)td->data)[i]);
    if (!all_finite(s->net.mean, 3 * (size_t)n) || !all_finite(s->net.basis, (size_t)n_basis) ||
        !all_finite(&s->at[0][0], 2 * (size_t)n) || !all_finite(s->detail, (size_t)area))
        st = pz_fail(log, PZ_ERR_FORMAT, "%s: the skin holds values that are not finite", FILE_NAME);
fail:
    return st;
}

enum pz_status pz_gs_model_load(const char *dir, struct pz_log *log, struct pz_gs_model **out)
{
    enum pz_status st;
    struct pz_safetensors *f = NULL;
    *out = NULL;
    struct pz_gs_model *m = pz_calloc(1, sizeof(*m));
    char *path = pz_path_join(dir, FILE_NAME);
    st = m && path ? PZ_OK : PZ_ERR_NOMEM;
    PZ_TRY(st);
    PZ_TRY(pz_safetensors_open(log, path, &f));
    PZ_TRY(load_head(log, f, m));
    PZ_TRY(load_set(log, f, "face.position", "face.rest", &m->k, &m->face));
    PZ_TRY(load_set(log, f, "mouth.position", "mouth.rest", &m->k, &m->mouth));
    PZ_TRY(load_motion(log, f, m));
    PZ_TRY(load_curve(log, f, "outline.mean", "outline.basis", m->k, &m->outline));
    PZ_TRY(load_curve(log, f, "lips.mean", "lips.basis", m->k, &m->lips));
    PZ_TRY(load_skin(log, f, m));
    *out = m;
    m = NULL;
fail:
    pz_safetensors_close(&f);
    pz_free(path);
    pz_gs_model_free(&m);
    return st;
}
