/* Volumes, sampling at given places, padding with what is there, reductions: rare, so right for every shape
 * first and quick where it is cheap to be. */
#include "tensor/cuda/common.cuh"

/* --- convolutions of any rank and grouping: one thread an output --- */

template <typename T>
static __global__ void conv_plain(pz_ck_volume g, const T *x, const T *w, T *out, long long n)
{
    GRID_LOOP(i, n)
    {
        long long left = i;
        int at[5];
        for (int k = 4; k >= 0; k--) {
            at[k] = (int)(left % g.o[k]);
            left /= g.o[k];
        }
        int from = at[4] / (g.o[4] / (g.x[4] / g.w[4])) * g.w[4]; /* first channel of the group */
        const T *f = w + (long long)at[4] * g.w[1] * g.w[2] * g.w[3] * g.w[4];
        float sum = 0;
        for (int kz = 0; kz < g.w[1]; kz++)
            for (int ky = 0; ky < g.w[2]; ky++)
                for (int kx = 0; kx < g.w[3]; kx++, f += g.w[4]) {
                    int z = at[1] * g.stride[0] + kz * g.dilation[0] - g.pad[0];
                    int y = at[2] * g.stride[1] + ky * g.dilation[1] - g.pad[1];
                    int u = at[3] * g.stride[2] + kx * g.dilation[2] - g.pad[2];
                    if (z < 0 || z >= g.x[1] || y < 0 || y >= g.x[2] || u < 0 || u >= g.x[3])
                        continue;
                    const T *p =
                        x + ((((long long)at[0] * g.x[1] + z) * g.x[2] + y) * g.x[3] + u) * g.x[4] + from;
                    for (int c = 0; c < g.w[4]; c++)
                        sum += get(p, c) * get(f, c);
                }
        put(out, i, sum);
    }
}

extern "C" int pz_ck_conv(int type, const struct pz_ck_volume *g, const void *x, const void *w, void *out,
                          pz_stream stream)
{
    long long n = (long long)g->o[0] * g->o[1] * g->o[2] * g->o[3] * g->o[4];
    BY_TYPE(type,
            (conv_plain<<<blocks_for(n), 256, 0, stream>>>(*g, (const T *)x, (const T *)w, (T *)out, n)));
}

/* --- sampling --- */

__device__ __forceinline__ float place(float g, int n, int align, int border)
{
    float v = align ? (g + 1) * 0.5f * (float)(n - 1) : ((g + 1) * (float)n - 1) * 0.5f;
    return border ? fminf(fmaxf(v, 0), (float)(n - 1)) : v;
}

/* V channels of one point a thread; a picture is a volume of one slice. */
template <typename T, int V>
static __global__ void sample(pz_ck_sample g, const T *x, const T *grid, T *out, long long n)
{
    struct alignas(sizeof(T) * V) some {
        T v[V];
    };
    int per = g.c / V;
    GRID_LOOP(i, n)
    {
        long long p = i / per;
        int c = (int)(i % per), b = (int)(p / g.points);
        const T *q = grid + p * g.axes;
        float fx = place(get(q, 0), g.w, g.align, g.border), fy = place(get(q, 1), g.h, g.align, g.border);
        float fz = g.axes == 3 ? place(get(q, 2), g.d, g.align, g.border) : 0;
        float sum[V] = {};
        /* written so that NaN falls outside */
        if (fx > -1 && fx < (float)g.w && fy > -1 && fy < (float)g.h && fz > -1 && fz < (float)g.d) {
            int x0 = (int)floorf(fx), y0 = (int)floorf(fy), z0 = (int)floorf(fz);
            float wx = fx - (float)x0, wy = fy - (float)y0, wz = fz - (float)z0;
            for (int k = 0; k < 8; k++) {
                int u = x0 + (k & 1), v = y0 + (k >> 1 & 1), z = z0 + (k >> 2);
                float w = (k & 1 ? wx : 1 - wx) * (k & 2 ? wy : 1 - wy) * (k & 4 ? wz : 1 - wz);
                if (u < 0 || u >= g.w || v < 0 || v >= g.h || z < 0 || z >= g.d)
                    continue;
                some t = reinterpret_cast<const some *>(x + ((((long long)b * g.d + z) * g.h + v) * g.w + u) *
                                                                g.c)[c];
#pragma unroll
                for (int j = 0; j < V; j++)
                    sum[j] += w * get(t.v, j);
            }
        }
        some o;
#pragma unroll
        for (int j = 0; j < V; j++)
            put(o.v, j, sum[j]);
        reinterpret_cast<some *>(out)[i] = o;
    }
}

