/** Keyword spotting with a phone graph. Private to src/speech. */
#ifndef PZ_SPEECH_SPOT_H
#define PZ_SPEECH_SPOT_H

#include "speech/ears.h"

#define PZ_SPOT_PRONS 6

/** A word or words to be found: their phones, in a few ways of saying them. */
struct pz_keyword {
    struct pz_pron prons[PZ_SPOT_PRONS];
    int n_prons;
};

/** Pronunciations of several words in a row (at most 8), silence between them allowed by the aligner later.
 * `say` wins. Errors: INPUT (nothing that can be pronounced; logged). */
PZ_NODISCARD enum pz_status pz_keyword_make(const struct pz_lexicon *lex, struct pz_log *log,
                                            const char *words, const char *say, struct pz_keyword *k);

struct pz_spot {
    int64_t start, end; /**< samples of the sound given */
    int keyword;        /**< which one */
    float margin; /**< natural log-likelihood per frame against free phones; ≤ about 0, higher is surer */
};

/** Free phones of mono sound, which spots are measured against. Start from a zeroed path; free it with
 * pz_ears_path_free(). Errors: NOMEM, INTERNAL. */
PZ_NODISCARD enum pz_status pz_spot_free(struct pz_ears *ears, const float *samples, int64_t n,
                                         struct pz_ears_path *free_path);

/** Find keywords `k` [n_keywords] in mono sound of at most PZ_EARS_MAX_SAMPLES, all in one search, so that at
 * any place only the one that fits best is a spot. `*spots` (freed with pz_free()) ascending.
 * Weak ones are included: judge by `margin`. `free_path` is pz_spot_free()'s of the same sound. Errors:
 * NOMEM, INTERNAL. */
PZ_NODISCARD enum pz_status pz_spot_find(struct pz_ears *ears, const float *samples, int64_t n,
                                         const struct pz_keyword *const *k, int n_keywords,
                                         const struct pz_ears_path *free_path, struct pz_spot **spots,
                                         int *n_spots);

#endif
