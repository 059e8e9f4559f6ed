/*
 * Planner: folding, fusion, choice of kernels, lifetimes and places; and the loop that runs them. Places are
 * given greedily, largest value first, at the lowest offset free during the value's life (reshapes share
 * their input's).
 */
#include "tensor/plan.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "tensor/cpu/cpu.h"
#include "tensor/cuda/cuda.h"
#include "tensor/plan_impl.h"

#define ALIGN 256 /* what CUDA libraries like; 64 would do for vectors */

const struct pz_plan_params pz_plan_default = {
    .backend = PZ_BACKEND_CPU, .rung = PZ_CPU_RUNG_BEST, .threads = 1};

enum pz_dtype pz_plan_dtype(const struct pz_plan *p, enum pz_dtype t)
{
    return t == PZ_DTYPE_F32 ? p->params.dtype : t;
}

static size_t round_up(size_t n)
{
    return (n + ALIGN - 1) & ~(size_t)(ALIGN - 1);
}

/* Nodes with constant inputs only are computed now; their values become constants. */
static enum pz_status fold(struct pz_plan *p, struct pz_log *log)
{
    for (int i = 0; i < p->g->n_nodes; i++) {
        struct pz_graph_node *n = &p->nodes[i];
        struct pz_graph_value *out = &p->g->values[n->out];
        bool constant = n->n_in > 0;
        for (int k = 0; k < n->n_in; k++)
            constant = constant && (n->in[k] < 0 || p->g->values[n->in[k]].constant);
        if (!constant)
            continue;
        for (int k = 0; k < n->n_in; k++)
            if (n->in[k] >= 0) {
                enum pz_status st = pz_constant_load_in(&p->room, p->g, n->in[k], log, p->loaders);
                if (st < PZ_OK)
                    return st;
            }
        out->data = pz_calloc(pz_shape_count(&out->shape), pz_dtype_size(out->dtype));
        if (!out->data)
            return pz_fail(log, PZ_ERR_NOMEM, "no memory to fold a constant");
        struct pz_op_args a;
        pz_graph_args(p->g, n, &a);
        pz_op_row(n->op)->ref(&a);
        out->constant = true;
        n->dead = true;
        for (int k = 0; k < n->n_in; k++)
            if (n->in[k] >= 0 && p->g->values[n->in[k]].source.fill)
                pz_constant_drop_from(&p->room, p->g, n->in[k]);
    }
    return PZ_OK;
}

/* How often each value is still to be read by a step; outputs count for ever. */
static enum pz_status count_readers(struct pz_plan *p, struct pz_log *log)
{
    p->readers = pz_calloc((size_t)p->g->n_values + 1, sizeof *p->readers);
    if (!p->readers)
        return pz_fail(log, PZ_ERR_NOMEM, "no memory to plan a graph");
    for (int i = 0; i < p->g->n_nodes; i++)
        for (int k = 0; !p->nodes[i].dead && k < p->nodes[i].n_in; k++)
            if (p->nodes[i].in[k] >= 0)
                p->readers[p->nodes[i].in[k]]++;
    for (int i = 0; i < p->g->n_outputs; i++)
        p->readers[p->g->outputs[i].value]++;
    return PZ_OK;
}

/* Constants a step is about to see. */
static enum pz_status load_inputs(struct pz_plan *p, const struct pz_graph_node *n, struct pz_log *log)
{
    enum pz_status st = PZ_OK;
    for (int k = 0; k < n->n_in && st >= PZ_OK; k++)
        if (n->in[k] >= 0)
            st = pz_constant_load_in(&p->room, p->g, n->in[k], log, p->loaders);
    if (st >= PZ_OK && pz_plan_is_half(p))
        pz_half_round(p, n);
    return st;
}

/* Constants that the step's kernel has packed and nobody else reads are forgotten. */
static void drop_packed(struct pz_plan *p, const struct pz_graph_node *n, unsigned packed)
{
    for (int k = 0; k < n->n_in; k++)
        if (n->in[k] >= 0 && packed >> k & 1 && --p->readers[n->in[k]] == 0)
            pz_constant_drop_from(&p->room, p->g, n->in[k]);
}

/* Constants that nothing reads any more, as those which became others. */
static void drop_unused(struct pz_plan *p)
{
    for (int i = 0; i < p->g->n_values; i++)
        if (p->g->values[i].constant && p->readers[i] == 0)
            pz_constant_drop_from(&p->room, p->g, i);
}

