/* Shades. Does: skin, lips, eyes, teeth, gums, cloth and hair from the visibility buffer, one shading per
 * pixel and material, blended by the samples it covers; skin leaves its irradiance for scattering (finish.c).
 * Source: fact sheet synth.md §5; GGX after Walter 2007, hair after Kajiya and Kay 1989 with Marschner's two
 * shifted lobes. */
#include "scene.h"

#include <stdbool.h>
#include <stddef.h>

struct frag {
    struct v3 p, n, eye; /**< position, normal, unit vector to the camera */
    struct v3 amb;
    float open, b[3];
    uint32_t tri;
    const uint32_t *v;
    float u, w; /**< texture coordinates */
    int sx, sy; /**< sample */
};

struct light {
    struct v3 key, rim; /**< irradiance of each light */
    float key_vis, rim_vis;
};

void pz_syn_sh_basis(struct v3 d, float *y)
{
    y[0] = .282095f;
    y[1] = .488603f * d.y;
    y[2] = .488603f * d.z;
    y[3] = .488603f * d.x;
    y[4] = 1.092548f * d.x * d.y;
    y[5] = 1.092548f * d.y * d.z;
    y[6] = .315392f * (3.f * d.z * d.z - 1.f);
    y[7] = 1.092548f * d.x * d.z;
    y[8] = .546274f * (d.x * d.x - d.y * d.y);
}

struct v3 pz_syn_env(const struct pz_syn_scene *s, struct v3 d)
{
    struct v3 f = s->person.fill;
    float up = .5f + .5f * d.y;
    struct v3 c = v3_lerp(v3_scale(v3(1.05f, .92f, .78f), .34f), v3_scale(f, 1.05f), up);
    /* The window at the side of the key light, the bright room in front, darkness behind the camera's left.
     */
    struct v3 win = v3_norm(v3(-.95f, .15f, -.1f));
    c = v3_madd(c, v3(1.15f, 1.25f, 1.35f), .55f * powf(fmaxf(0.f, v3_dot(d, win)), 3.f));
    c = v3_madd(c, f, .55f * powf(fmaxf(0.f, d.z), 2.f));
    c = v3_madd(c, v3(1.f, .75f, .5f), .12f * powf(fmaxf(0.f, d.x), 3.f));
    return c;
}

static float ggx(struct v3 n, struct v3 v, struct v3 l, float rough, float f0)
{
    float nl = v3_dot(n, l), nv = fmaxf(v3_dot(n, v), .05f);
    if (nl <= 0.f)
        return 0.f;
    struct v3 h = v3_norm(v3_add(v, l));
    float nh = fmaxf(v3_dot(n, h), 0.f), vh = fmaxf(v3_dot(v, h), 0.f), a = rough * rough, a2 = a * a;
    float d = nh * nh * (a2 - 1.f) + 1.f, D = a2 / (3.14159265f * d * d + 1e-9f);
    float k = .5f * a, G = 1.f / ((nl * (1.f - k) + k) * (nv * (1.f - k) + k) * 4.f);
    float x = 1.f - vh, F = f0 + (1.f - f0) * x * x * x * x * x;
    return D * G * F * nl;
}

/** Light of key and rim that reaches a point: visibility times wrapped cosine, averaged over every
 *  `stride`-th of the area lights. */
static struct light gather(const struct pz_syn_scene *s, struct v3 p, struct v3 n, float bias, float wrap,
                           int stride)
{
    struct light o = {{0, 0, 0}, {0, 0, 0}, 0, 0};
    struct v3 q = v3_madd(p, n, .06f);
    float e = 0, r = 0;
    for (int i = 0; i < s->shadow.n; i += stride) {
        float c = (v3_dot(n, s->shadow.dir[i]) + wrap) / (1.f + wrap);
        if (c <= 0.f)
            continue;
        float vis = pz_syn_shadow_get(&s->shadow, i, q, bias);
        if (i < PZ_SYN_N_KEY) {
            e += vis * c;
            o.key_vis += vis * (float)stride / PZ_SYN_N_KEY;
        } else {
            r += vis * c;
            o.rim_vis += vis * (float)stride / PZ_SYN_N_RIM;
        }
    }
    o.key = v3_scale(s->person.key, e * (float)stride / PZ_SYN_N_KEY);
    o.rim = v3_scale(s->person.rim, r * (float)stride / PZ_SYN_N_RIM);
    return o;
}

