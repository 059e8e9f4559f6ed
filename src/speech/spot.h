/** What is looked for, as phones. Private to src/speech. */
#ifndef PZ_SPEECH_SPOT_H
#define PZ_SPEECH_SPOT_H

#include "speech/lexicon.h"

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

#endif
