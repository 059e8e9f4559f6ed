/* Metrics against published values and closed forms. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/rng.h"
#include "image/color.h"
#include "image/filter.h"
#include "image/metrics.h"
#include "scene.h"

#define NEAR(a, b, tol)                                                                                      \
    do {                                                                                                     \
        double near_a = (a), near_b = (b);                                                                   \
        if (!(fabs(near_a - near_b) <= (tol)))                                                               \
            fail_msg("%s = %.9g, wanted %.9g within %g", #a, near_a, near_b, (double)(tol));                 \
    } while (0)

/* Sharma, Wu, Dalal 2005, table 1: all 34 pairs. */
static const float pairs[34][7] = {
    {50.0000f, 2.6772f, -79.7751f, 50.0000f, 0.0000f, -82.7485f, 2.0425f},
    {50.0000f, 3.1571f, -77.2803f, 50.0000f, 0.0000f, -82.7485f, 2.8615f},
    {50.0000f, 2.8361f, -74.0200f, 50.0000f, 0.0000f, -82.7485f, 3.4412f},
    {50.0000f, -1.3802f, -84.2814f, 50.0000f, 0.0000f, -82.7485f, 1.0000f},
    {50.0000f, -1.1848f, -84.8006f, 50.0000f, 0.0000f, -82.7485f, 1.0000f},
    {50.0000f, -0.9009f, -85.5211f, 50.0000f, 0.0000f, -82.7485f, 1.0000f},
    {50.0000f, 0.0000f, 0.0000f, 50.0000f, -1.0000f, 2.0000f, 2.3669f},
    {50.0000f, -1.0000f, 2.0000f, 50.0000f, 0.0000f, 0.0000f, 2.3669f},
    {50.0000f, 2.4900f, -0.0010f, 50.0000f, -2.4900f, 0.0009f, 7.1792f},
    {50.0000f, 2.4900f, -0.0010f, 50.0000f, -2.4900f, 0.0010f, 7.1792f},
    {50.0000f, 2.4900f, -0.0010f, 50.0000f, -2.4900f, 0.0011f, 7.2195f},
    {50.0000f, 2.4900f, -0.0010f, 50.0000f, -2.4900f, 0.0012f, 7.2195f},
    {50.0000f, -0.0010f, 2.4900f, 50.0000f, 0.0009f, -2.4900f, 4.8045f},
    {50.0000f, -0.0010f, 2.4900f, 50.0000f, 0.0010f, -2.4900f, 4.8045f},
    {50.0000f, -0.0010f, 2.4900f, 50.0000f, 0.0011f, -2.4900f, 4.7461f},
    {50.0000f, 2.5000f, 0.0000f, 50.0000f, 0.0000f, -2.5000f, 4.3065f},
    {50.0000f, 2.5000f, 0.0000f, 73.0000f, 25.0000f, -18.0000f, 27.1492f},
    {50.0000f, 2.5000f, 0.0000f, 61.0000f, -5.0000f, 29.0000f, 22.8977f},
    {50.0000f, 2.5000f, 0.0000f, 56.0000f, -27.0000f, -3.0000f, 31.9030f},
    {50.0000f, 2.5000f, 0.0000f, 58.0000f, 24.0000f, 15.0000f, 19.4535f},
    {50.0000f, 2.5000f, 0.0000f, 50.0000f, 3.1736f, 0.5854f, 1.0000f},
    {50.0000f, 2.5000f, 0.0000f, 50.0000f, 3.2972f, 0.0000f, 1.0000f},
    {50.0000f, 2.5000f, 0.0000f, 50.0000f, 1.8634f, 0.5757f, 1.0000f},
    {50.0000f, 2.5000f, 0.0000f, 50.0000f, 3.2592f, 0.3350f, 1.0000f},
    {60.2574f, -34.0099f, 36.2677f, 60.4626f, -34.1751f, 39.4387f, 1.2644f},
    {63.0109f, -31.0961f, -5.8663f, 62.8187f, -29.7946f, -4.0864f, 1.2630f},
    {61.2901f, 3.7196f, -5.3901f, 61.4292f, 2.2480f, -4.9620f, 1.8731f},
    {35.0831f, -44.1164f, 3.7933f, 35.0232f, -40.0716f, 1.5901f, 1.8645f},
    {22.7233f, 20.0904f, -46.6940f, 23.0331f, 14.9730f, -42.5619f, 2.0373f},
    {36.4612f, 47.8580f, 18.3852f, 36.2715f, 50.5065f, 21.2231f, 1.4146f},
    {90.8027f, -2.0831f, 1.4410f, 91.1528f, -1.6435f, 0.0447f, 1.4441f},
    {90.9257f, -0.5406f, -0.9208f, 88.6381f, -0.8985f, -0.7239f, 1.5381f},
    {6.7747f, -0.2908f, -2.4247f, 5.8714f, -0.0985f, -2.2286f, 0.6377f},
    {2.0776f, 0.0795f, -1.1350f, 0.9033f, -0.0636f, -0.5514f, 0.9082f},
};

