// Speech bench: are the spoken words found, and how exactly? Films with known word times go through
// pz_speech_analyse() in rooms of several kinds, with and without a transcript.
//
//     speech_bench [--tune|--fresh|--fresh2|--fresh3|--fresh4] [--other] [--films N] [--room NAME]
//                  [--mode free|text|both] [--edges] [--seed N]
//     speech_bench [--tune] [--films N] --readback
//     speech_bench --wav FILE.wav --find WORDS
//
// The thresholds of src/speech were set with --tune (other voices, other sentences than those reported).
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/pool.h"
#include "speech/speech.h"
#include "speech/voice.h"
#include "speech_scripts.h"

struct tally {
    double *err; /* ms */
    int n_err, cap;
    int wanted, found, wrong; /* occurrences; slots that are none */
    double sound_s, cpu_s, wall_s;
};

enum which { REPORTED, TUNING, FRESH, FRESH2, FRESH3, FRESH4 };
static const struct part {
    const char *name;
    const struct script *scripts;
    const struct speaker *by, *other;
} parts[] = {
    [REPORTED] = {"reported", told, told_by, told_other},
    [TUNING] = {"tuning", tuned, tuned_by, tuned_other},
    [FRESH] = {"fresh", fresh, fresh_by, fresh_other},
    [FRESH2] = {"second fresh", fresh2, fresh2_by, told_other},
    [FRESH3] = {"third fresh", fresh3, fresh3_by, told_other},
    [FRESH4] = {"fourth fresh", fresh4, fresh4_by, told_other},
};

static struct {
    enum which part;
    bool edges, other;
    int films;
    const char *room, *mode;
    uint64_t seed;
    struct pz_job job;
    struct pz_ears *ears;
} opt = {.films = 24, .mode = "both", .seed = 5};

static void say(void *user, enum pz_log_level level, const char *text)
{
    (void)user;
    (void)level;
    if (!strstr(text, "pocketsphinx"))
        printf("    %s\n", text);
}

static double cpu_now(void)
{
    struct rusage r;

    getrusage(RUSAGE_SELF, &r);
    return (double)r.ru_utime.tv_sec + (double)r.ru_utime.tv_usec * 1e-6 + (double)r.ru_stime.tv_sec +
           (double)r.ru_stime.tv_usec * 1e-6;
}

static void add_error(struct tally *t, double ms)
{
    if (t->n_err == t->cap) {
        int want = t->cap ? 2 * t->cap : 64;
        double *p = t->err ? pz_regrow(t->err, (size_t)t->cap, (size_t)want, sizeof *p)
                           : pz_calloc((size_t)want, sizeof *p);

        if (!p)
            return;
        t->err = p;
        t->cap = want;
    }
    t->err[t->n_err++] = ms;
}

static int by_size(const void *a, const void *b)
{
    double d = fabs(*(const double *)a) - fabs(*(const double *)b);

    return d < 0 ? -1 : d > 0;
}

static int split(const char *words, char out[4][64])
{
    int n = 0;

    while (n < 4 && sscanf(words, "%63s", out[n]) == 1) {
        words = strstr(words, out[n]) + strlen(out[n]);
        n++;
    }
    return n;
}

/** Index of the next occurrence of `words` from word `i` on, −1 when there is none. */
static int occurrence(const struct said *s, int i, char w[4][64], int n)
{
    for (; i + n <= s->n_words; i++) {
        bool same = true;

        for (int k = 0; k < n && same; k++)
            same = strcasecmp(s->words[i + k].text, w[k]) == 0;
        if (same)
            return i;
    }
    return -1;
}

/** One edge; `pause`: nobody speaks on its other side. */
static void edge(struct tally *t, const char *what, const char *side, int64_t is, int64_t should, int phone,
                 bool pause)
{
    double ms = (double)(is - should) * 1e3 / PZ_SPEECH_RATE;

    add_error(t, ms);
    if (opt.edges)
        printf("  edge %-16s %-5s %-3s %+7.1f ms %s\n", what, side, pz_phone_name(phone), ms,
               pause ? "pause" : "");
}

