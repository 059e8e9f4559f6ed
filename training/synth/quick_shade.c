/* Shades the quick picture. Does: skin, lips, brows, beard shadow, eyes, mouth, hair, cloth and things; one
 * shading per pixel and surface, weighted by the samples it covers; glass in front. Does not: scatter light
 * under the skin (red light wraps further instead). Source: fact sheet synth.md §5, §9. */
#include <string.h>

#include "quick_light.h"

static inline struct v3 fall_off(const struct pz_q_spot *s, struct v3 n)
{
    float x = 1.f - pz_clampf(v3_dot(n, s->eye), 0.f, 1.f), x2 = x * x;
    return v3(x, x2, x2 * x2 * x);
}

static inline const uint8_t *mask_at(const struct pz_q_head *h, float u, float v)
{
    int x = (int)(u * PZ_Q_MASK), y = (int)(v * PZ_Q_MASK);
    x = x < 0 ? 0 : x >= PZ_Q_MASK ? PZ_Q_MASK - 1 : x;
    y = y < 0 ? 0 : y >= PZ_Q_MASK ? PZ_Q_MASK - 1 : y;
    return h->mask[y * PZ_Q_MASK + x];
}

static inline float mask_smooth(const struct pz_q_head *h, int c, float u, float v)
{
    float fx = pz_clampf(u * PZ_Q_MASK - .5f, 0.f, PZ_Q_MASK - 2.f),
          fy = pz_clampf(v * PZ_Q_MASK - .5f, 0.f, PZ_Q_MASK - 2.f);
    int x = (int)fx, y = (int)fy;
    float s = fx - (float)x, t = fy - (float)y;
    const uint8_t(*m)[4] = (const uint8_t(*)[4])h->mask + y * PZ_Q_MASK + x;
    float a = m[0][c] + (float)(m[1][c] - m[0][c]) * s,
          b = m[PZ_Q_MASK][c] + (float)(m[PZ_Q_MASK + 1][c] - m[PZ_Q_MASK][c]) * s;
    return a + (b - a) * t;
}

/** How much of a pixel's skin is lip, 0…1. */
static inline float lip_share(const struct pz_q_work *w, float u, float v, float *deep)
{
    *deep = 0.f;
    if (u > 1.f || fabsf(u - .5f) > .15f || fabsf(v - .437f) > .1f)
        return 0.f;
    float d = (mask_smooth(w->head, PZ_Q_M_LIP, u, v) - 128.f) / 2000.f + w->person.lip_shift * .6f;
    *deep = pz_clampf(d * 22.f, 0.f, 1.f);
    return pz_smooth(-w->person.lip_soft, w->person.lip_soft, d);
}

static inline float brow_share(const struct pz_q_work *w, const uint8_t *m, float u, float v,
                               enum pz_q_part *part)
{
    const struct pz_q_person *p = &w->person;
    if (m[PZ_Q_M_BROW] < 30)
        return 0.f;
    float d = (255.f - m[PZ_Q_M_BROW]) / 200.f, along = ((float)m[PZ_Q_M_BROWT] - 60.f) / 130.f;
    float width = p->brow_width * (1.1f - .55f * pz_clampf(along, 0.f, 1.f));
    /* A brow is its outline, however thin its hair. */
    if (d < width && along > -.1f && along < p->brow_end)
        *part = PZ_Q_BROWS;
    float n = pz_q_noise_smooth(w->head, PZ_Q_N_FINE, u * 9.f, v * 3.f) * .16f;
    float e = pz_smooth(.12f, -.12f, d - width + n) * pz_smooth(-.06f, .1f, along) *
              pz_smooth(p->brow_end + .08f, p->brow_end - .1f, along);
    return e * p->brow_density * (.95f + 2.f * n);
}

