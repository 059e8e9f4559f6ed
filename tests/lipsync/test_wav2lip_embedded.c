/**
 * wav2lip:embedded without its network's opinion: crops lie where the pattern says, moments are chosen by
 * lips and pose and come back from their file, patches are put together from the film's own pixels as flow
 * and shares tell; and the whole engine, with the weights inside the program, touches the lower face only and
 * follows the sound.
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
#include "face/topology.h"
#include "image/affine.h"
#include "lipsync/engine.h"
#include "lipsync/wav2lip_bend_model.h"
#include "lipsync/wav2lip_compose.h"
#include "lipsync/wav2lip_moments.h"
#include "weights/safetensors.h"

enum { FRAMES = 50, W = 320, H = 320, N_SPEECH = 32000, S = PZ_W2L_BEND_SIZE };
#define IOD 90.0f

struct stage {
    struct pz_face face[FRAMES];
    struct pz_picture pic;
    int64_t frames[FRAMES];
    float speech[N_SPEECH];
};

static char folder[256];

static float gap_of(int i)
{
    return 0.1f + 0.1f * sinf(0.9f * (float)i);
}

static float yaw_of(int i)
{
    return 12 * sinf(0.25f * (float)i);
}

/* The mean face with its lower lip and chin let down, under a weak-perspective pose: p = tx, ty + IOD (x, −y)
 * of the head turned by roll and yaw. */
static void make_face(int i, struct pz_face *f)
{
    const struct pz_face_topology *t = pz_face_topology_mesh();
    float gap = gap_of(i), yaw = yaw_of(i) * 0.0174533f, roll = 0.1f, tx = 160 + 4 * sinf(0.3f * (float)i);
    *f = (struct pz_face){.frame = i, .present = 1, .n_points = t->n_points, .interocular = IOD};
    f->lip_gap = gap;
    f->pose.yaw = yaw_of(i);
    f->pose.scale = IOD;
    f->pose.tx = tx;
    f->pose.ty = 110;
    const float r[9] = {cosf(roll) * cosf(yaw),
                        sinf(roll),
                        cosf(roll) * sinf(yaw),
                        -sinf(roll) * cosf(yaw),
                        cosf(roll),
                        -sinf(roll) * sinf(yaw),
                        -sinf(yaw),
                        0,
                        cosf(yaw)};
    memcpy(f->pose.r, r, sizeof r);
    for (int k = 0; k < t->n_points; k++) {
        float x = t->mean[k][0], y = t->mean[k][1], z = t->mean[k][2];
        if (y < -0.76f)
            y -= gap;
        float u = cosf(yaw) * x + sinf(yaw) * z;
        f->xyz[k][0] = tx + IOD * (cosf(roll) * u + sinf(roll) * y);
        f->xyz[k][1] = 110 - IOD * (cosf(roll) * y - sinf(roll) * u);
        f->xyz[k][2] = -IOD * (cosf(yaw) * z - sinf(yaw) * x);
    }
}

static enum pz_status stage_picture(void *user, int64_t i, const struct pz_picture **out)
{
    struct stage *s = user;
    const float *upper = s->face[i].xyz[13], *lower = s->face[i].xyz[14];
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++) {
            bool hole = fabsf((float)x - upper[0]) < 15 && (float)y > upper[1] && (float)y < lower[1];
            s->pic.plane[0][y * s->pic.stride[0] + x] =
                (uint8_t)(hole ? 35 : 150 + 30 * sinf(0.5f * (float)x) * sinf(0.4f * (float)y));
            s->pic.plane[1][y / 2 * s->pic.stride[1] + x / 2] = 118;
            s->pic.plane[2][y / 2 * s->pic.stride[2] + x / 2] = 140;
        }
    *out = &s->pic;
    return PZ_OK;
}

static const struct pz_face *stage_face(void *user, int64_t i)
{
    struct stage *s = user;
    return &s->face[i];
}

static double stage_time(void *user, int64_t i)
{
    (void)user;
    return (double)i / 25;
}

