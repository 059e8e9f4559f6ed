/** Convolutions as cuDNN is told of them; for conv.c and conv_wide.c only. */
#ifndef PZ_TENSOR_CUDA_CONV_H
#define PZ_TENSOR_CUDA_CONV_H

#include "tensor/cuda/dnn.h"
#include "tensor/cuda/kernels.h"

/** What an engine is chosen for. A picture is a volume of one slice; `axes` says how many cuDNN is told of.
 * Compared as bytes: clear it before it is filled. */
struct pz_conv_key {
    struct pz_ck_volume g;
    int axes, after[3], act; /**< after: padding behind, g.pad before */
    bool transposed, bias, residual;
    enum pz_dtype type;
};

struct pz_conv_plan {
    struct pz_conv_key key;
    struct pz_dnn_plan engine; /**< engine.plan NULL: there is none */
    struct pz_conv_plan *next;
};

/** The key of a step; `fused`: with bias, residual and activation in the engine. */
void pz_conv_key_of(struct pz_conv_key *k, const struct pz_op_args *a, bool transposed, bool fused);

/** The plan of a key, made on first use and kept by the device; NULL only without memory. */
struct pz_conv_plan *pz_conv_plan_for(struct pz_cuda *d, const struct pz_conv_key *k,
                                      const struct pz_op_args *a);

/** What the engine of a key reads and writes. */
struct pz_dnn_data pz_conv_data(const struct pz_conv_key *k, const struct pz_op_args *a);

/** Bytes of a tensor of five extents. */
size_t pz_conv_bytes(const int *d, enum pz_dtype type);

/** Steps that recast.c has given other weights (conv_wide.c). */
extern const struct pz_kernel pz_cuda_conv_wide;

#endif
