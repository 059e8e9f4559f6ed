/*
 * The musetalk engine on a painted film, timed; its patches are kept, so that devices and precisions can be
 * compared. For machines without films and codecs.
 *
 *   musetalk_try MODELS DEVICE PRECISION FRAMES DIR [DRAWN [BUSY]]   prepare, open, draw;
 *                       DIR/DEVICE-PRECISION.f32 (DRAWN: only so many of FRAMES). BUSY: draw a third time,
 * the caller's processor busy for so many ms after each picture, as pasting and encoding are musetalk_try
 * --compare A.f32 B.f32                        PSNR of the patches both hold
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/pool.h"
#include "engine_try.h"

int main(int argc, char **argv)
{
    char name[64];
    if (argc == 4 && strcmp(argv[1], "--compare") == 0)
        return engine_try_compare(argv[2], argv[3]);
    int n = argc >= 6 && argc <= 8 ? atoi(argv[4]) : 0, drawn = argc >= 7 ? atoi(argv[6]) : n;
    if (n < 1 || n > ENGINE_TRY_MOST || drawn < 1 || drawn > n) {
        fprintf(stderr, "usage: see the head of tests/lipsync/musetalk_try.c\n");
        return 1;
    }
    struct pz_log *log = pz_log_create(engine_try_say, NULL, PZ_LOG_WARNING);
    struct pz_pool *pool = pz_pool_create(0);
    struct pz_job job = {.log = log, .pool = pool, .seed = 1};
    struct engine_try t = {.engine = "musetalk",
                           .params = {.models_dir = argv[1], .device = argv[2], .precision = argv[3]},
                           .dir = argv[5],
                           .name = name,
                           .frames = n,
                           .drawn = drawn,
                           .busy = argc == 8 ? atof(argv[7]) / 1e3 : 0};
    snprintf(name, sizeof name, "%s-%s", argv[2], argv[3]);
    printf("musetalk on %s in %s\n", argv[2], argv[3]);
    enum pz_status st = engine_try_film(&t, &job);
    pz_pool_destroy(&pool);
    pz_log_destroy(&log);
    return pz_status_exit_code(st);
}
