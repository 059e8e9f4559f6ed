/*
 * Volumes and grouped convolutions as products of gathered windows, sampling as blends of rows of channels,
 * edge padding as copies, and what works along axes: log softmax, L2 norms, reductions. All in F32; a plan in
 * another type converts around these.
 */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "tensor/cpu/gemm.h"

#define BATCH 96 /* output pixels gathered at a time */

static enum pz_status always(struct pz_log *log, const struct pz_op_args *a, void **state, size_t *scratch)
{
    return PZ_OK;
}

/* --- convolutions --- */

/* Both kinds as one: pictures are volumes of one slice, volumes have one group. */
struct windows {
    const struct pz_op_args *a;
    int in[5], out[5]; /* [B,D,H,W,C] */
    int k[3], stride[3], dilation[3], pad[3];
    int groups, ci, co; /* of one group */
    size_t depth;       /* terms of a sum */
};

static struct windows windows_of(const struct pz_op_args *a)
{
    const struct pz_attrs *t = a->attrs;
    const int *x = a->in[0].shape.dim, *w = a->in[1].shape.dim, *o = a->out.shape.dim;
    bool three = a->in[0].shape.rank == 5;
    struct windows v = {.a = a,
                        .in = {x[0], three ? x[1] : 1, x[1 + three], x[2 + three], x[3 + three]},
                        .out = {o[0], three ? o[1] : 1, o[1 + three], o[2 + three], o[3 + three]},
                        .k = {three ? w[1] : 1, w[1 + three], w[2 + three]},
                        .stride = {three ? t->stride_d : 1, t->stride[0], t->stride[1]},
                        .dilation = {three ? t->dilation_d : 1, t->dilation[0], t->dilation[1]},
                        .pad = {three ? t->pad_d[0] : 0, t->pad[0], t->pad[2]},
                        .groups = three ? 1 : t->groups,
                        .ci = w[3 + three]};
    v.co = v.out[4] / v.groups;
    v.depth = (size_t)v.k[0] * (size_t)v.k[1] * (size_t)v.k[2] * (size_t)v.ci;
    return v;
}

struct packed {
    float *w; /* one block a group */
    size_t block;
};

static void conv_release(void *state)
{
    struct packed *s = state;
    if (s)
        pz_free(s->w);
    pz_free(s);
}

static enum pz_status conv_prepare(struct pz_log *log, const struct pz_op_args *a, void **state,
                                   size_t *scratch)
{
    const struct pz_cpu_fns *f = pz_cpu_fns_get(a->rung);
    struct windows v = windows_of(a);
    if (!a->in[1].data || (pz_cpu_given(a, 2) && !a->in[2].data))
        return PZ_ERR_UNSUPPORTED; /* weights that are computed: ref does it */
    struct packed *s = pz_calloc(1, sizeof *s);
    if (s) {
        s->block = pz_cpu_packed_floats(f, (size_t)v.co, v.depth);
        s->w = pz_calloc(s->block * (size_t)v.groups, sizeof *s->w);
    }
    if (!s || !s->w) {
        conv_release(s);
        return pz_fail(log, PZ_ERR_NOMEM, "no memory for a convolution's weights");
    }
    for (int g = 0; g < v.groups; g++)
        pz_cpu_pack(f, (const float *)a->in[1].data + (size_t)g * (size_t)v.co * v.depth, v.depth, 1,
                    (size_t)v.co, v.depth, s->w + (size_t)g * s->block);
    pz_op_packed(a, 1);
    *scratch = BATCH * v.depth * sizeof(float);
    *state = s;
    return PZ_OK;
}

/* The window of output pixel `at` in group g, tap by tap; what lies outside is zero. */
static void gather(const struct windows *v, size_t at, int g, float *to)
{
    int x = (int)(at % (size_t)v->out[3]), y = (int)(at / (size_t)v->out[3] % (size_t)v->out[2]);
    size_t plane = at / (size_t)v->out[3] / (size_t)v->out[2];
    int z = (int)(plane % (size_t)v->out[1]), b = (int)(plane / (size_t)v->out[1]);
    const float *from = v->a->in[0].data;
    size_t c = (size_t)v->ci, bytes = c * sizeof *to;
    for (int kz = 0; kz < v->k[0]; kz++)
        for (int ky = 0; ky < v->k[1]; ky++)
            for (int kx = 0; kx < v->k[2]; kx++, to += c) {
                int iz = z * v->stride[0] + kz * v->dilation[0] - v->pad[0];
                int iy = y * v->stride[1] + ky * v->dilation[1] - v->pad[1];
                int ix = x * v->stride[2] + kx * v->dilation[2] - v->pad[2];
                if (iz < 0 || iz >= v->in[1] || iy < 0 || iy >= v->in[2] || ix < 0 || ix >= v->in[3]) {
                    memset(to, 0, bytes);
                    continue;
                }
                size_t p = (((size_t)b * (size_t)v->in[1] + (size_t)iz) * (size_t)v->in[2] + (size_t)iy) *
                               (size_t)v->in[3] +
                           (size_t)ix;
                memcpy(to, from + p * (size_t)v->in[4] + (size_t)g * c, bytes);
            }
}