/** Compare slots with the truth. */
static void judge(const struct script *sc, const struct said *s, const struct pz_analysis *a, struct tally *t)
{
    bool used[64] = {false};
    int at_word[64], n_words[64], n_truth = 0;

    // Without times, occurrences are only counted.
    for (int v = 0; v < 5 && sc->vars[v][0]; v++) {
        char w[4][64];
        int n = split(sc->vars[v][1], w);

        for (int i = occurrence(s, 0, w, n); i >= 0 && n_truth < 64; i = occurrence(s, i + n, w, n)) {
            bool hit = false;

            at_word[n_truth] = i;
            n_words[n_truth++] = n;
            t->wanted++;
            for (int k = 0; k < a->n_slots && k < 64 && !hit; k++) {
                const struct pz_slot *g = &a->slots[k];
                int64_t b = s->words[i].start, e = s->words[i + n - 1].end;

                if (used[k] || strcmp(g->name, sc->vars[v][0]) != 0)
                    continue;
                if (s->timed && (g->start >= e || g->end <= b))
                    continue;
                used[k] = hit = true;
                t->found++;
                if (s->timed) {
                    edge(t, sc->vars[v][1], "start", g->start, b, s->words[i].first,
                         i == 0 || s->words[i - 1].end < b);
                    edge(t, sc->vars[v][1], "end", g->end, e, s->words[i + n - 1].last,
                         i + n == s->n_words || s->words[i + n].start > e);
                }
            }
            if (!hit && opt.edges)
                printf("  missed %s at %.2f s\n", sc->vars[v][1], (double)s->words[i].start / PZ_SPEECH_RATE);
        }
    }
    for (int k = 0; k < a->n_slots && k < 64; k++)
        if (!used[k]) {
            t->wrong++;
            if (opt.edges)
                printf("  false slot %s at %.2f s, confidence %.2f\n", a->slots[k].spoken,
                       (double)a->slots[k].start / PZ_SPEECH_RATE, (double)a->slots[k].confidence);
        }
    (void)at_word;
    (void)n_words;
}

/** The transcript of a script, variables marked. */
static void write_transcript(const struct script *sc, char *out, size_t cap)
{
    size_t n = 0;

    out[0] = 0;
    for (int l = 0; l < 3; l++)
        for (const char *p = sc->lines[l]; *p && n + 80 < cap;) {
            int hit = -1;

            for (int v = 0; v < 5 && sc->vars[v][0]; v++)
                if (strncmp(p, sc->vars[v][1], strlen(sc->vars[v][1])) == 0)
                    hit = v;
            if (hit >= 0) {
                n += (size_t)snprintf(out + n, cap - n, "{%s=%s}", sc->vars[hit][0], sc->vars[hit][1]);
                p += strlen(sc->vars[hit][1]);
            } else {
                out[n++] = *p++;
                out[n] = 0;
            }
            if (!*p && n + 2 < cap) {
                out[n++] = ' ';
                out[n] = 0;
            }
        }
}

static enum pz_status listen(const struct script *sc, const struct said *s, bool text, struct tally *t)
{
    enum pz_status st;
    struct pz_tap_memory m;
    struct pz_tap tap = pz_tap_from_memory(&m, s->samples, s->n, PZ_SPEECH_RATE, 1);
    struct pz_spoken spoken[6];
    struct pz_analyse_params p = {.spoken = spoken, .missing_ok = true};
    struct pz_transcript tr = {0};
    struct pz_analysis a = {0};
    char marked[2048];
    double cpu = cpu_now(), wall = pz_now();

    if (text) {
        write_transcript(sc, marked, sizeof marked);
        PZ_TRY(pz_transcript_parse(opt.job.log, marked, strlen(marked), &tr));
        p.transcript = &tr;
    } else {
        for (int v = 0; v < 5 && sc->vars[v][0]; v++)
            spoken[p.n_spoken++] = (struct pz_spoken){.name = sc->vars[v][0], .words = sc->vars[v][1]};
    }
    spoken[p.n_spoken++] = (struct pz_spoken){.name = "absent", .words = sc->absent};
    PZ_TRY(pz_speech_analyse(opt.ears, &tap, &p, &opt.job, &a));
    t->cpu_s += cpu_now() - cpu;
    t->wall_s += pz_now() - wall;
    t->sound_s += (double)s->n / PZ_SPEECH_RATE;
    if (opt.edges)
        printf(" heard: %s\n", a.text);
    judge(sc, s, &a, t);
fail:
    pz_analysis_free(&a);
    pz_transcript_free(&tr);
    return st;
}

