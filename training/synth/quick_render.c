/* Draws a picture. Does: memory, a person's skin colours, pose, normals, shadow map, the order of the steps.
 * Does not: shade or label itself. Source: fact sheet synth.md §9. */
#include "quick_render.h"

#include <string.h>
#include <time.h>

/** Seconds of this thread. */
static double cpu_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/** Time since the last call goes to a step. */
static void lap(struct pz_q_work *w, int step)
{
    double now = cpu_now();
    w->spent[step] += now - w->lap;
    w->lap = now;
}

static const struct v3 kPivot = {0, -9.f, -1.f};

enum pz_status pz_q_work_open(struct pz_log *log, const struct pz_q_head *h, int size, struct pz_q_work *w)
{
    memset(w, 0, sizeof *w);
    if (size < 64 || size > 1024 || size % 4)
        return pz_fail(log, PZ_ERR_USAGE, "faces: size %d is not a multiple of 4 in 64…1024", size);
    w->head = h;
    w->size = size;
    size_t nv = PZ_SYN_N_VERTS, np = (size_t)size * (size_t)size;
    enum pz_status st = PZ_OK;
    PZ_TRY(pz_q_arena_open(log, nv * 64 + PZ_Q_N_SKIN * 100 + np * 96 + ((size_t)12 << 20), &w->arena));
    w->base = pz_q_take(&w->arena, nv, sizeof *w->base);
    w->posed = pz_q_take(&w->arena, nv, sizeof *w->posed);
    w->pos = pz_q_take(&w->arena, nv, sizeof *w->pos);
    w->nrm = pz_q_take(&w->arena, nv, sizeof *w->nrm);
    w->neck = pz_q_take(&w->arena, nv, sizeof *w->neck);
    w->tint = pz_q_take(&w->arena, PZ_Q_N_SKIN, sizeof *w->tint);
    w->beard = pz_q_take(&w->arena, PZ_Q_N_SKIN, sizeof *w->beard);
    w->fat = pz_q_take(&w->arena, PZ_Q_N_SKIN, sizeof *w->fat);
    while (w->n_skin_tri < h->asset.n_tri && h->asset.mat[w->n_skin_tri] <= PZ_SYN_SCALP)
        w->n_skin_tri++;
    w->beard_vertex = pz_q_take(&w->arena, PZ_Q_N_SKIN, sizeof *w->beard_vertex);
    w->skull = pz_q_take(&w->arena, PZ_Q_SKULL_EL, sizeof *w->skull);
    w->pt = pz_q_take(&w->arena, nv, sizeof *w->pt);
    w->shadow = pz_q_take(&w->arena, PZ_Q_SHADOW * PZ_Q_SHADOW, sizeof *w->shadow);
    w->rgb = pz_q_take(&w->arena, np, 3 * sizeof *w->rgb);
    w->blur = pz_q_take(&w->arena, np, 3 * sizeof *w->blur);
    w->lens = pz_q_take(&w->arena, np, sizeof *w->lens);
    w->deep = pz_q_take(&w->arena, np / 16, sizeof *w->deep);
    w->part = pz_q_take(&w->arena, np, 1);
    w->owner = pz_q_take(&w->arena, np, 1);
    w->lens_u = pz_q_take(&w->arena, np, 2 * sizeof *w->lens_u);
    w->curve = pz_q_take(&w->arena, 4096, 1);
    if (!w->base || !w->posed || !w->pos || !w->nrm || !w->neck || !w->tint || !w->beard || !w->fat ||
        !w->beard_vertex || !w->skull || !w->pt || !w->shadow || !w->rgb || !w->blur || !w->lens ||
        !w->deep || !w->part || !w->owner || !w->lens_u || !w->curve)
        PZ_TRY(pz_fail(log, PZ_ERR_NOMEM, "faces: out of memory"));
    PZ_TRY(pz_q_vis_open(log, &w->arena, size, size, &w->vis));
    PZ_TRY(pz_q_mesh_open(log, &w->arena, 40000, 70000, &w->mesh));
    w->shadow_pt = pz_q_take(&w->arena, (size_t)PZ_SYN_N_VERTS + 40000, sizeof *w->shadow_pt);
    if (!w->shadow_pt)
        PZ_TRY(pz_fail(log, PZ_ERR_NOMEM, "faces: out of memory"));
fail:
    if (st < PZ_OK)
        pz_q_work_close(w);
    return st;
}

void pz_q_work_close(struct pz_q_work *w)
{
    pz_q_arena_close(&w->arena);
    memset(w, 0, sizeof *w);
}

