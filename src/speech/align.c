// Forced alignment: known words to sound. Builds the graph (pronunciations in parallel, an optional silence
// at every word edge) and reads words and phones off the best path. Sound longer than a minute is the
// business of analyse.c.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "speech/hear.h"

#define MAX_PRONS 4
#define WORDS_PER_SECOND 6.0
#define SILENCE_TAG (-1)

/** Chain of one pronunciation between two states; new states are numbered from *next. */
static enum pz_status add_chain(struct pz_ears_graph *g, int from, int to, const struct pz_pron *p, int tag,
                                int *next)
{
    int at = from;

    for (int k = 0; k < p->n; k++) {
        int dst = k == p->n - 1 ? to : (*next)++;
        enum pz_status st = pz_ears_arc_add(
            g, (struct pz_ears_arc){.from = at, .to = dst, .phone = p->phones[k], .logp = 0.0f, .tag = tag});

        if (st < PZ_OK)
            return st;
        at = dst;
    }
    return PZ_OK;
}

/** Silence or nothing between two states. */
static enum pz_status add_silence(struct pz_ears_graph *g, int from, int to)
{
    enum pz_status st = pz_ears_arc_add(
        g,
        (struct pz_ears_arc){.from = from, .to = to, .phone = PZ_PH_SIL, .logp = -1.0f, .tag = SILENCE_TAG});

    if (st < PZ_OK)
        return st;
    return pz_ears_arc_add(g, (struct pz_ears_arc){.from = from, .to = to, .phone = -1, .logp = -0.5f});
}

/** Move the state that must be last to the last number. */
static void put_last(struct pz_ears_graph *g, int state)
{
    int last = g->n_states - 1;

    for (int i = 0; i < g->n_arcs; i++) {
        int *ends[2] = {&g->arcs[i].from, &g->arcs[i].to};

        for (int k = 0; k < 2; k++)
            *ends[k] = *ends[k] == state ? last : *ends[k] == last ? state : *ends[k];
    }
}

/** `open_end`: the path may also end after any word (`end` then is state 2). */
static enum pz_status build(struct pz_ears *ears, const struct pz_align_word *words, int n_words,
                            bool open_end, struct pz_ears_graph *g)
{
    enum pz_status st;
    int next = open_end ? 3 : 2, at = 1;

    PZ_TRY(add_silence(g, 0, 1));
    for (int i = 0; i < n_words; i++) {
        struct pz_pron prons[MAX_PRONS];
        int n, behind = next++, after = next++;

        if (words[i].pron.n > 0) {
            prons[0] = words[i].pron;
            n = 1;
        } else {
            n = pz_lexicon_pronounce(pz_ears_lexicon(ears), words[i].text, prons, MAX_PRONS);
        }
        if (n < 1) { // nothing to say in it ("–"): the word takes no time
            PZ_TRY(pz_ears_arc_add(g, (struct pz_ears_arc){.from = at, .to = after, .phone = -1}));
            at = after;
            continue;
        }
        for (int k = 0; k < n; k++)
            PZ_TRY(add_chain(g, at, behind, &prons[k], i, &next));
        PZ_TRY(add_silence(g, behind, after));
        at = after;
        if (open_end && i < n_words - 1)
            PZ_TRY(pz_ears_arc_add(g, (struct pz_ears_arc){.from = at, .to = 2, .phone = -1}));
    }
    if (open_end) {
        PZ_TRY(
            pz_ears_arc_add(g, (struct pz_ears_arc){.from = 1, .to = 2, .phone = -1})); // a chunk of silence
        PZ_TRY(pz_ears_arc_add(g, (struct pz_ears_arc){.from = at, .to = 2, .phone = -1}));
        at = 2;
    }
    put_last(g, at);
    return PZ_OK;
fail:
    return st;
}

/** Confidence of a phone from its log-likelihood per frame; the constants map the PTM en-us model's usual
 * range. */
static float score_of(const struct pz_ears_step *s)
{
    double frames = (double)(s->end - s->start) / PZ_EARS_HOP;
    double per = frames > 0.5 ? s->score / frames : -20.0;
    double v = 1.0 / (1.0 + exp(-(per + 9.0) / 1.5));

    return (float)v;
}

/** Words and phones of a path, `at` added to their times. word_of [n_words] (may be NULL) receives word
 * indexes; *used the number of words the path went through. */
