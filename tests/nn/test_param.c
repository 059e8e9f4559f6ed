/* Parameter trees: the hash rule, the same network from rule and from a file in every stored type, batch
 * norms folded, and files that lack, bend or add a tensor. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "nn/layer.h"
#include "tensor/half.h"
#include "tensor/plan.h"
#include "weights/safetensors.h"

#define N_OUT 5

/* Every layout once: convolution with folded norm, depthwise, transposed with folded norm, dense, 1×1,
 * conv1d, a table. */
static int network(struct pz_params *p, int x)
{
    static const float ramp[N_OUT] = {0.5f, 1, 1.5f, 2, 2.5f};
    pz_params_push(p, "block.%d", 0);
    x = pz_nn_conv2d(p, "conv", x,
                     &(struct pz_nn_conv){.out = 6, .kernel = {3, 2}, .pad = {1, 1, 0, 1}, .norm = "bn"});
    x = pz_nn_conv2d(p, "deep", x,
                     &(struct pz_nn_conv){.out = 6,
                                          .kernel = {3, 3},
                                          .pad = {1, 1, 1, 1},
                                          .depthwise = true,
                                          .no_bias = true,
                                          .norm = "deep_bn",
                                          .act = PZ_ACT_RELU});
    x = pz_nn_conv2d(p, "up", x,
                     &(struct pz_nn_conv){.out = 4,
                                          .kernel = {3, 3},
                                          .stride = {2, 2},
                                          .pad = {1, 1, 1, 1},
                                          .transposed = true,
                                          .more = {1, 1},
                                          .norm = "up_bn"});
    pz_params_pop(p);
    int h = pz_nn_dim(p, x, 1), w = pz_nn_dim(p, x, 2);
    x = pz_nn_reshape(p, x, (struct pz_shape){4, {1, 1, h * w, 4}});
    x = pz_nn_conv1d(p, "time", x, 8, 3, 2, 1);
    x = pz_nn_dense_1x1(p, "point", x, 7);
    x = pz_nn_dense_also(p, "to_q", "query", x, N_OUT, true);
    return pz_nn_add(p, x, pz_params_table(p, "ramp", 1, (int[]){N_OUT}, ramp));
}

struct built {
    struct pz_graph *g;
    struct pz_params *p;
    enum pz_status st;
};

static struct built build(const struct pz_params_options *o, struct pz_log *log)
{
    struct built b = {.g = pz_graph_create(log)};
    b.p = pz_params_create(b.g, o, log);
    int x = pz_graph_input(b.g, "x", (struct pz_shape){4, {1, 5, 6, 3}});
    pz_graph_output(b.g, "y", network(b.p, x));
    b.st = pz_params_finish(b.p);
    return b;
}

static size_t run(struct built *b, struct pz_checkpoint **c, enum pz_backend backend, float *y)
{
    struct pz_plan_params params = pz_plan_default;
    struct pz_plan *plan;
    struct pz_session *s;
    params.backend = backend;
    assert_int_equal(b->st, PZ_OK);
    pz_params_destroy(&b->p);
    assert_int_equal(pz_plan_create(&b->g, &params, NULL, &plan), PZ_OK);
    pz_checkpoint_close(c);
    assert_int_equal(pz_session_create(plan, NULL, &s), PZ_OK);
    struct pz_view in = pz_session_input(s, "x", 0), out = pz_session_output(s, "y", 0);
    size_t n = pz_shape_count(&out.shape);
    pz_rule_input(1000, -1, 1, pz_shape_count(&in.shape), in.data);
    assert_int_equal(pz_session_run(s, NULL), PZ_OK);
    memcpy(y, out.data, n * sizeof *y);
    pz_session_destroy(&s);
    pz_plan_destroy(&plan);
    return n;
}

