/*
 * Cholesky (dense, banded), Jacobi eigenvalues, block power iteration, ridge. Straight textbook forms: the
 * largest matrix here has a few hundred rows and is handled once per film, so clarity beats blocking.
 */
#include "lipsync/linalg.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"

/* Four partial sums: the compiler may not reorder one, and this is where the time goes. */
static double dot(const double *a, const double *b, int n)
{
    double s0 = 0, s1 = 0, s2 = 0, s3 = 0;
    int k = 0;
    for (; k + 4 <= n; k += 4) {
        s0 += a[k] * b[k];
        s1 += a[k + 1] * b[k + 1];
        s2 += a[k + 2] * b[k + 2];
        s3 += a[k + 3] * b[k + 3];
    }
    for (; k < n; k++)
        s0 += a[k] * b[k];
    return (s0 + s1) + (s2 + s3);
}

bool pz_linalg_cholesky(double *a, int n)
{
    for (int i = 0; i < n; i++) {
        double *ai = a + (size_t)i * n;
        for (int j = 0; j <= i; j++) {
            const double *aj = a + (size_t)j * n;
            double s = ai[j] - dot(ai, aj, j);
            if (i == j) {
                if (!(s > 0.0))
                    return false;
                ai[i] = sqrt(s);
            } else {
                ai[j] = s / aj[j];
            }
        }
    }
    return true;
}

void pz_linalg_cholesky_solve(const double *l, int n, double *b, int n_rhs)
{
    for (int i = 0; i < n; i++) {
        double *bi = b + (size_t)i * n_rhs;
        for (int k = 0; k < i; k++) {
            double v = l[(size_t)i * n + k];
            const double *bk = b + (size_t)k * n_rhs;
            for (int r = 0; r < n_rhs; r++)
                bi[r] -= v * bk[r];
        }
        for (int r = 0; r < n_rhs; r++)
            bi[r] /= l[(size_t)i * n + i];
    }
    for (int i = n - 1; i >= 0; i--) {
        double *bi = b + (size_t)i * n_rhs;
        for (int k = i + 1; k < n; k++) {
            double v = l[(size_t)k * n + i];
            const double *bk = b + (size_t)k * n_rhs;
            for (int r = 0; r < n_rhs; r++)
                bi[r] -= v * bk[r];
        }
        for (int r = 0; r < n_rhs; r++)
            bi[r] /= l[(size_t)i * n + i];
    }
}

bool pz_linalg_band_cholesky(double *band, int n, int bw)
{
    int w = bw + 1;
    for (int i = 0; i < n; i++) {
        for (int d = i < bw ? i : bw; d >= 0; d--) {
            int j = i - d;
            double s = band[(size_t)i * w + d];
            int first = i - bw > 0 ? i - bw : 0; /* row j holds columns from j-bw ≤ i-bw on */
            for (int k = first; k < j; k++)
                s -= band[(size_t)i * w + (i - k)] * band[(size_t)j * w + (j - k)];
            if (d == 0) {
                if (!(s > 0.0))
                    return false;
                band[(size_t)i * w] = sqrt(s);
            } else {
                band[(size_t)i * w + d] = s / band[(size_t)j * w];
            }
        }
    }
    return true;
}

void pz_linalg_band_solve(const double *band, int n, int bw, double *x)
{
    int w = bw + 1;
    for (int i = 0; i < n; i++) {
        for (int d = 1; d <= bw && d <= i; d++)
            x[i] -= band[(size_t)i * w + d] * x[i - d];
        x[i] /= band[(size_t)i * w];
    }
    for (int i = n - 1; i >= 0; i--) {
        for (int d = 1; d <= bw && i + d < n; d++)
            x[i] -= band[(size_t)(i + d) * w + d] * x[i + d];
        x[i] /= band[(size_t)i * w];
    }
}

