/**
 * The latentsync engine on a painted face with a small network of the hash rule's weights: weights are found
 * and checked, memory is asked for before it is taken, windows follow the film's times at any rate and
 * length, results depend on the seed alone, and a patch touches nothing outside the mask.
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
#include "image/affine.h"
#include "image/paste.h"
#include "image/png.h"
#include "lipsync/engine.h"
#include "lipsync/latentsync_artist.h"
#include "nn/param.h"
#include "painted.h"
#include "small_latentsync.h"

enum { W = 320, H = W };

static char folder[128], models[160], said[1024];
static struct pz_pool *pool;

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/pz-latentsync-%d", (int)getpid());
    snprintf(models, sizeof models, "%s/models", folder);
    pool = pz_pool_create(2);
    return small_latentsync_write(models, false, NULL, NULL) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    pz_pool_destroy(&pool);
    pz_remove_tree(folder);
    return 0;
}

/* Less is done at once where memory is short; what cannot be made to fit is refused by name. */
static void memory_is_kept_to(struct pz_latentsync_files *f, struct pz_log *log)
{
    struct pz_job job = {.pool = pool, .log = log};
    struct pz_plan_params pp = pz_plan_default, device = {.backend = PZ_BACKEND_CUDA, .dtype = PZ_DTYPE_F16};
    const struct pz_latentsync_way *way = &pz_latentsync_exact;
    struct pz_latentsync_fit fit, full, least;
    assert_int_equal(pz_latentsync_fits(f, way, &pp, 0, &job, &fit), PZ_OK);
    assert_true(fit.branches == 2 && fit.pictures == 1 && !fit.away);
    assert_int_equal(pz_latentsync_fits(f, way, &pp, fit.need - 1, &job, &fit), PZ_OK);
    assert_true(fit.branches == 1 && !fit.away);
    assert_int_equal(pz_latentsync_fits(f, way, &pp, fit.need - 1, &job, &fit), PZ_ERR_DEVICE);
    assert_non_null(strstr(said, "GB of main memory"));
    f->size = 64 * 512;
    assert_int_equal(pz_latentsync_fits(f, way, &pp, 0, &job, &fit), PZ_ERR_DEVICE);
    assert_non_null(strstr(said, "free some"));
    // On a device (none is asked here) the weights go to main memory before anything is refused.
    f->size = 512;
    assert_int_equal(pz_latentsync_fits(f, way, &device, 1e12, &job, &full), PZ_OK);
    assert_true(full.branches == 2 && full.pictures == PZ_LATENTSYNC_PICTURES && !full.away);
    double at = full.need;
    int seen = 0;
    for (least = full; pz_latentsync_fits(f, way, &device, at - 1, &job, &fit) >= PZ_OK; seen++) {
        assert_true(fit.need < at);
        assert_true(fit.away >= least.away);
        least = fit;
        at = fit.need;
    }
    assert_true(seen > 3 && least.away && least.branches == 1 && least.pictures == 1);
    assert_non_null(strstr(said, "GB of device memory"));
    f->size = 64;
}

