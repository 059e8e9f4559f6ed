// One slot, one value: say, match, fit, join, in that order, and the figures for the report. The parts are in
// voice.c, match.c, fit.c and join.c.
#include "speech/dub.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "speech/fit.h"
#include "speech/join.h"
#include "speech/match.h"

#define CONTEXT_PARTS 2 /* a half second: 1/CONTEXT_PARTS s */
#define PEAK_MOST 0.97f

// Sentence for a voice's long-term spectrum: all phone classes in it (TIMIT's two calibration sentences).
static const char reference_text[] = "She had your dark suit in greasy wash water all year. "
                                     "Don't ask me to carry an oily rag like that.";

void pz_dub_free(struct pz_dub *d)
{
    pz_free(d->sound);
    pz_free(d->speech);
    pz_phone_line_free(&d->phones);
    *d = (struct pz_dub){0};
}

static enum pz_status check(const struct pz_dub_params *p, struct pz_log *log)
{
    const struct pz_tap *t = p->sound;

    if (!t || t->rate < 8000 || t->rate > 192000 || t->channels < 1 || t->channels > 8)
        return pz_fail(log, PZ_ERR_INPUT, "sound of %d Hz and %d channels cannot be worked on",
                       t ? t->rate : 0, t ? t->channels : 0);
    if (!p->slot || p->slot->end <= p->slot->start || p->slot->start < 0)
        return pz_fail(log, PZ_ERR_INPUT, "a slot without length");
    if (pz_rescale(p->slot->end, (struct pz_rational){1, PZ_SPEECH_RATE}, (struct pz_rational){1, t->rate}) >
        t->n)
        return pz_fail(log, PZ_ERR_INPUT, "slot \"%s\" lies behind the end of the sound", p->slot->name);
    return PZ_OK;
}

/** Say it at the speaker's speed: a first try tells the voice's own. */
static enum pz_status speak(const struct pz_dub_params *p, const struct pz_speaker *s, struct pz_ears *ears,
                            const struct pz_job *job, struct pz_utterance *u)
{
    enum pz_status st;
    struct pz_say say = p->say;
    int phones = 0;
    int64_t time = 0;
    double own, ratio;

    if (say.f0_hz <= 0.0)
        say.f0_hz = s->f0_hz;
    // Beside a pause the voice should end, or begin, its phrase there.
    if (p->slot->pause_before > PZ_SPEECH_RATE / 8)
        say.before = NULL;
    if (p->slot->pause_after > PZ_SPEECH_RATE / 8)
        say.after = NULL;
    st = pz_voice_say(&say, ears, job, u);
    if (st < PZ_OK || say.recording || say.rate_words > 0.0 || s->phones_per_s <= 0.0 ||
        strncmp(u->voice, "command", 7) == 0)
        return st;
    for (int i = 0; i < u->phones.n; i++)
        if (u->phones.items[i].id != PZ_PH_SIL) {
            phones++;
            time += u->phones.items[i].end - u->phones.items[i].start;
        }
    own = time ? (double)phones * PZ_SPEECH_RATE / (double)time : 0.0;
    ratio = own > 0.0 ? fmax(0.8, fmin(1.3, s->phones_per_s / own)) : 1.0;
    if (fabs(ratio - 1.0) < 0.04)
        return PZ_OK;
    pz_utterance_free(u);
    say.rate_words = ratio;
    return pz_voice_say(&say, ears, job, u);
}

/** Equalise towards the speaker. */
static enum pz_status colour(const struct pz_dub_params *p, const struct pz_speaker *s, struct pz_ears *ears,
                             const struct pz_job *job, struct pz_utterance *u, struct pz_dub *d)
{
    enum pz_status st;
    struct pz_utterance ref = {0};
    double gain[PZ_LTAS_BANDS];
    bool synthetic = strncmp(u->voice, "flite", 5) == 0 || strncmp(u->voice, "espeak", 6) == 0;

    if (synthetic) {
        struct pz_say say = {.voice = u->voice, .text = reference_text, .f0_hz = s->f0_hz};

        (void)p;
        PZ_TRY(pz_voice_say(&say, NULL, job, &ref));
    }
    // A recording of one word says little about its room and microphone: half the difference is taken.
    PZ_TRY(pz_match_spectrum(synthetic ? &ref : u, s, synthetic ? 1.0 : 0.5, gain, &d->spectrum_before_db,
                             &d->spectrum_after_db));
    PZ_TRY(pz_eq_apply(u->samples, u->n, u->rate, gain));
fail:
    pz_utterance_free(&ref);
    return st;
}

