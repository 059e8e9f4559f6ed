/**
 * A puppet for the tests of lipsync: 60 points of a toy head with a mouth moved by three known numbers, put
 * under a known pose. Points 0..11 rigid (eyes, brow), 12 nose tip, 13..24 outer lip, 25..32 inner lip, 33
 * chin, 34..45 jaw, 46..59 cheeks.
 */
#ifndef PZ_TEST_PUPPET_H
#define PZ_TEST_PUPPET_H

#include "face/face.h"

#define PUPPET_POINTS 60

extern const struct pz_face_topology puppet_topology;

/** What moves: lip gap in interocular units, mouth width change (head units, + = wider), protrusion (head
 * units). */
struct puppet_mouth {
    float gap, width, protrusion;
};

/** Head-space points of the puppet. */
void puppet_points(const struct puppet_mouth *mouth, float p[PUPPET_POINTS][3]);

/** Face record under a pose given in degrees and px; `noise_px` (1-sigma, seeded by frame) is added to the
 * points. */
void puppet_face(const struct puppet_mouth *mouth, int64_t frame, float yaw, float pitch, float roll,
                 float scale, float tx, float ty, float noise_px, struct pz_face *out);

#endif
