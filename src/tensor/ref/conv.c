/* Convolutions, pooling and the dense layer as written in a textbook. Sums are double: this is the truth. */
#include <math.h>

#include "tensor/ref/ref.h"

float pz_ref_act(enum pz_act act, float v, float slope)
{
    switch (act) {
    case PZ_ACT_RELU:
        return v > 0 ? v : 0;
    case PZ_ACT_RELU6:
        return v > 0 ? (v < 6 ? v : 6) : 0;
    case PZ_ACT_PRELU:
        return v > 0 ? v : slope * v;
    case PZ_ACT_SILU:
        return v / (1.0f + expf(-v));
    case PZ_ACT_GELU:
        return (float)(0.5 * v * (1.0 + erf(v * 0.70710678118654752)));
    case PZ_ACT_NONE:
        break;
    }
    return v;
}

static const float *floats(const struct pz_op_args *a, int i)
{
    return i < a->n_in ? a->in[i].data : NULL;
}

static float finish(const struct pz_op_args *a, double sum, int c, size_t at)
{
    const float *bias = floats(a, 2), *residual = floats(a, 3), *slope = floats(a, 4);
    double v = sum + (bias ? bias[c] : 0) + (residual ? residual[at] : 0);
    return pz_ref_act(a->attrs->act, (float)v, slope ? slope[c] : 0);
}

/* One output value: `ci` in [c0, c1) of the picture, `w` steps by `w_step` per tap and 1 per channel. */
static double window(const struct pz_op_args *a, int b, int oy, int ox, int c0, int c1, const float *w,
                     size_t w_step)
{
    const struct pz_attrs *t = a->attrs;
    const int *xd = a->in[0].shape.dim, *wd = a->in[1].shape.dim;
    const float *x = a->in[0].data;
    double sum = 0;
    for (int ky = 0; ky < wd[1]; ky++)
        for (int kx = 0; kx < wd[2]; kx++) {
            int iy = oy * t->stride[0] + ky * t->dilation[0] - t->pad[0];
            int ix = ox * t->stride[1] + kx * t->dilation[1] - t->pad[2];
            if (iy < 0 || iy >= xd[1] || ix < 0 || ix >= xd[2])
                continue;
            const float *px =
                x + (((size_t)b * (size_t)xd[1] + (size_t)iy) * (size_t)xd[2] + (size_t)ix) * (size_t)xd[3];
            const float *pw = w + (size_t)(ky * wd[2] + kx) * w_step;
            for (int c = c0; c < c1; c++)
                sum += (double)px[c] * pw[c - c0];
        }
    return sum;
}

void pz_ref_conv2d(const struct pz_op_args *a)
{
    const int *o = a->out.shape.dim, *wd = a->in[1].shape.dim;
    const float *w = a->in[1].data;
    float *out = a->out.data;
    size_t at = 0, w_step = (size_t)wd[3], w_filter = (size_t)wd[1] * (size_t)wd[2] * w_step;
    for (int b = 0; b < o[0]; b++)
        for (int y = 0; y < o[1]; y++)
            for (int x = 0; x < o[2]; x++)
                for (int c = 0; c < o[3]; c++, at++)
                    out[at] =
                        finish(a, window(a, b, y, x, 0, wd[3], w + (size_t)c * w_filter, w_step), c, at);
}

void pz_ref_dwconv2d(const struct pz_op_args *a)
{
    const int *o = a->out.shape.dim;
    const float *w = a->in[1].data;
    float *out = a->out.data;
    size_t at = 0;
    for (int b = 0; b < o[0]; b++)
        for (int y = 0; y < o[1]; y++)
            for (int x = 0; x < o[2]; x++)
                for (int c = 0; c < o[3]; c++, at++)
                    out[at] = finish(a, window(a, b, y, x, c, c + 1, w + c, (size_t)o[3]), c, at);
}

