/**
 * Dense landmarks: MediaPipe's face mesh with attention (478 points; lips, eyes and irises are looked at a
 * second time in their own crops) on our tensor core. One plan shared by several sessions, so that faces of
 * one frame run side by side. Source: google-ai-edge/mediapipe modules/face_landmark (weights, region of
 * interest, merging of the refined points).
 */
#ifndef PZ_FACE_LANDMARKER_H
#define PZ_FACE_LANDMARKER_H

#include "base/job.h"
#include "face/crop.h"

#define PZ_FACE_MESH_POINTS 478

struct pz_landmarker;

/** `n_sessions` ≥ 1 faces can run at once. Errors: WEIGHTS, NOMEM (logged). */
PZ_NODISCARD enum pz_status pz_landmarker_create(const char *model_path, int n_sessions, struct pz_log *log,
                                                 struct pz_landmarker **l);
void pz_landmarker_destroy(struct pz_landmarker **l);

/** Time its network from now on, see tensor/profile.h; `p` NULL: no more. Errors: NOMEM. */
PZ_NODISCARD enum pz_status pz_landmarker_profile(struct pz_landmarker *l, struct pz_profile *p);

/** Points of the face inside `roi`: xyz in px (z on the same scale, smaller = nearer), `*presence` in [0,1].
 *  Sessions are independent: distinct numbers may run on distinct threads. Errors: NOMEM (logged). */
PZ_NODISCARD enum pz_status pz_landmarker_run(struct pz_landmarker *l, int session,
                                              const struct pz_picture *pic, const struct pz_face_rect *roi,
                                              struct pz_pool *pool, float (*xyz)[3], float *presence);

/** Region of interest from points (next frame) or from a detection's box and eyes (first frame): 1.5 times
 * the longer side of the box, turned with the eyes. */
struct pz_face_rect pz_face_roi_from_points(const float (*xyz)[3]);
struct pz_face_rect pz_face_roi_from_box(const float box[4], const float eye[2][2]);

#endif
