/**
 * DDIM, as LatentSync runs it: 1000 training steps, scaled-linear β, leading spacing with offset 1,
 * ε-prediction, η = 0, no clipping, ᾱ[0] behind the last step. Latents are plain arrays in any layout.
 *
 * Source  spec/latentsync.md §4; Song 2020 arXiv:2010.02502 eq. 12.
 */
#ifndef PZ_NN_DDIM_H
#define PZ_NN_DDIM_H

#include <stddef.h>

#include "base/log.h"

#define PZ_DDIM_TRAINED 1000

struct pz_ddim {
    float alpha[PZ_DDIM_TRAINED]; /**< cumulative products ᾱ */
    int steps;
};

/** `steps` in [1, 1000]. Errors: USAGE (logged). */
PZ_NODISCARD enum pz_status pz_ddim_init(struct pz_ddim *d, struct pz_log *log, int steps);

/** Timestep of step `k` in [0, steps): falling, for the time embedding. */
int pz_ddim_time(const struct pz_ddim *d, int k);

/** Step `k`: from latent `x` and predicted noise `e`, n values each, to the next latent; `out` may be `x`. */
void pz_ddim_step(const struct pz_ddim *d, int k, const float *x, const float *e, size_t n, float *out);

/** Guidance: out = quiet + g (heard − quiet); `out` may be either. */
void pz_ddim_guide(const float *quiet, const float *heard, float g, size_t n, float *out);

#endif
