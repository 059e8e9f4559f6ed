/* Hats, and what is held before a face. Does: caps, brims, veils, headphones; hands, fingers, microphones,
 * telephones, cups, masks, scarves. Source: fact sheet synth.md §5.5, faces.md §5.5. */
#include "quick_render.h"
#include "skin.h"

static const struct v3 kCentre = {0, 3.5f, -.5f};

static struct v3 toward(float az, float el)
{
    return v3(sinf(az) * cosf(el), sinf(el), cosf(az) * cosf(el));
}

/** A dome over the skull down to elevations given by `low` at front, side and back. */
static void dome(struct pz_q_work *w, int o, float front, float side, float back, float thick, float lift)
{
    enum { ROWS = 10, COLS = 36 };
    struct pz_q_mesh *m = &w->mesh;
    uint32_t first = (uint32_t)m->n_v;
    for (int r = 0; r < ROWS; r++)
        for (int c = 0; c < COLS; c++) {
            float az = 6.2831853f * (float)c / COLS - 3.14159265f, a = fabsf(az), s = (float)r / (ROWS - 1);
            float low = a < 1.57f ? pz_mixf(front, side, pz_smooth(.2f, 1.5f, a))
                                  : pz_mixf(side, back, pz_smooth(1.57f, 2.6f, a));
            float el = pz_mixf(1.5707963f, low, s);
            float R = pz_q_skull_at(w, az, fmaxf(el, .1f)) + thick + lift * pz_smooth(.4f, 1.4f, el);
            pz_q_mesh_vertex(m, PZ_Q_ON_HEAD, v3_madd(kCentre, toward(az, el), R), az, s, 1.f);
        }
    pz_q_mesh_grid(m, o, first, ROWS, COLS, 1);
}

static void brim(struct pz_q_work *w, int o, float el, float from, float to, float width, float thick,
                 float droop)
{
    enum { N = 30 };
    struct pz_q_mesh *m = &w->mesh;
    uint32_t first = (uint32_t)m->n_v;
    for (int r = 0; r < 3; r++)
        for (int c = 0; c < N; c++) {
            float t = (float)c / (N - 1), az = pz_mixf(from, to, t),
                  R = pz_q_skull_at(w, az, fmaxf(el, .1f)) + thick;
            struct v3 p = v3_madd(kCentre, toward(az, el), R), d = v3(sinf(az), 0, cosf(az));
            float fall = to - from > 6.f ? 1.f : sinf(3.14159265f * t);
            p = v3_madd(p, d, width * fall * .5f * (float)r);
            p.y -= droop * .5f * (float)r * fall;
            pz_q_mesh_vertex(m, PZ_Q_ON_HEAD, p, t * 6.f, (float)r, 1.f);
        }
    pz_q_mesh_grid(m, o, first, 3, N, 0);
}

/** Cloth round the face: rings from the face's oval back over the head, and down to the chest. */
static void veil(struct pz_q_work *w, int o, float loose)
{
    enum { ROWS = 9, COLS = 40 };
    struct pz_q_mesh *m = &w->mesh;
    uint32_t first = (uint32_t)m->n_v;
    float top = w->base[pz_syn_landmark(27)].y + 4.8f, chin = w->posed[pz_syn_landmark(8)].y,
          mid = .5f * (top + chin);
    float half = w->base[pz_syn_landmark(14)].x;
    for (int r = 0; r < ROWS; r++)
        for (int c = 0; c < COLS; c++) {
            float a = 6.2831853f * (float)c / COLS, t = (float)r / (ROWS - 1), s = sinf(a), k = cosf(a);
            float f = .35f * pz_q_noise_smooth(w->head, PZ_Q_N_SOFT, a * .25f + (float)(w->look.noise & 31u),
                                               t * .3f);
            struct v3 p;
            if (s > -.35f) {
                float open = pz_smooth(0.f, .75f, t), back = pz_smooth(.55f, 1.f, t);
                float rx = half + .4f + (2.2f + loose) * open, ry = (top - mid) + (3.6f + loose) * open;
                p = v3((rx + f) * k * (1.f - .6f * back), mid + (ry + f) * s * (1.f - .45f * back),
                       7.5f - 2.f * fabsf(k) - 19.f * t * t);
                if (s < 0.f)
                    p.z += 1.5f * t;
                p.y += back * 2.f;
            } else { /* below the chin it falls on the chest */
                float drop = t * t * 14.f;
                p = v3((half - .2f) * k * (1.f + 1.2f * t) + f, mid + (mid - chin + .3f) * s * 1.02f - drop,
                       8.2f - 4.f * fabsf(k) - 2.f * t + f);
            }
            pz_q_mesh_vertex(m, PZ_Q_ON_HEAD, p, a, t, 1.f);
        }
    pz_q_mesh_grid(m, o, first, ROWS, COLS, 1);
}

