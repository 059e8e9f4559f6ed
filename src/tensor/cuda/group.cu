/* Group norm with an activation behind it. Variances are never differences of large squares: a thread sums
 * around its first value, threads and chunks are joined around their common mean (Chan, Golub and LeVeque).
 */
#include "tensor/cuda/common.cuh"

#define CHUNKS_MAX 264 /* parts a group is summed in */

/* A thread's V channels over the rows it sees: sums of what lies above the first value, so that no large
 * squares are subtracted at the end. */
template <typename T, int V> struct alignas(sizeof(T) * V) some {
    T v[V];
};

template <int V> struct sums {
    float k[V], s[V], q[V];

    template <typename T> __device__ __forceinline__ void start(const T *v)
    {
#pragma unroll
        for (int j = 0; j < V; j++) {
            k[j] = get(v, j);
            s[j] = q[j] = 0;
        }
    }

    template <typename T> __device__ __forceinline__ void add(const T *v)
    {
#pragma unroll
        for (int j = 0; j < V; j++) {
            float d = get(v, j) - k[j];
            s[j] += d;
            q[j] += d * d;
        }
    }

    /* (mean, sum of squared deviations) of n rows, a channel each. */
    __device__ __forceinline__ void finish(float n, float2 *to)
    {
        float r = n > 0 ? 1.0f / n : 0.0f;
#pragma unroll
        for (int j = 0; j < V; j++)
            to[j] = make_float2(n > 0 ? k[j] + s[j] * r : 0.0f, fmaxf(q[j] - s[j] * s[j] * r, 0.0f));
    }
};

/* Rows of every `lines`-th that line `l` of them has. */
__device__ __forceinline__ int share_of(int rows, int l, int lines)
{
    return l < rows ? (rows - l + lines - 1) / lines : 0;
}

/* By a whole warp: mean and squared deviations of `cg` channels, from the parts [lines][width] of a block. */
__device__ __forceinline__ float2 join(const float2 *part, int lines, int width, int cg, int rows)
{
    int lane = threadIdx.x & 31, items = lines * cg;
    float sum = 0, m2 = 0;
    for (int i = lane; i < items; i += 32) {
        int l = i / cg;
        sum += (float)share_of(rows, l, lines) * part[l * width + i - l * cg].x;
    }
    float mean = warp_sum(sum) / ((float)rows * (float)cg);
    for (int i = lane; i < items; i += 32) {
        int l = i / cg;
        float2 p = part[l * width + i - l * cg];
        m2 += p.y + (float)share_of(rows, l, lines) * (p.x - mean) * (p.x - mean);
    }
    return make_float2(mean, warp_sum(m2));
}

/* Activations behind a norm; 16 bits do not see the last places of a quick division. */
enum { BARE, QUICK_SILU, ANY };

template <int HOW> __device__ __forceinline__ float behind(int act, float v)
{
    if (HOW == BARE)
        return v;
    if (HOW == QUICK_SILU)
        return __fdividef(v, 1.0f + __expf(-v));
    return apply(act, v, 0);
}

/* A thread's V channels: what to subtract, to multiply by and to add. */
template <int V> struct channels {
    float mean[V], scale[V], shift[V];

    template <typename T>
    __device__ __forceinline__ void load(const float2 *norm, const T *gamma, const T *beta, int c0, int cg)
    {
#pragma unroll
        for (int j = 0; j < V; j++) {
            float2 m = norm[(c0 + j) / cg];
            mean[j] = m.x;
            scale[j] = m.y * (gamma ? get(gamma, c0 + j) : 1.0f);
            shift[j] = beta ? get(beta, c0 + j) : 0.0f;
        }
    }

    template <int HOW, typename T> __device__ __forceinline__ void to(int act, T *v) const
    {
#pragma unroll
        for (int j = 0; j < V; j++)
            put(v, j, behind<HOW>(act, (get(v, j) - mean[j]) * scale[j] + shift[j]));
    }
};

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

