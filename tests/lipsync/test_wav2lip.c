/**
 * The wav2lip engine on a painted face, with a small network of the hash rule's weights: weights are found
 * and checked, sound windows follow the film's own times, boxes and mask are where they shall be, texture
 * comes back, and a patch touches nothing above the mask.
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
#include "image/affine.h"
#include "image/area.h"
#include "image/filter.h"
#include "image/paste.h"
#include "image/warp.h"
#include "lipsync/engine.h"
#include "lipsync/wav2lip_face.h"
#include "lipsync/wav2lip_model.h"
#include "lipsync/wav2lip_s3fd.h"
#include "lipsync/wav2lip_texture.h"
#include "nn/s3fd.h"
#include "puppet.h"
#include "weights/safetensors.h"

enum { FRAMES = 40, W = 400, H = 400, N_SPEECH = 32000 };

static char folder[256], weights[300];
static char said[1024];

static void listen(void *user, enum pz_log_level level, const char *text)
{
    (void)user;
    if (level == PZ_LOG_ERROR)
        snprintf(said, sizeof said, "%s", text);
}

/* ---- a network of an eighth of the width ---- */

enum damage { WHOLE, NO_TENSOR, WRONG_SHAPE, ONE_MORE, LARGER };

/* A member of the family with one level more: 192 px. */
static void enlarge(struct pz_wav2lip_config *c)
{
    int n = c->n_blocks++;
    for (int b = n; b > 1; b--)
        c->face[b] = c->face[b - 1];
    c->face[1].layers = 1;
    c->decoder[n] = c->decoder[n - 1];
    c->size *= 2;
}

static void write_weights(const char *path, const char *prefix, enum damage damage)
{
    struct pz_wav2lip_config c = pz_wav2lip_published(8);
    if (damage == LARGER)
        enlarge(&c);
    struct pz_graph *g = pz_graph_create(NULL);
    struct pz_params *p = pz_params_create(g, &(struct pz_params_options){0}, NULL);
    int mel = pz_graph_input(g, "mel", (struct pz_shape){.rank = 4, .dim = {1, 80, 16, 1}});
    int face = pz_graph_input(g, "face", (struct pz_shape){.rank = 4, .dim = {1, c.size, c.size, 6}});
    pz_graph_output(g, "out", pz_wav2lip_face(p, &c, pz_wav2lip_audio(p, &c, mel), face, NULL));
    assert_int_equal(pz_params_finish(p), PZ_OK);
    int n = pz_params_count(p), m = 0;
    struct pz_stored_tensor *t = pz_calloc((size_t)n + 1, sizeof *t);
    assert_non_null(t);
    for (int i = 0; i < n; i++) {
        struct pz_param_info q = pz_params_at(p, i);
        size_t count = 1;
        if (damage == NO_TENSOR && strstr(q.name, "face_decoder_blocks.2.1.conv_block.0.bias"))
            continue;
        t[m] = (struct pz_stored_tensor){
            .name = pz_asprintf("%s%s", prefix, q.name), .dtype = PZ_DTYPE_F32, .rank = q.rank};
        for (int k = 0; k < q.rank; k++) {
            t[m].shape[k] = q.shape[k];
            if (damage == WRONG_SHAPE && k == 0 &&
                strstr(q.name, "audio_encoder.4.conv_block.1.running_mean"))
                t[m].shape[k]++;
            count *= (size_t)t[m].shape[k];
        }
        float *x = pz_calloc(count, sizeof *x);
        pz_params_rule(p, i, 0, count - (damage == WRONG_SHAPE && count > 1), x);
        t[m++].data = x;
    }
    static const float one = 1;
    if (damage == ONE_MORE)
        t[m++] = (struct pz_stored_tensor){
            .name = pz_strdup("face_encoder_blocks.9.weight"), .dtype = PZ_DTYPE_F32, .data = &one};
    assert_int_equal(pz_safetensors_write(NULL, path, t, m, NULL, 0), PZ_OK);
    for (int i = 0; i < m; i++) {
        pz_free((void *)(uintptr_t)t[i].name);
        if (t[i].data != &one)
            pz_free((void *)(uintptr_t)t[i].data);
    }
    pz_free(t);
    pz_params_destroy(&p);
    pz_graph_destroy(&g);
}

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/pz-wav2lip-%d", (int)getpid());
    snprintf(weights, sizeof weights, "%s/wav2lip/wav2lip_gan.pth", folder);
    char dir[300];
    snprintf(dir, sizeof dir, "%s/wav2lip", folder);
    if (pz_make_dirs(NULL, dir) < PZ_OK)
        return -1;
    write_weights(weights, "module.", WHOLE);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    pz_remove_tree(folder);
    return 0;
}

