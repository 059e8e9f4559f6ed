// Speech bench on real people: are words of recordings found without a transcript, and words of other
// recordings not? Recordings with their words are the caller's (training/sounds says where free ones are);
// none is part of this tree.
//
//     speech_real [--room NAME] [--text] [--seed N] [--show] LIST
//
// LIST: lines "FILE WORD WORD ..."; FILE: mono 16 kHz, 16 bits, little-endian, no header. Asked for are three
// words of five letters and more from the quarters of each recording, and two of the next recording's that
// this one has not. Where the words are is what the program itself says of the recording as it is, with its
// transcript: slots that lie elsewhere are false, edges are told as distances from there, which is no truth.
// With --text the recording in the room has its transcript too: how far does noise move edges?
#include <ctype.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/pool.h"
#include "speech/speech.h"
#include "speech_scripts.h"

#define RECORDINGS 400
#define WORDS 120
#define ASKED 3
#define ABSENT 2

struct recording {
    char file[512];
    char words[WORDS][32];
    int n_words;
};

static struct {
    struct pz_job job;
    struct pz_ears *ears;
    const char *room;
    uint64_t seed;
    bool show, text;
    int wanted, found, absent, wrong, elsewhere, skipped, n_apart;
    double apart[2 * ASKED * RECORDINGS * 4], sound_s, wall_s;
} run = {.room = "clean", .seed = 5};

static bool has(const struct recording *r, const char *word)
{
    for (int i = 0; i < r->n_words; i++)
        if (strcmp(r->words[i], word) == 0)
            return true;
    return false;
}

/** The `part`-th of `parts` parts of the words that may be asked for, that `not` has not; NULL: there is
 * none. */
static const char *pick(const struct recording *r, int part, int parts, const struct recording * not )
{
    const char *may[WORDS];
    int n = 0;

    for (int i = 0; i < r->n_words; i++)
        if (strlen(r->words[i]) >= 5 && !strchr(r->words[i], '\'') && !(not &&has(not, r->words[i])))
            may[n++] = r->words[i];
    return n > part ? may[n * (2 * part + 1) / (2 * parts)] : NULL;
}

static int read_list(const char *path, struct recording *out)
{
    FILE *f = fopen(path, "r");
    static char line[8192];
    int n = 0;

    while (f && n < RECORDINGS && fgets(line, sizeof line, f)) {
        struct recording *r = &out[n];
        char *save = NULL, *t = strtok_r(line, " \n", &save);

        if (!t || strlen(t) >= sizeof r->file)
            continue;
        memcpy(r->file, t, strlen(t) + 1);
        for (t = strtok_r(NULL, " \n", &save); t && r->n_words < WORDS; t = strtok_r(NULL, " \n", &save))
            snprintf(r->words[r->n_words++], sizeof *r->words, "%s", t);
        n += r->n_words > 0;
    }
    if (f)
        fclose(f);
    return n;
}

static enum pz_status load(const struct recording *r, struct said *s)
{
    char *data = NULL;
    size_t bytes;
    double peak = 1e-9;
    enum pz_status st = pz_file_read(run.job.log, r->file, 1 << 26, &data, &bytes);

    *s = (struct said){0};
    if (st < PZ_OK)
        return st;
    s->n = (int64_t)(bytes / 2);
    s->samples = pz_calloc((size_t)s->n + 1, sizeof *s->samples);
    if (!s->samples) {
        pz_free(data);
        return PZ_ERR_NOMEM;
    }
    for (int64_t i = 0; i < s->n; i++) {
        const unsigned char *b = (const unsigned char *)data + 2 * i;

        s->samples[i] = (float)(int16_t)(b[0] | b[1] << 8) / 32768.0f;
        peak = fmax(peak, fabs((double)s->samples[i]));
    }
    for (int64_t i = 0; i < s->n; i++)
        s->samples[i] *= (float)(0.5 / peak);
    pz_free(data);
    return PZ_OK;
}

