/**
 * What MuseTalk takes from a frame: crop, latents, mask. `prepare` looks at the frames a render will draw and
 * keeps the result; frames it did not foresee are looked at when they are drawn.
 */
#ifndef PZ_LIPSYNC_MUSETALK_LOOK_H
#define PZ_LIPSYNC_MUSETALK_LOOK_H

#include "lipsync/engine.h"
#include "lipsync/latents.h"
#include "lipsync/musetalk_model.h"

/** Floats of a latent. */
#define PZ_MUSETALK_FLOATS (PZ_MUSETALK_LATENT * PZ_MUSETALK_LATENT * 4)

/** Layouts of the two stores: frames (masked, then reference latent, and mask), and moments (reference). */
extern const struct pz_latent_layout pz_musetalk_frames, pz_musetalk_moments;

struct pz_musetalk_eye;

/** VAE encoder and face parser. One thread at a time. Errors: WEIGHTS, INPUT, FORMAT, DEVICE, NOMEM. */
PZ_NODISCARD enum pz_status pz_musetalk_eye_open(const struct pz_musetalk_files *f,
                                                 const struct pz_plan_params *pp, const struct pz_job *job,
                                                 struct pz_musetalk_eye **e);
void pz_musetalk_eye_close(struct pz_musetalk_eye **e);

/**
 * Look at a frame through a box.
 *
 * masked, reference  [32][32][4] or NULL: not wanted. The masked picture is black below its middle
 * mask               bits, PZ_MUSETALK_MASK_BYTES, or NULL
 * Errors             USAGE (box outside the frame), NOMEM, DEVICE; logged
 */
PZ_NODISCARD enum pz_status pz_musetalk_eye_look(struct pz_musetalk_eye *e, const struct pz_picture *frame,
                                                 const float box[4], float *masked, float *reference,
                                                 uint8_t *mask);

/** The 256 px picture the network is shown, [256][256][3]. Errors: USAGE, NOMEM (not logged). */
PZ_NODISCARD enum pz_status pz_musetalk_crop(const struct pz_picture *frame, const float box[4],
                                             uint8_t *out);

/**
 * Look at a film's asked-for frames, or, when none are named, at a few moments of its fit frames that differ
 * in head pose (references for self-reenactment). Either store is written, empty where not wanted, with the
 * version, the frames' size and whether boxes were smoothed. Errors: UNUSABLE (no face), CANCELLED, WRITE,
 * the film's and the eye's.
 */
PZ_NODISCARD enum pz_status pz_musetalk_look_at(const struct pz_film *film, const struct pz_musetalk_files *f,
                                                const struct pz_plan_params *pp, bool calm,
                                                const char *frames_path, const char *moments_path,
                                                const struct pz_job *job);

#endif
