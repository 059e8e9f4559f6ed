/*
 * Matrix product of the vector kernels; part of kernels_tmpl.h. The second matrix is packed into panels of
 * two vectors of columns, [k][2 × LANES] each; TILE rows × one panel of sums stay in registers.
 */
#define PANEL (2 * LANES)

struct gemm_tile {
    const float *a, *b;
    size_t lda, k;
};

/* acc = rows of a × one panel; the only place where the multiplications are. */
INLINE void gemm_sums(const struct gemm_tile *t, vec acc[TILE][2], const int P)
{
    const float *a = t->a, *b = t->b, *row[TILE];
#pragma GCC unroll 16
    for (int p = 0; p < P; p++) {
        acc[p][0] = acc[p][1] = (vec){0};
        row[p] = a + (size_t)p * t->lda;
    }
    for (size_t k = 0; k < t->k; k++, b += PANEL) {
        vec b0 = load(b), b1 = load(b + LANES);
#pragma GCC unroll 16
        for (int p = 0; p < P; p++) {
            vec v = splat(row[p][k]);
            acc[p][0] += v * b0;
            acc[p][1] += v * b1;
        }
    }
}

INLINE void gemm_put(const struct pz_gemm *g, size_t m, size_t n, vec v, size_t left)
{
    float *o = (float *)g->out + m * g->ldc + n;
    if (g->add)
        v += load_upto(o, left);
    if (g->bias)
        v += load_upto(g->bias + n, left);
    if (g->residual)
        v += load_upto(g->residual + m * g->ldr + n, left);
    if (g->act == PZ_ACT_RELU || g->act == PZ_ACT_RELU6)
        v = act_vec(g->act, v, (vec){0});
    store_upto(o, v, left);
}

INLINE void gemm_rows(const struct pz_gemm *g, size_t m, size_t panel, const int P)
{
    vec acc[TILE][2];
    size_t n = panel * PANEL, left = g->n - n;
    struct gemm_tile t = {(const float *)g->a + m * g->lda, (const float *)g->b + panel * g->panel, g->lda,
                          g->k};
    gemm_sums(&t, acc, P);
#pragma GCC unroll 16
    for (int p = 0; p < P; p++) {
        if (left >= PANEL) {
            gemm_put(g, m + (size_t)p, n, acc[p][0], LANES);
            gemm_put(g, m + (size_t)p, n + LANES, acc[p][1], LANES);
        } else {
            gemm_put(g, m + (size_t)p, n, acc[p][0], left);
            if (left > LANES)
                gemm_put(g, m + (size_t)p, n + LANES, acc[p][1], left - LANES);
        }
    }
}

/* The activations that cost something, on sums that are still in the cache. */
static void gemm_act(const struct pz_gemm *g, size_t m0, size_t m1, size_t n)
{
    size_t end = g->n < n + PANEL ? g->n : n + PANEL;
    for (size_t m = m0; m < m1; m++)
        for (size_t i = n; i < end; i += LANES) {
            float *o = (float *)g->out + m * g->ldc + i;
            store_upto(o, act_vec(g->act, load_upto(o, end - i), (vec){0}), end - i);
        }
}

static void gemm(const struct pz_gemm *g, size_t m0, size_t m1, size_t p0, size_t p1)
{
    for (size_t p = p0; p < p1; p++) {
        for (size_t m = m0, left; (left = m1 - m) > 0;) {
            if (left >= TILE + 8 || left == TILE || (TILE < 8 && left >= TILE)) {
                gemm_rows(g, m, p, TILE);
                m += TILE;
            } else if (TILE > 8 && left >= 8) {
                gemm_rows(g, m, p, TILE > 8 ? 8 : TILE);
                m += 8;
            } else if (left >= 4) {
                gemm_rows(g, m, p, 4);
                m += 4;
            } else {
                gemm_rows(g, m, p, 1);
                m++;
            }
        }
        if (g->act == PZ_ACT_SILU || g->act == PZ_ACT_GELU)
            gemm_act(g, m0, m1, p * PANEL);
    }
}

static double spin(int rounds)
{
    vec acc[TILE] = {{0}}, a = splat(0.999f), b = splat(0.001f);
    for (int i = 0; i < rounds; i++) {
#pragma GCC unroll 16
        for (int p = 0; p < TILE; p++)
            acc[p] = acc[p] * a + b;
        __asm__ volatile("" : "+r"(i)); /* the loop must not be folded */
    }
    float s = 0;
    for (int p = 0; p < TILE; p++)
        s += sum_of(acc[p]);
    return s > 1e30f ? 0 : 2.0 * LANES * TILE * rounds;
}
