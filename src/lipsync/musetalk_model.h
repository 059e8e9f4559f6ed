/**
 * MuseTalk's weights and its UNet ready to run. 1.0 and 1.5 are one architecture; they are told apart by the
 * folder their files lie in, as published:
 *
 *   musetalkV15/{unet.pth, musetalk.json}          1.5, taken when both are there
 *   musetalk/{pytorch_model.bin, musetalk.json}    1.0
 *   sd-vae/, whisper/, face-parse-bisent/          of both (latents.h, speech_features.h, face_parser.h)
 */
#ifndef PZ_LIPSYNC_MUSETALK_MODEL_H
#define PZ_LIPSYNC_MUSETALK_MODEL_H

#include "base/job.h"
#include "lipsync/musetalk_face.h"
#include "nn/sd_unet.h"
#include "tensor/plan.h"

/** Side of its pictures and of their latents. */
#define PZ_MUSETALK_SIDE 256
#define PZ_MUSETALK_LATENT 32

struct pz_musetalk_files {
    char *unet, *unet_config, *vae, *vae_config, *whisper, *parser;
    bool v15;
};

/** Find all files. `version`: "1.0", "1.5" or NULL = 1.5 where it is. Errors: WEIGHTS (what is missing, and
 * how to get it; logged), NOMEM. Free with pz_musetalk_files_free(). */
PZ_NODISCARD enum pz_status pz_musetalk_find(const char *models_dir, const char *version, struct pz_log *log,
                                             struct pz_musetalk_files *f);
void pz_musetalk_files_free(struct pz_musetalk_files *f);

/** Check a UNet file tensor by tensor; `config` may be NULL or not there. Errors: WEIGHTS (first wrong tensor
 * named), INPUT, FORMAT, UNSUPPORTED, NOMEM. */
PZ_NODISCARD enum pz_status pz_musetalk_verify(const char *unet, const char *config,
                                               const struct pz_job *job);

/** Check all files, and that they belong together. Errors: as above. */
PZ_NODISCARD enum pz_status pz_musetalk_verify_all(const struct pz_musetalk_files *f,
                                                   const struct pz_job *job);

struct pz_musetalk_unet_run;

/** `tokens` of `width` values heard a picture. Errors: as verify, WEIGHTS (another width), DEVICE. */
PZ_NODISCARD enum pz_status pz_musetalk_unet_open(const char *unet, const char *config, int batch, int tokens,
                                                  int width, const struct pz_plan_params *pp,
                                                  const struct pz_job *job, struct pz_musetalk_unet_run **u);
void pz_musetalk_unet_close(struct pz_musetalk_unet_run **u);
int pz_musetalk_unet_batch(const struct pz_musetalk_unet_run *u);

/**
 * One step at t = 0 for `n` ≤ batch pictures.
 *
 * masked, reference  [n] pointers to latents [32][32][4]
 * heard              [n] pointers to windows [tokens][width]; positions are added here
 * out                [n][32][32][4]
 * Errors             DEVICE
 */
PZ_NODISCARD enum pz_status pz_musetalk_unet_run(struct pz_musetalk_unet_run *u, const float *const *masked,
                                                 const float *const *reference, const float *const *heard,
                                                 int n, struct pz_pool *pool, float *out);

/** How the networks around the UNet compute (Whisper, both halves of the VAE) when it computes as `pp` says:
 * in F32 where that is BF16 on the CPU. Rounded to BF16 as well, a decoded picture keeps 43 dB of the 45
 * asked for, this way 46 (docs/notes/musetalk.md); F32 convolutions cost little more there. */
struct pz_plan_params pz_musetalk_around(const struct pz_plan_params *pp);

/** Pictures at once that fit: 1 on the CPU, whose caches gain nothing from more; on a device 20, 8 or 2, as
 * many as its free memory allows for. */
int pz_musetalk_batch(bool cuda, enum pz_dtype type);

/** Bytes of device memory that rendering takes with this batch: weights and values in `type`, what CUDA and
 * its libraries take. Source: measured on an H100. */
double pz_musetalk_need(int batch, enum pz_dtype type);

/** Pictures the decoder makes at once for a UNet of `batch`: half as many on a device, for its pictures take
 * most of the memory and it gains little from more. */
int pz_musetalk_decoder_batch(int batch);

#endif
