/* Whisper on the scaled-down model of spec/whisper.md §10: encoder stages, logits, published sizes, both
 * naming schemes, and files that are not Whisper. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "nn/whisper_run.h"
#include "tensor/plan.h"
#include "weights/safetensors.h"

static const struct pz_whisper_dims small = {.bands = 80,
                                             .vocab = 512,
                                             .audio_ctx = 50,
                                             .audio_state = 32,
                                             .audio_heads = 2,
                                             .audio_layers = 2,
                                             .text_ctx = 32,
                                             .text_state = 32,
                                             .text_heads = 2,
                                             .text_layers = 2};

struct figures {
    const char *name;
    size_t n;
    double mean, std;
    struct {
        size_t at;
        float value;
    } samples[4];
};

static void compare(const struct pz_session *s, const struct figures *f)
{
    struct pz_view v = pz_session_output(s, f->name, 0);
    const float *x = v.data;
    size_t n = pz_shape_count(&v.shape);
    double sum = 0, square = 0;
    assert_int_equal(n, f->n);
    for (size_t i = 0; i < n; i++) {
        sum += x[i];
        square += (double)x[i] * x[i];
    }
    double mean = sum / (double)n, std = sqrt(square / (double)n - mean * mean);
    if (fabs(mean - f->mean) > 2e-6 || fabs(std - f->std) > 2e-6)
        fail_msg("%s: mean %.7f std %.7f, want %.7f %.7f", f->name, mean, std, f->mean, f->std);
    for (int i = 0; i < 4 && f->samples[i].value != 0; i++)
        if (fabsf(x[f->samples[i].at] - f->samples[i].value) > 2e-5f)
            fail_msg("%s[%zu] = %.7f, want %.7f", f->name, f->samples[i].at, x[f->samples[i].at],
                     f->samples[i].value);
}

static struct pz_session *start(struct pz_graph *g, enum pz_backend backend, struct pz_plan **plan)
{
    struct pz_plan_params params = pz_plan_default;
    struct pz_session *s;
    params.backend = backend;
    assert_int_equal(pz_plan_create(&g, &params, NULL, plan), PZ_OK);
    assert_int_equal(pz_session_create(*plan, NULL, &s), PZ_OK);
    return s;
}

/* Both halves in one graph, everything to be looked at an output. */
static struct pz_graph *whole(const struct pz_whisper_dims *d, int n_tokens,
                              const struct pz_params_options *o, struct pz_params **p)
{
    static const char *const names[] = {"h0", "h1", "h2", "h3", "h4"};
    struct pz_graph *g = pz_graph_create(NULL);
    struct pz_whisper_layer l[PZ_WHISPER_MAX_LAYERS];
    int hidden[PZ_WHISPER_MAX_LAYERS + 1];
    *p = pz_params_create(g, o, NULL);
    for (int i = 0; i < d->text_layers; i++)
        l[i] = (struct pz_whisper_layer){PZ_NONE, PZ_NONE, PZ_NONE, PZ_NONE, 0, 0, 0};
    int mel = pz_graph_input(g, "mel", (struct pz_shape){4, {1, 1, 2 * d->audio_ctx, d->bands}});
    int audio = pz_nn_whisper_encoder(*p, d, mel, hidden);
    for (int i = 0; i <= d->audio_layers && i < 5; i++)
        pz_graph_output(g, names[i], hidden[i]);
    pz_graph_output(g, "audio", audio);
    int tokens = pz_graph_input_typed(g, "tokens", PZ_DTYPE_I32, (struct pz_shape){2, {1, n_tokens}});
    int at = pz_graph_input_typed(g, "positions", PZ_DTYPE_I32, (struct pz_shape){2, {1, n_tokens}});
    int mask = pz_graph_input(g, "mask", (struct pz_shape){4, {1, 1, n_tokens, n_tokens}});
    pz_graph_output(g, "logits", pz_nn_whisper_decoder(*p, d, tokens, at, mask, audio, l));
    return g;
}

static void fill(struct pz_session *s, const struct pz_whisper_dims *d, int n)
{
    static const int said[6] = {1, 5, 9, 200, 3, 511};
    float *mel = pz_session_input(s, "mel", 0).data;
    float *rule = malloc(sizeof(float) * (size_t)(d->bands * 2 * d->audio_ctx));
    int *tokens = pz_session_input(s, "tokens", 0).data, *at = pz_session_input(s, "positions", 0).data;
    float *mask = pz_session_input(s, "mask", 0).data;
    pz_rule_input(5000, -1.0f, 1.4f, (size_t)(d->bands * 2 * d->audio_ctx), rule);
    for (int t = 0; t < 2 * d->audio_ctx; t++)
        for (int b = 0; b < d->bands; b++)
            mel[t * d->bands + b] = rule[b * 2 * d->audio_ctx + t];
    for (int i = 0; i < n; i++) {
        tokens[i] = said[i];
        at[i] = i;
        for (int k = 0; k < n; k++)
            mask[i * n + k] = k > i ? -1e4f : 0;
    }
    free(rule);
}

