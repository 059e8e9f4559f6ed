/* Times of words: the fact sheet's figures on the scaled-down model and on made matrices, and the clean-up by
 * hand-made cases. */
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

#include "speech/whisper_times.h"

static void median_and_path(void **state)
{
    static const float want[12] = {.5103f, .5103f, .5103f, .5103f, .5103f, .4634f,
                                   .4634f, .4634f, .4634f, .6584f, .4634f, .0372f};
    static const int rows[12] = {0, 0, 1, 1, 1, 1, 1, 1, 1, 2, 3, 3},
                     cols[12] = {0, 1, 1, 2, 3, 4, 5, 6, 7, 7, 7, 8};
    float x[36], room[20];
    int r[13], c[13];
    pz_rule_input(5002, 0, 1, 12, x);
    pz_whisper_median(x, 1, 12, room);
    for (int i = 0; i < 12; i++)
        assert_true(fabsf(x[i] - want[i]) < 6e-5f);
    float three[6] = {3, 1, 2, 9, 8, 7};
    pz_whisper_median(three, 2, 3, room);
    assert_true(three[0] == 3 && three[5] == 7);
    pz_rule_input(5001, 0, -1, 36, x);
    assert_int_equal(pz_whisper_dtw(x, 4, 9, r, c), 12);
    assert_memory_equal(r, rows, sizeof rows);
    assert_memory_equal(c, cols, sizeof cols);
    assert_int_equal(pz_whisper_dtw(x, 1, 1, r, c), 1);
}

/* Spec §10: alignment on the default heads of the scaled-down model. */
static void golden_alignment(void **state)
{
    static const int said[6] = {1, 5, 9, 200, 3, 511};
    struct pz_whisper_options o = {.dims = {80, 512, 50, 32, 2, 2, 32, 32, 2, 2, false},
                                   .plan = pz_plan_default};
    struct pz_job job = {0};
    struct pz_whisper *w;
    static float rule[8000], mel[8000], queries[6][2 * 32], scores[600], mean[600], room[60];
    struct pz_whisper_head heads[8];
    assert_int_equal(pz_whisper_open(&o, &job, &w), PZ_OK);
    pz_rule_input(5000, -1.0f, 1.4f, 8000, rule);
    for (int t = 0; t < 100; t++)
        for (int b = 0; b < 80; b++)
            mel[t * 80 + b] = rule[b * 100 + t];
    assert_int_equal(pz_whisper_encode(w, mel), PZ_OK);
    struct pz_whisper_item items[6];
    int rows[6] = {0, 1, 2, 3, 4, 5};
    for (int i = 0; i < 6; i++)
        items[i] = (struct pz_whisper_item){said[i], rows, i, i, NULL, queries[i]};
    assert_int_equal(pz_whisper_step(w, items, 6), PZ_OK);
    assert_int_equal(pz_whisper_heads(NULL, &o.dims, heads, 8), 2);
    assert_true(heads[0].layer == 1 && heads[0].head == 0 && heads[1].head == 1);
    for (int h = 0; h < 2; h++) {
        const float *keys = pz_whisper_audio_keys(w, 1) + 16 * h;
        for (int t = 0; t < 6; t++)
            for (int f = 0; f < 50; f++) {
                float sum = 0;
                for (int i = 0; i < 16; i++)
                    sum += queries[t][32 + 16 * h + i] * keys[f * 32 + i];
                scores[(h * 6 + t) * 50 + f] = sum / 4;
            }
        pz_whisper_normalise(scores + 300 * h, 6, 50);
    }
    assert_true(fabsf(scores[0] + .5205839f) < 2e-4f && fabsf(scores[1] + .464986f) < 2e-4f);
    assert_true(fabsf(scores[599] + 1.137764f) < 2e-4f);
    pz_whisper_median(scores, 12, 50, room);
    assert_true(fabsf(scores[0] + .09046466f) < 2e-4f && fabsf(scores[300] + 1.575624f) < 2e-4f);
    assert_true(fabsf(scores[599] + .8714298f) < 2e-4f);
    for (int i = 0; i < 300; i++)
        mean[i] = -(scores[i] + scores[300 + i]) / 2;
    int r[60], c[60], n = pz_whisper_dtw(mean + 50, 4, 50, r, c), at = 0;
    assert_int_equal(n, 53);
    assert_int_equal(r[at++], 0);
    for (int i = 0; i < 36; i++)
        assert_int_equal(r[at++], 1);
    for (int i = 0; i < 15; i++)
        assert_int_equal(r[at++], 2);
    assert_int_equal(r[at], 3);
    assert_true(c[0] == 0 && c[1] == 0 && c[2] == 1 && c[36] == 35 && c[37] == 35 && c[38] == 36 &&
                c[51] == 49 && c[52] == 49);
    pz_whisper_close(&w);
}

