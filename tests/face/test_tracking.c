/* Persons through a film, on pictures put together from real clips (skipped where clips or weights are not
 * there): cuts, people changing places, who speaks, covered faces, faces that leave, small and turned ones,
 * and every way to choose. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/pool.h"
#include "face/cut.h"
#include "face/speaker.h"
#include "face/track.h"
#include "image/png.h"
#include "media/media.h"

#define CLIP(n) PZ_SHARED_DIR "/data/clips/" n ".mp4"
#define SIDE 512

static struct pz_job job;

struct clip {
    struct pz_film_info *info;
    struct pz_reader *reader;
};

static struct pz_face_tracker *tracker_or_skip(void)
{
    struct pz_face_tracker *t;
    struct pz_face_tracker_params p = {0};
    assert_true(
        pz_face_kind_find(getenv("PZ_FACE_KIND"), &p.kind)); /* whose networks; unset: the usual ones */
    if (!pz_file_exists(CLIP("virtual_13")) || pz_face_tracker_create(&p, &job, &t) == PZ_ERR_WEIGHTS) {
        skip();
        return NULL;
    }
    return t;
}

static void open_clip(struct clip *c, const char *path)
{
    assert_int_equal(pz_film_info_read(path, &job, &c->info), PZ_OK);
    assert_int_equal(pz_reader_open(path, c->info, &job, &c->reader), PZ_OK);
}

static void close_clip(struct clip *c)
{
    pz_reader_close(&c->reader);
    pz_film_info_free(&c->info);
}

static const struct pz_picture *frame(struct clip *c, int64_t i)
{
    const struct pz_picture *p;
    bool damaged;
    assert_int_equal(pz_reader_frame(c->reader, i, &p, &damaged), PZ_OK);
    return p;
}

static void paint(struct pz_picture *p, int x0, int y0, int x1, int y1, const uint8_t yuv[3])
{
    for (int c = 0; c < 3; c++) {
        int s = c ? 2 : 1;
        for (int y = y0 / s; y < y1 / s; y++)
            memset(p->plane[c] + y * p->stride[c] + x0 / s, yuv[c], (size_t)((x1 - x0) / s));
    }
}

/* Copy src, shrunk by `by` (mean of by × by), to (x, y) of dst; parts outside dst are cut off. All even. */
static void place(struct pz_picture *dst, const struct pz_picture *src, int x, int y, int by)
{
    for (int c = 0; c < 3; c++) {
        int s = c ? 2 : 1, w = src->width / by / s, h = src->height / by / s;
        for (int j = 0; j < h; j++)
            for (int i = 0; i < w; i++) {
                int px = x / s + i, py = y / s + j, sum = 0;
                if (px < 0 || py < 0 || px >= dst->width / s || py >= dst->height / s)
                    continue;
                for (int v = 0; v < by; v++)
                    for (int u = 0; u < by; u++)
                        sum += src->plane[c][(j * by + v) * src->stride[c] + i * by + u];
                dst->plane[c][py * dst->stride[c] + px] = (uint8_t)(sum / (by * by));
            }
    }
}

static void canvas(struct pz_picture *p, int w, int h)
{
    assert_int_equal(pz_picture_alloc(p, w, h), PZ_OK);
    paint(p, 0, 0, w, h, (const uint8_t[3]){90, 128, 128});
}

static struct pz_face_summary summary(const struct pz_face_tracker *t, int i)
{
    struct pz_face_summary s;
    assert_int_equal(pz_face_tracker_summary(t, i, &s), PZ_OK);
    return s;
}

static void push(struct pz_face_tracker *t, int64_t i, const struct pz_picture *p)
{
    assert_int_equal(pz_face_tracker_push(t, i, p), PZ_OK);
}

