// Sound for the speech bench: flite with exact word times, espeak-ng without, and rooms to put them in.
// Nothing is measured here.
#include "speech_sound.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <flite/flite.h>

#include "audio/shape.h"
#include "base/mem.h"
#include "base/rng.h"
#include "speech/phones.h"
#include "speech/voice.h"

#define PAUSE (PZ_SPEECH_RATE * 45 / 100)
#define MAX_WORDS 256

cst_voice *register_cmu_us_slt(const char *voxdir);
cst_voice *register_cmu_us_rms(const char *voxdir);
cst_voice *register_cmu_us_awb(const char *voxdir);
cst_voice *register_cmu_us_kal16(const char *voxdir);

void said_free(struct said *s)
{
    pz_free(s->samples);
    pz_free(s->words);
    pz_phone_line_free(&s->phones);
    *s = (struct said){0};
}

/** Append `n` samples (NULL = silence). */
static enum pz_status append(struct said *s, const float *x, int64_t n)
{
    float *m = s->samples ? pz_regrow(s->samples, (size_t)s->n, (size_t)(s->n + n), sizeof *m)
                          : pz_calloc((size_t)n, sizeof *m);

    if (!m)
        return PZ_ERR_NOMEM;
    s->samples = m;
    if (x)
        memcpy(m + s->n, x, (size_t)n * sizeof *m);
    s->n += n;
    return PZ_OK;
}

/** Letters and digits of a token. */
static void plain(const char *in, char out[64])
{
    size_t k = 0;

    for (; *in && k < 63; in++)
        if ((*in >= 'a' && *in <= 'z') || (*in >= 'A' && *in <= 'Z') || *in == '\'')
            out[k++] = *in;
    out[k] = 0;
}

/** Words of an utterance: tokens with the times of their first and last segment. */
static enum pz_status take_words(cst_utterance *u, double scale, struct said *s)
{
    enum pz_status st = PZ_OK;
    double prev = 0.0;
    const cst_item *open = NULL;

    for (cst_item *g = relation_head(utt_relation(u, "Segment")); g; g = item_next(g)) {
        double end = item_feat_float(g, "end");
        const cst_item *token = path_to_item(g, "R:SylStructure.parent.parent.R:Token.parent");
        int phone = pz_phone_from_name(item_feat_string(g, "name"));

        if (token && s->n_words < MAX_WORDS) {
            if (token != open) {
                struct said_word *w = &s->words[s->n_words++];

                *w =
                    (struct said_word){.start = s->n + llrint(prev * scale * PZ_SPEECH_RATE), .first = phone};
                plain(item_feat_string(token, "name"), w->text);
            }
            s->words[s->n_words - 1].end = s->n + llrint(end * scale * PZ_SPEECH_RATE);
            s->words[s->n_words - 1].last = phone;
            PZ_TRY(pz_phone_line_add(&s->phones,
                                     (struct pz_phone){.id = phone < 0 ? PZ_PH_SIL : phone,
                                                       .score = 1.0f,
                                                       .start = s->n + llrint(prev * scale * PZ_SPEECH_RATE),
                                                       .end = s->words[s->n_words - 1].end}));
        }
        open = token;
        prev = end;
    }
fail:
    return st;
}

static enum pz_status say_flite(const struct speaker *sp, const char *text, struct said *s)
{
    enum pz_status st = PZ_ERR_INTERNAL;
    cst_voice *v;
    cst_utterance *u = NULL;
    cst_wave *w;
    float *x = NULL, *y = NULL;
    int64_t n;

    flite_init();
    v = strcmp(sp->voice, "slt") == 0   ? register_cmu_us_slt(NULL)
        : strcmp(sp->voice, "rms") == 0 ? register_cmu_us_rms(NULL)
        : strcmp(sp->voice, "awb") == 0 ? register_cmu_us_awb(NULL)
                                        : register_cmu_us_kal16(NULL);
    feat_set_float(v->features, "duration_stretch", (float)sp->pace);
    srand(1); // its noise
    u = flite_synth_text(text, v);
    w = u ? utt_wave(u) : NULL;
    if (!w || w->num_channels != 1)
        goto fail;
    x = pz_calloc((size_t)w->num_samples, sizeof *x);
    if (!x)
        goto fail;
    for (int i = 0; i < w->num_samples; i++)
        x[i] = (float)w->samples[i] / 32768.0f;
    st = take_words(u, sp->size, s);
    if (st < PZ_OK)
        goto fail;
    // A larger head: the same samples read more slowly.
    st = pz_resample(x, w->num_samples, (int)lrint(w->sample_rate / sp->size), PZ_SPEECH_RATE, &y, &n);
    if (st == PZ_OK)
        st = append(s, y, n);
fail:
    if (u)
        delete_utterance(u);
    pz_free(x);
    pz_free(y);
    return st;
}

