// Choosing a voice and getting speech with phones out of it. flite itself is in flite_say.c, programs in
// process.c, WAV in wav.c; matching the speaker is dub.c's business.
#include "speech/voice.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "audio/shape.h"
#include "base/mem.h"
#include "speech/flite_say.h"
#include "speech/hear.h"
#include "speech/process.h"
#include "speech/spell.h"

#define PROGRAM_LIMIT_S 60.0
#define PROGRAM_MAX_BYTES (64u << 20)
#define KEEP (PZ_SPEECH_RATE / 100) /* silence kept at each end */

void pz_utterance_free(struct pz_utterance *u)
{
    pz_free(u->samples);
    pz_phone_line_free(&u->phones);
    *u = (struct pz_utterance){0};
}

/** Scripts espeak-ng has a voice for, by first code point of the block. */
static const struct {
    uint32_t first, last;
    const char *voice;
} scripts[] = {
    {0x0370, 0x03FF, "el"}, {0x0400, 0x052F, "ru"},  {0x0530, 0x058F, "hy"}, {0x0590, 0x05FF, "he"},
    {0x0600, 0x06FF, "ar"}, {0x0900, 0x097F, "hi"},  {0x0980, 0x09FF, "bn"}, {0x0A00, 0x0A7F, "pa"},
    {0x0A80, 0x0AFF, "gu"}, {0x0B00, 0x0B7F, "or"},  {0x0B80, 0x0BFF, "ta"}, {0x0C00, 0x0C7F, "te"},
    {0x0C80, 0x0CFF, "kn"}, {0x0D00, 0x0D7F, "ml"},  {0x0D80, 0x0DFF, "si"}, {0x0E00, 0x0E7F, "th"},
    {0x1000, 0x109F, "my"}, {0x10A0, 0x10FF, "ka"},  {0x1100, 0x11FF, "ko"}, {0x1200, 0x137F, "am"},
    {0x3040, 0x30FF, "ja"}, {0x4E00, 0x9FFF, "cmn"}, {0xAC00, 0xD7AF, "ko"},
};

/** Voice of the first letter that is not Latin; NULL when all are. */
const char *pz_script_voice(const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p;) {
        int more = *p >= 0xF0 ? 3 : *p >= 0xE0 ? 2 : *p >= 0xC0 ? 1 : 0;
        uint32_t c = more ? *p & (0x3Fu >> more) : *p;

        for (p++; more > 0 && (*p & 0xC0) == 0x80; more--)
            c = c << 6 | (*p++ & 0x3Fu);
        for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++)
            if (c >= scripts[i].first && c <= scripts[i].last)
                return scripts[i].voice;
    }
    return NULL;
}

static const char *nearest_flite(double f0)
{
    const char *best = "rms";
    double least = 1e9;

    if (f0 <= 0.0)
        return best;
    // kal16 is a diphone voice, the others sound more natural: it is never chosen, only asked for.
    for (const struct pz_flite_voice *v = pz_flite_voices; v->name; v++) {
        double d = fabs(log2(f0 / v->f0_hz));

        if (strcmp(v->name, "kal16") != 0 && d < least) {
            least = d;
            best = v->name;
        }
    }
    return best;
}

/** Cut an utterance to phones [first, last] with a little of the silence around them. */
static void trim(struct pz_utterance *u)
{
    int first = 0, last = u->phones.n - 1;
    int64_t a, b, sa, sb;

    while (first <= last && u->phones.items[first].id == PZ_PH_SIL)
        first++;
    while (last > first && u->phones.items[last].id == PZ_PH_SIL)
        last--;
    if (first > last)
        return;
    a = u->phones.items[first].start - KEEP;
    b = u->phones.items[last].end + KEEP;
    a = a < 0 ? 0 : a;
    sa = a * u->rate / PZ_SPEECH_RATE;
    sb = b * u->rate / PZ_SPEECH_RATE;
    sb = sb > u->n ? u->n : sb;
    memmove(u->samples, u->samples + sa, (size_t)(sb - sa) * sizeof *u->samples);
    u->n = sb - sa;
    for (int i = 0; i < u->phones.n; i++) {
        u->phones.items[i].start -= a;
        u->phones.items[i].end -= a;
    }
}

