/**
 * Resampling of 8-bit pictures as the published lip-sync pipelines do it: theirs is part of what their
 * networks were trained on. Pure functions; rows are contiguous, channels interleaved.
 *
 * Numerics  the published libraries add in fixed point; these add in float and round once where those do, so
 * a value can be one step off, of the blur (whose weights they round to 1/256) up to three. Source
 * spec/musetalk.md §5, §8, §9.
 */
#ifndef PZ_LIPSYNC_PIXELS_H
#define PZ_LIPSYNC_PIXELS_H

#include "image/picture.h"

/** The upright region [x0, x0+w) × [y0, y0+h) of a picture as 8-bit R, G, B: out [h][w][3]. Outside the
 * picture it is black, or with `repeat` the nearest edge pixel. Errors: NOMEM (not logged). */
PZ_NODISCARD enum pz_status pz_pixels_region(const struct pz_picture *src, int x0, int y0, int w, int h,
                                             bool repeat, uint8_t *out);

/**
 * The box [x0,x1] × [y0,y1] (px of `src`, may lie between pixels) of an 8-bit picture [h][w][3] at a size of
 * side × side: eight taps a direction, not widened when it shrinks, edges of the box repeated.
 * out [side][side][3]. Errors: USAGE (empty box, or outside the picture), NOMEM; not logged.
 */
PZ_NODISCARD enum pz_status pz_pixels_lanczos4(const uint8_t *src, int w, int h, const float box[4], int side,
                                               uint8_t *out);

/** Two taps a direction: float planes, src [n][sh][sw] → dst [n][dh][dw], pixel centres at +½, edges
 * repeated. */
void pz_pixels_bilinear(const float *src, int n, int sw, int sh, float *dst, int dw, int dh);

enum pz_pixels_filter { PZ_PIXELS_TRIANGLE, PZ_PIXELS_BICUBIC /**< a = −½ */ };

/** Resize with the filter widened when it shrinks, rounded after each direction: src [sh][sw][n] →
 * dst [dh][dw][n]. Errors: NOMEM (not logged). */
PZ_NODISCARD enum pz_status pz_pixels_resize(const uint8_t *src, int sw, int sh, int n,
                                             enum pz_pixels_filter filter, uint8_t *dst, int dw, int dh);

/** The part x, y, w, h of what pz_pixels_resize() gives, alone: dst [h][w][n]. Errors: USAGE (not a part of
 * it), NOMEM; not logged. */
PZ_NODISCARD enum pz_status pz_pixels_resize_part(const uint8_t *src, int sw, int sh, int n,
                                                  enum pz_pixels_filter filter, int dw, int dh,
                                                  const int part[4], uint8_t *dst);

/** Gaussian blur of one plane in place, odd kernel of `k` taps, deviation 0.3 ((k−1)/2 − 1) + 0.8, edges
 * mirrored without repeating the edge pixel. Errors: NOMEM (not logged). */
PZ_NODISCARD enum pz_status pz_pixels_blur(uint8_t *plane, int w, int h, int k);

#endif
