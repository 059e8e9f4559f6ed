/* Philox 4x32-10 (Salmon, Moraes, Dror, Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3"). */
#include "base/rng.h"

#include <math.h>

static void round10(const uint32_t ctr[4], const uint32_t key0[2], uint32_t out[4])
{
    uint32_t c[4] = {ctr[0], ctr[1], ctr[2], ctr[3]}, k[2] = {key0[0], key0[1]};
    for (int i = 0; i < 10; i++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c[0], p1 = (uint64_t)0xCD9E8D57u * c[2];
        uint32_t n0 = (uint32_t)(p1 >> 32) ^ c[1] ^ k[0], n2 = (uint32_t)(p0 >> 32) ^ c[3] ^ k[1];
        c[0] = n0;
        c[1] = (uint32_t)p1;
        c[2] = n2;
        c[3] = (uint32_t)p0;
        k[0] += 0x9E3779B9u;
        k[1] += 0xBB67AE85u;
    }
    for (int i = 0; i < 4; i++)
        out[i] = c[i];
}

void pz_rng_init(struct pz_rng *r, uint64_t seed, uint64_t stream)
{
    *r = (struct pz_rng){.key = {(uint32_t)seed, (uint32_t)(seed >> 32)},
                         .counter = {0, 0, (uint32_t)stream, (uint32_t)(stream >> 32)},
                         .used = 4};
}

uint32_t pz_rng_u32(struct pz_rng *r)
{
    if (r->used == 4) {
        round10(r->counter, r->key, r->out);
        if (++r->counter[0] == 0)
            r->counter[1]++;
        r->used = 0;
    }
    return r->out[r->used++];
}

float pz_rng_uniform(struct pz_rng *r)
{
    return (float)(pz_rng_u32(r) >> 8) * (1.0f / 16777216.0f);
}

float pz_rng_normal(struct pz_rng *r)
{
    double u = ((double)pz_rng_u32(r) + 1.0) / 4294967296.0, v = (double)pz_rng_u32(r) / 4294967296.0;
    return (float)(sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v));
}

uint32_t pz_rng_below(struct pz_rng *r, uint32_t n)
{
    return (uint32_t)(((uint64_t)pz_rng_u32(r) * n) >> 32);
}
