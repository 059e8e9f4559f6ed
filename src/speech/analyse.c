// From a whole film's sound to words, phones and slots, chunk by chunk. With a transcript nothing is
// recognised: the words are known and each chunk takes as many of them as fit its sound (the aligner may stop
// after any word); without one hear_film.c finds them. Edges of slots are in edges.c.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "speech/edges.h"
#include "speech/hear.h"
#include "speech/listening.h"
#include "speech/quiet.h"
#include "speech/sounds.h"

#define CONFIDENCE_LEAST 0.45 /* right transcripts measured 0.75–0.9, wrong ones 0.34 */
#define HEARD_SHOWN 160       /* bytes of what was heard in a message */

static enum pz_status wanted_make(struct pz_ears *ears, const struct pz_analyse_params *p,
                                  struct pz_wanted *w, int n)
{
    for (int i = 0; i < n; i++) {
        const struct pz_spoken *s = &p->spoken[i];
        enum pz_status st;

        w[i] = (struct pz_wanted){.name = s->name, .words = s->words, .say = s->say};
        st = pz_keyword_make(pz_ears_lexicon(ears), pz_ears_log(ears), s->words, s->say, &w[i].keyword);
        if (st < PZ_OK)
            return st;
    }
    return PZ_OK;
}

static double mean_confidence(const struct pz_words *w)
{
    double sum = 0.0;

    for (int i = 0; i < w->n; i++)
        sum += w->items[i].confidence;
    return w->n ? sum / w->n : 0.0;
}

/** Align a transcript chunk by chunk. */
static enum pz_status align_all(struct pz_ears *ears, const struct pz_tap *sound, int64_t total,
                                const struct pz_transcript *t, const struct pz_job *job, struct pz_heard *h,
                                int *word_of)
{
    enum pz_status st = PZ_ERR_NOMEM;
    float *buf = pz_calloc(PZ_CHUNK_MAX, sizeof *buf), *raw = pz_calloc(PZ_CHUNK_MAX, sizeof *raw);
    struct pz_align_word *aw = pz_calloc((size_t)t->n_words, sizeof *aw);
    double snr;
    int done = 0;

    if (!buf || !raw || !aw)
        goto fail;
    for (int i = 0; i < t->n_words; i++) {
        aw[i].text = t->words[i].text;
        word_of[i] = -1;
    }
    st = PZ_OK;
    for (int64_t at = 0, n; at < total; at += n) {
        const int first_word = h->words.n, first_phone = h->phones.n;
        struct pz_listening edges;
        int used = 0;

        PZ_TRY(pz_chunk_read(sound, total, at, buf, &n));
        memcpy(raw, buf, (size_t)n * sizeof *raw);
        PZ_TRY(pz_quiet(buf, n, &snr));
        pz_listening_start(&edges, raw, n, job ? job->pool : NULL);
        st = pz_align_some(ears, buf, n, at, aw + done, t->n_words - done, at + n >= total, job, h,
                           word_of + done, &used);
        if (pz_listening_end(&edges) < PZ_OK && st >= PZ_OK)
            st = edges.st;
        if (st >= PZ_OK)
            st = pz_sounds_settle_heard(&edges.heard, n, at, snr, &h->phones, first_phone, &h->words,
                                        first_word);
        pz_sounds_free(&edges.heard);
        PZ_TRY(st);
        done += used;
        pz_job_progress(job, "speech", at + n, total);
    }
    if (done < t->n_words) {
        st = pz_fail(
            pz_ears_log(ears), PZ_ERR_INPUT,
            "transcript: the sound ends before word %d of %d (\"%s\"); check that it belongs to this film",
            done + 1, t->n_words, t->words[done].text);
    } else if (h->words.n > 2 && mean_confidence(&h->words) < CONFIDENCE_LEAST) {
        st = pz_fail(
            pz_ears_log(ears), PZ_ERR_INPUT,
            "transcript: its words are not what is spoken in this film (likeness %.0f %%); check the text",
            100.0 * mean_confidence(&h->words));
    }
fail:
    pz_free(buf);
    pz_free(raw);
    pz_free(aw);
    return st;
}

