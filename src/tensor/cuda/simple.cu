/* Elementwise operations, data movement, pooling, resizing, plain convolutions: memory-bound or rare. */
#include "tensor/cuda/common.cuh"

template <typename S, typename D> static __global__ void convert(const S *x, D *out, long long n)
{
    GRID_LOOP(i, n)
    put(out, i, get(x, i));
}

extern "C" int pz_ck_convert(const void *src, int src_half, void *dst, int dst_half, long long n,
                             pz_stream stream)
{
    unsigned g = blocks_for(n);
    if (src_half && dst_half)
        convert<<<g, 256, 0, stream>>>((const __half *)src, (__half *)dst, n);
    else if (src_half)
        convert<<<g, 256, 0, stream>>>((const __half *)src, (float *)dst, n);
    else if (dst_half)
        convert<<<g, 256, 0, stream>>>((const float *)src, (__half *)dst, n);
    else
        convert<<<g, 256, 0, stream>>>((const float *)src, (float *)dst, n);
    return (int)cudaGetLastError();
}

/* Four packs in flight a thread would need more registers than it gains: one pack, many warps. */
template <typename T> static __global__ void unary(int fn, float param, const T *x, T *out, long long n)
{
    long long packs = n / pack<T>::n;
    GRID_LOOP(i, packs)
    {
        pack<T> v = load_pack(x, i);
#pragma unroll
        for (int k = 0; k < pack<T>::n; k++)
            put(v.v, k, apply(fn, get(v.v, k), param));
        store_pack(out, i, v);
    }
    long long at = packs * pack<T>::n + blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (at < n)
        put(out, at, apply(fn, get(x, at), param));
}

extern "C" int pz_ck_unary(int half, int fn, float param, const void *x, void *out, long long n,
                           pz_stream stream)
{
    unsigned g = blocks_for(n / (half ? 8 : 4));
    BY_TYPE(half, (unary<<<g, 256, 0, stream>>>(fn, param, (const float *)x, (float *)out, n)),
            (unary<<<g, 256, 0, stream>>>(fn, param, (const __half *)x, (__half *)out, n)));
}

__device__ __forceinline__ float combine(int op, float a, float b)
{
    return op == 0 ? a + b : op == 1 ? a - b : a * b;
}

template <typename T>
static __global__ void binary_same(int op, int act, const T *a, const T *b, T *out, long long n)
{
    long long packs = n / pack<T>::n;
    GRID_LOOP(i, packs)
    {
        pack<T> p = load_pack(a, i), q = load_pack(b, i);
#pragma unroll
        for (int k = 0; k < pack<T>::n; k++)
            put(p.v, k, apply(act, combine(op, get(p.v, k), get(q.v, k)), 0));
        store_pack(out, i, p);
    }
    long long at = packs * pack<T>::n + blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (at < n)
        put(out, at, apply(act, combine(op, get(a, at), get(b, at)), 0));
}

template <typename T>
static __global__ void binary_axes(int op, int act, pz_ck_axes x, const T *a, const T *b, T *out, long long n)
{
    GRID_LOOP(i, n)
    {
        unsigned left = (unsigned)i;
        long long p = 0, q = 0;
        for (int k = x.rank - 1; k >= 0; k--) {
            unsigned at = left % (unsigned)x.dim[k];
            left /= (unsigned)x.dim[k];
            p += at * x.step[0][k];
            q += at * x.step[1][k];
        }
        put(out, i, apply(act, combine(op, get(a, p), get(b, q)), 0));
    }
}

