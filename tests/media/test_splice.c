/* Smart render: copied frames are the same bits, encoded ones look the same, touched ones show the change,
 * times are as told, and FFmpeg decodes the result without a complaint, from the start and from every key. */
#include <math.h>
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
#include "clip.h"
#include "media/splice.h"
#include "strict.h"

enum { CAP = 600 };

static char dir[64] = "/tmp/pz-splice-XXXXXX";
static char source[128], output[128];

static int setup(void **state)
{
    if (!mkdtemp(dir))
        return -1;
    snprintf(source, sizeof(source), "%s/in.mp4", dir);
    snprintf(output, sizeof(output), "%s/out.mp4", dir);
    return 0;
}

static int teardown(void **state)
{
    pz_remove_tree(dir);
    return 0;
}

struct edit {
    struct pz_film_info *info;
    struct pz_out_frame out[CAP];
    int n;
    struct pz_sound *sound;
    int asked;
    int ahead, shown, put_off; /* look ahead: frames shown and not asked for yet */
    int64_t last_shown;
    uint64_t seen[8];
};

/* The change: a light square in the middle, which the source never shows. */
static enum pz_status paint(void *user, int64_t i, struct pz_picture *p)
{
    struct edit *e = user;
    assert_true(e->out[i].touched);
    assert_int_equal(p->width, e->info->width);
    assert_int_equal(p->height, e->info->height);
    e->asked++;
    if (e->ahead) { /* shown before, and it is the same picture */
        assert_true(e->shown > 0 && i <= e->last_shown);
        assert_true(clip_hash(p) == e->seen[e->asked % 8]);
        e->shown--;
    }
    for (int y = p->height / 2 - 16; y < p->height / 2 + 16; y++)
        memset(p->plane[0] + (ptrdiff_t)y * p->stride[0] + p->width / 2 - 16, 230, 32);
    return PZ_OK;
}

static enum pz_status coming(void *user, int64_t i, const struct pz_picture *p)
{
    struct edit *e = user;
    assert_true(e->out[i].touched);
    assert_int_equal(p->width, e->info->width);
    if (i % 7 == 0 && e->shown > 0 && e->put_off != i) { /* another time */
        e->put_off = (int)i;
        return PZ_END;
    }
    assert_true(i > e->last_shown);
    assert_true(e->shown < e->ahead);
    e->last_shown = i;
    e->shown++;
    e->seen[(e->asked + e->shown) % 8] = clip_hash(p);
    return PZ_OK;
}

static double middle(const struct pz_picture *p)
{
    double sum = 0;
    for (int y = p->height / 2 - 8; y < p->height / 2 + 8; y++)
        for (int x = p->width / 2 - 8; x < p->width / 2 + 8; x++)
            sum += p->plane[0][(ptrdiff_t)y * p->stride[0] + x];
    return sum / 256;
}

static double psnr(const struct pz_picture *a, const struct pz_picture *b)
{
    double sum = 0;
    for (int y = 0; y < a->height; y++)
        for (int x = 0; x < a->width; x++) {
            double d =
                a->plane[0][(ptrdiff_t)y * a->stride[0] + x] - b->plane[0][(ptrdiff_t)y * b->stride[0] + x];
            sum += d * d;
        }
    return sum > 0 ? 10 * log10(255.0 * 255 * a->width * a->height / sum) : 99;
}

static enum pz_status pass(void *user, int64_t at, float *x, int64_t n)
{
    struct edit *e = user;
    int64_t got;
    enum pz_status st = pz_sound_read(e->sound, at, x, n, &got);
    int c = pz_sound_channels(e->sound);
    memset(x + got * c, 0, (size_t)((n - got) * c) * sizeof(*x));
    return st < PZ_OK ? st : PZ_OK;
}

static void open_edit(struct edit *e, const struct clip *c)
{
    memset(e, 0, sizeof(*e));
    assert_true(clip_make(c));
    assert_int_equal(pz_film_info_read(c->path, NULL, &e->info), PZ_OK);
    e->n = (int)e->info->n_frames;
    for (int i = 0; i < e->n; i++)
        e->out[i] = (struct pz_out_frame){i, e->info->frames[i].pts, e->info->frames[i].duration, 0};
    if (e->info->has_sound)
        assert_int_equal(pz_sound_open(c->path, 0, 0, NULL, &e->sound), PZ_OK);
}

