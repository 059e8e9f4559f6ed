// Front ends of networks against the numbers the fact sheets took from the original code (spec/wav2lip.md
// §11.4, spec/whisper.md §10), on the test signal described there.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "audio/dft.h"
#include "audio/features.h"
#include "base/mem.h"

#define N 16000

/* The fact sheets' pseudo-random number in [0,1): element i of tensor t. */
static double hash01(uint32_t i, uint32_t t)
{
    uint32_t h = i * 2654435761u + (t * 2246822519u + 374761393u);
    h ^= h >> 16;
    h *= 0x85ebca6bu;
    h ^= h >> 13;
    h *= 0xc2b2ae35u;
    h ^= h >> 16;
    return h / 4294967296.0;
}

static float *signal_of(void)
{
    float *x = pz_calloc(N, sizeof *x);
    assert_non_null(x);
    for (int n = 0; n < N; n++)
        x[n] = (float)(0.4 * sin(2 * M_PI * 220 * n / 16000.0) + 0.2 * sin(2 * M_PI * 1760 * n / 16000.0) +
                       0.05 * (2 * hash01((uint32_t)n, 2000) - 1));
    return x;
}

struct stats {
    double mean, std, min, max;
};

static struct stats stats_of(const float *x, int64_t n)
{
    struct stats s = {.min = INFINITY, .max = -INFINITY};
    double sum = 0, square = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += x[i];
        s.min = fmin(s.min, x[i]);
        s.max = fmax(s.max, x[i]);
    }
    s.mean = sum / (double)n;
    for (int64_t i = 0; i < n; i++)
        square += (x[i] - s.mean) * (x[i] - s.mean);
    s.std = sqrt(square / (double)n);
    return s;
}

static void near_to(double got, double want, double tolerance)
{
    if (!(fabs(got - want) <= tolerance))
        fail_msg("got %.9g, wanted %.9g within %g", got, want, tolerance);
}

static void hash_is_the_sheets(void **state)
{
    static const double t0[] = {0.73811484663747, 0.23152971267700, 0.33844340336509, 0.17543481732719};
    static const double t7[] = {0.31212805816904, 0.89666052395478, 0.90635640383698, 0.67387014744714};
    (void)state;
    for (uint32_t i = 0; i < 4; i++) {
        near_to(hash01(i, 0), t0[i], 1e-13);
        near_to(hash01(i, 7), t7[i], 1e-11);
    }
}

static void dft_is_the_sum(void **state)
{
    static const int lengths[] = {2, 3, 5, 12, 30, 400, 512, 800};
    (void)state;
    for (size_t l = 0; l < sizeof lengths / sizeof lengths[0]; l++) {
        int n = lengths[l];
        struct pz_dft *d = pz_dft_create(n);
        assert_non_null(d);
        double *work = pz_calloc(pz_dft_work(d), sizeof *work),
               *other = pz_calloc(pz_dft_work(d), sizeof *work);
        double *re = pz_calloc((size_t)n / 2 + 1, PZ_DFT_FRAMES * sizeof *re);
        double *im = pz_calloc((size_t)n / 2 + 1, PZ_DFT_FRAMES * sizeof *im);
        assert_true(work && other && re && im);
        for (int i = 0; i < n; i++)
            for (int f = 0; f < PZ_DFT_FRAMES; f++)
                work[i * 2 * PZ_DFT_LANES + f] = hash01((uint32_t)(f * n + i), 1) - 0.5;
        pz_dft_real(d, work, other, re, im);
        for (int k = 0; k <= n / 2; k += n > 100 ? 37 : 1)
            for (int f = 0; f < PZ_DFT_FRAMES; f++) {
                double a = 0, b = 0;
                for (int i = 0; i < n; i++) {
                    double x = hash01((uint32_t)(f * n + i), 1) - 0.5, w = 2 * M_PI * (double)(k * i % n) / n;
                    a += x * cos(w);
                    b -= x * sin(w);
                }
                near_to(re[k * PZ_DFT_FRAMES + f], a, 1e-11);
                near_to(im[k * PZ_DFT_FRAMES + f], b, 1e-11);
            }
        pz_free(work);
        pz_free(other);
        pz_free(re);
        pz_free(im);
        pz_dft_destroy(&d);
    }
    assert_null(pz_dft_create(7));
    assert_null(pz_dft_create(0));
    assert_null(pz_dft_create(22));
}

