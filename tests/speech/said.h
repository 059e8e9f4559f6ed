/* A sentence of a voice with known phones in a noisy room, and words in it. For tests only. */
#ifndef PZ_TEST_SAID_H
#define PZ_TEST_SAID_H

#include "base/mem.h"
#include "base/rng.h"
#include "speech/lexicon.h"
#include "speech/spot.h"
#include "speech/voice.h"

#define LEAD 8000 /* samples of room before and behind */
#define SENTENCE "We saved two tickets to Lisbon for all of you before Friday"

/* Two words of it and one that it has not. */
static const struct pz_keyword lisbon = {
    {{.phones = {PZ_PH_L, PZ_PH_IH, PZ_PH_Z, PZ_PH_B, PZ_PH_AH, PZ_PH_N}, .n = 6}}, 1};
static const struct pz_keyword saved = {{{.phones = {PZ_PH_S, PZ_PH_EY, PZ_PH_V, PZ_PH_D}, .n = 4}}, 1};
static const struct pz_keyword absent = {
    {{.phones = {PZ_PH_CH, PZ_PH_UW, PZ_PH_M, PZ_PH_OY, PZ_PH_G, PZ_PH_ER}, .n = 6}}, 1};

/** slt says `text`, white noise `snr_db` below (0: hardly any); `truth`: its phones, appended. */
static float *sentence(const struct pz_job *job, const char *text, double snr_db, uint64_t seed, int64_t *n,
                       struct pz_phone_line *truth)
{
    struct pz_say s = {.voice = "flite:slt", .text = text};
    struct pz_utterance u = {0};
    struct pz_rng r;
    double power = 0.0;
    float *x, level;

    assert_int_equal(pz_voice_say(&s, NULL, job, &u), PZ_OK);
    *n = u.n + 2 * LEAD;
    x = pz_calloc((size_t)*n, sizeof *x);
    assert_non_null(x);
    for (int64_t i = 0; i < u.n; i++)
        power += (double)u.samples[i] * u.samples[i] / (double)u.n;
    level = snr_db > 0.0 ? (float)sqrt(power * pow(10.0, -snr_db / 10.0)) : 1e-4f;
    pz_rng_init(&r, seed, 0);
    for (int64_t i = 0; i < *n; i++)
        x[i] = level * pz_rng_normal(&r) + (i >= LEAD && i < LEAD + u.n ? u.samples[i - LEAD] : 0.0f);
    for (int i = 0; i < u.phones.n; i++) {
        struct pz_phone p = u.phones.items[i];

        p.start += LEAD;
        p.end += LEAD;
        if (p.id != PZ_PH_SIL)
            assert_int_equal(pz_phone_line_add(truth, p), PZ_OK);
    }
    pz_utterance_free(&u);
    return x;
}

/** Samples that a run of phones takes, from `from` on. */
static inline void run_of(const struct pz_phone_line *l, const struct pz_pron *p, int64_t from,
                          int64_t *start, int64_t *end)
{
    for (int i = 0; i + p->n <= l->n; i++) {
        int k = 0;

        while (k < p->n && (l->items[i + k].id == PZ_PH_AX ? PZ_PH_AH : l->items[i + k].id) == p->phones[k])
            k++;
        if (k == p->n && l->items[i].start >= from) {
            *start = l->items[i].start;
            *end = l->items[i + k - 1].end;
            return;
        }
    }
    fail_msg("phones not said");
}

#endif
