/*
 * Walks the table of operations: for each, random shapes, attributes and edge values; the plain C truth
 * against every fast form on every rung of this processor, with guard words around the output; with --cuda
 * instead against the device, F32 and F16, each case a plan and a session of its own (exit 77 without a
 * device). Every row must be covered: an operation that has no generator here fails the test. Usage: parity
 * [--op NAME] [--seed N] [--cases N] [--cuda 1]
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/pool.h"
#include "base/rng.h"
#include "tensor/cpu/cpu.h"
#include "tensor/cuda/cuda.h"
#include "tensor/half.h"
#include "tensor/op.h"
#include "tensor/plan.h"

#define GUARD 64
#define GUARD_WORD 0x7fb5a5a5u /* a NaN no kernel makes */

struct trial {
    struct pz_rng rng;
    struct pz_attrs attrs;
    struct pz_op_args a;
    int index[16];
    bool sums; /* no huge terms: cancellation would measure F32, not the kernel */
    bool half; /* every value is one F16 holds exactly */
    void *owned[PZ_OP_MAX_IN + 1];
};

static int between(struct trial *t, int lo, int hi)
{
    return lo + (int)pz_rng_below(&t->rng, (uint32_t)(hi - lo + 1));
}

static float any_value(struct trial *t)
{
    static const float edges[] = {0, -0.0f, 1, -1, 1e-39f, -1e-39f, 1e-20f, 6, 5.9999995f, 1000, -1000};
    if (pz_rng_below(&t->rng, 16) == 0)
        return edges[pz_rng_below(&t->rng, sizeof edges / sizeof *edges - (t->sums ? 2 : 0))];
    return pz_rng_normal(&t->rng);
}

static float value(struct trial *t)
{
    float v = any_value(t);
    if (!t->half)
        return v;
    v = v > 100 ? 100 : v < -100 ? -100 : v; /* products stay inside F16 */
    return pz_f16_to_f32(pz_f32_to_f16(v));
}

static void input(struct trial *t, int i, enum pz_dtype dtype, struct pz_shape s)
{
    size_t n = pz_shape_count(&s);
    void *p = pz_calloc(n, pz_dtype_size(dtype));
    if (!p)
        exit(1);
    for (size_t k = 0; k < n; k++) {
        if (dtype == PZ_DTYPE_F16)
            ((uint16_t *)p)[k] = pz_f32_to_f16(value(t));
        else if (dtype == PZ_DTYPE_I32)
            ((int32_t *)p)[k] = between(t, -2, 40);
        else
            ((float *)p)[k] = value(t);
    }
    t->owned[i] = p;
    t->a.in[i] = (struct pz_view){dtype, s, p};
    if (t->a.n_in <= i)
        t->a.n_in = i + 1;
}

static struct pz_shape shape4(int a, int b, int c, int d)
{
    return (struct pz_shape){.rank = 4, .dim = {a, b, c, d}};
}

static struct pz_shape any_shape(struct trial *t)
{
    struct pz_shape s = {.rank = between(t, 1, 5)};
    for (int i = 0; i < s.rank; i++)
        s.dim[i] = between(t, 1, 7);
    return s;
}

static int channels(struct trial *t)
{
    static const int usual[] = {1, 3, 4, 8, 15, 16, 17, 24, 31, 32, 33, 42, 48, 64, 96};
    return usual[pz_rng_below(&t->rng, sizeof usual / sizeof *usual)];
}

static void window(struct trial *t, int *h, int *w, int kh, int kw)
{
    struct pz_attrs *a = &t->attrs;
    *h = between(t, 1, 19);
    *w = between(t, 1, 19);
    for (int i = 0; i < 2; i++) {
        int k = i ? kw : kh, *n = i ? w : h;
        a->stride[i] = between(t, 1, 3);
        a->dilation[i] = between(t, 0, 3) ? 1 : 2;
        int span = (k - 1) * a->dilation[i] + 1;
        a->pad[2 * i] = between(t, 0, span - 1);
        a->pad[2 * i + 1] = between(t, 0, span - 1);
        *n = *n < span ? span : *n;
    }
}

