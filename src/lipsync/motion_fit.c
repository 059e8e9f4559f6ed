/*
 * Calibration of a motion model on the fit frames of a film, with blocked cross-validation for everything
 * that is chosen. Blocks, because neighbouring frames are nearly equal: random folds would praise memorising.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/order.h"
#include "lipsync/kernel.h"
#include "lipsync/linalg.h"
#include "lipsync/motion_anchor.h"
#include "lipsync/motion_model.h"
#include "lipsync/motion_path.h"

#define MIN_SAMPLES 50
#define FOLDS 5
#define FOLD_GAP_S 0.2
#define PRIOR_FRAMES 8.0 /* a viseme's generic target weighs as much as this many frames */
#define SOUND_EXPONENT 0.8
#define PHONE_EXPONENT_2 0.5
#define PHONE_RIDGE 0.5
#define GAIN_SHARE 0.3 /* exponent: how much of the lost amplitude is given back */
#define POSE_RIDGE 200.0
#define ANCHOR_HARM 1.03
#define REST_SLIT 0.06 /* of the range of the gap */
#define LAG_STEPS 5
#define LAG_STEP_S 0.04

struct sample {
    double t;
    int64_t frame;
    float m[PZ_MOTION_MAX];
    float pose[3];
    float hang[PZ_MOTION_MAX]; /* what the anchor adds to m, averaged over time */
};

/* Everything that calibration works on. */
struct calib {
    const struct pz_film *film;
    const struct pz_motion_space *space;
    const struct pz_job *job;
    struct pz_motion_model *model; /* holds the features of the samples */
    struct pz_sound_track sound;
    struct pz_viseme_line line;
    struct sample *s;
    int n, k;
    float prior[PZ_VIS_COUNT][PZ_MOTION_MAX];
    float sound_scale, phone_scale;
    int *use;                        /* [n] */
    double *work, *y, *solved, *row; /* [n·n], [n·k], [n·k], [n] */
    double *cv, *cv_phone, *best;    /* [n·k] cross-validated predictions */
};

/* What one head is made of. */
struct head {
    double mean_share;   /* of the plain mean in the mean function; the rest is W T */
    double sound, phone; /* exponents over the groups' scales */
    double ridge;
};

static void free_calib(struct calib *c)
{
    pz_sound_track_free(&c->sound);
    pz_viseme_line_free(&c->line);
    pz_free(c->s);
    pz_free(c->use);
    pz_free(c->work);
    pz_free(c->y);
    pz_free(c->solved);
    pz_free(c->row);
    pz_free(c->cv);
    pz_free(c->cv_phone);
    pz_free(c->best);
}

/* ---- samples ---- */

static bool usable(const struct calib *c, const struct pz_face *f)
{
    return f && f->present == 1 && f->n_points == c->space->n_points && isfinite(f->pose.yaw) &&
           isfinite(f->pose.pitch) && isfinite(f->pose.roll);
}

static enum pz_status collect(struct calib *c)
{
    const struct pz_film *film = c->film;
    int64_t count = 0, seen = 0;
    for (int64_t i = 0; i < film->n_fit_frames; i++)
        count += usable(c, film->face(film->user, film->fit_frames[i]));
    int64_t keep = count < PZ_MOTION_MAX_SAMPLES ? count : PZ_MOTION_MAX_SAMPLES;
    if (count < MIN_SAMPLES)
        return pz_fail(c->job ? c->job->log : NULL, PZ_ERR_UNUSABLE,
                       "motion: %lld frames with a face to learn from, at least %d are needed",
                       (long long)count, MIN_SAMPLES);
    c->s = pz_calloc((size_t)keep, sizeof *c->s);
    if (!c->s)
        return PZ_ERR_NOMEM;
    for (int64_t i = 0; i < film->n_fit_frames && c->n < keep; i++) {
        if (pz_job_cancelled(c->job))
            return PZ_ERR_CANCELLED;
        const struct pz_face *f = film->face(film->user, film->fit_frames[i]);
        if (!usable(c, f))
            continue;
        bool take = seen * keep / count != (seen + 1) * keep / count; /* evenly spread */
        seen++;
        struct sample *s = &c->s[c->n];
        s->t = film->frame_time(film->user, film->fit_frames[i]);
        if (!take || !isfinite(s->t) || !pz_motion_space_project(c->space, f, s->m))
            continue;
        s->frame = film->fit_frames[i];
        s->pose[0] = f->pose.yaw;
        s->pose[1] = f->pose.pitch;
        s->pose[2] = f->pose.roll;
        c->n++;
    }
    if (c->n < MIN_SAMPLES)
        return pz_fail(c->job ? c->job->log : NULL, PZ_ERR_UNUSABLE, "motion: too few frames could be read");
    return PZ_OK;
}