static void weights_are_found_and_checked(void **state)
{
    struct pz_log *log = pz_log_create(listen, NULL, PZ_LOG_ERROR);
    struct pz_job job = {.log = log};
    struct pz_wav2lip_config c;
    char *path, bad[320];
    (void)state;
    assert_int_equal(pz_wav2lip_find("/nowhere", log, &path), PZ_ERR_WEIGHTS);
    assert_null(path);
    assert_non_null(strstr(said, "models download wav2lip"));
    assert_null(strchr(said, '\n'));
    assert_int_equal(pz_wav2lip_find(folder, log, &path), PZ_OK);
    assert_string_equal(path, weights);
    pz_free(path);
    assert_int_equal(pz_wav2lip_verify(weights, &job, &c), PZ_OK);
    assert_int_equal(c.size, 96);
    assert_int_equal(c.n_blocks, 7);
    assert_int_equal(c.face[2].layers, 4);
    assert_int_equal(c.decoder[3].channels, 48);

    static const struct {
        enum damage damage;
        const char *named;
    } cases[] = {{NO_TENSOR, "face_decoder_blocks.2.1.conv_block.0.bias"},
                 {WRONG_SHAPE, "audio_encoder.4.conv_block.1.running_mean"},
                 {ONE_MORE, "face_encoder_blocks.9.weight"}};
    snprintf(bad, sizeof bad, "%s/bad.pth", folder);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        write_weights(bad, "", cases[i].damage);
        said[0] = '\0';
        assert_int_equal(pz_wav2lip_verify(bad, &job, NULL), PZ_ERR_WEIGHTS);
        assert_non_null(strstr(said, cases[i].named));
    }
    // Another network's file, and no checkpoint at all.
    float one = 1;
    struct pz_stored_tensor t = {.name = "conv1.weight", .dtype = PZ_DTYPE_F32, .data = &one};
    assert_int_equal(pz_safetensors_write(NULL, bad, &t, 1, NULL, 0), PZ_OK);
    assert_int_equal(pz_wav2lip_verify(bad, &job, NULL), PZ_ERR_WEIGHTS);
    assert_non_null(strstr(said, "not a Wav2Lip generator"));
    assert_int_equal(pz_file_write(NULL, bad, "hello", 5), PZ_OK);
    assert_true(pz_wav2lip_verify(bad, &job, NULL) < PZ_OK);
    pz_log_destroy(&log);
}

static void speech_of(float *x)
{
    for (int i = 0; i < N_SPEECH; i++)
        x[i] = 0.3f * sinf((float)i * (0.05f + 1e-6f * (float)i));
}

static void windows_follow_the_films_times(void **state)
{
    // The same instants are heard alike, whichever other pictures are asked for and at whatever rate.
    struct pz_job job = {0};
    struct pz_wav2lip_model *m;
    float *x = pz_calloc(N_SPEECH, sizeof *x), a[25 * 64], b[30 * 64];
    double t25[25], t30[30];
    (void)state;
    speech_of(x);
    for (int i = 0; i < 25; i++)
        t25[i] = 0.3 + i / 25.0;
    for (int i = 0; i < 30; i++)
        t30[i] = i == 29 ? t25[24] : 0.3 + i * 1001 / 30000.0;
    assert_int_equal(
        pz_wav2lip_model_open(weights, &(struct pz_engine_open_params){.device = "cpu"}, &job, &m), PZ_OK);
    assert_int_equal(pz_wav2lip_model_width(m), 64);
    assert_int_equal(pz_wav2lip_hear(m, x, N_SPEECH, t25, 25, &job, a), PZ_OK);
    assert_int_equal(pz_wav2lip_hear(m, x, N_SPEECH, t30, 30, &job, b), PZ_OK);
    assert_memory_equal(a, b, 64 * sizeof *a); // both at 0.3 s
    float change = 0;
    for (int k = 0; k < 64; k++)
        change = fmaxf(change, fabsf(a[k] - a[12 * 64 + k]));
    assert_true(change > 1e-3f);
    assert_memory_equal(a + 24 * 64, b + 29 * 64, 64 * sizeof *a); // both at 1.26 s
    // Beyond the ends, and with less sound than a window.
    double odd[3] = {-1, 100, 0};
    assert_int_equal(pz_wav2lip_hear(m, x, N_SPEECH, odd, 2, &job, a), PZ_OK);
    assert_int_equal(pz_wav2lip_hear(m, x, 100, odd + 2, 1, &job, a), PZ_OK);
    for (int k = 0; k < 64; k++)
        assert_true(isfinite(a[k]));
    pz_wav2lip_model_close(&m);
    pz_free(x);
}

/* ---- boxes and mask ---- */

static void boxes_are_calm(void **state)
{
    struct pz_face f[30] = {0};
    const struct pz_face *p[30];
    double t[30];
    struct pz_wav2lip_box b[30];
    (void)state;
    for (int i = 0; i < 30; i++) {
        float jitter = i % 2 ? 2.0f : -2.0f, x = 100 + 3.0f * (float)i + jitter;
        f[i].present = i == 12 ? 2 : 1;
        memcpy(f[i].box, (float[4]){x, 50, x + 80, 150}, sizeof f[i].box);
        if (i == 12)
            f[i].box[0] = 500; // a bridged frame that went astray counts little
        p[i] = i == 20 ? NULL : &f[i];
        t[i] = i / 25.0;
    }
    pz_wav2lip_boxes(p, t, 30, b);
    for (int i = 3; i < 27; i++) {
        assert_true(fabsf(b[i].x0 - (100 + 3.0f * (float)i)) < 4); // no lag on steady motion
        assert_true(fabsf(b[i].y1 - 160) < 1e-3f);                 // the published pad
    }
    double wander = 0;
    for (int i = 5; i < 10; i++)
        wander = fmax(wander, fabs(b[i + 1].x1 - b[i].x1 - 3.0));
    assert_true(wander < 1.0); // of 4 px that the raw boxes jump
}