/* Weight i smaller by √n, so that sums of n terms stay near one. */
static void shrink(struct trial *t, size_t i, int n)
{
    float *w = (float *)t->owned[1] + i;
    *w /= sqrtf((float)n);
    if (t->half)
        *w = pz_f16_to_f32(pz_f32_to_f16(*w));
}

static void convolution(struct trial *t, bool dw)
{
    int kh = between(t, 1, 5), kw = between(t, 0, 2) ? kh : between(t, 1, 5), h, w, ci = channels(t);
    int co = dw ? ci : channels(t), n = between(t, 0, 5) ? 1 : 2;
    if (between(t, 0, 3) == 0)
        kh = kw = 1;
    window(t, &h, &w, kh, kw);
    if (between(t, 0, 9) == 0) { /* one large enough for oneDNN and for tensor cores */
        h = w = dw ? 20 : 48;
        ci = dw ? ci : 96;
        co = dw ? ci : 64;
        kh = kw = 3;
        t->attrs.pad[0] = t->attrs.pad[1] = t->attrs.pad[2] = t->attrs.pad[3] = 1;
        t->attrs.stride[0] = t->attrs.stride[1] = t->attrs.dilation[0] = t->attrs.dilation[1] = 1;
    }
    input(t, 0, PZ_DTYPE_F32, shape4(n, h, w, ci));
    input(t, 1, PZ_DTYPE_F32, shape4(dw ? 1 : co, kh, kw, ci));
    for (size_t i = 0; i < pz_shape_count(&t->a.in[1].shape); i++) /* keep sums near one */
        shrink(t, i, kh * kw * (dw ? 1 : ci));
    for (int i = 2; i < 5; i++)
        t->a.in[i].dtype = PZ_DTYPE_COUNT;
    if (between(t, 0, 3))
        input(t, 2, PZ_DTYPE_F32, (struct pz_shape){.rank = 1, .dim = {co}});
    t->attrs.act = (enum pz_act)between(t, 0, 3);
    struct pz_view out;
    enum pz_act act = t->attrs.act;
    t->attrs.act = PZ_ACT_NONE;
    if (pz_op_row(dw ? PZ_OP_DWCONV2D : PZ_OP_CONV2D)->shape(NULL, &t->a, &out) == PZ_OK && between(t, 0, 1))
        input(t, 3, PZ_DTYPE_F32, out.shape);
    t->attrs.act = act;
    if (act == PZ_ACT_PRELU)
        input(t, 4, PZ_DTYPE_F32, (struct pz_shape){.rank = 3, .dim = {1, 1, co}});
}

static void binary(struct trial *t)
{
    struct pz_shape s = any_shape(t), r = s;
    bool broadcast = between(t, 0, 1);
    for (int i = 0; broadcast && i < r.rank; i++)
        r.dim[i] = between(t, 0, 1) ? 1 : r.dim[i];
    input(t, 0, PZ_DTYPE_F32, s);
    input(t, 1, PZ_DTYPE_F32, r);
    t->attrs.act = (enum pz_act)between(t, 0, 2);
}

static void moving(struct trial *t, enum pz_op op)
{
    struct pz_attrs *a = &t->attrs;
    struct pz_shape s = any_shape(t);
    input(t, 0, PZ_DTYPE_F32, s);
    if (op == PZ_OP_PAD)
        a->value = value(t);
    a->axis = between(t, 0, s.rank - 1);
    for (int i = 0; i < s.rank; i++) {
        a->before[i] = between(t, 0, 3);
        a->after[i] = between(t, 0, 3);
        a->begin[i] = between(t, 0, s.dim[i] - 1);
        a->size[i] = between(t, 1, s.dim[i] - a->begin[i]);
        a->perm[i] = i;
    }
    for (int i = s.rank - 1; i > 0; i--) {
        int j = between(t, 0, i), k = a->perm[i];
        a->perm[i] = a->perm[j];
        a->perm[j] = k;
    }
    a->shape = (struct pz_shape){.rank = 2, .dim = {-1, s.dim[s.rank - 1]}};
    for (int i = 1; op == PZ_OP_CONCAT && i < between(t, 2, 4); i++) {
        struct pz_shape more = s;
        more.dim[a->axis] = between(t, 1, 5);
        input(t, i, PZ_DTYPE_F32, more);
    }
}

