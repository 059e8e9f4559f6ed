/* Quality control over a real render of a synthetic film: pasted frames, spliced file, late sound, sharp and
 * dull patches. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../media/clip.h"
#include "base/file.h"
#include "base/mem.h"
#include "image/filter.h"
#include "image/warp.h"
#include "pipeline/qc.h"

enum { W = 640, H = 480, N = 150, FIRST = 60, LAST = 80, SIDE = 128, RATE = 48000 };

static char dir[64] = "/tmp/pz-qc-XXXXXX", source[128], output[128];

static int setup(void **state)
{
    if (!mkdtemp(dir))
        return -1;
    snprintf(source, sizeof source, "%s/in.mp4", dir);
    snprintf(output, sizeof output, "%s/out.mp4", dir);
    struct clip c = {.path = source,
                     .width = W,
                     .height = H,
                     .n_frames = N,
                     .time_base_den = 12800,
                     .step = 512,
                     .gop = 25,
                     .b_frames = 2,
                     .color = 1,
                     .flash_frame = -1,
                     .sound_encoder = "aac",
                     .rate = RATE,
                     .channels = 1,
                     .sound_s = N / 25.0,
                     .tone = true};
    return clip_make(&c) ? 0 : -1;
}

static int teardown(void **state)
{
    pz_remove_tree(dir);
    return 0;
}

/* Four points are all qc wants of a face here: the corners of the mouth box. */
static const int lips[4] = {0, 1, 2, 3};
static const struct pz_face_topology topo = {
    .name = "test", .n_points = 4, .outer_lip = lips, .n_outer_lip = 4};

struct work {
    struct pz_qc *qc;
    struct pz_paste *paste;
    struct pz_rgb patch;
    float alpha[SIDE * SIDE];
    struct pz_face face;
    struct pz_sound *sound;
    int64_t delay; /* samples */
    float blur;
};

static enum pz_status picture(void *user, int64_t i, struct pz_picture *pic)
{
    struct work *w = user;
    static float scratch[SIDE * SIDE];
    struct pz_paste_patch pp = {.rgb = &w->patch, .alpha = w->alpha, .to_frame = {1, 0, 256, 0, 1, 176}};
    pz_warp_picture_to_rgb(pic, &pp.to_frame, PZ_FILTER_CUBIC, PZ_BORDER_REPLICATE, &w->patch);
    for (int k = 0; k < 3 && w->blur > 0; k++)
        pz_blur_gaussian(w->patch.data + (size_t)k * SIDE * SIDE, scratch, SIDE, SIDE, w->blur);
    struct pz_paste_match none = {.gain = {1, 1, 1}, .detail = 1};
    assert_int_equal(pz_qc_before(w->qc, i, pic, &w->face, &pp), PZ_OK);
    assert_int_equal(pz_paste_draw(w->paste, pic, &pp, &none, 1, i, NULL), PZ_OK);
    assert_int_equal(pz_qc_after(w->qc, i, pic, &w->face, &pp), PZ_OK);
    pz_qc_opening(w->qc, i & 1 ? 0.02f : 0.5f, i & 1); /* open in speech, nearly closed in silence */
    return PZ_OK;
}

static enum pz_status sound(void *user, int64_t at, float *out, int64_t n)
{
    struct work *w = user;
    int64_t got, skip = at < w->delay ? w->delay - at : 0;
    memset(out, 0, (size_t)n * sizeof *out);
    if (skip >= n)
        return PZ_OK;
    return pz_sound_read(w->sound, at + skip - w->delay, out + skip, n - skip, &got);
}

