/* Device forms of the rows our own kernels serve: attributes into launch arguments, nothing else. */
#include <string.h>

#include "tensor/cuda/cuda.h"
#include "tensor/cuda/device.h"
#include "tensor/cuda/kernels.h"

static enum pz_status always(struct pz_log *log, const struct pz_op_args *a, void **state, size_t *scratch)
{
    return PZ_OK;
}

static long long count(const struct pz_op_args *a)
{
    return (long long)pz_shape_count(&a->out.shape);
}

static int last(const struct pz_shape *s)
{
    return s->rank ? s->dim[s->rank - 1] : 1;
}

#define CHECK(call) pz_cuda_check(d, call, __func__)

/* --- elementwise --- */

static void unary(const struct pz_op_args *a, int fn, float p, float q)
{
    struct pz_cuda *d = a->device;
    CHECK(pz_ck_unary(pz_cuda_type(&a->out), fn, p, q, a->in[0].data, a->out.data, count(a), d->stream));
}

#define UNARY(name, fn, p, q)                                                                                \
    static void name##_run(const struct pz_op_args *a)                                                       \
    {                                                                                                        \
        unary(a, fn, p, q);                                                                                  \
    }                                                                                                        \
    static const struct pz_kernel name##_form = {"own", always, NULL, name##_run, NULL, NULL};               \
    const struct pz_kernel *const pz_cuda_##name[] = {&name##_form, NULL};

UNARY(relu, PZ_CK_RELU, 0, 0)
UNARY(relu6, PZ_CK_RELU6, 0, 0)
UNARY(sigmoid, PZ_CK_SIGMOID, 0, 0)
UNARY(gelu, PZ_CK_GELU, 0, 0)
UNARY(gelu_tanh, PZ_CK_GELU_TANH, 0, 0)
UNARY(silu, PZ_CK_SILU, 0, 0)
UNARY(tanh, PZ_CK_TANH, 0, 0)
UNARY(exp, PZ_CK_EXP, 0, 0)
UNARY(leaky_relu, PZ_CK_LEAKY, a->attrs->value, 0)
UNARY(hard_sigmoid, PZ_CK_HARD_SIGMOID, 0, 0)
UNARY(hard_swish, PZ_CK_HARD_SWISH, 0, 0)
UNARY(clamp, PZ_CK_CLAMP, a->attrs->range[0], a->attrs->range[1])
UNARY(sqrt, PZ_CK_SQRT, 0, 0)
UNARY(rsqrt, PZ_CK_RSQRT, a->attrs->eps, 0)
UNARY(log, PZ_CK_LOG, 0, 0)
UNARY(pow, PZ_CK_POW, a->attrs->value, 0)
UNARY(softplus, PZ_CK_SOFTPLUS, 0, 0)

/* Steps of `s` under the broadcast rule against the output's axes. */
static void broadcast(const struct pz_shape *s, const struct pz_shape *out, long long *step)
{
    long long at = 1;
    for (int i = out->rank - 1; i >= 0; i--) {
        int k = i - (out->rank - s->rank);
        step[i] = k >= 0 && s->dim[k] > 1 ? at : 0;
        at *= k >= 0 ? s->dim[k] : 1;
    }
}

static void binary(const struct pz_op_args *a, int op)
{
    struct pz_cuda *d = a->device;
    struct pz_ck_axes x = {.rank = a->out.shape.rank};
    bool same = pz_shape_equal(&a->in[0].shape, &a->in[1].shape);
    for (int i = 0; i < x.rank; i++)
        x.dim[i] = a->out.shape.dim[i];
    broadcast(&a->in[0].shape, &a->out.shape, x.step[0]);
    broadcast(&a->in[1].shape, &a->out.shape, x.step[1]);
    CHECK(pz_ck_binary(pz_cuda_type(&a->out), op, (int)a->attrs->act, same ? NULL : &x, a->in[0].data,
                       a->in[1].data, a->out.data, count(a), d->stream));
}

static void add_run(const struct pz_op_args *a)
{
    binary(a, 0);
}

static void sub_run(const struct pz_op_args *a)
{
    binary(a, 1);
}

static void mul_run(const struct pz_op_args *a)
{
    binary(a, 2);
}

static void div_run(const struct pz_op_args *a)
{
    binary(a, 3);
}

static void prelu_run(const struct pz_op_args *a)
{
    struct pz_cuda *d = a->device;
    CHECK(pz_ck_epilogue(pz_cuda_type(&a->out), PZ_CK_PRELU, a->in[0].data, NULL, NULL, a->in[1].data,
                         a->out.data, last(&a->out.shape), count(a), d->stream));
}