static void mask_spares_the_eyes(void **state)
{
    enum { S = 200 };
    static float a[S * S];
    (void)state;
    pz_wav2lip_mask(S, a);
    for (int y = 0; y < S; y++)
        for (int x = 0; x < S; x++) {
            float v = a[y * S + x];
            assert_true(v >= 0 && v <= 1);
            if (y < pz_wav2lip_first_row(S) || x == 0 || x == S - 1 || y == S - 1)
                assert_true(v < 0.01f);
        }
    assert_true(a[150 * S + 100] == 1 && a[120 * S + 60] == 1);
    assert_true(a[195 * S + 5] == 0); // the box's corner is not face
}

/* ---- a painted film ---- */

struct stage {
    struct pz_face face[FRAMES];
    struct pz_picture pic;
    int64_t frames[FRAMES];
    float *speech;
};

/* Head-space picture: skin with fine stripes, lips and a dark opening. Fine enough that 96 px do not hold it.
 */
static void paint(const struct puppet_mouth *m, float x, float y, uint8_t out[3])
{
    float half = 0.28f, u = x / half, v = 150 + 25 * sinf(90 * x) * sinf(80 * y);
    out[1] = 118;
    out[2] = 140;
    if (fabsf(u) < 1) {
        float arc = sqrtf(1 - u * u), up = -0.85f + 0.1f * arc, low = -0.85f - (0.1f + m->gap) * arc;
        if (y < up && y > low)
            v = y > -0.85f - m->gap * arc && y < -0.85f ? 40 : 105 + 20 * sinf(120 * x);
    }
    out[0] = (uint8_t)(v + 0.5f);
}

static struct puppet_mouth mouth_at(int64_t i)
{
    return (struct puppet_mouth){0.10f + 0.09f * sinf(0.7f * (float)i), 0, 0};
}

static enum pz_status stage_picture(void *user, int64_t i, const struct pz_picture **out)
{
    struct stage *s = user;
    const struct pz_face_pose *p = &s->face[i].pose;
    struct puppet_mouth m = mouth_at(i);
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++) {
            uint8_t c[3];
            paint(&m, ((float)x + 0.5f - p->tx) / p->scale, -((float)y + 0.5f - p->ty) / p->scale, c);
            s->pic.plane[0][y * s->pic.stride[0] + x] = c[0];
            s->pic.plane[1][y / 2 * s->pic.stride[1] + x / 2] = c[1];
            s->pic.plane[2][y / 2 * s->pic.stride[2] + x / 2] = c[2];
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
        struct puppet_mouth m = mouth_at(i);
        puppet_face(&m, i, 0, 0, 0, 150, 200 + 6 * sinf(0.2f * (float)i), 90, 0, &s->face[i]);
        // Tight around the points, as a tracker gives it; the puppet has no forehead, so it is put above.
        float *box = s->face[i].box;
        memcpy(box, (float[4]){W, 90 - 130, 0, 0}, 4 * sizeof *box);
        for (int k = 0; k < PUPPET_POINTS; k++) {
            const float *p = s->face[i].xyz[k];
            box[0] = fminf(box[0], p[0]);
            box[2] = fmaxf(box[2], p[0]);
            box[3] = fmaxf(box[3], p[1]);
        }
        s->frames[i] = i;
    }
    s->speech = pz_calloc(N_SPEECH, sizeof *s->speech);
    speech_of(s->speech);
    assert_int_equal(pz_picture_alloc(&s->pic, W, H), PZ_OK);
    return (struct pz_film){.user = s,
                            .n_frames = FRAMES,
                            .frame_time = stage_time,
                            .picture = stage_picture,
                            .face = stage_face,
                            .topology = &puppet_topology,
                            .speech = s->speech,
                            .n_speech = N_SPEECH,
                            .fit_frames = s->frames,
                            .n_fit_frames = FRAMES - 8};
}

static void close_stage(struct stage *s)
{
    pz_picture_free(&s->pic);
    pz_free(s->speech);
}

static double difference(const float *a, const float *b, int side, int row)
{
    double sum = 0;
    for (int y = row; y < side * 9 / 10; y++)
        for (int x = side / 5; x < side * 4 / 5; x++)
            sum += pow(a[y * side + x] - b[y * side + x], 2);
    return sum;
}

