/** LatentSync's eye: a frame's crop as masked and as reference latent. */
#ifndef PZ_LIPSYNC_LATENTSYNC_EYE_H
#define PZ_LIPSYNC_LATENTSYNC_EYE_H

#include "lipsync/latents.h"
#include "lipsync/latentsync_face.h"
#include "lipsync/latentsync_model.h"

struct pz_latentsync_eye;

/** Opens the VAE's encoder. Errors: those of pz_latent_coder_open(). One thread at a time. */
PZ_NODISCARD enum pz_status pz_latentsync_eye_open(const struct pz_latentsync_files *f,
                                                   const struct pz_plan_params *pp, const struct pz_job *job,
                                                   struct pz_latentsync_eye **eye);
void pz_latentsync_eye_close(struct pz_latentsync_eye **eye);

/** Floats of one latent. */
size_t pz_latentsync_eye_floats(const struct pz_latentsync_eye *eye);

/** Latents of a picture's crop, [2][floats]: what the mask leaves, and the whole. Errors: DEVICE. */
PZ_NODISCARD enum pz_status pz_latentsync_eye_look(struct pz_latentsync_eye *eye,
                                                   const struct pz_picture *pic,
                                                   const struct pz_affine *to_crop, float *latents);

#endif
