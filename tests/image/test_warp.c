/* Colour, warps, resize, masks, PNG: round trips and closed forms. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "image/area.h"
#include "image/color.h"
#include "image/filter.h"
#include "image/mask.h"
#include "image/metrics.h"
#include "image/png.h"
#include "image/warp.h"
#include "scene.h"

#define NEAR(a, b, tol)                                                                                      \
    do {                                                                                                     \
        double near_a = (a), near_b = (b);                                                                   \
        if (!(fabs(near_a - near_b) <= (tol)))                                                               \
            fail_msg("%s = %.9g, wanted %.9g within %g", #a, near_a, near_b, (double)(tol));                 \
    } while (0)

static double interior_psnr(const struct pz_rgb *a, const struct pz_rgb *b, int margin)
{
    double s = 0;
    int64_t n = 0;
    for (int k = 0; k < 3; k++)
        for (int y = margin; y < a->height - margin; y++)
            for (int x = margin; x < a->width - margin; x++) {
                size_t i = ((size_t)k * a->height + y) * a->width + x;
                double d = (double)a->data[i] - b->data[i];
                s += d * d;
                n++;
            }
    return 10 * log10((double)n / s);
}

static void matrices_invert(void **state)
{
    for (int m = 0; m < 2; m++)
        for (int full = 0; full < 2; full++) {
            struct pz_color c = pz_color_of(m ? PZ_MATRIX_BT709 : PZ_MATRIX_BT601, full);
            for (int i = 0; i < 3; i++)
                for (int j = 0; j < 3; j++) {
                    double s = 0;
                    for (int k = 0; k < 3; k++)
                        s += (double)c.to_rgb[i][k] * c.to_ycc[k][j];
                    NEAR(s, i == j, 1e-5);
                }
            NEAR(c.to_ycc[0][0] + c.to_ycc[0][1] + c.to_ycc[0][2], full ? 255 : 219, 1e-3);
        }
    /* BT.709 limited: pure red is Y' 63, Cb 102, Cr 240 (BT.709-6 table of quantised primaries). */
    struct pz_color c = pz_color_of(PZ_MATRIX_BT709, false);
    NEAR(c.to_ycc[0][0] + 16, 62.6, 0.1);
    NEAR(c.to_ycc[1][0] + 128, 102.3, 0.1);
    NEAR(c.to_ycc[2][0] + 128, 240, 0.01);
}

static void picture_round_trip(void **state)
{
    struct pz_rgb a, b;
    struct pz_picture p;
    assert_int_equal(pz_rgb_alloc(&a, 161, 99), PZ_OK);
    assert_int_equal(pz_rgb_alloc(&b, 161, 99), PZ_OK);
    assert_int_equal(pz_picture_alloc(&p, 161, 99), PZ_OK);
    scene_fill(&a, 0.02f);
    for (int m = 0; m < 4; m++) {
        p.matrix = m & 1 ? PZ_MATRIX_BT601 : PZ_MATRIX_BT709;
        p.full_range = m & 2;
        pz_picture_from_rgb(&a, &p);
        pz_picture_to_rgb(&p, &b);
        assert_true(interior_psnr(&a, &b, 0) > 46);
        /* The identity warp is the same thing. */
        struct pz_affine id = pz_affine_identity();
        struct pz_rgb c;
        assert_int_equal(pz_rgb_alloc(&c, 161, 99), PZ_OK);
        pz_warp_picture_to_rgb(&p, &id, PZ_FILTER_CUBIC, PZ_BORDER_REPLICATE, &c);
        for (size_t i = 0; i < (size_t)3 * 161 * 99; i++)
            NEAR(c.data[i], b.data[i], 1e-5);
        pz_rgb_free(&c);
    }
    pz_rgb_free(&a);
    pz_rgb_free(&b);
    pz_picture_free(&p);
}

static void sizes_are_checked(void **state)
{
    struct pz_picture p;
    struct pz_rgb r;
    assert_int_equal(pz_picture_alloc(&p, 0, 5), PZ_ERR_USAGE);
    assert_int_equal(pz_picture_alloc(&p, 16385, 5), PZ_ERR_USAGE);
    assert_null(p.block);
    assert_int_equal(pz_rgb_alloc(&r, 5, -1), PZ_ERR_USAGE);
    assert_null(r.data);
}