static enum pz_status analyse(const struct said *s, const struct pz_transcript *t, struct pz_spoken *spoken,
                              int n, struct pz_analysis *a)
{
    struct pz_tap_memory m;
    struct pz_tap tap = pz_tap_from_memory(&m, s->samples, s->n, PZ_SPEECH_RATE, 1);
    struct pz_analyse_params p = {.spoken = spoken, .n_spoken = n, .missing_ok = true, .transcript = t};

    return pz_speech_analyse(run.ears, &tap, &p, &run.job, a);
}

/** Slots with the transcript, every asked word's marked. */
static enum pz_status refer(const struct recording *r, const struct said *s, const struct pz_spoken *asked,
                            int n, struct pz_analysis *a)
{
    struct pz_transcript t = {0};
    char text[WORDS * 48];
    size_t at = 0;
    enum pz_status st;

    for (int i = 0; i < r->n_words; i++) {
        int k = 0;

        while (k < n && strcmp(asked[k].words, r->words[i]) != 0)
            k++;
        at += (size_t)(k < n ? snprintf(text + at, sizeof text - at, "{%s=%s} ", asked[k].name, r->words[i])
                             : snprintf(text + at, sizeof text - at, "%s ", r->words[i]));
    }
    PZ_TRY(pz_transcript_parse(run.job.log, text, at, &t));
    PZ_TRY(analyse(s, &t, NULL, 0, a));
fail:
    pz_transcript_free(&t);
    return st;
}

static bool meet(const struct pz_slot *a, const struct pz_slot *b)
{
    int64_t from = a->start > b->start ? a->start : b->start, to = a->end < b->end ? a->end : b->end;

    return strcmp(a->name, b->name) == 0 && 2 * (to - from) > b->end - b->start;
}

static void compare(const struct pz_analysis *is, const struct pz_analysis *should)
{
    bool used[64] = {false};

    for (int i = 0; i < should->n_slots; i++) {
        int k = 0;

        while (k < is->n_slots && k < 64 && (used[k] || !meet(&is->slots[k], &should->slots[i])))
            k++;
        run.wanted++;
        if (k >= is->n_slots || k >= 64) {
            if (run.show)
                printf("  missed %s at %.2f s\n", should->slots[i].spoken,
                       (double)should->slots[i].start / PZ_SPEECH_RATE);
            continue;
        }
        used[k] = true;
        run.found++;
        run.apart[run.n_apart++] = fabs((double)(is->slots[k].start - should->slots[i].start)) / 16.0;
        run.apart[run.n_apart++] = fabs((double)(is->slots[k].end - should->slots[i].end)) / 16.0;
    }
    for (int k = 0; k < is->n_slots && k < 64; k++)
        if (!used[k]) {
            *(is->slots[k].name[0] == 'n' ? &run.wrong : &run.elsewhere) += 1;
            if (run.show)
                printf("  false slot %s at %.2f s\n", is->slots[k].spoken,
                       (double)is->slots[k].start / PZ_SPEECH_RATE);
        }
}

