// Engine `wav2lip`: network, boxes and texture behind the engine interface. A folder it prepared holds
// `texture.safetensors`, and `boxes.safetensors` when S3FD was asked for.
#include "lipsync/engine_wav2lip.h"

#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "image/area.h"
#include "lipsync/wav2lip_face.h"
#include "lipsync/wav2lip_model.h"
#include "lipsync/wav2lip_s3fd.h"
#include "lipsync/wav2lip_texture.h"

#define TEXTURE_FILE "texture.safetensors"
#define BOXES_FILE "boxes.safetensors" /* by S3FD, where that was asked for */

struct w2l_engine {
    struct pz_wav2lip_model *model;
    struct pz_wav2lip_texture *texture;
    struct pz_wav2lip_places *places; /* NULL: the tracker's boxes */
    float *alpha;                     /* [side][side] */
};

/* Frames of a batch: which they are and how the network saw them. */
struct w2l_batch {
    int n;
    int *index;  /* [batch] */
    float *seen; /* [batch][3][size][size] */
};

struct w2l_session {
    const struct w2l_engine *engine;
    const struct pz_face *const *faces;
    int n_frames, size, side, batch;
    bool own; /* the frame itself is the reference, and gives its texture */
    struct pz_wav2lip_box *boxes;
    float *embedding; /* [n_frames][width] */
    struct pz_wav2lip_run *run;
    struct pz_wav2lip_detail *detail;
    struct w2l_batch fed, made; /* put into the network; made by its last run */
    struct pz_rgb drawn, patch;
};

static bool wants_s3fd(const struct pz_engine_open_params *p)
{
    return p->face_detector && !strcmp(p->face_detector, "s3fd");
}

static enum pz_status check(const struct pz_engine_open_params *p, const struct pz_job *job)
{
    char *path;
    enum pz_status st = pz_wav2lip_find(p->models_dir, job->log, &path);
    if (st >= PZ_OK)
        st = pz_wav2lip_verify(path, job, NULL);
    pz_free(path);
    path = NULL;
    if (st >= PZ_OK && wants_s3fd(p)) {
        st = pz_wav2lip_s3fd_find(p->models_dir, job->log, &path);
        if (st >= PZ_OK)
            st = pz_wav2lip_s3fd_verify(path, job);
    }
    pz_free(path);
    return st;
}

/* Boxes by S3FD of the frames that will be drawn. Where they are not known (self-reenactment), none: moments
 * and drawn frames must be cut alike. */
static enum pz_status find_boxes(const struct pz_film *film, const struct pz_engine_open_params *p,
                                 const struct pz_job *job, struct pz_wav2lip_s3fd **finder)
{
    enum pz_status st = PZ_OK;
    char *weights = NULL, *path = pz_path_join(p->artifact_dir, BOXES_FILE);
    struct pz_wav2lip_places *places = NULL;
    const struct pz_picture *pic;
    if (wants_s3fd(p) && !film->n_asked_frames)
        pz_warn(job->log, "s3fd: which frames will be drawn is not known yet; the tracker's boxes are taken");
    if (!wants_s3fd(p) || !film->n_asked_frames)
        goto fail;
    if (!path) {
        st = pz_fail(job->log, PZ_ERR_NOMEM, "no memory to prepare the engine");
        goto fail;
    }
    PZ_TRY(pz_wav2lip_s3fd_find(p->models_dir, job->log, &weights));
    PZ_TRY(film->picture(film->user, film->asked_frames[0], &pic));
    PZ_TRY(pz_wav2lip_s3fd_open(weights, p, pic->width, pic->height, job, finder));
    PZ_TRY(pz_wav2lip_places_fit(film, *finder, job, &places));
    PZ_TRY(pz_wav2lip_places_save(places, path, job->log));
fail:
    pz_wav2lip_places_free(&places);
    pz_free(weights);
    pz_free(path);
    return st;
}

static enum pz_status prepare(const struct pz_film *film, const struct pz_engine_open_params *p,
                              const struct pz_job *job)
{
    enum pz_status st = PZ_OK;
    char *weights = NULL, *path = pz_path_join(p->artifact_dir, TEXTURE_FILE);
    struct pz_wav2lip_config config;
    struct pz_wav2lip_texture *t = NULL;
    struct pz_wav2lip_s3fd *finder = NULL;
    if (!path)
        return pz_fail(job->log, PZ_ERR_NOMEM, "no memory to prepare the engine");
    PZ_TRY(pz_wav2lip_find(p->models_dir, job->log, &weights));
    PZ_TRY(pz_wav2lip_verify(weights, job, &config));
    PZ_TRY(find_boxes(film, p, job, &finder));
    PZ_TRY(pz_wav2lip_texture_fit(film, config.size, finder, job, &t));
    PZ_TRY(pz_wav2lip_texture_save(t, path, job->log));
fail:
    pz_wav2lip_s3fd_close(&finder);
    pz_wav2lip_texture_free(&t);
    pz_free(weights);
    pz_free(path);
    return st;
}

