/**
 * Crops for the face networks: a rotated square of a picture, sampled straight from the Y'CbCr planes into
 * the NHWC RGB the networks want. Shrinking by more than two goes through halved planes first, so that
 * nothing aliases.
 */
#ifndef PZ_FACE_CROP_H
#define PZ_FACE_CROP_H

#include "image/picture.h"

/** A rotated rectangle: centre and size in px, `angle` in radians (clockwise in the picture from the x axis).
 */
struct pz_face_rect {
    float cx, cy, w, h, angle;
};

/** Memory for halved planes; grows to the largest picture seen and is kept. */
struct pz_crop_scratch {
    uint8_t *data;
    size_t bytes;
};
void pz_crop_scratch_free(struct pz_crop_scratch *s);

enum {
    PZ_CROP_BLACK = 1, /**< outside the picture is `lo`; else the nearest edge pixel */
    PZ_CROP_FINE = 2   /**< shrinking by 1.25 to 2 takes the mean of four luma samples, not one */
};

/**
 * Fill out [size_h][size_w][3] with lo + (hi − lo)·R'G'B', nominal R'G'B' clipped to [0,1]. `how`: PZ_CROP_….
 * Errors: NOMEM.
 */
PZ_NODISCARD enum pz_status pz_face_crop(const struct pz_picture *pic, const struct pz_face_rect *rect,
                                         float lo, float hi, unsigned how, struct pz_crop_scratch *scratch,
                                         float *out, int size_w, int size_h);

/** The picture point of crop coordinate (u, v) in [0,1]² of a rectangle. */
void pz_face_rect_point(const struct pz_face_rect *r, float u, float v, float *x, float *y);

#endif
