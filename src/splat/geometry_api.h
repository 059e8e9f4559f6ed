/** Inside the splat module: small reductions shared by render.c, in float from geometry_body.h. */
#ifndef PZ_SPLAT_GEOMETRY_API_H
#define PZ_SPLAT_GEOMETRY_API_H

#include "splat/splat.h"

/** (ω, log scale, tx, ty) from the gradient of the two camera rows and the offset. */
void pz_splat_pose_gradient(const struct pz_splat_camera *cam, const double g_q[8], double pose[6]);

/** g_m[k] = Σ_i Σ_j blended[j][i] · motion_k[j][i]. */
void pz_splat_motion_gradient(const struct pz_splat_set *s, const float *blended, float *g_m);

#endif
