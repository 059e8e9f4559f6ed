/*
 * Convolutions given other weights, so that the engines of 16-bit types like them better; conv_wide.c runs
 * them.
 *
 * Channels that are no multiple of eight are filled up with zeros: tensor cores read eight at a time.
 *
 * A 3×3 convolution behind a doubling of rows and columns sees each value up to four times. For each of the
 * four phases of the output (even and odd rows, even and odd columns) the taps that meet the same value are
 * added up, once: what is left are four 2×2 convolutions of the small picture, 16 products instead of 36.
 * They run as one with four times the filters over all positions (H+1)×(W+1), position p reading the rows
 * p−1 and p; phase 0 of row i lies at p = i, phase 1 at p = i+1.
 *
 * A transposed convolution of stride 2 that doubles is the same with other taps (with 3×3 filters some of the
 * 2×2 are zero), one of stride 1 is a convolution with turned filters: the engines for gradients are compiled
 * when they are made ready, for seconds, these are not.
 */
#include <string.h>

#include "base/mem.h"
#include "tensor/cuda/cuda.h"
#include "tensor/plan_impl.h"

#define ENOUGH                                                                                               \
    1024 /* pixels, all pictures together: with fewer the weights' bytes count, not the products             \
          */

struct recast {
    const struct pz_graph *g;
    int value;                   /* weights or bias before */
    bool phases;                 /* else filled up */
    size_t rows, taps, from, to; /* before: [rows, taps, from]; channels then: to */
    size_t high, wide;           /* transposed ones: [from, high, wide, rows], loaded */
};

/* Row `r` of the new weights, or biases, where there is one before; false: zeros. */
static bool before(const struct recast *t, int r, int *row)
{
    *row = t->phases ? r % (int)t->rows : r;
    return *row < (int)t->rows;
}

static enum pz_status fill_up(const void *ctx, struct pz_log *log, int first, int n, float *out)
{
    const struct recast *t = ctx;
    size_t is = t->taps * t->to;
    memset(out, 0, (size_t)n * is * sizeof *out);
    for (int r = 0, row; r < n; r++) {
        if (!before(t, first + r, &row))
            continue;
        float *to = out + (size_t)r * is;
        /* read to the row's end, then move the taps apart, the last one first */
        enum pz_status st = pz_constant_read(&t->g->values[t->value], log, row, 1, PZ_DTYPE_F32, to);
        if (st < PZ_OK)
            return st;
        for (size_t k = t->taps - 1; k > 0 && t->to > t->from; k--)
            memmove(to + k * t->to, to + k * t->from, t->from * sizeof *to);
        for (size_t k = 0; k < t->taps && t->to > t->from; k++)
            memset(to + k * t->to + t->from, 0, (t->to - t->from) * sizeof *to);
    }
    return PZ_OK;
}

/* The taps of a line of three that phase `p` gathers into its tap `k` of two. */
static void gathered(int p, int k, int *from, int *to)
{
    *from = p == 0 ? (k == 0 ? 0 : 1) : (k == 0 ? 0 : 2);
    *to = p == 0 ? (k == 0 ? 0 : 2) : (k == 0 ? 1 : 2);
}

static enum pz_status fill_phases(const void *ctx, struct pz_log *log, int first, int n, float *out)
{
    const struct recast *t = ctx;
    size_t c = t->from;
    float *old = pz_calloc(9 * c, sizeof *old);
    enum pz_status st = old ? PZ_OK : pz_fail(log, PZ_ERR_NOMEM, "no memory for weights");
    for (int r = 0; r < n && st >= PZ_OK; r++) {
        int row, phase = (first + r) / (int)t->rows, y0, y1, x0, x1;
        before(t, first + r, &row);
        st = pz_constant_read(&t->g->values[t->value], log, row, 1, PZ_DTYPE_F32, old);
        for (int tap = 0; tap < 4; tap++) {
            float *to = out + ((size_t)r * 4 + (size_t)tap) * c;
            gathered(phase >> 1, tap >> 1, &y0, &y1);
            gathered(phase & 1, tap & 1, &x0, &x1);
            memset(to, 0, c * sizeof *to);
            for (int y = y0; y <= y1; y++)
                for (int x = x0; x <= x1; x++)
                    for (size_t k = 0; k < c; k++)
                        to[k] += old[(size_t)(3 * y + x) * c + k];
        }
    }
    pz_free(old);
    return st;
}

/* Phases of a transposed convolution, padded by one before: output row 2j+p meets row j+p−1+k of the picture
 * with tap 3−p−2k. */