static struct v3 highlights(const struct pz_syn_scene *s, const struct frag *f, struct v3 n,
                            const struct light *l, float rough, float f0)
{
    float k = 0, r = 0;
    static const int pick[4] = {0, 3, 4, 6};
    for (int i = 0; i < 4; i++)
        k += .25f * ggx(n, f->eye, s->shadow.dir[pick[i]], rough, f0);
    for (int i = 0; i < PZ_SYN_N_RIM; i++)
        r += ggx(n, f->eye, s->shadow.dir[PZ_SYN_N_KEY + i], rough, f0) / PZ_SYN_N_RIM;
    return v3_add(v3_scale(s->person.key, k * l->key_vis * 3.14159f),
                  v3_scale(s->person.rim, fminf(r * l->rim_vis * 3.14159f, .5f)));
}

static struct v3 mirror(const struct pz_syn_scene *s, const struct frag *f, struct v3 n, float f0, float gain)
{
    float nv = pz_clampf(v3_dot(n, f->eye), 0.f, 1.f), x = 1.f - nv, fr = f0 + (1.f - f0) * x * x * x * x * x;
    struct v3 r = v3_sub(v3_scale(n, 2.f * v3_dot(n, f->eye)), f->eye);
    return v3_scale(pz_syn_env(s, r), fr * gain);
}

static void shade_skin(const struct pz_syn_scene *s, const struct frag *f, int tile, struct v3 *irr,
                       struct v3 *alb, struct v3 *spec)
{
    float t[PZ_SYN_TEX_N], du, dv;
    pz_syn_skin_get(&s->skin, tile, f->u - (float)tile, f->w, t, &du, &dv);
    const float *q = s->uv + 6 * (size_t)f->tri;
    struct v3 e1 = v3_sub(s->pos[f->v[1]], s->pos[f->v[0]]), e2 = v3_sub(s->pos[f->v[2]], s->pos[f->v[0]]);
    float u1 = q[2] - q[0], v1 = q[3] - q[1], u2 = q[4] - q[0], v2 = q[5] - q[1], det = u1 * v2 - u2 * v1;
    struct v3 n = f->n;
    if (fabsf(det) > 1e-12f) {
        struct v3 pu = v3_scale(v3_sub(v3_scale(e1, v2), v3_scale(e2, v1)), 1.f / det);
        struct v3 pv = v3_scale(v3_sub(v3_scale(e2, u1), v3_scale(e1, u2)), 1.f / det);
        struct v3 cu = v3_cross(pv, f->n), cv = v3_cross(f->n, pu);
        float vol = v3_dot(pu, cu);
        if (fabsf(vol) > 1e-6f) {
            float R = (float)s->skin.res / vol;
            struct v3 g = v3_add(v3_scale(cu, du * R), v3_scale(cv, dv * R));
            float gl = v3_len(g);
            n = v3_norm(v3_madd(f->n, g, gl > .8f ? -.8f / gl : -1.f));
        }
    }
    struct v3 nd = v3_norm(v3_lerp(f->n, n, .65f));
    struct light l = gather(s, f->p, nd, .16f, 0.f, 1);
    /* Ambient follows the relief a little: surfaces turned up get more. */
    float tilt = 1.f + .5f * (v3_dot(n, v3(-.3f, .6f, .5f)) - v3_dot(f->n, v3(-.3f, .6f, .5f)));
    *irr = v3_add(v3_scale(f->amb, tilt), v3_add(l.key, l.rim));
    *alb = v3(t[PZ_SYN_TEX_R], t[PZ_SYN_TEX_G], t[PZ_SYN_TEX_B]);
    float gloss = t[PZ_SYN_TEX_GLOSS], lip = t[PZ_SYN_TEX_LIP];
    struct v3 h = v3_scale(highlights(s, f, n, &l, t[PZ_SYN_TEX_ROUGH], .028f), gloss * .85f);
    h = v3_madd(h, highlights(s, f, n, &l, .24f, .03f), .16f * gloss * (1.f + 1.3f * lip));
    h = v3_add(h, mirror(s, f, n, .024f, gloss * .55f * f->open));
    *spec = h;
}

