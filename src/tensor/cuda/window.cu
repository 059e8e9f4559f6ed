/* Operations with a window over NHWC pictures: pooling, resizing, depthwise and plain transposed
 * convolutions. */
#include "tensor/cuda/common.cuh"

/* Output pixel and channel of element i. */
struct spot {
    int b, y, x, c;
};

__device__ __forceinline__ spot spot_of(const pz_ck_window &g, long long i)
{
    unsigned u = (unsigned)i;
    spot s;
    s.c = (int)(u % (unsigned)g.oc);
    u /= (unsigned)g.oc;
    s.x = (int)(u % (unsigned)g.ow);
    u /= (unsigned)g.ow;
    s.y = (int)(u % (unsigned)g.oh);
    s.b = (int)(u / (unsigned)g.oh);
    return s;
}

__device__ __forceinline__ long long pixel(const pz_ck_window &g, int b, int y, int x)
{
    return (((long long)b * g.h + y) * g.w + x) * g.c;
}

template <typename T>
static __global__ void pool(int mean, int act, pz_ck_window g, const T *x, T *out, long long n)
{
    GRID_LOOP(i, n)
    {
        spot s = spot_of(g, i);
        float sum = 0, best = -INFINITY;
        int taps = 0;
        for (int ky = 0; ky < g.kh; ky++)
            for (int kx = 0; kx < g.kw; kx++) {
                int iy = s.y * g.sy + ky - g.top, ix = s.x * g.sx + kx - g.left;
                if (iy < 0 || iy >= g.h || ix < 0 || ix >= g.w)
                    continue;
                float v = get(x, pixel(g, s.b, iy, ix) + s.c);
                sum += v;
                best = v > best ? v : best;
                taps++;
            }
        put(out, i, apply(act, mean ? sum / (float)(taps ? taps : 1) : best, 0));
    }
}

extern "C" int pz_ck_pool(int type, int mean, int act, const struct pz_ck_window *g, const void *x, void *out,
                          pz_stream stream)
{
    long long n = (long long)g->b * g->oh * g->ow * g->oc;
    BY_TYPE(type, pool<<<blocks_for(n), 256, 0, stream>>>(mean, act, *g, (const T *)x, (T *)out, n));
}

/* The same roundings as ref: no contraction into fused multiply-adds, for a pixel would tip over. */
__device__ __forceinline__ float source(int align, int half_pixel, int o, int in, int out, bool nearest)
{
    if (align && out > 1)
        return __fdiv_rn(__fmul_rn((float)o, (float)(in - 1)), (float)(out - 1));
    float scale = __fdiv_rn((float)in, (float)out);
    if (half_pixel)
        return __fadd_rn(__fmul_rn(__fadd_rn((float)o, 0.5f), scale), nearest ? -0.0f : -0.5f);
    return __fmul_rn((float)o, scale);
}

__device__ __forceinline__ int clamp_to(int v, int hi)
{
    return v < 0 ? 0 : v > hi ? hi : v;
}

template <typename T, int V>
static __global__ void nearest(int align, int half_pixel, pz_ck_window g, const T *x, T *out, long long n)
{
    struct alignas(sizeof(T) * V) some {
        T v[V];
    };
    int per = g.c / V;
    GRID_LOOP(i, n / V)
    {
        unsigned u = (unsigned)(i / per);
        int c = (int)(i % per), ox = (int)(u % (unsigned)g.ow),
            oy = (int)(u / (unsigned)g.ow % (unsigned)g.oh);
        int b = (int)(u / (unsigned)g.ow / (unsigned)g.oh);
        float fy = source(align, half_pixel, oy, g.h, g.oh, true),
              fx = source(align, half_pixel, ox, g.w, g.ow, true);
        int iy = clamp_to((int)(align ? roundf(fy) : floorf(fy)), g.h - 1);
        int ix = clamp_to((int)(align ? roundf(fx) : floorf(fx)), g.w - 1);
        reinterpret_cast<some *>(out)[i] = reinterpret_cast<const some *>(x + pixel(g, b, iy, ix))[c];
    }
}

