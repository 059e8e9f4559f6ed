/** The plain C truth, one function per operation; signature and meaning: pz_op_row.ref in tensor/op.h. */
#ifndef PZ_TENSOR_REF_REF_H
#define PZ_TENSOR_REF_REF_H

#include "tensor/op.h"

typedef void pz_ref_fn(const struct pz_op_args *a);

pz_ref_fn pz_ref_conv2d, pz_ref_dwconv2d, pz_ref_fully_connected, pz_ref_add, pz_ref_sub, pz_ref_mul,
    pz_ref_relu, pz_ref_relu6, pz_ref_prelu, pz_ref_sigmoid, pz_ref_maxpool, pz_ref_avgpool, pz_ref_pad,
    pz_ref_copy, pz_ref_concat, pz_ref_slice, pz_ref_transpose, pz_ref_softmax, pz_ref_resize_nearest,
    pz_ref_resize_bilinear, pz_ref_dequantize, pz_ref_points_matrix, pz_ref_crop_affine,
    pz_ref_transform_points, pz_ref_matmul, pz_ref_attention, pz_ref_conv_transpose2d, pz_ref_group_norm,
    pz_ref_layer_norm, pz_ref_batch_norm, pz_ref_gelu, pz_ref_gelu_tanh, pz_ref_silu, pz_ref_tanh, pz_ref_exp,
    pz_ref_leaky_relu, pz_ref_geglu, pz_ref_embedding, pz_ref_conv3d, pz_ref_grouped_conv2d,
    pz_ref_grid_sample, pz_ref_div, pz_ref_hard_sigmoid, pz_ref_hard_swish, pz_ref_clamp, pz_ref_sqrt,
    pz_ref_rsqrt, pz_ref_log, pz_ref_pow, pz_ref_softplus, pz_ref_log_softmax, pz_ref_l2_normalise,
    pz_ref_reduce_mean, pz_ref_reduce_sum, pz_ref_reduce_max, pz_ref_argmax, pz_ref_pad_edge;

/** The activation of one value; `slope` is read for PReLU only. */
float pz_ref_act(enum pz_act act, float v, float slope);

#endif
