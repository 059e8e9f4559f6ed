/* The sound side of a written film: AAC made from a callback, ahead on a thread of its own where there are
 * threads, or packets copied from another file. Priming is told to the MP4 writer by negative time stamps,
 * which become the track's edit list. */
#include <string.h>

#include <libavutil/audio_fifo.h>
#include <libswresample/swresample.h>

#include "base/mem.h"
#include "base/pool.h"
#include "media/line.h"
#include "media/mux.h"

enum { PIECE = 4096 };

struct pz_mux_sound {
    struct pz_mux_params p;
    AVStream *out;
    /* encoding */
    AVCodecContext *enc;
    SwrContext *swr;
    AVAudioFifo *fifo;
    AVFrame *frame;
    float *piece;     /* [PIECE][channels] from the callback */
    uint8_t **planes; /* resampled */
    int planes_cap;
    int64_t asked, sent; /* samples asked for (source rate), sent (encoder's rate) */
    bool flushed, closed;
    struct pz_packet_line *line; /* started with the first packet, when the header is written */
    /* copying */
    AVFormatContext *in;
    AVRational in_tb;
    int in_index;
    int64_t zero;
};

static int pick_rate(int rate)
{
    static const int known[] = {96000, 88200, 64000, 48000, 44100, 32000, 24000,
                                22050, 16000, 12000, 11025, 8000,  7350};
    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
        if (known[i] == rate)
            return rate;
    return 48000;
}

static int try_encoder(struct pz_mux_sound *s, const AVCodec *codec, const AVChannelLayout *layout, int flags)
{
    AVCodecContext *e = avcodec_alloc_context3(codec);
    if (!e)
        return AVERROR(ENOMEM);
    e->sample_rate = pick_rate(s->p.sound_rate);
    e->sample_fmt = AV_SAMPLE_FMT_FLTP;
    e->time_base = (AVRational){1, e->sample_rate};
    int64_t least = 64000 * (int64_t)layout->nb_channels;
    int64_t most =
        6 * (int64_t)e->sample_rate * layout->nb_channels; /* 6144 bits a channel and 1024 samples */
    e->bit_rate = s->p.sound_bit_rate > least ? s->p.sound_bit_rate : least;
    e->bit_rate = e->bit_rate < most ? e->bit_rate : most;
    e->flags |= flags;
    int err = av_channel_layout_copy(&e->ch_layout, layout);
    if (err >= 0)
        err = avcodec_open2(e, codec, NULL);
    if (err < 0)
        avcodec_free_context(&e);
    s->enc = e;
    return err;
}

/* The film's own layout, else the usual one of as many channels, else stereo. */
static int open_encoder(struct pz_mux_sound *s, AVChannelLayout *in)
{
    const AVCodec *codec = avcodec_find_encoder(AV_CODEC_ID_AAC);
    AVChannelLayout usual = {0}, stereo = AV_CHANNEL_LAYOUT_STEREO;
    if (!codec)
        return AVERROR_ENCODER_NOT_FOUND;
    int err = s->p.sound_layout ? av_channel_layout_from_mask(in, s->p.sound_layout) : -1;
    if (err < 0 || in->nb_channels != s->p.sound_channels)
        av_channel_layout_default(in, s->p.sound_channels);
    av_channel_layout_default(&usual, s->p.sound_channels);
    err = try_encoder(s, codec, in, AV_CODEC_FLAG_GLOBAL_HEADER);
    if (err < 0)
        err = try_encoder(s, codec, &usual, AV_CODEC_FLAG_GLOBAL_HEADER);
    if (err < 0)
        err = try_encoder(s, codec, &stereo, AV_CODEC_FLAG_GLOBAL_HEADER);
    av_channel_layout_uninit(&usual);
    return err;
}

