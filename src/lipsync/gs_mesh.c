/**
 * From landmarks to Gaussians: frontal mean points are triangulated (the landmark set's own triangles), two
 * rings are added below the jaw, and Gaussians are placed on a grid that is even in picture px. A Gaussian
 * inherits the motion of the triangle it lies on.
 */
#include "lipsync/gs_mesh.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "lipsync/gs_skin.h"

#define RINGS 3
#define OUTLINE_POINTS 56
#define SKIN_PX 2.5f
#define LIP_PX 1.5f
#define TEETH_PX 2.0f
#define NET_PX 5.0f

static const float ring_out[RINGS] = {1.10f, 1.24f, 1.45f}; /* distance from the mouth, the jaw line is 1 */
static const float ring_back[RINGS] = {0.05f, 0.14f, 0.22f};
static const float ring_moves[RINGS] = {0.75f, 0.40f, 0.10f};

struct mesh {
    const struct pz_motion_space *space;
    const struct pz_face_topology *topo;
    int n, k, n_tri;
    float *p;     /* [n][3] */
    float *basis; /* [k][n][3] per internal unit of motion */
    const float *unit;
    int (*tri)[3];
    float mouth[3], half_width, nose_y, chin_y;
};

static const float *mean_of(const struct mesh *h, int i)
{
    return h->p + (ptrdiff_t)3 * i;
}

static void measure(struct mesh *h)
{
    const struct pz_face_topology *t = h->topo;
    const float *m = h->space->mean;
    for (int a = 0; a < 3; a++)
        h->mouth[a] = 0.5f * (m[3 * t->mouth_corner[0] + a] + m[3 * t->mouth_corner[1] + a]);
    h->half_width = 0.5f * fabsf(m[3 * t->mouth_corner[0]] - m[3 * t->mouth_corner[1]]);
    h->nose_y = m[3 * t->nose_tip + 1];
    h->chin_y = m[3 * t->chin + 1];
}

void pz_gs_mesh_extent(const struct pz_motion_space *space, const struct pz_face_topology *topo,
                       float half[2], float focus[3])
{
    struct mesh h = {.space = space, .topo = topo};
    measure(&h);
    const float top = h.mouth[1] + 0.80f * (h.nose_y - h.mouth[1]), bottom = h.chin_y - 0.24f;
    focus[0] = h.mouth[0];
    focus[1] = 0.5f * (top + bottom);
    focus[2] = h.mouth[2];
    half[0] = 2.30f * h.half_width + 0.06f;
    half[1] = 0.5f * (top - bottom) + 0.08f;
}

/** Distance from the mouth to the face contour along a direction in the frontal plane; 0 when it is not met.
 */
static float oval_radius(const struct mesh *h, float dx, float dy)
{
    const struct pz_face_topology *t = h->topo;
    float best = 0.0f;
    for (int i = 0; i < t->n_oval; i++) {
        const float *a = mean_of(h, t->oval[i]), *b = mean_of(h, t->oval[(i + 1) % t->n_oval]);
        const float ax = a[0] - h->mouth[0], ay = a[1] - h->mouth[1], ex = b[0] - a[0], ey = b[1] - a[1];
        const float det = dx * ey - dy * ex;
        if (fabsf(det) < 1e-9f)
            continue;
        const float r = (ax * ey - ay * ex) / det, s = (ax * dy - ay * dx) / det;
        if (r > best && s >= 0.0f && s <= 1.0f)
            best = r;
    }
    return best;
}

/** Frontal outline of what is pasted, as a radius from the mouth. */
static float outline_radius(const struct mesh *h, float dx, float dy)
{
    const float top = 0.66f * (h->nose_y - h->mouth[1]), bottom = h->mouth[1] - h->chin_y + 0.15f;
    const float rx = 2.05f * h->half_width, ry = dy > 0.0f ? top : bottom, p = 2.4f;
    float r = powf(powf(fabsf(dx) / rx, p) + powf(fabsf(dy) / ry, p), -1.0f / p);
    const float oval = oval_radius(h, dx, dy);
    if (oval > 0.0f) {
        const float down = dy < 0.0f ? dy * dy : 0.0f;
        const float most = oval - 0.05f + 0.20f * down * down;
        r = r < most ? r : most;
    }
    return r;
}

