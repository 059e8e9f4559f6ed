// A film of more than one chunk, heard without a transcript: the wanted words are found in each, where they
// are said, whoever helps; progress comes to the end; a stop is obeyed.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/pool.h"
#include "base/rng.h"
#include "speech/hear.h"
#include "speech/voice.h"

#define SEED 71
#define SECONDS 33 /* two chunks: one is at most 30 s */
#define LENGTH (SECONDS * PZ_SPEECH_RATE)
#define PLACES 3
#define NEAR 800 /* samples, 50 ms */

static struct pz_ears *ears;
static float *film;
static int64_t said[PLACES][2]; /* where "Lisbon" is */

/** slt says `text` from sample `at` on; where its phones LIZB… are into `where`. */
static bool say(const char *text, int64_t at, int64_t where[2])
{
    static const int phones[] = {PZ_PH_L, PZ_PH_IH, PZ_PH_Z, PZ_PH_B};
    const struct pz_say s = {.voice = "flite:slt", .text = text};
    const struct pz_job job = {0};
    struct pz_utterance u = {0};

    if (pz_voice_say(&s, NULL, &job, &u) < PZ_OK)
        return false;
    for (int64_t i = 0; i < u.n && at + i < LENGTH; i++)
        film[at + i] += u.samples[i];
    for (int i = 0; where && i + 5 < u.phones.n; i++) {
        int same = 0;

        while (same < 4 && u.phones.items[i + same].id == phones[same])
            same++;
        if (same < 4)
            continue;
        where[0] = at + u.phones.items[i].start;
        where[1] = at + u.phones.items[i + 5].end;
    }
    pz_utterance_free(&u);
    return true;
}

/** slt says it in the first chunk twice and in the second once, and other things between. */
static int make_film(void **state)
{
    const struct pz_job job = {0};
    struct pz_rng r;
    int places = 0;

    (void)state;
    film = pz_calloc(LENGTH, sizeof *film);
    if (!film || pz_ears_open(NULL, &job, &ears) < PZ_OK)
        return -1;
    pz_rng_init(&r, SEED, 0);
    for (int64_t i = 0; i < LENGTH; i++)
        film[i] = 1e-3f * pz_rng_normal(&r);
    for (int k = 0; k < SECONDS / 3; k++) {
        const bool here = k == 0 || k == 2 || k == 10;

        if (!say(here ? "We saved two tickets to Lisbon for you" : "The weather is good and the sea is warm",
                 3 * k * PZ_SPEECH_RATE + PZ_SPEECH_RATE / 2, here ? said[places] : NULL))
            return -1;
        places += here;
    }
    return said[PLACES - 1][1] > said[PLACES - 1][0] ? 0 : -1;
}

static int drop_film(void **state)
{
    (void)state;
    pz_ears_close(&ears);
    pz_free(film);
    return 0;
}

/** What a caller is told, and when it wants a stop. */
struct watched {
    int64_t done;
    int calls, stop_at; /* stop once so many chunks are heard; 0: never */
};

static void progress(void *user, const char *stage, int64_t done, int64_t total)
{
    struct watched *w = user;

    assert_string_equal(stage, "speech");
    assert_true(done > w->done && done <= total);
    w->done = done;
    w->calls++;
}

static bool cancelled(void *user)
{
    const struct watched *w = user;

    return w->stop_at > 0 && w->calls >= w->stop_at;
}

/** Hear `total` samples of the film for "Lisbon". */
static enum pz_status hear(int64_t total, struct pz_pool *pool, struct watched *watched, struct pz_heard *h)
{
    const struct pz_job job = {.pool = pool, .progress = progress, .cancelled = cancelled, .user = watched};
    struct pz_wanted lisbon = {.name = "city", .words = "Lisbon"};
    struct pz_tap_memory m;
    struct pz_tap tap = pz_tap_from_memory(&m, film, total, PZ_SPEECH_RATE, 1);

    *h = (struct pz_heard){0};
    assert_int_equal(pz_keyword_make(pz_ears_lexicon(ears), NULL, "Lisbon", NULL, &lisbon.keyword), PZ_OK);
    return pz_hear_film(ears, &tap, total, &lisbon, 1, &job, h);
}

static void words_of_all_chunks_are_found(void **state)
{
    struct pz_heard alone, helped;
    struct watched w = {0}, v = {0};
    struct pz_pool *pool = pz_pool_create(3);

    (void)state;
    print_message("seed %d\n", SEED);
    assert_non_null(pool);
    assert_int_equal(hear(LENGTH, NULL, &w, &alone), PZ_OK);
    assert_int_equal(w.done, LENGTH);
    assert_int_equal(w.calls, 2);
    assert_int_equal(alone.n_found, PLACES);
    for (int k = 0; k < PLACES; k++) {
        const struct pz_word *x = &alone.words.items[alone.found[k].first_word];

        print_message("%d: %+d and %+d ms\n", k, (int)((x->start - said[k][0]) / 16),
                      (int)((x->end - said[k][1]) / 16));
        assert_true(llabs(x->start - said[k][0]) < NEAR && llabs(x->end - said[k][1]) < NEAR);
    }
    for (int i = 1; i < alone.words.n; i++)
        assert_true(alone.words.items[i].start >= alone.words.items[i - 1].end);
    // Whoever helps, what is heard is the same.
    assert_int_equal(hear(LENGTH, pool, &v, &helped), PZ_OK);
    assert_int_equal(helped.words.n, alone.words.n);
    assert_int_equal(helped.phones.n, alone.phones.n);
    assert_int_equal(helped.n_found, alone.n_found);
    for (int i = 0; i < alone.words.n; i++) {
        assert_string_equal(helped.words.items[i].text, alone.words.items[i].text);
        assert_int_equal(helped.words.items[i].start, alone.words.items[i].start);
        assert_int_equal(helped.words.items[i].end, alone.words.items[i].end);
    }
    pz_heard_free(&alone);
    pz_heard_free(&helped);
    pz_pool_destroy(&pool);
}

static void a_stop_is_obeyed(void **state)
{
    struct pz_heard h;
    struct watched w = {.stop_at = 1};

    (void)state;
    assert_int_equal(hear(LENGTH, NULL, &w, &h), PZ_ERR_CANCELLED);
    assert_int_equal(w.calls, 1); // the second chunk was made ready, not heard
    pz_heard_free(&h);
}

static void short_films_are_heard(void **state)
{
    struct pz_heard h;
    struct watched w = {0};

    (void)state;
    assert_int_equal(hear(0, NULL, &w, &h), PZ_OK);
    assert_int_equal(h.words.n + h.n_found, 0);
    assert_int_equal(hear(70, NULL, &w, &h), PZ_OK); // not even a frame
    assert_int_equal(h.words.n + h.n_found, 0);
    pz_heard_free(&h);
    w = (struct watched){0};
    assert_int_equal(hear(6 * PZ_SPEECH_RATE, NULL, &w, &h), PZ_OK); // one chunk: its edges are heard ahead
    assert_int_equal(h.n_found, 1);
    assert_true(llabs(h.words.items[h.found[0].first_word].start - said[0][0]) < NEAR);
    assert_true(llabs(h.words.items[h.found[0].first_word].end - said[0][1]) < NEAR);
    pz_heard_free(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(words_of_all_chunks_are_found),
                                       cmocka_unit_test(a_stop_is_obeyed),
                                       cmocka_unit_test(short_films_are_heard)};

    return cmocka_run_group_tests(tests, make_film, drop_film);
}
