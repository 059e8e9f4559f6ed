/* synth_talk: clips of talking synthetic people. See talk.h, bank.h, shard.h. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "talk.h"

static const char kHelp[] =
    "synth_talk --head FILE --speech FILE --out DIR [options]\n"
    "  --head FILE        packed head (synth_pack);  --speech FILE  of synth_speech\n"
    "  --out DIR          DIR/talk-NNNNN.safetensors, a clip each, complete when it appears\n"
    "  --clips K          default 16;  --first-clip I  default 0;  --frames N  default 60;  --fps F  default "
    "25\n"
    "  --size S           pixels, default 256;  --seed S  default 1;  --threads T  default all\n"
    "  --sheet FILE.png   draw every second frame of the clips, --columns C (default 12), and stop\n";

static void say(void *user, enum pz_log_level level, const char *text)
{
    (void)user;
    fprintf(stderr, "%s%s\n", level == PZ_LOG_ERROR ? "error: " : "", text);
}

int main(int argc, char **argv)
{
    static const struct option opt[] = {{"head", 1, 0, 'H'},       {"speech", 1, 0, 'p'},
                                        {"out", 1, 0, 'o'},        {"clips", 1, 0, 'k'},
                                        {"first-clip", 1, 0, 'i'}, {"frames", 1, 0, 'n'},
                                        {"fps", 1, 0, 'f'},        {"size", 1, 0, 'z'},
                                        {"seed", 1, 0, 's'},       {"threads", 1, 0, 't'},
                                        {"sheet", 1, 0, 'S'},      {"columns", 1, 0, 'c'},
                                        {"help", 0, 0, 'h'},       {0, 0, 0, 0}};
    struct pz_talk_options o = {.clips = 16, .frames = 60, .size = 256, .fps = 25.f, .seed = 1};
    const char *head = NULL, *speech = NULL, *sheet = NULL;
    int c, threads = 0, columns = 12;
    while ((c = getopt_long(argc, argv, "h", opt, NULL)) != -1) {
        switch (c) {
        case 'H':
            head = optarg;
            break;
        case 'p':
            speech = optarg;
            break;
        case 'o':
            o.out = optarg;
            break;
        case 'k':
            o.clips = atoi(optarg);
            break;
        case 'i':
            o.first_clip = atoi(optarg);
            break;
        case 'n':
            o.frames = atoi(optarg);
            break;
        case 'f':
            o.fps = strtof(optarg, NULL);
            break;
        case 'z':
            o.size = atoi(optarg);
            break;
        case 's':
            o.seed = strtoull(optarg, NULL, 10);
            break;
        case 't':
            threads = atoi(optarg);
            break;
        case 'S':
            sheet = optarg;
            break;
        case 'c':
            columns = atoi(optarg);
            break;
        case 'h':
            fputs(kHelp, stdout);
            return 0;
        default:
            fputs(kHelp, stderr);
            return 1;
        }
    }
    if (!head || !speech || (!o.out && !sheet) || columns < 1 || columns > 64 || (sheet && o.clips > 64)) {
        fputs(kHelp, stderr);
        return 1;
    }
    enum pz_status st = PZ_OK;
    struct pz_log *log = pz_log_create(say, NULL, PZ_LOG_INFO);
    struct pz_pool *pool = pz_pool_create(threads);
    static struct pz_q_head h;
    static struct pz_syn_bank b;
    double sec = 0;
    PZ_TRY(pz_q_head_open(log, head, &h));
    PZ_TRY(pz_syn_bank_open(log, speech, &b));
    clock_t t0 = clock();
    if (sheet) {
        PZ_TRY(pz_talk_sheet(log, &h, &b, &o, columns, 2, sheet));
    } else {
        PZ_TRY(pz_talk_make(log, pool, &h, &b, &o, &sec));
        double cpu = (double)(clock() - t0) / CLOCKS_PER_SEC, n = (double)o.clips * (double)o.frames;
        pz_info(log, "%.0f pictures in %.2f s: %.0f a second on %d threads, %.2f ms of CPU each", n, sec,
                n / sec, pz_pool_threads(pool), 1e3 * cpu / n);
    }
fail:
    pz_syn_bank_close(&b);
    pz_q_head_close(&h);
    pz_pool_destroy(&pool);
    pz_log_destroy(&log);
    return pz_status_exit_code(st < PZ_OK ? st : PZ_OK);
}
