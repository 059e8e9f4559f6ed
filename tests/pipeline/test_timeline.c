/* Timeline: maps are inverse and monotonic, frames keep cadence, everything behind a longer word shifts by
 * one amount. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/rng.h"
#include "pipeline/timeline.h"

static struct pz_film_info cfr_film(int64_t n, struct pz_frame_entry *f)
{
    for (int64_t i = 0; i < n; i++)
        f[i] = (struct pz_frame_entry){.pts = i * 512, .duration = 512};
    return (struct pz_film_info){.time_base = {1, 12800}, .n_frames = n, .frames = f, .duration = n * 512};
}

static void no_edit_is_identity(void **state)
{
    struct pz_frame_entry f[50];
    struct pz_film_info info = cfr_film(50, f);
    struct pz_timeline t;
    struct pz_out_frame *o;
    int64_t n;
    assert_int_equal(pz_timeline_init(&t, 48000, 96000, NULL, 0, NULL), PZ_OK);
    assert_int_equal(pz_timeline_to_input(&t, 777), 777);
    assert_int_equal(pz_timeline_frames(&t, &info, NULL, 0, &o, &n), PZ_OK);
    assert_int_equal(n, 50);
    for (int64_t i = 0; i < n; i++) {
        assert_int_equal(o[i].src, i);
        assert_int_equal(o[i].pts, i * 512);
        assert_false(o[i].touched);
    }
    pz_free(o);
    pz_timeline_free(&t);
}

static void longer_word_shifts_the_rest(void **state)
{
    struct pz_frame_entry f[50];
    struct pz_film_info info = cfr_film(50, f);
    int64_t delta = 3 * 1920;
    struct pz_edit e = {.in_start = 19200, .in_end = 28800, .out_len = 9600 + delta};
    struct pz_touch touch = {.out_start = 17000, .out_end = 40000};
    struct pz_timeline t;
    struct pz_out_frame *o;
    int64_t n;
    assert_int_equal(pz_timeline_init(&t, 48000, 96000, &e, 1, NULL), PZ_OK);
    assert_int_equal(t.out_len, 96000 + delta);
    assert_int_equal(pz_timeline_frames(&t, &info, &touch, 1, &o, &n), PZ_OK);
    assert_int_equal(n, 53);
    for (int64_t i = 0; i < n; i++) {
        assert_int_equal(o[i].pts, i * 512);
        assert_int_equal(o[i].duration, 512);
        if (i > 0)
            assert_true(o[i].src >= o[i - 1].src && o[i].src - o[i - 1].src <= 1);
        assert_int_equal(o[i].touched, i * 1920 >= 17000 && i * 1920 < 40000);
    }
    assert_int_equal(o[10].src, 10);
    assert_int_equal(o[18].src, 15);
    assert_int_equal(o[52].src, 49);
    pz_free(o);
    pz_timeline_free(&t);
}

static void vfr_keeps_its_own_times(void **state)
{
    struct pz_rng r;
    pz_rng_init(&r, 7, 0);
    struct pz_frame_entry f[80];
    int64_t pts = 0;
    for (int i = 0; i < 80; i++) {
        f[i] = (struct pz_frame_entry){.pts = pts, .duration = 900 + (int64_t)pz_rng_below(&r, 4000)};
        pts += f[i].duration;
    }
    struct pz_film_info info = {.time_base = {1, 90000}, .n_frames = 80, .frames = f, .duration = pts};
    int64_t len = pz_rescale(pts, info.time_base, (struct pz_rational){1, 44100});
    struct pz_edit e[2] = {{len / 4, len / 3, len / 3 - len / 4}, {len / 2, len / 2 + 9000, 13000}};
    struct pz_timeline t;
    struct pz_out_frame *o;
    int64_t n;
    assert_int_equal(pz_timeline_init(&t, 44100, len, e, 2, NULL), PZ_OK);
    assert_int_equal(pz_timeline_frames(&t, &info, NULL, 0, &o, &n), PZ_OK);
    int64_t shift = pz_rescale(4000, (struct pz_rational){1, 44100}, info.time_base);
    for (int64_t i = 0; i < n; i++) {
        if (pz_rescale(o[i].pts, info.time_base, (struct pz_rational){1, 44100}) < len / 2 - 4000)
            assert_int_equal(o[i].pts, f[o[i].src].pts);
        if (i > 0) {
            assert_true(o[i].pts > o[i - 1].pts);
            assert_int_equal(o[i].pts, o[i - 1].pts + o[i - 1].duration);
        }
    }
    assert_int_equal(o[n - 1].src, 79);
    assert_int_equal(o[n - 1].pts, f[79].pts + shift);
    pz_free(o);
    int64_t last = -1;
    for (int64_t s = 0; s < t.out_len; s += 313) {
        int64_t in = pz_timeline_to_input(&t, s);
        assert_true(in >= last);
        last = in;
        int64_t back = pz_timeline_to_output(&t, in);
        assert_in_range(s - back + 2, 0, 4);
    }
    pz_timeline_free(&t);
}

/* A 30 fps clock that drops frames: output times stay on the clock and the film's end moves by whole ticks of
 * it. */
static void dropped_frames_keep_the_clock(void **state)
{
    struct pz_rng r;
    pz_rng_init(&r, 11, 0);
    struct pz_frame_entry f[90];
    int64_t pts = 507;
    for (int i = 0; i < 90; i++) {
        f[i] = (struct pz_frame_entry){.pts = pts, .duration = 512 * (1 + (int64_t)pz_rng_below(&r, 2))};
        pts += f[i].duration;
    }
    struct pz_film_info info = {.time_base = {1, 15360}, .n_frames = 90, .frames = f, .duration = pts};
    assert_int_equal(pz_timeline_grid(&info), 512);
    int64_t len = pz_rescale(pts, info.time_base, (struct pz_rational){1, 48000});
    struct pz_edit e = {len / 3, len / 3 + 9600, 9600 + 5 * 1600};
    struct pz_timeline t;
    struct pz_out_frame *o;
    int64_t n;
    assert_int_equal(pz_timeline_init(&t, 48000, len, &e, 1, NULL), PZ_OK);
    assert_int_equal(pz_timeline_frames(&t, &info, NULL, 0, &o, &n), PZ_OK);
    for (int64_t i = 0; i < n; i++) {
        assert_int_equal((o[i].pts - 507) % 512, 0);
        if (i > 0)
            assert_int_equal(o[i].pts, o[i - 1].pts + o[i - 1].duration);
    }
    assert_int_equal(o[n - 1].pts, f[89].pts + 5 * 512);
    pz_free(o);
    pz_timeline_free(&t);
    f[40].pts += 1; /* one irregular frame: no clock */
    assert_int_equal(pz_timeline_grid(&info), 0);
}

static void bad_edits_are_refused(void **state)
{
    struct pz_timeline t;
    struct pz_edit overlap[2] = {{0, 100, 100}, {50, 200, 150}}, outside = {10, 2000, 1990},
                   empty = {10, 20, 0};
    assert_int_equal(pz_timeline_init(&t, 48000, 1000, overlap, 2, NULL), PZ_ERR_USAGE);
    assert_int_equal(pz_timeline_init(&t, 48000, 1000, &outside, 1, NULL), PZ_ERR_USAGE);
    assert_int_equal(pz_timeline_init(&t, 48000, 1000, &empty, 1, NULL), PZ_ERR_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_edit_is_identity),     cmocka_unit_test(longer_word_shifts_the_rest),
        cmocka_unit_test(vfr_keeps_its_own_times), cmocka_unit_test(dropped_frames_keep_the_clock),
        cmocka_unit_test(bad_edits_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
