// Which words of a film are the wanted ones. What the recogniser itself wrote counts as it is; a spotted
// keyword is believed when putting it in place of what was recognised there explains the sound nearly as well
// or better (pz_align_score of both), so that a misheard name is found and a look-alike is not.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "speech/hear_impl.h"

#define MAX_SPLIT PZ_HEAR_SPLIT
// A spot's cost is nats a frame lost against free phones plus those lost against the recogniser's own words,
// less what it sounds like them, and HEARD_WORTH times those that the network of sounds.h loses. Set on slt
// saying the tuning half's sentences: see docs/notes/speech.md.
#define LOSS_LIMIT 3.0
#define ALIKE 0.45
#define ALIKE_WORTH 1.2
#define HEARD_WORTH 2.0
#define HEARD_AROUND (PZ_SPEECH_RATE * 15 / 100) /* the network looks so far beyond the spot */
#define MISHEARD 0.62 /* likeness from which on what was recognised is the wanted thing misheard */
#define MISHEARD_LOSS 2.0
#define MISHEARD_PER 8.0
#define COST_BELIEVED 2.5 /* wherever it is */
#define COST_FIRST 4.2    /* when the words are nowhere else */
#define COST_HARDLY 0.5
#define COST_UNSEEN 0.9 /* more for a place that only the network found, */
#define NETWORK_SPOTS 2 /* of which there are so many a word and chunk */
#define NETWORK_LEAST (-1.2f)

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

static int64_t overlap(const struct draft *w, const struct pz_spot *s)
{
    int64_t a = w->start > s->start ? w->start : s->start, b = w->end < s->end ? w->end : s->end;

    return b > a ? b - a : 0;
}

/** Words [*first, *end) that a spot stands for: those it covers by half or more. */
static void covered(const struct drafts *d, const struct pz_spot *s, int *first, int *end)
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
static int keyword_drafts(const struct pz_wanted *w, int index, int occurrence, const struct pz_spot *s,
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
                                .spotted = true,
                                .confidence = 0.5f};
        snprintf(out[k].text, sizeof out[k].text, "%s", one ? w->words : split[k]);
        if (one)
            out[k].pron = w->keyword.prons[0];
    }
    return n;
}

void pz_hear_to_align(const struct draft *d, int n, struct pz_align_word *out)
{
    for (int i = 0; i < n; i++)
        out[i] = (struct pz_align_word){.text = d[i].text, .pron = d[i].pron};
}

/** How much better (nats a frame of the spot) the sound around words [first, end) fits with the keyword in
 * their place. */
