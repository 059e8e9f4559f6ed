/* The table of operations. A row without ref or tolerance cannot be written: the parity test walks it. */
#include <string.h>

#include "tensor/cpu/cpu.h"
#include "tensor/op.h"
#include "tensor/op_shape.h"
#include "tensor/ref/ref.h"

static double cost_conv(const struct pz_op_args *a)
{
    const int *w = a->in[1].shape.dim;
    return (double)pz_shape_count(&a->out.shape) * w[1] * w[2] * w[3];
}

static double cost_dw(const struct pz_op_args *a)
{
    const int *w = a->in[1].shape.dim;
    return (double)pz_shape_count(&a->out.shape) * w[1] * w[2];
}

static double cost_dense(const struct pz_op_args *a)
{
    return (double)pz_shape_count(&a->out.shape) * a->in[1].shape.dim[1];
}

static double cost_pool(const struct pz_op_args *a)
{
    return (double)pz_shape_count(&a->out.shape) * a->attrs->kernel[0] * a->attrs->kernel[1];
}

/* Elementwise and moving operations are exact; sums are bounded by F32 accumulation over at most a few
 * thousand terms. */
#define EXACT 0.0f
#define SUMS 2e-5f

static const struct pz_op_row table[PZ_OP_COUNT] = {
    [PZ_OP_CONV2D] = {"conv2d", 2, 5, pz_shape_conv2d, pz_ref_conv2d, pz_cpu_conv2d, SUMS, cost_conv},
    [PZ_OP_DWCONV2D] = {"dwconv2d", 2, 5, pz_shape_dwconv2d, pz_ref_dwconv2d, pz_cpu_dwconv2d, SUMS, cost_dw},
    [PZ_OP_FULLY_CONNECTED] = {"fully_connected", 2, 3, pz_shape_fully_connected, pz_ref_fully_connected,
                               NULL, SUMS, cost_dense},
    [PZ_OP_ADD] = {"add", 2, 2, pz_shape_binary, pz_ref_add, pz_cpu_add, EXACT, NULL},
    [PZ_OP_SUB] = {"sub", 2, 2, pz_shape_binary, pz_ref_sub, NULL, EXACT, NULL},
    [PZ_OP_MUL] = {"mul", 2, 2, pz_shape_binary, pz_ref_mul, pz_cpu_mul, EXACT, NULL},
    [PZ_OP_RELU] = {"relu", 1, 1, pz_shape_unary, pz_ref_relu, pz_cpu_act, EXACT, NULL},
    [PZ_OP_RELU6] = {"relu6", 1, 1, pz_shape_unary, pz_ref_relu6, NULL, EXACT, NULL},
    [PZ_OP_PRELU] = {"prelu", 2, 2, pz_shape_prelu, pz_ref_prelu, pz_cpu_prelu, EXACT, NULL},
    [PZ_OP_SIGMOID] = {"sigmoid", 1, 1, pz_shape_unary, pz_ref_sigmoid, NULL, EXACT, NULL},
    [PZ_OP_MAXPOOL] = {"maxpool", 1, 1, pz_shape_pool, pz_ref_maxpool, pz_cpu_pool, EXACT, cost_pool},
    [PZ_OP_AVGPOOL] = {"avgpool", 1, 1, pz_shape_pool, pz_ref_avgpool, NULL, EXACT, cost_pool},
    [PZ_OP_PAD] = {"pad", 1, 1, pz_shape_pad, pz_ref_pad, pz_cpu_pad, EXACT, NULL},
    [PZ_OP_RESHAPE] = {"reshape", 1, 1, pz_shape_reshape, pz_ref_copy, NULL, EXACT, NULL},
    [PZ_OP_CONCAT] = {"concat", 1, PZ_OP_MAX_IN, pz_shape_concat, pz_ref_concat, NULL, EXACT, NULL},
    [PZ_OP_SLICE] = {"slice", 1, 1, pz_shape_slice, pz_ref_slice, NULL, EXACT, NULL},
    [PZ_OP_TRANSPOSE] = {"transpose", 1, 1, pz_shape_transpose, pz_ref_transpose, NULL, EXACT, NULL},
    [PZ_OP_SOFTMAX] = {"softmax", 1, 1, pz_shape_unary, pz_ref_softmax, NULL, EXACT, NULL},
    [PZ_OP_RESIZE_NEAREST] = {"resize_nearest", 1, 1, pz_shape_resize, pz_ref_resize_nearest, NULL, EXACT,
                              NULL},
    [PZ_OP_RESIZE_BILINEAR] = {"resize_bilinear", 1, 1, pz_shape_resize, pz_ref_resize_bilinear, NULL, EXACT,
                               NULL},
    [PZ_OP_DEQUANTIZE] = {"dequantize", 1, 1, pz_shape_dequantize, pz_ref_dequantize, NULL, EXACT, NULL},
    [PZ_OP_POINTS_MATRIX] = {"points_matrix", 1, 1, pz_shape_points_matrix, pz_ref_points_matrix, NULL, EXACT,
                             NULL},
    [PZ_OP_CROP_AFFINE] = {"crop_affine", 2, 2, pz_shape_crop_affine, pz_ref_crop_affine, NULL, EXACT, NULL},
    [PZ_OP_TRANSFORM_POINTS] = {"transform_points", 2, 2, pz_shape_transform_points, pz_ref_transform_points,
                                NULL, EXACT, NULL},
};

const struct pz_op_row *pz_op_row(enum pz_op op)
{
    return (unsigned)op < PZ_OP_COUNT ? &table[op] : NULL;
}

enum pz_op pz_op_find(const char *name)
{
    for (int i = 0; i < PZ_OP_COUNT; i++)
        if (strcmp(table[i].name, name) == 0)
            return (enum pz_op)i;
    return PZ_OP_COUNT;
}

double pz_op_cost(enum pz_op op, const struct pz_op_args *a)
{
    const struct pz_op_row *r = pz_op_row(op);
    return r && r->cost ? r->cost(a) : (double)pz_shape_count(&a->out.shape);
}
