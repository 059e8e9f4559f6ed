/* A film that cannot be copied from, encoded once into one that can. The work is splice.c's: every frame is
 * taken over untouched, and none of them can be copied. */
#include <string.h>

#include "base/mem.h"
#include "media/av.h"
#include "media/splice.h"

struct through {
    struct pz_sound *sound;
    int channels;
};

static enum pz_status pass_sound(void *user, int64_t at, float *interleaved, int64_t n)
{
    struct through *t = user;
    int64_t got;
    enum pz_status st = pz_sound_read(t->sound, at, interleaved, n, &got);
    if (st >= PZ_OK && got < n)
        memset(interleaved + got * t->channels, 0, (size_t)((n - got) * t->channels) * sizeof(*interleaved));
    return st < PZ_OK ? st : PZ_OK;
}

/* AAC with its configuration in the header can move between containers as it is. */
static enum pz_status sound_is_portable(const char *path, const struct pz_job *job, bool *yes)
{
    AVFormatContext *fmt;
    enum pz_status st = pz_av_open(path, job, &fmt);
    if (st != PZ_OK)
        return st;
    int audio = pz_av_audio(fmt);
    const AVCodecParameters *p = audio >= 0 ? fmt->streams[audio]->codecpar : NULL;
    *yes = p && p->codec_id == AV_CODEC_ID_AAC && p->extradata_size >= 2;
    avformat_close_input(&fmt);
    return PZ_OK;
}

enum pz_status pz_transcode(const char *path, const struct pz_film_info *info, const char *output,
                            const int64_t *key_frames, int n_key_frames, const struct pz_job *job)
{
    enum pz_status st = PZ_OK;
    struct through through = {.channels = info->sound_channels};
    bool portable = false;
    struct pz_out_frame *frames = pz_calloc((size_t)info->n_frames, sizeof(*frames));
    if (!frames) {
        st = pz_fail(job ? job->log : NULL, PZ_ERR_NOMEM, "no memory to convert '%s'", path);
        goto fail;
    }
    struct pz_film_info all = *info;
    all.copyable = false;
    for (int64_t i = 0; i < info->n_frames; i++)
        frames[i] =
            (struct pz_out_frame){.src = i, .pts = info->frames[i].pts, .duration = info->frames[i].duration};
    if (info->has_sound) {
        PZ_TRY(sound_is_portable(path, job, &portable));
        if (!portable)
            PZ_TRY(pz_sound_open(path, info->sound_rate, info->sound_channels, job, &through.sound));
    }
    struct pz_splice s = {
        .source = path,
        .info = &all,
        .output = output,
        .frames = frames,
        .n_frames = info->n_frames,
        .sound = through.sound ? pass_sound : NULL,
        .n_samples = info->n_samples,
        .user = &through,
        .crf = 16,
        .preset = "veryfast",
    };
    struct pz_splice_extra x = {
        .copy_sound = portable, .key_frames = key_frames, .n_key_frames = n_key_frames, .stage = "convert"};
    PZ_TRY(pz_splice_run_extra(&s, &x, job, NULL));
fail:
    pz_sound_close(&through.sound);
    pz_free(frames);
    return st;
}
