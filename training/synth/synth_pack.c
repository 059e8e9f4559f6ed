/* synth_pack: makes the file that synth_faces reads from the ICT head. See pack.h. */
#include <stdio.h>

#include "pack.h"

static void say(void *user, enum pz_log_level level, const char *text)
{
    (void)user;
    fprintf(stderr, "%s%s\n", level == PZ_LOG_ERROR ? "error: " : "", text);
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fputs("synth_pack ict_facekit.safetensors OUT.safetensors\n", stderr);
        return 1;
    }
    struct pz_log *log = pz_log_create(say, NULL, PZ_LOG_INFO);
    struct pz_pool *pool = pz_pool_create(0);
    enum pz_status st = pz_syn_pack(log, pool, argv[1], argv[2]);
    pz_pool_destroy(&pool);
    pz_log_destroy(&log);
    return pz_status_exit_code(st < PZ_OK ? st : PZ_OK);
}