static void geglu_run(const struct pz_op_args *a)
{
    struct pz_cuda *d = a->device;
    int c = last(&a->out.shape);
    CHECK(pz_ck_geglu(pz_cuda_type(&a->out), a->in[0].data, a->out.data, c, count(a) / c, d->stream));
}

static void dequantize_run(const struct pz_op_args *a)
{
    struct pz_cuda *d = a->device;
    CHECK(pz_ck_convert(a->in[0].data, pz_cuda_type(&a->in[0]), a->out.data, pz_cuda_type(&a->out), count(a),
                        d->stream));
}

/* --- moving --- */

static void reshape_run(const struct pz_op_args *a)
{
    struct pz_cuda *d = a->device;
    CHECK((int)cudaMemcpyAsync(a->out.data, a->in[0].data, (size_t)count(a) * pz_dtype_size(a->out.dtype),
                               cudaMemcpyDeviceToDevice, d->stream));
}

static void concat_run(const struct pz_op_args *a)
{
    struct pz_cuda *d = a->device;
    const struct pz_shape *o = &a->out.shape;
    size_t outer = 1, inner = pz_dtype_size(a->out.dtype), done = 0;
    for (int i = 0; i < a->attrs->axis; i++)
        outer *= (size_t)o->dim[i];
    for (int i = a->attrs->axis + 1; i < o->rank; i++)
        inner *= (size_t)o->dim[i];
    size_t pitch = (size_t)o->dim[a->attrs->axis] * inner;
    for (int k = 0; k < a->n_in; k++) {
        size_t part = (size_t)a->in[k].shape.dim[a->attrs->axis] * inner;
        char *to = (char *)a->out.data + done;
        if (part % 16 == 0 && pitch % 16 == 0 && done % 16 == 0)
            CHECK(pz_ck_copy_rows(a->in[k].data, to, (long long)outer, (long long)part, (long long)pitch,
                                  d->stream));
        else
            CHECK((int)cudaMemcpy2DAsync(to, pitch, a->in[k].data, part, part, outer,
                                         cudaMemcpyDeviceToDevice, d->stream));
        done += part;
    }
}

/* Axes of the output with no offset, source axis `from[i]` under output axis i. */
static struct pz_ck_axes axes_of(const struct pz_op_args *a, const int *from)
{
    struct pz_ck_axes x = {.rank = a->out.shape.rank};
    long long step[PZ_MAX_RANK], at = 1;
    for (int i = x.rank - 1; i >= 0; i--) {
        step[i] = at;
        at *= a->in[0].shape.dim[i];
    }
    for (int i = 0; i < x.rank; i++) {
        int s = from ? from[i] : i;
        x.dim[i] = a->out.shape.dim[i];
        x.size[i] = a->in[0].shape.dim[s];
        x.step[0][i] = step[s];
    }
    return x;
}

static void gather(const struct pz_op_args *a, const struct pz_ck_axes *x, float fill)
{
    struct pz_cuda *d = a->device;
    CHECK(pz_ck_gather(pz_cuda_type(&a->out), x, fill, a->in[0].data, a->out.data, count(a), d->stream));
}

static void pad_run(const struct pz_op_args *a)
{
    struct pz_ck_axes x = axes_of(a, NULL);
    for (int i = 0; i < x.rank; i++)
        x.begin[i] = a->attrs->before[i];
    gather(a, &x, a->attrs->value);
}

static void pad_edge_run(const struct pz_op_args *a)
{
    struct pz_cuda *d = a->device;
    struct pz_ck_axes x = axes_of(a, NULL);
    for (int i = 0; i < x.rank; i++)
        x.begin[i] = a->attrs->before[i];
    CHECK(pz_ck_pad_edge(pz_cuda_type(&a->out), a->attrs->reflect, &x, a->in[0].data, a->out.data, count(a),
                         d->stream));
}

static void slice_run(const struct pz_op_args *a)
{
    struct pz_ck_axes x = axes_of(a, NULL);
    for (int i = 0; i < x.rank; i++)
        x.begin[i] = -a->attrs->begin[i];
    gather(a, &x, 0);
}

static void transpose_run(const struct pz_op_args *a)
{
    struct pz_ck_axes x = axes_of(a, a->attrs->perm);
    gather(a, &x, 0);
}

static void embedding_run(const struct pz_op_args *a)
{
    struct pz_cuda *d = a->device;
    const int *t = a->in[1].shape.dim;
    CHECK(pz_ck_embedding(pz_cuda_type(&a->out), a->in[0].data, a->in[1].data, a->out.data, count(a) / t[1],
                          t[1], t[0], d->stream));
}

/* --- windows --- */

