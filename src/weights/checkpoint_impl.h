/* What the files of the checkpoint reader share. Not for other modules. */
#ifndef PZ_WEIGHTS_CHECKPOINT_IMPL_H
#define PZ_WEIGHTS_CHECKPOINT_IMPL_H

#include "base/file.h"
#include "weights/checkpoint.h"
#include "weights/safetensors.h"

#define PZ_CHECKPOINT_MAX_TENSORS (1 << 18)
#define PZ_CHECKPOINT_MAX_NAME 1024

struct pz_checkpoint_number {
    const char *name;
    double value;
};

struct pz_name_block; /* names are kept in blocks, so that they never move */

struct pz_checkpoint {
    char *path; /* for messages */
    const char *format;
    struct pz_map map;
    struct pz_safetensors *st;
    struct pz_checkpoint **shards;
    int n_shards, cap_shards;
    struct pz_checkpoint_tensor *tensors;
    int n_tensors, cap_tensors;
    struct pz_checkpoint_number *numbers;
    int n_numbers, cap_numbers;
    struct pz_name_block *names;
    struct pz_checkpoint_options options;
    const struct pz_job *job; /* while opening only */
    struct pz_log *log;       /* while opening only */
};

/** Add a tensor under `t->name`, which is copied with options.remove applied. Computes `contiguous`. */
PZ_NODISCARD enum pz_status pz_checkpoint_add(struct pz_checkpoint *c, const struct pz_checkpoint_tensor *t);

/** Add a number. Surplus ones (more than 4096) are dropped. */
PZ_NODISCARD enum pz_status pz_checkpoint_add_number(struct pz_checkpoint *c, const char *name, double value);

/** Make room for one more in an array of `size`-byte items. */
PZ_NODISCARD enum pz_status pz_checkpoint_room(struct pz_checkpoint *c, void *array, int n, int *cap,
                                               size_t size);

/** pz_checkpoint_open_with() for a file that may not be an index itself (no cycles). */
PZ_NODISCARD enum pz_status pz_checkpoint_open_shard(const char *path,
                                                     const struct pz_checkpoint_options *options,
                                                     const struct pz_job *job, struct pz_checkpoint **out);

/** Contents of one kind, added to `c`. `data` outlives `c`. */
PZ_NODISCARD enum pz_status pz_pytorch_zip_load(struct pz_checkpoint *c, const uint8_t *data, size_t n);
PZ_NODISCARD enum pz_status pz_pytorch_legacy_load(struct pz_checkpoint *c, const uint8_t *data, size_t n);
PZ_NODISCARD enum pz_status pz_checkpoint_index_load(struct pz_checkpoint *c, const char *text, size_t n);

#endif
