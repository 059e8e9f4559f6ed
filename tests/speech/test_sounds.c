// The network that knows phones, on a voice it was not taught with: it names most frames of a clear sentence,
// and edges pushed aside come back, in a quiet room and in noise.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/order.h"
#include "speech/sounds.h"
#include "said.h"

#define SEED 21

static struct pz_job job;

/** The sentence, pauses filled in. */
static float *say(double noise_db, int64_t *n, struct pz_phone_line *truth)
{
    float *x = sentence(&job, SENTENCE, noise_db, SEED, n, truth);

    assert_int_equal(pz_phone_line_cover(truth, 0, *n), PZ_OK);
    return x;
}

static void most_frames_are_named(void **state)
{
    struct pz_phone_line truth = {0};
    struct pz_sounds heard;
    int64_t n;
    float *x = say(0.0, &n, &truth);
    int right = 0, spoken = 0, quiet = 0;

    (void)state;
    assert_int_equal(pz_sounds_listen(x, n, PZ_SOUNDS_WORDS, NULL, &heard), PZ_OK);
    assert_int_equal(heard.frames, n / PZ_SOUNDS_HOP);
    for (int64_t t = 0; t < heard.frames; t++) {
        const float *p = pz_sounds_at(&heard, t, 0);
        double sum = 0.0;
        int best = 0, is = PZ_PH_SIL;

        for (int k = 0; k < PZ_PH_COUNT; k++) {
            sum += k == PZ_PH_AX ? 0.0 : exp((double)p[k]);
            best = p[k] > p[best] ? k : best;
        }
        assert_true(sum > 0.98 && sum < 1.001); // AX has nothing of its own but a crumb
        for (int i = 0; i < truth.n; i++)
            if (truth.items[i].start <= t * PZ_SOUNDS_HOP && t * PZ_SOUNDS_HOP < truth.items[i].end)
                is = truth.items[i].id == PZ_PH_AX ? PZ_PH_AH : truth.items[i].id;
        spoken += is != PZ_PH_SIL;
        right += is != PZ_PH_SIL && best == is;
        quiet += is == PZ_PH_SIL && best == is && (t * PZ_SOUNDS_HOP < LEAD - 800);
    }
    print_message("%d of %d frames named, %d of silence before\n", right, spoken, quiet);
    assert_true(right > spoken * 0.7); // guessing names 6 %
    assert_true(quiet > (LEAD - 800) / PZ_SOUNDS_HOP * 0.9);
    pz_sounds_free(&heard);
    pz_free(x);
    pz_phone_line_free(&truth);
}

/** Push inner edges by up to 60 ms, settle, measure. */
static void edges_come_back(double noise_db, double median_ms, double most_ms)
{
    struct pz_phone_line truth = {0}, line = {0};
    struct pz_words words = {0};
    struct pz_rng r;
    int64_t n;
    float *x = say(noise_db, &n, &truth);
    double err[128], before[128];
    int count = 0;

    pz_rng_init(&r, SEED, 1);
    for (int i = 0; i < truth.n; i++)
        assert_int_equal(pz_phone_line_add(&line, truth.items[i]), PZ_OK);
    for (int i = 2; i + 1 < line.n; i++) { // the first and last word edge too
        int64_t to = line.items[i].start + lrintf(960.0f * (2.0f * pz_rng_uniform(&r) - 1.0f));
        int64_t lo = line.items[i - 1].start + 240, hi = truth.items[i].end - 240;

        to = to < lo ? lo : to > hi ? hi : to;
        line.items[i - 1].end = line.items[i].start = to;
    }
    for (int i = 2; i + 1 < line.n; i++)
        before[i] = fabs((double)(line.items[i].start - truth.items[i].start)) / 16.0;
    assert_int_equal(
        pz_words_add(&words, &(struct pz_word){.text = "all", .first_phone = 1, .n_phones = line.n - 2}),
        PZ_OK);
    assert_int_equal(pz_sounds_settle(x, n, 0, noise_db > 0.0 ? noise_db : 60.0, &line, 0, &words, 0), PZ_OK);
    assert_int_equal(line.n, truth.n);
    assert_int_equal(line.items[0].start, 0);
    assert_int_equal(line.items[line.n - 1].end, n);
    assert_int_equal(words.items[0].start, line.items[1].start);
    assert_int_equal(words.items[0].end, line.items[line.n - 2].end);
    for (int i = 2; i + 1 < line.n; i++) {
        assert_int_equal(line.items[i].id, truth.items[i].id);
        assert_int_equal(line.items[i].start, line.items[i - 1].end);
        assert_true(line.items[i].start < line.items[i].end);
        before[count] = before[i];
        err[count++] = fabs((double)(line.items[i].start - truth.items[i].start)) / 16.0;
    }
    qsort(err, (size_t)count, sizeof *err, pz_by_double);
    qsort(before, (size_t)count, sizeof *before, pz_by_double);
    print_message("%d edges: median %.1f ms (pushed by %.1f), 90 %% %.1f ms (%.1f)\n", count, err[count / 2],
                  before[count / 2], err[count * 9 / 10], before[count * 9 / 10]);
    assert_true(err[count / 2] < median_ms && err[count * 9 / 10] < most_ms);
    pz_phone_line_free(&truth);
    pz_phone_line_free(&line);
    pz_words_free(&words);
    pz_free(x);
}