/* Moments are kept at the network's size; its values are not looked at. */
static enum pz_status stamp(const struct pz_engine_open_params *p, const struct pz_job *job, char **text)
{
    char *path;
    struct pz_wav2lip_config config;
    enum pz_status st = pz_wav2lip_find(p->models_dir, job->log, &path);
    if (st >= PZ_OK)
        st = pz_wav2lip_verify(path, job, &config);
    if (st >= PZ_OK && !(*text = pz_asprintf("%d px", config.size)))
        st = pz_fail(job->log, PZ_ERR_NOMEM, "no memory for a name");
    pz_free(path);
    return st;
}

static void close_engine(void **engine)
{
    struct w2l_engine *e = *engine;
    if (!e)
        return;
    pz_wav2lip_model_close(&e->model);
    pz_wav2lip_texture_free(&e->texture);
    pz_wav2lip_places_free(&e->places);
    pz_free(e->alpha);
    pz_free(e);
    *engine = NULL;
}

static enum pz_status open_engine(const struct pz_engine_open_params *p, const struct pz_job *job,
                                  void **engine)
{
    enum pz_status st = PZ_OK;
    char *weights = NULL, *path = pz_path_join(p->artifact_dir, TEXTURE_FILE),
         *boxes = pz_path_join(p->artifact_dir, BOXES_FILE);
    struct w2l_engine *e = pz_calloc(1, sizeof *e);
    void *v = e;
    *engine = NULL;
    if (!path || !boxes || !e) {
        st = pz_fail(job->log, PZ_ERR_NOMEM, "no memory to open the engine");
        goto fail;
    }
    PZ_TRY(pz_wav2lip_find(p->models_dir, job->log, &weights));
    PZ_TRY(pz_wav2lip_model_open(weights, p, job, &e->model));
    PZ_TRY(pz_wav2lip_texture_load(path, pz_wav2lip_model_size(e->model), job->log, &e->texture));
    if (pz_file_exists(boxes))
        PZ_TRY(pz_wav2lip_places_load(boxes, job->log, &e->places));
    size_t side = (size_t)pz_wav2lip_texture_side(e->texture);
    e->alpha = pz_calloc(side * side, sizeof *e->alpha);
    if (!e->alpha) {
        st = pz_fail(job->log, PZ_ERR_NOMEM, "no memory to open the engine");
        goto fail;
    }
    pz_wav2lip_mask((int)side, e->alpha);
    *engine = e;
    pz_free(boxes);
    pz_free(weights);
    pz_free(path);
    return PZ_OK;
fail:
    close_engine(&v);
    pz_free(boxes);
    pz_free(weights);
    pz_free(path);
    return st;
}

static void end(void **session)
{
    struct w2l_session *s = *session;
    if (!s)
        return;
    pz_wav2lip_run_destroy(&s->run);
    pz_wav2lip_detail_destroy(&s->detail);
    for (int k = 0; k < 2; k++) {
        struct w2l_batch *b = k ? &s->made : &s->fed;
        pz_free(b->index);
        pz_free(b->seen);
    }
    pz_rgb_free(&s->drawn);
    pz_rgb_free(&s->patch);
    pz_free(s->boxes);
    pz_free(s->embedding);
    pz_free(s);
    *session = NULL;
}

static bool batch_alloc(struct w2l_batch *b, int n, int size)
{
    b->index = pz_calloc((size_t)n, sizeof *b->index);
    b->seen = pz_calloc((size_t)n * 3, (size_t)size * (size_t)size * sizeof *b->seen);
    return b->index && b->seen;
}

/* Work memory of a session. */
static enum pz_status furnish(struct w2l_session *s, const struct pz_job *job)
{
    const struct w2l_engine *e = s->engine;
    size_t n = (size_t)s->n_frames;
    s->boxes = pz_calloc(n + 1, sizeof *s->boxes);
    s->embedding = pz_calloc(n + 1, (size_t)pz_wav2lip_model_width(e->model) * sizeof *s->embedding);
    s->detail = pz_wav2lip_detail_create(e->texture);
    if (!s->boxes || !s->embedding || !s->detail || !batch_alloc(&s->fed, s->batch, s->size) ||
        !batch_alloc(&s->made, s->batch, s->size) || pz_rgb_alloc(&s->drawn, s->size, s->size) < PZ_OK ||
        pz_rgb_alloc(&s->patch, s->side, s->side) < PZ_OK)
        return pz_fail(job->log, PZ_ERR_NOMEM, "no memory for %d mouths", s->n_frames);
    return pz_wav2lip_run_create(e->model, job, &s->run);
}

