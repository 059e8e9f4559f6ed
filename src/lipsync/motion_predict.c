/*
 * From a span of sound to a motion: the two heads of the model, then gain, posture, rest, smoothing, closures
 * and the joints with the template's own motion. Learning is in motion_fit.c.
 */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "lipsync/kernel.h"
#include "lipsync/motion_anchor.h"
#include "lipsync/motion_model.h"
#include "lipsync/motion_path.h"

#define EXACT_SHARE 0.7 /* of the phone head where phones come from a synthesiser */
#define REST_SHARE 0.9f
#define LAMBDA_1 0.015
#define LAMBDA_2 0.1

struct pz_motion_model *pz_motion_model_create(int n, int k)
{
    if (n < 1 || n > PZ_MOTION_MAX_SAMPLES || k < 1 || k > PZ_MOTION_MAX)
        return NULL;
    struct pz_motion_model *m = pz_calloc(1, sizeof *m);
    if (!m)
        return NULL;
    m->n = n;
    m->k = k;
    m->sound = pz_calloc((size_t)n * PZ_SOUND_DIM, sizeof *m->sound);
    m->phones = pz_calloc((size_t)n * PZ_VIS_COUNT, sizeof *m->phones);
    m->alpha = pz_calloc((size_t)n * k, sizeof *m->alpha);
    m->beta = pz_calloc((size_t)n * k, sizeof *m->beta);
    if (!m->sound || !m->phones || !m->alpha || !m->beta)
        pz_motion_model_free(&m);
    return m;
}

void pz_motion_model_free(struct pz_motion_model **m)
{
    if (!m || !*m)
        return;
    pz_free((*m)->sound);
    pz_free((*m)->phones);
    pz_free((*m)->alpha);
    pz_free((*m)->beta);
    pz_free(*m);
    *m = NULL;
}

void pz_motion_model_eval(const struct pz_motion_model *m, const float sound[PZ_SOUND_DIM],
                          const float visemes[PZ_VIS_COUNT], double share, double *row, double *out)
{
    double target[PZ_MOTION_MAX] = {0}, full[PZ_MOTION_MAX] = {0}, phone[PZ_MOTION_MAX] = {0};
    for (int v = 0; v < PZ_VIS_COUNT; v++)
        for (int k = 0; k < m->k; k++)
            target[k] += (double)visemes[v] * m->targets[v][k];
    struct pz_kernel kernel = {m->n,      PZ_SOUND_DIM,  PZ_VIS_COUNT, m->sound,
                               m->phones, m->sound_gain, m->phone_gain};
    if (share < 1) {
        pz_kernel_row(&kernel, sound, visemes, row);
        for (int j = 0; j < m->n; j++)
            for (int k = 0; k < m->k; k++)
                full[k] += row[j] * m->alpha[(size_t)j * m->k + k];
    }
    if (share > 0) {
        kernel.ga = 0;
        kernel.gp = m->phone_gain_2;
        pz_kernel_row(&kernel, sound, visemes, row);
        for (int j = 0; j < m->n; j++)
            for (int k = 0; k < m->k; k++)
                phone[k] += row[j] * m->beta[(size_t)j * m->k + k];
    }
    for (int k = 0; k < m->k; k++)
        out[k] =
            (1 - share) * (0.5 * target[k] + 0.5 * m->mean[k] + full[k]) + share * (target[k] + phone[k]);
}

/* ---- predict ---- */

struct work {
    struct pz_sound_track sound;
    struct pz_viseme_line line;
    float *rest, *own, *strength; /* [n], [n][k], [n] */
    float (*hang)[2];             /* [2 n]: the anchor's offsets and scratch */
    bool *known;                  /* [n] */
    struct pz_motion_anchor anchor;
    double *row;
};

/* How much of the neighbourhood (±60 ms) of `t` is covered by exact phones: 0 … 1, without a jump. */
static double exactness(const struct pz_viseme_line *line, double t)
{
    double covered = 0;
    for (int e = 0; e < line->n; e++) {
        const struct pz_viseme_event *ev = &line->events[e];
        if (!ev->exact || ev->end < t - 0.06 || ev->start > t + 0.06)
            continue;
        double a = ev->start > t - 0.06 ? ev->start : t - 0.06, b = ev->end < t + 0.06 ? ev->end : t + 0.06;
        covered += b - a;
    }
    return covered / 0.12 > 1 ? 1 : covered / 0.12;
}

