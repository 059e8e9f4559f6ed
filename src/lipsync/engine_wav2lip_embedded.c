// Engine `wav2lip:embedded`: moments of the speaker, bent by a small network into the mouths that an ear, the
// speaker's own where there is one, hears in the sound. Behind the engine interface. A folder it prepared
// holds `moments.safetensors`, `speaker.safetensors` and, where the ear is the speaker's own,
// `motion.safetensors`.
#include "lipsync/engine_wav2lip_embedded.h"

#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "image/affine.h"
#include "image/warp.h"
#include "lipsync/wav2lip_bend_model.h"
#include "lipsync/wav2lip_compose.h"
#include "lipsync/wav2lip_moments.h"
#include "lipsync/wav2lip_speaker.h"

#define MOMENTS_FILE "moments.safetensors"
#define SIZE PZ_W2L_BEND_SIZE
#define FARTHEST 4.0f /* a point that moves farther, in PZ_W2L_BEND_FLOW px, is none */

struct bend_engine {
    struct pz_wav2lip_bend *model;
    struct pz_wav2lip_moments *moments;
    struct pz_wav2lip_speaker *speaker;
};

struct bend_batch {
    int n;
    int *index; /* [batch] */
};

struct bend_session {
    const struct bend_engine *engine;
    const struct pz_face *const *faces;
    const struct pz_face_topology *topology;
    struct pz_pool *pool;
    int n_frames, batch;
    struct pz_affine *to_crop;             /* [n_frames] */
    int (*chosen)[2];                      /* [n_frames] moments at rest and open */
    struct pz_affine (*turn)[2];           /* [n_frames] from the frame's crop to theirs */
    float (*mouth)[PZ_W2L_BEND_POINTS][2]; /* [n_frames] wished for, crop px */
    float *wish;                           /* [n_frames][PZ_W2L_BEND_WISH] */
    struct pz_wav2lip_bend_run *run;
    struct pz_wav2lip_compose *compose;
    struct bend_batch fed, made; /* put into the network; made by its last run */
    float *pose, *strip;         /* [3][PZ_W2L_BEND_HIDDEN][SIZE]; its strips, each of three planes */
    float *view[2];              /* [4][SIZE][SIZE] the moments as the frame's head is turned */
    float *lips;                 /* [SIZE][SIZE] those wished for, marked */
    float *alpha, *large;        /* [SIZE][SIZE], [side][side] */
    struct pz_rgb patch;
};

/* A file in the models folder stands in for the program's own weights: NULL when there is none. */
static enum pz_status other_weights(const char *models_dir, struct pz_log *log, char **path)
{
    *path = models_dir ? pz_path_join(models_dir, "wav2lip/embedded.safetensors") : NULL;
    if (models_dir && !*path)
        return pz_fail(log, PZ_ERR_NOMEM, "no memory for a path");
    if (*path && !pz_file_exists(*path)) {
        pz_free(*path);
        *path = NULL;
    }
    return PZ_OK;
}

static enum pz_status prepare(const struct pz_film *film, const struct pz_engine_open_params *p,
                              const struct pz_job *job)
{
    enum pz_status st = PZ_OK;
    char *path = pz_path_join(p->artifact_dir, MOMENTS_FILE);
    struct pz_wav2lip_moments *m = NULL;
    struct pz_wav2lip_speaker *s = NULL;
    if (!path)
        return pz_fail(job->log, PZ_ERR_NOMEM, "no memory to prepare the engine");
    PZ_TRY(pz_wav2lip_speaker_fit(film, job, &s));
    PZ_TRY(pz_wav2lip_moments_fit(film, s, job, &m));
    PZ_TRY(pz_wav2lip_speaker_save(s, p->artifact_dir, job->log));
    PZ_TRY(pz_wav2lip_moments_save(m, path, job->log));
fail:
    pz_wav2lip_speaker_free(&s);
    pz_wav2lip_moments_free(&m);
    pz_free(path);
    return st;
}

/* What prepare leaves behind hangs on no weights, but it was another thing once. */
static enum pz_status stamp(const struct pz_engine_open_params *p, const struct pz_job *job, char **text)
{
    *text = pz_strdup("moments and speaker 2");
    return *text ? PZ_OK : pz_fail(job->log, PZ_ERR_NOMEM, "no memory for a name");
}

