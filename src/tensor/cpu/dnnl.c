/*
 * oneDNN's convolutions through its C API (2.6 and 3.x, dnnl_api.h): primitive and reordered weights made
 * once per plan, memory handles once per session. Taken for the large layers; small ones are quicker in our
 * own kernels, which have no per-call overhead. Bias and ReLU belong to the primitive; residual and PReLU are
 * our own pass behind it, because oneDNN 2.6.3 gets them wrong for some sizes (found by parity_cpu). Threads:
 * a primitive divides its work when it is made and must be run with as many OpenMP threads, so the plan's
 * number is set, for the calling thread only, around both.
 */
#include <omp.h>
#include <string.h>

#include "base/mem.h"
#include "tensor/cpu/cpu.h"
#include "tensor/cpu/dnnl_api.h"

/* Multiply-adds from which oneDNN wins over our kernels on the machines tried (docs/notes/face.md). */
#define WORTH 40e6

enum { ARG_SRC, ARG_WEIGHTS, ARG_BIAS, ARG_DST, ARG_SCRATCH, N_ARGS };

struct dnnl_state {
    dnnl_engine_t engine;
    dnnl_primitive_desc_t desc;
    dnnl_primitive_t primitive;
    void *packed;
    int threads;
    bool epilogue; /* residual and PReLU are added by our own pass */
};

struct dnnl_local {
    dnnl_stream_t stream;
    dnnl_memory_t memory[N_ARGS];
    dnnl_exec_arg_t args[N_ARGS];
    int n;
};

static bool given(const struct pz_op_args *a, int i)
{
    return i < a->n_in && a->in[i].dtype != PZ_DTYPE_COUNT;
}

static void release(void *state)
{
    struct dnnl_state *s = state;
    if (!s)
        return;
    if (s->primitive)
        dnnl_primitive_destroy(s->primitive);
    if (s->desc)
        dnnl_primitive_desc_destroy(s->desc);
    if (s->engine)
        dnnl_engine_destroy(s->engine);
    pz_free(s->packed);
    pz_free(s);
}

/* A layout the primitive has settled on, owned by it. */
static pz_dnnl_layout_at layout(const struct dnnl_state *s, dnnl_query_t what, int index)
{
    return dnnl_primitive_desc_query_md(s->desc, what, index);
}

static dnnl_status_t describe(struct dnnl_state *s, const struct pz_op_args *a, dnnl_primitive_attr_t attr)
{
    const int *x = a->in[0].shape.dim, *w = a->in[1].shape.dim, *o = a->out.shape.dim;
    const struct pz_attrs *t = a->attrs;
    dnnl_dims_t xd = {x[0], x[3], x[1], x[2]}, wd = {w[0], w[3], w[1], w[2]}, bd = {o[3]};
    dnnl_dims_t od = {o[0], o[3], o[1], o[2]};
    const struct pz_dnnl_window window = {{t->stride[0], t->stride[1]},
                                          {t->dilation[0] - 1, t->dilation[1] - 1},
                                          {t->pad[0], t->pad[2]},
                                          {t->pad[1], t->pad[3]}};
    pz_dnnl_layout src = {0}, any = {0}, bias = {0}, dst = {0};
    dnnl_post_ops_t post = NULL;
    dnnl_status_t e = pz_dnnl_layout_make(&src, 4, xd, dnnl_nhwc);
    e = e ? e : pz_dnnl_layout_make(&dst, 4, od, dnnl_nhwc);
    e = e ? e : pz_dnnl_layout_make(&any, 4, wd, dnnl_format_tag_any);
    e = e ? e : pz_dnnl_layout_make(&bias, 1, bd, dnnl_x);
    e = e ? e : dnnl_post_ops_create(&post);
    s->epilogue = given(a, 3) || t->act == PZ_ACT_PRELU;
    if (!e && !s->epilogue && t->act == PZ_ACT_RELU)
        e = pz_dnnl_then(post, dnnl_eltwise_relu, 0, 0);
    if (!e && !s->epilogue && t->act == PZ_ACT_RELU6)
        e = pz_dnnl_then(post, dnnl_eltwise_clip, 0, 6);
    e = e ? e : dnnl_primitive_attr_set_post_ops(attr, post);
    e = e ? e : dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user);
    e = e ? e
          : pz_dnnl_convolution(&s->desc, s->engine, pz_dnnl_at(&src), pz_dnnl_at(&any),
                                given(a, 2) ? pz_dnnl_at(&bias) : NULL, pz_dnnl_at(&dst), &window, attr);
    if (post)
        dnnl_post_ops_destroy(post);
    pz_dnnl_layout_free(&src);
    pz_dnnl_layout_free(&any);
    pz_dnnl_layout_free(&bias);
    pz_dnnl_layout_free(&dst);
    return e;
}

