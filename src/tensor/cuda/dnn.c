/*
 * cuDNN's graph API (cudnnBackend*): descriptors, the engines its heuristics offer, and which of them is the
 * quickest on this device. An engine is named among the choices by its place in the heuristics' list, which
 * is the same for the same device, library and graph.
 */
#include "tensor/cuda/dnn.h"

#include <string.h>

#include "base/clock.h"
#include "tensor/cuda/tune.h"

#define WORKSPACE_MAX ((int64_t)512 << 20)
#define CONFIGS 16 /* engine configurations asked for */
#define NONE 9999  /* the choice when no engine runs */
#define MODES 2

cudnnBackendDescriptor_t pz_dnn_make(struct pz_dnn *m, cudnnBackendDescriptorType_t type)
{
    cudnnBackendDescriptor_t d = NULL;
    if (!m->e && m->n == (int)(sizeof m->d / sizeof *m->d))
        m->e = CUDNN_STATUS_INTERNAL_ERROR;
    if (!m->e)
        m->e = cudnnBackendCreateDescriptor(type, &d);
    if (!m->e)
        m->d[m->n++] = d;
    return d;
}

void pz_dnn_set(struct pz_dnn *m, cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name,
                cudnnBackendAttributeType_t type, int64_t n, const void *v)
{
    if (!m->e)
        m->e = cudnnBackendSetAttribute(d, name, type, n, v);
}

void pz_dnn_link(struct pz_dnn *m, cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name,
                 cudnnBackendDescriptor_t v)
{
    pz_dnn_set(m, d, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &v);
}

void pz_dnn_finish(struct pz_dnn *m, cudnnBackendDescriptor_t d)
{
    if (!m->e)
        m->e = cudnnBackendFinalize(d);
}

void pz_dnn_drop(struct pz_dnn *m)
{
    while (m->n > 0)
        cudnnBackendDestroyDescriptor(m->d[--m->n]);
}

static cudnnDataType_t type_of(enum pz_dtype t)
{
    return t == PZ_DTYPE_F16 ? CUDNN_DATA_HALF : t == PZ_DTYPE_BF16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT;
}

cudnnBackendDescriptor_t pz_dnn_tensor(struct pz_dnn *m, int64_t uid, int rank, const int64_t *dim,
                                       const int64_t *step, enum pz_dtype type, bool is_virtual)
{
    cudnnBackendDescriptor_t t = pz_dnn_make(m, CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    int64_t align = 16;
    cudnnDataType_t kind = is_virtual ? CUDNN_DATA_FLOAT : type_of(type);
    pz_dnn_set(m, t, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &kind);
    pz_dnn_set(m, t, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, rank, dim);
    pz_dnn_set(m, t, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, rank, step);
    pz_dnn_set(m, t, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &uid);
    pz_dnn_set(m, t, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &align);
    if (is_virtual)
        pz_dnn_set(m, t, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, &is_virtual);
    pz_dnn_finish(m, t);
    return t;
}

cudnnBackendDescriptor_t pz_dnn_graph(struct pz_dnn *m, struct pz_cuda *d, int n,
                                      const cudnnBackendDescriptor_t *ops)
{
    cudnnBackendDescriptor_t g = pz_dnn_make(m, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
    pz_dnn_set(m, g, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, n, ops);
    pz_dnn_set(m, g, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &d->cudnn);
    pz_dnn_finish(m, g);
    return g;
}

void pz_dnn_add(struct pz_dnn_data *t, int64_t uid, const void *at, size_t bytes)
{
    t->uid[t->n] = uid;
    t->at[t->n] = (void *)(uintptr_t)at;
    t->bytes[t->n++] = bytes;
}

/* Whether an engine keeps to F32 sums (and, for F32, away from TF32). */
static bool precise(cudnnBackendDescriptor_t config, enum pz_dtype type)
{
    cudnnBackendDescriptor_t engine = NULL;
    cudnnBackendNumericalNote_t notes[CUDNN_NUMERICAL_NOTE_TYPE_COUNT];
    int64_t n = 0;
    bool ok = true;
    if (cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINE_DESCRIPTOR, &engine))
        return false;
    cudnnStatus_t e = cudnnBackendGetAttribute(config, CUDNN_ATTR_ENGINECFG_ENGINE,
                                               CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &n, &engine);
    if (!e)
        e = cudnnBackendGetAttribute(engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE,
                                     CUDNN_NUMERICAL_NOTE_TYPE_COUNT, &n, notes);
    for (int64_t i = 0; !e && i < n; i++)
        if (notes[i] == CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION ||
            notes[i] == CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS ||
            notes[i] == CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC ||
            (notes[i] >= CUDNN_NUMERICAL_NOTE_WINOGRAD &&
             notes[i] <= CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_13x13) ||
            notes[i] == CUDNN_NUMERICAL_NOTE_FFT ||
            (type == PZ_DTYPE_F32 && notes[i] == CUDNN_NUMERICAL_NOTE_TENSOR_CORE))
            ok = false;
    cudnnBackendDestroyDescriptor(engine);
    return ok && !e;
}

/* Whether an engine is compiled when it is made ready: most of a second, sometimes several. */
static bool compiled_now(cudnnBackendDescriptor_t config)
{
    cudnnBackendDescriptor_t engine = NULL;
    cudnnBackendBehaviorNote_t notes[CUDNN_BEHAVIOR_NOTE_TYPE_COUNT];
    int64_t n = 0;
    bool yes = false;
    if (cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINE_DESCRIPTOR, &engine))
        return false;
    cudnnStatus_t e = cudnnBackendGetAttribute(config, CUDNN_ATTR_ENGINECFG_ENGINE,
                                               CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &n, &engine);
    if (!e)
        e = cudnnBackendGetAttribute(engine, CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE, CUDNN_TYPE_BEHAVIOR_NOTE,
                                     CUDNN_BEHAVIOR_NOTE_TYPE_COUNT, &n, notes);
    for (int64_t i = 0; !e && i < n; i++)
        yes = yes || notes[i] == CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION;
    cudnnBackendDestroyDescriptor(engine);
    return yes;
}

