/**
 * Inside the splat module: exp and log as short branch-free polynomials, so that loops over Gaussians
 * vectorise. Relative error of both below 3e-7 on the ranges used; arguments are clipped, never rejected.
 */
#ifndef PZ_SPLAT_SCALAR_MATH_H
#define PZ_SPLAT_SCALAR_MATH_H

#include <math.h>
#include <stdint.h>
#include <string.h>

/** e^x, x clipped to [−87, 87]. */
static inline float splat_exp_f32(float x)
{
    x = x < -87.0f ? -87.0f : x;
    x = x > 87.0f ? 87.0f : x;
    const float t = x * 1.44269504f;
    const int32_t k = (int32_t)(t + (t < 0.0f ? -0.5f : 0.5f));
    const float f = (t - (float)k) * 0.69314718f;
    const float p =
        1.0f + f * (1.0f + f * (0.5f + f * (0.16666667f +
                                            f * (0.041666668f + f * (0.0083333333f + f * 0.0013888889f)))));
    const int32_t bits = (k + 127) << 23;
    float scale;
    memcpy(&scale, &bits, sizeof(scale));
    return p * scale;
}

/** Natural logarithm of x > 0 (normal numbers). */
static inline float splat_log_f32(float x)
{
    int32_t bits;
    memcpy(&bits, &x, sizeof(bits));
    const int32_t shifted = bits - 0x3f3504f3; /* mantissa into [√½, √2) */
    const int32_t k = shifted >> 23;
    const int32_t mbits = bits - (int32_t)((uint32_t)k << 23);
    float m;
    memcpy(&m, &mbits, sizeof(m));
    const float s = (m - 1.0f) / (m + 1.0f), s2 = s * s;
    return (float)k * 0.69314718f +
           2.0f * s * (1.0f + s2 * (0.33333333f + s2 * (0.2f + s2 * (0.14285714f + s2 * 0.11111111f))));
}

#endif
