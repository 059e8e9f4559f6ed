/**
 * Where the lower face hangs: what is left of a head's pose at the wings of the nose.
 *
 * A weak-perspective pose of a rigid set of points is a little wrong at the nose, most when the head nods,
 * and the error stays for seconds. Lips hang below the nose, so a motion learned at one nod is drawn too high
 * or too low at another. The two lowest rigid points show that error without looking at the mouth. It is
 * averaged over a third of a second: what remains is posture and pose, never the words that were spoken.
 */
#ifndef PZ_LIPSYNC_MOTION_ANCHOR_H
#define PZ_LIPSYNC_MOTION_ANCHOR_H

#include "lipsync/motion_space.h"

struct pz_motion_anchor {
    int32_t point[2];              /**< the two lowest of the space's rigid points */
    float shift[2][PZ_MOTION_MAX]; /**< m that moves the lower face by one head unit along x, y */
};

/** Anchor of a space. False when it has fewer than four rigid points or no basis to move: nothing then hangs.
 */
bool pz_motion_anchor_make(const struct pz_motion_space *s, struct pz_motion_anchor *out);

/** How far the anchor of a face lies from its mean, head units, x and y. False (out zero) for a face that
 * cannot be read. Depends on the rigid points and the pose only. */
bool pz_motion_anchor_offset(const struct pz_motion_space *s, const struct pz_motion_anchor *a,
                             const struct pz_face *face, float out[2]);

/** Average over time in place: `offset` [n][2] at `times` [n] (seconds, ascending); entries with known[i]
 * false take their neighbours'. `scratch` [n][2]. */
void pz_motion_anchor_smooth(const double *times, const bool *known, int n, float (*offset)[2],
                             float (*scratch)[2]);

/** Add an offset's motion to m [K]. */
void pz_motion_anchor_add(const struct pz_motion_space *s, const struct pz_motion_anchor *a,
                          const float offset[2], float *m);

#endif
