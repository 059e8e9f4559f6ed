/*
 * Random cases for every operation: shapes, attributes and values, edge values among them (both zeros,
 * denormals, ±1, large), nothing that makes NaN, and no sums whose cancellation would measure F32 instead of
 * the kernel. Does not run anything.
 */
#include "parity.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "tensor/half.h"

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

static float snap(const struct trial *t, float v)
{
    if (t->grid == PZ_DTYPE_BF16)
        return pz_bf16_to_f32(pz_f32_to_bf16(v));
    return t->grid == PZ_DTYPE_F16 ? pz_f16_to_f32(pz_f32_to_f16(v)) : v;
}

static float value(struct trial *t)
{
    float v = any_value(t);
    if (t->grid != PZ_DTYPE_F32)
        v = v > 100 ? 100 : v < -100 ? -100 : v; /* products stay inside F16 */
    return snap(t, v);
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
        else if (dtype == PZ_DTYPE_BF16)
            ((uint16_t *)p)[k] = pz_f32_to_bf16(value(t));
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

/* Change the values of input i in place: v → lo + |v|, for what has no value below. */
static void positive(struct trial *t, int i, float lo)
{
    float *p = t->owned[i];
    for (size_t k = 0; k < pz_shape_count(&t->a.in[i].shape); k++)
        p[k] = snap(t, lo + fabsf(p[k]));
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
    *w = snap(t, *w / sqrtf((float)n));
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
    a->reflect = op == PZ_OP_PAD_EDGE && between(t, 0, 1);
    a->axis = between(t, 0, s.rank - 1);
    for (int i = 0; i < s.rank; i++) {
        int most = a->reflect && s.dim[i] < 4 ? s.dim[i] - 1 : 3;
        a->before[i] = between(t, 0, most);
        a->after[i] = between(t, 0, most);
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
    if (between(t, 0, 3) == 0) { /* a decoder's step: few queries, many keys */
        tq = between(t, 1, 7);
        tk = between(t, 1, 700);
    }
    input(t, 0, PZ_DTYPE_F32, shape4(b, tq, h, d));
    input(t, 1, PZ_DTYPE_F32, shape4(b, tk, h, d));
    input(t, 2, PZ_DTYPE_F32, shape4(b, tk, h, d));
    t->attrs.value = between(t, 0, 1) ? 0 : 0.125f;
    if (between(t, 0, 1))
        return;
    input(t, 3, PZ_DTYPE_F32, shape4(between(t, 0, 1) ? 1 : b, between(t, 0, 1) ? 1 : h, tq, tk));
    if (between(t, 0, 1)) /* causal: queries are the last of the keys' times, the first key is always seen */
        for (size_t i = 0; i < pz_shape_count(&t->a.in[3].shape); i++) {
            int q = (int)(i / (size_t)tk) % tq, k = (int)(i % (size_t)tk);
            ((float *)t->owned[3])[i] = k > 0 && k > q + tk - tq ? -INFINITY : 0;
        }
}

static void fully_connected(struct trial *t)
{
    static const enum pz_act acts[] = {PZ_ACT_NONE,  PZ_ACT_NONE, PZ_ACT_RELU,
                                       PZ_ACT_RELU6, PZ_ACT_SILU, PZ_ACT_GELU};
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
    t->attrs.act = acts[between(t, 0, 5)];
    if (t->attrs.act == PZ_ACT_NONE && between(t, 0, 1)) {
        x.dim[x.rank - 1] = n;
        input(t, 3, PZ_DTYPE_F32, x);
    }
}

static void volume(struct trial *t)
{
    struct pz_attrs *a = &t->attrs;
    int k[3], n[3], ci = channels(t) / 2 + 1, co = channels(t), b = between(t, 1, 2);
    for (int i = 0; i < 3; i++) {
        int *pad = i ? &a->pad[2 * i - 2] : a->pad_d, step = between(t, 1, 2), far = between(t, 0, 3) ? 1 : 2;
        k[i] = between(t, 1, 3);
        int span = (k[i] - 1) * far + 1;
        pad[0] = between(t, 0, span - 1);
        pad[1] = between(t, 0, span - 1);
        n[i] = between(t, 1, 7);
        n[i] = n[i] < span ? span : n[i];
        *(i ? &a->stride[i - 1] : &a->stride_d) = step;
        *(i ? &a->dilation[i - 1] : &a->dilation_d) = far;
    }
    input(t, 0, PZ_DTYPE_F32, (struct pz_shape){.rank = 5, .dim = {b, n[0], n[1], n[2], ci}});
    input(t, 1, PZ_DTYPE_F32, (struct pz_shape){.rank = 5, .dim = {co, k[0], k[1], k[2], ci}});
    for (size_t i = 0; i < pz_shape_count(&t->a.in[1].shape); i++)
        shrink(t, i, k[0] * k[1] * k[2] * ci);
    if (between(t, 0, 2))
        input(t, 2, PZ_DTYPE_F32, shape1(co));
    a->act = (enum pz_act)between(t, 0, 2);
}

static void grouped(struct trial *t)
{
    int groups = between(t, 1, 5), ci = between(t, 1, 20), co = between(t, 1, 20), h, w;
    int kh = between(t, 1, 4), kw = between(t, 1, 4);
    window(t, &h, &w, kh, kw);
    t->attrs.groups = groups;
    input(t, 0, PZ_DTYPE_F32, shape4(between(t, 1, 2), h, w, groups * ci));
    input(t, 1, PZ_DTYPE_F32, shape4(groups * co, kh, kw, ci));
    for (size_t i = 0; i < pz_shape_count(&t->a.in[1].shape); i++)
        shrink(t, i, kh * kw * ci);
    if (between(t, 0, 2))
        input(t, 2, PZ_DTYPE_F32, shape1(groups * co));
    t->attrs.act = (enum pz_act)between(t, 0, 2);
}

static void sampling(struct trial *t, bool three)
{
    struct pz_shape x = {.rank = three ? 5 : 4, .dim = {between(t, 1, 2)}}, g = x;
    for (int i = 1; i < x.rank - 1; i++) {
        x.dim[i] = between(t, 1, 9);
        g.dim[i] = between(t, 1, 9);
    }
    x.dim[x.rank - 1] = channels(t);
    g.dim[x.rank - 1] = x.rank - 2;
    t->attrs.align_corners = between(t, 0, 1);
    t->attrs.border = between(t, 0, 1);
    input(t, 0, PZ_DTYPE_F32, x);
    input(t, 1, PZ_DTYPE_F32, g); /* normal: a third outside; ±1 and 0 exactly */
}

static void pooling(struct trial *t)
{
    int h, w;
    t->attrs.kernel[0] = between(t, 1, 4);
    t->attrs.kernel[1] = between(t, 1, 4);
    window(t, &h, &w, t->attrs.kernel[0], t->attrs.kernel[1]);
    t->attrs.dilation[0] = t->attrs.dilation[1] = 1;
    for (int i = 0; i < 4; i++) { /* the spans were for dilation up to 2 */
        int k = t->attrs.kernel[i / 2];
        t->attrs.pad[i] = t->attrs.pad[i] < k ? t->attrs.pad[i] : k - 1;
    }
    t->attrs.ceil = between(t, 0, 1);
    t->attrs.act = (enum pz_act)between(t, 0, 2);
    input(t, 0, PZ_DTYPE_F32, shape4(between(t, 1, 2), h, w, channels(t)));
}

static void elementwise(struct trial *t, enum pz_op op)
{
    t->attrs.value = 0.125f;
    t->sums = t->sums || op == PZ_OP_EXP || op == PZ_OP_POW;
    t->attrs.range[0] = snap(t, -pz_rng_uniform(&t->rng));
    t->attrs.range[1] = snap(t, pz_rng_uniform(&t->rng));
    t->attrs.eps = between(t, 0, 1) ? 1e-5f : 1e-3f;
    input(t, 0, PZ_DTYPE_F32, any_shape(t));
    if (op == PZ_OP_POW) {
        t->attrs.value = between(t, 0, 1) ? 2 : 0.01f * (float)between(t, 1, 300);
        if (t->attrs.value != 2)
            positive(t, 0, 0);
    }
    if (op == PZ_OP_RSQRT || op == PZ_OP_LOG)
        positive(t, 0, op == PZ_OP_LOG || between(t, 0, 1) ? 0 : 0.1f);
}

static void rows(struct trial *t, enum pz_op op)
{
    struct pz_shape s = any_shape(t);
    t->sums = t->sums || op == PZ_OP_GEGLU;
    t->attrs.axis = between(t, 0, s.rank - 1);
    t->attrs.axes = 1 + pz_rng_below(&t->rng, (1u << s.rank) - 1);
    if (op == PZ_OP_GEGLU)
        s.dim[s.rank - 1] = 2 * channels(t);
    else if (op == PZ_OP_L2_NORMALISE || op == PZ_OP_ARGMAX)
        s.dim[s.rank - 1] = between(t, 2, 200);
    else if (between(t, 0, 3) == 0)
        s.dim[s.rank - 1 - t->attrs.axis] = between(t, 30, s.rank < 3 ? 5000 : 700);
    input(t, 0, PZ_DTYPE_F32, s);
    if (op != PZ_OP_L2_NORMALISE)
        return;
    t->attrs.eps = between(t, 0, 1) ? 1e-10f : 1e-5f;
    t->attrs.eps_added = between(t, 0, 1);
    /* a row of nothing but tiny values would be a division of rounding errors */
    for (size_t i = 0, n = pz_shape_count(&s), c = (size_t)s.dim[s.rank - 1]; i < n; i += c)
        ((float *)t->owned[0])[i] = 1;
    if (between(t, 0, 1))
        input(t, 1, PZ_DTYPE_F32, shape1(s.dim[s.rank - 1]));
}

bool pz_parity_generate(struct trial *t, enum pz_op op)
{
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
    case PZ_OP_DIV:
        binary(t);
        if (op == PZ_OP_DIV) /* by no less than a half: a relative bound then holds for the quotient */
            positive(t, 1, 0.5f);
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
    case PZ_OP_EXP:
    case PZ_OP_HARD_SIGMOID:
    case PZ_OP_HARD_SWISH:
    case PZ_OP_CLAMP:
    case PZ_OP_SQRT:
    case PZ_OP_RSQRT:
    case PZ_OP_LOG:
    case PZ_OP_POW:
    case PZ_OP_SOFTPLUS:
        elementwise(t, op);
        return true;
    case PZ_OP_SOFTMAX:
    case PZ_OP_LOG_SOFTMAX:
    case PZ_OP_GEGLU:
    case PZ_OP_L2_NORMALISE:
    case PZ_OP_REDUCE_MEAN:
    case PZ_OP_REDUCE_SUM:
    case PZ_OP_REDUCE_MAX:
    case PZ_OP_ARGMAX:
        rows(t, op);
        return true;
    case PZ_OP_CONV3D:
        volume(t);
        return true;
    case PZ_OP_GROUPED_CONV2D:
        grouped(t);
        return true;
    case PZ_OP_GRID_SAMPLE2D:
    case PZ_OP_GRID_SAMPLE3D:
        sampling(t, op == PZ_OP_GRID_SAMPLE3D);
        return true;
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
        pooling(t);
        return true;
    case PZ_OP_PAD:
    case PZ_OP_RESHAPE:
    case PZ_OP_CONCAT:
    case PZ_OP_SLICE:
    case PZ_OP_TRANSPOSE:
    case PZ_OP_PAD_EDGE:
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
        input(t, 0, between(t, 0, 1) ? PZ_DTYPE_F16 : PZ_DTYPE_BF16, any_shape(t));
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
