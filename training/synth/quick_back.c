/* Backgrounds: gradients, lamps out of focus, shelves, noise, leaves, windows. All in linear light, scaled to
 * the scene's brightness afterwards with the face. */
#include <string.h>

#include "quick_render.h"

struct rect {
    float x0, y0, x1, y1, soft;
    struct v3 c;
    int round;
};

static void draw_rects(struct pz_q_work *w, struct pz_rng *r, int kind, float blur)
{
    int S = w->size, n = kind == 0 ? 14 : kind == 1 ? 40 : 90;
    float fs = (float)S;
    for (int i = 0; i < n; i++) {
        struct rect q;
        float sx = pz_q_uni(r, .01f, kind == 2 ? .12f : .4f), sy = pz_q_uni(r, .02f, kind == 2 ? .12f : .5f);
        float x = pz_rng_uniform(r), y = pz_rng_uniform(r);
        q.round = kind == 1 || (kind == 2 && (i & 1));
        if (q.round)
            sy = sx = kind == 1 ? pz_q_uni(r, .015f, .09f) : sx;
        q.x0 = (x - sx) * fs;
        q.x1 = (x + sx) * fs;
        q.y0 = (y - sy) * fs;
        q.y1 = (y + sy) * fs;
        q.soft = .6f + blur * .03f * fs;
        q.c = v3_scale(pz_q_colour(r, .0f, kind == 1 ? 2.5f : .9f), w->look.back_light);
        int xa = (int)fmaxf(0.f, q.x0 - q.soft), xb = (int)fminf(fs - 1.f, q.x1 + q.soft),
            ya = (int)fmaxf(0.f, q.y0 - q.soft), yb = (int)fminf(fs - 1.f, q.y1 + q.soft);
        float mx = .5f * (q.x0 + q.x1), my = .5f * (q.y0 + q.y1), rad = .5f * (q.x1 - q.x0), k = .5f / q.soft;
        float op = kind == 1 ? .6f : 1.f;
        for (int py = ya; py <= yb; py++)
            for (int px = xa; px <= xb; px++) {
                float fx = (float)px + .5f, fy = (float)py + .5f, d;
                if (q.round)
                    d = rad - sqrtf((fx - mx) * (fx - mx) + (fy - my) * (fy - my));
                else
                    d = fminf(fminf(fx - q.x0, q.x1 - fx), fminf(fy - q.y0, q.y1 - fy));
                float a = op * pz_clampf(.5f + d * k, 0.f, 1.f);
                float *t = w->rgb + 3 * ((size_t)py * (size_t)S + (size_t)px);
                t[0] += a * (q.c.x - t[0]);
                t[1] += a * (q.c.y - t[1]);
                t[2] += a * (q.c.z - t[2]);
            }
    }
}

static void draw_shelf(struct pz_q_work *w, struct pz_rng *r, float blur)
{
    int S = w->size, rows = 2 + (int)pz_rng_below(r, 5);
    float x[64];
    struct v3 c[64];
    int turn = pz_q_chance(r, .25f);
    for (int j = 0; j < rows; j++) {
        int n = 6 + (int)pz_rng_below(r, 50);
        float sum = 0;
        for (int i = 0; i < n; i++) {
            sum += pz_q_uni(r, .2f, 1.f);
            x[i] = sum;
            c[i] = v3_scale(pz_q_colour(r, .01f, .7f), w->look.back_light);
        }
        int y0 = j * S / rows, y1 = (j + 1) * S / rows;
        struct v3 board = v3_scale(v3(.2f, .13f, .08f), w->look.back_light);
        for (int p = 0; p < S; p++) {
            float at = ((float)p + .5f) / (float)S * sum;
            int i = 0;
            while (i < n - 1 && x[i] < at)
                i++;
            float e = fabsf(x[i] - at) * (float)S / sum, k = pz_clampf(e / (1.f + 8.f * blur), 0.f, 1.f);
            struct v3 a = i + 1 < n ? v3_lerp(v3_lerp(c[i], c[i + 1], .5f), c[i], k) : c[i];
            for (int q = y0; q < y1; q++) {
                float edge = (float)(y1 - q) / (float)(y1 - y0);
                struct v3 b = v3_lerp(board, a, pz_smooth(.03f, .06f + .1f * blur, edge));
                float *t = w->rgb +
                           3 * (turn ? (size_t)p * (size_t)S + (size_t)q : (size_t)q * (size_t)S + (size_t)p);
                t[0] = b.x;
                t[1] = b.y;
                t[2] = b.z;
            }
        }
    }
}

