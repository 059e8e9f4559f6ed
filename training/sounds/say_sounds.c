// Sound to teach src/speech/sounds.c with, of the voices of flite that may be heard for it (rms, kal16):
// films of sentences of words drawn from a list, each film at another pace and pitch (rms: two of three,
// moved by overlapping periods), with the phones' own times. Nothing else is needed to run it, so that hours
// of sound are made where the network is taught.
//
//     sounds_say WORDS OUT rms|kal16 FILMS SEED
//
// Writes OUT.pcm (int16, 16 kHz) and OUT.lab (int8 a 5 ms: enum pz_phone_id at that sample, -1 ends a film).
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <flite/flite.h>

#include "audio/shape.h"
#include "base/mem.h"
#include "base/rng.h"
#include "sentences.h"
#include "speech/phones.h"

#define HOP 80
#define MOST (PZ_SPEECH_RATE * 60)

cst_voice *register_cmu_us_rms(const char *voxdir);
cst_voice *register_cmu_us_kal16(const char *voxdir);

struct film {
    int16_t *samples; /* [MOST] */
    signed char *labels;
    int n;
};

static void pause(struct film *f, struct pz_rng *rng)
{
    f->n += HOP * (40 + (int)pz_rng_below(rng, 80));
    f->n = f->n < MOST ? f->n : MOST;
}

/** One sentence behind what the film has; false when it does not fit or is not 16 kHz mono. */
static bool say(struct film *f, cst_voice *v, const char *text)
{
    srand(1); // the voices' noise
    cst_utterance *u = flite_synth_text(text, v);
    cst_wave *w = u ? utt_wave(u) : NULL;
    bool good = w && w->num_channels == 1 && w->sample_rate == PZ_SPEECH_RATE && w->num_samples < MOST - f->n;

    if (good) {
        double from = 0.0;

        memcpy(f->samples + f->n, w->samples, sizeof *f->samples * (size_t)w->num_samples);
        for (cst_item *g = relation_head(utt_relation(u, "Segment")); g; g = item_next(g)) {
            double to = item_feat_float(g, "end");
            int phone = pz_phone_from_name(item_feat_string(g, "name"));

            phone = phone < 0 ? PZ_PH_SIL : phone == PZ_PH_AX ? PZ_PH_AH : phone;
            for (int t = 0; t < w->num_samples / HOP; t++) {
                double at = (double)(f->n / HOP + t) * HOP / PZ_SPEECH_RATE - (double)f->n / PZ_SPEECH_RATE;

                if (at >= from && at < to)
                    f->labels[f->n / HOP + t] = (signed char)phone;
            }
            from = to;
        }
        f->n += w->num_samples / HOP * HOP;
    }
    if (u)
        delete_utterance(u);
    return good;
}

/** Another pitch, time and formants kept. False: no memory. */
static bool sing(struct film *f, float factor)
{
    enum { STEP = 160 };
    int64_t n = f->n, n_t = n / STEP;
    float *x = pz_calloc((size_t)n + 1, sizeof *x), *y = pz_calloc((size_t)n + 1, sizeof *y);
    float *target = pz_calloc((size_t)n_t + 1, sizeof *target);
    struct pz_pitch *track = pz_calloc((size_t)n_t + 1, sizeof *track);
    bool good = x && y && target && track;

    for (int64_t i = 0; good && i < n; i++)
        x[i] = (float)f->samples[i] / 32768.0f;
    good = good && pz_pitch_track(x, n, PZ_SPEECH_RATE, STEP, 60.0f, 300.0f, track, n_t) >= PZ_OK;
    for (int64_t t = 0; good && t < n_t; t++)
        target[t] = track[t].hz * factor;
    good = good && pz_psola(x, n, PZ_SPEECH_RATE, track, n_t, STEP, target, y) >= PZ_OK;
    for (int64_t i = 0; good && i < n; i++)
        f->samples[i] = (int16_t)(32767.0f * (y[i] > 1.0f ? 1.0f : y[i] < -1.0f ? -1.0f : y[i]));
    pz_free(x);
    pz_free(y);
    pz_free(target);
    pz_free(track);
    return good;
}

static bool write_film(const struct film *f, FILE *sound, FILE *labels)
{
    signed char end = -1;
    size_t n = (size_t)(f->n / HOP);

    return fwrite(f->samples, sizeof *f->samples, n * HOP, sound) == n * HOP &&
           fwrite(f->labels, 1, n, labels) == n && fwrite(&end, 1, 1, labels) == 1;
}

int main(int argc, char **argv)
{
    struct sentences words = {0};
    struct film f = {.samples = pz_calloc(MOST, sizeof *f.samples), .labels = pz_calloc(MOST / HOP, 1)};
    struct pz_rng rng;
    char path[1024];

    if (argc != 6 || !f.samples || !f.labels || !sentences_open(&words, argv[1])) {
        fputs("sounds_say WORDS OUT rms|kal16 FILMS SEED\n", stderr);
        return 2;
    }
    snprintf(path, sizeof path, "%s.pcm", argv[2]);
    FILE *sound = fopen(path, "wb");
    snprintf(path, sizeof path, "%s.lab", argv[2]);
    FILE *labels = fopen(path, "wb");
    flite_init();
    bool diphones = strcmp(argv[3], "kal16") == 0, good = sound && labels;
    cst_voice *v = diphones ? register_cmu_us_kal16(NULL) : register_cmu_us_rms(NULL);
    pz_rng_init(&rng, (uint64_t)atoll(argv[5]), 7);
    for (int i = 0; i < atoi(argv[4]) && good; i++) {
        feat_set_float(v->features, "duration_stretch", 0.75f + 0.6f * pz_rng_uniform(&rng));
        if (diphones) {
            feat_set_float(v->features, "int_f0_target_mean", 75.0f + 140.0f * pz_rng_uniform(&rng));
            feat_set_float(v->features, "int_f0_target_stddev", 5.0f + 20.0f * pz_rng_uniform(&rng));
        }
        memset(f.samples, 0, MOST * sizeof *f.samples);
        memset(f.labels, 0, MOST / HOP);
        f.n = 0;
        pause(&f, &rng);
        for (int k = 0; k < 2; k++) {
            char text[256];

            sentence_make(&words, &rng, text);
            if (say(&f, v, text))
                pause(&f, &rng);
        }
        if (!diphones && i % 3)
            good = sing(&f, 0.8f + 1.3f * pz_rng_uniform(&rng));
        good = good && write_film(&f, sound, labels);
    }
    good = good && fclose(sound) == 0 && fclose(labels) == 0;
    sentences_close(&words);
    pz_free(f.samples);
    pz_free(f.labels);
    return good ? 0 : 1;
}
