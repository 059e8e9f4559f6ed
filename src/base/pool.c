/* Fixed thread pool with one run at a time; tasks are taken from an atomic counter. No work stealing, no
 * futures. */
#include "base/pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/mem.h"

struct worker_arg {
    struct pz_pool *pool;
    int worker;
};

struct pz_pool {
    int n_threads;
    pthread_t *threads;
    struct worker_arg *args;
    int n_started;
    pthread_mutex_t run_lock; /* one run at a time */
    pthread_mutex_t lock;
    pthread_cond_t wake, idle;
    unsigned long generation;
    int n_busy;
    bool stop;
    pz_task_fn fn;
    void *user;
    int n;
    atomic_int next;
};

/* Set while this thread runs a task, so that a nested run stays on it under the same worker number. */
static _Thread_local bool in_task;
static _Thread_local int my_worker;

static void drain(struct pz_pool *p, int worker)
{
    in_task = true;
    my_worker = worker;
    for (;;) {
        int i = atomic_fetch_add(&p->next, 1);
        if (i >= p->n)
            break;
        p->fn(p->user, i, worker);
    }
    in_task = false;
    my_worker = 0;
}

static void *worker_main(void *v)
{
    struct worker_arg *a = v;
    struct pz_pool *p = a->pool;
    unsigned long seen = 0;
    pthread_mutex_lock(&p->lock);
    for (;;) {
        while (!p->stop && p->generation == seen)
            pthread_cond_wait(&p->wake, &p->lock);
        if (p->stop)
            break;
        seen = p->generation;
        pthread_mutex_unlock(&p->lock);
        drain(p, a->worker);
        pthread_mutex_lock(&p->lock);
        if (--p->n_busy == 0)
            pthread_cond_signal(&p->idle);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

static int cpus_allowed(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 1;
    int n = CPU_COUNT(&set);
    return n < 1 ? 1 : n;
}

struct pz_pool *pz_pool_create(int n_threads)
{
    if (n_threads <= 0)
        n_threads = cpus_allowed();
    if (n_threads > 256)
        n_threads = 256;
    struct pz_pool *p = pz_calloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->n_threads = n_threads;
    pthread_mutex_init(&p->run_lock, NULL);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->wake, NULL);
    pthread_cond_init(&p->idle, NULL);
    p->threads = pz_calloc((size_t)n_threads, sizeof *p->threads);
    p->args = pz_calloc((size_t)n_threads, sizeof *p->args);
    if (!p->threads || !p->args) {
        pz_pool_destroy(&p);
        return NULL;
    }
    for (int i = 1; i < n_threads; i++) {
        p->args[i] = (struct worker_arg){p, i};
        if (pthread_create(&p->threads[i], NULL, worker_main, &p->args[i]) != 0)
            break;
        p->n_started++;
    }
    return p;
}

void pz_pool_destroy(struct pz_pool **pool)
{
    if (!pool || !*pool)
        return;
    struct pz_pool *p = *pool;
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
    for (int i = 1; i <= p->n_started; i++)
        pthread_join(p->threads[i], NULL);
    pthread_mutex_destroy(&p->run_lock);
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->wake);
    pthread_cond_destroy(&p->idle);
    pz_free(p->threads);
    pz_free(p->args);
    pz_free(p);
    *pool = NULL;
}

int pz_pool_threads(const struct pz_pool *pool)
{
    return pool ? pool->n_threads : 1;
}

void pz_pool_run(struct pz_pool *p, pz_task_fn fn, void *user, int n)
{
    if (n <= 0)
        return;
    if (!p || p->n_started == 0 || n == 1 || in_task) {
        for (int i = 0; i < n; i++)
            fn(user, i, my_worker);
        return;
    }
    pthread_mutex_lock(&p->run_lock);
    pthread_mutex_lock(&p->lock);
    p->fn = fn;
    p->user = user;
    p->n = n;
    atomic_store(&p->next, 0);
    p->n_busy = p->n_started;
    p->generation++;
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
    drain(p, 0);
    pthread_mutex_lock(&p->lock);
    while (p->n_busy > 0)
        pthread_cond_wait(&p->idle, &p->lock);
    pthread_mutex_unlock(&p->lock);
    pthread_mutex_unlock(&p->run_lock);
}
