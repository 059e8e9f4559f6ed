// Hybrid acoustic scores: what a state loses is the sum of what it loses by the recogniser's mixtures and of
// what its phone loses by the network (posterior over prior: Bourlard & Morgan 1994), each with a weight. The
// library reads such scores from a file; here one is written in memory.
#include "speech/hybrid.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "speech/acoustic_impl.h"
#include "speech/sounds_net.h"

#define MIXTURES 1.0f /* weights of the two, */
#define NETWORK 0.75f
#define PRIOR 0.5f        /* and of how often a phone was taught */
#define WORST 16000       /* units of MIX_UNIT: nothing is worse */
#define ORDER 0x11223344U /* tells the byte order of the file */
#define HEADER 256

struct writer {
    const struct pz_acoustic *a;
    const struct pz_sounds *heard;
    int *phone; /* [n_plain]: ours of each of theirs */
    float *row; /* [n_states] */
    char *at;
};

/** What every phone of the recogniser's has by the network in a frame: `out` [n_plain]. */
static void by_network(const struct writer *w, int64_t t, float *out)
{
    int64_t at = pz_sounds_under(t);

    at = at + 1 < w->heard->frames ? at : w->heard->frames - 2;
    for (int p = 0; p < w->a->n_plain; p++) {
        const int id = w->phone[p];

        out[p] =
            NETWORK * (0.5f * (pz_sounds_at(w->heard, at, 0)[id] + pz_sounds_at(w->heard, at + 1, 0)[id]) -
                       PRIOR * pz_sounds_prior(id));
    }
}

static void write_row(void *user, int64_t t, const float *scores)
{
    struct writer *w = user;
    const int n = w->a->n_states;
    const int16_t count = (int16_t)n;
    float network[256], best = -1e30f;

    by_network(w, t, network);
    for (int i = 0; i < n; i++) {
        w->row[i] = MIXTURES * scores[i] + network[w->a->sound_of[i]];
        best = w->row[i] > best ? w->row[i] : best; // fmaxf() is a call
    }
    memcpy(w->at, &count, sizeof count);
    w->at += sizeof count;
    for (int i = 0; i < n; i++) {
        const float loss = (best - w->row[i]) / (float)MIX_UNIT;
        const int16_t v = loss > WORST ? WORST : (int16_t)lrintf(loss);

        memcpy(w->at, &v, sizeof v);
        w->at += sizeof v;
    }
}

/** Which of our phones each of the recogniser's is; noises are silence. */
static void match_phones(const struct pz_acoustic *a, int *phone)
{
    for (int p = 0; p < a->n_plain; p++)
        phone[p] = PZ_PH_SIL;
    for (int p = 0; p < PZ_PH_COUNT; p++)
        if (p != PZ_PH_AX && a->phone_of[p] >= 0)
            phone[a->phone_of[p]] = p;
}

enum pz_status pz_hybrid_scores(struct pz_acoustic *a, const float *samples, int64_t n,
                                const struct pz_sounds *heard, char **data, size_t *size)
{
    const size_t frames = (size_t)(n / PZ_EARS_HOP + 2), states = (size_t)a->n_states;
    const uint32_t order = ORDER;
    struct writer w = {.a = a, .heard = heard};
    uint16_t *all = pz_calloc(states + 1, sizeof *all);
    enum pz_status st = PZ_ERR_NOMEM;

    *data = pz_calloc(HEADER + frames * (states + 1) * sizeof(int16_t), 1);
    *size = 0;
    w.phone = pz_calloc((size_t)a->n_plain, sizeof *w.phone);
    w.row = pz_calloc(states + 1, sizeof *w.row);
    if (!all || !*data || !w.phone || !w.row)
        goto fail;
    if (heard->frames < 2 || a->n_plain > 256 || a->n_states > INT16_MAX) {
        st = pz_fail(a->log, PZ_ERR_INTERNAL, "speech recogniser: %lld frames of sound",
                     (long long)heard->frames);
        goto fail;
    }
    for (size_t i = 0; i < states; i++)
        all[i] = (uint16_t)i;
    match_phones(a, w.phone);
    w.at = *data + snprintf(*data, HEADER, "s3\nversion 0.1\nmdef_file -\nn_sen %d\nlogbase 1.0001\nendhdr\n",
                            a->n_states);
    memcpy(w.at, &order, sizeof order);
    w.at += sizeof order;
    PZ_TRY(pz_acoustic_rows(a, PZ_ACOUSTIC_AS_IS, samples, n, all, a->n_states, write_row, &w));
    *size = (size_t)(w.at - *data);
fail:
    pz_free(all);
    pz_free(w.phone);
    pz_free(w.row);
    if (st < PZ_OK) {
        pz_free(*data);
        *data = NULL;
    }
    return st;
}