float pz_q_follow(struct v3 p)
{
    /* The chin hangs as low as the neck begins, but stands further forward. */
    return pz_smooth(-15.f, -8.5f, p.y + .45f * fmaxf(0.f, p.z - 2.f));
}

void pz_q_work_person(struct pz_q_work *w, uint64_t seed, uint64_t id)
{
    pz_q_person_draw(&w->person, seed, id);
    pz_q_head_blend(w->head, w->person.coef, w->person.asym, w->person.noise, w->base, &w->rig);
    for (int v = 0; v < PZ_SYN_N_VERTS; v++)
        w->neck[v] = v >= PZ_Q_N_SKIN ? 1.f : pz_q_follow(w->base[v]);
    pz_q_skull_make(w);
}

static float beard_at(const struct pz_q_look *l, const float *z)
{
    float b = z[PZ_Q_Z_BEARD], s = z[PZ_Q_Z_STACHE], c = z[PZ_Q_Z_CHIN];
    switch (l->beard) {
    case PZ_Q_SHAVEN:
        return 0.f;
    case PZ_Q_MOUSTACHE:
        return s;
    case PZ_Q_GOATEE:
        return fmaxf(s, c);
    case PZ_Q_CHIN:
        return c;
    case PZ_Q_SIDES:
        return b * (1.f - s);
    default:
        return b;
    }
}

/** Albedo of every skin vertex: pigment, blood, make-up, shaven hair. */
void pz_q_work_paint(struct pz_q_work *w)
{
    const struct pz_q_person *p = &w->person;
    const struct pz_q_look *l = &w->look;
    const struct v3 shadow = l->shadow_colour, blush = v3(.62f, .16f, .16f);
    float red0 = p->red * (1.f - .7f * l->foundation), dark0 = p->bags * (1.f - .6f * l->foundation);
    for (int v = 0; v < PZ_Q_N_SKIN; v++) {
        const float *z = w->head->zone[v];
        float red = red0 * z[PZ_Q_Z_RED], dark = dark0 * z[PZ_Q_Z_DARK];
        struct v3 c = p->skin;
        c.x *= 1.f - .05f * red - .16f * dark;
        c.y *= 1.f - .20f * red - .26f * dark;
        c.z *= 1.f - .18f * red - .24f * dark;
        c = v3_lerp(c, v3_mul(shadow, v3_lerp(p->skin, v3(1, 1, 1), .5f)), .8f * l->shadow * z[PZ_Q_Z_LID]);
        c = v3_lerp(c, v3(.012f, .010f, .010f), .8f * l->liner * z[PZ_Q_Z_LINER]);
        c = v3_lerp(c, v3_mul(blush, v3_lerp(p->skin, v3(1, 1, 1), .5f)), .5f * l->blush * z[PZ_Q_Z_BLUSH]);
        /* Shaven scalp and hair roots. */
        if (v >= 9409 || z[PZ_Q_Z_SCALP] > -3.f) {
            float n =
                pz_q_noise_smooth(w->head, PZ_Q_N_SOFT, w->head->uv[v][0] * 3.f, w->head->uv[v][1] * 3.f);
            float s = pz_smooth(-.4f, .8f,
                                z[PZ_Q_Z_SCALP] - l->hair.line * (w->head->asset.neutral[v].y > 7.f) +
                                    .7f * n - 2.5f * p->bald * (z[PZ_Q_Z_SCALP] < 6.f));
            s *= (p->bald > .7f ? .25f : 1.f) * (l->hair.on ? .9f : .5f);
            c = v3_lerp(c, v3_add(v3_scale(l->hair_colour, .8f), v3_scale(c, .15f)), s);
        }
        w->tint[v] = c;
        w->beard[v] = beard_at(l, z);
    }
}

void pz_q_work_look(struct pz_q_work *w, uint64_t n, float margin)
{
    pz_q_look_draw(&w->look, &w->person, n, margin);
    pz_q_work_paint(w);
}

static struct m3 m3_mix(const struct m3 *a, const struct m3 *b, float t)
{
    struct m3 o;
    for (int i = 0; i < 3; i++)
        o.r[i] = v3_lerp(a->r[i], b->r[i], t);
    return o;
}

struct v3 pz_q_place(const struct pz_q_work *w, struct v3 p, float k)
{
    struct v3 d = v3_sub(p, kPivot);
    if (k >= 1.f)
        return v3_add(v3_add(m3_mul(&w->rot_head, d), w->state->shift), w->at);
    struct m3 m = k < .5f ? m3_mix(&w->rot_body, &w->rot_mid, 2.f * k)
                          : m3_mix(&w->rot_mid, &w->rot_head, 2.f * k - 1.f);
    struct v3 q = v3_add(m3_mul(&m, d), w->at);
    q.y += .12f * w->state->breath * (1.f - k);
    return v3_madd(q, w->state->shift, .3f + .7f * k);
}

