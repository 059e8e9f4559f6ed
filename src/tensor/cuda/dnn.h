/** cuDNN's graph API in few words, and the choice of an engine; for conv.c and attention.c only. */
#ifndef PZ_TENSOR_CUDA_DNN_H
#define PZ_TENSOR_CUDA_DNN_H

#include "tensor/cuda/device.h"

/** Descriptors made on the way, and the first error; calls after an error do nothing. */
struct pz_dnn {
    cudnnBackendDescriptor_t d[64];
    int n;
    cudnnStatus_t e;
};

cudnnBackendDescriptor_t pz_dnn_make(struct pz_dnn *m, cudnnBackendDescriptorType_t type);
void pz_dnn_set(struct pz_dnn *m, cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name,
                cudnnBackendAttributeType_t type, int64_t n, const void *v);
/** An attribute that is one descriptor. */
void pz_dnn_link(struct pz_dnn *m, cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name,
                 cudnnBackendDescriptor_t v);
void pz_dnn_finish(struct pz_dnn *m, cudnnBackendDescriptor_t d);
void pz_dnn_drop(struct pz_dnn *m);

/** A tensor of `rank` extents and steps (elements). Virtual ones are F32 inside an engine. */
cudnnBackendDescriptor_t pz_dnn_tensor(struct pz_dnn *m, int64_t uid, int rank, const int64_t *dim,
                                       const int64_t *step, enum pz_dtype type, bool is_virtual);

/** A graph of `n` operations. */
cudnnBackendDescriptor_t pz_dnn_graph(struct pz_dnn *m, struct pz_cuda *d, int n,
                                      const cudnnBackendDescriptor_t *ops);

/** What a graph reads and writes: number, place, bytes (used when engines are timed). */
struct pz_dnn_data {
    int n;
    int64_t uid[6];
    void *at[6];
    size_t bytes[6]; /**< 0: a number on the host, `at` is kept as it is */
};

void pz_dnn_add(struct pz_dnn_data *t, int64_t uid, const void *at, size_t bytes);

/** A finished engine. */
struct pz_dnn_plan {
    cudnnBackendDescriptor_t plan; /**< NULL: there is none */
    int64_t workspace;
    float ms; /**< of one run when it was timed just now, else 0 */
};

/** The quickest of the precise engines: no TF32, F16 sums, FFT, Winograd or nondeterminism. `key` names the
 * shape among the choices; one made before is taken without timing. Where nothing is timed (device.h) the
 * first that can be built is taken, and only that there is none is remembered. `tries` engines are built and
 * timed (some are compiled for it), with the sizes of `data`. */
void pz_dnn_pick(struct pz_cuda *d, cudnnBackendDescriptor_t graph, const char *key, enum pz_dtype type,
                 int tries, const struct pz_dnn_data *data, struct pz_dnn_plan *out);

/** Enqueue. Allocates on the host: creation of sessions only. */
cudnnStatus_t pz_dnn_execute(struct pz_cuda *d, const struct pz_dnn_plan *p, const struct pz_dnn_data *data,
                             void *workspace);

void pz_dnn_free(struct pz_dnn_plan *p);

#endif
