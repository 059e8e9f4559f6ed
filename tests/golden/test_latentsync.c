/* LatentSync's UNet with motion modules: spec/latentsync.md §12. The line of three frames catches norms whose
 * statistics do not run over the frames. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "golden.h"
#include "nn/ddim.h"
#include "nn/sd_block.h"
#include "nn/sd_unet.h"

#define TENSORS 1204
#define ELEMENTS 4699300

static struct pz_sd_unet_config tiny_unet(void)
{
    struct pz_sd_unet_config c = pz_latentsync_unet;
    const int channels[4] = {32, 64, 64, 64};
    for (int i = 0; i < 4; i++)
        c.channels[i] = channels[i];
    c.groups = 8;
    c.heads = c.motion_heads = 2;
    c.cross = 24;
    return c;
}

static const char *const taps[] = {"conv_in",
                                   "down_blocks.0.resnets.0",
                                   "down_blocks.0.attentions.0",
                                   "down_blocks.0.motion_modules.0",
                                   "down_blocks.0",
                                   "mid_block",
                                   "up_blocks.0",
                                   "up_blocks.3",
                                   NULL};

static void begin(struct golden *t, int backend, int batch, int frames, bool tapped)
{
    struct pz_sd_unet_config c = tiny_unet();
    golden_begin(t, tapped ? taps : NULL);
    int x = pz_graph_input(t->g, "x", (struct pz_shape){4, {batch * frames, 16, 16, 13}});
    int audio = pz_graph_input(t->g, "audio", (struct pz_shape){3, {batch * frames, 10, 24}});
    int time = pz_graph_input(t->g, "time", (struct pz_shape){2, {1, 32}});
    pz_graph_output(t->g, "out", pz_sd_unet(t->p, &c, x, time, audio, frames));
    golden_plan(t, backend, TENSORS, ELEMENTS);
}

static void set_time(struct golden *t, double time)
{
    pz_sd_time_embedding(time, 32, pz_session_input(t->s, "time", 0).data);
}

static const struct golden_line at_951 = {-.07378783,
                                          .5126577,
                                          -2.067345,
                                          1.881850,
                                          {{0, .0367662},
                                           {1, -.2011961},
                                           {2, -.02824959},
                                           {1170, -.3144956},
                                           {2730, -.08742672},
                                           {4096, -.01255403},
                                           {5851, -.5664918},
                                           {8191, -.5094693},
                                           {-1, 0}}};

static void unet(void **state)
{
    for (int backend = 0; backend < GOLDEN_BACKENDS; backend++) {
        struct golden t;
        begin(&t, backend, 2, 4, false);
        golden_input(&t, "x", 4000, -1, 1, 4);
        golden_input(&t, "audio", 4001, -1, 1, 0);
        set_time(&t, 951);
        golden_run(&t);
        golden_expect(&t, "out", 4, 8192, &at_951);
        set_time(&t, 1); /* the same session, another step */
        golden_run(&t);
        golden_expect(&t, "out", 4, 8192,
                      &(struct golden_line){-.08626305,
                                            .5107614,
                                            NAN,
                                            NAN,
                                            {{0, -.06557208}, {1, -.3471699}, {8191, -.4835459}, {-1, 0}}});
        golden_end(&t);
    }
}

static void unet_block_by_block(void **state)
{
    struct golden t;
    begin(&t, 0, 2, 4, true);
    golden_input(&t, "x", 4000, -1, 1, 4);
    golden_input(&t, "audio", 4001, -1, 1, 0);
    set_time(&t, 951);
    golden_run(&t);
    golden_expect(&t, "conv_in", 4, 65536,
                  &(struct golden_line){-.008993813, NAN, NAN, NAN, {{0, -.07441416}, {-1, 0}}});
    golden_expect(&t, "down_blocks.0.resnets.0", 4, 65536,
                  &(struct golden_line){-.01942349, .8117070, NAN, NAN, {{0, -.2810343}, {-1, 0}}});
    golden_expect(&t, "down_blocks.0.attentions.0", 4, 65536,
                  &(struct golden_line){.005296223, 1.504707, NAN, NAN, {{0, -.2586152}, {-1, 0}}});
    golden_expect(
        &t, "down_blocks.0.motion_modules.0", 4, 65536,
        &(struct golden_line){.0007409235, 2.326881, NAN, NAN, {{0, 1.439311}, {65535, .1805624}, {-1, 0}}});
    golden_expect(&t, "down_blocks.0", 4, 16384,
                  &(struct golden_line){.3482091, 3.564088, NAN, NAN, {{0, 3.926901}, {-1, 0}}});
    golden_expect(&t, "mid_block", 4, 0,
                  &(struct golden_line){.02216494, 5.507937, NAN, NAN, {{0, -2.155671}, {-1, 0}}});
    golden_expect(&t, "up_blocks.0", 4, 0,
                  &(struct golden_line){.1678687, NAN, NAN, NAN, {{0, 4.851745}, {-1, 0}}});
    golden_expect(&t, "up_blocks.3", 4, 0,
                  &(struct golden_line){-.1788039, 4.211238, NAN, NAN, {{0, -.6637741}, {-1, 0}}});
    golden_expect(&t, "out", 4, 8192, &at_951);
    golden_end(&t);
}

