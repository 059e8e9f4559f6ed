/** The opened device of one plan; for tensor/cuda only. Errors of a run are latched in `st` by
 * pz_cuda_check(), because the rows' run functions return nothing. */
#ifndef PZ_TENSOR_CUDA_DEVICE_H
#define PZ_TENSOR_CUDA_DEVICE_H

#include <cublasLt.h>
#include <cuda_runtime_api.h>
#include <cudnn.h>
#include <pthread.h>

#include "tensor/cuda/kernels.h"
#include "tensor/op.h"

struct pz_conv_plan;
struct pz_tune;

struct pz_cuda {
    int ordinal;
    struct pz_log *log;
    cudaStream_t stream; /* where rows enqueue; the session's own while it is created */
    cudnnHandle_t cudnn;
    cublasLtHandle_t lt;
    enum pz_status st;
    struct pz_conv_plan *convs; /* made once per shape, shared by all nodes */
    bool tunes;                 /* engines are timed: pz_plan_params.tune */
    struct pz_tune *tune;       /* engines and algorithms by shape */
    char *ground;               /* memory to time them in, while the plan is made */
    size_t ground_bytes;
    cudaEvent_t from, to;
    pthread_mutex_t lock; /* creation of sessions */
};

/** At least `bytes` of device memory filled with small numbers, valid until the next call; NULL when there is
 * not so much. */
char *pz_cuda_ground(struct pz_cuda *d, size_t bytes);

/** Milliseconds of what `run` enqueues, the best of three after a first time; negative when it fails. */
float pz_cuda_time(struct pz_cuda *d, bool (*run)(void *user), void *user);

/** Latch and log a CUDA error; true when fine. */
bool pz_cuda_check(struct pz_cuda *d, int err, const char *what);
bool pz_cuda_check_cudnn(struct pz_cuda *d, cudnnStatus_t e, const char *what);
bool pz_cuda_check_lt(struct pz_cuda *d, cublasStatus_t e, const char *what);

/** Free the cached convolutions. */
void pz_cuda_convs_free(struct pz_cuda *d);

/** A matrix product prepared by cuBLASLt: out[M,N] = a[M,K] · b (+ bias, then ReLU or a residual), row-major,
 * F32 sums, no TF32. */
struct pz_lt {
    cublasLtMatmulDesc_t op;
    cublasLtMatrixLayout_t a, b, out;
    cublasLtMatmulAlgo_t algo;
    size_t workspace;
    bool has_bias, adds;
};

struct pz_lt_shape {
    int m, n, k, batch;
    long long lda, ldb, ldo;          /* elements between rows */
    long long step_a, step_b, step_o; /* between the matrices of the batch */
    long long step_bias;              /* likewise, 0 for one bias for all */
    enum pz_dtype type, type_out;
    bool transpose_b, bias, relu, residual; /* relu(a·b + bias), or a·b + bias + residual */
};

#define PZ_LT_WORKSPACE ((size_t)32 << 20)

/** UNSUPPORTED when cuBLASLt has no form (not logged). */
enum pz_status pz_lt_make(struct pz_cuda *d, const struct pz_lt_shape *s, struct pz_lt *lt);
void pz_lt_free(struct pz_lt *lt);
/** `residual` (of the output's layout) is NULL unless the shape asked for one. */
void pz_lt_run(struct pz_cuda *d, const struct pz_lt *lt, const void *a, const void *b, const void *bias,
               const void *residual, void *out, void *workspace);

/** Element type in the kernels' words. */
static inline int pz_cuda_type(const struct pz_view *v)
{
    return v->dtype == PZ_DTYPE_F16 ? PZ_CK_F16 : v->dtype == PZ_DTYPE_BF16 ? PZ_CK_BF16 : PZ_CK_F32;
}

static inline bool pz_cuda_given(const struct pz_op_args *a, int i)
{
    return i < a->n_in && a->in[i].dtype != PZ_DTYPE_COUNT;
}

/** Data of an optional input, NULL when absent. */
static inline const void *pz_cuda_data(const struct pz_op_args *a, int i)
{
    return pz_cuda_given(a, i) ? a->in[i].data : NULL;
}

#endif
