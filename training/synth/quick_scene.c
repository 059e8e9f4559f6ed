/* Wide pictures with several heads or none, for the detector. Does: who stands where, one light and one
 * camera exposure for all, heads painted far to near, points hidden by nearer heads. */
#include <string.h>

#include "points.h"
#include "quick_render.h"

struct stand {
    float side, cx, cy;
};

/** Light, camera and background of the first look for everybody. */
static void share(struct pz_q_look *to, const struct pz_q_look *from)
{
    to->n_lamp = from->n_lamp;
    memcpy(to->lamp_dir, from->lamp_dir, sizeof to->lamp_dir);
    memcpy(to->lamp, from->lamp, sizeof to->lamp);
    memcpy(to->sh, from->sh, sizeof to->sh);
    to->lamp_soft = from->lamp_soft;
    to->exposure = from->exposure;
    to->contrast = from->contrast;
    to->white = from->white;
    to->saturation = from->saturation;
    to->flare = from->flare;
    to->back = from->back;
    to->back_seed = from->back_seed;
    to->back_blur = from->back_blur;
    to->back_light = from->back_light;
    to->blur = from->blur;
    to->noise_amp = from->noise_amp;
}

/** Things that are no faces: balls and boxes, some of the colour of skin. */
static void clutter(struct pz_q_work *w, struct pz_rng *r)
{
    int n = (int)pz_rng_below(r, 5), S = w->size;
    for (int i = 0; i < n; i++) {
        struct v3 c = pz_q_chance(r, .6f) ? v3_scale(w->person.skin, pz_q_uni(r, .3f, 1.3f))
                                          : pz_q_colour(r, .02f, .8f);
        float x = pz_rng_uniform(r) * (float)S, y = pz_rng_uniform(r) * (float)S,
              a = pz_q_uni(r, .03f, .22f) * (float)S, b = a * pz_q_uni(r, .5f, 1.6f),
              tilt = pz_q_uni(r, -.5f, .5f), grad = pz_q_uni(r, -.4f, .4f);
        for (int py = (int)fmaxf(0.f, y - b); py < S && (float)py < y + b; py++)
            for (int px = (int)fmaxf(0.f, x - a); px < S && (float)px < x + a; px++) {
                float u = ((float)px - x) / a + tilt * ((float)py - y) / b, v = ((float)py - y) / b,
                      d = u * u + v * v;
                if (d > 1.f)
                    continue;
                float k = pz_smooth(1.f, .9f, d), l = sqrtf(1.f - d) * .6f + .4f + grad * u;
                float *t = w->rgb + 3 * ((size_t)py * (size_t)S + (size_t)px);
                t[0] += k * (c.x * l - t[0]);
                t[1] += k * (c.y * l - t[1]);
                t[2] += k * (c.z * l - t[2]);
            }
    }
}

/** Points of farther heads that a nearer head's picture covers are hidden. */
static void cover(const struct pz_q_work *w, const uint8_t *owner, const struct pz_q_label *l, int me)
{
    for (int i = 0; l->landmark && l->visible && i < PZ_SYN_N_MARKS; i++) {
        int x = (int)floorf(l->landmark[i][0]), y = (int)floorf(l->landmark[i][1]);
        if (l->visible[i] && x >= 0 && y >= 0 && x < w->size && y < w->size) {
            uint8_t o = owner[(size_t)y * (size_t)w->size + (size_t)x];
            if (o && o - 1 < me)
                l->visible[i] = 0;
        }
    }
}

int pz_q_work_scene(struct pz_q_work *w, uint64_t seed, uint64_t id, uint8_t *rgb,
                    const struct pz_q_label *label)
{
    struct pz_rng r;
    struct stand at[PZ_Q_HEADS];
    pz_rng_init(&r, seed, 0x5ce7e00000000000u + id);
    float u = pz_rng_uniform(&r);
    int n = u < .2f ? 0 : u < .6f ? 1 : u < .8f ? 2 : u < .92f ? 3 : 4, S = w->size;
    float crowd = pz_q_uni(&r, 22.f, 60.f) * (1.f + 1.6f * pz_rng_uniform(&r) * pz_rng_uniform(&r));
    for (int i = 0; i < n; i++) {
        at[i].side = n == 1 ? 22.f * expf(pz_rng_uniform(&r) * 2.1f)
                            : crowd * (1.2f + .4f * (float)n) * pz_q_uni(&r, .8f, 1.3f);
        at[i].cx = n == 1 ? pz_q_uni(&r, .15f, .85f) : ((float)i + pz_q_uni(&r, .25f, .75f)) / (float)n;
        at[i].cy = pz_q_uni(&r, .2f, .7f);
        /* Nearest, that is largest, first. */
        for (int k = i; k > 0 && at[k].side < at[k - 1].side; k--) {
            struct stand t = at[k];
            at[k] = at[k - 1];
            at[k - 1] = t;
        }
    }
    struct pz_q_look all;
    uint8_t *owner = w->owner;
    memset(owner, 0, (size_t)S * (size_t)S);
    pz_q_person_draw(&w->person, seed, 0x80000000u + id * 8u);
    pz_q_look_draw(&all, &w->person, 0, 1.f);
    w->look = all;
    pz_q_work_begin(w);
    clutter(w, &r);
    for (int i = n - 1; i >= 0; i--) {
        struct pz_q_state st;
        int kind;
        pz_q_work_person(w, seed, 0x80000000u + id * 8u + (uint64_t)i);
        pz_q_look_draw(&w->look, &w->person, 0, 1.f);
        share(&w->look, &all);
        w->look.side = at[i].side;
        w->look.dist = fmaxf(w->look.dist, 1.2f * at[i].side);
        w->look.cx = at[i].cx;
        w->look.cy = at[i].cy;
        w->look.px = w->look.py = .5f;
        pz_q_work_paint(w);
        pz_q_state_draw(&st, &w->person, &w->rig, 0, &kind);
        pz_q_work_head(w, &st);
        for (int k = 0; k < S * S; k++) {
            const uint32_t *q = w->vis.id + 4 * (size_t)k;
            if (q[0] | q[1] | q[2] | q[3])
                owner[k] = (uint8_t)(i + 1);
        }
        if (label)
            pz_q_labels(w, &label[i]);
    }
    pz_q_finish(w, id, rgb);
    if (label) {
        pz_q_label_picture(w, &label[0]);
        for (int i = 1; i < n; i++)
            cover(w, owner, &label[i], i);
    }
    return n;
}
