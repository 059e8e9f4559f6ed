/* The index of a film's frames: one pass over the packets, put in presentation order, restart points found.
 * Decodes only when the container leaves no other way to know the times. */
#include <limits.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/pool.h"
#include "media/index.h"

struct growing {
    struct pz_frame_entry *e;
    int64_t n, cap;
};

static enum pz_status append(struct growing *g, const struct pz_frame_entry *e)
{
    if (g->n == g->cap) {
        int64_t cap = g->cap ? g->cap * 2 : 1024;
        void *p = pz_regrow(g->e, (size_t)g->cap, (size_t)cap, sizeof(*g->e));
        if (!p)
            return PZ_ERR_NOMEM;
        g->e = p;
        g->cap = cap;
    }
    g->e[g->n++] = *e;
    return PZ_OK;
}

static int by_time(const void *pa, const void *pb)
{
    const struct pz_frame_entry *a = pa, *b = pb;
    if (a->pts != b->pts)
        return a->pts < b->pts ? -1 : 1;
    return a->dts_order < b->dts_order ? -1 : 1;
}

/* Container flag and bitstream must agree: an H.264 "sync sample" is often only a recovery point. */
static void find_key(const AVStream *st, const AVPacket *pkt, const struct pz_avcc *avcc, struct pz_index *x,
                     struct pz_frame_entry *e)
{
    bool flagged = pkt->flags & AV_PKT_FLAG_KEY;
    e->entry = flagged;
    e->key = flagged;
    if (st->codecpar->codec_id != AV_CODEC_ID_H264)
        return;
    if (!avcc) {
        e->key = pz_annexb_idr(pkt->data, pkt->size);
    } else {
        struct pz_nal_scan s = pz_avc_scan(avcc, pkt->data, pkt->size);
        e->key = s.idr && !s.broken;
        x->foreign = x->foreign || s.foreign_sets;
        x->irregular = x->irregular || s.broken;
    }
    e->entry = flagged || e->key;
    if (av_packet_get_side_data(pkt, AV_PKT_DATA_NEW_EXTRADATA, NULL))
        x->foreign = true;
}

/* Durations, and keys that are closed in time as well as in syntax. `shown` packets are numbered in decode
 * order. */
static void finish(struct growing *g, struct pz_index *x)
{
    if (g->n > 0)
        qsort(g->e, (size_t)g->n, sizeof(*g->e), by_time);
    int64_t n = 0;
    for (int64_t i = 0; i < g->n; i++) {
        if (n > 0 && g->e[n - 1].pts == g->e[i].pts) {
            x->irregular = true;
            continue;
        }
        g->e[n++] = g->e[i];
    }
    int64_t latest = -1; /* highest decode position among the frames shown before this one */
    for (int64_t i = 0; i < n; i++) {
        struct pz_frame_entry *f = &g->e[i];
        if (i + 1 < n)
            f->duration = g->e[i + 1].pts - f->pts;
        else if (i > 0 && f->duration < g->e[i - 1].duration / 2) /* none told, or an edit list's rest */
            f->duration = g->e[i - 1].duration;
        else if (f->duration <= 0)
            f->duration = 1;
        f->key = f->key && latest < f->dts_order;
        latest = f->dts_order > latest ? f->dts_order : latest;
    }
    /* and nothing decoded later may be shown before: walk back */
    int64_t earliest = INT64_MAX;
    for (int64_t i = n - 1; i >= 0; i--) {
        struct pz_frame_entry *f = &g->e[i];
        f->key = f->key && f->dts_order < earliest;
        f->entry = (f->entry || f->key) && f->dts_order < earliest;
        earliest = f->dts_order < earliest ? f->dts_order : earliest;
    }
    x->frames = g->e;
    x->n_frames = n;
}

static void note_sound(const AVStream *st, const AVPacket *pkt, struct pz_index *x)
{
    int64_t t = pkt->pts != AV_NOPTS_VALUE ? pkt->pts : pkt->dts;
    x->sound_bytes += pkt->size;
    if (t == AV_NOPTS_VALUE || (pkt->flags & AV_PKT_FLAG_DISCARD))
        return;
    int64_t end = t + (pkt->duration > 0 ? pkt->duration : 0);
    size_t n = 0;
    const uint8_t *skip = av_packet_get_side_data(pkt, AV_PKT_DATA_SKIP_SAMPLES, &n);
    if (skip && n >= 10 && st->codecpar->sample_rate > 0) {
        uint32_t tail =
            (uint32_t)skip[4] | (uint32_t)skip[5] << 8 | (uint32_t)skip[6] << 16 | (uint32_t)skip[7] << 24;
        end -= av_rescale_q(tail, (AVRational){1, st->codecpar->sample_rate}, st->time_base);
    }
    x->sound_end = end > x->sound_end ? end : x->sound_end;
}