static void points(struct trial *t, enum pz_op op)
{
    int n = between(t, 4, 40);
    if (op == PZ_OP_CROP_AFFINE)
        input(t, 0, PZ_DTYPE_F32, shape4(1, between(t, 2, 20), between(t, 2, 20), channels(t)));
    else
        input(t, 0, PZ_DTYPE_F32,
              (struct pz_shape){.rank = 3, .dim = {1, n, op == PZ_OP_POINTS_MATRIX ? 3 : between(t, 2, 3)}});
    if (op != PZ_OP_POINTS_MATRIX)
        input(t, 1, PZ_DTYPE_F32, (struct pz_shape){.rank = 3, .dim = {1, 4, 4}});
    for (int i = 0; i < 16; i++)
        t->index[i] = between(t, 0, n - 1);
    t->attrs.index = t->index;
    t->attrs.n_index = 16;
    t->attrs.left = between(t, 0, n - 1);
    t->attrs.right = between(t, 0, n - 1);
    t->attrs.size[0] = between(t, 1, 16);
    t->attrs.size[1] = between(t, 1, 16);
    t->attrs.scale[0] = t->attrs.scale[1] = 1.5f;
}

static struct pz_shape shape1(int a)
{
    return (struct pz_shape){.rank = 1, .dim = {a}};
}

static void transposed(struct trial *t)
{
    struct pz_attrs *a = &t->attrs;
    int k[2] = {between(t, 1, 4), between(t, 1, 4)}, n[2] = {between(t, 1, 9), between(t, 1, 9)};
    int ci = channels(t), co = channels(t);
    for (int i = 0; i < 2; i++) {
        a->stride[i] = between(t, 1, 3);
        a->dilation[i] = between(t, 0, 3) ? 1 : 2;
        a->size[i] = between(t, 0, a->stride[i] - 1);
        int whole = (n[i] - 1) * a->stride[i] + (k[i] - 1) * a->dilation[i] + 1;
        a->pad[2 * i] = between(t, 0, (k[i] - 1) * a->dilation[i]);
        a->pad[2 * i + 1] = a->pad[2 * i];
        if (whole - 2 * a->pad[2 * i] + a->size[i] < 1)
            a->pad[2 * i] = a->pad[2 * i + 1] = 0;
    }
    input(t, 0, PZ_DTYPE_F32, shape4(between(t, 1, 2), n[0], n[1], ci));
    input(t, 1, PZ_DTYPE_F32, shape4(ci, k[0], k[1], co));
    for (size_t i = 0; i < pz_shape_count(&t->a.in[1].shape); i++)
        shrink(t, i, ci * k[0] * k[1]);
    if (between(t, 0, 2))
        input(t, 2, PZ_DTYPE_F32, shape1(co));
    a->act = (enum pz_act)between(t, 0, 2);
}

