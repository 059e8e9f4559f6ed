/* Draws pose and expression of stills. Does: speech shapes, random shapes, emotions, gaze, blinks, keeps lips
 * from passing through each other. Source: fact sheet faces.md §5.5, synth.md §7.1. */
#include <string.h>

#include "quick_look.h"
#include "viseme.h"

static void set(const struct pz_syn_rig *rig, struct pz_syn_face_pose *f, const char *name, float w)
{
    int k = pz_syn_expr_find(rig->asset, name);
    if (k >= 0)
        f->w[k] += w;
}

static void both(const struct pz_syn_rig *rig, struct pz_syn_face_pose *f, const char *stem, float l, float r)
{
    char n[32];
    size_t len = strlen(stem);
    memcpy(n, stem, len);
    memcpy(n + len, "_L", 3);
    set(rig, f, n, l);
    n[len + 1] = 'R';
    set(rig, f, n, r);
}

static void speech_like(struct pz_q_state *s, const struct pz_syn_rig *rig, struct pz_rng *r)
{
    struct pz_syn_face_pose a, b;
    memset(&a, 0, sizeof a);
    memset(&b, 0, sizeof b);
    pz_syn_viseme_target(rig->asset, (int)pz_rng_below(r, PZ_SYN_N_VISEME), &a);
    pz_syn_viseme_target(rig->asset, (int)pz_rng_below(r, PZ_SYN_N_VISEME), &b);
    float t = pz_q_chance(r, .5f) ? 0.f : pz_rng_uniform(r), gain = pz_q_uni(r, .6f, 1.5f);
    for (int k = 0; k < PZ_SYN_N_EXPR; k++)
        s->face.w[k] += gain * pz_mixf(a.w[k], b.w[k], t);
    s->face.tongue_lift = pz_mixf(a.tongue_lift, b.tongue_lift, t);
    s->face.tongue_out = pz_mixf(a.tongue_out, b.tongue_out, t);
    s->face.tongue_back = pz_mixf(a.tongue_back, b.tongue_back, t);
    float smile = pz_q_chance(r, .4f) ? pz_q_uni(r, 0.f, .45f) : 0.f;
    both(rig, &s->face, "mouthSmile", smile, smile * pz_q_uni(r, .7f, 1.2f));
    both(rig, &s->face, "cheekSquint", .5f * smile, .5f * smile);
}

static void random_shapes(struct pz_q_state *s, const struct pz_syn_rig *rig, struct pz_rng *r)
{
    int n = 1 + (int)pz_rng_below(r, 6);
    for (int i = 0; i < n; i++) {
        int k = (int)pz_rng_below(r, PZ_SYN_N_EXPR);
        const char *name = rig->asset->expr_name[k];
        float w = pz_q_uni(r, .1f, 1.f), u = pz_rng_uniform(r);
        size_t len = strlen(name);
        if (!strncmp(name, "Pupil", 5) || !strncmp(name, "eyeLook", 7) || !strcmp(name, "mouthClose"))
            continue;
        if (k == rig->jaw_open)
            w *= pz_q_chance(r, .6f) ? .4f : .85f;
        s->face.w[k] += w;
        if (len > 2 && name[len - 2] == '_' && u < .7f) /* mostly both sides move */
            s->face.w[k + (name[len - 1] == 'L' ? 1 : -1)] += w * pz_q_uni(r, .7f, 1.2f);
    }
    if (pz_q_chance(r, .35f))
        s->face.w[rig->jaw_open] += pz_q_uni(r, 0.f, .35f);
    if (pz_q_chance(r, .1f))
        s->face.tongue_out = pz_rng_uniform(r);
}

