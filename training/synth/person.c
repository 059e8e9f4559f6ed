/* Draws a person. Does: all random choices of looks, clothes, light and camera, in a fixed order, from
 * Philox. Does not: motion (behave.c) or speech (speech.c), which have streams of their own. */
#include "person.h"

#include <string.h>

#include "base/rng.h"

static float uni(struct pz_rng *r, float lo, float hi)
{
    return lo + (hi - lo) * pz_rng_uniform(r);
}

void pz_syn_person_draw(struct pz_syn_person *p, uint64_t seed, uint64_t person)
{
    struct pz_rng r;
    memset(p, 0, sizeof *p);
    pz_rng_init(&r, seed, person * 16u);
    p->seed = seed;
    p->noise = pz_rng_u32(&r);
    for (int k = 0; k < PZ_SYN_N_ID; k++)
        p->identity[k] = pz_clampf(pz_rng_normal(&r) * .72f, -2.2f, 2.2f);
    p->asymmetry = uni(&r, .03f, .09f);
    p->melanin = uni(&r, 2.5f, 3.1f);
    p->redness = uni(&r, .9f, 1.4f);
    p->freckles = uni(&r, .1f, .5f);
    p->age = uni(&r, .2f, .55f);
    p->stubble = uni(&r, .55f, .9f);
    p->oil = uni(&r, .5f, 1.f);
    p->lip_tint = v3(uni(&r, .76f, .84f), uni(&r, .54f, .62f), uni(&r, .56f, .66f));
    float dark = uni(&r, .7f, 1.2f);
    p->hair = v3(.0125f * dark, .0085f * dark, .0062f * dark);
    p->hair_top = uni(&r, 4.2f, 5.2f);
    p->hair_side = uni(&r, .9f, 1.5f);
    p->hair_part = uni(&r, 2.6f, 3.6f);
    p->hair_wave = uni(&r, .25f, .6f);
    p->brow_density = uni(&r, .75f, 1.f);
    float br = uni(&r, .8f, 1.3f);
    p->iris = v3(.085f * br, .040f * br, .016f * br);
    p->iris_ring = v3(.16f * br, .078f * br, .028f * br);
    p->pupil = uni(&r, .17f, .21f);
    static const float cloth[4][3] = {{30, 42, 66}, {52, 56, 62}, {38, 58, 60}, {66, 52, 46}};
    const float *c = cloth[pz_rng_below(&r, 4)];
    p->blazer = v3_srgb(c[0], c[1], c[2]);
    p->shirt = v3_srgb(uni(&r, 214, 232), uni(&r, 222, 236), uni(&r, 234, 242));
    p->lining = v3_scale(p->blazer, .5f);
    float warm = uni(&r, .94f, 1.06f);
    p->key = v3(1.95f * warm, 1.78f, 1.58f / warm);
    p->fill = v3(.40f, .425f, .47f);
    p->rim = v3(1.25f, 1.35f, 1.55f);
    p->key_yaw = uni(&r, -.75f, -.6f);
    p->key_pitch = uni(&r, .5f, .62f);
    p->rim_yaw = uni(&r, 2.2f, 2.4f);
    p->camera_dist = uni(&r, 125, 150);
    p->px_per_cm = uni(&r, 29.5f, 30.5f);
    p->look_y = -8.0f;
    p->rate = uni(&r, .97f, 1.03f);
}
