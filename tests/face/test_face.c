/* Poses come back exactly; the topology is sound; crops hit the pixel they should; track files of any content
 * are refused or read without harm; missing weights are one line that says what to do. */
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
#include "base/mem.h"
#include "base/rng.h"
#include "face/crop.h"
#include "face/depth.h"
#include "face/pose.h"
#include "face/topology.h"
#include "face/topology_tables.h"
#include "face/track_impl.h"

static void pose_round_trip(void **state)
{
    const struct pz_face_topology *t = pz_face_topology_mesh();
    for (int i = 0; i < 200; i++) {
        float yaw = (float)(i % 21 - 10) * 0.07f, roll = (float)(i % 13 - 6) * 0.1f, px[478][3];
        struct pz_head_fit f = {.q = {cosf(yaw / 2) * cosf(roll / 2), sinf(yaw / 2) * sinf(roll / 2),
                                      sinf(yaw / 2) * cosf(roll / 2), -cosf(yaw / 2) * sinf(roll / 2)},
                                .scale = 120,
                                .t = {300, -200, 5}},
                           g;
        for (int p = 0; p < 478; p++) {
            pz_head_to_px(&f, t->mean[p], px[p]);
            px[p][2] -= 5; /* depth of the origin is free */
        }
        pz_head_fit_points(t->mean, (const float(*)[3])px, t->rigid, NULL, t->n_rigid, &g);
        assert_float_equal(g.scale, 120, 0.01);
        assert_float_equal(g.t[0], 300, 0.02);
        assert_float_equal(g.t[1], -200, 0.02);
        assert_true(g.residual < 1e-4);
        float h[3];
        pz_head_from_px(&g, px[100], h);
        for (int k = 0; k < 3; k++)
            assert_float_equal(h[k], t->mean[100][k], 1e-3);
        if (roll == 0) {
            struct pz_face_pose pose;
            pz_head_pose(&g, &pose);
            assert_float_equal(pose.yaw, yaw * 57.29578,
                               0.05); /* positive: nose towards +x, the subject's left */
        }
        if (yaw == 0) {
            struct pz_face_pose pose;
            pz_head_pose(&g, &pose);
            assert_float_equal(pose.roll, roll * 57.29578, 0.05);
        }
    }
}

static bool below_lips(const struct pz_face_topology *t, int p)
{
    return t->mean[p][1] < 0.5f * (t->mean[13][1] + t->mean[14][1]) - 1e-4f;
}

/* Frames of a head that turns by ±yaw and ±pitch (radians) and opens its mouth by up to `talk` head units,
 * most when it nods, whose landmarker flattens it: rms error of depth before and after, head units; [2]: the
 * same of the lower lip and the chin after. */
static void flatten(float yaw, float pitch, float talk, float noise, float error[3])
{
    const struct pz_face_topology *t = pz_face_topology_mesh();
    struct pz_depth *d = pz_depth_create();
    static float px[478][3], shift[478];
    struct pz_rng rng;
    assert_non_null(d);
    pz_rng_init(&rng, 7, 0);
    pz_depth_begin(d);
    for (int i = 0; i < 120; i++) {
        float a = yaw * sinf((float)i * 0.13f) / 2, b = pitch * cosf((float)i * 0.21f) / 2;
        struct pz_head_fit f = {
            .q = {cosf(a) * cosf(b), cosf(a) * sinf(b), sinf(a) * cosf(b), -sinf(a) * sinf(b)},
            .scale = 150,
            .t = {250, -260, 0}};
        const float open = talk * (0.5f - 0.3f * cosf((float)i * 0.21f) + 0.2f * sinf((float)i * 0.9f));
        for (int p = 0; p < 478; p++) {
            float at[3], flat[3];
            memcpy(at, t->mean[p], sizeof at);
            if (below_lips(t, p))
                at[1] -= open;
            pz_head_to_px(&f, at, px[p]);
            memcpy(flat, at, sizeof flat);
            flat[2] *= 0.7f;
            float z[3];
            pz_head_to_px(&f, flat, z);
            px[p][0] += 150 * noise * pz_rng_normal(&rng);
            px[p][1] += 150 * noise * pz_rng_normal(&rng);
            px[p][2] = z[2];
        }
        pz_depth_add(d, &f, (const float(*)[3])px);
    }
    pz_depth_solve(d, shift);
    double sum[3] = {0};
    int low = 0;
    for (int p = 0; p < 478; p++) {
        float e = 0.3f * t->mean[p][2], left = (shift[p] - e) * (shift[p] - e);
        sum[0] += (double)(e * e);
        sum[1] += (double)left;
        if (below_lips(t, p)) {
            sum[2] += (double)left;
            low++;
        }
    }
    error[0] = (float)sqrt(sum[0] / 478);
    error[1] = (float)sqrt(sum[1] / 478);
    error[2] = (float)sqrt(sum[2] / low);
    pz_depth_destroy(&d);
}

