/* A second opinion on written files that shares no code with src/media. */
#include <stdio.h>
#include <string.h>

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>

#include "strict.h"

static int complaints;

static void count(void *ctx, int level, const char *fmt, va_list args)
{
    if (level > AV_LOG_ERROR)
        return;
    complaints++;
    vfprintf(stderr, fmt, args);
}

int strict_decode(const char *path, int audio, int64_t seek_pts, int64_t *pts, int cap)
{
    AVFormatContext *f = NULL;
    AVCodecContext *d = NULL;
    AVPacket *p = av_packet_alloc();
    AVFrame *frame = av_frame_alloc();
    int n = -1, got = 0, s, err = 0;
    int old = av_log_get_level();
    complaints = 0;
    av_log_set_callback(count);
    av_log_set_level(AV_LOG_ERROR);
    if (avformat_open_input(&f, path, NULL, NULL) < 0 || avformat_find_stream_info(f, NULL) < 0)
        goto end;
    const AVCodec *codec;
    s = av_find_best_stream(f, audio ? AVMEDIA_TYPE_AUDIO : AVMEDIA_TYPE_VIDEO, -1, -1, &codec, 0);
    if (s < 0 || !(d = avcodec_alloc_context3(codec)) ||
        avcodec_parameters_to_context(d, f->streams[s]->codecpar) < 0)
        goto end;
    d->err_recognition = AV_EF_EXPLODE | AV_EF_CRCCHECK | AV_EF_BITSTREAM | AV_EF_BUFFER;
    d->pkt_timebase = f->streams[s]->time_base;
    d->thread_count = 1;
    if (avcodec_open2(d, codec, NULL) < 0)
        goto end;
    if (seek_pts >= 0 && av_seek_frame(f, s, seek_pts, AVSEEK_FLAG_BACKWARD) < 0)
        goto end;
    while (err != AVERROR_EOF) {
        err = av_read_frame(f, p);
        if (err >= 0 && p->stream_index != s) {
            av_packet_unref(p);
            continue;
        }
        if (err < 0 && err != AVERROR_EOF)
            goto end;
        err = avcodec_send_packet(d, err < 0 ? NULL : p);
        av_packet_unref(p);
        if (err < 0)
            goto end;
        while ((err = avcodec_receive_frame(d, frame)) >= 0) {
            if (pts && got < cap)
                pts[got] = frame->pts;
            got++;
            if ((frame->flags & AV_FRAME_FLAG_CORRUPT) || frame->decode_error_flags)
                goto end;
        }
        if (err != AVERROR(EAGAIN) && err != AVERROR_EOF)
            goto end;
    }
    n = complaints ? -1 : got;
end:
    av_log_set_callback(av_log_default_callback);
    av_log_set_level(old);
    avcodec_free_context(&d);
    avformat_close_input(&f);
    av_packet_free(&p);
    av_frame_free(&frame);
    return n;
}