static enum pz_status fill_doubling(const void *ctx, struct pz_log *log, int first, int n, float *out)
{
    const struct recast *t = ctx;
    const float *old = t->g->values[t->value].data;
    memset(out, 0, (size_t)n * 4 * t->from * sizeof *out);
    for (int r = 0; r < n; r++) {
        size_t row = (size_t)(first + r) % t->rows, phase = (size_t)(first + r) / t->rows;
        for (size_t tap = 0; tap < 4; tap++) {
            size_t y = 3 - (phase >> 1) - 2 * (tap >> 1), x = 3 - (phase & 1) - 2 * (tap & 1);
            for (size_t c = 0; c < t->from && y < t->high && x < t->wide; c++)
                out[((size_t)r * 4 + tap) * t->from + c] =
                    old[((c * t->high + y) * t->wide + x) * t->rows + row];
        }
    }
    return PZ_OK;
}

static enum pz_status fill_turned(const void *ctx, struct pz_log *log, int first, int n, float *out)
{
    const struct recast *t = ctx;
    const float *old = t->g->values[t->value].data;
    for (size_t r = 0; r < (size_t)n; r++)
        for (size_t y = 0; y < t->high; y++)
            for (size_t x = 0; x < t->wide; x++)
                for (size_t c = 0; c < t->from; c++)
                    *out++ = old[((c * t->high + t->high - 1 - y) * t->wide + t->wide - 1 - x) * t->rows +
                                 (size_t)first + r];
    return PZ_OK;
}

/* A constant of `shape` whose rows `fill` makes of those of t.value. */
static int made(struct pz_graph *g, struct pz_shape shape, const struct recast *t,
                enum pz_status (*fill)(const void *, struct pz_log *, int, int, float *))
{
    struct recast *own = pz_calloc(1, sizeof *own);
    if (!own)
        return PZ_NONE;
    *own = *t;
    return pz_graph_const_from(g, shape, &(struct pz_source){fill, pz_free, own});
}

/* New weights (shape w) and bias for node n. */
static enum pz_status give(struct pz_plan *p, struct pz_graph_node *n, struct pz_shape w, bool phases,
                           struct pz_log *log)
{
    struct pz_graph *g = p->g;
    const struct pz_shape *old = &g->values[n->in[1]].shape;
    struct recast t = {.g = g,
                       .value = n->in[1],
                       .phases = phases,
                       .rows = (size_t)old->dim[0],
                       .taps = (size_t)old->dim[1] * (size_t)old->dim[2],
                       .from = (size_t)old->dim[3],
                       .to = (size_t)w.dim[3]};
    int weights = made(g, w, &t, phases ? fill_phases : fill_up), bias = PZ_NONE;
    bool biased = n->n_in > 2 && n->in[2] >= 0 && w.dim[0] != (int)t.rows;
    if (biased) {
        t.value = n->in[2];
        t.taps = t.from = t.to = 1;
        bias = made(g, (struct pz_shape){1, {w.dim[0]}}, &t, fill_up);
    }
    if (weights < 0 || (biased && bias < 0))
        return pz_graph_status(g) < PZ_OK ? pz_graph_status(g)
                                          : pz_fail(log, PZ_ERR_NOMEM, "no memory to plan a graph");
    n->in[1] = weights;
    if (biased)
        n->in[2] = bias;
    return PZ_OK;
}

static double cost_of(const struct pz_plan *p, const struct pz_graph_node *n)
{
    struct pz_op_args a;
    pz_graph_args(p->g, n, &a);
    return pz_op_cost(n->op, &a);
}

/* A transposed convolution becomes a convolution, where it is of a kind that can. */
static enum pz_status give_transposed(struct pz_plan *p, struct pz_graph_node *n, struct pz_log *log)
{
    struct pz_graph *g = p->g;
    const struct pz_attrs *t = &n->attrs;
    const int *x = g->values[n->in[0]].shape.dim, *o = g->values[n->out].shape.dim;
    struct pz_graph_value *v = &g->values[n->in[1]];
    int *w = v->shape.dim, high = w[1], wide = w[2];
    bool biased = n->n_in > 2 && n->in[2] >= 0, doubles = true, same = true;
    if (!v->constant || w[0] % 8 || w[3] % 8 || t->act > PZ_ACT_RELU6 ||
        (biased && (!g->values[n->in[2]].constant || g->values[n->in[2]].shape.rank != 1)))
        return PZ_OK;
    for (int i = 0; i < 2; i++) {
        doubles = doubles && t->stride[i] == 2 && t->dilation[i] == 1 && t->pad[2 * i] == 1 &&
                  o[1 + i] == 2 * x[1 + i] && w[1 + i] >= 3 && w[1 + i] <= 4;
        same = same && t->stride[i] == 1 && t->dilation[i] == 1 && t->pad[2 * i] < w[1 + i] &&
               t->pad[2 * i + 1] < w[1 + i] && t->size[i] == 0;
    }
    doubles = doubles && (long long)x[0] * x[1] * x[2] >= ENOUGH;
    if (!doubles && !same)
        return PZ_OK;
    enum pz_status st = pz_constant_load(v, log, p->loaders);
    struct recast r = {.g = g,
                       .value = n->in[1],
                       .phases = true,
                       .rows = (size_t)w[3],
                       .from = (size_t)w[0],
                       .high = (size_t)high,
                       .wide = (size_t)wide};
    struct pz_shape to = {4, {doubles ? 4 * w[3] : w[3], doubles ? 2 : high, doubles ? 2 : wide, w[0]}};
    int weights = st < PZ_OK ? PZ_NONE : made(g, to, &r, doubles ? fill_doubling : fill_turned),
        bias = PZ_NONE;
    r = (struct recast){
        .g = g, .value = n->in[2], .phases = true, .rows = r.rows, .taps = 1, .from = 1, .to = 1};
    if (biased && doubles && weights >= 0)
        bias = made(g, (struct pz_shape){1, {to.dim[0]}}, &r, fill_up);
    if (weights < 0 || (biased && doubles && bias < 0))
        return st < PZ_OK                   ? st
               : pz_graph_status(g) < PZ_OK ? pz_graph_status(g)
                                            : pz_fail(log, PZ_ERR_NOMEM, "no memory to plan a graph");
    n->cost = cost_of(p, n);
    n->op = PZ_OP_CONV2D;
    n->in[1] = weights;
    if (bias >= 0)
        n->in[2] = bias;
    for (int i = 0; i < 4; i++)
        n->attrs.pad[i] = doubles ? 1 : to.dim[1 + i / 2] - 1 - n->attrs.pad[i];
    n->attrs.stride[0] = n->attrs.stride[1] = 1;
    return PZ_OK;
}

