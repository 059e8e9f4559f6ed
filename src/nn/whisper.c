/*
 * Whisper's encoder and decoder as graphs, and the sizes of a checkpoint. Running, caching and choosing
 * tokens is done elsewhere (whisper_run.c, speech/).
 *
 * Source  spec/whisper.md §2, §4, §5; arXiv:2212.04356 §2.2.
 */
#include "nn/whisper.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "nn/layer.h"

#define HEAD 64        /* of every published model */
#define MAX_SIZE 65536 /* far beyond them, and products stay small */

/* What the two houses call things, local to the scope. */
struct names {
    const char *blocks, *self, *cross, *self_norm, *cross_norm, *mlp[2], *mlp_norm;
    const char *q, *k, *v, *out;
    const char *audio_norm, *text_norm, *embedding, *audio_positions, *text_positions;
};

static const struct names house[2] = {
    {"blocks",
     "attn",
     "cross_attn",
     "attn_ln",
     "cross_attn_ln",
     {"mlp.0", "mlp.2"},
     "mlp_ln",
     "query",
     "key",
     "value",
     "out",
     "ln_post",
     "ln",
     "token_embedding.weight",
     "positional_embedding",
     "positional_embedding"},
    {"layers",
     "self_attn",
     "encoder_attn",
     "self_attn_layer_norm",
     "encoder_attn_layer_norm",
     {"fc1", "fc2"},
     "final_layer_norm",
     "q_proj",
     "k_proj",
     "v_proj",
     "out_proj",
     "layer_norm",
     "layer_norm",
     "embed_tokens.weight",
     "embed_positions.weight",
     "embed_positions.weight"},
};

/* ---- sizes ---- */

static int extent(const struct pz_checkpoint *c, const char *name, int axis)
{
    const struct pz_checkpoint_tensor *t = pz_checkpoint_find(c, name);
    return t && axis < t->rank && t->shape[axis] <= INT32_MAX ? (int)t->shape[axis] : 0;
}

static int count_blocks(const struct pz_checkpoint *c, const char *format)
{
    char name[128];
    for (int i = 0;; i++) {
        snprintf(name, sizeof name, format, i);
        if (i > PZ_WHISPER_MAX_LAYERS || !pz_checkpoint_find(c, name))
            return i;
    }
}

static bool stored(const struct pz_checkpoint *c, struct pz_whisper_dims *d)
{
    static const char *const keys[] = {"n_mels",       "n_vocab",       "n_audio_ctx", "n_audio_state",
                                       "n_audio_head", "n_audio_layer", "n_text_ctx",  "n_text_state",
                                       "n_text_head",  "n_text_layer"};
    int *const to[] = {&d->bands,        &d->vocab,    &d->audio_ctx,  &d->audio_state, &d->audio_heads,
                       &d->audio_layers, &d->text_ctx, &d->text_state, &d->text_heads,  &d->text_layers};
    for (int i = 0; i < 10; i++) {
        char name[64];
        double v;
        snprintf(name, sizeof name, "dims.%s", keys[i]);
        if (!pz_checkpoint_number(c, name, &v))
            return false;
        *to[i] = v >= 0 && v < 1e9 ? (int)v : 0;
    }
    return true;
}

static void from_shapes(const struct pz_checkpoint *c, struct pz_whisper_dims *d)
{
    const bool hf = d->hugging_face;
    d->bands = extent(c, hf ? "model.encoder.conv1.weight" : "encoder.conv1.weight", 1);
    d->audio_state = extent(c, hf ? "model.encoder.conv1.weight" : "encoder.conv1.weight", 0);
    d->audio_ctx = extent(c, hf ? "model.encoder.embed_positions.weight" : "encoder.positional_embedding", 0);
    const char *embedding = hf ? "model.decoder.embed_tokens.weight" : "decoder.token_embedding.weight";
    d->vocab = extent(c, embedding, 0);
    d->text_state = extent(c, embedding, 1);
    d->text_ctx = extent(c, hf ? "model.decoder.embed_positions.weight" : "decoder.positional_embedding", 0);
    d->audio_layers =
        count_blocks(c, hf ? "model.encoder.layers.%d.fc1.weight" : "encoder.blocks.%d.mlp.0.weight");
    d->text_layers =
        count_blocks(c, hf ? "model.decoder.layers.%d.fc1.weight" : "decoder.blocks.%d.mlp.0.weight");
    d->audio_heads = d->audio_state / HEAD;
    d->text_heads = d->text_state / HEAD;
}

static bool sound(const struct pz_whisper_dims *d)
{
    const int sizes[] = {d->bands, d->audio_ctx, d->audio_state, d->text_ctx, d->text_state};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (sizes[i] < 1 || sizes[i] > MAX_SIZE)
            return false;
    return d->vocab > 1 && d->vocab < 1 << 20 && d->audio_layers >= 1 && d->text_layers >= 1 &&
           d->audio_layers <= PZ_WHISPER_MAX_LAYERS && d->text_layers <= PZ_WHISPER_MAX_LAYERS &&
           d->audio_heads >= 1 && d->text_heads >= 1 && d->audio_state % d->audio_heads == 0 &&
           d->text_state % d->text_heads == 0 && d->audio_state == d->text_state && d->audio_state % 2 == 0 &&
           d->audio_state > 2;
}

