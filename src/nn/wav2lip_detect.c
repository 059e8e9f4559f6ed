// Which member of Wav2Lip's family a file holds, told by the shapes of its tensors. Whether all of them fit
// is for the binding to say (param.c); this looks only at what it needs to lay out the network.
#include <stdio.h>
#include <string.h>

#include "nn/wav2lip.h"

struct look {
    const struct pz_checkpoint *c;
    const char *file;
    struct pz_log *log;
};

/* A convolution's weight, NULL when absent or not a [.., .., k, k] tensor. */
static const struct pz_checkpoint_tensor *conv(const struct look *l, const char *list, int a, int b)
{
    char name[96];
    if (b < 0)
        snprintf(name, sizeof name, "%s.%d.conv_block.0.weight", list, a);
    else
        snprintf(name, sizeof name, "%s.%d.%d.conv_block.0.weight", list, a, b);
    const struct pz_checkpoint_tensor *t = pz_checkpoint_find(l->c, name);
    if (!t || t->rank != 4 || t->shape[2] != t->shape[3])
        return NULL;
    for (int i = 0; i < 4; i++)
        if (t->shape[i] < 1 || t->shape[i] > 65536)
            return NULL;
    return t;
}

static enum pz_status not_one(const struct look *l, const char *what)
{
    return pz_fail(l->log, PZ_ERR_WEIGHTS, "'%s' is not a Wav2Lip generator: %s", l->file, what);
}

static enum pz_status encoder(const struct look *l, struct pz_wav2lip_config *g)
{
    for (; g->n_blocks < PZ_WAV2LIP_MAX_BLOCKS; g->n_blocks++) {
        const struct pz_checkpoint_tensor *t = conv(l, "face_encoder_blocks", g->n_blocks, 0);
        int b = g->n_blocks, n = 0;
        if (!t)
            break;
        g->face[b].channels = (int)t->shape[0];
        g->face[b].kernel = (int)t->shape[2];
        while (n < 64 && conv(l, "face_encoder_blocks", b, n))
            n++;
        g->face[b].layers = n;
        t = conv(l, "face_encoder_blocks", b, 1);
        g->face[b].valid = t && t->shape[2] == 1;
        if (g->face[b].valid ? n != 2 || g->face[b].kernel != 3
                             : g->face[b].kernel % 2 == 0 || g->face[b].kernel > 9)
            return not_one(l, "an encoder block of another kind");
        if (b && g->face[b - 1].valid && !g->face[b].valid)
            return not_one(l, "an encoder that does not end in one cell");
    }
    if (!g->n_blocks)
        return not_one(l, "no tensor 'face_encoder_blocks.0.0.conv_block.0.weight'");
    if (g->n_blocks < 3 || !g->face[g->n_blocks - 1].valid || g->face[0].valid)
        return not_one(l, "an encoder that does not end in one cell");
    return PZ_OK;
}

static enum pz_status decoder(const struct look *l, struct pz_wav2lip_config *g)
{
    for (int b = 0; b < g->n_blocks; b++) {
        const struct pz_checkpoint_tensor *t = conv(l, "face_decoder_blocks", b, 0);
        if (!t)
            return not_one(l, "fewer decoder than encoder blocks");
        g->decoder[b].channels = (int)t->shape[b ? 1 : 0]; // transposed convolutions are stored [in, out]
        while (g->decoder[b].layers < 64 && conv(l, "face_decoder_blocks", b, g->decoder[b].layers))
            g->decoder[b].layers++;
    }
    return PZ_OK;
}

static enum pz_status audio(const struct look *l, struct pz_wav2lip_config *g)
{
    for (const struct pz_checkpoint_tensor *t;
         g->n_audio < PZ_WAV2LIP_MAX_AUDIO && (t = conv(l, "audio_encoder", g->n_audio, -1)); g->n_audio++)
        g->audio[g->n_audio] = (int)t->shape[0];
    while (g->n_refine < 8 && conv(l, "audio_refine", g->n_refine, -1))
        g->n_refine++;
    return g->n_audio < 12 ? not_one(l, "a sound encoder of fewer than 12 layers") : PZ_OK;
}

/* Cells left of a side of `size` px behind the encoder, 0 when it does not fit. */
static int cells(const struct pz_wav2lip_config *g, int size)
{
    for (int b = 1; b < g->n_blocks && size > 0; b++) {
        int k = g->face[b].kernel;
        size = g->face[b].valid ? size - 2 : (size + 2 * (k / 2) - k) / 2 + 1;
    }
    return size;
}

enum pz_status pz_wav2lip_detect(const struct pz_checkpoint *c, const char *file, struct pz_log *log,
                                 struct pz_wav2lip_config *config)
{
    enum pz_status st = PZ_OK;
    struct pz_wav2lip_config g = {0};
    const struct look l = {c, file, log};
    const struct pz_checkpoint_tensor *t;
    PZ_TRY(encoder(&l, &g));
    PZ_TRY(decoder(&l, &g));
    PZ_TRY(audio(&l, &g));
    t = conv(&l, "output_block", 0, -1);
    if (!t)
        return not_one(&l, "no tensor 'output_block.0.conv_block.0.weight'");
    g.output_channels = (int)t->shape[0];
    for (int size = 96; size <= 96 * 16; size += 96)
        if (cells(&g, size) == 1)
            g.size = size;
    if (!g.size)
        return not_one(&l, "no picture size fits its encoder");
    // Only the 384 px member has these layers, and with them another activation and range.
    g.slope = g.n_refine ? 0.2f : 0;
    g.tanh = g.n_refine > 0;
    *config = g;
    return PZ_OK;
fail:
    return st;
}