/** Phones at typical lengths over the loud part, when no aligner is at hand or it refuses. */
static enum pz_status spread(struct pz_utterance *u, const struct pz_pron *pron, int64_t n16)
{
    int64_t first = u->n, last = 0;
    double peak = 0.0, sum = 0.0, at = 0.0;
    enum pz_status st = PZ_OK;

    for (int64_t i = 0; i < u->n; i++)
        peak = fmax(peak, fabs(u->samples[i]));
    for (int64_t i = 0; i < u->n; i++)
        if (fabs(u->samples[i]) > 0.03 * peak) {
            first = i < first ? i : first;
            last = i + 1;
        }
    first = first * n16 / u->n;
    last = last * n16 / u->n;
    for (int i = 0; i < pron->n; i++)
        sum += strchr("AEIOU", pz_phone_name(pron->phones[i])[0]) ? 1.5 : 1.0;
    for (int i = 0; i < pron->n && st == PZ_OK; i++) {
        double len =
            (strchr("AEIOU", pz_phone_name(pron->phones[i])[0]) ? 1.5 : 1.0) / sum * (double)(last - first);

        st = pz_phone_line_add(&u->phones, (struct pz_phone){.id = pron->phones[i],
                                                             .score = 0.1f,
                                                             .start = first + llrint(at),
                                                             .end = first + llrint(at + len)});
        at += len;
    }
    return st;
}

/** Find the phones of speech that came without them. `pron` n 0: pronounced word by word from the text. */
static enum pz_status find_phones(struct pz_utterance *u, const char *text, const struct pz_pron *pron,
                                  struct pz_ears *ears, const struct pz_job *job)
{
    enum pz_status st;
    char split[24][64];
    struct pz_align_word words[24];
    struct pz_words found = {0};
    float *x = NULL;
    int64_t n;
    int n_words;

    PZ_TRY(pz_resample(u->samples, u->n, u->rate, PZ_SPEECH_RATE, &x, &n));
    if (pron && pron->n) {
        n_words = 1;
        words[0] = (struct pz_align_word){.text = "value", .pron = *pron};
    } else {
        n_words = pz_split_words(text, split, 24);
        for (int i = 0; i < n_words; i++)
            words[i] = (struct pz_align_word){.text = split[i]};
    }
    st = ears && n <= 60 * PZ_SPEECH_RATE
             ? pz_speech_align(ears, x, n, words, n_words, job, &found, &u->phones)
             : PZ_ERR_INPUT;
    if (st == PZ_ERR_INPUT) {
        struct pz_pron flat = {0};

        pz_phone_line_free(&u->phones);
        if (pron && pron->n)
            flat = *pron;
        else if (!pz_flite_spell(text, &flat))
            flat = (struct pz_pron){.phones = {PZ_PH_AH}, .n = 1};
        st = spread(u, &flat, n);
    }
    if (st == PZ_OK)
        trim(u);
    if (st == PZ_OK)
        st = pz_phone_line_cover(&u->phones, 0, u->n * PZ_SPEECH_RATE / u->rate);
fail:
    pz_free(x);
    pz_words_free(&found);
    return st;
}

/** IPA of a text by espeak-ng, language switches "(en)" taken out. *switched: it could not read the script
 * itself. */
enum pz_status pz_espeak_phones(const char *voice, const char *text, const struct pz_job *job,
                                struct pz_pron *pron, bool *switched)
{
    const char *argv[] = {"espeak-ng", "-q", "--ipa", "-b", "1", "-v", voice, "--stdin", NULL};
    uint8_t *out;
    size_t n, k = 0;
    enum pz_status st =
        pz_process_run(argv, "voice espeak", text, strlen(text), 1 << 16, PROGRAM_LIMIT_S, job, &out, &n);

