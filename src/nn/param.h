/**
 * Parameters of a network: the tree of official state_dict names, bound to a checkpoint while the network's
 * graph is being built.
 *
 * A network is a function that walks down its modules: it pushes a scope for each ("down_blocks.0",
 * "resnets.1"), asks for parameters by their local names and stored shapes, and gets graph values to hand to
 * operations. Nothing is read at that time: each value is a constant on demand (pz_graph_const_from), and the
 * plan reads, converts and lays out one tensor after another when it packs its weights. One code path gives
 *
 *   a loaded network      options.checkpoint set: names are looked up, shapes compared
 *   a list of parameters  build into a graph, pz_params_finish(), read pz_params_at(), destroy the graph
 *   a test network        no checkpoint: values by the hash rule of spec/wav2lip.md §11.1, which needs every
 *                         name's rank among all names; full size too, for timing
 *
 *     struct pz_graph *g = pz_graph_create(log);
 *     struct pz_params *p = pz_params_create(g, &(struct pz_params_options){.checkpoint = c, .file = path},
 * log); int x = pz_graph_input(g, "x", shape); pz_graph_output(g, "y", my_network(p, &config, x));     //
 * pushes, asks, builds st = pz_params_finish(p);                               // names the first tensor that
 * is wrong if (st == PZ_OK) st = pz_plan_create(&g, &plan_params, log, &plan);   // reads the weights
 *     pz_params_destroy(&p); pz_graph_destroy(&g); pz_checkpoint_close(&c); // all safe now
 *
 * Errors   building never stops: a problem is kept and told by pz_params_finish(). Threads  one thread
 * builds. Lifetime  `p` may be destroyed at any time after pz_params_finish(): the graph's constants keep
 * what they need of it; the checkpoint must stay open until pz_plan_create() has returned.
 */
#ifndef PZ_NN_PARAM_H
#define PZ_NN_PARAM_H

#include "tensor/graph.h"
#include "weights/checkpoint.h"

#define PZ_PARAM_MAX_RANK 5

/** How a stored tensor is turned into what the graph's operations want. */
enum pz_param_layout {
    PZ_PARAM_PLAIN = 0, /**< as stored: vectors, tables */
    PZ_PARAM_DENSE,     /**< [out, in], or a 1×1 convolution [out, in, 1, 1] → [out, in]; files may have
                           either */
    PZ_PARAM_CONV,      /**< [Co, Ci, K…] → [Co, K…, Ci]; one spatial axis gives [Co, 1, K, Ci] */
    PZ_PARAM_DEPTHWISE, /**< [C, 1, KH, KW] → [1, KH, KW, C] */
    PZ_PARAM_CONV_TRANSPOSE /**< [Ci, Co, KH, KW] → [Ci, KH, KW, Co] */
};

struct pz_params_options {
    const struct pz_checkpoint *checkpoint; /**< NULL: values by the hash rule */
    const char *file;                       /**< the checkpoint's name in messages */
    const char
        *prefix; /**< stands before every name in the checkpoint ("model."), not in the list; or NULL */
    /** Shell patterns of names in the checkpoint (prefix included) that may be left over, NULL-terminated, or
     * NULL. "*num_batches_tracked" is always among them. Everything else left over is an error. */
    const char *const *ignore;
    /** Modules whose results become outputs of the graph under their full path ("down_blocks.0.resnets.1"),
     * where the network offers them (pz_params_tap); NULL-terminated, or NULL. For tests. */
    const char *const *taps;
};

struct pz_params;

/** `g`, the checkpoint and the options' strings must outlive pz_params_finish(). NULL on no memory. */
struct pz_params *pz_params_create(struct pz_graph *g, const struct pz_params_options *options,
                                   struct pz_log *log);
void pz_params_destroy(struct pz_params **p);

/** The graph the parameters are constants of. */
struct pz_graph *pz_params_graph(const struct pz_params *p);

/** Go down into a module: names asked for from here on begin with this path and a dot. At most 32 deep. */
void pz_params_push(struct pz_params *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
void pz_params_pop(struct pz_params *p);

/** Offer a module's result: an output of the graph if options.taps names the scope that is open. */
void pz_params_tap(struct pz_params *p, int value);

/** A parameter to ask for. */
struct pz_param {
    const char *name; /**< below the scope, e.g. "conv1.weight" */
    const char *also; /**< another name it may have in a file ("query.weight" for "to_q.weight"), or NULL */
    enum pz_param_layout layout;
    int rank, shape[PZ_PARAM_MAX_RANK]; /**< as stored */
};

/** Ask for a parameter: the graph's constant, PZ_NONE after an error. Each name can be asked for once; keep
 * the value to use it twice (tied weights). */
int pz_params_get(struct pz_params *p, const struct pz_param *what);

/**
 * A table the network computes by formula and some files store as well (positions): `values` are used where
 * there is no checkpoint or the file lacks it, otherwise the stored ones, whose shape is checked. Not ranked
 * by the hash rule, not counted as a parameter. PLAIN layout; `values` (row-major) are copied.
 */
int pz_params_table(struct pz_params *p, const char *name, int rank, const int *shape, const float *values);

/**
 * Convolution weights with the batch norm behind them folded in while they are read: weight · γ/√(var+ε) per
 * output channel and the bias to match.
 *
 * `weight` as in pz_params_get(); `bias`: local name of the convolution's own bias, NULL without one; `norm`:
 * local path of the norm, whose weight, bias, running_mean and running_var are asked for. `*w` and `*b` are
 * constants for the operation's inputs 1 and 2.
 */
void pz_params_get_folded(struct pz_params *p, const struct pz_param *weight, const char *bias,
                          const char *norm, float eps, int *w, int *b);

/**
 * Check that everything is there. Errors: the graph's own; WEIGHTS, logged in one line that names the file,
 * the first missing or misshapen tensor with the shapes found and expected, how many more there are, or the
 * first surplus tensor; NOMEM; INTERNAL (a name asked for twice, scopes not closed). Without a checkpoint it
 * ranks the names. Must be called, once, before the plan is made.
 */
PZ_NODISCARD enum pz_status pz_params_finish(struct pz_params *p);

/** A parameter of the finished list. */
struct pz_param_info {
    const char *name; /**< full; valid until pz_params_destroy() */
    int rank, shape[PZ_PARAM_MAX_RANK];
    bool table; /**< from pz_params_table() */
};

/** Names asked for; after pz_params_finish() sorted by name, tables last (index = rank of the hash rule). */
int pz_params_count(const struct pz_params *p);
struct pz_param_info pz_params_at(const struct pz_params *p, int i);

/** Elements of all parameters without tables. */
int64_t pz_params_elements(const struct pz_params *p);

/** Values of parameter `i` by the hash rule (of a table: the computed ones), elements [first, first + n) of
 * the stored shape in row-major order. For writing test files. */
void pz_params_rule(const struct pz_params *p, int i, size_t first, size_t n, float *out);

/** The hash rule's inputs: `n` values in [lo, hi) for tensor number `t` (spec/wav2lip.md §11.1: X). */
void pz_rule_input(uint32_t t, float lo, float hi, size_t n, float *out);

#endif
