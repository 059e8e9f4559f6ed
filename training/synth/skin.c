/* Bakes skin. Does: pigment, blood, pores, lines, stubble shadow, lips, scalp and moles as functions of
 * position on the person's own head, stored per texel so that a frame only looks them up. Does not: light
 * anything. Source: fact sheet synth.md §5.1, §5.2. */
#include "skin.h"

#include <string.h>

#include "base/mem.h"

static const int kIbug[68] = {
    1225, 1888, 1052, 367,  1719, 1722, 2199, 1447, 966,  3661, 4390, 3927, 3924, 2608, 3272, 4088, 3443,
    268,  493,  1914, 2044, 1401, 3615, 4240, 4114, 2734, 2509, 978,  4527, 4942, 4857, 1140, 2075, 1147,
    4269, 3360, 1507, 1542, 1537, 1528, 1518, 1511, 3742, 3751, 3756, 3721, 3725, 3732, 5708, 5695, 2081,
    0,    4275, 6200, 6213, 6346, 6461, 5518, 5957, 5841, 5702, 5711, 5533, 6216, 6207, 6470, 5517, 5966};

static const float kLip[12][2] = {{.388f, .442f}, {.424f, .493f}, {.469f, .510f}, {.5f, .507f},
                                  {.531f, .510f}, {.576f, .493f}, {.612f, .442f}, {.594f, .385f},
                                  {.556f, .363f}, {.5f, .359f},   {.444f, .363f}, {.406f, .385f}};

enum { LIP_POLY = 96, N_SPOT = 70 };

struct bake {
    const struct pz_syn_person *p;
    const struct pz_syn_rig *rig;
    struct pz_syn_skin *skin;
    struct v3 lm[68];
    float lip[LIP_POLY][2];
    struct v3 spot[N_SPOT];
    float spot_r[N_SPOT], spot_d[N_SPOT];
    struct v3 base;
    struct v3 *normal;
};

int pz_syn_landmark(int i)
{
    return kIbug[i];
}

/** Height of the hairline over azimuth from the front, degrees → y in cm. */
static float hairline(float az)
{
    static const float tab[][2] = {{0, 10.9f},  {14, 10.75f}, {24, 10.6f}, {33, 10.75f}, {40, 9.9f},
                                   {47, 8.3f},  {54, 7.0f},   {60, 5.6f},  {63, 2.0f},   {67, .2f},
                                   {74, .4f},   {79, 2.4f},   {85, 4.6f},  {98, 4.4f},   {108, 2.2f},
                                   {116, -.8f}, {128, -3.f},  {180, -4.4f}};
    const int n = (int)(sizeof tab / sizeof *tab);
    for (int i = 1; i < n; i++)
        if (az <= tab[i][0])
            return pz_mixf(tab[i - 1][1], tab[i][1], (az - tab[i - 1][0]) / (tab[i][0] - tab[i - 1][0]));
    return tab[n - 1][1];
}

float pz_syn_hairline_height(struct v3 pos)
{
    return pos.y - hairline(fabsf(atan2f(pos.x, pos.z - .5f)) * 57.29578f);
}

float pz_syn_scalp_mask(const struct pz_syn_person *p, struct v3 pos)
{
    float az = fabsf(atan2f(pos.x, pos.z - .5f)) * 57.29578f;
    float y = hairline(az) + .28f * pz_noise(v3_scale(pos, 1.6f), p->noise + 11) +
              .16f * pz_noise(v3_scale(pos, 5.f), p->noise + 12);
    return pz_smooth(-.45f, .6f, pos.y - y);
}

