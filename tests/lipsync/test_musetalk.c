/**
 * MuseTalk's engine: windows, boxes, masks and weights against the fact sheet's rules and figures, the filter
 * over time, the store, and the whole engine on a painted face with a small network of the hash rule's
 * weights.
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
#include "image/paste.h"
#include "image/warp.h"
#include "lipsync/engine.h"
#include "lipsync/latents.h"
#include "lipsync/musetalk_draw.h"
#include "lipsync/musetalk_face.h"
#include "lipsync/musetalk_look.h"
#include "lipsync/musetalk_model.h"
#include "lipsync/pixels.h"
#include "lipsync/speech_features.h"
#include "nn/sd_block.h"
#include "painted.h"
#include "small_musetalk.h"

enum { W = 400, H = W, N_SPEECH = 24000, N = PZ_MUSETALK_PARSED };

static char folder[256], models[300], said[1024];
static struct pz_pool *pool;

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/pz-musetalk-%d", (int)getpid());
    snprintf(models, sizeof models, "%s/models", folder);
    pool = pz_pool_create(2);
    return small_musetalk_write(models, true, false, SMALL_WHOLE) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    pz_pool_destroy(&pool);
    pz_remove_tree(folder);
    return 0;
}

/* ---- what is heard ---- */

static void windows_are_the_published_ones(void **state)
{
    (void)state;
    // Published: steps [floor(i m), +10) of a list that begins 2 ceil(m) steps early, m = 50 / int(fps).
    static const int rates[] = {24, 25, 30, 50, 60};
    for (size_t r = 0; r < sizeof rates / sizeof rates[0]; r++)
        for (int i = 0; i < 500; i++) {
            int fps = rates[r], m = (50 + fps - 1) / fps;
            assert_int_equal(pz_musetalk_window_first((double)i / fps, fps), i * 50 / fps - 2 * m);
        }
    assert_int_equal(pz_musetalk_window_first(1.0, 25), 46); // frame 25: steps 2·25 − 4 …
    double t[100];
    for (int i = 0; i < 100; i++)
        t[i] = i * 1001 / 30000.0;
    assert_int_equal(pz_musetalk_fps(t, 100), 29); // int(29.97)
    for (int i = 0; i < 100; i++)
        t[i] = 3 + i / 25.0;
    assert_int_equal(pz_musetalk_fps(t, 100), 25);
    assert_int_equal(pz_musetalk_fps(t, 1), 25);
    // Positions, figures of the fact sheet.
    static float pe[50 * 384];
    double sum = 0;
    pz_sd_positions(50, 384, pe);
    for (int i = 0; i < 50 * 384; i++)
        sum += pe[i];
    assert_true(fabs(sum / (50 * 384) - 0.3948209) < 1e-6);
    assert_true(fabsf(pe[384] - 0.8415f) < 1e-4f && fabsf(pe[385] - 0.5403f) < 1e-4f);
    assert_true(fabsf(pe[386] - 0.8153f) < 1e-4f && fabsf(pe[387] - 0.5791f) < 1e-4f);
}

static void all_layers_are_heard(void **state)
{
    struct pz_job job = {.pool = pool};
    struct pz_plan_params pp = pz_plan_default;
    struct pz_speech_features *f[2];
    struct painted film;
    struct pz_film unused;
    float *out[2], window[10 * 3 * 64];
    int64_t steps;
    char *path;
    (void)state;
    assert_true(painted_open(&film, PAINTED_FRAMES, 16, 25, &unused));
    assert_int_equal(pz_speech_features_find(models, NULL, &path), PZ_OK);
    for (int k = 0; k < 2; k++) {
        assert_int_equal(pz_speech_features_open(path, &pp, k == 0, &job, &f[k]), PZ_OK);
        assert_int_equal(pz_speech_features_run(f[k], film.speech, N_SPEECH, &job, &out[k], &steps), PZ_OK);
    }
    assert_int_equal(steps, N_SPEECH / 320);
    assert_int_equal(pz_speech_features_layers(f[0]), 3);
    assert_int_equal(pz_speech_features_width(f[0]), 64);
    for (int64_t s = 0; s < steps; s++) {
        const float *a = out[0] + s * 3 * 64, *b = out[1] + s * 3 * 64;
        assert_memory_equal(a, b, 2 * 64 * sizeof *a); // only the last layer is normed, or not
        float d = 0;
        for (int k = 128; k < 192; k++)
            d += fabsf(a[k] - b[k]);
        assert_true(d > 0.1f);
    }
    // A window: step-major, layers inside; zeros before the sound and behind it.
    pz_speech_features_window(f[0], out[0], steps, -4, 10, window);
    for (int i = 0; i < 4 * 192; i++)
        assert_true(window[i] == 0);
    assert_memory_equal(window + 4 * 192, out[0], 6 * 192 * sizeof *window);
    pz_speech_features_window(f[0], out[0], steps, steps - 3, 10, window);
    assert_memory_equal(window, out[0] + (steps - 3) * 192, 3 * 192 * sizeof *window);
    for (int i = 3 * 192; i < 10 * 192; i++)
        assert_true(window[i] == 0);
    for (int k = 0; k < 2; k++) {
        pz_speech_features_close(&f[k]);
        pz_free(out[k]);
    }
    pz_free(path);
    painted_close(&film);
}

