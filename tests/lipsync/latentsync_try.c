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
#include "lipsync/engine.h"
#include "lipsync/engine_plan.h"
#include "lipsync/latents.h"
#include "lipsync/latentsync_model.h"
#include "nn/param.h"
#include "puppet.h"
#include "tensor/cuda/cuda.h"

enum { SIDE = 1080, MOST = 400, N_SPEECH = 16 * 16000, F = PZ_LATENTSYNC_WINDOW, TOKENS = 50 };

struct request {
    const char *models, *device, *precision, *quality, *dir;
    int size, steps; /* 0: what the way says */
    char name[64];
};

static void say(void *user, enum pz_log_level level, const char *text)
{
    fprintf(stderr, "  %s\n", text);
}

static void memory(const char *when)
{
    size_t left, all;
    if (pz_cuda_memory(&left, &all))
        printf("  device memory in use %s: %.2f GB\n", when, (double)(all - left) / 1e9);
}

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
                         const struct pz_engine_plan *plan, struct pz_latent_coder *decoder, struct window *w,
                         const struct pz_job *job)
{
    enum pz_status st = PZ_OK;
    struct pz_latentsync_way way;
    struct pz_latentsync_run *run = NULL;
    // F32 is for its values: traced, not timed.
    bool again = plan->params.dtype != PZ_DTYPE_F32;
    int batch = plan->cuda ? 4 : 1;
    double from = pz_now();
    FILE *f = NULL;
    snprintf(q->name, sizeof q->name, "%s-%s-%s", q->device, q->precision, quality);
    PZ_TRY(pz_latentsync_way_of(quality, q->steps, 0, job->log, &way));
    PZ_TRY(pz_latentsync_run_open(files, &way, TOKENS, (int)w->width, &plan->params, job, &run));
    printf(" %s\n  ready in %.1f s, %d branches at once, work memory of the UNet %.2f GB\n", q->name,
           pz_now() - from, pz_latentsync_run_branches(run), (double)pz_latentsync_run_bytes(run) / 1e9);
    memory("when ready");
    f = again ? NULL : open_file(q, "-trace");
    PZ_TRY(one(run, decoder, batch, &way, w, f, job));
    if (again)
        PZ_TRY(one(run, decoder, batch, &way, w, NULL, job));
    memory("at the end");
    PZ_TRY(keep(q, "-latent", w->z, F * w->places * 4));
    PZ_TRY(keep(q, "-picture", w->picture, F * w->places * 192));
fail:
    if (f && fclose(f) != 0)
        st = PZ_ERR_WRITE;
    pz_latentsync_run_close(&run);
    fflush(stdout);
    return st;
}

static enum pz_status steps(struct request *q, const struct pz_job *job)
{
    enum pz_status st = PZ_OK;
    struct pz_latentsync_files files = {0};
    struct pz_engine_plan plan = {0};
    struct pz_latent_coder *decoder = NULL;
    struct pz_sd_unet_config c;
    struct window w = {0};
    struct pz_engine_open_params p = {.device = q->device, .precision = q->precision};
    bool both = !strcmp(q->quality, "both");
    PZ_TRY(pz_latentsync_find(q->models, q->size, job->log, &files));
    PZ_TRY(pz_engine_plan(&p, "latentsync", job, &plan));
    PZ_TRY(pz_latentsync_verify(files.unet, job, &c));
    memory("before");
    PZ_TRY(pz_latent_coder_open(files.vae, files.vae_config, true, q->size, plan.cuda ? 4 : 1, &plan.params,
                                job, &decoder));
    PZ_TRY(fill(&w, q, c.cross));
    PZ_TRY(go(q, both ? "fast" : q->quality, &files, &plan, decoder, &w, job));
    if (both)
        PZ_TRY(go(q, "exact", &files, &plan, decoder, &w, job));
fail:
    drop(&w);
    pz_latent_coder_close(&decoder);
    pz_engine_plan_free(&plan);
    pz_latentsync_files_free(&files);
    return st;
}

