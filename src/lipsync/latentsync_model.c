// Weights and UNet of LatentSync. Knows nothing of films.
#include "lipsync/latentsync_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/pool.h"
#include "lipsync/engine_plan.h"
#include "lipsync/latents.h"
#include "lipsync/speech_features.h"
#include "nn/sd_block.h"
#include "tensor/profile.h"

#define CHANNELS 13

struct pz_latentsync_run {
    struct pz_sd_unet_config config;
    struct pz_latentsync_way way;
    struct pz_latentsync_fit fit;
    int side; /* of latents */
    size_t places, heard;
    float *sound; /* [window][heard] */
    struct pz_pool *pool;
    struct pz_plan *whole, *shallow; /* shallow: NULL when no step asks for it */
    struct pz_session *on_whole, *on_shallow;
};

/* ---- the UNet as graphs ---- */

/* Widths as the tensors have them; where one is missing the published number, and building names it. */
static struct pz_sd_unet_config widths(const struct pz_checkpoint *c)
{
    struct pz_sd_unet_config k = pz_latentsync_unet;
    char name[128];
    const struct pz_checkpoint_tensor *t;
    for (int i = 0; i < 4; i++) {
        snprintf(name, sizeof name, "down_blocks.%d.resnets.0.conv1.weight", i);
        t = pz_checkpoint_find(c, name);
        if (t && t->rank == 4 && t->shape[0] >= 32 && t->shape[0] <= 8192 && t->shape[0] % 32 == 0)
            k.channels[i] = (int)t->shape[0];
    }
    t = pz_checkpoint_find(c, "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight");
    if (t && t->rank == 2 && t->shape[1] >= 8 && t->shape[1] <= 8192)
        k.cross = (int)t->shape[1];
    return k;
}

/* Graph of `branches` windows; 0: the last layer alone, of one. */
static enum pz_status build(const struct pz_sd_unet_config *k, const struct pz_checkpoint *c,
                            const char *path, int side, int branches, int tokens, bool keep_deep,
                            struct pz_log *log, struct pz_graph **graph, int64_t *elements)
{
    enum pz_status st = PZ_OK;
    struct pz_params_options o = {
        .checkpoint = c, .file = path, .ignore = branches ? NULL : pz_sd_unet_deep_only};
    struct pz_graph *g = *graph = pz_graph_create(log);
    struct pz_params *p = g ? pz_params_create(g, &o, log) : NULL;
    if (!p) {
        st = pz_fail(log, PZ_ERR_NOMEM, "no memory for LatentSync's network");
        goto fail;
    }
    int n = (branches ? branches : 1) * PZ_LATENTSYNC_WINDOW, deep;
    int x = pz_graph_input(g, "x", (struct pz_shape){4, {PZ_LATENTSYNC_WINDOW, side, side, CHANNELS}});
    int heard = pz_graph_input(g, "heard", (struct pz_shape){3, {n, tokens, k->cross}});
    int time = pz_graph_input(g, "time", (struct pz_shape){2, {1, k->channels[0]}});
    if (branches) {
        pz_graph_output(g, "out", pz_sd_unet_whole(p, k, x, time, heard, PZ_LATENTSYNC_WINDOW, &deep));
        // The last branch hears the sound: it is the one that steps between go on with.
        if (keep_deep)
            pz_graph_output(g, "deep",
                            pz_nn_slice(p, deep, (int[]){n - PZ_LATENTSYNC_WINDOW, 0, 0, 0},
                                        (int[]){PZ_LATENTSYNC_WINDOW, side, side, k->channels[0]}));
    } else {
        deep = pz_graph_input(g, "deep", (struct pz_shape){4, {n, side, side, k->channels[0]}});
        pz_graph_output(g, "out", pz_sd_unet_shallow(p, k, x, deep, time, heard, PZ_LATENTSYNC_WINDOW));
    }
    st = pz_params_finish(p);
    if (elements)
        *elements = pz_params_elements(p);
fail:
    pz_params_destroy(&p);
    if (st < PZ_OK)
        pz_graph_destroy(graph);
    return st;
}

static enum pz_status look(const char *unet, const struct pz_job *job, struct pz_checkpoint **c,
                           struct pz_sd_unet_config *k, int64_t *elements)
{
    struct pz_graph *g = NULL;
    struct pz_log *log = job ? job->log : NULL;
    enum pz_status st = pz_checkpoint_open(unet, job, c);
    if (st < PZ_OK)
        return st;
    *k = widths(*c);
    st = build(k, *c, unet, 8, 1, 1, false, log, &g, elements);
    pz_graph_destroy(&g);
    return st;
}

