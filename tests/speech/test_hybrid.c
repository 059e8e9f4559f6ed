// Scores of both ears as the recogniser takes them: every state of every frame, none better than the best,
// and the network has its say.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "speech/acoustic.h"
#include "speech/ears.h"
#include "speech/hybrid.h"
#include "speech/sounds.h"
#include "said.h"

#define NOISE_SEED 41

static struct pz_job job;

static void scores_are_those_of_both_ears(void **state)
{
    struct pz_phone_line truth = {0};
    struct pz_acoustic *a;
    struct pz_sounds heard;
    struct pz_ears *ears;
    char *data, *plain;
    size_t size, deaf_size, frames, states;
    int64_t n;
    int16_t count_of;
    float *x = sentence(&job, SENTENCE, 0.0, NOISE_SEED, &n, &truth);
    const char *body;

    (void)state;
    assert_int_equal(pz_ears_open(NULL, &job, &ears), PZ_OK);
    assert_int_equal(pz_ears_acoustic(ears, &a), PZ_OK);
    assert_int_equal(pz_sounds_listen(x, n, PZ_SOUNDS_WORDS, NULL, &heard), PZ_OK);
    assert_int_equal(pz_hybrid_scores(a, x, n, &heard, &data, &size), PZ_OK);
    body = strstr(data, "endhdr\n");
    assert_non_null(body);
    body += strlen("endhdr\n") + 4;
    memcpy(&count_of, body, sizeof count_of);
    states = (size_t)count_of;
    frames = (size - (size_t)(body - data)) / (2 * (states + 1));
    assert_int_equal((size_t)(body - data) + frames * 2 * (states + 1), size);
    assert_in_range(frames, (uintmax_t)(n / 160 - 4), (uintmax_t)(n / 160 + 1));
    for (size_t t = 0; t < frames; t++) { // the best state of every frame loses nothing, none gains
        int16_t least = INT16_MAX;

        for (size_t i = 0; i < states; i++) {
            int16_t v;

            memcpy(&v, body + 2 * (t * (states + 1) + 1 + i), sizeof v);
            assert_true(v >= 0);
            least = v < least ? v : least;
        }
        assert_int_equal(least, 0);
    }
    plain = data;
    for (int64_t t = 0; t < heard.frames; t++) // it now hears nothing but silence
        for (int p = 0; p < PZ_PH_COUNT; p++)
            heard.values[t * 3 * PZ_PH_COUNT + p] = p == PZ_PH_SIL ? 0.0f : -20.0f;
    assert_int_equal(pz_hybrid_scores(a, x, n, &heard, &data, &deaf_size), PZ_OK);
    assert_int_equal(deaf_size, size);
    assert_true(memcmp(plain, data, size) != 0);
    pz_free(plain);
    pz_free(data);
    heard.frames = 1; // too little was heard
    assert_int_equal(pz_hybrid_scores(a, x, n, &heard, &data, &size), PZ_ERR_INTERNAL);
    assert_null(data);
    pz_sounds_free(&heard);
    pz_ears_close(&ears);
    pz_free(x);
    pz_phone_line_free(&truth);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(scores_are_those_of_both_ears)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
