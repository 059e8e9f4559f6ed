/* synth_speech: a file of speech for synth_talk. See bank.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bank.h"

static void say(void *user, enum pz_log_level level, const char *text)
{
    (void)user;
    fprintf(stderr, "%s%s\n", level == PZ_LOG_ERROR ? "error: " : "", text);
}

int main(int argc, char **argv)
{
    double minutes = 40;
    unsigned long long seed = 1;
    int mulaw = 0;
    const char *out = NULL;
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--minutes") && i + 1 < argc)
            minutes = strtod(argv[++i], NULL);
        else if (!strcmp(argv[i], "--seed") && i + 1 < argc)
            seed = strtoull(argv[++i], NULL, 10);
        else if (!strcmp(argv[i], "--mulaw"))
            mulaw = 1;
        else if (argv[i][0] != '-' && !out)
            out = argv[i];
        else
            out = "";
    }
    if (!out || !*out) {
        fputs("synth_speech [--minutes M] [--seed S] [--mulaw] OUT.safetensors\n", stderr);
        return 1;
    }
    struct pz_log *log = pz_log_create(say, NULL, PZ_LOG_INFO);
    enum pz_status st = pz_syn_bank_make(log, out, minutes, seed, mulaw);
    pz_log_destroy(&log);
    return pz_status_exit_code(st < PZ_OK ? st : PZ_OK);
}