static void conv_run(const struct pz_op_args *a)
{
    const struct packed *s = a->state;
    const struct pz_cpu_fns *f = pz_cpu_fns_get(a->rung);
    const float *bias = pz_cpu_floats(a, 2);
    struct windows v = windows_of(a);
    size_t co = (size_t)v.out[4], pixels = pz_shape_count(&a->out.shape) / co;
    float *room = a->scratch;
    for (size_t p = 0; p < pixels; p += BATCH) {
        size_t n = pixels - p < BATCH ? pixels - p : BATCH;
        for (int g = 0; g < v.groups; g++) {
            for (size_t i = 0; i < n; i++)
                gather(&v, p + i, g, room + i * v.depth);
            struct pz_gemm m = {.a = room,
                                .lda = v.depth,
                                .b = s->w + (size_t)g * s->block,
                                .panel = v.depth * 2 * (size_t)f->lanes,
                                .n = (size_t)v.co,
                                .k = v.depth,
                                .bias = bias ? bias + g * v.co : NULL,
                                .act = a->attrs->act,
                                .out = (float *)a->out.data + p * co + (size_t)(g * v.co),
                                .ldc = co};
            pz_cpu_gemm(f, a->pool, &m, n, false);
        }
    }
}

/* --- sampling --- */

struct sampling {
    const struct pz_op_args *a;
    const struct pz_cpu_fns *f;
    int d[5]; /* [B,D,H,W,C] */
};

/* One blend at (x, y, z) of picture b: `near` false gives zeros, corners outside weigh nothing. */
static void blend_at(const struct sampling *s, int b, float fz, float fy, float fx, bool three, float *out)
{
    const int *d = s->d;
    const float *p[8];
    float w[8];
    int x0 = (int)floorf(fx), y0 = (int)floorf(fy), z0 = (int)floorf(fz), n = 0;
    float tx = fx - (float)x0, ty = fy - (float)y0, tz = fz - (float)z0;
    for (int i = 0; i < (three ? 8 : 4); i++) {
        int x = x0 + (i & 1), y = y0 + (i >> 1 & 1), z = z0 + (i >> 2);
        if (x < 0 || x >= d[3] || y < 0 || y >= d[2] || z < 0 || z >= d[1])
            continue;
        w[n] = (i & 1 ? tx : 1 - tx) * (i & 2 ? ty : 1 - ty) * (i & 4 ? tz : 1 - tz);
        p[n++] =
            (const float *)s->a->in[0].data +
            ((((size_t)b * (size_t)d[1] + (size_t)z) * (size_t)d[2] + (size_t)y) * (size_t)d[3] + (size_t)x) *
                (size_t)d[4];
    }
    if (n)
        s->f->blend(p, w, n, out, (size_t)d[4]);
    else
        memset(out, 0, (size_t)d[4] * sizeof *out);
}

/* Where −1 … 1 lies among n pixels, as ref/space.c. */
static float place(float g, int n, bool align_corners, bool border)
{
    float v = align_corners ? (g + 1) * 0.5f * (float)(n - 1) : ((g + 1) * (float)n - 1) * 0.5f;
    return border ? fminf(fmaxf(v, 0), (float)(n - 1)) : v;
}

#define POINTS 256 /* of a task */

static void grid_task(void *user, int index, int worker)
{
    const struct sampling *s = user;
    const struct pz_op_args *a = s->a;
    bool corners = a->attrs->align_corners, border = a->attrs->border;
    int axes = a->in[0].shape.rank - 2;
    size_t points = pz_shape_count(&a->in[1].shape) / (size_t)axes, c = (size_t)s->d[4];
    for (size_t i = (size_t)index * POINTS; i < ((size_t)index + 1) * POINTS && i < points; i++) {
        const float *g = (const float *)a->in[1].data + i * (size_t)axes;
        float *out = (float *)a->out.data + i * c;
        float fx = place(g[0], s->d[3], corners, border), fy = place(g[1], s->d[2], corners, border);
        float fz = axes == 3 ? place(g[2], s->d[1], corners, border) : 0;
        /* written so that NaN falls outside */
        if (fx > -1 && fx < (float)s->d[3] && fy > -1 && fy < (float)s->d[2] && fz > -1 &&
            fz < (float)s->d[1])
            blend_at(s, (int)(i / (points / (size_t)s->d[0])), fz, fy, fx, axes == 3, out);
        else
            memset(out, 0, c * sizeof *out);
    }
}

