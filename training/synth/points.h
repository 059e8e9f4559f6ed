/**
 * The product's landmarks (MediaPipe's 478-point topology and extras) on the head of asset.h.
 *
 * Numbers: 0-477 as in src/face/topology.c (468-472 iris of the subject's right eye, 473-477 of the left:
 * centre, then four on the rim; they turn with the eyeball because rig.c turns its vertices); 478, 479 edge
 * of the upper middle incisors (subject's left, right); 480, 481 of the lower ones; 482-511 ears, under the
 * jaw and neck, in pairs (subject's left, right).
 */
#ifndef PZ_SYN_POINTS_H
#define PZ_SYN_POINTS_H

#include <stdint.h>

#include "vec.h"

enum { PZ_SYN_N_MARKS = 512, PZ_SYN_MARK_TEETH = 478, PZ_SYN_MARK_NECK = 482 };

/** A place of the mesh: sum of w[k] * vertex[v[k]]; weights add up to 1. */
struct pz_syn_mark {
    uint16_t v[3];
    float w[3];
};

extern const struct pz_syn_mark pz_syn_marks[PZ_SYN_N_MARKS];
/** Number of the point that becomes point i when the picture is mirrored; its own inverse. */
extern const uint16_t pz_syn_marks_mirror[PZ_SYN_N_MARKS];

/** Places of all points for posed vertices `vertex` [26719] (pz_syn_rig_pose(), head space or world), into
 * out [512]. Thread safe. */
void pz_syn_marks_place(const struct v3 *vertex, struct v3 *out);

#endif
