/*
 * Prepare: a film becomes a template. Listens (words, phones, slots), makes the film copyable, looks for
 * faces, lets the engine learn, and writes the folder under a temporary name before it is renamed. Does not
 * say or draw anything new.
 */
#include "pipeline/pipeline.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "lipsync/engine_plan.h"
#include "pipeline/film.h"
#include "pipeline/manual.h"
#include "pipeline/prepare.h"
#include "speech/whisper.h"

#define WHOLE_FILM_S 90.0  /* films up to this length are looked at completely */
#define FIT_WINDOW_S 60.0  /* longer ones are learned from in a window of this length */
#define SLOT_AROUND_S 3.0  /* and looked at this far around every slot */
#define ASKED_AROUND_S 0.2 /* a render draws this far around a slot, and further where it borrows time */
#define MAX_TRANSCRIPT ((size_t)1 << 20)
#define PREPARE_REVISION 6 /* part of the cache key: raised when the same input prepares differently */

/* ---- pipeline object ---- */

void pz_pipeline_close(struct pz_pipeline *p)
{
    pz_ears_close(&p->ears);
    pz_whisper_ears_close(&p->whisper);
}

/* The model a recogniser's name means: "whisper:SIZE" is SIZE, "whisper" tiny, all others NULL. */
static const char *whisper_model(const char *recogniser)
{
    if (!recogniser || strncmp(recogniser, "whisper", 7) != 0)
        return NULL;
    return recogniser[7] == ':' && recogniser[8] ? recogniser + 8 : "tiny";
}

/* Load a Whisper model for the device that was chosen. Only when BF16 is asked for does a CPU compute in it:
 * words are decided by small differences. */
static enum pz_status open_whisper(struct pz_pipeline *p, const char *model)
{
    struct pz_engine_open_params ep = pz_pipeline_open_params(p, NULL);
    struct pz_engine_plan plan = {0};
    char *dir = pz_weights_dir(p->models_dir);
    enum pz_status st = dir ? pz_engine_plan(&ep, "whisper", &p->job, &plan)
                            : pz_fail(p->job.log, PZ_ERR_NOMEM, "no memory for Whisper");
    if (st >= PZ_OK && !plan.cuda && !ep.precision)
        plan.params.dtype = PZ_DTYPE_F32;
    if (st >= PZ_OK)
        st = pz_whisper_ears_open(model, dir, PZ_WHISPER_BEAMS, &plan.params, &p->job, &p->whisper);
    pz_engine_plan_free(&plan);
    pz_free(dir);
    return st;
}

/* Let the recogniser of a request find the words; the ears go back to their own with NULL. */
static enum pz_status use_recogniser(struct pz_pipeline *p, const char *recogniser, struct pz_ears *ears)
{
    const char *model = whisper_model(recogniser);
    enum pz_status st = PZ_OK;
    pz_ears_use_whisper(ears, NULL);
    if (!model)
        return PZ_OK;
    if (p->whisper && strcmp(p->whisper_model, model) != 0)
        pz_whisper_ears_close(&p->whisper);
    if (!p->whisper) {
        st = open_whisper(p, model);
        snprintf(p->whisper_model, sizeof p->whisper_model, "%s", model);
    }
    if (st >= PZ_OK) {
        pz_whisper_forget(p->whisper);
        pz_ears_use_whisper(ears, p->whisper);
    }
    return st;
}

enum pz_status pz_pipeline_ears(struct pz_pipeline *p, struct pz_ears **ears)
{
    enum pz_status st = PZ_OK;
    if (!p->ears)
        st = pz_ears_open(NULL, &p->job, &p->ears);
    *ears = p->ears;
    return st;
}

