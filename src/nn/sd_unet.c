/* Stable Diffusion 1's UNet, with motion modules or without. */
#include "nn/sd_unet.h"

#include "nn/sd_block.h"

#define EPS 1e-5f
#define MAX_SKIPS 64

const struct pz_sd_unet_config pz_musetalk_unet = {.in = 8,
                                                   .out = 4,
                                                   .channels = {320, 640, 1280, 1280},
                                                   .layers = 2,
                                                   .heads = 8,
                                                   .cross = 384,
                                                   .groups = 32,
                                                   .attention = {true, true, true, false}};

const struct pz_sd_unet_config pz_latentsync_unet = {.in = 13,
                                                     .out = 4,
                                                     .channels = {320, 640, 1280, 1280},
                                                     .layers = 2,
                                                     .heads = 8,
                                                     .cross = 384,
                                                     .groups = 32,
                                                     .attention = {true, true, true, false},
                                                     .motion = true,
                                                     .motion_heads = 8};

struct unet {
    struct pz_params *p;
    const struct pz_sd_unet_config *c;
    int time, context, frames;
    bool fixed; /* the timestep is a constant */
    int skips[MAX_SKIPS], n_skips;
    int deep; /* what went into the last layer, beside the first convolution's result */
};

const char *const pz_sd_unet_deep_only[] = {"down_blocks.*",
                                            "mid_block.*",
                                            "up_blocks.[012].*",
                                            "up_blocks.3.resnets.[01].*",
                                            "up_blocks.3.attentions.[01].*",
                                            "up_blocks.3.motion_modules.[01].*",
                                            NULL};

static int resnet(struct unet *u, int i, int x, int out)
{
    pz_params_push(u->p, "resnets.%d", i);
    x = pz_sd_resnet(u->p, x,
                     &(struct pz_sd_resnet){.out = out,
                                            .groups = u->c->groups,
                                            .eps = EPS,
                                            .time = u->time,
                                            .time_fixed = u->fixed,
                                            .frames = u->frames});
    pz_params_tap(u->p, x);
    pz_params_pop(u->p);
    return x;
}

static int transformer(struct unet *u, int i, int x)
{
    pz_params_push(u->p, "attentions.%d", i);
    x = pz_sd_transformer(u->p, x, u->context, u->c->heads, u->c->groups);
    pz_params_tap(u->p, x);
    pz_params_pop(u->p);
    return x;
}

/* Resnet, transformer, motion module. */
static int layer(struct unet *u, int i, int x, int out, bool attention)
{
    x = resnet(u, i, x, out);
    if (attention)
        x = transformer(u, i, x);
    if (u->c->motion) {
        pz_params_push(u->p, "motion_modules.%d", i);
        pz_params_push(u->p, "temporal_transformer");
        x = pz_sd_motion(u->p, x, u->frames, u->c->motion_heads);
        pz_params_pop(u->p);
        pz_params_tap(u->p, x);
        pz_params_pop(u->p);
    }
    return x;
}

static void keep(struct unet *u, int x)
{
    if (u->n_skips < MAX_SKIPS)
        u->skips[u->n_skips++] = x;
}

static int down(struct unet *u, int i, int x)
{
    const struct pz_sd_unet_config *c = u->c;
    pz_params_push(u->p, "down_blocks.%d", i);
    for (int k = 0; k < c->layers; k++) {
        x = layer(u, k, x, c->channels[i], c->attention[i]);
        keep(u, x);
    }
    if (i < 3) {
        x = pz_nn_conv_same(u->p, "downsamplers.0.conv", x, c->channels[i], 3, 2);
        keep(u, x);
    }
    pz_params_tap(u->p, x);
    pz_params_pop(u->p);
    return x;
}

static int up(struct unet *u, int i, int x)
{
    const struct pz_sd_unet_config *c = u->c;
    pz_params_push(u->p, "up_blocks.%d", i);
    for (int k = 0; k <= c->layers; k++) {
        int skip = u->n_skips > 0 ? u->skips[--u->n_skips] : PZ_NONE;
        u->deep = x;
        x = layer(u, k, pz_nn_concat(u->p, 3, x, skip), c->channels[3 - i], c->attention[3 - i]);
    }
    if (i < 3)
        x = pz_sd_upsample(u->p, "upsamplers.0.conv", x);
    pz_params_tap(u->p, x);
    pz_params_pop(u->p);
    return x;
}

static int middle(struct unet *u, int x)
{
    pz_params_push(u->p, "mid_block");
    x = resnet(u, 0, x, u->c->channels[3]);
    x = transformer(u, 0, x);
    x = resnet(u, 1, x, u->c->channels[3]);
    pz_params_tap(u->p, x);
    pz_params_pop(u->p);
    return x;
}

/* Time embedding and first convolution: what both parts need. */
static int begin(struct unet *u, int x, int time)
{
    struct pz_params *p = u->p;
    u->fixed = pz_graph_view(pz_params_graph(p), time).data != NULL;
    pz_params_push(p, "time_embedding");
    u->time = pz_nn_unary(p, PZ_OP_SILU, pz_nn_dense(p, "linear_1", time, 4 * u->c->channels[0], true));
    u->time = pz_nn_dense(p, "linear_2", u->time, 4 * u->c->channels[0], true);
    pz_params_tap(p, u->time);
    pz_params_pop(p);
    u->time = pz_nn_unary(p, PZ_OP_SILU, u->time);
    x = pz_nn_conv_same(p, "conv_in", x, u->c->channels[0], 3, 1);
    pz_params_push(p, "conv_in");
    pz_params_tap(p, x);
    pz_params_pop(p);
    return x;
}

static int end(struct unet *u, int x)
{
    x = pz_sd_group_norm(u->p, "conv_norm_out", x, u->c->groups, EPS, PZ_ACT_SILU, u->frames);
    return pz_nn_conv_same(u->p, "conv_out", x, u->c->out, 3, 1);
}

int pz_sd_unet_whole(struct pz_params *p, const struct pz_sd_unet_config *c, int x, int time, int context,
                     int frames, int *deep)
{
    struct unet u = {.p = p, .c = c, .context = context, .frames = frames, .deep = PZ_NONE};
    int n = pz_nn_dim(p, context, 0);
    x = begin(&u, x, time);
    keep(&u, pz_sd_tile(p, x, n));
    if (!c->attention[0])
        x = pz_sd_tile(p, x, n);
    for (int i = 0; i < 4; i++)
        x = down(&u, i, x);
    x = middle(&u, x);
    for (int i = 0; i < 4; i++)
        x = up(&u, i, x);
    *deep = u.deep;
    return end(&u, x);
}

int pz_sd_unet(struct pz_params *p, const struct pz_sd_unet_config *c, int x, int time, int context,
               int frames)
{
    int deep;
    return pz_sd_unet_whole(p, c, x, time, context, frames, &deep);
}

int pz_sd_unet_shallow(struct pz_params *p, const struct pz_sd_unet_config *c, int x, int deep, int time,
                       int context, int frames)
{
    struct unet u = {.p = p, .c = c, .context = context, .frames = frames, .deep = deep};
    x = begin(&u, x, time);
    pz_params_push(p, "up_blocks.3");
    x = layer(&u, c->layers, pz_nn_concat(p, 3, deep, x), c->channels[0], c->attention[0]);
    pz_params_pop(p);
    return end(&u, x);
}
