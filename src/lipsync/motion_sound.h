/**
 * Sound as the motion model sees it: a few cepstra and the energy, a hundred times a second.
 */
#ifndef PZ_LIPSYNC_MOTION_SOUND_H
#define PZ_LIPSYNC_MOTION_SOUND_H

#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"

#define PZ_SOUND_CEPSTRA 10
#define PZ_SOUND_TAPS 3 /**< looked at 40 ms before, at, 40 ms after */
#define PZ_SOUND_DIM (PZ_SOUND_CEPSTRA * PZ_SOUND_TAPS)
#define PZ_SOUND_HOP 160 /**< samples: 100 frames a second at 16 kHz */

struct pz_sound_track {
    int64_t n;      /**< frames; frame i is centred on sample i·PZ_SOUND_HOP */
    float *cepstra; /**< [n][PZ_SOUND_CEPSTRA], smoothed over 40 ms, not normalised */
    float *energy;  /**< [n] mean log mel energy, natural log, smoothed over 50 ms */
};

/** Analyse mono 16 kHz sound. Values that are not finite count as silence. Errors: NOMEM; UNUSABLE for n < 1.
 *  Free with pz_sound_track_free(). */
PZ_NODISCARD enum pz_status pz_sound_track_make(struct pz_log *log, const float *samples, int64_t n,
                                                struct pz_sound_track *out);
void pz_sound_track_free(struct pz_sound_track *t);

/** Normalised, weighted features at `t` seconds (linear between frames, clamped at the ends): (c − mean)/std,
 * higher cepstra counting less. `out` [PZ_SOUND_DIM]. */
void pz_sound_features(const struct pz_sound_track *s, double t, const float mean[PZ_SOUND_CEPSTRA],
                       const float std[PZ_SOUND_CEPSTRA], float *out);

/** Mean and standard deviation of the cepstra over [from, to) seconds (the whole track if that is empty). */
void pz_sound_stats(const struct pz_sound_track *s, double from, double to, float mean[PZ_SOUND_CEPSTRA],
                    float std[PZ_SOUND_CEPSTRA]);

/** Energy at `t` seconds. */
float pz_sound_energy(const struct pz_sound_track *s, double t);

#endif