/* Weights as they come ([Co,KH,KW,Ci]) into the order the primitive wants. */
static dnnl_status_t reorder(struct dnnl_state *s, const struct pz_op_args *a)
{
    const int *w = a->in[1].shape.dim;
    dnnl_dims_t wd = {w[0], w[3], w[1], w[2]};
    pz_dnnl_layout plain = {0};
    pz_dnnl_layout_at wanted = layout(s, dnnl_query_weights_md, 0);
    dnnl_memory_t from = NULL, to = NULL;
    dnnl_primitive_desc_t pd = NULL;
    dnnl_primitive_t p = NULL;
    dnnl_stream_t stream = NULL;
    dnnl_status_t e = pz_dnnl_layout_make(&plain, 4, wd, dnnl_ohwi);
    e = e ? e : dnnl_memory_create(&from, pz_dnnl_at(&plain), s->engine, a->in[1].data);
    e = e ? e : dnnl_memory_create(&to, wanted, s->engine, s->packed);
    e = e ? e
          : dnnl_reorder_primitive_desc_create(&pd, pz_dnnl_at(&plain), s->engine, wanted, s->engine, NULL);
    e = e ? e : dnnl_primitive_create(&p, pd);
    e = e ? e : dnnl_stream_create(&stream, s->engine, dnnl_stream_default_flags);
    if (!e) {
        dnnl_exec_arg_t args[2] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}};
        e = dnnl_primitive_execute(p, stream, 2, args);
        e = e ? e : dnnl_stream_wait(stream);
    }
    if (stream)
        dnnl_stream_destroy(stream);
    if (p)
        dnnl_primitive_destroy(p);
    if (pd)
        dnnl_primitive_desc_destroy(pd);
    if (to)
        dnnl_memory_destroy(to);
    if (from)
        dnnl_memory_destroy(from);
    pz_dnnl_layout_free(&plain);
    return e;
}

static enum pz_status prepare(struct pz_log *log, const struct pz_op_args *a, void **state, size_t *scratch)
{
    if (pz_op_cost(PZ_OP_CONV2D, a) < WORTH || a->rung < PZ_CPU_RUNG_BEST)
        return PZ_ERR_UNSUPPORTED;
    for (int i = 1; i < a->n_in; i++)
        if (i != 3 && given(a, i) && !a->in[i].data)
            return PZ_ERR_UNSUPPORTED;
    struct dnnl_state *s = pz_calloc(1, sizeof *s);
    dnnl_primitive_attr_t attr = NULL;
    enum pz_status st = PZ_ERR_NOMEM;
    if (!s)
        return pz_fail(log, st, "no memory for a convolution");
    int before = omp_get_max_threads();
    s->threads = a->threads > 1 ? a->threads : 1;
    omp_set_num_threads(s->threads);
    dnnl_status_t e = dnnl_engine_create(&s->engine, dnnl_cpu, 0);
    e = e ? e : dnnl_primitive_attr_create(&attr);
    e = e ? e : describe(s, a, attr);
    if (attr)
        dnnl_primitive_attr_destroy(attr);
    omp_set_num_threads(before);
    if (e) { /* a combination oneDNN has no form for: our kernels take it */
        release(s);
        return e == dnnl_out_of_memory ? pz_fail(log, st, "no memory for a convolution") : PZ_ERR_UNSUPPORTED;
    }
    s->packed = pz_calloc(dnnl_memory_desc_get_size(layout(s, dnnl_query_weights_md, 0)), 1);
    omp_set_num_threads(s->threads);
    e = s->packed ? reorder(s, a) : dnnl_out_of_memory;
    e = e ? e : dnnl_primitive_create(&s->primitive, s->desc);
    omp_set_num_threads(before);
    if (e) {
        release(s);
        return pz_fail(log, PZ_ERR_INTERNAL, "oneDNN could not prepare a convolution (status %d)", (int)e);
    }
    pz_op_packed(a, 1);
    *scratch = dnnl_memory_desc_get_size(layout(s, dnnl_query_scratchpad_md, 0));
    *state = s;
    return PZ_OK;
}

