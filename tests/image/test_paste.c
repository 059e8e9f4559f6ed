/* Compositor: untouched bytes, seams under colour casts, sharpness and grain match, occluders, wild input. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "base/mem.h"
#include "image/filter.h"
#include "image/metrics.h"
#include "image/color.h"
#include "image/paste.h"
#include "image/affine.h"
#include "image/warp.h"
#include "scene.h"

#define SIDE 256

struct bench {
    struct pz_picture film, frame;
    struct pz_rgb patch;
    float *alpha;
    struct pz_paste_patch p;
    struct pz_paste *paste;
};

static void open_bench(struct bench *b, int w, int h, float scale, float turn, float detail)
{
    struct pz_rgb full;
    memset(b, 0, sizeof *b);
    assert_int_equal(pz_picture_alloc(&b->film, w, h), PZ_OK);
    assert_int_equal(pz_picture_alloc(&b->frame, w, h), PZ_OK);
    assert_int_equal(pz_rgb_alloc(&full, w, h), PZ_OK);
    assert_int_equal(pz_rgb_alloc(&b->patch, SIDE, SIDE), PZ_OK);
    scene_fill(&full, detail);
    pz_picture_from_rgb(&full, &b->film);
    pz_rgb_free(&full);
    b->alpha = pz_calloc(SIDE * SIDE, sizeof *b->alpha);
    assert_non_null(b->alpha);
    scene_mask(b->alpha, SIDE, SIDE, 0.44f, 10);
    float c = scale * cosf(turn), s = scale * sinf(turn), mid = SIDE / 2;
    b->p = (struct pz_paste_patch){.rgb = &b->patch, .alpha = b->alpha};
    b->p.to_frame =
        (struct pz_affine){c, -s, 0.5f * w + 0.37f - (c - s) * mid, s, c, 0.5f * h - 0.21f - (s + c) * mid};
    pz_warp_picture_to_rgb(&b->film, &b->p.to_frame, PZ_FILTER_CUBIC, PZ_BORDER_REPLICATE, &b->patch);
    struct pz_paste_params params = PZ_PASTE_PARAMS_DEFAULT;
    assert_int_equal(pz_paste_create(&params, &b->paste), PZ_OK);
    pz_picture_copy(&b->frame, &b->film);
}

static void close_bench(struct bench *b)
{
    pz_paste_destroy(&b->paste);
    pz_picture_free(&b->film);
    pz_picture_free(&b->frame);
    pz_rgb_free(&b->patch);
    pz_free(b->alpha);
}

/* Counts changed bytes of a plane by whether the patch's alpha is near. `inside` may be NULL. */
static int64_t changed(const struct bench *b, bool inside)
{
    struct pz_affine inv;
    int64_t n = 0;
    assert_int_equal(pz_affine_invert(&b->p.to_frame, &inv), PZ_OK);
    for (int k = 0; k < 3; k++) {
        int w = k ? (b->film.width + 1) / 2 : b->film.width,
            h = k ? (b->film.height + 1) / 2 : b->film.height;
        for (int y = 0; y < h; y++)
            for (int x = 0; x < w; x++) {
                float u, v, fx = k ? 2.0f * x + 0.5f : x + 0.5f, fy = k ? 2.0f * y + 1 : y + 0.5f;
                pz_affine_apply(&inv, fx, fy, &u, &v);
                float reach = 2 + 2 / pz_affine_scale(&b->p.to_frame);
                bool near = hypotf(u - SIDE / 2, v - SIDE / 2) < 0.44f * SIDE + reach;
                size_t i = (size_t)y * b->film.stride[k] + x;
                if (near == inside && b->film.plane[k][i] != b->frame.plane[k][i])
                    n++;
            }
    }
    return n;
}

