/* Smart render: a new film out of an old one. Stretches nobody touched are copied as packets; the others are
 * decoded, handed to the caller where touched, and encoded as closed groups that begin with an IDR.
 *
 * Two encoders' streams in one track: ours carries parameter sets under an id the source does not use, and
 * the track's configuration record holds both sets, so that every IDR finds its own without anything changing
 * in between. Where the encoder cannot choose its id, the sets are repeated in-band before every IDR of
 * either stream.
 *
 * Decoding times: with R the most frames any packet is ahead of its place in presentation, packet d of the
 * film is decoded when frame d−R is shown. That is monotonic, never later than the packet's own time, and
 * needs no knowledge of either encoder's clock. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/pool.h"
#include "media/encode.h"
#include "media/mux.h"
#include "media/plan.h"
#include "media/splice.h"

struct run {
    const struct pz_splice *s;
    const struct pz_splice_extra *x;
    const struct pz_job *job;
    struct pz_log *log;
    const struct pz_film_info *info;
    struct pz_splice_report report;
    AVFormatContext *in; /* for packets */
    int video;
    int64_t zero, next_order; /* dts_order of the packet read next, -1 unknown */
    struct pz_avcc avcc;
    bool has_record, copies, encodes, in_band;
    struct pz_reader *reader;
    struct pz_h264_params h264;
    AVCodecContext *enc;
    uint8_t *our_sets, *source_sets; /* Annex B from the encoder; length-prefixed for in-band use */
    int our_bytes, source_bytes;
    uint8_t *our_head; /* our sets, length-prefixed */
    int our_head_bytes;
    struct pz_mux *mux;
    AVPacket *pkt, *sized;
    AVFrame *still, *work; /* reference to a decoded frame; writable copy for touched ones */
    struct pz_picture upright;
    AVFrame **queue;                 /* [ahead] decoded frames of a round */
    int64_t reorder, written, shown; /* packets out; frames done, for progress */
    int next_key;
};

/* ---- times --------------------------------------------------------------------------------------------- */

static int64_t frame_step(const struct run *r)
{
    int64_t d = r->s->frames[0].duration;
    return d > 0 ? d : 1;
}

/* Stamp and write the packet of output frame `i`. */
static enum pz_status put(struct run *r, AVPacket *pkt, int64_t i)
{
    const struct pz_out_frame *f = r->s->frames;
    int64_t back = r->written - r->reorder;
    pkt->pts = f[i].pts;
    pkt->dts = back >= 0 ? f[back].pts : f[0].pts + back * frame_step(r);
    pkt->duration = f[i].duration;
    if (pkt->dts > pkt->pts)
        return pz_fail(r->log, PZ_ERR_INTERNAL, "frame %lld of the new film is decoded later than shown",
                       (long long)i);
    pkt->flags &= ~AV_PKT_FLAG_DISCARD;
    /* what rode on the source's packets (skips, changed headers) has no meaning here */
    av_packet_free_side_data(pkt);
    enum pz_status st = pz_mux_video(r->mux, pkt);
    if (st != PZ_OK)
        return st;
    r->written++;
    return PZ_OK;
}

static void tick(struct run *r)
{
    r->shown++;
    pz_job_progress(r->job, r->x->stage ? r->x->stage : "encode", r->shown, r->s->n_frames);
}

/* ---- copied stretches ---------------------------------------------------------------------------------- */

/* Read on to the next packet of the picture track. */
static enum pz_status read_packet(struct run *r)
{
    for (;;) {
        if (pz_job_cancelled(r->job))
            return PZ_ERR_CANCELLED;
        av_packet_unref(r->pkt);
        int err = av_read_frame(r->in, r->pkt);
        if (err < 0)
            return PZ_END;
        if (r->pkt->stream_index == r->video && r->pkt->size > 0)
            return PZ_OK;
    }
}