/** Skin at a spot whose vertices were mixed into `f`. */
static struct v3 shade_skin(const struct pz_q_work *w, const struct pz_q_spot *s, const struct pz_q_fat *f,
                            enum pz_q_part *part)
{
    const struct pz_q_head *h = w->head;
    const struct pz_q_person *p = &w->person;
    const struct pz_q_look *l = &w->look;
    struct v3 c = f->tint;
    float beard = f->beard;
    float cu = w->turn_cos, su = w->turn_sin, k = p->uv_turn[2];
    float nu = p->uv_turn[0] + k * (cu * s->u - su * s->v), nv = p->uv_turn[1] + k * (su * s->u + cu * s->v);
    const int8_t *n0 = pz_q_noise_at(h, nu, nv), *n1 = pz_q_noise_at(h, nu + 1.f / PZ_Q_NOISE, nv);
    const uint8_t *m = s->busy ? mask_at(h, s->u, s->v) : NULL;
    const float q = 1.f / 127.f;
    float soft = q * n0[PZ_Q_N_SOFT], fine = q * n0[PZ_Q_N_FINE], even = 1.f - .6f * l->foundation;
    float mott = 1.f + even * (.10f * p->mottle * soft + .05f * p->pore * fine);
    c = v3_scale(c, mott);
    c.y *= 1.f - .06f * p->mottle * even * q * n1[PZ_Q_N_SOFT] * p->red;
    if (p->freckle > 0.f) {
        float fr = fmaxf(0.f, q * pz_q_noise_at(h, 1.7f * nu, 1.7f * nv)[PZ_Q_N_DOTS]) * p->freckle * even;
        c = v3_mul(c, v3(1.f - .28f * fr, 1.f - .42f * fr, 1.f - .5f * fr));
    }
    int spots = s->u < 1.f && w->spot_cell[(int)(s->v * 31.999f) & 31] >> ((int)(s->u * 31.999f) & 31) & 1
                    ? p->n_spot
                    : 0;
    for (int i = 0; i < spots; i++) {
        float dx = s->u - p->spot[i][0], dy = s->v - p->spot[i][1], r = p->spot[i][2];
        if (dx * dx + dy * dy < r * r * 2.f)
            c = v3_scale(c, 1.f - p->spot[i][3] * pz_smooth(1.4f * r, .5f * r, sqrtf(dx * dx + dy * dy)));
    }
    float deep = 0.f, lip = m ? lip_share(w, s->u, s->v, &deep) : 0.f,
          gloss = f->gloss * (1.f + .2f * p->pore * fine);
    float bump = .06f * p->pore;
    float gu = bump * q * (float)(n1[PZ_Q_N_FINE] - n0[PZ_Q_N_FINE]), gv = bump * q * (float)n0[PZ_Q_N_SLOPE];
    if (m) {
        float line = (128.f - (float)m[PZ_Q_M_LINES]) / 120.f * p->line;
        if (line > .01f) {
            const float e = 1.5f / PZ_Q_MASK;
            gu +=
                .7f * p->line *
                (float)(mask_at(h, s->u - e, s->v)[PZ_Q_M_LINES] - mask_at(h, s->u + e, s->v)[PZ_Q_M_LINES]) /
                120.f;
            gv +=
                .7f * p->line *
                (float)(mask_at(h, s->u, s->v - e)[PZ_Q_M_LINES] - mask_at(h, s->u, s->v + e)[PZ_Q_M_LINES]) /
                120.f;
            c = v3_scale(c, 1.f - .22f * fminf(line, 1.2f));
        }
    }
    if (lip > .5f)
        *part = PZ_Q_LIPS;
    if (lip > 0.f) {
        float up = pz_smooth(.43f, .445f, s->v);
        struct v3 lc = v3_scale(v3_mul(v3_scale(p->skin, mott), p->lip), p->lip_light * (1.f - .12f * up));
        lc = v3_mul(lc, v3_lerp(v3(1, 1, 1), v3(1.02f, .86f, .88f), deep));
        lc = v3_lerp(lc, l->lipstick_colour, l->lipstick);
        float crease = pz_q_noise_smooth(h, PZ_Q_N_FINE, s->u * 14.f + .3f, s->v * 2.f);
        lc = v3_scale(lc, 1.f + .14f * crease);
        gu += .22f * crease * lip;
        c = v3_lerp(c, lc, lip);
        gloss = pz_mixf(gloss, .12f + .4f * l->lipstick * p->oil + .25f * deep * p->oil, lip);
        gloss *= 1.f + .5f * crease * lip;
    }
    if (m) {
        float b = brow_share(w, m, s->u, s->v, part);
        if (b > 0.f) {
            c = v3_lerp(c, p->brow, pz_clampf(b, 0.f, .97f));
            gloss *= 1.f - .7f * b;
        }
    }
    beard *= (1.f - lip) * (l->beard_density + .35f * soft);
    if (beard > .01f) {
        float d = pz_clampf(.5f + .5f * q * pz_q_noise_at(h, 2.1f * nu, 2.1f * nv)[PZ_Q_N_DOTS] + .4f * fine,
                            0.f, 1.f);
        float a = l->beard == PZ_Q_STUBBLE ? beard * (.28f + .45f * d) : beard * (.62f + .4f * d);
        c = v3_lerp(c, l->beard_colour, pz_clampf(a, 0.f, .95f));
        gloss *= 1.f - .6f * pz_clampf(beard, 0.f, 1.f);
        gu += .25f * beard * fine;
        gv += .25f * beard * q * n1[PZ_Q_N_FINE];
    }
    /* Light and highlights come from the vertices; relief only turns the light. */
    struct v3 e = v3_madd(v3_madd(f->light, w->relief_u[1], -gu), w->relief_v[1], -gv);
    e = v3_madd(v3_madd(e, w->relief_u[0], -gu * f->lit), w->relief_v[0], -gv * f->lit);
    e = v3(fmaxf(e.x, .003f), fmaxf(e.y, .003f), fmaxf(e.z, .003f));
    return v3_madd(v3_mul(c, e), f->shine, gloss);
}

