/**
 * Tracks over time and small measurements: energy, zero crossings, loudness, pitch, long-term spectrum.
 * All functions take mono float samples in [-1,1] and keep nothing.
 */
#ifndef PZ_AUDIO_TRACK_H
#define PZ_AUDIO_TRACK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"

/** RMS of windows of `win` samples centred on t·hop, t in [0, n_t): `out` [n_t]; outside samples count as
 * zero. */
void pz_rms_track(const float *x, int64_t n, int win, int hop, float *out, int64_t n_t);

/** RMS of a whole stretch, 0 for n ≤ 0. */
double pz_rms(const float *x, int64_t n);

/** Sample index in [lo, hi] nearest to `at` where the signal crosses zero (the smaller of the two samples);
 * `at` clamped when there is none. Indexes are into x [n]. */
int64_t pz_zero_crossing(const float *x, int64_t n, int64_t at, int64_t lo, int64_t hi);

/** Integrated loudness in LUFS (EBU R 128 through libebur128, gated; short stretches are measured ungated).
 *  `interleaved` [n][channels]. −70 for silence or less than 100 ms. */
double pz_loudness(const float *interleaved, int64_t n, int rate, int channels);

/** One frame of a pitch track. */
struct pz_pitch {
    float hz;      /**< 0 = unvoiced */
    float voicing; /**< [0,1] clarity of the period */
};

/** Pitch by YIN (de Cheveigné & Kawahara 2002) with an octave-repairing smoother. Frame t is centred on
 * t·hop. fmin ≥ 40 Hz. `out` [n_t]. Errors: NOMEM, USAGE. */
PZ_NODISCARD enum pz_status pz_pitch_track(const float *x, int64_t n, int rate, int hop, float fmin,
                                           float fmax, struct pz_pitch *out, int64_t n_t);

struct pz_pitch_stats {
    double median_hz; /**< 0 = no voiced frame */
    double p10_hz, p90_hz;
    double range_st; /**< 10th to 90th percentile in semitones */
    double voiced;   /**< share of frames */
};

/** Statistics of the voiced frames with voicing ≥ 0.5. */
struct pz_pitch_stats pz_pitch_stats(const struct pz_pitch *p, int64_t n);

#define PZ_LTAS_BANDS 22 /**< third octaves 80 Hz … 10 kHz */
/** Centre frequency of a band in Hz. */
double pz_ltas_hz(int band);
/** Long-term average spectrum of the frames within 25 dB of the loud ones (90th percentile): level of each
 * third-octave band in dB (mean power), −120 where the rate does not reach. Errors: NOMEM. */
PZ_NODISCARD enum pz_status pz_ltas(const float *x, int64_t n, int rate, double out_db[PZ_LTAS_BANDS]);

#endif
