/* Moving without arithmetic: concat, slice, transpose, nearest neighbour, embedding. Rows are copied whole.
 */
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "tensor/cpu/gemm.h"

#define CHUNK 16384 /* floats of a task */

/* Elements are copied as they are: all of one type. */
static bool one_type(const struct pz_op_args *a)
{
    for (int i = 0; i < a->n_in; i++)
        if (a->in[i].dtype != a->out.dtype && a->in[i].dtype != PZ_DTYPE_I32)
            return false;
    return true;
}

static enum pz_status prepare(struct pz_log *log, const struct pz_op_args *a, void **state, size_t *scratch)
{
    pz_cpu_types(a, one_type);
    return PZ_OK;
}

struct copy_job {
    const struct pz_op_args *a;
    size_t size;             /* bytes of an element */
    size_t inner, rows, per; /* elements of a run; runs */
    int rank;                /* outer axes, innermost first */
    size_t dim[PZ_MAX_RANK], step[PZ_MAX_RANK], first;
    size_t gap; /* distance of a run's elements; 1: they are copied at once */
};

static void copy_run(const struct copy_job *j, size_t r, const char *from, char *to)
{
    if (j->gap == 1) {
        memcpy(to, from, j->inner * j->size);
    } else if (j->size == 4) {
        const uint32_t *x = (const uint32_t *)(const void *)from;
        uint32_t *y = (uint32_t *)(void *)to;
        for (size_t i = 0; i < j->inner; i++)
            y[i] = x[i * j->gap];
    } else {
        const uint16_t *x = (const uint16_t *)(const void *)from;
        uint16_t *y = (uint16_t *)(void *)to;
        for (size_t i = 0; i < j->inner; i++)
            y[i] = x[i * j->gap];
    }
}

static void copy_task(void *user, int index, int worker)
{
    const struct copy_job *j = user;
    for (size_t r = (size_t)index * j->per; r < ((size_t)index + 1) * j->per && r < j->rows; r++) {
        size_t at = j->first, rest = r;
        for (int i = 0; i < j->rank; i++) {
            at += rest % j->dim[i] * j->step[i];
            rest /= j->dim[i];
        }
        copy_run(j, r, (const char *)j->a->in[0].data + at * j->size,
                 (char *)j->a->out.data + r * j->inner * j->size);
    }
}

/* Output axis i has `dim[i]` elements that lie `step[i]` apart in the input; what follows seamlessly is one
 * run. */
static void copy_strided(const struct pz_op_args *a, const size_t *dim, const size_t *step, int rank,
                         size_t first)
{
    struct copy_job j = {.a = a, .size = pz_dtype_size(a->out.dtype), .inner = 1, .gap = 1, .first = first};
    int i = rank - 1;
    while (i >= 0 && dim[i] == 1)
        i--;
    if (i >= 0) {
        j.inner = dim[i];
        j.gap = step[i];
        for (i--; i >= 0 && (dim[i] == 1 || step[i] == j.inner * j.gap); i--)
            j.inner *= dim[i];
    }
    j.rows = 1;
    for (; i >= 0; i--) {
        j.dim[j.rank] = dim[i];
        j.step[j.rank++] = step[i];
        j.rows *= dim[i];
    }
    j.per = j.inner < CHUNK ? CHUNK / j.inner : 1;
    pz_pool_run(a->pool, copy_task, &j, (int)((j.rows + j.per - 1) / j.per));
}

static void steps_of(const struct pz_shape *s, size_t step[PZ_MAX_RANK])
{
    size_t n = 1;
    for (int i = s->rank - 1; i >= 0; i--) {
        step[i] = n;
        n *= (size_t)s->dim[i];
    }
}

static void slice_run(const struct pz_op_args *a)
{
    size_t step[PZ_MAX_RANK], dim[PZ_MAX_RANK], first = 0;
    const struct pz_shape *o = &a->out.shape;
    steps_of(&a->in[0].shape, step);
    for (int i = 0; i < o->rank; i++) {
        dim[i] = (size_t)o->dim[i];
        first += (size_t)a->attrs->begin[i] * step[i];
    }
    copy_strided(a, dim, step, o->rank, first);
}

static void transpose_run(const struct pz_op_args *a)
{
    size_t from[PZ_MAX_RANK], step[PZ_MAX_RANK], dim[PZ_MAX_RANK];
    const struct pz_shape *o = &a->out.shape;
    steps_of(&a->in[0].shape, from);
    for (int i = 0; i < o->rank; i++) {
        dim[i] = (size_t)o->dim[i];
        step[i] = from[a->attrs->perm[i]];
    }
    copy_strided(a, dim, step, o->rank, 0);
}