cudnnStatus_t pz_dnn_execute(struct pz_cuda *d, const struct pz_dnn_plan *p, const struct pz_dnn_data *data,
                             void *workspace)
{
    struct pz_dnn m = {0};
    cudnnBackendDescriptor_t v = pz_dnn_make(&m, CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
    pz_dnn_set(&m, v, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, data->n, data->uid);
    pz_dnn_set(&m, v, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, data->n, data->at);
    pz_dnn_set(&m, v, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &workspace);
    pz_dnn_finish(&m, v);
    if (!m.e)
        m.e = cudnnSetStream(d->cudnn, d->stream);
    if (!m.e)
        m.e = cudnnBackendExecute(d->cudnn, p->plan, v);
    pz_dnn_drop(&m);
    return m.e;
}

void pz_dnn_free(struct pz_dnn_plan *p)
{
    if (p->plan)
        cudnnBackendDestroyDescriptor(p->plan);
    p->plan = NULL;
}

/* One configuration made ready; plan NULL when it does not build or wants too much memory. */
static struct pz_dnn_plan finalise(struct pz_cuda *d, cudnnBackendDescriptor_t config)
{
    struct pz_dnn m = {0};
    struct pz_dnn_plan r = {0};
    int64_t got = 0;
    cudnnBackendDescriptor_t p = pz_dnn_make(&m, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
    pz_dnn_set(&m, p, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1, &d->cudnn);
    pz_dnn_link(&m, p, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, config);
    pz_dnn_finish(&m, p);
    if (!m.e)
        m.e = cudnnBackendGetAttribute(p, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1, &got,
                                       &r.workspace);
    if (!m.e && r.workspace <= WORKSPACE_MAX)
        r.plan = p;
    else
        pz_dnn_drop(&m);
    return r;
}

/* The heuristics' list in one mode; returns how many, descriptors belong to `m`. */
static int list(struct pz_dnn *m, cudnnBackendDescriptor_t graph, int mode, cudnnBackendDescriptor_t *configs)
{
    static const cudnnBackendHeurMode_t modes[MODES] = {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_FALLBACK};
    int64_t got = 0;
    cudnnBackendDescriptor_t h = pz_dnn_make(m, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
    pz_dnn_link(m, h, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph);
    pz_dnn_set(m, h, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &modes[mode]);
    pz_dnn_finish(m, h);
    for (int i = 0; i < CONFIGS; i++)
        configs[i] = pz_dnn_make(m, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
    if (!m->e)
        m->e = cudnnBackendGetAttribute(h, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR,
                                        CONFIGS, &got, configs);
    return m->e ? 0 : (int)got;
}

struct trial {
    struct pz_cuda *d;
    const struct pz_dnn_plan *plan;
    struct pz_dnn_data data;
    void *workspace;
};

static bool run_trial(void *user)
{
    struct trial *t = user;
    return !pz_dnn_execute(t->d, t->plan, &t->data, t->workspace);
}

/* Milliseconds, negative when it does not run. */
static float time_plan(struct pz_cuda *d, const struct pz_dnn_plan *p, const struct pz_dnn_data *data)
{
    struct trial t = {d, p, *data, NULL};
    size_t bytes = 0;
    for (int i = 0; i < data->n; i++)
        bytes += (data->bytes[i] + 255) & ~(size_t)255;
    char *room = pz_cuda_ground(d, bytes + (size_t)p->workspace);
    if (!room)
        return -1;
    for (int i = 0; i < data->n; i++)
        if (data->bytes[i]) {
            t.data.at[i] = room;
            room += (data->bytes[i] + 255) & ~(size_t)255;
        }
    t.workspace = room;
    return pz_cuda_time(d, run_trial, &t);
}

/* The engine chosen an earlier time; false when it is not to be had any more. */
static bool again(struct pz_cuda *d, cudnnBackendDescriptor_t graph, enum pz_dtype type, int choice,
                  struct pz_dnn_plan *out)
{
    struct pz_dnn m = {0};
    cudnnBackendDescriptor_t configs[CONFIGS];
    if (choice / CONFIGS < MODES) {
        int n = list(&m, graph, choice / CONFIGS, configs), i = choice % CONFIGS;
        if (i < n && precise(configs[i], type))
            *out = finalise(d, configs[i]);
        pz_dnn_drop(&m);
    }
    return out->plan != NULL;
}

struct search {
    struct pz_cuda *d;
    cudnnBackendDescriptor_t graph;
    const char *key;
    enum pz_dtype type;
    int tries, tried, best;
    bool at_once; /* pass over engines that would be compiled now */
    const struct pz_dnn_data *data;
    struct pz_dnn_plan *out;
};

/* Try the engines of one list. */
static void search(struct search *s, int mode)
{
    struct pz_dnn m = {0};
    cudnnBackendDescriptor_t configs[CONFIGS];
    int n = list(&m, s->graph, mode, configs);
    for (int i = 0; i < n && s->tried < s->tries; i++) {
        if (!precise(configs[i], s->type) || (s->at_once && compiled_now(configs[i])))
            continue;
        double from = pz_now();
        struct pz_dnn_plan p = finalise(s->d, configs[i]);
        double built = pz_now() - from;
        if (!p.plan)
            continue;
        s->tried++;
        p.ms = s->tries > 1 ? time_plan(s->d, &p, s->data) : 0;
        pz_debug(s->d->log, "%s: engine %d built in %.1f ms, runs in %.4f ms", s->key, mode * CONFIGS + i,
                 built * 1e3, (double)p.ms);
        if (p.ms >= 0 && (s->best == NONE || p.ms < s->out->ms)) {
            pz_dnn_free(s->out);
            *s->out = p;
            s->best = mode * CONFIGS + i;
        } else {
            pz_dnn_free(&p);
        }
    }
    pz_dnn_drop(&m);
}

void pz_dnn_pick(struct pz_cuda *d, cudnnBackendDescriptor_t graph, const char *key, enum pz_dtype type,
                 int tries, const struct pz_dnn_data *data, struct pz_dnn_plan *out)
{
    int choice = pz_tune_get(d->tune, key);
    struct search s = {.d = d,
                       .graph = graph,
                       .key = key,
                       .type = type,
                       .tries = d->tunes ? tries : 1,
                       .best = NONE,
                       .data = data,
                       .out = out};
    *out = (struct pz_dnn_plan){0};
    if (choice == NONE || (choice >= 0 && again(d, graph, type, choice, out)))
        return;
    s.at_once = !d->tunes;
    for (int round = d->tunes; round < 2 && s.best == NONE; round++, s.at_once = false)
        for (int mode = 0; mode < MODES && s.best == NONE; mode++)
            search(&s, mode);
    if (d->tunes || s.best == NONE)
        pz_tune_put(d->tune, key, s.best);
}
