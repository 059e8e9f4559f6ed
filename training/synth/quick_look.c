/* Draws people and looks. Does: all random choices but pose and expression (quick_state.c), in a fixed order.
 * Ranges are wide on purpose: networks must meet in training more than they will meet in films. Source: fact
 * sheets synth.md §4–§5, faces.md §5.5. */
#include "quick_look.h"

#include <string.h>

static struct v3 dye(struct pz_rng *r, float grey)
{
    static const float tab[8][3] = {{24, 21, 20},  {36, 27, 22},   {52, 36, 27},    {80, 56, 38},
                                    {110, 80, 50}, {160, 124, 80}, {205, 172, 120}, {110, 52, 28}};
    static const float share[8] = {.24f, .22f, .18f, .12f, .08f, .06f, .05f, .05f};
    float u = pz_rng_uniform(r);
    int k = 0;
    while (k < 7 && u > share[k]) {
        u -= share[k];
        k++;
    }
    float b = pz_q_uni(r, .75f, 1.3f);
    struct v3 c = v3_scale(v3_srgb(tab[k][0], tab[k][1], tab[k][2]), b);
    if (pz_q_chance(r, .03f))
        c = pz_q_colour(r, .02f, .6f);
    struct v3 g = v3_scale(v3(.46f, .46f, .48f), pz_q_uni(r, .5f, 1.4f));
    return v3_lerp(c, g, grey);
}

static void draw_skin(struct pz_q_person *p, struct pz_rng *r)
{
    static const float tone[6][3] = {{246, 214, 198}, {232, 184, 158}, {212, 158, 126},
                                     {178, 120, 88},  {128, 82, 60},   {74, 48, 38}};
    p->tone = pz_q_uni(r, 0.f, 4.999f);
    int k = (int)p->tone;
    float t = p->tone - (float)k, warm = pz_q_uni(r, .92f, 1.08f);
    p->skin = v3_lerp(v3_srgb(tone[k][0], tone[k][1], tone[k][2]),
                      v3_srgb(tone[k + 1][0], tone[k + 1][1], tone[k + 1][2]), t);
    p->skin = v3_mul(p->skin, v3(pz_q_uni(r, .94f, 1.06f), 1.f, 1.f / warm));
    float grey = .2126f * p->skin.x + .7152f * p->skin.y + .0722f * p->skin.z, sat = pz_q_uni(r, .55f, 1.f);
    p->skin = v3_lerp(v3(grey * 1.05f, grey, grey * .95f), p->skin,
                      1.25f * pz_mixf(sat, 1.f, .6f * pz_smooth(2.5f, 4.5f, p->tone)));
    p->red = pz_q_uni(r, .2f, 1.7f);
    p->freckle = pz_q_chance(r, .25f) ? pz_q_uni(r, .2f, 1.f) : 0.f;
    p->mottle = pz_q_uni(r, .3f, 1.6f);
    p->pore = pz_q_uni(r, .2f, 1.3f);
    p->oil = pz_q_uni(r, .2f, 1.3f);
    p->age = pz_rng_uniform(r);
    p->line = p->age * p->age * pz_q_uni(r, .4f, 1.6f);
    p->bags = pz_q_uni(r, 0.f, 1.3f);
    p->uv_turn[0] = pz_rng_uniform(r);
    p->uv_turn[1] = pz_rng_uniform(r);
    p->uv_turn[2] = pz_q_uni(r, 1.2f, 3.2f);
    p->uv_turn[3] = pz_q_uni(r, 0.f, 6.28f);
    p->n_spot = pz_q_chance(r, .6f) ? (int)pz_rng_below(r, PZ_Q_MAX_SPOT) : (int)pz_rng_below(r, 4);
    for (int i = 0; i < PZ_Q_MAX_SPOT; i++) {
        p->spot[i][0] = pz_q_uni(r, .2f, .8f);
        p->spot[i][1] = pz_q_uni(r, .1f, .9f);
        p->spot[i][2] = pz_q_uni(r, .002f, .0065f);
        p->spot[i][3] = pz_q_uni(r, .15f, .75f);
    }
}