static void check_small(struct pz_session *s)
{
    static const struct figures want[] = {
        {"h0", 1600, .4588602, .6185243, {{0, -.07241563f}, {228, 1.585678f}, {1599, 1.375789f}}},
        {"h1", 1600, .5097126, 1.275095, {{0, -.06922387f}, {1, 1.284645f}, {1599, .4295778f}}},
        {"h2", 1600, .7623875, 1.696019, {{0, .9517406f}, {1599, -.7663982f}}},
        {"audio",
         1600,
         .01959125,
         .9976836,
         {{0, .08970033f}, {1, 1.601081f}, {2, -.7286994f}, {800, .3905579f}}},
        {"logits",
         3072,
         .04645715,
         1.011977,
         {{0, -1.169832f}, {1, .5154341f}, {1024, 1.201915f}, {3071, 1.563700f}}},
    };
    static const int best[6] = {68, 296, 253, 455, 223, 68};
    for (size_t i = 0; i < sizeof want / sizeof *want; i++)
        compare(s, &want[i]);
    const float *logits = pz_session_output(s, "logits", 0).data;
    for (int t = 0; t < 6; t++) {
        int top = 0;
        for (int v = 1; v < 512; v++)
            if (logits[t * 512 + v] > logits[t * 512 + top])
                top = v;
        assert_int_equal(top, best[t]);
    }
}

static void golden(void **state)
{
    for (int backend = PZ_BACKEND_REF; backend <= PZ_BACKEND_CPU; backend++) {
        struct pz_params *p;
        struct pz_plan *plan;
        struct pz_params_options o = pz_whisper_params(&small, NULL, NULL);
        struct pz_graph *g = whole(&small, 6, &o, &p);
        assert_int_equal(pz_params_finish(p), PZ_OK);
        assert_int_equal(pz_params_count(p), 89);
        assert_int_equal(pz_params_elements(p), 87552);
        pz_params_destroy(&p);
        struct pz_session *s = start(g, (enum pz_backend)backend, &plan);
        fill(s, &small, 6);
        assert_int_equal(pz_session_run(s, NULL), PZ_OK);
        check_small(s);
        pz_session_destroy(&s);
        pz_plan_destroy(&plan);
    }
}

static void published_sizes(void **state)
{
    static const struct {
        int bands, vocab, state, heads, audio, text, tensors;
        int64_t elements;
    } rows[] = {
        {80, 51865, 384, 6, 4, 4, 167, 37184640},         {80, 51864, 384, 6, 4, 4, 167, 37184256},
        {80, 51865, 512, 8, 6, 6, 245, 71825920},         {80, 51865, 768, 12, 12, 12, 479, 240582912},
        {80, 51865, 1024, 16, 24, 24, 947, 762321920},    {80, 51865, 1280, 20, 32, 32, 1259, 1541384960},
        {128, 51866, 1280, 20, 32, 32, 1259, 1541570560}, {128, 51866, 1280, 20, 32, 4, 587, 806958080}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct pz_whisper_dims d = {rows[i].bands, rows[i].vocab, 1500, rows[i].state,
                                    rows[i].heads, rows[i].audio, 448,  rows[i].state,
                                    rows[i].heads, rows[i].text,  false};
        struct pz_params *p;
        struct pz_graph *g = whole(&d, 3, NULL, &p);
        assert_int_equal(pz_params_finish(p), PZ_OK);
        assert_int_equal(pz_params_count(p), rows[i].tensors);
        assert_int_equal(pz_params_elements(p), rows[i].elements);
        pz_params_destroy(&p);
        pz_graph_destroy(&g);
    }
}

/* ---- files ---- */

/* OpenAI's name as Hugging Face writes it. */
static void other_house(const char *name, char out[160])
{
    static const char *const pairs[][2] = {{"cross_attn_ln", "encoder_attn_layer_norm"},
                                           {"attn_ln", "self_attn_layer_norm"},
                                           {"cross_attn.", "encoder_attn."},
                                           {".attn.", ".self_attn."},
                                           {"query", "q_proj"},
                                           {".key.", ".k_proj."},
                                           {".value.", ".v_proj."},
                                           {"attn.out.", "attn.out_proj."},
                                           {"mlp.0", "fc1"},
                                           {"mlp.2", "fc2"},
                                           {"mlp_ln", "final_layer_norm"},
                                           {"ln_post", "layer_norm"},
                                           {"decoder.ln.", "decoder.layer_norm."},
                                           {"token_embedding", "embed_tokens"},
                                           {"positional_embedding", "embed_positions.weight"},
                                           {".blocks.", ".layers."}};
    snprintf(out, 160, "model.%s", name);
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        char *at = strstr(out, pairs[i][0]), rest[160];
        if (!at || (strcmp(pairs[i][0], "attn_ln") == 0 && strstr(out, "encoder_attn_layer")))
            continue;
        snprintf(rest, sizeof rest, "%s", at + strlen(pairs[i][0]));
        snprintf(at, 160 - (size_t)(at - out), "%s%s", pairs[i][1], rest);
    }
}

