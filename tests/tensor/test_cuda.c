/*
 * What only a device can show: merged layers, plans in BF16, several sessions at once, the file of engine
 * choices, a device that is lost. Skipped (77) without one. `test_cuda --lose` is the child that loses it: a
 * kernel reads where nothing is, after which nothing works in that process any more.
 */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "tensor/cuda/cuda.h"
#include "tensor/cuda/kernels.h"
#include "tensor/plan.h"
#include "tensor/profile.h"

#define SEED 20261122
#define TOKENS 24
#define WIDE 64
#define HEADS 4

static char self[4096]; /* this program */

static int constant(struct pz_graph *g, struct pz_rng *r, struct pz_shape s, float scale)
{
    size_t n = pz_shape_count(&s);
    float *v = malloc(n * sizeof *v);
    assert_non_null(v);
    for (size_t i = 0; i < n; i++)
        v[i] = scale * pz_rng_normal(r);
    int id = pz_graph_const(g, PZ_DTYPE_F32, s, v);
    free(v);
    return id;
}

static int dense(struct pz_graph *g, struct pz_rng *r, int x, int from, int to, bool bias)
{
    int in[3] = {x, constant(g, r, (struct pz_shape){2, {to, from}}, 1 / sqrtf((float)from)), PZ_NONE};
    if (bias)
        in[2] = constant(g, r, (struct pz_shape){1, {to}}, 0.2f);
    return pz_graph_op(g, PZ_OP_FULLY_CONNECTED, NULL, in, bias ? 3 : 2);
}

static int heads(struct pz_graph *g, int x, int b)
{
    struct pz_attrs a = {.shape = {4, {b, TOKENS, HEADS, WIDE / HEADS}}};
    return pz_graph_op(g, PZ_OP_RESHAPE, &a, &x, 1);
}

/* Self attention with and without biases, two cross attentions to the same tokens, residuals, convolutions.
 */
static struct pz_graph *network(void)
{
    struct pz_rng r;
    pz_rng_init(&r, SEED, 3);
    struct pz_graph *g = pz_graph_create(NULL);
    int b = 2, x = pz_graph_input(g, "x", (struct pz_shape){3, {b, TOKENS, WIDE}});
    int tokens = pz_graph_input(g, "tokens", (struct pz_shape){3, {b, TOKENS, 40}});
    struct pz_attrs flat = {.shape = {3, {b, TOKENS, WIDE}}}, norm = {.eps = 1e-5f};
    for (int layer = 0; layer < 4; layer++) {
        bool cross = layer > 1;
        int y = pz_graph_op(g, PZ_OP_LAYER_NORM, &norm, &x, 1), from = cross ? tokens : y;
        int q = dense(g, &r, y, WIDE, WIDE, layer & 1),
            k = dense(g, &r, from, cross ? 40 : WIDE, WIDE, layer & 1);
        int v = dense(g, &r, from, cross ? 40 : WIDE, WIDE, layer & 1);
        y = pz_graph_op(g, PZ_OP_ATTENTION, NULL, (int[]){heads(g, q, b), heads(g, k, b), heads(g, v, b)}, 3);
        y = dense(g, &r, pz_graph_op(g, PZ_OP_RESHAPE, &flat, &y, 1), WIDE, WIDE, true);
        x = pz_graph_op(g, PZ_OP_ADD, NULL, layer & 1 ? (int[]){x, y} : (int[]){y, x}, 2);
        y = dense(g, &r, x, WIDE, WIDE, true);
        y = pz_graph_op(g, PZ_OP_RELU, NULL, &y, 1);
        x = pz_graph_op(g, PZ_OP_ADD, NULL, (int[]){x, y}, 2);
    }
    struct pz_attrs pic = {.shape = {4, {b, 4, 6, WIDE}}},
                    conv = {.stride = {1, 1}, .dilation = {1, 1}, .pad = {1, 1, 1, 1}};
    int y = pz_graph_op(g, PZ_OP_RESHAPE, &pic, &x, 1);
    for (int i = 0; i < 2; i++) {
        int z = pz_graph_op(g, PZ_OP_CONV2D, &conv,
                            (int[]){y, constant(g, &r, (struct pz_shape){4, {WIDE, 3, 3, WIDE}}, 0.04f),
                                    constant(g, &r, (struct pz_shape){1, {WIDE}}, 0.1f)},
                            3);
        y = pz_graph_op(g, PZ_OP_ADD, NULL, (int[]){z, y}, 2);
    }
    pz_graph_output(g, "out", y);
    return g;
}

