/* synth_faces: shards of synthetic people. See faces.h, shard.h. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "faces.h"

static const char kHelp[] =
    "synth_faces --head FILE --out DIR [options]\n"
    "  --head FILE        packed head (synth_pack)\n"
    "  --out DIR          shards DIR/faces-NNNNN.safetensors, each complete when it appears\n"
    "  --shards K         default 1;  --records N  a shard, default 1024;  --first-shard I  default 0\n"
    "  --size S           pixels, default 256\n"
    "  --looks L          pictures of one person, default 8\n"
    "  --margin F         scales the side of the picture (24-30 cm at the face, a quarter 30-90), default 1\n"
    "  --scene            0-4 heads a picture, of any size: DIR/scenes-NNNNN.safetensors\n"
    "  --seed S           default 1;  --threads T  default all\n"
    "  --bench N          draw N pictures, write nothing, print the time of each step\n"
    "  --sheet FILE.png   draw --columns C (default 8) by --rows R (default 8) pictures and stop\n";

static void say(void *user, enum pz_log_level level, const char *text)
{
    (void)user;
    fprintf(stderr, "%s%s\n", level == PZ_LOG_ERROR ? "error: " : "", text);
}

int main(int argc, char **argv)
{
    static const struct option opt[] = {{"head", 1, 0, 'H'},
                                        {"out", 1, 0, 'o'},
                                        {"shards", 1, 0, 'k'},
                                        {"records", 1, 0, 'n'},
                                        {"first-shard", 1, 0, 'i'},
                                        {"size", 1, 0, 'z'},
                                        {"looks", 1, 0, 'l'},
                                        {"margin", 1, 0, 'm'},
                                        {"seed", 1, 0, 's'},
                                        {"threads", 1, 0, 't'},
                                        {"sheet", 1, 0, 'S'},
                                        {"columns", 1, 0, 'c'},
                                        {"rows", 1, 0, 'r'},
                                        {"scene", 0, 0, 'N'},
                                        {"bench", 1, 0, 'B'},
                                        {"help", 0, 0, 'h'},
                                        {0, 0, 0, 0}};
    struct pz_faces_options o = {
        .shards = 1, .records = 1024, .size = 256, .looks = 8, .seed = 1, .margin = 1.f};
    const char *head = NULL, *sheet = NULL;
    int c, bench = 0, threads = 0, columns = 8, rows = 8;
    while ((c = getopt_long(argc, argv, "h", opt, NULL)) != -1) {
        switch (c) {
        case 'H':
            head = optarg;
            break;
        case 'o':
            o.out = optarg;
            break;
        case 'k':
            o.shards = atoi(optarg);
            break;
        case 'n':
            o.records = atoi(optarg);
            break;
        case 'i':
            o.first_shard = atoi(optarg);
            break;
        case 'z':
            o.size = atoi(optarg);
            break;
        case 'l':
            o.looks = atoi(optarg);
            break;
        case 'm':
            o.margin = strtof(optarg, NULL);
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
        case 'r':
            rows = atoi(optarg);
            break;
        case 'B':
            bench = atoi(optarg);
            break;
        case 'N':
            o.scene = 1;
            break;
        case 'h':
            fputs(kHelp, stdout);
            return 0;
        default:
            fputs(kHelp, stderr);
            return 1;
        }
    }
    if (!head || (!o.out && !sheet && bench < 1) || columns < 1 || rows < 1 || columns * rows > 4096 ||
        !(o.margin > .3f && o.margin < 8.f)) {
        fputs(kHelp, stderr);
        return 1;
    }
    enum pz_status st = PZ_OK;
    struct pz_log *log = pz_log_create(say, NULL, PZ_LOG_INFO);
    struct pz_pool *pool = pz_pool_create(threads);
    static struct pz_q_head h;
    double sec = 0;
    PZ_TRY(pz_q_head_open(log, head, &h));
    clock_t t0 = clock();
    if (bench) {
        PZ_TRY(pz_faces_bench(log, pool, &h, &o, bench));
    } else if (sheet) {
        PZ_TRY(pz_faces_sheet(log, pool, &h, &o, columns, rows, sheet));
    } else {
        PZ_TRY(pz_faces_make(log, pool, &h, &o, &sec));
        double cpu = (double)(clock() - t0) / CLOCKS_PER_SEC, n = (double)o.shards * (double)o.records;
        pz_info(log, "%.0f pictures in %.2f s: %.0f a second on %d threads, %.2f ms of CPU each", n, sec,
                n / sec, pz_pool_threads(pool), 1e3 * cpu / n);
    }
fail:
    pz_q_head_close(&h);
    pz_pool_destroy(&pool);
    pz_log_destroy(&log);
    return pz_status_exit_code(st < PZ_OK ? st : PZ_OK);
}
