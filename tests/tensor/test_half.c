/* All 65536 halves survive a round trip; rounding of floats agrees with an exact search; array forms give the
 * same bits. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "tensor/dtype.h"
#include "tensor/half.h"

static void every_half_round_trips(void **state)
{
    uint16_t *h = malloc(65536 * 2), *g = malloc(65536 * 2);
    float *f = malloc(65536 * 4);
    for (int i = 0; i < 65536; i++)
        h[i] = (uint16_t)i;
    pz_f16_to_f32_array(h, f, 65536);
    pz_f32_to_f16_array(f, g, 65536);
    for (int i = 0; i < 65536; i++) {
        float one = pz_f16_to_f32((uint16_t)i);
        assert_memory_equal(&one, &f[i], 4);
        bool nan = (i & 0x7c00) == 0x7c00 && (i & 0x3ff);
        int want = nan ? i | 0x200 : i;
        assert_int_equal(g[i], want);
        assert_int_equal(pz_f32_to_f16(f[i]), want);
    }
    free(h);
    free(g);
    free(f);
}

static void rounding_is_nearest_even(void **state)
{
    for (int i = 0; i < 0x7bff; i++) { /* between each half and the next */
        float a = pz_f16_to_f32((uint16_t)i), b = pz_f16_to_f32((uint16_t)(i + 1)), mid = (a + b) / 2;
        assert_int_equal(pz_f32_to_f16(mid), i & 1 ? i + 1 : i);
        assert_int_equal(pz_f32_to_f16(nextafterf(mid, 1e9f)), i + 1);
        assert_int_equal(pz_f32_to_f16(-nextafterf(mid, 0)), i | 0x8000);
    }
    assert_int_equal(pz_f32_to_f16(65519.0f), 0x7bff);
    assert_int_equal(pz_f32_to_f16(65520.0f), 0x7c00);
    assert_int_equal(pz_f32_to_f16(INFINITY), 0x7c00);
    assert_int_equal(pz_f32_to_bf16(1.0f), 0x3f80);
    assert_int_equal(pz_f32_to_bf16(1.00390625f), 0x3f80); /* tie, even stays */
    assert_int_equal(pz_f32_to_bf16(1.01171875f), 0x3f82); /* tie, odd goes up */
    assert_true(isnan(pz_bf16_to_f32(pz_f32_to_bf16(NAN))));
}

static void arrays_match_scalars(void **state)
{
    uint64_t seed = 20260;
    print_message("seed %llu\n", (unsigned long long)seed);
    struct pz_rng r;
    pz_rng_init(&r, seed, 0);
    float f[1003];
    uint16_t h[1003];
    for (int i = 0; i < 1003; i++) {
        uint32_t u = pz_rng_u32(&r);
        memcpy(&f[i], &u, 4);
        if (isnan(f[i]))
            f[i] = 0;
    }
    pz_f32_to_f16_array(f, h, 1003);
    for (int i = 0; i < 1003; i++)
        assert_int_equal(h[i], pz_f32_to_f16(f[i]));
    f[17] = NAN;
    f[18] = -INFINITY;
    pz_f32_to_bf16_array(f, h, 1003);
    for (int i = 0; i < 1003; i++)
        assert_int_equal(h[i], pz_f32_to_bf16(f[i]));
    pz_bf16_to_f32_array(h, f, 1003);
    for (int i = 0; i < 1003; i++) {
        float one = pz_bf16_to_f32(h[i]);
        assert_memory_equal(&one, &f[i], 4);
    }
}

static void dtype_names(void **state)
{
    for (int i = 0; i < PZ_DTYPE_COUNT; i++)
        assert_int_equal(
            pz_dtype_from_name(pz_dtype_name((enum pz_dtype)i), strlen(pz_dtype_name((enum pz_dtype)i))), i);
    assert_int_equal(pz_dtype_from_name("F8_E4M3", 7), PZ_DTYPE_COUNT);
    assert_int_equal(pz_dtype_size(PZ_DTYPE_COUNT), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_half_round_trips),
        cmocka_unit_test(rounding_is_nearest_even),
        cmocka_unit_test(arrays_match_scalars),
        cmocka_unit_test(dtype_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