/* Features of all samples with the sound displaced by `lag`. */
static void featurise(struct calib *c, double lag)
{
    struct pz_motion_model *m = c->model;
    for (int i = 0; i < c->n; i++) {
        pz_sound_features(&c->sound, c->s[i].t + lag, m->cep_mean, m->cep_std,
                          m->sound + (size_t)i * PZ_SOUND_DIM);
        pz_viseme_weights(&c->line, c->s[i].t + lag, m->phones + (size_t)i * PZ_VIS_COUNT);
    }
}

/* Generic viseme targets in the subject's motion space: the table's gap, scaled to the subject's range, and
 * width, turned into the most likely m (whitened, so the least) that has them. */
static void make_prior(struct calib *c)
{
    const struct pz_motion_space *s = c->space;
    double w[PZ_MOTION_MAX], gg = 1e-9, ww = 1e-9, gw = 0;
    const float *mean = s->mean;
    double width = mean[3 * s->corner[1]] - mean[3 * s->corner[0]], sign = width < 0 ? -1 : 1;
    for (int k = 0; k < c->k; k++) {
        const float *b = s->basis + (size_t)k * s->n_points * 3;
        w[k] = sign * (b[3 * s->corner[1]] - b[3 * s->corner[0]]);
        gg += (double)s->gap_g[k] * s->gap_g[k];
        ww += w[k] * w[k];
        gw += s->gap_g[k] * w[k];
    }
    double a = 1.1 * gg, d = 1.3 * ww, det = a * d - gw * gw; /* soft: neither figure is exact */
    for (int v = 0; v < PZ_VIS_COUNT; v++) {
        const struct pz_viseme_shape *shape = pz_viseme_shape(v);
        double open = (shape->gap_cm - 0.05) / 1.1;
        open = open < 0 ? 0 : open > 1.2 ? 1.2 : open;
        double dg = s->gap_closed + (s->gap_open - s->gap_closed) * open - s->gap_0;
        double dw = 0.5 * shape->width * fabs(width);
        double x = (d * dg - gw * dw) / det, y = (a * dw - gw * dg) / det;
        for (int k = 0; k < c->k; k++)
            c->prior[v][k] = (float)(x * s->gap_g[k] + y * w[k]);
    }
}

/* ---- heads ---- */

/* Viseme targets from the samples `use`: weighted ridge to the prior. */
static bool solve_targets(const struct calib *c, const int *use, int n_use, float targets[][PZ_MOTION_MAX])
{
    double a[PZ_VIS_COUNT * PZ_VIS_COUNT] = {0}, b[PZ_VIS_COUNT * PZ_MOTION_MAX] = {0};
    for (int j = 0; j < n_use; j++) {
        const float *w = c->model->phones + (size_t)use[j] * PZ_VIS_COUNT;
        for (int r = 0; r < PZ_VIS_COUNT; r++) {
            for (int q = 0; q <= r; q++)
                a[r * PZ_VIS_COUNT + q] += (double)w[r] * w[q];
            for (int k = 0; k < c->k; k++)
                b[r * c->k + k] += (double)w[r] * c->s[use[j]].m[k];
        }
    }
    for (int r = 0; r < PZ_VIS_COUNT; r++) {
        a[r * PZ_VIS_COUNT + r] += PRIOR_FRAMES;
        for (int k = 0; k < c->k; k++)
            b[r * c->k + k] += PRIOR_FRAMES * c->prior[r][k];
    }
    if (!pz_linalg_cholesky(a, PZ_VIS_COUNT))
        return false;
    pz_linalg_cholesky_solve(a, PZ_VIS_COUNT, b, c->k);
    for (int r = 0; r < PZ_VIS_COUNT; r++)
        for (int k = 0; k < c->k; k++)
            targets[r][k] = (float)b[r * c->k + k];
    return true;
}