enum pz_status pz_whisper_dims_read(const struct pz_checkpoint *c, const char *file, struct pz_log *log,
                                    struct pz_whisper_dims *d)
{
    *d =
        (struct pz_whisper_dims){.hugging_face = pz_checkpoint_find(c, "model.encoder.conv1.weight") != NULL};
    if (!d->hugging_face && !pz_checkpoint_find(c, "encoder.conv1.weight"))
        return pz_fail(log, PZ_ERR_WEIGHTS,
                       "'%s' is not a Whisper checkpoint: there is neither 'encoder.conv1.weight' nor "
                       "'model.encoder.conv1.weight' in it",
                       file);
    if (d->hugging_face || !stored(c, d))
        from_shapes(c, d);
    if (!sound(d))
        return pz_fail(log, PZ_ERR_WEIGHTS,
                       "'%s': no Whisper has these sizes (%d bands, %d words, %d+%d layers of %d/%d)", file,
                       d->bands, d->vocab, d->audio_layers, d->text_layers, d->audio_state, d->text_state);
    return PZ_OK;
}

struct pz_params_options pz_whisper_params(const struct pz_whisper_dims *d, const struct pz_checkpoint *c,
                                           const char *file)
{
    static const char *const tied[] = {"proj_out.weight", NULL};
    return (struct pz_params_options){
        .checkpoint = c, .file = file, .prefix = c && d->hugging_face ? "model." : NULL, .ignore = tied};
}

/* ---- parts: ask, and compute when there is something to compute on ---- */

static const struct names *names_of(const struct pz_whisper_dims *d)
{
    return &house[d->hugging_face];
}

static int vector(struct pz_params *p, const char *name, const char *leaf, int n)
{
    char full[96];
    snprintf(full, sizeof full, "%s.%s", name, leaf);
    return pz_params_get(p, &(struct pz_param){.name = full, .rank = 1, .shape = {n}});
}

static int op(struct pz_params *p, enum pz_op code, const struct pz_attrs *a, const int *in, int n)
{
    return in[0] == PZ_NONE ? PZ_NONE : pz_graph_op(pz_params_graph(p), code, a, in, n);
}

static int dense(struct pz_params *p, const char *name, int x, int in, int out, bool bias)
{
    char weight[96];
    snprintf(weight, sizeof weight, "%s.weight", name);
    int w = pz_params_get(
        p, &(struct pz_param){.name = weight, .layout = PZ_PARAM_DENSE, .rank = 2, .shape = {out, in}});
    int b = bias ? vector(p, name, "bias", out) : PZ_NONE;
    return op(p, PZ_OP_FULLY_CONNECTED, NULL, (int[]){x, w, b}, bias ? 3 : 2);
}

static int norm(struct pz_params *p, const char *name, int x, int n)
{
    int gamma = vector(p, name, "weight", n), beta = vector(p, name, "bias", n);
    return op(p, PZ_OP_LAYER_NORM, &(struct pz_attrs){.eps = 1e-5f}, (int[]){x, gamma, beta}, 3);
}

static int conv(struct pz_params *p, const char *name, int x, int in, int out, int stride)
{
    char weight[96];
    struct pz_attrs a = {.stride = {1, stride}, .dilation = {1, 1}, .pad = {0, 0, 1, 1}};
    snprintf(weight, sizeof weight, "%s.weight", name);
    int w = pz_params_get(
        p, &(struct pz_param){.name = weight, .layout = PZ_PARAM_CONV, .rank = 3, .shape = {out, in, 3}});
    int b = vector(p, name, "bias", out);
    return op(p, PZ_OP_GELU, NULL, (int[]){op(p, PZ_OP_CONV2D, &a, (int[]){x, w, b}, 3)}, 1);
}

static int add(struct pz_params *p, int a, int b)
{
    return op(p, PZ_OP_ADD, NULL, (int[]){a, b}, 2);
}

static int mlp(struct pz_params *p, const struct names *n, int x, int size)
{
    int y = norm(p, n->mlp_norm, x, size);
    y = dense(p, n->mlp[0], y, size, 4 * size, true);
    y = op(p, PZ_OP_GELU, NULL, &y, 1);
    return add(p, x, dense(p, n->mlp[1], y, 4 * size, size, true));
}

/* ---- encoder ---- */

static float *sinusoids(int rows, int size)
{
    float *t = pz_calloc((size_t)rows * (size_t)size, sizeof *t);
    int half = size / 2;
    for (int p = 0; t && p < rows; p++)
        for (int j = 0; j < half; j++) {
            /* single precision throughout, as the published table was made */
            float inv = (float)exp(-log(10000.0) / (half - 1) * j);
            t[p * size + j] = sinf((float)p * inv);
            t[p * size + half + j] = cosf((float)p * inv);
        }
    return t;
}