/** Pixels up (dy −1) or down to the first that is not of materials a…b, at most lim. */
static inline int walk(const struct pz_q_work *w, int x, int y, int dy, int lim, int a, int b)
{
    const struct pz_q_vis *vis = &w->vis;
    for (int k = 1; k < lim; k++) {
        int yy = y + k * dy;
        if (yy < 0 || yy >= vis->h)
            return k;
        uint32_t id = vis->id[((size_t)yy * (size_t)vis->w + (size_t)x) * 4 + 1];
        int m = (int)(id >> PZ_Q_ID_KEY);
        if (id == 0)
            return k;
        if (m < a || m > b)
            return k;
    }
    return lim;
}

static struct v3 iris(const struct pz_q_work *w, float x, float y, float r)
{
    const struct pz_q_person *p = &w->person;
    float rr = r / p->iris_r, ang = atan2f(y, x) * .159155f;
    float fib = pz_q_noise_smooth(w->head, PZ_Q_N_FINE, ang + p->uv_turn[0], rr * .08f);
    struct v3 c = v3_lerp(p->iris_ring, p->iris, pz_smooth(.35f, .7f, rr + .08f * fib));
    c = v3_scale(c, (1.f + .5f * fib) * (1.f - .75f * pz_smooth(.78f, 1.f, rr)));
    return v3_lerp(v3(.004f, .004f, .004f), c, pz_smooth(p->pupil - .03f, p->pupil + .03f, r));
}

