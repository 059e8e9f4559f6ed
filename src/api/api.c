/* Public face of the library: translates handles, parameters and statuses. Logic lives in the pipeline. */
#include "personalize.h"

#include <stdio.h>
#include <string.h>

#include "api/models.h"
#include "base/mem.h"
#include "base/pool.h"
#include "pipeline/evaluate.h"
#include "pipeline/pipeline.h"
#include "tensor/cuda/cuda.h"
#include "tensor/profile.h"

struct pz_context {
    struct pz_pipeline pipeline;
    struct pz_context_params params;
    char *models_dir, *cache_dir, *device, *precision, *quality, *face_detector;
    char error[1024];
};

struct pz_template {
    struct pz_prepared *prepared;
    const char **names; /* distinct variables, borrowed from the template */
    int n_names;
};

struct pz_lipsync {
    struct pz_context *ctx;
    char *engine;
};

const char *pz_version(void)
{
    return PZ_VERSION;
}

void pz_text_free(char *text)
{
    pz_free(text);
}

/* ---- context ---- */

static void on_log(void *user, enum pz_log_level level, const char *text)
{
    struct pz_context *ctx = user;
    if (ctx->params.message)
        ctx->params.message(ctx->params.user, (enum pz_message_level)level, text);
}

static void on_progress(void *user, const char *stage, int64_t done, int64_t total)
{
    struct pz_context *ctx = user;
    if (ctx->params.progress)
        ctx->params.progress(ctx->params.user, stage, done, total);
}

static bool on_cancelled(void *user)
{
    struct pz_context *ctx = user;
    return ctx->params.cancelled && ctx->params.cancelled(ctx->params.user);
}

/* "auto" is the processor; "cuda" where this build has it and a device answers. Engines say themselves when
 * they cannot. */
static enum pz_status check_device(struct pz_log *log, const char *device)
{
    if (!device || strcmp(device, "auto") == 0 || strcmp(device, "cpu") == 0)
        return PZ_OK;
    if (strcmp(device, "cuda") != 0 && strncmp(device, "cuda:", 5) != 0)
        return pz_fail(log, PZ_ERR_USAGE, "unknown device '%s'; there are: auto, cpu, cuda[:N]", device);
    if (!pz_cuda_present())
        return pz_fail(log, PZ_ERR_DEVICE,
                       "device '%s': this build or this machine has no CUDA; use --device cpu", device);
    return PZ_OK;
}

static enum pz_status check_precision(struct pz_log *log, const char *precision)
{
    if (!precision || strcmp(precision, "f32") == 0 || strcmp(precision, "f16") == 0 ||
        strcmp(precision, "bf16") == 0)
        return PZ_OK;
    return pz_fail(log, PZ_ERR_USAGE, "unknown precision '%s'; there are: f32, f16, bf16", precision);
}

static enum pz_result finish(struct pz_context *ctx, enum pz_status st)
{
    ctx->error[0] = '\0';
    if (st < PZ_OK) {
        pz_log_last_error(ctx->pipeline.job.log, ctx->error, sizeof ctx->error);
        if (st == PZ_ERR_CANCELLED || !ctx->error[0])
            snprintf(ctx->error, sizeof ctx->error, "%s", pz_status_text(st));
    }
    return (enum pz_result)pz_status_exit_code(st);
}

enum pz_result pz_context_create(const struct pz_context_params *params, struct pz_context **out)
{
    static const struct pz_context_params defaults = PZ_CONTEXT_PARAMS_DEFAULT;
    const struct pz_context_params *a = params ? params : &defaults;
    enum pz_status st = PZ_OK;
    *out = NULL;
    struct pz_context *ctx = pz_calloc(1, sizeof *ctx);
    if (!ctx)
        return PZ_RESULT_DEVICE;
    ctx->params = *a;
    struct pz_pipeline *p = &ctx->pipeline;
    p->job.log = pz_log_create(on_log, ctx, (enum pz_log_level)a->message_level);
    p->job.pool = a->threads >= 0 && a->threads <= 256 ? pz_pool_create(a->threads) : NULL;
    p->job.progress = on_progress;
    p->job.cancelled = on_cancelled;
    p->job.user = ctx;
    p->job.seed = a->seed;
    p->job.profile = a->profile ? pz_profile_create() : NULL;
    ctx->models_dir = pz_api_models_dir(a->models_dir);
    ctx->cache_dir = pz_strdup(a->cache_dir);
    ctx->device = pz_strdup(a->device ? a->device : "auto");
    ctx->precision = pz_strdup(a->precision);
    ctx->quality = pz_strdup(a->quality);
    ctx->face_detector = pz_strdup(a->face_detector);
    p->models_dir = ctx->models_dir;
    p->cache_dir = ctx->cache_dir;
    p->device = ctx->device && strcmp(ctx->device, "auto") == 0 ? "cpu" : ctx->device;
    p->precision = ctx->precision;
    p->no_smooth = a->no_smooth;
    p->quality = ctx->quality;
    p->face_detector = ctx->face_detector;
    p->steps = a->steps;
    p->guidance = a->guidance;
    p->size = a->size;
    p->memory = a->memory;
    if (a->threads < 0 || a->threads > 256)
        st = pz_fail(p->job.log, PZ_ERR_USAGE, "threads must be 0 to 256");
    else if (!p->job.log || !p->job.pool || !ctx->device || !ctx->models_dir ||
             (a->profile && !p->job.profile))
        st = PZ_ERR_NOMEM;
    if (st == PZ_OK)
        st = check_device(p->job.log, a->device);
    if (st == PZ_OK)
        st = check_precision(p->job.log, a->precision);
    enum pz_result res = finish(ctx, st);
    if (res != PZ_RESULT_DONE)
        pz_context_destroy(&ctx);
    *out = ctx;
    return res;
}

