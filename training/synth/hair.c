/* Grows fibres. Does: a combed, layered short style over the scalp, brows along the brow ridge, lashes on the
 * lid margins, stubble; all from counter-based noise, so that a person's hair is the same everywhere. Does
 * not: simulate dynamics; short hair moves with the head. Source: fact sheet synth.md §5.5, here with fibres
 * instead of shells. */
#include "hair.h"

#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "skin.h"

enum { GW = 96, GH = 64, MAX_PT = 12 };

struct grow {
    const struct pz_syn_person *p;
    const struct pz_syn_rig *rig;
    struct pz_syn_hair *h;
    struct pz_rng rng;
    struct v3 lm[68];
    struct v3 c;       /**< centre of the skull */
    float rad[GH][GW]; /**< skull radius over direction */
};

static enum pz_status reserve(struct pz_syn_hair *h, int fibres, int pts)
{
    size_t f = (size_t)fibres, n = (size_t)pts;
    h->cap_fibre = fibres;
    h->cap_pt = pts;
    h->first = pz_calloc(f, sizeof *h->first);
    h->count = pz_calloc(f, sizeof *h->count);
    h->kind = pz_calloc(f, 1);
    h->root = pz_calloc(f, sizeof *h->root);
    h->bary = pz_calloc(f, sizeof *h->bary);
    h->rest = pz_calloc(n, sizeof *h->rest);
    h->tone = pz_calloc(n, sizeof *h->tone);
    h->pt_kind = pz_calloc(n, 1);
    h->vary = pz_calloc(n, sizeof *h->vary);
    h->seg = pz_calloc(n, sizeof *h->seg);
    h->seg_width = pz_calloc(n, sizeof *h->seg_width);
    return h->first && h->count && h->kind && h->root && h->bary && h->rest && h->tone && h->pt_kind &&
                   h->vary && h->seg && h->seg_width
               ? PZ_OK
               : PZ_ERR_NOMEM;
}

static void add_fibre(struct pz_syn_hair *h, int kind, int root, struct v3 bary, const struct v3 *pt,
                      const float *tone, int n, float width, float vary)
{
    if (h->n_fibre >= h->cap_fibre || h->n_pt + n > h->cap_pt)
        return;
    int f = h->n_fibre++;
    h->first[f] = h->n_pt;
    h->count[f] = n;
    h->kind[f] = (uint8_t)kind;
    h->root[f] = root;
    h->bary[f] = bary;
    for (int i = 0; i < n; i++) {
        h->rest[h->n_pt] = pt[i];
        h->tone[h->n_pt] = tone[i];
        h->pt_kind[h->n_pt] = (uint8_t)kind;
        h->vary[h->n_pt] = vary;
        if (i + 1 < n) {
            float taper = 1.f - .75f * (float)i / (float)(n - 1);
            h->seg[h->n_seg] = h->n_pt;
            h->seg_width[h->n_seg++] = kind == PZ_SYN_HEAD_HAIR ? width : width * taper;
        }
        h->n_pt++;
    }
}

static void grid_pos(const struct grow *g, struct v3 d, float *u, float *v)
{
    (void)g;
    *u = (atan2f(d.x, d.z) / 6.2831853f + .5f) * GW;
    *v = acosf(pz_clampf(d.y, -1.f, 1.f)) / 3.14159265f * (GH - 1);
}

static float skull_radius(const struct grow *g, struct v3 d)
{
    float u, v;
    grid_pos(g, d, &u, &v);
    int x = (int)floorf(u), y = (int)v;
    y = y > GH - 2 ? GH - 2 : y;
    float s = u - (float)x, t = v - (float)y;
    x = (x + GW) % GW;
    int x1 = (x + 1) % GW;
    return pz_mixf(pz_mixf(g->rad[y][x], g->rad[y][x1], s), pz_mixf(g->rad[y + 1][x], g->rad[y + 1][x1], s),
                   t);
}

