/* Synthetic films: numbered pictures with moving texture, a beep or a chirp. Straight use of the FFmpeg
 * libraries. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/display.h>
#include <libavutil/opt.h>
#include <libavutil/pixdesc.h>

#include "clip.h"

/* The x265 of Debian 12 leaks a little with every encoder; it makes test films only and is not ours to mend.
 */
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libx265";
}

#define NEED(c)                                                                                              \
    do {                                                                                                     \
        if (!(c)) {                                                                                          \
            fprintf(stderr, "clip: %s:%d: %s\n", __FILE__, __LINE__, #c);                                    \
            goto fail;                                                                                       \
        }                                                                                                    \
    } while (0)

enum { BLOCK = 16, BITS = 12 };

float clip_tone(int64_t i, int rate, int channel)
{
    double t = (double)i / rate;
    return (float)(0.4 * sin(2 * M_PI * (300 + 40 * channel + 60 * t) * t));
}

static void draw(AVFrame *f, int number, bool flash)
{
    const AVPixFmtDescriptor *d = av_pix_fmt_desc_get(f->format);
    int deep = d->comp[0].depth - 8;
    for (int k = 0; k < 3; k++) {
        int w = k ? AV_CEIL_RSHIFT(f->width, d->log2_chroma_w) : f->width;
        int h = k ? AV_CEIL_RSHIFT(f->height, d->log2_chroma_h) : f->height;
        for (int y = 0; y < h; y++)
            for (int x = 0; x < w; x++) {
                int v = k == 0
                            ? 60 + ((x * 3 + y * 2 + number * 5) & 63) + ((x * 7 ^ y * 13 ^ number * 31) & 15)
                            : 108 + ((x + number * 2) & 31);
                if (k == 0 && y < BLOCK && x < BLOCK * BITS)
                    v = number >> (x / BLOCK) & 1 ? 200 : 40;
                if (flash && k == 0 && y >= BLOCK)
                    v = 235;
                if (flash && k > 0)
                    v = 128;
                if (deep > 0)
                    ((uint16_t *)(f->data[k] + (ptrdiff_t)y * f->linesize[k]))[x] = (uint16_t)(v << deep);
                else
                    f->data[k][(ptrdiff_t)y * f->linesize[k] + x] = (uint8_t)v;
            }
    }
}

static int drain(AVFormatContext *o, AVCodecContext *e, AVStream *s, AVPacket *p)
{
    int err;
    while ((err = avcodec_receive_packet(e, p)) >= 0) {
        av_packet_rescale_ts(p, e->time_base, s->time_base);
        p->stream_index = s->index;
        if ((err = av_interleaved_write_frame(o, p)) < 0)
            return err;
    }
    return err == AVERROR(EAGAIN) || err == AVERROR_EOF ? 0 : err;
}

static AVCodecContext *open_video(const struct clip *c, AVFormatContext *o, AVStream **vs)
{
    const AVCodec *codec = avcodec_find_encoder_by_name(c->encoder ? c->encoder : "libx264");
    AVCodecContext *e = codec ? avcodec_alloc_context3(codec) : NULL;
    AVDictionary *opt = NULL;
    NEED(e);
    e->width = c->width ? c->width : 320;
    e->height = c->height ? c->height : 192;
    e->pix_fmt = c->pix_fmt ? av_get_pix_fmt(c->pix_fmt) : AV_PIX_FMT_YUV420P;
    e->time_base = (AVRational){1, c->time_base_den};
    e->framerate = c->step ? (AVRational){c->time_base_den, c->step} : (AVRational){25, 1};
    if (!strcmp(codec->name, "mpeg4"))
        e->time_base = av_inv_q(e->framerate);
    e->gop_size = c->gop ? c->gop : 12;
    e->max_b_frames = c->b_frames;
    e->thread_count = 1;
    if (c->color) {
        e->color_primaries = c->color;
        e->color_trc = c->color;
        e->colorspace = c->color;
        e->color_range = AVCOL_RANGE_MPEG;
    }
    if (c->transfer)
        e->color_trc = c->transfer;
    if (o->oformat->flags & AVFMT_GLOBALHEADER)
        e->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    if (!strcmp(codec->name, "libx264")) {
        av_dict_set(&opt, "preset", "veryfast", 0);
        av_dict_set(&opt, "crf", "20", 0);
        if (c->profile)
            av_dict_set(&opt, "profile", c->profile, 0);
        if (c->x264_params)
            av_dict_set(&opt, "x264-params", c->x264_params, 0);
    } else if (!strcmp(codec->name, "libx265")) {
        av_dict_set(&opt, "preset", "ultrafast", 0);
        av_dict_set(&opt, "x265-params", "log-level=none", 0);
    }
    NEED(avcodec_open2(e, codec, &opt) >= 0);
    NEED(*vs = avformat_new_stream(o, NULL));
    NEED(avcodec_parameters_from_context((*vs)->codecpar, e) >= 0);
    (*vs)->time_base = e->time_base;
    (*vs)->avg_frame_rate = e->framerate;
    if (c->rotation) {
        int32_t *m = (int32_t *)av_stream_new_side_data(*vs, AV_PKT_DATA_DISPLAYMATRIX, 9 * sizeof(*m));
        NEED(m);
        av_display_rotation_set(m, c->rotation);
    }
    av_dict_free(&opt);
    return e;
fail:
    av_dict_free(&opt);
    avcodec_free_context(&e);
    return NULL;
}

static AVCodecContext *open_sound(const struct clip *c, AVFormatContext *o, AVStream **as)
{
    const AVCodec *codec = avcodec_find_encoder_by_name(c->sound_encoder);
    AVCodecContext *e = codec ? avcodec_alloc_context3(codec) : NULL;
    NEED(e);
    e->sample_rate = c->rate;
    e->sample_fmt = codec->sample_fmts[0];
    av_channel_layout_default(&e->ch_layout, c->channels);
    e->time_base = (AVRational){1, c->rate};
    e->bit_rate = 96000 * c->channels;
    if (o->oformat->flags & AVFMT_GLOBALHEADER)
        e->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    NEED(avcodec_open2(e, codec, NULL) >= 0);
    NEED(*as = avformat_new_stream(o, NULL));
    NEED(avcodec_parameters_from_context((*as)->codecpar, e) >= 0);
    (*as)->time_base = e->time_base;
    return e;
fail:
    avcodec_free_context(&e);
    return NULL;
}

static float sample(const struct clip *c, int64_t i, int ch)
{
    if (c->tone)
        return clip_tone(i, c->rate, ch);
    bool on = i >= c->beep_at && i < c->beep_at + c->beep_n;
    return on ? 0.7f * (float)cos(2 * M_PI * 1000 * (double)(i - c->beep_at) / c->rate) : 0.0f;
}

static void put_sample(AVFrame *f, int ch, int i, float v)
{
    switch (f->format) {
    case AV_SAMPLE_FMT_FLTP:
        ((float *)f->extended_data[ch])[i] = v;
        break;
    case AV_SAMPLE_FMT_S16P:
        ((int16_t *)f->extended_data[ch])[i] = (int16_t)lrintf(v * 32767);
        break;
    case AV_SAMPLE_FMT_S32P:
        ((int32_t *)f->extended_data[ch])[i] = (int32_t)lrintf(v * 2000000000.0f);
        break;
    default:
        ((int16_t *)f->data[0])[i * f->ch_layout.nb_channels + ch] = (int16_t)lrintf(v * 32767);
    }
}

bool clip_make(const struct clip *c)
{
    AVFormatContext *o = NULL;
    AVCodecContext *ve = NULL, *ae = NULL;
    AVStream *vs = NULL, *as = NULL;
    AVFrame *f = av_frame_alloc(), *a = av_frame_alloc();
    AVPacket *p = av_packet_alloc();
    bool ok = false;
    av_log_set_level(AV_LOG_QUIET);
    NEED(f && a && p);
    NEED(avformat_alloc_output_context2(&o, NULL, NULL, c->path) >= 0);
    if (c->n_frames > 0)
        NEED(ve = open_video(c, o, &vs));
    if (c->sound_encoder)
        NEED(ae = open_sound(c, o, &as));
    NEED(avio_open(&o->pb, c->path, AVIO_FLAG_WRITE) >= 0);
    AVDictionary *opt = NULL;
    if (!strcmp(o->oformat->name, "mp4") || !strcmp(o->oformat->name, "mov")) {
        av_dict_set_int(&opt, "video_track_timescale", c->time_base_den, 0);
        av_dict_set_int(&opt, "movie_timescale", c->time_base_den > 1000 ? c->time_base_den : 1000, 0);
    }
    int err = avformat_write_header(o, &opt);
    av_dict_free(&opt);
    NEED(err >= 0);
    int64_t total = ae ? (int64_t)llround(c->sound_s * c->rate) : 0, at = 0;
    if (ve) {
        f->width = ve->width;
        f->height = ve->height;
        f->format = ve->pix_fmt;
        NEED(av_frame_get_buffer(f, 0) >= 0);
    }
    int block = ae && ae->frame_size > 0 ? ae->frame_size : 1024;
    for (int i = 0; i < c->n_frames || at < total;) {
        double vt =
            i < c->n_frames ? (double)(c->pts ? c->pts[i] : (int64_t)i * c->step) / c->time_base_den : 1e9;
        if (at < total && (double)at / c->rate <= vt) {
            a->nb_samples = (int)(total - at < block ? total - at : block);
            a->format = ae->sample_fmt;
            a->sample_rate = c->rate;
            NEED(av_channel_layout_copy(&a->ch_layout, &ae->ch_layout) >= 0);
            NEED(av_frame_get_buffer(a, 0) >= 0);
            for (int s = 0; s < a->nb_samples; s++)
                for (int ch = 0; ch < c->channels; ch++)
                    put_sample(a, ch, s, sample(c, at + s, ch));
            a->pts = at;
            at += a->nb_samples;
            NEED(avcodec_send_frame(ae, a) >= 0);
            av_frame_unref(a);
            NEED(drain(o, ae, as, p) >= 0);
        } else {
            NEED(av_frame_make_writable(f) >= 0);
            draw(f, i, c->flash_frame > 0 && i == c->flash_frame);
            f->pts = c->first_pts + (c->pts ? c->pts[i] : (int64_t)i * c->step);
            f->pts = av_rescale_q(f->pts, (AVRational){1, c->time_base_den}, ve->time_base);
            i++;
            NEED(avcodec_send_frame(ve, f) >= 0);
            NEED(drain(o, ve, vs, p) >= 0);
        }
    }
    if (ve) {
        NEED(avcodec_send_frame(ve, NULL) >= 0);
        NEED(drain(o, ve, vs, p) >= 0);
    }
    if (ae) {
        NEED(avcodec_send_frame(ae, NULL) >= 0);
        NEED(drain(o, ae, as, p) >= 0);
    }
    NEED(av_write_trailer(o) >= 0);
    ok = true;
fail:
    if (o)
        avio_closep(&o->pb);
    avformat_free_context(o);
    avcodec_free_context(&ve);
    avcodec_free_context(&ae);
    av_frame_free(&f);
    av_frame_free(&a);
    av_packet_free(&p);
    return ok;
}

int clip_number(const struct pz_picture *p, int rotation)
{
    bool turned = rotation == 90 || rotation == 270;
    int w = turned ? p->height : p->width, h = turned ? p->width : p->height, number = 0;
    for (int b = 0; b < BITS; b++) {
        int sum = 0;
        for (int dy = 4; dy < 12; dy++)
            for (int dx = 4; dx < 12; dx++) {
                int x = b * BLOCK + dx, y = dy, ux = x, uy = y;
                if (rotation == 90) {
                    ux = h - 1 - y;
                    uy = x;
                } else if (rotation == 180) {
                    ux = w - 1 - x;
                    uy = h - 1 - y;
                } else if (rotation == 270) {
                    ux = y;
                    uy = w - 1 - x;
                }
                sum += p->plane[0][(ptrdiff_t)uy * p->stride[0] + ux];
            }
        sum /= 64;
        if (sum > 80 && sum < 160)
            return -1;
        number |= (sum >= 160) << b;
    }
    return number;
}

uint64_t clip_hash(const struct pz_picture *p)
{
    uint64_t h = 14695981039346656037u;
    for (int k = 0; k < 3; k++) {
        int w = k ? (p->width + 1) / 2 : p->width, n = k ? (p->height + 1) / 2 : p->height;
        for (int y = 0; y < n; y++)
            for (int x = 0; x < w; x++)
                h = (h ^ p->plane[k][(ptrdiff_t)y * p->stride[k] + x]) * 1099511628211u;
    }
    return h;
}
