/* Gaussian product kernel: rows, ridge solution, scale. See kernel.h. */
#include "lipsync/kernel.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/order.h"
#include "lipsync/linalg.h"

static float distance2(const float *x, const float *y, int n)
{
    float s = 0;
    for (int i = 0; i < n; i++)
        s += (x[i] - y[i]) * (x[i] - y[i]);
    return s;
}

static double value(const struct pz_kernel *k, const float *xa, const float *xp, int j)
{
    double e = 0;
    if (k->ga > 0)
        e += k->ga * distance2(xa, k->a + (size_t)j * k->da, k->da);
    if (k->gp > 0)
        e += k->gp * distance2(xp, k->p + (size_t)j * k->dp, k->dp);
    return exp(-e);
}

void pz_kernel_row(const struct pz_kernel *k, const float *xa, const float *xp, double *row)
{
    for (int j = 0; j < k->n; j++)
        row[j] = value(k, xa, xp, j);
}

bool pz_kernel_solve(const struct pz_kernel *k, const int *use, int n_use, double lambda, const double *y,
                     int q, double *work, double *alpha)
{
    for (int i = 0; i < n_use; i++) {
        const float *xa = k->a + (size_t)use[i] * k->da, *xp = k->p + (size_t)use[i] * k->dp;
        for (int j = 0; j <= i; j++)
            work[(size_t)i * n_use + j] = value(k, xa, xp, use[j]) + (i == j ? lambda : 0.0);
    }
    if (!pz_linalg_cholesky(work, n_use))
        return false;
    memcpy(alpha, y, (size_t)n_use * q * sizeof *alpha);
    pz_linalg_cholesky_solve(work, n_use, alpha, q);
    return true;
}

enum pz_status pz_kernel_scale(const float *x, int n, int d, float *out)
{
    int m = n < 200 ? n : 200;
    size_t count = 0;
    float *all = pz_calloc((size_t)m * m, sizeof *all);
    if (!all)
        return PZ_ERR_NOMEM;
    for (int i = 0; i < m; i++)
        for (int j = 0; j < i; j++)
            all[count++] =
                distance2(x + (size_t)((int64_t)i * n / m) * d, x + (size_t)((int64_t)j * n / m) * d, d);
    *out = 1.0f;
    if (count > 0) {
        qsort(all, count, sizeof *all, pz_by_float);
        if (all[count / 2] > 1e-6f)
            *out = all[count / 2];
    }
    pz_free(all);
    return PZ_OK;
}
