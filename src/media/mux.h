/** Inside media only: writing an MP4 with one picture track and at most one sound track, interleaved as it
 * comes. */
#ifndef PZ_MEDIA_MUX_H
#define PZ_MEDIA_MUX_H

#include "media/av.h"

struct pz_mux;

struct pz_mux_params {
    const char *path;              /**< final name */
    const AVFormatContext *source; /**< title, dates, languages come from here */
    const AVStream *source_video;  /**< display matrix, sample aspect */
    const AVCodecParameters *video;
    struct pz_rational time_base, rate;
    const char *xmp, *comment;
    /* sound made here; sound_rate 0: none of it */
    int sound_rate, sound_channels;
    uint64_t sound_layout;
    int64_t sound_bit_rate, n_samples;
    enum pz_status (*sound)(void *user, int64_t at, float *interleaved, int64_t n);
    void *user;
    const char *copy_sound_from; /**< copy the packets of this file's sound track instead; NULL: no */
    const struct pz_job *job;
};

/** Open a temporary file beside `path` and write the header. Errors: WRITE, INTERNAL, INPUT, NOMEM. */
PZ_NODISCARD enum pz_status pz_mux_open(const struct pz_mux_params *p, struct pz_mux **m);

/** Write one picture packet in decode order, times in `time_base`; sound that belongs before it goes first.
 */
PZ_NODISCARD enum pz_status pz_mux_video(struct pz_mux *m, AVPacket *pkt);

/** Write the rest of the sound and the index, move the file to its name. The mux is freed in every case. */
PZ_NODISCARD enum pz_status pz_mux_finish(struct pz_mux **m);

/** Throw everything away. NULL is allowed. */
void pz_mux_abort(struct pz_mux **m);

/** Name of the sound encoder, "copy" or "". */
const char *pz_mux_sound_name(const struct pz_mux *m);

/* ---- sound side (mux_sound.c) -------------------------------------------------------------------------- */

struct pz_mux_sound;

/** Prepare the sound side; `*s` stays NULL when there is none. Adds its stream to `o`. */
PZ_NODISCARD enum pz_status pz_mux_sound_open(const struct pz_mux_params *p, AVFormatContext *o,
                                              struct pz_mux_sound **s);
void pz_mux_sound_close(struct pz_mux_sound **s);
/** Next sound packet, in the output stream's time base. PZ_END at the end. */
PZ_NODISCARD enum pz_status pz_mux_sound_next(struct pz_mux_sound *s, AVPacket *pkt);
const char *pz_mux_sound_codec(const struct pz_mux_sound *s);

#endif
