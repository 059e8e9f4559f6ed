/* Writing: transcoded films, tags and the XMP box, and that a failure of any kind leaves nothing behind. */
#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/pool.h"
#include "clip.h"
#include "strict.h"

static char dir[64] = "/tmp/pz-write-XXXXXX", out_dir[96];

static int setup(void **state)
{
    if (!mkdtemp(dir))
        return -1;
    snprintf(out_dir, sizeof(out_dir), "%s/out", dir);
    return pz_make_dirs(NULL, out_dir) == PZ_OK ? 0 : -1;
}

static int teardown(void **state)
{
    pz_remove_tree(dir);
    return 0;
}

static int files_in_out(void)
{
    int n = 0;
    DIR *d = opendir(out_dir);
    for (struct dirent *e; (e = readdir(d));)
        n += strcmp(e->d_name, ".") && strcmp(e->d_name, "..");
    closedir(d);
    return n;
}

static enum pz_status silence(void *user, int64_t at, float *x, int64_t n)
{
    memset(x, 0, (size_t)(n * *(int *)user) * sizeof(*x));
    return PZ_OK;
}

static enum pz_status keep(void *user, int64_t i, struct pz_picture *p)
{
    return PZ_OK;
}

static enum pz_status refuse(void *user, int64_t i, struct pz_picture *p)
{
    return i == 20 ? PZ_ERR_DEVICE : PZ_OK;
}

struct film {
    char in[128], out[128];
    struct pz_film_info *info;
    struct pz_out_frame *frames;
    struct pz_splice s;
};

static void open_film(struct film *f, int n_frames)
{
    struct clip c = {.path = f->in,
                     .n_frames = n_frames,
                     .time_base_den = 12800,
                     .step = 512,
                     .gop = 15,
                     .b_frames = 2,
                     .sound_encoder = "aac",
                     .rate = 16000,
                     .channels = 1,
                     .sound_s = n_frames / 25.0,
                     .tone = true};
    snprintf(f->in, sizeof(f->in), "%s/in.mp4", dir);
    snprintf(f->out, sizeof(f->out), "%s/o.mp4", out_dir);
    assert_true(clip_make(&c));
    assert_int_equal(pz_film_info_read(f->in, NULL, &f->info), PZ_OK);
    f->frames = calloc((size_t)n_frames, sizeof(*f->frames));
    for (int i = 0; i < n_frames; i++)
        f->frames[i] =
            (struct pz_out_frame){i, f->info->frames[i].pts, f->info->frames[i].duration, i > 17 && i < 40};
    f->s = (struct pz_splice){.source = f->in,
                              .info = f->info,
                              .output = f->out,
                              .frames = f->frames,
                              .n_frames = n_frames,
                              .picture = keep,
                              .sound = silence,
                              .n_samples = f->info->n_samples,
                              .user = &f->info->sound_channels};
}

static void close_film(struct film *f)
{
    free(f->frames);
    pz_film_info_free(&f->info);
}

struct stop {
    int polls, limit;
};

static bool stop_after(void *user)
{
    struct stop *s = user;
    return ++s->polls > s->limit;
}

static void cancel_leaves_nothing(void **state)
{
    struct film f;
    open_film(&f, 90);
    for (int limit = 1; limit < 400; limit += 37) {
        struct stop stop = {0, limit};
        struct pz_job job = {.cancelled = stop_after, .user = &stop};
        enum pz_status st = pz_splice_run(&f.s, &job, NULL);
        if (st == PZ_OK) {
            assert_true(limit > 90); /* it is asked at least once a frame */
            remove(f.out);
        } else {
            assert_int_equal(st, PZ_ERR_CANCELLED);
        }
        assert_int_equal(files_in_out(), 0);
    }
    close_film(&f);
}

static void callback_errors_come_back(void **state)
{
    struct film f;
    open_film(&f, 60);
    f.s.picture = refuse;
    assert_int_equal(pz_splice_run(&f.s, NULL, NULL), PZ_ERR_DEVICE);
    assert_int_equal(files_in_out(), 0);
    close_film(&f);
}

