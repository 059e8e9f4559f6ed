/** Speech out of everything else: a small network of our own that has learned what is the speaker's in a band
 * (training/sounds says how). Private to src/speech. */
#ifndef PZ_SPEECH_DENOISE_H
#define PZ_SPEECH_DENOISE_H

#include <stdint.h>

#include "base/pool.h"
#include "base/status.h"

/** Take noise, music and other people's voices out of mono PZ_SPEECH_RATE sound `x` [n] of one speaker, in
 * place: a gain a band and 5 ms, as close to the ideal Wiener filter's as the network gets, 34 dB at most.
 * Echoes stay. The same for every `pool` (NULL: this thread alone). For recognisers: it is no sound for a
 * film. Errors: NOMEM. */
PZ_NODISCARD enum pz_status pz_denoise(float *x, int64_t n, struct pz_pool *pool);

#endif
