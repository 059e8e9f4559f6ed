// Read-back: is the new word what a listener hears? Three witnesses, since the recogniser is a modest one:
// (1) does the word explain the sound nearly as well as free phones do (a grammar of one word between free
// phones), (2) does it do better than the word that stood there, (3) how like are freely decoded phones to
// the wanted ones. score = 0.5·fit + 0.2·better + 0.3·likeness, where fit maps a loss of 0…5 nats a frame to
// 1…0. Where the word that stood there explains the sound better, fit is 0.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "audio/track.h"
#include "base/mem.h"
#include "base/pool.h"
#include "speech/hear.h"

#define SIDE                                                                                                 \
    (PZ_SPEECH_RATE / 2) /* enough for the neighbouring words; each second costs as much as it lasts */
#define LOSS_ZERO 5.0    /* right words lost 0.2…2.4, tuning voices */
#define LOOP_LOGP (-4.0f)
#define INSIDE_LEAST 0.5 /* of the span must be the word */

/** A keyword between free phones. */
static enum pz_status build(const struct pz_keyword *k, struct pz_ears_graph *g)
{
    enum pz_status st;
    int next = 2;

    PZ_TRY(pz_ears_phone_loop(g, 0, LOOP_LOGP, 0));
    for (int i = 0; i < k->n_prons; i++) {
        int at = 0;

        for (int j = 0; j < k->prons[i].n; j++) {
            int to = j == k->prons[i].n - 1 ? 1 : next++;

            PZ_TRY(pz_ears_arc_add(
                g, (struct pz_ears_arc){.from = at, .to = to, .phone = k->prons[i].phones[j], .tag = 1}));
            at = to;
        }
    }
    PZ_TRY(pz_ears_phone_loop(g, 1, LOOP_LOGP, 0));
    PZ_TRY(pz_ears_arc_add(g, (struct pz_ears_arc){.from = 1, .to = next, .phone = -1}));
    return PZ_OK;
fail:
    return st;
}

/** Log-likelihood of sound with a keyword in it, or of free phones when `k` is NULL. The surroundings are
 * heard along, because the recogniser takes a sound's own mean for the colour of the room: alone, one short
 * word would lose its own. −1e30 when the keyword is not where [a, b) is. */
static enum pz_status keyword_score(struct pz_ears *ears, const float *x, int64_t n, int64_t a, int64_t b,
                                    const struct pz_keyword *k, double *out)
{
    enum pz_status st;
    struct pz_ears_graph g = {0};
    struct pz_ears_path path = {0};
    int64_t inside = 0;

    *out = -1e30;
    if (k)
        PZ_TRY(build(k, &g));
    else {
        PZ_TRY(pz_ears_phone_loop(&g, 0, LOOP_LOGP, 0));
        PZ_TRY(pz_ears_arc_add(&g, (struct pz_ears_arc){.from = 0, .to = 1, .phone = -1}));
    }
    PZ_TRY(pz_ears_search(ears, x, n, &g, &path));
    if (!path.complete)
        goto fail;
    *out = 0.0;
    for (int i = 0; i < path.n; i++) {
        const struct pz_ears_step *s = &path.steps[i];
        int64_t from = s->start > a ? s->start : a, to = s->end < b ? s->end : b;

        *out += s->score;
        if (g.arcs[s->arc].tag == 1 && to > from)
            inside += to - from;
    }
    if (k && (double)inside < INSIDE_LEAST * (double)(b - a))
        *out = -1e30;
fail:
    pz_ears_path_free(&path);
    pz_ears_graph_free(&g);
    return st;
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
    enum pz_status st = pz_ears_words(ears, x, n, 0, NULL, &w);

    out[0] = 0;
    for (int i = 0; i < w.n && st == PZ_OK; i++) {
        int64_t s = w.items[i].start > a ? w.items[i].start : a, e = w.items[i].end < b ? w.items[i].end : b;

        if (2 * (e - s) >= w.items[i].end - w.items[i].start && k < 255)
            k += (size_t)snprintf(out + k, 256 - k, "%s%s", k ? " " : "", w.items[i].text);
    }
    pz_words_free(&w);
    return st;
}

