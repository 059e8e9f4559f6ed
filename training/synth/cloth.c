/* Makes clothes. Does: loft, relief of lapels, placket, buttons, seams and folds; fabric colours. Does not:
 * simulate cloth. Source: fact sheet synth.md §5.5. */
#include "cloth.h"

#include <string.h>

#include "base/mem.h"

enum { NX = 191, NY = 170, HALF = 95, COL_S = 72, COL_R = 12 };
static const float kX = 25.f, kTop = -10.6f, kBottom = -46.f;

/** Body profile by height: half width and front depth. */
static void profile(float y, float *a, float *f)
{
    static const float tab[][3] = {{-8.5f, 6.4f, 5.4f},   {-10.5f, 7.2f, 5.3f},  {-12.f, 9.2f, 5.1f},
                                   {-13.3f, 12.2f, 5.0f}, {-14.8f, 15.4f, 5.2f}, {-16.8f, 18.3f, 5.9f},
                                   {-19.5f, 20.2f, 7.0f}, {-24.f, 21.4f, 8.8f},  {-32.f, 21.8f, 10.4f},
                                   {-60.f, 21.4f, 10.6f}};
    const int n = (int)(sizeof tab / sizeof *tab);
    int i = 1;
    while (i < n - 1 && y < tab[i][0])
        i++;
    float t = pz_clampf((tab[i - 1][0] - y) / (tab[i - 1][0] - tab[i][0]), 0.f, 1.f);
    *a = pz_mixf(tab[i - 1][1], tab[i][1], t);
    *f = pz_mixf(tab[i - 1][2], tab[i][2], t);
}

/** Body depth at pattern point (x, y); x beyond the half width bends back round the arm. */
static float body_z(float x, float y)
{
    float a, f;
    profile(y, &a, &f);
    float r = fabsf(x) / a;
    r = r > 1.f ? 1.f : r;
    return -1.8f + (f + 1.8f) * powf(1.f - powf(r, 2.5f), .42f);
}

/** Front edge of the blazer and outer edge of its lapel over height. */
static float blazer_edge(float y)
{
    float a, f, e = 6.6f - .1f * (-12.f - y) - .004f * (12.f + y) * (12.f + y);
    profile(y, &a, &f);
    return y > -24.f ? fminf(e, a - 1.4f) : fmaxf(-.6f, 4.72f - .345f * (-24.f - y));
}
static float lapel_edge(float y)
{
    if (y > -17.1f) /* collar of the blazer, up to the neck */
        return 7.8f + .45f * fmaxf(0.f, -10.f - y) - .3f * pz_smooth(-15.5f, -17.1f, y);
    float t = pz_clampf((y + 38.f) / 20.3f, 0.f, 1.f);
    return blazer_edge(y) + 6.9f * powf(t, .75f) - .45f * (y > -18.2f ? (y + 18.2f) * 2.2f : 0.f);
}

static float opening(float x, float y)
{
    float half = 3.15f * pz_clampf((y + 18.2f) / 7.f, 0.f, 1.3f);
    float v = pz_smooth(-.08f, .08f, half - fabsf(x)) * (y > -18.2f);
    /* Under the collar's leaves the shirt ends, so that the collar alone rises to the neck. */
    float neck = pz_smooth(-.3f, .3f, y + 13.3f - .30f * fabsf(x)) * pz_smooth(6.6f, 6.0f, fabsf(x));
    return fmaxf(v, neck);
}