/* The first three frames of both films, with rows 0 to 5 of the sound. */
static void three_frames(void **state)
{
    enum { FILM = 13 * 4 * 256, SOUND = 240 };
    float *x = malloc(2 * FILM * sizeof *x), *audio = malloc(8 * SOUND * sizeof *audio);
    pz_rule_input(4000, -1, 1, 2 * FILM, x);
    pz_rule_input(4001, -1, 1, 8 * SOUND, audio);
    for (int backend = 0; backend < GOLDEN_BACKENDS; backend++) {
        struct golden t;
        begin(&t, backend, 2, 3, false);
        float *to = pz_session_input(t.s, "x", 0).data;
        for (int b = 0; b < 2; b++)
            for (int f = 0; f < 3; f++)
                for (int i = 0; i < 256; i++)
                    for (int c = 0; c < 13; c++)
                        to[((b * 3 + f) * 256 + i) * 13 + c] = x[((b * 13 + c) * 4 + f) * 256 + i];
        memcpy(pz_session_input(t.s, "audio", 0).data, audio, 6 * SOUND * sizeof *audio);
        set_time(&t, 951);
        golden_run(&t);
        golden_expect(&t, "out", 3, 6144,
                      &(struct golden_line){-.05510014,
                                            .5144263,
                                            NAN,
                                            NAN,
                                            {{0, .06106019}, {1, -.2852985}, {6143, -.4871182}, {-1, 0}}});
        golden_end(&t);
    }
    free(x);
    free(audio);
}

static void scheduler(void **state)
{
    struct pz_ddim d;
    float z[512], e[512], out[512];
    static const struct {
        int t;
        double alpha;
    } known[] = {{0, .99914998},   {1, .99829602},    {51, .95052409},    {101, .89298022},
                 {501, .27499887}, {901, .014004891}, {951, .0081549995}, {999, .0046600962}};
    assert_int_equal(pz_ddim_init(&d, NULL, 20), PZ_OK);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        assert_true(fabs(d.alpha[known[i].t] / known[i].alpha - 1) < 1e-5);
    assert_int_equal(pz_ddim_time(&d, 0), 951);
    assert_int_equal(pz_ddim_time(&d, 19), 1);
    pz_rule_input(4002, -1, 1, 512, z);
    pz_rule_input(4003, -1, 1, 512, e);
    struct golden t = {.backend = "ddim"};
    pz_ddim_step(&d, 0, z, e, 512, out);
    golden_check(
        &t, "951 to 901", out, 512,
        &(struct golden_line){.02534798, .7898780, NAN, NAN, {{0, .9577788}, {511, .4225147}, {-1, 0}}});
    pz_ddim_step(&d, 19, z, e, 512, out);
    golden_check(&t, "1 to the end", out, 512,
                 &(struct golden_line){.01590833, NAN, NAN, NAN, {{0, .7954223}, {511, .2083610}, {-1, 0}}});
    for (int n = 25; n <= 50; n += 25) {
        assert_int_equal(pz_ddim_init(&d, NULL, n), PZ_OK);
        assert_int_equal(pz_ddim_time(&d, 0), n == 25 ? 961 : 981);
        assert_int_equal(pz_ddim_time(&d, n - 2), n == 25 ? 41 : 21);
    }
    assert_int_equal(pz_ddim_init(&d, NULL, 0), PZ_ERR_USAGE);
    assert_int_equal(pz_ddim_init(&d, NULL, 1001), PZ_ERR_USAGE);
}

