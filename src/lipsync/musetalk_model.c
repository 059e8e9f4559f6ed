// Weights and UNet of MuseTalk. Knows nothing of films.
#include "lipsync/musetalk_model.h"

#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "lipsync/diffusers_config.h"
#include "lipsync/face_parser.h"
#include "lipsync/latents.h"
#include "lipsync/speech_features.h"
#include "nn/sd_block.h"
#include "tensor/cuda/cuda.h"
#include "tensor/profile.h"

struct pz_musetalk_unet_run {
    struct pz_sd_unet_config config;
    int batch;
    size_t heard; /* floats of a window */
    float *positions;
    struct pz_plan *plan;
    struct pz_session *session;
};

/* ---- files ---- */

void pz_musetalk_files_free(struct pz_musetalk_files *f)
{
    pz_free(f->unet);
    pz_free(f->unet_config);
    pz_free(f->vae);
    pz_free(f->vae_config);
    pz_free(f->whisper);
    pz_free(f->parser);
    *f = (struct pz_musetalk_files){0};
}

/* The UNet of one version, if it is there. */
static enum pz_status find_unet(const char *dir, bool v15, struct pz_log *log, struct pz_musetalk_files *f)
{
    const char *folder = v15 ? "musetalkV15" : "musetalk";
    char *p = pz_asprintf("%s/%s/%s", dir, folder, v15 ? "unet.pth" : "pytorch_model.bin");
    char *c = pz_asprintf("%s/%s/musetalk.json", dir, folder);
    if (!p || !c) {
        pz_free(p);
        pz_free(c);
        return pz_fail(log, PZ_ERR_NOMEM, "no memory for a path");
    }
    if (!pz_file_exists(p)) {
        pz_free(p);
        pz_free(c);
        return PZ_OK;
    }
    f->unet = p;
    f->unet_config = c;
    f->v15 = v15;
    return PZ_OK;
}

enum pz_status pz_musetalk_find(const char *models_dir, const char *version, struct pz_log *log,
                                struct pz_musetalk_files *f)
{
    enum pz_status st = PZ_OK;
    const char *dir = models_dir ? models_dir : "";
    *f = (struct pz_musetalk_files){0};
    if (!version || strcmp(version, "1.5") == 0)
        PZ_TRY(find_unet(dir, true, log, f));
    if (!f->unet && (!version || strcmp(version, "1.0") == 0))
        PZ_TRY(find_unet(dir, false, log, f));
    PZ_TRY(pz_latents_find(models_dir, log, &f->vae, &f->vae_config));
    PZ_TRY(pz_speech_features_find(models_dir, log, &f->whisper));
    PZ_TRY(pz_face_parser_find(models_dir, log, &f->parser));
    const char *missing = !f->unet  ? version && strcmp(version, "1.0") == 0 ? "musetalk/pytorch_model.bin"
                                                                             : "musetalkV15/unet.pth"
                          : !f->vae ? "sd-vae/diffusion_pytorch_model.bin"
                          : !f->whisper ? "whisper/pytorch_model.bin"
                          : !f->parser  ? "face-parse-bisent/79999_iter.pth"
                                        : NULL;
    if (missing)
        st = pz_fail(log, PZ_ERR_WEIGHTS,
                     "musetalk lacks weights: there is no '%s' in '%s'; get them with `personalize models "
                     "download musetalk`, or `personalize models add musetalk FILE`",
                     missing, dir);
fail:
    if (st < PZ_OK)
        pz_musetalk_files_free(f);
    return st;
}

/* ---- UNet ---- */

