/*
 * Convolutions of pictures and volumes through cuDNN, channels last: forward with bias, residual and ReLU in
 * one kernel where an engine has it (16 bits), else the sums alone and our epilogue behind them; transposed
 * ones as the gradient of the data. Engines that would use TF32 or sum in F16 are passed over. Engines are
 * timed once a shape and the choice is kept for all nodes of the plan. What cuDNN has no form for, and
 * depthwise ones, run in our plain kernel.
 */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "tensor/cuda/conv.h"
#include "tensor/cuda/cuda.h"
#include "tensor/cuda/kernels.h"

enum { UID_X = 1, UID_W, UID_Y, UID_BIAS, UID_RESIDUAL, UID_VIRTUAL };

/* d: N, D, H, W, C as we write them; cuDNN names the channels second, whatever their step. */
static cudnnBackendDescriptor_t tensor(struct pz_dnn *m, int64_t uid, const struct pz_conv_key *k,
                                       const int *d, bool is_virtual)
{
    int64_t dims[5] = {d[0], d[4]}, steps[5] = {(int64_t)d[1] * d[2] * d[3] * d[4], 1};
    for (int i = k->axes - 1, from = 3; i >= 0; i--, from--) {
        dims[2 + i] = d[from];
        steps[2 + i] = from == 3 ? d[4] : steps[3 + i] * d[from + 1];
    }
    return pz_dnn_tensor(m, uid, 2 + k->axes, dims, steps, k->type, is_virtual);
}