float pz_syn_beard_mask(const struct v3 *lm, struct v3 pos)
{
    float ax = fabsf(pos.x), lipy = .5f * (lm[48].y + lm[54].y);
    float half = .5f * (lm[54].x - lm[48].x);
    /* Upper edge over |x|: under the nose, round the mouth corner, up the cheek to the sideburn. */
    float edge = ax < half + .3f ? lm[33].y - .25f - .12f * ax : lipy + .5f;
    if (ax > half + .3f)
        edge = lipy + .55f + (ax - half - .3f) * 1.05f + fmaxf(0.f, ax - 6.2f) * 2.2f;
    float m = pz_smooth(.45f, -.5f, pos.y - edge);
    m *= pz_smooth(-10.2f, -8.3f, pos.y);
    m *= pz_smooth(2.2f, 3.6f, pos.z + fmaxf(0.f, -7.f - pos.y) * 1.2f);
    /* A bare patch beside the chin's tuft is typical. */
    struct v3 d = v3_sub(v3(ax, pos.y, 0), v3(1.7f, lipy - 1.35f, 0));
    m *= 1.f - .45f * pz_bell(v3_len(d), .5f);
    return m;
}

static void lip_outline(struct bake *b)
{
    for (int i = 0; i < LIP_POLY; i++) {
        float s = (float)i * 12.f / LIP_POLY;
        int k = (int)s;
        float t = s - (float)k;
        const float *p0 = kLip[(k + 11) % 12], *p1 = kLip[k % 12], *p2 = kLip[(k + 1) % 12],
                    *p3 = kLip[(k + 2) % 12];
        for (int c = 0; c < 2; c++) {
            float m1 = .5f * (p2[c] - p0[c]), m2 = .5f * (p3[c] - p1[c]);
            float t2 = t * t, t3 = t2 * t;
            b->lip[i][c] = (2 * t3 - 3 * t2 + 1) * p1[c] + (t3 - 2 * t2 + t) * m1 +
                           (-2 * t3 + 3 * t2) * p2[c] + (t3 - t2) * m2;
        }
    }
}

/** Signed distance to the lip outline in UV, positive inside. */
static float lip_inside(const struct bake *b, float u, float v)
{
    float best = 1e9f;
    int in = 0;
    for (int i = 0, j = LIP_POLY - 1; i < LIP_POLY; j = i++) {
        float ax = b->lip[j][0], ay = b->lip[j][1], bx = b->lip[i][0] - ax, by = b->lip[i][1] - ay;
        float t = pz_clampf(((u - ax) * bx + (v - ay) * by) / (bx * bx + by * by + 1e-12f), 0.f, 1.f);
        float dx = u - ax - t * bx, dy = v - ay - t * by, d = dx * dx + dy * dy;
        best = d < best ? d : best;
        if ((b->lip[i][1] > v) != (b->lip[j][1] > v) &&
            u < (b->lip[j][0] - b->lip[i][0]) * (v - b->lip[i][1]) / (b->lip[j][1] - b->lip[i][1]) +
                    b->lip[i][0])
            in = !in;
    }
    return in ? sqrtf(best) : -sqrtf(best);
}

static float near_lm(const struct bake *b, int i, struct v3 p, float sigma)
{
    return pz_bell(v3_len(v3_sub(p, b->lm[i])), sigma);
}

/** Blood, shadows under the eyes and other large coloured zones. */
static struct v3 zones(const struct bake *b, struct v3 p, struct v3 c)
{
    float ax = fabsf(p.x), red = 0, dark = 0;
    struct v3 pm = v3(ax, p.y, p.z);
    red += .9f * pz_bell(v3_len(v3_sub(pm, v3(4.2f, .2f, 9.2f))), 1.8f);
    red += 1.f * near_lm(b, 30, p, 1.2f) + .8f * near_lm(b, 31, p, .55f) + .8f * near_lm(b, 35, p, .55f);
    red += .5f * near_lm(b, 8, p, 1.4f) + .25f * pz_smooth(8.2f, 11.f, p.y);
    if (ax > 7.2f && p.y < 4.6f && p.z < 2.5f)
        red += 1.1f * pz_smooth(7.2f, 8.3f, ax);
    for (int s = 0; s < 2; s++) {
        int in = s ? 42 : 39, out = s ? 45 : 36, lo1 = s ? 46 : 41, lo2 = s ? 47 : 40, up1 = s ? 43 : 37,
            up2 = s ? 44 : 38;
        struct v3 lo = v3_scale(v3_add(b->lm[lo1], b->lm[lo2]), .5f),
                  up = v3_scale(v3_add(b->lm[up1], b->lm[up2]), .5f);
        struct v3 bag = v3_add(v3_lerp(lo, b->lm[in], .25f), v3(0, -.62f, 0));
        dark += .62f * pz_bell(v3_len(v3_sub(p, bag)), .85f) + .5f * near_lm(b, in, p, .75f);
        dark += .42f * pz_bell(v3_len(v3_sub(p, v3_add(up, v3(0, .5f, 0)))), .7f) +
                .25f * near_lm(b, out, p, .6f);
        /* Lid margins are pink and moist. */
        red += .6f * pz_bell(v3_len(v3_sub(p, lo)), .35f);
    }
    dark += .22f * pz_bell(v3_len(v3_sub(pm, v3(3.0f, -3.4f, 10.f))), .9f);
    red *= b->p->redness * (.85f + .3f * pz_noise(v3_scale(p, 1.1f), b->p->noise + 21));
    dark *= .75f + .35f * b->p->age;
    c = v3_mul(c, v3(expf(-.015f * red - .20f * dark), expf(-.15f * red - .30f * dark),
                     expf(-.13f * red - .30f * dark)));
    return c;
}