/** Pattern x of column i: columns crowd at the free edges of each layer, so that edges are straight lines. */
static float column_x(int i, float y)
{
    float a, f, half = y > -18.2f ? 3.15f * pz_clampf((y + 18.2f) / 7.f, 0.f, 1.3f) : 0.f,
                e = fmaxf(blazer_edge(y), .8f), l;
    profile(y, &a, &f);
    a *= .998f;
    l = pz_clampf(lapel_edge(y), e + .6f, a - .6f);
    e = fminf(e, a - 1.4f);
    l = fmaxf(l, e + .6f);
    half = fminf(half, e - .5f);
    const float at[8] = {0, fmaxf(half - .1f, 0.f), half + .1f, e - .12f, e + .12f, l - .12f, l + .12f, a};
    static const int col[8] = {0, 10, 15, 35, 41, 63, 69, HALF};
    int k = i - HALF, n = k < 0 ? -k : k, s = 1;
    while (s < 7 && n > col[s])
        s++;
    float t = (float)(n - col[s - 1]) / (float)(col[s] - col[s - 1]);
    if (s == 7)
        t = sinf(1.5707963f * t) * .5f + t * .5f;
    float x = pz_mixf(at[s - 1], fmaxf(at[s], at[s - 1]), t);
    return k < 0 ? -x : x;
}

/** Large relief, cm: layers of cloth lying on each other. */
static float layers(float x, float y, float soft)
{
    float ax = fabsf(x), h = .25f;
    h += .10f * pz_smooth(-soft, soft, 1.55f - fabsf(x + .2f)) * (y < -17.f);
    float b = pz_smooth(-soft, soft, ax - blazer_edge(y));
    h += .55f * b;
    float l = pz_smooth(-soft, soft, lapel_edge(y) - ax) * b;
    h += .38f * l * (1.f - .5f * pz_smooth(3.f, 0.f, ax - blazer_edge(y)) * .4f);
    return h;
}

struct make {
    const struct pz_syn_person *p;
    struct pz_syn_cloth *c;
};

static float folds(const struct make *m, float x, float y, float blazer)
{
    uint32_t s = m->p->noise;
    /* Drag lines run from the arm pits to the button, soft waves elsewhere. */
    float ax = fabsf(x);
    float d = (ax - 16.f) * .45f + (y + 24.f);
    float h = .22f * blazer * pz_noise(v3(d * .28f, ax * .07f, x > 0 ? 1.f : 9.f), s + 71) *
              pz_smooth(9.f, 15.f, ax);
    h +=
        .12f * pz_noise(v3(x * .13f, y * .22f, 3), s + 72) + .05f * pz_noise(v3(x * .4f, y * .5f, 4), s + 73);
    h += (1.f - blazer) * (.06f * pz_noise(v3(x * .5f + y * .3f, y * .25f, 5), s + 74) +
                           .05f * pz_noise(v3(x * .9f - y * .4f, y * .4f, 6), s + 75));
    return h;
}

