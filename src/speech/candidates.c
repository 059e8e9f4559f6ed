// Which words of a film are the wanted ones. What the recogniser itself wrote counts, in noise if it sounds
// like it. Elsewhere a place is believed by its odds: how well the words' phones fit there, by the
// recogniser's model and by our own network, and how well they fit by chance.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "speech/hear_impl.h"

#define MAX_SPLIT PZ_HEAR_SPLIT

// Odds are natural logarithms. Their weights were fitted to slt at two sizes saying 24 scripts with four near
// words each that nobody says (clean, noise and white noise at 15 dB) and to real recordings of people the
// network never heard, clean and at 15 dB (docs/notes/speech.md).
#define ODDS_BASE (-4.138)
#define ODDS_QUIET (-0.221) /* in a quiet room what is said fits better */
#define ODDS_PHONES 0.949
#define ODDS_EVEN 0.439
#define ODDS_EVEN_PHONES 0.044
#define ODDS_NETWORK 1.013
#define ODDS_WORST_HEARD (-0.150)
#define ODDS_WORST_HEARD_PHONES 0.131
#define ODDS_BEST_HEARD 0.378
#define ODDS_LENGTH 0.215
#define LENGTH_MOST 14.0 /* frames a phone: pauses count no further */
#define ODDS_USUAL_FIT (-0.498)
#define ODDS_USUAL_NETWORK (-0.314)
#define ODDS_AGAINST_RIVAL 0.914

#define ODDS_BELIEVED (-1.0) /* wherever it is; more in films longer than */
#define USUAL_SECONDS 12.0
#define ODDS_FIRST 1.0      /* when the words are nowhere else: the user says that they are spoken */
#define ODDS_POOR (-6.0)    /* not worth a second look */
#define ODDS_WRITTEN (-1.0) /* for what the recogniser wrote itself, below QUIET_DB */
// When it is known how the speaker says it: odds of another place, from its own and from how far apart they
// are.
#define AGAIN_BASE 7.2
#define AGAIN_ODDS 0.94
#define AGAIN_APART (-9.96)
#define MAY_OVERLAP 0.25 /* of the shorter: places are not exact */

/** Mark every place where the recogniser itself heard the wanted words. */
void pz_hear_mark(struct drafts *d, const struct pz_wanted *w, int index)
{
    for (int i = 0; i < d->n; i++) {
        const char *texts[MAX_SPLIT];
        int n = 0;

        while (n < MAX_SPLIT && i + n < d->n && d->items[i + n].wanted < 0) {
            texts[n] = d->items[i + n].text;
            n++;
        }
        n = pz_words_same(texts, n, w->words);
        if (n == 0)
            continue;
        for (int k = 0; k < n; k++) {
            d->items[i + k].wanted = index;
            d->items[i + k].occurrence = d->occurrences;
            // Free recognition among 135 000 words came to just this one: that is worth more than its own
            // posterior says.
            d->items[i + k].confidence = 0.7f + 0.3f * d->items[i + k].confidence;
            if (w->say && w->say[0] && n == 1)
                d->items[i + k].pron = w->keyword.prons[0];
        }
        d->occurrences++;
        i += n - 1;
    }
}

static int64_t overlap(const struct draft *w, const struct pz_place *s)
{
    int64_t a = w->start > s->start ? w->start : s->start, b = w->end < s->end ? w->end : s->end;

    return b > a ? b - a : 0;
}

/** Words [*first, *end) that a spot stands for: those it covers by half or more. */
static void covered(const struct drafts *d, const struct pz_place *s, int *first, int *end)
{
    int i = 0;

    while (i < d->n && d->items[i].end <= s->start)
        i++;
    while (i < d->n && d->items[i].start < s->end &&
           2 * overlap(&d->items[i], s) < d->items[i].end - d->items[i].start)
        i++;
    *first = *end = i;
    while (*end < d->n && 2 * overlap(&d->items[*end], s) >= d->items[*end].end - d->items[*end].start)
        (*end)++;
}

/** Drafts that stand for one spotted keyword. Returns how many (1 when a pronunciation was given). */
static int keyword_drafts(const struct pz_wanted *w, int index, int occurrence, const struct pz_place *s,
                          struct draft out[MAX_SPLIT])
{
    char split[MAX_SPLIT][64];
    int n = pz_split_words(w->words, split, MAX_SPLIT);
    bool one = (w->say && w->say[0]) || n < 1;

