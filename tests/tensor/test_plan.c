/* Plans: random networks give the same numbers fused and packed into one arena as node by node; bad graphs
 * are refused. */
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
#include "tensor/half.h"
#include "tensor/plan.h"

#define SIDE 9

static int constant(struct pz_graph *g, struct pz_rng *r, struct pz_shape s, float scale)
{
    size_t n = pz_shape_count(&s);
    float *v = malloc(n * sizeof *v);
    for (size_t i = 0; i < n; i++)
        v[i] = scale * pz_rng_normal(r);
    int id = pz_graph_const(g, PZ_DTYPE_F32, s, v);
    free(v);
    return id;
}

/* A residual network with branches that keep values alive for long, seeded. */
static struct pz_graph *network(uint64_t seed)
{
    struct pz_rng r;
    pz_rng_init(&r, seed, 1);
    struct pz_graph *g = pz_graph_create(NULL);
    int c = 4 + (int)pz_rng_below(&r, 30);
    struct pz_attrs same = {.stride = {1, 1}, .dilation = {1, 1}, .pad = {1, 1, 1, 1}}, point = same;
    memset(point.pad, 0, sizeof point.pad);
    int x = pz_graph_input(g, "x", (struct pz_shape){4, {1, SIDE, SIDE, c}}), early = x;
    for (int i = 0; i < 8; i++) {
        int dw = constant(g, &r, (struct pz_shape){4, {1, 3, 3, c}}, 0.3f);
        int pw = constant(g, &r, (struct pz_shape){4, {c, 1, 1, c}}, 1 / sqrtf((float)c));
        int b = constant(g, &r, (struct pz_shape){1, {c}}, 0.1f);
        int slope = constant(g, &r, (struct pz_shape){3, {1, 1, c}}, 0.3f);
        int y = pz_graph_op(g, PZ_OP_DWCONV2D, &same, (int[]){x, dw, b}, 3);
        y = pz_graph_op(g, PZ_OP_CONV2D, &point, (int[]){y, pw, b}, 3);
        y = pz_graph_op(g, PZ_OP_ADD, NULL, pz_rng_below(&r, 2) ? (int[]){x, y} : (int[]){y, x}, 2);
        switch (pz_rng_below(&r, 4)) {
        case 0:
            y = pz_graph_op(g, PZ_OP_RELU, NULL, &y, 1);
            break;
        case 1:
            y = pz_graph_op(g, PZ_OP_PRELU, NULL, (int[]){y, slope}, 2);
            break;
        case 2:
            y = pz_graph_op(g, PZ_OP_ADD, NULL, (int[]){y, early}, 2);
            break;
        default:
            y = pz_graph_op(g, PZ_OP_RELU6, NULL, &y, 1);
            break;
        }
        if (i == 3) {
            early = y;
            pz_graph_output(g, "middle", y);
        }
        x = y;
    }
    struct pz_attrs flat = {.shape = {2, {1, -1}}};
    pz_graph_output(g, "flat", pz_graph_op(g, PZ_OP_RESHAPE, &flat, &x, 1));
    return g;
}

static struct pz_session *session(uint64_t seed, struct pz_plan_params params, struct pz_plan **plan)
{
    struct pz_graph *g = network(seed);
    struct pz_session *s;
    assert_int_equal(pz_graph_status(g), PZ_OK);
    assert_int_equal(pz_plan_create(&g, &params, NULL, plan), PZ_OK);
    assert_null(g);
    assert_int_equal(pz_session_create(*plan, NULL, &s), PZ_OK);
    return s;
}

static void fused_equals_plain(void **state)
{
    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct pz_plan *pa, *pb;
        struct pz_session *a =
            session(seed, (struct pz_plan_params){.backend = PZ_BACKEND_REF, .keep_all = true}, &pa);
        struct pz_session *b = session(seed, pz_plan_default, &pb);
        struct pz_rng r;
        pz_rng_init(&r, seed, 2);
        struct pz_view in = pz_session_input(a, "x", 0), jn = pz_session_input(b, NULL, 0);
        size_t n = pz_shape_count(&in.shape);
        for (int round = 0; round < 2; round++) {
            for (size_t i = 0; i < n; i++)
                ((float *)in.data)[i] = ((float *)jn.data)[i] = pz_rng_normal(&r);
            pz_session_run(a, NULL);
            pz_session_run(b, NULL);
            for (int o = 0; o < 2; o++) {
                struct pz_view u = pz_session_output(a, NULL, o), v = pz_session_output(b, NULL, o);
                assert_non_null(u.data);
                float top = 1;
                for (size_t i = 0; i < pz_shape_count(&u.shape); i++)
                    top = fmaxf(top, fabsf(((float *)u.data)[i]));
                for (size_t i = 0; i < pz_shape_count(&u.shape); i++)
                    if (!(fabsf(((float *)u.data)[i] - ((float *)v.data)[i]) <= 2e-4f * top))
                        fail_msg("seed %llu output %d element %zu: %g and %g", (unsigned long long)seed, o, i,
                                 (double)((float *)u.data)[i], (double)((float *)v.data)[i]);
            }
        }
        assert_true(pz_plan_nodes(pb) < pz_plan_nodes(pa));
        assert_true(pz_plan_arena_bytes(pb) < pz_plan_arena_bytes(pa));
        pz_session_destroy(&a);
        pz_session_destroy(&b);
        pz_plan_destroy(&pa);
        pz_plan_destroy(&pb);
    }
}

