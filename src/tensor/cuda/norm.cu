/* Norms and softmax. Variances are two-pass: within a chunk around the chunk's own mean, chunks merged by
 * Chan, Golub and LeVeque's formula, so no large squares are ever subtracted. */
#include "tensor/cuda/common.cuh"

#define CHUNKS_MAX 264

static int chunks_of(int b, long long rows, int groups)
{
    long long want = (4 * 132 + (long long)b * groups - 1) / ((long long)b * groups), most = (rows + 31) / 32;
    want = want > most ? most : want;
    return (int)(want < 1 ? 1 : want > CHUNKS_MAX ? CHUNKS_MAX : want);
}

/* Chunks of whole rows: two blocks a multiprocessor, but at least 8 rows each. */
static int row_chunks(int b, long long rows)
{
    long long want = (4 * 132 + b - 1) / b, most = (rows + 7) / 8;
    want = want > most ? most : want;
    return (int)(want < 1 ? 1 : want > CHUNKS_MAX ? CHUNKS_MAX : want);
}

/* Mean and sum of squared deviations of one chunk of rows of one group. V elements a load. */
template <typename T, int V>
static __global__ void group_stats(const T *x, float *stats, long long rows, int c, int groups)
{
    __shared__ float room[33];
    struct alignas(sizeof(T) * V) some {
        T v[V];
    };
    int cg = c / groups, per = cg / V, chunks = gridDim.x, g = blockIdx.y, b = blockIdx.z;
    long long r0 = rows * blockIdx.x / chunks, r1 = rows * (blockIdx.x + 1) / chunks, n = (r1 - r0) * per;
    const T *base = x + ((long long)b * rows + r0) * c + (long long)g * cg;
    float sum = 0;
    for (long long i = threadIdx.x; i < n; i += blockDim.x) {
        unsigned r = (unsigned)i / (unsigned)per, k = (unsigned)i % (unsigned)per;
        some v = reinterpret_cast<const some *>(base + (long long)r * c)[k];
#pragma unroll
        for (int j = 0; j < V; j++)
            sum += get(v.v, j);
    }
    float count = (float)(n * V), mean = block_reduce<false>(sum, room) / fmaxf(count, 1.0f), m2 = 0;
    for (long long i = threadIdx.x; i < n; i += blockDim.x) {
        unsigned r = (unsigned)i / (unsigned)per, k = (unsigned)i % (unsigned)per;
        some v = reinterpret_cast<const some *>(base + (long long)r * c)[k];
#pragma unroll
        for (int j = 0; j < V; j++) {
            float d = get(v.v, j) - mean;
            m2 += d * d;
        }
    }
    m2 = block_reduce<false>(m2, room);
    if (threadIdx.x == 0) {
        float *s = stats + (((long long)b * groups + g) * chunks + blockIdx.x) * 3;
        s[0] = count;
        s[1] = mean;
        s[2] = m2;
    }
}

/* Merge (count, mean, sum of squared deviations) b into a. */
__device__ __forceinline__ void merge(float &n, float &mean, float &m2, float bn, float bmean, float bm2)
{
    float all = n + bn, d = bmean - mean, w = all > 0 ? bn / all : 0;
    mean += d * w;
    m2 += bm2 + d * d * (n * w);
    n = all;
}

/* A warp an (image, group): chunks merged in a fixed order into mean and 1/deviation. */
static __global__ void group_merge(const float *stats, float *out, int chunks, int total, float eps)
{
    int i = (int)((blockIdx.x * blockDim.x + threadIdx.x) >> 5), lane = threadIdx.x & 31;
    if (i >= total)
        return;
    float n = 0, mean = 0, m2 = 0;
    for (int k = lane; k < chunks; k += 32) {
        const float *s = stats + ((long long)i * chunks + k) * 3;
        merge(n, mean, m2, s[0], s[1], s[2]);
    }
    for (int o = 16; o; o >>= 1) {
        float bn = __shfl_xor_sync(0xffffffffu, n, o), bmean = __shfl_xor_sync(0xffffffffu, mean, o),
              bm2 = __shfl_xor_sync(0xffffffffu, m2, o);
        merge(n, mean, m2, bn, bmean, bm2);
    }
    if (lane == 0) {
        out[2 * i] = mean;
        out[2 * i + 1] = rsqrtf(m2 / n + eps);
    }
}

/* The same for whole rows at once, each read one time: a thread has its own V channels (of one group) of
 * every ty-th row of the chunk and merges pack after pack; then one thread a group merges the threads. */