static void affine_algebra(void **state)
{
    struct pz_affine m = {1.2f, -0.3f, 40, 0.25f, 0.9f, -7}, inv, id;
    assert_int_equal(pz_affine_invert(&m, &inv), PZ_OK);
    id = pz_affine_chain(&m, &inv);
    NEAR(id.a, 1, 1e-5);
    NEAR(id.b, 0, 1e-5);
    NEAR(id.c, 0, 1e-3);
    NEAR(id.f, 0, 1e-3);
    struct pz_affine flat = {1, 2, 0, 2, 4, 0};
    assert_int_equal(pz_affine_invert(&flat, &inv), PZ_ERR_USAGE);
    struct pz_affine bad = {NAN, 0, 0, 0, 1, 0};
    assert_int_equal(pz_affine_invert(&bad, &inv), PZ_ERR_USAGE);

    float from[5][2], to[5][2];
    struct pz_rng r;
    pz_rng_init(&r, 3, 0);
    for (int i = 0; i < 5; i++) {
        from[i][0] = 100 * pz_rng_uniform(&r);
        from[i][1] = 100 * pz_rng_uniform(&r);
        pz_affine_apply(&m, from[i][0], from[i][1], &to[i][0], &to[i][1]);
    }
    struct pz_affine fit;
    assert_int_equal(pz_affine_fit((const float(*)[2])from, (const float(*)[2])to, NULL, 5, &fit), PZ_OK);
    NEAR(fit.a, m.a, 1e-4);
    NEAR(fit.b, m.b, 1e-4);
    NEAR(fit.f, m.f, 1e-2);
    struct pz_affine sim = {0.8f, -0.6f, 3, 0.6f, 0.8f, 5};
    for (int i = 0; i < 5; i++)
        pz_affine_apply(&sim, from[i][0], from[i][1], &to[i][0], &to[i][1]);
    assert_int_equal(pz_affine_fit_similarity((const float(*)[2])from, (const float(*)[2])to, NULL, 5, &fit),
                     PZ_OK);
    NEAR(fit.a, 0.8, 1e-5);
    NEAR(fit.d, 0.6, 1e-5);
    NEAR(fit.c, 3, 1e-3);
    for (int i = 0; i < 5; i++)
        from[i][0] = from[i][1] = 4;
    assert_int_equal(pz_affine_fit_similarity((const float(*)[2])from, (const float(*)[2])to, NULL, 5, &fit),
                     PZ_ERR_USAGE);
}

/* Turn and shift by fractions of a pixel, there and back. */
static void sub_pixel_round_trip(void **state)
{
    struct pz_rgb a, b, c;
    assert_int_equal(pz_rgb_alloc(&a, 200, 200), PZ_OK);
    assert_int_equal(pz_rgb_alloc(&b, 200, 200), PZ_OK);
    assert_int_equal(pz_rgb_alloc(&c, 200, 200), PZ_OK);
    scene_fill(&a, 0.05f);
    struct pz_affine m = {0.999f, -0.0447f, 3.37f, 0.0447f, 0.999f, -2.61f}, inv;
    assert_int_equal(pz_affine_invert(&m, &inv), PZ_OK);
    pz_warp_rgb(&a, &m, PZ_FILTER_CUBIC, PZ_BORDER_REPLICATE, &b);
    pz_warp_rgb(&b, &inv, PZ_FILTER_CUBIC, PZ_BORDER_REPLICATE, &c);
    double cubic = interior_psnr(&a, &c, 16);
    pz_warp_rgb(&a, &m, PZ_FILTER_BILINEAR, PZ_BORDER_REPLICATE, &b);
    pz_warp_rgb(&b, &inv, PZ_FILTER_BILINEAR, PZ_BORDER_REPLICATE, &c);
    double linear = interior_psnr(&a, &c, 16);
    printf("round trip: cubic %.1f dB, bilinear %.1f dB\n", cubic, linear);
    assert_true(cubic > 38);
    assert_true(cubic > linear + 5);
    /* A ramp is reproduced exactly by both, wherever it is sampled. */
    for (int y = 0; y < 200; y++)
        for (int x = 0; x < 200; x++)
            a.data[y * 200 + x] = 0.01f * ((float)x + 0.5f) + 0.02f * ((float)y + 0.5f);
    pz_warp_plane(a.data, 200, 200, &m, PZ_FILTER_CUBIC, PZ_BORDER_REPLICATE, b.data, 200, 200);
    float u, v;
    pz_affine_apply(&m, 80.5f, 120.5f, &u, &v);
    NEAR(b.data[120 * 200 + 80], 0.01f * u + 0.02f * v, 1e-4);
    pz_rgb_free(&a);
    pz_rgb_free(&b);
    pz_rgb_free(&c);
}

