/* Norms of rows and softmax. Variances are two-pass. */
#include "tensor/cuda/common.cuh"

template <typename T>
static __global__ void layer_norm(const T *x, const T *gamma, const T *beta, float eps, int act, T *out,
                                  int c)
{
    __shared__ float room[33];
    const T *p = x + (long long)blockIdx.x * c;
    T *o = out + (long long)blockIdx.x * c;
    float sum = 0, m2 = 0;
    for (int i = threadIdx.x; i < c; i += blockDim.x)
        sum += get(p, i);
    float mean = block_reduce<false>(sum, room) / (float)c;
    for (int i = threadIdx.x; i < c; i += blockDim.x) {
        float d = get(p, i) - mean;
        m2 += d * d;
    }
    float inv = rsqrtf(block_reduce<false>(m2, room) / (float)c + eps);
    for (int i = threadIdx.x; i < c; i += blockDim.x) {
        float t = (get(p, i) - mean) * inv;
        put(o, i, apply(act, t * (gamma ? get(gamma, i) : 1.0f) + (beta ? get(beta, i) : 0.0f), 0));
    }
}

/* A warp a row that fits its registers: K packs of 16 bytes a lane. (Several rows a warp were slower.) */
template <typename T, int K>
static __global__ void layer_norm_warp(const T *x, const T *gamma, const T *beta, float eps, int act, T *out,
                                       int c, long long rows)
{
    constexpr int V = pack<T>::n;
    long long row = (blockIdx.x * (long long)blockDim.x + threadIdx.x) >> 5;
    int lane = threadIdx.x & 31, packs = c / V;
    if (row >= rows)
        return;
    pack<T> v[K];
    float sum = 0, m2 = 0;
#pragma unroll
    for (int k = 0; k < K; k++)
        if (lane + 32 * k < packs) {
            v[k] = load_pack(x + row * c, lane + 32 * k);
#pragma unroll
            for (int j = 0; j < V; j++)
                sum += get(v[k].v, j);
        }
    float mean = warp_sum(sum) / (float)c;
#pragma unroll
    for (int k = 0; k < K; k++)
        if (lane + 32 * k < packs)
#pragma unroll
            for (int j = 0; j < V; j++) {
                float d = get(v[k].v, j) - mean;
                m2 += d * d;
            }
    float inv = rsqrtf(warp_sum(m2) / (float)c + eps);
#pragma unroll
    for (int k = 0; k < K; k++)
        if (lane + 32 * k < packs) {
            pack<T> p = {}, q = {};
            if (gamma)
                p = load_pack(gamma, lane + 32 * k);
            if (beta)
                q = load_pack(beta, lane + 32 * k);
#pragma unroll
            for (int j = 0; j < V; j++) {
                float t = (get(v[k].v, j) - mean) * inv;
                t = t * (gamma ? get(p.v, j) : 1.0f) + (beta ? get(q.v, j) : 0.0f);
                put(v[k].v, j, apply(act, t, 0));
            }
            store_pack(out + row * c, lane + 32 * k, v[k]);
        }
}

template <typename T>
static void layer_norm_as(const void *x, const void *gamma, const void *beta, float eps, int act, void *out,
                          long long rows, int c, pz_stream stream)
{
    const T *p = (const T *)x, *g = (const T *)gamma, *b = (const T *)beta;
    constexpr int V = pack<T>::n;
    unsigned blocks = (unsigned)((rows + 3) / 4), threads = c <= 64 ? 32 : c <= 512 ? 64 : 128;
    if (c % V == 0 && c / V <= 64)
        layer_norm_warp<T, 2><<<blocks, 128, 0, stream>>>(p, g, b, eps, act, (T *)out, c, rows);
    else if (c % V == 0 && c / V <= 192)
        layer_norm_warp<T, 6><<<blocks, 128, 0, stream>>>(p, g, b, eps, act, (T *)out, c, rows);
    else
        layer_norm<<<(unsigned)rows, threads, 0, stream>>>(p, g, b, eps, act, (T *)out, c);
}

extern "C" int pz_ck_layer_norm(int type, const void *x, const void *gamma, const void *beta, float eps,
                                int act, void *out, long long rows, int c, pz_stream stream)
{
    BY_TYPE(type, layer_norm_as<T>(x, gamma, beta, eps, act, out, rows, c, stream));
}

template <typename T>
static __global__ void batch_norm(const T *x, const T *mean, const T *var, const T *gamma, const T *beta,
                                  float eps, int act, T *out, long long n, int c)
{
    GRID_LOOP(i, n)
    {
        int k = (int)(i % c);
        float t = (get(x, i) - get(mean, k)) * rsqrtf(fmaxf(get(var, k), 0.0f) + eps);
        put(out, i, apply(act, t * (gamma ? get(gamma, k) : 1.0f) + (beta ? get(beta, k) : 0.0f), 0));
    }
}

