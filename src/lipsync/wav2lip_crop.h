/**
 * The upright crop in which the embedded Wav2Lip-family network sees a face: eyes and nose laid on a fixed
 * pattern by a similarity, so that only what speech and a turned head do is left. Pure functions.
 *
 * Crop px: PZ_W2L_BEND_SIZE a side, PZ_W2L_BEND_SCALE px an interocular distance. The pattern and the polygon
 * rule are those of training/wav2lip/data.py.
 */
#ifndef PZ_LIPSYNC_WAV2LIP_CROP_H
#define PZ_LIPSYNC_WAV2LIP_CROP_H

#include "face/face.h"

/** Points of a face's lips: the outer ring, then the inner one. */
#define PZ_WAV2LIP_LIPS 40
/** Anchors: points of the resting mean face around the mouth, laid under a face's pose. */
#define PZ_WAV2LIP_ANCHORS 28
/** Half the window over which crops and what lies in them are averaged, seconds. */
#define PZ_WAV2LIP_REACH_S 0.1

/** The map frame px → crop px of one face alone. False for a degenerate face. */
bool pz_wav2lip_crop_map(const struct pz_face *face, struct pz_affine *to_crop);
/** What a face so far away counts in a mean over ±PZ_WAV2LIP_REACH_S: a triangle, bridged faces little. */
float pz_wav2lip_crop_weight(const struct pz_face *face, double apart_s);

/**
 * Maps frame px → crop px of `n` faces: a triangular mean over ±0.1 s of the frames' own times, bridged faces
 * counting little. Missing faces (NULL) get the identity. Errors: UNSUPPORTED (another set of landmarks).
 */
PZ_NODISCARD enum pz_status pz_wav2lip_crop_maps(const struct pz_face_topology *topo,
                                                 const struct pz_face *const *faces, const double *times,
                                                 int n, struct pz_affine *to_crop);

/** Where the heads' turn alone puts the lower face, whatever the mouth does: anchors of `n` faces in crop px,
 * averaged like the maps. anchor [n][PZ_WAV2LIP_ANCHORS][2]; NaN for missing faces. Needs the topology's mean
 * face. Errors: as pz_wav2lip_crop_maps(). */
PZ_NODISCARD enum pz_status pz_wav2lip_crop_anchors(const struct pz_face_topology *topo,
                                                    const struct pz_face *const *faces, const double *times,
                                                    int n, float (*anchor)[PZ_WAV2LIP_ANCHORS][2]);

/** The map crop px → crop px that lays one head's lower face on another's. The identity where they differ
 * beyond reason. */
struct pz_affine pz_wav2lip_crop_turn(const float (*from)[2], const float (*to)[2]);

/** Cut the crop out of a picture: the first `rows` rows of `side` × `side` px, [3][rows][side] red, green,
 * blue in [0,1]. `cubic` for crops as fine as the film, else averaged bilinear samples. Errors: USAGE
 * (degenerate map). */
PZ_NODISCARD enum pz_status pz_wav2lip_crop_cut(const struct pz_picture *pic, const struct pz_affine *to_crop,
                                                int side, int rows, bool cubic, float *out);

/** Lip points of a face in crop px. */
void pz_wav2lip_crop_lips(const struct pz_face_topology *topo, const struct pz_face *face,
                          const struct pz_affine *to_crop, float (*out)[2]);

/** A plane that marks lips: ½ on them, 1 between them. Errors: NOMEM. */
PZ_NODISCARD enum pz_status pz_wav2lip_crop_mark(const float (*lips)[2], float *plane);

/** Opacity of a patch, [size][size]: the lower face's outline from the nose's base to below the chin,
 * feathered inwards. All 0 for a degenerate face. Errors: NOMEM. */
PZ_NODISCARD enum pz_status pz_wav2lip_crop_alpha(const struct pz_face_topology *topo,
                                                  const struct pz_face *face, const struct pz_affine *to_crop,
                                                  float *alpha);

#endif