/** Radius of skin and head without the ears, over direction; small holes are filled from neighbours. */
static void map_skull(struct grow *g)
{
    const struct pz_syn_asset *a = g->rig->asset;
    static const float bc[7][3] = {{.33f, .33f, .34f}, {1, 0, 0},     {0, 1, 0},    {0, 0, 1},
                                   {.5f, .5f, 0},      {0, .5f, .5f}, {.5f, 0, .5f}};
    for (int t = 0; t < a->n_tri; t++) {
        if (a->mat[t] > PZ_SYN_SCALP)
            continue;
        const uint32_t *v = a->tri + 3 * (size_t)t;
        for (int k = 0; k < 7; k++) {
            struct v3 p =
                v3_add(v3_add(v3_scale(g->rig->base[v[0]], bc[k][0]), v3_scale(g->rig->base[v[1]], bc[k][1])),
                       v3_scale(g->rig->base[v[2]], bc[k][2]));
            struct v3 d = v3_sub(p, g->c);
            float r = v3_len(d), fu, fv;
            if (r < 3.f || (fabsf(p.x) > 7.9f && p.y < 4.8f && p.z < 2.5f))
                continue;
            grid_pos(g, v3_scale(d, 1.f / r), &fu, &fv);
            float *o = &g->rad[(int)fv][(int)fu % GW];
            *o = fmaxf(*o, r);
        }
    }
    for (int pass = 0; pass < 12; pass++)
        for (int y = 0; y < GH; y++)
            for (int x = 0; x < GW; x++) {
                float s = 0, n = 0;
                for (int j = -1; j < 2; j++)
                    for (int i = -1; i < 2; i++) {
                        int yy = y + j < 0 ? 0 : y + j > GH - 1 ? GH - 1 : y + j;
                        float r = g->rad[yy][(x + i + GW) % GW];
                        s += r;
                        n += r > 0;
                    }
                if (n > 0 && (g->rad[y][x] == 0 || pass > 9))
                    g->rad[y][x] = s / n;
            }
}

/** Where hair at p wants to go (unit, not yet tangent), and how high it stands. */
static struct v3 comb(const struct grow *g, struct v3 p, float *lift)
{
    float part = g->p->hair_part + .25f * pz_noise(v3(0, 0, p.z * .7f), g->p->noise + 60);
    float top = pz_smooth(8.2f, 11.2f, p.y), left = pz_smooth(part - .35f, part + .35f, p.x);
    float front = pz_smooth(2.f, 9.f, p.z), back = pz_smooth(0.f, -6.f, p.z);
    struct v3 sweep =
        v3_lerp(v3(-.75f, .1f, -.62f), v3(-.42f, 1.f, -.45f), front * pz_smooth(13.2f, 11.2f, p.y));
    sweep = v3_lerp(sweep, v3(-.25f, -.5f, -.9f), back);
    struct v3 over = v3(.75f, -.35f, -.55f);
    struct v3 side = v3_lerp(v3(0, -.62f, -.78f), v3(0, -1.f, -.12f), pz_smooth(0.f, -5.f, p.z));
    if (p.z > 3.f && p.y < 6.f)
        side = v3(0, -1.f, -.15f); /* sideburns */
    struct v3 d = v3_lerp(side, v3_lerp(sweep, over, left), top);
    float turn = .55f * pz_noise(v3_scale(p, .55f), g->p->noise + 61) +
                 .35f * pz_noise(v3_scale(p, 1.5f), g->p->noise + 62);
    d = v3_add(d, v3_scale(v3(-d.z, .3f * turn, d.x), turn * .75f));
    *lift = pz_mixf(.34f, pz_mixf(pz_mixf(1.7f, 3.1f, front), 1.35f, left), top);
    return v3_norm(d);
}

