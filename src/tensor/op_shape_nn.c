/* Shape rules of matrix products, attention, norms, embeddings and of what works along axes. */
#include "tensor/op_shape.h"

#define LIMIT PZ_SHAPE_LIMIT
#define bad pz_shape_bad
#define absent pz_shape_absent
#define is_f32 pz_shape_is_f32
#define is_vector pz_shape_is_vector

enum pz_status pz_shape_softmax(struct pz_log *log, const struct pz_op_args *a, struct pz_view *out)
{
    int axis = a->attrs->axis, rank = a->in[0].shape.rank;
    if (!is_f32(a, 0) || axis < 0 || (axis > 0 && axis >= rank))
        return bad(log, "softmax", a, "F32 and an axis of it expected");
    *out = a->in[0];
    return PZ_OK;
}

enum pz_status pz_shape_matmul(struct pz_log *log, const struct pz_op_args *a, struct pz_view *out)
{
    const struct pz_shape *p = &a->in[0].shape, *q = &a->in[1].shape;
    int r = p->rank;
    if (!is_f32(a, 0) || !is_f32(a, 1) || r < 2 || q->rank != r)
        return bad(log, "matmul", a, "two F32 tensors of one rank ≥ 2 expected");
    bool same = true, one = true;
    for (int i = 0; i < r - 2; i++) {
        same = same && p->dim[i] == q->dim[i];
        one = one && q->dim[i] == 1;
    }
    int depth = q->dim[a->attrs->transpose_b ? r - 1 : r - 2];
    if ((!same && !one) || depth != p->dim[r - 1])
        return bad(log, "matmul", a, "the second tensor does not fit");
    out->dtype = PZ_DTYPE_F32;
    out->shape = *p;
    out->shape.dim[r - 1] = q->dim[a->attrs->transpose_b ? r - 2 : r - 1];
    return pz_shape_valid(&out->shape) ? PZ_OK : bad(log, "matmul", a, "too large");
}

enum pz_status pz_shape_attention(struct pz_log *log, const struct pz_op_args *a, struct pz_view *out)
{
    const struct pz_shape *q = &a->in[0].shape, *k = &a->in[1].shape, *m = &a->in[3].shape;
    if (!is_f32(a, 0) || !is_f32(a, 1) || !is_f32(a, 2) || q->rank != 4 || k->rank != 4 ||
        !pz_shape_equal(k, &a->in[2].shape) || q->dim[0] != k->dim[0] || q->dim[2] != k->dim[2] ||
        q->dim[3] != k->dim[3])
        return bad(log, "attention", a, "q [B,Tq,H,D] and k, v [B,Tk,H,D] expected");
    if (!absent(a, 3) &&
        (!is_f32(a, 3) || m->rank != 4 || (m->dim[0] != 1 && m->dim[0] != q->dim[0]) ||
         (m->dim[1] != 1 && m->dim[1] != q->dim[2]) || m->dim[2] != q->dim[1] || m->dim[3] != k->dim[1]))
        return bad(log, "attention", a, "the mask must be [1|B,1|H,Tq,Tk]");
    struct pz_shape scores = {.rank = 3, .dim = {q->dim[2], q->dim[1], k->dim[1]}}; /* of one batch element */
    if (!pz_shape_valid(&scores))
        return bad(log, "attention", a, "too many scores");
    *out = a->in[0];
    return PZ_OK;
}

enum pz_status pz_shape_conv_transpose2d(struct pz_log *log, const struct pz_op_args *a, struct pz_view *out)
{
    const struct pz_attrs *t = a->attrs;
    const struct pz_shape *x = &a->in[0].shape, *w = &a->in[1].shape;
    if (!is_f32(a, 0) || !is_f32(a, 1) || x->rank != 4 || w->rank != 4 || x->dim[3] != w->dim[0])
        return bad(log, "conv_transpose2d", a, "picture [B,H,W,Ci] and weights [Ci,KH,KW,Co] expected");
    if ((!absent(a, 2) && !is_vector(a, 2, w->dim[3])) || t->act >= PZ_ACT_PRELU)
        return bad(log, "conv_transpose2d", a, "bias or activation does not fit");
    out->dtype = PZ_DTYPE_F32;
    out->shape = (struct pz_shape){.rank = 4, .dim = {x->dim[0], 0, 0, w->dim[3]}};
    for (int i = 0; i < 2; i++) {
        int s = t->stride[i], d = t->dilation[i], p = t->pad[2 * i], q = t->pad[2 * i + 1], more = t->size[i];
        if (s < 1 || s > LIMIT || d < 1 || d > LIMIT || p < 0 || p > LIMIT || q < 0 || q > LIMIT ||
            more < 0 || (more >= s && more >= d) || w->dim[1 + i] > LIMIT)
            return bad(log, "conv_transpose2d", a, "stride, dilation or padding out of range");
        long long n =
            (long long)(x->dim[1 + i] - 1) * s + (long long)(w->dim[1 + i] - 1) * d + 1 - p - q + more;
        if (n < 1 || n > (long long)PZ_MAX_ELEMENTS)
            return bad(log, "conv_transpose2d", a, "nothing is left, or too much");
        out->shape.dim[1 + i] = (int)(n > 0x7fffffff ? 0 : n);
    }
    return pz_shape_valid(&out->shape) ? PZ_OK : bad(log, "conv_transpose2d", a, "too large");
}

