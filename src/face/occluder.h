/**
 * What stands before the mouth (a hand, a cup, a microphone), as a plane for the compositor: our parser's
 * class "occluder" on the frames that the tracker calls covered, and on no others.
 *
 * Threads  one thread at a time per object.
 */
#ifndef PZ_FACE_OCCLUDER_H
#define PZ_FACE_OCCLUDER_H

#include "face/track.h"

/** Frames on either side of a covered one that are looked at too: a cover comes and goes by degrees. */
#define PZ_FACE_OCCLUDER_NEAR 6

/** struct pz_face.covered from which on the compositor wants to know more: less than makes a frame count as
 * covered. */
#define PZ_FACE_OCCLUDER_FROM 0.12f

/** Is the mouth of `frame` covered, or that of a frame near by? */
bool pz_face_occluder_wanted(const struct pz_face_track *t, int64_t frame);

struct pz_face_occluder;

/** `models_dir` as pz_face_tracker_params. Errors: WEIGHTS, NOMEM. */
PZ_NODISCARD enum pz_status pz_face_occluder_create(const char *models_dir, struct pz_log *log,
                                                    struct pz_face_occluder **o);
void pz_face_occluder_destroy(struct pz_face_occluder **o);

/** Share in [0,1] of the mouth and what is next to it (the outer lips' ring × 1.5) that is covered. Errors:
 * NOMEM. */
PZ_NODISCARD enum pz_status pz_face_occluder_share(struct pz_face_occluder *o, const struct pz_picture *pic,
                                                   const float (*xyz)[3], struct pz_pool *pool, float *share);

/**
 * Look at a frame.
 *
 * xyz       points of the face in px of `pic` (struct pz_face, "mediapipe-478")
 * to_frame  patch px → frame px, pixel centres at +½ in both, as struct pz_paste_patch
 * plane     [h][w], 1 where the film stays on top, 0 elsewhere, soft at the edge over two of the parser's
 * cells (a 48th of the face's region); lives as long as the object, until the next call Errors    NOMEM,
 * USAGE (sides not in [1, PZ_PICTURE_MAX_SIDE])
 */
PZ_NODISCARD enum pz_status pz_face_occluder_look(struct pz_face_occluder *o, const struct pz_picture *pic,
                                                  const float (*xyz)[3], const struct pz_affine *to_frame,
                                                  int w, int h, struct pz_pool *pool, const float **plane);

#endif
