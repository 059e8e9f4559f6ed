/*
 * Shape rules. Graphs come from files, so every rule treats attributes as hostile: extents, strides, indices
 * and sums are checked here once, and kernels may rely on them.
 */
#include "tensor/op_shape.h"

#define LIMIT PZ_SHAPE_LIMIT
#define bad pz_shape_bad
#define absent pz_shape_absent
#define is_f32 pz_shape_is_f32
#define is_channel_vector pz_shape_is_vector

enum pz_status bad(struct pz_log *log, const char *op, const struct pz_op_args *a, const char *why)
{
    char s[96];
    return pz_fail(log, PZ_ERR_FORMAT, "operation %s on %s: %s", op,
                   a->n_in > 0 ? pz_shape_text(&a->in[0].shape, s) : "nothing", why);
}

static bool in_range(int v, int lo, int hi)
{
    return v >= lo && v <= hi;
}

bool absent(const struct pz_op_args *a, int i)
{
    return i >= a->n_in || a->in[i].dtype == PZ_DTYPE_COUNT;
}

bool is_f32(const struct pz_op_args *a, int i)
{
    return !absent(a, i) && a->in[i].dtype == PZ_DTYPE_F32;
}

/* Elements equal to `c`: vectors over channels come as [C], [1,1,C], … */
bool is_channel_vector(const struct pz_op_args *a, int i, int c)
{
    const struct pz_shape *s = &a->in[i].shape;
    return is_f32(a, i) && s->rank >= 1 && s->dim[s->rank - 1] == c && pz_shape_count(s) == (size_t)c;
}

bool pz_shape_window(int in, int before, int after, int k, int dilation, int stride, bool ceil, int *out)
{
    if (!in_range(k, 1, LIMIT) || !in_range(dilation, 1, LIMIT) || !in_range(stride, 1, LIMIT) ||
        !in_range(before, 0, LIMIT) || !in_range(after, 0, LIMIT))
        return false;
    long long span = (long long)(k - 1) * dilation + 1, padded = (long long)in + before + after;
    /* a window that sees padding alone would be a pooling over nothing */
    if (padded < span || before >= span || after >= span)
        return false;
    long long n = (padded - span) / stride + 1;
    if (ceil && (padded - span) % stride && n * stride < (long long)in + before)
        n++;
    *out = (int)n;
    return true;
}

static bool conv_out(const struct pz_op_args *a, int kh, int kw, int channels, bool ceil, struct pz_view *out)
{
    const struct pz_attrs *t = a->attrs;
    const struct pz_shape *x = &a->in[0].shape;
    out->dtype = PZ_DTYPE_F32;
    out->shape = (struct pz_shape){.rank = 4, .dim = {x->dim[0], 0, 0, channels}};
    return pz_shape_window(x->dim[1], t->pad[0], t->pad[1], kh, t->dilation[0], t->stride[0], ceil,
                           &out->shape.dim[1]) &&
           pz_shape_window(x->dim[2], t->pad[2], t->pad[3], kw, t->dilation[1], t->stride[1], ceil,
                           &out->shape.dim[2]) &&
           pz_shape_valid(&out->shape);
}

/* bias, residual, slope of both convolutions */
static enum pz_status check_epilogue(struct pz_log *log, const char *op, const struct pz_op_args *a,
                                     const struct pz_view *out)
{
    int c = out->shape.dim[3];
    if (!absent(a, 2) && !is_channel_vector(a, 2, c))
        return bad(log, op, a, "the bias does not fit the channels");
    if (!absent(a, 3) && (!is_f32(a, 3) || !pz_shape_equal(&a->in[3].shape, &out->shape)))
        return bad(log, op, a, "the residual does not have the output's shape");
    if (a->attrs->act > PZ_ACT_PRELU)
        return bad(log, op, a, "no such activation here");
    if ((a->attrs->act == PZ_ACT_PRELU) != !absent(a, 4) || (!absent(a, 4) && !is_channel_vector(a, 4, c)))
        return bad(log, op, a, "the slopes do not fit the channels");
    return PZ_OK;
}

enum pz_status pz_shape_conv2d(struct pz_log *log, const struct pz_op_args *a, struct pz_view *out)
{
    const struct pz_shape *x = &a->in[0].shape, *w = &a->in[1].shape;
    if (!is_f32(a, 0) || !is_f32(a, 1) || x->rank != 4 || w->rank != 4)
        return bad(log, "conv2d", a, "picture and weights must be F32 of rank 4");
    if (x->dim[3] != w->dim[3])
        return bad(log, "conv2d", a, "the weights' input channels differ from the picture's");
    if (!conv_out(a, w->dim[1], w->dim[2], w->dim[0], false, out))
        return bad(log, "conv2d", a, "the window, stride or padding does not fit");
    return check_epilogue(log, "conv2d", a, out);
}

