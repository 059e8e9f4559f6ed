/*
 * Walks the table of operations: for each, random cases (generate.c); the plain C truth against every fast
 * form on every rung of this processor, with guard words around the output, and as a BF16 plan of one node on
 * both CPU backends; with --cuda instead against the device, F32, F16 and BF16, each case a plan and a
 * session of its own (exit 77 without a device). Every row must be covered: an operation without a generator
 * fails, and one without a fast form is counted and named in the last line. Usage: parity [--op NAME] [--seed
 * N] [--cases N] [--cuda 1] [--bench 1]
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "base/pool.h"
#include "tensor/cpu/cpu.h"
#include "tensor/cuda/cuda.h"
#include "tensor/plan.h"
#include "parity.h"

#define GUARD 64
#define GUARD_WORD 0x7fb5a5a5u /* a NaN no kernel makes */

/* Where a row is run, and how its plan holds numbers. */
struct place {
    const char *name;
    enum pz_backend backend;
    enum pz_dtype dtype;
    bool forms; /* the row's cpu forms one by one, instead of a plan */
};

struct outcome {
    float worst;
    int ran, refused; /* refused: the backend has nothing for this type */
    int widened;      /* runs of a form that does not know the type */
};

static double number(const struct pz_view *v, const void *data, size_t i)
{
    return v->dtype == PZ_DTYPE_I32 ? (double)((const int32_t *)data)[i] : (double)((const float *)data)[i];
}

/* Compare an output with the truth; true when all is within `allowed`. */
static bool agrees(const struct trial *t, const struct pz_op_row *row, const char *where, const void *got,
                   float allowed, float *worst)
{
    const struct pz_view *o = &t->a.out;
    size_t n = pz_shape_count(&o->shape);
    double top = 1;
    for (size_t i = 0; i < n; i++)
        top = fmax(top, fabs(number(o, o->data, i)));
    for (size_t i = 0; i < n; i++) {
        double want = number(o, o->data, i), have = number(o, got, i);
        double d = want == have ? 0 : fabs(want - have) / top; /* equal infinities are equal */
        *worst = d > (double)*worst ? (float)d : *worst;
        if (!(d <= (double)allowed)) {
            char shape[96];
            printf("FAIL %s %s: element %zu of %zu is %.9g, should be %.9g; x %s\n", row->name, where, i, n,
                   have, want, pz_shape_text(&t->a.in[0].shape, shape));
            return false;
        }
    }
    return true;
}

/* A buffer with guard words on both sides, filled with garbage. */
static uint32_t *guarded(size_t n)
{
    uint32_t *p = pz_calloc(n + 2 * GUARD, 4);
    if (!p)
        exit(1);
    for (size_t i = 0; i < n + 2 * GUARD; i++)
        p[i] = GUARD_WORD;
    return p;
}

static bool guards_whole(const uint32_t *p, size_t n)
{
    for (size_t i = 0; i < GUARD; i++)
        if (p[i] != GUARD_WORD || p[GUARD + n + i] != GUARD_WORD)
            return false;
    return true;
}

/* One fast form on one rung; returns 1 on a mismatch. */
static int compare(struct trial *t, enum pz_op op, const struct pz_kernel *k, int rung, struct pz_pool *pool,
                   struct outcome *all)
{
    const struct pz_op_row *row = pz_op_row(op);
    struct pz_op_args a = t->a;
    size_t n = pz_shape_count(&a.out.shape), scratch_bytes = 0;
    void *state = NULL;
    char where[64];
    int bad = 0;
    a.rung = rung;
    a.pool = pool;
    a.threads = 1; /* two would make OpenMP spin against whatever else runs on the machine */
    if (k->prepare(NULL, &a, &state, &scratch_bytes) != PZ_OK)
        return 0;
    uint32_t *buf = guarded(n), *scratch = guarded(scratch_bytes / 4 + 16);
    a.state = state;
    a.scratch = scratch + GUARD;
    a.out.data = buf + GUARD;
    snprintf(where, sizeof where, "%s rung %d", k->name, rung);
    if (k->attach && k->attach(NULL, &a, &a.local) != PZ_OK)
        bad = 1;
    for (int round = 0; round < 2 && !bad; round++) /* twice: nothing may hang on what was in the buffers */
        k->run(&a);
    bad = bad || !agrees(t, row, where, a.out.data, row->tolerance.cpu, &all->worst);
    if (!guards_whole(buf, n) || !guards_whole(scratch, scratch_bytes / 4 + 16)) {
        printf("FAIL %s %s: wrote outside its memory\n", row->name, where);
        bad = 1;
    }
    if (k->detach)
        k->detach(a.local);
    if (k->release)
        k->release(state);
    pz_free(buf);
    pz_free(scratch);
    all->ran++;
    return bad;
}

