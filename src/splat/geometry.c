/** The reductions over Gaussians that need no vector twin: pose and motion gradients. */
#include "splat/geometry_api.h"

#include <math.h>

#include "splat/scalar_math.h"

typedef float splat_real;
#define splat_exp splat_exp_f32
#define splat_log splat_log_f32
#define splat_sqrt sqrtf
#include "splat/geometry_body.h"

void pz_splat_pose_gradient(const struct pz_splat_camera *cam, const double g_q[8], double pose[6])
{
    body_pose_gradient(cam->r, cam->scale, g_q, pose);
}

void pz_splat_motion_gradient(const struct pz_splat_set *s, const float *blended, float *g_m)
{
    for (int k = 0; k < s->k; k++) {
        double sum = 0;
        for (int j = 0; j < PZ_SPLAT_MOVING; j++) {
            const float *g = blended + (int64_t)j * s->cap;
            const float *d = pz_splat_plane(s, PZ_SPLAT_BASE + PZ_SPLAT_MOVING * k + j);
            float lane[16] = {0};
            for (int i = 0; i < s->n; i += 16)
                for (int l = 0; l < 16; l++)
                    lane[l] += g[i + l] * d[i + l];
            for (int l = 0; l < 16; l++)
                sum += (double)lane[l];
        }
        g_m[k] = (float)sum;
    }
}