static void close_engine(void **engine)
{
    struct bend_engine *e = *engine;
    if (!e)
        return;
    pz_wav2lip_bend_close(&e->model);
    pz_wav2lip_moments_free(&e->moments);
    pz_wav2lip_speaker_free(&e->speaker);
    pz_free(e);
    *engine = NULL;
}

static enum pz_status open_engine(const struct pz_engine_open_params *p, const struct pz_job *job,
                                  void **engine)
{
    enum pz_status st = PZ_OK;
    char *path = pz_path_join(p->artifact_dir, MOMENTS_FILE), *weights = NULL;
    struct bend_engine *e = pz_calloc(1, sizeof *e);
    void *v = e;
    *engine = NULL;
    if (!path || !e) {
        st = pz_fail(job->log, PZ_ERR_NOMEM, "no memory to open the engine");
        goto fail;
    }
    PZ_TRY(other_weights(p->models_dir, job->log, &weights));
    PZ_TRY(pz_wav2lip_bend_open(weights, p, job, &e->model));
    PZ_TRY(pz_wav2lip_speaker_load(p->artifact_dir, job->log, &e->speaker));
    PZ_TRY(pz_wav2lip_moments_load(path, job->log, &e->moments));
    *engine = e;
    v = NULL;
fail:
    close_engine(&v);
    pz_free(weights);
    pz_free(path);
    return st;
}

static void end(void **session)
{
    struct bend_session *s = *session;
    if (!s)
        return;
    pz_wav2lip_bend_run_destroy(&s->run);
    pz_wav2lip_compose_destroy(&s->compose);
    pz_free(s->fed.index);
    pz_free(s->made.index);
    pz_free(s->to_crop);
    pz_free(s->chosen);
    pz_free(s->turn);
    pz_free(s->view[0]);
    pz_free(s->view[1]);
    pz_free(s->mouth);
    pz_free(s->wish);
    pz_free(s->lips);
    pz_free(s->pose);
    pz_free(s->strip);
    pz_free(s->alpha);
    pz_free(s->large);
    pz_rgb_free(&s->patch);
    pz_free(s);
    *session = NULL;
}

/* Work memory of a session. */
static enum pz_status furnish(struct bend_session *s, const struct pz_job *job)
{
    size_t n = (size_t)s->n_frames + 1, side = (size_t)s->engine->moments->side;
    s->to_crop = pz_calloc(n, sizeof *s->to_crop);
    s->chosen = pz_calloc(n, sizeof *s->chosen);
    s->turn = pz_calloc(n, sizeof *s->turn);
    s->view[0] = pz_calloc((size_t)4 * SIZE * SIZE, sizeof *s->view[0]);
    s->view[1] = pz_calloc((size_t)4 * SIZE * SIZE, sizeof *s->view[1]);
    s->mouth = pz_calloc(n, sizeof *s->mouth);
    s->wish = pz_calloc(n, PZ_W2L_BEND_WISH * sizeof *s->wish);
    s->lips = pz_calloc((size_t)SIZE * SIZE, sizeof *s->lips);
    s->fed.index = pz_calloc((size_t)s->batch, sizeof *s->fed.index);
    s->made.index = pz_calloc((size_t)s->batch, sizeof *s->made.index);
    s->pose = pz_calloc((size_t)3 * PZ_W2L_BEND_HIDDEN * SIZE, sizeof *s->pose);
    s->strip = pz_calloc((size_t)3 * PZ_W2L_BEND_HIDDEN * SIZE, sizeof *s->strip);
    s->alpha = pz_calloc((size_t)SIZE * SIZE, sizeof *s->alpha);
    s->large = pz_calloc(side * side, sizeof *s->large);
    s->compose = pz_wav2lip_compose_create((int)side);
    if (!s->to_crop || !s->chosen || !s->turn || !s->view[0] || !s->view[1] || !s->mouth || !s->wish ||
        !s->lips || !s->fed.index || !s->made.index || !s->pose || !s->strip || !s->alpha || !s->large ||
        !s->compose || pz_rgb_alloc(&s->patch, (int)side, (int)side) < PZ_OK)
        return pz_fail(job->log, PZ_ERR_NOMEM, "no memory for %d mouths", s->n_frames);
    memset(s->patch.data, 0, 3 * side * side * sizeof *s->patch.data);
    return pz_wav2lip_bend_run_create(s->engine->model, job, &s->run);
}