static void texture_comes_back(void **state)
{
    // A network that draws perfectly, but small: the true picture seen at 96 px. On frames that were not
    // learned from, moments alone must win back part of what is lost, the frame's own layer almost all of it.
    struct stage s;
    struct pz_job job = {0};
    struct pz_film film = open_stage(&s);
    struct pz_wav2lip_texture *t, *again;
    struct pz_rgb seen = {0}, frame = {0}, plain = {0}, out = {0};
    char path[320];
    (void)state;
    assert_int_equal(pz_wav2lip_texture_fit(&film, 96, NULL, &job, &t), PZ_OK);
    snprintf(path, sizeof path, "%s/texture.safetensors", folder);
    assert_int_equal(pz_wav2lip_texture_save(t, path, NULL), PZ_OK);
    pz_wav2lip_texture_free(&t);
    assert_int_equal(pz_wav2lip_texture_load(path, 288, NULL, &again), PZ_ERR_FORMAT);
    assert_int_equal(pz_wav2lip_texture_load(path, 96, NULL, &again), PZ_OK);
    int side = pz_wav2lip_texture_side(again), row = pz_wav2lip_first_row(side) + 4;
    assert_true(side >= 192 && side <= 512);
    assert_int_equal(pz_rgb_alloc(&seen, 96, 96), PZ_OK);
    assert_int_equal(pz_rgb_alloc(&frame, side, side), PZ_OK);
    assert_int_equal(pz_rgb_alloc(&plain, side, side), PZ_OK);
    assert_int_equal(pz_rgb_alloc(&out, side, side), PZ_OK);
    struct pz_wav2lip_detail *d = pz_wav2lip_detail_create(again);
    assert_non_null(d);
    const struct pz_face *faces[FRAMES];
    double times[FRAMES];
    struct pz_wav2lip_box box[FRAMES];
    for (int i = 0; i < FRAMES; i++) {
        faces[i] = &s.face[i];
        times[i] = i / 25.0;
    }
    pz_wav2lip_boxes(faces, times, FRAMES, box);
    double lost = 0, moments = 0, film_too = 0;
    for (int i = FRAMES - 8; i < FRAMES; i += 2) {
        const struct pz_picture *pic;
        struct pz_affine large = pz_wav2lip_to_frame(&box[i], side);
        assert_int_equal(stage_picture(&s, i, &pic), PZ_OK);
        assert_int_equal(pz_area_picture_to_rgb(pic, box[i].x0, box[i].y0, box[i].x1, box[i].y1, &seen),
                         PZ_OK);
        pz_warp_picture_to_rgb(pic, &large, PZ_FILTER_CUBIC, PZ_BORDER_REPLICATE, &frame);
        struct pz_affine up = {96.0f / (float)side, 0, 0, 0, 96.0f / (float)side, 0};
        pz_warp_rgb(&seen, &up, PZ_FILTER_CUBIC, PZ_BORDER_REPLICATE, &plain);
        size_t green = (size_t)side * (size_t)side;
        lost += difference(plain.data + green, frame.data + green, side, row);
        pz_wav2lip_detail_apply(d, seen.data, seen.data, NULL, &large, i, out.data);
        moments += difference(out.data + green, frame.data + green, side, row);
        pz_wav2lip_detail_apply(d, seen.data, seen.data, pic, &large, i, out.data);
        film_too += difference(out.data + green, frame.data + green, side, row);
    }
    print_message("patch %d px: lost %.3f, with moments %.3f, with the film %.3f\n", side, lost, moments,
                  film_too);
    assert_true(moments < 0.9 * lost);
    assert_true(film_too < 0.05 * lost);
    // A made mouth that is nothing like the film gets nothing of it: no ghosts.
    for (int i = 0; i < 3 * 96 * 96; i++)
        seen.data[i] = i / 3 % 2 ? 1.0f : 0.0f;
    struct pz_affine up = {96.0f / (float)side, 0, 0, 0, 96.0f / (float)side, 0};
    pz_warp_rgb(&seen, &up, PZ_FILTER_CUBIC, PZ_BORDER_REPLICATE, &plain);
    float *made = seen.data, *film_seen = pz_calloc(3 * 96 * 96, sizeof *film_seen);
    struct pz_affine large = pz_wav2lip_to_frame(&box[0], side);
    pz_wav2lip_detail_apply(d, made, film_seen, &s.pic, &large, 1000, out.data);
    for (int i = 0; i < 3 * side * side; i++)
        assert_true(fabsf(out.data[i] - plain.data[i]) < 0.01f);
    pz_free(film_seen);
    pz_wav2lip_detail_destroy(&d);
    pz_wav2lip_texture_free(&again);
    pz_rgb_free(&seen);
    pz_rgb_free(&frame);
    pz_rgb_free(&plain);
    pz_rgb_free(&out);
    close_stage(&s);
}

/* ---- the engine ---- */

