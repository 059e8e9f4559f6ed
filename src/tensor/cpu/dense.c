/*
 * Dense layers, matrix products and transposed convolutions on the packed product. Weights that are constant
 * are packed when the plan is made, others in the run. A transposed convolution is one product (each input
 * pixel gives all its taps) and a gathering of the taps by output row.
 */
#include <string.h>

#include "base/mem.h"
#include "tensor/cpu/gemm.h"

struct packed {
    void *w;
};

static void release(void *state)
{
    struct packed *s = state;
    if (s)
        pz_free(s->w);
    pz_free(s);
}

/* A second matrix to pack: element (n, k) at w[n sn + k sk]. */
struct packing {
    const struct pz_cpu_fns *f;
    const void *w;
    bool from_half, half; /* held as BF16; packed as BF16 */
    size_t sn, sk, n, k;
    void *out;
};

static size_t panels_of(const struct packing *p)
{
    size_t panel = 2 * (size_t)p->f->lanes;
    return (p->n + panel - 1) / panel;
}

static void pack_task(void *user, int index, int worker)
{
    const struct packing *p = user;
    size_t i = (size_t)index;
    if (p->half)
        pz_cpu_pack_half(p->f, p->w, p->from_half, p->sn, p->sk, p->n, p->k, p->out, i, i + 1);
    else
        pz_cpu_pack_panels(p->f, p->w, p->sn, p->sk, p->n, p->k, p->out, i, i + 1);
}

static void pack_now(struct pz_pool *pool, const struct packing *p)
{
    struct packing copy = *p;
    pz_pool_run(p->n * p->k > 20000 ? pool : NULL, pack_task, &copy, (int)panels_of(p));
}

/* Constants are packed now, others by the run in scratch. */
static enum pz_status prepare_packed(struct pz_log *log, const struct pz_op_args *a, struct packing p,
                                     void **state, size_t *scratch)
{
    size_t bytes = pz_cpu_packed_floats(p.f, p.n, p.half ? (p.k + 1) / 2 * 2 : p.k) * (p.half ? 2 : 4);
    struct packed *s = pz_calloc(1, sizeof *s);
    if (!s)
        return pz_fail(log, PZ_ERR_NOMEM, "no memory for a layer");
    if (p.w) {
        p.out = s->w = pz_calloc(bytes, 1);
        if (!s->w) {
            release(s);
            return pz_fail(log, PZ_ERR_NOMEM, "no memory for %zu bytes of packed weights", bytes);
        }
        pack_now(a->pool, &p);
        pz_op_packed(a, 1);
    } else {
        *scratch += bytes;
    }
    *state = s;
    return PZ_OK;
}

static struct packing packing_of(const struct pz_op_args *a, size_t sn, size_t sk, size_t n, size_t k)
{
    return (struct packing){.f = pz_cpu_fns_get(a->rung),
                            .w = a->in[1].data,
                            .from_half = pz_cpu_half(&a->in[1]),
                            .half = pz_cpu_half(&a->in[0]),
                            .sn = sn,
                            .sk = sk,
                            .n = n,
                            .k = k};
}

/* BF16 goes in pairs, and then the rest of what flows is BF16 too. */
static bool fits(const struct pz_op_args *a)
{
    int k = a->in[0].shape.dim[a->in[0].shape.rank - 1];
    return pz_cpu_half(&a->in[0]) && k % 2 == 0 && pz_cpu_has_bf16(a->rung) &&
           !(pz_cpu_given(a, 2) && pz_cpu_half(&a->in[2])) &&
           !(pz_cpu_given(a, 3) && !pz_cpu_half(&a->in[3]));
}

static enum pz_status dense_prepare(struct pz_log *log, const struct pz_op_args *a, void **state,
                                    size_t *scratch)
{
    const int *w = a->in[1].shape.dim;
    size_t n = (size_t)w[0], k = (size_t)w[1];
    struct pz_op_args t = pz_cpu_types(a, fits);
    *scratch = 0;
    return prepare_packed(log, a, packing_of(&t, k, 1, n, k), state, scratch);
}

