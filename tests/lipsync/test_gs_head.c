/**
 * The Gaussian head on a puppet whose pictures are painted by formula: it learns them, follows the motion,
 * does not depend on threads, survives its file, and refuses broken ones.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/pool.h"
#include "lipsync/gs_skin.h"
#include "puppet.h"

enum { FRAMES = 60, W = 192, H = 192 };
#define SCALE 72.0f
#define SEED 5

static uint16_t triangles[64][3];
static struct pz_face_topology topology;

struct stage {
    struct pz_face face[FRAMES];
    struct pz_picture pic;
    struct puppet_mouth mouth[FRAMES];
    int cancel_after;
};

/** A fan from the nose over the jaw, and a band of lips: the puppet's own triangle is too few to stand on. */
static void make_topology(void)
{
    int n = 0;
    topology = puppet_topology;
    for (int i = 0; i < 11; i++) {
        const uint16_t t[3] = {12, (uint16_t)(35 + i), (uint16_t)(34 + i)};
        memcpy(triangles[n++], t, sizeof(t));
    }
    for (int i = 0; i < 12; i++) {
        const int a = 13 + i, b = 13 + (i + 1) % 12, c = 25 + i * 8 / 12 % 8, d = 25 + (i + 1) * 8 / 12 % 8;
        const uint16_t t0[3] = {(uint16_t)a, (uint16_t)b, (uint16_t)c},
                       t1[3] = {(uint16_t)b, (uint16_t)d, (uint16_t)c};
        memcpy(triangles[n++], t0, sizeof(t0));
        if (c != d)
            memcpy(triangles[n++], t1, sizeof(t1));
    }
    topology.triangles = (const uint16_t(*)[3])triangles;
    topology.n_triangles = n;
}

static void make_stage(struct stage *s)
{
    make_topology();
    for (int t = 0; t < FRAMES; t++) {
        const struct puppet_mouth m = {0.10f + 0.09f * sinf(0.7f * (float)t), 0.03f * sinf(0.31f * (float)t),
                                       0.0f};
        s->mouth[t] = m;
        puppet_face(&m, t, 0.0f, 0.0f, 0.0f, SCALE, 96.0f + 5.0f * sinf(0.2f * (float)t),
                    36.0f + 3.0f * cosf(0.13f * (float)t), 0.05f, &s->face[t]);
    }
    s->cancel_after = 1 << 30;
    assert_int_equal(pz_picture_alloc(&s->pic, W, H), PZ_OK);
}

/** Luma and chroma of the puppet at a head-space point. */
static void paint(const struct puppet_mouth *m, float x, float y, uint8_t out[3])
{
    const float half = 0.28f + 0.5f * m->width, u = x / half;
    float v = 150.0f + 18.0f * sinf(21.0f * x) * sinf(17.0f * y);
    out[1] = 118;
    out[2] = 140;
    if (fabsf(u) < 1.0f) {
        const float arc = sqrtf(1.0f - u * u), up = -0.85f + 0.1f * arc, low = -0.85f - (0.1f + m->gap) * arc;
        if (y < up && y > low) {
            v = 105.0f;
            out[2] = 170;
        }
        if (fabsf(u) < 0.8f && y < -0.85f && y > -0.85f - m->gap) {
            v = 30.0f;
            out[2] = 135;
        }
    }
    out[0] = (uint8_t)v;
}

static enum pz_status stage_picture(void *user, int64_t t, const struct pz_picture **out)
{
    struct stage *s = user;
    const struct pz_face_pose *p = &s->face[t].pose;
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++) {
            uint8_t c[3];
            paint(&s->mouth[t], ((float)x + 0.5f - p->tx) / p->scale, (p->ty - (float)y - 0.5f) / p->scale,
                  c);
            s->pic.plane[0][y * s->pic.stride[0] + x] = c[0];
            for (int q = 1; q < 3; q++)
                s->pic.plane[q][(y / 2) * s->pic.stride[q] + x / 2] = c[q];
        }
    *out = &s->pic;
    return PZ_OK;
}