static void outside_bytes_are_kept(void **state)
{
    const float scale[4] = {0.5f, 1, 1.7f, 2.4f};
    for (int i = 0; i < 4; i++) {
        struct bench b;
        open_bench(&b, 701, 655, scale[i], 0.3f, 0.03f);
        for (size_t k = 0; k < (size_t)3 * SIDE * SIDE; k++)
            b.patch.data[k] = 1 - b.patch.data[k];
        assert_int_equal(pz_paste_draw(b.paste, &b.frame, &b.p, NULL, 1, 0, NULL), PZ_OK);
        assert_int_equal(changed(&b, false), 0);
        assert_true(changed(&b, true) > 1000);
        /* mix 0 changes nothing at all */
        pz_picture_copy(&b.frame, &b.film);
        assert_int_equal(pz_paste_draw(b.paste, &b.frame, &b.p, NULL, 0, 0, NULL), PZ_OK);
        assert_int_equal(changed(&b, false) + changed(&b, true), 0);
        close_bench(&b);
    }
}

/* What was cut from the frame and pasted back must be the frame, up to one resampling. */
static void own_patch_is_invisible(void **state)
{
    struct bench b;
    open_bench(&b, 640, 640, 1.0f, 0.1f, 0.02f);
    assert_int_equal(pz_paste_draw(b.paste, &b.frame, &b.p, NULL, 1, 0, NULL), PZ_OK);
    double sse = pz_metric_luma_sse(&b.film, &b.frame, 192, 192, 448, 448),
           psnr = 10 * log10(65025.0 * 65536 / sse);
    printf("pasted back: %.1f dB\n", psnr);
    assert_true(psnr > 40);
    close_bench(&b);
}

/* A patch made under another light: gains, offsets, a shading error; the seam must stay below 1 ΔE. */
static void seam_under_colour_casts(void **state)
{
    const float cast[5][6] = {{1, 1, 1, 0, 0, 0},
                              {0.9f, 0.95f, 1.05f, 0.02f, 0, -0.02f},
                              {1.12f, 1.08f, 0.92f, -0.04f, 0.01f, 0.03f},
                              {0.8f, 0.8f, 0.8f, 0, 0, 0},
                              {1, 1, 1, 0.1f, -0.06f, 0.05f}};
    for (int c = 0; c < 5; c++)
        for (int m = 0; m < 2; m++) {
            struct bench b;
            double raw, fitted;
            open_bench(&b, 720, 720, 1.6f, -0.15f, 0.01f);
            b.frame.matrix = m ? PZ_MATRIX_BT601 : PZ_MATRIX_BT709;
            b.film.matrix = b.frame.matrix;
            pz_warp_picture_to_rgb(&b.film, &b.p.to_frame, PZ_FILTER_CUBIC, PZ_BORDER_REPLICATE, &b.patch);
            for (int k = 0; k < 3; k++)
                for (int i = 0; i < SIDE * SIDE; i++) {
                    float *v = &b.patch.data[(size_t)k * SIDE * SIDE + i];
                    *v = *v * cast[c][k] + cast[c][3 + k] + 0.03f * (float)(i % SIDE) / SIDE;
                }
            assert_int_equal(pz_paste_draw(b.paste, &b.frame, &b.p, NULL, 1, 0, NULL), PZ_OK);
            assert_int_equal(pz_metric_seam(&b.frame, &b.film, b.alpha, SIDE, SIDE, &b.p.to_frame, &fitted),
                             PZ_OK);
            struct pz_paste_params off = PZ_PASTE_PARAMS_DEFAULT;
            off.color = off.detail = off.grain = false;
            off.low_feather = 1;
            struct pz_paste *plain;
            assert_int_equal(pz_paste_create(&off, &plain), PZ_OK);
            pz_picture_copy(&b.frame, &b.film);
            assert_int_equal(pz_paste_draw(plain, &b.frame, &b.p, NULL, 1, 0, NULL), PZ_OK);
            assert_int_equal(pz_metric_seam(&b.frame, &b.film, b.alpha, SIDE, SIDE, &b.p.to_frame, &raw),
                             PZ_OK);
            pz_paste_destroy(&plain);
            printf("cast %d/%d: seam %.2f without, %.2f with matching\n", c, m, raw, fitted);
            assert_true(fabs(fitted) <= 1.0);
            if (c)
                assert_true(raw > 1.0);
            close_bench(&b);
        }
}

