/* Motion files: exact round trip, repeatable fits, and files that lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <math.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "lipsync/motion_model.h"
#include "talkie.h"

#define T 60

static struct talkie *film;
static struct pz_motion_space *space;
static struct pz_motion_model *model;
static char path[64];

static const struct pz_face *space_face(const void *user, int64_t i)
{
    return &((const struct talkie *)user)->faces[i];
}

static void learn(struct pz_motion_space **s, struct pz_motion_model **m)
{
    struct pz_motion_faces faces = {film, space_face, film->frames, 200};
    assert_int_equal(pz_motion_space_fit(&faces, &puppet_topology, 12, NULL, s), PZ_OK);
    struct pz_film f = talkie_film(film, 200, 1);
    assert_int_equal(pz_motion_model_fit(&f, *s, NULL, m), PZ_OK);
}

static enum pz_status predict(const struct pz_motion_space *s, const struct pz_motion_model *m, float *out)
{
    double times[T];
    for (int i = 0; i < T; i++)
        times[i] = 7.0 + i * 0.04;
    struct pz_speech_span span = {.speech = film->speech,
                                  .n_speech = film->n_speech,
                                  .phones = film->phones,
                                  .n_phones = film->n_phones,
                                  .n_frames = T,
                                  .frame_times = times};
    return pz_motion_predict(m, s, &span, NULL, out);
}

static int setup(void **state)
{
    film = talkie_make(10, 25, 0, 0.2f, 0, 5);
    snprintf(path, sizeof path, "motion-%ld.safetensors", (long)getpid());
    learn(&space, &model);
    return pz_motion_save(path, space, model, NULL) == PZ_OK ? 0 : -1;
}

static int teardown(void **state)
{
    unlink(path);
    pz_motion_space_free(&space);
    pz_motion_model_free(&model);
    talkie_free(&film);
    return 0;
}

static void round_trip_is_exact(void **state)
{
    struct pz_motion_space *s = NULL;
    struct pz_motion_model *m = NULL;
    float a[T * PZ_MOTION_MAX], b[T * PZ_MOTION_MAX];
    assert_int_equal(pz_motion_load(path, NULL, &s, &m), PZ_OK);
    assert_string_equal(s->topology, space->topology);
    assert_int_equal(s->n_pairs, space->n_pairs);
    assert_int_equal(predict(space, model, a), PZ_OK);
    assert_int_equal(predict(s, m, b), PZ_OK);
    assert_memory_equal(a, b, sizeof(float) * (size_t)(T * s->n_components));
    float ma[PZ_MOTION_MAX], mb[PZ_MOTION_MAX];
    assert_true(pz_motion_space_project(space, &film->faces[9], ma));
    assert_true(pz_motion_space_project(s, &film->faces[9], mb));
    assert_memory_equal(ma, mb, sizeof(float) * (size_t)s->n_components);
    pz_motion_space_free(&s);
    pz_motion_model_free(&m);
}

static void fits_are_repeatable(void **state)
{
    struct pz_motion_space *s = NULL;
    struct pz_motion_model *m = NULL;
    char *a, *b, again[80];
    size_t na, nb;
    learn(&s, &m);
    snprintf(again, sizeof again, "again-%s", path);
    assert_int_equal(pz_motion_save(again, s, m, NULL), PZ_OK);
    assert_int_equal(pz_file_read(NULL, path, 1 << 24, &a, &na), PZ_OK);
    assert_int_equal(pz_file_read(NULL, again, 1 << 24, &b, &nb), PZ_OK);
    assert_int_equal(na, nb);
    assert_memory_equal(a, b, na);
    unlink(again);
    pz_free(a);
    pz_free(b);
    pz_motion_space_free(&s);
    pz_motion_model_free(&m);
}

/* Load bytes as a file; when they load they must also work. */
static enum pz_status try_bytes(const char *data, size_t n)
{
    char name[80];
    struct pz_motion_space *s = NULL;
    struct pz_motion_model *m = NULL;
    float out[T * PZ_MOTION_MAX];
    snprintf(name, sizeof name, "bad-%s", path);
    assert_int_equal(pz_file_write(NULL, name, data, n), PZ_OK);
    enum pz_status st = pz_motion_load(name, NULL, &s, &m);
    if (st == PZ_OK) {
        assert_int_equal(predict(s, m, out), PZ_OK);
        for (int i = 0; i < T * s->n_components; i++)
            assert_true(isfinite(out[i]));
    } else {
        assert_null(s);
        assert_null(m);
    }
    pz_motion_space_free(&s);
    pz_motion_model_free(&m);
    unlink(name);
    return st;
}

