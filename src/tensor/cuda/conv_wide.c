/*
 * Convolutions that recast.c has given other weights than the network has: channels filled up to multiples of
 * eight, or the four phases of a convolution behind a doubling as one of four times the filters. Input and
 * output keep the network's shape; what the engine reads and writes lies in scratch memory. An engine with
 * bias and activation is taken where there is one, else sums and our epilogue, else our plain kernel.
 */
#include "base/mem.h"
#include "tensor/cuda/conv.h"
#include "tensor/cuda/cuda.h"

struct wide {
    struct pz_conv_key key;
    struct pz_conv_plan *plan; /* the device's; NULL: our plain kernel */
    bool phases, pads_x, pads_y;
    size_t at_y, at_room; /* in the scratch memory; x is its start */
};

static size_t round_up(size_t n)
{
    return (n + 255) & ~(size_t)255;
}

static bool is_wide(const struct pz_op_args *a)
{
    const int *x = a->in[0].shape.dim, *w = a->in[1].shape.dim, *o = a->out.shape.dim;
    return a->in[0].shape.rank == 4 && (x[3] != w[3] || o[3] != w[0]);
}

static void key_of(struct wide *t, const struct pz_op_args *a, bool fused)
{
    const int *w = a->in[1].shape.dim;
    struct pz_conv_key *k = &t->key;
    pz_conv_key_of(k, a, false, fused);
    k->g.x[4] = w[3];
    k->g.o[4] = w[0];
    if (t->phases) {
        k->g.o[2] = k->g.x[2] + 1;
        k->g.o[3] = k->g.x[3] + 1;
    }
}

static enum pz_status prepare(struct pz_log *log, const struct pz_op_args *a, void **state, size_t *scratch)
{
    struct pz_cuda *d = a->device;
    if (!is_wide(a))
        return PZ_ERR_UNSUPPORTED;
    struct wide *t = pz_calloc(1, sizeof *t);
    if (!t)
        return pz_fail(log, PZ_ERR_NOMEM, "no memory for a convolution");
    t->phases = a->out.shape.dim[1] == 2 * a->in[0].shape.dim[1] && a->in[1].shape.dim[1] == 2;
    t->pads_x = a->in[0].shape.dim[3] != a->in[1].shape.dim[3];
    t->pads_y = t->phases || a->out.shape.dim[3] != a->in[1].shape.dim[0];
    for (int fused = 1; fused >= 0 && !t->plan; fused--) {
        key_of(t, a, fused && (pz_cuda_given(a, 2) || a->attrs->act));
        t->plan = pz_conv_plan_for(d, &t->key, a);
        if (!t->plan) {
            pz_free(t);
            return pz_fail(log, PZ_ERR_NOMEM, "no memory for a convolution");
        }
        if (!t->plan->engine.plan)
            t->plan = NULL;
    }
    t->at_y = t->pads_x ? round_up(pz_conv_bytes(t->key.g.x, t->key.type)) : 0;
    t->at_room = t->at_y + (t->pads_y ? round_up(pz_conv_bytes(t->key.g.o, t->key.type)) : 0);
    *scratch = t->at_room + (t->plan ? (size_t)t->plan->engine.workspace : 0);
    *state = t;
    return PZ_OK;
}

/* Sums, bias and activation from x to y. */
static void convolve(const struct pz_op_args *a, const struct wide *t, const struct pz_op_args *b)
{
    struct pz_cuda *d = a->device;
    const struct pz_conv_key *k = &t->key;
    int type = pz_cuda_type(&a->out);
    if (t->plan) {
        struct pz_dnn_data data = pz_conv_data(k, b);
        pz_cuda_check_cudnn(d, pz_dnn_execute(d, &t->plan->engine, &data, (char *)a->scratch + t->at_room),
                            "a convolution");
    } else {
        pz_cuda_check(d, pz_ck_conv(type, &k->g, b->in[0].data, b->in[1].data, b->out.data, d->stream),
                      "a plain convolution");
    }
    if (!k->bias && !k->act && (pz_cuda_given(a, 2) || a->attrs->act))
        pz_cuda_check(d,
                      pz_ck_epilogue(type, (int)a->attrs->act, b->out.data, pz_cuda_data(a, 2), NULL, NULL,
                                     b->out.data, k->g.o[4],
                                     (long long)(pz_conv_bytes(k->g.o, k->type) / pz_dtype_size(k->type)),
                                     d->stream),
                      "a convolution's epilogue");
}

static void run(const struct pz_op_args *a)
{
    struct pz_cuda *d = a->device;
    const struct wide *t = a->state;
    const int *x = a->in[0].shape.dim, *o = a->out.shape.dim;
    int type = pz_cuda_type(&a->out);
    struct pz_op_args b = *a;
    if (t->pads_x) {
        b.in[0].data = a->scratch;
        pz_cuda_check(d,
                      pz_ck_channels(type, a->in[0].data, x[3], b.in[0].data, t->key.g.x[4],
                                     (long long)x[0] * x[1] * x[2], d->stream),
                      "filling channels up");
    }
    if (t->pads_y)
        b.out.data = (char *)a->scratch + t->at_y;
    convolve(a, t, &b);
    if (t->phases)
        pz_cuda_check(d, pz_ck_phases(type, b.out.data, a->out.data, x[0], x[1], x[2], o[3], d->stream),
                      "joining the phases of a convolution");
    else if (t->pads_y)
        pz_cuda_check(d,
                      pz_ck_channels(type, b.out.data, t->key.g.o[4], a->out.data, o[3],
                                     (long long)o[0] * o[1] * o[2], d->stream),
                      "taking channels");
}

static void release(void *state)
{
    pz_free(state);
}

const struct pz_kernel pz_cuda_conv_wide = {"cudnn wide", prepare, NULL, run, NULL, release};
