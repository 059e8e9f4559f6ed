// Whisper's encoder, all layers. Windows are cut here; positions are the networks' own affair.
#include "lipsync/speech_features.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audio/features.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/order.h"
#include "tensor/profile.h"

#define SAMPLES_PER_STEP 320

struct pz_speech_features {
    struct pz_whisper_dims d;
    struct pz_plan *plan;
    struct pz_session *session;
    struct pz_whisper_mel *front;
};

enum pz_status pz_speech_features_find(const char *models_dir, struct pz_log *log, char **path)
{
    static const char *const names[] = {"whisper/pytorch_model.bin", "whisper/model.safetensors",
                                        "whisper/tiny.pt"};
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
    return PZ_OK;
}

/* The encoder with all its layers as outputs "0", "1", …; the decoder's parameters are asked for as well, so
 * that the whole file is checked. */
static enum pz_status build(const struct pz_whisper_dims *d, const struct pz_checkpoint *c, const char *path,
                            bool last_norm, struct pz_log *log, struct pz_graph **graph)
{
    enum pz_status st = PZ_OK;
    struct pz_params_options o = pz_whisper_params(d, c, path);
    struct pz_graph *g = *graph = pz_graph_create(log);
    struct pz_params *p = g ? pz_params_create(g, &o, log) : NULL;
    struct pz_whisper_layer decoder[PZ_WHISPER_MAX_LAYERS];
    int hidden[PZ_WHISPER_MAX_LAYERS + 1];
    char name[16];
    if (!p) {
        st = pz_fail(log, PZ_ERR_NOMEM, "no memory for Whisper");
        goto fail;
    }
    for (int i = 0; i < d->text_layers; i++)
        decoder[i] = (struct pz_whisper_layer){PZ_NONE, PZ_NONE, PZ_NONE, PZ_NONE, PZ_NONE, PZ_NONE, PZ_NONE};
    int mel = pz_graph_input(g, "mel", (struct pz_shape){4, {1, 1, 2 * d->audio_ctx, d->bands}});
    int normed = pz_nn_whisper_encoder(p, d, mel, hidden);
    pz_nn_whisper_decoder(p, d, PZ_NONE, PZ_NONE, PZ_NONE, PZ_NONE, decoder);
    for (int i = 0; i <= d->audio_layers; i++) {
        snprintf(name, sizeof name, "%d", i);
        pz_graph_output(g, name, i == d->audio_layers && last_norm ? normed : hidden[i]);
    }
    st = pz_params_finish(p);
fail:
    pz_params_destroy(&p);
    if (st < PZ_OK)
        pz_graph_destroy(graph);
    return st;
}

enum pz_status pz_speech_features_verify(const char *path, const struct pz_job *job,
                                         struct pz_whisper_dims *d)
{
    struct pz_log *log = job ? job->log : NULL;
    struct pz_checkpoint *c = NULL;
    struct pz_graph *g = NULL;
    struct pz_whisper_dims found;
    enum pz_status st = pz_checkpoint_open(path, job, &c);
    if (st >= PZ_OK)
        st = pz_whisper_dims_read(c, path, log, &found);
    if (st >= PZ_OK)
        st = build(&found, c, path, true, log, &g);
    if (st >= PZ_OK && d)
        *d = found;
    pz_graph_destroy(&g);
    pz_checkpoint_close(&c);
    return st;
}

enum pz_status pz_speech_features_open(const char *path, const struct pz_plan_params *pp, bool last_norm,
                                       const struct pz_job *job, struct pz_speech_features **out)
{
    enum pz_status st = PZ_OK;
    struct pz_checkpoint *c = NULL;
    struct pz_graph *g = NULL;
    struct pz_speech_features *f = pz_calloc(1, sizeof *f);
    *out = NULL;
    if (!f)
        return pz_fail(job->log, PZ_ERR_NOMEM, "no memory for Whisper");
    PZ_TRY(pz_checkpoint_open(path, job, &c));
    PZ_TRY(pz_whisper_dims_read(c, path, job->log, &f->d));
    PZ_TRY(build(&f->d, c, path, last_norm, job->log, &g));
    PZ_TRY(pz_plan_create(&g, pp, job->log, &f->plan));
    PZ_TRY(pz_session_create(f->plan, job->log, &f->session));
    PZ_TRY(pz_session_profile(f->session, job->profile, "speech features"));
    PZ_TRY(pz_whisper_mel_create(job->log, f->d.bands, &f->front));
    pz_checkpoint_close(&c);
    *out = f;
    return PZ_OK;
fail:
    pz_graph_destroy(&g);
    pz_checkpoint_close(&c);
    pz_speech_features_close(&f);
    return st;
}

