// Wav2Lip's two discriminators. They are used for training and for measuring, never for making a picture.
#include "nn/layer.h"
#include "nn/wav2lip.h"

/* A layer: channels out, kernel, stride y and x, padding. A 3×3 one that keeps everything adds its input. */
struct row {
    int out, kernel, sy, sx, pad;
};

#define KEEP(c)                                                                                              \
    {                                                                                                        \
        c, 3, 1, 1, 1                                                                                        \
    }

static const struct row expert_audio[] = {
    {32, 3, 1, 1, 1}, KEEP(32),          KEEP(32),          {64, 3, 3, 1, 1}, KEEP(64),
    KEEP(64),         {128, 3, 3, 3, 1}, KEEP(128),         KEEP(128),        {256, 3, 3, 2, 1},
    KEEP(256),        KEEP(256),         {512, 3, 1, 1, 0}, {512, 1, 1, 1, 0}};
static const struct row expert_face[] = {
    {32, 7, 1, 1, 3},  {64, 5, 1, 2, 1},  KEEP(64),  KEEP(64),          {128, 3, 2, 2, 1},
    KEEP(128),         KEEP(128),         KEEP(128), {256, 3, 2, 2, 1}, KEEP(256),
    KEEP(256),         {512, 3, 2, 2, 1}, KEEP(512), KEEP(512),         {512, 3, 2, 2, 1},
    {512, 3, 1, 1, 0}, {512, 1, 1, 1, 0}};

static struct pz_nn_conv conv_of(const struct row *r, int divisor)
{
    return (struct pz_nn_conv){.out = r->out / divisor,
                               .kernel = {r->kernel, r->kernel},
                               .stride = {r->sy, r->sx},
                               .pad = {r->pad, r->pad, r->pad, r->pad}};
}

static int flatten(struct pz_params *p, int x)
{
    int n = pz_nn_dim(p, x, 1) * pz_nn_dim(p, x, 2) * pz_nn_dim(p, x, 3);
    return pz_nn_reshape(p, x, (struct pz_shape){.rank = 2, .dim = {pz_nn_dim(p, x, 0), n}});
}

static int expert(struct pz_params *p, const char *name, const struct row *rows, int n, int divisor, int x)
{
    pz_params_push(p, "%s", name);
    for (int i = 0; i < n; i++) {
        struct pz_nn_conv l = conv_of(&rows[i], divisor);
        l.norm = "conv_block.1";
        l.act = PZ_ACT_RELU;
        l.has_residual = l.kernel[0] == 3 && rows[i].sy == 1 && rows[i].pad && l.out == pz_nn_dim(p, x, -1);
        l.residual = x;
        pz_params_push(p, "%d", i);
        x = pz_nn_conv2d(p, "conv_block.0", x, &l);
        pz_params_pop(p);
    }
    pz_params_pop(p);
    return flatten(p, x);
}

int pz_wav2lip_expert_audio(struct pz_params *p, int divisor, int mel)
{
    return expert(p, "audio_encoder", expert_audio, sizeof expert_audio / sizeof expert_audio[0], divisor,
                  mel);
}

int pz_wav2lip_expert_face(struct pz_params *p, int divisor, int face)
{
    return expert(p, "face_encoder", expert_face, sizeof expert_face / sizeof expert_face[0], divisor, face);
}

int pz_wav2lip_quality(struct pz_params *p, int divisor, int face)
{
    static const struct row rows[7][2] = {{{32, 7, 1, 1, 3}},
                                          {{64, 5, 1, 2, 2}, {64, 5, 1, 1, 2}},
                                          {{128, 5, 2, 2, 2}, {128, 5, 1, 1, 2}},
                                          {{256, 5, 2, 2, 2}, {256, 5, 1, 1, 2}},
                                          {{512, 3, 2, 2, 1}, {512, 3, 1, 1, 1}},
                                          {{512, 3, 2, 2, 1}, {512, 3, 1, 1, 1}},
                                          {{512, 3, 1, 1, 0}, {512, 1, 1, 1, 0}}};
    int x = face;
    for (int b = 0; b < 7; b++)
        for (int i = 0; i < 2 && rows[b][i].out; i++) {
            struct pz_nn_conv l = conv_of(&rows[b][i], divisor);
            pz_params_push(p, "face_encoder_blocks.%d.%d", b, i);
            x = pz_nn_conv2d(p, "conv_block.0", x, &l);
            x = pz_graph_op(pz_params_graph(p), PZ_OP_LEAKY_RELU, &(struct pz_attrs){.value = 0.01f}, &x, 1);
            pz_params_pop(p);
        }
    pz_params_push(p, "binary_pred");
    x = pz_nn_conv2d(p, "0", x, &(struct pz_nn_conv){.out = 1});
    pz_params_pop(p);
    return flatten(p, pz_nn_unary(p, PZ_OP_SIGMOID, x));
}
