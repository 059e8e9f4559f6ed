/* Self-reenactment on a real clip with an engine that knows the answer: protocol (what is held out, what the
 * controls hear) and figures. Needs ../shared/data/clips and the face models; skipped without them. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/file.h"
#include "base/mem.h"
#include "face/track.h"
#include "image/mask.h"
#include "image/warp.h"
#include "pipeline/evaluate.h"
#include "pipeline/qc_mouth.h"
#include "speech/speech.h"

#define CLIP PZ_SHARED_DIR "/data/clips/interview_700.mp4"
#define SIDE 256

/* ---- the engine: cuts the true mouth out of the frame; in silence it keeps the first one it saw ---- */

static const struct pz_face_topology *topology;
static int64_t fit_samples, first_held_out;
static double fit_seconds;
static float *heard[2]; /* what each variant heard */
static int64_t n_heard[2];
static int n_begun, n_held, frames_asked;
static double seen_gap; /* deviation of the lip gap over the faces that were given */

struct session {
    struct pz_rgb now;
    float alpha[SIDE * SIDE];
    const struct pz_face *const *faces;
};

static enum pz_status prepare(const struct pz_film *film, const struct pz_engine_open_params *p,
                              const struct pz_job *job)
{
    topology = film->topology;
    fit_samples = film->n_speech;
    fit_seconds = (double)film->n_speech / PZ_SPEECH_RATE;
    assert_true(film->n_fit_frames > 20);
    for (int64_t i = 0; i < film->n_fit_frames; i++)
        assert_true(film->frame_time(film->user, film->fit_frames[i]) < fit_seconds);
    first_held_out = film->fit_frames[film->n_fit_frames - 1] + 1;
    assert_true(film->n_phones > 0);
    assert_true(film->phones[film->n_phones - 1].end <= film->n_speech);
    assert_true(pz_is_dir(p->artifact_dir));
    return PZ_OK;
}

static enum pz_status open_engine(const struct pz_engine_open_params *p, const struct pz_job *job,
                                  void **engine)
{
    static int alive;
    *engine = &alive;
    return PZ_OK;
}

static void close_engine(void **engine)
{
    *engine = NULL;
}

static enum pz_status begin(void *engine, const struct pz_speech_span *span, const struct pz_job *job,
                            void **session)
{
    if (span->held) { /* asked to hold a mouth: of frames before the held-out part (to hide the true ones,
                       * then as control), or (third time) of any */
        for (int i = 0; i < span->n_frames; i++) {
            assert_non_null(span->held[i]);
            assert_true(n_held > 1 || span->held[i]->frame < first_held_out);
        }
        n_held++;
        return PZ_ERR_UNSUPPORTED; /* the evaluation then cuts the mouth out itself */
    }
    struct session *s = pz_calloc(1, sizeof *s);
    assert_non_null(s);
    assert_int_equal(pz_rgb_alloc(&s->now, SIDE, SIDE), PZ_OK);
    s->faces = span->faces;
    assert_true(n_begun < 2);
    heard[n_begun] = pz_calloc((size_t)span->n_speech, sizeof(float));
    memcpy(heard[n_begun], span->speech, (size_t)span->n_speech * sizeof(float));
    n_heard[n_begun++] = span->n_speech;
    frames_asked = span->n_frames;
    assert_true(span->blend_s == 0);
    assert_int_equal(span->phones[0].start, 0); /* the line covers the sound completely */
    assert_int_equal(span->phones[span->n_phones - 1].end, span->n_speech);
    for (int i = 0; i < span->n_frames; i++) {
        assert_true(span->faces[i]->frame >= first_held_out);
        assert_true(span->frame_times[i] >= 0.5 - 1e-6 &&
                    span->frame_times[i] * PZ_SPEECH_RATE <= span->n_speech);
    }
    double sum = 0, square = 0;
    for (int i = 0; i < span->n_frames; i++) {
        sum += (double)span->faces[i]->lip_gap / span->n_frames;
        square += pow((double)span->faces[i]->lip_gap, 2) / span->n_frames;
    }
    seen_gap = sqrt(fmax(square - sum * sum, 0));
    *session = s;
    return PZ_OK;
}

static enum pz_status draw(void *session, int i, const struct pz_picture *src, struct pz_patch *out)
{
    struct session *s = session;
    float o[PZ_MASK_LOWER_FACE_MAX][2], x0 = 1e9f, y0 = 1e9f, x1 = -1e9f, y1 = -1e9f;
    int n = pz_mouth_outline(s->faces[i], topology, o);
    assert_true(n > 5);
    for (int k = 0; k < n; k++) {
        x0 = fminf(x0, o[k][0]);
        x1 = fmaxf(x1, o[k][0]);
        y0 = fminf(y0, o[k][1]);
        y1 = fmaxf(y1, o[k][1]);
    }
    float side = 1.1f * fmaxf(x1 - x0, y1 - y0), z = side / SIDE;
    out->to_frame = (struct pz_affine){z, 0, 0.5f * (x0 + x1 - side), 0, z, 0.5f * (y0 + y1 - side)};
    for (int k = 0; k < n; k++) {
        o[k][0] = (o[k][0] - out->to_frame.c) / z;
        o[k][1] = (o[k][1] - out->to_frame.f) / z;
    }
    assert_int_equal(pz_mask_polygon((const float(*)[2])o, n, s->alpha, SIDE, SIDE, false), PZ_OK);
    assert_int_equal(pz_mask_feather(s->alpha, SIDE, SIDE, 10), PZ_OK);
    pz_warp_picture_to_rgb(src, &out->to_frame, PZ_FILTER_CUBIC, PZ_BORDER_REPLICATE, &s->now);
    out->rgb = s->now;
    out->alpha = s->alpha;
    return PZ_OK;
}

