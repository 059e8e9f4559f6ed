/*
 * 3×3 convolutions without stride in a quarter of the multiplications: Winograd F(4×4, 3×3) on NHWC. The
 * picture is taken a batch of patches at a time, so that the two transformed sides stay in the last cache:
 * patches in, 36 products, patches out, each divided over the pool. Error against sums in double: 2–4 times
 * the direct form's, ≤ 1e-5 of the largest value on the networks' sizes (parity_cpu, docs/notes/tensor.md).
 */
#include <string.h>

#include "base/mem.h"
#include "tensor/cpu/gemm.h"

#define PLANES 36
#define ROOM_BYTES ((size_t)4 << 20) /* of both sides together */
#define MIN_TILES 16                 /* fewer patches do not pay for reading four times the weights … */
#define MIN_TILES_HALF 48            /* … or where the other form multiplies pairs of BF16 */
#define PAD 16                       /* floats between rows, against cache lines of one set */

/* In BF16 plans the picture is read and written as BF16, but transforms and products stay F32: with BF16
 * products the error would be several roundings, and pairs of BF16 in the direct form are slower than this.
 */
struct wino {
    float *w;    /* [36] packed [ci → co] */
    float *bias; /* [co] */
    float *zero; /* [ci]: pixels outside */
    size_t w_plane;
};

static void release(void *state)
{
    struct wino *s = state;
    if (!s)
        return;
    pz_free(s->w);
    pz_free(s->bias);
    pz_free(s->zero);
    pz_free(s);
}

struct packing {
    const struct wino *s;
    const struct pz_cpu_fns *f;
    const float *w;
    size_t ci, co, panel;
};

/* All filters of one panel. */
static void pack_task(void *user, int index, int worker)
{
    const struct packing *p = user;
    size_t first = (size_t)index * p->panel, n = p->co - first < p->panel ? p->co - first : p->panel;
    p->f->wino_filters(p->w + first * 9 * p->ci, n, p->ci, p->s->w + first * p->ci, p->s->w_plane);
}

struct layout {
    size_t ci, co, across, down, tiles, at_once; /* patches */
    size_t in_row, in_plane, out_row, out_plane; /* floats */
};

static struct layout layout_of(const struct pz_op_args *a)
{
    const int *x = a->in[0].shape.dim, *o = a->out.shape.dim;
    struct layout l = {.ci = (size_t)x[3], .co = (size_t)o[3]};
    l.across = ((size_t)o[2] + 3) / 4;
    l.down = ((size_t)o[1] + 3) / 4;
    l.tiles = (size_t)o[0] * l.across * l.down;
    l.in_row = l.ci + PAD;
    l.out_row = l.co + PAD;
    l.at_once = ROOM_BYTES / (PLANES * sizeof(float) * (l.in_row + l.out_row));
    l.at_once = l.at_once < 96 ? 96 : l.at_once / 12 * 12;
    if (l.at_once >= l.tiles) {
        l.at_once = l.tiles;
    } else { /* equal shares */
        size_t shares = (l.tiles + l.at_once - 1) / l.at_once;
        l.at_once = ((l.tiles + shares - 1) / shares + 11) / 12 * 12;
    }
    l.in_plane = l.at_once * l.in_row + PAD;
    l.out_plane = l.at_once * l.out_row + PAD;
    return l;
}

static bool suits(const struct pz_op_args *a, const struct pz_cpu_fns *f)
{
    const struct pz_attrs *t = a->attrs;
    const int *w = a->in[1].shape.dim, *o = a->out.shape.dim;
    if (w[1] != 3 || w[2] != 3 || t->stride[0] != 1 || t->stride[1] != 1 || t->dilation[0] != 1 ||
        t->dilation[1] != 1 || w[3] % f->lanes || w[0] % f->lanes || w[3] < 32 || w[0] < 32)
        return false;
    long long tiles = (long long)o[0] * ((o[1] + 3) / 4) * ((o[2] + 3) / 4);
    bool pairs = a->takes_held && a->held == PZ_DTYPE_BF16 && pz_cpu_has_bf16(a->rung);
    return tiles >= (pairs ? MIN_TILES_HALF : MIN_TILES);
}

static bool fits(const struct pz_op_args *a)
{
    return pz_cpu_half(&a->in[0]) && !(pz_cpu_given(a, 3) && !pz_cpu_half(&a->in[3]));
}

static enum pz_status prepare(struct pz_log *log, const struct pz_op_args *a, void **state, size_t *scratch)
{
    const struct pz_cpu_fns *f = pz_cpu_fns_get(a->rung);
    if (!suits(a, f))
        return PZ_ERR_UNSUPPORTED;
    for (int i = 1; i < a->n_in; i++)
        if (i != 3 && pz_cpu_given(a, i) && !a->in[i].data)
            return PZ_ERR_UNSUPPORTED; /* weights that are computed */
    pz_cpu_types(a, fits);
    struct layout l = layout_of(a);
    struct wino *s = pz_calloc(1, sizeof *s);
    if (!s)
        return pz_fail(log, PZ_ERR_NOMEM, "no memory for a convolution");
    s->w_plane = pz_cpu_packed_floats(f, l.co, l.ci);
    s->w = pz_calloc(PLANES * s->w_plane, sizeof *s->w);
    s->bias = pz_calloc(l.co, sizeof *s->bias);
    s->zero = pz_calloc(l.ci, sizeof *s->zero);
    if (!s->w || !s->bias || !s->zero) {
        release(s);
        return pz_fail(log, PZ_ERR_NOMEM, "no memory for a convolution's weights");
    }
    struct packing p = {s, f, a->in[1].data, l.ci, l.co, 2 * (size_t)f->lanes};
    pz_pool_run(a->pool, pack_task, &p, (int)((l.co + p.panel - 1) / p.panel));
    if (pz_cpu_given(a, 2))
        memcpy(s->bias, a->in[2].data, l.co * sizeof *s->bias);
    pz_op_packed(a, 1);
    pz_op_packed(a, 2);
    *scratch = PLANES * (l.in_plane + l.out_plane) * sizeof(float);
    *state = s;
    return PZ_OK;
}

