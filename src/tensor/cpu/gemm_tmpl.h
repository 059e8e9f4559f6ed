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
INLINE void gemm_sums(const struct gemm_tile *t, vec acc[TILE][2], const int P, const int NV)
{
    const float *a = t->a, *b = t->b, *row[TILE];
#pragma GCC unroll 16
    for (int p = 0; p < P; p++) {
        acc[p][0] = acc[p][1] = (vec){0};
        row[p] = a + (size_t)p * t->lda;
    }
    for (size_t k = 0; k < t->k; k++, b += PANEL) {
        vec b0 = load(b), b1 = NV > 1 ? load(b + LANES) : b0;
#pragma GCC unroll 16
        for (int p = 0; p < P; p++) {
            vec v = splat(row[p][k]);
            acc[p][0] += v * b0;
            if (NV > 1)
                acc[p][1] += v * b1;
        }
    }
}

/* What comes behind the sums of `rows` × one panel, n columns of which exist. */
static void gemm_finish(const struct pz_gemm *g, const float *sums, size_t m, size_t rows, size_t c, size_t n)
{
    for (size_t r = 0; r < rows; r++, m++, sums += PANEL)
        for (size_t i = 0; i < n; i += LANES) {
            size_t left = n - i, at = m * g->ldc + c + i;
            vec v = load(sums + i);
            if (g->add)
                v += load_upto((const float *)g->out + at, left);
            if (g->bias)
                v += load_upto(g->bias + c + i, left);
            if (g->act == PZ_ACT_NONE) {
                if (g->residual)
                    v += load_as_upto(g->residual, m * g->ldr + c + i, g->half_out, left);
            } else if (g->residual) {
                v = act_vec(g->act, v + load_as_upto(g->residual, m * g->ldr + c + i, g->half_out, left),
                            (vec){0});
            } else {
                v = act_vec(g->act, v, (vec){0});
            }
            store_as_upto(g->out, at, g->half_out, v, left);
        }
}

INLINE bool gemm_bare(const struct pz_gemm *g)
{
    return !g->add && !g->bias && !g->residual && !g->act && !g->half_out;
}

INLINE void gemm_put(const struct pz_gemm *g, size_t m, size_t panel, vec acc[TILE][2], const int P)
{
    size_t c = panel * PANEL, left = g->n - c;
    float sums[TILE * PANEL], *o = (float *)g->out + m * g->ldc + c;
    if (left >= PANEL && gemm_bare(g)) {
#pragma GCC unroll 16
        for (int p = 0; p < P; p++, o += g->ldc) {
            store(o, acc[p][0]);
            store(o + LANES, acc[p][1]);
        }
        return;
    }
#pragma GCC unroll 16
    for (int p = 0; p < P; p++) {
        store(sums + p * PANEL, acc[p][0]);
        store(sums + p * PANEL + LANES, acc[p][1]);
    }
    gemm_finish(g, sums, m, (size_t)P, c, left < PANEL ? left : PANEL);
}

INLINE void gemm_rows(const struct pz_gemm *g, size_t m, size_t panel, const int P)
{
    vec acc[TILE][2];
    struct gemm_tile t = {(const float *)g->a + m * g->lda, (const float *)g->b + panel * g->panel, g->lda,
                          g->k};
    if (g->n - panel * PANEL > LANES)
        gemm_sums(&t, acc, P, 2);
    else /* the last columns fill one vector at most */
        gemm_sums(&t, acc, P, 1);
    gemm_put(g, m, panel, acc, P);
}

