/* Makes a clip's motion. Does: head as a smoothed random process with nods on loud stressed vowels, saccades
 * with counter-rotation of the eyes, blinks, brow accents, breath, idle motion of the lower face, lip overlap
 * limit. Source: fact sheet synth.md §7.3, §8. */
#include "behave.h"

#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "viseme.h"

/** First-order random process with standard deviation sd and time constant tau, smoothed twice. */
static void wander(struct pz_rng *r, float *out, int n, float fps, float tau, float sd, float cut_hz)
{
    float x = 0, a = expf(-1.f / (tau * fps)), y1 = 0, y2 = 0, k = 1.f - expf(-6.2832f * cut_hz / fps);
    for (int i = -50; i < n; i++) {
        x = a * x + sd * sqrtf(1.f - a * a) * pz_rng_normal(r);
        y1 += k * (x - y1);
        y2 += k * (y1 - y2);
        if (i >= 0)
            out[i] = y2;
    }
}

static float ease(float a, float b, float t)
{
    return pz_smooth(a, b, t);
}

static void set(const struct pz_syn_asset *a, struct pz_syn_state *st, const char *name, float w)
{
    int k = pz_syn_expr_find(a, name);
    if (k >= 0)
        st->face.w[k] += w;
}

static void set2(const struct pz_syn_asset *a, struct pz_syn_state *st, const char *stem, float l, float r)
{
    char n[32];
    size_t len = strlen(stem);
    memcpy(n, stem, len);
    memcpy(n + len, "_L", 3);
    set(a, st, n, l);
    memcpy(n + len, "_R", 3);
    set(a, st, n, r);
}

/** Blink envelope: quick close, short hold, slower opening; dt since its start (s). */
static float blink_at(float dt)
{
    if (dt < 0 || dt > .34f)
        return 0;
    return dt < .09f ? ease(0, .09f, dt) : dt < .13f ? 1.f : 1.f - ease(.13f, .34f, dt);
}

struct tracks {
    float *yaw, *pitch, *roll, *gy, *gp, *blink, *brow, *a, *b, *c;
};

static void nods(struct pz_rng *r, const struct pz_syn_speech *s, struct tracks *t, float fps, int n)
{
    float mean = 0, cnt = 0;
    for (int i = 0; i < s->n_phone; i++)
        if (s->phone[i].stress) {
            mean += s->phone[i].energy;
            cnt += 1;
        }
    mean /= cnt > 0 ? cnt : 1;
    float last = -1;
    for (int i = 0; i < s->n_phone; i++) {
        const struct pz_syn_phone *p = &s->phone[i];
        if (!p->stress || p->energy < mean)
            continue;
        float amp = (.022f + .03f * pz_rng_uniform(r)),
              lift = pz_rng_uniform(r) < .45f ? .16f + .3f * pz_rng_uniform(r) : 0.f;
        if (pz_rng_uniform(r) > .55f || p->start - last < .6f)
            amp *= .3f;
        last = p->start;
        for (int f = 0; f < n; f++) {
            float dt = (float)f / fps - p->start;
            t->pitch[f] += amp * (pz_bell(dt - .06f, .085f) - .45f * pz_bell(dt + .16f, .10f));
            t->brow[f] += lift * ease(-.24f, -.06f, dt) * (1.f - ease(.12f, .42f, dt));
        }
    }
}

static void blinks(struct pz_rng *r, const struct pz_syn_speech *s, struct tracks *t, float fps, int n)
{
    float at = .9f + .5f * pz_rng_uniform(r), end = (float)n / fps;
    while (at < end) {
        for (int f = 0; f < n; f++)
            t->blink[f] = fmaxf(t->blink[f], blink_at((float)f / fps - at));
        float next = at + 1.f - 2.9f * logf(1.f - .98f * pz_rng_uniform(r));
        /* Pauses invite a blink. */
        for (int i = 1; i + 1 < s->n_phone; i++)
            if (!strcmp(s->phone[i].name, "pau") && s->phone[i].end - s->phone[i].start > .25f &&
                s->phone[i].start > at + 1.f && s->phone[i].start < next && pz_rng_uniform(r) < .6f)
                next = s->phone[i].start + .05f;
        at = next;
    }
}

static void gaze(struct pz_rng *r, struct tracks *t, float fps, int n)
{
    float end = (float)n / fps, at = 0, y = 0, p = 0;
    while (at < end) {
        float hold = .5f + 2.2f * pz_rng_uniform(r), ny = 0, np = 0;
        if (pz_rng_uniform(r) > .72f) {
            ny = pz_clampf(pz_rng_normal(r) * .075f, -.16f, .16f);
            np = pz_clampf(pz_rng_normal(r) * .04f, -.08f, .08f);
            hold = .3f + .4f * pz_rng_uniform(r);
        } else { /* even fixations drift among the eyes and mouth of the listener */
            ny = pz_rng_normal(r) * .008f;
            np = pz_rng_normal(r) * .008f;
        }
        float dur = .021f + .126f * hypotf(ny - y, np - p);
        for (int f = 0; f < n; f++) {
            float ti = (float)f / fps;
            if (ti < at)
                continue;
            float k = ease(at, at + dur, ti);
            t->gy[f] = pz_mixf(y, ny, k);
            t->gp[f] = pz_mixf(p, np, k);
        }
        y = ny;
        p = np;
        at += hold;
    }
}

