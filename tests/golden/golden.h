/**
 * Golden tests: a network with weights and inputs made by the fact sheets' hash rule, run on a backend,
 * against the values the sheets give (spec/wav2lip.md §11.1). The sheets' flat indices are in PyTorch's order
 * (channels before pixels); ours are channels last: these helpers turn both ways. Any failure ends the test,
 * naming backend, tensor and element.
 */
#ifndef PZ_TEST_GOLDEN_H
#define PZ_TEST_GOLDEN_H

#include "nn/layer.h"
#include "tensor/plan.h"

struct golden {
    struct pz_graph *g;
    struct pz_params *p;
    struct pz_plan *plan;
    struct pz_session *s;
    const char *backend;
};

/** Backends to run everything on. */
#define GOLDEN_BACKENDS 2

/** An empty graph and tree without checkpoint; `taps` as in pz_params_options. */
void golden_begin(struct golden *t, const char *const *taps);

/** Finish, check the count of ranked tensors and of parameters (−1: not given), plan and open a session on
 * backend 0 (ref) or 1 (cpu). */
void golden_plan(struct golden *t, int backend, int tensors, long long elements);
void golden_run(struct golden *t);
void golden_end(struct golden *t);

/** Input `name` := X(…, t, lo, hi). A picture or film input [B·frames,H,W,C] takes the sheet's
 * [B,C,frames,H,W] order; frames 0: the sheet's order is ours (no pictures). */
void golden_input(struct golden *t, const char *name, uint32_t number, float lo, float hi, int frames);

/** Output `name` in the sheet's order; `*n` values, to be freed with free(). */
float *golden_output(struct golden *t, const char *name, int frames, size_t *n);

/** The values a line gives; what it leaves out is NAN. */
struct golden_line {
    double mean, std, min, max;
    struct {
        int at;
        double value;
    } points[10]; /**< the first with at < 0 ends the list */
};

/** Compare n values: everything within 2e-4 of their standard deviation. */
void golden_check(struct golden *t, const char *name, const float *v, size_t n, const struct golden_line *l);

/** Output `name` against a line. */
void golden_expect(struct golden *t, const char *name, int frames, size_t n, const struct golden_line *l);

#endif
