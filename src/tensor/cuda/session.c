/*
 * The device's side of plans and sessions: opening, weights, memory, capture, run. A session runs its steps
 * once plainly (lazily loaded code is loaded then, and errors appear where they arise) and once more while
 * the stream is being captured; every later run is one graph launch between the transfers.
 */
#include "tensor/cuda/cuda.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "tensor/cuda/belt.h"
#include "tensor/cuda/device.h"
#include "tensor/cuda/kernels.h"
#include "tensor/cuda/tune.h"
#include "tensor/plan_impl.h"

struct pz_cuda_session {
    cudaStream_t stream;
    cudaGraphExec_t run;
    cudaGraphExec_t
        watched;         /* the same with an event before each step and behind the last; NULL: never asked */
    cudaEvent_t *events; /* n_steps + 1 */
    char *host;          /* page-locked: inputs, then outputs */
    char *stage;         /* the same on the device, in the host's types */
    size_t *at;          /* per value, offset into both; SIZE_MAX = neither input nor output */
    size_t bytes;
    bool lost;
    struct pz_cuda_belt belt; /* of plans whose weights travel */
};

bool pz_cuda_check(struct pz_cuda *d, int err, const char *what)
{
    if (err == (int)cudaSuccess)
        return true;
    if (d->st >= PZ_OK)
        d->st = pz_fail(d->log, err == (int)cudaErrorMemoryAllocation ? PZ_ERR_NOMEM : PZ_ERR_DEVICE,
                        "CUDA: %s: %s", what, cudaGetErrorString((cudaError_t)err));
    return false;
}

bool pz_cuda_check_cudnn(struct pz_cuda *d, cudnnStatus_t e, const char *what)
{
    if (e == CUDNN_STATUS_SUCCESS)
        return true;
    if (d->st >= PZ_OK) {
        char text[256] = "";
        cudnnGetLastErrorString(text, sizeof text);
        d->st = pz_fail(d->log, PZ_ERR_DEVICE, "cuDNN: %s: %s %s", what, cudnnGetErrorString(e), text);
    }
    return false;
}

bool pz_cuda_check_lt(struct pz_cuda *d, cublasStatus_t e, const char *what)
{
    if (e == CUBLAS_STATUS_SUCCESS)
        return true;
    if (d->st >= PZ_OK)
        d->st = pz_fail(d->log, PZ_ERR_DEVICE, "cuBLASLt: %s: %s", what, cublasLtGetStatusString(e));
    return false;
}

bool pz_cuda_present(void)
{
    int n = 0;
    bool ok = cudaGetDeviceCount(&n) == cudaSuccess && n > 0;
    (void)cudaGetLastError();
    return ok;
}

void pz_cuda_describe(char *out, size_t bytes)
{
    struct cudaDeviceProp p;
    cudaError_t e = cudaGetDeviceProperties(&p, 0);
    if (e == cudaSuccess)
        snprintf(out, bytes, "%s, %d multiprocessors, CUDA %d, cuDNN %zu, cuBLASLt %zu", p.name,
                 p.multiProcessorCount, CUDART_VERSION, cudnnGetVersion(), cublasLtGetVersion());
    else
        snprintf(out, bytes, "no CUDA device: %s", cudaGetErrorString(e));
}

bool pz_cuda_memory(size_t *free_bytes, size_t *all_bytes)
{
    *free_bytes = *all_bytes = 0;
    return cudaMemGetInfo(free_bytes, all_bytes) == cudaSuccess;
}

