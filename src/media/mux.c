/* The MP4 file: header, interleaving, faststart, the XMP box, and the rule that it is complete or not there.
 * Makes no packets: splice.c brings pictures, mux_sound.c sound. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "media/mux.h"

struct pz_mux {
    const struct pz_job *job;
    struct pz_log *log;
    struct pz_unnamed file;
    char *path, *xmp;
    AVFormatContext *o;
    AVStream *video;
    AVRational time_base;
    struct pz_mux_sound *sound;
    AVPacket *waiting; /* next sound packet, not yet due */
    bool has_waiting, sound_ended;
};

static enum pz_status write_failed(const struct pz_mux *m, int err)
{
    if (err == AVERROR(ENOMEM))
        return pz_fail(m->log, PZ_ERR_NOMEM, "no memory to write '%s'", m->path);
    if (err == AVERROR(EINVAL) || err == AVERROR_INVALIDDATA)
        return pz_fail(m->log, PZ_ERR_INTERNAL, "the MP4 writer refused a packet for '%s': %s", m->path,
                       PZ_AV_TEXT(err));
    return pz_fail(m->log, PZ_ERR_WRITE, "cannot write '%s': %s", m->path, PZ_AV_TEXT(err));
}

static int copy_tags(AVFormatContext *o, const struct pz_mux_params *p)
{
    static const char *const keys[] = {"title",         "artist",    "author",  "album",
                                       "date",          "copyright", "comment", "description",
                                       "creation_time", "location",  "genre",   "synopsis"};
    for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
        const AVDictionaryEntry *e = p->source ? av_dict_get(p->source->metadata, keys[i], NULL, 0) : NULL;
        int err = e ? av_dict_set(&o->metadata, keys[i], e->value, 0) : 0;
        if (err < 0)
            return err;
    }
    return p->comment ? av_dict_set(&o->metadata, "comment", p->comment, 0) : 0;
}

static int add_video(struct pz_mux *m, const struct pz_mux_params *p)
{
    AVStream *st = m->video = avformat_new_stream(m->o, NULL);
    if (!st)
        return AVERROR(ENOMEM);
    int err = avcodec_parameters_copy(st->codecpar, p->video);
    if (err < 0)
        return err;
    st->codecpar->codec_tag = MKTAG('a', 'v', 'c', '1');
    st->time_base = pz_av_q(p->time_base);
    st->avg_frame_rate = pz_av_q(p->rate);
    st->sample_aspect_ratio = p->video->sample_aspect_ratio;
    size_t n = 0;
    const uint8_t *matrix =
        p->source_video ? av_stream_get_side_data(p->source_video, AV_PKT_DATA_DISPLAYMATRIX, &n) : NULL;
    if (matrix && n >= 36) {
        uint8_t *to = av_stream_new_side_data(st, AV_PKT_DATA_DISPLAYMATRIX, 36);
        if (!to)
            return AVERROR(ENOMEM);
        memcpy(to, matrix, 36);
    }
    static const char *const keys[] = {"language", "handler_name"};
    for (int i = 0; i < 2 && p->source_video; i++) {
        const AVDictionaryEntry *e = av_dict_get(p->source_video->metadata, keys[i], NULL, 0);
        if (e && (err = av_dict_set(&st->metadata, keys[i], e->value, 0)) < 0)
            return err;
    }
    return 0;
}

static int write_header(struct pz_mux *m, const struct pz_mux_params *p)
{
    AVDictionary *opt = NULL;
    int64_t movie = p->time_base.den; /* a film that begins late is placed to the tick */
    while (movie < 10000)
        movie *= 10;
    int err = av_dict_set(&opt, "movflags", "+faststart", 0);
    if (err >= 0)
        err = av_dict_set_int(&opt, "video_track_timescale", p->time_base.den, 0);
    if (err >= 0)
        err = av_dict_set_int(&opt, "movie_timescale", movie, 0);
    if (err >= 0)
        err = av_dict_set_int(&opt, "use_editlist", 1, 0);
    if (err >= 0)
        err = avformat_write_header(m->o, &opt);
    av_dict_free(&opt);
    return err;
}

enum pz_status pz_mux_open(const struct pz_mux_params *p, struct pz_mux **out)
{
    struct pz_log *log = p->job ? p->job->log : NULL;
    enum pz_status st = PZ_OK;
    char *url = NULL;
    int err;
    struct pz_mux *m = pz_calloc(1, sizeof(*m));

    *out = NULL;
    pz_av_quiet();
    if (m)
        m->file.fd = -1;
    if (!m || !(m->path = pz_strdup(p->path)) || !(m->waiting = av_packet_alloc()) ||
        (p->xmp && !(m->xmp = pz_strdup(p->xmp)))) {
        st = pz_fail(log, PZ_ERR_NOMEM, "no memory to write '%s'", p->path);
        goto fail;
    }
    m->job = p->job;
    m->log = log;
    PZ_TRY(pz_unnamed_open(log, p->path, &m->file));
    if (!(url = pz_asprintf("file:%s", m->file.writer))) {
        st = pz_fail(log, PZ_ERR_NOMEM, "no memory to write '%s'", p->path);
        goto fail;
    }
    err = avformat_alloc_output_context2(&m->o, NULL, "mp4", url);
    if (err >= 0)
        err = copy_tags(m->o, p);
    if (err >= 0)
        err = add_video(m, p);
    if (err < 0) {
        st = pz_fail(log, PZ_ERR_INTERNAL, "cannot set up the MP4 writer: %s", PZ_AV_TEXT(err));
        goto fail;
    }
    PZ_TRY(pz_mux_sound_open(p, m->o, &m->sound));
    err = avio_open(&m->o->pb, url, AVIO_FLAG_WRITE);
    if (err >= 0)
        err = write_header(m, p);
    if (err < 0) {
        st = write_failed(m, err);
        goto fail;
    }
    m->time_base = pz_av_q(p->time_base);
    *out = m;
    m = NULL;
fail:
    pz_free(url);
    pz_mux_abort(&m);
    return st;
}