static void gain_and_offset_are_found(void **state)
{
    struct bench b;
    struct pz_paste_match m;
    open_bench(&b, 720, 720, 1.3f, 0, 0);
    for (int i = 0; i < SIDE * SIDE; i++)
        for (int k = 0; k < 3; k++) {
            float *v = &b.patch.data[(size_t)k * SIDE * SIDE + i];
            *v = (*v - 0.02f) / 1.1f;
        }
    /* A dark bar across the ring (hair) must not disturb the fit. */
    for (int y = 0; y < SIDE; y++)
        for (int x = 12; x < 34; x++)
            for (int k = 0; k < 3; k++)
                b.patch.data[((size_t)k * SIDE + y) * SIDE + x] *= 0.4f;
    assert_int_equal(pz_paste_measure(b.paste, &b.film, &b.p, &m), PZ_OK);
    for (int k = 0; k < 3; k++) {
        float grey = m.gain[k] * 0.5f + m.offset[k];
        printf("channel %d: gain %.3f offset %.3f\n", k, (double)m.gain[k], (double)m.offset[k]);
        assert_true(fabsf(grey - (0.5f * 1.1f + 0.02f)) < 0.012f);
        assert_true(m.gain[k] >= 0.85f && m.gain[k] <= 1.18f);
    }
    assert_true(m.n_ring > 50);
    close_bench(&b);
}

/* Film with fine texture, patch softened; film with grain, patch without. */
static void sharpness_and_grain_are_matched(void **state)
{
    for (int grainy = 0; grainy < 2; grainy++) {
        struct bench b;
        struct pz_rng r;
        open_bench(&b, 640, 640, 1.0f, 0, grainy ? 0 : 0.03f);
        pz_rng_init(&r, 77, 0);
        float *tmp = pz_calloc(SIDE * SIDE, sizeof *tmp), *luma = pz_calloc(640 * 640, sizeof *luma);
        for (int k = 0; k < 3 && !grainy; k++)
            pz_blur_gaussian(b.patch.data + (size_t)k * SIDE * SIDE, tmp, SIDE, SIDE, 0.5f);
        for (int y = 0; y < 640 && grainy; y++)
            for (int x = 0; x < 640; x++) {
                uint8_t *q = &b.film.plane[0][(size_t)y * b.film.stride[0] + x];
                *q = (uint8_t)(*q + 2.0f * pz_rng_normal(&r) + 0.5f);
            }
        double sharp[3], noise[3];
        struct pz_paste_match m = {.gain = {1, 1, 1}, .detail = 1};
        for (int i = 0; i < 3; i++) { /* the film, pasted without matching, pasted with it */
            pz_picture_copy(&b.frame, &b.film);
            if (i)
                assert_int_equal(
                    pz_paste_draw(b.paste, &b.frame, &b.p, i == 1 ? &m : NULL, 1, i, i == 2 ? &m : NULL),
                    PZ_OK);
            for (int y = 0; y < 640; y++)
                for (int x = 0; x < 640; x++)
                    luma[y * 640 + x] = b.frame.plane[0][(size_t)y * b.frame.stride[0] + x];
            const float *mouth = luma + 280 * 640 + 280;
            sharp[i] = pz_laplacian_variance(mouth, 640, 80, 80);
            noise[i] = pz_noise_sigma(mouth, 640, 80, 80);
        }
        printf(
            "sharpness: film %.1f, plain %.1f, matched %.1f; noise %.2f %.2f %.2f; detail %.2f grain %.2f\n",
            sharp[0], sharp[1], sharp[2], noise[0], noise[1], noise[2], (double)m.detail, (double)m.grain);
        assert_true(sharp[1] / sharp[0] < 0.8);
        assert_true(sharp[2] / sharp[0] > 0.8 && sharp[2] / sharp[0] < 1.25);
        assert_true(!grainy || fabs(noise[2] - noise[0]) < 0.2);
        pz_free(tmp);
        pz_free(luma);
        close_bench(&b);
    }
}