/* One Jacobi rotation in the plane (p, q), applied to A from both sides and to the rows of V. */
static void rotate(double *a, double *v, int n, int p, int q)
{
    double apq = a[(size_t)p * n + q];
    double theta = (a[(size_t)q * n + q] - a[(size_t)p * n + p]) / (2.0 * apq);
    double t = (theta >= 0 ? 1.0 : -1.0) / (fabs(theta) + sqrt(theta * theta + 1.0));
    double c = 1.0 / sqrt(t * t + 1.0), s = t * c;
    for (int k = 0; k < n; k++) {
        double x = a[(size_t)k * n + p], y = a[(size_t)k * n + q];
        a[(size_t)k * n + p] = c * x - s * y;
        a[(size_t)k * n + q] = s * x + c * y;
    }
    for (int k = 0; k < n; k++) {
        double x = a[(size_t)p * n + k], y = a[(size_t)q * n + k];
        a[(size_t)p * n + k] = c * x - s * y;
        a[(size_t)q * n + k] = s * x + c * y;
        x = v[(size_t)p * n + k];
        y = v[(size_t)q * n + k];
        v[(size_t)p * n + k] = c * x - s * y;
        v[(size_t)q * n + k] = s * x + c * y;
    }
}

/* Make the sign of a unit vector a matter of its content alone: eigenvectors are otherwise free to flip. */
static void fix_sign(double *v, int n)
{
    int best = 0;
    for (int i = 1; i < n; i++)
        if (fabs(v[i]) > fabs(v[best]) + 1e-12)
            best = i;
    if (v[best] < 0)
        for (int i = 0; i < n; i++)
            v[i] = -v[i];
}

void pz_linalg_jacobi(double *a, int n, double *values, double *vectors)
{
    memset(vectors, 0, (size_t)n * n * sizeof *vectors);
    for (int i = 0; i < n; i++)
        vectors[(size_t)i * n + i] = 1.0;
    double total = 0.0;
    for (size_t i = 0; i < (size_t)n * n; i++)
        total += a[i] * a[i];
    for (int sweep = 0; sweep < 60; sweep++) {
        double off = 0.0;
        for (int p = 0; p < n; p++)
            for (int q = p + 1; q < n; q++)
                off += a[(size_t)p * n + q] * a[(size_t)p * n + q];
        if (off <= 1e-28 * total)
            break;
        for (int p = 0; p < n; p++)
            for (int q = p + 1; q < n; q++)
                if (fabs(a[(size_t)p * n + q]) > 1e-300)
                    rotate(a, vectors, n, p, q);
    }
    for (int i = 0; i < n; i++)
        values[i] = a[(size_t)i * n + i];
    for (int i = 0; i < n; i++) { /* selection sort: n is small */
        int best = i;
        for (int j = i + 1; j < n; j++)
            if (values[j] > values[best])
                best = j;
        if (best != i) {
            double tmp = values[i];
            values[i] = values[best];
            values[best] = tmp;
            for (int k = 0; k < n; k++) {
                tmp = vectors[(size_t)i * n + k];
                vectors[(size_t)i * n + k] = vectors[(size_t)best * n + k];
                vectors[(size_t)best * n + k] = tmp;
            }
        }
        fix_sign(vectors + (size_t)i * n, n);
    }
}

/* Gram–Schmidt, twice for accuracy; a row that vanishes is replaced by a unit axis made orthogonal. */
static void orthonormal_rows(double *v, int k, int n)
{
    for (int i = 0; i < k; i++) {
        double *vi = v + (size_t)i * n;
        for (int attempt = 0; attempt <= n; attempt++) {
            for (int pass = 0; pass < 2; pass++) {
                for (int j = 0; j < i; j++) {
                    const double *vj = v + (size_t)j * n;
                    double dot = 0.0;
                    for (int c = 0; c < n; c++)
                        dot += vi[c] * vj[c];
                    for (int c = 0; c < n; c++)
                        vi[c] -= dot * vj[c];
                }
            }
            double norm = 0.0;
            for (int c = 0; c < n; c++)
                norm += vi[c] * vi[c];
            if (norm > 1e-40) {
                norm = 1.0 / sqrt(norm);
                for (int c = 0; c < n; c++)
                    vi[c] *= norm;
                break;
            }
            memset(vi, 0, (size_t)n * sizeof *vi);
            vi[(i + attempt) % n] = 1.0;
        }
    }
}

