/**
 * DPM-Solver++(2M) on the schedule of nn/ddim.h: the same equation solved in fewer steps, each using the
 * network's answer of the step before as well. Data prediction, deterministic, evenly laid from the published
 * first timestep down to ᾱ[0], where DDIM ends too, so that both approach the same latent. A short schedule
 * ends with a step of first order. On request each step is done once more with the answer that follows it
 * (UniC), at no evaluation more.
 *
 * Source  Lu et al. 2022, arXiv:2211.01095, algorithm 2; Zhao et al. 2023, arXiv:2302.04867, algorithm 1.
 */
#ifndef PZ_NN_DPM_H
#define PZ_NN_DPM_H

#include <stdbool.h>

#include "nn/ddim.h"

#define PZ_DPM_MAX_STEPS 100

struct pz_dpm {
    int steps;
    bool corrects;                  /**< see above; the caller's to set behind pz_dpm_init() (false there) */
    int time[PZ_DPM_MAX_STEPS + 1]; /**< falling from `first` to 0 */
    double lambda[PZ_DPM_MAX_STEPS + 1];                              /**< log √(ᾱ/(1−ᾱ)) */
    double signal[PZ_DPM_MAX_STEPS + 1], noise[PZ_DPM_MAX_STEPS + 1]; /**< √ᾱ, √(1−ᾱ) */
};

/** `steps` in [1, PZ_DPM_MAX_STEPS], `first` in [steps, 999]: the timestep noise is taken for. Errors: USAGE
 * (logged). */
PZ_NODISCARD enum pz_status pz_dpm_init(struct pz_dpm *d, struct pz_log *log, int steps, int first);

/** Floats a value that `past` of pz_dpm_step() has room for. */
#define PZ_DPM_PAST 4

/** Step `k` in [0, steps), in order: from latent `x` and noise `e` predicted there, n values each, to the
 * next latent in `x`. `past` [PZ_DPM_PAST · n] carries what the steps before left (not read at step 0). */
void pz_dpm_step(const struct pz_dpm *d, int k, const float *e, size_t n, float *past, float *x);

#endif