static void ciede2000_table(void **state)
{
    for (int i = 0; i < 34; i++) {
        NEAR(pz_metric_ciede2000(pairs[i], pairs[i] + 3), pairs[i][6], 1e-4);
        /* Symmetric except where the two hues are exactly opposite. */
        NEAR(pz_metric_ciede2000(pairs[i] + 3, pairs[i]), pairs[i][6], 1e-4);
    }
}

static void lab_of_known_colours(void **state)
{
    const float white[3] = {1, 1, 1}, red[3] = {1, 0, 0}, grey[3] = {0.5f, 0.5f, 0.5f};
    float lab[3];
    pz_color_lab(white, lab);
    NEAR(lab[0], 100, 0.01);
    NEAR(lab[1], 0, 0.02);
    NEAR(lab[2], 0, 0.02);
    pz_color_lab(red, lab);
    NEAR(lab[0], 53.24, 0.02);
    NEAR(lab[1], 80.09, 0.05);
    NEAR(lab[2], 67.20, 0.05);
    pz_color_lab(grey, lab);
    NEAR(lab[0], 53.39, 0.02);
}

static void psnr_closed_form(void **state)
{
    float a[100], b[100];
    for (int i = 0; i < 100; i++) {
        a[i] = 0.5f;
        b[i] = i & 1 ? 0.51f : 0.49f;
    }
    NEAR(pz_metric_psnr(a, b, 100, 1), 40, 1e-4);
    assert_true(isinf(pz_metric_psnr(a, a, 100, 1)));
    assert_true(isnan(pz_metric_psnr(a, b, 0, 1)));
}

static void ssim_known_cases(void **state)
{
    enum { W = 40, H = 33 };
    static float a[W * H], b[W * H], c[W * H];
    struct pz_rng r;
    pz_rng_init(&r, 5, 0);
    for (int i = 0; i < W * H; i++) {
        a[i] = pz_rng_uniform(&r);
        b[i] = 1 - a[i];
        c[i] = 0.25f;
    }
    double s;
    assert_int_equal(pz_metric_ssim(a, a, W, H, 1, &s), PZ_OK);
    NEAR(s, 1, 1e-6);
    assert_int_equal(pz_metric_ssim(a, b, W, H, 1, &s), PZ_OK);
    assert_true(s < -0.5); /* inverted structure */
    /* Constants 0.25 and 0.75: only the luminance term is left, (2·.25·.75+C1)/(.25²+.75²+C1). */
    for (int i = 0; i < W * H; i++)
        b[i] = 0.75f;
    assert_int_equal(pz_metric_ssim(c, b, W, H, 1, &s), PZ_OK);
    NEAR(s, (2 * 0.25 * 0.75 + 1e-4) / (0.0625 + 0.5625 + 1e-4), 1e-5);
    assert_int_equal(pz_metric_ssim(a, b, 10, 40, 1, &s), PZ_ERR_USAGE);
    assert_true(isnan(s));
}