static void the_rule_is_the_sheets(void **state)
{
    float u[4], v[4];
    pz_rule_input(0, 0, 1, 4, u);
    pz_rule_input(7, 0, 1, 4, v);
    assert_true(u[0] == 0.73811484663747f && u[1] == 0.23152971267700f && u[2] == 0.33844340336509f);
    assert_true(v[0] == 0.31212805816904f && v[3] == 0.67387014744714f);
    struct built b = build(NULL, NULL);
    assert_int_equal(b.st, PZ_OK);
    int n = pz_params_count(b.p), seen = 0;
    for (int i = 0; i < n; i++) {
        struct pz_param_info e = pz_params_at(b.p, i);
        float w[2];
        assert_true(i == n - 1 ? e.table : !e.table);
        if (i)
            assert_true(e.table || strcmp(pz_params_at(b.p, i - 1).name, e.name) < 0);
        pz_rule_input((uint32_t)i, -1, 1, 2, v);
        pz_params_rule(b.p, i, 0, 2, w);
        if (strcmp(e.name, "block.0.bn.running_var") == 0 && ++seen)
            assert_true(fabsf(w[1] - (1 + 0.25f * (v[1] + 1))) < 1e-6f);
        if (strcmp(e.name, "block.0.bn.weight") == 0 && ++seen)
            assert_true(fabsf(w[1] - (1 + 0.1f * v[1])) < 1e-6f);
        if (strcmp(e.name, "block.0.conv.bias") == 0 && ++seen)
            assert_true(fabsf(w[1] - 0.1f * v[1]) < 1e-6f);
        if (strcmp(e.name, "block.0.conv.weight") == 0 && ++seen)
            assert_true(fabsf(w[1] - sqrtf(3.0f / 18) * v[1]) < 1e-6f);
    }
    assert_int_equal(seen, 4);
    assert_int_equal(pz_params_elements(b.p),
                     108 + 6 + 24 + 54 + 24 + 6 * 4 * 9 + 4 + 16 + 8 * 4 * 3 + 8 + 7 * 8 + 7 + 5 * 7 + 5);
    pz_params_destroy(&b.p);
    pz_graph_destroy(&b.g);
}

enum { AS_IT_IS, LACKS, BENT, SURPLUS, OLD_NAMES, COUNTERS, INTEGERS };

/* The network's parameters by rule, as a file of one stored type. */
static char *write_file(enum pz_dtype dtype, int what)
{
    struct built b = build(NULL, NULL);
    struct pz_stored_tensor t[64];
    char *names[64];
    int n = pz_params_count(b.p);
    memset(t, 0, sizeof t);
    for (int i = 0; i < n; i++) {
        struct pz_param_info e = pz_params_at(b.p, i);
        size_t all = 1;
        t[i].rank = e.rank;
        for (int k = 0; k < e.rank; k++)
            all *= (size_t)(t[i].shape[k] = e.shape[k]);
        float *wide = malloc(all * 8);
        uint16_t *half = malloc(all * 8);
        pz_params_rule(b.p, i, 0, all, wide);
        for (size_t k = 0; k < all; k++)
            half[k] = dtype == PZ_DTYPE_F16 ? pz_f32_to_f16(wide[k]) : pz_f32_to_bf16(wide[k]);
        bool old = what == OLD_NAMES && strncmp(e.name, "to_q", 4) == 0;
        int len = snprintf(NULL, 0, "m.%s", e.name);
        names[i] = malloc((size_t)len + 8);
        sprintf(names[i], "m.%s%s", old ? "query" : "", old ? e.name + 4 : e.name);
        t[i].name = names[i];
        t[i].dtype = dtype;
        t[i].data = dtype == PZ_DTYPE_F32 ? (void *)wide : (void *)half;
        if (dtype == PZ_DTYPE_F32)
            free(half);
        else
            free(wide);
        if (what == OLD_NAMES && strcmp(e.name, "point.weight") == 0)
            t[i].rank = 2;
        if (what == BENT && strcmp(e.name, "time.weight") == 0) {
            t[i].shape[1] = 3;
            t[i].shape[2] = 4;
        }
        if (what == INTEGERS && strcmp(e.name, "time.weight") == 0)
            t[i].dtype = PZ_DTYPE_I32;
    }
    pz_params_destroy(&b.p);
    pz_graph_destroy(&b.g);
    int many = what == LACKS ? n - 2 : n; /* the last parameter, "to_q.weight", and the table */
    static float zero[4];
    if (what == SURPLUS || what == COUNTERS)
        t[many++] = (struct pz_stored_tensor){.name = what == SURPLUS ? "m.other.weight"
                                                                      : "m.block.0.bn.num_batches_tracked",
                                              .dtype = PZ_DTYPE_F32,
                                              .rank = 1,
                                              .shape = {4},
                                              .data = zero};
    char *path = malloc(64);
    sprintf(path, "/tmp/pz-test-param-%d-%d.safetensors", (int)getpid(), what);
    assert_int_equal(pz_safetensors_write(NULL, path, t, many, NULL, 0), PZ_OK);
    for (int i = 0; i < n; i++) {
        free(names[i]);
        free((void *)(uintptr_t)t[i].data);
    }
    return path;
}

