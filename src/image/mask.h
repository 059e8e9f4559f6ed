/**
 * Masks: polygons with anti-aliased edges, exact distances, feathering, and the lower-face outline that a new
 * mouth is pasted through.
 */
#ifndef PZ_IMAGE_MASK_H
#define PZ_IMAGE_MASK_H

#include "image/picture.h"

#define PZ_POLYGON_MAX_POINTS 1024

/**
 * Coverage of a closed polygon, non-zero winding, exact area per pixel.
 *
 * Shapes    point [n][2] px (pixel (i,j) is [i,i+1)×[j,j+1)); coverage [h][w] in [0,1], overwritten or united
 * Options   unite: keep max(old, new) instead of overwriting
 * Errors    USAGE (n < 3, n > PZ_POLYGON_MAX_POINTS, a point not finite); NOMEM; not logged
 * Numerics  4 scan lines a pixel row with exact horizontal extents: area error ≤ 1/8 px at steep corners
 */
PZ_NODISCARD enum pz_status pz_mask_polygon(const float (*point)[2], int n, float *coverage, int w, int h,
                                            bool unite);

/**
 * Exact Euclidean distance (px) from each pixel's centre to the nearest pixel centre where mask < level; 0
 * there. With `outside_is_zero` the surroundings of the plane count as such pixels too.
 *
 * Shapes    mask, out [h][w]; they may be the same array
 * Errors    NOMEM
 * Source    Felzenszwalb & Huttenlocher 2012, doi 10.4086/toc.2012.v008a019
 */
PZ_NODISCARD enum pz_status pz_mask_distance(const float *mask, float level, float *out, int w, int h,
                                             bool outside_is_zero);

/** mask → 0 outside, smoothstep over `width` px going inwards from its border (level ½), 1 further in. NOMEM.
 */
PZ_NODISCARD enum pz_status pz_mask_feather(float *mask, int w, int h, float width);

/** 3t²−2t³ of t clamped to [0,1]; NaN gives 0. */
float pz_smoothstep(float t);

/** Where a face is, as far as the lower-face mask must know it. All px of one space. */
struct pz_mask_face {
    const float (*oval)[2]; /**< closed ring: forehead and jaw contour */
    int n_oval;
    float eye_outer[2][2]; /**< [0] subject's right (left in the picture), [1] left */
    float nose_tip[2];
    float mouth[2]; /**< centre of the lips */
    float chin[2];
};

#define PZ_MASK_LOWER_FACE_MAX 256

/**
 * Outline of the lower face: nose base → cheeks below the eyes → jaw contour pulled in at the sides (no hair,
 * no ears, no background) and pushed out by a margin below the chin.
 *
 * Units     chin_margin in interocular distances, usual 0.12; inset likewise, usual 0.06
 * Shapes    out [PZ_MASK_LOWER_FACE_MAX][2]; returns the number of points, 0 when the face is degenerate
 * Use       for a new jaw position call it twice (film's jaw, new jaw) and unite the two polygons
 */
int pz_mask_lower_face(const struct pz_mask_face *face, float inset, float chin_margin, float (*out)[2]);

#endif
