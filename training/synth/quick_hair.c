/* Hair, long beards and lashes. Does: sheets of strands over the skull that end in a ragged edge or hang on
 * past the hairline; shells over a beard; lash strips along the lids. Does not: single fibres (hair.c has
 * those; here a strand is thinner than a pixel). Source: fact sheet synth.md §5.5. */
#include "points.h"
#include "quick_render.h"
#include "skin.h"

static const struct v3 kCentre = {0, 3.5f, -.5f};

static struct v3 toward(float az, float el)
{
    return v3(sinf(az) * cosf(el), sinf(el), cosf(az) * cosf(el));
}

void pz_q_skull_make(struct pz_q_work *w)
{
    float(*t)[PZ_Q_SKULL_AZ] = w->skull;
    for (int i = 0; i < PZ_Q_SKULL_EL; i++)
        for (int k = 0; k < PZ_Q_SKULL_AZ; k++)
            t[i][k] = 0.f;
    for (int v = 0; v < PZ_Q_N_SKIN; v++) {
        struct v3 d = v3_sub(w->base[v], kCentre);
        float r = v3_len(d), az = atan2f(d.x, d.z), el = asinf(pz_clampf(d.y / r, -1.f, 1.f));
        int i = (int)((el / 3.14159265f + .5f) * (PZ_Q_SKULL_EL - 1) + .5f),
            k = (int)((az / 6.2831853f + .5f) * PZ_Q_SKULL_AZ) % PZ_Q_SKULL_AZ;
        if (w->base[v].y > -9.f)
            t[i][k] = fmaxf(t[i][k], r);
    }
    /* Holes take the mean of filled neighbours until none is left. */
    for (int pass = 0; pass < 12; pass++)
        for (int i = 0; i < PZ_Q_SKULL_EL; i++)
            for (int k = 0; k < PZ_Q_SKULL_AZ; k++) {
                float sum = 0, n = 0;
                for (int j = -1; j < 2 && t[i][k] <= 0.f; j++)
                    for (int q = -1; q < 2; q++) {
                        int y = i + j;
                        float r =
                            y < 0 || y >= PZ_Q_SKULL_EL ? 0.f : t[y][(k + q + PZ_Q_SKULL_AZ) % PZ_Q_SKULL_AZ];
                        sum += r;
                        n += r > 0.f;
                    }
                if (n > 0.f)
                    t[i][k] = sum / n;
            }
}

float pz_q_skull_at(const struct pz_q_work *w, float az, float el)
{
    float fy = pz_clampf((el / 3.14159265f + .5f) * (PZ_Q_SKULL_EL - 1), 0.f, PZ_Q_SKULL_EL - 1.001f),
          fx = (az / 6.2831853f + 1.5f) * PZ_Q_SKULL_AZ - .5f;
    int y = (int)fy, x = (int)fx;
    float s = fx - (float)x, t = fy - (float)y;
    int x0 = x % PZ_Q_SKULL_AZ, x1 = (x + 1) % PZ_Q_SKULL_AZ;
    const float(*m)[PZ_Q_SKULL_AZ] = (const float(*)[PZ_Q_SKULL_AZ])w->skull;
    return pz_mixf(pz_mixf(m[y][x0], m[y][x1], s), pz_mixf(m[y + 1][x0], m[y + 1][x1], s), t);
}

/** Elevation of the hairline at an azimuth, with this look's changes. */
static float hairline(const struct pz_q_work *w, float az)
{
    const struct pz_q_hair_look *h = &w->look.hair;
    float y = -pz_syn_hairline_height(v3(sinf(az), 0.f, cosf(az) + .5f)),
          front = pz_smooth(1.1f, .5f, fabsf(az));
    y +=
        front * (4.5f * h->recede + .5f * pz_q_noise_smooth(w->head, PZ_Q_N_SOFT,
                                                            az * .2f + (float)(w->person.noise & 255u), .3f));
    /* The elevation at which the skull reaches that height. */
    float el = asinf(pz_clampf((y - kCentre.y) / 10.f, -.95f, .95f));
    for (int i = 0; i < 3; i++)
        el = asinf(pz_clampf((y - kCentre.y) / pz_q_skull_at(w, az, el), -.95f, .98f));
    return el;
}

/** Strand length past the hairline over azimuth. */
static float hang(const struct pz_q_hair_look *h, float az)
{
    float a = fabsf(az), p = .06f * h->part;
    float front = pz_smooth(1.0f, .7f, fabsf(az - p)), back = pz_smooth(1.7f, 2.2f, a);
    float side = h->side * pz_smooth(.75f, 1.15f, a);
    return pz_mixf(pz_mixf(side, h->fringe, front), h->back, back);
}

enum { COLS = 52, TOP = 10 };

/** Hair that hangs needs more rows past the hairline, and a second sheet. */
static int is_long(const struct pz_q_hair_look *h)
{
    return fmaxf(h->side, fmaxf(h->back, h->fringe)) > 1.6f;
}

static float lock(const struct pz_q_work *w, float u, float v, float k)
{
    float off = (float)(w->look.noise & 1023u) * .37f;
    return pz_q_noise_smooth(w->head, PZ_Q_N_SOFT, u * k + off, v * k * .5f + off);
}