static void norm(struct trial *t, enum pz_op op)
{
    static const enum pz_act acts[] = {PZ_ACT_NONE, PZ_ACT_NONE, PZ_ACT_RELU, PZ_ACT_SILU, PZ_ACT_GELU};
    struct pz_attrs *a = &t->attrs;
    struct pz_shape s = {.rank = between(t, 2, 5)};
    int c = channels(t), first = 1, last = 3;
    for (int i = 0; i < s.rank - 1; i++)
        s.dim[i] = between(t, 1, 7);
    if (between(t, 0, 5) == 0) { /* enough rows for many blocks */
        s = shape4(2, 40, 33, 0);
        c = 64;
    }
    a->groups = c % 8 == 0 && between(t, 0, 1) ? 8 : between(t, 0, 1) ? c : 1;
    a->eps = between(t, 0, 1) ? 1e-5f : 1e-6f;
    /* statistics of a few values would divide by almost nothing: the comparison would measure F32 */
    if (op == PZ_OP_GROUP_NORM && s.rank > 1 && c / a->groups < 4)
        s.dim[s.rank - 2] = s.rank > 2 ? 16 : s.dim[0];
    if (op == PZ_OP_GROUP_NORM && s.rank == 2 && c / a->groups < 4)
        a->groups = 1;
    if ((op == PZ_OP_LAYER_NORM || (op == PZ_OP_GROUP_NORM && s.rank == 2)) && c < 4)
        c = 8;
    if (op == PZ_OP_GROUP_NORM && c % a->groups)
        a->groups = 1;
    if (op == PZ_OP_LAYER_NORM)
        a->groups = 0;
    if (op == PZ_OP_LAYER_NORM && between(t, 0, 3) == 0) /* every way of holding a row */
        c = 8 * between(t, 30, 200) + between(t, 0, 1);
    s.dim[s.rank - 1] = c;
    a->act = acts[between(t, 0, 4)];
    input(t, 0, PZ_DTYPE_F32, s);
    if (op == PZ_OP_BATCH_NORM) {
        input(t, 1, PZ_DTYPE_F32, shape1(c));
        input(t, 2, PZ_DTYPE_F32, shape1(c));
        for (int i = 0; i < c; i++)
            ((float *)t->owned[2])[i] = 0.25f + 0.25f * (float)(i % 8);
        first = 3;
        last = 5;
    }
    for (int i = first; i < last; i++)
        if (between(t, 0, 2))
            input(t, i, PZ_DTYPE_F32, shape1(c));
}

static void product(struct trial *t)
{
    int m = between(t, 1, 70), n = between(t, 1, 70), k = between(t, 1, 200), r = between(t, 2, 4);
    struct pz_shape a = {.rank = r}, b = {.rank = r};
    bool shared = between(t, 0, 1);
    if (between(t, 0, 2) == 0)
        m = n = k = 64;
    t->attrs.transpose_b = between(t, 0, 1);
    for (int i = 0; i < r - 2; i++) {
        a.dim[i] = between(t, 1, 3);
        b.dim[i] = shared ? 1 : a.dim[i];
    }
    a.dim[r - 2] = m;
    a.dim[r - 1] = k;
    b.dim[r - 2] = t->attrs.transpose_b ? n : k;
    b.dim[r - 1] = t->attrs.transpose_b ? k : n;
    input(t, 0, PZ_DTYPE_F32, a);
    input(t, 1, PZ_DTYPE_F32, b);
    for (size_t i = 0; i < pz_shape_count(&b); i++)
        shrink(t, i, k);
}

static void attention(struct trial *t)
{
    static const int widths[] = {1, 5, 8, 16, 24, 40, 64, 72, 80, 128, 160, 192};
    int b = between(t, 1, 2), tq = between(t, 1, 150), tk = between(t, 1, 150), h = between(t, 1, 4);
    int d = widths[pz_rng_below(&t->rng, sizeof widths / sizeof *widths)];
    input(t, 0, PZ_DTYPE_F32, shape4(b, tq, h, d));
    input(t, 1, PZ_DTYPE_F32, shape4(b, tk, h, d));
    input(t, 2, PZ_DTYPE_F32, shape4(b, tk, h, d));
    if (between(t, 0, 2) == 0)
        input(t, 3, PZ_DTYPE_F32, shape4(between(t, 0, 1) ? 1 : b, between(t, 0, 1) ? 1 : h, tq, tk));
    t->attrs.value = between(t, 0, 1) ? 0 : 0.125f;
}

static void fully_connected(struct trial *t)
{
    static const enum pz_act acts[] = {PZ_ACT_NONE, PZ_ACT_RELU, PZ_ACT_RELU6, PZ_ACT_SILU, PZ_ACT_GELU};
    int k = between(t, 1, 200), n = between(t, 1, 60);
    struct pz_shape x = {.rank = 2, .dim = {between(t, 1, 4), k}};
    if (between(t, 0, 1))
        x = (struct pz_shape){.rank = 3, .dim = {between(t, 1, 3), between(t, 1, 30), k}};
    input(t, 0, PZ_DTYPE_F32, x);
    input(t, 1, PZ_DTYPE_F32, (struct pz_shape){.rank = 2, .dim = {n, k}});
    for (size_t i = 0; i < pz_shape_count(&t->a.in[1].shape); i++)
        shrink(t, i, k);
    t->a.in[2].dtype = PZ_DTYPE_COUNT;
    if (between(t, 0, 1))
        input(t, 2, PZ_DTYPE_F32, (struct pz_shape){.rank = 1, .dim = {n}});
    t->attrs.act = acts[between(t, 0, 4)];
}

