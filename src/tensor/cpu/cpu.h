/**
 * The CPU backend: own vector kernels (one source, compiled once per instruction set) and oneDNN.
 *
 * Rungs    0 plain C vectors, 1 AVX2 + FMA, 2 AVX-512, 3 AVX-512 with BF16 products. `pz_cpu_fns_get(rung)`
 * gives the best rung this processor has up to the one asked for, so each can be tested on one machine.
 * Threads  all kernels split their rows over `pz_op_args.pool`; results do not depend on the number of
 * threads.
 */
#ifndef PZ_TENSOR_CPU_CPU_H
#define PZ_TENSOR_CPU_CPU_H

#include <stdint.h>

#include "tensor/op.h"

#define PZ_CPU_RUNG_BEST 99

/** One image of a convolution, as the span kernels see it. */
struct pz_conv_job {
    const float *x; /**< padded picture */
    size_t row;     /**< floats between its rows */
    int ci, kh, kw, sy, sx, dy, dx;
    const float *w;            /**< conv: [ceil(co/lanes)][kh][kw][ci][lanes]; depthwise: [kh][kw][co] */
    const float *bias, *slope; /**< [co rounded up to lanes], zeros where absent */
    const float *residual;     /**< [oh*ow][co] or NULL */
    enum pz_act act;
    float *out; /**< [oh][ow][co] */
    int ow, co;
};

struct pz_pool_job {
    const float *x;
    size_t row;
    int h, w, c, kh, kw, sy, sx, top, left;
    bool mean;
    enum pz_act act;
    float *out;
    int ow;
};

/** out = act(a b + bias + residual), or out += a b first when `add` is set. Pointers may be unaligned. */
struct pz_gemm {
    const void *a; /**< [m][lda] F32; BF16 for gemm_bf16 */
    size_t lda;
    const void *b; /**< packed: [ceil(n / (2 lanes))] panels, `panel` elements apart, each [k][2 lanes]; BF16:
                      [k / 2][2 lanes][2] */
    size_t panel, n, k;   /**< k even for gemm_bf16 */
    const float *bias;    /**< [n] or NULL */
    const void *residual; /**< [m][ldr] of out's type, or NULL */
    size_t ldr;
    enum pz_act act; /**< not PReLU; not together with several `add` */
    bool add;        /**< F32 out only */
    bool half_out;   /**< out and residual are BF16 */
    void *out;       /**< [m][ldc] */
    size_t ldc;
};

/** Interpolation points of Winograd's convolution beside 0 and infinity. */
#define PZ_WINO_A 0.625f
#define PZ_WINO_B 1.5f

struct pz_wino_out {
    const float *sums; /**< 36 planes of one patch, `plane` floats apart */
    size_t plane, c;
    const float *bias;    /**< [c] */
    const float *slope;   /**< [c] or NULL */
    const void *residual; /**< as out, or NULL */
    enum pz_act act;
    bool half; /**< out and residual are BF16 */
    void *out;
    size_t row; /**< elements between rows of out and residual */
    int h, w;   /**< pixels of the patch that exist, 1 … 4 */
};

enum pz_cpu_map {
    PZ_MAP_SIGMOID,
    PZ_MAP_GELU,
    PZ_MAP_GELU_TANH,
    PZ_MAP_SILU,
    PZ_MAP_TANH,
    PZ_MAP_EXP,
    PZ_MAP_LEAKY_RELU, /**< slope `value` */
    PZ_MAP_RELU6,
    PZ_MAP_SCALE, /**< × `value` */
    PZ_MAP_SHIFT, /**< + `value` */
    PZ_MAP_MAX,   /**< at least `value` */
    PZ_MAP_MIN,   /**< at most `value` */
    PZ_MAP_HARD_SIGMOID,
    PZ_MAP_HARD_SWISH,
    PZ_MAP_SQRT,
    PZ_MAP_RSQRT, /**< of x + `value` */
    PZ_MAP_LOG,
    PZ_MAP_SOFTPLUS
};

