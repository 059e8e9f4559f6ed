// S3FD against spec/wav2lip.md §11.4 and BiSeNet against spec/musetalk.md §11, and the reading of S3FD's
// maps.
#include "sheet.h"

#include "nn/bisenet.h"
#include "nn/s3fd.h"

static const enum pz_backend backends[] = {PZ_BACKEND_REF, PZ_BACKEND_CPU};

/* Level 1's class map as the sheet has it: greatest background, face. [1,h,w,4] → [1,2,h,w]. */
static float *two_classes(struct pz_view v)
{
    int n = v.shape.dim[1] * v.shape.dim[2];
    const float *x = v.data;
    float *out = pz_calloc((size_t)n * 2, sizeof *out);
    assert_non_null(out);
    for (int i = 0; i < n; i++) {
        out[i] = pz_s3fd_background(x + 4 * i, 4);
        out[n + i] = x[4 * i + 3];
    }
    return out;
}

static void s3fd_of(int divisor, enum pz_backend backend, int64_t n_params, const struct sheet_line *first,
                    const struct sheet_line *rest, int n_rest)
{
    struct pz_s3fd_outputs o;
    struct sheet_net n;
    sheet_begin(&n);
    int x = pz_graph_input(n.g, "x", (struct pz_shape){.rank = 4, .dim = {1, 72, 104, 3}});
    pz_s3fd_build(n.p, divisor, x, &o);
    for (int i = 0; i < PZ_S3FD_LEVELS; i++) {
        char name[8];
        snprintf(name, sizeof name, "cls%d", i + 1);
        pz_graph_output(n.g, name, o.cls[i]);
        snprintf(name, sizeof name, "reg%d", i + 1);
        pz_graph_output(n.g, name, o.box[i]);
    }
    sheet_open(&n, backend);
    assert_int_equal(n.n_params, n_params);
    sheet_input(n.session, "x", 1004, -128, 127);
    sheet_run(&n);
    struct pz_view v = pz_session_output(n.session, "cls1", 0);
    assert_int_equal(v.shape.dim[1], 18);
    assert_int_equal(v.shape.dim[2], 26);
    float *cls1 = two_classes(v);
    sheet_check_values(cls1, 2 * 18 * 26, first);
    pz_free(cls1);
    for (int i = 0; i < n_rest; i++)
        sheet_check(n.session, &rest[i]);
    sheet_end(&n);
}

static void s3fd(void **state)
{
    static const struct sheet_line c16 = {"cls1", -.1002790, .3365746, {{0, .06909864}, {935, -.460314}}, 2};
    static const struct sheet_line r16[] = {{"reg1", .02302329, NAN, {{0, -.1808276}}, 1},
                                            {"cls4", .007932686, NAN, {{0, -.08185695}, {83, .05938662}}, 2},
                                            {"cls6", -.04332656, NAN, {{0, -.04429279}}, 1},
                                            {"reg6", -.08242678, NAN, {{0, -.1319383}}, 1}};
    static const struct sheet_line c1 = {
        "cls1", -.03704771, .07370045, {{0, .05829505}, {468, -.1318484}}, 2};
    static const struct sheet_line r1[] = {{"reg1", -.008234403, NAN, {{0, .006647505}}, 1},
                                           {"cls4", -.07783964, .4058943, {{0, .1087909}}, 1},
                                           {"reg4", .1711308, NAN, {{0, 0}}, 0},
                                           {"cls6", -.05795223, NAN, {{0, -.07401606}}, 1}};
    (void)state;
    for (size_t b = 0; b < 2; b++)
        s3fd_of(16, backends[b], 98370, &c16, r16, 4);
    s3fd_of(1, PZ_BACKEND_CPU, 22459110, &c1, r1, 4);
}

