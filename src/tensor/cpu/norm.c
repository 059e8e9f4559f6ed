/*
 * Norms, with their activation, in as few passes as the numbers allow. Group norm: moments of runs of rows
 * (two passes inside the cache), put together as Chan et al. 1979 do, then one pass that scales. Sums of a
 * run are F32, everything between runs double.
 */
#include <math.h>

#include "base/mem.h"
#include "tensor/cpu/gemm.h"

#define WIDE 16384 /* floats of a run: 64 KiB */
#define RUN_BYTES (WIDE * sizeof(float))
#define STEP 4096 /* floats taken at a time where they are BF16 outside */
#define MAX_RUNS 4096

/* BF16 in, BF16 out, at most a run of channels; what scales is a constant, F32. */
static bool fits(const struct pz_op_args *a)
{
    const struct pz_shape *s = &a->in[0].shape;
    for (int i = 1; i < a->n_in; i++)
        if (pz_cpu_given(a, i) && pz_cpu_half(&a->in[i]))
            return false;
    return pz_cpu_half(&a->in[0]) && s->dim[s->rank - 1] <= WIDE;
}

/* The values of x[at …], as they are, or widened into `room`. */
static const float *wide_in(const struct pz_op_args *a, const struct pz_cpu_fns *f, size_t at, size_t n,
                            float *room)
{
    if (!pz_cpu_half(&a->in[0]))
        return pz_cpu_at(&a->in[0], at);
    f->widen(pz_cpu_at(&a->in[0], at), room, n);
    return room;
}

/* act(x scale + shift) of n rows from element `at` on. */
static void scale_rows(const struct pz_op_args *a, const struct pz_cpu_fns *f, const float *scale,
                       const float *shift, size_t at, size_t c, size_t rows)
{
    float room[WIDE];
    size_t step = STEP / c > 0 ? STEP / c : 1;
    if (!pz_cpu_half(&a->out)) {
        f->scale_shift(pz_cpu_at(&a->in[0], at), scale, shift, c, a->attrs->act, pz_cpu_at(&a->out, at),
                       rows);
        return;
    }
    for (size_t r = 0; r < rows; r += step, at += step * c) {
        size_t n = rows - r < step ? rows - r : step;
        f->widen(pz_cpu_at(&a->in[0], at), room, n * c);
        f->scale_shift(room, scale, shift, c, a->attrs->act, room, n);
        f->narrow(room, pz_cpu_at(&a->out, at), n * c);
    }
}

struct group_norm {
    const struct pz_op_args *a;
    const struct pz_cpu_fns *f;
    size_t c, rows, groups, run, runs; /* rows of a run, runs of a picture */
    double *mean, *square;             /* [runs][groups] */
    float *room, *scale, *shift;       /* [runs][2 c], [c], [c] */
    size_t first;                      /* element of the picture */
};

static struct group_norm group_shape(const struct pz_op_args *a)
{
    const struct pz_shape *s = &a->in[0].shape;
    struct group_norm t = {.a = a, .f = pz_cpu_fns_get(a->rung), .c = (size_t)s->dim[s->rank - 1]};
    t.rows = pz_shape_count(s) / ((size_t)s->dim[0] * t.c);
    t.groups = (size_t)a->attrs->groups;
    t.run = RUN_BYTES / (t.c * sizeof(float));
    t.run = t.run < 1 ? 1 : t.run;
    if ((t.rows + t.run - 1) / t.run > MAX_RUNS && !pz_cpu_half(&a->in[0]))
        t.run = (t.rows + MAX_RUNS - 1) / MAX_RUNS;
    t.runs = (t.rows + t.run - 1) / t.run;
    t.mean = a->scratch;
    t.square = t.mean + t.runs * t.groups;
    t.room = (float *)(t.square + t.runs * t.groups);
    t.scale = t.room + t.runs * 2 * t.c;
    t.shift = t.scale + t.c;
    return t;
}

static enum pz_status group_prepare(struct pz_log *log, const struct pz_op_args *a, void **state,
                                    size_t *scratch)
{
    struct pz_op_args as_run = pz_cpu_types(a, fits);
    struct group_norm t = group_shape(&as_run);
    *scratch = t.runs * t.groups * 2 * sizeof(double) + (t.runs * 2 + 2) * t.c * sizeof(float);
    return PZ_OK;
}

static size_t rows_of(const struct group_norm *t, size_t index)
{
    return t->rows - index * t->run < t->run ? t->rows - index * t->run : t->run;
}

static void moments_task(void *user, int index, int worker)
{
    const struct group_norm *t = user;
    size_t i = (size_t)index, rows = rows_of(t, i);
    float room[WIDE];
    const float *x = wide_in(t->a, t->f, t->first + i * t->run * t->c, rows * t->c, room);
    t->f->group_moments(x, rows, t->c, t->groups, t->mean + i * t->groups, t->square + i * t->groups,
                        t->room + i * 2 * t->c);
}

static void scale_task(void *user, int index, int worker)
{
    const struct group_norm *t = user;
    scale_rows(t->a, t->f, t->scale, t->shift, t->first + (size_t)index * t->run * t->c, t->c,
               rows_of(t, (size_t)index));
}