static struct pz_film open_stage(struct stage *s)
{
    memset(s, 0, sizeof *s);
    for (int i = 0; i < FRAMES; i++) {
        make_face(i, &s->face[i]);
        s->frames[i] = i;
    }
    for (int i = 0; i < N_SPEECH; i++)
        s->speech[i] = 0.3f * sinf(0.08f * (float)i) * (float)(i / 4000 % 2);
    assert_int_equal(pz_picture_alloc(&s->pic, W, H), PZ_OK);
    return (struct pz_film){.user = s,
                            .n_frames = FRAMES,
                            .frame_time = stage_time,
                            .picture = stage_picture,
                            .face = stage_face,
                            .topology = pz_face_topology_mesh(),
                            .speech = s->speech,
                            .n_speech = N_SPEECH,
                            .fit_frames = s->frames,
                            .n_fit_frames = FRAMES};
}

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/pz-w2l-embedded-%d", (int)getpid());
    return pz_make_dirs(NULL, folder) < PZ_OK ? -1 : 0;
}

static int tear_down(void **state)
{
    (void)state;
    pz_remove_tree(folder);
    return 0;
}

static void crops_lie_on_the_pattern(void **state)
{
    struct stage *s = pz_calloc(1, sizeof *s);
    const struct pz_face_topology *t = pz_face_topology_mesh();
    const struct pz_face *faces[FRAMES];
    double times[FRAMES];
    struct pz_affine m[FRAMES];
    float alpha[S * S], lips[PZ_WAV2LIP_LIPS][2], mark[S * S];
    (void)state;
    open_stage(s);
    for (int i = 0; i < FRAMES; i++) {
        faces[i] = i == 7 ? NULL : &s->face[i];
        times[i] = i / 25.0;
    }
    assert_int_equal(pz_wav2lip_crop_maps(t, faces, times, FRAMES, m), PZ_OK);
    for (int i = 0; i < FRAMES; i++) {
        float x[2], y[2];
        for (int e = 0; e < 2; e++)
            pz_affine_apply(&m[i], s->face[i].xyz[t->eye_outer[e]][0], s->face[i].xyz[t->eye_outer[e]][1],
                            &x[e], &y[e]);
        assert_true(fabsf(0.5f * (x[0] + x[1]) - S / 2.0f) < 5); // turned heads lie a little aside
        assert_true(fabsf(y[0] - PZ_W2L_BEND_EYES) < 4 && fabsf(y[1] - PZ_W2L_BEND_EYES) < 4);
        assert_true(fabsf(x[1] - x[0] - PZ_W2L_BEND_SCALE) < 5);
    }
    // Lips: what is marked 1 lies between what is marked ½, and grows with the gap.
    int between[2] = {0, 0}, frames[2] = {5, 2}; // gaps of 0.002 and 0.197
    for (int k = 0; k < 2; k++) {
        pz_wav2lip_crop_lips(t, &s->face[frames[k]], &m[frames[k]], lips);
        assert_int_equal(pz_wav2lip_crop_mark((const float(*)[2])lips, mark), PZ_OK);
        for (int i = 0; i < S * S; i++)
            between[k] += mark[i] > 0.75f;
    }
    assert_true(between[1] > between[0] + 100);
    assert_int_equal(pz_wav2lip_crop_alpha(t, &s->face[2], &m[2], alpha), PZ_OK);
    for (int i = 0; i < S * S; i++)
        assert_true(alpha[i] >= 0 && alpha[i] <= 1 && (i / S > PZ_W2L_BEND_EYES + 12 || alpha[i] == 0));
    assert_true(alpha[75 * S + S / 2] == 1); // the mouth
    struct pz_face_topology other = *t;
    other.name = "other";
    assert_int_equal(pz_wav2lip_crop_maps(&other, faces, times, FRAMES, m), PZ_ERR_UNSUPPORTED);
    pz_picture_free(&s->pic);
    pz_free(s);
}

