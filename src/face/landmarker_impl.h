/** Inside of the landmarkers: what each kind brings. For src/face only. */
#ifndef PZ_FACE_LANDMARKER_IMPL_H
#define PZ_FACE_LANDMARKER_IMPL_H

#include "face/landmarker.h"

/** First member of every kind's own struct. */
struct pz_landmarker {
    void (*destroy)(struct pz_landmarker *l);
    enum pz_status (*profile)(struct pz_landmarker *l, struct pz_profile *p);
    enum pz_status (*run)(struct pz_landmarker *l, int session, const struct pz_picture *pic,
                          const struct pz_face_rect *roi, struct pz_pool *pool, struct pz_face_points *out);
    struct pz_face_rect (*roi)(const float (*xyz)[3]);
    struct pz_face_rect (*roi_first)(const struct pz_face_detection *d);
    bool measures; /* sigma comes from the network */
    bool steady;   /* the tracker filters its region of interest */
};

/* MediaPipe's face mesh with attention: lips, eyes and irises are looked at a second time in their own crops
 * (weights, region of interest, merging of the refined points: google-ai-edge/mediapipe
 * modules/face_landmark). Errors: WEIGHTS, NOMEM. */
PZ_NODISCARD enum pz_status pz_mesh_create(const char *models_dir, int n_sessions, struct pz_log *log,
                                           struct pz_landmarker **l);

/* Our own, see face/embedded.h. */
PZ_NODISCARD enum pz_status pz_embedded_landmarker_create(const char *models_dir, int n_sessions,
                                                          struct pz_log *log, struct pz_landmarker **l);

#endif
