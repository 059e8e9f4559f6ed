/* Depth from motion: normal equations of every point's place in head space from its x and y alone, together
 * with the way it takes as the lips open. Does not change poses: solve.c takes turns. Factorisation under a
 * scaled-orthographic camera after Tomasi and Kanade 1992, with known rotations and a prior on depth. */
#include "face/depth.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "face/landmarker.h"
#include "face/topology.h"

#define N PZ_FACE_MESH_POINTS
#define FEWEST 25
#define PRIOR 0.1         /* head units */
#define PRIOR_WAY 0.3     /* head units of way for a head unit of opening */
#define ALIKE 8           /* frames whose errors count as one */
#define LEAST_SPREAD 1e-5 /* head units squared */

struct pz_depth {
    int64_t n;
    double gap; /* sum of the lips' opening, head units */
    double a[3][3][3]; /* sum of gᵏ R₂ᵀR₂, k = 0…2, R₂ the first two rows of the rotation, g the opening */
    double b[2][N][3];  /* sum of gᵏ R₂ᵀ y, y the point in the picture, head units */
    double at[2][N][3]; /* sum of gᵏ times the point with the landmarker's depth */
    double square[N];   /* sum of |y|² */
};

struct pz_depth *pz_depth_create(void)
{
    return pz_calloc(1, sizeof(struct pz_depth));
}

void pz_depth_destroy(struct pz_depth **d)
{
    pz_free(*d);
    *d = NULL;
}

void pz_depth_begin(struct pz_depth *d)
{
    memset(d, 0, sizeof *d);
}

void pz_depth_add(struct pz_depth *d, const struct pz_head_fit *f, const float (*xyz)[3])
{
    struct pz_face_pose pose;
    if (!(f->scale > 0))
        return;
    pz_head_pose(f, &pose);
    const struct pz_face_topology *t = pz_face_topology_mesh();
    const float *r = pose.r;
    double power[3] = {1, 0, 0};
    for (int i = 0; i < t->n_lip_pairs; i++) {
        float up[3], low[3];
        pz_head_from_px(f, xyz[t->lip_pairs[i][0]], up);
        pz_head_from_px(f, xyz[t->lip_pairs[i][1]], low);
        power[1] += (double)(up[1] - low[1]) / t->n_lip_pairs;
    }
    power[2] = power[1] * power[1];
    for (int k = 0; k < 3; k++)
        for (int i = 0; i < 3; i++)
            for (int j = 0; j < 3; j++)
                d->a[k][i][j] +=
                    power[k] * ((double)r[i] * (double)r[j] + (double)r[3 + i] * (double)r[3 + j]);
    for (int p = 0; p < N; p++) {
        double x = (double)((xyz[p][0] - f->t[0]) / f->scale),
               y = (double)((-xyz[p][1] - f->t[1]) / f->scale);
        float head[3];
        pz_head_from_px(f, xyz[p], head);
        for (int k = 0; k < 2; k++)
            for (int i = 0; i < 3; i++) {
                d->b[k][p][i] += power[k] * ((double)r[i] * x + (double)r[3 + i] * y);
                d->at[k][p][i] += power[k] * (double)head[i];
            }
        d->square[p] += x * x + y * y;
    }
    d->gap += power[1];
    d->n++;
}

/* Solve the symmetric positive 6 × 6 system a x = b in place; false when it is not positive. */
static bool solve6(double a[6][6], double b[6])
{
    for (int i = 0; i < 6; i++)
        for (int j = 0; j <= i; j++) {
            double v = a[i][j];
            for (int k = 0; k < j; k++)
                v -= a[i][k] * a[j][k];
            if (i == j && !(v > 1e-12))
                return false;
            a[i][j] = i == j ? sqrt(v) : v / a[j][j];
        }
    for (int i = 0; i < 6; i++) {
        for (int k = 0; k < i; k++)
            b[i] -= a[i][k] * b[k];
        b[i] /= a[i][i];
    }
    for (int i = 5; i >= 0; i--) {
        for (int k = i + 1; k < 6; k++)
            b[i] -= a[k][i] * b[k];
        b[i] /= a[i][i];
    }
    return true;
}

/* Sums of one point about the mean opening: `a` the normal equations of its place and of its way with the
 * opening, `b` their right side, `guess` what the landmarker's depth says of both. */
static void equations(const struct pz_depth *d, int p, double a[6][6], double b[6], double guess[6])
{
    const double n = (double)d->n, g = d->gap / n;
    double spread = 0, trace = 0;
    for (int i = 0; i < 3; i++) {
        for (int j = 0; j < 3; j++) {
            a[i][j] = d->a[0][i][j];
            a[i][3 + j] = a[3 + j][i] = d->a[1][i][j] - g * d->a[0][i][j];
            a[3 + i][3 + j] = d->a[2][i][j] - 2 * g * d->a[1][i][j] + g * g * d->a[0][i][j];
        }
        trace += d->a[0][i][i];
        spread += a[3 + i][3 + i];
        b[i] = d->b[0][p][i];
        b[3 + i] = d->b[1][p][i] - g * d->b[0][p][i];
        guess[i] = d->at[0][p][i] / n;
        guess[3 + i] = d->at[1][p][i] / n - g * guess[i];
    }
    spread /= trace; /* variance of the opening */
    for (int i = 3; i < 6; i++)
        guess[i] = spread > 1e-8 ? guess[i] / spread : 0;
}

void pz_depth_solve(const struct pz_depth *d, float *shift)
{
    memset(shift, 0, N * sizeof *shift);
    if (d->n < FEWEST)
        return;
    for (int p = 0; p < N; p++) {
        double a[6][6], b[6], guess[6], left = d->square[p];
        equations(d, p, a, b, guess);
        for (int i = 0; i < 6; i++) {
            left -= 2 * guess[i] * b[i];
            for (int j = 0; j < 6; j++)
                left += guess[i] * a[i][j] * guess[j];
        }
        const double noise = ALIKE * fmax(left / (2 * (double)d->n), LEAST_SPREAD);
        a[2][2] += noise / (PRIOR * PRIOR);
        b[2] += noise / (PRIOR * PRIOR) * guess[2];
        for (int i = 3; i < 6; i++) {
            a[i][i] += noise / (PRIOR_WAY * PRIOR_WAY);
            b[i] += noise / (PRIOR_WAY * PRIOR_WAY) * guess[i];
        }
        if (solve6(a, b) && isfinite(b[2]))
            shift[p] = (float)(b[2] - guess[2]);
    }
}
