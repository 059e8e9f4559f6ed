/* Builds the mesh of things around a head. Does: primitives. Does not: know what they stand for
 * (quick_hair.c, quick_wear.c). */
#include "quick_mesh.h"

#include <string.h>

#include "quick_arena.h"

enum pz_status pz_q_mesh_open(struct pz_log *log, struct pz_q_arena *a, int cap_v, int cap_t,
                              struct pz_q_mesh *m)
{
    memset(m, 0, sizeof *m);
    m->cap_v = cap_v;
    m->cap_t = cap_t;
    m->pos = pz_q_take(a, (size_t)cap_v, sizeof *m->pos);
    m->nrm = pz_q_take(a, (size_t)cap_v, sizeof *m->nrm);
    m->uv = pz_q_take(a, (size_t)cap_v, sizeof *m->uv);
    m->alpha = pz_q_take(a, (size_t)cap_v, sizeof *m->alpha);
    m->thin = pz_q_take(a, (size_t)cap_v, sizeof *m->thin);
    m->vertex_obj = pz_q_take(a, (size_t)cap_v, 1);
    m->space = pz_q_take(a, (size_t)cap_v, 1);
    m->pt = pz_q_take(a, (size_t)cap_v, sizeof *m->pt);
    m->tri = pz_q_take(a, (size_t)cap_t, 3 * sizeof *m->tri);
    m->obj = pz_q_take(a, (size_t)cap_t, 1);
    if (!m->pos || !m->nrm || !m->uv || !m->alpha || !m->thin || !m->vertex_obj || !m->space || !m->pt ||
        !m->tri || !m->obj)
        return pz_fail(log, PZ_ERR_NOMEM, "faces: out of memory for %d vertices", cap_v);
    return PZ_OK;
}

int pz_q_mesh_object(struct pz_q_mesh *m, enum pz_q_kind kind, enum pz_q_part part, struct v3 colour)
{
    int k = m->n_obj < PZ_Q_MAX_OBJ ? m->n_obj++ : PZ_Q_MAX_OBJ - 1;
    memset(&m->object[k], 0, sizeof m->object[k]);
    m->object[k].kind = kind;
    m->object[k].part = part;
    m->object[k].colour = m->object[k].colour2 = colour;
    m->object[k].gloss = .15f;
    m->object[k].power = 20.f;
    m->object[k].grain = 1.f;
    m->object[k].freq = 1.f;
    return k;
}

uint32_t pz_q_mesh_vertex(struct pz_q_mesh *m, enum pz_q_space space, struct v3 p, float u, float v,
                          float alpha)
{
    int k = m->n_v < m->cap_v ? m->n_v++ : m->cap_v - 1;
    m->pos[k] = p;
    m->uv[k][0] = u;
    m->uv[k][1] = v;
    m->alpha[k] = alpha;
    m->space[k] = (uint8_t)space;
    return (uint32_t)k;
}

void pz_q_mesh_triangle(struct pz_q_mesh *m, int obj, uint32_t a, uint32_t b, uint32_t c)
{
    if (m->n_t >= m->cap_t)
        return;
    uint32_t *t = m->tri + 3 * (size_t)m->n_t;
    t[0] = a;
    t[1] = b;
    t[2] = c;
    m->obj[m->n_t++] = (uint8_t)obj;
}

void pz_q_mesh_grid(struct pz_q_mesh *m, int obj, uint32_t first, int rows, int cols, int closed)
{
    for (int r = 0; r + 1 < rows; r++)
        for (int c = 0; c < cols - !closed; c++) {
            uint32_t a = first + (uint32_t)(r * cols + c), b = first + (uint32_t)(r * cols + (c + 1) % cols);
            pz_q_mesh_triangle(m, obj, a, a + (uint32_t)cols, b);
            pz_q_mesh_triangle(m, obj, b, a + (uint32_t)cols, b + (uint32_t)cols);
        }
}

