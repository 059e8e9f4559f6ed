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
#include "lipsync/latentsync_face.h"
#include "lipsync/latentsync_model.h"
#include "lipsync/speech_features.h"

#define LATENTS_FILE "latents.safetensors"
#define LEARNED 32     /* frames kept when nobody knows which will be asked for */
#define CALM_GAP_S 0.5 /* after a longer gap the crop's offset starts anew */
#define CALM_OLD 0.2   /* its weight of the frame before, at 25 a second */
#define PUBLISHED_FPS 25

struct ls_engine {
    struct pz_latentsync_files files;
    struct pz_latentsync_way way;
    struct pz_engine_plan plan;
    struct pz_latent_store *store;
    struct pz_speech_features *ears;
    struct pz_latentsync_run *net;
    struct pz_latent_coder *decoder;
    struct pz_latentsync_cutter *cutter;
    float *mask, *keep; /* at latent and at picture size */
};

struct ls_session {
    const struct ls_engine *engine;
    const struct pz_job *job;
    int n, done; /* frames; windows made */
    int *item;   /* [n] of the store */
    struct pz_affine *to_crop;
    float *heard;  /* [n][tokens][width] */
    size_t window; /* floats of one frame's */
    float *latent; /* [n][floats], windows added up */
    float *noise, *z, *work, *made, *seen;
    struct pz_rgb patch;
};

/* ---- what depends on the film alone ---- */

static struct pz_latent_layout layout_of(int size)
{
    return (struct pz_latent_layout){.kinds = 2, .floats = size / 8 * (size / 8) * 4, .place = true};
}

/* Crops of successive frames: the offset is calmed by the time between them. */
struct calm {
    struct pz_latentsync_points points;
    struct pz_latentsync_bias bias;
    double last;
};

