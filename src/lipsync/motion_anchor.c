/* The error of a pose at the nose, as a motion of the lower face. Knows no sound and no time line but its own
 * average. */
#include "lipsync/motion_anchor.h"

#include <math.h>
#include <string.h>

#include "lipsync/linalg.h"

#define AVERAGE_S 0.32 /* σ */
#define REACH 2.5      /* σ beyond which a frame does not count */
#define FEWEST_RIGID 4

/* The m that comes nearest to moving every point by its weight's share along axis `a`. */
static bool shift_along(const struct pz_motion_space *s, int a, float *shift)
{
    double m[PZ_MOTION_MAX * PZ_MOTION_MAX] = {0}, b[PZ_MOTION_MAX] = {0}, trace = 0;
    const int kk = s->n_components, n = s->n_points;
    for (int i = 0; i < n; i++) {
        const double w = (double)s->weight[i];
        for (int k = 0; k < kk && w > 0; k++) {
            const float *p = s->basis + ((size_t)k * n + i) * 3;
            b[k] += w * p[a];
            for (int l = 0; l <= k; l++) {
                const float *q = s->basis + ((size_t)l * n + i) * 3;
                m[k * kk + l] += w * ((double)p[0] * q[0] + (double)p[1] * q[1]);
            }
        }
    }
    for (int k = 0; k < kk; k++)
        trace += m[k * kk + k];
    for (int k = 0; k < kk; k++)
        m[k * kk + k] += 1e-6 * trace;
    if (!(trace > 0) || !pz_linalg_cholesky(m, kk))
        return false;
    pz_linalg_cholesky_solve(m, kk, b, 1);
    for (int k = 0; k < kk; k++)
        shift[k] = (float)b[k];
    return true;
}

bool pz_motion_anchor_make(const struct pz_motion_space *s, struct pz_motion_anchor *out)
{
    memset(out, 0, sizeof *out);
    if (s->n_rigid < FEWEST_RIGID)
        return false;
    for (int j = 0; j < 2; j++) {
        int32_t best = -1;
        for (int i = 0; i < s->n_rigid; i++) {
            const int32_t p = s->rigid[i];
            if (j == 1 && p == out->point[0])
                continue;
            if (best < 0 || s->mean[3 * p + 1] < s->mean[3 * best + 1])
                best = p;
        }
        if (best < 0)
            return false;
        out->point[j] = best;
    }
    return shift_along(s, 0, out->shift[0]) && shift_along(s, 1, out->shift[1]);
}

bool pz_motion_anchor_offset(const struct pz_motion_space *s, const struct pz_motion_anchor *a,
                             const struct pz_face *face, float out[2])
{
    float points[PZ_FACE_MAX_POINTS * 3];
    out[0] = out[1] = 0;
    if (!face || face->n_points != s->n_points || face->n_points > PZ_FACE_MAX_POINTS ||
        !pz_motion_head_points(face, s->rigid, s->n_rigid, s->rigid_center, points))
        return false;
    for (int j = 0; j < 2; j++)
        for (int c = 0; c < 2; c++)
            out[c] += 0.5f * (points[3 * a->point[j] + c] - s->mean[3 * a->point[j] + c]);
    if (isfinite(out[0]) && isfinite(out[1]))
        return true;
    out[0] = out[1] = 0;
    return false;
}

void pz_motion_anchor_smooth(const double *times, const bool *known, int n, float (*offset)[2],
                             float (*scratch)[2])
{
    memcpy(scratch, offset, (size_t)n * sizeof *offset);
    int from = 0;
    for (int i = 0; i < n; i++) {
        double sum[2] = {0}, weight = 0;
        while (from < i && times[from] < times[i] - REACH * AVERAGE_S)
            from++;
        for (int j = from; j < n && times[j] <= times[i] + REACH * AVERAGE_S; j++) {
            const double d = (times[j] - times[i]) / AVERAGE_S, w = known[j] ? exp(-0.5 * d * d) : 0;
            weight += w;
            for (int c = 0; c < 2; c++)
                sum[c] += w * (double)scratch[j][c];
        }
        for (int c = 0; c < 2; c++)
            offset[i][c] = weight > 0 ? (float)(sum[c] / weight) : 0.0f;
    }
}

void pz_motion_anchor_add(const struct pz_motion_space *s, const struct pz_motion_anchor *a,
                          const float offset[2], float *m)
{
    for (int k = 0; k < s->n_components; k++)
        m[k] += offset[0] * a->shift[0][k] + offset[1] * a->shift[1][k];
}
