/** Mix a word into its span. Private to src/speech. */
#ifndef PZ_SPEECH_JOIN_H
#define PZ_SPEECH_JOIN_H

#include "speech/dub.h"
#include "speech/fit.h"
#include "speech/match.h"

/** Render plan->n interleaved frames: template fading out at both ends, room tone under all, the word (mono,
 * tap rate, plan->word_n samples, final level) with the speaker's panning. Errors: NOMEM, the tap's. */
PZ_NODISCARD enum pz_status pz_join_render(const struct pz_dub_params *p, const struct pz_speaker *s,
                                           const struct pz_fit_plan *plan, const float *word, float *out);

#endif
