/* Blends visemes. Does: the table, three articulator groups with a hold interval, closure compensation, lip
 * overlap limit. Does not: head, eyes (behave.c). Source: fact sheet synth.md §7; Cohen & Massaro 1993; JALI
 * 2016. */
#include "viseme.h"

#include <string.h>

enum shape { JAW, CLOSE, PRESS, ROLLL, ROLLU, LOWER, UPPER, SHRUG, PUCK, FUNNEL, STRETCH, SMILE, N_SHAPE };
enum group { GJ, GS, GV };

static const char *const kShape[N_SHAPE][2] = {{"jawOpen", NULL},
                                               {"mouthClose", NULL},
                                               {"mouthPress_L", "mouthPress_R"},
                                               {"mouthRollLower", NULL},
                                               {"mouthRollUpper", NULL},
                                               {"mouthLowerDown_L", "mouthLowerDown_R"},
                                               {"mouthUpperUp_L", "mouthUpperUp_R"},
                                               {"mouthShrugLower", NULL},
                                               {"mouthPucker", NULL},
                                               {"mouthFunnel", NULL},
                                               {"mouthStretch_L", "mouthStretch_R"},
                                               {"mouthSmile_L", "mouthSmile_R"}};
static const int kGroup[N_SHAPE] = {GJ, GV, GV, GV, GV, GV, GV, GV, GS, GS, GS, GS};

struct viseme {
    const char *name;
    float gap;
    float w[N_SHAPE];
    float tongue[3]; /**< lift, out, back */
    float dom[3][3]; /**< J, S, V: strength, lead 1/s, lag 1/s */
};

#define VOWEL                                                                                                \
    {                                                                                                        \
        {1, 12, 10}, {1, 9, 9},                                                                              \
        {                                                                                                    \
            1, 14, 14                                                                                        \
        }                                                                                                    \
    }
#define ROUND                                                                                                \
    {                                                                                                        \
        {1, 12, 10}, {2.2f, 7, 9},                                                                           \
        {                                                                                                    \
            1, 14, 14                                                                                        \
        }                                                                                                    \
    }

static const struct viseme kViseme[PZ_SYN_N_VISEME] = {
    {"sil",
     .03f,
     {[PRESS] = .12f, [ROLLL] = .06f, [ROLLU] = .05f},
     {0, 0, 0},
     {{2.f, 11, 9}, {.6f, 7, 7}, {3.f, 12, 12}}},
    {"PP",
     -.10f,
     {[JAW] = .10f, [CLOSE] = .105f, [PRESS] = .25f, [ROLLL] = .12f, [ROLLU] = .10f},
     {0, 0, 0},
     {{1.2f, 16, 16}, {.04f, 20, 20}, {60, 45, 45}}},
    {"FF",
     .16f,
     {[JAW] = .07f, [ROLLL] = .52f, [UPPER] = .22f, [SHRUG] = .16f},
     {0, 0, 0},
     {{1.2f, 16, 16}, {.08f, 20, 20}, {30, 40, 40}}},
    {"TH",
     .57f,
     {[JAW] = .12f, [LOWER] = .08f, [UPPER] = .06f},
     {.55f, .9f, 0},
     {{.5f, 20, 20}, {.05f, 20, 20}, {.5f, 20, 20}}},
    {"DD",
     .45f,
     {[JAW] = .08f, [LOWER] = .12f, [UPPER] = .05f, [STRETCH] = .05f},
     {.85f, 0, 0},
     {{.45f, 22, 22}, {.05f, 20, 20}, {.35f, 22, 22}}},
    {"L",
     .65f,
     {[JAW] = .14f, [LOWER] = .12f, [UPPER] = .05f},
     {.95f, 0, 0},
     {{.5f, 20, 20}, {.05f, 20, 20}, {.4f, 20, 20}}},
    {"kk",
     .55f,
     {[JAW] = .12f, [LOWER] = .08f, [UPPER] = .04f},
     {0, 0, .8f},
     {{.3f, 20, 20}, {.03f, 20, 20}, {.2f, 20, 20}}},
    {"CH",
     .73f,
     {[JAW] = .05f, [FUNNEL] = .30f, [PUCK] = .26f, [LOWER] = .08f, [UPPER] = .05f},
     {.6f, 0, 0},
     {{2.5f, 20, 20}, {2, 8, 9}, {1.2f, 16, 16}}},
    {"SS",
     .39f,
     {[JAW] = .02f, [STRETCH] = .12f, [SMILE] = .06f, [LOWER] = .24f, [UPPER] = .12f},
     {.6f, 0, 0},
     {{2.5f, 20, 20}, {.5f, 14, 14}, {1.5f, 20, 20}}},
    {"RR",
     .50f,
     {[JAW] = .08f, [FUNNEL] = .13f, [PUCK] = .32f},
     {.3f, 0, .3f},
     {{.6f, 14, 14}, {1.2f, 9, 10}, {.4f, 14, 14}}},
    {"AA", 1.28f, {[JAW] = .33f, [LOWER] = .12f, [UPPER] = .06f}, {0, 0, 0}, VOWEL},
    {"AE",
     1.08f,
     {[JAW] = .25f, [STRETCH] = .18f, [SMILE] = .10f, [LOWER] = .18f, [UPPER] = .10f},
     {0, 0, 0},
     VOWEL},
    {"AH", .74f, {[JAW] = .18f, [LOWER] = .08f, [UPPER] = .03f}, {0, 0, 0}, VOWEL},
    {"AO", 1.22f, {[JAW] = .26f, [FUNNEL] = .22f, [PUCK] = .20f}, {0, 0, 0}, ROUND},
    {"EH",
     .79f,
     {[JAW] = .17f, [STRETCH] = .12f, [SMILE] = .06f, [LOWER] = .16f, [UPPER] = .07f},
     {0, 0, 0},
     VOWEL},
    {"IH",
     .54f,
     {[JAW] = .10f, [STRETCH] = .12f, [SMILE] = .12f, [LOWER] = .15f, [UPPER] = .05f},
     {0, 0, 0},
     VOWEL},
    {"IY",
     .44f,
     {[JAW] = .05f, [SMILE] = .28f, [STRETCH] = .22f, [LOWER] = .22f, [UPPER] = .08f},
     {0, 0, .2f},
     VOWEL},
    {"OW", .88f, {[JAW] = .17f, [PUCK] = .46f, [FUNNEL] = .20f}, {0, 0, 0}, ROUND},
    {"UW", .40f, {[JAW] = .06f, [PUCK] = .70f, [FUNNEL] = .12f}, {0, 0, 0}, ROUND},
    {"UH", .56f, {[JAW] = .11f, [PUCK] = .36f, [FUNNEL] = .10f}, {0, 0, 0}, ROUND},
    {"W",
     .22f,
     {[JAW] = .03f, [PUCK] = .80f, [FUNNEL] = .06f},
     {0, 0, 0},
     {{.9f, 14, 14}, {3, 8, 12}, {1.5f, 14, 16}}},
};