    if (one)
        n = 1;
    for (int k = 0; k < n; k++) {
        out[k] = (struct draft){.start = s->start + (s->end - s->start) * k / n,
                                .end = s->start + (s->end - s->start) * (k + 1) / n,
                                .wanted = index,
                                .occurrence = occurrence,
                                .expected = -1,
                                .spotted = true,
                                .confidence = 0.5f};
        snprintf(out[k].text, sizeof out[k].text, "%s", one ? w->words : split[k]);
        if (one)
            out[k].pron = w->keyword.prons[0];
    }
    return n;
}

void pz_hear_expected(const struct pz_wanted *w, int index, const struct pz_word *heard, struct drafts *d)
{
    const struct pz_place at = {.start = heard->start, .end = heard->end};
    int n = keyword_drafts(w, -1, -1, &at, d->items + d->n);

    for (int i = 0; i < n; i++, d->n++) {
        struct draft *k = &d->items[d->n];

        k->spotted = false;
        k->expected = index;
        k->confidence = heard->confidence;
    }
}

void pz_hear_to_align(const struct draft *d, int n, struct pz_align_word *out)
{
    for (int i = 0; i < n; i++)
        out[i] = (struct pz_align_word){.text = d[i].text, .pron = d[i].pron};
}

/** Replace drafts [first, end) by n new ones. */
static enum pz_status splice(struct drafts *d, int first, int end, const struct draft *with, int n)
{
    struct draft *items = pz_calloc((size_t)(d->n - (end - first) + n) + 1, sizeof *items);

    if (!items)
        return PZ_ERR_NOMEM;
    memcpy(items, d->items, (size_t)first * sizeof *items);
    memcpy(items + first, with, (size_t)n * sizeof *items);
    memcpy(items + first + n, d->items + end, (size_t)(d->n - end) * sizeof *items);
    pz_free(d->items);
    d->items = items;
    d->n += n - (end - first);
    return PZ_OK;
}

static enum pz_status candidate_add(struct pz_chunk *c, const struct candidate *k)
{
    if (c->n_candidates == c->cap) {
        int want = c->cap ? c->cap * 2 : 8;
        void *p = c->candidates
                      ? pz_regrow(c->candidates, (size_t)c->cap, (size_t)want, sizeof *c->candidates)
                      : pz_calloc((size_t)want, sizeof *c->candidates);

        if (!p)
            return PZ_ERR_NOMEM;
        c->candidates = p;
        c->cap = want;
    }
    c->candidates[c->n_candidates++] = *k;
    return PZ_OK;
}

/** Whether a word and a place lie on each other, but for their edges. */
static bool meet(const struct draft *w, const struct pz_place *s)
{
    int64_t word = w->end - w->start, place = s->end - s->start;

    return (double)overlap(w, s) > MAY_OVERLAP * (double)(word < place ? word : place);
}

/** Is the place already a wanted thing's? */
static bool is_taken(const struct drafts *d, const struct pz_place *s)
{
    for (int k = 0; k < d->n; k++)
        if (d->items[k].wanted >= 0 && meet(&d->items[k], s))
            return true;
    return false;
}

/** Logarithm of the odds that a place is one. */
static double odds_of(const struct pz_place *p, double snr_db)
{
    const double n = p->phones, length = (double)(p->end - p->start) / PZ_EARS_HOP / n;

    return ODDS_BASE + (snr_db >= QUIET_DB ? ODDS_QUIET : 0.0) + ODDS_PHONES * n +
           (ODDS_EVEN + ODDS_EVEN_PHONES * n) * (double)p->even + ODDS_NETWORK * (double)p->network +
           (ODDS_WORST_HEARD + ODDS_WORST_HEARD_PHONES * n) * (double)p->worst_heard +
           ODDS_BEST_HEARD * (double)p->best_heard + ODDS_LENGTH * fmin(length, LENGTH_MOST) +
           ODDS_USUAL_FIT * (double)p->usual_fit + ODDS_USUAL_NETWORK * (double)p->usual_network +
           ODDS_AGAINST_RIVAL * fmin((double)(p->even - p->rival), 0.0);
}

/** In noise the recogniser hears words that nobody said: those that do not sound like it are no occurrence.
 */
