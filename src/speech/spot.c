// Keyword spotting: a loop of all phones in which the keywords are shortcuts. Where the best path takes a
// shortcut, its keyword explains the sound nearly as well as any phones could; a second pass without it says
// how nearly.
#include "speech/spot.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"

#define LOOP_LOGP (-20.0f)  // dear, so that the shortcut is taken readily: weak spots are judged afterwards
#define LOOP_WORD (-150.0f) // and a whole short word's phones cost at least so much
#define LOOP_LEAST (-40.0f)
#define ENTER_LOGP (-2.0f) /* the shortcut */

enum pz_status pz_keyword_make(const struct pz_lexicon *lex, struct pz_log *log, const char *words,
                               const char *say, struct pz_keyword *k)
{
    char word[64];
    size_t n = 0;

    *k = (struct pz_keyword){0};
    if (say && say[0]) {
        k->n_prons = 1;
        return pz_say_parse(lex, log, say, &k->prons[0]);
    }
    k->n_prons = 1;
    for (const char *p = words;; p++) {
        if (*p && !isspace((unsigned char)*p)) {
            if (n + 1 < sizeof word)
                word[n++] = *p;
            continue;
        }
        word[n] = 0;
        if (n) {
            struct pz_pron alt[PZ_SPOT_PRONS];
            int n_alt = pz_lexicon_pronounce(lex, word, alt, PZ_SPOT_PRONS);
            bool first = k->prons[0].n == 0;

            // The first word's alternatives are kept; later words use their best one, or the list would
            // multiply.
            for (int i = 0; i < (first ? n_alt : k->n_prons); i++) {
                const struct pz_pron *add = first ? &alt[i] : &alt[0];
                struct pz_pron *dst = &k->prons[i];

                if (n_alt < 1)
                    break;
                if (dst->n + add->n > PZ_PRON_MAX)
                    return pz_fail(log, PZ_ERR_INPUT, "\"%s\" is too long to look for", words);
                memcpy(dst->phones + dst->n, add->phones, (size_t)add->n);
                dst->n += add->n;
            }
            if (first && n_alt > 0)
                k->n_prons = n_alt;
        }
        n = 0;
        if (!*p)
            break;
    }
    if (k->prons[0].n == 0)
        return pz_fail(log, PZ_ERR_INPUT, "cannot tell how \"%s\" is pronounced; give it with --say", words);
    return PZ_OK;
}

/** What a loop phone may cost for a keyword of `n` phones. */
static float loop_cost(int n)
{
    float per = LOOP_WORD / (float)(n > 0 ? n : 1);

    return per > LOOP_LOGP ? LOOP_LOGP : per < LOOP_LEAST ? LOOP_LEAST : per;
}

/** A shortcut of one pronunciation from state 0 back to it. */
static enum pz_status add_shortcut(struct pz_ears_graph *g, const struct pz_pron *p, float enter, int tag,
                                   int *next)
{
    enum pz_status st = PZ_OK;
    int at = 0;

    for (int j = 0; j < p->n && st == PZ_OK; j++) {
        int to = j == p->n - 1 ? 0 : (*next)++;

        st = pz_ears_arc_add(
            g, (struct pz_ears_arc){
                   .from = at, .to = to, .phone = p->phones[j], .logp = j ? 0.0f : enter, .tag = tag});
        at = to;
    }
    return st;
}

/** Free phones with a shortcut for every pronunciation of every keyword; `n` 0: phones alone. The loop costs
 * what the shortest word needs; longer words pay the difference when they are entered. */
static enum pz_status build(const struct pz_keyword *const *k, int n, struct pz_ears_graph *g)
{
    enum pz_status st;
    float logp = LOOP_LOGP;
    int next = 1;

    for (int w = 0; w < n; w++)
        for (int i = 0; i < k[w]->n_prons; i++)
            logp = fminf(logp, loop_cost(k[w]->prons[i].n));
    PZ_TRY(pz_ears_phone_loop(g, 0, logp, 0));
    for (int w = 0; w < n; w++)
        for (int i = 0; i < k[w]->n_prons; i++) {
            const struct pz_pron *p = &k[w]->prons[i];
            float enter = ENTER_LOGP + (float)p->n * (logp - loop_cost(p->n));

            PZ_TRY(add_shortcut(g, p, enter, w + 1, &next));
        }
    PZ_TRY(pz_ears_arc_add(g, (struct pz_ears_arc){.from = 0, .to = next, .phone = -1}));
    return PZ_OK;
fail:
    return st;
}

/** Acoustic score of the free path over [start, end), steps prorated. */
static double score_between(const struct pz_ears_path *p, int64_t start, int64_t end)
{
    double sum = 0.0;

    for (int i = 0; i < p->n; i++) {
        const struct pz_ears_step *s = &p->steps[i];
        int64_t a = s->start > start ? s->start : start, b = s->end < end ? s->end : end;

        if (b > a)
            sum += s->score * (double)(b - a) / (double)(s->end - s->start);
    }
    return sum;
}

enum pz_status pz_spot_free(struct pz_ears *ears, const float *samples, int64_t n,
                            struct pz_ears_path *free_path)
{
    enum pz_status st = PZ_OK;
    struct pz_ears_graph g = {0};

    if (n < PZ_SPEECH_RATE / 5)
        return PZ_OK;
    PZ_TRY(build(NULL, 0, &g));
    PZ_TRY(pz_ears_search(ears, samples, n, &g, free_path));
fail:
    pz_ears_graph_free(&g);
    return st;
}

enum pz_status pz_spot_find(struct pz_ears *ears, const float *samples, int64_t n,
                            const struct pz_keyword *const *k, int n_keywords,
                            const struct pz_ears_path *free_path, struct pz_spot **spots, int *n_spots)
{
    enum pz_status st;
    struct pz_ears_graph with = {0};
    struct pz_ears_path path = {0};

    *spots = NULL;
    *n_spots = 0;
    if (n < PZ_SPEECH_RATE / 5 || n_keywords < 1)
        return PZ_OK;
    PZ_TRY(build(k, n_keywords, &with));
    PZ_TRY(pz_ears_search(ears, samples, n, &with, &path));
    *spots = pz_calloc((size_t)path.n + 1, sizeof **spots);
    if (!*spots) {
        st = PZ_ERR_NOMEM;
        goto fail;
    }
    for (int i = 0; i < path.n; i++) {
        double score = 0.0;
        int first = i;

        if (with.arcs[path.steps[i].arc].tag == 0 || with.arcs[path.steps[i].arc].from != 0)
            continue;
        for (; i < path.n; i++) {
            score += path.steps[i].score;
            if (with.arcs[path.steps[i].arc].to == 0)
                break;
        }
        if (i == path.n)
            break;
        {
            int64_t a = path.steps[first].start, b = path.steps[i].end;

            (*spots)[(*n_spots)++] = (struct pz_spot){
                .start = a,
                .end = b,
                .keyword = with.arcs[path.steps[i].arc].tag - 1,
                .margin = (float)((score - score_between(free_path, a, b)) * PZ_EARS_HOP / (double)(b - a))};
        }
    }
    st = PZ_OK;
fail:
    if (st < PZ_OK) {
        pz_free(*spots);
        *spots = NULL;
        *n_spots = 0;
    }
    pz_ears_path_free(&path);
    pz_ears_graph_free(&with);
    return st;
}
