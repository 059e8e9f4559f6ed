/**
 * Colour: Y'CbCr ↔ R'G'B' for the matrices and ranges of `pz_picture`, and CIELAB for measuring.
 *
 * R'G'B' here is gamma-encoded with nominal range [0,1]. Chroma is sited as H.264 does by default (type 0:
 * level with the left luma column, midway between two luma rows); all functions of this folder assume that.
 * Pure, any thread.
 */
#ifndef PZ_IMAGE_COLOR_H
#define PZ_IMAGE_COLOR_H

#include "image/picture.h"

/** The linear map both ways, in 8-bit code values of Y'CbCr. */
struct pz_color {
    float to_rgb[3][3]; /**< rgb = to_rgb · (ycc − zero) */
    float to_ycc[3][3]; /**< ycc = to_ycc · rgb + zero */
    float zero[3];      /**< code values of black: Y 16 or 0, chroma 128 */
};

/** Coefficients. Source: ITU-R BT.601-7 §2.5, BT.709-6 §3, ranges of H.273 (8-bit). */
struct pz_color pz_color_of(enum pz_matrix matrix, bool full_range);

/** Whole picture to float RGB of the same size, chroma interpolated bilinearly. `out` must be allocated to
 * that size. */
void pz_picture_to_rgb(const struct pz_picture *p, struct pz_rgb *out);

/** Float RGB into a picture of the same size, with the picture's own matrix and range; values are clipped,
 * chroma is averaged over its footprint, NaN becomes black. */
void pz_picture_from_rgb(const struct pz_rgb *rgb, struct pz_picture *out);

/** CIELAB (D65, 2°) of one gamma-encoded sRGB/BT.709-primaries colour. Source: IEC 61966-2-1, CIE 15:2004. */
void pz_color_lab(const float rgb[3], float lab[3]);

#endif