/** Steps (samples) from (sx, sy) in direction dy until another material than eyes is met. */
static int walk(const struct pz_syn_scene *s, const struct frag *f, int dy, int lim, int a, int b)
{
    const struct pz_syn_vis *vis = &s->vis;
    for (int k = 1; k < lim; k++) {
        int y = f->sy + k * dy;
        if (y < 0 || y >= vis->h)
            return k;
        uint32_t id = vis->id[(size_t)y * (size_t)vis->w + (size_t)f->sx];
        if (id == 0)
            return k;
        if (id & PZ_SYN_STRAND)
            continue;
        int m = s->mat[id - 1];
        if (m < a || m > b)
            return k;
    }
    return lim;
}

/** The studio as an eye sees it: a soft box, a window with a cross bar, the room. */
static struct v3 reflection(const struct pz_syn_scene *s, struct v3 r)
{
    const struct pz_syn_person *p = &s->person;
    struct v3 c = v3_scale(pz_syn_env(s, r), .55f);
    float yaw = atan2f(r.x, r.z) - p->key_yaw, pit = asinf(pz_clampf(r.y, -1.f, 1.f)) - p->key_pitch;
    float boxw = pz_smooth(.30f, .22f, fabsf(yaw)) * pz_smooth(.26f, .19f, fabsf(pit));
    c = v3_madd(c, p->key, 5.5f * boxw);
    float y2 = atan2f(r.x, r.z) - .95f, p2 = asinf(pz_clampf(r.y, -1.f, 1.f)) - .1f;
    float win = pz_smooth(.20f, .14f, fabsf(y2)) * pz_smooth(.32f, .26f, fabsf(p2));
    return v3_madd(c, v3(.75f, .8f, .9f), .9f * win);
}

static struct v3 iris_colour(const struct pz_syn_person *p, float r, float ang, float R)
{
    float rr = r / R, fib = pz_noise(v3(cosf(ang) * 9.f, sinf(ang) * 9.f, rr * 1.3f), p->noise + 91) +
                            .6f * pz_noise(v3(cosf(ang) * 22.f, sinf(ang) * 22.f, rr * 2.f), p->noise + 92);
    struct v3 c = v3_lerp(p->iris_ring, p->iris, pz_smooth(.40f, .72f, rr + .06f * fib));
    c = v3_scale(c, 1.15f + .55f * fib);
    c = v3_scale(c, 1.f - .80f * pz_smooth(.80f, 1.f, rr));
    return v3_lerp(v3(.004f, .004f, .004f), c, pz_smooth(p->pupil - .012f, p->pupil + .02f, r + .008f * fib));
}