static void weights_are_found_and_checked(void **state)
{
    struct pz_log *log = painted_log(said);
    struct pz_job job = {.log = log};
    struct pz_latentsync_files f;
    struct pz_sd_unet_config c;
    struct pz_engine_open_params ep = {.models_dir = models, .device = "cpu", .precision = "f32"};
    const struct pz_engine_vtable *v = pz_engine_find("latentsync");
    char bad[200];
    (void)state;
    assert_non_null(v);
    assert_int_equal(pz_latentsync_find("/nowhere", 0, log, &f), PZ_ERR_WEIGHTS);
    assert_non_null(strstr(said, "models download latentsync"));
    assert_null(strchr(said, '\n'));
    assert_int_equal(pz_latentsync_find(models, 512, log, &f), PZ_ERR_WEIGHTS);
    assert_non_null(strstr(said, "latentsync-1.6"));
    assert_int_equal(pz_latentsync_find(models, 0, log, &f), PZ_OK);
    assert_int_equal(f.size, 64);
    assert_int_equal(pz_latentsync_verify(f.unet, &job, &c), PZ_OK);
    assert_int_equal(c.channels[1], 64);
    assert_int_equal(c.cross, 64);
    assert_int_equal(pz_latentsync_verify_all(&f, &job), PZ_OK);
    // More memory than there is: refused by name, before anything is loaded.
    f.size = 1024;
    struct pz_plan_params device = {.backend = PZ_BACKEND_CUDA, .dtype = PZ_DTYPE_F16};
    for (int i = 0; i < 4; i++) {
        struct pz_latentsync_fit fit = {i ? 1 : 2, i < 2 ? 4 : 1, i > 2, 0};
        double need = pz_latentsync_need(&pz_latentsync_unet, 1267099844, 512, &fit, &device, false);
        print_message("1.6 on a device, %d branches, %d pictures%s: %.2f GB\n", fit.branches, fit.pictures,
                      fit.away ? ", weights away" : "", 1e-9 * need);
        assert_true(need < 10e9 - 2e9 * i);
    }
    f.size = 64;
    memory_is_kept_to(&f, log);
    pz_latentsync_files_free(&f);
    assert_int_equal(v->check(&ep, &job), PZ_OK);
    ep.quality = "best";
    assert_int_equal(v->check(&ep, &job), PZ_ERR_USAGE);
    ep.quality = NULL;
    snprintf(bad, sizeof bad, "%s/bad", folder);
    ep.models_dir = bad;
    assert_true(small_latentsync_write(bad, false,
                                       "up_blocks.1.motion_modules.2.temporal_transformer.norm.bias", NULL));
    assert_int_equal(v->check(&ep, &job), PZ_ERR_WEIGHTS);
    assert_non_null(strstr(said, "up_blocks.1.motion_modules.2.temporal_transformer.norm.bias"));
    assert_true(small_latentsync_write(bad, false, NULL, "mid_block.attentions.0.proj_in.bias"));
    assert_int_equal(v->check(&ep, &job), PZ_ERR_WEIGHTS);
    assert_non_null(strstr(said, "mid_block.attentions.0.proj_in.bias"));
    pz_log_destroy(&log);
}

/* ---- a painted film ---- */

static struct pz_film open_stage(struct painted *s, double fps)
{
    struct pz_film film;
    assert_true(painted_open(s, PAINTED_FRAMES, W, fps, &film));
    for (int i = 0; i < PAINTED_FRAMES; i++) {
        struct puppet_mouth m = {0.1f, 0, 0};
        puppet_face(&m, i, 0, 0, 3 * sinf(0.3f * (float)i), 90, 160 + 5 * sinf(0.2f * (float)i), 130, 0,
                    &s->face[i]);
    }
    film.n_asked_frames = 30;
    return film;
}

