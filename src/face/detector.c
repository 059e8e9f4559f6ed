/* BlazeFace: letterbox, 896 anchors, decoding, weighted non-maximum suppression over all passes together. */
#include "face/detector.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "tensor/plan.h"
#include "tensor/profile.h"
#include "weights/tflite.h"

#define SIDE 128
#define ANCHORS 896
#define MIN_SCORE 0.5f
#define NMS_IOU 0.3f
#define MAX_CANDIDATES 256

struct pz_face_detector {
    struct pz_log *log;
    struct pz_plan *plan;
    struct pz_session *session;
    struct pz_crop_scratch scratch;
    float anchors[ANCHORS][2];
    struct pz_face_detection candidates[MAX_CANDIDATES];
    int n_candidates;
};

/* 2 anchors per cell of the 16×16 map, then 6 per cell of the 8×8 map; all of size 1. */
static void make_anchors(float a[ANCHORS][2])
{
    static const int grids[2][2] = {{16, 2}, {8, 6}};
    int n = 0;
    for (int g = 0; g < 2; g++)
        for (int y = 0; y < grids[g][0]; y++)
            for (int x = 0; x < grids[g][0]; x++)
                for (int k = 0; k < grids[g][1]; k++, n++) {
                    a[n][0] = ((float)x + 0.5f) / (float)grids[g][0];
                    a[n][1] = ((float)y + 0.5f) / (float)grids[g][0];
                }
}

enum pz_status pz_face_detector_create(const char *model_path, struct pz_log *log,
                                       struct pz_face_detector **out)
{
    enum pz_status st = PZ_OK;
    struct pz_graph *g = NULL;
    *out = NULL;
    struct pz_face_detector *d = pz_calloc(1, sizeof *d);
    if (!d)
        return pz_fail(log, PZ_ERR_NOMEM, "no memory for the face detector");
    d->log = log;
    make_anchors(d->anchors);
    PZ_TRY(pz_tflite_load(log, model_path, &g));
    PZ_TRY(pz_plan_create(&g, &pz_plan_default, log, &d->plan));
    PZ_TRY(pz_session_create(d->plan, log, &d->session));
    struct pz_view in = pz_session_input(d->session, NULL, 0),
                   boxes = pz_session_output(d->session, "regressors", 0),
                   scores = pz_session_output(d->session, "classificators", 0);
    if (!in.data || !boxes.data || !scores.data || pz_shape_count(&in.shape) != SIDE * SIDE * 3 ||
        pz_shape_count(&boxes.shape) != ANCHORS * 16 || pz_shape_count(&scores.shape) != ANCHORS) {
        st = pz_fail(log, PZ_ERR_WEIGHTS, "'%s' is not the short-range face detector", model_path);
        goto fail;
    }
    *out = d;
    return PZ_OK;
fail:
    pz_face_detector_destroy(&d);
    return st == PZ_ERR_FORMAT || st == PZ_ERR_UNSUPPORTED ? PZ_ERR_WEIGHTS : st;
}

enum pz_status pz_face_detector_profile(struct pz_face_detector *d, struct pz_profile *p)
{
    return pz_session_profile(d->session, p, "face boxes");
}

void pz_face_detector_destroy(struct pz_face_detector **dp)
{
    if (!dp || !*dp)
        return;
    pz_session_destroy(&(*dp)->session);
    pz_plan_destroy(&(*dp)->plan);
    pz_crop_scratch_free(&(*dp)->scratch);
    pz_free(*dp);
    *dp = NULL;
}

