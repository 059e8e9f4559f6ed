/* Graph builder: lists that grow, and the table's rules applied to each call. Does not run anything. */
#include "tensor/graph.h"

#include <string.h>

#include "base/mem.h"
#include "tensor/graph_impl.h"

static bool grow(struct pz_graph *g, void **list, int n, int *cap, size_t size)
{
    if (n < *cap)
        return true;
    int want = *cap ? *cap * 2 : 32;
    void *p = want > (1 << 24) ? NULL : pz_regrow(*list, (size_t)n, (size_t)want, size);
    if (!p) {
        g->st = pz_fail(g->log, PZ_ERR_NOMEM, "no memory for a graph of %d parts", want);
        return false;
    }
    *list = p;
    *cap = want;
    return true;
}

struct pz_graph *pz_graph_create(struct pz_log *log)
{
    struct pz_graph *g = pz_calloc(1, sizeof *g);
    if (g)
        g->log = log;
    return g;
}

void pz_graph_destroy(struct pz_graph **gp)
{
    if (!gp || !*gp)
        return;
    struct pz_graph *g = *gp;
    pz_constants_release(g);
    for (int i = 0; i < g->n_values; i++)
        pz_free(g->values[i].data);
    for (int i = 0; i < g->n_nodes; i++)
        pz_free((void *)(uintptr_t)g->nodes[i].attrs.index);
    for (int i = 0; i < g->n_inputs; i++)
        pz_free(g->inputs[i].name);
    for (int i = 0; i < g->n_outputs; i++)
        pz_free(g->outputs[i].name);
    pz_free(g->values);
    pz_free(g->nodes);
    pz_free(g->inputs);
    pz_free(g->outputs);
    pz_free(g);
    *gp = NULL;
}

static int add_value(struct pz_graph *g, struct pz_graph_value v)
{
    void *p = g->values;
    bool ok = grow(g, &p, g->n_values, &g->cap_values, sizeof *g->values);
    g->values = p;
    if (!ok)
        return PZ_NONE;
    g->values[g->n_values] = v;
    return g->n_values++;
}

static void add_name(struct pz_graph *g, bool output, const char *name, int value)
{
    struct pz_graph_name **list = output ? &g->outputs : &g->inputs;
    int *n = output ? &g->n_outputs : &g->n_inputs, *cap = output ? &g->cap_outputs : &g->cap_inputs;
    void *p = *list;
    bool ok = grow(g, &p, *n, cap, sizeof **list);
    *list = p;
    if (!ok)
        return;
    char *copy = pz_strdup(name ? name : "");
    if (!copy) {
        g->st = pz_fail(g->log, PZ_ERR_NOMEM, "no memory for a name");
        return;
    }
    (*list)[(*n)++] = (struct pz_graph_name){copy, value};
}

int pz_graph_input(struct pz_graph *g, const char *name, struct pz_shape shape)
{
    return pz_graph_input_typed(g, name, PZ_DTYPE_F32, shape);
}

int pz_graph_input_typed(struct pz_graph *g, const char *name, enum pz_dtype dtype, struct pz_shape shape)
{
    if (g->st < PZ_OK)
        return PZ_NONE;
    if (!pz_shape_valid(&shape) || !pz_dtype_size(dtype)) {
        g->st = pz_fail(g->log, PZ_ERR_FORMAT, "graph input '%s' has an impossible shape", name);
        return PZ_NONE;
    }
    int v =
        add_value(g, (struct pz_graph_value){.dtype = dtype, .shape = shape, .node = -1, .is_input = true});
    if (v >= 0)
        add_name(g, false, name, v);
    return v;
}

int pz_graph_const(struct pz_graph *g, enum pz_dtype dtype, struct pz_shape shape, const void *data)
{
    if (g->st < PZ_OK)
        return PZ_NONE;
    size_t size = pz_dtype_size(dtype);
    if (!pz_shape_valid(&shape) || !size) {
        g->st = pz_fail(g->log, PZ_ERR_FORMAT, "graph constant with an impossible type or shape");
        return PZ_NONE;
    }
    size_t n = pz_shape_count(&shape);
    void *copy = pz_calloc(n, size);
    if (!copy) {
        g->st = pz_fail(g->log, PZ_ERR_NOMEM, "no memory for a constant of %zu elements", n);
        return PZ_NONE;
    }
    memcpy(copy, data, n * size);
    int v = add_value(g, (struct pz_graph_value){
                             .dtype = dtype, .shape = shape, .data = copy, .node = -1, .constant = true});
    if (v < 0)
        pz_free(copy);
    return v;
}