static int open_made(struct pz_mux_sound *s, AVFormatContext *o)
{
    AVChannelLayout in = {0};
    int err = open_encoder(s, &in);
    if (err >= 0)
        err = swr_alloc_set_opts2(&s->swr, &s->enc->ch_layout, AV_SAMPLE_FMT_FLTP, s->enc->sample_rate, &in,
                                  AV_SAMPLE_FMT_FLT, s->p.sound_rate, 0, NULL);
    av_channel_layout_uninit(&in);
    if (err >= 0)
        err = swr_init(s->swr);
    if (err < 0)
        return err;
    s->planes_cap = swr_get_out_samples(s->swr, PIECE) + 256;
    s->fifo = av_audio_fifo_alloc(AV_SAMPLE_FMT_FLTP, s->enc->ch_layout.nb_channels, s->planes_cap + 2048);
    s->frame = av_frame_alloc();
    s->piece = pz_calloc((size_t)PIECE * (size_t)s->p.sound_channels, sizeof(float));
    if (!s->fifo || !s->frame || !s->piece)
        return AVERROR(ENOMEM);
    err = av_samples_alloc_array_and_samples(&s->planes, NULL, s->enc->ch_layout.nb_channels, s->planes_cap,
                                             AV_SAMPLE_FMT_FLTP, 0);
    if (err < 0)
        return err;
    s->frame->nb_samples = s->enc->frame_size;
    s->frame->format = AV_SAMPLE_FMT_FLTP;
    s->frame->sample_rate = s->enc->sample_rate;
    err = av_channel_layout_copy(&s->frame->ch_layout, &s->enc->ch_layout);
    if (err >= 0)
        err = av_frame_get_buffer(s->frame, 0);
    if (err >= 0 && !(s->out = avformat_new_stream(o, NULL)))
        err = AVERROR(ENOMEM);
    if (err >= 0)
        err = avcodec_parameters_from_context(s->out->codecpar, s->enc);
    if (err >= 0)
        s->out->time_base = s->enc->time_base;
    return err;
}

static enum pz_status open_copied(struct pz_mux_sound *s, AVFormatContext *o)
{
    struct pz_log *log = s->p.job ? s->p.job->log : NULL;
    enum pz_status st = pz_av_open(s->p.copy_sound_from, s->p.job, &s->in);
    if (st != PZ_OK)
        return st;
    s->in_index = pz_av_audio(s->in);
    if (s->in_index < 0)
        return pz_fail(log, PZ_ERR_INPUT, "'%s' has no sound track", s->p.copy_sound_from);
    pz_av_only(s->in, s->in_index);
    const AVStream *is = s->in->streams[s->in_index];
    s->in_tb = is->time_base;
    s->zero = pz_av_zero(s->in, s->in_tb);
    s->out = avformat_new_stream(o, NULL);
    if (!s->out || avcodec_parameters_copy(s->out->codecpar, is->codecpar) < 0)
        return pz_fail(log, PZ_ERR_NOMEM, "no memory for the sound track");
    s->out->codecpar->codec_tag = 0;
    s->out->time_base = (AVRational){1, is->codecpar->sample_rate};
    return PZ_OK;
}

enum pz_status pz_mux_sound_open(const struct pz_mux_params *p, AVFormatContext *o, struct pz_mux_sound **out)
{
    struct pz_log *log = p->job ? p->job->log : NULL;
    enum pz_status st = PZ_OK;
    *out = NULL;
    if (!p->copy_sound_from && (p->sound_rate <= 0 || !p->sound))
        return PZ_OK;
    struct pz_mux_sound *s = pz_calloc(1, sizeof(*s));
    if (!s)
        return pz_fail(log, PZ_ERR_NOMEM, "no memory for the sound track");
    s->p = *p;
    if (p->copy_sound_from) {
        PZ_TRY(open_copied(s, o));
    } else {
        int err = open_made(s, o);
        if (err < 0) {
            st = pz_fail(log, PZ_ERR_INTERNAL, "cannot open the AAC encoder for %d Hz, %d channels: %s",
                         p->sound_rate, p->sound_channels, PZ_AV_TEXT(err));
            goto fail;
        }
    }
    const AVDictionaryEntry *lang = NULL;
    int from = p->source ? pz_av_audio(p->source) : -1;
    if (from >= 0)
        lang = av_dict_get(p->source->streams[from]->metadata, "language", NULL, 0);
    if (lang && av_dict_set(&s->out->metadata, "language", lang->value, 0) < 0) {
        st = pz_fail(log, PZ_ERR_NOMEM, "no memory for the sound track");
        goto fail;
    }
    *out = s;
    return PZ_OK;
fail:
    pz_mux_sound_close(&s);
    return st;
}

void pz_mux_sound_close(struct pz_mux_sound **ps)
{
    struct pz_mux_sound *s = ps ? *ps : NULL;
    if (!s)
        return;
    pz_packet_line_stop(&s->line); /* it uses all below */
    avcodec_free_context(&s->enc);
    swr_free(&s->swr);
    if (s->fifo)
        av_audio_fifo_free(s->fifo);
    av_frame_free(&s->frame);
    if (s->planes)
        av_freep(&s->planes[0]);
    av_freep(&s->planes);
    pz_free(s->piece);
    avformat_close_input(&s->in);
    pz_free(s);
    *ps = NULL;
}

