/** What this machine can do at most, measured: for benchmarks. */
#ifndef PZ_TENSOR_CPU_CEILINGS_H
#define PZ_TENSOR_CPU_CEILINGS_H

#include "base/pool.h"
#include "tensor/dtype.h"

/** Floating-point operations a second of multiply-adds in registers, all threads of the pool together, best
 * of a few tries. F32 at the rung's vectors; BF16 where the processor multiplies pairs, else as F32. */
double pz_cpu_peak(int rung, enum pz_dtype dtype, struct pz_pool *pool);

/** Bytes a second (read plus written) of a copy far larger than the caches. 0: no memory for it. */
double pz_cpu_copy_speed(struct pz_pool *pool);

#endif
