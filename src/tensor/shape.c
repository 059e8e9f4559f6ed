/* Shape arithmetic. Knows nothing of data. */
#include "tensor/shape.h"

#include <stdio.h>

size_t pz_shape_count(const struct pz_shape *s)
{
    size_t n = 1;
    for (int i = 0; i < s->rank; i++)
        n *= (size_t)s->dim[i];
    return n;
}

bool pz_shape_valid(const struct pz_shape *s)
{
    size_t n = 1;
    if (s->rank < 0 || s->rank > PZ_MAX_RANK)
        return false;
    for (int i = 0; i < s->rank; i++) {
        if (s->dim[i] < 1)
            return false;
        n *= (size_t)s->dim[i]; /* n ≤ 2^31 before, dim < 2^31: no overflow */
        if (n > PZ_MAX_ELEMENTS)
            return false;
    }
    return true;
}

bool pz_shape_equal(const struct pz_shape *a, const struct pz_shape *b)
{
    if (a->rank != b->rank)
        return false;
    for (int i = 0; i < a->rank; i++)
        if (a->dim[i] != b->dim[i])
            return false;
    return true;
}

bool pz_shape_broadcast(const struct pz_shape *a, const struct pz_shape *b, struct pz_shape *out)
{
    int rank = a->rank > b->rank ? a->rank : b->rank;
    *out = (struct pz_shape){.rank = rank};
    for (int i = 0; i < rank; i++) {
        int ia = i - (rank - a->rank), ib = i - (rank - b->rank);
        int x = ia < 0 ? 1 : a->dim[ia], y = ib < 0 ? 1 : b->dim[ib];
        if (x != y && x != 1 && y != 1)
            return false;
        out->dim[i] = x > y ? x : y;
    }
    return pz_shape_valid(out);
}

const char *pz_shape_text(const struct pz_shape *s, char out[96])
{
    int n = snprintf(out, 96, "[");
    for (int i = 0; i < s->rank && i < PZ_MAX_RANK; i++)
        n += snprintf(out + n, (size_t)(96 - n), "%s%d", i ? "," : "", s->dim[i]);
    snprintf(out + n, (size_t)(96 - n), "]");
    return out;
}
