/* The device's side in a build without CUDA: there is none, said the same way as on a machine without one. */
#include <stdio.h>

#include "tensor/cuda/cuda.h"

static enum pz_status none(struct pz_log *log)
{
    return pz_fail(log, PZ_ERR_DEVICE, "this program was built without CUDA");
}

bool pz_cuda_present(void)
{
    return false;
}

void pz_cuda_describe(char *out, size_t bytes)
{
    snprintf(out, bytes, "built without CUDA");
}

bool pz_cuda_memory(size_t *free_bytes, size_t *all_bytes)
{
    *free_bytes = *all_bytes = 0;
    return false;
}

enum pz_status pz_cuda_plan_open(struct pz_plan *p, struct pz_log *log)
{
    return none(log);
}

enum pz_status pz_cuda_plan_merge(struct pz_plan *p, struct pz_log *log)
{
    return PZ_OK;
}

enum pz_status pz_cuda_plan_weights(struct pz_plan *p, struct pz_log *log)
{
    return none(log);
}

void pz_cuda_plan_close(struct pz_plan *p)
{
}

enum pz_status pz_cuda_session_open(struct pz_session *s, struct pz_log *log)
{
    return none(log);
}

enum pz_status pz_cuda_session_run(struct pz_session *s)
{
    return PZ_ERR_DEVICE;
}

enum pz_status pz_cuda_session_watch(struct pz_session *s)
{
    return PZ_ERR_DEVICE;
}

void pz_cuda_session_close(struct pz_session *s)
{
}

void *pz_cuda_session_host(const struct pz_session *s, int value)
{
    return NULL;
}

enum pz_status pz_cuda_session_time(struct pz_session *s, int n, float *ms)
{
    return PZ_ERR_DEVICE;
}

enum pz_status pz_cuda_ceilings(struct pz_log *log, double *copy, double *matmul)
{
    return none(log);
}
