// A film without a transcript, heard: chunk by chunk the wanted words are looked for, then, with all chunks
// known, what was found is placed. What a chunk's recogniser, which works on one core, leaves of the others'
// time goes into what comes next. One chunk is hear.c's, which words are the wanted ones candidates.c's.
#include <pthread.h>
#include <string.h>

#include "base/mem.h"
#include "speech/denoise.h"
#include "speech/hear.h"
#include "speech/listening.h"
#include "speech/quiet.h"

#define AHEAD 2 /* chunks: the one that is recognised and the one behind it */

/** A chunk that is made ready for the recogniser. */
struct ready {
    float *buf, *raw, *voice; /* [PZ_CHUNK_MAX]: after pz_quiet(), as it is, after pz_denoise() */
    int64_t at, n;
    double snr;
    struct pz_sounds heard; /* by the network of words; nothing when no words are wanted */
    enum pz_status st;
};

struct film {
    struct pz_ears *ears;
    const struct pz_tap *sound;
    int64_t total;
    struct pz_wanted *wanted;
    int n_wanted;
    const struct pz_job *job;
    enum pz_status told; /* what telling the recogniser of the words came to */
    struct ready ready[AHEAD];
    struct ready *now;         /* the one that is recognised */
    struct pz_listening edges; /* in a film of one chunk, where it lies at hand */
};

/** The ends of what was heard of so far. */
struct mark {
    int word, phone, found;
};

static struct mark mark_of(const struct pz_heard *h)
{
    return (struct mark){.word = h->words.n, .phone = h->phones.n, .found = h->n_found};
}

/**
 * The network's places for the edges of what was found in a chunk, behind `from`. All other words and phones
 * stay where the aligner has them: recognised words may be wrong, and phones that are not those of the sound
 * are led far astray, which the mouths that are learned from them show (`docs/notes/speech.md`).
 */
static enum pz_status settle_found(const struct pz_sounds *heard, int64_t n, int64_t at, double snr,
                                   struct mark from, struct pz_heard *h)
{
    enum pz_status st = PZ_OK;
    struct pz_words words = {0};
    struct pz_phone_line phones = {0};

    for (int i = from.word; i < h->words.n; i++) {
        struct pz_word w = h->words.items[i];

        w.first_phone -= w.n_phones ? from.phone : w.first_phone;
        PZ_TRY(pz_words_add(&words, &w));
    }
    for (int i = from.phone; i < h->phones.n; i++)
        PZ_TRY(pz_phone_line_add(&phones, h->phones.items[i]));
    PZ_TRY(pz_sounds_settle_heard(heard, n, at, snr, &phones, 0, &words, 0));
    for (int i = from.found; i < h->n_found; i++) {
        const struct pz_found *f = &h->found[i];
        const struct pz_word *first = &words.items[f->first_word - from.word];

        pz_hear_put(h, from.phone, f, first->start, first[f->n_words - 1].end);
    }
fail:
    pz_words_free(&words);
    pz_phone_line_free(&phones);
    return st;
}

/** Second pass over a chunk (`r`, of which raw and, after pz_quiet(), buf are there): its words are aligned
 * while the network listens for their edges, unless it has. */
static enum pz_status place_chunk(struct film *f, const struct ready *r, const struct pz_chunk *c,
                                  struct pz_heard *heard)
{
    const struct mark from = mark_of(heard);
    enum pz_status st, heard_st;
    int64_t at, n = pz_chunk_span(c, &at);
    const bool listens = pz_chunk_finds(c) && !pz_ears_hears_foreign(f->ears);

    if (listens && f->edges.heard.frames == 0)
        pz_listening_start(&f->edges, r->raw, n, f->job ? f->job->pool : NULL);
    st = pz_hear_settle(f->ears, r->buf, c, f->job, heard);
    heard_st = pz_listening_end(&f->edges);
    st = st < PZ_OK ? st : heard_st;
    if (st >= PZ_OK && heard->n_found > from.found && listens)
        st = settle_found(&f->edges.heard, n, at, pz_chunk_noise(c), from, heard);
    pz_sounds_free(&f->edges.heard);
    return st;
}

/** The chunk at r->at, as it is and without steady noise. */
static enum pz_status read_chunk(const struct film *f, struct ready *r)
{
    enum pz_status st;

    PZ_TRY(pz_chunk_read(f->sound, f->total, r->at, r->buf, &r->n));
    memcpy(r->raw, r->buf, (size_t)r->n * sizeof *r->raw);
    st = pz_quiet(r->buf, r->n, &r->snr);
fail:
    return st;
}

/** What the recogniser and the search for places need of a chunk that was read. */
static enum pz_status make_ready(const struct film *f, struct pz_pool *pool, struct ready *r)
{
    enum pz_status st = PZ_OK;

