/*
 * Flash attention (Dao et al. 2022) for F16 and BF16 on tensor cores (mma.sync m16n8k16, F32 accumulation):
 * 64 queries a block, 16 a warp; keys and values pass through shared memory 64 at a time, the next 64 being
 * fetched meanwhile; scores never leave registers. No mask. Layout [B,T,H,D], D a multiple of 8, padded
 * inside to a multiple of 16. Short sequences (frames of a film: at most 32 keys) have a kernel of their own,
 * a warp a batch element and head.
 */
#include "tensor/cuda/common.cuh"

#define QUERIES 64
#define KEYS 64

template <typename T>
__device__ __forceinline__ void mma(float *d, const unsigned *a, unsigned b0, unsigned b1);

template <>
__device__ __forceinline__ void mma<__nv_bfloat16>(float *d, const unsigned *a, unsigned b0, unsigned b1)
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},"
                 "{%0,%1,%2,%3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

template <> __device__ __forceinline__ void mma<__half>(float *d, const unsigned *a, unsigned b0, unsigned b1)
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},"
                 "{%0,%1,%2,%3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

template <bool TRANS> __device__ __forceinline__ void ldmatrix4(unsigned *r, const void *p)
{
    unsigned at = (unsigned)__cvta_generic_to_shared(p);
    if (TRANS)
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3},[%4];"
                     : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                     : "r"(at));
    else
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3},[%4];"
                     : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                     : "r"(at));
}

template <typename T> __device__ __forceinline__ unsigned two(float x, float y);

template <> __device__ __forceinline__ unsigned two<__half>(float x, float y)
{
    __half2 h = __floats2half2_rn(x, y);
    return *reinterpret_cast<unsigned *>(&h);
}

template <> __device__ __forceinline__ unsigned two<__nv_bfloat16>(float x, float y)
{
    __nv_bfloat162 h = __floats2bfloat162_rn(x, y);
    return *reinterpret_cast<unsigned *>(&h);
}

/* 2^x, one instruction; a score far below the largest becomes 0, as it should. */
__device__ __forceinline__ float exp2_fast(float x)
{
    float y;
    asm("ex2.approx.ftz.f32 %0,%1;" : "=f"(y) : "f"(x));
    return y;
}

/* `many` threads start copying `rows` rows of d values (`step` apart) into shared memory [ROWS][DP + 8],
 * zeros beyond. */
template <int DP, int ROWS, typename T>
__device__ __forceinline__ void tile(T *to, const T *from, int rows, long long step, int d, int thread,
                                     int many)
{
    constexpr int PER = DP / 8;
    for (int i = thread; i < ROWS * PER; i += many) {
        int r = i / PER, c = i % PER * 8;
        bool there = r < rows && c < d;
        unsigned at = (unsigned)__cvta_generic_to_shared(to + r * (DP + 8) + c);
        const T *src = there ? from + r * step + c : from;
        int bytes = there ? 16 : 0;
        asm volatile("cp.async.cg.shared.global [%0],[%1],16,%2;" ::"r"(at), "l"(src), "r"(bytes) : "memory");
    }
}

__device__ __forceinline__ void tiles_sent(void)
{
    asm volatile("cp.async.commit_group;" ::: "memory");
}

template <int LEFT> __device__ __forceinline__ void tiles_wait(void)
{
    asm volatile("cp.async.wait_group %0;" ::"n"(LEFT) : "memory");
}

/* Scores of 16 queries and N·8 keys become weights: exp2(s·scale − top), the running largest and sum follow,
 * `shrink` is what older sums must be multiplied with. Keys from `left` on do not exist. */
