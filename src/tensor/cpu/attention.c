/*
 * Attention without a matrix of scores: keys and values are packed once a head, then each task takes a few
 * queries through blocks of keys, keeping the running maximum and sum. Source: Milakov and Gimelshein,
 * arXiv:1805.02867; Dao et al., arXiv:2205.14135. Heads wider than MAX_WIDTH are left to ref. A few queries,
 * as of a decoder that speaks word by word, are not worth packing for: they read keys and values where they
 * lie.
 */
#include <math.h>
#include <string.h>

#include "tensor/cpu/gemm.h"

#define QUERIES 24
#define KEYS 256
#define FEW 6 /* queries */
#define MAX_WIDTH 512

struct attention {
    const struct pz_op_args *a;
    const struct pz_cpu_fns *f;
    size_t heads, d, tq, tk, q_blocks, k_bytes, v_bytes;
    char *room; /* [B × heads][packed keys, packed values] */
    float scale;
    bool few;
    bool half; /* queries, keys, values and output are BF16; scores and sums are F32 */
};

static struct attention shape_of(const struct pz_op_args *a)
{
    const int *q = a->in[0].shape.dim;
    struct attention t = {.a = a, .f = pz_cpu_fns_get(a->rung), .heads = (size_t)q[2], .d = (size_t)q[3]};
    t.tq = (size_t)q[1];
    t.tk = (size_t)a->in[1].shape.dim[1];
    t.q_blocks = (t.tq + QUERIES - 1) / QUERIES;
    t.half = pz_cpu_half(&a->in[0]);
    t.few = t.tq <= FEW && !t.half;
    t.k_bytes = pz_cpu_packed_floats(t.f, t.tk, t.d) * (t.half ? 2 : 4);
    t.v_bytes = pz_cpu_packed_floats(t.f, t.d, (t.tk + 1) / 2 * 2) * (t.half ? 2 : 4);
    if (t.few)
        t.k_bytes = t.v_bytes = 0;
    t.room = a->scratch;
    t.scale = a->attrs->value != 0 ? a->attrs->value : 1.0f / sqrtf((float)t.d);
    return t;
}

static bool fits(const struct pz_op_args *a)
{
    for (int i = 0; i < 3; i++)
        if (!pz_cpu_half(&a->in[i]))
            return false;
    /* a mask that is a constant stays F32; one that is computed does not */
    return a->in[0].shape.dim[3] % 2 == 0 && pz_cpu_has_bf16(a->rung) &&
           !(pz_cpu_given(a, 3) && pz_cpu_half(&a->in[3]));
}

static enum pz_status prepare(struct pz_log *log, const struct pz_op_args *a, void **state, size_t *scratch)
{
    if (a->in[0].shape.dim[3] > MAX_WIDTH)
        return PZ_ERR_UNSUPPORTED;
    struct pz_op_args as_run = pz_cpu_types(a, fits);
    struct attention t = shape_of(&as_run);
    *scratch = (size_t)a->in[0].shape.dim[0] * t.heads * (t.k_bytes + t.v_bytes);
    return PZ_OK;
}

static void pack_task(void *user, int index, int worker)
{
    const struct attention *t = user;
    size_t row = t->heads * t->d, b = (size_t)index / t->heads, h = (size_t)index % t->heads;
    size_t at = b * t->tk * row + h * t->d, panel = 2 * (size_t)t->f->lanes;
    const void *from_k = pz_cpu_at(&t->a->in[1], at), *from_v = pz_cpu_at(&t->a->in[2], at);
    char *k = t->room + (size_t)index * (t->k_bytes + t->v_bytes), *v = k + t->k_bytes;
    if (t->half) {
        pz_cpu_pack_half(t->f, from_k, true, row, 1, t->tk, t->d, (uint16_t *)(void *)k, 0,
                         (t->tk + panel - 1) / panel);
        pz_cpu_pack_half(t->f, from_v, true, 1, row, t->d, t->tk, (uint16_t *)(void *)v, 0,
                         (t->d + panel - 1) / panel);
    } else {
        pz_cpu_pack(t->f, from_k, row, 1, t->tk, t->d, (float *)(void *)k);
        pz_cpu_pack(t->f, from_v, 1, row, t->d, t->tk, (float *)(void *)v);
    }
}

static const float *mask_row(const struct attention *t, size_t b, size_t h)
{
    const float *mask = pz_cpu_floats(t->a, 3);
    if (!mask)
        return NULL;
    const int *m = t->a->in[3].shape.dim;
    return mask + ((m[0] == 1 ? 0 : b) * (size_t)m[1] + (m[1] == 1 ? 0 : h)) * t->tq * t->tk;
}

/* What one task needs of its own. */
struct tile {
    float scores[QUERIES * KEYS], sums[QUERIES * MAX_WIDTH], top[QUERIES], sum[QUERIES];
    uint16_t half[QUERIES * KEYS]; /* scores as BF16 */
};

