/* From a pickle's value tree to a checkpoint's tensors. Between pytorch.c and pytorch_collect.c. */
#ifndef PZ_WEIGHTS_PYTORCH_COLLECT_H
#define PZ_WEIGHTS_PYTORCH_COLLECT_H

#include "weights/checkpoint_impl.h"
#include "weights/pytorch_pickle.h"

/** Where a storage's bytes lie; false when the file has none of that key. */
typedef bool (*pz_storage_find_fn)(const void *user, const char *key, size_t n_key, const uint8_t **data,
                                   size_t *n);

/**
 * Add every tensor of the state dict in `p` to `c` (which one: pz_checkpoint_options.root) and the numbers
 * beside it. `swapped`: the storages are big-endian. Errors: FORMAT, UNSUPPORTED, NOMEM, CANCELLED (logged
 * with the tensor's name). Sets marks in `p`'s nodes.
 */
PZ_NODISCARD enum pz_status pz_pytorch_collect(struct pz_checkpoint *c, struct pz_pickle *p, bool swapped,
                                               pz_storage_find_fn find, const void *user);

#endif
