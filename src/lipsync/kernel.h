/**
 * Kernel ridge regression on two groups of features (sound, phones) with a product of Gaussians:
 *     k(x, y) = exp(−ga |xa − ya|² − gp |xp − yp|²)
 * Small data only: a dense system of at most a thousand samples. Far from all samples the answer goes to
 * zero, so the caller adds a mean function.
 */
#ifndef PZ_LIPSYNC_KERNEL_H
#define PZ_LIPSYNC_KERNEL_H

#include <stdbool.h>

#include "base/status.h"

struct pz_kernel {
    int n, da, dp;
    const float *a; /**< [n][da] samples, borrowed */
    const float *p; /**< [n][dp] */
    float ga, gp;   /**< ≥ 0; 0 leaves the group out */
};

/** Kernel of one point with every sample: `row` [n]. */
void pz_kernel_row(const struct pz_kernel *k, const float *xa, const float *xp, double *row);

/** Weights of the samples `use` [n_use] (indices into the kernel's): alpha [n_use][q] = (K + λI)⁻¹ Y, Y
 * [n_use][q]. `work` [n_use·n_use]. False when singular (λ not positive). */
PZ_NODISCARD bool pz_kernel_solve(const struct pz_kernel *k, const int *use, int n_use, double lambda,
                                  const double *y, int q, double *work, double *alpha);

/** Median of the squared distances between samples of one group `x` [n][d]; 1 when there is no spread.
 *  Looks at ≤ 200 × 200 pairs. Errors: NOMEM. */
PZ_NODISCARD enum pz_status pz_kernel_scale(const float *x, int n, int d, float *out);

#endif
