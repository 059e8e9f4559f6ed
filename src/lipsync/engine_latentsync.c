// Engine `latentsync`: crops, latents, sampler and patch behind the engine interface. A folder it prepared
// holds `latents.safetensors`: masked and reference latent of every frame a render is expected to draw, and
// its crop.
#include "lipsync/engine_latentsync.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "lipsync/engine_plan.h"
#include "lipsync/latents.h"
#include "lipsync/latentsync_artist.h"
#include "lipsync/latentsync_eye.h"
#include "lipsync/speech_features.h"

#define LATENTS_FILE "latents.safetensors"
#define LEARNED 32 /* frames kept when nobody knows which will be asked for */
#define AHEAD (2 * PZ_LATENTSYNC_WINDOW - PZ_LATENTSYNC_OVERLAP) /* frames of this window and the next */
#define RING (3 * PZ_LATENTSYNC_WINDOW)                          /* fed frames whose latents are kept */

struct ls_engine {
    struct pz_latentsync_files files;
    struct pz_latentsync_way way;
    struct pz_engine_plan plan;
    struct pz_latent_store *store;
    struct pz_speech_features *ears;
    struct pz_latentsync_run *net;
    struct pz_latent_coder *decoder;
    struct pz_rgb mask; /* as its file has it, or nothing */
    float *small;       /* the mask at latent size */
    pthread_mutex_t run_lock, coder_lock;
    struct pz_latentsync_eye *eye; /* for frames nobody foresaw; opened with the first, under coder_lock */
};

struct ls_session {
    struct ls_engine *engine;
    const struct pz_job *job;
    int n;
    int *item; /* [n] of the store, −1 − stand-in for a frame it lacks */
    bool own;  /* frames may show the network their own mouth */
    struct pz_affine *to_crop;
    float *heard;  /* [n][tokens][width] */
    size_t window; /* floats of one frame's */
    struct pz_latentsync_artist *artist;
    float *fed;       /* [RING][2][floats], latents of frames the store lacks */
    int fed_at[RING]; /* their frames, −1: none */
    struct pz_latentsync_cutter *cutter;
    float *seen;
    struct pz_rgb patch;
};

/* ---- what depends on the film alone ---- */

static struct pz_latent_layout layout_of(int size)
{
    return (struct pz_latent_layout){.kinds = 2, .floats = size / 8 * (size / 8) * 4, .place = true};
}

/* Frames worth encoding: those asked for, else some of those that may be learned from. */
static int64_t wanted(const struct pz_film *film, int64_t i, int64_t *n)
{
    if (film->n_asked_frames) {
        *n = film->n_asked_frames;
        return i < *n ? film->asked_frames[i] : -1;
    }
    *n = film->n_fit_frames < LEARNED ? film->n_fit_frames : LEARNED;
    return i < *n ? film->fit_frames[i * film->n_fit_frames / *n] : -1;
}

static enum pz_status encode_film(struct pz_latentsync_eye *eye, struct pz_latent_store *store, int size,
                                  const struct pz_film *film, const struct pz_job *job)
{
    struct pz_latentsync_calm calm;
    int64_t n = 0;
    enum pz_status st = PZ_OK;
    float *latents = pz_calloc(pz_latentsync_eye_floats(eye), 2 * sizeof *latents);
    if (!latents)
        return pz_fail(job->log, PZ_ERR_NOMEM, "no memory to prepare the engine");
    pz_latentsync_calm_init(&calm, film->topology);
    for (int64_t i = 0, frame; st >= PZ_OK && (frame = wanted(film, i, &n)) >= 0; i++) {
        const struct pz_face *face = film->face(film->user, frame);
        const struct pz_picture *pic;
        if (pz_job_cancelled(job))
            st = PZ_ERR_CANCELLED;
        if (st >= PZ_OK && face && face->present && (st = film->picture(film->user, frame, &pic)) >= PZ_OK) {
            struct pz_affine m = pz_latentsync_crop(&calm, face, film->frame_time(film->user, frame), size);
            struct pz_latent_item item = {.frame = frame,
                                          .box = {m.a, m.d, m.c, m.f},
                                          .pose = {face->pose.yaw, face->pose.pitch},
                                          .latent = latents};
            st = pz_latentsync_eye_look(eye, pic, &m, latents);
            if (st >= PZ_OK && (st = pz_latent_store_add(store, &item)) < PZ_OK)
                st = pz_fail(job->log, st, "latents of frame %lld cannot be kept", (long long)frame);
        }
        pz_job_progress(job, "latents", i + 1, n);
    }
    if (st >= PZ_OK && pz_latent_store_count(store) == 0)
        st = pz_fail(job->log, PZ_ERR_UNUSABLE, "no frame shows the face LatentSync shall draw on");
    pz_free(latents);
    return st;
}

