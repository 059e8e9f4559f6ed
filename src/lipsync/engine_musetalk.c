// Engine `musetalk`: what it looks at, hears and draws, behind the engine interface. A folder it prepared
// holds `frames.safetensors` and `moments.safetensors`.
#include "lipsync/engine_musetalk.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "image/affine.h"
#include "lipsync/engine_plan.h"
#include "lipsync/musetalk_draw.h"
#include "lipsync/musetalk_look.h"
#include "lipsync/pixels.h"
#include "lipsync/speech_features.h"

#define NAME "musetalk"
#define FRAMES_FILE "frames.safetensors"
#define MOMENTS_FILE "moments.safetensors"
#define MARGIN_15 10

struct mt_engine {
    struct pz_musetalk_files files;
    struct pz_engine_plan plan;
    struct pz_latent_store *frames, *moments;
    struct pz_musetalk_frame size;
    bool calm;
    const struct pz_job *job;
    pthread_mutex_t lock; /* of what follows: sessions, and their helpers, take turns */
    struct pz_speech_features *ears;
    struct pz_musetalk_unet_run *unet;
    struct pz_latent_coder *decoder;
    struct pz_musetalk_eye *eye; /* opened when a frame comes that was not foreseen */
};

struct mt_session {
    struct mt_engine *engine;
    const struct pz_job *job;
    const struct pz_face *const *faces;
    int n_frames, fps;
    bool own; /* the frame itself is the reference */
    const double *times;
    int *kept; /* [n_frames] index in the store, or −1 */
    float (*box)[4];
    struct pz_musetalk_sitter *sitter;
    float *features;
    int64_t steps;
    struct pz_musetalk_artist *artist;
    float *latent;        /* [2][floats], of a frame that was not foreseen */
    uint8_t *bits, *mask; /* its mask; a mask in bytes */
    uint8_t *weights;     /* [largest box] */
    float *shares;        /* the same as float */
    int w, h;             /* of patches */
    struct pz_rgb patch;
    float *alpha;
};

static enum pz_status check(const struct pz_engine_open_params *p, const struct pz_job *job)
{
    struct pz_musetalk_files f;
    struct pz_engine_plan plan;
    enum pz_status st = pz_engine_plan(p, NAME, job, &plan);
    if (st >= PZ_OK)
        st = pz_musetalk_find(p->models_dir, NULL, job->log, &f);
    if (st >= PZ_OK) {
        st = pz_musetalk_verify_all(&f, job);
        pz_musetalk_files_free(&f);
    }
    pz_engine_plan_free(&plan);
    return st;
}

static enum pz_status prepare(const struct pz_film *film, const struct pz_engine_open_params *p,
                              const struct pz_job *job)
{
    enum pz_status st = PZ_OK;
    struct pz_musetalk_files f = {0};
    struct pz_engine_plan plan = {0};
    char *frames = pz_path_join(p->artifact_dir, FRAMES_FILE),
         *moments = pz_path_join(p->artifact_dir, MOMENTS_FILE);
    if (!frames || !moments) {
        st = pz_fail(job->log, PZ_ERR_NOMEM, "no memory to prepare the engine");
        goto fail;
    }
    PZ_TRY(pz_engine_plan(p, NAME, job, &plan));
    PZ_TRY(pz_musetalk_find(p->models_dir, NULL, job->log, &f));
    PZ_TRY(pz_musetalk_verify_all(&f, job));
    PZ_TRY(pz_musetalk_look_at(film, &f, &plan.params, !p->no_smooth, frames, moments, job));
fail:
    pz_engine_plan_free(&plan);
    pz_musetalk_files_free(&f);
    pz_free(frames);
    pz_free(moments);
    return st;
}

/* Latents and masks are made by the picture coder and the parser; the UNet is not asked. */
static enum pz_status stamp(const struct pz_engine_open_params *p, const struct pz_job *job, char **text)
{
    struct pz_musetalk_files f = {0};
    enum pz_status st = pz_musetalk_find(p->models_dir, NULL, job->log, &f);
    if (st >= PZ_OK) {
        const char *files[] = {f.vae, f.vae_config, f.parser};
        char *names = pz_engine_stamp_files(files, 3);
        *text = names ? pz_asprintf("%s %s", f.v15 ? "1.5" : "1.0", names) : NULL;
        pz_free(names);
        if (!*text)
            st = pz_fail(job->log, PZ_ERR_NOMEM, "no memory for a path");
    }
    pz_musetalk_files_free(&f);
    return st;
}