static struct v3 shade_eye(const struct pz_syn_scene *s, const struct frag *f, int side)
{
    const struct pz_syn_person *p = &s->person;
    /* Into the eye's own frame: undo the head's turn, then the gaze. */
    struct m3 g = m3_euler(s->face.gaze_yaw, s->face.gaze_pitch, 0.f);
    struct v3 rest = v3(0, 0, 0);
    for (int k = 0; k < 3; k++)
        rest = v3_madd(rest, s->posed[f->v[k]], f->b[k]);
    struct v3 q = m3_tmul(&g, v3_sub(rest, s->rig.eye[side]));
    struct v3 view = m3_tmul(&g, m3_tmul(&s->head, f->eye));
    const float R = .585f;
    float limb = sqrtf(q.x * q.x + q.y * q.y);
    /* Refraction: the iris lies under the cornea, so follow the bent view ray 0.2 cm down. */
    float z = fmaxf(view.z, .35f), depth = .20f * pz_smooth(R, .2f * R, limb);
    float ix = q.x - depth * .72f * view.x / z, iy = q.y - depth * .72f * view.y / z,
          ir = sqrtf(ix * ix + iy * iy);
    float vein = pz_smooth(
        .52f, .72f, fabsf(pz_fbm(v3(q.x * 2.2f, q.y * 5.5f, 0), .7f, 4, p->noise + 93)) * 1.5f + .14f * limb);
    struct v3 white = v3_lerp(v3(.57f, .52f, .48f), v3(.55f, .33f, .28f),
                              pz_clampf(.35f * vein + .6f * pz_smooth(1.0f, 1.55f, limb), 0.f, 1.f));
    float iris = pz_smooth(R + .05f, R - .06f, limb);
    struct v3 c = v3_lerp(white, iris_colour(p, ir, atan2f(iy, ix), R), iris);
    /* Lids: shade falls from the upper one, a little from the lower; a tear line glints along the lower. */
    float cm = (float)s->ss * p->px_per_cm * (float)s->w / 1080.f;
    float up = (float)walk(s, f, -1, (int)(.9f * cm), PZ_SYN_EYE_L, PZ_SYN_EYE_R) / cm;
    float dn = (float)walk(s, f, 1, (int)(.5f * cm), PZ_SYN_EYE_L, PZ_SYN_EYE_R) / cm;
    float shade = (1.f - .62f * expf(-up / .17f)) * (1.f - .35f * expf(-dn / .07f));
    struct v3 n = v3_norm(v3_sub(f->p, v3_sub(f->p, f->n)));
    struct light l = gather(s, f->p, n, .30f, .25f, 1);
    struct v3 amb = v3_lerp(f->amb, v3(.45f, .46f, .5f), .45f);
    struct v3 e = v3_scale(v3_add(v3_scale(amb, .95f), v3_scale(l.key, .62f)), shade);
    /* Light that enters the cornea gathers on the far side of the iris. */
    struct v3 kd = m3_tmul(&g, m3_tmul(&s->head, s->shadow.dir[4]));
    float caustic = 1.f + iris * 1.1f * pz_smooth(.25f, -.9f, (ix * kd.x + iy * kd.y) / R);
    c = v3_scale(v3_mul(c, e), caustic);
    /* The cornea is a smaller sphere standing out of the globe: its own normal makes the small bright glint.
     */
    struct v3 cn = v3_norm(v3(q.x, q.y, sqrtf(fmaxf(.05f, .82f * .82f - limb * limb)))), sn = v3_norm(q);
    struct v3 nn = v3_norm(v3_lerp(sn, cn, pz_smooth(.80f, .52f, limb)));
    nn = m3_mul(&s->head, m3_mul(&g, nn));
    nn = v3_norm(v3_add(nn, v3_scale(v3(pz_noise(v3_scale(q, 6.f), 5), pz_noise(v3_scale(q, 6.f), 6), 0),
                                     .025f * (1.f - iris))));
    struct v3 r = v3_sub(v3_scale(nn, 2.f * v3_dot(nn, f->eye)), f->eye);
    float x = 1.f - pz_clampf(v3_dot(nn, f->eye), 0.f, 1.f), fr = .028f + .97f * x * x * x * x * x;
    float lash = pz_smooth(.02f, .12f, up);
    c = v3_add(c, v3_scale(reflection(s, r), fminf(fr, .25f) * (.25f + .75f * lash) * (.35f + .65f * iris)));
    float tear = pz_bell(dn - .03f, .022f);
    c = v3_add(c, v3_scale(v3_add(l.key, f->amb), .10f * tear));
    return c;
}

