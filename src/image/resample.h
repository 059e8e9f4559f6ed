/**
 * Resamplings and mask filters of published pipelines, number for number: what a network was trained to see,
 * not what looks best (that is warp.h). Separable, on float planes, edges as each original has them. A plan
 * belongs to no thread; running it needs the caller's scratch, so that it may be shared.
 */
#ifndef PZ_IMAGE_RESAMPLE_H
#define PZ_IMAGE_RESAMPLE_H

#include "image/picture.h"

enum pz_resample_kind {
    PZ_RESAMPLE_LANCZOS4 = 0, /**< OpenCV's INTER_LANCZOS4: 8 taps whatever the scale, edges replicated */
    PZ_RESAMPLE_BICUBIC = 1 /**< PyTorch's antialiased bicubic: a = −0.5, widened when shrinking, taps outside
                               left out */
};

struct pz_resample;

/** Plan [sh][sw] → [dh][dw]. NULL on sizes outside [1, 8192] or no memory. */
struct pz_resample *pz_resample_create(enum pz_resample_kind kind, int sw, int sh, int dw, int dh);
void pz_resample_destroy(struct pz_resample **r);

/** Floats of scratch a run needs: sh × dw. */
size_t pz_resample_scratch(const struct pz_resample *r);

/** src [sh][sw] → dst [dh][dw]; src, dst and scratch must not overlap. Values are neither clipped nor
 * rounded. */
void pz_resample_run(const struct pz_resample *r, const float *src, float *scratch, float *dst);

/** Smallest value of a k×k box around each pixel: offsets −⌊k/2⌋ … k−1−⌊k/2⌋ (an even box covers more above
 * and at the left), what lies outside is left out. plane [h][w] in place; scratch [h][w]; 1 ≤ k. */
void pz_erode_box(float *plane, float *scratch, int w, int h, int k);

/** Gaussian of `k` taps (odd, ≤ 255, at most 2·min(w,h) − 1) and `sigma` px, edges mirrored without repeating
 * the edge pixel. plane [h][w] in place, scratch [h][w]. */
void pz_gauss_taps(float *plane, float *scratch, int w, int h, int k, float sigma);

#endif