/** Bring the word to the tap's rate, stretched as planned: *word [plan->word_n]. */
static enum pz_status shape_word(const struct pz_utterance *u, int rate, struct pz_fit_plan *plan,
                                 float **word)
{
    enum pz_status st;
    float *stretched = NULL, *out = NULL;
    int64_t n = 0, m = 0;

    *word = NULL;
    if (plan->stretch != 1.0)
        PZ_TRY(pz_stretch(u->samples, u->n, u->rate, plan->stretch, &stretched, &n));
    PZ_TRY(pz_resample(stretched ? stretched : u->samples, stretched ? n : u->n, u->rate, rate, &out, &m));
    *word = pz_calloc((size_t)plan->word_n + 1, sizeof **word);
    if (!*word) {
        st = PZ_ERR_NOMEM;
        goto fail;
    }
    memcpy(*word, out, (size_t)(m < plan->word_n ? m : plan->word_n) * sizeof *out);
    st = PZ_OK;
fail:
    pz_free(stretched);
    pz_free(out);
    return st;
}

/** Level of the word to the surroundings' loudness, peaks kept. */
static void level(float *word, int64_t n, int rate, double lufs, struct pz_dub *d)
{
    double own = pz_loudness(word, n, rate, 1), gain_db = own > -69.0 && lufs > -69.0 ? lufs - own : 0.0;
    float gain, peak = 0.0f;

    gain = (float)pow(10.0, fmax(-40.0, fmin(40.0, gain_db)) / 20.0);
    for (int64_t i = 0; i < n; i++)
        peak = fmaxf(peak, fabsf(word[i]));
    if (peak * gain > PEAK_MOST) {
        gain = PEAK_MOST / peak;
        snprintf(d->warning, sizeof d->warning,
                 "the new words are %.1f LU quieter than the surroundings so as not to clip",
                 gain_db - 20.0 * log10(gain));
    }
    for (int64_t i = 0; i < n; i++)
        word[i] *= gain;
    d->loudness_template_lufs = lufs;
    d->loudness_result_lufs = pz_loudness(word, n, rate, 1);
    d->loudness_delta_lu = d->loudness_result_lufs - lufs;
}

/** The engine's view: mono, PZ_SPEECH_RATE, with context on both sides. */
static enum pz_status engine_sound(const struct pz_dub_params *p, const struct pz_fit_plan *plan,
                                   struct pz_dub *d)
{
    enum pz_status st;
    int rate = p->sound->rate, ch = p->sound->channels;
    int64_t side = rate / CONTEXT_PARTS, n = side + plan->n + side;
    float *x = pz_calloc((size_t)n, sizeof *x);

    if (!x)
        return PZ_ERR_NOMEM;
    PZ_TRY(pz_tap_read_mono(p->sound, plan->a - side, x, side));
    for (int64_t i = 0; i < plan->n; i++) {
        float sum = 0.0f;

        for (int c = 0; c < ch; c++)
            sum += d->sound[i * ch + c];
        x[side + i] = sum / (float)ch;
    }
    PZ_TRY(pz_tap_read_mono(p->sound, plan->b, x + side + plan->n, side));
    PZ_TRY(pz_resample(x, n, rate, PZ_SPEECH_RATE, &d->speech, &d->n_speech));
    d->context_before = PZ_SPEECH_RATE / CONTEXT_PARTS;
fail:
    pz_free(x);
    return st;
}