static struct v3 shade_eye(const struct pz_q_work *w, const struct pz_q_spot *s, int side)
{
    const struct pz_q_person *p = &w->person;
    const struct pz_syn_face_pose *f = &w->state->face;
    struct m3 g = m3_euler(f->gaze_yaw, f->gaze_pitch, 0.f);
    struct v3 rest = v3(0, 0, 0);
    for (int k = 0; k < 3; k++)
        rest = v3_madd(rest, w->posed[s->vert[k]], s->b[k]);
    struct v3 q = m3_tmul(&g, v3_sub(rest, w->rig.eye[side]));
    struct v3 view = m3_tmul(&g, m3_tmul(&w->rot_head, s->eye));
    float R = p->iris_r, limb = sqrtf(q.x * q.x + q.y * q.y);
    if (q.z < 0.f)
        limb = 9.f;
    float z = fmaxf(view.z, .35f), depth = .2f * pz_smooth(R, .2f * R, limb);
    float ix = q.x - depth * .72f * view.x / z, iy = q.y - depth * .72f * view.y / z;
    float vein = pz_q_noise_smooth(w->head, PZ_Q_N_FINE, q.x * .1f + .5f, q.y * .25f) * p->vein;
    struct v3 white = v3_lerp(p->sclera, v3(.55f, .3f, .26f),
                              pz_clampf(.15f * vein + .5f * pz_smooth(1.f, 1.6f, limb), 0.f, 1.f));
    float in = pz_smooth(R + .06f, R - .06f, limb);
    struct v3 c = v3_lerp(white, iris(w, ix, iy, sqrtf(ix * ix + iy * iy)), in);
    float cm = w->focal / w->dist;
    int lim = (int)(.9f * cm) + 2;
    float up = ((float)walk(w, s->x, s->y, -1, lim, PZ_SYN_EYE_L, PZ_SYN_EYE_R) - .5f) / cm,
          dn = ((float)walk(w, s->x, s->y, 1, lim, PZ_SYN_EYE_L, PZ_SYN_EYE_R) - .5f) / cm;
    float a = up / .2f, b = dn / .1f;
    float shade = (1.f - .62f / (1.f + a + .6f * a * a)) * (1.f - .3f / (1.f + b + b * b));
    float lit = pz_q_lit(w, s->p, s->n);
    struct pz_q_lamps l = pz_q_gather(w, s, s->n, .25f, 0.f, lit);
    struct v3 e =
        v3_scale(v3_add(v3_scale(pz_q_ambient(&w->look, s->n), .8f), v3_scale(l.diffuse, .8f)), shade);
    c = v3_mul(c, e);
    /* The cornea stands out of the globe: its own normal makes the small glint. */
    struct v3 cn = v3_norm(v3(q.x, q.y, sqrtf(fmaxf(.05f, .82f * .82f - limb * limb)))), sn = v3_norm(q);
    struct v3 nn = v3_norm(v3_lerp(sn, cn, pz_smooth(.8f, .52f, limb)));
    nn = m3_mul(&w->rot_head, m3_mul(&g, nn));
    for (int i = 0; i < w->look.n_lamp; i++) {
        struct v3 h = v3_norm(v3_add(w->look.lamp_dir[i], s->eye));
        float t = v3_dot(nn, h), edge = .9985f - .0012f * w->look.lamp_soft;
        c = v3_madd(c, w->look.lamp[i],
                    2.6f * pz_smooth(edge, edge + .0009f, t) * (i ? 1.f : lit) * pz_smooth(.0f, .12f, up));
    }
    struct v3 r = v3_sub(v3_scale(nn, 2.f * v3_dot(nn, s->eye)), s->eye);
    return v3_madd(c, pz_q_ambient(&w->look, r), (.03f + .2f * fall_off(s, nn).z) * (.4f + .6f * in) * shade);
}

static struct v3 shade_mouth(const struct pz_q_work *w, const struct pz_q_spot *s, int mat)
{
    const struct pz_q_person *p = &w->person;
    struct v3 rest = v3(0, 0, 0), c, posed = v3(0, 0, 0);
    for (int k = 0; k < 3; k++) {
        rest = v3_madd(rest, w->head->asset.neutral[s->vert[k]], s->b[k]);
        posed = v3_madd(posed, w->posed[s->vert[k]], s->b[k]);
    }
    float fine = pz_q_noise_smooth(w->head, PZ_Q_N_FINE, rest.x * .12f, rest.z * .12f + rest.y * .1f),
          gl = .25f, power = 40.f;
    if (mat == PZ_SYN_TEETH) {
        int up = s->vert[0] < 19247;
        float edge = up ? rest.y + 3.55f : -3.41f - rest.y;
        float tooth = (float)(pz_hash3((int)floorf(rest.x / .82f), up, 0, p->noise) & 255u) / 255.f - .5f;
        c = v3_scale(p->teeth, 1.f + .09f * tooth);
        c = v3_lerp(c, v3_mul(c, v3(.92f, .8f, .66f)), pz_smooth(.4f, 1.1f, edge));
        c = v3_scale(c, (up ? 1.f : .88f) * (1.f - .4f * pz_smooth(1.3f, 2.8f, fabsf(rest.x))));
        /* Dark joints between teeth. */
        float j = rest.x / .82f - floorf(rest.x / .82f);
        c = v3_scale(c, 1.f - .16f * pz_smooth(.1f, 0.f, fminf(j, 1.f - j)));
        gl = .5f;
    } else if (mat == PZ_SYN_TONGUE) {
        c = v3_scale(p->tongue, 1.f + .25f * fine - .2f * pz_bell(rest.x, .08f));
    } else if (mat == PZ_SYN_GUM) {
        c = v3_scale(p->gum, 1.f + .15f * fine);
    } else {
        c = v3(.10f, .022f, .02f);
        gl = .1f;
    }
    float cm = w->focal / w->dist;
    float up = ((float)walk(w, s->x, s->y, -1, (int)(.8f * cm) + 2, PZ_SYN_SOCKET, PZ_SYN_TEETH) - .5f) / cm;
    float a = fmaxf(0.f, 10.8f - posed.z) / 2.6f, b = up / .2f;
    float occ = pz_clampf(.35f + .65f * w->gap / .8f, .35f, 1.f) / (1.f + a + .5f * a * a + .17f * a * a * a);
    float lid = 1.f - .65f / (1.f + b + .5f * b * b);
    struct v3 n = v3_dot(s->n, s->eye) < 0.f ? v3_scale(s->n, -1.f) : s->n;
    float lit = pz_q_lit(w, s->p, n);
    struct pz_q_lamps l = pz_q_gather(w, s, n, .15f, power, lit);
    struct v3 e = v3_add(v3_scale(pz_q_ambient(&w->look, n), occ * lid),
                         v3_scale(l.diffuse, .8f * occ * (.3f + .7f * lid)));
    return v3_madd(v3_mul(c, e), l.spec, gl * occ * lid);
}