static struct pz_kernel kernel_of(const struct calib *c, const struct head *h)
{
    return (struct pz_kernel){c->n,
                              PZ_SOUND_DIM,
                              PZ_VIS_COUNT,
                              c->model->sound,
                              c->model->phones,
                              (float)(h->sound / c->sound_scale),
                              (float)(h->phone / c->phone_scale)};
}

static double mean_function(const struct calib *c, const struct head *h, float targets[][PZ_MOTION_MAX],
                            const double *mean, int i, int k)
{
    const float *w = c->model->phones + (size_t)i * PZ_VIS_COUNT;
    double v = h->mean_share * mean[k];
    for (int r = 0; r < PZ_VIS_COUNT; r++)
        v += (1 - h->mean_share) * w[r] * targets[r][k];
    return v;
}

/* Train a head on the samples c->use[0..n_use): c->solved gets the weights; targets and mean are those of
 * these. */
static bool train(struct calib *c, const struct head *h, int n_use, float targets[][PZ_MOTION_MAX],
                  double *mean)
{
    if (!solve_targets(c, c->use, n_use, targets))
        return false;
    for (int k = 0; k < c->k; k++) {
        mean[k] = 0;
        for (int j = 0; j < n_use; j++)
            mean[k] += c->s[c->use[j]].m[k] / (double)n_use;
    }
    for (int j = 0; j < n_use; j++)
        for (int k = 0; k < c->k; k++)
            c->y[(size_t)j * c->k + k] =
                c->s[c->use[j]].m[k] - mean_function(c, h, targets, mean, c->use[j], k);
    struct pz_kernel kernel = kernel_of(c, h);
    return pz_kernel_solve(&kernel, c->use, n_use, h->ridge, c->y, c->k, c->work, c->solved);
}

/* Cross-validated prediction of every sample by a head. */
static enum pz_status cross_validate(struct calib *c, const struct head *h, double *out)
{
    float targets[PZ_VIS_COUNT][PZ_MOTION_MAX];
    double mean[PZ_MOTION_MAX];
    struct pz_kernel kernel = kernel_of(c, h);
    for (int f = 0; f < FOLDS; f++) {
        int a = f * c->n / FOLDS, b = (f + 1) * c->n / FOLDS, n_use = 0;
        if (pz_job_cancelled(c->job))
            return PZ_ERR_CANCELLED;
        for (int i = 0; i < c->n; i++)
            if (c->s[i].t < c->s[a].t - FOLD_GAP_S || c->s[i].t > c->s[b - 1].t + FOLD_GAP_S)
                c->use[n_use++] = i;
        if (n_use < 10 || !train(c, h, n_use, targets, mean))
            return PZ_ERR_INTERNAL;
        for (int i = a; i < b; i++) {
            pz_kernel_row(&kernel, c->model->sound + (size_t)i * PZ_SOUND_DIM,
                          c->model->phones + (size_t)i * PZ_VIS_COUNT, c->row);
            for (int k = 0; k < c->k; k++) {
                double v = mean_function(c, h, targets, mean, i, k);
                for (int j = 0; j < n_use; j++)
                    v += c->row[c->use[j]] * c->solved[(size_t)j * c->k + k];
                out[(size_t)i * c->k + k] = v;
            }
        }
    }
    return PZ_OK;
}

/* ---- scores ---- */

static double gap_of(const struct calib *c, const double *m)
{
    double g = 0;
    for (int k = 0; k < c->k; k++)
        g += c->space->gap_g[k] * m[k];
    return g;
}