static void close_engine(void **engine)
{
    struct mt_engine *e = *engine;
    if (!e)
        return;
    pz_speech_features_close(&e->ears);
    pz_musetalk_unet_close(&e->unet);
    pz_latent_coder_close(&e->decoder);
    pz_musetalk_eye_close(&e->eye);
    pz_latent_store_free(&e->frames);
    pz_latent_store_free(&e->moments);
    pz_engine_plan_free(&e->plan);
    pz_musetalk_files_free(&e->files);
    pthread_mutex_destroy(&e->lock);
    pz_free(e);
    *engine = NULL;
}

static int number_of(const struct pz_latent_store *s, const char *key)
{
    const char *t = pz_latent_store_text(s, key);
    long v = t ? strtol(t, NULL, 10) : 0;
    return v > 0 && v <= PZ_PICTURE_MAX_SIDE ? (int)v : 0;
}

/* The prepared folder, and the weights it was prepared with. */
static enum pz_status load(struct mt_engine *e, const struct pz_engine_open_params *p,
                           const struct pz_job *job)
{
    enum pz_status st = PZ_OK;
    char *frames = pz_path_join(p->artifact_dir, FRAMES_FILE),
         *moments = pz_path_join(p->artifact_dir, MOMENTS_FILE);
    if (!frames || !moments) {
        st = pz_fail(job->log, PZ_ERR_NOMEM, "no memory to open the engine");
        goto fail;
    }
    PZ_TRY(pz_latent_store_load(frames, &pz_musetalk_frames, job->log, &e->frames));
    PZ_TRY(pz_latent_store_load(moments, &pz_musetalk_moments, job->log, &e->moments));
    const char *version = pz_latent_store_text(e->frames, "version");
    e->size = (struct pz_musetalk_frame){number_of(e->frames, "width"), number_of(e->frames, "height"), 0};
    if (!version || (strcmp(version, "1.0") != 0 && strcmp(version, "1.5") != 0) || !e->size.width ||
        !e->size.height) {
        st = pz_fail(job->log, PZ_ERR_FORMAT, "'%s' does not say what it was prepared for", frames);
        goto fail;
    }
    PZ_TRY(pz_musetalk_find(p->models_dir, version, job->log, &e->files));
    e->size.margin = e->files.v15 ? MARGIN_15 : 0;
fail:
    pz_free(frames);
    pz_free(moments);
    return st;
}

static enum pz_status open_engine(const struct pz_engine_open_params *p, const struct pz_job *job,
                                  void **engine)
{
    enum pz_status st = PZ_OK;
    struct mt_engine *e = pz_calloc(1, sizeof *e);
    void *v = e;
    *engine = NULL;
    if (!e)
        return pz_fail(job->log, PZ_ERR_NOMEM, "no memory to open the engine");
    pthread_mutex_init(&e->lock, NULL);
    e->calm = !p->no_smooth;
    e->job = job;
    PZ_TRY(pz_engine_plan(p, NAME, job, &e->plan));
    PZ_TRY(load(e, p, job));
    const struct pz_plan_params *pp = &e->plan.params;
    const struct pz_plan_params around = pz_musetalk_around(pp);
    int batch = pz_musetalk_batch(e->plan.cuda, pp->dtype);
    PZ_TRY(pz_speech_features_open(e->files.whisper, &around, true, job, &e->ears));
    PZ_TRY(pz_musetalk_unet_open(e->files.unet, e->files.unet_config, batch,
                                 PZ_MUSETALK_STEPS * pz_speech_features_layers(e->ears),
                                 pz_speech_features_width(e->ears), pp, job, &e->unet));
    PZ_TRY(pz_latent_coder_open(e->files.vae, e->files.vae_config, true, PZ_MUSETALK_SIDE,
                                pz_musetalk_decoder_batch(batch), &around, job, &e->decoder));
    if (pz_latent_coder_floats(e->decoder) != PZ_MUSETALK_FLOATS) {
        st = pz_fail(job->log, PZ_ERR_WEIGHTS, "'%s': MuseTalk wants latents of 4 channels", e->files.vae);
        goto fail;
    }
    *engine = e;
    return PZ_OK;
fail:
    close_engine(&v);
    return st;
}

static void runs_on(const void *engine, const char **device, const char **precision)
{
    const struct mt_engine *e = engine;
    pz_engine_runs_on(e->plan.cuda, e->plan.params.dtype, device, precision);
}

static void end(void **session)
{
    struct mt_session *s = *session;
    if (!s)
        return;
    pz_musetalk_artist_destroy(&s->artist);
    pz_free(s->kept);
    pz_free(s->box);
    pz_free(s->sitter);
    pz_free(s->features);
    pz_free(s->latent);
    pz_free(s->bits);
    pz_free(s->mask);
    pz_free(s->weights);
    pz_free(s->shares);
    pz_rgb_free(&s->patch);
    pz_free(s->alpha);
    pz_free(s);
    *session = NULL;
}

