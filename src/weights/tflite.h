/**
 * TensorFlow Lite files → graphs. An own, bounds-checked reader of the few parts of the format that matter;
 * every file is treated as hostile.
 *
 * Reads      F32 and F16 weights, NHWC networks of the operations in tensor/op.h, MediaPipe's custom
 * operations Landmarks2TransformMatrix, TransformTensorBilinear and TransformLandmarks (version 2) Does not
 * quantised or sparse tensors, several subgraphs, control flow: UNSUPPORTED, and the line names what it was
 * Source     tensorflow/lite/schema/schema.fbs (field numbers), tflite kernel semantics for padding
 */
#ifndef PZ_WEIGHTS_TFLITE_H
#define PZ_WEIGHTS_TFLITE_H

#include "base/log.h"
#include "tensor/graph.h"

/** Build the graph of the file's first subgraph; inputs and outputs keep the file's names and order. The file
 * is closed again: the graph owns copies of the weights. `*g` is NULL on failure; destroy with
 * pz_graph_destroy(). Errors: INPUT (cannot be opened), FORMAT, UNSUPPORTED, NOMEM; all logged in one line.
 */
PZ_NODISCARD enum pz_status pz_tflite_load(struct pz_log *log, const char *path, struct pz_graph **g);

/** The same from memory; `name` is used in messages. */
PZ_NODISCARD enum pz_status pz_tflite_parse(struct pz_log *log, const void *data, size_t n, const char *name,
                                            struct pz_graph **g);

#endif
