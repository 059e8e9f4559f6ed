/** Inside media only: the index of a film's frames. */
#ifndef PZ_MEDIA_INDEX_H
#define PZ_MEDIA_INDEX_H

#include "media/av.h"

/** What one pass over the packets of a film gives. */
struct pz_index {
    struct pz_frame_entry *frames; /**< presentation order; pz_free() */
    int64_t n_frames, n_packets;
    bool timed;     /**< every video packet had a presentation time */
    bool foreign;   /**< H.264 parameter sets that are not in the configuration record, or a changed record */
    bool irregular; /**< two packets for one moment, or packets that are no access unit */
    int64_t sound_end; /**< end of the last sound packet, sound time base, not moved by film zero */
    int64_t sound_bytes, video_bytes;
};

/** Read all packets of `video` (and of `audio` ≥ 0). `avcc` is the parsed record of an H.264 stream that has
 * one, else NULL. Errors: INPUT (no frames), NOMEM, CANCELLED. */
PZ_NODISCARD enum pz_status pz_index_scan(AVFormatContext *fmt, int video, int audio,
                                          const struct pz_avcc *avcc, const char *path,
                                          const struct pz_job *job, struct pz_index *x);

/** Index by decoding, for containers whose packets have no presentation times. Replaces `x->frames`. */
PZ_NODISCARD enum pz_status pz_index_decode(const char *path, const struct pz_job *job, struct pz_index *x);

#endif