static char *write_file(bool hf, bool bent)
{
    struct pz_params *p;
    struct pz_graph *g = whole(&small, 6, NULL, &p);
    struct pz_stored_tensor t[100];
    static char names[100][160];
    char *path = malloc(96);
    assert_int_equal(pz_params_finish(p), PZ_OK);
    int n = pz_params_count(p);
    memset(t, 0, sizeof t);
    for (int i = 0; i < n; i++) {
        struct pz_param_info e = pz_params_at(p, i);
        size_t all = 1;
        t[i].rank = e.rank;
        for (int k = 0; k < e.rank; k++)
            all *= (size_t)(t[i].shape[k] = e.shape[k]);
        float *values = malloc(all * sizeof *values);
        pz_params_rule(p, i, 0, all, values);
        if (hf)
            other_house(e.name, names[i]);
        else
            snprintf(names[i], sizeof names[i], "%s%s", e.name, bent && i == 40 ? "x" : "");
        t[i].name = names[i];
        t[i].dtype = PZ_DTYPE_F32;
        t[i].data = values;
    }
    if (hf) {
        t[n] = t[0];
        for (int i = 0; i < n; i++)
            if (strstr(t[i].name, "embed_tokens"))
                t[n] = t[i];
        t[n].name = "proj_out.weight";
    }
    sprintf(path, "/tmp/pz-test-whisper-%d-%d.safetensors", (int)getpid(), hf);
    assert_int_equal(pz_safetensors_write(NULL, path, t, n + hf, NULL, 0), PZ_OK);
    for (int i = 0; i < n; i++)
        free((void *)(uintptr_t)t[i].data);
    pz_params_destroy(&p);
    pz_graph_destroy(&g);
    return path;
}

static void both_houses(void **state)
{
    for (int hf = 0; hf < 2; hf++) {
        char *path = write_file(hf, false);
        struct pz_checkpoint *c;
        struct pz_whisper_dims d;
        struct pz_params *p;
        struct pz_plan *plan;
        assert_int_equal(pz_checkpoint_open(path, NULL, &c), PZ_OK);
        assert_int_equal(pz_whisper_dims_read(c, path, NULL, &d), PZ_ERR_WEIGHTS); /* heads of 64: none */
        d = small;
        d.hugging_face = hf;
        struct pz_params_options o = pz_whisper_params(&d, c, path);
        struct pz_graph *g = whole(&d, 6, &o, &p);
        assert_int_equal(pz_params_finish(p), PZ_OK);
        pz_params_destroy(&p);
        struct pz_session *s = start(g, PZ_BACKEND_CPU, &plan);
        pz_checkpoint_close(&c);
        fill(s, &d, 6);
        assert_int_equal(pz_session_run(s, NULL), PZ_OK);
        check_small(s);
        pz_session_destroy(&s);
        pz_plan_destroy(&plan);
        unlink(path);
        free(path);
    }
}

static void wrong_files(void **state)
{
    struct pz_log *log = pz_log_create(NULL, NULL, PZ_LOG_ERROR);
    char *path = write_file(false, true), line[1024];
    struct pz_checkpoint *c;
    struct pz_params *p;
    struct pz_whisper_dims d;
    assert_int_equal(pz_checkpoint_open(path, NULL, &c), PZ_OK);
    struct pz_params_options o = pz_whisper_params(&small, c, path);
    struct pz_graph *g = pz_graph_create(NULL);
    struct pz_whisper_layer l[2];
    p = pz_params_create(g, &o, log);
    pz_nn_whisper_encoder(p, &small, PZ_NONE, NULL);
    pz_nn_whisper_decoder(p, &small, PZ_NONE, PZ_NONE, PZ_NONE, PZ_NONE, l);
    assert_int_equal(pz_params_finish(p), PZ_ERR_WEIGHTS);
    pz_log_last_error(log, line, sizeof line);
    assert_non_null(strstr(line, "is missing"));
    pz_params_destroy(&p);
    pz_graph_destroy(&g);
    pz_checkpoint_close(&c);
    unlink(path);
    static const float zero[4];
    struct pz_stored_tensor other = {
        .name = "something.weight", .dtype = PZ_DTYPE_F32, .rank = 1, .shape = {4}, .data = zero};
    assert_int_equal(pz_safetensors_write(NULL, path, &other, 1, NULL, 0), PZ_OK);
    assert_int_equal(pz_checkpoint_open(path, NULL, &c), PZ_OK);
    assert_int_equal(pz_whisper_dims_read(c, path, log, &d), PZ_ERR_WEIGHTS);
    pz_log_last_error(log, line, sizeof line);
    assert_non_null(strstr(line, "not a Whisper"));
    pz_checkpoint_close(&c);
    unlink(path);
    free(path);
    pz_log_destroy(&log);
}