static float allowed_at(const struct pz_op_row *row, const struct place *p)
{
    if (p->dtype == PZ_DTYPE_F16)
        return row->tolerance.f16;
    if (p->dtype == PZ_DTYPE_BF16)
        return row->tolerance.bf16;
    return p->backend == PZ_BACKEND_CUDA ? row->tolerance.cuda_f32 : row->tolerance.cpu;
}

/* A graph of the one node; every other case has its later inputs as constants, as weights are. `at[i]` is the
 * number of the session input that input i became, or PZ_NONE. */
static struct pz_graph *one_node(const struct trial *t, enum pz_op op, int number_of, struct pz_log *log,
                                 int *at)
{
    struct pz_graph *g = pz_graph_create(log);
    int in[PZ_OP_MAX_IN], many = 0;
    for (int i = 0; i < t->a.n_in; i++) {
        const struct pz_view *v = &t->a.in[i];
        in[i] = at[i] = PZ_NONE;
        if (v->dtype == PZ_DTYPE_COUNT)
            continue;
        if (i > 0 && number_of % 2) {
            in[i] = pz_graph_const(g, v->dtype, v->shape, v->data);
        } else {
            in[i] = pz_graph_input_typed(g, "", v->dtype, v->shape);
            at[i] = many++;
        }
    }
    pz_graph_output(g, "out", pz_graph_op(g, op, &t->attrs, in, t->a.n_in));
    return g;
}

static int by_plan(struct trial *t, enum pz_op op, const struct place *where, int number_of,
                   struct outcome *all)
{
    const struct pz_op_row *row = pz_op_row(op);
    struct pz_log *log = pz_log_create(NULL, NULL, PZ_LOG_ERROR);
    struct pz_plan_params params = {
        .backend = where->backend, .dtype = where->dtype, .rung = PZ_CPU_RUNG_BEST, .threads = 1};
    struct pz_plan *plan = NULL;
    struct pz_session *s = NULL;
    int at[PZ_OP_MAX_IN], bad = 1;
    struct pz_graph *g = one_node(t, op, number_of, log, at);
    enum pz_status st = pz_plan_create(&g, &params, log, &plan);
    if (st == PZ_ERR_UNSUPPORTED && where->dtype == PZ_DTYPE_BF16) {
        all->refused++;
        bad = 0;
        goto fail;
    }
    if (st == PZ_OK)
        st = pz_session_create(plan, log, &s);
    for (int i = 0; st == PZ_OK && i < t->a.n_in; i++)
        if (at[i] >= 0)
            memcpy(pz_session_input(s, NULL, at[i]).data, t->a.in[i].data,
                   pz_shape_count(&t->a.in[i].shape) * pz_dtype_size(t->a.in[i].dtype));
    void *out = st == PZ_OK ? pz_session_output(s, NULL, 0).data : NULL;
    for (int round = 0; st == PZ_OK && round < 2; round++) { /* poison, then both runs must write all */
        memset(out, 0xff, pz_shape_count(&t->a.out.shape) * 4);
        st = pz_session_run(s, NULL);
    }
    if (st != PZ_OK) {
        char text[1024];
        pz_log_last_error(log, text, sizeof text);
        printf("FAIL %s %s: %s\n", row->name, where->name, text);
    } else {
        bad = !agrees(t, row, where->name, out, allowed_at(row, where), &all->worst);
        all->ran++;
        all->widened += pz_plan_widened(plan) > 0;
    }
fail:
    pz_session_destroy(&s);
    pz_plan_destroy(&plan);
    pz_log_destroy(&log);
    return bad;
}

/* Make case `number_of` and its truth in `*buf` (guarded); false when even that fails. */
static bool begin(struct trial *t, enum pz_op op, uint64_t seed, int number_of, enum pz_dtype grid,
                  uint32_t **buf)
{
    const struct pz_op_row *row = pz_op_row(op);
    *t = (struct trial){.grid = grid};
    *buf = NULL;
    pz_rng_init(&t->rng, seed, (uint64_t)op << 32 | (uint64_t)number_of);
    t->a.attrs = &t->attrs;
    t->sums = row->tolerance.cpu > 1e-5f || row->tolerance.cuda_f32 > 1e-5f;
    for (int i = 0; i < PZ_OP_MAX_IN; i++)
        t->a.in[i].dtype = PZ_DTYPE_COUNT;
    if (!pz_parity_generate(t, op)) {
        printf("FAIL %s: the parity test has no generator for it\n", row->name);
        return false;
    }
    if (t->a.n_in < row->min_in || row->shape(NULL, &t->a, &t->a.out) != PZ_OK) {
        printf("FAIL %s: case %d was refused\n", row->name, number_of);
        return false;
    }
    size_t n = pz_shape_count(&t->a.out.shape);
    *buf = guarded(n);
    t->a.out.data = *buf + GUARD;
    row->ref(&t->a);
    for (size_t i = 0; i < n; i++)
        if ((*buf)[GUARD + i] == GUARD_WORD) {
            printf("FAIL %s ref: element %zu of %zu was not written (case %d)\n", row->name, i, n, number_of);
            return false;
        }
    if (!guards_whole(*buf, n)) {
        printf("FAIL %s ref: wrote outside its memory (case %d)\n", row->name, number_of);
        return false;
    }
    return true;
}

