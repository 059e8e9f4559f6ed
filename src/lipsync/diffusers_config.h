/**
 * The JSON that lies beside official weights of diffusion networks ("musetalk.json", a VAE's "config.json"),
 * read into the shapes src/nn builds. Every file is hostile: numbers are limited, what the networks here
 * cannot be is refused by name.
 */
#ifndef PZ_LIPSYNC_DIFFUSERS_CONFIG_H
#define PZ_LIPSYNC_DIFFUSERS_CONFIG_H

#include "base/log.h"
#include "nn/sd_unet.h"
#include "nn/sd_vae.h"

/** A UNet2DConditionModel. `path` NULL or not there: `*c` is `usual`. Errors: INPUT, FORMAT (not JSON, or a
 * number that no such network has; logged), UNSUPPORTED (another architecture; logged), NOMEM. */
PZ_NODISCARD enum pz_status pz_diffusers_unet(const char *path, const struct pz_sd_unet_config *usual,
                                              struct pz_log *log, struct pz_sd_unet_config *c);

/** An AutoencoderKL, likewise; its scaling factor must be PZ_SD_VAE_SCALE where it is said. */
PZ_NODISCARD enum pz_status pz_diffusers_vae(const char *path, const struct pz_sd_vae_config *usual,
                                             struct pz_log *log, struct pz_sd_vae_config *c);

#endif
