/* Frames by number: decoding from the right restart point, repeating over damage, turning upright, and
 * conversion to 8-bit 4:2:0 where the film is something else. Does not scale to other sizes, deinterlace or
 * map HDR. */
#include <stdlib.h>
#include <string.h>

#include <libavutil/pixdesc.h>
#include <libswscale/swscale.h>

#include "base/mem.h"
#include "base/pool.h"
#include "media/av.h"

struct pz_reader {
    const struct pz_film_info *info;
    const struct pz_job *job;
    char *path;
    AVFormatContext *fmt;
    AVCodecContext *dec;
    const AVStream *stream;
    AVPacket *pkt;
    AVFrame *fresh; /* decoded, number `fresh_index`, not yet asked for; -1: none */
    AVFrame *good;  /* last good one, as decoded */
    AVFrame *other; /* `good` in 4:2:0 when it is something else, number `other_index` */
    struct SwsContext *sws;
    struct pz_picture upright, view;
    int64_t fresh_index, good_index, other_index;
    int64_t current; /* frame `good` was last given out for */
    bool current_damaged;
    int64_t zero, count; /* count: frames decoded since the start, for films without times */
    int width, height;   /* coded */
    bool draining, ended, fresh_bad;
    bool lost; /* after an error: nothing is known about where the decoder is */
};

enum pz_status pz_reader_open(const char *path, const struct pz_film_info *info, const struct pz_job *job,
                              struct pz_reader **out)
{
    struct pz_log *log = job ? job->log : NULL;
    enum pz_status st = PZ_OK;
    struct pz_reader *r = pz_calloc(1, sizeof(*r));

    *out = NULL;
    if (r) {
        r->path = pz_strdup(path);
        r->pkt = av_packet_alloc();
        r->fresh = av_frame_alloc();
        r->good = av_frame_alloc();
        r->other = av_frame_alloc();
    }
    if (!r || !r->path || !r->pkt || !r->fresh || !r->good || !r->other) {
        st = pz_fail(log, PZ_ERR_NOMEM, "no memory to decode '%s'", path);
        goto fail;
    }
    r->info = info;
    r->job = job;
    r->fresh_index = r->good_index = r->other_index = r->current = -1;
    PZ_TRY(pz_av_open(path, job, &r->fmt));
    int video = pz_av_video(r->fmt);
    if (video < 0) {
        st = pz_fail(log, PZ_ERR_INPUT, "'%s' has no video track", path);
        goto fail;
    }
    r->stream = r->fmt->streams[video];
    pz_av_only(r->fmt, video);
    r->zero = pz_av_zero(r->fmt, r->stream->time_base);
    bool turned = info->rotation == 90 || info->rotation == 270;
    r->width = turned ? info->height : info->width;
    r->height = turned ? info->width : info->height;
    PZ_TRY(pz_av_decoder(r->stream, pz_pool_threads(job ? job->pool : NULL), path, log, &r->dec));
    if (info->rotation) {
        st = pz_picture_alloc(&r->upright, info->width, info->height);
        if (st != PZ_OK) {
            pz_fail(log, st, "no memory for a %d×%d picture", info->width, info->height);
            goto fail;
        }
    }
    *out = r;
    return PZ_OK;
fail:
    pz_reader_close(&r);
    return st;
}

void pz_reader_close(struct pz_reader **pr)
{
    struct pz_reader *r = pr ? *pr : NULL;
    if (!r)
        return;
    avcodec_free_context(&r->dec);
    avformat_close_input(&r->fmt);
    av_packet_free(&r->pkt);
    av_frame_free(&r->fresh);
    av_frame_free(&r->good);
    av_frame_free(&r->other);
    sws_freeContext(r->sws);
    pz_picture_free(&r->upright);
    pz_free(r->path);
    pz_free(r);
    *pr = NULL;
}

/* ---- where to start ------------------------------------------------------------------------------------ */

/* Last restart point at or before `index`, -1 when only the file's beginning will do. */
static int64_t entry_before(const struct pz_film_info *info, int64_t index)
{
    if (!info->timed)
        return -1;
    for (int64_t i = index; i >= 0; i--)
        if (info->frames[i].entry)
            return i;
    return -1;
}