static void end(struct trial *t, uint32_t *buf)
{
    pz_free(buf);
    for (int i = 0; i < PZ_OP_MAX_IN; i++)
        pz_free(t->owned[i]);
}

static int try_case(enum pz_op op, uint64_t seed, int number_of, struct pz_pool *pool,
                    const struct place *where, struct outcome *all)
{
    static const int rungs[] = {0, 1, 2, PZ_CPU_RUNG_BEST};
    const struct pz_op_row *row = pz_op_row(op);
    struct trial t;
    uint32_t *buf;
    int bad = !begin(&t, op, seed, number_of, where->dtype, &buf);
    if (!bad && !where->forms)
        bad = by_plan(&t, op, where, number_of, all);
    for (size_t r = 0; !bad && where->forms && r < sizeof rungs / sizeof *rungs; r++)
        for (int k = 0; row->cpu && row->cpu[k]; k++)
            bad |= compare(&t, op, row->cpu[k], rungs[r], r & 1 ? pool : NULL, all);
    if (bad)
        printf("     again with --op %s --seed %llu (case %d)\n", row->name, (unsigned long long)seed,
               number_of);
    end(&t, buf);
    return bad;
}

/* Names for the last line. */
struct tally {
    int rows, agree, none, failed, widened;
    char names[2048];
};

/* All cases of one operation at one place. */
static void walk(enum pz_op op, uint64_t seed, int cases, struct pz_pool *pool, const struct place *where,
                 struct tally *sum)
{
    const struct pz_op_row *row = pz_op_row(op);
    struct outcome all = {0};
    int many = where->forms || where->backend == PZ_BACKEND_CUDA ? cases : (cases + 2) / 3;
    bool expected = where->forms ? row->cpu != NULL : where->backend != PZ_BACKEND_CUDA || row->cuda != NULL;
    int bad = 0;
    sum->rows++;
    for (int c = 0; c < many && !bad && (expected || where->forms); c++) /* without forms: ref alone */
        bad = try_case(op, seed, c, pool, where, &all);
    if (expected && all.ran == 0 && all.refused == 0 && !bad) {
        printf("FAIL %s: no fast form ever ran\n", row->name);
        bad = 1;
    }
    if (bad)
        sum->failed++;
    else if (all.ran) {
        sum->agree++;
        sum->widened += all.widened == all.ran;
    } else {
        size_t n = strlen(sum->names);
        snprintf(sum->names + n, sizeof sum->names - n, "%s%s", sum->none++ ? ", " : "", row->name);
    }
    if (all.ran)
        printf("%-18s %-9s %4d runs, worst %.3g of %.3g\n", row->name, where->name, all.ran,
               (double)all.worst, (double)allowed_at(row, where));
    else if (!bad)
        printf("%-18s %-9s no form of its own\n", row->name, where->name);
    fflush(stdout);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID,
                  &t); /* this machine is shared: wall time would measure the others */
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Seconds of one run: the best of several batches of about 2 ms. */
static double seconds(void (*run)(const struct pz_op_args *), const struct pz_op_args *a)
{
    double best = 1e9, once = now();
    run(a);
    once = now() - once;
    int many = once > 2e-3 ? 1 : (int)(2e-3 / (once + 1e-8)) + 1;
    for (int batch = 0; batch < 5 && (batch == 0 || once < 0.5); batch++) {
        double t = now();
        for (int i = 0; i < many; i++)
            run(a);
        t = (now() - t) / many;
        best = t < best ? t : best;
    }
    return best;
}

