/*
 * Fusion: conv|dwconv → [add residual] → [relu | relu6 | prelu] becomes one node, so that the sums are stored
 * once. A link is merged only when the value between has that one reader and is no output.
 */
#include "tensor/graph_impl.h"

static int readers(const struct pz_graph *g, const struct pz_graph_node *nodes, int value, int *last)
{
    int n = 0;
    for (int i = 0; i < g->n_nodes; i++)
        for (int k = 0; !nodes[i].dead && k < nodes[i].n_in; k++)
            if (nodes[i].in[k] == value) {
                n++;
                *last = i;
            }
    for (int i = 0; i < g->n_outputs; i++)
        n += g->outputs[i].value == value ? 2 : 0;
    return n;
}

/* Whether `value` is there before node `at` runs. */
static bool ready_before(const struct pz_graph *g, const struct pz_graph_node *nodes, int value, int at)
{
    for (int i = at; i < g->n_nodes; i++)
        if (!nodes[i].dead && nodes[i].out == value)
            return false;
    return true;
}

static bool merge_add(const struct pz_graph *g, struct pz_graph_node *nodes, int conv, int add)
{
    struct pz_graph_node *c = &nodes[conv], *a = &nodes[add];
    int other = a->in[0] == c->out ? a->in[1] : a->in[0];
    struct pz_view x = pz_graph_view(g, c->out), y = pz_graph_view(g, other);
    if (c->attrs.act || other == c->out || (c->n_in > 3 && c->in[3] >= 0) ||
        !pz_shape_equal(&x.shape, &y.shape))
        return false;
    if (!ready_before(g, nodes, other, conv)) {
        /* the residual is made between conv and add: let the convolution run where the addition stood */
        if (c->out == other)
            return false;
        struct pz_graph_node moved = *c;
        while (moved.n_in < 4)
            moved.in[moved.n_in++] = PZ_NONE;
        moved.in[3] = other;
        moved.attrs.act = a->attrs.act;
        moved.out = a->out;
        c->dead = true;
        *a = moved;
        return true;
    }
    while (c->n_in < 4)
        c->in[c->n_in++] = PZ_NONE;
    c->in[3] = other;
    c->attrs.act = a->attrs.act;
    c->out = a->out;
    a->dead = true;
    return true;
}

static bool merge_act(struct pz_graph_node *nodes, int conv, int act)
{
    struct pz_graph_node *c = &nodes[conv], *a = &nodes[act];
    if (c->attrs.act)
        return false;
    c->attrs.act = a->op == PZ_OP_RELU ? PZ_ACT_RELU : a->op == PZ_OP_RELU6 ? PZ_ACT_RELU6 : PZ_ACT_PRELU;
    if (a->op == PZ_OP_PRELU) {
        while (c->n_in < 5)
            c->in[c->n_in++] = PZ_NONE;
        c->in[4] = a->in[1];
    }
    c->out = a->out;
    a->dead = true;
    return true;
}

/* norm or dense layer → silu | gelu | relu */
static void merge_after(const struct pz_graph *g, struct pz_graph_node *nodes, int at)
{
    struct pz_graph_node *n = &nodes[at];
    bool norm = n->op == PZ_OP_GROUP_NORM || n->op == PZ_OP_LAYER_NORM || n->op == PZ_OP_BATCH_NORM;
    int next = -1;
    if (n->dead || n->attrs.act || (!norm && n->op != PZ_OP_FULLY_CONNECTED) ||
        readers(g, nodes, n->out, &next) != 1)
        return;
    enum pz_op op = nodes[next].op;
    if (op != PZ_OP_SILU && op != PZ_OP_GELU && op != PZ_OP_RELU)
        return;
    n->attrs.act = op == PZ_OP_SILU ? PZ_ACT_SILU : op == PZ_OP_GELU ? PZ_ACT_GELU : PZ_ACT_RELU;
    n->out = nodes[next].out;
    nodes[next].dead = true;
}

void pz_graph_fuse(const struct pz_graph *g, struct pz_graph_node *nodes)
{
    for (int i = 0; i < g->n_nodes; i++)
        merge_after(g, nodes, i);
    for (int i = 0; i < g->n_nodes; i++) {
        int at = i, next = -1;
        while (!nodes[at].dead && (nodes[at].op == PZ_OP_CONV2D || nodes[at].op == PZ_OP_DWCONV2D) &&
               readers(g, nodes, nodes[at].out, &next) == 1) {
            enum pz_op op = nodes[next].op;
            if (op == PZ_OP_ADD) {
                if (!merge_add(g, nodes, at, next))
                    break;
                if (nodes[at].dead)
                    at = next;
            } else if (op == PZ_OP_RELU || op == PZ_OP_RELU6 ||
                       (op == PZ_OP_PRELU && nodes[next].in[0] == nodes[at].out)) {
                if (!merge_act(nodes, at, next))
                    break;
            } else {
                break;
            }
        }
    }
}
