/* .tflite: the seed file gives the numbers it was made for on both backends; every cut and many flips are
 * refused or run without harm; the official networks, where they are fetched, agree between the backends. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "tensor/plan.h"
#include "weights/tflite.h"

#define SEED_FILE PZ_SOURCE_DIR "/fuzz/corpus/tflite/small"

struct net {
    struct pz_plan *plan;
    struct pz_session *s;
};

static struct net open_net(const char *path, enum pz_backend backend)
{
    struct net n;
    struct pz_graph *g;
    struct pz_plan_params p = pz_plan_default;
    p.backend = backend;
    assert_int_equal(pz_tflite_load(NULL, path, &g), PZ_OK);
    assert_int_equal(pz_plan_create(&g, &p, NULL, &n.plan), PZ_OK);
    assert_int_equal(pz_session_create(n.plan, NULL, &n.s), PZ_OK);
    return n;
}

static void close_net(struct net *n)
{
    pz_session_destroy(&n->s);
    pz_plan_destroy(&n->plan);
}

/* Run both backends on the same smooth picture; worst difference relative to the largest value of each
 * output. */
static double disagreement(const char *path)
{
    struct net a = open_net(path, PZ_BACKEND_REF), b = open_net(path, PZ_BACKEND_CPU);
    struct pz_view x = pz_session_input(a.s, NULL, 0), y = pz_session_input(b.s, NULL, 0);
    double worst = 0;
    for (size_t i = 0; i < pz_shape_count(&x.shape); i++)
        ((float *)x.data)[i] = ((float *)y.data)[i] = 0.5f + 0.4f * sinf((float)i * 0.0007f);
    pz_session_run(a.s, NULL);
    pz_session_run(b.s, NULL);
    for (int o = 0; pz_session_output(a.s, NULL, o).data; o++) {
        struct pz_view u = pz_session_output(a.s, NULL, o), v = pz_session_output(b.s, NULL, o);
        double top = 1;
        for (size_t i = 0; i < pz_shape_count(&u.shape); i++)
            top = fmax(top, fabs((double)((float *)u.data)[i]));
        for (size_t i = 0; i < pz_shape_count(&u.shape); i++) {
            double d = fabs((double)((float *)u.data)[i] - (double)((float *)v.data)[i]) / top;
            worst = d <= worst ? worst : d; /* NaN wins */
        }
    }
    close_net(&a);
    close_net(&b);
    return worst;
}

static void seed_file_gives_its_numbers(void **state)
{
    struct net n = open_net(SEED_FILE, PZ_BACKEND_REF);
    struct pz_view x = pz_session_input(n.s, "input", 0), moved = pz_session_output(n.s, "moved", 0);
    assert_int_equal(pz_shape_count(&x.shape), 6 * 6 * 3);
    assert_int_equal(pz_shape_count(&moved.shape), 24);
    for (size_t i = 0; i < 108; i++)
        ((float *)x.data)[i] = 0;
    pz_session_run(n.s, NULL);
    /* with a black picture the convolution is its bias, PReLU takes a tenth of the second channel, the
     * depthwise sums differ at the border; z of the points is untouched: point 0 has the third channel of
     * pooled pixel (0,0) */
    const float *p = moved.data;
    double sum = 0;
    for (int i = 0; i < 9; i++)
        sum += 0.05 * ((4 * i + 2) % 5);
    assert_float_equal(p[2], 0.3 + 0.3 * sum,
                       1e-5); /* max pool picks the interior pixel, where all nine taps count */
    close_net(&n);
    assert_true(disagreement(SEED_FILE) < 1e-5);
}

static void broken_files_do_no_harm(void **state)
{
    char *data;
    size_t n, refused = 0, total = 0;
    assert_int_equal(pz_file_read(NULL, SEED_FILE, 1 << 20, &data, &n), PZ_OK);
    uint64_t seed = 77;
    print_message("seed %llu\n", (unsigned long long)seed);
    struct pz_rng r;
    pz_rng_init(&r, seed, 0);
    for (size_t cut = 0; cut < n; cut += 3, total++) { /* exact-size copies: asan sees every over-read */
        struct pz_graph *g;
        char *copy = malloc(cut ? cut : 1);
        memcpy(copy, data, cut);
        refused += pz_tflite_parse(NULL, copy, cut, "cut", &g) != PZ_OK;
        pz_graph_destroy(&g);
        free(copy);
    }
    assert_true(refused > total * 9 / 10);
    for (int i = 0; i < 3000; i++) {
        struct pz_graph *g;
        char *copy = malloc(n);
        memcpy(copy, data, n);
        for (int k = 0; k < 1 + (i & 3); k++)
            copy[pz_rng_below(&r, (uint32_t)n)] = (char)pz_rng_u32(&r);
        if (pz_tflite_parse(NULL, copy, n, "flip", &g) == PZ_OK)
            pz_graph_destroy(&g);
        assert_null(g);
        free(copy);
    }
    pz_free(data);
}

static void official_networks_agree(void **state)
{
    static const char *const names[] = {"face_detection_short_range.tflite",
                                        "face_landmark_with_attention.tflite"};
    const char *env = getenv("PERSONALIZE_MODELS"), *home = getenv("HOME");
    int found = 0;
    for (int i = 0; i < 2; i++) {
        char *path =
            env ? pz_asprintf("%s/mediapipe/%s", env, names[i])
                : pz_asprintf("%s/.cache/personalize/models/mediapipe/%s", home ? home : "", names[i]);
        if (pz_file_exists(path)) {
            double d = disagreement(path);
            print_message("%s: %.3g\n", names[i], d);
            assert_true(d < 1e-4);
            found++;
        }
        pz_free(path);
    }
    if (!found)
        skip();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seed_file_gives_its_numbers),
        cmocka_unit_test(broken_files_do_no_harm),
        cmocka_unit_test(official_networks_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
