// Inputs that stay where a session computes: which part of each was changed since the last run. Moving the
// parts is the backends' business.
#include <string.h>

#include "base/mem.h"
#include "tensor/plan_impl.h"

static int index_of(const struct pz_session *s, const char *name)
{
    const struct pz_graph *g = s->plan->g;
    for (int i = 0; i < g->n_inputs; i++)
        if (strcmp(g->inputs[i].name, name) == 0)
            return i;
    return -1;
}

static size_t count_of(const struct pz_session *s, int input)
{
    const struct pz_graph *g = s->plan->g;
    return pz_shape_count(&g->values[g->inputs[input].value].shape);
}

enum pz_status pz_session_hold(struct pz_session *s, const char *name)
{
    int i = index_of(s, name);
    if (i < 0)
        return pz_fail(s->log, PZ_ERR_INTERNAL, "a graph has no input '%s' to hold", name);
    if (!s->held)
        s->held = pz_calloc((size_t)s->plan->g->n_inputs, sizeof *s->held);
    if (!s->held)
        return pz_fail(s->log, PZ_ERR_NOMEM, "no memory to run a graph");
    s->held[i] = (struct pz_held){.held = true, .from = 0, .to = count_of(s, i)};
    return PZ_OK;
}

void pz_session_touch(struct pz_session *s, const char *name, size_t first, size_t n)
{
    int i = index_of(s, name);
    struct pz_held *h = s->held && i >= 0 && s->held[i].held ? &s->held[i] : NULL;
    size_t most = h ? count_of(s, i) : 0;
    if (!h || first >= most || n == 0)
        return;
    n = n < most - first ? n : most - first;
    if (h->from >= h->to)
        *h = (struct pz_held){.held = true, .from = first, .to = first + n};
    h->from = first < h->from ? first : h->from;
    h->to = first + n > h->to ? first + n : h->to;
}

bool pz_session_changed(struct pz_session *s, int input, size_t *first, size_t *n)
{
    struct pz_held *h = s->held && s->held[input].held ? &s->held[input] : NULL;
    *first = h ? h->from : 0;
    *n = h ? h->to - h->from : count_of(s, input);
    if (h)
        h->from = h->to = 0;
    return *n > 0;
}