static void file_equals_rule(void **state)
{
    static const enum pz_dtype types[] = {PZ_DTYPE_F32, PZ_DTYPE_F16, PZ_DTYPE_BF16};
    float a[1024], b[1024];
    struct built rule = build(NULL, NULL);
    struct pz_checkpoint *c = NULL;
    size_t n = run(&rule, &c, PZ_BACKEND_REF, a);
    assert_true(n > 100 && n < 1024);
    for (int k = 0; k < 12; k++) {
        enum pz_dtype type = types[k % 3];
        int what = k < 6 ? AS_IT_IS : k < 9 ? OLD_NAMES : COUNTERS;
        char *path = write_file(type, what);
        assert_int_equal(pz_checkpoint_open(path, NULL, &c), PZ_OK);
        struct pz_params_options o = {.checkpoint = c, .file = path, .prefix = "m."};
        struct built file = build(&o, NULL);
        assert_int_equal(run(&file, &c, k % 2 ? PZ_BACKEND_CPU : PZ_BACKEND_REF, b), n);
        double worst = 0;
        for (size_t i = 0; i < n; i++)
            worst = fmax(worst, fabs((double)a[i] - b[i]));
        double may = type == PZ_DTYPE_F32 ? (k % 2 ? 1e-5 : 0) : type == PZ_DTYPE_F16 ? 4e-3 : 3e-2;
        if (!(worst <= may))
            fail_msg("stored %s, case %d: off by %g", pz_dtype_name(type), what, worst);
        unlink(path);
        free(path);
    }
}

/* The folded norm is the norm: the same network with the four vectors applied by the operation. */
static void folding_is_the_norm(void **state)
{
    struct pz_graph *g = pz_graph_create(NULL);
    struct pz_params *p = pz_params_create(g, NULL, NULL);
    int x = pz_graph_input(g, "x", (struct pz_shape){4, {1, 5, 6, 3}});
    struct pz_nn_conv c = {.out = 8, .kernel = {3, 3}, .norm = "bn", .norm_eps = 1e-3f};
    pz_params_push(p, "a");
    pz_graph_output(g, "folded", pz_nn_conv2d(p, "conv", x, &c));
    pz_params_pop(p);
    assert_int_equal(pz_params_finish(p), PZ_OK);
    /* the plain one from the values of the list */
    int v[6];
    for (int i = 0; i < 6; i++) { /* bn.bias .running_mean .running_var .weight, conv.bias .weight */
        float w[8 * 27], turned[8 * 27];
        pz_params_rule(p, i, 0, i == 5 ? 216 : 8, w);
        for (int o = 0; o < 8; o++)
            for (int ci = 0; ci < 3; ci++)
                for (int k = 0; k < 9 && i == 5; k++)
                    turned[(o * 9 + k) * 3 + ci] = w[(o * 3 + ci) * 9 + k];
        v[i] = pz_graph_const(g, PZ_DTYPE_F32,
                              i == 5 ? (struct pz_shape){4, {8, 3, 3, 3}} : (struct pz_shape){1, {8}},
                              i == 5 ? turned : w);
    }
    struct pz_attrs one = {.stride = {1, 1}, .dilation = {1, 1}}, bn = {.eps = 1e-3f};
    int y = pz_graph_op(g, PZ_OP_CONV2D, &one, (int[]){x, v[5], v[4]}, 3);
    pz_graph_output(g, "plain", pz_graph_op(g, PZ_OP_BATCH_NORM, &bn, (int[]){y, v[1], v[2], v[3], v[0]}, 5));
    struct pz_plan_params params = {.backend = PZ_BACKEND_REF};
    struct pz_plan *plan;
    struct pz_session *s;
    pz_params_destroy(&p);
    assert_int_equal(pz_plan_create(&g, &params, NULL, &plan), PZ_OK);
    assert_int_equal(pz_session_create(plan, NULL, &s), PZ_OK);
    pz_rule_input(1001, -1, 1, 90, pz_session_input(s, "x", 0).data);
    pz_session_run(s, NULL);
    struct pz_view a = pz_session_output(s, "folded", 0), b = pz_session_output(s, "plain", 0);
    for (size_t i = 0; i < pz_shape_count(&a.shape); i++)
        assert_true(fabsf(((float *)a.data)[i] - ((float *)b.data)[i]) < 2e-6f);
    assert_true(fabsf(((float *)a.data)[0]) > 1e-4f);
    pz_session_destroy(&s);
    pz_plan_destroy(&plan);
}

