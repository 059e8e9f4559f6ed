/**
 * Face detectors: where faces are in a picture. Several networks behind one face; face/models.h says which
 * there are and where their weights lie.
 *
 * Threads  a detector belongs to one thread at a time (it uses the pool it is given).
 */
#ifndef PZ_FACE_DETECTOR_H
#define PZ_FACE_DETECTOR_H

#include "base/job.h"
#include "face/crop.h"
#include "face/models.h"

#define PZ_FACE_MAX_DETECTIONS 16

struct pz_face_detection {
    float score;                /**< [0.5, 1] */
    float box[4];               /**< x0, y0, x1, y1 px; how tight depends on the network */
    float eye[2][2];            /**< subject's right, left; px */
    bool has_mouth;             /**< the detector tells these, too */
    float nose[2], mouth[2][2]; /**< tip; corners, subject's right, left; px */
};

struct pz_face_detector;

/** Load a detector. `kind` may be AUTO. Errors: WEIGHTS (missing or wrong, logged), NOMEM. */
PZ_NODISCARD enum pz_status pz_face_detector_create(enum pz_face_kind kind, const char *models_dir,
                                                    struct pz_log *log, struct pz_face_detector **d);
void pz_face_detector_destroy(struct pz_face_detector **d);

/** Time its network from now on, see tensor/profile.h; `p` NULL: no more. Errors: NOMEM. */
PZ_NODISCARD enum pz_status pz_face_detector_profile(struct pz_face_detector *d, struct pz_profile *p);

enum {
    PZ_DETECT_PARTS = 1, /**< also look at 2×2 overlapping parts: finds faces down to about a twentieth of the
                            long side instead of a tenth */
    PZ_DETECT_TURNED = 2 /**< also look at the picture turned by 90, 180 and 270 degrees (mtcnn does not) */
};

/** Faces of a picture, best first, at most PZ_FACE_MAX_DETECTIONS. `how`: PZ_DETECT_…. Errors: NOMEM
 * (logged).
 */
PZ_NODISCARD enum pz_status pz_face_detector_run(struct pz_face_detector *d, const struct pz_picture *pic,
                                                 unsigned how, struct pz_pool *pool,
                                                 struct pz_face_detection *out, int *n);

/** Intersection over union of two boxes. */
float pz_face_iou(const float a[4], const float b[4]);

#endif