/** What is listened for, and what two tasks find: the words heard, and how well they are the wanted ones.
 * They share no recogniser. */
struct listening {
    struct pz_ears *ears;
    const float *x;
    int64_t n, a, b; /* the span [a, b) of the sound */
    struct pz_keyword want, other;
    bool rival; /* is there an `other` */
    struct pz_readback *out;
    enum pz_status st[2];
};

static enum pz_status span_score(struct listening *l)
{
    enum pz_status st = PZ_OK;
    double own, free_score, versus = -1e30, loss, fit;
    struct pz_readback *out = l->out;

    PZ_TRY(span_likeness(l->ears, l->x, l->n, l->a, l->b, &l->want, &out->likeness));
    PZ_TRY(keyword_score(l->ears, l->x, l->n, l->a, l->b, NULL, &free_score));
    PZ_TRY(keyword_score(l->ears, l->x, l->n, l->a, l->b, &l->want, &own));
    if (l->rival)
        PZ_TRY(keyword_score(l->ears, l->x, l->n, l->a, l->b, &l->other, &versus));
    loss = (free_score - own) * PZ_EARS_HOP / (double)(l->b - l->a);
    fit = own > -1e29 && own >= versus ? fmax(0.0, fmin(1.0, 1.0 - loss / LOSS_ZERO)) : 0.0;
    out->score = (float)(0.5 * fit + 0.3 * out->likeness + (own > versus && own > -1e29 ? 0.2 : 0.0));
fail:
    return st;
}

static void listen_task(void *user, int index, int worker)
{
    struct listening *l = user;

    (void)worker;
    l->st[index] = index ? span_score(l) : span_text(l->ears, l->x, l->n, l->a, l->b, l->out->text);
}

enum pz_status pz_speech_readback(struct pz_ears *ears, const struct pz_tap *sound, int64_t start,
                                  int64_t end, const char *value, const struct pz_pron *value_pron,
                                  const char *rival, const struct pz_job *job, struct pz_readback *out)
{
    enum pz_status st;
    struct pz_log *log = pz_ears_log(ears);
    struct listening l = {.ears = ears, .out = out};
    // Whisper wants all threads for itself.
    struct pz_pool *pool = job && !pz_ears_uses_whisper(ears) ? job->pool : NULL;
    int64_t total = pz_tap_speech_length(sound), from = start - SIDE < 0 ? 0 : start - SIDE;
    int64_t to = end + SIDE > total ? total : end + SIDE;
    float *x = NULL;

    *out = (struct pz_readback){0};
    if (pz_job_cancelled(job))
        return PZ_ERR_CANCELLED;
    if (start < 0 || end - start < PZ_SPEECH_RATE / 50 || end - start > 40 * PZ_SPEECH_RATE || to <= from)
        return pz_fail(log, PZ_ERR_USAGE, "read-back of %.2f s of sound",
                       (double)(end - start) / PZ_SPEECH_RATE);
    if (value_pron && value_pron->n) {
        l.want.prons[0] = *value_pron;
        l.want.n_prons = 1;
    } else {
        PZ_TRY(pz_keyword_make(pz_ears_lexicon(ears), log, value, NULL, &l.want));
    }
    x = pz_calloc((size_t)(to - from), sizeof *x);
    if (!x) {
        st = PZ_ERR_NOMEM;
        goto fail;
    }
    PZ_TRY(pz_tap_read_speech(sound, from, x, to - from));
    l.rival =
        rival && rival[0] && pz_keyword_make(pz_ears_lexicon(ears), NULL, rival, NULL, &l.other) == PZ_OK;
    l.x = x;
    l.n = to - from;
    l.a = start - from;
    l.b = end - from;
    pz_pool_run(pool, listen_task, &l, 2);
    PZ_TRY(l.st[0]);
    PZ_TRY(l.st[1]);
    st = PZ_OK;
fail:
    pz_free(x);
    return st;
}
