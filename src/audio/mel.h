/**
 * Fourier transforms and log-mel spectrograms on plain float arrays.
 */
#ifndef PZ_AUDIO_MEL_H
#define PZ_AUDIO_MEL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"

struct pz_fft;

/** Plan a real FFT of `n` points, a power of two in [4, 65536]. NULL on anything else or no memory.
 * Immutable, may be shared by threads. */
struct pz_fft *pz_fft_create(int n);
void pz_fft_destroy(struct pz_fft **f);

/** Forward: `in` [n] real → `out` [n/2+1][2] (re, im), unnormalised, e^(−i…). May not alias. Scratch-free. */
void pz_fft_real(const struct pz_fft *f, const float *in, float *out);
/** Inverse of pz_fft_real(), scaled by 1/n: `in` [n/2+1][2] → `out` [n]. `in` is kept. May not alias. */
void pz_fft_real_inverse(const struct pz_fft *f, const float *in, float *out);

enum pz_mel_scale { PZ_MEL_SLANEY, PZ_MEL_HTK };

/** What lies beyond both ends of the sound when frames are centred. */
enum pz_mel_pad {
    PZ_MEL_PAD_REFLECT, /**< mirrored, the edge sample not repeated (librosa < 0.9, torch.stft) */
    PZ_MEL_PAD_ZERO     /**< zeros (librosa ≥ 0.9) */
};

struct pz_mel_params {
    int rate;  /**< Hz */
    int n_fft; /**< 2^a·3^b·5^c, 4 … 8192 */
    int win;   /**< ≤ n_fft, periodic Hann, centred in n_fft */
    int hop;
    int n_mels;
    float fmin, fmax; /**< Hz; fmax 0 = rate/2 */
    enum pz_mel_scale scale;
    bool slaney_norm; /**< divide each triangle by its width in Hz (librosa norm="slaney") */
    bool center;      /**< frame t is centred on sample t·hop, padded at both ends; else it starts there */
    float power;      /**< 1 magnitude, 2 power */
    enum pz_mel_pad pad;
    double preemphasis; /**< y[n] = x[n] − preemphasis·x[n−1], y[0] = x[0]; 0 = none */
};

struct pz_mel;

/** Plan a mel transform. Errors: USAGE (logged), NOMEM. Immutable apart from its scratch: one thread at a
 * time. */
PZ_NODISCARD enum pz_status pz_mel_create(struct pz_log *log, const struct pz_mel_params *p,
                                          struct pz_mel **m);
void pz_mel_destroy(struct pz_mel **m);

/** Frames that `n` samples give. center: 1 + n/hop; else 1 + (n − n_fft)/hop, 0 if too short. */
int64_t pz_mel_frames(const struct pz_mel *m, int64_t n);

/**
 * Mel energies (linear, no log) of frames [t0, t0+n_t): `out` [n_t][n_mels].
 *
 * `samples` [n] is the whole sound; it is taken to go on with `n_zero` zeros (Whisper's padding to 30 s),
 * which cost nothing. Transforms run in double precision, their results are rounded to float as the reference
 * code does.
 */
void pz_mel_run(struct pz_mel *m, const float *samples, int64_t n, int64_t n_zero, int64_t t0, int64_t n_t,
                float *out);

/** Natural, base-10 or decibel logarithm in place with a floor: x = scale·log10(max(x, floor)). */
void pz_log10_scale(float *x, int64_t n, float floor_value, float scale);

#endif