void pz_ref_grouped_conv2d(const struct pz_op_args *a)
{
    const int *o = a->out.shape.dim, *xd = a->in[0].shape.dim, *wd = a->in[1].shape.dim;
    const struct pz_attrs *t = a->attrs;
    const float *xs = a->in[0].data, *w = a->in[1].data, *bias = floats(a, 2);
    float *out = a->out.data;
    int per = wd[0] / t->groups;
    for (int b = 0; b < o[0]; b++)
        for (int y = 0; y < o[1]; y++)
            for (int x = 0; x < o[2]; x++)
                for (int c = 0; c < o[3]; c++) {
                    double sum = bias ? bias[c] : 0;
                    for (int k = 0; k < wd[1] * wd[2]; k++) {
                        int iy = y * t->stride[0] + k / wd[2] * t->dilation[0] - t->pad[0];
                        int ix = x * t->stride[1] + k % wd[2] * t->dilation[1] - t->pad[2];
                        if (iy < 0 || iy >= xd[1] || ix < 0 || ix >= xd[2])
                            continue;
                        const float *p =
                            xs +
                            (((size_t)b * (size_t)xd[1] + (size_t)iy) * (size_t)xd[2] + (size_t)ix) *
                                (size_t)xd[3] +
                            (size_t)(c / per * wd[3]);
                        const float *q =
                            w + ((size_t)c * (size_t)(wd[1] * wd[2]) + (size_t)k) * (size_t)wd[3];
                        for (int i = 0; i < wd[3]; i++)
                            sum += (double)p[i] * q[i];
                    }
                    *out++ = pz_ref_act(t->act, (float)sum, 0);
                }
}

void pz_ref_fully_connected(const struct pz_op_args *a)
{
    size_t n = (size_t)a->in[1].shape.dim[0], depth = (size_t)a->in[1].shape.dim[1];
    size_t rows = pz_shape_count(&a->in[0].shape) / depth;
    const float *x = a->in[0].data, *w = a->in[1].data, *bias = floats(a, 2), *residual = floats(a, 3);
    float *out = a->out.data;
    for (size_t b = 0; b < rows; b++)
        for (size_t i = 0; i < n; i++) {
            double sum = (bias ? bias[i] : 0) + (residual ? (double)residual[b * n + i] : 0);
            for (size_t k = 0; k < depth; k++)
                sum += (double)x[b * depth + k] * w[i * depth + k];
            out[b * n + i] = pz_ref_act(a->attrs->act, (float)sum, 0);
        }
}

static void pool(const struct pz_op_args *a, bool mean)
{
    const struct pz_attrs *t = a->attrs;
    const int *o = a->out.shape.dim, *xd = a->in[0].shape.dim;
    const float *x = a->in[0].data;
    float *out = a->out.data;
    size_t at = 0;
    for (int b = 0; b < o[0]; b++)
        for (int oy = 0; oy < o[1]; oy++)
            for (int ox = 0; ox < o[2]; ox++)
                for (int c = 0; c < o[3]; c++, at++) {
                    double sum = 0;
                    float best = -INFINITY;
                    int n = 0;
                    for (int ky = 0; ky < t->kernel[0]; ky++)
                        for (int kx = 0; kx < t->kernel[1]; kx++) {
                            int iy = oy * t->stride[0] + ky - t->pad[0],
                                ix = ox * t->stride[1] + kx - t->pad[2];
                            if (iy < 0 || iy >= xd[1] || ix < 0 || ix >= xd[2])
                                continue;
                            float v =
                                x[(((size_t)b * (size_t)xd[1] + (size_t)iy) * (size_t)xd[2] + (size_t)ix) *
                                      (size_t)xd[3] +
                                  (size_t)c];
                            sum += v;
                            best = v > best ? v : best;
                            n++;
                        }
                    out[at] = pz_ref_act(t->act, mean ? (float)(sum / (n ? n : 1)) : best, 0);
                }
}

void pz_ref_maxpool(const struct pz_op_args *a)
{
    pool(a, false);
}

void pz_ref_avgpool(const struct pz_op_args *a)
{
    pool(a, true);
}