static void emotion(struct pz_q_state *s, const struct pz_syn_rig *rig, struct pz_rng *r)
{
    struct pz_syn_face_pose *f = &s->face;
    float g = pz_q_uni(r, .4f, 1.f), e = pz_q_uni(r, .8f, 1.2f);
    switch (pz_rng_below(r, 7)) {
    case 0: /* laugh */
        both(rig, f, "mouthSmile", g, g * e);
        both(rig, f, "cheekSquint", .7f * g, .7f * g);
        both(rig, f, "eyeSquint", .5f * g, .5f * g);
        both(rig, f, "mouthUpperUp", .35f * g, .35f * g);
        both(rig, f, "mouthLowerDown", .3f * g, .3f * g);
        set(rig, f, "jawOpen", pz_q_uni(r, 0.f, .45f));
        break;
    case 1: /* closed smile */
        both(rig, f, "mouthSmile", g, g * e);
        both(rig, f, "mouthDimple", .4f * g, .4f * g);
        both(rig, f, "cheekSquint", .5f * g, .5f * g);
        break;
    case 2: /* anger */
        both(rig, f, "browDown", g, g * e);
        both(rig, f, "noseSneer", .5f * g, .5f * g);
        both(rig, f, "mouthPress", .5f * g, .5f * g);
        both(rig, f, "mouthUpperUp", pz_q_uni(r, 0.f, .6f), pz_q_uni(r, 0.f, .6f));
        set(rig, f, "jawOpen", pz_q_chance(r, .4f) ? pz_q_uni(r, 0.f, .5f) : 0.f);
        break;
    case 3: /* sorrow */
        both(rig, f, "browInnerUp", g, g);
        both(rig, f, "mouthFrown", .8f * g, .8f * g * e);
        set(rig, f, "mouthShrugLower", .5f * g);
        both(rig, f, "eyeBlink", .2f * g, .2f * g);
        break;
    case 4: /* surprise */
        both(rig, f, "browInnerUp", g, g);
        both(rig, f, "browOuterUp", g, g * e);
        both(rig, f, "eyeWide", .8f * g, .8f * g);
        set(rig, f, "jawOpen", pz_q_uni(r, .05f, .8f));
        break;
    case 5: /* disgust */
        both(rig, f, "noseSneer", g, g * e);
        both(rig, f, "mouthUpperUp", .6f * g, .6f * g);
        both(rig, f, "eyeSquint", .6f * g, .6f * g);
        both(rig, f, "browDown", .5f * g, .5f * g);
        break;
    default: /* kiss, yawn or puffed cheeks */
        if (pz_q_chance(r, .4f)) {
            set(rig, f, "mouthPucker", g);
            set(rig, f, "mouthFunnel", .2f * g);
        } else if (pz_q_chance(r, .5f)) {
            set(rig, f, "jawOpen", pz_q_uni(r, .5f, 1.f));
            both(rig, f, "eyeBlink", pz_rng_uniform(r), pz_rng_uniform(r));
        } else {
            both(rig, f, "cheekPuff", g, g * e);
            both(rig, f, "mouthPress", .4f * g, .4f * g);
        }
    }
}

/** Lips meet or part: bring the gap of what was meant shut into [−0.05, 0] cm, and never below −0.05. */
static void settle_lips(struct pz_q_state *s, const struct pz_syn_rig *rig, bool shut, float want)
{
    float gap = pz_syn_rig_gap(rig, s->face.w), kc = rig->gap_w[rig->mouth_close],
          kj = rig->gap_w[rig->jaw_open];
    if (gap < -.05f && kj > 0.f)
        s->face.w[rig->jaw_open] += (-.05f - gap) / kj;
    else if (shut && gap > want && kc < 0.f)
        s->face.w[rig->mouth_close] += (want - gap) / kc;
}