/* A convolution with constant weights and without a residual, that ends in what engines know. The bias may
 * have any rank. */
static bool plain(const struct pz_plan *p, const struct pz_graph_node *n)
{
    const struct pz_graph_value *v = p->g->values;
    if (n->dead || n->op != PZ_OP_CONV2D || !v[n->in[1]].constant || n->attrs.act > PZ_ACT_RELU6)
        return false;
    if (n->n_in > 2 && n->in[2] >= 0 && (!v[n->in[2]].constant || v[n->in[2]].shape.rank != 1))
        return false;
    return n->n_in < 4 || n->in[3] < 0;
}

/* The node that doubles what node n convolves, for n alone; −1: there is none. */
static int doubling(const struct pz_plan *p, const struct pz_graph_node *n)
{
    const struct pz_graph_value *v = p->g->values;
    const struct pz_attrs *t = &n->attrs;
    const int *w = v[n->in[1]].shape.dim;
    int last;
    bool usual = w[1] == 3 && w[2] == 3 && t->stride[0] == 1 && t->stride[1] == 1 && t->dilation[0] == 1 &&
                 t->dilation[1] == 1 && w[0] % 8 == 0 && w[3] % 8 == 0 && !t->act;
    for (int i = 0; i < 4; i++)
        usual = usual && t->pad[i] == 1;
    if (!usual || pz_graph_readers(p->g, p->nodes, n->in[0], &last) != 1)
        return -1;
    for (int i = 0; i < p->g->n_nodes; i++) {
        const struct pz_graph_node *r = &p->nodes[i];
        if (r->dead || r->out != n->in[0])
            continue;
        const int *x = v[r->in[0]].shape.dim, *y = v[r->out].shape.dim;
        bool twice = r->op == PZ_OP_RESIZE_NEAREST && !r->attrs.align_corners && y[1] == 2 * x[1] &&
                     y[2] == 2 * x[2] && (long long)x[0] * x[1] * x[2] >= ENOUGH;
        return twice ? i : -1;
    }
    return -1;
}

static int eights(int n)
{
    return (n + 7) / 8 * 8;
}

enum pz_status pz_cuda_plan_recast(struct pz_plan *p, struct pz_log *log)
{
    enum pz_status st = PZ_OK;
    if (p->params.dtype != PZ_DTYPE_F16 && p->params.dtype != PZ_DTYPE_BF16)
        return PZ_OK;
    for (int i = 0; i < p->g->n_nodes && st >= PZ_OK; i++) {
        struct pz_graph_node *n = &p->nodes[i];
        if (!n->dead && n->op == PZ_OP_CONV_TRANSPOSE2D) {
            st = give_transposed(p, n, log);
            continue;
        }
        if (!plain(p, n))
            continue;
        struct pz_shape w = p->g->values[n->in[1]].shape;
        int from = doubling(p, n);
        if (from >= 0) {
            w = (struct pz_shape){4, {4 * w.dim[0], 2, 2, w.dim[3]}};
            st = give(p, n, w, true, log);
            n->in[0] = p->nodes[from].in[0];
            p->nodes[from].dead = true;
        } else if (w.dim[0] % 8 || w.dim[3] % 8) {
            n->cost = cost_of(p, n);
            w.dim[0] = eights(w.dim[0]);
            w.dim[3] = eights(w.dim[3]);
            st = give(p, n, w, false, log);
        }
    }
    return st;
}