static float pattern(const struct pz_q_work *w, const struct pz_q_obj *o, float u, float v)
{
    float a = u * o->freq, b = v * o->freq;
    switch (o->pattern) {
    case 1:
        return pz_smooth(.4f, .5f, fabsf(a - floorf(a) - .5f) * 2.f);
    case 2:
        return pz_smooth(.4f, .5f, fabsf(b - floorf(b) - .5f) * 2.f);
    case 3:
        return (((int)floorf(a) + (int)floorf(b)) & 1) ? 1.f : 0.f;
    case 4:
        return .5f + .5f * (pz_smooth(.2f, .8f, fabsf(a * 4.f - floorf(a * 4.f) - .5f) * 2.f) - .5f);
    case 5:
        return pz_smooth(-.1f, .15f, pz_q_noise_smooth(w->head, PZ_Q_N_SOFT, a * .1f, b * .1f));
    default:
        return 0.f;
    }
}

/** A thing at weights k of its vertices. */
static struct v3 shade_thing(const struct pz_q_work *w, const struct pz_q_obj *o, const uint32_t *t,
                             const float *k)
{
    const float *a = (const void *)&w->mesh.thin[t[0]], *b = (const void *)&w->mesh.thin[t[1]],
                *c = (const void *)&w->mesh.thin[t[2]];
    float f[8];
    for (int i = 0; i < 8; i++)
        f[i] = k[0] * a[i] + k[1] * b[i] + k[2] * c[i];
    const struct v3 e = {f[0], f[1], f[2]}, spec = {f[4], f[5], f[6]};
    float fine = pz_q_noise_at(w->head, f[3] * o->grain, f[7])[PZ_Q_N_FINE] * (1.f / 127.f);
    if (o->kind == PZ_Q_STRANDS) {
        struct v3 h =
            v3_scale(v3_lerp(o->colour, o->colour2, pz_clampf(f[7] * 4.f, 0.f, 1.f)), 1.f + .4f * fine);
        return v3_madd(v3_mul(h, e), spec, 1.f + .5f * fine);
    }
    struct v3 h = v3_lerp(o->colour, o->colour2, pattern(w, o, f[3], f[7]));
    if (o->kind == PZ_Q_FLESH)
        h = v3_mul(h, v3(1.f, 1.f - .1f * fabsf(fine), 1.f - .1f * fabsf(fine)));
    return v3_add(v3_mul(v3_scale(h, 1.f + (o->kind == PZ_Q_FABRIC ? .12f : .03f) * fine), e), spec);
}

static enum pz_q_part part_of(const struct pz_q_work *w, uint32_t id)
{
    static const uint8_t kPart[PZ_SYN_N_MAT] = {
        [PZ_SYN_SKIN] = PZ_Q_SKIN,     [PZ_SYN_SCALP] = PZ_Q_SKIN,    [PZ_SYN_SOCKET] = PZ_Q_MOUTH,
        [PZ_SYN_EYEPIT] = PZ_Q_EYES,   [PZ_SYN_GUM] = PZ_Q_MOUTH,     [PZ_SYN_TONGUE] = PZ_Q_MOUTH,
        [PZ_SYN_TEETH] = PZ_Q_TEETH,   [PZ_SYN_EYE_L] = PZ_Q_EYES,    [PZ_SYN_EYE_R] = PZ_Q_EYES,
        [PZ_SYN_CLOTH] = PZ_Q_CLOTHES, [PZ_SYN_COLLAR] = PZ_Q_CLOTHES};
    if (id == 0)
        return PZ_Q_BACKGROUND;
    uint32_t key = id >> PZ_Q_ID_KEY;
    return key & 0x80u ? w->mesh.object[key & 0x7fu].part : (enum pz_q_part)kPart[key];
}