/* ---- a painted film ---- */

struct stage {
    struct pz_face face[MOST];
    int64_t frames[MOST];
    double times[MOST];
    const struct pz_face *faces[MOST];
    struct pz_picture pic;
    float *speech;
    int n;
};

static enum pz_status picture(void *user, int64_t i, const struct pz_picture **out)
{
    struct stage *s = user;
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++) {
            float v = 130 + 60 * sinf(0.02f * (float)(x + y)) + 30 * sinf(0.09f * (float)(x - 2 * (int)i));
            s->pic.plane[0][y * s->pic.stride[0] + x] = (uint8_t)v;
            s->pic.plane[1][y / 2 * s->pic.stride[1] + x / 2] = 112;
            s->pic.plane[2][y / 2 * s->pic.stride[2] + x / 2] = 146;
        }
    *out = &s->pic;
    return PZ_OK;
}

static const struct pz_face *face(void *user, int64_t i)
{
    return &((struct stage *)user)->face[i];
}

static double frame_time(void *user, int64_t i)
{
    return (double)i / 25;
}

static enum pz_status set_stage(struct stage *s, int n)
{
    s->n = n;
    s->speech = pz_calloc(N_SPEECH, sizeof *s->speech);
    if (!s->speech)
        return PZ_ERR_NOMEM;
    for (int i = 0; i < N_SPEECH; i++)
        s->speech[i] = 0.3f * sinf((float)i * (0.03f + 1e-7f * (float)i)) * sinf(0.002f * (float)i);
    for (int i = 0; i < n; i++) {
        struct puppet_mouth m = {0.1f, 0, 0};
        puppet_face(&m, i, 0, 0, 0, 260, 540 + 10 * sinf(0.2f * (float)i), 420, 0.4f, &s->face[i]);
        s->face[i].frame = i;
        s->frames[i] = i;
        s->times[i] = 0.2 + i / 25.0;
        s->faces[i] = &s->face[i];
    }
    return pz_picture_alloc(&s->pic, SIDE, SIDE);
}

static enum pz_status draw_all(const struct pz_engine_vtable *v, void *engine, struct stage *s,
                               const struct pz_job *job, FILE *f)
{
    enum pz_status st = PZ_OK;
    void *session = NULL;
    double from = pz_now(), first = 0, began;
    struct pz_speech_span span = {.speech = s->speech,
                                  .n_speech = N_SPEECH,
                                  .n_frames = s->n,
                                  .frame_times = s->times,
                                  .faces = s->faces,
                                  .topology = &puppet_topology,
                                  .blend_s = 0.12};
    PZ_TRY(v->begin(engine, &span, job, &session));
    began = pz_now() - from;
    from = pz_now();
    for (int i = 0; i < s->n; i++) {
        struct pz_patch p;
        PZ_TRY(v->draw(session, i, &s->pic, &p));
        first = i ? first : pz_now() - from;
        size_t n = 3 * (size_t)p.rgb.width * (size_t)p.rgb.height;
        if (f && fwrite(p.rgb.data, sizeof(float), n, f) != n)
            st = PZ_ERR_WRITE;
    }
    double t = pz_now() - from;
    printf("  begin %.3f s, first draw %.3f s, %d frames %.3f s: %.2f ms a frame, %.2f frames/s\n", began,
           first, s->n, t, 1e3 * t / s->n, s->n / t);
fail:
    if (session)
        v->end(&session);
    return st;
}

