/* Our own face networks against the PyTorch form they were trained in (golden.py of training/faces), the
 * files inside the program, and their rules: region of interest, hostile files. */
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
#include "base/hash.h"
#include "face/embedded.h"
#include "face/embedded_net.h"

/* A golden file and the models folder whose weights made it; the environment may name others. */
static const char *golden_path(void)
{
    const char *env = getenv("PZ_FACE_GOLDEN");
    return env ? env : PZ_SOURCE_DIR "/tests/face/face_golden.safetensors";
}

static const char *models_dir(void)
{
    const char *env = getenv("PZ_FACE_MODELS");
    return env ? env : "/nonexistent";
}

static struct pz_checkpoint *open_golden(void)
{
    struct pz_checkpoint *c;
    if (!pz_file_exists(golden_path())) {
        skip();
        return NULL;
    }
    assert_int_equal(pz_checkpoint_open(golden_path(), NULL, &c), PZ_OK);
    return c;
}

static float *values(const struct pz_checkpoint *c, const char *name, size_t *n)
{
    const struct pz_checkpoint_tensor *t = pz_checkpoint_find(c, name);
    if (!t)
        return NULL;
    *n = pz_checkpoint_elements(t);
    float *v = malloc(*n * sizeof *v);
    assert_non_null(v);
    assert_int_equal(pz_checkpoint_read_f32(NULL, t, v, *n), PZ_OK);
    return v;
}

static void fill(struct pz_session *s, const struct pz_checkpoint *c, const char *name)
{
    size_t n;
    float *v = values(c, name, &n);
    struct pz_view in = pz_session_input(s, NULL, 0);
    assert_non_null(v);
    assert_int_equal(n, pz_shape_count(&in.shape));
    for (size_t i = 0; i < n; i++)
        ((float *)in.data)[i] = v[i] / 127.5f - 1;
    free(v);
}

static void compare(struct pz_session *s, const char *output, const struct pz_checkpoint *c, const char *name,
                    float limit)
{
    size_t n;
    float *want = values(c, name, &n), worst = 0, largest = 1;
    struct pz_view got = pz_session_output(s, output, 0);
    assert_non_null(want);
    assert_int_equal(n, pz_shape_count(&got.shape));
    for (size_t i = 0; i < n; i++) {
        worst = fmaxf(worst, fabsf(((float *)got.data)[i] - want[i]));
        largest = fmaxf(largest, fabsf(want[i]));
    }
    print_message("%s: largest difference %.2e of %.2f\n", name, (double)worst, (double)largest);
    assert_true(worst <= limit * largest);
    free(want);
}

static void networks_are_those_trained(void **state)
{
    struct pz_checkpoint *c = open_golden();
    struct pz_plan *plan;
    struct pz_session *s;
    if (!c)
        return;
    assert_int_equal(pz_embedded_plan_landmarks(models_dir(), 1, true, NULL, &plan), PZ_OK);
    assert_int_equal(pz_session_create(plan, NULL, &s), PZ_OK);
    print_message("landmarks and parts: %.0f MMAC\n", pz_plan_cost(plan) / 1e6);
    fill(s, c, "crop");
    pz_session_run(s, NULL);
    compare(s, "landmarks", c, "landmarks", 1e-4f);
    compare(s, "parts", c, "parts", 1e-3f); /* kept as F16 */
    pz_session_destroy(&s);
    pz_plan_destroy(&plan);
    assert_int_equal(pz_embedded_plan_detector(models_dir(), NULL, &plan), PZ_OK);
    assert_int_equal(pz_session_create(plan, NULL, &s), PZ_OK);
    print_message("detector: %.0f MMAC\n", pz_plan_cost(plan) / 1e6);
    fill(s, c, "letterbox");
    pz_session_run(s, NULL);
    compare(s, "h20", c, "score20", 1e-4f);
    compare(s, "h10", c, "score10", 1e-4f);
    pz_session_destroy(&s);
    pz_plan_destroy(&plan);
    pz_checkpoint_close(&c);
}

/* The program carries the very files of models/; "weights on trial" in a models folder win, and rubbish there
 * is told. */
static void the_program_carries_the_files(void **state)
{
    size_t n;
    if (!pz_embedded_data(PZ_EMBEDDED_LANDMARKS, &n)) {
        skip();
        return;
    }
    for (int i = 0; i < 3; i++) {
        const void *data = pz_embedded_data((enum pz_embedded_file)i, &n);
        char path[512], inside[65], file[65];
        struct pz_sha256 h;
        snprintf(path, sizeof path, "%s/models/%s", PZ_SOURCE_DIR,
                 pz_embedded_name((enum pz_embedded_file)i));
        pz_sha256_init(&h);
        pz_sha256_update(&h, data, n);
        pz_sha256_hex(&h, inside);
        assert_int_equal(pz_sha256_file(NULL, path, file), PZ_OK);
        assert_string_equal(inside, file);
    }
    struct pz_log *log = pz_log_create(NULL, NULL, PZ_LOG_ERROR);
    struct pz_landmarker *l;
    char dir[] = "/tmp/pz-embedded-XXXXXX", path[96], msg[512];
    assert_int_equal(pz_landmarker_create(PZ_FACE_EMBEDDED, "/nonexistent", 1, log, &l), PZ_OK);
    pz_landmarker_destroy(&l);
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/embedded", dir);
    assert_int_equal(pz_make_dirs(log, path), PZ_OK);
    snprintf(path, sizeof path, "%s/embedded/face_landmarks.safetensors", dir);
    assert_int_equal(pz_file_write(log, path, "rubbish", 7), PZ_OK);
    assert_true(pz_landmarker_create(PZ_FACE_EMBEDDED, dir, 1, log, &l) < PZ_OK);
    assert_null(l);
    pz_log_last_error(log, msg, sizeof msg);
    assert_non_null(strstr(msg, "face_landmarks.safetensors"));
    pz_remove_tree(dir);
    pz_log_destroy(&log);
}

/* The crop turns with the head, is 20 cm wide, and the larger of the two distances wins. */
static void region_follows_the_rule(void **state)
{
    float eye[2][2] = {{100, 100}, {162.4f, 100}}, mouth[2] = {131.2f, 169.4f};
    struct pz_face_rect r = pz_embedded_roi((const float(*)[2])eye, mouth);
    assert_true(fabsf(r.w - 200) < 0.1f && fabsf(r.angle) < 1e-4f);
    assert_true(fabsf(r.cx - 131.2f) < 1e-3f && fabsf(r.cy - 134.7f) < 1e-3f);
    eye[1][0] = 130; /* turned away: the eyes come together, the scale stays */
    mouth[0] = 115;
    r = pz_embedded_roi((const float(*)[2])eye, mouth);
    assert_true(fabsf(r.w - 200) < 0.5f);
    float down[2][2] = {{100, 100}, {100, 162.4f}}, side[2] = {100 - 69.4f, 131.2f}; /* lying on its side */
    r = pz_embedded_roi((const float(*)[2])down, side);
    assert_true(fabsf(r.w - 200) < 0.1f && fabsf(r.angle - 1.5707963f) < 1e-3f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(networks_are_those_trained),
        cmocka_unit_test(the_program_carries_the_files),
        cmocka_unit_test(region_follows_the_rule),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
