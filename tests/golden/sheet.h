/**
 * Comparing networks with the fact sheets: each line of a sheet gives mean, deviation and some elements of a
 * tensor in PyTorch's order; values here are NHWC. Weights and inputs come from the sheets' hash rule, so no
 * file is needed.
 */
#ifndef PZ_TESTS_SHEET_H
#define PZ_TESTS_SHEET_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "nn/param.h"
#include "tensor/plan.h"

/** What a sheet says of a tensor; NAN = not said. */
struct sheet_line {
    const char *name;
    double mean, std;
    struct {
        int at;
        double value;
    } element[8];
    int n_elements;
};

/** Copy of a 4-D view in PyTorch's order (N, C, H, W), or of a flat one as it is. Freed with pz_free(). */
static inline float *sheet_nchw(struct pz_view v)
{
    const float *x = v.data;
    size_t n = pz_shape_count(&v.shape);
    float *out = pz_calloc(n, sizeof *out);
    assert_non_null(x);
    assert_non_null(out);
    if (v.shape.rank != 4) {
        memcpy(out, x, n * sizeof *out);
        return out;
    }
    size_t h = (size_t)v.shape.dim[1], w = (size_t)v.shape.dim[2], c = (size_t)v.shape.dim[3];
    for (size_t b = 0; b < (size_t)v.shape.dim[0]; b++)
        for (size_t i = 0; i < h * w; i++)
            for (size_t k = 0; k < c; k++)
                out[(b * c + k) * h * w + i] = x[(b * h * w + i) * c + k];
    return out;
}

/** The sheets' tolerance, 2e-4 of the deviation; elements that the sheet gives with seven digits. */
static inline void sheet_check_values(const float *x, size_t n, const struct sheet_line *line)
{
    double sum = 0, square = 0;
    for (size_t i = 0; i < n; i++)
        sum += x[i];
    double mean = sum / (double)n;
    for (size_t i = 0; i < n; i++)
        square += (x[i] - mean) * (x[i] - mean);
    double std = sqrt(square / (double)n), tolerance = 2e-4 * std + 1e-7;
    if (!isnan(line->mean) && !(fabs(mean - line->mean) <= tolerance))
        fail_msg("%s: mean %.8g, the sheet says %.8g", line->name, mean, line->mean);
    if (!isnan(line->std) && !(fabs(std - line->std) <= tolerance))
        fail_msg("%s: deviation %.8g, the sheet says %.8g", line->name, std, line->std);
    for (int i = 0; i < line->n_elements; i++) {
        assert_true((size_t)line->element[i].at < n);
        double got = x[line->element[i].at], want = line->element[i].value;
        if (!(fabs(got - want) <= tolerance + 1e-6 * fabs(want)))
            fail_msg("%s[%d]: %.8g, the sheet says %.8g", line->name, line->element[i].at, got, want);
    }
}

static inline void sheet_check(const struct pz_session *s, const struct sheet_line *line)
{
    struct pz_view v = pz_session_output(s, line->name, 0);
    float *x = sheet_nchw(v);
    sheet_check_values(x, pz_shape_count(&v.shape), line);
    pz_free(x);
}

/** Fill a session's input with the rule's tensor `t`, given in PyTorch's order and stored NHWC. */
static inline void sheet_input(const struct pz_session *s, const char *name, uint32_t t, float lo, float hi)
{
    struct pz_view v = pz_session_input(s, name, 0);
    size_t n = pz_shape_count(&v.shape);
    float *from = pz_calloc(n, sizeof *from), *to = v.data;
    assert_non_null(to);
    assert_non_null(from);
    pz_rule_input(t, lo, hi, n, from);
    size_t h = (size_t)v.shape.dim[1], w = (size_t)v.shape.dim[2], c = (size_t)v.shape.dim[3];
    for (size_t b = 0; b < (size_t)v.shape.dim[0]; b++)
        for (size_t i = 0; i < h * w; i++)
            for (size_t k = 0; k < c; k++)
                to[(b * h * w + i) * c + k] = from[(b * c + k) * h * w + i];
    pz_free(from);
}

/** A network under test: build into `g` and `p`, then sheet_open(). */
struct sheet_net {
    struct pz_graph *g;
    struct pz_params *p;
    struct pz_plan *plan;
    struct pz_session *session;
    int64_t n_params;
};

static inline void sheet_begin(struct sheet_net *n)
{
    *n = (struct sheet_net){.g = pz_graph_create(NULL)};
    assert_non_null(n->g);
    n->p = pz_params_create(n->g, &(struct pz_params_options){0}, NULL);
    assert_non_null(n->p);
}

static inline void sheet_open(struct sheet_net *n, enum pz_backend backend)
{
    struct pz_plan_params pp = pz_plan_default;
    pp.backend = backend;
    pp.threads = 1;
    assert_int_equal(pz_params_finish(n->p), PZ_OK);
    n->n_params = pz_params_elements(n->p);
    assert_int_equal(pz_plan_create(&n->g, &pp, NULL, &n->plan), PZ_OK);
    assert_int_equal(pz_session_create(n->plan, NULL, &n->session), PZ_OK);
}

static inline void sheet_run(struct sheet_net *n)
{
    assert_int_equal(pz_session_run(n->session, NULL), PZ_OK);
}

static inline void sheet_end(struct sheet_net *n)
{
    pz_session_destroy(&n->session);
    pz_plan_destroy(&n->plan);
    pz_params_destroy(&n->p);
    pz_graph_destroy(&n->g);
}

#endif