enum pz_cpu_binary { PZ_BINARY_ADD, PZ_BINARY_SUB, PZ_BINARY_MUL, PZ_BINARY_DIV, PZ_BINARY_MAX };

struct pz_cpu_fns {
    const char *name;
    int lanes; /**< floats per vector; packing of convolution weights */
    int tile;  /**< rows of a product kept in registers */
    /** Outputs [x0, x1) of row y, all channels. */
    void (*conv_span)(const struct pz_conv_job *j, int y, int x0, int x1);
    void (*dw_span)(const struct pz_conv_job *j, int y, int x0, int x1);
    void (*pool_row)(const struct pz_pool_job *j, int y);
    /** out[i] = act(x[i] + (y ? y[i] : 0)); slopes repeat every `c` values, `n` a multiple of `c`. */
    void (*add_act)(const float *x, const float *y, const float *slope, size_t c, enum pz_act act, float *out,
                    size_t n);
    void (*mul)(const float *x, const float *y, float *out, size_t n);
    /** Rows [m0, m1) of panels [p0, p1). */
    void (*gemm)(const struct pz_gemm *g, size_t m0, size_t m1, size_t p0, size_t p1);
    /** The same of BF16 pairs with F32 sums; NULL where the rung's processors have no such instruction. */
    void (*gemm_bf16)(const struct pz_gemm *g, size_t m0, size_t m1, size_t p0, size_t p1);
    void (*widen)(const uint16_t *x, float *out, size_t n);  /**< BF16 → F32 */
    void (*narrow)(const float *x, uint16_t *out, size_t n); /**< to nearest, ties to even */
    /** out[i] = fn(x[i]); `x` may be `out`. */
    void (*map)(enum pz_cpu_map fn, const float *x, float *out, size_t n, float value);
    /** out[i] = act(x[i] ∘ y[i]); a `same` operand is one value for all i. */
    void (*binary)(enum pz_cpu_binary fn, const float *x, bool x_same, const float *y, bool y_same,
                   enum pz_act act, float *out, size_t n);
    void (*geglu)(const float *x, float *out, size_t c);
    void (*softmax)(const float *x, float *out, size_t n);
    void (*log_softmax)(const float *x, float *out, size_t n);
    /** Sum of x, or of its squares; largest of x, n ≥ 1. */
    float (*sum)(const float *x, size_t n, bool squares);
    float (*top)(const float *x, size_t n);
    /** out[i] = Σ w[k] p[k][i] over `many` rows. */
    void (*blend)(const float *const *p, const float *w, int many, float *out, size_t n);
    /** out[j] = Σ x[i] y[j·row + i], i < d, for `n` rows of y. */
    void (*dots)(const float *x, const float *y, size_t row, size_t n, size_t d, float *out);
    /** One block of scores of one query: × scale, + mask (or NULL), then exp(score − top) in place; top and
     * sum are brought up to date (before the first block −inf and 0). Returns the factor for the earlier
     * sums. */
    float (*attend)(float *scores, size_t n, float scale, const float *mask, float *top, float *sum);
    /** out = act(x × scale + shift), rows of c channels. */
    void (*scale_shift)(const float *x, const float *scale, const float *shift, size_t c, enum pz_act act,
                        float *out, size_t rows);
    /** One row; gamma, beta may be NULL. */
    void (*layer_norm)(const float *x, const float *gamma, const float *beta, float eps, enum pz_act act,
                       float *out, size_t c);
    /** Mean and sum of squared distances from it, of each group over all rows; room: 2 c floats. */
    void (*group_moments)(const float *x, size_t rows, size_t c, size_t groups, double *mean, double *square,
                          float *room);
    /** A 6×6 patch (36 pointers to pixels of c channels, F32 or BF16) to 36 planes; c a multiple of lanes. */
    void (*wino_in)(const void *const patch[36], bool half, size_t c, float *out, size_t plane);
    void (*wino_out)(const struct pz_wino_out *o);
    /** Filters of one panel, [n][9][ci] with n ≤ 2 · lanes, into 36 planes [ci][2 · lanes]. */
    void (*wino_filters)(const float *w, size_t n, size_t ci, float *out, size_t plane);
    /** So many rounds of independent multiply-adds in registers; returns how many operations that were. */
    double (*spin)(int rounds);
    double (*spin_bf16)(int rounds); /**< pairs of BF16; NULL where the rung has none */
};

