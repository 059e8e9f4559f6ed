/**
 * The ear wav2lip:embedded fits to a speaker: where lips follow the sound by a rule, it learns the rule and
 * foretells frames it has not seen; where they do not (lips at random, too few frames), the shipped ear is
 * taken; what it kept comes back from its files, and broken files are refused.
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
#include "base/rng.h"
#include "face/topology.h"
#include "image/affine.h"
#include "lipsync/wav2lip_crop.h"
#include "lipsync/wav2lip_speaker.h"
#include "talkie.h"
#include "weights/safetensors.h"

enum { POINTS = PZ_W2L_BEND_POINTS, SEED = 11, UPPER = 20 + 5, LOWER = 20 + 15 };
#define IOD 90.0f

static char folder[256];

/* A talking head of the product's own landmarks: its lips part as the puppet's do. */
struct head {
    struct talkie *t;
    struct pz_face *face;
    struct pz_film film;
};

static const struct pz_face *head_face(void *user, int64_t i)
{
    return &((struct head *)user)->face[i];
}

static double head_time(void *user, int64_t i)
{
    return (double)i / ((struct head *)user)->t->fps;
}

static void make_face(const struct puppet_mouth *mouth, int i, struct pz_face *f)
{
    const struct pz_face_topology *t = pz_face_topology_mesh();
    float yaw = 0.12f * sinf(0.05f * (float)i);
    const float r[9] = {cosf(yaw), 0, sinf(yaw), 0, 1, 0, -sinf(yaw), 0, cosf(yaw)};
    *f = (struct pz_face){.frame = i, .present = 1, .n_points = t->n_points, .interocular = IOD};
    f->lip_gap = mouth->gap;
    f->pose = (struct pz_face_pose){.scale = IOD, .tx = 200 + 3 * sinf(0.1f * (float)i), .ty = 150};
    f->pose.yaw = yaw * 57.3f;
    memcpy(f->pose.r, r, sizeof r);
    for (int k = 0; k < t->n_points; k++) {
        float x = t->mean[k][0], y = t->mean[k][1], z = t->mean[k][2];
        if (y < -0.76f) // lower lip, chin
            y -= mouth->gap;
        if (y < -0.6f)
            x *= 1 + 0.5f * mouth->width;
        f->xyz[k][0] = f->pose.tx + IOD * (r[0] * x + r[2] * z);
        f->xyz[k][1] = f->pose.ty - IOD * y;
        f->xyz[k][2] = -IOD * (r[6] * x + r[8] * z);
    }
}

/* `own` false: the lips follow dice, not the sound. */
static struct head *open_head(double seconds, int64_t n_fit, bool own)
{
    struct head *h = pz_calloc(1, sizeof *h);
    struct pz_rng r;
    pz_rng_init(&r, SEED, 1);
    h->t = talkie_make(seconds, 25, 0, 0, 0, SEED);
    h->face = pz_calloc((size_t)h->t->n_frames, sizeof *h->face);
    float gap = 0.1f;
    for (int i = 0; i < h->t->n_frames; i++) {
        struct puppet_mouth m = h->t->mouth[i];
        gap = fminf(fmaxf(gap + 0.06f * pz_rng_normal(&r), 0), 0.25f);
        if (!own)
            m = (struct puppet_mouth){.gap = gap};
        make_face(&m, i, &h->face[i]);
    }
    h->film = talkie_film(h->t, n_fit < 0 ? h->t->n_frames : n_fit, 1);
    h->film.user = h;
    h->film.face = head_face;
    h->film.frame_time = head_time;
    h->film.topology = pz_face_topology_mesh();
    return h;
}

static void close_head(struct head *h)
{
    talkie_free(&h->t);
    pz_free(h->face);
    pz_free(h);
}

/* The frames from `first` on, with all of the film's sound. */
static struct pz_speech_span span_of(const struct head *h, int first, const struct pz_face **faces,
                                     double *times)
{
    int n = h->t->n_frames - first;
    for (int i = 0; i < n; i++) {
        faces[i] = &h->face[first + i];
        times[i] = (first + i) / h->t->fps;
    }
    return (struct pz_speech_span){.speech = h->t->speech,
                                   .n_speech = h->t->n_speech,
                                   .phones = h->t->phones,
                                   .n_phones = h->t->n_phones,
                                   .n_frames = n,
                                   .frame_times = times,
                                   .faces = faces,
                                   .topology = h->film.topology};
}

