/* What Whisper may say next, searches on the scaled-down model (checked by saying the result again), and
 * whole sounds heard with it. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "speech/speech.h"
#include "speech/whisper.h"
#include "speech/whisper_decode.h"
#include "small_words.h"

#define LANGUAGES 99
#define VOCAB (N_RANKS + 1 + FIXED + LANGUAGES)

/* ---- rules ---- */

static struct pz_whisper_special special;
static float logits[VOCAB];

static struct pz_whisper_rules rules(bool timestamps)
{
    static const int never[2] = {'#', '@'};
    return (struct pz_whisper_rules){&special, VOCAB, never, 2, ' ', timestamps};
}

/* Text tokens at 0 with one at `best`, timestamps at `stamp`. */
static void set(int best, float stamp)
{
    for (int i = 0; i < VOCAB; i++)
        logits[i] = i >= special.first_timestamp ? stamp : 0;
    logits[best] = 5;
}

static bool open_at(int from, int to)
{
    for (int i = from; i < to; i++)
        if (!(logits[i] > -INFINITY))
            return false;
    return true;
}

static bool shut(int from, int to)
{
    for (int i = from; i < to; i++)
        if (logits[i] > -INFINITY)
            return false;
    return true;
}

static void rules_of_time(void **state)
{
    struct pz_whisper_vocab *v = open_small(true, LANGUAGES);
    special = *pz_whisper_vocab_special(v);
    const int z = special.first_timestamp, eot = special.end_of_text;
    struct pz_whisper_rules r = rules(true), plain = rules(false);

    set('a', -20); /* without timestamps: blank and end not first, the suppressed never */
    pz_whisper_filter(&plain, NULL, 0, logits);
    assert_true(shut(' ', ' ' + 1) && shut(eot, eot + 1) && shut('#', '#' + 1) && open_at('a', 'z') &&
                open_at(z, VOCAB));
    set('a', -20);
    pz_whisper_filter(&plain, &(int){'a'}, 1, logits);
    assert_true(open_at(' ', ' ' + 1) && open_at(eot, eot + 1) && shut('@', '@' + 1));

    set('a', -20); /* first: a timestamp of at most one second, whatever is likelier */
    pz_whisper_filter(&r, NULL, 0, logits);
    assert_true(shut(0, z) && open_at(z, z + 51) && shut(z + 51, VOCAB));

    set('a', -20); /* after the first: text */
    pz_whisper_filter(&r, &(int){z + 10}, 1, logits);
    assert_true(shut(z, VOCAB) && open_at('a', 'z') &&
                shut(special.no_timestamps, special.no_timestamps + 1));

    set('a', -20); /* text goes on; times not before the last, nor the same */
    pz_whisper_filter(&r, (int[]){z + 10, 'a'}, 2, logits);
    assert_true(shut(z, z + 11) && open_at(z + 11, VOCAB) && open_at('a', 'z'));

    set('a', 0); /* together the timestamps are likelier than any word */
    pz_whisper_filter(&r, (int[]){z + 10, 'a'}, 2, logits);
    assert_true(shut(0, z) && open_at(z + 11, VOCAB));

    set('a', -20); /* one timestamp after text: its pair or the end */
    pz_whisper_filter(&r, (int[]){z + 10, 'a', z + 40}, 3, logits);
    assert_true(shut(0, eot) && open_at(eot, eot + 1) && shut(z, z + 40) && open_at(z + 40, VOCAB));

    set('a', -20); /* a pair: text again */
    pz_whisper_filter(&r, (int[]){z + 10, 'a', z + 40, z + 40}, 4, logits);
    assert_true(shut(z, VOCAB) && open_at('a', 'z'));
    pz_whisper_vocab_close(&v);
}

static void measures(void **state)
{
    assert_true(fabs(pz_whisper_compression("hello hello hello hello hello hello ") - 2.0588235) < 1e-6);
    assert_true(fabs(pz_whisper_compression(" The quick brown fox jumps over the lazy dog.\n") - 0.8627451) <
                1e-6);
    float x[3] = {1, 2, -INFINITY};
    assert_true(fabs(pz_whisper_log_sum(x, 3) - log(exp(1) + exp(2))) < 1e-7);
    assert_true(pz_whisper_log_sum((float[]){-INFINITY, -INFINITY}, 2) == -INFINITY);
}

/* ---- searches ---- */

static const struct pz_whisper_dims small = {80, VOCAB, 50, 32, 2, 2, 64, 32, 2, 2, false};

