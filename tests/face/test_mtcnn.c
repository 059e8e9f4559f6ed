/* MTCNN against facenet-pytorch on frames of real clips (skipped where clips or weights are not there), and
 * what is said of wrong files. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/hash.h"
#include "face/detector.h"
#include "face/mtcnn.h"
#include "image/color.h"
#include "media/media.h"

#define FILE_OF(n) PZ_SHARED_DIR "/data/mtcnn/" n ".pt"
#define CLIP(n) PZ_SHARED_DIR "/data/clips/" n ".mp4"

/* First frames as this program decodes them (SHA-256 of the 8-bit RGB), and what facenet-pytorch 2.6.0 with
 * its published weights, min_face_size 20, says of the same bytes: box, score, five points. */
static const struct {
    const char *clip, *sha;
    int n;
    double face[2][15];
} original[] = {
    {CLIP("virtual_13"),
     "b802992683ef46f04d957bad7952200559b4d9384ce2f403a43457cf3a494156",
     1,
     {{127.10847473, 92.62848663, 374.20867920, 461.25225830, 0.99999797, 190.37547302, 229.66229248,
       310.09799194, 232.05720520, 252.93609619, 303.16921997, 190.96923828, 352.26449585, 312.87237549,
       351.94424438}}},
    {CLIP("kitchen_1080x1920"),
     "02c9091d12532f686868ebfda83221f2ee8b4df7405a0f15da923c94170afa39",
     2,
     {{412.49072266, 280.10202026, 664.96313477, 626.30371094, 0.99999964, 499.73626709, 405.38354492,
       619.36779785, 424.66931152, 564.57336426, 475.89050293, 483.80236816, 522.85510254, 597.38171387,
       543.69970703},
      {341.63610840, 1547.07678223, 663.28631592, 1879.15478516, 0.83875763, 406.92266846, 1700.90441895,
       498.17871094, 1644.01440430, 442.13031006, 1766.85400391, 481.34115601, 1829.02954102, 557.44332886,
       1782.26843262}}},
};

static struct pz_job job;

static bool here(void)
{
    if (pz_file_exists(FILE_OF("pnet")) && pz_file_exists(CLIP("virtual_13")))
        return true;
    skip();
    return false;
}

/* The first frame of a clip as RGB, 0 … 255. */
static float *first_frame(const char *path, struct pz_rgb *rgb, char sha[65])
{
    struct pz_film_info *info;
    struct pz_reader *reader;
    const struct pz_picture *pic;
    struct pz_sha256 h;
    bool damaged;
    assert_int_equal(pz_film_info_read(path, &job, &info), PZ_OK);
    assert_int_equal(pz_reader_open(path, info, &job, &reader), PZ_OK);
    assert_int_equal(pz_reader_frame(reader, 0, &pic, &damaged), PZ_OK);
    assert_int_equal(pz_rgb_alloc(rgb, pic->width, pic->height), PZ_OK);
    pz_picture_to_rgb(pic, rgb);
    size_t n = (size_t)pic->width * (size_t)pic->height;
    float *v = malloc(3 * n * sizeof *v);
    uint8_t *u = malloc(3 * n);
    assert_true(v && u);
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < 3; c++) {
            v[3 * i + c] = rintf(255 * fminf(fmaxf(rgb->data[c * n + i], 0), 1));
            u[3 * i + c] = (uint8_t)v[3 * i + c];
        }
    pz_sha256_init(&h);
    pz_sha256_update(&h, u, 3 * n);
    pz_sha256_hex(&h, sha);
    free(u);
    pz_reader_close(&reader);
    pz_film_info_free(&info);
    return v;
}