static struct sampling sampling_of(const struct pz_op_args *a)
{
    const struct pz_shape *x = &a->in[0].shape;
    int r = x->rank;
    return (struct sampling){
        a,
        pz_cpu_fns_get(a->rung),
        {x->dim[0], r == 5 ? x->dim[1] : 1, x->dim[r - 3], x->dim[r - 2], x->dim[r - 1]}};
}

static void grid_run(const struct pz_op_args *a)
{
    struct sampling s = sampling_of(a);
    size_t points = pz_shape_count(&a->out.shape) / (size_t)s.d[4];
    pz_pool_run(a->pool, grid_task, &s, (int)((points + POINTS - 1) / POINTS));
}

/* Source coordinate of output pixel o, the conventions of ref/simple.c, held inside. */
static float source(const struct pz_attrs *t, int o, int in, int out)
{
    float scale = (float)in / (float)out, v = (float)o * scale;
    if (t->align_corners && out > 1)
        v = (float)o * (float)(in - 1) / (float)(out - 1);
    else if (t->half_pixel)
        v = ((float)o + 0.5f) * scale - 0.5f;
    return fminf(fmaxf(v, 0), (float)(in - 1));
}

static void resize_task(void *user, int index, int worker)
{
    const struct sampling *s = user;
    const struct pz_op_args *a = s->a;
    const int *o = a->out.shape.dim;
    int b = index / o[1], y = index % o[1];
    float *out = (float *)a->out.data + (size_t)index * (size_t)o[2] * (size_t)o[3];
    for (int x = 0; x < o[2]; x++, out += o[3])
        blend_at(s, b, 0, source(a->attrs, y, s->d[2], o[1]), source(a->attrs, x, s->d[3], o[2]), false, out);
}

static void resize_run(const struct pz_op_args *a)
{
    struct sampling s = sampling_of(a);
    pz_pool_run(a->pool, resize_task, &s, a->out.shape.dim[0] * a->out.shape.dim[1]);
}

/* --- padding --- */

static int mirrored(int v, int d, bool reflect)
{
    if (v < 0)
        return reflect ? -v : 0;
    return v < d ? v : reflect ? 2 * (d - 1) - v : d - 1;
}

static void pad_edge_run(const struct pz_op_args *a)
{
    const struct pz_shape *o = &a->out.shape, *d = &a->in[0].shape;
    bool reflect = a->attrs->reflect;
    int last = o->rank - 1, ix[PZ_MAX_RANK] = {0};
    int n = d->dim[last], left = a->attrs->before[last], all = o->dim[last];
    float *out = a->out.data;
    for (size_t rows = pz_shape_count(o) / (size_t)all; rows > 0; rows--, out += all) {
        size_t at = 0;
        for (int k = 0; k < last; k++)
            at = at * (size_t)d->dim[k] + (size_t)mirrored(ix[k] - a->attrs->before[k], d->dim[k], reflect);
        const float *x = (const float *)a->in[0].data + at * (size_t)n;
        memcpy(out + left, x, (size_t)n * sizeof *x);
        for (int i = 0; i < left; i++)
            out[i] = x[mirrored(i - left, n, reflect)];
        for (int i = left + n; i < all; i++)
            out[i] = x[mirrored(i - left, n, reflect)];
        for (int k = last - 1; k >= 0 && ++ix[k] == o->dim[k]; k--)
            ix[k] = 0;
    }
}

static enum pz_status need_axis(struct pz_log *log, const struct pz_op_args *a, void **state, size_t *scratch)
{
    return a->out.shape.rank >= 1 ? PZ_OK : PZ_ERR_UNSUPPORTED;
}

/* --- along axes --- */

static enum pz_status innermost(struct pz_log *log, const struct pz_op_args *a, void **state, size_t *scratch)
{
    return a->attrs->axis == 0 && a->in[0].shape.rank > 0 ? PZ_OK : PZ_ERR_UNSUPPORTED;
}

static size_t last_of(const struct pz_shape *s)
{
    return (size_t)s->dim[s->rank - 1];
}

static void log_softmax_run(const struct pz_op_args *a)
{
    const struct pz_cpu_fns *f = pz_cpu_fns_get(a->rung);
    size_t c = last_of(&a->out.shape), n = pz_shape_count(&a->out.shape);
    for (size_t i = 0; i < n; i += c)
        f->log_softmax((const float *)a->in[0].data + i, (float *)a->out.data + i, c);
}