static void engine_draws_below_the_eyes(void **state)
{
    struct stage s;
    struct pz_job job = {0};
    struct pz_film film = open_stage(&s);
    char dir[300];
    (void)state;
    snprintf(dir, sizeof dir, "%s/art", folder);
    assert_int_equal(pz_make_dirs(NULL, dir), PZ_OK);
    const struct pz_engine_vtable *v = pz_engine_find("wav2lip");
    assert_non_null(v);
    struct pz_engine_open_params p = {.artifact_dir = dir, .models_dir = "/nowhere", .device = "cpu"};
    assert_int_equal(v->check(&p, &job), PZ_ERR_WEIGHTS);
    assert_int_equal(v->prepare(&film, &p, &job), PZ_ERR_WEIGHTS);
    p.models_dir = folder;
    void *engine = NULL, *session = NULL;
    assert_int_equal(v->check(&p, &job), PZ_OK);
    assert_true(v->open(&p, &job, &engine) < PZ_OK); // not prepared
    assert_int_equal(v->prepare(&film, &p, &job), PZ_OK);
    assert_int_equal(v->open(&p, &job, &engine), PZ_OK);
    const struct pz_face *faces[8];
    double times[8];
    for (int i = 0; i < 8; i++) {
        faces[i] = &s.face[FRAMES - 8 + i];
        times[i] = 0.5 + i / 25.0;
    }
    struct pz_speech_span span = {.speech = s.speech,
                                  .n_speech = N_SPEECH,
                                  .n_frames = 8,
                                  .frame_times = times,
                                  .faces = faces,
                                  .blend_s = 0.2};
    assert_int_equal(v->begin(engine, &span, &job, &session), PZ_OK);
    struct pz_paste *paste;
    struct pz_picture before;
    struct pz_patch patch;
    assert_int_equal(pz_paste_create(&PZ_PASTE_PARAMS_DEFAULT, &paste), PZ_OK);
    assert_int_equal(pz_picture_alloc(&before, W, H), PZ_OK);
    float first = 0;
    for (int i = 0; i < 8; i++) {
        const struct pz_picture *pic;
        assert_int_equal(stage_picture(&s, FRAMES - 8 + i, &pic), PZ_OK);
        pz_picture_copy(&before, pic);
        assert_int_equal(v->draw(session, i, pic, &patch), PZ_OK);
        assert_memory_equal(before.plane[0], pic->plane[0], (size_t)pic->stride[0] * H); // src is only read
        struct pz_paste_patch pp = {.rgb = &patch.rgb, .alpha = patch.alpha, .to_frame = patch.to_frame};
        assert_int_equal(pz_paste_draw(paste, &s.pic, &pp, NULL, 1, i, NULL), PZ_OK);
        const float *b = faces[i]->box;
        int eyes = (int)(b[1] + 0.44f * (b[3] - b[1])), changed = 0;
        for (int y = 0; y < H; y++)
            for (int x = 0; x < W; x++) {
                bool same =
                    before.plane[0][y * before.stride[0] + x] == s.pic.plane[0][y * s.pic.stride[0] + x];
                if (y < eyes || x < (int)b[0] - 8 || x > (int)b[2] + 8 || y > (int)b[3] + 12)
                    assert_true(same);
                changed += !same;
            }
        assert_true(changed > 3000);
        float at = patch.rgb.data[(size_t)patch.rgb.width * (size_t)(patch.rgb.height * 3 / 4)];
        first = i ? first : at;
    }
    assert_int_equal(v->draw(session, 8, &s.pic, &patch), PZ_ERR_USAGE);
    v->end(&session);

    // Drawn again it is the same; held mouths it cannot do and says so; with blend_s 0 the frame's own mouth
    // is not used.
    const struct pz_picture *pic;
    assert_int_equal(v->begin(engine, &span, &job, &session), PZ_OK);
    assert_int_equal(stage_picture(&s, FRAMES - 8, &pic), PZ_OK);
    assert_int_equal(v->draw(session, 0, pic, &patch), PZ_OK);
    assert_true(patch.rgb.data[(size_t)patch.rgb.width * (size_t)(patch.rgb.height * 3 / 4)] == first);
    v->end(&session);
    span.held = faces;
    assert_int_equal(v->begin(engine, &span, &job, &session), PZ_ERR_UNSUPPORTED);
    assert_null(session);
    span.held = NULL;
    span.blend_s = 0;
    float sum[2] = {0};
    for (int k = 0; k < 2; k++) {
        assert_int_equal(v->begin(engine, &span, &job, &session), PZ_OK);
        assert_int_equal(stage_picture(&s, FRAMES - 8, &pic), PZ_OK);
        if (k) // another mouth in the frame: rows below 60 % of the box painted over
            for (int y = (int)(faces[0]->box[1] + 0.6f * (faces[0]->box[3] - faces[0]->box[1])); y < H; y++)
                memset(s.pic.plane[0] + y * s.pic.stride[0], 200, W);
        assert_int_equal(v->draw(session, 0, pic, &patch), PZ_OK);
        for (size_t i = 0; i < (size_t)patch.rgb.width * (size_t)patch.rgb.height * 3; i++)
            sum[k] += patch.rgb.data[i];
        v->end(&session);
    }
    assert_true(sum[0] == sum[1]);
    pz_picture_free(&before);
    pz_paste_destroy(&paste);
    v->close(&engine);
    close_stage(&s);
}