template <typename T>
static __global__ void bilinear(int align, int half_pixel, pz_ck_window g, const T *x, T *out, long long n)
{
    GRID_LOOP(i, n)
    {
        spot s = spot_of(g, i);
        float fy = fmaxf(source(align, half_pixel, s.y, g.h, g.oh, false), 0);
        float fx = fmaxf(source(align, half_pixel, s.x, g.w, g.ow, false), 0);
        int y0 = clamp_to((int)fy, g.h - 1), y1 = clamp_to(y0 + 1, g.h - 1);
        int x0 = clamp_to((int)fx, g.w - 1), x1 = clamp_to(x0 + 1, g.w - 1);
        float wy = fy - (float)y0, wx = fx - (float)x0;
        float v00 = get(x, pixel(g, s.b, y0, x0) + s.c), v01 = get(x, pixel(g, s.b, y0, x1) + s.c);
        float v10 = get(x, pixel(g, s.b, y1, x0) + s.c), v11 = get(x, pixel(g, s.b, y1, x1) + s.c);
        put(out, i, (1 - wy) * ((1 - wx) * v00 + wx * v01) + wy * ((1 - wx) * v10 + wx * v11));
    }
}

template <typename T>
static void resize_as(int bi, int align, int hp, const struct pz_ck_window *g, const void *x, void *out,
                      pz_stream stream)
{
    long long n = (long long)g->b * g->oh * g->ow * g->oc;
    constexpr int V = pack<T>::n;
    if (bi)
        bilinear<T><<<blocks_for(n), 256, 0, stream>>>(align, hp, *g, (const T *)x, (T *)out, n);
    else if (g->c % V == 0)
        nearest<T, V><<<blocks_for(n / V), 256, 0, stream>>>(align, hp, *g, (const T *)x, (T *)out, n);
    else
        nearest<T, 1><<<blocks_for(n), 256, 0, stream>>>(align, hp, *g, (const T *)x, (T *)out, n);
}

extern "C" int pz_ck_resize(int type, int bi, int align_corners, int half_pixel, const struct pz_ck_window *g,
                            const void *x, void *out, pz_stream stream)
{
    BY_TYPE(type, resize_as<T>(bi, align_corners, half_pixel, g, x, out, stream));
}

/* Bias and activation on the way out: the sum is rounded once. */
template <typename T>
static __global__ void conv_transposed(int act, pz_ck_window g, const T *x, const T *w, const T *bias, T *out,
                                       long long n)
{
    GRID_LOOP(i, n)
    {
        spot s = spot_of(g, i);
        float sum = 0;
        for (int ky = 0; ky < g.kh; ky++)
            for (int kx = 0; kx < g.kw; kx++) {
                int fy = s.y + g.top - ky * g.dy, fx = s.x + g.left - kx * g.dx, iy = fy / g.sy,
                    ix = fx / g.sx;
                if (fy < 0 || fx < 0 || fy % g.sy || fx % g.sx || iy >= g.h || ix >= g.w)
                    continue;
                const T *p = x + pixel(g, s.b, iy, ix);
                for (int c = 0; c < g.c; c++)
                    sum += get(p, c) * get(w, (((long long)c * g.kh + ky) * g.kw + kx) * g.oc + s.c);
            }
        put(out, i, apply(act, sum + (bias ? get(bias, s.c) : 0.0f), 0));
    }
}

/* Depthwise: a thread has V channels of one output pixel; bias, residual and activation on the way out. */
template <typename T, int V>
static __global__ void depthwise(int act, pz_ck_window g, const T *x, const T *w, const T *bias,
                                 const T *residual, const T *slope, T *out, long long n)
{
    struct alignas(sizeof(T) * V) some {
        T v[V];
    };
    int per = g.c / V;
    GRID_LOOP(i, n / V)
    {
        unsigned u = (unsigned)(i / per);
        int c = (int)(i % per), ox = (int)(u % (unsigned)g.ow),
            oy = (int)(u / (unsigned)g.ow % (unsigned)g.oh), b = (int)(u / (unsigned)g.ow / (unsigned)g.oh);
        float sum[V] = {};
        for (int ky = 0; ky < g.kh; ky++)
            for (int kx = 0; kx < g.kw; kx++) {
                int iy = oy * g.sy + ky * g.dy - g.top, ix = ox * g.sx + kx * g.dx - g.left;
                if (iy < 0 || iy >= g.h || ix < 0 || ix >= g.w)
                    continue;
                some p = reinterpret_cast<const some *>(x + pixel(g, b, iy, ix))[c];
                some q = reinterpret_cast<const some *>(w + (long long)(ky * g.kw + kx) * g.c)[c];
#pragma unroll
                for (int k = 0; k < V; k++)
                    sum[k] += get(p.v, k) * get(q.v, k);
            }
        some r = {};
        if (residual)
            r = reinterpret_cast<const some *>(residual)[i];
#pragma unroll
        for (int k = 0; k < V; k++) {
            float s = sum[k] + (bias ? get(bias, c * V + k) : 0.0f) + (residual ? get(r.v, k) : 0.0f);
            put(r.v, k, apply(act, s, slope ? get(slope, c * V + k) : 0.0f));
        }
        reinterpret_cast<some *>(out)[i] = r;
    }
}