enum pz_status pz_cuda_plan_open(struct pz_plan *p, struct pz_log *log)
{
    struct pz_cuda *d = pz_calloc(1, sizeof *d);
    if (!d)
        return pz_fail(log, PZ_ERR_NOMEM, "no memory for a device");
    d->log = log;
    d->tunes = p->params.tune;
    pthread_mutex_init(&d->lock, NULL);
    p->device = d;
    if (pz_cuda_check(d, cudaSetDevice(0), "opening the device") &&
        pz_cuda_check(d, cudaStreamCreateWithFlags(&d->stream, cudaStreamNonBlocking), "making a stream") &&
        pz_cuda_check(d, cudaEventCreate(&d->from), "making an event") &&
        pz_cuda_check(d, cudaEventCreate(&d->to), "making an event") &&
        pz_cuda_check_cudnn(d, cudnnCreate(&d->cudnn), "opening") &&
        pz_cuda_check_lt(d, cublasLtCreate(&d->lt), "opening")) {
        char device[512];
        pz_cuda_describe(device, sizeof device);
        d->tune = pz_tune_open(log, p->params.cache, device);
        if (!d->tune)
            d->st = pz_fail(log, PZ_ERR_NOMEM, "no memory for a device");
    }
    return d->st;
}

void pz_cuda_plan_close(struct pz_plan *p)
{
    struct pz_cuda *d = p->device;
    if (!d)
        return;
    pz_cuda_convs_free(d);
    pz_tune_close(d->tune);
    if (d->ground)
        cudaFree(d->ground);
    if (d->from)
        cudaEventDestroy(d->from);
    if (d->to)
        cudaEventDestroy(d->to);
    if (p->weights)
        cudaFree(p->weights);
    if (p->away)
        cudaFreeHost(p->away);
    if (d->lt)
        cublasLtDestroy(d->lt);
    if (d->cudnn)
        cudnnDestroy(d->cudnn);
    if (d->stream)
        cudaStreamDestroy(d->stream);
    pthread_mutex_destroy(&d->lock);
    pz_free(d);
    pz_free(p->weight_at);
    pz_free(p->hauls);
    pz_free(p->hauled);
    p->away = NULL;
    p->hauls = NULL;
    p->hauled = NULL;
    p->device = NULL;
    p->weights = NULL;
    p->weight_at = NULL;
}

static size_t round_up(size_t n)
{
    return (n + 255) & ~(size_t)255;
}

char *pz_cuda_ground(struct pz_cuda *d, size_t bytes)
{
    if (bytes > d->ground_bytes) {
        if (d->ground)
            cudaFree(d->ground);
        d->ground_bytes = 0;
        if (cudaMalloc((void **)&d->ground, bytes) != cudaSuccess) {
            d->ground = NULL;
            (void)cudaGetLastError();
            return NULL;
        }
        if (cudaMemsetAsync(d->ground, 0x2c, bytes, d->stream) != cudaSuccess) /* 0.0654 in F16 */
            return NULL;
        d->ground_bytes = bytes;
    }
    return d->ground;
}

float pz_cuda_time(struct pz_cuda *d, bool (*run)(void *user), void *user)
{
    float best = -1;
    int times = 1; /* runs between two looks at the clock: short ones drown in the launch otherwise */
    for (int i = 0; i < 4; i++) {
        float ms = 0;
        bool ok = !cudaEventRecord(d->from, d->stream);
        for (int k = 0; k < times && ok; k++)
            ok = run(user);
        if (!ok || cudaEventRecord(d->to, d->stream) || cudaEventSynchronize(d->to) ||
            cudaEventElapsedTime(&ms, d->from, d->to)) {
            (void)cudaGetLastError();
            return -1;
        }
        ms /= (float)times;
        if (i > 0 && (best < 0 || ms < best))
            best = ms;
        if (i == 0)
            times = ms < 0.02f ? 10 : ms < 0.2f ? 4 : 1;
    }
    return best;
}

/* --- sessions --- */

void *pz_cuda_session_host(const struct pz_session *s, int value)
{
    return s->cuda->at[value] == SIZE_MAX ? NULL : s->cuda->host + s->cuda->at[value];
}

/* A reshape whose result lies where its source does. */
static bool idle(const struct pz_session *s, int t)
{
    const struct pz_plan *p = s->plan;
    return p->nodes[p->steps[t].node].op == PZ_OP_RESHAPE && s->args[t].out.data == s->args[t].in[0].data;
}

