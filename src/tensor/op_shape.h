/** Shape rules, one per operation; used by the table in op_table.c only. Signature: pz_op_row.shape. */
#ifndef PZ_TENSOR_OP_SHAPE_H
#define PZ_TENSOR_OP_SHAPE_H

#include "tensor/op.h"

typedef enum pz_status pz_shape_rule(struct pz_log *log, const struct pz_op_args *a, struct pz_view *out);

pz_shape_rule pz_shape_conv2d, pz_shape_dwconv2d, pz_shape_fully_connected, pz_shape_binary, pz_shape_unary,
    pz_shape_prelu, pz_shape_pool, pz_shape_pad, pz_shape_reshape, pz_shape_concat, pz_shape_slice,
    pz_shape_transpose, pz_shape_resize, pz_shape_dequantize, pz_shape_points_matrix, pz_shape_crop_affine,
    pz_shape_transform_points, pz_shape_matmul, pz_shape_attention, pz_shape_conv_transpose2d, pz_shape_norm,
    pz_shape_batch_norm, pz_shape_group_norm, pz_shape_geglu, pz_shape_embedding, pz_shape_softmax;

#endif