static void occluder_stays_on_top(void **state)
{
    struct bench b;
    open_bench(&b, 500, 500, 1.0f, 0, 0);
    float *occ = pz_calloc(SIDE * SIDE, sizeof *occ);
    for (int y = 0; y < SIDE; y++)
        for (int x = 100; x < 150; x++)
            occ[y * SIDE + x] = 1;
    for (size_t k = 0; k < (size_t)3 * SIDE * SIDE; k++)
        b.patch.data[k] = 1 - b.patch.data[k];
    b.p.occluder = occ;
    assert_int_equal(pz_paste_draw(b.paste, &b.frame, &b.p, NULL, 1, 0, NULL), PZ_OK);
    int x = 250 - 128 + 125, kept = 0, redone = 0;
    for (int y = 200; y < 300; y++) {
        kept += b.frame.plane[0][(size_t)y * b.frame.stride[0] + x] ==
                b.film.plane[0][(size_t)y * b.film.stride[0] + x];
        redone += b.frame.plane[0][(size_t)y * b.frame.stride[0] + x + 60] !=
                  b.film.plane[0][(size_t)y * b.film.stride[0] + x + 60];
    }
    assert_int_equal(kept, 100);
    assert_true(redone > 80);
    pz_free(occ);
    close_bench(&b);
}

static void half_mix_is_half_way(void **state)
{
    struct bench b;
    open_bench(&b, 400, 400, 1.0f, 0, 0);
    struct pz_paste_match m = {.gain = {1, 1, 1}, .detail = 1};
    for (size_t k = 0; k < (size_t)3 * SIDE * SIDE; k++)
        b.patch.data[k] += 0.2f;
    assert_int_equal(pz_paste_draw(b.paste, &b.frame, &b.p, &m, 0.5f, 0, NULL), PZ_OK);
    size_t i = (size_t)200 * b.film.stride[0] + 200;
    int half = b.frame.plane[0][i] - b.film.plane[0][i];
    assert_in_range(half, 20, 24); /* 0.2 · 219 / 2 */
    close_bench(&b);
}

static void same_arguments_same_bytes(void **state)
{
    struct bench b;
    struct pz_picture again;
    open_bench(&b, 400, 400, 1.2f, 0.2f, 0.02f);
    assert_int_equal(pz_picture_alloc(&again, 400, 400), PZ_OK);
    pz_picture_copy(&again, &b.film);
    struct pz_paste_match m = {.gain = {1, 1, 1}, .detail = 1.1f, .grain = 1.5f};
    assert_int_equal(pz_paste_draw(b.paste, &b.frame, &b.p, &m, 1, 42, NULL), PZ_OK);
    assert_int_equal(pz_paste_draw(b.paste, &again, &b.p, &m, 1, 42, NULL), PZ_OK);
    assert_memory_equal(b.frame.plane[0], again.plane[0], (size_t)400 * again.stride[0]);
    pz_picture_copy(&again, &b.film);
    assert_int_equal(pz_paste_draw(b.paste, &again, &b.p, &m, 1, 43, NULL), PZ_OK);
    assert_true(memcmp(b.frame.plane[0], again.plane[0], (size_t)400 * again.stride[0]) !=
                0); /* grain moves */
    pz_picture_free(&again);
    close_bench(&b);
}

