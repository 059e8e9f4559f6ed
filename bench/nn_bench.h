/** Between the files of nn_bench: the networks it knows, and writing a checkpoint by rule. */
#ifndef PZ_BENCH_NN_BENCH_H
#define PZ_BENCH_NN_BENCH_H

#include "nn/param.h"

struct net {
    const char *name, *what;
    int size; /**< usual side of the latent, picture or sequence */
    /** Add inputs, network and outputs to the tree's graph. */
    void (*build)(struct pz_params *p, int batch, int size);
    const char *const *ignore; /**< what else a whole checkpoint holds */
};

extern const struct net nets[];
extern const int n_nets;

/** Write the network's parameters by the hash rule as safetensors, F32 or F16. */
enum pz_status save_by_rule(const struct net *net, const char *path, enum pz_dtype type, struct pz_log *log);

#endif
