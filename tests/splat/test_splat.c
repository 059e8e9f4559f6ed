/** Drawing, loss, optimiser and densify of the splat module: rungs agree, threads do not matter, a fit
 * converges. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/rng.h"
#include "splat/fit.h"

#define SEED 7

static void random_set(struct pz_splat_set *s, int n, int k, uint64_t seed)
{
    struct pz_rng rng;
    pz_rng_init(&rng, seed, 0);
    assert_int_equal(pz_splat_set_alloc(s, n, k), PZ_OK);
    s->n = n;
    for (int j = 0; j < pz_splat_planes(s); j++)
        for (int i = 0; i < n; i++) {
            float v = 0.02f * pz_rng_normal(&rng);
            if (j < 2)
                v = pz_rng_uniform(&rng) * 2.0f - 1.0f;
            else if (j < 3)
                v = 0.3f * pz_rng_uniform(&rng);
            else if (j < 4)
                v = 1.0f + pz_rng_normal(&rng);
            else if (j < 7)
                v = pz_rng_uniform(&rng);
            else if (j < 11)
                v = pz_rng_normal(&rng);
            else if (j < 14)
                v = logf(0.012f) + 0.5f * pz_rng_normal(&rng);
            pz_splat_plane(s, j)[i] = v;
        }
}

static const struct pz_splat_camera front = {{1, 0, 0, 0, 1, 0, 0, 0, 1}, 128.0f, 128.0f, 128.0f};

static void test_rungs_agree(void **state)
{
    (void)state;
    enum { W = 256, H = 256 };
    struct pz_splat_set s;
    random_set(&s, 8000, 4, SEED);
    const float m[4] = {0.5f, -1.0f, 0.2f, 2.0f};
    float *rgb[2], *through = calloc(W * H, 4);
    rgb[0] = calloc(3 * W * H, 4);
    rgb[1] = calloc(3 * W * H, 4);
    struct pz_pool *pool = pz_pool_create(2);
    for (int rung = PZ_SPLAT_REF; rung <= PZ_SPLAT_AVX512; rung++) {
        if ((int)pz_splat_rung_best((enum pz_splat_rung)rung) != rung) {
            printf("rung %d: not on this processor\n", rung);
            continue;
        }
        struct pz_splat_work *w = NULL;
        assert_int_equal(pz_splat_work_create(8000, W, H, (enum pz_splat_rung)rung, &w), PZ_OK);
        assert_int_equal(pz_splat_draw(w, &s, &front, m, NULL, rgb[rung > 0], through, NULL), PZ_OK);
        int covered = 0, off = 0;
        for (int i = 0; i < W * H; i++)
            covered += through[i] < 0.5f;
        assert_true(covered > W * H / 2);
        if (rung > 0) {
            for (int i = 0; i < 3 * W * H; i++)
                off += fabsf(rgb[0][i] - rgb[1][i]) > 1.0f / 255.0f;
            printf("rung %d: %d of %d values off by more than 1/255\n", rung, off, 3 * W * H);
            assert_true(off * 1000 <= 3 * W * H);
        }
        /* More threads, same bits. */
        float *again = calloc(3 * W * H, 4);
        assert_int_equal(pz_splat_draw(w, &s, &front, m, NULL, again, through, pool), PZ_OK);
        assert_memory_equal(again, rgb[rung > 0], sizeof(float) * 3 * W * H);
        free(again);
        pz_splat_work_destroy(&w);
    }
    pz_pool_destroy(&pool);
    free(rgb[0]);
    free(rgb[1]);
    free(through);
    pz_splat_set_free(&s);
}

