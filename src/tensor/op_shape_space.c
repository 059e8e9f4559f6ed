/* Shape rules of volumes, of sampling at given places and of padding with what is there. */
#include "tensor/op_shape.h"

#define LIMIT PZ_SHAPE_LIMIT

static enum pz_status bad(struct pz_log *log, const char *op, const struct pz_op_args *a, const char *why)
{
    return pz_shape_bad(log, op, a, why);
}

enum pz_status pz_shape_conv3d(struct pz_log *log, const struct pz_op_args *a, struct pz_view *out)
{
    const struct pz_attrs *t = a->attrs;
    const struct pz_shape *x = &a->in[0].shape, *w = &a->in[1].shape;
    if (!pz_shape_is_f32(a, 0) || !pz_shape_is_f32(a, 1) || x->rank != 5 || w->rank != 5)
        return bad(log, "conv3d", a, "volume and weights must be F32 of rank 5");
    if (x->dim[4] != w->dim[4])
        return bad(log, "conv3d", a, "the weights' input channels differ from the volume's");
    out->dtype = PZ_DTYPE_F32;
    out->shape = (struct pz_shape){.rank = 5, .dim = {x->dim[0], 0, 0, 0, w->dim[0]}};
    int *o = out->shape.dim;
    if (!pz_shape_window(x->dim[1], t->pad_d[0], t->pad_d[1], w->dim[1], t->dilation_d, t->stride_d, false,
                         &o[1]) ||
        !pz_shape_window(x->dim[2], t->pad[0], t->pad[1], w->dim[2], t->dilation[0], t->stride[0], false,
                         &o[2]) ||
        !pz_shape_window(x->dim[3], t->pad[2], t->pad[3], w->dim[3], t->dilation[1], t->stride[1], false,
                         &o[3]) ||
        !pz_shape_valid(&out->shape))
        return bad(log, "conv3d", a, "the window, stride or padding does not fit");
    if ((!pz_shape_absent(a, 2) && !pz_shape_is_vector(a, 2, w->dim[0])) || t->act >= PZ_ACT_PRELU)
        return bad(log, "conv3d", a, "bias or activation does not fit");
    return PZ_OK;
}

/* Both samplings: the grid has one point an output pixel, as many numbers a point as space has axes. */
enum pz_status pz_shape_grid_sample(struct pz_log *log, const struct pz_op_args *a, struct pz_view *out)
{
    const struct pz_shape *x = &a->in[0].shape, *g = &a->in[1].shape;
    int r = x->rank;
    if (!pz_shape_is_f32(a, 0) || !pz_shape_is_f32(a, 1) || r < 4 || r > 5 || g->rank != r)
        return bad(log, "grid_sample", a, "a picture or volume and a grid of its rank expected");
    if (g->dim[r - 1] != r - 2 || g->dim[0] != x->dim[0])
        return bad(log, "grid_sample", a, "the grid must be [B,..,2] for pictures, [B,..,3] for volumes");
    for (int i = 1; i < r - 1; i++)
        if (x->dim[i] > LIMIT)
            return bad(log, "grid_sample", a, "the picture is too large"); /* F32 places pixels exactly */
    out->dtype = PZ_DTYPE_F32;
    out->shape = *g;
    out->shape.dim[r - 1] = x->dim[r - 1];
    return pz_shape_valid(&out->shape) ? PZ_OK : bad(log, "grid_sample", a, "too large");
}

enum pz_status pz_shape_pad_edge(struct pz_log *log, const struct pz_op_args *a, struct pz_view *out)
{
    if (!pz_shape_is_f32(a, 0))
        return bad(log, "pad_edge", a, "F32 expected");
    *out = a->in[0];
    for (int i = 0; i < out->shape.rank; i++) {
        int b = a->attrs->before[i], e = a->attrs->after[i], d = out->shape.dim[i];
        int most = a->attrs->reflect && d <= LIMIT ? d - 1 : LIMIT; /* one mirror image, not a hall of them */
        if (b < 0 || b > most || e < 0 || e > most || d > (1 << 30))
            return bad(log, "pad_edge", a, "an amount is out of range");
        out->shape.dim[i] += b + e;
    }
    return pz_shape_valid(&out->shape) ? PZ_OK : bad(log, "pad_edge", a, "too large");
}
