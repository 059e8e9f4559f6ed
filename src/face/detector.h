/**
 * Face detector: MediaPipe's short-range BlazeFace on our tensor core.
 * Source: google-ai-edge/mediapipe modules/face_detection (weights, anchors, decoding); facts in
 * spec/faces.md §1.1.
 */
#ifndef PZ_FACE_DETECTOR_H
#define PZ_FACE_DETECTOR_H

#include "base/job.h"
#include "face/crop.h"

#define PZ_FACE_MAX_DETECTIONS 16

struct pz_face_detection {
    float score;     /**< [0.5, 1] */
    float box[4];    /**< x0, y0, x1, y1 px */
    float eye[2][2]; /**< subject's right, left; px */
};

struct pz_face_detector;

PZ_NODISCARD enum pz_status pz_face_detector_create(const char *model_path, struct pz_log *log,
                                                    struct pz_face_detector **d);
void pz_face_detector_destroy(struct pz_face_detector **d);

/** Time its network from now on, see tensor/profile.h; `p` NULL: no more. Errors: NOMEM. */
PZ_NODISCARD enum pz_status pz_face_detector_profile(struct pz_face_detector *d, struct pz_profile *p);

/** Faces of a picture, best first, at most PZ_FACE_MAX_DETECTIONS. `tiles` also looks at 2×2 overlapping
 * parts, which finds faces down to about a twentieth of the long side instead of a tenth. Errors: NOMEM
 * (logged). */
PZ_NODISCARD enum pz_status pz_face_detector_run(struct pz_face_detector *d, const struct pz_picture *pic,
                                                 bool tiles, struct pz_pool *pool,
                                                 struct pz_face_detection *out, int *n);

/** Intersection over union of two boxes. */
float pz_face_iou(const float a[4], const float b[4]);

#endif