static void dense_run(const struct pz_op_args *a)
{
    const struct packed *s = a->state;
    const struct pz_cpu_fns *f = pz_cpu_fns_get(a->rung);
    size_t n = (size_t)a->in[1].shape.dim[0], k = (size_t)a->in[1].shape.dim[1];
    struct packing p = packing_of(a, k, 1, n, k);
    p.out = a->scratch;
    if (!s->w)
        pack_now(a->pool, &p);
    struct pz_gemm g = {.a = a->in[0].data,
                        .lda = k,
                        .b = s->w ? s->w : a->scratch,
                        .panel = k * 2 * (size_t)f->lanes,
                        .n = n,
                        .k = k,
                        .bias = pz_cpu_floats(a, 2),
                        .residual = pz_cpu_given(a, 3) ? a->in[3].data : NULL,
                        .ldr = n,
                        .act = a->attrs->act,
                        .half_out = pz_cpu_half(&a->out),
                        .out = a->out.data,
                        .ldc = n};
    pz_cpu_gemm(f, a->pool, &g, pz_shape_count(&a->in[0].shape) / k, p.half);
}

/* One matrix for the whole batch may be packed before; one for each is packed when its turn comes. */
static enum pz_status matmul_prepare(struct pz_log *log, const struct pz_op_args *a, void **state,
                                     size_t *scratch)
{
    const struct pz_shape *q = &a->in[1].shape;
    size_t n = (size_t)a->out.shape.dim[q->rank - 1], k = (size_t)a->in[0].shape.dim[q->rank - 1];
    bool tr = a->attrs->transpose_b;
    struct pz_op_args t = pz_cpu_types(a, fits);
    struct packing p = packing_of(&t, tr ? k : 1, tr ? 1 : n, n, k);
    if (pz_shape_count(q) != n * k)
        p.w = NULL;
    *scratch = 0;
    return prepare_packed(log, a, p, state, scratch);
}

static void matmul_run(const struct pz_op_args *a)
{
    const struct packed *s = a->state;
    const struct pz_cpu_fns *f = pz_cpu_fns_get(a->rung);
    const struct pz_shape *x = &a->in[0].shape;
    size_t n = (size_t)a->out.shape.dim[x->rank - 1], k = (size_t)x->dim[x->rank - 1];
    size_t m = (size_t)x->dim[x->rank - 2], batch = pz_shape_count(x) / (m * k);
    bool tr = a->attrs->transpose_b;
    if (pz_shape_count(&a->in[1].shape) == n * k) {
        m *= batch;
        batch = 1;
    }
    struct packing p = packing_of(a, tr ? k : 1, tr ? 1 : n, n, k);
    p.out = a->scratch;
    for (size_t b = 0; b < batch; b++) {
        if (!s->w) {
            p.w = pz_cpu_at(&a->in[1], b * n * k);
            pack_now(a->pool, &p);
        }
        struct pz_gemm g = {.a = pz_cpu_at(&a->in[0], b * m * k),
                            .lda = k,
                            .b = s->w ? s->w : a->scratch,
                            .panel = k * 2 * (size_t)f->lanes,
                            .n = n,
                            .k = k,
                            .half_out = pz_cpu_half(&a->out),
                            .out = pz_cpu_at(&a->out, b * m * n),
                            .ldc = n};
        pz_cpu_gemm(f, a->pool, &g, m, p.half);
    }
}

/* Taps of all input pixels of one picture lie in scratch, behind the packed weights where there are any. */
static size_t taps_floats(const struct pz_op_args *a)
{
    const int *x = a->in[0].shape.dim, *w = a->in[1].shape.dim;
    return (size_t)x[1] * (size_t)x[2] * (size_t)w[1] * (size_t)w[2] * (size_t)w[3];
}

static enum pz_status transposed_prepare(struct pz_log *log, const struct pz_op_args *a, void **state,
                                         size_t *scratch)
{
    const int *w = a->in[1].shape.dim;
    size_t n = (size_t)w[1] * (size_t)w[2] * (size_t)w[3];
    *scratch = taps_floats(a) * sizeof(float);
    return prepare_packed(log, a, packing_of(a, 1, n, n, (size_t)w[0]), state, scratch);
}