static void borders_and_wild_maps(void **state)
{
    struct pz_picture p;
    struct pz_rgb d;
    assert_int_equal(pz_picture_alloc(&p, 32, 32), PZ_OK);
    assert_int_equal(pz_rgb_alloc(&d, 8, 8), PZ_OK);
    memset(p.plane[0], 235, (size_t)p.stride[0] * 32);
    memset(p.plane[1], 128, (size_t)p.stride[1] * 16);
    memset(p.plane[2], 128, (size_t)p.stride[2] * 16);
    struct pz_affine away = {1, 0, 1000, 0, 1, 1000}, wild = {1e30f, 0, NAN, 0, -1e30f, 1e38f};
    pz_warp_picture_to_rgb(&p, &away, PZ_FILTER_CUBIC, PZ_BORDER_ZERO, &d);
    NEAR(d.data[0], 0, 1e-6);
    pz_warp_picture_to_rgb(&p, &away, PZ_FILTER_CUBIC, PZ_BORDER_REPLICATE, &d);
    NEAR(d.data[0], 1, 1e-5);
    pz_warp_picture_to_rgb(&p, &wild, PZ_FILTER_CUBIC, PZ_BORDER_REPLICATE, &d);
    assert_true(isfinite(d.data[5]));
    pz_picture_free(&p);
    pz_rgb_free(&d);
}

static void shrinking_does_not_alias(void **state)
{
    enum { N = 256, M = 40 };
    float *a = pz_calloc(N * N, sizeof *a), b[M * M];
    for (int y = 0; y < N; y++)
        for (int x = 0; x < N; x++)
            a[y * N + x] = (x + y) & 1 ? 1 : 0;
    struct pz_affine m = {(float)N / M, 0, 0, 0, (float)N / M, 0};
    pz_warp_plane(a, N, N, &m, PZ_FILTER_BILINEAR, PZ_BORDER_REPLICATE, b, M, M);
    for (int i = 0; i < M * M; i++)
        NEAR(b[i], 0.5, 0.06);
    for (int f = 0; f < 3; f++) {
        assert_int_equal(pz_plane_resize(a, N, N, b, M, M, (enum pz_filter)f), PZ_OK);
        for (int y = 2; y < M - 2; y++)
            for (int x = 2; x < M - 2; x++)
                NEAR(b[y * M + x], 0.5, 0.02);
    }
    assert_int_equal(pz_plane_resize(a, N, N, b, 0, M, PZ_FILTER_CUBIC), PZ_ERR_USAGE);
    pz_free(a);
}

/* Rows of eight px and more are made with vectors where the processor has them, single px never are. */
static void rows_are_their_pixels(void **state)
{
    enum { N = 61, M = 37 };
    static float a[N * N], row[M * M], one;
    struct pz_rng rng;
    pz_rng_init(&rng, 5, 0);
    for (int i = 0; i < N * N; i++)
        a[i] = pz_rng_uniform(&rng);
    struct pz_picture p;
    struct pz_rgb line, dot;
    assert_int_equal(pz_picture_alloc(&p, N, N), PZ_OK);
    assert_int_equal(pz_rgb_alloc(&line, M, M), PZ_OK);
    assert_int_equal(pz_rgb_alloc(&dot, 1, 1), PZ_OK);
    for (int k = 0; k < 3; k++)
        for (int y = 0; y < (k ? (N + 1) / 2 : N); y++)
            for (int x = 0; x < (k ? (N + 1) / 2 : N); x++)
                p.plane[k][(size_t)y * (size_t)p.stride[k] + (size_t)x] = (uint8_t)(pz_rng_u32(&rng) & 255);
    /* near the identity, turned and shrinking beyond all edges, mostly outside, nowhere */
    const struct pz_affine maps[] = {{1, 0.02f, 3.3f, -0.02f, 1, 4.1f},
                                     {2.7f, 0.8f, -21, -0.8f, 2.7f, -3},
                                     {1, 0, -30.5f, 0, 1, 40.2f},
                                     {1, 0, NAN, 0, 1, 1e30f}};
    for (int t = 0; t < 4; t++)
        for (int zero = 0; zero < 2; zero++) {
            enum pz_border border = zero ? PZ_BORDER_ZERO : PZ_BORDER_REPLICATE;
            pz_warp_plane(a, N, N, &maps[t], PZ_FILTER_BILINEAR, border, row, M, M);
            pz_warp_picture_to_rgb(&p, &maps[t], PZ_FILTER_BILINEAR, border, &line);
            for (int y = 0; y < M; y++)
                for (int x = 0; x < M; x++) {
                    struct pz_affine m = maps[t];
                    m.c += m.a * (float)x + m.b * (float)y;
                    m.f += m.d * (float)x + m.e * (float)y;
                    pz_warp_plane(a, N, N, &m, PZ_FILTER_BILINEAR, border, &one, 1, 1);
                    NEAR(row[y * M + x], one, 1e-4);
                    pz_warp_picture_to_rgb(&p, &m, PZ_FILTER_BILINEAR, border, &dot);
                    for (size_t k = 0; k < 3; k++)
                        NEAR(line.data[(k * M + (size_t)y) * M + (size_t)x], dot.data[k], 2e-4);
                }
        }
    pz_picture_free(&p);
    pz_rgb_free(&line);
    pz_rgb_free(&dot);
}