/* One pass over the part of the picture inside `box`. */
static enum pz_status pass(struct pz_face_detector *d, const struct pz_picture *pic, const float box[4],
                           struct pz_pool *pool)
{
    float w = box[2] - box[0], h = box[3] - box[1], side = fmaxf(w, h);
    struct pz_face_rect r = {(box[0] + box[2]) / 2, (box[1] + box[3]) / 2, side, side, 0};
    float *in = pz_session_input(d->session, NULL, 0).data;
    enum pz_status st = pz_face_crop(pic, &r, -1, 1, true, &d->scratch, in, SIDE, SIDE);
    if (st < PZ_OK)
        return pz_fail(d->log, st, "no memory to look for faces");
    pz_session_run(d->session, pool);
    const float *raw = pz_session_output(d->session, "regressors", 0).data;
    const float *score = pz_session_output(d->session, "classificators", 0).data;
    float x0 = r.cx - side / 2, y0 = r.cy - side / 2;
    for (int i = 0; i < ANCHORS && d->n_candidates < MAX_CANDIDATES; i++) {
        float s = 1 / (1 + expf(-fminf(fmaxf(score[i], -100), 100)));
        if (!(s >= MIN_SCORE))
            continue;
        const float *q = raw + 16 * i, *a = d->anchors[i];
        float cx = q[0] / SIDE + a[0], cy = q[1] / SIDE + a[1], bw = q[2] / SIDE, bh = q[3] / SIDE;
        struct pz_face_detection c = {.score = s};
        c.box[0] = x0 + side * (cx - bw / 2);
        c.box[1] = y0 + side * (cy - bh / 2);
        c.box[2] = x0 + side * (cx + bw / 2);
        c.box[3] = y0 + side * (cy + bh / 2);
        for (int k = 0; k < 2; k++) {
            c.eye[k][0] = x0 + side * (q[4 + 2 * k] / SIDE + a[0]);
            c.eye[k][1] = y0 + side * (q[5 + 2 * k] / SIDE + a[1]);
        }
        if (isfinite(c.box[0] + c.box[1] + c.box[2] + c.box[3]) && bw > 0 && bh > 0)
            d->candidates[d->n_candidates++] = c;
    }
    return PZ_OK;
}

float pz_face_iou(const float a[4], const float b[4])
{
    float w = fminf(a[2], b[2]) - fmaxf(a[0], b[0]), h = fminf(a[3], b[3]) - fmaxf(a[1], b[1]);
    if (!(w > 0) || !(h > 0))
        return 0;
    float both = w * h;
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both);
}

/* Weighted: a face is the score-weighted mean of the candidates that overlap its best one. */
static int suppress(struct pz_face_detector *d, struct pz_face_detection *out)
{
    int n = 0;
    bool used[MAX_CANDIDATES] = {false};
    while (n < PZ_FACE_MAX_DETECTIONS) {
        int best = -1;
        for (int i = 0; i < d->n_candidates; i++)
            if (!used[i] && (best < 0 || d->candidates[i].score > d->candidates[best].score))
                best = i;
        if (best < 0)
            break;
        struct pz_face_detection sum = {.score = d->candidates[best].score};
        float weight = 0;
        for (int i = 0; i < d->n_candidates; i++) {
            const struct pz_face_detection *c = &d->candidates[i];
            if (used[i] || (i != best && pz_face_iou(c->box, d->candidates[best].box) < NMS_IOU))
                continue;
            used[i] = true;
            weight += c->score;
            for (int k = 0; k < 4; k++)
                sum.box[k] += c->score * c->box[k];
            for (int k = 0; k < 4; k++)
                sum.eye[k / 2][k % 2] += c->score * c->eye[k / 2][k % 2];
        }
        for (int k = 0; k < 4; k++) {
            sum.box[k] /= weight;
            sum.eye[k / 2][k % 2] /= weight;
        }
        out[n++] = sum;
    }
    return n;
}

enum pz_status pz_face_detector_run(struct pz_face_detector *d, const struct pz_picture *pic, bool tiles,
                                    struct pz_pool *pool, struct pz_face_detection *out, int *n)
{
    float w = (float)pic->width, h = (float)pic->height;
    d->n_candidates = 0;
    *n = 0;
    enum pz_status st = pass(d, pic, (float[4]){0, 0, w, h}, pool);
    for (int i = 0; tiles && st == PZ_OK && i < 4; i++) {
        float x = (i & 1) ? 0.4f * w : 0, y = (i >> 1) ? 0.4f * h : 0;
        st = pass(d, pic, (float[4]){x, y, x + 0.6f * w, y + 0.6f * h}, pool);
    }
    if (st == PZ_OK)
        *n = suppress(d, out);
    return st;
}
