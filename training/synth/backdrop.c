/* Paints the room behind the speaker at half size, blurs it with a lens-like disc in linear light so that
 * lamps turn into bokeh, and serves it bilinearly. Source: fact sheet synth.md §5.5. */
#include "backdrop.h"

#include <string.h>

#include "base/mem.h"

struct paint {
    const struct pz_syn_person *p;
    struct v3 *src, *dst;
    int w, h;
    float radius;
};

static float box(float x, float y, float cx, float cy, float hx, float hy, float soft)
{
    return pz_smooth(soft, -soft, fabsf(x - cx) - hx) * pz_smooth(soft, -soft, fabsf(y - cy) - hy);
}

static struct v3 over(struct v3 under, struct v3 c, float a)
{
    return v3_lerp(under, c, a);
}

/** Sky, sea and a palm seen through the window. */
static struct v3 view(float x, float y, uint32_t s)
{
    float hor = .50f;
    struct v3 c = v3_lerp(v3(1.9f, 2.2f, 2.5f), v3(1.25f, 1.75f, 2.4f), pz_clampf(1.f - y / hor, 0.f, 1.f));
    c = v3_scale(c, 1.f + .18f * pz_fbm(v3(x * 3.f, y * 9.f, 0), 1.f, 3, s + 1));
    if (y > hor)
        c = v3_lerp(v3(.75f, 1.25f, 1.5f), v3(.35f, .75f, .9f), pz_clampf((y - hor) * 4.f, 0.f, 1.f));
    if (y > .66f)
        c = v3(1.25f, 1.1f, .85f);
    float leaf = pz_noise(v3(x * 16.f, y * 13.f, 2), s + 2) + 1.1f * pz_noise(v3(x * 6.f, y * 5.f, 3), s + 3);
    if (leaf > .30f && (x < .09f || y < .12f))
        c = v3(.08f, .18f, .06f);
    return c;
}

static struct v3 shelf(struct v3 c, float x, float y, uint32_t s)
{
    struct v3 wood = v3_srgb(140, 100, 66);
    c = over(c, v3_srgb(72, 56, 44), box(x, y, .885f, .45f, .165f, .35f, .004f));
    for (int i = 0; i < 4; i++) {
        float sy = .20f + .165f * (float)i;
        c = over(c, wood, box(x, y, .885f, sy, .17f, .007f, .002f));
        if (y > sy - .155f && y < sy - .006f && x > .73f) {
            float bx = floorf((x - .73f) / .019f);
            float hgt = .070f + .055f * pz_hashf((int)bx, i, 3, s);
            bool gap = pz_hashf((int)bx / 5, i, 9, s) < .42f;
            if (!gap && y > sy - hgt) {
                float h = pz_hashf((int)bx, i, 5, s), k = .35f + .65f * pz_hashf((int)bx, i, 6, s);
                struct v3 a = h < .25f   ? v3_srgb(196, 92, 62)
                              : h < .45f ? v3_srgb(44, 96, 120)
                              : h < .6f  ? v3_srgb(222, 188, 110)
                              : h < .8f  ? v3_srgb(228, 220, 204)
                                         : v3_srgb(58, 84, 62);
                c = v3_scale(a, k);
            }
        }
    }
    /* A globe and a small vase in the gaps. */
    float gx = (x - .80f) / .055f, gy = (y - .477f) / .031f, r = gx * gx + gy * gy;
    if (r < 1.f) {
        float land = pz_noise(v3(gx * 2.2f, gy * 2.2f, 1), s + 8);
        c = v3_scale(land > .1f ? v3_srgb(170, 160, 96) : v3_srgb(64, 128, 168),
                     .5f + .6f * (1.f - r) * (.7f - .3f * gx));
    }
    return c;
}

