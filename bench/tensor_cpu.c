/*
 * Operations of the table on the CPU, at the sizes of Stable Diffusion's VAE decoder and MuseTalk's UNet,
 * then blocks of both. Beside each: operations or bytes a second, and what share that is of what this machine
 * was just measured to do at most (fused multiply-adds in registers; a copy larger than the caches). Medians;
 * the processor time of all threads is given too, since wall time suffers from whatever else runs. The same
 * in PyTorch: tensor_cpu_torch.py. Usage: tensor_cpu [--threads N] [--bf16 1] [--only TEXT] [--runs N]
 * [--rung N]
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/order.h"
#include "base/pool.h"
#include "layers.h"
#include "tensor/cpu/ceilings.h"
#include "tensor/plan.h"

struct bench {
    struct layers l;
    struct pz_log *log;
    struct pz_pool *pool;
    struct pz_plan_params params;
    const char *only;
    double copy, sums; /* ceilings: bytes/s, operations/s, of all threads */
    int runs, failed;
};

static void say(void *user, enum pz_log_level level, const char *text)
{
    (void)user;
    (void)level;
    printf("  %s\n", text);
}

static double seconds(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static bool wanted(struct bench *t, const char *name)
{
    if (t->only && !strstr(name, t->only))
        return false;
    layers_begin(&t->l, t->log);
    return t->l.g != NULL;
}

/* Bytes an operation must move: what comes in, what goes out, in the plan's type. */
static double moved(struct bench *t, const struct pz_session *s)
{
    double size = t->params.dtype == PZ_DTYPE_BF16 ? 2 : 4;
    struct pz_view o = pz_session_output(s, NULL, 0);
    double n = size * (double)pz_shape_count(&o.shape);
    for (int i = 0; pz_session_input(s, NULL, i).data; i++) {
        struct pz_view v = pz_session_input(s, NULL, i);
        n += size * (double)pz_shape_count(&v.shape);
    }
    return n;
}

static void report(struct bench *t, const char *name, const struct pz_plan *plan, struct pz_session *s)
{
    double wall[101], cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    for (int i = 0; i < t->runs; i++) {
        double at = seconds(CLOCK_MONOTONIC);
        if (pz_session_run(s, t->pool) != PZ_OK)
            t->failed++;
        wall[i] = seconds(CLOCK_MONOTONIC) - at;
    }
    cpu = (seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu) / t->runs;
    qsort(wall, (size_t)t->runs, sizeof *wall, pz_by_double);
    double ms = wall[t->runs / 2], flops = 2 * pz_plan_cost(plan), bytes = moved(t, s);
    struct pz_view o = pz_session_output(s, NULL, 0);
    bool finite = true;
    for (size_t k = 0; k < pz_shape_count(&o.shape); k++)
        finite = finite && isfinite(((float *)o.data)[k]);
    bool wide = bytes / t->copy > flops / t->sums;
    printf("%-40s %9.3f ms  best %9.3f  cpu %9.3f  %8.1f %s %5.1f %%%s\n", name, 1e3 * ms, 1e3 * wall[0],
           1e3 * cpu, (wide ? bytes : flops) / ms / 1e9, wide ? "GB/s   " : "GFLOP/s",
           100 * (wide ? bytes / t->copy : flops / t->sums) / ms, finite ? "" : "  NOT FINITE");
    fflush(stdout);
    t->failed += !finite;
}

static void finish(struct bench *t, const char *name, int out)
{
    struct pz_plan *plan = NULL;
    struct pz_session *s = NULL;
    pz_graph_output(t->l.g, "out", out);
    enum pz_status st = pz_plan_create(&t->l.g, &t->params, t->log, &plan);
    if (st == PZ_OK)
        st = pz_session_create(plan, t->log, &s);
    for (int i = 0; st == PZ_OK && pz_session_input(s, NULL, i).data; i++) {
        struct pz_view v = pz_session_input(s, NULL, i);
        for (size_t k = 0; k < pz_shape_count(&v.shape); k++)
            ((float *)v.data)[k] = layers_random(&t->l);
    }
    for (int i = 0; i < 2 && st == PZ_OK; i++)
        st = pz_session_run(s, t->pool);
    if (st == PZ_OK)
        report(t, name, plan, s);
    else
        t->failed++;
    pz_session_destroy(&s);
    pz_plan_destroy(&plan);
}

static void convolutions(struct bench *t)
{
    static const struct {
        int hw, ci, co, k, stride;
    } all[] = {{32, 512, 512, 3, 1},  {64, 512, 512, 3, 1},  {128, 512, 512, 3, 1}, {128, 512, 256, 3, 1},
               {128, 256, 256, 3, 1}, {256, 256, 256, 3, 1}, {256, 256, 128, 3, 1}, {256, 128, 128, 3, 1},
               {256, 128, 3, 3, 1},   {128, 512, 256, 1, 1}, {32, 320, 320, 3, 1},  {32, 640, 320, 3, 1},
               {16, 640, 640, 3, 1},  {16, 1280, 640, 3, 1}, {8, 1280, 1280, 3, 1}, {8, 2560, 1280, 3, 1},
               {4, 1280, 1280, 3, 1}, {32, 320, 320, 3, 2},  {32, 320, 320, 1, 1},  {32, 8, 320, 3, 1}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        char name[64];
        snprintf(name, sizeof name, "conv%dx%d %dx%d %d->%d /%d", all[i].k, all[i].k, all[i].hw, all[i].hw,
                 all[i].ci, all[i].co, all[i].stride);
        if (!wanted(t, name))
            continue;
        int x = input(&t->l, shape(4, 1, all[i].hw, all[i].hw, all[i].ci));
        finish(t, name, conv(&t->l, x, all[i].ci, all[i].co, all[i].k, all[i].stride));
    }
}

static void products(struct bench *t)
{
    static const int all[][3] = {{1024, 320, 2560}, {1024, 1280, 320}, {1024, 320, 320},
                                 {256, 640, 5120},  {64, 1280, 10240}, {64, 5120, 1280},
                                 {16, 1280, 1280},  {50, 384, 1280},   {1, 1280, 1280}};
    static const int heads[][4] = {{1024, 1024, 8, 40}, {1024, 50, 8, 40},    {256, 256, 8, 80},
                                   {64, 64, 8, 160},    {1024, 1024, 1, 512}, {1500, 1500, 6, 64}};
    char name[64];
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        snprintf(name, sizeof name, "dense %dx%d->%d", all[i][0], all[i][1], all[i][2]);
        if (wanted(t, name))
            finish(t, name,
                   dense(&t->l, input(&t->l, shape(2, all[i][0], all[i][1], 0, 0)), all[i][1], all[i][2]));
    }
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        const int *h = heads[i];
        snprintf(name, sizeof name, "attention %dx%d %dx%d", h[0], h[1], h[2], h[3]);
        if (!wanted(t, name))
            continue;
        int q = input(&t->l, shape(4, 1, h[0], h[2], h[3])), k = input(&t->l, shape(4, 1, h[1], h[2], h[3]));
        finish(t, name, attention(&t->l, q, k, input(&t->l, shape(4, 1, h[1], h[2], h[3]))));
    }
    if (wanted(t, "matmul 8x512x512x512")) {
        int x = input(&t->l, shape(3, 8, 512, 512, 0));
        finish(t, "matmul 8x512x512x512",
               node(&t->l, PZ_OP_MATMUL, NULL, 2, x, input(&t->l, shape(3, 8, 512, 512, 0)), 0));
    }
    if (wanted(t, "conv_transpose 64x64 256->128 /2")) {
        struct pz_attrs a = {.stride = {2, 2}, .dilation = {1, 1}, .pad = {1, 1, 1, 1}, .size = {1, 1}};
        int x = input(&t->l, shape(4, 1, 64, 64, 256));
        finish(
            t, "conv_transpose 64x64 256->128 /2",
            node(&t->l, PZ_OP_CONV_TRANSPOSE2D, &a, 2, x, weight(&t->l, shape(4, 256, 3, 3, 128), 0.02f), 0));
    }
}