enum pz_status pz_pipeline_engine(struct pz_pipeline *p, const char *name,
                                  const struct pz_engine_vtable **engine)
{
    *engine = NULL;
    if (name && strcmp(name, "none") == 0)
        return PZ_OK;
    if (!name || strcmp(name, "auto") == 0)
        name = pz_engine_names()[0];
    *engine = name ? pz_engine_find(name) : NULL;
    const struct pz_engine_open_params ep = pz_pipeline_open_params(p, NULL);
    if (*engine)
        return (*engine)->check ? (*engine)->check(&ep, &p->job) : PZ_OK;
    char known[256] = "";
    for (const char *const *n = pz_engine_names(); *n; n++) {
        size_t at = strlen(known);
        snprintf(known + at, sizeof known - at, "%s%s", at ? ", " : "", *n);
    }
    return pz_fail(p->job.log, PZ_ERR_USAGE, "no lip-sync model '%s' in this build; there are: %s",
                   name ? name : "", known);
}

/* ---- transcript ---- */

/* "dir/video.mp4" → "dir/video.txt" when such a file exists. */
static char *beside(const char *video)
{
    const char *slash = strrchr(video, '/'), *dot = strrchr(video, '.');
    if (!dot || (slash && dot < slash))
        return NULL;
    char *path = pz_asprintf("%.*s.txt", (int)(dot - video), video);
    if (path && !pz_file_exists(path)) {
        pz_free(path);
        return NULL;
    }
    return path;
}

enum pz_status pz_prepare_transcript(struct pz_pipeline *p, const struct pz_prepare_request *r, char **text)
{
    struct pz_log *log = p->job.log;
    char *path = NULL;
    size_t n = 0;
    *text = NULL;
    if (r->transcript) {
        *text = pz_strdup(r->transcript);
        return *text ? PZ_OK : pz_fail(log, PZ_ERR_NOMEM, "no memory for the transcript");
    }
    /* --spoken alone means: listen; a file beside the film is taken only when nothing else was said */
    if (r->transcript_file)
        path = pz_strdup(r->transcript_file);
    else if (r->n_spoken == 0)
        path = beside(r->video);
    if (!path)
        return PZ_OK;
    enum pz_status st = pz_file_read(log, path, MAX_TRANSCRIPT, text, &n);
    if (st == PZ_OK && strlen(*text) != n) {
        st = pz_fail(log, PZ_ERR_INPUT, "transcript '%s' is not plain text", path);
        pz_free(*text);
        *text = NULL;
    }
    if (st == PZ_OK && !r->transcript_file)
        pz_info(log, "transcript taken from '%s'", path);
    pz_free(path);
    return st;
}

/* ---- listening ---- */

