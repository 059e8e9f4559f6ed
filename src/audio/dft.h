/**
 * Fourier transforms of any length 2^a·3^b·5^c in double precision, eight real frames at a time: what front
 * ends of networks need (400, 512 and 800 points), exact to the last bits of a float.
 */
#ifndef PZ_AUDIO_DFT_H
#define PZ_AUDIO_DFT_H

#include <stddef.h>

/** Complex transforms that run side by side, one a vector lane. */
#define PZ_DFT_LANES 2
/** Real frames of one call: each complex transform carries two. */
#define PZ_DFT_FRAMES (2 * PZ_DFT_LANES)

struct pz_dft;

/** Plan for `n` points in [2, 8192]. NULL when n has another prime factor, or on no memory. Immutable, may be
 * shared. */
struct pz_dft *pz_dft_create(int n);
void pz_dft_destroy(struct pz_dft **d);

/** Doubles in each of the two work arrays of a call: n · 2 · PZ_DFT_LANES. */
size_t pz_dft_work(const struct pz_dft *d);

/**
 * Forward transforms of PZ_DFT_FRAMES real frames, e^(−i…), unnormalised.
 *
 * Layout   work [n][2][LANES]: frame f is written by the caller to work[i][f / LANES][f % LANES]; both arrays
 * are overwritten (64-byte aligned, as pz_calloc() gives) Shapes   re, im [n/2+1][PZ_DFT_FRAMES]
 */
void pz_dft_real(const struct pz_dft *d, double *work, double *other, double *re, double *im);

#endif
