/*
 * Vectors and elementary functions of the vector kernels; part of kernels_tmpl.h. Vectors are GCC's own.
 * exp: Cody–Waite reduction and Cephes' degree-5 polynomial, ≤ 2 ulp, 0 below -87.3, inf above 88.7. erf:
 * Abramowitz and Stegun 7.1.26, absolute error ≤ 2e-7, so GELU's is ≤ 2e-7 |x|. tanh, sigmoid: ≤ 2e-7. NaN
 * stays NaN.
 */
typedef float vec __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef int ivec __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

typedef uint32_t uvec __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef uint16_t hvec __attribute__((vector_size(2 * LANES), aligned(2), may_alias));

#define INLINE static inline __attribute__((always_inline))

INLINE vec load(const float *p)
{
    return *(const vec *)p;
}

INLINE void store(float *p, vec v)
{
    *(vec *)p = v;
}

INLINE vec splat(float v)
{
    return v - (vec){0};
}

/* mask lanes are all ones or all zeros */
INLINE vec choose(ivec mask, vec yes, vec no)
{
    return (vec)((mask & (ivec)yes) | (~mask & (ivec)no));
}

INLINE vec select_positive(vec v, vec other)
{
    return choose(v > 0, v, other);
}

/* BF16: the upper half of a float, rounded to nearest, ties to even; NaN stays NaN. */
INLINE vec load_half(const uint16_t *p)
{
    return (vec)(__builtin_convertvector(*(const hvec *)p, uvec) << 16);
}

INLINE void store_half(uint16_t *p, vec v)
{
    uvec u = (uvec)v, r = u + 0x7fff + ((u >> 16) & 1);
    ivec ok = v == v;
    r = ((uvec)ok & r) | (~(uvec)ok & (u | 0x400000));
    *(hvec *)p = __builtin_convertvector(r >> 16, hvec);
}

INLINE vec load_as(const void *p, size_t i, bool half)
{
    return half ? load_half((const uint16_t *)p + i) : load((const float *)p + i);
}

INLINE void store_as(void *p, size_t i, bool half, vec v)
{
    if (half)
        store_half((uint16_t *)p + i, v);
    else
        store((float *)p + i, v);
}

INLINE vec exp_vec(vec x)
{
    vec c = choose(x > splat(89), splat(89), x);
    c = choose(c < splat(-88), splat(-88), c);
    vec t = c * splat(1.44269504f) + splat(12582912.0f); /* 1.5 × 2²³: the low bits hold the integer */
    vec n = t - splat(12582912.0f);
    vec r = c - n * splat(0.693359375f) + n * splat(2.12194440e-4f);
    vec p = splat(1.9875691500e-4f);
    p = p * r + splat(1.3981999507e-3f);
    p = p * r + splat(8.3334519073e-3f);
    p = p * r + splat(4.1665795894e-2f);
    p = p * r + splat(1.6666665459e-1f);
    p = p * r + splat(5.0000001201e-1f);
    p = p * r * r + r + splat(1);
    vec y = (vec)((ivec)p + ((ivec)t << 23));
    y = choose(x < splat(-87.3f), (vec){0}, y);
    y = choose(x > splat(88.72283f), splat(INFINITY), y);
    return choose(x == x, y, x);
}

INLINE vec abs_vec(vec x)
{
    return (vec)((ivec)x & 0x7fffffff);
}

INLINE vec sign_of(vec magnitude, vec x)
{
    return (vec)((ivec)magnitude | ((ivec)x & (int)0x80000000));
}

INLINE vec erf_vec(vec x)
{
    vec a = abs_vec(x), t = 1.0f / (splat(0.3275911f) * a + splat(1));
    vec p = splat(1.061405429f);
    p = p * t + splat(-1.453152027f);
    p = p * t + splat(1.421413741f);
    p = p * t + splat(-0.284496736f);
    p = p * t + splat(0.254829592f);
    return sign_of(1.0f - p * t * exp_vec(-(a * a)), x);
}

INLINE vec gelu_vec(vec x)
{
    return splat(0.5f) * x * (erf_vec(x * splat(0.70710678f)) + 1.0f);
}

INLINE vec sigmoid_vec(vec x)
{
    return 1.0f / (exp_vec(-x) + 1.0f);
}

INLINE vec silu_vec(vec x)
{
    return x / (exp_vec(-x) + 1.0f);
}

INLINE vec tanh_vec(vec x)
{
    vec z = x * x, p = splat(-5.70498872745e-3f);
    p = p * z + splat(2.06390887954e-2f);
    p = p * z + splat(-5.37397155531e-2f);
    p = p * z + splat(1.33314422036e-1f);
    p = p * z + splat(-3.33332819422e-1f);
    vec small = p * z * x + x, a = abs_vec(x);
    vec big = sign_of(1.0f - 2.0f / (exp_vec(a + a) + 1.0f), x);
    return choose(a < splat(0.625f), small, big);
}