enum pz_status pz_prepare_listen(struct pz_pipeline *p, const struct pz_prepare_request *r,
                                 const char *film_path, const struct pz_film_info *info,
                                 const char *transcript, struct pz_analysis *out)
{
    struct pz_log *log = p->job.log;
    enum pz_status st = PZ_OK;
    struct pz_transcript parsed = {0};
    struct pz_film_sound sound = {0};
    struct pz_spoken *spoken = NULL;
    char(*names)[65] = NULL;
    struct pz_ears *ears = NULL;
    *out = (struct pz_analysis){0};
    if (!info->has_sound)
        return pz_fail(log, PZ_ERR_INPUT, "'%s' has no sound track: the words to replace cannot be found",
                       film_path);
    int64_t n = pz_rescale(info->n_samples, (struct pz_rational){1, info->sound_rate},
                           (struct pz_rational){1, PZ_SPEECH_RATE});
    spoken = pz_calloc((size_t)r->n_spoken + 1, sizeof *spoken);
    names = pz_calloc((size_t)r->n_spoken + 1, sizeof *names);
    if (!spoken || !names) {
        st = pz_fail(log, PZ_ERR_NOMEM, "no memory for the spoken words");
        goto fail;
    }
    for (int i = 0; i < r->n_spoken; i++) {
        PZ_TRY(pz_variable_name(log, r->spoken[i].name, names[i]));
        PZ_TRY(pz_value_check(log, r->spoken[i].name, r->spoken[i].value));
        spoken[i] = (struct pz_spoken){.name = names[i], .words = r->spoken[i].value};
    }
    if (transcript)
        PZ_TRY(pz_transcript_parse(log, transcript, strlen(transcript), &parsed));
    if (!r->slots_optional && !r->slots_file && r->n_spoken == 0 && parsed.n_variables == 0) {
        st = pz_fail(
            log, PZ_ERR_USAGE,
            "nothing to replace: say which words are variables with --spoken NAME=WORDS or a transcript that "
            "marks them as {name=words}");
        goto fail;
    }
    PZ_TRY(pz_pipeline_ears(p, &ears));
    PZ_TRY(use_recogniser(p, transcript ? NULL : r->recogniser, ears));
    PZ_TRY(pz_ears_set_language(ears, r->language));
    PZ_TRY(pz_film_sound_open(film_path, PZ_SPEECH_RATE, 1, n, &p->job, &sound));
    struct pz_analyse_params ap = {
        .transcript = transcript ? &parsed : NULL, .spoken = spoken, .n_spoken = r->n_spoken};
    PZ_TRY(pz_speech_analyse(ears, &sound.tap, &ap, &p->job, out));
    snprintf(out->recogniser, sizeof out->recogniser, "%s",
             transcript || !whisper_model(r->recogniser) ? "pocketsphinx" : r->recogniser);
fail:
    if (ears)
        pz_ears_use_whisper(ears, NULL); /* read-back, on a thread of its own, hears with PocketSphinx */
    pz_film_sound_close(&sound);
    pz_transcript_free(&parsed);
    pz_free(spoken);
    pz_free(names);
    return st;
}

static char *join_words(const struct pz_words *w, int first, int last)
{
    char *text = pz_strdup("");
    for (int i = first < 0 ? 0 : first; text && i < last && i < w->n; i++) {
        char *longer = pz_asprintf("%s%s%s", text, *text ? " " : "", w->items[i].text);
        pz_free(text);
        text = longer;
    }
    return text;
}

enum pz_status pz_prepare_take_analysis(const struct pz_analysis *a, struct pz_template_data *d)
{
    const struct pz_words *w = &a->words;
    d->words = pz_calloc((size_t)w->n + 1, sizeof *d->words);
    d->slots = pz_calloc((size_t)a->n_slots + 1, sizeof *d->slots);
    d->phones = pz_calloc((size_t)a->phones.n + 1, sizeof *d->phones);
    d->recogniser = pz_strdup(a->recogniser[0] ? a->recogniser : "pocketsphinx");
    if (!d->words || !d->slots || !d->phones || !d->recogniser)
        return PZ_ERR_NOMEM;
    for (int i = 0; i < w->n; i++) {
        const struct pz_word *s = &w->items[i];
        d->words[i] = (struct pz_template_word){pz_strdup(s->text), s->start, s->end, s->confidence};
        d->n_words = i + 1;
        if (!d->words[i].text)
            return PZ_ERR_NOMEM;
    }
    for (int i = 0; i < a->n_slots; i++) {
        const struct pz_slot *s = &a->slots[i];
        struct pz_template_slot *t = &d->slots[i];
        *t = (struct pz_template_slot){
            .name = pz_strdup(s->name),
            .spoken = pz_strdup(s->spoken),
            .before = join_words(w, s->first_word - 4, s->first_word),
            .after = join_words(w, s->first_word + s->n_words, s->first_word + s->n_words + 4),
            .start = s->start,
            .end = s->end,
            .confidence = s->confidence,
            .found_start = s->start,
            .found_end = s->end};
        d->n_slots = i + 1;
        if (!t->name || !t->spoken || !t->before || !t->after)
            return PZ_ERR_NOMEM;
    }
    if (a->phones.n > 0)
        memcpy(d->phones, a->phones.items, (size_t)a->phones.n * sizeof *d->phones);
    d->n_phones = a->phones.n;
    return PZ_OK;
}

