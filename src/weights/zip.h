/**
 * Members of a zip archive in memory, as PyTorch writes it: stored, possibly zip64. Nothing is copied or
 * unpacked; compressed members are listed and can be told by `stored`.
 *
 * Every member is checked: its two headers agree, its bytes lie in the file before the directory, no two
 * members share bytes. Checksums are not verified (PyTorch may leave them out, and gigabytes would have to be
 * read). Source: PKWARE APPNOTE 6.3.9, sections 4.3 to 4.5.
 */
#ifndef PZ_WEIGHTS_ZIP_H
#define PZ_WEIGHTS_ZIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"

struct pz_zip_member {
    const char *name; /**< inside the archive's bytes, not terminated */
    size_t n_name;
    const uint8_t *data;
    size_t n_bytes; /**< as they lie in the file */
    bool stored;    /**< neither compressed nor encrypted: `data` is the content */
};

struct pz_zip {
    struct pz_zip_member *members; /**< sorted by name */
    int n_members;
};

/** True when the bytes begin like a zip archive with members. */
bool pz_zip_is(const uint8_t *data, size_t n);

/** List the members of `data`, which must outlive `z`. `file` is used in messages. Errors: FORMAT (logged),
 * UNSUPPORTED (several volumes), NOMEM. On failure `z` is empty. */
PZ_NODISCARD enum pz_status pz_zip_open(struct pz_log *log, const char *file, const uint8_t *data, size_t n,
                                        struct pz_zip *z);

void pz_zip_close(struct pz_zip *z);

/** Member by name, NULL when absent. */
const struct pz_zip_member *pz_zip_find(const struct pz_zip *z, const char *name, size_t n_name);

#endif
