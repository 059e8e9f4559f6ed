/* Rasteriser. Does: edge-function triangles and one-sample-wide hair lines into a visibility buffer, depth
 * maps for shadows and ambient occlusion. Does not: shade. Source: Pineda 1988 (edge functions); fact sheet
 * synth.md §9. */
#include "raster.h"

#include <string.h>

#include "base/mem.h"

#if defined(__x86_64__) && defined(__gnu_linux__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__)
#define PZ_SYN_CLONES __attribute__((target_clones("avx2", "default")))
#else
#define PZ_SYN_CLONES
#endif

enum { BAND = 320 }; /* wide bands: each walks all triangles and hairs */

enum pz_status pz_syn_vis_open(struct pz_log *log, int w, int h, struct pz_syn_vis *vis)
{
    memset(vis, 0, sizeof *vis);
    vis->w = w;
    vis->h = h;
    vis->id = pz_calloc((size_t)w * (size_t)h, sizeof *vis->id);
    vis->q = pz_calloc((size_t)w * (size_t)h, sizeof *vis->q);
    if (!vis->id || !vis->q) {
        pz_syn_vis_close(vis);
        return pz_fail(log, PZ_ERR_NOMEM, "render: out of memory for %d x %d samples", w, h);
    }
    return PZ_OK;
}

void pz_syn_vis_close(struct pz_syn_vis *vis)
{
    pz_free(vis->id);
    pz_free(vis->q);
    memset(vis, 0, sizeof *vis);
}

/** One triangle into rows y0…y1−1. The row loop has no branch, so that compilers vectorise it; each machine
 * picks its width at run time, with equal results. */
PZ_SYN_CLONES static void draw_tri(struct pz_syn_vis *vis, int y0, int y1, uint32_t id,
                                   const struct pz_syn_point *a, const struct pz_syn_point *b,
                                   const struct pz_syn_point *c)
{
    float xmin = fminf(a->x, fminf(b->x, c->x)), xmax = fmaxf(a->x, fmaxf(b->x, c->x));
    float ymin = fminf(a->y, fminf(b->y, c->y)), ymax = fmaxf(a->y, fmaxf(b->y, c->y));
    if (ymax < (float)y0 || ymin > (float)y1 || xmax < 0.f || xmin > (float)vis->w)
        return;
    float area = (b->x - a->x) * (c->y - a->y) - (b->y - a->y) * (c->x - a->x);
    if (fabsf(area) < 1e-6f)
        return;
    float inv = 1.f / area;
    int ix0 = (int)fmaxf(0.f, floorf(xmin)), ix1 = (int)fminf((float)vis->w - 1.f, ceilf(xmax));
    int iy0 = (int)fmaxf((float)y0, floorf(ymin)), iy1 = (int)fminf((float)y1 - 1.f, ceilf(ymax));
    float dwb = (c->y - a->y) * inv, dwc = (a->y - b->y) * inv, qa = a->q, qb = b->q, qc = c->q;
    int n = ix1 - ix0 + 1;
    for (int y = iy0; y <= iy1; y++) {
        float px = (float)ix0 + .5f - a->x, py = (float)y + .5f - a->y;
        float wb = (px * (c->y - a->y) - py * (c->x - a->x)) * inv;
        float wc = (py * (b->x - a->x) - px * (b->y - a->y)) * inv;
        size_t o = (size_t)y * (size_t)vis->w;
        float *vq = vis->q + o + (size_t)ix0;
        uint32_t *vid = vis->id + o + (size_t)ix0;
        for (int i = 0; i < n; i++) {
            float b1 = wb + dwb * (float)i, c1 = wc + dwc * (float)i, a1 = 1.f - b1 - c1;
            float q = a1 * qa + b1 * qb + c1 * qc;
            int in = (a1 >= 0.f) & (b1 >= 0.f) & (c1 >= 0.f) & (q > vq[i]);
            vq[i] = in ? q : vq[i];
            vid[i] = in ? id : vid[i];
        }
    }
}

static void put(struct pz_syn_vis *vis, int y0, int y1, int x, int y, float q, uint32_t id)
{
    if (x < 0 || x >= vis->w || y < y0 || y >= y1)
        return;
    size_t o = (size_t)y * (size_t)vis->w + (size_t)x;
    if (q > vis->q[o]) {
        vis->q[o] = q;
        vis->id[o] = id;
    }
}

/** A line `width` samples wide; a fraction of a sample is kept by dropping samples in a fixed hash pattern.
 */
