/*
 * Each operation of the table, at a size the published networks use, against what the device can do at most:
 * the larger of its operations over a measured matrix product and its bytes over a measured copy. Then
 * blocks the size of Stable Diffusion's VAE decoder and UNet. Medians of graph replays, device events, random
 * data, F16. The same shapes in PyTorch: tensor_torch.py. Without a device it says so and does nothing.
 * Usage: tensor_bench [--verbose]; PZ_ENGINES names a folder for the choices of engines.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "layers.h"
#include "base/order.h"
#include "tensor/cuda/cuda.h"
#include "tensor/plan.h"

#define RUNS 31

struct bench {
    struct layers l;
    struct pz_log *log;
    double copy, product; /* ceilings: bytes/s, operations/s */
    double bytes;         /* of what is being built: each operation's own */
    int failed;
};

static void say(void *user, enum pz_log_level level, const char *text)
{
    (void)user;
    (void)level;
    printf("  %s\n", text);
}

/* Plan, fill, run, time; one line. `bytes` 0: the graph is one operation, whose views say. */
static void finish(struct bench *t, const char *name, int out, double bytes)
{
    struct pz_plan_params p = {
        .backend = PZ_BACKEND_CUDA, .dtype = PZ_DTYPE_F16, .cache = getenv("PZ_ENGINES"), .tune = true};
    struct pz_plan *plan = NULL;
    struct pz_session *s = NULL;
    float ms[RUNS + 5];
    pz_graph_output(t->l.g, "out", out);
    enum pz_status st = pz_plan_create(&t->l.g, &p, t->log, &plan);
    if (st == PZ_OK)
        st = pz_session_create(plan, t->log, &s);
    double moved = bytes;
    for (int i = 0; st == PZ_OK && pz_session_input(s, NULL, i).data; i++) {
        struct pz_view v = pz_session_input(s, NULL, i);
        size_t n = pz_shape_count(&v.shape);
        for (size_t k = 0; k < n; k++)
            ((float *)v.data)[k] = layers_random(&t->l);
        moved += bytes > 0 ? 0 : 2.0 * (double)n;
    }
    if (st == PZ_OK)
        st = pz_session_run(s, NULL);
    if (st == PZ_OK)
        st = pz_cuda_session_time(s, RUNS + 5, ms);
    if (st == PZ_OK) {
        struct pz_view v = pz_session_output(s, NULL, 0);
        bool finite = true;
        for (size_t k = 0; k < pz_shape_count(&v.shape); k++)
            finite = finite && isfinite(((float *)v.data)[k]);
        moved += bytes > 0 ? 0 : 2.0 * (double)pz_shape_count(&v.shape);
        qsort(ms + 5, RUNS, sizeof *ms, pz_by_float);
        double flops = 2 * pz_plan_cost(plan), floor = flops / t->product * 1e3,
               other = moved / t->copy * 1e3;
        bool wide = other > floor;
        floor = wide ? other : floor;
        printf("%-44s %8.4f ms  %6.1f TFLOP/s %7.0f GB/s  floor %7.4f ms by %-5s %5.1f%%%s\n", name,
               ms[5 + RUNS / 2], flops / (ms[5 + RUNS / 2] * 1e9), moved / (ms[5 + RUNS / 2] * 1e6), floor,
               wide ? "bytes" : "sums", 100 * floor / ms[5 + RUNS / 2], finite ? "" : "  NOT FINITE");
        st = finite ? PZ_OK : PZ_ERR_INTERNAL;
    }
    t->failed += st != PZ_OK;
    fflush(stdout);
    pz_session_destroy(&s);
    pz_plan_destroy(&plan);
}

static double conv_bytes(int b, int hw, int c, int k)
{
    return 2.0 * (2.0 * b * hw * hw * c + (double)k * k * c * c);
}