/* ---- film into the folder ---- */

static enum pz_status copy_file(const char *from, const char *to, const struct pz_job *job)
{
    struct pz_log *log = job->log;
    enum pz_status st = PZ_OK;
    int in = open(from, O_RDONLY | O_CLOEXEC), out = -1;
    struct stat sb;
    char *buf = NULL;
    if (in < 0 || fstat(in, &sb) != 0) {
        st = pz_fail(log, PZ_ERR_INPUT, "cannot open '%s': %s", from, strerror(errno));
        goto fail;
    }
    out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (out < 0) {
        st = pz_fail(log, PZ_ERR_WRITE, "cannot write '%s': %s", to, strerror(errno));
        goto fail;
    }
    const size_t chunk = (size_t)1 << 20;
    buf = pz_calloc(chunk, 1);
    if (!buf) {
        st = pz_fail(log, PZ_ERR_NOMEM, "no memory to copy the film");
        goto fail;
    }
    for (;;) {
        if (pz_job_cancelled(job)) {
            st = PZ_ERR_CANCELLED;
            break;
        }
        ssize_t got = read(in, buf, chunk), done = 0;
        if (got <= 0) {
            if (got < 0)
                st = pz_fail(log, PZ_ERR_INPUT, "cannot read '%s': %s", from, strerror(errno));
            break;
        }
        while (done < got) {
            ssize_t put = write(out, buf + done, (size_t)(got - done));
            if (put < 0) {
                st = pz_fail(log, PZ_ERR_WRITE, "cannot write '%s': %s", to, strerror(errno));
                goto fail;
            }
            done += put;
        }
    }
fail:
    pz_free(buf);
    if (in >= 0)
        close(in);
    if (out >= 0 && close(out) != 0 && st == PZ_OK)
        st = pz_fail(log, PZ_ERR_WRITE, "cannot write '%s': %s", to, strerror(errno));
    return st;
}

/* Key frames where slots begin and end, with the cross-dissolve margin, so that render encodes no more than
 * it must. */
static int slot_key_frames(const struct pz_film_info *info, const struct pz_template_data *d, int64_t *keys)
{
    int n = 0;
    for (int i = 0; i < d->n_slots; i++) {
        double edge[2] = {(double)d->slots[i].start / PZ_SPEECH_RATE - 0.25,
                          (double)d->slots[i].end / PZ_SPEECH_RATE + 0.3};
        for (int k = 0; k < 2; k++) {
            int64_t f = pz_film_frame_at(info, edge[k] > 0 ? edge[k] : 0);
            if (f < info->n_frames && (n == 0 || f > keys[n - 1]))
                keys[n++] = f;
        }
    }
    return n;
}

/* Puts the film into the folder (copied or made copyable); `*info` becomes that of the film in the folder. */
static enum pz_status bring_film(struct pz_pipeline *p, const char *video, const char *dir,
                                 struct pz_template_data *d, struct pz_film_info **info, char **film_path)
{
    enum pz_status st = PZ_OK;
    int64_t *keys = NULL;
    const char *dot = strrchr(video, '.'), *slash = strrchr(video, '/');
    bool mkv =
        dot && (!slash || dot > slash) && (strcasecmp(dot, ".mkv") == 0 || strcasecmp(dot, ".avi") == 0);
    d->transcoded = !(*info)->copyable;
    snprintf(d->film, sizeof d->film, "film.%s",
             d->transcoded || !mkv          ? "mp4"
             : strcasecmp(dot, ".avi") == 0 ? "avi"
                                            : "mkv");
    *film_path = pz_path_join(dir, d->film);
    keys = pz_calloc((size_t)d->n_slots * 2 + 1, sizeof *keys);
    if (!*film_path || !keys) {
        st = pz_fail(p->job.log, PZ_ERR_NOMEM, "no memory to copy the film");
        goto fail;
    }
    if (d->transcoded) {
        pz_info(p->job.log, "'%s' is %s: encoded once to H.264 so that renders can copy", video,
                (*info)->video_codec);
        PZ_TRY(pz_transcode(video, *info, *film_path, keys, slot_key_frames(*info, d, keys), &p->job));
        pz_film_info_free(info);
        PZ_TRY(pz_film_info_read(*film_path, &p->job, info));
    } else {
        PZ_TRY(copy_file(video, *film_path, &p->job));
    }
fail:
    pz_free(keys);
    return st;
}