/* The dearest of the cases: ref and each form on the best rung. */
static void bench(enum pz_op op, uint64_t seed, int cases)
{
    const struct pz_op_row *row = pz_op_row(op);
    struct trial t;
    uint32_t *buf;
    int dearest = 0;
    double most = -1;
    for (int c = 0; c < cases; c++) {
        if (begin(&t, op, seed, c, PZ_DTYPE_F32, &buf) && pz_op_cost(op, &t.a) > most) {
            most = pz_op_cost(op, &t.a);
            dearest = c;
        }
        end(&t, buf);
    }
    char shape[96];
    begin(&t, op, seed, dearest, PZ_DTYPE_F32, &buf);
    double s = seconds(row->ref, &t.a), bytes = pz_op_bytes(&t.a);
    printf("%-18s %-22s %-8s %10.2f us %8.2f GFLOP/s %8.2f GB/s\n", row->name,
           pz_shape_text(&t.a.in[0].shape, shape), "ref", s * 1e6, 2e-9 * most / s, 1e-9 * bytes / s);
    for (int k = 0; row->cpu && row->cpu[k]; k++) {
        struct pz_op_args a = t.a;
        size_t room = 0;
        a.rung = PZ_CPU_RUNG_BEST;
        a.threads = 1;
        if (row->cpu[k]->prepare(NULL, &a, &a.state, &room) != PZ_OK)
            continue;
        uint32_t *scratch = guarded(room / 4 + 16);
        a.scratch = scratch + GUARD;
        if (!row->cpu[k]->attach || row->cpu[k]->attach(NULL, &a, &a.local) == PZ_OK) {
            double f = seconds(row->cpu[k]->run, &a);
            printf("%-18s %-22s %-8s %10.2f us %8.2f GFLOP/s %8.2f GB/s  %.1fx ref\n", "", "",
                   row->cpu[k]->name, f * 1e6, 2e-9 * most / f, 1e-9 * bytes / f, s / f);
        }
        if (row->cpu[k]->detach)
            row->cpu[k]->detach(a.local);
        if (row->cpu[k]->release)
            row->cpu[k]->release(a.state);
        pz_free(scratch);
    }
    end(&t, buf);
}

static int report(const struct place *where, const struct tally *sum)
{
    if (sum->failed)
        printf("%s: %d of %d rows FAILED\n", where->name, sum->failed, sum->rows);
    else
        printf("%d rows, %s: %d agree, %d of them through F32; %d have no form of their own%s%s\n", sum->rows,
               where->name, sum->agree, sum->widened, sum->none, sum->none ? ": " : "", sum->names);
    return sum->failed;
}

int main(int argc, char **argv)
{
    static const struct place places[2][4] = {{{"cpu", PZ_BACKEND_CPU, PZ_DTYPE_F32, true},
                                               {"ref bf16", PZ_BACKEND_REF, PZ_DTYPE_BF16, false},
                                               {"cpu bf16", PZ_BACKEND_CPU, PZ_DTYPE_BF16, false},
                                               {"cpu f16", PZ_BACKEND_CPU, PZ_DTYPE_F16, false}},
                                              {{"cuda f32", PZ_BACKEND_CUDA, PZ_DTYPE_F32, false},
                                               {"cuda f16", PZ_BACKEND_CUDA, PZ_DTYPE_F16, false},
                                               {"cuda bf16", PZ_BACKEND_CUDA, PZ_DTYPE_BF16, false}}};
    uint64_t seed = 20261122;
    int cases = 60, failed = 0, cuda = 0, benches = 0;
    enum pz_op only = PZ_OP_COUNT;
    char device[256];
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--op") == 0 && (only = pz_op_find(argv[i + 1])) == PZ_OP_COUNT) {
            printf("there is no operation '%s'\n", argv[i + 1]);
            return 2;
        } else if (strcmp(argv[i], "--seed") == 0)
            seed = strtoull(argv[i + 1], NULL, 0);
        else if (strcmp(argv[i], "--cases") == 0)
            cases = atoi(argv[i + 1]);
        else if (strcmp(argv[i], "--cuda") == 0)
            cuda = atoi(argv[i + 1]) != 0;
        else if (strcmp(argv[i], "--bench") == 0)
            benches = atoi(argv[i + 1]);
    }
    printf("seed %llu, %d cases an operation\n", (unsigned long long)seed, cases);
    if (cuda) {
        pz_cuda_describe(device, sizeof device);
        printf("%s\n", device);
        if (!pz_cuda_present())
            return 77;
    }
    struct tally sums[4] = {0};
    struct pz_pool *pool = pz_pool_create(2);
    for (int op = 0; op < PZ_OP_COUNT; op++) {
        if (only != PZ_OP_COUNT && op != (int)only)
            continue;
        if (benches)
            bench((enum pz_op)op, seed, cases);
        for (int d = 0; d < (cuda ? 3 : 4) && !benches; d++)
            walk((enum pz_op)op, seed, cases, pool, &places[cuda][d], &sums[d]);
    }
    pz_pool_destroy(&pool);
    for (int d = 0; d < (cuda ? 3 : 4) && !benches; d++)
        failed += report(&places[cuda][d], &sums[d]);
    return failed ? 1 : 0;
}