extern "C" int pz_ck_binary(int half, int op, int act, const struct pz_ck_axes *axes, const void *a,
                            const void *b, void *out, long long n, pz_stream stream)
{
    if (!axes) {
        unsigned g = blocks_for(n / (half ? 8 : 4));
        BY_TYPE(half,
                (binary_same<<<g, 256, 0, stream>>>(op, act, (const float *)a, (const float *)b, (float *)out,
                                                    n)),
                (binary_same<<<g, 256, 0, stream>>>(op, act, (const __half *)a, (const __half *)b,
                                                    (__half *)out, n)));
    }
    unsigned g = blocks_for(n);
    BY_TYPE(half,
            (binary_axes<<<g, 256, 0, stream>>>(op, act, *axes, (const float *)a, (const float *)b,
                                                (float *)out, n)),
            (binary_axes<<<g, 256, 0, stream>>>(op, act, *axes, (const __half *)a, (const __half *)b,
                                                (__half *)out, n)));
}

template <typename T, int V>
static __global__ void epilogue(int act, const T *x, const T *bias, const T *residual, const T *slope, T *out,
                                int c, long long n)
{
    struct alignas(sizeof(T) * V) some {
        T v[V];
    };
    GRID_LOOP(i, n / V)
    {
        int c0 = (int)(i * V % c);
        some v = reinterpret_cast<const some *>(x)[i], r = {};
        if (residual)
            r = reinterpret_cast<const some *>(residual)[i];
#pragma unroll
        for (int k = 0; k < V; k++) {
            float s = get(v.v, k);
            s += bias ? get(bias, c0 + k) : 0.0f;
            s += residual ? get(r.v, k) : 0.0f;
            put(v.v, k, apply(act, s, slope ? get(slope, c0 + k) : 0.0f));
        }
        reinterpret_cast<some *>(out)[i] = v;
    }
}

template <typename T>
static void epilogue_as(int act, const void *x, const void *bias, const void *residual, const void *slope,
                        void *out, int c, long long n, pz_stream stream)
{
    constexpr int V = pack<T>::n;
    if (c % V == 0)
        epilogue<T, V><<<blocks_for(n / V), 256, 0, stream>>>(
            act, (const T *)x, (const T *)bias, (const T *)residual, (const T *)slope, (T *)out, c, n);
    else
        epilogue<T, 1><<<blocks_for(n), 256, 0, stream>>>(
            act, (const T *)x, (const T *)bias, (const T *)residual, (const T *)slope, (T *)out, c, n);
}

extern "C" int pz_ck_epilogue(int half, int act, const void *x, const void *bias, const void *residual,
                              const void *slope, void *out, int c, long long n, pz_stream stream)
{
    BY_TYPE(half, epilogue_as<float>(act, x, bias, residual, slope, out, c, n, stream),
            epilogue_as<__half>(act, x, bias, residual, slope, out, c, n, stream));
}

template <typename T, int V> static __global__ void geglu(const T *x, T *out, int c, long long rows)
{
    struct alignas(sizeof(T) * V) some {
        T v[V];
    };
    int per = c / V;
    GRID_LOOP(i, rows * per)
    {
        long long r = i / per, k = i % per;
        some a = reinterpret_cast<const some *>(x + r * 2 * c)[k];
        some b = reinterpret_cast<const some *>(x + r * 2 * c + c)[k];
#pragma unroll
        for (int j = 0; j < V; j++)
            put(a.v, j, get(a.v, j) * apply(PZ_CK_GELU, get(b.v, j), 0));
        reinterpret_cast<some *>(out)[i] = a;
    }
}

template <typename T> static void geglu_as(const void *x, void *out, int c, long long rows, pz_stream stream)
{
    constexpr int V = pack<T>::n;
    if (c % V == 0)
        geglu<T, V><<<blocks_for(rows * c / V), 256, 0, stream>>>((const T *)x, (T *)out, c, rows);
    else
        geglu<T, 1><<<blocks_for(rows * c), 256, 0, stream>>>((const T *)x, (T *)out, c, rows);
}

extern "C" int pz_ck_geglu(int half, const void *x, void *out, int c, long long rows, pz_stream stream)
{
    BY_TYPE(half, geglu_as<float>(x, out, c, rows, stream), geglu_as<__half>(x, out, c, rows, stream));
}