static float wrinkles(const struct bake *b, struct v3 p)
{
    float a = b->p->age, h = 0;
    /* Forehead: three wavering lines. */
    float w = p.y + .25f * pz_noise(v3(p.x * .35f, 0, 3), b->p->noise + 31) + .05f * p.x * p.x * .12f;
    for (int i = 0; i < 3; i++) {
        float y = 7.5f + 1.05f * (float)i, d = w - y;
        h -= .016f * a * pz_bell(d, .085f) * pz_smooth(4.6f, 2.2f, fabsf(p.x)) *
             (.6f + .4f * pz_noise(v3(p.x * .8f, y, 0), b->p->noise + 32));
    }
    /* Crow's feet fan out from the outer corners. */
    for (int s = 0; s < 2; s++) {
        struct v3 c = b->lm[s ? 45 : 36];
        float dx = (s ? 1.f : -1.f) * (p.x - c.x) - .35f, dy = p.y - c.y;
        if (dx > 0 && dx < 1.6f) {
            float ang = atan2f(dy, dx + .4f) * 5.5f;
            h -= .010f * a * pz_smooth(1.6f, .5f, dx) * pz_smooth(0, .3f, dx) *
                 pz_bell(ang - floorf(ang + .5f), .17f) * (fabsf(ang) < 3.f);
        }
        /* Lines under the eye follow the lid. */
        struct v3 lo = v3_scale(v3_add(b->lm[s ? 46 : 41], b->lm[s ? 47 : 40]), .5f);
        float ex = p.x - lo.x, ey = p.y - lo.y + .16f * ex * ex * .3f;
        h -= .009f * a * pz_bell(ey + .42f - .1f * ex, .06f) * pz_smooth(1.3f, .6f, fabsf(ex));
        h -= .007f * a * pz_bell(ey + .72f + .12f * ex * (s ? 1.f : -1.f), .07f) *
             pz_smooth(1.1f, .5f, fabsf(ex));
    }
    for (int i = 0; i < 2; i++)
        h -= .02f * pz_bell(p.y + 9.3f + 1.4f * (float)i + .1f * pz_noise(v3(p.x, 0, 0), 5), .1f) *
             pz_smooth(5.f, 3.f, fabsf(p.x));
    return h;
}

