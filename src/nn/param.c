/*
 * The parameter tree: scopes, names, binding to a checkpoint, and the account at the end. Values are read in
 * param_read.c, when a plan asks.
 */
#include <fnmatch.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "nn/param_impl.h"

struct pz_params *pz_params_create(struct pz_graph *g, const struct pz_params_options *options,
                                   struct pz_log *log)
{
    struct pz_params *p = pz_calloc(1, sizeof *p);
    if (!p)
        return NULL;
    atomic_init(&p->users, 1);
    p->g = g;
    p->log = log;
    if (options)
        p->options = *options;
    return p;
}

void pz_params_unref(struct pz_params *p)
{
    if (atomic_fetch_sub(&p->users, 1) != 1)
        return;
    for (int i = 0; i < p->n_entries; i++) {
        pz_free(p->entries[i]->name);
        pz_free(p->entries[i]->table);
        pz_free(p->entries[i]);
    }
    pz_free(p->entries);
    pz_free(p->first);
    pz_free(p);
}

void pz_params_destroy(struct pz_params **p)
{
    if (!p || !*p)
        return;
    (*p)->options = (struct pz_params_options){0};
    (*p)->g = NULL;
    (*p)->log = NULL;
    pz_params_unref(*p);
    *p = NULL;
}

struct pz_graph *pz_params_graph(const struct pz_params *p)
{
    return p->g;
}

static void caller_error(struct pz_params *p, enum pz_status st, const char *what, const char *name)
{
    if (p->st >= PZ_OK)
        p->st = pz_fail(p->log, st, "parameters of a network: %s ('%s')", what, name);
}

void pz_params_push(struct pz_params *p, const char *format, ...)
{
    int at = p->length[p->depth], room = PZ_PARAM_MAX_PATH - at;
    if (p->depth == PZ_PARAM_MAX_DEPTH) {
        caller_error(p, PZ_ERR_INTERNAL, "too deep", p->path);
        return;
    }
    va_list args;
    va_start(args, format);
    int n = vsnprintf(p->path + at, (size_t)room, format, args);
    va_end(args);
    if (n < 0 || n + 1 >= room) {
        caller_error(p, PZ_ERR_INTERNAL, "a path too long", p->path);
        n = 0;
    } else {
        p->path[at + n] = '.';
        n++;
    }
    p->path[at + n] = 0;
    p->length[++p->depth] = at + n;
}

void pz_params_pop(struct pz_params *p)
{
    if (p->depth == 0) {
        caller_error(p, PZ_ERR_INTERNAL, "more pops than pushes", p->path);
        return;
    }
    p->path[p->length[--p->depth]] = 0;
}

void pz_params_tap(struct pz_params *p, int value)
{
    size_t n = p->length[p->depth] > 0 ? (size_t)p->length[p->depth] - 1 : 0; /* without the dot */
    for (int i = 0; p->options.taps && p->options.taps[i]; i++)
        if (strlen(p->options.taps[i]) == n && strncmp(p->options.taps[i], p->path, n) == 0)
            pz_graph_output(p->g, p->options.taps[i], value);
}

static const char *shape_text(const int64_t *shape, int rank, char out[160])
{
    int at = snprintf(out, 160, "[");
    for (int i = 0; i < rank && at < 130; i++)
        at += snprintf(out + at, 160 - (size_t)at, "%s%lld", i ? "," : "", (long long)shape[i]);
    snprintf(out + at, 160 - (size_t)at, "]");
    return out;
}

static const struct pz_checkpoint_tensor *look_up(const struct pz_params *p, const char *path,
                                                  const char *name)
{
    char full[2 * PZ_PARAM_MAX_PATH];
    int n = snprintf(full, sizeof full, "%s%s%s", p->options.prefix ? p->options.prefix : "", path, name);
    return n < 0 || (size_t)n >= sizeof full ? NULL : pz_checkpoint_find(p->options.checkpoint, full);
}

static bool shape_fits(const struct pz_param_entry *e, const struct pz_checkpoint_tensor *t)
{
    int n = e->rank > t->rank ? e->rank : t->rank;
    bool loose = e->layout == PZ_PARAM_DENSE;
    if (e->rank != t->rank && !(loose && t->rank >= 2))
        return false;
    for (int i = 0; i < n; i++) {
        int64_t want = i < e->rank ? e->shape[i] : 1, have = i < t->rank ? t->shape[i] : 1;
        if (want != have)
            return false;
    }
    return true;
}