static const struct pz_face *stage_face(void *user, int64_t t)
{
    return &((struct stage *)user)->face[t];
}

static const struct pz_face *motion_face(const void *user, int64_t t)
{
    return &((const struct stage *)user)->face[t];
}

static bool stage_cancelled(void *user)
{
    return --((struct stage *)user)->cancel_after < 0;
}

static struct pz_motion_space *fit_space(struct stage *s, int64_t *frames)
{
    for (int t = 0; t < FRAMES; t++)
        frames[t] = t;
    const struct pz_motion_faces faces = {s, motion_face, frames, FRAMES};
    struct pz_motion_space *space = NULL;
    assert_int_equal(pz_motion_space_fit(&faces, &topology, 4, NULL, &space), PZ_OK);
    return space;
}

static enum pz_status fit_head(struct stage *s, const struct pz_motion_space *space, const int64_t *frames,
                               int images, struct pz_pool *pool, struct pz_gs_model **m)
{
    const struct pz_film film = {.user = s,
                                 .n_frames = FRAMES,
                                 .picture = stage_picture,
                                 .face = stage_face,
                                 .topology = &topology,
                                 .fit_frames = frames,
                                 .n_fit_frames = FRAMES};
    const struct pz_job job = {.pool = pool, .cancelled = stage_cancelled, .user = s, .seed = SEED};
    struct pz_gs_fit_params p = PZ_GS_FIT_DEFAULT;
    p.images = images;
    return pz_gs_model_fit(&film, space, &p, &job, m);
}

/** Mean luma just under the lip line, where the mouth opens. */
static double mouth_luma(struct pz_gs_canvas *c, const struct pz_gs_model *g, const struct stage *s,
                         const struct pz_motion_space *space, int t, const struct pz_face *on)
{
    float m[PZ_MOTION_MAX];
    assert_true(pz_motion_space_project(space, &s->face[t], m));
    struct pz_patch patch = {0};
    assert_int_equal(pz_gs_draw(c, on, m, NULL, NULL, &patch), PZ_OK);
    const int64_t area = (int64_t)g->width * g->height;
    double sum = 0;
    int n = 0;
    for (int y = 0; y < g->height; y++)
        for (int x = 0; x < g->width; x++) {
            const float fx = patch.to_frame.a * ((float)x + 0.5f) + patch.to_frame.c;
            const float fy = patch.to_frame.e * ((float)y + 0.5f) + patch.to_frame.f;
            const float hx = (fx - on->pose.tx) / SCALE, hy = (on->pose.ty - fy) / SCALE;
            if (fabsf(hx) > 0.1f || hy > -0.88f || hy < -0.95f)
                continue;
            assert_true(patch.alpha[y * g->width + x] > 0.95f);
            for (int q = 0; q < 3; q++)
                sum += (double)patch.rgb.data[q * area + (int64_t)y * g->width + x] / 3.0;
            n++;
        }
    assert_true(n > 20);
    assert_true(patch.alpha[0] == 0.0f);
    return sum / n;
}