/* All runs of a group into one mean and variance, and those into a factor and a term a channel. */
static void join_runs(const struct group_norm *t)
{
    const float *gamma = pz_cpu_floats(t->a, 1), *beta = pz_cpu_floats(t->a, 2);
    size_t part = t->c / t->groups;
    for (size_t g = 0; g < t->groups; g++) {
        double n = 0, mean = 0, square = 0;
        for (size_t r = 0; r < t->runs; r++) {
            double more = (double)(rows_of(t, r) * part), d = t->mean[r * t->groups + g] - mean;
            square += t->square[r * t->groups + g] + d * d * n * more / (n + more);
            mean += d * more / (n + more);
            n += more;
        }
        double inv = 1 / sqrt(square / n + (double)t->a->attrs->eps);
        for (size_t i = g * part; i < (g + 1) * part; i++) {
            double k = inv * (gamma ? (double)gamma[i] : 1);
            t->scale[i] = (float)k;
            t->shift[i] = (float)((beta ? (double)beta[i] : 0) - mean * k);
        }
    }
}

static void group_run(const struct pz_op_args *a)
{
    struct group_norm t = group_shape(a);
    struct pz_pool *pool = t.rows * t.c > 32768 ? a->pool : NULL;
    for (size_t b = 0; b < (size_t)a->in[0].shape.dim[0]; b++) {
        t.first = b * t.rows * t.c;
        pz_pool_run(pool, moments_task, &t, (int)t.runs);
        join_runs(&t);
        pz_pool_run(pool, scale_task, &t, (int)t.runs);
    }
}

struct rows_job {
    const struct pz_op_args *a;
    const struct pz_cpu_fns *f;
    size_t c, rows, per;
    const float *scale, *shift;
};

static struct rows_job rows_of_last_axis(const struct pz_op_args *a)
{
    const struct pz_shape *s = &a->in[0].shape;
    struct rows_job j = {.a = a, .f = pz_cpu_fns_get(a->rung), .c = (size_t)s->dim[s->rank - 1]};
    j.rows = pz_shape_count(s) / j.c;
    j.per = RUN_BYTES / (j.c * sizeof(float));
    j.per = j.per < 1 ? 1 : j.per;
    return j;
}

static void layer_task(void *user, int index, int worker)
{
    const struct rows_job *j = user;
    const struct pz_op_args *a = j->a;
    float room[WIDE];
    bool half = pz_cpu_half(&a->out);
    for (size_t r = (size_t)index * j->per; r < ((size_t)index + 1) * j->per && r < j->rows; r++) {
        const float *x = wide_in(a, j->f, r * j->c, j->c, room);
        j->f->layer_norm(x, pz_cpu_floats(a, 1), pz_cpu_floats(a, 2), a->attrs->eps, a->attrs->act,
                         half ? room : (float *)pz_cpu_at(&a->out, r * j->c), j->c);
        if (half)
            j->f->narrow(room, pz_cpu_at(&a->out, r * j->c), j->c);
    }
}

static enum pz_status layer_prepare(struct pz_log *log, const struct pz_op_args *a, void **state,
                                    size_t *scratch)
{
    pz_cpu_types(a, fits);
    return PZ_OK;
}

static void layer_run(const struct pz_op_args *a)
{
    struct rows_job j = rows_of_last_axis(a);
    pz_pool_run(j.rows * j.c > 32768 ? a->pool : NULL, layer_task, &j, (int)((j.rows + j.per - 1) / j.per));
}

static enum pz_status batch_prepare(struct pz_log *log, const struct pz_op_args *a, void **state,
                                    size_t *scratch)
{
    pz_cpu_types(a, fits);
    *scratch = 2 * (size_t)a->in[0].shape.dim[a->in[0].shape.rank - 1] * sizeof(float);
    return PZ_OK;
}

static void batch_task(void *user, int index, int worker)
{
    const struct rows_job *j = user;
    size_t first = (size_t)index * j->per, n = j->rows - first < j->per ? j->rows - first : j->per;
    scale_rows(j->a, j->f, j->scale, j->shift, first * j->c, j->c, n);
}

static void batch_run(const struct pz_op_args *a)
{
    struct rows_job j = rows_of_last_axis(a);
    const float *mean = a->in[1].data, *var = a->in[2].data, *gamma = pz_cpu_floats(a, 3),
                *beta = pz_cpu_floats(a, 4);
    float *scale = a->scratch, *shift = scale + j.c;
    for (size_t i = 0; i < j.c; i++) {
        double k = (gamma ? (double)gamma[i] : 1) / sqrt(fmax((double)var[i], 0) + (double)a->attrs->eps);
        scale[i] = (float)k;
        shift[i] = (float)((beta ? (double)beta[i] : 0) - (double)mean[i] * k);
    }
    j.scale = scale;
    j.shift = shift;
    pz_pool_run(j.rows * j.c > 32768 ? a->pool : NULL, batch_task, &j, (int)((j.rows + j.per - 1) / j.per));
}

static const struct pz_kernel group_norm = {"runs", group_prepare, NULL, group_run, NULL, NULL};
static const struct pz_kernel layer_norm = {"rows", layer_prepare, NULL, layer_run, NULL, NULL};
static const struct pz_kernel batch_norm = {"rows", batch_prepare, NULL, batch_run, NULL, NULL};
const struct pz_kernel *const pz_cpu_group_norm[] = {&group_norm, NULL};
const struct pz_kernel *const pz_cpu_layer_norm[] = {&layer_norm, NULL};
const struct pz_kernel *const pz_cpu_batch_norm[] = {&batch_norm, NULL};
