/* Sound on the film's clock: a known tone is found sample-exact, in any order, rate and container. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "clip.h"
#include "scratch.h"

/* Whole track into memory. */
static float *read_all(struct pz_sound *s, int64_t cap, int64_t *n)
{
    float *x = calloc((size_t)(cap * pz_sound_channels(s)), sizeof(*x));
    assert_non_null(x);
    assert_int_equal(pz_sound_read(s, 0, x, cap, n), PZ_OK);
    return x;
}

/* Lag in [-range, range] at which `x` (channel 0) fits the test tone best. */
static int best_lag(const float *x, int64_t n, int channels, int rate, int range)
{
    int best = 0;
    double top = -1e30;
    for (int lag = -range; lag <= range; lag++) {
        double sum = 0;
        for (int64_t i = 4000; i < n - 4000; i++)
            sum += x[i * channels] * clip_tone(i - lag, rate, 0);
        if (sum > top) {
            top = sum;
            best = lag;
        }
    }
    return best;
}

static void expect_tone(const char *name, const char *encoder, int rate, int channels, bool video)
{
    struct clip c = {.path = in(name),
                     .n_frames = video ? 50 : 0,
                     .time_base_den = 25,
                     .step = 1,
                     .b_frames = 2,
                     .sound_encoder = encoder,
                     .rate = rate,
                     .channels = channels,
                     .sound_s = 2.0,
                     .tone = true};
    struct pz_sound *s;
    int64_t n, got;
    assert_true(clip_make(&c));
    assert_int_equal(pz_sound_open(c.path, 0, 0, NULL, &s), PZ_OK);
    assert_int_equal(pz_sound_rate(s), rate);
    assert_int_equal(pz_sound_channels(s), channels);
    float *x = read_all(s, 4 * rate, &n);
    assert_in_range(n, 2 * rate - 64, 2 * rate + 2400);
    print_message("%s %s: %ld samples\n", name, encoder, (long)n);
    int slack = strstr(name, ".mkv") ? rate / 2000 : 0; /* Matroska's clock ticks in milliseconds */
    assert_in_range(best_lag(x, 2 * rate, channels, rate, 60) + slack, 0, 2 * slack);
    struct pz_rng rng;
    pz_rng_init(&rng, 11, 0);
    float piece[2 * 3000];
    for (int k = 0; k < 25; k++) {
        int64_t at = pz_rng_below(&rng, (uint32_t)n), len = 1 + pz_rng_below(&rng, 3000);
        assert_int_equal(pz_sound_read(s, at, piece, len, &got), PZ_OK);
        assert_int_equal(got, len < n - at ? len : n - at);
        float worst = 0;
        for (int64_t i = 0; i < got * channels; i++)
            worst = fmaxf(worst, fabsf(piece[i] - x[at * channels + i]));
        assert_true(worst <
                    (strcmp(encoder, "aac") ? 1e-7f : 1e-2f)); /* AAC's noise substitution has a state */
    }
    assert_int_equal(pz_sound_read(s, n + 5, piece, 10, &got), PZ_OK);
    assert_int_equal(got, 0);
    free(x);
    pz_sound_close(&s);
}

static void tone_is_where_it_was(void **state)
{
    print_message("seed 11\n");
    expect_tone("a.mp4", "aac", 44100, 2, true);
    expect_tone("a.mp4", "aac", 16000, 1, true);
    expect_tone("a.mov", "pcm_s16le", 48000, 2, true);
    expect_tone("a.mkv", "aac", 48000, 2, true);
    expect_tone("a.wav", "pcm_s16le", 22050, 1, false);
    expect_tone("a.mp3", "libmp3lame", 44100, 2, false);
    expect_tone("a.m4a", "aac", 44100, 1, false);
    expect_tone("a.flac", "flac", 48000, 2, false);
}

static void long_film_jumps_are_exact(void **state)
{
    struct clip c = {.path = in("l.mp4"),
                     .sound_encoder = "aac",
                     .rate = 44100,
                     .channels = 1,
                     .sound_s = 20,
                     .tone = true};
    struct pz_sound *s;
    int64_t n, got;
    assert_true(clip_make(&c));
    for (int rate = 16000; rate <= 48000; rate += 32000) { /* down and up */
        assert_int_equal(pz_sound_open(c.path, rate, 1, NULL, &s), PZ_OK);
        float *x = read_all(s, 21 * rate, &n), piece[4096];
        assert_in_range(n, 20 * rate - 64, 20 * rate + 2400);
        struct pz_rng rng;
        pz_rng_init(&rng, 5, 0);
        for (int k = 0; k < 40; k++) {
            int64_t at = pz_rng_below(&rng, (uint32_t)n);
            assert_int_equal(pz_sound_read(s, at, piece, 4096, &got), PZ_OK);
            float worst = 0;
            for (int64_t i = 0; i < got; i++)
                worst = fmaxf(worst, fabsf(piece[i] - x[at + i]));
            assert_true(worst < 1e-4f);
        }
        free(x);
        pz_sound_close(&s);
    }
}