    *switched = false;
    pron->n = 0;
    if (st < PZ_OK)
        return st;
    for (size_t i = 0; i < n; i++) {
        if (out[i] == '(') {
            const uint8_t *close = memchr(out + i, ')', n - i);

            *switched |= i + 3 < n && memcmp(out + i, "(en)", 4) == 0;
            if (!close)
                break;
            i = (size_t)(close - out);
            continue;
        }
        out[k++] = out[i];
    }
    if (out)
        out[k] = 0;
    if (!out || !pz_ipa_parse((const char *)out, pron))
        pron->n = 0; // signs we do not know: the caller aligns by spelling
    pz_free(out);
    return PZ_OK;
}

static enum pz_status say_espeak(const struct pz_say *s, const char *wish, struct pz_ears *ears,
                                 const struct pz_job *job, struct pz_utterance *out)
{
    enum pz_status st;
    struct pz_log *log = job ? job->log : NULL;
    const char *script = pz_script_voice(s->text), *base = wish && wish[0] ? wish : script ? script : "en-us";
    char voice[64], speed[16];
    bool switched;
    struct pz_pron pron;
    uint8_t *wav = NULL;
    size_t n;
    const char *argv[] = {"espeak-ng", "--stdout", "-b",  "1",       "-z", "-s",
                          speed,       "-v",       voice, "--stdin", NULL};

    for (const char *p = base; *p; p++) // a voice name, not an option or a path
        if (!isalnum((unsigned char)*p) && !strchr("-_+", *p))
            return pz_fail(log, PZ_ERR_USAGE, "--voice espeak-ng:%s: no such voice; see espeak-ng --voices",
                           base);
    snprintf(voice, sizeof voice, "%s%s", base, strchr(base, '+') ? "" : s->f0_hz > 155.0 ? "+f2" : "");
    snprintf(speed, sizeof speed, "%d", (int)lrint(165.0 * (s->rate_words > 0.0 ? s->rate_words : 1.0)));
    PZ_TRY(pz_espeak_phones(base, s->text, job, &pron, &switched));
    if (script && !wish && switched) {
        st = pz_fail(log, PZ_ERR_UNSUPPORTED,
                     "espeak-ng cannot read this value's script aloud (voice %s); give --say or --audio",
                     base);
        goto fail;
    }
    PZ_TRY(pz_process_run(argv, "voice espeak", s->text, strlen(s->text), PROGRAM_MAX_BYTES, PROGRAM_LIMIT_S,
                          job, &wav, &n));
    PZ_TRY(pz_wav_parse(log, wav, n, &out->samples, &out->n, &out->rate));
    snprintf(out->voice, sizeof out->voice, "espeak-ng:%.48s", voice);
    if (out->n < out->rate / 50) {
        st = pz_fail(log, PZ_ERR_INPUT, "espeak-ng made no sound for this value; give --say or --audio");
        goto fail;
    }
    PZ_TRY(find_phones(out, s->text, &pron, ears, job));
fail:
    pz_free(wav);
    return st;
}

static enum pz_status say_command(const struct pz_say *s, const char *line, struct pz_ears *ears,
                                  const struct pz_job *job, struct pz_utterance *out)
{
    enum pz_status st;
    struct pz_log *log = job ? job->log : NULL;
    char store[2048];
    const char *argv[64];
    uint8_t *wav = NULL;
    size_t n;

    if (!pz_process_split(line, store, sizeof store, argv, 64))
        return pz_fail(log, PZ_ERR_USAGE, "--voice command:PROGRAM: no program, or quotes left open");
    PZ_TRY(pz_process_run(argv, "voice command", s->text, strlen(s->text), PROGRAM_MAX_BYTES, PROGRAM_LIMIT_S,
                          job, &wav, &n));
    PZ_TRY(pz_wav_parse(log, wav, n, &out->samples, &out->n, &out->rate));
    snprintf(out->voice, sizeof out->voice, "command");
    if (out->n < out->rate / 20) {
        st = pz_fail(log, PZ_ERR_INTERNAL, "voice command: %s wrote %.0f ms of sound", argv[0],
                     1000.0 * (double)out->n / out->rate);
        goto fail;
    }
    PZ_TRY(find_phones(out, s->text, s->pron, ears, job));
fail:
    pz_free(wav);
    return st;
}

