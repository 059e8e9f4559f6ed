/*
 * CPU plans that hold F32 values as BF16 or F16: constants are rounded to that type, what lies between steps
 * is stored in it, and the session's user still sees the graph's types. A step whose form takes the type as
 * it is gets it; around all others inputs are widened and the output narrowed, so that every operation has
 * such a plan and its sums are F32 or better. The device's plans do this in tensor/cuda.
 */
#include <string.h>

#include "base/mem.h"
#include "tensor/half.h"
#include "tensor/plan_impl.h"

#define LINE 64

static size_t round_up(size_t n)
{
    return (n + LINE - 1) & ~(size_t)(LINE - 1);
}

static void widen(enum pz_dtype t, const void *from, float *to, size_t n)
{
    if (t == PZ_DTYPE_BF16)
        pz_bf16_to_f32_array(from, to, n);
    else
        pz_f16_to_f32_array(from, to, n);
}

static void narrow(enum pz_dtype t, const float *from, void *to, size_t n)
{
    if (t == PZ_DTYPE_BF16)
        pz_f32_to_bf16_array(from, to, n);
    else
        pz_f32_to_f16_array(from, to, n);
}

bool pz_plan_is_half(const struct pz_plan *p)
{
    return p->params.backend != PZ_BACKEND_CUDA && p->params.dtype != PZ_DTYPE_F32;
}

/* Whether a value is held narrower than the graph has it. */
static bool held(const struct pz_plan *p, int value)
{
    return value >= 0 && p->g->values[value].dtype == PZ_DTYPE_F32 && !p->g->values[value].constant;
}

void pz_half_round(const struct pz_plan *p, const struct pz_graph_node *n)
{
    uint16_t piece[512];
    for (int k = 0; k < n->n_in; k++) {
        struct pz_graph_value *v = n->in[k] >= 0 ? &p->g->values[n->in[k]] : NULL;
        if (!v || !v->data || v->dtype != PZ_DTYPE_F32)
            continue;
        size_t all = pz_shape_count(&v->shape), most = sizeof piece / sizeof *piece;
        for (size_t i = 0; i < all; i += most) {
            size_t m = all - i < most ? all - i : most;
            narrow(p->params.dtype, (float *)v->data + i, piece, m);
            widen(p->params.dtype, piece, (float *)v->data + i, m);
        }
    }
}

void pz_half_layout(const struct pz_plan *p, struct pz_step *s)
{
    const struct pz_graph_node *n = &p->nodes[s->node];
    size_t at = round_up(s->scratch_bytes);
    for (int k = 0; k < n->n_in; k++) {
        s->wide_at[k] = at;
        if (held(p, n->in[k]))
            at += round_up(pz_shape_count(&p->g->values[n->in[k]].shape) * sizeof(float));
    }
    s->wide_out = at;
    if (held(p, n->out))
        at += round_up(pz_shape_count(&p->g->values[n->out].shape) * sizeof(float));
    s->wide = true;
    s->scratch_bytes = at;
}

void pz_half_bind(const struct pz_session *s, int t)
{
    const struct pz_plan *p = s->plan;
    const struct pz_step *step = &p->steps[t];
    const struct pz_graph_node *n = &p->nodes[step->node];
    struct pz_op_args *a = &s->args[t];
    for (int k = 0; k < n->n_in; k++)
        if (held(p, n->in[k])) {
            a->in[k].dtype = PZ_DTYPE_F32;
            a->in[k].data = (uint8_t *)a->scratch + step->wide_at[k];
        }
    if (held(p, n->out)) {
        a->out.dtype = PZ_DTYPE_F32;
        a->out.data = (uint8_t *)a->scratch + step->wide_out;
    }
}

void pz_half_before(const struct pz_session *s, int t)
{
    const struct pz_plan *p = s->plan;
    const struct pz_graph_node *n = &p->nodes[p->steps[t].node];
    for (int k = 0; k < n->n_in; k++)
        if (held(p, n->in[k]))
            widen(p->params.dtype, pz_session_place(s, n->in[k]), s->args[t].in[k].data,
                  pz_shape_count(&s->args[t].in[k].shape));
}

void pz_half_after(const struct pz_session *s, int t)
{
    const struct pz_plan *p = s->plan;
    int out = p->nodes[p->steps[t].node].out;
    if (held(p, out))
        narrow(p->params.dtype, s->args[t].out.data, pz_session_place(s, out),
               pz_shape_count(&s->args[t].out.shape));
}

/* Room of one input or output in the session's own memory. */
static size_t room(const struct pz_plan *p, int value)
{
    return held(p, value) ? round_up(pz_shape_count(&p->g->values[value].shape) * sizeof(float)) : 0;
}

enum pz_status pz_half_open(struct pz_session *s, struct pz_log *log)
{
    const struct pz_graph *g = s->plan->g;
    size_t bytes = LINE;
    for (int i = 0; i < g->n_inputs; i++)
        bytes += room(s->plan, g->inputs[i].value);
    for (int i = 0; i < g->n_outputs; i++)
        bytes += room(s->plan, g->outputs[i].value);
    s->host = pz_calloc(bytes, 1);
    return s->host ? PZ_OK : pz_fail(log, PZ_ERR_NOMEM, "no memory to run a graph: %zu bytes", bytes);
}

/* A value that is input and output, or two outputs, has its first place in the list. */
void *pz_half_host(const struct pz_session *s, int value)
{
    const struct pz_graph *g = s->plan->g;
    size_t at = 0;
    if (!held(s->plan, value))
        return pz_session_place(s, value);
    for (int i = 0; i < g->n_inputs + g->n_outputs; i++) {
        int v = i < g->n_inputs ? g->inputs[i].value : g->outputs[i - g->n_inputs].value;
        if (v == value)
            return s->host + at;
        at += room(s->plan, v);
    }
    return NULL;
}

void pz_half_bring(struct pz_session *s, bool in)
{
    const struct pz_graph *g = s->plan->g;
    for (int i = 0; i < (in ? g->n_inputs : g->n_outputs); i++) {
        int v = in ? g->inputs[i].value : g->outputs[i].value;
        size_t first = 0, n = pz_shape_count(&g->values[v].shape);
        if (!held(s->plan, v) || (in && !pz_session_changed(s, i, &first, &n)))
            continue;
        float *host = (float *)pz_half_host(s, v) + first;
        uint8_t *place = (uint8_t *)pz_session_place(s, v) + 2 * first;
        if (in)
            narrow(s->plan->params.dtype, host, place, n);
        else
            widen(s->plan->params.dtype, place, host, n);
    }
}
