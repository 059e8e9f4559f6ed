// flite: letter-to-sound and speech with the synthesiser's own phone times. Choosing a voice, matching and
// fitting are not here.
//
// flite keeps its voices and lexicon in statics, so every call runs under one lock; voices are registered
// once per process.
#include "speech/flite_say.h"

#include <ctype.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <flite/flite.h>

#include "base/mem.h"

cst_voice *register_cmu_us_slt(const char *voxdir);
cst_voice *register_cmu_us_rms(const char *voxdir);
cst_voice *register_cmu_us_awb(const char *voxdir);
cst_voice *register_cmu_us_kal16(const char *voxdir);
cst_lexicon *cmu_lex_init(void);

// Medians of "Hi Anuj, I'll help plan your trip", measured with pz_pitch_track().
const struct pz_flite_voice pz_flite_voices[] = {
    {"slt", 170.0}, {"rms", 97.0}, {"awb", 138.0}, {"kal16", 105.0}, {NULL, 0.0}};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void start_flite(void)
{
    flite_init();
}

/** Under the lock. NULL for an unknown name. */
static cst_voice *voice_get(const char *name)
{
    if (strcmp(name, "slt") == 0)
        return register_cmu_us_slt(NULL);
    if (strcmp(name, "rms") == 0)
        return register_cmu_us_rms(NULL);
    if (strcmp(name, "awb") == 0)
        return register_cmu_us_awb(NULL);
    if (strcmp(name, "kal16") == 0)
        return register_cmu_us_kal16(NULL);
    return NULL;
}

/** flite's phone as ours, −1 for what is none. */
static int phone_of(const char *name)
{
    if (strcmp(name, "pau") == 0 || strcmp(name, "h#") == 0 || strcmp(name, "brth") == 0)
        return PZ_PH_SIL;
    return pz_phone_from_name(name);
}

static bool has_speech(const char *text)
{
    for (; *text; text++)
        if (isalnum((unsigned char)*text))
            return true;
    return false;
}

bool pz_flite_spell(const char *text, struct pz_pron *out)
{
    char plain[512];
    bool fits = true;
    cst_voice *voice;
    cst_utterance *u;

    out->n = 0;
    pz_fold_ascii(text, plain, sizeof plain);
    if (!has_speech(plain))
        return false;
    pthread_once(&once, start_flite);
    pthread_mutex_lock(&lock);
    voice = voice_get("kal16");
    u = voice ? new_utterance() : NULL;
    if (u) {
        static const cst_synth_module steps[] = {{"tokenizer_func", default_tokenization},
                                                 {"textanalysis_func", default_textanalysis},
                                                 {"pos_tagger_func", default_pos_tagger},
                                                 {"phrasing_func", default_phrasing},
                                                 {"lexical_insertion_func", default_lexical_insertion},
                                                 {NULL, NULL}};

        utt_set_input_text(u, plain);
        utt_init(u, voice);
        if (apply_synth_method(u, steps)) {
            for (cst_item *s = relation_head(utt_relation(u, "Segment")); s && fits; s = item_next(s)) {
                int id = phone_of(item_feat_string(s, "name"));

                if (id <= PZ_PH_SIL)
                    continue;
                if (out->n == PZ_PRON_MAX)
                    fits = false;
                else
                    out->phones[out->n++] = (uint8_t)id;
            }
        }
        delete_utterance(u);
    }
    pthread_mutex_unlock(&lock);
    return fits && out->n > 0;
}

/** Append the words of `in` that can be said, lower case, one space between; returns how many tokens flite
 * will see. */
static int put_words(char *buf, size_t cap, const char *in)
{
    char plain[1024];
    size_t n = strlen(buf);
    int tokens = 0;
    bool open = false;

    if (!in)
        return 0;
    pz_fold_ascii(in, plain, sizeof plain);
    for (const char *p = plain; *p; p++) {
        bool inside = open && (*p == '\'' || *p == '.') && isalnum((unsigned char)p[1]);

        if (isalnum((unsigned char)*p) || inside) {
            if (n + 3 >= cap)
                break;
            if (!open) {
                if (n)
                    buf[n++] = ' ';
                open = true;
                tokens++;
            }
            buf[n++] = *p;
        } else {
            open = false;
        }
    }
    buf[n] = 0;
    return tokens;
}

/** Phones as flite's token feature wants them: lower case, first vowel stressed. */
static void pron_text(const struct pz_pron *pron, char *out, size_t cap)
{
    bool stressed = false;
    size_t n = 0;

    out[0] = 0;
    for (int i = 0; i < pron->n && n + 8 < cap; i++) {
        const char *name = pz_phone_name(pron->phones[i]);
        bool vowel = strchr("AEIOU", name[0]) != NULL;

        if (i)
            out[n++] = ' ';
        for (const char *p = name; *p; p++)
            out[n++] = (char)tolower((unsigned char)*p);
        if (vowel)
            out[n++] = stressed || pron->phones[i] == PZ_PH_AX ? '0' : '1';
        stressed |= vowel && pron->phones[i] != PZ_PH_AX;
        out[n] = 0;
    }
}