/* A hum that depends on where it is, so that a piece in the wrong place would show. */
static enum pz_status hum(void *user, int64_t at, float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        x[i] = 0.3f * sinf(0.05f * (float)(at + i) * (1 + (float)(at + i) * 1e-5f));
    return *(int *)user == 1 ? PZ_OK : PZ_ERR_INTERNAL;
}

static enum pz_status deaf(void *user, int64_t at, float *x, int64_t n)
{
    memset(x, 0, (size_t)n * sizeof(*x));
    return at > 20000 ? PZ_ERR_UNSUPPORTED : PZ_OK;
}

/* With threads the sound is made ahead of the pictures: the same packets, and the same ends. */
static void sound_ahead_is_the_same(void **state)
{
    struct film f;
    struct stop stop = {0, 60};
    struct pz_job job = {.pool = pz_pool_create(2)};
    char *data[2];
    size_t n[2];
    assert_non_null(job.pool);
    open_film(&f, 150); /* 94 packets of sound, more than are kept ahead */
    for (int i = 0; i < 150; i++)
        f.frames[i].touched = 0;
    f.s.sound = hum;
    for (int k = 0; k < 2; k++) {
        assert_int_equal(pz_splice_run(&f.s, k ? &job : NULL, NULL), PZ_OK);
        assert_int_equal(pz_file_read(NULL, f.out, 1 << 26, &data[k], &n[k]), PZ_OK);
        remove(f.out);
    }
    assert_int_equal(n[0], n[1]);
    assert_memory_equal(data[0], data[1], n[0]);
    f.s.sound = deaf;
    assert_int_equal(pz_splice_run(&f.s, &job, NULL), PZ_ERR_UNSUPPORTED);
    f.s.sound = hum;
    f.frames[20].touched = 1;
    f.s.picture = refuse;
    assert_int_equal(pz_splice_run(&f.s, &job, NULL), PZ_ERR_DEVICE);
    job.cancelled = stop_after;
    job.user = &stop;
    f.s.picture = keep;
    assert_int_equal(pz_splice_run(&f.s, &job, NULL), PZ_ERR_CANCELLED);
    assert_int_equal(files_in_out(), 0);
    pz_pool_destroy(&job.pool);
    pz_free(data[0]);
    pz_free(data[1]);
    close_film(&f);
}

static void expect_refused(const struct pz_splice *s, enum pz_status want, const char *word)
{
    char text[1024];
    struct pz_log *log = pz_log_create(NULL, NULL, PZ_LOG_ERROR);
    struct pz_job job = {.log = log};
    assert_int_equal(pz_splice_run(s, &job, NULL), want);
    pz_log_last_error(log, text, sizeof(text));
    print_message("%s\n", text);
    assert_non_null(strstr(text, word));
    pz_log_destroy(&log);
}

static void bad_places_are_refused(void **state)
{
    struct film f;
    char path[256];
    open_film(&f, 60);
    f.s.output = path;
    snprintf(path, sizeof(path), "%s/no/such/folder/o.mp4", out_dir);
    expect_refused(&f.s, PZ_ERR_WRITE, "No such file");
    snprintf(path, sizeof(path), "%s/o.mp4", f.in); /* a file as folder */
    expect_refused(&f.s, PZ_ERR_WRITE, "Not a directory");
    assert_int_equal(files_in_out(), 0);
    close_film(&f);
}

static void full_disk_is_told(void **state)
{
    struct film f;
    struct rlimit old, small;
    open_film(&f, 90);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    signal(SIGXFSZ, SIG_IGN);
    for (int at = 0; at < 3; at++) {
        small = old;
        small.rlim_cur = at == 0 ? 16 : at == 1 ? 100000 : 200000;
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
        expect_refused(&f.s, PZ_ERR_WRITE, "cannot write");
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
        assert_int_equal(files_in_out(), 0);
    }
    close_film(&f);
}