/* Bring the key packet of source frame `src` into `pkt`. */
static enum pz_status find_packet(struct run *r, int64_t src)
{
    const struct pz_frame_entry *e = &r->info->frames[src];
    bool has_dts = e->dts != INT64_MIN;
    /* where we are; by presentation time; by decoding time, which lands earlier; from the beginning */
    const int64_t places[4] = {0, e->pts + r->zero, (has_dts ? e->dts : e->pts) + r->zero, INT64_MIN / 2};
    for (int attempt = 0; attempt < 4; attempt++) {
        bool in_place = attempt == 0;
        if (in_place && r->next_order != e->dts_order)
            continue;
        int err = in_place ? 0 : av_seek_frame(r->in, r->video, places[attempt], AVSEEK_FLAG_BACKWARD);
        r->next_order = -1;
        if (err < 0)
            continue;
        enum pz_status st;
        while ((st = read_packet(r)) == PZ_OK) {
            if (r->pkt->pts == e->pts + r->zero)
                return PZ_OK;
            if (in_place || (r->pkt->dts != AV_NOPTS_VALUE && has_dts && r->pkt->dts > e->dts + r->zero))
                break;
        }
        if (st < PZ_OK)
            return st;
    }
    return pz_fail(r->log, PZ_ERR_INPUT, "'%s' changed while it was read: frame %lld is gone", r->s->source,
                   (long long)src);
}

/* The frame of [src, src+n) with this time, -1: none. */
static int64_t locate(const struct run *r, int64_t src, int64_t n, int64_t pts)
{
    const struct pz_frame_entry *e = r->info->frames;
    int64_t lo = src, hi = src + n - 1;
    while (lo <= hi) {
        int64_t mid = lo + (hi - lo) / 2;
        if (e[mid].pts == pts)
            return mid;
        if (e[mid].pts < pts)
            lo = mid + 1;
        else
            hi = mid - 1;
    }
    return -1;
}

static enum pz_status copy_stretch(struct run *r, const struct pz_stretch *t)
{
    int64_t src = r->s->frames[t->first].src;
    enum pz_status st = find_packet(r, src);
    for (int64_t k = 0; k < t->n && st == PZ_OK; k++) {
        if (k > 0)
            st = read_packet(r);
        if (st != PZ_OK)
            break;
        int64_t i = r->pkt->pts == AV_NOPTS_VALUE ? -1 : locate(r, src, t->n, r->pkt->pts - r->zero);
        if (i < 0)
            return pz_fail(r->log, PZ_ERR_INPUT, "'%s' changed while it was read", r->s->source);
        AVPacket *out = r->pkt;
        bool head = r->in_band && pz_avc_scan(&r->avcc, out->data, out->size).idr;
        if (head || r->avcc.nal_bytes != 4) {
            st = pz_avc_relength(r->pkt, r->avcc.nal_bytes, head ? r->source_sets : NULL,
                                 head ? r->source_bytes : 0, r->sized);
            if (st != PZ_OK)
                return pz_fail(r->log, st, "'%s': a packet of frame %lld is broken", r->s->source,
                               (long long)i);
            out = r->sized;
        }
        st = put(r, out, t->first + (i - src));
        r->report.frames_copied++;
        tick(r);
    }
    if (st == PZ_END)
        return pz_fail(r->log, PZ_ERR_INPUT, "'%s' ends before its index says so", r->s->source);
    r->next_order = r->info->frames[src].dts_order + t->n;
    return st;
}

/* ---- encoded stretches --------------------------------------------------------------------------------- */

/* A view of the planes of `f`, or (turned films) of `upright`. */
static struct pz_picture view_of(const struct run *r, const AVFrame *f)
{
    struct pz_picture p = r->upright;
    if (!r->info->rotation) {
        p = (struct pz_picture){.width = r->info->width, .height = r->info->height};
        for (int k = 0; k < 3; k++) {
            p.plane[k] = f->data[k];
            p.stride[k] = f->linesize[k];
        }
    }
    p.matrix = pz_reader_matrix(r->info);
    p.full_range = r->info->color_range == 2;
    return p;
}