static void a_stamp_tells_sizes_apart(void **state)
{
    // What was prepared for another size of network is another template; weights of the same size share one.
    struct pz_job job = {0};
    char dir[300], file[400], *text[3] = {0};
    const struct pz_engine_vtable *v = pz_engine_find("wav2lip");
    struct pz_engine_open_params p = {.models_dir = "/nowhere"};
    (void)state;
    assert_non_null(v->stamp);
    assert_int_equal(v->stamp(&p, &job, &text[0]), PZ_ERR_WEIGHTS);
    p.models_dir = folder;
    assert_int_equal(v->stamp(&p, &job, &text[0]), PZ_OK);
    snprintf(dir, sizeof dir, "%s/larger", folder);
    snprintf(file, sizeof file, "%s/wav2lip.pth", dir);
    assert_int_equal(pz_make_dirs(NULL, dir), PZ_OK);
    p.models_dir = dir;
    write_weights(file, "", WHOLE);
    assert_int_equal(v->stamp(&p, &job, &text[1]), PZ_OK);
    write_weights(file, "", LARGER);
    assert_int_equal(v->stamp(&p, &job, &text[2]), PZ_OK);
    assert_string_equal(text[0], text[1]);
    assert_string_not_equal(text[0], text[2]);
    for (int i = 0; i < 3; i++)
        pz_free(text[i]);
    // Stamps of files: a change of any of them shows.
    char *a = pz_engine_stamp_files((const char *[]){weights, file}, 2);
    write_weights(file, "", WHOLE);
    char *b = pz_engine_stamp_files((const char *[]){weights, file}, 2);
    char *c = pz_engine_stamp_files((const char *[]){weights, NULL}, 2);
    assert_string_not_equal(a, b);
    assert_string_not_equal(b, c);
    pz_free(a);
    pz_free(b);
    pz_free(c);
}

/* ---- S3FD ---- */

/* A sixteenth of the width, weights by the rule, but for the heads: every cell of the fifth level (64 px
 * apart, faces of 256 px) sees a face right where it is, no other sees any. */
static void write_s3fd(const char *path, bool sees)
{
    struct pz_graph *g = pz_graph_create(NULL);
    struct pz_params *p = pz_params_create(g, &(struct pz_params_options){0}, NULL);
    struct pz_s3fd_outputs out;
    pz_s3fd_build(p, 16, pz_graph_input(g, "x", (struct pz_shape){.rank = 4, .dim = {1, 64, 64, 3}}), &out);
    for (int i = 0; i < PZ_S3FD_LEVELS; i++) {
        pz_graph_output(g, NULL, out.cls[i]);
        pz_graph_output(g, NULL, out.box[i]);
    }
    assert_int_equal(pz_params_finish(p), PZ_OK);
    int n = pz_params_count(p);
    struct pz_stored_tensor *t = pz_calloc((size_t)n, sizeof *t);
    assert_non_null(t);
    for (int i = 0; i < n; i++) {
        struct pz_param_info q = pz_params_at(p, i);
        size_t count = 1;
        t[i] = (struct pz_stored_tensor){.name = pz_strdup(q.name), .dtype = PZ_DTYPE_F32, .rank = q.rank};
        for (int k = 0; k < q.rank; k++)
            count *= (size_t)(t[i].shape[k] = q.shape[k]);
        float *x = pz_calloc(count, sizeof *x);
        if (!strstr(q.name, "_mbox_"))
            pz_params_rule(p, i, 0, count, x);
        if (strstr(q.name, "_mbox_conf.bias"))
            x[count - 1] = sees && strstr(q.name, "conv6_2") ? 5.0f : -5.0f;
        t[i].data = x;
    }
    assert_int_equal(pz_safetensors_write(NULL, path, t, n, NULL, 0), PZ_OK);
    for (int i = 0; i < n; i++) {
        pz_free((void *)(uintptr_t)t[i].name);
        pz_free((void *)(uintptr_t)t[i].data);
    }
    pz_free(t);
    pz_params_destroy(&p);
    pz_graph_destroy(&g);
}

static void smoothing_is_the_published_one(void **state)
{
    // Values of spec/wav2lip.md §5; shorter lists by Python's rules for slices.
    static const struct {
        int n, in[7], out[7];
    } cases[] = {{7, {10, 13, 17, 20, 26, 31, 40}, {17, 21, 26, 28, 30, 31, 31}},
                 {3, {10, 20, 31}, {25, 25, 28}},
                 {1, {7}, {7}}};
    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        int b[7][4];
        for (int i = 0; i < cases[c].n; i++)
            for (int k = 0; k < 4; k++)
                b[i][k] = cases[c].in[i];
        pz_wav2lip_smooth_published(b, cases[c].n);
        for (int i = 0; i < cases[c].n; i++)
            for (int k = 0; k < 4; k++)
                assert_int_equal(b[i][k], cases[c].out[i]);
    }
    pz_wav2lip_smooth_published(NULL, 0);
}