/* ---- boxes ---- */

static void boxes_follow_the_rule(void **state)
{
    struct pz_musetalk_frame v10 = {1080, 405, 0}, v15 = {1080, 405, 10};
    int b[4];
    (void)state;
    assert_true(pz_musetalk_box_rule(300.7f, 100.9f, 220.2f, 400.5f, &v10, b)); // whole px, cut off
    assert_memory_equal(b, ((int[4]){100, 200, 220, 400}), sizeof b);
    assert_true(pz_musetalk_box_rule(300, 100, 220, 390, &v15, b));
    assert_memory_equal(b, ((int[4]){100, 210, 220, 400}), sizeof b);
    assert_true(pz_musetalk_box_rule(300, 100, 220, 400, &v15, b)); // ends with the frame
    assert_memory_equal(b, ((int[4]){100, 200, 220, 405}), sizeof b);
    assert_true(pz_musetalk_box_rule(50, 100, 220, 200, &v10, b)); // begins with it
    assert_int_equal(b[1], 0);
    assert_false(pz_musetalk_box_rule(300, -3, 220, 400, &v10, b));
    assert_false(pz_musetalk_box_rule(300, 220, 220, 400, &v10, b));
    assert_false(pz_musetalk_box_rule(300, 100, 220, 300, &v10, b));
    struct pz_musetalk_square q = pz_musetalk_square((float[4]){100, 200, 220, 400});
    assert_true(q.x == 160 - 150 && q.y == 300 - 150 && q.side == 300);
}

static void boxes_are_calm_or_their_own(void **state)
{
    static struct pz_face f[30];
    const struct pz_face *p[30];
    double t[30];
    float own[30][4], calm[30][4];
    struct pz_musetalk_frame size = {W, H, 10};
    (void)state;
    for (int i = 0; i < 30; i++) {
        struct puppet_mouth m = {0.1f, 0, 0};
        float jitter = i % 2 ? 3.0f : -3.0f;
        puppet_face(&m, i, 0, 0, 0, 100, 200 + jitter, 120, 0, &f[i]);
        p[i] = &f[i];
        t[i] = i / 25.0;
    }
    pz_musetalk_boxes(p, t, 30, &puppet_topology, &size, false, own);
    pz_musetalk_boxes(p, t, 30, &puppet_topology, &size, true, calm);
    double wild[2] = {0, 0};
    for (int i = 5; i < 24; i++) {
        float alone[4];
        assert_true(pz_musetalk_box(&f[i], &puppet_topology, &size, alone));
        assert_memory_equal(own[i], alone, sizeof alone);
        for (int k = 0; k < 4; k++)
            assert_true(own[i][k] == floorf(own[i][k]));
        wild[0] += fabsf(own[i + 1][0] - own[i][0]);
        wild[1] += fabsf(calm[i + 1][0] - calm[i][0]);
    }
    assert_true(wild[0] > 19 * 4 && wild[1] < 0.25 * wild[0]);
    // The nose bridge is the middle of the box without its margin.
    float eyes = f[5].xyz[puppet_topology.eye_inner[0]][1], tip = f[5].xyz[puppet_topology.nose_tip][1];
    float half = eyes + (tip - eyes) * 2 / 3;
    if (own[5][1] > 0)
        assert_true(fabsf((own[5][1] + own[5][3] - 10) / 2 - half) < 2);
}

/* ---- masks ---- */

static int count(const uint8_t *mask)
{
    int n = 0;
    for (int i = 0; i < N * N; i++)
        n += mask[i] != 0;
    return n;
}