static void end(void **session)
{
    struct session *s = *session;
    pz_rgb_free(&s->now);
    pz_free(s);
    *session = NULL;
}

static const struct pz_engine_vtable oracle = {.name = "oracle",
                                               .prepare = prepare,
                                               .open = open_engine,
                                               .close = close_engine,
                                               .begin = begin,
                                               .draw = draw,
                                               .end = end};

/* These two stand in for prepare.c, so that the engine of this test is the one that is found. */
enum pz_status pz_pipeline_engine(struct pz_pipeline *p, const char *name,
                                  const struct pz_engine_vtable **engine)
{
    *engine = &oracle;
    return PZ_OK;
}

enum pz_status pz_pipeline_ears(struct pz_pipeline *p, struct pz_ears **ears)
{
    enum pz_status st = p->ears ? PZ_OK : pz_ears_open(NULL, &p->job, &p->ears);
    *ears = p->ears;
    return st;
}

/* ---- tests ---- */

static double figure(json_t *o, const char *name)
{
    json_t *v = json_object_get(o, name);
    if (!json_is_number(v))
        fail_msg("%s is not a number", name);
    return json_number_value(v);
}

static void protocol_and_figures(void **state)
{
    struct pz_log *log = pz_log_create(NULL, NULL, PZ_LOG_ERROR);
    struct pz_pipeline p = {.job = {.log = log, .seed = 1}, .device = "auto"};
    struct pz_face_tracker *tracker;
    char strip[] = "/tmp/pz-strip-XXXXXX", *json, why[512];
    if (!pz_file_exists(CLIP) || pz_face_tracker_create(NULL, &p.job, &tracker) < PZ_OK) {
        pz_log_destroy(&log);
        skip();
    }
    pz_face_tracker_destroy(&tracker);
    int fd = mkstemp(strip);
    assert_true(fd >= 0);
    close(fd);
    struct pz_evaluate_request r = {.video = CLIP, .strip = strip};
    if (pz_pipeline_evaluate(&p, &r, &json) != PZ_OK) {
        pz_log_last_error(log, why, sizeof why);
        fail_msg("%s", why);
    }
    /* The controls: held mouths, and the same sound 0.8 s late; the fit ended where the held-out sound
     * begins. */
    assert_int_equal(n_held, 3);
    assert_int_equal(n_begun, 2);
    assert_int_equal(n_heard[0], n_heard[1]);
    for (int64_t i = 12800; i < n_heard[0]; i++)
        assert_true(heard[1][i] == heard[0][i - 12800]);
    json_t *root = json_loads(json, 0, NULL), *f = json_object_get(root, "figures");
    json_t *closed = json_object_get(json_object_get(root, "controls"), "closed");
    json_t *shifted = json_object_get(json_object_get(root, "controls"), "shifted");
    printf("%s\nlip gap engines see: deviation %.4f\n", json, seen_gap);
    assert_true(seen_gap < 0.015); /* the true mouths were hidden: they talk */
    assert_string_equal(json_string_value(json_object_get(root, "clip")), "interview_700.mp4");
    assert_string_equal(json_string_value(json_object_get(root, "lip_sync_model")), "oracle");
    assert_int_equal(figure(f, "frames"), frames_asked);
    assert_true(figure(f, "r_aperture") > 0.98);
    assert_true(figure(f, "lmd") < 0.5);
    assert_true(figure(f, "psnr_mouth") > 38);
    assert_true(figure(f, "ssim_mouth") > 0.97);
    assert_true(figure(f, "sharpness_ratio") > 0.8 && figure(f, "sharpness_ratio") < 1.25);
    assert_true(figure(f, "jitter_ratio") > 0.9 && figure(f, "jitter_ratio") < 1.1);
    assert_true(fabs(figure(f, "seam_delta_e")) < 0.3);
    assert_true(figure(closed, "lmd") > 4 * figure(f, "lmd"));
    assert_true(figure(closed, "psnr_mouth") < figure(f, "psnr_mouth") - 8);
    assert_true(figure(shifted, "r_aperture") >
                0.98); /* this engine does not listen: the control must not be told apart */
    char *png;
    size_t n;
    assert_int_equal(pz_file_read(NULL, strip, 1 << 24, &png, &n), PZ_OK);
    assert_true(n > 10000);
    assert_memory_equal(png, "\x89PNG", 4);
    pz_free(png);
    unlink(strip);
    json_decref(root);
    pz_free(json);
    for (int i = 0; i < 2; i++)
        pz_free(heard[i]);
    pz_ears_close(&p.ears);
    pz_log_destroy(&log);
}

static void bad_films_are_refused(void **state)
{
    struct pz_log *log = pz_log_create(NULL, NULL, PZ_LOG_ERROR);
    struct pz_pipeline p = {.job = {.log = log, .seed = 1}};
    char *json = NULL, why[512];
    struct pz_evaluate_request r = {.video = "/nonexistent/film.mp4"},
                               pair = {.video = "/nonexistent/a", .made = "/b"};
    assert_int_equal(pz_pipeline_evaluate(&p, &r, &json), PZ_ERR_INPUT);
    assert_null(json);
    pz_log_last_error(log, why, sizeof why);
    assert_non_null(strstr(why, "/nonexistent/film.mp4"));
    assert_int_equal(pz_pipeline_evaluate(&p, &pair, &json), PZ_ERR_INPUT);
    assert_null(json);
    pz_log_destroy(&log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(protocol_and_figures),
        cmocka_unit_test(bad_films_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