static void moments_are_chosen_and_kept(void **state)
{
    struct stage *s = pz_calloc(1, sizeof *s);
    struct pz_film film = open_stage(s);
    struct pz_job job = {0};
    struct pz_wav2lip_moments *m, *n;
    const struct pz_face *faces[FRAMES];
    char path[300];
    int chosen[FRAMES][2], changes = 0;
    (void)state;
    struct pz_wav2lip_speaker *speaker;
    assert_int_equal(pz_wav2lip_speaker_fit(&film, &job, &speaker), PZ_OK);
    assert_int_equal(pz_wav2lip_moments_fit(&film, speaker, &job, &m), PZ_OK);
    pz_wav2lip_speaker_free(&speaker);
    assert_int_equal(m->n[0], PZ_WAV2LIP_MOMENTS);
    assert_int_equal(m->side, 192);
    for (int i = 0; i < m->n[0]; i++)
        assert_true(m->gap[0][i] < 0.04f);
    for (int i = 0; i < m->n[1]; i++)
        assert_true(m->gap[1][i] > 0.16f);
    snprintf(path, sizeof path, "%s/moments.safetensors", folder);
    assert_int_equal(pz_wav2lip_moments_save(m, path, NULL), PZ_OK);
    assert_int_equal(pz_wav2lip_moments_load(path, NULL, &n), PZ_OK);
    for (int k = 0; k < 2; k++) {
        assert_int_equal(n->n[k], m->n[k]);
        assert_memory_equal(n->fine[k], m->fine[k], (size_t)m->n[k] * 192 * 192 * 4);
        assert_memory_equal(n->view[k], m->view[k], (size_t)m->n[k] * 4 * S * S * sizeof(float));
        assert_memory_equal(n->mouth[k], m->mouth[k], (size_t)m->n[k] * sizeof *m->mouth[k]);
    }
    for (int i = 0; i < FRAMES; i++)
        faces[i] = &s->face[i];
    static float mouth[FRAMES][PZ_W2L_BEND_POINTS][2];
    for (int i = 0; i < FRAMES; i++) // as wide as all of them
        memcpy(mouth[i], m->mouth[0][0], sizeof mouth[i]);
    assert_int_equal(
        pz_wav2lip_moments_choose(m, faces, (const float(*)[PZ_W2L_BEND_POINTS][2])mouth, FRAMES, chosen),
        PZ_OK);
    for (int i = 0; i < FRAMES; i++) {
        assert_true(chosen[i][0] >= 0 && chosen[i][0] < m->n[0]);
        changes += i && chosen[i][0] != chosen[i - 1][0];
        // Heads turned as far as this one, give or take what a change would cost.
        assert_true(fabsf(m->pose[0][chosen[i][0]][0] - s->face[i].pose.yaw) < 21);
    }
    assert_true(changes < 8);
    // Of two moments turned alike the one with lips as wide as those wished for is taken, and the other for
    // others.
    for (int k = 0; k < 2; k++)
        for (int wide = 0; wide < 2; wide++) {
            for (int j = 0; j < m->n[k]; j++) {
                memcpy(m->pose[k][j], m->pose[k][0], sizeof m->pose[k][j]);
                memcpy(m->mouth[k][j], m->mouth[k][0], sizeof m->mouth[k][j]);
                m->mouth[k][j][10][0] += j == 3 ? 9 : 0;
            }
            for (int i = 0; i < FRAMES; i++)
                memcpy(mouth[i], m->mouth[k][wide ? 3 : 1], sizeof mouth[i]);
            assert_int_equal(pz_wav2lip_moments_choose(m, faces, (const float(*)[PZ_W2L_BEND_POINTS][2])mouth,
                                                       FRAMES, chosen),
                             PZ_OK);
            for (int i = 0; i < FRAMES; i++)
                assert_true((chosen[i][k] == 3) == (wide == 1));
            m->mouth[k][3][10][0] -= 9;
        }
    // An open moment is as open as the mouth wished for, if there is one.
    m->mouth[1][2][35][1] += 8;
    for (int i = 0; i < FRAMES; i++)
        memcpy(mouth[i], m->mouth[1][2], sizeof mouth[i]);
    assert_int_equal(
        pz_wav2lip_moments_choose(m, faces, (const float(*)[PZ_W2L_BEND_POINTS][2])mouth, FRAMES, chosen),
        PZ_OK);
    for (int i = 0; i < FRAMES; i++)
        assert_int_equal(chosen[i][1], 2);
    // A file that lies about itself.
    float one = 1;
    struct pz_stored_tensor t = {.name = "rest.fine", .dtype = PZ_DTYPE_F32, .data = &one};
    assert_int_equal(pz_safetensors_write(NULL, path, &t, 1, NULL, 0), PZ_OK);
    pz_wav2lip_moments_free(&n);
    assert_int_equal(pz_wav2lip_moments_load(path, NULL, &n), PZ_ERR_FORMAT);
    assert_null(n);
    pz_wav2lip_moments_free(&m);
    pz_picture_free(&s->pic);
    pz_free(s);
}