static void close_edit(struct edit *e)
{
    pz_sound_close(&e->sound);
    pz_film_info_free(&e->info);
}

static void touch(struct edit *e, int from, int to)
{
    for (int i = from; i <= to; i++)
        e->out[i].touched = 1;
}

/* Every picture of the output against its source. Returns how many are bit-exact. */
static int compare(const struct edit *e, const struct pz_film_info *f, const struct clip *c)
{
    struct pz_reader *a, *b;
    const struct pz_picture *p, *q;
    bool damaged;
    int exact = 0;
    assert_int_equal(pz_reader_open(c->path, e->info, NULL, &a), PZ_OK);
    assert_int_equal(pz_reader_open(output, f, NULL, &b), PZ_OK);
    for (int i = 0; i < e->n; i++) {
        assert_int_equal(pz_reader_frame(a, e->out[i].src, &p, &damaged), PZ_OK);
        assert_int_equal(pz_reader_frame(b, i, &q, &damaged), PZ_OK);
        assert_false(damaged);
        assert_int_equal(clip_number(q, c->rotation), e->out[i].src);
        bool same = clip_hash(p) == clip_hash(q);
        exact += same;
        if (e->out[i].touched) {
            assert_true(middle(q) > 215);
        } else {
            assert_true(middle(q) < 200);
            assert_true(same || psnr(p, q) > 34); /* the texture is mostly noise */
        }
    }
    pz_reader_close(&a);
    pz_reader_close(&b);
    return exact;
}

/* Runs the edit and checks all that holds for every one. */
static void expect(struct edit *e, const struct clip *c, int encoded, const struct pz_splice_extra *x)
{
    struct pz_film_info *f;
    struct pz_splice_report rep;
    int64_t pts[CAP];
    int touched = 0;
    for (int i = 0; i < e->n; i++)
        touched += e->out[i].touched;
    struct pz_splice s = {.source = c->path,
                          .info = e->info,
                          .output = output,
                          .frames = e->out,
                          .n_frames = e->n,
                          .picture = paint,
                          .sound = e->sound ? pass : NULL,
                          .n_samples = e->info->n_samples,
                          .coming = e->ahead ? coming : NULL,
                          .ahead = e->ahead,
                          .user = e};
    e->last_shown = e->put_off = -1;
    assert_int_equal(pz_splice_run_extra(&s, x ? x : &(struct pz_splice_extra){0}, NULL, &rep), PZ_OK);
    assert_int_equal(e->asked, touched);
    assert_int_equal(e->shown, 0);
    assert_int_equal(rep.frames_touched, touched);
    assert_int_equal(rep.frames_total, e->n);
    assert_int_equal(rep.frames_copied + rep.frames_encoded, e->n);
    if (encoded >= 0)
        assert_int_equal(rep.frames_encoded, encoded);

    assert_int_equal(pz_film_info_read(output, NULL, &f), PZ_OK);
    assert_int_equal(f->n_frames, e->n);
    assert_int_equal(f->time_base.den, e->info->time_base.den);
    assert_int_equal(f->rotation, e->info->rotation);
    assert_int_equal(f->color_space, e->info->color_space);
    for (int i = 0; i < e->n; i++)
        assert_int_equal(f->frames[i].pts, e->out[i].pts);
    assert_int_equal(f->frames[e->n - 1].duration, e->out[e->n - 1].duration);
    assert_true(compare(e, f, c) >= rep.frames_copied);

    assert_int_equal(strict_decode(output, 0, -1, pts, CAP), e->n);
    for (int i = 0; i < e->n; i++)
        assert_int_equal(pts[i], e->out[i].pts);
    int stop = 0;
    for (int i = 0; i < e->n && stop < 6; i++)
        if (f->frames[i].key && i > 0) { /* seek to each key, ours and theirs */
            int got = strict_decode(output, 0, f->frames[i].pts, pts, CAP);
            assert_true(e->info->variable_rate ? got >= e->n - i : got == e->n - i);
            assert_int_equal(pts[0], e->out[e->n - got].pts);
            stop++;
        }
    pz_film_info_free(&f);
    print_message("%d frames: %d touched, %d encoded, %d copied\n", e->n, touched, (int)rep.frames_encoded,
                  (int)rep.frames_copied);
}

static struct clip plain(void)
{
    return (struct clip){.path = source,
                         .n_frames = 60,
                         .time_base_den = 12800,
                         .step = 512,
                         .gop = 15,
                         .x264_params = "scenecut=0",
                         .color = 1};
}

