/**
 * Cameras and outlines. Only geometry: no picture is read here.
 */
#include "lipsync/gs_view.h"

#include <math.h>
#include <stddef.h>

#include "base/mem.h"

#define MINOR_MOST 2.2f /* standard deviations a component beyond the first three may show */

enum pz_status pz_gs_curve_alloc(struct pz_gs_curve *c, int n, int k)
{
    c->n = n;
    c->mean = pz_calloc((size_t)n * 3, sizeof(float));
    c->basis = pz_calloc((size_t)n * 3 * (size_t)k, sizeof(float));
    if (c->mean && c->basis)
        return PZ_OK;
    pz_gs_curve_free(c);
    return PZ_ERR_NOMEM;
}

void pz_gs_curve_free(struct pz_gs_curve *c)
{
    pz_free(c->mean);
    pz_free(c->basis);
    c->mean = c->basis = NULL;
    c->n = 0;
}

void pz_gs_limit_motion(const struct pz_gs_model *g, const float *m, float *out)
{
    float norm = 0.0f;
    for (int k = 0; k < g->k; k++) {
        const float margin = 0.1f * (g->hi[k] - g->lo[k]);
        const float most = k < 3 ? 1e9f : MINOR_MOST;
        const float v = fminf(fmaxf(m[k], g->lo[k] - margin), g->hi[k] + margin);
        out[k] = fminf(fmaxf(v, -most), most);
        norm += out[k] * out[k];
    }
    norm = sqrtf(norm);
    const float f = norm > g->reach ? g->reach / norm : 1.0f;
    for (int k = 0; k < g->k; k++)
        out[k] *= f * g->unit[k];
}

void pz_gs_project(const struct pz_splat_camera *cam, const float p[3], float out[2])
{
    const float *r = cam->r;
    out[0] = cam->scale * (r[0] * p[0] + r[1] * p[1] + r[2] * p[2]) + cam->tx;
    out[1] = -cam->scale * (r[3] * p[0] + r[4] * p[1] + r[5] * p[2]) + cam->ty;
}

bool pz_gs_camera(const struct pz_face *face, const int32_t *rigid, int n_rigid, const float center[3],
                  struct pz_splat_camera *cam)
{
    if (!(face->pose.scale > 1e-3f) || !(face->pose.scale < 1e5f))
        return false;
    for (int j = 0; j < 9; j++)
        cam->r[j] = face->pose.r[j];
    cam->scale = face->pose.scale;
    cam->tx = cam->ty = 0.0f;
    double sum[2] = {0};
    for (int i = 0; i < n_rigid; i++)
        for (int a = 0; a < 2; a++)
            sum[a] += (double)face->xyz[rigid[i]][a];
    float at[2];
    pz_gs_project(cam, center, at);
    cam->tx = (float)(sum[0] / n_rigid) - at[0];
    cam->ty = (float)(sum[1] / n_rigid) - at[1];
    return true;
}

bool pz_gs_view_of(const struct pz_gs_model *m, const struct pz_face *face, struct pz_gs_view *v)
{
    struct pz_splat_camera *cam = &v->cam;
    float at[2];
    if (!face || face->n_points != m->n_points ||
        !pz_gs_camera(face, m->rigid, m->n_rigid, m->rigid_center, cam))
        return false;
    pz_gs_project(cam, m->focus, at);
    const float z = m->zoom;
    const float ox = roundf(at[0] * z - 0.5f * (float)m->width) / z;
    const float oy = roundf(at[1] * z - 0.5f * (float)m->height) / z;
    if (!isfinite(ox) || !isfinite(oy))
        return false;
    cam->scale *= z;
    cam->tx = (cam->tx - ox) * z;
    cam->ty = (cam->ty - oy) * z;
    const struct pz_affine f = {1.0f / z, 0.0f, ox, 0.0f, 1.0f / z, oy};
    v->to_frame = f;
    return true;
}

void pz_gs_curve_project(const struct pz_gs_curve *c, int k, const float *m,
                         const struct pz_splat_camera *cam, float (*out)[2])
{
    for (int i = 0; i < c->n; i++) {
        float p[3];
        for (int a = 0; a < 3; a++) {
            p[a] = c->mean[3 * i + a];
            for (int kk = 0; kk < k; kk++)
                p[a] += m[kk] * c->basis[((size_t)kk * (size_t)c->n + (size_t)i) * 3 + (size_t)a];
        }
        pz_gs_project(cam, p, out[i]);
    }
}

void pz_gs_curve_px(const struct pz_gs_curve *c, int k, const float *m, const struct pz_splat_camera *cam,
                    float grow, float grow_px, float (*out)[2])
{
    float mid[2] = {0};
    pz_gs_curve_project(c, k, m, cam, out);
    for (int i = 0; i < c->n; i++) {
        mid[0] += out[i][0] / (float)c->n;
        mid[1] += out[i][1] / (float)c->n;
    }
    for (int i = 0; i < c->n; i++) {
        const float dx = out[i][0] - mid[0], dy = out[i][1] - mid[1];
        const float len = sqrtf(dx * dx + dy * dy), f = grow + grow_px / (len > 1.0f ? len : 1.0f);
        out[i][0] = mid[0] + f * dx;
        out[i][1] = mid[1] + f * dy;
    }
}

void pz_gs_detail(const float *p, float *tmp, float *out, int w, int h)
{
    for (int y = 0; y < h; y++) {
        const float *r = p + (ptrdiff_t)y * w;
        float *o = tmp + (ptrdiff_t)y * w;
        o[0] = o[1] = o[w - 2] = o[w - 1] = 0.0f;
        for (int x = 2; x < w - 2; x++)
            o[x] = 0.0625f * (r[x - 2] + r[x + 2]) + 0.25f * (r[x - 1] + r[x + 1]) + 0.375f * r[x];
    }
    for (int y = 0; y < h; y++) {
        float *o = out + (ptrdiff_t)y * w;
        const bool rim = y < 2 || y >= h - 2;
        for (int x = 0; x < w; x++) {
            const ptrdiff_t i = (ptrdiff_t)y * w + x;
            o[x] = rim || x < 2 || x >= w - 2 ? 0.0f
                                              : p[i] - (0.0625f * (tmp[i - 2 * w] + tmp[i + 2 * w]) +
                                                        0.25f * (tmp[i - w] + tmp[i + w]) + 0.375f * tmp[i]);
        }
    }
}
