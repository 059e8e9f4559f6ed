// Sessions whose outputs are other sessions' inputs. The device's copies are in cuda/session.c.
#include <string.h>

#include "tensor/plan_impl.h"

static int find(const struct pz_graph_name *list, int n, const char *name)
{
    for (int i = 0; i < n; i++)
        if (strcmp(list[i].name, name) == 0)
            return i;
    return -1;
}

enum pz_status pz_session_join(struct pz_session *to, const char *in, struct pz_session *from,
                               const char *out)
{
    const struct pz_graph *a = to->plan->g, *b = from->plan->g;
    int k = find(a->inputs, a->n_inputs, in), j = find(b->outputs, b->n_outputs, out);
    const struct pz_plan_params *p = &to->plan->params, *q = &from->plan->params;
    if (k < 0 || j < 0 || to == from || p->backend != q->backend || p->dtype != q->dtype)
        return pz_fail(to->log, PZ_ERR_USAGE, "output '%s' cannot be handed to input '%s'", out, in);
    const struct pz_graph_value *x = &a->values[a->inputs[k].value], *y = &b->values[b->outputs[j].value];
    if (x->dtype != y->dtype || pz_shape_count(&x->shape) != pz_shape_count(&y->shape))
        return pz_fail(to->log, PZ_ERR_USAGE, "output '%s' does not fit input '%s'", out, in);
    if (to->n_joints == PZ_MAX_JOINTS || from->n_stays == PZ_MAX_JOINTS)
        return pz_fail(to->log, PZ_ERR_NOMEM, "more than %d values handed on", PZ_MAX_JOINTS);
    to->joints[to->n_joints++] = (struct pz_joint){k, j, from};
    from->stays[from->n_stays++] = j;
    return PZ_OK;
}

const struct pz_joint *pz_session_joint(const struct pz_session *s, int input)
{
    for (int i = 0; i < s->n_joints; i++)
        if (s->joints[i].input == input)
            return &s->joints[i];
    return NULL;
}

bool pz_session_stays(const struct pz_session *s, int output)
{
    for (int i = 0; i < s->n_stays; i++)
        if (s->stays[i] == output)
            return true;
    return false;
}

void pz_session_bring_joints(struct pz_session *s)
{
    for (int i = 0; i < s->n_joints; i++) {
        const struct pz_joint *j = &s->joints[i];
        struct pz_view from = pz_session_output(j->from, NULL, j->output),
                       to = pz_session_input(s, NULL, j->input);
        memcpy(to.data, from.data, pz_shape_count(&to.shape) * pz_dtype_size(to.dtype));
    }
}