/** Perspective-correct weights of a triangle's corners at (fx, fy). The middle of a pixel's samples may lie
 * just outside a tiny triangle. */
static inline void weigh(const struct pz_q_pt *pt, const uint32_t *v, float fx, float fy, float *k)
{
    const struct pz_q_pt *a = pt + v[0], *b = pt + v[1], *c = pt + v[2];
    float ex = b->x - a->x, ey = b->y - a->y, gx = c->x - a->x, gy = c->y - a->y,
          inv = 1.f / (ex * gy - ey * gx);
    float px = fx - a->x, py = fy - a->y;
    float wb = pz_clampf((px * gy - py * gx) * inv, -1.f, 2.f),
          wc = pz_clampf((py * ex - px * ey) * inv, -1.f, 2.f);
    float k0 = (1.f - wb - wc) * a->q, k1 = wb * b->q, k2 = wc * c->q, sum = k0 + k1 + k2;
    inv = fabsf(sum) > 1e-9f ? 1.f / sum : 0.f;
    k[0] = k0 * inv;
    k[1] = k1 * inv;
    k[2] = k2 * inv;
}

/** A point of the eyes or the mouth. */
static void locate(const struct pz_q_work *w, uint32_t id, float fx, float fy, struct pz_q_spot *s)
{
    const uint32_t *v = w->head->asset.tri + 3 * (size_t)((id & PZ_Q_ID_INDEX) - 1);
    weigh(w->pt, v, fx, fy, s->b);
    s->vert = v;
    s->p = v3_madd(v3_madd(v3_scale(w->pos[v[0]], s->b[0]), w->pos[v[1]], s->b[1]), w->pos[v[2]], s->b[2]);
    s->n = v3_norm(
        v3_madd(v3_madd(v3_scale(w->nrm[v[0]], s->b[0]), w->nrm[v[1]], s->b[1]), w->nrm[v[2]], s->b[2]));
    s->eye = v3_norm(v3_sub(v3(0, 0, w->dist), s->p));
}

/** The same for skin, from one cache line a vertex. */
static void locate_skin(const struct pz_q_work *w, const struct pz_q_tri *t, float fx, float fy,
                        struct pz_q_spot *s, struct pz_q_fat *o)
{
    const struct pz_q_fat *a = &w->fat[t->v[0]], *b = &w->fat[t->v[1]], *c = &w->fat[t->v[2]];
    float ex = b->px - a->px, ey = b->py - a->py, gx = c->px - a->px, gy = c->py - a->py,
          inv = 1.f / (ex * gy - ey * gx);
    float px = fx - a->px, py = fy - a->py;
    float wb = pz_clampf((px * gy - py * gx) * inv, -1.f, 2.f),
          wc = pz_clampf((py * ex - px * ey) * inv, -1.f, 2.f);
    float k0 = (1.f - wb - wc) * a->pq, k1 = wb * b->pq, k2 = wc * c->pq, sum = k0 + k1 + k2;
    inv = fabsf(sum) > 1e-9f ? 1.f / sum : 0.f;
    k0 *= inv;
    k1 *= inv;
    k2 *= inv;
    const float *f0 = (const void *)a, *f1 = (const void *)b, *f2 = (const void *)c;
    float *f = (void *)o;
    for (int i = 0; i < 12; i++)
        f[i] = k0 * f0[i] + k1 * f1[i] + k2 * f2[i];
    const float q = 1.f / 32768.f;
    s->u = q * (k0 * t->uv[0][0] + k1 * t->uv[1][0] + k2 * t->uv[2][0]);
    s->v = q * (k0 * t->uv[0][1] + k1 * t->uv[1][1] + k2 * t->uv[2][1]);
    s->busy = t->busy;
}