static void shade_lip(const struct bake *b, struct v3 p, float u, float v, float d, float *t, struct v3 *c)
{
    float m = pz_smooth(-.005f, .006f, d + .0022f * pz_noise(v3(u * 90, v * 90, 0), b->p->noise + 41));
    float upper = pz_smooth(.43f, .445f, v);
    struct v3 tint = v3_scale(b->p->lip_tint, 1.f - .10f * upper);
    float mott = 1.f + .10f * pz_fbm(p, .35f, 3, b->p->noise + 42);
    struct v3 lip = v3_scale(v3_mul(*c, tint), mott);
    /* Towards the mouth line the lip is wetter and redder; the outer rim keeps the skin's pigment. */
    float in = pz_smooth(.012f, .05f, d);
    lip = v3_mul(lip, v3_lerp(v3(.97f, .95f, .95f), v3(1.06f, .88f, .9f), in));
    *c = v3_lerp(*c, lip, m * .92f);
    float cre =
        pz_noise(v3(p.x * 11.f + 1.5f * pz_noise(v3_scale(p, 2.f), 43), p.y * 1.4f, 0), b->p->noise + 44) +
        .6f * pz_noise(v3(p.x * 23.f, p.y * 2.5f, 0), b->p->noise + 45);
    t[PZ_SYN_TEX_HEIGHT] += m * .010f * cre * (1.f - .5f * in);
    t[PZ_SYN_TEX_HEIGHT] += .012f * pz_bell(d, .007f);
    t[PZ_SYN_TEX_GLOSS] = pz_mixf(t[PZ_SYN_TEX_GLOSS], .75f + .35f * in, m);
    t[PZ_SYN_TEX_ROUGH] = pz_mixf(t[PZ_SYN_TEX_ROUGH], .40f - .10f * in + .05f * cre, m);
    t[PZ_SYN_TEX_LIP] = m;
}

static void eval(const struct bake *b, struct v3 p, int tile, float u, float v, float *t)
{
    const uint32_t s = b->p->noise;
    struct v3 c = b->base;
    float mel = .55f * pz_fbm(p, 2.6f, 3, s + 1) + .45f * pz_fbm(p, .5f, 3, s + 2),
          blood = pz_fbm(p, .9f, 4, s + 3);
    float fine = pz_fbm(p, .10f, 2, s + 4);
    c = v3_mul(c, v3(1.f + .09f * mel + .05f * fine, 1.f + .12f * mel - .10f * blood + .06f * fine,
                     1.f + .14f * mel - .09f * blood + .06f * fine));
    c = zones(b, p, c);
    float fr = pz_smooth(.16f, .05f, pz_cell(p, .33f, s + 5)) *
               pz_smooth(.1f, .6f, pz_noise(v3_scale(p, .5f), s + 6));
    c = v3_scale(c, 1.f - .22f * b->p->freckles * fr);
    for (int i = 0; i < N_SPOT; i++) {
        struct v3 d = v3_sub(p, b->spot[i]);
        float r2 = v3_dot(d, d), r = b->spot_r[i];
        if (r2 < 9.f * r * r)
            c = v3_mul(c, v3_lerp(v3(1, 1, 1), v3(.45f, .36f, .33f),
                                  b->spot_d[i] * pz_smooth(1.5f * r, .5f * r, sqrtf(r2))));
    }
    /* Relief: pores, larger on nose and cheeks, and fine crossing lines. */
    float pore = pz_smooth(.42f, .0f, pz_cell(p, .075f, s + 7)),
          nose = pz_bell(v3_len(v3_sub(p, b->lm[30])), 1.6f);
    float cheek = pz_bell(v3_len(v3_sub(v3(fabsf(p.x), p.y, p.z), v3(3.4f, .3f, 10.f))), 1.8f);
    float rough = pz_fbm(p, .12f, 3, s + 8);
    t[PZ_SYN_TEX_HEIGHT] =
        -.0062f * pore * (.5f + .9f * nose + .7f * cheek) + .0056f * rough + .008f * pz_fbm(p, .6f, 2, s + 9);
    t[PZ_SYN_TEX_HEIGHT] += wrinkles(b, p);
    c = v3_scale(c, 1.f - .10f * pore * (.4f + nose));
    float tzone = pz_bell(v3_len(v3_mul(v3_sub(p, v3(0, 8.2f, 10.5f)), v3(.7f, 1, .4f))), 1.7f) + .9f * nose +
                  .6f * near_lm(b, 28, p, .8f) + .45f * near_lm(b, 8, p, 1.1f) +
                  .5f * pz_bell(v3_len(v3_sub(v3(fabsf(p.x), p.y, p.z), v3(4.6f, 1.2f, 9.3f))), 1.2f);
    t[PZ_SYN_TEX_GLOSS] =
        (.55f + .55f * b->p->oil * fminf(tzone, 1.2f)) * (1.f + .35f * rough) * (1.f - .5f * pore);
    t[PZ_SYN_TEX_ROUGH] = .50f - .10f * fminf(tzone, 1.f) + .05f * rough;
    t[PZ_SYN_TEX_LIP] = 0;
    /* Beard shadow: hairs under the skin look blue-grey, the tips are dark dots. */
    float beard = pz_syn_beard_mask(b->lm, p) * b->p->stubble;
    float lipd = tile == 0 ? lip_inside(b, u, v) : -1.f;
    beard *= pz_smooth(.002f, -.012f, lipd);
    if (beard > .002f) {
        float grow = .75f + .35f * pz_noise(v3_scale(p, 1.3f), s + 51);
        float dot = pz_smooth(.38f, .12f, pz_cell(p, .085f, s + 52));
        c = v3_mul(c, v3_lerp(v3(1, 1, 1), v3(.66f, .70f, .76f), .75f * beard * grow));
        c = v3_lerp(c, v3_scale(b->p->hair, 1.4f), .38f * beard * dot * grow);
        t[PZ_SYN_TEX_GLOSS] *= 1.f - .3f * beard;
    }
    float scalp = pz_syn_scalp_mask(b->p, p);
    c = v3_lerp(c, v3_add(v3_scale(b->p->hair, 1.2f), v3_scale(c, .10f)), .85f * scalp);
    t[PZ_SYN_TEX_GLOSS] *= 1.f - .9f * scalp;
    if (tile == 0 && lipd > -.03f)
        shade_lip(b, p, u, v, lipd, t, &c);
    t[PZ_SYN_TEX_R] = c.x;
    t[PZ_SYN_TEX_G] = c.y;
    t[PZ_SYN_TEX_B] = c.z;
}

