/**
 * Paths: what is done to a motion over time — smoothing, silence, closures. All on m [n][k] with frame times
 * in seconds, ascending.
 */
#ifndef PZ_LIPSYNC_MOTION_PATH_H
#define PZ_LIPSYNC_MOTION_PATH_H

#include "lipsync/motion_sound.h"
#include "lipsync/motion_space.h"
#include "lipsync/viseme.h"

/** Smooth in place without lag: per component min Σ h (x−m)² + λ1 Σ h (x')² + λ2 Σ h (x'')², derivatives in
 * units of 1/25 s, h the time a frame stands for; uneven times are fine. λ1 = 0.015, λ2 = 0.1 takes out
 * tracker and frame noise above ≈ 9 Hz. Also serves as jitter filter of tracked motion. Errors: NOMEM. */
PZ_NODISCARD enum pz_status pz_motion_smooth(const double *times, int n, int k, double lambda1,
                                             double lambda2, float *m);

/** Where the mouth rests: `weight` [n] in [0,1] for every time. Silence is phone SIL (if there are phones)
 * and energy below `quiet`, for more than 180 ms (or at an edge of the sound); the mouth goes to rest 120 ms
 * after it begins and opens 80 ms before it ends. Silent phones from a synthesiser need no quiet sound. */
void pz_motion_rest_weights(const struct pz_viseme_line *line, const struct pz_sound_track *sound,
                            float quiet, const double *times, int n, float *weight);

/** Least change of one frame's m [k] that brings its linear gap down to `target` within the box (as far as
 * the box allows). */
void pz_motion_lower_gap(const struct pz_motion_space *s, double target, float *m);

/** Close the lips at p, b, m (linear gap ≤ closed) and lower the gap at f, v, by the least change of m that
 * does it and stays in the box, spread over 60 ms on both sides. `strength` [n] in [0,1] or NULL (1) scales
 * the change. */
void pz_motion_close(const struct pz_motion_space *s, const struct pz_viseme_line *line, const double *times,
                     int n, const float *strength, float *m);

#endif
