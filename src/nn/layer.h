/**
 * Layers: one call asks for a module's parameters under its official name and adds its operation.
 *
 * `p` is the parameter tree at the module's parent scope, `name` the module's local path ("conv1",
 * "to_out.0"), `x` a graph value. Channels in are read from x. Pictures are NHWC, sequences [..,C]; all
 * return the new value, or PZ_NONE after an error (told by pz_params_finish()).
 */
#ifndef PZ_NN_LAYER_H
#define PZ_NN_LAYER_H

#include "nn/param.h"

/** A convolution as PyTorch's module has it. */
struct pz_nn_conv {
    int out;          /**< channels out */
    int kernel[2];    /**< y, x; 0 = 1 */
    int stride[2];    /**< 0 = 1 */
    int dilation[2];  /**< 0 = 1 */
    int pad[4];       /**< top, bottom, left, right */
    bool no_bias;     /**< the module has no bias */
    bool depthwise;   /**< groups = channels = out */
    bool transposed;  /**< ConvTranspose2d: pad is cut off, more[y, x] = output_padding */
    int more[2];      /**< transposed only */
    const char *norm; /**< path of a batch norm behind it, folded into the weights; NULL: none */
    float norm_eps;   /**< 0 = 1e-5 */
    enum pz_act act;  /**< NONE, RELU or RELU6, fused by the operation itself */
    int residual;     /**< value added before the activation when `has_residual` */
    bool has_residual;
    int shift; /**< constant [out], added to the bias when `has_shift` (a time embedding) */
    bool has_shift;
};

/** Conv2d: x [B,H,W,Ci] → [B,H',W',out]. Parameters name.weight, name.bias, the norm's four. `shift` and
 * `transposed` or `norm` do not go together. */
int pz_nn_conv2d(struct pz_params *p, const char *name, int x, const struct pz_nn_conv *c);

/** The usual one: k×k, padding k/2, with bias. */
int pz_nn_conv_same(struct pz_params *p, const char *name, int x, int out, int k, int stride);

/** Conv1d over time: x [B,1,T,Ci] → [B,1,T',out], weights stored [out,Ci,k], with bias. */
int pz_nn_conv1d(struct pz_params *p, const char *name, int x, int out, int k, int stride, int pad);

/** Linear: x [..,Ci] → [..,out]. `bias` false: the module has none. */
int pz_nn_dense(struct pz_params *p, const char *name, int x, int out, bool bias);

/** The same for a module that is a 1×1 convolution in the file ([out,Ci,1,1]; [out,Ci] is accepted too). */
int pz_nn_dense_1x1(struct pz_params *p, const char *name, int x, int out);

/** Linear that has another name in old files, e.g. "to_q" also "query". */
int pz_nn_dense_also(struct pz_params *p, const char *name, const char *also, int x, int out, bool bias);

/** GroupNorm over x's outermost axis: x [B,..,C], statistics of each B over all axes between and the channels
 * of a group. act: NONE, RELU or SILU. */
int pz_nn_group_norm(struct pz_params *p, const char *name, int x, int groups, float eps, enum pz_act act);

/** LayerNorm over the last axis, eps 1e-5. */
int pz_nn_layer_norm(struct pz_params *p, const char *name, int x);

/** Operations without parameters. */
int pz_nn_add(struct pz_params *p, int a, int b);
int pz_nn_mul(struct pz_params *p, int a, int b);
int pz_nn_unary(struct pz_params *p, enum pz_op op, int x);
int pz_nn_concat(struct pz_params *p, int axis, int a, int b);
/** `n` ≥ 1 values of one shape side by side along a new axis before the last: [..,C] → [..,n,C]. The features
 * of lip-sync models are Whisper's hidden states so stacked (spec/whisper.md §4.1). */
int pz_nn_stack(struct pz_params *p, const int *values, int n);
int pz_nn_reshape(struct pz_params *p, int x, struct pz_shape shape);
/** Output axis i is input axis perm[i]; `perm` has as many entries as x has axes. */
int pz_nn_transpose(struct pz_params *p, int x, const int *perm);
/** size[i] elements from begin[i] on of each axis. */
int pz_nn_slice(struct pz_params *p, int x, const int *begin, const int *size);
/** Nearest neighbour to h×w; x [B,H,W,C]. */
int pz_nn_resize_nearest(struct pz_params *p, int x, int h, int w);
/** Zeros below and at the right of a picture. */
int pz_nn_pad_picture(struct pz_params *p, int x, int bottom, int right);
/** softmax(q kᵀ/√D) v for q [B,Tq,H·D], k, v [B,Tk,H·D]: heads lie next to each other; → [B,Tq,H·D].
 * `mask` [1|B,1|H,Tq,Tk] is added to the scores, or PZ_NONE. */
int pz_nn_attention(struct pz_params *p, int q, int k, int v, int heads, int mask);
/** An F32 constant; `values` are copied. */
int pz_nn_const(struct pz_params *p, struct pz_shape shape, const float *values);

/** Extent `axis` of a value, counted from the outermost; negative from the innermost (−1 the last). 1 after
 * an error, so that building goes on. */
int pz_nn_dim(const struct pz_params *p, int x, int axis);

#endif