/** One sheet. `grow` scales thickness, `extra` adds length. */
static void sheet(struct pz_q_work *w, int solid, int faded, float grow, float extra, uint32_t seed)
{
    const struct pz_q_hair_look *h = &w->look.hair;
    struct pz_q_mesh *m = &w->mesh;
    const int tail = is_long(h) ? 10 : 4, rows = TOP + tail;
    uint32_t first = (uint32_t)m->n_v;
    if (m->n_v + rows * COLS > m->cap_v)
        return;
    for (int c = 0; c < COLS; c++) {
        float az = 6.2831853f * ((float)c + .5f) / COLS - 3.14159265f, eh = hairline(w, az);
        float len = hang(h, az) + extra, jag = h->ragged * 1.6f * lock(w, az * .9f, 3.f + (float)seed, 1.f);
        float front = .5f * h->lift * h->thick * pz_bell(az, .8f), phase = 9.f * lock(w, az, 1.f, .6f);
        for (int r = 0; r < rows; r++) {
            float s = (float)r / (TOP - 1), el, down = 0.f;
            if (r < TOP) {
                el = pz_mixf(1.5707963f, eh, s);
            } else {
                down = fmaxf(len + jag * (.45f + .55f * pz_smooth(0.f, 3.f, len)), -1.5f) *
                       (float)(r - TOP + 1) / (float)tail;
                el = eh - down / 10.5f;
            }
            float drop = 0.f;
            if (el < -.62f) { /* past the jaw it hangs free */
                drop = (-.62f - el) * 10.5f;
                el = -.62f;
            }
            float top = pz_smooth(.1f, 1.2f, el), edge = r < TOP ? pz_smooth(1.02f, .6f, s) : 0.f;
            float t = h->thick * (.35f + .65f * fmaxf(edge, len > 2.f ? 1.f : .15f)) * grow +
                      top * h->top * 1.1f * h->thick;
            t += front * pz_bell(el - .9f, .35f);
            if (h->curl > 0.f)
                t += h->curl *
                     (.8f * lock(w, az, el * 1.2f + drop * .1f, .8f) +
                      .5f * lock(w, az, el * 1.2f + drop * .1f, 2.1f)) *
                     fmaxf(edge, len > 2.f ? 1.f : .2f);
            t = fmaxf(t, .06f + .12f * h->curl);
            float R = pz_q_skull_at(w, az, el) + t + .05f;
            struct v3 p = v3_madd(kCentre, toward(az, el), R);
            if (drop > 0.f) {
                float wob = (h->wave + h->curl) * .6f * sinf(drop * .7f + phase);
                float widen = 1.f + .015f * drop * (.4f + h->lift);
                p.x = p.x * widen + wob;
                p.z = p.z * (p.z < 0.f ? widen : 1.f) - .1f * drop * pz_smooth(.4f, 1.5f, fabsf(az));
                p.y -= drop;
            }
            float al = r < TOP ? 1.f : 1.f - (float)(r - TOP + 1) / (float)tail * (.35f + .65f * h->ragged);
            if (r == rows - 1)
                al = 0.f;
            /* A sparse front edge where hair is combed back. */
            if (r >= TOP && len < .4f)
                al *= .8f;
            pz_q_mesh_vertex(m, PZ_Q_ON_HEAD, p, az * 1.9f + (float)seed * .37f, s * .09f + down * .009f, al);
        }
    }
    for (int r = 0; r + 1 < rows; r++)
        for (int c = 0; c < COLS; c++) {
            uint32_t a = first + (uint32_t)(c * rows + r), b = first + (uint32_t)((c + 1) % COLS * rows + r);
            int o = r < TOP - 2 ? solid : faded;
            pz_q_mesh_triangle(m, o, a, a + 1, b);
            pz_q_mesh_triangle(m, o, b, a + 1, b + 1);
        }
}

static int strands(struct pz_q_work *w, struct v3 c, struct v3 tip, int faded)
{
    int o = pz_q_mesh_object(&w->mesh, PZ_Q_STRANDS, PZ_Q_HAIR, c);
    struct pz_q_obj *ob = &w->mesh.object[o];
    ob->colour2 = tip;
    ob->gloss = w->look.hair.gloss;
    ob->grain = w->look.hair.grain;
    ob->faded = faded != 0;

    return o;
}

