/** Inside of a graph; for the graph's and the planner's files only. */
#ifndef PZ_TENSOR_GRAPH_IMPL_H
#define PZ_TENSOR_GRAPH_IMPL_H

#include "tensor/graph.h"

struct pz_graph_value {
    enum pz_dtype dtype;
    struct pz_shape shape;
    void *data; /**< constants; owned. NULL: not asked for yet, or packed by every kernel that reads it */
    int node;   /**< producer, -1 for inputs and constants */
    bool is_input;
    bool constant;           /**< known before the first run; set by the builder and by folding */
    struct pz_source source; /**< of a constant made on demand; fill NULL: there is none */
};

struct pz_graph_node {
    enum pz_op op;
    struct pz_attrs attrs; /**< attrs.index is owned by the node */
    int in[PZ_OP_MAX_IN], n_in, out;
    int more[PZ_OP_MAX_IN],
        n_more;  /**< outputs of merged sisters, behind `out` in its memory (tensor/cuda) */
    double cost; /**< multiply-adds where the table would count zeros too (tensor/cuda); 0: the table says */
    bool dead;   /**< fused away or folded; set by the planner in its own copy */
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

/** Reads of a value by nodes that live, an output counting as two; the last such node in `*last`. */
int pz_graph_readers(const struct pz_graph *g, const struct pz_graph_node *nodes, int value, int *last);

/** Batch norms behind convolutions and dense layers with constant weights become part of these. Adds
 * constants to `g`. `nodes` is changed in place here and below (values as in the graph; those a node no
 * longer produces are never read again). */
PZ_NODISCARD enum pz_status pz_graph_fold_norms(struct pz_graph *g, struct pz_graph_node *nodes,
                                                struct pz_log *log);

/** Merge biases, residual additions and activations into the operations before them. With `device` residuals
 * are left to the device's own planner. */
void pz_graph_fuse(const struct pz_graph *g, struct pz_graph_node *nodes, bool device);

/** Rows of a constant: its outermost extent, 1 for a scalar; and the elements of each. */
int pz_constant_rows(const struct pz_graph_value *v, size_t *row);

/** Write rows [first, first + n) of a constant to `out` as `type`: its own, or F16 or BF16 from F32. */
PZ_NODISCARD enum pz_status pz_constant_read(const struct pz_graph_value *v, struct pz_log *log, int first,
                                             int n, enum pz_dtype type, void *out);

/** Bring a constant made on demand into `data`, unless it is there. `pool` may be NULL. */
PZ_NODISCARD enum pz_status pz_constant_load(struct pz_graph_value *v, struct pz_log *log,
                                             struct pz_pool *pool);

/** Forget the data of a constant that nobody reads any more. */
void pz_constant_drop(struct pz_graph_value *v);

/** A place for one large constant at a time: most are packed at once and forgotten, and memory the system has
 * to hand out and clear anew for each costs more than reading the file. */
struct pz_constant_room {
    void *data;
    size_t bytes;
    int owner; /**< value whose data is here, PZ_NONE: free */
};

/** Make room for the largest constant of `g` that is made on demand. Without memory there is no room. */
void pz_constant_room_open(struct pz_constant_room *r, const struct pz_graph *g);
/** As pz_constant_load(), into the room when it is free and the constant large. */
PZ_NODISCARD enum pz_status pz_constant_load_in(struct pz_constant_room *r, struct pz_graph *g, int value,
                                                struct pz_log *log, struct pz_pool *pool);
/** As pz_constant_drop(), of a value that may be in the room. */
void pz_constant_drop_from(struct pz_constant_room *r, struct pz_graph *g, int value);
/** Free the room for the next: what is in it stays, so it moves to a place of its own. */
PZ_NODISCARD enum pz_status pz_constant_room_clear(struct pz_constant_room *r, struct pz_graph *g,
                                                   struct pz_log *log);
/** Give the room back; a value in it is forgotten. `g` NULL: already destroyed. */
void pz_constant_room_close(struct pz_constant_room *r, struct pz_graph *g);

/** Let go of all sources. */
void pz_constants_release(struct pz_graph *g);

/** Threads worth having to load the constants of `g`: a pool of `threads` (0 = all CPUs), or NULL when they
 * are small or no memory is left for it. */
struct pz_pool *pz_constants_pool(const struct pz_graph *g, int threads);

/** Arguments of a node with shapes filled in and data of constants only. */
void pz_graph_args(const struct pz_graph *g, const struct pz_graph_node *n, struct pz_op_args *a);

#endif