static void wav2lip_mel(void **state)
{
    // [band][time] of the sheet is at(time, band) here.
    struct pz_wav2lip_mel *m;
    float *x = signal_of(), out[81 * 80], part[80];
    (void)state;
    assert_int_equal(pz_wav2lip_mel_frames(N), 81);
#define AT(band, time) out[(time)*80 + (band)]
    assert_int_equal(pz_wav2lip_mel_create(NULL, PZ_MEL_PAD_REFLECT, &m), PZ_OK);
    pz_wav2lip_mel_run(m, x, N, 0, 81, out);
    struct stats s = stats_of(out, 81 * 80);
    near_to(s.mean, -.5121894, 2e-6);
    near_to(s.std, .8163704, 2e-6);
    near_to(s.min, -3.662226, 2e-5);
    near_to(s.max, 2.038805, 2e-6);
    near_to(AT(0, 0), -.3615847, 4e-6);
    near_to(AT(1, 0), -.1408074, 4e-6);
    near_to(AT(2, 0), .1246529, 4e-6);
    near_to(AT(40, 40), 1.744699, 2e-6);
    near_to(AT(79, 80), -.0608306, 4e-6);
    near_to(AT(10, 79), -1.710872, 4e-6);
    near_to(AT(10, 80), -1.218689, 4e-6);
    // A frame alone is the same frame, whatever batch it was in.
    for (int t = 0; t < 81; t += 9) {
        pz_wav2lip_mel_run(m, x, N, t, 1, part);
        assert_memory_equal(part, &AT(0, t), sizeof part);
    }
    pz_wav2lip_mel_destroy(&m);

    assert_int_equal(pz_wav2lip_mel_create(NULL, PZ_MEL_PAD_ZERO, &m), PZ_OK);
    pz_wav2lip_mel_run(m, x, N, 0, 81, out);
    s = stats_of(out, 81 * 80);
    near_to(s.mean, -.5158534, 2e-6);
    near_to(s.std, .8138003, 2e-6);
    near_to(s.max, 1.879771, 2e-6);
    near_to(AT(0, 0), -.4867435, 4e-6);
    near_to(AT(1, 0), -.2316527, 4e-6);
    near_to(AT(2, 0), .2232957, 4e-6);
    near_to(AT(79, 80), -.2210310, 4e-6);
    pz_wav2lip_mel_destroy(&m);
    pz_free(x);
}

static void wav2lip_windows(void **state)
{
    static const int at25[] = {0, 3, 6, 9, 12, 16, 19, 22}, at2997[] = {0, 2, 5, 8, 10, 13, 16, 18};
    (void)state;
    for (int i = 0; i < 8; i++) {
        assert_int_equal(pz_wav2lip_window(i / 25.0, PZ_WAV2LIP_WINDOW, 0, 1000), at25[i]);
        assert_int_equal(pz_wav2lip_window(i * 1001 / 30000.0, PZ_WAV2LIP_WINDOW, 0, 1000), at2997[i]);
    }
    // Every picture of ten minutes at 25 fps, times rounded to a 90 kHz clock as films have them.
    for (int i = 0; i < 15000; i++)
        assert_int_equal(pz_wav2lip_window(rint(i / 25.0 * 90000) / 90000, PZ_WAV2LIP_WINDOW, 0, 1000000),
                         i * 80 / 25);
    assert_int_equal(pz_wav2lip_window(-0.3, PZ_WAV2LIP_WINDOW, 0, 1000), 0);
    assert_int_equal(pz_wav2lip_window(99.0, PZ_WAV2LIP_WINDOW, 0, 81), 65);
    assert_int_equal(pz_wav2lip_window(1.0, PZ_WAV2LIP_WINDOW, 0, 9), 0);
    assert_int_equal(pz_wav2lip_window(NAN, PZ_WAV2LIP_WINDOW, 0, 1000), 0);
    // A window with its picture in the middle: as far before as behind, kept inside the sound at both ends.
    assert_int_equal(pz_wav2lip_window(1.0, 32, 16, 1000), 64);
    assert_int_equal(pz_wav2lip_window(0.1, 32, 16, 1000), 0);
    assert_int_equal(pz_wav2lip_window(99.0, 32, 16, 81), 49);
    assert_int_equal(pz_wav2lip_window(1.0, 32, 16, 31), 0);
}