static void draw_mouth(struct pz_q_person *p, struct pz_rng *r)
{
    /* Lips from the skin's own colour to deep red or brown; dark skins have darker, less saturated lips. */
    float deep = sqrtf(pz_rng_uniform(r)), dark = pz_smooth(2.f, 5.f, p->tone);
    p->lip = v3(pz_q_uni(r, .74f, 1.0f), pz_mixf(.92f, .40f, deep), pz_mixf(.94f, .46f, deep));
    p->lip = v3_lerp(p->lip, v3(pz_q_uni(r, .75f, 1.25f), pz_q_uni(r, .65f, 1.1f), pz_q_uni(r, .75f, 1.2f)),
                     .8f * dark);
    p->lip_soft = pz_q_uni(r, .003f, .012f);
    p->lip_shift = pz_q_uni(r, -.008f, .006f);
    p->lip_light = pz_q_uni(r, .85f, 1.1f);
    float y = pz_rng_uniform(r), b = pz_q_uni(r, .55f, .86f);
    p->teeth = v3_scale(v3(1.f, pz_mixf(.97f, .84f, y), pz_mixf(.93f, .62f, y)), b);
    p->gum = v3(pz_q_uni(r, .3f, .5f), pz_q_uni(r, .10f, .2f), pz_q_uni(r, .10f, .2f));
    p->gum = v3_scale(p->gum, 1.f - .4f * dark);
    p->tongue = v3(pz_q_uni(r, .32f, .55f), pz_q_uni(r, .12f, .22f), pz_q_uni(r, .12f, .22f));
}

static void draw_eyes(struct pz_q_person *p, struct pz_rng *r)
{
    static const float tab[6][3] = {{70, 42, 24},  {44, 26, 16},  {104, 136, 160},
                                    {92, 110, 76}, {118, 92, 52}, {120, 126, 130}};
    static const float pale[6] = {.32f, .18f, .18f, .10f, .14f, .08f};
    float u = pz_rng_uniform(r), dark = pz_smooth(1.5f, 4.f, p->tone);
    int k = 0;
    while (k < 5 && u > pale[k]) {
        u -= pale[k];
        k++;
    }
    if (k > 1 && pz_q_chance(r, .85f * dark))
        k = (int)pz_rng_below(r, 2);
    float b = pz_q_uni(r, .7f, 1.4f);
    p->iris = v3_scale(v3_srgb(tab[k][0], tab[k][1], tab[k][2]), b);
    p->iris_ring = v3_lerp(p->iris, v3_srgb(130, 92, 48), pz_q_uni(r, 0.f, .5f));
    p->iris_ring = v3_scale(p->iris_ring, pz_q_uni(r, 1.f, 1.7f));
    p->pupil = pz_q_uni(r, .13f, .32f);
    p->iris_r = pz_q_uni(r, .55f, .62f);
    p->vein = pz_rng_uniform(r);
    float y = pz_rng_uniform(r);
    p->sclera = v3_scale(v3(.70f, pz_mixf(.66f, .58f, y), pz_mixf(.64f, .46f, y)), pz_q_uni(r, .75f, 1.1f));
}

