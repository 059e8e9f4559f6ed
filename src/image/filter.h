/** Filters on float planes: Gaussian blur, Laplacian, noise estimate. Pure functions except where `scratch`
 * is asked. */
#ifndef PZ_IMAGE_FILTER_H
#define PZ_IMAGE_FILTER_H

#include "image/picture.h"

/** Largest sigma pz_blur_gaussian() takes, px. */
#define PZ_BLUR_MAX_SIGMA 40.0f

/**
 * Separable Gaussian blur in place, edges replicated, kernel cut at 3 sigma.
 *
 * Shapes    plane, scratch: [h][w]
 * Units     sigma px, (0, PZ_BLUR_MAX_SIGMA]; ≤ 0 leaves the plane as it is
 */
void pz_blur_gaussian(float *plane, float *scratch, int w, int h, float sigma);

/** 5-point Laplacian (sum of 4 neighbours − 4·centre) of the interior; the 1-px frame of `out` is 0. */
void pz_laplacian(const float *plane, float *out, int w, int h);

/** Variance of the Laplacian over the interior; 0 when a side is < 3. Source: Pech-Pacheco et al. 2000. */
double pz_laplacian_variance(const float *plane, int stride, int w, int h);

/** Standard deviation of white noise in a plane: robust mean of |second difference of second difference| with
 * the largest fifth left out (edges). 0 when a side is < 3. Source: Immerkær 1996,
 * doi 10.1006/cviu.1996.0060. */
double pz_noise_sigma(const float *plane, int stride, int w, int h);

#endif