/* Nodes nobody reads, from the end. */
static void drop_unread(struct pz_plan *p)
{
    for (int i = p->g->n_nodes - 1; i >= 0; i--) {
        bool read = false;
        for (int k = 0; k < p->g->n_outputs; k++)
            read = read || p->g->outputs[k].value == p->nodes[i].out;
        for (int j = i + 1; !read && j < p->g->n_nodes; j++)
            for (int k = 0; !p->nodes[j].dead && k < p->nodes[j].n_in; k++)
                read = read || p->nodes[j].in[k] == p->nodes[i].out;
        p->nodes[i].dead = p->nodes[i].dead || !read;
    }
}

/* The first form of the row that takes the step; on the device a reshape that only aliases needs none. */
static enum pz_status choose_form(struct pz_plan *p, struct pz_step *s, const struct pz_op_args *a,
                                  struct pz_log *log)
{
    const struct pz_op_row *row = pz_op_row(p->nodes[s->node].op);
    bool device = p->params.backend == PZ_BACKEND_CUDA;
    const struct pz_kernel *const *forms = device                                ? row->cuda
                                           : p->params.backend == PZ_BACKEND_CPU ? row->cpu
                                                                                 : NULL;
    for (int k = 0; forms && forms[k]; k++) {
        enum pz_status st = forms[k]->prepare(log, a, &s->state, &s->scratch_bytes);
        if (st == PZ_OK) {
            s->kernel = forms[k];
            return PZ_OK;
        }
        if (st != PZ_ERR_UNSUPPORTED)
            return st;
        if (a->takes_held)
            *a->takes_held = false;
    }
    return device
               ? pz_fail(log, PZ_ERR_UNSUPPORTED, "operation %s has no CUDA form for these sizes", row->name)
               : PZ_OK;
}

static enum pz_status choose(struct pz_plan *p, struct pz_log *log)
{
    for (int i = 0; i < p->g->n_nodes; i++) {
        if (p->nodes[i].dead)
            continue;
        struct pz_step *s = &p->steps[p->n_steps++];
        struct pz_op_args a;
        unsigned packed = 0;
        bool as_held = false;
        enum pz_status st = p->device ? PZ_OK : load_inputs(p, &p->nodes[i], log);
        if (st < PZ_OK)
            return st;
        pz_graph_args(p->g, &p->nodes[i], &a);
        a.rung = p->params.rung;
        a.threads = p->params.threads;
        a.pool = p->loaders;
        a.device = p->device;
        a.packed = p->device ? NULL : &packed;
        a.held = p->params.dtype;
        a.takes_held = pz_plan_is_half(p) ? &as_held : NULL;
        s->node = i;
        p->cost += p->nodes[i].cost > 0 ? p->nodes[i].cost : pz_op_cost(p->nodes[i].op, &a);
        for (int k = 0; p->device && k < a.n_in; k++) {
            a.in[k].dtype = pz_plan_dtype(p, a.in[k].dtype);
            a.in[k].data = NULL;
        }
        if (p->device)
            a.out.dtype = pz_plan_dtype(p, a.out.dtype);
        st = choose_form(p, s, &a, log);
        if (st < PZ_OK)
            return st;
        if (pz_plan_is_half(p) && !as_held)
            pz_half_layout(p, s);
        if (s->kernel)
            drop_packed(p, &p->nodes[i], packed);
        st = pz_constant_room_clear(&p->room, p->g, log);
        if (st < PZ_OK)
            return st;
    }
    for (int i = 0; i < p->g->n_outputs && !p->device; i++) {
        enum pz_status st = pz_constant_load(&p->g->values[p->g->outputs[i].value], log, p->loaders);
        if (st < PZ_OK)
            return st;
    }
    return PZ_OK;
}

static void live(struct pz_place *places, int value, int first, int last)
{
    struct pz_place *r = &places[places[value].root];
    if (first < r->first)
        r->first = first;
    if (last > r->last)
        r->last = last;
}

/* Operations that read element i of their first input for element i of the output alone, and nothing of it
 * after they wrote that. */
