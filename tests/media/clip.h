/** Small synthetic films for the tests of media: every frame carries its number in blocks along its top edge.
 */
#ifndef PZ_TESTS_MEDIA_CLIP_H
#define PZ_TESTS_MEDIA_CLIP_H

#include <stdbool.h>
#include <stdint.h>

#include "media/media.h"

struct clip {
    const char *path;
    const char *encoder; /**< NULL: libx264 */
    const char *x264_params;
    const char *profile; /**< NULL: the encoder's */
    const char *pix_fmt; /**< NULL: yuv420p */
    int width, height;   /**< 0: 320×192 */
    int n_frames;        /**< 0: no video track */
    int time_base_den;   /**< ticks per second */
    int step;            /**< ticks per frame when `pts` is NULL */
    const int64_t *pts;  /**< own time stamps */
    int64_t first_pts;
    int gop, b_frames;
    int rotation;              /**< clockwise turn written into the display matrix */
    int color;                 /**< code point for primaries, transfer and matrix; 0: untagged */
    int transfer;              /**< overrides `color` for the transfer when > 0 */
    int flash_frame;           /**< one white frame; -1 none */
    const char *sound_encoder; /**< NULL: no sound */
    int rate, channels;
    double sound_s;
    int64_t beep_at, beep_n; /**< samples; silence around */
    bool tone;               /**< a continuous chirp instead */
};

/** Make the film with the FFmpeg libraries. False (and a line on stderr) when something is missing. */
bool clip_make(const struct clip *c);

/** The number in an upright picture of a film that was turned by `rotation`; -1 when it cannot be read. */
int clip_number(const struct pz_picture *p, int rotation);

/** FNV-1a of all pixels. */
uint64_t clip_hash(const struct pz_picture *p);

/** Value of the continuous test tone at sample `i`. */
float clip_tone(int64_t i, int rate, int channel);

#endif
