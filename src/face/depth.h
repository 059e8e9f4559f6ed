/**
 * Depth from motion: how far forward each point of a head lies, judged by how it moves in the picture when
 * the head turns. A landmarker's depth is what faces look like in general; a pose made of it leaves the mouth
 * a per cent or two beside its place as soon as the head turns.
 *
 * Use: create; for every turn of pose and shape: begin, add all frames, solve. Threads: one thread per
 * object.
 */
#ifndef PZ_FACE_DEPTH_H
#define PZ_FACE_DEPTH_H

#include "face/pose.h"

struct pz_depth;

/** NULL on no memory; free with pz_depth_destroy(). */
struct pz_depth *pz_depth_create(void);
void pz_depth_destroy(struct pz_depth **d);

/** Forget all frames. */
void pz_depth_begin(struct pz_depth *d);

/** A frame: `xyz` [478] px with the landmarker's own depth, `f` the head's pose. Poses of scale 0 are passed
 * over. */
void pz_depth_add(struct pz_depth *d, const struct pz_head_fit *f, const float (*xyz)[3]);

/**
 * What to add to each point's depth, head units, positive towards the camera: `shift` [478].
 *
 * Least squares over the frames of the point's place in the picture: where it rests and how far it goes with
 * the opening of the lips, at once, since people nod as they speak and a falling jaw looks like a deeper one.
 * Held to the landmarker's mean depth by a prior of 0.1 head units against the point's own scatter (that of
 * eight frames counts as one: neighbours err alike). A head that does not turn keeps its depth. All 0 with
 * fewer than 25 frames.
 */
void pz_depth_solve(const struct pz_depth *d, float *shift);

#endif