void pz_q_person_draw(struct pz_q_person *p, uint64_t seed, uint64_t id)
{
    struct pz_rng r;
    memset(p, 0, sizeof *p);
    pz_rng_init(&r, seed, id * 64u);
    p->seed = seed;
    p->id = id;
    p->noise = pz_rng_u32(&r);
    bool far = pz_q_chance(&r, .25f);
    for (int k = 0; k < PZ_SYN_N_ID; k++)
        p->coef[k] = pz_clampf(pz_rng_normal(&r) * (far && k >= 6 ? 1.4f : 1.f), -2.6f, 2.6f);
    p->asym = pz_q_uni(&r, .02f, .14f);
    p->female = pz_clampf(.5f + .75f * (pz_rng_uniform(&r) - .5f) * 2.f, 0.f, 1.f);
    draw_skin(p, &r);
    draw_mouth(p, &r);
    draw_eyes(p, &r);
    p->grey = p->age > .55f && pz_q_chance(&r, .6f) ? pz_q_uni(&r, .2f, 1.f) : 0.f;
    p->hair = dye(&r, p->grey);
    p->brow = v3_lerp(v3_scale(p->hair, pz_q_uni(&r, .5f, 1.f)), v3_srgb(40, 28, 22), pz_q_uni(&r, 0.f, .7f));
    p->brow_density = pz_q_chance(&r, .3f) ? pz_q_uni(&r, 1.f, 1.3f) : pz_q_uni(&r, .5f, 1.1f);
    p->brow_width = pz_mixf(pz_q_uni(&r, .32f, .7f), pz_q_uni(&r, .22f, .5f), p->female);
    p->brow_arch = pz_q_uni(&r, -.25f, .35f);
    p->brow_end = pz_q_uni(&r, .85f, 1.25f);
    p->beard_grow = pz_q_uni(&r, .5f, 1.f);
    p->bald = p->female < .45f && pz_q_chance(&r, .15f + .3f * p->age) ? pz_q_uni(&r, .2f, 1.f) : 0.f;
    for (int k = 0; k < PZ_SYN_N_EXPR; k++)
        p->style[k] = pz_q_uni(&r, .8f, 1.2f) * (1.f + .08f * pz_rng_normal(&r));
}

static void draw_hair(struct pz_q_look *l, const struct pz_q_person *p, struct pz_rng *r)
{
    struct pz_q_hair_look *h = &l->hair;
    l->hair_colour = v3_scale(p->hair, pz_q_uni(r, .85f, 1.2f));
    if (pz_q_chance(r, .08f))
        l->hair_colour = dye(r, p->grey);
    l->hair_tip = v3_scale(l->hair_colour, pz_q_uni(r, .8f, 1.6f));
    h->on = !(p->bald > .7f || pz_q_chance(r, p->female < .4f ? .08f : .02f));
    h->thick = pz_q_uni(r, .35f, 1.5f);
    h->top = pz_q_uni(r, 0.f, 1.3f);
    h->curl = pz_q_chance(r, .25f) ? pz_q_uni(r, .3f, 1.2f) : 0.f;
    h->wave = pz_q_uni(r, 0.f, .5f);
    h->ragged = pz_q_uni(r, .1f, 1.f);
    h->part = pz_q_uni(r, -3.f, 3.f);
    h->gloss = pz_q_uni(r, .1f, .7f);
    h->grain = pz_q_uni(r, .5f, 1.6f);
    h->lift = pz_q_uni(r, -.5f, 1.2f);
    h->recede = p->bald;
    bool is_long = pz_q_chance(r, .08f + .75f * p->female);
    if (is_long) {
        h->side = pz_q_uni(r, 3.f, 28.f);
        h->back = fmaxf(h->side, pz_q_uni(r, 8.f, 30.f));
        h->thick *= 1.2f;
        if (pz_q_chance(r, .2f)) { /* tied behind */
            h->side = pz_q_uni(r, -.5f, .5f);
            h->back = h->side;
            h->bun = 1;
            h->thick *= .5f;
        }
    } else {
        h->side = pz_q_uni(r, -.8f, 2.f);
        h->back = h->side + pz_q_uni(r, 0.f, 2.f);
        if (pz_q_chance(r, .3f)) /* shaved or very short */
            h->thick = pz_q_uni(r, .05f, .2f);
    }
    h->fringe = pz_q_chance(r, .12f + .22f * p->female) ? pz_q_uni(r, .5f, 5.5f) : pz_q_uni(r, -.4f, 1.1f);
    h->line = pz_q_uni(r, -1.7f, .3f);
    l->beard = PZ_Q_SHAVEN;
    if (pz_q_chance(r, .52f * (1.f - pz_smooth(.35f, .7f, p->female))))
        l->beard = (enum pz_q_beard)(1 + pz_rng_below(r, 6));
    l->beard_length = pz_q_chance(r, .4f) ? pz_q_uni(r, .3f, 2.2f) : pz_q_uni(r, .05f, .5f);
    l->beard_density = pz_q_uni(r, .35f, 1.f);
    l->beard_colour = v3_lerp(v3_scale(p->hair, pz_q_uni(r, .7f, 1.3f)), v3(.4f, .4f, .4f),
                              p->age > .6f ? pz_rng_uniform(r) * .8f : 0.f);
}

