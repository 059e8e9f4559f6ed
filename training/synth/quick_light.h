/**
 * Light in the quick picture: what lamps give a point, and light on all vertices before pixels are shaded.
 * For quick_shade.c.
 */
#ifndef PZ_SYN_QUICK_LIGHT_H
#define PZ_SYN_QUICK_LIGHT_H

#include "quick_render.h"

/** A place that is lit. */
struct pz_q_spot {
    struct v3 p, n, eye; /**< position, normal, unit vector to the camera; camera space */
    float b[3], u, v;
    const uint32_t *vert;
    int x, y; /**< pixel */
    int busy; /**< see struct pz_q_tri */
};

/** t^n for 0 ≤ t ≤ 1, after Schlick: no transcendental function in the inner loop. */
static inline float pz_q_shine(float t, float n)
{
    return t <= 0.f ? 0.f : t / (n - n * t + t);
}

/** Light of all lamps on a spot. */
struct pz_q_lamps {
    struct v3 diffuse, spec;
};

/** All lamps: wrapped cosine (further in red by `wrap`) and a highlight of sharpness `power`. */
static inline struct pz_q_lamps pz_q_gather(const struct pz_q_work *w, const struct pz_q_spot *s, struct v3 n,
                                            float wrap, float power, float lit)
{
    struct pz_q_lamps o = {{0, 0, 0}, {0, 0, 0}};
    const struct pz_q_look *l = &w->look;
    for (int i = 0; i < l->n_lamp; i++) {
        struct v3 d = l->lamp_dir[i], c = l->lamp[i];
        float nl = v3_dot(n, d), k = i == 0 ? lit : 1.f;
        float g = fmaxf(0.f, nl), red = fmaxf(0.f, (nl + wrap) / (1.f + wrap)),
              gr = fmaxf(0.f, (nl + .4f * wrap) / (1.f + .4f * wrap));
        o.diffuse.x += c.x * k * red;
        o.diffuse.y += c.y * k * gr;
        o.diffuse.z += c.z * k * g;
        if (power > 0.f && nl > 0.f) {
            struct v3 h = v3_norm(v3_add(d, s->eye));
            float sp = pz_q_shine(v3_dot(n, h), power) * (power + 4.f) * .06f * k * fminf(1.f, 4.f * nl);
            o.spec = v3_madd(o.spec, c, sp);
        }
    }
    return o;
}

/** Light on all vertices that may be seen, into w->fat and w->mesh.thin: far fewer than pixels. */
void pz_q_light_up(struct pz_q_work *w);

#endif
