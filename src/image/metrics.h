/**
 * Quality figures. All of them are pure functions over float planes and point sets; 1.0 is white, px are px.
 */
#ifndef PZ_IMAGE_METRICS_H
#define PZ_IMAGE_METRICS_H

#include "image/picture.h"

/** PSNR in dB for a peak of `peak`; INFINITY when equal, NAN when n is 0. */
double pz_metric_psnr(const float *a, const float *b, size_t n, double peak);

/** Sum of squared differences of the luma of two pictures over rows/columns [x0,x1)×[y0,y1), in code values.
 */
double pz_metric_luma_sse(const struct pz_picture *a, const struct pz_picture *b, int x0, int y0, int x1,
                          int y1);

/**
 * Mean SSIM of two planes, 11-tap Gaussian window σ = 1.5, K1 = 0.01, K2 = 0.03, only windows that fit.
 *
 * Shapes    a, b [h][w]; w, h ≥ 11
 * Units     `peak` is the range of the values (1 or 255)
 * Errors    USAGE (too small), NOMEM
 * Source    Wang et al. 2004, doi 10.1109/TIP.2003.819861
 */
PZ_NODISCARD enum pz_status pz_metric_ssim(const float *a, const float *b, int w, int h, double peak,
                                           double *out);

/** CIEDE2000 colour difference, kL = kC = kH = 1. Source: Sharma, Wu, Dalal 2005, doi 10.1002/col.20070. */
double pz_metric_ciede2000(const float lab1[3], const float lab2[3]);

/**
 * Seam: CIEDE2000 across the border of a pasted patch minus the same across the same border in the source.
 *
 * At points along the border the mean colours of two patches, just inside and just outside, are compared. The
 * figure is the mean over the border of (made − source); ≤ 0 means that nothing was added.
 *
 * Shapes    alpha [h][w] in patch px, border where it first exceeds 0.02; to_frame patch px → frame px
 * Returns   NAN when the border has no usable point (all of it outside the frame)
 * Errors    USAGE (pictures differ in size, singular map), NOMEM
 */
PZ_NODISCARD enum pz_status pz_metric_seam(const struct pz_picture *made, const struct pz_picture *source,
                                           const float *alpha, int w, int h, const struct pz_affine *to_frame,
                                           double *out);

/** Mean absolute second difference of a track: mean over t, points and axes of |p[t+1] − 2 p[t] + p[t−1]|.
 *  Shapes: track [n_frames][n_points][2]; a frame whose first value is NaN breaks the track there. NAN if no
 * triple. */
double pz_metric_jitter(const float *track, int n_frames, int n_points);

/** Pearson correlation of two series; pairs with a NaN are left out. NAN when fewer than 3 or one is
 * constant. */
double pz_metric_pearson(const float *a, const float *b, int n);

/**
 * Landmark distance of two shapes after aligning `made` onto `truth` by the similarity of their anchor
 * points.
 *
 * Shapes    truth, made [n][2]; anchors: indices of points that do not speak (eyes, nose) [n_anchors ≥ 2];
 *           points: indices that are measured [n_points ≥ 1]
 * Returns   mean distance in px of `truth`; NAN when the anchors are degenerate
 */
double pz_metric_landmarks(const float (*truth)[2], const float (*made)[2], const int *anchors, int n_anchors,
                           const int *points, int n_points);

/** Lag in samples, |lag| ≤ max_lag, at which `b` best matches `a` (normalised cross-correlation; positive: b
 * is late), refined by a parabola. `*peak` gets the correlation there (may be NULL). NAN when either is
 * silent or too short. */
double pz_metric_lag(const float *a, const float *b, int64_t n, int max_lag, double *peak);

#endif
