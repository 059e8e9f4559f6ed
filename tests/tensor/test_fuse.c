/* Each fusion of the planner: as many nodes as promised and the same numbers as node by node; and what must
 * not be merged is not. Memory is shared where nobody reads it again, and only there. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "tensor/plan.h"

#define SEED 20261122u

/* A graph is built twice, with the same numbers: once to be run plainly, once fused. */
struct maker {
    struct pz_graph *g;
    struct pz_rng rng;
    bool lazy; /* constants are made on demand */
};

static struct pz_shape shape(int rank, const int *dim)
{
    struct pz_shape s = {.rank = rank};
    memcpy(s.dim, dim, (size_t)rank * sizeof *dim);
    return s;
}
#define S(...) shape((int)(sizeof((int[]){__VA_ARGS__}) / sizeof(int)), (int[]){__VA_ARGS__})

static enum pz_status from_memory(const void *ctx, struct pz_log *log, int first, int n, float *out)
{
    const size_t *row = ctx;
    memcpy(out, (const float *)(row + 1) + (size_t)first * *row, (size_t)n * *row * sizeof *out);
    return PZ_OK;
}

static int constant(struct maker *m, struct pz_shape s, float low, float spread)
{
    size_t n = pz_shape_count(&s), *ctx = malloc(sizeof *ctx + n * sizeof(float));
    float *v = (float *)(ctx + 1);
    *ctx = n / (size_t)(s.rank ? s.dim[0] : 1);
    for (size_t i = 0; i < n; i++)
        v[i] = low + spread * pz_rng_normal(&m->rng);
    if (m->lazy)
        return pz_graph_const_from(m->g, s, &(struct pz_source){from_memory, free, ctx});
    int id = pz_graph_const(m->g, PZ_DTYPE_F32, s, v);
    free(ctx);
    return id;
}

static int weights(struct maker *m, struct pz_shape s)
{
    return constant(m, s, 0, 0.3f);
}

static int variance(struct maker *m, int c)
{
    float *v = malloc((size_t)c * sizeof *v);
    for (int i = 0; i < c; i++)
        v[i] = 0.25f + pz_rng_uniform(&m->rng);
    int id = pz_graph_const(m->g, PZ_DTYPE_F32, S(c), v);
    free(v);
    return id;
}

static int op(struct maker *m, enum pz_op o, const struct pz_attrs *a, int n, int p, int q, int r)
{
    return pz_graph_op(m->g, o, a, (int[]){p, q, r}, n);
}

static int batch_norm(struct maker *m, int x, int c, enum pz_act act)
{
    struct pz_attrs a = {.eps = 1e-5f, .act = act};
    int in[5] = {x, constant(m, S(c), 0, 0.5f), variance(m, c), constant(m, S(c), 1, 0.2f),
                 constant(m, S(c), 0, 0.5f)};
    return pz_graph_op(m->g, PZ_OP_BATCH_NORM, &a, in, 5);
}

static const struct pz_attrs same = {.stride = {1, 1}, .dilation = {1, 1}, .pad = {1, 1, 1, 1}};

static void conv_norm(struct maker *m, bool bias, enum pz_act act, bool relu)
{
    int x = pz_graph_input(m->g, "x", S(2, 7, 6, 5)), w = weights(m, S(9, 3, 3, 5));
    int b = bias ? weights(m, S(9)) : PZ_NONE;
    int y = batch_norm(m, op(m, PZ_OP_CONV2D, &same, 3, x, w, b), 9, act);
    pz_graph_output(m->g, "y", relu ? op(m, PZ_OP_RELU, NULL, 1, y, 0, 0) : y);
}

static void conv_norm_relu(struct maker *m)
{
    conv_norm(m, true, PZ_ACT_NONE, true);
}

static void conv_norm_act(struct maker *m)
{
    conv_norm(m, false, PZ_ACT_RELU6, false);
}

static void conv_norm_silu(struct maker *m)
{
    conv_norm(m, true, PZ_ACT_SILU, false);
}

static void depthwise_norm(struct maker *m)
{
    int x = pz_graph_input(m->g, "x", S(1, 7, 6, 5)), w = weights(m, S(1, 3, 3, 5));
    int y = batch_norm(m, op(m, PZ_OP_DWCONV2D, &same, 2, x, w, 0), 5, PZ_ACT_NONE);
    pz_graph_output(m->g, "y", op(m, PZ_OP_PRELU, NULL, 2, y, constant(m, S(1, 1, 5), 0, 0.3f), 0));
}

