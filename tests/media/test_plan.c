/* Which packets may be copied: on indexes written by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "media/plan.h"

enum { N = 24, GROUP = 12 };

static struct pz_frame_entry entries[N];
static struct pz_out_frame out[2 * N];
static struct pz_film_info info;

/* Decode order within a group, by place in presentation. */
static void film(const int *order)
{
    for (int i = 0; i < N; i++)
        entries[i] =
            (struct pz_frame_entry){.pts = 10 * i,
                                    .duration = 10,
                                    .key = i % GROUP == 0,
                                    .dts_order = i - i % GROUP + (order ? order[i % GROUP] : i % GROUP)};
    info = (struct pz_film_info){.frames = entries, .n_frames = N};
    for (int i = 0; i < N; i++)
        out[i] = (struct pz_out_frame){.src = i, .pts = 10 * i, .duration = 10};
}

static void expect(int64_t at, int64_t n, bool copy)
{
    struct pz_stretch s = pz_plan_next(&info, out, N, at, true);
    assert_int_equal(s.first, at);
    assert_int_equal(s.n, n);
    assert_int_equal(s.copy, copy);
}

static void untouched_groups_are_copied(void **state)
{
    film(NULL);
    expect(0, 12, true);
    expect(12, 12, true);
    struct pz_stretch s = pz_plan_next(&info, out, N, 0, false);
    assert_int_equal(s.n, N);
    assert_false(s.copy);
}

static void the_tail_of_a_touched_group_is_encoded(void **state)
{
    film(NULL);
    out[7].touched = 1;
    expect(0, 7, true);
    expect(7, 5, false);
    expect(12, 12, true);
    film(NULL);
    out[0].touched = 1;
    expect(0, 12, false);
    film(NULL);
    out[11].touched = out[12].touched = 1;
    expect(0, 11, true);
    expect(11, 13, false);
    film(NULL);
    out[2].touched = 1; /* two frames are not worth another IDR */
    expect(0, 12, false);
    film(NULL);
    out[N - 1].touched = 1;
    expect(12, 11, true);
    expect(23, 1, false);
}

static void cuts_move_back_over_b_frames(void **state)
{
    static const int ibbbp[GROUP] = {0, 3, 2, 4,  1,  7,
                                     6, 8, 5, 10, 11, 9}; /* shown i is stored at ibbbp[i] */
    film(ibbbp);
    struct pz_stretch whole = pz_plan_next(&info, out, N, 0, true);
    assert_int_equal(whole.n, 12);
    assert_int_equal(pz_plan_reorder(&info, out, &whole), 2);
    out[7].touched = 1; /* frames 5..8 depend on each other; 0..4 are closed */
    expect(0, 5, true);
    expect(5, 7, false);
    out[7].touched = 0;
    out[9].touched = 1;
    expect(0, 9, true);
    out[4].touched = 1;
    expect(0, 12, false);
}

static void packets_without_a_frame_end_a_copy(void **state)
{
    film(NULL);
    for (int i = 6; i < N; i++)
        entries[i].dts_order++; /* a packet the edit list hides lies between 5 and 6 */
    expect(0, 6, true);
    expect(6, 6, false);
    expect(12, 12, true);
}

static void shifts_must_be_constant(void **state)
{
    film(NULL);
    for (int i = 12; i < N; i++)
        out[i].pts += 35; /* the film was made longer before the second group */
    expect(0, 12, true);
    expect(12, 12, true);
    for (int i = 18; i < N; i++)
        out[i].pts += 1;
    expect(12, 6, true);
    expect(18, 6, false);
    film(NULL);
    for (int i = 6; i < N; i++)
        out[i].src = i - 1; /* one frame shown twice, then one late: the second key comes at 13 */
    expect(0, 6, true);
    expect(6, 7, false);
    struct pz_stretch s = pz_plan_next(&info, out, N, 13, true);
    assert_true(s.copy);
    assert_int_equal(s.n, 11);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(untouched_groups_are_copied),
        cmocka_unit_test(the_tail_of_a_touched_group_is_encoded),
        cmocka_unit_test(cuts_move_back_over_b_frames),
        cmocka_unit_test(packets_without_a_frame_end_a_copy),
        cmocka_unit_test(shifts_must_be_constant),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