struct pass {
    const struct pz_op_args *a;
    const struct wino *s;
    const struct pz_cpu_fns *f;
    struct layout l;
    float *in, *out;
    size_t first, n;     /* patches of this batch */
    size_t per, n_tasks; /* panels of a product's task, tasks of a product */
};

#define PATCHES 8 /* a task */

static void place_of(const struct layout *l, size_t tile, size_t *b, int *y, int *x)
{
    *b = tile / (l->across * l->down);
    *y = (int)(tile / l->across % l->down) * 4;
    *x = (int)(tile % l->across) * 4;
}

static void in_task(void *user, int index, int worker)
{
    const struct pass *p = user;
    const int *d = p->a->in[0].shape.dim, *pad = p->a->attrs->pad;
    for (size_t i = (size_t)index * PATCHES; i < ((size_t)index + 1) * PATCHES && i < p->n; i++) {
        const void *patch[PLANES];
        size_t b, picture;
        int y0, x0;
        place_of(&p->l, p->first + i, &b, &y0, &x0);
        picture = b * (size_t)d[1] * (size_t)d[2];
        for (int y = 0; y < 6; y++)
            for (int z = 0; z < 6; z++) {
                int iy = y0 + y - pad[0], ix = x0 + z - pad[2];
                bool inside = iy >= 0 && iy < d[1] && ix >= 0 && ix < d[2];
                patch[y * 6 + z] =
                    inside ? pz_cpu_at(&p->a->in[0],
                                       (picture + (size_t)iy * (size_t)d[2] + (size_t)ix) * p->l.ci)
                           : p->s->zero;
            }
        p->f->wino_in(patch, pz_cpu_half(&p->a->in[0]), p->l.ci, p->in + i * p->l.in_row, p->l.in_plane);
    }
}

static void product_task(void *user, int index, int worker)
{
    const struct pass *p = user;
    size_t panel = 2 * (size_t)p->f->lanes, panels = (p->l.co + panel - 1) / panel;
    size_t plane = (size_t)index / p->n_tasks, p0 = (size_t)index % p->n_tasks * p->per;
    struct pz_gemm g = {.a = p->in + plane * p->l.in_plane,
                        .lda = p->l.in_row,
                        .b = p->s->w + plane * p->s->w_plane,
                        .panel = p->l.ci * panel,
                        .n = p->l.co,
                        .k = p->l.ci,
                        .out = p->out + plane * p->l.out_plane,
                        .ldc = p->l.out_row};
    p->f->gemm(&g, 0, p->n, p0, p0 + p->per < panels ? p0 + p->per : panels);
}

static void out_task(void *user, int index, int worker)
{
    const struct pass *p = user;
    const int *d = p->a->out.shape.dim;
    for (size_t i = (size_t)index * PATCHES; i < ((size_t)index + 1) * PATCHES && i < p->n; i++) {
        size_t b;
        int y, x;
        place_of(&p->l, p->first + i, &b, &y, &x);
        size_t at = ((b * (size_t)d[1] + (size_t)y) * (size_t)d[2] + (size_t)x) * p->l.co;
        struct pz_wino_out o = {.sums = p->out + i * p->l.out_row,
                                .plane = p->l.out_plane,
                                .c = p->l.co,
                                .bias = p->s->bias,
                                .slope = pz_cpu_floats(p->a, 4),
                                .residual = pz_cpu_given(p->a, 3) ? pz_cpu_at(&p->a->in[3], at) : NULL,
                                .act = p->a->attrs->act,
                                .half = pz_cpu_half(&p->a->out),
                                .out = pz_cpu_at(&p->a->out, at),
                                .row = (size_t)d[2] * p->l.co,
                                .h = d[1] - y < 4 ? d[1] - y : 4,
                                .w = d[2] - x < 4 ? d[2] - x : 4};
        p->f->wino_out(&o);
    }
}

static void run(const struct pz_op_args *a)
{
    struct pass p = {.a = a, .s = a->state, .f = pz_cpu_fns_get(a->rung), .l = layout_of(a)};
    size_t panel = 2 * (size_t)p.f->lanes, panels = (p.l.co + panel - 1) / panel;
    p.in = a->scratch;
    p.out = p.in + PLANES * p.l.in_plane;
    p.per = panels < 8 ? panels : 8;
    p.n_tasks = (panels + p.per - 1) / p.per;
    for (p.first = 0; p.first < p.l.tiles; p.first += p.l.at_once) {
        p.n = p.l.tiles - p.first < p.l.at_once ? p.l.tiles - p.first : p.l.at_once;
        int few = (int)((p.n + PATCHES - 1) / PATCHES);
        pz_pool_run(a->pool, in_task, &p, few);
        pz_pool_run(a->pool, product_task, &p, (int)(PLANES * p.n_tasks));
        pz_pool_run(a->pool, out_task, &p, few);
    }
}

const struct pz_kernel pz_cpu_winograd = {"winograd", prepare, NULL, run, NULL, release};