struct concat_job {
    const struct pz_op_args *a;
    size_t outer, total, per, part[PZ_OP_MAX_IN]; /* bytes */
};

static void concat_task(void *user, int index, int worker)
{
    const struct concat_job *j = user;
    for (size_t r = (size_t)index * j->per; r < ((size_t)index + 1) * j->per && r < j->outer; r++) {
        char *to = (char *)j->a->out.data + r * j->total;
        for (int k = 0; k < j->a->n_in; k++) {
            memcpy(to, (const char *)j->a->in[k].data + r * j->part[k], j->part[k]);
            to += j->part[k];
        }
    }
}

static void concat_run(const struct pz_op_args *a)
{
    struct concat_job j = {.a = a, .outer = 1};
    const struct pz_shape *o = &a->out.shape;
    size_t inner = pz_dtype_size(a->out.dtype);
    for (int i = 0; i < o->rank; i++) {
        if (i < a->attrs->axis)
            j.outer *= (size_t)o->dim[i];
        else if (i > a->attrs->axis)
            inner *= (size_t)o->dim[i];
    }
    for (int k = 0; k < a->n_in; k++)
        j.part[k] = (size_t)a->in[k].shape.dim[a->attrs->axis] * inner;
    j.total = (size_t)o->dim[a->attrs->axis] * inner;
    j.per = j.total < 4 * CHUNK ? 4 * CHUNK / j.total : 1;
    pz_pool_run(a->pool, concat_task, &j, (int)((j.outer + j.per - 1) / j.per));
}

/* Source row or column of an output one: the table's convention, as ref/simple.c. */
static size_t nearest(const struct pz_attrs *t, int o, int in, int out)
{
    float f = (float)o * ((float)in / (float)out);
    if (t->align_corners && out > 1)
        f = (float)o * (float)(in - 1) / (float)(out - 1);
    else if (t->half_pixel)
        f = ((float)o + 0.5f) * ((float)in / (float)out);
    int i = (int)(t->align_corners ? roundf(f) : floorf(f));
    return (size_t)(i < 0 ? 0 : i > in - 1 ? in - 1 : i);
}

static void nearest_task(void *user, int index, int worker)
{
    const struct pz_op_args *a = user;
    const int *o = a->out.shape.dim, *d = a->in[0].shape.dim;
    size_t c = (size_t)d[3] * pz_dtype_size(a->out.dtype), b = (size_t)index / (size_t)o[1];
    size_t y = nearest(a->attrs, index % o[1], d[1], o[1]);
    const char *from = (const char *)a->in[0].data + (b * (size_t)d[1] + y) * (size_t)d[2] * c;
    char *to = (char *)a->out.data + (size_t)index * (size_t)o[2] * c;
    for (int x = 0; x < o[2]; x++)
        memcpy(to + (size_t)x * c, from + nearest(a->attrs, x, d[2], o[2]) * c, c);
}

static void nearest_run(const struct pz_op_args *a)
{
    struct pz_op_args copy = *a;
    pz_pool_run(a->pool, nearest_task, &copy, a->out.shape.dim[0] * a->out.shape.dim[1]);
}

static void embedding_run(const struct pz_op_args *a)
{
    const int32_t *ids = a->in[0].data;
    size_t n = pz_shape_count(&a->in[0].shape),
           d = (size_t)a->in[1].shape.dim[1] * pz_dtype_size(a->out.dtype);
    int32_t top = a->in[1].shape.dim[0] - 1;
    for (size_t i = 0; i < n; i++) {
        int32_t id = ids[i] < 0 ? 0 : ids[i] > top ? top : ids[i];
        memcpy((char *)a->out.data + i * d, (const char *)a->in[1].data + (size_t)id * d, d);
    }
}

static const struct pz_kernel concat = {"own", prepare, NULL, concat_run, NULL, NULL};
static const struct pz_kernel slice = {"own", prepare, NULL, slice_run, NULL, NULL};
static const struct pz_kernel transpose = {"own", prepare, NULL, transpose_run, NULL, NULL};
static const struct pz_kernel resize = {"own", prepare, NULL, nearest_run, NULL, NULL};
static const struct pz_kernel embedding = {"own", prepare, NULL, embedding_run, NULL, NULL};

const struct pz_kernel *const pz_cpu_concat[] = {&concat, NULL};
const struct pz_kernel *const pz_cpu_slice[] = {&slice, NULL};
const struct pz_kernel *const pz_cpu_transpose[] = {&transpose, NULL};
const struct pz_kernel *const pz_cpu_resize_nearest[] = {&resize, NULL};
const struct pz_kernel *const pz_cpu_embedding[] = {&embedding, NULL};