static void transposed_norm(struct maker *m)
{
    struct pz_attrs a = {.stride = {2, 2}, .dilation = {1, 1}, .pad = {1, 1, 1, 1}, .size = {1, 1}};
    int x = pz_graph_input(m->g, "x", S(1, 4, 5, 6)), w = weights(m, S(6, 3, 3, 7));
    int y = batch_norm(m, op(m, PZ_OP_CONV_TRANSPOSE2D, &a, 3, x, w, weights(m, S(7))), 7, PZ_ACT_NONE);
    pz_graph_output(m->g, "y", op(m, PZ_OP_RELU, NULL, 1, y, 0, 0));
}

static void grouped_norm(struct maker *m)
{
    struct pz_attrs a = same;
    a.groups = 3;
    int x = pz_graph_input(m->g, "x", S(1, 5, 5, 6)), w = weights(m, S(9, 3, 3, 2));
    pz_graph_output(m->g, "y", batch_norm(m, op(m, PZ_OP_GROUPED_CONV2D, &a, 2, x, w, 0), 9, PZ_ACT_RELU));
}

static void volume_norm(struct maker *m)
{
    struct pz_attrs a = same;
    a.stride_d = a.dilation_d = a.pad_d[0] = a.pad_d[1] = 1;
    int x = pz_graph_input(m->g, "x", S(1, 3, 4, 5, 4)), w = weights(m, S(6, 3, 3, 3, 4));
    pz_graph_output(m->g, "y", batch_norm(m, op(m, PZ_OP_CONV3D, &a, 2, x, w, 0), 6, PZ_ACT_RELU));
}

static void dense_norm(struct maker *m)
{
    int x = pz_graph_input(m->g, "x", S(3, 8)), w = weights(m, S(6, 8));
    int y = batch_norm(m, op(m, PZ_OP_FULLY_CONNECTED, NULL, 2, x, w, 0), 6, PZ_ACT_NONE);
    pz_graph_output(m->g, "y", op(m, PZ_OP_GELU, NULL, 1, y, 0, 0));
}

static void conv_chain(struct maker *m)
{
    int x = pz_graph_input(m->g, "x", S(1, 6, 6, 8)), r = pz_graph_input(m->g, "r", S(1, 6, 6, 8));
    int y = op(m, PZ_OP_CONV2D, &same, 2, x, weights(m, S(8, 3, 3, 8)), 0);
    y = op(m, PZ_OP_ADD, NULL, 2, constant(m, S(1, 1, 1, 8), 0, 1), y, 0); /* a bias, as importers leave it */
    y = op(m, PZ_OP_ADD, NULL, 2, y, r, 0);
    pz_graph_output(m->g, "y", op(m, PZ_OP_RELU, NULL, 1, y, 0, 0));
}

/* The residual is made after the convolution: the node moves. */
static void late_residual(struct maker *m)
{
    int x = pz_graph_input(m->g, "x", S(1, 6, 6, 8));
    int y = op(m, PZ_OP_CONV2D, &same, 2, x, weights(m, S(8, 3, 3, 8)), 0),
        r = op(m, PZ_OP_TANH, NULL, 1, x, 0, 0);
    pz_graph_output(m->g, "y", op(m, PZ_OP_RELU, NULL, 1, op(m, PZ_OP_ADD, NULL, 2, y, r, 0), 0, 0));
}

static void dense_residual(struct maker *m)
{
    int x = pz_graph_input(m->g, "x", S(2, 5, 8));
    int y = op(m, PZ_OP_FULLY_CONNECTED, NULL, 3, x, weights(m, S(16, 8)), weights(m, S(16)));
    y = op(m, PZ_OP_GELU, NULL, 1, y, 0, 0);
    y = op(m, PZ_OP_FULLY_CONNECTED, NULL, 3, y, weights(m, S(8, 16)), weights(m, S(8)));
    pz_graph_output(m->g, "y", op(m, PZ_OP_ADD, NULL, 2, x, y, 0));
}

