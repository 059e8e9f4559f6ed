/* Depth from motion: normal equations of every point's place in head space from its x and y alone. Does not
 * change poses: solve.c takes turns. Factorisation under a scaled-orthographic camera after Tomasi and Kanade
 * 1992, with known rotations and a prior on depth. */
#include "face/depth.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "face/landmarker.h"

#define N PZ_FACE_MESH_POINTS
#define FEWEST 25
#define PRIOR 0.1         /* head units */
#define ALIKE 8           /* frames whose errors count as one */
#define LEAST_SPREAD 1e-5 /* head units squared */

struct pz_depth {
    int64_t n;
    double a[3][3];    /* sum of R₂ᵀR₂, R₂ the first two rows of the rotation */
    double b[N][3];    /* sum of R₂ᵀ y, y the point in the picture, head units */
    double mean[N][3]; /* sum of the points with the landmarker's depth */
    double square[N];  /* sum of |y|² */
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
    const float *r = pose.r;
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++)
            d->a[i][j] += (double)r[i] * (double)r[j] + (double)r[3 + i] * (double)r[3 + j];
    for (int p = 0; p < N; p++) {
        double x = (double)((xyz[p][0] - f->t[0]) / f->scale),
               y = (double)((-xyz[p][1] - f->t[1]) / f->scale);
        float head[3];
        pz_head_from_px(f, xyz[p], head);
        for (int i = 0; i < 3; i++) {
            d->b[p][i] += (double)r[i] * x + (double)r[3 + i] * y;
            d->mean[p][i] += (double)head[i];
        }
        d->square[p] += x * x + y * y;
    }
    d->n++;
}

/* Depth of one point; A is symmetric and positive, `hold` keeps its corner from being small. */
static double depth_of(const double a[3][3], const double b[3], double hold, double z)
{
    double c = a[2][2] + hold, r = b[2] + hold * z, det = a[0][0] * a[1][1] - a[0][1] * a[0][1];
    if (!(det > 1e-9))
        return z;
    /* x and y eliminated */
    double u = (a[1][1] * a[0][2] - a[0][1] * a[1][2]) / det,
           v = (a[0][0] * a[1][2] - a[0][1] * a[0][2]) / det;
    double k = c - u * a[0][2] - v * a[1][2];
    return k > 1e-9 ? (r - u * b[0] - v * b[1]) / k : z;
}

void pz_depth_solve(const struct pz_depth *d, float *shift)
{
    memset(shift, 0, N * sizeof *shift);
    if (d->n < FEWEST)
        return;
    for (int p = 0; p < N; p++) {
        double m[3], quad = 0, cross = 0;
        for (int i = 0; i < 3; i++)
            m[i] = d->mean[p][i] / (double)d->n;
        for (int i = 0; i < 3; i++) {
            cross += m[i] * d->b[p][i];
            for (int j = 0; j < 3; j++)
                quad += m[i] * d->a[i][j] * m[j];
        }
        double spread = (d->square[p] - 2 * cross + quad) / (2 * (double)d->n);
        double hold = ALIKE * fmax(spread, LEAST_SPREAD) / (PRIOR * PRIOR);
        double z = depth_of(d->a, d->b[p], hold, m[2]);
        shift[p] = isfinite(z) ? (float)(z - m[2]) : 0;
    }
}
