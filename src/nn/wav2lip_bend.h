/**
 * The network of `wav2lip:embedded`: a small member of Wav2Lip's family that bends the speaker's own pictures
 * instead of painting a mouth. Trained by training/wav2lip; layer for layer its model.py.
 *
 * What differs from the published generator: two reference pictures of the speaker (lips at rest, lips open),
 * each with a plane that marks its lips; 0.4 s of mel around the picture instead of 0.2 s from it on; and the
 * answer is not a picture but how to make one (see pz_wav2lip_bend_face()). Layout   pictures [B,128,128,C]
 * red, green, blue in [0,1]; sound [B,80,32,1] (band, time).
 */
#ifndef PZ_NN_WAV2LIP_BEND_H
#define PZ_NN_WAV2LIP_BEND_H

#include "nn/param.h"

#define PZ_W2L_BEND_SIZE 128   /**< side of a crop, px */
#define PZ_W2L_BEND_SCALE 64   /**< px of the crop per interocular distance */
#define PZ_W2L_BEND_EYES 20    /**< row of the line through the eyes */
#define PZ_W2L_BEND_HIDDEN 52  /**< first row of the face to be given a mouth that is hidden (0) */
#define PZ_W2L_BEND_COLUMNS 32 /**< mel frames of a window */
#define PZ_W2L_BEND_WIDTH 256  /**< of a sound's embedding */
#define PZ_W2L_BEND_INPUTS 11  /**< hidden face 3; at rest 3, its lips 1; open 3, its lips 1 */
#define PZ_W2L_BEND_FLOW 16    /**< px of the crop per unit of the flow output */

/** Sound: mel [B,80,32,1] → [B,1,1,256]. */
int pz_wav2lip_bend_audio(struct pz_params *p, int mel);

/**
 * Face and sound to instructions: embedding [B,1,1,256] and face [B,128,128,11] →
 *   `*flow` [B,128,128,4]  where each pixel is fetched from, relative to itself, in PZ_W2L_BEND_FLOW px: x, y
 * in the picture at rest, x, y in the open one `*look` [B,128,128,5]  share of the open one, opacity of
 * paint, paint (R, G, B); all in [0,1]
 */
void pz_wav2lip_bend_face(struct pz_params *p, int embedding, int face, int *flow, int *look);

/** Names to ignore (pz_params_options.ignore) when only one half is built. */
extern const char *const pz_wav2lip_bend_audio_names[], *const pz_wav2lip_bend_face_names[];

#endif