static void grow_strand(struct grow *g, struct v3 root, int i)
{
    struct pz_rng *r = &g->rng;
    float lift, top = pz_smooth(7.6f, 10.8f, root.y);
    comb(g, root, &lift);
    float len = pz_mixf(g->p->hair_side, g->p->hair_top, top) * (.65f + .5f * pz_rng_uniform(r));
    /* Sides are faded: shorter towards ears and nape. */
    len *= pz_mixf(.35f + .65f * pz_smooth(-3.5f, 7.5f, root.y), 1.f, top);
    if (root.y < 3.5f)
        len = fminf(len, .45f); /* sideburns and nape are clipped */
    float edge = pz_syn_scalp_mask(g->p, v3(root.x, root.y - .7f, root.z));
    len *= .45f + .55f * edge;
    int n = 4 + (int)(7.f * top);
    float layer = powf(pz_rng_uniform(r), .8f), hmax = lift * (.18f + .82f * layer);
    /* Fibres gather in locks: all roots of a cell lean to its centre. */
    float cell = pz_mixf(.45f, .62f, top);
    struct v3 q = v3_scale(root, 1.f / cell);
    int cx = (int)floorf(q.x), cy = (int)floorf(q.y), cz = (int)floorf(q.z);
    uint32_t hs = pz_hash3(cx, cy, cz, g->p->noise + 63);
    struct v3 lock = v3_scale(v3((float)cx + .2f + .6f * (float)(hs & 255) / 255.f,
                                 (float)cy + .2f + .6f * (float)((hs >> 8) & 255) / 255.f,
                                 (float)cz + .2f + .6f * (float)((hs >> 16) & 255) / 255.f),
                              cell);
    float phase = (float)(hs >> 24) * .0245f, gather = pz_mixf(.35f, .75f, pz_rng_uniform(r));
    float stray = pz_rng_uniform(r) < .05f ? 1.f : 0.f;
    hmax *= (.85f + .3f * (float)(hs & 1023) / 1023.f) * (1.f + .3f * stray);
    struct v3 pt[MAX_PT], p = root;
    float tone[MAX_PT], step = len / (float)(n - 1);
    struct v3 wob = v3_scale(v3(pz_rng_normal(r), pz_rng_normal(r), pz_rng_normal(r)), .10f + .25f * stray);
    for (int k = 0; k < n; k++) {
        float t = (float)k / (float)(n - 1), tmp;
        struct v3 d = v3_norm(v3_sub(p, g->c));
        float rise = (1.f - expf(-3.2f * t)) * (1.f - .30f * t * t);
        float h = fminf(hmax * rise, .05f + len * t * .8f) + (float)(k > 0) * .02f;
        struct v3 at = v3_madd(g->c, d, fmaxf(skull_radius(g, d), k ? 0.f : v3_len(v3_sub(root, g->c))) + h);
        if (k == 0)
            at = root;
        at = v3_madd(at, v3_sub(lock, root), gather * t * t * top);
        at =
            v3_madd(at, v3_cross(d, v3(0, .3f, 1)), .16f * g->p->hair_wave * sinf(phase + 5.f * t) * t * top);
        pt[k] = at;
        tone[k] = pz_clampf(.22f + .78f * powf(pz_clampf((h / (lift + .05f)), 0.f, 1.f), .75f), 0.f, 1.f);
        struct v3 c = v3_add(comb(g, p, &tmp), wob);
        c = v3_norm(v3_madd(c, d, -v3_dot(c, d)));
        p = v3_madd(p, c, step);
    }
    add_fibre(g->h, PZ_SYN_HEAD_HAIR, -1, v3(1, 0, 0), pt, tone, n, .0105f,
              (.75f + .5f * pz_rng_uniform(r)) * (.85f + .3f * (float)((hs >> 12) & 255) / 255.f));
    (void)i;
}

static void grow_scalp(struct grow *g)
{
    const struct pz_syn_asset *a = g->rig->asset;
    for (int t = 0; t < a->n_tri; t++) {
        if (a->mat[t] > PZ_SYN_SCALP)
            continue;
        const uint32_t *v = a->tri + 3 * (size_t)t;
        struct v3 p0 = g->rig->base[v[0]], p1 = g->rig->base[v[1]], p2 = g->rig->base[v[2]];
        if (p0.y < -6.f || (fabsf(p0.x) > 7.9f && p0.y < 4.6f))
            continue;
        struct v3 nrm = v3_cross(v3_sub(p1, p0), v3_sub(p2, p0));
        float area = .5f * v3_len(nrm);
        float density = p0.z < -4.5f  ? 40.f
                        : p0.z < -3.f ? 60.f
                                      : 120.f; /* hairs per cm²; the back of the head is not seen */
        float want = area * density;
        int n = (int)want + (pz_rng_uniform(&g->rng) < want - floorf(want));
        for (int i = 0; i < n; i++) {
            float u = pz_rng_uniform(&g->rng), w = pz_rng_uniform(&g->rng);
            if (u + w > 1.f) {
                u = 1.f - u;
                w = 1.f - w;
            }
            struct v3 p = v3_add(p0, v3_add(v3_scale(v3_sub(p1, p0), u), v3_scale(v3_sub(p2, p0), w)));
            if (pz_rng_uniform(&g->rng) < pz_syn_scalp_mask(g->p, p))
                grow_strand(g, p, i);
        }
    }
}

