/*
 * Folding of batch norms: a norm behind a convolution or a dense layer is a factor on its filters and a shift
 * of its bias. Weights stay on demand: the new ones are the old ones, multiplied as they are asked for.
 */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "tensor/graph_impl.h"

struct scaled {
    const struct pz_graph *g;
    int value; /* the weights before */
    bool rows; /* a factor a row (outermost axis), else one an element of the innermost */
    size_t n;
    float factor[];
};

static enum pz_status scaled_fill(const void *ctx, struct pz_log *log, int first, int n, float *out)
{
    const struct scaled *s = ctx;
    size_t row;
    enum pz_status st = pz_constant_read(&s->g->values[s->value], log, first, n, PZ_DTYPE_F32, out);
    pz_constant_rows(&s->g->values[s->value], &row);
    for (size_t r = 0; r < (size_t)n && st >= PZ_OK; r++)
        for (size_t i = 0; i < row; i++)
            out[r * row + i] *= s->factor[s->rows ? (size_t)first + r : i % s->n];
    return st;
}

static bool is_constant(const struct pz_graph *g, int value)
{
    return value >= 0 && g->values[value].constant;
}

/* Whether `value` is read by node `reader` alone. */
static bool only_reader(const struct pz_graph *g, const struct pz_graph_node *nodes, int value, int *reader)
{
    return pz_graph_readers(g, nodes, value, reader) == 1;
}

static bool foldable(const struct pz_graph *g, const struct pz_graph_node *nodes,
                     const struct pz_graph_node *conv, const struct pz_graph_node *bn)
{
    switch (conv->op) {
    case PZ_OP_CONV2D:
    case PZ_OP_DWCONV2D:
    case PZ_OP_GROUPED_CONV2D:
    case PZ_OP_CONV3D:
    case PZ_OP_CONV_TRANSPOSE2D:
    case PZ_OP_FULLY_CONNECTED:
        break;
    default:
        return false;
    }
    int other;
    bool ok = bn->op == PZ_OP_BATCH_NORM && bn->in[0] == conv->out && !conv->attrs.act &&
              is_constant(g, conv->in[1]) && only_reader(g, nodes, conv->in[1], &other) &&
              (conv->n_in < 4 || conv->in[3] < 0);
    if (ok && conv->n_in > 2 && conv->in[2] >= 0)
        ok = is_constant(g, conv->in[2]);
    for (int k = 1; k < bn->n_in; k++)
        ok = ok && (bn->in[k] < 0 || is_constant(g, bn->in[k]));
    return ok;
}

/* Data of optional vector k of a node. */
static const float *vector(const struct pz_graph *g, const struct pz_graph_node *n, int k)
{
    return k < n->n_in && n->in[k] >= 0 ? g->values[n->in[k]].data : NULL;
}

/* Factor and bias into `s` and `bias`; the vectors are loaded. */
static void factors(const struct pz_graph *g, const struct pz_graph_node *conv,
                    const struct pz_graph_node *bn, struct scaled *s, float *bias)
{
    const float *mean = vector(g, bn, 1), *var = vector(g, bn, 2), *gamma = vector(g, bn, 3),
                *beta = vector(g, bn, 4), *old = vector(g, conv, 2);
    for (size_t c = 0; c < s->n; c++) {
        double f = (gamma ? gamma[c] : 1) / sqrt(fmax((double)var[c], 0) + bn->attrs.eps);
        s->factor[c] = (float)f;
        bias[c] = (float)(((old ? old[c] : 0) - (double)mean[c]) * f + (beta ? beta[c] : 0));
    }
}

/* The convolution takes up what the norm did after it: nothing, an activation, or one it does not know, which
 * then stays as a node of its own. */
static void take_act(struct pz_graph_node *conv, struct pz_graph_node *bn)
{
    enum pz_act act = bn->attrs.act;
    if (act < PZ_ACT_PRELU || conv->op == PZ_OP_FULLY_CONNECTED) {
        conv->attrs.act = act;
        conv->out = bn->out;
        bn->dead = true;
        return;
    }
    bn->op = act == PZ_ACT_SILU ? PZ_OP_SILU : PZ_OP_GELU;
    bn->attrs = (struct pz_attrs){0};
    bn->n_in = 1;
}

static enum pz_status fold_one(struct pz_graph *g, struct pz_graph_node *conv, struct pz_graph_node *bn,
                               struct pz_log *log)
{
    enum pz_status st = PZ_OK;
    struct pz_shape ws = g->values[conv->in[1]].shape;
    bool rows = conv->op != PZ_OP_DWCONV2D && conv->op != PZ_OP_CONV_TRANSPOSE2D;
    size_t n = (size_t)ws.dim[rows ? 0 : ws.rank - 1];
    struct scaled *s = pz_calloc(1, sizeof *s + n * sizeof(float));
    float *bias = pz_calloc(n, sizeof *bias);
    if (!s || !bias) {
        st = pz_fail(log, PZ_ERR_NOMEM, "no memory to fold a norm");
        goto fail;
    }
    *s = (struct scaled){.g = g, .value = conv->in[1], .rows = rows, .n = n};
    for (int k = 1; k < bn->n_in; k++)
        if (bn->in[k] >= 0)
            PZ_TRY(pz_constant_load(&g->values[bn->in[k]], log, NULL));
    if (conv->n_in > 2 && conv->in[2] >= 0)
        PZ_TRY(pz_constant_load(&g->values[conv->in[2]], log, NULL));
    factors(g, conv, bn, s, bias);
    int w = pz_graph_const_from(g, ws, &(struct pz_source){scaled_fill, pz_free, s});
    s = NULL; /* the graph's now, also on failure */
    int b = pz_graph_const(g, PZ_DTYPE_F32, (struct pz_shape){.rank = 1, .dim = {(int)n}}, bias);
    PZ_TRY(pz_graph_status(g));
    conv->in[1] = w;
    conv->in[2] = b;
    if (conv->n_in < 3)
        conv->n_in = 3;
    take_act(conv, bn);
fail:
    pz_free(s);
    pz_free(bias);
    return st;
}

enum pz_status pz_graph_fold_norms(struct pz_graph *g, struct pz_graph_node *nodes, struct pz_log *log)
{
    for (int i = 0; i < g->n_nodes; i++) {
        int next = -1;
        if (nodes[i].dead || !only_reader(g, nodes, nodes[i].out, &next) ||
            !foldable(g, nodes, &nodes[i], &nodes[next]))
            continue;
        enum pz_status st = fold_one(g, &nodes[i], &nodes[next], log);
        if (st < PZ_OK)
            return st;
    }
    return PZ_OK;
}
