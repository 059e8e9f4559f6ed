/* Layers and blocks with random weights. */
#include "layers.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"

void layers_begin(struct layers *t, struct pz_log *log)
{
    t->g = pz_graph_create(log);
    pz_rng_init(&t->rng, 20261122, 0);
}

float layers_random(struct layers *t)
{
    return (pz_rng_uniform(&t->rng) - 0.5f) * 3.4f;
}

int input(struct layers *t, struct pz_shape s)
{
    return pz_graph_input(t->g, "", s);
}

struct pz_shape shape(int rank, int a, int b, int c, int d)
{
    return (struct pz_shape){.rank = rank, .dim = {a, b, c, d}};
}

int weight(struct layers *t, struct pz_shape s, float spread)
{
    size_t n = pz_shape_count(&s);
    float *w = pz_calloc(n, sizeof *w);
    if (!w)
        exit(5);
    for (size_t i = 0; i < n; i++)
        w[i] = spread * layers_random(t);
    int v = pz_graph_const(t->g, PZ_DTYPE_F32, s, w);
    pz_free(w);
    return v;
}

int node(struct layers *t, enum pz_op op, const struct pz_attrs *a, int n, int x, int y, int z)
{
    int in[3] = {x, y, z};
    return pz_graph_op(t->g, op, a, in, n);
}

int conv(struct layers *t, int x, int ci, int co, int k, int stride)
{
    int p = k / 2;
    struct pz_attrs a = {.stride = {stride, stride}, .dilation = {1, 1}, .pad = {p, p, p, p}};
    return node(t, PZ_OP_CONV2D, &a, 3, x, weight(t, shape(4, co, k, k, ci), 1 / sqrtf((float)(k * k * ci))),
                weight(t, shape(1, co, 0, 0, 0), 0.1f));
}

int dense(struct layers *t, int x, int ci, int co)
{
    return node(t, PZ_OP_FULLY_CONNECTED, NULL, 3, x, weight(t, shape(2, co, ci, 0, 0), 1 / sqrtf((float)ci)),
                weight(t, shape(1, co, 0, 0, 0), 0.1f));
}

int group_norm(struct layers *t, int x, int c)
{
    struct pz_attrs a = {.groups = 32, .eps = 1e-6f};
    return node(t, PZ_OP_GROUP_NORM, &a, 3, x, weight(t, shape(1, c, 0, 0, 0), 1),
                weight(t, shape(1, c, 0, 0, 0), 1));
}

int layer_norm(struct layers *t, int x, int c)
{
    struct pz_attrs a = {.eps = 1e-5f};
    return node(t, PZ_OP_LAYER_NORM, &a, 3, x, weight(t, shape(1, c, 0, 0, 0), 1),
                weight(t, shape(1, c, 0, 0, 0), 1));
}

int silu(struct layers *t, int x)
{
    return node(t, PZ_OP_SILU, NULL, 1, x, 0, 0);
}

static int reshape(struct layers *t, int x, struct pz_shape s)
{
    struct pz_attrs a = {.shape = s};
    return node(t, PZ_OP_RESHAPE, &a, 1, x, 0, 0);
}

int attention(struct layers *t, int q, int k, int v)
{
    return node(t, PZ_OP_ATTENTION, NULL, 3, q, k, v);
}

int resnet(struct layers *t, int x, int c)
{
    int y = conv(t, silu(t, group_norm(t, x, c)), c, c, 3, 1);
    y = conv(t, silu(t, group_norm(t, y, c)), c, c, 3, 1);
    return node(t, PZ_OP_ADD, NULL, 2, y, x, 0);
}

int transformer(struct layers *t, int x, int tokens, int b, int n, int c, int heads)
{
    for (int cross = 0; cross < 2; cross++) {
        int y = layer_norm(t, x, c), from = cross ? tokens : y, m = cross ? 50 : n, ck = cross ? 384 : c;
        int q = reshape(t, dense(t, y, c, c), shape(4, b, n, heads, c / heads));
        int k = reshape(t, dense(t, from, ck, c), shape(4, b, m, heads, c / heads));
        int v = reshape(t, dense(t, from, ck, c), shape(4, b, m, heads, c / heads));
        y = reshape(t, attention(t, q, k, v), shape(3, b, n, c, 0));
        x = node(t, PZ_OP_ADD, NULL, 2, dense(t, y, c, c), x, 0);
    }
    int y = node(t, PZ_OP_GEGLU, NULL, 1, dense(t, layer_norm(t, x, c), c, 8 * c), 0, 0);
    return node(t, PZ_OP_ADD, NULL, 2, dense(t, y, 4 * c, c), x, 0);
}
