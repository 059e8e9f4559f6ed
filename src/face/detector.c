/* Detectors: the choice among kinds, and what all of them share. */
#include "face/detector.h"

#include <math.h>

#include "base/mem.h"
#include "face/detector_impl.h"

enum pz_status pz_face_detector_create(enum pz_face_kind kind, const char *models_dir, struct pz_log *log,
                                       struct pz_face_detector **d)
{
    *d = NULL;
    switch (pz_face_kind_resolve(kind, models_dir)) {
    case PZ_FACE_MTCNN:
        return pz_mtcnn_detector_create(models_dir, log, d);
    case PZ_FACE_EMBEDDED:
        return pz_embedded_detector_create(models_dir, log, d);
    default:
        return pz_blazeface_create(models_dir, log, d);
    }
}

void pz_face_detector_destroy(struct pz_face_detector **d)
{
    if (d && *d)
        (*d)->destroy(*d);
    if (d)
        *d = NULL;
}

enum pz_status pz_face_detector_profile(struct pz_face_detector *d, struct pz_profile *p)
{
    return d->profile(d, p);
}

enum pz_status pz_face_detector_run(struct pz_face_detector *d, const struct pz_picture *pic, unsigned how,
                                    struct pz_pool *pool, struct pz_face_detection *out, int *n)
{
    *n = 0;
    return d->run(d, pic, how, pool, out, n);
}

bool pz_face_part(const struct pz_picture *pic, unsigned how, int i, struct pz_face_rect *r)
{
    float w = (float)pic->width, h = (float)pic->height, side = fmaxf(w, h);
    int parts = how & PZ_DETECT_PARTS ? 5 : 1;
    *r = (struct pz_face_rect){w / 2, h / 2, side, side, 0};
    if (i >= parts + (how & PZ_DETECT_TURNED ? 3 : 0))
        return false;
    if (i >= parts) {
        r->angle = (float)(i - parts + 1) * 1.57079633f;
    } else if (i > 0) {
        r->cx = ((i - 1) & 1 ? 0.7f : 0.3f) * w;
        r->cy = ((i - 1) >> 1 ? 0.7f : 0.3f) * h;
        r->w = r->h = 0.6f * side;
    }
    return true;
}

void pz_face_detection_place(struct pz_face_detection *d, const struct pz_face_rect *r)
{
    float x[2], y[2];
    for (int k = 0; k < 2; k++) {
        pz_face_rect_point(r, d->box[2 * k], d->box[2 * k + 1], &x[k], &y[k]);
        pz_face_rect_point(r, d->eye[k][0], d->eye[k][1], &d->eye[k][0], &d->eye[k][1]);
        pz_face_rect_point(r, d->mouth[k][0], d->mouth[k][1], &d->mouth[k][0], &d->mouth[k][1]);
    }
    pz_face_rect_point(r, d->nose[0], d->nose[1], &d->nose[0], &d->nose[1]);
    d->box[0] = fminf(x[0], x[1]);
    d->box[1] = fminf(y[0], y[1]);
    d->box[2] = fmaxf(x[0], x[1]);
    d->box[3] = fmaxf(y[0], y[1]);
}

float pz_face_iou(const float a[4], const float b[4])
{
    float w = fminf(a[2], b[2]) - fmaxf(a[0], b[0]), h = fminf(a[3], b[3]) - fmaxf(a[1], b[1]);
    if (!(w > 0) || !(h > 0))
        return 0;
    float both = w * h;
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both);
}

static void add(struct pz_face_detection *sum, const struct pz_face_detection *c)
{
    for (int k = 0; k < 4; k++) {
        sum->box[k] += c->score * c->box[k];
        sum->eye[k / 2][k % 2] += c->score * c->eye[k / 2][k % 2];
        sum->mouth[k / 2][k % 2] += c->score * c->mouth[k / 2][k % 2];
    }
    sum->nose[0] += c->score * c->nose[0];
    sum->nose[1] += c->score * c->nose[1];
}

static void scale(struct pz_face_detection *sum, float by)
{
    for (int k = 0; k < 4; k++) {
        sum->box[k] *= by;
        sum->eye[k / 2][k % 2] *= by;
        sum->mouth[k / 2][k % 2] *= by;
    }
    sum->nose[0] *= by;
    sum->nose[1] *= by;
}

int pz_face_suppress(struct pz_face_detection *c, int n, float iou, struct pz_face_detection *out)
{
    int found = 0;
    while (found < PZ_FACE_MAX_DETECTIONS) {
        int best = -1;
        for (int i = 0; i < n; i++)
            if (c[i].score > 0 && (best < 0 || c[i].score > c[best].score))
                best = i;
        if (best < 0)
            break;
        const struct pz_face_detection top = c[best];
        struct pz_face_detection sum = {.score = top.score, .has_mouth = top.has_mouth};
        float weight = 0;
        for (int i = 0; i < n; i++) {
            if (!(c[i].score > 0) || (i != best && pz_face_iou(c[i].box, top.box) < iou))
                continue;
            weight += c[i].score;
            add(&sum, &c[i]);
            c[i].score = 0; /* used */
        }
        scale(&sum, 1 / weight);
        out[found++] = sum;
    }
    return found;
}
