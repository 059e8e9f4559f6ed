/*
 * Plans and sessions of one Whisper model: the encoder with the keys and values of the cross attention, and
 * the decoder for steps of one or two widths. Each decoder session holds its own copy of the cache, because a
 * session's inputs are its own memory; new rows, a few kilobytes, are copied to all of them.
 */
#include "nn/whisper_run.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "tensor/profile.h"

#define CHUNK 32                   /* tokens at once where many are known */
#define LARGE ((int64_t)250 << 20) /* parameters of a decoder that is held once only */
#define LARGE_CHUNK 8
#define BLOCKED (-1e4f) /* added to a score: its exponential is 0, and binary16 holds it */

struct decoder {
    int width;
    struct pz_plan *plan;
    struct pz_session *s;
    int *tokens, *positions;
    float *mask, **past, **heard; /* [2·layers]: keys, values */
    const float *logits, **fresh, **queries;
};

struct pz_whisper {
    struct pz_whisper_dims dims;
    const struct pz_job *job;
    struct pz_plan *encoder_plan;
    struct pz_session *encoder;
    float *mel;
    const float *audio, **heard;
    struct decoder decoders[2];
    int n_decoders, rows;
    int *made; /* [rows] item of this step that makes the row, −1 */
};

const struct pz_whisper_dims *pz_whisper_sizes(const struct pz_whisper *w)
{
    return &w->dims;
}

int pz_whisper_rows(const struct pz_whisper *w)
{
    return w->rows;
}

const float *pz_whisper_audio(const struct pz_whisper *w)
{
    return w->audio;
}

const float *pz_whisper_audio_keys(const struct pz_whisper *w, int layer)
{
    return w->heard[2 * layer];
}

static const char *name_of(char out[32], const char *what, int i)
{
    snprintf(out, 32, "%s%d", what, i);
    return out;
}

static enum pz_status make(struct pz_graph *g, struct pz_params *p, const struct pz_whisper_options *o,
                           struct pz_log *log, struct pz_plan **plan, struct pz_session **s)
{
    enum pz_status st = p && g ? PZ_OK : pz_fail(log, PZ_ERR_NOMEM, "no memory for Whisper");
    if (st >= PZ_OK)
        st = pz_params_finish(p);
    pz_params_destroy(&p);
    if (st >= PZ_OK)
        st = pz_plan_create(&g, &o->plan, log, plan);
    pz_graph_destroy(&g);
    return st < PZ_OK ? st : pz_session_create(*plan, log, s);
}

static void no_layers(struct pz_whisper_layer *l, int n)
{
    for (int i = 0; i < n; i++)
        l[i] = (struct pz_whisper_layer){PZ_NONE, PZ_NONE, PZ_NONE, PZ_NONE, PZ_NONE, PZ_NONE, PZ_NONE};
}

static enum pz_status open_encoder(struct pz_whisper *w, const struct pz_whisper_options *o)
{
    const struct pz_whisper_dims *d = &w->dims;
    struct pz_params_options po = pz_whisper_params(d, o->checkpoint, o->file);
    struct pz_graph *g = pz_graph_create(w->job->log);
    struct pz_params *p = g ? pz_params_create(g, &po, w->job->log) : NULL;
    struct pz_whisper_layer l[PZ_WHISPER_MAX_LAYERS];
    char name[32];
    no_layers(l, d->text_layers);
    if (p) {
        int mel = pz_graph_input(g, "mel", (struct pz_shape){4, {1, 1, 2 * d->audio_ctx, d->bands}});
        int audio = pz_nn_whisper_encoder(p, d, mel, NULL);
        pz_nn_whisper_decoder(p, d, PZ_NONE, PZ_NONE, PZ_NONE, audio, l);
        pz_graph_output(g, "audio", audio);
        for (int i = 0; i < d->text_layers; i++) {
            pz_graph_output(g, name_of(name, "k", i), l[i].k_audio);
            pz_graph_output(g, name_of(name, "v", i), l[i].v_audio);
        }
    }
    enum pz_status st = make(g, p, o, w->job->log, &w->encoder_plan, &w->encoder);
    if (st >= PZ_OK)
        st = pz_session_profile(w->encoder, w->job->profile, "whisper encoder");
    if (st < PZ_OK)
        return st;
    w->mel = pz_session_input(w->encoder, "mel", 0).data;
    w->audio = pz_session_output(w->encoder, "audio", 0).data;
    for (int i = 0; i < d->text_layers; i++) {
        w->heard[2 * i] = pz_session_output(w->encoder, name_of(name, "k", i), 0).data;
        w->heard[2 * i + 1] = pz_session_output(w->encoder, name_of(name, "v", i), 0).data;
    }
    return PZ_OK;
}

