/** Inside of the TensorFlow Lite reader; for tflite.c and tflite_ops.c only. */
#ifndef PZ_WEIGHTS_TFLITE_IMPL_H
#define PZ_WEIGHTS_TFLITE_IMPL_H

#include "base/log.h"
#include "tensor/graph.h"
#include "weights/flat.h"

struct pz_tflite_tensor {
    enum pz_dtype dtype; /**< PZ_DTYPE_COUNT: a type this program does not read */
    struct pz_shape shape;
    const uint8_t *data; /**< constants, unaligned, inside the file */
    int value;           /**< in the graph, PZ_NONE until there is one */
    char name[64];
};

struct pz_tflite_op {
    int code; /**< BuiltinOperator */
    char custom_name[48];
    int in[PZ_OP_MAX_IN], n_in, out;
    size_t options;            /**< table, 0 without */
    struct pz_flat_vec custom; /**< bytes */
};

struct pz_tflite {
    struct pz_log *log;
    const char *name;
    struct pz_flat f;
    struct pz_graph *g;
    struct pz_flat_vec codes, buffers;
    struct pz_tflite_tensor *tensors;
    int n_tensors;
};

/** Add one operator to the graph and check that it has the shape the file says. */
PZ_NODISCARD enum pz_status pz_tflite_build(struct pz_tflite *t, const struct pz_tflite_op *op);

#endif