/* Render with a blur of the patch and a delay of the sound; return the figures. */
static json_t *render(float blur, int64_t delay)
{
    struct pz_job job = {.seed = 1};
    struct pz_film_info *info;
    struct pz_splice_report report;
    struct pz_out_frame out[N];
    struct work *w = pz_calloc(1, sizeof *w);
    struct pz_paste_params params = PZ_PASTE_PARAMS_DEFAULT;
    assert_non_null(w);
    w->blur = blur;
    w->delay = delay;
    w->face = (struct pz_face){
        .present = 1, .n_points = 4, .xyz = {{290, 220}, {350, 220}, {350, 260}, {290, 260}}};
    assert_int_equal(pz_film_info_read(source, &job, &info), PZ_OK);
    assert_int_equal(pz_sound_open(source, 0, 0, &job, &w->sound), PZ_OK);
    assert_int_equal(pz_qc_create(info, &topo, &w->qc), PZ_OK);
    assert_int_equal(pz_paste_create(&params, &w->paste), PZ_OK);
    assert_int_equal(pz_rgb_alloc(&w->patch, SIDE, SIDE), PZ_OK);
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++) {
            float d = 56 - hypotf(x - 63.5f, y - 63.5f);
            w->alpha[y * SIDE + x] = d <= 0 ? 0 : d >= 6 ? 1 : d / 6;
        }
    assert_int_equal(info->n_frames, N);
    for (int i = 0; i < N; i++)
        out[i] = (struct pz_out_frame){.src = i,
                                       .pts = info->frames[i].pts,
                                       .duration = info->frames[i].duration,
                                       .touched = i >= FIRST && i < LAST};
    struct pz_splice s = {.source = source,
                          .info = info,
                          .output = output,
                          .frames = out,
                          .n_frames = N,
                          .picture = picture,
                          .sound = sound,
                          .n_samples = info->n_samples,
                          .user = w};
    assert_int_equal(pz_splice_run(&s, &job, &report), PZ_OK);
    assert_int_equal(report.frames_touched, LAST - FIRST);
    pz_qc_readback(w->qc, "paris", 0.9f);
    pz_qc_readback(w->qc, "john", 0.6f);
    assert_int_equal(pz_qc_finish(w->qc, source, output, out, N, &job), PZ_OK);
    json_t *figures = pz_qc_json(w->qc);
    assert_non_null(figures);
    pz_qc_destroy(&w->qc);
    pz_paste_destroy(&w->paste);
    pz_rgb_free(&w->patch);
    pz_sound_close(&w->sound);
    pz_film_info_free(&info);
    pz_free(w);
    return figures;
}

static double number(json_t *o, const char *name)
{
    json_t *v = json_object_get(o, name);
    if (!json_is_number(v))
        fail_msg("%s is not a number", name);
    printf("%s %.3f  ", name, json_number_value(v));
    return json_number_value(v);
}

static void a_good_render(void **state)
{
    json_t *f = render(0, 0);
    assert_true(fabs(number(f, "av_offset_ms")) <= 0.5);
    assert_true(fabs(number(f, "seam_delta_e")) <= 0.3);
    double sharp = number(f, "sharpness_ratio");
    assert_true(sharp > 0.7 && sharp < 1.1);
    double jitter = number(f, "jitter_ratio");
    assert_true(jitter > 0.8 && jitter < 1.1);
    assert_true(number(f, "untouched_psnr_db") > 40);
    assert_true(fabs(number(f, "silence_opening") - 0.02) < 1e-3);
    json_t *read = json_object_get(f, "readback");
    assert_string_equal(json_string_value(json_object_get(read, "text")), "paris | john");
    assert_true(fabs(json_number_value(json_object_get(read, "score")) - 0.6) < 1e-3);
    json_decref(f);
    printf("\n");
}

static void a_bad_render(void **state)
{
    json_t *f = render(3, RATE / 100);
    assert_true(fabs(number(f, "av_offset_ms") - 10) <= 0.5);
    assert_true(number(f, "sharpness_ratio") < 0.5);
    json_decref(f);
    printf("\n");
}

static void nothing_touched(void **state)
{
    struct pz_film_info info = {.n_frames = 0};
    struct pz_qc *qc;
    assert_int_equal(pz_qc_create(&info, NULL, &qc), PZ_OK);
    char longer[700];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = 0;
    for (int i = 0; i < 3; i++) /* texts that do not fit are cut, not overrun */
        pz_qc_readback(qc, longer, 0.5f);
    json_t *f = pz_qc_json(qc);
    assert_true(json_is_null(json_object_get(f, "seam_delta_e")));
    assert_true(json_is_null(json_object_get(f, "av_offset_ms")));
    assert_int_equal(strlen(json_string_value(json_object_get(json_object_get(f, "readback"), "text"))), 511);
    json_decref(f);
    pz_qc_destroy(&qc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_render),
        cmocka_unit_test(a_bad_render),
        cmocka_unit_test(nothing_touched),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
