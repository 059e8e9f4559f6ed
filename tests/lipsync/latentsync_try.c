/*
 * LatentSync without films and codecs: the steps of one window, and the engine on a painted film, timed, with
 * what they gave kept for comparing. For machines with a device.
 *
 *   latentsync_try steps MODELS SIZE DEVICE PRECISION QUALITY DIR [STEPS]
 *       one window, twice (F32: once); QUALITY both: fast, then exact. Leaves
 *       DIR/noise.f32            of every frame, [h·w][4]
 *       DIR/inputs.f32           mask [h·w], masked and reference latents [16][h·w][4], sound [16][50][C]
 *       DIR/NAME-trace.f32       F32: per whole step the time, latent, answer without and with sound
 *       DIR/NAME-latent.f32      [16][h·w][4]
 *       DIR/NAME-picture.f32     [16][8h][8w][3]; NAME = DEVICE-PRECISION-QUALITY
 *   latentsync_try film MODELS SIZE DEVICE PRECISION QUALITY DIR FRAMES
 *       prepare, open, draw twice; DIR/NAME-patches.f32
 *   PZ_MEMORY=GB: at most so much memory
 *   latentsync_try --compare A.f32 B.f32
 *       PSNR of two files of values in [0,1] (patches)
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/pool.h"
#include "engine_try.h"
#include "lipsync/engine_plan.h"
#include "lipsync/latents.h"
#include "lipsync/latentsync_model.h"
#include "nn/param.h"

enum { F = PZ_LATENTSYNC_WINDOW, TOKENS = 50 };

struct request {
    const char *models, *device, *precision, *quality, *dir;
    int size, steps; /* 0: what the way says */
    double memory;   /* 0: what is free */
    char name[64];
};

static FILE *open_file(const struct request *q, const char *what)
{
    char *path = what[0] == '-' ? pz_asprintf("%s/%s%s.f32", q->dir, q->name, what)
                                : pz_asprintf("%s/%s.f32", q->dir, what);
    FILE *f = path ? fopen(path, "wb") : NULL;
    pz_free(path);
    return f;
}

static enum pz_status keep(const struct request *q, const char *what, const float *x, size_t n)
{
    FILE *f = open_file(q, what);
    bool ok = f && fwrite(x, sizeof *x, n, f) == n;
    if (f && fclose(f) != 0)
        ok = false;
    return ok ? PZ_OK : PZ_ERR_WRITE;
}

/* ---- one window ---- */

struct window {
    size_t places, width;
    float *mask, *latents[2], *sound; /* as in inputs.f32 */
    float *noise, *z, *work, *picture;
};

static enum pz_status fill(struct window *w, const struct request *q, int cross)
{
    size_t n = w->places = (size_t)(q->size / 8) * (size_t)(q->size / 8), all = F * n * 4,
           heard = (size_t)F * TOKENS * (size_t)cross;
    w->width = (size_t)cross;
    float *in = pz_calloc(n + 2 * all + heard, sizeof *in);
    w->noise = pz_calloc(all, sizeof *w->noise);
    w->z = pz_calloc(all, sizeof *w->z);
    w->work = pz_calloc(all, PZ_LATENTSYNC_WORK * sizeof *w->work);
    w->picture = pz_calloc(n, (size_t)F * 64 * 3 * sizeof *w->picture);
    w->mask = in;
    if (!in || !w->noise || !w->z || !w->work || !w->picture)
        return PZ_ERR_NOMEM;
    w->latents[0] = in + n;
    w->latents[1] = in + n + all;
    w->sound = in + n + 2 * all;
    pz_rule_input(9001, -1, 1, n, w->mask);
    for (size_t i = 0; i < n; i++)
        w->mask[i] = w->mask[i] > 0;
    pz_rule_input(9002, -1, 1, all, w->latents[0]);
    pz_rule_input(9003, -1, 1, all, w->latents[1]);
    pz_rule_input(9004, -1, 1, heard, w->sound);
    pz_latentsync_noise(1247, n * 4, w->noise);
    for (size_t f = 1; f < F; f++)
        memcpy(w->noise + f * n * 4, w->noise, n * 4 * sizeof *w->noise);
    enum pz_status st = keep(q, "noise", w->noise, n * 4);
    return st < PZ_OK ? st : keep(q, "inputs", in, n + 2 * all + heard);
}