/* Mean and sum of squared deviations of one chunk of rows of one group. */
template <typename T>
static __global__ void group_stats(const T *x, float *stats, long long rows, int c, int groups)
{
    __shared__ float room[33];
    int cg = c / groups, chunks = gridDim.x, g = blockIdx.y, b = blockIdx.z;
    long long r0 = rows * blockIdx.x / chunks, r1 = rows * (blockIdx.x + 1) / chunks, n = (r1 - r0) * cg;
    const T *base = x + ((long long)b * rows + r0) * c + (long long)g * cg;
    float sum = 0;
    for (long long i = threadIdx.x; i < n; i += blockDim.x)
        sum += get(base, i / cg * c + i % cg);
    float mean = block_reduce<false>(sum, room) / fmaxf((float)n, 1.0f), m2 = 0;
    for (long long i = threadIdx.x; i < n; i += blockDim.x) {
        float d = get(base, i / cg * c + i % cg) - mean;
        m2 += d * d;
    }
    m2 = block_reduce<false>(m2, room);
    if (threadIdx.x == 0) {
        float *s = stats + (((long long)b * groups + g) * chunks + blockIdx.x) * 3;
        s[0] = (float)n;
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

#define AHEAD 4 /* rows a thread has under way */

/* The same for whole rows at once, each read one time: a thread has its own V channels of every line-th row
 * of the chunk; then a warp a group joins what they found. */
template <typename T, int V>
static __global__ void row_stats(const T *x, float *stats, long long rows, int c, int groups)
{
    extern __shared__ float2 part[]; /* [lines][c] */
    int per = c / V, lines = (int)blockDim.x / per, chunks = gridDim.x, b = blockIdx.y;
    int col = (int)threadIdx.x % per, line = (int)threadIdx.x / per;
    long long r0 = rows * blockIdx.x / chunks;
    int n = (int)(rows * (blockIdx.x + 1) / chunks - r0), r = line;
    const some<T, V> *from = reinterpret_cast<const some<T, V> *>(x + ((long long)b * rows + r0) * c) + col;
    sums<V> t;
    some<T, V> v[AHEAD] = {};
    if (line < n)
        v[0] = from[(long long)line * per];
    t.start(v[0].v);
    for (; r + (AHEAD - 1) * lines < n; r += AHEAD * lines) {
#pragma unroll
        for (int k = 0; k < AHEAD; k++)
            v[k] = from[(long long)(r + k * lines) * per];
#pragma unroll
        for (int k = 0; k < AHEAD; k++)
            t.add(v[k].v);
    }
    for (; r < n; r += lines) {
        v[0] = from[(long long)r * per];
        t.add(v[0].v);
    }
    t.finish((float)share_of(n, line, lines), part + (long long)line * c + col * V);
    __syncthreads();
    int warp = (int)threadIdx.x >> 5, warps = (int)blockDim.x >> 5, cg = c / groups; /* whole warps only */
    for (int g = warp; g < groups && warp < warps; g += warps) {
        float2 m = join(part + g * cg, lines, c, cg, n);
        if ((threadIdx.x & 31) == 0) {
            float *s = stats + (((long long)b * groups + g) * chunks + blockIdx.x) * 3;
            s[0] = (float)n * (float)cg;
            s[1] = m.x;
            s[2] = m.y;
        }
    }
}

/* Rows of a chunk from its end: those row_stats read last may still lie in the cache. */
template <typename T, int V, int HOW>
static __global__ void row_apply(const T *x, const float2 *norm, const T *gamma, const T *beta, int act,
                                 T *out, long long rows, int c, int groups)
{
    int per = c / V, lines = (int)blockDim.x / per, chunks = gridDim.x, b = blockIdx.y;
    int col = (int)threadIdx.x % per, line = (int)threadIdx.x / per;
    long long r0 = rows * blockIdx.x / chunks, base = ((long long)b * rows + r0) * c;
    int n = (int)(rows * (blockIdx.x + 1) / chunks - r0), r = n - 1 - line;
    const some<T, V> *from = reinterpret_cast<const some<T, V> *>(x + base) + col;
    some<T, V> *to = reinterpret_cast<some<T, V> *>(out + base) + col;
    channels<V> t;
    t.load(norm + (long long)b * groups, gamma, beta, col * V, c / groups);
    some<T, V> v[AHEAD];
    for (; r - (AHEAD - 1) * lines >= 0; r -= AHEAD * lines) {
#pragma unroll
        for (int k = 0; k < AHEAD; k++)
            v[k] = from[(long long)(r - k * lines) * per];
#pragma unroll
        for (int k = 0; k < AHEAD; k++) {
            t.template to<HOW>(act, v[k].v);
            to[(long long)(r - k * lines) * per] = v[k];
        }
    }
    for (; r >= 0; r -= lines) {
        v[0] = from[(long long)r * per];
        t.template to<HOW>(act, v[0].v);
        to[(long long)r * per] = v[0];
    }
}

template <typename T>
static __global__ void group_apply(const T *x, const float2 *norm, const T *gamma, const T *beta, int act,
                                   T *out, long long rows, int c, int groups, long long n)
{
    int cg = c / groups;
    GRID_LOOP(i, n)
    {
        int k = (int)(i % c);
        float2 m = norm[i / c / rows * groups + k / cg];
        float t = (get(x, i) - m.x) * m.y;
        put(out, i, apply(act, t * (gamma ? get(gamma, k) : 1.0f) + (beta ? get(beta, k) : 0.0f), 0));
    }
}

#define MANY 8 /* groups a block takes at most */

/* Sums over a block of what its threads found in each of `many` groups: v[j] belongs to channel c0 + j. */
template <int V>
__device__ __forceinline__ void group_sums(const float *v, int c0, int cg, int many, float *room, float *sum)
{
    for (int g = 0; g < many; g++) {
        float own = 0;
#pragma unroll
        for (int j = 0; j < V; j++)
            own += (c0 + j) / cg == g ? v[j] : 0.0f;
        own = block_reduce<false>(own, room);
        if (threadIdx.x == 0)
            sum[g] = own;
    }
    __syncthreads();
}

/* A block some groups of an image whose values fit shared memory: read once, written once. A thread keeps to
 * one pack of these groups' channels and passes down the rows. */
template <typename T, int V, int HOW>
static __global__ void group_small(const T *x, const T *gamma, const T *beta, float eps, int act, T *out,
                                   int rows, int c, int cg, int many)
{
    extern __shared__ __align__(16) unsigned char room_bytes[];
    __shared__ float room[33], sum[MANY];
    __shared__ float2 norm[MANY];
    int width = many * cg, per = width / V, lines = (int)blockDim.x / per, line = (int)threadIdx.x / per,
        col = (int)threadIdx.x % per, first = line < lines ? line : rows;
    some<T, V> *keep = reinterpret_cast<some<T, V> *>(room_bytes);
    long long base = ((long long)blockIdx.y * rows * c + (long long)blockIdx.x * width) / V + col,
              step = c / V;
    const some<T, V> *from = reinterpret_cast<const some<T, V> *>(x) + base;
    some<T, V> *to = reinterpret_cast<some<T, V> *>(out) + base, v;
    float part[V] = {}, mean[V], count = (float)rows * (float)cg;
#pragma unroll 8
    for (int r = first; r < rows; r += lines) {
        v = from[r * step];
        keep[r * per + col] = v;
#pragma unroll
        for (int j = 0; j < V; j++)
            part[j] += get(v.v, j);
    }
    group_sums<V>(part, col * V, cg, many, room, sum);
#pragma unroll
    for (int j = 0; j < V; j++) {
        mean[j] = sum[(col * V + j) / cg] / count;
        part[j] = 0;
    }
    __syncthreads();
    for (int r = first; r < rows; r += lines) {
        v = keep[r * per + col];
#pragma unroll
        for (int j = 0; j < V; j++) {
            float d = get(v.v, j) - mean[j];
            part[j] += d * d;
        }
    }
    if ((int)threadIdx.x < many)
        norm[threadIdx.x].x = sum[threadIdx.x] / count;
    __syncthreads();
    group_sums<V>(part, col * V, cg, many, room, sum);
    if ((int)threadIdx.x < many)
        norm[threadIdx.x].y = rsqrtf(sum[threadIdx.x] / count + eps);
    __syncthreads();
    channels<V> f;
    int c0 = (int)blockIdx.x * width;
    f.load(norm, gamma ? gamma + c0 : gamma, beta ? beta + c0 : beta, col * V, cg);
    for (int r = first; r < rows; r += lines) {
        v = keep[r * per + col];
        f.template to<HOW>(act, v.v);
        to[r * step] = v;
    }
}

#define GROUP_SMALL (96 << 10) /* of values: two blocks a multiprocessor */
#define ENOUGH 264             /* blocks that keep the device busy */

extern "C" long long pz_ck_group_norm_scratch(int b, int groups)
{
    return (long long)b * groups * (3LL * CHUNKS_MAX + 2) * 4;
}

template <typename T> struct norm_task {
    int type;
    const T *x, *gamma, *beta;
    float eps;
    int act;
    T *out;
    int b;
    long long rows;
    int c, groups;
    void *scratch;
    pz_stream stream;
};

/* Three passes. */
template <typename T, int V, int HOW> static void group_large(const norm_task<T> &n)
{
    int total = n.b * n.groups, per = n.c / V, threads = per > 256 ? per : 256 / per * per;
    float *norm = (float *)n.scratch, *stats = norm + 2LL * total;
    float2 *pairs = (float2 *)n.scratch;
    unsigned merges = (unsigned)(total + 3) / 4;
    if (V > 1 && threads <= 1024) {
        int chunks = row_chunks(n.b, n.rows);
        dim3 grid((unsigned)chunks, (unsigned)n.b);
        row_stats<T, V><<<grid, (unsigned)threads, (unsigned)(threads * V) * 8, n.stream>>>(
            n.x, stats, n.rows, n.c, n.groups);
        group_merge<<<merges, 128, 0, n.stream>>>(stats, norm, chunks, total, n.eps);
        row_apply<T, V, HOW><<<grid, (unsigned)threads, 0, n.stream>>>(n.x, pairs, n.gamma, n.beta, n.act,
                                                                       n.out, n.rows, n.c, n.groups);
        return;
    }
    int chunks = chunks_of(n.b, n.rows, n.groups);
    long long all = (long long)n.b * n.rows * n.c;
    group_stats<T><<<dim3((unsigned)chunks, (unsigned)n.groups, (unsigned)n.b), 256, 0, n.stream>>>(
        n.x, stats, n.rows, n.c, n.groups);
    group_merge<<<merges, 128, 0, n.stream>>>(stats, norm, chunks, total, n.eps);
    group_apply<T><<<blocks_for(all), 256, 0, n.stream>>>(n.x, pairs, n.gamma, n.beta, n.act, n.out, n.rows,
                                                          n.c, n.groups, all);
}

/* Groups a block takes so that its channels are whole packs of v; 0: too many. */
static int bundle(int v, int cg, int groups)
{
    for (int many = 1; many <= MANY && many <= groups; many++)
        if (groups % many == 0 && many * cg % v == 0)
            return many * cg / v <= 256 ? many : 0;
    return 0;
}

template <typename T, int V, int HOW> static int group_norm_small(const norm_task<T> &n, int many)
{
    int cg = n.c / n.groups;
    long long bytes = n.rows * cg * many * (long long)sizeof(T);
    cudaError_t e = cudaFuncSetAttribute(group_small<T, V, HOW>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                         GROUP_SMALL);
    if (e != cudaSuccess)
        return (int)e;
    unsigned wide = bytes > 8192 || many * cg / V > 128 ? 512 : 128,
             room = (unsigned)((bytes + 15) / 16 * 16);
    group_small<T, V, HOW><<<dim3((unsigned)(n.groups / many), (unsigned)n.b), wide, room, n.stream>>>(
        n.x, n.gamma, n.beta, n.eps, n.act, n.out, (int)n.rows, n.c, cg, many);
    return (int)cudaGetLastError();
}

/* Whether blocks of `many` groups each serve. */
template <typename T> static bool suits(const norm_task<T> &n, int many, bool busy)
{
    return many && n.rows * (n.c / n.groups) * many * (long long)sizeof(T) <= GROUP_SMALL &&
           (!busy || (long long)n.b * n.groups / many >= ENOUGH);
}

template <typename T, int HOW> static int group_norm_how(const norm_task<T> &n)
{
    constexpr int V = pack<T>::n;
    int cg = n.c / n.groups, many = bundle(V, cg, n.groups);
    if (suits(n, many, many > 1)) /* long loads, where there are blocks enough … */
        return group_norm_small<T, V, HOW>(n, many);
    if (cg % 4 == 0 && suits(n, 1, false)) /* … else short ones, a group a block */
        return group_norm_small<T, 4, HOW>(n, 1);
    if (cg % 2 == 0 && suits(n, 1, false))
        return group_norm_small<T, 2, HOW>(n, 1);
    if (suits(n, 1, false) && cg <= 256)
        return group_norm_small<T, 1, HOW>(n, 1);
    if (n.c % V == 0)
        group_large<T, V, HOW>(n);
    else if (n.c % 2 == 0)
        group_large<T, 2, HOW>(n);
    else
        group_large<T, 1, HOW>(n);
    return (int)cudaGetLastError();
}

template <typename T> static int group_norm_by(const norm_task<T> &n)
{
    if (!n.act)
        return group_norm_how<T, BARE>(n);
    if (n.act == PZ_CK_SILU && sizeof(T) == 2)
        return group_norm_how<T, QUICK_SILU>(n);
    return group_norm_how<T, ANY>(n);
}

extern "C" int pz_ck_group_norm(int type, const void *x, const void *gamma, const void *beta, float eps,
                                int act, void *out, int b, long long rows, int c, int groups, void *scratch,
                                pz_stream stream)
{
    BY_TYPE(type, {
        norm_task<T> n = {type, (const T *)x, (const T *)gamma, (const T *)beta, eps, act, (T *)out, b, rows,
                          c,    groups,       scratch,          stream};
        int e = group_norm_by<T>(n);
        if (e)
            return e;
    });
}