template <typename T, int V>
static __global__ void row_stats(const T *x, float *stats, long long rows, int c, int groups)
{
    extern __shared__ float part[]; /* 3 a thread */
    struct alignas(sizeof(T) * V) some {
        T v[V];
    };
    int per = c / V, ty = blockDim.x / per, chunks = gridDim.x, b = blockIdx.y;
    int col = threadIdx.x % per, line = threadIdx.x / per;
    long long r0 = rows * blockIdx.x / chunks, r1 = rows * (blockIdx.x + 1) / chunks;
    float n = 0, mean = 0, m2 = 0;
    for (long long r = r0 + line; r < r1; r += ty) {
        some v = reinterpret_cast<const some *>(x + ((long long)b * rows + r) * c)[col];
        float s = 0, q = 0;
#pragma unroll
        for (int j = 0; j < V; j++)
            s += get(v.v, j);
        s /= V;
#pragma unroll
        for (int j = 0; j < V; j++) {
            float d = get(v.v, j) - s;
            q += d * d;
        }
        merge(n, mean, m2, (float)V, s, q);
    }
    part[3 * threadIdx.x] = n;
    part[3 * threadIdx.x + 1] = mean;
    part[3 * threadIdx.x + 2] = m2;
    __syncthreads();
    int cols = per / groups; /* packs of a group */
    for (int g = (int)threadIdx.x; g < groups; g += (int)blockDim.x) {
        n = mean = m2 = 0;
        for (int l = 0; l < ty; l++)
            for (int k = 0; k < cols; k++) {
                const float *p = part + 3 * (l * per + g * cols + k);
                merge(n, mean, m2, p[0], p[1], p[2]);
            }
        float *s = stats + (((long long)b * groups + g) * chunks + blockIdx.x) * 3;
        s[0] = n;
        s[1] = mean;
        s[2] = m2;
    }
}

template <typename T, int V>
static __global__ void group_apply(const T *x, const float *norm, const T *gamma, const T *beta, int act,
                                   T *out, long long rows, int c, int groups, long long n)
{
    struct alignas(sizeof(T) * V) some {
        T v[V];
    };
    int cg = c / groups;
    unsigned per = (unsigned)(c / V);
    GRID_LOOP(i, n / V)
    {
        unsigned row = (unsigned)(i / per), c0 = (unsigned)(i % per) * V;
        unsigned b = (unsigned)(row / rows);
        const float *s = norm + 2 * ((long long)b * groups + c0 / (unsigned)cg);
        some v = reinterpret_cast<const some *>(x)[i], p = {}, q = {};
        if (gamma)
            p = *reinterpret_cast<const some *>(gamma + c0);
        if (beta)
            q = *reinterpret_cast<const some *>(beta + c0);
#pragma unroll
        for (int j = 0; j < V; j++) {
            float t = (get(v.v, j) - s[0]) * s[1];
            t = t * (gamma ? get(p.v, j) : 1.0f) + (beta ? get(q.v, j) : 0.0f);
            put(v.v, j, apply(act, t, 0));
        }
        reinterpret_cast<some *>(out)[i] = v;
    }
}

/* A block an (image, group) whose values fit shared memory: read once, written once. A thread keeps to one
 * pack of the group's channels and passes down the rows. */
template <typename T, int V>
static __global__ void group_small(const T *x, const T *gamma, const T *beta, float eps, int act, T *out,
                                   int rows, int c, int groups)
{
    struct alignas(sizeof(T) * V) some {
        T v[V];
    };
    extern __shared__ __align__(16) unsigned char room_bytes[];
    __shared__ float room[33];
    some *keep = reinterpret_cast<some *>(room_bytes);
    int cg = c / groups, per = cg / V, lines = (int)blockDim.x / per, line = (int)threadIdx.x / per,
        col = (int)threadIdx.x % per, first = line < lines ? line : rows;
    long long base = ((long long)blockIdx.y * rows * c + (long long)blockIdx.x * cg) / V + col, step = c / V;
    const some *from = reinterpret_cast<const some *>(x) + base;
    float sum = 0, m2 = 0;
#pragma unroll 8
    for (int r = first; r < rows; r += lines) {
        some v = from[r * step];
        keep[r * per + col] = v;
#pragma unroll
        for (int j = 0; j < V; j++)
            sum += get(v.v, j);
    }
    float count = (float)rows * (float)cg, mean = block_reduce<false>(sum, room) / count;
    for (int r = first; r < rows; r += lines)
#pragma unroll
        for (int j = 0; j < V; j++) {
            float d = get(keep[r * per + col].v, j) - mean;
            m2 += d * d;
        }
    float inv = rsqrtf(block_reduce<false>(m2, room) / count + eps), scale[V], shift[V];
    some *to = reinterpret_cast<some *>(out) + base;
#pragma unroll
    for (int j = 0; j < V; j++) {
        int k = (int)blockIdx.x * cg + col * V + j;
        scale[j] = gamma ? get(gamma, k) : 1.0f;
        shift[j] = beta ? get(beta, k) : 0.0f;
    }
    for (int r = first; r < rows; r += lines) {
        some v = keep[r * per + col];
#pragma unroll
        for (int j = 0; j < V; j++)
            put(v.v, j, apply(act, (get(v.v, j) - mean) * inv * scale[j] + shift[j], 0));
        to[r * step] = v;
    }
}

