/**
 * The CUDA backend: device forms for the rows of the table, and the device's side of plans and sessions.
 *
 * A plan on the device keeps its weights there once, as F32 or F16; a session owns one block of device memory
 * planned as on the CPU, page-locked host memory for inputs and outputs, a stream, and the whole run captured
 * as one CUDA graph. In a build without CUDA every call here answers PZ_ERR_DEVICE (stub.c), so that callers
 * need no #ifdef. Threads  sessions of one plan may run on different threads; creating them is serialised
 * inside.
 */
#ifndef PZ_TENSOR_CUDA_CUDA_H
#define PZ_TENSOR_CUDA_CUDA_H

#include <stdbool.h>

#include "tensor/op.h"

struct pz_plan;
struct pz_session;

/** True when this build has CUDA and a device answers. Logs nothing. */
bool pz_cuda_present(void);

/** "NVIDIA H100 80GB HBM3, …" into `out`, or why there is none. */
void pz_cuda_describe(char *out, size_t bytes);

/** Open the device for a plan. Errors: DEVICE, NOMEM. */
PZ_NODISCARD enum pz_status pz_cuda_plan_open(struct pz_plan *p, struct pz_log *log);
/** Bring the constants that steps read to the device. Called after the steps are chosen. */
PZ_NODISCARD enum pz_status pz_cuda_plan_weights(struct pz_plan *p, struct pz_log *log);
void pz_cuda_plan_close(struct pz_plan *p);

/** Device memory, stream and captured graph of a session. */
PZ_NODISCARD enum pz_status pz_cuda_session_open(struct pz_session *s, struct pz_log *log);
PZ_NODISCARD enum pz_status pz_cuda_session_run(struct pz_session *s);
void pz_cuda_session_close(struct pz_session *s);
/** Host memory of an input or output value. */
void *pz_cuda_session_host(const struct pz_session *s, int value);

/** For benchmarks: milliseconds of each of `n` replays of the captured graph, device events, no transfers. */
PZ_NODISCARD enum pz_status pz_cuda_session_time(struct pz_session *s, int n, float *ms);

/** For benchmarks: ceilings of the device, a copy in bytes read + written per second, and an F16 product of
 * 8192³ in operations per second; medians. Errors: DEVICE. */
PZ_NODISCARD enum pz_status pz_cuda_ceilings(struct pz_log *log, double *copy, double *matmul);

#if defined(PZ_HAVE_CUDA) && PZ_HAVE_CUDA
/** Candidate lists of the table, one name a row that has a device form. */
extern const struct pz_kernel *const pz_cuda_conv2d[],
    *const pz_cuda_dwconv2d[],
        *const pz_cuda_dense[],
            *const pz_cuda_add[],
                *const pz_cuda_sub[],
                    *const pz_cuda_mul[],
                        *const pz_cuda_relu[],
                            *const pz_cuda_relu6[],
                                *const pz_cuda_prelu[],
                                    *const pz_cuda_sigmoid[],
                                        *const pz_cuda_maxpool[],
                                            *const pz_cuda_avgpool[],
                                                *const pz_cuda_pad[],
                                                    *const pz_cuda_reshape[],
                                                        *const pz_cuda_concat[],
                                                            *const pz_cuda_slice[],
                                                                *const pz_cuda_transpose[],
                                                                    *const pz_cuda_softmax[],
                                                                        *const pz_cuda_resize[],
                                                                            *const pz_cuda_resize_bilinear[],
                                                                                *const pz_cuda_dequantize[],
                                                                                    *const pz_cuda_matmul[],
                                                                                        *const pz_cuda_attention[],
                                                                                            *const pz_cuda_conv_transpose2d[],
                                                                                                *const pz_cuda_group_norm[],
                                                                                                    *const pz_cuda_layer_norm[],
                                                                                                        *const pz_cuda_batch_norm[],
                                                                                                            *const pz_cuda_gelu[],
                                                                                                                *const pz_cuda_gelu_tanh[],
                                                                                                                    *const pz_cuda_silu[],
                                                                                                                        *const pz_cuda_tanh[],
                                                                                                                            *const pz_cuda_exp[],
                                                                                                                                *const pz_cuda_leaky_relu
                                                                                                                                    [],
                                                                                                                                        *const pz_cuda_geglu
                                                                                                                                            [],
                                                                                                                                                *const pz_cuda_embedding
                                                                                                                                                    [];
#endif

#endif