enum pz_status pz_shape_dwconv2d(struct pz_log *log, const struct pz_op_args *a, struct pz_view *out)
{
    const struct pz_shape *x = &a->in[0].shape, *w = &a->in[1].shape;
    if (!is_f32(a, 0) || !is_f32(a, 1) || x->rank != 4 || w->rank != 4)
        return bad(log, "dwconv2d", a, "picture and weights must be F32 of rank 4");
    if (w->dim[0] != 1 || x->dim[3] != w->dim[3])
        return bad(log, "dwconv2d", a, "the weights must be [1,KH,KW,C] with the picture's channels");
    if (!conv_out(a, w->dim[1], w->dim[2], w->dim[3], false, out))
        return bad(log, "dwconv2d", a, "the window, stride or padding does not fit");
    return check_epilogue(log, "dwconv2d", a, out);
}

enum pz_status pz_shape_grouped_conv2d(struct pz_log *log, const struct pz_op_args *a, struct pz_view *out)
{
    const struct pz_shape *x = &a->in[0].shape, *w = &a->in[1].shape;
    int groups = a->attrs->groups;
    if (!is_f32(a, 0) || !is_f32(a, 1) || x->rank != 4 || w->rank != 4)
        return bad(log, "grouped_conv2d", a, "picture and weights must be F32 of rank 4");
    if (groups < 1 || x->dim[3] % groups || w->dim[0] % groups || x->dim[3] / groups != w->dim[3])
        return bad(log, "grouped_conv2d", a, "the channels do not divide into the groups");
    if (!conv_out(a, w->dim[1], w->dim[2], w->dim[0], false, out))
        return bad(log, "grouped_conv2d", a, "the window, stride or padding does not fit");
    if ((!absent(a, 2) && !is_channel_vector(a, 2, w->dim[0])) || a->attrs->act >= PZ_ACT_PRELU)
        return bad(log, "grouped_conv2d", a, "bias or activation does not fit");
    return PZ_OK;
}

enum pz_status pz_shape_fully_connected(struct pz_log *log, const struct pz_op_args *a, struct pz_view *out)
{
    const struct pz_shape *x = &a->in[0].shape, *w = &a->in[1].shape;
    if (!is_f32(a, 0) || !is_f32(a, 1) || x->rank < 1 || w->rank != 2 || x->dim[x->rank - 1] != w->dim[1])
        return bad(log, "fully_connected", a, "x must be [..,K] and the weights [N,K], F32");
    if (!absent(a, 2) && !is_channel_vector(a, 2, w->dim[0]))
        return bad(log, "fully_connected", a, "the bias does not fit the outputs");
    if (a->attrs->act == PZ_ACT_PRELU)
        return bad(log, "fully_connected", a, "no PReLU here");
    out->dtype = PZ_DTYPE_F32;
    out->shape = *x;
    out->shape.dim[x->rank - 1] = w->dim[0];
    if (!absent(a, 3) && (!is_f32(a, 3) || a->attrs->act || !pz_shape_equal(&a->in[3].shape, &out->shape)))
        return bad(log, "fully_connected", a, "the residual does not fit, or stands beside an activation");
    return pz_shape_valid(&out->shape) ? PZ_OK : bad(log, "fully_connected", a, "too large");
}

enum pz_status pz_shape_binary(struct pz_log *log, const struct pz_op_args *a, struct pz_view *out)
{
    out->dtype = PZ_DTYPE_F32;
    if (!is_f32(a, 0) || !is_f32(a, 1) || !pz_shape_broadcast(&a->in[0].shape, &a->in[1].shape, &out->shape))
        return bad(log, "add/sub/mul", a, "the two shapes do not fit each other");
    return a->attrs->act >= PZ_ACT_PRELU ? bad(log, "add/sub/mul", a, "no such activation here") : PZ_OK;
}

enum pz_status pz_shape_unary(struct pz_log *log, const struct pz_op_args *a, struct pz_view *out)
{
    if (!is_f32(a, 0))
        return bad(log, "elementwise", a, "F32 expected");
    out->dtype = PZ_DTYPE_F32;
    out->shape = a->in[0].shape;
    return PZ_OK;
}