static void headphones(struct pz_q_work *w, int o)
{
    enum { N = 18 };
    struct v3 p[N];
    float r[N], ear = fabsf(w->base[pz_syn_landmark(16)].x) + .7f;
    for (int i = 0; i < N; i++) {
        float a = 3.14159265f * (float)i / (N - 1), up = pz_q_skull_at(w, 0.f, 1.5f) + .9f;
        p[i] = v3((ear + .6f) * cosf(a), kCentre.y + up * sinf(a), -.8f);
        r[i] = .35f + .35f * w->look.hat_size;
    }
    pz_q_mesh_tube(&w->mesh, o, PZ_Q_ON_HEAD, p, r, N, 6);
    for (int s = -1; s < 2; s += 2)
        pz_q_mesh_ellipsoid(&w->mesh, o, PZ_Q_ON_HEAD, v3((float)s * ear, 1.6f, -.8f), v3(1.2f, 0, 0),
                            v3(0, 2.4f + w->look.hat_size, 0), v3(0, 0, 2.f + w->look.hat_size));
}

void pz_q_put_on_hat(struct pz_q_work *w)
{
    const struct pz_q_look *l = &w->look;
    if (l->hat == PZ_Q_NO_HAT)
        return;
    int o = pz_q_mesh_object(&w->mesh, l->hat == PZ_Q_PHONES ? PZ_Q_PLASTIC : PZ_Q_FABRIC, PZ_Q_HAT,
                             l->hat_colour);
    struct pz_q_obj *ob = &w->mesh.object[o];
    ob->colour2 = l->hat_colour2;
    ob->gloss = l->hat == PZ_Q_PHONES ? .5f : .06f;
    ob->pattern = l->hat == PZ_Q_BEANIE ? 4 : (l->noise & 3u) ? 0 : 5;
    ob->freq = 8.f;
    float z = l->hat_size, thick = fmaxf(.5f, l->hair.on ? .5f * l->hair.thick : 0.f) + .2f;
    switch (l->hat) {
    case PZ_Q_BEANIE:
        dome(w, o, .62f - .15f * z, .30f - .2f * z, .05f, thick, 1.5f * z);
        brim(w, o, .64f - .15f * z, -3.1416f, 3.1416f, .35f, thick, 1.6f);
        break;
    case PZ_Q_CAP:
        dome(w, o, .66f, .40f, .1f, thick, .8f + z);
        brim(w, o, .62f, -1.1f, 1.1f, 5.f + 2.f * z, thick, 1.2f);
        break;
    case PZ_Q_BRIM:
        dome(w, o, .66f, .5f, .4f, thick, 3.f + 3.f * z);
        brim(w, o, .62f, -3.1416f, 3.1416f, 3.f + 6.f * z, thick, .6f);
        break;
    case PZ_Q_VEIL:
    case PZ_Q_HOOD:
        veil(w, o, l->hat == PZ_Q_HOOD ? 1.f + 2.f * z : .3f * z);
        break;
    case PZ_Q_BAND:
        brim(w, o, .72f - .1f * z, -3.1416f, 3.1416f, .25f, thick, 1.5f + 1.5f * z);
        break;
    default:
        headphones(w, o);
    }
}

/** A finger of three bones from the knuckle `p`, pointing `d`, bending towards `in`. */
static void finger(struct pz_q_work *w, int o, struct v3 p, struct v3 d, struct v3 in, float len, float r,
                   float bend)
{
    struct v3 q[6];
    float rr[6];
    q[0] = p;
    rr[0] = r * 1.1f;
    for (int i = 1; i < 6; i++) {
        float b = bend * (float)i * .28f;
        struct v3 dir = v3_norm(v3_madd(v3_scale(d, cosf(b)), in, sinf(b)));
        q[i] = v3_madd(q[i - 1], dir, len / 5.f);
        rr[i] = r * (i == 5 ? .55f : 1.02f - .06f * (float)i);
    }
    pz_q_mesh_tube(&w->mesh, o, PZ_Q_IN_WORLD, q, rr, 6, 8);
}

