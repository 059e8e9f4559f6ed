/* Operators of TensorFlow Lite in terms of our table: attribute fields, SAME padding, constants given as
 * tensors. */
#include <string.h>

#include "weights/tflite_impl.h"

enum {
    TFL_ADD = 0,
    TFL_AVGPOOL = 1,
    TFL_CONCAT = 2,
    TFL_CONV = 3,
    TFL_DWCONV = 4,
    TFL_DEQUANTIZE = 6,
    TFL_DENSE = 9,
    TFL_LOGISTIC = 14,
    TFL_MAXPOOL = 17,
    TFL_MUL = 18,
    TFL_RELU = 19,
    TFL_RELU6 = 21,
    TFL_RESHAPE = 22,
    TFL_BILINEAR = 23,
    TFL_SOFTMAX = 25,
    TFL_CUSTOM = 32,
    TFL_PAD = 34,
    TFL_TRANSPOSE = 39,
    TFL_SUB = 41,
    TFL_STRIDED_SLICE = 45,
    TFL_PRELU = 54,
    TFL_SLICE = 65,
    TFL_NEAREST = 97
};

#define MAX_INDEX 4096

struct call {
    enum pz_op op;
    struct pz_attrs attrs;
    int n_in; /* inputs handed on; the rest of the operator's are constants read here */
    int index[MAX_INDEX];
};

static enum pz_status unsupported(struct pz_tflite *t, const char *what)
{
    return pz_fail(t->log, PZ_ERR_UNSUPPORTED, "'%s' uses %s, which this program does not run", t->name,
                   what);
}

static int32_t option(struct pz_tflite *t, const struct pz_tflite_op *op, int id, int32_t absent)
{
    return op->options ? pz_flat_i32(&t->f, op->options, id, absent) : absent;
}

static int option8(struct pz_tflite *t, const struct pz_tflite_op *op, int id)
{
    return op->options ? pz_flat_u8(&t->f, op->options, id, 0) : 0;
}

/* Constant I32 input `i` of at most `cap` values; -1 when it is not one. */
static int int_input(struct pz_tflite *t, const struct pz_tflite_op *op, int i, int *out, int cap)
{
    const struct pz_tflite_tensor *x = i < op->n_in && op->in[i] >= 0 ? &t->tensors[op->in[i]] : NULL;
    if (!x || !x->data || x->dtype != PZ_DTYPE_I32)
        return -1;
    size_t n = pz_shape_count(&x->shape);
    if (n > (size_t)cap)
        return -1;
    for (size_t k = 0; k < n; k++) {
        int32_t v;
        memcpy(&v, x->data + 4 * k, 4);
        out[k] = v;
    }
    return (int)n;
}

static bool set_act(struct call *c, int act)
{
    static const enum pz_act acts[] = {PZ_ACT_NONE, PZ_ACT_RELU, PZ_ACT_NONE, PZ_ACT_RELU6};
    if (act < 0 || act > 3 || act == 2)
        return false;
    c->attrs.act = acts[act];
    return true;
}

/* SAME: as many outputs as strides fit, the odd pixel of padding at the end. */
static void same_padding(int in, int k, int stride, int dilation, int *before, int *after)
{
    long long out = ((long long)in + stride - 1) / stride;
    long long total = (out - 1) * stride + (long long)(k - 1) * dilation + 1 - in;
    total = total > 0 ? total : 0;
    total = total < 65536 ? total : 65536;
    *before = (int)(total / 2);
    *after = (int)(total - total / 2);
}

static enum pz_status window(struct pz_tflite *t, const struct pz_tflite_op *op, struct call *c, int kh,
                             int kw)
{
    struct pz_attrs *a = &c->attrs;
    const struct pz_tflite_tensor *x = &t->tensors[op->in[0]];
    int padding = option8(t, op, 0);
    for (int i = 0; i < 2; i++)
        if (a->stride[i] < 1 || a->stride[i] > 65536 || a->dilation[i] < 1 || a->dilation[i] > 65536)
            return unsupported(t, "an impossible stride");
    if (x->shape.rank != 4 || kh < 1 || kw < 1 || padding > 1)
        return unsupported(t, "a window over something that is no picture");
    if (padding == 0) {
        same_padding(x->shape.dim[1], kh, a->stride[0], a->dilation[0], &a->pad[0], &a->pad[1]);
        same_padding(x->shape.dim[2], kw, a->stride[1], a->dilation[1], &a->pad[2], &a->pad[3]);
    }
    return PZ_OK;
}

