// Whisper over a whole film: windows of mel, what was said in each, where the next one begins. The greatest
// value of the whole sound is needed before the first window: the sound is read twice rather than held.
// Source: spec/whisper.md §3, §8.
#include "speech/whisper.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "audio/features.h"
#include "base/file.h"
#include "base/mem.h"
#include "speech/whisper_decode.h"

#define HOP 160
#define LEAD 2 /* frames before a window that its first frames look into */
#define FRAMES_A_SECOND 100.0
#define SECONDS_A_STAMP 0.02
#define FRAMES_A_STAMP 2
#define SILENT 0.6
#define SURE (-1.0)
#define HOT 0.5f /* what was said above this temperature is no guide */
#define MAX_HEADS 1280
#define MAX_SEGMENTS 256
#define MAX_PROMPT 1024

struct pz_whisper_ears {
    struct pz_whisper *w;
    struct pz_whisper_vocab *v;
    struct pz_whisper_decoder *d;
    struct pz_whisper_mel *mel;
    struct pz_whisper_head heads[MAX_HEADS];
    int n_heads, beams, columns, bands;
    float *window, *samples;
    const struct pz_job *job;
    const char *language; /* of the pieces heard, NULL: not told yet */
};

/* What is known while one film is heard. */
struct hearing {
    struct pz_whisper_ears *e;
    const struct pz_tap *sound;
    const struct pz_job *job;
    struct pz_whisper_heard *out;
    int64_t total, frames, seek; /* samples, mel frames of the sound, first frame of the window */
    float top;
    double last_speech;
    bool cold;
    int prompt[MAX_PROMPT], n_prompt;
};

/* ---- life ---- */

void pz_whisper_ears_close(struct pz_whisper_ears **out)
{
    struct pz_whisper_ears *e = out ? *out : NULL;
    if (!e)
        return;
    pz_whisper_decoder_destroy(&e->d);
    pz_whisper_close(&e->w);
    pz_whisper_vocab_close(&e->v);
    pz_whisper_mel_destroy(&e->mel);
    pz_free(e->window);
    pz_free(e->samples);
    pz_free(e);
    *out = NULL;
}

enum pz_status pz_whisper_ears_make(const struct pz_whisper_options *options, const char *name, int beams,
                                    struct pz_whisper_vocab **words, const struct pz_job *job,
                                    struct pz_whisper_ears **out)
{
    struct pz_whisper_options o = *options;
    struct pz_whisper_ears *e = *out = pz_calloc(1, sizeof *e);
    enum pz_status st = PZ_ERR_NOMEM;
    if (!e) {
        pz_whisper_vocab_close(words);
        return pz_fail(job->log, st, "no memory for Whisper");
    }
    e->v = *words;
    e->job = job;
    *words = NULL;
    e->beams = beams < 1 ? 1 : beams;
    o.width = e->beams;
    o.rows = pz_whisper_decoder_rows(&o.dims, e->beams);
    e->columns = 2 * o.dims.audio_ctx;
    e->bands = o.dims.bands;
    e->n_heads = pz_whisper_heads(name, &o.dims, e->heads, MAX_HEADS);
    PZ_TRY(pz_whisper_mel_create(job->log, o.dims.bands, &e->mel));
    PZ_TRY(pz_whisper_open(&o, job, &e->w));
    PZ_TRY(pz_whisper_decoder_create(e->w, e->v, e->beams, job, &e->d));
    e->window = pz_calloc((size_t)e->columns * (size_t)e->bands, sizeof *e->window);
    e->samples = pz_calloc((size_t)(e->columns + 2 * LEAD) * HOP, sizeof *e->samples);
    if (!e->window || !e->samples) {
        st = pz_fail(job->log, PZ_ERR_NOMEM, "no memory for Whisper");
        goto fail;
    }
    return PZ_OK;
fail:
    pz_whisper_ears_close(out);
    return st;
}

/* ---- mel ---- */

/* Logarithms of `n` frames from `first` on; their greatest value. */
static enum pz_status logarithms(struct hearing *h, int64_t first, int n, float *out, float *top)
{
    int64_t lead = first < LEAD ? first : LEAD, from = (first - lead) * HOP;
    int64_t to = (first + n + LEAD) * HOP, have = (to < h->total ? to : h->total) - from;
    have = have > 0 ? have : 0;
    enum pz_status st = have ? pz_tap_read_speech(h->sound, from, h->e->samples, have) : PZ_OK;
    if (st >= PZ_OK)
        *top = pz_whisper_mel_part(h->e->mel, h->e->samples, have, to - from - have + HOP, lead, n, out);
    return st;
}