/* A dense layer takes a residual or an activation: the second stays. */
static void dense_residual_relu(struct maker *m)
{
    int x = pz_graph_input(m->g, "x", S(2, 8));
    int y = op(m, PZ_OP_FULLY_CONNECTED, NULL, 2, x, weights(m, S(8, 8)), 0);
    pz_graph_output(m->g, "y", op(m, PZ_OP_RELU, NULL, 1, op(m, PZ_OP_ADD, NULL, 2, x, y, 0), 0, 0));
}

static void norms_and_sums(struct maker *m)
{
    int x = pz_graph_input(m->g, "x", S(2, 4, 4, 8));
    struct pz_attrs a = {.groups = 2, .eps = 1e-5f},
                    one = {.stride = {2, 2}, .dilation = {1, 1}, .kernel = {2, 2}};
    int y = op(m, PZ_OP_SILU, NULL, 1,
               op(m, PZ_OP_GROUP_NORM, &a, 3, x, constant(m, S(8), 1, 0.1f), weights(m, S(8))), 0, 0);
    y = op(m, PZ_OP_RELU, NULL, 1, op(m, PZ_OP_ADD, NULL, 2, x, y, 0), 0, 0);
    y = op(m, PZ_OP_RELU6, NULL, 1, op(m, PZ_OP_MAXPOOL, &one, 1, y, 0, 0), 0, 0);
    a.groups = 0;
    pz_graph_output(m->g, "y", op(m, PZ_OP_GELU, NULL, 1, op(m, PZ_OP_LAYER_NORM, &a, 1, y, 0, 0), 0, 0));
}

/* What is read twice, is an output, or has weights that others use stays. */
static void kept_apart(struct maker *m)
{
    int x = pz_graph_input(m->g, "x", S(1, 6, 6, 4)), w = weights(m, S(4, 3, 3, 4));
    int y = op(m, PZ_OP_CONV2D, &same, 2, x, w, 0), z = op(m, PZ_OP_RELU, NULL, 1, y, 0, 0);
    pz_graph_output(m->g, "y", y);
    int u = op(m, PZ_OP_CONV2D, &same, 2, z, w, 0); /* the weights are shared: the norm stays a node */
    u = batch_norm(m, u, 4, PZ_ACT_NONE);
    int v = op(m, PZ_OP_CONV2D, &same, 2, u, weights(m, S(4, 3, 3, 4)), 0);
    pz_graph_output(m->g, "z", op(m, PZ_OP_MUL, NULL, 2, v, op(m, PZ_OP_RELU, NULL, 1, v, 0, 0), 0));
}

/* Moves no element: a reshape, whose memory is its input's. */
static void still_transpose(struct maker *m)
{
    int x = pz_graph_input(m->g, "x", S(1, 6, 1, 4));
    struct pz_attrs a = {.perm = {2, 1, 0, 3}};
    int y = op(m, PZ_OP_TRANSPOSE, &a, 1, op(m, PZ_OP_TANH, NULL, 1, x, 0, 0), 0, 0);
    pz_graph_output(m->g, "y", op(m, PZ_OP_SOFTMAX, NULL, 1, y, 0, 0));
}

static struct pz_session *run(void (*make)(struct maker *), bool lazy, struct pz_plan_params params,
                              struct pz_plan **plan)
{
    struct maker m = {.g = pz_graph_create(NULL), .lazy = lazy};
    struct pz_session *s;
    struct pz_rng r;
    pz_rng_init(&m.rng, SEED, 0);
    pz_rng_init(&r, SEED, 1);
    make(&m);
    assert_int_equal(pz_graph_status(m.g), PZ_OK);
    assert_int_equal(pz_plan_create(&m.g, &params, NULL, plan), PZ_OK);
    assert_int_equal(pz_session_create(*plan, NULL, &s), PZ_OK);
    for (int i = 0; pz_session_input(s, NULL, i).data; i++) {
        struct pz_view v = pz_session_input(s, NULL, i);
        for (size_t k = 0; k < pz_shape_count(&v.shape); k++)
            ((float *)v.data)[k] = pz_rng_normal(&r);
    }
    assert_int_equal(pz_session_run(s, NULL), PZ_OK);
    assert_int_equal(pz_session_run(s, NULL), PZ_OK); /* a second run finds its inputs whole */
    return s;
}