/* Fill a trial; false: nobody wrote a generator for this operation. */
static bool generate(struct trial *t, enum pz_op op)
{
    int h, w;
    switch (op) {
    case PZ_OP_CONV2D:
    case PZ_OP_DWCONV2D:
        convolution(t, op == PZ_OP_DWCONV2D);
        return true;
    case PZ_OP_FULLY_CONNECTED:
        fully_connected(t);
        return true;
    case PZ_OP_ADD:
    case PZ_OP_SUB:
    case PZ_OP_MUL:
        binary(t);
        return true;
    case PZ_OP_PRELU: {
        struct pz_shape s = any_shape(t);
        input(t, 0, PZ_DTYPE_F32, s);
        input(t, 1, PZ_DTYPE_F32, (struct pz_shape){.rank = 2, .dim = {1, s.dim[s.rank - 1]}});
        return true;
    }
    case PZ_OP_RELU:
    case PZ_OP_RELU6:
    case PZ_OP_SIGMOID:
    case PZ_OP_GELU:
    case PZ_OP_GELU_TANH:
    case PZ_OP_SILU:
    case PZ_OP_TANH:
    case PZ_OP_LEAKY_RELU:
        t->attrs.value = 0.125f;
        input(t, 0, PZ_DTYPE_F32, any_shape(t));
        return true;
    case PZ_OP_EXP:
        t->sums = true;
        input(t, 0, PZ_DTYPE_F32, any_shape(t));
        return true;
    case PZ_OP_SOFTMAX: {
        struct pz_shape s = any_shape(t);
        t->attrs.axis = between(t, 0, s.rank - 1);
        if (between(t, 0, 3) == 0)
            s.dim[s.rank - 1 - t->attrs.axis] = between(t, 30, s.rank < 3 ? 5000 : 700);
        input(t, 0, PZ_DTYPE_F32, s);
        return true;
    }
    case PZ_OP_GEGLU: {
        struct pz_shape s = any_shape(t);
        s.dim[s.rank - 1] = 2 * channels(t);
        t->sums = true;
        input(t, 0, PZ_DTYPE_F32, s);
        return true;
    }
    case PZ_OP_EMBEDDING:
        input(t, 0, PZ_DTYPE_I32, any_shape(t));
        input(t, 1, PZ_DTYPE_F32, (struct pz_shape){.rank = 2, .dim = {between(t, 1, 40), channels(t)}});
        return true;
    case PZ_OP_MATMUL:
        product(t);
        return true;
    case PZ_OP_ATTENTION:
        attention(t);
        return true;
    case PZ_OP_CONV_TRANSPOSE2D:
        transposed(t);
        return true;
    case PZ_OP_GROUP_NORM:
    case PZ_OP_LAYER_NORM:
    case PZ_OP_BATCH_NORM:
        norm(t, op);
        return true;
    case PZ_OP_MAXPOOL:
    case PZ_OP_AVGPOOL:
        t->attrs.kernel[0] = between(t, 1, 4);
        t->attrs.kernel[1] = between(t, 1, 4);
        window(t, &h, &w, t->attrs.kernel[0], t->attrs.kernel[1]);
        t->attrs.dilation[0] = t->attrs.dilation[1] = 1;
        for (int i = 0; i < 4; i++) { /* the spans were for dilation up to 2 */
            int k = t->attrs.kernel[i / 2];
            t->attrs.pad[i] = t->attrs.pad[i] < k ? t->attrs.pad[i] : k - 1;
        }
        t->attrs.act = (enum pz_act)between(t, 0, 2);
        input(t, 0, PZ_DTYPE_F32, shape4(between(t, 1, 2), h, w, channels(t)));
        return true;
    case PZ_OP_PAD:
    case PZ_OP_RESHAPE:
    case PZ_OP_CONCAT:
    case PZ_OP_SLICE:
    case PZ_OP_TRANSPOSE:
        moving(t, op);
        return true;
    case PZ_OP_RESIZE_NEAREST:
    case PZ_OP_RESIZE_BILINEAR:
        input(t, 0, PZ_DTYPE_F32, shape4(1, between(t, 1, 9), between(t, 1, 9), channels(t)));
        t->attrs.shape.dim[0] = between(t, 1, 20);
        t->attrs.shape.dim[1] = between(t, 1, 20);
        t->attrs.align_corners = between(t, 0, 1);
        t->attrs.half_pixel = !t->attrs.align_corners && between(t, 0, 1);
        return true;
    case PZ_OP_DEQUANTIZE:
        input(t, 0, PZ_DTYPE_F16, any_shape(t));
        return true;
    case PZ_OP_POINTS_MATRIX:
    case PZ_OP_CROP_AFFINE:
    case PZ_OP_TRANSFORM_POINTS:
        points(t, op);
        return true;
    case PZ_OP_COUNT:
        break;
    }
    return false;
}

