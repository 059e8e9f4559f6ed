/*
 * Convolutions through cuDNN's graph API (cudnnBackend*), NHWC: forward with bias, residual and ReLU in one
 * kernel where an engine has it (F16), else the sums alone and our epilogue behind them; transposed ones as
 * the gradient of the data. Engines that would use TF32 or sum in F16 are passed over. Engines are timed once
 * a shape and the choice is kept for all nodes of the plan. What cuDNN has no form for, and depthwise ones,
 * run in our plain kernel.
 */
#include <string.h>

#include "base/mem.h"
#include "tensor/cuda/cuda.h"
#include "tensor/cuda/device.h"
#include "tensor/cuda/kernels.h"

#define WORKSPACE_MAX ((int64_t)512 << 20)
#define CONFIGS 16 /* engine configurations asked for */
#define TRIED 6    /* of which so many are timed */

enum { UID_X = 1, UID_W, UID_Y, UID_BIAS, UID_RESIDUAL, UID_VIRTUAL };

struct conv_key {
    int x[4], w[4], o[4], stride[2], dilation[2], pad[4], act;
    bool half, transposed, bias, residual;
};

struct pz_conv_plan {
    struct conv_key key;
    cudnnBackendDescriptor_t plan; /* NULL: cuDNN has no form */
    int64_t workspace;
    struct pz_conv_plan *next;
};

/* Descriptors made on the way, and the first error. */
struct making {
    cudnnBackendDescriptor_t d[48];
    int n;
    cudnnStatus_t e;
};

static cudnnBackendDescriptor_t make(struct making *m, cudnnBackendDescriptorType_t type)
{
    cudnnBackendDescriptor_t d = NULL;
    if (!m->e && m->n == (int)(sizeof m->d / sizeof *m->d))
        m->e = CUDNN_STATUS_INTERNAL_ERROR;
    if (!m->e)
        m->e = cudnnBackendCreateDescriptor(type, &d);
    if (!m->e)
        m->d[m->n++] = d;
    return d;
}

static void set(struct making *m, cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name,
                cudnnBackendAttributeType_t type, int64_t n, const void *v)
{
    if (!m->e)
        m->e = cudnnBackendSetAttribute(d, name, type, n, v);
}

static void finish(struct making *m, cudnnBackendDescriptor_t d)
{
    if (!m->e)
        m->e = cudnnBackendFinalize(d);
}

static void drop(struct making *m)
{
    while (m->n > 0)
        cudnnBackendDestroyDescriptor(m->d[--m->n]);
}

