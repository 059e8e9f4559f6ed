/*
 * MuseTalk's stages one by one, for comparing with other implementations on the same inputs and weights.
 *
 *   musetalk_stages MODELS DEVICE PRECISION DIR N [RUNS]
 *
 * DIR holds sound.f32 (mono 16 kHz), crops.u8 [N][256][256][3] and face.u8 [512][512][3]; left there, with
 * DEVICE-PRECISION- before their names: features.f32 [steps][layers][width], heard.f32 [N][50][384] (the
 * windows of pictures 0 … N − 1 at 25 a second, without positions), masked.f32, reference.f32, z.f32
 * [N][32][32][4], picture.f32 [N][256][256][3] as the decoder gives it, classes.u8 [512][512]. Then UNet and
 * decoder are timed over RUNS batches of N.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/order.h"
#include "base/pool.h"
#include "lipsync/engine_plan.h"
#include "lipsync/face_parser.h"
#include "lipsync/musetalk_look.h"
#include "lipsync/speech_features.h"
#include "tensor/cuda/cuda.h"

#define CROP ((size_t)PZ_MUSETALK_SIDE * PZ_MUSETALK_SIDE * 3)
#define FLOATS ((size_t)PZ_MUSETALK_FLOATS)
#define PARSED ((size_t)PZ_MUSETALK_PARSED * PZ_MUSETALK_PARSED)

struct stages {
    const char *dir, *prefix;
    struct pz_musetalk_files files;
    struct pz_engine_plan plan;
    struct pz_plan_params around; /* of the networks around the UNet */
    const struct pz_job *job;
    int n, runs;
    size_t heard; /* floats of a window */
    float *windows, *masked, *reference, *z, *picture;
};

static void say(void *user, enum pz_log_level level, const char *text)
{
    fprintf(stderr, "  %s\n", text);
}

/* A whole file on the heap; at least `least` bytes or NULL. */
static void *read_file(const struct stages *s, const char *name, size_t least, size_t *bytes)
{
    char *path = pz_asprintf("%s/%s", s->dir, name), *data = NULL;
    FILE *f = path ? fopen(path, "rb") : NULL;
    long size = f && fseek(f, 0, SEEK_END) == 0 ? ftell(f) : -1;
    if (size > 0 && (size_t)size >= least && fseek(f, 0, SEEK_SET) == 0)
        data = pz_calloc((size_t)size, 1);
    if (data && fread(data, 1, (size_t)size, f) != (size_t)size) {
        pz_free(data);
        data = NULL;
    }
    if (!data)
        pz_fail(s->job->log, PZ_ERR_INPUT, "'%s' is missing or too short", path ? path : name);
    *bytes = data ? (size_t)size : 0;
    if (f)
        fclose(f);
    pz_free(path);
    return data;
}

static enum pz_status keep(const struct stages *s, const char *name, const void *data, size_t bytes)
{
    char *path = pz_asprintf("%s/%s-%s", s->dir, s->prefix, name);
    FILE *f = path ? fopen(path, "wb") : NULL;
    bool done = f && fwrite(data, 1, bytes, f) == bytes;
    if (f && fclose(f) != 0)
        done = false;
    pz_free(path);
    return done ? PZ_OK : PZ_ERR_WRITE;
}