static struct v3 shade(struct pz_q_work *w, uint32_t id, float fx, float fy, int x, int y,
                       enum pz_q_part *part)
{
    uint32_t key = id >> PZ_Q_ID_KEY, index = id & PZ_Q_ID_INDEX;
    struct pz_q_spot s;
    *part = part_of(w, id);
    s.x = x;
    s.y = y;
    if (key == PZ_SYN_SKIN) {
        struct pz_q_fat f;
        locate_skin(w, &w->head->tri[index - 1], fx, fy, &s, &f);
        struct v3 c = shade_skin(w, &s, &f, part);
        w->skin_pixels++;
        w->skin_light += (double)(.2126f * c.x + .7152f * c.y + .0722f * c.z);
        return c;
    }
    if (key & 0x80u) {
        const uint32_t *v = w->mesh.tri + 3 * (size_t)index;
        float k[3];
        weigh(w->mesh.pt, v, fx, fy, k);
        return shade_thing(w, &w->mesh.object[key & 0x7fu], v, k);
    }
    int m = (int)key;
    locate(w, id, fx, fy, &s);
    if (m == PZ_SYN_EYE_L || m == PZ_SYN_EYE_R)
        return shade_eye(w, &s, m == PZ_SYN_EYE_R);
    return shade_mouth(w, &s, m);
}

/** Samples with one key share a shading: the material, or the object of things. */
static inline int key_of(uint32_t id)
{
    return id ? (int)(id >> PZ_Q_ID_KEY) : -1;
}

static void shade_pixel(struct pz_q_work *w, int x, int y)
{
    size_t o = (size_t)y * (size_t)w->size + (size_t)x;
    const uint32_t *id = w->vis.id + 4 * o;
    const float *q = w->vis.q + 4 * o;
    if (!(id[0] | id[1] | id[2] | id[3]))
        return;
    if (id[0] == id[1] && id[0] == id[2] && id[0] == id[3]) {
        enum pz_q_part part;
        struct v3 c = shade(w, id[0], (float)x + .5f, (float)y + .5f, x, y, &part);
        float *t = w->rgb + 3 * o;
        w->part[o] = (uint8_t)part;
        t[0] = c.x;
        t[1] = c.y;
        t[2] = c.z;
        return;
    }
    int key[4], done = 0;
    for (int k = 0; k < 4; k++)
        key[k] = key_of(id[k]);
    struct v3 sum = v3(0, 0, 0);
    float n_back = 0, most = 0;
    uint8_t behind = w->part[o];
    for (int k = 0; k < 4; k++) {
        if (done >> k & 1)
            continue;
        if (key[k] < 0) {
            n_back += 1.f;
            if (n_back > most) {
                most = n_back;
                w->part[o] = behind;
            }
            continue;
        }
        float fx = 0, fy = 0, n = 0;
        for (int j = k; j < 4; j++)
            if (key[j] == key[k] && fabsf(q[j] - q[k]) < .03f * q[k]) {
                done |= 1 << j;
                fx += PZ_Q_SX[j];
                fy += PZ_Q_SY[j];
                n += 1.f;
            }
        enum pz_q_part part;
        struct v3 c = shade(w, id[k], (float)x + fx / n, (float)y + fy / n, x, y, &part);
        if (n > most) {
            most = n;
            w->part[o] = (uint8_t)part;
        }
        sum = v3_madd(sum, c, .25f * n);
    }
    float *t = w->rgb + 3 * o;
    t[0] = t[0] * .25f * n_back + sum.x;
    t[1] = t[1] * .25f * n_back + sum.y;
    t[2] = t[2] * .25f * n_back + sum.z;
}