static enum pz_status say_recording(const struct pz_say *s, struct pz_ears *ears, const struct pz_job *job,
                                    struct pz_utterance *out)
{
    struct pz_log *log = job ? job->log : NULL;

    if (s->recording_rate < 8000 || s->recording_n < s->recording_rate / 20 ||
        s->recording_n > 60LL * s->recording_rate)
        return pz_fail(
            log, PZ_ERR_INPUT, "recording: %.2f s at %d Hz; 0.05 to 60 s at 8 kHz or more are needed",
            s->recording_rate > 0 ? (double)s->recording_n / s->recording_rate : 0.0, s->recording_rate);
    out->samples = pz_calloc((size_t)s->recording_n, sizeof *out->samples);
    if (!out->samples)
        return PZ_ERR_NOMEM;
    memcpy(out->samples, s->recording, (size_t)s->recording_n * sizeof *out->samples);
    out->n = s->recording_n;
    out->rate = s->recording_rate;
    snprintf(out->voice, sizeof out->voice, "recording");
    if (pz_rms(out->samples, out->n) < 1e-4)
        return pz_fail(log, PZ_ERR_INPUT, "recording: it is silent");
    return find_phones(out, s->text, s->pron, ears, job);
}

static enum pz_status say_flite(const struct pz_say *s, const char *name, struct pz_log *log,
                                struct pz_utterance *out)
{
    const char *voice = name && name[0] ? NULL : nearest_flite(s->f0_hz);

    for (const struct pz_flite_voice *v = pz_flite_voices; v->name && !voice; v++)
        if (strcmp(v->name, name) == 0)
            voice = v->name;
    if (!voice)
        return pz_fail(log, PZ_ERR_USAGE, "--voice flite:%s: there are slt, rms, awb and kal16", name);
    return pz_flite_say(s, voice, log, out);
}

enum pz_status pz_voice_say(const struct pz_say *s, struct pz_ears *ears, const struct pz_job *job,
                            struct pz_utterance *out)
{
    enum pz_status st;
    struct pz_log *log = job ? job->log : NULL;
    const char *v = s->voice && strcmp(s->voice, "auto") != 0 ? s->voice : NULL;

    *out = (struct pz_utterance){0};
    if (pz_job_cancelled(job))
        return PZ_ERR_CANCELLED;
    if (s->recording)
        st = say_recording(s, ears, job, out);
    else if (!v && !(s->pron && s->pron->n) && pz_script_voice(s->text))
        st = say_espeak(s, NULL, ears, job, out);
    else if (!v || strcmp(v, "flite") == 0)
        st = say_flite(s, NULL, log, out);
    else if (strncmp(v, "flite:", 6) == 0)
        st = say_flite(s, v + 6, log, out);
    else if (strcmp(v, "espeak") == 0 || strcmp(v, "espeak-ng") == 0)
        st = say_espeak(s, NULL, ears, job, out);
    else if (strncmp(v, "espeak-ng:", 10) == 0)
        st = say_espeak(s, v + 10, ears, job, out);
    else if (strncmp(v, "espeak:", 7) == 0)
        st = say_espeak(s, v + 7, ears, job, out);
    else if (strncmp(v, "command:", 8) == 0)
        st = say_command(s, v + 8, ears, job, out);
    else
        st = pz_fail(log, PZ_ERR_USAGE,
                     "--voice %s: there are flite[:VOICE], espeak-ng[:VOICE] and command:PROGRAM", v);
    if (st < PZ_OK)
        pz_utterance_free(out);
    return st;
}