/* `events`: one is recorded before each step and behind the last; or NULL. */
static void enqueue_steps(struct pz_session *s, const cudaEvent_t *events)
{
    const struct pz_plan *p = s->plan;
    struct pz_cuda *d = p->device;
    pz_cuda_belt_start(p, &s->cuda->belt);
    for (int t = 0; t <= p->n_steps && d->st >= PZ_OK; t++) {
        pz_cuda_belt_bring(p, &s->cuda->belt, t);
        if (events)
            pz_cuda_check(d, cudaEventRecordWithFlags(events[t], d->stream, cudaEventRecordExternal),
                          "watching a network");
        if (t < p->n_steps && d->st >= PZ_OK && !idle(s, t))
            p->steps[t].kernel->run(&s->args[t]);
        pz_cuda_belt_free(p, &s->cuda->belt, t);
    }
}

static bool capture(struct pz_session *s, const cudaEvent_t *events, cudaGraphExec_t *run)
{
    struct pz_cuda *d = s->plan->device;
    struct pz_cuda_session *c = s->cuda;
    cudaGraph_t g = NULL;
    if (!pz_cuda_check(d, cudaStreamBeginCapture(c->stream, cudaStreamCaptureModeThreadLocal),
                       "starting a capture"))
        return false;
    enqueue_steps(s, events);
    cudaError_t e = cudaStreamEndCapture(c->stream, &g);
    if (pz_cuda_check(d, e, "capturing a network"))
        pz_cuda_check(d, cudaGraphInstantiate(run, g, 0), "making a graph of a network");
    if (g)
        cudaGraphDestroy(g);
    return d->st >= PZ_OK;
}

static bool allocate(struct pz_session *s)
{
    const struct pz_graph *g = s->plan->g;
    struct pz_cuda_session *c = s->cuda;
    struct pz_cuda *d = s->plan->device;
    for (int v = 0; v < g->n_values; v++)
        c->at[v] = SIZE_MAX;
    for (int i = 0; i < g->n_inputs + g->n_outputs; i++) {
        int v = i < g->n_inputs ? g->inputs[i].value : g->outputs[i - g->n_inputs].value;
        if (c->at[v] != SIZE_MAX)
            continue;
        c->at[v] = c->bytes;
        c->bytes += round_up(pz_shape_count(&g->values[v].shape) * pz_dtype_size(g->values[v].dtype));
    }
    size_t arena = round_up(s->plan->arena_bytes) + 256;
    return pz_cuda_check(d, cudaMalloc((void **)&s->arena, arena), "memory for a network") &&
           pz_cuda_check(d, cudaMemset(s->arena, 0, arena), "clearing memory") &&
           pz_cuda_check(d, cudaMalloc((void **)&c->stage, c->bytes + 256),
                         "memory for inputs and outputs") &&
           pz_cuda_check(d, cudaMallocHost((void **)&c->host, c->bytes + 256), "page-locked memory") &&
           pz_cuda_check(d, cudaStreamCreateWithFlags(&c->stream, cudaStreamNonBlocking), "making a stream");
}

enum pz_status pz_cuda_session_open(struct pz_session *s, struct pz_log *log)
{
    struct pz_cuda *d = s->plan->device;
    enum pz_status st = PZ_ERR_NOMEM;
    s->cuda = pz_calloc(1, sizeof *s->cuda);
    if (s->cuda)
        s->cuda->at = pz_calloc((size_t)s->plan->g->n_values + 1, sizeof *s->cuda->at);
    if (!s->cuda || !s->cuda->at)
        return pz_fail(log, st, "no memory to run a graph");
    pthread_mutex_lock(&d->lock);
    cudaStream_t before = d->stream;
    struct pz_log *old = d->log;
    d->log = log;
    if (pz_cuda_check(d, cudaSetDevice(d->ordinal), "opening the device") && allocate(s) &&
        pz_cuda_belt_open(s->plan, &s->cuda->belt)) {
        s->belt = s->cuda->belt.memory;
        memset(s->cuda->host, 0, s->cuda->bytes);
        pz_session_bind(s);
        d->stream = s->cuda->stream;
        enqueue_steps(s, NULL);
        pz_cuda_check(d, cudaStreamSynchronize(d->stream), "a first run");
        if (d->st >= PZ_OK)
            capture(s, NULL, &s->cuda->run);
    }
    d->stream = before;
    d->log = old;
    st = d->st;
    pthread_mutex_unlock(&d->lock);
    return st;
}