static void drop(struct window *w)
{
    pz_free(w->mask);
    pz_free(w->noise);
    pz_free(w->z);
    pz_free(w->work);
    pz_free(w->picture);
}

/* The network, watched. */
struct watched {
    struct pz_latentsync_net net;
    FILE *f;
    size_t n;
    double seconds[2], least[2]; /* shallow, whole */
    int calls[2];
};

static enum pz_status watch(void *user, double time, bool whole, const float *z, float *quiet, float *heard)
{
    struct watched *w = user;
    double from = pz_now();
    enum pz_status st = w->net.predict(w->net.user, time, whole, z, quiet, heard);
    double t = pz_now() - from;
    w->seconds[whole] += t;
    w->least[whole] = w->calls[whole]++ == 0 || t < w->least[whole] ? t : w->least[whole];
    float at = (float)time;
    if (w->f && whole && quiet &&
        (fwrite(&at, sizeof at, 1, w->f) != 1 || fwrite(z, sizeof *z, w->n, w->f) != w->n ||
         fwrite(quiet, sizeof *z, w->n, w->f) != w->n || fwrite(heard, sizeof *z, w->n, w->f) != w->n))
        return PZ_ERR_WRITE;
    return st;
}

static enum pz_status one(struct pz_latentsync_run *run, struct pz_latent_coder *decoder, int batch,
                          const struct pz_latentsync_way *way, struct window *w, FILE *f,
                          const struct pz_job *job)
{
    struct watched seen = {.net = pz_latentsync_run_net(run), .f = f, .n = F * w->places * 4};
    struct pz_latentsync_net net = {&seen, watch};
    struct pz_latentsync_frame frames[F];
    double from = pz_now(), steps;
    for (size_t i = 0; i < F; i++)
        frames[i] =
            (struct pz_latentsync_frame){w->latents[0] + i * w->places * 4, w->latents[1] + i * w->places * 4,
                                         w->sound + i * TOKENS * w->width};
    memcpy(w->z, w->noise, seen.n * sizeof *w->z);
    pz_latentsync_run_window(run, w->mask, frames);
    enum pz_status st = pz_latentsync_sample(way, &net, seen.n, job, w->work, w->z);
    steps = pz_now() - from;
    for (size_t i = 0; i < F && st >= PZ_OK; i += (size_t)batch)
        st = pz_latent_decode_floats(decoder, w->z + i * w->places * 4, batch, job->pool,
                                     w->picture + i * w->places * 192);
    double t = pz_now() - from;
    printf(
        "  %d whole %.2f ms each (least %.2f), %d last-layer %.2f ms (least %.2f), steps %.1f ms; decode of "
        "%d %.1f ms; window %.1f ms, %.2f frames/s\n",
        seen.calls[1], 1e3 * seen.seconds[1] / fmax(seen.calls[1], 1), 1e3 * seen.least[1], seen.calls[0],
        1e3 * seen.seconds[0] / fmax(seen.calls[0], 1), 1e3 * seen.least[0], 1e3 * steps, F,
        1e3 * (t - steps), 1e3 * t, F / t);
    return st;
}

/* One way, all of it kept. */
static enum pz_status go(struct request *q, const char *quality, const struct pz_latentsync_files *files,
                         const struct pz_engine_plan *plan, struct window *w, const struct pz_job *job)
{
    enum pz_status st = PZ_OK;
    struct pz_latentsync_way way;
    struct pz_latentsync_run *run = NULL;
    struct pz_latent_coder *decoder = NULL;
    // F32 is for its values: traced, not timed.
    bool again = plan->params.dtype != PZ_DTYPE_F32;
    double from = pz_now();
    FILE *f = NULL;
    snprintf(q->name, sizeof q->name, "%s-%s-%s", q->device, q->precision, quality);
    PZ_TRY(pz_latentsync_way_of(quality, q->steps, 0, job->log, &way));
    int batch = 1;
    struct pz_latentsync_fit fit;
    PZ_TRY(pz_latentsync_run_open(files, &way, TOKENS, (int)w->width, &plan->params, q->memory, job, &run));
    fit = pz_latentsync_run_fit(run);
    batch = fit.pictures;
    PZ_TRY(pz_latent_coder_open(files->vae, files->vae_config, true, q->size, batch, &plan->params, job,
                                &decoder));
    printf(" %s\n  ready in %.1f s, about %.2f GB%s, %d branches and %d pictures at once, work memory of the "
           "UNet %.2f GB\n",
           q->name, pz_now() - from, 1e-9 * fit.need, fit.away ? ", weights in main memory" : "",
           fit.branches, fit.pictures, (double)pz_latentsync_run_bytes(run) / 1e9);
    engine_try_memory("when ready");
    f = again ? NULL : open_file(q, "-trace");
    PZ_TRY(one(run, decoder, batch, &way, w, f, job));
    if (again)
        PZ_TRY(one(run, decoder, batch, &way, w, NULL, job));
    engine_try_memory("at the end");
    PZ_TRY(keep(q, "-latent", w->z, F * w->places * 4));
    PZ_TRY(keep(q, "-picture", w->picture, F * w->places * 192));
fail:
    if (f && fclose(f) != 0)
        st = PZ_ERR_WRITE;
    pz_latentsync_run_close(&run);
    pz_latent_coder_close(&decoder);
    fflush(stdout);
    return st;
}

