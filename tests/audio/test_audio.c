// Sample maths against closed forms: FFT, mel, resampling, loudness, pitch, stretch, PSOLA, EQ, cross-fade.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "audio/mel.h"
#include "audio/shape.h"
#include "audio/track.h"
#include "base/mem.h"
#include "base/rng.h"

#define SEED 20261122u

static float *noise(int64_t n, float level)
{
    float *x = pz_calloc((size_t)n, sizeof *x);
    struct pz_rng r;

    pz_rng_init(&r, SEED, 1);
    for (int64_t i = 0; i < n; i++)
        x[i] = level * (2.0f * pz_rng_uniform(&r) - 1.0f);
    return x;
}

/** Buzz with harmonics, like a voice. */
static float *buzz(int64_t n, int rate, double hz, float level)
{
    float *x = pz_calloc((size_t)n, sizeof *x);

    for (int64_t i = 0; i < n; i++) {
        double v = 0.0;

        for (int k = 1; k * hz < 3500.0; k++)
            v += cos(2.0 * M_PI * k * hz * (double)i / rate) / k;
        x[i] = level * (float)v / 4.0f;
    }
    return x;
}

static void fft_is_dft(void **state)
{
    enum { N = 256 };
    struct pz_fft *f = pz_fft_create(N);
    float *x = noise(N, 1.0f), spec[N + 2], back[N];

    (void)state;
    assert_non_null(f);
    pz_fft_real(f, x, spec);
    for (int k = 0; k <= N / 2; k++) {
        double re = 0.0, im = 0.0;

        for (int i = 0; i < N; i++) {
            re += x[i] * cos(2.0 * M_PI * k * i / N);
            im -= x[i] * sin(2.0 * M_PI * k * i / N);
        }
        assert_true(fabs(re - spec[2 * k]) < 1e-4 && fabs(im - spec[2 * k + 1]) < 1e-4);
    }
    pz_fft_real_inverse(f, spec, back);
    for (int i = 0; i < N; i++)
        assert_true(fabsf(back[i] - x[i]) < 1e-5f);
    assert_null(pz_fft_create(100));
    pz_free(x);
    pz_fft_destroy(&f);
}

static void mel_finds_the_tone(void **state)
{
    // The power of a steady tone lands in the band whose centre is nearest; both lengths
    // agree on the place.
    int sizes[2] = {1024, 800};

    (void)state;
    for (int s = 0; s < 2; s++) {
        struct pz_mel_params p = {.rate = 16000,
                                  .n_fft = sizes[s],
                                  .win = 800,
                                  .hop = 200,
                                  .n_mels = 80,
                                  .fmin = 55,
                                  .fmax = 7600,
                                  .scale = PZ_MEL_SLANEY,
                                  .slaney_norm = true,
                                  .center = true,
                                  .power = 2.0f};
        struct pz_mel *m;
        float x[8000], out[80];
        int best = 0;

        assert_int_equal(pz_mel_create(NULL, &p, &m), PZ_OK);
        for (int i = 0; i < 8000; i++)
            x[i] = 0.5f * (float)sin(2.0 * M_PI * 1000.0 * i / 16000.0);
        assert_int_equal(pz_mel_frames(m, 8000), 41);
        pz_mel_run(m, x, 8000, 0, 20, 1, out);
        for (int k = 0; k < 80; k++)
            best = out[k] > out[best] ? k : best;
        // Slaney: 55 Hz = 0.825 mel, 7600 Hz = 44.5; 1000 Hz = 15 → band 15 − 0.825 over 43.7/81 per band,
        // minus one.
        assert_in_range(best, 24, 26);
        pz_mel_destroy(&m);
    }
    {
        struct pz_mel_params bad = {
            .rate = 16000, .n_fft = 512, .win = 1024, .hop = 160, .n_mels = 80, .power = 2.0f};
        struct pz_mel *m;

        assert_int_equal(pz_mel_create(NULL, &bad, &m), PZ_ERR_USAGE);
        assert_null(m);
    }
}