static double correlation(const float *a, const float *b, int n)
{
    double ma = 0, mb = 0, ab = 0, aa = 1e-12, bb = 1e-12;
    for (int i = 0; i < n; i++) {
        ma += a[i] / (double)n;
        mb += b[i] / (double)n;
    }
    for (int i = 0; i < n; i++) {
        ab += (a[i] - ma) * (b[i] - mb);
        aa += (a[i] - ma) * (a[i] - ma);
        bb += (b[i] - mb) * (b[i] - mb);
    }
    return ab / sqrt(aa * bb);
}

static int set_up(void **state)
{
    (void)state;
    printf("seed %d\n", SEED);
    snprintf(folder, sizeof folder, "/tmp/pz-w2l-speaker-%d", (int)getpid());
    return pz_make_dirs(NULL, folder) < PZ_OK ? -1 : 0;
}

static int tear_down(void **state)
{
    (void)state;
    pz_remove_tree(folder);
    return 0;
}

static void a_rule_is_learned_and_kept(void **state)
{
    enum { FIT = 280, ALL = 400, LEFT = ALL - FIT };
    struct head *h = open_head(16, FIT, true);
    struct pz_job job = {0};
    struct pz_wav2lip_speaker *s, *again;
    static float head[LEFT][POINTS][3], back[LEFT][POINTS][3], px[LEFT][POINTS][2];
    const struct pz_face *faces[LEFT];
    double times[LEFT];
    float made[LEFT], true_gap[LEFT], late[LEFT];
    (void)state;
    assert_int_equal(h->t->n_frames, ALL);
    assert_int_equal(pz_wav2lip_speaker_fit(&h->film, &job, &s), PZ_OK);
    assert_non_null(s->space);
    struct pz_speech_span span = span_of(h, FIT, faces, times);
    assert_int_equal(pz_wav2lip_speaker_mouths(s, &span, NULL, &job, head), PZ_OK);
    pz_wav2lip_speaker_place(s, faces, times, LEFT, (const float(*)[POINTS][3])head, px);
    for (int i = 0; i < LEFT; i++) {
        made[i] = head[i][UPPER][1] - head[i][LOWER][1];
        true_gap[i] = faces[i]->lip_gap;
        late[i] = faces[(i + 20) % LEFT]->lip_gap;
        // 64 px of a crop are an interocular distance, and lips part downwards.
        assert_true(fabsf((px[i][LOWER][1] - px[i][UPPER][1]) / PZ_W2L_BEND_SCALE - made[i]) < 0.03f);
    }
    double r = correlation(made, true_gap, LEFT), shifted = correlation(made, late, LEFT);
    printf("held-out lip gap: r %.2f, against 0.8 s later %.2f\n", r, shifted);
    assert_true(r > 0.7 && r > shifted + 0.4);
    // Kept and read again: the same mouths to the bit.
    assert_int_equal(pz_wav2lip_speaker_save(s, folder, NULL), PZ_OK);
    assert_int_equal(pz_wav2lip_speaker_load(folder, NULL, &again), PZ_OK);
    assert_int_equal(pz_wav2lip_speaker_mouths(again, &span, NULL, &job, back), PZ_OK);
    assert_memory_equal(head, back, sizeof head);
    // A face's own mouth, through the space and back, lies on its landmarks.
    float seen[POINTS][2];
    assert_int_equal(pz_wav2lip_speaker_seen(s, h->film.topology, faces[5], seen), PZ_OK);
    const int id[4] = {0, 5, UPPER, LOWER};
    for (int k = 0; k < 4; k++) {
        int lm = id[k] < 20 ? h->film.topology->outer_lip[id[k]] : h->film.topology->inner_lip[id[k] - 20];
        assert_true(hypotf(seen[id[k]][0] - faces[5]->xyz[lm][0], seen[id[k]][1] - faces[5]->xyz[lm][1]) <
                    2.5f);
    }
    // Landmarks of another set are refused.
    struct pz_face_topology other = *h->film.topology;
    other.name = "other";
    span.topology = &other;
    assert_int_equal(pz_wav2lip_speaker_mouths(s, &span, NULL, &job, head), PZ_ERR_UNSUPPORTED);
    pz_wav2lip_speaker_free(&again);
    pz_wav2lip_speaker_free(&s);
    close_head(h);
}

