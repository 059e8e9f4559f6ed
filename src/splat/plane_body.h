/**
 * Inside the splat module: the float kernels that compilers vectorise by themselves; each kernels_*.c
 * compiles them with its own instruction set.
 */
#include <math.h>
#include <stddef.h>

#include "splat/kernels.h"
#include "splat/scalar_math.h"

typedef float splat_real;
#define splat_exp splat_exp_f32
#define splat_log splat_log_f32
#define splat_sqrt sqrtf
#include "splat/geometry_body.h"

static void plane_blend(const struct pz_splat_set *s, const float *m, float *out)
{
    body_blend(s->n, s->cap, s->k, s->data, m, out);
}

static void plane_project(const struct pz_splat_set *s, const float *blended,
                          const struct pz_splat_camera *cam, const struct pz_splat_screen *o)
{
    const struct body_screen b = {o->x, o->y, o->a, o->b, o->c, o->alpha, o->rx, o->ry, o->depth};
    body_project(s->n, s->cap, s->data, blended, cam->r, cam->scale, cam->tx, cam->ty, &b);
}

static void plane_project_back(const struct pz_splat_set *s, const float *blended,
                               const struct pz_splat_camera *cam, const struct pz_splat_screen *o,
                               const float *g_screen, float *g_blended, double g_q[8])
{
    body_project_back(s->n, s->cap, s->data, blended, cam->r, cam->scale, o->a, o->b, o->c, o->alpha,
                      g_screen, g_blended, g_q);
}

static void plane_adam(const struct pz_splat_adam *a, int n, int batch, const float *const *g,
                       const float *weight, float *restrict p, float *restrict mo, float *restrict ve)
{
    const float b1 = a->beta1, b2 = a->beta2, c1 = a->correct1, c2 = a->correct2;
    for (int i0 = 0; i0 < n; i0 += 64) {
        float sum[64] = {0};
        const int len = n - i0 < 64 ? n - i0 : 64;
        for (int b = 0; b < batch; b++) {
            const float *gb = g[b] + i0;
            const float w = weight[b];
            for (int i = 0; i < len; i++)
                sum[i] += w * gb[i];
        }
        for (int i = 0; i < len; i++) {
            const float d = sum[i];
            const float m1 = b1 * mo[i0 + i] + (1.0f - b1) * d;
            const float v1 = b2 * ve[i0 + i] + (1.0f - b2) * d * d;
            mo[i0 + i] = m1;
            ve[i0 + i] = v1;
            p[i0 + i] -= a->decay * p[i0 + i] + a->rate * (m1 * c1) / (sqrtf(v1 * c2) + a->epsilon);
        }
    }
}

/** One blurred row from a row with 5 zeros of padding on either side. */
static void plane_blur_row(const float *taps, const float *restrict padded, float *restrict out, int w)
{
    for (int x = 0; x < w; x++) {
        float v = taps[5] * padded[x + 5];
        for (int d = 1; d <= 5; d++)
            v += taps[5 + d] * (padded[x + 5 - d] + padded[x + 5 + d]);
        out[x] = v;
    }
}

static void plane_blur11(const float *taps, const float *in, float *tmp, float *out, int w, int h)
{
    for (int y = 0; y < h; y++) {
        float *restrict o = tmp + (ptrdiff_t)y * w;
        for (int x = 0; x < w; x++)
            o[x] = 0.0f;
        for (int d = -5; d <= 5; d++) {
            if (y + d < 0 || y + d >= h)
                continue;
            const float *restrict src = in + (ptrdiff_t)(y + d) * w;
            const float t = taps[5 + d];
            for (int x = 0; x < w; x++)
                o[x] += t * src[x];
        }
    }
    float padded[PZ_SPLAT_MAX_SIDE + 10];
    memset(padded, 0, sizeof(padded[0]) * 5);
    for (int y = 0; y < h; y++) {
        memcpy(padded + 5, tmp + (ptrdiff_t)y * w, sizeof(float) * (size_t)w);
        memset(padded + 5 + w, 0, sizeof(padded[0]) * 5);
        plane_blur_row(taps, padded, out + (ptrdiff_t)y * w, w);
    }
}