static void as_the_original(void **state)
{
    struct pz_mtcnn *m;
    if (!here())
        return;
    assert_int_equal(pz_mtcnn_create(FILE_OF("pnet"), FILE_OF("rnet"), FILE_OF("onet"), &job, &m), PZ_OK);
    for (size_t i = 0; i < sizeof original / sizeof original[0]; i++) {
        struct pz_mtcnn_face f[8];
        struct pz_rgb rgb;
        char sha[65];
        int n;
        float *v = first_frame(original[i].clip, &rgb, sha);
        if (strcmp(sha, original[i].sha) != 0) { /* another decoder: other pixels, nothing to compare */
            print_message("%s decodes to other pixels here\n", original[i].clip);
            free(v);
            pz_rgb_free(&rgb);
            continue;
        }
        assert_int_equal(pz_mtcnn_run(m, v, rgb.width, rgb.height, 20, 0, NULL, f, 8, &n), PZ_OK);
        assert_int_equal(n, original[i].n);
        for (int k = 0; k < n; k++) {
            const double *want = original[i].face[k];
            for (int c = 0; c < 4; c++)
                assert_true(fabs((double)f[k].box[c] - want[c]) < 1e-3);
            assert_true(fabs((double)f[k].score - want[4]) < 1e-4);
            for (int c = 0; c < 10; c++)
                assert_true(fabs((double)f[k].point[c / 2][c % 2] - want[5 + c]) < 1e-3);
        }
        free(v);
        pz_rgb_free(&rgb);
    }
    pz_mtcnn_destroy(&m);
}

/* Through the detectors' face: our coordinates, and half the pyramid still finds a large face. */
static void as_a_detector(void **state)
{
    struct pz_face_detector *d;
    struct pz_face_detection f[PZ_FACE_MAX_DETECTIONS];
    struct pz_film_info *info;
    struct pz_reader *reader;
    const struct pz_picture *pic;
    bool damaged;
    int n;
    if (!here())
        return;
    assert_int_equal(pz_face_detector_create(PZ_FACE_MTCNN, PZ_SHARED_DIR "/data", NULL, &d), PZ_OK);
    assert_int_equal(pz_film_info_read(CLIP("virtual_13"), &job, &info), PZ_OK);
    assert_int_equal(pz_reader_open(CLIP("virtual_13"), info, &job, &reader), PZ_OK);
    assert_int_equal(pz_reader_frame(reader, 0, &pic, &damaged), PZ_OK);
    assert_int_equal(pz_face_detector_run(d, pic, 0, NULL, f, &n), PZ_OK);
    assert_int_equal(n, 1);
    assert_true(fabsf(f[0].eye[0][0] - 190.9f) < 4 && fabsf(f[0].eye[0][1] - 230.2f) < 4);
    assert_true(f[0].has_mouth && fabsf(f[0].mouth[1][0] - 313.4f) < 4);
    pz_face_detector_destroy(&d);
    pz_reader_close(&reader);
    pz_film_info_free(&info);
}

static void wrong_files_are_named(void **state)
{
    struct pz_log *log = pz_log_create(NULL, NULL, PZ_LOG_ERROR);
    struct pz_job with_log = {.log = log};
    struct pz_face_detector *d;
    struct pz_mtcnn *m;
    char msg[512];
    assert_int_equal(pz_face_detector_create(PZ_FACE_MTCNN, "/nonexistent", log, &d), PZ_ERR_WEIGHTS);
    pz_log_last_error(log, msg, sizeof msg);
    assert_non_null(strstr(msg, "pnet.pt"));
    if (pz_file_exists(FILE_OF("pnet"))) {
        assert_int_equal(pz_mtcnn_create(FILE_OF("pnet"), FILE_OF("onet"), FILE_OF("rnet"), &with_log, &m),
                         PZ_ERR_WEIGHTS);
        assert_null(m);
        pz_log_last_error(log, msg, sizeof msg);
        assert_non_null(strstr(msg, "conv1"));
    }
    pz_log_destroy(&log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_the_original),
        cmocka_unit_test(as_a_detector),
        cmocka_unit_test(wrong_files_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
