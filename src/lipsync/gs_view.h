/** Inside the Gaussian head: cameras, patches and outlines of one frame. */
#ifndef PZ_LIPSYNC_GS_VIEW_H
#define PZ_LIPSYNC_GS_VIEW_H

#include "lipsync/gs_model.h"

#define PZ_GS_MAX_CURVE 256

/** Where a patch lies and how the head is seen in it. */
struct pz_gs_view {
    struct pz_splat_camera cam; /**< in patch px */
    struct pz_affine to_frame;
};

/** Camera of a face in px of its frame: rotation and scale of its pose, offset such that the centroid of the
 * rigid points (`rigid` [n_rigid], at least 1), which is `center` in head space, falls where it was tracked.
 * False (cam untouched) for a degenerate pose. */
bool pz_gs_camera(const struct pz_face *face, const int32_t *rigid, int n_rigid, const float center[3],
                  struct pz_splat_camera *cam);

/** View of a face: rotation and scale of its pose, offset such that the rigid points fall where they were
 * tracked. False for another landmark set or a degenerate pose. */
bool pz_gs_view_of(const struct pz_gs_model *m, const struct pz_face *face, struct pz_gs_view *v);

/** Motion in internal units, kept within what the fit has seen: each component within its range widened by a
 * tenth, the whole no longer than the longest. out [k]. */
void pz_gs_limit_motion(const struct pz_gs_model *g, const float *m, float *out);

/** Head-space point to px of a camera. */
void pz_gs_project(const struct pz_splat_camera *cam, const float p[3], float out[2]);

/** Curve at motion `m` in px, grown about its centroid by `grow_px` and `grow` (factor, 1 = as it is). out
 * [n][2]. */
void pz_gs_curve_px(const struct pz_gs_curve *c, int k, const float *m, const struct pz_splat_camera *cam,
                    float grow, float grow_px, float (*out)[2]);

/** Points at motion `m` in px, as they are. out [n][2]. */
void pz_gs_curve_project(const struct pz_gs_curve *c, int k, const float *m,
                         const struct pz_splat_camera *cam, float (*out)[2]);

PZ_NODISCARD enum pz_status pz_gs_curve_alloc(struct pz_gs_curve *c, int n, int k);
void pz_gs_curve_free(struct pz_gs_curve *c);

/** Finest detail of a plane: p − p blurred by (1 4 6 4 1)/16 in both directions; 0 on a rim of 2 px. `tmp`,
 * out [h][w]. */
void pz_gs_detail(const float *p, float *tmp, float *out, int w, int h);

#endif
