/*
 * Own convolutions: weights are packed once into vectors of output channels, the picture is copied into a
 * zero border where there is padding, and everything behind the sums (bias, residual, activation) happens
 * before the one store. Does not do: Winograd, FFT, int8. Sums are F32 with fused multiply-add.
 */
#include <string.h>

#include "base/mem.h"
#include "tensor/cpu/cpu.h"

struct conv_state {
    const struct pz_cpu_fns *fns;
    bool depthwise, flat; /* flat: 1×1 without stride or padding, the picture is one long row */
    float *w, *bias, *slope;
    int hp, wp; /* padded picture */
};

static bool given(const struct pz_op_args *a, int i)
{
    return i < a->n_in && a->in[i].dtype != PZ_DTYPE_COUNT;
}

static void conv_release(void *state)
{
    struct conv_state *s = state;
    if (!s)
        return;
    pz_free(s->w);
    pz_free(s->bias);
    pz_free(s->slope);
    pz_free(s);
}

static void pack(struct conv_state *s, const struct pz_op_args *a, int co)
{
    const float *w = a->in[1].data;
    const int *wd = a->in[1].shape.dim;
    int lanes = s->fns->lanes, taps = wd[1] * wd[2] * wd[3];
    if (s->depthwise) {
        memcpy(s->w, w, (size_t)taps * sizeof *w);
        return;
    }
    for (int o = 0; o < co; o++)
        for (int t = 0; t < taps; t++)
            s->w[((size_t)(o / lanes) * (size_t)taps + (size_t)t) * (size_t)lanes + (size_t)(o % lanes)] =
                w[(size_t)o * (size_t)taps + (size_t)t];
}

static enum pz_status prepare(struct pz_log *log, const struct pz_op_args *a, void **state, size_t *scratch,
                              bool dw)
{
    const struct pz_attrs *t = a->attrs;
    const int *x = a->in[0].shape.dim, *wd = a->in[1].shape.dim;
    int co = a->out.shape.dim[3];
    for (int i = 1; i < a->n_in; i++)
        if (i != 3 && given(a, i) && !a->in[i].data)
            return PZ_ERR_UNSUPPORTED; /* weights that are computed: ref does it */
    struct conv_state *s = pz_calloc(1, sizeof *s);
    if (!s)
        return pz_fail(log, PZ_ERR_NOMEM, "no memory for a convolution");
    s->fns = pz_cpu_fns_get(a->rung);
    s->depthwise = dw;
    bool padded = t->pad[0] || t->pad[1] || t->pad[2] || t->pad[3];
    s->flat = !dw && !padded && wd[1] == 1 && wd[2] == 1 && t->stride[0] == 1 && t->stride[1] == 1;
    s->hp = x[1] + t->pad[0] + t->pad[1];
    s->wp = x[2] + t->pad[2] + t->pad[3];
    size_t lanes = (size_t)s->fns->lanes, blocks = ((size_t)co + lanes - 1) / lanes;
    size_t taps = (size_t)wd[1] * (size_t)wd[2] * (dw ? 1 : (size_t)wd[3]);
    /* one block more than needed: the second vector of a pair may be loaded where there is none */
    s->w = pz_calloc((blocks + 1) * taps * lanes, sizeof(float));
    s->bias = pz_calloc((blocks + 1) * lanes, sizeof(float));
    s->slope = pz_calloc((blocks + 1) * lanes, sizeof(float));
    if (!s->w || !s->bias || !s->slope) {
        conv_release(s);
        return pz_fail(log, PZ_ERR_NOMEM, "no memory for a convolution's weights");
    }
    pack(s, a, co);
    if (given(a, 2))
        memcpy(s->bias, a->in[2].data, (size_t)co * sizeof(float));
    if (given(a, 4))
        memcpy(s->slope, a->in[4].data, (size_t)co * sizeof(float));
    pz_op_packed(a, 1);
    pz_op_packed(a, 2);
    pz_op_packed(a, 4);
    *scratch = padded ? (size_t)s->hp * (size_t)s->wp * (size_t)x[3] * sizeof(float) : 0;
    *state = s;
    return PZ_OK;
}

static enum pz_status conv_prepare(struct pz_log *log, const struct pz_op_args *a, void **state,
                                   size_t *scratch)
{
    return prepare(log, a, state, scratch, false);
}

static enum pz_status dw_prepare(struct pz_log *log, const struct pz_op_args *a, void **state,
                                 size_t *scratch)
{
    return prepare(log, a, state, scratch, true);
}

