/** Edges of slots and links between words and phones. Private to src/speech. */
#ifndef PZ_SPEECH_EDGES_H
#define PZ_SPEECH_EDGES_H

#include "speech/speech.h"

/** Move slot edges, and the words and phones that meet there, to the quietest zero crossing near by. Errors:
 * the tap's, NOMEM. */
PZ_NODISCARD enum pz_status pz_edges_refine(const struct pz_tap *sound, struct pz_analysis *a);

/** After the phone line covers everything: link words to their phones and measure the pauses beside slots. */
void pz_edges_finish(struct pz_analysis *a);

#endif