/* ---- what to look at ---- */

static int64_t clamp64(int64_t x, int64_t lo, int64_t hi)
{
    return x < lo ? lo : x > hi ? hi : x;
}

void pz_prepare_window(const struct pz_film_info *info, const struct pz_template_data *d, int64_t *start,
                       int64_t *end)
{
    int64_t n = pz_rescale(info->duration, info->time_base, (struct pz_rational){1, PZ_SPEECH_RATE});
    int64_t want = (int64_t)(FIT_WINDOW_S * PZ_SPEECH_RATE);
    *start = 0;
    *end = n;
    if ((double)n <= WHOLE_FILM_S * PZ_SPEECH_RATE)
        return;
    int64_t centre = d->n_slots ? (d->slots[0].start + d->slots[0].end) / 2 : want / 2;
    *start = clamp64(centre - want / 2, 0, n - want);
    *end = *start + want;
}

/* Frames within `around` seconds of a slot behind spans[0 .. n), merged and ascending. Returns how many
 * spans. */
static int slot_spans(const struct pz_film_info *info, const struct pz_template_data *d, double around, int n,
                      struct pz_frame_span *spans)
{
    for (int i = 0; i < d->n_slots; i++)
        spans[n++] = (struct pz_frame_span){
            pz_film_frame_at(info, (double)d->slots[i].start / PZ_SPEECH_RATE - around),
            pz_film_frame_at(info, (double)d->slots[i].end / PZ_SPEECH_RATE + around)};
    for (int i = 1; i < n; i++) /* insertion sort: slots are few */
        for (int k = i; k > 0 && spans[k].first < spans[k - 1].first; k--) {
            struct pz_frame_span s = spans[k];
            spans[k] = spans[k - 1];
            spans[k - 1] = s;
        }
    int m = 0;
    for (int i = 1; i < n; i++) {
        if (spans[i].first <= spans[m].last)
            spans[m].last = spans[i].last > spans[m].last ? spans[i].last : spans[m].last;
        else
            spans[++m] = spans[i];
    }
    return n ? m + 1 : 0;
}

/* Frames to look at: the window and the surroundings of every slot. Returns how many spans. */
static int look_spans(const struct pz_film_info *info, const struct pz_template_data *d, int64_t w0,
                      int64_t w1, struct pz_frame_span *spans)
{
    spans[0] = (struct pz_frame_span){pz_film_frame_at(info, (double)w0 / PZ_SPEECH_RATE),
                                      pz_film_frame_at(info, (double)w1 / PZ_SPEECH_RATE)};
    return slot_spans(info, d, SLOT_AROUND_S, 1, spans);
}

/* Who finds the face, as reports and cached templates name it. */
static const char *face_detector_name(const struct pz_pipeline *p)
{
    const struct pz_face_tracker_params f = pz_pipeline_faces(p);
    return p->face_detector && !strcmp(p->face_detector, "s3fd")
               ? "s3fd"
               : pz_face_kind_name(pz_face_kind_resolve(f.kind, f.models_dir));
}

/* ---- engine ---- */