static struct pz_ck_window window_of(const struct pz_op_args *a)
{
    const struct pz_attrs *t = a->attrs;
    const int *x = a->in[0].shape.dim, *o = a->out.shape.dim;
    return (struct pz_ck_window){x[0], x[1],         x[2],         x[3],         o[1],         o[2],
                                 o[3], t->kernel[0], t->kernel[1], t->stride[0], t->stride[1], 1,
                                 1,    t->pad[0],    t->pad[2]};
}

static void pool(const struct pz_op_args *a, int mean)
{
    struct pz_cuda *d = a->device;
    struct pz_ck_window g = window_of(a);
    CHECK(pz_ck_pool(pz_cuda_type(&a->out), mean, (int)a->attrs->act, &g, a->in[0].data, a->out.data,
                     d->stream));
}

static void maxpool_run(const struct pz_op_args *a)
{
    pool(a, 0);
}

static void avgpool_run(const struct pz_op_args *a)
{
    pool(a, 1);
}

static void resize(const struct pz_op_args *a, int bilinear)
{
    struct pz_cuda *d = a->device;
    struct pz_ck_window g = window_of(a);
    CHECK(pz_ck_resize(pz_cuda_type(&a->out), bilinear, a->attrs->align_corners, a->attrs->half_pixel, &g,
                       a->in[0].data, a->out.data, d->stream));
}

static void resize_run(const struct pz_op_args *a)
{
    resize(a, 0);
}

static void resize_bilinear_run(const struct pz_op_args *a)
{
    resize(a, 1);
}

/* --- norms, softmax --- */

static void softmax_run(const struct pz_op_args *a)
{
    struct pz_cuda *d = a->device;
    const struct pz_shape *o = &a->out.shape;
    long long inner = 1;
    for (int i = 0; i < a->attrs->axis; i++)
        inner *= o->dim[o->rank - 1 - i];
    int n = o->rank ? o->dim[o->rank - 1 - a->attrs->axis] : 1;
    CHECK(pz_ck_softmax(pz_cuda_type(&a->out), a->in[0].data, a->out.data, count(a) / n / inner, n, inner,
                        d->stream));
}

static void log_softmax_run(const struct pz_op_args *a)
{
    struct pz_cuda *d = a->device;
    const struct pz_shape *o = &a->out.shape;
    long long inner = 1;
    for (int i = 0; i < a->attrs->axis; i++)
        inner *= o->dim[o->rank - 1 - i];
    int n = o->rank ? o->dim[o->rank - 1 - a->attrs->axis] : 1;
    CHECK(pz_ck_log_softmax(pz_cuda_type(&a->out), a->in[0].data, a->out.data, count(a) / n / inner, n, inner,
                            d->stream));
}

static void l2_normalise_run(const struct pz_op_args *a)
{
    struct pz_cuda *d = a->device;
    int c = last(&a->out.shape);
    CHECK(pz_ck_l2_normalise(pz_cuda_type(&a->out), a->in[0].data, pz_cuda_data(a, 1), a->attrs->eps,
                             a->attrs->eps_added, a->out.data, count(a) / c, c, d->stream));
}

static void argmax_run(const struct pz_op_args *a)
{
    struct pz_cuda *d = a->device;
    CHECK(pz_ck_argmax(pz_cuda_type(&a->in[0]), a->in[0].data, a->out.data, count(a), last(&a->in[0].shape),
                       d->stream));
}

/* Whether the axes that go are one run of neighbours before the last, long enough to share among threads. */
static bool reduce_columns(const struct pz_op_args *a, int op)
{
    struct pz_cuda *d = a->device;
    const struct pz_shape *s = &a->in[0].shape;
    long long outer = 1, terms = 1, inner = 1;
    int i = 0;
    for (; i < s->rank && !(a->attrs->axes >> i & 1); i++)
        outer *= s->dim[i];
    for (; i < s->rank && a->attrs->axes >> i & 1; i++)
        terms *= s->dim[i];
    for (; i < s->rank && !(a->attrs->axes >> i & 1); i++)
        inner *= s->dim[i];
    if (i < s->rank || inner < 8 || terms < 64 || outer > 65535 || outer * inner > 65536)
        return false;
    CHECK(pz_ck_reduce_columns(pz_cuda_type(&a->out), op, a->in[0].data, a->out.data, outer, terms, inner,
                               d->stream));
    return true;
}

