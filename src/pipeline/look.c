/* detect and check: what is in a film, without making anything. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "pipeline/film.h"
#include "pipeline/pipeline.h"
#include "pipeline/plot.h"
#include "pipeline/prepare.h"

#define CHECK_MAX_FRAMES 750 /* frames `check` looks at, spread over the film */

static json_t *film_json(const struct pz_film_info *i)
{
    double fps = i->average_rate.den ? (double)i->average_rate.num / (double)i->average_rate.den : 0;
    return json_pack(
        "{s:s, s:s, s:i, s:i, s:i, s:f, s:b, s:I, s:f, s:b, s:b, s:i, s:i}", "container", i->container,
        "codec", i->video_codec, "width", i->width, "height", i->height, "rotation", i->rotation, "fps",
        round(fps * 1e3) / 1e3, "variable_rate", (int)i->variable_rate, "frames", (json_int_t)i->n_frames,
        "duration_s", round(pz_seconds(i->duration, i->time_base) * 1e6) / 1e6, "copyable", (int)i->copyable,
        "has_sound", (int)i->has_sound, "sound_rate", i->sound_rate, "sound_channels", i->sound_channels);
}

static enum pz_status dump(struct pz_log *log, json_t *root, char **json)
{
    char *text =
        root ? json_dumps(root, JSON_INDENT(2) | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(9)) : NULL;
    *json = pz_strdup(text);
    free(text);
    json_decref(root);
    return *json ? PZ_OK : pz_fail(log, PZ_ERR_NOMEM, "no memory for the answer");
}

enum pz_status pz_pipeline_describe(struct pz_pipeline *p, const struct pz_prepared *t, char **json)
{
    char *text = pz_template_to_json(&t->data, false);
    json_t *root = text ? json_loads(text, 0, NULL) : NULL;
    json_t *film = film_json(t->info);
    pz_free(text);
    *json = NULL;
    if (!root || !film || json_object_set(root, "fps", json_object_get(film, "fps")) != 0) {
        json_decref(root);
        json_decref(film);
        return pz_fail(p->job.log, PZ_ERR_NOMEM, "no memory for the answer");
    }
    json_object_set_new(root, "film_info", film);
    return dump(p->job.log, root, json);
}

enum pz_status pz_pipeline_detect(struct pz_pipeline *p, const struct pz_prepare_request *r, char **json)
{
    enum pz_status st = PZ_OK;
    struct pz_film_info *info = NULL;
    struct pz_analysis a = {0};
    struct pz_template_data d = {.face_track = -1};
    struct pz_prepare_request any = *r;
    char *transcript = NULL, *text = NULL;
    struct pz_film_sound sound = {0};
    *json = NULL;
    any.slots_optional = true;
    PZ_TRY(pz_film_info_read(r->video, &p->job, &info));
    PZ_TRY(pz_prepare_transcript(p, r, &transcript));
    PZ_TRY(pz_prepare_listen(p, &any, r->video, info, transcript, &a));
    const char *slash = strrchr(r->video, '/');
    d.source_name = pz_strdup(slash ? slash + 1 : r->video);
    d.transcript = pz_strdup(transcript);
    text = pz_prepare_take_analysis(&a, &d) == PZ_OK ? pz_template_to_json(&d, false) : NULL;
    if (text && r->plot) {
        PZ_TRY(pz_film_sound_open(r->video, PZ_SPEECH_RATE, 1, a.n_samples, &p->job, &sound));
        PZ_TRY(pz_plot_speech(p->job.log, r->plot, &sound.tap, &d));
    }
    json_t *all = text ? json_loads(text, 0, NULL) : NULL;
    if (!all) {
        st = pz_fail(p->job.log, PZ_ERR_NOMEM, "no memory for the words of the film");
        goto fail;
    }
    json_t *root = json_pack("{s:s, s:o, s:s, s:b, s:O, s:O}", "clip", d.source_name, "film", film_json(info),
                             "text", a.text ? a.text : "", "aligned", (int)a.aligned, "words",
                             json_object_get(all, "words"), "slots", json_object_get(all, "slots"));
    json_decref(all);
    st = dump(p->job.log, root, json);
fail:
    pz_film_sound_close(&sound);
    pz_free(text);
    pz_free(transcript);
    pz_template_data_free(&d);
    pz_analysis_free(&a);
    pz_film_info_free(&info);
    return st;
}

/* Spans of about CHECK_MAX_FRAMES frames in all: runs of ten, evenly spread. */
static int spread(const struct pz_film_info *info, struct pz_frame_span *spans, int most)
{
    if (info->n_frames <= CHECK_MAX_FRAMES) {
        spans[0] = (struct pz_frame_span){0, info->n_frames};
        return 1;
    }
    int n = CHECK_MAX_FRAMES / 10 < most ? CHECK_MAX_FRAMES / 10 : most;
    for (int i = 0; i < n; i++) {
        int64_t at = info->n_frames * i / n;
        spans[i] = (struct pz_frame_span){at, at + 10};
    }
    return n;
}

