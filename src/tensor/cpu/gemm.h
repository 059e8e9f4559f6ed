/**
 * Matrix products of the CPU backend: packing of the second matrix and division over the pool.
 *
 * Layout   a panel is two vectors of columns, [k][2 lanes]; the last one is filled up with zeros.
 * Threads  pure functions; results do not depend on the pool.
 */
#ifndef PZ_TENSOR_CPU_GEMM_H
#define PZ_TENSOR_CPU_GEMM_H

#include "tensor/cpu/cpu.h"

/** Floats that n columns of depth k take when packed. */
size_t pz_cpu_packed_floats(const struct pz_cpu_fns *f, size_t n, size_t k);

/** Pack element (n, k), at w[n sn + k sk], into panels; `out` holds pz_cpu_packed_floats(). */
void pz_cpu_pack(const struct pz_cpu_fns *f, const float *w, size_t sn, size_t sk, size_t n, size_t k,
                 float *out);

/** Only panels [p0, p1); `out` is the start of all. */
void pz_cpu_pack_panels(const struct pz_cpu_fns *f, const float *w, size_t sn, size_t sk, size_t n, size_t k,
                        float *out, size_t p0, size_t p1);

/** The same into BF16 pairs, [ceil(k / 2)][2 lanes][2], an odd last term beside a zero; `w` is F32, or BF16
 * when `half`. `out` holds as many BF16 as n columns of even depth take floats. */
void pz_cpu_pack_half(const struct pz_cpu_fns *f, const void *w, bool half, size_t sn, size_t sk, size_t n,
                      size_t k, uint16_t *out, size_t p0, size_t p1);

/** All m rows of a product, of BF16 when `half`. `pool` may be NULL. */
void pz_cpu_gemm(const struct pz_cpu_fns *f, struct pz_pool *pool, const struct pz_gemm *g, size_t m,
                 bool half);

/** Whether optional input i is there. */
static inline bool pz_cpu_given(const struct pz_op_args *a, int i)
{
    return i < a->n_in && a->in[i].dtype != PZ_DTYPE_COUNT;
}

/** Whether a value is held as BF16, as in plans of that type; constants stay F32 there. */
static inline bool pz_cpu_half(const struct pz_view *v)
{
    return v->dtype == PZ_DTYPE_BF16;
}

/** What `prepare` can count on: in a plan that holds values as BF16, the step as `run` will see it, if `fits`
 * says that the form takes it so (the plan is told); else all in F32, and the plan converts around `run`. */
struct pz_op_args pz_cpu_types(const struct pz_op_args *a, bool (*fits)(const struct pz_op_args *a));

/** Whether any value of a step is. */
static inline bool pz_cpu_mixed(const struct pz_op_args *a)
{
    for (int i = 0; i < a->n_in; i++)
        if (pz_cpu_half(&a->in[i]))
            return true;
    return pz_cpu_half(&a->out);
}

/** Element i of a value. */
static inline void *pz_cpu_at(const struct pz_view *v, size_t i)
{
    return (char *)v->data + i * pz_dtype_size(v->dtype);
}

/** Data of an optional input, NULL when absent. */
static inline const float *pz_cpu_floats(const struct pz_op_args *a, int i)
{
    return pz_cpu_given(a, i) ? a->in[i].data : NULL;
}

#endif
