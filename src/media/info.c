/* What a film is: headers, colour, rotation, rate, and whether its packets can be copied into a new film.
 * Judges; the packets themselves are read by index.c. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libavutil/pixdesc.h>

#include "base/mem.h"
#include "media/index.h"

static bool is_hdr(const AVCodecParameters *p)
{
    return p->color_trc == AVCOL_TRC_SMPTE2084 || p->color_trc == AVCOL_TRC_ARIB_STD_B67 ||
           p->color_primaries == AVCOL_PRI_BT2020 || p->color_space == AVCOL_SPC_BT2020_NCL ||
           p->color_space == AVCOL_SPC_BT2020_CL;
}

static bool is_interlaced(const AVCodecParameters *p)
{
    return p->field_order != AV_FIELD_UNKNOWN && p->field_order != AV_FIELD_PROGRESSIVE;
}

static void read_colour(const AVCodecParameters *p, struct pz_film_info *f)
{
    const AVPixFmtDescriptor *d = av_pix_fmt_desc_get(p->format);
    f->bit_depth = d ? d->comp[0].depth : 8;
    f->color_primaries = p->color_primaries;
    f->color_transfer = p->color_trc;
    f->color_space = p->color_space;
    f->color_range = p->color_range == AVCOL_RANGE_JPEG ? 2 : 1;
    if (p->format == AV_PIX_FMT_YUVJ420P || p->format == AV_PIX_FMT_YUVJ422P ||
        p->format == AV_PIX_FMT_YUVJ444P)
        f->color_range = 2;
    if (d && (d->flags & AV_PIX_FMT_FLAG_RGB)) { /* converted by the reader to limited BT.709 */
        f->color_space = AVCOL_SPC_BT709;
        f->color_range = 1;
    }
    f->hdr = is_hdr(p);
}

/* Nominal rate, and whether the frames keep it. */
static void read_rate(const AVStream *vs, struct pz_film_info *f)
{
    int64_t lo = INT64_MAX, hi = 0;
    for (int64_t i = 0; i + 1 < f->n_frames; i++) {
        int64_t d = f->frames[i].duration;
        lo = d < lo ? d : lo;
        hi = d > hi ? d : hi;
    }
    /* a tick of rounding, or a millisecond of it, is not a variable rate */
    int64_t slack = f->time_base.den / (1000 * f->time_base.num);
    f->variable_rate = f->n_frames > 2 && hi - lo > (slack > 1 ? slack : 1);
    AVRational rate = vs->avg_frame_rate;
    int64_t span = f->frames[f->n_frames - 1].pts - f->frames[0].pts;
    if (f->n_frames > 1) {
        double seen =
            (double)(f->n_frames - 1) * (double)f->time_base.den / ((double)span * (double)f->time_base.num);
        if (rate.num <= 0 || rate.den <= 0 || av_q2d(rate) < seen * 0.999 || av_q2d(rate) > seen * 1.001)
            rate = av_d2q(seen, 100000);
    }
    if (rate.num <= 0 || rate.den <= 0)
        rate = (AVRational){25, 1};
    f->average_rate = (struct pz_rational){rate.num, rate.den};
}

static void read_sound(AVFormatContext *fmt, int audio, const struct pz_index *x, struct pz_film_info *f)
{
    if (audio < 0 || x->sound_end == INT64_MIN)
        return;
    const AVStream *as = fmt->streams[audio];
    const AVCodecParameters *p = as->codecpar;
    if (p->sample_rate <= 0 || p->ch_layout.nb_channels <= 0)
        return;
    f->has_sound = true;
    snprintf(f->sound_codec, sizeof(f->sound_codec), "%s", avcodec_get_name(p->codec_id));
    f->sound_rate = p->sample_rate;
    f->sound_channels = p->ch_layout.nb_channels;
    f->sound_layout = p->ch_layout.order == AV_CHANNEL_ORDER_NATIVE ? p->ch_layout.u.mask : 0;
    int64_t end = x->sound_end - pz_av_zero(fmt, as->time_base);
    f->n_samples = end > 0 ? av_rescale_q(end, as->time_base, (AVRational){1, p->sample_rate}) : 0;
    f->sound_bit_rate = p->bit_rate;
    if (f->sound_bit_rate <= 0 && f->n_samples > 0)
        f->sound_bit_rate = av_rescale(x->sound_bytes, 8 * (int64_t)p->sample_rate, f->n_samples);
}

static enum pz_status check_picture(const AVCodecParameters *p, const char *path, struct pz_log *log)
{
    if (p->width <= 0 || p->height <= 0 || p->format == AV_PIX_FMT_NONE)
        return pz_fail(log, PZ_ERR_INPUT, "'%s': its video track cannot be decoded (%s)", path,
                       avcodec_get_name(p->codec_id));
    if (p->width > PZ_PICTURE_MAX_SIDE || p->height > PZ_PICTURE_MAX_SIDE)
        return pz_fail(log, PZ_ERR_INPUT, "'%s': %d×%d px is larger than this program handles (%d)", path,
                       p->width, p->height, PZ_PICTURE_MAX_SIDE);
    if (!avcodec_find_decoder(p->codec_id))
        return pz_fail(log, PZ_ERR_UNSUPPORTED, "'%s': no decoder for %s here; convert the film to H.264",
                       path, avcodec_get_name(p->codec_id));
    if (is_hdr(p))
        return pz_fail(
            log, PZ_ERR_UNSUPPORTED,
            "'%s' is an HDR film (%s, %s); convert it to SDR (BT.709) first, e.g. in the camera's app", path,
            av_color_transfer_name(p->color_trc) ? av_color_transfer_name(p->color_trc) : "?",
            av_color_primaries_name(p->color_primaries) ? av_color_primaries_name(p->color_primaries) : "?");
    return PZ_OK;
}