/* Keep the first thing that is wrong with the file. */
static void complain(struct pz_params *p, char *text)
{
    if (!text)
        p->st = p->st >= PZ_OK ? PZ_ERR_NOMEM : p->st;
    if (p->first)
        pz_free(text);
    else
        p->first = text;
}

static void bind_tensor(struct pz_params *p, struct pz_param_entry *e, const char *also, bool needed)
{
    const struct pz_checkpoint_tensor *t = look_up(p, "", e->name);
    char found[160], want[160];
    if (!t && also)
        t = look_up(p, p->path, also);
    if (!t) {
        if (needed) {
            p->n_missing++;
            complain(p,
                     pz_asprintf("tensor '%s%s%s%s%s' is missing", p->options.prefix ? p->options.prefix : "",
                                 e->name, also ? "' (or '" : "", also ? also : "", also ? "')" : ""));
        }
        return;
    }
    bool number = t->dtype == PZ_DTYPE_F32 || t->dtype == PZ_DTYPE_F16 || t->dtype == PZ_DTYPE_BF16 ||
                  t->dtype == PZ_DTYPE_F64;
    if (!number || !shape_fits(e, t)) {
        int64_t shape[PZ_PARAM_MAX_RANK];
        for (int i = 0; i < e->rank; i++)
            shape[i] = e->shape[i];
        p->n_misshapen++;
        complain(p, pz_asprintf("tensor '%s' is %s %s, the network wants floats %s", t->name,
                                pz_dtype_name(t->dtype), shape_text(t->shape, t->rank, found),
                                shape_text(shape, e->rank, want)));
        return;
    }
    e->tensor = t;
}

static struct pz_param_entry *add_entry(struct pz_params *p, const struct pz_param *what)
{
    struct pz_param_entry *e = NULL;
    if (p->st < PZ_OK || what->rank < 0 || what->rank > PZ_PARAM_MAX_RANK) {
        caller_error(p, PZ_ERR_INTERNAL, "an impossible rank", what->name);
        return NULL;
    }
    for (int i = 0; i < what->rank; i++)
        if (what->shape[i] < 1) {
            caller_error(p, PZ_ERR_INTERNAL, "an impossible shape", what->name);
            return NULL;
        }
    if (p->n_entries == p->cap_entries) {
        int want = p->cap_entries ? 2 * p->cap_entries : 64;
        void *list = pz_regrow(p->entries, (size_t)p->n_entries, (size_t)want, sizeof(void *));
        if (!list)
            goto fail;
        p->entries = list;
        p->cap_entries = want;
    }
    e = pz_calloc(1, sizeof *e);
    if (!e || !(e->name = pz_asprintf("%s%s", p->path, what->name)))
        goto fail;
    e->layout = what->layout;
    e->rank = what->rank;
    memcpy(e->shape, what->shape, sizeof e->shape);
    p->entries[p->n_entries++] = e;
    return e;
fail:
    pz_free(e);
    caller_error(p, PZ_ERR_NOMEM, "no memory", what->name);
    return NULL;
}

static struct pz_param_entry *ask(struct pz_params *p, const struct pz_param *what)
{
    struct pz_param_entry *e = add_entry(p, what);
    if (e && p->options.checkpoint)
        bind_tensor(p, e, what->also, true);
    return e;
}

/* What the graph's operations see. */
static struct pz_shape graph_shape(const struct pz_param_entry *e)
{
    const int *s = e->shape;
    struct pz_shape out = {.rank = e->rank};
    memcpy(out.dim, s, sizeof e->shape);
    if (e->layout == PZ_PARAM_PLAIN)
        return out;
    if (e->layout == PZ_PARAM_DENSE)
        return (struct pz_shape){2, {s[0], s[1]}};
    if (e->layout == PZ_PARAM_DEPTHWISE)
        return (struct pz_shape){4, {1, s[2], s[3], s[0]}};
    if (e->rank == 3)
        return (struct pz_shape){4, {s[0], 1, s[2], s[1]}};
    for (int i = 1; i < e->rank - 1; i++)
        out.dim[i] = s[i + 1];
    out.dim[e->rank - 1] = s[1];
    return out;
}