/* Correlation of the predicted with the tracked gap. */
static double gap_correlation(const struct calib *c, const double *pred)
{
    double sx = 0, sy = 0, xx = 0, yy = 0, xy = 0;
    for (int i = 0; i < c->n; i++) {
        double m[PZ_MOTION_MAX];
        for (int k = 0; k < c->k; k++)
            m[k] = c->s[i].m[k];
        double x = gap_of(c, pred + (size_t)i * c->k), y = gap_of(c, m);
        sx += x;
        sy += y;
        xx += x * x;
        yy += y * y;
        xy += x * y;
    }
    double n = c->n, vx = xx - sx * sx / n, vy = yy - sy * sy / n;
    return vx > 1e-12 && vy > 1e-12 ? (xy - sx * sy / n) / sqrt(vx * vy) : 0;
}

/* Error of a prediction against the tracked motion, 1 = as bad as the mean: displacement of the lower face
 * and error of the gap in equal parts. */
static double error_of(const struct calib *c, const double *pred)
{
    double num = 0, den = 0, gnum = 0, gden = 0;
    for (int i = 0; i < c->n; i++) {
        double e[PZ_MOTION_MAX], d[PZ_MOTION_MAX];
        for (int k = 0; k < c->k; k++) {
            double w = c->space->deviation[k];
            d[k] = c->s[i].m[k] - c->model->mean[k];
            e[k] = c->s[i].m[k] - pred[(size_t)i * c->k + k];
            num += w * w * e[k] * e[k];
            den += w * w * d[k] * d[k];
        }
        gnum += pow(gap_of(c, e), 2);
        gden += pow(gap_of(c, d), 2);
    }
    return 0.5 * num / (den + 1e-12) + 0.5 * gnum / (gden + 1e-12);
}

/* ---- choices ---- */

/* Sound and picture of a film may be shifted: take the lag under which sound explains the gap best, if it is
 * clearly better than none. */
static enum pz_status choose_lag(struct calib *c)
{
    const struct head h = {0.5, SOUND_EXPONENT, c->line.n > 0 ? 0.3 : 0, 0.5};
    enum pz_status st = PZ_OK;
    double none = 0, best = -2;
    int best_step = 0;
    for (int step = -LAG_STEPS; step <= LAG_STEPS; step++) {
        featurise(c, step * LAG_STEP_S);
        PZ_TRY(cross_validate(c, &h, c->cv));
        double r = gap_correlation(c, c->cv);
        none = step == 0 ? r : none;
        if (r > best) {
            best = r;
            best_step = step;
        }
    }
    c->model->lag_s = best > none + 0.05 ? (float)(best_step * LAG_STEP_S) : 0.0f;
    featurise(c, c->model->lag_s);
fail:
    return st;
}

/* Weight of phones and ridge of the full head; how much of the phone head recognised phones deserve. */
static enum pz_status choose_heads(struct calib *c, struct head *full, const struct head *phone)
{
    static const double phones[] = {0.3, 0.15, 0.6, 0.0}, ridges[] = {0.5, 0.25, 1.0}, shares[] = {0.25, 0.5};
    enum pz_status st = PZ_OK;
    double best = 1e9;
    for (int a = 0; a < 4; a++)
        for (int b = 0; b < 3; b++) {
            struct head h = {0.5, SOUND_EXPONENT, phones[a], ridges[b]};
            if (c->line.n == 0 && h.phone > 0)
                continue;
            PZ_TRY(cross_validate(c, &h, c->cv));
            double e = error_of(c, c->cv);
            if (e < best * (best > 1e8 ? 1 : 0.99)) { /* leave the defaults only for a clear gain */
                best = e;
                *full = h;
                memcpy(c->best, c->cv, (size_t)c->n * c->k * sizeof *c->best);
            }
        }
    c->model->phone_share = 0;
    if (c->line.n > 0) {
        PZ_TRY(cross_validate(c, phone, c->cv_phone));
        double win = best * 0.99, share = 0;
        for (int a = 0; a < 2; a++) {
            for (int i = 0; i < c->n * c->k; i++)
                c->cv[i] = (1 - shares[a]) * c->best[i] + shares[a] * c->cv_phone[i];
            double e = error_of(c, c->cv);
            if (e < win) {
                win = e;
                share = shares[a];
            }
        }
        c->model->phone_share = (float)share;
        for (int i = 0; i < c->n * c->k; i++)
            c->best[i] = (1 - share) * c->best[i] + share * c->cv_phone[i];
    }
fail:
    return st;
}