/* ---- running: rows kept outside give what the whole pass gives ---- */

static void steps_are_the_whole(void **state)
{
    static const int said[6] = {1, 5, 9, 200, 3, 511}, scattered[6] = {7, 2, 30, 11, 0, 19};
    enum { V = 512, MEL = 80 * 100 };
    float *mel = malloc(sizeof(float) * MEL), *rule = malloc(sizeof(float) * MEL);
    float *want = malloc(sizeof(float) * 6 * V), *have = malloc(sizeof(float) * 6 * V);
    struct pz_job job = {0};
    pz_rule_input(5000, -1.0f, 1.4f, MEL, rule);
    for (int t = 0; t < 100; t++)
        for (int b = 0; b < 80; b++)
            mel[t * 80 + b] = rule[b * 100 + t];
    for (int width = 1; width <= 4; width += 3) {
        struct pz_whisper_options o = {
            .dims = small, .plan = pz_plan_default, .width = width, .rows = width == 4 ? 80 : 0};
        struct pz_whisper *w;
        struct pz_whisper_item items[6];
        float queries[6][2 * 32];
        assert_int_equal(pz_whisper_open(&o, &job, &w), PZ_OK);
        assert_int_equal(pz_whisper_rows(w), width == 4 ? 80 : 32);
        assert_int_equal(pz_whisper_encode(w, mel), PZ_OK);
        assert_true(fabsf(pz_whisper_audio(w)[800] - .3905579f) < 2e-5f);
        for (int i = 0; i < 6; i++)
            items[i] = (struct pz_whisper_item){said[i],   scattered, i, scattered[i], want + (size_t)i * V,
                                                queries[i]};
        assert_int_equal(pz_whisper_step(w, items, 6), PZ_OK); /* all at once: the wide plan */
        assert_true(fabsf(want[0] + 1.169832f) < 2e-5f && fabsf(want[1024] - 1.201915f) < 2e-5f &&
                    fabsf(want[3071] - 1.563700f) < 2e-5f);
        assert_true(fabsf(queries[5][40]) > 1e-4f);
        for (int i = 0; i < 6; i++) { /* one by one */
            items[i].logits = have + (size_t)i * V;
            assert_int_equal(pz_whisper_step(w, &items[i], 1), PZ_OK);
        }
        for (int i = 0; i < 6 * V; i++)
            assert_true(fabsf(have[i] - want[i]) < 2e-5f);
        /* two ways on from the third token share its rows and do not disturb each other */
        int other[6] = {7, 2, 30, 25, 26, 27};
        struct pz_whisper_item fork[2] = {{100, other, 3, 25, NULL, NULL},
                                          {200, scattered, 3, 11, have, NULL}};
        assert_int_equal(pz_whisper_step(w, fork, 2), PZ_OK);
        for (int i = 0; i < V; i++)
            assert_true(fabsf(have[i] - want[3 * V + i]) < 2e-5f);
        struct pz_whisper_item on = {3, scattered, 4, 0, have, NULL}, off = {3, other, 4, 26, have + V, NULL};
        assert_int_equal(pz_whisper_step(w, &on, 1), PZ_OK);
        assert_int_equal(pz_whisper_step(w, &off, 1), PZ_OK);
        double apart = 0;
        for (int i = 0; i < V; i++) {
            assert_true(fabsf(have[i] - want[4 * V + i]) < 2e-5f);
            apart = fmax(apart, fabsf(have[V + i] - have[i]));
        }
        assert_true(apart > 1e-2);
        struct pz_whisper_item bad[3] = {{512, NULL, 0, 0, NULL, NULL},
                                         {1, scattered, 32, 0, NULL, NULL},
                                         {1, (const int[]){80}, 1, 0, NULL, NULL}};
        for (int i = 0; i < 3; i++)
            assert_int_equal(pz_whisper_step(w, &bad[i], 1), PZ_ERR_INTERNAL);
        pz_whisper_close(&w);
    }
    free(mel);
    free(rule);
    free(want);
    free(have);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(golden), cmocka_unit_test(published_sizes),
                                       cmocka_unit_test(both_houses), cmocka_unit_test(wrong_files),
                                       cmocka_unit_test(steps_are_the_whole)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
