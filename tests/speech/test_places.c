// The recogniser's acoustic model as we read it: words lie where they were said, words that were not said do
// not; damaged files are refused.
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
#include "speech/ears.h"
#include "speech/places.h"
#include "speech/quiet.h"
#include "speech/voice.h"

#define SEED 33
#define LEAD 8000
#define MODEL "/usr/share/pocketsphinx/model/en-us/en-us"

static struct pz_job job;

/** slt's sentence with half a second of room around it, white noise `snr_db` below it. */
static float *sentence(const char *text, double snr_db, int64_t *n, struct pz_phone_line *truth)
{
    struct pz_say s = {.voice = "flite:slt", .text = text};
    struct pz_utterance u = {0};
    struct pz_rng r;
    double power = 0.0;
    float *x, level;

    assert_int_equal(pz_voice_say(&s, NULL, &job, &u), PZ_OK);
    *n = u.n + 2 * LEAD;
    x = pz_calloc((size_t)*n, sizeof *x);
    assert_non_null(x);
    for (int64_t i = 0; i < u.n; i++)
        power += (double)u.samples[i] * u.samples[i] / (double)u.n;
    level = (float)sqrt(power * pow(10.0, -snr_db / 10.0));
    pz_rng_init(&r, SEED, 0);
    for (int64_t i = 0; i < *n; i++)
        x[i] = level * pz_rng_normal(&r) + (i >= LEAD && i < LEAD + u.n ? u.samples[i - LEAD] : 0.0f);
    for (int i = 0; i < u.phones.n; i++) {
        struct pz_phone p = u.phones.items[i];

        p.start += LEAD;
        p.end += LEAD;
        if (p.id != PZ_PH_SIL)
            assert_int_equal(pz_phone_line_add(truth, p), PZ_OK);
    }
    pz_utterance_free(&u);
    return x;
}

/** Samples that a run of phones takes, from `from` on. */
static void run_of(const struct pz_phone_line *l, const struct pz_pron *p, int64_t from, int64_t *start,
                   int64_t *end)
{
    for (int i = 0; i + p->n <= l->n; i++) {
        int k = 0;

        while (k < p->n && (l->items[i + k].id == PZ_PH_AX ? PZ_PH_AH : l->items[i + k].id) == p->phones[k])
            k++;
        if (k == p->n && l->items[i].start >= from) {
            *start = l->items[i].start;
            *end = l->items[i + k - 1].end;
            return;
        }
    }
    fail_msg("phones not said");
}

static const struct pz_keyword lisbon = {
    {{.phones = {PZ_PH_L, PZ_PH_IH, PZ_PH_Z, PZ_PH_B, PZ_PH_AH, PZ_PH_N}, .n = 6}}, 1};
static const struct pz_keyword saved = {{{.phones = {PZ_PH_S, PZ_PH_EY, PZ_PH_V, PZ_PH_D}, .n = 4}}, 1};
static const struct pz_keyword absent = {
    {{.phones = {PZ_PH_CH, PZ_PH_UW, PZ_PH_M, PZ_PH_OY, PZ_PH_G, PZ_PH_ER}, .n = 6}}, 1};

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
    float *x = sentence("We saved two tickets to Lisbon for all of you before Friday", snr_db, &n, &truth);
    int n_places, warp;

    assert_int_equal(pz_acoustic_open(job.log, MODEL, &a), PZ_OK);
    assert_int_equal(pz_sounds_listen(x, n, PZ_SOUNDS_WORDS, &heard), PZ_OK);
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
    int64_t n, frames, start[3], end[3];
    double snr;
    float *x = sentence("We saved two tickets to Lisbon, for Lisbon is the place to be", 15.0, &n, &truth);
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

/** States of a phone depend on its neighbours and its place in the word. */
static void phones_are_heard_in_context(void **state)
{
    const struct pz_pron tan = {.phones = {PZ_PH_T, PZ_PH_AE, PZ_PH_N}, .n = 3},
                         man = {.phones = {PZ_PH_M, PZ_PH_AE, PZ_PH_N}, .n = 3};
    uint16_t t[9], m[9];
    struct pz_acoustic *a;
    int same = 0;

    (void)state;
    assert_int_equal(pz_acoustic_open(job.log, MODEL, &a), PZ_OK);
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
    assert_int_equal(pz_make_dirs(job.log, dir), PZ_OK);
    assert_int_equal(pz_acoustic_open(job.log, dir, &a), PZ_ERR_WEIGHTS); // nothing there
    for (int i = 0; i < 4; i++) {
        char *from = pz_path_join(MODEL, files[i]), *to = pz_path_join(dir, files[i]);

        assert_int_equal(pz_file_read(job.log, from, 1 << 26, &data[i], &n[i]), PZ_OK);
        assert_int_equal(pz_file_write(job.log, to, data[i], n[i]), PZ_OK);
        pz_free(from);
        pz_free(to);
    }
    assert_int_equal(pz_acoustic_open(job.log, dir, &a), PZ_OK);
    pz_acoustic_close(&a);
    for (int i = 0; i < 4; i++) {
        char *to = pz_path_join(dir, files[i]);

        for (int k = 0; k < 6; k++) { // cut short
            size_t keep = k == 0   ? 0
                          : k == 1 ? n[i] - (i == 3 ? 1 : 64)
                                   : (size_t)(pz_rng_uniform(&r) * (float)n[i] * 0.9f);

            assert_int_equal(pz_file_write(job.log, to, data[i], keep), PZ_OK);
            assert_int_equal(pz_acoustic_open(job.log, dir, &a), PZ_ERR_WEIGHTS);
        }
        for (int k = 0; k < 12;
             k++) { // a byte of the head, where counts are, turned over: refused or harmless
            size_t at = (size_t)(pz_rng_uniform(&r) * 1500.0f);
            char was = data[i][at];

            data[i][at] = (char)~was;
            assert_int_equal(pz_file_write(job.log, to, data[i], n[i]), PZ_OK);
            if (pz_acoustic_open(job.log, dir, &a) == PZ_OK)
                pz_acoustic_close(&a);
            data[i][at] = was;
        }
        assert_int_equal(pz_file_write(job.log, to, data[i], n[i]), PZ_OK);
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
        cmocka_unit_test(in_a_quiet_room),
        cmocka_unit_test(in_noise),
        cmocka_unit_test(said_again_looks_alike),
        cmocka_unit_test(phones_are_heard_in_context),
        cmocka_unit_test(damaged_models_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
