/**
 * Sets of Gaussians: memory only. Also the choice of the instruction set; nothing is detected at load time,
 * so there is no hidden global.
 */
#include "base/mem.h"
#include "splat/kernels.h"

enum pz_status pz_splat_set_alloc(struct pz_splat_set *s, int cap, int k)
{
    const struct pz_splat_set none = {0};
    *s = none;
    if (cap < 1 || cap > 1 << 22 || k < 0 || k > PZ_SPLAT_MAX_MOTION)
        return PZ_ERR_USAGE;
    const int room = (cap + 15) / 16 * 16;
    float *data = pz_calloc((size_t)(PZ_SPLAT_BASE + PZ_SPLAT_MOVING * k) * (size_t)room, sizeof(float));
    if (!data)
        return PZ_ERR_NOMEM;
    s->cap = room;
    s->k = k;
    s->data = data;
    return PZ_OK;
}

void pz_splat_set_free(struct pz_splat_set *s)
{
    const struct pz_splat_set none = {0};
    pz_free(s->data);
    *s = none;
}

int pz_splat_planes(const struct pz_splat_set *s)
{
    return PZ_SPLAT_BASE + PZ_SPLAT_MOVING * s->k;
}

float *pz_splat_plane(const struct pz_splat_set *s, int j)
{
    return s->data + (int64_t)j * s->cap;
}

enum pz_splat_rung pz_splat_rung_best(enum pz_splat_rung highest)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (highest >= PZ_SPLAT_AVX512 && __builtin_cpu_supports("avx512f") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("fma"))
        return PZ_SPLAT_AVX512;
    if (highest >= PZ_SPLAT_AVX2 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return PZ_SPLAT_AVX2;
#endif
    return PZ_SPLAT_REF;
}

const struct pz_splat_kernels *pz_splat_kernels_of(enum pz_splat_rung rung)
{
#if defined(__x86_64__)
    if (rung == PZ_SPLAT_AVX512)
        return &pz_splat_kernels_avx512;
    if (rung == PZ_SPLAT_AVX2)
        return &pz_splat_kernels_avx2;
#endif
    return &pz_splat_kernels_ref;
}