/* What an engine is made of, from its options. */
static enum pz_status choose(const struct pz_engine_open_params *p, const struct pz_job *job,
                             struct pz_latentsync_files *files, struct pz_latentsync_way *way)
{
    enum pz_status st = pz_latentsync_way_of(p->quality, p->steps, p->guidance, job->log, way);
    return st < PZ_OK ? st : pz_latentsync_find(p->models_dir, p->size, job->log, files);
}

static enum pz_status check(const struct pz_engine_open_params *p, const struct pz_job *job)
{
    struct pz_latentsync_files files = {0};
    struct pz_latentsync_way way;
    struct pz_engine_plan plan = {0};
    enum pz_status st = PZ_OK;
    PZ_TRY(choose(p, job, &files, &way));
    PZ_TRY(pz_engine_plan(p, "latentsync", job, &plan));
    PZ_TRY(pz_latentsync_verify_all(&files, job));
    PZ_TRY(pz_latentsync_fits(&files, &way, &plan.params, p->memory, job, NULL));
fail:
    pz_engine_plan_free(&plan);
    pz_latentsync_files_free(&files);
    return st;
}

/* What prepare leaves depends on the VAE, the mask and the size. */
static enum pz_status stamp(const struct pz_engine_open_params *p, const struct pz_job *job, char **text)
{
    struct pz_latentsync_files f = {0};
    enum pz_status st = pz_latentsync_find(p->models_dir, p->size, job->log, &f);
    if (st >= PZ_OK) {
        const char *files[] = {f.vae, f.vae_config, f.mask};
        char *names = pz_engine_stamp_files(files, 3);
        *text = names ? pz_asprintf("%d %s", f.size, names) : NULL;
        pz_free(names);
        if (!*text)
            st = pz_fail(job->log, PZ_ERR_NOMEM, "no memory for a path");
    }
    pz_latentsync_files_free(&f);
    return st;
}

static enum pz_status prepare(const struct pz_film *film, const struct pz_engine_open_params *p,
                              const struct pz_job *job)
{
    enum pz_status st = PZ_OK;
    struct pz_latentsync_files files = {0};
    struct pz_latentsync_way way;
    struct pz_engine_plan plan = {0};
    struct pz_latentsync_eye *eye = NULL;
    struct pz_latent_store *store = NULL;
    int64_t n = 0;
    char size[16], *path = pz_path_join(p->artifact_dir, LATENTS_FILE);
    if (!path) {
        st = pz_fail(job->log, PZ_ERR_NOMEM, "no memory to prepare the engine");
        goto fail;
    }
    PZ_TRY(choose(p, job, &files, &way));
    PZ_TRY(pz_engine_plan(p, "latentsync", job, &plan));
    struct pz_latent_layout layout = layout_of(files.size);
    wanted(film, 0, &n);
    PZ_TRY(pz_latent_store_create(&layout, (int)n, job->log, &store));
    PZ_TRY(pz_latentsync_eye_open(&files, &plan.params, job, &eye));
    PZ_TRY(encode_film(eye, store, files.size, film, job));
    snprintf(size, sizeof size, "%d", files.size);
    PZ_TRY(pz_latent_store_save(
        store, path, (const char *const[][2]){{"engine", "latentsync"}, {"size", size}}, 2, job->log));
fail:
    pz_latentsync_eye_close(&eye);
    pz_latent_store_free(&store);
    pz_engine_plan_free(&plan);
    pz_latentsync_files_free(&files);
    pz_free(path);
    return st;
}

/* ---- engine ---- */

static void close_engine(void **engine)
{
    struct ls_engine *e = *engine;
    if (!e)
        return;
    pz_latentsync_run_close(&e->net);
    pz_latent_coder_close(&e->decoder);
    pz_latentsync_eye_close(&e->eye);
    pz_speech_features_close(&e->ears);
    pz_latent_store_free(&e->store);
    pz_engine_plan_free(&e->plan);
    pz_latentsync_files_free(&e->files);
    pz_rgb_free(&e->mask);
    pz_free(e->small);
    pthread_mutex_destroy(&e->run_lock);
    pthread_mutex_destroy(&e->coder_lock);
    pz_free(e);
    *engine = NULL;
}

