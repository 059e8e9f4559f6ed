// Searches for what is said in one window. A sequence is a list of tokens and of the rows they are kept in;
// sequences that part share the rows of what they have in common. Source: spec/whisper.md §7.
#include "speech/whisper_decode.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"

#define MAX_BEAMS 16
#define MAX_SUPPRESSED 256
#define STEPS 6 /* of the temperature ladder */
#define REPETITIVE 2.4
#define UNSURE (-1.0)
#define SILENT 0.6

struct sequence {
    int *tokens, *rows; /* [text_ctx + 1]; rows of all tokens but the last */
    int n;              /* with the start tokens */
    double sum;
    bool ended;
};

struct pz_whisper_decoder {
    struct pz_whisper *w;
    const struct pz_whisper_vocab *v;
    const struct pz_job *job;
    const struct pz_whisper_special *special;
    int suppressed[MAX_SUPPRESSED], n_suppressed, blank, beams, ctx, n_vocab;
    float *logits; /* [beams][n_vocab] */
    struct pz_whisper_item *items;
    struct sequence live[MAX_BEAMS], next[MAX_BEAMS], done[MAX_BEAMS];
    int n_live, n_done, begin; /* `begin`: first sampled place */
    int free_row;
    struct pz_rng rng;
};

/* ---- life ---- */

static bool sequence_make(struct sequence *s, int ctx)
{
    s->tokens = pz_calloc((size_t)ctx + 2, sizeof *s->tokens);
    s->rows = pz_calloc((size_t)ctx + 2, sizeof *s->rows);
    return s->tokens && s->rows;
}

static void sequence_free(struct sequence *s)
{
    pz_free(s->tokens);
    pz_free(s->rows);
}

static void sequence_copy(struct sequence *to, const struct sequence *from)
{
    memcpy(to->tokens, from->tokens, (size_t)from->n * sizeof *to->tokens);
    memcpy(to->rows, from->rows, (size_t)from->n * sizeof *to->rows);
    to->n = from->n;
    to->sum = from->sum;
    to->ended = from->ended;
}

int pz_whisper_decoder_rows(const struct pz_whisper_dims *dims, int beams)
{
    return dims->text_ctx + (beams > 1 ? beams : 1) * (dims->text_ctx / 2 + 1);
}

static enum pz_status set_suppressed(struct pz_whisper_decoder *d)
{
    const struct pz_whisper_special *s = d->special;
    const int always[] = {s->transcribe,    s->translate,   s->start,
                          s->start_of_prev, s->start_of_lm, s->no_speech};
    const int n_always = (int)(sizeof always / sizeof *always);
    d->n_suppressed = pz_whisper_vocab_silent(d->v, d->suppressed, MAX_SUPPRESSED - n_always);
    if (d->n_suppressed < 0)
        return PZ_ERR_NOMEM;
    for (int i = 0; i < n_always; i++)
        d->suppressed[d->n_suppressed++] = always[i];
    int ids[4], n = pz_whisper_vocab_encode(d->v, " ", 1, ids, 4);
    d->blank = n == 1 ? ids[0] : -1;
    return n < 0 ? PZ_ERR_NOMEM : PZ_OK;
}

enum pz_status pz_whisper_decoder_create(struct pz_whisper *w, const struct pz_whisper_vocab *v, int beams,
                                         const struct pz_job *job, struct pz_whisper_decoder **out)
{
    const struct pz_whisper_dims *dims = pz_whisper_sizes(w);
    struct pz_whisper_decoder *d = *out = NULL;
    enum pz_status st = PZ_ERR_NOMEM;
    beams = beams < 1 ? 1 : beams > MAX_BEAMS ? MAX_BEAMS : beams;
    if (dims->vocab != pz_whisper_vocab_size(v) || pz_whisper_rows(w) < pz_whisper_decoder_rows(dims, beams))
        return pz_fail(job->log, PZ_ERR_WEIGHTS, "Whisper: the model has %d tokens, its words %d",
                       dims->vocab, pz_whisper_vocab_size(v));
    d = *out = pz_calloc(1, sizeof *d);
    if (!d)
        goto fail;
    d->w = w;
    d->v = v;
    d->job = job;
    d->special = pz_whisper_vocab_special(v);
    d->beams = beams;
    d->ctx = dims->text_ctx;
    d->n_vocab = dims->vocab;
    d->logits = pz_calloc((size_t)beams * (size_t)dims->vocab, sizeof *d->logits);
    d->items = pz_calloc((size_t)(d->ctx > beams ? d->ctx : beams), sizeof *d->items);
    if (!d->logits || !d->items)
        goto fail;
    for (int i = 0; i < beams; i++)
        if (!sequence_make(&d->live[i], d->ctx) || !sequence_make(&d->next[i], d->ctx) ||
            !sequence_make(&d->done[i], d->ctx))
            goto fail;
    PZ_TRY(set_suppressed(d));
    return PZ_OK;
fail:
    pz_whisper_decoder_destroy(out);
    return pz_fail(job->log, st, "no memory for Whisper");
}

