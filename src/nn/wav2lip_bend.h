/**
 * The networks of `wav2lip:embedded`: a small member of Wav2Lip's family that bends the speaker's own
 * pictures instead of painting a mouth. Trained by training/wav2lip; layer for layer its model.py.
 *
 * What differs from the published generator: between ear and hand stands a mouth that can be named, 41
 * points, so that an ear fitted to the speaker can take the place of the shipped one; two reference pictures
 * of the speaker (lips at rest, lips open), each with a plane that marks its lips; 0.4 s of mel around the
 * picture instead of 0.2 s from it on; and the answer is not a picture but how to make one (see
 * pz_wav2lip_bend_face()). Layout   pictures [B,128,128,C] red, green, blue in [0,1]; sound [B,80,32,1]
 * (band, time). Points of a mouth: outer lips 20, inner lips 20 (rings of the topology), chin.
 */
#ifndef PZ_NN_WAV2LIP_BEND_H
#define PZ_NN_WAV2LIP_BEND_H

#include "nn/param.h"

#define PZ_W2L_BEND_SIZE 128   /**< side of a crop, px */
#define PZ_W2L_BEND_SCALE 64   /**< px of the crop per interocular distance */
#define PZ_W2L_BEND_EYES 20    /**< row of the line through the eyes */
#define PZ_W2L_BEND_HIDDEN 52  /**< first row of the face to be given a mouth that is hidden (0) */
#define PZ_W2L_BEND_COLUMNS 32 /**< mel frames of a window */
#define PZ_W2L_BEND_INPUTS                                                                                   \
    12                        /**< hidden face 3; at rest 3, its lips 1; open 3, its lips 1; wished lips 1   \
                               */
#define PZ_W2L_BEND_FLOW 16   /**< px of the crop per unit of the flow output and of a wish */
#define PZ_W2L_BEND_POINTS 41 /**< of a mouth */
#define PZ_W2L_BEND_MOUTH (2 * PZ_W2L_BEND_POINTS) /**< numbers the ear gives */
#define PZ_W2L_BEND_WISH (4 * PZ_W2L_BEND_POINTS)  /**< numbers the hand is told */

/** Ear: mel [B,80,32,1] → mouth [B,1,1,82]: how far each point lies from where it rests, x (to the subject's
 * left) and y (up) on the head seen from the front, in a sixteenth of an interocular distance. */
int pz_wav2lip_bend_audio(struct pz_params *p, int mel);

/**
 * Hand: what is wished for and face [B,128,128,12] to instructions.
 *   wish [B,1,1,164]  of every point: x, y of the wished one less the one at rest, x, y of it less the open
 * one, in PZ_W2L_BEND_FLOW px of the crop
 *   `*flow` [B,128,128,4]  where each pixel is fetched from, relative to itself, in PZ_W2L_BEND_FLOW px: x, y
 * in the picture at rest, x, y in the open one
 *   `*look` [B,64,64,20]  squares of 2 × 2 px: for share of the open one, opacity of paint, R, G, B of paint
 * the values of the upper left, upper right, lower left, lower right pixel; all in [0,1]
 */
void pz_wav2lip_bend_face(struct pz_params *p, int wish, int face, int *flow, int *look);

/** Names to ignore (pz_params_options.ignore) when only one half is built. */
extern const char *const pz_wav2lip_bend_audio_names[], *const pz_wav2lip_bend_face_names[];

#endif