static enum pz_status let_engine_learn(struct pz_pipeline *p, const struct pz_engine_vtable *engine,
                                       const char *dir, const char *film_path,
                                       const struct pz_film_info *info, const struct pz_face_track *track,
                                       const struct pz_template_data *d)
{
    enum pz_status st = PZ_OK;
    struct pz_film_view view = {0};
    int64_t w0, w1;
    char *folder = pz_path_join(dir, engine->name);
    struct pz_frame_span *asked = pz_calloc((size_t)d->n_slots + 1, sizeof *asked);
    if (!folder || !asked) {
        st = pz_fail(p->job.log, PZ_ERR_NOMEM, "no memory to prepare the engine");
        goto fail;
    }
    pz_prepare_window(info, d, &w0, &w1);
    struct pz_engine_open_params ep = pz_pipeline_open_params(p, folder);
    PZ_TRY(pz_make_dirs(p->job.log, folder));
    PZ_TRY(pz_film_view_open(&view, film_path, info, track, d->phones, d->n_phones, w0, w1, w1, &p->job));
    PZ_TRY(pz_film_view_ask(&view, asked, slot_spans(info, d, ASKED_AROUND_S, 0, asked)));
    PZ_TRY(engine->prepare(&view.film, &ep, &p->job));
fail:
    pz_film_view_close(&view);
    pz_free(asked);
    pz_free(folder);
    return st;
}

static enum pz_status read_consent(struct pz_pipeline *p, const char *path, struct pz_template_data *d)
{
    size_t n;
    if (!path)
        return PZ_OK;
    enum pz_status st = pz_file_read(p->job.log, path, (size_t)1 << 20, &d->consent_json, &n);
    if (st == PZ_OK && !pz_json_is_object(d->consent_json, n))
        st = pz_fail(p->job.log, PZ_ERR_INPUT, "consent record '%s' is not a JSON object", path);
    return st;
}

static enum pz_status fill_folder(struct pz_pipeline *p, const struct pz_prepare_request *r,
                                  const struct pz_engine_vtable *engine, const char *transcript,
                                  const char *dir, const char *output, struct pz_template_data *d)
{
    enum pz_status st = PZ_OK;
    struct pz_film_info *info = NULL;
    struct pz_analysis a = {0};
    struct pz_face_track *track = NULL;
    struct pz_frame_span *spans = NULL;
    char *film_path = NULL, *track_path = pz_path_join(dir, "face.bin");
    double t0 = pz_now();
    PZ_TRY(pz_film_info_read(r->video, &p->job, &info));
    PZ_TRY(pz_prepare_listen(p, r, r->video, info, transcript, &a));
    if ((st = pz_prepare_take_analysis(&a, d)) != PZ_OK || !track_path) {
        st = pz_fail(p->job.log, PZ_ERR_NOMEM, "no memory for the words of the film");
        goto fail;
    }
    PZ_TRY(pz_manual_apply(r->slots_file, output, d, p->job.log));
    PZ_TRY(bring_film(p, r->video, dir, d, &info, &film_path));
    if (engine) {
        int64_t w0, w1;
        struct pz_film_faces faces;
        spans = pz_calloc((size_t)d->n_slots + 1, sizeof *spans);
        if (!spans) {
            st = pz_fail(p->job.log, PZ_ERR_NOMEM, "no memory to look for faces");
            goto fail;
        }
        pz_prepare_window(info, d, &w0, &w1);
        int n = look_spans(info, d, w0, w1, spans);
        const struct pz_face_tracker_params whose = pz_pipeline_faces(p);
        PZ_TRY(pz_film_find_faces(film_path, info, spans, n, r->face, &whose, &p->job, track_path, &faces));
        PZ_TRY(pz_face_track_open(track_path, p->job.log, &track));
        d->face_detector = pz_strdup(face_detector_name(p));
        d->face_track = faces.track;
        d->face_share = faces.share;
        pz_prepare_verdicts(info, track, d, p->job.log);
        double t1 = pz_now();
        PZ_TRY(let_engine_learn(p, engine, dir, film_path, info, track, d));
        d->fit_s = pz_now() - t1;
    }
    d->prepare_s = pz_now() - t0;
    PZ_TRY(pz_template_save(d, dir, p->job.log));
fail:
    pz_free(spans);
    pz_face_track_close(&track);
    pz_analysis_free(&a);
    pz_film_info_free(&info);
    pz_free(film_path);
    pz_free(track_path);
    return st;
}