static void free_mux(struct pz_mux **pm)
{
    struct pz_mux *m = *pm;
    pz_mux_sound_close(&m->sound); /* first: its thread looks at the streams */
    if (m->o) {
        avio_closep(&m->o->pb);
        avformat_free_context(m->o);
    }
    av_packet_free(&m->waiting);
    pz_free(m->path);
    pz_unnamed_close(&m->file);
    pz_free(m->xmp);
    pz_free(m);
    *pm = NULL;
}

void pz_mux_abort(struct pz_mux **pm)
{
    if (pm && *pm)
        free_mux(pm);
}

const char *pz_mux_sound_name(const struct pz_mux *m)
{
    return m->sound ? pz_mux_sound_codec(m->sound) : "";
}

/* Sound packets due before `until` (video ticks); INT64_MAX: all. */
static enum pz_status write_sound(struct pz_mux *m, int64_t until)
{
    enum pz_status st = PZ_OK;
    while (m->sound && !m->sound_ended) {
        if (!m->has_waiting) {
            st = pz_mux_sound_next(m->sound, m->waiting);
            if (st == PZ_END) {
                m->sound_ended = true;
                return PZ_OK;
            }
            if (st < PZ_OK)
                return st;
            m->has_waiting = true;
        }
        AVRational tb = m->o->streams[m->waiting->stream_index]->time_base;
        if (until != INT64_MAX && av_compare_ts(m->waiting->dts, tb, until, m->time_base) > 0)
            return PZ_OK;
        int err = av_write_frame(m->o, m->waiting);
        av_packet_unref(m->waiting);
        m->has_waiting = false;
        if (err < 0)
            return write_failed(m, err);
        if (pz_job_cancelled(m->job))
            return PZ_ERR_CANCELLED;
    }
    return PZ_OK;
}

enum pz_status pz_mux_video(struct pz_mux *m, AVPacket *pkt)
{
    enum pz_status st = write_sound(m, pkt->dts);
    if (st != PZ_OK)
        return st;
    pkt->stream_index = m->video->index;
    pkt->pos = -1;
    av_packet_rescale_ts(pkt, m->time_base, m->video->time_base);
    int err = av_write_frame(m->o, pkt);
    return err < 0 ? write_failed(m, err) : PZ_OK;
}

/* The XMP box goes last: nothing in the file points behind it (ISO/IEC 14496-12 §11.1; XMP part 3 §1.1.3). */
static enum pz_status append_xmp(const struct pz_mux *m)
{
    static const uint8_t uuid[16] = {0xbe, 0x7a, 0xcf, 0xcb, 0x97, 0xa9, 0x42, 0xe8,
                                     0x9c, 0x71, 0x99, 0x94, 0x91, 0xe3, 0xaf, 0xac};
    size_t n = strlen(m->xmp);
    if (n > 1 << 24)
        return pz_fail(m->log, PZ_ERR_USAGE, "XMP packet of %zu bytes is too large", n);
    uint32_t size = (uint32_t)(n + 24);
    uint8_t head[24] = {(uint8_t)(size >> 24),
                        (uint8_t)(size >> 16),
                        (uint8_t)(size >> 8),
                        (uint8_t)size,
                        'u',
                        'u',
                        'i',
                        'd'};
    memcpy(head + 8, uuid, 16);
    FILE *f = fopen(m->file.writer, "ab");
    int err = errno;
    bool bad = !f || fwrite(head, 1, 24, f) != 24 || fwrite(m->xmp, 1, n, f) != n;
    if (bad && f)
        err = errno;
    if (f && fclose(f) != 0) {
        err = errno;
        bad = true;
    }
    return bad ? pz_fail(m->log, PZ_ERR_WRITE, "cannot write '%s': %s", m->path, strerror(err)) : PZ_OK;
}

enum pz_status pz_mux_finish(struct pz_mux **pm)
{
    struct pz_mux *m = *pm;
    enum pz_status st;
    PZ_TRY(write_sound(m, INT64_MAX));
    int err = av_write_trailer(m->o);
    if (err >= 0 && m->o->pb->error < 0)
        err = m->o->pb->error;
    int closed = avio_closep(&m->o->pb);
    if (err >= 0)
        err = closed;
    if (err < 0) {
        st = write_failed(m, err);
        goto fail;
    }
    if (m->xmp)
        PZ_TRY(append_xmp(m));
    st = pz_unnamed_commit(m->log, &m->file);
fail:
    pz_mux_abort(pm);
    return st;
}
