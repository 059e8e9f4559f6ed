/** Rational numbers for time bases and rates: all edit arithmetic is in integers. */
#ifndef PZ_BASE_RATIONAL_H
#define PZ_BASE_RATIONAL_H

#include <stdint.h>

struct pz_rational {
    int64_t num, den; /**< den > 0 */
};

/** `a` units of `from` seconds expressed in units of `to` seconds, rounded to nearest (ties away from zero),
 * exact in 128 bits. */
int64_t pz_rescale(int64_t a, struct pz_rational from, struct pz_rational to);

/** Seconds as a double, for display and JSON only. */
double pz_seconds(int64_t a, struct pz_rational base);

#endif
