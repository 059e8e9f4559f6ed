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

/** Bytes of device memory that are free now, and in all. False (both 0) without a device. */
bool pz_cuda_memory(size_t *free_bytes, size_t *all_bytes);

/** Open the device for a plan. Errors: DEVICE, NOMEM. */
PZ_NODISCARD enum pz_status pz_cuda_plan_open(struct pz_plan *p, struct pz_log *log);
/** Merge nodes where the device gains from it, before steps are chosen. Errors: NOMEM. */
PZ_NODISCARD enum pz_status pz_cuda_plan_merge(struct pz_plan *p, struct pz_log *log);
/** Part of it: give convolutions the weights that engines of 16-bit types like (recast.c). Errors: NOMEM. */
PZ_NODISCARD enum pz_status pz_cuda_plan_recast(struct pz_plan *p, struct pz_log *log);
/** Bring the constants that steps read to the device. Called after the steps are chosen. */
PZ_NODISCARD enum pz_status pz_cuda_plan_weights(struct pz_plan *p, struct pz_log *log);
void pz_cuda_plan_close(struct pz_plan *p);

/** Device memory, stream and captured graph of a session. */
PZ_NODISCARD enum pz_status pz_cuda_session_open(struct pz_session *s, struct pz_log *log);
PZ_NODISCARD enum pz_status pz_cuda_session_run(struct pz_session *s);
/** Prepare runs that are timed step by step (while the session has a profile). Errors: NOMEM, DEVICE. */
PZ_NODISCARD enum pz_status pz_cuda_session_watch(struct pz_session *s);
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
#define PZ_FORMS(name) extern const struct pz_kernel *const name[]
PZ_FORMS(pz_cuda_conv2d);
PZ_FORMS(pz_cuda_dwconv2d);
PZ_FORMS(pz_cuda_dense);
PZ_FORMS(pz_cuda_add);
PZ_FORMS(pz_cuda_sub);
PZ_FORMS(pz_cuda_mul);
PZ_FORMS(pz_cuda_relu);
PZ_FORMS(pz_cuda_relu6);
PZ_FORMS(pz_cuda_prelu);
PZ_FORMS(pz_cuda_sigmoid);
PZ_FORMS(pz_cuda_maxpool);
PZ_FORMS(pz_cuda_avgpool);
PZ_FORMS(pz_cuda_pad);
PZ_FORMS(pz_cuda_reshape);
PZ_FORMS(pz_cuda_concat);
PZ_FORMS(pz_cuda_slice);
PZ_FORMS(pz_cuda_transpose);
PZ_FORMS(pz_cuda_softmax);
PZ_FORMS(pz_cuda_resize);
PZ_FORMS(pz_cuda_resize_bilinear);
PZ_FORMS(pz_cuda_dequantize);
PZ_FORMS(pz_cuda_matmul);
PZ_FORMS(pz_cuda_attention);
PZ_FORMS(pz_cuda_conv_transpose2d);
PZ_FORMS(pz_cuda_group_norm);
PZ_FORMS(pz_cuda_layer_norm);
PZ_FORMS(pz_cuda_batch_norm);
PZ_FORMS(pz_cuda_gelu);
PZ_FORMS(pz_cuda_gelu_tanh);
PZ_FORMS(pz_cuda_silu);
PZ_FORMS(pz_cuda_tanh);
PZ_FORMS(pz_cuda_exp);
PZ_FORMS(pz_cuda_leaky_relu);
PZ_FORMS(pz_cuda_geglu);
PZ_FORMS(pz_cuda_embedding);
PZ_FORMS(pz_cuda_conv3d);
PZ_FORMS(pz_cuda_grouped_conv2d);
PZ_FORMS(pz_cuda_grid_sample);
PZ_FORMS(pz_cuda_div);
PZ_FORMS(pz_cuda_hard_sigmoid);
PZ_FORMS(pz_cuda_hard_swish);
PZ_FORMS(pz_cuda_clamp);
PZ_FORMS(pz_cuda_sqrt);
PZ_FORMS(pz_cuda_rsqrt);
PZ_FORMS(pz_cuda_log);
PZ_FORMS(pz_cuda_pow);
PZ_FORMS(pz_cuda_softplus);
PZ_FORMS(pz_cuda_log_softmax);
PZ_FORMS(pz_cuda_l2_normalise);
PZ_FORMS(pz_cuda_reduce_mean);
PZ_FORMS(pz_cuda_reduce_sum);
PZ_FORMS(pz_cuda_reduce_max);
PZ_FORMS(pz_cuda_argmax);
PZ_FORMS(pz_cuda_pad_edge);
#undef PZ_FORMS
#endif

#endif