static void blur_keeps_mass(void **state)
{
    enum { W = 61, H = 47 };
    static float a[W * H], s[W * H];
    a[23 * W + 30] = 1;
    pz_blur_gaussian(a, s, W, H, 2.0f);
    double sum = 0, var = 0;
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++) {
            sum += a[y * W + x];
            var += a[y * W + x] * (x - 30) * (x - 30);
        }
    NEAR(sum, 1, 1e-5);
    NEAR(var, 4, 0.15);
    for (int i = 0; i < W * H; i++)
        a[i] = 0.3f;
    pz_blur_gaussian(a, s, W, H, 30.0f); /* wider than the plane */
    for (int i = 0; i < W * H; i++)
        NEAR(a[i], 0.3, 1e-5);
}

static void polygon_area(void **state)
{
    enum { W = 100, H = 80 };
    static float m[W * H];
    const float box[4][2] = {{10.25f, 20.5f}, {60.75f, 20.5f}, {60.75f, 50.5f}, {10.25f, 50.5f}};
    assert_int_equal(pz_mask_polygon(box, 4, m, W, H, false), PZ_OK);
    double s = 0;
    for (int i = 0; i < W * H; i++)
        s += m[i];
    NEAR(s, 50.5 * 30, 0.01);
    NEAR(m[30 * W + 10], 0.75, 1e-5);
    NEAR(m[20 * W + 30], 0.5, 1e-5);
    float circle[64][2];
    for (int i = 0; i < 64; i++) {
        circle[i][0] = 50 + 45 * cosf((float)i * 0.09817477f); /* leaves the plane at the bottom */
        circle[i][1] = 60 + 45 * sinf((float)i * 0.09817477f);
    }
    assert_int_equal(pz_mask_polygon((const float(*)[2])circle, 64, m, W, H, false), PZ_OK);
    s = 0;
    for (int i = 0; i < W * H; i++)
        s += m[i];
    /* Area of the 64-gon above y = 80, by hand: half disc plus the band of height 20 (circle, less 0.16 %).
     */
    double disc = 45 * 45 * (asin(20.0 / 45) + 0.5 * sin(2 * asin(20.0 / 45)) + 3.14159265 / 2);
    NEAR(s, disc * 0.9984, 8);
    const float inf[3][2] = {{0, 0}, {INFINITY, 0}, {0, 5}};
    assert_int_equal(pz_mask_polygon(inf, 3, m, W, H, false), PZ_ERR_USAGE);
    assert_int_equal(pz_mask_polygon(box, 2, m, W, H, false), PZ_ERR_USAGE);
}

static void distance_is_exact(void **state)
{
    enum { W = 37, H = 29 };
    static float m[W * H], d[W * H];
    struct pz_rng r;
    pz_rng_init(&r, 9, 0);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < W * H; i++)
            m[i] = pz_rng_uniform(&r) < 0.02f ? 0 : 1;
        m[5] = 0;
        assert_int_equal(pz_mask_distance(m, 0.5f, d, W, H, round == 2), PZ_OK);
        for (int y = 0; y < H; y++)
            for (int x = 0; x < W; x++) {
                double best = 1e9;
                for (int v = 0; v < H; v++)
                    for (int u = 0; u < W; u++)
                        if (m[v * W + u] < 0.5f)
                            best = fmin(best, hypot(u - x, v - y));
                if (round == 2)
                    best = fmin(best, fmin(fmin(x + 1, W - x), fmin(y + 1, H - y)));
                NEAR(d[y * W + x], best, 1e-4);
            }
    }
}