/* Pastes all `n` frames from `first` on, and checks each; `sum` gets something of every patch. */
static void play(void *engine, struct painted *s, uint64_t seed, int first, int n, bool fed, double *sum)
{
    struct pz_job job = {.pool = pool, .seed = seed};
    const struct pz_engine_vtable *v = pz_engine_find("latentsync");
    const struct pz_face *faces[PAINTED_FRAMES];
    double times[PAINTED_FRAMES];
    void *session = NULL;
    struct pz_paste_params pp = PZ_PASTE_PARAMS_DEFAULT;
    struct pz_paste *paste = NULL;
    struct pz_picture made;
    struct pz_speech_span span = painted_span(s, first, n, first / s->fps, faces, times);
    assert_int_equal(pz_paste_create(&pp, &paste), PZ_OK);
    assert_int_equal(pz_picture_alloc(&made, W, H), PZ_OK);
    assert_int_equal(v->begin(engine, &span, &job, &session), PZ_OK);
    for (int i = 0; i < n && fed; i++) {
        painted_frame(s, first + i);
        assert_int_equal(v->feed(session, i, &s->pic), PZ_OK);
    }
    assert_int_equal(v->feed(session, n, &s->pic), PZ_ERR_USAGE);
    for (int i = 0; i < n; i++) {
        struct pz_patch patch;
        struct pz_affine to_patch;
        int changed = 0, astray = 0;
        painted_frame(s, first + i);
        assert_int_equal(v->draw(session, i, &s->pic, &patch), PZ_OK);
        assert_int_equal(patch.rgb.width, 52);
        assert_int_equal(patch.rgb.height, 70);
        pz_picture_copy(&made, &s->pic);
        struct pz_paste_patch q = {.rgb = &patch.rgb, .alpha = patch.alpha, .to_frame = patch.to_frame};
        assert_int_equal(pz_paste_draw(paste, &made, &q, NULL, 1, i, NULL), PZ_OK);
        assert_int_equal(pz_affine_invert(&patch.to_frame, &to_patch), PZ_OK);
        for (int y = 0; y < H; y++)
            for (int x = 0; x < W; x++)
                if (made.plane[0][y * made.stride[0] + x] != s->pic.plane[0][y * s->pic.stride[0] + x]) {
                    float u, w;
                    pz_affine_apply(&to_patch, (float)x + 0.5f, (float)y + 0.5f, &u, &w);
                    // Mask rows 95 to 242 of 256, columns 9 to 247: nothing changes outside, up to two px.
                    bool in = u > 9 / 256.0 * 52 - 2 && u < 248 / 256.0 * 52 + 2 && w > 95 / 256.0 * 70 - 2 &&
                              w < 243 / 256.0 * 70 + 2;
                    changed++;
                    astray += !in;
                }
        assert_int_equal(astray, 0);
        assert_true(changed > 300);
        for (int k = 0; k < 52 * 70; k++) {
            assert_true(patch.rgb.data[k] >= 0 && patch.rgb.data[k] <= 1);
            sum[i] += patch.rgb.data[k] * (1 + k % 7);
        }
    }
    struct pz_patch none;
    assert_int_equal(v->draw(session, n, &s->pic, &none), PZ_ERR_USAGE);
    v->end(&session);
    assert_null(session);
    pz_picture_free(&made);
    pz_paste_destroy(&paste);
}