/* To restart point `e`, or to the beginning when that is -1 or cannot be reached. `careful`: by decoding
 * time, which lands earlier than by presentation time in MP4, where a search by presentation time is only
 * good to the reordering.
 */
static enum pz_status jump(struct pz_reader *r, int64_t e, bool careful)
{
    struct pz_log *log = r->job ? r->job->log : NULL;
    int err = -1;
    if (e > 0) {
        const struct pz_frame_entry *f = &r->info->frames[e];
        int64_t t = (careful && f->dts != INT64_MIN ? f->dts : f->pts) + r->zero;
        err = av_seek_frame(r->fmt, r->stream->index, t, AVSEEK_FLAG_BACKWARD);
    }
    if (err < 0)
        err = av_seek_frame(r->fmt, r->stream->index, INT64_MIN / 2, AVSEEK_FLAG_BACKWARD);
    if (err < 0)
        err = avformat_seek_file(r->fmt, -1, INT64_MIN, 0, INT64_MAX, 0);
    if (err < 0)
        return pz_fail(log, PZ_ERR_INPUT, "cannot move within '%s': %s", r->path, PZ_AV_TEXT(err));
    avcodec_flush_buffers(r->dec);
    av_frame_unref(r->fresh);
    r->fresh_index = -1;
    r->good_index = -1;
    r->current = -1;
    r->count = 0;
    r->draining = r->ended = r->lost = false;
    return PZ_OK;
}

/* ---- decoding ------------------------------------------------------------------------------------------ */

static int64_t index_of(const struct pz_reader *r, int64_t t)
{
    const struct pz_frame_entry *f = r->info->frames;
    int64_t lo = 0, hi = r->info->n_frames - 1;
    while (lo <= hi) {
        int64_t mid = lo + (hi - lo) / 2;
        if (f[mid].pts == t)
            return mid;
        if (f[mid].pts < t)
            lo = mid + 1;
        else
            hi = mid - 1;
    }
    return -1;
}

/* Decode until a frame of the index is in `fresh`, or the film ends. */
static enum pz_status decode_one(struct pz_reader *r)
{
    struct pz_log *log = r->job ? r->job->log : NULL;
    while (!r->ended) {
        if (pz_job_cancelled(r->job))
            return PZ_ERR_CANCELLED;
        int err = avcodec_receive_frame(r->dec, r->fresh);
        if (err >= 0) {
            int64_t t = r->fresh->pts != AV_NOPTS_VALUE ? r->fresh->pts : r->fresh->best_effort_timestamp;
            r->fresh_index = r->info->timed ? index_of(r, t - r->zero) : r->count;
            r->count++;
            r->fresh_bad = (r->fresh->flags & AV_FRAME_FLAG_CORRUPT) || r->fresh->decode_error_flags;
            if (r->fresh_index >= 0 && r->fresh_index < r->info->n_frames)
                return PZ_OK;
            av_frame_unref(r->fresh); /* cut away by an edit list */
            r->fresh_index = -1;
            continue;
        }
        if (err == AVERROR(ENOMEM))
            return pz_fail(log, PZ_ERR_NOMEM, "no memory to decode '%s'", r->path);
        if (r->draining || err == AVERROR_EOF) {
            r->ended = err == AVERROR_EOF || err == AVERROR(EAGAIN);
            continue; /* errors while draining: ask for the next */
        }
        err = av_read_frame(r->fmt, r->pkt);
        if (err < 0) {
            r->draining = true;
            avcodec_send_packet(r->dec, NULL);
        } else if (r->pkt->stream_index == r->stream->index) {
            avcodec_send_packet(r->dec, r->pkt); /* a packet it refuses gives no frame; the caller repeats */
        }
        av_packet_unref(r->pkt);
    }
    return PZ_END;
}

/* ---- conversion ---------------------------------------------------------------------------------------- */

