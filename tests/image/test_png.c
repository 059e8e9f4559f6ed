/** PNG: what is written is read again, every filter is undone, and a damaged file is refused wherever it is
 * damaged. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <zlib.h>

#include "base/file.h"
#include "base/mem.h"
#include "image/png.h"

static char path[64];

static void written_is_read(void **state)
{
    struct pz_rgb a, b;
    (void)state;
    assert_int_equal(pz_rgb_alloc(&a, 37, 21), PZ_OK);
    for (int i = 0; i < 3 * 37 * 21; i++)
        a.data[i] = (float)((i * 7919) % 256) / 255;
    assert_int_equal(pz_png_write(NULL, path, &a), PZ_OK);
    assert_int_equal(pz_png_read(NULL, path, &b), PZ_OK);
    assert_int_equal(b.width, 37);
    assert_int_equal(b.height, 21);
    for (int i = 0; i < 3 * 37 * 21; i++)
        assert_true(fabsf(a.data[i] - b.data[i]) < 1e-6f);
    pz_rgb_free(&a);
    pz_rgb_free(&b);
}

/* ---- files made by hand ---- */

static size_t put(uint8_t *out, size_t at, const char *type, const uint8_t *data, size_t n)
{
    uint8_t *p = out + at;
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(n >> (24 - 8 * i));
    memcpy(p + 4, type, 4);
    if (n)
        memcpy(p + 8, data, n);
    uint32_t c = (uint32_t)crc32(0, p + 4, (uInt)(n + 4));
    for (int i = 0; i < 4; i++)
        p[8 + n + (size_t)i] = (uint8_t)(c >> (24 - 8 * i));
    return at + 12 + n;
}

/* A picture of w × h, `channels` a pixel, value (x·3 + y·11 + k·50) mod 256, row y filtered with type y mod
 * 5; IDAT in two parts, a text chunk between. */
static size_t make(uint8_t *out, int w, int h, int channels, int kind, int depth)
{
    static const uint8_t magic[8] = {0x89, 'P', 'N', 'G', 0x0d, 0x0a, 0x1a, 0x0a};
    uint8_t raw[4096], packed[8192], head[13] = {0};
    size_t n = 0, at = 8;
    uLongf length = sizeof packed;
    for (int y = 0; y < h; y++) {
        raw[n++] = (uint8_t)(y % 5);
        for (int x = 0; x < w; x++)
            for (int k = 0; k < channels; k++) {
                int v = x * 3 + y * 11 + k * 50, left = x ? (v - 3) & 255 : 0, up = y ? (v - 11) & 255 : 0,
                    corner = x && y ? (v - 14) & 255 : 0, p = left + up - corner, guess = 0;
                int pa = abs(p - left), pb = abs(p - up), pc = abs(p - corner);
                if (y % 5 == 1)
                    guess = left;
                if (y % 5 == 2)
                    guess = up;
                if (y % 5 == 3)
                    guess = (left + up) / 2;
                if (y % 5 == 4)
                    guess = pa <= pb && pa <= pc ? left : pb <= pc ? up : corner;
                raw[n++] = (uint8_t)(v - guess);
            }
    }
    assert_int_equal(compress2(packed, &length, raw, n, 9), Z_OK);
    memcpy(out, magic, 8);
    head[3] = (uint8_t)w;
    head[7] = (uint8_t)h;
    head[8] = (uint8_t)depth;
    head[9] = (uint8_t)kind;
    at = put(out, at, "IHDR", head, 13);
    at = put(out, at, "IDAT", packed, length / 2);
    at = put(out, at, "tEXt", head, 5);
    at = put(out, at, "IDAT", packed + length / 2, length - length / 2);
    return put(out, at, "IEND", NULL, 0);
}

static void every_filter_is_undone(void **state)
{
    static const int kinds[4][2] = {{0, 1}, {2, 3}, {4, 2}, {6, 4}};
    uint8_t file[16384];
    (void)state;
    for (int t = 0; t < 4; t++) {
        struct pz_rgb a;
        size_t n = make(file, 19, 13, kinds[t][1], kinds[t][0], 8);
        assert_int_equal(pz_file_write(NULL, path, file, n), PZ_OK);
        assert_int_equal(pz_png_read(NULL, path, &a), PZ_OK);
        for (int y = 0; y < 13; y++)
            for (int x = 0; x < 19; x++)
                for (int k = 0; k < 3; k++) {
                    int v = (x * 3 + y * 11 + (kinds[t][1] < 3 ? 0 : k) * 50) & 255;
                    assert_int_equal(lrintf(a.data[(k * 13 + y) * 19 + x] * 255), v);
                }
        pz_rgb_free(&a);
    }
}

static void damaged_files_are_refused(void **state)
{
    uint8_t file[16384], bad[16384];
    struct pz_rgb a;
    size_t n = make(file, 19, 13, 3, 2, 8);
    (void)state;
    assert_int_equal(pz_png_read(NULL, "/nowhere.png", &a), PZ_ERR_INPUT);
    for (size_t k = 0; k < n; k++) { // cut off anywhere
        assert_int_equal(pz_file_write(NULL, path, file, k), PZ_OK);
        assert_int_equal(pz_png_read(NULL, path, &a), PZ_ERR_FORMAT);
        assert_null(a.data);
    }
    for (size_t k = 0; k < n; k++) { // changed anywhere
        memcpy(bad, file, n);
        bad[k] ^= 0x41;
        assert_int_equal(pz_file_write(NULL, path, bad, n), PZ_OK);
        assert_int_equal(pz_png_read(NULL, path, &a), PZ_ERR_FORMAT);
    }
    // Whole, but not of a kind that is read; and of fewer rows than it says.
    static const int refused[4][2] = {{3, 8}, {2, 16}, {1, 8}, {9, 8}};
    for (int t = 0; t < 4; t++) {
        n = make(file, 19, 13, 3, refused[t][0], refused[t][1]);
        assert_int_equal(pz_file_write(NULL, path, file, n), PZ_OK);
        assert_int_equal(pz_png_read(NULL, path, &a), PZ_ERR_FORMAT);
    }
    n = make(file, 19, 13, 1, 2, 8);
    assert_int_equal(pz_file_write(NULL, path, file, n), PZ_OK);
    assert_int_equal(pz_png_read(NULL, path, &a), PZ_ERR_FORMAT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(written_is_read),
        cmocka_unit_test(every_filter_is_undone),
        cmocka_unit_test(damaged_files_are_refused),
    };
    snprintf(path, sizeof path, "/tmp/pz-png-%d.png", (int)getpid());
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return failed;
}