static enum pz_status hear(struct stages *s, int *tokens, int *width)
{
    enum pz_status st = PZ_OK;
    struct pz_speech_features *f = NULL;
    float *features = NULL;
    size_t bytes;
    int64_t steps = 0;
    float *sound = read_file(s, "sound.f32", 16000 * sizeof(float), &bytes);
    if (!sound)
        return PZ_ERR_INPUT;
    PZ_TRY(pz_speech_features_open(s->files.whisper, &s->around, true, s->job, &f));
    PZ_TRY(pz_speech_features_run(f, sound, (int64_t)(bytes / sizeof *sound), s->job, &features, &steps));
    *tokens = PZ_MUSETALK_STEPS * pz_speech_features_layers(f);
    *width = pz_speech_features_width(f);
    s->heard = (size_t)*tokens * (size_t)*width;
    s->windows = pz_calloc((size_t)s->n, s->heard * sizeof *s->windows);
    if (!s->windows) {
        st = PZ_ERR_NOMEM;
        goto fail;
    }
    for (int i = 0; i < s->n; i++)
        pz_speech_features_window(f, features, steps, pz_musetalk_window_first(i / 25.0, 25),
                                  PZ_MUSETALK_STEPS, s->windows + (size_t)i * s->heard);
    PZ_TRY(keep(s, "features.f32", features,
                (size_t)steps * (size_t)pz_speech_features_layers(f) * (size_t)*width * sizeof *features));
    PZ_TRY(keep(s, "heard.f32", s->windows, (size_t)s->n * s->heard * sizeof *s->windows));
fail:
    pz_speech_features_close(&f);
    pz_free(sound);
    pz_free(features);
    return st;
}

static enum pz_status look(struct stages *s)
{
    enum pz_status st = PZ_OK;
    struct pz_latent_coder *c = NULL;
    struct pz_face_parser *p = NULL;
    size_t bytes, n = (size_t)s->n;
    uint8_t *crops = read_file(s, "crops.u8", n * CROP, &bytes),
            *face = read_file(s, "face.u8", 3 * PARSED, &bytes), *classes = pz_calloc(PARSED, 1);
    if (!crops || !face || !classes) {
        st = PZ_ERR_INPUT;
        goto fail;
    }
    PZ_TRY(pz_latent_coder_open(s->files.vae, s->files.vae_config, false, PZ_MUSETALK_SIDE, s->n, &s->around,
                                s->job, &c));
    PZ_TRY(pz_latent_encode(c, crops, s->n, s->job->pool, s->reference));
    for (size_t i = 0; i < n; i++)
        memset(crops + i * CROP + CROP / 2, 0, CROP / 2);
    PZ_TRY(pz_latent_encode(c, crops, s->n, s->job->pool, s->masked));
    PZ_TRY(pz_face_parser_open(s->files.parser, &s->plan.params, s->job, &p));
    PZ_TRY(pz_face_parser_run(p, face, s->job->pool, classes));
    PZ_TRY(keep(s, "masked.f32", s->masked, n * FLOATS * sizeof(float)));
    PZ_TRY(keep(s, "reference.f32", s->reference, n * FLOATS * sizeof(float)));
    PZ_TRY(keep(s, "classes.u8", classes, PARSED));
fail:
    pz_latent_coder_close(&c);
    pz_face_parser_close(&p);
    pz_free(crops);
    pz_free(face);
    pz_free(classes);
    return st;
}

static void report(const struct stages *s, const char *what, double *t)
{
    qsort(t, (size_t)s->runs, sizeof *t, pz_by_double);
    printf("  %s, batch %d: median %.2f ms, best %.2f ms of %d runs\n", what, s->n, 1e3 * t[s->runs / 2],
           1e3 * t[0], s->runs);
}

