// One chunk of a film, heard: free recognition, then the wanted words are looked for (first by text, then by
// sound), then everything is aligned. A spotted keyword is believed when putting it in place of what was
// recognised there explains the sound nearly as well or better (pz_align_score of both), so that a misheard
// name is found and a look-alike is not.
#include "speech/hear.h"

#include <ctype.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audio/track.h"
#include "base/mem.h"

#define MAX_SPLIT 24
// A spot's cost is nats a frame lost against free phones plus those lost against the recogniser's own words,
// less what it sounds like them. Set on the tuning voices of the speech bench: true ones cost −0.2…0.3 in a
// quiet room and 1.0…1.9 at 15 dB, others 0.5 and more, and 1.6 and more.
#define LOSS_LIMIT 3.0
#define ALIKE 0.45
#define ALIKE_WORTH 1.2
#define MISHEARD 0.62 /* likeness from which on what was recognised is the wanted thing misheard */
#define MISHEARD_LOSS 2.0
#define MISHEARD_PER 8.0
#define COST_CLEAN 0.42 /* believed wherever it is */
#define COST_NOISY 1.35
#define COST_CLEAN_FIRST 1.1 /* believed when the words are nowhere else */
#define COST_NOISY_FIRST 2.1
#define COST_HARDLY 0.25
#define SNR_CLEAN_DB 28.0
#define SNR_NOISY_DB 15.0

void pz_heard_free(struct pz_heard *h)
{
    pz_words_free(&h->words);
    pz_words_free(&h->raw);
    pz_phone_line_free(&h->phones);
    pz_free(h->found);
    *h = (struct pz_heard){0};
}

enum pz_status pz_found_add(struct pz_heard *h, struct pz_found f)
{
    if (h->n_found == h->cap_found) {
        int want = h->cap_found ? h->cap_found * 2 : 16;
        void *p = h->found ? pz_regrow(h->found, (size_t)h->n_found, (size_t)want, sizeof *h->found)
                           : pz_calloc((size_t)want, sizeof *h->found);

        if (!p)
            return PZ_ERR_NOMEM;
        h->found = p;
        h->cap_found = want;
    }
    h->found[h->n_found++] = f;
    return PZ_OK;
}

static bool plain(char c)
{
    return isalnum((unsigned char)c) || (unsigned char)c >= 0x80;
}

bool pz_word_equal(const char *a, const char *b)
{
    for (;;) {
        while (*a && !plain(*a))
            a++;
        while (*b && !plain(*b))
            b++;
        if (!*a || !*b)
            return !*a && !*b;
        if (tolower((unsigned char)*a++) != tolower((unsigned char)*b++))
            return false;
    }
}

int pz_split_words(const char *text, char (*out)[64], int max)
{
    int n = 0;

    while (*text && n < max) {
        size_t k = 0, keep = 0;

        while (*text && !isspace((unsigned char)*text)) {
            if (k + 1 < 64 && (plain(*text) || k)) {
                out[n][k++] = *text;
                if (plain(*text))
                    keep = k;
            }
            text++;
        }
        out[n][keep] = 0;
        n += keep > 0;
        while (isspace((unsigned char)*text))
            text++;
    }
    return n;
}

enum pz_status pz_chunk_read(const struct pz_tap *sound, int64_t total, int64_t at, float *buf, int64_t *n)
{
    enum { HOP = 160, WIN = 25, FRAMES = PZ_CHUNK_MAX / HOP, LEAST = FRAMES / 3 };
    enum pz_status st;
    float *rms;
    double best = 1e30;
    int cut = FRAMES;

    *n = total - at < PZ_CHUNK_MAX ? total - at : PZ_CHUNK_MAX;
    st = pz_tap_read_speech(sound, at, buf, *n);
    if (st < PZ_OK || *n < PZ_CHUNK_MAX)
        return st;
    rms = pz_calloc(FRAMES, sizeof *rms);
    if (!rms)
        return PZ_ERR_NOMEM;
    pz_rms_track(buf, *n, 2 * HOP, HOP, rms, FRAMES);
    for (int t = LEAST; t < FRAMES - WIN / 2; t++) {
        double level = 0.0;

        for (int k = -WIN / 2; k <= WIN / 2; k++)
            level += rms[t + k];
        if (level <= best) {
            best = level;
            cut = t;
        }
    }
    pz_free(rms);
    *n = (int64_t)cut * HOP;
    return PZ_OK;
}

