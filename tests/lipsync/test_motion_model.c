/* Motion from sound: recovery of known motion, lag, closures in all phases, silence, honesty, joints,
 * refusals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <math.h>

#include "base/mem.h"
#include "lipsync/motion_model.h"
#include "lipsync/motion_path.h"
#include "talkie.h"

#define SECONDS 16.0
#define MAX_FRAMES 1200

struct pair {
    struct talkie *film;
    struct pz_motion_space *space;
    struct pz_motion_model *model;
    int n_fit;
};

static const struct pz_face *space_face(const void *user, int64_t i)
{
    return &((const struct talkie *)user)->faces[i];
}

static struct pair learn(double fps, double late, int with_phones, int tail)
{
    struct pair p = {talkie_make(SECONDS, fps, late, 0.15f, tail, 11), NULL, NULL, 0};
    p.n_fit = p.film->n_frames * 7 / 10;
    struct pz_motion_faces faces = {p.film, space_face, p.film->frames, p.n_fit};
    assert_int_equal(pz_motion_space_fit(&faces, &puppet_topology, 12, NULL, &p.space), PZ_OK);
    struct pz_film film = talkie_film(p.film, p.n_fit, with_phones);
    assert_int_equal(pz_motion_model_fit(&film, p.space, NULL, &p.model), PZ_OK);
    return p;
}

static void forget(struct pair *p)
{
    pz_motion_space_free(&p->space);
    pz_motion_model_free(&p->model);
    talkie_free(&p->film);
}

/* Correlation of the predicted gap of the held-out frames with the true one, sound displaced by `shift`. */
static double held_out_r(const struct pair *p, int with_phones, double shift)
{
    static double times[MAX_FRAMES];
    static float m[MAX_FRAMES * PZ_MOTION_MAX];
    static const struct pz_face *faces[MAX_FRAMES];
    int n = p->film->n_frames - p->n_fit;
    for (int i = 0; i < n; i++) {
        times[i] = (p->n_fit + i) / p->film->fps - shift;
        faces[i] = &p->film->faces[p->n_fit + i];
    }
    struct pz_speech_span span = {.speech = p->film->speech,
                                  .n_speech = p->film->n_speech,
                                  .phones = with_phones ? p->film->phones : NULL,
                                  .n_phones = with_phones ? p->film->n_phones : 0,
                                  .n_frames = n,
                                  .frame_times = times,
                                  .faces = faces};
    assert_int_equal(pz_motion_predict(p->model, p->space, &span, NULL, m), PZ_OK);
    double sx = 0, sy = 0, xx = 0, yy = 0, xy = 0;
    for (int i = 0; i < n; i++) {
        double x = pz_motion_space_gap_linear(p->space, m + i * p->space->n_components);
        double y = p->film->mouth[p->n_fit + i].gap;
        sx += x;
        sy += y;
        xx += x * x;
        yy += y * y;
        xy += x * y;
    }
    return (xy - sx * sy / n) / sqrt((xx - sx * sx / n) * (yy - sy * sy / n));
}

static void recovers_known_motion(void **state)
{
    struct pair p = learn(25, 0, 1, 0);
    double r = held_out_r(&p, 1, 0), shifted = held_out_r(&p, 1, 0.8);
    printf("with phones: r %.3f, shifted %.3f, cross-validated %.3f\n", r, shifted, (double)p.model->cv_r);
    assert_true(r > 0.88);
    assert_true(shifted < r - 0.5);
    assert_true(p.model->lag_s == 0.0f);
    assert_true(fabs(p.model->cv_r - r) < 0.15);
    forget(&p);
    p = learn(25, 0, 0, 0);
    r = held_out_r(&p, 0, 0);
    shifted = held_out_r(&p, 0, 0.8);
    printf("sound alone: r %.3f, shifted %.3f\n", r, shifted);
    assert_true(r > 0.75);
    assert_true(shifted < r - 0.5);
    forget(&p);
}

static void finds_the_lag(void **state)
{
    struct pair p = learn(29.97, 0.12, 1, 0);
    printf("lag %.3f s, r %.3f\n", (double)p.model->lag_s, held_out_r(&p, 1, 0));
    assert_true(fabs(p.model->lag_s - 0.12f) < 0.021f);
    assert_true(held_out_r(&p, 1, 0) > 0.85);
    forget(&p);
}

