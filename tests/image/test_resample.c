/* Published resamplings against OpenCV 5.0 and PyTorch 2.11 on a pattern without symmetry: values noted from
 * there. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "image/resample.h"

struct value {
    int at;
    double v;
};

static void pattern(float *p, int w, int h, float scale)
{
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++)
            p[y * w + x] = (float)((x * 37 + y * 61 + x * y % 23 * 5) % 256) * scale;
}

static void check(const float *p, int n, double mean, double std, const struct value *v, int n_v,
                  double tolerance)
{
    double m = 0, q = 0;
    for (int i = 0; i < n; i++)
        m += p[i] / (double)n;
    for (int i = 0; i < n; i++)
        q += (p[i] - m) * (p[i] - m) / n;
    assert_true(fabs(m - mean) < tolerance);
    assert_true(fabs(sqrt(q) - std) < tolerance);
    for (int i = 0; i < n_v; i++)
        if (!(fabs(p[v[i].at] - v[i].v) < tolerance))
            fail_msg("element %d is %.7g, should be %.7g", v[i].at, (double)p[v[i].at], v[i].v);
}

static void lanczos_then_bicubic(void **state)
{
    static const struct value up[] = {{0, -4.439286},   {1, 12.38721},    {33, 67.79274},
                                      {500, 37.166531}, {777, 76.851592}, {1023, 141.2986}},
                              back[] = {{0, -2.280694},   {1, 31.2975254},  {22, 68.672951},
                                        {400, 133.28601}, {600, 188.90211}, {839, 141.11990}};
    float src[28 * 21], a[32 * 32], b[40 * 21], scratch[64 * 64];
    (void)state;
    pattern(src, 21, 28, 1);
    struct pz_resample *r = pz_resample_create(PZ_RESAMPLE_LANCZOS4, 21, 28, 32, 32);
    assert_non_null(r);
    assert_true(pz_resample_scratch(r) <= sizeof scratch / sizeof *scratch);
    pz_resample_run(r, src, scratch, a);
    pz_resample_destroy(&r);
    check(a, 32 * 32, 126.659645, 69.079254, up, 6, 2e-3);
    r = pz_resample_create(PZ_RESAMPLE_BICUBIC, 32, 32, 21, 40);
    assert_non_null(r);
    pz_resample_run(r, a, scratch, b);
    pz_resample_destroy(&r);
    check(b, 40 * 21, 126.70745, 61.68601, back, 6, 2e-3);
    assert_null(pz_resample_create(PZ_RESAMPLE_BICUBIC, 0, 1, 1, 1));
    assert_null(pz_resample_create(PZ_RESAMPLE_BICUBIC, 1, 1, 1, 8193));
}

static void erosion_and_gauss(void **state)
{
    static const struct value two[] = {{0, 0}, {25, 0}, {200, .019607844}, {479, .56862748}},
                              six[] = {{0, 0}, {25, 0}, {200, 0}, {479, .11372549}},
                              gauss[] = {{0, .39146808}, {25, .44667634}, {200, .44341603}, {479, .55916119}};
    float q[20 * 24], scratch[20 * 24];
    (void)state;
    pattern(q, 24, 20, 1 / 255.0f);
    pz_erode_box(q, scratch, 24, 20, 2);
    check(q, 480, .21670753, .18340887, two, 4, 1e-5);
    pattern(q, 24, 20, 1 / 255.0f);
    pz_erode_box(q, scratch, 24, 20, 6);
    check(q, 480, .029305557, .030434111, six, 4, 1e-5);
    pattern(q, 24, 20, 1 / 255.0f);
    pz_gauss_taps(q, scratch, 24, 20, 7, 1.4f);
    check(q, 480, .49306336, .04493963, gauss, 4, 1e-5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(lanczos_then_bicubic),
                                       cmocka_unit_test(erosion_and_gauss)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
