// Overlapping spectra: sound comes back as it was, and a gain of one band takes that band alone.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/rng.h"
#include "speech/phones.h"
#include "speech/stft.h"

#define SEED 51
#define SAMPLES 5003

/** Through the spectra and back with `gain`. */
static void through(const float *x, const float gain[PZ_STFT_BINS], float *out)
{
    struct pz_stft s;
    float spec[2 * PZ_STFT_BINS];

    assert_true(pz_stft_make(&s));
    for (int64_t t = -1; t * PZ_STFT_HOP < SAMPLES + PZ_STFT_N / 2; t++) {
        pz_stft_read(&s, x, SAMPLES, t, spec);
        pz_stft_add(&s, spec, gain, t, out, SAMPLES);
    }
    pz_stft_free(&s);
}

static void sound_comes_back(void **state)
{
    float x[SAMPLES], out[SAMPLES] = {0}, gain[PZ_STFT_BINS];
    struct pz_rng r;

    (void)state;
    print_message("seed %d\n", SEED);
    pz_rng_init(&r, SEED, 0);
    for (int i = 0; i < SAMPLES; i++)
        x[i] = pz_rng_normal(&r);
    for (int k = 0; k < PZ_STFT_BINS; k++)
        gain[k] = 1.0f;
    through(x, gain, out);
    for (int i = 0; i < SAMPLES; i++) // both ends too
        assert_true(fabsf(out[i] - x[i]) < 1e-4f);
}

static void a_gain_takes_its_band_alone(void **state)
{
    float x[SAMPLES], out[SAMPLES] = {0}, gain[PZ_STFT_BINS];
    const double low = 2.0 * M_PI * 500.0 / PZ_SPEECH_RATE, high = 2.0 * M_PI * 4000.0 / PZ_SPEECH_RATE;

    (void)state;
    for (int i = 0; i < SAMPLES; i++)
        x[i] = (float)(sin(low * i) + sin(high * i));
    for (int k = 0; k < PZ_STFT_BINS; k++)
        gain[k] = k < 64 ? 1.0f : 0.0f; // 2 kHz
    through(x, gain, out);
    for (int i = PZ_STFT_N; i < SAMPLES - PZ_STFT_N; i++)
        assert_true(fabs((double)out[i] - sin(low * i)) < 0.01);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(sound_comes_back),
                                       cmocka_unit_test(a_gain_takes_its_band_alone)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
