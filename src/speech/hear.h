/** One chunk of a film: from sound to words, phones and occurrences. Private to src/speech. */
#ifndef PZ_SPEECH_HEAR_H
#define PZ_SPEECH_HEAR_H

#include "speech/spot.h"

#define PZ_CHUNK_MAX (30 * PZ_SPEECH_RATE)

/** A thing that is looked for. */
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

/** Recognise one chunk, look for the wanted things in it, align, append. Errors: NOMEM, INTERNAL, CANCELLED,
 * WEIGHTS. */
PZ_NODISCARD enum pz_status pz_hear_chunk(struct pz_ears *ears, const float *samples, int64_t n, int64_t at,
                                          struct pz_wanted *wanted, int n_wanted, const struct pz_job *job,
                                          struct pz_heard *heard);

/** Log-likelihood (natural, whole sound) of a word sequence; −1e30 when it does not fit. Errors: NOMEM,
 * INTERNAL. */
PZ_NODISCARD enum pz_status pz_align_score(struct pz_ears *ears, const float *samples, int64_t n,
                                           const struct pz_align_word *words, int n_words, double *score);

/** Align a chunk with as many of the `n_words` words as fit its sound (all of them when `last`), append to
 * `h`, and set word_of[i] (index into h->words, −1 for words without sound) for the `*used` words taken.
 * Errors: INPUT, NOMEM, INTERNAL, CANCELLED. */
PZ_NODISCARD enum pz_status pz_align_some(struct pz_ears *ears, const float *samples, int64_t n, int64_t at,
                                          const struct pz_align_word *words, int n_words, bool last,
                                          const struct pz_job *job, struct pz_heard *h, int *word_of,
                                          int *used);

PZ_NODISCARD enum pz_status pz_found_add(struct pz_heard *h, struct pz_found f);

/** Word equality for matching: letters and digits only, case-insensitive. */
bool pz_word_equal(const char *a, const char *b);

/** Split at white space into at most `max` words of 63 bytes, punctuation at the ends dropped. Returns how
 * many. */
int pz_split_words(const char *text, char (*out)[64], int max);

#endif