static void resample_keeps_tones_and_stops_aliases(void **state)
{
    int pairs[4][2] = {{48000, 16000}, {16000, 48000}, {44100, 16000}, {16000, 44100}};

    (void)state;
    for (int p = 0; p < 4; p++) {
        int from = pairs[p][0], to = pairs[p][1];
        int64_t n = from, m;
        float *x = pz_calloc((size_t)n, sizeof *x), *y;
        double worst = 0.0;

        for (int64_t i = 0; i < n; i++)
            x[i] = (float)sin(2.0 * M_PI * 1234.5 * (double)i / from);
        assert_int_equal(pz_resample(x, n, from, to, &y, &m), PZ_OK);
        assert_int_equal(m, to);
        for (int64_t i = to / 10; i < m - to / 10; i++)
            worst = fmax(worst, fabs(y[i] - sin(2.0 * M_PI * 1234.5 * (double)i / to)));
        assert_true(worst < 2e-3);
        pz_free(y);
        if (from > to) {
            for (int64_t i = 0; i < n; i++)
                x[i] = (float)sin(2.0 * M_PI * 9500.0 * (double)i / from);
            assert_int_equal(pz_resample(x, n, from, to, &y, &m), PZ_OK);
            assert_true(pz_rms(y + m / 4, m / 2) < 2e-4);
            pz_free(y);
        }
        pz_free(x);
    }
}

static void loudness_is_r128(void **state)
{
    // EBU Tech 3341 case 1: a stereo 1 kHz sine at −23 dBFS in both channels reads −23 LUFS.
    int64_t n = 48000 * 5;
    float *x = pz_calloc((size_t)n, 2 * sizeof *x);

    (void)state;
    for (int64_t i = 0; i < n; i++)
        x[2 * i] = x[2 * i + 1] =
            (float)(pow(10.0, -23.0 / 20.0) * sin(2.0 * M_PI * 1000.0 * (double)i / 48000.0));
    assert_true(fabs(pz_loudness(x, n, 48000, 2) + 23.0) < 0.1);
    assert_true(fabs(pz_loudness(x, 24000, 48000, 2) + 23.0) < 0.2); // half a second, ungated
    memset(x, 0, (size_t)n * 2 * sizeof *x);
    assert_true(pz_loudness(x, n, 48000, 2) <= -70.0);
    pz_free(x);
}

static void pitch_is_found(void **state)
{
    double hz[5] = {80.0, 110.0, 173.0, 240.0, 320.0};

    (void)state;
    for (int k = 0; k < 5; k++) {
        struct pz_pitch p[100];
        float *x = buzz(16000, 16000, hz[k], 0.5f);
        struct pz_pitch_stats s;

        assert_int_equal(pz_pitch_track(x, 16000, 16000, 160, 60.0f, 400.0f, p, 100), PZ_OK);
        s = pz_pitch_stats(p, 100);
        assert_true(fabs(s.median_hz / hz[k] - 1.0) < 0.01);
        assert_true(s.voiced > 0.9);
        pz_free(x);
    }
    {
        struct pz_pitch p[100];
        float *x = noise(16000, 0.3f);

        assert_int_equal(pz_pitch_track(x, 16000, 16000, 160, 60.0f, 400.0f, p, 100), PZ_OK);
        assert_true(pz_pitch_stats(p, 100).voiced < 0.1);
        pz_free(x);
    }
}

static void stretch_keeps_pitch(void **state)
{
    float *x = buzz(16000, 16000, 130.0, 0.5f);
    double factors[4] = {0.85, 0.95, 1.08, 1.15};

    (void)state;
    for (int k = 0; k < 4; k++) {
        struct pz_pitch p[120];
        float *y;
        int64_t n;

        assert_int_equal(pz_stretch(x, 16000, 16000, factors[k], &y, &n), PZ_OK);
        assert_int_equal(n, llrint(16000 * factors[k]));
        assert_int_equal(pz_pitch_track(y, n, 16000, 160, 60.0f, 400.0f, p, n / 160), PZ_OK);
        assert_true(fabs(pz_pitch_stats(p, n / 160).median_hz / 130.0 - 1.0) < 0.02);
        assert_true(fabs(pz_rms(y + n / 4, n / 2) / pz_rms(x + 4000, 8000) - 1.0) < 0.15);
        pz_free(y);
    }
    pz_free(x);
}