/* A synthesised word: exact phones over the sound of another part of the film. */
static void labials_close_in_every_phase(void **state)
{
    static const int ids[] = {PZ_PH_SIL, PZ_PH_B, PZ_PH_AA, PZ_PH_P, PZ_PH_IY, PZ_PH_M,
                              PZ_PH_AO,  PZ_PH_B, PZ_PH_AE, PZ_PH_V, PZ_PH_SIL};
    static const double rates[] = {25, 23.976, 29.97, 59.94};
    struct pair p = learn(25, 0, 1, 0);
    struct pz_phone phones[11];
    int64_t at = 0;
    for (int i = 0; i < 11; i++) { /* short labials: 45 ms */
        int64_t d = ids[i] == PZ_PH_SIL                                           ? 8000
                    : ids[i] == PZ_PH_B || ids[i] == PZ_PH_P || ids[i] == PZ_PH_M ? 720
                                                                                  : 1600;
        phones[i] = (struct pz_phone){ids[i], 1.0f, at, at + d};
        at += d;
    }
    int checked = 0;
    float widest = 1e9f;
    for (int r = 0; r < 4; r++)
        for (int phase = 0; phase < 8; phase++) {
            double times[120];
            float m[120 * PZ_MOTION_MAX];
            int n = (int)((double)at / PZ_SPEECH_RATE * rates[r]) - 1;
            assert_true(n <= 120);
            for (int i = 0; i < n; i++)
                times[i] = (i + phase / 8.0) / rates[r];
            struct pz_speech_span span = {.speech = p.film->speech + 16000,
                                          .n_speech = at,
                                          .phones = phones,
                                          .n_phones = 11,
                                          .n_frames = n,
                                          .frame_times = times};
            assert_int_equal(pz_motion_predict(p.model, p.space, &span, NULL, m), PZ_OK);
            float highest = -1;
            for (int i = 0; i < n; i++) {
                float g = pz_motion_space_gap_linear(p.space, m + i * p.space->n_components);
                highest = g > highest ? g : highest;
                for (int k = 0; k < p.space->n_components; k++) {
                    float v = m[i * p.space->n_components + k];
                    assert_true(v >= p.space->lo[k] - 1e-5f && v <= p.space->hi[k] + 1e-5f);
                }
            }
            widest = fminf(widest, highest);

            for (int e = 0; e < 11; e++) {
                if (ids[e] != PZ_PH_B && ids[e] != PZ_PH_P && ids[e] != PZ_PH_M)
                    continue;
                double s = (double)phones[e].start / PZ_SPEECH_RATE, d = 0.045,
                       mid = s + (0.1 + 0.75) / 2 * d;
                int nearest = 0;
                for (int i = 1; i < n; i++)
                    if (fabs(times[i] - mid) < fabs(times[nearest] - mid))
                        nearest = i;
                float g = pz_motion_space_gap_linear(p.space, m + nearest * p.space->n_components);
                assert_true(g <= p.space->gap_closed + 1e-4f);
                checked++;
            }
        }
    printf("%d closures checked, vowels open to %.2f of the range at least\n", checked,
           (double)(widest / p.space->gap_open));
    assert_true(widest > 0.3f * p.space->gap_open); /* vowels do open in between */
    assert_int_equal(checked, 4 * 8 * 4);
    forget(&p);
}

static void silence_rests(void **state)
{
    struct pair p = learn(25, 0, 1, 1);
    enum { T = 40 };
    double times[T];
    float m[T * PZ_MOTION_MAX];
    for (int i = 0; i < T; i++)
        times[i] = SECONDS - 2.0 + i * 0.04;
    struct pz_speech_span span = {.speech = p.film->speech,
                                  .n_speech = p.film->n_speech,
                                  .phones = p.film->phones,
                                  .n_phones = p.film->n_phones,
                                  .n_frames = T,
                                  .frame_times = times};
    for (int with = 0; with < 2; with++) { /* silence is found with and without phones */
        span.n_phones = with ? p.film->n_phones : 0;
        assert_int_equal(pz_motion_predict(p.model, p.space, &span, NULL, m), PZ_OK);
        double mean = 0, var = 0;
        int k = p.space->n_components;
        for (int i = 0; i < T; i++)
            mean += pz_motion_space_gap_linear(p.space, m + i * k) / T;
        for (int i = 0; i < T; i++)
            var += pow(pz_motion_space_gap_linear(p.space, m + i * k) - mean, 2) / T;
        assert_true(mean < 0.03);
        assert_true(sqrt(var) < 0.004);
    }
    forget(&p);
}