template <int N>
__device__ __forceinline__ void weigh(float (*s)[4], float scale_log2, int left, int lane, float *top,
                                      float *sum, float *shrink)
{
    float best[2] = {top[0], top[1]}, part[2] = {0, 0};
    if (left < N * 8) {
#pragma unroll
        for (int n = 0; n < N; n++)
#pragma unroll
            for (int e = 0; e < 4; e++)
                s[n][e] = n * 8 + (lane & 3) * 2 + (e & 1) < left ? s[n][e] : -INFINITY;
    }
#pragma unroll
    for (int n = 0; n < N; n++)
#pragma unroll
        for (int e = 0; e < 4; e++) {
            s[n][e] *= scale_log2;
            best[e >> 1] = fmaxf(best[e >> 1], s[n][e]);
        }
#pragma unroll
    for (int r = 0; r < 2; r++) {
        best[r] = fmaxf(best[r], __shfl_xor_sync(0xffffffffu, best[r], 1));
        best[r] = fmaxf(best[r], __shfl_xor_sync(0xffffffffu, best[r], 2));
        shrink[r] = exp2_fast(top[r] - best[r]);
        top[r] = best[r];
    }
#pragma unroll
    for (int n = 0; n < N; n++)
#pragma unroll
        for (int e = 0; e < 4; e++) {
            s[n][e] = exp2_fast(s[n][e] - top[e >> 1]);
            part[e >> 1] += s[n][e];
        }
    sum[0] = sum[0] * shrink[0] + part[0];
    sum[1] = sum[1] * shrink[1] + part[1];
}

/* Weighted sums of 16 queries, of which `left` exist, divided and stored. */
template <typename T, int DP>
__device__ __forceinline__ void give(T *out, const float (*o)[4], float *sum, int left, int lane,
                                     long long step, int d)
{
#pragma unroll
    for (int r = 0; r < 2; r++) {
        sum[r] += __shfl_xor_sync(0xffffffffu, sum[r], 1);
        sum[r] += __shfl_xor_sync(0xffffffffu, sum[r], 2);
        int row = r * 8 + (lane >> 2);
        if (row >= left)
            continue;
        float inv = 1.0f / sum[r];
        T *to = out + row * step;
#pragma unroll
        for (int i = 0; i < DP / 8; i++) {
            int c = i * 8 + (lane & 3) * 2;
            if (c < d)
                *reinterpret_cast<unsigned *>(to + c) = two<T>(o[i][2 * r] * inv, o[i][2 * r + 1] * inv);
        }
    }
}

template <typename T, int DP>
static __global__ void __launch_bounds__(128)
    flash(const T *q, const T *k, const T *v, T *out, int tq, int tk, int heads, int d, float scale_log2)
{
    constexpr int ROW = DP + 8, TILE = KEYS * ROW;
    extern __shared__ __align__(16) unsigned char bytes[]; /* keys, values; keys, values of the next 64 */
    T *room = reinterpret_cast<T *>(bytes);
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, h = blockIdx.y, b = blockIdx.z,
        q0 = blockIdx.x * QUERIES;
    long long step = (long long)heads * d;
    const T *kb = k + (long long)b * tk * step + (long long)h * d;
    const T *vb = v + (long long)b * tk * step + (long long)h * d;
    long long qb = ((long long)b * tq + q0) * step + (long long)h * d;
    unsigned qf[DP / 16][4];
    float o[DP / 8][4], top[2] = {-INFINITY, -INFINITY}, sum[2] = {0, 0};
    tile<DP, 64>(room + 2 * TILE, q + qb, tq - q0, step, d, threadIdx.x, 128);
    tiles_sent();
    tile<DP, 64>(room, kb, tk, step, d, threadIdx.x, 128);
    tile<DP, 64>(room + TILE, vb, tk, step, d, threadIdx.x, 128);
    tiles_sent();
    tiles_wait<1>();
    __syncthreads();
#pragma unroll
    for (int i = 0; i < DP / 16; i++)
        ldmatrix4<false>(qf[i], room + 2 * TILE + (warp * 16 + (lane & 15)) * ROW + i * 16 + (lane >> 4) * 8);
#pragma unroll
    for (int i = 0; i < DP / 8; i++)
        o[i][0] = o[i][1] = o[i][2] = o[i][3] = 0;
    for (int k0 = 0, half = 0; k0 < tk; k0 += KEYS, half ^= 1) {
        const T *ks = room + half * 2 * TILE, *vs = ks + TILE;
        tiles_wait<0>();
        __syncthreads(); /* these 64 are here for all, and nobody reads the other half any more */
        if (k0 + KEYS < tk) {
            T *next = room + (half ^ 1) * 2 * TILE;
            tile<DP, 64>(next, kb + (k0 + KEYS) * step, tk - k0 - KEYS, step, d, threadIdx.x, 128);
            tile<DP, 64>(next + TILE, vb + (k0 + KEYS) * step, tk - k0 - KEYS, step, d, threadIdx.x, 128);
            tiles_sent();
        }
        float s[KEYS / 8][4], shrink[2];
#pragma unroll
        for (int n = 0; n < KEYS / 8; n++)
            s[n][0] = s[n][1] = s[n][2] = s[n][3] = 0;
#pragma unroll
        for (int i = 0; i < DP / 16; i++)
#pragma unroll
            for (int n = 0; n < KEYS / 16; n++) {
                unsigned f[4];
                ldmatrix4<false>(f, ks + (n * 16 + (lane >> 4) * 8 + (lane & 7)) * ROW + i * 16 +
                                        ((lane >> 3) & 1) * 8);
                mma<T>(s[2 * n], qf[i], f[0], f[1]);
                mma<T>(s[2 * n + 1], qf[i], f[2], f[3]);
            }
        weigh<KEYS / 8>(s, scale_log2, tk - k0, lane, top, sum, shrink);
#pragma unroll
        for (int i = 0; i < DP / 8; i++) {
            o[i][0] *= shrink[0];
            o[i][1] *= shrink[0];
            o[i][2] *= shrink[1];
            o[i][3] *= shrink[1];
        }
#pragma unroll
        for (int n = 0; n < KEYS / 16; n++) {
            unsigned p[4] = {two<T>(s[2 * n][0], s[2 * n][1]), two<T>(s[2 * n][2], s[2 * n][3]),
                             two<T>(s[2 * n + 1][0], s[2 * n + 1][1]),
                             two<T>(s[2 * n + 1][2], s[2 * n + 1][3])};
#pragma unroll
            for (int i = 0; i < DP / 16; i++) {
                unsigned f[4];
                ldmatrix4<true>(f, vs + (n * 16 + (lane & 15)) * ROW + i * 16 + (lane >> 4) * 8);
                mma<T>(o[2 * i], p, f[0], f[1]);
                mma<T>(o[2 * i + 1], p, f[2], f[3]);
            }
        }
    }
    give<T, DP>(out + qb + warp * 16 * step, o, sum, tq - q0 - warp * 16, lane, step, d);
}

