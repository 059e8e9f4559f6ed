/* A sound track as float samples on the film's clock.
 *
 * Where a sample lies is settled once, by walking the track from its beginning: frames that follow each other
 * within the time base's rounding are joined without a seam, larger holes become silence, overlaps are cut.
 * The walk leaves a mark every second; a jump decodes from a mark behind it, so that any order of reading
 * gives the same samples. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <libavutil/opt.h>
#include <libswresample/swresample.h>

#include "base/mem.h"
#include "media/av.h"

enum { SPARE = 16384, SILENCE = 4096 };

struct mark {
    int64_t pts, at; /* stream time base; input samples from film zero */
};

struct pz_sound {
    const struct pz_job *job;
    char *path;
    AVFormatContext *fmt;
    const AVStream *stream;
    AVCodecContext *dec;
    AVPacket *pkt;
    AVFrame *frame;
    SwrContext *swr;
    AVChannelLayout swr_layout;
    int swr_rate, swr_format;
    int in_rate, rate, channels;
    int64_t zero;  /* pts of film zero */
    bool own_zero; /* a bare sound file: zero is its first sample */
    struct mark *marks;
    int64_t n_marks, cap_marks;
    int64_t walked;       /* every frame before this input sample has been placed */
    int64_t at;           /* input sample the next decoded frame begins at, INT64_MIN: unknown */
    int64_t silence, cut; /* samples of silence to insert before `frame`, samples to drop from it */
    int64_t feed_from;    /* input samples before this one are not fed to swr */
    bool have_frame, draining, ended, flushed;
    float *fifo; /* output, interleaved, [fifo_n][channels], first is sample fifo_at */
    int64_t fifo_at, fifo_n, fifo_cap;
};

enum pz_status pz_sound_open(const char *path, int rate, int channels, const struct pz_job *job,
                             struct pz_sound **out)
{
    struct pz_log *log = job ? job->log : NULL;
    enum pz_status st = PZ_OK;
    struct pz_sound *s = pz_calloc(1, sizeof(*s));

    *out = NULL;
    if (!s || !(s->path = pz_strdup(path)) || !(s->pkt = av_packet_alloc()) ||
        !(s->frame = av_frame_alloc())) {
        st = pz_fail(log, PZ_ERR_NOMEM, "no memory to read the sound of '%s'", path);
        goto fail;
    }
    s->job = job;
    PZ_TRY(pz_av_open(path, job, &s->fmt));
    int audio = pz_av_audio(s->fmt);
    if (audio < 0) {
        st = pz_fail(log, PZ_ERR_INPUT, "'%s' has no sound track", path);
        goto fail;
    }
    s->stream = s->fmt->streams[audio];
    pz_av_only(s->fmt, audio);
    s->own_zero = pz_av_video(s->fmt) < 0;
    s->zero = s->own_zero ? AV_NOPTS_VALUE : pz_av_zero(s->fmt, s->stream->time_base);
    PZ_TRY(pz_av_decoder(s->stream, 1, path, log, &s->dec));
    s->in_rate = s->dec->sample_rate;
    s->rate = rate > 0 ? rate : s->in_rate;
    s->channels = channels > 0 ? channels : s->dec->ch_layout.nb_channels;
    if (s->in_rate <= 0 || s->in_rate > 768000 || s->rate > 768000 || s->channels <= 0 || s->channels > 64) {
        st = pz_fail(log, PZ_ERR_INPUT, "'%s': a sound track of %d Hz and %d channels cannot be used", path,
                     s->in_rate, s->channels);
        goto fail;
    }
    s->at = INT64_MIN;
    s->feed_from = 0;
    *out = s;
    return PZ_OK;
fail:
    pz_sound_close(&s);
    return st;
}

void pz_sound_close(struct pz_sound **ps)
{
    struct pz_sound *s = ps ? *ps : NULL;
    if (!s)
        return;
    swr_free(&s->swr);
    av_channel_layout_uninit(&s->swr_layout);
    avcodec_free_context(&s->dec);
    avformat_close_input(&s->fmt);
    av_packet_free(&s->pkt);
    av_frame_free(&s->frame);
    pz_free(s->marks);
    pz_free(s->fifo);
    pz_free(s->path);
    pz_free(s);
    *ps = NULL;
}

int pz_sound_rate(const struct pz_sound *s)
{
    return s->rate;
}

int pz_sound_channels(const struct pz_sound *s)
{
    return s->channels;
}

static struct pz_log *log_of(const struct pz_sound *s)
{
    return s->job ? s->job->log : NULL;
}

/* ---- decoding and placing ------------------------------------------------------------------------------ */