static void s3fd_boxes(void **state)
{
    // Two faces on maps of our own: one seen by two cells, one on the last level; and cells below both
    // thresholds.
    float cls0[4 * 4 * 4], box0[4 * 4 * 4] = {0}, none[2] = {4, -4}, zero[4] = {0}, last[2] = {0, 3};
    struct pz_s3fd_box found[8];
    (void)state;
    for (int i = 0; i < 16; i++)
        for (int k = 0; k < 4; k++)
            cls0[4 * i + k] = k == 1 ? 5.0f : -5.0f;
    cls0[4 * 5 + 1] = -5;
    cls0[4 * 5 + 3] = 0; // row 1, column 1: sigmoid(5)
    cls0[4 * 6 + 1] = -5;
    cls0[4 * 6 + 3] = -1; // its neighbour, weaker: overlaps
    cls0[4 * 15 + 1] = 0;
    cls0[4 * 15 + 3] = -0.5f; // below one half
    box0[4 * 5 + 0] = 1;      // 0.1 of the prior's side to the right
    box0[4 * 5 + 3] = 1;      // e^0.2 as high
    struct pz_s3fd_map maps[PZ_S3FD_LEVELS] = {{cls0, box0, 4, 4, 4}, {none, zero, 1, 1, 2},
                                               {none, zero, 1, 1, 2}, {none, zero, 1, 1, 2},
                                               {none, zero, 1, 1, 2}, {last, zero, 1, 1, 2}};
    int n = pz_s3fd_decode(maps, found, 8);
    assert_int_equal(n, 2);
    assert_true(fabsf(found[0].score - 0.99330715f) < 1e-6f);
    assert_true(fabsf(found[0].x0 - (6 + 1.6f - 8)) < 1e-5f && fabsf(found[0].x1 - (6 + 1.6f + 8)) < 1e-5f);
    assert_true(fabsf(found[0].y1 - found[0].y0 - 16 * expf(0.2f)) < 1e-4f);
    assert_true(found[1].x0 == 64 - 256 && found[1].x1 == 64 + 256 && found[1].y0 == 64 - 256);
    assert_int_equal(pz_s3fd_decode(maps, found, 1), 1);
}

static void bisenet(void **state)
{
    static const struct sheet_line lines[] = {
        {"main", .2301274, .6595352, {{0, .1519008}, {58368, -.1180327}, {116735, .9725909}}, 3},
        {"aux16", -.04130429, NAN, {{0, 0}}, 0},
        {"aux32", .08962745, NAN, {{0, 0}}, 0}};
    int count[PZ_BISENET_CLASSES] = {0};
    struct pz_bisenet_outputs o;
    struct sheet_net n;
    (void)state;
    sheet_begin(&n);
    int x = pz_graph_input(n.g, "x", (struct pz_shape){.rank = 4, .dim = {1, 64, 96, 3}});
    pz_bisenet_build(n.p, true, x, &o);
    pz_graph_output(n.g, "main", o.main);
    pz_graph_output(n.g, "aux16", o.aux16);
    pz_graph_output(n.g, "aux32", o.aux32);
    sheet_open(&n, PZ_BACKEND_CPU);
    sheet_input(n.session, "x", 3004, -2, 2);
    sheet_run(&n);
    for (int i = 0; i < 3; i++)
        sheet_check(n.session, &lines[i]);
    const float *y = pz_session_output(n.session, "main", 0).data;
    for (int i = 0; i < 64 * 96; i++) {
        int best = 0;
        for (int k = 1; k < PZ_BISENET_CLASSES; k++)
            best = y[i * PZ_BISENET_CLASSES + k] > y[i * PZ_BISENET_CLASSES + best] ? k : best;
        count[best]++;
    }
    assert_int_equal(count[1], 4);
    assert_int_equal(count[3], 14);
    assert_int_equal(count[11], 1);
    assert_int_equal(count[17], 2);
    assert_int_equal(count[18], 6123);
    sheet_end(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(s3fd),
        cmocka_unit_test(s3fd_boxes),
        cmocka_unit_test(bisenet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