static bool fits(const struct pz_reader *r, const AVFrame *f)
{
    return (f->format == AV_PIX_FMT_YUV420P || f->format == AV_PIX_FMT_YUVJ420P) && f->width == r->width &&
           f->height == r->height && f->linesize[0] > 0 && f->linesize[1] > 0 && f->linesize[2] > 0;
}

/* Any format to 4:2:0 of the film's size in `r->other`; range and matrix stay as they are (RGB: BT.709
 * limited). */
static enum pz_status convert(struct pz_reader *r, const AVFrame *f)
{
    struct pz_log *log = r->job ? r->job->log : NULL;
    const AVPixFmtDescriptor *d = av_pix_fmt_desc_get(f->format);
    bool rgb = d && (d->flags & AV_PIX_FMT_FLAG_RGB);
    bool full = r->info->color_range == 2;
    const int *matrix =
        sws_getCoefficients(rgb || r->info->color_space == AVCOL_SPC_BT709 ? SWS_CS_ITU709 : SWS_CS_ITU601);

    r->sws =
        sws_getCachedContext(r->sws, f->width, f->height, f->format, r->width, r->height, AV_PIX_FMT_YUV420P,
                             SWS_BICUBIC | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INP, NULL, NULL, NULL);
    if (!r->sws)
        return pz_fail(log, PZ_ERR_UNSUPPORTED, "'%s': pixel format %s cannot be converted", r->path,
                       d ? d->name : "?");
    sws_setColorspaceDetails(r->sws, matrix, rgb || full, matrix, full, 0, 1 << 16, 1 << 16);
    int err = 0;
    if (!r->other->data[0]) {
        r->other->format = AV_PIX_FMT_YUV420P;
        r->other->width = r->width;
        r->other->height = r->height;
        err = av_frame_get_buffer(r->other, 0);
    }
    if (err >= 0)
        err = av_frame_make_writable(r->other); /* an encoder may still hold the last one */
    if (err >= 0)
        err = sws_scale(r->sws, (const uint8_t *const *)f->data, f->linesize, 0, f->height, r->other->data,
                        r->other->linesize);
    if (err < 0)
        return pz_fail(log, PZ_ERR_INTERNAL, "'%s': converting a frame failed: %s", r->path, PZ_AV_TEXT(err));
    r->other_index = r->good_index;
    return PZ_OK;
}

/* `fresh` becomes `good`. */
static void keep(struct pz_reader *r)
{
    av_frame_unref(r->good);
    av_frame_move_ref(r->good, r->fresh);
    r->good_index = r->fresh_index;
    r->fresh_index = r->other_index = -1;
}

static void drop(struct pz_reader *r)
{
    av_frame_unref(r->fresh);
    r->fresh_index = -1;
}

/* Decode on until `good` is frame `index` or what stands in for it. */
static enum pz_status reach(struct pz_reader *r, int64_t index, bool *damaged)
{
    int again = 0;
    for (;;) {
        if (r->fresh_index < 0) {
            enum pz_status st = decode_one(r);
            if (st < PZ_OK)
                return st;
        }
        bool none = r->fresh_index < 0, past = none || r->fresh_index > index, here = r->fresh_index == index;
        if (past && r->good_index >= 0) { /* no such frame came out: the last good one stands in */
            *damaged = true;
            return PZ_OK;
        }
        int64_t e = past && again < 2 ? entry_before(r->info, index) : 0;
        if (e > 0) { /* the seek landed too late */
            enum pz_status st = jump(r, again == 0 ? e : -1, true);
            again++;
            if (st < PZ_OK)
                return st;
            continue;
        }
        if (none)
            return pz_fail(r->job ? r->job->log : NULL, PZ_ERR_INPUT,
                           "'%s': frame %lld cannot be decoded, nor any before it", r->path,
                           (long long)index);
        bool bad = r->fresh_bad;
        if (bad && r->good_index >= 0)
            drop(r);
        else
            keep(r);
        if (here || past) {
            *damaged = bad || past;
            return PZ_OK;
        }
    }
}

enum pz_status pz_reader_coded(struct pz_reader *r, int64_t index, const AVFrame **out, bool *damaged)
{
    enum pz_status st;

