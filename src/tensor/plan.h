/**
 * Plans and sessions: running a graph.
 *
 * A plan is made once: constants are folded, convolutions take up what follows them (cpu), weights are packed
 * for this processor, and every value gets its place in one block of memory, places being shared by values
 * that never live at the same time. It is immutable and may be shared by threads; it keeps what it needs, so
 * the graph may be destroyed. A session is one such block plus what kernels need of their own: one per
 * thread, created before the first frame; running allocates nothing.
 */
#ifndef PZ_TENSOR_PLAN_H
#define PZ_TENSOR_PLAN_H

#include "base/job.h"
#include "tensor/graph.h"

enum pz_backend { PZ_BACKEND_REF = 0, PZ_BACKEND_CPU = 1, PZ_BACKEND_CUDA = 2 };

struct pz_plan_params {
    enum pz_backend backend;
    int rung;    /**< best instruction set, tensor/cpu/cpu.h; 0 = plain C */
    int threads; /**< threads of oneDNN's large convolutions (its primitives are made for a fixed number); ≥ 1
                  */
    enum pz_dtype dtype; /**< what F32 values are held in: F32 (on the device without TF32), F16 or BF16;
                            weights are rounded to it, sums are F32, session inputs and outputs stay F32 */
    bool keep_all; /**< every value gets its own place, so that all can be looked at after a run (tests) */
    const char *cache; /**< CUDA: folder in which the choices of engines are kept from plan to plan; NULL:
                          none. Read and, when something was chosen, written while the plan is made */
    bool tune; /**< CUDA: time the engines that could serve a shape and take the quickest (seconds to a minute
                  a plan, once with `cache`). Without it: what the cache knows, else the libraries' advice */
    bool
        away; /**< CUDA: weights wait in page-locked main memory and travel to the device while the steps run,
                 in every run: device memory for the two largest steps' weights, and the time of the bus */
};

/** The usual choice: this processor's best. */
extern const struct pz_plan_params pz_plan_default;

struct pz_plan;
struct pz_session;

/** Make a plan of a finished graph. Takes the graph over (also on failure); `*g` becomes NULL.
 *  Errors: the graph's own, NOMEM, INTERNAL; for CUDA also DEVICE (none there, or
 *  it failed) and UNSUPPORTED (a row without a device form). */
PZ_NODISCARD enum pz_status pz_plan_create(struct pz_graph **g, const struct pz_plan_params *params,
                                           struct pz_log *log, struct pz_plan **plan);
void pz_plan_destroy(struct pz_plan **plan);

/** Bytes of a session's block, multiply-adds of a run, nodes that run. */
size_t pz_plan_arena_bytes(const struct pz_plan *plan);
double pz_plan_cost(const struct pz_plan *plan);
int pz_plan_nodes(const struct pz_plan *plan);

/** Nodes of a CPU plan in F16 or BF16 whose form does not take that type: their inputs are widened. */
int pz_plan_widened(const struct pz_plan *plan);

/** `plan` and `log` must outlive the session. Errors: NOMEM, INTERNAL, DEVICE. */
PZ_NODISCARD enum pz_status pz_session_create(const struct pz_plan *plan, struct pz_log *log,
                                              struct pz_session **s);
void pz_session_destroy(struct pz_session **s);

/** The input / output of that name, or number when `name` is NULL; data NULL when there is none. Valid for
 * the session's life; inputs keep their content over a run, outputs until the next one. */
struct pz_view pz_session_input(const struct pz_session *s, const char *name, int index);
struct pz_view pz_session_output(const struct pz_session *s, const char *name, int index);

/**
 * Hand an output on without the user: whenever `to` runs, its input `in` is taken from where output `out` of
 * `from` lies, and that output is not brought to the host any more (its view keeps what it had). On the
 * device a copy inside its memory. Both of one backend and type of plan and equal counts; `from` must outlive
 * the last run of `to`, and may not run at the same time. Errors: USAGE (logged), NOMEM.
 */
PZ_NODISCARD enum pz_status pz_session_join(struct pz_session *to, const char *in, struct pz_session *from,
                                            const char *out);

/**
 * Hold an input: a run brings only what pz_session_touch() names (elements [first, first + n), the smallest
 * stretch that covers all touched since the last run; all of it before the first run) to where the session
 * computes, e.g. for a cache that grows by rows. Without effect on F32 plans of the CPU, which compute in the
 * input itself. Errors: INTERNAL (no such input), NOMEM. pz_session_touch() of an input that is not held does
 * nothing.
 */
PZ_NODISCARD enum pz_status pz_session_hold(struct pz_session *s, const char *name);
void pz_session_touch(struct pz_session *s, const char *name, size_t first, size_t n);

/** Run once; on the device: inputs go there, one graph launch, outputs come back. `pool` may be NULL. On the
 * CPU this cannot fail: everything that can was done before. A device that fails or is lost gives DEVICE
 * (logged once), from then on each time. */
enum pz_status pz_session_run(struct pz_session *s, struct pz_pool *pool);

#endif
