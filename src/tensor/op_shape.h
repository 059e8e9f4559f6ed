/** Shape rules, one per operation; used by the table in op_table.c only. Signature: pz_op_row.shape. */
#ifndef PZ_TENSOR_OP_SHAPE_H
#define PZ_TENSOR_OP_SHAPE_H

#include "tensor/op.h"

#define PZ_SHAPE_LIMIT 65536 /**< largest stride, dilation, kernel, padding or index distance accepted */

typedef enum pz_status pz_shape_rule(struct pz_log *log, const struct pz_op_args *a, struct pz_view *out);

pz_shape_rule pz_shape_conv2d, pz_shape_dwconv2d, pz_shape_fully_connected, pz_shape_binary, pz_shape_unary,
    pz_shape_prelu, pz_shape_pool, pz_shape_pad, pz_shape_reshape, pz_shape_concat, pz_shape_slice,
    pz_shape_transpose, pz_shape_resize, pz_shape_dequantize, pz_shape_points_matrix, pz_shape_crop_affine,
    pz_shape_transform_points, pz_shape_matmul, pz_shape_attention, pz_shape_conv_transpose2d, pz_shape_norm,
    pz_shape_batch_norm, pz_shape_group_norm, pz_shape_geglu, pz_shape_embedding, pz_shape_softmax,
    pz_shape_conv3d, pz_shape_grouped_conv2d, pz_shape_grid_sample, pz_shape_clamp, pz_shape_l2_normalise,
    pz_shape_reduce, pz_shape_argmax, pz_shape_pad_edge;

/** The parts the rules share (op_shape.c). Log "operation OP on SHAPE: why" and give PZ_ERR_FORMAT. */
enum pz_status pz_shape_bad(struct pz_log *log, const char *op, const struct pz_op_args *a, const char *why);

/** Whether input i is left out; is there and F32; and as many values as `c`: [c], [1,1,c], … */
bool pz_shape_absent(const struct pz_op_args *a, int i);
bool pz_shape_is_f32(const struct pz_op_args *a, int i);
bool pz_shape_is_vector(const struct pz_op_args *a, int i, int c);

/** Places a window of k taps has along an axis; false when it does not fit, or could see padding alone. With
 * `ceil` the last one may hang over the end, as long as it begins inside. */
bool pz_shape_window(int in, int before, int after, int k, int dilation, int stride, bool ceil, int *out);

#endif
