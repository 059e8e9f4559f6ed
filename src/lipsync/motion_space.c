/*
 * Motion space of one subject: pose-free lower-face points, PCA, projection of faces, lip gap.
 * Not here: files (motion_file.c), sound (motion_predict.c).
 *
 * Depth comes from a landmarker's guess, so z counts a third of x and y in the fit and the projection.
 */
#include "lipsync/motion_space.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/order.h"
#include "lipsync/linalg.h"

#define MAX_FIT_FRAMES 3000
#define MIN_FIT_FRAMES 25
#define LIP_WEIGHT 3.0f
#define DEPTH_WEIGHT 0.33f
#define MIN_DEVIATION 0.0008
#define PRIOR_NOISE                                                                                          \
    0.004 /* head units: weighted residual at which a point says as much as the whitened prior */

struct pz_motion_space *pz_motion_space_create(int n_points, int n_components)
{
    if (n_points < 1 || n_points > PZ_FACE_MAX_POINTS || n_components < 1 || n_components > PZ_MOTION_MAX)
        return NULL;
    struct pz_motion_space *s = pz_calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->n_points = n_points;
    s->n_components = n_components;
    s->mean = pz_calloc((size_t)n_points * 3, sizeof *s->mean);
    s->basis = pz_calloc((size_t)n_components * n_points * 3, sizeof *s->basis);
    s->weight = pz_calloc((size_t)n_points, sizeof *s->weight);
    if (!s->mean || !s->basis || !s->weight)
        pz_motion_space_free(&s);
    return s;
}

void pz_motion_space_free(struct pz_motion_space **s)
{
    if (!s || !*s)
        return;
    pz_free((*s)->mean);
    pz_free((*s)->basis);
    pz_free((*s)->weight);
    pz_free(*s);
    *s = NULL;
}

/* Points with the pose undone; the depth origin is still the landmarker's. */
static bool undo_pose(const struct pz_face *f, float *out)
{
    const float *r = f->pose.r;
    if (!(f->pose.scale > 1e-3f) || f->n_points < 1 || f->n_points > PZ_FACE_MAX_POINTS)
        return false;
    float inv = 1.0f / f->pose.scale;
    for (int i = 0; i < f->n_points; i++) {
        float x = (f->xyz[i][0] - f->pose.tx) * inv;
        float y = -(f->xyz[i][1] - f->pose.ty) * inv;
        float z = -f->xyz[i][2] * inv;
        for (int c = 0; c < 3; c++) { /* R transposed: camera axes back to head axes */
            float v = r[c] * x + r[3 + c] * y + r[6 + c] * z;
            if (!isfinite(v))
                return false;
            out[3 * i + c] = v;
        }
    }
    return true;
}

static void centroid(const float *points, const int32_t *index, int n, float c[3])
{
    for (int a = 0; a < 3; a++) {
        c[a] = 0.0f;
        for (int i = 0; i < n; i++)
            c[a] += points[3 * index[i] + a] / (float)n;
    }
}

bool pz_motion_head_points(const struct pz_face *f, const int32_t *rigid, int n_rigid, const float center[3],
                           float *out)
{
    float c[3];
    if (!undo_pose(f, out))
        return false;
    centroid(out, rigid, n_rigid, c);
    for (int i = 0; i < f->n_points; i++)
        for (int a = 0; a < 3; a++)
            out[3 * i + a] += center[a] - c[a];
    return true;
}

/* ---- fit ---- */

struct fit {
    const struct pz_motion_faces *faces;
    const struct pz_face_topology *topo;
    int32_t rigid[PZ_MOTION_MAX_RIGID];
    int n_rigid;
    float center[3];
    int n_points;
    int64_t n_used, step_num; /* frames looked at, evenly spread */
    float *points;            /* [n_points][3] scratch */
    double *mean;             /* [n_points][3] */
    float weight[PZ_FACE_MAX_POINTS], ramp[PZ_FACE_MAX_POINTS];
    int low[PZ_FACE_MAX_POINTS], n_low;
};