/* A buffer with guard words on both sides, filled with garbage. */
static uint32_t *guarded(size_t n)
{
    uint32_t *p = pz_calloc(n + 2 * GUARD, 4);
    if (!p)
        exit(1);
    for (size_t i = 0; i < n + 2 * GUARD; i++)
        p[i] = GUARD_WORD;
    return p;
}

static bool guards_whole(const uint32_t *p, size_t n)
{
    for (size_t i = 0; i < GUARD; i++)
        if (p[i] != GUARD_WORD || p[GUARD + n + i] != GUARD_WORD)
            return false;
    return true;
}

/* One fast form on one rung; returns 1 on a mismatch, *ran counts. */
static int compare(struct trial *t, enum pz_op op, const struct pz_kernel *k, int rung, struct pz_pool *pool,
                   const float *truth, float *worst, int *ran)
{
    const struct pz_op_row *row = pz_op_row(op);
    struct pz_op_args a = t->a;
    size_t n = pz_shape_count(&a.out.shape), scratch_bytes = 0;
    void *state = NULL;
    int bad = 0;
    a.rung = rung;
    a.pool = pool;
    a.threads = 1; /* two would make OpenMP spin against whatever else runs on the machine */
    if (k->prepare(NULL, &a, &state, &scratch_bytes) != PZ_OK)
        return 0;
    uint32_t *buf = guarded(n), *scratch = guarded(scratch_bytes / 4 + 16);
    a.state = state;
    a.scratch = scratch + GUARD;
    a.out.data = buf + GUARD;
    if (k->attach && k->attach(NULL, &a, &a.local) != PZ_OK)
        bad = 1;
    for (int round = 0; round < 2 && !bad;
         round++) /* twice: nothing may hang on what was in the buffers before */
        k->run(&a);
    float top = 1;
    for (size_t i = 0; i < n; i++)
        top = fabsf(truth[i]) > top ? fabsf(truth[i]) : top;
    for (size_t i = 0; i < n && !bad; i++) {
        float d = fabsf(((float *)a.out.data)[i] - truth[i]) / top;
        *worst = d > *worst ? d : *worst;
        if (!(d <= row->tolerance.cpu)) {
            printf("FAIL %s %s rung %d: element %zu of %zu is %.9g, should be %.9g\n", row->name, k->name,
                   rung, i, n, (double)((float *)a.out.data)[i], (double)truth[i]);
            bad = 1;
        }
    }
    if (!guards_whole(buf, n) || !guards_whole(scratch, scratch_bytes / 4 + 16)) {
        printf("FAIL %s %s rung %d: wrote outside its memory\n", row->name, k->name, rung);
        bad = 1;
    }
    if (k->detach)
        k->detach(a.local);
    if (k->release)
        k->release(state);
    pz_free(buf);
    pz_free(scratch);
    ++*ran;
    return bad;
}

/* One node on the device: the plan, its fusion-free form, transfers, capture. Every other case has its later
 * inputs as constants, as weights are. */