static void doubt(struct pz_log *log, struct pz_chunk *c)
{
    for (int first = 0, end; first < c->d.n; first = end) {
        const struct draft *w = &c->d.items[first];
        double odds = -1e30;

        end = first + 1;
        if (w->wanted < 0)
            continue;
        while (end < c->d.n && c->d.items[end].occurrence == w->occurrence)
            end++;
        for (int k = 0; k < c->n_candidates; k++)
            for (int i = first; i < end; i++)
                if (c->candidates[k].place.keyword == w->wanted &&
                    meet(&c->d.items[i], &c->candidates[k].place))
                    odds = fmax(odds, (double)c->candidates[k].odds);
        pz_debug(log, "wanted word %d was written for %.2f-%.2f s: odds %.2f", w->wanted,
                 (double)(c->at + w->start) / PZ_SPEECH_RATE,
                 (double)(c->at + c->d.items[end - 1].end) / PZ_SPEECH_RATE, odds);
        for (int i = first; i < end && odds < ODDS_WRITTEN && c->snr_db < QUIET_DB; i++)
            c->d.items[i].wanted = c->d.items[i].occurrence = -1;
    }
}

/** What the recogniser's own words lose at places. */
static enum pz_status add_rivals(struct pz_ears *ears, const float *samples, const struct pz_chunk *c,
                                 const struct pz_wanted *wanted, struct pz_place *places, int n_places)
{
    struct pz_written *w = pz_calloc((size_t)c->d.n + 1, sizeof *w);
    struct pz_acoustic *acoustic;
    enum pz_status st;
    int n = 0;

    if (!w)
        return PZ_ERR_NOMEM;
    for (int i = 0; i < c->d.n; i++) {
        const struct draft *d = &c->d.items[i];

        w[n] = (struct pz_written){.start = d->start, .end = d->end};
        for (; d->expected >= 0 && i + 1 < c->d.n && d[1].expected == d->expected; i++, d++)
            w[n].end = d[1].end;
        if (d->expected >= 0)
            w[n].keyword = wanted[d->expected].keyword;
        else
            w[n].keyword.n_prons =
                pz_lexicon_pronounce(pz_ears_lexicon(ears), d->text, w[n].keyword.prons, PZ_SPOT_PRONS);
        n += w[n].keyword.n_prons > 0;
    }
    PZ_TRY(pz_ears_acoustic(ears, &acoustic));
    PZ_TRY(pz_places_rival(acoustic, c->warp, samples, c->n, w, n, places, n_places));
fail:
    pz_free(w);
    return st;
}

/** Keep what the sound looks like where the odds are not poor. */
static enum pz_status keep_looks(struct pz_ears *ears, const float *samples, struct pz_chunk *c)
{
    struct pz_acoustic *acoustic;
    float *looks = NULL;
    int64_t frames;
    enum pz_status st;

    PZ_TRY(pz_ears_acoustic(ears, &acoustic));
    PZ_TRY(pz_acoustic_look(acoustic, samples, c->n, &looks, &frames));
    for (int k = 0; k < c->n_candidates; k++) {
        struct candidate *q = &c->candidates[k];
        int64_t first = q->place.start / PZ_EARS_HOP, end = q->place.end / PZ_EARS_HOP;

        end = end < frames ? end : frames;
        if ((double)q->odds < ODDS_POOR || end <= first)
            continue;
        st = PZ_ERR_NOMEM;
        q->look = pz_calloc((size_t)(end - first) * PZ_LOOK, sizeof *q->look);
        if (!q->look)
            goto fail;
        q->look_frames = (int)(end - first);
        memcpy(q->look, looks + first * PZ_LOOK, (size_t)q->look_frames * PZ_LOOK * sizeof *looks);
    }
    st = PZ_OK;
fail:
    pz_free(looks);
    return st;
}

enum pz_status pz_hear_weigh(struct pz_ears *ears, const float *samples, struct pz_chunk *c,
                             const struct pz_wanted *wanted, struct pz_place *places, int n_places)
{
    enum pz_status st;

    if (n_places == 0)
        return PZ_OK;
    PZ_TRY(add_rivals(ears, samples, c, wanted, places, n_places));
    for (int i = 0; i < n_places; i++) {
        const struct pz_place *p = &places[i];
        const struct candidate k = {.place = *p, .odds = (float)odds_of(p, c->snr_db)};

        PZ_TRY(candidate_add(c, &k));
        pz_debug(pz_ears_log(ears),
                 "wanted word %d may be at %.2f-%.2f s: fit %.2f, rival %.2f, network %.2f, worst %.2f, %d "
                 "phones: odds %.2f, %.0f dB "
                 "over noise",
                 p->keyword, (double)(c->at + p->start) / PZ_SPEECH_RATE,
                 (double)(c->at + p->end) / PZ_SPEECH_RATE, (double)p->even, (double)p->rival,
                 (double)p->network, (double)p->worst_heard, p->phones, (double)k.odds, c->snr_db);
    }
    if (!pz_ears_uses_whisper(ears))
        doubt(pz_ears_log(ears), c);
    PZ_TRY(keep_looks(ears, samples, c));
fail:
    return st;
}