static void what_is_no_rule_is_not_learned(void **state)
{
    struct pz_job job = {0};
    struct pz_wav2lip_speaker *s, *again;
    (void)state;
    for (int few = 0; few < 2; few++) { // lips at random; an honest speaker, but too few frames
        struct head *h = open_head(12, few ? 30 : -1, few);
        assert_int_equal(pz_wav2lip_speaker_fit(&h->film, &job, &s), PZ_OK);
        assert_null(s->space);
        assert_null(s->motion);
        int n = 3, first = h->t->n_frames - n;
        const struct pz_face *faces[3];
        double times[3];
        float heard[3][PZ_W2L_BEND_MOUTH] = {{0}}, head[3][POINTS][3];
        struct pz_speech_span span = span_of(h, first, faces, times);
        heard[1][2 * LOWER + 1] = -1.6f; // a tenth of an interocular distance down
        assert_int_equal(pz_wav2lip_speaker_mouths(s, &span, heard[0], &job, head), PZ_OK);
        assert_memory_equal(head[0], s->rest, sizeof s->rest);
        assert_true(fabsf(head[1][LOWER][1] - s->rest[LOWER][1] + 0.1f) < 1e-5f);
        assert_true(head[1][LOWER][0] == s->rest[LOWER][0] && head[1][UPPER][1] == s->rest[UPPER][1]);
        assert_int_equal(pz_wav2lip_speaker_save(s, folder, NULL), PZ_OK);
        assert_int_equal(pz_wav2lip_speaker_load(folder, NULL, &again), PZ_OK);
        assert_null(again->space);
        assert_memory_equal(again->rest, s->rest, sizeof s->rest);
        assert_int_equal(again->n_rigid, s->n_rigid);
        pz_wav2lip_speaker_free(&again);
        pz_wav2lip_speaker_free(&s);
        close_head(h);
    }
}

/* Write a small file with one thing wrong. */
static enum pz_status with_a_flaw(int flaw, struct pz_wav2lip_speaker **s)
{
    float rest[POINTS][3] = {{0}}, center[3] = {0};
    int32_t rigid[4] = {33, 133, 362, 263};
    char path[300];
    snprintf(path, sizeof path, "%s/speaker.safetensors", folder);
    struct pz_stored_tensor t[] = {{"rest", PZ_DTYPE_F32, 2, {POINTS, 3}, rest, 0},
                                   {"center", PZ_DTYPE_F32, 1, {3}, center, 0},
                                   {"rigid", PZ_DTYPE_I32, 1, {4}, rigid, 0}};
    struct pz_stored_text text[] = {{"format", "pz-wav2lip-speaker-1"}, {"ear", "shipped"}};
    if (flaw == 1)
        rest[3][1] = NAN;
    if (flaw == 2)
        center[2] = 1e30f;
    if (flaw == 3)
        rigid[2] = 478;
    if (flaw == 4)
        rigid[2] = -1;
    if (flaw == 5)
        t[2].shape[0] = 0;
    if (flaw == 6)
        t[0].shape[0] = POINTS - 1;
    if (flaw == 7)
        text[0].value = "pz-wav2lip-speaker-0";
    if (flaw == 8) // says that the ear is the speaker's own, and there is none
        text[1].value = "speaker";
    assert_int_equal(pz_safetensors_write(NULL, path, t, flaw == 9 ? 2 : 3, text, 2), PZ_OK);
    if (flaw == 10)
        assert_int_equal(truncate(path, 200), 0);
    return pz_wav2lip_speaker_load(folder, NULL, s);
}

static void broken_files_are_refused(void **state)
{
    struct pz_wav2lip_speaker *s;
    char path[300];
    (void)state;
    snprintf(path, sizeof path, "%s/motion.safetensors", folder);
    unlink(path);
    assert_int_equal(with_a_flaw(0, &s), PZ_OK);
    pz_wav2lip_speaker_free(&s);
    for (int flaw = 1; flaw <= 10; flaw++) {
        assert_int_equal(with_a_flaw(flaw, &s), flaw == 8 ? PZ_ERR_INPUT : PZ_ERR_FORMAT);
        assert_null(s);
    }
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    fputs("no motion", f);
    fclose(f);
    assert_int_equal(with_a_flaw(8, &s), PZ_ERR_FORMAT);
    assert_null(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rule_is_learned_and_kept),
        cmocka_unit_test(what_is_no_rule_is_not_learned),
        cmocka_unit_test(broken_files_are_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
