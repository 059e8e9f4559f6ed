/* Half and bfloat conversions, bit by bit; the F16C forms are chosen per call from the CPU's flags. */
#include "tensor/half.h"

#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

static float from_bits(uint32_t u)
{
    float f;
    memcpy(&f, &u, 4);
    return f;
}

static uint32_t to_bits(float f)
{
    uint32_t u;
    memcpy(&u, &f, 4);
    return u;
}

float pz_f16_to_f32(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16;
    uint32_t e = (h >> 10) & 31u;
    uint32_t m = h & 1023u;
    if (e == 31) /* infinity; NaN becomes quiet, as F16C does */
        return from_bits(sign | 0x7f800000u | (m ? (m << 13) | 0x400000u : 0));
    if (e == 0) {
        float v = (float)m * 0x1p-24f;
        return sign ? -v : v;
    }
    return from_bits(sign | ((e + 112u) << 23) | (m << 13));
}

uint16_t pz_f32_to_f16(float f)
{
    uint32_t u = to_bits(f);
    uint32_t sign = (u >> 16) & 0x8000u;
    u &= 0x7fffffffu;
    if (u > 0x7f800000u)
        return (uint16_t)(sign | 0x7e00u | ((u >> 13) & 0x3ffu));
    if (u >= 0x477ff000u) /* rounds to 65520 or more */
        return (uint16_t)(sign | 0x7c00u);
    if (u < 0x38800000u) {                /* subnormal or zero: let the float adder round at 2^-24 */
        float v = from_bits(u) + 0x1p-1f; /* ulp of [0.5, 1) is 2^-24 */
        return (uint16_t)(sign | (to_bits(v) - 0x3f000000u));
    }
    uint32_t r = u + 0xfffu + ((u >> 13) & 1u);
    return (uint16_t)(sign | ((r - 0x38000000u) >> 13));
}

float pz_bf16_to_f32(uint16_t h)
{
    return from_bits((uint32_t)h << 16);
}

uint16_t pz_f32_to_bf16(float f)
{
    uint32_t u = to_bits(f);
    if ((u & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)((u >> 16) | 0x40u);
    return (uint16_t)((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
}

#if defined(__x86_64__)
__attribute__((target("avx,f16c"))) static size_t widen_f16c(const uint8_t *s, float *d, size_t n)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(d + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)(s + 2 * i))));
    return i;
}

__attribute__((target("avx,f16c"))) static size_t narrow_f16c(const float *s, uint8_t *d, size_t n)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm_storeu_si128((__m128i *)(void *)(d + 2 * i),
                         _mm256_cvtps_ph(_mm256_loadu_ps(s + i), _MM_FROUND_TO_NEAREST_INT));
    return i;
}

/* clang 14 knows no "f16c" in __builtin_cpu_supports; "avx" tells that the system saves the registers. */
static int has_f16c(void)
{
    unsigned a, b, c, d;
    return __builtin_cpu_supports("avx") && __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
}
#endif

void pz_f16_to_f32_array(const void *src, float *dst, size_t n)
{
    const uint8_t *s = src;
    size_t i = 0;
#if defined(__x86_64__)
    if (has_f16c())
        i = widen_f16c(s, dst, n);
#endif
    for (; i < n; i++) {
        uint16_t h;
        memcpy(&h, s + 2 * i, 2);
        dst[i] = pz_f16_to_f32(h);
    }
}

void pz_f32_to_f16_array(const float *src, void *dst, size_t n)
{
    uint8_t *d = dst;
    size_t i = 0;
#if defined(__x86_64__)
    if (has_f16c())
        i = narrow_f16c(src, d, n);
#endif
    for (; i < n; i++) {
        uint16_t h = pz_f32_to_f16(src[i]);
        memcpy(d + 2 * i, &h, 2);
    }
}

/* The bodies of the BF16 forms; the compiler makes vectors of them, once for each instruction set. */
#define BF16_FORMS(name, attributes)                                                                         \
    attributes static void widen_bf16_##name(const uint8_t *s, float *d, size_t n)                           \
    {                                                                                                        \
        for (size_t i = 0; i < n; i++) {                                                                     \
            uint16_t h;                                                                                      \
            memcpy(&h, s + 2 * i, 2);                                                                        \
            uint32_t u = (uint32_t)h << 16;                                                                  \
            memcpy(d + i, &u, 4);                                                                            \
        }                                                                                                    \
    }                                                                                                        \
    attributes static void narrow_bf16_##name(const float *s, uint8_t *d, size_t n)                          \
    {                                                                                                        \
        for (size_t i = 0; i < n; i++) {                                                                     \
            uint32_t u;                                                                                      \
            memcpy(&u, s + i, 4);                                                                            \
            uint32_t r = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16, nan = (u >> 16) | 0x40u;                    \
            uint16_t h = (uint16_t)((u & 0x7fffffffu) > 0x7f800000u ? nan : r);                              \
            memcpy(d + 2 * i, &h, 2);                                                                        \
        }                                                                                                    \
    }

BF16_FORMS(plain, )
#if defined(__x86_64__)
BF16_FORMS(avx2, __attribute__((target("avx2"))))
#endif

void pz_bf16_to_f32_array(const void *src, float *dst, size_t n)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) {
        widen_bf16_avx2(src, dst, n);
        return;
    }
#endif
    widen_bf16_plain(src, dst, n);
}

void pz_f32_to_bf16_array(const float *src, void *dst, size_t n)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) {
        narrow_bf16_avx2(src, dst, n);
        return;
    }
#endif
    narrow_bf16_plain(src, dst, n);
}