/* A, B, A: two cuts, two persons, and the first is known again. */
static void cuts_part_persons(void **state)
{
    struct pz_face_tracker *t = tracker_or_skip();
    struct clip c[2];
    if (!t)
        return;
    open_clip(&c[0], CLIP("virtual_13"));
    open_clip(&c[1], CLIP("virtual_3"));
    for (int i = 0; i < 36; i++)
        push(t, i, frame(&c[i / 12 % 2], 40 + i));
    assert_int_equal(pz_face_tracker_finish(t), PZ_OK);
    for (int i = 0; i < pz_face_tracker_count(t); i++) {
        struct pz_face_summary s = summary(t, i);
        print_message("person %d: %d frames, box %.0f,%.0f to %.0f,%.0f\n", i, (int)s.n_present,
                      (double)s.box[0], (double)s.box[1], (double)s.box[2], (double)s.box[3]);
    }
    assert_int_equal(pz_face_tracker_cuts(t), 2);
    assert_int_equal(pz_face_tracker_count(t), 2);
    assert_int_equal(summary(t, 0).n_present, 24);
    assert_int_equal(summary(t, 1).n_present, 12);
    assert_int_equal(summary(t, 0).first, 0);
    assert_int_equal(summary(t, 0).last, 35);
    close_clip(&c[0]);
    close_clip(&c[1]);
    pz_face_tracker_destroy(&t);
}

/* No real clip has a cut in it. */
static void no_cut_where_none_is(void **state)
{
    static const char *const clips[] = {CLIP("virtual_7"), CLIP("interview_700"), CLIP("virtual_l8")};
    struct clip c;
    if (!pz_file_exists(clips[0])) {
        skip();
        return;
    }
    for (int k = 0; k < 3; k++) {
        struct pz_cut cut = {0};
        open_clip(&c, clips[k]);
        for (int i = 0; i < 130; i++)
            assert_false(pz_cut_seen(&cut, frame(&c, i)));
        close_clip(&c);
    }
}

/* Two people change sides over a cut: each keeps their records. */
static void people_change_places(void **state)
{
    struct pz_face_tracker *t = tracker_or_skip();
    struct clip c[2];
    struct pz_picture p;
    int person;
    if (!t)
        return;
    open_clip(&c[0], CLIP("virtual_7"));
    open_clip(&c[1], CLIP("virtual_l8"));
    canvas(&p, 2 * SIDE, SIDE);
    for (int i = 0; i < 24; i++) {
        place(&p, frame(&c[0], 20 + i), i < 12 ? 0 : SIDE, 0, 1);
        place(&p, frame(&c[1], 20 + i), i < 12 ? SIDE : 0, 0, 1);
        push(t, i, &p);
    }
    assert_int_equal(pz_face_tracker_finish(t), PZ_OK);
    assert_int_equal(pz_face_tracker_count(t), 2);
    assert_int_equal(summary(t, 0).n_present, 24);
    assert_int_equal(summary(t, 1).n_present, 24);
    /* a portrait chooses, and so does a box; nobody in an empty corner */
    for (int k = 0; k < 2; k++) {
        int by_box;
        struct pz_face_choice portrait = {.which = "portrait.png", .portrait = frame(&c[k], 100)};
        assert_int_equal(pz_face_tracker_choose(t, &portrait, &person), PZ_OK);
        char path[] = "/tmp/pz-tracking-XXXXXX", box[64];
        close(mkstemp(path));
        struct pz_face_track *track;
        assert_int_equal(pz_face_tracker_write(t, person, path), PZ_OK);
        assert_int_equal(pz_face_track_open(path, NULL, &track), PZ_OK);
        const struct pz_face *f = pz_face_track_at(track, 5);
        assert_non_null(f);
        assert_int_equal(f->box[0] > SIDE - 40, k); /* the first clip was on the left then */
        f = pz_face_track_at(track, 20);
        assert_non_null(f);
        assert_int_equal(f->box[0] > SIDE - 40, !k);
        snprintf(box, sizeof box, "%.0f,%.0f,%.0f,%.0f", (double)f->box[0], (double)f->box[1],
                 (double)(f->box[2] - f->box[0]), (double)(f->box[3] - f->box[1]));
        assert_int_equal(pz_face_tracker_choose(t, &(struct pz_face_choice){.which = box}, &by_box), PZ_OK);
        pz_face_track_close(&track);
        unlink(path);
    }
    assert_int_equal(pz_face_tracker_choose(t, &(struct pz_face_choice){.which = "1000,500,20,10"}, &person),
                     PZ_ERR_UNUSABLE);
    assert_int_equal(pz_face_tracker_choose(t, &(struct pz_face_choice){.which = "speaker"}, &person),
                     PZ_ERR_UNUSABLE);
    struct pz_face_choice nobody = {.which = "x.png", .portrait = &p};
    paint(&p, 0, 0, p.width, p.height, (const uint8_t[3]){90, 128, 128});
    assert_int_equal(pz_face_tracker_choose(t, &nobody, &person), PZ_ERR_UNUSABLE);
    pz_picture_free(&p);
    close_clip(&c[0]);
    close_clip(&c[1]);
    pz_face_tracker_destroy(&t);
}