static void test_learns_and_follows(void **state)
{
    (void)state;
    static struct stage s;
    int64_t frames[FRAMES];
    make_stage(&s);
    struct pz_motion_space *space = fit_space(&s, frames);
    struct pz_gs_model *g = NULL, *again = NULL;
    assert_int_equal(fit_head(&s, space, frames, 1200, NULL, &g), PZ_OK);
    printf("patch %dx%d, %d + %d gaussians, held-out mouth %.2f dB, crisp %.2f\n", g->width, g->height,
           g->face.n, g->mouth.n, (double)g->heldout_psnr, (double)g->crisp);
    assert_true(g->heldout_psnr > 24.0f);
    assert_true(g->zoom == 1.0f);
    struct pz_gs_canvas *c = NULL;
    assert_int_equal(pz_gs_canvas_create(g, PZ_SPLAT_AVX512, &c), PZ_OK);
    /* Frames 2 (wide open) and 7 (nearly closed), both put on the head of frame 20. */
    const double open = mouth_luma(c, g, &s, space, 2, &s.face[20]),
                 shut = mouth_luma(c, g, &s, space, 7, &s.face[20]);
    printf("luma under the lip line: open %.3f, shut %.3f\n", open, shut);
    assert_true(open + 0.1 < shut);
    /* The file gives the same pictures. */
    char dir[] = "/tmp/pz-gs-XXXXXX";
    assert_non_null(mkdtemp(dir));
    assert_int_equal(pz_gs_model_save(g, dir, NULL), PZ_OK);
    assert_int_equal(pz_gs_model_load(dir, NULL, &again), PZ_OK);
    struct pz_gs_canvas *c2 = NULL;
    assert_int_equal(pz_gs_canvas_create(again, PZ_SPLAT_AVX512, &c2), PZ_OK);
    struct pz_patch a = {0}, b = {0};
    float m[PZ_MOTION_MAX];
    assert_true(pz_motion_space_project(space, &s.face[12], m));
    assert_int_equal(pz_gs_draw(c, &s.face[12], m, m, NULL, &a), PZ_OK);
    assert_int_equal(pz_gs_draw(c2, &s.face[12], m, m, NULL, &b), PZ_OK);
    double worst = 0;
    for (int64_t i = 0; i < (int64_t)3 * g->width * g->height; i++)
        if (a.alpha[i % ((int64_t)g->width * g->height)] > 0.1f)
            worst = fmax(worst, fabs((double)a.rgb.data[i] - (double)b.rgb.data[i]));
    printf("largest change by the file: %.4f\n", worst);
    assert_true(worst < 0.03);
    /* A face of another set, and broken files. */
    struct pz_face other = s.face[0];
    other.n_points = 12;
    assert_int_equal(pz_gs_draw(c, &other, m, NULL, NULL, &a), PZ_ERR_USAGE);
    pz_gs_canvas_destroy(&c2);
    pz_gs_model_free(&again);
    char path[64], *data;
    size_t n;
    snprintf(path, sizeof(path), "%s/gaussians.safetensors", dir);
    assert_int_equal(pz_file_read(NULL, path, 1 << 28, &data, &n), PZ_OK);
    assert_int_equal(pz_file_write(NULL, path, data, n / 2), PZ_OK);
    assert_true(pz_gs_model_load(dir, NULL, &again) < PZ_OK);
    assert_null(again);
    static const float nan = NAN;
    memcpy(data + n - 4 * 17, &nan, 4); /* in the tail: values of the last tensor */
    assert_int_equal(pz_file_write(NULL, path, data, n), PZ_OK);
    assert_int_equal(pz_gs_model_load(dir, NULL, &again), PZ_ERR_FORMAT);
    pz_free(data);
    pz_remove_tree(dir);
    assert_true(pz_gs_model_load(dir, NULL, &again) < PZ_OK);
    pz_gs_canvas_destroy(&c);
    pz_gs_model_free(&g);
    pz_motion_space_free(&space);
    pz_picture_free(&s.pic);
}

/** A flat head of one component that slides to the right: skin must slide with it, sharp, and spare the
 * mouth. */