/* The j-th of the frames looked at; NULL when there is no measured face. */
static const struct pz_face *fit_face(const struct fit *f, int64_t j)
{
    int64_t i = f->step_num <= MAX_FIT_FRAMES ? j : j * f->faces->n_frames / MAX_FIT_FRAMES;
    const struct pz_face *face = f->faces->face(f->faces->user, f->faces->frames[i]);
    if (!face || face->present != 1 || face->n_points != f->n_points)
        return NULL;
    return face;
}

static int64_t fit_count(const struct fit *f)
{
    return f->step_num < MAX_FIT_FRAMES ? f->step_num : MAX_FIT_FRAMES;
}

static bool inside_ring(const double *mean, const int *ring, int n, double cx, double cy, double grow,
                        double x, double y)
{
    bool in = false;
    x = cx + (x - cx) / grow;
    y = cy + (y - cy) / grow;
    for (int i = 0, j = n - 1; i < n; j = i++) {
        double xi = mean[3 * ring[i]], yi = mean[3 * ring[i] + 1];
        double xj = mean[3 * ring[j]], yj = mean[3 * ring[j] + 1];
        if ((yi > y) != (yj > y) && x < (xj - xi) * (y - yi) / (yj - yi) + xi)
            in = !in;
    }
    return in;
}

/* Which points move with speech, and how much they count: below the nose tip fully, fading out to half way up
 * the nose; lips (the outer ring grown by 8 %) three times; rigid points never. */
static void choose_points(struct fit *f)
{
    const struct pz_face_topology *t = f->topo;
    double tip = f->mean[3 * t->nose_tip + 1];
    double fade =
        0.12 * fabs(tip) + 1e-6; /* the origin lies between the eyes, so |tip| is the length of the nose */
    double cx = 0, cy = 0;
    for (int i = 0; i < t->n_outer_lip; i++) {
        cx += f->mean[3 * t->outer_lip[i]] / t->n_outer_lip;
        cy += f->mean[3 * t->outer_lip[i] + 1] / t->n_outer_lip;
    }
    f->n_low = 0;
    for (int i = 0; i < f->n_points; i++) {
        double x = f->mean[3 * i], y = f->mean[3 * i + 1];
        double a = (tip + fade - y) / (2.0 * fade);
        a = a < 0 ? 0 : a > 1 ? 1 : a;
        f->ramp[i] = (float)(a * a * (3 - 2 * a));
        bool lip = inside_ring(f->mean, t->outer_lip, t->n_outer_lip, cx, cy, 1.08, x, y);
        f->weight[i] = f->ramp[i] * (lip ? LIP_WEIGHT : 1.0f);
    }
    for (int i = 0; i < t->n_outer_lip; i++)
        f->weight[t->outer_lip[i]] = f->ramp[t->outer_lip[i]] * LIP_WEIGHT;
    for (int i = 0; i < f->n_rigid; i++)
        f->weight[f->rigid[i]] = f->ramp[f->rigid[i]] = 0.0f;
    for (int i = 0; i < f->n_points; i++)
        if (f->weight[i] > 0.02f)
            f->low[f->n_low++] = i;
}

/* Where the centroid of the rigid points belongs: the head-space point nearest to all viewing rays through
 * the centroids seen (least squares), with a weak pull of its depth towards the plane of the eyes. */
static enum pz_status fit_center(struct fit *f)
{
    double a[9] = {0}, b[3] = {0};
    int64_t n = fit_count(f), used = 0;
    for (int64_t j = 0; j < n; j++) {
        float c[3];
        const struct pz_face *face = fit_face(f, j);
        if (!face || !undo_pose(face, f->points))
            continue;
        centroid(f->points, f->rigid, f->n_rigid, c);
        const float *ray = face->pose.r + 6;
        for (int r = 0; r < 3; r++)
            for (int k = 0; k < 3; k++) {
                double p = (r == k) - (double)ray[r] * ray[k];
                a[3 * r + k] += p;
                b[r] += p * c[k];
            }
        used++;
    }
    for (int r = 0; r < 3; r++)
        a[4 * r] += (r == 2 ? 1e-3 : 1e-6) * (double)used + 1e-9;
    if (!pz_linalg_cholesky(a, 3))
        return PZ_ERR_INTERNAL;
    pz_linalg_cholesky_solve(a, 3, b, 1);
    for (int r = 0; r < 3; r++)
        f->center[r] = (float)b[r];
    return PZ_OK;
}

