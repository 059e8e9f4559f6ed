/** Monotonic clock for reports. */
#ifndef PZ_BASE_CLOCK_H
#define PZ_BASE_CLOCK_H

/** Seconds since an arbitrary start, never going back. */
double pz_now(void);

#endif
