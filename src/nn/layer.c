/* Layers: names and shapes of PyTorch's modules put in terms of the table's operations. */
#include "nn/layer.h"

#include <stdio.h>
#include <string.h>

#define NAME 256

int pz_nn_dim(const struct pz_params *p, int x, int axis)
{
    struct pz_view v = pz_graph_view(pz_params_graph(p), x);
    int i = axis < 0 ? v.shape.rank + axis : axis;
    return v.dtype != PZ_DTYPE_COUNT && i >= 0 && i < v.shape.rank ? v.shape.dim[i] : 1;
}

static int op(struct pz_params *p, enum pz_op code, const struct pz_attrs *attrs, const int *in, int n)
{
    return pz_graph_op(pz_params_graph(p), code, attrs, in, n);
}

static int vector(struct pz_params *p, const char *name, const char *leaf, const char *also, int n)
{
    char full[NAME], other[NAME];
    snprintf(full, sizeof full, "%s.%s", name, leaf);
    if (also)
        snprintf(other, sizeof other, "%s.%s", also, leaf);
    return pz_params_get(
        p, &(struct pz_param){.name = full, .also = also ? other : NULL, .rank = 1, .shape = {n}});
}

static int at_least_1(int v)
{
    return v > 0 ? v : 1;
}

int pz_nn_conv2d(struct pz_params *p, const char *name, int x, const struct pz_nn_conv *c)
{
    char weight[NAME], bias[NAME];
    int kh = at_least_1(c->kernel[0]), kw = at_least_1(c->kernel[1]), ci = pz_nn_dim(p, x, 3);
    int in[5] = {x, PZ_NONE, PZ_NONE, c->has_residual ? c->residual : PZ_NONE, PZ_NONE};
    struct pz_attrs a = {.stride = {at_least_1(c->stride[0]), at_least_1(c->stride[1])},
                         .dilation = {at_least_1(c->dilation[0]), at_least_1(c->dilation[1])},
                         .act = c->act};
    struct pz_param w = {.name = weight, .layout = PZ_PARAM_CONV, .rank = 4, .shape = {c->out, ci, kh, kw}};
    snprintf(weight, sizeof weight, "%s.weight", name);
    snprintf(bias, sizeof bias, "%s.bias", name);
    memcpy(a.pad, c->pad, sizeof a.pad);
    if (c->depthwise) {
        w.layout = PZ_PARAM_DEPTHWISE;
        w.shape[1] = 1;
    } else if (c->transposed) {
        w.layout = PZ_PARAM_CONV_TRANSPOSE;
        w.shape[0] = ci;
        w.shape[1] = c->out;
        a.size[0] = c->more[0];
        a.size[1] = c->more[1];
    }
    if (c->norm) {
        pz_params_get_folded(p, &w, c->no_bias ? NULL : bias, c->norm, c->norm_eps > 0 ? c->norm_eps : 1e-5f,
                             &in[1], &in[2]);
    } else {
        in[1] = pz_params_get(p, &w);
        in[2] = c->no_bias ? PZ_NONE : vector(p, name, "bias", NULL, c->out);
    }
    if (c->has_shift)
        in[2] = c->no_bias ? c->shift : pz_nn_add(p, in[2], c->shift);
    enum pz_op code = c->depthwise ? PZ_OP_DWCONV2D : c->transposed ? PZ_OP_CONV_TRANSPOSE2D : PZ_OP_CONV2D;
    if (!c->transposed)
        return op(p, code, &a, in, c->has_residual ? 4 : 3);
    a.act = c->has_residual ? PZ_ACT_NONE : c->act;
    int y = op(p, code, &a, in, 3);
    if (!c->has_residual)
        return y;
    a = (struct pz_attrs){.act = c->act};
    return op(p, PZ_OP_ADD, &a, (int[]){y, c->residual}, 2);
}

int pz_nn_conv_same(struct pz_params *p, const char *name, int x, int out, int k, int stride)
{
    int h = k / 2;
    return pz_nn_conv2d(
        p, name, x,
        &(struct pz_nn_conv){.out = out, .kernel = {k, k}, .stride = {stride, stride}, .pad = {h, h, h, h}});
}

int pz_nn_conv1d(struct pz_params *p, const char *name, int x, int out, int k, int stride, int pad)
{
    char weight[NAME];
    struct pz_attrs a = {.stride = {1, stride}, .dilation = {1, 1}, .pad = {0, 0, pad, pad}};
    snprintf(weight, sizeof weight, "%s.weight", name);
    int w = pz_params_get(
        p, &(struct pz_param){
               .name = weight, .layout = PZ_PARAM_CONV, .rank = 3, .shape = {out, pz_nn_dim(p, x, 3), k}});
    int b = vector(p, name, "bias", NULL, out);
    return op(p, PZ_OP_CONV2D, &a, (int[]){x, w, b}, 3);
}

static int dense(struct pz_params *p, const char *name, const char *also, int x, int out, bool bias, int rank)
{
    char weight[NAME], other[NAME];
    snprintf(weight, sizeof weight, "%s.weight", name);
    if (also)
        snprintf(other, sizeof other, "%s.weight", also);
    int w = pz_params_get(p, &(struct pz_param){.name = weight,
                                                .also = also ? other : NULL,
                                                .layout = PZ_PARAM_DENSE,
                                                .rank = rank,
                                                .shape = {out, pz_nn_dim(p, x, -1), 1, 1}});
    int b = bias ? vector(p, name, "bias", also, out) : PZ_NONE;
    return op(p, PZ_OP_FULLY_CONNECTED, NULL, (int[]){x, w, b}, bias ? 3 : 2);
}