/** Axes of a triangle: columns along its first edge, across it, and its normal. */
static struct m3 tri_frame(struct v3 a, struct v3 b, struct v3 c)
{
    struct m3 m;
    m.r[0] = v3_norm(v3_sub(b, a));
    m.r[2] = v3_norm(v3_cross(v3_sub(b, a), v3_sub(c, a)));
    m.r[1] = v3_cross(m.r[2], m.r[0]);
    return m;
}

static struct v3 bary_of(const struct grow *g, int t, struct v3 p)
{
    const uint32_t *v = g->rig->asset->tri + 3 * (size_t)t;
    struct v3 a = g->rig->base[v[0]], e1 = v3_sub(g->rig->base[v[1]], a), e2 = v3_sub(g->rig->base[v[2]], a),
              d = v3_sub(p, a);
    float d11 = v3_dot(e1, e1), d12 = v3_dot(e1, e2), d22 = v3_dot(e2, e2), q1 = v3_dot(d, e1),
          q2 = v3_dot(d, e2);
    float den = d11 * d22 - d12 * d12, u = (d22 * q1 - d12 * q2) / den, w = (d11 * q2 - d12 * q1) / den;
    return v3(1.f - u - w, u, w);
}

static struct v3 clamp_bary(struct v3 w)
{
    w = v3(fmaxf(w.x, 0.f), fmaxf(w.y, 0.f), fmaxf(w.z, 0.f));
    return v3_scale(w, 1.f / (w.x + w.y + w.z));
}

/** Nearest forward-facing skin triangle to p. */
static int nearest_tri(const struct grow *g, struct v3 p)
{
    const struct pz_syn_asset *a = g->rig->asset;
    float best = 1e9f;
    int bi = 0;
    for (int t = 0; t < a->n_tri; t++) {
        if (a->mat[t] != PZ_SYN_SKIN)
            continue;
        const uint32_t *v = a->tri + 3 * (size_t)t;
        struct v3 a0 = g->rig->base[v[0]], a1 = g->rig->base[v[1]], a2 = g->rig->base[v[2]];
        struct v3 c = v3_sub(v3_scale(v3_add(a0, v3_add(a1, a2)), 1.f / 3), p);
        if (v3_dot(c, c) > 1.f || v3_cross(v3_sub(a1, a0), v3_sub(a2, a0)).z <= 0.f)
            continue;
        struct v3 w = clamp_bary(bary_of(g, t, p));
        c = v3_sub(v3_add(v3_scale(a0, w.x), v3_add(v3_scale(a1, w.y), v3_scale(a2, w.z))), p);
        float d = v3_dot(c, c);
        if (d < best) {
            best = d;
            bi = t;
        }
    }
    return bi;
}

/** A fibre rooted on triangle t at weights w: given in head space as root-relative points, kept in the tri's
 * frame. */
static void add_rooted(struct grow *g, int kind, int t, struct v3 w, struct v3 *rel, int n, float width,
                       float vary)
{
    const uint32_t *v = g->rig->asset->tri + 3 * (size_t)t;
    struct m3 m = tri_frame(g->rig->base[v[0]], g->rig->base[v[1]], g->rig->base[v[2]]);
    float tone[MAX_PT];
    for (int k = 0; k < n; k++) {
        rel[k] = m3_mul(&m, rel[k]);
        tone[k] = .8f;
    }
    add_fibre(g->h, kind, t, w, rel, tone, n, width, vary);
}

static struct v3 spline(const struct v3 *p, int n, float s)
{
    float f = pz_clampf(s, 0.f, 1.f) * (float)(n - 1);
    int k = (int)f;
    k = k > n - 2 ? n - 2 : k;
    float t = f - (float)k;
    struct v3 a = p[k > 0 ? k - 1 : 0], b = p[k], c = p[k + 1], d = p[k + 2 < n ? k + 2 : n - 1];
    struct v3 m1 = v3_scale(v3_sub(c, a), .5f), m2 = v3_scale(v3_sub(d, b), .5f);
    float t2 = t * t, t3 = t2 * t;
    return v3_add(v3_add(v3_scale(b, 2 * t3 - 3 * t2 + 1), v3_scale(m1, t3 - 2 * t2 + t)),
                  v3_add(v3_scale(c, -2 * t3 + 3 * t2), v3_scale(m2, t3 - t2)));
}