static void texel(const struct make *m, float x, float y, float *o)
{
    const struct pz_syn_person *p = m->p;
    uint32_t s = p->noise;
    float ax = fabsf(x), e = blazer_edge(y), l = lapel_edge(y);
    float blazer = ax > e - .16f, lapel = blazer * pz_smooth(-.05f, .05f, l - ax);
    float h = layers(x, y, .11f) + folds(m, x, y, blazer), ao = 1.f;
    /* Seams, stitches, pocket welt. */
    float weave = .5f * pz_noise(v3(x * 14.f, y * 14.f, 0), s + 81) +
                  .5f * pz_noise(v3(x * 28.f + y * 9.f, y * 28.f, 1), s + 82);
    struct v3 c;
    if (blazer > .5f) {
        float tw = sinf((x + y) * 42.f) * .5f;
        c = v3_scale(p->blazer, 1.f + .16f * weave + .05f * tw + .14f * pz_fbm(v3(x, y, 0), 3.f, 3, s + 83));
        h += .006f * weave;
        h -= .05f * pz_bell(l - ax - .55f, .05f) * lapel + .03f * pz_bell(ax - e - .5f, .05f) * (y < -20.f);
        float gorge = (y + 14.6f) + .42f * (ax - 6.f);
        h -= .10f * pz_bell(gorge, .07f) * lapel * (ax < 10.6f);
        ao *= 1.f - .45f * pz_bell(gorge, .10f) * lapel * (ax < 10.6f);
        if (x > 8.5f && x < 15.5f) {
            float w = y + 28.2f - .1f * (x - 12.f);
            h += .08f * pz_smooth(1.0f, .9f, fabsf(w));
            ao *= 1.f - .5f * pz_bell(w - .98f, .07f) - .3f * pz_bell(w + .98f, .06f);
        }
        /* Sleeve seam */
        float sl = ax - 16.0f - .02f * (y + 30.f) * (y + 30.f) * .25f;
        h -= .12f * pz_bell(sl, .12f);
        ao *= 1.f - .35f * pz_bell(sl, .15f);
        /* Blazer below the lapel's free edge is in its shadow. */
        ao *= 1.f - .55f * expf(-fmaxf(0.f, ax - l) / .45f) * (1.f - lapel) * (y > -37.f);
    } else {
        float stripe = pz_smooth(.75f, .95f, sinf(x * 11.f));
        c = v3_scale(p->shirt, (1.f + .035f * weave) * (1.f + .04f * pz_fbm(v3(x, y, 2), 2.f, 3, s + 84)));
        c = v3_mul(c, v3_lerp(v3(1, 1, 1), v3(.80f, .87f, .95f), .55f * stripe));
        h += .004f * weave;
        ao *= 1.f - .65f * expf(-fmaxf(0.f, e - ax) / .75f);
        h -= .03f * (pz_bell(fabsf(x + .2f) - 1.2f, .045f)) * (y < -17.f);
        ao *= 1.f - .25f * pz_bell(fabsf(x + .2f) - 1.62f, .12f) * (y < -17.f);
        for (int i = 0; i < 4; i++) {
            float dx = x + .2f, dy = y + 20.6f + 7.6f * (float)i, r = sqrtf(dx * dx + dy * dy);
            float disc = pz_smooth(.58f, .50f, r);
            h += .12f * disc - .05f * pz_smooth(.36f, .28f, r);
            ao *= 1.f - .35f * pz_bell(r - .64f, .10f);
            c = v3_lerp(c, v3(.62f, .60f, .55f), disc * .8f);
            for (int k = 0; k < 4; k++)
                c = v3_scale(c, 1.f - .8f * pz_bell(hypotf(dx - .12f * (float)(k & 1 ? 1 : -1),
                                                           dy - .12f * (float)(k & 2 ? 1 : -1)),
                                                    .05f));
        }
    }
    o[PZ_SYN_CL_R] = c.x;
    o[PZ_SYN_CL_G] = c.y;
    o[PZ_SYN_CL_B] = c.z;
    o[PZ_SYN_CL_H] = h;
    o[PZ_SYN_CL_AO] = ao;
    o[PZ_SYN_CL_SHEEN] = blazer > .5f ? 1.f : .3f;
}

static void bake_row(void *user, int y, int worker)
{
    (void)worker;
    struct make *m = user;
    struct pz_syn_cloth *c = m->c;
    for (int x = 0; x < c->map_w; x++)
        texel(m, c->map_x0 + (float)x / c->map_scale, c->map_y0 - (float)y / c->map_scale,
              c->map + ((size_t)y * (size_t)c->map_w + (size_t)x) * PZ_SYN_CL_N);
}

static void add_quad(struct pz_syn_cloth *c, int a, int b, int d, int e, const float (*uv)[2], int mat)
{
    const int id[6] = {a, b, d, a, d, e}, ui[6] = {0, 1, 2, 0, 2, 3};
    for (int k = 0; k < 6; k++) {
        c->tri[3 * c->n_tri + k] = (uint32_t)id[k];
        c->uv[6 * c->n_tri + 2 * k] = uv[ui[k]][0];
        c->uv[6 * c->n_tri + 2 * k + 1] = uv[ui[k]][1];
    }
    c->mat[c->n_tri] = c->mat[c->n_tri + 1] = (uint8_t)mat;
    c->n_tri += 2;
}

