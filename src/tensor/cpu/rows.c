/* Elementwise functions of one and two tensors (with broadcasting), GEGLU and softmax, divided over the pool.
 */
#include "base/mem.h"
#include "tensor/cpu/gemm.h"

#define CHUNK 16384 /* elements of a task */
#define STEP 4096   /* taken at a time where they are BF16 outside: widened, computed, narrowed */

/* Elementwise forms take whatever comes, constants as F32; rows must fit the room of a task. */
static bool any(const struct pz_op_args *a)
{
    return true;
}

static bool short_rows(const struct pz_op_args *a)
{
    const struct pz_shape *s = &a->in[0].shape;
    return pz_cpu_half(&a->in[0]) && s->rank > 0 && s->dim[s->rank - 1] <= CHUNK;
}

static bool one_type(const struct pz_op_args *a)
{
    return a->in[0].dtype == a->out.dtype;
}

static enum pz_status map_prepare(struct pz_log *log, const struct pz_op_args *a, void **state,
                                  size_t *scratch)
{
    pz_cpu_types(a, one_type);
    return PZ_OK;
}

static enum pz_status binary_prepare(struct pz_log *log, const struct pz_op_args *a, void **state,
                                     size_t *scratch)
{
    pz_cpu_types(a, any);
    return PZ_OK;
}

static enum pz_status rows_prepare(struct pz_log *log, const struct pz_op_args *a, void **state,
                                   size_t *scratch)
{
    pz_cpu_types(a, short_rows);
    return PZ_OK;
}

struct map_job {
    const struct pz_op_args *a;
    const struct pz_cpu_fns *f;
    enum pz_cpu_map fn, then; /* `then` the second of two passes, PZ_MAP_SCALE by 1 when there is one alone */
    size_t n;
    float value, second;
};

static void map_task(void *user, int index, int worker)
{
    const struct map_job *j = user;
    size_t at = (size_t)index * CHUNK, end = j->n - at < CHUNK ? j->n : at + CHUNK;
    float room[STEP];
    bool half = pz_cpu_half(&j->a->out);
    for (; at < end; at += STEP) {
        size_t n = end - at < STEP ? end - at : STEP;
        const float *x = half ? room : pz_cpu_at(&j->a->in[0], at);
        float *out = half ? room : pz_cpu_at(&j->a->out, at);
        if (half)
            j->f->widen(pz_cpu_at(&j->a->in[0], at), room, n);
        j->f->map(j->fn, x, out, n, j->value);
        if (j->then != PZ_MAP_SCALE)
            j->f->map(j->then, out, out, n, j->second);
        if (half)
            j->f->narrow(room, pz_cpu_at(&j->a->out, at), n);
    }
}

static void map_with(const struct pz_op_args *a, enum pz_cpu_map fn, float value, enum pz_cpu_map then,
                     float second)
{
    struct map_job j = {a, pz_cpu_fns_get(a->rung), fn, then, pz_shape_count(&a->out.shape), value, second};
    pz_pool_run(a->pool, map_task, &j, (int)((j.n + CHUNK - 1) / CHUNK));
}

static void map_run(const struct pz_op_args *a, enum pz_cpu_map fn)
{
    map_with(a, fn, a->attrs->value, PZ_MAP_SCALE, 1);
}

static void clamp_run(const struct pz_op_args *a)
{
    map_with(a, PZ_MAP_MAX, a->attrs->range[0], PZ_MAP_MIN, a->attrs->range[1]);
}

static void rsqrt_run(const struct pz_op_args *a)
{
    map_with(a, PZ_MAP_RSQRT, a->attrs->eps, PZ_MAP_SCALE, 1);
}

#define MAP_FORM(name, fn)                                                                                   \
    static void name##_run(const struct pz_op_args *a)                                                       \
    {                                                                                                        \
        map_run(a, fn);                                                                                      \
    }                                                                                                        \
    static const struct pz_kernel name##_form = {"own", map_prepare, NULL, name##_run, NULL, NULL};          \
    const struct pz_kernel *const pz_cpu_##name[] = {&name##_form, NULL}

MAP_FORM(sigmoid, PZ_MAP_SIGMOID);
MAP_FORM(gelu, PZ_MAP_GELU);
MAP_FORM(gelu_tanh, PZ_MAP_GELU_TANH);
MAP_FORM(silu, PZ_MAP_SILU);
MAP_FORM(tanh, PZ_MAP_TANH);
MAP_FORM(exp, PZ_MAP_EXP);
MAP_FORM(leaky_relu, PZ_MAP_LEAKY_RELU);
MAP_FORM(relu6, PZ_MAP_RELU6);
MAP_FORM(hard_sigmoid, PZ_MAP_HARD_SIGMOID);
MAP_FORM(hard_swish, PZ_MAP_HARD_SWISH);
MAP_FORM(sqrt, PZ_MAP_SQRT);
MAP_FORM(log, PZ_MAP_LOG);
MAP_FORM(softplus, PZ_MAP_SOFTPLUS);

