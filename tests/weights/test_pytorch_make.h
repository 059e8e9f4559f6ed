/* Makes PyTorch checkpoints byte by byte, independent of the reader: pickles, zip archives, legacy streams.
 */
#ifndef PZ_TEST_PYTORCH_MAKE_H
#define PZ_TEST_PYTORCH_MAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
    uint8_t *p;
    size_t n, cap;
};

void put(struct buf *b, const void *p, size_t n);
void put_u8(struct buf *b, uint8_t v);
void put_uint(struct buf *b, uint64_t v, int n_bytes); /* little-endian */
void put_f32(struct buf *b, float v);
void buf_free(struct buf *b);

/* Opcodes of a pickle. */
void op_text(struct buf *b, const char *s);                          /* BINUNICODE */
void op_int(struct buf *b, int64_t v);                               /* BININT or LONG1 */
void op_global(struct buf *b, const char *module, const char *name); /* GLOBAL */
void op_storage(struct buf *b, const char *type, const char *key, int64_t numel);
/* _rebuild_tensor_v2 of a storage */
void op_tensor(struct buf *b, const char *type, const char *key, int64_t numel, int64_t offset, int rank,
               const int64_t *shape, const int64_t *stride);

/* OrderedDict of one tensor. */
void make_pickle(struct buf *b, const char *name, const char *type, const char *key, int64_t numel,
                 int64_t offset, int rank, const int64_t *shape, const int64_t *stride);
/* The same, one-dimensional, as a view of a legacy storage. */
void make_pickle_view(struct buf *b, const char *name, const char *key, int64_t numel, int64_t from,
                      int64_t n);

struct zip_opts {
    const char *byteorder, *comment;
    bool zip64;
    int method;
};

/* Stored archive, members aligned to 64 bytes. zip_begin … zip_add … zip_end. */
struct zip_writer {
    struct buf *out, dir;
    struct zip_opts o;
    uint64_t base, n_members; /* bytes already on disk before out->p */
};

void zip_begin(struct zip_writer *w, struct buf *out, const struct zip_opts *o);
/* `data` NULL: only the header is written and `n` bytes are left to the caller, who adds them to `base`. */
void zip_add(struct zip_writer *w, const char *name, const void *data, uint64_t n);
void zip_end(struct zip_writer *w);

/* "top/data.pkl", "top/data/0", "top/version" and so on. */
void make_zip(struct buf *b, const struct zip_opts *o, const struct buf *pkl, const struct buf *storage);

/* Legacy stream of one storage. */
void make_legacy(struct buf *b, const struct buf *pkl, const char *key, int64_t numel,
                 const struct buf *storage, bool big_endian);

/* A sparse zip checkpoint of `n` one-dimensional tensors t0 … of `each` bytes, whose last element is their
 * number. */
void make_large_zip(const char *path, int n, uint64_t each);

#endif