static void one_range_without_b_frames(void **state)
{
    struct clip c = plain();
    struct edit e;
    c.profile = "baseline";
    open_edit(&e, &c);
    touch(&e, 20, 24);
    expect(&e, &c, 10, NULL); /* 20..29 */
    close_edit(&e);
}

static void b_frames_and_pyramid(void **state)
{
    for (int b = 1; b <= 3; b++) {
        struct clip c = plain();
        struct edit e;
        c.b_frames = b;
        c.time_base_den = 24000, c.step = 1001;
        open_edit(&e, &c);
        touch(&e, 22, 24);
        touch(&e, 50, 50);
        expect(&e, &c, -1, NULL);
        close_edit(&e);
    }
}

static void first_last_and_all(void **state)
{
    struct clip c = plain();
    struct edit e;
    c.b_frames = 2;
    open_edit(&e, &c);
    touch(&e, 0, 0);
    expect(&e, &c, 15, NULL);
    close_edit(&e);
    open_edit(&e, &c);
    touch(&e, 59, 59);
    expect(&e, &c, -1, NULL);
    close_edit(&e);
    open_edit(&e, &c);
    touch(&e, 0, 59);
    expect(&e, &c, 60, NULL);
    close_edit(&e);
    open_edit(&e, &c);
    expect(&e, &c, 0, NULL);
    close_edit(&e);
}

static void open_groups(void **state)
{
    struct clip c = plain();
    struct edit e;
    c.b_frames = 3;
    c.x264_params = "open-gop=1:scenecut=0:bframes=3";
    open_edit(&e, &c);
    touch(&e, 33, 36);
    expect(&e, &c, -1, NULL);
    close_edit(&e);
}

static void late_start_and_variable_rate(void **state)
{
    static const int64_t times[] = {0,     3003,  6006,  9000,  15000, 15500, 21000, 27000,
                                    27900, 40000, 43003, 50000, 51001, 60000, 63000, 66000,
                                    69000, 72100, 75000, 80000, 81000, 85000};
    struct clip c = plain();
    struct edit e;
    c.first_pts = 507;
    open_edit(&e, &c);
    touch(&e, 16, 18);
    expect(&e, &c, -1, NULL);
    close_edit(&e);
    c.b_frames = 2;
    open_edit(&e, &c);
    touch(&e, 16, 18);
    expect(&e, &c, -1, NULL);
    close_edit(&e);
    c.first_pts = 0;
    c.pts = times;
    c.n_frames = 22;
    c.gop = 7;
    c.time_base_den = 90000;
    open_edit(&e, &c);
    touch(&e, 8, 9);
    expect(&e, &c, -1, NULL);
    close_edit(&e);
}

static void rotated(void **state)
{
    for (int turn = 90; turn < 360; turn += 90) {
        struct clip c = plain();
        struct edit e;
        c.rotation = turn;
        c.n_frames = 30;
        open_edit(&e, &c);
        touch(&e, 5, 8);
        expect(&e, &c, 10, NULL);
        close_edit(&e);
    }
}

static void pictures_are_shown_ahead(void **state)
{
    for (int turn = 0; turn < 360; turn += 270) {
        struct clip c = plain();
        struct edit e;
        c.rotation = turn;
        c.b_frames = turn ? 0 : 2;
        open_edit(&e, &c);
        e.ahead = turn ? 3 : 8;
        touch(&e, 3, 24); /* one encoded stretch with a hole */
        touch(&e, 27, 40);
        expect(&e, &c, -1, NULL);
        assert_true(e.put_off > 0);
        close_edit(&e);
    }
}

/* Ten frames shown twice as long: everything after is later, and still copied from the next key on. */
static void retimed_tail(void **state)
{
    struct clip c = plain();
    struct edit e;
    c.b_frames = 2;
    open_edit(&e, &c);
    int n = 0;
    int64_t t = 0;
    for (int i = 0; i < 60; i++) {
        int times = i >= 18 && i < 28 ? 2 : 1;
        for (int k = 0; k < times; k++, t += 512)
            e.out[n++] = (struct pz_out_frame){i, t, 512, times == 2};
    }
    e.n = n;
    expect(&e, &c, -1, NULL);
    close_edit(&e);
}

