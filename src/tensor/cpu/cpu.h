/**
 * The CPU backend: own vector kernels (one source, compiled once per instruction set) and oneDNN.
 *
 * Rungs    0 plain C vectors, 1 AVX2 + FMA, 2 AVX-512. `pz_cpu_fns_get(rung)` gives the best rung this
 * processor has up to the one asked for, so each can be tested on one machine. Threads  all kernels split
 * their rows over `pz_op_args.pool`; results do not depend on the number of threads.
 */
#ifndef PZ_TENSOR_CPU_CPU_H
#define PZ_TENSOR_CPU_CPU_H

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

struct pz_cpu_fns {
    const char *name;
    int lanes; /**< floats per vector; packing of convolution weights */
    /** Outputs [x0, x1) of row y, all channels. */
    void (*conv_span)(const struct pz_conv_job *j, int y, int x0, int x1);
    void (*dw_span)(const struct pz_conv_job *j, int y, int x0, int x1);
    void (*pool_row)(const struct pz_pool_job *j, int y);
    /** out[i] = act(x[i] + (y ? y[i] : 0)); slopes repeat every `c` values, `n` a multiple of `c`. */
    void (*add_act)(const float *x, const float *y, const float *slope, size_t c, enum pz_act act, float *out,
                    size_t n);
    void (*mul)(const float *x, const float *y, float *out, size_t n);
};

const struct pz_cpu_fns *pz_cpu_fns_get(int rung);

/** The rungs themselves; NULL where the build has none. */
extern const struct pz_cpu_fns pz_cpu_fns_c;
#if defined(__x86_64__)
extern const struct pz_cpu_fns pz_cpu_fns_avx2, pz_cpu_fns_avx512;
#endif

/** Candidate lists of the table. */
extern const struct pz_kernel *const pz_cpu_conv2d[],
    *const pz_cpu_dwconv2d[], *const pz_cpu_add[], *const pz_cpu_mul[], *const pz_cpu_act[],
                                                                            *const pz_cpu_prelu[],
                                                                                *const pz_cpu_pool[],
                                                                                    *const pz_cpu_pad[];

#if defined(PZ_HAVE_DNNL)
extern const struct pz_kernel pz_dnnl_conv2d; /**< tensor/cpu/dnnl.c */
#endif

#endif