/** One band of rows of one tile: draw every triangle of the tile in UV space, slightly grown against seams.
 */
static void bake_band(void *user, int index, int worker)
{
    (void)worker;
    struct bake *b = user;
    const struct pz_syn_asset *a = b->rig->asset;
    int res = b->skin->res, tile = index & 1, y0 = (index >> 1) * 32, y1 = y0 + 32 < res ? y0 + 32 : res;
    for (int t = 0; t < a->n_tri; t++) {
        if (a->mat[t] != (tile ? PZ_SYN_SCALP : PZ_SYN_SKIN))
            continue;
        const float *q = a->tri_uv + 6 * (size_t)t;
        float R = (float)res, ax = (q[0] - (float)tile) * R, ay = q[1] * R, bx = (q[2] - (float)tile) * R,
              by = q[3] * R, cx = (q[4] - (float)tile) * R, cy = q[5] * R;
        float ymin = fminf(ay, fminf(by, cy)) - 2.f, ymax = fmaxf(ay, fmaxf(by, cy)) + 2.f;
        if (ymax < (float)y0 || ymin > (float)y1)
            continue;
        float area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax);
        if (fabsf(area) < 1e-6f)
            continue;
        float edge =
            fmaxf(hypotf(bx - ax, by - ay), fmaxf(hypotf(cx - ax, cy - ay), hypotf(cx - bx, cy - by)));
        float grow = 1.6f * edge / fabsf(area);
        int x0 = (int)fmaxf(0, fminf(ax, fminf(bx, cx)) - 2.f),
            x1 = (int)fminf(R - 1, fmaxf(ax, fmaxf(bx, cx)) + 2.f);
        const uint32_t *v = a->tri + 3 * (size_t)t;
        for (int y = (int)fmaxf((float)y0, ymin); y < y1 && (float)y <= ymax; y++)
            for (int x = x0; x <= x1; x++) {
                float px = (float)x + .5f - ax, py = (float)y + .5f - ay;
                float wb = (px * (cy - ay) - py * (cx - ax)) / area,
                      wc = (py * (bx - ax) - px * (by - ay)) / area;
                float wa = 1.f - wb - wc, lo = fminf(wa, fminf(wb, wc));
                float *o = b->skin->tile[tile] + ((size_t)y * (size_t)res + (size_t)x) * PZ_SYN_TEX_N;
                /* A texel inside a triangle wins over one in its grown rim; each is evaluated at most twice.
                 */
                if (lo < -grow || (lo < 0 && o[PZ_SYN_TEX_R] != 0.f) ||
                    (lo >= 0 && o[PZ_SYN_TEX_R] > 0.f && o[PZ_SYN_TEX_ROUGH] > 0.f &&
                     o[PZ_SYN_TEX_LIP] >= 2.f))
                    continue;
                struct v3 p =
                    v3_add(v3_add(v3_scale(b->rig->base[v[0]], wa), v3_scale(b->rig->base[v[1]], wb)),
                           v3_scale(b->rig->base[v[2]], wc));
                eval(b, p, tile, ((float)x + .5f) / R, ((float)y + .5f) / R, o);
            }
    }
}

