/**
 * Job: what every long function is given — log, threads, cancel, progress. Plain struct, owned by the caller,
 * shared read-only; may be used from several threads at once.
 */
#ifndef PZ_BASE_JOB_H
#define PZ_BASE_JOB_H

#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"

struct pz_pool;
struct pz_profile;

struct pz_job {
    struct pz_log *log;   /**< may be NULL */
    struct pz_pool *pool; /**< may be NULL: everything runs on the calling thread */
    /** Polled at least once a frame; true stops the work with PZ_ERR_CANCELLED. May be NULL. */
    bool (*cancelled)(void *user);
    /** Progress of one stage ("faces", "fit", "encode", …), `done` of `total` steps. Called on the thread
     * that runs the job, at most once a step. May be NULL. */
    void (*progress)(void *user, const char *stage, int64_t done, int64_t total);
    void *user;
    uint64_t seed;              /**< every random choice derives from it */
    struct pz_profile *profile; /**< networks are timed into it (tensor/profile.h); may be NULL */
};

/** True when the caller asked to stop. `job` may be NULL. */
bool pz_job_cancelled(const struct pz_job *job);

/** Report progress if somebody listens. `job` may be NULL. */
void pz_job_progress(const struct pz_job *job, const char *stage, int64_t done, int64_t total);

#endif
