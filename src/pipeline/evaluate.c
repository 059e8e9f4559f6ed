/* Evaluate: inputs of the self-reenactment and the JSON of its figures. Made pictures and figures:
 * evaluate_run.c. */
#include "pipeline/evaluate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "pipeline/evaluate_state.h"
#include "pipeline/qc_state.h"

#define WINDOW_S 90 /* a longer film is judged by its start */
#define SHORTEST_S 5.0
#define FIT_SHARE 0.7
#define HEARD_BEFORE (PZ_SPEECH_RATE * 3 / 2) /* the recogniser hears this much before the held-out part */
#define FEWEST_FRAMES 10

const char *pz_evaluate_base(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

char *pz_evaluate_text(json_t *root)
{
    char *text =
        root ? json_dumps(root, JSON_INDENT(2) | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(9)) : NULL;
    char *out = pz_strdup(text);
    free(text);
    json_decref(root);
    return out;
}

/* ---- inputs ---- */

static enum pz_status make_temp_dir(struct pz_evaluate *e)
{
    const char *base = getenv("TMPDIR");
    e->dir = pz_asprintf("%s/personalize-evaluate-XXXXXX", base && *base ? base : "/tmp");
    if (!e->dir)
        return PZ_ERR_NOMEM;
    if (!mkdtemp(e->dir)) {
        enum pz_status st =
            pz_fail(e->p->job.log, PZ_ERR_WRITE, "%s: cannot make a temporary folder", e->dir);
        pz_free(e->dir);
        e->dir = NULL;
        return st;
    }
    return PZ_OK;
}

static enum pz_status read_sound(struct pz_evaluate *e)
{
    struct pz_film_sound s;
    double seconds = fmin(pz_seconds(e->info->duration, e->info->time_base), WINDOW_S);
    struct pz_log *log = e->p->job.log;
    if (!e->info->has_sound)
        return pz_fail(log, PZ_ERR_INPUT, "%s: has no sound to drive the lips with", e->r->video);
    if (seconds < SHORTEST_S)
        return pz_fail(log, PZ_ERR_INPUT,
                       "%s: %.1f s are too short to learn from and be judged by; %.0f s are needed",
                       e->r->video, seconds, SHORTEST_S);
    e->n_speech = (int64_t)(seconds * PZ_SPEECH_RATE);
    e->fit_end = (int64_t)(seconds * FIT_SHARE * PZ_SPEECH_RATE);
    e->speech = pz_calloc((size_t)e->n_speech, sizeof *e->speech);
    if (!e->speech)
        return PZ_ERR_NOMEM;
    enum pz_status st = pz_film_sound_open(e->r->video, PZ_SPEECH_RATE, 1, e->n_speech, &e->p->job, &s);
    if (st < PZ_OK)
        return st;
    st = s.tap.read(s.tap.user, 0, e->speech, e->n_speech);
    pz_film_sound_close(&s);
    return st;
}

/** Phones of a stretch of sound that knows nothing of what lies outside it. */
static enum pz_status hear(struct pz_evaluate *e, int64_t from, int64_t to, struct pz_phone_line *line)
{
    struct pz_ears *ears;
    struct pz_tap_memory mem;
    struct pz_tap tap = pz_tap_from_memory(&mem, e->speech + from, to - from, PZ_SPEECH_RATE, 1);
    enum pz_status st = pz_pipeline_ears(e->p, &ears);
    return st < PZ_OK ? st : pz_speech_phones(ears, &tap, &e->p->job, line);
}

static enum pz_status find_faces(struct pz_evaluate *e)
{
    struct pz_film_faces found;
    struct pz_frame_span all = {0, pz_film_frame_at(e->info, (double)e->n_speech / PZ_SPEECH_RATE)};
    char *path = pz_path_join(e->dir, "face.bin");
    enum pz_status st = PZ_ERR_NOMEM;
    if (!path)
        return st;
    const struct pz_face_tracker_params faces = pz_pipeline_faces(e->p), judge = pz_evaluate_judge(e);
    st = pz_film_find_faces(e->r->video, e->info, &all, 1, e->r->face, &faces, &e->p->job, path, &found);
    if (st == PZ_OK)
        st = pz_face_track_open(path, e->p->job.log, &e->track);
    const struct pz_face *one = NULL;
    for (int64_t i = 0; st == PZ_OK && e->r->judge && i < all.last && !one; i++)
        one = pz_face_track_at(e->track, i);
    pz_free(path);
    if (st < PZ_OK || !one)
        return st;
    char where[96]; /* the judge looks at the same person */
    snprintf(where, sizeof where, "%.1f,%.1f,%.1f,%.1f", (double)one->box[0], (double)one->box[1],
             (double)(one->box[2] - one->box[0]), (double)(one->box[3] - one->box[1]));
    path = pz_path_join(e->dir, "judge.bin");
    if (!path)
        return PZ_ERR_NOMEM;
    st = pz_film_find_faces(e->r->video, e->info, &all, 1, where, &judge, &e->p->job, path, &found);
    if (st == PZ_OK)
        st = pz_face_track_open(path, e->p->job.log, &e->judge_track);
    pz_free(path);
    return st;
}

struct pz_face_tracker_params pz_evaluate_judge(const struct pz_evaluate *e)
{
    struct pz_face_tracker_params f = pz_pipeline_faces(e->p);
    if (e->r->judge)
        (void)pz_face_kind_find(e->r->judge, &f.kind);
    return f;
}

static enum pz_status list_held_out(struct pz_evaluate *e)
{
    int64_t first = pz_film_frame_at(e->info, (double)e->fit_end / PZ_SPEECH_RATE);
    int64_t last = pz_film_frame_at(e->info, (double)e->n_speech / PZ_SPEECH_RATE);
    size_t n = last > first ? (size_t)(last - first) : 0;
    e->frames = pz_calloc(n + 1, sizeof *e->frames);
    e->faces = pz_calloc(n + 1, sizeof *e->faces);
    e->seen = pz_calloc(n + 1, sizeof *e->seen);
    e->times = pz_calloc(n + 1, sizeof *e->times);
    e->judged = pz_calloc(n + 1, sizeof *e->judged);
    if (!e->frames || !e->faces || !e->seen || !e->times || !e->judged)
        return PZ_ERR_NOMEM;
    for (int64_t i = first; i < last; i++) {
        const struct pz_face *f = pz_face_track_at(e->track, i);
        const struct pz_face *j = e->judge_track ? pz_face_track_at(e->judge_track, i) : f;
        if (!f || f->present != 1 || !j || j->present != 1) /* bridged frames have no truth to compare with */
            continue;
        e->judged[e->n_held] = j;
        e->frames[e->n_held] = i;
        e->faces[e->n_held] = f;
        e->times[e->n_held++] = pz_film_frame_time(e->info, i);
    }
    if (e->n_held < FEWEST_FRAMES)
        return pz_fail(e->p->job.log, PZ_ERR_UNUSABLE, "%s: only %d of the last %zu frames show the face",
                       e->r->video, e->n_held, n);
    return PZ_OK;
}

/* ---- engine ---- */

/** Let the engine learn from a view that ends where the held-out part begins. */
static enum pz_status fit(struct pz_evaluate *e)
{
    enum pz_status st;
    struct pz_film_view view = {0};
    struct pz_pipeline *p = e->p;
    struct pz_engine_open_params ep = pz_pipeline_open_params(p, e->dir);
    PZ_TRY(pz_film_view_open(&view, e->r->video, e->info, e->track, e->fit_phones.items, e->fit_phones.n, 0,
                             e->fit_end, e->fit_end, &p->job));
    double t0 = pz_now();
    PZ_TRY(e->engine->prepare(&view.film, &ep, &p->job));
    e->fit_s = pz_now() - t0;
    PZ_TRY(e->engine->open(&ep, &p->job, &e->state));
fail:
    pz_film_view_close(&view);
    return st;
}

/** The published SyncNet, when it is in the models folder; nothing is missed without it. */
static enum pz_status open_sync(struct pz_evaluate *e)
{
    char *path = pz_lse_find(e->p->models_dir);
    if (!path) {
        pz_info(e->p->job.log, "no LSE figures: syncnet_v2.model is not in '%s'", e->p->models_dir);
        return PZ_OK;
    }
    enum pz_status st = pz_lse_open(path, &e->p->job, &e->lse);
    pz_free(path);
    return st;
}

/* ---- answer ---- */

/* LSE-D, LSE-C and offset into a row, when there are any. */
static void add_sync(json_t *row, const struct pz_figures *f)
{
    if (!row || !f->has_sync)
        return;
    json_object_set_new(row, "lse_d", pz_qc_number(f->sync.distance, 1e3));
    json_object_set_new(row, "lse_c", pz_qc_number(f->sync.confidence, 1e3));
    json_object_set_new(row, "lse_offset", json_integer(f->sync.offset));
}

static json_t *figures_json(const struct pz_figures *f)
{
    json_t *row = json_pack(
        "{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:I}", "r_aperture", pz_qc_number(f->r_aperture, 1e4),
        "lmd", pz_qc_number(f->lmd, 1e3), "psnr_mouth", pz_qc_number(f->psnr, 1e3), "ssim_mouth",
        pz_qc_number(f->ssim, 1e4), "sharpness_ratio", pz_qc_number(f->sharpness, 1e3), "jitter_ratio",
        pz_qc_number(f->jitter, 1e3), "seam_delta_e", pz_qc_number(f->seam, 1e3), "fps",
        pz_qc_number(f->fps, 1e1), "frames", (json_int_t)f->n_frames, "frames_lost", (json_int_t)f->n_lost);
    add_sync(row, f);
    return row;
}

static enum pz_status answer(const struct pz_evaluate *e, const struct pz_figures f[PZ_EVALUATE_VARIANTS],
                             char **json)
{
    json_t *root =
        json_pack("{s:s, s:s, s:s, s:o, s:o, s:{s:o, s:o, s:o}}", "clip", pz_evaluate_base(e->r->video),
                  "lip_sync_model", e->engine->name, "device", pz_pipeline_device(e->p), "fit_s",
                  pz_qc_number(e->fit_s, 1e3), "figures", figures_json(&f[PZ_EVALUATE_MODEL]), "controls",
                  "closed", figures_json(&f[PZ_EVALUATE_CLOSED]), "closed_any",
                  figures_json(&f[PZ_EVALUATE_CLOSED_ANY]), "shifted", figures_json(&f[PZ_EVALUATE_SHIFTED]));
    if (root && e->truth.has_sync) {
        json_object_set_new(root, "ground_truth", json_object());
        add_sync(json_object_get(root, "ground_truth"), &e->truth);
    }
    *json = pz_evaluate_text(root);
    return *json ? PZ_OK : PZ_ERR_NOMEM;
}

static void close_all(struct pz_evaluate *e)
{
    if (e->state)
        e->engine->close(&e->state);
    pz_lse_close(&e->lse);
    pz_strip_destroy(&e->strip);
    pz_face_track_close(&e->track);
    pz_face_track_close(&e->hidden);
    pz_face_track_close(&e->judge_track);
    pz_free(e->judged);
    pz_film_info_free(&e->info);
    pz_phone_line_free(&e->fit_phones);
    pz_phone_line_free(&e->held_phones);
    pz_free(e->speech);
    pz_free(e->frames);
    pz_free(e->faces);
    pz_free(e->seen);
    pz_free(e->times);
    if (e->dir)
        pz_remove_tree(e->dir);
    pz_free(e->dir);
}

enum pz_status pz_pipeline_evaluate(struct pz_pipeline *p, const struct pz_evaluate_request *r, char **json)
{
    enum pz_status st;
    struct pz_evaluate e = {.p = p, .r = r};
    struct pz_figures figures[PZ_EVALUATE_VARIANTS];
    *json = NULL;
    if (r->made)
        return pz_evaluate_pair(p, r, json);
    PZ_TRY(pz_pipeline_engine(p, r->engine, &e.engine));
    if (!e.engine)
        return pz_fail(p->job.log, PZ_ERR_USAGE, "a lip-sync model must be named to be evaluated");
    PZ_TRY(open_sync(&e));
    PZ_TRY(pz_film_info_read(r->video, &p->job, &e.info));
    PZ_TRY(read_sound(&e));
    PZ_TRY(make_temp_dir(&e));
    PZ_TRY(find_faces(&e));
    PZ_TRY(list_held_out(&e));
    e.heard_from = e.fit_end > HEARD_BEFORE ? e.fit_end - HEARD_BEFORE : 0;
    PZ_TRY(hear(&e, 0, e.fit_end, &e.fit_phones));
    PZ_TRY(hear(&e, e.heard_from, e.n_speech, &e.held_phones));
    PZ_TRY(fit(&e));
    PZ_TRY(pz_evaluate_hide(&e));
    if (r->strip)
        PZ_TRY(pz_strip_create(e.n_held, &e.strip));
    for (int v = 0; v < PZ_EVALUATE_VARIANTS; v++)
        PZ_TRY(pz_evaluate_run(&e, (enum pz_evaluate_variant)v, &figures[v]));
    if (r->strip)
        PZ_TRY(pz_strip_write(e.strip, p->job.log, r->strip));
    PZ_TRY(answer(&e, figures, json));
fail:
    if (st == PZ_ERR_NOMEM)
        pz_fail(p->job.log, st, "no memory to evaluate '%s'", r->video);
    close_all(&e);
    return st;
}
