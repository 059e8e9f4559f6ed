/* Profiles: collecting is a clock and an addition; everything else happens when somebody asks for the text.
 */
#include "tensor/profile.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "tensor/cuda/cuda.h"
#include "tensor/plan_impl.h"

#define EVENTS 16384
#define NAME 48

struct line {
    char op[24], form[24], shapes[200];
    int calls;
    double seconds, flop, bytes; /* the latter two of one call */
};

struct event {
    double start;
    float seconds;
    int line;
};

struct pz_profile_record {
    struct pz_profile_record *next;
    char network[NAME];
    struct line *lines; /* one a step */
    int n;
    struct event *events;
    int n_events;
};

struct pz_profile {
    pthread_mutex_t lock;
    double start;
    struct pz_profile_record *records;
};

struct pz_profile *pz_profile_create(void)
{
    struct pz_profile *p = pz_calloc(1, sizeof *p);
    if (p && pthread_mutex_init(&p->lock, NULL) != 0) {
        pz_free(p);
        p = NULL;
    }
    if (p)
        p->start = pz_now();
    return p;
}

static void free_record(struct pz_profile_record *r)
{
    if (!r)
        return;
    pz_free(r->lines);
    pz_free(r->events);
    pz_free(r);
}

void pz_profile_destroy(struct pz_profile **pp)
{
    if (!pp || !*pp)
        return;
    struct pz_profile *p = *pp;
    for (struct pz_profile_record *r = p->records, *next; r; r = next) {
        next = r->next;
        free_record(r);
    }
    pthread_mutex_destroy(&p->lock);
    pz_free(p);
    *pp = NULL;
}

/* What a step does, in words and numbers. */
static void describe(const struct pz_session *s, int t, struct line *l)
{
    const struct pz_step *step = &s->plan->steps[t];
    const struct pz_graph_node *n = &s->plan->nodes[step->node];
    struct pz_op_args a;
    char x[96], w[96] = "", y[96];
    pz_graph_args(s->plan->g, n, &a);
    pz_shape_text(&a.in[0].shape, x);
    if (n->n_in > 1 && n->in[1] >= 0)
        pz_shape_text(&a.in[1].shape, w);
    pz_shape_text(&a.out.shape, y);
    snprintf(l->op, sizeof l->op, "%s", pz_op_row(n->op)->name);
    snprintf(l->form, sizeof l->form, "%s%s", step->kernel ? step->kernel->name : "ref",
             step->wide ? " (wide)" : "");
    snprintf(l->shapes, sizeof l->shapes, "%.60s %.60s -> %.60s", x, w, y);
    l->flop = 2 * pz_op_cost(n->op, &a);
    for (int k = 0; k < n->n_in; k++)
        a.in[k].dtype = pz_plan_dtype(s->plan, a.in[k].dtype);
    a.out.dtype = pz_plan_dtype(s->plan, a.out.dtype);
    l->bytes = pz_op_bytes(&a);
}

enum pz_status pz_session_profile(struct pz_session *s, struct pz_profile *p, const char *network)
{
    s->profile = NULL;
    if (!p)
        return PZ_OK;
    struct pz_profile_record *r = pz_calloc(1, sizeof *r);
    int n = s->plan->n_steps;
    if (r) {
        r->lines = pz_calloc((size_t)n + 1, sizeof *r->lines);
        r->events = pz_calloc(EVENTS, sizeof *r->events);
    }
    if (!r || !r->lines || !r->events) {
        free_record(r);
        return pz_fail(s->log, PZ_ERR_NOMEM, "no memory for a profile");
    }
    snprintf(r->network, sizeof r->network, "%s", network);
    for (char *c = r->network; *c; c++) /* goes into JSON as it is */
        *c = *c == '"' || *c == '\\' || (unsigned char)*c < ' ' ? '_' : *c;
    r->n = n;
    for (int t = 0; t < n; t++)
        describe(s, t, &r->lines[t]);
    enum pz_status st = s->cuda ? pz_cuda_session_watch(s) : PZ_OK;
    if (st < PZ_OK) {
        free_record(r);
        return st;
    }
    pthread_mutex_lock(&p->lock);
    r->next = p->records;
    p->records = r;
    pthread_mutex_unlock(&p->lock);
    s->profile = r;
    return PZ_OK;
}

void pz_profile_add(struct pz_profile_record *r, int line, double start, double end)
{
    r->lines[line].calls++;
    r->lines[line].seconds += end - start;
    if (r->n_events < EVENTS)
        r->events[r->n_events++] = (struct event){start, (float)(end - start), line};
}

/* --- texts --- */

struct text {
    char *data;
    size_t n, cap;
    bool failed;
};

__attribute__((format(printf, 2, 3))) static void put(struct text *t, const char *fmt, ...)
{
    char piece[512];
    va_list v;
    va_start(v, fmt);
    int n = vsnprintf(piece, sizeof piece, fmt, v);
    va_end(v);
    if (n < 0 || (size_t)n >= sizeof piece)
        n = (int)strlen(piece);
    if (!t->failed && t->n + (size_t)n + 1 > t->cap) {
        size_t want = t->cap ? t->cap * 2 : 1 << 16;
        char *p = pz_regrow(t->data, t->n, want, 1);
        t->failed = !p;
        if (p) {
            t->data = p;
            t->cap = want;
        }
    }
    if (t->failed)
        return;
    memcpy(t->data + t->n, piece, (size_t)n + 1);
    t->n += (size_t)n;
}