/* Which moments, and how their heads must be turned. */
static enum pz_status choose(struct bend_session *s, const struct pz_speech_span *span,
                             const struct pz_job *job)
{
    const struct pz_wav2lip_moments *m = s->engine->moments;
    float(*anchor)[PZ_WAV2LIP_ANCHORS][2] = pz_calloc((size_t)s->n_frames + 1, sizeof *anchor);
    enum pz_status st = anchor ? PZ_OK : PZ_ERR_NOMEM;
    if (st >= PZ_OK)
        st = pz_wav2lip_moments_choose(m, span->faces, (const float(*)[PZ_W2L_BEND_POINTS][2])s->mouth,
                                       span->n_frames, s->chosen);
    if (st >= PZ_OK)
        st = pz_wav2lip_crop_anchors(span->topology, span->faces, span->frame_times, span->n_frames, anchor);
    for (int i = 0; st >= PZ_OK && i < s->n_frames; i++)
        for (int k = 0; k < 2; k++)
            s->turn[i][k] = pz_wav2lip_crop_turn((const float(*)[2])anchor[i],
                                                 (const float(*)[2])m->anchor[k][s->chosen[i][k]]);
    pz_free(anchor);
    return st < PZ_OK ? pz_fail(job->log, st, "wav2lip:embedded cannot choose its moments") : st;
}

/* Where no mouth could be placed (a face that is none), the moment at rest stays. */
static void stand_in(struct bend_session *s, int i)
{
    struct pz_affine back;
    bool whole = true;
    for (int k = 0; k < PZ_W2L_BEND_POINTS; k++)
        whole = whole && isfinite(s->mouth[i][k][0]) && isfinite(s->mouth[i][k][1]);
    if (whole || pz_affine_invert(&s->turn[i][0], &back) < PZ_OK)
        return;
    for (int k = 0; k < PZ_W2L_BEND_POINTS; k++) {
        const float *p = s->engine->moments->mouth[0][s->chosen[i][0]][k];
        pz_affine_apply(&back, p[0], p[1], &s->mouth[i][k][0], &s->mouth[i][k][1]);
    }
}

/* One kind's part of a frame's wish: how far the mouth lies from the moment's, turned as the frame's head is.
 */
static void wish_from(const struct bend_session *s, int i, int kind)
{
    const struct pz_wav2lip_moments *m = s->engine->moments;
    struct pz_affine back;
    float *w = s->wish + (size_t)i * PZ_W2L_BEND_WISH, at[2];
    if (pz_affine_invert(&s->turn[i][kind], &back) < PZ_OK)
        back = pz_affine_identity();
    for (int k = 0; k < PZ_W2L_BEND_POINTS; k++) {
        const float *p = m->mouth[kind][s->chosen[i][kind]][k];
        pz_affine_apply(&back, p[0], p[1], &at[0], &at[1]);
        for (int a = 0; a < 2; a++) {
            float d = (s->mouth[i][k][a] - at[a]) / PZ_W2L_BEND_FLOW;
            w[4 * k + 2 * kind + a] = fabsf(d) < FARTHEST ? d : 0; // nor where there is none
        }
    }
}