static void heads_by_name(void **state)
{
    struct pz_whisper_dims tiny = {80, 51865, 1500, 384, 6, 4, 448, 384, 6, 4, false};
    struct pz_whisper_head h[400];
    assert_int_equal(pz_whisper_heads("tiny", &tiny, h, 400), 6);
    assert_true(h[0].layer == 2 && h[0].head == 2 && h[5].layer == 3 && h[5].head == 5);
    assert_int_equal(pz_whisper_heads("tiny.en", &tiny, h, 400), 8);
    assert_int_equal(pz_whisper_heads("mine", &tiny, h, 400), 12); /* second half: layers 2 and 3 */
    assert_true(h[0].layer == 2 && h[11].layer == 3 && h[11].head == 5);
    assert_int_equal(pz_whisper_heads("large-v2", &tiny, h, 400), 12); /* a name that is not the model's */
    assert_int_equal(pz_whisper_heads(NULL, &tiny, h, 5), 5);
}

static struct pz_whisper_word word(const char *text, int n, double start, double end)
{
    struct pz_whisper_word w = {.n_tokens = n, .start = start, .end = end, .probability = 0.5f};
    snprintf(w.text, sizeof w.text, "%s", text);
    return w;
}

static void settling(void **state)
{
    struct pz_whisper_words w = {0};
    const struct pz_whisper_word said[] = {
        word(" Hi", 1, 0.0, 1.8), word(" \"", 1, 1.8, 1.9),  word("Anuj", 2, 1.9, 2.2),
        word("\"", 1, 2.2, 2.3),  word(",", 1, 2.3, 2.3),    word(" go", 1, 2.3, 2.5),
        word(".", 1, 2.5, 4.0),   word(" Now", 1, 4.0, 7.0), word(" then", 1, 7.0, 7.3)};
    for (size_t i = 0; i < sizeof said / sizeof *said; i++)
        assert_int_equal(pz_whisper_words_add(&w, &said[i]), PZ_OK);
    struct pz_whisper_segment s[2] = {{.start = 30.0, .end = 34.0, .n_tokens = 8},
                                      {.start = 34.0, .end = 37.4, .n_tokens = 2}};
    /* durations .1 .1 .2 .3 .3 1.5 1.8 3 without the one of 0: median .3, most .6 */
    pz_whisper_words_settle(&w, 0, 30.0, s, 2, 25.0);
    assert_int_equal(w.n, 5);
    static const struct {
        const char *text;
        double start, end;
    } want[] = {{" Hi", 31.2, 31.8},        /* first after a pause: cut to .6 */
                {" \"Anuj\",", 31.9, 32.2}, /* marks joined, times its own */
                {" go.", 32.3, 32.5},
                {" Now", 36.4, 37.0}, /* after a sentence's end: begins .6 before its end */
                {" then", 37.0, 37.3}};
    for (int i = 0; i < 5; i++) {
        assert_string_equal(w.items[i].text, want[i].text);
        if (fabs(w.items[i].start - want[i].start) > 1e-9 || fabs(w.items[i].end - want[i].end) > 1e-9)
            fail_msg("%s %.3f-%.3f", w.items[i].text, w.items[i].start, w.items[i].end);
    }
    assert_true(s[0].n_words == 3 && s[1].first_word == 3 && s[1].n_words == 2);
    assert_true(fabs(s[0].start - 31.2) < 1e-9 && fabs(s[0].end - 32.5) < 1e-9);
    assert_true(fabs(s[1].end - 37.3) < 1e-9);
    pz_whisper_words_free(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(median_and_path), cmocka_unit_test(golden_alignment),
                                       cmocka_unit_test(heads_by_name), cmocka_unit_test(settling)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