static void turn_upright(const struct run *r, const AVFrame *f, const struct pz_picture *p)
{
    int w = r->h264.width, h = r->h264.height;
    for (int k = 0; k < 3; k++)
        pz_plane_turn(p->plane[k], p->stride[k], f->data[k], f->linesize[k], k ? (w + 1) / 2 : w,
                      k ? (h + 1) / 2 : h, r->info->rotation);
}

/* The frame as an upright picture, for the caller to change, and back into `work`. */
static enum pz_status touch(struct run *r, int64_t i, const AVFrame *f)
{
    int turn = r->info->rotation, w = r->h264.width, h = r->h264.height;
    bool turned = turn == 90 || turn == 270;
    int err = av_frame_make_writable(r->work);
    if (err < 0)
        return pz_fail(r->log, PZ_ERR_NOMEM, "no memory for a frame");
    struct pz_picture p = view_of(r, r->work);
    turn_upright(r, f, &p);
    enum pz_status st = r->s->picture(r->s->user, i, &p);
    if (st != PZ_OK)
        return st;
    int uw = turned ? h : w, uh = turned ? w : h;
    for (int k = 0; turn && k < 3; k++)
        pz_plane_turn(r->work->data[k], r->work->linesize[k], p.plane[k], p.stride[k], k ? (uw + 1) / 2 : uw,
                      k ? (uh + 1) / 2 : uh, 360 - turn);
    return PZ_OK;
}

static enum pz_status refused(struct run *r, int err)
{
    return pz_fail(r->log, PZ_ERR_INTERNAL, "encoding the picture failed: %s", PZ_AV_TEXT(err));
}

/* Everything the encoder has ready. Its packets carry the output frame's number as pts. */
static enum pz_status drain(struct run *r, const struct pz_stretch *t)
{
    for (;;) {
        double t0 = pz_now();
        int err = avcodec_receive_packet(r->enc, r->pkt);
        r->report.encode_s += pz_now() - t0;
        if (err == AVERROR(EAGAIN) || err == AVERROR_EOF)
            return PZ_OK;
        if (err < 0)
            return refused(r, err);
        int64_t lo = t->first, hi = t->first + t->n - 1;
        while (lo < hi) { /* output times ascend */
            int64_t mid = lo + (hi - lo) / 2;
            if (r->s->frames[mid].pts < r->pkt->pts)
                lo = mid + 1;
            else
                hi = mid;
        }
        if (r->s->frames[lo].pts != r->pkt->pts)
            return pz_fail(r->log, PZ_ERR_INTERNAL, "the encoder returned a frame nobody gave it");
        bool head = r->in_band && (r->pkt->flags & AV_PKT_FLAG_KEY);
        enum pz_status st =
            pz_annexb_to_avc(r->pkt, true, head ? r->our_head : NULL, head ? r->our_head_bytes : 0, r->sized);
        if (st != PZ_OK)
            return pz_fail(r->log, st, "no memory for a packet");
        st = put(r, r->sized, lo);
        if (st != PZ_OK)
            return st;
        r->report.frames_encoded++;
        tick(r);
    }
}

static bool wants_key(struct run *r, int64_t i)
{
    while (r->next_key < r->x->n_key_frames && r->x->key_frames[r->next_key] < i)
        r->next_key++;
    return r->next_key < r->x->n_key_frames && r->x->key_frames[r->next_key] == i;
}

/* Show the caller a frame that will be touched. */
static enum pz_status show(struct run *r, int64_t i, const AVFrame *f)
{
    struct pz_picture p = view_of(r, f);
    if (r->info->rotation)
        turn_upright(r, f, &p);
    return r->s->coming(r->s->user, i, &p);
}

/* Decode frames `i` … of the stretch into the queue: one, or as many touched ones as the caller wants to see
 * ahead. */