void pz_context_destroy(struct pz_context **ctx)
{
    if (!ctx || !*ctx)
        return;
    struct pz_context *c = *ctx;
    pz_pipeline_close(&c->pipeline);
    pz_profile_destroy(&c->pipeline.job.profile);
    pz_pool_destroy(&c->pipeline.job.pool);
    pz_log_destroy(&c->pipeline.job.log);
    pz_free(c->models_dir);
    pz_free(c->cache_dir);
    pz_free(c->device);
    pz_free(c->precision);
    pz_free(c->quality);
    pz_free(c->face_detector);
    pz_free(c);
    *ctx = NULL;
}

enum pz_result pz_context_write_profile(struct pz_context *ctx, const char *path)
{
    const struct pz_job *job = &ctx->pipeline.job;
    if (!job->profile)
        return finish(ctx, pz_fail(job->log, PZ_ERR_USAGE, "no profile was asked for when this began"));
    return finish(ctx, pz_profile_write(job->profile, job->log, path));
}

const char *pz_context_error(struct pz_context *ctx)
{
    return ctx ? ctx->error : "";
}

/* ---- templates ---- */

static enum pz_status wrap(struct pz_context *ctx, struct pz_prepared *prepared, struct pz_template **out)
{
    struct pz_template *t = pz_calloc(1, sizeof *t);
    const struct pz_template_data *d = &prepared->data;
    if (t)
        t->names = pz_calloc((size_t)d->n_slots + 1, sizeof *t->names);
    if (!t || !t->names) {
        pz_free(t);
        pz_prepared_close(&prepared);
        return pz_fail(ctx->pipeline.job.log, PZ_ERR_NOMEM, "no memory for the template");
    }
    for (int i = 0; i < d->n_slots; i++) {
        bool seen = false;
        for (int k = 0; k < t->n_names; k++)
            seen = seen || strcmp(t->names[k], d->slots[i].name) == 0;
        if (!seen)
            t->names[t->n_names++] = d->slots[i].name;
    }
    t->prepared = prepared;
    *out = t;
    return PZ_OK;
}

/* struct pz_pair and struct pz_name_value have the same members; copied so that neither floor needs the
 * other's header. */
static struct pz_name_value *pairs(const struct pz_pair *p, int n)
{
    struct pz_name_value *o = pz_calloc((size_t)(n > 0 ? n : 0) + 1, sizeof *o);
    for (int i = 0; o && i < n; i++)
        o[i] = (struct pz_name_value){p[i].name, p[i].value};
    return o;
}

static struct pz_prepare_request prepare_request(const struct pz_prepare_params *a,
                                                 struct pz_name_value *spoken)
{
    return (struct pz_prepare_request){.video = a->video,
                                       .transcript = a->transcript,
                                       .transcript_file = a->transcript_file,
                                       .spoken = spoken,
                                       .n_spoken = a->n_spoken,
                                       .engine = a->lip_sync_model,
                                       .recogniser = a->recogniser,
                                       .face = a->face,
                                       .consent_file = a->consent_file,
                                       .language = a->language,
                                       .slots_file = a->slots_file,
                                       .plot = a->plot};
}