/* sums = sums + weights of `keys` keys from k0 on × their values */
static void add_values(const struct attention *t, struct tile *w, size_t n, const char *v, size_t k0,
                       size_t keys)
{
    const struct pz_cpu_fns *f = t->f;
    size_t panel = 2 * (size_t)f->lanes, panels = (t->d + panel - 1) / panel;
    struct pz_gemm o = {.lda = KEYS, .n = t->d, .k = keys, .add = k0 > 0, .out = w->sums, .ldc = t->d};
    if (!t->half) {
        o.a = w->scores;
        o.b = (const float *)(const void *)v + k0 * panel;
        o.panel = t->tk * panel;
        f->gemm(&o, 0, n, 0, panels);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        f->narrow(w->scores + i * KEYS, w->half + i * KEYS, keys);
        if (keys % 2)
            w->half[i * KEYS + keys] = 0;
    }
    o.a = w->half;
    o.b = (const uint16_t *)(const void *)v + k0 * panel;
    o.panel = (t->tk + 1) / 2 * 2 * panel;
    o.k = (keys + 1) / 2 * 2;
    f->gemm_bf16(&o, 0, n, 0, panels);
}

static void query_task(void *user, int index, int worker)
{
    const struct attention *t = user;
    const struct pz_cpu_fns *f = t->f;
    struct tile w;
    size_t head = (size_t)index / t->q_blocks, b = head / t->heads, h = head % t->heads;
    size_t q0 = (size_t)index % t->q_blocks * QUERIES, n = t->tq - q0 < QUERIES ? t->tq - q0 : QUERIES;
    size_t row = t->heads * t->d, at = (b * t->tq + q0) * row + h * t->d;
    size_t panel = 2 * (size_t)f->lanes, d = t->d, size = t->half ? 2 : 4;
    const char *k = t->room + head * (t->k_bytes + t->v_bytes), *v = k + t->k_bytes;
    const float *mask = mask_row(t, b, h);
    for (size_t i = 0; i < n; i++) {
        w.top[i] = -INFINITY;
        w.sum[i] = 0;
    }
    for (size_t k0 = 0; k0 < t->tk; k0 += KEYS) {
        size_t keys = t->tk - k0 < KEYS ? t->tk - k0 : KEYS;
        struct pz_gemm s = {.a = pz_cpu_at(&t->a->in[0], at), .lda = row, .n = keys, .k = d};
        s.b = k + k0 * d * size;
        s.panel = d * panel;
        s.out = w.scores;
        s.ldc = KEYS;
        (t->half ? f->gemm_bf16 : f->gemm)(&s, 0, n, 0, (keys + panel - 1) / panel);
        for (size_t i = 0; i < n; i++) {
            float shrink = f->attend(w.scores + i * KEYS, keys, t->scale,
                                     mask ? mask + (q0 + i) * t->tk + k0 : NULL, &w.top[i], &w.sum[i]);
            if (k0 && shrink != 1)
                f->map(PZ_MAP_SCALE, w.sums + i * d, w.sums + i * d, d, shrink);
        }
        add_values(t, &w, n, v, k0, keys);
    }
    for (size_t i = 0; i < n; i++) {
        f->map(PZ_MAP_SCALE, w.sums + i * d, w.sums + i * d, d, 1 / w.sum[i]);
        if (t->half)
            f->narrow(w.sums + i * d, pz_cpu_at(&t->a->out, at + i * row), d);
        else
            memcpy(pz_cpu_at(&t->a->out, at + i * row), w.sums + i * d, d * sizeof *w.sums);
    }
}

/* One query of one head, without packing. */
static void lone_query(const struct attention *t, size_t b, size_t h, size_t q)
{
    const struct pz_cpu_fns *f = t->f;
    const size_t row = t->heads * t->d, d = t->d;
    const float *x = (const float *)t->a->in[0].data + (b * t->tq + q) * row + h * d;
    const float *k = (const float *)t->a->in[1].data + b * t->tk * row + h * d;
    const float *v = (const float *)t->a->in[2].data + b * t->tk * row + h * d, *mask = mask_row(t, b, h);
    float scores[KEYS], part[MAX_WIDTH], sums[MAX_WIDTH], top = -INFINITY, sum = 0;
    const float *values[KEYS];
    for (size_t k0 = 0; k0 < t->tk; k0 += KEYS) {
        size_t keys = t->tk - k0 < KEYS ? t->tk - k0 : KEYS;
        f->dots(x, k + k0 * row, row, keys, d, scores);
        float shrink = f->attend(scores, keys, t->scale, mask ? mask + q * t->tk + k0 : NULL, &top, &sum);
        for (size_t i = 0; i < keys; i++)
            values[i] = v + (k0 + i) * row;
        f->blend(values, scores, (int)keys, k0 ? part : sums, d);
        if (k0 && shrink != 1)
            f->map(PZ_MAP_SCALE, sums, sums, d, shrink);
        if (k0)
            f->binary(PZ_BINARY_ADD, sums, false, part, false, PZ_ACT_NONE, sums, d);
    }
    f->map(PZ_MAP_SCALE, sums, (float *)t->a->out.data + (b * t->tq + q) * row + h * d, d, 1 / sum);
}

static void few_task(void *user, int index, int worker)
{
    const struct attention *t = user;
    size_t head = (size_t)index / t->tq;
    lone_query(t, head / t->heads, head % t->heads, (size_t)index % t->tq);
}

static void run(const struct pz_op_args *a)
{
    struct attention t = shape_of(a);
    size_t heads = (size_t)a->in[0].shape.dim[0] * t.heads;
    if (t.few) {
        pz_pool_run(a->pool, few_task, &t, (int)(heads * t.tq));
        return;
    }
    pz_pool_run(a->pool, pack_task, &t, (int)heads);
    pz_pool_run(a->pool, query_task, &t, (int)(heads * t.q_blocks));
}

static const struct pz_kernel attention = {"blocked", prepare, NULL, run, NULL, NULL};
const struct pz_kernel *const pz_cpu_attention[] = {&attention, NULL};
