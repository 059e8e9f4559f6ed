/* Opening an H.264 encoder: libx264 when the FFmpeg of this machine has it, else OpenH264. Rate, colour and
 * reordering follow the film the stream is going to live in. */
#include <stdio.h>
#include <string.h>

#include <libavutil/opt.h>

#include "media/encode.h"

/* What is encoded when nobody asks for a preset. By processor time and PSNR on four films (60 to 114 frames,
 * up to 1080×1920): half-pel search only and no small inter partitions take 0.65 of what "veryfast"
 * takes; with the macroblock tree left on and 1.5 steps of quality more the pictures are as good (−0.03 to
 * +0.85 dB) at 1.25 to 1.4 times the bytes, which only the touched groups of a film have. */
#define DEFAULT_PRESET "superfast"
#define DEFAULT_EXTRA ":mbtree=1:rc-lookahead=10"

static const char *profile_name(int idc)
{
    return idc == 66 ? "baseline" : idc == 77 ? "main" : "high";
}

static void set_common(AVCodecContext *e, const struct pz_h264_params *p)
{
    e->width = p->width;
    e->height = p->height;
    e->pix_fmt = AV_PIX_FMT_YUV420P;
    e->time_base = pz_av_q(p->time_base);
    e->framerate = pz_av_q(p->rate);
    e->sample_aspect_ratio = pz_av_q(p->sample_aspect);
    e->color_primaries = p->primaries;
    e->color_trc = p->transfer;
    e->colorspace = p->space;
    e->color_range = p->range == 2 ? AVCOL_RANGE_JPEG : AVCOL_RANGE_MPEG;
    e->gop_size = p->key_interval;
    e->thread_count = p->threads > 16 ? 16 : p->threads;
    e->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
}

static int open_x264(const AVCodec *codec, AVCodecContext *e, const struct pz_h264_params *p)
{
    AVDictionary *opt = NULL;
    char params[160], ids[32] = "", crf[16];
    e->max_b_frames = p->reorder > 0 && p->profile != 66 ? 3 : 0;
    if (p->level > 0)
        e->level = p->level;
    if (p->set_id >= 0)
        snprintf(ids, sizeof(ids), ":sps-id=%d", p->set_id);
    snprintf(params, sizeof(params), "open-gop=0:b-pyramid=%s%s%s%s", p->reorder > 1 ? "normal" : "none",
             p->constant_rate ? ":force-cfr=1" : "", p->preset ? "" : DEFAULT_EXTRA, ids);
    snprintf(crf, sizeof(crf), "%.1f", p->crf);
    int err = av_dict_set(&opt, "preset", p->preset ? p->preset : DEFAULT_PRESET, 0);
    if (err >= 0)
        err = av_dict_set(&opt, "crf", crf, 0);
    if (err >= 0)
        err = av_dict_set(&opt, "profile", profile_name(p->profile), 0);
    if (err >= 0)
        err = av_dict_set(&opt, "forced-idr", "1", 0);
    if (err >= 0)
        err = av_dict_set(&opt, "x264-params", params, 0);
    if (err >= 0)
        err = avcodec_open2(e, codec, &opt);
    av_dict_free(&opt);
    return err;
}

/* No quality scale there: twice the source's rate, and never less than a tenth of a bit a pixel. */
static int open_openh264(const AVCodec *codec, AVCodecContext *e, const struct pz_h264_params *p)
{
    AVDictionary *opt = NULL;
    double rate = (double)p->rate.num / (double)p->rate.den;
    int64_t least = (int64_t)(0.1 * p->width * p->height * rate);
    e->max_b_frames = 0;
    e->bit_rate = 2 * p->bit_rate > least ? 2 * p->bit_rate : least;
    int err = av_dict_set(&opt, "allow_skip_frames", "0", 0);
    if (err >= 0)
        err = av_dict_set(&opt, "profile",
                          p->profile == 66 ? "constrained_baseline" : profile_name(p->profile), 0);
    if (err >= 0)
        err = avcodec_open2(e, codec, &opt);
    av_dict_free(&opt);
    return err;
}

enum pz_status pz_h264_open(const struct pz_h264_params *p, struct pz_log *log, AVCodecContext **out,
                            bool *own_id)
{
    static const char *const names[] = {"libx264", "libopenh264"};
    const AVCodec *codec = NULL;
    int which = 0;

    *out = NULL;
    for (; which < 2 && !codec; which++)
        codec = avcodec_find_encoder_by_name(names[which]);
    if (!codec)
        return pz_fail(log, PZ_ERR_UNSUPPORTED,
                       "no H.264 encoder in this FFmpeg; install one built with libx264 or OpenH264");
    AVCodecContext *e = avcodec_alloc_context3(codec);
    if (!e)
        return pz_fail(log, PZ_ERR_NOMEM, "no memory for an encoder");
    set_common(e, p);
    bool x264 = strcmp(codec->name, "libx264") == 0;
    int err = x264 ? open_x264(codec, e, p) : open_openh264(codec, e, p);
    if (err >= 0 && e->extradata_size <= 0)
        err = AVERROR_ENCODER_NOT_FOUND;
    if (err < 0) {
        avcodec_free_context(&e);
        return pz_fail(log, PZ_ERR_INTERNAL, "cannot open %s for %d×%d: %s", codec->name, p->width, p->height,
                       PZ_AV_TEXT(err));
    }
    *own_id = x264 && p->set_id >= 0;
    *out = e;
    return PZ_OK;
}