static struct pz_latentsync_cutter *make_cutter(const struct ls_engine *e)
{
    return pz_latentsync_cutter_create(e->files.size, e->mask.data ? &e->mask : NULL);
}

/* Networks and tables of an engine whose files are known. */
static enum pz_status load(struct ls_engine *e, const char *path, double memory, const struct pz_job *job)
{
    enum pz_status st = PZ_OK;
    struct pz_latent_layout layout = layout_of(e->files.size);
    struct pz_latentsync_cutter *cutter = NULL;
    PZ_TRY(pz_latentsync_read_mask(&e->files, job->log, &e->mask));
    cutter = make_cutter(e);
    e->small = pz_calloc((size_t)layout.floats / 4, sizeof *e->small);
    if (!cutter || !e->small) {
        st = pz_fail(job->log, PZ_ERR_NOMEM, "no memory to open the engine");
        goto fail;
    }
    pz_latentsync_mask(cutter, NULL, e->small);
    PZ_TRY(pz_latent_store_load(path, &layout, job->log, &e->store));
    PZ_TRY(pz_speech_features_open(e->files.whisper, &e->plan.params, false, job, &e->ears));
    PZ_TRY(pz_latentsync_run_open(&e->files, &e->way,
                                  PZ_LATENTSYNC_STEPS * pz_speech_features_layers(e->ears),
                                  pz_speech_features_width(e->ears), &e->plan.params, memory, job, &e->net));
    PZ_TRY(pz_latent_coder_open(e->files.vae, e->files.vae_config, true, e->files.size,
                                pz_latentsync_run_fit(e->net).pictures, &e->plan.params, job, &e->decoder));
fail:
    pz_latentsync_cutter_destroy(&cutter);
    return st;
}

/* What this way costs, and what the published one would. */
static void tell(const struct ls_engine *e, const struct pz_job *job)
{
    int whole, shallow;
    struct pz_latentsync_fit fit = pz_latentsync_run_fit(e->net);
    double cost = pz_latentsync_run_cost(e->net, &e->way),
           published = pz_latentsync_run_cost(e->net, &pz_latentsync_exact);
    pz_latentsync_way_count(&e->way, &whole, &shallow);
    pz_info(
        job->log,
        "latentsync %d px, %s, %d steps, guidance %.3g: %d whole and %d last-layer evaluations, %.3g TFLOP a "
        "window of %d frames, %.0f %% of the published %.3g; %d at once, %d pictures decoded at once, %.2f "
        "GB of "
        "work memory, about %.1f GB in all%s",
        e->files.size, e->way.fast ? "fast" : "exact", e->way.steps, (double)e->way.guidance, whole, shallow,
        2e-12 * cost, PZ_LATENTSYNC_WINDOW, 100 * cost / published, 2e-12 * published, fit.branches,
        fit.pictures, 1e-9 * (double)pz_latentsync_run_bytes(e->net), 1e-9 * fit.need,
        fit.away ? ", the weights in main memory" : "");
}

static enum pz_status open_engine(const struct pz_engine_open_params *p, const struct pz_job *job,
                                  void **engine)
{
    enum pz_status st = PZ_OK;
    char *path = pz_path_join(p->artifact_dir, LATENTS_FILE);
    struct ls_engine *e = pz_calloc(1, sizeof *e);
    void *v = e;
    *engine = NULL;
    if (!path || !e) {
        st = pz_fail(job->log, PZ_ERR_NOMEM, "no memory to open the engine");
        pz_free(e);
        pz_free(path);
        return st;
    }
    pthread_mutex_init(&e->run_lock, NULL);
    pthread_mutex_init(&e->coder_lock, NULL);
    PZ_TRY(choose(p, job, &e->files, &e->way));
    PZ_TRY(pz_engine_plan(p, "latentsync", job, &e->plan));
    PZ_TRY(load(e, path, p->memory, job));
    tell(e, job);
    *engine = e;
    pz_free(path);
    return PZ_OK;
fail:
    close_engine(&v);
    pz_free(path);
    return st;
}