static void test_front_covers_back(void **state)
{
    (void)state;
    struct pz_splat_set s;
    assert_int_equal(pz_splat_set_alloc(&s, 2, 0), PZ_OK);
    s.n = 2;
    for (int i = 0; i < 2; i++) {
        pz_splat_plane(&s, PZ_SPLAT_ROT)[i] = 1.0f;
        pz_splat_plane(&s, PZ_SPLAT_OPACITY)[i] = 20.0f;
        pz_splat_plane(&s, PZ_SPLAT_POS + 2)[i] = i ? 0.1f : -0.1f; /* the second is nearer */
        pz_splat_plane(&s, PZ_SPLAT_COLOR + i)[i] = 1.0f;
        for (int a = 0; a < 3; a++)
            pz_splat_plane(&s, PZ_SPLAT_SCALE + a)[i] = logf(0.5f);
    }
    struct pz_splat_work *w = NULL;
    assert_int_equal(pz_splat_work_create(2, 32, 32, PZ_SPLAT_AVX512, &w), PZ_OK);
    struct pz_splat_camera cam = front;
    cam.tx = cam.ty = 16.0f;
    float rgb[3 * 32 * 32], t[32 * 32];
    assert_int_equal(pz_splat_draw(w, &s, &cam, NULL, NULL, rgb, t, NULL), PZ_OK);
    const int mid = 16 * 32 + 16;
    assert_float_equal(rgb[1024 + mid], 0.99f, 1e-3);
    assert_float_equal(rgb[mid], 0.0f, 1e-3);
    /* Values that are not numbers are left out, not drawn and not followed. */
    pz_splat_plane(&s, PZ_SPLAT_POS)[0] = NAN;
    pz_splat_plane(&s, PZ_SPLAT_SCALE)[1] = INFINITY;
    assert_int_equal(pz_splat_draw(w, &s, &cam, NULL, NULL, rgb, t, NULL), PZ_OK);
    assert_true(t[mid] == 1.0f || t[mid] >= 0.0f);
    pz_splat_work_destroy(&w);
    pz_splat_set_free(&s);
    assert_int_equal(pz_splat_work_create(2, 33, 32, PZ_SPLAT_REF, &w), PZ_ERR_USAGE);
    assert_int_equal(pz_splat_set_alloc(&s, 0, 0), PZ_ERR_USAGE);
}

static void test_loss_gradient(void **state)
{
    (void)state;
    enum { W = 32, H = 24, A = W * H };
    struct pz_rng rng;
    pz_rng_init(&rng, SEED, 1);
    static float x[3 * A], y[3 * A], w[A], g[3 * A], g2[3 * A];
    for (int i = 0; i < 3 * A; i++) {
        x[i] = pz_rng_uniform(&rng);
        y[i] = 0.5f * x[i] + 0.5f * pz_rng_uniform(&rng);
    }
    for (int i = 0; i < A; i++)
        w[i] = i % 7 ? pz_rng_uniform(&rng) : 0.0f;
    for (int rung = PZ_SPLAT_REF; rung <= PZ_SPLAT_AVX512; rung += 2) {
        struct pz_splat_loss *l = NULL;
        assert_int_equal(pz_splat_loss_create(W, H, (enum pz_splat_rung)rung, &l), PZ_OK);
        assert_true(pz_splat_loss_value(l, y, y, w, 0.2f, g) < 1e-5);
        assert_true(pz_splat_loss_value(l, x, y, w, 0.2f, g) > 0.05);
        /* Directional derivatives: single values drown in float noise, sums over many pixels do not. */
        for (int trial = 0; trial < 4; trial++) {
            static float d[3 * A], p[3 * A];
            double want = 0;
            for (int i = 0; i < 3 * A; i++) {
                d[i] = pz_rng_normal(&rng);
                want += (double)g[i] * (double)d[i];
            }
            const float h = 2e-4f;
            for (int i = 0; i < 3 * A; i++)
                p[i] = x[i] + h * d[i];
            const double hi = pz_splat_loss_value(l, p, y, w, 0.2f, g2);
            for (int i = 0; i < 3 * A; i++)
                p[i] = x[i] - h * d[i];
            const double got = (hi - pz_splat_loss_value(l, p, y, w, 0.2f, g2)) / (2 * (double)h);
            double norm = 0;
            for (int i = 0; i < 3 * A; i++)
                norm += (double)g[i] * (double)g[i];
            printf("rung %d: along d %.6f, difference %.6f (|g| %.4f)\n", rung, want, got, sqrt(norm));
            assert_true(fabs(want - got) < 0.02 * sqrt(norm));
        }
        pz_splat_loss_destroy(&l);
    }
}

