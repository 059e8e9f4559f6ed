// Pictures to latents for LatentSync.
#include "lipsync/latentsync_eye.h"

#include "base/mem.h"

struct pz_latentsync_eye {
    struct pz_pool *pool;
    struct pz_latent_coder *coder;
    struct pz_latentsync_cutter *cutter;
    size_t px;
    int batch;
    float *keep, *small, *pictures; /* pictures: masked, then whole */
};

enum pz_status pz_latentsync_eye_open(const struct pz_latentsync_files *f, const struct pz_plan_params *pp,
                                      const struct pz_job *job, struct pz_latentsync_eye **out)
{
    enum pz_status st = PZ_OK;
    struct pz_rgb mask = {0};
    struct pz_latentsync_eye *e = pz_calloc(1, sizeof *e);
    *out = NULL;
    if (!e)
        return pz_fail(job->log, PZ_ERR_NOMEM, "no memory to encode pictures");
    e->pool = job->pool;
    e->px = (size_t)f->size * (size_t)f->size;
    e->batch = pp->backend == PZ_BACKEND_CUDA ? 2 : 1;
    PZ_TRY(pz_latentsync_read_mask(f, job->log, &mask));
    e->cutter = pz_latentsync_cutter_create(f->size, mask.data ? &mask : NULL);
    e->keep = pz_calloc(e->px, sizeof *e->keep);
    e->small = pz_calloc(e->px / 64, sizeof *e->small);
    e->pictures = pz_calloc(e->px, 6 * sizeof *e->pictures);
    if (!e->cutter || !e->keep || !e->small || !e->pictures) {
        st = pz_fail(job->log, PZ_ERR_NOMEM, "no memory to encode pictures");
        goto fail;
    }
    pz_latentsync_mask(e->cutter, e->keep, e->small);
    PZ_TRY(pz_latent_coder_open(f->vae, f->vae_config, false, f->size, e->batch, pp, job, &e->coder));
    *out = e;
    e = NULL;
fail:
    pz_rgb_free(&mask);
    pz_latentsync_eye_close(&e);
    return st;
}

void pz_latentsync_eye_close(struct pz_latentsync_eye **eye)
{
    struct pz_latentsync_eye *e = *eye;
    if (!e)
        return;
    pz_latent_coder_close(&e->coder);
    pz_latentsync_cutter_destroy(&e->cutter);
    pz_free(e->keep);
    pz_free(e->small);
    pz_free(e->pictures);
    pz_free(e);
    *eye = NULL;
}

size_t pz_latentsync_eye_floats(const struct pz_latentsync_eye *eye)
{
    return pz_latent_coder_floats(eye->coder);
}

enum pz_status pz_latentsync_eye_look(struct pz_latentsync_eye *e, const struct pz_picture *pic,
                                      const struct pz_affine *to_crop, float *latents)
{
    enum pz_status st = PZ_OK;
    size_t values = 3 * e->px, floats = pz_latent_coder_floats(e->coder);
    float *whole = e->pictures + values;
    pz_latentsync_cut(e->cutter, pic, to_crop, e->pool, whole);
    for (size_t i = 0; i < values; i++)
        e->pictures[i] = whole[i] * e->keep[i / 3]; // as published: behind the normalisation, so grey
    for (int k = 0; k < 2 && st >= PZ_OK; k += e->batch)
        st = pz_latent_encode_floats(e->coder, e->pictures + (size_t)k * values, e->batch, e->pool,
                                     latents + (size_t)k * floats);
    return st;
}