/* Channel k of pixel i of what the network says of looks. */
static float *look_at(float *look, int i, int k)
{
    int x = i % S, y = i / S;
    return &look[((y / 2) * (S / 2) + x / 2) * 20 + 4 * k + (y % 2) * 2 + x % 2];
}

/* What a patch of P × P is made of, and where it goes. */
struct bench {
    struct pz_wav2lip_compose *c;
    float *flow, *look, *alpha, *rgb, *large;
    uint8_t *fine[2];
};

static struct bench bench_make(int p)
{
    const size_t n = (size_t)p * (size_t)p;
    return (struct bench){.c = pz_wav2lip_compose_create(p),
                          .flow = pz_calloc(S * S, 4 * sizeof(float)),
                          .look = pz_calloc(S * S, 5 * sizeof(float)),
                          .alpha = pz_calloc(S * S, sizeof(float)),
                          .rgb = pz_calloc(n, 3 * sizeof(float)),
                          .large = pz_calloc(n, sizeof(float)),
                          .fine = {pz_calloc(n, 4), pz_calloc(n, 4)}};
}

static void bench_run(const struct bench *b, const struct pz_affine turn[2])
{
    const uint8_t *const both[2] = {b->fine[0], b->fine[1]};
    pz_wav2lip_compose_run(b->c, b->flow, b->look, turn, both, b->alpha, NULL, b->rgb, b->large);
}

static void bench_free(struct bench *b)
{
    pz_wav2lip_compose_destroy(&b->c);
    pz_free(b->flow);
    pz_free(b->look);
    pz_free(b->alpha);
    pz_free(b->rgb);
    pz_free(b->large);
    pz_free(b->fine[0]);
    pz_free(b->fine[1]);
}

/* The mean of two moments would be softer than either. */
static void what_is_fine_is_not_mixed(void **state)
{
    enum { P = 192 };
    struct bench b = bench_make(P);
    float *look = b.look, *alpha = b.alpha, *rgb = b.rgb;
    uint8_t *const *fine = b.fine;
    const struct pz_affine turn[2] = {pz_affine_identity(), pz_affine_identity()};
    (void)state;
    for (int i = 0; i < P * P; i++) {
        fine[0][4 * i] = (i / P + i) % 2 ? 120 : 80; // a chequered moment, and an even one that is lighter
        fine[1][4 * i] = 200;
    }
    for (int share = 3; share <= 7; share += 2) {
        for (int i = 0; i < S * S; i++) {
            alpha[i] = 1;
            *look_at(look, i, 0) = 0.1f * (float)share;
        }
        bench_run(&b, turn);
        // As light as the share says; chequered as one of the moments is, between them half of it.
        float light = 100 + 10 * (float)share, wave = share == 3 ? 20 : share == 7 ? 0 : 10;
        for (int i = 60 * P; i < 120 * P; i++)
            if (i % P > 20 && i % P < 170)
                assert_true(fabsf(rgb[i] * 255 - (light + ((i / P + i) % 2 ? wave : -wave))) < 0.02f);
    }
    bench_free(&b);
}