/* The greatest value of all frames. */
static enum pz_status find_top(struct hearing *h)
{
    enum pz_status st = PZ_OK;
    h->top = -10.0f; /* of the zeros behind the sound */
    for (int64_t at = 0; at < h->frames + LEAD; at += h->e->columns) {
        int64_t left = h->frames + LEAD - at;
        int n = left < h->e->columns ? (int)left : h->e->columns;
        float top;
        if (pz_job_cancelled(h->job))
            return PZ_ERR_CANCELLED;
        PZ_TRY(logarithms(h, at, n, h->e->window, &top));
        h->top = top > h->top ? top : h->top;
    }
fail:
    return st;
}

/* `n` frames of the window at h->seek; the rest is 0. */
static enum pz_status listen_to(struct hearing *h, int n)
{
    struct pz_whisper_ears *e = h->e;
    float top;
    enum pz_status st = logarithms(h, h->seek, n, e->window, &top);
    if (st < PZ_OK)
        return st;
    pz_whisper_mel_squeeze(e->window, (int64_t)n * e->bands, h->top);
    memset(e->window + (size_t)n * (size_t)e->bands, 0,
           sizeof(float) * (size_t)(e->columns - n) * (size_t)e->bands);
    return pz_whisper_encode(e->w, e->window);
}

/* ---- one window ---- */

static bool is_stamp(const struct hearing *h, int token)
{
    return token >= pz_whisper_vocab_special(h->e->v)->first_timestamp;
}

static double stamp(const struct hearing *h, int token)
{
    return (token - pz_whisper_vocab_special(h->e->v)->first_timestamp) * SECONDS_A_STAMP;
}

/* Tokens cut where one timestamp follows another. */
struct cut {
    struct pz_whisper_segment segments[MAX_SEGMENTS];
    int begin[MAX_SEGMENTS], end[MAX_SEGMENTS], n;
    bool closed; /* ends with one timestamp after text: nothing is said behind it */
    int64_t next;
};

static void add_segment(const struct hearing *h, struct cut *c, int begin, int end,
                        const struct pz_whisper_said *s, double from, double to)
{
    if (c->n == MAX_SEGMENTS)
        return;
    int text = 0;
    for (int i = begin; i < end; i++)
        text += s->tokens[i] < pz_whisper_vocab_special(h->e->v)->end_of_text;
    c->segments[c->n] = (struct pz_whisper_segment){.start = from, .end = to, .n_tokens = text};
    c->begin[c->n] = begin;
    c->end[c->n++] = end;
}

static void cut_segments(const struct hearing *h, const struct pz_whisper_said *s, int size, struct cut *c)
{
    double at = (double)h->seek / FRAMES_A_SECOND;
    int last = 0, stamps = 0;
    c->n = 0;
    c->closed = s->n >= 2 && is_stamp(h, s->tokens[s->n - 1]) && !is_stamp(h, s->tokens[s->n - 2]);
    for (int i = 1; i <= s->n; i++) {
        bool pair = i < s->n && is_stamp(h, s->tokens[i - 1]) && is_stamp(h, s->tokens[i]);
        stamps += pair;
        if (!pair && !(i == s->n && stamps && c->closed))
            continue;
        add_segment(h, c, last, i, s, at + stamp(h, s->tokens[last]), at + stamp(h, s->tokens[i - 1]));
        last = i;
    }
    c->next = h->seek + size;
    if (stamps && !c->closed) {
        c->next = h->seek + (int64_t)lrint(stamp(h, s->tokens[last - 1]) / SECONDS_A_STAMP) * FRAMES_A_STAMP;
    } else if (!stamps) {
        double duration = size / FRAMES_A_SECOND;
        for (int i = s->n - 1; i >= 0; i--)
            if (is_stamp(h, s->tokens[i])) {
                duration = stamp(h, s->tokens[i]) > 0 ? stamp(h, s->tokens[i]) : duration;
                break;
            }
        add_segment(h, c, 0, s->n, s, at, at + duration);
    }
}