static enum pz_status decode_round(struct run *r, int64_t i, int64_t n_left, int *n)
{
    bool looks = r->s->coming && r->s->frames[i].touched;
    int64_t most = looks && r->s->ahead < n_left ? r->s->ahead : looks ? n_left : 1;
    enum pz_status st = PZ_OK;
    for (*n = 0; *n < most; ++*n) {
        int64_t k = i + *n;
        const AVFrame *f;
        st = pz_reader_coded(r->reader, r->s->frames[k].src, &f, NULL);
        if (st == PZ_OK && looks && r->s->frames[k].touched)
            st = show(r, k, f);
        if (st != PZ_OK)
            break;
        av_frame_unref(r->queue[*n]);
        if (av_frame_ref(r->queue[*n], f) < 0)
            return pz_fail(r->log, PZ_ERR_NOMEM, "no memory for a frame");
    }
    return st == PZ_END && *n > 0 ? PZ_OK : st;
}

static enum pz_status encode_frame(struct run *r, const struct pz_stretch *t, int64_t i, const AVFrame *f)
{
    const struct pz_out_frame *o = &r->s->frames[i];
    AVFrame *give = r->still;
    enum pz_status st = PZ_OK;
    if (o->touched && r->s->picture) {
        r->report.frames_touched++;
        st = touch(r, i, f);
        give = r->work;
    } else {
        av_frame_unref(r->still);
        if (av_frame_ref(r->still, f) < 0)
            st = pz_fail(r->log, PZ_ERR_NOMEM, "no memory for a frame");
    }
    if (st != PZ_OK)
        return st;
    give->pts = o->pts;
    give->format = AV_PIX_FMT_YUV420P; /* a full-range name for the same layout would confuse the encoder */
    give->pict_type = i == t->first || wants_key(r, i) ? AV_PICTURE_TYPE_I : AV_PICTURE_TYPE_NONE;
    while (give->nb_side_data > 0) /* captions and the like would be written twice */
        av_frame_remove_side_data(give, give->side_data[0]->type);
    double t0 = pz_now();
    int err = avcodec_send_frame(r->enc, give);
    r->report.encode_s += pz_now() - t0;
    av_frame_unref(r->still);
    if (err < 0)
        return refused(r, err);
    return drain(r, t);
}

static enum pz_status open_encoder(struct run *r)
{
    bool own;
    enum pz_status st = pz_h264_open(&r->h264, r->log, &r->enc, &own);
    if (st == PZ_OK && r->our_sets &&
        (r->enc->extradata_size != r->our_bytes ||
         memcmp(r->enc->extradata, r->our_sets, (size_t)r->our_bytes) != 0))
        st = pz_fail(r->log, PZ_ERR_INTERNAL, "the encoder changed its parameter sets between two stretches");
    return st;
}

static enum pz_status encode_stretch(struct run *r, const struct pz_stretch *t)
{
    enum pz_status st = PZ_OK;
    if (!r->enc)
        st = open_encoder(r);
    int n = 0;
    for (int64_t k = 0; k < t->n && st == PZ_OK; k += n) {
        st = decode_round(r, t->first + k, t->n - k, &n);
        for (int j = 0; j < n && st == PZ_OK; j++) {
            st = pz_job_cancelled(r->job) ? PZ_ERR_CANCELLED
                                          : encode_frame(r, t, t->first + k + j, r->queue[j]);
            av_frame_unref(r->queue[j]);
        }
    }
    if (st == PZ_OK) {
        int err = avcodec_send_frame(r->enc, NULL);
        st = err < 0 ? refused(r, err) : drain(r, t);
    }
    avcodec_free_context(&r->enc); /* the next stretch is a stream of its own */
    return st;
}

/* ---- setting up ---------------------------------------------------------------------------------------- */

