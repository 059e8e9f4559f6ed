/* Clothes, glasses, hats. Does: torso with collars, rims and lenses, caps, veils. Source: fact sheet synth.md
 * §5.5. */
#include "quick_render.h"
#include "skin.h"

enum { COLS = 40, ROWS = 14 };

/** Half widths and middle of the torso at a height. */
static void girth(float y, float *rx, float *rz, float *cz)
{
    static const float tab[8][4] = {{-8.f, 5.9f, 6.0f, -1.6f},  {-11.5f, 6.4f, 6.3f, -1.8f},
                                    {-14.f, 8.4f, 7.f, -2.f},   {-16.f, 13.f, 7.8f, -2.2f},
                                    {-18.f, 18.f, 8.6f, -2.4f}, {-21.f, 21.f, 9.6f, -2.4f},
                                    {-30.f, 22.f, 11.f, -2.2f}, {-60.f, 21.f, 12.f, -2.f}};
    int i = 1;
    while (i < 7 && y < tab[i][0])
        i++;
    float t = pz_clampf((y - tab[i - 1][0]) / (tab[i][0] - tab[i - 1][0]), 0.f, 1.f);
    *rx = pz_mixf(tab[i - 1][1], tab[i][1], t);
    *rz = pz_mixf(tab[i - 1][2], tab[i][2], t);
    *cz = pz_mixf(tab[i - 1][3], tab[i][3], t);
}

static float neckline(const struct pz_q_look *l, float az)
{
    float a = fabsf(az);
    switch (l->cloth) {
    case 1:
        return -12.3f - 5.8f * fmaxf(0.f, 1.f - a / .75f);
    case 2:
        return -11.6f - 4.f * fmaxf(0.f, 1.f - a / .5f);
    case 3:
        return -9.3f - .8f * cosf(az);
    case 4:
        return -15.2f - 1.6f * cosf(az);
    default:
        return -12.5f - 1.6f * cosf(az);
    }
}

static void torso(struct pz_q_work *w)
{
    const struct pz_q_look *l = &w->look;
    struct pz_q_mesh *m = &w->mesh;
    int o = pz_q_mesh_object(m, PZ_Q_FABRIC, PZ_Q_CLOTHES, l->cloth_colour);
    m->object[o].colour2 = l->cloth_colour2;
    m->object[o].pattern = l->cloth_pattern;
    m->object[o].freq = 6.f + (float)(l->noise & 31u);
    m->object[o].gloss = .06f;
    m->object[o].no_shadow = true;
    uint32_t first = (uint32_t)m->n_v;
    for (int r = 0; r < ROWS; r++)
        for (int c = 0; c < COLS; c++) {
            float az = 6.2831853f * (float)c / COLS - 3.14159265f, t = (float)r / (ROWS - 1), rx, rz, cz;
            float y0 = neckline(l, az), y = pz_mixf(y0, -150.f, .1f * t + .9f * t * t * t);
            girth(y, &rx, &rz, &cz);
            float f =
                pz_q_noise_smooth(w->head, PZ_Q_N_SOFT, az * .3f + (float)(l->noise & 63u) * .1f, y * .02f);
            float sh = 1.f + (l->shoulder - 1.f) * pz_smooth(-13.f, -18.f, y),
                  out = .35f + .5f * f * pz_smooth(-13.f, -20.f, y);
            struct v3 p = v3((rx * sh + out) * sinf(az), y, cz + (rz + out) * cosf(az));
            /* Shoulders slope down to the sides. */
            p.y -= pz_smooth(7.f, 22.f, fabsf(p.x)) * 2.2f;
            pz_q_mesh_vertex(m, PZ_Q_ON_BODY, p, az * .6f, y * .04f, 1.f);
        }
    pz_q_mesh_grid(m, o, first, ROWS, COLS, 1);
    if (l->cloth != 2 && l->cloth != 3)
        return;
    /* A collar: a ring that stands up and folds over. */
    int k =
        pz_q_mesh_object(m, PZ_Q_FABRIC, PZ_Q_CLOTHES, l->cloth == 2 ? l->cloth_colour2 : l->cloth_colour);
    m->object[k].gloss = .05f;
    first = (uint32_t)m->n_v;
    for (int r = 0; r < 3; r++)
        for (int c = 0; c < COLS; c++) {
            float az = 6.2831853f * (float)c / COLS - 3.14159265f, rx, rz, cz, y0 = neckline(l, az);
            girth(y0, &rx, &rz, &cz);
            float out = r == 0   ? .1f
                        : r == 1 ? .15f
                                 : 1.3f,
                  y = r == 0   ? y0 - .6f
                      : r == 1 ? y0 + 2.f
                               : y0 - 1.6f;
            pz_q_mesh_vertex(m, PZ_Q_ON_BODY, v3((rx + out) * sinf(az), y, cz + (rz + out) * cosf(az)), az,
                             y * .1f, 1.f);
        }
    pz_q_mesh_grid(m, k, first, 3, COLS, 1);
}

