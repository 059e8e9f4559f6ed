/**
 * Likeness: is this the same person? A small signature of a face's looks, read at places of the mesh above
 * the mouth and at some around the head: how light they are among each other, and their colours. Turning the
 * head or another exposure change it little. No biometric template: good enough to tell the few people of one
 * film apart (measured in docs/notes/face.md), and useless beyond it.
 *
 * Threads  signatures and albums are plain data; taking one uses the caller's scratch.
 */
#ifndef PZ_FACE_LIKENESS_H
#define PZ_FACE_LIKENESS_H

#include "face/crop.h"

#define PZ_LIKENESS_PLACES 106

struct pz_likeness {
    float light[PZ_LIKENESS_PLACES];   /**< logarithm of luma */
    float tint[PZ_LIKENESS_PLACES][2]; /**< shares of red and blue */
    float weight[PZ_LIKENESS_PLACES];  /**< how much the place faces the camera, [0,1] */
};

/** Distances: below SAME it is the same person; above OTHER another one, or something covers the face. */
#define PZ_LIKENESS_SAME 0.33f
#define PZ_LIKENESS_OTHER 0.50f

/** Look at the face with these points (px of `pic`). Errors: NOMEM. */
PZ_NODISCARD enum pz_status pz_likeness_take(const struct pz_picture *pic, const float (*xyz)[3],
                                             struct pz_crop_scratch *scratch, struct pz_likeness *out);

/** [0, 2]: one less the weighted correlation of light, plus the mean difference of tints. */
float pz_likeness_distance(const struct pz_likeness *a, const struct pz_likeness *b);

/** Several looks of one person: turned, smiling, in another light. */
#define PZ_ALBUM 8
struct pz_album {
    struct pz_likeness look[PZ_ALBUM];
    int n, next;
};

/** Distance of the nearest look; 2 when the album is empty. */
float pz_album_distance(const struct pz_album *a, const struct pz_likeness *l);
/** Keep this look unless one like it is there; when the album is full the oldest but the first goes. */
void pz_album_add(struct pz_album *a, const struct pz_likeness *l);

#endif