static enum pz_status check(const struct pz_splice *s, struct pz_log *log)
{
    if (s->coming && s->ahead < 1)
        return pz_fail(log, PZ_ERR_USAGE, "pictures were asked for %d frames ahead", s->ahead);
    if (s->n_frames <= 0)
        return pz_fail(log, PZ_ERR_USAGE, "a film of no frames was asked for");
    for (int64_t i = 0; i < s->n_frames; i++) {
        const struct pz_out_frame *f = &s->frames[i];
        if (f->src < 0 || f->src >= s->info->n_frames || f->duration <= 0 || (i > 0 && f->pts <= f[-1].pts) ||
            (f->touched && !s->picture))
            return pz_fail(log, PZ_ERR_USAGE, "frame %lld of the new film has no source, time or maker",
                           (long long)i);
    }
    return PZ_OK;
}

/* First walk over the plan: is there anything to copy or encode, and how far do packets run ahead? */
static void survey(struct run *r)
{
    struct pz_stretch t;
    for (int64_t i = 0; i < r->s->n_frames; i += t.n) {
        t = pz_plan_next(r->info, r->s->frames, r->s->n_frames, i, r->has_record && r->info->copyable);
        int64_t ahead = pz_plan_reorder(r->info, r->s->frames, &t);
        r->reorder = ahead > r->reorder ? ahead : r->reorder;
        r->copies = r->copies || t.copy;
        r->encodes = r->encodes || !t.copy;
    }
}

static int free_set_id(const struct pz_avcc *a)
{
    for (int id = 1; id < 32; id++)
        if (!(a->sps_ids >> id & 1) && !(a->pps_ids[id >> 3] >> (id & 7) & 1))
            return id;
    return -1;
}

static void set_h264(struct run *r, const AVStream *vs)
{
    const struct pz_film_info *f = r->info;
    bool turned = f->rotation == 90 || f->rotation == 270;
    struct pz_h264_params *p = &r->h264;
    *p = (struct pz_h264_params){
        .width = turned ? f->height : f->width,
        .height = turned ? f->width : f->height,
        .time_base = f->time_base,
        .rate = f->average_rate,
        .sample_aspect =
            turned ? (struct pz_rational){f->sample_aspect.den, f->sample_aspect.num} : f->sample_aspect,
        .primaries = f->color_primaries,
        .transfer = f->color_transfer,
        .space = f->color_space,
        .range = f->color_range,
        .profile = 100,
        .set_id = -1,
        .crf = r->s->crf > 0  ? r->s->crf
               : r->s->preset ? 17
                              : 15.5,
        .preset = r->s->preset,
        .constant_rate = !f->variable_rate,
        .threads = pz_pool_threads(r->job ? r->job->pool : NULL),
        .bit_rate = f->video_bit_rate,
    };
    double rate = (double)f->average_rate.num / (double)f->average_rate.den;
    bool plausible = rate > 0.5 && rate < 1000; /* a hostile header may say anything */
    if (!plausible)
        p->rate = (struct pz_rational){25, 1};
    p->constant_rate = p->constant_rate && plausible;
    /* a film encoded once at prepare is rendered from often: shorter groups leave less to encode again behind
     * a slot */
    double seconds = r->copies ? 2 : 1;
    p->key_interval = plausible ? (int)(seconds * rate + 0.5) : 25;
    if (r->copies) {
        p->profile = r->avcc.profile;
        p->level = r->avcc.level;
        p->set_id = r->x->in_band ? -1 : free_set_id(&r->avcc);
    } else if (r->reorder == 0) {
        r->reorder = 2; /* nothing to agree with: a pyramid of our own */
    }
    p->reorder = r->reorder > 2 ? 2 : (int)r->reorder;
}

static int queue_length(const struct pz_splice *s)
{
    return s->coming ? s->ahead : 1;
}

