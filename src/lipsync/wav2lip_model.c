// Wav2Lip's weights and plans. Knows nothing of films: boxes, masks and textures are wav2lip_face.c and
// wav2lip_texture.c.
#include "lipsync/wav2lip_model.h"

#include <math.h>
#include <string.h>

#include "audio/features.h"
#include "base/file.h"
#include "base/mem.h"
#include "lipsync/engine_plan.h"
#include "lipsync/wav2lip_ear.h"
#include "tensor/plan.h"
#include "tensor/profile.h"

struct pz_wav2lip_model {
    struct pz_wav2lip_config config;
    struct pz_plan *hear, *draw;
    int width, batch;
    bool cuda;
    enum pz_dtype dtype;
};

struct pz_wav2lip_run {
    const struct pz_wav2lip_model *m;
    struct pz_pool *pool;
    struct pz_session *session;
};

enum pz_status pz_wav2lip_find(const char *models_dir, struct pz_log *log, char **path)
{
    static const char *const names[] = {"wav2lip/wav2lip_gan.pth", "wav2lip/wav2lip.pth", "wav2lip_gan.pth",
                                        "wav2lip.pth"};
    *path = NULL;
    for (size_t i = 0; models_dir && i < sizeof names / sizeof names[0]; i++) {
        char *p = pz_path_join(models_dir, names[i]);
        if (!p)
            return pz_fail(log, PZ_ERR_NOMEM, "no memory for a path");
        if (pz_file_exists(p)) {
            *path = p;
            return PZ_OK;
        }
        pz_free(p);
    }
    return pz_fail(log, PZ_ERR_WEIGHTS,
                   "wav2lip has no weights in '%s'; get them with `personalize models download wav2lip`, or "
                   "`personalize models add wav2lip FILE`",
                   models_dir ? models_dir : "");
}

static enum pz_status open_file(const char *path, const struct pz_job *job, struct pz_checkpoint **c,
                                struct pz_wav2lip_config *config)
{
    struct pz_log *log = job ? job->log : NULL;
    // As the published loader does: every "module." goes.
    enum pz_status st =
        pz_checkpoint_open_with(path, &(struct pz_checkpoint_options){.remove = "module."}, job, c);
    return st < PZ_OK ? st : pz_wav2lip_detect(*c, path, log, config);
}

static struct pz_shape shape4(int b, int h, int w, int c)
{
    return (struct pz_shape){.rank = 4, .dim = {b, h, w, c}};
}

enum pz_status pz_wav2lip_verify(const char *path, const struct pz_job *job, struct pz_wav2lip_config *config)
{
    enum pz_status st = PZ_OK;
    struct pz_log *log = job ? job->log : NULL;
    struct pz_checkpoint *c = NULL;
    struct pz_params *p = NULL;
    struct pz_graph *g = NULL;
    struct pz_wav2lip_config found;
    PZ_TRY(open_file(path, job, &c, &found));
    g = pz_graph_create(log);
    p = g ? pz_params_create(g, &(struct pz_params_options){.checkpoint = c, .file = path}, log) : NULL;
    if (!p) {
        st = pz_fail(log, PZ_ERR_NOMEM, "no memory for a network");
        goto fail;
    }
    int mel = pz_graph_input(g, "mel", shape4(1, PZ_WAV2LIP_BANDS, PZ_WAV2LIP_WINDOW, 1));
    int face = pz_graph_input(g, "face", shape4(1, found.size, found.size, 6));
    pz_graph_output(g, "out", pz_wav2lip_face(p, &found, pz_wav2lip_audio(p, &found, mel), face, NULL));
    PZ_TRY(pz_params_finish(p));
    if (config)
        *config = found;
fail:
    pz_params_destroy(&p);
    pz_graph_destroy(&g);
    pz_checkpoint_close(&c);
    return st;
}

/* One half of the generator as a plan. */
static enum pz_status make_plan(struct pz_wav2lip_model *m, const struct pz_checkpoint *c, const char *path,
                                bool hear, const struct pz_plan_params *pp, struct pz_log *log,
                                struct pz_plan **plan)
{
    enum pz_status st = PZ_OK;
    const struct pz_wav2lip_config *k = &m->config;
    struct pz_params_options o = {
        .checkpoint = c, .file = path, .ignore = hear ? pz_wav2lip_face_names : pz_wav2lip_audio_names};
    struct pz_graph *g = pz_graph_create(log);
    struct pz_params *p = g ? pz_params_create(g, &o, log) : NULL;
    if (!p) {
        st = pz_fail(log, PZ_ERR_NOMEM, "no memory for a network");
        goto fail;
    }
    if (hear) {
        int mel =
            pz_graph_input(g, "mel", shape4(PZ_WAV2LIP_EAR_BATCH, PZ_WAV2LIP_BANDS, PZ_WAV2LIP_WINDOW, 1));
        int out = pz_wav2lip_audio(p, k, mel);
        struct pz_view v = pz_graph_view(g, out);
        m->width = v.shape.rank == 4 ? v.shape.dim[3] : 0;
        pz_graph_output(g, "embedding", out);
    } else {
        int embedding = pz_graph_input(g, "embedding", shape4(m->batch, 1, 1, m->width));
        int face = pz_graph_input(g, "face", shape4(m->batch, k->size, k->size, 6));
        pz_graph_output(g, "out", pz_wav2lip_face(p, k, embedding, face, NULL));
    }
    PZ_TRY(pz_params_finish(p));
    PZ_TRY(pz_plan_create(&g, pp, log, plan));
fail:
    pz_params_destroy(&p);
    pz_graph_destroy(&g);
    return st;
}