static bool elementwise(enum pz_op op)
{
    switch (op) {
    case PZ_OP_ADD:
    case PZ_OP_SUB:
    case PZ_OP_MUL:
    case PZ_OP_DIV:
    case PZ_OP_RELU:
    case PZ_OP_RELU6:
    case PZ_OP_PRELU:
    case PZ_OP_SIGMOID:
    case PZ_OP_GELU:
    case PZ_OP_GELU_TANH:
    case PZ_OP_SILU:
    case PZ_OP_TANH:
    case PZ_OP_EXP:
    case PZ_OP_LEAKY_RELU:
    case PZ_OP_HARD_SIGMOID:
    case PZ_OP_HARD_SWISH:
    case PZ_OP_CLAMP:
    case PZ_OP_SQRT:
    case PZ_OP_RSQRT:
    case PZ_OP_LOG:
    case PZ_OP_POW:
    case PZ_OP_SOFTPLUS:
        return true;
    default:
        return false;
    }
}

/* Whether step t may write over its first input: it is the last to read that memory, and no other input lies
 * there in another order. `last` is the last step that reads the memory of each root. */
static bool in_place(const struct pz_plan *p, const struct pz_graph_node *n, int t, const int *last)
{
    const struct pz_graph_value *v = p->g->values;
    if (p->device || p->params.keep_all || !elementwise(n->op) || v[n->in[0]].constant ||
        !pz_shape_equal(&v[n->in[0]].shape, &v[n->out].shape))
        return false;
    int root = p->places[n->in[0]].root;
    for (int k = 1; k < n->n_in; k++)
        if (n->in[k] >= 0 && p->places[n->in[k]].root == root && n->in[k] != n->in[0])
            return false;
    return last[root] == t;
}

static size_t bytes_of(const struct pz_plan *p, int value)
{
    const struct pz_graph_value *v = &p->g->values[value];
    return pz_shape_count(&v->shape) * pz_dtype_size(pz_plan_dtype(p, v->dtype));
}

/* Which values share memory: reshapes with their source, elementwise results with an input nobody reads
 * again. */
static enum pz_status share(struct pz_plan *p, struct pz_log *log)
{
    const struct pz_graph *g = p->g;
    int *last = pz_calloc((size_t)g->n_values + 1, sizeof *last);
    if (!last)
        return pz_fail(log, PZ_ERR_NOMEM, "no memory to plan a graph");
    for (int i = 0; i < g->n_values; i++)
        p->places[i] = (struct pz_place){.root = i, .first = p->n_steps, .last = -1};
    for (int t = 0; t < p->n_steps; t++) {
        const struct pz_graph_node *n = &p->nodes[p->steps[t].node];
        for (int k = 0; k < n->n_in; k++)
            if (n->in[k] >= 0)
                last[n->in[k]] = t;
    }
    for (int i = 0; i < g->n_inputs; i++) /* inputs keep their content */
        last[g->inputs[i].value] = p->n_steps;
    for (int i = 0; i < g->n_outputs; i++)
        last[g->outputs[i].value] = p->n_steps;
    for (int t = 0; t < p->n_steps; t++) {
        const struct pz_graph_node *n = &p->nodes[p->steps[t].node];
        for (int k = 0; k < n->n_more; k++) {
            p->places[n->more[k]].root = n->out;
            p->places[n->more[k]].within = (size_t)(k + 1) * bytes_of(p, n->out);
            p->places[n->out].bytes = (size_t)(k + 2) * bytes_of(p, n->out);
        }
        bool alias = n->op == PZ_OP_RESHAPE && !g->values[n->in[0]].constant && !p->params.keep_all;
        if (!alias && !in_place(p, n, t, last))
            continue;
        int root = p->places[n->in[0]].root;
        p->places[n->out].root = root;
        p->places[n->out].within = p->places[n->in[0]].within;
        if (last[n->out] > last[root])
            last[root] = last[n->out];
    }
    pz_free(last);
    return PZ_OK;
}

static enum pz_status lifetimes(struct pz_plan *p, struct pz_log *log)
{
    const struct pz_graph *g = p->g;
    enum pz_status st = share(p, log);
    if (st < PZ_OK)
        return st;
    for (int t = 0; t < p->n_steps; t++) {
        const struct pz_graph_node *n = &p->nodes[p->steps[t].node];
        live(p->places, n->out, t, p->params.keep_all ? p->n_steps : t);
        for (int k = 0; k < n->n_in; k++)
            if (n->in[k] >= 0)
                live(p->places, n->in[k], t, t);
    }
    for (int i = 0; i < g->n_inputs; i++)
        live(p->places, g->inputs[i].value, -1, p->n_steps);
    for (int i = 0; i < g->n_outputs; i++)
        live(p->places, g->outputs[i].value, p->n_steps, p->n_steps);
    for (int i = 0; i < g->n_values; i++) {
        struct pz_place *r = &p->places[i];
        bool used = r->root == i && r->last >= 0 && !g->values[i].constant;
        r->bytes = !used ? 0 : round_up(r->bytes ? r->bytes : bytes_of(p, i));
    }
    return PZ_OK;
}