static void laplacian_and_noise(void **state)
{
    enum { N = 200 };
    float *p = pz_calloc(N * N, sizeof *p);
    struct pz_rng r;
    pz_rng_init(&r, 11, 0);
    for (int y = 0; y < N; y++)
        for (int x = 0; x < N; x++)
            p[y * N + x] = 3.0f * x - 2.0f * y;
    NEAR(pz_laplacian_variance(p, N, N, N), 0, 1e-6);
    NEAR(pz_noise_sigma(p, N, N, N), 0, 0.02);
    for (int i = 0; i < N * N; i++)
        p[i] += 2.5f * pz_rng_normal(&r);
    NEAR(pz_noise_sigma(p, N, N, N), 2.5, 0.1);
    NEAR(pz_laplacian_variance(p, N, N, N), 20 * 2.5 * 2.5, 6); /* 1+1+1+1+16 = 20 times the variance */
    pz_free(p);
}

static void jitter_pearson_landmarks(void **state)
{
    float track[5][2][2];
    for (int t = 0; t < 5; t++)
        for (int p = 0; p < 2; p++) {
            track[t][p][0] = 2.0f * t;      /* steady: no second difference */
            track[t][p][1] = t & 1 ? 1 : 0; /* ±2 each frame */
        }
    NEAR(pz_metric_jitter(&track[0][0][0], 5, 2), 1, 1e-6);
    track[2][0][0] = NAN;
    assert_true(isnan(pz_metric_jitter(&track[0][0][0], 5, 2)));

    const float a[6] = {1, 2, 3, 4, 5, NAN}, b[6] = {10, 8, 6, 4, 2, 0}, flat[6] = {1, 1, 1, 1, 1, 1};
    NEAR(pz_metric_pearson(a, b, 6), -1, 1e-9);
    assert_true(isnan(pz_metric_pearson(a, flat, 6)));

    /* A turned, scaled and shifted copy is at distance 0; moving one mouth point by 3 px in the truth's frame
     * gives 3. */
    const float truth[4][2] = {{0, 0}, {100, 0}, {50, 60}, {50, 90}};
    float made[4][2];
    for (int i = 0; i < 4; i++) {
        made[i][0] = 0.5f * (0.8f * truth[i][0] - 0.6f * truth[i][1]) + 7;
        made[i][1] = 0.5f * (0.6f * truth[i][0] + 0.8f * truth[i][1]) - 9;
    }
    const int anchors[3] = {0, 1, 2}, mouth[1] = {3};
    NEAR(pz_metric_landmarks(truth, (const float(*)[2])made, anchors, 3, mouth, 1), 0, 1e-3);
    made[3][0] += 0.5f * 0.8f * 3;
    made[3][1] += 0.5f * 0.6f * 3;
    NEAR(pz_metric_landmarks(truth, (const float(*)[2])made, anchors, 3, mouth, 1), 3, 1e-3);
}

static void lag_is_found(void **state)
{
    enum { N = 8000 };
    static float a[N], b[N];
    struct pz_rng r;
    pz_rng_init(&r, 21, 0);
    float slow = 0;
    for (int i = 0; i < N; i++) {
        slow += 0.2f * (pz_rng_normal(&r) - slow);
        a[i] = slow;
    }
    for (int i = 0; i < N; i++)
        b[i] = i >= 37 ? 0.5f * a[i - 37] : 0;
    double peak;
    NEAR(pz_metric_lag(a, b, N, 200, &peak), 37, 0.05);
    assert_true(peak > 0.99);
    for (int i = 0; i < N; i++)
        b[i] = 0;
    assert_true(isnan(pz_metric_lag(a, b, N, 200, NULL)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ciede2000_table),     cmocka_unit_test(lab_of_known_colours),
        cmocka_unit_test(psnr_closed_form),    cmocka_unit_test(ssim_known_cases),
        cmocka_unit_test(laplacian_and_noise), cmocka_unit_test(jitter_pearson_landmarks),
        cmocka_unit_test(lag_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
