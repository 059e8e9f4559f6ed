/**
 * Is something before the mouth? Told by colour alone: the skin around the mouth looks as it usually does in
 * this film, or it does not.
 *
 * Threads  a look is plain data; pz_face_usual belongs to one thread while looks are added and is read-only
 * after pz_face_usual_finish().
 */
#ifndef PZ_FACE_OCCLUSION_H
#define PZ_FACE_OCCLUSION_H

#include "image/picture.h"

#define PZ_FACE_LOOKS 32

/** Share of unusual places from which on a frame counts as covered. */
#define PZ_FACE_COVERED 0.25f

/** Colour of the places around the mouth in one frame: luma less that of the upper face + 128, Cb, Cr. */
struct pz_face_look {
    uint8_t at[PZ_FACE_LOOKS][3];
};

/** Look at a face; `xyz` are the points of "mediapipe-478" in px of `pic`. Places outside the picture read
 * its edge. */
void pz_face_look_take(const struct pz_picture *pic, const float (*xyz)[3], struct pz_face_look *look);

/** What is usual: histograms of all looks of a person, of constant size. */
struct pz_face_usual;

/** NULL on no memory; free with pz_face_usual_destroy(). */
struct pz_face_usual *pz_face_usual_create(void);
void pz_face_usual_destroy(struct pz_face_usual **u);

void pz_face_usual_add(struct pz_face_usual *u, const struct pz_face_look *look);

/** Median and spread of everything added; call once, before the next function. */
void pz_face_usual_finish(struct pz_face_usual *u);

/** Share in [0,1] of places that look unusual; 0 when fewer than a second's worth (20) of looks was added. */
float pz_face_usual_covered(const struct pz_face_usual *u, const struct pz_face_look *look);

#endif