struct pz_q_pt pz_q_project(const struct pz_q_work *w, struct v3 p)
{
    float z = w->dist - p.z;
    float q = z > 2.f ? 1.f / z : -1.f;
    return (struct pz_q_pt){w->cx + w->focal * p.x * q, w->cy - w->focal * p.y * q, q};
}

/** Camera and the head's place, so that its middle falls where the look says. */
static void aim(struct pz_q_work *w)
{
    const struct pz_q_look *l = &w->look;
    const struct pz_q_state *s = w->state;
    float S = (float)w->size;
    w->rot_head = m3_euler(s->yaw, s->pitch, s->roll);
    w->rot_body = m3_euler(s->body_yaw, s->body_pitch, s->body_roll);
    w->rot_mid = m3_euler(.5f * (s->yaw + s->body_yaw), .5f * (s->pitch + s->body_pitch),
                          .5f * (s->roll + s->body_roll));
    w->dist = l->dist;
    w->focal = S * l->dist / l->side;
    w->cx = S * l->px;
    w->cy = S * l->py;
    /* The middle between eyes and mouth, where a tracker would put its square. */
    struct v3 mid = v3_sub(v3(0, .3f, 8.5f), kPivot);
    struct m3 rest = s->steady ? m3_euler(s->aim_yaw, s->aim_pitch, s->aim_roll) : w->rot_head;
    struct v3 m = m3_mul(&rest, mid);
    float depth = l->dist - m.z;
    w->at =
        v3((S * l->cx - w->cx) * depth / w->focal - m.x, (w->cy - S * l->cy) * depth / w->focal - m.y, 0.f);
}

static void normals(const struct pz_q_work *w, uint32_t skip)
{
    const struct pz_syn_asset *a = &w->head->asset;
    memset(w->nrm, 0, PZ_SYN_N_VERTS * sizeof *w->nrm);
    for (int t = 0; t < a->n_tri; t++) {
        if (skip >> w->head->key[t] & 1u)
            continue;
        const uint32_t *v = a->tri + 3 * (size_t)t;
        struct v3 p = w->pos[v[0]], n = v3_cross(v3_sub(w->pos[v[1]], p), v3_sub(w->pos[v[2]], p));
        for (int k = 0; k < 3; k++)
            w->nrm[v[k]] = v3_add(w->nrm[v[k]], n);
    }
    for (int v = 0; v < PZ_SYN_N_VERTS; v++) {
        float l = v3_dot(w->nrm[v], w->nrm[v]);
        w->nrm[v] = l > 0.f ? v3_scale(w->nrm[v], 1.f / sqrtf(l)) : v3(0, 0, 1);
    }
}

/** Materials that need no drawing: the pits behind the eyes, and the mouth's interior behind closed lips. */
static uint32_t hidden_materials(const struct pz_q_work *w)
{
    int shut = w->gap < .01f && w->state->face.w[w->rig.jaw_open] < .12f;
    return 1u << PZ_SYN_EYEPIT | (shut ? 1u << PZ_SYN_TEETH | 1u << PZ_SYN_GUM | 1u << PZ_SYN_TONGUE : 0u);
}

/** Vertices as squares of `n` texels into the depth map. */
static void splat(float *map, const struct v3 *pt, int from, int to, int n)
{
    const float lo = .5f * (float)n, hi = (float)PZ_Q_SHADOW - lo - 1.f;
    for (int v = from; v < to; v++) {
        struct v3 p = pt[v];
        if (!(p.x > lo && p.y > lo && p.x < hi && p.y < hi))
            continue;
        float *m = map + (int)(p.y - lo + .5f) * PZ_Q_SHADOW + (int)(p.x - lo + .5f);
        for (int y = 0; y < n; y++, m += PZ_Q_SHADOW)
            for (int x = 0; x < n; x++)
                m[x] = fmaxf(m[x], p.z);
    }
}