static void evaluation_never_sees_the_mouth(void **state)
{
    struct pair p = learn(25, 0, 1, 0);
    enum { T = 50 };
    double times[T];
    float a[T * PZ_MOTION_MAX], b[T * PZ_MOTION_MAX];
    static struct pz_face other[T];
    const struct pz_face *faces[T], *lying[T];
    int k = p.space->n_components;
    struct puppet_mouth wide = {0.2f, 0.05f, 0};
    for (int i = 0; i < T; i++) {
        const struct pz_face *f = &p.film->faces[p.n_fit + i];
        times[i] = (p.n_fit + i) / 25.0;
        faces[i] = f;
        puppet_face(&wide, i, f->pose.yaw, f->pose.pitch, f->pose.roll, 100, 250, 200, 0, &other[i]);
        memcpy(other[i].xyz, f->xyz,
               12 * sizeof other[i].xyz[0]); /* all that is not mouth or jaw is the same */
        other[i].pose = f->pose;
        lying[i] = &other[i];
    }
    struct pz_speech_span span = {.speech = p.film->speech,
                                  .n_speech = p.film->n_speech,
                                  .phones = p.film->phones,
                                  .n_phones = p.film->n_phones,
                                  .n_frames = T,
                                  .frame_times = times,
                                  .faces = faces};
    assert_int_equal(pz_motion_predict(p.model, p.space, &span, NULL, a), PZ_OK);
    span.faces = lying;
    assert_int_equal(pz_motion_predict(p.model, p.space, &span, NULL, b), PZ_OK);
    assert_memory_equal(a, b, sizeof(float) * (size_t)(T * k));
    /* a slot, on the other hand, starts and ends in the template's own mouth */
    span.faces = faces;
    span.blend_s = 0.2;
    assert_int_equal(pz_motion_predict(p.model, p.space, &span, NULL, a), PZ_OK);
    span.faces = lying;
    assert_int_equal(pz_motion_predict(p.model, p.space, &span, NULL, b), PZ_OK);
    float own[PZ_MOTION_MAX], apart = 0;
    assert_true(pz_motion_space_project(p.space, faces[0], own));
    assert_true(fabsf(pz_motion_space_gap_linear(p.space, a) - pz_motion_space_gap_linear(p.space, own)) <
                0.02f);
    assert_true(pz_motion_space_project(p.space, lying[T - 1], own));
    assert_true(fabsf(pz_motion_space_gap_linear(p.space, b + (T - 1) * k) -
                      pz_motion_space_gap_linear(p.space, own)) < 0.02f);
    for (int i = 10; i < T - 10; i++)
        apart = fmaxf(apart, fabsf(pz_motion_space_gap_linear(p.space, a + i * k) -
                                   pz_motion_space_gap_linear(p.space, b + i * k)));
    assert_true(apart < 0.04f); /* inside, the opening follows the sound and not the template */
    forget(&p);
}

static void refuses_bad_input(void **state)
{
    struct pair p = learn(25, 0, 1, 0);
    double times[3] = {1, 2, 1.5};
    float m[3 * PZ_MOTION_MAX];
    struct pz_phone bad[2] = {{PZ_PH_AA, 1, 1000, 2000}, {PZ_PH_B, 1, 500, 900}};
    struct pz_speech_span span = {
        .speech = p.film->speech, .n_speech = p.film->n_speech, .n_frames = 3, .frame_times = times};
    assert_int_equal(pz_motion_predict(p.model, p.space, &span, NULL, m), PZ_ERR_FORMAT);
    times[2] = 3;
    assert_int_equal(pz_motion_predict(p.model, p.space, &span, NULL, m), PZ_OK);
    span.phones = bad;
    span.n_phones = 2;
    assert_int_equal(pz_motion_predict(p.model, p.space, &span, NULL, m), PZ_ERR_FORMAT);
    span.n_phones = 0;
    span.n_speech = 0;
    assert_int_equal(pz_motion_predict(p.model, p.space, &span, NULL, m), PZ_ERR_UNUSABLE);
    struct pz_film film = talkie_film(p.film, 30, 1); /* too short */
    struct pz_motion_model *none = NULL;
    assert_int_equal(pz_motion_model_fit(&film, p.space, NULL, &none), PZ_ERR_UNUSABLE);
    assert_null(none);
    p.model->k++;
    span.n_speech = p.film->n_speech;
    assert_int_equal(pz_motion_predict(p.model, p.space, &span, NULL, m), PZ_ERR_USAGE);
    p.model->k--;
    forget(&p);
}

static void smoothing_keeps_motion_and_kills_noise(void **state)
{
    enum { T = 200 };
    double times[T];
    float m[T], noisy[T];
    for (int i = 0; i < T; i++) {
        times[i] = i * 0.04 + (i % 3) * 0.004; /* uneven */
        m[i] = (float)sin(2 * M_PI * 2 * times[i]);
        noisy[i] = m[i] + (i % 2 ? 0.1f : -0.1f);
    }
    assert_int_equal(pz_motion_smooth(times, T, 1, 0.015, 0.1, noisy), PZ_OK);
    double err = 0, shift = 0;
    for (int i = 20; i < T - 20; i++) {
        err = fmax(err, fabs(noisy[i] - m[i]));
        shift += (noisy[i] - m[i]) * cos(2 * M_PI * 2 * times[i]);
    }
    assert_true(err < 0.08);
    assert_true(fabs(shift) / (T - 40) < 0.004); /* no lag */
}

int main(void)
{
    printf("talkie seed 11\n");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recovers_known_motion),
        cmocka_unit_test(finds_the_lag),
        cmocka_unit_test(labials_close_in_every_phase),
        cmocka_unit_test(silence_rests),
        cmocka_unit_test(evaluation_never_sees_the_mouth),
        cmocka_unit_test(refuses_bad_input),
        cmocka_unit_test(smoothing_keeps_motion_and_kills_noise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
