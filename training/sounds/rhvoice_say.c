// Sound and phone times of voices of RHVoice, for rhvoice.py. RHVoice tells the times of words only and says
// with one voice at a time, so this program stands between the library and the HTS engine inside it: every
// phone's states and their lengths go by there, and further voices of the same language can be mixed in.
//
//     rhvoice_say DATA CONFIG VOICE OUT [MODEL...] < LINES
//
// MODEL: file voice.data of another voice. Of every line "PACE PITCH WEIGHT... TEXT" (factors; a weight for
// VOICE and each model; UTF-8): OUT.N.raw (int16, 24 kHz) and OUT.N.seg with lines "PHONE LAST_SAMPLE".
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <RHVoice.h>

#define RATE 24000
#define MOST 8 /* voices that are mixed */

struct hts_engine; /* the library's own */

static struct {
    FILE *sound, *times;
    long long samples;
    char **models; /* further ones */
    int voices;    /* with them */
    double pace, weights[MOST];
} out;

static void *next(const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);

    if (!found) {
        fprintf(stderr, "rhvoice_say: the library has no %s\n", name);
        exit(1);
    }
    return found;
}

/** What the library means to call; more models are loaded with its own. */
char HTS_Engine_load(struct hts_engine *engine, char **models, size_t n);

char HTS_Engine_load(struct hts_engine *engine, char **models, size_t n)
{
    char (*call)(struct hts_engine *, char **, size_t);
    char *all[MOST] = {models[0]};

    (void)n; // one
    *(void **)&call = next("HTS_Engine_load");
    for (int i = 1; i < out.voices; i++)
        all[i] = out.models[i - 1];
    return call(engine, all, (size_t)out.voices);
}

/** How much of each voice is in what is said next. */
static void mix(struct hts_engine *engine)
{
    void (*length)(struct hts_engine *, size_t, double),
        (*sound)(struct hts_engine *, size_t, size_t, double),
        (*range)(struct hts_engine *, size_t, size_t, double);
    size_t (*streams)(struct hts_engine *);

    *(void **)&length = next("HTS_Engine_set_duration_interpolation_weight");
    *(void **)&sound = next("HTS_Engine_set_parameter_interpolation_weight");
    *(void **)&range = next("HTS_Engine_set_gv_interpolation_weight");
    *(void **)&streams = next("HTS_Engine_get_nstream");
    for (size_t i = 0; i < (size_t)out.voices; i++) {
        length(engine, i, out.weights[i]);
        for (size_t k = 0; k < streams(engine); k++) {
            sound(engine, i, k, out.weights[i]);
            range(engine, i, k, out.weights[i]);
        }
    }
}

/** What the library means to call; the phones of one sentence pass through. */
char HTS_Engine_generate_state_sequence_from_strings(struct hts_engine *engine, char **lines, size_t n);

char HTS_Engine_generate_state_sequence_from_strings(struct hts_engine *engine, char **lines, size_t n)
{
    char (*call)(struct hts_engine *, char **, size_t);
    size_t (*states)(struct hts_engine *), (*length)(struct hts_engine *, size_t),
        (*period)(struct hts_engine *);
    void (*speed)(struct hts_engine *, double);
    long long at = out.samples;

    *(void **)&call = next("HTS_Engine_generate_state_sequence_from_strings");
    *(void **)&states = next("HTS_Engine_get_nstate");
    *(void **)&length = next("HTS_Engine_get_state_duration");
    *(void **)&period = next("HTS_Engine_get_fperiod");
    *(void **)&speed = next("HTS_Engine_set_speed");
    speed(engine, out.pace); // the library's own way of being quicker cuts periods out of the sound
    mix(engine);
    char good = call(engine, lines, n);

    for (size_t i = 0; good && i < n; i++) {
        const char *from = strchr(lines[i], '-'), *to = from ? strchr(from, '+') : NULL;

        for (size_t k = 0; k < states(engine); k++)
            at += (long long)(length(engine, i * states(engine) + k) * period(engine));
        if (to)
            fprintf(out.times, "%.*s %lld\n", (int)(to - from - 1), from + 1, at);
    }
    return good;
}

static int on_rate(int rate, void *user)
{
    (void)user;
    return rate == RATE;
}

static int on_sound(const short *samples, unsigned int n, void *user)
{
    (void)user;
    out.samples += n;
    return fwrite(samples, sizeof *samples, n, out.sound) == n;
}

static int say(RHVoice_tts_engine engine, const char *voice, const char *stem, int number, char *line)
{
    char path[1024];
    int skip = 0, good = 0;
    RHVoice_synth_params how = {
        .voice_profile = voice, .relative_rate = 1, .relative_pitch = 1, .relative_volume = 1};

    if (sscanf(line, "%lf %lf %n", &out.pace, &how.relative_pitch, &skip) != 2)
        return 0;
    line[strcspn(line, "\n")] = 0;
    line += skip;
    for (int i = 0; i < out.voices; i++, line += skip)
        if (sscanf(line, "%lf %n", &out.weights[i], &skip) != 1)
            return 0;
    snprintf(path, sizeof path, "%s.%d.raw", stem, number);
    out.sound = fopen(path, "wb");
    snprintf(path, sizeof path, "%s.%d.seg", stem, number);
    out.times = fopen(path, "w");
    out.samples = 0;
    if (out.sound && out.times) {
        RHVoice_message m =
            RHVoice_new_message(engine, line, (unsigned)strlen(line), RHVoice_message_text, &how, NULL);

        good = m && RHVoice_speak(m);
        if (m)
            RHVoice_delete_message(m);
    }
    if (out.sound)
        fclose(out.sound);
    if (out.times)
        fclose(out.times);
    return good;
}

int main(int argc, char **argv)
{
    char line[4096];

    if (argc < 5 || argc > 4 + MOST) {
        fputs("rhvoice_say DATA CONFIG VOICE OUT [MODEL...] < LINES\n", stderr);
        return 2;
    }
    RHVoice_init_params with = {.data_path = argv[1],
                                .config_path = argv[2],
                                .callbacks = {.set_sample_rate = on_rate, .play_speech = on_sound}};
    RHVoice_tts_engine engine = RHVoice_new_tts_engine(&with);
    int number = 0;

    out.models = argv + 5;
    out.voices = argc - 4;
    while (engine && fgets(line, sizeof line, stdin))
        if (!say(engine, argv[3], argv[4], number++, line))
            fprintf(stderr, "rhvoice_say: not said: %s\n", line);
    if (engine)
        RHVoice_delete_tts_engine(engine);
    return engine ? 0 : 1;
}