/* Lowest offset at which `bytes` are free from step `first` to `last` among the first `n` entries of `order`.
 */
static size_t lowest(const struct pz_place *places, const int *order, int n, const struct pz_place *want)
{
    size_t at = 0;
    for (bool moved = true; moved;) {
        moved = false;
        for (int i = 0; i < n; i++) {
            const struct pz_place *q = &places[order[i]];
            bool together = q->first <= want->last && want->first <= q->last;
            if (together && at < q->offset + q->bytes && q->offset < at + want->bytes) {
                at = q->offset + q->bytes;
                moved = true;
            }
        }
    }
    return at;
}

static enum pz_status place_values(struct pz_plan *p, struct pz_log *log)
{
    int n = p->g->n_values, m = 0;
    int *order = pz_calloc((size_t)n + 1, sizeof *order);
    if (!order)
        return pz_fail(log, PZ_ERR_NOMEM, "no memory to plan a graph");
    for (int i = 0; i < n; i++)
        if (p->places[i].bytes)
            order[m++] = i;
    for (int i = 1; i < m; i++) /* insertion sort: falling size, stable */
        for (int k = i; k > 0 && p->places[order[k - 1]].bytes < p->places[order[k]].bytes; k--) {
            int t = order[k];
            order[k] = order[k - 1];
            order[k - 1] = t;
        }
    for (int i = 0; i < m; i++) {
        struct pz_place *q = &p->places[order[i]];
        q->offset = lowest(p->places, order, i, q);
        if (q->offset + q->bytes > p->arena_bytes)
            p->arena_bytes = q->offset + q->bytes;
    }
    size_t scratch = 0;
    for (int t = 0; t < p->n_steps; t++) {
        p->steps[t].scratch_offset = p->arena_bytes;
        if (round_up(p->steps[t].scratch_bytes) > scratch)
            scratch = round_up(p->steps[t].scratch_bytes);
    }
    p->arena_bytes += scratch;
    pz_free(order);
    return PZ_OK;
}

enum pz_status pz_plan_create(struct pz_graph **g, const struct pz_plan_params *params, struct pz_log *log,
                              struct pz_plan **plan)
{
    enum pz_status st = pz_graph_status(*g);
    struct pz_plan *p = pz_calloc(1, sizeof *p);
    *plan = NULL;
    if (!p) {
        pz_graph_destroy(g);
        return pz_fail(log, PZ_ERR_NOMEM, "no memory to plan a graph");
    }
    p->g = *g;
    *g = NULL;
    p->params = *params;
    if (st < PZ_OK)
        goto fail;
    p->nodes = pz_calloc((size_t)p->g->n_nodes + 1, sizeof *p->nodes);
    p->steps = pz_calloc((size_t)p->g->n_nodes + 1, sizeof *p->steps);
    if (!p->nodes || !p->steps) {
        st = pz_fail(log, PZ_ERR_NOMEM, "no memory to plan a graph");
        goto fail;
    }
    if (p->g->n_nodes)
        memcpy(p->nodes, p->g->nodes, (size_t)p->g->n_nodes * sizeof *p->nodes);
    pz_constant_room_open(&p->room, p->g);
    p->loaders = pz_constants_pool(p->g, params->backend == PZ_BACKEND_CUDA ? 0 : params->threads);
    PZ_TRY(fold(p, log));
    drop_unread(p);
    if (params->backend != PZ_BACKEND_REF && !params->keep_all) {
        PZ_TRY(pz_graph_fold_norms(p->g, p->nodes, log));
        pz_graph_fuse(p->g, p->nodes, params->backend == PZ_BACKEND_CUDA);
    }
    if (params->dtype != PZ_DTYPE_F32 && params->dtype != PZ_DTYPE_F16 && params->dtype != PZ_DTYPE_BF16) {
        st = pz_fail(log, PZ_ERR_UNSUPPORTED, "a plan holds values in F32, F16 or BF16, not in %s",
                     pz_dtype_name(params->dtype));
        goto fail;
    }
    if (params->backend == PZ_BACKEND_CUDA) {
        if (!params->keep_all)
            PZ_TRY(pz_cuda_plan_merge(p, log));
        PZ_TRY(pz_cuda_plan_open(p, log));
    }
    p->places = pz_calloc((size_t)p->g->n_values + 1, sizeof *p->places);
    if (!p->places) {
        st = pz_fail(log, PZ_ERR_NOMEM, "no memory to plan a graph");
        goto fail;
    }
    PZ_TRY(count_readers(p, log));
    PZ_TRY(choose(p, log));
    if (p->device)
        PZ_TRY(pz_cuda_plan_weights(p, log));
    PZ_TRY(lifetimes(p, log));
    PZ_TRY(place_values(p, log));
    drop_unused(p);
    pz_constants_release(p->g);
    pz_constant_room_close(&p->room, p->g);
    pz_pool_destroy(&p->loaders);
    *plan = p;
    return PZ_OK;
fail:
    pz_plan_destroy(&p);
    return st;
}

