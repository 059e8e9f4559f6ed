/** LatentSync's geometry: the fact sheet's similarities, crop and way back on a smooth picture, mask and
 * opacity.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "image/affine.h"
#include "lipsync/latentsync_face.h"

static void near_to(const struct pz_affine *m, const double *want)
{
    const float have[6] = {m->a, m->b, m->c, m->d, m->e, m->f};
    for (int i = 0; i < 6; i++)
        if (!(fabs(have[i] - want[i]) < (i % 3 == 2 ? 1e-3 : 1e-6)))
            fail_msg("matrix element %d is %.8g, the sheet says %.8g", i, (double)have[i], want[i]);
}

static void similarity(void **state)
{
    // spec/latentsync.md §6.5
    static const float first[3][2] = {{210, 180}, {300, 190}, {250, 250}},
                       second[3][2] = {{212, 181}, {303, 189}, {252, 253}};
    struct pz_latentsync_bias bias = {0};
    (void)state;
    struct pz_affine m = pz_latentsync_similarity(first, 256, 0.2, &bias);
    near_to(&m, (double[]){1.1133324, .1115386, -200.00601, -.1115386, 1.1133324, -127.43327});
    assert_true(fabs(bias.x - .0895142) < 1e-6 && fabs(bias.y + .2676674) < 1e-6);
    m = pz_latentsync_similarity(second, 256, 0.2, &bias);
    near_to(&m, (double[]){1.0883093, .0931734, -192.49864, -.0931734, 1.0883093, -127.80507});
    static const float spot[3][2] = {{5, 5}, {5, 5}, {5, 5}};
    m = pz_latentsync_similarity(spot, 256, 0.2, &bias);
    assert_true(m.a == 1 && m.b == 0 && m.c == 0);
}

static void points_are_found_on_any_set(void **state)
{
    // A set of 21: chin, brow ends and ridge among points that are none of it; and one without a mean face.
    static const float mean[21][3] = {
        {0, -1.3f, 0},     {-.64f, .17f, 0},  {-.58f, .25f, 0}, {-.47f, .3f, 0},  {-.33f, .3f, 0},
        {-.17f, .29f, 0},  {.17f, .29f, 0},   {.33f, .3f, 0},   {.47f, .3f, 0},   {.58f, .25f, 0},
        {.64f, .17f, 0},   {0, .08f, 0},      {0, -.08f, 0},    {0, -.22f, 0},    {0, -.32f, 0},
        {-.15f, -.45f, 0}, {-.09f, -.48f, 0}, {0, -.49f, 0},    {.09f, -.48f, 0}, {.15f, -.45f, 0},
        {.3f, -.8f, 0}};
    struct pz_face_topology t = {.n_points = 21, .mean = mean, .eye_outer = {1, 10}, .nose_tip = 14};
    struct pz_latentsync_points p;
    struct pz_face *f = pz_calloc(1, sizeof *f);
    float at[3][2];
    (void)state;
    assert_non_null(f);
    pz_latentsync_points_init(&p, &t);
    for (int i = 0; i < 21; i++) {
        if (i < PZ_LATENTSYNC_POINTS)
            assert_int_equal(p.index[i], i + 1);
        f->xyz[i][0] = 200.5f + 100 * mean[i][0];
        f->xyz[i][1] = 200.5f - 100 * mean[i][1];
    }
    pz_latentsync_points_of(&p, f, at);
    assert_true(fabsf(at[0][0] - 156.2f) < 0.01f && fabsf(at[1][0] - 243.8f) < 0.01f);
    assert_true(fabsf(at[0][1] - 173.8f) < 0.01f && fabsf(at[2][0] - 200) < 0.01f);
    t.mean = NULL;
    pz_latentsync_points_init(&p, &t);
    assert_int_equal(p.index[0], 1);
    assert_int_equal(p.index[5], 10);
    assert_int_equal(p.index[18], 14);
    pz_free(f);
}

static void paint(struct pz_picture *p)
{
    for (int y = 0; y < p->height; y++)
        for (int x = 0; x < p->width; x++)
            p->plane[0][y * p->stride[0] + x] = (uint8_t)(120 + 60 * sin(x / 19.0) * cos(y / 23.0));
    for (int k = 1; k < 3; k++)
        for (int y = 0; y < (p->height + 1) / 2; y++)
            for (int x = 0; x < (p->width + 1) / 2; x++)
                p->plane[k][y * p->stride[k] + x] = (uint8_t)(128 + 20 * sin((x + y) / 30.0) * (k - 1.5));
}

/* However many threads do it. */
static void the_same_by_many(struct pz_latentsync_cutter *c, const struct pz_picture *pic,
                             const struct pz_affine *m, const float *seen, const struct pz_rgb *patch)
{
    struct pz_pool *pool = pz_pool_create(3);
    size_t plane = (size_t)patch->width * (size_t)patch->height,
           side = 512 * (size_t)patch->width / 420; // of the square
    struct pz_rgb again;
    float *other = pz_calloc(3 * side, side * sizeof *other);
    assert_non_null(pool);
    assert_non_null(other);
    assert_int_equal(pz_rgb_alloc(&again, patch->width, patch->height), PZ_OK);
    pz_latentsync_cut(c, pic, m, pool, other);
    pz_latentsync_unsquash(c, other, other, pool, &again);
    assert_memory_equal(other, seen, 3 * side * side * sizeof *other);
    assert_memory_equal(again.data, patch->data, 3 * plane * sizeof *again.data);
    pz_rgb_free(&again);
    pz_free(other);
    pz_pool_destroy(&pool);
}