static struct v3 shade_mouth(const struct pz_syn_scene *s, const struct frag *f, int mat)
{
    struct v3 rest = v3(0, 0, 0);
    for (int k = 0; k < 3; k++)
        rest = v3_madd(rest, s->rest[f->v[k]], f->b[k]);
    uint32_t nz = s->person.noise;
    struct v3 c;
    float f0 = .03f, rough = .28f, gl = 1.f, bump = 0.f;
    if (mat == PZ_SYN_TEETH) {
        bool up = f->v[0] < 19247;
        float edge = up ? rest.y + 3.55f : -3.41f - rest.y; /* cm from the biting edge to the gum */
        float tooth = pz_noise(v3(floorf(rest.x / .82f) * 3.1f, up ? 1.f : 7.f, 0), nz + 101);
        c = v3_mul(v3(.74f, .69f, .58f), v3(1.f + .03f * tooth, 1.f + .03f * tooth, 1.f + .05f * tooth));
        c = v3_lerp(c, v3(.62f, .50f, .36f), .55f * pz_smooth(.45f, 1.1f, edge));
        c = v3_lerp(c, v3(.62f, .62f, .60f), .35f * pz_smooth(.22f, 0.f, edge)); /* translucent edge */
        c = v3_scale(c, up ? .98f : .86f);
        float side = fabsf(rest.x);
        c = v3_scale(c, 1.f - .35f * pz_smooth(1.2f, 2.6f, side));
        f0 = .045f;
        rough = .20f;
        gl = .55f;
    } else if (mat == PZ_SYN_TONGUE) {
        c = v3_scale(v3(.44f, .165f, .155f),
                     1.f + .22f * pz_fbm(rest, .25f, 3, nz + 102) - .25f * pz_bell(rest.x, .08f));
        bump = .14f;
        rough = .38f;
    } else if (mat == PZ_SYN_GUM) {
        c = v3_scale(v3(.40f, .13f, .125f), 1.f + .15f * pz_fbm(rest, .3f, 3, nz + 103));
        rough = .25f;
    } else {
        c = v3(.10f, .022f, .02f);
        gl = .5f;
    }
    float cm = (float)s->ss * s->person.px_per_cm * (float)s->w / 1080.f;
    float up = (float)walk(s, f, -1, (int)(.8f * cm), PZ_SYN_SOCKET, PZ_SYN_TEETH) / cm;
    float occ = pz_clampf(.35f + .65f * s->gap / .8f, .35f, 1.f) * expf(-fmaxf(0.f, 10.6f - rest.z) / 2.6f);
    float lid = 1.f - .72f * expf(-up / .16f);
    struct v3 n = f->n;
    if (bump > 0.f)
        n = v3_norm(v3_add(
            n, v3_scale(v3(pz_noise(v3_scale(rest, 9.f), 1), pz_noise(v3_scale(rest, 9.f), 2), 0), bump)));
    if (v3_dot(n, f->eye) < 0.f)
        n = v3_scale(n, -1.f);
    struct light l = gather(s, f->p, n, .12f, .15f, 1);
    struct v3 amb = v3_scale(v3(.52f, .50f, .50f), occ * lid * (.6f + .4f * pz_clampf(n.z, 0.f, 1.f)));
    struct v3 e = v3_add(amb, v3_scale(l.key, .8f * (.35f + .65f * occ) * (.3f + .7f * lid)));
    struct v3 col = v3_mul(c, e);
    col = v3_add(col, v3_scale(highlights(s, f, n, &l, rough, f0), gl * occ * lid));
    return v3_add(col, v3_scale(mirror(s, f, n, f0, .55f * gl), occ * lid));
}

static struct v3 shade_cloth(const struct pz_syn_scene *s, const struct frag *f, int mat)
{
    float t[PZ_SYN_CL_N], dx = 0, dy = 0;
    struct v3 n = f->n, c;
    float ao = 1.f, sheen = .3f;
    if (mat == PZ_SYN_CLOTH) {
        pz_syn_cloth_get(&s->cloth, f->u, f->w, t, &dx, &dy);
        float gl = sqrtf(dx * dx + dy * dy), k = gl > 1.4f ? 1.4f / gl : 1.f;
        n = v3_norm(v3_add(f->n, v3(-dx * k, -dy * k, 0)));
        c = v3(t[PZ_SYN_CL_R], t[PZ_SYN_CL_G], t[PZ_SYN_CL_B]);
        ao = t[PZ_SYN_CL_AO];
        sheen = t[PZ_SYN_CL_SHEEN];
    } else {
        float run = f->u, dep = f->w;
        uint32_t nz = s->person.noise;
        float weave = pz_noise(v3(run * 14.f, dep * 60.f, 0), nz + 81);
        c = v3_scale(s->person.shirt, 1.f + .03f * weave);
        float stripe = pz_smooth(.75f, .95f, sinf(run * 9.f));
        c = v3_mul(c, v3_lerp(v3(1, 1, 1), v3(.80f, .87f, .95f), .5f * stripe));
        float wave = .12f * pz_noise(v3(run * .5f, dep * 1.2f, 2), nz + 85);
        n = v3_norm(v3_add(n, v3(wave + .04f * weave, .8f * wave, 0)));
        if (v3_dot(n, f->eye) < 0.f)
            n = v3_scale(n, -1.f);
        ao = 1.f - .5f * pz_bell(dep - .90f, .018f);
        if (dep < 0.f)
            ao *= .72f + .28f * pz_smooth(-.6f, 0.f, dep);
    }
    struct light l = gather(s, f->p, n, .45f, .12f, 2);
    struct v3 e = v3_scale(v3_add(f->amb, v3_add(l.key, l.rim)), ao);
    float tilt = 1.f + .6f * (n.y - f->n.y) - .25f * (n.x - f->n.x);
    e = v3_scale(e, pz_clampf(tilt, .5f, 1.6f));
    struct v3 col = v3_mul(c, e);
    float nv = 1.f - pz_clampf(v3_dot(n, f->eye), 0.f, 1.f);
    col = v3_add(col, v3_scale(v3_add(f->amb, l.key), .035f * sheen * ao * nv * nv * nv));
    col = v3_add(col, v3_scale(v3_mul(l.rim, v3_lerp(c, v3(.2f, .2f, .2f), .5f)), .25f * nv));
    return col;
}