static void reduce(const struct pz_op_args *a, int op)
{
    struct pz_cuda *d = a->device;
    const struct pz_shape *s = &a->in[0].shape;
    if (reduce_columns(a, op))
        return;
    struct pz_ck_axes x = {.rank = s->rank};
    long long at = 1;
    for (int i = s->rank - 1; i >= 0; i--) {
        bool goes = a->attrs->axes >> i & 1;
        x.dim[i] = goes ? 1 : s->dim[i];
        x.size[i] = goes ? s->dim[i] : 1;
        x.step[0][i] = x.step[1][i] = at;
        at *= s->dim[i];
    }
    long long terms = at / count(a);
    int wide = s->rank && terms >= 8 && (a->attrs->axes >> (s->rank - 1) & 1);
    CHECK(pz_ck_reduce(pz_cuda_type(&a->out), op, wide, &x, a->in[0].data, a->out.data, count(a), terms,
                       d->stream));
}

static void reduce_mean_run(const struct pz_op_args *a)
{
    reduce(a, 0);
}

static void reduce_sum_run(const struct pz_op_args *a)
{
    reduce(a, 1);
}

static void reduce_max_run(const struct pz_op_args *a)
{
    reduce(a, 2);
}

static void grid_sample_run(const struct pz_op_args *a)
{
    struct pz_cuda *d = a->device;
    const struct pz_shape *x = &a->in[0].shape;
    int r = x->rank, axes = r - 2;
    struct pz_ck_sample g = {.b = x->dim[0],
                             .d = axes == 3 ? x->dim[1] : 1,
                             .h = x->dim[r - 3],
                             .w = x->dim[r - 2],
                             .c = x->dim[r - 1],
                             .axes = axes,
                             .align = a->attrs->align_corners,
                             .border = a->attrs->border};
    g.points = count(a) / g.b / g.c;
    CHECK(pz_ck_grid_sample(pz_cuda_type(&a->out), &g, a->in[0].data, a->in[1].data, a->out.data, d->stream));
}

static long long group_rows(const struct pz_op_args *a)
{
    const struct pz_shape *s = &a->in[0].shape;
    return (long long)(pz_shape_count(s) / (size_t)s->dim[0] / (size_t)last(s));
}

static enum pz_status group_prepare(struct pz_log *log, const struct pz_op_args *a, void **state,
                                    size_t *scratch)
{
    if (a->in[0].shape.dim[0] > 65535 || a->attrs->groups > 65535)
        return PZ_ERR_UNSUPPORTED;
    *scratch = (size_t)pz_ck_group_norm_scratch(a->in[0].shape.dim[0], a->attrs->groups);
    return PZ_OK;
}

static void group_norm_run(const struct pz_op_args *a)
{
    struct pz_cuda *d = a->device;
    CHECK(pz_ck_group_norm(pz_cuda_type(&a->out), a->in[0].data, pz_cuda_data(a, 1), pz_cuda_data(a, 2),
                           a->attrs->eps, (int)a->attrs->act, a->out.data, a->in[0].shape.dim[0],
                           group_rows(a), last(&a->out.shape), a->attrs->groups, a->scratch, d->stream));
}

static void layer_norm_run(const struct pz_op_args *a)
{
    struct pz_cuda *d = a->device;
    int c = last(&a->out.shape);
    CHECK(pz_ck_layer_norm(pz_cuda_type(&a->out), a->in[0].data, pz_cuda_data(a, 1), pz_cuda_data(a, 2),
                           a->attrs->eps, (int)a->attrs->act, a->out.data, count(a) / c, c, d->stream));
}

static void batch_norm_run(const struct pz_op_args *a)
{
    struct pz_cuda *d = a->device;
    CHECK(pz_ck_batch_norm(pz_cuda_type(&a->out), a->in[0].data, a->in[1].data, a->in[2].data,
                           pz_cuda_data(a, 3), pz_cuda_data(a, 4), a->attrs->eps, (int)a->attrs->act,
                           a->out.data, count(a), last(&a->out.shape), d->stream));
}

static const struct pz_kernel group_form = {"own", group_prepare, NULL, group_norm_run, NULL, NULL};
const struct pz_kernel *const pz_cuda_group_norm[] = {&group_form, NULL};

#define FORM(name)                                                                                           \
    static const struct pz_kernel name##_form = {"own", always, NULL, name##_run, NULL, NULL};               \
    const struct pz_kernel *const pz_cuda_##name[] = {&name##_form, NULL};

FORM(add)
FORM(sub)
FORM(mul)
FORM(prelu)
FORM(geglu)
FORM(dequantize)
FORM(reshape)
FORM(concat)
FORM(pad)
FORM(slice)
FORM(transpose)
FORM(embedding)
FORM(maxpool)
FORM(avgpool)
FORM(resize)
FORM(resize_bilinear)
FORM(softmax)
FORM(layer_norm)
FORM(batch_norm)
FORM(div)
FORM(pad_edge)
FORM(log_softmax)
FORM(l2_normalise)
FORM(argmax)
FORM(reduce_mean)
FORM(reduce_sum)
FORM(reduce_max)
FORM(grid_sample)