static void show(const char *room, const char *mode, struct tally *t)
{
    qsort(t->err, (size_t)t->n_err, sizeof *t->err, by_size);
    printf("%-9s %-5s %4d edges: median %5.1f ms, 95 %% %6.1f ms   recall %3d/%3d = %5.1f %%   false %d   "
           "%.2f x real time (cpu %.2f s, wall %.1f s for %.1f s)\n",
           room, mode, t->n_err, t->n_err ? fabs(t->err[t->n_err / 2]) : 0.0,
           t->n_err ? fabs(t->err[t->n_err * 95 / 100]) : 0.0, t->found, t->wanted,
           t->wanted ? 100.0 * t->found / t->wanted : 0.0, t->wrong, t->sound_s / (t->cpu_s + 1e-9), t->cpu_s,
           t->wall_s, t->sound_s);
    fflush(stdout);
    pz_free(t->err);
    *t = (struct tally){0};
}

/** After how many films the same speaker meets the same script again. */
static int round_of(int n_by, int n_scripts)
{
    int n = n_by;

    while (n % n_scripts)
        n += n_by;
    return n;
}

static enum pz_status one_room(int r)
{
    const struct script *scripts = parts[opt.part].scripts;
    const struct speaker *by = opt.other ? parts[opt.part].other : parts[opt.part].by;
    int n_by = opt.other ? COUNT(told_other) : COUNT(told_by), n_scripts = COUNT(told);
    enum pz_status st = PZ_OK;

    for (int mode = 0; mode < 2; mode++) {
        struct tally t = {0};

        if (strcmp(opt.mode, "both") != 0 && strcmp(opt.mode, mode ? "text" : "free") != 0)
            continue;
        for (int f = 0; f < opt.films; f++) {
            const struct script *sc = &scripts[(f + f / round_of(n_by, n_scripts)) % n_scripts];
            struct said s;

            PZ_TRY(said_make(&by[f % n_by], sc->lines, 3, &s));
            st = said_place(&s, rooms[r].room, rooms[r].snr_db, opt.seed + (uint64_t)f);
            if (opt.edges)
                printf(" %s: %s\n", by[f % n_by].name, sc->lines[0]);
            if (st == PZ_OK)
                st = listen(sc, &s, mode == 1, &t);
            said_free(&s);
            PZ_TRY(st);
        }
        show(rooms[r].name, mode ? "text" : "free", &t);
    }
fail:
    return st;
}

/** Read-back of words that are spoken and of words that are not: do their scores part? */
static enum pz_status read_back(void)
{
    const struct part *p = &parts[opt.part == TUNING ? TUNING : REPORTED];
    enum pz_status st = PZ_OK;
    int count[2] = {0}, above[2] = {0};
    float least = 1.0f, most = 0.0f;

    for (int f = 0; f < opt.films; f++) {
        const struct script *sc = &p->scripts[f % COUNT(told)];
        const struct script *other = &p->scripts[(f + 1) % COUNT(told)];
        const struct speaker *by = &p->by[f % 4];
        struct pz_tap_memory m;
        struct pz_tap tap;
        struct said s;

        PZ_TRY(said_make(by, sc->lines, 3, &s));
        tap = pz_tap_from_memory(&m, s.samples, s.n, PZ_SPEECH_RATE, 1);
        for (int v = 0; v < 5 && sc->vars[v][0]; v++) {
            const char *ask[3] = {sc->vars[v][1], other->vars[v % 3][1], other->absent};
            char w[4][64];
            int n = split(sc->vars[v][1], w), i = occurrence(&s, 0, w, n);

            for (int k = 0; k < 3 && i >= 0 && st == PZ_OK; k++) {
                struct pz_readback r;

                st = pz_speech_readback(opt.ears, &tap, s.words[i].start, s.words[i + n - 1].end, ask[k],
                                        NULL, ask[k == 0], &opt.job, &r);
                printf("%-6s %-14s in %-14s score %.2f, likeness %.2f, heard \"%s\"\n", k ? "wrong" : "right",
                       ask[k], ask[0], (double)r.score, (double)r.likeness, r.text);
                count[k > 0]++;
                above[k > 0] += r.score >= PZ_READBACK_REVIEW;
                least = k == 0 ? fminf(least, r.score) : least;
                most = k == 0 ? most : fmaxf(most, r.score);
            }
        }
        said_free(&s);
        PZ_TRY(st);
    }
    printf(
        "read-back at %.2f: %d of %d right words pass (least %.2f), %d of %d wrong words pass (most %.2f)\n",
        (double)PZ_READBACK_REVIEW, above[0], count[0], (double)least, above[1], count[1], (double)most);
fail:
    return st;
}

