// The VAE of Stable Diffusion as coder of pictures. What is kept of them is latent_store.c.
#include "lipsync/latents.h"

#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/pool.h"
#include "lipsync/diffusers_config.h"
#include "tensor/profile.h"

struct pz_latent_coder {
    struct pz_sd_vae_config config;
    int side, batch;
    struct pz_plan *plan;
    struct pz_session *session;
};

enum pz_status pz_latents_find(const char *models_dir, struct pz_log *log, char **weights, char **config)
{
    static const char *const folders[] = {"sd-vae", "sd-vae-ft-mse"};
    static const char *const files[] = {"diffusion_pytorch_model.bin", "diffusion_pytorch_model.safetensors"};
    *weights = *config = NULL;
    for (int i = 0; models_dir && i < 4; i++) {
        char *p = pz_asprintf("%s/%s/%s", models_dir, folders[i / 2], files[i % 2]);
        if (p && pz_file_exists(p)) {
            *weights = p;
            *config = pz_asprintf("%s/%s/config.json", models_dir, folders[i / 2]);
            if (*config)
                return PZ_OK;
            p = NULL;
        }
        if (!p) {
            pz_free(*weights);
            *weights = NULL;
            return pz_fail(log, PZ_ERR_NOMEM, "no memory for a path");
        }
        pz_free(p);
    }
    return PZ_OK;
}

/* One half as a graph. */
static enum pz_status build(const struct pz_sd_vae_config *k, const struct pz_checkpoint *c, const char *path,
                            bool decoder, int side, int batch, struct pz_log *log, struct pz_graph **graph)
{
    enum pz_status st = PZ_OK;
    struct pz_params_options o = {
        .checkpoint = c, .file = path, .ignore = decoder ? pz_sd_vae_decoder_only : pz_sd_vae_encoder_only};
    struct pz_graph *g = *graph = pz_graph_create(log);
    struct pz_params *p = g ? pz_params_create(g, &o, log) : NULL;
    if (!p) {
        st = pz_fail(log, PZ_ERR_NOMEM, "no memory for a VAE");
        goto fail;
    }
    if (decoder) {
        int z = pz_graph_input(g, "in", (struct pz_shape){4, {batch, side / 8, side / 8, k->latent}});
        pz_graph_output(g, "out", pz_sd_vae_decode(p, k, z));
    } else {
        int mean, logvar, x = pz_graph_input(g, "in", (struct pz_shape){4, {batch, side, side, 3}});
        pz_sd_vae_encode(p, k, x, &mean, &logvar);
        pz_graph_output(g, "out", mean);
    }
    st = pz_params_finish(p);
fail:
    pz_params_destroy(&p);
    if (st < PZ_OK)
        pz_graph_destroy(graph);
    return st;
}

enum pz_status pz_latents_verify(const char *weights, const char *config, const struct pz_job *job)
{
    struct pz_log *log = job ? job->log : NULL;
    struct pz_checkpoint *c = NULL;
    struct pz_sd_vae_config k;
    enum pz_status st = pz_diffusers_vae(config, &pz_sd_vae_default, log, &k);
    if (st >= PZ_OK)
        st = pz_checkpoint_open(weights, job, &c);
    for (int half = 0; half < 2 && st >= PZ_OK; half++) {
        struct pz_graph *g = NULL;
        st = build(&k, c, weights, half == 1, 64, 1, log, &g);
        pz_graph_destroy(&g);
    }
    pz_checkpoint_close(&c);
    return st;
}

enum pz_status pz_latent_coder_open(const char *weights, const char *config, bool decoder, int side,
                                    int batch, const struct pz_plan_params *pp, const struct pz_job *job,
                                    struct pz_latent_coder **out)
{
    enum pz_status st = PZ_OK;
    struct pz_checkpoint *file = NULL;
    struct pz_graph *g = NULL;
    struct pz_latent_coder *c = pz_calloc(1, sizeof *c);
    *out = NULL;
    if (!c)
        return pz_fail(job->log, PZ_ERR_NOMEM, "no memory for a VAE");
    c->side = side;
    c->batch = batch;
    PZ_TRY(pz_diffusers_vae(config, &pz_sd_vae_default, job->log, &c->config));
    PZ_TRY(pz_checkpoint_open(weights, job, &file));
    PZ_TRY(build(&c->config, file, weights, decoder, side, batch, job->log, &g));
    PZ_TRY(pz_plan_create(&g, pp, job->log, &c->plan));
    PZ_TRY(pz_session_create(c->plan, job->log, &c->session));
    PZ_TRY(pz_session_profile(c->session, job->profile, decoder ? "vae decoder" : "vae encoder"));
    pz_checkpoint_close(&file);
    *out = c;
    return PZ_OK;
fail:
    pz_graph_destroy(&g);
    pz_checkpoint_close(&file);
    pz_latent_coder_close(&c);
    return st;
}

