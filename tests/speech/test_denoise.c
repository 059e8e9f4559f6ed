// Speech out of noise, on a voice that the network was not taught with: what is left is nearer to the voice
// alone, noise between words is gone, and a quiet recording stays as it is.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "speech/denoise.h"
#include "said.h"

#define NOISE_SEED 31

static struct pz_job job;

static double power(const float *x, int64_t n)
{
    double sum = 0.0;

    for (int64_t i = 0; i < n; i++)
        sum += (double)x[i] * x[i];
    return sum / (double)n;
}

/** How far `x` is below `clean`, in dB of the difference. */
static double snr(const float *x, const float *clean, int64_t n)
{
    double off = 1e-20;

    for (int64_t i = 0; i < n; i++)
        off += ((double)x[i] - clean[i]) * ((double)x[i] - clean[i]) / (double)n;
    return 10.0 * log10(power(clean, n) / off);
}

static void noise_goes_and_speech_stays(void **state)
{
    struct pz_phone_line truth = {0};
    int64_t n, m;
    float *clean = sentence(&job, SENTENCE, 0.0, NOISE_SEED, &n, &truth);
    float *x = sentence(&job, SENTENCE, 10.0, NOISE_SEED, &m, &truth);
    double before = snr(x, clean, n), gap = power(x, LEAD), after;

    (void)state;
    assert_int_equal(n, m);
    assert_int_equal(pz_denoise(x, n, NULL), PZ_OK);
    after = snr(x, clean, n);
    print_message("%.1f dB became %.1f dB, seed %d\n", before, after, NOISE_SEED);
    assert_true(after > before + 4.0);
    assert_true(power(x, LEAD) < gap * 0.03); // 15 dB
    pz_free(x);
    pz_free(clean);
    pz_phone_line_free(&truth);
}

static void a_quiet_recording_stays(void **state)
{
    struct pz_phone_line truth = {0};
    int64_t n;
    float *clean = sentence(&job, SENTENCE, 0.0, NOISE_SEED, &n, &truth),
          *x = pz_calloc((size_t)n, sizeof *x);

    (void)state;
    assert_non_null(x);
    memcpy(x, clean, (size_t)n * sizeof *x);
    assert_int_equal(pz_denoise(x, n, NULL), PZ_OK);
    print_message("%.1f dB\n", snr(x, clean, n));
    assert_true(snr(x, clean, n) > 18.0);
    pz_free(x);
    pz_free(clean);
    pz_phone_line_free(&truth);
}

static void little_or_nothing_is_no_error(void **state)
{
    float x[200] = {0.5f};

    (void)state;
    assert_int_equal(pz_denoise(x, 0, NULL), PZ_OK);
    assert_true(x[0] == 0.5f);
    assert_int_equal(pz_denoise(x, 200, NULL), PZ_OK);
    for (int i = 0; i < 200; i++)
        assert_true(isfinite(x[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(noise_goes_and_speech_stays),
                                       cmocka_unit_test(a_quiet_recording_stays),
                                       cmocka_unit_test(little_or_nothing_is_no_error)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