void pz_whisper_decoder_destroy(struct pz_whisper_decoder **out)
{
    struct pz_whisper_decoder *d = *out;
    if (!d)
        return;
    for (int i = 0; i < MAX_BEAMS; i++) {
        sequence_free(&d->live[i]);
        sequence_free(&d->next[i]);
        sequence_free(&d->done[i]);
    }
    pz_free(d->logits);
    pz_free(d->items);
    pz_free(d);
    *out = NULL;
}

void pz_whisper_said_free(struct pz_whisper_said *s)
{
    pz_free(s->tokens);
    pz_free(s->text);
    *s = (struct pz_whisper_said){0};
}

/* ---- steps ---- */

int pz_whisper_start_tokens(const struct pz_whisper_vocab *v, int language, bool translate,
                            bool no_timestamps, int out[4])
{
    const struct pz_whisper_special *s = pz_whisper_vocab_special(v);
    int n = 0;
    out[n++] = s->start;
    if (s->multilingual) {
        out[n++] = s->first_language + (language >= 0 && language < s->n_languages ? language : 0);
        out[n++] = translate ? s->translate : s->transcribe;
    }
    if (no_timestamps)
        out[n++] = s->no_timestamps;
    return n;
}

static double probability(const float *logits, int n, int token)
{
    return exp((double)logits[token] - pz_whisper_log_sum(logits, n));
}

/* Feed what stands before the first sampled token; logits of the last one are in d->logits. */
static enum pz_status feed_start(struct pz_whisper_decoder *d, const struct pz_whisper_try *t,
                                 double *silence)
{
    struct sequence *s = &d->live[0];
    int start[4], n_start = pz_whisper_start_tokens(d->v, t->language, t->translate, t->no_timestamps, start);
    int room = d->ctx / 2 - 1, n_prompt = t->n_prompt < room ? t->n_prompt : room;
    s->n = 0;
    s->sum = 0;
    s->ended = false;
    if (t->n_prompt > 0) {
        s->tokens[s->n++] = d->special->start_of_prev;
        memcpy(s->tokens + s->n, t->prompt + t->n_prompt - n_prompt, (size_t)n_prompt * sizeof *s->tokens);
        s->n += n_prompt;
    }
    int sot = s->n;
    memcpy(s->tokens + s->n, start, (size_t)n_start * sizeof *start);
    s->n += n_start;
    d->begin = s->n;
    d->n_live = 1;
    d->n_done = 0;
    float *at_start = pz_calloc((size_t)d->n_vocab, sizeof *at_start);
    if (!at_start)
        return pz_fail(d->job->log, PZ_ERR_NOMEM, "no memory for Whisper");
    for (int i = 0; i < s->n; i++) {
        s->rows[i] = i;
        d->items[i] = (struct pz_whisper_item){.token = s->tokens[i],
                                               .rows = s->rows,
                                               .n_rows = i,
                                               .row = i,
                                               .logits = i == s->n - 1 ? d->logits
                                                         : i == sot    ? at_start
                                                                       : NULL};
    }
    d->free_row = s->n;
    enum pz_status st = pz_whisper_step(d->w, d->items, s->n);
    *silence = st < PZ_OK
                   ? 0
                   : probability(sot == s->n - 1 ? d->logits : at_start, d->n_vocab, d->special->no_speech);
    pz_free(at_start);
    return st;
}

/* Feed the last token of every living sequence that goes on; logits of sequence i are in row i. */
static enum pz_status feed(struct pz_whisper_decoder *d)
{
    int n = 0;
    for (int i = 0; i < d->n_live; i++) {
        struct sequence *s = &d->live[i];
        if (s->ended)
            continue;
        s->rows[s->n - 1] = d->free_row;
        d->items[n++] = (struct pz_whisper_item){.token = s->tokens[s->n - 1],
                                                 .rows = s->rows,
                                                 .n_rows = s->n - 1,
                                                 .row = d->free_row++,
                                                 .logits = d->logits + (size_t)i * (size_t)d->n_vocab};
    }
    return pz_whisper_step(d->w, d->items, n);
}

static void filter(struct pz_whisper_decoder *d, const struct pz_whisper_try *t, int i)
{
    struct pz_whisper_rules r = {.special = d->special,
                                 .n_vocab = d->n_vocab,
                                 .suppressed = d->suppressed,
                                 .n_suppressed = d->n_suppressed,
                                 .blank = d->blank,
                                 .timestamps = !t->no_timestamps};
    const struct sequence *s = &d->live[i];
    pz_whisper_filter(&r, s->tokens + d->begin, s->n - d->begin, d->logits + (size_t)i * (size_t)d->n_vocab);
}

