/* From linear light to bytes: mild defocus, exposure by the face, white balance, tone curve, noise. The
 * harder defects of cameras and codecs are the trainer's (fact sheet faces.md §5.5). */
#include <string.h>

#include "quick_render.h"

enum { CURVE = 4096 };

/** Three taps each way, `s` pixels: enough for the mild blur wanted here. */
static void defocus(struct pz_q_work *w, float s)
{
    int S = w->size;
    float a = pz_clampf(.5f * s * s, 0.f, .33f), b = 1.f - 2.f * a;
    for (int y = 0; y < S; y++)
        for (int x = 0; x < S; x++) {
            const float *q = w->rgb + 3 * ((size_t)y * (size_t)S + (size_t)x);
            const float *l = x ? q - 3 : q, *r = x + 1 < S ? q + 3 : q;
            float *o = w->blur + 3 * ((size_t)y * (size_t)S + (size_t)x);
            for (int c = 0; c < 3; c++)
                o[c] = b * q[c] + a * (l[c] + r[c]);
        }
    size_t row = 3 * (size_t)S;
    for (int y = 0; y < S; y++) {
        const float *q = w->blur + row * (size_t)y, *u = y ? q - row : q, *d = y + 1 < S ? q + row : q;
        float *o = w->rgb + row * (size_t)y;
        for (size_t i = 0; i < row; i++)
            o[i] = b * q[i] + a * (u[i] + d[i]);
    }
}

/** Tone curve over the root of light, 0…4, through the head's table of sRGB over the root. */
static void make_curve(struct pz_q_work *w)
{
    float k = w->look.contrast;
    for (int i = 0; i < CURVE; i++) {
        float r = (float)i / (CURVE - 1) * 2.f, x = r * r;
        /* Plain clipping, or an S: deep shadows and a soft shoulder. */
        float film = x * (x + .04f) / (x * (x * .82f + .30f) + .05f) * .9f;
        float v = pz_clampf(pz_mixf(fminf(x, 1.f), fminf(film, 1.f), k), 0.f, 1.f);
        w->curve[i] = w->head->srgb[(int)(sqrtf(v) * (PZ_Q_SRGB - 1) + .5f)];
    }
}

/** One row of light into places of the curve: no branch, so that it is vectorised. */
static void to_curve(const float *q, int n, struct v3 g, float flare, float sat, float *out)
{
    for (int i = 0; i < n; i++) {
        float r = q[3 * i] * g.x + flare, gr = q[3 * i + 1] * g.y + flare, b = q[3 * i + 2] * g.z + flare;
        float y = (1.f - sat) * (.2126f * r + .7152f * gr + .0722f * b);
        r = y + r * sat;
        gr = y + gr * sat;
        b = y + b * sat;
        out[3 * i] = sqrtf(r > 0.f ? r : 0.f) * (CURVE / 2);
        out[3 * i + 1] = sqrtf(gr > 0.f ? gr : 0.f) * (CURVE / 2);
        out[3 * i + 2] = sqrtf(b > 0.f ? b : 0.f) * (CURVE / 2);
    }
}

void pz_q_finish(struct pz_q_work *w, uint64_t n, uint8_t *rgb)
{
    const struct pz_q_look *l = &w->look;
    int S = w->size;
    if (l->blur > 0.f)
        defocus(w, l->blur);
    float mean = w->skin_pixels ? (float)(w->skin_light / (double)w->skin_pixels) : .2f;
    const struct v3 sk = w->person.skin;
    float lum = .2126f * sk.x + .7152f * sk.y + .0722f * sk.z,
          want = powf(l->exposure, 2.2f) * powf(lum / .4f, .66f);
    w->gain = want / fmaxf(mean, 1e-4f);
    make_curve(w);
    struct v3 g = v3_scale(l->white, w->gain);
    uint32_t seed = l->noise + (uint32_t)n * 0x9e3779b9u;
    float amp = l->noise_amp * (4096.f / 2.f / 147.f), *row = w->blur;
    for (int y = 0; y < S; y++) {
        uint8_t *o = rgb + 3 * (size_t)y * (size_t)S;
        to_curve(w->rgb + 3 * (size_t)y * (size_t)S, S, g, l->flare, l->saturation, row);
        /* Sum of two bytes: a triangle distribution is near enough to a camera's noise. */
        for (int x = 0; amp > 0.f && x < S; x++) {
            uint32_t h = pz_hash3(x, y, 0, seed);
            for (int k = 0; k < 3; k++)
                row[3 * x + k] +=
                    amp * ((float)(h >> (8 * k) & 255u) + (float)(h >> (8 * k + 4) & 255u) - 255.f);
        }
        for (int i = 0; i < 3 * S; i++) {
            int t = (int)row[i];
            o[i] = w->curve[t < 0 ? 0 : t >= CURVE ? CURVE - 1 : t];
        }
    }
}
