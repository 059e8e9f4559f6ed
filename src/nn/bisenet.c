// BiSeNet's graph: ResNet-18 as context path, attention refinement, fusion. Its training-only spatial path
// does not exist in this version of the network.
#include "nn/bisenet.h"

#include <stdio.h>

#include "nn/layer.h"

const char *const pz_bisenet_aux_names[] = {"conv_out16.*", "conv_out32.*", NULL};

/* conv (no bias) named `conv`, norm named `norm`, activation. */
static int cbr(struct pz_params *p, const char *conv, const char *norm, int x, int out, int k, int stride,
               enum pz_act act)
{
    int q = k / 2;
    return pz_nn_conv2d(p, conv, x,
                        &(struct pz_nn_conv){.out = out,
                                             .kernel = {k, k},
                                             .stride = {stride, stride},
                                             .pad = {q, q, q, q},
                                             .no_bias = true,
                                             .norm = norm,
                                             .act = act});
}

/* The published unit `name`: name.conv, name.bn, ReLU. */
static int unit(struct pz_params *p, const char *name, int x, int out, int k)
{
    pz_params_push(p, "%s", name);
    x = cbr(p, "conv", "bn", x, out, k, 1, PZ_ACT_RELU);
    pz_params_pop(p);
    return x;
}

static int mean(struct pz_params *p, int x)
{
    struct pz_attrs a = {.axes = 1u << 1 | 1u << 2};
    return pz_graph_op(pz_params_graph(p), PZ_OP_REDUCE_MEAN, &a, &x, 1);
}

static int basic_block(struct pz_params *p, int x, int out, int stride)
{
    int skip = x, y = cbr(p, "conv1", "bn1", x, out, 3, stride, PZ_ACT_RELU);
    if (stride != 1 || pz_nn_dim(p, x, -1) != out)
        skip = cbr(p, "downsample.0", "downsample.1", x, out, 1, stride, PZ_ACT_NONE);
    return pz_nn_conv2d(p, "conv2", y,
                        &(struct pz_nn_conv){.out = out,
                                             .kernel = {3, 3},
                                             .pad = {1, 1, 1, 1},
                                             .no_bias = true,
                                             .norm = "bn2",
                                             .act = PZ_ACT_RELU,
                                             .has_residual = true,
                                             .residual = skip});
}

/* ResNet-18 without its head: features at 1/8, 1/16, 1/32. */
static void resnet(struct pz_params *p, int x, int f[3])
{
    static const int width[4] = {64, 128, 256, 512};
    struct pz_attrs pool = {.kernel = {3, 3}, .stride = {2, 2}, .dilation = {1, 1}, .pad = {1, 1, 1, 1}};
    pz_params_push(p, "resnet");
    x = cbr(p, "conv1", "bn1", x, 64, 7, 2, PZ_ACT_RELU);
    x = pz_graph_op(pz_params_graph(p), PZ_OP_MAXPOOL, &pool, &x, 1);
    for (int l = 0; l < 4; l++) {
        for (int i = 0; i < 2; i++) {
            pz_params_push(p, "layer%d.%d", l + 1, i);
            x = basic_block(p, x, width[l], l && !i ? 2 : 1);
            pz_params_pop(p);
        }
        if (l)
            f[l - 1] = x;
    }
    pz_params_pop(p);
}

/* Attention refinement: features weighed by what their mean says. */
static int refine(struct pz_params *p, const char *name, int x)
{
    pz_params_push(p, "%s", name);
    x = unit(p, "conv", x, 128, 3);
    int a = cbr(p, "conv_atten", "bn_atten", mean(p, x), 128, 1, 1, PZ_ACT_NONE);
    pz_params_pop(p);
    return pz_nn_mul(p, x, pz_nn_unary(p, PZ_OP_SIGMOID, a));
}

static int fuse(struct pz_params *p, int a, int b)
{
    struct pz_nn_conv squeeze = {.out = 64, .no_bias = true, .act = PZ_ACT_RELU},
                      widen = {.out = 256, .no_bias = true};
    pz_params_push(p, "ffm");
    int x = unit(p, "convblk", pz_nn_concat(p, 3, a, b), 256, 1);
    int w = pz_nn_conv2d(p, "conv2", pz_nn_conv2d(p, "conv1", mean(p, x), &squeeze), &widen);
    pz_params_pop(p);
    return pz_nn_add(p, pz_nn_mul(p, x, pz_nn_unary(p, PZ_OP_SIGMOID, w)), x);
}

static int output(struct pz_params *p, const char *name, int x, int middle, int h, int w)
{
    struct pz_attrs up = {.shape = {.rank = 2, .dim = {h, w}}, .align_corners = true};
    pz_params_push(p, "%s", name);
    x = unit(p, "conv", x, middle, 3);
    x = pz_nn_conv2d(p, "conv_out", x, &(struct pz_nn_conv){.out = PZ_BISENET_CLASSES, .no_bias = true});
    pz_params_pop(p);
    return pz_graph_op(pz_params_graph(p), PZ_OP_RESIZE_BILINEAR, &up, &x, 1);
}

void pz_bisenet_build(struct pz_params *p, bool aux, int x, struct pz_bisenet_outputs *out)
{
    int h = pz_nn_dim(p, x, 1), w = pz_nn_dim(p, x, 2), f[3];
    pz_params_push(p, "cp");
    resnet(p, x, f);
    int top = unit(p, "conv_avg", mean(p, f[2]), 128, 1);
    top = pz_nn_resize_nearest(p, top, pz_nn_dim(p, f[2], 1), pz_nn_dim(p, f[2], 2));
    int a = pz_nn_add(p, refine(p, "arm32", f[2]), top);
    a = pz_nn_resize_nearest(p, a, pz_nn_dim(p, f[1], 1), pz_nn_dim(p, f[1], 2));
    int c16 = unit(p, "conv_head32", a, 128, 3);
    a = pz_nn_add(p, refine(p, "arm16", f[1]), c16);
    a = pz_nn_resize_nearest(p, a, pz_nn_dim(p, f[0], 1), pz_nn_dim(p, f[0], 2));
    int c8 = unit(p, "conv_head16", a, 128, 3);
    pz_params_pop(p);
    out->main = output(p, "conv_out", fuse(p, f[0], c8), 256, h, w);
    out->aux16 = aux ? output(p, "conv_out16", c8, 64, h, w) : PZ_NONE;
    out->aux32 = aux ? output(p, "conv_out32", c16, 64, h, w) : PZ_NONE;
}