static struct pz_graph *decoder_graph(struct pz_whisper *w, const struct pz_whisper_options *o, int width,
                                      struct pz_params **params)
{
    const struct pz_whisper_dims *d = &w->dims;
    struct pz_params_options po = pz_whisper_params(d, o->checkpoint, o->file);
    struct pz_graph *g = pz_graph_create(w->job->log);
    struct pz_params *p = *params = g ? pz_params_create(g, &po, w->job->log) : NULL;
    struct pz_whisper_layer l[PZ_WHISPER_MAX_LAYERS];
    char name[32];
    if (!p)
        return g;
    int tokens = pz_graph_input_typed(g, "tokens", PZ_DTYPE_I32, (struct pz_shape){2, {1, width}});
    int at = pz_graph_input_typed(g, "positions", PZ_DTYPE_I32, (struct pz_shape){2, {1, width}});
    int mask = pz_graph_input(g, "mask", (struct pz_shape){4, {1, 1, width, w->rows + width}});
    struct pz_shape past = {3, {1, w->rows, d->text_state}}, heard = {3, {1, d->audio_ctx, d->text_state}};
    no_layers(l, d->text_layers);
    for (int i = 0; i < d->text_layers; i++) {
        l[i].k_past = pz_graph_input(g, name_of(name, "past", 2 * i), past);
        l[i].v_past = pz_graph_input(g, name_of(name, "past", 2 * i + 1), past);
        l[i].k_audio = pz_graph_input(g, name_of(name, "heard", 2 * i), heard);
        l[i].v_audio = pz_graph_input(g, name_of(name, "heard", 2 * i + 1), heard);
    }
    pz_nn_whisper_encoder(p, d, PZ_NONE, NULL);
    pz_graph_output(g, "logits", pz_nn_whisper_decoder(p, d, tokens, at, mask, PZ_NONE, l));
    for (int i = 0; i < d->text_layers; i++) {
        pz_graph_output(g, name_of(name, "fresh", 2 * i), l[i].k_new);
        pz_graph_output(g, name_of(name, "fresh", 2 * i + 1), l[i].v_new);
        pz_graph_output(g, name_of(name, "query", i), l[i].q_audio);
    }
    return g;
}