static bool layout_fits(const struct pz_param *q)
{
    switch (q->layout) {
    case PZ_PARAM_DENSE:
        for (int i = 2; i < q->rank && i < PZ_PARAM_MAX_RANK; i++)
            if (q->shape[i] != 1)
                return false;
        return q->rank >= 2;
    case PZ_PARAM_CONV:
        return q->rank >= 3;
    case PZ_PARAM_DEPTHWISE:
        return q->rank == 4 && q->shape[1] == 1;
    case PZ_PARAM_CONV_TRANSPOSE:
        return q->rank == 4;
    default:
        return true;
    }
}

static void let_go(void *ctx)
{
    struct pz_param_source *s = ctx;
    pz_params_unref(s->p);
    pz_free(s);
}

static int constant(struct pz_params *p, struct pz_shape shape, const struct pz_param_source *s)
{
    struct pz_param_source *own = pz_calloc(1, sizeof *own);
    if (!own) {
        caller_error(p, PZ_ERR_NOMEM, "no memory", p->path);
        return PZ_NONE;
    }
    *own = *s;
    own->p = p;
    atomic_fetch_add(&p->users, 1);
    return pz_graph_const_from(p->g, shape, &(struct pz_source){pz_param_fill, let_go, own});
}

int pz_params_get(struct pz_params *p, const struct pz_param *what)
{
    if (!layout_fits(what))
        caller_error(p, PZ_ERR_INTERNAL, "a layout that does not fit the rank", what->name);
    struct pz_param_entry *e = ask(p, what);
    return e ? constant(p, graph_shape(e), &(struct pz_param_source){.main = e}) : PZ_NONE;
}

int pz_params_table(struct pz_params *p, const char *name, int rank, const int *shape, const float *values)
{
    struct pz_param what = {.name = name, .rank = rank};
    for (int i = 0; i < rank && i < PZ_PARAM_MAX_RANK; i++)
        what.shape[i] = shape[i];
    struct pz_param_entry *e = add_entry(p, &what);
    if (!e)
        return PZ_NONE;
    size_t n = pz_param_elements(e);
    e->table = pz_calloc(n, sizeof *e->table);
    if (!e->table) {
        caller_error(p, PZ_ERR_NOMEM, "no memory", name);
        return PZ_NONE;
    }
    memcpy(e->table, values, n * sizeof *values);
    if (p->options.checkpoint)
        bind_tensor(p, e, NULL, false);
    return constant(p, graph_shape(e), &(struct pz_param_source){.main = e});
}

void pz_params_get_folded(struct pz_params *p, const struct pz_param *weight, const char *bias,
                          const char *norm, float eps, int *w, int *b)
{
    static const char *const names[4] = {"weight", "bias", "running_mean", "running_var"};
    const int co = weight->shape[weight->layout == PZ_PARAM_CONV_TRANSPOSE ? 1 : 0];
    struct pz_param vec = {.name = bias, .rank = 1, .shape = {co}};
    const struct pz_param_entry *e = ask(p, weight), *c = bias ? ask(p, &vec) : NULL, *n[4];
    pz_params_push(p, "%s", norm);
    for (int i = 0; i < 4; i++) {
        vec.name = names[i];
        n[i] = ask(p, &vec);
    }
    pz_params_pop(p);
    *w = *b = PZ_NONE;
    if (!layout_fits(weight))
        caller_error(p, PZ_ERR_INTERNAL, "a layout that does not fit the rank", weight->name);
    if (p->st < PZ_OK || !e)
        return;
    struct pz_param_source s = {
        .main = e, .gamma = n[0], .beta = n[1], .mean = n[2], .var = n[3], .eps = eps};
    *w = constant(p, graph_shape(e), &s);
    s.main = c;
    s.bias = true;
    *b = constant(p, (struct pz_shape){1, {co}}, &s);
}

/* Names sorted, tables last. */
static int by_name(const void *a, const void *b)
{
    const struct pz_param_entry *x = *(struct pz_param_entry *const *)a,
                                *y = *(struct pz_param_entry *const *)b;
    if (!x->table != !y->table)
        return x->table ? 1 : -1;
    return strcmp(x->name, y->name);
}

