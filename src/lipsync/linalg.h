/**
 * Small dense linear algebra in double precision: what fitting a motion space and a motion model needs, no
 * more.
 *
 * Matrices are row-major. All functions are deterministic, allocate nothing unless said, keep no state and
 * may be called from any thread on different data.
 */
#ifndef PZ_LIPSYNC_LINALG_H
#define PZ_LIPSYNC_LINALG_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

/** Cholesky A = L Lᵀ in place. `a` [n][n] symmetric; only its lower triangle is read and overwritten by L.
 * False when A is not positive definite (then `a` is spoilt). Source: Golub & Van Loan, alg. 4.2.2. */
PZ_NODISCARD bool pz_linalg_cholesky(double *a, int n);

/** Solve L Lᵀ X = B in place for `n_rhs` right sides. `l` from pz_linalg_cholesky(), `b` [n][n_rhs] becomes
 * X. */
void pz_linalg_cholesky_solve(const double *l, int n, double *b, int n_rhs);

/** Banded Cholesky in place. `band` [n][bw+1]: band[i][d] = A[i][i-d], d in [0, bw]; entries before column 0
 * unused. False when not positive definite. */
PZ_NODISCARD bool pz_linalg_band_cholesky(double *band, int n, int bw);

/** Solve with the factor of pz_linalg_band_cholesky(); `x` [n] holds the right side and becomes the solution.
 */
void pz_linalg_band_solve(const double *band, int n, int bw, double *x);

/** Eigenvalues and vectors of a symmetric matrix by cyclic Jacobi rotations. `a` [n][n] is spoilt; `values`
 * [n] come in descending order; row k of `vectors` [n][n] is the unit vector of values[k], its largest entry
 * positive. */
void pz_linalg_jacobi(double *a, int n, double *values, double *vectors);

/** The `k` leading eigenpairs of a positive semi-definite `a` [n][n] (kept) by block power iteration with
 *  Rayleigh–Ritz. `values` [k] descending, `vectors` [k][n] unit rows with their largest entry positive.
 * Allocates about 2 n (k+8) doubles. Errors: NOMEM; INTERNAL when 1 > k or k > n. */
PZ_NODISCARD enum pz_status pz_linalg_top_eigen(const double *a, int n, int k, double *values,
                                                double *vectors);

/** Solve the ridge problem min ‖X W − Y‖² + λ‖W‖² from its moments. `xtx` [p][p] (kept), `xty` [p][q] (kept),
 *  `lambda` [p] one penalty a row (0 = free, e.g. the constant); `w` [p][q] out; `work` [p·p]. False when
 * singular. */
PZ_NODISCARD bool pz_linalg_ridge(const double *xtx, const double *xty, const double *lambda, int p, int q,
                                  double *work, double *w);

#endif