static void patches_are_the_films_own_pixels(void **state)
{
    enum { P = 192 };
    struct bench b = bench_make(P);
    float *flow = b.flow, *look = b.look, *alpha = b.alpha, *rgb = b.rgb, *large = b.large;
    uint8_t *const *fine = b.fine;
    (void)state;
    for (int i = 0; i < P * P; i++) {
        fine[0][4 * i] = (uint8_t)(i % P);
        fine[0][4 * i + 1] = (uint8_t)(i / P);
        fine[1][4 * i + 2] = 200;
    }
    for (int i = 40 * S; i < S * S; i++)
        alpha[i] = 1;
    struct pz_affine turn[2] = {pz_affine_identity(), pz_affine_identity()};
    bench_run(&b, turn);
    for (int i = 0; i < P * P; i++) {
        bool reached = i / P >= 61;
        assert_true(reached ? large[i] > 0.9f : i / P > 58 || large[i] == 0);
        if (reached) // nothing asked for: the moment at rest, to the bit
            assert_true(rgb[i] == (float)(i % P) * (1 / 255.0f) &&
                        rgb[P * P + i] == (float)(i / P) * (1 / 255.0f));
    }
    for (int i = 0; i < S * S;
         i++) { // fetched from 4 crop px to the right and 2 above, a quarter of the other
        flow[4 * i] = 4.0f / PZ_W2L_BEND_FLOW;
        flow[4 * i + 1] = -2.0f / PZ_W2L_BEND_FLOW;
        *look_at(look, i, 0) = 0.25f;
    }
    bench_run(&b, turn);
    int at = 120 * P + 90;
    assert_true(fabsf(rgb[at] * 255 - 0.75f * 96) < 0.01f);
    assert_true(fabsf(rgb[P * P + at] * 255 - 0.75f * 117) < 0.01f);
    assert_true(fabsf(rgb[2 * P * P + at] * 255 - 50) < 0.01f);
    turn[0].c = 3; // 4.5 px of the patch more
    bench_run(&b, turn);
    assert_true(fabsf(rgb[at] * 255 - 0.75f * 100.5f) < 0.05f);
    float plain[3] = {rgb[at], rgb[P * P + at], rgb[2 * P * P + at]};
    for (int i = 0; i < S * S;
         i++) { // opaque magenta paint on green gives its lightness and makes the moment's colour pale
        *look_at(look, i, 1) = 1;
        *look_at(look, i, 2) = *look_at(look, i, 4) = 0.6f;
    }
    bench_run(&b, turn);
    assert_true(fabsf(0.299f * rgb[at] + 0.587f * rgb[P * P + at] + 0.114f * rgb[2 * P * P + at] -
                      0.413f * 0.6f) < 1e-3f);
    for (int k = 1; k < 3; k++)
        assert_true(fabsf(rgb[k * P * P + at] - rgb[at] - 0.5f * (plain[k] - plain[0])) < 1e-3f);
    for (int i = 0; i < S * S; i++) // numbers that are none
        flow[4 * i] = i % 3 ? NAN : 1e30f;
    bench_run(&b, turn);
    for (int i = 62 * P; i < P * P; i++)
        assert_true(rgb[i] >= 0 && rgb[i] <= 1);
    bench_free(&b);
}