static enum pz_status film(const struct request *q, struct stage *s, const struct pz_job *job)
{
    enum pz_status st = PZ_OK;
    const struct pz_engine_vtable *v = pz_engine_find("latentsync");
    void *engine = NULL;
    char *art = pz_asprintf("%s/art-%s", q->dir, q->name);
    FILE *f = open_file(q, "-patches");
    struct pz_engine_open_params p = {.artifact_dir = art,
                                      .models_dir = q->models,
                                      .device = q->device,
                                      .precision = q->precision,
                                      .quality = q->quality,
                                      .size = q->size};
    struct pz_film shown = {.user = s,
                            .n_frames = s->n,
                            .frame_time = frame_time,
                            .picture = picture,
                            .face = face,
                            .topology = &puppet_topology,
                            .speech = s->speech,
                            .n_speech = N_SPEECH,
                            .fit_frames = s->frames,
                            .n_fit_frames = s->n,
                            .asked_frames = s->frames,
                            .n_asked_frames = s->n};
    double from = pz_now();
    if (!art || !f) {
        st = PZ_ERR_WRITE;
        goto fail;
    }
    PZ_TRY(pz_make_dirs(job->log, art));
    PZ_TRY(v->prepare(&shown, &p, job));
    printf("  prepare %.2f s: %.1f ms a frame with loading\n", pz_now() - from,
           1e3 * (pz_now() - from) / s->n);
    from = pz_now();
    PZ_TRY(v->open(&p, job, &engine));
    printf("  open %.2f s\n", pz_now() - from);
    memory("when open");
    PZ_TRY(draw_all(v, engine, s, job, f));
    PZ_TRY(draw_all(v, engine, s, job, NULL)); // once more, warm
    memory("at the end");
    printf("  peak resident %.2f GB\n", (double)pz_peak_rss() / 1e9);
fail:
    v->close(&engine);
    if (f && fclose(f) != 0)
        st = PZ_ERR_WRITE;
    pz_free(art);
    return st;
}

static int compare(const char *a, const char *b)
{
    FILE *f = fopen(a, "rb"), *g = fopen(b, "rb");
    double sum = 0, most = 0, n = 0;
    float x, y;
    while (f && g && fread(&x, sizeof x, 1, f) == 1 && fread(&y, sizeof y, 1, g) == 1) {
        double d = (double)x - (double)y;
        sum += d * d;
        most = fmax(most, fabs(d));
        n++;
    }
    if (f)
        fclose(f);
    if (g)
        fclose(g);
    printf("%s against %s: %.0f values, PSNR %.2f dB, greatest difference %.4f\n", a, b, n,
           n > 0 && sum > 0 ? 10 * log10(n / sum) : INFINITY, most);
    return n > 0 ? 0 : 1;
}

static enum pz_status act_out(const struct request *q, int n, const struct pz_job *job)
{
    struct stage *s = pz_calloc(1, sizeof *s);
    enum pz_status st = s ? set_stage(s, n) : PZ_ERR_NOMEM;
    if (st >= PZ_OK)
        st = film(q, s, job);
    if (s) {
        pz_picture_free(&s->pic);
        pz_free(s->speech);
    }
    pz_free(s);
    return st;
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "--compare") == 0)
        return compare(argv[2], argv[3]);
    bool window = (argc == 8 || argc == 9) && strcmp(argv[1], "steps") == 0,
         played = argc == 9 && strcmp(argv[1], "film") == 0;
    int n = played ? atoi(argv[8]) : 1;
    if ((!window && !played) || n < 1 || n > MOST) {
        fprintf(stderr, "usage: see the head of tests/lipsync/latentsync_try.c\n");
        return 1;
    }
    struct request q = {
        argv[2], argv[4], argv[5], argv[6], argv[7], atoi(argv[3]), window && argc == 9 ? atoi(argv[8]) : 0,
        ""};
    snprintf(q.name, sizeof q.name, "%s-%s-%s", q.device, q.precision, q.quality);
    struct pz_log *log = pz_log_create(say, NULL, PZ_LOG_INFO);
    struct pz_pool *pool = pz_pool_create(0);
    struct pz_job job = {.log = log, .pool = pool, .seed = 1247};
    printf("latentsync %s, %s px, %s\n", argv[1], argv[3], q.name);
    enum pz_status st = pz_make_dirs(log, q.dir);
    if (st >= PZ_OK)
        st = window ? steps(&q, &job) : act_out(&q, n, &job);
    pz_pool_destroy(&pool);
    pz_log_destroy(&log);
    return pz_status_exit_code(st);
}