static char *take(struct text *t)
{
    if (t->failed) {
        pz_free(t->data);
        return NULL;
    }
    return t->data;
}

struct sum {
    const char *network;
    struct line line;
};

static bool same_line(const struct sum *s, const char *network, const struct line *l)
{
    return strcmp(s->network, network) == 0 && strcmp(s->line.op, l->op) == 0 &&
           strcmp(s->line.form, l->form) == 0 && strcmp(s->line.shapes, l->shapes) == 0;
}

static int dearest_first(const void *a, const void *b)
{
    double x = ((const struct sum *)a)->line.seconds, y = ((const struct sum *)b)->line.seconds;
    return (x < y) - (x > y);
}

/* Equal steps of all sessions together; `*n` of them, on the heap. */
static struct sum *sums(const struct pz_profile *p, int *n, double *all)
{
    int most = 1;
    for (const struct pz_profile_record *r = p->records; r; r = r->next)
        most += r->n;
    struct sum *s = pz_calloc((size_t)most, sizeof *s);
    *n = 0;
    *all = 0;
    for (const struct pz_profile_record *r = p->records; s && r; r = r->next)
        for (int i = 0; i < r->n; i++) {
            int k = 0;
            if (!r->lines[i].calls)
                continue;
            while (k < *n && !same_line(&s[k], r->network, &r->lines[i]))
                k++;
            if (k == *n)
                s[(*n)++] = (struct sum){r->network, r->lines[i]};
            else {
                s[k].line.calls += r->lines[i].calls;
                s[k].line.seconds += r->lines[i].seconds;
            }
            *all += r->lines[i].seconds;
        }
    if (s)
        qsort(s, (size_t)*n, sizeof *s, dearest_first);
    return s;
}

static double per_second(double each, const struct line *l)
{
    return l->seconds > 0 ? 1e-9 * each * l->calls / l->seconds : 0;
}

char *pz_profile_table(const struct pz_profile *p)
{
    struct text t = {0};
    int n;
    double all;
    struct sum *s = sums(p, &n, &all);
    if (!s)
        return NULL;
    put(&t, "%-12s %-16s %-14s %7s %10s %6s %9s %8s  %s\n", "network", "operation", "form", "calls", "ms",
        "share", "GFLOP/s", "GB/s", "shapes");
    for (int i = 0; i < n; i++) {
        const struct line *l = &s[i].line;
        put(&t, "%-12s %-16s %-14s %7d %10.3f %5.1f%% %9.2f %8.2f  %s\n", s[i].network, l->op, l->form,
            l->calls, 1e3 * l->seconds, all > 0 ? 100 * l->seconds / all : 0, per_second(l->flop, l),
            per_second(l->bytes, l), l->shapes);
    }
    put(&t, "%d lines, %.3f ms\n", n, 1e3 * all);
    pz_free(s);
    return take(&t);
}

char *pz_profile_trace(const struct pz_profile *p)
{
    struct text t = {0};
    int n, session = 0;
    double all;
    struct sum *s = sums(p, &n, &all);
    if (!s)
        return NULL;
    put(&t, "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[");
    for (const struct pz_profile_record *r = p->records; r; r = r->next, session++) {
        put(&t,
            "%s\n{\"name\":\"thread_name\",\"ph\":\"M\",\"pid\":1,\"tid\":%d,\"args\":{\"name\":\"%s %d\"}}",
            session ? "," : "", session, r->network, session);
        for (int i = 0; i < r->n_events; i++) {
            const struct event *e = &r->events[i];
            const struct line *l = &r->lines[e->line];
            put(&t,
                ",\n{\"name\":\"%s\",\"cat\":\"%s\",\"ph\":\"X\",\"pid\":1,\"tid\":%d,\"ts\":%.3f,\"dur\":%."
                "3f,",
                l->op, l->form, session, 1e6 * (e->start - p->start), 1e6 * (double)e->seconds);
            put(&t, "\"args\":{\"shapes\":\"%s\"}}", l->shapes);
        }
    }
    put(&t, "],\n\"operations\":[");
    for (int i = 0; i < n; i++) {
        const struct line *l = &s[i].line;
        put(&t, "%s\n{\"network\":\"%s\",\"op\":\"%s\",\"form\":\"%s\",\"shapes\":\"%s\",", i ? "," : "",
            s[i].network, l->op, l->form, l->shapes);
        put(&t, "\"calls\":%d,\"ms\":%.6f,\"share\":%.6f,\"gflops\":%.4f,\"gbs\":%.4f}", l->calls,
            1e3 * l->seconds, all > 0 ? l->seconds / all : 0, per_second(l->flop, l),
            per_second(l->bytes, l));
    }
    put(&t, "]}\n");
    pz_free(s);
    return take(&t);
}

enum pz_status pz_profile_write(const struct pz_profile *p, struct pz_log *log, const char *path)
{
    enum pz_status st = PZ_ERR_NOMEM;
    char *trace = pz_profile_trace(p), *table = pz_profile_table(p), *beside = pz_asprintf("%s.txt", path);
    if (!trace || !table || !beside)
        st = pz_fail(log, st, "no memory for the profile");
    else
        st = pz_file_write(log, path, trace, strlen(trace));
    if (st >= PZ_OK)
        st = pz_file_write(log, beside, table, strlen(table));
    pz_free(trace);
    pz_free(table);
    pz_free(beside);
    return st;
}
