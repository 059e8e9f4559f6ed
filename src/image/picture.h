/**
 * Pictures: the two forms a frame takes inside the program.
 *
 * `pz_picture` is what media hands out and takes back: 8-bit planar Y'CbCr 4:2:0, upright (display rotation
 * already undone). `pz_rgb` is what engines and networks work on: float R'G'B', gamma-encoded, nominal range
 * [0,1]. Pixel centres lie at +½: the point (x, y) in "px" coordinates of this project is inside pixel (⌊x⌋,
 * ⌊y⌋).
 */
#ifndef PZ_IMAGE_PICTURE_H
#define PZ_IMAGE_PICTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum pz_matrix { PZ_MATRIX_BT601 = 0, PZ_MATRIX_BT709 = 1 };

/** 8-bit planar 4:2:0. Chroma planes are ceil(width/2) × ceil(height/2). Plain owned: pz_picture_alloc/free.
 */
struct pz_picture {
    int width, height;
    uint8_t *plane[3]; /**< Y, Cb, Cr */
    int stride[3];     /**< bytes between rows, > 0 */
    enum pz_matrix matrix;
    bool full_range; /**< false: Y in [16,235] */
    void *block;     /**< the one allocation behind the planes */
};

/** Float colour image, planar [3][height][width] (R, G, B). Plain owned: pz_rgb_alloc/free. */
struct pz_rgb {
    int width, height;
    float *data;
};

/** Similarity or affine map in px: x' = a x + b y + c, y' = d x + e y + f. */
struct pz_affine {
    float a, b, c, d, e, f;
};

#define PZ_PICTURE_MAX_SIDE 16384

/** Allocate planes for a size in [1, PZ_PICTURE_MAX_SIDE]². Errors: USAGE (size), NOMEM. `*p` is zero on
 * failure. */
PZ_NODISCARD enum pz_status pz_picture_alloc(struct pz_picture *p, int width, int height);
void pz_picture_free(struct pz_picture *p);
/** Copy pixels and colour tags between pictures of the same size. */
void pz_picture_copy(struct pz_picture *dst, const struct pz_picture *src);
/** The same for what lies in columns [x0, x1) and rows [y0, y1), clipped to the picture, outer chroma pixels
 * whole. */
void pz_picture_copy_box(struct pz_picture *dst, const struct pz_picture *src, int x0, int y0, int x1,
                         int y1);

PZ_NODISCARD enum pz_status pz_rgb_alloc(struct pz_rgb *p, int width, int height);
void pz_rgb_free(struct pz_rgb *p);

#endif
