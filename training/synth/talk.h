/** Talking sequences: a person speaks a piece of a speech file, one clip a shard. */
#ifndef PZ_SYN_TALK_H
#define PZ_SYN_TALK_H

#include "bank.h"
#include "base/pool.h"
#include "quick_head.h"

struct pz_talk_options {
    const char *out; /**< folder; OUT/talk-NNNNN.safetensors */
    int clips, first_clip, frames, size;
    float fps; /**< 25 */
    unsigned long long seed;
};

/** Make the clips; a clip depends on seed, its number, frames, size and the speech file only. `seconds`: wall
 * time. Errors: USAGE, NOMEM, WRITE. */
PZ_NODISCARD enum pz_status pz_talk_make(struct pz_log *log, struct pz_pool *pool, const struct pz_q_head *h,
                                         const struct pz_syn_bank *b, const struct pz_talk_options *o,
                                         double *seconds);
/** Every `step`-th frame of `clips` clips, a row each, as one PNG. */
PZ_NODISCARD enum pz_status pz_talk_sheet(struct pz_log *log, const struct pz_q_head *h,
                                          const struct pz_syn_bank *b, const struct pz_talk_options *o,
                                          int columns, int step, const char *png);

#endif