static int flesh(struct pz_q_work *w)
{
    int o =
        pz_q_mesh_object(&w->mesh, PZ_Q_FLESH, PZ_Q_OCCLUDER, v3_mul(w->person.skin, v3(.96f, .88f, .86f)));
    w->mesh.object[o].gloss = .12f;
    return o;
}

static void hand(struct pz_q_work *w, int whole)
{
    const float *k = w->look.block_at;
    int o = flesh(w);
    float a = 6.28f * k[2];
    struct v3 at = pz_q_place(w, v3(9.f * (k[0] - .5f), 11.f * (k[1] - .62f), 12.3f + 2.5f * k[3]), 1.f);
    struct v3 up = v3(cosf(a) * .9f, sinf(a), .15f * (k[4] - .5f)), in = v3(0, 0, -1);
    up = v3_norm(v3_add(up, v3(0, .6f, 0)));
    struct v3 side = v3_norm(v3_cross(up, v3(0, 0, 1)));
    float g = .85f + .35f * k[5], bend = 1.6f * k[4] - .2f;
    int n = whole ? 4 : 1 + (int)(k[3] * 2.99f);
    struct v3 palm = v3_madd(at, up, -5.5f * g);
    for (int i = 0; i < n; i++) {
        float off = ((float)i - .5f * (float)(n - 1)) * 2.0f * g;
        finger(w, o, v3_madd(v3_madd(palm, side, off), up, 3.4f * g), v3_norm(v3_madd(up, side, off * .03f)),
               in, (i == 0 || i == 3 ? 6.f : 7.3f) * g, .82f * g,
               i < n - (whole ? 0 : 1) ? bend : .3f * bend);
    }
    pz_q_mesh_ellipsoid(&w->mesh, o, PZ_Q_IN_WORLD, v3_madd(palm, v3(0, 0, 1), -.2f),
                        v3_scale(side, 4.3f * g), v3_scale(up, 4.6f * g), v3(0, 0, 1.5f * g));
    finger(w, o, v3_madd(v3_madd(palm, side, 3.4f * g), up, -1.5f * g), v3_norm(v3_madd(side, up, .9f)), in,
           6.f * g, 1.f * g, .5f * bend);
    struct v3 arm[3] = {v3_madd(palm, up, -3.f * g), v3_madd(palm, up, -12.f),
                        v3_add(v3_madd(palm, up, -22.f), v3(0, -8, 0))};
    float rr[3] = {2.7f * g, 3.2f * g, 4.f * g};
    int sleeve = pz_q_mesh_object(&w->mesh, PZ_Q_FABRIC, PZ_Q_OCCLUDER, w->look.cloth_colour);
    pz_q_mesh_tube(&w->mesh, k[5] < .5f ? sleeve : o, PZ_Q_IN_WORLD, arm, rr, 3, 10);
}

