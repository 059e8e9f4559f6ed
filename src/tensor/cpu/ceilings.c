/* Ceilings: a loop of independent multiply-adds on the vector rungs (kernels_*.c), and a large copy. */
#include "tensor/cpu/ceilings.h"

#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "tensor/cpu/cpu.h"

#define ROUNDS 400000
#define COPY_BYTES ((size_t)96 << 20)

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

struct spin {
    const struct pz_cpu_fns *f;
    bool bf16;
    double operations[256];
};

static void spin_task(void *user, int index, int worker)
{
    struct spin *s = user;
    s->operations[index] = s->bf16 && s->f->spin_bf16 ? s->f->spin_bf16(ROUNDS) : s->f->spin(ROUNDS);
}

double pz_cpu_peak(int rung, enum pz_dtype dtype, struct pz_pool *pool)
{
    struct spin s = {.f = pz_cpu_fns_get(rung), .bf16 = dtype == PZ_DTYPE_BF16};
    int n = pz_pool_threads(pool);
    double best = 0;
    for (int i = 0; i < 7; i++) {
        double t = now(), sum = 0;
        pz_pool_run(pool, spin_task, &s, n);
        t = now() - t;
        for (int k = 0; k < n; k++)
            sum += s.operations[k];
        best = sum / t > best ? sum / t : best;
    }
    return best;
}

struct copying {
    char *from, *to;
    size_t n;
};

static void copy_task(void *user, int index, int worker)
{
    const struct copying *c = user;
    memcpy(c->to + (size_t)index * c->n, c->from + (size_t)index * c->n, c->n);
}

double pz_cpu_copy_speed(struct pz_pool *pool)
{
    int n = pz_pool_threads(pool);
    double best = 0;
    struct copying c = {pz_calloc(COPY_BYTES, 1), pz_calloc(COPY_BYTES, 1), COPY_BYTES / (size_t)n};
    for (int i = 0; c.from && c.to && i < 5; i++) {
        double t = now();
        pz_pool_run(pool, copy_task, &c, n);
        t = 2.0 * (double)(c.n * (size_t)n) / (now() - t);
        best = t > best ? t : best;
    }
    pz_free(c.from);
    pz_free(c.to);
    return best;
}