static void edges_come_back_in_quiet(void **state)
{
    (void)state;
    edges_come_back(0.0, 6.0, 20.0);
}

static void edges_come_back_in_noise(void **state)
{
    (void)state;
    edges_come_back(15.0, 7.0, 25.0);
}

/** "We saved two tickets", half a second of room, "please call Martin": sound, phones and the pause's index.
 */
static float *say_two(int64_t *n, struct pz_phone_line *truth, int *pause)
{
    struct pz_phone_line second = {0};
    int64_t n_first, n_second, at;
    float *x = sentence(&job, "We saved two tickets", 15.0, SEED, &n_first, truth),
          *y = sentence(&job, "please call Martin", 15.0, SEED + 1, &n_second, &second), *both;

    at = n_first - LEAD;
    *n = at + n_second;
    *pause = truth->n + 1;
    both = pz_calloc((size_t)*n, sizeof *both);
    assert_non_null(both);
    for (int64_t i = 0; i < *n; i++)
        both[i] = i < at ? x[i] : y[i - at];
    for (int i = 0; i < second.n; i++) {
        struct pz_phone p = second.items[i];

        p.start += at;
        p.end += at;
        assert_int_equal(pz_phone_line_add(truth, p), PZ_OK);
    }
    assert_int_equal(pz_phone_line_cover(truth, 0, *n), PZ_OK);
    assert_int_equal(truth->items[*pause].id, PZ_PH_SIL);
    pz_phone_line_free(&second);
    pz_free(x);
    pz_free(y);
    return both;
}

/** Settle `line` as two words that meet at phone `at`, or around it where it is a pause; it must then be as
 * `truth`. */
static void settle_two(const float *x, int64_t n, int at, struct pz_phone_line *line,
                       const struct pz_phone_line *truth)
{
    struct pz_words words = {0};
    int second = at + (line->items[at].id == PZ_PH_SIL);

    assert_int_equal(
        pz_words_add(&words, &(struct pz_word){.text = "one", .first_phone = 1, .n_phones = at - 1}), PZ_OK);
    assert_int_equal(pz_words_add(&words, &(struct pz_word){.text = "two",
                                                            .first_phone = second,
                                                            .n_phones = line->n - 1 - second}),
                     PZ_OK);
    assert_int_equal(pz_sounds_settle(x, n, 0, 15.0, line, 0, &words, 0), PZ_OK);
    assert_int_equal(line->n, truth->n);
    for (int i = 0; i < line->n; i++)
        assert_int_equal(line->items[i].id, truth->items[i].id);
    second = at + (truth->items[at].id == PZ_PH_SIL);
    assert_int_equal(words.items[0].n_phones, at - 1);
    assert_int_equal(words.items[1].first_phone, second);
    assert_int_equal(words.items[1].n_phones, line->n - 1 - second);
    assert_int_equal(words.items[1].start, line->items[second].start);
    print_message("the first ends %+.1f ms off, the second starts %+.1f ms off\n",
                  (double)(words.items[0].end - truth->items[at - 1].end) / 16.0,
                  (double)(words.items[1].start - truth->items[second].start) / 16.0);
    assert_true(llabs(words.items[0].end - truth->items[at - 1].end) < 1600);
    assert_true(llabs(words.items[1].start - truth->items[second].start) < 1600);
    pz_words_free(&words);
}

