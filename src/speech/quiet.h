/** Steady noise taken out before listening. Private to src/speech. */
#ifndef PZ_SPEECH_QUIET_H
#define PZ_SPEECH_QUIET_H

#include <stdint.h>

#include "base/status.h"

/** Take steady noise out of mono PZ_SPEECH_RATE sound, in place; sound whose noise lies 22 dB or more below
 * its speech is left bit for bit. Only recognition hears the result. `*snr_db`: speech over that noise (less
 * than a second: 60). Errors: NOMEM.
 */
PZ_NODISCARD enum pz_status pz_quiet(float *x, int64_t n, double *snr_db);

#endif
