/* BlazeFace: letterbox, 896 anchors, decoding, weighted non-maximum suppression over all passes together. */
#include "face/detector_impl.h"

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

struct blazeface {
    struct pz_face_detector base;
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

static void destroy(struct pz_face_detector *base)
{
    struct blazeface *d = (struct blazeface *)base;
    pz_session_destroy(&d->session);
    pz_plan_destroy(&d->plan);
    pz_crop_scratch_free(&d->scratch);
    pz_free(d);
}

static enum pz_status profile(struct pz_face_detector *base, struct pz_profile *p)
{
    return pz_session_profile(((struct blazeface *)base)->session, p, "face boxes");
}

/* One pass over a part of the picture. */
static enum pz_status pass(struct blazeface *d, const struct pz_picture *pic, const struct pz_face_rect *r,
                           struct pz_pool *pool)
{
    float *in = pz_session_input(d->session, NULL, 0).data;
    enum pz_status st = pz_face_crop(pic, r, -1, 1, PZ_CROP_BLACK, &d->scratch, in, SIDE, SIDE);
    if (st < PZ_OK)
        return pz_fail(d->log, st, "no memory to look for faces");
    pz_session_run(d->session, pool);
    const float *raw = pz_session_output(d->session, "regressors", 0).data;
    const float *score = pz_session_output(d->session, "classificators", 0).data;
    for (int i = 0; i < ANCHORS && d->n_candidates < MAX_CANDIDATES; i++) {
        float s = 1 / (1 + expf(-fminf(fmaxf(score[i], -100), 100)));
        if (!(s >= MIN_SCORE))
            continue;
        const float *q = raw + 16 * i, *a = d->anchors[i];
        float cx = q[0] / SIDE + a[0], cy = q[1] / SIDE + a[1], bw = q[2] / SIDE, bh = q[3] / SIDE;
        struct pz_face_detection c = {.score = s,
                                      .box = {cx - bw / 2, cy - bh / 2, cx + bw / 2, cy + bh / 2}};
        for (int k = 0; k < 2; k++) {
            c.eye[k][0] = q[4 + 2 * k] / SIDE + a[0];
            c.eye[k][1] = q[5 + 2 * k] / SIDE + a[1];
        }
        pz_face_detection_place(&c, r);
        if (isfinite(c.box[0] + c.box[1] + c.box[2] + c.box[3]) && bw > 0 && bh > 0)
            d->candidates[d->n_candidates++] = c;
    }
    return PZ_OK;
}

static enum pz_status run(struct pz_face_detector *base, const struct pz_picture *pic, unsigned how,
                          struct pz_pool *pool, struct pz_face_detection *out, int *n)
{
    struct blazeface *d = (struct blazeface *)base;
    enum pz_status st = PZ_OK;
    struct pz_face_rect r;
    d->n_candidates = 0;
    for (int i = 0; st == PZ_OK && pz_face_part(pic, how, i, &r); i++)
        st = pass(d, pic, &r, pool);
    if (st == PZ_OK)
        *n = pz_face_suppress(d->candidates, d->n_candidates, NMS_IOU, out);
    return st;
}

static enum pz_status load(struct blazeface *d, const char *path)
{
    enum pz_status st = PZ_OK;
    struct pz_graph *g = NULL;
    PZ_TRY(pz_tflite_load(d->log, path, &g));
    PZ_TRY(pz_plan_create(&g, &pz_plan_default, d->log, &d->plan));
    PZ_TRY(pz_session_create(d->plan, d->log, &d->session));
    struct pz_view in = pz_session_input(d->session, NULL, 0),
                   boxes = pz_session_output(d->session, "regressors", 0),
                   scores = pz_session_output(d->session, "classificators", 0);
    if (!in.data || !boxes.data || !scores.data || pz_shape_count(&in.shape) != SIDE * SIDE * 3 ||
        pz_shape_count(&boxes.shape) != ANCHORS * 16 || pz_shape_count(&scores.shape) != ANCHORS)
        st = pz_fail(d->log, PZ_ERR_WEIGHTS, "'%s' is not the short-range face detector", path);
fail:
    return st == PZ_ERR_FORMAT || st == PZ_ERR_UNSUPPORTED ? PZ_ERR_WEIGHTS : st;
}

enum pz_status pz_blazeface_create(const char *models_dir, struct pz_log *log, struct pz_face_detector **out)
{
    char *path = NULL;
    enum pz_status st =
        pz_face_model_path(models_dir, "mediapipe", "face_detection_short_range.tflite", log, &path);
    struct blazeface *d = st == PZ_OK ? pz_calloc(1, sizeof *d) : NULL;
    if (st == PZ_OK && !d)
        st = pz_fail(log, PZ_ERR_NOMEM, "no memory for the face detector");
    if (st == PZ_OK) {
        d->base = (struct pz_face_detector){destroy, profile, run};
        d->log = log;
        make_anchors(d->anchors);
        st = load(d, path);
        *out = &d->base;
    }
    if (st < PZ_OK)
        pz_face_detector_destroy(out);
    pz_free(path);
    return st;
}