/* A schematic face: the mask must hold mouth and chin, and leave eyes, nose tip, ears and hair out. */
static void lower_face_outline(void **state)
{
    float oval[36][2], out[PZ_MASK_LOWER_FACE_MAX][2];
    for (float turn = -0.3f; turn <= 0.3f; turn += 0.3f) {
        struct pz_mask_face f = {.oval = (const float(*)[2])oval, .n_oval = 36};
        float c = cosf(turn), s = sinf(turn);
#define PUT(dst, x, y)                                                                                       \
    do {                                                                                                     \
        (dst)[0] = 150 + c * (x)-s * (y);                                                                    \
        (dst)[1] = 150 + s * (x) + c * (y);                                                                  \
    } while (0)
        for (int i = 0; i < 36; i++)
            PUT(oval[i], 75 * sinf((float)i * 0.1745f), -100 * cosf((float)i * 0.1745f));
        PUT(f.eye_outer[0], -45, -30);
        PUT(f.eye_outer[1], 45, -30);
        PUT(f.nose_tip, 0, 15);
        PUT(f.mouth, 0, 50);
        PUT(f.chin, 0, 100);
        int n = pz_mask_lower_face(&f, 0.06f, 0.12f, out);
        assert_true(n > 10);
        static float m[300 * 300];
        assert_int_equal(pz_mask_polygon((const float(*)[2])out, n, m, 300, 300, false), PZ_OK);
        const float in[4][2] = {{0, 50}, {0, 100}, {0, 106}, {30, 45}};
        const float no[6][2] = {{0, 15}, {-45, -30}, {45, -30}, {74, 10}, {-74, 10}, {0, 125}};
        float q[2];
        for (int i = 0; i < 4; i++) {
            PUT(q, in[i][0], in[i][1]);
            NEAR(m[(int)q[1] * 300 + (int)q[0]], 1, 1e-6);
        }
        for (int i = 0; i < 6; i++) {
            PUT(q, no[i][0], no[i][1]);
            NEAR(m[(int)q[1] * 300 + (int)q[0]], 0, 1e-6);
        }
#undef PUT
    }
    struct pz_mask_face none = {.oval = (const float(*)[2])oval, .n_oval = 36};
    assert_int_equal(pz_mask_lower_face(&none, 0.06f, 0.12f, out), 0);
}

static uint32_t be32(const char *p)
{
    const uint8_t *u = (const uint8_t *)p;
    return (uint32_t)u[0] << 24 | (uint32_t)u[1] << 16 | (uint32_t)u[2] << 8 | u[3];
}

static void png_is_well_formed(void **state)
{
    char path[] = "/tmp/pz-test-png-XXXXXX", *data;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    struct pz_rgb a;
    size_t n, pixels = 0;
    assert_int_equal(pz_rgb_alloc(&a, 33, 21), PZ_OK);
    scene_fill(&a, 0.1f);
    a.data[0] = NAN;
    assert_int_equal(pz_png_write(NULL, path, &a), PZ_OK);
    assert_int_equal(pz_file_read(NULL, path, 1 << 20, &data, &n), PZ_OK);
    assert_memory_equal(data, "\x89PNG\r\n\x1a\n", 8);
    uint8_t raw[21 * 100];
    for (size_t at = 8; at + 12 <= n;) {
        uint32_t len = be32(data + at);
        assert_true(at + 12 + len <= n);
        assert_int_equal(crc32(0, (const Bytef *)data + at + 4, len + 4), be32(data + at + 8 + len));
        if (memcmp(data + at + 4, "IDAT", 4) == 0) {
            uLongf got = sizeof raw;
            assert_int_equal(uncompress(raw, &got, (const Bytef *)data + at + 8, len), Z_OK);
            pixels = got;
        }
        at += 12 + len;
    }
    assert_int_equal(pixels, 21 * 100);
    /* Undo the "up" filter and compare one pixel of the last row. */
    uint8_t green = 0;
    for (int y = 0; y < 21; y++)
        green = (uint8_t)(green + raw[y * 100 + 1 + 3 * 17 + 1]);
    NEAR(green, a.data[33 * 21 + 20 * 33 + 17] * 255, 0.51);
    pz_free(data);
    pz_rgb_free(&a);
    unlink(path);
}