enum pz_status pz_syn_skin_bake(struct pz_log *log, struct pz_pool *pool, const struct pz_syn_person *p,
                                const struct pz_syn_rig *rig, int res, struct pz_syn_skin *skin)
{
    memset(skin, 0, sizeof *skin);
    skin->res = res;
    for (int i = 0; i < 2; i++)
        skin->tile[i] = pz_calloc((size_t)res * (size_t)res * PZ_SYN_TEX_N, sizeof(float));
    struct bake *b = pz_calloc(1, sizeof *b);
    if (!b || !skin->tile[0] || !skin->tile[1]) {
        pz_free(b);
        pz_syn_skin_close(skin);
        return pz_fail(log, PZ_ERR_NOMEM, "skin: out of memory for %d texels", res);
    }
    b->p = p;
    b->rig = rig;
    b->skin = skin;
    for (int i = 0; i < 68; i++)
        b->lm[i] = rig->base[kIbug[i]];
    lip_outline(b);
    static const float tone[6][3] = {{244, 208, 188}, {232, 184, 158}, {212, 158, 126},
                                     {178, 120, 88},  {132, 84, 60},   {84, 54, 42}};
    int k = (int)pz_clampf(p->melanin, 0.f, 4.f);
    b->base = v3_lerp(v3_srgb(tone[k][0], tone[k][1], tone[k][2]),
                      v3_srgb(tone[k + 1][0], tone[k + 1][1], tone[k + 1][2]), p->melanin - (float)k);
    for (int i = 0; i < N_SPOT; i++) {
        /* Most spots are faint; a few are moles. */
        b->spot[i] = rig->base[pz_hash3(i, 1, 0, p->noise) % 9000u];
        b->spot_r[i] = .025f + .05f * pz_hashf(i, 2, 0, p->noise) * pz_hashf(i, 3, 0, p->noise);
        b->spot_d[i] = i < 5 ? .75f : .10f + .30f * pz_hashf(i, 4, 0, p->noise) * p->freckles;
    }
    pz_pool_run(pool, bake_band, b, 2 * ((res + 31) / 32));
    pz_free(b);
    return PZ_OK;
}

void pz_syn_skin_close(struct pz_syn_skin *skin)
{
    pz_free(skin->tile[0]);
    pz_free(skin->tile[1]);
    memset(skin, 0, sizeof *skin);
}

void pz_syn_skin_get(const struct pz_syn_skin *skin, int tile, float u, float v, float *out, float *du,
                     float *dv)
{
    float R = (float)skin->res, fx = pz_clampf(u * R - .5f, 1.f, R - 3.f),
          fy = pz_clampf(v * R - .5f, 1.f, R - 3.f);
    int x = (int)fx, y = (int)fy;
    float s = fx - (float)x, t = fy - (float)y;
    size_t row = (size_t)skin->res * PZ_SYN_TEX_N;
    const float *a = skin->tile[tile] + (size_t)y * row + (size_t)x * PZ_SYN_TEX_N, *c = a + row;
    for (int k = 0; k < PZ_SYN_TEX_N; k++)
        out[k] = pz_mixf(pz_mixf(a[k], a[k + PZ_SYN_TEX_N], s), pz_mixf(c[k], c[k + PZ_SYN_TEX_N], s), t);
    const int H = PZ_SYN_TEX_HEIGHT, N = PZ_SYN_TEX_N;
    *du = pz_mixf(a[N + H] - a[H], c[N + H] - c[H], t);
    *dv = pz_mixf(c[H] - a[H], c[N + H] - a[N + H], s);
}