static void times_rows(const double *a, int n, const double *v, int k, double *out)
{
    memset(out, 0, (size_t)k * n * sizeof *out);
    for (int i = 0; i < k; i++) {
        for (int r = 0; r < n; r++) {
            double x = v[(size_t)i * n + r];
            const double *ar = a + (size_t)r * n;
            double *o = out + (size_t)i * n;
            for (int c = 0; c < n; c++)
                o[c] += x * ar[c];
        }
    }
}

enum pz_status pz_linalg_top_eigen(const double *a, int n, int k, double *values, double *vectors)
{
    if (k < 1 || k > n)
        return PZ_ERR_INTERNAL;
    int m = k + 8 < n ? k + 8 : n; /* spare rows speed up the convergence of the last wanted ones */
    enum pz_status st = PZ_ERR_NOMEM;
    double *v = pz_calloc((size_t)m * n, sizeof *v), *av = pz_calloc((size_t)m * n, sizeof *av);
    double *small = pz_calloc((size_t)m * m, sizeof *small), *rot = pz_calloc((size_t)m * m, sizeof *rot);
    double *ev = pz_calloc((size_t)m, sizeof *ev);
    if (!v || !av || !small || !rot || !ev)
        goto fail;
    struct pz_rng rng;
    pz_rng_init(&rng, 1,
                0x65696765); /* any start not orthogonal to the wanted space will do; fixed, so repeatable */
    for (size_t i = 0; i < (size_t)m * n; i++)
        v[i] = pz_rng_normal(&rng);
    orthonormal_rows(v, m, n);
    double trace = 0.0;
    for (int i = 0; i < n; i++)
        trace += a[(size_t)i * n + i];
    double unit = trace > 0.0 ? n / trace : 0.0; /* keeps the rows' norms away from under- and overflow */
    for (int it = 0; it < 40; it++) {
        times_rows(a, n, v, m, av);
        for (size_t i = 0; i < (size_t)m * n; i++)
            v[i] = av[i] * unit;
        orthonormal_rows(v, m, n);
    }
    times_rows(a, n, v, m, av);
    for (int i = 0; i < m; i++)
        for (int j = 0; j < m; j++) {
            double s = 0.0;
            for (int c = 0; c < n; c++)
                s += v[(size_t)i * n + c] * av[(size_t)j * n + c];
            small[(size_t)i * m + j] = s;
        }
    for (int i = 0; i < m; i++)
        for (int j = 0; j < i; j++)
            small[(size_t)i * m + j] = small[(size_t)j * m + i] =
                0.5 * (small[(size_t)i * m + j] + small[(size_t)j * m + i]);
    pz_linalg_jacobi(small, m, ev, rot);
    for (int i = 0; i < k; i++) {
        double *o = vectors + (size_t)i * n;
        memset(o, 0, (size_t)n * sizeof *o);
        for (int j = 0; j < m; j++)
            for (int c = 0; c < n; c++)
                o[c] += rot[(size_t)i * m + j] * v[(size_t)j * n + c];
        fix_sign(o, n);
        values[i] = ev[i] > 0 ? ev[i] : 0.0;
    }
    st = PZ_OK;
fail:
    pz_free(v);
    pz_free(av);
    pz_free(small);
    pz_free(rot);
    pz_free(ev);
    return st;
}

bool pz_linalg_ridge(const double *xtx, const double *xty, const double *lambda, int p, int q, double *work,
                     double *w)
{
    memcpy(work, xtx, (size_t)p * p * sizeof *work);
    for (int i = 0; i < p; i++)
        work[(size_t)i * p + i] += lambda[i];
    if (!pz_linalg_cholesky(work, p))
        return false;
    memcpy(w, xty, (size_t)p * q * sizeof *w);
    pz_linalg_cholesky_solve(work, p, w, q);
    return true;
}