static void hear(void *user, int i, float *out)
{
    const struct mt_session *s = user;
    pz_speech_features_window(s->engine->ears, s->features, s->steps,
                              pz_musetalk_window_first(s->times[i], s->fps), PZ_MUSETALK_STEPS, out);
}

/* Boxes of the span; those of kept frames are the ones their latents were made with. Sizes of patches: the
 * largest box. */
static enum pz_status settle_boxes(struct mt_session *s, const struct pz_speech_span *span)
{
    const struct mt_engine *e = s->engine;
    int most_w = 16, most_h = 16;
    pz_musetalk_boxes(span->faces, span->frame_times, s->n_frames, span->topology, &e->size, e->calm, s->box);
    for (int i = 0; i < s->n_frames; i++) {
        int w, h;
        s->kept[i] = s->own ? pz_latent_store_find(e->frames, span->faces[i]->frame) : -1;
        if (s->kept[i] >= 0) {
            struct pz_latent_item item = pz_latent_store_at(e->frames, s->kept[i]);
            memcpy(s->box[i], item.box, sizeof item.box);
            s->sitter[i] = (struct pz_musetalk_sitter){item.latent, item.latent + PZ_MUSETALK_FLOATS};
        }
        pz_musetalk_sides(s->box[i], &w, &h);
        most_w = w > most_w ? w : most_w;
        most_h = h > most_h ? h : most_h;
    }
    size_t most = (size_t)most_w * (size_t)most_h;
    s->weights = pz_calloc(most, 1);
    s->shares = pz_calloc(most, sizeof *s->shares);
    s->w = most_w < 1024 ? most_w : 1024;
    s->h = most_h < 1024 ? most_h : 1024;
    s->alpha = pz_calloc((size_t)s->w * (size_t)s->h, sizeof *s->alpha);
    if (!s->weights || !s->shares || !s->alpha)
        return PZ_ERR_NOMEM;
    return pz_rgb_alloc(&s->patch, s->w, s->h);
}

static enum pz_status furnish(struct mt_session *s, const struct pz_speech_span *span)
{
    struct mt_engine *e = s->engine;
    size_t n = (size_t)s->n_frames + 1;
    s->kept = pz_calloc(n, sizeof *s->kept);
    s->box = pz_calloc(n, sizeof *s->box);
    s->sitter = pz_calloc(n, sizeof *s->sitter);
    s->latent = pz_calloc(2 * PZ_MUSETALK_FLOATS, sizeof *s->latent);
    s->bits = pz_calloc(1, PZ_MUSETALK_MASK_BYTES);
    s->mask = pz_calloc(PZ_MUSETALK_PARSED, PZ_MUSETALK_PARSED);
    if (!s->kept || !s->box || !s->sitter || !s->latent || !s->bits || !s->mask)
        return PZ_ERR_NOMEM;
    enum pz_status st = settle_boxes(s, span);
    if (st < PZ_OK)
        return st;
    struct pz_musetalk_artist_params ap = {.unet = e->unet,
                                           .decoder = e->decoder,
                                           .networks = &e->lock,
                                           .calm = e->calm,
                                           .overlap = true,
                                           .n = s->n_frames,
                                           .sitter = s->sitter,
                                           .hear = hear,
                                           .user = s,
                                           .heard = (size_t)PZ_MUSETALK_STEPS *
                                                    (size_t)pz_speech_features_layers(e->ears) *
                                                    (size_t)pz_speech_features_width(e->ears)};
    return pz_musetalk_artist_create(&ap, &s->artist);
}

static enum pz_status begin(void *engine, const struct pz_speech_span *span, const struct pz_job *job,
                            void **session)
{
    enum pz_status st = PZ_OK;
    struct mt_engine *e = engine;
    *session = NULL;
    if (span->held)
        return PZ_ERR_UNSUPPORTED;
    bool own = span->blend_s > 0;
    if (!own && !pz_latent_store_count(e->moments))
        return pz_fail(job->log, PZ_ERR_UNUSABLE,
                       "musetalk was prepared for its slots, not for self-reenactment");
    struct mt_session *s = pz_calloc(1, sizeof *s);
    void *v = s;
    if (!s)
        return pz_fail(job->log, PZ_ERR_NOMEM, "no memory for %d mouths", span->n_frames);
    s->engine = e;
    s->job = job;
    s->faces = span->faces;
    s->times = span->frame_times;
    s->n_frames = span->n_frames;
    s->fps = pz_musetalk_fps(span->frame_times, span->n_frames);
    s->own = own;
    if (furnish(s, span) < PZ_OK) {
        st = pz_fail(job->log, PZ_ERR_NOMEM, "no memory for %d mouths", span->n_frames);
        goto fail;
    }
    pthread_mutex_lock(&e->lock);
    st = pz_speech_features_run(e->ears, span->speech, span->n_speech, job, &s->features, &s->steps);
    pthread_mutex_unlock(&e->lock);
    if (st < PZ_OK)
        goto fail;
    *session = s;
    return PZ_OK;
fail:
    end(&v);
    return st;
}

