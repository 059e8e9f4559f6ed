/* The two questions a long loop asks its caller. */
#include "base/job.h"

#include <stddef.h>

bool pz_job_cancelled(const struct pz_job *job)
{
    return job && job->cancelled && job->cancelled(job->user);
}

void pz_job_progress(const struct pz_job *job, const char *stage, int64_t done, int64_t total)
{
    if (job && job->progress)
        job->progress(job->user, stage, done, total);
}