/* Words of the window's segments, with times; moves c->next to the end of the last word. */
static enum pz_status time_words(struct hearing *h, const struct pz_whisper_said *s, int size, struct cut *c)
{
    struct pz_whisper_ears *e = h->e;
    struct pz_whisper_words *w = &h->out->words;
    const double at = (double)h->seek / FRAMES_A_SECOND;
    int *text = pz_calloc((size_t)s->n + 1, sizeof *text), n = 0, first = w->n, end = 0;
    if (!text)
        return pz_fail(h->job->log, PZ_ERR_NOMEM, "no memory for the times of words");
    for (int k = 0; k < c->n; k++) {
        for (int i = c->begin[k]; i < c->end[k]; i++)
            if (s->tokens[i] < pz_whisper_vocab_special(e->v)->end_of_text)
                text[n++] = s->tokens[i];
    }
    struct pz_whisper_align_params p = {e->v, h->out->language, e->heads, e->n_heads, text, n, size};
    enum pz_status st = pz_whisper_align(e->w, &p, h->job, w);
    pz_free(text);
    if (st < PZ_OK)
        return st;
    pz_whisper_words_settle(w, first, at, c->segments, c->n, h->last_speech);
    for (int k = c->n - 1; k >= 0 && !end; k--)
        end = c->segments[k].n_words > 0 ? c->segments[k].first_word + c->segments[k].n_words : 0;
    if (c->n > 0) {
        h->last_speech = end ? w->items[end - 1].end : c->segments[c->n - 1].end;
        if (!c->closed && h->last_speech > at)
            c->next = (int64_t)rint(h->last_speech * FRAMES_A_SECOND);
    }
    return PZ_OK;
}

/* Segments without length lose their words; the tokens of all others are what was said before. */
static void remember(struct hearing *h, const struct pz_whisper_said *s, const struct cut *c)
{
    struct pz_whisper_words *w = &h->out->words;
    if (s->temperature > HOT)
        h->n_prompt = 0;
    for (int k = c->n - 1; k >= 0; k--) {
        const struct pz_whisper_segment *g = &c->segments[k];
        if (g->start != g->end || g->n_words == 0)
            continue;
        memmove(w->items + g->first_word, w->items + g->first_word + g->n_words,
                (size_t)(w->n - g->first_word - g->n_words) * sizeof *w->items);
        w->n -= g->n_words;
    }
    for (int k = 0; k < c->n && s->temperature <= HOT; k++) {
        if (c->segments[k].start == c->segments[k].end || c->segments[k].n_tokens == 0)
            continue;
        for (int i = c->begin[k]; i < c->end[k]; i++) {
            if (h->n_prompt == MAX_PROMPT) {
                memmove(h->prompt, h->prompt + MAX_PROMPT / 2, sizeof h->prompt / 2);
                h->n_prompt = MAX_PROMPT / 2;
            }
            h->prompt[h->n_prompt++] = s->tokens[i];
        }
    }
}

static enum pz_status one_window(struct hearing *h)
{
    struct pz_whisper_ears *e = h->e;
    struct pz_whisper_said said = {0};
    int64_t left = h->frames - h->seek;
    int size = left < e->columns ? (int)left : e->columns;
    enum pz_status st;
    struct pz_whisper_try t = {.language = h->out->language,
                               .beams = e->beams,
                               .best_of = e->beams,
                               .length_penalty = -1,
                               .prompt = h->prompt,
                               .n_prompt = h->n_prompt,
                               .seed = h->job->seed + (uint64_t)h->seek};
    PZ_TRY(listen_to(h, size));
    PZ_TRY(h->cold ? pz_whisper_decode(e->d, &t, &said) : pz_whisper_decode_surely(e->d, &t, &said));
    if (said.no_speech > SILENT && !(said.average > SURE)) {
        h->seek += size;
        goto fail;
    }
    struct cut c;
    cut_segments(h, &said, size, &c);
    PZ_TRY(time_words(h, &said, size, &c));
    remember(h, &said, &c);
    pz_debug(h->job->log, "Whisper at %.2f s, temperature %.1f, %.2f a token:%s",
             (double)h->seek / FRAMES_A_SECOND, (double)said.temperature, said.average, said.text);
    h->seek = c.next > h->seek ? c.next : h->seek + size; /* always onwards */
fail:
    pz_whisper_said_free(&said);
    return st;
}

/* ---- a film ---- */

static enum pz_status find_language(struct hearing *h, const char *language)
{
    const struct pz_whisper_special *s = pz_whisper_vocab_special(h->e->v);
    enum pz_status st;
    h->out->language_probability = 1;
    if (language) {
        h->out->language = pz_whisper_language_find(language);
        if (h->out->language < 0 || (!s->multilingual && h->out->language > 0) ||
            h->out->language >= s->n_languages)
            return pz_fail(h->job->log, PZ_ERR_USAGE, "this Whisper model does not know the language '%s'",
                           language);
        return PZ_OK;
    }
    if (!s->multilingual)
        return PZ_OK;
    PZ_TRY(listen_to(h, h->e->columns)); /* with what lies behind a short sound, not with zeros */
    PZ_TRY(pz_whisper_detect_language(h->e->d, &h->out->language, &h->out->language_probability));
    pz_info(h->job->log, "language: %s (%.0f %%)", pz_whisper_languages[h->out->language],
            100.0 * (double)h->out->language_probability);
fail:
    return st;
}

