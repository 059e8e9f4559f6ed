/*
 * Constants on the way from where they lie to where a plan wants them: made on demand, in rows, by several
 * threads, narrowed piece by piece. Does not lay weights out for a kernel: that is the kernel's preparation.
 */
#include <string.h>

#include "base/mem.h"
#include "base/pool.h"
#include "tensor/graph_impl.h"
#include "tensor/half.h"

#define PIECE 4096              /* elements narrowed at once, where the source is not asked for more */
#define TASK ((size_t)1 << 17)  /* elements worth a task */
#define LARGE ((size_t)1 << 20) /* bytes of a constant that goes to the room */

int pz_constant_rows(const struct pz_graph_value *v, size_t *row)
{
    int rows = v->shape.rank ? v->shape.dim[0] : 1;
    *row = pz_shape_count(&v->shape) / (size_t)rows;
    return rows;
}

static void narrow(const float *from, enum pz_dtype type, void *out, size_t n)
{
    if (type == PZ_DTYPE_F16) {
        pz_f32_to_f16_array(from, out, n);
        return;
    }
    pz_f32_to_bf16_array(from, out, n);
}

enum pz_status pz_constant_read(const struct pz_graph_value *v, struct pz_log *log, int first, int n,
                                enum pz_dtype type, void *out)
{
    size_t row, from = (size_t)first, all = (size_t)n, size = pz_dtype_size(type);
    pz_constant_rows(v, &row);
    if (v->data && type == v->dtype) {
        memcpy(out, (const char *)v->data + from * row * size, all * row * size);
        return PZ_OK;
    }
    if (type != v->dtype && (v->dtype != PZ_DTYPE_F32 || (type != PZ_DTYPE_F16 && type != PZ_DTYPE_BF16)))
        return pz_fail(log, PZ_ERR_INTERNAL, "a constant of type %s was asked for as %s",
                       pz_dtype_name(v->dtype), pz_dtype_name(type));
    if (v->data) {
        narrow((const float *)v->data + from * row, type, out, all * row);
        return PZ_OK;
    }
    if (type == PZ_DTYPE_F32)
        return v->source.fill(v->source.ctx, log, first, n, out);
    int step = row < PIECE ? (int)(PIECE / row) : 1;
    float *wide = pz_calloc((size_t)step * row, sizeof *wide);
    enum pz_status st = wide ? PZ_OK : pz_fail(log, PZ_ERR_NOMEM, "no memory for weights");
    for (int at = 0; at < n && st >= PZ_OK; at += step) {
        int m = n - at < step ? n - at : step;
        st = v->source.fill(v->source.ctx, log, first + at, m, wide);
        if (st >= PZ_OK)
            narrow(wide, type, (char *)out + (size_t)at * row * size, (size_t)m * row);
    }
    pz_free(wide);
    return st;
}

struct load {
    const struct pz_graph_value *v;
    struct pz_log *log;
    float *out;
    size_t row;
    int rows, per_task;
    enum pz_status *st; /* one a task */
};

static void load_task(void *user, int index, int worker)
{
    const struct load *l = user;
    int first = index * l->per_task, n = l->rows - first < l->per_task ? l->rows - first : l->per_task;
    l->st[index] = l->v->source.fill(l->v->source.ctx, l->log, first, n, l->out + (size_t)first * l->row);
}

