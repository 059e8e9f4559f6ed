/**
 * What every 5 ms of sound is: a small network of our own that knows the 39 phones and silence in noise,
 * music, echo and among other voices (training/sounds says how it was taught), and edges moved to where it
 * and the usual lengths of phones agree. Words are not its business: which phones there are, and in what
 * order, the aligner has found. Private to src/speech.
 */
#ifndef PZ_SPEECH_SOUNDS_H
#define PZ_SPEECH_SOUNDS_H

#include "speech/line.h"

/** Samples between two frames; frame t stands for the sound around sample t · PZ_SOUNDS_HOP. */
#define PZ_SOUNDS_HOP 80

/** Natural logarithms of the probabilities of all phones, at `*logp` [frames][PZ_PH_COUNT] (free with
 * pz_free(); PZ_PH_AX has AH's), frames = n / PZ_SOUNDS_HOP. Mono PZ_SPEECH_RATE sound, noise and all, of one
 * speaker at one level. Errors: NOMEM. */
PZ_NODISCARD enum pz_status pz_sounds_listen(const float *samples, int64_t n, float **logp, int64_t *frames);

/** Move the edges of phones [first_phone, end) and words [first_word, end) of a stretch of sound (`samples`
 * [n], sample 0 at film time `at`) that the aligner has placed; `snr_db` as pz_quiet() says. Pauses may
 * vanish. The words' first_phone and n_phones are kept right. Errors: NOMEM. */
PZ_NODISCARD enum pz_status pz_sounds_settle(const float *samples, int64_t n, int64_t at, double snr_db,
                                             struct pz_phone_line *phones, int first_phone,
                                             struct pz_words *words, int first_word);

#endif