static void norms(struct bench *t)
{
    static const int pictures[][2] = {{256, 128}, {128, 256}, {64, 512}, {32, 320}, {8, 1280}};
    char name[64];
    for (size_t i = 0; i < sizeof pictures / sizeof *pictures; i++) {
        int hw = pictures[i][0], c = pictures[i][1];
        snprintf(name, sizeof name, "group_norm+silu %dx%dx%d", hw, hw, c);
        if (wanted(t, name))
            finish(t, name, silu(&t->l, group_norm(&t->l, input(&t->l, shape(4, 1, hw, hw, c)), c)));
    }
    if (wanted(t, "layer_norm 1024x320"))
        finish(t, "layer_norm 1024x320", layer_norm(&t->l, input(&t->l, shape(2, 1024, 320, 0, 0)), 320));
    if (wanted(t, "softmax 1024x1024"))
        finish(t, "softmax 1024x1024",
               node(&t->l, PZ_OP_SOFTMAX, NULL, 1, input(&t->l, shape(2, 1024, 1024, 0, 0)), 0, 0));
    if (wanted(t, "geglu 1024x2560"))
        finish(t, "geglu 1024x2560",
               node(&t->l, PZ_OP_GEGLU, NULL, 1, input(&t->l, shape(2, 1024, 2560, 0, 0)), 0, 0));
}