/* Two tensors as runs: `inner` values of each, then the next of `outer` rows found by counting the axes. */
struct binary_job {
    const struct pz_op_args *a;
    const struct pz_cpu_fns *f;
    enum pz_cpu_binary fn;
    size_t inner, outer, per;
    bool same[2];
    int rank; /* outer axes */
    size_t dim[PZ_MAX_RANK], step[2][PZ_MAX_RANK];
};

/* Extent of axis i (of the output's) of a tensor that may have fewer axes. */
static int extent(const struct pz_shape *s, const struct pz_shape *out, int i)
{
    int k = i - (out->rank - s->rank);
    return k < 0 ? 1 : s->dim[k];
}

static void binary_shape(struct binary_job *j, const struct pz_op_args *a)
{
    const struct pz_shape *o = &a->out.shape;
    size_t size[2] = {1, 1};
    int i = o->rank - 1;
    bool open = true;
    j->inner = 1;
    for (; i >= 0; i--) { /* axes that behave alike make up a run */
        bool one[2];
        for (int k = 0; k < 2; k++)
            one[k] = extent(&a->in[k].shape, o, i) == 1 && o->dim[i] > 1;
        if (o->dim[i] > 1 && j->inner > 1 && (one[0] != j->same[0] || one[1] != j->same[1]))
            open = false;
        if (open) {
            if (o->dim[i] > 1) {
                j->same[0] = one[0];
                j->same[1] = one[1];
            }
            j->inner *= (size_t)o->dim[i];
        } else {
            j->dim[j->rank] = (size_t)o->dim[i];
            for (int k = 0; k < 2; k++)
                j->step[k][j->rank] = one[k] ? 0 : size[k];
            j->rank++;
        }
        for (int k = 0; k < 2; k++)
            size[k] *= (size_t)extent(&a->in[k].shape, o, i);
    }
    j->outer = pz_shape_count(o) / j->inner;
    j->per = j->inner < CHUNK ? CHUNK / j->inner : 1;
}

/* n results from element `to` on, from elements at[0], at[1] of the inputs. */
static void binary_piece(const struct binary_job *j, const size_t at[2], size_t to, size_t n)
{
    const struct pz_op_args *a = j->a;
    float room[2][STEP];
    if (!pz_cpu_mixed(a)) {
        j->f->binary(j->fn, pz_cpu_at(&a->in[0], at[0]), j->same[0], pz_cpu_at(&a->in[1], at[1]), j->same[1],
                     a->attrs->act, pz_cpu_at(&a->out, to), n);
        return;
    }
    for (size_t i = 0; i < n; i += STEP) {
        size_t m = n - i < STEP ? n - i : STEP;
        const float *x[2];
        for (int k = 0; k < 2; k++) {
            x[k] = pz_cpu_at(&a->in[k], at[k] + (j->same[k] ? 0 : i));
            if (pz_cpu_half(&a->in[k])) {
                j->f->widen((const uint16_t *)(const void *)x[k], room[k], j->same[k] ? 1 : m);
                x[k] = room[k];
            }
        }
        j->f->binary(j->fn, x[0], j->same[0], x[1], j->same[1], a->attrs->act, room[0], m);
        j->f->narrow(room[0], pz_cpu_at(&a->out, to + i), m);
    }
}

static void binary_task(void *user, int index, int worker)
{
    const struct binary_job *j = user;
    for (size_t r = (size_t)index * j->per; r < ((size_t)index + 1) * j->per && r < j->outer; r++) {
        size_t at[2] = {0, 0}, rest = r;
        for (int i = 0; i < j->rank; i++) {
            at[0] += rest % j->dim[i] * j->step[0][i];
            at[1] += rest % j->dim[i] * j->step[1][i];
            rest /= j->dim[i];
        }
        binary_piece(j, at, r * j->inner, j->inner);
    }
}

/* One run over everything: divided by length instead. */
static void flat_task(void *user, int index, int worker)
{
    const struct binary_job *j = user;
    size_t to = (size_t)index * CHUNK, n = j->inner - to < CHUNK ? j->inner - to : CHUNK;
    size_t at[2] = {j->same[0] ? 0 : to, j->same[1] ? 0 : to};
    binary_piece(j, at, to, n);
}

static void binary_run(const struct pz_op_args *a, enum pz_cpu_binary fn)
{
    struct binary_job j = {.a = a, .f = pz_cpu_fns_get(a->rung), .fn = fn};
    binary_shape(&j, a);
    if (j.outer == 1)
        pz_pool_run(a->pool, flat_task, &j, (int)((j.inner + CHUNK - 1) / CHUNK));
    else
        pz_pool_run(a->pool, binary_task, &j, (int)((j.outer + j.per - 1) / j.per));
}