static void draw_shadow(struct pz_q_work *w)
{
    struct pz_q_mesh *m = &w->mesh;
    struct v3 d = v3_norm(w->look.lamp_dir[0]), up = fabsf(d.y) > .9f ? v3(1, 0, 0) : v3(0, 1, 0);
    w->shadow_d = d;
    w->shadow_u = v3_norm(v3_cross(up, d));
    w->shadow_v = v3_cross(d, w->shadow_u);
    w->shadow_o = pz_q_place(w, v3(0, -1.f, 2.f), 1.f);
    const float half = 17.f, R = PZ_Q_SHADOW;
    w->shadow_k = .5f * R / half;
    for (int i = 0; i < PZ_Q_SHADOW * PZ_Q_SHADOW; i++)
        w->shadow[i] = -1e9f;
    struct v3 *pt = w->shadow_pt;
    for (int v = 0; v < PZ_Q_N_SKIN + m->n_v; v++) {
        struct v3 q = v3_sub(v < PZ_Q_N_SKIN ? w->pos[v] : m->pos[v - PZ_Q_N_SKIN], w->shadow_o);
        pt[v] = v3((v3_dot(q, w->shadow_u) + half) * w->shadow_k,
                   (v3_dot(q, w->shadow_v) + half) * w->shadow_k, v3_dot(q, d));
    }
    /* The face's vertices lie closer than texels: no need of its triangles. */
    splat(w->shadow, pt, 0, 9409, 2);
    splat(w->shadow, pt, 9409, PZ_Q_N_SKIN, 4);
    for (int t = 0; t < m->n_t;) {
        int e = t, o = m->obj[t];
        while (e < m->n_t && m->obj[e] == o)
            e++;
        if (!m->object[o].no_shadow)
            pz_q_depth_draw(w->shadow, PZ_Q_SHADOW, pt + PZ_Q_N_SKIN, m->tri + 3 * (size_t)t, e - t, 0);
        t = e;
    }
}

/** Pixels a lens covers, at their centres; whether something stands before it is asked when it is shaded. */
static void draw_lens(struct pz_q_work *w, const struct pz_q_mesh *m, int from, int to)
{
    for (int t = from; t < to; t++) {
        const struct pz_q_pt *a = &m->pt[m->tri[3 * t]], *b = &m->pt[m->tri[3 * t + 1]],
                             *c = &m->pt[m->tri[3 * t + 2]];
        float area = (b->x - a->x) * (c->y - a->y) - (b->y - a->y) * (c->x - a->x), S = (float)w->size;
        if (fabsf(area) < 1e-4f || a->q <= 0.f || b->q <= 0.f || c->q <= 0.f)
            continue;
        int x0 = (int)fmaxf(0.f, fminf(a->x, fminf(b->x, c->x))),
            x1 = (int)fminf(S - 1.f, fmaxf(a->x, fmaxf(b->x, c->x)));
        int y0 = (int)fmaxf(0.f, fminf(a->y, fminf(b->y, c->y))),
            y1 = (int)fminf(S - 1.f, fmaxf(a->y, fmaxf(b->y, c->y)));
        for (int y = y0; y <= y1; y++)
            for (int x = x0; x <= x1; x++) {
                float px = (float)x + .5f - a->x, py = (float)y + .5f - a->y;
                float wb = (px * (c->y - a->y) - py * (c->x - a->x)) / area,
                      wc = (py * (b->x - a->x) - px * (b->y - a->y)) / area;
                if (wb < 0.f || wc < 0.f || wb + wc > 1.f)
                    continue;
                size_t o = (size_t)y * (size_t)w->size + (size_t)x;
                float q = a->q + wb * (b->q - a->q) + wc * (c->q - a->q);
                if (q > w->lens[o]) {
                    w->lens[o] = q;
                    w->lens_u[2 * o] = m->uv[m->tri[3 * t]][0] +
                                       wb * (m->uv[m->tri[3 * t + 1]][0] - m->uv[m->tri[3 * t]][0]) +
                                       wc * (m->uv[m->tri[3 * t + 2]][0] - m->uv[m->tri[3 * t]][0]);
                    w->lens_u[2 * o + 1] = m->uv[m->tri[3 * t]][1] +
                                           wb * (m->uv[m->tri[3 * t + 1]][1] - m->uv[m->tri[3 * t]][1]) +
                                           wc * (m->uv[m->tri[3 * t + 2]][1] - m->uv[m->tri[3 * t]][1]);
                }
            }
    }
}