static void make_torso(struct make *m)
{
    struct pz_syn_cloth *c = m->c;
    for (int j = 0; j < NY; j++) {
        float fy = (float)j / (NY - 1), y = kTop + (kBottom - kTop) * fy, a, f;
        profile(y, &a, &f);
        for (int i = 0; i < NX; i++) {
            float x = column_x(i, y);
            float z = body_z(x, y), ex = .05f;
            struct v3 n = v3_norm(
                v3(body_z(x - ex, y) - body_z(x + ex, y), body_z(x, y - .4f) - body_z(x, y + .4f), 0));
            n = v3_norm(v3((body_z(x - ex, y) - body_z(x + ex, y)) / (2 * ex),
                           (body_z(x, y - .4f) - body_z(x, y + .4f)) / .8f, 1.f));
            float b = pz_smooth(-.1f, .1f, fabsf(x) - blazer_edge(y));
            float h = layers(x, y, .1f) + folds(m, x, y, b) - 3.4f * opening(x, y);
            int v = j * NX + i;
            c->pos[v] = v3_madd(v3(x, y, z), n, h);
            c->nrm[v] = n;
        }
    }
    c->n_vert = NX * NY;
    for (int j = 0; j + 1 < NY; j++)
        for (int i = 0; i + 1 < NX; i++) {
            float uv[4][2];
            const int dx[4] = {0, 1, 1, 0}, dy[4] = {0, 0, 1, 1};
            for (int k = 0; k < 4; k++) {
                float y = kTop + (kBottom - kTop) * (float)(j + dy[k]) / (NY - 1);
                uv[k][0] = column_x(i + dx[k], y);
                uv[k][1] = y;
            }
            int v = j * NX + i;
            add_quad(c, v, v + 1, v + NX + 1, v + NX, (const float(*)[2])uv, PZ_SYN_CLOTH);
        }
}

static struct v3 collar_point(float s, float r, float side)
{
    /* s: 0 back … 1 front; r: −1 inside at the neck, 0 fold, 1 outer edge. */
    float az = pz_mixf(3.14159f, .36f, s), f = pz_smooth(.52f, 1.f, s);
    struct v3 top = v3(6.75f * sinf(az), pz_mixf(-8.3f, -12.6f, f), -.8f + 6.6f * cosf(az));
    if (r < 0.f) {
        struct v3 in = v3(6.2f * sinf(az), top.y - 3.4f * (1.f - .93f * pz_smooth(.68f, .92f, s)),
                          -.8f + 5.9f * cosf(az));
        struct v3 p = v3_lerp(top, in, -r);
        p.x *= side;
        return p;
    }
    struct v3 ring = v3(7.5f * sinf(az), top.y - 3.5f, -.9f + 7.3f * cosf(az)), tip = v3(5.0f, -18.8f, 8.3f);
    struct v3 out = v3_lerp(ring, tip, pz_smooth(.62f, 1.f, s) * pz_smooth(.5f, 1.f, s));
    struct v3 p = v3_lerp(top, out, r), o = v3_norm(v3(sinf(az), .15f, cosf(az) + .25f));
    p = v3_madd(p, o, .62f * sinf(3.14159f * powf(r, .6f)) * (1.f - .45f * f) + .42f);
    p.y += .22f * (1.f - r) * (1.f - r) * pz_smooth(0, .1f, r);
    p.x *= side;
    return p;
}