static enum pz_status build_mesh(struct mesh *h)
{
    const struct pz_face_topology *t = h->topo;
    const struct pz_motion_space *s = h->space;
    h->k = s->n_components;
    measure(h);
    int lower = 0;
    for (int i = 0; i < t->n_oval; i++)
        lower += s->mean[3 * t->oval[i] + 1] < h->mouth[1] + 0.15f;
    const int np = s->n_points;
    h->p = pz_calloc((size_t)(np + RINGS * t->n_oval) * 3, sizeof(float));
    h->basis = pz_calloc((size_t)(np + RINGS * t->n_oval) * 3 * (size_t)h->k, sizeof(float));
    h->tri = pz_calloc((size_t)t->n_triangles + (size_t)t->n_oval * RINGS * 2, sizeof(*h->tri));
    if (!h->p || !h->basis || !h->tri)
        return PZ_ERR_NOMEM;
    h->n = np + RINGS * t->n_oval;
    memcpy(h->p, s->mean, sizeof(float) * 3 * (size_t)np);
    for (int kk = 0; kk < h->k; kk++)
        for (int i = 0; i < 3 * np; i++)
            h->basis[(size_t)kk * (size_t)h->n * 3 + (size_t)i] =
                s->basis[(size_t)kk * (size_t)np * 3 + (size_t)i] / h->unit[kk];
    for (int i = 0; i < t->n_triangles; i++)
        for (int j = 0; j < 3; j++)
            h->tri[i][j] = t->triangles[i][j];
    h->n_tri = t->n_triangles;
    for (int q = 0; q < RINGS; q++)
        for (int i = 0; i < t->n_oval; i++) {
            const int from = t->oval[i], to = np + q * t->n_oval + i;
            float *p = h->p + (ptrdiff_t)3 * to;
            const float *o = mean_of(h, from);
            for (int a = 0; a < 2; a++)
                p[a] = h->mouth[a] + ring_out[q] * (o[a] - h->mouth[a]);
            p[2] = o[2] - ring_back[q];
            for (int kk = 0; kk < h->k; kk++)
                for (int a = 0; a < 3; a++)
                    h->basis[((size_t)kk * (size_t)h->n + (size_t)to) * 3 + (size_t)a] =
                        ring_moves[q] * h->basis[((size_t)kk * (size_t)h->n + (size_t)from) * 3 + (size_t)a];
        }
    for (int q = 0; q < RINGS; q++)
        for (int i = 0; i < t->n_oval; i++) {
            const int j = (i + 1) % t->n_oval;
            if (s->mean[3 * t->oval[i] + 1] > h->mouth[1] + 0.15f &&
                s->mean[3 * t->oval[j] + 1] > h->mouth[1] + 0.15f)
                continue;
            const int a = q ? np + (q - 1) * t->n_oval + i : t->oval[i];
            const int b = q ? np + (q - 1) * t->n_oval + j : t->oval[j];
            const int c = np + q * t->n_oval + i, d = np + q * t->n_oval + j;
            const int t0[3] = {a, b, c}, t1[3] = {b, d, c};
            memcpy(h->tri[h->n_tri++], t0, sizeof(t0));
            memcpy(h->tri[h->n_tri++], t1, sizeof(t1));
        }
    return lower >= 3 ? PZ_OK : PZ_ERR_UNUSABLE;
}

static void free_mesh(struct mesh *h)
{
    pz_free(h->p);
    pz_free(h->basis);
    pz_free(h->tri);
}

/** A place on the mesh: corners and their weights. */
struct place {
    int v[3];
    float w[3];
};

