/**
 * Pickle, read as data: the opcodes PyTorch's files use become a tree of plain values. Nothing is executed:
 * a class or function is only a name; those that build tensors are known by that name, all others become
 * "opaque" values that keep what they were given.
 *
 * Ownership  values live in the struct's arrays until pz_pickle_free(); strings are offsets into `data`,
 * which must outlive it. Threads  one reader a struct. Source  CPython's pickletools.py (opcodes),
 * spec/wav2lip.md §1.5 (what PyTorch writes).
 */
#ifndef PZ_WEIGHTS_PYTORCH_PICKLE_H
#define PZ_WEIGHTS_PYTORCH_PICKLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"
#include "tensor/dtype.h"

#define PZ_PICKLE_MAX_BYTES ((size_t)64 << 20)
#define PZ_PICKLE_MAX_RANK 8

enum pz_pickle_kind {
    PZ_PICKLE_NONE = 0,
    PZ_PICKLE_BOOL,
    PZ_PICKLE_INT,
    PZ_PICKLE_BIGINT, /**< more than 8 bytes; kept as little-endian bytes */
    PZ_PICKLE_FLOAT,
    PZ_PICKLE_STRING,
    PZ_PICKLE_BYTES,
    PZ_PICKLE_TUPLE,
    PZ_PICKLE_LIST,
    PZ_PICKLE_DICT, /**< items are key, value, key, value … in file order */
    PZ_PICKLE_GLOBAL,
    PZ_PICKLE_OPAQUE, /**< an object of a class this reader does not know; items are all it was made from */
    PZ_PICKLE_STORAGE,
    PZ_PICKLE_TENSOR
};

/** What a global's name means here. */
enum pz_pickle_class {
    PZ_PICKLE_CLASS_OTHER = 0,
    PZ_PICKLE_CLASS_DICT,
    PZ_PICKLE_CLASS_DEFAULTDICT,
    PZ_PICKLE_CLASS_SIZE,
    PZ_PICKLE_CLASS_TENSOR,    /**< torch._utils._rebuild_tensor, _v2 */
    PZ_PICKLE_CLASS_TENSOR_V3, /**< the element type is the seventh argument */
    PZ_PICKLE_CLASS_PARAMETER,
    PZ_PICKLE_CLASS_STORAGE, /**< torch.FloatStorage …; `dtype` says which */
    PZ_PICKLE_CLASS_DTYPE,   /**< torch.float32 … */
    PZ_PICKLE_CLASS_BUILDER  /**< any other function of torch that makes tensors */
};

struct pz_pickle_node {
    uint8_t kind, cls, dtype, elem; /* cls, dtype, elem (bytes of an element, 0 unknown): GLOBAL only */
    bool on_path, seen;             /* set by walkers: cycles, objects already searched */
    union {
        int64_t i;
        double f;
        struct {
            uint32_t off, len;
        } text; /* STRING, BYTES, BIGINT */
        struct {
            uint32_t module, n_module, name, n_name;
        } global; /* offsets into data */
        struct {
            uint32_t head, tail, n, of; /* cells (0 = none); `of`: the GLOBAL an OPAQUE was made by, or 0 */
        } items;
        uint32_t index; /* STORAGE, TENSOR: index of the arrays below */
    } u;
};

struct pz_pickle_cell {
    uint32_t node, next;
};

struct pz_pickle_storage {
    uint32_t type;            /* GLOBAL node */
    uint32_t key, n_key;      /* its name in the file, offset into data */
    int64_t numel;            /* elements of the whole storage */
    int64_t view, view_numel; /* part of it that is meant, in elements; 0, numel without a view */
    uint8_t dtype, elem;
};

struct pz_pickle_tensor {
    uint32_t storage; /* index of storages */
    uint8_t dtype, elem;
    int rank;
    int64_t offset, shape[PZ_PICKLE_MAX_RANK], stride[PZ_PICKLE_MAX_RANK]; /* in elements */
};

struct pz_pickle {
    struct pz_log *log;
    const char *file; /* for messages */
    const uint8_t *data;
    size_t n, at; /* bytes given, bytes used up to and with STOP */
    uint32_t root;
    struct pz_pickle_node *nodes; /* node 0 is None */
    struct pz_pickle_cell *cells; /* cell 0 is unused */
    struct pz_pickle_storage *storages;
    struct pz_pickle_tensor *tensors;
    uint32_t n_nodes, n_cells, n_storages, n_tensors;
    uint32_t cap_nodes, cap_cells, cap_storages, cap_tensors;
    uint32_t *stack, *marks, *memo; /* while reading only */
    uint32_t n_stack, n_marks, n_memo, cap_stack, cap_marks, cap_memo;
};

/**
 * Read one pickle from the start of `data`; `p->at` tells where it ended, `p->root` is its value. Protocols
 * 2 to 5, without the text opcodes of protocol 0 and 1, extension codes and out-of-band buffers.
 * Errors: FORMAT (logged with the byte it happened at), UNSUPPORTED (an opcode this reader refuses), NOMEM.
 * Whatever the result, pz_pickle_free() is due.
 */
PZ_NODISCARD enum pz_status pz_pickle_read(struct pz_pickle *p, struct pz_log *log, const char *file,
                                           const uint8_t *data, size_t n);

void pz_pickle_free(struct pz_pickle *p);

/** Value of a string key in a dict (the last of that name), NULL when absent or `dict` is no dict. */
const struct pz_pickle_node *pz_pickle_get(const struct pz_pickle *p, const struct pz_pickle_node *dict,
                                           const char *key);

/** True when a string or bytes value is exactly `s`. */
bool pz_pickle_is(const struct pz_pickle *p, const struct pz_pickle_node *v, const char *s);

/** "module.name" of a GLOBAL, or of what an OPAQUE was made by, cut to fit; "an object" when unknown. */
void pz_pickle_class_name(const struct pz_pickle *p, const struct pz_pickle_node *v, char *out, size_t n_out);

/* Between pytorch_pickle.c and pytorch_object.c. */

PZ_NODISCARD enum pz_status pz_pickle_fail(struct pz_pickle *p, enum pz_status st, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
PZ_NODISCARD enum pz_status pz_pickle_new(struct pz_pickle *p, enum pz_pickle_kind kind, uint32_t *node);
PZ_NODISCARD enum pz_status pz_pickle_append(struct pz_pickle *p, uint32_t container, uint32_t item);
/** Make room for one more of an array of at most `max` items. */
PZ_NODISCARD enum pz_status pz_pickle_room(struct pz_pickle *p, void *array, uint32_t n, uint32_t *cap,
                                           size_t size, uint32_t max, const char *what);
/** Item `i` of a container, NULL behind its end. */
const struct pz_pickle_node *pz_pickle_item(const struct pz_pickle *p, const struct pz_pickle_node *v,
                                            uint32_t i);
/** Give a GLOBAL its class, dtype and element size by its name. */
void pz_pickle_classify(const struct pz_pickle *p, struct pz_pickle_node *global);
/** REDUCE and NEWOBJ: the value `callable(*args)` stands for. */
PZ_NODISCARD enum pz_status pz_pickle_call(struct pz_pickle *p, uint32_t callable, uint32_t args,
                                           bool new_object, uint32_t *out);
/** BINPERSID: a storage, or the class a 'module' record names. */
PZ_NODISCARD enum pz_status pz_pickle_persistent(struct pz_pickle *p, uint32_t id, uint32_t *out);

#endif
