/** Orders for qsort(): numbers ascending. NaN is equal to everything, as comparing says; keep it out. */
#ifndef PZ_BASE_ORDER_H
#define PZ_BASE_ORDER_H

static inline int pz_by_float(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static inline int pz_by_double(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

#endif
