/** Who speaks: do these lips open with this sound? */
#ifndef PZ_FACE_SPEAKER_H
#define PZ_FACE_SPEAKER_H

#include "face/tracker_impl.h"

#define PZ_SPEAKER_LEAST 0.1f

/**
 * How much a person's lips move with the sound, −1 … 1: the correlation of the speed of the inner lips'
 * opening with loudness, at its best lag (the sound up to 4 frames early, 2 late). `loudness` as in struct
 * pz_face_choice. 0 when fewer than 25 frames are there. Errors: NOMEM.
 */
PZ_NODISCARD enum pz_status pz_speaker_score(const struct pz_tick *ticks, int64_t n,
                                             float (*loudness)(void *user, int64_t frame), void *user,
                                             float *score);

#endif
