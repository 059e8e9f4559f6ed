// Listening beside other work hears what listening alone does; one that was never started is at its end.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/pool.h"
#include "base/rng.h"
#include "speech/listening.h"

#define SEED 73
#define SAMPLES 24000

static void the_same_is_heard(void **state)
{
    static float x[SAMPLES];
    struct pz_pool *pool = pz_pool_create(2);
    struct pz_sounds alone;
    struct pz_rng r;

    (void)state;
    print_message("seed %d\n", SEED);
    assert_non_null(pool);
    pz_rng_init(&r, SEED, 0);
    for (int i = 0; i < SAMPLES; i++)
        x[i] = 0.05f * pz_rng_normal(&r) * (float)(1 + i / 3000 % 3);
    assert_int_equal(pz_sounds_listen(x, SAMPLES, PZ_SOUNDS_EDGES, NULL, &alone), PZ_OK);
    for (int helped = 0; helped < 2; helped++) {
        struct pz_listening l;

        pz_listening_start(&l, x, SAMPLES, helped ? pool : NULL);
        assert_int_equal(pz_listening_end(&l), PZ_OK);
        assert_int_equal(pz_listening_end(&l), PZ_OK); // again: nothing to wait for
        assert_int_equal(l.heard.frames, alone.frames);
        assert_memory_equal(l.heard.values, alone.values,
                            (size_t)alone.frames * 3 * PZ_PH_COUNT * sizeof *alone.values);
        pz_sounds_free(&l.heard);
    }
    pz_sounds_free(&alone);
    pz_pool_destroy(&pool);
}

static void nothing_started_is_at_its_end(void **state)
{
    struct pz_listening l = {0};

    (void)state;
    assert_int_equal(pz_listening_end(&l), PZ_OK);
    assert_int_equal(l.heard.frames, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_same_is_heard),
                                       cmocka_unit_test(nothing_started_is_at_its_end)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
