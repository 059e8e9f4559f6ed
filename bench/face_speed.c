/*
 * How many faces a second our own detector and landmarker look at, in batches: a crop a face for the one, a
 * letterbox a face for the other, from the host's memory and back to it. Values are by rule unless weights
 * are named; the time does not depend on them. Run by hand:
 *
 *   face_speed [--backend cuda|cpu] [--dtype f16|bf16|f32] [--batch N] [--runs N] [--threads N] [--models
 * DIR]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/order.h"
#include "base/pool.h"
#include "face/embedded_net.h"
#include "tensor/cuda/cuda.h"
#include "tensor/plan.h"

struct net {
    const char *name, *file;
    int side;
    struct pz_session *session;
    struct pz_plan *plan;
};

struct options {
    struct pz_plan_params plan;
    const char *models;
    int batch, runs;
};

static int build(struct pz_graph *g, struct pz_params *p, struct net *n, int batch)
{
    int x = pz_graph_input(g, "x", (struct pz_shape){.rank = 4, .dim = {batch, n->side, n->side, 3}}), map[2];
    if (n->side == PZ_EMBEDDED_CROP) {
        pz_graph_output(g, "y", pz_embedded_landmarks(p, x, NULL));
    } else {
        pz_embedded_detector(p, x, map);
        pz_graph_output(g, "h20", map[0]);
        pz_graph_output(g, "h10", map[1]);
    }
    return x;
}

static enum pz_status open_net(struct net *n, const struct options *o, struct pz_log *log)
{
    enum pz_status st = PZ_OK;
    struct pz_checkpoint *c = NULL;
    struct pz_params *p = NULL;
    struct pz_job job = {.log = log};
    char *path = o->models ? pz_asprintf("%s/%s", o->models, n->file) : NULL;
    struct pz_graph *g = pz_graph_create(log);
    if (path)
        PZ_TRY(pz_checkpoint_open(path, &job, &c));
    p = g ? pz_params_create(g, &(struct pz_params_options){.checkpoint = c, .file = n->file}, log) : NULL;
    if (!p) {
        st = PZ_ERR_NOMEM;
        goto fail;
    }
    build(g, p, n, o->batch);
    PZ_TRY(pz_params_finish(p));
    PZ_TRY(pz_plan_create(&g, &o->plan, log, &n->plan));
    PZ_TRY(pz_session_create(n->plan, log, &n->session));
    struct pz_view in = pz_session_input(n->session, NULL, 0);
    pz_rule_input(7, -1, 1, pz_shape_count(&in.shape), in.data);
fail:
    pz_params_destroy(&p);
    pz_graph_destroy(&g);
    pz_checkpoint_close(&c);
    pz_free(path);
    return st;
}

/* Median seconds of a run of some nets one after the other. */
static enum pz_status time_of(struct net *const *nets, int n, const struct options *o, struct pz_pool *pool,
                              double *median)
{
    enum pz_status st = PZ_OK;
    double *t = pz_calloc((size_t)o->runs, sizeof *t);
    if (!t)
        return PZ_ERR_NOMEM;
    for (int i = -3; i < o->runs && st >= PZ_OK; i++) {
        double t0 = pz_now();
        for (int k = 0; k < n && st >= PZ_OK; k++)
            st = pz_session_run(nets[k]->session, pool);
        if (i >= 0)
            t[i] = pz_now() - t0;
    }
    qsort(t, (size_t)o->runs, sizeof *t, pz_by_double);
    *median = t[o->runs / 2];
    pz_free(t);
    return st;
}

static void say(void *user, enum pz_log_level level, const char *text)
{
    fprintf(stderr, "face_speed: %s\n", text);
}

static bool read_options(int argc, char **argv, struct options *o)
{
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *v = argv[i + 1];
        if (!strcmp(argv[i], "--backend"))
            o->plan.backend = !strcmp(v, "cuda") ? PZ_BACKEND_CUDA : PZ_BACKEND_CPU;
        else if (!strcmp(argv[i], "--dtype"))
            o->plan.dtype = !strcmp(v, "f32")    ? PZ_DTYPE_F32
                            : !strcmp(v, "bf16") ? PZ_DTYPE_BF16
                                                 : PZ_DTYPE_F16;
        else if (!strcmp(argv[i], "--batch"))
            o->batch = atoi(v);
        else if (!strcmp(argv[i], "--runs"))
            o->runs = atoi(v);
        else if (!strcmp(argv[i], "--threads"))
            o->plan.threads = atoi(v);
        else if (!strcmp(argv[i], "--models"))
            o->models = v;
        else
            return false;
    }
    return argc % 2 == 1 && o->batch > 0 && o->runs > 0;
}

int main(int argc, char **argv)
{
    struct options o = {.plan = pz_plan_default, .batch = 64, .runs = 30};
    struct net nets[2] = {{"landmarks", "face_landmarks.safetensors", PZ_EMBEDDED_CROP, NULL, NULL},
                          {"detector", "face_detector.safetensors", PZ_EMBEDDED_LETTERBOX, NULL, NULL}};
    if (!read_options(argc, argv, &o)) {
        fprintf(stderr, "face_speed: see the head of bench/face_speed.c\n");
        return 1;
    }
    struct pz_log *log = pz_log_create(say, NULL, PZ_LOG_ERROR);
    struct pz_pool *pool = o.plan.backend == PZ_BACKEND_CPU ? pz_pool_create(o.plan.threads) : NULL;
    enum pz_status st = PZ_OK;
    for (int i = 0; i < 2 && st >= PZ_OK; i++)
        st = open_net(&nets[i], &o, log);
    struct net *both[2] = {&nets[0], &nets[1]};
    for (int i = 0; i < 3 && st >= PZ_OK; i++) {
        double s;
        st = time_of(i < 2 ? &both[i] : both, i < 2 ? 1 : 2, &o, pool, &s);
        float ms[9];
        if (i < 2 && o.plan.backend == PZ_BACKEND_CUDA && st >= PZ_OK)
            st = pz_cuda_session_time(nets[i].session, 9, ms);
        if (i < 2 && o.plan.backend == PZ_BACKEND_CUDA && st >= PZ_OK)
            printf("%-16s batch %3d  %8.3f ms on the device alone, without transfers\n", nets[i].name,
                   o.batch, (double)ms[8]);
        if (st >= PZ_OK)
            printf("%-16s batch %3d  %8.3f ms  %8.0f faces/s\n", i < 2 ? nets[i].name : "both", o.batch,
                   1e3 * s, (double)o.batch / s);
    }
    for (int i = 0; i < 2; i++) {
        pz_session_destroy(&nets[i].session);
        pz_plan_destroy(&nets[i].plan);
    }
    pz_pool_destroy(&pool);
    pz_log_destroy(&log);
    return st < PZ_OK ? 5 : 0;
}
