/* Volumes, sampling at given places, padding with the edge, and reductions over axes; sums are double. */
#include <math.h>
#include <stdint.h>

#include "tensor/ref/ref.h"

/* Next index in row-major order. */
static void step(const struct pz_shape *s, int *ix)
{
    for (int i = s->rank - 1; i >= 0; i--) {
        if (++ix[i] < s->dim[i])
            return;
        ix[i] = 0;
    }
}

/* Offset of pixel (b, z, y, x) of a volume [B,D,H,W,C], or SIZE_MAX outside. */
static size_t voxel(const int *d, int b, int z, int y, int x)
{
    if (z < 0 || z >= d[1] || y < 0 || y >= d[2] || x < 0 || x >= d[3])
        return SIZE_MAX;
    return ((((size_t)b * (size_t)d[1] + (size_t)z) * (size_t)d[2] + (size_t)y) * (size_t)d[3] + (size_t)x) *
           (size_t)d[4];
}

/* All channels of one place of the output; `w` one filter. */
static double conv_window(const struct pz_op_args *a, const int *at, const float *w)
{
    const struct pz_attrs *t = a->attrs;
    const int *xd = a->in[0].shape.dim, *wd = a->in[1].shape.dim;
    double sum = 0;
    for (int kz = 0; kz < wd[1]; kz++)
        for (int ky = 0; ky < wd[2]; ky++)
            for (int kx = 0; kx < wd[3]; kx++, w += wd[4]) {
                size_t from = voxel(xd, at[0], at[1] * t->stride_d + kz * t->dilation_d - t->pad_d[0],
                                    at[2] * t->stride[0] + ky * t->dilation[0] - t->pad[0],
                                    at[3] * t->stride[1] + kx * t->dilation[1] - t->pad[2]);
                const float *p = (const float *)a->in[0].data + (from == SIZE_MAX ? 0 : from);
                for (int i = 0; from != SIZE_MAX && i < wd[4]; i++)
                    sum += (double)p[i] * w[i];
            }
    return sum;
}

void pz_ref_conv3d(const struct pz_op_args *a)
{
    const int *wd = a->in[1].shape.dim;
    const float *w = a->in[1].data, *bias = a->n_in > 2 ? a->in[2].data : NULL;
    float *out = a->out.data;
    size_t n = pz_shape_count(&a->out.shape);
    size_t filter = (size_t)wd[1] * (size_t)wd[2] * (size_t)wd[3] * (size_t)wd[4];
    int ix[PZ_MAX_RANK] = {0};
    for (size_t i = 0; i < n; i++, step(&a->out.shape, ix)) {
        double sum = conv_window(a, ix, w + (size_t)ix[4] * filter);
        out[i] = pz_ref_act(a->attrs->act, (float)(sum + (bias ? bias[ix[4]] : 0)), 0);
    }
}

/* Where −1 … 1 lies among n pixels; with `border` held inside. NaN comes out as the first pixel there. */
static float place(float g, int n, bool align_corners, bool border)
{
    float v = align_corners ? (g + 1) * 0.5f * (float)(n - 1) : ((g + 1) * (float)n - 1) * 0.5f;
    return border ? fminf(fmaxf(v, 0), (float)(n - 1)) : v;
}