/** Occurrences of the transcript's own variables, then of wanted words in its text. `wanted` is preceded by
 * nothing: variables get indexes n_wanted + i. */
static enum pz_status find_in_transcript(const struct pz_transcript *t, const int *word_of,
                                         struct pz_wanted *wanted, int n_wanted, struct pz_heard *h)
{
    enum pz_status st;

    for (int v = 0; v < t->n_variables; v++) {
        const struct pz_transcript_variable *var = &t->variables[v];
        int first = -1, count = 0;

        for (int k = 0; k < var->n_words; k++) {
            int w = word_of[var->first_word + k];

            if (w >= 0 && first < 0)
                first = w;
            count += w >= 0;
        }
        if (first >= 0)
            PZ_TRY(pz_found_add(h, (struct pz_found){.wanted = n_wanted + v,
                                                     .first_word = first,
                                                     .n_words = count,
                                                     .confidence = h->words.items[first].confidence}));
    }
    for (int k = 0; k < n_wanted; k++) {
        for (int i = 0; i < h->words.n; i++) {
            const char *texts[24];
            int n = 0;

            for (; n < 24 && i + n < h->words.n; n++)
                texts[n] = h->words.items[i + n].text;
            n = pz_words_same(texts, n, wanted[k].words);
            if (n == 0)
                continue;
            PZ_TRY(pz_found_add(h, (struct pz_found){.wanted = k,
                                                     .first_word = i,
                                                     .n_words = n,
                                                     .confidence = h->words.items[i].confidence}));
            i += n - 1;
        }
    }
    return PZ_OK;
fail:
    return st;
}

static char *join_words(const struct pz_words *w)
{
    size_t n = 1;
    char *text, *p;

    for (int i = 0; i < w->n; i++)
        n += strlen(w->items[i].text) + 1;
    text = p = pz_calloc(n, 1);
    for (int i = 0; text && i < w->n; i++)
        p += snprintf(p, n - (size_t)(p - text), "%s%s", i ? " " : "", w->items[i].text);
    return text;
}

static int by_start(const void *a, const void *b)
{
    const struct pz_slot *p = a, *q = b;

    return p->start < q->start ? -1 : p->start > q->start;
}

/** Slots out of occurrences, overlapping ones dropped (the surer stays). */
static enum pz_status make_slots(const struct pz_heard *h, const struct pz_wanted *wanted, int n_wanted,
                                 const struct pz_transcript *t, struct pz_analysis *out)
{
    int n = 0;

    out->slots = pz_calloc((size_t)h->n_found + 1, sizeof *out->slots);
    if (!out->slots)
        return PZ_ERR_NOMEM;
    for (int i = 0; i < h->n_found; i++) {
        const struct pz_found *f = &h->found[i];
        struct pz_slot *s = &out->slots[out->n_slots++];
        const struct pz_word *last = &out->words.items[f->first_word + f->n_words - 1];

        *s = (struct pz_slot){.start = out->words.items[f->first_word].start,
                              .end = last->end,
                              .first_word = f->first_word,
                              .n_words = f->n_words,
                              .confidence = f->confidence};
        snprintf(s->name, sizeof s->name, "%s",
                 f->wanted < n_wanted ? wanted[f->wanted].name : t->variables[f->wanted - n_wanted].name);
        snprintf(s->spoken, sizeof s->spoken, "%s",
                 f->wanted < n_wanted ? wanted[f->wanted].words : t->variables[f->wanted - n_wanted].spoken);
    }
    qsort(out->slots, (size_t)out->n_slots, sizeof *out->slots, by_start);
    for (int i = 0; i < out->n_slots; i++) {
        if (n && out->slots[i].start < out->slots[n - 1].end) {
            if (out->slots[i].confidence > out->slots[n - 1].confidence)
                out->slots[n - 1] = out->slots[i];
            continue;
        }
        out->slots[n++] = out->slots[i];
    }
    out->n_slots = n;
    return PZ_OK;
}