/* Mean points. */

static enum pz_status fit_mean(struct fit *f, const struct pz_job *job)
{
    int64_t n = fit_count(f);
    f->n_used = 0;
    for (int64_t j = 0; j < n; j++) {
        if (pz_job_cancelled(job))
            return PZ_ERR_CANCELLED;
        const struct pz_face *face = fit_face(f, j);
        if (!face || !pz_motion_head_points(face, f->rigid, f->n_rigid, f->center, f->points))
            continue;
        for (int i = 0; i < 3 * f->n_points; i++)
            f->mean[i] += f->points[i];
        f->n_used++;
    }
    if (f->n_used < MIN_FIT_FRAMES)
        return pz_fail(job ? job->log : NULL, PZ_ERR_UNUSABLE,
                       "motion: %lld frames with a measured face, at least %d are needed",
                       (long long)f->n_used, MIN_FIT_FRAMES);
    for (int i = 0; i < 3 * f->n_points; i++)
        f->mean[i] /= (double)f->n_used;
    return PZ_OK;
}

/* Weighted covariance of the moving points, [3 n_low]². Only the upper triangle is summed, then mirrored. */
static enum pz_status fit_covariance(struct fit *f, double *cov, const struct pz_job *job)
{
    int d = 3 * f->n_low;
    double *v = pz_calloc((size_t)d, sizeof *v);
    if (!v)
        return PZ_ERR_NOMEM;
    int64_t n = fit_count(f);
    for (int64_t j = 0; j < n; j++) {
        if (pz_job_cancelled(job)) {
            pz_free(v);
            return PZ_ERR_CANCELLED;
        }
        const struct pz_face *face = fit_face(f, j);
        if (!face || !pz_motion_head_points(face, f->rigid, f->n_rigid, f->center, f->points))
            continue;
        for (int a = 0; a < f->n_low; a++) {
            int i = f->low[a];
            for (int c = 0; c < 3; c++)
                v[3 * a + c] = f->weight[i] * (c == 2 ? DEPTH_WEIGHT : 1.0f) *
                               (f->points[3 * i + c] - f->mean[3 * i + c]);
        }
        for (int r = 0; r < d; r++)
            for (int c = r; c < d; c++)
                cov[(size_t)r * d + c] += v[r] * v[c];
    }
    for (int r = 0; r < d; r++)
        for (int c = r; c < d; c++) {
            cov[(size_t)r * d + c] /= (double)f->n_used;
            cov[(size_t)c * d + r] = cov[(size_t)r * d + c];
        }
    pz_free(v);
    return PZ_OK;
}

/* Components worth keeping: their rms displacement, per unit of weight, is above the tracker's noise. */
static int count_components(const struct fit *f, const double *values, int k, double weight_sum)
{
    int kept = 1;
    while (kept < k && sqrt(values[kept] / weight_sum) > MIN_DEVIATION)
        kept++;
    return kept;
}

static void fill_space(struct pz_motion_space *s, const struct fit *f, const double *values,
                       const double *vectors, double weight_sum)
{
    const struct pz_face_topology *t = f->topo;
    strncpy(s->topology, t->name, sizeof s->topology - 1);
    s->n_pairs = t->n_lip_pairs < PZ_MOTION_MAX_PAIRS ? t->n_lip_pairs : PZ_MOTION_MAX_PAIRS;
    for (int i = 0; i < s->n_pairs; i++) {
        s->pairs[i][0] = t->lip_pairs[i][0];
        s->pairs[i][1] = t->lip_pairs[i][1];
    }
    s->corner[0] = t->mouth_corner[0];
    s->corner[1] = t->mouth_corner[1];
    s->n_rigid = f->n_rigid;
    memcpy(s->rigid, f->rigid, sizeof s->rigid);
    memcpy(s->rigid_center, f->center, sizeof s->rigid_center);
    memcpy(s->weight, f->weight, (size_t)s->n_points * sizeof *s->weight);
    for (int i = 0; i < 3 * s->n_points; i++)
        s->mean[i] = (float)f->mean[i];
    int d = 3 * f->n_low;
    for (int k = 0; k < s->n_components; k++) {
        double sd = sqrt(values[k]);
        s->deviation[k] = (float)sqrt(values[k] / weight_sum);
        for (int a = 0; a < f->n_low; a++) {
            int i = f->low[a];
            for (int c = 0; c < 3; c++) {
                double w = f->weight[i] * (c == 2 ? DEPTH_WEIGHT : 1.0f);
                s->basis[((size_t)k * s->n_points + i) * 3 + c] =
                    (float)(sd * vectors[(size_t)k * d + 3 * a + c] / w * f->ramp[i]);
            }
        }
    }
    /* The lip gap is a linear function of the points, hence of m. */
    for (int k = -1; k < s->n_components; k++) {
        const float *p = k < 0 ? s->mean : s->basis + (size_t)k * s->n_points * 3;
        double g = 0;
        for (int i = 0; i < s->n_pairs; i++)
            g += (p[3 * s->pairs[i][0] + 1] - p[3 * s->pairs[i][1] + 1]) / s->n_pairs;
        if (k < 0)
            s->gap_0 = (float)g;
        else
            s->gap_g[k] = (float)g;
    }
}