static const char *const kPhone[][3] = {
    {"pau", "sil"},    {"p", "PP"},        {"b", "PP"},        {"m", "PP"},        {"f", "FF"},
    {"v", "FF"},       {"th", "TH"},       {"dh", "TH"},       {"t", "DD"},        {"d", "DD"},
    {"n", "DD"},       {"l", "L"},         {"k", "kk"},        {"g", "kk"},        {"ng", "kk"},
    {"hh", "kk"},      {"ch", "CH"},       {"jh", "CH"},       {"sh", "CH"},       {"zh", "CH"},
    {"s", "SS"},       {"z", "SS"},        {"r", "RR"},        {"er", "RR"},       {"aa", "AA"},
    {"ae", "AE"},      {"ah", "AH"},       {"ax", "AH"},       {"ao", "AO"},       {"eh", "EH"},
    {"ih", "IH"},      {"iy", "IY"},       {"y", "IY"},        {"uw", "UW"},       {"uh", "UH"},
    {"w", "W"},        {"ay", "AA", "IH"}, {"aw", "AA", "UH"}, {"oy", "AO", "IH"}, {"ey", "EH", "IY"},
    {"ow", "OW", "UH"}};

const char *pz_syn_viseme_name(int i)
{
    return kViseme[i].name;
}

float pz_syn_viseme_gap(int i)
{
    return kViseme[i].gap;
}

static int find(const char *name)
{
    for (int i = 0; i < PZ_SYN_N_VISEME; i++)
        if (!strcmp(kViseme[i].name, name))
            return i;
    return 0;
}

int pz_syn_viseme_of(const char *phone, int *second)
{
    *second = -1;
    for (size_t i = 0; i < sizeof kPhone / sizeof *kPhone; i++)
        if (!strcmp(kPhone[i][0], phone)) {
            if (kPhone[i][2])
                *second = find(kPhone[i][2]);
            return find(kPhone[i][1]);
        }
    return find("AH");
}

static void spread(const struct pz_syn_asset *a, const float *w, struct pz_syn_face_pose *out)
{
    for (int k = 0; k < N_SHAPE; k++)
        for (int s = 0; s < 2; s++) {
            int e = kShape[k][s] ? pz_syn_expr_find(a, kShape[k][s]) : -1;
            if (e >= 0)
                out->w[e] += w[k];
        }
}

void pz_syn_viseme_target(const struct pz_syn_asset *a, int i, struct pz_syn_face_pose *out)
{
    spread(a, kViseme[i].w, out);
    out->tongue_lift = kViseme[i].tongue[0];
    out->tongue_out = kViseme[i].tongue[1];
    out->tongue_back = kViseme[i].tongue[2];
}

