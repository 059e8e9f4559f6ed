/* Frames by number: every frame its own, upright, and the same bytes in any order of asking. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/rng.h"
#include "clip.h"
#include "scratch.h"

/* Sequential numbers and hashes, then the same in random order. */
static void expect_exact(const struct clip *c, int threads, bool untimed)
{
    struct pz_pool *pool = pz_pool_create(threads);
    struct pz_job job = {.pool = pool};
    struct pz_film_info *f;
    struct pz_reader *r;
    const struct pz_picture *p;
    uint64_t hash[512];
    bool damaged;
    assert_true(clip_make(c));
    assert_int_equal(pz_film_info_read(c->path, &job, &f), PZ_OK);
    assert_int_equal(f->n_frames, c->n_frames);
    assert_int_equal(f->timed, !untimed);
    assert_int_equal(pz_reader_open(c->path, f, &job, &r), PZ_OK);
    for (int i = 0; i < c->n_frames; i++) {
        assert_int_equal(pz_reader_frame(r, i, &p, &damaged), PZ_OK);
        assert_false(damaged);
        assert_int_equal(p->width, f->width);
        assert_int_equal(p->height, f->height);
        assert_int_equal(clip_number(p, c->rotation), i);
        hash[i] = clip_hash(p);
    }
    struct pz_rng rng;
    pz_rng_init(&rng, 3, 0);
    print_message("seed 3\n");
    for (int k = 0; k < 60; k++) {
        int i = (int)pz_rng_below(&rng, (uint32_t)c->n_frames);
        for (int j = i; j < i + 3 && j < c->n_frames; j++) {
            assert_int_equal(pz_reader_frame(r, j, &p, &damaged), PZ_OK);
            assert_false(damaged);
            assert_int_equal(clip_number(p, c->rotation), j);
            assert_true(clip_hash(p) == hash[j]);
        }
    }
    assert_int_equal(pz_reader_frame(r, c->n_frames, &p, &damaged), PZ_ERR_USAGE);
    assert_int_equal(pz_reader_frame(r, -1, &p, &damaged), PZ_ERR_USAGE);
    pz_reader_close(&r);
    pz_film_info_free(&f);
    pz_pool_destroy(&pool);
}

static void order_does_not_matter(void **state)
{
    struct clip c = {
        .path = in("a.mp4"), .n_frames = 80, .time_base_den = 24000, .step = 1001, .gop = 20, .b_frames = 3};
    expect_exact(&c, 1, false);
    expect_exact(&c, 4, false);
    c.x264_params = "open-gop=1:scenecut=0";
    expect_exact(&c, 2, false);
    c.x264_params = NULL, c.gop = 1, c.b_frames = 0;
    expect_exact(&c, 1, false);
    c.path = in("a.mkv"), c.gop = 20, c.b_frames = 3, c.time_base_den = 1000, c.step = 40;
    expect_exact(&c, 1, false);
    c.path = in("a.ts"), c.time_base_den = 90000, c.step = 3600;
    expect_exact(&c, 1, false);
    c.path = in("a.avi"), c.encoder = "mpeg4", c.time_base_den = 25, c.step = 1;
    expect_exact(&c, 1, true);
}

static void other_codecs_are_exact(void **state)
{
    struct clip c = {.path = in("h.mp4"),
                     .encoder = "libx265",
                     .n_frames = 60,
                     .time_base_den = 25,
                     .step = 1,
                     .gop = 20,
                     .b_frames = 3};
    expect_exact(&c, 2, false);
    struct clip d = {
        .path = in("p.mkv"), .pix_fmt = "yuv422p10le", .n_frames = 30, .time_base_den = 1000, .step = 33};
    expect_exact(&d, 1, false);
}

static void pictures_are_upright(void **state)
{
    for (int turn = 90; turn < 360; turn += 90) {
        struct clip c = {
            .path = in("r.mp4"), .n_frames = 12, .time_base_den = 25, .step = 1, .rotation = turn};
        expect_exact(&c, 1, false);
        c.width = 318, c.height = 178; /* chroma planes of odd height */
        expect_exact(&c, 1, false);
    }
}