enum pz_status pz_index_scan(AVFormatContext *fmt, int video, int audio, const struct pz_avcc *avcc,
                             const char *path, const struct pz_job *job, struct pz_index *x)
{
    struct pz_log *log = job ? job->log : NULL;
    const AVStream *vs = fmt->streams[video];
    int64_t zero = pz_av_zero(fmt, vs->time_base);
    struct growing g = {0};
    enum pz_status st = PZ_OK;
    AVPacket *pkt = av_packet_alloc();
    int err = 0;

    *x = (struct pz_index){.timed = true, .sound_end = INT64_MIN};
    if (!pkt) {
        st = PZ_ERR_NOMEM;
        goto fail;
    }
    while ((err = av_read_frame(fmt, pkt)) >= 0) {
        if (pkt->stream_index == audio)
            note_sound(fmt->streams[audio], pkt, x);
        if (pkt->stream_index == video && pkt->size > 0) {
            struct pz_frame_entry e = {
                .dts = INT64_MIN, .duration = pkt->duration, .dts_order = x->n_packets++};
            x->video_bytes += pkt->size;
            if (pkt->pts == AV_NOPTS_VALUE || llabs(pkt->pts) > INT64_MAX / 4) {
                x->timed = false;
            } else if (!(pkt->flags & AV_PKT_FLAG_DISCARD)) {
                e.pts = pkt->pts - zero;
                if (pkt->dts != AV_NOPTS_VALUE && llabs(pkt->dts) <= INT64_MAX / 4)
                    e.dts = pkt->dts - zero;
                find_key(vs, pkt, avcc, x, &e);
                PZ_TRY(append(&g, &e));
            }
        }
        av_packet_unref(pkt);
        if (pz_job_cancelled(job)) {
            st = PZ_ERR_CANCELLED;
            goto fail;
        }
    }
    if (pz_job_cancelled(job)) {
        st = PZ_ERR_CANCELLED;
        goto fail;
    }
    if (err != AVERROR_EOF)
        pz_warn(log, "'%s': reading stopped early: %s", path, PZ_AV_TEXT(err));
    if (x->n_packets == 0) {
        st = pz_fail(log, PZ_ERR_INPUT, "'%s' has a video track but no frame in it", path);
        goto fail;
    }
    finish(&g, x);
    if (x->timed && x->n_frames == 0) {
        st = pz_fail(log, PZ_ERR_INPUT, "'%s': every frame is cut away by the file's edit list", path);
        goto fail;
    }
    av_packet_free(&pkt);
    return PZ_OK;
fail:
    if (st == PZ_ERR_NOMEM)
        pz_fail(log, st, "no memory for the index of '%s'", path);
    av_packet_free(&pkt);
    pz_free(g.e);
    *x = (struct pz_index){0};
    return st;
}

enum pz_status pz_index_decode(const char *path, const struct pz_job *job, struct pz_index *x)
{
    struct pz_log *log = job ? job->log : NULL;
    enum pz_status st = PZ_OK;
    AVFormatContext *fmt = NULL;
    AVCodecContext *dec = NULL;
    AVPacket *pkt = av_packet_alloc();
    AVFrame *frame = av_frame_alloc();
    struct growing g = {0};
    int64_t last = INT64_MIN;

    pz_free(x->frames);
    x->frames = NULL;
    x->n_frames = 0;
    if (!pkt || !frame) {
        st = pz_fail(log, PZ_ERR_NOMEM, "no memory to index '%s'", path);
        goto fail;
    }
    PZ_TRY(pz_av_open(path, job, &fmt));
    int video = pz_av_video(fmt), err = 0;
    if (video < 0) {
        st = pz_fail(log, PZ_ERR_INPUT, "'%s' has no video track", path);
        goto fail;
    }
    const AVStream *vs = fmt->streams[video];
    AVRational rate = vs->avg_frame_rate.num > 0 ? vs->avg_frame_rate : (AVRational){25, 1};
    int64_t step = av_rescale_q(1, av_inv_q(rate), vs->time_base), zero = pz_av_zero(fmt, vs->time_base);
    pz_av_only(fmt, video);
    PZ_TRY(pz_av_decoder(vs, pz_pool_threads(job ? job->pool : NULL), path, log, &dec));
    step = step > 0 ? step : 1;
    while (err != AVERROR_EOF) {
        err = av_read_frame(fmt, pkt);
        if (err >= 0 && pkt->stream_index == video)
            err = avcodec_send_packet(dec, pkt); /* a broken packet gives no frame, that is all */
        else if (err < 0)
            err = avcodec_send_packet(dec, NULL);
        av_packet_unref(pkt);
        while ((err = avcodec_receive_frame(dec, frame)) >= 0) {
            int64_t t = frame->best_effort_timestamp;
            struct pz_frame_entry e = {.dts = INT64_MIN, .dts_order = g.n, .duration = step};
            if (t == AV_NOPTS_VALUE || llabs(t) > INT64_MAX / 4 || (last != INT64_MIN && t - zero <= last))
                t = (last == INT64_MIN ? 0 : last + step) + zero;
            last = e.pts = t - zero;
            e.key = e.entry = g.n == 0;
            PZ_TRY(append(&g, &e));
            av_frame_unref(frame);
        }
        if (pz_job_cancelled(job)) {
            st = PZ_ERR_CANCELLED;
            goto fail;
        }
    }
    if (g.n == 0) {
        st = pz_fail(log, PZ_ERR_INPUT, "'%s': no frame of the video track can be decoded", path);
        goto fail;
    }
    finish(&g, x);
    g.e = NULL;
fail:
    pz_free(g.e);
    avcodec_free_context(&dec);
    avformat_close_input(&fmt);
    av_packet_free(&pkt);
    av_frame_free(&frame);
    return st;
}