enum pz_status pz_cuda_session_watch(struct pz_session *s)
{
    struct pz_cuda *d = s->plan->device;
    struct pz_cuda_session *c = s->cuda;
    enum pz_status st;
    int n = s->plan->n_steps + 1;
    if (c->watched)
        return PZ_OK;
    if (!c->events)
        c->events = pz_calloc((size_t)n, sizeof *c->events);
    if (!c->events)
        return pz_fail(s->log, PZ_ERR_NOMEM, "no memory for a profile");
    pthread_mutex_lock(&d->lock);
    cudaStream_t before = d->stream;
    struct pz_log *old = d->log;
    d->log = s->log;
    d->stream = c->stream;
    bool ok = pz_cuda_check(d, cudaSetDevice(d->ordinal), "opening the device");
    for (int i = 0; i < n && ok; i++)
        ok = c->events[i] || pz_cuda_check(d, cudaEventCreate(&c->events[i]), "making an event");
    if (ok)
        capture(s, c->events, &c->watched);
    d->stream = before;
    d->log = old;
    st = d->st;
    pthread_mutex_unlock(&d->lock);
    return st;
}

/* Hand the times of a watched run, begun at `start`, to the profile. */
static cudaError_t collect(struct pz_session *s, double start)
{
    const struct pz_cuda_session *c = s->cuda;
    cudaError_t e = cudaSuccess;
    float from = 0, to = 0;
    for (int t = 0; t < s->plan->n_steps && !e; t++, from = to) {
        e = cudaEventElapsedTime(&to, c->events[0], c->events[t + 1]);
        if (!e && !idle(s, t))
            pz_profile_add(s->profile, t, start + 1e-3 * (double)from, start + 1e-3 * (double)to);
    }
    return e;
}

void pz_cuda_session_close(struct pz_session *s)
{
    struct pz_cuda_session *c = s->cuda;
    if (!c)
        return;
    if (c->watched)
        cudaGraphExecDestroy(c->watched);
    for (int i = 0; c->events && i <= s->plan->n_steps; i++)
        if (c->events[i])
            cudaEventDestroy(c->events[i]);
    pz_free(c->events);
    if (c->run)
        cudaGraphExecDestroy(c->run);
    if (c->stream)
        cudaStreamDestroy(c->stream);
    pz_cuda_belt_close(&c->belt);
    s->belt = NULL;
    if (c->host)
        cudaFreeHost(c->host);
    if (c->stage)
        cudaFree(c->stage);
    if (s->arena)
        cudaFree(s->arena);
    s->arena = NULL;
    pz_free(c->at);
    pz_free(c);
    s->cuda = NULL;
}

static int type_of(enum pz_dtype t)
{
    return t == PZ_DTYPE_F16 ? PZ_CK_F16 : t == PZ_DTYPE_BF16 ? PZ_CK_BF16 : PZ_CK_F32;
}

/* Between the host's type at `stage` and the plan's at the value's place: elements [first, first + n). */
static cudaError_t bring(struct pz_session *s, int value, bool in, size_t first, size_t n)
{
    struct pz_cuda_session *c = s->cuda;
    const struct pz_graph_value *v = &s->plan->g->values[value];
    size_t bytes = n * pz_dtype_size(v->dtype), at = c->at[value] + first * pz_dtype_size(v->dtype);
    enum pz_dtype t = pz_plan_dtype(s->plan, v->dtype);
    void *place = (uint8_t *)pz_session_place(s, value) + first * pz_dtype_size(t);
    bool same = t == v->dtype;
    if (in) {
        cudaError_t e = cudaMemcpyAsync(same ? place : c->stage + at, c->host + at, bytes,
                                        cudaMemcpyHostToDevice, c->stream);
        return e || same ? e
                         : (cudaError_t)pz_ck_convert(c->stage + at, PZ_CK_F32, place, type_of(t),
                                                      (long long)n, c->stream);
    }
    cudaError_t e = same ? cudaSuccess
                         : (cudaError_t)pz_ck_convert(place, type_of(t), c->stage + at, PZ_CK_F32,
                                                      (long long)n, c->stream);
    return e ? e
             : cudaMemcpyAsync(c->host + at, same ? place : c->stage + at, bytes, cudaMemcpyDeviceToHost,
                               c->stream);
}