static void masks_are_the_published_ones(void **state)
{
    uint8_t kernel[33][33], *classes = pz_calloc(N, N), *mask = pz_calloc(N, N), *bits = pz_calloc(N, N / 8);
    int total = 0;
    (void)state;
    pz_musetalk_jaw_kernel(kernel);
    for (int r = 0; r < 33; r++)
        for (int c = 0; c < 33; c++) {
            int reach = r < 10 ? -1 : r <= 20 ? r - 10 : 10;
            assert_int_equal(kernel[r][c], abs(c - 16) <= reach);
            total += kernel[r][c];
        }
    assert_int_equal(total, 373);

    for (int c = 0; c < 19; c++) { // raw and neck: by class
        memset(classes, c, (size_t)N * N);
        bool raw = c == 1 || c == 11 || c == 12 || c == 13;
        assert_int_equal(pz_musetalk_mask(classes, PZ_MUSETALK_RAW, 80, mask), PZ_OK);
        assert_int_equal(count(mask), raw ? N * N : 0);
        assert_int_equal(pz_musetalk_mask(classes, PZ_MUSETALK_NECK, 80, mask), PZ_OK);
        assert_int_equal(count(mask), raw || c == 14 ? N * N : 0);
    }
    // Jaw: one skin pixel in the middle grows to the kernel, what lies under it decides: upwards by 16.
    memset(classes, 0, (size_t)N * N);
    classes[300 * N + 256] = 1;
    assert_int_equal(pz_musetalk_mask(classes, PZ_MUSETALK_JAW, 90, mask), PZ_OK);
    assert_int_equal(count(mask), 373);
    assert_true(mask[284 * N + 256] == 255 && mask[284 * N + 246] == 255 && mask[283 * N + 256] == 0);
    assert_true(mask[306 * N + 256] == 255 && mask[306 * N + 257] == 0 && mask[307 * N + 256] == 0);
    // Beside the middle a block shrinks twice: by 34 px left and right; a row is lost above and below a time.
    memset(classes, 0, (size_t)N * N);
    for (int y = 200; y < 220; y++)
        memset(classes + y * N + 20, 1, 100);
    assert_int_equal(pz_musetalk_mask(classes, PZ_MUSETALK_JAW, 90, mask), PZ_OK);
    assert_int_equal(count(mask), (100 - 2 * 34) * (20 - 4));
    assert_true(mask[202 * N + 54] == 255 && mask[201 * N + 54] == 0 && mask[202 * N + 53] == 0);
    // Columns 0 … 256 − L shrink, the next one grows. Lips are always in, the nose never.
    memset(classes, 1, (size_t)N * N);
    memset(classes + 100 * N, 10, N);
    memset(classes + 101 * N, 12, N);
    classes[400 * N + 166] = classes[400 * N + 167] = 0;
    assert_int_equal(pz_musetalk_mask(classes, PZ_MUSETALK_JAW, 90, mask), PZ_OK);
    assert_true(mask[400 * N + 166] == 0 && mask[400 * N + 167] == 255);
    assert_true(mask[100 * N + 250] == 0 && mask[101 * N + 10] == 255 && mask[101 * N + 250] == 255);

    pz_musetalk_pack(mask, bits);
    uint8_t *again = pz_calloc(N, N);
    const uint8_t *two[2] = {bits, bits};
    pz_musetalk_unpack(two, (float[2]){0.75f, 0.25f}, 2, again);
    assert_memory_equal(mask, again, (size_t)N * N);
    pz_free(again);
    pz_free(classes);
    pz_free(mask);
    pz_free(bits);
}

static void weights_are_the_published_ones(void **state)
{
    static const int widths[] = {200, 300, 420, 600}, taps[] = {11, 15, 21, 31};
    enum { BW = 160, BH = 200 };
    static uint8_t out[BW * BH], region[300 * 300];
    uint8_t *mask = pz_calloc(N, N);
    (void)state;
    for (int i = 0; i < 4; i++)
        assert_int_equal(pz_musetalk_blur_taps(widths[i]), taps[i]);
    memset(mask, 255, (size_t)N * N);
    const float box[4] = {100, 50, 100 + BW, 50 + BH};
    assert_int_equal(pz_musetalk_weights(mask, box, out), PZ_OK);
    // The square has 300 px; its middle is the box's row 100; the blur has 15 taps. Written down again here:
    struct pz_musetalk_square q = pz_musetalk_square(box);
    assert_int_equal(q.side, 300);
    double kernel[15], sum = 0, sigma = 0.3 * ((15 - 1) * 0.5 - 1) + 0.8;
    for (int i = 0; i < 15; i++)
        sum += kernel[i] = exp(-(i - 7) * (i - 7) / (2 * sigma * sigma));
    for (int y = 0; y < 300; y++)
        for (int x = 0; x < 300; x++)
            region[y * 300 + x] =
                x + q.x >= 100 && x + q.x < 100 + BW && y + q.y < 50 + BH && y + q.y >= 50 && y >= 150;
    for (int y = 0; y < BH; y += 3)
        for (int x = 0; x < BW; x += 3) {
            double v = 0;
            for (int j = -7; j <= 7; j++)
                for (int i = -7; i <= 7; i++) {
                    int u = x + 100 - q.x + i, w = y + 50 - q.y + j; // the box ends well inside the square
                    v += kernel[i + 7] * kernel[j + 7] / (sum * sum) * 255 * region[w * 300 + u];
                }
            assert_true(fabs(out[y * BW + x] - v) <= 1);
        }
    assert_int_equal(out[80 * BW + 80], 0);
    assert_int_equal(out[150 * BW + 80], 255);
    memset(mask, 0, (size_t)N * N);
    assert_int_equal(pz_musetalk_weights(mask, box, out), PZ_OK);
    for (int i = 0; i < BW * BH; i++)
        assert_int_equal(out[i], 0);
    pz_free(mask);
}