static void draw_wear(struct pz_q_look *l, const struct pz_q_person *p, struct pz_rng *r)
{
    float u = pz_rng_uniform(r);
    l->glasses = u < .17f ? 1 : u < .20f ? 2 : u < .225f ? 3 : 0;
    l->rim = pz_q_chance(r, .4f) ? pz_q_uni(r, .05f, .1f) : pz_q_uni(r, .1f, .3f);
    l->lens_w = pz_q_uni(r, 2.2f, 3.0f);
    l->lens_h = pz_q_uni(r, 1.4f, 2.6f);
    l->lens_round = pz_q_uni(r, 2.f, 5.f);
    l->lens_alpha = l->glasses == 3   ? pz_q_uni(r, .75f, .97f)
                    : l->glasses == 2 ? pz_q_uni(r, .2f, .5f)
                                      : pz_q_uni(r, .0f, .1f);
    l->lens_low = pz_q_uni(r, -.5f, .3f);
    l->rim_colour = pz_q_chance(r, .5f) ? v3_scale(v3(.02f, .02f, .02f), pz_q_uni(r, .5f, 3.f))
                                        : pz_q_colour(r, .01f, .5f);
    l->lens_colour = l->glasses == 3 ? v3(.01f, .01f, .012f) : pz_q_colour(r, .02f, .4f);
    l->hat = PZ_Q_NO_HAT;
    if (pz_q_chance(r, .14f)) {
        static const enum pz_q_hat kHat[10] = {PZ_Q_BEANIE, PZ_Q_CAP,  PZ_Q_CAP,  PZ_Q_BRIM,   PZ_Q_VEIL,
                                               PZ_Q_VEIL,   PZ_Q_BAND, PZ_Q_HOOD, PZ_Q_PHONES, PZ_Q_PHONES};
        l->hat = kHat[pz_rng_below(r, 10)];
    }
    l->hat_colour = pz_q_colour(r, .01f, .7f);
    l->hat_colour2 = pz_q_colour(r, .01f, .7f);
    l->hat_size = pz_q_uni(r, .3f, 1.2f);
    l->cloth = (int)pz_rng_below(r, 5);
    l->cloth_colour = pz_q_chance(r, .35f) ? v3_scale(v3(.03f, .035f, .045f), pz_q_uni(r, .4f, 3.f))
                                           : pz_q_colour(r, .02f, .85f);
    l->cloth_colour2 = pz_q_colour(r, .02f, .85f);
    l->cloth_pattern = pz_q_chance(r, .6f) ? 0 : 1 + (int)pz_rng_below(r, 5);
    l->shoulder = pz_q_uni(r, .85f, 1.2f);
    l->earring = pz_q_chance(r, .3f * p->female);
    /* Make-up. */
    bool made = pz_q_chance(r, .05f + .45f * p->female);
    l->lipstick = made && pz_q_chance(r, .75f) ? pz_q_uni(r, .3f, 1.f) : 0.f;
    float k = pz_rng_uniform(r);
    l->lipstick_colour =
        k < .6f   ? v3(pz_q_uni(r, .25f, .75f), pz_q_uni(r, .01f, .15f), pz_q_uni(r, .02f, .2f))
        : k < .9f ? v3(pz_q_uni(r, .4f, .8f), pz_q_uni(r, .2f, .45f), pz_q_uni(r, .2f, .45f))
                  : v3_lerp(pz_q_colour(r, .01f, .5f), v3(.4f, .12f, .14f), pz_rng_uniform(r));
    l->shadow = made ? pz_q_uni(r, 0.f, .9f) : 0.f;
    l->shadow_colour = pz_q_chance(r, .6f) ? v3(.12f, .07f, .06f) : pz_q_colour(r, .02f, .4f);
    l->liner = made ? pz_q_uni(r, .3f, 1.f) : pz_q_uni(r, .1f, .5f);
    l->blush = made ? pz_q_uni(r, 0.f, .8f) : 0.f;
    l->foundation = made ? pz_q_uni(r, 0.f, .7f) : 0.f;
}

