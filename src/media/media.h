/**
 * Media: films in and out, on the FFmpeg libraries. The only folder that includes libav*.
 *
 * Chapters
 *   info    what a film is made of, with an index of its frames
 *   reader  frames in presentation order, upright, 8-bit 4:2:0, with the source's own timestamps
 *   sound   the sound track as float samples; sample 0 is presentation time 0 of the film
 *   splice  a new film out of an old one: untouched stretches as coded packets, touched ones encoded
 *
 * Time: integers in the video stream's time base, except sound, which counts samples at its own rate. Time
 * zero of the film is time zero of the container after edit lists; all frame times are given relative to it.
 * Threads: an object belongs to one thread at a time; different objects are independent.
 * Memory: none of the objects grows with the length of the film, except the index (40 bytes a frame) and,
 * in a sound object, 16 bytes for every second heard so far.
 */
#ifndef PZ_MEDIA_MEDIA_H
#define PZ_MEDIA_MEDIA_H

#include <stdbool.h>
#include <stdint.h>

#include "base/job.h"
#include "base/rational.h"
#include "image/picture.h"

/* ---- info -------------------------------------------------------------------------------------------------
 */

/** One frame in presentation order. */
struct pz_frame_entry {
    int64_t pts;       /**< video time base, relative to film zero */
    int64_t duration;  /**< > 0 */
    int64_t dts;       /**< decoding time of its packet, same zero; INT64_MIN when the container has none */
    int64_t dts_order; /**< position of its packet in the file's video packets */
    uint8_t
        key; /**< closed: decoding may start here, and every later packet is shown later (H.264: an IDR) */
    uint8_t
        entry; /**< decoding may start here for this frame and all shown after it (key, or an open GOP's) */
};

struct pz_film_info {
    char container[32];   /**< "mov,mp4,…" */
    char video_codec[32]; /**< "h264", "hevc", … */
    int width, height;    /**< px, upright (after rotation) */
    int rotation;         /**< 0, 90, 180, 270: clockwise turn the player applies to the coded picture */
    struct pz_rational sample_aspect;
    struct pz_rational time_base;
    struct pz_rational average_rate; /**< frames per second, nominal, for display */
    bool variable_rate;
    int64_t n_frames;
    const struct pz_frame_entry *frames; /**< [n_frames], owned by the info */
    int64_t duration;                    /**< video time base */
    int bit_depth;
    bool hdr; /**< PQ, HLG or BT.2020 transfer/primaries */
    bool interlaced;
    bool timed;    /**< packets carry presentation times; without them (AVI) jumps decode from the start */
    bool copyable; /**< H.264 8-bit 4:2:0 progressive in a form splice can copy */
    int color_primaries, color_transfer, color_space,
        color_range; /**< ISO/IEC 23091-2 code points, range 1 = limited, 2 = full */
    bool has_sound;
    char sound_codec[32];
    int sound_rate, sound_channels;
    uint64_t sound_layout;  /**< FFmpeg channel mask */
    int64_t n_samples;      /**< at sound_rate, from film zero, by packet times */
    int64_t sound_bit_rate; /**< bits/s, 0 when unknown */
    int64_t video_bit_rate;
};

/** Read headers and index a film: reads every packet once, decodes none (a container without presentation
 * times is decoded once). Errors: INPUT (missing, truncated, no picture), UNSUPPORTED (HDR; codec missing),
 *  all logged in one line. `*info` is NULL on failure; free with pz_film_info_free(). */
PZ_NODISCARD enum pz_status pz_film_info_read(const char *path, const struct pz_job *job,
                                              struct pz_film_info **info);
void pz_film_info_free(struct pz_film_info **info);

/* ---- reader -----------------------------------------------------------------------------------------------
 */

struct pz_reader;

/** Open for decoding. `info` must outlive the reader. */
PZ_NODISCARD enum pz_status pz_reader_open(const char *path, const struct pz_film_info *info,
                                           const struct pz_job *job, struct pz_reader **r);
void pz_reader_close(struct pz_reader **r);

/** Decode frame `index` (presentation order). Ascending calls decode on; jumps seek to the key frame before.
 *  A frame the decoder could not give (damaged stream) repeats the last good one and sets `*damaged`.
 *  `*out` is borrowed until the next call. Errors: INPUT, INTERNAL, CANCELLED. */
PZ_NODISCARD enum pz_status pz_reader_frame(struct pz_reader *r, int64_t index, const struct pz_picture **out,
                                            bool *damaged);

/** Read a PNG or JPEG file, told by content, as a picture (pz_picture_free). Errors: INPUT (missing, damaged,
 * neither, larger than 64 MiB), UNSUPPORTED, NOMEM. */
PZ_NODISCARD enum pz_status pz_still_read(const char *path, const struct pz_job *job, struct pz_picture *out);

/* ---- sound ------------------------------------------------------------------------------------------------
 */

