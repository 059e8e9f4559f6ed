/* Facts about films: counts, times, keys, rotation, colour, and one-line refusals of what is no film. */
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
#include "clip.h"
#include "scratch.h"

static void expect_times(const struct clip *c, bool variable)
{
    struct pz_film_info *f;
    assert_true(clip_make(c));
    assert_int_equal(pz_film_info_read(c->path, NULL, &f), PZ_OK);
    assert_int_equal(f->n_frames, c->n_frames);
    assert_int_equal(f->time_base.num, 1);
    assert_int_equal(f->time_base.den, c->time_base_den);
    for (int i = 0; i < c->n_frames; i++) {
        int64_t want = c->first_pts + (c->pts ? c->pts[i] : (int64_t)i * c->step);
        assert_int_equal(f->frames[i].pts, want);
        assert_true(f->frames[i].duration > 0);
        if (i + 1 < c->n_frames)
            assert_int_equal(f->frames[i].pts + f->frames[i].duration, f->frames[i + 1].pts);
    }
    assert_int_equal(f->variable_rate, variable);
    assert_true(f->frames[0].key);
    assert_true(f->copyable);
    if (!variable) {
        assert_int_equal(f->average_rate.num * c->step, f->average_rate.den * c->time_base_den);
        assert_int_equal(f->duration, c->first_pts + (int64_t)c->n_frames * c->step);
    }
    pz_film_info_free(&f);
    assert_null(f);
}

static void times_are_exact(void **state)
{
    static const int64_t vfr[] = {0,     3003,  6006,  15000, 15500, 21000, 27000,
                                  27900, 40000, 43003, 50000, 51001, 60000};
    struct clip c = {.path = in("a.mp4"), .n_frames = 60, .b_frames = 3};
    c.time_base_den = 24000, c.step = 1001;
    expect_times(&c, false);
    c.time_base_den = 30000, c.step = 1001;
    expect_times(&c, false);
    c.time_base_den = 60000, c.step = 1001;
    expect_times(&c, false);
    c.time_base_den = 12800, c.step = 512;
    expect_times(&c, false);
    c.first_pts = 700; /* the picture begins after the film does */
    expect_times(&c, false);
    c.first_pts = 0, c.time_base_den = 90000, c.step = 0, c.pts = vfr, c.n_frames = 13;
    expect_times(&c, true);
}

static void keys_are_closed(void **state)
{
    struct pz_film_info *f;
    struct clip c = {.path = in("k.mp4"),
                     .n_frames = 60,
                     .time_base_den = 25,
                     .step = 1,
                     .gop = 12,
                     .b_frames = 2,
                     .x264_params = "scenecut=0"};
    assert_true(clip_make(&c));
    assert_int_equal(pz_film_info_read(c.path, NULL, &f), PZ_OK);
    for (int i = 0; i < 60; i++)
        assert_int_equal(f->frames[i].key, i % 12 == 0);
    pz_film_info_free(&f);
    c.x264_params = "open-gop=1:scenecut=0";
    assert_true(clip_make(&c));
    assert_int_equal(pz_film_info_read(c.path, NULL, &f), PZ_OK);
    int keys = 0, entries = 0;
    for (int i = 0; i < 60; i++) {
        keys += f->frames[i].key;
        entries += f->frames[i].entry;
    }
    assert_int_equal(keys, 1); /* the others are recovery points with leading pictures */
    assert_true(entries >= 4);
    assert_true(f->copyable);
    pz_film_info_free(&f);
}

