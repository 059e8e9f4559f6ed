// Device and precision of neural engines.
#include "lipsync/engine_plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/pool.h"
#include "tensor/cpu/cpu.h"
#include "tensor/cuda/cuda.h"

static char *cache_folder(const char *given)
{
    const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (given)
        return pz_asprintf("%s/engines", given);
    if (xdg && *xdg)
        return pz_asprintf("%s/personalize/engines", xdg);
    return pz_asprintf("%s/.cache/personalize/engines", home && *home ? home : "/tmp");
}

static enum pz_status on_cuda(const struct pz_engine_open_params *p, const struct pz_job *job,
                              struct pz_engine_plan *out)
{
    const char *t = p->precision;
    if (!pz_cuda_present())
        return pz_fail(job->log, PZ_ERR_DEVICE, "device '%s': this build or this machine has no CUDA",
                       p->device ? p->device : "");
    out->cuda = true;
    out->params.backend = PZ_BACKEND_CUDA;
    out->params.dtype = !t || !strcmp(t, "f16") ? PZ_DTYPE_F16
                        : !strcmp(t, "bf16")    ? PZ_DTYPE_BF16
                                                : PZ_DTYPE_F32;
    out->cache = cache_folder(p->cache_dir);
    if (!out->cache)
        return pz_fail(job->log, PZ_ERR_NOMEM, "no memory for a path");
    // Without the folder choices are made anew each time; that is no reason to stop.
    out->params.cache = pz_make_dirs(NULL, out->cache) >= PZ_OK ? out->cache : NULL;
    return PZ_OK;
}

enum pz_status pz_engine_plan(const struct pz_engine_open_params *p, const char *name,
                              const struct pz_job *job, struct pz_engine_plan *out)
{
    const char *device = p->device, *t = p->precision;
    bool automatic = !device || !strcmp(device, "auto");
    *out = (struct pz_engine_plan){.params = pz_plan_default};
    out->params.threads = job->pool ? pz_pool_threads(job->pool) : 1;
    if (automatic ? pz_cuda_present() : !strncmp(device, "cuda", 4))
        return on_cuda(p, job, out);
    bool has = pz_cpu_has_bf16(out->params.rung);
    if ((t && !strcmp(t, "f16")) || (t && !strcmp(t, "bf16") && !has))
        return pz_fail(job->log, PZ_ERR_DEVICE, "%s computes in f32%s on this cpu, not in %s", name,
                       has ? " or bf16" : "", t);
    if (has && (!t || !strcmp(t, "bf16")))
        out->params.dtype = PZ_DTYPE_BF16;
    return PZ_OK;
}

void pz_engine_plan_free(struct pz_engine_plan *p)
{
    pz_free(p->cache);
    *p = (struct pz_engine_plan){0};
}

void pz_engine_runs_on(bool cuda, enum pz_dtype type, const char **device, const char **precision)
{
    *device = cuda ? "cuda" : "cpu";
    *precision = type == PZ_DTYPE_F16 ? "f16" : type == PZ_DTYPE_BF16 ? "bf16" : "f32";
}

double pz_engine_memory(bool cuda)
{
    size_t free_bytes, all;
    if (cuda)
        return pz_cuda_memory(&free_bytes, &all) ? (double)free_bytes : 0;
    FILE *f = fopen("/proc/meminfo", "r");
    char line[128];
    double kb = 0;
    while (f && fgets(line, sizeof line, f))
        if (!strncmp(line, "MemAvailable:", 13))
            kb = strtod(line + 13, NULL);
    if (f)
        fclose(f);
    return kb * 1024;
}
