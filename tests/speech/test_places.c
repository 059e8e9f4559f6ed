// Words lie where they were said, words that were not said do not; what is said again looks alike.
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

#include "speech/ears.h"
#include "speech/places.h"
#include "speech/quiet.h"
#include "said.h"

#define SEED 33
#define MODEL "/usr/share/pocketsphinx/model/en-us/en-us"

static struct pz_job job;

static void words_lie_where_they_were_said(double snr_db)
{
    const struct pz_keyword *k[3] = {&lisbon, &saved, &absent};
    const struct pz_place *best[3] = {NULL};
    struct pz_phone_line truth = {0};
    struct pz_acoustic *a;
    struct pz_place *places;
    struct pz_sounds heard;
    int64_t n, start = 0, end = 0;
    double snr;
    float *x = sentence(&job, SENTENCE, snr_db, SEED, &n, &truth);
    int n_places, warp;

    assert_int_equal(pz_acoustic_open(job.log, MODEL, &a), PZ_OK);
    assert_int_equal(pz_sounds_listen(x, n, PZ_SOUNDS_WORDS, NULL, &heard), PZ_OK);
    assert_int_equal(pz_quiet(x, n, &snr), PZ_OK);
    assert_int_equal(pz_places_find(a, x, n, &heard, k, 3, &warp, &places, &n_places), PZ_OK);
    for (int i = 0; i < n_places; i++) {
        const struct pz_place *p = &places[i];

        assert_true(p->start >= 0 && p->start < p->end && p->end <= n);
        assert_int_equal(p->phones, k[p->keyword]->prons[0].n);
        for (int j = 0; j < i; j++) // the best first, none upon another
            assert_true(places[j].keyword != p->keyword || places[j].end <= p->start ||
                        p->end <= places[j].start);
        if (!best[p->keyword])
            best[p->keyword] = p;
    }
    for (int i = 0; i < 2; i++) {
        assert_non_null(best[i]);
        run_of(&truth, &k[i]->prons[0], 0, &start, &end);
        print_message("%.0f dB, word %d: fit %.2f, network %.2f, %+.0f and %+.0f ms; absent %.2f, %.2f\n",
                      snr_db, i, (double)best[i]->fit, (double)best[i]->network,
                      (double)(best[i]->start - start) / 16.0, (double)(best[i]->end - end) / 16.0,
                      (double)best[2]->fit, (double)best[2]->network);
        assert_true(llabs(best[i]->start - start) < 1280 && llabs(best[i]->end - end) < 1280);
        assert_true(best[i]->fit > best[2]->fit + 1.0f);
    }
    // The same sound gives the same; a part of a second is too short for words but no error.
    assert_int_equal(pz_sounds_fit(&heard, &lisbon, n + 5, n + 10, &(float){0}), PZ_OK);
    pz_free(places);
    assert_int_equal(pz_places_find(a, x, 100, &heard, k, 3, &warp, &places, &n_places), PZ_OK);
    assert_int_equal(n_places, 0);
    pz_free(places);
    pz_sounds_free(&heard);
    pz_acoustic_close(&a);
    pz_free(x);
    pz_phone_line_free(&truth);
}

static void in_a_quiet_room(void **state)
{
    (void)state;
    words_lie_where_they_were_said(40.0);
}

static void in_noise(void **state)
{
    (void)state;
    words_lie_where_they_were_said(15.0);
}

/** A word that a speaker says twice looks more like itself than like another of the same length. */
static void said_again_looks_alike(void **state)
{
    static const struct pz_pron tickets = {.phones = {PZ_PH_T, PZ_PH_IH, PZ_PH_K, PZ_PH_AH, PZ_PH_T, PZ_PH_S},
                                           .n = 6};
    struct pz_phone_line truth = {0};
    struct pz_acoustic *a;
    int64_t n, frames, start[3] = {0}, end[3] = {0};
    double snr;
    float *x = sentence(&job, "We saved two tickets to Lisbon, for Lisbon is the place to be", 15.0, SEED, &n,
                        &truth);
    float *looks, *look[3], same, other;
    int length[3];

    (void)state;
    run_of(&truth, &lisbon.prons[0], 0, &start[0], &end[0]);
    run_of(&truth, &lisbon.prons[0], end[0], &start[1], &end[1]);
    run_of(&truth, &tickets, 0, &start[2], &end[2]);
    assert_int_equal(pz_acoustic_open(job.log, MODEL, &a), PZ_OK);
    assert_int_equal(pz_quiet(x, n, &snr), PZ_OK);
    assert_int_equal(pz_acoustic_look(a, x, n, &looks, &frames), PZ_OK);
    for (int i = 0; i < 3; i++) {
        look[i] = looks + start[i] / PZ_EARS_HOP * PZ_LOOK;
        length[i] = (int)((end[i] - start[i]) / PZ_EARS_HOP);
        assert_true(end[i] / PZ_EARS_HOP <= frames);
    }
    assert_int_equal(pz_places_apart(look[0], length[0], look[1], length[1], &same), PZ_OK);
    assert_int_equal(pz_places_apart(look[0], length[0], look[2], length[2], &other), PZ_OK);
    print_message("the same word %.2f apart, another %.2f\n", (double)same, (double)other);
    assert_true(same < other - 0.1f);
    assert_int_equal(pz_places_apart(look[0], length[0], look[0], length[0], &same), PZ_OK);
    assert_true(same < 1e-6f);
    assert_int_equal(pz_places_apart(look[0], 0, look[0], length[0], &same), PZ_OK); // nothing to compare
    assert_true(same > 1e6f);
    pz_free(looks);
    pz_acoustic_close(&a);
    pz_free(x);
    pz_phone_line_free(&truth);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_a_quiet_room),
        cmocka_unit_test(in_noise),
        cmocka_unit_test(said_again_looks_alike),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
