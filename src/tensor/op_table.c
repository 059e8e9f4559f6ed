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
    int sisters = a->attrs->groups > 1 ? a->attrs->groups : 1; /* merged ones, tensor/cuda/merge.c */
    return (double)pz_shape_count(&a->out.shape) * a->in[1].shape.dim[1] * sisters;
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

/* Tolerances {cpu, cuda f32, f16, bf16}. Elementwise and moving operations are exact; sums are bounded by F32
 * accumulation over at most a few thousand terms. One rounding costs 2⁻¹¹ = 4.9e-4 in F16, 2⁻⁸ = 3.9e-3 in
 * BF16. */
#define EXACT                                                                                                \
    {                                                                                                        \
        0, 0, 0, 0                                                                                           \
    }
#define ROUNDED                                                                                              \
    {                                                                                                        \
        0, 0, 1e-3f, 4e-3f                                                                                   \
    } /* one rounding of the result */
#define CLOSE                                                                                                \
    {                                                                                                        \
        2e-6f, 4e-6f, 1e-3f, 4e-3f                                                                           \
    } /* exp, erf, tanh, log of two libraries */
#define SUMS                                                                                                 \
    {                                                                                                        \
        2e-5f, 2e-5f, 1e-3f, 4.1e-3f                                                                         \
    }
#define SCORES                                                                                               \
    {                                                                                                        \
        2e-5f, 2e-5f, 2e-3f, 8e-3f                                                                           \
    } /* attention may keep its weights as F16, BF16 */

#if PZ_HAVE_CUDA
#define CUDA(list) pz_cuda_##list
#else
#define CUDA(list) NULL
#endif

static double cost_conv3d(const struct pz_op_args *a)
{
    return cost_conv(a) * a->in[1].shape.dim[4];
}

/* corners × channels */
static double cost_sample(const struct pz_op_args *a)
{
    return (double)pz_shape_count(&a->out.shape) * (a->in[0].shape.rank == 5 ? 8 : 4);
}

static double cost_input(const struct pz_op_args *a)
{
    return (double)pz_shape_count(&a->in[0].shape);
}

