/**
 * Sub-pixel warps and resizing.
 *
 * A warp is given as the map from the *target's* px to the *source's* px (pixel centres at +½ on both sides).
 * When the target is coarser than the source (scale > 1.25) each target pixel averages a grid of samples, so
 * nothing aliases. Nothing here allocates except pz_plane_resize(); all functions are pure and may run on any
 * thread.
 */
#ifndef PZ_IMAGE_WARP_H
#define PZ_IMAGE_WARP_H

#include "image/affine.h"
#include "image/picture.h"

enum pz_filter {
    PZ_FILTER_BILINEAR = 0,
    PZ_FILTER_CUBIC = 1,   /**< Catmull-Rom */
    PZ_FILTER_LANCZOS3 = 2 /**< resizing only; warps use Catmull-Rom instead */
};

enum pz_border {
    PZ_BORDER_REPLICATE = 0, /**< the nearest edge pixel */
    PZ_BORDER_ZERO = 1       /**< 0 outside the source (black for a picture) */
};

/**
 * Cut a float RGB crop out of a picture. Luma with `filter`, chroma bilinear at its own siting.
 *
 * Shapes    dst as allocated, [3][h][w]
 * Units     dst nominal [0,1], not clipped (Catmull-Rom may overshoot)
 * Numerics  the identity map gives pz_picture_to_rgb() to 1e-5
 */
void pz_warp_picture_to_rgb(const struct pz_picture *src, const struct pz_affine *dst_to_src,
                            enum pz_filter filter, enum pz_border border, struct pz_rgb *dst);

/** Luma only: dst [h][w] in code values 0..255. */
void pz_warp_luma(const struct pz_picture *src, const struct pz_affine *dst_to_src, enum pz_filter filter,
                  enum pz_border border, float *dst, int w, int h);

/** Warp one float plane [sh][sw] into [dh][dw]; planes must not overlap. */
void pz_warp_plane(const float *src, int sw, int sh, const struct pz_affine *dst_to_src,
                   enum pz_filter filter, enum pz_border border, float *dst, int dw, int dh);

/** Warp all three planes. */
void pz_warp_rgb(const struct pz_rgb *src, const struct pz_affine *dst_to_src, enum pz_filter filter,
                 enum pz_border border, struct pz_rgb *dst);

/** Separable resize with the filter widened when shrinking, edges replicated. Errors: USAGE (sizes), NOMEM.
 */
PZ_NODISCARD enum pz_status pz_plane_resize(const float *src, int sw, int sh, float *dst, int dw, int dh,
                                            enum pz_filter filter);

/** pz_plane_resize() of three planes into an allocated image. */
PZ_NODISCARD enum pz_status pz_rgb_resize(const struct pz_rgb *src, struct pz_rgb *dst,
                                          enum pz_filter filter);

#endif