enum pz_status pz_latentsync_verify(const char *unet, const struct pz_job *job, struct pz_sd_unet_config *c)
{
    struct pz_checkpoint *file = NULL;
    struct pz_sd_unet_config k;
    enum pz_status st = look(unet, job, &file, &k, NULL);
    pz_checkpoint_close(&file);
    if (st >= PZ_OK && c)
        *c = k;
    return st;
}

static enum pz_status same_width(const char *unet, int cross, int width, struct pz_log *log)
{
    return cross == width
               ? PZ_OK
               : pz_fail(log, PZ_ERR_WEIGHTS,
                         "'%s' hears %d values a token, but the Whisper beside it gives %d: 384 want "
                         "whisper-tiny, 768 whisper-small",
                         unet, cross, width);
}

enum pz_status pz_latentsync_verify_all(const struct pz_latentsync_files *f, const struct pz_job *job)
{
    struct pz_log *log = job ? job->log : NULL;
    struct pz_whisper_dims d = {0};
    struct pz_sd_unet_config k;
    enum pz_status st = PZ_OK;
    struct pz_rgb mask;
    PZ_TRY(pz_latentsync_read_mask(f, log, &mask));
    pz_rgb_free(&mask);
    PZ_TRY(pz_latentsync_verify(f->unet, job, &k));
    PZ_TRY(pz_latents_verify(f->vae, f->vae_config, job));
    PZ_TRY(pz_speech_features_verify(f->whisper, job, &d));
    PZ_TRY(same_width(f->unet, k.cross, d.audio_state, log));
fail:
    return st;
}

/* ---- memory ---- */

/* What a device needs beside our blocks: context, libraries (measured on an H100: 0.56 GB). */
#define CONTEXT 0.6e9

double pz_latentsync_need(const struct pz_sd_unet_config *c, int64_t elements, int size,
                          const struct pz_latentsync_fit *fit, const struct pz_plan_params *pp, bool cached)
{
    // Work: the first level's skips (four of C) and, while its widest feed-forward runs, input, 8 C and 4 C;
    // the levels below add about as much as one C each. Plans of the published sizes need 24 C a latent
    // pixel.
    double one = pp->dtype == PZ_DTYPE_F32 ? 4 : 2, places = (double)(size / 8) * (size / 8);
    double frames = (double)PZ_LATENTSYNC_WINDOW * (fit->branches + (cached ? 1 : 0));
    double work = frames * places * 24 * c->channels[0] * one;
    double ends = frames * places * (cached ? 2 * c->channels[0] + 40 : 40) * 4; // held in F32
    // Weights: a device holds them as they are, the CPU also transformed for its convolutions (measured at
    // full size: 4.9 bytes a parameter in BF16). Where they are away there are two places for those of the
    // largest convolution: of the deepest level, which takes two of its inputs side by side.
    double each = pp->backend == PZ_BACKEND_CUDA ? one * 1.05 : one == 4 ? 7 : 5;
    double held =
        fit->away ? 2 * 18.0 * c->channels[3] * c->channels[3] * one * 1.1 : (double)elements * each;
    // The VAE's decoder: 50 M parameters, 900 values a pixel while it runs (published size).
    double drawn = (double)size * size * fit->pictures * (900 * one + 24) + 5e7 * each;
    return held + work + ends + drawn + (pp->backend == PZ_BACKEND_CUDA ? CONTEXT : 0);
}

/* Bytes there are, `memory` at most; 0: not known. */
static double room(const struct pz_plan_params *pp, double memory)
{
    bool cuda = pp->backend == PZ_BACKEND_CUDA;
    double have = pz_engine_memory(cuda);
    have += have > 0 && cuda ? CONTEXT : 0; // which is there once that was asked
    return memory > 0 && (have <= 0 || memory < have) ? memory : have;
}

/* Fails before anything is loaded when it cannot be made to fit. */
static enum pz_status choose_fit(struct pz_latentsync_run *r, int64_t elements, int size,
                                 const struct pz_plan_params *pp, double memory, bool cached,
                                 struct pz_log *log)
{
    bool cuda = pp->backend == PZ_BACKEND_CUDA, may = cuda && memory > 0;
    double have = room(pp, memory);
    struct pz_latentsync_fit *fit = &r->fit;
    for (int away = 0; away <= may; away++) {
        // Ways that do not ask both branches in every step run them one after the other: a plan of each kind
        // would hold the weights twice, and a window alone fills the device.
        bool both = r->way.guidance > 1 && !(r->way.fast && (r->way.ask > 1 || r->way.from > 0));
        *fit = (struct pz_latentsync_fit){both ? 2 : 1, cuda ? PZ_LATENTSYNC_PICTURES : 1, away, 0};
        for (bool least = false; !least;) {
            fit->need = pz_latentsync_need(&r->config, elements, size, fit, pp, cached);
            if (have <= 0 || fit->need <= have)
                return PZ_OK;
            least = fit->pictures < 2 && fit->branches < 2;
            if (fit->pictures > 1)
                fit->pictures /= 2;
            else if (fit->branches > 1)
                fit->branches--;
        }
    }
    return pz_fail(
        log, PZ_ERR_DEVICE,
        "latentsync at %d px needs about %.2f GB of %s memory, there are %.2f; %s, or take %sa smaller "
        "size",
        size, fit->need / 1e9, cuda ? "device" : "main", have / 1e9,
        memory > 0 ? "allow more"
        : cuda     ? "free some, let its weights wait in main memory (--memory GB: slower)"
                   : "free some",
        pp->dtype != PZ_DTYPE_F32 ? ""
        : cuda                    ? "--precision f16 or "
                                  : "--precision bf16 or ");
}

