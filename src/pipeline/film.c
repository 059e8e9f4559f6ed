/* Film pieces: joins media, face and speech for the floors that learn. Decides nothing about slots. */
#include "pipeline/film.h"

#include <math.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"

/* ---- sound ---- */

static enum pz_status tap_read(void *user, int64_t at, float *out, int64_t n)
{
    struct pz_film_sound *s = user;
    int ch = s->tap.channels;
    memset(out, 0, (size_t)n * (size_t)ch * sizeof *out);
    if (at < 0) {
        int64_t skip = -at < n ? -at : n;
        out += skip * ch;
        n -= skip;
        at = 0;
    }
    if (at >= s->tap.n || n <= 0)
        return PZ_OK;
    if (n > s->tap.n - at)
        n = s->tap.n - at;
    int64_t got = 0;
    return pz_sound_read(s->sound, at, out, n, &got);
}

enum pz_status pz_film_sound_open(const char *path, int rate, int channels, int64_t n,
                                  const struct pz_job *job, struct pz_film_sound *s)
{
    *s = (struct pz_film_sound){0};
    enum pz_status st = pz_sound_open(path, rate, channels, job, &s->sound);
    if (st != PZ_OK)
        return st;
    s->tap = (struct pz_tap){.user = s,
                             .rate = pz_sound_rate(s->sound),
                             .channels = pz_sound_channels(s->sound),
                             .n = n,
                             .read = tap_read};
    return PZ_OK;
}

void pz_film_sound_close(struct pz_film_sound *s)
{
    pz_sound_close(&s->sound);
    *s = (struct pz_film_sound){0};
}

enum pz_status pz_film_sound_whole(const char *path, double max_seconds, const struct pz_job *job,
                                   float **samples, int64_t *n, int *rate)
{
    *samples = NULL;
    *n = 0;
    struct pz_sound *s = NULL;
    enum pz_status st = pz_sound_open(path, 0, 1, job, &s);
    if (st != PZ_OK)
        return st;
    *rate = pz_sound_rate(s);
    int64_t cap = (int64_t)(max_seconds * *rate) + 1, got = 0;
    float *buf = pz_calloc((size_t)cap, sizeof *buf);
    if (!buf)
        st = pz_fail(job ? job->log : NULL, PZ_ERR_NOMEM, "no memory for the sound of '%s'", path);
    else
        st = pz_sound_read(s, 0, buf, cap, &got);
    pz_sound_close(&s);
    if (st >= PZ_OK && (got == 0 || got >= cap))
        st = pz_fail(job ? job->log : NULL, PZ_ERR_INPUT,
                     got ? "'%s' is longer than the %.0f s a recording may have"
                         : "'%s' has no sound (%.0f s at most)",
                     path, max_seconds);
    if (st < PZ_OK) {
        pz_free(buf);
        return st;
    }
    *samples = buf;
    *n = got;
    return PZ_OK;
}

/* ---- windows ---- */

double pz_film_frame_time(const struct pz_film_info *info, int64_t i)
{
    return pz_seconds(info->frames[i].pts, info->time_base);
}

