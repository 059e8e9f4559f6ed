/**
 * Image loss and its gradient: Charbonnier on colour, SSIM on luma. Luma alone keeps the SSIM at a third of
 * its price; chroma has no detail worth the rest in 4:2:0 film.
 */
#include "splat/fit.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "splat/kernels.h"

#define LOSS_PLANES 10

struct pz_splat_loss {
    const struct pz_splat_kernels *kern;
    int width, height;
    float taps[11];
    float *plane[LOSS_PLANES]; /* [H][W] each */
};

enum { L_X, L_Y, L_MX, L_MY, L_XX, L_YY, L_XY, L_A, L_B, L_TMP };

void pz_splat_loss_destroy(struct pz_splat_loss **loss)
{
    struct pz_splat_loss *l = *loss;
    *loss = NULL;
    if (!l)
        return;
    for (int j = 0; j < LOSS_PLANES; j++)
        pz_free(l->plane[j]);
    pz_free(l);
}

enum pz_status pz_splat_loss_create(int width, int height, enum pz_splat_rung rung,
                                    struct pz_splat_loss **loss)
{
    *loss = NULL;
    if (width < 1 || height < 1 || width > PZ_SPLAT_MAX_SIDE || height > PZ_SPLAT_MAX_SIDE)
        return PZ_ERR_USAGE;
    struct pz_splat_loss *l = pz_calloc(1, sizeof(*l));
    if (!l)
        return PZ_ERR_NOMEM;
    l->kern = pz_splat_kernels_of(pz_splat_rung_best(rung));
    l->width = width;
    l->height = height;
    double sum = 0;
    for (int d = -5; d <= 5; d++)
        sum += exp(-d * d / (2.0 * 1.5 * 1.5));
    for (int d = -5; d <= 5; d++)
        l->taps[5 + d] = (float)(exp(-d * d / (2.0 * 1.5 * 1.5)) / sum);
    for (int j = 0; j < LOSS_PLANES; j++) {
        l->plane[j] = pz_calloc((size_t)width * (size_t)height, sizeof(float));
        if (!l->plane[j]) {
            pz_splat_loss_destroy(&l);
            return PZ_ERR_NOMEM;
        }
    }
    *loss = l;
    return PZ_OK;
}

static void blur(struct pz_splat_loss *l, int from, int to)
{
    l->kern->blur11(l->taps, l->plane[from], l->plane[L_TMP], l->plane[to], l->width, l->height);
}

/** Moments of the two lumas; leaves x, y and the five blurred planes filled. */
static void ssim_moments(struct pz_splat_loss *l, const float *rgb, const float *truth)
{
    const int64_t area = (int64_t)l->width * l->height;
    float *x = l->plane[L_X], *y = l->plane[L_Y], *a = l->plane[L_A];
    for (int64_t i = 0; i < area; i++) {
        x[i] = 0.299f * rgb[i] + 0.587f * rgb[area + i] + 0.114f * rgb[2 * area + i];
        y[i] = 0.299f * truth[i] + 0.587f * truth[area + i] + 0.114f * truth[2 * area + i];
    }
    blur(l, L_X, L_MX);
    blur(l, L_Y, L_MY);
    for (int64_t i = 0; i < area; i++)
        a[i] = x[i] * x[i];
    blur(l, L_A, L_XX);
    for (int64_t i = 0; i < area; i++)
        a[i] = y[i] * y[i];
    blur(l, L_A, L_YY);
    for (int64_t i = 0; i < area; i++)
        a[i] = x[i] * y[i];
    blur(l, L_A, L_XY);
}

/** Σ ω·SSIM; the three derivative planes end in XX (by mean), YY (by square), XY (by product), times ω·f. */
static double ssim_sum(struct pz_splat_loss *l, const float *weight, float f)
{
    const float c1 = 1e-4f, c2 = 9e-4f;
    const float *mx = l->plane[L_MX], *my = l->plane[L_MY];
    float *xx = l->plane[L_XX], *yy = l->plane[L_YY], *xy = l->plane[L_XY];
    double sum = 0;
    for (int y = 0; y < l->height; y++) {
        float row = 0.0f;
        for (int x = 0; x < l->width; x++) {
            const int64_t i = (int64_t)y * l->width + x;
            const float w = weight[i], ux = mx[i], uy = my[i];
            const float a1 = 2 * ux * uy + c1, a2 = 2 * (xy[i] - ux * uy) + c2;
            const float b1 = ux * ux + uy * uy + c1, b2 = xx[i] - ux * ux + yy[i] - uy * uy + c2;
            const float inv = 1.0f / (b1 * b2), s = a1 * a2 * inv;
            row += w * s;
            xx[i] = f * w * (2 * uy * (a2 - a1) * inv - 2 * ux * s / b1 + 2 * ux * s / b2);
            yy[i] = f * w * -(s / b2);
            xy[i] = f * w * (2 * a1 * inv);
        }
        sum += (double)row;
    }
    return sum;
}

double pz_splat_loss_value(struct pz_splat_loss *l, const float *rgb, const float *truth, const float *weight,
                           float lambda, float *g_rgb)
{
    const int64_t area = (int64_t)l->width * l->height;
    double total = 0;
    for (int64_t i = 0; i < area; i++)
        total += (double)weight[i];
    if (!(total > 0)) {
        memset(g_rgb, 0, sizeof(float) * 3 * (size_t)area);
        return 0.0;
    }
    const float eps = 1e-3f, f = (float)((1.0 - (double)lambda) / (3.0 * total));
    double colour = 0;
    for (int c = 0; c < 3; c++) {
        const float *p = rgb + c * area, *q = truth + c * area;
        float *restrict g = g_rgb + c * area;
        for (int y = 0; y < l->height; y++) {
            const int64_t at = (int64_t)y * l->width;
            float row = 0.0f;
            for (int64_t i = at; i < at + l->width; i++) {
                const float d = p[i] - q[i], r = sqrtf(d * d + eps * eps);
                row += weight[i] * (r - eps);
                g[i] = f * weight[i] * d / r;
            }
            colour += (double)row;
        }
    }
    double value = (double)f * colour;
    if (!(lambda > 0.0f))
        return value;
    ssim_moments(l, rgb, truth);
    const double sum = ssim_sum(l, weight, (float)(-(double)lambda / total));
    value += (double)lambda * (1.0 - sum / total);
    blur(l, L_XX, L_A);
    blur(l, L_YY, L_B);
    blur(l, L_XY, L_MX);
    const float *x = l->plane[L_X], *y = l->plane[L_Y], *d1 = l->plane[L_A], *d2 = l->plane[L_B],
                *d12 = l->plane[L_MX];
    const float k[3] = {0.299f, 0.587f, 0.114f};
    for (int c = 0; c < 3; c++) {
        float *restrict g = g_rgb + c * area;
        for (int64_t i = 0; i < area; i++)
            g[i] += k[c] * (d1[i] + 2 * x[i] * d2[i] + y[i] * d12[i]);
    }
    return value;
}
