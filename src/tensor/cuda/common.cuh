/* Shared by the .cu files: element access, packs of 16 bytes, activations, block sums, launch sizes. */
#ifndef PZ_TENSOR_CUDA_COMMON_CUH
#define PZ_TENSOR_CUDA_COMMON_CUH

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include "tensor/cuda/kernels.h"

__device__ __forceinline__ float get(const float *p, long long i)
{
    return p[i];
}

__device__ __forceinline__ float get(const __half *p, long long i)
{
    return __half2float(p[i]);
}

__device__ __forceinline__ float get(const __nv_bfloat16 *p, long long i)
{
    return __bfloat162float(p[i]);
}

__device__ __forceinline__ void put(float *p, long long i, float v)
{
    p[i] = v;
}

__device__ __forceinline__ void put(__half *p, long long i, float v)
{
    p[i] = __float2half_rn(v);
}

__device__ __forceinline__ void put(__nv_bfloat16 *p, long long i, float v)
{
    p[i] = __float2bfloat16_rn(v);
}

/* 16 bytes of elements. */
template <typename T> struct alignas(16) pack {
    static constexpr int n = 16 / (int)sizeof(T);
    T v[n];
};

template <typename T> __device__ __forceinline__ pack<T> load_pack(const T *p, long long i)
{
    return *reinterpret_cast<const pack<T> *>(p + i * pack<T>::n);
}

template <typename T> __device__ __forceinline__ void store_pack(T *p, long long i, const pack<T> &v)
{
    *reinterpret_cast<pack<T> *>(p + i * pack<T>::n) = v;
}

__device__ __forceinline__ float apply(int fn, float v, float param)
{
    switch (fn) {
    case PZ_CK_RELU:
        return v > 0 ? v : 0;
    case PZ_CK_RELU6:
        return v > 0 ? (v < 6 ? v : 6) : 0;
    case PZ_CK_PRELU:
    case PZ_CK_LEAKY:
        return v > 0 ? v : param * v;
    case PZ_CK_SILU:
        return v / (1.0f + expf(-v));
    case PZ_CK_GELU:
        return 0.5f * v * (1.0f + erff(v * 0.70710678118654752f));
    case PZ_CK_GELU_TANH:
        return 0.5f * v * (1.0f + tanhf(0.79788456080286536f * (v + 0.044715f * v * v * v)));
    case PZ_CK_TANH:
        return tanhf(v);
    case PZ_CK_EXP:
        return expf(v);
    case PZ_CK_SIGMOID:
        return 1.0f / (1.0f + expf(-v));
    default:
        return v;
    }
}

__device__ __forceinline__ float warp_sum(float v)
{
    for (int o = 16; o; o >>= 1)
        v += __shfl_xor_sync(0xffffffffu, v, o);
    return v;
}

__device__ __forceinline__ float warp_max(float v)
{
    for (int o = 16; o; o >>= 1)
        v = fmaxf(v, __shfl_xor_sync(0xffffffffu, v, o));
    return v;
}

/* Sum (or maximum) over a block of a multiple of 32 threads, given to all; `room` is 33 floats. */
template <bool MAX> __device__ __forceinline__ float block_reduce(float v, float *room)
{
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, warps = blockDim.x >> 5;
    v = MAX ? warp_max(v) : warp_sum(v);
    __syncthreads();
    if (lane == 0)
        room[warp] = v;
    __syncthreads();
    if (warp == 0) {
        float s = lane < warps ? room[lane] : (MAX ? -INFINITY : 0.0f);
        s = MAX ? warp_max(s) : warp_sum(s);
        if (lane == 0)
            room[32] = s;
    }
    __syncthreads();
    return room[32];
}

/* Blocks of 256 for n threads' worth of work, bounded: kernels loop with a grid stride. */
static inline unsigned blocks_for(long long n)
{
    long long b = (n + 255) / 256;
    return (unsigned)(b < 1 ? 1 : b > 132 * 32 ? 132 * 32 : b);
}

#define GRID_LOOP(i, n)                                                                                      \
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < (n);                            \
         i += (long long)gridDim.x * blockDim.x)

/* Run a statement in which T is the element type named by `type`. */
#define BY_TYPE(type, ...)                                                                                   \
    do {                                                                                                     \
        if ((type) == PZ_CK_F16) {                                                                           \
            using T = __half;                                                                                \
            __VA_ARGS__;                                                                                     \
        } else if ((type) == PZ_CK_BF16) {                                                                   \
            using T = __nv_bfloat16;                                                                         \
            __VA_ARGS__;                                                                                     \
        } else {                                                                                             \
            using T = float;                                                                                 \
            __VA_ARGS__;                                                                                     \
        }                                                                                                    \
        return (int)cudaGetLastError();                                                                      \
    } while (0)

#endif