/* Regions inside, over every edge and outside, against the whole picture; its sides are odd. */
static void regions_are_cut(void **state)
{
    enum { SW = 23, SH = 17 };
    static const int at[][4] = {{3, 5, 9, 8},   {4, 4, 6, 6},   {0, 0, SW, SH},  {-4, -3, 12, 30},
                                {15, 9, 20, 2}, {22, 16, 1, 1}, {-30, 40, 7, 5}, {1, 1, 21, 1}};
    const struct pz_affine same = {1, 0, 0, 0, 1, 0};
    static uint8_t out[SW * 40 * 3];
    struct pz_picture pic;
    struct pz_rgb whole;
    (void)state;
    assert_int_equal(pz_picture_alloc(&pic, SW, SH), PZ_OK);
    assert_int_equal(pz_rgb_alloc(&whole, SW, SH), PZ_OK);
    for (int k = 0; k < 3; k++)
        for (int y = 0; y < (k ? (SH + 1) / 2 : SH); y++)
            for (int x = 0; x < (k ? (SW + 1) / 2 : SW); x++)
                pic.plane[k][y * pic.stride[k] + x] = (uint8_t)(60 + (37 * x + 91 * y + 53 * k) % 130);
    pz_warp_picture_to_rgb(&pic, &same, PZ_FILTER_BILINEAR, PZ_BORDER_REPLICATE, &whole);
    for (size_t i = 0; i < 2 * sizeof at / sizeof at[0]; i++) {
        const int *p = at[i / 2], w = p[2], h = p[3];
        bool repeat = i % 2 == 1;
        assert_int_equal(pz_pixels_region(&pic, p[0], p[1], w, h, repeat, out), PZ_OK);
        for (int j = 0; j < 3 * w * h; j++) {
            int x = p[0] + j / 3 % w, y = p[1] + j / 3 / w,
                u = x < 0    ? 0
                    : x < SW ? x
                             : SW - 1,
                v = y < 0    ? 0
                    : y < SH ? y
                             : SH - 1;
            float true_value = fminf(fmaxf(whole.data[(j % 3 * SH + v) * SW + u], 0), 1) * 255;
            if (repeat || (u == x && v == y))
                assert_true(fabsf((float)out[j] - true_value) < 0.51f);
            else
                assert_int_equal(out[j], 0);
        }
    }
    pz_rgb_free(&whole);
    pz_picture_free(&pic);
}

static void pixels_are_resampled(void **state)
{
    enum { S = 40 };
    static uint8_t a[S * S * 3], b[S * S * 3], c[2 * S * 2 * S * 3];
    (void)state;
    for (int i = 0; i < S * S * 3; i++)
        a[i] = (uint8_t)((i * 7919 >> 3) & 255);
    // At its own size nothing changes; a constant stays; half a pixel aside is the published kernel.
    assert_int_equal(pz_pixels_lanczos4(a, S, S, (float[4]){0, 0, S, S}, S, b), PZ_OK);
    assert_memory_equal(a, b, sizeof a);
    assert_int_equal(pz_pixels_resize(a, S, S, 3, PZ_PIXELS_BICUBIC, b, S, S), PZ_OK);
    assert_memory_equal(a, b, sizeof a);
    memset(b, 77, sizeof b);
    assert_int_equal(pz_pixels_lanczos4(b, S, S, (float[4]){3.3f, 4, 31, 35.9f}, 2 * S, c), PZ_OK);
    for (size_t i = 0; i < sizeof c; i++)
        assert_int_equal(c[i], 77);
    memset(b, 0, sizeof b);
    for (int y = 0; y < S; y++)
        b[(y * S + 20) * 3] = 200; // a line, enlarged twice: taps of ±¼, ±¾, … pixels
    assert_int_equal(pz_pixels_lanczos4(b, S, S, (float[4]){0, 0, S, S}, 2 * S, c), PZ_OK);
    double near = 0, all = 0;
    for (int k = -4; k < 4; k++) {
        double d = k + 0.25, w = sin(M_PI * d) * sin(M_PI * d / 4) * 4 / (M_PI * M_PI * d * d);
        all += w;
        if (k == 0)
            near = w;
    }
    assert_true(abs(c[(40 * 2 * S + 40) * 3] - (int)lrint(200 * near / all)) <= 1);
    assert_true(abs(c[(40 * 2 * S + 41) * 3] - (int)lrint(200 * near / all)) <= 1);
    assert_int_equal(pz_pixels_lanczos4(a, S, S, (float[4]){5, 5, 5, 9}, S, b), PZ_ERR_USAGE);
    // Shrinking by the triangle averages: 4 pixels and their neighbours, 1 3 3 1 a direction at a half.
    uint8_t line[8] = {0, 0, 80, 80, 0, 0, 0, 0}, half[4];
    assert_int_equal(pz_pixels_resize(line, 8, 1, 1, PZ_PIXELS_TRIANGLE, half, 4, 1), PZ_OK);
    assert_memory_equal(half, ((uint8_t[4]){11, 60, 10, 0}), 4);
}

