/**
 * Motion space: how one subject's lower face moves, as a handful of numbers per frame.
 *
 * A face record gives points in px and a weak-perspective pose. Undoing the pose gives points in head space
 * (units of interocular distance, see face/face.h). Over the frames of a film these points are p_i(t) =
 * mean_i + Σ_k m_k(t) · basis_k,i            k < n_components ≤ 12 with m whitened: zero mean and unit
 * variance over the fit frames. Points above the nose do not move (basis 0). Everything that makes mouths
 * works in m: it is free of pose, small, and every value inside the box [lo, hi] is a shape the subject has
 * shown (within a margin).
 *
 * Lifetime: fit or load, then immutable; may be shared by threads.
 */
#ifndef PZ_LIPSYNC_MOTION_SPACE_H
#define PZ_LIPSYNC_MOTION_SPACE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/job.h"
#include "face/face.h"

#define PZ_MOTION_MAX 12       /**< components */
#define PZ_MOTION_MAX_PAIRS 32 /**< inner-lip pairs */
#define PZ_MOTION_MAX_RIGID 256

struct pz_motion_space {
    char topology[32]; /**< name of the landmark set; faces of another set are refused */
    int n_points;
    int n_components; /**< K in [1, PZ_MOTION_MAX] */
    int n_pairs;
    int32_t pairs[PZ_MOTION_MAX_PAIRS][2]; /**< inner upper, inner lower point */
    int32_t corner[2];                     /**< mouth corners: subject's right, left */
    int n_rigid;
    int32_t rigid[PZ_MOTION_MAX_RIGID];
    float rigid_center[3]; /**< head space: where the centroid of the rigid points belongs */
    float *mean;           /**< [n_points][3] head space */
    float *basis;          /**< [K][n_points][3] head units per unit of m */
    float *weight; /**< [n_points] weight of a point's residual: 0 does not move, 1 lower face, 3 lips */
    float lo[PZ_MOTION_MAX], hi[PZ_MOTION_MAX]; /**< box of the fit frames, widened by 15 % of its range */
    float deviation[PZ_MOTION_MAX]; /**< weighted rms of the displacement of component k, head units */
    float gap_g[PZ_MOTION_MAX],
        gap_0;        /**< linear lip gap: gap_gᵀ m + gap_0, interocular units, may be negative */
    float gap_closed; /**< linear gap of the subject's closed mouth (4th percentile of the fit frames) */
    float gap_open;   /**< 96th percentile */
    float rms_left;   /**< weighted rms of what K components leave of the lower face, head units */
};

/** Random access to tracked faces. `face` returns NULL where there is none. */
struct pz_motion_faces {
    const void *user;
    const struct pz_face *(*face)(const void *user, int64_t frame);
    const int64_t *frames; /**< [n_frames] ascending: the frames that may be looked at */
    int64_t n_frames;
};

/** Fit a space to faces. Looks at ≤ 3000 of the frames, evenly spread, whatever their number; only measured
 * faces (present == 1) count. Memory: one [3 n_lower]² matrix. `max_components` in [1, PZ_MOTION_MAX];
 * components whose rms displacement is below 0.0008 interocular (under the tracker's noise) are dropped, but
 * never the first. Errors: UNUSABLE (fewer than 25 faces, or a mouth that never moves; logged), NOMEM,
 * CANCELLED.
 *  `*out` is NULL on failure; free with pz_motion_space_free(). */
PZ_NODISCARD enum pz_status pz_motion_space_fit(const struct pz_motion_faces *faces,
                                                const struct pz_face_topology *topology, int max_components,
                                                const struct pz_job *job, struct pz_motion_space **out);

/** Empty space with room for the given sizes, for loaders. NULL on no memory or sizes out of range. */
struct pz_motion_space *pz_motion_space_create(int n_points, int n_components);
void pz_motion_space_free(struct pz_motion_space **s);

/** Points of a face in head space [n_points][3]: pose undone, then shifted so that the centroid of the rigid
 *  points (`rigid` [n_rigid], at least 1) lies at `center`: this takes out the landmarker's floating depth
 * origin and what is left of pose jitter. False when the pose is degenerate (scale not positive, a value not
 * finite). */
bool pz_motion_head_points(const struct pz_face *face, const int32_t *rigid, int n_rigid,
                           const float center[3], float *out);

/** m of a face by robust weighted least squares with a weak pull to the mean (whitened prior), clamped to the
 * box widened once more by its range. False (m untouched) when the face has no points, another set or a
 * broken pose. */
bool pz_motion_space_project(const struct pz_motion_space *s, const struct pz_face *face, float *m);

/** Head-space points [n_points][3] of a motion. */
void pz_motion_space_points(const struct pz_motion_space *s, const float *m, float *out);

/** Lip gap of a motion in interocular units: linear (may be negative: pressed lips) and as a face record has
 * it (mean distance of the inner pairs in the picture plane, ≥ 0). */
float pz_motion_space_gap_linear(const struct pz_motion_space *s, const float *m);
float pz_motion_space_gap(const struct pz_motion_space *s, const float *m);

/** Clamp to the box. */
void pz_motion_space_clamp(const struct pz_motion_space *s, float *m);

#endif
