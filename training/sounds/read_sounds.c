// Sound to teach src/speech/sounds.c with, of recordings whose words are known: the phones are where the
// aligner and, in English, the network so far hear them. What does not fit its words is left out.
//
//     sounds_read OUT LIST LEAST [LANGUAGE KEEP]
//
// LIST: lines "SOUND.raw TEXT" (int16, 16 kHz). Recordings are joined to films of 8 s and more. LEAST: what
// the network must give the phones named, a frame, in nats. KEEP: the phones ("M,N,S") of another language or
// accent that are near enough; the others become 126, which train.py leaves out. Writes OUT.pcm
// (int16, 16 kHz) and OUT.lab (int8 a 5 ms: enum pz_phone_id at that sample, -1 ends a film).
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "speech/sounds.h"
#include "speech/speech.h"

#define HOP 80
#define MOST (40 * PZ_SPEECH_RATE)
#define UNKNOWN 126
#define JOIN 1600 /* frames */
#define WORDS 120

struct reader {
    struct pz_job job;
    struct pz_ears *ears;
    struct pz_rng rng;
    FILE *sound, *labels;
    bool keep[PZ_PH_COUNT], english;
    double least;
    int film, frames, left_out; /* frames of the film so far, of all */
    int16_t pcm[MOST];
    float samples[MOST], quiet[MOST];
};

/** Split `text` (changed) into words. */
static int split(char *text, struct pz_align_word *words)
{
    int n = 0;

    for (char *save = NULL, *w = strtok_r(text, " \n", &save); w && n < WORDS;
         w = strtok_r(NULL, " \n", &save))
        words[n++].text = w;
    return n;
}

static void label_frames(const struct reader *r, const struct pz_phone_line *line, int n, signed char *label)
{
    for (int t = 0, at = 0; t < n; t++) {
        while (at < line->n && line->items[at].end <= t * HOP)
            at++;
        int id = at < line->n && line->items[at].start <= t * HOP ? line->items[at].id : PZ_PH_SIL;

        label[t] = (signed char)(id == PZ_PH_AX ? PZ_PH_AH : id);
        if (!r->keep[(int)label[t]])
            label[t] = UNKNOWN;
    }
}

/** What the network gives the labels, a frame that is no pause. */
static enum pz_status fit(const struct reader *r, int n, const signed char *label, double *mean)
{
    struct pz_sounds heard;
    enum pz_status st = pz_sounds_listen(r->samples, (int64_t)n * HOP, PZ_SOUNDS_WORDS, NULL, &heard);
    int counted = 0;

    *mean = 0.0;
    for (int t = 0; st == PZ_OK && t < n; t++)
        if (label[t] != PZ_PH_SIL && label[t] != UNKNOWN) {
            *mean += fmax(-6.0, (double)pz_sounds_at(&heard, t, 0)[(int)label[t]]);
            counted++;
        }
    *mean = counted ? *mean / counted : -99.0;
    if (st == PZ_OK)
        pz_sounds_free(&heard);
    return st;
}

/** One recording of n samples. Not OK: its words are not found in it. */
static enum pz_status read_one(struct reader *r, int n, char *text, signed char *label, double *mean)
{
    struct pz_align_word words[WORDS] = {{0}};
    struct pz_words found = {0};
    struct pz_phone_line line = {0};
    int n_words = split(text, words);

    for (int i = 0; i < n; i++) {
        r->samples[i] = (float)r->pcm[i] / 32768.0f;
        r->quiet[i] = r->samples[i] + 0.0003f * pz_rng_normal(&r->rng); // digital silence is not in the model
    }
    enum pz_status st = pz_speech_align(r->ears, r->quiet, n, words, n_words, &r->job, &found, &line);

    if (st == PZ_OK && r->english)
        st = pz_sounds_settle(r->quiet, n, 0, 40.0, &line, 0, &found, 0);
    if (st == PZ_OK) {
        label_frames(r, &line, n / HOP, label);
        st = fit(r, n / HOP, label, mean);
    }
    pz_words_free(&found);
    pz_phone_line_free(&line);
    return st;
}

static void film_end(struct reader *r)
{
    signed char end = -1;

    if (r->film)
        fwrite(&end, 1, 1, r->labels);
    r->film = 0;
}

static void read_line(struct reader *r, char *line)
{
    static signed char label[MOST / HOP];
    char *text = strchr(line, ' ');
    double mean = -99.0;

    if (!text)
        return;
    *text++ = 0;
    FILE *f = fopen(line, "rb");
    int n = f ? (int)fread(r->pcm, sizeof *r->pcm, MOST, f) : 0;

    if (f)
        fclose(f);
    n -= n % HOP;
    char shown[64];
    snprintf(shown, sizeof shown, "%s", text);
    bool good =
        n >= 40 * HOP && n < MOST - HOP && read_one(r, n, text, label, &mean) == PZ_OK && mean >= r->least;

    printf("%s %.2f %s: %s", good ? "taken" : "left out", mean, line, shown);
    if (!strchr(shown, '\n'))
        printf("\n");
    r->left_out += !good;
    if (!good)
        return;
    fwrite(r->pcm, sizeof *r->pcm, (size_t)n, r->sound);
    fwrite(label, 1, (size_t)(n / HOP), r->labels);
    r->film += n / HOP;
    r->frames += n / HOP;
    if (r->film >= JOIN)
        film_end(r);
}

int main(int argc, char **argv)
{
    static struct reader r;
    char path[1024];
    static char line[4096];

    if (argc != 4 && argc != 6) {
        fputs("sounds_read OUT LIST LEAST [LANGUAGE KEEP]\n", stderr);
        return 2;
    }
    r.job.log = pz_log_create(NULL, NULL, PZ_LOG_ERROR);
    r.least = atof(argv[3]);
    r.english = argc == 4 || strncmp(argv[4], "en", 2) == 0;
    snprintf(path, sizeof path, "%s.pcm", argv[1]);
    r.sound = fopen(path, "wb");
    snprintf(path, sizeof path, "%s.lab", argv[1]);
    r.labels = fopen(path, "wb");
    pz_rng_init(&r.rng, 7, 7);
    for (int i = 0; i < PZ_PH_COUNT; i++)
        r.keep[i] = argc == 4 || i == PZ_PH_SIL;
    for (char *save = NULL, *p = argc == 6 ? strtok_r(argv[5], ",", &save) : NULL; p;
         p = strtok_r(NULL, ",", &save))
        if (pz_phone_from_name(p) >= 0)
            r.keep[pz_phone_from_name(p)] = true;
    FILE *list = fopen(argv[2], "r");
    if (!r.sound || !r.labels || !list || pz_ears_open(NULL, &r.job, &r.ears) < PZ_OK ||
        (!r.english && pz_ears_set_language(r.ears, argv[4]) < PZ_OK)) {
        fputs("sounds_read: cannot start\n", stderr);
        return 1;
    }
    while (fgets(line, sizeof line, list))
        read_line(&r, line);
    film_end(&r);
    printf("%s: %d frames, %d recordings left out\n", argv[1], r.frames, r.left_out);
    fclose(r.sound);
    fclose(r.labels);
    fclose(list);
    pz_ears_close(&r.ears);
    pz_log_destroy(&r.job.log);
    return 0;
}