static enum pz_status say_espeak(const struct speaker *sp, const char *text, struct said *s)
{
    struct pz_job job = {0};
    struct pz_utterance u;
    struct pz_say say = {.voice = sp->voice, .text = text};
    float *y = NULL;
    int64_t n;
    char copy[512], *save = NULL;
    enum pz_status st = pz_voice_say(&say, NULL, &job, &u);

    if (st < PZ_OK)
        return st;
    snprintf(copy, sizeof copy, "%s", text);
    for (char *t = strtok_r(copy, " ", &save); t && s->n_words < MAX_WORDS; t = strtok_r(NULL, " ", &save))
        plain(t, s->words[s->n_words++].text);
    st = pz_resample(u.samples, u.n, (int)lrint(u.rate / sp->size), PZ_SPEECH_RATE, &y, &n);
    if (st == PZ_OK)
        st = append(s, y, n);
    pz_free(y);
    pz_utterance_free(&u);
    return st;
}

enum pz_status said_make(const struct speaker *sp, const char *const *sentences, int n, struct said *out)
{
    enum pz_status st;
    double peak = 0.0;

    *out = (struct said){.timed = strncmp(sp->voice, "espeak", 6) != 0};
    out->words = pz_calloc(MAX_WORDS, sizeof *out->words);
    if (!out->words)
        return PZ_ERR_NOMEM;
    PZ_TRY(append(out, NULL, PAUSE));
    for (int i = 0; i < n; i++) {
        PZ_TRY(out->timed ? say_flite(sp, sentences[i], out) : say_espeak(sp, sentences[i], out));
        PZ_TRY(append(out, NULL, PAUSE));
    }
    for (int64_t i = 0; i < out->n; i++)
        peak = fmax(peak, fabs(out->samples[i]));
    for (int64_t i = 0; i < out->n; i++)
        out->samples[i] *= (float)(0.5 / (peak + 1e-9));
    return PZ_OK;
fail:
    said_free(out);
    return st;
}

/** Power of the loud half: what is said, without the pauses. */
static double speech_power(const struct said *s)
{
    double all = 0.0, sum = 0.0;
    int64_t count = 0;

    for (int64_t i = 0; i < s->n; i++)
        all += (double)s->samples[i] * s->samples[i];
    all /= (double)s->n;
    for (int64_t a = 0; a + 320 <= s->n; a += 320) {
        double p = 0.0;

        for (int64_t i = a; i < a + 320; i++)
            p += (double)s->samples[i] * s->samples[i];
        if (p / 320 > 0.1 * all) {
            sum += p;
            count += 320;
        }
    }
    return count ? sum / (double)count : 1e-9;
}

static void add_noise(struct said *s, float *d, uint64_t seed)
{
    struct pz_rng r;
    float low = 0.0f;

    pz_rng_init(&r, seed, 1);
    for (int64_t i = 0; i < s->n; i++) { // falls by 6 dB an octave above 600 Hz, as rooms and streets do
        float w = pz_rng_normal(&r);

        low += 0.21f * (w - low);
        d[i] = low + 0.05f * w;
    }
}

static void add_white(struct said *s, float *d, uint64_t seed)
{
    struct pz_rng r;

    pz_rng_init(&r, seed, 4);
    for (int64_t i = 0; i < s->n; i++)
        d[i] = pz_rng_normal(&r);
}

/** Falls by 3 dB an octave: a sum of first-order low passes an octave and a half apart. */
static void add_pink(struct said *s, float *d, uint64_t seed)
{
    enum { POLES = 6 };
    float state[POLES] = {0};
    struct pz_rng r;

    pz_rng_init(&r, seed, 5);
    for (int64_t i = 0; i < s->n; i++) {
        float w = pz_rng_normal(&r);

        d[i] = 0.0f;
        for (int k = 0; k < POLES; k++) {
            float a = 1.0f - expf(-2.0f * (float)M_PI * 30.0f * powf(2.8f, (float)k) / PZ_SPEECH_RATE);

            state[k] += a * (w - state[k]);
            d[i] += state[k];
        }
    }
}