/* Ridge shrinks; people do not under-articulate by themselves. Part of the lost amplitude is given back: all
 * of it would cost accuracy. */
static void choose_gain(struct calib *c)
{
    for (int k = 0; k < c->k; k++) {
        double mp = 0, mt = 0, vp = 0, vt = 0;
        for (int i = 0; i < c->n; i++) {
            mp += c->best[(size_t)i * c->k + k] / c->n;
            mt += c->s[i].m[k] / (double)c->n;
        }
        for (int i = 0; i < c->n; i++) {
            vp += pow(c->best[(size_t)i * c->k + k] - mp, 2);
            vt += pow(c->s[i].m[k] - mt, 2);
        }
        double ratio = sqrt(vt / (vp + 1e-9));
        ratio = ratio < 0.8 ? 0.8 : ratio > 1.6 ? 1.6 : ratio;
        c->model->gain[k] = (float)pow(ratio, GAIN_SHARE);
        c->model->center[k] = (float)mp;
    }
}

static bool solve_pose(const struct calib *c, int skip_from, int skip_to, double gain[3][PZ_MOTION_MAX])
{
    double a[9] = {0}, b[3 * PZ_MOTION_MAX] = {0};
    for (int i = 0; i < c->n; i++) {
        if (i >= skip_from && i < skip_to)
            continue;
        for (int p = 0; p < 3; p++) {
            double z = (c->s[i].pose[p] - c->model->pose_mean[p]) / 5.0;
            for (int q = 0; q < 3; q++)
                a[3 * p + q] += z * (c->s[i].pose[q] - c->model->pose_mean[q]) / 5.0;
            for (int k = 0; k < c->k; k++)
                b[p * c->k + k] += z * (c->s[i].m[k] - c->best[(size_t)i * c->k + k]);
        }
    }
    for (int p = 0; p < 3; p++)
        a[4 * p] += POSE_RIDGE;
    if (!pz_linalg_cholesky(a, 3))
        return false;
    pz_linalg_cholesky_solve(a, 3, b, c->k);
    for (int p = 0; p < 3; p++)
        for (int k = 0; k < c->k; k++)
            gain[p][k] = b[p * c->k + k];
    return true;
}

/* What the anchor would add to every sample. */
static enum pz_status measure_anchor(struct calib *c)
{
    struct pz_motion_anchor anchor;
    float(*offset)[2] = pz_calloc((size_t)c->n, 2 * sizeof *offset);
    double *times = pz_calloc((size_t)c->n, sizeof *times);
    bool *known = pz_calloc((size_t)c->n, sizeof *known);
    enum pz_status st = offset && times && known ? PZ_OK : PZ_ERR_NOMEM;
    if (st == PZ_OK && pz_motion_anchor_make(c->space, &anchor)) {
        for (int i = 0; i < c->n; i++) {
            times[i] = c->s[i].t;
            known[i] = pz_motion_anchor_offset(c->space, &anchor, c->film->face(c->film->user, c->s[i].frame),
                                               offset[i]);
        }
        pz_motion_anchor_smooth(times, known, c->n, offset, offset + c->n);
        for (int i = 0; i < c->n; i++)
            pz_motion_anchor_add(c->space, &anchor, offset[i], c->s[i].hang);
    }
    pz_free(offset);
    pz_free(times);
    pz_free(known);
    return st;
}

/* Let the lower face hang on the anchor, unless that predicts blocks it has not seen clearly worse: ten
 * seconds hold too few nods to prove what a head does anyway. */
static void choose_anchor(struct calib *c)
{
    for (int i = 0; i < c->n; i++)
        for (int k = 0; k < c->k; k++)
            c->cv[(size_t)i * c->k + k] = c->best[(size_t)i * c->k + k] + (double)c->s[i].hang[k];
    if (!(error_of(c, c->cv) < ANCHOR_HARM * error_of(c, c->best)))
        return;
    memcpy(c->best, c->cv, (size_t)c->n * c->k * sizeof *c->best);
    c->model->anchored = 1;
}

/* A posture that goes with the turn of the head: partly real, partly what perspective does to a landmarker.
 * Kept when it predicts blocks it has not seen. */
