// Words in what the network hears: their phones fit where they were said, others' do not.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "speech/sounds.h"
#include "said.h"

#define SEED 21

static const struct pz_job job;

static void words_fit_where_they_are(void **state)
{
    const struct pz_keyword *k[2] = {&lisbon, &saved};
    struct pz_phone_line truth = {0};
    struct pz_sounds heard;
    int64_t n, start = 0, end = 0;
    float *x = sentence(&job, SENTENCE, 20.0, SEED, &n, &truth), there, other, silent;

    (void)state;
    assert_int_equal(pz_sounds_listen(x, n, PZ_SOUNDS_WORDS, NULL, &heard), PZ_OK);
    for (int i = 0; i < 2; i++) {
        run_of(&truth, &k[i]->prons[0], 0, &start, &end);
        assert_int_equal(pz_sounds_fit(&heard, k[i], start - 1600, end + 1600, &there), PZ_OK);
        assert_int_equal(pz_sounds_fit(&heard, &absent, start - 1600, end + 1600, &other), PZ_OK);
        assert_int_equal(pz_sounds_fit(&heard, k[i], 0, LEAD - 1600, &silent), PZ_OK);
        print_message("word %d: %.2f, another word there %.2f, in silence %.2f\n", i, (double)there,
                      (double)other, (double)silent);
        assert_true(there > other + 0.5f && there > silent + 1.0f);
    }
    assert_int_equal(pz_sounds_fit(&heard, &lisbon, n + 5, n + 10, &there), PZ_OK); // nothing there
    assert_true(there < -4.0f);
    pz_sounds_free(&heard);
    pz_free(x);
    pz_phone_line_free(&truth);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(words_fit_where_they_are)};

    print_message("seed %d\n", SEED);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
