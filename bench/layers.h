/** Layers and blocks with random weights, for tensor_bench and tensor_cpu. */
#ifndef PZ_BENCH_LAYERS_H
#define PZ_BENCH_LAYERS_H

#include "base/rng.h"
#include "tensor/graph.h"

/** The graph that is being built, and where its numbers come from. */
struct layers {
    struct pz_rng rng;
    struct pz_graph *g;
};

/** An empty graph; the same numbers each time. */
void layers_begin(struct layers *t, struct pz_log *log);
/** A random number around 0, within ±1.7. */
float layers_random(struct layers *t);

struct pz_shape shape(int rank, int a, int b, int c, int d);
int input(struct layers *t, struct pz_shape s);
/** Random numbers as large as `spread`. Ends the program without memory. */
int weight(struct layers *t, struct pz_shape s, float spread);
int node(struct layers *t, enum pz_op op, const struct pz_attrs *a, int n, int x, int y, int z);

int conv(struct layers *t, int x, int ci, int co, int k, int stride);
int dense(struct layers *t, int x, int ci, int co);
int group_norm(struct layers *t, int x, int c);
int layer_norm(struct layers *t, int x, int c);
int silu(struct layers *t, int x);
int attention(struct layers *t, int q, int k, int v);

/** Norm, SiLU, convolution, twice, + input: the residual block of the VAE and of the UNet. */
int resnet(struct layers *t, int x, int c);
/** A transformer block of Stable Diffusion 1's UNet on x [b,n,c]: self attention, cross attention to 50
 * tokens of 384, GEGLU. */
int transformer(struct layers *t, int x, int tokens, int b, int n, int c, int heads);

#endif