static void grow_brow(struct grow *g, int side)
{
    struct v3 c[5];
    float sgn = side ? 1.f : -1.f;
    for (int i = 0; i < 5; i++)
        c[i] = g->lm[side ? 22 + i : 21 - i];
    int n = (int)(1000.f * g->p->brow_density);
    for (int i = 0; i < n; i++) {
        float s = pz_rng_uniform(&g->rng), a = pz_rng_uniform(&g->rng) + pz_rng_uniform(&g->rng) - 1.f;
        s = s < .9f ? s : s * pz_rng_uniform(&g->rng);
        if (s < .1f && pz_rng_uniform(&g->rng) > s * 7.f + .25f)
            s += .25f * pz_rng_uniform(&g->rng);
        float thick = pz_mixf(.40f, .40f, s) * (1.f - .6f * pz_smooth(.55f, 1.05f, s)) *
                      (.6f + .4f * pz_smooth(0.f, .25f, s));
        struct v3 at = spline(c, 5, s);
        at.y += -.40f + thick * a;
        at.x += sgn * (.12f * s - .05f) + .10f * pz_rng_normal(&g->rng);
        at.y += .10f * s * (1.f - s) - .22f * pz_bell(s - .62f, .22f);
        int t = nearest_tri(g, at);
        struct v3 w = bary_of(g, t, at);
        const uint32_t *v = g->rig->asset->tri + 3 * (size_t)t;
        struct m3 fr = tri_frame(g->rig->base[v[0]], g->rig->base[v[1]], g->rig->base[v[2]]);
        /* Inner hairs stand, the rest lie outward and meet in the middle from above and below. */
        float up = pz_mixf(1.3f, .15f, pz_smooth(0.f, .4f, s)) - .55f * a - .25f * pz_smooth(.6f, 1.f, s);
        struct v3 d = v3(sgn * (.35f + .8f * pz_smooth(0.f, .3f, s)), up + .15f * pz_rng_normal(&g->rng), 0);
        d = v3_norm(v3_madd(d, fr.r[2], -v3_dot(d, fr.r[2])));
        float len = (.42f + .3f * pz_rng_uniform(&g->rng)) * (1.f - .35f * s);
        struct v3 rel[5];
        for (int k = 0; k < 5; k++) {
            float q = (float)k / 4.f;
            rel[k] = v3_add(v3_scale(d, len * q), v3_scale(fr.r[2], .05f + .10f * q * (1.f - .6f * q)));
            rel[k].y -= .10f * len * q * q;
            rel[k].z -= .12f * len * q * q * s;
        }
        add_rooted(g, PZ_SYN_BROW, t, w, rel, 5, .017f, .8f + .5f * pz_rng_uniform(&g->rng));
    }
}

static void grow_lashes(struct grow *g, int side, int lower)
{
    /* Along the lid margin from the inner to the outer corner. */
    static const int up_r[4] = {39, 38, 37, 36}, up_l[4] = {42, 43, 44, 45}, lo_r[4] = {39, 40, 41, 36},
                     lo_l[4] = {42, 47, 46, 45};
    const int *id = side ? (lower ? lo_l : up_l) : (lower ? lo_r : up_r);
    struct v3 c[4];
    for (int i = 0; i < 4; i++)
        c[i] = g->lm[id[i]];
    float sgn = side ? 1.f : -1.f;
    int n = lower ? 46 : 95;
    for (int i = 0; i < n; i++) {
        float s = .12f + .86f * ((float)i + pz_rng_uniform(&g->rng)) / (float)n;
        struct v3 at = spline(c, 4, s);
        int t = nearest_tri(g, at);
        struct v3 w = bary_of(g, t, at), d;
        w = clamp_bary(w);
        float len = (lower ? .24f : .46f) * (.7f + .5f * pz_rng_uniform(&g->rng)) * (.65f + .5f * s);
        float fan = sgn * (-.35f + 1.05f * s) + .12f * pz_rng_normal(&g->rng);
        struct v3 rel[5];
        for (int k = 0; k < 5; k++) {
            float q = (float)k / 4.f;
            d = lower ? v3(fan * .6f * q, -.55f * q - .12f * q * q, .55f * q)
                      : v3(fan * .7f * q, -.30f * q + .75f * q * q, .95f * q - .25f * q * q);
            rel[k] = v3_scale(d, len);
        }
        add_rooted(g, PZ_SYN_LASH, t, w, rel, 5, lower ? .009f : .014f, .8f);
    }
}