static void paint_row(void *user, int y, int worker)
{
    (void)worker;
    struct paint *t = user;
    uint32_t s = t->p->noise + 900u;
    for (int i = 0; i < t->w; i++) {
        float x = ((float)i + .5f) / (float)t->w, v = ((float)y + .5f) / (float)t->h;
        struct v3 c =
            v3_lerp(v3_srgb(192, 184, 172), v3_srgb(142, 132, 122), pz_smooth(.0f, 1.f, x * .7f + v * .35f));
        /* Window on the left with a frame and a sheer curtain. */
        float wx = x / .27f, wy = (v - .05f) / .62f;
        if (wx < 1.f && wy > 0 && wy < 1)
            c = view(x, wy, s);
        c = over(c, v3_srgb(226, 222, 214),
                 box(x, v, .275f, .36f, .013f, .33f, .002f) + box(x, v, .13f, .36f, .0065f, .31f, .002f) +
                     box(x, v, .13f, .675f, .16f, .012f, .002f) + box(x, v, .13f, .30f, .14f, .004f, .002f));
        float fold = .5f + .5f * sinf(x * 130.f + 3.f * sinf(v * 5.f));
        c = over(c, v3_scale(v3(1.1f, 1.08f, 1.02f), .55f + .4f * fold),
                 .75f * box(x, v, .33f, .36f, .045f, .37f, .004f));
        c = shelf(c, x, v, s);
        /* A framed travel poster between curtain and shelf. */
        c = over(c, v3_srgb(40, 36, 34), box(x, v, .56f, .22f, .105f, .105f, .002f));
        if (box(x, v, .56f, .22f, .097f, .099f, .001f) > .5f) {
            float py = (v - .12f) / .2f, px = (x - .46f) / .2f;
            c = v3_lerp(v3_srgb(250, 196, 120), v3_srgb(216, 110, 84), py);
            if (py > .55f + .25f * fabsf(px - .55f))
                c = v3_srgb(38, 82, 96);
            if (py > .8f)
                c = v3_srgb(20, 120, 134);
            float d = hypotf(px - .3f, (py - .36f) * 1.1f);
            c = over(c, v3_srgb(255, 240, 200), pz_smooth(.12f, .10f, d));
        }
        /* Plant at the lower left, desk line at the bottom. */
        float lf = pz_noise(v3(x * 22.f, v * 15.f, 4), s + 4) +
                   .8f * pz_noise(v3(x * 9.f - v * 6.f, v * 7.f, 5), s + 5);
        float room = box(x, v, .10f, .74f, .14f, .14f, .09f);
        c = over(c, v3_lerp(v3(.03f, .09f, .03f), v3(.12f, .28f, .08f), .5f + .5f * lf),
                 pz_smooth(.55f, .85f, room + .35f * lf));
        c = over(c, v3_srgb(112, 84, 62), pz_smooth(.86f, .87f, v));
        c = over(c, v3(2.6f, 1.75f, .85f), box(x, v, .655f, .50f, .034f, .027f, .004f));
        c = v3_add(c, v3_scale(v3(.55f, .36f, .16f), pz_bell(hypotf(x - .655f, (v - .5f) * 1.78f), .10f)));
        for (int k = 0; k < 9; k++) {
            float bx = .40f + .055f * (float)k,
                  by = .055f + .02f * sinf((float)k * 1.3f) + .012f * (float)(k & 1);
            if (hypotf(x - bx, (v - by) * 1.778f) < .0042f)
                c = v3(16.f, 11.f, 5.5f);
        }
        t->src[(size_t)y * (size_t)t->w + (size_t)i] = v3_scale(c, .62f);
    }
}

static void blur_row(void *user, int y, int worker)
{
    (void)worker;
    struct paint *t = user;
    int R = (int)t->radius;
    for (int x = 0; x < t->w; x++) {
        struct v3 s = v3(0, 0, 0);
        float n = 0;
        for (int j = -R; j <= R; j++) {
            int yy = y + j < 0 ? 0 : y + j > t->h - 1 ? t->h - 1 : y + j;
            int half = (int)sqrtf(t->radius * t->radius - (float)(j * j));
            for (int i = -half; i <= half; i++) {
                int xx = x + i < 0 ? 0 : x + i > t->w - 1 ? t->w - 1 : x + i;
                s = v3_add(s, t->src[(size_t)yy * (size_t)t->w + (size_t)xx]);
                n += 1.f;
            }
        }
        t->dst[(size_t)y * (size_t)t->w + (size_t)x] = v3_scale(s, 1.f / n);
    }
}

enum pz_status pz_syn_backdrop_make(struct pz_log *log, struct pz_pool *pool, const struct pz_syn_person *p,
                                    int out_w, int out_h, struct pz_syn_backdrop *b)
{
    memset(b, 0, sizeof *b);
    b->w = out_w / 3 > 16 ? out_w / 3 : 16;
    b->h = out_h / 3 > 16 ? out_h / 3 : 16;
    size_t n = (size_t)b->w * (size_t)b->h;
    struct paint t = {.p = p, .w = b->w, .h = b->h, .radius = fmaxf(1.f, (float)b->w * .024f)};
    t.src = pz_calloc(n, sizeof *t.src);
    t.dst = pz_calloc(n, sizeof *t.dst);
    if (!t.src || !t.dst) {
        pz_free(t.src);
        pz_free(t.dst);
        return pz_fail(log, PZ_ERR_NOMEM, "backdrop: out of memory");
    }
    pz_pool_run(pool, paint_row, &t, t.h);
    pz_pool_run(pool, blur_row, &t, t.h);
    /* A second, smaller disc takes the hard rim off the first. */
    struct v3 *swap = t.src;
    t.src = t.dst;
    t.dst = swap;
    t.radius *= .45f;
    pz_pool_run(pool, blur_row, &t, t.h);
    pz_free(t.src);
    b->px = t.dst;
    return PZ_OK;
}

void pz_syn_backdrop_close(struct pz_syn_backdrop *b)
{
    pz_free(b->px);
    memset(b, 0, sizeof *b);
}

struct v3 pz_syn_backdrop_get(const struct pz_syn_backdrop *b, float u, float v)
{
    float fx = pz_clampf(u * (float)b->w - .5f, 0.f, (float)b->w - 1.01f),
          fy = pz_clampf(v * (float)b->h - .5f, 0.f, (float)b->h - 1.01f);
    int x = (int)fx, y = (int)fy;
    const struct v3 *a = b->px + (size_t)y * (size_t)b->w + (size_t)x, *c = a + b->w;
    return v3_lerp(v3_lerp(a[0], a[1], fx - (float)x), v3_lerp(c[0], c[1], fx - (float)x), fy - (float)y);
}
