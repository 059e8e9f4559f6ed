/*
 * Phone → viseme table, dominance blending. Numbers: spec/synth.md §7 with decay rates raised by 1.5
 * (narrower blending predicts real mouths better than the generator's own, by cross-validation on speaking
 * faces).
 */
#include "lipsync/viseme.h"

#include <math.h>

#include "base/mem.h"

#define TIGHT 1.5
#define ADVANCE_S (-0.01)
#define CERTAIN 0.999f
#define REACH_S 0.6 /* the slowest decay, 8·1.5 per second, is below 1e-6 at this distance */

struct dominance {
    float alpha, lead, lag; /* strength; decay before and after the plateau, 1/s */
};

static const struct pz_viseme_shape shapes[PZ_VIS_COUNT] = {
    [PZ_VIS_SIL] = {0.03f, 0.0f},  [PZ_VIS_PP] = {-0.10f, 0.0f},  [PZ_VIS_FF] = {0.16f, 0.0f},
    [PZ_VIS_TH] = {0.57f, 0.0f},   [PZ_VIS_DD] = {0.45f, 0.01f},  [PZ_VIS_L] = {0.65f, 0.0f},
    [PZ_VIS_KK] = {0.55f, 0.0f},   [PZ_VIS_CH] = {0.73f, -0.09f}, [PZ_VIS_SS] = {0.39f, 0.05f},
    [PZ_VIS_RR] = {0.50f, -0.09f}, [PZ_VIS_AA] = {1.28f, 0.0f},   [PZ_VIS_AE] = {1.08f, 0.05f},
    [PZ_VIS_AH] = {0.74f, 0.0f},   [PZ_VIS_AO] = {1.22f, -0.10f}, [PZ_VIS_EH] = {0.79f, 0.03f},
    [PZ_VIS_IH] = {0.54f, 0.03f},  [PZ_VIS_IY] = {0.44f, 0.13f},  [PZ_VIS_OW] = {0.88f, -0.13f},
    [PZ_VIS_UW] = {0.40f, -0.15f}, [PZ_VIS_UH] = {0.56f, -0.09f}, [PZ_VIS_W] = {0.22f, -0.16f},
};

static const struct dominance vowel = {1.0f, 12, 10};
static const struct dominance consonants[PZ_VIS_COUNT] = {
    [PZ_VIS_SIL] = {0.6f, 8, 8},  [PZ_VIS_PP] = {20.0f, 40, 40}, [PZ_VIS_FF] = {6.0f, 30, 30},
    [PZ_VIS_TH] = {0.5f, 20, 20}, [PZ_VIS_DD] = {0.45f, 22, 22}, [PZ_VIS_L] = {0.5f, 20, 20},
    [PZ_VIS_KK] = {0.3f, 20, 20}, [PZ_VIS_CH] = {1.5f, 20, 20},  [PZ_VIS_SS] = {2.0f, 20, 20},
    [PZ_VIS_RR] = {0.6f, 14, 14}, [PZ_VIS_W] = {1.2f, 14, 14},
};

/* Two visemes a phone; the second is -1 for all but diphthongs. */
static const signed char of_phone[PZ_PH_COUNT][2] = {
    [PZ_PH_SIL] = {PZ_VIS_SIL, -1},      [PZ_PH_AA] = {PZ_VIS_AA, -1},
    [PZ_PH_AE] = {PZ_VIS_AE, -1},        [PZ_PH_AH] = {PZ_VIS_AH, -1},
    [PZ_PH_AO] = {PZ_VIS_AO, -1},        [PZ_PH_AW] = {PZ_VIS_AA, PZ_VIS_UH},
    [PZ_PH_AX] = {PZ_VIS_AH, -1},        [PZ_PH_AY] = {PZ_VIS_AA, PZ_VIS_IH},
    [PZ_PH_B] = {PZ_VIS_PP, -1},         [PZ_PH_CH] = {PZ_VIS_CH, -1},
    [PZ_PH_D] = {PZ_VIS_DD, -1},         [PZ_PH_DH] = {PZ_VIS_TH, -1},
    [PZ_PH_EH] = {PZ_VIS_EH, -1},        [PZ_PH_ER] = {PZ_VIS_RR, -1},
    [PZ_PH_EY] = {PZ_VIS_EH, PZ_VIS_IY}, [PZ_PH_F] = {PZ_VIS_FF, -1},
    [PZ_PH_G] = {PZ_VIS_KK, -1},         [PZ_PH_HH] = {PZ_VIS_KK, -1},
    [PZ_PH_IH] = {PZ_VIS_IH, -1},        [PZ_PH_IY] = {PZ_VIS_IY, -1},
    [PZ_PH_JH] = {PZ_VIS_CH, -1},        [PZ_PH_K] = {PZ_VIS_KK, -1},
    [PZ_PH_L] = {PZ_VIS_L, -1},          [PZ_PH_M] = {PZ_VIS_PP, -1},
    [PZ_PH_N] = {PZ_VIS_DD, -1},         [PZ_PH_NG] = {PZ_VIS_KK, -1},
    [PZ_PH_OW] = {PZ_VIS_OW, PZ_VIS_UH}, [PZ_PH_OY] = {PZ_VIS_AO, PZ_VIS_IH},
    [PZ_PH_P] = {PZ_VIS_PP, -1},         [PZ_PH_R] = {PZ_VIS_RR, -1},
    [PZ_PH_S] = {PZ_VIS_SS, -1},         [PZ_PH_SH] = {PZ_VIS_CH, -1},
    [PZ_PH_T] = {PZ_VIS_DD, -1},         [PZ_PH_TH] = {PZ_VIS_TH, -1},
    [PZ_PH_UH] = {PZ_VIS_UH, -1},        [PZ_PH_UW] = {PZ_VIS_UW, -1},
    [PZ_PH_V] = {PZ_VIS_FF, -1},         [PZ_PH_W] = {PZ_VIS_W, -1},
    [PZ_PH_Y] = {PZ_VIS_IY, -1},         [PZ_PH_Z] = {PZ_VIS_SS, -1},
    [PZ_PH_ZH] = {PZ_VIS_CH, -1},
};

