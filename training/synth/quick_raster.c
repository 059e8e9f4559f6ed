/* Rasterises for the quick generator. Does: triangles with edge functions, four samples at once in vector
 * registers; faded triangles; depth maps. Does not: shade. Source: Pineda 1988. */
#include "quick_raster.h"

#include <string.h>

#include "quick_arena.h"
#include "quick_head.h"

const float PZ_Q_SX[4] = {.375f, .875f, .125f, .625f}, PZ_Q_SY[4] = {.125f, .375f, .625f, .875f};

typedef float f4 __attribute__((vector_size(16)));
typedef int32_t i4 __attribute__((vector_size(16)));

/** Is any lane of a comparison true? */
static inline int any(i4 m)
{
#if defined(__SSE2__) && defined(__GNUC__) && !defined(__clang__)
    return __builtin_ia32_movmskps((f4)m);
#else
    return m[0] | m[1] | m[2] | m[3];
#endif
}

static inline f4 splat(float x)
{
    return (f4){x, x, x, x};
}

enum pz_status pz_q_vis_open(struct pz_log *log, struct pz_q_arena *a, int w, int h, struct pz_q_vis *v)
{
    memset(v, 0, sizeof *v);
    v->w = w;
    v->h = h;
    v->q = pz_q_take(a, (size_t)w * (size_t)h, 4 * sizeof *v->q);
    v->id = pz_q_take(a, (size_t)w * (size_t)h, 4 * sizeof *v->id);
    if (!v->q || !v->id)
        return pz_fail(log, PZ_ERR_NOMEM, "faces: out of memory for %d x %d pixels", w, h);
    v->x0 = w;
    v->y0 = h;
    return PZ_OK;
}

void pz_q_vis_clear(struct pz_q_vis *v)
{
    for (int y = v->y0; y < v->y1; y++) {
        size_t o = ((size_t)y * (size_t)v->w + (size_t)v->x0) * 4, n = (size_t)(v->x1 - v->x0) * 4;
        if (v->x1 > v->x0) {
            memset(v->q + o, 0, n * sizeof *v->q);
            memset(v->id + o, 0, n * sizeof *v->id);
        }
    }
    v->x0 = v->w;
    v->y0 = v->h;
    v->x1 = v->y1 = 0;
}

struct box {
    int x0, y0, x1, y1; /**< inclusive */
};

/** Pixels a triangle may touch; false when none. Grows the touched region. */
static inline int bound(struct pz_q_vis *v, const struct pz_q_pt *a, const struct pz_q_pt *b,
                        const struct pz_q_pt *c, struct box *o)
{
    float xa = fminf(a->x, fminf(b->x, c->x)), xb = fmaxf(a->x, fmaxf(b->x, c->x));
    float ya = fminf(a->y, fminf(b->y, c->y)), yb = fmaxf(a->y, fmaxf(b->y, c->y));
    if (!(xb >= 0.f && yb >= 0.f && xa < (float)v->w && ya < (float)v->h))
        return 0;
    o->x0 = xa > 0.f ? (int)xa : 0;
    o->y0 = ya > 0.f ? (int)ya : 0;
    o->x1 = xb < (float)v->w ? (int)xb : v->w - 1;
    o->y1 = yb < (float)v->h ? (int)yb : v->h - 1;
    o->x1 = o->x1 < v->w ? o->x1 : v->w - 1;
    o->y1 = o->y1 < v->h ? o->y1 : v->h - 1;
    v->x0 = o->x0 < v->x0 ? o->x0 : v->x0;
    v->y0 = o->y0 < v->y0 ? o->y0 : v->y0;
    v->x1 = o->x1 >= v->x1 ? o->x1 + 1 : v->x1;
    v->y1 = o->y1 >= v->y1 ? o->y1 + 1 : v->y1;
    return 1;
}

/** Barycentric weights of b and c and 1/depth as planes over the picture. */
struct plane {
    float b0, bx, by, c0, cx, cy, q0, qx, qy;
};