void pz_ref_grid_sample(const struct pz_op_args *a)
{
    const struct pz_shape *x = &a->in[0].shape;
    const float *in = a->in[0].data, *g = a->in[1].data;
    float *out = a->out.data;
    bool corners = a->attrs->align_corners, border = a->attrs->border;
    int axes = x->rank - 2, c = x->dim[x->rank - 1];
    /* a picture is a volume of one slice, sampled in its middle */
    int d[5] = {x->dim[0], axes == 3 ? x->dim[1] : 1, x->dim[x->rank - 3], x->dim[x->rank - 2], c};
    size_t points = pz_shape_count(&a->in[1].shape) / (size_t)axes;
    for (size_t p = 0; p < points; p++, g += axes, out += c) {
        int b = (int)(p / (points / (size_t)d[0]));
        float fx = place(g[0], d[3], corners, border), fy = place(g[1], d[2], corners, border);
        float fz = axes == 3 ? place(g[2], d[1], corners, border) : 0;
        /* written so that NaN falls outside */
        bool near = fx > -1 && fx < (float)d[3] && fy > -1 && fy < (float)d[2] && fz > -1 && fz < (float)d[1];
        int x0 = near ? (int)floorf(fx) : 0, y0 = near ? (int)floorf(fy) : 0, z0 = near ? (int)floorf(fz) : 0;
        for (int k = 0; k < c; k++) {
            double sum = 0;
            for (int i = 0; near && i < 8; i++) {
                double wx = fx - (float)x0, wy = fy - (float)y0, wz = fz - (float)z0;
                size_t from = voxel(d, b, z0 + (i >> 2), y0 + (i >> 1 & 1), x0 + (i & 1));
                double w = (i & 1 ? wx : 1 - wx) * (i & 2 ? wy : 1 - wy) * (i & 4 ? wz : 1 - wz);
                sum += from == SIZE_MAX ? 0 : w * in[from + (size_t)k];
            }
            out[k] = (float)sum;
        }
    }
}

void pz_ref_pad_edge(const struct pz_op_args *a)
{
    const float *x = a->in[0].data;
    float *out = a->out.data;
    int ix[PZ_MAX_RANK] = {0};
    size_t n = pz_shape_count(&a->out.shape);
    for (size_t i = 0; i < n; i++, step(&a->out.shape, ix)) {
        size_t at = 0;
        for (int k = 0; k < a->out.shape.rank; k++) {
            int v = ix[k] - a->attrs->before[k], d = a->in[0].shape.dim[k];
            if (v < 0)
                v = a->attrs->reflect ? -v : 0;
            if (v >= d)
                v = a->attrs->reflect ? 2 * (d - 1) - v : d - 1;
            at = at * (size_t)d + (size_t)v;
        }
        out[i] = x[at];
    }
}

enum reduction { MEAN, SUM, MAX };

static void reduce(const struct pz_op_args *a, enum reduction what)
{
    const struct pz_shape *s = &a->in[0].shape, *o = &a->out.shape;
    const float *x = a->in[0].data;
    float *out = a->out.data;
    struct pz_shape part = *s; /* what one output value is made of */
    size_t n = pz_shape_count(o);
    int ox[PZ_MAX_RANK] = {0};
    for (int i = 0; i < s->rank; i++)
        part.dim[i] = a->attrs->axes >> i & 1 ? s->dim[i] : 1;
    size_t terms = pz_shape_count(&part);
    for (size_t i = 0; i < n; i++, step(o, ox)) {
        double sum = 0, top = -INFINITY;
        int ix[PZ_MAX_RANK] = {0};
        for (size_t j = 0; j < terms; j++, step(&part, ix)) {
            size_t at = 0;
            for (int k = 0; k < s->rank; k++)
                at = at * (size_t)s->dim[k] + (size_t)(ox[k] + ix[k]);
            sum += x[at];
            top = x[at] > top ? x[at] : top;
        }
        out[i] = (float)(what == MAX ? top : what == SUM ? sum : sum / (double)terms);
    }
}

void pz_ref_reduce_mean(const struct pz_op_args *a)
{
    reduce(a, MEAN);
}

void pz_ref_reduce_sum(const struct pz_op_args *a)
{
    reduce(a, SUM);
}

void pz_ref_reduce_max(const struct pz_op_args *a)
{
    reduce(a, MAX);
}

void pz_ref_argmax(const struct pz_op_args *a)
{
    const float *x = a->in[0].data;
    int32_t *out = a->out.data;
    size_t c = (size_t)a->in[0].shape.dim[a->in[0].shape.rank - 1], rows = pz_shape_count(&a->out.shape);
    for (size_t r = 0; r < rows; r++, x += c) {
        size_t best = 0;
        for (size_t i = 1; i < c; i++)
            best = x[i] > x[best] ? i : best;
        out[r] = (int32_t)best;
    }
}
