/*
 * Weights on their way to the device, or, those that will travel with each run, to a page-locked block of
 * main memory: two page-locked windows mirror the device's layout; while one travels, all threads of the
 * plan's loaders fill the other, each tensor in rows and straight in the plan's type. Checkpoints stay
 * mapped; nothing is copied whole on the host.
 */
#include <string.h>

#include "base/mem.h"
#include "tensor/cuda/cuda.h"
#include "tensor/cuda/device.h"
#include "tensor/cuda/tune.h"
#include "tensor/plan_impl.h"

#define WINDOW ((size_t)32 << 20) /* bytes; at least one row of every tensor fits */
#define PIECES 512                /* pieces of a window at most */
#define PIECE ((size_t)1 << 17)   /* elements of a piece, where a row is smaller */

static size_t round_up(size_t n)
{
    return (n + 255) & ~(size_t)255;
}

struct piece {
    int value, first, n;
    size_t at; /* in the window */
    enum pz_status st;
};

struct upload {
    struct pz_plan *p;
    struct pz_log *log;
    int *order; /* values in the order of their offsets: those that stay on the device, then the others */
    int n_order, n_stay;
    char *to;       /* where they are going */
    size_t window;  /* bytes */
    char *stage[2]; /* page-locked */
    cudaEvent_t sent[2];
    int turn;
    size_t base, used; /* of the window being filled: offset on the device, bytes */
    struct piece pieces[PIECES];
    int n_pieces;
};

/* The value that step `t` reads as its `k`th, or, behind the last step, the plan gives; PZ_NONE: no more. */
static int read_by(const struct pz_plan *p, int t, int k)
{
    const struct pz_graph_node *n = t < p->n_steps ? &p->nodes[p->steps[t].node] : NULL;
    return k < (n ? n->n_in : p->g->n_outputs) ? n ? n->in[k] : p->g->outputs[k].value : PZ_NONE - 1;
}

/* A constant travels when one step alone reads it. */
static void choose_travellers(struct pz_plan *p)
{
    enum { UNREAD = -2, STAYS = -1 };
    for (int v = 0; v < p->g->n_values; v++)
        p->hauled[v] = UNREAD;
    for (int t = 0; t <= p->n_steps; t++)
        for (int k = 0, v; (v = read_by(p, t, k)) >= PZ_NONE; k++)
            if (v >= 0)
                p->hauled[v] = t < p->n_steps && (p->hauled[v] == UNREAD || p->hauled[v] == t) ? t : STAYS;
    for (int v = 0; v < p->g->n_values; v++)
        p->hauled[v] = p->hauled[v] < 0 ? STAYS : p->hauled[v];
}

/* Give every constant that a step or an output reads, and that travels or does not, its offset; returns their
 * bytes. */
static size_t layout(struct upload *u, bool travels)
{
    struct pz_plan *p = u->p;
    size_t bytes = 0;
    for (int t = 0, turn = 0; t <= p->n_steps; t++) {
        size_t from = bytes;
        for (int k = 0, v; (v = read_by(p, t, k)) >= PZ_NONE; k++) {
            if (v < 0 || !p->g->values[v].constant || p->weight_at[v] != SIZE_MAX ||
                travels != (p->hauled && p->hauled[v] >= 0))
                continue;
            size_t row, size = pz_dtype_size(pz_plan_dtype(p, p->g->values[v].dtype));
            pz_constant_rows(&p->g->values[v], &row);
            if (round_up(row * size) > u->window)
                u->window = round_up(row * size);
            p->weight_at[v] = bytes;
            bytes += round_up(pz_shape_count(&p->g->values[v].shape) * size);
            u->order[u->n_order++] = v;
        }
        if (travels && t < p->n_steps) {
            p->hauls[t] = (struct pz_haul){from, bytes - from, turn};
            p->haul_bytes = bytes - from > p->haul_bytes ? bytes - from : p->haul_bytes;
            turn ^= bytes > from;
        }
    }
    return bytes;
}

static void fill_piece(void *user, int index, int worker)
{
    struct upload *u = user;
    struct piece *q = &u->pieces[index];
    const struct pz_graph_value *v = &u->p->g->values[q->value];
    q->st =
        pz_constant_read(v, u->log, q->first, q->n, pz_plan_dtype(u->p, v->dtype), u->stage[u->turn] + q->at);
}

/* Fill the window and send it off; the next one starts at `next`. */
static enum pz_status flush(struct upload *u, size_t next)
{
    struct pz_cuda *d = u->p->device;
    if (u->n_pieces) {
        if (!pz_cuda_check(d, cudaEventSynchronize(u->sent[u->turn]), "bringing weights to the device"))
            return d->st;
        pz_pool_run(u->p->loaders, fill_piece, u, u->n_pieces);
        for (int i = 0; i < u->n_pieces; i++)
            if (u->pieces[i].st < PZ_OK)
                return u->pieces[i].st;
        if (!pz_cuda_check(
                d, cudaMemcpyAsync(u->to + u->base, u->stage[u->turn], u->used, cudaMemcpyDefault, d->stream),
                "bringing weights to the device") ||
            !pz_cuda_check(d, cudaEventRecord(u->sent[u->turn], d->stream), "bringing weights to the device"))
            return d->st;
        u->turn ^= 1;
    }
    u->base = next;
    u->used = 0;
    u->n_pieces = 0;
    return PZ_OK;
}

