/* Operations of the published networks that have no row of their own, made of rows as docs/notes/tensor.md
 * says, against their textbook formula. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/rng.h"
#include "tensor/plan.h"

#define SEED 4u

static struct pz_shape shape(int rank, const int *dim)
{
    struct pz_shape s = {.rank = rank};
    memcpy(s.dim, dim, (size_t)rank * sizeof *dim);
    return s;
}
#define S(...) shape((int)(sizeof((int[]){__VA_ARGS__}) / sizeof(int)), (int[]){__VA_ARGS__})

static int op(struct pz_graph *g, enum pz_op o, struct pz_attrs a, int p, int q)
{
    return pz_graph_op(g, o, &a, (int[]){p, q}, q >= 0 ? 2 : 1);
}

static int reshape(struct pz_graph *g, int x, struct pz_shape s)
{
    return op(g, PZ_OP_RESHAPE, (struct pz_attrs){.shape = s}, x, -1);
}

/* Run graph `g` (taken over) with value `y` as output on `x`; the result on the heap. */
static float *run(struct pz_graph *g, int y, const float *x, size_t n)
{
    struct pz_plan *p;
    struct pz_session *s;
    pz_graph_output(g, "y", y);
    assert_int_equal(pz_graph_status(g), PZ_OK);
    assert_int_equal(pz_plan_create(&g, &pz_plan_default, NULL, &p), PZ_OK);
    assert_int_equal(pz_session_create(p, NULL, &s), PZ_OK);
    memcpy(pz_session_input(s, NULL, 0).data, x, n * sizeof *x);
    assert_int_equal(pz_session_run(s, NULL), PZ_OK);
    struct pz_view v = pz_session_output(s, NULL, 0);
    float *out = pz_calloc(pz_shape_count(&v.shape), sizeof *out);
    memcpy(out, v.data, pz_shape_count(&v.shape) * sizeof *out);
    pz_session_destroy(&s);
    pz_plan_destroy(&p);
    return out;
}

static float *noise(size_t n)
{
    struct pz_rng r;
    float *x = pz_calloc(n, sizeof *x);
    pz_rng_init(&r, SEED, n);
    for (size_t i = 0; i < n; i++)
        x[i] = pz_rng_normal(&r);
    return x;
}

enum { D = 3, H = 4, W = 5, C = 6, D2 = 7, H2 = 9, W2 = 8 };

static float voxel(const float *x, int z, int y, int k, int c)
{
    return x[((z * H + y) * W + k) * C + c];
}

/* Half-pixel source coordinate, held inside: lower neighbour, upper neighbour, weight of the upper. */
static void source(int o, int in, int out, int *a, int *b, float *t)
{
    float v = fmaxf(((float)o + 0.5f) * (float)in / (float)out - 0.5f, 0);
    *a = (int)v < in - 1 ? (int)v : in - 1;
    *b = *a + 1 < in ? *a + 1 : in - 1;
    *t = v - (float)*a;
}

static void trilinear_is_two_bilinears(void **state)
{
    float *x = noise(D * H * W * C);
    struct pz_graph *g = pz_graph_create(NULL);
    int v = pz_graph_input(g, "x", S(1, D, H, W, C));
    v = reshape(g, v, S(D, H, W, C)); /* slices as a batch, then slices as rows */
    v = op(g, PZ_OP_RESIZE_BILINEAR, (struct pz_attrs){.shape = S(H2, W2), .half_pixel = true}, v, -1);
    v = reshape(g, v, S(1, D, H2 * W2, C));
    v = op(g, PZ_OP_RESIZE_BILINEAR, (struct pz_attrs){.shape = S(D2, H2 * W2), .half_pixel = true}, v, -1);
    float *y = run(g, reshape(g, v, S(1, D2, H2, W2, C)), x, D * H * W * C), *at = y;
    for (int z = 0; z < D2; z++)
        for (int r = 0; r < H2; r++)
            for (int k = 0; k < W2; k++)
                for (int c = 0; c < C; c++, at++) {
                    int a[3], b[3];
                    float t[3], want = 0;
                    source(z, D, D2, &a[0], &b[0], &t[0]);
                    source(r, H, H2, &a[1], &b[1], &t[1]);
                    source(k, W, W2, &a[2], &b[2], &t[2]);
                    for (int i = 0; i < 8; i++)
                        want += (i & 1 ? t[2] : 1 - t[2]) * (i & 2 ? t[1] : 1 - t[1]) *
                                (i & 4 ? t[0] : 1 - t[0]) *
                                voxel(x, i & 4 ? b[0] : a[0], i & 2 ? b[1] : a[1], i & 1 ? b[2] : a[2], c);
                    assert_float_equal(*at, want, 1e-5);
                }
    pz_free(x);
    pz_free(y);
}

