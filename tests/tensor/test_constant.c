/* Constants made on demand: the same results as constants that lie in memory, nothing kept that is packed,
 * sources let go exactly once, errors handed up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tensor/graph_impl.h"
#include "tensor/half.h"
#include "tensor/plan_impl.h"

struct origin {
    struct pz_shape shape;
    float scale;
    atomic_int asked; /* elements */
    int released, broken;
};

static float value_at(const struct origin *o, size_t i)
{
    uint32_t h = (uint32_t)i * 2654435761u + 12345u;
    h ^= h >> 15;
    return o->scale * ((float)(h & 0xffff) / 32768.0f - 1.0f);
}

static size_t row_of(const struct origin *o)
{
    return pz_shape_count(&o->shape) / (size_t)(o->shape.rank ? o->shape.dim[0] : 1);
}

static enum pz_status fill(const void *ctx, struct pz_log *log, int first, int n, float *out)
{
    struct origin *o = (struct origin *)(uintptr_t)ctx;
    size_t row = row_of(o);
    for (size_t i = 0; i < (size_t)n * row; i++)
        out[i] = value_at(o, (size_t)first * row + i);
    atomic_fetch_add(&o->asked, (int)((size_t)n * row));
    return o->broken ? pz_fail(log, PZ_ERR_FORMAT, "a source that fails") : PZ_OK;
}

static void let_go(void *ctx)
{
    ((struct origin *)ctx)->released++;
}

enum { W1, B1, W2, A, B, ALONE, N_ORIGINS };

static void begin(struct origin *o)
{
    static const struct pz_shape shapes[N_ORIGINS] = {{4, {96, 3, 3, 64}}, {1, {96}},    {2, {33, 96}},
                                                      {2, {7, 33}},        {2, {7, 33}}, {0, {0}}};
    memset(o, 0, N_ORIGINS * sizeof *o);
    for (int i = 0; i < N_ORIGINS; i++) {
        o[i].shape = shapes[i];
        o[i].scale = i < A ? 0.1f : 1;
    }
}

static int constant(struct pz_graph *g, struct origin *o, bool lazy)
{
    if (lazy) {
        struct pz_source s = {fill, let_go, o};
        return pz_graph_const_from(g, o->shape, &s);
    }
    size_t n = pz_shape_count(&o->shape);
    float *v = malloc(n * sizeof *v);
    for (size_t i = 0; i < n; i++)
        v[i] = value_at(o, i);
    int id = pz_graph_const(g, PZ_DTYPE_F32, o->shape, v);
    free(v);
    return id;
}

/* conv, dense, and a sum of two constants that is folded; one constant is an output itself. */
static struct pz_graph *network(struct origin *o, bool lazy, int *weight)
{
    struct pz_graph *g = pz_graph_create(NULL);
    struct pz_attrs same = {.stride = {1, 1}, .dilation = {1, 1}, .pad = {1, 1, 1, 1}};
    struct pz_attrs flat = {.shape = {2, {7, 96}}};
    int c[N_ORIGINS];
    for (int i = 0; i < N_ORIGINS; i++)
        c[i] = constant(g, &o[i], lazy);
    int x = pz_graph_input(g, "x", (struct pz_shape){4, {1, 1, 7, 64}});
    x = pz_graph_op(g, PZ_OP_CONV2D, &same, (int[]){x, c[W1], c[B1]}, 3);
    x = pz_graph_op(g, PZ_OP_RESHAPE, &flat, &x, 1);
    x = pz_graph_op(g, PZ_OP_FULLY_CONNECTED, NULL, (int[]){x, c[W2]}, 2);
    int sum = pz_graph_op(g, PZ_OP_ADD, NULL, (int[]){c[A], c[B]}, 2);
    pz_graph_output(g, "y", pz_graph_op(g, PZ_OP_ADD, NULL, (int[]){x, sum}, 2));
    pz_graph_output(g, "alone", c[ALONE]);
    *weight = c[W1];
    return g;
}