static enum pz_status conv(struct pz_tflite *t, const struct pz_tflite_op *op, struct call *c)
{
    bool dw = op->code == TFL_DWCONV;
    int d = dw ? 5 : 4;
    const struct pz_shape *w = op->n_in > 1 && op->in[1] >= 0 ? &t->tensors[op->in[1]].shape : NULL;
    c->op = dw ? PZ_OP_DWCONV2D : PZ_OP_CONV2D;
    c->attrs.stride[1] = option(t, op, 1, 1);
    c->attrs.stride[0] = option(t, op, 2, 1);
    c->attrs.dilation[1] = option(t, op, d, 1);
    c->attrs.dilation[0] = option(t, op, d + 1, 1);
    if (!w || w->rank != 4 || op->n_in > 3 || op->in[0] < 0 || (dw && option(t, op, 3, 1) != 1) ||
        !set_act(c, option8(t, op, dw ? 4 : 3)))
        return unsupported(t, "a convolution of an unknown kind");
    return window(t, op, c, w->dim[1], w->dim[2]);
}

static enum pz_status pooling(struct pz_tflite *t, const struct pz_tflite_op *op, struct call *c)
{
    c->op = op->code == TFL_MAXPOOL ? PZ_OP_MAXPOOL : PZ_OP_AVGPOOL;
    c->attrs.stride[1] = option(t, op, 1, 1);
    c->attrs.stride[0] = option(t, op, 2, 1);
    c->attrs.kernel[1] = option(t, op, 3, 1);
    c->attrs.kernel[0] = option(t, op, 4, 1);
    c->attrs.dilation[0] = c->attrs.dilation[1] = 1;
    if (op->n_in != 1 || op->in[0] < 0 || !set_act(c, option8(t, op, 5)) || c->attrs.kernel[0] > 65536 ||
        c->attrs.kernel[1] > 65536)
        return unsupported(t, "a pooling of an unknown kind");
    return window(t, op, c, c->attrs.kernel[0], c->attrs.kernel[1]);
}

static enum pz_status pad(struct pz_tflite *t, const struct pz_tflite_op *op, struct call *c)
{
    int v[2 * PZ_MAX_RANK];
    int n = int_input(t, op, 1, v, 2 * PZ_MAX_RANK);
    if (n < 0 || op->in[0] < 0 || n != 2 * t->tensors[op->in[0]].shape.rank)
        return unsupported(t, "padding that is computed");
    for (int i = 0; i < n / 2; i++) {
        c->attrs.before[i] = v[2 * i];
        c->attrs.after[i] = v[2 * i + 1];
    }
    c->op = PZ_OP_PAD;
    c->n_in = 1;
    return PZ_OK;
}

static enum pz_status slice(struct pz_tflite *t, const struct pz_tflite_op *op, struct call *c)
{
    int b[PZ_MAX_RANK], e[PZ_MAX_RANK], s[PZ_MAX_RANK];
    int n = int_input(t, op, 1, b, PZ_MAX_RANK), m = int_input(t, op, 2, e, PZ_MAX_RANK);
    bool strided = op->code == TFL_STRIDED_SLICE;
    if (n < 0 || n != m || op->in[0] < 0 || n != t->tensors[op->in[0]].shape.rank)
        return unsupported(t, "a slice that is computed");
    if (strided) {
        m = int_input(t, op, 3, s, PZ_MAX_RANK);
        for (int i = 0; i < n; i++)
            if (m != n || s[i] != 1)
                return unsupported(t, "a slice with steps");
        if (option(t, op, 2, 0) || option(t, op, 3, 0) || option(t, op, 4, 0))
            return unsupported(t, "a slice that changes the rank");
    }
    const struct pz_shape *x = &t->tensors[op->in[0]].shape;
    int begin_mask = strided ? option(t, op, 0, 0) : 0, end_mask = strided ? option(t, op, 1, 0) : 0;
    for (int i = 0; i < n; i++) {
        long long from = begin_mask >> i & 1 ? 0 : b[i], to = e[i];
        if (strided) {
            from += from < 0 ? x->dim[i] : 0;
            to += to < 0 ? x->dim[i] : 0;
            to = end_mask >> i & 1 ? x->dim[i] : to;
        } else {
            to = e[i] == -1 ? x->dim[i] : from + e[i];
        }
        if (from < 0 || to > x->dim[i] || from >= to)
            return unsupported(t, "a slice outside its tensor");
        c->attrs.begin[i] = (int)from;
        c->attrs.size[i] = (int)(to - from);
    }
    c->op = PZ_OP_SLICE;
    c->n_in = 1;
    return PZ_OK;
}

