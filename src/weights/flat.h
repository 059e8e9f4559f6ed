/**
 * FlatBuffers and FlexBuffers, read only and bounds-checked: no offset of a file is followed before it was
 * compared with the file's size. A reader that meets a bad offset turns `bad` on and gives zeros from then
 * on, so that callers may check once at the end of a step. Source: flatbuffers.dev, "FlatBuffer internals"
 * and "FlexBuffers".
 */
#ifndef PZ_WEIGHTS_FLAT_H
#define PZ_WEIGHTS_FLAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pz_flat {
    const uint8_t *d;
    size_t n;
    bool bad;
};

/** A vector inside the buffer: `n` items of which the first starts at `at`; n is 0 when the field is absent.
 */
struct pz_flat_vec {
    size_t at, n;
};

uint64_t pz_flat_uint(struct pz_flat *f, size_t at, int n_bytes);

/** Position of the root table. */
size_t pz_flat_root(struct pz_flat *f);

/** Position of field `id` of the table at `table`; 0 when absent. */
size_t pz_flat_field(struct pz_flat *f, size_t table, int id);

/** Scalar fields with their default. */
int32_t pz_flat_i32(struct pz_flat *f, size_t table, int id, int32_t absent);
int pz_flat_u8(struct pz_flat *f, size_t table, int id, int absent);

/** Table a field points to; 0 when absent. */
size_t pz_flat_table(struct pz_flat *f, size_t table, int id);

/** Vector of items of `item_bytes`, checked to lie inside as a whole. */
struct pz_flat_vec pz_flat_vector(struct pz_flat *f, size_t table, int id, size_t item_bytes);

/** Item `i` of a vector of tables. */
size_t pz_flat_item_table(struct pz_flat *f, struct pz_flat_vec v, size_t i);

/** Copy a string field, cut to `n - 1` bytes and terminated; "" when absent. */
void pz_flat_text(struct pz_flat *f, size_t table, int id, char *out, size_t n);

/** A number of a FlexBuffers map at the root of `data`; false when there is none of that key or the data is
 * broken. */
bool pz_flex_number(const uint8_t *data, size_t n, const char *key, double *out);

/** Integers of a typed or untyped vector in that map: fills up to `cap` and gives the whole count, -1 when
 * absent. */
int pz_flex_ints(const uint8_t *data, size_t n, const char *key, int *out, int cap);

#endif