/* Cephes' logf: x = 2ⁿ m with m in [√½, √2), a degree-8 polynomial of m − 1; ≤ 2 ulp. x ≥ the smallest
 * normal. */
INLINE vec log_vec(vec x)
{
    x = choose(x < splat(1.17549435e-38f), splat(1.17549435e-38f), x);
    ivec bits = (ivec)x - 0x3f3504f3;
    ivec n = bits >> 23;
    vec m = (vec)((bits & 0x7fffff) + 0x3f3504f3) - 1.0f, e = __builtin_convertvector(n, vec), z = m * m;
    vec p = splat(7.0376836292e-2f);
    p = p * m + splat(-1.1514610310e-1f);
    p = p * m + splat(1.1676998740e-1f);
    p = p * m + splat(-1.2420140846e-1f);
    p = p * m + splat(1.4249322787e-1f);
    p = p * m + splat(-1.6668057665e-1f);
    p = p * m + splat(2.0000714765e-1f);
    p = p * m + splat(-2.4999993993e-1f);
    p = p * m + splat(3.3333331174e-1f);
    vec y = p * m * z + e * splat(-2.12194440e-4f) - z * 0.5f;
    vec r = m + y + e * splat(0.693359375f);
    return choose(x > splat(3.4e38f), x, r);
}

INLINE vec sqrt_vec(vec x)
{
    vec r;
    for (int i = 0; i < LANES; i++)
        r[i] = __builtin_sqrtf(x[i]);
    return r;
}

INLINE vec hard_sigmoid_vec(vec x)
{
    x = x + 3.0f;
    x = choose(x > (vec){0}, x, (vec){0});
    return choose(x < splat(6), x, splat(6)) / 6.0f;
}

INLINE vec softplus_vec(vec x)
{
    return select_positive(x, (vec){0}) + log_vec(exp_vec(-abs_vec(x)) + 1.0f);
}

INLINE vec gelu_tanh_vec(vec x)
{
    vec u = splat(0.79788456f) * (x * x * x * splat(0.044715f) + x);
    /* ½(1 + tanh u) is sigmoid(2u): no cancellation for large negative u */
    return x * sigmoid_vec(u + u);
}

INLINE vec act_vec(enum pz_act act, vec v, vec slope)
{
    switch (act) {
    case PZ_ACT_NONE:
        return v;
    case PZ_ACT_PRELU:
        return select_positive(v, v * slope);
    case PZ_ACT_SILU:
        return silu_vec(v);
    case PZ_ACT_GELU:
        return gelu_vec(v);
    case PZ_ACT_RELU6:
    case PZ_ACT_RELU:
        break;
    }
    v = select_positive(v, (vec){0});
    return act == PZ_ACT_RELU6 ? choose(v < 6, v, splat(6)) : v;
}

INLINE float act_one(enum pz_act act, float v, float slope)
{
    vec t = act_vec(act, splat(v), splat(slope));
    return t[0];
}

/* Up to LANES values, the rest of the vector zero; and back. */
INLINE vec load_some(const float *p, size_t n)
{
    float t[LANES] = {0};
    memcpy(t, p, n * sizeof *p);
    return load(t);
}

INLINE void store_some(float *p, vec v, size_t n)
{
    float t[LANES];
    memcpy(t, &v, sizeof t);
    memcpy(p, t, n * sizeof *p);
}

INLINE vec load_upto(const float *p, size_t n)
{
    return n >= LANES ? load(p) : load_some(p, n);
}

INLINE void store_upto(float *p, vec v, size_t n)
{
    if (n >= LANES)
        store(p, v);
    else
        store_some(p, v, n);
}

INLINE vec load_as_upto(const void *p, size_t i, bool half, size_t n)
{
    uint16_t t[LANES] = {0};
    if (!half)
        return load_upto((const float *)p + i, n);
    if (n >= LANES)
        return load_half((const uint16_t *)p + i);
    memcpy(t, (const uint16_t *)p + i, n * sizeof *t);
    return load_half(t);
}

INLINE void store_as_upto(void *p, size_t i, bool half, vec v, size_t n)
{
    uint16_t t[LANES];
    if (!half) {
        store_upto((float *)p + i, v, n);
    } else if (n >= LANES) {
        store_half((uint16_t *)p + i, v);
    } else {
        store_half(t, v);
        memcpy((uint16_t *)p + i, t, n * sizeof *t);
    }
}

INLINE float sum_of(vec v)
{
    float s = 0;
    for (int i = 0; i < LANES; i++)
        s += v[i];
    return s;
}

INLINE float top_of(vec v)
{
    float s = v[0];
    for (int i = 1; i < LANES; i++)
        s = v[i] > s ? v[i] : s;
    return s;
}
