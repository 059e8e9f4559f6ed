/** How a word of one length goes into a slot of another. Private to src/speech. */
#ifndef PZ_SPEECH_FIT_H
#define PZ_SPEECH_FIT_H

#include "speech/dub.h"

struct pz_fit_input {
    int rate;
    int64_t start, end;                /**< slot, template samples */
    int64_t pause_before, pause_after; /**< silence that touches it */
    int64_t limit_start, limit_end;    /**< nothing outside may be touched */
    int64_t word;                      /**< samples of the new word at its natural speed */
    enum pz_fit fit;
    struct pz_rational frame; /**< seconds; {0, 1} = any length */
};

/** Decide. Errors: UNUSABLE (logged: how much is missing, what would do). */
PZ_NODISCARD enum pz_status pz_fit_decide(const struct pz_fit_input *in, struct pz_log *log,
                                          struct pz_fit_plan *plan);

/** Samples of one cross-fade. */
int64_t pz_fit_fade(int rate);

#endif