static void grow_stubble(struct grow *g)
{
    const struct pz_syn_asset *a = g->rig->asset;
    for (int t = 0; t < a->n_tri; t++) {
        if (a->mat[t] != PZ_SYN_SKIN)
            continue;
        const uint32_t *v = a->tri + 3 * (size_t)t;
        struct v3 p0 = g->rig->base[v[0]], p1 = g->rig->base[v[1]], p2 = g->rig->base[v[2]];
        float m = pz_syn_beard_mask(g->lm, p0) * g->p->stubble;
        const float *q = a->tri_uv + 6 * (size_t)t;
        bool lip = q[0] > .385f && q[0] < .615f && q[1] > .355f && q[1] < .512f;
        if (m < .05f || lip)
            continue;
        struct v3 nn = v3_cross(v3_sub(p1, p0), v3_sub(p2, p0));
        float want = .5f * v3_len(nn) * 50.f * m * pz_smooth(-9.5f, -6.5f, p0.y);
        int n = (int)(want + pz_rng_uniform(&g->rng));
        struct v3 nrm = v3_norm(nn);
        for (int i = 0; i < n; i++) {
            float u = pz_rng_uniform(&g->rng), w = pz_rng_uniform(&g->rng) * (1.f - u);
            float len = .035f + .06f * pz_rng_uniform(&g->rng);
            struct v3 d = v3_norm(v3_add(v3(.5f * pz_rng_normal(&g->rng), -1.f, .2f), v3_scale(nrm, .7f))),
                      rel[2] = {v3(0, 0, 0), v3_scale(d, len)};
            add_rooted(g, PZ_SYN_STUBBLE, t, v3(1.f - u - w, u, w), rel, 2, .006f,
                       .8f + .5f * pz_rng_uniform(&g->rng));
        }
    }
}

enum pz_status pz_syn_hair_grow(struct pz_log *log, const struct pz_syn_person *p,
                                const struct pz_syn_rig *rig, struct pz_syn_hair *h)
{
    memset(h, 0, sizeof *h);
    struct grow *g = pz_calloc(1, sizeof *g);
    if (!g || reserve(h, 120000, 900000) != PZ_OK) {
        pz_free(g);
        pz_syn_hair_close(h);
        return pz_fail(log, PZ_ERR_NOMEM, "hair: out of memory");
    }
    g->p = p;
    g->rig = rig;
    g->h = h;
    g->c = v3(0, 4.5f, .5f);
    pz_rng_init(&g->rng, p->seed, p->noise);
    for (int i = 0; i < 68; i++)
        g->lm[i] = rig->base[pz_syn_landmark(i)];
    map_skull(g);
    for (int s = 0; s < 2; s++) {
        grow_brow(g, s);
        grow_lashes(g, s, 0);
        grow_lashes(g, s, 1);
    }
    grow_stubble(g);
    grow_scalp(g);
    pz_info(log, "hair: %d fibres, %d segments", h->n_fibre, h->n_seg);
    pz_free(g);
    return PZ_OK;
}

void pz_syn_hair_close(struct pz_syn_hair *h)
{
    pz_free(h->first);
    pz_free(h->count);
    pz_free(h->kind);
    pz_free(h->root);
    pz_free(h->bary);
    pz_free(h->rest);
    pz_free(h->tone);
    pz_free(h->pt_kind);
    pz_free(h->vary);
    pz_free(h->seg);
    pz_free(h->seg_width);
    memset(h, 0, sizeof *h);
}

void pz_syn_hair_pose(const struct pz_syn_hair *h, const struct pz_syn_asset *a, const struct v3 *posed,
                      struct v3 *out)
{
    for (int f = 0; f < h->n_fibre; f++) {
        int i0 = h->first[f], n = h->count[f];
        if (h->root[f] < 0) {
            memcpy(out + i0, h->rest + i0, (size_t)n * sizeof *out);
            continue;
        }
        const uint32_t *v = a->tri + 3 * (size_t)h->root[f];
        struct v3 p0 = posed[v[0]], p1 = posed[v[1]], p2 = posed[v[2]];
        struct m3 m = tri_frame(p0, p1, p2);
        struct v3 root = v3_add(v3_add(v3_scale(p0, h->bary[f].x), v3_scale(p1, h->bary[f].y)),
                                v3_scale(p2, h->bary[f].z));
        for (int k = 0; k < n; k++)
            out[i0 + k] = v3_add(root, m3_tmul(&m, h->rest[i0 + k]));
    }
}