static struct pz_affine crop_of(struct calm *c, const struct pz_face *f, double time, int size)
{
    float point[3][2];
    double gap = time - c->last;
    pz_latentsync_points_of(&c->points, f, point);
    if (!(gap > 0 && gap < CALM_GAP_S))
        c->bias.any = false;
    c->last = time;
    return pz_latentsync_similarity(point, size, pow(CALM_OLD, gap * PUBLISHED_FPS), &c->bias);
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

struct encoding {
    struct pz_latent_coder *coder;
    struct pz_latentsync_cutter *cutter;
    struct pz_latent_store *store;
    float *keep, *mask, *pictures, *latents; /* pictures: masked, then whole */
};

static enum pz_status encode_frame(struct encoding *e, int size, const struct pz_film *film, int64_t frame,
                                   struct calm *calm, const struct pz_job *job)
{
    const struct pz_face *face = film->face(film->user, frame);
    const struct pz_picture *pic;
    size_t n = (size_t)size * (size_t)size;
    float *whole = e->pictures + 3 * n;
    if (!face || !face->present)
        return PZ_OK;
    enum pz_status st = film->picture(film->user, frame, &pic);
    if (st < PZ_OK)
        return st;
    struct pz_affine m = crop_of(calm, face, film->frame_time(film->user, frame), size);
    pz_latentsync_cut(e->cutter, pic, &m, whole);
    for (size_t i = 0; i < 3 * n; i++)
        e->pictures[i] = whole[i] * e->keep[i / 3]; // as published: behind the normalisation, so grey
    size_t floats = pz_latent_coder_floats(e->coder);
    for (int k = 0; k < 2 && st >= PZ_OK; k++)
        st = pz_latent_encode_floats(e->coder, e->pictures + (size_t)k * 3 * n, 1, job->pool,
                                     e->latents + (size_t)k * floats);
    if (st < PZ_OK)
        return st;
    struct pz_latent_item item = {.frame = frame,
                                  .box = {m.a, m.d, m.c, m.f},
                                  .pose = {face->pose.yaw, face->pose.pitch},
                                  .latent = e->latents};
    st = pz_latent_store_add(e->store, &item);
    return st < PZ_OK ? pz_fail(job->log, st, "latents of frame %lld cannot be kept", (long long)frame) : st;
}

static enum pz_status encode_film(struct encoding *e, int size, const struct pz_film *film,
                                  const struct pz_job *job)
{
    struct calm calm = {.last = -1e9};
    int64_t n = 0;
    enum pz_status st = PZ_OK;
    pz_latentsync_points_init(&calm.points, film->topology);
    for (int64_t i = 0, frame; st >= PZ_OK && (frame = wanted(film, i, &n)) >= 0; i++) {
        if (pz_job_cancelled(job))
            return PZ_ERR_CANCELLED;
        st = encode_frame(e, size, film, frame, &calm, job);
        pz_job_progress(job, "latents", i + 1, n);
    }
    if (st >= PZ_OK && pz_latent_store_count(e->store) == 0)
        st = pz_fail(job->log, PZ_ERR_UNUSABLE, "no frame shows the face LatentSync shall draw on");
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
    PZ_TRY(pz_latentsync_fits(&files, &way, &plan.params, job));
fail:
    pz_engine_plan_free(&plan);
    pz_latentsync_files_free(&files);
    return st;
}

static enum pz_status prepare(const struct pz_film *film, const struct pz_engine_open_params *p,
                              const struct pz_job *job)
{
    enum pz_status st = PZ_OK;
    struct pz_latentsync_files files = {0};
    struct pz_latentsync_way way;
    struct pz_engine_plan plan = {0};
    struct encoding e = {0};
    int64_t n = 0;
    char size[16], *path = pz_path_join(p->artifact_dir, LATENTS_FILE);
    PZ_TRY(choose(p, job, &files, &way));
    PZ_TRY(pz_engine_plan(p, "latentsync", job, &plan));
    size_t px = (size_t)files.size * (size_t)files.size;
    struct pz_latent_layout layout = layout_of(files.size);
    e.cutter = pz_latentsync_cutter_create(files.size);
    e.keep = pz_calloc(px, sizeof *e.keep);
    e.mask = pz_calloc(px / 64, sizeof *e.mask);
    e.pictures = pz_calloc(px, 6 * sizeof *e.pictures);
    e.latents = pz_calloc((size_t)layout.floats, 2 * sizeof *e.latents);
    if (!path || !e.cutter || !e.keep || !e.mask || !e.pictures || !e.latents) {
        st = pz_fail(job->log, PZ_ERR_NOMEM, "no memory to prepare the engine");
        goto fail;
    }
    pz_latentsync_mask(e.cutter, e.keep, e.mask);
    wanted(film, 0, &n);
    PZ_TRY(pz_latent_store_create(&layout, (int)n, job->log, &e.store));
    PZ_TRY(
        pz_latent_coder_open(files.vae, files.vae_config, false, files.size, 1, &plan.params, job, &e.coder));
    PZ_TRY(encode_film(&e, files.size, film, job));
    snprintf(size, sizeof size, "%d", files.size);
    PZ_TRY(pz_latent_store_save(
        e.store, path, (const char *const[][2]){{"engine", "latentsync"}, {"size", size}}, 2, job->log));
fail:
    pz_latent_coder_close(&e.coder);
    pz_latent_store_free(&e.store);
    pz_latentsync_cutter_destroy(&e.cutter);
    pz_free(e.keep);
    pz_free(e.mask);
    pz_free(e.pictures);
    pz_free(e.latents);
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
    pz_speech_features_close(&e->ears);
    pz_latent_store_free(&e->store);
    pz_latentsync_cutter_destroy(&e->cutter);
    pz_engine_plan_free(&e->plan);
    pz_latentsync_files_free(&e->files);
    pz_free(e->mask);
    pz_free(e->keep);
    pz_free(e);
    *engine = NULL;
}

/* Networks and tables of an engine whose files are known. */
static enum pz_status load(struct ls_engine *e, const char *path, const struct pz_job *job)
{
    enum pz_status st = PZ_OK;
    size_t px = (size_t)e->files.size * (size_t)e->files.size;
    struct pz_latent_layout layout = layout_of(e->files.size);
    e->cutter = pz_latentsync_cutter_create(e->files.size);
    e->keep = pz_calloc(px, sizeof *e->keep);
    e->mask = pz_calloc(px / 64, sizeof *e->mask);
    if (!e->cutter || !e->keep || !e->mask) {
        st = pz_fail(job->log, PZ_ERR_NOMEM, "no memory to open the engine");
        goto fail;
    }
    pz_latentsync_mask(e->cutter, e->keep, e->mask);
    PZ_TRY(pz_latent_store_load(path, &layout, job->log, &e->store));
    PZ_TRY(pz_speech_features_open(e->files.whisper, &e->plan.params, false, job, &e->ears));
    PZ_TRY(pz_latentsync_run_open(&e->files, &e->way,
                                  PZ_LATENTSYNC_STEPS * pz_speech_features_layers(e->ears),
                                  pz_speech_features_width(e->ears), &e->plan.params, job, &e->net));
    PZ_TRY(pz_latent_coder_open(e->files.vae, e->files.vae_config, true, e->files.size, 1, &e->plan.params,
                                job, &e->decoder));
fail:
    return st;
}

/* What this way costs, and what the published one would. */
static void tell(const struct ls_engine *e, const struct pz_job *job)
{
    int whole, shallow;
    double cost = pz_latentsync_run_cost(e->net, &e->way),
           published = pz_latentsync_run_cost(e->net, &pz_latentsync_exact);
    pz_latentsync_way_count(&e->way, &whole, &shallow);
    pz_info(
        job->log,
        "latentsync %d px, %s, %d steps, guidance %.3g: %d whole and %d last-layer evaluations, %.3g TFLOP a "
        "window of %d frames, %.0f %% of the published %.3g; %d at once, %.2f GiB of work memory",
        e->files.size, e->way.fast ? "fast" : "exact", e->way.steps, (double)e->way.guidance, whole, shallow,
        2e-12 * cost, PZ_LATENTSYNC_WINDOW, 100 * cost / published, 2e-12 * published,
        pz_latentsync_run_branches(e->net), (double)pz_latentsync_run_bytes(e->net) / (1 << 30));
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
        goto fail;
    }
    PZ_TRY(choose(p, job, &e->files, &e->way));
    PZ_TRY(pz_engine_plan(p, "latentsync", job, &e->plan));
    PZ_TRY(load(e, path, job));
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
    enum pz_dtype t = e->plan.params.dtype;
    *device = e->plan.cuda ? "cuda" : "cpu";
    *precision = t == PZ_DTYPE_F32 ? "f32" : t == PZ_DTYPE_F16 ? "f16" : "bf16";
}