static void microphone(struct pz_q_work *w, int boom)
{
    const float *k = w->look.block_at;
    struct pz_q_mesh *m = &w->mesh;
    int o = pz_q_mesh_object(m, PZ_Q_PLASTIC, PZ_Q_OCCLUDER,
                             v3_scale(v3(.02f, .02f, .022f), 1.f + 6.f * k[4] * k[4]));
    m->object[o].gloss = .4f;
    int head = pz_q_mesh_object(m, PZ_Q_FABRIC, PZ_Q_OCCLUDER,
                                k[3] < .5f ? w->look.block_colour : v3(.03f, .03f, .03f));
    m->object[head].pattern = 4;
    m->object[head].freq = 12.f;
    m->object[head].colour2 = v3_scale(m->object[head].colour, .4f);
    if (boom) {
        struct v3 p[4] = {v3(7.4f, 1.f, 1.f), v3(7.8f, -3.f, 5.f), v3(6.f, -5.f, 9.f),
                          v3(2.5f + 2.f * k[0], -5.2f + k[1], 11.8f)};
        float r[4] = {.25f, .22f, .2f, .2f};
        if (k[2] < .5f)
            for (int i = 0; i < 4; i++)
                p[i].x = -p[i].x;
        pz_q_mesh_tube(m, o, PZ_Q_ON_HEAD, p, r, 4, 6);
        float s = .5f + .8f * k[3];
        pz_q_mesh_ellipsoid(m, head, PZ_Q_ON_HEAD, p[3], v3(s, 0, 0), v3(0, s, 0), v3(0, 0, s));
        return;
    }
    struct v3 top = pz_q_place(w, v3(7.f * (k[0] - .5f), -5.5f - 4.5f * k[1], 12.5f + 3.f * k[2]), 1.f);
    struct v3 d = v3_norm(v3(.9f * (k[3] - .5f), -1.f, .5f * k[4]));
    float s = 1.6f + 1.6f * k[5];
    pz_q_mesh_ellipsoid(m, head, PZ_Q_IN_WORLD, top, v3(s, 0, 0), v3(0, s * 1.1f, 0), v3(0, 0, s));
    struct v3 p[2] = {v3_madd(top, d, .7f * s), v3_madd(top, d, 20.f)};
    float r[2] = {.62f * s, .45f * s};
    pz_q_mesh_tube(m, o, PZ_Q_IN_WORLD, p, r, 2, 12);
    if (k[4] < .6f) { /* the hand that holds it */
        int f = flesh(w);
        for (int i = 0; i < 4; i++) {
            struct v3 c = v3_madd(top, d, 5.f + 2.f * (float)i),
                      q[4] = {v3_add(c, v3(-2.f, 0, -.5f)), v3_add(c, v3(-1.f, .1f, 1.6f)),
                              v3_add(c, v3(1.f, .1f, 1.7f)), v3_add(c, v3(2.1f, 0, .2f))};
            float rr[4] = {.95f, .95f, .9f, .75f};
            pz_q_mesh_tube(m, f, PZ_Q_IN_WORLD, q, rr, 4, 8);
        }
        pz_q_mesh_ellipsoid(m, f, PZ_Q_IN_WORLD, v3_madd(top, d, 8.f), v3(2.6f, 0, 0), v3_scale(d, 4.f),
                            v3(0, 0, 1.8f));
    }
}

static void face_mask(struct pz_q_work *w)
{
    enum { ROWS = 9, COLS = 23 };
    const float *k = w->look.block_at;
    struct pz_q_mesh *m = &w->mesh;
    struct v3 c = k[0] < .4f   ? v3(.62f, .75f, .85f)
                  : k[0] < .6f ? v3(.8f, .8f, .8f)
                  : k[0] < .8f ? v3(.02f, .02f, .02f)
                               : w->look.block_colour;
    int o = pz_q_mesh_object(m, PZ_Q_FABRIC, PZ_Q_OCCLUDER, c);
    m->object[o].pattern = k[1] < .5f ? 0 : 2;
    m->object[o].colour2 = v3_scale(c, .8f);
    m->object[o].freq = 4.f;
    float slip = k[2] < .75f ? 0.f : -2.2f * k[3]; /* some wear it under the nose */
    float y0 = w->posed[pz_syn_landmark(29)].y + .3f + slip, y1 = w->posed[pz_syn_landmark(8)].y - .3f;
    float half = w->base[pz_syn_landmark(13)].x, e0 = atan2f(y0 - kCentre.y, 11.f),
          e1 = atan2f(y1 - kCentre.y, 10.5f);
    float jaw = w->state->face.w[w->rig.jaw_open];
    uint32_t first = (uint32_t)m->n_v;
    for (int r = 0; r < ROWS; r++)
        for (int i = 0; i < COLS; i++) {
            float t = (float)r / (ROWS - 1), u = 2.f * (float)i / (COLS - 1) - 1.f, a = fabsf(u);
            float az = u * (1.32f - .35f * t * t), el = pz_mixf(e0 - .10f * a * a, e1 + .12f * a, t), R = 0.f;
            /* Cloth spans hollows: the largest radius near by. */
            for (int q = 0; q < 5; q++) {
                static const float da[5] = {0, .12f, -.12f, 0, 0}, de[5] = {0, 0, 0, .1f, -.1f};
                R = fmaxf(R, pz_q_skull_at(w, az + da[q], el + de[q]) - (q ? .25f : 0.f));
            }
            R += .3f + .12f * sinf(t * 18.f) * (1.f - a) + 1.2f * jaw * t * (1.f - a);
            pz_q_mesh_vertex(m, PZ_Q_ON_HEAD, v3_madd(kCentre, toward(az, el), R), u, t, 1.f);
        }
    pz_q_mesh_grid(m, o, first, ROWS, COLS, 0);
    for (int s = -1; s < 2; s += 2)
        for (int e = 0; e < 2; e++) {
            struct v3 p[2] = {m->pos[first + (uint32_t)((e ? ROWS - 2 : 0) * COLS + (s > 0 ? COLS - 1 : 0))],
                              v3((float)s * (half + .8f), 1.5f, -.5f)};
            float rr[2] = {.09f, .09f};
            pz_q_mesh_tube(m, o, PZ_Q_ON_HEAD, p, rr, 2, 5);
        }
}