const struct pz_cpu_fns *pz_cpu_fns_get(int rung);

/** Whether plans in BF16 can be had: the processor, up to this rung, multiplies BF16. */
bool pz_cpu_has_bf16(int rung);

/** The rungs themselves; NULL where the build has none. */
extern const struct pz_cpu_fns pz_cpu_fns_c;
#if defined(__x86_64__)
extern const struct pz_cpu_fns pz_cpu_fns_avx2, pz_cpu_fns_avx512, pz_cpu_fns_bf16;
#endif

/** Candidate lists of the table. */
#define PZ_CPU_FORMS(name) extern const struct pz_kernel *const pz_cpu_##name[]
PZ_CPU_FORMS(conv2d);
PZ_CPU_FORMS(dwconv2d);
PZ_CPU_FORMS(dense);
PZ_CPU_FORMS(add);
PZ_CPU_FORMS(sub);
PZ_CPU_FORMS(mul);
PZ_CPU_FORMS(act);
PZ_CPU_FORMS(relu6);
PZ_CPU_FORMS(prelu);
PZ_CPU_FORMS(sigmoid);
PZ_CPU_FORMS(pool);
PZ_CPU_FORMS(avgpool);
PZ_CPU_FORMS(pad);
PZ_CPU_FORMS(concat);
PZ_CPU_FORMS(slice);
PZ_CPU_FORMS(transpose);
PZ_CPU_FORMS(softmax);
PZ_CPU_FORMS(resize_nearest);
PZ_CPU_FORMS(matmul);
PZ_CPU_FORMS(attention);
PZ_CPU_FORMS(conv_transpose2d);
PZ_CPU_FORMS(group_norm);
PZ_CPU_FORMS(layer_norm);
PZ_CPU_FORMS(batch_norm);
PZ_CPU_FORMS(gelu);
PZ_CPU_FORMS(gelu_tanh);
PZ_CPU_FORMS(silu);
PZ_CPU_FORMS(tanh);
PZ_CPU_FORMS(exp);
PZ_CPU_FORMS(leaky_relu);
PZ_CPU_FORMS(geglu);
PZ_CPU_FORMS(embedding);
PZ_CPU_FORMS(conv3d);
PZ_CPU_FORMS(grouped_conv2d);
PZ_CPU_FORMS(resize_bilinear);
PZ_CPU_FORMS(grid_sample);
PZ_CPU_FORMS(pad_edge);
PZ_CPU_FORMS(div);
PZ_CPU_FORMS(hard_sigmoid);
PZ_CPU_FORMS(hard_swish);
PZ_CPU_FORMS(clamp);
PZ_CPU_FORMS(sqrt);
PZ_CPU_FORMS(rsqrt);
PZ_CPU_FORMS(log);
PZ_CPU_FORMS(softplus);
PZ_CPU_FORMS(log_softmax);
PZ_CPU_FORMS(l2_normalise);
PZ_CPU_FORMS(reduce_mean);
PZ_CPU_FORMS(reduce_sum);
PZ_CPU_FORMS(reduce_max);
#undef PZ_CPU_FORMS

extern const struct pz_kernel pz_cpu_winograd;           /**< tensor/cpu/winograd.c */
extern const struct pz_kernel pz_cpu_im2col, pz_cpu_few; /**< tensor/cpu/im2col.c */
#if defined(PZ_HAVE_DNNL)
extern const struct pz_kernel pz_dnnl_conv2d; /**< tensor/cpu/dnnl.c */
#endif

#endif