/** Dark strips along the upper lids. */
static void lashes(struct pz_q_work *w)
{
    /* The product's points along the upper lid, outer corner to inner. */
    static const int lid[2][9] = {{263, 466, 388, 387, 386, 385, 384, 398, 362},
                                  {33, 246, 161, 160, 159, 158, 157, 173, 133}};
    int o = pz_q_mesh_object(&w->mesh, PZ_Q_STRANDS, PZ_Q_SKIN, v3(.010f, .008f, .007f));
    w->mesh.object[o].faded = true;
    w->mesh.object[o].no_shadow = true;
    w->mesh.object[o].gloss = 0.f;
    w->mesh.object[o].grain = 1.5f;
    float len = .16f + .4f * w->look.liner + .12f * w->person.female;
    for (int s = 0; s < 2; s++) {
        uint32_t first = (uint32_t)w->mesh.n_v;
        float shut = w->state->face.w[w->head->weight_of[10 + s]];
        for (int r = 0; r < 2; r++)
            for (int i = 0; i < 9; i++) {
                const struct pz_syn_mark *k = &pz_syn_marks[lid[s][i]];
                struct v3 p = v3_scale(w->posed[k->v[0]], k->w[0]);
                p = v3_madd(v3_madd(p, w->posed[k->v[1]], k->w[1]), w->posed[k->v[2]], k->w[2]);
                struct v3 d = v3_norm(v3_sub(p, w->rig.eye[s]));
                d = v3_norm(v3_add(d, v3((s ? -1.f : 1.f) * .35f, .5f * (1.f - 1.7f * shut), .2f)));
                float fall = 1.f - .6f * (float)i / 8.f;
                pz_q_mesh_vertex(&w->mesh, PZ_Q_ON_HEAD,
                                 v3_madd(v3_madd(p, v3(0, 0, 1), .04f), d, r ? len * fall : -.05f),
                                 (float)i * .31f, (float)r * .3f, r ? .12f : .85f + .15f * w->look.liner);
            }
        pz_q_mesh_grid(&w->mesh, o, first, 2, 9, 0);
    }
}

/** Two shells over the beard. */
static void long_beard(struct pz_q_work *w)
{
    const struct pz_q_look *l = &w->look;
    const struct pz_syn_asset *a = &w->head->asset;
    struct pz_q_mesh *m = &w->mesh;
    if (l->beard == PZ_Q_SHAVEN || l->beard == PZ_Q_STUBBLE || l->beard_length < .12f)
        return;
    for (int k = l->beard_length < .4f; k < 2; k++) {
        int o = pz_q_mesh_object(m, PZ_Q_STRANDS, PZ_Q_SKIN, l->beard_colour);
        m->object[o].one_sided = true;
        m->object[o].faded = true;
        m->object[o].colour2 = v3_scale(l->beard_colour, 1.4f);
        m->object[o].gloss = .12f;
        m->object[o].grain = 2.5f;
        for (int v = 0; v < PZ_Q_N_SKIN; v++)
            w->beard_vertex[v] = 0;
        for (int t = 0; t < a->n_tri && a->mat[t] <= PZ_SYN_SCALP; t++) {
            const uint32_t *v = a->tri + 3 * (size_t)t;
            if (w->beard[v[0]] + w->beard[v[1]] + w->beard[v[2]] < .2f || v[0] >= 9409)
                continue;
            uint32_t id[3];
            for (int c = 0; c < 3; c++) {
                uint32_t q = v[c];
                if (!w->beard_vertex[q]) {
                    struct v3 p = w->posed[q], n = v3_norm(v3_sub(p, v3(0, -2.f, 4.f)));
                    const float *z = w->head->zone[q];
                    float len = l->beard_length * (.5f + .5f * (float)k) * (.35f + .65f * z[PZ_Q_Z_CHIN]) *
                                pz_smooth(.1f, .7f, w->beard[q]);
                    len *= 1.f - .75f * z[PZ_Q_Z_STACHE];
                    n = v3_norm(v3_add(n, v3(0, -.55f * pz_smooth(.3f, 1.5f, l->beard_length), 0)));
                    const float *uv = w->head->uv[q];
                    w->beard_vertex[q] =
                        1 +
                        pz_q_mesh_vertex(
                            m, PZ_Q_ON_HEAD, v3_madd(p, n, len), uv[0] * 9.f, uv[1] * 1.1f,
                            pz_clampf(w->beard[q] * (l->beard_density + .25f) - .2f * (float)k, 0.f, .95f));
                }
                id[c] = w->beard_vertex[q] - 1;
            }
            pz_q_mesh_triangle(m, o, id[0], id[1], id[2]);
        }
    }
}

void pz_q_grow_hair(struct pz_q_work *w)
{
    const struct pz_q_look *l = &w->look;
    const struct pz_q_hair_look *h = &l->hair;
    if (h->on && l->hat != PZ_Q_VEIL && l->hat != PZ_Q_HOOD) {
        int solid = strands(w, l->hair_colour, l->hair_tip, 0),
            faded = strands(w, l->hair_colour, l->hair_tip, 1);
        /* The outer sheet first: most of the inner one then fails the depth test at once. */
        if (h->thick > .2f)
            sheet(w, solid, faded, l->hat ? .5f : 1.f, .1f, 2u);
        if (h->thick <= .2f || is_long(h))
            sheet(w, solid, faded, l->hat ? .45f : .7f, -.4f, 1u);
        if (h->bun) {
            float r = 2.f + 1.2f * h->lift;
            pz_q_mesh_ellipsoid(&w->mesh, solid, PZ_Q_ON_HEAD,
                                v3(0, 4.f + 5.f * h->wave, -10.f + 6.f * h->wave * h->wave), v3(r, 0, 0),
                                v3(0, r, 0), v3(0, 0, r));
        }
    }
    long_beard(w);
    lashes(w);
}
