/**
 * MuseTalk's geometry: the box it looks at, the mask through which its picture is seen. Pure functions.
 *
 * Differences to the published code: landmarks are our tracker's, not DWPose's 68 points. Point 29 (the
 * bridge of the nose, two thirds of the way from between the eyes to the tip) is put there from the inner eye
 * corners and the nose tip; the other extremes are those of the face's contour below the eyes. Boxes can be
 * smoothed over time (published: each frame's own, whole pixels).
 *
 * Source  spec/musetalk.md §7.3, §8, §9.
 */
#ifndef PZ_LIPSYNC_MUSETALK_FACE_H
#define PZ_LIPSYNC_MUSETALK_FACE_H

#include "face/face.h"

/** Side of a parsed crop. */
#define PZ_MUSETALK_PARSED 512
#define PZ_MUSETALK_MASK_BYTES (PZ_MUSETALK_PARSED * PZ_MUSETALK_PARSED / 8)

/** Sizes of the film's frames and the version's margin below the chin: 0 px (1.0), 10 px (1.5). */
struct pz_musetalk_frame {
    int width, height, margin;
};

/** The published rule from its three ingredients, whole px: `half` = y of point 29, extremes of all points.
 * The bottom gets the margin and ends with the frame. False when there is no box (no width or height, or it
 * begins left of the frame): the caller then takes a detector's box. */
bool pz_musetalk_box_rule(float half, float min_x, float max_x, float max_y,
                          const struct pz_musetalk_frame *f, int box[4]);

/** Box of one face before smoothing: the rule, or the tracker's own box where the rule gives none, inside the
 * frame. False when nothing is left (the face is outside). */
bool pz_musetalk_box(const struct pz_face *face, const struct pz_face_topology *t,
                     const struct pz_musetalk_frame *f, float box[4]);

/**
 * Boxes of `n` faces (NULL or absent: zero box) at ascending times. `calm`: triangular mean over ±0.12 s,
 * between pixels; else each frame's own.
 */
void pz_musetalk_boxes(const struct pz_face *const *faces, const double *times, int n,
                       const struct pz_face_topology *t, const struct pz_musetalk_frame *f, bool calm,
                       float (*out)[4]);

/** The square around a box that is parsed: [x, x+side) × [y, y+side), may reach outside the frame. */
struct pz_musetalk_square {
    int x, y, side;
};
struct pz_musetalk_square pz_musetalk_square(const float box[4]);

enum pz_musetalk_mode { PZ_MUSETALK_RAW = 0, PZ_MUSETALK_JAW, PZ_MUSETALK_NECK };

/** The 33 × 33 kernel that lets the jaw mask grow, 1 and 0. */
void pz_musetalk_jaw_kernel(uint8_t kernel[33][33]);

/** Mask from parsed classes [512][512]: out 0 or 255. `cheek`: half width of the stretch in the middle where
 * the jaw mask grows and beside which it shrinks, 90 px (1.5) or 80. Errors: NOMEM (not logged). */
PZ_NODISCARD enum pz_status pz_musetalk_mask(const uint8_t *classes, enum pz_musetalk_mode mode, int cheek,
                                             uint8_t *out);

/** 512² bytes (≥ 128 = in) to bits, lowest first, and back: bits of `n` masks to their weighted mean, bytes
 * 0..255. Weights add up to 1. */
void pz_musetalk_pack(const uint8_t *mask, uint8_t *bits);
void pz_musetalk_unpack(const uint8_t *const *bits, const float *weight, int n, uint8_t *mask);

/** Taps of the blur of a square's edge: 2 floor(0.05 side / 2) + 1. */
int pz_musetalk_blur_taps(int side);

/**
 * Opacity of the made picture over its box, bytes: the parsed square's mask at the square's size, kept inside
 * the box and in the square's lower half, blurred.
 *
 * mask [512][512]; out [h][w] with w, h the box's sides in whole px (pz_musetalk_sides()). Errors: NOMEM.
 */
PZ_NODISCARD enum pz_status pz_musetalk_weights(const uint8_t *mask, const float box[4], uint8_t *out);
void pz_musetalk_sides(const float box[4], int *w, int *h);

#endif
