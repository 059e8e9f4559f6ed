/** Sound as overlapping spectra and back, for gains that change with time and frequency. Private to
 * src/speech. */
#ifndef PZ_SPEECH_STFT_H
#define PZ_SPEECH_STFT_H

#include <stdbool.h>
#include <stdint.h>

#define PZ_STFT_N 512
#define PZ_STFT_HOP 128
#define PZ_STFT_BINS (PZ_STFT_N / 2 + 1)

struct pz_fft;

/** A transform of PZ_STFT_N samples with a sine window before and behind it. Plain owned: pz_stft_free(). One
 * thread at a time. */
struct pz_stft {
    struct pz_fft *fft; /**< NULL: no memory */
    float window[PZ_STFT_N];
};

/** Returns false when there is no memory. */
bool pz_stft_make(struct pz_stft *s);
void pz_stft_free(struct pz_stft *s);

/** Spectrum (real, imaginary) of the frame in whose middle sample t · PZ_STFT_HOP of x [n] lies; nothing lies
 * beyond the ends. */
void pz_stft_read(const struct pz_stft *s, const float *x, int64_t n, int64_t t,
                  float spec[2 * PZ_STFT_BINS]);

/** Multiply its bins by `gain` and add what that sounds like to out [n]. With gains of 1 all frames that
 * touch x, from −1 on, add up to x; without frame −1 the first PZ_STFT_N / 2 samples come out softer. */
void pz_stft_add(const struct pz_stft *s, const float spec[2 * PZ_STFT_BINS], const float gain[PZ_STFT_BINS],
                 int64_t t, float *out, int64_t n);

#endif
