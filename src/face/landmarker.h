/**
 * Landmarkers: dense points of one face inside a region of interest. Several networks behind one face; all
 * speak the 478 points of MediaPipe's mesh (face/topology.h). One plan is shared by several sessions, so that
 * faces of one frame run side by side.
 */
#ifndef PZ_FACE_LANDMARKER_H
#define PZ_FACE_LANDMARKER_H

#include "base/job.h"
#include "face/crop.h"
#include "face/detector.h"

#define PZ_FACE_MESH_POINTS 478

/** What a landmarker says of a face. */
struct pz_face_points {
    float presence;                    /**< [0,1] */
    float xyz[PZ_FACE_MESH_POINTS][3]; /**< px; z on the same scale, smaller = nearer */
    float sigma[PZ_FACE_MESH_POINTS];  /**< px, 1-sigma: measured or usual, see pz_landmarker_measures() */
};

struct pz_landmarker;

/** `n_sessions` ≥ 1 faces can run at once. `kind` may be AUTO; kinds that only detect get the landmarker that
 * is there. Errors: WEIGHTS, NOMEM (logged). */
PZ_NODISCARD enum pz_status pz_landmarker_create(enum pz_face_kind kind, const char *models_dir,
                                                 int n_sessions, struct pz_log *log,
                                                 struct pz_landmarker **l);
void pz_landmarker_destroy(struct pz_landmarker **l);

/** Time its network from now on, see tensor/profile.h; `p` NULL: no more. Errors: NOMEM. */
PZ_NODISCARD enum pz_status pz_landmarker_profile(struct pz_landmarker *l, struct pz_profile *p);

/** Points of the face inside `roi`. A device fault gives presence 0, never points that are not finite.
 *  Sessions are independent: distinct numbers may run on distinct threads. Errors: NOMEM (logged). */
PZ_NODISCARD enum pz_status pz_landmarker_run(struct pz_landmarker *l, int session,
                                              const struct pz_picture *pic, const struct pz_face_rect *roi,
                                              struct pz_pool *pool, struct pz_face_points *out);

/** Region of interest from the points of the frame before, or from a detection. */
struct pz_face_rect pz_landmarker_roi(const struct pz_landmarker *l, const float (*xyz)[3]);
struct pz_face_rect pz_landmarker_roi_first(const struct pz_landmarker *l, const struct pz_face_detection *d);

/** Does it say of each point how sure it is? Otherwise sigma is a usual value. */
bool pz_landmarker_measures(const struct pz_landmarker *l);

/** Does its region of interest want filtering over time? */
bool pz_landmarker_steady(const struct pz_landmarker *l);

/** Box around all points: x0, y0, x1, y1. */
void pz_face_points_box(const float (*xyz)[3], float box[4]);

#endif