static inline void planes(const struct pz_q_pt *a, const struct pz_q_pt *b, const struct pz_q_pt *c,
                          float inv, float ox, float oy, struct plane *p)
{
    float px = ox - a->x, py = oy - a->y;
    p->bx = (c->y - a->y) * inv;
    p->by = (a->x - c->x) * inv;
    p->cx = (a->y - b->y) * inv;
    p->cy = (b->x - a->x) * inv;
    p->b0 = px * p->bx + py * p->by;
    p->c0 = px * p->cx + py * p->cy;
    float db = b->q - a->q, dc = c->q - a->q;
    p->q0 = a->q + p->b0 * db + p->c0 * dc;
    p->qx = p->bx * db + p->cx * dc;
    p->qy = p->by * db + p->cy * dc;
}

static inline void triangle(struct pz_q_vis *v, const struct pz_q_pt *a, const struct pz_q_pt *b,
                            const struct pz_q_pt *c, float area, uint32_t id)
{
    struct box r;
    struct plane p;
    if (!bound(v, a, b, c, &r))
        return;
    planes(a, b, c, 1.f / area, (float)r.x0, (float)r.y0, &p);
    const f4 sx = {.375f, .875f, .125f, .625f}, sy = {.125f, .375f, .625f, .875f};
    f4 bs = splat(p.b0) + sx * p.bx + sy * p.by, cs = splat(p.c0) + sx * p.cx + sy * p.cy,
       qs = splat(p.q0) + sx * p.qx + sy * p.qy;
    const f4 zero = splat(-1e-5f), one = splat(1.f + 1e-5f);
    const i4 vid = {(int32_t)id, (int32_t)id, (int32_t)id, (int32_t)id};
    for (int y = r.y0; y <= r.y1; y++) {
        f4 bw = bs, cw = cs, qw = qs;
        size_t o = ((size_t)y * (size_t)v->w + (size_t)r.x0) * 4;
        float *vq = v->q + o;
        uint32_t *vi = v->id + o;
        for (int x = r.x0; x <= r.x1; x++, vq += 4, vi += 4) {
            f4 old;
            memcpy(&old, vq, 16);
            i4 m = (bw >= zero) & (cw >= zero) & (bw + cw <= one) & (qw > old);
            i4 oldi, qi, oi;
            memcpy(&oldi, vi, 16);
            memcpy(&qi, &qw, 16);
            memcpy(&oi, &old, 16);
            oi = (qi & m) | (oi & ~m);
            oldi = (vid & m) | (oldi & ~m);
            memcpy(vq, &oi, 16);
            memcpy(vi, &oldi, 16);
            bw += p.bx;
            cw += p.cx;
            qw += p.qx;
        }
        bs += p.by;
        cs += p.cy;
        qs += p.qy;
    }
}

void pz_q_draw(struct pz_q_vis *v, const struct pz_q_pt *pt, const uint32_t *tri, const uint8_t *key,
               uint32_t skip, int n, uint32_t first_id, int one_sided)
{
    for (int t = 0; t < n; t++) {
        uint32_t top = 0;
        if (key) {
            if (skip >> key[t] & 1u)
                continue;
            top = (uint32_t)key[t] << PZ_Q_ID_KEY;
        }
        const struct pz_q_pt *a = &pt[tri[3 * t]], *b = &pt[tri[3 * t + 1]], *c = &pt[tri[3 * t + 2]];
        float area = (b->x - a->x) * (c->y - a->y) - (b->y - a->y) * (c->x - a->x);
        /* y runs down, so outward triangles come out negative. */
        if (one_sided ? area > -1e-6f : fabsf(area) < 1e-6f)
            continue;
        if (a->q > 0.f && b->q > 0.f && c->q > 0.f)
            triangle(v, a, b, c, area, (first_id + (uint32_t)t) | top);
    }
}

