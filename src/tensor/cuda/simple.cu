/* Elementwise operations and data movement: memory-bound. */
#include <float.h>

#include "tensor/cuda/common.cuh"

template <typename S, typename D> static __global__ void convert(const S *x, D *out, long long n)
{
    GRID_LOOP(i, n)
    put(out, i, get(x, i));
}

template <typename S> static int convert_from(const S *x, void *out, int type, long long n, pz_stream stream)
{
    BY_TYPE(type, (convert<<<blocks_for(n), 256, 0, stream>>>(x, (T *)out, n)));
}

extern "C" int pz_ck_convert(const void *src, int src_type, void *dst, int dst_type, long long n,
                             pz_stream stream)
{
    if (src_type == PZ_CK_F16)
        return convert_from((const __half *)src, dst, dst_type, n, stream);
    if (src_type == PZ_CK_BF16)
        return convert_from((const __nv_bfloat16 *)src, dst, dst_type, n, stream);
    return convert_from((const float *)src, dst, dst_type, n, stream);
}

__device__ __forceinline__ float any(int fn, float v, float p, float q)
{
    switch (fn) {
    case PZ_CK_HARD_SIGMOID:
        return fminf(fmaxf(v + 3, 0), 6) / 6;
    case PZ_CK_HARD_SWISH:
        return v * (fminf(fmaxf(v + 3, 0), 6) / 6);
    case PZ_CK_CLAMP:
        return fminf(fmaxf(v, p), q);
    case PZ_CK_SQRT:
        return sqrtf(fmaxf(v, 0));
    case PZ_CK_RSQRT:
        return 1.0f / sqrtf(v + p);
    case PZ_CK_LOG:
        return logf(fmaxf(v, FLT_MIN));
    case PZ_CK_POW:
        return powf(v, p);
    case PZ_CK_SOFTPLUS:
        return fmaxf(v, 0) + log1pf(expf(-fabsf(v)));
    default:
        return apply(fn, v, p);
    }
}

/* Four packs in flight a thread would need more registers than it gains: one pack, many warps. */
template <typename T> static __global__ void unary(int fn, float p, float q, const T *x, T *out, long long n)
{
    long long packs = n / pack<T>::n;
    GRID_LOOP(i, packs)
    {
        pack<T> v = load_pack(x, i);
#pragma unroll
        for (int k = 0; k < pack<T>::n; k++)
            put(v.v, k, any(fn, get(v.v, k), p, q));
        store_pack(out, i, v);
    }
    long long at = packs * pack<T>::n + blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (at < n)
        put(out, at, any(fn, get(x, at), p, q));
}

extern "C" int pz_ck_unary(int type, int fn, float p, float q, const void *x, void *out, long long n,
                           pz_stream stream)
{
    unsigned g = blocks_for(n / (type ? 8 : 4));
    BY_TYPE(type, unary<<<g, 256, 0, stream>>>(fn, p, q, (const T *)x, (T *)out, n));
}

__device__ __forceinline__ float combine(int op, float a, float b)
{
    return op == 0 ? a + b : op == 1 ? a - b : op == 2 ? a * b : a / b;
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

/* Whether the last axis moves in whole packs in both sources; then counts in packs. */
static bool binary_in_packs(int type, const struct pz_ck_axes *axes, struct pz_ck_axes *x)
{
    int v = type ? 8 : 4, last = axes->rank - 1;
    *x = *axes;
    if (last < 0 || axes->dim[last] % v)
        return false;
    for (int s = 0; s < 2; s++)
        for (int k = 0; k <= last; k++) {
            if (k == last ? axes->step[s][k] != 1 : axes->step[s][k] % v)
                return false;
            x->step[s][k] = k < last ? axes->step[s][k] / v : 1;
        }
    x->dim[last] /= v;
    return true;
}

template <typename T>
static __global__ void binary_packs(int op, int act, pz_ck_axes x, const T *a, const T *b, T *out,
                                    long long n)
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
        pack<T> u = load_pack(a, p), v = load_pack(b, q);
#pragma unroll
        for (int k = 0; k < pack<T>::n; k++)
            put(u.v, k, apply(act, combine(op, get(u.v, k), get(v.v, k)), 0));
        store_pack(out, i, u);
    }
}

extern "C" int pz_ck_binary(int type, int op, int act, const struct pz_ck_axes *axes, const void *a,
                            const void *b, void *out, long long n, pz_stream stream)
{
    if (!axes) {
        unsigned g = blocks_for(n / (type ? 8 : 4));
        BY_TYPE(type, binary_same<<<g, 256, 0, stream>>>(op, act, (const T *)a, (const T *)b, (T *)out, n));
    }
    struct pz_ck_axes packs;
    if (binary_in_packs(type, axes, &packs)) {
        n /= type ? 8 : 4;
        BY_TYPE(type, (binary_packs<<<blocks_for(n), 256, 0, stream>>>(op, act, packs, (const T *)a,
                                                                       (const T *)b, (T *)out, n)));
    }
    unsigned g = blocks_for(n);
    BY_TYPE(type,
            binary_axes<<<g, 256, 0, stream>>>(op, act, *axes, (const T *)a, (const T *)b, (T *)out, n));
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

extern "C" int pz_ck_epilogue(int type, int act, const void *x, const void *bias, const void *residual,
                              const void *slope, void *out, int c, long long n, pz_stream stream)
{
    BY_TYPE(type, epilogue_as<T>(act, x, bias, residual, slope, out, c, n, stream));
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

extern "C" int pz_ck_geglu(int type, const void *x, void *out, int c, long long rows, pz_stream stream)
{
    BY_TYPE(type, geglu_as<T>(x, out, c, rows, stream));
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
static bool as_packs(int type, const struct pz_ck_axes *axes, struct pz_ck_axes *x)
{
    int v = type ? 8 : 4, last = axes->rank - 1;
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

extern "C" int pz_ck_gather(int type, const struct pz_ck_axes *axes, float fill, const void *x, void *out,
                            long long n, pz_stream stream)
{
    struct pz_ck_axes packs;
    unsigned g = blocks_for(n);
    if (as_packs(type, axes, &packs)) {
        n /= type ? 8 : 4;
        gather_packs<<<blocks_for(n), 256, 0, stream>>>(packs, (const uint4 *)x, (uint4 *)out, n);
        return (int)cudaGetLastError();
    }
    BY_TYPE(type, gather<<<g, 256, 0, stream>>>(*axes, fill, (const T *)x, (T *)out, n));
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

extern "C" int pz_ck_embedding(int type, const int *ids, const void *table, void *out, long long n, int d,
                               int rows, pz_stream stream)
{
    unsigned g = blocks_for(n * d);
    BY_TYPE(type, embedding<<<g, 256, 0, stream>>>(ids, (const T *)table, (T *)out, n, d, rows));
}
