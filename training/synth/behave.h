/** Behaviour: head, gaze, blinks, brows, breath and the mouth of a whole clip, frame by frame. */
#ifndef PZ_SYN_BEHAVE_H
#define PZ_SYN_BEHAVE_H

#include "scene.h"
#include "speech.h"

/** How a person speaks; all zero but style 1 is the film's. */
struct pz_syn_manner {
    float style;       /**< opening of vowels, 1 neutral */
    float smile, lids; /**< added to smile and to the lids' rest */
};

/** `manner` NULL: neutral. States of `n` frames at `fps` for speech `s`, into out [n]. Frame i is time i/fps.
 * Deterministic in (seed, person). Errors: NOMEM. */
PZ_NODISCARD enum pz_status pz_syn_behave(struct pz_log *log, const struct pz_syn_rig *rig,
                                          const struct pz_syn_speech *s, const struct pz_syn_manner *manner,
                                          uint64_t seed, uint64_t person, float fps, int n,
                                          struct pz_syn_state *out);

#endif