static void ten_bits_keep_their_levels(void **state)
{
    struct clip c = {
        .path = in("a8.mp4"), .n_frames = 2, .time_base_den = 25, .step = 1, .x264_params = "qp=4"};
    struct clip d = {.path = in("a10.mp4"),
                     .n_frames = 2,
                     .time_base_den = 25,
                     .step = 1,
                     .x264_params = "qp=4",
                     .pix_fmt = "yuv420p10le"};
    const char *paths[2] = {"a8.mp4", "a10.mp4"};
    double mean[2][3] = {{0}};
    c.path = in("a8.mp4");
    assert_true(clip_make(&c));
    d.path = in("a10.mp4");
    assert_true(clip_make(&d));
    for (int k = 0; k < 2; k++) {
        struct pz_film_info *f;
        struct pz_reader *r;
        const struct pz_picture *p;
        assert_int_equal(pz_film_info_read(in(paths[k]), NULL, &f), PZ_OK);
        assert_int_equal(pz_reader_open(in(paths[k]), f, NULL, &r), PZ_OK);
        assert_int_equal(pz_reader_frame(r, 1, &p, NULL), PZ_OK);
        for (int c3 = 0; c3 < 3; c3++) {
            int w = c3 ? 160 : 320, h = c3 ? 96 : 192;
            for (int y = 0; y < h; y++)
                for (int x = 0; x < w; x++)
                    mean[k][c3] += p->plane[c3][(ptrdiff_t)y * p->stride[c3] + x] / (double)(w * h);
        }
        pz_reader_close(&r);
        pz_film_info_free(&f);
    }
    for (int c3 = 0; c3 < 3; c3++)
        assert_true(mean[0][c3] - mean[1][c3] < 0.7 && mean[1][c3] - mean[0][c3] < 0.7);
}

/* Break the middle of the film: frames before stay exact, those after are there, some marked. */
static void damage_repeats_the_last_good_frame(void **state)
{
    char *data;
    size_t n;
    struct clip c = {.path = in("d.mp4"), .n_frames = 60, .time_base_den = 25, .step = 1, .gop = 15};
    assert_true(clip_make(&c));
    assert_int_equal(pz_file_read(NULL, c.path, 1 << 26, &data, &n), PZ_OK);
    memset(data + n * 4 / 10, 0, n / 10);
    assert_int_equal(pz_file_write(NULL, in("bad.mp4"), data, n), PZ_OK);
    pz_free(data);
    struct pz_film_info *f;
    struct pz_reader *r;
    const struct pz_picture *p;
    int marked = 0;
    assert_int_equal(pz_film_info_read(in("bad.mp4"), NULL, &f), PZ_OK);
    assert_int_equal(f->n_frames, 60);
    assert_false(f->copyable); /* packets that are no access units are not copied on */
    assert_int_equal(pz_reader_open(in("bad.mp4"), f, NULL, &r), PZ_OK);
    for (int i = 0; i < 60; i++) {
        bool damaged;
        assert_int_equal(pz_reader_frame(r, i, &p, &damaged), PZ_OK);
        assert_non_null(p);
        marked += damaged;
        if (i < 15 || i >= 45) {
            assert_false(damaged);
            assert_int_equal(clip_number(p, 0), i);
        }
    }
    assert_true(marked > 0);
    pz_reader_close(&r);
    pz_film_info_free(&f);
}

static bool always(void *user)
{
    return true;
}

static void cancel_is_heard(void **state)
{
    struct clip c = {.path = in("c.mp4"), .n_frames = 10, .time_base_den = 25, .step = 1};
    struct pz_film_info *f;
    struct pz_reader *r;
    const struct pz_picture *p;
    struct pz_job job = {0};
    assert_true(clip_make(&c));
    assert_int_equal(pz_film_info_read(c.path, &job, &f), PZ_OK);
    assert_int_equal(pz_reader_open(c.path, f, &job, &r), PZ_OK);
    assert_int_equal(pz_reader_frame(r, 3, &p, NULL), PZ_OK);
    job.cancelled = always;
    assert_int_equal(pz_reader_frame(r, 5, &p, NULL), PZ_ERR_CANCELLED);
    job.cancelled = NULL;
    assert_int_equal(pz_reader_frame(r, 5, &p, NULL), PZ_OK);
    assert_int_equal(clip_number(p, 0), 5);
    pz_reader_close(&r);
    pz_film_info_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_does_not_matter),
        cmocka_unit_test(other_codecs_are_exact),
        cmocka_unit_test(pictures_are_upright),
        cmocka_unit_test(ten_bits_keep_their_levels),
        cmocka_unit_test(damage_repeats_the_last_good_frame),
        cmocka_unit_test(cancel_is_heard),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
