// Graphs of Wav2Lip's generator. Everything that differs between members of the family is in the
// configuration; reading it from a file is in wav2lip_detect.c, the two discriminators are in
// wav2lip_expert.c.
#include "nn/wav2lip.h"

#include "nn/layer.h"

const char *const pz_wav2lip_audio_names[] = {"audio_encoder.*", "audio_refine.*", NULL};
const char *const pz_wav2lip_face_names[] = {"face_encoder_blocks.*", "face_decoder_blocks.*",
                                             "output_block.*", NULL};

struct pz_wav2lip_config pz_wav2lip_published(int divisor)
{
    static const int face[7][2] = {{1, 16}, {3, 32}, {4, 64}, {3, 128}, {3, 256}, {2, 512}, {2, 512}};
    static const int decoder[7][2] = {{1, 512}, {2, 512}, {3, 512}, {3, 384}, {3, 256}, {3, 128}, {3, 64}};
    static const int audio[13] = {32, 32, 32, 64, 64, 64, 128, 128, 128, 256, 256, 512, 512};
    struct pz_wav2lip_config c = {.size = 96, .n_blocks = 7, .n_audio = 13, .output_channels = 32 / divisor};
    for (int i = 0; i < 7; i++) {
        c.face[i].layers = face[i][0];
        c.face[i].channels = face[i][1] / divisor;
        c.face[i].kernel = i ? 3 : 7;
        c.face[i].valid = i == 6;
        c.decoder[i].layers = decoder[i][0];
        c.decoder[i].channels = decoder[i][1] / divisor;
    }
    for (int i = 0; i < 13; i++)
        c.audio[i] = audio[i] / divisor;
    return c;
}

/* A unit of the published code below the current scope: "conv_block.0", "conv_block.1", maybe + x,
 * activation. */
static int unit(struct pz_params *p, float slope, struct pz_nn_conv l, int x)
{
    l.norm = "conv_block.1";
    l.act = slope > 0 ? PZ_ACT_NONE : PZ_ACT_RELU;
    int y = pz_nn_conv2d(p, "conv_block.0", x, &l);
    if (slope > 0)
        y = pz_graph_op(pz_params_graph(p), PZ_OP_LEAKY_RELU, &(struct pz_attrs){.value = slope}, &y, 1);
    return y;
}

static struct pz_nn_conv square(int out, int k, int s, int pad)
{
    return (struct pz_nn_conv){.out = out, .kernel = {k, k}, .stride = {s, s}, .pad = {pad, pad, pad, pad}};
}

static int residual(struct pz_params *p, float slope, int x)
{
    struct pz_nn_conv l = square(pz_nn_dim(p, x, -1), 3, 1, 1);
    l.has_residual = true;
    l.residual = x;
    return unit(p, slope, l, x);
}

int pz_wav2lip_audio(struct pz_params *p, const struct pz_wav2lip_config *c, int mel)
{
    int x = mel;
    pz_params_push(p, "audio_encoder");
    for (int i = 0; i < c->n_audio; i++) {
        bool last = i == c->n_audio - 1, valid = i == c->n_audio - 2, steps = i == 3 || i == 6 || i == 9;
        // The 384 px member leaves its two closing layers with a plain ReLU.
        float slope = last || valid ? 0 : c->slope;
        struct pz_nn_conv l = square(c->audio[i], last ? 1 : 3, 1, last || valid ? 0 : 1);
        l.stride[0] = steps ? 3 : 1;
        l.stride[1] = i == 6 ? 3 : i == 9 ? 2 : 1;
        pz_params_push(p, "%d", i);
        bool same = !last && !valid && !steps && i > 0 && pz_nn_dim(p, x, -1) == c->audio[i];
        x = same ? residual(p, slope, x) : unit(p, slope, l, x);
        pz_params_pop(p);
    }
    pz_params_pop(p);
    for (int i = 0; i < c->n_refine; i++) {
        pz_params_push(p, "audio_refine.%d", i);
        x = unit(p, c->slope, square(pz_nn_dim(p, x, -1), 1, 1, 0), x);
        pz_params_pop(p);
    }
    return x;
}

static int encoder_block(struct pz_params *p, const struct pz_wav2lip_config *c, int b, int x)
{
    int to = c->face[b].channels, k = c->face[b].kernel;
    for (int i = 0; i < c->face[b].layers; i++) {
        pz_params_push(p, "%d", i);
        if (c->face[b].valid)
            x = unit(p, c->slope, square(to, i ? 1 : 3, 1, 0), x);
        else if (i)
            x = residual(p, c->slope, x);
        else
            x = unit(p, c->slope, square(to, k, b ? 2 : 1, k / 2), x);
        pz_params_pop(p);
    }
    return x;
}

/* The first layer of a decoder block grows its input to the skip's size: one cell to three without padding,
 * then twice the size, or twice less one where the encoder halved an odd size. */
static int grow(struct pz_params *p, const struct pz_wav2lip_config *c, int to, int skip_size, int x)
{
    int size = pz_nn_dim(p, x, 1), more = skip_size == 2 * size;
    bool first = size == 1 && skip_size == 3;
    struct pz_nn_conv l = square(to, 3, first ? 1 : 2, first ? 0 : 1);
    l.transposed = true;
    l.more[0] = l.more[1] = first ? 0 : more;
    return unit(p, c->slope, l, x);
}

static int decoder_block(struct pz_params *p, const struct pz_wav2lip_config *c, int b, int skip_size, int x)
{
    int to = c->decoder[b].channels;
    for (int i = 0; i < c->decoder[b].layers; i++) {
        pz_params_push(p, "%d", i);
        if (i)
            x = residual(p, c->slope, x);
        else
            x = b ? grow(p, c, to, skip_size, x) : unit(p, c->slope, square(to, 1, 1, 0), x);
        pz_params_pop(p);
    }
    return x;
}

static int output(struct pz_params *p, const struct pz_wav2lip_config *c, int x)
{
    struct pz_nn_conv last = square(3, 1, 1, 0);
    pz_params_push(p, "output_block");
    pz_params_push(p, "0");
    x = unit(p, c->slope, square(c->output_channels, 3, 1, 1), x);
    pz_params_pop(p);
    x = pz_nn_conv2d(p, "1", x, &last);
    pz_params_pop(p);
    return pz_nn_unary(p, c->tanh ? PZ_OP_TANH : PZ_OP_SIGMOID, x);
}

int pz_wav2lip_face(struct pz_params *p, const struct pz_wav2lip_config *c, int audio, int face,
                    struct pz_wav2lip_taps *taps)
{
    int skip[PZ_WAV2LIP_MAX_BLOCKS], n = c->n_blocks, x = face;
    for (int b = 0; b < n; b++) {
        pz_params_push(p, "face_encoder_blocks.%d", b);
        skip[b] = x = encoder_block(p, c, b, x);
        pz_params_pop(p);
    }
    x = audio;
    for (int b = 0; b < n; b++) {
        int s = skip[n - 1 - b];
        pz_params_push(p, "face_decoder_blocks.%d", b);
        x = decoder_block(p, c, b, pz_nn_dim(p, s, 1), x);
        pz_params_pop(p);
        if (taps)
            taps->decoder[b] = x;
        x = pz_nn_concat(p, 3, x, s);
    }
    for (int b = 0; taps && b < n; b++)
        taps->encoder[b] = skip[b];
    if (taps)
        taps->audio = audio;
    return output(p, c, x);
}