static void bad_graphs_are_refused(void **state)
{
    float zero[64] = {0};
    for (int i = 0; i < 7; i++) {
        struct pz_graph *g = pz_graph_create(NULL);
        struct pz_attrs t = {.stride = {1, 1}, .dilation = {1, 1}};
        int x = pz_graph_input(g, "x", (struct pz_shape){4, {1, 4, 4, 4}});
        int w = pz_graph_const(g, PZ_DTYPE_F32, (struct pz_shape){4, {4, 1, 1, i == 0 ? 3 : 4}}, zero);
        if (i == 1)
            t.stride[0] = 0;
        if (i == 2)
            t.pad[0] = -1;
        if (i == 3)
            t.act = PZ_ACT_PRELU; /* without slopes */
        int y = pz_graph_op(g, PZ_OP_CONV2D, &t,
                            (int[]){x, i == 4   ? PZ_NONE
                                       : i == 5 ? 99
                                                : w},
                            i == 6 ? 1 : 2);
        assert_int_equal(y, PZ_NONE);
        assert_int_equal(pz_graph_status(g), PZ_ERR_FORMAT);
        assert_int_equal(pz_graph_op(g, PZ_OP_RELU, NULL, &x, 1), PZ_NONE); /* the first error stays */
        struct pz_plan *p;
        assert_int_equal(pz_plan_create(&g, &pz_plan_default, NULL, &p), PZ_ERR_FORMAT);
        assert_null(p);
    }
}

/* What lies between steps is rounded, sums are not, and nobody outside sees the type. */
static void narrow_plans_round_what_they_store(void **state)
{
    enum { DEPTH = 1000 };
    for (int backend = 0; backend < 2; backend++) {
        struct pz_graph *g = pz_graph_create(NULL);
        float w[DEPTH], shift = 0.1f;
        for (int i = 0; i < DEPTH; i++)
            w[i] = 1.00390625f; /* 1 + 2⁻⁸: a tie between two BF16 numbers, the even one is 1 */
        int x = pz_graph_input(g, "x", (struct pz_shape){2, {1, DEPTH}});
        int c = pz_graph_const(g, PZ_DTYPE_F32, (struct pz_shape){2, {1, DEPTH}}, w);
        int s = pz_graph_const(g, PZ_DTYPE_F32, (struct pz_shape){0}, &shift);
        int sum = pz_graph_op(g, PZ_OP_FULLY_CONNECTED, NULL, (int[]){x, c}, 2);
        int moved = pz_graph_op(g, PZ_OP_MUL, NULL, (int[]){x, s}, 2);
        pz_graph_output(g, "sum", sum);
        pz_graph_output(g, "moved", moved);
        pz_graph_output(g, "x", x);
        struct pz_plan_params params = pz_plan_default;
        struct pz_plan *p;
        struct pz_session *session;
        params.backend = backend ? PZ_BACKEND_CPU : PZ_BACKEND_REF;
        params.dtype = PZ_DTYPE_BF16;
        assert_int_equal(pz_plan_create(&g, &params, NULL, &p), PZ_OK);
        assert_int_equal(pz_session_create(p, NULL, &session), PZ_OK);
        struct pz_view in = pz_session_input(session, "x", 0), out = pz_session_output(session, "sum", 0);
        assert_int_equal(in.dtype, PZ_DTYPE_F32);
        for (int i = 0; i < DEPTH; i++)
            ((float *)in.data)[i] = 1.001f; /* rounds to 1 */
        assert_int_equal(pz_session_run(session, NULL), PZ_OK);
        /* a sum in BF16 would have stopped at 256 */
        assert_float_equal(*(float *)out.data, pz_bf16_to_f32(pz_f32_to_bf16(DEPTH)), 0);
        float tenth = pz_bf16_to_f32(pz_f32_to_bf16(0.1f));
        assert_float_equal(*(float *)pz_session_output(session, "moved", 0).data, tenth, 0);
        assert_float_equal(*(float *)pz_session_output(session, "x", 0).data, 1, 0);
        pz_session_destroy(&session);
        pz_plan_destroy(&p);
    }
    struct pz_graph *g = network(1);
    struct pz_plan_params params = pz_plan_default;
    struct pz_plan *p;
    params.dtype = PZ_DTYPE_I8;
    assert_int_equal(pz_plan_create(&g, &params, NULL, &p), PZ_ERR_UNSUPPORTED);
}

/* Whole networks: steps that take the type as it is beside steps that do not, results in place, on both
 * narrow types, against F32 node by node. */