/** Six people at once, none of them saying what films say. */
static enum pz_status add_babble(struct said *s, float *d, uint64_t seed)
{
    static const struct speaker by[6] = {{"", "slt", 0.9, 1.0},  {"", "rms", 1.12, 1.0},
                                         {"", "awb", 1.15, 1.0}, {"", "slt", 1.17, 1.0},
                                         {"", "rms", 0.85, 1.0}, {"", "awb", 0.88, 1.0}};
    static const char *const talk[3] = {
        "There was an old mill beside the water where nobody worked any more.",
        "They talked about weather and prices until the lamps were lit in the long room.",
        "My uncle would rather walk than drive, because roads were poor then."};
    struct pz_rng r;

    pz_rng_init(&r, seed, 6);
    for (int k = 0; k < 6; k++) {
        struct said other;
        enum pz_status st = said_make(&by[k], talk, 3, &other);
        int64_t from;

        if (st < PZ_OK)
            return st;
        from = (int64_t)(pz_rng_uniform(&r) * (float)other.n);
        for (int64_t i = 0; i < s->n; i++)
            d[i] += other.samples[(from + i) % other.n];
        said_free(&other);
    }
    return PZ_OK;
}

static void add_music(struct said *s, float *d, uint64_t seed)
{
    static const int chords[4][3] = {{0, 4, 7}, {9, 12, 16}, {5, 9, 12}, {7, 11, 14}};
    struct pz_rng r;

    pz_rng_init(&r, seed, 2);
    for (int64_t i = 0; i < s->n; i++) {
        int64_t beat = i / (PZ_SPEECH_RATE / 2), in = i % (PZ_SPEECH_RATE / 2);
        double t = (double)i / PZ_SPEECH_RATE, env = exp(-(double)in / 6000.0), v = 0.0;

        for (int k = 0; k < 3; k++) {
            double hz = 220.0 * pow(2.0, chords[beat / 2 % 4][k] / 12.0);

            for (int h = 1; h <= 5; h++)
                v += sin(2.0 * M_PI * hz * h * t) / (h * h) * (0.4 + env);
        }
        v += 2.0 * exp(-(double)in / 400.0) * pz_rng_normal(&r); // a drum
        d[i] = (float)v;
    }
}

static void mix(struct said *s, const float *d, double ratio_db)
{
    double own = speech_power(s), other = 0.0;
    float g;

    for (int64_t i = 0; i < s->n; i++)
        other += (double)d[i] * d[i];
    other /= (double)s->n;
    g = (float)sqrt(own / (other + 1e-12) * pow(10.0, -ratio_db / 10.0));
    for (int64_t i = 0; i < s->n; i++)
        s->samples[i] += g * d[i];
}

/** Late sound: 400 echoes that die away by 60 dB in 0.45 s. */
static void add_echo(struct said *s, float *d, uint64_t seed)
{
    enum { TAPS = 400 };
    struct pz_rng r;

    pz_rng_init(&r, seed, 3);
    for (int k = 0; k < TAPS; k++) {
        int64_t lag = 80 + (int64_t)(pz_rng_uniform(&r) * 0.45f * PZ_SPEECH_RATE);
        float g =
            (pz_rng_u32(&r) & 1 ? 1.0f : -1.0f) * powf(10.0f, -3.0f * (float)lag / (0.45f * PZ_SPEECH_RATE));

        for (int64_t i = lag; i < s->n; i++)
            d[i] += g * s->samples[i - lag];
    }
}

enum pz_status said_place(struct said *s, enum room room, double snr_db, uint64_t seed)
{
    enum pz_status st = PZ_OK;
    float *d = pz_calloc((size_t)s->n, sizeof *d);

    if (!d)
        return PZ_ERR_NOMEM;
    if (room == ROOM_REVERB) {
        add_echo(s, d, seed);
        mix(s, d, snr_db);
    } else if (room == ROOM_MUSIC) {
        add_music(s, d, seed);
        mix(s, d, snr_db);
    }
    switch (room) {
    case ROOM_WHITE:
        add_white(s, d, seed);
        break;
    case ROOM_PINK:
        add_pink(s, d, seed);
        break;
    case ROOM_BABBLE:
        st = add_babble(s, d, seed);
        break;
    default:
        add_noise(s, d, seed);
    }
    if (st == PZ_OK)
        mix(s, d, room == ROOM_REVERB ? 25.0 : room == ROOM_CLEAN || room == ROOM_MUSIC ? 50.0 : snr_db);
    pz_free(d);
    return st;
}
