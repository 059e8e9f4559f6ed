/** Where Wav2Lip looks and what it may change: boxes over time, and the mask of a patch. Pure functions. */
#ifndef PZ_LIPSYNC_WAV2LIP_FACE_H
#define PZ_LIPSYNC_WAV2LIP_FACE_H

#include "face/face.h"

struct pz_wav2lip_box {
    float x0, y0, x1, y1; /**< px of the frame */
};

/** Published pads of the box: px below the chin; none at the other sides. */
#define PZ_WAV2LIP_PAD_BOTTOM 10

/**
 * Boxes of `n` faces, smoothed in time.
 *
 * The tight box of the points, padded, then a triangular mean over ±0.1 s of the frames' own times, weighted
 * without bridged faces where there are measured ones. The published code takes a mean over five frames from
 * the current one on, which is the same length at 25 fps but lags; at other rates it is another length.
 * Missing faces (NULL) get a zero box.
 */
void pz_wav2lip_boxes(const struct pz_face *const *faces, const double *times, int n,
                      struct pz_wav2lip_box *out);

/** The published smoothing, in place on whole px: each box becomes the mean of itself and the four behind it,
 * cut to whole px; of the last four, of the last five (where these were smoothed already, as smoothed).
 * Boxes are x0, y0, x1, y1. Source: spec/wav2lip.md §5. */
void pz_wav2lip_smooth_published(int (*boxes)[4], int n);

/** Map from the square patch of `side` px to the frame. */
struct pz_affine pz_wav2lip_to_frame(const struct pz_wav2lip_box *box, int side);

/** Opacity [side][side]: nothing above 46 % of the height (the eyes are at 35 to 42 %), all of it from 56 %
 * on, an ellipse towards jaw and cheeks that fades over 10 % of the side. */
void pz_wav2lip_mask(int side, float *alpha);

/** First row of a patch that its mask or its texture reaches. */
int pz_wav2lip_first_row(int side);

#endif
