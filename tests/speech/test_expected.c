// The recogniser told of wanted words, with scores of both ears, in noise: it writes the ones that are said
// where they are said, and the one that nobody says nowhere.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "speech/ears.h"
#include "speech/expected.h"
#include "speech/sounds.h"
#include "said.h"

#define NOISE_SEED 41

static struct pz_job job;

static int count(const struct pz_words *w, const char *text)
{
    int n = 0;

    for (int i = 0; i < w->n; i++)
        n += strcmp(w->items[i].text, text) == 0;
    return n;
}

static void told_words_are_written(void **state)
{
    static const struct pz_keyword *const told[] = {&absent, &lisbon, &saved};
    struct pz_phone_line truth = {0};
    struct pz_sounds heard;
    struct pz_words words = {0};
    struct pz_ears *ears;
    int64_t n;
    float *x = sentence(&job, SENTENCE, 20.0, NOISE_SEED, &n, &truth);

    (void)state;
    print_message("seed %d\n", NOISE_SEED);
    assert_int_equal(pz_ears_open(NULL, &job, &ears), PZ_OK);
    assert_int_equal(pz_sounds_listen(x, n, PZ_SOUNDS_WORDS, NULL, &heard), PZ_OK);
    assert_int_equal(pz_ears_expect(ears, told, 3, 0.01), PZ_OK);
    assert_int_equal(pz_ears_words(ears, x, n, 1000, &heard, &words), PZ_OK);
    for (int i = 0; i < words.n; i++) {
        print_message("%s ", words.items[i].text);
        if (pz_expected_index(words.items[i].text) == 1) { // "Lisbon": its L and its N
            int64_t start = 0, end = 0;

            for (int k = 0; k + 5 < truth.n; k++)
                if (truth.items[k].id == PZ_PH_L && truth.items[k + 1].id == PZ_PH_IH &&
                    truth.items[k + 2].id == PZ_PH_Z) {
                    start = truth.items[k].start + 1000;
                    end = truth.items[k + 5].end + 1000;
                }
            assert_true(end > start);
            assert_true(llabs(words.items[i].start - start) < 1600);
            assert_true(llabs(words.items[i].end - end) < 1600);
        }
    }
    print_message("\n");
    assert_int_equal(count(&words, "@0.0"), 0);
    assert_int_equal(count(&words, "@1.0"), 1);
    assert_int_equal(count(&words, "@2.0"), 1);
    pz_words_free(&words);
    pz_ears_expect_nothing(ears);
    // Told of nothing it writes no such word.
    assert_int_equal(pz_ears_words(ears, x, n, 0, NULL, &words), PZ_OK);
    for (int i = 0; i < words.n; i++)
        assert_int_equal(pz_expected_index(words.items[i].text), -1);
    pz_words_free(&words);
    pz_sounds_free(&heard);
    pz_ears_close(&ears);
    pz_free(x);
    pz_phone_line_free(&truth);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(told_words_are_written)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
