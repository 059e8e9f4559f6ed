/* AutoencoderKL of Stable Diffusion 1 as graphs. Does not sample: that is the caller's, with his own seed. */
#include "nn/sd_vae.h"

#include "nn/sd_block.h"

#define EPS 1e-6f

const struct pz_sd_vae_config pz_sd_vae_default = {
    .channels = {128, 256, 512, 512}, .layers = 2, .latent = 4, .groups = 32};

const char *const pz_sd_vae_encoder_only[] = {"decoder.*", "post_quant_conv.*", NULL};
const char *const pz_sd_vae_decoder_only[] = {"encoder.*", "quant_conv.*", NULL};

static int resnet(struct pz_params *p, const struct pz_sd_vae_config *c, int i, int x, int out)
{
    pz_params_push(p, "resnets.%d", i);
    x = pz_sd_resnet(p, x,
                     &(struct pz_sd_resnet){.out = out, .groups = c->groups, .eps = EPS, .time = PZ_NONE});
    pz_params_pop(p);
    return x;
}

static int middle(struct pz_params *p, const struct pz_sd_vae_config *c, int x)
{
    int ch = pz_nn_dim(p, x, 3);
    pz_params_push(p, "mid_block");
    x = resnet(p, c, 0, x, ch);
    pz_params_push(p, "attentions.0");
    x = pz_sd_vae_attention(p, x, c->groups);
    pz_params_pop(p);
    x = resnet(p, c, 1, x, ch);
    pz_params_pop(p);
    return x;
}

static int last_conv(struct pz_params *p, const struct pz_sd_vae_config *c, int x, int out)
{
    x = pz_nn_group_norm(p, "conv_norm_out", x, c->groups, EPS, PZ_ACT_SILU);
    return pz_nn_conv_same(p, "conv_out", x, out, 3, 1);
}

void pz_sd_vae_encode(struct pz_params *p, const struct pz_sd_vae_config *c, int x, int *mean, int *logvar)
{
    pz_params_push(p, "encoder");
    x = pz_nn_conv_same(p, "conv_in", x, c->channels[0], 3, 1);
    for (int i = 0; i < 4; i++) {
        pz_params_push(p, "down_blocks.%d", i);
        for (int k = 0; k < c->layers; k++)
            x = resnet(p, c, k, x, c->channels[i]);
        if (i < 3) /* one row below, one column at the right */
            x = pz_nn_conv2d(
                p, "downsamplers.0.conv", x,
                &(struct pz_nn_conv){
                    .out = c->channels[i], .kernel = {3, 3}, .stride = {2, 2}, .pad = {0, 1, 0, 1}});
        pz_params_pop(p);
    }
    x = last_conv(p, c, middle(p, c, x), 2 * c->latent);
    pz_params_pop(p);
    x = pz_nn_conv2d(p, "quant_conv", x, &(struct pz_nn_conv){.out = 2 * c->latent});
    int size[4] = {pz_nn_dim(p, x, 0), pz_nn_dim(p, x, 1), pz_nn_dim(p, x, 2), c->latent};
    *mean = pz_nn_slice(p, x, (int[]){0, 0, 0, 0}, size);
    *logvar = pz_nn_slice(p, x, (int[]){0, 0, 0, c->latent}, size);
}

int pz_sd_vae_decode(struct pz_params *p, const struct pz_sd_vae_config *c, int z)
{
    int x = pz_nn_conv2d(p, "post_quant_conv", z, &(struct pz_nn_conv){.out = c->latent});
    pz_params_push(p, "decoder");
    x = middle(p, c, pz_nn_conv_same(p, "conv_in", x, c->channels[3], 3, 1));
    for (int i = 0; i < 4; i++) {
        pz_params_push(p, "up_blocks.%d", i);
        for (int k = 0; k <= c->layers; k++)
            x = resnet(p, c, k, x, c->channels[3 - i]);
        if (i < 3)
            x = pz_sd_upsample(p, "upsamplers.0.conv", x);
        pz_params_pop(p);
    }
    x = last_conv(p, c, x, 3);
    pz_params_pop(p);
    return x;
}