static void runs_on(const void *engine, const char **device, const char **precision)
{
    const struct ls_engine *e = engine;
    pz_engine_runs_on(e->plan.cuda, e->plan.params.dtype, device, precision);
}

/* ---- session ---- */

static void end(void **session)
{
    struct ls_session *s = *session;
    if (!s)
        return;
    pz_latentsync_artist_destroy(&s->artist);
    pz_latentsync_cutter_destroy(&s->cutter);
    pz_rgb_free(&s->patch);
    pz_free(s->item);
    pz_free(s->to_crop);
    pz_free(s->heard);
    pz_free(s->fed);
    pz_free(s->seen);
    pz_free(s);
    *session = NULL;
}

static enum pz_status furnish(struct ls_session *s)
{
    const struct ls_engine *e = s->engine;
    size_t n = (size_t)s->n + 1, px = (size_t)e->files.size * (size_t)e->files.size;
    int w, h;
    s->window = (size_t)PZ_LATENTSYNC_STEPS * (size_t)pz_speech_features_layers(e->ears) *
                (size_t)pz_speech_features_width(e->ears);
    s->item = pz_calloc(n, sizeof *s->item);
    s->to_crop = pz_calloc(n, sizeof *s->to_crop);
    s->heard = pz_calloc(n, s->window * sizeof *s->heard);
    s->seen = pz_calloc(px, 3 * sizeof *s->seen);
    s->cutter = make_cutter(e);
    for (int i = 0; i < RING; i++)
        s->fed_at[i] = -1;
    pz_latentsync_crop_size(e->files.size, &w, &h);
    bool ok =
        s->item && s->to_crop && s->heard && s->seen && s->cutter && pz_rgb_alloc(&s->patch, w, h) >= PZ_OK;
    return ok ? PZ_OK : pz_fail(s->job->log, PZ_ERR_NOMEM, "no memory for %d mouths", s->n);
}

/* Ten steps around each picture's own time; before the first and behind the last step that one is heard
 * again. */
static enum pz_status hear(struct ls_session *s, const struct pz_speech_span *span)
{
    float *all = NULL;
    int64_t steps = 0;
    struct ls_engine *e = s->engine;
    pthread_mutex_lock(&e->coder_lock);
    enum pz_status st = pz_speech_features_run(e->ears, span->speech, span->n_speech, s->job, &all, &steps);
    pthread_mutex_unlock(&e->coder_lock);
    size_t step = s->window / PZ_LATENTSYNC_STEPS;
    for (int i = 0; i < s->n && st >= PZ_OK && steps > 0; i++) {
        int64_t first = (int64_t)floor(span->frame_times[i] * PZ_SPEECH_STEPS + 1e-6) - 4;
        for (int k = 0; k < PZ_LATENTSYNC_STEPS; k++) {
            int64_t at = first + k < 0 ? 0 : first + k >= steps ? steps - 1 : first + k;
            memcpy(s->heard + (size_t)i * s->window + (size_t)k * step, all + (size_t)at * step,
                   step * sizeof *all);
        }
    }
    pz_free(all);
    return st;
}

/* Latents and crop of every frame: its own; one nobody foresaw has a place of its own, and until it is fed
 * the latents of the likest pose. */
static void assign(struct ls_session *s, const struct pz_speech_span *span)
{
    const struct ls_engine *e = s->engine;
    struct pz_latentsync_calm calm;
    pz_latentsync_calm_init(&calm, span->topology);
    for (int i = 0; i < s->n; i++) {
        const struct pz_face *f = span->faces[i];
        int item = pz_latent_store_find(e->store, f->frame);
        bool own = item >= 0;
        if (!own)
            item = pz_latent_store_nearest(e->store, f->pose.yaw, f->pose.pitch);
        struct pz_latent_item it = pz_latent_store_at(e->store, item);
        struct pz_affine m = {it.box[0], -it.box[1], it.box[2], it.box[1], it.box[0], it.box[3]};
        if (span->topology && !own)
            m = pz_latentsync_crop(&calm, f, span->frame_times[i], e->files.size);
        s->item[i] = own ? item : -1 - item;
        s->to_crop[i] = m;
    }
}