static void choose_pose(struct calib *c)
{
    double gain[3][PZ_MOTION_MAX];
    for (int p = 0; p < 3; p++)
        for (int i = 0; i < c->n; i++)
            c->model->pose_mean[p] += c->s[i].pose[p] / (float)c->n;
    for (int f = 0; f < FOLDS; f++) {
        int a = f * c->n / FOLDS, b = (f + 1) * c->n / FOLDS;
        if (!solve_pose(c, a, b, gain))
            return;
        for (int i = a; i < b; i++)
            for (int k = 0; k < c->k; k++) {
                double v = c->best[(size_t)i * c->k + k];
                for (int p = 0; p < 3; p++)
                    v += gain[p][k] * (c->s[i].pose[p] - c->model->pose_mean[p]) / 5.0;
                c->cv[(size_t)i * c->k + k] = v;
            }
    }
    if (!(error_of(c, c->cv) < error_of(c, c->best)) || !solve_pose(c, 0, 0, gain))
        return;
    memcpy(c->best, c->cv, (size_t)c->n * c->k * sizeof *c->best);
    for (int p = 0; p < 3; p++)
        for (int k = 0; k < c->k; k++)
            c->model->pose_gain[p][k] = (float)gain[p][k];
}

/* How the mouth rests: the mean of the more closed half of the resting frames (people breathe in with open
 * lips before they speak), and never further open than a slit. */
static void choose_rest(struct calib *c, const float *weight, float *gaps)
{
    struct pz_motion_model *m = c->model;
    int resting = 0, used = 0;
    for (int i = 0; i < c->n; i++)
        if (weight[i] > 0.7f)
            gaps[resting++] = pz_motion_space_gap_linear(c->space, c->s[i].m);
    if (resting >= 5) {
        qsort(gaps, (size_t)resting, sizeof *gaps, pz_by_float);
        float middle = gaps[resting / 2];
        for (int i = 0; i < c->n; i++)
            used += weight[i] > 0.7f && pz_motion_space_gap_linear(c->space, c->s[i].m) <= middle;
        for (int i = 0; i < c->n; i++)
            for (int k = 0; k < c->k; k++)
                if (weight[i] > 0.7f && pz_motion_space_gap_linear(c->space, c->s[i].m) <= middle)
                    m->rest[k] += (c->s[i].m[k] - m->anchored * c->s[i].hang[k]) / (float)used;
    } else {
        for (int k = 0; k < c->k; k++)
            m->rest[k] = m->targets[PZ_VIS_SIL][k];
    }
    pz_motion_space_clamp(c->space, m->rest);
    pz_motion_lower_gap(
        c->space, c->space->gap_closed + REST_SLIT * (c->space->gap_open - c->space->gap_closed), m->rest);
}

/* What counts as quiet (a quarter of the way from noise floor to speech, at most 6 dB), and the rest posture.
 */
static enum pz_status measure_rest(struct calib *c)
{
    struct pz_motion_model *m = c->model;
    float *e = pz_calloc((size_t)c->n, sizeof *e), *w = pz_calloc((size_t)c->n, sizeof *w);
    double *times = pz_calloc((size_t)c->n, sizeof *times);
    enum pz_status st = e && w && times ? PZ_OK : PZ_ERR_NOMEM;
    if (st == PZ_OK) {
        for (int i = 0; i < c->n; i++) {
            times[i] = c->s[i].t + m->lag_s;
            e[i] = pz_sound_energy(&c->sound, times[i]);
        }
        qsort(e, (size_t)c->n, sizeof *e, pz_by_float);
        float floor_e = e[c->n / 20], speech = e[c->n * 8 / 10], up = 0.25f * (speech - floor_e);
        m->quiet = floor_e + (up < 1.4f ? up : 1.4f);
        pz_motion_rest_weights(&c->line, &c->sound, m->quiet, times, c->n, w);
        choose_rest(c, w, e);
    }
    pz_free(e);
    pz_free(w);
    pz_free(times);
    return st;
}

