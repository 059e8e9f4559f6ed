/* Matrix products: packing, and dividing one over the pool. The sums themselves: gemm_tmpl.h. */
#include "tensor/cpu/gemm.h"

#include "tensor/half.h"

/* Rows of the first matrix that are taken against all panels before the next: half of a usual L2 cache. */
#define ROWS_BYTES (512u << 10)
#define MIN_ROWS 96
#define MAX_DEPTH 2048

struct pz_op_args pz_cpu_types(const struct pz_op_args *a, bool (*fits)(const struct pz_op_args *a))
{
    struct pz_op_args h = *a;
    if (!a->takes_held || a->held != PZ_DTYPE_BF16)
        return h;
    for (int i = 0; i < h.n_in; i++)
        if (h.in[i].dtype == PZ_DTYPE_F32 && !h.in[i].data) /* constants stay */
            h.in[i].dtype = PZ_DTYPE_BF16;
    if (h.out.dtype == PZ_DTYPE_F32)
        h.out.dtype = PZ_DTYPE_BF16;
    if (!fits(&h))
        return *a;
    pz_op_takes_held(a);
    return h;
}

size_t pz_cpu_packed_floats(const struct pz_cpu_fns *f, size_t n, size_t k)
{
    size_t panel = 2 * (size_t)f->lanes;
    return (n + panel - 1) / panel * panel * k;
}

void pz_cpu_pack_panels(const struct pz_cpu_fns *f, const float *w, size_t sn, size_t sk, size_t n, size_t k,
                        float *out, size_t p0, size_t p1)
{
    size_t panel = 2 * (size_t)f->lanes;
    for (size_t p = p0; p < p1; p++) {
        float *o = out + p * panel * k;
        size_t first = p * panel, here = n - first < panel ? n - first : panel;
        for (size_t t = 0; t < k; t++, o += panel) {
            const float *from = w + first * sn + t * sk;
            for (size_t i = 0; i < here; i++)
                o[i] = from[i * sn];
            for (size_t i = here; i < panel; i++)
                o[i] = 0;
        }
    }
}

void pz_cpu_pack(const struct pz_cpu_fns *f, const float *w, size_t sn, size_t sk, size_t n, size_t k,
                 float *out)
{
    size_t panel = 2 * (size_t)f->lanes;
    pz_cpu_pack_panels(f, w, sn, sk, n, k, out, 0, (n + panel - 1) / panel);
}

void pz_cpu_pack_half(const struct pz_cpu_fns *f, const void *w, bool half, size_t sn, size_t sk, size_t n,
                      size_t k, uint16_t *out, size_t p0, size_t p1)
{
    size_t panel = 2 * (size_t)f->lanes, pairs = (k + 1) / 2;
    for (size_t p = p0; p < p1; p++) {
        uint16_t *o = out + p * panel * pairs * 2;
        size_t first = p * panel, here = n - first < panel ? n - first : panel;
        for (size_t t = 0; t < k; t++) {
            size_t at = first * sn + t * sk;
            uint16_t *q = o + t / 2 * panel * 2 + t % 2;
            if (half)
                for (size_t i = 0; i < here; i++)
                    q[2 * i] = ((const uint16_t *)w)[at + i * sn];
            else
                for (size_t i = 0; i < here; i++)
                    q[2 * i] = pz_f32_to_bf16(((const float *)w)[at + i * sn]);
            for (size_t i = here; i < panel; i++)
                q[2 * i] = 0;
        }
        for (size_t i = 0; k % 2 && i < panel; i++)
            o[(pairs - 1) * panel * 2 + 2 * i + 1] = 0;
    }
}

struct product {
    const struct pz_cpu_fns *f;
    const struct pz_gemm *g;
    size_t m, rows, panels, per, groups;
    bool half;
    size_t depth; /* terms taken at a time: a panel of them stays in the second cache */
};

static void product_task(void *user, int index, int worker)
{
    const struct product *p = user;
    size_t i = (size_t)index / p->groups, j = (size_t)index % p->groups, panel = 2 * (size_t)p->f->lanes;
    size_t m0 = i * p->rows, m1 = m0 + p->rows, p0 = j * p->per, p1 = p0 + p->per;
    struct pz_gemm g = *p->g;
    m1 = m1 < p->m ? m1 : p->m;
    p1 = p1 < p->panels ? p1 : p->panels;
    for (size_t k = 0; k < p->g->k; k += p->depth) { /* what a product ends with comes with the last part */
        bool last = k + p->depth >= p->g->k;
        g.a = p->half ? (const void *)((const uint16_t *)p->g->a + k) : (const float *)p->g->a + k;
        g.b = p->half ? (const void *)((const uint16_t *)p->g->b + k * panel)
                      : (const float *)p->g->b + k * panel;
        g.k = last ? p->g->k - k : p->depth;
        g.add = p->g->add || k > 0;
        g.bias = last ? p->g->bias : NULL;
        g.residual = last ? p->g->residual : NULL;
        g.act = last ? p->g->act : PZ_ACT_NONE;
        (p->half ? p->f->gemm_bf16 : p->f->gemm)(&g, m0, m1, p0, p1);
    }
}

void pz_cpu_gemm(const struct pz_cpu_fns *f, struct pz_pool *pool, const struct pz_gemm *g, size_t m,
                 bool half)
{
    size_t tile = (size_t)f->tile, panel = 2 * (size_t)f->lanes, threads = (size_t)pz_pool_threads(pool);
    struct product p = {.f = f, .g = g, .m = m, .half = half, .panels = (g->n + panel - 1) / panel};
    size_t parts_of_k = g->half_out ? 1 : (g->k + MAX_DEPTH - 1) / MAX_DEPTH; /* sums stay F32 */
    p.depth = ((g->k + parts_of_k - 1) / parts_of_k + 1) / 2 * 2;
    p.rows = ROWS_BYTES / (4 * p.depth);
    p.rows = p.rows < MIN_ROWS ? MIN_ROWS : p.rows;
    p.rows = (p.rows + tile - 1) / tile * tile;
    p.rows = p.rows < m ? p.rows : m;
    size_t parts = (m + p.rows - 1) / p.rows;
    p.groups = 1;
    if (threads > 1 && (double)m * (double)g->n * (double)g->k > 200e3)
        p.groups = (4 * threads + parts - 1) / parts;
    p.per = (p.panels + p.groups - 1) / p.groups;
    p.groups = (p.panels + p.per - 1) / p.per;
    pz_pool_run(pool, product_task, &p, (int)(parts * p.groups));
}
