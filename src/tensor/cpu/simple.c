/* ReLU, PReLU, pooling and padding on the vector rungs, and the choice of the rung. */
#include <string.h>

#include "tensor/cpu/cpu.h"

const struct pz_cpu_fns *pz_cpu_fns_get(int rung)
{
#if defined(__x86_64__)
    if (rung >= 3 && __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq"))
        return &pz_cpu_fns_bf16;
    if (rung >= 2 && __builtin_cpu_supports("avx512f"))
        return &pz_cpu_fns_avx512;
    if (rung >= 1 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return &pz_cpu_fns_avx2;
#endif
    return &pz_cpu_fns_c;
}

bool pz_cpu_has_bf16(int rung)
{
    return pz_cpu_fns_get(rung)->gemm_bf16 != NULL;
}

static enum pz_status always(struct pz_log *log, const struct pz_op_args *a, void **state, size_t *scratch)
{
    return PZ_OK;
}

static void relu_run(const struct pz_op_args *a)
{
    size_t n = pz_shape_count(&a->out.shape);
    pz_cpu_fns_get(a->rung)->add_act(a->in[0].data, NULL, NULL, n, PZ_ACT_RELU, a->out.data, n);
}

static void prelu_run(const struct pz_op_args *a)
{
    size_t n = pz_shape_count(&a->out.shape), c = (size_t)a->out.shape.dim[a->out.shape.rank - 1];
    pz_cpu_fns_get(a->rung)->add_act(a->in[0].data, NULL, a->in[1].data, c, PZ_ACT_PRELU, a->out.data, n);
}

static void pool_line(const struct pz_op_args *a, int index, bool mean)
{
    const struct pz_attrs *t = a->attrs;
    const int *d = a->in[0].shape.dim, *o = a->out.shape.dim;
    int b = index / o[1];
    struct pz_pool_job j = {
        .x = (const float *)a->in[0].data + (size_t)b * (size_t)d[1] * (size_t)d[2] * (size_t)d[3],
        .row = (size_t)d[2] * (size_t)d[3],
        .h = d[1],
        .w = d[2],
        .c = d[3],
        .kh = t->kernel[0],
        .kw = t->kernel[1],
        .sy = t->stride[0],
        .sx = t->stride[1],
        .top = t->pad[0],
        .left = t->pad[2],
        .mean = mean,
        .act = t->act,
        .out = (float *)a->out.data + (size_t)b * (size_t)o[1] * (size_t)o[2] * (size_t)o[3],
        .ow = o[2]};
    pz_cpu_fns_get(a->rung)->pool_row(&j, index % o[1]);
}

static void max_task(void *user, int index, int worker)
{
    pool_line(user, index, false);
}

static void mean_task(void *user, int index, int worker)
{
    pool_line(user, index, true);
}

static void maxpool_run(const struct pz_op_args *a)
{
    struct pz_op_args copy = *a;
    bool large = pz_shape_count(&a->out.shape) > 65536;
    pz_pool_run(large ? a->pool : NULL, max_task, &copy, a->out.shape.dim[0] * a->out.shape.dim[1]);
}

static void avgpool_run(const struct pz_op_args *a)
{
    struct pz_op_args copy = *a;
    bool large = pz_shape_count(&a->out.shape) > 65536;
    pz_pool_run(large ? a->pool : NULL, mean_task, &copy, a->out.shape.dim[0] * a->out.shape.dim[1]);
}

/* Every window has a tap inside the picture. */
static enum pz_status need_taps(struct pz_log *log, const struct pz_op_args *a, void **state, size_t *scratch)
{
    for (int i = 0; i < 4; i++)
        if (a->attrs->pad[i] >= a->attrs->kernel[i / 2])
            return PZ_ERR_UNSUPPORTED;
    return PZ_OK;
}

static void pad_run(const struct pz_op_args *a)
{
    const struct pz_shape *o = &a->out.shape, *d = &a->in[0].shape;
    int last = o->rank - 1;
    size_t n = (size_t)d->dim[last], left = (size_t)a->attrs->before[last], all = (size_t)o->dim[last];
    size_t rows = pz_shape_count(o) / all;
    const float *x = a->in[0].data;
    float *out = a->out.data;
    int ix[PZ_MAX_RANK] = {0};
    for (size_t r = 0; r < rows; r++, out += all) {
        size_t at = 0;
        bool inside = true;
        for (int k = 0; k < last; k++) {
            int v = ix[k] - a->attrs->before[k];
            inside = inside && v >= 0 && v < d->dim[k];
            at = at * (size_t)d->dim[k] + (size_t)(inside ? v : 0);
        }
        for (size_t i = 0; i < all; i++)
            out[i] = a->attrs->value;
        if (inside)
            memcpy(out + left, x + at * n, n * sizeof *x);
        for (int k = last - 1; k >= 0 && ++ix[k] == o->dim[k]; k--)
            ix[k] = 0;
    }
}

static enum pz_status need_rank(struct pz_log *log, const struct pz_op_args *a, void **state, size_t *scratch)
{
    return a->out.shape.rank >= 1 ? PZ_OK : PZ_ERR_UNSUPPORTED;
}

static const struct pz_kernel relu = {"own", always, NULL, relu_run, NULL, NULL};
static const struct pz_kernel prelu = {"own", always, NULL, prelu_run, NULL, NULL};
static const struct pz_kernel maxpool = {"own", always, NULL, maxpool_run, NULL, NULL};
static const struct pz_kernel avgpool = {"own", need_taps, NULL, avgpool_run, NULL, NULL};
static const struct pz_kernel pad = {"own", need_rank, NULL, pad_run, NULL, NULL};

const struct pz_kernel *const pz_cpu_act[] = {&relu, NULL};
const struct pz_kernel *const pz_cpu_prelu[] = {&prelu, NULL};
const struct pz_kernel *const pz_cpu_pool[] = {&maxpool, NULL};
const struct pz_kernel *const pz_cpu_pad[] = {&pad, NULL};
const struct pz_kernel *const pz_cpu_avgpool[] = {&avgpool, NULL};
