/** A steady region of interest: one-euro filter (Casiez 2012) on its centre, size and turn. Points are never
 * filtered here. */
#ifndef PZ_FACE_STEADY_H
#define PZ_FACE_STEADY_H

#include <stdint.h>

#include "face/crop.h"

struct pz_steady {
    bool any;
    int64_t frame;
    float v[4], speed[4];
};

/** Filter a region in place; zero-initialised state takes the first as it is. */
void pz_steady_roi(struct pz_steady *s, int64_t frame, struct pz_face_rect *r);

#endif