static void the_engine_makes_mouths(void **state)
{
    struct stage *s = pz_calloc(1, sizeof *s);
    struct pz_film film = open_stage(s);
    struct pz_job job = {0};
    struct pz_engine_open_params p = {.artifact_dir = folder, .device = "cpu"};
    const struct pz_engine_vtable *v = pz_engine_find("wav2lip:embedded");
    const struct pz_face *faces[FRAMES];
    double times[FRAMES];
    void *engine, *session;
    const struct pz_picture *pic;
    struct pz_patch patch, again;
    (void)state;
    assert_non_null(v);
    for (int i = 0; i < FRAMES; i++) {
        faces[i] = &s->face[i];
        times[i] = i / 25.0;
    }
    struct pz_speech_span span = {.speech = s->speech,
                                  .n_speech = N_SPEECH,
                                  .n_frames = 12,
                                  .frame_times = times,
                                  .faces = faces,
                                  .topology = film.topology};
    assert_int_equal(v->prepare(&film, &p, &job), PZ_OK);
    assert_int_equal(v->open(&p, &job, &engine), PZ_OK);
    assert_int_equal(v->begin(engine, &span, &job, &session), PZ_OK);
    float *first = pz_calloc(3 * 192 * 192, sizeof *first);
    for (int i = 0; i < 12; i++) {
        assert_int_equal(stage_picture(s, i, &pic), PZ_OK);
        assert_int_equal(v->draw(session, i, pic, &patch), PZ_OK);
        assert_int_equal(patch.rgb.width, 192);
        float top, left, all = 0;
        pz_affine_apply(&patch.to_frame, 96, 30, &left, &top); // the eyes' line
        assert_true(fabsf(left - s->face[i].xyz[168][0]) < 12 && fabsf(top - s->face[i].xyz[168][1]) < 18);
        for (int k = 0; k < 192 * 192; k++) {
            assert_true(patch.alpha[k] >= 0 && patch.alpha[k] <= 1 && (k / 192 > 48 || patch.alpha[k] == 0));
            all += patch.alpha[k];
        }
        assert_true(all > 4000);
        for (int k = 0; k < 3 * 192 * 192; k++)
            assert_true(patch.rgb.data[k] >= 0 && patch.rgb.data[k] <= 1);
        if (i == 3)
            memcpy(first, patch.rgb.data, 3 * 192 * 192 * sizeof *first);
    }
    // Any order, and fed ahead or not, gives the same.
    assert_int_equal(stage_picture(s, 3, &pic), PZ_OK);
    assert_int_equal(v->feed(session, 3, pic), PZ_OK);
    assert_int_equal(v->draw(session, 3, pic, &again), PZ_OK);
    for (int k = 0; k < 3 * 192 * 192; k++)
        assert_true(again.alpha[k % (192 * 192)] == 0 || fabsf(first[k] - again.rgb.data[k]) < 1e-4f);
    v->end(&session);
    // Another sound makes another mouth.
    memset(s->speech, 0, sizeof s->speech);
    assert_int_equal(v->begin(engine, &span, &job, &session), PZ_OK);
    assert_int_equal(v->draw(session, 3, pic, &again), PZ_OK);
    double change = 0;
    for (int k = 0; k < 3 * 192 * 192; k++)
        change = fmax(change, again.alpha[k % (192 * 192)] > 0 ? fabs(first[k] - again.rgb.data[k]) : 0);
    assert_true(change > 0.01);
    v->end(&session);
    v->close(&engine);
    pz_free(first);
    pz_picture_free(&s->pic);
    pz_free(s);
}

static void the_weights_tell_what_they_are(void **state)
{
    struct pz_wav2lip_bend *m;
    struct pz_job job = {0};
    (void)state;
    assert_int_equal(pz_wav2lip_bend_open(NULL, &(struct pz_engine_open_params){.device = "cpu"}, &job, &m),
                     PZ_OK);
    assert_non_null(pz_wav2lip_bend_story(m));
    assert_non_null(strstr(pz_wav2lip_bend_story(m), "synthetic"));
    pz_wav2lip_bend_close(&m);
    assert_int_equal(
        pz_wav2lip_bend_open("/nowhere", &(struct pz_engine_open_params){.device = "cpu"}, &job, &m),
        PZ_ERR_INPUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crops_lie_on_the_pattern),  cmocka_unit_test(moments_are_chosen_and_kept),
        cmocka_unit_test(what_is_fine_is_not_mixed), cmocka_unit_test(patches_are_the_films_own_pixels),
        cmocka_unit_test(the_engine_makes_mouths),   cmocka_unit_test(the_weights_tell_what_they_are),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
