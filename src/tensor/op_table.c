/* The table of operations. A row without ref or tolerance cannot be written: the parity test walks it. */
#include <string.h>

#include "tensor/cpu/cpu.h"
#include "tensor/cuda/cuda.h"
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

static double cost_matmul(const struct pz_op_args *a)
{
    return (double)pz_shape_count(&a->out.shape) * a->in[0].shape.dim[a->in[0].shape.rank - 1];
}

static double cost_attention(const struct pz_op_args *a)
{
    return 2.0 * (double)pz_shape_count(&a->out.shape) * a->in[1].shape.dim[1];
}

static double cost_transposed(const struct pz_op_args *a)
{
    const int *w = a->in[1].shape.dim;
    return (double)pz_shape_count(&a->in[0].shape) * w[1] * w[2] * w[3];
}

/* Elementwise and moving operations are exact; sums are bounded by F32 accumulation over at most a few
 * thousand terms. */
#define EXACT                                                                                                \
    {                                                                                                        \
        0, 0, 0                                                                                              \
    }
#define ROUNDED                                                                                              \
    {                                                                                                        \
        0, 0, 1e-3f                                                                                          \
    } /* on the device one rounding to F16 */
#define CLOSE                                                                                                \
    {                                                                                                        \
        2e-6f, 4e-6f, 1e-3f                                                                                  \
    } /* exp, erf, tanh of two libraries */
#define SUMS                                                                                                 \
    {                                                                                                        \
        2e-5f, 2e-5f, 1e-3f                                                                                  \
    }
#define SCORES                                                                                               \
    {                                                                                                        \
        2e-5f, 2e-5f, 2e-3f                                                                                  \
    } /* attention keeps its weights as F16 */

#if PZ_HAVE_CUDA
#define CUDA(list) pz_cuda_##list
#else
#define CUDA(list) NULL
#endif