/* What a frame of a window is made from. */
static void frame_of(void *user, int i, struct pz_latentsync_frame *out, bool *final)
{
    const struct ls_session *s = user;
    const struct ls_engine *e = s->engine;
    size_t floats = pz_latentsync_run_floats(e->net);
    bool own = s->item[i] >= 0, fed = s->fed && s->fed_at[i % RING] == i;
    const float *latent = pz_latent_store_at(e->store, own ? s->item[i] : -1 - s->item[i]).latent;
    *out = (struct pz_latentsync_frame){latent, latent + floats, s->heard + (size_t)i * s->window};
    if (!own && fed) {
        out->masked = s->fed + (size_t)(i % RING) * 2 * floats;
        if (s->own)
            out->reference = out->masked + floats;
    }
    *final = own || fed;
}

static enum pz_status begin(void *engine, const struct pz_speech_span *span, const struct pz_job *job,
                            void **session)
{
    enum pz_status st = PZ_OK;
    struct ls_engine *e = engine;
    *session = NULL;
    if (span->held)
        return PZ_ERR_UNSUPPORTED;
    struct ls_session *s = pz_calloc(1, sizeof *s);
    void *v = s;
    if (!s)
        return pz_fail(job->log, PZ_ERR_NOMEM, "no memory for %d mouths", span->n_frames);
    s->engine = e;
    s->job = job;
    s->n = span->n_frames;
    s->own = span->blend_s > 0;
    PZ_TRY(furnish(s));
    assign(s, span);
    PZ_TRY(hear(s, span));
    PZ_TRY(pz_latentsync_artist_create(
        &(struct pz_latentsync_artist_params){.run = e->net,
                                              .decoder = e->decoder,
                                              .batch = pz_latentsync_run_fit(e->net).pictures,
                                              .way = &e->way,
                                              .mask = e->small,
                                              .n = s->n,
                                              .frame = frame_of,
                                              .user = s,
                                              .run_lock = &e->run_lock,
                                              .decoder_lock = &e->coder_lock,
                                              .ahead = e->plan.cuda,
                                              .job = job},
        &s->artist));
    *session = s;
    return PZ_OK;
fail:
    end(&v);
    return st;
}

static int ahead(const void *engine)
{
    return AHEAD;
}

/* Latents of a frame that prepare did not foresee. */
static enum pz_status feed(void *session, int i, const struct pz_picture *src)
{
    struct ls_session *s = session;
    struct ls_engine *e = s->engine;
    size_t floats = pz_latentsync_run_floats(e->net);
    enum pz_status st = PZ_OK;
    if (i < 0 || i >= s->n)
        return PZ_ERR_USAGE;
    if (s->item[i] >= 0)
        return PZ_OK;
    if (!s->fed && !(s->fed = pz_calloc(floats, (size_t)2 * RING * sizeof *s->fed)))
        return pz_fail(s->job->log, PZ_ERR_NOMEM, "no memory for frames nobody foresaw");
    pthread_mutex_lock(&e->coder_lock);
    if (!e->eye)
        st = pz_latentsync_eye_open(&e->files, &e->plan.params, s->job, &e->eye);
    if (st >= PZ_OK)
        st = pz_latentsync_eye_look(e->eye, src, &s->to_crop[i], s->fed + (size_t)(i % RING) * 2 * floats);
    pthread_mutex_unlock(&e->coder_lock);
    s->fed_at[i % RING] = st >= PZ_OK ? i : -1;
    return st;
}

static enum pz_status draw(void *session, int i, const struct pz_picture *src, struct pz_patch *out)
{
    struct ls_session *s = session;
    struct pz_affine to_frame;
    const float *made;
    *out = (struct pz_patch){0};
    enum pz_status st = pz_latentsync_artist_draw(s->artist, i, &made);
    if (st < PZ_OK)
        return st;
    if (pz_latentsync_to_frame(&s->to_crop[i], &to_frame) < PZ_OK)
        return pz_fail(s->job->log, PZ_ERR_UNUSABLE, "the face of picture %d has no place", i);
    pz_latentsync_cut(s->cutter, src, &s->to_crop[i], s->job->pool, s->seen);
    pz_latentsync_unsquash(s->cutter, made, s->seen, s->job->pool, &s->patch);
    // How far the lips are open nobody asked the network: it was told a sound.
    *out = (struct pz_patch){
        .rgb = s->patch, .alpha = pz_latentsync_alpha(s->cutter), .to_frame = to_frame, .lip_gap = NAN};
    return PZ_OK;
}

const struct pz_engine_vtable pz_engine_latentsync = {
    .name = "latentsync",
    .check = check,
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