struct bench {
    struct pz_whisper *w;
    struct pz_whisper_vocab *v;
    struct pz_whisper_decoder *d;
    struct pz_job job;
};

static void start(struct bench *b, int beams)
{
    static float mel[100 * 80];
    *b = (struct bench){.v = open_small(true, LANGUAGES)};
    struct pz_whisper_options o = {.dims = small,
                                   .plan = pz_plan_default,
                                   .width = beams,
                                   .rows = pz_whisper_decoder_rows(&small, beams)};
    special = *pz_whisper_vocab_special(b->v);
    assert_int_equal(pz_whisper_open(&o, &b->job, &b->w), PZ_OK);
    pz_rule_input(5000, -1.0f, 1.4f, 8000, mel);
    assert_int_equal(pz_whisper_encode(b->w, mel), PZ_OK);
    assert_int_equal(pz_whisper_decoder_create(b->w, b->v, beams, &b->job, &b->d), PZ_OK);
}

static void stop(struct bench *b)
{
    pz_whisper_decoder_destroy(&b->d);
    pz_whisper_close(&b->w);
    pz_whisper_vocab_close(&b->v);
}

/* Say the result again in one go: log-probability of each token under the rules; `greedy` asks that each was
 * the best. Returns their sum with the end of text. */
static double again(struct bench *b, const struct pz_whisper_said *s, const struct pz_whisper_try *t,
                    bool greedy)
{
    int silent[256], n_silent = pz_whisper_vocab_silent(b->v, silent, 240), tokens[160], rows[160], n = 0;
    const int more[] = {special.transcribe,    special.translate,   special.start,
                        special.start_of_prev, special.start_of_lm, special.no_speech};
    struct pz_whisper_item items[160];
    for (int i = 0; i < 6; i++)
        silent[n_silent++] = more[i];
    struct pz_whisper_rules r = {&special, VOCAB, silent, n_silent, ' ', true};
    if (t->n_prompt) {
        int keep = t->n_prompt < 31 ? t->n_prompt : 31;
        tokens[n++] = special.start_of_prev;
        for (int i = t->n_prompt - keep; i < t->n_prompt; i++)
            tokens[n++] = t->prompt[i];
    }
    n += pz_whisper_start_tokens(b->v, t->language, t->translate, false, tokens + n);
    int begin = n;
    memcpy(tokens + n, s->tokens, (size_t)s->n * sizeof *tokens);
    n += s->n;
    assert_true(n <= small.text_ctx + 1);
    int fed = n < small.text_ctx ? n : small.text_ctx;
    float *all = calloc((size_t)fed * VOCAB, sizeof *all);
    for (int i = 0; i < fed; i++) {
        rows[i] = i;
        items[i] = (struct pz_whisper_item){tokens[i], rows, i, i, all + (size_t)i * VOCAB, NULL};
    }
    assert_int_equal(pz_whisper_step(b->w, items, fed), PZ_OK);
    double sum = 0;
    for (int i = begin; i <= n && i <= fed; i++) {
        float *x = all + (size_t)(i - 1) * VOCAB;
        int token = i < n ? tokens[i] : special.end_of_text;
        if (i == n && s->n == small.text_ctx / 2)
            break; /* cut off, not ended */
        pz_whisper_filter(&r, tokens + begin, i - begin, x);
        assert_true(x[token] > -INFINITY);
        for (int k = 0; k < VOCAB && greedy; k++)
            assert_true(x[k] <= x[token] + 1e-4f);
        sum += (double)x[token] - pz_whisper_log_sum(x, VOCAB);
    }
    free(all);
    return sum;
}