static void sets_in_band(void **state)
{
    struct clip c = plain();
    struct edit e;
    struct pz_splice_extra x = {.in_band = true};
    c.b_frames = 2;
    open_edit(&e, &c);
    touch(&e, 20, 22);
    expect(&e, &c, -1, &x);
    close_edit(&e);
}

static void from_matroska(void **state)
{
    struct clip c = plain();
    struct edit e;
    char mkv[128];
    snprintf(mkv, sizeof(mkv), "%s/in.mkv", dir);
    c.path = mkv;
    c.b_frames = 2;
    c.time_base_den = 1000, c.step = 40;
    open_edit(&e, &c);
    touch(&e, 20, 22);
    expect(&e, &c, -1, NULL);
    close_edit(&e);
}

/* A white frame and a beep at the same moment: both must come out together. */
static void clap_and_beep_stay_together(void **state)
{
    static const int rates[] = {44100, 16000, 48000};
    for (int k = 0; k < 3; k++) {
        struct clip c = plain();
        struct edit e;
        struct pz_film_info *f;
        struct pz_sound *s;
        struct pz_reader *r;
        const struct pz_picture *p;
        int64_t got;
        int rate = rates[k];
        c.n_frames = 75, c.time_base_den = 30000, c.step = 1000, c.b_frames = 2;
        c.flash_frame = 45; /* 1.5 s */
        c.sound_encoder = "aac", c.rate = rate, c.channels = 1 + (k & 1), c.sound_s = 2.5;
        c.beep_at = rate * 3 / 2, c.beep_n = rate / 10;
        open_edit(&e, &c);
        touch(&e, 20, 30);
        struct pz_splice sp = {.source = source,
                               .info = e.info,
                               .output = output,
                               .frames = e.out,
                               .n_frames = e.n,
                               .picture = paint,
                               .sound = pass,
                               .n_samples = e.info->n_samples,
                               .user = &e};
        assert_int_equal(pz_splice_run(&sp, NULL, NULL), PZ_OK);
        assert_int_equal(pz_film_info_read(output, NULL, &f), PZ_OK);
        assert_int_equal(f->sound_rate, rate);
        assert_int_equal(f->sound_channels, c.channels);
        assert_int_equal(f->n_samples, e.info->n_samples);
        assert_int_equal(pz_reader_open(output, f, NULL, &r), PZ_OK);
        int flash = -1;
        for (int i = 0; i < 75 && flash < 0; i++) {
            assert_int_equal(pz_reader_frame(r, i, &p, NULL), PZ_OK);
            flash = middle(p) > 215 && !e.out[i].touched ? i : -1;
        }
        assert_int_equal(flash, 45);
        double flash_s = pz_seconds(f->frames[flash].pts, f->time_base);
        int64_t n = rate * 5 / 2;
        float *x = calloc((size_t)(n * c.channels), sizeof(float));
        assert_int_equal(pz_sound_open(output, 0, 0, NULL, &s), PZ_OK);
        assert_int_equal(pz_sound_read(s, 0, x, n, &got), PZ_OK);
        int best = 0;
        double top = 0;
        for (int lag = -400; lag <= 400; lag++) {
            double sum = 0;
            for (int64_t i = 0; i < c.beep_n; i++)
                sum += x[(c.beep_at + lag + i) * c.channels] * cos(2 * M_PI * 1000 * (double)i / rate);
            if (sum > top) {
                top = sum;
                best = lag;
            }
        }
        double beep_s = (double)(c.beep_at + best) / rate;
        print_message("%d Hz: flash %.6f s, beep %.6f s\n", rate, flash_s, beep_s);
        assert_true(fabs(beep_s - flash_s) < 0.001);
        assert_int_equal(best, 0);
        assert_true(strict_decode(output, 1, -1, NULL, 0) > 0);
        free(x);
        pz_sound_close(&s);
        pz_reader_close(&r);
        pz_film_info_free(&f);
        close_edit(&e);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_range_without_b_frames),
        cmocka_unit_test(b_frames_and_pyramid),
        cmocka_unit_test(first_last_and_all),
        cmocka_unit_test(open_groups),
        cmocka_unit_test(late_start_and_variable_rate),
        cmocka_unit_test(rotated),
        cmocka_unit_test(pictures_are_shown_ahead),
        cmocka_unit_test(retimed_tail),
        cmocka_unit_test(sets_in_band),
        cmocka_unit_test(from_matroska),
        cmocka_unit_test(clap_and_beep_stay_together),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