static int positions(struct pz_params *p, const struct pz_whisper_dims *d, int x)
{
    float *t = sinusoids(d->audio_ctx, d->audio_state);
    if (!t)
        return PZ_NONE;
    int v = pz_params_table(p, names_of(d)->audio_positions, 2, (int[]){d->audio_ctx, d->audio_state}, t);
    pz_free(t);
    return add(p, x, v);
}

static int audio_block(struct pz_params *p, const struct pz_whisper_dims *d, int x)
{
    const struct names *n = names_of(d);
    int size = d->audio_state, y = norm(p, n->self_norm, x, size);
    pz_params_push(p, "%s", n->self);
    int q = dense(p, n->q, y, size, size, true), k = dense(p, n->k, y, size, size, false);
    int v = dense(p, n->v, y, size, size, true);
    y = q == PZ_NONE ? PZ_NONE : pz_nn_attention(p, q, k, v, d->audio_heads, PZ_NONE);
    y = dense(p, n->out, y, size, size, true);
    pz_params_pop(p);
    return mlp(p, n, add(p, x, y), size);
}

int pz_nn_whisper_encoder(struct pz_params *p, const struct pz_whisper_dims *d, int mel, int *hidden)
{
    int size = d->audio_state;
    pz_params_push(p, "encoder");
    int x = conv(p, "conv1", mel, d->bands, size, 1);
    x = conv(p, "conv2", x, size, size, 2);
    if (x != PZ_NONE)
        x = pz_nn_reshape(p, x, (struct pz_shape){3, {pz_nn_dim(p, x, 0), d->audio_ctx, size}});
    x = positions(p, d, x);
    if (hidden)
        hidden[0] = x;
    for (int i = 0; i < d->audio_layers; i++) {
        pz_params_push(p, "%s.%d", names_of(d)->blocks, i);
        x = audio_block(p, d, x);
        pz_params_pop(p);
        if (hidden)
            hidden[i + 1] = x;
    }
    x = norm(p, names_of(d)->audio_norm, x, size);
    pz_params_pop(p);
    return x;
}

/* ---- decoder ---- */

static int joined(struct pz_params *p, int past, int now)
{
    return past == PZ_NONE || now == PZ_NONE ? now : pz_nn_concat(p, 1, past, now);
}

static int text_block(struct pz_params *p, const struct pz_whisper_dims *d, int x, int mask, int audio,
                      struct pz_whisper_layer *l)
{
    const struct names *n = names_of(d);
    int size = d->text_state, y = norm(p, n->self_norm, x, size);
    pz_params_push(p, "%s", n->self);
    int q = dense(p, n->q, y, size, size, true);
    l->k_new = dense(p, n->k, y, size, size, false);
    l->v_new = dense(p, n->v, y, size, size, true);
    int k = joined(p, l->k_past, l->k_new), v = joined(p, l->v_past, l->v_new);
    y = q == PZ_NONE ? PZ_NONE : pz_nn_attention(p, q, k, v, d->text_heads, mask);
    y = dense(p, n->out, y, size, size, true);
    pz_params_pop(p);
    x = add(p, x, y);

    y = norm(p, n->cross_norm, x, size);
    pz_params_push(p, "%s", n->cross);
    l->q_audio = dense(p, n->q, y, size, size, true);
    k = dense(p, n->k, audio, size, size, false);
    v = dense(p, n->v, audio, size, size, true);
    if (audio != PZ_NONE) {
        l->k_audio = k;
        l->v_audio = v;
    }
    y = l->q_audio == PZ_NONE
            ? PZ_NONE
            : pz_nn_attention(p, l->q_audio, l->k_audio, l->v_audio, d->text_heads, PZ_NONE);
    y = dense(p, n->out, y, size, size, true);
    pz_params_pop(p);
    return mlp(p, n, add(p, x, y), size);
}

int pz_nn_whisper_decoder(struct pz_params *p, const struct pz_whisper_dims *d, int tokens, int positions_in,
                          int mask, int audio, struct pz_whisper_layer *layers)
{
    const struct names *n = names_of(d);
    int size = d->text_state;
    pz_params_push(p, "decoder");
    int table = pz_params_get(
        p, &(struct pz_param){
               .name = n->embedding, .layout = PZ_PARAM_DENSE, .rank = 2, .shape = {d->vocab, size}});
    int places = pz_params_get(
        p, &(struct pz_param){.name = n->text_positions, .rank = 2, .shape = {d->text_ctx, size}});
    int x = op(p, PZ_OP_EMBEDDING, NULL, (int[]){tokens, table}, 2);
    x = add(p, x, op(p, PZ_OP_EMBEDDING, NULL, (int[]){positions_in, places}, 2));
    for (int i = 0; i < d->text_layers; i++) {
        pz_params_push(p, "%s.%d", n->blocks, i);
        x = text_block(p, d, x, mask, audio, &layers[i]);
        pz_params_pop(p);
    }
    x = norm(p, n->text_norm, x, size);
    pz_params_pop(p);
    return op(p, PZ_OP_FULLY_CONNECTED, NULL, (int[]){x, table}, 2);
}