/* ---- filter and store ---- */

static void what_flickers_is_averaged(void **state)
{
    static float z[3][PZ_MUSETALK_FLOATS], out[PZ_MUSETALK_FLOATS];
    (void)state;
    for (int i = 0; i < PZ_MUSETALK_FLOATS; i++) {
        float still = sinf((float)i), noise = 0.1f * (i % 3 ? 1 : -1);
        z[0][i] = still - noise;
        z[1][i] = still + noise;
        z[2][i] = i < PZ_MUSETALK_FLOATS / 2 ? still - noise : still + 3; // the lower half moves
    }
    pz_musetalk_calm(z[0], z[1], z[2], out);
    double flicker = 0, moved = 0;
    for (int i = 0; i < PZ_MUSETALK_FLOATS; i++)
        *(i < PZ_MUSETALK_FLOATS / 2 ? &flicker : &moved) += fabsf(out[i] - sinf((float)i));
    assert_true(flicker < 0.4 * 0.1 * PZ_MUSETALK_FLOATS / 2); // 0.1 before
    assert_true(moved < 0.12 * PZ_MUSETALK_FLOATS / 2);        // nothing of the far neighbour
    pz_musetalk_calm(NULL, z[1], NULL, out);
    assert_memory_equal(out, z[1], sizeof out);
}

static void the_store_keeps(void **state)
{
    struct pz_latent_layout l = {.kinds = 2, .floats = 3, .mask_bytes = 5};
    struct pz_latent_store *s;
    char path[320];
    float v[6];
    uint8_t m[5];
    (void)state;
    snprintf(path, sizeof path, "%s/store.safetensors", folder);
    assert_int_equal(pz_latent_store_create(&l, 3, NULL, &s), PZ_OK);
    for (int i = 0; i < 3; i++) {
        for (int k = 0; k < 6; k++)
            v[k] = (float)(10 * i + k);
        memset(m, i + 1, sizeof m);
        struct pz_latent_item item = {
            .frame = 7 + i * i, .box = {1, 2, 30, 40}, .pose = {(float)(10 * i), 0}, .latent = v, .mask = m};
        assert_int_equal(pz_latent_store_add(s, &item), PZ_OK);
        assert_int_equal(pz_latent_store_add(s, &item), PZ_ERR_USAGE);
    }
    const char *const meta[][2] = {{"version", "1.5"}};
    assert_int_equal(pz_latent_store_save(s, path, meta, 1, NULL), PZ_OK);
    pz_latent_store_free(&s);
    struct pz_latent_layout other = {.kinds = 1, .floats = 3, .mask_bytes = 5};
    assert_int_equal(pz_latent_store_load(path, &other, NULL, &s), PZ_ERR_FORMAT);
    assert_int_equal(pz_latent_store_load(path, &l, NULL, &s), PZ_OK);
    assert_int_equal(pz_latent_store_count(s), 3);
    assert_int_equal(pz_latent_store_find(s, 8), 1);
    assert_int_equal(pz_latent_store_find(s, 9), -1);
    assert_int_equal(pz_latent_store_nearest(s, 16, 1), 2);
    struct pz_latent_item item = pz_latent_store_at(s, 2);
    assert_true(item.frame == 11 && item.latent[5] == 25 && item.mask[4] == 3 && item.box[3] == 40);
    assert_string_equal(pz_latent_store_text(s, "version"), "1.5");
    pz_latent_store_free(&s);
}