static enum pz_status build(const struct pz_sd_unet_config *k, const struct pz_checkpoint *c,
                            const char *path, int batch, int tokens, struct pz_log *log,
                            struct pz_graph **graph)
{
    enum pz_status st = PZ_OK;
    const int side = PZ_MUSETALK_LATENT;
    float *embedding = pz_calloc((size_t)k->channels[0], sizeof *embedding);
    struct pz_graph *g = *graph = pz_graph_create(log);
    struct pz_params *p =
        g ? pz_params_create(g, &(struct pz_params_options){.checkpoint = c, .file = path}, log) : NULL;
    if (!p || !embedding) {
        st = pz_fail(log, PZ_ERR_NOMEM, "no memory for MuseTalk's network");
        goto fail;
    }
    pz_sd_time_embedding(0, k->channels[0], embedding);
    int x = pz_graph_input(g, "latent", (struct pz_shape){4, {batch, side, side, k->in}});
    int heard = pz_graph_input(g, "heard", (struct pz_shape){3, {batch, tokens, k->cross}});
    int time = pz_nn_const(p, (struct pz_shape){2, {1, k->channels[0]}}, embedding);
    pz_graph_output(g, "out", pz_sd_unet(p, k, x, time, heard, 1));
    st = pz_params_finish(p);
fail:
    pz_free(embedding);
    pz_params_destroy(&p);
    if (st < PZ_OK)
        pz_graph_destroy(graph);
    return st;
}

static enum pz_status read_config(const char *config, struct pz_log *log, struct pz_sd_unet_config *k)
{
    enum pz_status st = pz_diffusers_unet(config, &pz_musetalk_unet, log, k);
    if (st >= PZ_OK && (k->in != 8 || k->out != 4))
        st = pz_fail(log, PZ_ERR_WEIGHTS, "'%s' is not MuseTalk's: %d channels in and %d out, it has 8 and 4",
                     config, k->in, k->out);
    return st;
}

enum pz_status pz_musetalk_verify(const char *unet, const char *config, const struct pz_job *job)
{
    struct pz_log *log = job ? job->log : NULL;
    struct pz_checkpoint *c = NULL;
    struct pz_graph *g = NULL;
    struct pz_sd_unet_config k;
    enum pz_status st = read_config(config, log, &k);
    if (st >= PZ_OK)
        st = pz_checkpoint_open(unet, job, &c);
    if (st >= PZ_OK)
        st = build(&k, c, unet, 1, 1, log, &g);
    pz_graph_destroy(&g);
    pz_checkpoint_close(&c);
    return st;
}

static enum pz_status same_width(const char *unet, int cross, int width, struct pz_log *log)
{
    return cross == width
               ? PZ_OK
               : pz_fail(log, PZ_ERR_WEIGHTS,
                         "'%s' hears %d values a token, but the Whisper beside it gives %d: it wants "
                         "whisper-tiny",
                         unet, cross, width);
}

enum pz_status pz_musetalk_verify_all(const struct pz_musetalk_files *f, const struct pz_job *job)
{
    struct pz_log *log = job ? job->log : NULL;
    struct pz_whisper_dims d = {0};
    struct pz_sd_unet_config k;
    enum pz_status st = PZ_OK;
    PZ_TRY(pz_musetalk_verify(f->unet, f->unet_config, job));
    PZ_TRY(pz_latents_verify(f->vae, f->vae_config, job));
    PZ_TRY(pz_speech_features_verify(f->whisper, job, &d));
    PZ_TRY(pz_face_parser_verify(f->parser, job));
    PZ_TRY(read_config(f->unet_config, log, &k));
    PZ_TRY(same_width(f->unet, k.cross, d.audio_state, log));
fail:
    return st;
}

