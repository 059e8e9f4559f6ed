/* Our detector behind the detectors' face: letterbox, two maps of cells, hard non-maximum suppression. */
#include <math.h>

#include "base/mem.h"
#include "face/detector_impl.h"
#include "face/embedded.h"
#include "face/embedded_net.h"
#include "tensor/profile.h"

#define SIDE PZ_EMBEDDED_LETTERBOX
#define MIN_SCORE 0.5f
#define NMS_IOU 0.4f
#define MAX_CANDIDATES 512

struct embedded_detector {
    struct pz_face_detector base;
    struct pz_log *log;
    struct pz_plan *plan;
    struct pz_session *session;
    struct pz_crop_scratch scratch;
    struct pz_face_detection candidates[MAX_CANDIDATES];
    int n;
};

static void destroy(struct pz_face_detector *base)
{
    struct embedded_detector *d = (struct embedded_detector *)base;
    pz_session_destroy(&d->session);
    pz_plan_destroy(&d->plan);
    pz_crop_scratch_free(&d->scratch);
    pz_free(d);
}

static enum pz_status profile(struct pz_face_detector *base, struct pz_profile *p)
{
    return pz_session_profile(((struct embedded_detector *)base)->session, p, "face boxes");
}

/* Distance of a side of the box from its cell's centre, letterbox px. */
static float reach(float o, float stride)
{
    return stride * expf(fminf(fmaxf(o, -4), 4));
}

/* Cells of one map over a part of the picture. */
static void read_map(struct embedded_detector *d, const char *name, float stride,
                     const struct pz_face_rect *part)
{
    struct pz_view v = pz_session_output(d->session, name, 0);
    const float *o = v.data;
    for (int r = 0; r < v.shape.dim[1]; r++)
        for (int c = 0; c < v.shape.dim[2]; c++, o += PZ_EMBEDDED_CELL) {
            float score = 1 / (1 + expf(-o[0])), sum = 0;
            for (int k = 0; k < PZ_EMBEDDED_CELL; k++)
                sum += o[k];
            if (!(score >= MIN_SCORE) || !isfinite(sum) || d->n == MAX_CANDIDATES)
                continue;
            float cx = ((float)c + 0.5f) * stride, cy = ((float)r + 0.5f) * stride, at[5][2];
            for (int k = 0; k < 5; k++) {
                at[k][0] = (cx + stride * o[5 + 2 * k]) / SIDE;
                at[k][1] = (cy + stride * o[6 + 2 * k]) / SIDE;
            }
            struct pz_face_detection *q = &d->candidates[d->n++];
            *q = (struct pz_face_detection){
                .score = score,
                .box = {(cx - reach(o[1], stride)) / SIDE, (cy - reach(o[2], stride)) / SIDE,
                        (cx + reach(o[3], stride)) / SIDE, (cy + reach(o[4], stride)) / SIDE},
                .eye = {{at[0][0], at[0][1]}, {at[1][0], at[1][1]}},
                .has_mouth = true,
                .nose = {at[2][0], at[2][1]},
                .mouth = {{at[3][0], at[3][1]}, {at[4][0], at[4][1]}}};
            pz_face_detection_place(q, part);
        }
}

/* Best first; what overlaps a better one goes. */
static int suppress(struct embedded_detector *d, struct pz_face_detection *out)
{
    int n = 0;
    while (n < PZ_FACE_MAX_DETECTIONS) {
        int best = -1;
        for (int i = 0; i < d->n; i++)
            if (d->candidates[i].score > 0 &&
                (best < 0 || d->candidates[i].score > d->candidates[best].score))
                best = i;
        if (best < 0)
            break;
        out[n] = d->candidates[best];
        for (int i = 0; i < d->n; i++)
            if (pz_face_iou(d->candidates[i].box, out[n].box) > NMS_IOU || i == best)
                d->candidates[i].score = 0;
        n++;
    }
    return n;
}

static enum pz_status run(struct pz_face_detector *base, const struct pz_picture *pic, unsigned how,
                          struct pz_pool *pool, struct pz_face_detection *out, int *n)
{
    struct embedded_detector *d = (struct embedded_detector *)base;
    struct pz_face_rect r;
    d->n = 0;
    for (int i = 0; pz_face_part(pic, how, i, &r); i++) {
        enum pz_status st = pz_face_crop(pic, &r, -1, 1, PZ_CROP_BLACK | PZ_CROP_FINE, &d->scratch,
                                         pz_session_input(d->session, NULL, 0).data, SIDE, SIDE);
        if (st < PZ_OK)
            return pz_fail(d->log, st, "no memory to look for faces");
        pz_session_run(d->session, pool);
        read_map(d, "h20", 8, &r);
        read_map(d, "h10", 16, &r);
    }
    *n = suppress(d, out);
    return PZ_OK;
}

enum pz_status pz_embedded_detector_create(const char *models_dir, struct pz_log *log,
                                           struct pz_face_detector **out)
{
    struct embedded_detector *d = pz_calloc(1, sizeof *d);
    if (!d)
        return pz_fail(log, PZ_ERR_NOMEM, "no memory for the face detector");
    d->base = (struct pz_face_detector){destroy, profile, run};
    d->log = log;
    enum pz_status st = pz_embedded_plan_detector(models_dir, log, &d->plan);
    if (st >= PZ_OK)
        st = pz_session_create(d->plan, log, &d->session);
    *out = &d->base;
    if (st < PZ_OK)
        pz_face_detector_destroy(out);
    return st;
}