template <typename T>
static void sample_as(const struct pz_ck_sample *g, const void *x, const void *grid, void *out,
                      pz_stream stream)
{
    long long n = (long long)g->b * g->points * g->c;
    constexpr int V = pack<T>::n;
    if (g->c % V == 0)
        sample<T, V>
            <<<blocks_for(n / V), 256, 0, stream>>>(*g, (const T *)x, (const T *)grid, (T *)out, n / V);
    else
        sample<T, 1><<<blocks_for(n), 256, 0, stream>>>(*g, (const T *)x, (const T *)grid, (T *)out, n);
}

extern "C" int pz_ck_grid_sample(int type, const struct pz_ck_sample *g, const void *x, const void *grid,
                                 void *out, pz_stream stream)
{
    BY_TYPE(type, sample_as<T>(g, x, grid, out, stream));
}

/* --- padding --- */

template <typename T>
static __global__ void pad_edge(pz_ck_axes x, int reflect, const T *in, T *out, long long n)
{
    GRID_LOOP(i, n)
    {
        unsigned left = (unsigned)i;
        long long at = 0;
        for (int k = x.rank - 1; k >= 0; k--) {
            int v = (int)(left % (unsigned)x.dim[k]) - x.begin[k], last = x.size[k] - 1;
            left /= (unsigned)x.dim[k];
            v = v < 0 ? (reflect ? -v : 0) : v > last ? (reflect ? 2 * last - v : last) : v;
            at += v * x.step[0][k];
        }
        out[i] = in[at];
    }
}

extern "C" int pz_ck_pad_edge(int type, int reflect, const struct pz_ck_axes *axes, const void *x, void *out,
                              long long n, pz_stream stream)
{
    BY_TYPE(type, (pad_edge<<<blocks_for(n), 256, 0, stream>>>(*axes, reflect, (const T *)x, (T *)out, n)));
}

/* --- reductions --- */

/* Offset of number i of a row-major index over `size` with steps `step`. */
__device__ __forceinline__ long long offset(int rank, const int *size, const long long *step, long long i)
{
    long long at = 0;
    for (int k = rank - 1; k >= 0; k--) {
        at += i % size[k] * step[k];
        i /= size[k];
    }
    return at;
}

/* LANES threads an output: 1 where neighbours share the innermost axis, 32 where it is summed over. dim:
 * extents of the output, size: of what is summed, steps of the input for both. op 0 mean, 1 sum, 2 maximum.
 */
template <typename T, int LANES>
static __global__ void reduce(int op, pz_ck_axes x, const T *in, T *out, long long n, long long terms)
{
    GRID_LOOP(j, n * LANES)
    {
        long long i = j / LANES, base = offset(x.rank, x.dim, x.step[0], i);
        float sum = 0, low = 0, top = -INFINITY;
        for (long long t = LANES > 1 ? j % LANES : 0; t < terms; t += LANES) {
            float v = get(in, base + offset(x.rank, x.size, x.step[1], t)), y = v - low, s = sum + y;
            low = (s - sum) - y; /* Kahan: one thread may add a whole picture */
            sum = s;
            top = fmaxf(top, v);
        }
        if (LANES > 1) {
            sum = warp_sum(sum);
            top = warp_max(top);
        }
        if (LANES == 1 || j % LANES == 0)
            put(out, i, op == 2 ? top : op == 1 ? sum : sum / (float)terms);
    }
}

/* Outer × inner outputs of `terms` values that lie `inner` apart: 32 neighbours a block, 32 threads each. One
 * thread an output needed 2.8 ms for a picture of 64×64. Sums of a thread are short enough to go without
 * Kahan's care. */
template <typename T>
static __global__ void reduce_columns(int op, const T *in, T *out, long long terms, long long inner)
{
    __shared__ float part[32][33];
    long long c = blockIdx.x * 32LL + threadIdx.x;
    const T *p = in + blockIdx.y * terms * inner + c;
    float sum = 0, top = -INFINITY;
    if (c < inner)
        for (long long t = threadIdx.y; t < terms; t += 32) {
            float v = get(p, t * inner);
            sum += v;
            top = fmaxf(top, v);
        }
    part[threadIdx.y][threadIdx.x] = op == 2 ? top : sum;
    __syncthreads();
    float v = part[threadIdx.x][threadIdx.y]; /* a warp now holds the 32 parts of one output */
    v = op == 2 ? warp_max(v) : warp_sum(v);
    c = blockIdx.x * 32LL + threadIdx.y;
    if (threadIdx.x == 0 && c < inner)
        put(out, blockIdx.y * inner + c, op == 0 ? v / (float)terms : v);
}