static void depth_comes_from_motion(void **state)
{
    float turns[3], rests[3], talks[3];
    flatten(0.2f, 0.15f, 0, 0.004f, turns);
    flatten(0, 0, 0, 0.004f, rests);
    flatten(0.2f, 0.15f, 0.15f, 0.004f, talks);
    print_message("depth of a flattened head: %.3f to %.3f turning, %.3f to %.3f at rest\n", (double)turns[0],
                  (double)turns[1], (double)rests[0], (double)rests[1]);
    assert_true(turns[1] < 0.2f * turns[0]);
    assert_true(fabsf(rests[1] - rests[0]) < 0.02f * rests[0]);
    print_message("the same nodding and talking: %.3f to %.3f, lips and chin %.3f\n", (double)talks[0],
                  (double)talks[1], (double)talks[2]);
    assert_true(talks[1] < 0.2f * talks[0]);
    assert_true(talks[2] < 0.2f * talks[0]); /* a jaw that drops with the nod lies no deeper */
}

static void topology_is_sound(void **state)
{
    const struct pz_face_topology *t = pz_face_topology_mesh();
    int edges = 0;
    assert_ptr_equal(pz_face_topology_find(t->name), t);
    assert_null(pz_face_topology_find("other"));
    for (int i = 0; i < t->n_triangles + t->n_mouth_triangles; i++) {
        const uint16_t *q = i < t->n_triangles ? t->triangles[i] : t->mouth_triangles[i - t->n_triangles];
        for (int k = 0; k < 3; k++)
            assert_true(q[k] < t->n_points && q[k] != q[(k + 1) % 3]);
        for (int r = 0; i < t->n_triangles && r < t->n_inner_lip; r++)
            for (int k = 0; k < 3; k++) {
                int a = t->inner_lip[r], b = t->inner_lip[(r + 1) % t->n_inner_lip];
                edges += (q[k] == a && q[(k + 1) % 3] == b) || (q[k] == b && q[(k + 1) % 3] == a);
            }
    }
    assert_int_equal(edges, t->n_inner_lip); /* the hole's rim is the rim of the skin, once all round */
    assert_int_equal(t->n_mouth_triangles, t->n_inner_lip - 2);
    float gap = t->mean[13][1] - t->mean[14][1];
    assert_true(gap > -0.02f && gap < 0.15f);
    assert_true(t->mean[t->chin][1] < t->mean[14][1] && t->mean[t->nose_tip][2] > t->mean[33][2]);
    assert_float_equal(t->mean[263][0] - t->mean[33][0], 1, 1e-3);
}

static void mirrored_points_are_partners(void **state)
{
    const struct pz_face_topology *t = pz_face_topology_mesh();
    for (int i = 0; i < t->n_points; i++) {
        int k = pz_face_mesh_mirror[i];
        assert_int_equal(pz_face_mesh_mirror[k], i);
        assert_true(fabsf(t->mean[i][0] + t->mean[k][0]) < 0.1f &&
                    fabsf(t->mean[i][1] - t->mean[k][1]) < 0.1f);
    }
    assert_int_equal(pz_face_mesh_mirror[t->eye_outer[0]], t->eye_outer[1]);
    assert_int_equal(pz_face_mesh_mirror[t->mouth_corner[0]], t->mouth_corner[1]);
    assert_int_equal(pz_face_mesh_mirror[t->nose_tip], t->nose_tip);
}

static void crop_hits_its_pixel(void **state)
{
    struct pz_picture p;
    struct pz_crop_scratch scratch = {0};
    assert_int_equal(pz_picture_alloc(&p, 640, 480), PZ_OK);
    p.full_range = true;
    for (int c = 1; c < 3; c++)
        memset(p.plane[c], 128, (size_t)p.stride[c] * 240);
    for (int y = 0; y < 480; y++)
        for (int x = 0; x < 640; x++)
            p.plane[0][y * p.stride[0] + x] = (uint8_t)(x / 4 + y / 8);
    float *out = malloc(64 * 64 * 3 * sizeof *out);
    const struct pz_face_rect rects[] = {
        {320, 240, 64, 64, 0}, {320, 240, 100, 100, 0.5f}, {300, 200, 320, 320, -1}, {320, 240, 400, 400, 3}};
    for (size_t r = 0; r < sizeof rects / sizeof *rects; r++) {
        assert_int_equal(pz_face_crop(&p, &rects[r], 0, 1, PZ_CROP_BLACK, &scratch, out, 64, 64), PZ_OK);
        for (int i = 0; i < 64 * 64; i += 37) {
            float x, y;
            pz_face_rect_point(&rects[r], ((float)(i % 64) + 0.5f) / 64, ((float)(i / 64) + 0.5f) / 64, &x,
                               &y);
            float want = x < 2 || y < 2 || x > 638 || y > 478 ? -1 : ((x - 2) / 4 + (y - 4) / 8) / 255;
            for (int c = 0; want >= 0 && c < 3;
                 c++) /* steps of one code value on two axes, rounding of halved planes */
                assert_true(fabsf(out[3 * i + c] - want) < 1.7f / 255);
        }
    }
    free(out);
    pz_crop_scratch_free(&scratch);
    pz_picture_free(&p);
}