static enum pz_status open_decoder(struct pz_whisper *w, const struct pz_whisper_options *o, int width,
                                   struct decoder *k)
{
    int n = w->dims.text_layers;
    char name[32];
    struct pz_params *p = NULL;
    struct pz_graph *g = decoder_graph(w, o, width, &p);
    enum pz_status st = make(g, p, o, w->job->log, &k->plan, &k->s);
    if (st >= PZ_OK)
        st = pz_session_profile(k->s, w->job->profile, "whisper decoder");
    if (st < PZ_OK)
        return st;
    k->width = width;
    k->past = pz_calloc((size_t)n * 2, sizeof *k->past);
    k->heard = pz_calloc((size_t)n * 2, sizeof *k->heard);
    k->fresh = pz_calloc((size_t)n * 2, sizeof *k->fresh);
    k->queries = pz_calloc((size_t)n, sizeof *k->queries);
    if (!k->past || !k->heard || !k->fresh || !k->queries)
        return pz_fail(w->job->log, PZ_ERR_NOMEM, "no memory for Whisper");
    k->tokens = pz_session_input(k->s, "tokens", 0).data;
    k->positions = pz_session_input(k->s, "positions", 0).data;
    k->mask = pz_session_input(k->s, "mask", 0).data;
    k->logits = pz_session_output(k->s, "logits", 0).data;
    for (int i = 0; i < 2 * n; i++) {
        k->past[i] = pz_session_input(k->s, name_of(name, "past", i), 0).data;
        k->heard[i] = pz_session_input(k->s, name_of(name, "heard", i), 0).data;
        k->fresh[i] = pz_session_output(k->s, name_of(name, "fresh", i), 0).data;
        memset(k->past[i], 0, sizeof(float) * (size_t)w->rows * (size_t)w->dims.text_state);
    }
    /* on a device the cache stays there: runs bring new rows only */
    for (int i = 0; i < 2 * n && st >= PZ_OK; i++) {
        st = pz_session_hold(k->s, name_of(name, "past", i));
        if (st >= PZ_OK)
            st = pz_session_hold(k->s, name_of(name, "heard", i));
    }
    for (int i = 0; i < n; i++)
        k->queries[i] = pz_session_output(k->s, name_of(name, "query", i), 0).data;
    return st;
}

static int64_t decoder_parameters(const struct pz_whisper_dims *d)
{
    return (int64_t)d->text_state * d->vocab + (int64_t)d->text_layers * 16 * d->text_state * d->text_state;
}

enum pz_status pz_whisper_open(const struct pz_whisper_options *o, const struct pz_job *job,
                               struct pz_whisper **out)
{
    enum pz_status st = PZ_ERR_NOMEM;
    struct pz_whisper *w = *out = pz_calloc(1, sizeof *w);
    const bool large = decoder_parameters(&o->dims) > LARGE;
    if (!w)
        return pz_fail(job->log, st, "no memory for Whisper");
    w->dims = o->dims;
    w->job = job;
    w->rows = o->rows > o->dims.text_ctx ? o->rows : o->dims.text_ctx;
    w->heard = pz_calloc((size_t)o->dims.text_layers * 2, sizeof *w->heard);
    w->made = pz_calloc((size_t)w->rows, sizeof *w->made);
    if (!w->heard || !w->made) {
        st = pz_fail(job->log, st, "no memory for Whisper");
        goto fail;
    }
    for (int i = 0; i < w->rows; i++)
        w->made[i] = -1;
    PZ_TRY(open_encoder(w, o));
    int width = o->width > 1 ? o->width : 1;
    if (large && width < LARGE_CHUNK)
        width = LARGE_CHUNK;
    w->n_decoders = large || width >= CHUNK ? 1 : 2;
    PZ_TRY(open_decoder(w, o, width, &w->decoders[0]));
    if (w->n_decoders == 2)
        PZ_TRY(open_decoder(w, o, CHUNK, &w->decoders[1]));
    return PZ_OK;
fail:
    pz_whisper_close(out);
    return st;
}

void pz_whisper_close(struct pz_whisper **out)
{
    struct pz_whisper *w = out ? *out : NULL;
    if (!w)
        return;
    for (int i = 0; i < 2; i++) {
        struct decoder *k = &w->decoders[i];
        pz_session_destroy(&k->s);
        pz_plan_destroy(&k->plan);
        pz_free(k->past);
        pz_free(k->heard);
        pz_free(k->fresh);
        pz_free(k->queries);
    }
    pz_session_destroy(&w->encoder);
    pz_plan_destroy(&w->encoder_plan);
    pz_free(w->heard);
    pz_free(w->made);
    pz_free(w);
    *out = NULL;
}