static void draw_things(struct pz_q_work *w)
{
    struct pz_q_mesh *m = &w->mesh;
    for (int t = 0; t < m->n_t;) {
        int e = t, o = m->obj[t];
        while (e < m->n_t && m->obj[e] == o)
            e++;
        const struct pz_q_obj *ob = &m->object[o];
        uint32_t top = (0x80u | (uint32_t)o) << PZ_Q_ID_KEY;
        if (ob->kind == PZ_Q_LENS)
            draw_lens(w, m, t, e);
        else if (!ob->faded)
            pz_q_draw(&w->vis, m->pt, m->tri + 3 * (size_t)t, NULL, 0, e - t, top | (uint32_t)t,
                      ob->one_sided);
        for (int i = t; ob->faded && i < e; i++) {
            const uint32_t *v = m->tri + 3 * (size_t)i;
            const struct pz_q_pt *const p[3] = {&m->pt[v[0]], &m->pt[v[1]], &m->pt[v[2]]};
            const float al[3] = {m->alpha[v[0]], m->alpha[v[1]], m->alpha[v[2]]};
            const float uv[6] = {m->uv[v[0]][0], m->uv[v[0]][1], m->uv[v[1]][0],
                                 m->uv[v[1]][1], m->uv[v[2]][0], m->uv[v[2]][1]};
            float area =
                (p[1]->x - p[0]->x) * (p[2]->y - p[0]->y) - (p[1]->y - p[0]->y) * (p[2]->x - p[0]->x);
            if (fmaxf(al[0], fmaxf(al[1], al[2])) > .02f && (!ob->one_sided || area < 0.f))
                pz_q_draw_faded(&w->vis, w->head, p, al, uv, ob->grain, top | (uint32_t)i);
        }
        t = e;
    }
}

void pz_q_work_begin(struct pz_q_work *w)
{
    size_t n = (size_t)w->size * (size_t)w->size;
    w->skin_pixels = 0;
    w->skin_light = 0;
    memset(w->part, 0, n);
    memset(w->deep, 0, n / 16 * sizeof *w->deep);
    pz_q_background(w);
}

/** Keep the nearest depth of every 4×4 pixels. */
static void deepen(struct pz_q_work *w)
{
    int n = w->size / 4;
    for (int y = w->vis.y0 / 4; y < n && 4 * y < w->vis.y1; y++)
        for (int x = w->vis.x0 / 4; x < n && 4 * x < w->vis.x1; x++) {
            float q = w->vis.q[((size_t)(4 * y + 2) * (size_t)w->size + (size_t)(4 * x + 2)) * 4];
            w->deep[y * n + x] = q > 0.f ? q : w->deep[y * n + x];
        }
}

void pz_q_work_head(struct pz_q_work *w, const struct pz_q_state *s)
{
    const struct pz_syn_asset *a = &w->head->asset;
    struct pz_q_mesh *m = &w->mesh;
    w->lap = cpu_now();
    w->state = s;
    w->gap = pz_syn_rig_gap(&w->rig, s->face.w);
    pz_syn_rig_pose(&w->rig, &s->face, w->posed);
    lap(w, 0);
    aim(w);
    for (int v = 0; v < PZ_SYN_N_VERTS; v++) {
        w->pos[v] = pz_q_place(w, w->posed[v], w->neck[v]);
        w->pt[v] = pz_q_project(w, w->pos[v]);
    }
    uint32_t skip = hidden_materials(w);
    normals(w, skip);
    lap(w, 1);
    pz_q_mesh_reset(m);
    pz_q_grow_hair(w);
    pz_q_dress(w);
    pz_q_hold_up(w);
    for (int v = 0; v < m->n_v; v++) {
        if (m->space[v] != PZ_Q_IN_WORLD)
            m->pos[v] = pz_q_place(w, m->pos[v], m->space[v] == PZ_Q_ON_BODY ? 0.f : pz_q_follow(m->pos[v]));
        m->pt[v] = pz_q_project(w, m->pos[v]);
    }
    pz_q_mesh_normals(m);
    lap(w, 2);
    draw_shadow(w);
    lap(w, 3);
    pz_q_vis_clear(&w->vis);
    if (w->look.glasses)
        memset(w->lens, 0, (size_t)w->size * (size_t)w->size * sizeof *w->lens);
    pz_q_draw(&w->vis, w->pt, a->tri, w->head->key, skip, a->n_tri, 1, 1);
    lap(w, 4);
    draw_things(w);
    deepen(w);
    lap(w, 5);
    pz_q_shade(w);
    lap(w, 6);
}

void pz_q_work_render(struct pz_q_work *w, const struct pz_q_state *s, uint64_t n, uint8_t *rgb,
                      const struct pz_q_label *label)
{
    w->lap = cpu_now();
    pz_q_work_begin(w);
    lap(w, 7);
    pz_q_work_head(w, s);
    pz_q_finish(w, n, rgb);
    lap(w, 8);
    if (label) {
        pz_q_labels(w, label);
        pz_q_label_picture(w, label);
        lap(w, 9);
    }
}