/* What the sound says: a mouth for every frame. */
static enum pz_status hear(struct bend_session *s, const struct pz_speech_span *span,
                           const struct pz_job *job)
{
    enum pz_status st = PZ_OK;
    const struct bend_engine *e = s->engine;
    float(*head)[PZ_W2L_BEND_POINTS][3] = pz_calloc((size_t)s->n_frames + 1, sizeof *head),
    *heard = e->speaker->space ? NULL : pz_calloc((size_t)s->n_frames + 1, PZ_W2L_BEND_MOUTH * sizeof *heard);
    if (!head || (!heard && !e->speaker->space)) {
        st = pz_fail(job->log, PZ_ERR_NOMEM, "no memory for %d mouths", s->n_frames);
        goto fail;
    }
    if (heard)
        PZ_TRY(pz_wav2lip_bend_hear(e->model, span->speech, span->n_speech, span->frame_times, s->n_frames,
                                    job, heard));
    PZ_TRY(pz_wav2lip_speaker_mouths(e->speaker, span, heard, job, head));
    pz_wav2lip_speaker_place(e->speaker, span->faces, span->frame_times, s->n_frames,
                             (const float(*)[PZ_W2L_BEND_POINTS][3])head, s->mouth);
fail:
    pz_free(heard);
    pz_free(head);
    return st;
}

static enum pz_status begin(void *engine, const struct pz_speech_span *span, const struct pz_job *job,
                            void **session)
{
    enum pz_status st = PZ_OK;
    const struct bend_engine *e = engine;
    *session = NULL;
    if (span->held)
        return PZ_ERR_UNSUPPORTED;
    struct bend_session *s = pz_calloc(1, sizeof *s);
    void *v = s;
    if (!s)
        return pz_fail(job->log, PZ_ERR_NOMEM, "no memory for %d mouths", span->n_frames);
    s->engine = e;
    s->faces = span->faces;
    s->topology = span->topology;
    s->pool = job->pool;
    s->n_frames = span->n_frames;
    s->batch = pz_wav2lip_bend_batch(e->model);
    PZ_TRY(furnish(s, job));
    st = pz_wav2lip_crop_maps(span->topology, span->faces, span->frame_times, span->n_frames, s->to_crop);
    if (st < PZ_OK) {
        pz_fail(job->log, st, "wav2lip:embedded does not know the landmarks '%s'", span->topology->name);
        goto fail;
    }
    PZ_TRY(hear(s, span, job));
    PZ_TRY(choose(s, span, job));
    for (int i = 0; i < s->n_frames; i++) {
        stand_in(s, i);
        for (int k = 0; k < 2; k++)
            wish_from(s, i, k);
    }
    *session = s;
    return PZ_OK;
fail:
    end(&v);
    return st;
}

static int place_of(const struct bend_batch *b, int i)
{
    for (int k = 0; k < b->n; k++)
        if (b->index[k] == i)
            return k;
    return -1;
}

/* What the network is shown of a frame, in parts that threads make side by side: strips of the face to be
 * given a mouth, the planes of both moments turned as its head is, the lips wished for. */
enum { STRIPS = 4, N_LOOKS = STRIPS + 8 + 1 };

struct bend_look {
    struct bend_session *session;
    const struct pz_picture *src;
    int i;
    enum pz_status st[N_LOOKS];
};

/* Rows [first, first + rows) of the crop. */
static enum pz_status look_strip(struct bend_session *s, const struct pz_picture *src, int i, int strip)
{
    enum { ROWS = PZ_W2L_BEND_HIDDEN / STRIPS, N = ROWS * SIZE };
    _Static_assert(ROWS * STRIPS == PZ_W2L_BEND_HIDDEN, "strips cover what is seen");
    struct pz_affine map = s->to_crop[i];
    float *rgb = s->strip + (size_t)strip * 3 * N;
    map.f -= (float)(strip * ROWS);
    enum pz_status st = pz_wav2lip_crop_cut(src, &map, SIZE, ROWS, false, rgb);
    for (size_t k = 0; st >= PZ_OK && k < 3; k++)
        memcpy(s->pose + k * PZ_W2L_BEND_HIDDEN * SIZE + (size_t)strip * N, rgb + k * N, N * sizeof *rgb);
    return st;
}

static void look_task(void *user, int index, int worker)
{
    struct bend_look *l = user;
    struct bend_session *s = l->session;
    const struct pz_wav2lip_moments *m = s->engine->moments;
    const size_t plane = (size_t)SIZE * SIZE;
    (void)worker;
    if (index < STRIPS) {
        l->st[index] = look_strip(s, l->src, l->i, index);
    } else if (index < STRIPS + 8) {
        size_t k = (size_t)(index - STRIPS) / 4, p = (size_t)(index - STRIPS) % 4;
        pz_warp_plane(m->view[k] + ((size_t)s->chosen[l->i][k] * 4 + p) * plane, SIZE, SIZE,
                      &s->turn[l->i][k], PZ_FILTER_BILINEAR, PZ_BORDER_REPLICATE, s->view[k] + p * plane,
                      SIZE, SIZE);
    } else {
        l->st[index] = pz_wav2lip_crop_mark((const float(*)[2])s->mouth[l->i], s->lips);
    }
}

