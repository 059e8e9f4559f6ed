/** Inside of the detectors: what each kind brings. For src/face only. */
#ifndef PZ_FACE_DETECTOR_IMPL_H
#define PZ_FACE_DETECTOR_IMPL_H

#include "face/detector.h"

/** First member of every kind's own struct. */
struct pz_face_detector {
    void (*destroy)(struct pz_face_detector *d);
    enum pz_status (*profile)(struct pz_face_detector *d, struct pz_profile *p);
    enum pz_status (*run)(struct pz_face_detector *d, const struct pz_picture *pic, unsigned how,
                          struct pz_pool *pool, struct pz_face_detection *out, int *n);
};

/** The square parts of a picture a detector looks at one after the other: the whole, then what `how` says.
 * `rect` is filled for i in [0, …); false beyond the last. */
bool pz_face_part(const struct pz_picture *pic, unsigned how, int i, struct pz_face_rect *rect);

/** Bring a detection from a part's own coordinates, [0,1]², to px of the picture. */
void pz_face_detection_place(struct pz_face_detection *d, const struct pz_face_rect *rect);

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
