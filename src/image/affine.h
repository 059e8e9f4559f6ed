/** Plane affine maps: apply, invert, chain, and least-squares fits between point sets. Pure functions, any
 * thread. */
#ifndef PZ_IMAGE_AFFINE_H
#define PZ_IMAGE_AFFINE_H

#include "image/picture.h"

/** The map that changes nothing. */
struct pz_affine pz_affine_identity(void);

/** Map one point, px. */
void pz_affine_apply(const struct pz_affine *m, float x, float y, float *ox, float *oy);

/** Inverse map. Errors: USAGE when the map is singular or not finite (`*out` is then the identity); not
 * logged. */
PZ_NODISCARD enum pz_status pz_affine_invert(const struct pz_affine *m, struct pz_affine *out);

/** first, then second: p → second(first(p)). */
struct pz_affine pz_affine_chain(const struct pz_affine *first, const struct pz_affine *second);

/** Length scale √|det|: px of the target per px of the source. */
float pz_affine_scale(const struct pz_affine *m);

/** Box `x0,y0,x1,y1` of one space onto [0,w]×[0,h] of another: the usual crop map. Sides must be > 0. */
struct pz_affine pz_affine_from_box(float x0, float y0, float x1, float y1, int w, int h);

/**
 * Similarity (rotation, one scale, shift; no mirror) that best maps `from` onto `to`, weighted least squares.
 *
 * Shapes    from, to: [n][2] px; weight: [n] ≥ 0 or NULL (all 1)
 * Errors    USAGE with fewer than two distinct weighted points (`*out` identity); not logged
 * Source    Umeyama 1991, IEEE PAMI 13(4), closed form in two dimensions
 */
PZ_NODISCARD enum pz_status pz_affine_fit_similarity(const float (*from)[2], const float (*to)[2],
                                                     const float *weight, int n, struct pz_affine *out);

/** Full affine fit, as above; needs three points not on a line. */
PZ_NODISCARD enum pz_status pz_affine_fit(const float (*from)[2], const float (*to)[2], const float *weight,
                                          int n, struct pz_affine *out);

#endif
