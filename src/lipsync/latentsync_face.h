/**
 * Where LatentSync's crop lies on a face, how it is cut out, and how a made crop becomes a patch.
 *
 * Crop px of this file are the published ones: pixel centres at whole numbers (frame px inside pz_affine maps
 * of patches are ours, at +½). Pictures for the network are [R][R][3] RGB in [−1, 1]. Source
 * spec/latentsync.md §6–§8. Nothing here looks for faces.
 */
#ifndef PZ_LIPSYNC_LATENTSYNC_FACE_H
#define PZ_LIPSYNC_LATENTSYNC_FACE_H

#include "base/pool.h"
#include "face/face.h"

#define PZ_LATENTSYNC_POINTS 19

/** Which landmarks stand for the three points of the template. Plain. */
struct pz_latentsync_points {
    int index[PZ_LATENTSYNC_POINTS]; /**< five of each brow, nine of the nose */
};

/** Choose them by their place on the set's mean face: any landmark set will do. */
void pz_latentsync_points_init(struct pz_latentsync_points *p, const struct pz_face_topology *t);

/** Middles of the brow at the picture's left, of the other one and of the nose, published px. */
void pz_latentsync_points_of(const struct pz_latentsync_points *p, const struct pz_face *f,
                             float point[3][2]);

/** The nose's offset to the template, which is calmed from frame to frame. Zero before the first. */
struct pz_latentsync_bias {
    double x, y;
    bool any;
};

/** Width and height of the upright crop for networks of `size` px: 210×280 for 256. */
void pz_latentsync_crop_size(int size, int *w, int *h);

/**
 * Similarity frame px → crop px (both published) of three points, with the calmed offset; `old` is the weight
 * of what was: 0.2 a frame of 25 a second. Points on one spot give the identity.
 */
struct pz_affine pz_latentsync_similarity(const float point[3][2], int size, double old,
                                          struct pz_latentsync_bias *bias);

/** Crops of successive frames: the offset is calmed by the time between them. */
struct pz_latentsync_calm {
    struct pz_latentsync_points points;
    struct pz_latentsync_bias bias;
    double last;
};

/** `t` may be NULL when no crop will be asked for. */
void pz_latentsync_calm_init(struct pz_latentsync_calm *c, const struct pz_face_topology *t);

/** Crop of the next frame, at `time` seconds; after a gap of half a second the offset starts anew. */
struct pz_affine pz_latentsync_crop(struct pz_latentsync_calm *c, const struct pz_face *f, double time,
                                    int size);

/** Work memory and plans of cutting and pasting at one size; one thread at a time. */
struct pz_latentsync_cutter;

/** `size` in [32, 1024], a multiple of 8. `mask`: the published picture (its red channel; black is repainted)
 * in place of the drawn one, any size; or NULL. NULL on other sizes or no memory. */
struct pz_latentsync_cutter *pz_latentsync_cutter_create(int size, const struct pz_rgb *mask);
void pz_latentsync_cutter_destroy(struct pz_latentsync_cutter **c);

/**
 * Cut a face out: warp (grey 127 outside the picture, 8 bits, cut off), Lanczos to size × size, 8 bits.
 *
 * Differs from the published: where the face is larger than the crop, source pixels are averaged instead of
 * skipped. out [size][size][3] in [−1, 1].
 */
void pz_latentsync_cut(struct pz_latentsync_cutter *c, const struct pz_picture *src,
                       const struct pz_affine *to_crop, struct pz_pool *pool, float *out);

/** The mask, 1 = kept: [size][size] (`keep` may be NULL), and its samples at latent size [size/8][size/8].
 * Without the published file it is drawn from the shape the fact sheet gives, each row within a pixel or two
 * of the file's. */
void pz_latentsync_mask(struct pz_latentsync_cutter *c, float *keep, float *small);

/**
 * A made crop (`made` [size][size][3], not clipped) into a patch: kept pixels from `seen`, back to the crop's
 * own proportions with the published filter, clipped to [0,1]. `rgb` has the crop's size.
 */
void pz_latentsync_unsquash(struct pz_latentsync_cutter *c, const float *made, const float *seen,
                            struct pz_pool *pool, struct pz_rgb *rgb);

/** Opacity of patches: [h][w]. Never above 0 where the mask keeps; eroded and blurred as the published paste
 * is, and inside the mask's own border by a quarter of that. */
const float *pz_latentsync_alpha(const struct pz_latentsync_cutter *c);

/** Patch px → frame px (ours) of a crop. Errors: USAGE (a singular map; not logged). */
PZ_NODISCARD enum pz_status pz_latentsync_to_frame(const struct pz_affine *to_crop, struct pz_affine *out);

#endif
