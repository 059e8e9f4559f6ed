/**
 * Memory: overflow-checked allocation. Out of memory is returned, never fatal.
 */
#ifndef PZ_BASE_MEM_H
#define PZ_BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Zeroed array of `n` items of `size` bytes, aligned to 64 bytes; NULL on overflow or no memory. Free with
 * pz_free(). */
void *pz_calloc(size_t n, size_t size);

/** Grow or shrink an array from pz_calloc(), keeping the first min(old_n, n) items; new items are zero.
 *  NULL on failure, then `p` is still valid. */
void *pz_regrow(void *p, size_t old_n, size_t n, size_t size);

/** Free what pz_calloc()/pz_regrow()/pz_strdup() gave. NULL is allowed. */
void pz_free(void *p);

/** Copy of a string (NULL gives NULL). Free with pz_free(). */
char *pz_strdup(const char *s);

/** Formatted string on the heap, NULL on no memory. Free with pz_free(). */
char *pz_asprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/** `*out = a*b`, false on overflow. */
bool pz_mul(size_t a, size_t b, size_t *out);

/** Peak resident memory of this process in bytes (VmHWM), 0 when unknown. */
int64_t pz_peak_rss(void);

#endif
