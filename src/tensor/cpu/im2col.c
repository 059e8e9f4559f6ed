/*
 * Convolutions as one product: the taps of each output pixel are laid side by side, a batch of pixels at a
 * time. For small pictures with many channels, where a row of the picture is too short for conv.c's tiles and
 * the weights are most of the bytes; 1×1 convolutions need no laying out. And the other way round for few
 * output channels (a network's last layer): one product gives every tap of every input pixel, and each
 * output pixel gathers its own.
 */
#include <string.h>

#include "base/mem.h"
#include "tensor/cpu/gemm.h"

#define ROOM_BYTES ((size_t)12 << 20)
#define MIN_DEPTH 256 /* terms of a sum from which laying out pays */
#define FEW 8         /* output channels: fewer than a vector's half */

struct columns {
    void *w; /* packed as F32, or as BF16 pairs where the picture is BF16 */
};

static void release(void *state)
{
    struct columns *s = state;
    if (s)
        pz_free(s->w);
    pz_free(s);
}

static bool weights_known(const struct pz_op_args *a)
{
    for (int i = 1; i < a->n_in; i++)
        if (i != 3 && pz_cpu_given(a, i) && !a->in[i].data)
            return false;
    return true;
}

/* 1×1 without stride or padding: the picture is the matrix. */
static bool plain(const struct pz_op_args *a)
{
    const struct pz_attrs *t = a->attrs;
    const int *w = a->in[1].shape.dim;
    return w[1] == 1 && w[2] == 1 && t->stride[0] == 1 && t->stride[1] == 1 && !t->pad[0] && !t->pad[1] &&
           !t->pad[2] && !t->pad[3];
}

static size_t depth_of(const struct pz_op_args *a)
{
    const int *w = a->in[1].shape.dim;
    return (size_t)w[1] * (size_t)w[2] * (size_t)w[3];
}

static size_t pixels_of(const struct pz_op_args *a)
{
    const int *o = a->out.shape.dim;
    return (size_t)o[0] * (size_t)o[1] * (size_t)o[2];
}

static size_t at_once(const struct pz_op_args *a)
{
    size_t n = ROOM_BYTES / (depth_of(a) * pz_dtype_size(a->in[0].dtype)), all = pixels_of(a);
    n = n < 96 ? 96 : n / 12 * 12;
    return n < all ? n : all;
}

/* BF16 goes in pairs; bias and slope are constants. */
static bool pairs(const struct pz_op_args *a, size_t k)
{
    return pz_cpu_half(&a->in[0]) && k % 2 == 0 && pz_cpu_has_bf16(a->rung) &&
           !(pz_cpu_given(a, 3) && !pz_cpu_half(&a->in[3]));
}

static bool fits(const struct pz_op_args *a)
{
    return pairs(a, depth_of(a));
}

static bool few_fits(const struct pz_op_args *a)
{
    return pairs(a, (size_t)a->in[1].shape.dim[3]) && !pz_cpu_given(a, 3);
}

struct packing {
    const struct pz_cpu_fns *f;
    const float *w;
    size_t n, k;
    bool half;
    void *out;
};

static void pack_task(void *user, int index, int worker)
{
    const struct packing *p = user;
    size_t i = (size_t)index;
    if (p->half)
        pz_cpu_pack_half(p->f, p->w, false, p->k, 1, p->n, p->k, p->out, i, i + 1);
    else
        pz_cpu_pack_panels(p->f, p->w, p->k, 1, p->n, p->k, p->out, i, i + 1);
}

/* Filters of depth k, one row of w each, packed for the picture's type. */
static void *pack(const struct pz_op_args *a, const float *w, size_t n, size_t k)
{
    struct packing p = {pz_cpu_fns_get(a->rung), w, n, k, pz_cpu_half(&a->in[0]), NULL};
    size_t panel = 2 * (size_t)p.f->lanes;
    p.out = pz_calloc(pz_cpu_packed_floats(p.f, n, k), p.half ? 2 : 4);
    if (p.out)
        pz_pool_run(n * k > 65536 ? a->pool : NULL, pack_task, &p, (int)((n + panel - 1) / panel));
    return p.out;
}