void pz_q_hold_up(struct pz_q_work *w)
{
    const struct pz_q_look *l = &w->look;
    const float *k = l->block_at;
    struct pz_q_mesh *m = &w->mesh;
    switch (l->block) {
    case PZ_Q_HAND:
        hand(w, 1);
        break;
    case PZ_Q_FINGERS:
        hand(w, 0);
        break;
    case PZ_Q_MIC:
        microphone(w, 0);
        break;
    case PZ_Q_MIC_BOOM:
        microphone(w, 1);
        break;
    case PZ_Q_MASK_CLOTH:
        face_mask(w);
        break;
    case PZ_Q_PHONE:
    case PZ_Q_CUP: {
        int o = pz_q_mesh_object(m, PZ_Q_PLASTIC, PZ_Q_OCCLUDER, l->block_colour);
        m->object[o].gloss = .4f;
        struct v3 at =
            pz_q_place(w,
                       v3(12.f * (k[0] - .5f), -4.f - 6.f * k[1] + (l->block == PZ_Q_PHONE ? 4.f : 0.f),
                          13.f + 2.f * k[2]),
                       1.f);
        float a = 1.2f * (k[3] - .5f);
        struct v3 u = v3(cosf(a), sinf(a), 0), v = v3(-sinf(a), cosf(a), 0);
        if (l->block == PZ_Q_PHONE) {
            pz_q_mesh_box(m, o, PZ_Q_IN_WORLD, at, v3_scale(u, 3.6f), v3_scale(v, 7.4f), v3(0, 0, .5f));
        } else {
            struct v3 p[2] = {v3_madd(at, v, 4.5f), v3_madd(at, v, -5.f)};
            float r[2] = {4.2f, 3.2f};
            m->object[o].colour2 = l->block_colour2;
            m->object[o].pattern = 2;
            pz_q_mesh_tube(m, o, PZ_Q_IN_WORLD, p, r, 2, 16);
        }
        int f = flesh(w);
        float sg = k[4] < .5f ? -1.f : 1.f;
        for (int i = 0; i < 4; i++)
            finger(w, f, v3_madd(v3_madd(at, u, sg * 4.3f), v, 1.5f - 1.9f * (float)i),
                   v3_norm(v3_add(v3_scale(u, -sg), v3(0, 0, .5f))), v3(0, 0, -1), 5.5f, .85f, 1.1f);
        break;
    }
    case PZ_Q_SCARF: {
        enum { N = 22 };
        int o = pz_q_mesh_object(m, PZ_Q_FABRIC, PZ_Q_CLOTHES, l->block_colour);
        m->object[o].colour2 = l->block_colour2;
        m->object[o].pattern = (int)(k[0] * 5.f);
        m->object[o].freq = 5.f;
        struct v3 p[N];
        float r[N];
        for (int i = 0; i < N; i++) {
            float a = 6.2831853f * (float)i / (N - 1);
            p[i] = v3(6.8f * sinf(a), -11.2f + 2.5f * k[1] - .8f * cosf(a), -1.2f + 6.6f * cosf(a));
            r[i] = 2.2f + 1.2f * k[2] + .4f * sinf(5.f * a);
        }
        pz_q_mesh_tube(m, o, PZ_Q_ON_BODY, p, r, N, 10);
        break;
    }
    case PZ_Q_BLOB: {
        int o = pz_q_mesh_object(m, k[4] < .5f ? PZ_Q_FABRIC : PZ_Q_PLASTIC, PZ_Q_OCCLUDER, l->block_colour);
        m->object[o].colour2 = l->block_colour2;
        m->object[o].pattern = 5;
        struct v3 at = pz_q_place(w, v3(20.f * (k[0] - .5f), 20.f * (k[1] - .5f), 14.f), 1.f);
        pz_q_mesh_ellipsoid(m, o, PZ_Q_IN_WORLD, at, v3(2.f + 4.f * k[2], k[3], 0),
                            v3(-k[3], 2.f + 4.f * k[3], 0), v3(0, 0, 2.f));
        break;
    }
    default:
        break;
    }
}
