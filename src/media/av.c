/* Opening files with the FFmpeg libraries, and the few rules every part of media shares about them.
 * Reads nothing of the packets: see index.c, reader.c, sound.c. */
#include <math.h>
#include <pthread.h>
#include <string.h>

#include <libavutil/display.h>

#include "base/mem.h"
#include "media/av.h"

/* No playlists, no image sequences, no text art: only containers that hold their own data. */
static const char formats[] = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,flv,asf,ogg,nut,mxf,"
                              "wav,w64,mp3,aac,flac,aiff,caf,au,ac3";

const char *pz_av_text(int err, char buf[AV_ERROR_MAX_STRING_SIZE])
{
    if (av_strerror(err, buf, AV_ERROR_MAX_STRING_SIZE) < 0)
        memcpy(buf, "unknown error", sizeof "unknown error");
    return buf;
}

static void set_quiet(void)
{
    av_log_set_level(AV_LOG_QUIET);
}

void pz_av_quiet(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, set_quiet);
}

static int interrupted(void *job)
{
    return pz_job_cancelled(job);
}

enum pz_status pz_av_open(const char *path, const struct pz_job *job, AVFormatContext **out)
{
    struct pz_log *log = job ? job->log : NULL;
    enum pz_status st = PZ_OK;
    AVFormatContext *fmt = NULL;
    AVDictionary *opts = NULL;
    char *url = pz_asprintf("file:%s", path);
    int err;

    *out = NULL;
    pz_av_quiet();
    fmt = avformat_alloc_context();
    if (!url || !fmt || av_dict_set(&opts, "format_whitelist", formats, 0) < 0 ||
        av_dict_set(&opts, "protocol_whitelist", "file", 0) < 0) {
        st = pz_fail(log, PZ_ERR_NOMEM, "no memory to open '%s'", path);
        goto fail;
    }
    fmt->interrupt_callback = (AVIOInterruptCB){interrupted, (void *)(uintptr_t)job};
    err = avformat_open_input(&fmt, url, NULL, &opts); /* frees fmt when it fails */
    if (err >= 0)
        err = avformat_find_stream_info(fmt, NULL);
    if (err < 0 && pz_job_cancelled(job)) {
        st = PZ_ERR_CANCELLED;
        goto fail;
    }
    if (err == AVERROR_INVALIDDATA) {
        st = pz_fail(log, PZ_ERR_INPUT, "'%s' is damaged, cut short, or not a video or sound file", path);
        goto fail;
    }
    if (err < 0) {
        st = pz_fail(log, PZ_ERR_INPUT, "cannot read '%s': %s", path, PZ_AV_TEXT(err));
        goto fail;
    }
    *out = fmt;
    fmt = NULL;
fail:
    avformat_close_input(&fmt);
    av_dict_free(&opts);
    pz_free(url);
    return st;
}

int pz_av_video(const AVFormatContext *fmt)
{
    for (unsigned i = 0; i < fmt->nb_streams; i++)
        if (fmt->streams[i]->codecpar->codec_type == AVMEDIA_TYPE_VIDEO &&
            !(fmt->streams[i]->disposition & (AV_DISPOSITION_ATTACHED_PIC | AV_DISPOSITION_TIMED_THUMBNAILS)))
            return (int)i;
    return -1;
}

int pz_av_audio(const AVFormatContext *fmt)
{
    for (unsigned i = 0; i < fmt->nb_streams; i++)
        if (fmt->streams[i]->codecpar->codec_type == AVMEDIA_TYPE_AUDIO)
            return (int)i;
    return -1;
}

void pz_av_only(AVFormatContext *fmt, int stream)
{
    for (unsigned i = 0; i < fmt->nb_streams; i++)
        fmt->streams[i]->discard = (int)i == stream ? AVDISCARD_DEFAULT : AVDISCARD_ALL;
}

int64_t pz_av_zero(const AVFormatContext *fmt, AVRational tb)
{
    if (!(fmt->iformat->flags & AVFMT_TS_DISCONT) || fmt->start_time == AV_NOPTS_VALUE)
        return 0;
    return av_rescale_q(fmt->start_time, AV_TIME_BASE_Q, tb);
}

enum pz_status pz_av_decoder(const AVStream *s, int threads, const char *path, struct pz_log *log,
                             AVCodecContext **out)
{
    const AVCodec *codec = avcodec_find_decoder(s->codecpar->codec_id);
    *out = NULL;
    if (!codec)
        return pz_fail(log, PZ_ERR_UNSUPPORTED,
                       "'%s': no decoder for %s in this FFmpeg; convert the film to H.264", path,
                       avcodec_get_name(s->codecpar->codec_id));
    AVCodecContext *dec = avcodec_alloc_context3(codec);
    if (!dec || avcodec_parameters_to_context(dec, s->codecpar) < 0) {
        avcodec_free_context(&dec);
        return pz_fail(log, PZ_ERR_NOMEM, "no memory for a decoder");
    }
    dec->pkt_timebase = s->time_base;
    dec->thread_count = threads > 16 ? 16 : threads;
    dec->max_pixels = (int64_t)PZ_PICTURE_MAX_SIDE * PZ_PICTURE_MAX_SIDE;
    int err = avcodec_open2(dec, codec, NULL);
    if (err < 0) {
        avcodec_free_context(&dec);
        return pz_fail(log, PZ_ERR_UNSUPPORTED, "'%s': cannot decode its %s: %s", path, codec->name,
                       PZ_AV_TEXT(err));
    }
    *out = dec;
    return PZ_OK;
}

int pz_av_rotation(const AVStream *st, bool *odd)
{
    size_t n = 0;
    const int32_t *m = (const int32_t *)av_stream_get_side_data(st, AV_PKT_DATA_DISPLAYMATRIX, &n);
    *odd = false;
    if (!m || n < 9 * sizeof(*m))
        return 0;
    double clockwise = -av_display_rotation_get(m);
    double quarter = round(clockwise / 90);
    /* a negative determinant is a mirror, which no quarter turn undoes */
    bool mirror = (double)m[0] * m[4] - (double)m[1] * m[3] < 0;
    if (isnan(clockwise) || mirror || fabs(clockwise - 90 * quarter) > 0.5) {
        *odd = true;
        return 0;
    }
    return (((int)quarter % 4) + 4) % 4 * 90;
}