enum pz_status pz_shape_prelu(struct pz_log *log, const struct pz_op_args *a, struct pz_view *out)
{
    const struct pz_shape *x = &a->in[0].shape;
    if (!is_f32(a, 0) || x->rank < 1 || !is_channel_vector(a, 1, x->dim[x->rank - 1]))
        return bad(log, "prelu", a, "one slope per channel expected");
    out->dtype = PZ_DTYPE_F32;
    out->shape = *x;
    return PZ_OK;
}

enum pz_status pz_shape_pool(struct pz_log *log, const struct pz_op_args *a, struct pz_view *out)
{
    if (!is_f32(a, 0) || a->in[0].shape.rank != 4 || a->attrs->dilation[0] != 1 ||
        a->attrs->dilation[1] != 1 || a->attrs->act >= PZ_ACT_PRELU ||
        !conv_out(a, a->attrs->kernel[0], a->attrs->kernel[1], a->in[0].shape.dim[3], a->attrs->ceil, out))
        return bad(log, "pool", a, "an F32 picture with a fitting window expected");
    return PZ_OK;
}

enum pz_status pz_shape_pad(struct pz_log *log, const struct pz_op_args *a, struct pz_view *out)
{
    *out = a->in[0];
    for (int i = 0; i < out->shape.rank; i++) {
        int b = a->attrs->before[i], e = a->attrs->after[i];
        if (!in_range(b, 0, LIMIT) || !in_range(e, 0, LIMIT) || out->shape.dim[i] > (1 << 30))
            return bad(log, "pad", a, "an amount is out of range");
        out->shape.dim[i] += b + e;
    }
    return is_f32(a, 0) && pz_shape_valid(&out->shape) ? PZ_OK : bad(log, "pad", a, "too large, or not F32");
}

enum pz_status pz_shape_reshape(struct pz_log *log, const struct pz_op_args *a, struct pz_view *out)
{
    struct pz_shape s = a->attrs->shape;
    size_t have = pz_shape_count(&a->in[0].shape), known = 1;
    int open = -1;
    if (s.rank < 0 || s.rank > PZ_MAX_RANK)
        return bad(log, "reshape", a, "bad rank");
    for (int i = 0; i < s.rank; i++) {
        if (s.dim[i] == -1 && open < 0)
            open = i;
        else if (s.dim[i] < 1 || known > PZ_MAX_ELEMENTS)
            return bad(log, "reshape", a, "bad target");
        else
            known *= (size_t)s.dim[i];
    }
    if (open >= 0 && known <= have && have % known == 0)
        s.dim[open] = (int)(have / known);
    if (!pz_shape_valid(&s) || pz_shape_count(&s) != have)
        return bad(log, "reshape", a, "the element counts differ");
    out->dtype = a->in[0].dtype;
    out->shape = s;
    return PZ_OK;
}

enum pz_status pz_shape_concat(struct pz_log *log, const struct pz_op_args *a, struct pz_view *out)
{
    int axis = a->attrs->axis;
    *out = a->in[0];
    if (!in_range(axis, 0, out->shape.rank - 1))
        return bad(log, "concat", a, "bad axis");
    for (int i = 0; i < a->n_in; i++) {
        struct pz_shape s = a->in[i].shape;
        if (!is_f32(a, i) || s.rank != out->shape.rank)
            return bad(log, "concat", a, "ranks or types differ");
        for (int k = 0; k < s.rank; k++)
            if (k != axis && s.dim[k] != out->shape.dim[k])
                return bad(log, "concat", a, "shapes differ off the axis");
        if (i > 0) {
            if (out->shape.dim[axis] > (1 << 30) || s.dim[axis] > (1 << 30))
                return bad(log, "concat", a, "too large");
            out->shape.dim[axis] += s.dim[axis];
        }
    }
    return pz_shape_valid(&out->shape) ? PZ_OK : bad(log, "concat", a, "too large");
}

enum pz_status pz_shape_slice(struct pz_log *log, const struct pz_op_args *a, struct pz_view *out)
{
    *out = a->in[0];
    for (int i = 0; i < out->shape.rank; i++) {
        int b = a->attrs->begin[i], n = a->attrs->size[i], d = out->shape.dim[i];
        if (!in_range(b, 0, d - 1) || !in_range(n, 1, d - b))
            return bad(log, "slice", a, "the piece lies outside");
        out->shape.dim[i] = n;
    }
    return is_f32(a, 0) ? PZ_OK : bad(log, "slice", a, "F32 expected");
}

