// Sound to teach src/speech/sounds.c with: sentences of words drawn from the dictionary, spoken by one voice,
// as powers of 24 bands every 5 ms and the phone at each (flite's own; for espeak-ng, which tells none, the
// aligner's in a quiet room). Noise is added by train.py.
//
//     sounds_make OUT VOICE SIZE SENTENCES SEED      VOICE: rms, kal16, slt, awb, espeak:NAME
//
// Writes OUT (float32 [frames][24]) and OUT.lab (int8 [frames]); a row of zeros with label −1 ends each film.
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audio/mel.h"
#include "base/mem.h"
#include "base/rng.h"
#include "speech/speech.h"
#include "speech_sound.h"

#define BANDS 24
#define FFT 512
#define WINDOW 400
#define HOP 80
#define DICTIONARY "/usr/share/pocketsphinx/model/en-us/cmudict-en-us.dict"
#define MAX_WORDS 140000
#define OFTEN 0.35f /* share of little words */

static const char *const little[] = {"the",  "a",    "of",  "and", "to",   "in",   "is",   "you",
                                     "that", "it",   "for", "was", "on",   "are",  "with", "as",
                                     "his",  "they", "be",  "at",  "your", "have", "from", "this",
                                     "we",   "will", "our", "has", "my",   "me"};

struct maker {
    struct pz_job job;
    struct pz_ears *ears;
    struct pz_rng rng;
    struct pz_fft *fft;
    char (*words)[32];
    int n_words;
    float bank[BANDS][FFT / 2 + 1];
    FILE *powers, *labels;
    int64_t frames;
};

static double mel_of(double hz)
{
    return 1127.0 * log(1.0 + hz / 700.0);
}

static void make_bank(struct maker *m)
{
    double lo = mel_of(60.0), step = (mel_of(7600.0) - lo) / (BANDS + 1);

    for (int b = 0; b < BANDS; b++)
        for (int k = 0; k <= FFT / 2; k++) {
            double at = (mel_of((double)k * PZ_SPEECH_RATE / FFT) - lo) / step - b;

            m->bank[b][k] = (float)(at <= 0.0 || at >= 2.0 ? 0.0 : at < 1.0 ? at : 2.0 - at);
        }
}

/** Words of 3 to 12 plain letters. */
static bool read_dictionary(struct maker *m)
{
    FILE *f = fopen(DICTIONARY, "r");
    char line[512], word[128];

    m->words = pz_calloc(MAX_WORDS, sizeof *m->words);
    while (f && m->words && m->n_words < MAX_WORDS && fgets(line, sizeof line, f)) {
        size_t n = sscanf(line, "%120s", word) == 1 ? strlen(word) : 0;
        bool good = n >= 3 && n <= 12;

        for (size_t i = 0; i < n && good; i++)
            good = islower((unsigned char)word[i]) != 0;
        if (good)
            memcpy(m->words[m->n_words++], word, n + 1);
    }
    if (f)
        fclose(f);
    return m->n_words > 0;
}

static void sentence(struct maker *m, char out[256])
{
    int n = 3 + (int)pz_rng_below(&m->rng, 5);
    size_t at = 0;

    for (int i = 0; i < n; i++) {
        const char *w = pz_rng_uniform(&m->rng) < OFTEN
                            ? little[pz_rng_below(&m->rng, sizeof little / sizeof *little)]
                            : m->words[pz_rng_below(&m->rng, (uint32_t)m->n_words)];
        const char *join = i + 1 == n ? "." : pz_rng_uniform(&m->rng) < 0.06f ? ", " : " ";

        at += (size_t)snprintf(out + at, 256 - at, "%s%s", w, join);
    }
    out[0] = (char)toupper((unsigned char)out[0]);
}

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
    pz_words_free(&found);
    pz_free(quiet);
    return st;
}

static void write_film(struct maker *m, const struct said *s, const struct pz_phone_line *line)
{
    float buf[FFT] = {0}, spec[FFT + 2], powers[BANDS] = {0};
    signed char label = -1;
    int at = 0;

    for (int64_t t = 0; t < s->n / HOP; t++, m->frames++) {
        for (int i = 0; i < WINDOW; i++) {
            int64_t k = t * HOP - WINDOW / 2 + i;

            buf[i] =
                k >= 0 && k < s->n
                    ? s->samples[k] * (0.5f - 0.5f * cosf(2.0f * (float)M_PI * ((float)i + 0.5f) / WINDOW))
                    : 0.0f;
        }
        pz_fft_real(m->fft, buf, spec);
        for (int b = 0; b < BANDS; b++) {
            powers[b] = 0.0f;
            for (int k = 0; k <= FFT / 2; k++)
                powers[b] += m->bank[b][k] * (spec[2 * k] * spec[2 * k] + spec[2 * k + 1] * spec[2 * k + 1]);
        }
        while (at < line->n && line->items[at].end <= t * HOP)
            at++;
        label =
            (signed char)(at < line->n && line->items[at].start <= t * HOP ? line->items[at].id : PZ_PH_SIL);
        label = label == PZ_PH_AX ? PZ_PH_AH : label;
        fwrite(powers, sizeof *powers, BANDS, m->powers);
        fwrite(&label, 1, 1, m->labels);
    }
    memset(powers, 0, sizeof powers);
    label = -1;
    fwrite(powers, sizeof *powers, BANDS, m->powers);
    fwrite(&label, 1, 1, m->labels);
}

static enum pz_status make_film(struct maker *m, const struct speaker *by)
{
    char text[2][256];
    const char *lines[2] = {text[0], text[1]};
    struct pz_phone_line line = {0};
    struct said s;
    enum pz_status st;

    sentence(m, text[0]);
    sentence(m, text[1]);
    st = said_make(by, lines, 2, &s);
    if (st < PZ_OK)
        return st;
    if (!s.timed)
        st = align(m, &s, &line);
    if (st == PZ_OK)
        write_film(m, &s, s.timed ? &s.phones : &line);
    pz_phone_line_free(&line);
    said_free(&s);
    return st;
}

int main(int argc, char **argv)
{
    static struct maker m;
    char path[1024];
    int bad = 0;

    if (argc != 6) {
        fputs("sounds_make OUT VOICE SIZE SENTENCES SEED\n", stderr);
        return 2;
    }
    struct speaker by = {argv[2], argv[2], atof(argv[3])};
    m.job.log = pz_log_create(NULL, NULL, PZ_LOG_ERROR);
    m.fft = pz_fft_create(FFT);
    snprintf(path, sizeof path, "%s.lab", argv[1]);
    m.powers = fopen(argv[1], "wb");
    m.labels = fopen(path, "wb");
    pz_rng_init(&m.rng, (uint64_t)atoll(argv[5]), 7);
    make_bank(&m);
    if (!m.fft || !m.powers || !m.labels || !read_dictionary(&m) ||
        pz_ears_open(NULL, &m.job, &m.ears) < PZ_OK) {
        fputs("sounds_make: cannot start\n", stderr);
        return 1;
    }
    for (int i = 0; i < atoi(argv[4]); i++)
        bad +=
            make_film(&m, &by) < PZ_OK; // a word that the voice and the dictionary say in too different ways
    printf("%s: %lld frames, %d films left out\n", argv[1], (long long)m.frames, bad);
    fclose(m.powers);
    fclose(m.labels);
    pz_fft_destroy(&m.fft);
    pz_free(m.words);
    pz_ears_close(&m.ears);
    pz_log_destroy(&m.job.log);
    return 0;
}