static enum pz_status resize(struct pz_tflite *t, const struct pz_tflite_op *op, struct call *c)
{
    bool nearest = op->code == TFL_NEAREST;
    if (int_input(t, op, 1, c->attrs.shape.dim, 2) != 2)
        return unsupported(t, "a resize to a computed size");
    c->attrs.align_corners = option8(t, op, nearest ? 0 : 2) != 0;
    c->attrs.half_pixel = option8(t, op, nearest ? 1 : 3) != 0;
    c->op = nearest ? PZ_OP_RESIZE_NEAREST : PZ_OP_RESIZE_BILINEAR;
    c->n_in = 1;
    return PZ_OK;
}

static bool flex_int(struct pz_tflite *t, const struct pz_tflite_op *op, const char *key, int lo, int *out)
{
    double v;
    if (!pz_flex_number(t->f.d + op->custom.at, op->custom.n, key, &v) || v < lo || v > 65536)
        return false;
    *out = (int)v;
    return true;
}

static bool flex_float(struct pz_tflite *t, const struct pz_tflite_op *op, const char *key, float *out)
{
    double v;
    bool ok = pz_flex_number(t->f.d + op->custom.at, op->custom.n, key, &v) && v > -1e6 && v < 1e6;
    *out = (float)v;
    return ok;
}

static enum pz_status custom(struct pz_tflite *t, const struct pz_tflite_op *op, struct call *c)
{
    struct pz_attrs *a = &c->attrs;
    if (strcmp(op->custom_name, "TransformLandmarks") == 0) {
        c->op = PZ_OP_TRANSFORM_POINTS;
        return PZ_OK;
    }
    if (!flex_int(t, op, "output_height", 1, &a->size[0]) || !flex_int(t, op, "output_width", 1, &a->size[1]))
        return unsupported(t, op->custom_name[0] ? op->custom_name : "a custom operator without a name");
    if (strcmp(op->custom_name, "TransformTensorBilinear") == 0) {
        c->op = PZ_OP_CROP_AFFINE;
        return PZ_OK;
    }
    if (strcmp(op->custom_name, "Landmarks2TransformMatrix") != 0)
        return unsupported(t, op->custom_name);
    c->op = PZ_OP_POINTS_MATRIX;
    int n = pz_flex_ints(t->f.d + op->custom.at, op->custom.n, "subset_idxs", c->index, MAX_INDEX);
    if (n < 2 || n > MAX_INDEX || !flex_int(t, op, "left_rotation_idx", 0, &a->left) ||
        !flex_int(t, op, "right_rotation_idx", 0, &a->right) || !flex_float(t, op, "scale_x", &a->scale[0]) ||
        !flex_float(t, op, "scale_y", &a->scale[1]) ||
        !flex_float(t, op, "target_rotation_radians", &a->angle))
        return unsupported(t, "Landmarks2TransformMatrix without its attributes");
    a->index = c->index;
    a->n_index = n / 2 * 2; /* the original takes them in pairs and drops an odd last one */
    return PZ_OK;
}

