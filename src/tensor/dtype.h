/**
 * Element types of tensors and of stored weights.
 */
#ifndef PZ_TENSOR_DTYPE_H
#define PZ_TENSOR_DTYPE_H

#include <stddef.h>

enum pz_dtype {
    PZ_DTYPE_F32 = 0,
    PZ_DTYPE_F16,  /**< IEEE 754 binary16 */
    PZ_DTYPE_BF16, /**< upper half of a binary32 */
    PZ_DTYPE_F64,
    PZ_DTYPE_I8,
    PZ_DTYPE_U8,
    PZ_DTYPE_I16,
    PZ_DTYPE_I32,
    PZ_DTYPE_I64,
    PZ_DTYPE_COUNT
};

/** Bytes of one element; 0 for a value outside the enum. */
size_t pz_dtype_size(enum pz_dtype t);

/** Name as in safetensors files ("F32", "BF16", …); "?" outside the enum. */
const char *pz_dtype_name(enum pz_dtype t);

/** Type of a safetensors name of `n` bytes, PZ_DTYPE_COUNT when unknown. "BOOL" reads as U8. */
enum pz_dtype pz_dtype_from_name(const char *name, size_t n);

#endif