static bool make_frag(const struct pz_syn_scene *s, int sx, int sy, uint32_t id, struct frag *f)
{
    f->tri = id - 1;
    f->v = s->tri + 3 * (size_t)f->tri;
    f->sx = sx;
    f->sy = sy;
    const struct pz_syn_point *a = &s->pt[f->v[0]], *b = &s->pt[f->v[1]], *c = &s->pt[f->v[2]];
    float area = (b->x - a->x) * (c->y - a->y) - (b->y - a->y) * (c->x - a->x);
    float px = (float)sx + .5f - a->x, py = (float)sy + .5f - a->y;
    float wb = (px * (c->y - a->y) - py * (c->x - a->x)) / area,
          wc = (py * (b->x - a->x) - px * (b->y - a->y)) / area;
    float w[3] = {(1.f - wb - wc) * a->q, wb * b->q, wc * c->q}, sum = w[0] + w[1] + w[2];
    const float *q = s->uv + 6 * (size_t)f->tri;
    f->p = f->n = f->amb = v3(0, 0, 0);
    f->open = f->u = f->w = 0;
    for (int k = 0; k < 3; k++) {
        float bk = w[k] / sum;
        f->b[k] = bk;
        f->p = v3_madd(f->p, s->pos[f->v[k]], bk);
        f->n = v3_madd(f->n, s->nrm[f->v[k]], bk);
        f->amb = v3_madd(f->amb, s->amb[f->v[k]], bk);
        f->open += bk * s->open[f->v[k]];
        f->u += bk * q[2 * k];
        f->w += bk * q[2 * k + 1];
    }
    f->n = v3_norm(f->n);
    f->eye = v3_norm(v3_sub(v3(0, 0, s->cam.dist), f->p));
    return sum > 0.f;
}

enum { GROUP_SKIN, GROUP_MOUTH, GROUP_EYE, GROUP_CLOTH, GROUP_OTHER };

static int group_of(int mat)
{
    switch (mat) {
    case PZ_SYN_SKIN:
    case PZ_SYN_SCALP:
        return GROUP_SKIN;
    case PZ_SYN_EYE_L:
    case PZ_SYN_EYE_R:
        return GROUP_EYE;
    case PZ_SYN_CLOTH:
    case PZ_SYN_COLLAR:
        return GROUP_CLOTH;
    case PZ_SYN_EYEPIT:
        return GROUP_OTHER;
    default:
        return GROUP_MOUTH;
    }
}

/** One pixel: samples of one group whose depths agree share a shading, taken at the sample nearest the
 * centre. */