static enum pz_status take(const struct pz_ears_graph *g, const struct pz_ears_path *path,
                           const struct pz_align_word *words, int64_t at, struct pz_words *out_words,
                           struct pz_phone_line *out_phones, int *word_of, int *used)
{
    enum pz_status st = PZ_OK;

    *used = 0;
    for (int i = 0; i < path->n; i++) {
        const struct pz_ears_step *s = &path->steps[i];
        const struct pz_ears_arc *a = &g->arcs[s->arc];
        bool goes_on = i > 0 && a->tag >= 0 && g->arcs[path->steps[i - 1].arc].tag == a->tag;
        float score = score_of(s);
        struct pz_word w = {.start = at + s->start,
                            .end = at + s->end,
                            .first_phone = out_phones->n,
                            .n_phones = 1,
                            .confidence = score};

        PZ_TRY(pz_phone_line_add(out_phones, (struct pz_phone){.id = a->phone,
                                                               .score = a->tag >= 0 ? score : 1.0f,
                                                               .start = w.start,
                                                               .end = w.end}));
        if (a->tag < 0)
            continue;
        if (goes_on) {
            struct pz_word *last = &out_words->items[out_words->n - 1];

            last->end = w.end;
            last->n_phones++;
            last->confidence += (score - last->confidence) / (float)last->n_phones;
            continue;
        }
        snprintf(w.text, sizeof w.text, "%s", words[a->tag].text);
        if (word_of)
            word_of[a->tag] = out_words->n;
        *used = a->tag + 1;
        PZ_TRY(pz_words_add(out_words, &w));
    }
fail:
    return st;
}

enum pz_status pz_speech_align(struct pz_ears *ears, const float *samples, int64_t n,
                               const struct pz_align_word *words, int n_words, const struct pz_job *job,
                               struct pz_words *out_words, struct pz_phone_line *out_phones)
{
    enum pz_status st = PZ_OK;
    struct pz_ears_graph g = {0};
    struct pz_ears_path path = {0};
    int used;

    if (pz_job_cancelled(job))
        return PZ_ERR_CANCELLED;
    if (n_words < 1)
        return PZ_OK;
    PZ_TRY(build(ears, words, n_words, false, &g));
    PZ_TRY(pz_ears_search(ears, samples, n, &g, &path));
    if (!path.complete) {
        st = pz_fail(pz_ears_log(ears), PZ_ERR_INPUT,
                     "the %d words from \"%.40s\" do not fit %.1f s of sound; check the transcript", n_words,
                     words[0].text, (double)n / PZ_SPEECH_RATE);
        goto fail;
    }
    PZ_TRY(take(&g, &path, words, 0, out_words, out_phones, NULL, &used));
fail:
    pz_ears_path_free(&path);
    pz_ears_graph_free(&g);
    return st;
}

enum pz_status pz_align_some(struct pz_ears *ears, const float *samples, int64_t n, int64_t at,
                             const struct pz_align_word *words, int n_words, bool last,
                             const struct pz_job *job, struct pz_heard *h, int *word_of, int *used)
{
    enum pz_status st = PZ_OK;
    struct pz_ears_graph g = {0};
    struct pz_ears_path path = {0};
    int most = (int)((double)n / PZ_SPEECH_RATE * WORDS_PER_SECOND) + 4;

    *used = 0;
    if (pz_job_cancelled(job))
        return PZ_ERR_CANCELLED;
    if (n_words == 0)
        return PZ_OK;
    if (last && n_words > 2 * most)
        return pz_fail(
            pz_ears_log(ears), PZ_ERR_INPUT,
            "transcript: %d words are left for the last %.1f s of sound; check that it belongs to this film",
            n_words, (double)n / PZ_SPEECH_RATE);
    if (!last && n_words > most)
        n_words = most;
    PZ_TRY(build(ears, words, n_words, !last, &g));
    PZ_TRY(pz_ears_search(ears, samples, n, &g, &path));
    if (!path.complete) {
        st = pz_fail(
            pz_ears_log(ears), PZ_ERR_INPUT,
            "transcript: the words from \"%.40s\" do not fit the sound from %.1f s on; check the text",
            words[0].text, (double)at / PZ_SPEECH_RATE);
        goto fail;
    }
    PZ_TRY(take(&g, &path, words, at, &h->words, &h->phones, word_of, used));
    if (last)
        *used = n_words;
fail:
    pz_ears_path_free(&path);
    pz_ears_graph_free(&g);
    return st;
}