enum pz_status pz_shape_transpose(struct pz_log *log, const struct pz_op_args *a, struct pz_view *out)
{
    unsigned seen = 0;
    *out = a->in[0];
    for (int i = 0; i < out->shape.rank; i++) {
        int p = a->attrs->perm[i];
        if (!in_range(p, 0, out->shape.rank - 1) || (seen & 1u << p))
            return bad(log, "transpose", a, "not a permutation");
        seen |= 1u << p;
        out->shape.dim[i] = a->in[0].shape.dim[p];
    }
    return is_f32(a, 0) ? PZ_OK : bad(log, "transpose", a, "F32 expected");
}

enum pz_status pz_shape_resize(struct pz_log *log, const struct pz_op_args *a, struct pz_view *out)
{
    const int *to = a->attrs->shape.dim;
    if (!is_f32(a, 0) || a->in[0].shape.rank != 4 || !in_range(to[0], 1, LIMIT) || !in_range(to[1], 1, LIMIT))
        return bad(log, "resize", a, "an F32 picture and a size expected");
    *out = a->in[0];
    out->shape.dim[1] = to[0];
    out->shape.dim[2] = to[1];
    return pz_shape_valid(&out->shape) ? PZ_OK : bad(log, "resize", a, "too large");
}

enum pz_status pz_shape_dequantize(struct pz_log *log, const struct pz_op_args *a, struct pz_view *out)
{
    if (a->in[0].dtype != PZ_DTYPE_F16 && a->in[0].dtype != PZ_DTYPE_BF16)
        return bad(log, "dequantize", a, "only F16 and BF16 weights are read");
    *out = a->in[0];
    out->dtype = PZ_DTYPE_F32;
    return PZ_OK;
}

enum pz_status pz_shape_points_matrix(struct pz_log *log, const struct pz_op_args *a, struct pz_view *out)
{
    const struct pz_attrs *t = a->attrs;
    const struct pz_shape *p = &a->in[0].shape;
    if (!is_f32(a, 0) || p->rank != 3 || p->dim[0] != 1 || p->dim[2] != 3)
        return bad(log, "points_matrix", a, "points [1,N,3] expected");
    if (!in_range(t->left, 0, p->dim[1] - 1) || !in_range(t->right, 0, p->dim[1] - 1) || t->n_index < 1 ||
        !in_range(t->size[0], 1, LIMIT) || !in_range(t->size[1], 1, LIMIT))
        return bad(log, "points_matrix", a, "bad attributes");
    for (int i = 0; i < t->n_index; i++)
        if (!in_range(t->index[i], 0, p->dim[1] - 1))
            return bad(log, "points_matrix", a, "an index lies outside the points");
    out->dtype = PZ_DTYPE_F32;
    out->shape = (struct pz_shape){.rank = 3, .dim = {1, 4, 4}};
    return PZ_OK;
}

static bool is_matrix(const struct pz_op_args *a, int i)
{
    const struct pz_shape *m = &a->in[i].shape;
    return is_f32(a, i) && m->rank == 3 && m->dim[0] == 1 && m->dim[1] == 4 && m->dim[2] == 4;
}

enum pz_status pz_shape_crop_affine(struct pz_log *log, const struct pz_op_args *a, struct pz_view *out)
{
    const struct pz_shape *x = &a->in[0].shape;
    if (!is_f32(a, 0) || x->rank != 4 || x->dim[0] != 1 || !is_matrix(a, 1) ||
        !in_range(a->attrs->size[0], 1, LIMIT) || !in_range(a->attrs->size[1], 1, LIMIT))
        return bad(log, "crop_affine", a, "a picture [1,H,W,C] and a matrix [1,4,4] expected");
    *out = a->in[0];
    out->shape.dim[1] = a->attrs->size[0];
    out->shape.dim[2] = a->attrs->size[1];
    return pz_shape_valid(&out->shape) ? PZ_OK : bad(log, "crop_affine", a, "too large");
}

enum pz_status pz_shape_transform_points(struct pz_log *log, const struct pz_op_args *a, struct pz_view *out)
{
    const struct pz_shape *p = &a->in[0].shape;
    if (!is_f32(a, 0) || p->rank != 3 || p->dim[0] != 1 || !in_range(p->dim[2], 2, 3) || !is_matrix(a, 1))
        return bad(log, "transform_points", a, "points [1,N,2 or 3] and a matrix [1,4,4] expected");
    *out = a->in[0];
    return PZ_OK;
}
