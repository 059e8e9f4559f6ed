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

/** Bytes of memory a run needs, weights and work, with so many guidance branches and decoded pictures at
 * once. An estimate, meant to be a little too large: it is asked before anything is loaded. */
size_t pz_latentsync_need(const struct pz_sd_unet_config *c, int64_t elements, int size, int branches,
                          int pictures, const struct pz_plan_params *pp, bool cached);

/** Is there memory for it? Loads nothing. Errors: as pz_latentsync_run_open(). */
PZ_NODISCARD enum pz_status pz_latentsync_fits(const struct pz_latentsync_files *f,
                                               const struct pz_latentsync_way *way,
                                               const struct pz_plan_params *pp, const struct pz_job *job);

/** The UNet over one window, as the sampler asks for it. One thread at a time. */
struct pz_latentsync_run;

/**
 * Make the plans `way` needs for `tokens` of `width` values heard a picture.
 *
 * Both guidance branches run as one batch where memory allows, else one after the other; before that fewer
 * pictures are decoded at once. Errors: as verify, DEVICE (not enough memory, naming the need; logged before
 * anything is loaded), NOMEM.
 */
PZ_NODISCARD enum pz_status pz_latentsync_run_open(const struct pz_latentsync_files *f,
                                                   const struct pz_latentsync_way *way, int tokens, int width,
                                                   const struct pz_plan_params *pp, const struct pz_job *job,
                                                   struct pz_latentsync_run **r);
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

/** Pictures to be decoded at once: as many as there was memory for. */
int pz_latentsync_run_pictures(const struct pz_latentsync_run *r);

/** Guidance branches computed at once, and bytes of the block the UNet works in (weights not counted). */
int pz_latentsync_run_branches(const struct pz_latentsync_run *r);
size_t pz_latentsync_run_bytes(const struct pz_latentsync_run *r);

#endif