/** Every wanted word must be somewhere; says what was heard instead. */
static enum pz_status all_found(struct pz_log *log, const struct pz_wanted *wanted, int n_wanted,
                                const struct pz_analysis *a)
{
    for (int k = 0; k < n_wanted; k++) {
        bool found = false;

        for (int i = 0; i < a->n_slots && !found; i++)
            found = strcmp(a->slots[i].name, wanted[k].name) == 0 &&
                    strcmp(a->slots[i].spoken, wanted[k].words) == 0;
        if (!found)
            return pz_fail(
                log, PZ_ERR_UNUSABLE,
                "\"%s\" is not spoken in this film; heard: \"%.*s%s\"; give the words as they are spoken, or "
                "--transcript",
                wanted[k].words, HEARD_SHOWN, a->text[0] ? a->text : "(no speech)",
                strlen(a->text) > HEARD_SHOWN ? "…" : "");
    }
    return PZ_OK;
}

enum pz_status pz_speech_analyse(struct pz_ears *ears, const struct pz_tap *sound,
                                 const struct pz_analyse_params *p, const struct pz_job *job,
                                 struct pz_analysis *out)
{
    enum pz_status st;
    struct pz_wanted wanted[PZ_WANTED_MAX];
    struct pz_heard h = {0};
    int *word_of = NULL;
    struct pz_log *log = pz_ears_log(ears);
    const struct pz_transcript *t = p->transcript;

    *out = (struct pz_analysis){0};
    if (p->n_spoken < 0 || p->n_spoken > PZ_WANTED_MAX)
        return pz_fail(log, PZ_ERR_USAGE, "--spoken: at most %d variables", PZ_WANTED_MAX);
    out->n_samples = pz_tap_speech_length(sound);
    out->aligned = t != NULL;
    PZ_TRY(wanted_make(ears, p, wanted, p->n_spoken));
    if (t) {
        word_of = pz_calloc((size_t)t->n_words, sizeof *word_of);
        if (!word_of) {
            st = PZ_ERR_NOMEM;
            goto fail;
        }
        PZ_TRY(align_all(ears, sound, out->n_samples, t, job, &h, word_of));
        PZ_TRY(find_in_transcript(t, word_of, wanted, p->n_spoken, &h));
    } else {
        PZ_TRY(pz_hear_film(ears, sound, out->n_samples, wanted, p->n_spoken, job, &h));
    }
    out->words = h.words;
    h.words = (struct pz_words){0};
    out->text = join_words(t ? &out->words : &h.raw);
    if (!out->text) {
        st = PZ_ERR_NOMEM;
        goto fail;
    }
    PZ_TRY(make_slots(&h, wanted, p->n_spoken, t, out));
    if (!p->missing_ok)
        PZ_TRY(all_found(log, wanted, p->n_spoken, out));
    out->phones = h.phones;
    h.phones = (struct pz_phone_line){0};
    PZ_TRY(pz_edges_refine(sound, out));
    PZ_TRY(pz_phone_line_cover(&out->phones, 0, out->n_samples));
    pz_edges_finish(out);
    pz_heard_free(&h);
    pz_free(word_of);
    return PZ_OK;
fail:
    pz_heard_free(&h);
    pz_free(word_of);
    pz_analysis_free(out);
    return st;
}

void pz_analysis_free(struct pz_analysis *a)
{
    pz_words_free(&a->words);
    pz_phone_line_free(&a->phones);
    pz_free(a->slots);
    pz_free(a->text);
    *a = (struct pz_analysis){0};
}

enum pz_status pz_speech_phones(struct pz_ears *ears, const struct pz_tap *sound, const struct pz_job *job,
                                struct pz_phone_line *out)
{
    enum pz_status st;
    struct pz_analysis a;

    st = pz_speech_analyse(ears, sound, &(struct pz_analyse_params){0}, job, &a);
    if (st < PZ_OK)
        return st;
    pz_phone_line_free(out);
    *out = a.phones;
    a.phones = (struct pz_phone_line){0};
    pz_analysis_free(&a);
    return PZ_OK;
}