/* ---- greedy and sampled ---- */

static int choose(struct pz_whisper_decoder *d, const float *logits, float temperature)
{
    int best = d->special->end_of_text;
    if (temperature <= 0) {
        for (int i = 0; i < d->n_vocab; i++)
            if (logits[i] > logits[best] || (i < best && logits[i] == logits[best]))
                best = i;
        return best;
    }
    float top = -INFINITY;
    double sum = 0, at = 0;
    for (int i = 0; i < d->n_vocab; i++)
        top = logits[i] > top ? logits[i] : top;
    for (int i = 0; i < d->n_vocab; i++)
        sum += (double)expf((logits[i] - top) / temperature);
    double want = (double)pz_rng_uniform(&d->rng) * sum;
    for (int i = 0; i < d->n_vocab; i++) {
        double p = (double)expf((logits[i] - top) / temperature);
        if (p <= 0)
            continue;
        at += p;
        best = i;
        if (at > want)
            break;
    }
    return best;
}

/* One token more for every sequence; false when all have ended. */
static bool grow(struct pz_whisper_decoder *d, const struct pz_whisper_try *t)
{
    bool going = false;
    for (int i = 0; i < d->n_live; i++) {
        struct sequence *s = &d->live[i];
        const float *logits = d->logits + (size_t)i * (size_t)d->n_vocab;
        if (s->ended)
            continue;
        filter(d, t, i);
        int token = choose(d, logits, t->temperature);
        s->sum += (double)logits[token] - pz_whisper_log_sum(logits, d->n_vocab);
        s->ended = token == d->special->end_of_text;
        s->tokens[s->n++] = token;
        going |= !s->ended;
    }
    return going;
}

/* ---- beams ---- */

struct candidate {
    int from, token;
    double sum;
};

static int by_sum(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->sum != y->sum)
        return x->sum > y->sum ? -1 : 1;
    return x->from != y->from ? x->from - y->from : x->token - y->token;
}

/* The `many` best tokens after sequence i. */
static int best_tokens(const struct pz_whisper_decoder *d, int i, int many, struct candidate *out)
{
    const float *logits = d->logits + (size_t)i * (size_t)d->n_vocab;
    double norm = pz_whisper_log_sum(logits, d->n_vocab);
    int n = 0;
    for (int k = 0; k < d->n_vocab; k++) {
        if (!(logits[k] > -INFINITY) || (n == many && !(logits[k] > logits[out[n - 1].token])))
            continue;
        int at = n < many ? n++ : n - 1;
        for (; at > 0 && logits[k] > logits[out[at - 1].token]; at--)
            out[at] = out[at - 1];
        out[at] = (struct candidate){i, k, d->live[i].sum + (double)logits[k] - norm};
    }
    return n;
}

/* One step of the beam search; false when enough sequences have ended, or nothing lives. */
static bool widen(struct pz_whisper_decoder *d, const struct pz_whisper_try *t, int beams)
{
    struct candidate all[MAX_BEAMS * (MAX_BEAMS + 1)];
    int n = 0, kept = 0;
    for (int i = 0; i < d->n_live; i++) {
        filter(d, t, i);
        n += best_tokens(d, i, beams + 1, all + n);
    }
    qsort(all, (size_t)n, sizeof *all, by_sum);
    for (int i = 0; i < n && kept < beams; i++) {
        bool end = all[i].token == d->special->end_of_text;
        struct sequence *s = end ? &d->done[d->n_done] : &d->next[kept];
        if (end && d->n_done >= beams)
            continue;
        sequence_copy(s, &d->live[all[i].from]);
        s->tokens[s->n++] = all[i].token;
        s->sum = all[i].sum;
        s->ended = end;
        d->n_done += end;
        kept += !end;
    }
    for (int i = 0; i < kept; i++) {
        struct sequence swap = d->live[i];
        d->live[i] = d->next[i];
        d->next[i] = swap;
    }
    d->n_live = kept;
    return d->n_done < beams && kept > 0;
}

static int by_score(const void *a, const void *b)
{
    double x = ((const struct sequence *)a)->sum, y = ((const struct sequence *)b)->sum;
    return (x < y) - (x > y);
}

/* What has not ended fills up the list of those that have. */
static void fill_up(struct pz_whisper_decoder *d, int beams)
{
    qsort(d->live, (size_t)d->n_live, sizeof *d->live, by_score);
    for (int i = 0; i < d->n_live && d->n_done < beams; i++)
        sequence_copy(&d->done[d->n_done++], &d->live[i]);
}