void pz_plan_destroy(struct pz_plan **plan)
{
    if (!plan || !*plan)
        return;
    struct pz_plan *p = *plan;
    for (int i = 0; i < p->n_steps; i++)
        if (p->steps[i].kernel && p->steps[i].kernel->release)
            p->steps[i].kernel->release(p->steps[i].state);
    pz_cuda_plan_close(p);
    pz_constant_room_close(&p->room, p->g);
    pz_pool_destroy(&p->loaders);
    pz_free(p->readers);
    pz_graph_destroy(&p->g);
    pz_free(p->nodes);
    pz_free(p->places);
    pz_free(p->steps);
    pz_free(p);
    *plan = NULL;
}

size_t pz_plan_arena_bytes(const struct pz_plan *plan)
{
    return plan->arena_bytes;
}

double pz_plan_cost(const struct pz_plan *plan)
{
    return plan->cost;
}

int pz_plan_nodes(const struct pz_plan *plan)
{
    return plan->n_steps;
}

int pz_plan_widened(const struct pz_plan *plan)
{
    int n = 0;
    for (int t = 0; t < plan->n_steps; t++)
        n += plan->steps[t].wide;
    return n;
}

void *pz_session_place(const struct pz_session *s, int value)
{
    const struct pz_plan *p = s->plan;
    int root = p->places[value].root;
    if (!p->g->values[root].constant)
        return s->arena + p->places[root].offset + p->places[value].within;
    if (p->device) {
        if (p->weight_at[root] == SIZE_MAX)
            return NULL;
        if (!p->away || p->hauled[root] < 0)
            return (uint8_t *)p->weights + p->weight_at[root];
        const struct pz_haul *h = &p->hauls[p->hauled[root]];
        return s->belt + (size_t)h->place * p->haul_bytes + (p->weight_at[root] - h->from);
    }
    return p->g->values[root].data;
}

/* What a step sees. */
static struct pz_view view_of(const struct pz_session *s, int value)
{
    struct pz_view v = pz_graph_view(s->plan->g, value);
    if (value >= 0) {
        if (s->plan->device || !s->plan->g->values[value].constant)
            v.dtype = pz_plan_dtype(s->plan, v.dtype);
        v.data = pz_session_place(s, value);
    }
    return v;
}

/* What the session's user sees. */
static struct pz_view host_view(const struct pz_session *s, int value)
{
    struct pz_view v = pz_graph_view(s->plan->g, value);
    if (value >= 0)
        v.data = s->cuda   ? pz_cuda_session_host(s, value)
                 : s->host ? pz_half_host(s, value)
                           : pz_session_place(s, value);
    return v;
}

void pz_session_bind(struct pz_session *s)
{
    const struct pz_plan *plan = s->plan;
    for (int t = 0; t < plan->n_steps; t++) {
        const struct pz_step *step = &plan->steps[t];
        const struct pz_graph_node *n = &plan->nodes[step->node];
        struct pz_op_args *a = &s->args[t];
        pz_graph_args(plan->g, n, a);
        for (int k = 0; k < n->n_in; k++)
            a->in[k] = view_of(s, n->in[k]);
        a->out = view_of(s, n->out);
        a->state = step->state;
        a->scratch = s->arena + step->scratch_offset;
        a->rung = plan->params.rung;
        a->threads = plan->params.threads;
        a->device = plan->device;
        a->held = plan->params.dtype;
        if (step->wide)
            pz_half_bind(s, t);
    }
}