/* Second pass over the faces: the box, the closed and open gap, and what is left over. */
static enum pz_status measure_range(struct pz_motion_space *s, const struct fit *f, const struct pz_job *job)
{
    int64_t n = fit_count(f), used = 0;
    float *gaps = pz_calloc((size_t)n, sizeof *gaps),
          *made = pz_calloc((size_t)s->n_points * 3, sizeof *made);
    enum pz_status st = gaps && made ? PZ_OK : PZ_ERR_NOMEM;
    double left = 0, weights = 0;
    for (int k = 0; k < s->n_components; k++) {
        s->lo[k] = -1e3f; /* the projection clamps: start without a limit */
        s->hi[k] = 1e3f;
    }
    float lo[PZ_MOTION_MAX], hi[PZ_MOTION_MAX];
    for (int64_t j = 0; st == PZ_OK && j < n; j++) {
        if (pz_job_cancelled(job)) {
            st = PZ_ERR_CANCELLED;
            break;
        }
        float m[PZ_MOTION_MAX];
        const struct pz_face *face = fit_face(f, j);
        if (!face || !pz_motion_space_project(s, face, m) ||
            !pz_motion_head_points(face, f->rigid, f->n_rigid, f->center, f->points))
            continue;
        for (int k = 0; k < s->n_components; k++) {
            lo[k] = used == 0 || m[k] < lo[k] ? m[k] : lo[k];
            hi[k] = used == 0 || m[k] > hi[k] ? m[k] : hi[k];
        }
        gaps[used++] = pz_motion_space_gap_linear(s, m);
        pz_motion_space_points(s, m, made);
        for (int a = 0; a < f->n_low; a++) {
            int i = f->low[a];
            for (int c = 0; c < 2; c++) {
                double e = f->weight[i] * (made[3 * i + c] - f->points[3 * i + c]);
                left += e * e;
            }
            weights += f->weight[i] * f->weight[i];
        }
    }
    if (st == PZ_OK && used < MIN_FIT_FRAMES)
        st = pz_fail(job ? job->log : NULL, PZ_ERR_UNUSABLE, "motion: too few faces could be projected");
    if (st == PZ_OK) {
        for (int k = 0; k < s->n_components; k++) {
            float margin = 0.15f * (hi[k] - lo[k]);
            s->lo[k] = lo[k] - margin;
            s->hi[k] = hi[k] + margin;
        }
        qsort(gaps, (size_t)used, sizeof *gaps, pz_by_float);
        s->gap_closed = gaps[used * 4 / 100];
        s->gap_open = gaps[used * 96 / 100];
        s->rms_left = (float)sqrt(left / weights);
    }
    pz_free(gaps);
    pz_free(made);
    return st;
}