void pz_latent_coder_close(struct pz_latent_coder **c)
{
    if (!*c)
        return;
    pz_session_destroy(&(*c)->session);
    pz_plan_destroy(&(*c)->plan);
    pz_free(*c);
    *c = NULL;
}

size_t pz_latent_coder_floats(const struct pz_latent_coder *c)
{
    return (size_t)(c->side / 8) * (size_t)(c->side / 8) * (size_t)c->config.latent;
}

enum pz_status pz_latent_encode(struct pz_latent_coder *c, const uint8_t *pictures, int n,
                                struct pz_pool *pool, float *out)
{
    float *x = pz_session_input(c->session, "in", 0).data;
    const float *y = pz_session_output(c->session, "out", 0).data;
    size_t count = (size_t)n * (size_t)c->side * (size_t)c->side * 3,
           floats = (size_t)n * pz_latent_coder_floats(c);
    for (size_t i = 0; i < count; i++)
        x[i] = ((float)pictures[i] / 255.0f - 0.5f) / 0.5f;
    enum pz_status st = pz_session_run(c->session, pool);
    for (size_t i = 0; i < floats && st >= PZ_OK; i++)
        out[i] = y[i] * PZ_SD_VAE_SCALE;
    return st;
}

struct planes {
    const float *y;
    float *out;
    size_t plane;
};

/* One picture as the decoder leaves it, to planes of 8-bit steps. */
static void to_planes(void *user, int index, int worker)
{
    const struct planes *p = user;
    const float *y = p->y + (size_t)index * p->plane * 3;
    float *out = p->out + (size_t)index * p->plane * 3;
    (void)worker;
    for (size_t k = 0; k < 3; k++)
        for (size_t i = 0; i < p->plane; i++) {
            float v = y[i * 3 + k] / 2 + 0.5f;
            out[k * p->plane + i] = rintf(fminf(fmaxf(v, 0), 1) * 255) / 255;
        }
}

/* Latents [n][floats], n ≤ batch, as the decoder leaves them. */
static enum pz_status decode_batch(struct pz_latent_coder *c, const float *latents, int n,
                                   struct pz_pool *pool, const float **out)
{
    float *z = pz_session_input(c->session, "in", 0).data;
    size_t floats = (size_t)n * pz_latent_coder_floats(c);
    for (size_t i = 0; i < floats; i++)
        z[i] = latents[i] / PZ_SD_VAE_SCALE;
    *out = pz_session_output(c->session, "out", 0).data;
    return pz_session_run(c->session, pool);
}

enum pz_status pz_latent_decode(struct pz_latent_coder *c, const float *latents, int n, struct pz_pool *pool,
                                float *out)
{
    enum pz_status st = PZ_OK;
    struct planes p = {.plane = (size_t)c->side * (size_t)c->side};
    for (int from = 0; from < n && st >= PZ_OK; from += c->batch) {
        int k = n - from < c->batch ? n - from : c->batch;
        p.out = out + (size_t)from * p.plane * 3;
        st = decode_batch(c, latents + (size_t)from * pz_latent_coder_floats(c), k, pool, &p.y);
        if (st >= PZ_OK)
            pz_pool_run(pool, to_planes, &p, k);
    }
    return st;
}

enum pz_status pz_latent_encode_floats(struct pz_latent_coder *c, const float *pictures, int n,
                                       struct pz_pool *pool, float *out)
{
    const float *y = pz_session_output(c->session, "out", 0).data;
    size_t side = (size_t)c->side, floats = (size_t)n * pz_latent_coder_floats(c);
    memcpy(pz_session_input(c->session, "in", 0).data, pictures,
           (size_t)n * side * side * 3 * sizeof *pictures);
    enum pz_status st = pz_session_run(c->session, pool);
    for (size_t i = 0; i < floats && st >= PZ_OK; i++)
        out[i] = y[i] * PZ_SD_VAE_SCALE;
    return st;
}

enum pz_status pz_latent_decode_floats(struct pz_latent_coder *c, const float *latents, int n,
                                       struct pz_pool *pool, float *out)
{
    enum pz_status st = PZ_OK;
    size_t picture = (size_t)c->side * (size_t)c->side * 3;
    const float *y;
    for (int from = 0; from < n && st >= PZ_OK; from += c->batch) {
        int k = n - from < c->batch ? n - from : c->batch;
        st = decode_batch(c, latents + (size_t)from * pz_latent_coder_floats(c), k, pool, &y);
        if (st >= PZ_OK)
            memcpy(out + (size_t)from * picture, y, (size_t)k * picture * sizeof *out);
    }
    return st;
}