static int on_device(struct trial *t, enum pz_op op, enum pz_dtype dtype, int number, float *worst, int *ran)
{
    const struct pz_op_row *row = pz_op_row(op);
    struct pz_log *log = pz_log_create(NULL, NULL, PZ_LOG_ERROR);
    struct pz_graph *g = pz_graph_create(log);
    struct pz_plan_params params = {.backend = PZ_BACKEND_CUDA, .dtype = dtype};
    struct pz_plan *plan = NULL;
    struct pz_session *s = NULL;
    int in[PZ_OP_MAX_IN], at[PZ_OP_MAX_IN], many = 0, bad = 1;
    float tolerance = dtype == PZ_DTYPE_F16 ? row->tolerance.cuda_f16 : row->tolerance.cuda_f32, top = 1;
    size_t n = pz_shape_count(&t->a.out.shape);
    for (int i = 0; i < t->a.n_in; i++) {
        const struct pz_view *v = &t->a.in[i];
        in[i] = at[i] = PZ_NONE;
        if (v->dtype == PZ_DTYPE_COUNT)
            continue;
        if (i > 0 && number % 2) {
            in[i] = pz_graph_const(g, v->dtype, v->shape, v->data);
        } else {
            in[i] = pz_graph_input_typed(g, "", v->dtype, v->shape);
            at[i] = many++;
        }
    }
    pz_graph_output(g, "out", pz_graph_op(g, op, &t->attrs, in, t->a.n_in));
    enum pz_status st = pz_plan_create(&g, &params, log, &plan);
    if (st == PZ_OK)
        st = pz_session_create(plan, log, &s);
    for (int i = 0; st == PZ_OK && i < t->a.n_in; i++)
        if (at[i] >= 0)
            memcpy(pz_session_input(s, NULL, at[i]).data, t->a.in[i].data,
                   pz_shape_count(&t->a.in[i].shape) * pz_dtype_size(t->a.in[i].dtype));
    float *out = st == PZ_OK ? pz_session_output(s, NULL, 0).data : NULL;
    for (int round = 0; st == PZ_OK && round < 2; round++) { /* poison, then both runs must write all */
        memset(out, 0xff, n * sizeof *out);
        st = pz_session_run(s, NULL);
    }
    const float *truth = t->a.out.data;
    for (size_t i = 0; i < n; i++)
        top = fabsf(truth[i]) > top ? fabsf(truth[i]) : top;
    if (st != PZ_OK) {
        char text[1024];
        pz_log_last_error(log, text, sizeof text);
        printf("FAIL %s on the device, %s: %s\n", row->name, pz_dtype_name(dtype), text);
    } else {
        bad = 0;
        ++*ran;
    }
    for (size_t i = 0; i < n && !bad; i++) {
        float d = fabsf(out[i] - truth[i]) / top;
        *worst = d > *worst ? d : *worst;
        if (!(d <= tolerance)) {
            char shape[96];
            printf("FAIL %s on the device, %s: element %zu of %zu is %.9g, should be %.9g; x %s\n", row->name,
                   pz_dtype_name(dtype), i, n, (double)out[i], (double)truth[i],
                   pz_shape_text(&t->a.in[0].shape, shape));
            bad = 1;
        }
    }
    pz_session_destroy(&s);
    pz_plan_destroy(&plan);
    pz_log_destroy(&log);
    return bad;
}