static void aim(const struct pz_motion_model *model, const struct pz_speech_span *span, const struct work *w,
                int i, float *m)
{
    float features[PZ_SOUND_DIM], visemes[PZ_VIS_COUNT];
    double out[PZ_MOTION_MAX], t = span->frame_times[i] + model->lag_s;
    pz_sound_features(&w->sound, t, model->cep_mean, model->cep_std, features);
    pz_viseme_weights(&w->line, t, visemes);
    double share = 0;
    if (w->line.n > 0) {
        double exact = exactness(&w->line, t);
        share = exact * EXACT_SHARE + (1 - exact) * model->phone_share;
    }
    pz_motion_model_eval(model, features, visemes, share, w->row, out);
    const struct pz_face *face = span->faces ? span->faces[i] : NULL;
    double pose[3] = {0};
    if (face) {
        const float angle[3] = {face->pose.yaw, face->pose.pitch, face->pose.roll};
        for (int a = 0; a < 3; a++) {
            double d = isfinite(angle[a]) ? (angle[a] - model->pose_mean[a]) / 5.0 : 0;
            pose[a] = d > 4 ? 4 : d < -4 ? -4 : d;
        }
    }
    for (int k = 0; k < model->k; k++) {
        double v = model->center[k] + model->gain[k] * (out[k] - model->center[k]);
        for (int a = 0; a < 3; a++)
            v += pose[a] * model->pose_gain[a][k];
        m[k] = (float)v;
    }
}

/* Add what the head's pose leaves open at the nose. */
static bool hang(const struct pz_motion_model *model, const struct pz_motion_space *space,
                 const struct pz_speech_span *span, struct work *w, float *m)
{
    if (!(model->anchored > 0) || !span->faces || !pz_motion_anchor_make(space, &w->anchor))
        return false;
    for (int i = 0; i < span->n_frames; i++)
        w->known[i] = pz_motion_anchor_offset(space, &w->anchor, span->faces[i], w->hang[i]);
    pz_motion_anchor_smooth(span->frame_times, w->known, span->n_frames, w->hang, w->hang + span->n_frames);
    for (int i = 0; i < span->n_frames; i++)
        pz_motion_anchor_add(space, &w->anchor, w->hang[i], m + (size_t)i * model->k);
    return true;
}

static double joint_weight(const struct pz_speech_span *span, int i)
{
    double from = span->frame_times[i] - span->frame_times[0];
    double to = span->frame_times[span->n_frames - 1] - span->frame_times[i];
    double x = (from < to ? from : to) / span->blend_s;
    return x >= 1 ? 1 : x * x * (3 - 2 * x);
}

/* Posture: what the template's mouth does on average over the span and the prediction does not, but for the
 * opening of the lips, which is a matter of the words. Shrunk, because a short span averages few sounds. */
static void add_posture(const struct pz_motion_space *s, const struct pz_speech_span *span, const float *own,
                        float *m)
{
    int n = span->n_frames, kk = s->n_components;
    double d[PZ_MOTION_MAX] = {0}, gd = 0, gg = 1e-12;
    for (int i = 0; i < n; i++)
        for (int k = 0; k < kk; k++)
            d[k] += ((double)own[(size_t)i * kk + k] - m[(size_t)i * kk + k]) / n;
    for (int k = 0; k < kk; k++) {
        gd += s->gap_g[k] * d[k];
        gg += (double)s->gap_g[k] * s->gap_g[k];
    }
    double shrink = 0.6 * n / (n + 12.0);
    for (int k = 0; k < kk; k++) {
        double v = shrink * (d[k] - s->gap_g[k] * gd / gg);
        for (int i = 0; i < n; i++)
            m[(size_t)i * kk + k] += (float)v;
    }
}

static enum pz_status check(const struct pz_motion_model *model, const struct pz_motion_space *space,
                            const struct pz_speech_span *span, struct pz_log *log)
{
    if (model->k != space->n_components)
        return pz_fail(log, PZ_ERR_USAGE, "motion: model and motion space do not belong together");
    for (int i = 0; i < span->n_frames; i++)
        if (!isfinite(span->frame_times[i]) || (i > 0 && span->frame_times[i] < span->frame_times[i - 1]))
            return pz_fail(log, PZ_ERR_FORMAT, "motion: frame times do not ascend at frame %d", i);
    return PZ_OK;
}

/* The template's own motion on all frames of the span; a frame that cannot be read takes its neighbour's.
 * False when none can. */