/** Foremost triangle under a frontal point. */
static bool locate(const struct mesh *h, float x, float y, struct place *out)
{
    float best = -1e9f;
    for (int i = 0; i < h->n_tri; i++) {
        const float *a = mean_of(h, h->tri[i][0]), *b = mean_of(h, h->tri[i][1]),
                    *c = mean_of(h, h->tri[i][2]);
        const float det = (b[0] - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (b[1] - a[1]);
        if (fabsf(det) < 1e-9f)
            continue;
        const float u = ((x - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (y - a[1])) / det;
        const float v = ((b[0] - a[0]) * (y - a[1]) - (x - a[0]) * (b[1] - a[1])) / det;
        if (u < -1e-5f || v < -1e-5f || u + v > 1.0f + 1e-5f)
            continue;
        const float z = a[2] + u * (b[2] - a[2]) + v * (c[2] - a[2]);
        if (z <= best)
            continue;
        best = z;
        memcpy(out->v, h->tri[i], sizeof(out->v));
        out->w[0] = 1.0f - u - v;
        out->w[1] = u;
        out->w[2] = v;
    }
    return best > -1e9f;
}

static void place_point(const struct mesh *h, const struct place *pl, float p[3])
{
    for (int a = 0; a < 3; a++)
        p[a] = pl->w[0] * mean_of(h, pl->v[0])[a] + pl->w[1] * mean_of(h, pl->v[1])[a] +
               pl->w[2] * mean_of(h, pl->v[2])[a];
}

static void place_motion(const struct mesh *h, const struct place *pl, int k, float d[3])
{
    const float *b = h->basis + (size_t)k * (size_t)h->n * 3;
    for (int a = 0; a < 3; a++)
        d[a] =
            pl->w[0] * b[3 * pl->v[0] + a] + pl->w[1] * b[3 * pl->v[1] + a] + pl->w[2] * b[3 * pl->v[2] + a];
}

/** Unit normal towards the front. */
static void place_normal(const struct mesh *h, const struct place *pl, float n[3])
{
    const float *a = mean_of(h, pl->v[0]), *b = mean_of(h, pl->v[1]), *c = mean_of(h, pl->v[2]);
    const float u[3] = {b[0] - a[0], b[1] - a[1], b[2] - a[2]},
                v[3] = {c[0] - a[0], c[1] - a[1], c[2] - a[2]};
    n[0] = u[1] * v[2] - u[2] * v[1];
    n[1] = u[2] * v[0] - u[0] * v[2];
    n[2] = u[0] * v[1] - u[1] * v[0];
    float len = sqrtf(n[0] * n[0] + n[1] * n[1] + n[2] * n[2]) + 1e-12f;
    len = n[2] < 0.0f ? -len : len;
    for (int j = 0; j < 3; j++)
        n[j] /= len;
    if (n[2] < 0.3f) { /* folds of the landmark mesh: face the camera */
        n[0] = n[1] = 0.0f;
        n[2] = 1.0f;
    }
}

/** Append a disc of radius σ with its thin axis along `n`. False when the set is full. */
static bool add_disc(struct pz_splat_set *s, const float p[3], const float n[3], float sigma, float logit)
{
    if (s->n >= s->cap)
        return false;
    const int i = s->n++;
    for (int a = 0; a < 3; a++)
        pz_splat_plane(s, PZ_SPLAT_POS + a)[i] = p[a];
    /* Shortest turn from z to n. */
    const float w = 1.0f + n[2], len = sqrtf(w * w + n[0] * n[0] + n[1] * n[1]);
    pz_splat_plane(s, PZ_SPLAT_ROT)[i] = w / len;
    pz_splat_plane(s, PZ_SPLAT_ROT + 1)[i] = -n[1] / len;
    pz_splat_plane(s, PZ_SPLAT_ROT + 2)[i] = n[0] / len;
    pz_splat_plane(s, PZ_SPLAT_SCALE)[i] = pz_splat_plane(s, PZ_SPLAT_SCALE + 1)[i] = logf(sigma);
    pz_splat_plane(s, PZ_SPLAT_SCALE + 2)[i] = logf(0.25f * sigma);
    pz_splat_plane(s, PZ_SPLAT_OPACITY)[i] = logit;
    for (int c = 0; c < 3; c++)
        pz_splat_plane(s, PZ_SPLAT_COLOR + c)[i] = 0.5f;
    return true;
}

static bool inside(const float *xy, int stride, const int *ring, int n, float x, float y)
{
    bool in = false;
    for (int i = 0, j = n - 1; i < n; j = i++) {
        const float *a = xy + (ptrdiff_t)stride * (ring ? ring[i] : i),
                    *b = xy + (ptrdiff_t)stride * (ring ? ring[j] : j);
        if ((a[1] > y) != (b[1] > y) && x < (b[0] - a[0]) * (y - a[1]) / (b[1] - a[1]) + a[0])
            in = !in;
    }
    return in;
}

static enum pz_status make_curves(struct mesh *h, struct pz_gs_model *m)
{
    enum pz_status st = pz_gs_curve_alloc(&m->outline, OUTLINE_POINTS, h->k);
    if (st == PZ_OK)
        st = pz_gs_curve_alloc(&m->lips, h->topo->n_inner_lip, h->k);
    if (st < PZ_OK)
        return st;
    for (int i = 0; i < OUTLINE_POINTS; i++) {
        const float angle = 6.2831853f * (float)i / OUTLINE_POINTS, dx = cosf(angle), dy = sinf(angle);
        float r = outline_radius(h, dx, dy);
        struct place pl;
        while (r > 0.05f && !locate(h, h->mouth[0] + r * dx, h->mouth[1] + r * dy, &pl))
            r -= 0.01f;
        if (r <= 0.05f)
            return PZ_ERR_UNUSABLE;
        place_point(h, &pl, m->outline.mean + (ptrdiff_t)3 * i);
        for (int k = 0; k < h->k; k++)
            place_motion(h, &pl, k, m->outline.basis + ((ptrdiff_t)k * OUTLINE_POINTS + i) * 3);
    }
    for (int i = 0; i < m->lips.n; i++) {
        const int v = h->topo->inner_lip[i];
        memcpy(m->lips.mean + (ptrdiff_t)3 * i, mean_of(h, v), sizeof(float) * 3);
        for (int k = 0; k < h->k; k++)
            memcpy(m->lips.basis + ((ptrdiff_t)k * m->lips.n + i) * 3,
                   h->basis + ((size_t)k * (size_t)h->n + (size_t)v) * 3, sizeof(float) * 3);
    }
    return PZ_OK;
}

/** The net that carries real skin, over all of the mesh that a patch may show. */
static enum pz_status make_net(const struct mesh *h, struct pz_gs_model *m, float px_per_unit)
{
    const struct pz_face_topology *t = h->topo;
    struct pz_gs_skin *s = &m->skin;
    const float step = fmaxf(NET_PX / px_per_unit, 0.02f), half = 2.2f * h->half_width;
    const float top = h->mouth[1] + 0.8f * (h->nose_y - h->mouth[1]), bottom = h->chin_y - 0.24f;
    const int columns = (int)(2.0f * half / step) + 1, rows = (int)((top - bottom) / step) + 1;
    if (columns < 4 || rows < 4 || columns > 512 || rows > 512 || columns * rows > PZ_GS_SKIN_MAX)
        return PZ_OK; /* a face of no such shape does without */
    const enum pz_status st = pz_gs_curve_alloc(&s->net, columns * rows, h->k);
    s->on = pz_calloc((size_t)columns * (size_t)rows, 1);
    if (st < PZ_OK || !s->on)
        return PZ_ERR_NOMEM;
    s->columns = columns;
    for (int i = 0; i < s->net.n; i++) {
        const float x = h->mouth[0] - half + step * (float)(i % columns),
                    y = top - step * (float)(i / columns);
        struct place pl;
        if (inside(h->p, 3, t->inner_lip, t->n_inner_lip, x, y) || !locate(h, x, y, &pl))
            continue;
        s->on[i] = 1;
        place_point(h, &pl, s->net.mean + (ptrdiff_t)3 * i);
        for (int k = 0; k < h->k; k++)
            place_motion(h, &pl, k, s->net.basis + ((ptrdiff_t)k * s->net.n + i) * 3);
    }
    return PZ_OK;
}

static void sow_face(const struct mesh *h, struct pz_gs_model *m, float px_per_unit)
{
    const struct pz_face_topology *t = h->topo;
    struct pz_splat_set *s = &m->face;
    for (int lips = 0; lips < 2; lips++) {
        const float step = (lips ? LIP_PX : SKIN_PX) / px_per_unit, row = step * 0.8660254f;
        const float r = 2.5f * h->half_width + 0.6f;
        const int n_rows = (int)(2.0f * r / row), n_cols = (int)(2.0f * r / step);
        for (int q = 0; q < n_rows; q++)
            for (int c = 0; c < n_cols; c++) {
                const float dx = -r + step * ((float)c + (q & 1 ? 0.5f : 0.0f)), dy = -r + row * (float)q;
                const float x = h->mouth[0] + dx, y = h->mouth[1] + dy;
                const float len = sqrtf(dx * dx + dy * dy) + 1e-9f;
                if (len > outline_radius(h, dx / len, dy / len) + 0.07f)
                    continue;
                const float gx = h->mouth[0] + dx / 1.25f,
                            gy = h->mouth[1] + dy / 1.25f; /* lips grown by a quarter */
                const bool is_lip = inside(h->p, 3, t->outer_lip, t->n_outer_lip, gx, gy);
                if (is_lip != (lips == 1) || inside(h->p, 3, t->inner_lip, t->n_inner_lip, x, y))
                    continue;
                struct place pl;
                if (!locate(h, x, y, &pl))
                    continue;
                float p[3], n[3], d[3];
                place_point(h, &pl, p);
                place_normal(h, &pl, n);
                if (!add_disc(s, p, n, 0.62f * step, 0.85f))
                    return;
                for (int k = 0; k < h->k; k++) {
                    place_motion(h, &pl, k, d);
                    for (int a = 0; a < 3; a++)
                        pz_splat_plane(s, PZ_SPLAT_BASE + PZ_SPLAT_MOVING * k + a)[s->n - 1] = d[a];
                }
            }
    }
}

/** A grid of discs in the frontal plane that moves with share `moves` of the chin. */
static void sow_card(const struct mesh *h, struct pz_gs_model *m, float y0, float y1, float depth,
                     float moves, float step, float logit)
{
    static const float front[3] = {0.0f, 0.0f, 1.0f};
    struct pz_splat_set *s = &m->mouth;
    const float half = 0.96f * h->half_width;
    for (float y = y0; y <= y1; y += step)
        for (float x = -half; x <= half; x += step) {
            const float bend = x / half;
            const float p[3] = {h->mouth[0] + x, y, h->mouth[2] + 0.10f * (1.0f - bend * bend) - depth};
            if (!add_disc(s, p, front, 0.62f * step, logit))
                return;
            for (int k = 0; k < h->k; k++)
                for (int a = 0; a < 3; a++)
                    pz_splat_plane(s, PZ_SPLAT_BASE + PZ_SPLAT_MOVING * k + a)[s->n - 1] =
                        moves * h->basis[((size_t)k * (size_t)h->n + (size_t)h->topo->chin) * 3 + (size_t)a];
        }
}

static void sow_mouth(const struct mesh *h, struct pz_gs_model *m, float px_per_unit)
{
    const struct pz_face_topology *t = h->topo;
    float up = -1e9f, low = 1e9f;
    for (int i = 0; i < t->n_inner_lip; i++) {
        const float y = mean_of(h, t->inner_lip[i])[1];
        up = y > up ? y : up;
        low = y < low ? y : low;
    }
    const float step = TEETH_PX / px_per_unit;
    sow_card(h, m, up - 0.08f, up + 0.09f, 0.10f, 0.0f, step, 0.4f);
    sow_card(h, m, low - 0.09f, low + 0.06f, 0.13f, 1.0f, step, 0.4f);
    sow_card(h, m, low - 0.12f, up + 0.06f, 0.24f, 0.5f, 1.6f * step, 0.85f);
}

enum pz_status pz_gs_mesh_sow(struct pz_gs_model *m, const struct pz_motion_space *space,
                              const struct pz_face_topology *topo, float px_per_unit, int max_face,
                              struct pz_log *log)
{
    enum pz_status st;
    struct mesh h = {.space = space, .topo = topo};
    if (topo->n_points != space->n_points || topo->n_inner_lip < 4 || topo->n_inner_lip > PZ_GS_MAX_CURVE ||
        topo->n_oval < 8 || topo->n_triangles < 8)
        return pz_fail(log, PZ_ERR_UNUSABLE, "landmark set %s has no mouth or no triangles", topo->name);
    m->k = space->n_components;
    m->n_points = space->n_points;
    m->n_rigid = space->n_rigid;
    memcpy(m->rigid, space->rigid, sizeof(m->rigid));
    memcpy(m->rigid_center, space->rigid_center, sizeof(m->rigid_center));
    memcpy(m->topology, space->topology, sizeof(m->topology));
    for (int k = 0; k < m->k; k++) {
        const float u = space->deviation[k] / fmaxf(space->deviation[0], 1e-9f);
        m->unit[k] = fminf(fmaxf(u, 0.05f), 1.0f);
    }
    h.unit = m->unit;
    PZ_TRY(build_mesh(&h));
    PZ_TRY(make_curves(&h, m));
    PZ_TRY(make_net(&h, m, px_per_unit));
    PZ_TRY(pz_splat_set_alloc(&m->face, max_face, m->k));
    PZ_TRY(pz_splat_set_alloc(&m->mouth, 2600, m->k));
    sow_face(&h, m, px_per_unit);
    sow_mouth(&h, m, px_per_unit);
    st = m->face.n > 100 && m->mouth.n > 50 ? PZ_OK : PZ_ERR_UNUSABLE;
fail:
    free_mesh(&h);
    if (st == PZ_ERR_UNUSABLE)
        return pz_fail(log, st, "the tracked face has no mouth region that a Gaussian head can stand on");
    return st;
}
