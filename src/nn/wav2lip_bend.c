// Graph of the embedded Wav2Lip-family network. Norms are folded into the convolutions when the file is
// written.
#include "nn/wav2lip_bend.h"

#include "nn/layer.h"

#define HEARD 256 /* width of what the layers are told */

const char *const pz_wav2lip_bend_audio_names[] = {"audio.*", NULL};
const char *const pz_wav2lip_bend_face_names[] = {"encoder.*", "middle.*", "decoder.*", "flow.*",
                                                  "fine.*",    "look.*",   "wish.*",    NULL};

/* One convolution of the scope below `name`: k×k, stride s, then ReLU. */
static int unit(struct pz_params *p, const char *name, int x, int out, int k, int s, bool residual)
{
    struct pz_nn_conv l = {.out = out,
                           .kernel = {k, k},
                           .stride = {s, s},
                           .pad = {k / 2, k / 2, k / 2, k / 2},
                           .act = PZ_ACT_RELU,
                           .residual = x,
                           .has_residual = residual};
    pz_params_push(p, "%s", name);
    int y = pz_nn_conv2d(p, "conv", x, &l);
    pz_params_pop(p);
    return y;
}

static int numbered(struct pz_params *p, int number, int x, int out, int k, int s, bool residual)
{
    char name[] = {(char)('0' + number / 10), (char)('0' + number % 10), 0};
    return unit(p, number < 10 ? name + 1 : name, x, out, k, s, residual);
}

/* The same with what is wished for added before the activation. */
static int told(struct pz_params *p, const char *name, int x, int embedding, int out)
{
    struct pz_nn_conv l = {.out = out, .kernel = {3, 3}, .pad = {1, 1, 1, 1}};
    struct pz_attrs relu = {.act = PZ_ACT_RELU};
    pz_params_push(p, "%s", name);
    int y[2] = {pz_nn_conv2d(p, "conv", x, &l), pz_nn_dense(p, "hear", embedding, out, true)};
    pz_params_pop(p);
    return pz_graph_op(pz_params_graph(p), PZ_OP_ADD, &relu, y, 2);
}

static int twice(struct pz_params *p, int x, enum pz_op how)
{
    struct pz_attrs a = {.half_pixel = how == PZ_OP_RESIZE_BILINEAR,
                         .shape = {.rank = 2, .dim = {2 * pz_nn_dim(p, x, 1), 2 * pz_nn_dim(p, x, 2)}}};
    return pz_graph_op(pz_params_graph(p), how, &a, &x, 1);
}

int pz_wav2lip_bend_audio(struct pz_params *p, int mel)
{
    static const struct {
        int out, stride;
        bool residual;
    } body[] = {{32, 1, false},  {64, 2, false}, {64, 1, true},   {96, 2, false}, {96, 1, true},
                {128, 2, false}, {128, 1, true}, {192, 2, false}, {192, 1, true}};
    int x = mel, n = (int)(sizeof body / sizeof body[0]);
    pz_params_push(p, "audio.body");
    for (int i = 0; i < n; i++)
        x = numbered(p, i, x, body[i].out, 3, body[i].stride, body[i].residual);
    struct pz_nn_conv whole = {.out = HEARD, .kernel = {5, 2}, .act = PZ_ACT_RELU};
    x = pz_nn_conv2d(p, "9.conv", x, &whole);
    whole.kernel[0] = whole.kernel[1] = 1;
    x = pz_nn_conv2d(p, "10.conv", x, &whole);
    pz_params_pop(p);
    pz_params_push(p, "audio");
    x = pz_nn_dense(p, "mouth", x, PZ_W2L_BEND_MOUTH, true);
    pz_params_pop(p);
    return x;
}

/* What is wished for, as every layer that is told of it takes it. */
static int understood(struct pz_params *p, int wish)
{
    pz_params_push(p, "wish");
    int x = pz_nn_unary(p, PZ_OP_RELU, pz_nn_dense(p, "0", wish, HEARD, true));
    x = pz_nn_unary(p, PZ_OP_RELU, pz_nn_dense(p, "1", x, HEARD, true));
    pz_params_pop(p);
    return x;
}

void pz_wav2lip_bend_face(struct pz_params *p, int wish, int face, int *flow, int *look)
{
    static const int wide[5] = {32, 64, 128, 192, 256}, layers[5] = {3, 3, 3, 3, 2};
    static const int back[4] = {192, 128, 64, 48};
    int skip[5], x = face, embedding = understood(p, wish);
    for (int b = 0; b < 5; b++) {
        pz_params_push(p, "encoder.%d", b);
        for (int i = 0; i < layers[b]; i++)
            x = numbered(p, i, x, wide[b], b || i ? 3 : 5, i ? 1 : 2, i > 0);
        pz_params_pop(p);
        skip[b] = x;
    }
    x = told(p, "middle", x, embedding, 256);
    for (int b = 0; b < 4; b++) {
        x = pz_nn_concat(p, 3, twice(p, x, PZ_OP_RESIZE_NEAREST), skip[3 - b]);
        pz_params_push(p, "decoder.%d", b);
        x = numbered(p, 1, told(p, "0", x, embedding, back[b]), back[b], 3, 1, true);
        pz_params_pop(p);
    }
    *flow = twice(p, pz_nn_conv_same(p, "flow", x, 4, 3, 1), PZ_OP_RESIZE_BILINEAR);
    x = unit(p, "fine", x, 32, 3, 1, false);
    *look = pz_nn_unary(p, PZ_OP_SIGMOID, pz_nn_conv_same(p, "look", x, 4 * 5, 3, 1));
}