const struct pz_viseme_shape *pz_viseme_shape(int v)
{
    return &shapes[v >= 0 && v < PZ_VIS_COUNT ? v : PZ_VIS_SIL];
}

static void add_event(struct pz_viseme_line *line, int v, double start, double end, float score)
{
    struct pz_viseme_event *last = line->n > 0 ? &line->events[line->n - 1] : NULL;
    if (v == PZ_VIS_SIL && last && last->viseme == PZ_VIS_SIL) {
        last->end = end;
    } else {
        last = &line->events[line->n++];
        *last = (struct pz_viseme_event){v, start, end, score, false};
    }
    if (last->end - last->start > line->longest)
        line->longest = last->end - last->start;
}

/* Recognisers give silence a score of 1 as well, and now and then a phone: only company proves a synthesiser.
 */
static void mark_exact(struct pz_viseme_line *line)
{
    for (int i = 0; i < line->n; i++) {
        int left = i - 1, right = i + 1;
        if (left >= 0 && line->events[left].viseme == PZ_VIS_SIL)
            left--;
        if (right < line->n && line->events[right].viseme == PZ_VIS_SIL)
            right++;
        bool l = left >= 0 && line->events[left].score >= CERTAIN;
        bool r = right < line->n && line->events[right].score >= CERTAIN;
        bool alone = line->events[i].viseme != PZ_VIS_SIL && left < 0 && right >= line->n;
        line->events[i].exact = line->events[i].score >= CERTAIN && (l || r || alone);
    }
}

enum pz_status pz_viseme_line_make(const struct pz_phone *phones, int n, struct pz_viseme_line *out)
{
    *out = (struct pz_viseme_line){0};
    if (n <= 0)
        return PZ_OK;
    out->events = pz_calloc((size_t)n * 2, sizeof *out->events);
    if (!out->events)
        return PZ_ERR_NOMEM;
    int64_t before = 0;
    for (int i = 0; i < n; i++) {
        const struct pz_phone *p = &phones[i];
        if (p->start < before || p->end < p->start) {
            pz_viseme_line_free(out);
            return PZ_ERR_FORMAT;
        }
        before = p->start;
        if (p->end == p->start)
            continue;
        int id = p->id >= 0 && p->id < PZ_PH_COUNT ? p->id : PZ_PH_SIL;
        double s = (double)p->start / PZ_SPEECH_RATE, e = (double)p->end / PZ_SPEECH_RATE;
        if (of_phone[id][1] >= 0) { /* the glide starts past the middle */
            double mid = s + 0.55 * (e - s);
            add_event(out, of_phone[id][0], s, mid, p->score);
            add_event(out, of_phone[id][1], mid, e, p->score);
        } else {
            add_event(out, of_phone[id][0], s, e, p->score);
        }
    }
    mark_exact(out);
    return PZ_OK;
}

void pz_viseme_line_free(struct pz_viseme_line *line)
{
    pz_free(line->events);
    *line = (struct pz_viseme_line){0};
}

void pz_viseme_hold(const struct pz_viseme_event *e, double min_s, double *start, double *end)
{
    double d = e->end - e->start;
    bool labial = e->viseme == PZ_VIS_PP || e->viseme == PZ_VIS_FF;
    *start = e->start + (labial ? 0.1 : 0.25) * d;
    *end = e->end - (labial ? 0.25 : 0.35) * d;
    if (*end - *start < min_s) {
        double mid = 0.5 * (*start + *end);
        *start = mid - 0.5 * min_s;
        *end = mid + 0.5 * min_s;
    }
}

void pz_viseme_weights(const struct pz_viseme_line *line, double t, float out[PZ_VIS_COUNT])
{
    for (int v = 0; v < PZ_VIS_COUNT; v++)
        out[v] = 0.0f;
    double tp = t + ADVANCE_S;
    int lo = 0, hi = line->n; /* first event that may still reach t */
    while (lo < hi) {
        int mid = (lo + hi) / 2;
        if (line->events[mid].start + line->longest < tp - REACH_S)
            lo = mid + 1;
        else
            hi = mid;
    }
    double sum = 1e-6;
    for (int i = lo; i < line->n && line->events[i].start < tp + REACH_S; i++) {
        const struct pz_viseme_event *e = &line->events[i];
        const struct dominance *d =
            e->viseme >= PZ_VIS_AA && e->viseme <= PZ_VIS_UH ? &vowel : &consonants[e->viseme];
        double hs, he;
        pz_viseme_hold(e, e->viseme == PZ_VIS_PP || e->viseme == PZ_VIS_FF ? 0.036 : 0.0, &hs, &he);
        double far = tp < hs ? d->lead * (hs - tp) : tp > he ? d->lag * (tp - he) : 0.0;
        double sure = e->score < 0   ? 0
                      : e->score > 1 ? 1
                                     : e->score; /* doubtful phones give way to their neighbours */
        double w = d->alpha * (0.3 + 0.7 * sure) * exp(-pow(TIGHT * far, 1.3));
        out[e->viseme] += (float)w;
        sum += w;
    }
    for (int v = 0; v < PZ_VIS_COUNT; v++)
        out[v] = (float)(out[v] / sum);
}