static void xmp_and_comment_are_in_the_file(void **state)
{
    static const uint8_t uuid[20] = {'u',  'u',  'i',  'd',  0xbe, 0x7a, 0xcf, 0xcb, 0x97, 0xa9,
                                     0x42, 0xe8, 0x9c, 0x71, 0x99, 0x94, 0x91, 0xe3, 0xaf, 0xac};
    struct film f;
    char *data;
    size_t n;
    open_film(&f, 60);
    f.s.xmp = "<?xpacket begin='' id='W5M0MpCehiHzreSzNTczkc9d'?><x:xmpmeta xmlns:x='adobe:ns:meta/'/>";
    f.s.comment = "made by a test";
    assert_int_equal(pz_splice_run(&f.s, NULL, NULL), PZ_OK);
    assert_int_equal(files_in_out(), 1);
    assert_int_equal(pz_file_read(NULL, f.out, 1 << 26, &data, &n), PZ_OK);
    size_t len = strlen(f.s.xmp), moov = 0, mdat = 0;
    assert_true(n > len + 24);
    assert_memory_equal(data + n - len, f.s.xmp, len);
    assert_memory_equal(data + n - len - 20, uuid, 20);
    size_t at = 0, last = 0; /* the boxes tile the file, the index comes before the data */
    while (at + 8 <= n) {
        const uint8_t *b = (const uint8_t *)data + at;
        size_t size = (size_t)b[0] << 24 | (size_t)b[1] << 16 | (size_t)b[2] << 8 | b[3];
        assert_true(size >= 8);
        if (!memcmp(b + 4, "moov", 4))
            moov = at;
        if (!memcmp(b + 4, "mdat", 4))
            mdat = at;
        last = at;
        at += size;
    }
    assert_int_equal(at, n);
    assert_true(moov > 0 && mdat > moov && last == n - len - 24);
    bool told = false;
    for (size_t i = 0; i + 14 < n; i++)
        told = told || !memcmp(data + i, "made by a test", 14);
    assert_true(told);
    assert_int_equal(strict_decode(f.out, 0, -1, NULL, 0), 60);
    assert_true(strict_decode(f.out, 1, -1, NULL, 0) > 0);
    pz_free(data);
    remove(f.out);
    close_film(&f);
}

/* A film ten times as long takes no more memory: the high-water mark of the second run is that of the first.
 */
static void memory_does_not_grow(void **state)
{
    struct film f;
    int64_t peak[2];
    for (int k = 0; k < 2; k++) {
        open_film(&f, k ? 1500 : 150);
        assert_int_equal(pz_splice_run(&f.s, NULL, NULL), PZ_OK);
        remove(f.out);
        close_film(&f);
        peak[k] = pz_peak_rss();
    }
    print_message("peak %.1f MB, then %.1f MB\n", (double)peak[0] / 1e6, (double)peak[1] / 1e6);
    assert_true(peak[0] > 0);
#if !defined(__SANITIZE_ADDRESS__) /* its quarantine keeps what was freed */
    assert_true(peak[1] - peak[0] < 6000000);
#endif
}