static void add_run(const struct pz_op_args *a)
{
    binary_run(a, PZ_BINARY_ADD);
}

static void sub_run(const struct pz_op_args *a)
{
    binary_run(a, PZ_BINARY_SUB);
}

static void mul_run(const struct pz_op_args *a)
{
    binary_run(a, PZ_BINARY_MUL);
}

static void div_run(const struct pz_op_args *a)
{
    binary_run(a, PZ_BINARY_DIV);
}

struct rows_job {
    const struct pz_op_args *a;
    const struct pz_cpu_fns *f;
    size_t c, rows, per;
};

static void geglu_task(void *user, int index, int worker)
{
    const struct rows_job *j = user;
    const struct pz_op_args *a = j->a;
    float room[CHUNK];
    for (size_t r = (size_t)index * j->per; r < ((size_t)index + 1) * j->per && r < j->rows; r++) {
        if (!pz_cpu_half(&a->out)) {
            j->f->geglu(pz_cpu_at(&a->in[0], r * 2 * j->c), pz_cpu_at(&a->out, r * j->c), j->c);
            continue;
        }
        j->f->widen(pz_cpu_at(&a->in[0], r * 2 * j->c), room, 2 * j->c);
        j->f->geglu(room, room, j->c);
        j->f->narrow(room, pz_cpu_at(&a->out, r * j->c), j->c);
    }
}

static void softmax_task(void *user, int index, int worker)
{
    const struct rows_job *j = user;
    const struct pz_op_args *a = j->a;
    float room[CHUNK];
    for (size_t r = (size_t)index * j->per; r < ((size_t)index + 1) * j->per && r < j->rows; r++) {
        if (!pz_cpu_half(&a->out)) {
            j->f->softmax(pz_cpu_at(&a->in[0], r * j->c), pz_cpu_at(&a->out, r * j->c), j->c);
            continue;
        }
        j->f->widen(pz_cpu_at(&a->in[0], r * j->c), room, j->c);
        j->f->softmax(room, room, j->c);
        j->f->narrow(room, pz_cpu_at(&a->out, r * j->c), j->c);
    }
}

static void rows_run(const struct pz_op_args *a, pz_task_fn task)
{
    const struct pz_shape *o = &a->out.shape;
    struct rows_job j = {
        .a = a, .f = pz_cpu_fns_get(a->rung), .c = o->rank ? (size_t)o->dim[o->rank - 1] : 1};
    j.rows = pz_shape_count(o) / j.c;
    j.per = j.c < CHUNK ? CHUNK / j.c : 1;
    pz_pool_run(a->pool, task, &j, (int)((j.rows + j.per - 1) / j.per));
}

static void geglu_run(const struct pz_op_args *a)
{
    rows_run(a, geglu_task);
}

static void softmax_run(const struct pz_op_args *a)
{
    rows_run(a, softmax_task);
}

static enum pz_status need_last_axis(struct pz_log *log, const struct pz_op_args *a, void **state,
                                     size_t *scratch)
{
    return a->attrs->axis == 0 ? rows_prepare(log, a, state, scratch) : PZ_ERR_UNSUPPORTED;
}

static const struct pz_kernel add = {"own", binary_prepare, NULL, add_run, NULL, NULL};
static const struct pz_kernel sub = {"own", binary_prepare, NULL, sub_run, NULL, NULL};
static const struct pz_kernel mul = {"own", binary_prepare, NULL, mul_run, NULL, NULL};
static const struct pz_kernel geglu = {"own", rows_prepare, NULL, geglu_run, NULL, NULL};
static const struct pz_kernel softmax = {"own", need_last_axis, NULL, softmax_run, NULL, NULL};

static const struct pz_kernel divide = {"own", binary_prepare, NULL, div_run, NULL, NULL};
static const struct pz_kernel clamp = {"own", map_prepare, NULL, clamp_run, NULL, NULL};
static const struct pz_kernel rsqrt_form = {"own", map_prepare, NULL, rsqrt_run, NULL, NULL};
const struct pz_kernel *const pz_cpu_add[] = {&add, NULL};
const struct pz_kernel *const pz_cpu_sub[] = {&sub, NULL};
const struct pz_kernel *const pz_cpu_mul[] = {&mul, NULL};
const struct pz_kernel *const pz_cpu_div[] = {&divide, NULL};
const struct pz_kernel *const pz_cpu_clamp[] = {&clamp, NULL};
const struct pz_kernel *const pz_cpu_rsqrt[] = {&rsqrt_form, NULL};
const struct pz_kernel *const pz_cpu_geglu[] = {&geglu, NULL};
const struct pz_kernel *const pz_cpu_softmax[] = {&softmax, NULL};