/** Put the wanted thing where a candidate says. */
static enum pz_status accept(struct pz_chunk *c, const struct candidate *k, const struct pz_wanted *w)
{
    struct draft key[MAX_SPLIT];
    int first, end, n_key;
    enum pz_status st;

    covered(&c->d, &k->place, &first, &end);
    n_key = keyword_drafts(w, k->place.keyword, c->d.occurrences, &k->place, key);
    for (int i = 0; i < n_key; i++)
        key[i].confidence = (float)(0.4 + 0.6 / (1.0 + exp(-0.5 * ((double)k->odds - ODDS_FIRST))));
    st = splice(&c->d, first, end, key, n_key);
    c->d.occurrences++;
    return st;
}

/** A candidate and the chunk it is in. */
struct offer {
    struct pz_chunk *chunk;
    const struct candidate *candidate;
};

static int by_odds(const void *a, const void *b)
{
    const struct offer *p = a, *q = b;
    float d = q->candidate->odds - p->candidate->odds;

    return d > 0.0f ? 1 : d < 0.0f ? -1 : p->candidate->place.start < q->candidate->place.start ? -1 : 1;
}

/** Is the candidate's place one where the recogniser wrote the same words? */
static bool is_written(const struct pz_chunk *c, const struct candidate *k)
{
    for (int i = 0; i < c->d.n; i++)
        if (c->d.items[i].wanted == k->place.keyword && meet(&c->d.items[i], &k->place))
            return true;
    return false;
}

/** Whether a candidate is believed; `heard`: its words have a place already, `surest`: which, NULL when it is
 * not known how that sounds; `more`: what further places need in so much sound. */
static enum pz_status is_believed(const struct candidate *k, bool heard, const struct candidate *surest,
                                  double more, bool *yes)
{
    float apart;
    enum pz_status st;

    *yes = (double)k->odds >= (heard ? ODDS_BELIEVED + more : ODDS_FIRST);
    if (!heard || !surest || !surest->look || !k->look)
        return PZ_OK;
    // The speaker has said it once: said again it looks alike.
    st = pz_places_apart(surest->look, surest->look_frames, k->look, k->look_frames, &apart);
    *yes = AGAIN_BASE + AGAIN_ODDS * (double)k->odds + AGAIN_APART * (double)apart >= more;
    return st;
}

enum pz_status pz_hear_decide(struct pz_chunks *all, const struct pz_wanted *wanted, int n_wanted)
{
    const struct candidate *surest[PZ_WANTED_MAX] = {NULL};
    bool heard[PZ_WANTED_MAX] = {false}, yes;
    struct offer *offers;
    enum pz_status st = PZ_OK;
    double seconds = 0.0, more;
    int n = 0;

    for (int i = 0; i < all->n; i++) {
        n += all->items[i].n_candidates;
        seconds += (double)all->items[i].n / PZ_SPEECH_RATE;
        for (int k = 0; k < all->items[i].d.n; k++)
            if (all->items[i].d.items[k].wanted >= 0 && all->items[i].d.items[k].wanted < n_wanted)
                heard[all->items[i].d.items[k].wanted] = true;
    }
    offers = pz_calloc((size_t)n + 1, sizeof *offers);
    if (!offers)
        return PZ_ERR_NOMEM;
    n = 0;
    for (int i = 0; i < all->n; i++)
        for (int k = 0; k < all->items[i].n_candidates; k++)
            offers[n++] = (struct offer){&all->items[i], &all->items[i].candidates[k]};
    qsort(offers, (size_t)n, sizeof *offers, by_odds);
    for (int i = n - 1; i >= 0; i--) // what was written looks like this
        if (is_written(offers[i].chunk, offers[i].candidate))
            surest[offers[i].candidate->place.keyword] = offers[i].candidate;
    // Odds were fitted to short films; where there is more sound, there is more that may be taken for a word.
    more = log(fmax(seconds / USUAL_SECONDS, 1.0));
    // The surest first: what two words claim is the surer one's, and a word that is nowhere else gets the
    // place that is left to it.
    for (int i = 0; i < n; i++) {
        const struct candidate *k = offers[i].candidate;
        const int w = k->place.keyword;

        if (is_taken(&offers[i].chunk->d, &k->place))
            continue;
        PZ_TRY(is_believed(k, heard[w], surest[w], more, &yes));
        if (!yes)
            continue;
        PZ_TRY(accept(offers[i].chunk, k, &wanted[w]));
        heard[w] = true;
        surest[w] = surest[w] ? surest[w] : k;
    }
fail:
    pz_free(offers);
    return st;
}