static void check(void (*make)(struct maker *), int nodes, bool lazy)
{
    struct pz_plan *pa, *pb;
    struct pz_session *a =
        run(make, false, (struct pz_plan_params){.backend = PZ_BACKEND_REF, .keep_all = true}, &pa);
    struct pz_session *b = run(make, lazy, pz_plan_default, &pb);
    assert_int_equal(pz_plan_nodes(pb), nodes);
    for (int o = 0; pz_session_output(a, NULL, o).data; o++) {
        struct pz_view u = pz_session_output(a, NULL, o), v = pz_session_output(b, NULL, o);
        float top = 0.1f, differ = 0;
        assert_true(pz_shape_equal(&u.shape, &v.shape));
        for (size_t i = 0; i < pz_shape_count(&u.shape); i++) {
            top = fmaxf(top, fabsf(((float *)u.data)[i]));
            differ = fmaxf(differ, fabsf(((float *)u.data)[i] - ((float *)v.data)[i]));
            assert_false(isnan(((float *)v.data)[i]));
        }
        if (!(differ <= 1e-5f * top))
            fail_msg("output %d differs by %g of %g", o, (double)differ, (double)top);
    }
    pz_session_destroy(&a);
    pz_session_destroy(&b);
    pz_plan_destroy(&pa);
    pz_plan_destroy(&pb);
}

static void fusions_keep_the_numbers(void **state)
{
    static const struct {
        const char *name;
        void (*make)(struct maker *);
        int nodes;
    } all[] = {
        {"conv + norm + relu", conv_norm_relu, 1},
        {"conv + norm with relu6", conv_norm_act, 1},
        {"conv + norm with silu", conv_norm_silu, 2},
        {"depthwise + norm + prelu", depthwise_norm, 1},
        {"transposed + norm + relu", transposed_norm, 1},
        {"grouped + norm with relu", grouped_norm, 1},
        {"3-D + norm with relu", volume_norm, 1},
        {"dense + norm + gelu", dense_norm, 1},
        {"conv + bias + residual + relu", conv_chain, 1},
        {"conv + later residual + relu", late_residual, 2},
        {"dense + gelu + dense + residual", dense_residual, 2},
        {"dense + residual + relu", dense_residual_relu, 2},
        {"norms, sums, pools + activations", norms_and_sums, 4},
        {"what stays apart", kept_apart, 7},
        {"a permutation that moves nothing", still_transpose, 3},
    };
    print_message("seed %u\n", SEED);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        for (int lazy = 0; lazy < 2; lazy++) {
            print_message("%s%s\n", all[i].name, lazy ? ", constants on demand" : "");
            check(all[i].make, all[i].nodes, lazy);
        }
}

static void unary_chain(struct maker *m)
{
    int x = pz_graph_input(m->g, "x", S(64, 64)), y = x;
    for (int i = 0; i < 6; i++)
        y = op(m, i % 2 ? PZ_OP_TANH : PZ_OP_SIGMOID, NULL, 1, y, 0, 0);
    pz_graph_output(m->g, "y", y);
}

static void read_again(struct maker *m)
{
    int x = pz_graph_input(m->g, "x", S(64, 64)), y = op(m, PZ_OP_TANH, NULL, 1, x, 0, 0);
    struct pz_attrs flat = {.shape = {1, {64 * 64}}}, back = {.shape = {2, {64, 64}}};
    int z = op(m, PZ_OP_RESHAPE, &flat, 1, y, 0, 0); /* the same memory under another name */
    int u = op(m, PZ_OP_SIGMOID, NULL, 1, y, 0, 0);  /* must not write over it */
    z = op(m, PZ_OP_EXP, NULL, 1, z, 0, 0);
    pz_graph_output(m->g, "y", op(m, PZ_OP_ADD, NULL, 2, u, op(m, PZ_OP_RESHAPE, &back, 1, z, 0, 0), 0));
    pz_graph_output(m->g, "x", op(m, PZ_OP_ADD, NULL, 2, x, x, 0));
}

static void results_lie_where_inputs_lay(void **state)
{
    struct pz_plan *p;
    struct pz_session *s = run(unary_chain, false, pz_plan_default, &p);
    assert_true(pz_plan_arena_bytes(p) <=
                2 * 64 * 64 * 4 + 1024); /* the input, and one place for all the rest */
    pz_session_destroy(&s);
    pz_plan_destroy(&p);
    check(unary_chain, 6, false);
    check(read_again, 7, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fusions_keep_the_numbers),
        cmocka_unit_test(results_lie_where_inputs_lay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