static cudnnBackendDescriptor_t pointwise(struct pz_dnn *m, cudnnPointwiseMode_t mode, bool clip6,
                                          cudnnBackendDescriptor_t x, cudnnBackendDescriptor_t b,
                                          cudnnBackendDescriptor_t y)
{
    cudnnBackendDescriptor_t p = pz_dnn_make(m, CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
    cudnnDataType_t type = CUDNN_DATA_FLOAT;
    double six = 6;
    pz_dnn_set(m, p, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode);
    pz_dnn_set(m, p, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1, &type);
    if (clip6)
        pz_dnn_set(m, p, CUDNN_ATTR_POINTWISE_RELU_UPPER_CLIP, CUDNN_TYPE_DOUBLE, 1, &six);
    pz_dnn_finish(m, p);
    cudnnBackendDescriptor_t o = pz_dnn_make(m, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
    pz_dnn_link(m, o, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, p);
    pz_dnn_link(m, o, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, x);
    if (b)
        pz_dnn_link(m, o, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, b);
    pz_dnn_link(m, o, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y);
    pz_dnn_finish(m, o);
    return o;
}

static cudnnBackendDescriptor_t convolution(struct pz_dnn *m, const struct pz_conv_key *k,
                                            cudnnBackendDescriptor_t x, cudnnBackendDescriptor_t w,
                                            cudnnBackendDescriptor_t y)
{
    cudnnBackendDescriptor_t c = pz_dnn_make(m, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
    cudnnDataType_t type = CUDNN_DATA_FLOAT;
    cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
    int64_t axes = k->axes, stride[3], dilation[3], before[3], after[3];
    float one = 1, zero = 0;
    for (int i = 0, from = 3 - k->axes; i < k->axes; i++, from++) {
        stride[i] = k->g.stride[from];
        dilation[i] = k->g.dilation[from];
        before[i] = k->g.pad[from];
        after[i] = k->after[from];
    }
    pz_dnn_set(m, c, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type);
    pz_dnn_set(m, c, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode);
    pz_dnn_set(m, c, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1, &axes);
    pz_dnn_set(m, c, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, axes, stride);
    pz_dnn_set(m, c, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, axes, dilation);
    pz_dnn_set(m, c, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, axes, before);
    pz_dnn_set(m, c, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, axes, after);
    pz_dnn_finish(m, c);
    if (k->transposed) { /* our input plays the gradient of the output, our output that of the input */
        cudnnBackendDescriptor_t o =
            pz_dnn_make(m, CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR);
        pz_dnn_link(m, o, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC, c);
        pz_dnn_link(m, o, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W, w);
        pz_dnn_link(m, o, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX, y);
        pz_dnn_link(m, o, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY, x);
        pz_dnn_set(m, o, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA, CUDNN_TYPE_FLOAT, 1, &one);
        pz_dnn_set(m, o, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA, CUDNN_TYPE_FLOAT, 1, &zero);
        pz_dnn_finish(m, o);
        return o;
    }
    cudnnBackendDescriptor_t o = pz_dnn_make(m, CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR);
    pz_dnn_link(m, o, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, c);
    pz_dnn_link(m, o, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, x);
    pz_dnn_link(m, o, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, w);
    pz_dnn_link(m, o, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, y);
    pz_dnn_set(m, o, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, CUDNN_TYPE_FLOAT, 1, &one);
    pz_dnn_set(m, o, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, CUDNN_TYPE_FLOAT, 1, &zero);
    pz_dnn_finish(m, o);
    return o;
}

/* The chain conv → + residual → + bias → ReLU, in the order that engines built into cuDNN know; every link
 * but the last is virtual. */
static cudnnBackendDescriptor_t describe(struct pz_dnn *m, struct pz_cuda *dev, const struct pz_conv_key *k)
{
    bool act = k->act == PZ_ACT_RELU || k->act == PZ_ACT_RELU6;
    int links = (k->bias ? 1 : 0) + (k->residual ? 1 : 0) + (act ? 1 : 0), n = 0;
    int64_t uid = UID_VIRTUAL;
    int bias[5] = {1, 1, 1, 1, k->g.o[4]};
    cudnnBackendDescriptor_t ops[4], x = tensor(m, UID_X, k, k->g.x, false),
                                     w = tensor(m, UID_W, k, k->g.w, false), at, next;
    at = tensor(m, links ? uid++ : UID_Y, k, k->g.o, links > 0);
    ops[n++] = convolution(m, k, x, w, at);
    if (k->residual) {
        links--;
        next = tensor(m, links ? uid++ : UID_Y, k, k->g.o, links > 0);
        ops[n++] =
            pointwise(m, CUDNN_POINTWISE_ADD, false, at, tensor(m, UID_RESIDUAL, k, k->g.o, false), next);
        at = next;
    }
    if (k->bias) {
        links--;
        next = tensor(m, links ? uid++ : UID_Y, k, k->g.o, links > 0);
        ops[n++] = pointwise(m, CUDNN_POINTWISE_ADD, false, at, tensor(m, UID_BIAS, k, bias, false), next);
        at = next;
    }
    if (act) {
        next = tensor(m, UID_Y, k, k->g.o, false);
        ops[n++] = pointwise(m, CUDNN_POINTWISE_RELU_FWD, k->act == PZ_ACT_RELU6, at, NULL, next);
    }
    return pz_dnn_graph(m, dev, n, ops);
}

size_t pz_conv_bytes(const int *d, enum pz_dtype type)
{
    return (size_t)d[0] * (size_t)d[1] * (size_t)d[2] * (size_t)d[3] * (size_t)d[4] * pz_dtype_size(type);
}

/* What the engine of a key reads and writes. */
struct pz_dnn_data pz_conv_data(const struct pz_conv_key *k, const struct pz_op_args *a)
{
    struct pz_dnn_data t = {0};
    size_t o = pz_conv_bytes(k->g.o, k->type);
    pz_dnn_add(&t, UID_X, a->in[0].data, pz_conv_bytes(k->g.x, k->type));
    pz_dnn_add(&t, UID_W, a->in[1].data, pz_conv_bytes(k->g.w, k->type));
    pz_dnn_add(&t, UID_Y, a->out.data, o);
    if (k->bias)
        pz_dnn_add(&t, UID_BIAS, a->in[2].data, (size_t)k->g.o[4] * pz_dtype_size(k->type));
    if (k->residual)
        pz_dnn_add(&t, UID_RESIDUAL, a->in[3].data, o);
    return t;
}

static void pick(struct pz_cuda *d, struct pz_conv_plan *c, const struct pz_op_args *a)
{
    const struct pz_conv_key *k = &c->key;
    const struct pz_ck_volume *g = &k->g;
    char name[192];
    struct pz_dnn m = {0};
    struct pz_dnn_data data = pz_conv_data(k, a);
    int at = snprintf(name, sizeof name, "%s%d:%d", k->transposed ? "convt" : "conv", k->axes, g->x[0]);
    for (int i = 3 - k->axes; i < 3 && at < 150; i++)
        at += snprintf(name + at, sizeof name - (size_t)at, ":%d,%d,%d,%d,%d,%d,%d", g->x[1 + i], g->w[1 + i],
                       g->o[1 + i], g->stride[i], g->dilation[i], g->pad[i], k->after[i]);
    snprintf(name + at, sizeof name - (size_t)at, ":%d,%d,%d:b%dr%da%d:%s", g->x[4], g->w[4], g->o[4],
             k->bias, k->residual, k->act, pz_dtype_name(k->type));
    cudnnBackendDescriptor_t graph = describe(&m, d, k);
    if (!m.e)
        pz_dnn_pick(d, graph, name, k->type, k->transposed ? 2 : 6, &data, &c->engine);
    pz_dnn_drop(&m);
}

/* The plan of a key, made on first use; NULL only without memory. */
struct pz_conv_plan *pz_conv_plan_for(struct pz_cuda *d, const struct pz_conv_key *k,
                                      const struct pz_op_args *a)
{
    for (struct pz_conv_plan *c = d->convs; c; c = c->next)
        if (memcmp(&c->key, k, sizeof *k) == 0)
            return c;
    struct pz_conv_plan *c = pz_calloc(1, sizeof *c);
    if (!c)
        return NULL;
    memcpy(&c->key, k, sizeof *k);
    pick(d, c, a);
    c->next = d->convs;
    d->convs = c;
    return c;
}

void pz_cuda_convs_free(struct pz_cuda *d)
{
    while (d->convs) {
        struct pz_conv_plan *c = d->convs;
        d->convs = c->next;
        pz_dnn_free(&c->engine);
        pz_free(c);
    }
}

static void extents(const struct pz_shape *s, int *d)
{
    bool volume = s->rank == 5;
    d[0] = s->dim[0];
    d[1] = volume ? s->dim[1] : 1;
    for (int i = 0; i < 3; i++)
        d[2 + i] = s->dim[s->rank - 3 + i];
}

void pz_conv_key_of(struct pz_conv_key *k, const struct pz_op_args *a, bool transposed, bool fused)
{
    const struct pz_attrs *t = a->attrs;
    bool volume = a->in[0].shape.rank == 5;
    memset(k, 0, sizeof *k); /* compared as bytes */
    extents(&a->in[0].shape, k->g.x);
    extents(&a->in[1].shape, k->g.w);
    extents(&a->out.shape, k->g.o);
    k->axes = volume ? 3 : 2;
    k->g.stride[0] = volume ? t->stride_d : 1;
    k->g.dilation[0] = volume ? t->dilation_d : 1;
    k->g.pad[0] = volume ? t->pad_d[0] : 0;
    k->after[0] = volume ? t->pad_d[1] : 0;
    for (int i = 0; i < 2; i++) {
        k->g.stride[1 + i] = t->stride[i];
        k->g.dilation[1 + i] = t->dilation[i];
        k->g.pad[1 + i] = t->pad[2 * i];
        k->after[1 + i] = t->pad[2 * i + 1];
    }
    k->type = a->out.dtype;
    k->transposed = transposed;
    k->act = fused ? (int)t->act : 0;
    k->bias = fused && pz_cuda_given(a, 2);
    k->residual = fused && pz_cuda_given(a, 3);
}

static enum pz_status prepare_as(struct pz_log *log, const struct pz_op_args *a, bool transposed, bool fused,
                                 void **state, size_t *scratch)
{
    struct pz_conv_key k;
    pz_conv_key_of(&k, a, transposed, fused);
    struct pz_conv_plan *c = pz_conv_plan_for(a->device, &k, a);
    if (!c)
        return pz_fail(log, PZ_ERR_NOMEM, "no memory for a convolution");
    if (!c->engine.plan)
        return PZ_ERR_UNSUPPORTED;
    *scratch = (size_t)c->engine.workspace;
    *state = c; /* the device's, not ours */
    return PZ_OK;
}

/* One kernel for all, and one rounding: F32 takes two steps, it loses nothing by them. */
static bool fusible(const struct pz_op_args *a)
{
    return a->out.dtype != PZ_DTYPE_F32 && a->attrs->act != PZ_ACT_PRELU &&
           (pz_cuda_given(a, 2) || pz_cuda_given(a, 3) || a->attrs->act);
}

static enum pz_status fused_prepare(struct pz_log *log, const struct pz_op_args *a, void **state,
                                    size_t *scratch)
{
    return fusible(a) ? prepare_as(log, a, false, true, state, scratch) : PZ_ERR_UNSUPPORTED;
}

static enum pz_status fused_transposed_prepare(struct pz_log *log, const struct pz_op_args *a, void **state,
                                               size_t *scratch)
{
    return fusible(a) ? prepare_as(log, a, true, true, state, scratch) : PZ_ERR_UNSUPPORTED;
}

static enum pz_status sums_prepare(struct pz_log *log, const struct pz_op_args *a, void **state,
                                   size_t *scratch)
{
    return prepare_as(log, a, false, false, state, scratch);
}

static enum pz_status transposed_prepare(struct pz_log *log, const struct pz_op_args *a, void **state,
                                         size_t *scratch)
{
    /* BF16 sums, rounded before the bias and again behind it, would be a whole last place off. */
    bool twice = a->out.dtype == PZ_DTYPE_BF16 && (pz_cuda_given(a, 2) || a->attrs->act);
    return twice ? PZ_ERR_UNSUPPORTED : prepare_as(log, a, true, false, state, scratch);
}

static void epilogue(const struct pz_op_args *a)
{
    struct pz_cuda *d = a->device;
    const void *bias = pz_cuda_data(a, 2), *residual = pz_cuda_data(a, 3), *slope = pz_cuda_data(a, 4);
    if (!bias && !residual && !a->attrs->act)
        return;
    pz_cuda_check(d,
                  pz_ck_epilogue(pz_cuda_type(&a->out), (int)a->attrs->act, a->out.data, bias, residual,
                                 slope, a->out.data, a->out.shape.dim[a->out.shape.rank - 1],
                                 (long long)pz_shape_count(&a->out.shape), d->stream),
                  "a convolution's epilogue");
}

static void cudnn_run(const struct pz_op_args *a)
{
    struct pz_cuda *d = a->device;
    struct pz_conv_plan *c = a->state;
    struct pz_dnn_data data = pz_conv_data(&c->key, a);
    pz_cuda_check_cudnn(d, pz_dnn_execute(d, &c->engine, &data, a->scratch), "a convolution");
    if (!c->key.bias && !c->key.residual && !c->key.act)
        epilogue(a);
}

static enum pz_status always(struct pz_log *log, const struct pz_op_args *a, void **state, size_t *scratch)
{
    return PZ_OK;
}

static struct pz_ck_window window_of(const struct pz_op_args *a)
{
    const struct pz_attrs *t = a->attrs;
    const int *x = a->in[0].shape.dim, *w = a->in[1].shape.dim, *o = a->out.shape.dim;
    return (struct pz_ck_window){x[0],         x[1],           x[2],           x[3],      o[1],
                                 o[2],         o[3],           w[1],           w[2],      t->stride[0],
                                 t->stride[1], t->dilation[0], t->dilation[1], t->pad[0], t->pad[2]};
}

static void plain_run(const struct pz_op_args *a)
{
    struct pz_cuda *d = a->device;
    struct pz_conv_key k;
    pz_conv_key_of(&k, a, false, false);
    pz_cuda_check(
        d, pz_ck_conv(pz_cuda_type(&a->out), &k.g, a->in[0].data, a->in[1].data, a->out.data, d->stream),
        "a plain convolution");
    epilogue(a);
}

static void depthwise_run(const struct pz_op_args *a)
{
    struct pz_cuda *d = a->device;
    struct pz_ck_window g = window_of(a);
    pz_cuda_check(d,
                  pz_ck_depthwise(pz_cuda_type(&a->out), (int)a->attrs->act, &g, a->in[0].data, a->in[1].data,
                                  pz_cuda_data(a, 2), pz_cuda_data(a, 3), pz_cuda_data(a, 4), a->out.data,
                                  d->stream),
                  "a depthwise convolution");
}

static void transposed_run(const struct pz_op_args *a)
{
    struct pz_cuda *d = a->device;
    struct pz_ck_window g = window_of(a);
    pz_cuda_check(d,
                  pz_ck_conv_transposed(pz_cuda_type(&a->out), (int)a->attrs->act, &g, a->in[0].data,
                                        a->in[1].data, pz_cuda_data(a, 2), a->out.data, d->stream),
                  "a plain transposed convolution");
}

static const struct pz_kernel fused = {"cudnn fused", fused_prepare, NULL, cudnn_run, NULL, NULL};
static const struct pz_kernel sums = {"cudnn", sums_prepare, NULL, cudnn_run, NULL, NULL};
static const struct pz_kernel fused_gradient = {
    "cudnn fused", fused_transposed_prepare, NULL, cudnn_run, NULL, NULL};
static const struct pz_kernel gradient = {"cudnn", transposed_prepare, NULL, cudnn_run, NULL, NULL};
static const struct pz_kernel own = {"own", always, NULL, plain_run, NULL, NULL};
static const struct pz_kernel own_depthwise = {"own", always, NULL, depthwise_run, NULL, NULL};
static const struct pz_kernel own_transposed = {"own", always, NULL, transposed_run, NULL, NULL};

const struct pz_kernel *const pz_cuda_conv2d[] = {&pz_cuda_conv_wide, &fused, &sums, &own, NULL};
const struct pz_kernel *const pz_cuda_conv3d[] = {&fused, &sums, &own, NULL};
const struct pz_kernel *const pz_cuda_grouped_conv2d[] = {&fused, &sums, &own, NULL};
const struct pz_kernel *const pz_cuda_dwconv2d[] = {&own_depthwise, NULL};
const struct pz_kernel *const pz_cuda_conv_transpose2d[] = {&fused_gradient, &gradient, &own_transposed,
                                                            NULL};
