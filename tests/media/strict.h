/** Decoding a file with FFmpeg alone, taking every complaint of the decoder as a failure. */
#ifndef PZ_TESTS_MEDIA_STRICT_H
#define PZ_TESTS_MEDIA_STRICT_H

#include <stdint.h>

/** Decode all of the picture track (`audio` 0) or the sound track (1) from the beginning, or from `seek_pts`
 * on when it is ≥ 0. Returns the number of frames, -1 on any error or error message. `pts` (may be NULL)
 * takes up to `cap` times. */
int strict_decode(const char *path, int audio, int64_t seek_pts, int64_t *pts, int cap);

#endif