int pz_nn_dense(struct pz_params *p, const char *name, int x, int out, bool bias)
{
    return dense(p, name, NULL, x, out, bias, 2);
}

int pz_nn_dense_1x1(struct pz_params *p, const char *name, int x, int out)
{
    return dense(p, name, NULL, x, out, true, 4);
}

int pz_nn_dense_also(struct pz_params *p, const char *name, const char *also, int x, int out, bool bias)
{
    return dense(p, name, also, x, out, bias, 2);
}

static int norm(struct pz_params *p, enum pz_op code, const char *name, int x, const struct pz_attrs *a)
{
    int c = pz_nn_dim(p, x, -1);
    int gamma = vector(p, name, "weight", NULL, c), beta = vector(p, name, "bias", NULL, c);
    return op(p, code, a, (int[]){x, gamma, beta}, 3);
}

int pz_nn_group_norm(struct pz_params *p, const char *name, int x, int groups, float eps, enum pz_act act)
{
    return norm(p, PZ_OP_GROUP_NORM, name, x, &(struct pz_attrs){.groups = groups, .eps = eps, .act = act});
}

int pz_nn_layer_norm(struct pz_params *p, const char *name, int x)
{
    return norm(p, PZ_OP_LAYER_NORM, name, x, &(struct pz_attrs){.eps = 1e-5f});
}

int pz_nn_add(struct pz_params *p, int a, int b)
{
    return op(p, PZ_OP_ADD, NULL, (int[]){a, b}, 2);
}

int pz_nn_mul(struct pz_params *p, int a, int b)
{
    return op(p, PZ_OP_MUL, NULL, (int[]){a, b}, 2);
}

int pz_nn_unary(struct pz_params *p, enum pz_op code, int x)
{
    return op(p, code, NULL, &x, 1);
}

int pz_nn_concat(struct pz_params *p, int axis, int a, int b)
{
    return op(p, PZ_OP_CONCAT, &(struct pz_attrs){.axis = axis}, (int[]){a, b}, 2);
}

int pz_nn_stack(struct pz_params *p, const int *values, int n)
{
    struct pz_shape s = pz_graph_view(pz_params_graph(p), n > 0 ? values[0] : PZ_NONE).shape;
    int part[PZ_OP_MAX_IN], m = 0;
    if (n < 1 || s.rank < 1 || s.rank >= PZ_MAX_RANK)
        return PZ_NONE;
    s.dim[s.rank] = s.dim[s.rank - 1];
    s.dim[s.rank - 1] = 1;
    s.rank++;
    for (int i = 0; i < n; i++) {
        if (m == PZ_OP_MAX_IN) { /* what there is so far becomes one part */
            part[0] = op(p, PZ_OP_CONCAT, &(struct pz_attrs){.axis = s.rank - 2}, part, m);
            m = 1;
        }
        part[m++] = pz_nn_reshape(p, values[i], s);
    }
    return m == 1 ? part[0] : op(p, PZ_OP_CONCAT, &(struct pz_attrs){.axis = s.rank - 2}, part, m);
}

int pz_nn_reshape(struct pz_params *p, int x, struct pz_shape shape)
{
    return op(p, PZ_OP_RESHAPE, &(struct pz_attrs){.shape = shape}, &x, 1);
}

int pz_nn_transpose(struct pz_params *p, int x, const int *perm)
{
    struct pz_attrs a = {0};
    struct pz_view v = pz_graph_view(pz_params_graph(p), x);
    for (int i = 0; i < v.shape.rank && v.dtype != PZ_DTYPE_COUNT; i++)
        a.perm[i] = perm[i];
    return op(p, PZ_OP_TRANSPOSE, &a, &x, 1);
}

int pz_nn_slice(struct pz_params *p, int x, const int *begin, const int *size)
{
    struct pz_attrs a = {0};
    struct pz_view v = pz_graph_view(pz_params_graph(p), x);
    for (int i = 0; i < v.shape.rank && v.dtype != PZ_DTYPE_COUNT; i++) {
        a.begin[i] = begin[i];
        a.size[i] = size[i];
    }
    return op(p, PZ_OP_SLICE, &a, &x, 1);
}

int pz_nn_resize_nearest(struct pz_params *p, int x, int h, int w)
{
    return op(p, PZ_OP_RESIZE_NEAREST, &(struct pz_attrs){.shape = {2, {h, w}}}, &x, 1);
}

int pz_nn_pad_picture(struct pz_params *p, int x, int bottom, int right)
{
    return op(p, PZ_OP_PAD, &(struct pz_attrs){.after = {0, bottom, right, 0}}, &x, 1);
}

int pz_nn_attention(struct pz_params *p, int q, int k, int v, int heads, int mask)
{
    int b = pz_nn_dim(p, q, 0), tq = pz_nn_dim(p, q, 1), tk = pz_nn_dim(p, k, 1), c = pz_nn_dim(p, q, 2);
    struct pz_shape many = {4, {b, tq, heads, c / heads}}, keys = {4, {b, tk, heads, c / heads}};
    int in[4] = {pz_nn_reshape(p, q, many), pz_nn_reshape(p, k, keys), pz_nn_reshape(p, v, keys), mask};
    int y = op(p, PZ_OP_ATTENTION, &(struct pz_attrs){0}, in, mask >= 0 ? 4 : 3);
    return pz_nn_reshape(p, y, (struct pz_shape){3, {b, tq, c}});
}

int pz_nn_const(struct pz_params *p, struct pz_shape shape, const float *values)
{
    return pz_graph_const(pz_params_graph(p), PZ_DTYPE_F32, shape, values);
}