static enum pz_status one(const struct recording *r, const struct recording *next, enum room room, double snr,
                          int i)
{
    static const char *const names[ASKED + ABSENT] = {"a", "b", "c", "n", "nn"};
    struct pz_spoken asked[ASKED + ABSENT];
    struct pz_analysis should = {0}, is = {0};
    struct said s = {0};
    enum pz_status st = PZ_OK;
    int n = 0, own;
    double from;

    for (int k = 0; k < ASKED; k++) {
        const char *w = pick(r, k, ASKED, NULL);
        bool twice = !w;

        for (int j = 0; j < n && !twice; j++)
            twice = strcmp(asked[j].words, w) == 0;
        if (!twice) {
            asked[n] = (struct pz_spoken){.name = names[n], .words = w};
            n++;
        }
    }
    own = n;
    PZ_TRY(load(r, &s));
    st = refer(r, &s, asked, own, &should);
    if (st < PZ_OK || should.n_slots < own) { // the text is not what is said
        run.skipped++;
        st = PZ_OK;
        goto fail;
    }
    for (int k = 0; k < ABSENT && !run.text; k++) {
        const char *w = pick(next, k, ABSENT, r);

        if (w) {
            asked[n++] = (struct pz_spoken){.name = names[ASKED + k], .words = w};
            run.absent++;
        }
    }
    PZ_TRY(said_place(&s, room, snr, run.seed + (uint64_t)i));
    from = pz_now();
    PZ_TRY(run.text ? refer(r, &s, asked, own, &is) : analyse(&s, NULL, asked, n, &is));
    run.wall_s += pz_now() - from;
    run.sound_s += (double)s.n / PZ_SPEECH_RATE;
    if (run.show)
        printf(" %s\n heard: %s\n", strrchr(r->file, '/') ? strrchr(r->file, '/') + 1 : r->file, is.text);
    compare(&is, &should);
fail:
    pz_analysis_free(&is);
    pz_analysis_free(&should);
    said_free(&s);
    return st;
}

static int by_value(const void *a, const void *b)
{
    double d = *(const double *)a - *(const double *)b;

    return d < 0.0 ? -1 : d > 0.0;
}

int main(int argc, char **argv)
{
    static struct recording recordings[RECORDINGS];
    static const struct option longs[] = {
        {"room", 1, NULL, 'r'}, {"seed", 1, NULL, 's'}, {"text", 0, NULL, 't'}, {"show", 0, NULL, 'v'}, {0}};
    enum pz_status st = PZ_OK;
    int n, room = -1;

    for (int c; (c = getopt_long(argc, argv, "", longs, NULL)) != -1;)
        if (c == 'r')
            run.room = optarg;
        else if (c == 's')
            run.seed = (uint64_t)atoll(optarg);
        else if (c == 't')
            run.text = true;
        else if (c == 'v')
            run.show = true;
        else
            return 2;
    for (int i = 0; i < COUNT(rooms); i++)
        room = strcmp(rooms[i].name, run.room) == 0 ? i : room;
    n = optind < argc ? read_list(argv[optind], recordings) : 0;
    if (n < 2 || room < 0) {
        fprintf(stderr,
                "speech_real: give a room of the speech bench and a list of two recordings or more\n");
        return 2;
    }
    run.job.log = pz_log_create(NULL, NULL, PZ_LOG_ERROR);
    run.job.pool = pz_pool_create(0); // as the program has it
    st = pz_ears_open(NULL, &run.job, &run.ears);
    for (int i = 0; i < n && st >= PZ_OK; i++)
        st = one(&recordings[i], &recordings[(i + 1) % n], rooms[room].room, rooms[room].snr_db, i);
    qsort(run.apart, (size_t)run.n_apart, sizeof *run.apart, by_value);
    printf(
        "%s, seed %llu, %d recordings (%d left out: the aligner does not find their words): found %d of %d = "
        "%.1f %%, in other places %d, of %d words that nobody says %d; edges from those with a transcript: "
        "median %.1f ms, 95 %% %.1f ms; %.2f x real time by the clock\n",
        run.room, (unsigned long long)run.seed, n, run.skipped, run.found, run.wanted,
        run.wanted ? 100.0 * run.found / run.wanted : 0.0, run.elsewhere, run.absent, run.wrong,
        run.n_apart ? run.apart[run.n_apart / 2] : 0.0, run.n_apart ? run.apart[run.n_apart * 95 / 100] : 0.0,
        run.sound_s / (run.wall_s + 1e-9));
    pz_ears_close(&run.ears);
    pz_pool_destroy(&run.job.pool);
    pz_log_destroy(&run.job.log);
    return st < PZ_OK;
}