void pz_q_mesh_tube(struct pz_q_mesh *m, int obj, enum pz_q_space space, const struct v3 *p, const float *r,
                    int n, int sides)
{
    uint32_t first = (uint32_t)m->n_v;
    if (m->n_v + n * sides + 2 > m->cap_v)
        return;
    struct v3 side = v3(0, 0, 0);
    for (int i = 0; i < n; i++) {
        struct v3 d = v3_norm(v3_sub(p[i + 1 < n ? i + 1 : i], p[i ? i - 1 : 0]));
        if (i == 0)
            side = fabsf(d.y) < .9f ? v3(0, 1, 0) : v3(1, 0, 0);
        side = v3_norm(v3_madd(side, d, -v3_dot(side, d)));
        struct v3 up = v3_cross(d, side);
        for (int k = 0; k < sides; k++) {
            float a = 6.2831853f * (float)k / (float)sides;
            struct v3 q = v3_madd(v3_madd(p[i], side, r[i] * cosf(a)), up, r[i] * sinf(a));
            pz_q_mesh_vertex(m, space, q, (float)k / (float)sides, (float)i / (float)n, 1.f);
        }
    }
    pz_q_mesh_grid(m, obj, first, n, sides, 1);
    uint32_t c0 = pz_q_mesh_vertex(m, space, p[0], 0, 0, 1.f),
             c1 = pz_q_mesh_vertex(m, space, p[n - 1], 0, 1, 1.f), last = first + (uint32_t)((n - 1) * sides);
    for (uint32_t k = 0; k < (uint32_t)sides; k++) {
        uint32_t e = (k + 1) % (uint32_t)sides;
        pz_q_mesh_triangle(m, obj, c0, first + k, first + e);
        pz_q_mesh_triangle(m, obj, c1, last + e, last + k);
    }
}

void pz_q_mesh_ellipsoid(struct pz_q_mesh *m, int obj, enum pz_q_space space, struct v3 o, struct v3 a,
                         struct v3 b, struct v3 c)
{
    enum { ROWS = 11, COLS = 16 };
    uint32_t first = (uint32_t)m->n_v;
    if (m->n_v + ROWS * COLS > m->cap_v)
        return;
    for (int i = 0; i < ROWS; i++)
        for (int k = 0; k < COLS; k++) {
            float t = 3.14159265f * (float)i / (ROWS - 1), w = 6.2831853f * (float)k / COLS;
            struct v3 p =
                v3_madd(v3_madd(v3_madd(o, b, cosf(t)), a, sinf(t) * cosf(w)), c, sinf(t) * sinf(w));
            pz_q_mesh_vertex(m, space, p, (float)k / COLS, (float)i / ROWS, 1.f);
        }
    pz_q_mesh_grid(m, obj, first, ROWS, COLS, 1);
}

void pz_q_mesh_box(struct pz_q_mesh *m, int obj, enum pz_q_space space, struct v3 o, struct v3 a, struct v3 b,
                   struct v3 c)
{
    const struct v3 ax[3] = {a, b, c};
    for (int f = 0; f < 6; f++) {
        struct v3 n = v3_scale(ax[f >> 1], f & 1 ? -1.f : 1.f), s = ax[((f >> 1) + 1) % 3],
                  t = ax[((f >> 1) + 2) % 3];
        uint32_t v[4];
        for (int k = 0; k < 4; k++)
            v[k] = pz_q_mesh_vertex(
                m, space, v3_madd(v3_madd(v3_add(o, n), s, k & 1 ? 1.f : -1.f), t, k & 2 ? 1.f : -1.f),
                (float)(k & 1), (float)(k >> 1), 1.f);
        pz_q_mesh_triangle(m, obj, v[0], v[1], v[2]);
        pz_q_mesh_triangle(m, obj, v[1], v[3], v[2]);
    }
}

void pz_q_mesh_normals(struct pz_q_mesh *m)
{
    memset(m->nrm, 0, (size_t)m->n_v * sizeof *m->nrm);
    for (int t = 0; t < m->n_t; t++) {
        const uint32_t *v = m->tri + 3 * (size_t)t;
        struct v3 n = v3_cross(v3_sub(m->pos[v[1]], m->pos[v[0]]), v3_sub(m->pos[v[2]], m->pos[v[0]]));
        for (int k = 0; k < 3; k++)
            m->nrm[v[k]] = v3_add(m->nrm[v[k]], n);
    }
    for (int v = 0; v < m->n_v; v++)
        m->nrm[v] = v3_norm(m->nrm[v]);
}