static int conv(struct pz_graph *g, struct pz_rng *r, int x, int from, int to, int k, enum pz_act act)
{
    struct pz_attrs a = {
        .stride = {1, 1}, .dilation = {1, 1}, .pad = {k / 2, k / 2, k / 2, k / 2}, .act = act};
    int w = constant(g, r, (struct pz_shape){4, {to, k, k, from}}, 1 / sqrtf((float)(k * k * from)));
    return pz_graph_op(g, PZ_OP_CONV2D, &a, (int[]){x, w, constant(g, r, (struct pz_shape){1, {to}}, 0.3f)},
                       3);
}

static int transposed(struct pz_graph *g, struct pz_rng *r, int x, int c, int stride, int k, enum pz_act act)
{
    struct pz_attrs a = {.stride = {stride, stride}, .dilation = {1, 1}, .pad = {1, 1, 1, 1}, .act = act};
    a.size[0] = a.size[1] = stride == 2 && k == 3;
    int w = constant(g, r, (struct pz_shape){4, {c, k, k, c}}, 1 / sqrtf((float)(k * k * c)));
    return pz_graph_op(g, PZ_OP_CONV_TRANSPOSE2D, &a,
                       (int[]){x, w, constant(g, r, (struct pz_shape){1, {c}}, 0.3f)}, 3);
}

/* What recast.c knows: odd channels before and behind, with and without an activation; a doubling that one
 * convolution reads, and one that two read; transposed ones that keep the size and that double it. */
static struct pz_graph *pictures(void)
{
    struct pz_rng r;
    pz_rng_init(&r, SEED, 4);
    struct pz_graph *g = pz_graph_create(NULL);
    int x = pz_graph_input(g, "x", (struct pz_shape){4, {2, 26, 23, 3}});
    int extra = pz_graph_input(g, "extra", (struct pz_shape){4, {2, 26, 23, 13}});
    x = conv(g, &r, x, 3, 16, 3, PZ_ACT_RELU);
    x = pz_graph_op(g, PZ_OP_ADD, NULL, (int[]){x, conv(g, &r, extra, 13, 16, 1, PZ_ACT_NONE)}, 2);
    x = transposed(g, &r, x, 16, 1, 3, PZ_ACT_RELU);
    x = pz_graph_op(g, PZ_OP_ADD, NULL,
                    (int[]){transposed(g, &r, x, 16, 2, 3, PZ_ACT_RELU), transposed(g, &r, x, 16, 2, 4, 0)},
                    2);
    struct pz_attrs twice = {.shape = {2, {104, 92}}};
    x = pz_graph_op(g, PZ_OP_RESIZE_NEAREST, &twice, &x, 1);
    x = conv(g, &r, x, 16, 24, 3, PZ_ACT_NONE);
    twice.shape = (struct pz_shape){2, {208, 184}};
    x = pz_graph_op(g, PZ_OP_RESIZE_NEAREST, &twice, &x, 1);
    int a = conv(g, &r, x, 24, 5, 3, PZ_ACT_RELU6), b = conv(g, &r, x, 24, 5, 3, PZ_ACT_NONE);
    x = pz_graph_op(g, PZ_OP_ADD, NULL, (int[]){a, b}, 2);
    pz_graph_output(g, "out", conv(g, &r, x, 5, 3, 3, PZ_ACT_NONE));
    return g;
}

static struct pz_plan *plan_of(struct pz_graph *g, enum pz_backend where, enum pz_dtype type,
                               const char *cache, struct pz_log *log)
{
    struct pz_plan_params params = {
        .backend = where, .dtype = type, .threads = 1, .cache = cache, .tune = cache != NULL};
    struct pz_plan *p = NULL;
    assert_int_equal(pz_plan_create(&g, &params, log, &p), PZ_OK);
    return p;
}

static struct pz_plan *plan(enum pz_backend where, enum pz_dtype type, const char *cache, struct pz_log *log)
{
    return plan_of(network(), where, type, cache, log);
}

/* Numbers that every type holds, from `seed`. */
static void fill(struct pz_session *s, uint64_t seed)
{
    struct pz_rng r;
    pz_rng_init(&r, seed, 7);
    for (int i = 0; i < 2; i++) {
        struct pz_view v = pz_session_input(s, NULL, i);
        for (size_t k = 0; k < pz_shape_count(&v.shape); k++)
            ((float *)v.data)[k] = (float)((int)pz_rng_below(&r, 129) - 64) / 32;
    }
}