enum pz_status pz_shape_norm(struct pz_log *log, const struct pz_op_args *a, struct pz_view *out)
{
    const struct pz_shape *x = &a->in[0].shape;
    int c = x->rank >= 1 ? x->dim[x->rank - 1] : 0, groups = a->attrs->groups;
    if (!is_f32(a, 0) || c < 1 || groups < 0 || (groups > 0 && (x->rank < 2 || c % groups)))
        return bad(log, "norm", a, "the channels do not divide into the groups");
    for (int i = 1; i < 3; i++)
        if (!absent(a, i) && !is_vector(a, i, c))
            return bad(log, "norm", a, "gamma or beta does not fit the channels");
    if (!(a->attrs->eps > 0) || a->attrs->act == PZ_ACT_PRELU)
        return bad(log, "norm", a, "eps must be positive, and there is no PReLU here");
    *out = a->in[0];
    return PZ_OK;
}

enum pz_status pz_shape_group_norm(struct pz_log *log, const struct pz_op_args *a, struct pz_view *out)
{
    return a->attrs->groups > 0 ? pz_shape_norm(log, a, out) : bad(log, "group_norm", a, "no groups given");
}

enum pz_status pz_shape_batch_norm(struct pz_log *log, const struct pz_op_args *a, struct pz_view *out)
{
    const struct pz_shape *x = &a->in[0].shape;
    int c = x->rank >= 1 ? x->dim[x->rank - 1] : 0;
    if (!is_f32(a, 0) || c < 1 || absent(a, 1) || absent(a, 2))
        return bad(log, "batch_norm", a, "x, mean and variance expected");
    for (int i = 1; i < 5; i++)
        if (!absent(a, i) && !is_vector(a, i, c))
            return bad(log, "batch_norm", a, "a vector does not fit the channels");
    if (!(a->attrs->eps > 0) || a->attrs->act == PZ_ACT_PRELU)
        return bad(log, "batch_norm", a, "eps must be positive, and there is no PReLU here");
    *out = a->in[0];
    return PZ_OK;
}

enum pz_status pz_shape_geglu(struct pz_log *log, const struct pz_op_args *a, struct pz_view *out)
{
    const struct pz_shape *x = &a->in[0].shape;
    if (!is_f32(a, 0) || x->rank < 1 || x->dim[x->rank - 1] % 2)
        return bad(log, "geglu", a, "an even last extent expected");
    *out = a->in[0];
    out->shape.dim[x->rank - 1] /= 2;
    return PZ_OK;
}

enum pz_status pz_shape_embedding(struct pz_log *log, const struct pz_op_args *a, struct pz_view *out)
{
    const struct pz_shape *ids = &a->in[0].shape, *t = &a->in[1].shape;
    if (absent(a, 0) || a->in[0].dtype != PZ_DTYPE_I32 || !is_f32(a, 1) || t->rank != 2 ||
        ids->rank >= PZ_MAX_RANK)
        return bad(log, "embedding", a, "I32 ids and a table [V,D] expected");
    out->dtype = PZ_DTYPE_F32;
    out->shape = *ids;
    out->shape.dim[out->shape.rank++] = t->dim[1];
    return pz_shape_valid(&out->shape) ? PZ_OK : bad(log, "embedding", a, "too large");
}

enum pz_status pz_shape_clamp(struct pz_log *log, const struct pz_op_args *a, struct pz_view *out)
{
    if (!is_f32(a, 0) || !(a->attrs->range[0] <= a->attrs->range[1]))
        return bad(log, "clamp", a, "F32 and a range from low to high expected");
    *out = a->in[0];
    return PZ_OK;
}

enum pz_status pz_shape_l2_normalise(struct pz_log *log, const struct pz_op_args *a, struct pz_view *out)
{
    const struct pz_shape *x = &a->in[0].shape;
    if (!is_f32(a, 0) || x->rank < 1 || !(a->attrs->eps > 0))
        return bad(log, "l2_normalise", a, "F32 rows and a positive eps expected");
    if (!absent(a, 1) && !is_vector(a, 1, x->dim[x->rank - 1]))
        return bad(log, "l2_normalise", a, "gamma does not fit the channels");
    *out = a->in[0];
    return PZ_OK;
}

enum pz_status pz_shape_reduce(struct pz_log *log, const struct pz_op_args *a, struct pz_view *out)
{
    if (!is_f32(a, 0) || !a->attrs->axes || a->attrs->axes >> a->in[0].shape.rank)
        return bad(log, "reduce", a, "F32 and axes of it expected");
    *out = a->in[0];
    for (int i = 0; i < out->shape.rank; i++)
        if (a->attrs->axes >> i & 1)
            out->shape.dim[i] = 1;
    return PZ_OK;
}

enum pz_status pz_shape_argmax(struct pz_log *log, const struct pz_op_args *a, struct pz_view *out)
{
    if (!is_f32(a, 0) || a->in[0].shape.rank < 1)
        return bad(log, "argmax", a, "F32 rows expected");
    *out = a->in[0];
    out->dtype = PZ_DTYPE_I32;
    out->shape.rank--;
    return PZ_OK;
}
