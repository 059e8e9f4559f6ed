/** Inside media only: the H.264 encoder of this machine, opened so that its stream can live beside another
 * one. */
#ifndef PZ_MEDIA_ENCODE_H
#define PZ_MEDIA_ENCODE_H

#include "media/av.h"

struct pz_h264_params {
    int width, height; /**< coded */
    struct pz_rational time_base, rate, sample_aspect;
    int primaries, transfer, space, range; /**< as in pz_film_info */
    int profile, level;                    /**< profile_idc 66, 77, 100; level_idc, 0 = encoder's choice */
    int reorder;        /**< most frames the stream may hold back: 0 no B-frames, 1 plain ones, 2 a pyramid */
    int set_id;         /**< id of its parameter sets, -1 = the encoder's own choice */
    double crf;         /**< x264 scale */
    const char *preset; /**< x264's; NULL: our own choice, see encode.c */
    int key_interval;   /**< frames */
    bool constant_rate;
    int threads;
    int64_t bit_rate; /**< of the source; for encoders without a quality scale */
};

/** Open libx264, else OpenH264. `*own_id` tells whether `set_id` was honoured. Extradata is Annex B. Frames
 * go in with pts and pict_type set by the caller. Errors: UNSUPPORTED (no encoder in this FFmpeg), INTERNAL.
 */
PZ_NODISCARD enum pz_status pz_h264_open(const struct pz_h264_params *p, struct pz_log *log,
                                         AVCodecContext **enc, bool *own_id);

#endif