static void draw_block(struct pz_q_look *l, struct pz_rng *r)
{
    l->block = PZ_Q_NOTHING;
    if (pz_q_chance(r, .22f)) {
        static const enum pz_q_block kBlock[14] = {
            PZ_Q_HAND,     PZ_Q_HAND,  PZ_Q_FINGERS, PZ_Q_FINGERS,    PZ_Q_MIC,        PZ_Q_MIC,   PZ_Q_MIC,
            PZ_Q_MIC_BOOM, PZ_Q_PHONE, PZ_Q_CUP,     PZ_Q_MASK_CLOTH, PZ_Q_MASK_CLOTH, PZ_Q_SCARF, PZ_Q_BLOB};
        l->block = kBlock[pz_rng_below(r, 14)];
    }
    for (int i = 0; i < 6; i++)
        l->block_at[i] = pz_rng_uniform(r);
    l->block_colour = pz_q_colour(r, .01f, .8f);
    l->block_colour2 = pz_q_colour(r, .01f, .8f);
}

/** Real spherical harmonics of order 2 in order 1, y, z, x, xy, yz, zz, xz, xx−yy. */
static void add_lobe(float sh[3][9], struct v3 d, struct v3 c, float wide)
{
    /* Irradiance of a cosine-like lobe, /π, with the diffuse kernel already applied. */
    const float k0 = .25f + .15f * wide, k1 = .5f * (1.f - .4f * wide), k2 = .3125f * (1.f - .7f * wide);
    const float y[9] = {1.f,
                        d.y,
                        d.z,
                        d.x,
                        2.f * d.x * d.y,
                        2.f * d.y * d.z,
                        .5f * (3.f * d.z * d.z - 1.f),
                        2.f * d.x * d.z,
                        d.x * d.x - d.y * d.y};
    for (int q = 0; q < 9; q++) {
        float k = q == 0 ? k0 : q < 4 ? k1 : .75f * k2 * (q == 6 ? 1.3333f : 1.f);
        sh[0][q] += c.x * k * y[q];
        sh[1][q] += c.y * k * y[q];
        sh[2][q] += c.z * k * y[q];
    }
}

static struct v3 lamp_colour(struct pz_rng *r)
{
    float t = pz_q_uni(r, -.9f, .9f); /* warm … cold */
    struct v3 c = v3_lerp(v3(1, 1, 1), t < 0.f ? v3(1.f, .72f, .42f) : v3(.75f, .87f, 1.f), t * t);
    if (pz_q_chance(r, .06f))
        c = pz_q_colour(r, .05f, 1.f);
    return c;
}

static struct v3 direction(struct pz_rng *r, float yaw, float lo, float hi)
{
    float a = yaw * (2.f * pz_rng_uniform(r) - 1.f), b = pz_q_uni(r, lo, hi);
    return v3(sinf(a) * cosf(b), sinf(b), cosf(a) * cosf(b));
}