const char *pz_mux_sound_codec(const struct pz_mux_sound *s)
{
    return s->in ? "copy" : s->enc->codec->name;
}

static enum pz_status refused(const struct pz_mux_sound *s, int err)
{
    return pz_fail(s->p.job ? s->p.job->log : NULL, PZ_ERR_INTERNAL, "encoding the sound failed: %s",
                   PZ_AV_TEXT(err));
}

/* One piece from the callback through the resampler into the fifo. */
static enum pz_status pull(struct pz_mux_sound *s)
{
    int64_t n = s->p.n_samples - s->asked;
    n = n < PIECE ? n : PIECE;
    const uint8_t *src = (const uint8_t *)s->piece;
    int got;
    if (n > 0) {
        enum pz_status st = s->p.sound(s->p.user, s->asked, s->piece, n);
        if (st != PZ_OK)
            return st;
        s->asked += n;
        got = swr_convert(s->swr, s->planes, s->planes_cap, &src, (int)n);
    } else {
        got = swr_convert(s->swr, s->planes, s->planes_cap, NULL, 0);
        s->flushed = got == 0;
    }
    if (got < 0 || av_audio_fifo_write(s->fifo, (void **)s->planes, got) < got)
        return refused(s, got < 0 ? got : AVERROR(ENOMEM));
    return PZ_OK;
}

static enum pz_status send_frame(struct pz_mux_sound *s)
{
    int size = s->enc->frame_size;
    while (av_audio_fifo_size(s->fifo) < size && !s->flushed) {
        enum pz_status st = pull(s);
        if (st != PZ_OK)
            return st;
    }
    int n = av_audio_fifo_size(s->fifo), err;
    if (n == 0) {
        s->closed = true;
        err = avcodec_send_frame(s->enc, NULL);
        return err < 0 ? refused(s, err) : PZ_OK;
    }
    n = n < size ? n : size;
    err = av_frame_make_writable(s->frame);
    if (err < 0)
        return refused(s, err);
    s->frame->nb_samples = av_audio_fifo_read(s->fifo, (void **)s->frame->extended_data, n);
    s->frame->pts = s->sent;
    s->sent += n;
    err = avcodec_send_frame(s->enc, s->frame);
    return err < 0 ? refused(s, err) : PZ_OK;
}

static enum pz_status next_copied(struct pz_mux_sound *s, AVPacket *pkt)
{
    while (av_read_frame(s->in, pkt) >= 0) {
        if (pkt->stream_index == s->in_index && pkt->size > 0 && pkt->pts != AV_NOPTS_VALUE) {
            pkt->pts -= s->zero;
            pkt->dts = pkt->pts;
            av_packet_rescale_ts(pkt, s->in_tb, s->out->time_base);
            pkt->stream_index = s->out->index;
            pkt->pos = -1;
            return PZ_OK;
        }
        av_packet_unref(pkt);
    }
    return PZ_END;
}

/* Next packet of what is made here. */
static enum pz_status next_made(void *user, AVPacket *pkt)
{
    struct pz_mux_sound *s = user;
    for (;;) {
        int err = avcodec_receive_packet(s->enc, pkt);
        if (err >= 0) {
            av_packet_rescale_ts(pkt, s->enc->time_base, s->out->time_base);
            pkt->stream_index = s->out->index;
            return PZ_OK;
        }
        if (err == AVERROR_EOF)
            return PZ_END;
        if (err != AVERROR(EAGAIN))
            return refused(s, err);
        enum pz_status st = send_frame(s);
        if (st != PZ_OK)
            return st;
    }
}

enum pz_status pz_mux_sound_next(struct pz_mux_sound *s, AVPacket *pkt)
{
    const struct pz_job *job = s->p.job;
    enum pz_status st = PZ_OK;
    if (s->in)
        return next_copied(s, pkt);
    if (pz_pool_threads(job ? job->pool : NULL) < 2)
        return next_made(s, pkt);
    if (!s->line)
        st = pz_packet_line_start(next_made, s, job->log, &s->line);
    return st < PZ_OK ? st : pz_packet_line_next(s->line, pkt);
}
