/* Sizes and names of element types, in one table. */
#include "tensor/dtype.h"

#include <string.h>

static const struct {
    const char *name;
    size_t size;
} table[PZ_DTYPE_COUNT] = {
    [PZ_DTYPE_F32] = {"F32", 4}, [PZ_DTYPE_F16] = {"F16", 2}, [PZ_DTYPE_BF16] = {"BF16", 2},
    [PZ_DTYPE_F64] = {"F64", 8}, [PZ_DTYPE_I8] = {"I8", 1},   [PZ_DTYPE_U8] = {"U8", 1},
    [PZ_DTYPE_I16] = {"I16", 2}, [PZ_DTYPE_I32] = {"I32", 4}, [PZ_DTYPE_I64] = {"I64", 8},
};

size_t pz_dtype_size(enum pz_dtype t)
{
    return (unsigned)t < PZ_DTYPE_COUNT ? table[t].size : 0;
}

const char *pz_dtype_name(enum pz_dtype t)
{
    return (unsigned)t < PZ_DTYPE_COUNT ? table[t].name : "?";
}

enum pz_dtype pz_dtype_from_name(const char *name, size_t n)
{
    for (int i = 0; i < PZ_DTYPE_COUNT; i++)
        if (strlen(table[i].name) == n && memcmp(table[i].name, name, n) == 0)
            return (enum pz_dtype)i;
    if (n == 4 && memcmp(name, "BOOL", 4) == 0)
        return PZ_DTYPE_U8;
    return PZ_DTYPE_COUNT;
}
