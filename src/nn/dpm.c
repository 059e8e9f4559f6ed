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
    d->corrects = false;
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

/* The step that led to `x` once more, with what the network says there: UniC of second order (of first behind
 * the first step), B(h) = e^h − 1 in data prediction's sign. */
static void correct(const struct pz_dpm *d, int k, size_t n, const float *now, const float *past, float *x)
{
    const float *clean = past, *before = past + n, *last = past + 2 * n;
    double h = d->lambda[k] - d->lambda[k - 1], b = expm1(-h), own = 0.5, older = 0;
    if (k > 1) { // weights of the two slopes: [1 1; r 1] · (older, own) = (b1, b2)
        double r = (d->lambda[k - 2] - d->lambda[k - 1]) / h;
        double phi = b / -h - 1, b1 = phi / b, b2 = 2 * (phi / -h - 0.5) / b;
        older = (b1 - b2) / (1 - r);
        own = b1 - older;
        older /= r;
    }
    double keep = d->noise[k] / d->noise[k - 1], add = -d->signal[k] * b;
    for (size_t i = 0; i < n; i++)
        x[i] = (float)(keep * last[i] + add * (clean[i] + older * ((double)before[i] - clean[i]) +
                                               own * ((double)now[i] - clean[i])));
}

void pz_dpm_step(const struct pz_dpm *d, int k, const float *e, size_t n, float *past, float *x)
{
    float *clean = past, *before = past + n, *last = past + 2 * n, *now = past + 3 * n;
    double h = d->lambda[k + 1] - d->lambda[k], slope = 0;
    if (k > 0 && (k + 1 < d->steps ||
                  d->steps > FEW)) // half the slope between the two estimates, in parts of the step before
        slope = h / (2 * (d->lambda[k] - d->lambda[k - 1]));
    double keep = d->noise[k + 1] / d->noise[k], add = -d->signal[k + 1] * expm1(-h);
    double from_x = 1 / d->signal[k], from_e = -d->noise[k] / d->signal[k];
    for (size_t i = 0; i < n; i++)
        now[i] = (float)(from_x * x[i] + from_e * e[i]);
    if (d->corrects && k > 0)
        correct(d, k, n, now, past, x);
    for (size_t i = 0; i < n; i++) {
        double aim = slope > 0 ? now[i] + slope * ((double)now[i] - clean[i]) : now[i];
        last[i] = x[i];
        x[i] = (float)(keep * x[i] + add * aim);
        before[i] = k > 0 ? clean[i] : now[i];
        clean[i] = now[i];
    }
}
