/**
 * safetensors: named tensors with string metadata in one file. Used for official checkpoints and for
 * everything a prepared template stores.
 *
 * File       u64 little-endian header length, JSON header, then raw little-endian data. Written files start
 * their data on a multiple of 64 bytes and keep every tensor aligned to its element. Reading    the file is
 * mapped, never copied; every name, type, shape and offset is checked before it is used. Tensors and metadata
 * are valid until pz_safetensors_close(). Threads    an open file is immutable and may be shared. Source
 * huggingface/safetensors, format section of its README.
 */
#ifndef PZ_WEIGHTS_SAFETENSORS_H
#define PZ_WEIGHTS_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>

#include "base/log.h"
#include "tensor/dtype.h"

#define PZ_SAFETENSORS_MAX_RANK 8

/** A tensor in a file or to be written. Outermost axis first, contiguous. */
struct pz_stored_tensor {
    const char *name;
    enum pz_dtype dtype;
    int rank; /**< 0 … PZ_SAFETENSORS_MAX_RANK; 0 is one element */
    int64_t shape[PZ_SAFETENSORS_MAX_RANK];
    const void *data; /**< may be unaligned in foreign files; pz_safetensors_read_f32() copes */
    size_t n_bytes;   /**< set by the reader; ignored by the writer */
};

struct pz_stored_text {
    const char *key, *value; /**< UTF-8 */
};

struct pz_safetensors;

/**
 * Write a file atomically (temporary name, fsync, rename).
 *
 * Names must be unique and not empty; `data` must hold shape × element size bytes. Zero-sized axes are
 * allowed. Errors  USAGE (bad name, rank, shape, type; logged), NOMEM, WRITE (logged; nothing is left behind)
 */
PZ_NODISCARD enum pz_status pz_safetensors_write(struct pz_log *log, const char *path,
                                                 const struct pz_stored_tensor *tensors, int n_tensors,
                                                 const struct pz_stored_text *meta, int n_meta);

/** Map and check a file. `*out` is NULL on failure. Errors: INPUT (cannot be opened), FORMAT (logged), NOMEM.
 */
PZ_NODISCARD enum pz_status pz_safetensors_open(struct pz_log *log, const char *path,
                                                struct pz_safetensors **out);

/** The same for `n_bytes` in memory, which must outlive the result; `name` is used in messages. */
PZ_NODISCARD enum pz_status pz_safetensors_parse(struct pz_log *log, const void *data, size_t n_bytes,
                                                 const char *name, struct pz_safetensors **out);

/** Close and unmap. NULL is allowed; `*st` becomes NULL. */
void pz_safetensors_close(struct pz_safetensors **st);

int pz_safetensors_count(const struct pz_safetensors *st);

/** Tensor `i` in [0, count), sorted by name. */
const struct pz_stored_tensor *pz_safetensors_at(const struct pz_safetensors *st, int i);

/** Tensor by name, NULL when absent (nothing is logged). */
const struct pz_stored_tensor *pz_safetensors_find(const struct pz_safetensors *st, const char *name);

/** Metadata value by key, NULL when absent. */
const char *pz_safetensors_text(const struct pz_safetensors *st, const char *key);

/** Elements of a tensor (product of the shape; never overflows for tensors of an open file). */
size_t pz_stored_count(const struct pz_stored_tensor *t);

/**
 * Find a tensor that must be there with exactly this type and shape; a negative extent in `shape` matches
 * any. Data is checked to be aligned to its element. Errors: FORMAT (logged with the tensor's name), `*out`
 * NULL.
 */
PZ_NODISCARD enum pz_status pz_safetensors_expect(struct pz_log *log, const struct pz_safetensors *st,
                                                  const char *name, enum pz_dtype dtype, int rank,
                                                  const int64_t *shape, const struct pz_stored_tensor **out);

/** Copy `n` elements as float, from F32, F16, BF16 or F64 of any alignment. `n` must be the tensor's element
 * count. Errors: FORMAT (another type or count; logged). */
PZ_NODISCARD enum pz_status pz_safetensors_read_f32(struct pz_log *log, const struct pz_stored_tensor *t,
                                                    float *out, size_t n);

#endif