static void detach(void *local)
{
    struct dnnl_local *l = local;
    if (!l)
        return;
    for (int i = 0; i < N_ARGS; i++)
        if (l->memory[i])
            dnnl_memory_destroy(l->memory[i]);
    if (l->stream)
        dnnl_stream_destroy(l->stream);
    pz_free(l);
}

static enum pz_status attach(struct pz_log *log, const struct pz_op_args *a, void **local)
{
    const struct dnnl_state *s = a->state;
    struct dnnl_local *l = pz_calloc(1, sizeof *l);
    if (!l)
        return pz_fail(log, PZ_ERR_NOMEM, "no memory for a convolution");
    const struct {
        bool use;
        int arg;
        pz_dnnl_layout_at md;
        void *data;
    } all[N_ARGS] = {
        [ARG_SRC] = {true, DNNL_ARG_SRC, layout(s, dnnl_query_src_md, 0), a->in[0].data},
        [ARG_WEIGHTS] = {true, DNNL_ARG_WEIGHTS, layout(s, dnnl_query_weights_md, 0), s->packed},
        [ARG_BIAS] = {given(a, 2), DNNL_ARG_BIAS, layout(s, dnnl_query_weights_md, 1), a->in[2].data},
        [ARG_DST] = {true, DNNL_ARG_DST, layout(s, dnnl_query_dst_md, 0), a->out.data},
        [ARG_SCRATCH] = {true, DNNL_ARG_SCRATCHPAD, layout(s, dnnl_query_scratchpad_md, 0), a->scratch},
    };
    dnnl_status_t e = dnnl_stream_create(&l->stream, s->engine, dnnl_stream_default_flags);
    for (int i = 0; !e && i < N_ARGS; i++) {
        if (!all[i].use)
            continue;
        e = dnnl_memory_create(&l->memory[i], all[i].md, s->engine, all[i].data);
        l->args[l->n++] = (dnnl_exec_arg_t){all[i].arg, l->memory[i]};
    }
    if (e) {
        detach(l);
        return pz_fail(log, PZ_ERR_INTERNAL, "oneDNN could not bind a convolution (status %d)", (int)e);
    }
    *local = l;
    return PZ_OK;
}

static void run(const struct pz_op_args *a)
{
    const struct dnnl_state *s = a->state;
    struct dnnl_local *l = a->local;
    int before = omp_get_max_threads();
    omp_set_num_threads(s->threads);
    /* shapes, memory and scratch were all given at attach, so that execution has nothing left to refuse */
    if (dnnl_primitive_execute(s->primitive, l->stream, l->n, l->args) != dnnl_success ||
        dnnl_stream_wait(l->stream) != dnnl_success)
        memset(a->out.data, 0xff,
               pz_shape_count(&a->out.shape) * sizeof(float)); /* NaN: seen by every reader */
    omp_set_num_threads(before);
    size_t n = pz_shape_count(&a->out.shape);
    if (s->epilogue)
        pz_cpu_fns_get(a->rung)->add_act(a->out.data, given(a, 3) ? a->in[3].data : NULL,
                                         given(a, 4) ? a->in[4].data : NULL, (size_t)a->out.shape.dim[3],
                                         a->attrs->act, a->out.data, n);
}

const struct pz_kernel pz_dnnl_conv2d = {"onednn", prepare, attach, run, detach, release};
