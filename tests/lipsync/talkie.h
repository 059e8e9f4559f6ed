/**
 * A talking puppet film for tests: a random phone line, sound whose spectrum follows the visemes, and faces
 * whose mouth follows the same visemes with dominance blending. Everything is known exactly.
 */
#ifndef PZ_TEST_TALKIE_H
#define PZ_TEST_TALKIE_H

#include "lipsync/engine.h"
#include "puppet.h"

struct talkie {
    int n_frames;
    double fps;
    double sound_late; /**< seconds by which the sound lags the picture */
    struct pz_face *faces;
    struct puppet_mouth *mouth;
    float *speech;
    int64_t n_speech;
    struct pz_phone *phones;
    int n_phones;
    int64_t *frames;
};

/** Make a film of `seconds`; `noise_px` shakes the tracked points. Phones end with 2.5 s of silence if
 * `tail`. */
struct talkie *talkie_make(double seconds, double fps, double sound_late, float noise_px, int tail,
                           uint64_t seed);
void talkie_free(struct talkie **t);

/** View as a film whose first `n_fit` frames may be learned from. */
struct pz_film talkie_film(const struct talkie *t, int64_t n_fit, int with_phones);

/** Known mouth of a viseme. */
struct puppet_mouth talkie_shape(int viseme);

#endif