static void searches(void **state)
{
    int prompt[40];
    for (int i = 0; i < 40; i++)
        prompt[i] = 'a' + i % 26;
    for (int beams = 1; beams <= 5; beams += 4) {
        struct bench b;
        start(&b, beams);
        for (int k = 0; k < 3; k++) {
            struct pz_whisper_try t = {.language = 3 * k,
                                       .beams = beams,
                                       .length_penalty = -1,
                                       .prompt = prompt,
                                       .n_prompt = 20 * k};
            struct pz_whisper_said s, twin;
            assert_int_equal(pz_whisper_decode(b.d, &t, &s), PZ_OK);
            assert_true(s.n > 3 && s.tokens[0] >= special.first_timestamp);
            assert_true(s.no_speech > 0 && s.no_speech < 0.01);
            assert_non_null(s.text);
            assert_true(fabs(again(&b, &s, &t, beams == 1) - s.average * (s.n + 1)) < 1e-3);
            t.temperature = 0.8f; /* the same seed says the same, another one something else */
            t.best_of = beams;
            t.seed = 7;
            struct pz_whisper_said one, two;
            assert_int_equal(pz_whisper_decode(b.d, &t, &one), PZ_OK);
            assert_true(fabs(again(&b, &one, &t, false) - one.average * (one.n + 1)) < 1e-3);
            assert_int_equal(pz_whisper_decode(b.d, &t, &twin), PZ_OK);
            t.seed = 8;
            assert_int_equal(pz_whisper_decode(b.d, &t, &two), PZ_OK);
            assert_int_equal(one.n, twin.n);
            assert_memory_equal(one.tokens, twin.tokens, (size_t)one.n * sizeof *one.tokens);
            assert_true(one.n != two.n || memcmp(one.tokens, two.tokens, (size_t)one.n * sizeof *one.tokens));
            pz_whisper_said_free(&s);
            pz_whisper_said_free(&one);
            pz_whisper_said_free(&twin);
            pz_whisper_said_free(&two);
        }
        int language;
        float p;
        assert_int_equal(pz_whisper_detect_language(b.d, &language, &p), PZ_OK);
        assert_true(language >= 0 && language < LANGUAGES && p > 1.0f / LANGUAGES && p <= 1);
        struct pz_whisper_said s; /* made weights are unsure of everything: the ladder ends at 1.0 */
        struct pz_whisper_try t = {.beams = beams, .best_of = beams, .length_penalty = -1};
        assert_int_equal(pz_whisper_decode_surely(b.d, &t, &s), PZ_OK);
        assert_true(s.temperature > 0.99f && s.average < -1);
        pz_whisper_said_free(&s);
        stop(&b);
    }
}

/* ---- whole sounds ---- */

static bool stop_at_once(void *user)
{
    return true;
}

static void whole_sounds(void **state)
{
    enum { N = 16000 * 7 / 2 }; /* three windows and a half of this small model */
    float *x = malloc(sizeof(float) * N);
    struct pz_tap_memory memory;
    struct pz_job job = {0};
    struct pz_whisper_options o = {.dims = small, .plan = pz_plan_default};
    struct pz_whisper_vocab *v = open_small(true, LANGUAGES);
    struct pz_whisper_ears *e;
    struct pz_whisper_heard h, twin;
    struct pz_words words = {0};
    pz_rule_input(900, -0.3f, 0.3f, N, x);
    struct pz_tap tap = pz_tap_from_memory(&memory, x, N, 16000, 1);
    assert_int_equal(pz_whisper_ears_make(&o, NULL, 2, &v, &job, &e), PZ_OK);
    struct pz_whisper_listen_params p = {.cold = true};
    assert_int_equal(pz_whisper_listen(e, &tap, &p, &job, &h), PZ_OK);
    assert_int_equal(pz_whisper_listen(e, &tap, &p, &job, &twin), PZ_OK);
    assert_true(h.words.n > 3 && h.words.n == twin.words.n);
    for (int i = 0; i < h.words.n; i++) {
        const struct pz_whisper_word *w = &h.words.items[i];
        assert_string_equal(w->text, twin.words.items[i].text);
        assert_true(w->start >= 0 && w->start <= w->end && w->end <= 3.5 + 0.02);
        assert_true(i == 0 || w->start >= h.words.items[i - 1].start - 1e-9);
        assert_true(w->probability >= 0 && w->probability <= 1);
    }
    pz_whisper_heard_free(&twin);
    pz_whisper_heard_free(&h);
    p.language = "xx";
    assert_int_equal(pz_whisper_listen(e, &tap, &p, &job, &h), PZ_ERR_USAGE);
    p.language = "de";
    assert_int_equal(pz_whisper_listen(e, &tap, &p, &job, &h), PZ_OK);
    assert_string_equal(pz_whisper_languages[h.language], "de");
    pz_whisper_heard_free(&h);
    job.cancelled = stop_at_once;
    assert_int_equal(pz_whisper_listen(e, &tap, &p, &job, &h), PZ_ERR_CANCELLED);
    assert_null(h.words.items);
    pz_whisper_ears_close(&e);

    struct pz_whisper_words said = {0}; /* plain words */
    static const char *const texts[] = {" \"Příliš,", " Don't", " ...", " 42%", "¿Qué?"};
    static const char *const want[] = {"příliš", "don't", "42", "qué"};
    for (int i = 0; i < 5; i++) {
        struct pz_whisper_word w = {.start = i, .end = i + 0.5, .probability = 0.25f};
        snprintf(w.text, sizeof w.text, "%s", texts[i]);
        assert_int_equal(pz_whisper_words_add(&said, &w), PZ_OK);
    }
    assert_int_equal(pz_whisper_plain_words(&said, &words), PZ_OK);
    assert_int_equal(words.n, 4);
    for (int i = 0; i < 4; i++)
        assert_string_equal(words.items[i].text, want[i]);
    assert_true(words.items[2].start == 48000 && words.items[2].end == 56000 &&
                words.items[2].confidence == 0.25f);
    pz_whisper_words_free(&said);
    pz_words_free(&words);
    free(x);
}

