/* Elementwise operations, data movement, softmax and resizing. */
#include <math.h>
#include <string.h>

#include "tensor/half.h"
#include "tensor/ref/ref.h"

/* Offset of the element of `s` that broadcasts to index `ix` of a result of rank `rank`. */
static size_t broadcast_at(const struct pz_shape *s, const int *ix, int rank)
{
    size_t at = 0;
    for (int i = 0; i < s->rank; i++) {
        int v = ix[i + rank - s->rank];
        at = at * (size_t)s->dim[i] + (s->dim[i] == 1 ? 0 : (size_t)v);
    }
    return at;
}

/* Next index in row-major order. */
static void step(const struct pz_shape *s, int *ix)
{
    for (int i = s->rank - 1; i >= 0; i--) {
        if (++ix[i] < s->dim[i])
            return;
        ix[i] = 0;
    }
}

static void binary(const struct pz_op_args *a, int op)
{
    const float *p = a->in[0].data, *q = a->in[1].data;
    float *out = a->out.data;
    int ix[PZ_MAX_RANK] = {0};
    size_t n = pz_shape_count(&a->out.shape);
    for (size_t i = 0; i < n; i++, step(&a->out.shape, ix)) {
        float x = p[broadcast_at(&a->in[0].shape, ix, a->out.shape.rank)];
        float y = q[broadcast_at(&a->in[1].shape, ix, a->out.shape.rank)];
        out[i] = pz_ref_act(a->attrs->act, op == 0 ? x + y : op == 1 ? x - y : op == 2 ? x * y : x / y, 0);
    }
}

void pz_ref_add(const struct pz_op_args *a)
{
    binary(a, 0);
}

void pz_ref_sub(const struct pz_op_args *a)
{
    binary(a, 1);
}

void pz_ref_mul(const struct pz_op_args *a)
{
    binary(a, 2);
}

void pz_ref_div(const struct pz_op_args *a)
{
    binary(a, 3);
}

static void unary(const struct pz_op_args *a, enum pz_act act)
{
    const float *x = a->in[0].data, *slope = a->n_in > 1 ? a->in[1].data : NULL;
    float *out = a->out.data;
    size_t n = pz_shape_count(&a->out.shape);
    size_t c = a->out.shape.rank ? (size_t)a->out.shape.dim[a->out.shape.rank - 1] : 1;
    for (size_t i = 0; i < n; i++)
        out[i] = pz_ref_act(act, x[i], slope ? slope[i % c] : 0);
}

void pz_ref_relu(const struct pz_op_args *a)
{
    unary(a, PZ_ACT_RELU);
}

void pz_ref_relu6(const struct pz_op_args *a)
{
    unary(a, PZ_ACT_RELU6);
}

void pz_ref_prelu(const struct pz_op_args *a)
{
    unary(a, PZ_ACT_PRELU);
}

void pz_ref_sigmoid(const struct pz_op_args *a)
{
    const float *x = a->in[0].data;
    float *out = a->out.data;
    size_t n = pz_shape_count(&a->out.shape);
    for (size_t i = 0; i < n; i++)
        out[i] = 1.0f / (1.0f + expf(-x[i]));
}

void pz_ref_pad(const struct pz_op_args *a)
{
    const float *x = a->in[0].data;
    float *out = a->out.data;
    int ix[PZ_MAX_RANK] = {0};
    size_t n = pz_shape_count(&a->out.shape);
    for (size_t i = 0; i < n; i++, step(&a->out.shape, ix)) {
        size_t at = 0;
        bool inside = true;
        for (int k = 0; k < a->out.shape.rank; k++) {
            int v = ix[k] - a->attrs->before[k], d = a->in[0].shape.dim[k];
            inside = inside && v >= 0 && v < d;
            at = at * (size_t)d + (size_t)(inside ? v : 0);
        }
        out[i] = inside ? x[at] : a->attrs->value;
    }
}

void pz_ref_copy(const struct pz_op_args *a)
{
    memcpy(a->out.data, a->in[0].data, pz_shape_count(&a->out.shape) * pz_dtype_size(a->out.dtype));
}

void pz_ref_concat(const struct pz_op_args *a)
{
    size_t outer = 1, inner = 1, done = 0, total;
    const struct pz_shape *o = &a->out.shape;
    for (int i = 0; i < a->attrs->axis; i++)
        outer *= (size_t)o->dim[i];
    for (int i = a->attrs->axis + 1; i < o->rank; i++)
        inner *= (size_t)o->dim[i];
    total = (size_t)o->dim[a->attrs->axis] * inner;
    for (int k = 0; k < a->n_in; k++) {
        size_t part = (size_t)a->in[k].shape.dim[a->attrs->axis] * inner;
        for (size_t r = 0; r < outer; r++)
            memcpy((float *)a->out.data + r * total + done, (const float *)a->in[k].data + r * part,
                   part * 4);
        done += part;
    }
}

void pz_ref_slice(const struct pz_op_args *a)
{
    const float *x = a->in[0].data;
    float *out = a->out.data;
    int ix[PZ_MAX_RANK] = {0};
    size_t n = pz_shape_count(&a->out.shape);
    for (size_t i = 0; i < n; i++, step(&a->out.shape, ix)) {
        size_t at = 0;
        for (int k = 0; k < a->out.shape.rank; k++)
            at = at * (size_t)a->in[0].shape.dim[k] + (size_t)(ix[k] + a->attrs->begin[k]);
        out[i] = x[at];
    }
}

