/** One chunk of a film: from sound to words, phones and occurrences. Private to src/speech. */
#ifndef PZ_SPEECH_HEAR_H
#define PZ_SPEECH_HEAR_H

#include "speech/ears.h"
#include "speech/spot.h"

#define PZ_CHUNK_MAX (30 * PZ_SPEECH_RATE)

/** A thing that is looked for. */
#define PZ_WANTED_MAX 64 /* at most so many in one call */

struct pz_wanted {
    const char *name, *words, *say;
    struct pz_keyword keyword;
    int n_found;
};

/** One occurrence of a wanted thing, in words of the analysis. */
struct pz_found {
    int wanted, first_word, n_words;
    float confidence;
};

/** What has been heard so far. */
struct pz_heard {
    struct pz_words words;       /**< aligned */
    struct pz_phone_line phones; /**< not yet covered */
    struct pz_found *found;
    int n_found, cap_found;
    struct pz_words raw; /**< as recognised, for messages */
};

void pz_heard_free(struct pz_heard *h);

/** Where to cut next: reads up to PZ_CHUNK_MAX samples at `at` into `buf` and sets *n to a pause between 10
 * and 30 s, or to the end. */
PZ_NODISCARD enum pz_status pz_chunk_read(const struct pz_tap *sound, int64_t total, int64_t at, float *buf,
                                          int64_t *n);

/** Chunks of a film on their way: what was recognised in each and where wanted things may be. Private to
 * hear.c; memory grows with words only. Start from a zeroed one. */
struct pz_chunk;
struct pz_chunks {
    struct pz_chunk *items;
    int n;
};

void pz_chunks_free(struct pz_chunks *c);

/** A chunk's sound. */
struct pz_hear_sound {
    const float *voice;            /**< [n], after pz_denoise() where something is wanted */
    const struct pz_sounds *heard; /**< by the network of words, noise and all; where something is wanted */
    int64_t at, n;
    double snr_db; /**< as pz_quiet() says */
};

/** Tell the recogniser of the wanted things before the first chunk, whose noise (`snr_db`) says how likely
 * they are; pz_ears_expect_nothing() ends it. Errors: NOMEM, INTERNAL, WEIGHTS. */
PZ_NODISCARD enum pz_status pz_hear_expect(struct pz_ears *ears, const struct pz_wanted *wanted, int n_wanted,
                                           double snr_db);

/** First pass over a chunk: recognise, look for the wanted things. The recogniser has a thread of its own;
 * while it is still at work, meanwhile(user) is called on this one, once. Errors: NOMEM, INTERNAL, CANCELLED,
 * WEIGHTS. */
PZ_NODISCARD enum pz_status pz_hear_chunk(struct pz_ears *ears, const struct pz_hear_sound *sound,
                                          const struct pz_wanted *wanted, int n_wanted,
                                          const struct pz_job *job, void (*meanwhile)(void *user), void *user,
                                          struct pz_heard *heard, struct pz_chunks *all);

/** When all chunks are heard: which of the places that sound like a wanted thing are one. Errors: NOMEM. */
PZ_NODISCARD enum pz_status pz_hear_decide(struct pz_chunks *all, const struct pz_wanted *wanted,
                                           int n_wanted);

const struct pz_chunk *pz_chunk_get(const struct pz_chunks *all, int i);
/** Where a chunk lies; returns its length. */
int64_t pz_chunk_span(const struct pz_chunk *c, int64_t *at);
/** Its speech over its noise in dB, as pz_quiet() said. */
double pz_chunk_noise(const struct pz_chunk *c);
/** Whether a wanted thing is in it, when pz_hear_decide() has decided. */
bool pz_chunk_finds(const struct pz_chunk *c);

/** Second pass: align a chunk's words and append words, phones and occurrences. Sound that fits no words gets
 * freely decoded phones. Errors: NOMEM, INTERNAL, CANCELLED, WEIGHTS. */
PZ_NODISCARD enum pz_status pz_hear_settle(struct pz_ears *ears, const float *samples,
                                           const struct pz_chunk *c, const struct pz_job *job,
                                           struct pz_heard *heard);

/** Put the edges of an occurrence at `start` and `end` (samples), phones there with them; `first_phone`:
 * where its chunk's begin. One without phones stays as it is. */
void pz_hear_put(struct pz_heard *h, int first_phone, const struct pz_found *f, int64_t start, int64_t end);

/** Align a chunk with as many of the `n_words` words as fit its sound (all of them when `last`), append to
 * `h`, and set word_of[i] (index into h->words, −1 for words without sound) for the `*used` words taken.
 * Errors: INPUT, NOMEM, INTERNAL, CANCELLED. */
PZ_NODISCARD enum pz_status pz_align_some(struct pz_ears *ears, const float *samples, int64_t n, int64_t at,
                                          const struct pz_align_word *words, int n_words, bool last,
                                          const struct pz_job *job, struct pz_heard *h, int *word_of,
                                          int *used);

/** Both passes over all of a film's `total` samples. Errors: NOMEM, INTERNAL, CANCELLED, WEIGHTS. */
PZ_NODISCARD enum pz_status pz_hear_film(struct pz_ears *ears, const struct pz_tap *sound, int64_t total,
                                         struct pz_wanted *wanted, int n_wanted, const struct pz_job *job,
                                         struct pz_heard *heard);

PZ_NODISCARD enum pz_status pz_found_add(struct pz_heard *h, struct pz_found f);

/** Letters and digits of `text` behind `out` [n], lower case, without marks; other scripts as they are.
 * Returns the new length, at most cap − 1; zero-terminated. */
size_t pz_squash(const char *text, char *out, size_t n, size_t cap);

/** How many of the first of `n` texts together are the wanted words, however either is split ("Anuj ji" is
 * "Anuji") and whatever marks they carry; 0 when they are not. */
int pz_words_same(const char *const *texts, int n, const char *wanted);

/** Split at white space into at most `max` words of 63 bytes, punctuation at the ends dropped. Returns how
 * many. */
int pz_split_words(const char *text, char (*out)[64], int max);

#endif