static int batch_of(const struct pz_wav2lip_config *c, const struct pz_plan_params *pp)
{
    bool device = pp->backend == PZ_BACKEND_CUDA;
    if (c->size > 96)
        return device ? 16 : 1;
    return device ? 64 : pp->dtype == PZ_DTYPE_BF16 ? 8 : 4;
}

enum pz_status pz_wav2lip_model_open(const char *path, const struct pz_engine_open_params *p,
                                     const struct pz_job *job, struct pz_wav2lip_model **out)
{
    enum pz_status st = PZ_OK;
    struct pz_engine_plan where = {0};
    struct pz_checkpoint *c = NULL;
    struct pz_wav2lip_model *m = pz_calloc(1, sizeof *m);
    *out = NULL;
    if (!m)
        return pz_fail(job->log, PZ_ERR_NOMEM, "no memory for a network");
    PZ_TRY(pz_engine_plan(p, "wav2lip", job, &where));
    if (!where.cuda && !p->precision)
        where.params.dtype = PZ_DTYPE_F32;
    m->cuda = where.cuda;
    m->dtype = where.params.dtype;
    PZ_TRY(open_file(path, job, &c, &m->config));
    m->batch = batch_of(&m->config, &where.params);
    PZ_TRY(make_plan(m, c, path, true, &where.params, job->log, &m->hear));
    PZ_TRY(make_plan(m, c, path, false, &where.params, job->log, &m->draw));
    *out = m;
    m = NULL;
fail:
    pz_engine_plan_free(&where);
    pz_checkpoint_close(&c);
    pz_wav2lip_model_close(&m);
    return st;
}

void pz_wav2lip_model_close(struct pz_wav2lip_model **m)
{
    if (!*m)
        return;
    pz_plan_destroy(&(*m)->hear);
    pz_plan_destroy(&(*m)->draw);
    pz_free(*m);
    *m = NULL;
}

void pz_wav2lip_model_runs_on(const struct pz_wav2lip_model *m, const char **device, const char **precision)
{
    pz_engine_runs_on(m->cuda, m->dtype, device, precision);
}

int pz_wav2lip_model_size(const struct pz_wav2lip_model *m)
{
    return m->config.size;
}

int pz_wav2lip_model_width(const struct pz_wav2lip_model *m)
{
    return m->width;
}

int pz_wav2lip_model_batch(const struct pz_wav2lip_model *m)
{
    return m->batch;
}

enum pz_status pz_wav2lip_hear(const struct pz_wav2lip_model *m, const float *speech, int64_t n_speech,
                               const double *times, int n, const struct pz_job *job, float *out)
{
    const struct pz_wav2lip_ear ear = {m->hear, "wav2lip hear", PZ_WAV2LIP_WINDOW, 0, m->width};
    return pz_wav2lip_ear_hear(&ear, speech, n_speech, times, n, job, out);
}

enum pz_status pz_wav2lip_run_create(const struct pz_wav2lip_model *m, const struct pz_job *job,
                                     struct pz_wav2lip_run **out)
{
    struct pz_wav2lip_run *r = pz_calloc(1, sizeof *r);
    enum pz_status st = r ? pz_session_create(m->draw, job->log, &r->session) : PZ_ERR_NOMEM;
    *out = NULL;
    if (st >= PZ_OK)
        st = pz_session_profile(r->session, job->profile, "wav2lip draw");
    if (st < PZ_OK) {
        pz_wav2lip_run_destroy(&r);
        return pz_fail(job->log, st, "no memory to run wav2lip");
    }
    r->m = m;
    r->pool = job->pool;
    *out = r;
    return PZ_OK;
}

void pz_wav2lip_run_destroy(struct pz_wav2lip_run **r)
{
    if (!*r)
        return;
    pz_session_destroy(&(*r)->session);
    pz_free(*r);
    *r = NULL;
}

void pz_wav2lip_put(struct pz_wav2lip_run *r, int place, const float *embedding, const float *pose,
                    const float *reference)
{
    size_t s = (size_t)r->m->config.size, n = s * s, b = (size_t)place, width = (size_t)r->m->width;
    float *x = (float *)pz_session_input(r->session, "face", 0).data + b * n * 6,
          *e = (float *)pz_session_input(r->session, "embedding", 0).data + b * width;
    memcpy(e, embedding, width * sizeof *e);
    // Planes are red, green, blue; the network's channels blue, green, red.
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < 3; k++) {
            x[i * 6 + k] = i / s >= s / 2 ? 0 : pose[(2 - k) * n + i];
            x[i * 6 + 3 + k] = reference[(2 - k) * n + i];
        }
}

enum pz_status pz_wav2lip_make(struct pz_wav2lip_run *r)
{
    return pz_session_run(r->session, r->pool);
}

void pz_wav2lip_take(const struct pz_wav2lip_run *r, int place, float *out)
{
    size_t s = (size_t)r->m->config.size, n = s * s;
    const float *y = (const float *)pz_session_output(r->session, "out", 0).data + (size_t)place * n * 3;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < 3; k++)
            out[(2 - k) * n + i] = fminf(fmaxf(y[i * 3 + k], 0), 1);
}
