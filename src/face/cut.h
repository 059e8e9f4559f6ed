/** Shot cuts: does another scene begin with this picture? Told from a thumbnail and a histogram of luma, so
 * that neither moving heads nor a hand before the camera count. */
#ifndef PZ_FACE_CUT_H
#define PZ_FACE_CUT_H

#include "image/picture.h"

#define PZ_CUT_W 32
#define PZ_CUT_H 18

struct pz_cut {
    bool any;
    float usual; /* running mean of the change from picture to picture */
    uint8_t thumb[PZ_CUT_H * PZ_CUT_W];
    float histogram[32];
};

/** Look at the next picture; true when a cut lies before it. Zero-initialised state has seen none. */
bool pz_cut_seen(struct pz_cut *c, const struct pz_picture *pic);

#endif