void pz_speech_features_close(struct pz_speech_features **f)
{
    if (!*f)
        return;
    pz_session_destroy(&(*f)->session);
    pz_plan_destroy(&(*f)->plan);
    if ((*f)->front)
        pz_whisper_mel_destroy(&(*f)->front);
    pz_free(*f);
    *f = NULL;
}

int pz_speech_features_layers(const struct pz_speech_features *f)
{
    return f->d.audio_layers + 1;
}

int pz_speech_features_width(const struct pz_speech_features *f)
{
    return f->d.audio_state;
}

/* One piece of at most audio_ctx steps: out [n / 320][layers][width]. */
static enum pz_status hear_piece(struct pz_speech_features *f, const float *speech, int64_t n,
                                 const struct pz_job *job, float *out)
{
    struct pz_view mel = pz_session_input(f->session, "mel", 0);
    size_t width = (size_t)f->d.audio_state, layers = (size_t)f->d.audio_layers + 1;
    char name[16];
    pz_whisper_mel_run(f->front, speech, n, (int64_t)f->d.audio_ctx * SAMPLES_PER_STEP - n, mel.data);
    enum pz_status st = pz_session_run(f->session, job->pool);
    for (size_t l = 0; l < layers && st >= PZ_OK; l++) {
        snprintf(name, sizeof name, "%d", (int)l);
        const float *x = pz_session_output(f->session, name, 0).data;
        for (size_t s = 0; s < (size_t)(n / SAMPLES_PER_STEP); s++)
            memcpy(out + (s * layers + l) * width, x + s * width, width * sizeof *out);
    }
    return st;
}

enum pz_status pz_speech_features_run(struct pz_speech_features *f, const float *speech, int64_t n,
                                      const struct pz_job *job, float **out, int64_t *steps)
{
    size_t row = (size_t)f->d.audio_state * ((size_t)f->d.audio_layers + 1);
    int64_t piece = (int64_t)f->d.audio_ctx * SAMPLES_PER_STEP;
    enum pz_status st = PZ_OK;
    *steps = n / SAMPLES_PER_STEP;
    *out = pz_calloc((size_t)*steps + 1, row * sizeof **out);
    if (!*out)
        return pz_fail(job->log, PZ_ERR_NOMEM, "no memory for the features of a sound");
    for (int64_t at = 0; at < n && st >= PZ_OK; at += piece)
        st = pz_job_cancelled(job) ? PZ_ERR_CANCELLED
                                   : hear_piece(f, speech + at, n - at < piece ? n - at : piece, job,
                                                *out + (size_t)(at / SAMPLES_PER_STEP) * row);
    if (st < PZ_OK) {
        pz_free(*out);
        *out = NULL;
    }
    return st;
}

void pz_speech_features_window(const struct pz_speech_features *f, const float *features, int64_t steps,
                               int64_t first, int count, float *out)
{
    size_t row = (size_t)f->d.audio_state * ((size_t)f->d.audio_layers + 1);
    for (int i = 0; i < count; i++) {
        int64_t s = first + i;
        if (s >= 0 && s < steps)
            memcpy(out + (size_t)i * row, features + (size_t)s * row, row * sizeof *out);
        else
            memset(out + (size_t)i * row, 0, row * sizeof *out);
    }
}

int64_t pz_musetalk_window_first(double seconds, int fps)
{
    // Times are counts of a film's time base as doubles: a hair below a whole step is that step.
    return (int64_t)floor(PZ_SPEECH_STEPS * seconds + 1e-6) - 2 * ((PZ_SPEECH_STEPS + fps - 1) / fps);
}

int pz_musetalk_fps(const double *times, int n)
{
    double *d = n > 1 ? pz_calloc((size_t)n, sizeof *d) : NULL;
    int fps = 25;
    if (!d)
        return fps;
    for (int i = 1; i < n; i++)
        d[i - 1] = times[i] - times[i - 1];
    qsort(d, (size_t)n - 1, sizeof *d, pz_by_double);
    double median = d[(n - 1) / 2];
    if (median > 1e-3 && median < 10)
        fps = (int)(1 / median + 1e-3);
    pz_free(d);
    return fps < 1 ? 1 : fps;
}
