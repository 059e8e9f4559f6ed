/** The recogniser told of the words that are looked for. Private to src/speech. */
#ifndef PZ_SPEECH_EXPECTED_H
#define PZ_SPEECH_EXPECTED_H

#include <pocketsphinx.h>

#include "base/log.h"
#include "speech/spot.h"

/** Let `ps`, which has a dictionary and no search, recognise with the language model in file `lm`, in which
 * keywords `k` [n] have a `share` (of the words that are said, for each way of saying one) beside what it
 * holds already: keyword i is written as "@i". Once for a decoder. Errors: NOMEM, INTERNAL, WEIGHTS (logged).
 */
PZ_NODISCARD enum pz_status pz_expected_add(struct pz_log *log, ps_decoder_t *ps, const char *lm,
                                            const struct pz_keyword *const *k, int n, double share);

/** Which keyword a written word is; −1: none of them. */
int pz_expected_index(const char *text);

#endif
