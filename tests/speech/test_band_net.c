// The networks that listen in bands: all that the program holds are there with the outputs their users read,
// bands share the bins out, silence and little sound are no error, and what is heard does not depend on
// level.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/rng.h"
#include "speech/band_net.h"
#include "speech/phones.h"
#include "speech/sounds.h"

#define SEED 61
#define SAMPLES 32000

static void every_use_has_a_network(void **state)
{
    static const int heads[] = {[PZ_BAND_NET_EDGES] = 3 * PZ_PH_COUNT,
                                [PZ_BAND_NET_WORDS] = 3 * PZ_PH_COUNT,
                                [PZ_BAND_NET_NOISE] = PZ_BANDS};

    (void)state;
    for (int what = PZ_BAND_NET_EDGES; what <= PZ_BAND_NET_NOISE; what++) {
        struct pz_band_net net;
        int i = 0, before = 0, n = 0;

        for (;; n++) {
            assert_int_equal(pz_band_net_next((enum pz_band_net_for)what, &i, &net), PZ_OK);
            if (net.width == 0)
                break;
            assert_true(i > before);
            assert_true(net.width >= 32 && net.width <= 1024);
            assert_true(net.n_blocks >= 1 && net.n_blocks <= PZ_BAND_BLOCKS);
            assert_int_equal(net.heads, heads[what]);
            assert_int_equal(net.out.in, net.width);
            assert_int_equal(net.out.out, net.heads);
            for (int b = 0; b < net.n_blocks; b++) {
                assert_true(net.dilations[b] >= 1);
                assert_int_equal(net.blocks[b].up.out, 2 * net.width);
                assert_int_equal(net.blocks[b].down.in, 2 * net.width);
            }
            before = i;
            pz_band_net_free(&net);
        }
        assert_true(n >= 1);
    }
}

static void bands_share_the_bins_out(void **state)
{
    (void)state;
    for (int k = 0; k < PZ_BAND_BINS; k++) {
        double sum = 0.0;

        for (int b = 0; b < PZ_BANDS; b++) {
            const float v = pz_band_share(1.0, b, k);

            assert_true(v >= 0.0f && v <= 1.0f);
            sum += (double)v;
        }
        assert_true(sum < 1.0 + 1e-5);
        if (k >= 8 && k <= 200) // between the middles of the first band and the last
            assert_true(sum > 1.0 - 1e-5);
    }
    // A smaller head's resonances lie higher: its band is found at a lower bin.
    for (int k = 20; k < 100; k++)
        for (int b = 0; b < PZ_BANDS; b++)
            assert_true(fabsf(pz_band_share(2.0, b, k) - pz_band_share(1.0, b, 2 * k)) < 1e-5f);
}

/** What the network of words says of x [n], into `out` [frames][heads]; how many numbers. */
static int64_t hear(const float *x, int64_t n, struct pz_pool *pool, float *out)
{
    struct pz_band_net net;
    struct pz_band_room room;
    int i = 0;
    int64_t many;

    assert_int_equal(pz_band_net_next(PZ_BAND_NET_WORDS, &i, &net), PZ_OK);
    assert_int_equal(pz_band_room_make(x, n, &net, pool, &room), PZ_OK);
    assert_int_equal(room.frames, n / PZ_SOUNDS_HOP);
    assert_int_equal(pz_band_net_run(&net, 1.0, &room), PZ_OK);
    many = room.frames * net.heads;
    for (int64_t k = 0; k < many; k++)
        assert_true(isfinite(room.out[k]));
    memcpy(out, room.out, (size_t)many * sizeof *out);
    pz_band_room_free(&room);
    pz_band_net_free(&net);
    return many;
}

static void level_does_not_matter(void **state)
{
    static float x[SAMPLES], loud[SAMPLES / PZ_SOUNDS_HOP * 3 * PZ_PH_COUNT],
        soft[SAMPLES / PZ_SOUNDS_HOP * 3 * PZ_PH_COUNT];
    struct pz_rng r;
    int64_t n;

    (void)state;
    print_message("seed %d\n", SEED);
    pz_rng_init(&r, SEED, 0);
    for (int i = 0; i < SAMPLES; i++)
        x[i] = 0.1f * pz_rng_normal(&r) * (float)(1.0 + sin(i * 0.003));
    n = hear(x, SAMPLES, NULL, loud);
    for (int i = 0; i < SAMPLES; i++)
        x[i] *= 0.1f;
    assert_int_equal(hear(x, SAMPLES, NULL, soft), n);
    for (int64_t k = 0; k < n; k++)
        assert_true(fabsf(loud[k] - soft[k]) < 1e-2f + 1e-3f * fabsf(loud[k]));
    for (int i = 0; i < SAMPLES; i++)
        x[i] = 0.0f;
    assert_int_equal(hear(x, SAMPLES, NULL, loud), n);
    assert_int_equal(hear(x, PZ_SOUNDS_HOP, NULL, loud), 3 * PZ_PH_COUNT);
    assert_int_equal(hear(x, PZ_SOUNDS_HOP - 1, NULL, loud), 0);
}

static void threads_hear_the_same(void **state)
{
    static float x[SAMPLES], one[SAMPLES / PZ_SOUNDS_HOP * 3 * PZ_PH_COUNT],
        many[SAMPLES / PZ_SOUNDS_HOP * 3 * PZ_PH_COUNT];
    struct pz_pool *pool = pz_pool_create(3);
    struct pz_rng r;

    (void)state;
    assert_non_null(pool);
    print_message("seed %d\n", SEED);
    pz_rng_init(&r, SEED, 1);
    for (int i = 0; i < SAMPLES; i++)
        x[i] = 0.1f * pz_rng_normal(&r) * (float)(1.0 + sin(i * 0.002));
    for (int64_t n = SAMPLES; n > 0; n -= n / 2 + 37 * PZ_SOUNDS_HOP) {
        const int64_t count = hear(x, n, NULL, one);

        memset(many, 0, sizeof many);
        assert_int_equal(hear(x, n, pool, many), count);
        assert_memory_equal(one, many, (size_t)count * sizeof *one);
    }
    pz_pool_destroy(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_use_has_a_network), cmocka_unit_test(bands_share_the_bins_out),
        cmocka_unit_test(level_does_not_matter), cmocka_unit_test(threads_hear_the_same)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