static void s3fd_gives_the_boxes(void **state)
{
    struct stage s;
    char dir[300], file[320], boxes[400];
    struct pz_log *log = pz_log_create(listen, NULL, PZ_LOG_ERROR);
    struct pz_job job = {.log = log};
    struct pz_film film = open_stage(&s);
    const struct pz_engine_vtable *v = pz_engine_find("wav2lip");
    void *engine = NULL, *session = NULL;
    (void)state;
    film.asked_frames = s.frames + FRAMES - 8;
    film.n_asked_frames = 8;
    snprintf(dir, sizeof dir, "%s/s3fd", folder);
    snprintf(file, sizeof file, "%s/s3fd-619a316812.pth", dir);
    snprintf(boxes, sizeof boxes, "%s/boxes.safetensors", dir);
    assert_int_equal(pz_make_dirs(NULL, dir), PZ_OK);
    struct pz_engine_open_params p = {
        .artifact_dir = dir, .models_dir = folder, .device = "cpu", .face_detector = "s3fd"};
    assert_true(v->takes_s3fd);
    assert_int_equal(v->check(&p, &job), PZ_ERR_WEIGHTS);
    assert_non_null(strstr(said, "models download s3fd"));
    assert_int_equal(pz_file_write(NULL, file, "hello", 5), PZ_OK);
    assert_true(v->check(&p, &job) < PZ_OK);
    write_s3fd(file, true);
    assert_int_equal(v->check(&p, &job), PZ_OK);

    // One picture: the box is a prior of the fifth level, of those left the one that covers the face most.
    struct pz_wav2lip_s3fd *d;
    const struct pz_picture *pic;
    int box[4];
    bool found;
    assert_int_equal(pz_wav2lip_s3fd_open(file, &p, W, H, &job, &d), PZ_OK);
    assert_int_equal(stage_picture(&s, FRAMES - 8, &pic), PZ_OK);
    assert_int_equal(pz_wav2lip_s3fd_box(d, pic, &s.face[FRAMES - 8], box, &found), PZ_OK);
    assert_true(found);
    print_message("s3fd: %d %d %d %d\n", box[0], box[1], box[2], box[3]);
    bool left = box[0] > 0, right = box[2] < W; // priors may reach over the border and are cut there
    assert_true(left || right);
    int middle = left ? box[0] + 128 : box[2] - 128;
    assert_int_equal(middle % 64, 32);
    if (left && right)
        assert_int_equal(box[2] - box[0], 256);
    pz_wav2lip_s3fd_close(&d);
    assert_int_equal(pz_wav2lip_s3fd_open(file, &p, 4000, 100, &job, &d), PZ_ERR_UNSUPPORTED);
    // A film of twice the side and more than 640 px is looked at at half its size: the box is twice as large.
    struct pz_picture large;
    struct pz_face twice = s.face[FRAMES - 8];
    int big[4];
    assert_int_equal(pz_picture_alloc(&large, 2 * W, 2 * H), PZ_OK);
    for (int k = 0; k < 4; k++)
        twice.box[k] *= 2;
    assert_int_equal(pz_wav2lip_s3fd_open(file, &p, 2 * W, 2 * H, &job, &d), PZ_OK);
    assert_int_equal(pz_wav2lip_s3fd_box(d, &large, &twice, big, &found), PZ_OK);
    assert_true(found);
    for (int k = 0; k < 3; k++)
        assert_int_equal(big[k], 2 * box[k]);
    pz_wav2lip_s3fd_close(&d);
    pz_picture_free(&large);

    // The engine: kept by prepare for the asked frames, used when drawing.
    const struct pz_face *faces[2] = {&s.face[FRAMES - 8], &s.face[0]};
    const double times[2] = {0.5, 0.9};
    struct pz_speech_span span = {.speech = s.speech,
                                  .n_speech = N_SPEECH,
                                  .n_frames = 2,
                                  .frame_times = times,
                                  .faces = faces,
                                  .blend_s = 0.2};
    for (int k = 0; k < 2; k++) { // then without any face seen: the tracker's
        struct pz_wav2lip_places *places;
        struct pz_wav2lip_box kept, none;
        struct pz_patch patch;
        write_s3fd(file, k == 0);
        assert_int_equal(v->prepare(&film, &p, &job), PZ_OK);
        assert_int_equal(pz_wav2lip_places_load(boxes, log, &places), PZ_OK);
        assert_true(pz_wav2lip_places_at(places, FRAMES - 8, &kept));
        assert_false(pz_wav2lip_places_at(places, 0, &none));
        assert_false(pz_wav2lip_places_at(NULL, 0, &none));
        if (k)
            assert_true(fabsf(kept.y1 - faces[0]->box[3] - PZ_WAV2LIP_PAD_BOTTOM) < 12);
        else
            assert_true(kept.x0 == (float)box[0] && kept.x1 == (float)box[2]);
        assert_int_equal(v->open(&p, &job, &engine), PZ_OK);
        assert_int_equal(v->begin(engine, &span, &job, &session), PZ_OK);
        assert_int_equal(stage_picture(&s, FRAMES - 8, &pic), PZ_OK);
        assert_int_equal(v->draw(session, 0, pic, &patch), PZ_OK);
        float x0, y0;
        pz_affine_apply(&patch.to_frame, 0, 0, &x0, &y0);
        assert_true(fabsf(x0 - kept.x0) < 1e-3f && fabsf(y0 - kept.y0) < 1e-3f);
        v->end(&session);
        v->close(&engine);
        pz_wav2lip_places_free(&places);
    }
    assert_int_equal(pz_file_write(NULL, boxes, "hello", 5), PZ_OK);
    assert_true(v->open(&p, &job, &engine) < PZ_OK);
    pz_log_destroy(&log);
    close_stage(&s);
}