static void track_files_are_hostile(void **state)
{
    char path[] = "/tmp/pz-track-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    struct pz_track_header h = {.record_bytes = sizeof(struct pz_face), .n_points = 478, .n_records = 3};
    memcpy(h.magic, PZ_TRACK_MAGIC, 8);
    memcpy(h.topology, "mediapipe-478", sizeof "mediapipe-478");
    size_t n = sizeof h + 3 * sizeof(struct pz_face);
    uint8_t *buf = calloc(1, n);
    struct pz_face *f = calloc(3, sizeof *f);
    for (int i = 0; i < 3; i++) {
        f[i].frame = 10 + i;
        f[i].present = 1;
        f[i].n_points = 478;
        f[i].interocular = f[i].pose.scale = 100;
        f[i].sharpness = 50;
    }
    f[1].xyz[477][2] = NAN;
    memcpy(buf, &h, sizeof h);
    memcpy(buf + sizeof h, f, 3 * sizeof *f);
    struct pz_face_track *t;
    assert_int_equal(pz_file_write(NULL, path, buf, n), PZ_OK);
    assert_int_equal(pz_face_track_open(path, NULL, &t), PZ_OK);
    assert_non_null(pz_face_track_at(t, 10));
    assert_null(pz_face_track_at(t, 11)); /* not finite */
    assert_null(pz_face_track_at(t, 9));
    assert_null(pz_face_track_at(t, INT64_MAX));
    struct pz_face_verdict v = pz_face_track_verdict(t, 10, 13);
    assert_int_equal(v.grade, PZ_FACE_OK);
    assert_int_equal(pz_face_track_verdict(t, 50, 60).grade, PZ_FACE_UNUSABLE);
    assert_int_equal(pz_face_track_verdict(t, 0, 13).grade, PZ_FACE_UNUSABLE);
    pz_face_track_close(&t);
    for (size_t cut = 0; cut < n; cut += 997) {
        assert_int_equal(pz_file_write(NULL, path, buf, cut), PZ_OK);
        assert_int_equal(pz_face_track_open(path, NULL, &t), PZ_ERR_FORMAT);
        assert_null(t);
    }
    for (size_t i = 0; i < 24; i++) { /* every byte of magic, sizes and counts matters */
        buf[i] ^= 0x55;
        assert_int_equal(pz_file_write(NULL, path, buf, n), PZ_OK);
        assert_int_equal(pz_face_track_open(path, NULL, &t), PZ_ERR_FORMAT);
        buf[i] ^= 0x55;
    }
    assert_int_equal(pz_face_track_open("/nonexistent", NULL, &t), PZ_ERR_INPUT);
    unlink(path);
    free(buf);
    free(f);
}

static void missing_weights_say_what_to_do(void **state)
{
    struct pz_log *log = pz_log_create(NULL, NULL, PZ_LOG_ERROR);
    struct pz_job job = {.log = log};
    struct pz_face_tracker *t;
    char msg[512];
    assert_int_equal(pz_face_tracker_create(&(struct pz_face_tracker_params){.kind = PZ_FACE_MEDIAPIPE,
                                                                             .models_dir = "/nonexistent"},
                                            &job, &t),
                     PZ_ERR_WEIGHTS);
    assert_null(t);
    pz_log_last_error(log, msg, sizeof msg);
    assert_non_null(strstr(msg, "scripts/setup --mediapipe"));
    pz_log_destroy(&log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pose_round_trip),
        cmocka_unit_test(depth_comes_from_motion),
        cmocka_unit_test(topology_is_sound),
        cmocka_unit_test(mirrored_points_are_partners),
        cmocka_unit_test(crop_hits_its_pixel),
        cmocka_unit_test(track_files_are_hostile),
        cmocka_unit_test(missing_weights_say_what_to_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