/* ---- session ---- */

static void end(void **session)
{
    struct ls_session *s = *session;
    if (!s)
        return;
    pz_rgb_free(&s->patch);
    pz_free(s->item);
    pz_free(s->to_crop);
    pz_free(s->heard);
    pz_free(s->latent);
    pz_free(s->noise);
    pz_free(s->z);
    pz_free(s->work);
    pz_free(s->made);
    pz_free(s->seen);
    pz_free(s);
    *session = NULL;
}

static enum pz_status furnish(struct ls_session *s)
{
    const struct ls_engine *e = s->engine;
    size_t n = (size_t)s->n + 1, floats = pz_latentsync_run_floats(e->net),
           px = (size_t)e->files.size * (size_t)e->files.size;
    int w, h;
    s->window = (size_t)PZ_LATENTSYNC_STEPS * (size_t)pz_speech_features_layers(e->ears) *
                (size_t)pz_speech_features_width(e->ears);
    s->item = pz_calloc(n, sizeof *s->item);
    s->to_crop = pz_calloc(n, sizeof *s->to_crop);
    s->heard = pz_calloc(n, s->window * sizeof *s->heard);
    s->latent = pz_calloc(n, floats * sizeof *s->latent);
    s->noise = pz_calloc(floats, sizeof *s->noise);
    s->z = pz_calloc(floats, PZ_LATENTSYNC_WINDOW * sizeof *s->z);
    s->work = pz_calloc(floats, 4 * PZ_LATENTSYNC_WINDOW * sizeof *s->work);
    s->made = pz_calloc(px, 3 * sizeof *s->made);
    s->seen = pz_calloc(px, 3 * sizeof *s->seen);
    pz_latentsync_crop_size(e->files.size, &w, &h);
    bool ok = s->item && s->to_crop && s->heard && s->latent && s->noise && s->z && s->work && s->made &&
              s->seen && pz_rgb_alloc(&s->patch, w, h) >= PZ_OK;
    return ok ? PZ_OK : pz_fail(s->job->log, PZ_ERR_NOMEM, "no memory for %d mouths", s->n);
}

/* Ten steps around each picture's own time; before the first and behind the last step that one is heard
 * again. */
