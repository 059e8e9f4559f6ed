/* Whisper by hand: hear a WAV file with a model and print words with times as lines.
 *
 *   whisper_try [cuda|cuda16] MODEL FILE.wav [BEAMS [LANGUAGE|- [cold]]]   MODEL: a size, a checkpoint or a
 * folder
 *
 * Computes in F32 on this processor; cuda: in F32 on the device, cuda16: in F16. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/pool.h"
#include "speech/voice.h"
#include "speech/whisper.h"

static void say(void *user, enum pz_log_level level, const char *text)
{
    (void)user;
    fprintf(stderr, "%d %s\n", (int)level, text);
}

static struct pz_plan_params plan;

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
        st = pz_whisper_ears_open(model, dir ? dir : ".", beams, &plan, job, &e);
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
    plan = pz_plan_default;
    plan.threads = pz_pool_threads(pool);
    if (argc >= 2 && strncmp(argv[1], "cuda", 4) == 0) {
        plan.backend = PZ_BACKEND_CUDA;
        plan.dtype = strcmp(argv[1], "cuda16") == 0 ? PZ_DTYPE_F16 : PZ_DTYPE_F32;
        argv++;
        argc--;
    }
    struct pz_whisper_listen_params params = {.language = argc > 4 && argv[4][0] != '-' ? argv[4] : NULL,
                                              .cold = argc > 5};
    int rc = 2;
    if (argc >= 3)
        rc = hear(argv[1], argv[2], argc > 3 ? atoi(argv[3]) : 1, params, &job);
    else
        fputs("whisper_try [cuda|cuda16] MODEL FILE.wav [BEAMS [LANGUAGE|- [cold]]]\n", stderr);
    pz_pool_destroy(&pool);
    pz_log_destroy(&log);
    return rc;
}