static enum pz_status check_prepare(struct pz_context *ctx, const struct pz_prepare_params *a)
{
    struct pz_log *log = ctx->pipeline.job.log;
    if (!a->video || !*a->video)
        return pz_fail(log, PZ_ERR_USAGE, "no film was named");
    const char *who = a->recogniser;
    if (who && strcmp(who, "auto") != 0 && strcmp(who, "pocketsphinx") != 0 && strcmp(who, "whisper") != 0 &&
        strncmp(who, "whisper:", 8) != 0)
        return pz_fail(log, PZ_ERR_USAGE,
                       "unknown recogniser '%s'; there are: auto, pocketsphinx, whisper, whisper:SIZE", who);
    return PZ_OK;
}

enum pz_result pz_prepare(struct pz_context *ctx, const struct pz_prepare_params *a, const char *output,
                          struct pz_template **t)
{
    struct pz_prepared *prepared = NULL;
    *t = NULL;
    struct pz_name_value *spoken = pairs(a->spoken, a->n_spoken);
    enum pz_status st = spoken ? check_prepare(ctx, a) : PZ_ERR_NOMEM;
    if (st == PZ_OK) {
        struct pz_prepare_request r = prepare_request(a, spoken);
        r.slots_optional = output != NULL; /* slots may be written into template.json by hand */
        st = pz_pipeline_prepare(&ctx->pipeline, &r, output, &prepared);
    }
    if (st >= PZ_OK)
        st = wrap(ctx, prepared, t);
    pz_free(spoken);
    return finish(ctx, st);
}

enum pz_result pz_template_open(struct pz_context *ctx, const char *path, struct pz_template **t)
{
    struct pz_prepared *prepared = NULL;
    *t = NULL;
    enum pz_status st = pz_prepared_open(&ctx->pipeline, path, &prepared);
    if (st >= PZ_OK)
        st = wrap(ctx, prepared, t);
    return finish(ctx, st);
}

void pz_template_close(struct pz_template **t)
{
    if (!t || !*t)
        return;
    pz_prepared_close(&(*t)->prepared);
    pz_free(*(void **)&(*t)->names);
    pz_free(*t);
    *t = NULL;
}

const char *pz_template_path(const struct pz_template *t)
{
    return t->prepared->dir;
}

int pz_template_n_variables(const struct pz_template *t)
{
    return t->n_names;
}

const char *pz_template_variable(const struct pz_template *t, int i)
{
    return i >= 0 && i < t->n_names ? t->names[i] : NULL;
}

enum pz_result pz_template_describe(struct pz_context *ctx, const struct pz_template *t, char **json)
{
    return finish(ctx, pz_pipeline_describe(&ctx->pipeline, t->prepared, json));
}

/* ---- rendering ---- */

enum pz_result pz_render(struct pz_context *ctx, const struct pz_template *t,
                         const struct pz_render_params *a, char **report)
{
    struct pz_name_value *values = pairs(a->values, a->n_values), *say = pairs(a->say, a->n_say),
                         *audio = pairs(a->audio, a->n_audio);
    if (report)
        *report = NULL;
    enum pz_status st = PZ_ERR_NOMEM;
    if (values && say && audio) {
        struct pz_render_request r = {.values = values,
                                      .n_values = a->n_values,
                                      .say = say,
                                      .n_say = a->n_say,
                                      .audio = audio,
                                      .n_audio = a->n_audio,
                                      .voice = a->voice,
                                      .fit = a->fit,
                                      .engine = a->lip_sync_model,
                                      .output = a->output,
                                      .crf = a->crf,
                                      .preset = a->preset,
                                      .keep_names_out = a->keep_names_out,
                                      .command = "render"};
        st = pz_pipeline_render(&ctx->pipeline, t->prepared, &r, report);
    }
    pz_free(values);
    pz_free(say);
    pz_free(audio);
    return finish(ctx, st);
}

/* ---- looking ---- */

static enum pz_result look(struct pz_context *ctx, const struct pz_prepare_params *a, char **json,
                           enum pz_status (*fn)(struct pz_pipeline *, const struct pz_prepare_request *,
                                                char **))
{
    *json = NULL;
    struct pz_name_value *spoken = pairs(a->spoken, a->n_spoken);
    enum pz_status st = spoken ? check_prepare(ctx, a) : PZ_ERR_NOMEM;
    if (st == PZ_OK) {
        struct pz_prepare_request r = prepare_request(a, spoken);
        st = fn(&ctx->pipeline, &r, json);
    }
    pz_free(spoken);
    return finish(ctx, st);
}

enum pz_result pz_detect(struct pz_context *ctx, const struct pz_prepare_params *a, char **json)
{
    return look(ctx, a, json, pz_pipeline_detect);
}

enum pz_result pz_check(struct pz_context *ctx, const struct pz_prepare_params *a, char **json)
{
    return look(ctx, a, json, pz_pipeline_check);
}