/** Phones of the engine's sound: the template's in the contexts, the new word's between. */
static enum pz_status engine_phones(const struct pz_dub_params *p, const struct pz_fit_plan *plan,
                                    const struct pz_utterance *u, struct pz_dub *d)
{
    enum pz_status st = PZ_OK;
    struct pz_rational speech = {1, PZ_SPEECH_RATE}, own = {1, p->sound->rate};
    int64_t a = pz_rescale(plan->a, own, speech), b = pz_rescale(plan->b, own, speech);
    int64_t word = d->context_before + pz_rescale(plan->word_at, own, speech);
    int64_t back = d->context_before + pz_rescale(plan->n, own, speech); // template b in the new sound

    for (int i = 0; i < p->n_phones; i++) {
        struct pz_phone q = p->phones[i];
        bool before = q.start < a && q.end > a - d->context_before,
             after = q.end > b && q.start < b + d->context_before;

        if (before && q.start < p->slot->start) {
            struct pz_phone r = q;

            r.start = r.start - a + d->context_before;
            r.end = (r.end > a ? a : r.end) - a + d->context_before;
            r.start = r.start < 0 ? 0 : r.start;
            PZ_TRY(pz_phone_line_add(&d->phones, r));
        }
        if (after && q.end > p->slot->end) {
            q.start = (q.start < b ? b : q.start) - b + back;
            q.end = q.end - b + back;
            PZ_TRY(pz_phone_line_add(&d->phones, q));
        }
    }
    d->word_start = word;
    d->word_end = word;
    for (int i = 0; i < u->phones.n; i++) {
        struct pz_phone q = u->phones.items[i];

        q.start = word + llrint((double)q.start * plan->stretch);
        q.end = word + llrint((double)q.end * plan->stretch);
        d->word_end = q.end;
        PZ_TRY(pz_phone_line_add(&d->phones, q));
    }
    st = pz_phone_line_cover(&d->phones, 0, d->n_speech);
fail:
    return st;
}

enum pz_status pz_dub_make(const struct pz_dub_params *p, struct pz_ears *ears, const struct pz_job *job,
                           struct pz_dub *out)
{
    enum pz_status st;
    struct pz_log *log = job ? job->log : NULL;
    struct pz_rational speech = {1, PZ_SPEECH_RATE}, own;
    struct pz_speaker s = {0};
    struct pz_utterance u = {0};
    struct pz_fit_input in;
    float *word = NULL;

    *out = (struct pz_dub){0};
    PZ_TRY(check(p, log));
    own = (struct pz_rational){1, p->sound->rate};
    PZ_TRY(pz_speaker_measure(p, &s));
    PZ_TRY(speak(p, &s, ears, job, &u));
    if (pz_job_cancelled(job)) {
        st = PZ_ERR_CANCELLED;
        goto fail;
    }
    out->f0_template_hz = s.f0_slot_hz;
    PZ_TRY(pz_match_pitch(&u, &s, &out->f0_voice_hz, &out->f0_result_hz));
    PZ_TRY(colour(p, &s, ears, job, &u, out));
    in = (struct pz_fit_input){.rate = p->sound->rate,
                               .start = pz_rescale(p->slot->start, speech, own),
                               .end = pz_rescale(p->slot->end, speech, own),
                               .pause_before = pz_rescale(p->slot->pause_before, speech, own),
                               .pause_after = pz_rescale(p->slot->pause_after, speech, own),
                               .limit_start = p->limit_start,
                               .limit_end =
                                   p->limit_start == 0 && p->limit_end == 0 ? p->sound->n : p->limit_end,
                               .word = pz_rescale(u.n, (struct pz_rational){1, u.rate}, own),
                               .fit = p->fit,
                               .frame = p->frame};
    PZ_TRY(pz_fit_decide(&in, log, &out->plan));
    PZ_TRY(shape_word(&u, p->sound->rate, &out->plan, &word));
    level(word, out->plan.word_n, p->sound->rate, s.lufs, out);
    out->rate = p->sound->rate;
    out->channels = p->sound->channels;
    out->sound = pz_calloc((size_t)out->plan.n * (size_t)out->channels + 1, sizeof *out->sound);
    if (!out->sound) {
        st = PZ_ERR_NOMEM;
        goto fail;
    }
    PZ_TRY(pz_join_render(p, &s, &out->plan, word, out->sound));
    PZ_TRY(engine_sound(p, &out->plan, out));
    PZ_TRY(engine_phones(p, &out->plan, &u, out));
    snprintf(out->voice, sizeof out->voice, "%s", u.voice);
fail:
    pz_speaker_free(&s);
    pz_utterance_free(&u);
    pz_free(word);
    if (st < PZ_OK)
        pz_dub_free(out);
    return st;
}
