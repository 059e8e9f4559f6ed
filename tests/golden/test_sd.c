/* Stable Diffusion's UNet as MuseTalk has it, and the VAE: spec/musetalk.md §11. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "golden.h"
#include "nn/sd_block.h"
#include "nn/sd_unet.h"
#include "nn/sd_vae.h"

static struct pz_sd_unet_config tiny_unet(void)
{
    struct pz_sd_unet_config c = pz_musetalk_unet;
    const int channels[4] = {16, 32, 64, 64};
    for (int i = 0; i < 4; i++)
        c.channels[i] = channels[i];
    c.groups = 8;
    c.heads = 2;
    c.cross = 24;
    return c;
}

static const char *const taps[] = {"time_embedding",
                                   "conv_in",
                                   "down_blocks.0.resnets.0",
                                   "down_blocks.0.attentions.0",
                                   "down_blocks.0",
                                   "down_blocks.1",
                                   "down_blocks.2",
                                   "down_blocks.3",
                                   "mid_block",
                                   "up_blocks.0",
                                   "up_blocks.1",
                                   "up_blocks.2",
                                   "up_blocks.3",
                                   NULL};

/* `input`: the time embedding comes at run time instead of being folded. */
static void unet_begin(struct golden *t, int backend, double time, bool input, bool tapped)
{
    struct pz_sd_unet_config c = tiny_unet();
    float e[16];
    golden_begin(t, tapped ? taps : NULL);
    int x = pz_graph_input(t->g, "x", (struct pz_shape){4, {2, 16, 16, 8}});
    int audio = pz_graph_input(t->g, "audio", (struct pz_shape){3, {2, 10, 24}});
    pz_sd_time_embedding(time, 16, e);
    struct pz_shape row = {2, {1, 16}};
    int v = input ? pz_graph_input(t->g, "time", row) : pz_nn_const(t->p, row, e);
    pz_graph_output(t->g, "out", pz_sd_unet(t->p, &c, x, v, audio, 1));
    golden_plan(t, backend, 686, 2153588);
    golden_input(t, "x", 3000, -1, 1, 1);
    golden_input(t, "audio", 3001, -1, 1, 0);
    for (int i = 0; i < 16 && input; i++)
        ((float *)pz_session_input(t->s, "time", 0).data)[i] = e[i];
    golden_run(t);
}

static const struct golden_line at_0 = {-.1913624,
                                        .5150684,
                                        -2.193647,
                                        1.910525,
                                        {{0, .4998343},
                                         {1, .1307527},
                                         {2, .4633444},
                                         {292, -1.750354},
                                         {682, -.6994409},
                                         {1024, -.4206401},
                                         {1462, .3885464},
                                         {2047, -.06480725},
                                         {-1, 0}}};
static const struct golden_line at_951 = {
    -.1851482, .5029118, NAN, NAN, {{0, .7029681}, {1, .2003238}, {2047, .04017337}, {-1, 0}}};

static void unet(void **state)
{
    for (int backend = 0; backend < GOLDEN_BACKENDS; backend++) {
        struct golden t;
        unet_begin(&t, backend, 0, false, false);
        golden_expect(&t, "out", 1, 2048, &at_0);
        golden_end(&t);
        unet_begin(&t, backend, 951, false, false);
        golden_expect(&t, "out", 1, 2048, &at_951);
        golden_end(&t);
        unet_begin(&t, backend, 951, true, false);
        golden_expect(&t, "out", 1, 2048, &at_951);
        golden_end(&t);
    }
}

static void unet_block_by_block(void **state)
{
    for (int backend = 0; backend < GOLDEN_BACKENDS; backend++) {
        struct golden t;
        unet_begin(&t, backend, 0, true, true);
        golden_expect(
            &t, "time_embedding", 0, 64,
            &(struct golden_line){
                .03718187, NAN, NAN, NAN, {{0, .4704222}, {1, -.006835949}, {63, .1532263}, {-1, 0}}});
        golden_expect(&t, "conv_in", 1, 0,
                      &(struct golden_line){-.02951887, NAN, NAN, NAN, {{0, -.4320843}, {-1, 0}}});
        golden_expect(&t, "down_blocks.0.resnets.0", 1, 0,
                      &(struct golden_line){.1246886, .8123021, NAN, NAN, {{0, .07455412}, {-1, 0}}});
        golden_expect(&t, "down_blocks.0.attentions.0", 1, 0,
                      &(struct golden_line){-.07144839, 1.430621, NAN, NAN, {{0, -.8745450}, {-1, 0}}});
        golden_expect(&t, "down_blocks.0", 1, 2048,
                      &(struct golden_line){NAN, NAN, NAN, NAN, {{0, .01441002}, {2047, 2.184792}, {-1, 0}}});
        static const struct {
            const char *name;
            double first;
        } firsts[] = {{"down_blocks.1", -3.119130}, {"down_blocks.2", -2.840637},
                      {"down_blocks.3", -2.730494}, {"up_blocks.0", 1.238091},
                      {"up_blocks.1", -.7154283},   {"up_blocks.2", 2.147443}};
        for (size_t i = 0; i < sizeof firsts / sizeof *firsts; i++)
            golden_expect(&t, firsts[i].name, 1, 0,
                          &(struct golden_line){NAN, NAN, NAN, NAN, {{0, firsts[i].first}, {-1, 0}}});
        golden_expect(&t, "mid_block", 1, 0,
                      &(struct golden_line){-.1393828, 3.090374, NAN, NAN, {{0, -4.132614}, {-1, 0}}});
        golden_expect(&t, "up_blocks.3", 1, 0,
                      &(struct golden_line){-.2010562, 2.532868, NAN, NAN, {{0, -.1768064}, {-1, 0}}});
        golden_expect(&t, "out", 1, 2048, &at_0);
        golden_end(&t);
    }
}

