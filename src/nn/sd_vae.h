/**
 * AutoencoderKL of Stable Diffusion 1 (sd-vae-ft-mse): pictures to latents and back.
 *
 * One file holds both halves: to build one, pass the other's names as `ignore` (pz_sd_vae_encoder_only,
 * pz_sd_vae_decoder_only). Pictures are RGB in [−1, 1]. Latents of the diffusion models are these times
 * PZ_SD_VAE_SCALE. Source  spec/musetalk.md §4.
 */
#ifndef PZ_NN_SD_VAE_H
#define PZ_NN_SD_VAE_H

#include "nn/layer.h"

#define PZ_SD_VAE_SCALE 0.18215f

struct pz_sd_vae_config {
    int channels[4]; /**< block_out_channels */
    int layers;      /**< resnets a block of the encoder; the decoder has one more */
    int latent;      /**< channels of the latent */
    int groups;
};

/** sd-vae-ft-mse: 128 256 512 512, 2, 4, 32. */
extern const struct pz_sd_vae_config pz_sd_vae_default;

/** Names of a whole file that the other half leaves over. */
extern const char *const pz_sd_vae_encoder_only[], *const pz_sd_vae_decoder_only[];

/** x [B,H,W,3], H and W multiples of 8 → moments: `*mean` and `*logvar` [B,H/8,W/8,latent]. logvar is not
 * clamped: whoever samples clamps it to [−30, 20]; std = exp(logvar/2). */
void pz_sd_vae_encode(struct pz_params *p, const struct pz_sd_vae_config *c, int x, int *mean, int *logvar);

/** z [B,h,w,latent], not scaled (the model's latent / PZ_SD_VAE_SCALE) → picture [B,8h,8w,3], not clamped. */
int pz_sd_vae_decode(struct pz_params *p, const struct pz_sd_vae_config *c, int z);

#endif