/* Copy one picture into a zero border. */
static const float *bordered(const struct conv_state *s, const struct pz_op_args *a, const float *x)
{
    const int *d = a->in[0].shape.dim, *pad = a->attrs->pad;
    if (!pad[0] && !pad[1] && !pad[2] && !pad[3])
        return x;
    size_t c = (size_t)d[3], row = (size_t)s->wp * c, left = (size_t)pad[2] * c, mid = (size_t)d[2] * c;
    float *p = a->scratch;
    memset(p, 0, (size_t)pad[0] * row * sizeof *p);
    for (int y = 0; y < d[1]; y++) {
        float *q = p + (size_t)(y + pad[0]) * row;
        memset(q, 0, left * sizeof *q);
        memcpy(q + left, x + (size_t)y * mid, mid * sizeof *q);
        memset(q + left + mid, 0, (row - left - mid) * sizeof *q);
    }
    memset(p + (size_t)(d[1] + pad[0]) * row, 0, (size_t)pad[1] * row * sizeof *p);
    return p;
}

struct conv_run {
    const struct conv_state *s;
    struct pz_conv_job job;
    int oh, per_task;
};

static void conv_task(void *user, int index, int worker)
{
    const struct conv_run *r = user;
    void (*span)(const struct pz_conv_job *, int, int, int) =
        r->s->depthwise ? r->s->fns->dw_span : r->s->fns->conv_span;
    int a = index * r->per_task, b = a + r->per_task;
    if (r->s->flat) {
        span(&r->job, 0, a, b < r->job.ow ? b : r->job.ow);
        return;
    }
    for (int y = a; y < b && y < r->oh; y++)
        span(&r->job, y, 0, r->job.ow);
}

static void conv_run(const struct pz_op_args *a)
{
    const struct conv_state *s = a->state;
    const int *x = a->in[0].shape.dim, *w = a->in[1].shape.dim, *o = a->out.shape.dim;
    const struct pz_attrs *t = a->attrs;
    size_t n_in = (size_t)x[1] * (size_t)x[2] * (size_t)x[3],
           n_out = (size_t)o[1] * (size_t)o[2] * (size_t)o[3];
    double work = (double)n_out * w[1] * w[2] * w[3] / (s->depthwise ? w[3] : 1);
    int items = s->flat ? o[1] * o[2] : o[1];
    int tasks = a->pool && work > 400e3 ? pz_pool_threads(a->pool) : 1;
    struct conv_run r = {.s = s, .oh = o[1], .per_task = (items + tasks - 1) / tasks};
    if (s->flat) /* whole tiles per task */
        r.per_task = (r.per_task + 11) / 12 * 12;
    for (int b = 0; b < x[0]; b++) {
        const float *res = given(a, 3) ? (const float *)a->in[3].data + (size_t)b * n_out : NULL;
        r.job = (struct pz_conv_job){.x = bordered(s, a, (const float *)a->in[0].data + (size_t)b * n_in),
                                     .row = (size_t)s->wp * (size_t)x[3],
                                     .ci = x[3],
                                     .kh = w[1],
                                     .kw = w[2],
                                     .sy = t->stride[0],
                                     .sx = t->stride[1],
                                     .dy = t->dilation[0],
                                     .dx = t->dilation[1],
                                     .w = s->w,
                                     .bias = s->bias,
                                     .slope = s->slope,
                                     .residual = res,
                                     .act = t->act,
                                     .out = (float *)a->out.data + (size_t)b * n_out,
                                     .ow = s->flat ? o[1] * o[2] : o[2],
                                     .co = o[3]};
        pz_pool_run(tasks > 1 ? a->pool : NULL, conv_task, &r, (items + r.per_task - 1) / r.per_task);
    }
}

static const struct pz_kernel own_conv = {"own", conv_prepare, NULL, conv_run, NULL, conv_release};
static const struct pz_kernel own_dw = {"own", dw_prepare, NULL, conv_run, NULL, conv_release};

/* In order of preference; each takes what suits it. */
const struct pz_kernel *const pz_cpu_conv2d[] = {&pz_cpu_winograd, &pz_cpu_few, &pz_cpu_im2col,
#if defined(PZ_HAVE_DNNL)
                                                 &pz_dnnl_conv2d,
#endif
                                                 &own_conv,        NULL};
const struct pz_kernel *const pz_cpu_dwconv2d[] = {&own_dw, NULL};