void pz_q_draw_faded(struct pz_q_vis *v, const struct pz_q_head *h, const struct pz_q_pt *const t[3],
                     const float *alpha, const float *uv, float grain, uint32_t id)
{
    const struct pz_q_pt *a = t[0], *b = t[1], *c = t[2];
    struct box r;
    struct plane p;
    float area = (b->x - a->x) * (c->y - a->y) - (b->y - a->y) * (c->x - a->x);
    if (fabsf(area) < 1e-6f || !(a->q > 0.f && b->q > 0.f && c->q > 0.f) || !bound(v, a, b, c, &r))
        return;
    planes(a, b, c, 1.f / area, (float)r.x0, (float)r.y0, &p);
    const f4 sx = {.375f, .875f, .125f, .625f}, sy = {.125f, .375f, .625f, .875f};
    const f4 zero = splat(0.f), one = splat(1.f);
    const float span = v3_dot(v3(alpha[0], alpha[1], alpha[2]), v3(1, 1, 1)) / 3.f;
    for (int y = r.y0; y <= r.y1; y++) {
        float fy = (float)(y - r.y0);
        size_t o = ((size_t)y * (size_t)v->w + (size_t)r.x0) * 4;
        for (int x = r.x0; x <= r.x1; x++, o += 4) {
            float fx = (float)(x - r.x0);
            f4 ex = splat(fx) + sx, ey = splat(fy) + sy, old;
            f4 bw = p.b0 + ex * p.bx + ey * p.by, cw = p.c0 + ex * p.cx + ey * p.cy,
               qw = p.q0 + ex * p.qx + ey * p.qy;
            memcpy(&old, v->q + o, 16);
            i4 m = (bw >= zero) & (cw >= zero) & (bw + cw <= one) & (qw > old);
            if (!any(m))
                continue;
            float bc = p.b0 + (fx + .5f) * p.bx + (fy + .5f) * p.by,
                  cc = p.c0 + (fx + .5f) * p.cx + (fy + .5f) * p.cy;
            bc = pz_clampf(bc, 0.f, 1.f);
            cc = pz_clampf(cc, 0.f, 1.f - bc);
            float ac = 1.f - bc - cc, al = ac * alpha[0] + bc * alpha[1] + cc * alpha[2], n = 0.f;
            if (span < .98f) {
                float tu = ac * uv[0] + bc * uv[2] + cc * uv[4], tv = ac * uv[1] + bc * uv[3] + cc * uv[5];
                n = .9f / 127.f * pz_q_noise_at(h, tu * grain, tv)[PZ_Q_N_FINE];
            }
            float cover = 1.2f * (al - .5f) + .5f + n;
            uint32_t turn = ((uint32_t)x * 3u + (uint32_t)y * 5u + id) & 3u;
            for (uint32_t k = 0; k < 4; k++)
                if (m[k] && cover > ((float)((k + turn) & 3u) + .5f) * .25f) {
                    v->q[o + k] = qw[k];
                    v->id[o + k] = id;
                }
        }
    }
}

void pz_q_depth_draw(float *map, int res, const struct v3 *pt, const uint32_t *tri, int n, int one_sided)
{
    for (int t = 0; t < n; t++) {
        struct v3 a = pt[tri[3 * t]], b = pt[tri[3 * t + 1]], c = pt[tri[3 * t + 2]];
        float area = (b.x - a.x) * (c.y - a.y) - (b.y - a.y) * (c.x - a.x);
        if (one_sided ? area < 1e-6f : fabsf(area) < 1e-6f)
            continue;
        float xa = fminf(a.x, fminf(b.x, c.x)), xb = fmaxf(a.x, fmaxf(b.x, c.x)),
              ya = fminf(a.y, fminf(b.y, c.y)), yb = fmaxf(a.y, fmaxf(b.y, c.y));
        if (!(xb >= 0.f && yb >= 0.f && xa < (float)res && ya < (float)res))
            continue;
        int x0 = (int)fmaxf(0.f, ceilf(xa - .5f)), x1 = (int)fminf((float)res - 1.f, xb - .5f);
        int y0 = (int)fmaxf(0.f, ceilf(ya - .5f)), y1 = (int)fminf((float)res - 1.f, yb - .5f);
        float inv = 1.f / area, bx = (c.y - a.y) * inv, cx = (a.y - b.y) * inv;
        for (int y = y0; y <= y1; y++) {
            float px = (float)x0 + .5f - a.x, py = (float)y + .5f - a.y;
            float wb = px * bx + py * (a.x - c.x) * inv, wc = px * cx + py * (b.x - a.x) * inv;
            float *m = map + (size_t)y * (size_t)res;
            for (int x = x0; x <= x1; x++, wb += bx, wc += cx) {
                float z = a.z + wb * (b.z - a.z) + wc * (c.z - a.z);
                if (wb >= 0.f && wc >= 0.f && wb + wc <= 1.f && z > m[x])
                    m[x] = z;
            }
        }
    }
}
