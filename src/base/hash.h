/** SHA-256 (FIPS 180-4) for cache keys, weights and provenance. */
#ifndef PZ_BASE_HASH_H
#define PZ_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#include "base/log.h"

struct pz_sha256 {
    uint32_t h[8];
    uint64_t n_bytes;
    uint8_t block[64];
};

void pz_sha256_init(struct pz_sha256 *s);
void pz_sha256_update(struct pz_sha256 *s, const void *data, size_t n);
/** Finish and write 64 lower-case hex digits and a zero. */
void pz_sha256_hex(struct pz_sha256 *s, char out[65]);

/** Hash of a file's bytes, streamed. Errors: INPUT (logged). */
PZ_NODISCARD enum pz_status pz_sha256_file(struct pz_log *log, const char *path, char out[65]);

#endif
