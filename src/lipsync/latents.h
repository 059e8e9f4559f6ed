/**
 * Latents: a Stable-Diffusion VAE ready to run both ways, and the store of what `prepare` has encoded.
 *
 * Shared by the engines that draw in latent space. Latents are [side/8][side/8][4], times PZ_SD_VAE_SCALE as
 * the networks want them. Encoding gives the posterior's mean, never a sample: the same film gives the same
 * latents (the published code samples; its training used the mean).
 */
#ifndef PZ_LIPSYNC_LATENTS_H
#define PZ_LIPSYNC_LATENTS_H

#include "base/job.h"
#include "nn/sd_vae.h"
#include "tensor/plan.h"

/* ---- the VAE ---- */

/** Its weights in a models folder: sd-vae/ or sd-vae-ft-mse/ with diffusion_pytorch_model.bin or
 * .safetensors; `*config` the config.json beside it. Both on the heap (pz_free), NULL when there are none.
 * Errors: NOMEM. */
PZ_NODISCARD enum pz_status pz_latents_find(const char *models_dir, struct pz_log *log, char **weights,
                                            char **config);

/** Check a file tensor by tensor. `config`: path or NULL. Errors: WEIGHTS (first wrong tensor named), INPUT,
 * FORMAT, UNSUPPORTED, NOMEM. */
PZ_NODISCARD enum pz_status pz_latents_verify(const char *weights, const char *config,
                                              const struct pz_job *job);

struct pz_latent_coder;

/** One half: encoder or decoder, `batch` pictures of side × side px (a multiple of 8) at once. Errors: as
 * verify, DEVICE. A coder belongs to one thread at a time. */
PZ_NODISCARD enum pz_status pz_latent_coder_open(const char *weights, const char *config, bool decoder,
                                                 int side, int batch, const struct pz_plan_params *pp,
                                                 const struct pz_job *job, struct pz_latent_coder **c);
void pz_latent_coder_close(struct pz_latent_coder **c);

/** Floats of a latent. */
size_t pz_latent_coder_floats(const struct pz_latent_coder *c);

/** Encode `n` ≤ batch pictures, 8-bit [n][side][side][3] R, G, B. out [n][floats]. Errors: DEVICE. */
PZ_NODISCARD enum pz_status pz_latent_encode(struct pz_latent_coder *c, const uint8_t *pictures, int n,
                                             struct pz_pool *pool, float *out);

/** Decode `n` latents, in batches, to planes [n][3][side][side] in [0,1], rounded to steps of 1/255 (ties to
 * even) as published. Errors: DEVICE. */
PZ_NODISCARD enum pz_status pz_latent_decode(struct pz_latent_coder *c, const float *latents, int n,
                                             struct pz_pool *pool, float *out);

/** The same as the network has them: pictures [n][side][side][3] in [−1, 1], not 8 bits (LatentSync's masked
 * pictures are grey between two of those) … */
PZ_NODISCARD enum pz_status pz_latent_encode_floats(struct pz_latent_coder *c, const float *pictures, int n,
                                                    struct pz_pool *pool, float *out);

/** … and back, out [n][side][side][3], neither clipped nor rounded. */
PZ_NODISCARD enum pz_status pz_latent_decode_floats(struct pz_latent_coder *c, const float *latents, int n,
                                                    struct pz_pool *pool, float *out);

/* ---- the store ---- */

/** Layout of a store's items. All sizes in [0, 2^24]. */
struct pz_latent_layout {
    int kinds;      /**< latents an item */
    int floats;     /**< of each */
    int mask_bytes; /**< bits of a mask, row by row, lowest bit first; 0 = none */
    bool place;     /**< `box` is no box but four numbers of the engine's own, finite ones */
};

struct pz_latent_item {
    int64_t frame;       /**< of the film */
    float box[4];        /**< crop, px */
    float pose[2];       /**< yaw, pitch, degrees */
    const float *latent; /**< [kinds][floats] */
    const uint8_t *mask; /**< [mask_bytes] */
};

struct pz_latent_store;

/** An empty store for `n` items. Errors: NOMEM. */
PZ_NODISCARD enum pz_status pz_latent_store_create(const struct pz_latent_layout *l, int n,
                                                   struct pz_log *log, struct pz_latent_store **s);
/** Add one; frames must ascend and there must be room (else USAGE). */
PZ_NODISCARD enum pz_status pz_latent_store_add(struct pz_latent_store *s, const struct pz_latent_item *item);
/** `meta`: names and values of what the latents depend on, told back by pz_latent_store_text(). */
PZ_NODISCARD enum pz_status pz_latent_store_save(const struct pz_latent_store *s, const char *path,
                                                 const char *const (*meta)[2], int n_meta,
                                                 struct pz_log *log);
/** Errors: INPUT, FORMAT (also another layout than `l`), NOMEM. */
PZ_NODISCARD enum pz_status pz_latent_store_load(const char *path, const struct pz_latent_layout *l,
                                                 struct pz_log *log, struct pz_latent_store **s);
void pz_latent_store_free(struct pz_latent_store **s);

int pz_latent_store_count(const struct pz_latent_store *s);
struct pz_latent_item pz_latent_store_at(const struct pz_latent_store *s, int i);
/** Index of a film's frame, −1 when it was not kept. */
int pz_latent_store_find(const struct pz_latent_store *s, int64_t frame);
/** Item whose head pose is nearest; −1 in an empty store. */
int pz_latent_store_nearest(const struct pz_latent_store *s, float yaw, float pitch);
/** A text saved as meta, or NULL; of loaded stores only. */
const char *pz_latent_store_text(const struct pz_latent_store *s, const char *key);

#endif