static void psola_moves_pitch_only(void **state)
{
    enum { N = 16000, HOP = 160, T = 100 };
    float *x = buzz(N, 16000, 120.0, 0.5f), y[N], target[T];
    struct pz_pitch p[T], q[T];

    (void)state;
    assert_int_equal(pz_pitch_track(x, N, 16000, HOP, 60.0f, 400.0f, p, T), PZ_OK);
    for (int up = 0; up < 2; up++) {
        double want = up ? 160.0 : 95.0;

        for (int t = 0; t < T; t++)
            target[t] = (float)want;
        assert_int_equal(pz_psola(x, N, 16000, p, T, HOP, target, y), PZ_OK);
        assert_int_equal(pz_pitch_track(y, N, 16000, HOP, 60.0f, 400.0f, q, T), PZ_OK);
        assert_true(fabs(pz_pitch_stats(q, T).median_hz / want - 1.0) < 0.02);
    }
    pz_free(x);
}

static void eq_adds_what_it_says(void **state)
{
    double gain[PZ_LTAS_BANDS], before[PZ_LTAS_BANDS], after[PZ_LTAS_BANDS];
    float *x = noise(48000, 0.1f);

    (void)state;
    for (int b = 0; b < PZ_LTAS_BANDS; b++)
        gain[b] = 6.0 * sin(b * 0.6);
    assert_int_equal(pz_ltas(x, 48000, 48000, before), PZ_OK);
    assert_int_equal(pz_eq_apply(x, 48000, 48000, gain), PZ_OK);
    assert_int_equal(pz_ltas(x, 48000, 48000, after), PZ_OK);
    for (int b = 5; b < PZ_LTAS_BANDS - 1; b++)
        assert_true(fabs(after[b] - before[b] - gain[b]) < 1.5);
    pz_free(x);
}

static void crossfade_keeps_power(void **state)
{
    enum { N = 4000 };
    float *a = noise(2 * N, 0.5f), out[N];

    (void)state;
    pz_crossfade(a, a + N, out, N, 1);
    assert_true(fabs(pz_rms(out, N) / pz_rms(a, 2 * N) - 1.0) < 0.05);
    assert_true(fabsf(out[0] - a[0]) < 0.01f && fabsf(out[N - 1] - a[2 * N - 1]) < 0.01f);
    pz_free(a);
}

static void zero_crossings(void **state)
{
    float x[100];

    (void)state;
    for (int i = 0; i < 100; i++)
        x[i] = (float)sin(2.0 * M_PI * (i - 30.2) / 40.0);
    assert_int_equal(pz_zero_crossing(x, 100, 33, 20, 45), 30);
    assert_int_equal(pz_zero_crossing(x, 100, 47, 40, 60), 50);
    assert_int_equal(pz_zero_crossing(x, 100, 40, 38, 42), 40); // none near: stays
    assert_int_equal(pz_zero_crossing(x, 100, 500, 0, 1000), 90);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fft_is_dft),
        cmocka_unit_test(mel_finds_the_tone),
        cmocka_unit_test(resample_keeps_tones_and_stops_aliases),
        cmocka_unit_test(loudness_is_r128),
        cmocka_unit_test(pitch_is_found),
        cmocka_unit_test(stretch_keeps_pitch),
        cmocka_unit_test(psola_moves_pitch_only),
        cmocka_unit_test(eq_adds_what_it_says),
        cmocka_unit_test(crossfade_keeps_power),
        cmocka_unit_test(zero_crossings),
    };

    printf("seed %u\n", SEED);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