template <typename T>
static void depthwise_as(int act, const struct pz_ck_window *g, const void *x, const void *w,
                         const void *bias, const void *residual, const void *slope, void *out,
                         pz_stream stream)
{
    long long n = (long long)g->b * g->oh * g->ow * g->oc;
    constexpr int V = pack<T>::n;
    if (g->c % V == 0)
        depthwise<T, V><<<blocks_for(n / V), 256, 0, stream>>>(act, *g, (const T *)x, (const T *)w,
                                                               (const T *)bias, (const T *)residual,
                                                               (const T *)slope, (T *)out, n);
    else
        depthwise<T, 1><<<blocks_for(n), 256, 0, stream>>>(act, *g, (const T *)x, (const T *)w,
                                                           (const T *)bias, (const T *)residual,
                                                           (const T *)slope, (T *)out, n);
}

extern "C" int pz_ck_depthwise(int type, int act, const struct pz_ck_window *g, const void *x, const void *w,
                               const void *bias, const void *residual, const void *slope, void *out,
                               pz_stream stream)
{
    BY_TYPE(type, depthwise_as<T>(act, g, x, w, bias, residual, slope, out, stream));
}

extern "C" int pz_ck_conv_transposed(int type, int act, const struct pz_ck_window *g, const void *x,
                                     const void *w, const void *bias, void *out, pz_stream stream)
{
    long long n = (long long)g->b * g->oh * g->ow * g->oc;
    BY_TYPE(type, (conv_transposed<<<blocks_for(n), 256, 0, stream>>>(act, *g, (const T *)x, (const T *)w,
                                                                      (const T *)bias, (T *)out, n)));
}

template <typename T> static __global__ void channels(const T *x, int c, T *out, int to, long long n)
{
    GRID_LOOP(i, n)
    {
        unsigned k = (unsigned)(i % to);
        long long row = i / to;
        put(out, i, k < (unsigned)c ? get(x, row * c + k) : 0.0f);
    }
}

extern "C" int pz_ck_channels(int type, const void *x, int c, void *out, int to, long long rows,
                              pz_stream stream)
{
    long long n = rows * to;
    BY_TYPE(type, channels<T><<<blocks_for(n), 256, 0, stream>>>((const T *)x, c, (T *)out, to, n));
}

/* A block a row of the output; four packs a thread under way. */
template <typename T> static __global__ void phases(const T *x, T *out, int h, int w, int packs)
{
    constexpr int AHEAD = 4;
    int y = (int)blockIdx.x, p = y & 1, n = 2 * w * packs;
    const T *from = x + ((long long)blockIdx.y * (h + 1) + (y >> 1) + p) * (w + 1) * 4 * packs * pack<T>::n;
    T *to = out + ((long long)blockIdx.y * 2 * h + y) * n * pack<T>::n;
    for (int i = (int)threadIdx.x; i < n; i += AHEAD * (int)blockDim.x) {
        pack<T> v[AHEAD];
#pragma unroll
        for (int k = 0; k < AHEAD; k++) {
            int at = i + k * (int)blockDim.x, u = at / packs, q = u & 1;
            if (at < n)
                v[k] = load_pack(from, (((u >> 1) + q) * 4 + 2 * p + q) * packs + at - u * packs);
        }
#pragma unroll
        for (int k = 0; k < AHEAD; k++)
            if (i + k * (int)blockDim.x < n)
                store_pack(to, i + k * (int)blockDim.x, v[k]);
    }
}

extern "C" int pz_ck_phases(int type, const void *x, void *out, int b, int h, int w, int c, pz_stream stream)
{
    dim3 grid(2u * (unsigned)h, (unsigned)b);
    BY_TYPE(type, phases<T><<<grid, 256, 0, stream>>>((const T *)x, (T *)out, h, w, c / pack<T>::n));
}