static void look_around(struct pz_q_state *s, const struct pz_syn_rig *rig, struct pz_rng *r)
{
    /* At the camera (eyes turn against the head), or anywhere. */
    if (pz_q_chance(r, .55f)) {
        s->face.gaze_yaw = pz_clampf(-.9f * s->yaw, -.5f, .5f);
        s->face.gaze_pitch = pz_clampf(-.9f * s->pitch, -.35f, .35f);
    }
    s->face.gaze_yaw = pz_clampf(s->face.gaze_yaw + .13f * pz_rng_normal(r), -.6f, .6f);
    s->face.gaze_pitch = pz_clampf(s->face.gaze_pitch + .1f * pz_rng_normal(r), -.4f, .45f);
    float gy = s->face.gaze_yaw / .5236f, gp = s->face.gaze_pitch / .5236f;
    both(rig, &s->face, "eyeLookDown", fmaxf(gp, 0), fmaxf(gp, 0));
    both(rig, &s->face, "eyeLookUp", fmaxf(-gp, 0), fmaxf(-gp, 0));
    both(rig, &s->face, "eyeLookOut", fmaxf(gy, 0), fmaxf(-gy, 0));
    both(rig, &s->face, "eyeLookIn", fmaxf(-gy, 0), fmaxf(gy, 0));
    float u = pz_rng_uniform(r), lid = pz_q_uni(r, 0.f, .25f);
    float blink = u < .08f ? 1.f : u < .2f ? pz_rng_uniform(r) : lid;
    both(rig, &s->face, "eyeBlink", blink, pz_q_chance(r, .96f) ? blink : lid);
}

void pz_q_state_draw(struct pz_q_state *s, const struct pz_q_person *p, const struct pz_syn_rig *rig,
                     uint64_t n, int *kind)
{
    struct pz_rng r;
    memset(s, 0, sizeof *s);
    pz_rng_init(&r, p->seed, p->id * 64u + 2u + ((n + 1u) << 40));
    float u = pz_rng_uniform(&r);
    float side = pz_q_chance(&r, .5f) ? 1.f : -1.f;
    float yaw = side * (u < .6f    ? pz_q_uni(&r, 0.f, .262f)
                        : u < .85f ? pz_q_uni(&r, .262f, .7f)
                                   : pz_q_uni(&r, .7f, 1.31f));
    s->yaw = yaw;
    s->pitch = pz_clampf(.21f * pz_rng_normal(&r), -.61f, .61f);
    s->roll =
        pz_q_chance(&r, .1f) ? pz_q_uni(&r, -.79f, .79f) : pz_clampf(.13f * pz_rng_normal(&r), -.36f, .36f);
    s->body_yaw =
        pz_clampf(s->yaw * pz_rng_uniform(&r) + .2f * pz_rng_normal(&r), s->yaw - .8f, s->yaw + .8f);
    s->body_pitch =
        pz_clampf(s->pitch * pz_rng_uniform(&r) + .05f * pz_rng_normal(&r), s->pitch - .35f, s->pitch + .35f);
    s->body_roll = pz_clampf(s->roll * pz_rng_uniform(&r) * .6f, s->roll - .3f, s->roll + .3f);
    s->shift = v3(.4f * pz_rng_normal(&r), .3f * pz_rng_normal(&r), .4f * pz_rng_normal(&r));
    u = pz_rng_uniform(&r);
    *kind = u < .4f ? 0 : u < .7f ? 1 : u < .9f ? 2 : 3;
    if (*kind == 0)
        speech_like(s, rig, &r);
    else if (*kind == 1)
        random_shapes(s, rig, &r);
    else if (*kind == 2)
        emotion(s, rig, &r);
    bool shut = *kind == 3 || pz_q_chance(&r, .32f);
    float want = pz_q_uni(&r, -.05f, .01f);
    if (*kind != 0 || pz_q_chance(&r, .6f)) {
        both(rig, &s->face, "browInnerUp", pz_q_chance(&r, .3f) ? pz_q_uni(&r, 0.f, .6f) : 0.f,
             pz_q_chance(&r, .3f) ? pz_q_uni(&r, 0.f, .6f) : 0.f);
        both(rig, &s->face, "eyeSquint", pz_q_uni(&r, 0.f, .3f), pz_q_uni(&r, 0.f, .3f));
    }
    look_around(s, rig, &r);
    for (int k = 0; k < PZ_SYN_N_EXPR; k++)
        s->face.w[k] = pz_clampf(s->face.w[k] * p->style[k], 0.f, 1.15f);
    settle_lips(s, rig, shut && s->face.w[rig->jaw_open] < .3f, want);
}
