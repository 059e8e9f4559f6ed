// A wanted word in what the network of sounds.h heard: do its phones, at lengths that phones have, explain
// the frames nearly as well as the best phone of every frame does? One pass a pronunciation.
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "speech/sounds.h"
#include "speech/sounds_net.h"

#define PAIR 2             /* frames of 5 ms taken together */
#define LEAST 2            /* shortest phone, pairs */
#define LONGEST 40         /* longest one */
#define WORST (-5.0f)      /* nats a pair: what a frame that does not fit may cost at most */
#define REWARD 2.0f        /* nats a pair: what may be lost before a place is no place at all */
#define LENGTH_WEIGHT 1.0f /* of the squared distance from the usual length, */
#define LENGTH_SPREAD 0.5f /* in logarithms */

struct finder {
    int64_t pairs;
    float *sums; /* [PZ_PH_COUNT][pairs + 1]: what a phone loses against the best one, summed up */
    float *now, *next;
    int32_t *start, *next_start; /* pair that a path began at, [pairs + 1] */
    float *best;                 /* [pairs + 1]: of all pronunciations of a keyword, */
    int32_t *best_start;         /* and where it began */
};

static void finder_free(struct finder *f)
{
    pz_free(f->sums);
    pz_free(f->now);
    pz_free(f->next);
    pz_free(f->start);
    pz_free(f->next_start);
    pz_free(f->best);
    pz_free(f->best_start);
}

/** Frames [from, to), as far as they are there. */
static enum pz_status finder_make(const struct pz_sounds *heard, int64_t from, int64_t to, struct finder *f)
{
    from = from < 0 ? 0 : from > heard->frames ? heard->frames : from;
    to = to > heard->frames ? heard->frames : to < from ? from : to;
    const size_t n = (size_t)((to - from) / PAIR) + 1;

    *f = (struct finder){.pairs = (to - from) / PAIR};
    f->sums = pz_calloc(n * PZ_PH_COUNT, sizeof *f->sums);
    f->now = pz_calloc(n, sizeof *f->now);
    f->next = pz_calloc(n, sizeof *f->next);
    f->start = pz_calloc(n, sizeof *f->start);
    f->next_start = pz_calloc(n, sizeof *f->next_start);
    f->best = pz_calloc(n, sizeof *f->best);
    f->best_start = pz_calloc(n, sizeof *f->best_start);
    if (!f->sums || !f->now || !f->next || !f->start || !f->next_start || !f->best || !f->best_start)
        return PZ_ERR_NOMEM;
    for (int64_t t = 0; t < f->pairs; t++) {
        const float *a = pz_sounds_at(heard, from + PAIR * t, 0),
                    *b = pz_sounds_at(heard, from + PAIR * t + 1, 0);
        float most = -1e30f;

        for (int p = 0; p < PZ_PH_COUNT; p++)
            most = fmaxf(most, a[p] + b[p]);
        for (int p = 0; p < PZ_PH_COUNT; p++) {
            float *sum = f->sums + (size_t)p * n;

            sum[t + 1] = sum[t] + fmaxf(WORST, 0.5f * (a[p] + b[p] - most)) + REWARD;
        }
    }
    return PZ_OK;
}

/** Paths through one pronunciation into f->best. */
static void follow(struct finder *f, const struct pz_pron *pron)
{
    const size_t n = (size_t)f->pairs + 1;

    for (size_t t = 0; t < n; t++) {
        f->now[t] = 0.0f;
        f->start[t] = (int32_t)t;
    }
    for (int j = 0; j < pron->n; j++) {
        const float *sum = f->sums + (size_t)pron->phones[j] * n;
        float cost[LONGEST + 1], *swap;
        int32_t *swap_start;

        for (int d = LEAST; d <= LONGEST; d++) {
            float away = (logf((float)(PAIR * d)) - pz_sounds_length(pron->phones[j], j + 1 == pron->n)) /
                         LENGTH_SPREAD;

            cost[d] = 0.5f * LENGTH_WEIGHT * away * away;
        }
        for (size_t b = 0; b < n; b++) {
            f->next[b] = -1e30f;
            f->next_start[b] = (int32_t)b;
            for (int d = LEAST; d <= LONGEST && (size_t)d <= b; d++) {
                float v = f->now[b - (size_t)d] + sum[b] - sum[b - (size_t)d] - cost[d];

                if (v > f->next[b]) {
                    f->next[b] = v;
                    f->next_start[b] = f->start[b - (size_t)d];
                }
            }
        }
        swap = f->now;
        f->now = f->next;
        f->next = swap;
        swap_start = f->start;
        f->start = f->next_start;
        f->next_start = swap_start;
    }
    for (size_t t = 0; t < n; t++)
        if (f->now[t] > f->best[t]) {
            f->best[t] = f->now[t];
            f->best_start[t] = f->start[t];
        }
}

enum pz_status pz_sounds_fit(const struct pz_sounds *heard, const struct pz_keyword *k, int64_t from,
                             int64_t to, float *margin)
{
    struct finder f = {0};
    enum pz_status st;
    float best = -1e29f;

    *margin = WORST;
    PZ_TRY(finder_make(heard, from / PZ_SOUNDS_HOP, to / PZ_SOUNDS_HOP, &f));
    for (int64_t t = 0; t <= f.pairs; t++)
        f.best[t] = -1e30f;
    for (int i = 0; i < k->n_prons; i++)
        follow(&f, &k->prons[i]);
    for (int64_t t = 1; t <= f.pairs; t++)
        if (f.best[t] > best && f.best_start[t] < t) {
            best = f.best[t];
            *margin = best / (float)(t - f.best_start[t]) - REWARD;
        }
fail:
    finder_free(&f);
    return st;
}