static void single_operations(struct bench *t)
{
    struct pz_attrs up = {.shape = {.dim = {256, 256}}}, perm = {.perm = {0, 2, 1, 3}}, cat = {.axis = 3};
    int x, y, z;
    layers_begin(&t->l, t->log);
    x = input(&t->l, shape(4, 20, 128, 128, 256));
    finish(t, "silu 20x128x128x256", silu(&t->l, x), 0);
    layers_begin(&t->l, t->log);
    x = input(&t->l, shape(4, 20, 128, 128, 256));
    y = input(&t->l, shape(4, 20, 128, 128, 256));
    finish(t, "add 20x128x128x256", node(&t->l, PZ_OP_ADD, NULL, 2, x, y, 0), 0);
    layers_begin(&t->l, t->log);
    x = input(&t->l, shape(4, 20, 128, 128, 256));
    finish(t, "group_norm+silu 20x128x128x256", silu(&t->l, group_norm(&t->l, x, 256)), 0);
    layers_begin(&t->l, t->log);
    x = input(&t->l, shape(4, 1, 32, 32, 320));
    finish(t, "group_norm+silu 1x32x32x320", silu(&t->l, group_norm(&t->l, x, 320)), 0);
    layers_begin(&t->l, t->log);
    x = input(&t->l, shape(3, 20, 1024, 320, 0));
    finish(t, "layer_norm 20x1024x320", layer_norm(&t->l, x, 320), 0);
    layers_begin(&t->l, t->log);
    x = input(&t->l, shape(3, 20, 1024, 1024, 0));
    finish(t, "softmax 20x1024x1024", node(&t->l, PZ_OP_SOFTMAX, NULL, 1, x, 0, 0), 0);
    layers_begin(&t->l, t->log);
    x = input(&t->l, shape(3, 20, 1024, 2560, 0));
    finish(t, "geglu 20x1024x2560", node(&t->l, PZ_OP_GEGLU, NULL, 1, x, 0, 0), 0);
    layers_begin(&t->l, t->log);
    x = input(&t->l, shape(4, 20, 128, 128, 256));
    finish(t, "resize_nearest 20x128x128x256 x2", node(&t->l, PZ_OP_RESIZE_NEAREST, &up, 1, x, 0, 0), 0);
    layers_begin(&t->l, t->log);
    x = input(&t->l, shape(4, 20, 1024, 8, 40));
    finish(t, "transpose 20x1024x8x40", node(&t->l, PZ_OP_TRANSPOSE, &perm, 1, x, 0, 0), 0);
    layers_begin(&t->l, t->log);
    x = input(&t->l, shape(4, 20, 32, 32, 320));
    y = input(&t->l, shape(4, 20, 32, 32, 640));
    finish(t, "concat 20x32x32x(320+640)", node(&t->l, PZ_OP_CONCAT, &cat, 2, x, y, 0), 0);
    layers_begin(&t->l, t->log);
    x = input(&t->l, shape(2, 20480, 320, 0, 0));
    finish(t, "dense 20480x320 -> 2560", dense(&t->l, x, 320, 2560), 2.0 * (20480.0 * 2880 + 320 * 2560));
    layers_begin(&t->l, t->log);
    x = input(&t->l, shape(2, 4096, 4096, 0, 0));
    finish(t, "dense 4096x4096 -> 4096", dense(&t->l, x, 4096, 4096), 2.0 * 3 * 4096 * 4096);
    layers_begin(&t->l, t->log);
    x = input(&t->l, shape(4, 20, 256, 256, 128));
    finish(t, "conv3x3 20x256x256x128", conv(&t->l, x, 128, 128, 3, 1), conv_bytes(20, 256, 128, 3));
    layers_begin(&t->l, t->log);
    x = input(&t->l, shape(4, 20, 64, 64, 512));
    finish(t, "conv3x3 20x64x64x512", conv(&t->l, x, 512, 512, 3, 1), conv_bytes(20, 64, 512, 3));
    layers_begin(&t->l, t->log);
    x = input(&t->l, shape(4, 1, 32, 32, 320));
    finish(t, "conv3x3 1x32x32x320", conv(&t->l, x, 320, 320, 3, 1), conv_bytes(1, 32, 320, 3));
    layers_begin(&t->l, t->log);
    struct pz_attrs same = {.stride = {1, 1}, .dilation = {1, 1}, .pad = {2, 2, 2, 2}};
    x = input(&t->l, shape(4, 20, 64, 64, 256));
    finish(t, "depthwise 5x5 20x64x64x256",
           node(&t->l, PZ_OP_DWCONV2D, &same, 3, x, weight(&t->l, shape(4, 1, 5, 5, 256), 0.2f),
                weight(&t->l, shape(1, 256, 0, 0, 0), 0.1f)),
           0);
    /* batch, queries, keys, width: MuseTalk's, LatentSync's at 512 (self, to the sound, over time) */
    static const int sizes[][4] = {{1, 1024, 1024, 40},  {1, 1024, 1024, 80},  {1, 1024, 1024, 160},
                                   {20, 1024, 1024, 40}, {20, 1024, 1024, 80}, {20, 1024, 1024, 160},
                                   {20, 1024, 50, 40},   {32, 4096, 4096, 40}, {32, 1024, 1024, 80},
                                   {32, 256, 256, 160},  {32, 4096, 50, 40},   {8192, 16, 16, 40},
                                   {2048, 16, 16, 80}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const int *s = sizes[i];
        char name[64];
        layers_begin(&t->l, t->log);
        x = input(&t->l, shape(4, s[0], s[1], 8, s[3]));
        y = input(&t->l, shape(4, s[0], s[2], 8, s[3]));
        z = input(&t->l, shape(4, s[0], s[2], 8, s[3]));
        snprintf(name, sizeof name, "attention %dx%dx%dx8x%d", s[0], s[1], s[2], s[3]);
        finish(t, name, attention(&t->l, x, y, z), 0);
    }
    layers_begin(&t->l, t->log);
    x = input(&t->l, shape(4, 20, 1024, 1, 512));
    y = input(&t->l, shape(4, 20, 1024, 1, 512));
    z = input(&t->l, shape(4, 20, 1024, 1, 512));
    finish(t, "attention 20x1024x1x512 (VAE)", attention(&t->l, x, y, z), 0);
}