static enum pz_status steps(struct request *q, const struct pz_job *job)
{
    enum pz_status st = PZ_OK;
    struct pz_latentsync_files files = {0};
    struct pz_engine_plan plan = {0};
    struct pz_sd_unet_config c;
    struct window w = {0};
    struct pz_engine_open_params p = {.device = q->device, .precision = q->precision};
    bool both = !strcmp(q->quality, "both");
    PZ_TRY(pz_latentsync_find(q->models, q->size, job->log, &files));
    PZ_TRY(pz_engine_plan(&p, "latentsync", job, &plan));
    PZ_TRY(pz_latentsync_verify(files.unet, job, &c));
    engine_try_memory("before");
    PZ_TRY(fill(&w, q, c.cross));
    PZ_TRY(go(q, both ? "fast" : q->quality, &files, &plan, &w, job));
    if (both)
        PZ_TRY(go(q, "exact", &files, &plan, &w, job));
fail:
    drop(&w);
    pz_engine_plan_free(&plan);
    pz_latentsync_files_free(&files);
    return st;
}

static enum pz_status film(const struct request *q, int frames, const struct pz_job *job)
{
    char *name = pz_asprintf("%s-patches", q->name);
    struct engine_try t = {.engine = "latentsync",
                           .params = {.models_dir = q->models,
                                      .device = q->device,
                                      .precision = q->precision,
                                      .quality = q->quality,
                                      .size = q->size,
                                      .memory = q->memory},
                           .dir = q->dir,
                           .name = name,
                           .frames = frames,
                           .drawn = frames};
    enum pz_status st = name ? engine_try_film(&t, job) : PZ_ERR_NOMEM;
    pz_free(name);
    return st;
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "--compare") == 0)
        return engine_try_compare(argv[2], argv[3]);
    bool window = (argc == 8 || argc == 9) && strcmp(argv[1], "steps") == 0,
         played = argc == 9 && strcmp(argv[1], "film") == 0;
    int n = played ? atoi(argv[8]) : 1;
    if ((!window && !played) || n < 1 || n > ENGINE_TRY_MOST) {
        fprintf(stderr, "usage: see the head of tests/lipsync/latentsync_try.c\n");
        return 1;
    }
    struct request q = {argv[2],
                        argv[4],
                        argv[5],
                        argv[6],
                        argv[7],
                        atoi(argv[3]),
                        window && argc == 9 ? atoi(argv[8]) : 0,
                        getenv("PZ_MEMORY") ? 1e9 * atof(getenv("PZ_MEMORY")) : 0,
                        ""};
    snprintf(q.name, sizeof q.name, "%s-%s-%s", q.device, q.precision, q.quality);
    struct pz_log *log = pz_log_create(engine_try_say, NULL, PZ_LOG_INFO);
    struct pz_pool *pool = pz_pool_create(0);
    struct pz_job job = {.log = log, .pool = pool, .seed = 1247};
    printf("latentsync %s, %s px, %s\n", argv[1], argv[3], q.name);
    enum pz_status st = pz_make_dirs(log, q.dir);
    if (st >= PZ_OK)
        st = window ? steps(&q, &job) : film(&q, n, &job);
    pz_pool_destroy(&pool);
    pz_log_destroy(&log);
    return pz_status_exit_code(st);
}