static void a_film_from_end_to_end(void **state)
{
    const struct pz_engine_vtable *v = pz_engine_find("latentsync");
    struct painted s;
    struct pz_log *log = painted_log(said);
    struct pz_job job = {.pool = pool, .seed = 5, .log = log};
    struct pz_engine_open_params ep = {.artifact_dir = folder,
                                       .models_dir = models,
                                       .device = "cpu",
                                       .precision = "f32",
                                       .quality = "fast",
                                       .steps = 4};
    struct pz_film film = open_stage(&s, 30000.0 / 1001);
    double a[PAINTED_FRAMES] = {0}, b[PAINTED_FRAMES] = {0}, c[PAINTED_FRAMES] = {0}, d[PAINTED_FRAMES] = {0},
           e[PAINTED_FRAMES] = {0};
    void *engine = NULL;
    const char *device, *precision;
    (void)state;
    assert_int_equal(v->open(&ep, &job, &engine), PZ_ERR_INPUT); // not prepared
    if (v->prepare(&film, &ep, &job) < PZ_OK || v->open(&ep, &job, &engine) < PZ_OK)
        fail_msg("%s", said);
    v->runs_on(engine, &device, &precision);
    assert_string_equal(device, "cpu");
    assert_string_equal(precision, "f32");
    play(engine, &s, 5, 0, 20, false, a); // two windows
    play(engine, &s, 5, 0, 20, false, b);
    assert_memory_equal(a, b, sizeof a); // the same seed, the same film
    play(engine, &s, 6, 0, 5, false, c); // shorter than a window
    assert_true(c[0] != a[0]);
    play(engine, &s, 5, 28, 4, false, d); // two of them unforeseen: their own place, another's latents
    memset(c, 0, sizeof c);
    play(engine, &s, 5, 28, 4, true, c); // fed, they have their own
    assert_true(c[2] != d[2] && c[3] != d[3]);
    assert_true(v->ahead(engine) >= 2 * PZ_LATENTSYNC_WINDOW - PZ_LATENTSYNC_OVERLAP);
    memset(c, 0, sizeof c);
    memset(d, 0, sizeof d);
    play(engine, &s, 5, 2, 4, false, d);
    play(engine, &s, 5, 2, 4, true, c); // those that were foreseen are not looked at again
    assert_memory_equal(c, d, sizeof c);
    v->close(&engine);
    assert_null(engine);
    // The published steps, without guidance: other pictures, the same rules.
    ep.quality = "exact";
    ep.steps = 2;
    ep.guidance = 1;
    assert_int_equal(v->open(&ep, &job, &engine), PZ_OK);
    play(engine, &s, 5, 0, 1, false, e);
    assert_true(e[0] != a[0]);
    v->close(&engine);
    // A mask that comes with the weights is taken, another one than the drawn one gives other pictures; one
    // that repaints nothing is refused, and one that is no picture.
    char path[200], *was = NULL, *is = NULL;
    struct pz_rgb mask;
    assert_int_equal(v->stamp(&ep, &job, &was), PZ_OK);
    assert_int_equal(pz_rgb_alloc(&mask, 64, 64), PZ_OK);
    for (int i = 0; i < 3 * 64 * 64; i++)
        mask.data[i] = i % 4096 / 64 < 34 || i % 4096 / 64 > 58 || i % 64 < 8 || i % 64 > 56;
    snprintf(path, sizeof path, "%s/latentsync/mask.png", models);
    assert_int_equal(pz_png_write(NULL, path, &mask), PZ_OK);
    assert_int_equal(v->stamp(&ep, &job, &is), PZ_OK);
    assert_string_not_equal(was, is);
    assert_int_equal(v->prepare(&film, &ep, &job), PZ_OK);
    assert_int_equal(v->open(&ep, &job, &engine), PZ_OK);
    memset(c, 0, sizeof c);
    play(engine, &s, 5, 0, 1, false, c);
    assert_true(c[0] != e[0]);
    v->close(&engine);
    for (int i = 0; i < 3 * 64 * 64; i++)
        mask.data[i] = 1;
    assert_int_equal(pz_png_write(NULL, path, &mask), PZ_OK);
    assert_int_equal(v->check(&ep, &job), PZ_ERR_FORMAT);
    assert_non_null(strstr(said, "mask.png"));
    assert_int_equal(pz_file_write(NULL, path, "resolution", 10), PZ_OK);
    assert_int_equal(v->check(&ep, &job), PZ_ERR_FORMAT);
    unlink(path);
    pz_rgb_free(&mask);
    pz_free(was);
    pz_free(is);
    // Latents of another size are refused.
    snprintf(path, sizeof path, "%s/latentsync/config.yaml", models);
    assert_int_equal(pz_file_write(NULL, path, "resolution: 128\n", 16), PZ_OK);
    assert_int_equal(v->open(&ep, &job, &engine), PZ_ERR_FORMAT);
    assert_int_equal(pz_file_write(NULL, path, "resolution: 100\n", 16), PZ_OK);
    assert_int_equal(v->check(&ep, &job), PZ_ERR_FORMAT);
    painted_close(&s);
    pz_log_destroy(&log);
}

/* ---- windows ahead ---- */

enum { SHOWN = 35 };

struct sitting {
    float latents[SHOWN][2][256], heard[SHOWN][640];
    int asked[SHOWN];
    bool late; /* frames are not known before they are asked for */
};

static void sit(void *user, int i, struct pz_latentsync_frame *out, bool *final)
{
    struct sitting *s = user;
    s->asked[i]++;
    *out = (struct pz_latentsync_frame){s->latents[i][0], s->latents[i][1], s->heard[i]};
    *final = !s->late;
}