enum pz_status pz_musetalk_unet_open(const char *unet, const char *config, int batch, int tokens, int width,
                                     const struct pz_plan_params *pp, const struct pz_job *job,
                                     struct pz_musetalk_unet_run **out)
{
    enum pz_status st = PZ_OK;
    struct pz_checkpoint *c = NULL;
    struct pz_graph *g = NULL;
    struct pz_musetalk_unet_run *u = pz_calloc(1, sizeof *u);
    *out = NULL;
    if (!u)
        return pz_fail(job->log, PZ_ERR_NOMEM, "no memory for MuseTalk's network");
    u->batch = batch;
    u->heard = (size_t)tokens * (size_t)width;
    u->positions = pz_calloc(u->heard, sizeof *u->positions);
    if (!u->positions) {
        st = pz_fail(job->log, PZ_ERR_NOMEM, "no memory for MuseTalk's network");
        goto fail;
    }
    pz_sd_positions(tokens, width, u->positions);
    PZ_TRY(read_config(config, job->log, &u->config));
    PZ_TRY(same_width(unet, u->config.cross, width, job->log));
    PZ_TRY(pz_checkpoint_open(unet, job, &c));
    PZ_TRY(build(&u->config, c, unet, batch, tokens, job->log, &g));
    PZ_TRY(pz_plan_create(&g, pp, job->log, &u->plan));
    PZ_TRY(pz_session_create(u->plan, job->log, &u->session));
    PZ_TRY(pz_session_profile(u->session, job->profile, "musetalk unet"));
    pz_checkpoint_close(&c);
    *out = u;
    return PZ_OK;
fail:
    pz_graph_destroy(&g);
    pz_checkpoint_close(&c);
    pz_musetalk_unet_close(&u);
    return st;
}

void pz_musetalk_unet_close(struct pz_musetalk_unet_run **u)
{
    if (!*u)
        return;
    pz_session_destroy(&(*u)->session);
    pz_plan_destroy(&(*u)->plan);
    pz_free((*u)->positions);
    pz_free(*u);
    *u = NULL;
}

int pz_musetalk_unet_batch(const struct pz_musetalk_unet_run *u)
{
    return u->batch;
}

enum pz_status pz_musetalk_unet_run(struct pz_musetalk_unet_run *u, const float *const *masked,
                                    const float *const *reference, const float *const *heard, int n,
                                    struct pz_pool *pool, float *out)
{
    float *x = pz_session_input(u->session, "latent", 0).data,
          *a = pz_session_input(u->session, "heard", 0).data;
    const float *y = pz_session_output(u->session, "out", 0).data;
    const size_t places = (size_t)PZ_MUSETALK_LATENT * PZ_MUSETALK_LATENT;
    for (size_t b = 0; b < (size_t)n; b++) {
        for (size_t i = 0; i < places; i++)
            for (size_t k = 0; k < 4; k++) {
                x[(b * places + i) * 8 + k] = masked[b][i * 4 + k];
                x[(b * places + i) * 8 + 4 + k] = reference[b][i * 4 + k];
            }
        for (size_t i = 0; i < u->heard; i++)
            a[b * u->heard + i] = heard[b][i] + u->positions[i];
    }
    enum pz_status st = pz_session_run(u->session, pool);
    if (st >= PZ_OK)
        memcpy(out, y, (size_t)n * places * 4 * sizeof *out);
    return st;
}

struct pz_plan_params pz_musetalk_around(const struct pz_plan_params *pp)
{
    struct pz_plan_params around = *pp;
    if (pp->backend != PZ_BACKEND_CUDA && pp->dtype == PZ_DTYPE_BF16)
        around.dtype = PZ_DTYPE_F32;
    return around;
}

/* Weights of UNet, decoder, Whisper's encoder and, for frames that were not foreseen, VAE encoder and
 * BiSeNet; values of a picture in the decoder's block of memory, and of one in the UNet's; what is there
 * besides. */
#define WEIGHTS 955e6
#define DECODER_VALUES 59e6
#define UNET_VALUES 4e6
#define BESIDES 0.6e9

double pz_musetalk_need(int batch, enum pz_dtype type)
{
    return (double)pz_dtype_size(type) *
               (WEIGHTS + pz_musetalk_decoder_batch(batch) * DECODER_VALUES + batch * UNET_VALUES) +
           BESIDES;
}

int pz_musetalk_batch(bool cuda, enum pz_dtype type)
{
    static const int batches[] = {20, 8};
    size_t free_bytes, all;
    if (!cuda || !pz_cuda_memory(&free_bytes, &all))
        return 1;
    for (int i = 0; i < 2; i++)
        if (pz_musetalk_need(batches[i], type) <= 0.95 * (double)free_bytes)
            return batches[i];
    return 2;
}

int pz_musetalk_decoder_batch(int batch)
{
    return batch > 2 ? (batch + 1) / 2 : batch;
}