extern "C" int pz_ck_reduce_columns(int type, int op, const void *x, void *out, long long outer,
                                    long long terms, long long inner, pz_stream stream)
{
    dim3 grid((unsigned)((inner + 31) / 32), (unsigned)outer), block(32, 32);
    BY_TYPE(type, (reduce_columns<T><<<grid, block, 0, stream>>>(op, (const T *)x, (T *)out, terms, inner)));
}

extern "C" int pz_ck_reduce(int type, int op, int wide, const struct pz_ck_axes *axes, const void *x,
                            void *out, long long n, long long terms, pz_stream stream)
{
    if (wide) /* a multiple of 32 threads in all: the loop never splits a warp */
        BY_TYPE(type, (reduce<T, 32><<<blocks_for(n * 32), 256, 0, stream>>>(op, *axes, (const T *)x,
                                                                             (T *)out, n, terms)));
    BY_TYPE(type,
            (reduce<T, 1><<<blocks_for(n), 256, 0, stream>>>(op, *axes, (const T *)x, (T *)out, n, terms)));
}

/* A warp a row. */
template <typename T> static __global__ void argmax(const T *x, int *out, long long rows, int c)
{
    GRID_LOOP(j, rows * 32)
    {
        long long r = j / 32;
        float top = -INFINITY;
        int best = c;
        for (int i = (int)(j % 32); i < c; i += 32) {
            float v = get(x, r * c + i);
            if (v > top || best == c) {
                top = v;
                best = i;
            }
        }
        for (int o = 16; o; o >>= 1) {
            float v = __shfl_xor_sync(0xffffffffu, top, o);
            int k = __shfl_xor_sync(0xffffffffu, best, o);
            if (k < c && (best == c || v > top || (v == top && k < best))) {
                top = v;
                best = k;
            }
        }
        if (j % 32 == 0)
            out[r] = best;
    }
}

extern "C" int pz_ck_argmax(int type, const void *x, int *out, long long rows, int c, pz_stream stream)
{
    BY_TYPE(type, (argmax<<<blocks_for(rows * 32), 256, 0, stream>>>((const T *)x, out, rows, c)));
}

template <typename T>
static __global__ void l2_normalise(const T *x, const T *gamma, float eps, int added, T *out, long long rows,
                                    int c)
{
    GRID_LOOP(j, rows * 32)
    {
        long long r = j / 32;
        float sum = 0;
        for (int i = (int)(j % 32); i < c; i += 32) {
            float v = get(x, r * c + i);
            sum += v * v;
        }
        float norm = sqrtf(warp_sum(sum));
        norm = added ? norm + eps : fmaxf(norm, eps);
        for (int i = (int)(j % 32); i < c; i += 32)
            put(out, r * c + i, get(x, r * c + i) / norm * (gamma ? get(gamma, i) : 1.0f));
    }
}

extern "C" int pz_ck_l2_normalise(int type, const void *x, const void *gamma, float eps, int added, void *out,
                                  long long rows, int c, pz_stream stream)
{
    BY_TYPE(type, (l2_normalise<<<blocks_for(rows * 32), 256, 0, stream>>>((const T *)x, (const T *)gamma,
                                                                           eps, added, (T *)out, rows, c)));
}

/* A warp a line of n values `inner` apart. */
template <typename T>
static __global__ void log_softmax(const T *x, T *out, int n, long long inner, long long lines)
{
    GRID_LOOP(j, lines * 32)
    {
        long long i = j / 32, at = i / inner * n * inner + i % inner;
        float top = -INFINITY, sum = 0;
        for (int k = (int)(j % 32); k < n; k += 32)
            top = fmaxf(top, get(x, at + k * inner));
        top = warp_max(top);
        for (int k = (int)(j % 32); k < n; k += 32)
            sum += expf(get(x, at + k * inner) - top);
        sum = logf(warp_sum(sum));
        for (int k = (int)(j % 32); k < n; k += 32)
            put(out, at + k * inner, get(x, at + k * inner) - top - sum);
    }
}

extern "C" int pz_ck_log_softmax(int type, const void *x, void *out, long long outer, int n, long long inner,
                                 pz_stream stream)
{
    long long lines = outer * inner;
    BY_TYPE(type, (log_softmax<<<blocks_for(lines * 32), 256, 0, stream>>>((const T *)x, (T *)out, n, inner,
                                                                           lines)));
}