static size_t outputs(const struct pz_session *s, float **copy)
{
    struct pz_view v = pz_session_output(s, NULL, 0);
    size_t n = pz_shape_count(&v.shape);
    *copy = malloc(n * sizeof **copy);
    assert_non_null(*copy);
    memcpy(*copy, v.data, n * sizeof **copy);
    return n;
}

static float *run_once(struct pz_graph *(*make)(void), enum pz_backend where, enum pz_dtype type, size_t *n)
{
    struct pz_plan *p = plan_of(make(), where, type, NULL, NULL);
    struct pz_session *s = NULL;
    float *out;
    assert_int_equal(pz_session_create(p, NULL, &s), PZ_OK);
    fill(s, SEED);
    assert_int_equal(pz_session_run(s, NULL), PZ_OK);
    *n = outputs(s, &out);
    pz_session_destroy(&s);
    pz_plan_destroy(&p);
    return out;
}

/* Merged and fused on the device, node by node on the CPU. */
static void compare(const char *name, struct pz_graph *(*make)(void))
{
    static const struct {
        enum pz_dtype type;
        float allowed;
    } cases[] = {{PZ_DTYPE_F32, 5e-5f}, {PZ_DTYPE_F16, 1e-2f}, {PZ_DTYPE_BF16, 8e-2f}};
    size_t n;
    float *truth = run_once(make, PZ_BACKEND_REF, PZ_DTYPE_F32, &n), top = 1;
    for (size_t i = 0; i < n; i++)
        top = fmaxf(top, fabsf(truth[i]));
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        size_t m;
        float *out = run_once(make, PZ_BACKEND_CUDA, cases[k].type, &m), worst = 0;
        assert_int_equal(m, n);
        for (size_t i = 0; i < n; i++) {
            assert_true(isfinite(out[i]));
            worst = fmaxf(worst, fabsf(out[i] - truth[i]) / top);
        }
        printf("%s in %s: worst %.3g of %.3g\n", name, pz_dtype_name(cases[k].type), (double)worst,
               (double)cases[k].allowed);
        assert_true(worst <= cases[k].allowed);
        free(out);
    }
    free(truth);
}

static void test_network(void **state)
{
    compare("network", network);
}

static void test_pictures(void **state)
{
    compare("pictures", pictures);
}

/* Weights that travel with each run give the same bits as weights that stay: in two sessions by turns, whose
 * ways to the device are their own. */
static void test_away(void **state)
{
    struct pz_graph *(*const makes[])(void) = {network, pictures};
    const enum pz_dtype types[] = {PZ_DTYPE_F32, PZ_DTYPE_F16};
    for (int k = 0; k < 4; k++) {
        struct pz_plan_params params = {
            .backend = PZ_BACKEND_CUDA, .dtype = types[k / 2], .threads = 1, .away = true};
        struct pz_graph *g = makes[k % 2]();
        struct pz_plan *p = NULL;
        struct pz_session *s[2] = {NULL, NULL};
        size_t n, m;
        float *truth = run_once(makes[k % 2], PZ_BACKEND_CUDA, types[k / 2], &n), *out;
        assert_int_equal(pz_plan_create(&g, &params, NULL, &p), PZ_OK);
        for (int i = 0; i < 2; i++)
            assert_int_equal(pz_session_create(p, NULL, &s[i]), PZ_OK);
        for (int i = 0; i < 6; i++) {
            fill(s[i % 2], SEED);
            assert_int_equal(pz_session_run(s[i % 2], NULL), PZ_OK);
            m = outputs(s[i % 2], &out);
            assert_true(m == n && !memcmp(out, truth, n * sizeof *out));
            free(out);
        }
        pz_session_destroy(&s[0]);
        pz_session_destroy(&s[1]);
        pz_plan_destroy(&p);
        free(truth);
    }
}

struct worker {
    const struct pz_plan *plan;
    uint64_t seed;
    const float *truth;
    size_t n;
    int bad;
};