/* ---- cache ---- */

static char *default_cache(void)
{
    const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (xdg && *xdg)
        return pz_asprintf("%s/personalize", xdg);
    return pz_asprintf("%s/.cache/personalize", home && *home ? home : "/tmp");
}

static void hash_text(struct pz_sha256 *h, const char *s)
{
    s = s ? s : "\x01";
    pz_sha256_update(h, s, strlen(s) + 1);
}

/* Folder in the cache for this film and these parameters. */
static char *cache_path(struct pz_pipeline *p, const struct pz_prepare_request *r, const char *engine,
                        const char *stamp, const char *transcript, const char *sha)
{
    struct pz_sha256 h;
    char key[65], fixed[64];
    pz_sha256_init(&h);
    snprintf(fixed, sizeof fixed, "%s %d %d %llu", PZ_VERSION, PZ_TEMPLATE_VERSION, PREPARE_REVISION,
             (unsigned long long)p->job.seed);
    hash_text(&h, fixed);
    hash_text(&h, sha);
    hash_text(&h, transcript);
    for (int i = 0; i < r->n_spoken; i++) {
        hash_text(&h, r->spoken[i].name);
        hash_text(&h, r->spoken[i].value);
    }
    hash_text(&h, engine);
    hash_text(&h, stamp);
    hash_text(&h, whisper_model(r->recogniser));
    hash_text(&h, r->face);
    if (r->face && pz_file_exists(r->face)) { /* a portrait */
        char portrait[65];
        if (pz_sha256_file(p->job.log, r->face, portrait) != PZ_OK)
            return NULL;
        hash_text(&h, portrait);
    }
    hash_text(&h, r->consent_file);
    hash_text(&h, face_detector_name(p));
    if (p->no_smooth)
        hash_text(&h, "no smooth");
    if (p->size) {
        char px[16];
        snprintf(px, sizeof px, "size %d", p->size);
        hash_text(&h, px);
    }
    hash_text(&h, r->language);
    if (r->slots_file) {
        char slots[65];
        if (pz_sha256_file(p->job.log, r->slots_file, slots) != PZ_OK)
            return NULL;
        hash_text(&h, slots);
    }
    pz_sha256_hex(&h, key);
    char *base = p->cache_dir ? pz_strdup(p->cache_dir) : default_cache();
    char *path = base ? pz_asprintf("%s/templates/%.32s.pzt", base, key) : NULL;
    pz_free(base);
    return path;
}

static enum pz_status make_template(struct pz_pipeline *p, const struct pz_prepare_request *r,
                                    const struct pz_engine_vtable *engine, const char *transcript,
                                    const char *sha, int64_t n_bytes, const char *path)
{
    enum pz_status st = PZ_OK;
    struct pz_template_data d = {.face_track = -1, .seed = p->job.seed, .source_bytes = n_bytes};
    const char *slash = strrchr(r->video, '/');
    char *tmp = pz_temp_name(path);
    snprintf(d.source_sha256, sizeof d.source_sha256, "%s", sha);
    d.source_name = pz_strdup(slash ? slash + 1 : r->video);
    d.transcript = pz_strdup(transcript);
    d.engine = pz_strdup(engine ? engine->name : "none");
    if (!tmp || !d.source_name || !d.engine) {
        st = pz_fail(p->job.log, PZ_ERR_NOMEM, "no memory to prepare the film");
        goto fail;
    }
    PZ_TRY(read_consent(p, r->consent_file, &d));
    PZ_TRY(pz_make_dirs(p->job.log, tmp));
    PZ_TRY(fill_folder(p, r, engine, transcript, tmp, path, &d));
    if (pz_is_dir(
            path)) /* an older template of that name: only ever a folder with a template.json is removed */
        pz_remove_tree(path);
    if (rename(tmp, path) != 0)
        st = pz_fail(p->job.log, PZ_ERR_WRITE, "cannot write '%s': %s", path, strerror(errno));
fail:
    if (st < PZ_OK && tmp)
        pz_remove_tree(tmp);
    pz_free(tmp);
    pz_template_data_free(&d);
    return st;
}

