/* Checked, 64-byte aligned allocation. Alignment serves vector loads; size overflow gives NULL. */
#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool pz_mul(size_t a, size_t b, size_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}

void *pz_calloc(size_t n, size_t size)
{
    size_t bytes;
    if (!pz_mul(n, size, &bytes) || bytes > PTRDIFF_MAX - 64)
        return NULL;
    size_t padded = (bytes + 63) & ~(size_t)63;
    void *p = aligned_alloc(64, padded ? padded : 64);
    if (p)
        memset(p, 0, padded ? padded : 64);
    return p;
}

void *pz_regrow(void *p, size_t old_n, size_t n, size_t size)
{
    void *q = pz_calloc(n, size);
    if (!q)
        return NULL;
    if (p)
        memcpy(q, p, (old_n < n ? old_n : n) * size);
    free(p);
    return q;
}

void pz_free(void *p)
{
    free(p);
}

char *pz_strdup(const char *s)
{
    if (!s)
        return NULL;
    size_t n = strlen(s) + 1;
    char *q = pz_calloc(n, 1);
    if (q)
        memcpy(q, s, n);
    return q;
}

char *pz_asprintf(const char *fmt, ...)
{
    va_list ap, ap2;
    va_start(ap, fmt);
    va_copy(ap2, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *s = n < 0 ? NULL : pz_calloc((size_t)n + 1, 1);
    if (s)
        vsnprintf(s, (size_t)n + 1, fmt, ap2);
    va_end(ap2);
    return s;
}

int64_t pz_peak_rss(void)
{
    FILE *f = fopen("/proc/self/status", "r");
    if (!f)
        return 0;
    char line[256];
    long long kib = 0;
    while (fgets(line, sizeof line, f))
        if (sscanf(line, "VmHWM: %lld", &kib) == 1)
            break;
    fclose(f);
    return (int64_t)kib * 1024;
}