static enum pz_status begin(void *engine, const struct pz_speech_span *span, const struct pz_job *job,
                            void **session)
{
    enum pz_status st = PZ_OK;
    const struct w2l_engine *e = engine;
    *session = NULL;
    if (span->held)
        return PZ_ERR_UNSUPPORTED;
    struct w2l_session *s = pz_calloc(1, sizeof *s);
    void *v = s;
    if (!s)
        return pz_fail(job->log, PZ_ERR_NOMEM, "no memory for %d mouths", span->n_frames);
    s->engine = e;
    s->faces = span->faces;
    s->n_frames = span->n_frames;
    s->size = pz_wav2lip_model_size(e->model);
    s->side = pz_wav2lip_texture_side(e->texture);
    s->batch = pz_wav2lip_model_batch(e->model);
    s->own = span->blend_s > 0;
    PZ_TRY(furnish(s, job));
    pz_wav2lip_boxes(span->faces, span->frame_times, span->n_frames, s->boxes);
    for (int i = 0; i < s->n_frames; i++)
        pz_wav2lip_places_at(e->places, span->faces[i]->frame, &s->boxes[i]);
    PZ_TRY(pz_wav2lip_hear(e->model, span->speech, span->n_speech, span->frame_times, span->n_frames, job,
                           s->embedding));
    *session = s;
    return PZ_OK;
fail:
    end(&v);
    return st;
}

static int place_of(const struct w2l_batch *b, int i)
{
    for (int k = 0; k < b->n; k++)
        if (b->index[k] == i)
            return k;
    return -1;
}

static void runs_on(const void *engine, const char **device, const char **precision)
{
    const struct w2l_engine *e = engine;
    pz_wav2lip_model_runs_on(e->model, device, precision);
}

static int ahead(const void *engine)
{
    const struct w2l_engine *e = engine;
    return pz_wav2lip_model_batch(e->model);
}

static enum pz_status feed(void *session, int i, const struct pz_picture *src)
{
    struct w2l_session *s = session;
    const struct w2l_engine *e = s->engine;
    if (i < 0 || i >= s->n_frames)
        return PZ_ERR_USAGE;
    if (s->fed.n == s->batch) // nobody drew these
        s->fed.n = 0;
    const struct pz_wav2lip_box *b = &s->boxes[i];
    struct pz_rgb seen = {.width = s->size,
                          .height = s->size,
                          .data = s->fed.seen + (size_t)s->fed.n * 3 * (size_t)s->size * (size_t)s->size};
    enum pz_status st = pz_area_picture_to_rgb(src, b->x0, b->y0, b->x1, b->y1, &seen);
    if (st < PZ_OK)
        return st;
    const float *reference = s->own ? seen.data : pz_wav2lip_texture_reference(e->texture, s->faces[i]);
    pz_wav2lip_put(s->run, s->fed.n, s->embedding + (size_t)i * (size_t)pz_wav2lip_model_width(e->model),
                   seen.data, reference);
    s->fed.index[s->fed.n++] = i;
    return PZ_OK;
}

static enum pz_status draw(void *session, int i, const struct pz_picture *src, struct pz_patch *out)
{
    struct w2l_session *s = session;
    const struct w2l_engine *e = s->engine;
    enum pz_status st = PZ_OK;
    *out = (struct pz_patch){0};
    if (i < 0 || i >= s->n_frames)
        return PZ_ERR_USAGE;
    if (place_of(&s->made, i) < 0) {
        if (place_of(&s->fed, i) < 0)
            PZ_TRY(feed(session, i, src));
        PZ_TRY(pz_wav2lip_make(s->run));
        struct w2l_batch made = s->fed;
        s->fed = s->made;
        s->fed.n = 0;
        s->made = made;
    }
    int place = place_of(&s->made, i);
    const float *seen = s->made.seen + (size_t)place * 3 * (size_t)s->size * (size_t)s->size;
    struct pz_affine large = pz_wav2lip_to_frame(&s->boxes[i], s->side);
    pz_wav2lip_take(s->run, place, s->drawn.data);
    pz_wav2lip_detail_apply(s->detail, s->drawn.data, seen, s->own ? src : NULL, &large, i, s->patch.data);
    // How far the lips are open nobody asked the network: it was told a sound.
    *out = (struct pz_patch){.rgb = s->patch, .alpha = e->alpha, .to_frame = large, .lip_gap = NAN};
fail:
    return st;
}

const struct pz_engine_vtable pz_engine_wav2lip = {
    .name = "wav2lip",
    .check = check,
    .prepare = prepare,
    .open = open_engine,
    .close = close_engine,
    .begin = begin,
    .draw = draw,
    .end = end,
    .runs_on = runs_on,
    .stamp = stamp,
    .takes_s3fd = true,
    .ahead = ahead,
    .feed = feed,
};