static void wrong_files_are_named(void **state)
{
    static const struct {
        int what;
        const char *says[3];
    } cases[] = {{LACKS, {"to_q.weight", "missing", "query.weight"}},
                 {BENT, {"m.time.weight", "[8,3,4]", "[8,4,3]"}},
                 {INTEGERS, {"m.time.weight", "I32", "floats"}},
                 {SURPLUS, {"m.other.weight", "does not belong", "0 more"}}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct pz_log *log = pz_log_create(NULL, NULL, PZ_LOG_ERROR);
        char *path = write_file(PZ_DTYPE_F32, cases[i].what), line[1024];
        struct pz_checkpoint *c;
        assert_int_equal(pz_checkpoint_open(path, NULL, &c), PZ_OK);
        struct pz_params_options o = {.checkpoint = c, .file = path, .prefix = "m."};
        struct built b = build(&o, log);
        assert_int_equal(b.st, PZ_ERR_WEIGHTS);
        pz_log_last_error(log, line, sizeof line);
        for (int k = 0; k < 3; k++)
            if (!strstr(line, cases[i].says[k]))
                fail_msg("'%s' does not say '%s'", line, cases[i].says[k]);
        pz_params_destroy(&b.p);
        pz_graph_destroy(&b.g);
        if (cases[i].what == SURPLUS) {
            o.ignore = (const char *const[]){"m.oth*", NULL};
            b = build(&o, NULL);
            assert_int_equal(b.st, PZ_OK);
            pz_params_destroy(&b.p);
            pz_graph_destroy(&b.g);
        }
        pz_checkpoint_close(&c);
        unlink(path);
        free(path);
        pz_log_destroy(&log);
    }
}

/* 1, 5, 8, 9 and 13 states (Whisper's of tiny and small among them) side by side. */
static void states_are_stacked(void **state)
{
    static const int counts[] = {1, 5, 8, 9, 13};
    for (size_t k = 0; k < sizeof counts / sizeof *counts; k++) {
        struct pz_graph *g = pz_graph_create(NULL);
        struct pz_params *p = pz_params_create(g, NULL, NULL);
        int n = counts[k], h[13];
        for (int i = 0; i < n; i++) {
            char name[16];
            snprintf(name, sizeof name, "h%d", i);
            h[i] = pz_graph_input(g, name, (struct pz_shape){3, {2, 3, 4}});
        }
        pz_graph_output(g, "all", pz_nn_stack(p, h, n));
        assert_int_equal(pz_params_finish(p), PZ_OK);
        pz_params_destroy(&p);
        struct pz_plan *plan;
        struct pz_session *s;
        assert_int_equal(pz_plan_create(&g, &pz_plan_default, NULL, &plan), PZ_OK);
        assert_int_equal(pz_session_create(plan, NULL, &s), PZ_OK);
        for (int i = 0; i < n; i++)
            for (int j = 0; j < 24; j++)
                ((float *)pz_session_input(s, NULL, i).data)[j] = (float)(100 * i + j);
        pz_session_run(s, NULL);
        struct pz_view v = pz_session_output(s, "all", 0);
        assert_int_equal(v.shape.rank, 4);
        assert_int_equal(v.shape.dim[2], n);
        for (int r = 0; r < 6; r++)
            for (int i = 0; i < n; i++)
                for (int c = 0; c < 4; c++)
                    assert_true(((float *)v.data)[(r * n + i) * 4 + c] == (float)(100 * i + 4 * r + c));
        pz_session_destroy(&s);
        pz_plan_destroy(&plan);
    }
}

static void mistakes_of_the_caller(void **state)
{
    for (int i = 0; i < 4; i++) {
        struct pz_graph *g = pz_graph_create(NULL);
        struct pz_params *p = pz_params_create(g, NULL, NULL);
        pz_params_push(p, "a");
        pz_params_get(p, &(struct pz_param){.name = "w", .rank = 1, .shape = {i == 1 ? 0 : 3}});
        if (i == 0)
            pz_params_get(p, &(struct pz_param){.name = "w", .rank = 1, .shape = {3}});
        for (int k = 0; k < (i == 3 ? 40 : 0); k++)
            pz_params_push(p, "deep");
        for (int k = 0; k < (i == 3 ? 40 : 0); k++)
            pz_params_pop(p);
        if (i != 2)
            pz_params_pop(p);
        assert_int_equal(pz_params_finish(p), PZ_ERR_INTERNAL);
        pz_params_destroy(&p);
        pz_graph_destroy(&g);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_rule_is_the_sheets), cmocka_unit_test(file_equals_rule),
        cmocka_unit_test(folding_is_the_norm),    cmocka_unit_test(wrong_files_are_named),
        cmocka_unit_test(states_are_stacked),     cmocka_unit_test(mistakes_of_the_caller),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
