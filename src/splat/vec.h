/**
 * Inside the splat module: eight or sixteen floats at once, whichever the file is compiled for.
 * The tile kernels (tile_body.h) are written on these few operations.
 */
#ifndef PZ_SPLAT_VEC_H
#define PZ_SPLAT_VEC_H

#include <immintrin.h>

#if defined(__AVX512F__)

#define VF_LANES 16
typedef __m512 vf;
typedef __mmask16 vmask;

static inline vf vf_set(float x)
{
    return _mm512_set1_ps(x);
}
static inline vf vf_load(const float *p)
{
    return _mm512_load_ps(p);
}
static inline void vf_store(float *p, vf a)
{
    _mm512_store_ps(p, a);
}
static inline vf vf_add(vf a, vf b)
{
    return _mm512_add_ps(a, b);
}
static inline vf vf_sub(vf a, vf b)
{
    return _mm512_sub_ps(a, b);
}
static inline vf vf_mul(vf a, vf b)
{
    return _mm512_mul_ps(a, b);
}
static inline vf vf_div(vf a, vf b)
{
    return _mm512_div_ps(a, b);
}
static inline vf vf_fma(vf a, vf b, vf c)
{
    return _mm512_fmadd_ps(a, b, c);
}
static inline vf vf_min(vf a, vf b)
{
    return _mm512_min_ps(a, b);
}
static inline vmask vf_ge(vf a, vf b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_GE_OQ);
}
static inline vmask vf_gt(vf a, vf b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ);
}
static inline vmask vm_and(vmask a, vmask b)
{
    return (vmask)(a & b);
}
static inline vmask vm_andnot(vmask a, vmask b)
{
    return (vmask)(a & ~b);
}
static inline bool vm_any(vmask a)
{
    return a != 0;
}
/** a where the mask is set, else b. */
static inline vf vf_pick(vmask m, vf a, vf b)
{
    return _mm512_mask_mov_ps(b, m, a);
}
static inline vf vf_keep(vmask m, vf a)
{
    return _mm512_maskz_mov_ps(m, a);
}
static inline float vf_sum(vf a)
{
    return _mm512_reduce_add_ps(a);
}
static inline vf vf_round(vf a)
{
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
/** a · 2^k for integral k in [−126, 0]. */
static inline vf vf_scale2(vf a, vf k)
{
    return _mm512_scalef_ps(a, k);
}

#else

#define VF_LANES 8
typedef __m256 vf;
typedef __m256 vmask;

static inline vf vf_set(float x)
{
    return _mm256_set1_ps(x);
}
static inline vf vf_load(const float *p)
{
    return _mm256_load_ps(p);
}
static inline void vf_store(float *p, vf a)
{
    _mm256_store_ps(p, a);
}
static inline vf vf_add(vf a, vf b)
{
    return _mm256_add_ps(a, b);
}
static inline vf vf_sub(vf a, vf b)
{
    return _mm256_sub_ps(a, b);
}
static inline vf vf_mul(vf a, vf b)
{
    return _mm256_mul_ps(a, b);
}
static inline vf vf_div(vf a, vf b)
{
    return _mm256_div_ps(a, b);
}
static inline vf vf_fma(vf a, vf b, vf c)
{
    return _mm256_fmadd_ps(a, b, c);
}
static inline vf vf_min(vf a, vf b)
{
    return _mm256_min_ps(a, b);
}
static inline vmask vf_ge(vf a, vf b)
{
    return _mm256_cmp_ps(a, b, _CMP_GE_OQ);
}
static inline vmask vf_gt(vf a, vf b)
{
    return _mm256_cmp_ps(a, b, _CMP_GT_OQ);
}
static inline vmask vm_and(vmask a, vmask b)
{
    return _mm256_and_ps(a, b);
}
static inline vmask vm_andnot(vmask a, vmask b)
{
    return _mm256_andnot_ps(b, a);
}
static inline bool vm_any(vmask a)
{
    return _mm256_movemask_ps(a) != 0;
}
/** a where the mask is set, else b. */
static inline vf vf_pick(vmask m, vf a, vf b)
{
    return _mm256_blendv_ps(b, a, m);
}
static inline vf vf_keep(vmask m, vf a)
{
    return _mm256_and_ps(m, a);
}
static inline float vf_sum(vf a)
{
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}
static inline vf vf_round(vf a)
{
    return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
/** a · 2^k for integral k in [−126, 0]. */
static inline vf vf_scale2(vf a, vf k)
{
    const __m256i bits =
        _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(k), _mm256_set1_epi32(127)), 23);
    return _mm256_mul_ps(a, _mm256_castsi256_ps(bits));
}

#endif

/** e^−s for s ≥ 0; below e^−80 the result is e^−80. Relative error below 3e-6. */
static inline vf vf_exp_neg(vf s)
{
    const vf t = vf_mul(vf_min(s, vf_set(80.0f)), vf_set(-1.44269504f));
    const vf k = vf_round(t), f = vf_sub(t, k);
    vf p = vf_set(0.00133335581f);
    p = vf_fma(p, f, vf_set(0.00961812911f));
    p = vf_fma(p, f, vf_set(0.0555041087f));
    p = vf_fma(p, f, vf_set(0.240226507f));
    p = vf_fma(p, f, vf_set(0.693147181f));
    p = vf_fma(p, f, vf_set(1.0f));
    return vf_scale2(p, k);
}

#endif