static void shade_pixel(struct pz_syn_scene *s, int x, int y)
{
    const struct pz_syn_vis *vis = &s->vis;
    int ss = s->ss, n = ss * ss;
    size_t o = (size_t)y * (size_t)s->w + (size_t)x;
    struct {
        int group, mat, sx, sy, n;
        float q, d;
        uint32_t id;
    } g[16];
    int ng = 0, same;
    /* Most pixels lie inside one triangle or see the background only. */
    uint32_t id0 = vis->id[(size_t)(y * ss) * (size_t)vis->w + (size_t)(x * ss)];
    same = 0;
    while (!(id0 & PZ_SYN_STRAND) && same < n &&
           vis->id[(size_t)(y * ss + same / ss) * (size_t)vis->w + (size_t)(x * ss + same % ss)] == id0)
        same++;
    struct v3 sum = v3(0, 0, 0), irr = v3(0, 0, 0), alb = v3(0, 0, 0);
    float ws = 0, zs = 0, wbg = 0;
    if (same == n && id0) {
        int sx = x * ss + ss / 2, sy = y * ss + ss / 2, mat = s->mat[id0 - 1];
        g[0].group = group_of(mat);
        g[0].mat = mat;
        g[0].n = n;
        g[0].sx = sx;
        g[0].sy = sy;
        g[0].id = id0;
        g[0].q = vis->q[(size_t)sy * (size_t)vis->w + (size_t)sx];
        ng = 1;
    } else if (same == n) {
        wbg = (float)n;
    }
    for (int k = same == n ? n : 0; k < n; k++) {
        int sx = x * ss + k % ss, sy = y * ss + k / ss;
        size_t so = (size_t)sy * (size_t)vis->w + (size_t)sx;
        uint32_t id = vis->id[so];
        if (id == 0) {
            wbg += 1.f;
            continue;
        }
        if (id & PZ_SYN_STRAND) {
            sum = v3_add(sum, s->seg_col[id & ~PZ_SYN_STRAND]);
            continue;
        }
        int mat = s->mat[id - 1], gr = group_of(mat), i = 0;
        float q = vis->q[so], cx = (float)(k % ss) - .5f * (float)(ss - 1),
              cy = (float)(k / ss) - .5f * (float)(ss - 1), d = cx * cx + cy * cy;
        while (i < ng && !(g[i].group == gr && fabsf(1.f / g[i].q - 1.f / q) < .7f &&
                           (gr != GROUP_MOUTH || g[i].mat == mat)))
            i++;
        if (i == ng) {
            g[ng].group = gr;
            g[ng].n = 0;
            g[ng].d = 1e9f;
            ng++;
        }
        g[i].n++;
        if (d < g[i].d) {
            g[i].d = d;
            g[i].sx = sx;
            g[i].sy = sy;
            g[i].id = id;
            g[i].q = q;
            g[i].mat = mat;
        }
    }
    for (int i = 0; i < ng; i++) {
        struct frag f;
        float w = (float)g[i].n;
        if (!make_frag(s, g[i].sx, g[i].sy, g[i].id, &f))
            continue;
        if (g[i].group == GROUP_SKIN) {
            struct v3 e, a, h;
            shade_skin(s, &f, g[i].mat == PZ_SYN_SCALP, &e, &a, &h);
            irr = v3_madd(irr, e, w);
            alb = v3_madd(alb, a, w);
            sum = v3_madd(sum, h, w);
            ws += w;
            zs += w / g[i].q;
        } else if (g[i].group == GROUP_EYE) {
            sum = v3_madd(sum, shade_eye(s, &f, g[i].mat == PZ_SYN_EYE_R), w);
        } else if (g[i].group == GROUP_CLOTH) {
            sum = v3_madd(sum, shade_cloth(s, &f, g[i].mat), w);
        } else if (g[i].group == GROUP_MOUTH) {
            sum = v3_madd(sum, shade_mouth(s, &f, g[i].mat), w);
        } else {
            sum = v3_madd(sum, v3(.09f, .035f, .028f), w);
        }
    }
    if (wbg > 0)
        sum = v3_madd(
            sum,
            pz_syn_backdrop_get(&s->back, ((float)x + .5f) / (float)s->w, ((float)y + .5f) / (float)s->h),
            wbg);
    float inv = 1.f / (float)n;
    s->rest_col[o] = v3_scale(sum, inv);
    s->skin_w[o] = ws * inv;
    s->irr[o] = ws > 0 ? v3_scale(irr, 1.f / ws) : v3(0, 0, 0);
    s->albedo[o] = ws > 0 ? v3_scale(alb, 1.f / ws) : v3(0, 0, 0);
    s->skin_z[o] = ws > 0 ? zs / ws : 0.f;
}

static void shade_rows(void *user, int index, int worker)
{
    (void)worker;
    struct pz_syn_scene *s = user;
    for (int y = index * 4; y < index * 4 + 4 && y < s->h; y++)
        for (int x = 0; x < s->w; x++)
            shade_pixel(s, x, y);
}

void pz_syn_shade_pixels(struct pz_syn_scene *s)
{
    pz_pool_run(s->pool, shade_rows, s, (s->h + 3) / 4);
}

