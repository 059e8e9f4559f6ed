/*
 * Fusion: what is done to an operation's result right after it is done before the one store instead.
 *   convolution → [+ bias] → [+ residual] → [relu | relu6 | prelu]
 *   dense layer → [+ bias] → [silu | gelu | relu | relu6] or [+ residual]
 *   transposed, grouped and 3-D convolution → [+ bias] → [relu | relu6]
 *   norm → [silu | gelu | relu | relu6];  add | sub | mul | div | pool → [relu | relu6]
 * and a permutation that moves no element becomes a reshape, which costs nothing. A link is merged only when
 * the value between has that one reader and is no output.
 */
#include "tensor/graph_impl.h"
#include "tensor/op_shape.h"

int pz_graph_readers(const struct pz_graph *g, const struct pz_graph_node *nodes, int value, int *last)
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

/* What an operation can take up. */
struct takes {
    bool bias, residual, prelu;
    unsigned acts; /* bits 1 << enum pz_act */
};

#define SIMPLE (1u << PZ_ACT_RELU | 1u << PZ_ACT_RELU6)
#define SMOOTH (SIMPLE | 1u << PZ_ACT_SILU | 1u << PZ_ACT_GELU)

static struct takes takes_of(enum pz_op op, bool device)
{
    switch (op) {
    case PZ_OP_CONV2D:
    case PZ_OP_DWCONV2D:
        return (struct takes){true, true, true, SIMPLE};
    case PZ_OP_FULLY_CONNECTED:
        return (struct takes){true, !device, false, SMOOTH};
    case PZ_OP_CONV_TRANSPOSE2D:
    case PZ_OP_GROUPED_CONV2D:
    case PZ_OP_CONV3D:
        return (struct takes){true, false, false, SIMPLE};
    case PZ_OP_GROUP_NORM:
    case PZ_OP_LAYER_NORM:
    case PZ_OP_BATCH_NORM:
        return (struct takes){false, false, false, SMOOTH};
    case PZ_OP_ADD:
    case PZ_OP_SUB:
    case PZ_OP_MUL:
    case PZ_OP_DIV:
    case PZ_OP_MAXPOOL:
    case PZ_OP_AVGPOOL:
        return (struct takes){false, false, false, SIMPLE};
    default:
        return (struct takes){0};
    }
}

/* Whether `value` is there before node `at` runs. */
static bool ready_before(const struct pz_graph *g, const struct pz_graph_node *nodes, int value, int at)
{
    for (int i = at; i < g->n_nodes; i++)
        if (!nodes[i].dead && nodes[i].out == value)
            return false;
    return true;
}

static bool has(const struct pz_graph_node *n, int k)
{
    return n->n_in > k && n->in[k] >= 0;
}

static void set_input(struct pz_graph_node *n, int k, int value)
{
    while (n->n_in <= k)
        n->in[n->n_in++] = PZ_NONE;
    n->in[k] = value;
}

/* Node `at` + a constant vector over the channels. */
static bool merge_bias(const struct pz_graph *g, struct pz_graph_node *n, struct pz_graph_node *add,
                       int other)
{
    struct pz_op_args v = {.n_in = 1, .in = {pz_graph_view(g, other)}};
    struct pz_shape out = pz_graph_view(g, n->out).shape, sum = pz_graph_view(g, add->out).shape;
    if (has(n, 2) || has(n, 3) || !g->values[other].constant || !pz_shape_equal(&out, &sum) ||
        !pz_shape_is_vector(&v, 0, out.dim[out.rank - 1]))
        return false;
    set_input(n, 2, other);
    n->attrs.act = add->attrs.act;
    n->out = add->out;
    add->dead = true;
    return true;
}

/* Node `*at` + a value of its shape. Where that is made between the two, the node moves to where the addition
 * stood. */
static bool merge_residual(const struct pz_graph *g, struct pz_graph_node *nodes, int *at, int add, int other)
{
    struct pz_graph_node *n = &nodes[*at], *a = &nodes[add], moved;
    struct pz_view x = pz_graph_view(g, n->out), y = pz_graph_view(g, other);
    bool dense = n->op == PZ_OP_FULLY_CONNECTED; /* takes a residual or an activation, not both */
    if (has(n, 3) || other == n->out || !pz_shape_equal(&x.shape, &y.shape) || (dense && a->attrs.act))
        return false;
    moved = *n;
    set_input(&moved, 3, other);
    moved.attrs.act = a->attrs.act;
    moved.out = a->out;
    if (ready_before(g, nodes, other, *at)) {
        *n = moved;
        a->dead = true;
    } else {
        n->dead = true;
        *a = moved;
        *at = add;
    }
    return true;
}

static enum pz_act act_of(enum pz_op op)
{
    return op == PZ_OP_RELU    ? PZ_ACT_RELU
           : op == PZ_OP_RELU6 ? PZ_ACT_RELU6
           : op == PZ_OP_PRELU ? PZ_ACT_PRELU
           : op == PZ_OP_SILU  ? PZ_ACT_SILU
           : op == PZ_OP_GELU  ? PZ_ACT_GELU
                               : PZ_ACT_NONE;
}

static bool merge_act(struct pz_graph_node *n, struct pz_graph_node *a, struct takes t)
{
    enum pz_act act = act_of(a->op);
    bool dense = n->op == PZ_OP_FULLY_CONNECTED;
    if (a->in[0] != n->out || (dense && has(n, 3)) || (act == PZ_ACT_PRELU ? !t.prelu : !(t.acts >> act & 1)))
        return false;
    n->attrs.act = act;
    if (act == PZ_ACT_PRELU)
        set_input(n, 4, a->in[1]);
    n->out = a->out;
    a->dead = true;
    return true;
}

static void merge_chain(const struct pz_graph *g, struct pz_graph_node *nodes, int at, bool device)
{
    struct takes t = takes_of(nodes[at].op, device);
    int next = -1;
    while (!nodes[at].dead && !nodes[at].attrs.act && (t.bias || t.acts) &&
           pz_graph_readers(g, nodes, nodes[at].out, &next) == 1) {
        struct pz_graph_node *n = &nodes[at], *a = &nodes[next];
        bool merged = false;
        if (a->op == PZ_OP_ADD) {
            int other = a->in[0] == n->out ? a->in[1] : a->in[0];
            merged = (t.bias && merge_bias(g, n, a, other)) ||
                     (t.residual && merge_residual(g, nodes, &at, next, other));
        } else if (act_of(a->op) != PZ_ACT_NONE) {
            merged = merge_act(n, a, t);
        }
        if (!merged)
            return;
    }
}

/* A permutation that leaves the order of all axes longer than one. */
static void simplify(const struct pz_graph *g, struct pz_graph_node *n)
{
    if (n->dead || n->op != PZ_OP_TRANSPOSE)
        return;
    struct pz_view x = pz_graph_view(g, n->in[0]), o = pz_graph_view(g, n->out);
    for (int i = 0, top = -1; i < o.shape.rank; i++) {
        if (x.shape.dim[n->attrs.perm[i]] == 1)
            continue;
        if (n->attrs.perm[i] < top)
            return;
        top = n->attrs.perm[i];
    }
    n->op = PZ_OP_RESHAPE;
    n->attrs = (struct pz_attrs){.shape = o.shape};
}

void pz_graph_fuse(const struct pz_graph *g, struct pz_graph_node *nodes, bool device)
{
    for (int i = 0; i < g->n_nodes; i++) {
        simplify(g, &nodes[i]);
        merge_chain(g, nodes, i, device);
    }
}
