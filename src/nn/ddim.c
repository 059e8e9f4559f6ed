/* DDIM steps on plain arrays. The tables are made in single precision, as the published scheduler's are. */
#include "nn/ddim.h"

#include <math.h>

enum pz_status pz_ddim_init(struct pz_ddim *d, struct pz_log *log, int steps)
{
    if (steps < 1 || steps > PZ_DDIM_TRAINED)
        return pz_fail(log, PZ_ERR_USAGE, "%d diffusion steps: 1 to %d can be made", steps, PZ_DDIM_TRAINED);
    const double from = sqrt(0.00085), to = sqrt(0.012);
    float product = 1;
    for (int t = 0; t < PZ_DDIM_TRAINED; t++) {
        float root = (float)(from + (to - from) * t / (PZ_DDIM_TRAINED - 1));
        product *= 1.0f - root * root;
        d->alpha[t] = product;
    }
    d->steps = steps;
    return PZ_OK;
}

int pz_ddim_time(const struct pz_ddim *d, int k)
{
    int t = (d->steps - 1 - k) * (PZ_DDIM_TRAINED / d->steps) + 1;
    return t < PZ_DDIM_TRAINED ? t : PZ_DDIM_TRAINED - 1; /* 1000 steps: the offset would leave the table */
}

void pz_ddim_step(const struct pz_ddim *d, int k, const float *x, const float *e, size_t n, float *out)
{
    int t = pz_ddim_time(d, k), before = t - PZ_DDIM_TRAINED / d->steps;
    double now = d->alpha[t], next = d->alpha[before < 0 ? 0 : before];
    double keep = sqrt(next / now), noise = sqrt(1 - next) - keep * sqrt(1 - now);
    for (size_t i = 0; i < n; i++)
        out[i] = (float)(keep * x[i] + noise * e[i]);
}

void pz_ddim_guide(const float *quiet, const float *heard, float g, size_t n, float *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = quiet[i] + g * (heard[i] - quiet[i]);
}