/* ---- weights ---- */

static void memory_is_counted(void **state)
{
    (void)state;
    double whole = pz_musetalk_need(20, PZ_DTYPE_F16);
    assert_true(whole < 4e9 && whole > 2 * 900e6);
    assert_true(pz_musetalk_need(8, PZ_DTYPE_F16) < whole && pz_musetalk_need(20, PZ_DTYPE_F32) > whole);
    assert_int_equal(pz_musetalk_batch(false, PZ_DTYPE_F32), 1);
    assert_int_equal(pz_musetalk_decoder_batch(20), 10);
    assert_int_equal(pz_musetalk_decoder_batch(1), 1);
}

static void weights_are_found_and_checked(void **state)
{
    struct pz_log *log = painted_log(said);
    struct pz_job job = {.log = log};
    struct pz_musetalk_files f;
    char bad[320], path[400];
    (void)state;
    assert_int_equal(pz_musetalk_find("/nowhere", NULL, log, &f), PZ_ERR_WEIGHTS);
    assert_non_null(strstr(said, "models download musetalk"));
    assert_null(strchr(said, '\n'));
    assert_int_equal(pz_musetalk_find(models, "1.0", log, &f), PZ_ERR_WEIGHTS);
    assert_int_equal(pz_musetalk_find(models, NULL, log, &f), PZ_OK);
    assert_true(f.v15);
    assert_int_equal(pz_musetalk_verify_all(&f, &job), PZ_OK);
    pz_musetalk_files_free(&f);
    // 1.0 is told by its folder; one file gone is named; wrong tensors are.
    snprintf(bad, sizeof bad, "%s/bad", folder);
    assert_true(small_musetalk_write(bad, false, false, SMALL_UNET_SHAPE));
    assert_int_equal(pz_musetalk_find(bad, NULL, log, &f), PZ_OK);
    assert_false(f.v15);
    assert_int_equal(pz_musetalk_verify_all(&f, &job), PZ_ERR_WEIGHTS);
    assert_non_null(strstr(said, "mid_block.resnets.1.norm2.bias"));
    pz_musetalk_files_free(&f);
    assert_true(small_musetalk_write(bad, false, false, SMALL_VAE_LACKS));
    assert_int_equal(pz_musetalk_find(bad, NULL, log, &f), PZ_OK);
    assert_int_equal(pz_musetalk_verify_all(&f, &job), PZ_ERR_WEIGHTS);
    assert_non_null(strstr(said, "decoder.conv_in.bias"));
    // A configuration that is none, and one of another network.
    static const char *const configs[][2] = {{"[1, 2]", "is not a configuration"},
                                             {"{\"norm_num_groups\": 7}", "groups"},
                                             {"{\"in_channels\": 4}", "not MuseTalk's"},
                                             {"{\"block_out_channels\": [8, 1e9, 8, 8]}", "whole number"}};
    for (size_t i = 0; i < sizeof configs / sizeof configs[0]; i++) {
        assert_int_equal(pz_file_write(NULL, f.unet_config, configs[i][0], strlen(configs[i][0])), PZ_OK);
        assert_true(pz_musetalk_verify(f.unet, f.unet_config, &job) < PZ_OK);
        assert_non_null(strstr(said, configs[i][1]));
    }
    pz_musetalk_files_free(&f);
    snprintf(path, sizeof path, "%s/face-parse-bisent/79999_iter.pth", bad);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(pz_musetalk_find(bad, NULL, log, &f), PZ_ERR_WEIGHTS);
    assert_non_null(strstr(said, "79999_iter.pth"));
    pz_log_destroy(&log);
}

/* ---- the engine on a painted film ---- */

static struct pz_film open_stage(struct painted *s)
{
    struct pz_film film;
    assert_true(painted_open(s, PAINTED_FRAMES, W, 25, &film));
    for (int i = 0; i < PAINTED_FRAMES; i++) {
        struct puppet_mouth m = {0.1f, 0, 0};
        puppet_face(&m, i, (float)(2 * (i % 16)), 0, 0, 100, 200 + 6 * sinf(0.2f * (float)i), 140, 0,
                    &s->face[i]);
        s->face[i].frame = i;
    }
    film.n_fit_frames = 2;
    film.asked_frames = s->frames + 4;
    film.n_asked_frames = 4;
    return film;
}

/* Sum of a patch's picture where it shows. */
static double shown(const struct pz_patch *p)
{
    size_t n = (size_t)p->rgb.width * (size_t)p->rgb.height;
    double sum = 0;
    for (size_t i = 0; i < 3 * n; i++)
        sum += (double)(p->rgb.data[i] * p->alpha[i % n]);
    return sum;
}