/* Everybody found, in the order of their numbers. */
static json_t *people(const struct pz_film_faces *f)
{
    json_t *list = json_array();
    for (int i = 0; i < f->n; i++) {
        const struct pz_face_summary *s = &f->who[i];
        json_array_append_new(list,
                              json_pack("{s:i, s:[f,f,f,f], s:f, s:f, s:I, s:I}", "face", i, "box",
                                        (double)s->box[0], (double)s->box[1], (double)(s->box[2] - s->box[0]),
                                        (double)(s->box[3] - s->box[1]), "interocular_px",
                                        (double)s->interocular, "share", (double)s->presence, "first_frame",
                                        (json_int_t)s->first, "last_frame", (json_int_t)s->last));
    }
    return list;
}

/* Faces of a film for `check`: the JSON object, or one that says why not. */
static enum pz_status check_faces(struct pz_pipeline *p, const struct pz_prepare_request *r,
                                  const struct pz_film_info *info, json_t **out, bool *usable)
{
    enum pz_status st = PZ_OK;
    struct pz_frame_span spans[CHECK_MAX_FRAMES / 10 + 1];
    struct pz_film_faces faces;
    struct pz_face_track *track = NULL;
    char path[] = "/tmp/personalize-check-XXXXXX";
    *usable = false;
    int fd = mkstemp(path);
    if (fd < 0)
        return pz_fail(p->job.log, PZ_ERR_WRITE, "cannot make a temporary file");
    close(fd);
    int n = spread(info, spans, CHECK_MAX_FRAMES / 10);
    double t0 = pz_now();
    const struct pz_face_tracker_params whose = pz_pipeline_faces(p);
    st = pz_film_find_faces(r->video, info, spans, n, r->face, &whose, &p->job, path, &faces);
    if (st == PZ_ERR_UNUSABLE) {
        char why[512];
        pz_log_last_error(p->job.log, why, sizeof why);
        *out = json_pack("{s:s, s:s, s:o}", "verdict", "unusable", "reason", why, "people", people(&faces));
        st = PZ_OK;
        goto fail;
    }
    if (st < PZ_OK)
        goto fail;
    PZ_TRY(pz_face_track_open(path, p->job.log, &track));
    struct pz_face_verdict v = pz_face_track_verdict(track, 0, info->n_frames);
    *usable = v.grade != PZ_FACE_UNUSABLE;
    *out = json_pack("{s:s, s:s, s:i, s:f, s:f, s:[f,f,f], s:f, s:o}", "verdict",
                     pz_face_verdict_name(v.grade), "reason", v.reason, "track", faces.track, "share",
                     (double)faces.share, "interocular_px", (double)v.interocular, "pose_deg", (double)v.yaw,
                     (double)v.pitch, (double)v.roll, "looked_at_s", pz_now() - t0, "people", people(&faces));
fail:
    pz_face_track_close(&track);
    unlink(path);
    return st;
}

enum pz_status pz_pipeline_check(struct pz_pipeline *p, const struct pz_prepare_request *r, char **json)
{
    enum pz_status st = PZ_OK;
    struct pz_film_info *info = NULL;
    json_t *faces = NULL, *notes = json_array();
    bool usable = false;
    *json = NULL;
    PZ_TRY(pz_film_info_read(r->video, &p->job, &info));
    PZ_TRY(check_faces(p, r, info, &faces, &usable));
    if (!info->has_sound)
        json_array_append_new(notes, json_string("no sound track: words cannot be found"));
    if (!info->copyable)
        json_array_append_new(notes, json_string("not plain H.264: the film is encoded once at prepare"));
    if (info->variable_rate)
        json_array_append_new(notes, json_string("variable frame rate: kept as it is"));
    if (info->interlaced)
        json_array_append_new(notes, json_string("interlaced: record progressive for best results"));
    if (info->has_sound && info->sound_rate < 32000)
        json_array_append_new(
            notes, json_string("sound below 32 kHz: the new words will be as dull as the old ones"));
    const char *slash = strrchr(r->video, '/');
    json_t *root = json_pack("{s:s, s:s, s:o, s:O, s:O}", "clip", slash ? slash + 1 : r->video, "verdict",
                             usable && info->has_sound ? "usable" : "unusable", "film", film_json(info),
                             "face", faces, "notes", notes);
    st = dump(p->job.log, root, json);
fail:
    json_decref(faces);
    json_decref(notes);
    pz_film_info_free(&info);
    return st;
}