int64_t pz_film_frame_at(const struct pz_film_info *info, double seconds)
{
    int64_t lo = 0, hi = info->n_frames;
    while (lo < hi) {
        int64_t mid = lo + (hi - lo) / 2;
        if (pz_film_frame_time(info, mid) < seconds - 1e-9)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* ---- faces ---- */

#define LOUDNESS_MAX 8192 /* samples looked at around a frame, at most */

/* What a choice may need: the picture of a portrait, how loud the film is. */
struct choosing {
    struct pz_face_choice c;
    struct pz_picture portrait;
    const struct pz_film_info *info;
    struct pz_film_sound sound;
    float samples[LOUDNESS_MAX];
};

static bool ends_in(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n > m && strcasecmp(s + n - m, end) == 0;
}

/* Root mean square of the sound around a frame, a frame and a half long. */
static float loudness_at(void *user, int64_t frame)
{
    struct choosing *x = user;
    double step = pz_seconds(x->info->frames[frame].duration, x->info->time_base), sum = 0;
    int64_t at = (int64_t)(pz_film_frame_time(x->info, frame) * PZ_SPEECH_RATE) - 160,
            n = 160 + (int64_t)(1.5 * step * PZ_SPEECH_RATE);
    n = n > LOUDNESS_MAX ? LOUDNESS_MAX : n;
    if (x->sound.tap.read(x->sound.tap.user, at, x->samples, n) < PZ_OK)
        return 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)x->samples[i] * (double)x->samples[i];
    return (float)sqrt(sum / (double)n);
}

static enum pz_status open_choice(struct choosing *x, const char *path, const struct pz_film_info *info,
                                  const char *which, const struct pz_job *job)
{
    enum pz_status st = PZ_OK;
    *x = (struct choosing){.c = {.which = which}, .info = info};
    if (which && (ends_in(which, ".png") || ends_in(which, ".jpg") || ends_in(which, ".jpeg"))) {
        PZ_TRY(pz_still_read(which, job, &x->portrait));
        x->c.portrait = &x->portrait;
    } else if (which && strcmp(which, "speaker") == 0 && info->has_sound) {
        int64_t n = pz_rescale(info->n_samples, (struct pz_rational){1, info->sound_rate},
                               (struct pz_rational){1, PZ_SPEECH_RATE});
        PZ_TRY(pz_film_sound_open(path, PZ_SPEECH_RATE, 1, n, job, &x->sound));
        x->c.loudness = loudness_at;
        x->c.user = x;
    }
fail:
    return st;
}

static void close_choice(struct choosing *x)
{
    pz_film_sound_close(&x->sound);
    pz_picture_free(&x->portrait);
}

enum pz_status pz_film_find_faces(const char *path, const struct pz_film_info *info,
                                  const struct pz_frame_span *spans, int n_spans, const char *choice,
                                  const struct pz_face_tracker_params *faces, const struct pz_job *job,
                                  const char *track_path, struct pz_film_faces *out)
{
    enum pz_status st = PZ_OK;
    struct pz_reader *reader = NULL;
    struct pz_face_tracker *tracker = NULL;
    struct choosing x = {0};
    int64_t total = 0, done = 0;
    *out = (struct pz_film_faces){.track = -1};
    for (int s = 0; s < n_spans; s++)
        total += spans[s].last - spans[s].first;
    PZ_TRY(open_choice(&x, path, info, choice, job));
    PZ_TRY(pz_face_tracker_create(faces, job, &tracker));
    PZ_TRY(pz_reader_open(path, info, job, &reader));
    for (int s = 0; s < n_spans; s++) {
        for (int64_t i = spans[s].first; i < spans[s].last; i++, done++) {
            const struct pz_picture *pic;
            bool damaged = false;
            if (pz_job_cancelled(job)) {
                st = PZ_ERR_CANCELLED;
                goto fail;
            }
            PZ_TRY(pz_reader_frame(reader, i, &pic, &damaged));
            if (!damaged)
                PZ_TRY(pz_face_tracker_push(tracker, i, pic));
            pz_job_progress(job, "faces", done + 1, total);
        }
    }
    PZ_TRY(pz_face_tracker_finish(tracker));
    struct pz_face_summary sum;
    for (; out->n < pz_face_tracker_count(tracker) && out->n < PZ_FILM_PERSONS; out->n++)
        PZ_TRY(pz_face_tracker_summary(tracker, out->n, &out->who[out->n]));
    PZ_TRY(pz_face_tracker_choose(tracker, &x.c, &out->track));
    PZ_TRY(pz_face_tracker_summary(tracker, out->track, &sum));
    PZ_TRY(pz_face_tracker_write(tracker, out->track, track_path));
    out->looked = total;
    out->share = sum.presence;
fail:
    close_choice(&x);
    pz_reader_close(&reader);
    pz_face_tracker_destroy(&tracker);
    return st;
}

/* ---- all together ---- */

static double view_time(void *user, int64_t i)
{
    struct pz_film_view *v = user;
    return pz_film_frame_time(v->info, i) - (double)v->window_start / PZ_SPEECH_RATE;
}

static enum pz_status view_picture(void *user, int64_t i, const struct pz_picture **out)
{
    struct pz_film_view *v = user;
    bool damaged;
    return pz_reader_frame(v->reader, i, out, &damaged);
}

static const struct pz_face *view_face(void *user, int64_t i)
{
    struct pz_film_view *v = user;
    return v->track ? pz_face_track_at(v->track, i) : NULL;
}

/* The part of the film's phone line inside [start, end), relative to start. */
static enum pz_status cut_phones(struct pz_film_view *v, const struct pz_phone *phones, int n, int64_t start,
                                 int64_t end)
{
    v->phones = pz_calloc((size_t)n + 1, sizeof *v->phones);
    if (!v->phones)
        return PZ_ERR_NOMEM;
    int k = 0;
    for (int i = 0; i < n; i++) {
        struct pz_phone p = phones[i];
        if (p.end <= start || p.start >= end)
            continue;
        p.start = (p.start > start ? p.start : start) - start;
        p.end = (p.end < end ? p.end : end) - start;
        v->phones[k++] = p;
    }
    v->film.phones = v->phones;
    v->film.n_phones = k;
    return PZ_OK;
}

static enum pz_status read_speech(struct pz_film_view *v, const char *path, int64_t start, int64_t end,
                                  const struct pz_job *job)
{
    struct pz_film_sound s;
    v->speech = pz_calloc((size_t)(end - start) + 1, sizeof *v->speech);
    if (!v->speech)
        return PZ_ERR_NOMEM;
    enum pz_status st = pz_film_sound_open(path, PZ_SPEECH_RATE, 1, end, job, &s);
    if (st != PZ_OK)
        return st;
    st = s.tap.read(s.tap.user, start, v->speech, end - start);
    pz_film_sound_close(&s);
    v->film.speech = v->speech;
    v->film.n_speech = end - start;
    return st;
}

static enum pz_status list_fit_frames(struct pz_film_view *v, int64_t start, int64_t end, int64_t fit_end)
{
    double stop = (double)(fit_end < end ? fit_end : end) / PZ_SPEECH_RATE;
    int64_t first = pz_film_frame_at(v->info, (double)start / PZ_SPEECH_RATE),
            last = pz_film_frame_at(v->info, stop);
    v->fit_frames = pz_calloc((size_t)(last - first) + 1, sizeof *v->fit_frames);
    if (!v->fit_frames)
        return PZ_ERR_NOMEM;
    int64_t n = 0;
    for (int64_t i = first; i < last; i++) {
        const struct pz_face *f = view_face(v, i);
        if (f && f->present)
            v->fit_frames[n++] = i;
    }
    v->film.fit_frames = v->fit_frames;
    v->film.n_fit_frames = n;
    return PZ_OK;
}

enum pz_status pz_film_view_open(struct pz_film_view *v, const char *path, const struct pz_film_info *info,
                                 const struct pz_face_track *track, const struct pz_phone *phones,
                                 int n_phones, int64_t start, int64_t end, int64_t fit_end,
                                 const struct pz_job *job)
{
    enum pz_status st = PZ_OK;
    *v = (struct pz_film_view){.info = info, .track = track, .window_start = start};
    v->film = (struct pz_film){.user = v,
                               .n_frames = info->n_frames,
                               .frame_time = view_time,
                               .picture = view_picture,
                               .face = view_face,
                               .topology = track ? pz_face_track_topology(track) : NULL};
    PZ_TRY(pz_reader_open(path, info, job, &v->reader));
    PZ_TRY(read_speech(v, path, start, end, job));
    PZ_TRY(cut_phones(v, phones, n_phones, start, end));
    PZ_TRY(list_fit_frames(v, start, end, fit_end));
    return PZ_OK;
fail:
    if (st == PZ_ERR_NOMEM)
        pz_fail(job ? job->log : NULL, st, "no memory for the film's sound and phones");
    pz_film_view_close(v);
    return st;
}

enum pz_status pz_film_view_ask(struct pz_film_view *v, const struct pz_frame_span *spans, int n)
{
    int64_t total = 0, k = 0;
    for (int s = 0; s < n; s++)
        total += spans[s].last - spans[s].first;
    v->asked_frames = pz_calloc((size_t)total + 1, sizeof *v->asked_frames);
    if (!v->asked_frames)
        return PZ_ERR_NOMEM;
    for (int s = 0; s < n; s++)
        for (int64_t i = spans[s].first; i < spans[s].last; i++) {
            const struct pz_face *f = view_face(v, i);
            if (f && f->present)
                v->asked_frames[k++] = i;
        }
    v->film.asked_frames = v->asked_frames;
    v->film.n_asked_frames = k;
    return PZ_OK;
}

void pz_film_view_close(struct pz_film_view *v)
{
    pz_reader_close(&v->reader);
    pz_free(v->speech);
    pz_free(v->phones);
    pz_free(v->fit_frames);
    pz_free(v->asked_frames);
    *v = (struct pz_film_view){0};
}