static enum pz_status next_frame(struct pz_sound *s)
{
    while (!s->ended) {
        if (pz_job_cancelled(s->job))
            return PZ_ERR_CANCELLED;
        int err = avcodec_receive_frame(s->dec, s->frame);
        if (err >= 0) {
            if (s->frame->nb_samples > 0)
                return PZ_OK;
            continue;
        }
        if (err == AVERROR(ENOMEM))
            return pz_fail(log_of(s), PZ_ERR_NOMEM, "no memory to decode '%s'", s->path);
        if (s->draining) {
            s->ended = err == AVERROR_EOF || err == AVERROR(EAGAIN);
            continue;
        }
        err = av_read_frame(s->fmt, s->pkt);
        if (err < 0) {
            s->draining = true;
            avcodec_send_packet(s->dec, NULL);
        } else if (s->pkt->stream_index == s->stream->index) {
            avcodec_send_packet(s->dec, s->pkt); /* a refused packet leaves a hole, and holes are silence */
        }
        av_packet_unref(s->pkt);
    }
    return PZ_END;
}

/* Largest difference between where a frame should follow and what its time stamp says that is still rounding.
 */
static int64_t tolerance(const struct pz_sound *s)
{
    int64_t tick = av_rescale_q_rnd(2, s->stream->time_base, (AVRational){1, s->in_rate}, AV_ROUND_UP);
    return tick <= 2 ? 2 : tick + s->in_rate / 500;
}

static enum pz_status note_mark(struct pz_sound *s, int64_t pts)
{
    if (pts == AV_NOPTS_VALUE || s->at < s->walked ||
        (s->n_marks && s->at < s->marks[s->n_marks - 1].at + s->in_rate))
        return PZ_OK;
    if (s->n_marks == s->cap_marks) {
        int64_t cap = s->cap_marks ? s->cap_marks * 2 : 64;
        void *p = pz_regrow(s->marks, (size_t)s->cap_marks, (size_t)cap, sizeof(*s->marks));
        if (!p)
            return pz_fail(log_of(s), PZ_ERR_NOMEM, "no memory for '%s'", s->path);
        s->marks = p;
        s->cap_marks = cap;
    }
    s->marks[s->n_marks++] = (struct mark){pts, s->at};
    return PZ_OK;
}

/* Decide where the fresh frame lies: sets at, silence, cut. */
static enum pz_status place(struct pz_sound *s)
{
    int64_t pts = s->frame->pts;
    if (s->zero == AV_NOPTS_VALUE)
        s->zero = pts != AV_NOPTS_VALUE ? pts : 0;
    int64_t told = s->at;
    if (pts != AV_NOPTS_VALUE && llabs(pts) < INT64_MAX / 4)
        told = av_rescale_q(pts - s->zero, s->stream->time_base, (AVRational){1, s->in_rate});
    s->silence = s->cut = 0;
    if (s->at == INT64_MIN) { /* the very first frame */
        if (told == INT64_MIN)
            told = 0;
        s->at = told;
        if (told > 0) {
            s->silence = told;
            s->at = 0;
        }
    } else if (llabs(told - s->at) > tolerance(s)) {
        if (told > s->at)
            s->silence = told - s->at;
        else
            s->cut = s->at - told;
    }
    if (s->silence == 0 && s->cut == 0)
        return note_mark(s, pts);
    return PZ_OK;
}

/* After a jump: decode until the mark's own frame comes, then go on from its place. False: not found. */
static enum pz_status catch_up(struct pz_sound *s, const struct mark *m, bool *found)
{
    enum pz_status st;
    *found = false;
    while ((st = next_frame(s)) == PZ_OK) {
        if (s->frame->pts == m->pts) {
            s->at = m->at;
            s->have_frame = true;
            *found = true;
            return PZ_OK;
        }
        bool late = s->frame->pts == AV_NOPTS_VALUE || s->frame->pts > m->pts;
        av_frame_unref(s->frame);
        if (late)
            return PZ_OK;
    }
    return st == PZ_END ? PZ_OK : st;
}

/* ---- resampling ---------------------------------------------------------------------------------------- */