/* Paste a patch and see that only the lower half of its box changes. */
static void pastes_below(struct painted *s, const struct pz_patch *patch, struct pz_paste *paste, int i)
{
    struct pz_picture before;
    assert_int_equal(pz_picture_alloc(&before, W, H), PZ_OK);
    pz_picture_copy(&before, &s->pic);
    struct pz_paste_patch pp = {.rgb = &patch->rgb, .alpha = patch->alpha, .to_frame = patch->to_frame};
    assert_int_equal(pz_paste_draw(paste, &s->pic, &pp, NULL, 1, i, NULL), PZ_OK);
    float top = patch->to_frame.f, high = patch->to_frame.e * (float)patch->rgb.height,
          left = patch->to_frame.c, wide = patch->to_frame.a * (float)patch->rgb.width;
    int changed = 0;
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++) {
            bool same =
                before.plane[0][y * before.stride[0] + x] == s->pic.plane[0][y * s->pic.stride[0] + x];
            if ((float)y < top + 0.42f * high || (float)y > top + high + 2 || (float)x < left - 2 ||
                (float)x > left + wide + 2)
                assert_true(same);
            changed += !same;
        }
    assert_true(changed > 1000);
    pz_picture_free(&before);
}

/* Of a frame, by networks that are asked for these numbers. */
static void look(const struct painted *s, enum pz_dtype type, float *latent)
{
    const float box[4] = {120, 130, 280, 310};
    struct pz_job job = {.pool = pool};
    struct pz_musetalk_files f;
    struct pz_musetalk_eye *eye;
    struct pz_plan_params pp = pz_plan_default;
    pp.dtype = type;
    assert_int_equal(pz_musetalk_find(models, NULL, NULL, &f), PZ_OK);
    assert_int_equal(pz_musetalk_eye_open(&f, &pp, &job, &eye), PZ_OK);
    assert_int_equal(pz_musetalk_eye_look(eye, &s->pic, box, NULL, latent, NULL), PZ_OK);
    pz_musetalk_eye_close(&eye);
    pz_musetalk_files_free(&f);
}

static void on_the_cpu_only_the_unet_is_rounded(void **state)
{
    static float exact[PZ_MUSETALK_FLOATS], asked[PZ_MUSETALK_FLOATS];
    struct pz_plan_params pp = pz_plan_default;
    struct painted s;
    open_stage(&s);
    (void)state;
    pp.dtype = PZ_DTYPE_BF16;
    assert_int_equal(pz_musetalk_around(&pp).dtype, PZ_DTYPE_F32);
    pp.backend = PZ_BACKEND_CUDA;
    assert_int_equal(pz_musetalk_around(&pp).dtype, PZ_DTYPE_BF16);
    pp.dtype = PZ_DTYPE_F16;
    assert_int_equal(pz_musetalk_around(&pp).dtype, PZ_DTYPE_F16);
    painted_frame(&s, 3);
    look(&s, PZ_DTYPE_F32, exact);
    look(&s, PZ_DTYPE_BF16, asked);
    assert_memory_equal(asked, exact, sizeof exact);
    assert_true(exact[0] != 0);
    painted_close(&s);
}

