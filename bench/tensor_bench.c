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

#include "base/mem.h"
#include "base/rng.h"
#include "tensor/cuda/cuda.h"
#include "tensor/plan.h"

#define RUNS 31

struct bench {
    struct pz_rng rng;
    struct pz_graph *g;
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

static int by_size(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static struct pz_shape shape(int rank, int a, int b, int c, int d)
{
    return (struct pz_shape){.rank = rank, .dim = {a, b, c, d}};
}

static int weight(struct bench *t, struct pz_shape s, float spread)
{
    size_t n = pz_shape_count(&s);
    float *w = pz_calloc(n, sizeof *w);
    if (!w)
        exit(5);
    for (size_t i = 0; i < n; i++)
        w[i] = spread * (pz_rng_uniform(&t->rng) - 0.5f) * 3.4f;
    int v = pz_graph_const(t->g, PZ_DTYPE_F32, s, w);
    pz_free(w);
    return v;
}

static int node(struct bench *t, enum pz_op op, const struct pz_attrs *a, int n, int x, int y, int z)
{
    int in[3] = {x, y, z};
    return pz_graph_op(t->g, op, a, in, n);
}

static int conv(struct bench *t, int x, int ci, int co, int k)
{
    int p = k / 2;
    struct pz_attrs a = {.stride = {1, 1}, .dilation = {1, 1}, .pad = {p, p, p, p}};
    return node(t, PZ_OP_CONV2D, &a, 3, x, weight(t, shape(4, co, k, k, ci), 1 / sqrtf((float)(k * k * ci))),
                weight(t, shape(1, co, 0, 0, 0), 0.1f));
}

static int dense(struct bench *t, int x, int ci, int co)
{
    return node(t, PZ_OP_FULLY_CONNECTED, NULL, 3, x, weight(t, shape(2, co, ci, 0, 0), 1 / sqrtf((float)ci)),
                weight(t, shape(1, co, 0, 0, 0), 0.1f));
}

static int group_norm(struct bench *t, int x, int c)
{
    struct pz_attrs a = {.groups = 32, .eps = 1e-6f};
    return node(t, PZ_OP_GROUP_NORM, &a, 3, x, weight(t, shape(1, c, 0, 0, 0), 1),
                weight(t, shape(1, c, 0, 0, 0), 1));
}

static int layer_norm(struct bench *t, int x, int c)
{
    struct pz_attrs a = {.eps = 1e-5f};
    return node(t, PZ_OP_LAYER_NORM, &a, 3, x, weight(t, shape(1, c, 0, 0, 0), 1),
                weight(t, shape(1, c, 0, 0, 0), 1));
}

static int silu(struct bench *t, int x)
{
    return node(t, PZ_OP_SILU, NULL, 1, x, 0, 0);
}

static int reshape(struct bench *t, int x, struct pz_shape s)
{
    struct pz_attrs a = {.shape = s};
    return node(t, PZ_OP_RESHAPE, &a, 1, x, 0, 0);
}

static int attention(struct bench *t, int q, int k, int v)
{
    struct pz_attrs a = {0};
    return node(t, PZ_OP_ATTENTION, &a, 3, q, k, v);
}

/* norm, SiLU, conv, norm, SiLU, conv, + input: the residual block of the VAE and of the UNet */
static int resnet(struct bench *t, int x, int c)
{
    int y = conv(t, silu(t, group_norm(t, x, c)), c, c, 3);
    y = conv(t, silu(t, group_norm(t, y, c)), c, c, 3);
    return node(t, PZ_OP_ADD, NULL, 2, y, x, 0);
}

/* One transformer block of Stable Diffusion 1's UNet: self attention, cross attention to 50 tokens, GEGLU. */
static int transformer(struct bench *t, int x, int tokens, int b, int n, int c, int heads)
{
    for (int cross = 0; cross < 2; cross++) {
        int y = layer_norm(t, x, c), from = cross ? tokens : y, m = cross ? 50 : n, ck = cross ? 384 : c;
        int q = reshape(t, dense(t, y, c, c), shape(4, b, n, heads, c / heads));
        int k = reshape(t, dense(t, from, ck, c), shape(4, b, m, heads, c / heads));
        int v = reshape(t, dense(t, from, ck, c), shape(4, b, m, heads, c / heads));
        y = reshape(t, attention(t, q, k, v), shape(3, b, n, c, 0));
        x = node(t, PZ_OP_ADD, NULL, 2, dense(t, y, c, c), x, 0);
    }
    int y = node(t, PZ_OP_GEGLU, NULL, 1, dense(t, layer_norm(t, x, c), c, 8 * c), 0, 0);
    return node(t, PZ_OP_ADD, NULL, 2, dense(t, y, 4 * c, c), x, 0);
}

static void begin(struct bench *t)
{
    t->g = pz_graph_create(t->log);
    pz_rng_init(&t->rng, 20261122, 0);
}

/* Plan, fill, run, time; one line. `bytes` 0: the graph is one operation, whose views say. */
static void finish(struct bench *t, const char *name, int out, double bytes)
{
    struct pz_plan_params p = {
        .backend = PZ_BACKEND_CUDA, .dtype = PZ_DTYPE_F16, .cache = getenv("PZ_ENGINES")};
    struct pz_plan *plan = NULL;
    struct pz_session *s = NULL;
    float ms[RUNS + 5];
    pz_graph_output(t->g, "out", out);
    enum pz_status st = pz_plan_create(&t->g, &p, t->log, &plan);
    if (st == PZ_OK)
        st = pz_session_create(plan, t->log, &s);
    double moved = bytes;
    for (int i = 0; st == PZ_OK && pz_session_input(s, NULL, i).data; i++) {
        struct pz_view v = pz_session_input(s, NULL, i);
        size_t n = pz_shape_count(&v.shape);
        for (size_t k = 0; k < n; k++)
            ((float *)v.data)[k] = (pz_rng_uniform(&t->rng) - 0.5f) * 3.4f;
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
        qsort(ms + 5, RUNS, sizeof *ms, by_size);
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

static int input(struct bench *t, struct pz_shape s)
{
    return pz_graph_input(t->g, "", s);
}

static double conv_bytes(int b, int hw, int c, int k)
{
    return 2.0 * (2.0 * b * hw * hw * c + (double)k * k * c * c);
}

static void single_operations(struct bench *t)
{
    struct pz_attrs up = {.shape = {.dim = {256, 256}}}, perm = {.perm = {0, 2, 1, 3}}, cat = {.axis = 3};
    int x, y, z;
    begin(t);
    x = input(t, shape(4, 20, 128, 128, 256));
    finish(t, "silu 20x128x128x256", silu(t, x), 0);
    begin(t);
    x = input(t, shape(4, 20, 128, 128, 256));
    y = input(t, shape(4, 20, 128, 128, 256));
    finish(t, "add 20x128x128x256", node(t, PZ_OP_ADD, NULL, 2, x, y, 0), 0);
    begin(t);
    x = input(t, shape(4, 20, 128, 128, 256));
    finish(t, "group_norm+silu 20x128x128x256", silu(t, group_norm(t, x, 256)), 0);
    begin(t);
    x = input(t, shape(4, 1, 32, 32, 320));
    finish(t, "group_norm+silu 1x32x32x320", silu(t, group_norm(t, x, 320)), 0);
    begin(t);
    x = input(t, shape(3, 20, 1024, 320, 0));
    finish(t, "layer_norm 20x1024x320", layer_norm(t, x, 320), 0);
    begin(t);
    x = input(t, shape(3, 20, 1024, 1024, 0));
    finish(t, "softmax 20x1024x1024", node(t, PZ_OP_SOFTMAX, NULL, 1, x, 0, 0), 0);
    begin(t);
    x = input(t, shape(3, 20, 1024, 2560, 0));
    finish(t, "geglu 20x1024x2560", node(t, PZ_OP_GEGLU, NULL, 1, x, 0, 0), 0);
    begin(t);
    x = input(t, shape(4, 20, 128, 128, 256));
    finish(t, "resize_nearest 20x128x128x256 x2", node(t, PZ_OP_RESIZE_NEAREST, &up, 1, x, 0, 0), 0);
    begin(t);
    x = input(t, shape(4, 20, 1024, 8, 40));
    finish(t, "transpose 20x1024x8x40", node(t, PZ_OP_TRANSPOSE, &perm, 1, x, 0, 0), 0);
    begin(t);
    x = input(t, shape(4, 20, 32, 32, 320));
    y = input(t, shape(4, 20, 32, 32, 640));
    finish(t, "concat 20x32x32x(320+640)", node(t, PZ_OP_CONCAT, &cat, 2, x, y, 0), 0);
    begin(t);
    x = input(t, shape(2, 20480, 320, 0, 0));
    finish(t, "dense 20480x320 -> 2560", dense(t, x, 320, 2560), 2.0 * (20480.0 * 2880 + 320 * 2560));
    begin(t);
    x = input(t, shape(2, 4096, 4096, 0, 0));
    finish(t, "dense 4096x4096 -> 4096", dense(t, x, 4096, 4096), 2.0 * 3 * 4096 * 4096);
    begin(t);
    x = input(t, shape(4, 20, 256, 256, 128));
    finish(t, "conv3x3 20x256x256x128", conv(t, x, 128, 128, 3), conv_bytes(20, 256, 128, 3));
    begin(t);
    x = input(t, shape(4, 20, 64, 64, 512));
    finish(t, "conv3x3 20x64x64x512", conv(t, x, 512, 512, 3), conv_bytes(20, 64, 512, 3));
    begin(t);
    x = input(t, shape(4, 1, 32, 32, 320));
    finish(t, "conv3x3 1x32x32x320", conv(t, x, 320, 320, 3), conv_bytes(1, 32, 320, 3));
    begin(t);
    struct pz_attrs same = {.stride = {1, 1}, .dilation = {1, 1}, .pad = {2, 2, 2, 2}};
    x = input(t, shape(4, 20, 64, 64, 256));
    finish(t, "depthwise 5x5 20x64x64x256",
           node(t, PZ_OP_DWCONV2D, &same, 3, x, weight(t, shape(4, 1, 5, 5, 256), 0.2f),
                weight(t, shape(1, 256, 0, 0, 0), 0.1f)),
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
        begin(t);
        x = input(t, shape(4, s[0], s[1], 8, s[3]));
        y = input(t, shape(4, s[0], s[2], 8, s[3]));
        z = input(t, shape(4, s[0], s[2], 8, s[3]));
        snprintf(name, sizeof name, "attention %dx%dx%dx8x%d", s[0], s[1], s[2], s[3]);
        finish(t, name, attention(t, x, y, z), 0);
    }
    begin(t);
    x = input(t, shape(4, 20, 1024, 1, 512));
    y = input(t, shape(4, 20, 1024, 1, 512));
    z = input(t, shape(4, 20, 1024, 1, 512));
    finish(t, "attention 20x1024x1x512 (VAE)", attention(t, x, y, z), 0);
}

static void blocks(struct bench *t)
{
    static const int batches[] = {1, 20};
    for (int i = 0; i < 2; i++) {
        int b = batches[i];
        char name[64];
        begin(t);
        int x = input(t, shape(4, b, 64, 64, 512));
        snprintf(name, sizeof name, "VAE resnet block %dx64x64x512", b);
        finish(t, name, resnet(t, x, 512), 8.0 * b * 64 * 64 * 512 * 2 + 2.0 * 2 * 9 * 512 * 512);
        begin(t);
        x = input(t, shape(3, b, 1024, 320, 0));
        int tokens = input(t, shape(3, b, 50, 384, 0));
        snprintf(name, sizeof name, "UNet transformer block %dx1024x320, 8 heads", b);
        finish(t, name, transformer(t, x, tokens, b, 1024, 320, 8), 30.0 * b * 1024 * 320 * 2);
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