struct blend {
    float num[N_SHAPE], tongue[3], den[3], stop, still, bite;
};

static void add(struct blend *b, int vi, float s, float e, float t, float gain)
{
    const struct viseme *v = &kViseme[vi];
    float d = e - s, hs = s + .25f * d, he = e - .35f * d;
    if (vi == 1 || vi == 2) { /* PP, FF: held long enough that one 25 fps frame falls in it */
        hs = s + .1f * d;
        he = e - .25f * d;
        if (he - hs < .042f) {
            float mid = .5f * (hs + he);
            hs = mid - .021f;
            he = mid + .021f;
        }
    }
    float before = fmaxf(hs - t, 0.f), after = fmaxf(t - he, 0.f), D[3];
    for (int g = 0; g < 3; g++) {
        D[g] = v->dom[g][0] * expf(-powf(v->dom[g][1] * before, 1.3f) - powf(v->dom[g][2] * after, 1.3f));
        b->den[g] += D[g];
    }
    for (int k = 0; k < N_SHAPE; k++) {
        float most = k == JAW || k == LOWER || k == UPPER ? 2.6f : 1.35f; /* a pucker has an end */
        b->num[k] += D[kGroup[k]] * v->w[k] * fminf(gain, most);
    }
    for (int k = 0; k < 3; k++)
        b->tongue[k] += D[GV] * v->tongue[k];
    if (vi == 1 || vi == 2)
        b->stop += D[GV];
    if (vi == 2)
        b->bite += D[GV];
    if (vi == 0 || vi == 1)
        b->still += D[GV];
}

void pz_syn_mouth_at(const struct pz_syn_rig *rig, const struct pz_syn_speech *s, float t, float style,
                     struct pz_syn_face_pose *out, struct pz_syn_seal *seal)
{
    memset(out, 0, sizeof *out);
    struct blend b;
    memset(&b, 0, sizeof b);
    float mean = 1e-9f, n = 0;
    for (int i = 0; i < s->n_phone; i++)
        if (strchr("aeiou", s->phone[i].name[0])) {
            mean += s->phone[i].energy;
            n += 1.f;
        }
    mean /= n > 0 ? n : 1.f;
    t += .03f; /* the mouth leads the sound */
    for (int i = 0; i < s->n_phone; i++) {
        const struct pz_syn_phone *p = &s->phone[i];
        if (p->start > t + 1.f || p->end < t - 1.f)
            continue;
        int second, vi = pz_syn_viseme_of(p->name, &second);
        /* Louder vowels open wider; closures are never scaled. */
        float gain =
            vi >= 10 && vi <= 19 ? fmaxf(fminf(.72f + .28f * p->energy / mean, 1.35f) * style, .5f) : 1.f;
        if (second >= 0) {
            float mid = p->start + .55f * (p->end - p->start);
            add(&b, vi, p->start, mid, t, gain);
            add(&b, second, mid, p->end, t, gain);
        } else {
            add(&b, vi, p->start, p->end, t, gain);
        }
    }
    float w[N_SHAPE];
    for (int k = 0; k < N_SHAPE; k++)
        w[k] = b.num[k] / (b.den[kGroup[k]] + 1e-6f);
    float k = b.stop / (b.den[GV] + 1e-6f);
    w[CLOSE] += k * 1.05f * fmaxf(0.f, w[JAW] - .085f);
    spread(rig->asset, w, out);
    out->tongue_lift = b.tongue[0] / (b.den[GV] + 1e-6f);
    out->tongue_out = b.tongue[1] / (b.den[GV] + 1e-6f);
    out->tongue_back = b.tongue[2] / (b.den[GV] + 1e-6f);
    if (seal)
        *seal = (struct pz_syn_seal){b.still / (b.den[GV] + 1e-6f), b.bite / (b.den[GV] + 1e-6f)};
}

void pz_syn_mouth_seal(const struct pz_syn_rig *rig, struct pz_syn_seal seal, struct pz_syn_face_pose *pose)
{
    float slope = rig->gap_w[rig->mouth_close], *w = &pose->w[rig->mouth_close];
    if (slope >= 0.f)
        return;
    float gap = pz_syn_rig_gap(rig, pose->w), k = pz_smooth(.35f, .8f, seal.shut),
          kb = pz_smooth(.35f, .8f, seal.bite);
    if (gap > .2f)
        *w += kb * (gap - .2f) / -slope;
    if (gap > -.04f)
        *w += k * (gap + .04f) / -slope;
    gap = pz_syn_rig_gap(rig, pose->w);
    if (gap < -.06f)
        *w = fmaxf(-.06f, *w + (-.06f - gap) / slope);
}