static void draw_noise(struct pz_q_work *w, struct pz_rng *r)
{
    int S = w->size;
    struct v3 a = pz_q_colour(r, 0.f, 1.f), b = pz_q_colour(r, 0.f, 1.f), c = pz_q_colour(r, 0.f, 1.f);
    float f = pz_q_uni(r, .1f, 1.2f), g = pz_q_uni(r, .1f, 1.f), ou = pz_rng_uniform(r),
          ov = pz_rng_uniform(r), hard = pz_q_uni(r, .05f, 1.f);
    for (int y = 0; y < S; y++)
        for (int x = 0; x < S; x++) {
            float u = (float)x / (float)S * f + ou, v = (float)y / (float)S * f + ov;
            float n = pz_q_noise_smooth(w->head, PZ_Q_N_SOFT, u, v),
                  m = pz_q_noise_smooth(w->head, PZ_Q_N_SOFT, g * v + .3f, g * u);
            struct v3 q = v3_lerp(v3_lerp(a, b, pz_smooth(-hard, hard, n)), c, pz_smooth(-.2f, .8f, m));
            float *t = w->rgb + 3 * ((size_t)y * (size_t)S + (size_t)x);
            t[0] = q.x * w->look.back_light;
            t[1] = q.y * w->look.back_light;
            t[2] = q.z * w->look.back_light;
        }
}

void pz_q_background(struct pz_q_work *w)
{
    const struct pz_q_look *l = &w->look;
    struct pz_rng r;
    int S = w->size;
    pz_rng_init(&r, l->back_seed, 77u);
    struct v3 a = v3_scale(pz_q_colour(&r, .0f, 1.f), l->back_light),
              b = v3_scale(pz_q_colour(&r, .0f, 1.f), l->back_light);
    if (pz_q_chance(&r, .4f))
        b = v3_scale(a, pz_q_uni(&r, .6f, 1.4f));
    float ang = pz_q_uni(&r, 0.f, 6.28f), ca = cosf(ang) / (float)S, sa = sinf(ang) / (float)S;
    for (int y = 0; y < S; y++)
        for (int x = 0; x < S; x++) {
            float t = pz_clampf(.5f + ((float)x - .5f * (float)S) * ca + ((float)y - .5f * (float)S) * sa,
                                0.f, 1.f);
            float *o = w->rgb + 3 * ((size_t)y * (size_t)S + (size_t)x);
            o[0] = a.x + (b.x - a.x) * t;
            o[1] = a.y + (b.y - a.y) * t;
            o[2] = a.z + (b.z - a.z) * t;
        }
    switch (l->back) {
    case 2:
    case 3:
        draw_rects(w, &r, 0, l->back_blur);
        break;
    case 4:
        draw_rects(w, &r, 1, .3f * l->back_blur);
        break;
    case 5:
        draw_rects(w, &r, 2, .4f * l->back_blur);
        break;
    case 6:
        draw_shelf(w, &r, l->back_blur);
        break;
    case 7:
        draw_noise(w, &r);
        break;
    case 8:
        draw_rects(w, &r, 0, l->back_blur);
        draw_rects(w, &r, 1, l->back_blur);
        break;
    default:
        break;
    }
}