struct cut {
    double start, end; /* seconds */
    bool found;
};

/** The value's segments: from the first to the last whose token is marked 1. */
static struct cut find_cut(cst_utterance *u)
{
    struct cut c = {0};
    double prev = 0.0;

    for (cst_item *s = relation_head(utt_relation(u, "Segment")); s; s = item_next(s)) {
        double end = item_feat_float(s, "end");

        if (flite_ffeature_int(s, "R:SylStructure.parent.parent.R:Token.parent.pz") == 1) {
            if (!c.found)
                c.start = prev;
            c.found = true;
            c.end = end;
        }
        prev = end;
    }
    return c;
}

/** Copy sound and phones of the cut. */
static enum pz_status take(cst_utterance *u, struct cut c, const char *voice, struct pz_utterance *out)
{
    enum pz_status st;
    cst_wave *w = utt_wave(u);
    double prev = 0.0;
    int64_t a, b;

    if (!w || w->num_channels != 1 || w->sample_rate <= 0)
        return PZ_ERR_INTERNAL;
    out->rate = w->sample_rate;
    a = (int64_t)llrint(c.start * out->rate);
    b = (int64_t)llrint(c.end * out->rate);
    if (b > w->num_samples)
        b = w->num_samples;
    if (b - a < out->rate / 50)
        return PZ_ERR_INTERNAL;
    out->n = b - a;
    out->samples = pz_calloc((size_t)out->n, sizeof *out->samples);
    if (!out->samples)
        return PZ_ERR_NOMEM;
    for (int64_t i = 0; i < out->n; i++)
        out->samples[i] = (float)w->samples[a + i] / 32768.0f;
    for (cst_item *s = relation_head(utt_relation(u, "Segment")); s; s = item_next(s)) {
        double end = item_feat_float(s, "end");
        int id = phone_of(item_feat_string(s, "name"));

        if (prev >= c.start - 1e-6 && end <= c.end + 1e-6 && id >= 0) {
            st = pz_phone_line_add(&out->phones,
                                   (struct pz_phone){.id = id,
                                                     .score = 1.0f,
                                                     .start = llrint((prev - c.start) * PZ_SPEECH_RATE),
                                                     .end = llrint((end - c.start) * PZ_SPEECH_RATE)});
            if (st < PZ_OK)
                return st;
        }
        prev = end;
    }
    snprintf(out->voice, sizeof out->voice, "flite:%s", voice);
    return pz_phone_line_cover(&out->phones, 0, out->n * PZ_SPEECH_RATE / out->rate);
}

enum pz_status pz_flite_say(const struct pz_say *s, const char *voice_name, struct pz_log *log,
                            struct pz_utterance *out)
{
    enum pz_status st = PZ_ERR_NOMEM;
    char text[4096] = "", phones[PZ_PRON_MAX * 4 + 8] = "";
    int n_before = put_words(text, sizeof text / 4, s->before);
    int n_value, i = 0;
    cst_voice *voice;
    cst_utterance *u = NULL;
    struct cut cut;

    if (s->pron && s->pron->n > 0) {
        pron_text(s->pron, phones, sizeof phones);
        n_value = put_words(text, sizeof text / 2, "name"); // any one word: its phones are replaced
    } else {
        n_value = put_words(text, sizeof text / 2, s->text);
    }
    if (n_value == 0)
        return pz_fail(log, PZ_ERR_INPUT,
                       "flite can say nothing of this value; try --voice espeak, --say or --audio");
    put_words(text, sizeof text, s->after);

    pthread_once(&once, start_flite);
    pthread_mutex_lock(&lock);
    voice = voice_get(voice_name);
    u = voice ? new_utterance() : NULL;
    if (!u)
        goto fail;
    utt_set_input_text(u, text);
    utt_init(u, voice);
    if (s->rate_words > 0.0)
        feat_set_float(u->features, "duration_stretch", (float)(1.0 / s->rate_words));
    if (!default_tokenization(u))
        goto fail;
    for (cst_item *t = relation_head(utt_relation(u, "Token")); t; t = item_next(t), i++) {
        bool value = i >= n_before && i < n_before + n_value;

        item_set_int(t, "pz", value ? 1 : 2);
        if (value && phones[0])
            item_set_string(t, "phones", phones);
    }
    st = PZ_ERR_INTERNAL;
    srand(1); // its noise source is rand(): the same words must give the same sound
    if (!utt_synth_tokens(u))
        goto fail;
    cut = find_cut(u);
    if (!cut.found)
        goto fail;
    st = take(u, cut, voice_name, out);
fail:
    if (u)
        delete_utterance(u);
    pthread_mutex_unlock(&lock);
    if (st == PZ_ERR_INTERNAL)
        return pz_fail(log, st, "flite made no speech for this value");
    return st;
}