static enum pz_status check_topology(const struct pz_face_topology *t, struct pz_log *log)
{
    bool ok = t && t->name && t->n_points >= 1 && t->n_points <= PZ_FACE_MAX_POINTS && t->n_outer_lip >= 3 &&
              t->n_lip_pairs >= 1 && t->n_rigid >= 3 && t->nose_tip >= 0 && t->nose_tip < t->n_points;
    for (int i = 0; ok && i < t->n_outer_lip; i++)
        ok = t->outer_lip[i] >= 0 && t->outer_lip[i] < t->n_points;
    for (int i = 0; ok && i < t->n_rigid; i++)
        ok = t->rigid[i] >= 0 && t->rigid[i] < t->n_points;
    for (int i = 0; ok && i < 2; i++)
        ok = t->mouth_corner[i] >= 0 && t->mouth_corner[i] < t->n_points;
    for (int i = 0; ok && i < t->n_lip_pairs; i++)
        for (int j = 0; j < 2; j++)
            ok = ok && t->lip_pairs[i][j] >= 0 && t->lip_pairs[i][j] < t->n_points;
    return ok ? PZ_OK
              : pz_fail(log, PZ_ERR_INTERNAL, "motion: the landmark set lacks lips, rigid points or a nose");
}

enum pz_status pz_motion_space_fit(const struct pz_motion_faces *faces,
                                   const struct pz_face_topology *topology, int max_components,
                                   const struct pz_job *job, struct pz_motion_space **out)
{
    struct pz_log *log = job ? job->log : NULL;
    struct pz_motion_space *s = NULL;
    double *cov = NULL, *vectors = NULL;
    enum pz_status st = PZ_OK;
    *out = NULL;
    struct fit *f = pz_calloc(1, sizeof *f);
    if (!f)
        return PZ_ERR_NOMEM;
    PZ_TRY(check_topology(topology, log));
    f->faces = faces;
    f->topo = topology;
    f->n_points = topology->n_points;
    f->step_num = faces->n_frames;
    f->n_rigid = topology->n_rigid < PZ_MOTION_MAX_RIGID ? topology->n_rigid : PZ_MOTION_MAX_RIGID;
    for (int i = 0; i < f->n_rigid; i++)
        f->rigid[i] = topology->rigid[i];
    st = PZ_ERR_NOMEM;
    f->points = pz_calloc((size_t)PZ_FACE_MAX_POINTS * 3, sizeof *f->points);
    f->mean = pz_calloc((size_t)f->n_points * 3, sizeof *f->mean);
    if (!f->points || !f->mean)
        goto fail;
    PZ_TRY(fit_center(f));
    PZ_TRY(fit_mean(f, job));
    choose_points(f);
    int d = 3 * f->n_low;
    int k = max_components < 1 ? 1 : max_components > PZ_MOTION_MAX ? PZ_MOTION_MAX : max_components;
    k = k < d ? k : d;
    if (f->n_low < 8) {
        st = pz_fail(log, PZ_ERR_UNUSABLE, "motion: only %d points lie below the nose", f->n_low);
        goto fail;
    }
    st = PZ_ERR_NOMEM;
    cov = pz_calloc((size_t)d * d, sizeof *cov);
    vectors = pz_calloc((size_t)k * d, sizeof *vectors);
    if (!cov || !vectors)
        goto fail;
    PZ_TRY(fit_covariance(f, cov, job));
    double values[PZ_MOTION_MAX], weight_sum = 0;
    PZ_TRY(pz_linalg_top_eigen(cov, d, k, values, vectors));
    for (int a = 0; a < f->n_low; a++)
        weight_sum += f->weight[f->low[a]] * f->weight[f->low[a]];
    if (!(sqrt(values[0] / weight_sum) > 1e-4)) {
        st = pz_fail(log, PZ_ERR_UNUSABLE, "motion: the mouth never moves in the film");
        goto fail;
    }
    s = pz_motion_space_create(f->n_points, count_components(f, values, k, weight_sum));
    st = PZ_ERR_NOMEM;
    if (!s)
        goto fail;
    fill_space(s, f, values, vectors, weight_sum);
    PZ_TRY(measure_range(s, f, job));
    *out = s;
    s = NULL;
fail:
    pz_motion_space_free(&s);
    pz_free(cov);
    pz_free(vectors);
    pz_free(f->points);
    pz_free(f->mean);
    pz_free(f);
    return st;
}

/* ---- use ---- */