static void expect_copyable(const struct clip *c, const int64_t *keys, int n_keys)
{
    char out[128];
    struct pz_film_info *a, *b;
    struct pz_reader *r, *q;
    const struct pz_picture *p, *o;
    int64_t pts[256];
    snprintf(out, sizeof(out), "%s/t.mp4", out_dir);
    assert_true(clip_make(c));
    assert_int_equal(pz_film_info_read(c->path, NULL, &a), PZ_OK);
    assert_false(a->copyable);
    assert_int_equal(pz_transcode(c->path, a, out, keys, n_keys, NULL), PZ_OK);
    assert_int_equal(pz_film_info_read(out, NULL, &b), PZ_OK);
    assert_true(b->copyable);
    assert_int_equal(b->bit_depth, 8);
    assert_int_equal(b->rotation, a->rotation);
    assert_int_equal(b->color_space, a->color_space);
    assert_int_equal(b->color_range, a->color_range);
    assert_int_equal(b->has_sound, a->has_sound);
    assert_int_equal(b->n_frames, a->n_frames);
    int since = 0;
    for (int i = 0; i < a->n_frames; i++) {
        assert_int_equal(pz_rescale(a->frames[i].pts, a->time_base, b->time_base), b->frames[i].pts);
        since = b->frames[i].key ? 0 : since + 1;
        assert_true(since <= 50);
    }
    for (int k = 0; k < n_keys; k++)
        assert_true(b->frames[keys[k]].key);
    assert_int_equal(strict_decode(out, 0, -1, pts, 256), a->n_frames);
    assert_int_equal(pz_reader_open(c->path, a, NULL, &r), PZ_OK);
    assert_int_equal(pz_reader_open(out, b, NULL, &q), PZ_OK);
    for (int i = 0; i < a->n_frames; i++) {
        double sum = 0;
        assert_int_equal(pz_reader_frame(r, i, &p, NULL), PZ_OK);
        assert_int_equal(pz_reader_frame(q, i, &o, NULL), PZ_OK);
        assert_int_equal(clip_number(o, c->rotation), i);
        for (int y = 0; y < p->height; y++)
            for (int x = 0; x < p->width; x++) {
                int d = p->plane[0][(ptrdiff_t)y * p->stride[0] + x] -
                        o->plane[0][(ptrdiff_t)y * o->stride[0] + x];
                sum += d * d;
            }
        assert_true(sum == 0 || 10 * log10(65025.0 * p->width * p->height / sum) > 33);
    }
    pz_reader_close(&r);
    pz_reader_close(&q);
    pz_film_info_free(&a);
    pz_film_info_free(&b);
    remove(out);
}

static void other_codecs_become_copyable(void **state)
{
    static const int64_t keys[] = {13, 14, 40}, times[] = {0, 40, 90, 120, 200, 230, 310, 350, 400, 430};
    char in[128];
    snprintf(in, sizeof(in), "%s/t.mkv", dir);
    struct clip c = {.path = in,
                     .encoder = "libx265",
                     .n_frames = 60,
                     .time_base_den = 1000,
                     .step = 40,
                     .b_frames = 3,
                     .color = 1,
                     .rotation = 90,
                     .sound_encoder = "flac",
                     .rate = 44100,
                     .channels = 2,
                     .sound_s = 2.4,
                     .tone = true};
    snprintf(in, sizeof(in), "%s/t.mov", dir); /* Matroska's writer keeps no display matrix */
    c.time_base_den = 12800, c.step = 512, c.sound_encoder = "pcm_s16le";
    expect_copyable(&c, keys, 3);
    c.sound_encoder = "aac";
    expect_copyable(&c, keys, 3);
    snprintf(in, sizeof(in), "%s/t.mkv", dir);
    struct clip d = {
        .path = in, .pix_fmt = "yuv422p10le", .n_frames = 10, .time_base_den = 1000, .pts = times};
    expect_copyable(&d, NULL, 0);
    snprintf(in, sizeof(in), "%s/t.avi", dir);
    struct clip m = {.path = in,
                     .encoder = "mpeg4",
                     .n_frames = 40,
                     .time_base_den = 25,
                     .step = 1,
                     .b_frames = 2,
                     .sound_encoder = "pcm_s16le",
                     .rate = 22050,
                     .channels = 1,
                     .sound_s = 1.6,
                     .tone = true};
    expect_copyable(&m, keys, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_does_not_grow),
        cmocka_unit_test(cancel_leaves_nothing),
        cmocka_unit_test(callback_errors_come_back),
        cmocka_unit_test(sound_ahead_is_the_same),
        cmocka_unit_test(bad_places_are_refused),
        cmocka_unit_test(full_disk_is_told),
        cmocka_unit_test(xmp_and_comment_are_in_the_file),
        cmocka_unit_test(other_codecs_become_copyable),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
