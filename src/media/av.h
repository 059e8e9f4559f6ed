/**
 * Inside media only: what its files share about the FFmpeg libraries. Never included from another folder.
 */
#ifndef PZ_MEDIA_AV_H
#define PZ_MEDIA_AV_H

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>

#include "media/media.h"

/** Error text of the libraries, in `buf`, which is returned. */
const char *pz_av_text(int err, char buf[AV_ERROR_MAX_STRING_SIZE]);
#define PZ_AV_TEXT(err) pz_av_text((err), (char[AV_ERROR_MAX_STRING_SIZE]){0})

/** Silence the libraries' own messages on stderr, once a process. av_log has one level for the whole process,
 * so this is the one global thing media does; messages that matter travel through pz_fail(). */
void pz_av_quiet(void);

/** Open a file and probe its streams. Only plain files, and only formats that cannot name further files, are
 * let in. `job` (may be NULL) must outlive `*fmt`: it is polled for cancel. Errors: INPUT, CANCELLED, NOMEM.
 */
PZ_NODISCARD enum pz_status pz_av_open(const char *path, const struct pz_job *job, AVFormatContext **fmt);

/** First real video stream (no cover picture) or -1. */
int pz_av_video(const AVFormatContext *fmt);
/** First sound stream or -1. */
int pz_av_audio(const AVFormatContext *fmt);
/** Read packets of one stream only. */
void pz_av_only(AVFormatContext *fmt, int stream);

/** Film zero in time base `tb`: 0 for containers with an own zero, the first time stamp for transport
 * streams. */
int64_t pz_av_zero(const AVFormatContext *fmt, AVRational tb);

/** Open a decoder of a stream with `threads` threads. Errors: UNSUPPORTED, INTERNAL, NOMEM. */
PZ_NODISCARD enum pz_status pz_av_decoder(const AVStream *st, int threads, const char *path,
                                          struct pz_log *log, AVCodecContext **dec);

/** Clockwise turn in {0,90,180,270} of a stream's display matrix; `*odd` is set when the matrix is something
 * else. */
int pz_av_rotation(const AVStream *st, bool *odd);

static inline AVRational pz_av_q(struct pz_rational r)
{
    return (AVRational){(int)r.num, (int)r.den};
}

/* ---- H.264 byte streams (h264.c) ----------------------------------------------------------------------- */

/** What splice must know of a decoder configuration record (ISO/IEC 14496-15 §5.3.3.1). */
struct pz_avcc {
    int profile, compat, level;
    int nal_bytes;                /**< length field of samples: 1, 2, 4 */
    uint32_t sps_ids;             /**< bit i: a sequence set with id i is there */
    uint8_t pps_ids[32];          /**< bit set of picture set ids 0..255 */
    bool frame_mbs_only;          /**< every sequence set is progressive by syntax */
    int chroma_format, bit_depth; /**< of the first sequence set */
    const uint8_t *data;          /**< the record itself, borrowed */
    int n_bytes;
};

/** Parse a record. False when it is not one or is broken. */
bool pz_avcc_parse(const uint8_t *data, int n, struct pz_avcc *a);
/** Does the record hold exactly this parameter set? */
bool pz_avcc_has(const struct pz_avcc *a, const uint8_t *nal, int n);

/** Kinds of NAL units found in one packet. */
struct pz_nal_scan {
    bool idr, parameter_sets, foreign_sets; /**< foreign: an in-band set the record does not hold */
    bool broken;
};
/** Walk a length-prefixed packet. */
struct pz_nal_scan pz_avc_scan(const struct pz_avcc *a, const uint8_t *data, int n);
/** Walk an Annex B packet: is an IDR slice in it? */
bool pz_annexb_idr(const uint8_t *data, int n);

/** Next NAL unit of an Annex B stream at `*at`; false at the end. */
bool pz_annexb_next(const uint8_t *data, int n, int *at, const uint8_t **nal, int *nal_bytes);

/** New packet with the NAL units of `src` (Annex B) behind 4-byte lengths; parameter sets are left out when
 *  `drop_sets`, `head` (length-prefixed units, may be NULL) goes first. Properties are copied. */
PZ_NODISCARD enum pz_status pz_annexb_to_avc(const AVPacket *src, bool drop_sets, const uint8_t *head,
                                             int head_bytes, AVPacket *dst);
/** Same for a length-prefixed source with `nal_bytes` lengths. */
PZ_NODISCARD enum pz_status pz_avc_relength(const AVPacket *src, int nal_bytes, const uint8_t *head,
                                            int head_bytes, AVPacket *dst);

/** Record for one track with two streams in it: the sets of `a` (may be NULL) and those of an Annex B
 * extradata `e` (may be NULL), 4-byte lengths. On the heap, padded, for AVCodecParameters.extradata
 * (av_free). */
PZ_NODISCARD enum pz_status pz_avcc_merge(const struct pz_avcc *a, const uint8_t *e, int n_e, uint8_t **out,
                                          int *n_out);

/** All parameter sets of a record behind 4-byte lengths, for repeating them in-band. av_free(). */
PZ_NODISCARD enum pz_status pz_avcc_sets(const struct pz_avcc *a, uint8_t **out, int *n_out);

/* ---- frames (reader.c) ------------------------------------------------------------------------------------
 */

/** As pz_reader_frame(), but 4:2:0 in coded orientation. The frame is borrowed until the next call. */
PZ_NODISCARD enum pz_status pz_reader_coded(struct pz_reader *r, int64_t index, const AVFrame **out,
                                            bool *damaged);

/** Matrix of a film's pictures; untagged films: what players assume by size. */
enum pz_matrix pz_reader_matrix(const struct pz_film_info *f);

/** Turn `w`×`h` bytes clockwise by `turn` degrees into `dst` (h×w for 90 and 270). */
void pz_plane_turn(uint8_t *dst, int dst_stride, const uint8_t *src, int src_stride, int w, int h, int turn);

#endif