static void channels_and_rates_convert(void **state)
{
    struct clip c = {.path = in("m.wav"),
                     .sound_encoder = "pcm_s16le",
                     .rate = 48000,
                     .channels = 2,
                     .sound_s = 1,
                     .tone = true};
    struct pz_sound *s;
    int64_t n;
    assert_true(clip_make(&c));
    assert_int_equal(pz_sound_open(c.path, 16000, 1, NULL, &s), PZ_OK);
    float *x = read_all(s, 20000, &n);
    assert_in_range(n, 15990, 16010);
    for (int i = 1000; i < 15000; i++) { /* mono is the mean of both */
        float want = 0.5f * (clip_tone(3 * i, 48000, 0) + clip_tone(3 * i, 48000, 1));
        assert_true(fabsf(x[i] - want) < 0.01f);
    }
    free(x);
    pz_sound_close(&s);
}

static void wav_round_trip(void **state)
{
    float x[2000], y[2000];
    struct pz_sound *s;
    int64_t got;
    for (int i = 0; i < 2000; i++)
        x[i] = (float)lrintf(32767 * clip_tone(i / 2, 16000, i & 1)) / 32768;
    assert_int_equal(pz_wav_write(NULL, in("w.wav"), x, 1000, 16000, 2), PZ_OK);
    assert_int_equal(pz_sound_open(in("w.wav"), 0, 0, NULL, &s), PZ_OK);
    assert_int_equal(pz_sound_rate(s), 16000);
    assert_int_equal(pz_sound_channels(s), 2);
    assert_int_equal(pz_sound_read(s, 0, y, 1000, &got), PZ_OK);
    assert_int_equal(got, 1000);
    assert_memory_equal(x, y, sizeof(x));
    pz_sound_close(&s);
    assert_int_equal(pz_wav_write(NULL, "/nonexistent/x.wav", x, 10, 16000, 1), PZ_ERR_WRITE);
}

static void late_sound_begins_with_silence(void **state)
{
    /* Matroska keeps the offset of the track itself: the sound's own start must read as silence */
    struct clip c = {.path = in("late.mkv"),
                     .n_frames = 25,
                     .time_base_den = 1000,
                     .step = 40,
                     .sound_encoder = "pcm_s16le",
                     .rate = 8000,
                     .channels = 1,
                     .sound_s = 1,
                     .beep_at = 4000,
                     .beep_n = 800};
    struct pz_sound *s;
    int64_t n;
    assert_true(clip_make(&c));
    assert_int_equal(pz_sound_open(c.path, 0, 0, NULL, &s), PZ_OK);
    float *x = read_all(s, 16000, &n);
    for (int i = 0; i < 3990; i++)
        assert_true(fabsf(x[i]) < 1e-3f);
    assert_true(fabsf(x[4000]) > 0.5f);
    free(x);
    pz_sound_close(&s);
}

static void no_sound_is_told(void **state)
{
    struct clip c = {.path = in("mute.mp4"), .n_frames = 5, .time_base_den = 25, .step = 1};
    struct pz_sound *s = (void *)1;
    char text[256];
    struct pz_log *log = pz_log_create(NULL, NULL, PZ_LOG_ERROR);
    struct pz_job job = {.log = log};
    assert_true(clip_make(&c));
    assert_int_equal(pz_sound_open(c.path, 0, 0, &job, &s), PZ_ERR_INPUT);
    assert_null(s);
    pz_log_last_error(log, text, sizeof(text));
    assert_non_null(strstr(text, "no sound track"));
    pz_log_destroy(&log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tone_is_where_it_was),           cmocka_unit_test(long_film_jumps_are_exact),
        cmocka_unit_test(channels_and_rates_convert),     cmocka_unit_test(wav_round_trip),
        cmocka_unit_test(late_sound_begins_with_silence), cmocka_unit_test(no_sound_is_told),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