/* Learn the encoder's parameter sets before the header is written. */
static enum pz_status prepare_sets(struct run *r)
{
    bool own = false;
    enum pz_status st = pz_h264_open(&r->h264, r->log, &r->enc, &own);
    if (st != PZ_OK)
        return st;
    snprintf(r->report.video_encoder, sizeof(r->report.video_encoder), "%s", r->enc->codec->name);
    r->in_band = r->copies && !own;
    r->our_bytes = r->enc->extradata_size;
    r->our_sets = av_memdup(r->enc->extradata, (size_t)r->our_bytes);
    if (!r->our_sets)
        return pz_fail(r->log, PZ_ERR_NOMEM, "no memory for parameter sets");
    if (r->in_band) {
        struct pz_avcc ours;
        uint8_t *record = NULL;
        int n = 0;
        st = pz_avcc_merge(NULL, r->our_sets, r->our_bytes, &record, &n);
        if (st == PZ_OK && pz_avcc_parse(record, n, &ours))
            st = pz_avcc_sets(&ours, &r->our_head, &r->our_head_bytes);
        if (st == PZ_OK)
            st = pz_avcc_sets(&r->avcc, &r->source_sets, &r->source_bytes);
        av_free(record);
        if (st != PZ_OK)
            return pz_fail(r->log, st, "the parameter sets of the two streams cannot be joined");
    }
    r->work->width = r->h264.width;
    r->work->height = r->h264.height;
    r->work->format = AV_PIX_FMT_YUV420P;
    if (av_frame_get_buffer(r->work, 0) < 0)
        return pz_fail(r->log, PZ_ERR_NOMEM, "no memory for a frame");
    if (r->info->rotation) {
        st = pz_picture_alloc(&r->upright, r->info->width, r->info->height);
        if (st != PZ_OK)
            return pz_fail(r->log, st, "no memory for a frame");
    }
    int ahead = queue_length(r->s);
    r->queue = av_calloc((size_t)ahead, sizeof(AVFrame *));
    for (int k = 0; r->queue && k < ahead; k++)
        if (!(r->queue[k] = av_frame_alloc()))
            return pz_fail(r->log, PZ_ERR_NOMEM, "no memory for a frame");
    if (!r->queue)
        return pz_fail(r->log, PZ_ERR_NOMEM, "no memory for a frame");
    return pz_reader_open(r->s->source, r->info, r->job, &r->reader);
}

static enum pz_status open_output(struct run *r, const AVStream *vs)
{
    AVCodecParameters *par = avcodec_parameters_alloc();
    const struct pz_film_info *f = r->info;
    enum pz_status st;
    bool ours = r->encodes && !r->in_band;
    if (!par)
        return pz_fail(r->log, PZ_ERR_NOMEM, "no memory for the output");
    par->codec_type = AVMEDIA_TYPE_VIDEO;
    par->codec_id = AV_CODEC_ID_H264;
    par->format = vs->codecpar->format == AV_PIX_FMT_YUVJ420P ? AV_PIX_FMT_YUVJ420P : AV_PIX_FMT_YUV420P;
    par->width = r->h264.width;
    par->height = r->h264.height;
    par->sample_aspect_ratio = pz_av_q(r->h264.sample_aspect);
    par->color_primaries = f->color_primaries;
    par->color_trc = f->color_transfer;
    par->color_space = f->color_space;
    par->color_range = f->color_range == 2 ? AVCOL_RANGE_JPEG : AVCOL_RANGE_MPEG;
    par->chroma_location = vs->codecpar->chroma_location;
    par->field_order = AV_FIELD_PROGRESSIVE;
    par->profile = r->h264.profile;
    par->level = r->h264.level;
    par->video_delay = (int)r->reorder;
    st = pz_avcc_merge(r->copies ? &r->avcc : NULL, ours ? r->our_sets : NULL, ours ? r->our_bytes : 0,
                       &par->extradata, &par->extradata_size);
    if (st != PZ_OK) {
        pz_fail(r->log, st, "the parameter sets of the two streams cannot be joined");
        goto fail;
    }
    struct pz_mux_params p = {
        .path = r->s->output,
        .source = r->in,
        .source_video = vs,
        .video = par,
        .time_base = f->time_base,
        .rate = f->average_rate,
        .xmp = r->s->xmp,
        .comment = r->s->comment,
        .sound_rate = r->s->sound ? f->sound_rate : 0,
        .sound_channels = f->sound_channels,
        .sound_layout = f->sound_layout,
        .sound_bit_rate =
            strcmp(f->sound_codec, "aac") == 0 || f->sound_bit_rate < 128000 * (int64_t)f->sound_channels
                ? f->sound_bit_rate
                : 128000 * (int64_t)f->sound_channels,
        .n_samples = r->s->n_samples,
        .sound = r->s->sound,
        .user = r->s->user,
        .copy_sound_from = r->x->copy_sound ? r->s->source : NULL,
        .job = r->job,
    };
    PZ_TRY(pz_mux_open(&p, &r->mux));
    snprintf(r->report.sound_encoder, sizeof(r->report.sound_encoder), "%s", pz_mux_sound_name(r->mux));
fail:
    avcodec_parameters_free(&par);
    return st;
}