static void missed_pauses_come_back(void **state)
{
    struct pz_phone_line truth = {0}, line = {0};
    int64_t n;
    int pause;
    float *x = say_two(&n, &truth, &pause);

    (void)state;
    for (int i = 0; i < truth.n; i++)
        if (i != pause)
            assert_int_equal(pz_phone_line_add(&line, truth.items[i]), PZ_OK);
    line.items[pause - 1].end = truth.items[pause].end;
    settle_two(x, n, pause, &line, &truth);
    pz_phone_line_free(&truth);
    pz_phone_line_free(&line);
    pz_free(x);
}

static void invented_pauses_go(void **state)
{
    struct pz_phone_line truth = {0}, line = {0};
    int64_t n;
    float *x = say(15.0, &n, &truth);
    int at = 1;

    (void)state;
    while (truth.items[at].id != PZ_PH_L) // of "Lisbon"
        at++;
    for (int i = 0; i < truth.n; i++) {
        if (i == at)
            assert_int_equal(pz_phone_line_add(&line, (struct pz_phone){.id = PZ_PH_SIL}), PZ_OK);
        assert_int_equal(pz_phone_line_add(&line, truth.items[i]), PZ_OK);
    }
    line.items[at - 1].end = line.items[at].start = truth.items[at].start - 320;
    line.items[at + 1].start = line.items[at].end = truth.items[at].start + 640;
    settle_two(x, n, at, &line, &truth);
    pz_phone_line_free(&truth);
    pz_phone_line_free(&line);
    pz_free(x);
}

static void nothing_is_no_error(void **state)
{
    struct pz_phone_line line = {0};
    struct pz_words words = {0};
    struct pz_sounds heard;
    float x[100] = {0};

    (void)state;
    assert_int_equal(pz_sounds_listen(x, 0, PZ_SOUNDS_EDGES, NULL, &heard), PZ_OK);
    assert_int_equal(heard.frames, 0);
    pz_sounds_free(&heard);
    assert_int_equal(pz_sounds_listen(x, 100, PZ_SOUNDS_EDGES, NULL, &heard), PZ_OK); // digital silence
    assert_int_equal(heard.frames, 1);
    for (int head = 0; head < 3; head++)
        assert_true(isfinite(pz_sounds_at(&heard, 0, head)[PZ_PH_AX]));
    pz_sounds_free(&heard);
    assert_int_equal(pz_sounds_settle(x, 100, 0, 60.0, &line, 0, &words, 0), PZ_OK);
    // Too short for its phones: they stay where they were.
    for (int i = 0; i < 5; i++)
        assert_int_equal(
            pz_phone_line_add(&line, (struct pz_phone){.id = PZ_PH_AA, .start = 20 * i, .end = 20 * i + 20}),
            PZ_OK);
    assert_int_equal(pz_sounds_settle(x, 100, 0, 60.0, &line, 0, &words, 0), PZ_OK);
    assert_int_equal(pz_sounds_settle(x, 70, 0, 60.0, &line, 0, &words, 0), PZ_OK); // not even a frame
    assert_int_equal(line.n, 5);
    assert_int_equal(line.items[3].start, 60);
    pz_phone_line_free(&line);
}

static int open_job(void **state)
{
    (void)state;
    job.log = pz_log_create(NULL, NULL, PZ_LOG_ERROR);
    return job.log ? 0 : -1;
}

static int close_job(void **state)
{
    (void)state;
    pz_log_destroy(&job.log);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(most_frames_are_named),    cmocka_unit_test(edges_come_back_in_quiet),
        cmocka_unit_test(edges_come_back_in_noise), cmocka_unit_test(missed_pauses_come_back),
        cmocka_unit_test(invented_pauses_go),       cmocka_unit_test(nothing_is_no_error),
    };

    print_message("seed %d\n", SEED);
    return cmocka_run_group_tests(tests, open_job, close_job);
}
