/* Weights that travel with each run. Where they lie in main memory and who travels is weights.c's. */
#include "tensor/cuda/belt.h"

#include "tensor/cuda/device.h"

static const char what[] = "bringing weights to a step";

/* What travels for step `t`; NULL: nothing. */
static const struct pz_haul *haul_of(const struct pz_plan *p, int t)
{
    return p->away && t < p->n_steps && p->hauls[t].bytes ? &p->hauls[t] : NULL;
}

bool pz_cuda_belt_open(const struct pz_plan *p, struct pz_cuda_belt *b)
{
    struct pz_cuda *d = p->device;
    if (!p->away)
        return true;
    for (int i = 0; i < 2; i++)
        if (!pz_cuda_check(d, cudaEventCreateWithFlags(&b->freed[i], cudaEventDisableTiming), what) ||
            !pz_cuda_check(d, cudaEventCreateWithFlags(&b->brought[i], cudaEventDisableTiming), what))
            return false;
    return pz_cuda_check(d, cudaMalloc((void **)&b->memory, 2 * p->haul_bytes), "memory for weights") &&
           pz_cuda_check(d, cudaStreamCreateWithFlags(&b->side, cudaStreamNonBlocking), what);
}

void pz_cuda_belt_close(struct pz_cuda_belt *b)
{
    for (int i = 0; i < 2; i++) {
        if (b->freed[i])
            cudaEventDestroy(b->freed[i]);
        if (b->brought[i])
            cudaEventDestroy(b->brought[i]);
    }
    if (b->side)
        cudaStreamDestroy(b->side);
    if (b->memory)
        cudaFree(b->memory);
    *b = (struct pz_cuda_belt){0};
}

void pz_cuda_belt_start(const struct pz_plan *p, struct pz_cuda_belt *b)
{
    for (int i = 0; i < 2 && p->away; i++) // both are free; a capture reaches the side stream through this
        pz_cuda_check(p->device, cudaEventRecord(b->freed[i], p->device->stream), what);
}

void pz_cuda_belt_bring(const struct pz_plan *p, struct pz_cuda_belt *b, int t)
{
    const struct pz_haul *h = haul_of(p, t);
    struct pz_cuda *d = p->device;
    if (!h || d->st < PZ_OK)
        return;
    uint8_t *to = b->memory + (size_t)h->place * p->haul_bytes;
    const uint8_t *from = (const uint8_t *)p->away + h->from;
    if (pz_cuda_check(d, cudaStreamWaitEvent(b->side, b->freed[h->place], 0), what) &&
        pz_cuda_check(d, cudaMemcpyAsync(to, from, h->bytes, cudaMemcpyHostToDevice, b->side), what) &&
        pz_cuda_check(d, cudaEventRecord(b->brought[h->place], b->side), what))
        pz_cuda_check(d, cudaStreamWaitEvent(d->stream, b->brought[h->place], 0), what);
}

void pz_cuda_belt_free(const struct pz_plan *p, struct pz_cuda_belt *b, int t)
{
    const struct pz_haul *h = haul_of(p, t);
    if (h && p->device->st >= PZ_OK)
        pz_cuda_check(p->device, cudaEventRecord(b->freed[h->place], p->device->stream), what);
}