/* d: N, H, W, C as we write them. */
static cudnnBackendDescriptor_t tensor(struct making *m, int64_t uid, const int *d, bool half,
                                       bool is_virtual)
{
    cudnnBackendDescriptor_t t = make(m, CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    int64_t dims[4] = {d[0], d[3], d[1], d[2]}, align = 16;
    int64_t steps[4] = {(int64_t)d[1] * d[2] * d[3], 1, (int64_t)d[2] * d[3], d[3]};
    cudnnDataType_t type = is_virtual || !half ? CUDNN_DATA_FLOAT : CUDNN_DATA_HALF;
    set(m, t, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type);
    set(m, t, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, dims);
    set(m, t, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, steps);
    set(m, t, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &uid);
    set(m, t, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &align);
    if (is_virtual)
        set(m, t, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, &is_virtual);
    finish(m, t);
    return t;
}

static cudnnBackendDescriptor_t pointwise(struct making *m, cudnnPointwiseMode_t mode, bool clip6,
                                          cudnnBackendDescriptor_t x, cudnnBackendDescriptor_t b,
                                          cudnnBackendDescriptor_t y)
{
    cudnnBackendDescriptor_t p = make(m, CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
    cudnnDataType_t type = CUDNN_DATA_FLOAT;
    double six = 6;
    set(m, p, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode);
    set(m, p, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1, &type);
    if (clip6)
        set(m, p, CUDNN_ATTR_POINTWISE_RELU_UPPER_CLIP, CUDNN_TYPE_DOUBLE, 1, &six);
    finish(m, p);
    cudnnBackendDescriptor_t o = make(m, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
    set(m, o, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &p);
    set(m, o, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &x);
    if (b)
        set(m, o, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &b);
    set(m, o, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &y);
    finish(m, o);
    return o;
}

static cudnnBackendDescriptor_t convolution(struct making *m, const struct conv_key *k,
                                            cudnnBackendDescriptor_t x, cudnnBackendDescriptor_t w,
                                            cudnnBackendDescriptor_t y)
{
    cudnnBackendDescriptor_t c = make(m, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
    cudnnDataType_t type = CUDNN_DATA_FLOAT;
    cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
    int64_t two = 2, stride[2] = {k->stride[0], k->stride[1]}, dilation[2] = {k->dilation[0], k->dilation[1]};
    int64_t before[2] = {k->pad[0], k->pad[2]}, after[2] = {k->pad[1], k->pad[3]};
    float one = 1, zero = 0;
    set(m, c, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type);
    set(m, c, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode);
    set(m, c, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1, &two);
    set(m, c, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, 2, stride);
    set(m, c, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 2, dilation);
    set(m, c, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 2, before);
    set(m, c, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 2, after);
    finish(m, c);
    if (k->transposed) { /* our input plays the gradient of the output, our output that of the input */
        cudnnBackendDescriptor_t o = make(m, CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR);
        set(m, o, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &c);
        set(m, o, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &w);
        set(m, o, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &y);
        set(m, o, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &x);
        set(m, o, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA, CUDNN_TYPE_FLOAT, 1, &one);
        set(m, o, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA, CUDNN_TYPE_FLOAT, 1, &zero);
        finish(m, o);
        return o;
    }
    cudnnBackendDescriptor_t o = make(m, CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR);
    set(m, o, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &c);
    set(m, o, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &x);
    set(m, o, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &w);
    set(m, o, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &y);
    set(m, o, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, CUDNN_TYPE_FLOAT, 1, &one);
    set(m, o, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, CUDNN_TYPE_FLOAT, 1, &zero);
    finish(m, o);
    return o;
}

/* The chain conv → + bias → + residual → ReLU; every link but the last is virtual. */
static cudnnBackendDescriptor_t describe(struct making *m, struct pz_cuda *dev, const struct conv_key *k)
{
    bool act = k->act == PZ_ACT_RELU || k->act == PZ_ACT_RELU6;
    int links = (k->bias ? 1 : 0) + (k->residual ? 1 : 0) + (act ? 1 : 0), n = 0;
    int64_t uid = UID_VIRTUAL;
    int bias[4] = {1, 1, 1, k->o[3]};
    cudnnBackendDescriptor_t ops[4], x = tensor(m, UID_X, k->x, k->half, false),
                                     w = tensor(m, UID_W, k->w, k->half, false), at, next;
    at = tensor(m, links ? uid++ : UID_Y, k->o, k->half, links > 0);
    ops[n++] = convolution(m, k, x, w, at);
    if (k->bias) {
        links--;
        next = tensor(m, links ? uid++ : UID_Y, k->o, k->half, links > 0);
        ops[n++] =
            pointwise(m, CUDNN_POINTWISE_ADD, false, at, tensor(m, UID_BIAS, bias, k->half, false), next);
        at = next;
    }
    if (k->residual) {
        links--;
        next = tensor(m, links ? uid++ : UID_Y, k->o, k->half, links > 0);
        ops[n++] =
            pointwise(m, CUDNN_POINTWISE_ADD, false, at, tensor(m, UID_RESIDUAL, k->o, k->half, false), next);
        at = next;
    }
    if (act) {
        next = tensor(m, UID_Y, k->o, k->half, false);
        ops[n++] = pointwise(m, CUDNN_POINTWISE_RELU_FWD, k->act == PZ_ACT_RELU6, at, NULL, next);
    }
    cudnnBackendDescriptor_t g = make(m, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
    set(m, g, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, n, ops);
    set(m, g, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &dev->cudnn);
    finish(m, g);
    return g;
}

/* Whether an engine keeps to F32 sums (and, for F32, away from TF32). */
static bool precise(cudnnBackendDescriptor_t config, bool half)
{
    cudnnBackendDescriptor_t engine = NULL;
    cudnnBackendNumericalNote_t notes[CUDNN_NUMERICAL_NOTE_TYPE_COUNT];
    int64_t n = 0;
    bool ok = true;
    if (cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINE_DESCRIPTOR, &engine))
        return false;
    cudnnStatus_t e = cudnnBackendGetAttribute(config, CUDNN_ATTR_ENGINECFG_ENGINE,
                                               CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &n, &engine);
    if (!e)
        e = cudnnBackendGetAttribute(engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE,
                                     CUDNN_NUMERICAL_NOTE_TYPE_COUNT, &n, notes);
    for (int64_t i = 0; !e && i < n; i++)
        if (notes[i] == CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION ||
            notes[i] == CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS ||
            notes[i] == CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC ||
            (notes[i] >= CUDNN_NUMERICAL_NOTE_WINOGRAD &&
             notes[i] <= CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_13x13) ||
            notes[i] == CUDNN_NUMERICAL_NOTE_FFT || (!half && notes[i] == CUDNN_NUMERICAL_NOTE_TENSOR_CORE))
            ok = false;
    cudnnBackendDestroyDescriptor(engine);
    return ok && !e;
}

/* Enqueue a finished plan. */
static cudnnStatus_t execute(struct pz_cuda *d, const struct conv_key *k, cudnnBackendDescriptor_t plan,
                             void *x, void *w, void *y, void *bias, void *residual, void *workspace)
{
    struct making m = {0};
    int64_t uids[5] = {UID_X, UID_W, UID_Y}, n = 3;
    void *data[5] = {x, w, y};
    if (k->bias) {
        uids[n] = UID_BIAS;
        data[n++] = bias;
    }
    if (k->residual) {
        uids[n] = UID_RESIDUAL;
        data[n++] = residual;
    }
    cudnnBackendDescriptor_t v = make(&m, CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
    set(&m, v, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, n, uids);
    set(&m, v, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, n, data);
    set(&m, v, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &workspace);
    finish(&m, v);
    if (!m.e)
        m.e = cudnnSetStream(d->cudnn, d->stream);
    if (!m.e)
        m.e = cudnnBackendExecute(d->cudnn, plan, v);
    drop(&m);
    return m.e;
}

/* A place to time engines in: what the tensors of the key need, filled with small numbers by memset. */
struct ground {
    char *block;
    size_t x, w, y, bias, residual, workspace;
    cudaEvent_t from, to;
};

static size_t take(size_t *at, const int *d, bool half)
{
    size_t here = *at;
    *at += ((size_t)d[0] * (size_t)d[1] * (size_t)d[2] * (size_t)d[3] * (half ? 2 : 4) + 255) & ~(size_t)255;
    return here;
}

static bool ground_open(struct ground *g, const struct conv_key *k, int64_t workspace)
{
    size_t n = 0;
    int bias[4] = {1, 1, 1, k->o[3]};
    g->x = take(&n, k->x, k->half);
    g->w = take(&n, k->w, k->half);
    g->y = take(&n, k->o, k->half);
    g->bias = take(&n, bias, k->half);
    g->residual = take(&n, k->o, k->half);
    g->workspace = n;
    if (cudaMalloc((void **)&g->block, n + (size_t)workspace) != cudaSuccess) {
        g->block = NULL;
        (void)cudaGetLastError();
        return false;
    }
    return cudaMemset(g->block, 0x2c, n) == cudaSuccess && cudaEventCreate(&g->from) == cudaSuccess &&
           cudaEventCreate(&g->to) == cudaSuccess;
}

static void ground_close(struct ground *g)
{
    if (g->from)
        cudaEventDestroy(g->from);
    if (g->to)
        cudaEventDestroy(g->to);
    if (g->block)
        cudaFree(g->block);
}

/* Milliseconds of the best of three runs, or a negative number when it does not run. */
static float time_plan(struct pz_cuda *d, const struct conv_key *k, cudnnBackendDescriptor_t plan,
                       struct ground *g)
{
    float best = -1;
    for (int i = 0; i < 4; i++) {
        float ms = 0;
        if (cudaEventRecord(g->from, d->stream) ||
            execute(d, k, plan, g->block + g->x, g->block + g->w, g->block + g->y, g->block + g->bias,
                    g->block + g->residual, g->block + g->workspace) ||
            cudaEventRecord(g->to, d->stream) || cudaEventSynchronize(g->to) ||
            cudaEventElapsedTime(&ms, g->from, g->to)) {
            (void)cudaGetLastError();
            return -1;
        }
        if (i > 0 && (best < 0 || ms < best))
            best = ms;
    }
    return best;
}

/* Finalised plans of the precise engines, the heuristic's order; returns how many. */
static int candidates(struct pz_cuda *d, cudnnBackendDescriptor_t graph, bool half,
                      cudnnBackendHeurMode_t mode, struct pz_conv_plan *out, int room)
{
    struct making m = {0};
    int64_t got = 0;
    int n = 0;
    cudnnBackendDescriptor_t h = make(&m, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR), configs[CONFIGS];
    set(&m, h, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &graph);
    set(&m, h, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode);
    finish(&m, h);
    for (int i = 0; i < CONFIGS; i++)
        configs[i] = make(&m, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
    if (!m.e)
        m.e = cudnnBackendGetAttribute(h, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR,
                                       CONFIGS, &got, configs);
    for (int64_t i = 0; !m.e && i < got && i < CONFIGS && n < room; i++) {
        struct making one = {0};
        int64_t bytes = 0, k = 0;
        if (!precise(configs[i], half))
            continue;
        cudnnBackendDescriptor_t p = make(&one, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
        set(&one, p, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1, &d->cudnn);
        set(&one, p, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &configs[i]);
        finish(&one, p);
        if (!one.e)
            one.e = cudnnBackendGetAttribute(p, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1,
                                             &k, &bytes);
        if (!one.e && bytes <= WORKSPACE_MAX)
            out[n++] = (struct pz_conv_plan){.plan = p, .workspace = bytes};
        else
            drop(&one);
    }
    drop(&m);
    return n;
}

static void pick(struct pz_cuda *d, struct pz_conv_plan *c)
{
    static const cudnnBackendHeurMode_t modes[] = {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_FALLBACK};
    struct making m = {0};
    struct pz_conv_plan found[TRIED];
    struct ground g = {0};
    int n = 0, best = -1;
    float fastest = 0;
    int64_t workspace = 0;
    cudnnBackendDescriptor_t graph = describe(&m, d, &c->key);
    for (int i = 0; !m.e && i < 2 && n == 0; i++)
        n = candidates(d, graph, c->key.half, modes[i], found, TRIED);
    for (int i = 0; i < n; i++)
        workspace = found[i].workspace > workspace ? found[i].workspace : workspace;
    if (n > 0 && ground_open(&g, &c->key, workspace))
        for (int i = 0; i < n; i++) {
            float ms = time_plan(d, &c->key, found[i].plan, &g);
            if (ms >= 0 && (best < 0 || ms < fastest)) {
                best = i;
                fastest = ms;
            }
        }
    ground_close(&g);
    for (int i = 0; i < n; i++) {
        if (i == best) {
            c->plan = found[i].plan;
            c->workspace = found[i].workspace;
        } else {
            cudnnBackendDestroyDescriptor(found[i].plan);
        }
    }
    drop(&m);
}

/* The plan of a key, made on first use; NULL only without memory. */
static struct pz_conv_plan *plan_for(struct pz_cuda *d, const struct conv_key *k)
{
    for (struct pz_conv_plan *c = d->convs; c; c = c->next)
        if (memcmp(&c->key, k, sizeof *k) == 0)
            return c;
    struct pz_conv_plan *c = pz_calloc(1, sizeof *c);
    if (!c)
        return NULL;
    memcpy(&c->key, k, sizeof *k);
    pick(d, c);
    c->next = d->convs;
    d->convs = c;
    return c;
}

void pz_cuda_convs_free(struct pz_cuda *d)
{
    while (d->convs) {
        struct pz_conv_plan *c = d->convs;
        d->convs = c->next;
        if (c->plan)
            cudnnBackendDestroyDescriptor(c->plan);
        pz_free(c);
    }
}

static void key_of(struct conv_key *k, const struct pz_op_args *a, bool transposed, bool fused)
{
    const struct pz_attrs *t = a->attrs;
    memset(k, 0, sizeof *k); /* compared as bytes */
    for (int i = 0; i < 4; i++) {
        k->x[i] = a->in[0].shape.dim[i];
        k->w[i] = a->in[1].shape.dim[i];
        k->o[i] = a->out.shape.dim[i];
        k->pad[i] = t->pad[i];
    }
    for (int i = 0; i < 2; i++) {
        k->stride[i] = t->stride[i];
        k->dilation[i] = t->dilation[i];
    }
    k->half = pz_cuda_half(&a->out);
    k->transposed = transposed;
    k->act = fused ? (int)t->act : 0;
    k->bias = fused && pz_cuda_given(a, 2);
    k->residual = fused && pz_cuda_given(a, 3);
}

static enum pz_status prepare_as(struct pz_log *log, const struct pz_op_args *a, bool transposed, bool fused,
                                 void **state, size_t *scratch)
{
    struct conv_key k;
    key_of(&k, a, transposed, fused);
    struct pz_conv_plan *c = plan_for(a->device, &k);
    if (!c)
        return pz_fail(log, PZ_ERR_NOMEM, "no memory for a convolution");
    if (!c->plan)
        return PZ_ERR_UNSUPPORTED;
    *scratch = (size_t)c->workspace;
    *state = c; /* the device's, not ours */
    return PZ_OK;
}

static enum pz_status fused_prepare(struct pz_log *log, const struct pz_op_args *a, void **state,
                                    size_t *scratch)
{
    if (!pz_cuda_half(&a->out) || a->attrs->act == PZ_ACT_PRELU ||
        (!pz_cuda_given(a, 2) && !pz_cuda_given(a, 3) && !a->attrs->act))
        return PZ_ERR_UNSUPPORTED;
    return prepare_as(log, a, false, true, state, scratch);
}

static enum pz_status sums_prepare(struct pz_log *log, const struct pz_op_args *a, void **state,
                                   size_t *scratch)
{
    return prepare_as(log, a, false, false, state, scratch);
}

static enum pz_status transposed_prepare(struct pz_log *log, const struct pz_op_args *a, void **state,
                                         size_t *scratch)
{
    return prepare_as(log, a, true, false, state, scratch);
}

static void epilogue(const struct pz_op_args *a)
{
    struct pz_cuda *d = a->device;
    const void *bias = pz_cuda_data(a, 2), *residual = pz_cuda_data(a, 3), *slope = pz_cuda_data(a, 4);
    if (!bias && !residual && !a->attrs->act)
        return;
    pz_cuda_check(d,
                  pz_ck_epilogue(pz_cuda_half(&a->out), (int)a->attrs->act, a->out.data, bias, residual,
                                 slope, a->out.data, a->out.shape.dim[3],
                                 (long long)pz_shape_count(&a->out.shape), d->stream),
                  "a convolution's epilogue");
}

static void cudnn_run(const struct pz_op_args *a)
{
    struct pz_cuda *d = a->device;
    struct pz_conv_plan *c = a->state;
    pz_cuda_check_cudnn(d,
                        execute(d, &c->key, c->plan, a->in[0].data, a->in[1].data, a->out.data,
                                (void *)(uintptr_t)pz_cuda_data(a, 2), (void *)(uintptr_t)pz_cuda_data(a, 3),
                                a->scratch),
                        "a convolution");
    if (!c->key.bias && !c->key.residual && !c->key.act)
        epilogue(a);
}

static enum pz_status always(struct pz_log *log, const struct pz_op_args *a, void **state, size_t *scratch)
{
    return PZ_OK;
}

static void plain(const struct pz_op_args *a, int kind)
{
    struct pz_cuda *d = a->device;
    const struct pz_attrs *t = a->attrs;
    const int *x = a->in[0].shape.dim, *w = a->in[1].shape.dim, *o = a->out.shape.dim;
    struct pz_ck_window g = {x[0],         x[1],           x[2],           x[3],      o[1],
                             o[2],         o[3],           w[1],           w[2],      t->stride[0],
                             t->stride[1], t->dilation[0], t->dilation[1], t->pad[0], t->pad[2]};
    pz_cuda_check(
        d, pz_ck_conv(pz_cuda_half(&a->out), kind, &g, a->in[0].data, a->in[1].data, a->out.data, d->stream),
        "a plain convolution");
    epilogue(a);
}

static void plain_run(const struct pz_op_args *a)
{
    plain(a, 0);
}

static void depthwise_run(const struct pz_op_args *a)
{
    plain(a, 1);
}

static void transposed_run(const struct pz_op_args *a)
{
    plain(a, 2);
}

static const struct pz_kernel fused = {"cudnn fused", fused_prepare, NULL, cudnn_run, NULL, NULL};
static const struct pz_kernel sums = {"cudnn", sums_prepare, NULL, cudnn_run, NULL, NULL};
static const struct pz_kernel gradient = {"cudnn", transposed_prepare, NULL, cudnn_run, NULL, NULL};
static const struct pz_kernel own = {"own", always, NULL, plain_run, NULL, NULL};
static const struct pz_kernel own_depthwise = {"own", always, NULL, depthwise_run, NULL, NULL};
static const struct pz_kernel own_transposed = {"own", always, NULL, transposed_run, NULL, NULL};

const struct pz_kernel *const pz_cuda_conv2d[] = {&fused, &sums, &own, NULL};
const struct pz_kernel *const pz_cuda_dwconv2d[] = {&own_depthwise, NULL};
const struct pz_kernel *const pz_cuda_conv_transpose2d[] = {&gradient, &own_transposed, NULL};