static void *work(void *user)
{
    struct worker *w = user;
    struct pz_session *s = NULL;
    w->bad = pz_session_create(w->plan, NULL, &s) != PZ_OK;
    for (int round = 0; round < 200 && !w->bad; round++) {
        fill(s, w->seed);
        w->bad = pz_session_run(s, NULL) != PZ_OK ||
                 memcmp(pz_session_output(s, NULL, 0).data, w->truth, w->n * sizeof(float)) != 0;
    }
    pz_session_destroy(&s);
    return NULL;
}

/* Four sessions of two plans at once, each on a stream of its own: the same bits as alone. */
static void test_streams(void **state)
{
    struct pz_plan *plans[2] = {plan(PZ_BACKEND_CUDA, PZ_DTYPE_F16, NULL, NULL),
                                plan(PZ_BACKEND_CUDA, PZ_DTYPE_BF16, NULL, NULL)};
    struct worker w[4];
    pthread_t threads[4];
    float *truth[4];
    for (int i = 0; i < 4; i++) {
        struct pz_session *s = NULL;
        w[i] = (struct worker){.plan = plans[i / 2], .seed = SEED + (uint64_t)i};
        assert_int_equal(pz_session_create(w[i].plan, NULL, &s), PZ_OK);
        fill(s, w[i].seed);
        assert_int_equal(pz_session_run(s, NULL), PZ_OK);
        w[i].n = outputs(s, &truth[i]);
        w[i].truth = truth[i];
        pz_session_destroy(&s);
    }
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work, &w[i]), 0);
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(w[i].bad, 0);
        free(truth[i]);
    }
    for (int i = 0; i < 2; i++)
        pz_plan_destroy(&plans[i]);
}

/* A watched run computes the same, and says of every step how long it took. */
static void test_profile(void **state)
{
    struct pz_plan *p = plan(PZ_BACKEND_CUDA, PZ_DTYPE_F16, NULL, NULL);
    struct pz_profile *profile = pz_profile_create();
    struct pz_session *s = NULL;
    float *before, *after;
    assert_non_null(profile);
    assert_int_equal(pz_session_create(p, NULL, &s), PZ_OK);
    fill(s, SEED);
    assert_int_equal(pz_session_run(s, NULL), PZ_OK);
    size_t n = outputs(s, &before);
    assert_int_equal(pz_session_profile(s, profile, "net"), PZ_OK);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pz_session_run(s, NULL), PZ_OK);
    assert_int_equal(pz_session_profile(s, NULL, NULL), PZ_OK);
    assert_int_equal(pz_session_run(s, NULL), PZ_OK);
    outputs(s, &after);
    assert_memory_equal(before, after, n * sizeof *before);
    char *table = pz_profile_table(profile), *trace = pz_profile_trace(profile);
    assert_non_null(table);
    assert_non_null(trace);
    assert_non_null(strstr(table, "layer_norm"));
    assert_non_null(strstr(table, "attention"));
    assert_null(strstr(table, "whole run"));
    int lines = 0, timed_lines = 0;
    for (char *l = strtok(table, "\n"); l; l = strtok(NULL, "\n")) {
        char network[32], op[32], form[32];
        int calls;
        double ms;
        if (sscanf(l, "%31s %31s %31s %d %lf", network, op, form, &calls, &ms) == 5) {
            lines++;
            assert_int_equal(calls % 3, 0);
            timed_lines += ms > 0 && ms < 1000;
        }
    }
    assert_true(lines >= 4); /* equal steps are one line */
    assert_int_equal(timed_lines, lines);
    pz_free(table);
    pz_free(trace);
    free(before);
    free(after);
    pz_session_destroy(&s);
    pz_plan_destroy(&p);
    pz_profile_destroy(&profile);
}

struct heard {
    int lines;
    char last[512];
};

static void hear(void *user, enum pz_log_level level, const char *text)
{
    struct heard *h = user;
    if (level <= PZ_LOG_WARNING) {
        h->lines++;
        snprintf(h->last, sizeof h->last, "%s", text);
    }
}

static void read_choices(const char *dir, char *path, size_t room, char **text, size_t *n)
{
    char command[600];
    snprintf(command, sizeof command, "ls %s/engines-*.txt", dir);
    FILE *f = popen(command, "r");
    assert_non_null(f);
    assert_non_null(fgets(path, (int)room, f));
    pclose(f);
    path[strcspn(path, "\n")] = 0;
    assert_int_equal(pz_file_read(NULL, path, 1 << 20, text, n), PZ_OK);
}

