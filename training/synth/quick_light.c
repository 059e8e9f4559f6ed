/* Light on the vertices of the quick picture: shadow of the first lamp, diffuse light and highlights of skin
 * and things. Does not know textures: those are found per pixel (quick_shade.c). */
#include "quick_light.h"

#include <string.h>

float pz_q_lit(const struct pz_q_work *w, struct v3 p, struct v3 n)
{
    struct v3 q = v3_sub(v3_madd(p, n, .15f), w->shadow_o);
    float fx = (v3_dot(q, w->shadow_u) + 17.f) * w->shadow_k - .5f,
          fy = (v3_dot(q, w->shadow_v) + 17.f) * w->shadow_k - .5f, z = v3_dot(q, w->shadow_d) + .25f;
    float r = 1.f + w->look.lamp_soft * w->shadow_k * .6f;
    const int R = PZ_Q_SHADOW;
    if (!(fx > r + 1.f && fy > r + 1.f && fx < (float)R - r - 2.f && fy < (float)R - r - 2.f))
        return 1.f;
    float sum = 0;
    for (int k = 0; k < 5; k++) {
        static const float ox[5] = {0, .9f, -.4f, -.7f, .5f}, oy[5] = {0, .3f, .9f, -.5f, -.8f};
        float gx = fx + r * ox[k], gy = fy + r * oy[k];
        int x = (int)gx, y = (int)gy;
        float s = gx - (float)x, t = gy - (float)y;
        const float *m = w->shadow + y * R + x;
        float a = m[0] <= z, b = m[1] <= z, c = m[R] <= z, d = m[R + 1] <= z;
        a += (b - a) * s;
        c += (d - c) * s;
        sum += a + (c - a) * t;
    }
    return sum * .2f;
}

/** Diffuse light at a point with a normal. */
static struct v3 light_at(const struct pz_q_work *w, struct v3 p, struct v3 n, float wrap, float ao,
                          float *lit)
{
    struct pz_q_spot s = {.p = p, .n = n};
    *lit = pz_q_lit(w, p, n);
    return v3_add(v3_scale(pz_q_ambient(&w->look, n), ao), pz_q_gather(w, &s, n, wrap, 0.f, *lit).diffuse);
}

static int on_picture(const struct pz_q_work *w, struct pz_q_pt p)
{
    float S = (float)w->size;
    return p.q > 0.f && p.x > -12.f && p.y > -12.f && p.x < S + 12.f && p.y < S + 12.f;
}

static void light_skin(struct pz_q_work *w, int v, struct v3 eye)
{
    const struct pz_q_head *h = w->head;
    const struct pz_q_person *p = &w->person;
    struct pz_q_fat *f = &w->fat[v];
    struct v3 n = w->nrm[v];
    float oily = p->oil * h->zone[v][PZ_Q_Z_GLOSS], ao = .25f + .75f * h->open[v], power = 9.f + 14.f * oily;
    if (h->lip[v])
        power = 26.f;
    f->tint = w->tint[v];
    f->beard = w->beard[v];
    f->gloss = .28f + .8f * oily;
    f->light = light_at(w, w->pos[v], n, .3f, ao, &f->lit);
    struct pz_q_spot s = {.p = w->pos[v], .n = n, .eye = eye};
    float x = 1.f - pz_clampf(v3_dot(n, eye), 0.f, 1.f);
    f->shine = v3_scale(pz_q_gather(w, &s, n, 0.f, power, f->lit).spec, .9f * (.5f + .5f * ao));
    f->shine = v3_madd(f->shine, f->light, (.02f + .3f * x * x * x * x * x) * ao);
}

static void light_thing(struct pz_q_work *w, int v)
{
    struct pz_q_mesh *m = &w->mesh;
    const struct pz_q_look *l = &w->look;
    const struct pz_q_obj *o = &m->object[m->vertex_obj[v]];
    struct pz_q_thin *f = &m->thin[v];
    *f = (struct pz_q_thin){.u = m->uv[v][0], .v = m->uv[v][1]};
    if (!on_picture(w, m->pt[v]))
        return;
    struct v3 eye = v3_norm(v3_sub(v3(0, 0, w->dist), m->pos[v])), n = m->nrm[v];
    float lit, facing = v3_dot(n, eye);
    if (facing < 0.f)
        n = v3_scale(n, -1.f);
    if (o->kind == PZ_Q_STRANDS && facing < -.3f) { /* hair behind the head: seldom seen, in shade */
        f->light = v3_scale(pz_q_ambient(l, n), .6f);
        return;
    }
    f->light = light_at(w, m->pos[v], n, .3f, .8f, &lit);
    if (o->kind == PZ_Q_STRANDS) {
        /* Strands run along v; their highlight is a band across them. */
        struct v3 shiny = v3_scale(v3_lerp(o->colour, v3(.5f, .5f, .5f), .35f), o->gloss);
        struct v3 along = v3_norm(v3_madd(v3(0, 1, 0), n, -n.y));
        for (int i = 0; i < l->n_lamp; i++) {
            float a = v3_dot(along, v3_norm(v3_add(l->lamp_dir[i], eye)));
            float k = fmaxf(0.f, v3_dot(n, l->lamp_dir[i]) + .2f) * (i ? 1.f : lit);
            f->shine = v3_madd(f->shine, v3_mul(l->lamp[i], shiny), k * pz_q_shine(1.f - a * a, 14.f));
        }
        return;
    }
    struct pz_q_spot s = {.p = m->pos[v], .n = n, .eye = eye};
    float x = 1.f - pz_clampf(v3_dot(n, eye), 0.f, 1.f);
    if (o->gloss > .1f)
        f->shine = v3_scale(pz_q_gather(w, &s, n, .1f, o->power, lit).spec, o->gloss);
    f->shine = v3_madd(f->shine, f->light, o->gloss * .3f * x * x * x * x * x);
}

void pz_q_light_up(struct pz_q_work *w)
{
    struct pz_q_mesh *m = &w->mesh;
    for (int v = 0; v < PZ_Q_N_SKIN; v++) {
        struct v3 eye = v3_sub(v3(0, 0, w->dist), w->pos[v]);
        if (v3_dot(w->nrm[v], eye) > -.12f * w->dist && on_picture(w, w->pt[v]))
            light_skin(w, v, v3_norm(eye));
        else
            memset(&w->fat[v], 0, sizeof w->fat[v]);
        w->fat[v].px = w->pt[v].x;
        w->fat[v].py = w->pt[v].y;
        w->fat[v].pq = w->pt[v].q;
    }
    for (int t = 0; t < m->n_t; t++)
        for (int k = 0; k < 3; k++)
            m->vertex_obj[m->tri[3 * t + k]] = m->obj[t];
    for (int v = 0; v < m->n_v; v++)
        light_thing(w, v);
}