/** A word on its way to the aligner. */
struct draft {
    char text[64];
    struct pz_pron pron;
    int64_t start, end;
    int wanted, occurrence; /* −1 = plain */
    bool spotted;           /* found by sound: its edges were found between free phones */
    float confidence;
};

struct drafts {
    struct draft *items;
    int n, occurrences;
};

/** Mark every place where the recogniser itself heard the wanted words. */
static void mark_heard(struct drafts *d, const struct pz_wanted *w, int index)
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

static void to_align(const struct draft *d, int n, struct pz_align_word *out)
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
    to_align(d->items + a, b - a, without);
    if (first > a)
        with[n_with++] = without[0];
    to_align(key, n_key, with + n_with);
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

/** A spot that may be the wanted thing. */
struct candidate {
    struct pz_spot spot;
    int wanted;
    float like, cost; /* lower is surer */
    bool taken;
};

struct pz_chunk {
    int64_t at, n;
    double snr_db;
    struct drafts d;
    struct candidate *candidates;
    int n_candidates, cap;
};

void pz_chunks_free(struct pz_chunks *c)
{
    for (int i = 0; i < c->n; i++) {
        pz_free(c->items[i].d.items);
        pz_free(c->items[i].candidates);
    }
    pz_free(c->items);
    *c = (struct pz_chunks){0};
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

/** How dear a spot may be in a chunk: noise makes all of them dearer. */
static double allowed(const struct pz_chunk *c, double clean, double noisy)
{
    double u = (SNR_CLEAN_DB - c->snr_db) / (SNR_CLEAN_DB - SNR_NOISY_DB);

    return clean + (noisy - clean) * fmax(0.0, fmin(1.0, u));
}

/** Spots of all wanted things in a chunk. */
struct spots {
    struct pz_spot *items;
    int n;
};

/** Weigh spots against what was recognised there. */
static enum pz_status weigh(struct pz_ears *ears, const float *samples, struct pz_chunk *c,
                            const struct pz_wanted *wanted, const struct spots *all)
{
    enum pz_status st;

    for (int i = 0; i < all->n; i++) {
        const struct pz_spot *spots = all->items;
        int index = spots[i].keyword;
        const struct pz_wanted *w = &wanted[index];
        struct candidate k = {.spot = spots[i], .wanted = index};
        struct draft key[MAX_SPLIT];
        int first, end, n_key;
        double gain, loss;

        if (spots[i].margin < -LOSS_LIMIT || is_taken(&c->d, &spots[i]))
            continue;
        covered(&c->d, &spots[i], &first, &end);
        k.like = alike(pz_ears_lexicon(ears), &c->d, first, end, &w->keyword);
        // Against the recogniser's words it can only lose: what is too dear already is not tried.
        if (k.like < MISHEARD && -fmin(spots[i].margin, 0.0) - ALIKE_WORTH * fmax(0.0, k.like - ALIKE) >
                                     allowed(c, COST_CLEAN_FIRST, COST_NOISY_FIRST))
            continue;
        n_key = keyword_drafts(w, index, 0, &spots[i], key);
        PZ_TRY(swap_gain(ears, samples, c->n, &c->d, first, end, key, n_key, &spots[i], &gain));
        loss = -fmin(gain, 0.0) - fmin(spots[i].margin, 0.0);
        k.cost = (float)(loss - ALIKE_WORTH * fmax(0.0, k.like - ALIKE));
        if (k.like >= MISHEARD &&
            loss <= fmin(LOSS_LIMIT, MISHEARD_LOSS + MISHEARD_PER * (k.like - MISHEARD)))
            k.cost = fminf(k.cost, 0.0f); // the recogniser heard it, under another name
        pz_debug(pz_ears_log(ears),
                 "wanted word %d at %.2f-%.2f s: margin %.2f, against what was heard %.2f, likeness %.2f: "
                 "cost %.2f, %.0f dB over noise",
                 index, (double)(c->at + spots[i].start) / PZ_SPEECH_RATE,
                 (double)(c->at + spots[i].end) / PZ_SPEECH_RATE, spots[i].margin, gain, k.like, k.cost,
                 c->snr_db);
        PZ_TRY(candidate_add(c, &k));
    }
    st = PZ_OK;
fail:
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
            (float)(0.4 + 0.6 * fmax(0.0, fmin(1.0, fmax(k->like, 1.0 - k->cost / LOSS_LIMIT))));
    st = splice(&c->d, first, end, key, n_key);
    c->d.occurrences++;
    return st;
}

/** Candidates of wanted thing `index` that cost at most `most`, or `clean`…`noisy` by their chunk's noise
 * when `most` < 0; `*least` receives the lowest cost accepted. */
static enum pz_status accept_all(struct pz_chunks *all, const struct pz_wanted *w, int index, double clean,
                                 double noisy, double most, double *least)
{
    for (int i = 0; i < all->n; i++) {
        struct pz_chunk *c = &all->items[i];

        for (int k = 0; k < c->n_candidates; k++) {
            struct candidate *q = &c->candidates[k];
            double limit = allowed(c, clean, noisy);
            enum pz_status st;

            if (q->wanted != index || q->taken || q->cost > (most < limit ? most : limit) ||
                is_taken(&c->d, &q->spot))
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

            if (q->wanted == index && !q->taken && !is_taken(&all->items[i].d, &q->spot))
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
        PZ_TRY(accept_all(all, &wanted[w], w, COST_CLEAN, COST_NOISY, 1e30, &least));
        // The user says the words are spoken: when nothing else was found, the best place is it, and others
        // that are hardly worse are too.
        if (!heard && least > 1e29)
            least = surest(all, w);
        if (!heard && least < 1e29)
            PZ_TRY(accept_all(all, &wanted[w], w, COST_CLEAN_FIRST, COST_NOISY_FIRST, least + COST_HARDLY,
                              &least));
    }
    st = PZ_OK;
fail:
    return st;
}

/** Put an edge of an aligned phone to `to`, its neighbour on that side with it; phones in between lose their
 * time. */
static void move_start(struct pz_phone_line *l, int first, int phone, int64_t to)
{
    l->items[phone].start = to < l->items[phone].end ? to : l->items[phone].end - PZ_EARS_HOP;
    to = l->items[phone].start;
    if (phone > first && l->items[phone - 1].id != PZ_PH_SIL && l->items[phone - 1].end < to)
        l->items[phone - 1].end = to;
    for (int i = phone - 1; i >= first && l->items[i].end > to; i--) {
        l->items[i].end = to;
        if (l->items[i].start > to)
            l->items[i].start = to;
    }
}

static void move_end(struct pz_phone_line *l, int phone, int64_t to)
{
    l->items[phone].end = to > l->items[phone].start ? to : l->items[phone].start + PZ_EARS_HOP;
    to = l->items[phone].end;
    if (phone + 1 < l->n && l->items[phone + 1].id != PZ_PH_SIL && l->items[phone + 1].start > to)
        l->items[phone + 1].start = to;
    for (int i = phone + 1; i < l->n && l->items[i].start < to; i++) {
        l->items[i].start = to;
        if (l->items[i].end < to)
            l->items[i].end = to;
    }
}

/** Words beside a spotted one may be misheard, which pulls the aligner's edge; the spotter's edge, between
 * free phones, is better. */
static void keep_spotted_edge(struct pz_heard *h, int first_phone, int word, const struct draft *k,
                              bool first, bool last, int64_t at)
{
    struct pz_word *w = &h->words.items[word];

    if (first) {
        move_start(&h->phones, first_phone, w->first_phone, at + k->start);
        w->start = h->phones.items[w->first_phone].start;
    }
    if (last) {
        move_end(&h->phones, w->first_phone + w->n_phones - 1, at + k->end);
        w->end = h->phones.items[w->first_phone + w->n_phones - 1].end;
    }
}

static enum pz_status settle_phones(struct pz_ears *ears, const float *samples, int64_t n, int64_t at,
                                    struct pz_heard *h);

/** Words that the aligner cannot place keep the times they were recognised with; phones are decoded. */
static enum pz_status settle_as_heard(struct pz_ears *ears, const float *samples, int64_t n, int64_t at,
                                      const struct drafts *d, struct pz_heard *h)
{
    enum pz_status st;

    for (int i = 0; i < d->n; i++) {
        const struct draft *k = &d->items[i];
        struct pz_word w = {.start = at + k->start, .end = at + k->end, .confidence = k->confidence};
        bool goes_on = k->wanted >= 0 && i > 0 && d->items[i - 1].occurrence == k->occurrence;

        memcpy(w.text, k->text, sizeof w.text);
        if (goes_on && h->n_found)
            h->found[h->n_found - 1].n_words++;
        else if (k->wanted >= 0)
            PZ_TRY(pz_found_add(h, (struct pz_found){.wanted = k->wanted,
                                                     .first_word = h->words.n,
                                                     .n_words = 1,
                                                     .confidence = k->confidence}));
        PZ_TRY(pz_words_add(&h->words, &w));
    }
    return settle_phones(ears, samples, n, at, h);
fail:
    return st;
}

/** Align the drafts and append words, phones and occurrences. Sound that fits no words gets freely decoded
 * phones. */
static enum pz_status settle(struct pz_ears *ears, const float *samples, int64_t n, int64_t at,
                             const struct drafts *d, const struct pz_job *job, struct pz_heard *h)
{
    enum pz_status st;
    struct pz_align_word *aw = pz_calloc((size_t)d->n + 1, sizeof *aw);
    int first_word = h->words.n, first_phone = h->phones.n, at_word = first_word;

    if (!aw)
        return PZ_ERR_NOMEM;
    to_align(d->items, d->n, aw);
    // The aligner's acoustic model is English.
    st = pz_ears_hears_foreign(ears)
             ? PZ_ERR_INPUT
             : pz_speech_align(ears, samples, n, aw, d->n, job, &h->words, &h->phones);
    if (st == PZ_ERR_INPUT && pz_ears_uses_whisper(ears)) {
        st = settle_as_heard(ears, samples, n, at, d, h);
        goto fail;
    }
    PZ_TRY(st);
    for (int i = first_phone; i < h->phones.n; i++) {
        h->phones.items[i].start += at;
        h->phones.items[i].end += at;
    }
    for (int i = first_word; i < h->words.n; i++) {
        h->words.items[i].start += at;
        h->words.items[i].end += at;
    }
    // Aligned words come back in order, without those that have no sound.
    for (int i = 0; i < d->n && at_word < h->words.n; i++) {
        struct pz_word *w = &h->words.items[at_word];
        const struct draft *k = &d->items[i];
        struct pz_found *last = h->n_found ? &h->found[h->n_found - 1] : NULL;

        if (strcmp(w->text, k->text) != 0)
            continue;
        w->confidence = sqrtf(w->confidence * k->confidence);
        if (k->wanted >= 0 && i > 0 && d->items[i - 1].occurrence == k->occurrence && last)
            last->n_words++;
        else if (k->wanted >= 0)
            PZ_TRY(pz_found_add(h, (struct pz_found){.wanted = k->wanted,
                                                     .first_word = at_word,
                                                     .n_words = 1,
                                                     .confidence = k->confidence}));
        if (k->spotted)
            keep_spotted_edge(h, first_phone, at_word, k,
                              i == 0 || d->items[i - 1].occurrence != k->occurrence,
                              i + 1 == d->n || d->items[i + 1].occurrence != k->occurrence, at);
        at_word++;
    }
    // Words take the edges their phones ended up with.
    for (int i = first_word; i < h->words.n; i++) {
        struct pz_word *w = &h->words.items[i];

        w->start = h->phones.items[w->first_phone].start;
        w->end = h->phones.items[w->first_phone + w->n_phones - 1].end;
    }
    st = PZ_OK;
fail:
    pz_free(aw);
    return st;
}

/** Phones of a chunk without believable words. */
static enum pz_status settle_phones(struct pz_ears *ears, const float *samples, int64_t n, int64_t at,
                                    struct pz_heard *h)
{
    enum pz_status st;
    struct pz_ears_path path = {0};

    if (pz_rms(samples, n) < 1e-4) // −80 dB: nothing to decode
        return PZ_OK;
    PZ_TRY(pz_ears_allphone(ears, samples, n, &path));
    for (int i = 0; i < path.n; i++)
        PZ_TRY(pz_phone_line_add(&h->phones, (struct pz_phone){.id = path.steps[i].arc,
                                                               .score = 0.3f,
                                                               .start = at + path.steps[i].start,
                                                               .end = at + path.steps[i].end}));
    st = PZ_OK;
fail:
    pz_ears_path_free(&path);
    return st;
}

/** Free recognition on a thread of its own: it and the spotter have a decoder each. */
struct reading {
    struct pz_ears *ears;
    const float *samples;
    int64_t n;
    struct pz_words words;
    enum pz_status st;
};

static void *read_words(void *user)
{
    struct reading *r = user;

    r->st = pz_ears_words(r->ears, r->samples, r->n, 0, &r->words);
    return NULL;
}

/** Words, and spots of all wanted things, at the same time. */
static enum pz_status listen_both(struct reading *r, const struct pz_wanted *wanted, int n_wanted,
                                  const struct pz_job *job, struct spots *spots)
{
    pthread_t thread;
    enum pz_status st = PZ_OK;
    struct pz_ears_path free_path = {0};
    const struct pz_keyword *k[PZ_WANTED_MAX];
    bool beside = n_wanted > 0 && !pz_ears_uses_whisper(r->ears) && // its threads are its own
                  pthread_create(&thread, NULL, read_words, r) == 0;

    for (int i = 0; i < n_wanted; i++)
        k[i] = &wanted[i].keyword;
    if (n_wanted > 0)
        st = pz_spot_free(r->ears, r->samples, r->n, &free_path);
    if (n_wanted > 0 && st == PZ_OK)
        st = pz_job_cancelled(job)
                 ? PZ_ERR_CANCELLED
                 : pz_spot_find(r->ears, r->samples, r->n, k, n_wanted, &free_path, &spots->items, &spots->n);
    if (beside)
        pthread_join(thread, NULL);
    else
        read_words(r);
    pz_ears_path_free(&free_path);
    return r->st < PZ_OK ? r->st : st;
}

enum pz_status pz_hear_chunk(struct pz_ears *ears, const float *samples, int64_t n, int64_t at, double snr_db,
                             const struct pz_wanted *wanted, int n_wanted, const struct pz_job *job,
                             struct pz_heard *h, struct pz_chunks *all)
{
    enum pz_status st;
    struct reading r = {.ears = ears, .samples = samples, .n = n};
    struct spots spots = {0};
    struct pz_chunk *c;
    void *grown = all->items ? pz_regrow(all->items, (size_t)all->n, (size_t)all->n + 1, sizeof *all->items)
                             : pz_calloc(1, sizeof *all->items);

    if (!grown)
        return PZ_ERR_NOMEM;
    all->items = grown;
    c = &all->items[all->n++];
    *c = (struct pz_chunk){.at = at, .n = n, .snr_db = snr_db};
    if (pz_job_cancelled(job))
        return PZ_ERR_CANCELLED;
    PZ_TRY(listen_both(&r, wanted, n_wanted, job, &spots));
    c->d.items = pz_calloc((size_t)r.words.n + 1, sizeof *c->d.items);
    if (!c->d.items) {
        st = PZ_ERR_NOMEM;
        goto fail;
    }
    for (int i = 0; i < r.words.n; i++) {
        struct pz_word w = r.words.items[i];
        struct draft *k = &c->d.items[c->d.n++];

        *k = (struct draft){
            .start = w.start, .end = w.end, .wanted = -1, .occurrence = -1, .confidence = w.confidence};
        memcpy(k->text, w.text, sizeof k->text);
        w.start += at;
        w.end += at;
        PZ_TRY(pz_words_add(&h->raw, &w));
    }
    for (int k = 0; k < n_wanted; k++)
        mark_heard(&c->d, &wanted[k], k);
    if (pz_job_cancelled(job)) {
        st = PZ_ERR_CANCELLED;
        goto fail;
    }
    PZ_TRY(weigh(ears, samples, c, wanted, &spots));
fail:
    pz_free(spots.items);
    pz_words_free(&r.words);
    return st;
}

enum pz_status pz_hear_settle(struct pz_ears *ears, const float *samples, const struct pz_chunk *c,
                              const struct pz_job *job, struct pz_heard *h)
{
    enum pz_status st;

    st = c->d.n ? settle(ears, samples, c->n, c->at, &c->d, job, h)
                : settle_phones(ears, samples, c->n, c->at, h);
    if (st == PZ_ERR_INPUT)
        st = settle_phones(ears, samples, c->n, c->at, h);
    return st;
}

int64_t pz_chunk_span(const struct pz_chunks *all, int i, int64_t *at)
{
    *at = all->items[i].at;
    return all->items[i].n;
}

const struct pz_chunk *pz_chunk_get(const struct pz_chunks *all, int i)
{
    return &all->items[i];
}
