/**
 * Thread pool: a fixed set of workers that run indexed tasks.
 *
 * Determinism: which thread runs a task is not fixed, so a task must write only to what its index owns.
 */
#ifndef PZ_BASE_POOL_H
#define PZ_BASE_POOL_H

struct pz_pool;

/** One task: `index` in [0, n). `worker` in [0, pz_pool_threads()) names the thread, for private scratch
 * memory. */
typedef void (*pz_task_fn)(void *user, int index, int worker);

/** Create `n_threads` ≥ 1 threads in all (the caller of pz_pool_run() is one of them); 0 = number of CPUs
 * this process may use. NULL on failure. */
struct pz_pool *pz_pool_create(int n_threads);

/** Stop and free. NULL is allowed; `*pool` becomes NULL. Not while a run is in flight. */
void pz_pool_destroy(struct pz_pool **pool);

/** Threads in the pool, 1 for NULL. */
int pz_pool_threads(const struct pz_pool *pool);

/** Run `n` tasks and return when all are done. Nested calls from inside a task run on the calling
 *  thread alone, under its worker number.
 *  Two threads calling at once take turns. `pool` may be NULL (serial). */
void pz_pool_run(struct pz_pool *pool, pz_task_fn fn, void *user, int n);

#endif