/** Two shifted highlights and a soft diffuse term for one light on a fibre with tangent t. */
static struct v3 fibre(struct v3 t, struct v3 n, struct v3 v, struct v3 l, struct v3 base)
{
    float tl = v3_dot(t, l), sl = sqrtf(fmaxf(0.f, 1.f - tl * tl));
    struct v3 h = v3_norm(v3_add(l, v));
    float th1 = v3_dot(v3_norm(v3_madd(t, n, .10f)), h), th2 = v3_dot(v3_norm(v3_madd(t, n, -.14f)), h);
    float s1 = powf(sqrtf(fmaxf(0.f, 1.f - th1 * th1)), 70.f),
          s2 = powf(sqrtf(fmaxf(0.f, 1.f - th2 * th2)), 16.f);
    struct v3 warm = v3_add(v3_scale(base, 3.2f), v3(.018f, .011f, .007f));
    struct v3 c = v3_scale(base, .9f * sl);
    c = v3_madd(c, v3(.055f, .056f, .06f), s1);
    return v3_madd(c, warm, .30f * s2);
}

static void hair_block(void *user, int block, int worker)
{
    (void)worker;
    struct pz_syn_scene *s = user;
    const struct pz_syn_hair *h = &s->hair;
    const struct pz_syn_person *p = &s->person;
    struct v3 amb0 = v3(s->sh[0][0] * .282095f, s->sh[1][0] * .282095f, s->sh[2][0] * .282095f);
    for (int i = block * 4096; i < (block + 1) * 4096 && i < h->n_seg; i++) {
        int a = h->seg[i];
        struct v3 p0 = s->hair_pos[a], p1 = s->hair_pos[a + 1], mid = v3_lerp(p0, p1, .5f),
                  t = v3_norm(v3_sub(p1, p0));
        struct v3 eye = v3_norm(v3_sub(v3(0, 0, s->cam.dist), mid));
        struct v3 n = v3_norm(v3_sub(mid, v3_add(v3(0, 4.5f, 0), s->shift)));
        int kind = h->pt_kind[a];
        float tone = .5f * (h->tone[a] + h->tone[a + 1]);
        struct v3 base = v3_scale(p->hair, h->vary[a]);
        struct v3 c;
        if (kind == PZ_SYN_HEAD_HAIR) {
            float tr = 0, rim = 0;
            static const int pick[3] = {0, 3, 6};
            for (int k = 0; k < 3; k++)
                tr += expf(-1.5f * pz_syn_shadow_hair(&s->shadow, pick[k], v3_madd(mid, n, .1f))) / 3.f;
            for (int k = 0; k < PZ_SYN_N_RIM; k++)
                rim += expf(-1.8f * pz_syn_shadow_hair(&s->shadow, PZ_SYN_N_KEY + k, v3_madd(mid, n, .1f))) /
                       PZ_SYN_N_RIM;
            c = v3_scale(v3_mul(fibre(t, n, eye, s->shadow.dir[4], base), p->key), tr);
            c = v3_add(
                c, v3_scale(v3_mul(fibre(t, n, eye, s->shadow.dir[PZ_SYN_N_KEY], base), p->rim), .9f * rim));
            float up = .55f + .45f * n.y;
            c = v3_add(
                c, v3_scale(v3_mul(v3_add(base,
                                          v3_scale(fibre(t, n, eye, v3_norm(v3(-.4f, .8f, .5f)), base), .8f)),
                                   amb0),
                            1.1f * tone * up));
        } else {
            struct light l = gather(s, v3_madd(mid, eye, .12f), eye, .35f, .5f, 2);
            struct v3 e = v3_add(v3_scale(l.key, .7f), v3_scale(amb0, .8f));
            float k = kind == PZ_SYN_BROW ? 1.1f : kind == PZ_SYN_LASH ? .45f : 1.6f;
            c = v3_scale(v3_mul(base, e), k);
            if (kind == PZ_SYN_BROW)
                c = v3_add(c, v3_scale(v3_mul(fibre(t, eye, eye, s->shadow.dir[4], base), l.key), .5f));
        }
        s->seg_col[i] = c;
    }
}

void pz_syn_shade_hair(struct pz_syn_scene *s)
{
    pz_pool_run(s->pool, hair_block, s, (s->hair.n_seg + 4095) / 4096);
}
