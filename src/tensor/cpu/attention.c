/*
 * Attention without a matrix of scores: keys and values are packed once a head, then each task takes a few
 * queries through blocks of keys, keeping the running maximum and sum. Source: Milakov and Gimelshein,
 * arXiv:1805.02867; Dao et al., arXiv:2205.14135. Heads wider than MAX_WIDTH are left to ref.
 */
#include <math.h>
#include <string.h>

#include "tensor/cpu/gemm.h"

#define QUERIES 24
#define KEYS 256
#define MAX_WIDTH 512

struct attention {
    const struct pz_op_args *a;
    const struct pz_cpu_fns *f;
    size_t heads, d, tq, tk, q_blocks, k_floats, v_floats;
    float *room; /* [B × heads][packed keys, packed values] */
    float scale;
};

static struct attention shape_of(const struct pz_op_args *a)
{
    const int *q = a->in[0].shape.dim;
    struct attention t = {.a = a, .f = pz_cpu_fns_get(a->rung), .heads = (size_t)q[2], .d = (size_t)q[3]};
    t.tq = (size_t)q[1];
    t.tk = (size_t)a->in[1].shape.dim[1];
    t.q_blocks = (t.tq + QUERIES - 1) / QUERIES;
    t.k_floats = pz_cpu_packed_floats(t.f, t.tk, t.d);
    t.v_floats = pz_cpu_packed_floats(t.f, t.d, t.tk);
    t.room = a->scratch;
    t.scale = a->attrs->value != 0 ? a->attrs->value : 1.0f / sqrtf((float)t.d);
    return t;
}

static enum pz_status prepare(struct pz_log *log, const struct pz_op_args *a, void **state, size_t *scratch)
{
    struct attention t = shape_of(a);
    if (t.d > MAX_WIDTH)
        return PZ_ERR_UNSUPPORTED;
    *scratch = (size_t)a->in[0].shape.dim[0] * t.heads * (t.k_floats + t.v_floats) * sizeof(float);
    return PZ_OK;
}

static void pack_task(void *user, int index, int worker)
{
    const struct attention *t = user;
    size_t row = t->heads * t->d, b = (size_t)index / t->heads, h = (size_t)index % t->heads;
    float *k = t->room + (size_t)index * (t->k_floats + t->v_floats);
    size_t at = b * t->tk * row + h * t->d;
    pz_cpu_pack(t->f, (const float *)t->a->in[1].data + at, row, 1, t->tk, t->d, k);
    pz_cpu_pack(t->f, (const float *)t->a->in[2].data + at, 1, row, t->d, t->tk, k + t->k_floats);
}

static const float *mask_row(const struct attention *t, size_t b, size_t h)
{
    const float *mask = pz_cpu_floats(t->a, 3);
    if (!mask)
        return NULL;
    const int *m = t->a->in[3].shape.dim;
    return mask + ((m[0] == 1 ? 0 : b) * (size_t)m[1] + (m[1] == 1 ? 0 : h)) * t->tq * t->tk;
}

static void query_task(void *user, int index, int worker)
{
    const struct attention *t = user;
    const struct pz_cpu_fns *f = t->f;
    float scores[QUERIES * KEYS], sums[QUERIES * MAX_WIDTH], top[QUERIES], sum[QUERIES];
    size_t head = (size_t)index / t->q_blocks, b = head / t->heads, h = head % t->heads;
    size_t q0 = (size_t)index % t->q_blocks * QUERIES, n = t->tq - q0 < QUERIES ? t->tq - q0 : QUERIES;
    size_t row = t->heads * t->d, at = (b * t->tq + q0) * row + h * t->d;
    size_t panel = 2 * (size_t)f->lanes, d = t->d;
    const float *k = t->room + head * (t->k_floats + t->v_floats), *v = k + t->k_floats;
    const float *mask = mask_row(t, b, h);
    for (size_t i = 0; i < n; i++) {
        top[i] = -INFINITY;
        sum[i] = 0;
    }
    for (size_t k0 = 0; k0 < t->tk; k0 += KEYS) {
        size_t keys = t->tk - k0 < KEYS ? t->tk - k0 : KEYS;
        struct pz_gemm s = {.a = (const float *)t->a->in[0].data + at, .lda = row, .n = keys, .k = d};
        s.b = k + k0 * d;
        s.panel = d * panel;
        s.out = scores;
        s.ldc = KEYS;
        f->gemm(&s, 0, n, 0, (keys + panel - 1) / panel);
        for (size_t i = 0; i < n; i++) {
            float shrink = f->attend(scores + i * KEYS, keys, t->scale,
                                     mask ? mask + (q0 + i) * t->tk + k0 : NULL, &top[i], &sum[i]);
            if (k0 && shrink != 1)
                f->map(PZ_MAP_SCALE, sums + i * d, sums + i * d, d, shrink);
        }
        struct pz_gemm o = {.a = scores, .lda = KEYS, .b = v + k0 * panel, .panel = t->tk * panel, .n = d};
        o.k = keys;
        o.add = k0 > 0;
        o.out = sums;
        o.ldc = d;
        f->gemm(&o, 0, n, 0, (d + panel - 1) / panel);
    }
    for (size_t i = 0; i < n; i++)
        f->map(PZ_MAP_SCALE, sums + i * d, (float *)t->a->out.data + at + i * row, d, 1 / sum[i]);
}

static void run(const struct pz_op_args *a)
{
    struct attention t = shape_of(a);
    size_t heads = (size_t)a->in[0].shape.dim[0] * t.heads;
    pz_pool_run(a->pool, pack_task, &t, (int)heads);
    pz_pool_run(a->pool, query_task, &t, (int)(heads * t.q_blocks));
}

static const struct pz_kernel attention = {"blocked", prepare, NULL, run, NULL, NULL};
const struct pz_kernel *const pz_cpu_attention[] = {&attention, NULL};