extern "C" int pz_ck_batch_norm(int type, const void *x, const void *mean, const void *var, const void *gamma,
                                const void *beta, float eps, int act, void *out, long long n, int c,
                                pz_stream stream)
{
    unsigned g = blocks_for(n);
    BY_TYPE(type,
            batch_norm<<<g, 256, 0, stream>>>((const T *)x, (const T *)mean, (const T *)var, (const T *)gamma,
                                              (const T *)beta, eps, act, (T *)out, n, c));
}

/* A block a row of contiguous values, K a thread in registers when they fit (K 0: any length, read three
 * times). `mask` belongs to attention: row r of head h reads mask[h·head_step + r·n]. */
template <typename S, typename T, int K>
static __global__ void softmax_rows(const S *x, float scale, const T *mask, long long head_step,
                                    int rows_per_head, T *out, int n)
{
    __shared__ float room[33];
    long long row = blockIdx.x;
    const S *p = x + row * n;
    const T *m = mask ? mask + row / rows_per_head * head_step + row % rows_per_head * n : nullptr;
    float top = -INFINITY, sum = 0, keep[K > 0 ? K : 1];
    if constexpr (K > 0) {
#pragma unroll
        for (int k = 0; k < K; k++) {
            int i = threadIdx.x + k * blockDim.x;
            keep[k] = i < n ? get(p, i) * scale + (m ? get(m, i) : 0.0f) : -INFINITY;
            top = fmaxf(top, keep[k]);
        }
        top = block_reduce<true>(top, room);
#pragma unroll
        for (int k = 0; k < K; k++) {
            keep[k] = expf(keep[k] - top);
            sum += keep[k];
        }
        float inv = 1.0f / block_reduce<false>(sum, room);
#pragma unroll
        for (int k = 0; k < K; k++)
            if (threadIdx.x + k * blockDim.x < (unsigned)n)
                put(out, row * n + threadIdx.x + k * blockDim.x, keep[k] * inv);
    } else {
        for (int i = threadIdx.x; i < n; i += blockDim.x)
            top = fmaxf(top, get(p, i) * scale + (m ? get(m, i) : 0.0f));
        top = block_reduce<true>(top, room);
        for (int i = threadIdx.x; i < n; i += blockDim.x)
            sum += expf(get(p, i) * scale + (m ? get(m, i) : 0.0f) - top);
        float inv = 1.0f / block_reduce<false>(sum, room);
        for (int i = threadIdx.x; i < n; i += blockDim.x)
            put(out, row * n + i, expf(get(p, i) * scale + (m ? get(m, i) : 0.0f) - top) * inv);
    }
}

template <typename S, typename T>
static void softmax_rows_as(const void *x, float scale, const void *mask, long long head_step,
                            int rows_per_head, void *out, long long rows, int n, pz_stream stream)
{
    const S *p = (const S *)x;
    const T *m = (const T *)mask;
    unsigned r = (unsigned)rows;
    if (n <= 128)
        softmax_rows<S, T, 4><<<r, 32, 0, stream>>>(p, scale, m, head_step, rows_per_head, (T *)out, n);
    else if (n <= 1024)
        softmax_rows<S, T, 8><<<r, 128, 0, stream>>>(p, scale, m, head_step, rows_per_head, (T *)out, n);
    else if (n <= 4096)
        softmax_rows<S, T, 16><<<r, 256, 0, stream>>>(p, scale, m, head_step, rows_per_head, (T *)out, n);
    else
        softmax_rows<S, T, 0><<<r, 512, 0, stream>>>(p, scale, m, head_step, rows_per_head, (T *)out, n);
}

template <typename T>
static __global__ void softmax_columns(const T *x, T *out, int n, long long inner, long long columns)
{
    GRID_LOOP(i, columns)
    {
        const T *p = x + i / inner * n * inner + i % inner;
        T *o = out + i / inner * n * inner + i % inner;
        float top = -INFINITY, sum = 0;
        for (int k = 0; k < n; k++)
            top = fmaxf(top, get(p, k * inner));
        for (int k = 0; k < n; k++)
            sum += expf(get(p, k * inner) - top);
        for (int k = 0; k < n; k++)
            put(o, k * inner, expf(get(p, k * inner) - top) / sum);
    }
}

extern "C" int pz_ck_softmax(int type, const void *x, void *out, long long outer, int n, long long inner,
                             pz_stream stream)
{
    if (inner == 1)
        BY_TYPE(type, softmax_rows_as<T, T>(x, 1.0f, nullptr, 0, 1, out, outer, n, stream));
    unsigned g = blocks_for(outer * inner);
    BY_TYPE(type, softmax_columns<<<g, 256, 0, stream>>>((const T *)x, (T *)out, n, inner, outer * inner));
}

extern "C" int pz_ck_scores(int type, const float *s, float scale, const void *mask, long long head_step,
                            void *out, int heads, int tq, int tk, pz_stream stream)
{
    long long rows = (long long)heads * tq;
    BY_TYPE(type, softmax_rows_as<float, T>(s, scale, mask, head_step, tq, out, rows, tk, stream));
}