struct sound {
    float *v;
    int64_t n;
    double fps;
};

static float loudness(void *user, int64_t f)
{
    const struct sound *s = user;
    double sum = 0;
    int64_t a = (int64_t)((double)f / s->fps * 16000) - 160, b = a + 160 + (int64_t)(24000 / s->fps);
    for (int64_t i = a < 0 ? 0 : a; i < b && i < s->n; i++)
        sum += (double)s->v[i] * (double)s->v[i];
    return (float)sqrt(sum / (double)(b - a));
}

/* Two films side by side, one's sound: who is it? Both ways. */
static void the_speaker_is_found(void **state)
{
    static const char *const names[2] = {CLIP("virtual_l2"), CLIP("virtual_l8")};
    struct pz_face_tracker *t = tracker_or_skip();
    struct clip c[2];
    struct pz_picture p;
    if (!t)
        return;
    open_clip(&c[0], names[0]);
    open_clip(&c[1], names[1]);
    canvas(&p, SIDE, SIDE / 2);
    for (int i = 0; i < 220; i++) {
        place(&p, frame(&c[0], i), 0, 0, 2);
        place(&p, frame(&c[1], i), SIDE / 2, 0, 2);
        push(t, i, &p);
    }
    assert_int_equal(pz_face_tracker_finish(t), PZ_OK);
    assert_int_equal(pz_face_tracker_count(t), 2);
    for (int k = 0; k < 2; k++) {
        struct sound s = {.fps = 25};
        struct pz_sound *from;
        int person;
        s.v = calloc(16000 * 12, sizeof *s.v);
        assert_non_null(s.v);
        assert_int_equal(pz_sound_open(names[k], 16000, 1, &job, &from), PZ_OK);
        assert_int_equal(pz_sound_read(from, 0, s.v, 16000 * 12, &s.n), PZ_OK);
        pz_sound_close(&from);
        struct pz_face_choice speaker = {.which = "speaker", .loudness = loudness, .user = &s};
        assert_int_equal(pz_face_tracker_choose(t, &speaker, &person), PZ_OK);
        struct pz_face_choice box = {.which = k ? "300,20,160,200" : "40,20,160,200"};
        int by_box;
        assert_int_equal(pz_face_tracker_choose(t, &box, &by_box), PZ_OK);
        assert_int_equal(person, by_box);
        free(s.v);
    }
    pz_picture_free(&p);
    close_clip(&c[0]);
    close_clip(&c[1]);
    pz_face_tracker_destroy(&t);
}

/* A face that is wholly covered for a while, then one that leaves the picture and comes back: one person. */
static void lost_and_found(void **state)
{
    for (int how = 0; how < 2; how++) {
        struct pz_face_tracker *t = tracker_or_skip();
        struct clip c;
        struct pz_picture p;
        if (!t)
            return;
        open_clip(&c, CLIP("virtual_13"));
        canvas(&p, SIDE, SIDE);
        for (int i = 0; i < 60; i++) {
            bool away = i >= 20 && i < 40;
            paint(&p, 0, 0, SIDE, SIDE, (const uint8_t[3]){90, 128, 128});
            if (how == 0) {
                place(&p, frame(&c, 30 + i), 0, 0, 1);
                if (away)
                    paint(&p, 60, 30, 460, 500, (const uint8_t[3]){60, 120, 140});
            } else {
                int out = i < 10 ? 0 : i < 20 ? (i - 10) * 52 : i < 40 ? 520 : i < 50 ? (50 - i) * 52 : 0;
                place(&p, frame(&c, 30 + i), out & ~1, 0, 1);
            }
            push(t, i, &p);
        }
        assert_int_equal(pz_face_tracker_finish(t), PZ_OK);
        assert_int_equal(pz_face_tracker_count(t), 1);
        struct pz_face_summary s = summary(t, 0);
        print_message("%s: seen in %d of 60 frames\n", how ? "left and came back" : "covered",
                      (int)s.n_present);
        assert_true(s.first == 0 && s.last == 59);
        assert_true(s.n_present >= 24 && s.n_present <= 46);
        pz_picture_free(&p);
        close_clip(&c);
        pz_face_tracker_destroy(&t);
    }
}