struct nets {
    struct pz_latentsync_run *run;
    struct pz_latent_coder *decoder;
    pthread_mutex_t lock[2];
    float mask[64];
};

/* Draws frames 0, `step`, …; `out` gets the sum of each picture. */
static const struct pz_latentsync_way short_way = {.fast = true, .steps = 2, .guidance = 1.5f, .every = 2};

static void show(struct nets *n, struct sitting *s, int batch, bool ahead, int step, double *out)
{
    struct pz_job job = {.pool = pool, .seed = 4};
    struct pz_latentsync_artist *a;
    struct pz_latentsync_artist_params p = {.run = n->run,
                                            .decoder = n->decoder,
                                            .batch = batch,
                                            .way = &short_way,
                                            .mask = n->mask,
                                            .n = SHOWN,
                                            .frame = sit,
                                            .user = s,
                                            .run_lock = &n->lock[0],
                                            .decoder_lock = &n->lock[1],
                                            .ahead = ahead,
                                            .job = &job};
    const float *made;
    assert_int_equal(pz_latentsync_artist_create(&p, &a), PZ_OK);
    for (int i = 0; i < SHOWN; i += step) {
        assert_int_equal(pz_latentsync_artist_draw(a, i, &made), PZ_OK);
        out[i] = 0;
        for (int k = 0; k < 64 * 64 * 3; k++)
            out[i] += made[k] * (1 + k % 5);
    }
    assert_int_equal(pz_latentsync_artist_draw(a, SHOWN, &made), PZ_ERR_USAGE);
    pz_latentsync_artist_destroy(&a);
    assert_null(a);
}

/* A window made ahead, pictures decoded several at once, frames left out: the same pictures. */
static void pictures_do_not_depend_on_who_waits(void **state)
{
    static struct sitting s;
    struct nets n = {.lock = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER}};
    struct pz_job job = {.pool = pool};
    struct pz_plan_params pp = pz_plan_default;
    struct pz_latentsync_files f;
    double plain[SHOWN], other[SHOWN];
    (void)state;
    pz_rule_input(1, -1, 1, sizeof s.latents / sizeof(float), s.latents[0][0]);
    pz_rule_input(2, -1, 1, sizeof s.heard / sizeof(float), s.heard[0]);
    for (int i = 0; i < 64; i++)
        n.mask[i] = i < 32;
    assert_int_equal(pz_latentsync_find(models, 0, NULL, &f), PZ_OK);
    assert_int_equal(pz_latentsync_run_open(&f, &short_way, 10, 64, &pp, 0, &job, &n.run), PZ_OK);
    assert_int_equal(pz_latent_coder_open(f.vae, f.vae_config, true, 64, 3, &pp, &job, &n.decoder), PZ_OK);
    show(&n, &s, 1, false, 1, plain);
    assert_true(plain[0] != plain[1] && plain[20] != plain[34]);
    show(&n, &s, 3, true, 1, other);
    for (int i = 0; i < SHOWN; i++)
        assert_true(fabs(plain[i] - other[i]) < 1e-4 * fabs(plain[i]) + 1e-2);
    show(&n, &s, 3, true, 7, other); // ends while a window is being made, too
    for (int i = 0; i < SHOWN; i += 7)
        assert_true(fabs(plain[i] - other[i]) < 1e-4 * fabs(plain[i]) + 1e-2);
    // What is not known yet is not made ahead: only frames of windows begun are asked for beyond it.
    s.late = true;
    memset(s.asked, 0, sizeof s.asked);
    show(&n, &s, 2, true, SHOWN, other);
    assert_true(fabs(plain[0] - other[0]) < 1e-4 * fabs(plain[0]) + 1e-2);
    assert_int_equal(s.asked[34], 0);
    pz_latent_coder_close(&n.decoder);
    pz_latentsync_run_close(&n.run);
    pz_latentsync_files_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_are_found_and_checked),
        cmocka_unit_test(pictures_do_not_depend_on_who_waits),
        cmocka_unit_test(a_film_from_end_to_end),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