static bool own_motion(const struct pz_motion_space *s, const struct pz_speech_span *span, float *own)
{
    int last = -1, k = s->n_components;
    for (int i = 0; i < span->n_frames; i++) {
        if (span->faces && pz_motion_space_project(s, span->faces[i], own + (size_t)i * k)) {
            for (int j = last < 0 ? 0 : i; last < 0 && j < i; j++)
                memcpy(own + (size_t)j * k, own + (size_t)i * k, (size_t)k * sizeof *own);
            last = i;
        } else if (last >= 0) {
            memcpy(own + (size_t)i * k, own + (size_t)last * k, (size_t)k * sizeof *own);
        }
    }
    return last >= 0;
}

static enum pz_status shape_path(const struct pz_motion_model *model, const struct pz_motion_space *space,
                                 const struct pz_speech_span *span, struct work *w, float *m)
{
    enum pz_status st = PZ_OK;
    int n = span->n_frames, k = model->k;
    bool joined = span->blend_s > 0 && own_motion(space, span, w->own),
         hangs = hang(model, space, span, w, m);
    if (joined) {
        /* tracked motion shakes more than made motion: calm it before the two are joined */
        PZ_TRY(pz_motion_smooth(span->frame_times, n, k, LAMBDA_1, LAMBDA_2, w->own));
        add_posture(space, span, w->own, m);
    }
    pz_motion_rest_weights(&w->line, &w->sound, model->quiet, span->frame_times, n, w->rest);
    for (int i = 0; i < n; i++) {
        float rest[PZ_MOTION_MAX];
        memcpy(rest, model->rest, sizeof rest);
        if (hangs)
            pz_motion_anchor_add(space, &w->anchor, w->hang[i], rest);
        for (int c = 0; c < k; c++)
            m[(size_t)i * k + c] += REST_SHARE * w->rest[i] * (rest[c] - m[(size_t)i * k + c]);
    }
    PZ_TRY(pz_motion_smooth(span->frame_times, n, k, LAMBDA_1, LAMBDA_2, m));
    for (int i = 0; i < n; i++) {
        pz_motion_space_clamp(space, m + (size_t)i * k);
        w->strength[i] = joined ? (float)joint_weight(span, i) : 1.0f;
    }
    pz_motion_close(space, &w->line, span->frame_times, n, NULL, m);
    if (joined) {
        for (int i = 0; i < n; i++)
            for (int c = 0; c < k; c++)
                m[(size_t)i * k + c] +=
                    (1 - w->strength[i]) * (w->own[(size_t)i * k + c] - m[(size_t)i * k + c]);
        pz_motion_close(space, &w->line, span->frame_times, n, w->strength, m);
    }
fail:
    return st;
}

enum pz_status pz_motion_predict(const struct pz_motion_model *model, const struct pz_motion_space *space,
                                 const struct pz_speech_span *span, const struct pz_job *job, float *m_out)
{
    struct pz_log *log = job ? job->log : NULL;
    struct work w = {0};
    enum pz_status st = PZ_OK;
    int n = span->n_frames, k = model->k;
    if (n < 1)
        return PZ_OK;
    PZ_TRY(check(model, space, span, log));
    PZ_TRY(pz_sound_track_make(log, span->speech, span->n_speech, &w.sound));
    st = pz_viseme_line_make(span->phones, span->phones ? span->n_phones : 0, &w.line);
    if (st == PZ_ERR_FORMAT)
        st = pz_fail(log, st, "motion: phones of the span are out of order");
    PZ_TRY(st);
    st = PZ_ERR_NOMEM;
    w.rest = pz_calloc((size_t)n, sizeof *w.rest);
    w.strength = pz_calloc((size_t)n, sizeof *w.strength);
    w.own = pz_calloc((size_t)n * k, sizeof *w.own);
    w.row = pz_calloc((size_t)model->n, sizeof *w.row);
    w.hang = pz_calloc((size_t)n, 2 * sizeof *w.hang);
    w.known = pz_calloc((size_t)n, sizeof *w.known);
    if (!w.hang || !w.known || !w.rest || !w.strength || !w.own || !w.row)
        goto fail;
    for (int i = 0; i < n; i++) {
        if (pz_job_cancelled(job)) {
            st = PZ_ERR_CANCELLED;
            goto fail;
        }
        aim(model, span, &w, i, m_out + (size_t)i * k);
    }
    PZ_TRY(shape_path(model, space, span, &w, m_out));
fail:
    pz_sound_track_free(&w.sound);
    pz_viseme_line_free(&w.line);
    pz_free(w.rest);
    pz_free(w.strength);
    pz_free(w.own);
    pz_free(w.row);
    pz_free(w.hang);
    pz_free(w.known);
    return st;
}