static void test_skin_moves_with_the_face(void **state)
{
    (void)state;
    enum { SIDE = 64, STEP = 4, COLUMNS = 15, NODES = COLUMNS * COLUMNS, AREA = SIDE * SIDE };
    static float luma[AREA], mask[AREA], detail[AREA], cover[AREA], hole[AREA], tmp[3][AREA], rgb[3 * AREA];
    static float nodes[NODES][2];
    struct pz_gs_model *g = pz_calloc(1, sizeof *g);
    assert_non_null(g);
    g->k = 1;
    g->width = g->height = SIDE;
    assert_int_equal(pz_gs_curve_alloc(&g->skin.net, NODES, 1), PZ_OK);
    g->skin.columns = COLUMNS;
    g->skin.on = pz_calloc(NODES, 1);
    assert_non_null(g->skin.on);
    for (int i = 0; i < NODES; i++) {
        g->skin.on[i] = 1;
        g->skin.net.mean[3 * i] = (float)(4 + STEP * (i % COLUMNS));
        g->skin.net.mean[3 * i + 1] = -(float)(4 + STEP * (i / COLUMNS));
        g->skin.net.basis[3 * i] = 1.0f;
    }
    for (int i = 0; i < AREA; i++) {
        luma[i] = (i % SIDE / 2 + i / SIDE / 2) % 2 ? 0.6f : 0.4f; /* a fine chequer */
        mask[i] = 1.0f;
        rgb[i] = rgb[AREA + i] = rgb[2 * AREA + i] = 0.5f;
        hole[i] = i / SIDE > 40 ? 1.0f : 0.0f;
    }
    const struct pz_splat_camera cam = {.r = {1, 0, 0, 0, 1, 0, 0, 0, 1}, .scale = 1};
    const float still[1] = {0}, moved[1] = {5};
    const struct pz_gs_skin_map map = {detail, cover};
    pz_gs_skin_lay(g, &cam, still, nodes, &map);
    assert_true(cover[32 * SIDE + 32] == 0.0f); /* nothing was taken yet */
    assert_int_equal(pz_gs_skin_take(g, luma, mask, &cam, still), PZ_OK);
    pz_gs_skin_lay(g, &cam, moved, nodes, &map);
    for (int y = 12; y < 52; y++)
        for (int x = 16; x < 52; x++) {
            assert_true(cover[y * SIDE + x] == 1.0f);
            assert_true(fabsf(detail[y * SIDE + x] - g->skin.detail[y * SIDE + x - 5]) < 1e-4f);
        }
    pz_gs_skin_apply(g, &map, hole, 1.0f, rgb, tmp[0], tmp[1], tmp[2]);
    assert_true(fabsf(rgb[20 * SIDE + 30] - 0.5f - g->skin.detail[20 * SIDE + 25]) < 1e-4f);
    assert_true(fabsf(rgb[20 * SIDE + 30] - 0.5f) > 0.01f);
    assert_true(rgb[50 * SIDE + 30] == 0.5f); /* the open mouth */
    pz_gs_model_free(&g);
}

static void test_threads_and_cancel(void **state)
{
    (void)state;
    static struct stage s;
    int64_t frames[FRAMES];
    make_stage(&s);
    struct pz_motion_space *space = fit_space(&s, frames);
    struct pz_gs_model *a = NULL, *b = NULL;
    struct pz_pool *pool = pz_pool_create(2);
    assert_int_equal(fit_head(&s, space, frames, 200, NULL, &a), PZ_OK);
    assert_int_equal(fit_head(&s, space, frames, 200, pool, &b), PZ_OK);
    assert_int_equal(a->face.n, b->face.n);
    for (int j = 0; j < pz_splat_planes(&a->face); j++)
        assert_memory_equal(pz_splat_plane(&a->face, j), pz_splat_plane(&b->face, j),
                            sizeof(float) * (size_t)a->face.n);
    pz_gs_model_free(&a);
    pz_gs_model_free(&b);
    s.cancel_after = 80;
    assert_int_equal(fit_head(&s, space, frames, 4000, pool, &a), PZ_ERR_CANCELLED);
    assert_null(a);
    for (int t = 0; t < FRAMES; t++)
        s.face[t].present = t < 10;
    s.cancel_after = 1 << 30;
    assert_int_equal(fit_head(&s, space, frames, 100, pool, &a), PZ_ERR_UNUSABLE);
    pz_pool_destroy(&pool);
    pz_motion_space_free(&space);
    pz_picture_free(&s.pic);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_learns_and_follows),
        cmocka_unit_test(test_threads_and_cancel),
        cmocka_unit_test(test_skin_moves_with_the_face),
    };
    printf("seed %d\n", SEED);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