static void plain(struct bench *t)
{
    static const struct {
        enum pz_op op;
        const char *name;
    } maps[] = {{PZ_OP_GELU, "gelu"}, {PZ_OP_SILU, "silu"}, {PZ_OP_TANH, "tanh"}, {PZ_OP_SIGMOID, "sigmoid"}};
    struct pz_attrs cat = {.axis = 3}, up = {.shape = {.dim = {256, 256}}}, perm = {.perm = {0, 2, 1, 3}};
    struct pz_attrs cut = {.begin = {0, 0, 0, 64}, .size = {1, 128, 128, 128}};
    char name[64];
    for (size_t i = 0; i < sizeof maps / sizeof *maps; i++) {
        snprintf(name, sizeof name, "%s 256x256x128", maps[i].name);
        if (wanted(t, name))
            finish(t, name, node(&t->l, maps[i].op, NULL, 1, input(&t->l, shape(4, 1, 256, 256, 128)), 0, 0));
    }
    if (wanted(t, "add 256x256x128")) {
        int x = input(&t->l, shape(4, 1, 256, 256, 128));
        finish(t, "add 256x256x128",
               node(&t->l, PZ_OP_ADD, NULL, 2, x, input(&t->l, shape(4, 1, 256, 256, 128)), 0));
    }
    if (wanted(t, "add 256x256x128 + 128")) {
        int x = input(&t->l, shape(4, 1, 256, 256, 128));
        finish(t, "add 256x256x128 + 128",
               node(&t->l, PZ_OP_ADD, NULL, 2, x, input(&t->l, shape(4, 1, 1, 1, 128)), 0));
    }
    if (wanted(t, "concat 128x128x(256+256)")) {
        int x = input(&t->l, shape(4, 1, 128, 128, 256));
        finish(t, "concat 128x128x(256+256)",
               node(&t->l, PZ_OP_CONCAT, &cat, 2, x, input(&t->l, shape(4, 1, 128, 128, 256)), 0));
    }
    if (wanted(t, "nearest 128x128x256 x2"))
        finish(t, "nearest 128x128x256 x2",
               node(&t->l, PZ_OP_RESIZE_NEAREST, &up, 1, input(&t->l, shape(4, 1, 128, 128, 256)), 0, 0));
    if (wanted(t, "transpose 4096x8x64"))
        finish(t, "transpose 4096x8x64",
               node(&t->l, PZ_OP_TRANSPOSE, &perm, 1, input(&t->l, shape(4, 1, 4096, 8, 64)), 0, 0));
    if (wanted(t, "slice 128x128x256"))
        finish(t, "slice 128x128x256",
               node(&t->l, PZ_OP_SLICE, &cut, 1, input(&t->l, shape(4, 1, 128, 128, 256)), 0, 0));
}

static void blocks(struct bench *t)
{
    static const int res[][2] = {{64, 512}, {128, 256}, {256, 128}, {32, 320}, {16, 640}, {8, 1280}};
    static const int att[][2] = {{1024, 320}, {256, 640}, {64, 1280}};
    char name[64];
    for (size_t i = 0; i < sizeof res / sizeof *res; i++) {
        int hw = res[i][0], c = res[i][1];
        snprintf(name, sizeof name, "resnet block %dx%dx%d", hw, hw, c);
        if (wanted(t, name))
            finish(t, name, resnet(&t->l, input(&t->l, shape(4, 1, hw, hw, c)), c));
    }
    for (size_t i = 0; i < sizeof att / sizeof *att; i++) {
        int n = att[i][0], c = att[i][1];
        snprintf(name, sizeof name, "transformer block %dx%d", n, c);
        if (!wanted(t, name))
            continue;
        int x = input(&t->l, shape(3, 1, n, c, 0));
        finish(t, name, transformer(&t->l, x, input(&t->l, shape(3, 1, 50, 384, 0)), 1, n, c, 8));
    }
}

int main(int argc, char **argv)
{
    struct bench t = {.log = pz_log_create(say, NULL, PZ_LOG_WARNING), .runs = 7, .params = pz_plan_default};
    int threads = 0;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--threads") == 0)
            threads = atoi(argv[i + 1]);
        else if (strcmp(argv[i], "--only") == 0)
            t.only = argv[i + 1];
        else if (strcmp(argv[i], "--runs") == 0)
            t.runs = atoi(argv[i + 1]) < 100 ? atoi(argv[i + 1]) : 100;
        else if (strcmp(argv[i], "--rung") == 0)
            t.params.rung = atoi(argv[i + 1]);
        else if (strcmp(argv[i], "--bf16") == 0)
            t.params.dtype = atoi(argv[i + 1]) ? PZ_DTYPE_BF16 : PZ_DTYPE_F32;
    }
    t.pool = pz_pool_create(threads);
    threads = pz_pool_threads(t.pool);
    t.params.threads = threads;
    t.sums = pz_cpu_peak(t.params.rung, t.params.dtype, t.pool);
    t.copy = pz_cpu_copy_speed(t.pool);
    printf("%d threads, %s; ceilings: %.0f GFLOP/s of multiply-adds, copy %.1f GB/s\n", threads,
           t.params.dtype == PZ_DTYPE_BF16 ? "bf16" : "f32", t.sums / 1e9, t.copy / 1e9);
    convolutions(&t);
    products(&t);
    norms(&t);
    plain(&t);
    blocks(&t);
    pz_pool_destroy(&t.pool);
    pz_log_destroy(&t.log);
    return t.failed ? 1 : 0;
}
