/**
 * Cutting an upright box out of a picture, and enlarging a small plane: the two resamplings of engines that
 * work on small faces. Both are separable, so they cost a fraction of a general warp.
 */
#ifndef PZ_IMAGE_AREA_H
#define PZ_IMAGE_AREA_H

#include "image/picture.h"

/**
 * The box [x0,x1] × [y0,y1] (frame px, may reach outside: edges are repeated) as float RGB of dst's size,
 * each pixel the mean of what it covers. For boxes smaller than dst in any direction it interpolates
 * bilinearly instead.
 *
 * Numerics  a constant picture stays constant; sums are float. Errors: USAGE (empty or non-finite box),
 * NOMEM.
 */
PZ_NODISCARD enum pz_status pz_area_picture_to_rgb(const struct pz_picture *src, float x0, float y0, float x1,
                                                   float y1, struct pz_rgb *dst);

struct pz_enlarge;

/** Plan: a square plane of `from` px to rows [first, to) of one of `to` px, pixel centres at +½, edges
 * replicated; Catmull-Rom, or bilinear. NULL on sizes outside [1, 4096], first outside [0, to), no memory.
 * Not shared by threads. */
struct pz_enlarge *pz_enlarge_create(int from, int to, int first, bool cubic);
void pz_enlarge_destroy(struct pz_enlarge **e);

/** src [from][from] → dst [to − first][to]; may not overlap. Allocates nothing. */
void pz_enlarge_run(struct pz_enlarge *e, const float *src, float *dst);

#endif