static void clean(struct run *r)
{
    pz_mux_abort(&r->mux);
    pz_reader_close(&r->reader);
    avcodec_free_context(&r->enc);
    avformat_close_input(&r->in);
    av_packet_free(&r->pkt);
    av_packet_free(&r->sized);
    av_frame_free(&r->still);
    av_frame_free(&r->work);
    for (int k = 0; r->queue && k < queue_length(r->s); k++)
        av_frame_free(&r->queue[k]);
    av_free(r->queue);
    av_free(r->our_sets);
    av_free(r->our_head);
    av_free(r->source_sets);
    pz_picture_free(&r->upright);
}

enum pz_status pz_splice_run_extra(const struct pz_splice *s, const struct pz_splice_extra *x,
                                   const struct pz_job *job, struct pz_splice_report *report)
{
    struct run r = {
        .s = s, .x = x, .job = job, .log = job ? job->log : NULL, .info = s->info, .next_order = -1};
    enum pz_status st;

    if (report)
        *report = (struct pz_splice_report){0};
    PZ_TRY(check(s, r.log));
    r.pkt = av_packet_alloc();
    r.sized = av_packet_alloc();
    r.still = av_frame_alloc();
    r.work = av_frame_alloc();
    if (!r.pkt || !r.sized || !r.still || !r.work) {
        st = pz_fail(r.log, PZ_ERR_NOMEM, "no memory to write '%s'", s->output);
        goto fail;
    }
    PZ_TRY(pz_av_open(s->source, job, &r.in));
    r.video = pz_av_video(r.in);
    if (r.video < 0) {
        st = pz_fail(r.log, PZ_ERR_INPUT, "'%s' has no video track", s->source);
        goto fail;
    }
    const AVStream *vs = r.in->streams[r.video];
    pz_av_only(r.in, r.video);
    r.zero = pz_av_zero(r.in, vs->time_base);
    r.has_record = vs->codecpar->codec_id == AV_CODEC_ID_H264 &&
                   pz_avcc_parse(vs->codecpar->extradata, vs->codecpar->extradata_size, &r.avcc);
    survey(&r);
    set_h264(&r, vs);
    if (r.encodes)
        PZ_TRY(prepare_sets(&r));
    PZ_TRY(open_output(&r, vs));
    r.report.frames_total = s->n_frames;
    struct pz_stretch t;
    for (int64_t i = 0; i < s->n_frames; i += t.n) {
        t = pz_plan_next(r.info, s->frames, s->n_frames, i, r.copies);
        if (t.copy)
            PZ_TRY(copy_stretch(&r, &t));
        else
            PZ_TRY(encode_stretch(&r, &t));
    }
    PZ_TRY(pz_mux_finish(&r.mux));
    if (report)
        *report = r.report;
fail:
    clean(&r);
    return st;
}

enum pz_status pz_splice_run(const struct pz_splice *s, const struct pz_job *job,
                             struct pz_splice_report *report)
{
    return pz_splice_run_extra(s, &(struct pz_splice_extra){0}, job, report);
}