enum pz_status pz_latentsync_fits(const struct pz_latentsync_files *f, const struct pz_latentsync_way *way,
                                  const struct pz_plan_params *pp, double memory, const struct pz_job *job,
                                  struct pz_latentsync_fit *fit)
{
    struct pz_latentsync_run r = {.way = *way};
    struct pz_checkpoint *c = NULL;
    int64_t elements;
    int whole, shallow;
    pz_latentsync_way_count(way, &whole, &shallow);
    enum pz_status st = look(f->unet, job, &c, &r.config, &elements);
    if (st >= PZ_OK)
        st = choose_fit(&r, elements, f->size, pp, memory, shallow > 0, job->log);
    if (fit)
        *fit = r.fit;
    pz_checkpoint_close(&c);
    return st;
}

/* ---- running ---- */

static enum pz_status make(struct pz_latentsync_run *r, const struct pz_checkpoint *c, const char *path,
                           bool whole, bool keep_deep, int tokens, const struct pz_plan_params *pp,
                           const struct pz_job *job)
{
    struct pz_graph *g = NULL;
    struct pz_plan **plan = whole ? &r->whole : &r->shallow;
    struct pz_session **session = whole ? &r->on_whole : &r->on_shallow;
    enum pz_status st = build(&r->config, c, path, r->side, whole ? r->fit.branches : 0, tokens, keep_deep,
                              job->log, &g, NULL);
    struct pz_plan_params mine = *pp;
    mine.away = r->fit.away;
    if (st >= PZ_OK)
        st = pz_plan_create(&g, &mine, job->log, plan);
    if (st >= PZ_OK)
        st = pz_session_create(*plan, job->log, session);
    if (st >= PZ_OK)
        st = pz_session_profile(*session, job->profile, whole ? "latentsync unet" : "latentsync last layer");
    pz_graph_destroy(&g);
    return st;
}

enum pz_status pz_latentsync_run_open(const struct pz_latentsync_files *f,
                                      const struct pz_latentsync_way *way, int tokens, int width,
                                      const struct pz_plan_params *pp, double memory,
                                      const struct pz_job *job, struct pz_latentsync_run **out)
{
    enum pz_status st = PZ_OK;
    struct pz_checkpoint *c = NULL;
    int64_t elements;
    int whole, shallow;
    struct pz_latentsync_run *r = pz_calloc(1, sizeof *r);
    *out = NULL;
    if (!r)
        return pz_fail(job->log, PZ_ERR_NOMEM, "no memory for LatentSync's network");
    r->way = *way;
    r->pool = job->pool;
    r->side = f->size / 8;
    r->places = (size_t)r->side * (size_t)r->side;
    r->heard = (size_t)tokens * (size_t)width;
    pz_latentsync_way_count(way, &whole, &shallow);
    PZ_TRY(look(f->unet, job, &c, &r->config, &elements));
    PZ_TRY(same_width(f->unet, r->config.cross, width, job->log));
    PZ_TRY(choose_fit(r, elements, f->size, pp, memory, shallow > 0, job->log));
    r->sound = pz_calloc(PZ_LATENTSYNC_WINDOW, r->heard * sizeof *r->sound);
    if (!r->sound) {
        st = pz_fail(job->log, PZ_ERR_NOMEM, "no memory for LatentSync's network");
        goto fail;
    }
    PZ_TRY(make(r, c, f->unet, true, shallow > 0, tokens, pp, job));
    if (shallow > 0) {
        PZ_TRY(make(r, c, f->unet, false, false, tokens, pp, job));
        PZ_TRY(pz_session_join(r->on_shallow, "deep", r->on_whole, "deep"));
    }
    pz_checkpoint_close(&c);
    *out = r;
    return PZ_OK;
fail:
    pz_checkpoint_close(&c);
    pz_latentsync_run_close(&r);
    return st;
}