static void lying_files_are_refused(void **state)
{
    struct pz_motion_space *s = NULL;
    struct pz_motion_model *m = NULL;
    char *data;
    size_t n;
    assert_int_equal(pz_motion_load("no-such-file", NULL, &s, &m), PZ_ERR_INPUT);
    assert_int_equal(pz_file_read(NULL, path, 1 << 24, &data, &n), PZ_OK);
    for (size_t cut = 0; cut < n; cut += n / 23 + 1)
        assert_int_equal(try_bytes(data, cut), PZ_ERR_FORMAT);
    struct pz_rng r;
    pz_rng_init(&r, 21, 0);
    for (int i = 0; i < 150; i++) { /* one spoilt byte, in the header or in the numbers */
        size_t at = pz_rng_below(&r, (uint32_t)(i % 2 ? n : 3000));
        char keep = data[at];
        data[at] = (char)pz_rng_u32(&r);
        enum pz_status st = try_bytes(data, n);
        assert_true(st == PZ_OK || st == PZ_ERR_FORMAT);
        data[at] = keep;
    }
    pz_free(data);
}

/* Save a spoilt copy of the good pair, and see it refused. */
static void refused_after(void (*spoil)(struct pz_motion_space *, struct pz_motion_model *))
{
    struct pz_motion_space *s = NULL;
    struct pz_motion_model *m = NULL;
    char name[80];
    assert_int_equal(pz_motion_load(path, NULL, &s, &m), PZ_OK);
    spoil(s, m);
    snprintf(name, sizeof name, "bad-%s", path);
    assert_int_equal(pz_motion_save(name, s, m, NULL), PZ_OK);
    pz_motion_space_free(&s);
    pz_motion_model_free(&m);
    assert_int_equal(pz_motion_load(name, NULL, &s, &m), PZ_ERR_FORMAT);
    assert_null(s);
    assert_null(m);
    unlink(name);
}

static void spoil_pair(struct pz_motion_space *s, struct pz_motion_model *m)
{
    s->pairs[0][1] = s->n_points;
}
static void spoil_rigid(struct pz_motion_space *s, struct pz_motion_model *m)
{
    s->rigid[2] = -1;
}
static void spoil_corner(struct pz_motion_space *s, struct pz_motion_model *m)
{
    s->corner[1] = 1 << 30;
}
static void spoil_nan(struct pz_motion_space *s, struct pz_motion_model *m)
{
    m->alpha[5] = NAN;
}
static void spoil_scale(struct pz_motion_space *s, struct pz_motion_model *m)
{
    m->cep_std[3] = 0;
}
static void spoil_box(struct pz_motion_space *s, struct pz_motion_model *m)
{
    s->lo[0] = s->hi[0] + 1;
}

static void impossible_contents_are_refused(void **state)
{
    refused_after(spoil_pair);
    refused_after(spoil_rigid);
    refused_after(spoil_corner);
    refused_after(spoil_nan);
    refused_after(spoil_scale);
    refused_after(spoil_box);
}

int main(void)
{
    printf("talkie seed 5, spoilt bytes seed 21\n");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip_is_exact),
        cmocka_unit_test(fits_are_repeatable),
        cmocka_unit_test(lying_files_are_refused),
        cmocka_unit_test(impossible_contents_are_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