/* In the place of PocketSphinx: the words of an analysis are Whisper's, with its times where they cannot be
 * aligned, and everything else of the analysis is there. */
static void ears_of_an_analysis(void **state)
{
    enum { N = 16000 * 4 };
    float *x = malloc(sizeof(float) * N);
    struct pz_tap_memory memory;
    struct pz_job job = {0};
    struct pz_whisper_options o = {.dims = small, .plan = pz_plan_default};
    struct pz_whisper_vocab *v = open_small(true, LANGUAGES);
    struct pz_whisper_ears *e;
    struct pz_ears *ears;
    struct pz_analysis a;
    struct pz_analyse_params p = {0};
    pz_rule_input(901, -0.3f, 0.3f, N, x);
    struct pz_tap tap = pz_tap_from_memory(&memory, x, N, 16000, 1);
    if (pz_ears_open(NULL, &job, &ears) < PZ_OK)
        skip(); /* no models of PocketSphinx here */
    assert_int_equal(pz_whisper_ears_make(&o, NULL, 1, &v, &job, &e), PZ_OK);
    pz_ears_use_whisper(ears, e);
    assert_null(pz_whisper_language(e));
    assert_int_equal(pz_speech_analyse(ears, &tap, &p, &job, &a), PZ_OK);
    assert_non_null(pz_whisper_language(e));
    assert_string_not_equal(pz_whisper_language(e), "en"); /* made weights do not speak English */
    assert_true(a.words.n > 0 && a.n_samples == N && !a.aligned);
    for (int i = 0; i < a.words.n; i++) {
        const struct pz_word *w = &a.words.items[i];
        assert_true(w->text[0] && w->start >= 0 && w->start <= w->end && w->end <= N);
        assert_true(i == 0 || w->start >= a.words.items[i - 1].start);
    }
    assert_true(a.phones.n > 0 && a.phones.items[0].start == 0 && a.phones.items[a.phones.n - 1].end == N);
    int n = a.words.n;
    pz_analysis_free(&a);
    pz_whisper_forget(e);
    assert_null(pz_whisper_language(e));
    pz_ears_use_whisper(ears, NULL);
    assert_int_equal(pz_speech_analyse(ears, &tap, &p, &job, &a), PZ_OK);
    assert_int_not_equal(a.words.n, n); /* PocketSphinx hears this noise otherwise */
    pz_analysis_free(&a);
    pz_ears_close(&ears);
    pz_whisper_ears_close(&e);
    free(x);
}

static void missing_files(void **state)
{
    struct pz_log *log = pz_log_create(NULL, NULL, PZ_LOG_ERROR);
    struct pz_job job = {.log = log};
    struct pz_whisper_ears *e;
    char line[1024];
    static const struct {
        const char *model;
        enum pz_status st;
        const char *says;
    } cases[] = {{"tiny", PZ_ERR_WEIGHTS, "models download whisper:tiny"},
                 {"turbo", PZ_ERR_WEIGHTS, "whisper:large-v3-turbo"},
                 {"giant", PZ_ERR_USAGE, "large-v3"},
                 {"/nonexistent/x.pt", PZ_ERR_WEIGHTS, "missing"},
                 {"/proc", PZ_ERR_WEIGHTS, "model.safetensors"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(pz_whisper_ears_open(cases[i].model, "/nonexistent", 1, NULL, &job, &e),
                         cases[i].st);
        assert_null(e);
        pz_log_last_error(log, line, sizeof line);
        if (!strstr(line, cases[i].says))
            fail_msg("'%s' does not say '%s'", line, cases[i].says);
    }
    pz_log_destroy(&log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rules_of_time),
                                       cmocka_unit_test(measures),
                                       cmocka_unit_test(searches),
                                       cmocka_unit_test(whole_sounds),
                                       cmocka_unit_test(ears_of_an_analysis),
                                       cmocka_unit_test(missing_files)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