enum pz_status pz_whisper_encode(struct pz_whisper *w, const float *mel)
{
    const struct pz_whisper_dims *d = &w->dims;
    size_t count = (size_t)d->audio_ctx * (size_t)d->text_state;
    char name[32];
    memcpy(w->mel, mel, sizeof(float) * 2 * (size_t)d->audio_ctx * (size_t)d->bands);
    enum pz_status st = pz_session_run(w->encoder, w->job->pool);
    for (int k = 0; k < w->n_decoders && st >= PZ_OK; k++)
        for (int i = 0; i < 2 * d->text_layers; i++) {
            memcpy(w->decoders[k].heard[i], w->heard[i], count * sizeof(float));
            pz_session_touch(w->decoders[k].s, name_of(name, "heard", i), 0, count);
        }
    return st;
}

static bool item_valid(const struct pz_whisper *w, const struct pz_whisper_item *t)
{
    if (t->token < 0 || t->token >= w->dims.vocab || t->row < 0 || t->row >= w->rows || t->n_rows < 0 ||
        t->n_rows >= w->dims.text_ctx)
        return false;
    for (int i = 0; i < t->n_rows; i++)
        if (t->rows[i] < 0 || t->rows[i] >= w->rows)
            return false;
    return true;
}

/* One run: up to `k->width` items. */
static enum pz_status run(struct pz_whisper *w, struct decoder *k, const struct pz_whisper_item *items, int n)
{
    const struct pz_whisper_dims *d = &w->dims;
    const int columns = w->rows + k->width;
    const size_t size = (size_t)d->text_state, vocab = (size_t)d->vocab;
    for (int i = 0; i < k->width; i++) {
        float *mask = k->mask + (size_t)i * (size_t)columns;
        k->tokens[i] = i < n ? items[i].token : 0;
        k->positions[i] = i < n ? items[i].n_rows : 0;
        for (int c = 0; c < columns; c++)
            mask[c] = BLOCKED;
        mask[w->rows + i] = 0;
        for (int c = 0; i < n && c < items[i].n_rows; c++) {
            int row = items[i].rows[c];
            mask[w->made[row] >= 0 ? w->rows + w->made[row] : row] = 0;
        }
        if (i < n)
            w->made[items[i].row] = i;
    }
    for (int i = 0; i < n; i++)
        w->made[items[i].row] = -1;
    enum pz_status st = pz_session_run(k->s, w->job->pool);
    if (st < PZ_OK)
        return st;
    for (int i = 0; i < n; i++) {
        const size_t row = (size_t)items[i].row * size;
        char name[32];
        for (int j = 0; j < w->n_decoders; j++)
            for (int l = 0; l < 2 * d->text_layers; l++) {
                memcpy(w->decoders[j].past[l] + row, k->fresh[l] + (size_t)i * size, size * sizeof(float));
                pz_session_touch(w->decoders[j].s, name_of(name, "past", l), row, size);
            }
        if (items[i].logits)
            memcpy(items[i].logits, k->logits + (size_t)i * vocab, vocab * sizeof(float));
        for (int l = 0; items[i].queries && l < d->text_layers; l++)
            memcpy(items[i].queries + (size_t)l * size, k->queries[l] + (size_t)i * size,
                   size * sizeof(float));
    }
    return PZ_OK;
}

enum pz_status pz_whisper_step(struct pz_whisper *w, const struct pz_whisper_item *items, int n)
{
    for (int i = 0; i < n; i++)
        if (!item_valid(w, &items[i]))
            return pz_fail(w->job->log, PZ_ERR_INTERNAL,
                           "Whisper: token %d at position %d in row %d is outside", items[i].token,
                           items[i].n_rows, items[i].row);
    for (int done = 0, m; done < n; done += m) {
        struct decoder *k = &w->decoders[0];
        if (n - done > k->width && w->n_decoders == 2)
            k = &w->decoders[1];
        m = n - done < k->width ? n - done : k->width;
        enum pz_status st = run(w, k, items + done, m);
        if (st < PZ_OK)
            return st;
    }
    return PZ_OK;
}
