/* Whisper's networks without words: times of made weights, and numbers to compare.
 *
 *   whisper_bench [cuda|cuda16|bf16] [STATE LAYERS] [tune] [profile]
 *       encoder, single steps and steps at once of made weights; default tiny
 *   whisper_bench [cuda|cuda16|bf16] --numbers CHECKPOINT IN.f32 OUT.f32 STEPS
 *       what the encoder makes of a mel [3000][80], and the logits of STEPS tokens 50258, 50259, …
 *
 * tune: the device's engines are timed first. profile: where the device's time went, at the end. Computes in
 * F32 on this processor; cuda: in F32 on the device, cuda16: in F16 there, bf16: in BF16 here. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/pool.h"
#include "nn/whisper_run.h"
#include "tensor/profile.h"

static void say(void *user, enum pz_log_level level, const char *text)
{
    (void)user;
    fprintf(stderr, "%d %s\n", (int)level, text);
}

static double wall(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double cpu(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)u.ru_utime.tv_sec + 1e-6 * (double)u.ru_utime.tv_usec + (double)u.ru_stime.tv_sec +
           1e-6 * (double)u.ru_stime.tv_usec;
}

static struct pz_plan_params plan;

#define TOKENS 100

/* One window of a checkpoint's network: audio [1500][state], then logits [steps][vocab], as raw F32. */
static int numbers(const char *path, const char *in, const char *to, int steps, const struct pz_job *job)
{
    struct pz_whisper_options o = {.file = path, .plan = plan, .width = 1};
    struct pz_checkpoint *c = NULL;
    struct pz_whisper *w = NULL;
    char *mel = NULL;
    size_t bytes = 0;
    int rows[TOKENS];
    enum pz_status st = pz_checkpoint_open(path, job, &c);
    if (st >= PZ_OK)
        st = pz_whisper_dims_read(c, path, job->log, &o.dims);
    o.checkpoint = c;
    if (st >= PZ_OK)
        st = pz_whisper_open(&o, job, &w);
    if (st >= PZ_OK)
        st = pz_file_read(job->log, in, (size_t)1 << 28, &mel, &bytes);
    float *logits = calloc((size_t)o.dims.vocab + 1, sizeof *logits);
    FILE *f = fopen(to, "wb");
    if (st >= PZ_OK &&
        (!logits || !f || steps > TOKENS || bytes < sizeof(float) * 3000 * (size_t)o.dims.bands))
        st = PZ_ERR_INPUT;
    if (st >= PZ_OK)
        st = pz_whisper_encode(w, (const float *)(const void *)mel);
    if (st >= PZ_OK)
        fwrite(pz_whisper_audio(w), sizeof(float) * (size_t)o.dims.audio_state, (size_t)o.dims.audio_ctx, f);
    for (int i = 0; i < steps && st >= PZ_OK; i++) {
        struct pz_whisper_item item = {50258 + i, rows, i, i, logits, NULL};
        rows[i] = i;
        st = pz_whisper_step(w, &item, 1);
        fwrite(logits, sizeof(float), (size_t)o.dims.vocab, f);
    }
    if (f)
        fclose(f);
    free(logits);
    pz_free(mel);
    pz_whisper_close(&w);
    pz_checkpoint_close(&c);
    return st < PZ_OK;
}

/* One window: the encoder, TOKENS single steps, TOKENS tokens again at once for their times. */
static int time_made(int state, int layers, const struct pz_job *job)
{
    struct pz_whisper_options o = {
        .dims = {80, 51865, 1500, state, state / 64, layers, 448, state, state / 64, layers, false},
        .plan = plan,
        .width = 1};
    struct pz_whisper *w = NULL;
    struct pz_whisper_item items[TOKENS];
    int rows[TOKENS];
    float *mel = calloc(3000 * 80, sizeof *mel);
    float *queries = calloc((size_t)TOKENS * (size_t)layers * (size_t)state, sizeof *queries);
    float *logits = calloc((size_t)o.dims.vocab, sizeof *logits);
    double t0 = wall(), c0 = cpu();
    if (!mel || !queries || !logits || pz_whisper_open(&o, job, &w) < PZ_OK)
        return 1;
    printf("ready %.2f s (CPU %.2f s), %.0f MB\n", wall() - t0, cpu() - c0, (double)pz_peak_rss() / 1e6);
    pz_rule_input(5000, -1, 1.4f, 3000 * 80, mel);
    for (int round = 0; round < 3; round++) {
        double t1 = wall(), c1 = cpu();
        if (pz_whisper_encode(w, mel) < PZ_OK)
            return 1;
        double t2 = wall(), c2 = cpu();
        for (int i = 0; i < TOKENS; i++) {
            rows[i] = i;
            items[i] = (struct pz_whisper_item){50258 + i % 7, rows, i, i, logits, NULL};
            if (pz_whisper_step(w, &items[i], 1) < PZ_OK)
                return 1;
        }
        double t3 = wall(), c3 = cpu();
        for (int i = 0; i < TOKENS; i++) {
            items[i].logits = NULL;
            items[i].queries = queries + i * layers * state;
        }
        if (pz_whisper_step(w, items, TOKENS) < PZ_OK)
            return 1;
        double t4 = wall(), c4 = cpu();
        printf("encoder %.3f s (CPU %.3f), %d steps %.3f s (CPU %.3f), at once %.3f s (CPU %.3f): %.1f x "
               "real time\n",
               t2 - t1, c2 - c1, TOKENS, t3 - t2, c3 - c2, t4 - t3, c4 - c3, 30.0 / (t4 - t1));
    }
    pz_whisper_close(&w);
    free(mel);
    free(queries);
    free(logits);
    return 0;
}

int main(int argc, char **argv)
{
    struct pz_log *log = pz_log_create(say, NULL, PZ_LOG_WARNING);
    struct pz_pool *pool = pz_pool_create(0);
    struct pz_job job = {.log = log, .pool = pool, .seed = 1};
    int rc;
    if (argc > 1 && strcmp(argv[argc - 1], "profile") == 0) {
        job.profile = pz_profile_create();
        argc--;
    }
    plan = pz_plan_default;
    if (argc > 1 && strcmp(argv[argc - 1], "tune") == 0) {
        plan.tune = true;
        argc--;
    }
    plan.threads = pz_pool_threads(pool);
    if (argc >= 2 && strncmp(argv[1], "cuda", 4) == 0) {
        plan.backend = PZ_BACKEND_CUDA;
        plan.dtype = strcmp(argv[1], "cuda16") == 0 ? PZ_DTYPE_F16 : PZ_DTYPE_F32;
    } else if (argc >= 2 && strcmp(argv[1], "bf16") == 0) {
        plan.dtype = PZ_DTYPE_BF16;
    } else {
        argv--;
        argc++;
    }
    if (argc >= 7 && strcmp(argv[2], "--numbers") == 0)
        rc = numbers(argv[3], argv[4], argv[5], atoi(argv[6]), &job);
    else
        rc = time_made(argc > 2 ? atoi(argv[2]) : 384, argc > 3 ? atoi(argv[3]) : 4, &job);
    if (job.profile) {
        char *table = pz_profile_table(job.profile);
        puts(table ? table : "");
        pz_free(table);
        pz_profile_destroy(&job.profile);
    }
    pz_pool_destroy(&pool);
    pz_log_destroy(&log);
    return rc;
}