/* Cut, unsquash without a network, and look the patch up in the frame. */
static void there_and_back(void **state)
{
    static const float first[3][2] = {{210, 180}, {300, 190}, {250, 250}};
    (void)state;
    for (int size = 256; size <= 512; size *= 2) {
        struct pz_latentsync_bias bias = {0};
        struct pz_picture pic;
        struct pz_rgb patch, grey;
        struct pz_affine to_frame;
        int w, h;
        double sum = 0, count = 0, shade = 0;
        pz_latentsync_crop_size(size, &w, &h);
        assert_int_equal(w, size == 256 ? 210 : 420);
        assert_int_equal(h, size == 256 ? 280 : 560);
        struct pz_affine m = pz_latentsync_similarity(first, size, 0.2, &bias);
        struct pz_latentsync_cutter *c = pz_latentsync_cutter_create(size, NULL);
        float *seen = pz_calloc(3 * (size_t)size, (size_t)size * sizeof *seen);
        assert_non_null(c);
        assert_non_null(seen);
        assert_int_equal(pz_picture_alloc(&pic, 480, 480), PZ_OK);
        assert_int_equal(pz_rgb_alloc(&patch, w, h), PZ_OK);
        paint(&pic);
        pz_latentsync_cut(c, &pic, &m, NULL, seen);
        pz_latentsync_unsquash(c, seen, seen, NULL, &patch);
        the_same_by_many(c, &pic, &m, seen, &patch);
        assert_int_equal(pz_latentsync_to_frame(&m, &to_frame), PZ_OK);
        for (int y = 4; y < h - 4; y++)
            for (int x = 4; x < w - 4; x++) {
                float fx, fy;
                pz_affine_apply(&to_frame, (float)x + 0.5f, (float)y + 0.5f, &fx, &fy);
                // Luma of the patch against the painted formula, BT.601 or 709 by the picture's tag.
                const float *p = patch.data + (size_t)y * (size_t)w + (size_t)x;
                size_t plane = (size_t)w * (size_t)h;
                double kr = pic.matrix == PZ_MATRIX_BT709 ? .2126 : .299,
                       kb = pic.matrix == PZ_MATRIX_BT709 ? .0722 : .114;
                double luma = kr * p[0] + (1 - kr - kb) * p[plane] + kb * p[2 * plane];
                double code = pic.full_range ? 255 * luma : 16 + 219 * luma;
                double want = 120 + 60 * sin((fx - 0.5) / 19.0) * cos((fy - 0.5) / 23.0);
                sum += pow(code - want, 2);
                shade += code - want;
                count++;
            }
        print_message("size %d: rms %.3f, mean %.3f codes\n", size, sqrt(sum / count), shade / count);
        assert_true(sqrt(sum / count) < 1.2);
        // Far outside the picture there is the published grey.
        m.c -= 5000;
        pz_latentsync_cut(c, &pic, &m, NULL, seen);
        for (int i = 0; i < 3 * size * size; i++)
            assert_true(fabsf(seen[i] - (127 / 127.5f - 1)) < 1e-4f);
        grey = patch;
        pz_latentsync_unsquash(c, seen, seen, NULL, &grey);
        assert_true(fabsf(grey.data[w * h / 2] - 127 / 255.0f) < 1e-4f);
        pz_latentsync_cutter_destroy(&c);
        pz_picture_free(&pic);
        pz_rgb_free(&patch);
        pz_free(seen);
    }
    assert_null(pz_latentsync_cutter_create(12, NULL));
    assert_null(pz_latentsync_cutter_create(100, NULL));
}