static void blocks(struct bench *t)
{
    static const int batches[] = {1, 20};
    for (int i = 0; i < 2; i++) {
        int b = batches[i];
        char name[64];
        layers_begin(&t->l, t->log);
        int x = input(&t->l, shape(4, b, 64, 64, 512));
        snprintf(name, sizeof name, "VAE resnet block %dx64x64x512", b);
        finish(t, name, resnet(&t->l, x, 512), 8.0 * b * 64 * 64 * 512 * 2 + 2.0 * 2 * 9 * 512 * 512);
        layers_begin(&t->l, t->log);
        x = input(&t->l, shape(3, b, 1024, 320, 0));
        int tokens = input(&t->l, shape(3, b, 50, 384, 0));
        snprintf(name, sizeof name, "UNet transformer block %dx1024x320, 8 heads", b);
        finish(t, name, transformer(&t->l, x, tokens, b, 1024, 320, 8), 30.0 * b * 1024 * 320 * 2);
    }
}

int main(int argc, char **argv)
{
    bool chatty = argc > 1 && strcmp(argv[1], "--verbose") == 0;
    struct bench t = {.log = pz_log_create(say, NULL, chatty ? PZ_LOG_DEBUG : PZ_LOG_WARNING)};
    char device[256];
    pz_cuda_describe(device, sizeof device);
    printf("tensor: %s\n", device);
    if (!pz_cuda_present())
        return 0;
    if (pz_cuda_ceilings(t.log, &t.copy, &t.product) != PZ_OK)
        return 5;
    printf("ceilings: copy %.0f GB/s, f16 product 8192^3 %.1f TFLOP/s; medians of %d replays\n", t.copy / 1e9,
           t.product / 1e12, RUNS);
    single_operations(&t);
    blocks(&t);
    pz_log_destroy(&t.log);
    return t.failed ? 1 : 0;
}
