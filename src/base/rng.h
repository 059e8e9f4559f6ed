/** Counter-based random numbers (Philox 4x32-10, Salmon et al. 2011): any draw can be made alone, on any
 * machine. */
#ifndef PZ_BASE_RNG_H
#define PZ_BASE_RNG_H

#include <stdint.h>

struct pz_rng {
    uint32_t key[2];
    uint32_t counter[4];
    uint32_t out[4];
    int used;
};

/** Start a stream: the same (seed, stream) always gives the same numbers. */
void pz_rng_init(struct pz_rng *r, uint64_t seed, uint64_t stream);
uint32_t pz_rng_u32(struct pz_rng *r);
/** Uniform in [0,1). */
float pz_rng_uniform(struct pz_rng *r);
/** Standard normal (Box–Muller). */
float pz_rng_normal(struct pz_rng *r);
/** Uniform integer in [0, n), n ≥ 1. */
uint32_t pz_rng_below(struct pz_rng *r, uint32_t n);

#endif