/* Whole tiles, and what is left in pieces that are not too small. */
#define GEMM(name, rows_of)                                                                                  \
    static void name(const struct pz_gemm *g, size_t m0, size_t m1, size_t p0, size_t p1)                    \
    {                                                                                                        \
        for (size_t p = p0; p < p1; p++)                                                                     \
            for (size_t m = m0, left; (left = m1 - m) > 0;) {                                                \
                if (left >= TILE + 8 || left == TILE || (TILE < 8 && left >= TILE)) {                        \
                    rows_of(g, m, p, TILE);                                                                  \
                    m += TILE;                                                                               \
                } else if (TILE > 8 && left >= 8) {                                                          \
                    rows_of(g, m, p, TILE > 8 ? 8 : TILE);                                                   \
                    m += 8;                                                                                  \
                } else if (left >= 4) {                                                                      \
                    rows_of(g, m, p, 4);                                                                     \
                    m += 4;                                                                                  \
                } else {                                                                                     \
                    rows_of(g, m, p, 1);                                                                     \
                    m++;                                                                                     \
                }                                                                                            \
            }                                                                                                \
    }

GEMM(gemm, gemm_rows)

#if HAVE_BF16
/* Pairs of BF16: one instruction multiplies 32 and adds them to 16 sums. */
INLINE void gemm_sums_bf16(const struct pz_gemm *g, size_t m, size_t panel, vec sums[TILE][2], const int P,
                           const int NV)
{
    __m512 acc[TILE][2];
    const uint16_t *b = (const uint16_t *)g->b + panel * g->panel, *row[TILE];
#pragma GCC unroll 16
    for (int p = 0; p < P; p++) {
        acc[p][0] = acc[p][1] = _mm512_setzero_ps();
        row[p] = (const uint16_t *)g->a + (m + (size_t)p) * g->lda;
    }
    for (size_t k = 0; k < g->k; k += 2, b += 2 * PANEL) {
        __m512bh b0 = (__m512bh)_mm512_loadu_si512(b);
        __m512bh b1 = NV > 1 ? (__m512bh)_mm512_loadu_si512(b + PANEL) : b0;
#pragma GCC unroll 16
        for (int p = 0; p < P; p++) {
            int pair;
            memcpy(&pair, row[p] + k, sizeof pair);
            __m512bh v = (__m512bh)_mm512_set1_epi32(pair);
            acc[p][0] = _mm512_dpbf16_ps(acc[p][0], v, b0);
            if (NV > 1)
                acc[p][1] = _mm512_dpbf16_ps(acc[p][1], v, b1);
        }
    }
#pragma GCC unroll 16
    for (int p = 0; p < P; p++) {
        sums[p][0] = (vec)acc[p][0];
        sums[p][1] = (vec)acc[p][1];
    }
}

INLINE void gemm_rows_bf16(const struct pz_gemm *g, size_t m, size_t panel, const int P)
{
    vec sums[TILE][2];
    if (g->n - panel * PANEL > LANES)
        gemm_sums_bf16(g, m, panel, sums, P, 2);
    else
        gemm_sums_bf16(g, m, panel, sums, P, 1);
    gemm_put(g, m, panel, sums, P);
}

GEMM(gemm_bf16, gemm_rows_bf16)

static double spin_bf16(int rounds)
{
    __m512 acc[TILE];
    __m512bh a = (__m512bh)_mm512_set1_epi32(0x3c003c00), b = (__m512bh)_mm512_set1_epi32(0x3c003c00);
    float s = 0;
    for (int p = 0; p < TILE; p++)
        acc[p] = _mm512_set1_ps((float)p); /* different, or the compiler makes one of them */
    for (int i = 0; i < rounds; i++) {
#pragma GCC unroll 16
        for (int p = 0; p < TILE; p++)
            acc[p] = _mm512_dpbf16_ps(acc[p], a, b);
        __asm__ volatile("" : "+r"(i)); /* the loop must not be folded */
    }
    for (int p = 0; p < TILE; p++)
        s += sum_of((vec)acc[p]);
    return s > 1e30f ? 0 : 4.0 * LANES * TILE * rounds;
}
#endif

static double spin(int rounds)
{
    vec acc[TILE], a = splat(0.999f), b = splat(0.001f);
    for (int p = 0; p < TILE; p++)
        acc[p] = splat((float)p); /* different, or the compiler makes one of them */
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