static enum pz_status feed(void *session, int i, const struct pz_picture *src)
{
    struct bend_session *s = session;
    struct bend_look look = {.session = s, .src = src, .i = i};
    enum pz_status st = PZ_OK;
    if (i < 0 || i >= s->n_frames)
        return PZ_ERR_USAGE;
    if (s->fed.n == s->batch) // nobody drew these
        s->fed.n = 0;
    pz_pool_run(s->pool, look_task, &look, N_LOOKS);
    for (int k = 0; k < N_LOOKS; k++)
        st = look.st[k] < PZ_OK ? look.st[k] : st;
    if (st < PZ_OK)
        return st;
    pz_wav2lip_bend_put(s->run, s->fed.n, s->wish + (size_t)i * PZ_W2L_BEND_WISH, s->pose, s->view[0],
                        s->view[1], s->lips);
    s->fed.index[s->fed.n++] = i;
    return PZ_OK;
}

/* Patch px → frame px. */
static enum pz_status large_map(const struct bend_session *s, int i, struct pz_affine *map)
{
    float k = (float)SIZE / (float)s->engine->moments->side;
    struct pz_affine back, small = {k, 0, 0, 0, k, 0};
    enum pz_status st = pz_affine_invert(&s->to_crop[i], &back);
    if (st >= PZ_OK)
        *map = pz_affine_chain(&small, &back);
    return st;
}

static enum pz_status draw(void *session, int i, const struct pz_picture *src, struct pz_patch *out)
{
    struct bend_session *s = session;
    const struct pz_wav2lip_moments *m = s->engine->moments;
    enum pz_status st = PZ_OK;
    struct pz_affine map;
    const float *flow, *look;
    *out = (struct pz_patch){0};
    if (i < 0 || i >= s->n_frames)
        return PZ_ERR_USAGE;
    if (place_of(&s->made, i) < 0) {
        if (place_of(&s->fed, i) < 0)
            PZ_TRY(feed(session, i, src));
        PZ_TRY(pz_wav2lip_bend_make(s->run));
        struct bend_batch made = s->fed;
        s->fed = s->made;
        s->fed.n = 0;
        s->made = made;
    }
    size_t fine = (size_t)m->side * (size_t)m->side * 4;
    const uint8_t *const moment[2] = {m->fine[0] + (size_t)s->chosen[i][0] * fine,
                                      m->fine[1] + (size_t)s->chosen[i][1] * fine};
    PZ_TRY(large_map(s, i, &map));
    PZ_TRY(pz_wav2lip_crop_alpha(s->topology, s->faces[i], &s->to_crop[i], s->alpha));
    pz_wav2lip_bend_take(s->run, place_of(&s->made, i), &flow, &look);
    pz_wav2lip_compose_run(s->compose, flow, look, s->turn[i], moment, s->alpha, s->pool, s->patch.data,
                           s->large);
    *out = (struct pz_patch){.rgb = s->patch, .alpha = s->large, .to_frame = map, .lip_gap = NAN};
fail:
    return st;
}

static void runs_on(const void *engine, const char **device, const char **precision)
{
    const struct bend_engine *e = engine;
    pz_wav2lip_bend_runs_on(e->model, device, precision);
}

static int ahead(const void *engine)
{
    const struct bend_engine *e = engine;
    return pz_wav2lip_bend_batch(e->model);
}

const struct pz_engine_vtable pz_engine_wav2lip_embedded = {
    .name = "wav2lip:embedded",
    .prepare = prepare,
    .open = open_engine,
    .close = close_engine,
    .begin = begin,
    .draw = draw,
    .end = end,
    .runs_on = runs_on,
    .stamp = stamp,
    .ahead = ahead,
    .feed = feed,
};