static enum pz_status open_swr(struct pz_sound *s)
{
    AVChannelLayout in = {0}, out = {0};
    const AVFrame *f = s->frame;
    int err = 0;
    if (f->ch_layout.order == AV_CHANNEL_ORDER_NATIVE)
        err = av_channel_layout_copy(&in, &f->ch_layout);
    else
        av_channel_layout_default(&in, f->ch_layout.nb_channels);
    if (s->channels == in.nb_channels && err >= 0)
        err = av_channel_layout_copy(&out, &in);
    else
        av_channel_layout_default(&out, s->channels);
    swr_free(&s->swr);
    if (err >= 0)
        err = swr_alloc_set_opts2(&s->swr, &out, AV_SAMPLE_FMT_FLT, s->rate, &in, f->format, f->sample_rate,
                                  0, NULL);
    if (err >= 0) /* a mix to fewer channels never gets louder than full scale */
        err = av_opt_set_double(s->swr, "rematrix_maxval", 1.0, 0);
    if (err >= 0)
        err = swr_init(s->swr);
    av_channel_layout_uninit(&s->swr_layout);
    if (err >= 0)
        err = av_channel_layout_copy(&s->swr_layout, &f->ch_layout);
    s->swr_rate = f->sample_rate;
    s->swr_format = f->format;
    av_channel_layout_uninit(&in);
    av_channel_layout_uninit(&out);
    if (err < 0)
        return pz_fail(log_of(s), PZ_ERR_UNSUPPORTED,
                       "'%s': cannot convert its sound (%d Hz, %d channels): %s", s->path, f->sample_rate,
                       f->ch_layout.nb_channels, PZ_AV_TEXT(err));
    return PZ_OK;
}

/* Feed `n` samples (data NULL: flush) and append what comes out to the fifo. */
static enum pz_status feed(struct pz_sound *s, const uint8_t **data, int n)
{
    int64_t room = swr_get_out_samples(s->swr, n) + 64;
    if (s->fifo_n + room > s->fifo_cap) {
        int64_t cap = s->fifo_n + room + SPARE;
        void *p = pz_regrow(s->fifo, (size_t)(s->fifo_cap * s->channels), (size_t)(cap * s->channels),
                            sizeof(float));
        if (!p)
            return pz_fail(log_of(s), PZ_ERR_NOMEM, "no memory to decode '%s'", s->path);
        s->fifo = p;
        s->fifo_cap = cap;
    }
    uint8_t *dst = (uint8_t *)(s->fifo + s->fifo_n * s->channels);
    int got = swr_convert(s->swr, &dst, (int)room, data, n);
    if (got < 0)
        return pz_fail(log_of(s), PZ_ERR_INTERNAL, "'%s': resampling failed: %s", s->path, PZ_AV_TEXT(got));
    s->fifo_n += got;
    return PZ_OK;
}

/* The part of the fresh frame from sample `skip` on. */
static enum pz_status feed_frame(struct pz_sound *s, int64_t skip)
{
    const AVFrame *f = s->frame;
    const uint8_t *planes[64];
    int channels = f->ch_layout.nb_channels, bytes = av_get_bytes_per_sample(f->format);
    bool planar = av_sample_fmt_is_planar(f->format);
    int n_planes = planar ? channels : 1;
    if (n_planes > 64 || skip >= f->nb_samples)
        return PZ_OK;
    for (int i = 0; i < n_planes; i++)
        planes[i] = f->extended_data[i] + skip * bytes * (planar ? 1 : channels);
    return feed(s, planes, f->nb_samples - (int)skip);
}

/* A bounded piece of the silence before the fresh frame. */
static enum pz_status feed_silence(struct pz_sound *s)
{
    static const uint8_t zeros[SILENCE * 8]; /* 8 bytes: the largest sample format */
    const uint8_t *planes[64];
    int channels = s->frame->ch_layout.nb_channels;
    bool planar = av_sample_fmt_is_planar(s->frame->format);
    uint8_t unsigned_zero[SILENCE];
    const uint8_t *src = zeros;
    if (av_get_packed_sample_fmt(s->frame->format) == AV_SAMPLE_FMT_U8) {
        memset(unsigned_zero, 0x80, sizeof(unsigned_zero));
        src = unsigned_zero;
    }
    if (channels > 64)
        return PZ_ERR_UNSUPPORTED;
    int64_t n = planar ? SILENCE : SILENCE / channels;
    n = s->silence < n ? s->silence : n;
    for (int i = 0; i < channels; i++)
        planes[i] = src;
    int64_t skip = s->feed_from - s->at;
    skip = skip < 0 ? 0 : skip > n ? n : skip;
    s->silence -= n;
    s->at += n;
    s->walked = s->at > s->walked ? s->at : s->walked;
    return n > skip ? feed(s, planes, (int)(n - skip)) : PZ_OK;
}