static const struct pz_op_row table[PZ_OP_COUNT] = {
    [PZ_OP_CONV2D] = {"conv2d", 2, 5, pz_shape_conv2d, pz_ref_conv2d, pz_cpu_conv2d, CUDA(conv2d), SUMS,
                      cost_conv},
    [PZ_OP_DWCONV2D] = {"dwconv2d", 2, 5, pz_shape_dwconv2d, pz_ref_dwconv2d, pz_cpu_dwconv2d, CUDA(dwconv2d),
                        SUMS, cost_dw},
    [PZ_OP_FULLY_CONNECTED] = {"fully_connected", 2, 3, pz_shape_fully_connected, pz_ref_fully_connected,
                               NULL, CUDA(dense), SUMS, cost_dense},
    [PZ_OP_ADD] = {"add", 2, 2, pz_shape_binary, pz_ref_add, pz_cpu_add, CUDA(add), ROUNDED, NULL},
    [PZ_OP_SUB] = {"sub", 2, 2, pz_shape_binary, pz_ref_sub, NULL, CUDA(sub), ROUNDED, NULL},
    [PZ_OP_MUL] = {"mul", 2, 2, pz_shape_binary, pz_ref_mul, pz_cpu_mul, CUDA(mul), ROUNDED, NULL},
    [PZ_OP_RELU] = {"relu", 1, 1, pz_shape_unary, pz_ref_relu, pz_cpu_act, CUDA(relu), ROUNDED, NULL},
    [PZ_OP_RELU6] = {"relu6", 1, 1, pz_shape_unary, pz_ref_relu6, NULL, CUDA(relu6), ROUNDED, NULL},
    [PZ_OP_PRELU] = {"prelu", 2, 2, pz_shape_prelu, pz_ref_prelu, pz_cpu_prelu, CUDA(prelu), ROUNDED, NULL},
    [PZ_OP_SIGMOID] = {"sigmoid", 1, 1, pz_shape_unary, pz_ref_sigmoid, NULL, CUDA(sigmoid), CLOSE, NULL},
    [PZ_OP_MAXPOOL] = {"maxpool", 1, 1, pz_shape_pool, pz_ref_maxpool, pz_cpu_pool, CUDA(maxpool), ROUNDED,
                       cost_pool},
    [PZ_OP_AVGPOOL] = {"avgpool", 1, 1, pz_shape_pool, pz_ref_avgpool, NULL, CUDA(avgpool), SUMS, cost_pool},
    [PZ_OP_PAD] = {"pad", 1, 1, pz_shape_pad, pz_ref_pad, pz_cpu_pad, CUDA(pad), ROUNDED, NULL},
    [PZ_OP_RESHAPE] = {"reshape", 1, 1, pz_shape_reshape, pz_ref_copy, NULL, CUDA(reshape), EXACT, NULL},
    [PZ_OP_CONCAT] = {"concat", 1, PZ_OP_MAX_IN, pz_shape_concat, pz_ref_concat, NULL, CUDA(concat), EXACT,
                      NULL},
    [PZ_OP_SLICE] = {"slice", 1, 1, pz_shape_slice, pz_ref_slice, NULL, CUDA(slice), EXACT, NULL},
    [PZ_OP_TRANSPOSE] = {"transpose", 1, 1, pz_shape_transpose, pz_ref_transpose, NULL, CUDA(transpose),
                         EXACT, NULL},
    [PZ_OP_SOFTMAX] = {"softmax", 1, 1, pz_shape_softmax, pz_ref_softmax, NULL, CUDA(softmax), CLOSE, NULL},
    [PZ_OP_RESIZE_NEAREST] = {"resize_nearest", 1, 1, pz_shape_resize, pz_ref_resize_nearest, NULL,
                              CUDA(resize), EXACT, NULL},
    [PZ_OP_RESIZE_BILINEAR] = {"resize_bilinear", 1, 1, pz_shape_resize, pz_ref_resize_bilinear, NULL,
                               CUDA(resize_bilinear), CLOSE, NULL},
    [PZ_OP_DEQUANTIZE] = {"dequantize", 1, 1, pz_shape_dequantize, pz_ref_dequantize, NULL, CUDA(dequantize),
                          EXACT, NULL},
    [PZ_OP_POINTS_MATRIX] = {"points_matrix", 1, 1, pz_shape_points_matrix, pz_ref_points_matrix, NULL, NULL,
                             EXACT, NULL},
    [PZ_OP_CROP_AFFINE] = {"crop_affine", 2, 2, pz_shape_crop_affine, pz_ref_crop_affine, NULL, NULL, EXACT,
                           NULL},
    [PZ_OP_TRANSFORM_POINTS] = {"transform_points", 2, 2, pz_shape_transform_points, pz_ref_transform_points,
                                NULL, NULL, EXACT, NULL},
    [PZ_OP_MATMUL] = {"matmul", 2, 2, pz_shape_matmul, pz_ref_matmul, NULL, CUDA(matmul), SUMS, cost_matmul},
    [PZ_OP_ATTENTION] = {"attention", 3, 4, pz_shape_attention, pz_ref_attention, NULL, CUDA(attention),
                         SCORES, cost_attention},
    [PZ_OP_CONV_TRANSPOSE2D] = {"conv_transpose2d", 2, 3, pz_shape_conv_transpose2d, pz_ref_conv_transpose2d,
                                NULL, CUDA(conv_transpose2d), SUMS, cost_transposed},
    [PZ_OP_GROUP_NORM] = {"group_norm", 1, 3, pz_shape_group_norm, pz_ref_group_norm, NULL, CUDA(group_norm),
                          SUMS, NULL},
    [PZ_OP_LAYER_NORM] = {"layer_norm", 1, 3, pz_shape_norm, pz_ref_layer_norm, NULL, CUDA(layer_norm), SUMS,
                          NULL},
    [PZ_OP_BATCH_NORM] = {"batch_norm", 3, 5, pz_shape_batch_norm, pz_ref_batch_norm, NULL, CUDA(batch_norm),
                          SUMS, NULL},
    [PZ_OP_GELU] = {"gelu", 1, 1, pz_shape_unary, pz_ref_gelu, NULL, CUDA(gelu), CLOSE, NULL},
    [PZ_OP_GELU_TANH] = {"gelu_tanh", 1, 1, pz_shape_unary, pz_ref_gelu_tanh, NULL, CUDA(gelu_tanh), CLOSE,
                         NULL},
    [PZ_OP_SILU] = {"silu", 1, 1, pz_shape_unary, pz_ref_silu, NULL, CUDA(silu), CLOSE, NULL},
    [PZ_OP_TANH] = {"tanh", 1, 1, pz_shape_unary, pz_ref_tanh, NULL, CUDA(tanh), CLOSE, NULL},
    [PZ_OP_EXP] = {"exp", 1, 1, pz_shape_unary, pz_ref_exp, NULL, CUDA(exp), CLOSE, NULL},
    [PZ_OP_LEAKY_RELU] = {"leaky_relu", 1, 1, pz_shape_unary, pz_ref_leaky_relu, NULL, CUDA(leaky_relu),
                          ROUNDED, NULL},
    [PZ_OP_GEGLU] = {"geglu", 1, 1, pz_shape_geglu, pz_ref_geglu, NULL, CUDA(geglu), CLOSE, NULL},
    [PZ_OP_EMBEDDING] = {"embedding", 2, 2, pz_shape_embedding, pz_ref_embedding, NULL, CUDA(embedding),
                         EXACT, NULL},
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

double pz_op_bytes(const struct pz_op_args *a)
{
    double n = (double)pz_shape_count(&a->out.shape) * (double)pz_dtype_size(a->out.dtype);
    for (int i = 0; i < a->n_in; i++)
        if (a->in[i].dtype != PZ_DTYPE_COUNT)
            n += (double)pz_shape_count(&a->in[i].shape) * (double)pz_dtype_size(a->in[i].dtype);
    return n;
}
