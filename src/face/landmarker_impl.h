/** Inside of the landmarkers: what each kind brings. For src/face only. */
#ifndef PZ_FACE_LANDMARKER_IMPL_H
#define PZ_FACE_LANDMARKER_IMPL_H

#include "face/landmarker.h"
#include "tensor/plan.h"

/** First member of every kind's own struct. */
struct pz_landmarker {
    enum pz_status (*run)(struct pz_landmarker *l, int session, const struct pz_picture *pic,
                          const struct pz_face_rect *roi, struct pz_pool *pool, struct pz_face_points *out);
    struct pz_face_rect (*roi)(const float (*xyz)[3]);
    struct pz_face_rect (*roi_first)(const struct pz_face_detection *d);
    bool measures;    /* sigma comes from the network */
    bool steady;      /* the tracker filters its region of interest */
    const char *name; /* in a profile */
    struct pz_log *log;
    struct pz_plan *plan;
    int n; /* seats: a session and a crop's scratch each */
    struct pz_session **sessions;
    struct pz_crop_scratch *scratch;
};

/* `n` seats for `plan`, which is l's from then on, also after an error. What was made goes with l. Errors:
 * NOMEM (logged). */
PZ_NODISCARD enum pz_status pz_landmarker_seat(struct pz_landmarker *l, struct pz_plan *plan, int n);

/* MediaPipe's face mesh with attention: lips, eyes and irises are looked at a second time in their own crops
 * (weights, region of interest, merging of the refined points: google-ai-edge/mediapipe
 * modules/face_landmark). Errors: WEIGHTS, NOMEM. */
PZ_NODISCARD enum pz_status pz_mesh_create(const char *models_dir, int n_sessions, struct pz_log *log,
                                           struct pz_landmarker **l);

/* Our own, see face/embedded.h. */
PZ_NODISCARD enum pz_status pz_embedded_landmarker_create(const char *models_dir, int n_sessions,
                                                          struct pz_log *log, struct pz_landmarker **l);

#endif