static float super(float c, float n)
{
    float s = c < 0.f ? -1.f : 1.f;
    return s * powf(fabsf(c), 2.f / n);
}

static void glasses(struct pz_q_work *w)
{
    enum { N = 25, SIDES = 5 };
    const struct pz_q_look *l = &w->look;
    struct pz_q_mesh *m = &w->mesh;
    int rim = pz_q_mesh_object(m, PZ_Q_PLASTIC, PZ_Q_GLASSES, l->rim_colour),
        lens = pz_q_mesh_object(m, PZ_Q_LENS, PZ_Q_GLASSES, l->lens_colour);
    m->object[rim].gloss = .6f;
    m->object[rim].power = 50.f;
    m->object[lens].no_shadow = l->glasses != 3;
    struct v3 bridge = w->posed[pz_syn_landmark(27)];
    struct v3 inner[2], outer[2];
    for (int s = 0; s < 2; s++) {
        float sg = s ? -1.f : 1.f, r[N];
        struct v3 e = w->rig.eye[s], p[N], mid = v3(e.x + sg * .25f, e.y + l->lens_low, bridge.z + .15f);
        uint32_t centre = pz_q_mesh_vertex(m, PZ_Q_ON_HEAD, mid, .5f, .5f, 1.f), first = (uint32_t)m->n_v;
        for (int i = 0; i < N; i++) {
            float a = 6.2831853f * (float)i / (N - 1), cx = super(cosf(a), l->lens_round),
                  cy = super(sinf(a), l->lens_round);
            p[i] = v3(mid.x + sg * l->lens_w * cx, mid.y + l->lens_h * cy * (cy < 0.f ? 1.05f : .95f), mid.z);
            /* Wrapped round the face. */
            p[i].z -= .05f * powf(fmaxf(0.f, fabsf(p[i].x) - 1.f), 1.6f);
            r[i] = l->rim;
            pz_q_mesh_vertex(m, PZ_Q_ON_HEAD, p[i], .5f + .5f * cx, .5f + .5f * cy, 1.f);
            if (cx < -.95f && fabsf(cy) < .6f)
                inner[s] = p[i];
            if (cx > .95f && cy > .1f && cy < .75f)
                outer[s] = p[i];
        }
        if (l->rim < .06f) /* rimless: only the lens shows */
            for (int i = 0; i < N; i++)
                r[i] = .025f;
        for (int i = 0; i + 1 < N; i++)
            pz_q_mesh_triangle(m, lens, centre, first + (uint32_t)i, first + (uint32_t)i + 1);
        pz_q_mesh_tube(m, rim, PZ_Q_ON_HEAD, p, r, N, SIDES);
        inner[s] = v3(mid.x - sg * l->lens_w, mid.y + .25f * l->lens_h, mid.z);
        outer[s] = v3(mid.x + sg * l->lens_w, mid.y + .4f * l->lens_h,
                      mid.z - .05f * powf(fmaxf(0.f, fabsf(mid.x) + l->lens_w - 1.f), 1.6f));
        /* Temple to the ear. */
        float ear = fabsf(w->posed[pz_syn_landmark(s ? 0 : 16)].x) + .35f;
        struct v3 q[3] = {outer[s], v3(sg * fmaxf(ear, fabsf(outer[s].x)), outer[s].y + .1f, 5.f),
                          v3(sg * ear, 2.9f, -.8f)};
        float rr[3] = {fmaxf(.1f, .8f * l->rim), fmaxf(.08f, .7f * l->rim), .08f};
        pz_q_mesh_tube(m, rim, PZ_Q_ON_HEAD, q, rr, 3, SIDES);
    }
    struct v3 q[3] = {inner[0], v3(0, .5f * (inner[0].y + inner[1].y) + .25f, bridge.z + .45f), inner[1]};
    float rr[3] = {l->rim, fmaxf(.07f, .8f * l->rim), l->rim};
    pz_q_mesh_tube(m, rim, PZ_Q_ON_HEAD, q, rr, 3, SIDES);
}

void pz_q_dress(struct pz_q_work *w)
{
    torso(w);
    if (w->look.glasses)
        glasses(w);
    pz_q_put_on_hat(w);
}
