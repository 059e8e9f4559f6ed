/**
 * LatentSync's weights and its UNet ready to run. 1.5 and 1.6 are one architecture at two picture sizes; the
 * weights do not tell which, so that it is told by the folder, or by a configuration beside them:
 *
 *   latentsync/latentsync_unet.pt          1.5, 256 px
 *   latentsync-1.6/latentsync_unet.pt      1.6, 512 px
 *   …/stage2.yaml, stage2_512.yaml, config.yaml   a line `resolution: N` beside the weights overrules both
 *   …/mask.png                             the published mask, where it is there: beside the weights, or in
 * latentsync/ sd-vae/, whisper/                      of both (latents.h, speech_features.h)
 */
#ifndef PZ_LIPSYNC_LATENTSYNC_MODEL_H
#define PZ_LIPSYNC_LATENTSYNC_MODEL_H

#include "base/job.h"
#include "image/picture.h"
#include "lipsync/latentsync_sample.h"
#include "nn/sd_unet.h"
#include "tensor/plan.h"

/** Steps of Whisper's encoder that belong to a picture. */
#define PZ_LATENTSYNC_STEPS 10
/** Most pictures decoded at once, on a device: as fast as sixteen, for a quarter of the memory. */
#define PZ_LATENTSYNC_PICTURES 4

struct pz_latentsync_files {
    char *unet, *vae, *vae_config, *whisper;
    char *mask; /**< NULL: there is none */
    int size;   /**< px of its pictures */
};

/** Find all files. `size` 256, 512, or 0 = what is there, 1.5 first. Errors: WEIGHTS (what is missing and how
 * to get it; logged), INPUT, NOMEM. Free with pz_latentsync_files_free(). */
PZ_NODISCARD enum pz_status pz_latentsync_find(const char *models_dir, int size, struct pz_log *log,
                                               struct pz_latentsync_files *f);
void pz_latentsync_files_free(struct pz_latentsync_files *f);

/** The mask of these files; `mask->data` NULL where there is none. Free with pz_rgb_free(). Errors: INPUT,
 * FORMAT (also one that repaints less than 5 or more than 95 in a hundred), NOMEM. */
PZ_NODISCARD enum pz_status pz_latentsync_read_mask(const struct pz_latentsync_files *f, struct pz_log *log,
                                                    struct pz_rgb *mask);

/** Check a UNet file tensor by tensor, reading no values; `c` (may be NULL) gets its widths. Errors: WEIGHTS
 * (first wrong tensor named), INPUT, FORMAT, UNSUPPORTED, NOMEM. */
PZ_NODISCARD enum pz_status pz_latentsync_verify(const char *unet, const struct pz_job *job,
                                                 struct pz_sd_unet_config *c);

/** Check all files, and that they belong together. Errors: as above. */
PZ_NODISCARD enum pz_status pz_latentsync_verify_all(const struct pz_latentsync_files *f,
                                                     const struct pz_job *job);

/** How a run is made to fit: what is computed at once, and where the UNet's weights are. */
struct pz_latentsync_fit {
    int branches, pictures; /**< of guidance; decoded */
    bool away;              /**< the weights wait in main memory (pz_plan_params.away) */
    double need;            /**< bytes, pz_latentsync_need() */
};

/** Bytes of memory a run needs, weights and work, of the device or of main memory. An estimate, meant to be a
 * little too large: it is asked before anything is loaded. `cached`: there are steps of the last layer. */
double pz_latentsync_need(const struct pz_sd_unet_config *c, int64_t elements, int size,
                          const struct pz_latentsync_fit *fit, const struct pz_plan_params *pp, bool cached);

/**
 * Make it fit into what is free and, unless 0, into `memory` bytes: fewer pictures are decoded at once, then
 * guidance branches run one after the other; within `memory`, on a device, the weights wait in main memory
 * before anything is refused. Loads nothing. Errors: DEVICE (not enough, naming the need; logged), those of
 * verify.
 */
PZ_NODISCARD enum pz_status pz_latentsync_fits(const struct pz_latentsync_files *f,
                                               const struct pz_latentsync_way *way,
                                               const struct pz_plan_params *pp, double memory,
                                               const struct pz_job *job, struct pz_latentsync_fit *fit);

/** The UNet over one window, as the sampler asks for it. One thread at a time. */
struct pz_latentsync_run;

/**
 * Make the plans `way` needs for `tokens` of `width` values heard a picture, within `memory` as
 * pz_latentsync_fits() has it. Errors: as there, NOMEM.
 */
PZ_NODISCARD enum pz_status pz_latentsync_run_open(const struct pz_latentsync_files *f,
                                                   const struct pz_latentsync_way *way, int tokens, int width,
                                                   const struct pz_plan_params *pp, double memory,
                                                   const struct pz_job *job, struct pz_latentsync_run **r);
void pz_latentsync_run_close(struct pz_latentsync_run **r);

/** What one frame of a window is made from. */
struct pz_latentsync_frame {
    const float *masked, *reference; /**< latents [h·w][4] */
    const float *heard;              /**< [tokens][width] */
};

/** Set what the next window shows: `mask` [h·w], 1 = kept; PZ_LATENTSYNC_WINDOW frames. */
void pz_latentsync_run_window(struct pz_latentsync_run *r, const float *mask,
                              const struct pz_latentsync_frame *frames);

/** The network for pz_latentsync_sample(): `z` [PZ_LATENTSYNC_WINDOW][h·w][4]. */
struct pz_latentsync_net pz_latentsync_run_net(struct pz_latentsync_run *r);

/** Floats of one frame's latent. */
size_t pz_latentsync_run_floats(const struct pz_latentsync_run *r);

/** Multiply-adds of one window made in a way, the UNet alone; steps of the last layer alone count 0 where
 * this run has no plan of it. */
double pz_latentsync_run_cost(const struct pz_latentsync_run *r, const struct pz_latentsync_way *way);

/** How it was made to fit: the decoder is the caller's to open, for so many pictures. */
struct pz_latentsync_fit pz_latentsync_run_fit(const struct pz_latentsync_run *r);

/** Bytes of the block the UNet works in (weights not counted). */
size_t pz_latentsync_run_bytes(const struct pz_latentsync_run *r);

#endif