static enum pz_status hear(struct ls_session *s, const struct pz_speech_span *span)
{
    float *all = NULL;
    int64_t steps = 0;
    struct pz_speech_features *ears = s->engine->ears;
    enum pz_status st = pz_speech_features_run(ears, span->speech, span->n_speech, s->job, &all, &steps);
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

/* Latents and crop of every frame: its own, or for one nobody foresaw those of the likest pose. */
static void assign(struct ls_session *s, const struct pz_speech_span *span)
{
    const struct ls_engine *e = s->engine;
    struct calm calm = {.last = -1e9};
    if (span->topology)
        pz_latentsync_points_init(&calm.points, span->topology);
    for (int i = 0; i < s->n; i++) {
        const struct pz_face *f = span->faces[i];
        s->item[i] = pz_latent_store_find(e->store, f->frame);
        bool own = s->item[i] >= 0;
        if (!own)
            s->item[i] = pz_latent_store_nearest(e->store, f->pose.yaw, f->pose.pitch);
        struct pz_latent_item it = pz_latent_store_at(e->store, s->item[i]);
        struct pz_affine m = {it.box[0], -it.box[1], it.box[2], it.box[1], it.box[0], it.box[3]};
        if (span->topology && !own)
            m = crop_of(&calm, f, span->frame_times[i], e->files.size);
        s->to_crop[i] = m;
    }
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
    PZ_TRY(furnish(s));
    assign(s, span);
    PZ_TRY(hear(s, span));
    pz_latentsync_noise(job->seed, pz_latentsync_run_floats(e->net), s->noise);
    *session = s;
    return PZ_OK;
fail:
    end(&v);
    return st;
}

/* The next window: from noise to latents, added to its frames by weight. */
static enum pz_status make_window(struct ls_session *s)
{
    const struct ls_engine *e = s->engine;
    size_t floats = pz_latentsync_run_floats(e->net);
    struct pz_latentsync_frame frames[PZ_LATENTSYNC_WINDOW];
    int k = s->done;
    for (int i = 0; i < PZ_LATENTSYNC_WINDOW; i++) {
        int f = pz_latentsync_window_frame(s->n, k, i);
        const float *latent = pz_latent_store_at(e->store, s->item[f]).latent;
        frames[i] = (struct pz_latentsync_frame){latent, latent + floats, s->heard + (size_t)f * s->window};
        memcpy(s->z + (size_t)i * floats, s->noise, floats * sizeof *s->z);
    }
    pz_latentsync_run_window(e->net, e->mask, frames);
    struct pz_latentsync_net net = pz_latentsync_run_net(e->net);
    enum pz_status st =
        pz_latentsync_sample(&e->way, &net, PZ_LATENTSYNC_WINDOW * floats, s->job, s->work, s->z);
    for (int i = 0; i < PZ_LATENTSYNC_WINDOW && st >= PZ_OK; i++) {
        int f = pz_latentsync_window_first(s->n, k) + i;
        float w = pz_latentsync_window_weight(s->n, k, f);
        for (size_t j = 0; f < s->n && j < floats; j++)
            s->latent[(size_t)f * floats + j] += w * s->z[(size_t)i * floats + j];
    }
    s->done++;
    return st;
}

static enum pz_status draw(void *session, int i, const struct pz_picture *src, struct pz_patch *out)
{
    struct ls_session *s = session;
    const struct ls_engine *e = s->engine;
    struct pz_affine to_frame;
    enum pz_status st = PZ_OK;
    *out = (struct pz_patch){0};
    if (i < 0 || i >= s->n)
        return PZ_ERR_USAGE;
    // All windows that show this frame: they begin with it at the latest.
    while (st >= PZ_OK && s->done < pz_latentsync_windows(s->n) &&
           pz_latentsync_window_first(s->n, s->done) <= i)
        st = make_window(s);
    if (st >= PZ_OK)
        st = pz_latent_decode_floats(e->decoder, s->latent + (size_t)i * pz_latentsync_run_floats(e->net), 1,
                                     s->job->pool, s->made);
    if (st < PZ_OK)
        return st;
    if (pz_latentsync_to_frame(&s->to_crop[i], &to_frame) < PZ_OK)
        return pz_fail(s->job->log, PZ_ERR_UNUSABLE, "the face of picture %d has no place", i);
    pz_latentsync_cut(e->cutter, src, &s->to_crop[i], s->seen);
    pz_latentsync_unsquash(e->cutter, s->made, s->seen, &s->patch);
    // How far the lips are open nobody asked the network: it was told a sound.
    *out = (struct pz_patch){
        .rgb = s->patch, .alpha = pz_latentsync_alpha(e->cutter), .to_frame = to_frame, .lip_gap = NAN};
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
};