static enum pz_status prepare(struct pz_log *log, const struct pz_op_args *a, void **state, size_t *scratch)
{
    size_t k = depth_of(a), n = (size_t)a->out.shape.dim[3];
    if (!weights_known(a) || a->attrs->act == PZ_ACT_PRELU || n < 16 || a->attrs->dilation[1] != 1 ||
        (!plain(a) && (k < MIN_DEPTH || a->in[1].shape.dim[3] < 8)))
        return PZ_ERR_UNSUPPORTED;
    struct pz_op_args as_run = pz_cpu_types(a, fits);
    struct columns *s = pz_calloc(1, sizeof *s);
    a = &as_run;
    if (s)
        s->w = pack(a, a->in[1].data, n, k);
    if (!s || !s->w) {
        release(s);
        return pz_fail(log, PZ_ERR_NOMEM, "no memory for a convolution's weights");
    }
    pz_op_packed(a, 1);
    *scratch = plain(a) ? 0 : at_once(a) * k * pz_dtype_size(a->in[0].dtype);
    *state = s;
    return PZ_OK;
}

struct laying {
    const struct pz_op_args *a;
    size_t first, n;
};

#define PIXELS 16 /* a task */

/* The taps of one output pixel; those outside the picture are zero. */
static void lay(const struct pz_op_args *a, size_t pixel, char *to)
{
    const struct pz_attrs *t = a->attrs;
    const int *d = a->in[0].shape.dim, *w = a->in[1].shape.dim, *o = a->out.shape.dim;
    size_t c = (size_t)d[3] * pz_dtype_size(a->in[0].dtype), b = pixel / ((size_t)o[1] * (size_t)o[2]);
    int y = (int)(pixel / (size_t)o[2] % (size_t)o[1]) * t->stride[0] - t->pad[0];
    int x = (int)(pixel % (size_t)o[2]) * t->stride[1] - t->pad[2];
    int x0 = x < 0 ? -x : 0, x1 = x + w[2] > d[2] ? d[2] - x : w[2];
    size_t row = (size_t)w[2] * c;
    const char *from = (const char *)a->in[0].data + b * (size_t)d[1] * (size_t)d[2] * c;
    for (int ky = 0; ky < w[1]; ky++, to += row) {
        int iy = y + ky * t->dilation[0];
        if (iy < 0 || iy >= d[1] || x0 >= x1) {
            memset(to, 0, row);
            continue;
        }
        memset(to, 0, (size_t)x0 * c);
        memcpy(to + (size_t)x0 * c, from + ((size_t)iy * (size_t)d[2] + (size_t)(x + x0)) * c,
               (size_t)(x1 - x0) * c);
        memset(to + (size_t)x1 * c, 0, (size_t)(w[2] - x1) * c);
    }
}

static void lay_task(void *user, int index, int worker)
{
    const struct laying *l = user;
    size_t k = depth_of(l->a);
    for (size_t i = (size_t)index * PIXELS; i < ((size_t)index + 1) * PIXELS && i < l->n; i++)
        lay(l->a, l->first + i, (char *)l->a->scratch + i * k * pz_dtype_size(l->a->in[0].dtype));
}

static void run(const struct pz_op_args *a)
{
    const struct columns *s = a->state;
    const struct pz_cpu_fns *f = pz_cpu_fns_get(a->rung);
    size_t k = depth_of(a), n = (size_t)a->out.shape.dim[3], all = pixels_of(a);
    bool residual = pz_cpu_given(a, 3), half = pz_cpu_half(&a->in[0]);
    struct pz_gemm g = {.a = a->in[0].data,
                        .lda = k,
                        .b = s->w,
                        .panel = k * 2 * (size_t)f->lanes,
                        .n = n,
                        .k = k,
                        .bias = pz_cpu_floats(a, 2),
                        .residual = residual ? a->in[3].data : NULL,
                        .ldr = n,
                        .act = a->attrs->act,
                        .half_out = half,
                        .out = a->out.data,
                        .ldc = n};
    if (plain(a)) {
        pz_cpu_gemm(f, a->pool, &g, all, half);
        return;
    }
    size_t step = at_once(a);
    g.a = a->scratch;
    for (size_t first = 0; first < all; first += step) {
        struct laying l = {a, first, all - first < step ? all - first : step};
        g.out = pz_cpu_at(&a->out, first * n);
        g.residual = residual ? pz_cpu_at(&a->in[3], first * n) : NULL;
        pz_pool_run(l.n * k > 65536 ? a->pool : NULL, lay_task, &l, (int)((l.n + PIXELS - 1) / PIXELS));
        pz_cpu_gemm(f, a->pool, &g, l.n, half);
    }
}