/* `place`: where to, NULL: memory of its own. */
static enum pz_status load(struct pz_graph_value *v, void *place, struct pz_log *log, struct pz_pool *pool)
{
    struct load l = {.v = v, .log = log};
    l.rows = pz_constant_rows(v, &l.row);
    l.per_task = l.row < TASK ? (int)(TASK / l.row) : 1;
    int tasks = (l.rows + l.per_task - 1) / l.per_task;
    enum pz_status st = PZ_OK;
    l.out = place ? place : pz_calloc(pz_shape_count(&v->shape), sizeof *l.out);
    l.st = pz_calloc((size_t)tasks, sizeof *l.st);
    if (!l.out || !l.st) {
        st =
            pz_fail(log, PZ_ERR_NOMEM, "no memory for a constant of %zu elements", pz_shape_count(&v->shape));
        goto fail;
    }
    pz_pool_run(pool, load_task, &l, tasks);
    for (int i = 0; i < tasks; i++)
        if (l.st[i] < PZ_OK)
            st = l.st[i];
    if (st < PZ_OK)
        goto fail;
    pz_free(l.st);
    v->data = l.out;
    return PZ_OK;
fail:
    pz_free(l.st);
    if (!place)
        pz_free(l.out);
    return st;
}

enum pz_status pz_constant_load(struct pz_graph_value *v, struct pz_log *log, struct pz_pool *pool)
{
    return v->data || !v->source.fill ? PZ_OK : load(v, NULL, log, pool);
}

void pz_constant_drop(struct pz_graph_value *v)
{
    pz_free(v->data);
    v->data = NULL;
}

void pz_constants_release(struct pz_graph *g)
{
    for (int i = 0; i < g->n_values; i++) {
        struct pz_source *s = &g->values[i].source;
        if (s->fill && s->release)
            s->release(s->ctx);
        *s = (struct pz_source){0};
    }
}

struct pz_pool *pz_constants_pool(const struct pz_graph *g, int threads)
{
    size_t n = 0;
    for (int i = 0; i < g->n_values; i++)
        n += g->values[i].source.fill ? pz_shape_count(&g->values[i].shape) : 0;
    return n > 16 * TASK && threads != 1 ? pz_pool_create(threads) : NULL;
}

void pz_constant_room_open(struct pz_constant_room *r, const struct pz_graph *g)
{
    size_t top = 0;
    for (int i = 0; i < g->n_values; i++) {
        size_t n = g->values[i].source.fill ? pz_shape_count(&g->values[i].shape) * sizeof(float) : 0;
        top = n > top ? n : top;
    }
    r->owner = PZ_NONE;
    r->data = top >= LARGE ? pz_calloc(top, 1) : NULL;
    r->bytes = r->data ? top : 0;
}

enum pz_status pz_constant_load_in(struct pz_constant_room *r, struct pz_graph *g, int value,
                                   struct pz_log *log, struct pz_pool *pool)
{
    struct pz_graph_value *v = &g->values[value];
    size_t bytes = pz_shape_count(&v->shape) * sizeof(float);
    if (v->data || !v->source.fill)
        return PZ_OK;
    if (r->owner != PZ_NONE || bytes < LARGE || bytes > r->bytes)
        return load(v, NULL, log, pool);
    enum pz_status st = load(v, r->data, log, pool);
    if (st >= PZ_OK)
        r->owner = value;
    return st;
}

void pz_constant_drop_from(struct pz_constant_room *r, struct pz_graph *g, int value)
{
    if (r->owner != value) {
        pz_constant_drop(&g->values[value]);
        return;
    }
    r->owner = PZ_NONE;
    g->values[value].data = NULL;
}

enum pz_status pz_constant_room_clear(struct pz_constant_room *r, struct pz_graph *g, struct pz_log *log)
{
    if (r->owner == PZ_NONE)
        return PZ_OK;
    struct pz_graph_value *v = &g->values[r->owner];
    size_t n = pz_shape_count(&v->shape);
    void *own = pz_calloc(n, sizeof(float));
    r->owner = PZ_NONE;
    v->data = own;
    if (!own)
        return pz_fail(log, PZ_ERR_NOMEM, "no memory for a constant of %zu elements", n);
    memcpy(own, r->data, n * sizeof(float));
    return PZ_OK;
}

void pz_constant_room_close(struct pz_constant_room *r, struct pz_graph *g)
{
    if (r->data && r->owner != PZ_NONE && g)
        g->values[r->owner].data = NULL;
    pz_free(r->data);
    *r = (struct pz_constant_room){.owner = PZ_NONE};
}