enum pz_status pz_session_create(const struct pz_plan *plan, struct pz_log *log, struct pz_session **out)
{
    enum pz_status st = PZ_OK;
    *out = NULL;
    struct pz_session *s = pz_calloc(1, sizeof *s);
    if (!s)
        return pz_fail(log, PZ_ERR_NOMEM, "no memory to run a graph");
    s->plan = plan;
    s->log = log;
    s->args = pz_calloc((size_t)plan->n_steps + 1, sizeof *s->args);
    if (s->args && !plan->device)
        s->arena = pz_calloc(plan->arena_bytes, 1);
    if (!s->args || (!s->arena && !plan->device)) {
        st = pz_fail(log, PZ_ERR_NOMEM, "no memory to run a graph: %zu bytes", plan->arena_bytes);
        goto fail;
    }
    if (plan->device) {
        PZ_TRY(pz_cuda_session_open(s, log));
        *out = s;
        return PZ_OK;
    }
    if (pz_plan_is_half(plan))
        PZ_TRY(pz_half_open(s, log));
    pz_session_bind(s);
    for (int t = 0; t < plan->n_steps; t++)
        if (plan->steps[t].kernel && plan->steps[t].kernel->attach)
            PZ_TRY(plan->steps[t].kernel->attach(log, &s->args[t], &s->args[t].local));
    *out = s;
    return PZ_OK;
fail:
    pz_session_destroy(&s);
    return st;
}

void pz_session_destroy(struct pz_session **sp)
{
    if (!sp || !*sp)
        return;
    struct pz_session *s = *sp;
    for (int t = 0; s->args && t < s->plan->n_steps; t++)
        if (s->args[t].local && s->plan->steps[t].kernel->detach)
            s->plan->steps[t].kernel->detach(s->args[t].local);
    pz_cuda_session_close(s); /* takes a device's arena along */
    pz_free(s->args);
    pz_free(s->arena);
    pz_free(s->host);
    pz_free(s->held);
    pz_free(s);
    *sp = NULL;
}

static struct pz_view by_name(const struct pz_session *s, const struct pz_graph_name *list, int n,
                              const char *name, int index)
{
    if (!name)
        return host_view(s, index >= 0 && index < n ? list[index].value : PZ_NONE);
    for (int i = 0; i < n; i++)
        if (strcmp(list[i].name, name) == 0)
            return host_view(s, list[i].value);
    return host_view(s, PZ_NONE);
}

struct pz_view pz_session_input(const struct pz_session *s, const char *name, int index)
{
    return by_name(s, s->plan->g->inputs, s->plan->g->n_inputs, name, index);
}

struct pz_view pz_session_output(const struct pz_session *s, const char *name, int index)
{
    return by_name(s, s->plan->g->outputs, s->plan->g->n_outputs, name, index);
}

static void run_step(struct pz_session *s, int t, struct pz_pool *pool)
{
    const struct pz_step *step = &s->plan->steps[t];
    enum pz_op op = s->plan->nodes[step->node].op;
    struct pz_op_args *a = &s->args[t];
    const struct pz_graph_node *n = &s->plan->nodes[step->node];
    if (op == PZ_OP_RESHAPE && pz_session_place(s, n->out) == pz_session_place(s, n->in[0]))
        return;
    a->pool = pool;
    if (step->wide)
        pz_half_before(s, t);
    if (step->kernel)
        step->kernel->run(a);
    else
        pz_op_row(op)->ref(a);
    if (step->wide)
        pz_half_after(s, t);
}

enum pz_status pz_session_run(struct pz_session *s, struct pz_pool *pool)
{
    if (s->cuda)
        return pz_cuda_session_run(s);
    pz_session_bring_joints(s);
    if (s->host)
        pz_half_bring(s, true);
    for (int t = 0; t < s->plan->n_steps; t++) {
        double start = s->profile ? pz_now() : 0;
        run_step(s, t, pool);
        if (s->profile)
            pz_profile_add(s->profile, t, start, pz_now());
    }
    if (s->host)
        pz_half_bring(s, false);
    return PZ_OK;
}
