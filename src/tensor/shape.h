/** Shapes of dense tensors: outermost axis first, last axis contiguous, every extent ≥ 1. */
#ifndef PZ_TENSOR_SHAPE_H
#define PZ_TENSOR_SHAPE_H

#include <stdbool.h>
#include <stddef.h>

#define PZ_MAX_RANK 6

struct pz_shape {
    int rank; /**< 0 … PZ_MAX_RANK; 0 is a scalar */
    int dim[PZ_MAX_RANK];
};

/** Most elements a tensor may have, so that products of a few sizes never overflow. */
#define PZ_MAX_ELEMENTS ((size_t)1 << 31)

/** Elements of a valid shape. */
size_t pz_shape_count(const struct pz_shape *s);

/** True when rank, extents and the element count are within their limits. */
bool pz_shape_valid(const struct pz_shape *s);

bool pz_shape_equal(const struct pz_shape *a, const struct pz_shape *b);

/** Shape of an elementwise result under NumPy's broadcast rule; false when the shapes do not fit. */
bool pz_shape_broadcast(const struct pz_shape *a, const struct pz_shape *b, struct pz_shape *out);

/** "[1,96,96,16]" into `out` (at least 96 bytes); returns `out`. */
const char *pz_shape_text(const struct pz_shape *s, char out[96]);

#endif
