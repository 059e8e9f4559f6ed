/*
 * Whole networks at their published sizes: time until the first run is possible, median time of a run, the
 * distance to what this device can do at most, memory. Weights by the fact sheets' hash rule, or from a file.
 * The same networks with the same weights and inputs in PyTorch: nn_torch.py, which also compares the outputs
 * that --dump leaves.
 *
 *   nn_bench [--net NAME]... [--batch 1,8,20] [--backend cpu|cuda|ref] [--dtype f32|f16|bf16] [--threads N]
 *            [--size S] [--runs N] [--file CHECKPOINT] [--cache DIR] [--tune 1] [--dump DIR] [--profile DIR]
 *            [--log debug]
 *   nn_bench --save FILE --net NAME | --list
 */
#include "nn_bench.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/order.h"
#include "base/pool.h"
#include "tensor/cuda/cuda.h"
#include "tensor/plan.h"
#include "tensor/profile.h"

#define MAX_RUNS 101
#define PRODUCT 2048 /* side of the square product that serves as ceiling */

struct options {
    bool wanted[16];
    int batches[8], n_batches, size, runs;
    struct pz_plan_params plan;
    const char *file, *dump, *save, *profile;
    enum pz_dtype type;
    struct pz_log *log;
    enum pz_log_level level;
    struct pz_pool *pool;
    double ceiling; /* operations a second */
};

static void say(void *user, enum pz_log_level level, const char *text)
{
    fprintf(stderr, "  %s\n", text);
}