static void rotation_and_tags(void **state)
{
    struct pz_film_info *f;
    for (int turn = 0; turn < 360; turn += 90) {
        struct clip c = {
            .path = in("r.mp4"), .n_frames = 3, .time_base_den = 25, .step = 1, .rotation = turn, .color = 1};
        assert_true(clip_make(&c));
        assert_int_equal(pz_film_info_read(c.path, NULL, &f), PZ_OK);
        assert_int_equal(f->rotation, turn);
        assert_int_equal(f->width, turn % 180 ? 192 : 320);
        assert_int_equal(f->height, turn % 180 ? 320 : 192);
        assert_int_equal(f->color_primaries, 1);
        assert_int_equal(f->color_transfer, 1);
        assert_int_equal(f->color_space, 1);
        assert_int_equal(f->color_range, 1);
        assert_int_equal(f->bit_depth, 8);
        assert_false(f->interlaced);
        pz_film_info_free(&f);
    }
}

static void sound_is_described(void **state)
{
    struct pz_film_info *f;
    struct clip c = {.path = in("s.mp4"),
                     .n_frames = 25,
                     .time_base_den = 25,
                     .step = 1,
                     .sound_encoder = "aac",
                     .rate = 44100,
                     .channels = 2,
                     .sound_s = 1.0,
                     .tone = true};
    assert_true(clip_make(&c));
    assert_int_equal(pz_film_info_read(c.path, NULL, &f), PZ_OK);
    assert_true(f->has_sound);
    assert_string_equal(f->sound_codec, "aac");
    assert_int_equal(f->sound_rate, 44100);
    assert_int_equal(f->sound_channels, 2);
    assert_in_range(f->n_samples, 44100 - 1024, 44100 + 1024);
    assert_true(f->sound_bit_rate > 20000);
    pz_film_info_free(&f);
}

static void expect_status(const char *path, enum pz_status want, const char *word)
{
    char text[1024];
    struct pz_film_info *f = (void *)1;
    struct pz_log *log = pz_log_create(NULL, NULL, PZ_LOG_ERROR);
    struct pz_job job = {.log = log};
    assert_int_equal(pz_film_info_read(path, &job, &f), want);
    assert_null(f);
    pz_log_last_error(log, text, sizeof(text));
    assert_non_null(strstr(text, word));
    assert_null(strchr(text, '\n'));
    pz_log_destroy(&log);
}

static void what_is_no_film_is_refused(void **state)
{
    char *data;
    size_t n;
    struct clip c = {.path = in("t.mp4"), .n_frames = 25, .time_base_den = 25, .step = 1};
    expect_status(in("missing.mp4"), PZ_ERR_INPUT, "No such file");
    expect_status(in(""), PZ_ERR_INPUT, "cannot read");
    assert_int_equal(pz_file_write(NULL, in("text.txt"), "hello, this is a text file\nwith two lines\n", 42),
                     PZ_OK);
    expect_status(in("text.txt"), PZ_ERR_INPUT, "not a video");
    assert_int_equal(pz_file_write(NULL, in("empty.mp4"), "", 0), PZ_OK);
    expect_status(in("empty.mp4"), PZ_ERR_INPUT, "not a video");
    c.path = in("t.mp4");
    assert_true(clip_make(&c));
    assert_int_equal(pz_file_read(NULL, c.path, 1 << 26, &data, &n), PZ_OK);
    assert_int_equal(pz_file_write(NULL, in("cut.mp4"), data, n * 2 / 3), PZ_OK); /* moov is at the end */
    pz_free(data);
    expect_status(in("cut.mp4"), PZ_ERR_INPUT, "cut short");
    struct clip s = {.path = in("only.wav"),
                     .sound_encoder = "pcm_s16le",
                     .rate = 8000,
                     .channels = 1,
                     .sound_s = 0.5,
                     .tone = true};
    assert_true(clip_make(&s));
    expect_status(in("only.wav"), PZ_ERR_INPUT, "no video track");
}

static void hdr_is_refused(void **state)
{
    struct clip c = {
        .path = in("h.mp4"), .n_frames = 5, .time_base_den = 25, .step = 1, .color = 9, .transfer = 16};
    assert_true(clip_make(&c));
    expect_status(in("h.mp4"), PZ_ERR_UNSUPPORTED, "HDR");
    c.path = in("h.mp4"), c.color = 1, c.transfer = 18;
    assert_true(clip_make(&c));
    expect_status(in("h.mp4"), PZ_ERR_UNSUPPORTED, "arib-std-b67");
}