static void draw_seg(struct pz_syn_vis *vis, int y0, int y1, uint32_t seg, const struct pz_syn_point *a,
                     const struct pz_syn_point *b, float width)
{
    if (fmaxf(a->y, b->y) + width < (float)y0 || fminf(a->y, b->y) - width > (float)y1)
        return;
    float dx = b->x - a->x, dy = b->y - a->y;
    int steep = fabsf(dy) > fabsf(dx);
    float len = steep ? fabsf(dy) : fabsf(dx);
    if (!(len < 4000.f))
        return;
    int n = (int)ceilf(len) + 1, nw = (int)width;
    uint32_t drop = (uint32_t)((width - (float)nw) * 256.f);
    for (int i = 0; i < n; i++) {
        float t = n > 1 ? (float)i / (float)(n - 1) : 0.f;
        int x = (int)floorf(a->x + dx * t), y = (int)floorf(a->y + dy * t);
        float q = a->q + (b->q - a->q) * t;
        int k = nw + ((pz_hash3((int)seg, i, 3, 7) & 255u) < drop);
        for (int j = 0; j < k; j++) {
            int o = j - k / 2;
            put(vis, y0, y1, steep ? x + o : x, steep ? y : y + o, q, PZ_SYN_STRAND | seg);
        }
    }
}

struct draw_job {
    struct pz_syn_vis *vis;
    const uint32_t *tri;
    int n_tri;
    const struct pz_syn_point *pt;
    const struct pz_syn_segs *segs;
};

static void draw_band(void *user, int index, int worker)
{
    (void)worker;
    const struct draw_job *j = user;
    struct pz_syn_vis *vis = j->vis;
    int y0 = index * BAND, y1 = y0 + BAND < vis->h ? y0 + BAND : vis->h;
    size_t o = (size_t)y0 * (size_t)vis->w, n = (size_t)(y1 - y0) * (size_t)vis->w;
    memset(vis->id + o, 0, n * sizeof *vis->id);
    memset(vis->q + o, 0, n * sizeof *vis->q);
    for (int t = 0; t < j->n_tri; t++) {
        const uint32_t *v = j->tri + 3 * (size_t)t;
        draw_tri(vis, y0, y1, (uint32_t)t + 1, &j->pt[v[0]], &j->pt[v[1]], &j->pt[v[2]]);
    }
    for (int i = 0; j->segs && i < j->segs->n; i++) {
        const struct pz_syn_point *p = &j->segs->pt[j->segs->a[i]];
        draw_seg(vis, y0, y1, (uint32_t)i, p, p + 1, j->segs->width[i]);
    }
}

void pz_syn_vis_draw(struct pz_syn_vis *vis, struct pz_pool *pool, const uint32_t *tri, int n_tri,
                     const struct pz_syn_point *pt, const struct pz_syn_segs *segs)
{
    struct draw_job j = {vis, tri, n_tri, pt, segs};
    pz_pool_run(pool, draw_band, &j, (vis->h + BAND - 1) / BAND);
}

enum pz_status pz_syn_shadow_open(struct pz_log *log, int n, int res, float size, struct v3 centre, int hair,
                                  struct pz_syn_shadow *s)
{
    memset(s, 0, sizeof *s);
    s->n = n;
    s->res = res;
    s->size = size;
    s->centre = centre;
    for (int i = 0; i < n; i++) {
        s->map[i] = pz_calloc((size_t)res * (size_t)res, sizeof(float));
        s->hair[i] = hair ? pz_calloc((size_t)res * (size_t)res, sizeof(float)) : NULL;
        if (!s->map[i] || (hair && !s->hair[i])) {
            pz_syn_shadow_close(s);
            return pz_fail(log, PZ_ERR_NOMEM, "render: out of memory for shadow maps");
        }
    }
    return PZ_OK;
}

void pz_syn_shadow_close(struct pz_syn_shadow *s)
{
    for (int i = 0; i < 16; i++) {
        pz_free(s->map[i]);
        pz_free(s->hair[i]);
    }
    memset(s, 0, sizeof *s);
}

void pz_syn_shadow_aim(struct pz_syn_shadow *s, int i, struct v3 dir)
{
    s->dir[i] = v3_norm(dir);
    struct v3 up = fabsf(s->dir[i].y) > .95f ? v3(1, 0, 0) : v3(0, 1, 0);
    s->u[i] = v3_norm(v3_cross(up, s->dir[i]));
    s->v[i] = v3_cross(s->dir[i], s->u[i]);
}

static struct v3 to_map(const struct pz_syn_shadow *s, int i, struct v3 p)
{
    struct v3 d = v3_sub(p, s->centre);
    float k = .5f * (float)s->res / s->size;
    return v3((v3_dot(d, s->u[i]) + s->size) * k, (v3_dot(d, s->v[i]) + s->size) * k, v3_dot(d, s->dir[i]));
}