/* Three guided steps: 4 frames, guidance 1.5, silence first in the batch. */
static void guided_loop(void **state)
{
    enum { F = 4, HW = 256 };
    static const struct golden_line after[3] = {
        {.04037767, .7613591, NAN, NAN, {{0, .4576839}, {4095, -1.083635}, {-1, 0}}},
        {.06592543, 1.014836, NAN, NAN, {{0, .6608224}, {4095, -1.435592}, {-1, 0}}},
        {.08996860, 1.321113, NAN, NAN, {{0, .8947308}, {4095, -1.806437}, {-1, 0}}}};
    float latent[4 * HW], mask[F * HW], masked[4 * F * HW], ref[4 * F * HW];
    pz_rule_input(4004, -1, 1, 4 * HW, latent);
    pz_rule_input(4005, -1, 1, F * HW, mask);
    pz_rule_input(4006, -1, 1, 4 * F * HW, masked);
    pz_rule_input(4007, -1, 1, 4 * F * HW, ref);
    for (int backend = 1; backend < GOLDEN_BACKENDS; backend++) { /* ref had its turn above */
        struct golden t;
        struct pz_ddim d;
        float z[F * HW * 4], turned[F * HW * 4];
        assert_int_equal(pz_ddim_init(&d, NULL, 20), PZ_OK);
        begin(&t, backend, 2, F, false);
        float *x = pz_session_input(t.s, "x", 0).data, *audio = pz_session_input(t.s, "audio", 0).data;
        memset(audio, 0, F * 240 * sizeof *audio);
        pz_rule_input(4008, -1, 1, F * 240, audio + F * 240);
        for (int f = 0; f < F; f++)
            for (int i = 0; i < HW; i++)
                for (int c = 0; c < 4; c++)
                    z[(f * HW + i) * 4 + c] = latent[c * HW + i];
        for (int step = 0; step < 3; step++) {
            for (int b = 0; b < 2; b++)
                for (int f = 0; f < F; f++)
                    for (int i = 0; i < HW; i++) {
                        float *to = x + (((size_t)b * F + (size_t)f) * HW + (size_t)i) * 13;
                        to[4] = mask[f * HW + i] > 0;
                        for (int c = 0; c < 4; c++) {
                            to[c] = z[(f * HW + i) * 4 + c];
                            to[5 + c] = masked[(c * F + f) * HW + i];
                            to[9 + c] = ref[(c * F + f) * HW + i];
                        }
                    }
            set_time(&t, pz_ddim_time(&d, step));
            golden_run(&t);
            float *out = pz_session_output(t.s, "out", 0).data;
            pz_ddim_guide(out, out + F * HW * 4, 1.5f, F * HW * 4, out);
            pz_ddim_step(&d, step, z, out, F * HW * 4, z);
            for (int i = 0; i < F * HW * 4; i++)
                turned[(i % 4 * F + i / 4 / HW) * HW + i / 4 % HW] = z[i];
            golden_check(&t, "guided step", turned, F * HW * 4, &after[step]);
        }
        golden_end(&t);
    }
}

/* The published size: spec/latentsync.md §14. */
static void full_size_counts(void **state)
{
    struct pz_graph *g = pz_graph_create(NULL);
    struct pz_params *p = pz_params_create(g, NULL, NULL);
    int x = pz_graph_input(g, "x", (struct pz_shape){4, {32, 32, 32, 13}});
    int e = pz_graph_input(g, "time", (struct pz_shape){2, {1, 320}});
    int a = pz_graph_input(g, "audio", (struct pz_shape){3, {32, 50, 384}});
    int tables = 0;
    pz_graph_output(g, "out", pz_sd_unet(p, &pz_latentsync_unet, x, e, a, 16));
    assert_int_equal(pz_params_finish(p), PZ_OK);
    for (int i = 0; i < pz_params_count(p); i++)
        tables += pz_params_at(p, i).table;
    assert_int_equal(pz_params_count(p), 1246);
    assert_int_equal(tables, 40);
    assert_int_equal(pz_params_elements(p), 1267099844);
    pz_params_destroy(&p);
    pz_graph_destroy(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unet),         cmocka_unit_test(unet_block_by_block),
        cmocka_unit_test(three_frames), cmocka_unit_test(scheduler),
        cmocka_unit_test(guided_loop),  cmocka_unit_test(full_size_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