/* At most KEYS (16 or 32) keys: a warp has one batch element and head, keys and values in its part of shared
 * memory, and passes over the queries 16 at a time. */
template <typename T, int DP, int K>
static __global__ void __launch_bounds__(128)
    brief(const T *q, const T *k, const T *v, T *out, long long pairs, int tq, int tk, int heads, int d,
          float scale_log2)
{
    constexpr int ROW = DP + 8;
    extern __shared__ __align__(16) unsigned char bytes[];
    int lane = threadIdx.x & 31;
    T *ks = reinterpret_cast<T *>(bytes) + (threadIdx.x >> 5) * (2 * K + 16) * ROW, *vs = ks + K * ROW,
      *qs = vs + K * ROW;
    long long pair = blockIdx.x * 4LL + (threadIdx.x >> 5), step = (long long)heads * d;
    if (pair >= pairs)
        return;
    long long b = pair / heads, h = pair % heads, kb = b * tk * step + h * d;
    tile<DP, K>(ks, k + kb, tk, step, d, lane, 32);
    tile<DP, K>(vs, v + kb, tk, step, d, lane, 32);
    for (int q0 = 0; q0 < tq; q0 += 16) {
        float s[K / 8][4] = {}, o[DP / 8][4] = {}, top[2] = {-INFINITY, -INFINITY}, sum[2] = {0, 0},
                    shrink[2];
        long long at = (b * tq + q0) * step + h * d;
        __syncwarp();
        tile<DP, 16>(qs, q + at, tq - q0, step, d, lane, 32);
        tiles_sent();
        tiles_wait<0>();
        __syncwarp();
#pragma unroll
        for (int i = 0; i < DP / 16; i++) {
            unsigned a[4];
            ldmatrix4<false>(a, qs + (lane & 15) * ROW + i * 16 + (lane >> 4) * 8);
#pragma unroll
            for (int n = 0; n < K / 16; n++) {
                unsigned f[4];
                ldmatrix4<false>(f, ks + (n * 16 + (lane >> 4) * 8 + (lane & 7)) * ROW + i * 16 +
                                        ((lane >> 3) & 1) * 8);
                mma<T>(s[2 * n], a, f[0], f[1]);
                mma<T>(s[2 * n + 1], a, f[2], f[3]);
            }
        }
        weigh<K / 8>(s, scale_log2, tk, lane, top, sum, shrink);
#pragma unroll
        for (int n = 0; n < K / 16; n++) {
            unsigned p[4] = {two<T>(s[2 * n][0], s[2 * n][1]), two<T>(s[2 * n][2], s[2 * n][3]),
                             two<T>(s[2 * n + 1][0], s[2 * n + 1][1]),
                             two<T>(s[2 * n + 1][2], s[2 * n + 1][3])};
#pragma unroll
            for (int i = 0; i < DP / 16; i++) {
                unsigned f[4];
                ldmatrix4<true>(f, vs + (n * 16 + (lane & 15)) * ROW + i * 16 + (lane >> 4) * 8);
                mma<T>(o[2 * i], p, f[0], f[1]);
                mma<T>(o[2 * i + 1], p, f[2], f[3]);
            }
        }
        give<T, DP>(out + at, o, sum, tq - q0, lane, step, d);
    }
}