/** Tint and reflections of glass over what is behind it. */
static void shade_lens(struct pz_q_work *w)
{
    const struct pz_q_look *l = &w->look;
    int n = w->size * w->size;
    float bright = (l->sh[1][0] + (l->n_lamp ? .3f * l->lamp[0].y : 0.f)),
          k = (float)(l->noise & 255u) / 255.f, g = (float)(l->noise >> 8 & 255u) / 255.f;
    for (int o = 0; o < n; o++) {
        const float *q = w->vis.q + 4 * (size_t)o;
        if (w->lens[o] <= 0.f || fmaxf(q[0], q[1]) > w->lens[o])
            continue;
        float u = w->lens_u[2 * o], v = w->lens_u[2 * o + 1], *t = w->rgb + 3 * (size_t)o;
        if (l->lens_alpha > .5f)
            w->part[o] = PZ_Q_GLASSES;
        /* A window mirrored somewhere in the glass, and a faint sheen. */
        float band = u * (.6f + g) + v * (g - .5f) * 1.5f - k * 1.4f;
        float glare = pz_smooth(.0f, .03f, band) * pz_smooth(.12f + .3f * g, .09f + .3f * g, band) *
                      pz_smooth(.2f, .3f, v + .4f * k);
        float add = bright * (.025f + (k < .4f ? .9f * g * glare : 0.f));
        const float c[3] = {l->lens_colour.x, l->lens_colour.y, l->lens_colour.z};
        for (int i = 0; i < 3; i++)
            t[i] = t[i] * (.94f - l->lens_alpha * .94f) + l->lens_alpha * c[i] * bright + add;
    }
}

/** Triangles and vertices lie about in memory: they are called into the cache some pixels before they are
 * needed. */
static inline void call_triangle(const struct pz_q_work *w, uint32_t id)
{
    if (id >> 31)
        __builtin_prefetch(&w->mesh.tri[3 * (size_t)(id & PZ_Q_ID_INDEX)]);
    else if (id && id >> PZ_Q_ID_KEY == PZ_SYN_SKIN)
        __builtin_prefetch(&w->head->tri[(id & PZ_Q_ID_INDEX) - 1]);
}

static inline void call_vertices(const struct pz_q_work *w, uint32_t id)
{
    if (id >> 31) {
        const uint32_t *v = w->mesh.tri + 3 * (size_t)(id & PZ_Q_ID_INDEX);
        for (int k = 0; k < 3; k++) {
            __builtin_prefetch(&w->mesh.thin[v[k]]);
            __builtin_prefetch(&w->mesh.pt[v[k]]);
        }
    } else if (id && id >> PZ_Q_ID_KEY == PZ_SYN_SKIN) {
        const struct pz_q_tri *t = &w->head->tri[(id & PZ_Q_ID_INDEX) - 1];
        for (int k = 0; k < 3; k++)
            __builtin_prefetch(&w->fat[t->v[k]]);
    }
}

void pz_q_shade(struct pz_q_work *w)
{
    w->turn_cos = cosf(w->person.uv_turn[3]);
    w->turn_sin = sinf(w->person.uv_turn[3]);
    w->across = v3(w->rot_head.r[0].x, w->rot_head.r[1].x, w->rot_head.r[2].x);
    w->upward = v3(w->rot_head.r[0].y, w->rot_head.r[1].y, w->rot_head.r[2].y);
    memset(w->relief_u, 0, sizeof w->relief_u);
    memset(w->relief_v, 0, sizeof w->relief_v);
    for (int i = 0; i < w->look.n_lamp; i++) {
        w->relief_u[i > 0] =
            v3_madd(w->relief_u[i > 0], w->look.lamp[i], v3_dot(w->across, w->look.lamp_dir[i]));
        w->relief_v[i > 0] =
            v3_madd(w->relief_v[i > 0], w->look.lamp[i], v3_dot(w->upward, w->look.lamp_dir[i]));
    }
    memset(w->spot_cell, 0, sizeof w->spot_cell);
    for (int i = 0; i < w->person.n_spot; i++) {
        const float *q = w->person.spot[i];
        for (int y = (int)((q[1] - 1.5f * q[2]) * 32.f); y <= (int)((q[1] + 1.5f * q[2]) * 32.f); y++)
            for (int x = (int)((q[0] - 1.5f * q[2]) * 32.f); x <= (int)((q[0] + 1.5f * q[2]) * 32.f); x++)
                w->spot_cell[y & 31] |= 1u << (x & 31);
    }
    pz_q_light_up(w);
    for (int y = w->vis.y0; y < w->vis.y1; y++) {
        const uint32_t *id = w->vis.id + (size_t)y * (size_t)w->size * 4;
        for (int x = w->vis.x0; x < w->vis.x1; x++) {
            if (x + 8 < w->vis.x1)
                call_triangle(w, id[4 * (x + 8)]);
            if (x + 4 < w->vis.x1)
                call_vertices(w, id[4 * (x + 4)]);
            shade_pixel(w, x, y);
        }
    }
    if (w->look.glasses)
        shade_lens(w);
}