void pz_latentsync_run_close(struct pz_latentsync_run **r)
{
    if (!*r)
        return;
    pz_session_destroy(&(*r)->on_whole);
    pz_session_destroy(&(*r)->on_shallow);
    pz_plan_destroy(&(*r)->whole);
    pz_plan_destroy(&(*r)->shallow);
    pz_free((*r)->sound);
    pz_free(*r);
    *r = NULL;
}

size_t pz_latentsync_run_floats(const struct pz_latentsync_run *r)
{
    return r->places * 4;
}

double pz_latentsync_run_cost(const struct pz_latentsync_run *r, const struct pz_latentsync_way *way)
{
    int whole, shallow;
    pz_latentsync_way_count(way, &whole, &shallow);
    return pz_plan_cost(r->whole) / r->fit.branches * whole +
           (r->shallow ? pz_plan_cost(r->shallow) * shallow : 0);
}

struct pz_latentsync_fit pz_latentsync_run_fit(const struct pz_latentsync_run *r)
{
    return r->fit;
}

size_t pz_latentsync_run_bytes(const struct pz_latentsync_run *r)
{
    return pz_plan_arena_bytes(r->whole) + (r->shallow ? pz_plan_arena_bytes(r->shallow) : 0);
}

/* Everything of a window but the noisy latent; both branches see the same. */
static void lay(struct pz_session *s, size_t places, const float *mask,
                const struct pz_latentsync_frame *frames)
{
    float *x = pz_session_input(s, "x", 0).data;
    for (size_t f = 0; f < PZ_LATENTSYNC_WINDOW; f++) {
        const struct pz_latentsync_frame *from = &frames[f];
        for (size_t i = 0; i < places; i++) {
            float *to = x + (f * places + i) * CHANNELS;
            to[4] = mask[i];
            memcpy(to + 5, from->masked + i * 4, 4 * sizeof *to);
            memcpy(to + 9, from->reference + i * 4, 4 * sizeof *to);
        }
    }
}

void pz_latentsync_run_window(struct pz_latentsync_run *r, const float *mask,
                              const struct pz_latentsync_frame *frames)
{
    lay(r->on_whole, r->places, mask, frames);
    if (r->on_shallow)
        lay(r->on_shallow, r->places, mask, frames);
    for (size_t f = 0; f < PZ_LATENTSYNC_WINDOW; f++)
        memcpy(r->sound + f * r->heard, frames[f].heard, r->heard * sizeof *r->sound);
}

/* One evaluation of a session whose first branch hears nothing when `quiet`, the others the sound. */
static enum pz_status evaluate(struct pz_latentsync_run *r, struct pz_session *s, int branches, bool quiet,
                               double time, const float *z)
{
    float *x = pz_session_input(s, "x", 0).data, *heard = pz_session_input(s, "heard", 0).data;
    size_t n = PZ_LATENTSYNC_WINDOW * r->places, sound = PZ_LATENTSYNC_WINDOW * r->heard;
    for (size_t i = 0; i < n; i++)
        memcpy(x + i * CHANNELS, z + i * 4, 4 * sizeof *x);
    for (size_t b = 0; b < (size_t)branches; b++) {
        if (b == 0 && quiet)
            memset(heard, 0, sound * sizeof *heard);
        else
            memcpy(heard + b * sound, r->sound, sound * sizeof *heard);
    }
    pz_sd_time_embedding(time, r->config.channels[0], pz_session_input(s, "time", 0).data);
    return pz_session_run(s, r->pool);
}

static enum pz_status predict(void *user, double time, bool whole, const float *z, float *quiet, float *heard)
{
    struct pz_latentsync_run *r = user;
    struct pz_session *s = whole ? r->on_whole : r->on_shallow;
    size_t n = PZ_LATENTSYNC_WINDOW * r->places * 4, last = 0;
    enum pz_status st;
    if (!s) // opened for another way
        return PZ_ERR_USAGE;
    const float *out = pz_session_output(s, "out", 0).data;
    if (quiet && r->fit.branches == 2) {
        st = evaluate(r, s, 2, true, time, z);
        last = 1;
        if (st >= PZ_OK)
            memcpy(quiet, out, n * sizeof *quiet);
    } else {
        if (quiet) {
            if ((st = evaluate(r, s, 1, true, time, z)) < PZ_OK)
                return st;
            memcpy(quiet, out, n * sizeof *quiet);
        }
        st = evaluate(r, s, 1, false, time, z);
    }
    if (st < PZ_OK)
        return st;
    memcpy(heard, out + last * n, n * sizeof *heard);
    return PZ_OK;
}

struct pz_latentsync_net pz_latentsync_run_net(struct pz_latentsync_run *r)
{
    return (struct pz_latentsync_net){r, predict};
}
