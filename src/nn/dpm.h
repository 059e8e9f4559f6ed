/**
 * DPM-Solver++(2M) on the schedule of nn/ddim.h: the same equation solved in fewer steps, each using the
 * network's answer of the step before as well. Data prediction, deterministic, evenly laid from the published
 * first timestep down to ᾱ[0], where DDIM ends too, so that both approach the same latent. A short schedule
 * ends with a step of first order.
 *
 * Source  Lu et al. 2022, arXiv:2211.01095, algorithm 2.
 */
#ifndef PZ_NN_DPM_H
#define PZ_NN_DPM_H

#include "nn/ddim.h"

#define PZ_DPM_MAX_STEPS 100

struct pz_dpm {
    int steps;
    int time[PZ_DPM_MAX_STEPS + 1];                                   /**< falling from `first` to 0 */
    double lambda[PZ_DPM_MAX_STEPS + 1];                              /**< log √(ᾱ/(1−ᾱ)) */
    double signal[PZ_DPM_MAX_STEPS + 1], noise[PZ_DPM_MAX_STEPS + 1]; /**< √ᾱ, √(1−ᾱ) */
};

/** `steps` in [1, PZ_DPM_MAX_STEPS], `first` in [steps, 999]: the timestep noise is taken for. Errors: USAGE
 * (logged). */
PZ_NODISCARD enum pz_status pz_dpm_init(struct pz_dpm *d, struct pz_log *log, int steps, int first);

/** Step `k` in [0, steps), in order: from latent `x` and predicted noise `e`, n values each, to the next one.
 * `clean` [n] carries the estimate of the step before (not read at step 0). `out` may be `x`. */
void pz_dpm_step(const struct pz_dpm *d, int k, const float *x, const float *e, size_t n, float *clean,
                 float *out);

#endif