static void draw_light(struct pz_q_look *l, struct pz_rng *r)
{
    float hard = .15f + .8f * pz_rng_uniform(r); /* share of the lamps against the surroundings */
    l->n_lamp = 1 + (int)pz_rng_below(r, PZ_Q_MAX_LAMP);
    for (int i = 0; i < l->n_lamp; i++) {
        float k = i == 0 ? 1.f : pz_q_uni(r, .1f, .8f);
        l->lamp_dir[i] =
            i == 0 && pz_q_chance(r, .65f) ? direction(r, .95f, .05f, .85f) : direction(r, 2.9f, -.35f, 1.2f);
        l->lamp[i] = v3_scale(lamp_colour(r), 1.6f * hard * k);
    }
    l->lamp_soft = pz_q_chance(r, .35f) ? pz_q_uni(r, .05f, .3f) : pz_q_uni(r, .3f, 2.5f);
    memset(l->sh, 0, sizeof l->sh);
    struct v3 amb = lamp_colour(r);
    float e = 1.2f - hard;
    add_lobe(l->sh, v3(0, 1, 0), v3_scale(amb, e * pz_q_uni(r, .2f, 1.2f)), 1.f);
    add_lobe(l->sh, v3(0, -1, 0), v3_scale(lamp_colour(r), e * pz_q_uni(r, .05f, .5f)), 1.f);
    add_lobe(l->sh, v3(0, 0, 1), v3_scale(amb, e * pz_q_uni(r, .05f, .9f)), .8f);
    int n = 1 + (int)pz_rng_below(r, 3);
    for (int i = 0; i < n; i++)
        add_lobe(l->sh, direction(r, 3.1f, -.3f, 1.f), v3_scale(lamp_colour(r), e * pz_q_uni(r, .1f, 1.2f)),
                 pz_rng_uniform(r));
    float u = pz_rng_uniform(r);
    l->exposure = u < .05f   ? pz_q_uni(r, .1f, .2f)
                  : u < .14f ? pz_q_uni(r, .75f, 1.0f)
                             : pz_q_uni(r, .42f, .72f);
    l->contrast = pz_q_uni(r, .2f, 1.f);
    /* The camera balances most of the lamps' colour away. */
    struct v3 cast = v3(l->sh[0][0], l->sh[1][0], l->sh[2][0]);
    for (int i = 0; i < l->n_lamp; i++)
        cast = v3_madd(cast, l->lamp[i], .45f);
    float good = pz_q_uni(r, .5f, 1.f);
    l->white = v3(powf(cast.y / cast.x, good) * pz_q_uni(r, .94f, 1.06f), 1.f,
                  powf(cast.y / cast.z, good) * pz_q_uni(r, .92f, 1.08f));
    l->saturation = pz_q_chance(r, .04f) ? 0.f : pz_q_uni(r, .75f, 1.2f);
    l->flare = pz_q_chance(r, .2f) ? pz_q_uni(r, 0.f, .03f) : 0.f;
}

void pz_q_look_draw(struct pz_q_look *l, const struct pz_q_person *p, uint64_t n, float margin)
{
    struct pz_rng r;
    memset(l, 0, sizeof *l);
    pz_rng_init(&r, p->seed, p->id * 64u + 1u + ((n + 1u) << 40));
    l->noise = pz_rng_u32(&r);
    draw_hair(l, p, &r);
    draw_wear(l, p, &r);
    draw_block(l, &r);
    draw_light(l, &r);
    l->dist = 32.f * expf(pz_rng_uniform(&r) * 1.8f);
    l->side = pz_q_chance(&r, .75f) ? pz_q_uni(&r, 24.f, 30.f) : 30.f * expf(1.0986f * pz_rng_uniform(&r));
    l->side *= margin;
    l->dist = fmaxf(l->dist, .9f * l->side);
    float loose = pz_smooth(26.f, 80.f, l->side);
    l->cx = .5f + pz_q_uni(&r, -1.f, 1.f) * (2.f / l->side + .25f * loose);
    l->cy = .5f + pz_q_uni(&r, -1.f, 1.f) * (2.f / l->side + .2f * loose) - .12f * loose;
    l->px = .5f + .35f * pz_rng_normal(&r) * l->side / l->dist;
    l->py = .5f + .35f * pz_rng_normal(&r) * l->side / l->dist;
    l->back = (int)pz_rng_below(&r, 9);
    l->back_seed = pz_rng_u32(&r);
    l->back_blur = pz_q_uni(&r, 0.f, 1.f);
    l->back_light = pz_q_uni(&r, .1f, 1.3f);
    l->blur = pz_q_chance(&r, .25f) ? pz_q_uni(&r, .3f, 1.2f) : 0.f;
    l->noise_amp = pz_q_chance(&r, .5f) ? pz_q_uni(&r, 0.f, .02f) : 0.f;
}
