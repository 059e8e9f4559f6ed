/*
 * The musetalk engine on a painted film, timed; its patches are kept, so that devices and precisions can be
 * compared. For machines without films and codecs.
 *
 *   musetalk_try MODELS DEVICE PRECISION FRAMES DIR [DRAWN [BUSY]]   prepare, open, draw;
 *                       DIR/DEVICE-PRECISION.f32 (DRAWN: only so many of FRAMES). BUSY: draw a third time,
 * the caller's processor busy for so many ms after each picture, as pasting and encoding are musetalk_try
 * --compare A.f32 B.f32                        PSNR of the patches both hold
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
#include "puppet.h"
#include "tensor/cuda/cuda.h"

enum { SIDE = 1080, MOST = 400, N_SPEECH = 16 * 16000 };

struct stage {
    struct pz_face face[MOST];
    int64_t frames[MOST];
    double times[MOST];
    const struct pz_face *faces[MOST];
    struct pz_picture pic;
    float *speech;
    int n, drawn;
    double busy; /* s after each picture */
};

static void say(void *user, enum pz_log_level level, const char *text)
{
    fprintf(stderr, "  %s\n", text);
}

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

static enum pz_status set_stage(struct stage *s, int n, int drawn)
{
    s->n = n;
    s->drawn = drawn;
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

static void memory(const char *when)
{
    size_t left, all;
    if (pz_cuda_memory(&left, &all))
        printf("  device memory in use %s: %.2f GB\n", when, (double)(all - left) / 1e9);
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
    for (int i = 0; i < s->drawn; i++) {
        struct pz_patch p;
        PZ_TRY(v->draw(session, i, &s->pic, &p));
        first = i ? first : pz_now() - from;
        size_t n = 3 * (size_t)p.rgb.width * (size_t)p.rgb.height;
        if (f && fwrite(p.rgb.data, sizeof(float), n, f) != n)
            st = PZ_ERR_WRITE;
        for (double until = pz_now() + s->busy; s->busy > 0 && pz_now() < until;)
            ;
    }
    double t = pz_now() - from;
    printf("  begin %.3f s, first draw %.3f s, %d frames %.3f s: %.2f ms a frame, %.1f frames/s\n", began,
           first, s->drawn, t, 1e3 * t / s->drawn, s->drawn / t);
fail:
    if (session)
        v->end(&session);
    return st;
}

static enum pz_status perform(char **argv, struct stage *s, const struct pz_job *job)
{
    enum pz_status st = PZ_OK;
    const struct pz_engine_vtable *v = pz_engine_find("musetalk");
    void *engine = NULL;
    char *art = pz_asprintf("%s/art-%s-%s", argv[5], argv[2], argv[3]),
         *out = pz_asprintf("%s/%s-%s.f32", argv[5], argv[2], argv[3]);
    FILE *f = out && pz_make_dirs(job->log, argv[5]) >= PZ_OK ? fopen(out, "wb") : NULL;
    struct pz_engine_open_params p = {
        .artifact_dir = art, .models_dir = argv[1], .device = argv[2], .precision = argv[3]};
    struct pz_film film = {
        .user = s,
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
        .n_asked_frames = s->drawn + 4 < s->n ? s->drawn + 4 : s->n}; // boxes are means of their neighbours
    double from = pz_now();
    if (!art || !f) {
        st = PZ_ERR_WRITE;
        goto fail;
    }
    PZ_TRY(pz_make_dirs(job->log, art));
    PZ_TRY(v->prepare(&film, &p, job));
    printf("musetalk on %s in %s\n  prepare %.2f s: %.1f ms a frame with loading\n", argv[2], argv[3],
           pz_now() - from, 1e3 * (pz_now() - from) / (double)film.n_asked_frames);
    from = pz_now();
    PZ_TRY(v->open(&p, job, &engine));
    printf("  open %.2f s\n", pz_now() - from);
    memory("when open");
    PZ_TRY(draw_all(v, engine, s, job, f));
    PZ_TRY(draw_all(v, engine, s, job, NULL)); // once more, warm
    if (argv[6] && argv[7]) {
        s->busy = atof(argv[7]) / 1e3;
        printf("  busy for %.2f ms after each:\n", 1e3 * s->busy);
        PZ_TRY(draw_all(v, engine, s, job, NULL));
    }
    memory("at the end");
    printf("  peak resident %.2f GB\n", (double)pz_peak_rss() / 1e9);
fail:
    v->close(&engine);
    if (f && fclose(f) != 0)
        st = PZ_ERR_WRITE;
    pz_free(art);
    pz_free(out);
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

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "--compare") == 0)
        return compare(argv[2], argv[3]);
    int n = argc >= 6 && argc <= 8 ? atoi(argv[4]) : 0, drawn = argc >= 7 ? atoi(argv[6]) : n;
    if (n < 1 || n > MOST || drawn < 1 || drawn > n) {
        fprintf(stderr, "usage: see the head of tests/lipsync/musetalk_try.c\n");
        return 1;
    }
    struct pz_log *log = pz_log_create(say, NULL, PZ_LOG_WARNING);
    struct pz_pool *pool = pz_pool_create(0);
    struct pz_job job = {.log = log, .pool = pool, .seed = 1};
    struct stage *s = pz_calloc(1, sizeof *s);
    enum pz_status st = s ? set_stage(s, n, drawn) : PZ_ERR_NOMEM;
    if (st >= PZ_OK)
        st = perform(argv, s, &job);
    if (s) {
        pz_picture_free(&s->pic);
        pz_free(s->speech);
    }
    pz_free(s);
    pz_pool_destroy(&pool);
    pz_log_destroy(&log);
    return pz_status_exit_code(st);
}
