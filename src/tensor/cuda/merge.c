/*
 * What only the device gains from, after the fusions of fuse.c: a dense layer takes up the residual that is
 * added to it (the product's own β), and dense layers of one shape that read the same value (queries, keys
 * and values; the keys and values of all cross attentions) become one batched product. The outputs of such
 * sisters lie one after another in the memory of the first.
 */
#include "base/mem.h"
#include "tensor/cuda/cuda.h"
#include "tensor/plan_impl.h"

/* Steps and outputs that read each value. */
static void count(const struct pz_plan *p, int *readers)
{
    for (int v = 0; v < p->g->n_values; v++)
        readers[v] = 0;
    for (int i = 0; i < p->g->n_nodes; i++)
        for (int k = 0; !p->nodes[i].dead && k < p->nodes[i].n_in; k++)
            if (p->nodes[i].in[k] >= 0)
                readers[p->nodes[i].in[k]]++;
    for (int i = 0; i < p->g->n_outputs; i++)
        readers[p->g->outputs[i].value] += 2; /* never merged */
}

static bool has_bias(const struct pz_graph_node *n)
{
    return n->n_in > 2 && n->in[2] >= 0;
}

static bool plain_dense(const struct pz_graph_node *n)
{
    return !n->dead && n->op == PZ_OP_FULLY_CONNECTED && !n->attrs.act && !n->attrs.groups && n->n_in < 4;
}

/* The dense layer that alone makes value y, perhaps through a reshape; −1 when there is none. */
static int dense_of(const struct pz_plan *p, const int *readers, const int *maker, int y)
{
    for (int hop = 0; hop < 2 && y >= 0 && readers[y] == 1 && maker[y] >= 0; hop++) {
        const struct pz_graph_node *n = &p->nodes[maker[y]];
        if (plain_dense(n))
            return maker[y];
        if (n->dead || n->op != PZ_OP_RESHAPE)
            return -1;
        y = n->in[0];
    }
    return -1;
}

/* dense → add: the product runs where the addition stood, for by then both are there. */
static void take_residual(struct pz_plan *p, const int *readers, int *maker, int at)
{
    struct pz_graph_node *add = &p->nodes[at];
    if (add->dead || add->op != PZ_OP_ADD || add->attrs.act)
        return;
    for (int k = 0; k < 2; k++) {
        int y = add->in[k], other = add->in[1 - k], from = dense_of(p, readers, maker, y);
        if (from < 0 || y == other || !pz_shape_equal(&p->g->values[y].shape, &p->g->values[other].shape) ||
            !pz_shape_equal(&p->g->values[y].shape, &p->g->values[add->out].shape))
            continue;
        struct pz_graph_node dense = p->nodes[from];
        while (dense.n_in < 4)
            dense.in[dense.n_in++] = PZ_NONE;
        dense.in[3] = other;
        dense.out = add->out;
        p->nodes[maker[y]].dead = true; /* the reshape, if there is one */
        p->nodes[from].dead = true;
        *add = dense;
        return;
    }
}

static bool mergeable(const struct pz_plan *p, const int *readers, const struct pz_graph_node *n)
{
    const struct pz_graph_value *w, *o;
    if (!plain_dense(n))
        return false;
    w = &p->g->values[n->in[1]];
    o = &p->g->values[n->out];
    size_t bytes = pz_shape_count(&o->shape) * pz_dtype_size(pz_plan_dtype(p, PZ_DTYPE_F32));
    return w->constant && readers[n->in[1]] == 1 && readers[n->out] == 1 && bytes % 16 == 0 &&
           (!has_bias(n) || (p->g->values[n->in[2]].constant && readers[n->in[2]] == 1));
}

/* Join to node `at` the later ones that read the same value through weights of the same shape. */
static void take_sisters(struct pz_plan *p, const int *readers, int at)
{
    struct pz_graph_node *first = &p->nodes[at];
    if (!mergeable(p, readers, first))
        return;
    bool bias = has_bias(first);
    int most = bias ? (PZ_OP_MAX_IN - 1) / 2 : PZ_OP_MAX_IN - 1, who[PZ_OP_MAX_IN], n = 0;
    who[n++] = at;
    for (int i = at + 1; i < p->g->n_nodes && n < most; i++) {
        const struct pz_graph_node *s = &p->nodes[i];
        if (mergeable(p, readers, s) && s->in[0] == first->in[0] && has_bias(s) == bias &&
            pz_shape_equal(&p->g->values[s->in[1]].shape, &p->g->values[first->in[1]].shape))
            who[n++] = i;
    }
    if (n < 2)
        return;
    struct pz_graph_node one = *first;
    one.attrs.groups = n;
    one.n_in = 1 + n + (bias ? n : 0);
    for (int i = 0; i < n; i++) {
        const struct pz_graph_node *s = &p->nodes[who[i]];
        one.in[1 + i] = s->in[1];
        if (bias)
            one.in[1 + n + i] = s->in[2];
        if (i > 0)
            one.more[one.n_more++] = s->out;
    }
    for (int i = 1; i < n; i++)
        p->nodes[who[i]].dead = true;
    *first = one;
}

enum pz_status pz_cuda_plan_merge(struct pz_plan *p, struct pz_log *log)
{
    enum pz_status st = pz_cuda_plan_recast(p, log);
    if (st < PZ_OK)
        return st;
    int *readers = pz_calloc((size_t)p->g->n_values + 1, sizeof *readers);
    int *maker = pz_calloc((size_t)p->g->n_values + 1, sizeof *maker);
    if (readers && maker) {
        for (int v = 0; v < p->g->n_values; v++)
            maker[v] = -1;
        count(p, readers);
        for (int i = 0; i < p->g->n_nodes; i++) {
            take_residual(p, readers, maker, i);
            if (!p->nodes[i].dead)
                maker[p->nodes[i].out] = i;
        }
        for (int i = 0; i < p->g->n_nodes; i++)
            take_sisters(p, readers, i);
    }
    st = readers && maker ? PZ_OK : pz_fail(log, PZ_ERR_NOMEM, "no memory to plan a graph");
    pz_free(readers);
    pz_free(maker);
    return st;
}
