/**
 * S3FD, the face detector of Wav2Lip and MuseTalk (`s3fd.pth`).
 *
 * Input    [B,H,W,3], R−104, G−117, B−123 in 0…255: the published code subtracts the blue mean from red;
 * kept. Source   Zhang et al. 2017, arXiv:1708.05237; spec/wav2lip.md §4.
 */
#ifndef PZ_NN_S3FD_H
#define PZ_NN_S3FD_H

#include "nn/param.h"

#define PZ_S3FD_LEVELS 6

struct pz_s3fd_outputs {
    int cls[PZ_S3FD_LEVELS]; /**< logits: [B,h,w,4] at level 0 (three kinds of background, face), [B,h,w,2]
                                else */
    int box[PZ_S3FD_LEVELS]; /**< [B,h,w,4] */
};

/** Build; widths divided by `divisor` (1 as published). H, W ≥ 64. */
void pz_s3fd_build(struct pz_params *p, int divisor, int x, struct pz_s3fd_outputs *out);

struct pz_s3fd_box {
    float x0, y0, x1, y1, score;
};

/** One level's map of one picture, as the network gives it. */
struct pz_s3fd_map {
    const float *cls, *box;
    int h, w, n_cls;
};

/** Background logit of a cell: the greatest of all but the last. */
float pz_s3fd_background(const float *cls, int n_cls);

/**
 * Boxes of one picture, best first: cells above 0.05, non-maximum suppression at IoU 0.3 (pixel-inclusive),
 * score above 0.5. At most `cap` are written; returns how many, −1 on no memory.
 */
int pz_s3fd_decode(const struct pz_s3fd_map maps[PZ_S3FD_LEVELS], struct pz_s3fd_box *boxes, int cap);

#endif