static enum pz_status swap_gain(struct pz_ears *ears, const float *samples, int64_t n, const struct drafts *d,
                                int first, int end, const struct draft *key, int n_key,
                                const struct pz_spot *s, double *gain)
{
    enum pz_status st;
    struct pz_align_word with[MAX_SPLIT + 4], without[64];
    int a = first > 0 ? first - 1 : 0, b = end < d->n ? end + 1 : d->n, n_with = 0;
    int64_t from = first > 0 ? d->items[a].start : s->start - PZ_SPEECH_RATE / 5;
    int64_t to = end < d->n ? d->items[b - 1].end : s->end + PZ_SPEECH_RATE / 5;
    double old, new;

    *gain = -1e30;
    if (b - a > 64)
        return PZ_OK;
    from = from > s->start ? s->start : from;
    to = to < s->end ? s->end : to;
    from = from < 0 ? 0 : from;
    to = to > n ? n : to;
    pz_hear_to_align(d->items + a, b - a, without);
    if (first > a)
        with[n_with++] = without[0];
    pz_hear_to_align(key, n_key, with + n_with);
    n_with += n_key;
    if (b > end)
        with[n_with++] = without[b - a - 1];
    PZ_TRY(pz_align_score(ears, samples + from, to - from, without, b - a, &old));
    PZ_TRY(pz_align_score(ears, samples + from, to - from, with, n_with, &new));
    *gain = (new - old) * PZ_EARS_HOP / (double)(s->end - s->start);
    return PZ_OK;
fail:
    return st;
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

/** Phonetic likeness of words [first, end) to a keyword. */
static float alike(const struct pz_lexicon *lex, const struct drafts *d, int first, int end,
                   const struct pz_keyword *k)
{
    uint8_t heard[4 * PZ_PRON_MAX];
    float best = 0.0f;
    int n = 0;

    for (int i = first; i < end; i++) {
        struct pz_pron p;

        if (pz_lexicon_pronounce(lex, d->items[i].text, &p, 1) < 1 || n + p.n > (int)sizeof heard)
            continue;
        memcpy(heard + n, p.phones, (size_t)p.n);
        n += p.n;
    }
    for (int i = 0; i < k->n_prons; i++) {
        float v = pz_phones_likeness(k->prons[i].phones, k->prons[i].n, heard, n);

        best = v > best ? v : best;
    }
    return best;
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

/** Is the place already a wanted thing's? */
static bool is_taken(const struct drafts *d, const struct pz_spot *s)
{
    for (int k = 0; k < d->n; k++)
        if (d->items[k].wanted >= 0 && overlap(&d->items[k], s) > 0)
            return true;
    return false;
}

/** Weigh one spot; `unseen`: the aligner's own spotter did not offer it. */
static enum pz_status weigh(struct pz_ears *ears, const float *samples, const struct pz_sounds *sounds,
                            struct pz_chunk *c, const struct pz_wanted *w, const struct pz_spot *s,
                            bool unseen)
{
    struct candidate k = {.spot = *s, .wanted = s->keyword};
    struct draft key[MAX_SPLIT];
    double gain, loss, heard;
    int first, end, n_key;
    enum pz_status st;
    float margin;

    if ((!unseen && s->margin < -LOSS_LIMIT) || is_taken(&c->d, s))
        return PZ_OK;
    PZ_TRY(pz_sounds_fit(sounds, &w->keyword, s->start - HEARD_AROUND, s->end + HEARD_AROUND, &margin));
    heard = -fmin((double)margin, 0.0) * HEARD_WORTH;
    covered(&c->d, s, &first, &end);
    k.like = alike(pz_ears_lexicon(ears), &c->d, first, end, &w->keyword);
    loss = unseen ? COST_UNSEEN : -fmin(s->margin, 0.0);
    // Against the recogniser's words it can only lose: what is too dear already is not tried.
    if (k.like < MISHEARD && heard + loss - ALIKE_WORTH * fmax(0.0, k.like - ALIKE) > COST_FIRST)
        return PZ_OK;
    n_key = keyword_drafts(w, s->keyword, 0, s, key);
    PZ_TRY(swap_gain(ears, samples, c->n, &c->d, first, end, key, n_key, s, &gain));
    loss -= fmin(gain, 0.0);
    k.cost = (float)(heard + loss - ALIKE_WORTH * fmax(0.0, k.like - ALIKE));
    if (k.like >= MISHEARD && !unseen &&
        loss <= fmin(LOSS_LIMIT, MISHEARD_LOSS + MISHEARD_PER * (k.like - MISHEARD)))
        k.cost = fminf(k.cost, 0.0f); // the recogniser heard it, under another name
    pz_debug(
        pz_ears_log(ears),
        "wanted word %d at %.2f-%.2f s%s: margin %.2f, against what was heard %.2f, likeness %.2f, network "
        "%.2f: cost %.2f, %.0f dB over noise",
        s->keyword, (double)(c->at + s->start) / PZ_SPEECH_RATE, (double)(c->at + s->end) / PZ_SPEECH_RATE,
        unseen ? " (network alone)" : "", s->margin, gain, k.like, margin, k.cost, c->snr_db);
    st = candidate_add(c, &k);
fail:
    return st;
}

/** Whether one of `n` spots of the same keyword lies there too. */
static bool is_among(const struct pz_spot *spots, int n, const struct pz_spot *s)
{
    for (int i = 0; i < n; i++)
        if (spots[i].keyword == s->keyword && spots[i].start < s->end && s->start < spots[i].end)
            return true;
    return false;
}

enum pz_status pz_hear_weigh(struct pz_ears *ears, const float *samples, const struct pz_sounds *sounds,
                             struct pz_chunk *c, const struct pz_wanted *wanted, int n_wanted,
                             const struct spots *all)
{
    const struct pz_keyword *k[PZ_WANTED_MAX];
    struct pz_spot *more = NULL;
    enum pz_status st;
    int n_more = 0;

    for (int i = 0; i < n_wanted; i++)
        k[i] = &wanted[i].keyword;
    PZ_TRY(pz_sounds_find(sounds, k, n_wanted, NETWORK_SPOTS, NETWORK_LEAST, &more, &n_more));
    for (int i = 0; i < all->n; i++)
        PZ_TRY(weigh(ears, samples, sounds, c, &wanted[all->items[i].keyword], &all->items[i], false));
    for (int i = 0; i < n_more; i++)
        if (!is_among(all->items, all->n, &more[i]))
            PZ_TRY(weigh(ears, samples, sounds, c, &wanted[more[i].keyword], &more[i], true));
fail:
    pz_free(more);
    return st;
}

/** Put the wanted thing where a candidate says. */
static enum pz_status accept(struct pz_chunk *c, struct candidate *k, const struct pz_wanted *w)
{
    struct draft key[MAX_SPLIT];
    int first, end, n_key;
    enum pz_status st;

    k->taken = true;
    covered(&c->d, &k->spot, &first, &end);
    n_key = keyword_drafts(w, k->wanted, c->d.occurrences, &k->spot, key);
    for (int i = 0; i < n_key; i++)
        key[i].confidence =
            (float)(0.4 + 0.6 * fmax(0.0, fmin(1.0, fmax(k->like, 1.0 - k->cost / (2.0 * COST_FIRST)))));
    st = splice(&c->d, first, end, key, n_key);
    c->d.occurrences++;
    return st;
}

/** Whether another wanted thing is likelier at the candidate's place. */
static bool is_beaten(const struct pz_chunk *c, const struct candidate *q)
{
    for (int i = 0; i < c->n_candidates; i++) {
        const struct candidate *r = &c->candidates[i];

        if (r->wanted != q->wanted && r->cost < q->cost && r->spot.start < q->spot.end &&
            q->spot.start < r->spot.end)
            return true;
    }
    return false;
}

/** Candidates of wanted thing `index` that cost at most `most`; `*least` receives the lowest cost accepted.
 */
static enum pz_status accept_all(struct pz_chunks *all, const struct pz_wanted *w, int index, double most,
                                 double *least)
{
    for (int i = 0; i < all->n; i++) {
        struct pz_chunk *c = &all->items[i];

        for (int k = 0; k < c->n_candidates; k++) {
            struct candidate *q = &c->candidates[k];
            enum pz_status st;

            if (q->wanted != index || q->taken || q->cost > most || is_taken(&c->d, &q->spot))
                continue;
            *least = fmin(*least, q->cost);
            st = accept(c, q, w);
            if (st < PZ_OK)
                return st;
        }
    }
    return PZ_OK;
}

/** The surest candidate that is left, 1e30 when there is none. */
static double surest(const struct pz_chunks *all, int index)
{
    double best = 1e30;

    for (int i = 0; i < all->n; i++)
        for (int k = 0; k < all->items[i].n_candidates; k++) {
            const struct candidate *q = &all->items[i].candidates[k];

            if (q->wanted == index && !q->taken && !is_taken(&all->items[i].d, &q->spot) &&
                !is_beaten(&all->items[i], q))
                best = fmin(best, q->cost);
        }
    return best;
}

enum pz_status pz_hear_decide(struct pz_chunks *all, const struct pz_wanted *wanted, int n_wanted)
{
    enum pz_status st;

    for (int w = 0; w < n_wanted; w++) {
        bool heard = false;
        double least = 1e30;

        for (int i = 0; i < all->n && !heard; i++)
            for (int k = 0; k < all->items[i].d.n && !heard; k++)
                heard = all->items[i].d.items[k].wanted == w;
        PZ_TRY(accept_all(all, &wanted[w], w, COST_BELIEVED, &least));
        // The user says the words are spoken: when nothing else was found, the best place is it, and others
        // that are hardly worse are too.
        if (!heard && least > 1e29)
            least = surest(all, w);
        if (!heard && least < 1e29)
            PZ_TRY(accept_all(all, &wanted[w], w, fmin(COST_FIRST, least + COST_HARDLY), &least));
    }
    st = PZ_OK;
fail:
    return st;
}
