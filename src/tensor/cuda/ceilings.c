/* What the device can do at most, measured: the yardstick of bench/tensor. */
#include <stdlib.h>

#include "tensor/cuda/cuda.h"
#include "base/order.h"
#include "tensor/cuda/device.h"
#include "tensor/cuda/kernels.h"
#include "tensor/plan_impl.h"

#define COPY ((size_t)2 << 30)
#define SIDE 8192
#define TIMES 11

static float run_copy(struct pz_cuda *d, char *block)
{
    (void)cudaMemcpyAsync(block + COPY, block, COPY, cudaMemcpyDeviceToDevice, d->stream);
    return 0;
}

/* Median milliseconds of a copy (lt NULL) or a product. */
static float median(struct pz_cuda *d, char *block, const struct pz_lt *lt)
{
    cudaEvent_t from, to;
    float ms[TIMES] = {0};
    if (!pz_cuda_check(d, cudaEventCreate(&from), "timing") ||
        !pz_cuda_check(d, cudaEventCreate(&to), "timing"))
        return 1;
    for (int i = -2; i < TIMES; i++) {
        size_t part = (size_t)SIDE * SIDE * 2;
        (void)cudaEventRecord(from, d->stream);
        if (lt)
            pz_lt_run(d, lt, block, block + part, NULL, NULL, block + 2 * part, block + 3 * part);
        else
            run_copy(d, block);
        (void)cudaEventRecord(to, d->stream);
        if (pz_cuda_check(d, cudaEventSynchronize(to), "timing") && i >= 0)
            pz_cuda_check(d, cudaEventElapsedTime(&ms[i], from, to), "timing");
    }
    cudaEventDestroy(from);
    cudaEventDestroy(to);
    qsort(ms, TIMES, sizeof *ms, pz_by_float);
    return ms[TIMES / 2];
}

enum pz_status pz_cuda_ceilings(struct pz_log *log, double *copy, double *matmul)
{
    struct pz_plan p = {0};
    struct pz_lt lt = {0};
    char *block = NULL;
    unsigned short *host = NULL;
    struct pz_lt_shape s = {.m = SIDE,
                            .n = SIDE,
                            .k = SIDE,
                            .batch = 1,
                            .lda = SIDE,
                            .ldb = SIDE,
                            .ldo = SIDE,
                            .type = PZ_DTYPE_F16,
                            .type_out = PZ_DTYPE_F16,
                            .transpose_b = true};
    enum pz_status st = pz_cuda_plan_open(&p, log);
    size_t bytes = (size_t)SIDE * SIDE * 2 * 2;
    if (st < PZ_OK)
        goto fail;
    host = malloc(bytes);
    st = host ? PZ_OK : PZ_ERR_NOMEM;
    for (size_t i = 0; host && i < bytes / 2; i++) /* random signs and mantissas around 1: zeros run faster */
        host[i] = (unsigned short)((i * 2654435761u >> 8 & 0x83ff) | 0x3800);
    if (st < PZ_OK || !pz_cuda_check(p.device, cudaMalloc((void **)&block, 2 * COPY), "memory") ||
        !pz_cuda_check(p.device, cudaMemcpy(block, host, bytes, cudaMemcpyHostToDevice), "copying"))
        goto fail;
    st = pz_lt_make(p.device, &s, &lt);
    if (st < PZ_OK)
        goto fail;
    *matmul = 2.0 * SIDE * SIDE * SIDE / (median(p.device, block, &lt) * 1e-3);
    *copy = 2.0 * (double)COPY / (median(p.device, block, NULL) * 1e-3);
fail:
    if (p.device && p.device->st < PZ_OK)
        st = p.device->st;
    pz_lt_free(&lt);
    if (block)
        cudaFree(block);
    free(host);
    pz_cuda_plan_close(&p);
    return st;
}
