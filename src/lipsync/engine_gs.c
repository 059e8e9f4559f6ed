/*
 * Engine `gaussian_splatting`: joins motion space, motion model and Gaussian head behind the engine
 * interface. A folder it prepared holds `motion.safetensors` and `gaussians.safetensors`. Runs on the CPU in
 * f32.
 */
#include "lipsync/engine_gs.h"

#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "lipsync/gs_model.h"
#include "lipsync/motion_model.h"

#define MOTION_FILE "motion.safetensors"

struct gs_engine {
    struct pz_motion_space *space;
    struct pz_motion_model *motion;
    struct pz_gs_model *head;
};

struct gs_session {
    const struct gs_engine *engine;
    struct pz_gs_canvas *canvas;
    struct pz_pool *pool;
    const struct pz_face *const *faces;
    int n_frames;
    bool film_motion; /**< the patch also covers where the film's own jaw is */
    float *m;         /**< [n_frames][k] */
};

static const struct pz_face *film_face(const void *user, int64_t frame)
{
    const struct pz_film *film = user;
    return film->face(film->user, frame);
}

static enum pz_status check(const struct pz_engine_open_params *p, const struct pz_job *job)
{
    if (p->device && strcmp(p->device, "cpu") != 0 && strcmp(p->device, "auto") != 0)
        return pz_fail(job->log, PZ_ERR_DEVICE,
                       "gaussian_splatting runs on the cpu in this build, not on '%s'", p->device);
    if (p->precision && strcmp(p->precision, "f32") != 0)
        return pz_fail(job->log, PZ_ERR_DEVICE, "gaussian_splatting computes in f32, not in %s",
                       p->precision);
    return PZ_OK;
}

static enum pz_status prepare(const struct pz_film *film, const struct pz_engine_open_params *p,
                              const struct pz_job *job)
{
    enum pz_status st = PZ_OK;
    struct pz_motion_space *space = NULL;
    struct pz_motion_model *motion = NULL;
    struct pz_gs_model *head = NULL;
    char *path = pz_path_join(p->artifact_dir, MOTION_FILE);
    struct pz_motion_faces faces = {
        .user = film, .face = film_face, .frames = film->fit_frames, .n_frames = film->n_fit_frames};
    if (!path)
        return pz_fail(job->log, PZ_ERR_NOMEM, "no memory to prepare the engine");
    PZ_TRY(pz_motion_space_fit(&faces, film->topology, PZ_MOTION_MAX, job, &space));
    PZ_TRY(pz_motion_model_fit(film, space, job, &motion));
    struct pz_gs_fit_params fit = PZ_GS_FIT_DEFAULT;
    PZ_TRY(pz_gs_model_fit(film, space, &fit, job, &head));
    PZ_TRY(pz_motion_save(path, space, motion, job->log));
    PZ_TRY(pz_gs_model_save(head, p->artifact_dir, job->log));
fail:
    pz_gs_model_free(&head);
    pz_motion_model_free(&motion);
    pz_motion_space_free(&space);
    pz_free(path);
    return st;
}

static void close_engine(void **engine)
{
    struct gs_engine *e = *engine;
    if (!e)
        return;
    pz_gs_model_free(&e->head);
    pz_motion_model_free(&e->motion);
    pz_motion_space_free(&e->space);
    pz_free(e);
    *engine = NULL;
}

static enum pz_status open_engine(const struct pz_engine_open_params *p, const struct pz_job *job,
                                  void **engine)
{
    enum pz_status st = PZ_OK;
    char *path = pz_path_join(p->artifact_dir, MOTION_FILE);
    struct gs_engine *e = pz_calloc(1, sizeof *e);
    void *v = e;
    *engine = NULL;
    PZ_TRY(check(p, job));
    if (!path || !e) {
        st = pz_fail(job->log, PZ_ERR_NOMEM, "no memory to open the engine");
        goto fail;
    }
    PZ_TRY(pz_motion_load(path, job->log, &e->space, &e->motion));
    PZ_TRY(pz_gs_model_load(p->artifact_dir, job->log, &e->head));
    if (e->head->k != e->space->n_components || strcmp(e->head->topology, e->space->topology) != 0) {
        st = pz_fail(job->log, PZ_ERR_FORMAT,
                     "'%s': motion and head do not belong together; prepare the film again", p->artifact_dir);
        goto fail;
    }
    *engine = e;
    pz_free(path);
    return PZ_OK;
fail:
    close_engine(&v);
    pz_free(path);
    return st;
}

static void end(void **session)
{
    struct gs_session *s = *session;
    if (!s)
        return;
    pz_gs_canvas_destroy(&s->canvas);
    pz_free(s->m);
    pz_free(s);
    *session = NULL;
}

/* The motion of given faces instead of a predicted one; a face without motion repeats the one before. */
static void take_held(const struct gs_engine *e, const struct pz_speech_span *span, float *m)
{
    size_t k = (size_t)e->space->n_components;
    for (int i = 0; i < span->n_frames; i++, m += k)
        if (!pz_motion_space_project(e->space, span->held[i], m) && i > 0)
            memcpy(m, m - k, k * sizeof *m);
}

static enum pz_status begin(void *engine, const struct pz_speech_span *span, const struct pz_job *job,
                            void **session)
{
    enum pz_status st = PZ_OK;
    const struct gs_engine *e = engine;
    struct gs_session *s = pz_calloc(1, sizeof *s);
    void *v = s;
    *session = NULL;
    if (s)
        s->m = pz_calloc((size_t)span->n_frames, (size_t)e->space->n_components * sizeof *s->m);
    if (!s || !s->m) {
        st = pz_fail(job->log, PZ_ERR_NOMEM, "no memory for %d mouths", span->n_frames);
        goto fail;
    }
    s->engine = e;
    s->pool = job->pool;
    s->faces = span->faces;
    s->n_frames = span->n_frames;
    s->film_motion = span->blend_s > 0;
    PZ_TRY(pz_gs_canvas_create(e->head, PZ_SPLAT_AVX512, &s->canvas));
    if (span->held)
        take_held(e, span, s->m);
    else
        PZ_TRY(pz_motion_predict(e->motion, e->space, span, job, s->m));
    *session = s;
    return PZ_OK;
fail:
    end(&v);
    return st;
}

static enum pz_status draw(void *session, int i, const struct pz_picture *src, struct pz_patch *out)
{
    struct gs_session *s = session;
    const struct gs_engine *e = s->engine;
    float film_m[PZ_MOTION_MAX];
    *out = (struct pz_patch){0};
    if (i < 0 || i >= s->n_frames)
        return PZ_ERR_USAGE;
    const float *m = s->m + (size_t)i * (size_t)e->space->n_components;
    bool know = s->film_motion && pz_motion_space_project(e->space, s->faces[i], film_m);
    enum pz_status st = pz_gs_draw(s->canvas, s->faces[i], m, know ? film_m : NULL, s->pool, out);
    out->lip_gap = pz_motion_space_gap(e->space, m);
    return st;
}

const struct pz_engine_vtable pz_engine_gaussian_splatting = {
    .name = "gaussian_splatting",
    .check = check,
    .prepare = prepare,
    .open = open_engine,
    .close = close_engine,
    .begin = begin,
    .draw = draw,
    .end = end,
};