static void boxes_are_means(void **state)
{
    // A ramp's mean is its value in the middle; edges repeat; small boxes are interpolated.
    struct pz_picture p;
    struct pz_rgb a = {0}, b = {0};
    assert_int_equal(pz_picture_alloc(&p, 200, 160), PZ_OK);
    p.full_range = true;
    for (int y = 0; y < 160; y++)
        for (int x = 0; x < 200; x++)
            p.plane[0][y * p.stride[0] + x] = (uint8_t)(20 + x);
    for (int y = 0; y < 80; y++)
        for (int x = 0; x < 100; x++) {
            p.plane[1][y * p.stride[1] + x] = (uint8_t)(100 + x / 2);
            p.plane[2][y * p.stride[2] + x] = 128;
        }
    assert_int_equal(pz_rgb_alloc(&a, 16, 12), PZ_OK);
    assert_int_equal(pz_rgb_alloc(&b, 16, 12), PZ_OK);
    float box[4] = {13.3f, 7.9f, 141.7f, 120.2f}, w = (box[2] - box[0]) / 16;
    assert_int_equal(pz_area_picture_to_rgb(&p, box[0], box[1], box[2], box[3], &a), PZ_OK);
    for (int x = 0; x < 16; x++)
        NEAR(a.data[3 * 16 + x], (20 + box[0] + (x + 0.5) * w - 0.5) / 255,
             1e-4); // red: no blue-difference in it
    struct pz_affine m = {w, 0, box[0], 0, (box[3] - box[1]) / 12, box[1]};
    pz_warp_picture_to_rgb(&p, &m, PZ_FILTER_BILINEAR, PZ_BORDER_REPLICATE, &b);
    assert_true(interior_psnr(&a, &b, 1) > 45); // the general warp's grid of samples says nearly the same
    assert_int_equal(pz_area_picture_to_rgb(&p, -100, -50, -20, 30, &a), PZ_OK);
    for (int i = 0; i < 16 * 12; i++)
        NEAR(a.data[i], 20 / 255.0, 1e-5);
    assert_int_equal(pz_area_picture_to_rgb(&p, 50, 50, 58, 56, &a), PZ_OK);
    NEAR(a.data[5 * 16 + 8], (20 + 50 + 8.5 * 0.5 - 0.5) / 255, 1e-4);
    assert_int_equal(pz_area_picture_to_rgb(&p, 50, 50, 50, 56, &a), PZ_ERR_USAGE);
    assert_int_equal(pz_area_picture_to_rgb(&p, 50, 50, NAN, 56, &a), PZ_ERR_USAGE);
    assert_int_equal(pz_area_picture_to_rgb(&p, 0, 0, 1e30f, 56, &a), PZ_ERR_USAGE);
    pz_picture_free(&p);
    pz_rgb_free(&a);
    pz_rgb_free(&b);
}

static void enlarging_is_the_warp(void **state)
{
    float src[24 * 24], want[70 * 70], got[70 * 70];
    for (int i = 0; i < 24 * 24; i++)
        src[i] = sinf(0.7f * (float)(i % 24)) * cosf(0.5f * (float)(i / 24));
    for (int cubic = 0; cubic < 2; cubic++) {
        struct pz_affine m = {24 / 70.0f, 0, 0, 0, 24 / 70.0f, 24 / 70.0f * 31};
        struct pz_enlarge *e = pz_enlarge_create(24, 70, 31, cubic);
        assert_non_null(e);
        pz_enlarge_run(e, src, got);
        pz_warp_plane(src, 24, 24, &m, cubic ? PZ_FILTER_CUBIC : PZ_FILTER_BILINEAR, PZ_BORDER_REPLICATE,
                      want, 70, 39);
        for (int i = 0; i < 39 * 70; i++)
            NEAR(got[i], want[i], 2e-5);
        pz_enlarge_destroy(&e);
    }
    assert_null(pz_enlarge_create(0, 70, 0, true));
    assert_null(pz_enlarge_create(24, 70, 70, true));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(boxes_are_means),          cmocka_unit_test(enlarging_is_the_warp),
        cmocka_unit_test(matrices_invert),          cmocka_unit_test(picture_round_trip),
        cmocka_unit_test(sizes_are_checked),        cmocka_unit_test(affine_algebra),
        cmocka_unit_test(sub_pixel_round_trip),     cmocka_unit_test(borders_and_wild_maps),
        cmocka_unit_test(shrinking_does_not_alias), cmocka_unit_test(rows_are_their_pixels),
        cmocka_unit_test(blur_keeps_mass),          cmocka_unit_test(polygon_area),
        cmocka_unit_test(distance_is_exact),        cmocka_unit_test(lower_face_outline),
        cmocka_unit_test(png_is_well_formed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