    *out = NULL;
    if (index < 0 || index >= r->info->n_frames)
        return pz_fail(r->job ? r->job->log : NULL, PZ_ERR_USAGE, "frame %lld asked for, the film has %lld",
                       (long long)index, (long long)r->info->n_frames);
    if (pz_job_cancelled(r->job))
        return PZ_ERR_CANCELLED;
    if (index != r->current) {
        int64_t next = r->fresh_index >= 0 ? r->fresh_index : r->current + 1;
        int64_t e = entry_before(r->info, index);
        if (r->lost || index < r->current || (e > next && index > next + 4))
            PZ_TRY(jump(r, e, false));
        r->current_damaged = false;
        PZ_TRY(reach(r, index, &r->current_damaged));
        r->current = index;
    }
    bool direct = fits(r, r->good);
    if (!direct && r->other_index != r->good_index)
        PZ_TRY(convert(r, r->good));
    *out = direct ? r->good : r->other;
    if (damaged)
        *damaged = r->current_damaged;
    return PZ_OK;
fail:
    r->lost = true;
    r->current = -1;
    return st;
}

/* ---- upright ------------------------------------------------------------------------------------------- */

void pz_plane_turn(uint8_t *dst, int ds, const uint8_t *src, int ss, int w, int h, int turn)
{
    enum { TILE = 32 }; /* both the rows read and the rows written stay in cache */
    if (turn == 0) {
        for (int y = 0; y < h; y++)
            memcpy(dst + (ptrdiff_t)y * ds, src + (ptrdiff_t)y * ss, (size_t)w);
        return;
    }
    if (turn == 180) {
        for (int y = 0; y < h; y++) {
            const uint8_t *s = src + (ptrdiff_t)y * ss;
            uint8_t *d = dst + (ptrdiff_t)(h - 1 - y) * ds;
            for (int x = 0; x < w; x++)
                d[w - 1 - x] = s[x];
        }
        return;
    }
    for (int y0 = 0; y0 < h; y0 += TILE)
        for (int x0 = 0; x0 < w; x0 += TILE) {
            int y1 = y0 + TILE < h ? y0 + TILE : h, x1 = x0 + TILE < w ? x0 + TILE : w;
            for (int x = x0; x < x1; x++)
                for (int y = y0; y < y1; y++) {
                    ptrdiff_t to =
                        turn == 90 ? (ptrdiff_t)x * ds + (h - 1 - y) : (ptrdiff_t)(w - 1 - x) * ds + y;
                    dst[to] = src[(ptrdiff_t)y * ss + x];
                }
        }
}

enum pz_matrix pz_reader_matrix(const struct pz_film_info *f)
{
    if (f->color_space == AVCOL_SPC_BT709)
        return PZ_MATRIX_BT709;
    if (f->color_space == AVCOL_SPC_UNSPECIFIED) /* untagged: what players assume by size */
        return f->width > 1024 || f->height > 576 ? PZ_MATRIX_BT709 : PZ_MATRIX_BT601;
    return PZ_MATRIX_BT601;
}

enum pz_status pz_reader_frame(struct pz_reader *r, int64_t index, const struct pz_picture **out,
                               bool *damaged)
{
    const AVFrame *f;
    bool repeat = index == r->current;
    *out = NULL;
    enum pz_status st = pz_reader_coded(r, index, &f, damaged);
    if (st != PZ_OK)
        return st;
    struct pz_picture *p = &r->view;
    if (!r->info->rotation) {
        *p = (struct pz_picture){.width = r->width, .height = r->height};
        for (int i = 0; i < 3; i++) {
            p->plane[i] = f->data[i];
            p->stride[i] = f->linesize[i];
        }
    } else {
        p = &r->upright;
        for (int i = 0; i < 3 && !repeat; i++)
            pz_plane_turn(p->plane[i], p->stride[i], f->data[i], f->linesize[i],
                          i ? (r->width + 1) / 2 : r->width, i ? (r->height + 1) / 2 : r->height,
                          r->info->rotation);
    }
    p->matrix = pz_reader_matrix(r->info);
    p->full_range = r->info->color_range == 2;
    *out = p;
    return PZ_OK;
}