static void pooling_volumes_is_pooling_twice(void **state)
{
    float *x = noise(D * H * W * C);
    for (int mean = 0; mean < 2; mean++) {
        struct pz_graph *g = pz_graph_create(NULL);
        enum pz_op o = mean ? PZ_OP_AVGPOOL : PZ_OP_MAXPOOL;
        int v = reshape(g, pz_graph_input(g, "x", S(1, D, H, W, C)), S(D, H, W, C));
        struct pz_attrs flat = {.kernel = {2, 3}, .stride = {2, 1}, .dilation = {1, 1}, .pad = {0, 0, 1, 1}};
        struct pz_attrs deep = {.kernel = {3, 1}, .stride = {1, 1}, .dilation = {1, 1}, .pad = {1, 1, 0, 0}};
        v = reshape(g, op(g, o, flat, v, -1), S(1, D, H / 2 * W, C));
        float *y = run(g, op(g, o, deep, v, -1), x, D * H * W * C), *at = y;
        for (int z = 0; z < D; z++)
            for (int r = 0; r < H / 2; r++)
                for (int k = 0; k < W; k++)
                    for (int c = 0; c < C; c++, at++) {
                        float top = -INFINITY, sum = 0;
                        int n = 0;
                        for (int i = z - 1; i <= z + 1; i++)
                            for (int j = 2 * r; j < 2 * r + 2; j++)
                                for (int l = k - 1; l <= k + 1; l++)
                                    if (i >= 0 && i < D && l >= 0 && l < W) {
                                        top = fmaxf(top, voxel(x, i, j, l, c));
                                        sum += voxel(x, i, j, l, c);
                                        n++;
                                    }
                        assert_float_equal(*at, mean ? sum / (float)n : top, 1e-5);
                    }
        pz_free(y);
    }
    pz_free(x);
}

static void pixel_shuffle_is_a_permutation(void **state)
{
    enum { R = 2, O = 3 };
    float *x = noise(H * W * O * R * R);
    struct pz_graph *g = pz_graph_create(NULL);
    int v = reshape(g, pz_graph_input(g, "x", S(1, H, W, O * R * R)), S(H, W, O, R, R));
    v = op(g, PZ_OP_TRANSPOSE, (struct pz_attrs){.perm = {0, 3, 1, 4, 2}}, v, -1);
    float *y = run(g, reshape(g, v, S(1, H * R, W * R, O)), x, H * W * O * R * R);
    for (int r = 0; r < H * R; r++)
        for (int k = 0; k < W * R; k++)
            for (int c = 0; c < O; c++)
                assert_true(y[(r * W * R + k) * O + c] ==
                            x[((r / R) * W + k / R) * O * R * R + c * R * R + (r % R) * R + k % R]);
    pz_free(x);
    pz_free(y);
}

