// Sound to teach src/speech/sounds.c with, of espeak-ng's voices: films of two sentences as sounds_say makes
// them. espeak-ng tells no times: the phones are where the aligner and the network so far hear them in a
// quiet room.
//
//     sounds_make WORDS OUT espeak:NAME SIZE FILMS SEED
//
// Writes OUT.pcm (int16, 16 kHz) and OUT.lab (int8 a 5 ms: enum pz_phone_id at that sample, -1 ends a film).
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "sentences.h"
#include "speech/sounds.h"
#include "speech/speech.h"
#include "speech_sound.h"

#define HOP 80

struct maker {
    struct pz_job job;
    struct pz_ears *ears;
    struct pz_rng rng;
    struct sentences words;
    FILE *sound, *labels;
    int64_t frames;
};

/** Phones of a voice that does not tell them. */
static enum pz_status align(struct maker *m, const struct said *s, struct pz_phone_line *line)
{
    struct pz_align_word words[64] = {{0}};
    struct pz_words found = {0};
    float *quiet = pz_calloc((size_t)s->n, sizeof *quiet);
    enum pz_status st = quiet ? PZ_OK : PZ_ERR_NOMEM;
    int n = s->n_words < 64 ? s->n_words : 64;

    for (int i = 0; i < n; i++)
        words[i].text = s->words[i].text;
    for (int64_t i = 0; quiet && i < s->n; i++) // the room that recorded speech has
        quiet[i] = s->samples[i] + 0.0006f * pz_rng_normal(&m->rng);
    if (st == PZ_OK)
        st = pz_speech_align(m->ears, quiet, s->n, words, n, &m->job, &found, line);
    if (st == PZ_OK)
        st = pz_sounds_settle(quiet, s->n, 0, 60.0, line, 0, &found, 0);
    pz_words_free(&found);
    pz_free(quiet);
    return st;
}

static void write_film(struct maker *m, const struct said *s, const struct pz_phone_line *line)
{
    signed char label = -1;
    int at = 0;

    for (int64_t t = 0; t < s->n / HOP; t++, m->frames++) {
        int16_t x[HOP];

        for (int i = 0; i < HOP; i++)
            x[i] = (int16_t)lrintf(32767.0f * fminf(1.0f, fmaxf(-1.0f, s->samples[t * HOP + i])));
        while (at < line->n && line->items[at].end <= t * HOP)
            at++;
        label =
            (signed char)(at < line->n && line->items[at].start <= t * HOP ? line->items[at].id : PZ_PH_SIL);
        label = label == PZ_PH_AX ? PZ_PH_AH : label;
        fwrite(x, sizeof *x, HOP, m->sound);
        fwrite(&label, 1, 1, m->labels);
    }
    label = -1;
    fwrite(&label, 1, 1, m->labels);
}

static enum pz_status make_film(struct maker *m, const struct speaker *by)
{
    char text[2][256];
    const char *lines[2] = {text[0], text[1]};
    struct pz_phone_line line = {0};
    struct said s;
    enum pz_status st;

    sentence_make(&m->words, &m->rng, text[0]);
    sentence_make(&m->words, &m->rng, text[1]);
    st = said_make(by, lines, 2, &s);
    if (st < PZ_OK)
        return st;
    st = align(m, &s, &line);
    if (st == PZ_OK)
        write_film(m, &s, &line);
    pz_phone_line_free(&line);
    said_free(&s);
    return st;
}

int main(int argc, char **argv)
{
    static struct maker m;
    char path[1024];
    int bad = 0;

    if (argc != 7) {
        fputs("sounds_make WORDS OUT espeak:NAME SIZE FILMS SEED\n", stderr);
        return 2;
    }
    struct speaker by = {argv[3], argv[3], atof(argv[4]), 1.0};
    m.job.log = pz_log_create(NULL, NULL, PZ_LOG_ERROR);
    snprintf(path, sizeof path, "%s.pcm", argv[2]);
    m.sound = fopen(path, "wb");
    snprintf(path, sizeof path, "%s.lab", argv[2]);
    m.labels = fopen(path, "wb");
    pz_rng_init(&m.rng, (uint64_t)atoll(argv[6]), 7);
    if (!m.sound || !m.labels || !sentences_open(&m.words, argv[1]) ||
        pz_ears_open(NULL, &m.job, &m.ears) < PZ_OK) {
        fputs("sounds_make: cannot start\n", stderr);
        return 1;
    }
    for (int i = 0; i < atoi(argv[5]); i++)
        bad +=
            make_film(&m, &by) < PZ_OK; // a word that the voice and the dictionary say in too different ways
    printf("%s: %lld frames, %d films left out\n", argv[2], (long long)m.frames, bad);
    fclose(m.sound);
    fclose(m.labels);
    sentences_close(&m.words);
    pz_ears_close(&m.ears);
    pz_log_destroy(&m.job.log);
    return 0;
}
