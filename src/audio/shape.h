/**
 * Changing sound: resampling, time stretch, pitch (TD-PSOLA), equaliser, cross-fade. Mono unless said
 * otherwise.
 */
#ifndef PZ_AUDIO_SHAPE_H
#define PZ_AUDIO_SHAPE_H

#include <stdint.h>

#include "audio/track.h"
#include "base/log.h"

/** Resample a whole stretch (windowed sinc, Kaiser, ≥ 80 dB stop band; edges see zeros). `*out` [*n_out],
 * n_out = ceil(n·to/from), freed with pz_free(). Sample i of the output is time i/to exactly (no delay).
 * Errors: USAGE, NOMEM. */
PZ_NODISCARD enum pz_status pz_resample(const float *x, int64_t n, int from, int to, float **out,
                                        int64_t *n_out);

/** Change duration by `factor` (out/in, 0.5–2) without changing pitch, by libsonic. `*n_out` is exactly
 *  round(n·factor) (padded or trimmed by at most a pitch period of the faded tail). Errors: USAGE, NOMEM,
 * INTERNAL. */
PZ_NODISCARD enum pz_status pz_stretch(const float *x, int64_t n, int rate, double factor, float **out,
                                       int64_t *n_out);

/** Change pitch with time and formants kept, by TD-PSOLA on the given track (hop as tracked): frame t's pitch
 * becomes target[t] Hz (0 = leave). `out` [n]. Errors: NOMEM. */
PZ_NODISCARD enum pz_status pz_psola(const float *x, int64_t n, int rate, const struct pz_pitch *track,
                                     int64_t n_t, int hop, const float *target_hz, float *out);

/** Linear-phase FIR that adds gain_db[band] (third octaves of pz_ltas_hz(), smoothed) to `x` in place; no
 * delay. Errors: NOMEM. */
PZ_NODISCARD enum pz_status pz_eq_apply(float *x, int64_t n, int rate, const double gain_db[PZ_LTAS_BANDS]);

/** Equal-power gains of a cross-fade at position u in [0,1]. */
void pz_fade_gains(double u, float *out_gain, float *in_gain);

/** Cross-fade `n` frames: out = a·cos + b·sin (equal power). All [n][channels]; out may alias either. */
void pz_crossfade(const float *a, const float *b, float *out, int64_t n, int channels);

#endif