struct gathering {
    const struct pz_op_args *a;
    const struct pz_cpu_fns *f;
    const float *taps;
    float *out;
};

static void gather_pixel(const struct gathering *g, int y, int z, float *out)
{
    const struct pz_op_args *a = g->a;
    const struct pz_attrs *t = a->attrs;
    const int *x = a->in[0].shape.dim, *w = a->in[1].shape.dim;
    size_t co = (size_t)w[3];
    const float *bias = pz_cpu_floats(a, 2);
    if (bias)
        memcpy(out, bias, co * sizeof *out);
    else
        memset(out, 0, co * sizeof *out);
    for (int ky = 0; ky < w[1]; ky++) {
        int fy = y + t->pad[0] - ky * t->dilation[0], iy = fy / t->stride[0];
        if (fy < 0 || fy % t->stride[0] || iy >= x[1])
            continue;
        for (int kx = 0; kx < w[2]; kx++) {
            int fx = z + t->pad[2] - kx * t->dilation[1], ix = fx / t->stride[1];
            if (fx < 0 || fx % t->stride[1] || ix >= x[2])
                continue;
            size_t at = (((size_t)iy * (size_t)x[2] + (size_t)ix) * (size_t)w[1] + (size_t)ky) * (size_t)w[2];
            g->f->binary(PZ_BINARY_ADD, out, false, g->taps + (at + (size_t)kx) * co, false, PZ_ACT_NONE, out,
                         co);
        }
    }
    if (t->act)
        g->f->add_act(out, NULL, NULL, co, t->act, out, co);
}

static void gather_task(void *user, int index, int worker)
{
    const struct gathering *g = user;
    const int *o = g->a->out.shape.dim;
    for (int z = 0; z < o[2]; z++)
        gather_pixel(g, index, z, g->out + ((size_t)index * (size_t)o[2] + (size_t)z) * (size_t)o[3]);
}

static void transposed_run(const struct pz_op_args *a)
{
    const struct packed *s = a->state;
    const struct pz_cpu_fns *f = pz_cpu_fns_get(a->rung);
    const int *x = a->in[0].shape.dim, *w = a->in[1].shape.dim, *o = a->out.shape.dim;
    size_t n = (size_t)w[1] * (size_t)w[2] * (size_t)w[3], k = (size_t)w[0];
    size_t m = (size_t)x[1] * (size_t)x[2];
    float *taps = a->scratch, *packed = taps + taps_floats(a);
    struct packing p = packing_of(a, 1, n, n, k);
    p.out = packed;
    if (!s->w)
        pack_now(a->pool, &p);
    for (int b = 0; b < x[0]; b++) {
        struct pz_gemm g = {.a = (const float *)a->in[0].data + (size_t)b * m * k,
                            .lda = k,
                            .b = s->w ? s->w : packed,
                            .panel = k * 2 * (size_t)f->lanes,
                            .n = n,
                            .k = k,
                            .out = taps,
                            .ldc = n};
        struct gathering t = {a, f, taps,
                              (float *)a->out.data + (size_t)b * (size_t)o[1] * (size_t)o[2] * (size_t)o[3]};
        pz_cpu_gemm(f, a->pool, &g, m, false);
        pz_pool_run(a->pool, gather_task, &t, o[1]);
    }
}

static const struct pz_kernel dense = {"packed", dense_prepare, NULL, dense_run, NULL, release};
static const struct pz_kernel matmul = {"packed", matmul_prepare, NULL, matmul_run, NULL, release};
static const struct pz_kernel transposed = {"packed", transposed_prepare, NULL, transposed_run, NULL,
                                            release};

const struct pz_kernel *const pz_cpu_dense[] = {&dense, NULL};
const struct pz_kernel *const pz_cpu_matmul[] = {&matmul, NULL};
const struct pz_kernel *const pz_cpu_conv_transpose2d[] = {&transposed, NULL};
