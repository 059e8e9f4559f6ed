/* Building, running and comparing for the golden tests. */
#include "golden.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TOLERANCE 2e-4

static void say(void *user, enum pz_log_level level, const char *text)
{
    fprintf(stderr, "  %s\n", text);
}

static struct pz_log *the_log(void)
{
    static struct pz_log *log;
    if (!log)
        log = pz_log_create(say, NULL, PZ_LOG_ERROR);
    return log;
}

void golden_begin(struct golden *t, const char *const *taps)
{
    memset(t, 0, sizeof *t);
    t->g = pz_graph_create(the_log());
    t->p = pz_params_create(t->g, &(struct pz_params_options){.taps = taps}, the_log());
    assert_non_null(t->p);
}

void golden_plan(struct golden *t, int backend, int tensors, long long elements)
{
    struct pz_plan_params params = pz_plan_default;
    int ranked = 0;
    t->backend = backend ? "cpu" : "ref";
    params.backend = backend ? PZ_BACKEND_CPU : PZ_BACKEND_REF;
    assert_int_equal(pz_params_finish(t->p), PZ_OK);
    for (int i = 0; i < pz_params_count(t->p); i++)
        ranked += !pz_params_at(t->p, i).table;
    assert_int_equal(ranked, tensors);
    if (elements >= 0)
        assert_int_equal(pz_params_elements(t->p), elements);
    pz_params_destroy(&t->p);
    assert_int_equal(pz_plan_create(&t->g, &params, the_log(), &t->plan), PZ_OK);
    assert_int_equal(pz_session_create(t->plan, the_log(), &t->s), PZ_OK);
}

void golden_run(struct golden *t)
{
    assert_int_equal(pz_session_run(t->s, NULL), PZ_OK);
}

void golden_end(struct golden *t)
{
    pz_session_destroy(&t->s);
    pz_plan_destroy(&t->plan);
    pz_params_destroy(&t->p);
    pz_graph_destroy(&t->g);
}

/* Element of [B·F,H,W,C] that is element `i` of [B,C,F,H,W]. */
static size_t channels_last(const struct pz_shape *s, int frames, size_t i)
{
    size_t w = (size_t)s->dim[2], h = (size_t)s->dim[1], c = (size_t)s->dim[3], f = (size_t)frames;
    size_t x = i % w, y = i / w % h, t = i / (w * h) % f, k = i / (w * h * f) % c, b = i / (w * h * f * c);
    return (((b * f + t) * h + y) * w + x) * c + k;
}

void golden_input(struct golden *t, const char *name, uint32_t number, float lo, float hi, int frames)
{
    struct pz_view v = pz_session_input(t->s, name, 0);
    assert_non_null(v.data);
    size_t n = pz_shape_count(&v.shape);
    float *x = malloc(n * sizeof *x);
    pz_rule_input(number, lo, hi, n, x);
    for (size_t i = 0; i < n; i++)
        ((float *)v.data)[frames ? channels_last(&v.shape, frames, i) : i] = x[i];
    free(x);
}

float *golden_output(struct golden *t, const char *name, int frames, size_t *n)
{
    struct pz_view v = pz_session_output(t->s, name, 0);
    if (!v.data)
        fail_msg("%s: there is no output '%s'", t->backend, name);
    *n = pz_shape_count(&v.shape);
    float *x = malloc(*n * sizeof *x);
    for (size_t i = 0; i < *n; i++)
        x[i] = ((float *)v.data)[frames ? channels_last(&v.shape, frames, i) : i];
    return x;
}

static void near_to(struct golden *t, const char *name, const char *what, long at, double have, double want,
                    double std)
{
    if (!isnan(want) && !(fabs(have - want) <= TOLERANCE * std))
        fail_msg("%s: %s: %s %ld is %.8g, the sheet says %.8g (standard deviation %.4g)", t->backend, name,
                 what, at, have, want, std);
}

void golden_check(struct golden *t, const char *name, const float *v, size_t n, const struct golden_line *l)
{
    double mean = 0, var = 0, min = INFINITY, max = -INFINITY;
    for (size_t i = 0; i < n; i++)
        mean += v[i] / (double)n;
    for (size_t i = 0; i < n; i++) {
        var += (v[i] - mean) * (v[i] - mean) / (double)n;
        min = fmin(min, v[i]);
        max = fmax(max, v[i]);
    }
    double std = sqrt(var);
    assert_true(std > 1e-6);
    near_to(t, name, "mean", 0, mean, l->mean, std);
    near_to(t, name, "standard deviation", 0, std, l->std, std);
    near_to(t, name, "minimum", 0, min, l->min, std);
    near_to(t, name, "maximum", 0, max, l->max, std);
    for (int i = 0; i < 10 && l->points[i].at >= 0; i++) {
        assert_true((size_t)l->points[i].at < n);
        near_to(t, name, "element", l->points[i].at, v[l->points[i].at], l->points[i].value, std);
    }
}

void golden_expect(struct golden *t, const char *name, int frames, size_t n, const struct golden_line *l)
{
    size_t have;
    float *v = golden_output(t, name, frames, &have);
    if (n)
        assert_int_equal(have, n);
    golden_check(t, name, v, have, l);
    free(v);
}
