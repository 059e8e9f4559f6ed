/** Inside of the detectors: what each kind brings. For src/face only. */
#ifndef PZ_FACE_DETECTOR_IMPL_H
#define PZ_FACE_DETECTOR_IMPL_H

#include "face/detector.h"

/** First member of every kind's own struct. */
struct pz_face_detector {
    void (*destroy)(struct pz_face_detector *d);
    enum pz_status (*profile)(struct pz_face_detector *d, struct pz_profile *p);
    enum pz_status (*run)(struct pz_face_detector *d, const struct pz_picture *pic, bool tiles,
                          struct pz_pool *pool, struct pz_face_detection *out, int *n);
};

/** The parts of a picture a detector looks at one after the other: the whole, and with `tiles` 2×2
 * overlapping ones. `box` is filled for i in [0, 5); false beyond. */
static inline bool pz_face_part(const struct pz_picture *pic, bool tiles, int i, float box[4])
{
    float w = (float)pic->width, h = (float)pic->height;
    if (i > (tiles ? 4 : 0))
        return false;
    float x = i && ((i - 1) & 1) ? 0.4f * w : 0, y = i && ((i - 1) >> 1) ? 0.4f * h : 0;
    box[0] = x;
    box[1] = y;
    box[2] = x + (i ? 0.6f : 1) * w;
    box[3] = y + (i ? 0.6f : 1) * h;
    return true;
}

/** Greedy weighted suppression: a face is the score-weighted mean of the candidates that overlap its best one
 * by `iou` or more. Writes at most PZ_FACE_MAX_DETECTIONS, best first; returns how many. `c` is changed. */
int pz_face_suppress(struct pz_face_detection *c, int n, float iou, struct pz_face_detection *out);

/* MediaPipe's short-range BlazeFace (weights, anchors, decoding: google-ai-edge/mediapipe
 * modules/face_detection; facts in spec/faces.md §1.1). Errors: WEIGHTS, NOMEM. */
PZ_NODISCARD enum pz_status pz_blazeface_create(const char *models_dir, struct pz_log *log,
                                                struct pz_face_detector **d);

/* MTCNN, see face/mtcnn.h. */
PZ_NODISCARD enum pz_status pz_mtcnn_detector_create(const char *models_dir, struct pz_log *log,
                                                     struct pz_face_detector **d);

/* Our own, see face/embedded.h. */
PZ_NODISCARD enum pz_status pz_embedded_detector_create(const char *models_dir, struct pz_log *log,
                                                        struct pz_face_detector **d);

#endif