static void hostile_patches(void **state)
{
    struct bench b;
    open_bench(&b, 300, 300, 1.0f, 0, 0);
    struct pz_affine good = b.p.to_frame;
    const struct pz_affine bad[3] = {{0, 0, 10, 0, 0, 10}, {NAN, 0, 0, 0, 1, 0}, {1, 0, INFINITY, 0, 1, 0}};
    for (int i = 0; i < 3; i++) {
        b.p.to_frame = bad[i];
        assert_int_equal(pz_paste_draw(b.paste, &b.frame, &b.p, NULL, 1, 0, NULL), PZ_ERR_USAGE);
    }
    /* Half outside, wholly outside, very far, tiny, huge, mirrored: no crash, and bytes outside stay. */
    const struct pz_affine odd[6] = {{1, 0, -100, 0, 1, -60},      {1, 0, 5000, 0, 1, 5000},
                                     {1, 0, 1e30f, 0, 1, -1e30f},  {0.01f, 0, 150, 0, 0.01f, 150},
                                     {90, 0, -9000, 0, 90, -9000}, {-1, 0, 280, 0, 1, 20}};
    for (int i = 0; i < 6; i++) {
        b.p.to_frame = odd[i];
        assert_int_equal(pz_paste_draw(b.paste, &b.frame, &b.p, NULL, 1, 0, NULL), PZ_OK);
    }
    b.p.to_frame = good;
    for (int i = 0; i < SIDE * SIDE; i += 7) {
        b.patch.data[i] = NAN;
        b.patch.data[i + SIDE * SIDE] = INFINITY;
        b.alpha[(i * 5) % (SIDE * SIDE)] = i & 1 ? NAN : 40;
    }
    assert_int_equal(pz_paste_draw(b.paste, &b.frame, &b.p, NULL, 1, 0, NULL), PZ_OK);
    memset(b.alpha, 0, SIDE * SIDE * sizeof *b.alpha);
    pz_picture_copy(&b.frame, &b.film);
    assert_int_equal(pz_paste_draw(b.paste, &b.frame, &b.p, NULL, 1, 0, NULL), PZ_OK);
    assert_memory_equal(b.frame.plane[0], b.film.plane[0], (size_t)300 * b.film.stride[0]);
    close_bench(&b);
}

static void matches_are_smoothed_without_lag(void **state)
{
    struct pz_paste_match m[41];
    for (int i = 0; i < 41; i++)
        m[i] = (struct pz_paste_match){
            .gain = {1 + 0.01f * i, 1, 1}, .detail = i & 1 ? 1.2f : 0.8f, .n_ring = 100};
    pz_paste_match_smooth(m, 41, 2.0f);
    for (int i = 8; i < 33; i++) {
        assert_true(fabsf(m[i].gain[0] - (1 + 0.01f * i)) < 1e-4f); /* a ramp stays where it is */
        assert_true(fabsf(m[i].detail - 1) < 0.01f);
    }
}

static double cpu_seconds(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)u.ru_utime.tv_sec + 1e-6 * (double)u.ru_utime.tv_usec;
}

static void speed_is_reported(void **state)
{
    struct bench b;
    open_bench(&b, 1080, 1920, 2.0f, 0.05f, 0.02f);
    double t = cpu_seconds();
    for (int i = 0; i < 30; i++)
        assert_int_equal(pz_paste_draw(b.paste, &b.frame, &b.p, NULL, 1, i, NULL), PZ_OK);
    printf("256x256 into 1080x1920 at scale 2: %.2f ms user CPU a frame\n", (cpu_seconds() - t) / 30 * 1e3);
    close_bench(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outside_bytes_are_kept),
        cmocka_unit_test(own_patch_is_invisible),
        cmocka_unit_test(seam_under_colour_casts),
        cmocka_unit_test(gain_and_offset_are_found),
        cmocka_unit_test(sharpness_and_grain_are_matched),
        cmocka_unit_test(occluder_stays_on_top),
        cmocka_unit_test(half_mix_is_half_way),
        cmocka_unit_test(same_arguments_same_bytes),
        cmocka_unit_test(hostile_patches),
        cmocka_unit_test(matches_are_smoothed_without_lag),
        cmocka_unit_test(speed_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