static void engine_draws_in_the_lower_half(void **state)
{
    struct painted s;
    struct pz_job job = {.pool = pool};
    struct pz_film film = open_stage(&s);
    const struct pz_engine_vtable *v = pz_engine_find("musetalk");
    char dir[300];
    (void)state;
    snprintf(dir, sizeof dir, "%s/art", folder);
    assert_int_equal(pz_make_dirs(NULL, dir), PZ_OK);
    assert_non_null(v);
    struct pz_engine_open_params p = {
        .artifact_dir = dir, .models_dir = "/nowhere", .device = "cpu", .precision = "f32"};
    assert_int_equal(v->check(&p, &job), PZ_ERR_WEIGHTS);
    assert_int_equal(v->prepare(&film, &p, &job), PZ_ERR_WEIGHTS);
    p.models_dir = models;
    p.precision = "f16";
    assert_int_equal(v->check(&p, &job), PZ_ERR_DEVICE);
    p.precision = "f32";
    void *engine = NULL, *session = NULL;
    assert_int_equal(v->check(&p, &job), PZ_OK);
    assert_true(v->open(&p, &job, &engine) < PZ_OK); // not prepared
    assert_int_equal(v->prepare(&film, &p, &job), PZ_OK);
    assert_int_equal(v->open(&p, &job, &engine), PZ_OK);

    // Frames 4 … 7 were foreseen, 8 was not: it is looked at when it is drawn.
    const struct pz_face *faces[5];
    double times[5];
    struct pz_speech_span span = painted_span(&s, 4, 5, 0.5, faces, times);
    struct pz_paste *paste;
    struct pz_patch patch;
    double seen[5], unlike = 0;
    assert_int_equal(pz_paste_create(&PZ_PASTE_PARAMS_DEFAULT, &paste), PZ_OK);
    assert_int_equal(v->begin(engine, &span, &job, &session), PZ_OK);
    for (int i = 0; i < 5; i++) {
        painted_frame(&s, 4 + i);
        assert_int_equal(v->draw(session, i, &s.pic, &patch), PZ_OK);
        seen[i] = shown(&patch);
        if (i)
            unlike = fmax(unlike, fabs(seen[i] - seen[i - 1]));
        pastes_below(&s, &patch, paste, i);
    }
    assert_true(unlike > 0); // it hears
    assert_int_equal(v->draw(session, 5, &s.pic, &patch), PZ_ERR_USAGE);
    v->end(&session);
    // Again from the start it is the same; another sound gives another picture.
    assert_int_equal(v->begin(engine, &span, &job, &session), PZ_OK);
    assert_int_equal(v->draw(session, 0, &s.pic, &patch), PZ_OK);
    assert_true(shown(&patch) == seen[0]);
    v->end(&session);
    times[0] = 0.9;
    assert_int_equal(v->begin(engine, &span, &job, &session), PZ_OK);
    assert_int_equal(v->draw(session, 0, &s.pic, &patch), PZ_OK);
    assert_true(shown(&patch) != seen[0]);
    v->end(&session);
    // Held mouths it cannot do; for self-reenactment it was not prepared.
    span.held = faces;
    assert_int_equal(v->begin(engine, &span, &job, &session), PZ_ERR_UNSUPPORTED);
    span.held = NULL;
    span.blend_s = 0;
    assert_int_equal(v->begin(engine, &span, &job, &session), PZ_ERR_UNUSABLE);
    v->close(&engine);
    pz_paste_destroy(&paste);
    painted_close(&s);
}

static void self_reenactment_does_not_see_the_mouth(void **state)
{
    struct painted s;
    struct pz_job job = {.pool = pool};
    struct pz_film film = open_stage(&s);
    const struct pz_engine_vtable *v = pz_engine_find("musetalk");
    void *engine = NULL, *session = NULL;
    char dir[300];
    (void)state;
    snprintf(dir, sizeof dir, "%s/self", folder);
    assert_int_equal(pz_make_dirs(NULL, dir), PZ_OK);
    struct pz_engine_open_params p = {.artifact_dir = dir, .models_dir = models, .device = "cpu"};
    film.n_asked_frames = 0;
    assert_int_equal(v->prepare(&film, &p, &job), PZ_OK);
    assert_int_equal(v->open(&p, &job, &engine), PZ_OK);
    const struct pz_face *face;
    double time, sum[2];
    struct pz_speech_span span = painted_span(&s, 10, 1, 0.6, &face, &time);
    span.blend_s = 0;
    for (int k = 0; k < 2; k++) {
        struct pz_patch patch;
        assert_int_equal(v->begin(engine, &span, &job, &session), PZ_OK);
        float b[4];
        struct pz_musetalk_frame size = {W, H, 10};
        assert_true(pz_musetalk_box(face, &puppet_topology, &size, b));
        s.splash = k ? (int)ceilf((b[1] + b[3]) / 2) + 6 : H; // eight taps reach 4 px of the crop up
        painted_frame(&s, 10);
        assert_int_equal(v->draw(session, 0, &s.pic, &patch), PZ_OK);
        sum[k] = shown(&patch);
        v->end(&session);
    }
    assert_true(sum[0] == sum[1]);
    v->close(&engine);
    painted_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(windows_are_the_published_ones),
        cmocka_unit_test(all_layers_are_heard),
        cmocka_unit_test(boxes_follow_the_rule),
        cmocka_unit_test(boxes_are_calm_or_their_own),
        cmocka_unit_test(masks_are_the_published_ones),
        cmocka_unit_test(weights_are_the_published_ones),
        cmocka_unit_test(regions_are_cut),
        cmocka_unit_test(pixels_are_resampled),
        cmocka_unit_test(what_flickers_is_averaged),
        cmocka_unit_test(the_store_keeps),
        cmocka_unit_test(memory_is_counted),
        cmocka_unit_test(weights_are_found_and_checked),
        cmocka_unit_test(on_the_cpu_only_the_unet_is_rounded),
        cmocka_unit_test(engine_draws_in_the_lower_half),
        cmocka_unit_test(self_reenactment_does_not_see_the_mouth),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