/* A folder the user named is overwritten only if it is one of ours. */
static enum pz_status check_output(struct pz_log *log, const char *path)
{
    struct stat sb;
    if (lstat(path, &sb) != 0)
        return PZ_OK;
    char *json = pz_path_join(path, "template.json");
    bool ours = json && pz_file_exists(json);
    pz_free(json);
    return ours ? PZ_OK
                : pz_fail(log, PZ_ERR_WRITE,
                          "'%s' exists and is not a prepared template; it is not overwritten", path);
}

enum pz_status pz_pipeline_prepare(struct pz_pipeline *p, const struct pz_prepare_request *r,
                                   const char *output, struct pz_prepared **out)
{
    struct pz_log *log = p->job.log;
    enum pz_status st = PZ_OK;
    const struct pz_engine_vtable *engine;
    char *transcript = NULL, *path = NULL, *parent = NULL, *stamp = NULL, sha[65];
    double t0 = pz_now();
    struct stat sb;
    *out = NULL;
    if (!r->video || !*r->video)
        return pz_fail(log, PZ_ERR_USAGE, "no film was named");
    PZ_TRY(pz_pipeline_engine(p, r->engine, &engine));
    enum pz_face_kind kind;
    if (!pz_face_kind_find(p->face_detector, &kind) && strcmp(p->face_detector, "s3fd") != 0)
        return pz_fail(log, PZ_ERR_USAGE,
                       "unknown face detector '%s'; there are: auto, embedded, mediapipe, mtcnn, s3fd",
                       p->face_detector);
    if (p->face_detector && !strcmp(p->face_detector, "s3fd") && !(engine && engine->takes_s3fd))
        return pz_fail(log, PZ_ERR_USAGE, "the face detector s3fd is wav2lip's; '%s' does not use it",
                       engine ? engine->name : "none");
    PZ_TRY(pz_prepare_transcript(p, r, &transcript));
    PZ_TRY(pz_sha256_file(log, r->video, sha));
    if (!output && engine && engine->stamp) {
        struct pz_engine_open_params ep = pz_pipeline_open_params(p, NULL);
        PZ_TRY(engine->stamp(&ep, &p->job, &stamp));
    }
    path =
        output ? pz_strdup(output) : cache_path(p, r, engine ? engine->name : "none", stamp, transcript, sha);
    if (!path || stat(r->video, &sb) != 0) {
        st = pz_fail(log, PZ_ERR_NOMEM, "no memory to prepare the film");
        goto fail;
    }
    for (size_t n = strlen(path); n > 1 && path[n - 1] == '/'; n--)
        path[n - 1] = '\0';
    if (!output && pz_is_dir(path) && pz_prepared_open(p, path, out) == PZ_OK) {
        pz_info(log, "prepared before: taken from '%s'", path);
        goto fail;
    }
    PZ_TRY(check_output(log, path));
    parent = pz_strdup(path);
    char *slash = parent ? strrchr(parent, '/') : NULL;
    if (slash && slash != parent && !output) {
        *slash = '\0';
        PZ_TRY(pz_make_dirs(log, parent));
    }
    PZ_TRY(make_template(p, r, engine, transcript, sha, (int64_t)sb.st_size, path));
    PZ_TRY(pz_prepared_open(p, path, out));
    (*out)->prepare_s = pz_now() - t0;
fail:
    pz_free(parent);
    pz_free(path);
    pz_free(stamp);
    pz_free(transcript);
    return st;
}