static void mfcc(void **state)
{
    static const double f0[] = {20.60306, -14.11414, -4.677131, 5.090333, 30.71851};
    static const double f50[] = {20.597304, -13.001312, -3.429256, 5.935784, 28.994290};
    struct pz_mfcc *m;
    float *x = signal_of(), out[99 * 13];
    (void)state;
    for (int i = 0; i < N; i++)
        x[i] = (float)(rint(x[i] * 20000.0) / 32768.0);
    assert_int_equal(pz_mfcc_frames(N), 99);
    assert_int_equal(pz_mfcc_frames(400), 1);
    assert_int_equal(pz_mfcc_frames(401), 2);
    assert_int_equal(pz_mfcc_create(NULL, &m), PZ_OK);
    pz_mfcc_run(m, x, N, 0, 99, out);
    struct stats s = stats_of(out, 99 * 13);
    near_to(s.mean, -6.119993, 5e-5);
    near_to(s.std, 21.32328, 5e-5);
    for (int k = 0; k < 5; k++) {
        near_to(out[k], f0[k], 5e-5);
        near_to(out[50 * 13 + k], f50[k], 5e-5);
    }
    pz_mfcc_destroy(&m);
    pz_free(x);
}

static void whisper_mel(void **state)
{
    struct pz_whisper_mel *m;
    float *x = signal_of(), *out = pz_calloc(3000 * 80, sizeof *out);
    (void)state;
    assert_non_null(out);
#define W(band, time) out[(time)*80 + (band)]
    assert_int_equal(pz_whisper_mel_create(NULL, 80, &m), PZ_OK);
    assert_int_equal(pz_whisper_mel_frames(N, 0), 100);
    pz_whisper_mel_run(m, x, N, 0, out);
    struct stats s = stats_of(out, 8000);
    near_to(s.mean, .4360241, 1e-5);
    near_to(s.std, .2600091, 1e-5);
    near_to(s.min, -.4574735, 1e-4);
    near_to(s.max, 1.368682, 1e-5);
    near_to(W(0, 0), 1.115727, 1e-5);
    near_to(W(40, 0), 1.112465, 1e-5); // flat 4000 of [80][100]
    near_to(W(79, 99), .3578390, 1e-5);
    pz_whisper_mel_run(m, x, N, PZ_WHISPER_PIECE - N, out);
    s = stats_of(out, 3000 * 80);
    near_to(s.mean, -.5952038, 1e-5);
    near_to(s.max, 1.368682, 1e-5);
    near_to(W(0, 0), 1.115727, 1e-5);
    near_to(W(11, 1285), -.6313183, 1e-5); // flat 34285 of [80][3000]
    pz_whisper_mel_destroy(&m);

    assert_int_equal(pz_whisper_mel_create(NULL, 128, &m), PZ_OK);
    pz_whisper_mel_run(m, x, N, 0, out);
    s = stats_of(out, 12800);
    near_to(s.mean, .4105829, 1e-5);
    near_to(s.std, .2611610, 1e-5);
    near_to(out[0], 1.039967, 1e-5);
    near_to(out[12799], .3749413, 1e-5);
    pz_whisper_mel_destroy(&m);
    assert_int_equal(pz_whisper_mel_create(NULL, 96, &m), PZ_ERR_USAGE);
    pz_free(out);
    pz_free(x);
}

static void silence_is_finite(void **state)
{
    struct pz_whisper_mel *w;
    struct pz_wav2lip_mel *l;
    struct pz_mfcc *c;
    float x[500] = {0}, out[16 * 80], none = 0;
    (void)state;
    assert_int_equal(pz_whisper_mel_create(NULL, 80, &w), PZ_OK);
    assert_int_equal(pz_wav2lip_mel_create(NULL, PZ_MEL_PAD_REFLECT, &l), PZ_OK);
    assert_int_equal(pz_mfcc_create(NULL, &c), PZ_OK);
    pz_whisper_mel_run(w, x, 500, 0, out);
    for (int i = 0; i < 3 * 80; i++)
        near_to(out[i], -1.5, 1e-6); // log10(1e-10) = −10
    pz_wav2lip_mel_run(l, x, 500, 0, 3, out);
    for (int i = 0; i < 3 * 80; i++)
        near_to(out[i], -4, 0);
    pz_wav2lip_mel_run(l, &none, 0, 0, 1, out);
    near_to(out[0], -4, 0);
    pz_mfcc_run(c, x, 500, 0, 2, out);
    for (int i = 0; i < 26; i++)
        assert_true(isfinite(out[i]));
    pz_whisper_mel_destroy(&w);
    pz_wav2lip_mel_destroy(&l);
    pz_mfcc_destroy(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hash_is_the_sheets), cmocka_unit_test(dft_is_the_sum), cmocka_unit_test(wav2lip_mel),
        cmocka_unit_test(wav2lip_windows),    cmocka_unit_test(mfcc),           cmocka_unit_test(whisper_mel),
        cmocka_unit_test(silence_is_finite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