/* A face a quarter as large, and a film lying on either side or upside down. */
static void small_and_turned(void **state)
{
    for (int turn = 0; turn < 4; turn++) {
        struct pz_face_tracker *t = tracker_or_skip();
        struct clip c;
        struct pz_picture p;
        if (!t)
            return;
        open_clip(&c, CLIP("virtual_l8"));
        canvas(&p, SIDE, SIDE);
        for (int i = 0; i < 6; i++) {
            const struct pz_picture *f = frame(&c, i);
            if (turn == 0)
                place(&p, f, 300, 60, 4);
            for (int k = 0; turn && k < 3; k++) {
                int n = SIDE / (k ? 2 : 1);
                for (int y = 0; y < n; y++)
                    for (int x = 0; x < n; x++) {
                        int sx = turn == 1   ? y
                                 : turn == 2 ? n - 1 - x
                                             : n - 1 - y,
                            sy = turn == 1   ? n - 1 - x
                                 : turn == 2 ? n - 1 - y
                                             : x;
                        p.plane[k][y * p.stride[k] + x] = f->plane[k][sy * f->stride[k] + sx];
                    }
            }
            push(t, i, &p);
        }
        assert_int_equal(pz_face_tracker_finish(t), PZ_OK);
        assert_int_equal(pz_face_tracker_count(t), 1);
        assert_true(summary(t, 0).n_present >= 5);
        if (turn == 0)
            assert_true(summary(t, 0).interocular < 60);
        pz_picture_free(&p);
        close_clip(&c);
        pz_face_tracker_destroy(&t);
    }
}

/* Portraits come as files: what was written is read, what is no picture is told. */
static void stills_are_read(void **state)
{
    struct pz_log *log = pz_log_create(NULL, NULL, PZ_LOG_ERROR);
    struct pz_job with_log = {.log = log};
    struct pz_rgb rgb;
    struct pz_picture p;
    char path[] = "/tmp/pz-still-XXXXXX", msg[256];
    close(mkstemp(path));
    assert_int_equal(pz_rgb_alloc(&rgb, 40, 24), PZ_OK);
    for (int i = 0; i < 3 * 40 * 24; i++)
        rgb.data[i] = i < 40 * 24 ? 0.8f : 0.2f; /* red */
    assert_int_equal(pz_png_write(log, path, &rgb), PZ_OK);
    assert_int_equal(pz_still_read(path, &with_log, &p), PZ_OK);
    assert_true(p.width == 40 && p.height == 24 && p.matrix == PZ_MATRIX_BT601 && !p.full_range);
    assert_true(abs(p.plane[0][12 * p.stride[0] + 20] - 99) <= 2); /* 16 + 219·(0.299·0.8 + 0.701·0.2) */
    assert_true(p.plane[2][6 * p.stride[2] + 10] > 180);
    pz_picture_free(&p);
    pz_rgb_free(&rgb);
    assert_int_equal(pz_file_write(log, path, "no picture", 10), PZ_OK);
    assert_int_equal(pz_still_read(path, &with_log, &p), PZ_ERR_INPUT);
    pz_log_last_error(log, msg, sizeof msg);
    assert_non_null(strstr(msg, "neither a PNG nor a JPEG"));
    unlink(path);
    assert_int_equal(pz_still_read(path, &with_log, &p), PZ_ERR_INPUT);
    pz_log_destroy(&log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cuts_part_persons),    cmocka_unit_test(no_cut_where_none_is),
        cmocka_unit_test(people_change_places), cmocka_unit_test(the_speaker_is_found),
        cmocka_unit_test(stills_are_read),      cmocka_unit_test(lost_and_found),
        cmocka_unit_test(small_and_turned),
    };
    job.pool = pz_pool_create(2);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    pz_pool_destroy(&job.pool);
    return failed;
}
