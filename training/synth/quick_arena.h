/** One block of memory on huge pages for all that a picture touches: page-table walks were the dearest part
 * of a picture on virtual machines. */
#ifndef PZ_SYN_QUICK_ARENA_H
#define PZ_SYN_QUICK_ARENA_H

#include <stddef.h>
#include <stdint.h>

#include "base/log.h"
#include "base/status.h"

struct pz_q_arena {
    uint8_t *at;
    size_t left;
    void *map;
    size_t n_map;
};

/** A zeroed block of `n` bytes. Errors: NOMEM. */
PZ_NODISCARD enum pz_status pz_q_arena_open(struct pz_log *log, size_t n, struct pz_q_arena *a);
/** Zeroed array of n items, aligned to 64 bytes, valid until the arena is closed; NULL when nothing is left.
 */
void *pz_q_take(struct pz_q_arena *a, size_t n, size_t size);
void pz_q_arena_close(struct pz_q_arena *a);

#endif