static int try_case(enum pz_op op, uint64_t seed, int number, struct pz_pool *pool, int device, float *worst,
                    int *ran)
{
    bool half = device == 2;
    static const int rungs[] = {0, 1, 2, PZ_CPU_RUNG_BEST};
    const struct pz_op_row *row = pz_op_row(op);
    struct trial t = {0};
    int bad = 0;
    pz_rng_init(&t.rng, seed, (uint64_t)op << 32 | (uint64_t)number);
    t.a.attrs = &t.attrs;
    t.sums = row->tolerance.cpu > 1e-5f || row->tolerance.cuda_f32 > 1e-5f;
    t.half = half;
    for (int i = 0; i < PZ_OP_MAX_IN; i++)
        t.a.in[i].dtype = PZ_DTYPE_COUNT;
    if (!generate(&t, op)) {
        printf("FAIL %s: the parity test has no generator for it\n", row->name);
        return 1;
    }
    if (t.a.n_in < row->min_in || row->shape(NULL, &t.a, &t.a.out) != PZ_OK) {
        printf("FAIL %s: case %d was refused\n", row->name, number);
        bad = 1;
    } else {
        size_t n = pz_shape_count(&t.a.out.shape);
        uint32_t *buf = guarded(n);
        t.a.out.data = buf + GUARD;
        row->ref(&t.a);
        for (size_t i = 0; i < n && !bad; i++)
            if (buf[GUARD + i] == GUARD_WORD) {
                printf("FAIL %s ref: element %zu of %zu was not written (case %d)\n", row->name, i, n,
                       number);
                bad = 1;
            }
        if (!guards_whole(buf, n)) {
            printf("FAIL %s ref: wrote outside its memory (case %d)\n", row->name, number);
            bad = 1;
        }
        if (device && !bad)
            bad = on_device(&t, op, half ? PZ_DTYPE_F16 : PZ_DTYPE_F32, number, worst, ran);
        for (size_t r = 0; !device && r < sizeof rungs / sizeof *rungs; r++)
            for (int k = 0; row->cpu && row->cpu[k]; k++)
                bad |= compare(&t, op, row->cpu[k], rungs[r], r & 1 ? pool : NULL, (float *)t.a.out.data,
                               worst, ran);
        if (bad)
            printf("     again with --op %s --seed %llu (case %d)\n", row->name, (unsigned long long)seed,
                   number);
        pz_free(buf);
    }
    for (int i = 0; i < PZ_OP_MAX_IN; i++)
        pz_free(t.owned[i]);
    return bad;
}

/* All cases of one operation on the CPU (device 0), on the device in F32 (1) or F16 (2). */
static int walk(enum pz_op op, uint64_t seed, int cases, struct pz_pool *pool, int device)
{
    static const char *const where[] = {"cpu", "cuda f32", "cuda f16"};
    const struct pz_op_row *row = pz_op_row(op);
    float worst = 0, allowed[] = {row->tolerance.cpu, row->tolerance.cuda_f32, row->tolerance.cuda_f16};
    int ran = 0, bad = 0;
    if (device && !row->cuda) {
        printf("%-18s %-8s no device form\n", row->name, where[device]);
        return 0;
    }
    for (int c = 0; c < cases && !bad; c++)
        bad = try_case(op, seed, c, pool, device, &worst, &ran);
    if ((device || row->cpu) && ran == 0 && !bad) {
        printf("FAIL %s: no fast form ever ran\n", row->name);
        bad = 1;
    }
    printf("%-18s %-8s %4d runs, worst %.3g of %.3g\n", row->name, where[device], ran, (double)worst,
           (double)allowed[device]);
    fflush(stdout);
    return bad;
}

int main(int argc, char **argv)
{
    uint64_t seed = 20261122;
    int cases = 60, failed = 0, cuda = 0;
    enum pz_op only = PZ_OP_COUNT;
    char device[256];
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--op") == 0)
            only = pz_op_find(argv[i + 1]);
        else if (strcmp(argv[i], "--seed") == 0)
            seed = strtoull(argv[i + 1], NULL, 0);
        else if (strcmp(argv[i], "--cases") == 0)
            cases = atoi(argv[i + 1]);
        else if (strcmp(argv[i], "--cuda") == 0)
            cuda = atoi(argv[i + 1]);
    }
    printf("seed %llu, %d cases an operation\n", (unsigned long long)seed, cases);
    if (cuda) {
        pz_cuda_describe(device, sizeof device);
        printf("%s\n", device);
        if (!pz_cuda_present())
            return 77;
    }
    struct pz_pool *pool = pz_pool_create(2);
    for (int op = 0; op < PZ_OP_COUNT; op++) {
        if (only != PZ_OP_COUNT && op != (int)only)
            continue;
        for (int d = cuda ? 1 : 0; d <= (cuda ? 2 : 0); d++)
            failed += walk((enum pz_op)op, seed, cases, pool, d);
    }
    pz_pool_destroy(&pool);
    printf(failed ? "%d operations FAILED\n" : "all operations agree\n", failed);
    return failed ? 1 : 0;
}