int pz_graph_const_from(struct pz_graph *g, struct pz_shape shape, const struct pz_source *source)
{
    int v = PZ_NONE;
    if (g->st >= PZ_OK && !pz_shape_valid(&shape))
        g->st = pz_fail(g->log, PZ_ERR_FORMAT, "graph constant with an impossible shape");
    if (g->st >= PZ_OK)
        v = add_value(
            g, (struct pz_graph_value){
                   .dtype = PZ_DTYPE_F32, .shape = shape, .node = -1, .constant = true, .source = *source});
    if (v < 0 && source->release)
        source->release(source->ctx);
    return v;
}

struct pz_view pz_graph_view(const struct pz_graph *g, int value)
{
    if (value < 0 || value >= g->n_values)
        return (struct pz_view){.dtype = PZ_DTYPE_COUNT};
    const struct pz_graph_value *v = &g->values[value];
    return (struct pz_view){v->dtype, v->shape, v->data};
}

void pz_graph_args(const struct pz_graph *g, const struct pz_graph_node *n, struct pz_op_args *a)
{
    *a = (struct pz_op_args){.attrs = &n->attrs, .n_in = n->n_in};
    for (int i = 0; i < PZ_OP_MAX_IN; i++)
        a->in[i] = pz_graph_view(g, i < n->n_in ? n->in[i] : PZ_NONE);
    a->out = pz_graph_view(g, n->out);
}

int pz_graph_op(struct pz_graph *g, enum pz_op op, const struct pz_attrs *attrs, const int *in, int n_in)
{
    if (g->st < PZ_OK)
        return PZ_NONE;
    const struct pz_op_row *row = pz_op_row(op);
    if (!row || n_in < row->min_in || n_in > row->max_in || n_in > PZ_OP_MAX_IN) {
        g->st = pz_fail(g->log, PZ_ERR_FORMAT, "operation %s with %d inputs", row ? row->name : "?", n_in);
        return PZ_NONE;
    }
    struct pz_graph_node n = {.op = op, .n_in = n_in, .out = PZ_NONE};
    if (attrs)
        n.attrs = *attrs;
    for (int i = 0; i < n_in; i++) {
        bool optional = i >= row->min_in && op != PZ_OP_CONCAT;
        n.in[i] = in[i];
        if ((in[i] < 0 && !optional) || in[i] >= g->n_values) {
            g->st = pz_fail(g->log, PZ_ERR_FORMAT, "operation %s: input %d is not there", row->name, i);
            return PZ_NONE;
        }
    }
    struct pz_op_args a;
    pz_graph_args(g, &n, &a);
    struct pz_view out = {0};
    g->st = row->shape(g->log, &a, &out);
    void *p = g->nodes;
    bool ok = g->st >= PZ_OK && grow(g, &p, g->n_nodes, &g->cap_nodes, sizeof *g->nodes);
    g->nodes = p;
    if (!ok)
        return PZ_NONE;
    if (n.attrs.n_index > 0) {
        int *copy = pz_calloc((size_t)n.attrs.n_index, sizeof *copy);
        if (!copy) {
            g->st = pz_fail(g->log, PZ_ERR_NOMEM, "no memory for an index list");
            return PZ_NONE;
        }
        memcpy(copy, n.attrs.index, (size_t)n.attrs.n_index * sizeof *copy);
        n.attrs.index = copy;
    } else {
        n.attrs.index = NULL;
    }
    n.out = add_value(g, (struct pz_graph_value){.dtype = out.dtype, .shape = out.shape, .node = g->n_nodes});
    if (n.out < 0) {
        pz_free((void *)(uintptr_t)n.attrs.index);
        return PZ_NONE;
    }
    g->nodes[g->n_nodes++] = n;
    return n.out;
}

void pz_graph_output(struct pz_graph *g, const char *name, int value)
{
    if (g->st < PZ_OK)
        return;
    if (value < 0 || value >= g->n_values) {
        g->st = pz_fail(g->log, PZ_ERR_FORMAT, "graph output '%s' is not there", name);
        return;
    }
    add_name(g, true, name, value);
}

enum pz_status pz_graph_status(const struct pz_graph *g)
{
    return g->st;
}
