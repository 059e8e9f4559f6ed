/* Graphs of our own face networks. Batch norms are folded in the files; sums come before the last ReLU. */
#include "face/embedded_net.h"

#include "nn/layer.h"

/* k×k, stride s, n channels, ReLU. */
static int conv(struct pz_params *p, const char *name, int x, int k, int s, int n)
{
    int h = k / 2;
    return pz_nn_conv2d(
        p, name, x,
        &(struct pz_nn_conv){
            .out = n, .kernel = {k, k}, .stride = {s, s}, .pad = {h, h, h, h}, .act = PZ_ACT_RELU});
}

/* The same, plus y before the ReLU. */
static int conv_plus(struct pz_params *p, const char *name, int x, int n, int y)
{
    return pz_nn_conv2d(
        p, name, x, &(struct pz_nn_conv){.out = n, .act = PZ_ACT_RELU, .residual = y, .has_residual = true});
}

/* 1×1 without ReLU. */
static int linear(struct pz_params *p, const char *name, int x, int n)
{
    return pz_nn_conv2d(p, name, x, &(struct pz_nn_conv){.out = n});
}

/* Bottleneck: relu(x + c(b(a(x)))). */
static int bottleneck(struct pz_params *p, const char *name, int x)
{
    int n = pz_nn_dim(p, x, 3);
    pz_params_push(p, "%s", name);
    int y = conv_plus(p, "c", conv(p, "b", conv(p, "a", x, 1, 1, n / 2), 3, 1, n / 2), n, x);
    pz_params_pop(p);
    return y;
}

static int up(struct pz_params *p, int x)
{
    return pz_nn_resize_nearest(p, x, 2 * pz_nn_dim(p, x, 1), 2 * pz_nn_dim(p, x, 2));
}

int pz_embedded_landmarks(struct pz_params *p, int x, struct pz_embedded_features *f)
{
    static const char *const b12[] = {"b6", "b7", "b8", "b9"};
    struct pz_embedded_features own;
    f = f ? f : &own;
    f->f96 = conv(p, "stem", x, 3, 2, 24);
    f->f48 = bottleneck(p, "b2", bottleneck(p, "b1", conv(p, "d1", f->f96, 3, 2, 48)));
    f->f24 = bottleneck(p, "b3", conv(p, "d2", f->f48, 3, 2, 96));
    f->f24 = bottleneck(p, "b5", bottleneck(p, "b4", f->f24));
    f->f12 = conv(p, "d3", f->f24, 3, 2, 192);
    for (int i = 0; i < 4; i++)
        f->f12 = bottleneck(p, b12[i], f->f12);
    x = bottleneck(p, "b11", bottleneck(p, "b10", conv(p, "d4", f->f12, 3, 2, 256)));
    x = conv(p, "neck", x, 1, 1, 64);
    x = pz_nn_reshape(p, x, (struct pz_shape){.rank = 2, .dim = {pz_nn_dim(p, x, 0), 36 * 64}});
    x = pz_nn_unary(p, PZ_OP_RELU, pz_nn_dense(p, "fc1", x, 512, true));
    return pz_nn_dense(p, "fc2", x, PZ_EMBEDDED_OUT, true);
}

int pz_embedded_parts(struct pz_params *p, const struct pz_embedded_features *f)
{
    int x = conv(p, "q12", f->f12, 1, 1, 64);
    x = conv(p, "r24", conv_plus(p, "q24", f->f24, 64, up(p, x)), 3, 1, 64);
    x = conv(p, "r48", conv_plus(p, "q48", f->f48, 32, up(p, linear(p, "s24", x, 32))), 3, 1, 32);
    x = conv(p, "r96", conv_plus(p, "q96", f->f96, 16, up(p, linear(p, "s48", x, 16))), 3, 1, 16);
    return linear(p, "out", x, PZ_EMBEDDED_CLASSES);
}

void pz_embedded_detector(struct pz_params *p, int x, int map[2])
{
    x = conv(p, "d1", conv(p, "stem", x, 3, 2, 16), 3, 2, 32);
    x = conv(p, "d2", bottleneck(p, "b1", x), 3, 2, 64);
    int f20 = bottleneck(p, "b4", bottleneck(p, "b3", bottleneck(p, "b2", x)));
    x = conv(p, "d3", f20, 3, 2, 96);
    int f10 = bottleneck(p, "b7", bottleneck(p, "b6", bottleneck(p, "b5", x)));
    int p10 = conv(p, "p10", f10, 1, 1, 64), p20 = conv_plus(p, "p20", f20, 64, up(p, p10));
    map[0] = linear(p, "h20", conv(p, "n20", p20, 3, 1, 64), PZ_EMBEDDED_CELL);
    map[1] = linear(p, "h10", conv(p, "n10", p10, 3, 1, 64), PZ_EMBEDDED_CELL);
}