/** Fit a set to pictures drawn from another one; the error must fall far, and not depend on the threads. */
static double fit_toy(struct pz_pool *pool, float *params, int n_params)
{
    enum { W = 64, H = 64, STEPS = 120, BATCH = 2 };
    struct pz_splat_set truth, s;
    random_set(&truth, 200, 1, SEED);
    random_set(&s, 256, 1, SEED + 1);
    for (int i = 0; i < 200; i++)
        for (int a = 0; a < 3; a++)
            pz_splat_plane(&truth, PZ_SPLAT_SCALE + a)[i] = logf(0.08f);
    s.n = 200;
    for (int j = 0; j < 3; j++)
        memcpy(pz_splat_plane(&s, j), pz_splat_plane(&truth, j), sizeof(float) * 200);
    for (int i = 0; i < 200; i++)
        for (int a = 0; a < 3; a++)
            pz_splat_plane(&s, PZ_SPLAT_SCALE + a)[i] = logf(0.05f);
    struct pz_splat_camera cam = front;
    cam.scale = cam.tx = cam.ty = 32.0f;
    struct pz_splat_work *w = NULL;
    struct pz_splat_loss *l = NULL;
    struct pz_splat_optimiser o;
    assert_int_equal(pz_splat_work_create(256, W, H, PZ_SPLAT_AVX512, &w), PZ_OK);
    assert_int_equal(pz_splat_loss_create(W, H, PZ_SPLAT_AVX512, &l), PZ_OK);
    assert_int_equal(pz_splat_optimiser_create(&o, &s), PZ_OK);
    static float want[3 * W * H], got[3 * W * H], g[3 * W * H], weight[W * H], t[W * H];
    float *blended[BATCH], m[BATCH][1] = {{-1.0f}, {1.0f}};
    const float *mp[BATCH] = {m[0], m[1]};
    for (int b = 0; b < BATCH; b++)
        blended[b] = calloc((size_t)14 * (size_t)s.cap, sizeof(float));
    for (int i = 0; i < W * H; i++)
        weight[i] = 1.0f;
    const struct pz_splat_rates r = {.pos = 2e-3f,
                                     .opacity = 0.08f,
                                     .color = 0.02f,
                                     .rot = 0.01f,
                                     .scale = 0.02f,
                                     .move_pos = 1e-3f,
                                     .move_pos_k = 1,
                                     .move_color_k = 1,
                                     .move_opacity = 0.01f,
                                     .move_color = 0.004f};
    struct pz_rng rng;
    pz_rng_init(&rng, SEED, 3);
    double first = 0, last = 0;
    for (int step = 0; step < STEPS; step++) {
        double sum = 0;
        float score[256] = {0};
        for (int b = 0; b < BATCH; b++) {
            assert_int_equal(pz_splat_draw(w, &truth, &cam, m[b], NULL, want, t, NULL), PZ_OK);
            assert_int_equal(pz_splat_draw(w, &s, &cam, m[b], NULL, got, t, pool), PZ_OK);
            sum += pz_splat_loss_value(l, got, want, weight, 0.2f, g);
            struct pz_splat_gradient out = {.blended = blended[b], .screen = score};
            pz_splat_gradient(w, &s, &cam, m[b], NULL, g, NULL, &out);
        }
        if (step == 0)
            first = sum;
        last = sum;
        pz_splat_step(&o, &s, &r, BATCH, (const float *const *)blended, mp, PZ_SPLAT_AVX512, pool);
        if (step == 40) {
            assert_int_equal(pz_splat_densify(&s, &o, score, 10, 0.02f, &rng), 10);
            assert_int_equal(s.n, 210);
            uint8_t drop[256] = {0};
            drop[3] = drop[209] = 1;
            const float keep = pz_splat_plane(&s, 0)[4];
            assert_int_equal(pz_splat_prune(&s, &o, drop), 2);
            assert_true(pz_splat_plane(&s, 0)[3] == keep);
        }
    }
    printf("loss %.5f -> %.5f\n", first, last);
    assert_true(last < 0.35 * first);
    memcpy(params, s.data, sizeof(float) * (size_t)n_params);
    for (int b = 0; b < BATCH; b++)
        free(blended[b]);
    pz_splat_optimiser_free(&o);
    pz_splat_loss_destroy(&l);
    pz_splat_work_destroy(&w);
    pz_splat_set_free(&s);
    pz_splat_set_free(&truth);
    return last;
}

static void test_fit_converges(void **state)
{
    (void)state;
    static float a[21 * 256], b[21 * 256];
    struct pz_pool *pool = pz_pool_create(3);
    fit_toy(NULL, a, 21 * 256);
    fit_toy(pool, b, 21 * 256);
    assert_memory_equal(a, b, sizeof(a));
    pz_pool_destroy(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rungs_agree),
        cmocka_unit_test(test_front_covers_back),
        cmocka_unit_test(test_loss_gradient),
        cmocka_unit_test(test_fit_converges),
    };
    printf("seed %d\n", SEED);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