static void make_collar(struct make *m, float side)
{
    struct pz_syn_cloth *c = m->c;
    int base = c->n_vert, nr = 2 * COL_R + 1;
    for (int i = 0; i <= COL_S; i++)
        for (int j = 0; j < nr; j++) {
            float s = (float)i / COL_S, r = (float)(j - COL_R) / COL_R, e = .01f;
            struct v3 p = collar_point(s, r, side);
            float s1 = s < .98f ? s + e : s, s0 = s < .98f ? s : s - e, r1 = r < .98f ? r + e : r,
                  r0 = r < .98f ? r : r - e;
            struct v3 ds = v3_sub(collar_point(s1, r, side), collar_point(s0, r, side));
            struct v3 dr = v3_sub(collar_point(s, r1, side), collar_point(s, r0, side));
            struct v3 n = v3_norm(v3_cross(ds, dr));
            c->pos[c->n_vert] = p;
            c->nrm[c->n_vert++] = v3_scale(n, side > 0 ? 1.f : -1.f);
        }
    for (int i = 0; i < COL_S; i++)
        for (int j = 0; j + 1 < nr; j++) {
            float uv[4][2];
            const int di[4] = {0, 1, 1, 0}, dj[4] = {0, 0, 1, 1};
            for (int k = 0; k < 4; k++) {
                uv[k][0] = (float)(i + di[k]) / COL_S * 24.f + (side > 0 ? 0.f : 40.f);
                uv[k][1] = (float)(j + dj[k] - COL_R) / COL_R;
            }
            int v = base + i * nr + j;
            add_quad(c, v, v + nr, v + nr + 1, v + 1, (const float(*)[2])uv, PZ_SYN_COLLAR);
        }
}

enum pz_status pz_syn_cloth_make(struct pz_log *log, struct pz_pool *pool, const struct pz_syn_person *p,
                                 struct pz_syn_cloth *c)
{
    memset(c, 0, sizeof *c);
    size_t nv = NX * NY + 2 * (COL_S + 1) * (2 * COL_R + 1),
           nt = 2 * ((size_t)NX * NY + 2 * COL_S * 2 * COL_R);
    c->map_scale = 30.f;
    c->map_x0 = -kX;
    c->map_y0 = -9.f;
    c->map_w = (int)(2.f * kX * c->map_scale);
    c->map_h = (int)((-9.f - kBottom) * c->map_scale);
    c->pos = pz_calloc(nv, sizeof *c->pos);
    c->nrm = pz_calloc(nv, sizeof *c->nrm);
    c->tri = pz_calloc(nt, 3 * sizeof *c->tri);
    c->uv = pz_calloc(nt, 6 * sizeof *c->uv);
    c->mat = pz_calloc(nt, 1);
    c->map = pz_calloc((size_t)c->map_w * (size_t)c->map_h, PZ_SYN_CL_N * sizeof(float));
    if (!c->pos || !c->nrm || !c->tri || !c->uv || !c->mat || !c->map) {
        pz_syn_cloth_close(c);
        return pz_fail(log, PZ_ERR_NOMEM, "cloth: out of memory");
    }
    struct make m = {p, c};
    make_torso(&m);
    make_collar(&m, 1.f);
    make_collar(&m, -1.f);
    pz_pool_run(pool, bake_row, &m, c->map_h);
    return PZ_OK;
}

void pz_syn_cloth_close(struct pz_syn_cloth *c)
{
    pz_free(c->pos);
    pz_free(c->nrm);
    pz_free(c->tri);
    pz_free(c->uv);
    pz_free(c->mat);
    pz_free(c->map);
    memset(c, 0, sizeof *c);
}

void pz_syn_cloth_get(const struct pz_syn_cloth *c, float x, float y, float *out, float *dx, float *dy)
{
    float fx = pz_clampf((x - c->map_x0) * c->map_scale, 0.f, (float)c->map_w - 2.01f);
    float fy = pz_clampf((c->map_y0 - y) * c->map_scale, 0.f, (float)c->map_h - 2.01f);
    int ix = (int)fx, iy = (int)fy;
    float s = fx - (float)ix, t = fy - (float)iy;
    const int N = PZ_SYN_CL_N, H = PZ_SYN_CL_H;
    const float *a = c->map + ((size_t)iy * (size_t)c->map_w + (size_t)ix) * PZ_SYN_CL_N,
                *b = a + (size_t)c->map_w * PZ_SYN_CL_N;
    for (int k = 0; k < N; k++)
        out[k] = pz_mixf(pz_mixf(a[k], a[k + N], s), pz_mixf(b[k], b[k + N], s), t);
    *dx = pz_mixf(a[N + H] - a[H], b[N + H] - b[H], t) * c->map_scale;
    *dy = -pz_mixf(b[H] - a[H], b[N + H] - a[N + H], s) * c->map_scale;
}