static enum pz_status make(struct stages *s, int tokens, int width)
{
    enum pz_status st = PZ_OK;
    struct pz_musetalk_unet_run *u = NULL;
    struct pz_latent_coder *d = NULL;
    const float *p[3][32];
    double t[3][64], from;
    size_t n = (size_t)s->n, left, all;
    for (size_t i = 0; i < n; i++) {
        p[0][i] = s->masked + i * FLOATS;
        p[1][i] = s->reference + i * FLOATS;
        p[2][i] = s->windows + i * s->heard;
    }
    PZ_TRY(pz_musetalk_unet_open(s->files.unet, s->files.unet_config, s->n, tokens, width, &s->plan.params,
                                 s->job, &u));
    PZ_TRY(pz_latent_coder_open(s->files.vae, s->files.vae_config, true, PZ_MUSETALK_SIDE,
                                pz_musetalk_decoder_batch(s->n), &s->around, s->job, &d));
    PZ_TRY(pz_musetalk_unet_run(u, p[0], p[1], p[2], s->n, s->job->pool, s->z));
    PZ_TRY(keep(s, "z.f32", s->z, n * FLOATS * sizeof(float)));
    PZ_TRY(pz_latent_decode_floats(d, s->z, s->n, s->job->pool, s->picture));
    PZ_TRY(keep(s, "picture.f32", s->picture, n * CROP * sizeof(float)));
    for (int i = 0; i < s->runs; i++) {
        from = pz_now();
        PZ_TRY(pz_musetalk_unet_run(u, p[0], p[1], p[2], s->n, s->job->pool, s->z));
        t[0][i] = pz_now() - from;
        PZ_TRY(pz_latent_decode(d, s->z, s->n, s->job->pool, s->picture));
        t[2][i] = pz_now() - from;
        t[1][i] = t[2][i] - t[0][i];
    }
    if (s->runs) {
        report(s, "UNet, from the host and back", t[0]);
        report(s, "decoder, from the host to 8-bit planes on the host", t[1]);
        report(s, "both", t[2]);
        printf("  %.1f frames/s\n", s->n / t[2][s->runs / 2]);
    }
    if (s->plan.cuda && pz_cuda_memory(&left, &all))
        printf("  device memory in use, whole device: %.2f GB\n", (double)(all - left) / 1e9);
fail:
    pz_musetalk_unet_close(&u);
    pz_latent_coder_close(&d);
    return st;
}

int main(int argc, char **argv)
{
    struct stages s = {0};
    int tokens = 0, width = 0;
    s.n = argc >= 6 ? atoi(argv[5]) : 0;
    s.runs = argc >= 7 ? atoi(argv[6]) : 0;
    if (s.n < 1 || s.n > 32 || s.runs < 0 || s.runs > 64) {
        fprintf(stderr, "usage: see the head of tests/lipsync/musetalk_stages.c\n");
        return 1;
    }
    struct pz_log *log = pz_log_create(say, NULL, PZ_LOG_WARNING);
    struct pz_pool *pool = pz_pool_create(0);
    struct pz_job job = {.log = log, .pool = pool, .seed = 1};
    char *prefix = pz_asprintf("%s-%s", argv[2], argv[3]);
    struct pz_engine_open_params ep = {.device = argv[2], .precision = argv[3]};
    size_t n = (size_t)s.n;
    enum pz_status st = PZ_OK;
    s.dir = argv[4];
    s.prefix = prefix;
    s.job = &job;
    s.masked = pz_calloc(n, FLOATS * sizeof(float));
    s.reference = pz_calloc(n, FLOATS * sizeof(float));
    s.z = pz_calloc(n, FLOATS * sizeof(float));
    s.picture = pz_calloc(n, CROP * sizeof(float));
    if (!prefix || !s.masked || !s.reference || !s.z || !s.picture)
        st = PZ_ERR_NOMEM;
    if (st >= PZ_OK)
        st = pz_engine_plan(&ep, "musetalk", &job, &s.plan);
    if (st >= PZ_OK)
        st = pz_musetalk_find(argv[1], NULL, log, &s.files);
    s.around = pz_musetalk_around(&s.plan.params);
    printf("musetalk's stages on %s in %s\n", argv[2], argv[3]);
    if (st >= PZ_OK)
        st = hear(&s, &tokens, &width);
    if (st >= PZ_OK)
        st = look(&s);
    if (st >= PZ_OK)
        st = make(&s, tokens, width);
    pz_free(s.windows);
    pz_free(s.masked);
    pz_free(s.reference);
    pz_free(s.z);
    pz_free(s.picture);
    pz_free(prefix);
    pz_engine_plan_free(&s.plan);
    pz_musetalk_files_free(&s.files);
    pz_pool_destroy(&pool);
    pz_log_destroy(&log);
    return pz_status_exit_code(st);
}