static void shadow_tri(float *map, int res, struct v3 a, struct v3 b, struct v3 c)
{
    float xmin = fminf(a.x, fminf(b.x, c.x)), xmax = fmaxf(a.x, fmaxf(b.x, c.x));
    float ymin = fminf(a.y, fminf(b.y, c.y)), ymax = fmaxf(a.y, fmaxf(b.y, c.y));
    if (xmax < 0 || ymax < 0 || xmin >= (float)res || ymin >= (float)res)
        return;
    float area = (b.x - a.x) * (c.y - a.y) - (b.y - a.y) * (c.x - a.x);
    if (fabsf(area) < 1e-7f)
        return;
    float inv = 1.f / area;
    int x0 = (int)fmaxf(0.f, ceilf(xmin - .5f)), x1 = (int)fminf((float)res - 1.f, floorf(xmax - .5f));
    int y0 = (int)fmaxf(0.f, ceilf(ymin - .5f)), y1 = (int)fminf((float)res - 1.f, floorf(ymax - .5f));
    for (int y = y0; y <= y1; y++)
        for (int x = x0; x <= x1; x++) {
            float px = (float)x + .5f - a.x, py = (float)y + .5f - a.y;
            float wb = (px * (c.y - a.y) - py * (c.x - a.x)) * inv,
                  wc = (py * (b.x - a.x) - px * (b.y - a.y)) * inv;
            if (wb < 0 || wc < 0 || wb + wc > 1)
                continue;
            float z = a.z + wb * (b.z - a.z) + wc * (c.z - a.z),
                  *m = &map[(size_t)y * (size_t)res + (size_t)x];
            if (z > *m)
                *m = z;
        }
}

void pz_syn_shadow_draw(struct pz_syn_shadow *s, int i, const uint32_t *tri, int n_tri, const struct v3 *pos,
                        const struct v3 *hair, int n_hair)
{
    size_t n = (size_t)s->res * (size_t)s->res;
    for (size_t k = 0; k < n; k++)
        s->map[i][k] = -1e9f;
    for (int t = 0; t < n_tri; t++) {
        const uint32_t *v = tri + 3 * (size_t)t;
        shadow_tri(s->map[i], s->res, to_map(s, i, pos[v[0]]), to_map(s, i, pos[v[1]]),
                   to_map(s, i, pos[v[2]]));
    }
    if (!s->hair[i])
        return;
    for (size_t k = 0; k < n; k++)
        s->hair[i][k] = -1e9f;
    for (int k = 0; k < n_hair; k += 3) {
        struct v3 p = to_map(s, i, hair[k]);
        int x = (int)p.x, y = (int)p.y;
        if (p.x >= 0 && p.y >= 0 && x < s->res && y < s->res) {
            float *m = &s->hair[i][(size_t)y * (size_t)s->res + (size_t)x];
            if (p.z > *m)
                *m = p.z;
        }
    }
}

float pz_syn_shadow_get(const struct pz_syn_shadow *s, int i, struct v3 p, float bias)
{
    struct v3 q = to_map(s, i, p);
    float fx = q.x - .5f, fy = q.y - .5f;
    if (!(fx >= 0 && fy >= 0 && fx < (float)s->res - 1.f && fy < (float)s->res - 1.f))
        return 1.f;
    int x = (int)fx, y = (int)fy;
    float u = fx - (float)x, v = fy - (float)y, z = q.z + bias;
    const float *m = s->map[i] + (size_t)y * (size_t)s->res + (size_t)x;
    float a = m[0] <= z, b = m[1] <= z, c = m[s->res] <= z, d = m[s->res + 1] <= z;
    float lit = pz_mixf(pz_mixf(a, b, u), pz_mixf(c, d, u), v);
    if (s->hair[i]) {
        /* Hair lets some light through: fade with the depth below its first fibre. */
        m = s->hair[i] + (size_t)y * (size_t)s->res + (size_t)x;
        float dz = z + .15f, h = 0;
        h += (1.f - u) * (1.f - v) * (m[0] > dz) + u * (1.f - v) * (m[1] > dz);
        h += (1.f - u) * v * (m[s->res] > dz) + u * v * (m[s->res + 1] > dz);
        lit *= 1.f - .85f * h;
    }
    return lit;
}

float pz_syn_shadow_hair(const struct pz_syn_shadow *s, int i, struct v3 p)
{
    struct v3 q = to_map(s, i, p);
    if (!s->hair[i] || !(q.x >= 1 && q.y >= 1 && q.x < (float)s->res - 2.f && q.y < (float)s->res - 2.f))
        return 0.f;
    int x = (int)q.x, y = (int)q.y;
    float d = 0;
    for (int k = 0; k < 4; k++) {
        float m = s->hair[i][(size_t)(y + (k >> 1)) * (size_t)s->res + (size_t)(x + (k & 1))];
        d += fmaxf(0.f, fminf(3.f, m - q.z));
    }
    const float *m = s->map[i] + (size_t)y * (size_t)s->res + (size_t)x;
    return .25f * d + (m[0] > q.z + .2f ? 3.f : 0.f);
}
