/* Whisper by hand: hear a WAV file with a model and print words with times as JSON lines, or time a model of
 * made weights.
 *
 *   whisper_try MODEL FILE.wav [BEAMS [LANGUAGE|- [cold]]]   MODEL: a size, a checkpoint or a folder
 *   whisper_try --time [STATE LAYERS]               encoder, steps and times of made weights; default tiny */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/pool.h"
#include "speech/voice.h"
#include "speech/whisper.h"
#include "speech/whisper_decode.h"

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

#define TOKENS 100

/* One window: the encoder, TOKENS single steps, TOKENS tokens again at once for their times. */
static int time_made(int state, int layers, const struct pz_job *job)
{
    struct pz_whisper_options o = {
        .dims = {80, 51865, 1500, state, state / 64, layers, 448, state, state / 64, layers, false},
        .plan = pz_plan_default,
        .width = 1};
    struct pz_whisper *w = NULL;
    struct pz_whisper_item items[TOKENS];
    int rows[TOKENS];
    float *mel = calloc(3000 * 80, sizeof *mel);
    float *queries = calloc((size_t)TOKENS * (size_t)layers * (size_t)state, sizeof *queries);
    double t0 = wall(), c0 = cpu();
    o.plan.threads = pz_pool_threads(job->pool);
    if (!mel || !queries || pz_whisper_open(&o, job, &w) < PZ_OK)
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
            items[i] =
                (struct pz_whisper_item){50258 + i % 7, rows, i, i, NULL, queries + i * layers * state};
            if (pz_whisper_step(w, &items[i], 1) < PZ_OK)
                return 1;
        }
        double t3 = wall(), c3 = cpu();
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
    return 0;
}

static int hear(const char *model, const char *path, int beams, struct pz_whisper_listen_params params,
                const struct pz_job *job)
{
    const char *dir = getenv("PERSONALIZE_MODELS");
    struct pz_whisper_ears *e = NULL;
    struct pz_whisper_heard h = {0};
    struct pz_tap_memory memory;
    float *samples = NULL;
    int64_t n = 0;
    int rate = 0;
    char *file = NULL;
    size_t bytes = 0;
    enum pz_status st = pz_file_read(job->log, path, (size_t)1 << 30, &file, &bytes);
    if (st >= PZ_OK)
        st = pz_wav_parse(job->log, (const uint8_t *)file, bytes, &samples, &n, &rate);
    pz_free(file);
    if (st >= PZ_OK)
        st = pz_whisper_ears_open(model, dir ? dir : ".", beams, job, &e);
    struct pz_tap tap = pz_tap_from_memory(&memory, samples, n, rate, 1);
    if (st >= PZ_OK)
        st = pz_whisper_listen(e, &tap, &params, job, &h);
    for (int i = 0; i < h.words.n; i++) {
        const struct pz_whisper_word *w = &h.words.items[i];
        printf("%.2f %.2f %.4f %s\n", w->start, w->end, (double)w->probability, w->text);
    }
    pz_whisper_heard_free(&h);
    pz_whisper_ears_close(&e);
    pz_free(samples);
    return st < PZ_OK;
}

int main(int argc, char **argv)
{
    struct pz_log *log = pz_log_create(say, NULL, PZ_LOG_DEBUG);
    struct pz_pool *pool = pz_pool_create(0);
    struct pz_job job = {.log = log, .pool = pool, .seed = 1};
    struct pz_whisper_listen_params params = {.language = argc > 4 && argv[4][0] != '-' ? argv[4] : NULL,
                                              .cold = argc > 5};
    int rc = 2;
    if (argc >= 2 && strcmp(argv[1], "--time") == 0)
        rc = time_made(argc > 2 ? atoi(argv[2]) : 384, argc > 3 ? atoi(argv[3]) : 4, &job);
    else if (argc >= 3)
        rc = hear(argv[1], argv[2], argc > 3 ? atoi(argv[3]) : 1, params, &job);
    else
        fputs("whisper_try MODEL FILE.wav [BEAMS [LANGUAGE|- [cold]]] | whisper_try --time [STATE LAYERS]\n",
              stderr);
    pz_pool_destroy(&pool);
    pz_log_destroy(&log);
    return rc;
}