static enum pz_status translate(struct pz_tflite *t, const struct pz_tflite_op *op, struct call *c)
{
    switch (op->code) {
    case TFL_CONV:
    case TFL_DWCONV:
        return conv(t, op, c);
    case TFL_MAXPOOL:
    case TFL_AVGPOOL:
        return pooling(t, op, c);
    case TFL_ADD:
    case TFL_SUB:
    case TFL_MUL:
        c->op = op->code == TFL_ADD ? PZ_OP_ADD : op->code == TFL_SUB ? PZ_OP_SUB : PZ_OP_MUL;
        return set_act(c, option8(t, op, 0)) ? PZ_OK : unsupported(t, "an unknown activation");
    case TFL_DENSE:
        c->op = PZ_OP_FULLY_CONNECTED;
        return set_act(c, option8(t, op, 0)) && option8(t, op, 1) == 0
                   ? PZ_OK
                   : unsupported(t, "an unknown dense layer");
    case TFL_CONCAT: {
        int rank = t->tensors[op->out].shape.rank, axis = option(t, op, 0, 0);
        c->op = PZ_OP_CONCAT;
        c->attrs.axis = axis >= -rank && axis < 0 ? axis + rank : axis;
        return option8(t, op, 1) == 0 ? PZ_OK : unsupported(t, "a concatenation with an activation");
    }
    case TFL_RESHAPE:
        c->op = PZ_OP_RESHAPE;
        c->attrs.shape = t->tensors[op->out].shape;
        c->n_in = 1;
        return PZ_OK;
    case TFL_TRANSPOSE:
        c->op = PZ_OP_TRANSPOSE;
        c->n_in = 1;
        return op->in[0] >= 0 &&
                       int_input(t, op, 1, c->attrs.perm, PZ_MAX_RANK) == t->tensors[op->in[0]].shape.rank
                   ? PZ_OK
                   : unsupported(t, "a transposition that is computed");
    case TFL_PAD:
        return pad(t, op, c);
    case TFL_SLICE:
    case TFL_STRIDED_SLICE:
        return slice(t, op, c);
    case TFL_BILINEAR:
    case TFL_NEAREST:
        return resize(t, op, c);
    case TFL_CUSTOM:
        return custom(t, op, c);
    default:
        break;
    }
    static const struct {
        int code;
        enum pz_op op;
    } plain[] = {{TFL_RELU, PZ_OP_RELU},       {TFL_RELU6, PZ_OP_RELU6},
                 {TFL_PRELU, PZ_OP_PRELU},     {TFL_LOGISTIC, PZ_OP_SIGMOID},
                 {TFL_SOFTMAX, PZ_OP_SOFTMAX}, {TFL_DEQUANTIZE, PZ_OP_DEQUANTIZE}};
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        if (plain[i].code == op->code) {
            c->op = plain[i].op;
            return PZ_OK;
        }
    return pz_fail(t->log, PZ_ERR_UNSUPPORTED, "'%s' uses operator %d, which this program does not run",
                   t->name, op->code);
}

enum pz_status pz_tflite_build(struct pz_tflite *t, const struct pz_tflite_op *op)
{
    struct call c = {.n_in = op->n_in};
    if (op->n_in < 1 || op->in[0] < 0)
        return unsupported(t, "an operator without input");
    enum pz_status st = translate(t, op, &c);
    if (st < PZ_OK)
        return st;
    int in[PZ_OP_MAX_IN];
    for (int i = 0; i < c.n_in; i++) {
        struct pz_tflite_tensor *x = op->in[i] >= 0 ? &t->tensors[op->in[i]] : NULL;
        if (x && x->value == PZ_NONE && x->data)
            x->value = pz_graph_const(t->g, x->dtype, x->shape, x->data);
        in[i] = x ? x->value : PZ_NONE;
        if (x && in[i] == PZ_NONE) {
            st = pz_graph_status(t->g);
            return st < PZ_OK ? st
                              : pz_fail(t->log, PZ_ERR_FORMAT, "'%s' reads tensor '%s' before it is computed",
                                        t->name, x->name);
        }
    }
    int v = pz_graph_op(t->g, c.op, &c.attrs, in, c.n_in);
    if (v < 0)
        return pz_graph_status(t->g);
    struct pz_tflite_tensor *out = &t->tensors[op->out];
    struct pz_view got = pz_graph_view(t->g, v);
    char a[96], b[96];
    if (!pz_shape_equal(&got.shape, &out->shape) || got.dtype != out->dtype)
        return pz_fail(t->log, PZ_ERR_FORMAT, "'%s': tensor '%s' should be %s but comes out as %s", t->name,
                       out->name, pz_shape_text(&out->shape, a), pz_shape_text(&got.shape, b));
    out->value = v;
    return PZ_OK;
}
