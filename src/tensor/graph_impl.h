/** Inside of a graph; for graph.c, fuse.c and plan.c only. */
#ifndef PZ_TENSOR_GRAPH_IMPL_H
#define PZ_TENSOR_GRAPH_IMPL_H

#include "tensor/graph.h"

struct pz_graph_value {
    enum pz_dtype dtype;
    struct pz_shape shape;
    void *data; /**< constants; owned */
    int node;   /**< producer, -1 for inputs and constants */
    bool is_input;
};

struct pz_graph_node {
    enum pz_op op;
    struct pz_attrs attrs; /**< attrs.index is owned by the node */
    int in[PZ_OP_MAX_IN], n_in, out;
    bool dead; /**< fused away or folded; set by the planner in its own copy */
};

struct pz_graph_name {
    char *name;
    int value;
};

struct pz_graph {
    struct pz_log *log;
    enum pz_status st;
    struct pz_graph_value *values;
    int n_values, cap_values;
    struct pz_graph_node *nodes;
    int n_nodes, cap_nodes;
    struct pz_graph_name *inputs, *outputs;
    int n_inputs, cap_inputs, n_outputs, cap_outputs;
};

/** Merge residual additions and activations into the convolutions before them; changes `nodes` in place (n
 * nodes, values as in the graph). Values a node no longer produces are never read again. */
void pz_graph_fuse(const struct pz_graph *g, struct pz_graph_node *nodes);

/** Arguments of a node with shapes filled in and data of constants only. */
void pz_graph_args(const struct pz_graph *g, const struct pz_graph_node *n, struct pz_op_args *a);

#endif
