/* Held inputs: a plan that keeps its values elsewhere (BF16, a device) sees what was touched and nothing
 * else; one that computes in the input itself sees everything. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tensor/cuda/cuda.h"
#include "tensor/plan.h"

enum { ROWS = 6, ROW = 64, ALL = ROWS * ROW };

static struct pz_plan *sum_plan(const struct pz_plan_params *p)
{
    struct pz_graph *g = pz_graph_create(NULL);
    struct pz_shape s = {2, {ROWS, ROW}};
    int in[2] = {pz_graph_input(g, "cache", s), pz_graph_input(g, "x", s)};
    struct pz_plan *plan = NULL;
    pz_graph_output(g, "sum", pz_graph_op(g, PZ_OP_ADD, NULL, in, 2));
    assert_int_equal(pz_plan_create(&g, p, NULL, &plan), PZ_OK);
    return plan;
}

/* Every element of row r of the sum is want[r]. */
static void sums_are(struct pz_session *s, const float want[ROWS])
{
    const float *sum = pz_session_output(s, "sum", 0).data;
    assert_int_equal(pz_session_run(s, NULL), PZ_OK);
    for (int i = 0; i < ALL; i++)
        assert_true(sum[i] == want[i / ROW]);
}

static void fill(float *rows, int from, int to, float v)
{
    for (int i = from * ROW; i < to * ROW; i++)
        rows[i] = v;
}

static void check(const struct pz_plan_params *p, bool elsewhere)
{
    struct pz_plan *plan = sum_plan(p);
    struct pz_session *s = NULL;
    assert_int_equal(pz_session_create(plan, NULL, &s), PZ_OK);
    float *cache = pz_session_input(s, "cache", 0).data, *x = pz_session_input(s, "x", 0).data;
    fill(x, 0, ROWS, 1);
    fill(cache, 0, ROWS, 2);
    assert_int_equal(pz_session_hold(s, "no such"), PZ_ERR_INTERNAL);
    assert_int_equal(pz_session_hold(s, "cache"), PZ_OK);
    sums_are(s, (float[ROWS]){3, 3, 3, 3, 3, 3}); /* all of it before the first run */
    fill(cache, 0, ROWS, 4);
    fill(x, 0, ROWS, 8); /* not held: always seen */
    pz_session_touch(s, "cache", 1 * ROW, ROW);
    pz_session_touch(s, "x", 0, 1);
    sums_are(s, elsewhere ? (float[ROWS]){10, 12, 10, 10, 10, 10} : (float[ROWS]){12, 12, 12, 12, 12, 12});
    fill(cache, 0, ROWS, 16); /* two touches: the stretch that covers both */
    pz_session_touch(s, "cache", 2 * ROW, ROW);
    pz_session_touch(s, "cache", 4 * ROW, 100 * ROW);
    sums_are(s, elsewhere ? (float[ROWS]){10, 12, 24, 24, 24, 24} : (float[ROWS]){24, 24, 24, 24, 24, 24});
    pz_session_touch(s, "cache", (size_t)ALL, 1); /* outside: nothing */
    sums_are(s, elsewhere ? (float[ROWS]){10, 12, 24, 24, 24, 24} : (float[ROWS]){24, 24, 24, 24, 24, 24});
    pz_session_destroy(&s);
    pz_plan_destroy(&plan);
}

static void touched_rows_are_seen(void **state)
{
    (void)state;
    struct pz_plan_params p = pz_plan_default;
    check(&p, false);
    p.dtype = PZ_DTYPE_BF16;
    check(&p, true);
    if (!pz_cuda_present())
        return;
    p.backend = PZ_BACKEND_CUDA;
    check(&p, true);
    p.dtype = PZ_DTYPE_F32;
    check(&p, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(touched_rows_are_seen)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