static void narrow_networks_stay_near(void **state)
{
    static const struct {
        enum pz_dtype dtype;
        float near;
    } types[] = {{PZ_DTYPE_BF16, 0.05f}, {PZ_DTYPE_F16, 0.006f}};
    for (uint64_t seed = 1; seed <= 12; seed++)
        for (int t = 0; t < 2; t++) {
            struct pz_plan_params narrow = pz_plan_default;
            struct pz_plan *pa, *pb;
            narrow.dtype = types[t].dtype;
            struct pz_session *a =
                session(seed, (struct pz_plan_params){.backend = PZ_BACKEND_REF, .keep_all = true}, &pa);
            struct pz_session *b = session(seed, narrow, &pb);
            struct pz_rng r;
            pz_rng_init(&r, seed, 3);
            struct pz_view in = pz_session_input(a, "x", 0), jn = pz_session_input(b, NULL, 0);
            for (size_t i = 0; i < pz_shape_count(&in.shape); i++)
                ((float *)in.data)[i] = ((float *)jn.data)[i] = pz_rng_normal(&r);
            assert_int_equal(pz_session_run(a, NULL), PZ_OK);
            assert_int_equal(pz_session_run(b, NULL), PZ_OK);
            for (int o = 0; o < 2; o++) {
                struct pz_view u = pz_session_output(a, NULL, o), v = pz_session_output(b, NULL, o);
                float top = 1, differ = 0;
                for (size_t i = 0; i < pz_shape_count(&u.shape); i++) {
                    top = fmaxf(top, fabsf(((float *)u.data)[i]));
                    float d = fabsf(((float *)u.data)[i] - ((float *)v.data)[i]);
                    differ = d > differ || isnan(d) ? d : differ;
                }
                assert_true(differ > 0); /* it was narrow indeed */
                if (!(differ <= types[t].near * top))
                    fail_msg("seed %llu, %s: off by %g of %g", (unsigned long long)seed,
                             pz_dtype_name(types[t].dtype), (double)differ, (double)top);
            }
            assert_true(pz_plan_arena_bytes(pb) > 0);
            pz_session_destroy(&a);
            pz_session_destroy(&b);
            pz_plan_destroy(&pa);
            pz_plan_destroy(&pb);
        }
}

/* One network's output handed to another's input is what copying it by hand gives, run after run. */
static void joined_sessions_pass_values_on(void **state)
{
    (void)state;
    for (int half = 0; half < 2; half++) {
        struct pz_plan_params params = pz_plan_default;
        struct pz_plan *plan[2];
        struct pz_session *s[2], *apart;
        params.dtype = half ? PZ_DTYPE_BF16 : PZ_DTYPE_F32;
        for (int i = 0; i < 2; i++) {
            struct pz_graph *g = pz_graph_create(NULL);
            int x = pz_graph_input(g, "x", (struct pz_shape){2, {3, 5}});
            int y = pz_graph_op(g, i ? PZ_OP_TANH : PZ_OP_SIGMOID, NULL, &x, 1);
            pz_graph_output(g, "y", y);
            assert_int_equal(pz_plan_create(&g, &params, NULL, &plan[i]), PZ_OK);
            assert_int_equal(pz_session_create(plan[i], NULL, &s[i]), PZ_OK);
        }
        assert_int_equal(pz_session_create(plan[1], NULL, &apart), PZ_OK);
        assert_int_equal(pz_session_join(s[1], "z", s[0], "y"), PZ_ERR_USAGE);
        assert_int_equal(pz_session_join(s[1], "x", s[1], "y"), PZ_ERR_USAGE);
        assert_int_equal(pz_session_join(s[1], "x", s[0], "y"), PZ_OK);
        for (int run = 0; run < 2; run++) {
            float *x = pz_session_input(s[0], "x", 0).data;
            for (int i = 0; i < 15; i++)
                x[i] = 0.3f * (float)(i - 7 + run);
            assert_int_equal(pz_session_run(s[0], NULL), PZ_OK);
            memcpy(pz_session_input(apart, "x", 0).data, pz_session_output(s[0], "y", 0).data,
                   15 * sizeof(float));
            assert_int_equal(pz_session_run(s[1], NULL), PZ_OK);
            assert_int_equal(pz_session_run(apart, NULL), PZ_OK);
            const float *y = pz_session_output(s[1], "y", 0).data;
            assert_memory_equal(y, pz_session_output(apart, "y", 0).data, 15 * sizeof(float));
            assert_true(y[14] > y[0] && fabsf(y[0] - tanhf(1 / (1 + expf(-x[0])))) < 0.01f);
        }
        pz_session_destroy(&apart);
        for (int i = 1; i >= 0; i--) {
            pz_session_destroy(&s[i]);
            pz_plan_destroy(&plan[i]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fused_equals_plain),
        cmocka_unit_test(bad_graphs_are_refused),
        cmocka_unit_test(narrow_plans_round_what_they_store),
        cmocka_unit_test(narrow_networks_stay_near),
        cmocka_unit_test(joined_sessions_pass_values_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