static int by_address(const void *a, const void *b)
{
    uintptr_t x = (uintptr_t) * (const void *const *)a, y = (uintptr_t) * (const void *const *)b;
    return (x > y) - (x < y);
}

static bool may_be_left(const struct pz_params *p, const char *name)
{
    if (fnmatch("*num_batches_tracked", name, 0) == 0)
        return true;
    for (int i = 0; p->options.ignore && p->options.ignore[i]; i++)
        if (fnmatch(p->options.ignore[i], name, 0) == 0)
            return true;
    return false;
}

/* Tensors of the file that nobody asked for. */
static enum pz_status find_surplus(struct pz_params *p, int *n_surplus, const char **first)
{
    const struct pz_checkpoint *c = p->options.checkpoint;
    const void **used = pz_calloc((size_t)p->n_entries + 1, sizeof *used);
    size_t n = 0;
    if (!used)
        return pz_fail(p->log, PZ_ERR_NOMEM, "no memory for a network");
    for (int i = 0; i < p->n_entries; i++)
        if (p->entries[i]->tensor)
            used[n++] = p->entries[i]->tensor;
    qsort(used, n, sizeof *used, by_address);
    for (int i = 0; i < pz_checkpoint_count(c); i++) {
        const void *t = pz_checkpoint_at(c, i);
        if (bsearch(&t, used, n, sizeof *used, by_address) || may_be_left(p, pz_checkpoint_at(c, i)->name))
            continue;
        if ((*n_surplus)++ == 0)
            *first = pz_checkpoint_at(c, i)->name;
    }
    pz_free(used);
    return PZ_OK;
}

static enum pz_status check_file(struct pz_params *p)
{
    const char *file = p->options.file ? p->options.file : "weights", *extra = NULL;
    int wrong = p->n_missing + p->n_misshapen, surplus = 0;
    enum pz_status st = find_surplus(p, &surplus, &extra);
    if (st < PZ_OK)
        return st;
    if (wrong)
        return pz_fail(
            p->log, PZ_ERR_WEIGHTS, "'%s': %s; of %d tensors %d are missing, %d misshapen, %d surplus", file,
            p->first ? p->first : "no memory", p->n_entries, p->n_missing, p->n_misshapen, surplus);
    if (surplus)
        return pz_fail(p->log, PZ_ERR_WEIGHTS,
                       "'%s': tensor '%s' does not belong to this network (and %d more)", file, extra,
                       surplus - 1);
    return PZ_OK;
}

enum pz_status pz_params_finish(struct pz_params *p)
{
    enum pz_status st = pz_graph_status(p->g);
    if (p->depth)
        caller_error(p, PZ_ERR_INTERNAL, "a scope left open", p->path);
    if (p->st < PZ_OK)
        return p->st;
    if (p->n_entries)
        qsort(p->entries, (size_t)p->n_entries, sizeof(void *), by_name);
    for (int i = 0; i < p->n_entries; i++) {
        p->entries[i]->t = (uint32_t)i;
        if (i && strcmp(p->entries[i - 1]->name, p->entries[i]->name) == 0)
            return pz_fail(p->log, PZ_ERR_INTERNAL, "parameters of a network: '%s' was asked for twice",
                           p->entries[i]->name);
    }
    if (p->options.checkpoint && (p->n_missing || p->n_misshapen || st >= PZ_OK)) {
        enum pz_status file = check_file(p);
        if (file < PZ_OK)
            return file;
    }
    return st;
}

int pz_params_count(const struct pz_params *p)
{
    return p->n_entries;
}

struct pz_param_info pz_params_at(const struct pz_params *p, int i)
{
    const struct pz_param_entry *e = p->entries[i];
    struct pz_param_info info = {.name = e->name, .rank = e->rank, .table = e->table != NULL};
    memcpy(info.shape, e->shape, sizeof info.shape);
    return info;
}

int64_t pz_params_elements(const struct pz_params *p)
{
    int64_t n = 0;
    for (int i = 0; i < p->n_entries; i++)
        n += p->entries[i]->table ? 0 : (int64_t)pz_param_elements(p->entries[i]);
    return n;
}

void pz_params_rule(const struct pz_params *p, int i, size_t first, size_t n, float *out)
{
    pz_param_rule(p->entries[i], first, n, out);
}