/* ---- a window ---- */

static int said_length(const struct pz_whisper_decoder *d, const struct sequence *s)
{
    return s->n - d->begin - (s->n > d->begin && s->tokens[s->n - 1] == d->special->end_of_text);
}

static const struct sequence *best_of(const struct pz_whisper_decoder *d, const struct sequence *list, int n,
                                      float alpha)
{
    const struct sequence *best = NULL;
    double top = 0;
    for (int i = 0; i < n; i++) {
        int len = said_length(d, &list[i]);
        double score =
            list[i].sum / (alpha < 0 ? (len > 0 ? len : 1) : pow((5.0 + len) / 6.0, (double)alpha));
        if (!best || score > top) {
            best = &list[i];
            top = score;
        }
    }
    return best;
}

static enum pz_status take(const struct pz_whisper_decoder *d, const struct sequence *s,
                           struct pz_whisper_said *out)
{
    out->n = s ? said_length(d, s) : 0; /* none: no logit was a number */
    out->tokens = pz_calloc((size_t)out->n + 1, sizeof *out->tokens);
    if (out->tokens && s)
        memcpy(out->tokens, s->tokens + d->begin, (size_t)out->n * sizeof *out->tokens);
    out->text = out->tokens ? pz_whisper_vocab_decode(d->v, out->tokens, out->n) : NULL;
    if (!out->text)
        return pz_fail(d->job->log, PZ_ERR_NOMEM, "no memory for Whisper");
    out->average = s ? s->sum / (out->n + 1) : -INFINITY;
    out->compression = pz_whisper_compression(out->text);
    return PZ_OK;
}

enum pz_status pz_whisper_decode(struct pz_whisper_decoder *d, const struct pz_whisper_try *t,
                                 struct pz_whisper_said *out)
{
    enum pz_status st;
    int many = t->temperature > 0 ? t->best_of : t->beams, sample_len = d->ctx / 2;
    bool beams = t->temperature <= 0 && many > 1;
    *out = (struct pz_whisper_said){.temperature = t->temperature};
    many = many < 1 ? 1 : many > d->beams ? d->beams : many;
    pz_rng_init(&d->rng, t->seed, (uint64_t)lrintf(t->temperature * 100));
    PZ_TRY(feed_start(d, t, &out->no_speech));
    for (int i = 1; !beams && i < many; i++) { /* all sampled from the same first logits */
        sequence_copy(&d->live[i], &d->live[0]);
        memcpy(d->logits + (size_t)i * (size_t)d->n_vocab, d->logits, (size_t)d->n_vocab * sizeof *d->logits);
        d->n_live = i + 1;
    }
    for (int step = 0; step < sample_len; step++) {
        if (pz_job_cancelled(d->job)) {
            st = PZ_ERR_CANCELLED;
            goto fail;
        }
        if (step > 0)
            PZ_TRY(feed(d));
        bool going = beams ? widen(d, t, many) : grow(d, t);
        if (!going || d->begin + step + 1 > d->ctx)
            break;
    }
    if (beams && d->n_done < many)
        fill_up(d, many);
    PZ_TRY(take(d,
                beams ? best_of(d, d->done, d->n_done, t->length_penalty)
                      : best_of(d, d->live, d->n_live, t->length_penalty),
                out));
    return PZ_OK;
fail:
    pz_whisper_said_free(out);
    return st;
}

enum pz_status pz_whisper_decode_surely(struct pz_whisper_decoder *d, const struct pz_whisper_try *t,
                                        struct pz_whisper_said *out)
{
    for (int i = 0;; i++) {
        struct pz_whisper_try one = *t;
        one.temperature = 0.2f * (float)i;
        enum pz_status st = pz_whisper_decode(d, &one, out);
        if (st < PZ_OK)
            return st;
        bool again = out->compression > REPETITIVE || out->average < UNSURE;
        if (out->no_speech > SILENT && out->average < UNSURE)
            again = false;
        if (!again || i + 1 == STEPS)
            return PZ_OK;
        pz_whisper_said_free(out);
    }
}

enum pz_status pz_whisper_detect_language(struct pz_whisper_decoder *d, int *language, float *p)
{
    const struct pz_whisper_special *s = d->special;
    *language = 0;
    *p = 1;
    if (!s->multilingual)
        return PZ_OK;
    struct pz_whisper_item item = {.token = s->start, .row = 0, .logits = d->logits};
    enum pz_status st = pz_whisper_step(d->w, &item, 1);
    if (st < PZ_OK)
        return st;
    const float *among = d->logits + s->first_language;
    for (int i = 1; i < s->n_languages; i++)
        if (among[i] > among[*language])
            *language = i;
    *p = (float)probability(among, s->n_languages, *language);
    return PZ_OK;
}