static double cpu_seconds(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

/* Inputs by rule, in our own order: number 9000 + index. */
static void fill_inputs(struct pz_session *s)
{
    for (int i = 0; pz_session_input(s, NULL, i).data; i++) {
        struct pz_view v = pz_session_input(s, NULL, i);
        pz_rule_input(9000 + (uint32_t)i, -1, 1, pz_shape_count(&v.shape), v.data);
    }
}

/* Median milliseconds of at most `n` runs and 20 seconds, `*own` the processor time of one. */
static enum pz_status timed(const struct options *o, struct pz_session *s, int n, float *ms, double *own)
{
    float t[MAX_RUNS];
    int done = 0;
    double begin = pz_now(), cpu = cpu_seconds();
    enum pz_status st = PZ_OK;
    while (done < n && st >= PZ_OK && (done < 2 || pz_now() - begin < 20)) {
        double from = pz_now();
        st = pz_session_run(s, o->pool);
        t[done++] = (float)((pz_now() - from) * 1e3);
    }
    *own = (cpu_seconds() - cpu) / done * 1e3;
    qsort(t, (size_t)done, sizeof *t, pz_by_float);
    *ms = t[done / 2];
    return st;
}

/* On a device: medians of replays between device events, without transfers. */
static enum pz_status timed_on_device(struct pz_session *s, int n, float *ms)
{
    float t[MAX_RUNS + 3];
    enum pz_status st = pz_cuda_session_time(s, n + 3, t);
    qsort(t + 3, (size_t)n, sizeof *t, pz_by_float);
    *ms = t[3 + n / 2];
    return st;
}

/* What a large dense layer reaches on the same backend: operations a second. */
static enum pz_status measure_ceiling(struct options *o)
{
    struct pz_graph *g = pz_graph_create(o->log);
    struct pz_shape square = {2, {PRODUCT, PRODUCT}};
    struct pz_plan *plan = NULL;
    struct pz_session *s = NULL;
    float ms = 1;
    double own;
    float *w = pz_calloc((size_t)PRODUCT * PRODUCT, sizeof *w);
    if (!w)
        return PZ_ERR_NOMEM;
    pz_rule_input(1, -0.02f, 0.02f, (size_t)PRODUCT * PRODUCT, w);
    int in[2] = {pz_graph_input(g, "x", square), pz_graph_const(g, PZ_DTYPE_F32, square, w)};
    pz_graph_output(g, "y", pz_graph_op(g, PZ_OP_FULLY_CONNECTED, NULL, in, 2));
    enum pz_status st = pz_plan_create(&g, &o->plan, o->log, &plan);
    if (st >= PZ_OK)
        st = pz_session_create(plan, o->log, &s);
    if (st >= PZ_OK) {
        fill_inputs(s);
        st = o->plan.backend == PZ_BACKEND_CUDA ? timed_on_device(s, 11, &ms) : timed(o, s, 9, &ms, &own);
    }
    o->ceiling = 2.0 * PRODUCT * PRODUCT * PRODUCT / (ms * 1e-3);
    pz_session_destroy(&s);
    pz_plan_destroy(&plan);
    pz_free(w);
    return st;
}

static void dump(const struct options *o, const struct net *net, int batch, const struct pz_session *s)
{
    for (int i = 0; pz_session_output(s, NULL, i).data; i++) {
        struct pz_view v = pz_session_output(s, NULL, i);
        size_t n = pz_shape_count(&v.shape);
        double mean = 0, var = 0;
        for (size_t k = 0; k < n; k++)
            mean += ((float *)v.data)[k] / (double)n;
        for (size_t k = 0; k < n; k++)
            var += pow(((float *)v.data)[k] - mean, 2) / (double)n;
        printf("    output %d: mean %.6f std %.6f\n", i, mean, sqrt(var));
        if (!o->dump)
            continue;
        char path[1024];
        snprintf(path, sizeof path, "%s/%s-b%d-o%d.f32", o->dump, net->name, batch, i);
        FILE *f = fopen(path, "wb");
        if (!f || fwrite(v.data, sizeof(float), n, f) != n || fclose(f) != 0)
            printf("    '%s' could not be written\n", path);
    }
}

struct ready {
    struct pz_checkpoint *c;
    struct pz_graph *g;
    struct pz_params *p;
    struct pz_plan *plan;
    struct pz_session *s;
    int64_t elements;
    double opened_s, built_s, planned_s, ready_s, processor_s;
};

static enum pz_status make_ready(const struct options *o, const struct net *net, int batch, struct ready *r)
{
    double from = pz_now(), cpu = cpu_seconds();
    enum pz_status st = PZ_OK;
    if (o->file)
        PZ_TRY(pz_checkpoint_open(o->file, &(struct pz_job){.log = o->log}, &r->c));
    r->opened_s = pz_now() - from;
    r->g = pz_graph_create(o->log);
    r->p = pz_params_create(
        r->g, &(struct pz_params_options){.checkpoint = r->c, .file = o->file, .ignore = net->ignore},
        o->log);
    net->build(r->p, batch, o->size ? o->size : net->size);
    PZ_TRY(pz_params_finish(r->p));
    r->built_s = pz_now() - from;
    r->elements = pz_params_elements(r->p);
    PZ_TRY(pz_plan_create(&r->g, &o->plan, o->log, &r->plan));
    r->planned_s = pz_now() - from;
    PZ_TRY(pz_session_create(r->plan, o->log, &r->s));
    r->ready_s = pz_now() - from;
    r->processor_s = cpu_seconds() - cpu;
fail:
    pz_params_destroy(&r->p);
    pz_graph_destroy(&r->g);
    pz_checkpoint_close(&r->c);
    return st;
}

/* Five runs watched step by step: DIR/NAME-bN.json and .json.txt. */
static enum pz_status watch(const struct options *o, const struct net *net, int batch, struct pz_session *s)
{
    char path[1024];
    struct pz_profile *p = pz_profile_create();
    enum pz_status st = p ? pz_session_profile(s, p, net->name) : PZ_ERR_NOMEM;
    for (int i = 0; i < 5 && st >= PZ_OK; i++)
        st = pz_session_run(s, o->pool);
    snprintf(path, sizeof path, "%s/%s-b%d.json", o->profile, net->name, batch);
    if (st >= PZ_OK)
        st = pz_profile_write(p, o->log, path);
    enum pz_status done = pz_session_profile(s, NULL, NULL);
    pz_profile_destroy(&p);
    return st < PZ_OK ? st : done;
}

static enum pz_status measure(const struct options *o, const struct net *net, int batch)
{
    struct ready r = {0};
    float ms = 0, device = 0;
    double own = 0;
    bool cuda = o->plan.backend == PZ_BACKEND_CUDA;
    enum pz_status st = make_ready(o, net, batch, &r);
    if (st >= PZ_OK) {
        fill_inputs(r.s);
        st = pz_session_run(r.s, o->pool);
    }
    if (st >= PZ_OK)
        st = timed(o, r.s, o->runs, &ms, &own);
    if (st >= PZ_OK && cuda)
        st = timed_on_device(r.s, o->runs, &device);
    if (st >= PZ_OK) {
        double flop = 2 * pz_plan_cost(r.plan), floor = flop / o->ceiling * 1e3;
        printf("%s batch %d size %d: %.2f M parameters, %d steps, %.1f GFLOP\n", net->name, batch,
               o->size ? o->size : net->size, (double)r.elements / 1e6, pz_plan_nodes(r.plan), flop / 1e9);
        printf("    ready %.2f s (open %.3f, build %.2f, plan %.2f, session %.2f), processor %.2f s\n",
               r.ready_s, r.opened_s, r.built_s - r.opened_s, r.planned_s - r.built_s,
               r.ready_s - r.planned_s, r.processor_s);
        if (cuda)
            printf("    device %.3f ms, with transfers %.3f ms, ", (double)device, (double)ms);
        else
            printf("    wall %.1f ms, processor %.1f ms, ", (double)ms, own);
        double t = cuda ? (double)device : (double)ms;
        printf("%.1f GFLOP/s, floor %.3f ms, %.1f %% of it; arena %.0f MB, peak resident %.0f MB\n",
               flop / (t * 1e6), floor, 100 * floor / t, (double)pz_plan_arena_bytes(r.plan) / 1e6,
               (double)pz_peak_rss() / 1e6);
        dump(o, net, batch, r.s);
    }
    if (st >= PZ_OK && o->profile)
        st = watch(o, net, batch, r.s);
    fflush(stdout);
    pz_session_destroy(&r.s);
    pz_plan_destroy(&r.plan);
    return st;
}

static bool take_choice(struct options *o, const char *key, const char *value)
{
    static const char *const backends[] = {"ref", "cpu", "cuda"}, *const types[] = {"f32", "f16", "bf16"};
    for (int i = 0; i < 3; i++) {
        if (strcmp(key, "--backend") == 0 && strcmp(value, backends[i]) == 0) {
            o->plan.backend = (enum pz_backend)i;
            return true;
        }
        if (strcmp(key, "--dtype") == 0 && strcmp(value, types[i]) == 0) {
            o->type = o->plan.dtype = (enum pz_dtype)i;
            return true;
        }
    }
    for (int i = 0; i < n_nets && strcmp(key, "--net") == 0; i++)
        if (strcmp(value, nets[i].name) == 0)
            return o->wanted[i] = true;
    return false;
}

static bool take(struct options *o, const char *key, const char *value)
{
    if (strcmp(key, "--threads") == 0)
        return (o->plan.threads = atoi(value)) > 0;
    if (strcmp(key, "--size") == 0)
        return (o->size = atoi(value)) > 0;
    if (strcmp(key, "--runs") == 0)
        return (o->runs = atoi(value)) > 0 && o->runs <= MAX_RUNS;
    if (strcmp(key, "--file") == 0)
        return (o->file = value) != NULL;
    if (strcmp(key, "--dump") == 0)
        return (o->dump = value) != NULL;
    if (strcmp(key, "--save") == 0)
        return (o->save = value) != NULL;
    if (strcmp(key, "--profile") == 0)
        return (o->profile = value) != NULL;
    if (strcmp(key, "--tune") == 0)
        return (o->plan.tune = atoi(value) > 0) || strcmp(value, "0") == 0;
    if (strcmp(key, "--log") == 0)
        return (o->level = PZ_LOG_DEBUG) && strcmp(value, "debug") == 0;
    if (strcmp(key, "--cache") == 0)
        return (o->plan.cache = value) != NULL;
    if (strcmp(key, "--batch") != 0)
        return take_choice(o, key, value);
    o->n_batches = 0;
    for (const char *s = value; *s && o->n_batches < 8; s += strcspn(s, ","), s += *s == ',')
        o->batches[o->n_batches++] = atoi(s);
    return o->n_batches > 0 && o->batches[0] > 0;
}

static enum pz_status run_all(struct options *o)
{
    char device[256];
    bool any = false;
    for (int i = 0; i < n_nets; i++)
        any = any || o->wanted[i];
    if (o->plan.backend == PZ_BACKEND_CUDA)
        pz_cuda_describe(device, sizeof device);
    else
        snprintf(device, sizeof device, "%d processor threads", o->plan.threads);
    enum pz_status st = measure_ceiling(o);
    if (st < PZ_OK)
        return st;
    printf("nn: %s, %s; a dense layer of %d x %d x %d reaches %.1f GFLOP/s\n", device,
           pz_dtype_name(o->plan.dtype), PRODUCT, PRODUCT, PRODUCT, o->ceiling / 1e9);
    fflush(stdout);
    for (int i = 0; i < n_nets; i++)
        for (int b = 0; b < o->n_batches && (o->wanted[i] || (!any && i < 2)); b++)
            if (measure(o, &nets[i], o->batches[b]) < PZ_OK)
                st = PZ_ERR_INTERNAL;
    return st;
}

int main(int argc, char **argv)
{
    struct options o = {.batches = {1},
                        .n_batches = 1,
                        .runs = 11,
                        .plan = pz_plan_default,
                        .type = PZ_DTYPE_F32,
                        .level = PZ_LOG_WARNING};
    o.plan.threads = (int)sysconf(_SC_NPROCESSORS_ONLN);
    if (argc == 2 && strcmp(argv[1], "--list") == 0) {
        for (int i = 0; i < n_nets; i++)
            printf("%-20s %s\n", nets[i].name, nets[i].what);
        return 0;
    }
    for (int i = 1; i < argc; i += 2)
        if (i + 1 >= argc || !take(&o, argv[i], argv[i + 1])) {
            fprintf(stderr, "nn_bench: cannot use '%s'; see the head of bench/nn_bench.c\n", argv[i]);
            return 1;
        }
    o.log = pz_log_create(say, NULL, o.level);
    enum pz_status st = PZ_OK;
    if (o.save) {
        for (int i = 0; i < n_nets; i++)
            if (o.wanted[i])
                st = save_by_rule(&nets[i], o.save, o.type, o.log);
    } else {
        o.pool = o.plan.backend == PZ_BACKEND_CUDA ? NULL : pz_pool_create(o.plan.threads);
        st = run_all(&o);
        pz_pool_destroy(&o.pool);
    }
    pz_log_destroy(&o.log);
    return pz_status_exit_code(st);
}
