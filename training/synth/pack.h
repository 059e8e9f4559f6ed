/** Packing: the ICT head into the file that the quick generator reads. */
#ifndef PZ_SYN_PACK_H
#define PZ_SYN_PACK_H

#include "base/log.h"
#include "base/pool.h"
#include "base/status.h"

/** Read `head` (ICT safetensors), bake ambient openness on `pool`
 * (may be NULL) and write `out` atomically. Errors: INPUT, FORMAT, NOMEM, WRITE. */
PZ_NODISCARD enum pz_status pz_syn_pack(struct pz_log *log, struct pz_pool *pool, const char *head,
                                        const char *out);

#endif