/* Few output channels: rows of taps [input pixel][tap][co]. */
static enum pz_status few_prepare(struct pz_log *log, const struct pz_op_args *a, void **state,
                                  size_t *scratch)
{
    const struct pz_attrs *t = a->attrs;
    const int *w = a->in[1].shape.dim, *x = a->in[0].shape.dim;
    size_t taps = (size_t)w[1] * (size_t)w[2], co = (size_t)w[0], ci = (size_t)w[3], n = taps * co;
    if (!weights_known(a) || co > FEW || taps < 4 || ci < 64 || t->stride[0] != 1 || t->stride[1] != 1)
        return PZ_ERR_UNSUPPORTED;
    struct pz_op_args as_run = pz_cpu_types(a, few_fits);
    struct columns *s = pz_calloc(1, sizeof *s);
    float *by_tap = pz_calloc(n * ci, sizeof *by_tap);
    for (size_t o = 0; by_tap && o < co; o++)
        for (size_t k = 0; k < taps; k++)
            memcpy(by_tap + (k * co + o) * ci, (const float *)a->in[1].data + (o * taps + k) * ci,
                   ci * sizeof *by_tap);
    if (s && by_tap)
        s->w = pack(&as_run, by_tap, n, ci);
    pz_free(by_tap);
    if (!s || !s->w) {
        release(s);
        return pz_fail(log, PZ_ERR_NOMEM, "no memory for a convolution's weights");
    }
    pz_op_packed(a, 1);
    *scratch = (size_t)x[1] * (size_t)x[2] * n * sizeof(float);
    *state = s;
    return PZ_OK;
}

struct gathering {
    const struct pz_op_args *a;
    const struct pz_cpu_fns *f;
    size_t b;
};

static void gather_task(void *user, int index, int worker)
{
    const struct gathering *g = user;
    const struct pz_op_args *a = g->a;
    const struct pz_attrs *t = a->attrs;
    const int *d = a->in[0].shape.dim, *w = a->in[1].shape.dim, *o = a->out.shape.dim;
    size_t co = (size_t)w[0], n = (size_t)w[1] * (size_t)w[2] * co;
    const float *bias = pz_cpu_floats(a, 2), *residual = pz_cpu_floats(a, 3), *slope = pz_cpu_floats(a, 4);
    const float *taps = a->scratch;
    for (int x = 0; x < o[2]; x++) {
        float sum[FEW];
        size_t at = ((g->b * (size_t)o[1] + (size_t)index) * (size_t)o[2] + (size_t)x) * co;
        for (size_t c = 0; c < co; c++)
            sum[c] = (bias ? bias[c] : 0) + (residual ? residual[at + c] : 0);
        for (int ky = 0; ky < w[1]; ky++)
            for (int kx = 0; kx < w[2]; kx++) {
                int iy = index - t->pad[0] + ky * t->dilation[0], ix = x - t->pad[2] + kx * t->dilation[1];
                if (iy < 0 || iy >= d[1] || ix < 0 || ix >= d[2])
                    continue;
                const float *p =
                    taps + ((size_t)iy * (size_t)d[2] + (size_t)ix) * n + (size_t)(ky * w[2] + kx) * co;
                for (size_t c = 0; c < co; c++)
                    sum[c] += p[c];
            }
        g->f->add_act(sum, NULL, slope, co, t->act, sum, co);
        if (pz_cpu_half(&a->out))
            g->f->narrow(sum, pz_cpu_at(&a->out, at), co);
        else
            memcpy(pz_cpu_at(&a->out, at), sum, co * sizeof *sum);
    }
}

static void few_run(const struct pz_op_args *a)
{
    const struct columns *s = a->state;
    const struct pz_cpu_fns *f = pz_cpu_fns_get(a->rung);
    const int *x = a->in[0].shape.dim, *w = a->in[1].shape.dim;
    size_t ci = (size_t)w[3], n = (size_t)w[0] * (size_t)w[1] * (size_t)w[2], m = (size_t)x[1] * (size_t)x[2];
    for (size_t b = 0; b < (size_t)x[0]; b++) {
        struct pz_gemm g = {.a = pz_cpu_at(&a->in[0], b * m * ci),
                            .lda = ci,
                            .b = s->w,
                            .panel = ci * 2 * (size_t)f->lanes,
                            .n = n,
                            .k = ci,
                            .out = a->scratch,
                            .ldc = n};
        struct gathering t = {a, f, b};
        pz_cpu_gemm(f, a->pool, &g, m, pz_cpu_half(&a->in[0]));
        pz_pool_run(a->pool, gather_task, &t, a->out.shape.dim[1]);
    }
}

const struct pz_kernel pz_cpu_im2col = {"im2col", prepare, NULL, run, NULL, release};
const struct pz_kernel pz_cpu_few = {"few", few_prepare, NULL, few_run, NULL, release};