static void vae(void **state)
{
    const struct pz_sd_vae_config c = {.channels = {16, 32, 64, 64}, .layers = 2, .latent = 4, .groups = 8};
    for (int backend = 0; backend < GOLDEN_BACKENDS; backend++) {
        struct golden t;
        golden_begin(&t, NULL);
        int mean, logvar;
        pz_sd_vae_encode(t.p, &c, pz_graph_input(t.g, "picture", (struct pz_shape){4, {1, 32, 48, 3}}), &mean,
                         &logvar);
        int z = pz_graph_input(t.g, "latent", (struct pz_shape){4, {1, 4, 6, 4}});
        pz_graph_output(t.g, "mean", mean);
        pz_graph_output(t.g, "logvar", logvar);
        pz_graph_output(t.g, "decoded", pz_sd_vae_decode(t.p, &c, z));
        golden_plan(&t, backend, 248, 1321207);
        golden_input(&t, "picture", 3002, -1, 1, 1);
        golden_input(&t, "latent", 3003, -1, 1, 1);
        golden_run(&t);
        golden_expect(
            &t, "mean", 1, 96,
            &(struct golden_line){.1306017,
                                  .5461012,
                                  NAN,
                                  NAN,
                                  {{0, .9738121}, {1, -.5076396}, {2, -.2606935}, {95, .3088127}, {-1, 0}}});
        golden_expect(
            &t, "logvar", 1, 96,
            &(struct golden_line){.06318156, .5983256, NAN, NAN, {{0, .4506068}, {95, .3083986}, {-1, 0}}});
        golden_expect(
            &t, "decoded", 1, 4608,
            &(struct golden_line){
                .08972130,
                .5062047,
                -2.092094,
                2.203344,
                {{0, -.01841469}, {658, -1.174757}, {2304, -.1683721}, {4607, .03520165}, {-1, 0}}});
        golden_end(&t);
    }
}

/* The published sizes, counted without a file: spec/musetalk.md §13. */
static void full_size_counts(void **state)
{
    struct pz_graph *g = pz_graph_create(NULL);
    struct pz_params *p = pz_params_create(g, NULL, NULL);
    int x = pz_graph_input(g, "x", (struct pz_shape){4, {1, 32, 32, 8}});
    int e = pz_graph_input(g, "time", (struct pz_shape){2, {1, 320}});
    int a = pz_graph_input(g, "audio", (struct pz_shape){3, {1, 50, 384}});
    pz_graph_output(g, "out", pz_sd_unet(p, &pz_musetalk_unet, x, e, a, 1));
    assert_int_equal(pz_params_finish(p), PZ_OK);
    assert_int_equal(pz_params_count(p), 686);
    assert_int_equal(pz_params_elements(p), 849947844);
    pz_params_destroy(&p);
    pz_graph_destroy(&g);
    for (int half = 0; half < 2; half++) {
        int mean, logvar;
        g = pz_graph_create(NULL);
        p = pz_params_create(g, NULL, NULL);
        x = pz_graph_input(g, "x", (struct pz_shape){4, {1, 32, 32, half ? 4 : 3}});
        if (half)
            pz_sd_vae_decode(p, &pz_sd_vae_default, x);
        else
            pz_sd_vae_encode(p, &pz_sd_vae_default, x, &mean, &logvar);
        assert_int_equal(pz_params_finish(p), PZ_OK);
        assert_int_equal(pz_params_elements(p), half ? 49490199 : 34163664);
        pz_params_destroy(&p);
        pz_graph_destroy(&g);
    }
    float pe[50 * 384], sum = 0;
    pz_sd_positions(50, 384, pe);
    for (int i = 0; i < 50 * 384; i++)
        sum += pe[i] / (50 * 384);
    assert_true(fabsf(sum - .3948209f) < 1e-4f && fabsf(pe[384] - .8415f) < 1e-4f &&
                fabsf(pe[385] - .5403f) < 1e-4f && fabsf(pe[386] - .8153f) < 1e-4f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unet),
        cmocka_unit_test(unet_block_by_block),
        cmocka_unit_test(vae),
        cmocka_unit_test(full_size_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