static enum pz_status send_value(struct upload *u, int value)
{
    const struct pz_graph_value *v = &u->p->g->values[value];
    size_t row, size = pz_dtype_size(pz_plan_dtype(u->p, v->dtype));
    int rows = pz_constant_rows(v, &row);
    row *= size;
    for (int first = 0, n; first < rows; first += n) {
        size_t at = u->p->weight_at[value] + (size_t)first * row;
        if (u->n_pieces == PIECES || at + row > u->base + u->window) {
            enum pz_status st = flush(u, at);
            if (st < PZ_OK)
                return st;
        }
        size_t fit = (u->base + u->window - at) / row, want = PIECE * size / row;
        want = want < 1 ? 1 : want;
        fit = fit < want ? fit : want;
        n = rows - first < (int)fit ? rows - first : (int)fit;
        u->pieces[u->n_pieces++] = (struct piece){value, first, n, at - u->base, PZ_OK};
        u->used = at - u->base + (size_t)n * row;
    }
    return PZ_OK;
}

static enum pz_status send_all(struct upload *u)
{
    struct pz_cuda *d = u->p->device;
    for (int i = 0; i < 2; i++)
        if (!pz_cuda_check(d, cudaMallocHost((void **)&u->stage[i], u->window), "page-locked memory") ||
            !pz_cuda_check(d, cudaEventCreateWithFlags(&u->sent[i], cudaEventDisableTiming), "an event"))
            return d->st;
    enum pz_status st = PZ_OK;
    for (int i = 0; i <= u->n_order && st >= PZ_OK; i++) {
        if (i == u->n_stay || i == u->n_order)
            st = flush(u, 0);
        u->to = i < u->n_stay ? u->p->weights : u->p->away;
        if (st >= PZ_OK && i < u->n_order)
            st = send_value(u, u->order[i]);
    }
    pz_cuda_check(d, cudaStreamSynchronize(d->stream), "bringing weights to the device");
    return st >= PZ_OK ? d->st : st;
}

/* Say where everything goes, and make the room. */
static enum pz_status place_all(struct upload *u)
{
    struct pz_plan *p = u->p;
    struct pz_cuda *d = p->device;
    u->window = WINDOW;
    for (int v = 0; v < p->g->n_values; v++)
        p->weight_at[v] = SIZE_MAX;
    if (p->params.away) {
        p->hauls = pz_calloc((size_t)p->n_steps + 1, sizeof *p->hauls);
        p->hauled = pz_calloc((size_t)p->g->n_values + 1, sizeof *p->hauled);
        if (!p->hauls || !p->hauled)
            return pz_fail(u->log, PZ_ERR_NOMEM, "no memory for weights");
        choose_travellers(p);
    }
    size_t stay = layout(u, false);
    u->n_stay = u->n_order;
    if (stay)
        pz_cuda_check(d, cudaMalloc(&p->weights, stay), "memory for weights");
    if (p->hauled && d->st >= PZ_OK) {
        size_t travel = layout(u, true);
        if (travel)
            pz_cuda_check(d, cudaMallocHost(&p->away, travel), "page-locked memory for weights");
    }
    return d->st;
}

enum pz_status pz_cuda_plan_weights(struct pz_plan *p, struct pz_log *log)
{
    struct pz_cuda *d = p->device;
    struct upload *u = pz_calloc(1, sizeof *u);
    enum pz_status st = PZ_OK;
    p->weight_at = pz_calloc((size_t)p->g->n_values + 1, sizeof *p->weight_at);
    if (u)
        u->order = pz_calloc((size_t)p->g->n_values + 1, sizeof *u->order);
    if (!u || !u->order || !p->weight_at) {
        st = pz_fail(log, PZ_ERR_NOMEM, "no memory for weights");
        goto fail;
    }
    u->p = p;
    u->log = log;
    st = place_all(u);
    if (st >= PZ_OK && u->n_order)
        st = send_all(u);
    if (d->ground) /* engines are chosen: give the room back */
        cudaFree(d->ground);
    d->ground = NULL;
    d->ground_bytes = 0;
    pz_tune_save(d->tune, log);
    for (int v = 0; v < p->g->n_values; v++) /* the host's copies, where there are any */
        pz_constant_drop(&p->g->values[v]);
fail:
    for (int i = 0; u && i < 2; i++) {
        if (u->sent[i])
            cudaEventDestroy(u->sent[i]);
        if (u->stage[i])
            cudaFreeHost(u->stage[i]);
    }
    if (u)
        pz_free(u->order);
    pz_free(u);
    return st;
}