static void mask_and_opacity(void **state)
{
    enum { N = 256 };
    static float keep[N * N], small[32 * 32];
    struct pz_latentsync_cutter *c = pz_latentsync_cutter_create(N, NULL);
    int painted = 0;
    (void)state;
    assert_non_null(c);
    pz_latentsync_mask(c, keep, small);
    for (int i = 0; i < N * N; i++) {
        assert_true(keep[i] == 0 || keep[i] == 1);
        painted += keep[i] == 0;
    }
    print_message("repainted %.2f %%\n", painted * 100.0 / N / N);
    assert_true(fabs(painted * 100.0 / N / N - 40.7) < 0.5); // spec §7
    static const int rows[][4] = {{95, 9, 77, 1},    {127, 178, 246, 1}, {128, 9, 247, 0},
                                  {140, 10, 246, 0}, {160, 11, 245, 0},  {180, 18, 238, 0},
                                  {200, 33, 223, 0}, {220, 57, 202, 0},  {240, 104, 160, 0}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const float *row = keep + rows[i][0] * N;
        assert_true(row[rows[i][1]] == 0 && row[rows[i][2]] == 0);
        assert_true(row[rows[i][1] - 1] == 1 && row[rows[i][2] + 1] == 1);
    }
    for (int i = 0; i < 32 * 32; i++)
        assert_true(small[i] == keep[i / 32 * 8 * N + i % 32 * 8]);
    // Opacity: nothing where the mask keeps, everything in the middle of the mouth.
    const float *alpha = pz_latentsync_alpha(c);
    float most = 0;
    for (int y = 0; y < 280; y++)
        for (int x = 0; x < 210; x++) {
            float a = alpha[y * 210 + x];
            int u = (int)(((float)x + 0.5f) * N / 210), v = (int)(((float)y + 0.5f) * N / 280);
            assert_true(a >= 0 && a <= 1 + 1e-6f);
            if (keep[v * N + u] == 1)
                assert_true(a < 1e-6f);
            most = fmaxf(most, a);
        }
    assert_true(most > 0.999f && alpha[190 * 210 + 105] > 0.999f);
    pz_latentsync_cutter_destroy(&c);
}

/* A mask of the user's own: its red channel, at any size. */
static void a_given_mask(void **state)
{
    struct pz_rgb picture;
    float keep[64 * 64], small[64];
    (void)state;
    assert_int_equal(pz_rgb_alloc(&picture, 128, 128), PZ_OK);
    for (int i = 0; i < 128 * 128; i++)
        picture.data[i] = i / 128 < 64;
    struct pz_latentsync_cutter *c = pz_latentsync_cutter_create(64, &picture);
    assert_non_null(c);
    pz_latentsync_mask(c, keep, small);
    for (int y = 0; y < 64; y++)
        if (y < 29 || y > 34)
            assert_true(keep[y * 64 + 20] == (y < 32 ? 1 : 0));
    assert_true(small[0] == 1 && small[63] == 0);
    pz_latentsync_cutter_destroy(&c);
    pz_rgb_free(&picture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(similarity),     cmocka_unit_test(points_are_found_on_any_set),
        cmocka_unit_test(there_and_back), cmocka_unit_test(mask_and_opacity),
        cmocka_unit_test(a_given_mask),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
