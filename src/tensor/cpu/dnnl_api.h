/** What of oneDNN's C API differs between 2.x and 3.x, in the words of neither; for dnnl.c only. Memory
 * descriptors are structures that are copied in 2.x and opaque things that are freed in 3.x; operation
 * descriptors are gone in 3.x. */
#ifndef PZ_TENSOR_CPU_DNNL_API_H
#define PZ_TENSOR_CPU_DNNL_API_H

#include <oneapi/dnnl/dnnl.h>

/** Strides, dilation, padding before and behind, y then x. */
struct pz_dnnl_window {
    dnnl_dims_t stride, dilation, before, after;
};

#if DNNL_VERSION_MAJOR >= 3

typedef dnnl_memory_desc_t pz_dnnl_layout;          /**< to be freed */
typedef const_dnnl_memory_desc_t pz_dnnl_layout_at; /**< one that somebody else owns */

static inline pz_dnnl_layout_at pz_dnnl_at(const pz_dnnl_layout *m)
{
    return *m;
}

static inline dnnl_status_t pz_dnnl_layout_make(pz_dnnl_layout *m, int rank, const dnnl_dims_t dims,
                                                dnnl_format_tag_t tag)
{
    return dnnl_memory_desc_create_with_tag(m, rank, dims, dnnl_f32, tag);
}

static inline void pz_dnnl_layout_free(pz_dnnl_layout *m)
{
    if (*m)
        dnnl_memory_desc_destroy(*m);
}

static inline dnnl_status_t pz_dnnl_convolution(dnnl_primitive_desc_t *out, dnnl_engine_t engine,
                                                pz_dnnl_layout_at x, pz_dnnl_layout_at w,
                                                pz_dnnl_layout_at bias, pz_dnnl_layout_at y,
                                                const struct pz_dnnl_window *t, dnnl_primitive_attr_t attr)
{
    return dnnl_convolution_forward_primitive_desc_create(out, engine, dnnl_forward_inference,
                                                          dnnl_convolution_direct, x, w, bias, y, t->stride,
                                                          t->dilation, t->before, t->after, attr);
}

static inline dnnl_status_t pz_dnnl_then(dnnl_post_ops_t post, dnnl_alg_kind_t what, float alpha, float beta)
{
    return dnnl_post_ops_append_eltwise(post, what, alpha, beta);
}

#else

typedef dnnl_memory_desc_t pz_dnnl_layout;
typedef const dnnl_memory_desc_t *pz_dnnl_layout_at;

static inline pz_dnnl_layout_at pz_dnnl_at(const pz_dnnl_layout *m)
{
    return m;
}

static inline dnnl_status_t pz_dnnl_layout_make(pz_dnnl_layout *m, int rank, const dnnl_dims_t dims,
                                                dnnl_format_tag_t tag)
{
    return dnnl_memory_desc_init_by_tag(m, rank, dims, dnnl_f32, tag);
}

static inline void pz_dnnl_layout_free(pz_dnnl_layout *m)
{
    (void)m;
}

static inline dnnl_status_t pz_dnnl_convolution(dnnl_primitive_desc_t *out, dnnl_engine_t engine,
                                                pz_dnnl_layout_at x, pz_dnnl_layout_at w,
                                                pz_dnnl_layout_at bias, pz_dnnl_layout_at y,
                                                const struct pz_dnnl_window *t, dnnl_primitive_attr_t attr)
{
    dnnl_convolution_desc_t c;
    dnnl_status_t e =
        dnnl_dilated_convolution_forward_desc_init(&c, dnnl_forward_inference, dnnl_convolution_direct, x, w,
                                                   bias, y, t->stride, t->dilation, t->before, t->after);
    return e ? e : dnnl_primitive_desc_create(out, &c, attr, engine, NULL);
}

static inline dnnl_status_t pz_dnnl_then(dnnl_post_ops_t post, dnnl_alg_kind_t what, float alpha, float beta)
{
    return dnnl_post_ops_append_eltwise(post, 1, what, alpha, beta);
}

#endif

#endif