/* Latents and mask of a frame that prepare did not foresee, or must not show its mouth. */
static enum pz_status look(struct mt_session *s, int i, const struct pz_picture *src,
                           struct pz_musetalk_sitter *out)
{
    struct mt_engine *e = s->engine;
    enum pz_status st = PZ_OK;
    if (!e->eye)
        PZ_TRY(pz_musetalk_eye_open(&e->files, &e->plan.params, e->job, &e->eye));
    *out = (struct pz_musetalk_sitter){s->latent, s->latent + PZ_MUSETALK_FLOATS};
    PZ_TRY(pz_musetalk_eye_look(e->eye, src, s->box[i], s->latent,
                                s->own ? s->latent + PZ_MUSETALK_FLOATS : NULL, s->bits));
    if (!s->own) {
        const struct pz_face_pose *p = &s->faces[i]->pose;
        int k = pz_latent_store_nearest(e->moments, p->yaw, p->pitch);
        out->reference = pz_latent_store_at(e->moments, k).latent;
    }
fail:
    return st;
}

/* The frame's parsed mask; with smoothing a mean with those of its neighbours in the film. */
static void mask_of(struct mt_session *s, int i)
{
    static const float shares[3] = {0.5f, 0.25f, 0.25f};
    const struct mt_engine *e = s->engine;
    const uint8_t *bits[3] = {s->bits, NULL, NULL};
    float weight[3] = {1, 0, 0};
    int n = 1;
    if (s->kept[i] >= 0) {
        int64_t frame = s->faces[i]->frame;
        float all = shares[0];
        bits[0] = pz_latent_store_at(e->frames, s->kept[i]).mask;
        for (int64_t side = -1; side <= 1 && e->calm; side += 2) {
            int k = pz_latent_store_find(e->frames, frame + side);
            if (k < 0)
                continue;
            bits[n] = pz_latent_store_at(e->frames, k).mask;
            all += weight[n] = shares[n];
            n++;
        }
        weight[0] = shares[0];
        for (int k = 0; k < n; k++)
            weight[k] /= all;
    }
    pz_musetalk_unpack(bits, weight, n, s->mask);
}

static enum pz_status draw(void *session, int i, const struct pz_picture *src, struct pz_patch *out)
{
    struct mt_session *s = session;
    enum pz_status st = PZ_OK;
    struct pz_musetalk_sitter own;
    const float *picture;
    int w, h;
    *out = (struct pz_patch){0};
    if (i < 0 || i >= s->n_frames)
        return PZ_ERR_USAGE;
    const float *b = s->box[i];
    pz_musetalk_sides(b, &w, &h);
    if (w < 8 || h < 8)
        return pz_fail(s->job->log, PZ_ERR_UNUSABLE, "musetalk: a face outside the picture");
    if (s->kept[i] < 0) {
        pthread_mutex_lock(&s->engine->lock);
        st = look(s, i, src, &own);
        pthread_mutex_unlock(&s->engine->lock);
    }
    if (st >= PZ_OK)
        st = pz_musetalk_artist_draw(s->artist, i, s->kept[i] < 0 ? &own : NULL, s->job->pool, &picture);
    if (st < PZ_OK)
        return st;
    mask_of(s, i);
    if (pz_musetalk_weights(s->mask, b, s->weights) < PZ_OK)
        return pz_fail(s->job->log, PZ_ERR_NOMEM, "no memory for a mask");
    for (size_t k = 0; k < (size_t)w * (size_t)h; k++)
        s->shares[k] = (float)s->weights[k] / 255;
    pz_pixels_bilinear(s->shares, 1, w, h, s->alpha, s->w, s->h);
    pz_pixels_bilinear(picture, 3, PZ_MUSETALK_SIDE, PZ_MUSETALK_SIDE, s->patch.data, s->w, s->h);
    // How far the lips are open nobody asked the network: it was told a sound.
    *out = (struct pz_patch){
        .rgb = s->patch,
        .alpha = s->alpha,
        .to_frame = {(b[2] - b[0]) / (float)s->w, 0, b[0], 0, (b[3] - b[1]) / (float)s->h, b[1]},
        .lip_gap = NAN};
    return PZ_OK;
}

const struct pz_engine_vtable pz_engine_musetalk = {
    .name = NAME,
    .check = check,
    .prepare = prepare,
    .open = open_engine,
    .close = close_engine,
    .begin = begin,
    .draw = draw,
    .end = end,
    .runs_on = runs_on,
    .stamp = stamp,
};
