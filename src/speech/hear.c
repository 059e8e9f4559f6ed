// One chunk of a film, heard: free recognition, then the wanted words are looked for (first by text, then by
// sound), then everything is aligned. Which words are the wanted ones is candidates.c's.
#include "speech/hear_impl.h"

#include <ctype.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audio/track.h"
#include "base/mem.h"
#include "speech/expected.h"

// How likely wanted words are said to be: in noise they need it, in a quiet room it finds them everywhere. A
// decoder is told once (pz_ears_expect()), so the first chunk's noise decides for the whole film.
#define SHARE 1e-3
#define SHARE_IN_NOISE 0.02

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

void pz_chunks_free(struct pz_chunks *c)
{
    for (int i = 0; i < c->n; i++) {
        for (int k = 0; k < c->items[i].n_candidates; k++)
            pz_free(c->items[i].candidates[k].look);
        pz_free(c->items[i].d.items);
        pz_free(c->items[i].candidates);
    }
    pz_free(c->items);
    *c = (struct pz_chunks){0};
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

static void put_start(struct pz_heard *h, int first_phone, struct pz_word *w, int64_t to)
{
    move_start(&h->phones, first_phone, w->first_phone, to);
    w->start = h->phones.items[w->first_phone].start;
}

static void put_end(struct pz_heard *h, struct pz_word *w, int64_t to)
{
    move_end(&h->phones, w->first_phone + w->n_phones - 1, to);
    w->end = h->phones.items[w->first_phone + w->n_phones - 1].end;
}

void pz_hear_put(struct pz_heard *h, int first_phone, const struct pz_found *f, int64_t start, int64_t end)
{
    struct pz_word *first = &h->words.items[f->first_word], *last = first + f->n_words - 1;

    if (first->n_phones == 0 || last->n_phones == 0 || start >= end)
        return;
    put_start(h, first_phone, first, start);
    put_end(h, last, end);
}

/** Words beside a spotted one may be misheard, which pulls the aligner's edge; the spotter's edge, between
 * free phones, is better. */
static void keep_spotted_edge(struct pz_heard *h, int first_phone, int word, const struct draft *k,
                              bool first, bool last, int64_t at)
{
    struct pz_word *w = &h->words.items[word];

    if (first)
        put_start(h, first_phone, w, at + k->start);
    if (last)
        put_end(h, w, at + k->end);
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
    pz_hear_to_align(d->items, d->n, aw);
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

enum pz_status pz_hear_expect(struct pz_ears *ears, const struct pz_wanted *wanted, int n_wanted,
                              double snr_db)
{
    const struct pz_keyword *k[PZ_WANTED_MAX];

    for (int i = 0; i < n_wanted; i++)
        k[i] = &wanted[i].keyword;
    return pz_ears_expect(ears, k, n_wanted, snr_db < QUIET_DB ? SHARE_IN_NOISE : SHARE);
}

/** Free recognition on a thread of its own, beside the search for places. */
struct reading {
    struct pz_ears *ears;
    const struct pz_hear_sound *sound;
    bool wants;
    struct pz_words words;
    enum pz_status st;
};

static void *read_words(void *user)
{
    struct reading *r = user;
    const struct pz_hear_sound *s = r->sound;

    r->st = pz_ears_words(r->ears, s->voice, s->n, 0, r->wants ? s->heard : NULL, &r->words);
    return NULL;
}

/** Words, and places of all wanted things, at the same time. */
static enum pz_status listen_both(struct reading *r, const struct pz_wanted *wanted, int n_wanted,
                                  void (*meanwhile)(void *user), void *user, int *warp,
                                  struct pz_place **places, int *n_places)
{
    const struct pz_keyword *k[PZ_WANTED_MAX];
    struct pz_acoustic *acoustic = NULL;
    pthread_t thread;
    enum pz_status st = PZ_OK;
    bool beside;

    for (int i = 0; i < n_wanted; i++)
        k[i] = &wanted[i].keyword;
    if (n_wanted > 0)
        PZ_TRY(pz_ears_acoustic(r->ears, &acoustic)); // before there are two threads
    beside = !pz_ears_uses_whisper(r->ears) &&        // its threads are its own
             pthread_create(&thread, NULL, read_words, r) == 0;
    if (n_wanted > 0)
        st = pz_places_find(acoustic, r->sound->voice, r->sound->n, r->sound->heard, k, n_wanted, warp,
                            places, n_places);
    meanwhile(user);
    if (beside)
        pthread_join(thread, NULL);
    else
        read_words(r);
    st = r->st < PZ_OK ? r->st : st;
fail:
    return st;
}

/** Recognised words as drafts, and as they are into `raw`. What was expected is written as it is wanted. */
static enum pz_status take_words(const struct pz_words *heard, int64_t at, const struct pz_wanted *wanted,
                                 int n_wanted, struct drafts *d, struct pz_words *raw)
{
    enum pz_status st = PZ_OK;

    d->items = pz_calloc((size_t)heard->n * PZ_HEAR_SPLIT + 1, sizeof *d->items);
    if (!d->items)
        return PZ_ERR_NOMEM;
    for (int i = 0; i < heard->n; i++) {
        struct pz_word w = heard->items[i];
        int expected = pz_expected_index(w.text);

        if (expected >= 0 && expected < n_wanted) {
            pz_hear_expected(&wanted[expected], expected, &w, d);
            snprintf(w.text, sizeof w.text, "%s", wanted[expected].words);
        } else {
            struct draft *k = &d->items[d->n++];

            *k = (struct draft){.start = w.start,
                                .end = w.end,
                                .wanted = -1,
                                .occurrence = -1,
                                .expected = -1,
                                .confidence = w.confidence};
            memcpy(k->text, w.text, sizeof k->text);
        }
        w.start += at;
        w.end += at;
        PZ_TRY(pz_words_add(raw, &w));
    }
fail:
    return st;
}

enum pz_status pz_hear_chunk(struct pz_ears *ears, const struct pz_hear_sound *sound,
                             const struct pz_wanted *wanted, int n_wanted, const struct pz_job *job,
                             void (*meanwhile)(void *user), void *user, struct pz_heard *h,
                             struct pz_chunks *all)
{
    enum pz_status st;
    struct reading r = {.ears = ears, .sound = sound, .wants = n_wanted > 0};
    struct pz_place *places = NULL;
    int n_places = 0;
    struct pz_chunk *c;
    void *grown = all->items ? pz_regrow(all->items, (size_t)all->n, (size_t)all->n + 1, sizeof *all->items)
                             : pz_calloc(1, sizeof *all->items);

    if (!grown)
        return PZ_ERR_NOMEM;
    all->items = grown;
    c = &all->items[all->n++];
    *c = (struct pz_chunk){.at = sound->at, .n = sound->n, .snr_db = sound->snr_db};
    if (pz_job_cancelled(job))
        return PZ_ERR_CANCELLED;
    PZ_TRY(listen_both(&r, wanted, n_wanted, meanwhile, user, &c->warp, &places, &n_places));
    PZ_TRY(take_words(&r.words, sound->at, wanted, n_wanted, &c->d, &h->raw));
    for (int k = 0; k < n_wanted; k++)
        pz_hear_mark(&c->d, &wanted[k], k);
    PZ_TRY(pz_hear_weigh(ears, sound->voice, c, wanted, places, n_places));
fail:
    pz_free(places);
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

const struct pz_chunk *pz_chunk_get(const struct pz_chunks *all, int i)
{
    return &all->items[i];
}

int64_t pz_chunk_span(const struct pz_chunk *c, int64_t *at)
{
    *at = c->at;
    return c->n;
}

double pz_chunk_noise(const struct pz_chunk *c)
{
    return c->snr_db;
}

bool pz_chunk_finds(const struct pz_chunk *c)
{
    for (int i = 0; i < c->d.n; i++)
        if (c->d.items[i].wanted >= 0)
            return true;
    return false;
}
