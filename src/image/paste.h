/**
 * Compositor: pastes a made patch into a film frame so that nothing shows where it was done.
 *
 * What it does, per frame
 *   match   per-channel gain and offset, solved on the ring 4–14 px (at 256) inside the border, so that the
 * patch takes the light of the frame; detail gain so that it is as sharp as the film; grain so that it is as
 * noisy blend   two bands: the low one (light, shading) fades over 24 px inwards, the high one (texture) over
 * 6 px or as slowly as the given alpha warp    Catmull-Rom back into the frame's own 8-bit 4:2:0 planes
 * Pixels that the mask does not reach keep their bytes. mix = 0 leaves the whole frame as it is.
 *
 * Lifetime: a pz_paste holds work memory (allocated on first use for a patch size, reused) and the state that
 * smooths the match over time. Threads: one thread at a time; separate objects are independent.
 * Deterministic: the result depends on the arguments, the seed and, when no match is given, on the frames
 * drawn since the last reset.
 *
 * Source: spec/gaussian_splatting.md §12; Burt & Adelson 1983 (bands), Immerkær 1996 (noise).
 */
#ifndef PZ_IMAGE_PASTE_H
#define PZ_IMAGE_PASTE_H

#include "image/picture.h"

struct pz_paste;

struct pz_paste_params {
    float smoothing;    /**< weight of the past in the running match, [0,1) */
    float low_feather;  /**< px at 256: fade of the low band */
    float high_feather; /**< px at 256: least fade of the high band */
    bool color;         /**< match gain and offset */
    bool detail;        /**< match sharpness */
    bool grain;         /**< match noise */
    uint64_t seed;
};

#define PZ_PASTE_PARAMS_DEFAULT                                                                              \
    ((struct pz_paste_params){.smoothing = 0.8f,                                                             \
                              .low_feather = 24,                                                             \
                              .high_feather = 6,                                                             \
                              .color = true,                                                                 \
                              .detail = true,                                                                \
                              .grain = true,                                                                 \
                              .seed = 1})

/** What is pasted: the plain fields of an engine's patch. Borrowed for the call. */
struct pz_paste_patch {
    const struct pz_rgb *rgb; /**< [3][h][w], sides in [16, 1024] */
    const float *alpha;       /**< [h][w] in [0,1], 1 = made; values outside and NaN are clamped (NaN = 0) */
    const float *occluder; /**< [h][w] in [0,1], 1 = the film stays on top (hand, microphone); NULL = none */
    struct pz_affine to_frame; /**< patch px → frame px */
};

/** How a patch must be changed to fit a frame. */
struct pz_paste_match {
    float gain[3], offset[3]; /**< R'G'B': fitted = gain·patch + offset */
    float detail;             /**< factor on the patch's high band, [0.7, 2] */
    float grain;              /**< σ of the noise to add, luma code values, [0, 4] */
    int n_ring; /**< ring cells the colour stands on; 0 = nothing could be measured (identity) */
};

/** Errors: NOMEM, USAGE (params out of range). */
PZ_NODISCARD enum pz_status pz_paste_create(const struct pz_paste_params *params, struct pz_paste **paste);
void pz_paste_destroy(struct pz_paste **paste);

/** Forget the running match: call at the start of each slot. */
void pz_paste_reset(struct pz_paste *paste);

/** Measure one frame's match without drawing and without touching the running one. Errors: USAGE (sizes,
 * singular or non-finite map), NOMEM; not logged. */
PZ_NODISCARD enum pz_status pz_paste_measure(struct pz_paste *paste, const struct pz_picture *frame,
                                             const struct pz_paste_patch *patch,
                                             struct pz_paste_match *match);

/** Smooth measured matches of consecutive frames in place, without lag: Gaussian of `sigma_frames`, weights
 * n_ring. */
void pz_paste_match_smooth(struct pz_paste_match *match, int n, float sigma_frames);

/**
 * Paste into `frame`, in place.
 *
 * `match`   from pz_paste_measure(), or NULL: measured here and smoothed over the frames drawn so far
 * `mix`     [0,1]: 1 = full patch, 0 = the frame's bytes unchanged (cross-dissolve at slot edges)
 * `index`   frame number, moves the grain
 * `used`    the match applied, may be NULL
 * Errors    as pz_paste_measure(); the frame is unchanged on failure
 */
PZ_NODISCARD enum pz_status pz_paste_draw(struct pz_paste *paste, struct pz_picture *frame,
                                          const struct pz_paste_patch *patch,
                                          const struct pz_paste_match *match, float mix, int64_t index,
                                          struct pz_paste_match *used);

#endif