/** A recording: where are these words? */
static enum pz_status one_file(const char *path, const char *words)
{
    struct pz_spoken spoken = {.name = "x", .words = words};
    struct pz_analyse_params p = {.spoken = &spoken, .n_spoken = 1, .missing_ok = true};
    struct pz_analysis a = {0};
    struct pz_tap_memory m;
    struct pz_tap tap;
    enum pz_status st;
    char *data = NULL;
    float *x = NULL;
    size_t n_bytes;
    int64_t n;
    int rate;
    double cpu, wall;

    PZ_TRY(pz_file_read(opt.job.log, path, 1 << 28, &data, &n_bytes));
    PZ_TRY(pz_wav_parse(opt.job.log, (const uint8_t *)data, n_bytes, &x, &n, &rate));
    tap = pz_tap_from_memory(&m, x, n, rate, 1);
    cpu = cpu_now();
    wall = pz_now();
    PZ_TRY(pz_speech_analyse(opt.ears, &tap, &p, &opt.job, &a));
    cpu = cpu_now() - cpu;
    wall = pz_now() - wall;
    printf("heard: %s\n", a.text);
    for (int i = 0; i < a.n_slots; i++)
        printf("\"%s\" %.3f-%.3f s, confidence %.2f\n", a.slots[i].spoken,
               (double)a.slots[i].start / PZ_SPEECH_RATE, (double)a.slots[i].end / PZ_SPEECH_RATE,
               (double)a.slots[i].confidence);
    printf("%d found; %.1f s of sound, cpu %.2f s, wall %.2f s\n", a.n_slots, (double)n / rate, cpu, wall);
fail:
    pz_analysis_free(&a);
    pz_free(x);
    pz_free(data);
    return st;
}

int main(int argc, char **argv)
{
    bool back = false;
    const char *wav = NULL, *find = "country";

    static const struct option longs[] = {{"tune", 0, NULL, 't'},     {"fresh", 0, NULL, 'n'},
                                          {"fresh2", 0, NULL, 'N'},   {"fresh3", 0, NULL, '3'},
                                          {"fresh4", 0, NULL, '4'},   {"films", 1, NULL, 'f'},
                                          {"room", 1, NULL, 'r'},     {"mode", 1, NULL, 'm'},
                                          {"edges", 0, NULL, 'e'},    {"seed", 1, NULL, 's'},
                                          {"other", 0, NULL, 'o'},    {"verbose", 0, NULL, 'v'},
                                          {"wav", 1, NULL, 'w'},      {"find", 1, NULL, 'F'},
                                          {"readback", 0, NULL, 'b'}, {0}};
    enum pz_status st = PZ_OK;
    enum pz_log_level level = PZ_LOG_ERROR;

    for (int c; (c = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        switch (c) {
        case 't':
            opt.part = TUNING;
            break;
        case 'n':
            opt.part = FRESH;
            break;
        case 'N':
            opt.part = FRESH2;
            break;
        case '3':
            opt.part = FRESH3;
            break;
        case '4':
            opt.part = FRESH4;
            break;
        case 'f':
            opt.films = atoi(optarg);
            break;
        case 'r':
            opt.room = optarg;
            break;
        case 'm':
            opt.mode = optarg;
            break;
        case 'e':
            opt.edges = true;
            break;
        case 's':
            opt.seed = (uint64_t)atoll(optarg);
            break;
        case 'w':
            wav = optarg;
            break;
        case 'b':
            back = true;
            break;
        case 'o':
            opt.other = true;
            break;
        case 'F':
            find = optarg;
            break;
        case 'v':
            level = PZ_LOG_DEBUG;
            break;
        default:
            return 1;
        }
    }
    opt.job.log = pz_log_create(say, NULL, level);
    opt.job.pool = pz_pool_create(0); // as the program has it
    printf("seed %llu, %s voices and sentences, %d films a room\n", (unsigned long long)opt.seed,
           parts[opt.part].name, opt.films);
    st = pz_ears_open(NULL, &opt.job, &opt.ears);
    if (wav && st == PZ_OK)
        st = one_file(wav, find);
    if (back && st == PZ_OK)
        st = read_back();
    for (int r = 0; r < COUNT(rooms) && st == PZ_OK && !wav && !back; r++)
        if (!opt.room || strncmp(rooms[r].name, opt.room, strlen(opt.room)) == 0)
            st = one_room(r);
    if (st < PZ_OK) {
        char why[512];

        pz_log_last_error(opt.job.log, why, sizeof why);
        fprintf(stderr, "%s\n", why);
    }
    pz_ears_close(&opt.ears);
    pz_pool_destroy(&opt.job.pool);
    pz_log_destroy(&opt.job.log);
    return st == PZ_OK ? 0 : 1;
}