#define GROUP_SMALL (96 << 10) /* two blocks a multiprocessor */

extern "C" long long pz_ck_group_norm_scratch(int b, int groups)
{
    return (long long)b * groups * (3LL * CHUNKS_MAX + 2) * 4;
}

/* Three passes. */
template <typename T, int V>
static void group_large(const T *x, const T *gamma, const T *beta, float eps, int act, T *out, int b,
                        long long rows, int c, int groups, void *scratch, pz_stream stream)
{
    int chunks = chunks_of(b, rows, groups), total = b * groups;
    float *norm = (float *)scratch, *stats = norm + 2LL * total;
    long long n = (long long)b * rows * c;
    int per = c / V, threads = per > 256 ? per : 256 / per * per;
    if (V > 1 && threads <= 1024) {
        chunks = row_chunks(b, rows);
        row_stats<T, V>
            <<<dim3((unsigned)chunks, (unsigned)b), (unsigned)threads, (unsigned)threads * 12, stream>>>(
                x, stats, rows, c, groups);
    } else {
        group_stats<T, V><<<dim3((unsigned)chunks, (unsigned)groups, (unsigned)b), 256, 0, stream>>>(
            x, stats, rows, c, groups);
    }
    group_merge<<<(unsigned)(total + 3) / 4, 128, 0, stream>>>(stats, norm, chunks, total, eps);
    group_apply<T, V>
        <<<blocks_for(n / V), 256, 0, stream>>>(x, norm, gamma, beta, act, out, rows, c, groups, n);
}

template <typename T, int V>
static int group_norm_as(const T *x, const T *gamma, const T *beta, float eps, int act, T *out, int b,
                         long long rows, int c, int groups, void *scratch, pz_stream stream)
{
    long long bytes = rows * (c / groups) * (long long)sizeof(T);
    int per = c / groups / V;
    if (bytes <= GROUP_SMALL && per <= 512) {
        cudaError_t e =
            cudaFuncSetAttribute(group_small<T, V>, cudaFuncAttributeMaxDynamicSharedMemorySize, GROUP_SMALL);
        if (e != cudaSuccess)
            return (int)e;
        unsigned wide = bytes > 8192 || per > 128 ? 512 : 128, room = (unsigned)((bytes + 15) & ~15LL);
        group_small<T, V><<<dim3((unsigned)groups, (unsigned)b), wide, room, stream>>>(
            x, gamma, beta, eps, act, out, (int)rows, c, groups);
        return (int)cudaGetLastError();
    }
    group_large<T, V>(x, gamma, beta, eps, act, out, b, rows, c, groups, scratch, stream);
    return (int)cudaGetLastError();
}

template <typename T>
static int group_norm_by(const void *x, const void *gamma, const void *beta, float eps, int act, void *out,
                         int b, long long rows, int c, int groups, void *scratch, pz_stream stream)
{
    const T *p = (const T *)x, *g = (const T *)gamma, *t = (const T *)beta;
    T *o = (T *)out;
    int cg = c / groups;
    if (cg % pack<T>::n == 0)
        return group_norm_as<T, pack<T>::n>(p, g, t, eps, act, o, b, rows, c, groups, scratch, stream);
    if (cg % 4 == 0)
        return group_norm_as<T, 4>(p, g, t, eps, act, o, b, rows, c, groups, scratch, stream);
    if (cg % 2 == 0)
        return group_norm_as<T, 2>(p, g, t, eps, act, o, b, rows, c, groups, scratch, stream);
    return group_norm_as<T, 1>(p, g, t, eps, act, o, b, rows, c, groups, scratch, stream);
}

extern "C" int pz_ck_group_norm(int type, const void *x, const void *gamma, const void *beta, float eps,
                                int act, void *out, int b, long long rows, int c, int groups, void *scratch,
                                pz_stream stream)
{
    BY_TYPE(type, {
        int e = group_norm_by<T>(x, gamma, beta, eps, act, out, b, rows, c, groups, scratch, stream);
        if (e)
            return e;
    });
}

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
