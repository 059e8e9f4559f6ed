/**
 * Checkpoints as downloaded: one way to the named tensors of a file, whatever wrote it. The kind is told by
 * content, never by the file's name:
 *
 *   safetensors                 one file, or an index (`….safetensors.index.json`) with its shards
 *   PyTorch zip                 torch ≥ 1.6 (`.pt .pth .bin`), and an index (`pytorch_model.bin.index.json`)
 *   PyTorch legacy stream       torch < 1.6, as Wav2Lip's files
 *
 * Pickle is read as data and never executed. Tensors are views into the mapped file; a file of gigabytes
 * opens in milliseconds and is paged in as it is read. Names are the keys of nested dicts and lists joined by
 * '.'.
 *
 * Threads  an open checkpoint is immutable and may be shared. Ownership  tensors, names and data are valid
 * until pz_checkpoint_close(); the file must not shrink meanwhile. Source  spec/wav2lip.md §1, whisper.md §2.
 */
#ifndef PZ_WEIGHTS_CHECKPOINT_H
#define PZ_WEIGHTS_CHECKPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/job.h"
#include "tensor/dtype.h"

#define PZ_CHECKPOINT_MAX_RANK 8

struct pz_checkpoint_tensor {
    const char *name;
    enum pz_dtype dtype; /**< bool is U8 */
    int rank;            /**< 0 … PZ_CHECKPOINT_MAX_RANK; 0 is one element */
    int64_t shape[PZ_CHECKPOINT_MAX_RANK];
    int64_t strides[PZ_CHECKPOINT_MAX_RANK]; /**< in elements, ≥ 0; 0 repeats (an expanded tensor) */
    const void *data;                        /**< element [0, 0, …], in the map, of any alignment */
    size_t n_bytes;                          /**< from there to the end of the last element */
    bool contiguous;                         /**< rows follow each other: `data` can be used as it lies */
    bool swapped;                            /**< big-endian elements: use the read functions */
};

struct pz_checkpoint_options {
    /** Every occurrence of this text is deleted from every name, e.g. "module." (what
     * DataParallel adds; the reference code of Wav2Lip deletes it so). NULL: names stay. */
    const char *remove;
    /** PyTorch files: read only what lies under this key of the outermost dict. NULL: "state_dict",
     * "model_state_dict" or "model" when one of them holds a dict, else everything but keys that begin with
     * "optim". */
    const char *root;
};

struct pz_checkpoint;

/**
 * Map and check a file. `job` gives log and cancellation and may be NULL. `*out` is NULL on failure.
 *
 * Errors  INPUT (cannot be opened, or of no known kind), FORMAT (broken; logged with what and where),
 * UNSUPPORTED (compressed members, tar containers, tensors inside objects of unknown classes, types without a
 * pz_dtype; logged with the name), NOMEM, CANCELLED.
 */
PZ_NODISCARD enum pz_status pz_checkpoint_open(const char *path, const struct pz_job *job,
                                               struct pz_checkpoint **out);

/** The same with options; NULL means none. */
PZ_NODISCARD enum pz_status pz_checkpoint_open_with(const char *path,
                                                    const struct pz_checkpoint_options *options,
                                                    const struct pz_job *job, struct pz_checkpoint **out);

/** The same for `n` bytes in memory, which must outlive the result; `name` is used in messages. An index
 * cannot be read this way (UNSUPPORTED): it names files. */
PZ_NODISCARD enum pz_status pz_checkpoint_parse(const void *data, size_t n, const char *name,
                                                const struct pz_checkpoint_options *options,
                                                const struct pz_job *job, struct pz_checkpoint **out);

/** Close and unmap. NULL is allowed; `*c` becomes NULL. */
void pz_checkpoint_close(struct pz_checkpoint **c);

/** "safetensors", "sharded", "PyTorch zip" or "PyTorch legacy". */
const char *pz_checkpoint_format(const struct pz_checkpoint *c);

int pz_checkpoint_count(const struct pz_checkpoint *c);

/** Tensor `i` in [0, count), sorted by name; NULL outside. */
const struct pz_checkpoint_tensor *pz_checkpoint_at(const struct pz_checkpoint *c, int i);

/** Tensor by name, NULL when absent (nothing is logged). */
const struct pz_checkpoint_tensor *pz_checkpoint_find(const struct pz_checkpoint *c, const char *name);

/** A number stored beside the tensors of a PyTorch file, at the outermost level ("global_step") or one dict
 * below ("dims.n_audio_head"). False when absent. Exact up to 2^53. */
bool pz_checkpoint_number(const struct pz_checkpoint *c, const char *name, double *value);

/** Elements of a tensor (product of the shape; never overflows for tensors of an open file). */
size_t pz_checkpoint_elements(const struct pz_checkpoint_tensor *t);

/** Copy `n` elements (all of them) in row-major order as float; integers are rounded to the nearest float.
 * Errors: FORMAT (`n` differs from the element count; logged). */
PZ_NODISCARD enum pz_status pz_checkpoint_read_f32(struct pz_log *log, const struct pz_checkpoint_tensor *t,
                                                   float *out, size_t n);

/** The same as binary16, rounded to nearest even; what is too large becomes infinite. F16 keeps its bits. */
PZ_NODISCARD enum pz_status pz_checkpoint_read_f16(struct pz_log *log, const struct pz_checkpoint_tensor *t,
                                                   uint16_t *out, size_t n);

/** Copy in the tensor's own type: row-major, native byte order, `n_bytes` = elements × element size.
 * Errors: FORMAT (another size; logged). */
PZ_NODISCARD enum pz_status pz_checkpoint_read(struct pz_log *log, const struct pz_checkpoint_tensor *t,
                                               void *out, size_t n_bytes);

#endif