struct pz_sound;

/** Open the film's (or a sound file's) first sound track, resampled to `rate` and mixed to `channels` (0 =
 * source's own). Encoder delay, gaps and edit lists are already accounted for: gaps read as silence. Errors:
 * INPUT, UNSUPPORTED. */
PZ_NODISCARD enum pz_status pz_sound_open(const char *path, int rate, int channels, const struct pz_job *job,
                                          struct pz_sound **s);
void pz_sound_close(struct pz_sound **s);
int pz_sound_rate(const struct pz_sound *s);
int pz_sound_channels(const struct pz_sound *s);

/** Read up to `n` interleaved frames starting at sample `at` (any order; ascending is fast). `*got` < n only
 * at the end of the track. Errors: INPUT, INTERNAL. */
PZ_NODISCARD enum pz_status pz_sound_read(struct pz_sound *s, int64_t at, float *interleaved, int64_t n,
                                          int64_t *got);

/** Write a 16-bit PCM WAV atomically (tests, cached speech). */
PZ_NODISCARD enum pz_status pz_wav_write(struct pz_log *log, const char *path, const float *interleaved,
                                         int64_t n, int rate, int channels);

/* ---- splice -----------------------------------------------------------------------------------------------
 */

/** One output frame, in output order. */
struct pz_out_frame {
    int64_t src; /**< frame index in the source */
    int64_t pts; /**< output time, source's video time base */
    int64_t duration;
    uint8_t touched; /**< the picture callback must be asked; untouched frames are copied where the stream
                        allows */
};

struct pz_splice {
    const char *source; /**< film whose picture packets are used */
    const struct pz_film_info *info;
    const char *output; /**< final path; written under a temporary name and renamed when complete */
    const struct pz_out_frame *frames;
    int64_t n_frames;
    /** Make the picture of output frame `i`: `pic` holds the decoded source frame, to be changed in place.
     * Called for touched frames only, in output order. */
    enum pz_status (*picture)(void *user, int64_t i, struct pz_picture *pic);
    /** Look at the source picture of output frame `i` before it is made; NULL: not wanted. Called in output
     * order for touched frames, at most `ahead` of them before `picture` is called for the first; between two
     * such rounds every frame shown has been asked for. PZ_END (but not for the first of a round): not now,
     * show it again in the next round. */
    enum pz_status (*coming)(void *user, int64_t i, const struct pz_picture *pic);
    int ahead; /**< pictures held at most for `coming`, ≥ 1 then */
    /** Fill `n` interleaved sound frames from output sample `at`, source rate and channels. NULL: no sound
     * track. Called in ascending order, and on one other thread than `picture` when the job's pool has
     * several. */
    enum pz_status (*sound)(void *user, int64_t at, float *interleaved, int64_t n);
    int64_t n_samples; /**< length of the output's sound */
    void *user;
    const char *xmp;     /**< XMP packet for the file's uuid box; NULL = none */
    const char *comment; /**< plain metadata "comment"; NULL = none */
    int crf;             /**< quality of encoded stretches, x264 scale; 0 = 17, without a preset 15.5 */
    const char *preset;  /**< x264 preset of encoded stretches; NULL = a quick one, as good at 15.5 as
                            "veryfast" at 17 */
};

struct pz_splice_report {
    int64_t frames_total, frames_touched, frames_encoded, frames_copied;
    char video_encoder[32], sound_encoder[32];
    double encode_s; /**< time spent in the encoder */
};

/** Write the new film: MP4, index first. A group of frames (closed key to closed key) nobody touched and
 * whose times moved by one shift is copied; a touched one is copied up to the last point before the first
 * touched frame where no B-frame reaches across, and encoded from there to its end. Sound is encoded as AAC,
 * once, from the callback. A source that is not copyable is encoded whole. Runs on the calling thread, which
 * is also the one `coming` and `picture` are called on; the codecs use as many threads as the job's pool has.
 * Progress stage "encode", a step a frame. The output is complete or does not exist. Errors: WRITE (disk,
 * folder), INPUT, UNSUPPORTED (no H.264 encoder here), INTERNAL, CANCELLED, or what a callback returned. */
PZ_NODISCARD enum pz_status pz_splice_run(const struct pz_splice *s, const struct pz_job *job,
                                          struct pz_splice_report *report);

/** Encode a whole film once into a copyable one (H.264 8-bit 4:2:0 MP4, sound copied or AAC), upright tags
 * kept, with key frames forced at the frames listed (ascending) and at least every two seconds. For sources
 * that are not copyable, and useful for copyable ones whose groups are long. Visually lossless (CRF 16).
 * Progress stage "convert". Errors: as pz_splice_run(). */
PZ_NODISCARD enum pz_status pz_transcode(const char *path, const struct pz_film_info *info,
                                         const char *output, const int64_t *key_frames, int n_key_frames,
                                         const struct pz_job *job);

#endif
