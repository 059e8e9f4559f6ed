/* DPM-Solver++(2M) on plain arrays. */
#include "nn/dpm.h"

#include <math.h>

/* So few steps or fewer end with one of first order: the last change of log-SNR is the largest, and the slope
 * between the two estimates before it says nothing about it. */
#define FEW 14

enum pz_status pz_dpm_init(struct pz_dpm *d, struct pz_log *messages, int steps, int first)
{
    struct pz_ddim table;
    if (steps < 1 || steps > PZ_DPM_MAX_STEPS || first < steps || first >= PZ_DDIM_TRAINED)
        return pz_fail(messages, PZ_ERR_USAGE, "%d diffusion steps: 1 to %d can be made", steps,
                       PZ_DPM_MAX_STEPS);
    enum pz_status st = pz_ddim_init(&table, messages, 1);
    if (st < PZ_OK)
        return st;
    d->steps = steps;
    for (int k = 0; k <= steps; k++) {
        int t = (int)lrint((double)first * (steps - k) / steps);
        t = t < steps - k ? steps - k : t;
        double a = table.alpha[t];
        d->time[k] = t;
        d->signal[k] = sqrt(a);
        d->noise[k] = sqrt(1 - a);
        d->lambda[k] = 0.5 * log(a / (1 - a));
    }
    return PZ_OK;
}

void pz_dpm_step(const struct pz_dpm *d, int k, const float *x, const float *e, size_t n, float *clean,
                 float *out)
{
    double h = d->lambda[k + 1] - d->lambda[k], past = 0;
    if (k > 0 && (k + 1 < d->steps ||
                  d->steps > FEW)) // half the slope between the two estimates, in parts of the step before
        past = h / (2 * (d->lambda[k] - d->lambda[k - 1]));
    double keep = d->noise[k + 1] / d->noise[k], add = -d->signal[k + 1] * expm1(-h);
    double from_x = 1 / d->signal[k], from_e = -d->noise[k] / d->signal[k];
    for (size_t i = 0; i < n; i++) {
        double now = from_x * x[i] + from_e * e[i];
        double aim = past > 0 ? now + past * (now - clean[i]) : now;
        out[i] = (float)(keep * x[i] + add * aim);
        clean[i] = (float)now;
    }
}
