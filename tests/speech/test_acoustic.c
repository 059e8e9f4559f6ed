// The recogniser's acoustic model as we read it: phones have their neighbours, damaged files are refused.
// What its scores are worth is in test_places.c.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "speech/acoustic.h"

#define SEED 33
#define MODEL "/usr/share/pocketsphinx/model/en-us/en-us"
#define CHECKSUM 4 /* bytes behind the last number of means and variances */

/** States of a phone depend on its neighbours and its place in the word. */
static void phones_are_heard_in_context(void **state)
{
    const struct pz_pron tan = {.phones = {PZ_PH_T, PZ_PH_AE, PZ_PH_N}, .n = 3},
                         man = {.phones = {PZ_PH_M, PZ_PH_AE, PZ_PH_N}, .n = 3};
    uint16_t t[9], m[9];
    struct pz_acoustic *a;
    int same = 0;

    (void)state;
    assert_int_equal(pz_acoustic_open(NULL, MODEL, &a), PZ_OK);
    pz_acoustic_chain(a, &tan, t);
    pz_acoustic_chain(a, &man, m);
    for (int i = 3; i < 6; i++)
        same += t[i] == m[i];
    assert_true(same < 3);
    pz_acoustic_chain(a, &man, t);
    assert_memory_equal(t, m, sizeof t);
    pz_acoustic_close(&a);
}

static const char *const files[] = {"mdef", "means", "variances", "sendump"};

static void damaged_models_are_refused(void **state)
{
    char *dir = pz_asprintf("%s/pz-model-%d", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp", (int)getpid());
    char *data[4];
    size_t n[4];
    struct pz_acoustic *a;
    struct pz_rng r;

    (void)state;
    print_message("seed %d\n", SEED);
    pz_rng_init(&r, SEED, 1);
    assert_int_equal(pz_make_dirs(NULL, dir), PZ_OK);
    assert_int_equal(pz_acoustic_open(NULL, dir, &a), PZ_ERR_WEIGHTS); // nothing there
    for (int i = 0; i < 4; i++) {
        char *from = pz_path_join(MODEL, files[i]), *to = pz_path_join(dir, files[i]);

        assert_int_equal(pz_file_read(NULL, from, 1 << 26, &data[i], &n[i]), PZ_OK);
        assert_int_equal(pz_file_write(NULL, to, data[i], n[i]), PZ_OK);
        pz_free(from);
        pz_free(to);
    }
    assert_int_equal(pz_acoustic_open(NULL, dir, &a), PZ_OK);
    pz_acoustic_close(&a);
    for (int i = 1; i < 3; i++) { // the last mean or variance is no number, or far too large
        char *to = pz_path_join(dir, files[i]);
        const float wrong[] = {NAN, -INFINITY, 1e30f};
        char was[sizeof *wrong], *last = data[i] + n[i] - sizeof was - CHECKSUM;

        memcpy(was, last, sizeof was);
        for (int k = 0; k < 3; k++) {
            memcpy(last, &wrong[k], sizeof was);
            assert_int_equal(pz_file_write(NULL, to, data[i], n[i]), PZ_OK);
            assert_int_equal(pz_acoustic_open(NULL, dir, &a), PZ_ERR_WEIGHTS);
        }
        memcpy(last, was, sizeof was);
        assert_int_equal(pz_file_write(NULL, to, data[i], n[i]), PZ_OK);
        pz_free(to);
    }
    for (int i = 0; i < 4; i++) {
        char *to = pz_path_join(dir, files[i]);

        for (int k = 0; k < 6; k++) { // cut short
            size_t keep = k == 0   ? 0
                          : k == 1 ? n[i] - (i == 3 ? 1 : 64)
                                   : (size_t)(pz_rng_uniform(&r) * (float)n[i] * 0.9f);

            assert_int_equal(pz_file_write(NULL, to, data[i], keep), PZ_OK);
            assert_int_equal(pz_acoustic_open(NULL, dir, &a), PZ_ERR_WEIGHTS);
        }
        for (int k = 0; k < 12;
             k++) { // a byte of the head, where counts are, turned over: refused or harmless
            size_t at = (size_t)(pz_rng_uniform(&r) * 1500.0f);
            char was = data[i][at];

            data[i][at] = (char)~was;
            assert_int_equal(pz_file_write(NULL, to, data[i], n[i]), PZ_OK);
            if (pz_acoustic_open(NULL, dir, &a) == PZ_OK)
                pz_acoustic_close(&a);
            data[i][at] = was;
        }
        assert_int_equal(pz_file_write(NULL, to, data[i], n[i]), PZ_OK);
        pz_free(to);
    }
    for (int i = 0; i < 4; i++)
        pz_free(data[i]);
    pz_remove_tree(dir);
    pz_free(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(phones_are_heard_in_context),
        cmocka_unit_test(damaged_models_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
