/**
 * Graphs: a network as a list of operations on values with fixed shapes, built once.
 *
 * Objects    a graph owns its nodes and copies of its constants. Values are small integers; PZ_NONE stands
 * for an optional input that is not there. Building   every call checks its arguments against the table
 * (tensor/op.h). The first mistake is logged and kept: later calls return PZ_NONE at once, and
 * pz_graph_status() tells at the end. Order of calls = order of run. Threads    a graph belongs to one thread
 * while it is built and is read-only afterwards.
 */
#ifndef PZ_TENSOR_GRAPH_H
#define PZ_TENSOR_GRAPH_H

#include "tensor/op.h"

#define PZ_NONE (-1)

struct pz_graph;

/** NULL on no memory. `log` must outlive the graph and may be NULL. */
struct pz_graph *pz_graph_create(struct pz_log *log);
void pz_graph_destroy(struct pz_graph **g);

/** An F32 input that the session's user fills. `name` is copied. */
int pz_graph_input(struct pz_graph *g, const char *name, struct pz_shape shape);

/** The same of another type: I32 ids, F16 data for DEQUANTIZE. */
int pz_graph_input_typed(struct pz_graph *g, const char *name, enum pz_dtype dtype, struct pz_shape shape);

/** A constant; `data` (any alignment, element type `dtype`) is copied. */
int pz_graph_const(struct pz_graph *g, enum pz_dtype dtype, struct pz_shape shape, const void *data);

/**
 * Where a constant's values come from when somebody asks for them: a file that stays mapped, a formula.
 *
 * `fill` writes rows [first, first + n) as floats, in the graph's layout. Rows lie along the outermost axis;
 * the rows of a vector are its elements, a scalar is one row. It is called by pz_plan_create() only, from
 * several threads at once for different rows, and for the same rows as often as needed. `release` (may be
 * NULL) is called once, at the latest when the plan is made or the graph destroyed: whatever the source reads
 * from must live until then, and need not live longer.
 */
struct pz_source {
    enum pz_status (*fill)(const void *ctx, struct pz_log *log, int first, int n, float *out);
    void (*release)(void *ctx);
    void *ctx;
};

/** An F32 constant made on demand: the plan asks for it when it packs its weights (straight to the device's
 * type on a device) and keeps no second copy. The source is taken over, also on failure. */
int pz_graph_const_from(struct pz_graph *g, struct pz_shape shape, const struct pz_source *source);

/** An operation on `n_in` values. `attrs` may be NULL (all zero) and is copied, the index list included. */
int pz_graph_op(struct pz_graph *g, enum pz_op op, const struct pz_attrs *attrs, const int *in, int n_in);

/** Mark a value as an output; it is then kept until the next run. `name` is copied. */
void pz_graph_output(struct pz_graph *g, const char *name, int value);

/** Type and shape of a value (data NULL unless constant); dtype PZ_DTYPE_COUNT for PZ_NONE. */
struct pz_view pz_graph_view(const struct pz_graph *g, int value);

/** PZ_OK, or the first error of the building calls. */
PZ_NODISCARD enum pz_status pz_graph_status(const struct pz_graph *g);

#endif
