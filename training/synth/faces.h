/** The generator of stills: people by the thousand into shards, on all threads. */
#ifndef PZ_SYN_FACES_H
#define PZ_SYN_FACES_H

#include "base/log.h"
#include "base/pool.h"
#include "base/status.h"
#include "quick_head.h"
#include "shard.h"

struct pz_q_label;

struct pz_faces_options {
    const char *out; /**< folder; shards are OUT/faces-NNNNN.safetensors */
    int shards, records, first_shard, size;
    int looks; /**< pictures a person, default 8 */
    unsigned long long seed;
    float margin; /**< scales the side of the picture, default 1: 24-30 cm at the face, a quarter 30-90 */
    int scene;    /**< several heads of any size or none; files are OUT/scenes-NNNNN.safetensors */
};

/** Make the shards. What a record holds depends on seed, shard number, records, size, looks and margin only.
 * `seconds` receives the wall time of drawing. Errors: USAGE, NOMEM, WRITE. */
PZ_NODISCARD enum pz_status pz_faces_make(struct pz_log *log, struct pz_pool *pool, const struct pz_q_head *h,
                                          const struct pz_faces_options *o, double *seconds);
/** Draw `n` pictures and throw them away; prints the time of each step to the log. */
PZ_NODISCARD enum pz_status pz_faces_bench(struct pz_log *log, struct pz_pool *pool,
                                           const struct pz_q_head *h, const struct pz_faces_options *o,
                                           int n);
/** Fields of a shard (shard.h) with so many heads a picture into f [PZ_SHARD_MAX]; returns how many. */
int pz_faces_fields(struct pz_shard_field *f, int size, int heads);
/** Places of record i. */
void pz_faces_label(const struct pz_shard *s, int i, struct pz_q_label *l);
/** Draw pictures 0 … columns·rows − 1 of `seed` into one PNG. */
PZ_NODISCARD enum pz_status pz_faces_sheet(struct pz_log *log, struct pz_pool *pool,
                                           const struct pz_q_head *h, const struct pz_faces_options *o,
                                           int columns, int rows, const char *png);

#endif
