/** Both of the program's ears as one, for the recogniser: its own model of phones in context and our network.
 * Private to src/speech. */
#ifndef PZ_SPEECH_HYBRID_H
#define PZ_SPEECH_HYBRID_H

#include "speech/acoustic.h"
#include "speech/sounds.h"

/** Scores of all states of the recogniser's model over `samples` [n] (see pz_acoustic_rows()), each beside
 * what the network of words `heard` there of the state's phone, as a file of PocketSphinx' senone scores in
 * memory:
 * `*data` [*size] on the heap, pz_free(). Errors: NOMEM, INTERNAL. */
PZ_NODISCARD enum pz_status pz_hybrid_scores(struct pz_acoustic *a, const float *samples, int64_t n,
                                             const struct pz_sounds *heard, char **data, size_t *size);

#endif