void pz_whisper_heard_free(struct pz_whisper_heard *h)
{
    pz_whisper_words_free(&h->words);
    *h = (struct pz_whisper_heard){0};
}

enum pz_status pz_whisper_listen(struct pz_whisper_ears *e, const struct pz_tap *sound,
                                 const struct pz_whisper_listen_params *p, const struct pz_job *job,
                                 struct pz_whisper_heard *out)
{
    struct hearing h = {.e = e, .sound = sound, .job = job, .out = out, .cold = p->cold};
    enum pz_status st;
    *out = (struct pz_whisper_heard){0};
    h.total = pz_tap_speech_length(sound);
    h.frames = pz_whisper_mel_frames(h.total, 0);
    PZ_TRY(find_top(&h));
    PZ_TRY(find_language(&h, p->language));
    while (h.seek < h.frames) {
        if (pz_job_cancelled(job)) {
            st = PZ_ERR_CANCELLED;
            goto fail;
        }
        PZ_TRY(one_window(&h));
        pz_job_progress(job, "recognise", h.seek < h.frames ? h.seek : h.frames, h.frames);
    }
    return PZ_OK;
fail:
    pz_whisper_heard_free(out);
    return st;
}

/* ---- plain words ---- */

static bool spoken(utf8proc_int32_t c)
{
    utf8proc_category_t g = utf8proc_category(c);
    return g >= UTF8PROC_CATEGORY_LU && g <= UTF8PROC_CATEGORY_NO; /* letters, marks, numbers */
}

/* `in` in lower case without what is around its letters and numbers; empty when there are none. */
static void plain(const char *in, char out[64])
{
    const utf8proc_uint8_t *s = (const utf8proc_uint8_t *)in;
    size_t n = 0, keep = 0;
    utf8proc_ssize_t len;
    for (utf8proc_int32_t c; *s && (len = utf8proc_iterate(s, -1, &c)) > 0; s += len) {
        utf8proc_uint8_t room[4];
        utf8proc_ssize_t k = utf8proc_encode_char(utf8proc_tolower(c), room);
        if ((n == 0 && !spoken(c)) || k <= 0)
            continue;
        if (n + (size_t)k >= 64)
            break;
        memcpy(out + n, room, (size_t)k);
        n += (size_t)k;
        keep = spoken(c) ? n : keep;
    }
    out[keep] = 0;
}

enum pz_status pz_whisper_plain_words(const struct pz_whisper_words *w, struct pz_words *out)
{
    for (int i = 0; i < w->n; i++) {
        const struct pz_whisper_word *from = &w->items[i];
        struct pz_word to = {.start = (int64_t)lrint(from->start * PZ_SPEECH_RATE),
                             .end = (int64_t)lrint(from->end * PZ_SPEECH_RATE),
                             .confidence = from->probability};
        plain(from->text, to.text);
        if (!to.text[0])
            continue;
        enum pz_status st = pz_words_add(out, &to);
        if (st < PZ_OK)
            return st;
    }
    return PZ_OK;
}

/* ---- pieces ---- */

enum pz_status pz_whisper_hear(struct pz_whisper_ears *e, const float *samples, int64_t n, int64_t at,
                               struct pz_words *words)
{
    struct pz_tap_memory memory;
    struct pz_tap tap = pz_tap_from_memory(&memory, samples, n, PZ_SPEECH_RATE, 1);
    struct pz_whisper_listen_params p = {.language = e->language};
    struct pz_whisper_heard heard;
    struct pz_job job = *e->job;
    int first = words->n;
    job.progress = NULL; /* of the film, not of its pieces */
    enum pz_status st = pz_whisper_listen(e, &tap, &p, &job, &heard);
    if (st >= PZ_OK)
        st = pz_whisper_plain_words(&heard.words, words);
    for (int i = first; i < words->n; i++) {
        words->items[i].start += at;
        words->items[i].end += at;
    }
    if (st >= PZ_OK && words->n > first)
        e->language = pz_whisper_languages[heard.language];
    pz_whisper_heard_free(&heard);
    return st;
}

void pz_whisper_forget(struct pz_whisper_ears *e)
{
    e->language = NULL;
}

const char *pz_whisper_language(const struct pz_whisper_ears *e)
{
    return e->language;
}