enum pz_result pz_evaluate(struct pz_context *ctx, const struct pz_evaluate_params *a, char **json)
{
    struct pz_evaluate_request r = {.video = a->video,
                                    .made = a->made,
                                    .engine = a->lip_sync_model,
                                    .face = a->face,
                                    .judge = a->judge,
                                    .strip = a->strip};
    *json = NULL;
    if (!a->video || !*a->video)
        return finish(ctx, pz_fail(ctx->pipeline.job.log, PZ_ERR_USAGE, "no film was named"));
    return finish(ctx, pz_pipeline_evaluate(&ctx->pipeline, &r, json));
}

/* ---- lip-sync alone ---- */

enum pz_result pz_lipsync_create(struct pz_context *ctx, const char *engine, struct pz_lipsync **out)
{
    const struct pz_engine_vtable *vt;
    *out = NULL;
    enum pz_status st = pz_pipeline_engine(&ctx->pipeline, engine, &vt);
    if (st < PZ_OK)
        return finish(ctx, st);
    struct pz_lipsync *p = pz_calloc(1, sizeof *p);
    char *name = pz_strdup(vt ? vt->name : "none");
    if (!p || !name) {
        pz_free(p);
        pz_free(name);
        return finish(ctx, pz_fail(ctx->pipeline.job.log, PZ_ERR_NOMEM, "no memory for the processor"));
    }
    p->ctx = ctx;
    p->engine = name;
    *out = p;
    return finish(ctx, PZ_OK);
}

void pz_lipsync_destroy(struct pz_lipsync **p)
{
    if (!p || !*p)
        return;
    pz_free((*p)->engine);
    pz_free(*p);
    *p = NULL;
}

enum pz_result pz_lipsync_apply(struct pz_lipsync *p, const char *video,
                                const struct pz_lipsync_segment *segments, int n, const char *output,
                                char **report)
{
    struct pz_pipeline *pl = &p->ctx->pipeline;
    struct pz_prepared *prepared = NULL;
    struct pz_given_sound *given = NULL;
    enum pz_status st = PZ_OK;
    if (report)
        *report = NULL;
    struct pz_prepare_request pr = {.video = video, .engine = p->engine, .slots_optional = true};
    if (n < 1 || n > PZ_TEMPLATE_MAX_SLOTS) {
        st =
            pz_fail(pl->job.log, PZ_ERR_USAGE, "%d segments; 1 to %d are possible", n, PZ_TEMPLATE_MAX_SLOTS);
        goto fail;
    }
    PZ_TRY(pz_pipeline_prepare(pl, &pr, NULL, &prepared));
    given = pz_calloc((size_t)n, sizeof *given);
    if (!given) {
        st = pz_fail(pl->job.log, PZ_ERR_NOMEM, "no memory for the segments");
        goto fail;
    }
    struct pz_rational us = {1, 1000000},
                       rate = {1, prepared->info->sound_rate ? prepared->info->sound_rate : 1};
    for (int i = 0; i < n; i++)
        given[i] = (struct pz_given_sound){.start = pz_rescale(segments[i].start_us, us, rate),
                                           .end = pz_rescale(segments[i].end_us, us, rate),
                                           .samples = segments[i].samples,
                                           .n = segments[i].n_samples,
                                           .rate = segments[i].rate};
    struct pz_render_request r = {.given = given, .n_given = n, .output = output, .command = "lipsync"};
    PZ_TRY(pz_pipeline_render(pl, prepared, &r, report));
fail:
    pz_free(given);
    pz_prepared_close(&prepared);
    return finish(p->ctx, st);
}

/* ---- models ---- */

enum pz_result pz_models_describe(struct pz_context *ctx, char **json)
{
    return finish(ctx, pz_api_models_describe(&ctx->pipeline, json));
}

enum pz_result pz_models_verify(struct pz_context *ctx, const char *name, char **json)
{
    return finish(ctx, pz_api_models_verify(&ctx->pipeline, name, json));
}

enum pz_result pz_models_licence(struct pz_context *ctx, const char *name, char **licence, bool *accepted)
{
    return finish(ctx, pz_api_models_licence(&ctx->pipeline, name, licence, accepted));
}

enum pz_result pz_models_download(struct pz_context *ctx, const char *name, bool accept_licence, char **json)
{
    return finish(ctx, pz_api_models_download(&ctx->pipeline, name, accept_licence, json));
}

enum pz_result pz_models_add(struct pz_context *ctx, const char *name, const char *file, char **json)
{
    return finish(ctx, pz_api_models_add(&ctx->pipeline, name, file, json));
}

const char *pz_models_dir(struct pz_context *ctx)
{
    return ctx->models_dir;
}