template <typename T, int DP, int K>
static int launch_brief(const void *q, const void *k, const void *v, void *out, int b, int tq, int tk,
                        int heads, int d, float scale, pz_stream stream)
{
    int bytes = 4 * (2 * K + 16) * (DP + 8) * 2;
    long long pairs = (long long)b * heads;
    cudaError_t e = cudaFuncSetAttribute(brief<T, DP, K>, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
    if (e != cudaSuccess)
        return (int)e;
    brief<T, DP, K><<<(unsigned)((pairs + 3) / 4), 128, bytes, stream>>>(
        (const T *)q, (const T *)k, (const T *)v, (T *)out, pairs, tq, tk, heads, d,
        scale * 1.4426950408889634f);
    return (int)cudaGetLastError();
}

template <typename T, int DP>
static int launch(const void *q, const void *k, const void *v, void *out, int b, int tq, int tk, int heads,
                  int d, float scale, pz_stream stream)
{
    if (tk <= 16 && tq <= 64)
        return launch_brief<T, DP, 16>(q, k, v, out, b, tq, tk, heads, d, scale, stream);
    if (tk <= 32 && tq <= 64)
        return launch_brief<T, DP, 32>(q, k, v, out, b, tq, tk, heads, d, scale, stream);
    int bytes = 4 * KEYS * (DP + 8) * 2;
    dim3 grid((unsigned)(tq + QUERIES - 1) / QUERIES, (unsigned)heads, (unsigned)b);
    cudaError_t e = cudaFuncSetAttribute(flash<T, DP>, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
    if (e != cudaSuccess)
        return (int)e;
    flash<T, DP><<<grid, 128, bytes, stream>>>((const T *)q, (const T *)k, (const T *)v, (T *)out, tq, tk,
                                               heads, d, scale * 1.4426950408889634f);
    return (int)cudaGetLastError();
}

template <typename T>
static int by_width(const void *q, const void *k, const void *v, void *out, int b, int tq, int tk, int heads,
                    int d, float scale, pz_stream stream)
{
    if (d <= 48)
        return launch<T, 48>(q, k, v, out, b, tq, tk, heads, d, scale, stream);
    if (d <= 64)
        return launch<T, 64>(q, k, v, out, b, tq, tk, heads, d, scale, stream);
    if (d <= 80)
        return launch<T, 80>(q, k, v, out, b, tq, tk, heads, d, scale, stream);
    if (d <= 128)
        return launch<T, 128>(q, k, v, out, b, tq, tk, heads, d, scale, stream);
    return launch<T, 160>(q, k, v, out, b, tq, tk, heads, d, scale, stream);
}

extern "C" int pz_ck_flash_fits(int b, int tq, int tk, int heads, int d)
{
    bool brief_one = tk <= 32 && tq <= 64;
    return d % 8 == 0 && d >= 8 && d <= 160 && heads < 65536 && (brief_one || b < 65536);
}

extern "C" int pz_ck_flash(int type, const void *q, const void *k, const void *v, void *out, int b, int tq,
                           int tk, int heads, int d, float scale, pz_stream stream)
{
    return type == PZ_CK_F16 ? by_width<__half>(q, k, v, out, b, tq, tk, heads, d, scale, stream)
                             : by_width<__nv_bfloat16>(q, k, v, out, b, tq, tk, heads, d, scale, stream);
}