void pz_ref_transpose(const struct pz_op_args *a)
{
    const float *x = a->in[0].data;
    float *out = a->out.data;
    int ix[PZ_MAX_RANK] = {0}, jx[PZ_MAX_RANK] = {0};
    size_t n = pz_shape_count(&a->out.shape);
    for (size_t i = 0; i < n; i++, step(&a->out.shape, ix)) {
        size_t at = 0;
        for (int k = 0; k < a->out.shape.rank; k++)
            jx[a->attrs->perm[k]] = ix[k];
        for (int k = 0; k < a->out.shape.rank; k++)
            at = at * (size_t)a->in[0].shape.dim[k] + (size_t)jx[k];
        out[i] = x[at];
    }
}

static void softmax(const struct pz_op_args *a, bool logarithm)
{
    const struct pz_shape *o = &a->out.shape;
    size_t n = 1, inner = 1, all = pz_shape_count(o);
    for (int i = 0; i < a->attrs->axis; i++)
        inner *= (size_t)o->dim[o->rank - 1 - i];
    if (o->rank)
        n = (size_t)o->dim[o->rank - 1 - a->attrs->axis];
    for (size_t r = 0; r < all / n; r++) {
        const float *x = (const float *)a->in[0].data + r / inner * n * inner + r % inner;
        float *out = (float *)a->out.data + r / inner * n * inner + r % inner;
        float top = x[0];
        double sum = 0;
        for (size_t i = 1; i < n; i++)
            top = x[i * inner] > top ? x[i * inner] : top;
        for (size_t i = 0; i < n; i++)
            sum += exp((double)x[i * inner] - top);
        for (size_t i = 0; i < n; i++)
            out[i * inner] = (float)(logarithm ? (double)x[i * inner] - top - log(sum)
                                               : exp((double)x[i * inner] - top) / sum);
    }
}

void pz_ref_softmax(const struct pz_op_args *a)
{
    softmax(a, false);
}

void pz_ref_log_softmax(const struct pz_op_args *a)
{
    softmax(a, true);
}

/* Source coordinate of output pixel `o`, TFLite's three conventions. */
static float source(const struct pz_attrs *t, int o, int in, int out, bool nearest)
{
    if (t->align_corners && out > 1)
        return (float)o * (float)(in - 1) / (float)(out - 1);
    float scale = (float)in / (float)out;
    if (t->half_pixel)
        return ((float)o + 0.5f) * scale - (nearest ? 0.0f : 0.5f);
    return (float)o * scale;
}

static int clamp_int(int v, int hi)
{
    return v < 0 ? 0 : v > hi ? hi : v;
}

void pz_ref_resize_nearest(const struct pz_op_args *a)
{
    const int *o = a->out.shape.dim, *d = a->in[0].shape.dim;
    float *out = a->out.data;
    for (int b = 0; b < o[0]; b++)
        for (int y = 0; y < o[1]; y++)
            for (int x = 0; x < o[2]; x++) {
                float fy = source(a->attrs, y, d[1], o[1], true), fx = source(a->attrs, x, d[2], o[2], true);
                int iy = clamp_int((int)(a->attrs->align_corners ? roundf(fy) : floorf(fy)), d[1] - 1);
                int ix = clamp_int((int)(a->attrs->align_corners ? roundf(fx) : floorf(fx)), d[2] - 1);
                size_t from =
                    (((size_t)b * (size_t)d[1] + (size_t)iy) * (size_t)d[2] + (size_t)ix) * (size_t)d[3];
                memcpy(out, (const float *)a->in[0].data + from, (size_t)d[3] * 4);
                out += d[3];
            }
}

void pz_ref_resize_bilinear(const struct pz_op_args *a)
{
    const int *o = a->out.shape.dim, *d = a->in[0].shape.dim;
    const float *in = a->in[0].data;
    float *out = a->out.data;
    for (int b = 0; b < o[0]; b++)
        for (int y = 0; y < o[1]; y++)
            for (int x = 0; x < o[2]; x++) {
                float fy = fmaxf(source(a->attrs, y, d[1], o[1], false), 0);
                float fx = fmaxf(source(a->attrs, x, d[2], o[2], false), 0);
                int y0 = clamp_int((int)fy, d[1] - 1), y1 = clamp_int(y0 + 1, d[1] - 1);
                int x0 = clamp_int((int)fx, d[2] - 1), x1 = clamp_int(x0 + 1, d[2] - 1);
                float wy = fy - (float)y0, wx = fx - (float)x0;
                const float *p = in + (size_t)b * (size_t)d[1] * (size_t)d[2] * (size_t)d[3];
                for (int c = 0; c < d[3]; c++, out++) {
                    float v00 = p[((size_t)y0 * (size_t)d[2] + (size_t)x0) * (size_t)d[3] + (size_t)c];
                    float v01 = p[((size_t)y0 * (size_t)d[2] + (size_t)x1) * (size_t)d[3] + (size_t)c];
                    float v10 = p[((size_t)y1 * (size_t)d[2] + (size_t)x0) * (size_t)d[3] + (size_t)c];
                    float v11 = p[((size_t)y1 * (size_t)d[2] + (size_t)x1) * (size_t)d[3] + (size_t)c];
                    *out = (1 - wy) * ((1 - wx) * v00 + wx * v01) + wy * ((1 - wx) * v10 + wx * v11);
                }
            }
}

void pz_ref_dequantize(const struct pz_op_args *a)
{
    size_t n = pz_shape_count(&a->out.shape);
    if (a->in[0].dtype == PZ_DTYPE_BF16)
        pz_bf16_to_f32_array(a->in[0].data, a->out.data, n);
    else
        pz_f16_to_f32_array(a->in[0].data, a->out.data, n);
}