    memcpy(r->voice, f->n_wanted > 0 ? r->raw : r->buf, (size_t)r->n * sizeof *r->voice);
    if (f->n_wanted == 0)
        return st;
    PZ_TRY(pz_denoise(r->voice, r->n, pool));
    st = pz_sounds_listen(r->raw, r->n, PZ_SOUNDS_WORDS, pool, &r->heard);
fail:
    return st;
}

/** While a chunk is recognised: the next one is made ready; where there is no other at all, its edges are
 * listened for. */
static void work_ahead(void *user)
{
    struct film *f = user;
    const struct ready *now = f->now;
    struct ready *next = &f->ready[now == f->ready];

    next->at = now->at + now->n;
    if (next->at < f->total) {
        next->st = read_chunk(f, next);
        next->st = next->st < PZ_OK ? next->st : make_ready(f, NULL, next);
    } else if (now->at == 0 && f->n_wanted > 0 && !pz_ears_uses_whisper(f->ears)) {
        f->edges.st = pz_sounds_listen(now->raw, now->n, PZ_SOUNDS_EDGES, NULL, &f->edges.heard);
    }
}

static void *expect(void *user)
{
    struct film *f = user;

    f->told = pz_hear_expect(f->ears, f->wanted, f->n_wanted, f->ready[0].snr);
    return NULL;
}

/** The first chunk is made ready while the recogniser is told of the words. */
static enum pz_status begin(struct film *f)
{
    pthread_t thread;
    enum pz_status st;
    bool beside;

    PZ_TRY(read_chunk(f, &f->ready[0]));
    beside = pthread_create(&thread, NULL, expect, f) == 0;
    if (!beside)
        expect(f);
    st = make_ready(f, f->job ? f->job->pool : NULL, &f->ready[0]);
    if (beside)
        pthread_join(thread, NULL);
    st = st < PZ_OK ? st : f->told;
fail:
    return st;
}

/** First pass over all chunks. */
static enum pz_status hear_chunks(struct film *f, struct pz_heard *heard, struct pz_chunks *all)
{
    enum pz_status st;

    PZ_TRY(begin(f));
    for (f->now = f->ready;; f->now = &f->ready[f->now == f->ready]) {
        const struct ready *r = f->now;

        PZ_TRY(r->st);
        PZ_TRY(pz_hear_chunk(
            f->ears,
            &(struct pz_hear_sound){
                .voice = r->voice, .heard = &r->heard, .at = r->at, .n = r->n, .snr_db = r->snr},
            f->wanted, f->n_wanted, f->job, work_ahead, f, heard, all));
        pz_sounds_free(&f->now->heard);
        pz_job_progress(f->job, "speech", r->at + r->n, f->total);
        if (r->at + r->n >= f->total)
            break;
    }
fail:
    return st;
}

/** Second pass: what was found is placed. */
static enum pz_status place_all(struct film *f, const struct pz_chunks *all, struct pz_heard *heard)
{
    struct ready *r = f->now; // of one chunk it still holds everything
    enum pz_status st = PZ_OK;

    for (int i = 0; i < all->n; i++) {
        const struct pz_chunk *c = pz_chunk_get(all, i);

        if (all->n > 1) {
            r->n = pz_chunk_span(c, &r->at);
            PZ_TRY(pz_tap_read_speech(f->sound, r->at, r->raw, r->n));
            memcpy(r->buf, r->raw, (size_t)r->n * sizeof *r->buf);
            PZ_TRY(pz_quiet(r->buf, r->n, &r->snr));
        }
        PZ_TRY(place_chunk(f, r, c, heard));
    }
fail:
    return st;
}

enum pz_status pz_hear_film(struct pz_ears *ears, const struct pz_tap *sound, int64_t total,
                            struct pz_wanted *wanted, int n_wanted, const struct pz_job *job,
                            struct pz_heard *heard)
{
    struct film f = {
        .ears = ears, .sound = sound, .total = total, .wanted = wanted, .n_wanted = n_wanted, .job = job};
    struct pz_chunks all = {0};
    enum pz_status st = PZ_ERR_NOMEM;
    float *room = NULL;

    if (total <= 0)
        return PZ_OK;
    room = pz_calloc((size_t)AHEAD * 3 * PZ_CHUNK_MAX, sizeof *room);
    if (!room)
        goto fail;
    for (int i = 0; i < AHEAD; i++) {
        f.ready[i].buf = room + (size_t)i * 3 * PZ_CHUNK_MAX;
        f.ready[i].raw = f.ready[i].buf + PZ_CHUNK_MAX;
        f.ready[i].voice = f.ready[i].raw + PZ_CHUNK_MAX;
    }
    PZ_TRY(hear_chunks(&f, heard, &all));
    PZ_TRY(pz_hear_decide(&all, wanted, n_wanted));
    st = place_all(&f, &all, heard);
fail:
    pz_ears_expect_nothing(ears);
    pz_sounds_free(&f.edges.heard);
    for (int i = 0; i < AHEAD; i++)
        pz_sounds_free(&f.ready[i].heard);
    pz_chunks_free(&all);
    pz_free(room);
    return st;
}