static void batches_change_nothing(void **state)
{
    // Fed in batches, a window that slides, too many, none: the same pictures come out.
    enum { N = 11 };
    struct stage s;
    struct pz_job job = {0};
    struct pz_film film = open_stage(&s);
    char dir[300];
    (void)state;
    snprintf(dir, sizeof dir, "%s/batch", folder);
    assert_int_equal(pz_make_dirs(NULL, dir), PZ_OK);
    const struct pz_engine_vtable *v = pz_engine_find("wav2lip");
    struct pz_engine_open_params p = {.artifact_dir = dir, .models_dir = folder, .device = "cpu"};
    void *engine = NULL, *session = NULL;
    assert_int_equal(v->prepare(&film, &p, &job), PZ_OK);
    assert_int_equal(v->open(&p, &job, &engine), PZ_OK);
    int most = pz_engine_ahead(v, engine, W, H);
    assert_true(most > 1 && most < N); // so that the last batch is a part of one
    assert_int_equal(pz_engine_ahead(v, engine, 16000, 16000), 1);
    const struct pz_face *faces[N];
    double times[N];
    for (int i = 0; i < N; i++) {
        faces[i] = &s.face[i];
        times[i] = 0.5 + i / 25.0;
    }
    struct pz_speech_span span = {.speech = s.speech,
                                  .n_speech = N_SPEECH,
                                  .n_frames = N,
                                  .frame_times = times,
                                  .faces = faces,
                                  .blend_s = 0.2};
    float *want = NULL;
    size_t n = 0;
    for (int way = 0; way < 4; way++) {
        int fed = 0;
        const struct pz_picture *pic;
        struct pz_patch patch;
        assert_int_equal(v->begin(engine, &span, &job, &session), PZ_OK);
        for (int i = 0; i < N; i++) {
            int until = way == 0 ? 0 : way == 1 ? (i / most + 1) * most : way == 2 ? i + most : i + most + 3;
            for (; fed < until && fed < N && (way != 1 || i % most == 0); fed++) {
                assert_int_equal(stage_picture(&s, fed, &pic), PZ_OK);
                assert_int_equal(v->feed(session, fed, pic), PZ_OK);
            }
            assert_int_equal(stage_picture(&s, i, &pic), PZ_OK);
            assert_int_equal(v->draw(session, i, pic, &patch), PZ_OK);
            n = 3 * (size_t)patch.rgb.width * (size_t)patch.rgb.height;
            if (!want)
                want = pz_calloc(N * n, sizeof *want);
            assert_non_null(want);
            float *w = want + (size_t)i * n, far = 0;
            for (size_t k = 0; k < n && way; k++)
                far = fmaxf(far, fabsf(w[k] - patch.rgb.data[k]));
            assert_true(far < 1e-5f);
            memcpy(w, patch.rgb.data, n * sizeof *w);
        }
        assert_int_equal(v->feed(session, N, pic), PZ_ERR_USAGE);
        v->end(&session);
    }
    float change = 0; // and frames are not all alike
    for (size_t k = 0; k < n; k++)
        change = fmaxf(change, fabsf(want[k] - want[6 * n + k]));
    assert_true(change > 0.01f);
    pz_free(want);
    v->close(&engine);
    close_stage(&s);
}

/* `test_wav2lip --save FILE` writes the small network for the end-to-end test, `--save-larger FILE` one of
 * another size. */
int main(int argc, char **argv)
{
    if (argc == 3 && strncmp(argv[1], "--save", 6) == 0) {
        write_weights(argv[2], "module.", strcmp(argv[1], "--save") ? LARGER : WHOLE);
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_are_found_and_checked),
        cmocka_unit_test(windows_follow_the_films_times),
        cmocka_unit_test(boxes_are_calm),
        cmocka_unit_test(mask_spares_the_eyes),
        cmocka_unit_test(texture_comes_back),
        cmocka_unit_test(engine_draws_below_the_eyes),
        cmocka_unit_test(a_stamp_tells_sizes_apart),
        cmocka_unit_test(smoothing_is_the_published_one),
        cmocka_unit_test(s3fd_gives_the_boxes),
        cmocka_unit_test(batches_change_nothing),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