static void l2_run(const struct pz_op_args *a)
{
    const struct pz_cpu_fns *f = pz_cpu_fns_get(a->rung);
    const float *gamma = pz_cpu_floats(a, 1);
    size_t c = last_of(&a->out.shape), n = pz_shape_count(&a->out.shape);
    for (size_t i = 0; i < n; i += c) {
        const float *x = (const float *)a->in[0].data + i;
        float *out = (float *)a->out.data + i, norm = sqrtf(f->sum(x, c, true)), eps = a->attrs->eps;
        norm = a->attrs->eps_added ? norm + eps : fmaxf(norm, eps);
        f->map(PZ_MAP_SCALE, x, out, c, 1 / norm);
        if (gamma)
            f->binary(PZ_BINARY_MUL, out, false, gamma, false, PZ_ACT_NONE, out, c);
    }
}

/* [outer][n][inner], over the middle; false where the axes do not lie side by side. */
static bool as_middle(const struct pz_op_args *a, size_t *outer, size_t *n, size_t *inner)
{
    const struct pz_shape *s = &a->in[0].shape;
    int part = 0; /* 0 before, 1 in, 2 behind */
    *outer = *n = *inner = 1;
    for (int i = 0; i < s->rank; i++) {
        bool over = a->attrs->axes >> i & 1;
        if (s->dim[i] == 1)
            continue;
        if (over && part == 2)
            return false;
        part = over ? 1 : part == 1 ? 2 : part;
        *(part == 0 ? outer : part == 1 ? n : inner) *= (size_t)s->dim[i];
    }
    return true;
}

static enum pz_status reduce_prepare(struct pz_log *log, const struct pz_op_args *a, void **state,
                                     size_t *scratch)
{
    size_t outer, n, inner;
    return as_middle(a, &outer, &n, &inner) ? PZ_OK : PZ_ERR_UNSUPPORTED;
}

static void reduce(const struct pz_op_args *a, bool largest, bool mean)
{
    const struct pz_cpu_fns *f = pz_cpu_fns_get(a->rung);
    const float *x = a->in[0].data;
    float *out = a->out.data;
    size_t outer, n, inner;
    as_middle(a, &outer, &n, &inner);
    for (size_t o = 0; o < outer; o++, x += n * inner, out += inner) {
        if (inner == 1) {
            *out = largest ? f->top(x, n) : f->sum(x, n, false);
        } else {
            memcpy(out, x, inner * sizeof *x);
            for (size_t i = 1; i < n; i++)
                f->binary(largest ? PZ_BINARY_MAX : PZ_BINARY_ADD, out, false, x + i * inner, false,
                          PZ_ACT_NONE, out, inner);
        }
        if (mean)
            f->map(PZ_MAP_SCALE, out, out, inner, 1.0f / (float)n);
    }
}

static void mean_run(const struct pz_op_args *a)
{
    reduce(a, false, true);
}

static void sum_run(const struct pz_op_args *a)
{
    reduce(a, false, false);
}

static void max_run(const struct pz_op_args *a)
{
    reduce(a, true, false);
}

static const struct pz_kernel windows = {"windows", conv_prepare, NULL, conv_run, NULL, conv_release};
static const struct pz_kernel grid = {"own", always, NULL, grid_run, NULL, NULL};
static const struct pz_kernel resize = {"own", always, NULL, resize_run, NULL, NULL};
static const struct pz_kernel pad_edge = {"own", need_axis, NULL, pad_edge_run, NULL, NULL};
static const struct pz_kernel log_softmax = {"own", innermost, NULL, log_softmax_run, NULL, NULL};
static const struct pz_kernel l2 = {"own", always, NULL, l2_run, NULL, NULL};
static const struct pz_kernel mean = {"own", reduce_prepare, NULL, mean_run, NULL, NULL};
static const struct pz_kernel sum = {"own", reduce_prepare, NULL, sum_run, NULL, NULL};
static const struct pz_kernel largest = {"own", reduce_prepare, NULL, max_run, NULL, NULL};

const struct pz_kernel *const pz_cpu_conv3d[] = {&windows, NULL};
const struct pz_kernel *const pz_cpu_grouped_conv2d[] = {&windows, NULL};
const struct pz_kernel *const pz_cpu_grid_sample[] = {&grid, NULL};
const struct pz_kernel *const pz_cpu_resize_bilinear[] = {&resize, NULL};
const struct pz_kernel *const pz_cpu_pad_edge[] = {&pad_edge, NULL};
const struct pz_kernel *const pz_cpu_log_softmax[] = {&log_softmax, NULL};
const struct pz_kernel *const pz_cpu_l2_normalise[] = {&l2, NULL};
const struct pz_kernel *const pz_cpu_reduce_mean[] = {&mean, NULL};
const struct pz_kernel *const pz_cpu_reduce_sum[] = {&sum, NULL};
const struct pz_kernel *const pz_cpu_reduce_max[] = {&largest, NULL};