/* A warp by a 2×3 matrix, filled with a value outside: the matrix times the pixels' places makes the grid. */
static void affine_warp_is_a_product_and_a_sampling(void **state)
{
    const float m[6] = {1.4f, 0.5f, 0.4f, -0.45f, 1.5f, -0.3f}, fill = 7;
    float base[H2 * W2 * 3];
    for (int r = 0; r < H2; r++)
        for (int k = 0; k < W2; k++) {
            float *p = base + 3 * (r * W2 + k);
            p[0] = 2 * (float)k / (W2 - 1) - 1;
            p[1] = 2 * (float)r / (H2 - 1) - 1;
            p[2] = 1;
        }
    float *x = noise(H * W * C);
    struct pz_graph *g = pz_graph_create(NULL);
    int v = pz_graph_input(g, "x", S(1, H, W, C)), f = pz_graph_const(g, PZ_DTYPE_F32, S(1), &fill);
    int grid =
        op(g, PZ_OP_MATMUL, (struct pz_attrs){.transpose_b = true},
           pz_graph_const(g, PZ_DTYPE_F32, S(H2 * W2, 3), base), pz_graph_const(g, PZ_DTYPE_F32, S(2, 3), m));
    v = op(g, PZ_OP_SUB, (struct pz_attrs){0}, v, f);
    v = op(g, PZ_OP_GRID_SAMPLE2D, (struct pz_attrs){.align_corners = true}, v,
           reshape(g, grid, S(1, H2, W2, 2)));
    float *y = run(g, op(g, PZ_OP_ADD, (struct pz_attrs){0}, v, f), x, H * W * C), *at = y;
    int outside = 0;
    for (int r = 0; r < H2; r++)
        for (int k = 0; k < W2; k++) {
            const float *p = base + 3 * (r * W2 + k);
            float fx = ((m[0] * p[0] + m[1] * p[1] + m[2]) + 1) / 2 * (W - 1);
            float fy = ((m[3] * p[0] + m[4] * p[1] + m[5]) + 1) / 2 * (H - 1);
            int x0 = (int)floorf(fx), y0 = (int)floorf(fy);
            outside += fx <= -1 || fx >= W || fy <= -1 || fy >= H;
            for (int c = 0; c < C; c++, at++) {
                float want = 0;
                for (int i = 0; i < 4; i++) {
                    int ix = x0 + (i & 1), iy = y0 + (i >> 1);
                    float w = (i & 1 ? fx - (float)x0 : 1 - fx + (float)x0) *
                              (i & 2 ? fy - (float)y0 : 1 - fy + (float)y0);
                    want += w * (ix < 0 || ix >= W || iy < 0 || iy >= H ? fill : x[(iy * W + ix) * C + c]);
                }
                assert_float_equal(*at, want, 2e-5);
            }
        }
    assert_true(outside > 0);
    pz_free(x);
    pz_free(y);
}

/* Sound and feature lines: a convolution of one row. */
static void conv1d_is_a_picture_of_one_row(void **state)
{
    enum { T = 11, O = 4, K = 3 };
    float *x = noise(T * C), *w = noise(O * K * C);
    struct pz_graph *g = pz_graph_create(NULL);
    struct pz_attrs a = {.stride = {1, 2}, .dilation = {1, 1}, .pad = {0, 0, 1, 1}};
    int v = pz_graph_input(g, "x", S(1, 1, T, C));
    float *y = run(g, op(g, PZ_OP_CONV2D, a, v, pz_graph_const(g, PZ_DTYPE_F32, S(O, 1, K, C), w)), x, T * C);
    for (int t = 0; t < (T + 1) / 2; t++)
        for (int o = 0; o < O; o++) {
            float want = 0;
            for (int k = 0; k < K; k++)
                for (int c = 0; c < C; c++)
                    if (2 * t + k - 1 >= 0 && 2 * t + k - 1 < T)
                        want += x[(2 * t + k - 1) * C + c] * w[(o * K + k) * C + c];
            assert_float_equal(y[t * O + o], want, 1e-4);
        }
    pz_free(x);
    pz_free(w);
    pz_free(y);
}

/* Each channel by itself: a group norm with as many groups as channels. */
static void instance_norm_is_a_group_norm(void **state)
{
    float *x = noise(H * W * C);
    struct pz_graph *g = pz_graph_create(NULL);
    int v = pz_graph_input(g, "x", S(1, H, W, C));
    float *y =
        run(g, op(g, PZ_OP_GROUP_NORM, (struct pz_attrs){.groups = C, .eps = 1e-5f}, v, -1), x, H * W * C);
    for (int c = 0; c < C; c++) {
        double mean = 0, var = 0;
        for (int i = 0; i < H * W; i++)
            mean += x[i * C + c] / (H * W);
        for (int i = 0; i < H * W; i++)
            var += (x[i * C + c] - mean) * (x[i * C + c] - mean) / (H * W);
        for (int i = 0; i < H * W; i++)
            assert_float_equal(y[i * C + c], (x[i * C + c] - mean) / sqrt(var + 1e-5), 1e-5);
    }
    pz_free(x);
    pz_free(y);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trilinear_is_two_bilinears),
        cmocka_unit_test(pooling_volumes_is_pooling_twice),
        cmocka_unit_test(pixel_shuffle_is_a_permutation),
        cmocka_unit_test(affine_warp_is_a_product_and_a_sampling),
        cmocka_unit_test(conv1d_is_a_picture_of_one_row),
        cmocka_unit_test(instance_norm_is_a_group_norm),
    };
    print_message("seed %u\n", SEED);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
