/* A bump allocator over a huge-page mapping. See quick_arena.h. */
#include "quick_arena.h"

#include <string.h>
#include <sys/mman.h>

#include "base/mem.h"

enum { HUGE = 2 << 20 };

enum pz_status pz_q_arena_open(struct pz_log *log, size_t n, struct pz_q_arena *a)
{
    memset(a, 0, sizeof *a);
    size_t want = (n + 2 * (size_t)HUGE - 1) / HUGE * HUGE + HUGE;
    a->map = mmap(NULL, want, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (a->map == MAP_FAILED) {
        a->map = NULL;
        return pz_fail(log, PZ_ERR_NOMEM, "faces: out of memory for %zu bytes", n);
    }
    a->n_map = want;
    uintptr_t p = ((uintptr_t)a->map + HUGE - 1) / HUGE * HUGE;
    a->left = want - (size_t)(p - (uintptr_t)a->map);
    a->at = (uint8_t *)a->map + (p - (uintptr_t)a->map);
    /* Without huge pages all is slower, but right. */
    (void)madvise(a->at, a->left, MADV_HUGEPAGE);
    return PZ_OK;
}

void *pz_q_take(struct pz_q_arena *a, size_t n, size_t size)
{
    size_t bytes;
    if (!pz_mul(n, size, &bytes) || bytes > a->left)
        return NULL;
    bytes = (bytes + 63) / 64 * 64;
    if (bytes > a->left)
        return NULL;
    void *p = a->at;
    a->at += bytes;
    a->left -= bytes;
    return p;
}

void pz_q_arena_close(struct pz_q_arena *a)
{
    if (a->map)
        munmap(a->map, a->n_map);
    memset(a, 0, sizeof *a);
}