static void run(struct pz_plan_params params, bool lazy, float *y, float *alone)
{
    struct origin o[N_ORIGINS];
    int weight;
    begin(o);
    struct pz_graph *g = network(o, lazy, &weight);
    struct pz_plan *plan;
    struct pz_session *s;
    assert_int_equal(pz_plan_create(&g, &params, NULL, &plan), PZ_OK);
    for (int i = 0; i < N_ORIGINS && lazy; i++) {
        assert_int_equal(o[i].released, 1);
        assert_int_equal(o[i].asked, pz_shape_count(&o[i].shape));
        o[i].broken = 1; /* nobody may ask again */
    }
    if (params.backend == PZ_BACKEND_CPU) /* the convolution has its own copy */
        assert_null(plan->g->values[weight].data);
    assert_int_equal(pz_session_create(plan, NULL, &s), PZ_OK);
    struct pz_view in = pz_session_input(s, "x", 0), out = pz_session_output(s, "y", 0);
    for (size_t i = 0; i < pz_shape_count(&in.shape); i++)
        ((float *)in.data)[i] = (float)((i * 37) % 11) / 11.0f;
    assert_int_equal(pz_session_run(s, NULL), PZ_OK);
    memcpy(y, out.data, pz_shape_count(&out.shape) * sizeof *y);
    *alone = *(float *)pz_session_output(s, "alone", 0).data;
    pz_session_destroy(&s);
    pz_plan_destroy(&plan);
    for (int i = 0; i < N_ORIGINS && lazy; i++)
        assert_int_equal(o[i].released, 1);
}

static void on_demand_equals_in_memory(void **state)
{
    for (int backend = PZ_BACKEND_REF; backend <= PZ_BACKEND_CPU; backend++)
        for (int threads = 1; threads <= 2; threads++) {
            struct pz_plan_params p = pz_plan_default;
            float a[7 * 33], b[7 * 33], alone_a, alone_b;
            p.backend = (enum pz_backend)backend;
            p.threads = threads;
            run(p, false, a, &alone_a);
            run(p, true, b, &alone_b);
            assert_memory_equal(a, b, sizeof a);
            assert_true(alone_a == alone_b && alone_a != 0);
            assert_true(a[0] != a[1]);
        }
}

static void rows_are_narrowed(void **state)
{
    struct origin o = {.shape = {3, {5, 3, 1000}}, .scale = 3};
    struct pz_graph_value v = {.shape = o.shape, .constant = true, .source = {fill, NULL, &o}};
    uint16_t half[2 * 3000], brain[2 * 3000];
    size_t row;
    assert_int_equal(pz_constant_rows(&v, &row), 5);
    assert_int_equal(row, 3000);
    assert_int_equal(pz_constant_read(&v, NULL, 2, 2, PZ_DTYPE_F16, half), PZ_OK);
    assert_int_equal(pz_constant_read(&v, NULL, 2, 2, PZ_DTYPE_BF16, brain), PZ_OK);
    for (size_t i = 0; i < 6000; i++) {
        assert_int_equal(half[i], pz_f32_to_f16(value_at(&o, 6000 + i)));
        assert_int_equal(brain[i], pz_f32_to_bf16(value_at(&o, 6000 + i)));
    }
    assert_int_equal(pz_constant_read(&v, NULL, 0, 1, PZ_DTYPE_I32, half), PZ_ERR_INTERNAL);
}

static void failures_go_up_and_sources_are_let_go(void **state)
{
    for (int bad = -1; bad < N_ORIGINS; bad++) {
        struct origin o[N_ORIGINS];
        int weight;
        begin(o);
        struct pz_graph *g = network(o, true, &weight);
        struct pz_plan *plan = NULL;
        if (bad < 0) {
            pz_graph_destroy(&g);
        } else {
            o[bad].broken = 1;
            assert_int_equal(pz_plan_create(&g, &pz_plan_default, NULL, &plan), PZ_ERR_FORMAT);
            assert_null(plan);
        }
        for (int i = 0; i < N_ORIGINS; i++)
            assert_int_equal(o[i].released, 1);
    }
    struct pz_graph *g = pz_graph_create(NULL);
    struct origin o = {.shape = {2, {3, -1}}};
    struct pz_source s = {fill, let_go, &o};
    assert_int_equal(pz_graph_const_from(g, o.shape, &s), PZ_NONE);
    assert_int_equal(o.released, 1);
    pz_graph_destroy(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(on_demand_equals_in_memory),
        cmocka_unit_test(rows_are_narrowed),
        cmocka_unit_test(failures_go_up_and_sources_are_let_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
