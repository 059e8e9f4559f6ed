/** The way of weights that do not stay on the device (pz_plan_params.away): they wait in page-locked main
 * memory and travel on a stream of their own, beside the steps before theirs, to one of two places by turns.
 * For tensor/cuda only; errors are latched by pz_cuda_check(). Everything here does nothing for plans whose
 * weights stay. */
#ifndef PZ_TENSOR_CUDA_BELT_H
#define PZ_TENSOR_CUDA_BELT_H

#include <cuda_runtime_api.h>

#include "tensor/plan_impl.h"

struct pz_cuda_belt {
    uint8_t *memory; /**< on the device: two places of plan->haul_bytes */
    cudaStream_t side;
    cudaEvent_t freed[2], brought[2]; /**< one a place */
};

bool pz_cuda_belt_open(const struct pz_plan *p, struct pz_cuda_belt *b);
void pz_cuda_belt_close(struct pz_cuda_belt *b);

/** Before the steps are enqueued on the device's stream (or captured there), before and behind step `t`,
 * which may be the one behind the last. */
void pz_cuda_belt_start(const struct pz_plan *p, struct pz_cuda_belt *b);
void pz_cuda_belt_bring(const struct pz_plan *p, struct pz_cuda_belt *b, int t);
void pz_cuda_belt_free(const struct pz_plan *p, struct pz_cuda_belt *b, int t);

#endif
