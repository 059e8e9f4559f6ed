/**
 * Where a neural engine computes, in what numbers, and where a device's choices of its kernels are kept (the
 * `engines` folder of the user's cache): from the options to the tensor core's parameters, for all engines
 * alike. Engines do not fill pz_plan_params themselves.
 */
#ifndef PZ_LIPSYNC_ENGINE_PLAN_H
#define PZ_LIPSYNC_ENGINE_PLAN_H

#include "lipsync/engine.h"
#include "tensor/plan.h"

struct pz_engine_plan {
    struct pz_plan_params params; /**< `params.cache` points to `cache` */
    char *cache;                  /**< folder for a device's choices; NULL on the CPU */
    bool cuda;
};

/**
 * `device`: "cpu", "cuda[:0]", NULL or "auto" = cuda where there is one. `precision`: on CUDA f16 (usual),
 * bf16, f32; on the CPU bf16 where the processor multiplies it (usual there) or f32. `name` of the engine,
 * for messages. Errors: DEVICE, NOMEM. Free with pz_engine_plan_free().
 */
PZ_NODISCARD enum pz_status pz_engine_plan(const struct pz_engine_open_params *p, const char *name,
                                           const struct pz_job *job, struct pz_engine_plan *out);
void pz_engine_plan_free(struct pz_engine_plan *p);

/** What an engine's `runs_on` says of the place and the numbers it computes in. Static. */
void pz_engine_runs_on(bool cuda, enum pz_dtype type, const char **device, const char **precision);

/** Bytes this process may still take on the device or in main memory; 0 = not known. */
double pz_engine_memory(bool cuda);

#endif