bool pz_motion_space_project(const struct pz_motion_space *s, const struct pz_face *face, float *m)
{
    float p[PZ_FACE_MAX_POINTS * 3];
    if (!face || face->present == 0 || face->n_points != s->n_points ||
        !pz_motion_head_points(face, s->rigid, s->n_rigid, s->rigid_center, p))
        return false;
    int kk = s->n_components;
    double x[PZ_MOTION_MAX] = {0}, a[PZ_MOTION_MAX * PZ_MOTION_MAX], b[PZ_MOTION_MAX];
    for (int it = 0; it < 4; it++) { /* reweighted: a point far off its model counts as 1/distance */
        memset(a, 0, sizeof a);
        memset(b, 0, sizeof b);
        for (int i = 0; i < s->n_points; i++) {
            if (!(s->weight[i] > 0.02f))
                continue;
            double col[PZ_MOTION_MAX][3], e[3], dist = 0;
            for (int c = 0; c < 3; c++) {
                e[c] = p[3 * i + c] - s->mean[3 * i + c];
                double left = e[c];
                for (int k = 0; k < kk; k++) {
                    col[k][c] = s->basis[((size_t)k * s->n_points + i) * 3 + c];
                    left -= col[k][c] * x[k];
                }
                dist += c == 2 ? 0 : left * left;
            }
            double w = s->weight[i] * s->weight[i];
            dist = sqrt(dist);
            if (it > 0 && dist > 0.02)
                w *= 0.02 / dist;
            for (int k = 0; k < kk; k++) {
                double wk[3] = {w * col[k][0], w * col[k][1], w * DEPTH_WEIGHT * DEPTH_WEIGHT * col[k][2]};
                b[k] += wk[0] * e[0] + wk[1] * e[1] + wk[2] * e[2];
                for (int l = 0; l <= k; l++)
                    a[k * kk + l] += wk[0] * col[l][0] + wk[1] * col[l][1] + wk[2] * col[l][2];
            }
        }
        for (int k = 0; k < kk; k++)
            a[k * kk + k] += PRIOR_NOISE * PRIOR_NOISE;
        if (!pz_linalg_cholesky(a, kk))
            return false;
        pz_linalg_cholesky_solve(a, kk, b, 1);
        memcpy(x, b, sizeof x);
    }
    for (int k = 0; k < kk; k++) {
        double range = (double)s->hi[k] - s->lo[k];
        double v = x[k] < s->lo[k] - range   ? s->lo[k] - range
                   : x[k] > s->hi[k] + range ? s->hi[k] + range
                                             : x[k];
        m[k] = (float)v;
    }
    return true;
}

void pz_motion_space_points(const struct pz_motion_space *s, const float *m, float *out)
{
    size_t n = (size_t)s->n_points * 3;
    memcpy(out, s->mean, n * sizeof *out);
    for (int k = 0; k < s->n_components; k++) {
        const float *b = s->basis + (size_t)k * n;
        for (size_t i = 0; i < n; i++)
            out[i] += m[k] * b[i];
    }
}

float pz_motion_space_gap_linear(const struct pz_motion_space *s, const float *m)
{
    float g = s->gap_0;
    for (int k = 0; k < s->n_components; k++)
        g += s->gap_g[k] * m[k];
    return g;
}

float pz_motion_space_gap(const struct pz_motion_space *s, const float *m)
{
    size_t n = (size_t)s->n_points * 3;
    double sum = 0;
    for (int i = 0; i < s->n_pairs; i++) {
        double d[2];
        for (int c = 0; c < 2; c++) {
            size_t u = 3 * (size_t)s->pairs[i][0] + c, l = 3 * (size_t)s->pairs[i][1] + c;
            d[c] = s->mean[u] - s->mean[l];
            for (int k = 0; k < s->n_components; k++)
                d[c] += m[k] * ((double)s->basis[k * n + u] - s->basis[k * n + l]);
        }
        sum += sqrt(d[0] * d[0] + d[1] * d[1]) / s->n_pairs;
    }
    return (float)sum;
}

void pz_motion_space_clamp(const struct pz_motion_space *s, float *m)
{
    for (int k = 0; k < s->n_components; k++)
        m[k] = m[k] < s->lo[k] ? s->lo[k] : m[k] > s->hi[k] ? s->hi[k] : m[k];
}