/* Bring more output into the fifo. PZ_END when the track is over. */
static enum pz_status advance(struct pz_sound *s)
{
    enum pz_status st = PZ_OK;
    if (!s->have_frame) {
        st = next_frame(s);
        if (st == PZ_END && s->swr && !s->flushed) {
            s->flushed = true;
            return feed(s, NULL, 0);
        }
        if (st != PZ_OK)
            return st;
        s->have_frame = true;
        PZ_TRY(place(s));
    }
    if (!s->swr || s->swr_format != s->frame->format || s->swr_rate != s->frame->sample_rate ||
        av_channel_layout_compare(&s->swr_layout, &s->frame->ch_layout) != 0)
        PZ_TRY(open_swr(s));
    if (s->silence > 0)
        return feed_silence(s);
    int64_t from = s->feed_from - s->at; /* also drops what lies before film zero */
    from = from > s->cut ? from : s->cut;
    if (from < s->frame->nb_samples)
        PZ_TRY(feed_frame(s, from > 0 ? from : 0));
    if (s->frame->nb_samples > s->cut)
        s->at += s->frame->nb_samples - s->cut;
    s->walked = s->at > s->walked ? s->at : s->walked;
    av_frame_unref(s->frame);
    s->have_frame = false;
    return PZ_OK;
fail:
    return st;
}

/* ---- reading ------------------------------------------------------------------------------------------- */

static int64_t common(int64_t a, int64_t b)
{
    while (b) {
        int64_t t = a % b;
        a = b;
        b = t;
    }
    return a;
}

/* Start over so that output sample `out` can be reached: from a mark two seconds before it, or the beginning.
 */
static enum pz_status restart(struct pz_sound *s, int64_t out)
{
    enum pz_status st = PZ_OK;
    int64_t g = common(s->in_rate, s->rate), in_step = s->in_rate / g, out_step = s->rate / g;
    int64_t want = av_rescale(out, s->in_rate, s->rate) - s->in_rate / 4;
    const struct mark *m = NULL;
    for (int64_t i = 0; i < s->n_marks && s->marks[i].at + s->in_rate / 4 <= want; i++)
        m = &s->marks[i];
    int err = -1;
    for (int attempt = 0; attempt < 2; attempt++) {
        if (m) {
            int64_t back = av_rescale_q(s->in_rate / 2, (AVRational){1, s->in_rate}, s->stream->time_base);
            err = av_seek_frame(s->fmt, s->stream->index, m->pts - back, AVSEEK_FLAG_BACKWARD);
        } else {
            err = av_seek_frame(s->fmt, s->stream->index, INT64_MIN / 2, AVSEEK_FLAG_BACKWARD);
            if (err < 0)
                err = avformat_seek_file(s->fmt, -1, INT64_MIN, 0, INT64_MAX, 0);
        }
        if (err < 0 && !m)
            return pz_fail(log_of(s), PZ_ERR_INPUT, "cannot move within '%s': %s", s->path, PZ_AV_TEXT(err));
        avcodec_flush_buffers(s->dec);
        av_frame_unref(s->frame);
        swr_free(&s->swr);
        s->have_frame = s->draining = s->ended = s->flushed = false;
        s->fifo_n = s->silence = s->cut = 0;
        s->at = INT64_MIN;
        s->feed_from = s->fifo_at = 0;
        if (!m)
            return PZ_OK;
        bool found = false;
        if (err >= 0)
            PZ_TRY(catch_up(s, m, &found));
        if (found) {
            /* begin on a common step of both rates, so that the resampler's phase is the same as in one go */
            int64_t k = (m->at + in_step - 1) / in_step;
            s->feed_from = k * in_step;
            s->fifo_at = k * out_step;
            return PZ_OK;
        }
        m = NULL; /* the container could not take us there */
    }
fail:
    return st;
}

enum pz_status pz_sound_read(struct pz_sound *s, int64_t at, float *dst, int64_t n, int64_t *got)
{
    enum pz_status st = PZ_OK;
    *got = 0;
    if (at < 0 || n < 0)
        return pz_fail(log_of(s), PZ_ERR_USAGE, "sound before the film's beginning asked for");
    int64_t last_mark = s->n_marks ? av_rescale(s->marks[s->n_marks - 1].at, s->rate, s->in_rate) : 0;
    bool far = at > s->fifo_at + s->fifo_n + 4 * (int64_t)s->rate &&
               last_mark > s->fifo_at + s->fifo_n + 2 * (int64_t)s->rate;
    if (at < s->fifo_at || far)
        PZ_TRY(restart(s, at));
    while (*got < n) {
        int64_t here = at + *got, off = here - s->fifo_at;
        if (off < s->fifo_n) {
            int64_t take = s->fifo_n - off < n - *got ? s->fifo_n - off : n - *got;
            memcpy(dst + *got * s->channels, s->fifo + off * s->channels,
                   (size_t)(take * s->channels) * sizeof(*dst));
            *got += take;
            continue;
        }
        s->fifo_at += s->fifo_n;
        s->fifo_n = 0;
        st = advance(s);
        if (st == PZ_END)
            return PZ_OK;
        if (st < PZ_OK)
            goto fail;
    }
    return PZ_OK;
fail:
    return st;
}
