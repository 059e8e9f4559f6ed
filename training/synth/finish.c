/* Finishes a picture: light scattered under the skin, tone curve, grain, sRGB bytes. Source: the separable
 * kernel after Jimenez 2015 in spirit, with plain Gaussians per channel; fact sheet synth.md §5.6, §10. */
#include "scene.h"

#include <string.h>

enum { MAX_TAP = 24, CURVE = 4096 };

struct blur {
    struct pz_syn_scene *s;
    float k[3][MAX_TAP + 1];
    int r;
    uint8_t *rgb;
    float curve[CURVE + 2]; /**< grade() over x² in steps of 2/CURVE */
};

static void blur_line(const struct blur *b, const struct v3 *in, struct v3 *out, int x, int y, int vert)
{
    const struct pz_syn_scene *s = b->s;
    size_t o = (size_t)y * (size_t)s->w + (size_t)x;
    if (s->skin_w[o] <= 0.f)
        return;
    float z0 = s->skin_z[o], e[3] = {0, 0, 0}, w[3] = {1e-6f, 1e-6f, 1e-6f};
    int pos = vert ? y : x, lim = vert ? s->h : s->w;
    size_t step = vert ? (size_t)s->w : 1;
    for (int i = -b->r; i <= b->r; i++) {
        int q = pos + i;
        if (q < 0 || q >= lim)
            continue;
        size_t oo = i < 0 ? o - (size_t)(-i) * step : o + (size_t)i * step;
        float sw = s->skin_w[oo];
        if (sw <= 0.f)
            continue;
        float dz = (s->skin_z[oo] - z0) * 2.6f, g = sw / (1.f + dz * dz);
        int a = i < 0 ? -i : i;
        const struct v3 c = in[oo];
        float k0 = b->k[0][a] * g, k1 = b->k[1][a] * g, k2 = b->k[2][a] * g;
        e[0] += k0 * c.x;
        e[1] += k1 * c.y;
        e[2] += k2 * c.z;
        w[0] += k0;
        w[1] += k1;
        w[2] += k2;
    }
    out[o] = v3(e[0] / w[0], e[1] / w[1], e[2] / w[2]);
}

static void blur_h(void *user, int y, int worker)
{
    (void)worker;
    const struct blur *b = user;
    for (int x = 0; x < b->s->w; x++)
        blur_line(b, b->s->irr, b->s->irr2, x, y, 0);
}

static void blur_v(void *user, int y, int worker)
{
    (void)worker;
    const struct blur *b = user;
    for (int x = 0; x < b->s->w; x++)
        blur_line(b, b->s->irr2, b->s->irr, x, y, 1);
}

/** Film-like curve: linear in the shadows, a soft shoulder, then sRGB. */
static float grade(float x)
{
    x = fmaxf(x, 0.f) * .90f;
    float t = x * (2.51f * x + .06f) / (x * (2.43f * x + .59f) + .14f);
    t = pz_clampf(pz_mixf(t, 1.f - expf(-1.25f * x), .45f), 0.f, 1.f);
    return t <= .0031308f ? 12.92f * t : 1.055f * powf(t, 1.f / 2.4f) - .055f;
}

/** The same by table: the square root spreads the steps evenly over what the eye sees. */
static float grade_fast(const struct blur *b, float x)
{
    float f = pz_clampf(sqrtf(fmaxf(x, 0.f)) * (CURVE / 2.f), 0.f, (float)CURVE);
    int i = (int)f;
    return pz_mixf(b->curve[i], b->curve[i + 1], f - (float)i);
}

static void write_row(void *user, int y, int worker)
{
    (void)worker;
    const struct blur *b = user;
    const struct pz_syn_scene *s = b->s;
    uint32_t seed = s->person.noise + 1000u + s->frame * 7919u;
    for (int x = 0; x < s->w; x++) {
        size_t o = (size_t)y * (size_t)s->w + (size_t)x;
        struct v3 c = s->rest_col[o];
        if (s->skin_w[o] > 0.f)
            c = v3_madd(c, v3_mul(s->albedo[o], s->irr[o]), s->skin_w[o]);
        float u = ((float)x + .5f) / (float)s->w - .5f, v = ((float)y + .5f) / (float)s->h - .45f;
        float vig = 1.f - .38f * (u * u + .6f * v * v);
        float px[3] = {c.x * vig, c.y * vig, c.z * vig};
        /* Grain: the sum of two hashed uniforms, shared by the channels for the larger part. */
        uint32_t h = pz_hash3(x, y, 0, seed);
        float lum = ((float)(h & 1023) + (float)((h >> 10) & 1023)) / 1023.f - 1.f;
        for (int k = 0; k < 3; k++) {
            float chroma = (float)((h >> (20 + 4 * k)) & 15) / 15.f - .5f;
            float t = grade_fast(b, px[k]);
            t += s->grain * (.9f * lum + .35f * chroma) * (.55f + .9f * t * (1.f - t));
            b->rgb[3 * o + (size_t)k] = (uint8_t)(pz_clampf(t, 0.f, 1.f) * 255.f + .5f);
        }
    }
}

void pz_syn_finish(struct pz_syn_scene *s, uint8_t *rgb)
{
    struct blur b = {.s = s, .rgb = rgb};
    float ppc = s->person.px_per_cm * (float)s->w / 1080.f;
    static const float sigma[3][2] = {{.06f, .19f}, {.035f, .09f}, {.02f, .05f}}, mix[3] = {.5f, .35f, .25f};
    for (int i = 0; i < CURVE + 2; i++) {
        float r = 2.f * (float)i / CURVE;
        b.curve[i] = grade(r * r);
    }
    b.r = (int)fminf(MAX_TAP, ceilf(.5f * ppc));
    for (int c = 0; c < 3; c++)
        for (int i = 0; i <= b.r; i++) {
            float d = (float)i / ppc;
            float a = pz_bell(d, sigma[c][0]) / sigma[c][0], w = pz_bell(d, sigma[c][1]) / sigma[c][1];
            b.k[c][i] = pz_mixf(a, w, mix[c]);
        }
    memcpy(s->irr2, s->irr, (size_t)s->w * (size_t)s->h * sizeof *s->irr);
    pz_pool_run(s->pool, blur_h, &b, s->h);
    pz_pool_run(s->pool, blur_v, &b, s->h);
    pz_pool_run(s->pool, write_row, &b, s->h);
}