static void other_codecs_are_not_copyable(void **state)
{
    struct pz_film_info *f;
    struct clip c = {.path = in("m.avi"),
                     .encoder = "mpeg4",
                     .n_frames = 40,
                     .time_base_den = 25,
                     .step = 1,
                     .b_frames = 2};
    assert_true(clip_make(&c));
    assert_int_equal(pz_film_info_read(c.path, NULL, &f), PZ_OK);
    assert_int_equal(f->n_frames, 40);
    assert_false(f->copyable);
    for (int i = 1; i < 40; i++)
        assert_int_equal(f->frames[i].pts - f->frames[i - 1].pts, 1);
    pz_film_info_free(&f);
    c.path = in("m.avi"), c.encoder = NULL; /* H.264 in AVI: no packet has a presentation time */
    assert_true(clip_make(&c));
    assert_int_equal(pz_film_info_read(c.path, NULL, &f), PZ_OK);
    assert_int_equal(f->n_frames, 40);
    assert_false(f->timed);
    assert_false(f->copyable);
    pz_film_info_free(&f);
    struct clip d = {
        .path = in("d.mkv"), .pix_fmt = "yuv420p10le", .n_frames = 20, .time_base_den = 1000, .step = 40};
    assert_true(clip_make(&d));
    assert_int_equal(pz_film_info_read(d.path, NULL, &f), PZ_OK);
    assert_int_equal(f->n_frames, 20);
    assert_int_equal(f->bit_depth, 10);
    assert_false(f->copyable);
    pz_film_info_free(&f);
}

static void damaged_bytes_never_crash(void **state)
{
    char *data;
    size_t n;
    struct clip c = {.path = in("z.mp4"),
                     .n_frames = 20,
                     .time_base_den = 25,
                     .step = 1,
                     .sound_encoder = "aac",
                     .rate = 16000,
                     .channels = 1,
                     .sound_s = 0.5,
                     .tone = true};
    assert_true(clip_make(&c));
    assert_int_equal(pz_file_read(NULL, c.path, 1 << 26, &data, &n), PZ_OK);
    uint32_t seed = 7;
    print_message("seed 7\n");
    for (int round = 0; round < 60; round++) {
        char *bad = malloc(n);
        memcpy(bad, data, n);
        for (int k = 0; k < 40; k++) {
            seed = seed * 1664525 + 1013904223;
            size_t at = round & 1 ? n - 1 - (seed >> 8) % 3000 : (seed >> 8) % n;
            bad[at] = (char)(seed >> 24);
        }
        assert_int_equal(pz_file_write(NULL, in("bad.mp4"), bad, n), PZ_OK);
        free(bad);
        struct pz_film_info *f;
        enum pz_status st = pz_film_info_read(in("bad.mp4"), NULL, &f);
        assert_true((st == PZ_OK) == (f != NULL));
        if (f) {
            struct pz_reader *r;
            if (pz_reader_open(in("bad.mp4"), f, NULL, &r) == PZ_OK) {
                const struct pz_picture *p;
                bool damaged;
                for (int64_t i = 0; i < f->n_frames && i < 30; i++)
                    if (pz_reader_frame(r, i, &p, &damaged) == PZ_OK)
                        assert_int_equal(p->width, f->width);
                pz_reader_close(&r);
            }
            pz_film_info_free(&f);
        }
    }
    pz_free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_are_exact),
        cmocka_unit_test(keys_are_closed),
        cmocka_unit_test(rotation_and_tags),
        cmocka_unit_test(sound_is_described),
        cmocka_unit_test(what_is_no_film_is_refused),
        cmocka_unit_test(hdr_is_refused),
        cmocka_unit_test(other_codecs_are_not_copyable),
        cmocka_unit_test(damaged_bytes_never_crash),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