/* The second plan finds all its choices; a damaged file costs one line and is made anew. */
static void test_choices(void **state)
{
    char dir[] = "/tmp/pz-choices-XXXXXX", path[512], *first, *second, *third;
    size_t n1, n2, n3;
    struct heard h = {0};
    struct pz_log *log = pz_log_create(hear, &h, PZ_LOG_WARNING);
    assert_non_null(mkdtemp(dir));
    struct pz_plan *p = plan(PZ_BACKEND_CUDA, PZ_DTYPE_F16, dir, log);
    pz_plan_destroy(&p);
    read_choices(dir, path, sizeof path, &first, &n1);
    assert_non_null(strstr(first, "\nconv2:"));
    assert_non_null(strstr(first, "\nproduct:"));
    p = plan(PZ_BACKEND_CUDA, PZ_DTYPE_F16, dir, log);
    pz_plan_destroy(&p);
    read_choices(dir, path, sizeof path, &second, &n2);
    assert_int_equal(n1, n2);
    assert_memory_equal(first, second, n1);
    assert_int_equal(h.lines, 0);
    assert_int_equal(truncate(path, (off_t)(n1 / 2)), 0);
    p = plan(PZ_BACKEND_CUDA, PZ_DTYPE_F16, dir, log);
    pz_plan_destroy(&p);
    assert_int_equal(h.lines, 1);
    assert_non_null(strstr(h.last, "ignored"));
    read_choices(dir, path, sizeof path, &third, &n3);
    assert_non_null(strstr(third, "\nend "));
    pz_free(first);
    pz_free(second);
    pz_free(third);
    pz_remove_tree(dir);
    pz_log_destroy(&log);
}

#define SHOW(what)                                                                                           \
    do {                                                                                                     \
        if (!(what)) {                                                                                       \
            printf("not so: %s\n", #what);                                                                   \
            return 1;                                                                                        \
        }                                                                                                    \
    } while (0)

/* The child: after a wild read every call says DEVICE, once in words, and everything can still be closed. */
static int lose(void)
{
    struct heard h = {0};
    struct pz_log *log = pz_log_create(hear, &h, PZ_LOG_WARNING);
    struct pz_plan_params params = {.backend = PZ_BACKEND_CUDA, .dtype = PZ_DTYPE_F16};
    struct pz_graph *g = network();
    struct pz_plan *p = NULL, *q = NULL;
    struct pz_session *s = NULL, *t = NULL;
    SHOW(pz_plan_create(&g, &params, log, &p) == PZ_OK);
    SHOW(pz_session_create(p, log, &s) == PZ_OK);
    fill(s, SEED);
    SHOW(pz_session_run(s, NULL) == PZ_OK);
    SHOW(h.lines == 0);
    (void)pz_ck_unary(PZ_CK_F32, PZ_CK_RELU, 0, 0, (const void *)(uintptr_t)4096, (void *)(uintptr_t)8192,
                      1 << 20, NULL);
    enum pz_status st = PZ_OK;
    for (int i = 0; i < 100 && st == PZ_OK; i++) /* the read may still be under way when the first run ends */
        st = pz_session_run(s, NULL);
    SHOW(st == PZ_ERR_DEVICE);
    SHOW(h.lines == 1);
    SHOW(pz_session_run(s, NULL) == PZ_ERR_DEVICE);
    SHOW(h.lines == 1);
    SHOW(pz_session_create(p, log, &t) == PZ_ERR_DEVICE);
    g = network();
    SHOW(pz_plan_create(&g, &params, log, &q) == PZ_ERR_DEVICE);
    SHOW(q == NULL);
    printf("said: %s\n", h.last);
    pz_session_destroy(&t);
    pz_session_destroy(&s);
    pz_plan_destroy(&p);
    pz_log_destroy(&log);
    return 0;
}

static void test_lost(void **state)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        execl(self, self, "--lose", (char *)NULL);
        _exit(127);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(int argc, char **argv)
{
    if (!pz_cuda_present()) {
        printf("no device\n");
        return 77;
    }
    if (argc > 1 && strcmp(argv[1], "--lose") == 0)
        return lose();
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n < 1)
        return 1;
    printf("seed %d\n", SEED);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_network), cmocka_unit_test(test_pictures),
                                       cmocka_unit_test(test_away),    cmocka_unit_test(test_streams),
                                       cmocka_unit_test(test_profile), cmocka_unit_test(test_choices),
                                       cmocka_unit_test(test_lost)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