static void fill_frame(const struct pz_syn_rig *rig, const struct pz_syn_speech *s,
                       const struct pz_syn_manner *m, const struct tracks *t, float fps, int f,
                       struct pz_syn_state *o)
{
    const struct pz_syn_asset *a = rig->asset;
    float ti = (float)f / fps;
    memset(o, 0, sizeof *o);
    struct pz_syn_seal seal;
    pz_syn_mouth_at(rig, s, ti, m->style, &o->face, &seal);
    o->frame = (uint32_t)f;
    o->yaw = t->yaw[f];
    o->pitch = t->pitch[f] + .004f * sinf(1.57f * ti);
    o->roll = t->roll[f];
    o->shift = v3(14.f * o->yaw * .3f + t->c[f], -9.f * fabsf(o->pitch) * .2f + .12f * sinf(1.57f * ti),
                  3.f * o->pitch);
    o->breath = sinf(1.57f * ti);
    /* Eyes stay on their target while the head turns. */
    o->face.gaze_yaw = t->gy[f] - .9f * o->yaw;
    o->face.gaze_pitch = t->gp[f] - .9f * o->pitch;
    float gy = o->face.gaze_yaw / .5236f, gp = o->face.gaze_pitch / .5236f;
    set2(a, o, "eyeLookDown", fmaxf(gp, 0), fmaxf(gp, 0));
    set2(a, o, "eyeLookUp", fmaxf(-gp, 0), fmaxf(-gp, 0));
    set2(a, o, "eyeLookOut", fmaxf(gy, 0), fmaxf(-gy, 0));
    set2(a, o, "eyeLookIn", fmaxf(-gy, 0), fmaxf(gy, 0));
    float lid = fmaxf(0.f, .10f + m->lids);
    set2(a, o, "eyeBlink", lid + (1.f - lid) * t->blink[f], lid + .01f + (.99f - lid) * t->blink[f]);
    set2(a, o, "eyeSquint", .12f, .12f);
    float b = fminf(t->brow[f], .5f);
    set2(a, o, "browInnerUp", b * .8f, b * .75f);
    set2(a, o, "browOuterUp", b * .6f, b * .45f);
    set2(a, o, "browDown", .06f * (1.f - b), .05f * (1.f - b));
    /* A friendly face: a little smile that grows in pauses and towards the end. */
    float smile =
        .13f + m->smile + t->a[f] +
        .10f * ease((float)s->n_samples / PZ_SYN_RATE - 1.1f, (float)s->n_samples / PZ_SYN_RATE - .5f, ti);
    smile = fmaxf(smile, fminf(.05f, .05f + m->smile * .5f));
    smile = fmaxf(smile, 0.f);
    float round = o->face.w[pz_syn_expr_find(a, "mouthPucker")];
    float k = 1.f - .7f * pz_clampf(round / .5f, 0.f, 1.f);
    set2(a, o, "mouthSmile", smile * k, smile * k * .88f);
    set2(a, o, "mouthDimple", .25f * smile, .25f * smile);
    set2(a, o, "cheekSquint", .5f * smile + .04f, .5f * smile + .04f);
    set(a, o, "mouthLeft", fmaxf(t->b[f], 0));
    set(a, o, "mouthRight", fmaxf(-t->b[f], 0));
    pz_syn_mouth_seal(rig, seal, &o->face);
}

enum pz_status pz_syn_behave(struct pz_log *log, const struct pz_syn_rig *rig, const struct pz_syn_speech *s,
                             const struct pz_syn_manner *manner, uint64_t seed, uint64_t person, float fps,
                             int n, struct pz_syn_state *out)
{
    static const struct pz_syn_manner kNeutral = {1.f, 0.f, 0.f};
    float *mem = pz_calloc((size_t)n * 10, sizeof *mem);
    if (!mem)
        return pz_fail(log, PZ_ERR_NOMEM, "motion: out of memory");
    struct tracks t = {mem,         mem + n,     mem + 2 * n, mem + 3 * n, mem + 4 * n,
                       mem + 5 * n, mem + 6 * n, mem + 7 * n, mem + 8 * n, mem + 9 * n};
    struct pz_rng r;
    pz_rng_init(&r, seed, person * 16u + 1u);
    wander(&r, t.yaw, n, fps, 1.2f, .052f, 1.2f);
    wander(&r, t.pitch, n, fps, 1.2f, .038f, 1.2f);
    wander(&r, t.roll, n, fps, 1.2f, .034f, 1.2f);
    wander(&r, t.a, n, fps, .9f, .03f, 2.f);
    wander(&r, t.b, n, fps, .5f, .018f, 3.f);
    wander(&r, t.c, n, fps, 1.6f, .35f, .8f);
    nods(&r, s, &t, fps, n);
    blinks(&r, s, &t, fps, n);
    gaze(&r, &t, fps, n);
    for (int f = 0; f < n; f++)
        fill_frame(rig, s, manner ? manner : &kNeutral, &t, fps, f, &out[f]);
    pz_free(mem);
    return PZ_OK;
}