template <typename T>
static __global__ void gather(pz_ck_axes x, float fill, const T *in, T *out, long long n)
{
    GRID_LOOP(i, n)
    {
        unsigned left = (unsigned)i;
        long long at = 0;
        bool inside = true;
        for (int k = x.rank - 1; k >= 0; k--) {
            int v = (int)(left % (unsigned)x.dim[k]) - x.begin[k];
            left /= (unsigned)x.dim[k];
            inside = inside && v >= 0 && v < x.size[k];
            at += v * x.step[0][k];
        }
        if (inside)
            out[i] = in[at];
        else
            put(out, i, fill);
    }
}

/* The same in packs of 16 bytes, for data that only moves: no fill. */
static __global__ void gather_packs(pz_ck_axes x, const uint4 *in, uint4 *out, long long n)
{
    GRID_LOOP(i, n)
    {
        unsigned left = (unsigned)i;
        long long at = 0;
        for (int k = x.rank - 1; k >= 0; k--) {
            at += ((int)(left % (unsigned)x.dim[k]) - x.begin[k]) * x.step[0][k];
            left /= (unsigned)x.dim[k];
        }
        out[i] = in[at];
    }
}

/* Whether the last axis moves in whole packs and no coordinate lies outside; then counts in packs. */
static bool as_packs(int half, const struct pz_ck_axes *axes, struct pz_ck_axes *x)
{
    int v = half ? 8 : 4, last = axes->rank - 1;
    *x = *axes;
    if (last < 0 || axes->step[0][last] != 1 || axes->dim[last] % v || axes->begin[last] % v)
        return false;
    for (int k = 0; k <= last; k++) {
        if (axes->begin[k] > 0 || axes->dim[k] - axes->begin[k] > axes->size[k] ||
            (k < last && axes->step[0][k] % v))
            return false;
        x->step[0][k] = k < last ? axes->step[0][k] / v : 1;
    }
    x->dim[last] /= v;
    x->begin[last] /= v;
    return true;
}

static __global__ void copy_rows(const uint4 *x, uint4 *out, long long rows, long long packs, long long pitch)
{
    GRID_LOOP(i, rows * packs)
    {
        unsigned u = (unsigned)i, r = u / (unsigned)packs;
        out[r * pitch + u % (unsigned)packs] = x[i];
    }
}

extern "C" int pz_ck_copy_rows(const void *x, void *out, long long rows, long long part, long long pitch,
                               pz_stream stream)
{
    long long packs = part / 16;
    copy_rows<<<blocks_for(rows * packs), 256, 0, stream>>>((const uint4 *)x, (uint4 *)out, rows, packs,
                                                            pitch / 16);
    return (int)cudaGetLastError();
}

extern "C" int pz_ck_gather(int half, const struct pz_ck_axes *axes, float fill, const void *x, void *out,
                            long long n, pz_stream stream)
{
    struct pz_ck_axes packs;
    unsigned g = blocks_for(n);
    if (as_packs(half, axes, &packs)) {
        n /= half ? 8 : 4;
        gather_packs<<<blocks_for(n), 256, 0, stream>>>(packs, (const uint4 *)x, (uint4 *)out, n);
        return (int)cudaGetLastError();
    }
    BY_TYPE(half, (gather<<<g, 256, 0, stream>>>(*axes, fill, (const float *)x, (float *)out, n)),
            (gather<<<g, 256, 0, stream>>>(*axes, fill, (const __half *)x, (__half *)out, n)));
}

template <typename T>
static __global__ void embedding(const int *ids, const T *table, T *out, long long n, int d, int rows)
{
    GRID_LOOP(i, n * d)
    {
        int id = ids[i / d];
        id = id < 0 ? 0 : id >= rows ? rows - 1 : id;
        out[i] = table[(long long)id * d + i % d];
    }
}

