/* A profile counts calls, names what ran, and its trace is whole; without one nothing is collected. */
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

#include "base/file.h"
#include "base/mem.h"
#include "tensor/profile.h"

static struct pz_plan *plan(enum pz_dtype dtype)
{
    struct pz_graph *g = pz_graph_create(NULL);
    struct pz_plan_params params = pz_plan_default;
    struct pz_plan *p;
    float w[64 * 64] = {0};
    int x = pz_graph_input(g, "x", (struct pz_shape){2, {8, 64}}), y = x;
    int c = pz_graph_const(g, PZ_DTYPE_F32, (struct pz_shape){2, {64, 64}}, w);
    for (int i = 0; i < 3; i++) /* three equal steps: one line */
        y = pz_graph_op(g, PZ_OP_FULLY_CONNECTED, NULL, (int[]){y, c}, 2);
    pz_graph_output(g, "y", pz_graph_op(g, PZ_OP_SOFTMAX, NULL, &y, 1));
    params.dtype = dtype;
    assert_int_equal(pz_plan_create(&g, &params, NULL, &p), PZ_OK);
    return p;
}

/* Braces and brackets close in order, strings end: what a reader needs first. */
static void assert_json(const char *s)
{
    char open[64];
    int n = 0;
    bool text = false;
    for (; *s; s++) {
        if (*s == '"')
            text = !text;
        if (text)
            continue;
        assert_true(n < 63);
        if (*s == '{' || *s == '[')
            open[n++] = *s;
        if (*s == '}' || *s == ']') {
            assert_true(n > 0);
            assert_int_equal(open[--n], *s == '}' ? '{' : '[');
        }
    }
    assert_int_equal(n, 0);
    assert_false(text);
}

static void runs_are_counted(void **state)
{
    struct pz_profile *p = pz_profile_create();
    struct pz_plan *a = plan(PZ_DTYPE_F32), *b = plan(PZ_DTYPE_BF16);
    struct pz_session *s[3];
    for (int i = 0; i < 3; i++)
        assert_int_equal(pz_session_create(i < 2 ? a : b, NULL, &s[i]), PZ_OK);
    assert_int_equal(pz_session_run(s[0], NULL), PZ_OK); /* before: not counted */
    for (int i = 0; i < 3; i++)
        assert_int_equal(pz_session_profile(s[i], p, i < 2 ? "dense\"net" : "narrow"), PZ_OK);
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 5; k++)
            assert_int_equal(pz_session_run(s[i], NULL), PZ_OK);
    assert_int_equal(pz_session_profile(s[0], NULL, NULL), PZ_OK);
    assert_int_equal(pz_session_run(s[0], NULL), PZ_OK); /* and after */
    for (int i = 0; i < 3; i++)
        pz_session_destroy(&s[i]); /* what was collected stays */
    char *table = pz_profile_table(p), *trace = pz_profile_trace(p);
    assert_non_null(table);
    assert_non_null(trace);
    assert_json(trace);
    /* two sessions of five runs of three equal layers; the BF16 plan's are lines of their own */
    assert_non_null(strstr(trace, "\"network\":\"dense_net\",\"op\":\"fully_connected\""));
    assert_non_null(strstr(trace, "\"calls\":30,"));
    assert_non_null(strstr(trace, "\"calls\":15,"));
    assert_non_null(strstr(trace, "[8,64] [64,64] -> [8,64]"));
    assert_non_null(strstr(table, "4 lines, "));
    int boxes = 0;
    for (const char *c = trace; (c = strstr(c, "\"ph\":\"X\"")); c++)
        boxes++;
    assert_int_equal(boxes, 3 * 5 * 4);
    char path[] = "/tmp/pz-profile-XXXXXX", beside[64];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    snprintf(beside, sizeof beside, "%s.txt", path);
    assert_int_equal(pz_profile_write(p, NULL, path), PZ_OK);
    assert_true(pz_file_exists(beside));
    unlink(path);
    unlink(beside);
    assert_int_equal(pz_profile_write(p, NULL, "/no/such/folder/trace.json"), PZ_ERR_WRITE);
    pz_free(table);
    pz_free(trace);
    pz_profile_destroy(&p);
    pz_plan_destroy(&a);
    pz_plan_destroy(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(runs_are_counted)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
