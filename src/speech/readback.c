// Read-back: is the new word what a listener hears? Three witnesses, since the recogniser is a modest one:
// (1) does the word explain the sound nearly as well as free phones do (a grammar of one word between free
// phones), (2) does it do better than the word that stood there, (3) how like are freely decoded phones to
// the wanted ones. score = 0.5·fit + 0.2·better + 0.3·likeness, where fit maps a loss of 0…3 nats a frame to
// 1…0.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "audio/track.h"
#include "base/mem.h"
#include "speech/hear.h"

#define SIDE                                                                                                 \
    (PZ_SPEECH_RATE / 2) /* enough for the neighbouring words; each second costs as much as it lasts */
#define LOSS_ZERO 3.0

/** Log-likelihood per frame of the keyword (or of free phones when n 0) over exactly [a, b) between free
 * phones. */
static enum pz_status word_score(struct pz_ears *ears, const float *x, int64_t n, const struct pz_pron *pron,
                                 double *out)
{
    enum pz_status st;
    struct pz_ears_graph g = {0};
    struct pz_ears_path path = {0};
    int at = 1;

    *out = -1e30;
    PZ_TRY(pz_ears_arc_add(&g, (struct pz_ears_arc){.from = 0, .to = 1, .phone = PZ_PH_SIL, .logp = -1.0f}));
    PZ_TRY(pz_ears_arc_add(&g, (struct pz_ears_arc){.from = 0, .to = 1, .phone = -1}));
    if (!pron) {
        PZ_TRY(pz_ears_phone_loop(&g, 1, -4.0f, 0));
    } else {
        for (int i = 0; i < pron->n; i++, at++)
            PZ_TRY(pz_ears_arc_add(&g,
                                   (struct pz_ears_arc){.from = at, .to = at + 1, .phone = pron->phones[i]}));
    }
    PZ_TRY(pz_ears_arc_add(
        &g, (struct pz_ears_arc){.from = at, .to = at + 1, .phone = PZ_PH_SIL, .logp = -1.0f}));
    PZ_TRY(pz_ears_arc_add(&g, (struct pz_ears_arc){.from = at, .to = at + 1, .phone = -1}));
    PZ_TRY(pz_ears_search(ears, x, n, &g, &path));
    if (path.complete) {
        *out = 0.0;
        for (int i = 0; i < path.n; i++)
            *out += path.steps[i].score;
        *out *= (double)PZ_EARS_HOP / (double)n;
    }
    st = PZ_OK;
fail:
    pz_ears_path_free(&path);
    pz_ears_graph_free(&g);
    return st;
}

/** Best pronunciation's score. */
static enum pz_status keyword_score(struct pz_ears *ears, const float *x, int64_t n,
                                    const struct pz_keyword *k, double *out)
{
    *out = -1e30;
    for (int i = 0; i < k->n_prons; i++) {
        double v;
        enum pz_status st = word_score(ears, x, n, &k->prons[i], &v);

        if (st < PZ_OK)
            return st;
        *out = fmax(*out, v);
    }
    return PZ_OK;
}

/** Phones decoded freely with the surroundings, those of the span compared. */
static enum pz_status span_likeness(struct pz_ears *ears, const float *x, int64_t n, int64_t a, int64_t b,
                                    const struct pz_keyword *k, float *out)
{
    enum pz_status st;
    struct pz_ears_path path = {0};
    uint8_t heard[4 * PZ_PRON_MAX];
    int m = 0;

    *out = 0.0f;
    PZ_TRY(pz_ears_allphone(ears, x, n, &path));
    for (int i = 0; i < path.n && m < (int)sizeof heard; i++) {
        int64_t mid = (path.steps[i].start + path.steps[i].end) / 2;

        if (mid >= a && mid < b && path.steps[i].arc != PZ_PH_SIL)
            heard[m++] = (uint8_t)path.steps[i].arc;
    }
    for (int i = 0; i < k->n_prons; i++)
        *out = fmaxf(*out, pz_phones_likeness(k->prons[i].phones, k->prons[i].n, heard, m));
fail:
    pz_ears_path_free(&path);
    return st;
}

/** What free recognition hears in the span. */
static enum pz_status span_text(struct pz_ears *ears, const float *x, int64_t n, int64_t a, int64_t b,
                                char out[256])
{
    struct pz_words w = {0};
    size_t k = 0;
    enum pz_status st = pz_ears_words(ears, x, n, 0, &w);

    out[0] = 0;
    for (int i = 0; i < w.n && st == PZ_OK; i++) {
        int64_t s = w.items[i].start > a ? w.items[i].start : a, e = w.items[i].end < b ? w.items[i].end : b;

        if (2 * (e - s) >= w.items[i].end - w.items[i].start && k < 255)
            k += (size_t)snprintf(out + k, 256 - k, "%s%s", k ? " " : "", w.items[i].text);
    }
    pz_words_free(&w);
    return st;
}

enum pz_status pz_speech_readback(struct pz_ears *ears, const struct pz_tap *sound, int64_t start,
                                  int64_t end, const char *value, const struct pz_pron *value_pron,
                                  const char *rival, const struct pz_job *job, struct pz_readback *out)
{
    enum pz_status st;
    struct pz_log *log = pz_ears_log(ears);
    struct pz_keyword want = {0}, other = {0};
    int64_t total = pz_tap_speech_length(sound), from = start - SIDE < 0 ? 0 : start - SIDE;
    int64_t to = end + SIDE > total ? total : end + SIDE, pad = PZ_SPEECH_RATE / 50, a, b;
    double own, free_score, versus = -1e30, fit;
    float *x = NULL;

    *out = (struct pz_readback){0};
    if (pz_job_cancelled(job))
        return PZ_ERR_CANCELLED;
    if (start < 0 || end - start < PZ_SPEECH_RATE / 50 || end - start > 40 * PZ_SPEECH_RATE || to <= from)
        return pz_fail(log, PZ_ERR_USAGE, "read-back of %.2f s of sound",
                       (double)(end - start) / PZ_SPEECH_RATE);
    if (value_pron && value_pron->n) {
        want.prons[0] = *value_pron;
        want.n_prons = 1;
    } else {
        PZ_TRY(pz_keyword_make(pz_ears_lexicon(ears), log, value, NULL, &want));
    }
    x = pz_calloc((size_t)(to - from), sizeof *x);
    if (!x) {
        st = PZ_ERR_NOMEM;
        goto fail;
    }
    PZ_TRY(pz_tap_read_speech(sound, from, x, to - from));
    a = start - from;
    b = end - from;
    PZ_TRY(span_text(ears, x, to - from, a, b, out->text));
    PZ_TRY(span_likeness(ears, x, to - from, a, b, &want, &out->likeness));
    a = a > pad ? a - pad : 0;
    b = b + pad < to - from ? b + pad : to - from;
    PZ_TRY(word_score(ears, x + a, b - a, NULL, &free_score));
    PZ_TRY(keyword_score(ears, x + a, b - a, &want, &own));
    if (rival && rival[0] && pz_keyword_make(pz_ears_lexicon(ears), NULL, rival, NULL, &other) == PZ_OK)
        PZ_TRY(keyword_score(ears, x + a, b - a, &other, &versus));
    fit = own > -1e29 ? fmax(0.0, fmin(1.0, 1.0 - (free_score - own) / LOSS_ZERO)) : 0.0;
    out->score = (float)(0.5 * fit + 0.3 * out->likeness + (own > versus && own > -1e29 ? 0.2 : 0.0));
    st = PZ_OK;
fail:
    pz_free(x);
    return st;
}