/* From another session's output, which is done: its run ends with its stream. */
static cudaError_t hand_over(struct pz_session *s, const struct pz_joint *j)
{
    int to = s->plan->g->inputs[j->input].value, from = j->from->plan->g->outputs[j->output].value;
    const struct pz_graph_value *v = &s->plan->g->values[to];
    size_t bytes = pz_shape_count(&v->shape) * pz_dtype_size(pz_plan_dtype(s->plan, v->dtype));
    return cudaMemcpyAsync(pz_session_place(s, to), pz_session_place(j->from, from), bytes,
                           cudaMemcpyDeviceToDevice, s->cuda->stream);
}

enum pz_status pz_cuda_session_run(struct pz_session *s)
{
    const struct pz_graph *g = s->plan->g;
    struct pz_cuda_session *c = s->cuda;
    bool watched = s->profile && c->watched;
    double start = watched ? pz_now() : 0;
    cudaError_t e = c->lost ? cudaErrorDevicesUnavailable : cudaSetDevice(s->plan->device->ordinal);
    for (int i = 0; i < g->n_inputs && !e; i++) {
        const struct pz_joint *j = pz_session_joint(s, i);
        size_t first, n;
        if (j)
            e = hand_over(s, j);
        else if (pz_session_changed(s, i, &first, &n))
            e = bring(s, g->inputs[i].value, true, first, n);
    }
    e = e ? e : cudaGraphLaunch(watched ? c->watched : c->run, c->stream);
    for (int i = 0; i < g->n_outputs && !e; i++)
        e = pz_session_stays(s, i) ? e
                                   : bring(s, g->outputs[i].value, false, 0,
                                           pz_shape_count(&g->values[g->outputs[i].value].shape));
    e = e ? e : cudaStreamSynchronize(c->stream);
    e = e || !watched ? e : collect(s, start);
    if (e == cudaSuccess)
        return PZ_OK;
    if (!c->lost)
        pz_log_write(s->log, PZ_LOG_ERROR, "CUDA: the device failed during a run: %s", cudaGetErrorString(e));
    c->lost = true;
    return PZ_ERR_DEVICE;
}

static enum pz_status timed(struct pz_session *s, cudaEvent_t from, cudaEvent_t to, int n, float *ms)
{
    struct pz_cuda_session *c = s->cuda;
    cudaError_t e = cudaSuccess;
    for (int i = 0; i < n && !e; i++) {
        e = cudaEventRecord(from, c->stream);
        e = e ? e : cudaGraphLaunch(c->run, c->stream);
        e = e ? e : cudaEventRecord(to, c->stream);
        e = e ? e : cudaEventSynchronize(to);
        e = e ? e : cudaEventElapsedTime(&ms[i], from, to);
    }
    return e ? pz_fail(s->log, PZ_ERR_DEVICE, "CUDA: timing: %s", cudaGetErrorString(e)) : PZ_OK;
}

enum pz_status pz_cuda_session_time(struct pz_session *s, int n, float *ms)
{
    cudaEvent_t from = NULL, to = NULL;
    enum pz_status st = PZ_ERR_DEVICE;
    if (s->cuda && cudaEventCreate(&from) == cudaSuccess && cudaEventCreate(&to) == cudaSuccess)
        st = timed(s, from, to, n, ms);
    if (from)
        cudaEventDestroy(from);
    if (to)
        cudaEventDestroy(to);
    return st;
}
