/** Inside of the parameter tree; for param.c and param_read.c only. */
#ifndef PZ_NN_PARAM_IMPL_H
#define PZ_NN_PARAM_IMPL_H

#include <stdatomic.h>

#include "nn/param.h"

#define PZ_PARAM_MAX_PATH 512
#define PZ_PARAM_MAX_DEPTH 32

struct pz_param_entry {
    char *name;
    enum pz_param_layout layout;
    int rank, shape[PZ_PARAM_MAX_RANK];
    const struct pz_checkpoint_tensor *tensor; /**< NULL: by rule, or missing */
    float *table;                              /**< computed values, owned; NULL: a parameter */
    uint32_t t;                                /**< tensor number of the hash rule */
};

struct pz_params {
    atomic_int users; /**< the owner and every source */
    struct pz_graph *g;
    struct pz_log *log;
    struct pz_params_options options;
    struct pz_param_entry **entries; /**< each on its own: sources point to them */
    int n_entries, cap_entries;
    char path[PZ_PARAM_MAX_PATH];
    int depth, length[PZ_PARAM_MAX_DEPTH + 1];
    enum pz_status st; /**< INTERNAL, NOMEM: mistakes of the caller, no memory */
    int n_missing, n_misshapen;
    char *first; /**< what was wrong first */
};

/** Origin of one constant; the graph's source ctx. */
struct pz_param_source {
    struct pz_params *p;
    const struct pz_param_entry *main;                      /**< NULL: zeros (no bias) */
    const struct pz_param_entry *gamma, *beta, *mean, *var; /**< of a folded norm; gamma NULL: none */
    float eps;
    bool bias; /**< (main − mean)·s + beta rather than main·s */
};

/** pz_source.fill of a struct pz_param_source. */
enum pz_status pz_param_fill(const void *ctx, struct pz_log *log, int first, int n, float *out);

/** Drop one user of the tree. */
void pz_params_unref(struct pz_params *p);

/** Elements of an entry. */
size_t pz_param_elements(const struct pz_param_entry *e);

/** Elements [first, first + n) of an entry by the hash rule, or of its table. */
void pz_param_rule(const struct pz_param_entry *e, size_t first, size_t n, float *out);

#endif