static const struct pz_op_row table[PZ_OP_COUNT] = {
    [PZ_OP_CONV2D] = {"conv2d", 2, 5, pz_shape_conv2d, pz_ref_conv2d, pz_cpu_conv2d, CUDA(conv2d), SUMS,
                      cost_conv},
    [PZ_OP_DWCONV2D] = {"dwconv2d", 2, 5, pz_shape_dwconv2d, pz_ref_dwconv2d, pz_cpu_dwconv2d, CUDA(dwconv2d),
                        SUMS, cost_dw},
    [PZ_OP_FULLY_CONNECTED] = {"fully_connected", 2, 4, pz_shape_fully_connected, pz_ref_fully_connected,
                               pz_cpu_dense, CUDA(dense), SUMS, cost_dense},
    [PZ_OP_ADD] = {"add", 2, 2, pz_shape_binary, pz_ref_add, pz_cpu_add, CUDA(add), ROUNDED, NULL},
    [PZ_OP_SUB] = {"sub", 2, 2, pz_shape_binary, pz_ref_sub, pz_cpu_sub, CUDA(sub), ROUNDED, NULL},
    [PZ_OP_MUL] = {"mul", 2, 2, pz_shape_binary, pz_ref_mul, pz_cpu_mul, CUDA(mul), ROUNDED, NULL},
    [PZ_OP_RELU] = {"relu", 1, 1, pz_shape_unary, pz_ref_relu, pz_cpu_act, CUDA(relu), ROUNDED, NULL},
    [PZ_OP_RELU6] = {"relu6", 1, 1, pz_shape_unary, pz_ref_relu6, pz_cpu_relu6, CUDA(relu6), ROUNDED, NULL},
    [PZ_OP_PRELU] = {"prelu", 2, 2, pz_shape_prelu, pz_ref_prelu, pz_cpu_prelu, CUDA(prelu), ROUNDED, NULL},
    [PZ_OP_SIGMOID] = {"sigmoid", 1, 1, pz_shape_unary, pz_ref_sigmoid, pz_cpu_sigmoid, CUDA(sigmoid), CLOSE,
                       NULL},
    [PZ_OP_MAXPOOL] = {"maxpool", 1, 1, pz_shape_pool, pz_ref_maxpool, pz_cpu_pool, CUDA(maxpool), ROUNDED,
                       cost_pool},
    [PZ_OP_AVGPOOL] = {"avgpool", 1, 1, pz_shape_pool, pz_ref_avgpool, pz_cpu_avgpool, CUDA(avgpool), SUMS,
                       cost_pool},
    [PZ_OP_PAD] = {"pad", 1, 1, pz_shape_pad, pz_ref_pad, pz_cpu_pad, CUDA(pad), ROUNDED, NULL},
    [PZ_OP_RESHAPE] = {"reshape", 1, 1, pz_shape_reshape, pz_ref_copy, NULL, CUDA(reshape), EXACT, NULL},
    [PZ_OP_CONCAT] = {"concat", 1, PZ_OP_MAX_IN, pz_shape_concat, pz_ref_concat, pz_cpu_concat, CUDA(concat),
                      EXACT, NULL},
    [PZ_OP_SLICE] = {"slice", 1, 1, pz_shape_slice, pz_ref_slice, pz_cpu_slice, CUDA(slice), EXACT, NULL},
    [PZ_OP_TRANSPOSE] = {"transpose", 1, 1, pz_shape_transpose, pz_ref_transpose, pz_cpu_transpose,
                         CUDA(transpose), EXACT, NULL},
    [PZ_OP_SOFTMAX] = {"softmax", 1, 1, pz_shape_softmax, pz_ref_softmax, pz_cpu_softmax, CUDA(softmax),
                       CLOSE, NULL},
    [PZ_OP_RESIZE_NEAREST] = {"resize_nearest", 1, 1, pz_shape_resize, pz_ref_resize_nearest,
                              pz_cpu_resize_nearest, CUDA(resize), EXACT, NULL},
    [PZ_OP_RESIZE_BILINEAR] = {"resize_bilinear", 1, 1, pz_shape_resize, pz_ref_resize_bilinear,
                               pz_cpu_resize_bilinear, CUDA(resize_bilinear), CLOSE, NULL},
    [PZ_OP_DEQUANTIZE] = {"dequantize", 1, 1, pz_shape_dequantize, pz_ref_dequantize, NULL, CUDA(dequantize),
                          EXACT, NULL},
    [PZ_OP_POINTS_MATRIX] = {"points_matrix", 1, 1, pz_shape_points_matrix, pz_ref_points_matrix, NULL, NULL,
                             ROUNDED, NULL},
    [PZ_OP_CROP_AFFINE] = {"crop_affine", 2, 2, pz_shape_crop_affine, pz_ref_crop_affine, NULL, NULL, ROUNDED,
                           NULL},
    [PZ_OP_TRANSFORM_POINTS] = {"transform_points", 2, 2, pz_shape_transform_points, pz_ref_transform_points,
                                NULL, NULL, ROUNDED, NULL},
    [PZ_OP_MATMUL] = {"matmul", 2, 2, pz_shape_matmul, pz_ref_matmul, pz_cpu_matmul, CUDA(matmul), SUMS,
                      cost_matmul},
    [PZ_OP_ATTENTION] = {"attention", 3, 4, pz_shape_attention, pz_ref_attention, pz_cpu_attention,
                         CUDA(attention), SCORES, cost_attention},
    [PZ_OP_CONV_TRANSPOSE2D] = {"conv_transpose2d", 2, 3, pz_shape_conv_transpose2d, pz_ref_conv_transpose2d,
                                pz_cpu_conv_transpose2d, CUDA(conv_transpose2d), SUMS, cost_transposed},
    [PZ_OP_GROUP_NORM] = {"group_norm", 1, 3, pz_shape_group_norm, pz_ref_group_norm, pz_cpu_group_norm,
                          CUDA(group_norm), SUMS, NULL},
    [PZ_OP_LAYER_NORM] = {"layer_norm", 1, 3, pz_shape_norm, pz_ref_layer_norm, pz_cpu_layer_norm,
                          CUDA(layer_norm), SUMS, NULL},
    [PZ_OP_BATCH_NORM] = {"batch_norm", 3, 5, pz_shape_batch_norm, pz_ref_batch_norm, pz_cpu_batch_norm,
                          CUDA(batch_norm), SUMS, NULL},
    [PZ_OP_GELU] = {"gelu", 1, 1, pz_shape_unary, pz_ref_gelu, pz_cpu_gelu, CUDA(gelu), CLOSE, NULL},
    [PZ_OP_GELU_TANH] = {"gelu_tanh", 1, 1, pz_shape_unary, pz_ref_gelu_tanh, pz_cpu_gelu_tanh,
                         CUDA(gelu_tanh), CLOSE, NULL},
    [PZ_OP_SILU] = {"silu", 1, 1, pz_shape_unary, pz_ref_silu, pz_cpu_silu, CUDA(silu), CLOSE, NULL},
    [PZ_OP_TANH] = {"tanh", 1, 1, pz_shape_unary, pz_ref_tanh, pz_cpu_tanh, CUDA(tanh), CLOSE, NULL},
    [PZ_OP_EXP] = {"exp", 1, 1, pz_shape_unary, pz_ref_exp, pz_cpu_exp, CUDA(exp), CLOSE, NULL},
    [PZ_OP_LEAKY_RELU] = {"leaky_relu", 1, 1, pz_shape_unary, pz_ref_leaky_relu, pz_cpu_leaky_relu,
                          CUDA(leaky_relu), ROUNDED, NULL},
    [PZ_OP_GEGLU] = {"geglu", 1, 1, pz_shape_geglu, pz_ref_geglu, pz_cpu_geglu, CUDA(geglu), CLOSE, NULL},
    [PZ_OP_EMBEDDING] = {"embedding", 2, 2, pz_shape_embedding, pz_ref_embedding, pz_cpu_embedding,
                         CUDA(embedding), EXACT, NULL},
    [PZ_OP_CONV3D] = {"conv3d", 2, 3, pz_shape_conv3d, pz_ref_conv3d, pz_cpu_conv3d, CUDA(conv3d), SUMS,
                      cost_conv3d},
    [PZ_OP_GROUPED_CONV2D] = {"grouped_conv2d", 2, 3, pz_shape_grouped_conv2d, pz_ref_grouped_conv2d,
                              pz_cpu_grouped_conv2d, CUDA(grouped_conv2d), SUMS, cost_conv},
    [PZ_OP_GRID_SAMPLE2D] = {"grid_sample2d", 2, 2, pz_shape_grid_sample, pz_ref_grid_sample,
                             pz_cpu_grid_sample, CUDA(grid_sample), SUMS, cost_sample},
    [PZ_OP_GRID_SAMPLE3D] = {"grid_sample3d", 2, 2, pz_shape_grid_sample, pz_ref_grid_sample,
                             pz_cpu_grid_sample, CUDA(grid_sample), SUMS, cost_sample},
    [PZ_OP_DIV] = {"div", 2, 2, pz_shape_binary, pz_ref_div, pz_cpu_div, CUDA(div), CLOSE, NULL},
    [PZ_OP_HARD_SIGMOID] = {"hard_sigmoid", 1, 1, pz_shape_unary, pz_ref_hard_sigmoid, pz_cpu_hard_sigmoid,
                            CUDA(hard_sigmoid), CLOSE, NULL},
    [PZ_OP_HARD_SWISH] = {"hard_swish", 1, 1, pz_shape_unary, pz_ref_hard_swish, pz_cpu_hard_swish,
                          CUDA(hard_swish), CLOSE, NULL},
    [PZ_OP_CLAMP] = {"clamp", 1, 1, pz_shape_clamp, pz_ref_clamp, pz_cpu_clamp, CUDA(clamp), ROUNDED, NULL},
    [PZ_OP_SQRT] = {"sqrt", 1, 1, pz_shape_unary, pz_ref_sqrt, pz_cpu_sqrt, CUDA(sqrt), CLOSE, NULL},
    [PZ_OP_RSQRT] = {"rsqrt", 1, 1, pz_shape_unary, pz_ref_rsqrt, pz_cpu_rsqrt, CUDA(rsqrt), CLOSE, NULL},
    [PZ_OP_LOG] = {"log", 1, 1, pz_shape_unary, pz_ref_log, pz_cpu_log, CUDA(log), CLOSE, NULL},
    [PZ_OP_POW] = {"pow", 1, 1, pz_shape_unary, pz_ref_pow, NULL, CUDA(pow), CLOSE, NULL},
    [PZ_OP_SOFTPLUS] = {"softplus", 1, 1, pz_shape_unary, pz_ref_softplus, pz_cpu_softplus, CUDA(softplus),
                        CLOSE, NULL},
    [PZ_OP_LOG_SOFTMAX] = {"log_softmax", 1, 1, pz_shape_softmax, pz_ref_log_softmax, pz_cpu_log_softmax,
                           CUDA(log_softmax), CLOSE, NULL},
    [PZ_OP_L2_NORMALISE] = {"l2_normalise", 1, 2, pz_shape_l2_normalise, pz_ref_l2_normalise,
                            pz_cpu_l2_normalise, CUDA(l2_normalise), SUMS, NULL},
    [PZ_OP_REDUCE_MEAN] = {"reduce_mean", 1, 1, pz_shape_reduce, pz_ref_reduce_mean, pz_cpu_reduce_mean,
                           CUDA(reduce_mean), SUMS, cost_input},
    [PZ_OP_REDUCE_SUM] = {"reduce_sum", 1, 1, pz_shape_reduce, pz_ref_reduce_sum, pz_cpu_reduce_sum,
                          CUDA(reduce_sum), SUMS, cost_input},
    [PZ_OP_REDUCE_MAX] = {"reduce_max", 1, 1, pz_shape_reduce, pz_ref_reduce_max, pz_cpu_reduce_max,
                          CUDA(reduce_max), EXACT, cost_input},
    [PZ_OP_ARGMAX] = {"argmax", 1, 1, pz_shape_argmax, pz_ref_argmax, NULL, CUDA(argmax), EXACT, cost_input},
    [PZ_OP_PAD_EDGE] = {"pad_edge", 1, 1, pz_shape_pad_edge, pz_ref_pad_edge, pz_cpu_pad_edge, CUDA(pad_edge),
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