extern "C" int pz_ck_embedding(int half, const int *ids, const void *table, void *out, long long n, int d,
                               int rows, pz_stream stream)
{
    unsigned g = blocks_for(n * d);
    BY_TYPE(half, (embedding<<<g, 256, 0, stream>>>(ids, (const float *)table, (float *)out, n, d, rows)),
            (embedding<<<g, 256, 0, stream>>>(ids, (const __half *)table, (__half *)out, n, d, rows)));
}

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

extern "C" int pz_ck_pool(int half, int mean, int act, const struct pz_ck_window *g, const void *x, void *out,
                          pz_stream stream)
{
    long long n = (long long)g->b * g->oh * g->ow * g->oc;
    BY_TYPE(half, (pool<<<blocks_for(n), 256, 0, stream>>>(mean, act, *g, (const float *)x, (float *)out, n)),
            (pool<<<blocks_for(n), 256, 0, stream>>>(mean, act, *g, (const __half *)x, (__half *)out, n)));
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

extern "C" int pz_ck_resize(int half, int bi, int align_corners, int half_pixel, const struct pz_ck_window *g,
                            const void *x, void *out, pz_stream stream)
{
    BY_TYPE(half, resize_as<float>(bi, align_corners, half_pixel, g, x, out, stream),
            resize_as<__half>(bi, align_corners, half_pixel, g, x, out, stream));
}

template <typename T, int KIND>
static __global__ void conv(pz_ck_window g, const T *x, const T *w, T *out, long long n)
{
    GRID_LOOP(i, n)
    {
        spot s = spot_of(g, i);
        float sum = 0;
        for (int ky = 0; ky < g.kh; ky++)
            for (int kx = 0; kx < g.kw; kx++) {
                int iy, ix;
                if (KIND == 2) {
                    int fy = s.y + g.top - ky * g.dy, fx = s.x + g.left - kx * g.dx;
                    iy = fy / g.sy;
                    ix = fx / g.sx;
                    if (fy < 0 || fx < 0 || fy % g.sy || fx % g.sx)
                        continue;
                } else {
                    iy = s.y * g.sy + ky * g.dy - g.top;
                    ix = s.x * g.sx + kx * g.dx - g.left;
                }
                if (iy < 0 || iy >= g.h || ix < 0 || ix >= g.w)
                    continue;
                const T *p = x + pixel(g, s.b, iy, ix);
                if constexpr (KIND == 1) {
                    sum += get(p, s.c) * get(w, (long long)(ky * g.kw + kx) * g.c + s.c);
                } else {
                    for (int c = 0; c < g.c; c++) {
                        long long at = KIND == 0 ? (((long long)s.c * g.kh + ky) * g.kw + kx) * g.c + c
                                                 : (((long long)c * g.kh + ky) * g.kw + kx) * g.oc + s.c;
                        sum += get(p, c) * get(w, at);
                    }
                }
            }
        put(out, i, sum);
    }
}

template <typename T>
static void conv_as(int kind, const struct pz_ck_window *g, const void *x, const void *w, void *out,
                    pz_stream stream)
{
    long long n = (long long)g->b * g->oh * g->ow * g->oc;
    unsigned k = blocks_for(n);
    if (kind == 0)
        conv<T, 0><<<k, 256, 0, stream>>>(*g, (const T *)x, (const T *)w, (T *)out, n);
    else if (kind == 1)
        conv<T, 1><<<k, 256, 0, stream>>>(*g, (const T *)x, (const T *)w, (T *)out, n);
    else
        conv<T, 2><<<k, 256, 0, stream>>>(*g, (const T *)x, (const T *)w, (T *)out, n);
}

extern "C" int pz_ck_conv(int half, int kind, const struct pz_ck_window *g, const void *x, const void *w,
                          void *out, pz_stream stream)
{
    BY_TYPE(half, conv_as<float>(kind, g, x, w, out, stream), conv_as<__half>(kind, g, x, w, out, stream));
}