/* Final heads on all samples. */
static enum pz_status finish(struct calib *c, const struct head *full, const struct head *phone)
{
    struct pz_motion_model *m = c->model;
    double mean[PZ_MOTION_MAX];
    for (int h = 0; h < 2; h++) {
        for (int i = 0; i < c->n; i++)
            c->use[i] = i;
        if (!train(c, h ? phone : full, c->n, m->targets, mean))
            return PZ_ERR_INTERNAL;
        float *out = h ? m->beta : m->alpha;
        for (int i = 0; i < c->n * c->k; i++)
            out[i] = (float)c->solved[i];
    }
    struct pz_kernel kf = kernel_of(c, full), kp = kernel_of(c, phone);
    m->sound_gain = kf.ga;
    m->phone_gain = kf.gp;
    m->phone_gain_2 = kp.gp;
    return PZ_OK;
}

static enum pz_status prepare(struct calib *c)
{
    struct pz_log *log = c->job ? c->job->log : NULL;
    enum pz_status st = PZ_OK;
    PZ_TRY(collect(c));
    st = PZ_ERR_NOMEM;
    size_t n = (size_t)c->n, nk = n * (size_t)c->k;
    c->model = pz_motion_model_create(c->n, c->k);
    c->use = pz_calloc(n, sizeof *c->use);
    c->work = pz_calloc(n * n, sizeof *c->work);
    c->row = pz_calloc(n, sizeof *c->row);
    c->y = pz_calloc(nk, sizeof *c->y);
    c->solved = pz_calloc(nk, sizeof *c->solved);
    c->cv = pz_calloc(nk, sizeof *c->cv);
    c->cv_phone = pz_calloc(nk, sizeof *c->cv_phone);
    c->best = pz_calloc(nk, sizeof *c->best);
    if (!c->model || !c->use || !c->work || !c->row || !c->y || !c->solved || !c->cv || !c->cv_phone ||
        !c->best)
        goto fail;
    PZ_TRY(pz_sound_track_make(log, c->film->speech, c->film->n_speech, &c->sound));
    st = pz_viseme_line_make(c->film->phones, c->film->phones ? c->film->n_phones : 0, &c->line);
    if (st == PZ_ERR_FORMAT)
        st = pz_fail(log, st, "motion: phones of the film are out of order");
    PZ_TRY(st);
    pz_sound_stats(&c->sound, c->s[0].t, c->s[c->n - 1].t, c->model->cep_mean, c->model->cep_std);
    for (int k = 0; k < c->k; k++)
        for (int i = 0; i < c->n; i++)
            c->model->mean[k] += c->s[i].m[k] / (float)c->n;
    featurise(c, 0);
    make_prior(c);
    PZ_TRY(pz_kernel_scale(c->model->sound, c->n, PZ_SOUND_DIM, &c->sound_scale));
    PZ_TRY(pz_kernel_scale(c->model->phones, c->n, PZ_VIS_COUNT, &c->phone_scale));
fail:
    return st;
}

enum pz_status pz_motion_model_fit(const struct pz_film *film, const struct pz_motion_space *space,
                                   const struct pz_job *job, struct pz_motion_model **out)
{
    struct calib c = {.film = film, .space = space, .job = job, .k = space->n_components};
    const struct head phone = {0, 0, PHONE_EXPONENT_2, PHONE_RIDGE};
    struct head full = {0};
    enum pz_status st = PZ_OK;
    *out = NULL;
    PZ_TRY(prepare(&c));
    PZ_TRY(choose_lag(&c));
    PZ_TRY(choose_heads(&c, &full, &phone));
    choose_gain(&c);
    PZ_TRY(measure_anchor(&c));
    choose_anchor(&c);
    choose_pose(&c);
    PZ_TRY(finish(&c, &full, &phone));
    PZ_TRY(measure_rest(&c));
    c.model->cv_r = (float)gap_correlation(&c, c.best);
    c.model->cv_error = (float)sqrt(error_of(&c, c.best));
    if (job)
        pz_info(job->log, "motion: %d samples, lag %.0f ms, phones %.2f/%.2f, cross-validated r %.2f", c.n,
                1e3 * (double)c.model->lag_s, full.phone, (double)c.model->phone_share,
                (double)c.model->cv_r);
    *out = c.model;
    c.model = NULL;
fail:
    pz_motion_model_free(&c.model);
    free_calib(&c);
    return st;
}