static bool is_copyable(const AVCodecParameters *p, const struct pz_avcc *avcc, const struct pz_index *x,
                        const struct pz_film_info *f)
{
    bool format = p->format == AV_PIX_FMT_YUV420P || p->format == AV_PIX_FMT_YUVJ420P;
    bool profile = avcc && (avcc->profile == 66 || avcc->profile == 77 || avcc->profile == 100);
    return format && profile && avcc->frame_mbs_only && avcc->chroma_format == 1 && avcc->bit_depth == 8 &&
           !f->interlaced && x->timed && !x->foreign && !x->irregular;
}

static enum pz_status fill(AVFormatContext *fmt, const char *path, const struct pz_job *job,
                           struct pz_film_info *f)
{
    struct pz_log *log = job ? job->log : NULL;
    enum pz_status st = PZ_OK;
    int video = pz_av_video(fmt), audio = pz_av_audio(fmt);
    struct pz_avcc avcc;
    struct pz_index x = {0};

    if (video < 0)
        return pz_fail(log, PZ_ERR_INPUT, "'%s' has no video track", path);
    const AVStream *vs = fmt->streams[video];
    const AVCodecParameters *p = vs->codecpar;
    if (vs->time_base.num <= 0 || vs->time_base.den <= 0)
        return pz_fail(log, PZ_ERR_INPUT, "'%s': its video track has no time base", path);
    PZ_TRY(check_picture(p, path, log));
    bool has_record =
        p->codec_id == AV_CODEC_ID_H264 && pz_avcc_parse(p->extradata, p->extradata_size, &avcc);
    for (unsigned i = 0; i < fmt->nb_streams; i++)
        if ((int)i != video && (int)i != audio)
            fmt->streams[i]->discard = AVDISCARD_ALL;
    PZ_TRY(pz_index_scan(fmt, video, audio, has_record ? &avcc : NULL, path, job, &x));
    if (!x.timed)
        PZ_TRY(pz_index_decode(path, job, &x));
    f->frames = x.frames;
    f->n_frames = x.n_frames;
    f->timed = x.timed;

    snprintf(f->container, sizeof(f->container), "%s", fmt->iformat->name);
    snprintf(f->video_codec, sizeof(f->video_codec), "%s", avcodec_get_name(p->codec_id));
    bool odd;
    f->rotation = pz_av_rotation(vs, &odd);
    if (odd)
        pz_warn(log, "'%s': its display matrix is not a quarter turn; the picture is worked on as stored",
                path);
    bool turned = f->rotation == 90 || f->rotation == 270;
    f->width = turned ? p->height : p->width;
    f->height = turned ? p->width : p->height;
    AVRational sar = vs->sample_aspect_ratio.num > 0 ? vs->sample_aspect_ratio : p->sample_aspect_ratio;
    if (sar.num <= 0 || sar.den <= 0)
        sar = (AVRational){1, 1};
    f->sample_aspect =
        turned ? (struct pz_rational){sar.den, sar.num} : (struct pz_rational){sar.num, sar.den};
    f->time_base = (struct pz_rational){vs->time_base.num, vs->time_base.den};
    read_colour(p, f);
    f->interlaced = is_interlaced(p);
    f->duration = f->frames[f->n_frames - 1].pts + f->frames[f->n_frames - 1].duration;
    read_rate(vs, f);
    read_sound(fmt, audio, &x, f);
    double seconds = pz_seconds(f->duration, f->time_base);
    f->video_bit_rate = p->bit_rate > 0 ? p->bit_rate
                        : seconds > 0   ? (int64_t)(8.0 * (double)x.video_bytes / seconds)
                                        : 0;
    f->copyable = is_copyable(p, has_record ? &avcc : NULL, &x, f);
    int listed = avformat_index_get_entries_count(vs); /* after edit lists, unlike nb_frames */
    if (listed > x.n_packets) {
        st = pz_fail(log, PZ_ERR_INPUT, "'%s' is cut short: %lld of %d frames are there; copy the file again",
                     path, (long long)x.n_packets, listed);
        goto fail;
    }
    return PZ_OK;
fail:
    pz_free(x.frames);
    return st;
}

enum pz_status pz_film_info_read(const char *path, const struct pz_job *job, struct pz_film_info **info)
{
    enum pz_status st = PZ_OK;
    AVFormatContext *fmt = NULL;
    struct pz_film_info *f = pz_calloc(1, sizeof(*f));

    *info = NULL;
    if (!f) {
        st = pz_fail(job ? job->log : NULL, PZ_ERR_NOMEM, "no memory to read '%s'", path);
        goto fail;
    }
    PZ_TRY(pz_av_open(path, job, &fmt));
    PZ_TRY(fill(fmt, path, job, f));
    *info = f;
    f = NULL;
fail:
    avformat_close_input(&fmt);
    pz_free(f);
    return st;
}

void pz_film_info_free(struct pz_film_info **info)
{
    if (info && *info) {
        pz_free((void *)(uintptr_t)(*info)->frames);
        pz_free(*info);
        *info = NULL;
    }
}
