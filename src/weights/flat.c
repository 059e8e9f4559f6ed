/* See flat.h. Little-endian bytes are put together by hand: nothing in such files need be aligned. */
#include "weights/flat.h"

#include <math.h>
#include <string.h>

uint64_t pz_flat_uint(struct pz_flat *f, size_t at, int n_bytes)
{
    uint64_t v = 0;
    if (f->bad || at > f->n || (size_t)n_bytes > f->n - at) {
        f->bad = true;
        return 0;
    }
    for (int i = n_bytes - 1; i >= 0; i--)
        v = v << 8 | f->d[at + (size_t)i];
    return v;
}

/* Follow an unsigned offset stored at `at`. */
static size_t follow(struct pz_flat *f, size_t at)
{
    size_t to = at + (size_t)pz_flat_uint(f, at, 4); /* at < n and the offset < 2^32: no overflow in size_t */
    if (f->bad || to > f->n) {
        f->bad = true;
        return 0;
    }
    return to;
}

size_t pz_flat_root(struct pz_flat *f)
{
    return follow(f, 0);
}

size_t pz_flat_field(struct pz_flat *f, size_t table, int id)
{
    int64_t back = (int32_t)pz_flat_uint(f, table, 4);
    int64_t vtable = (int64_t)table - back;
    if (f->bad || vtable < 0 || (uint64_t)vtable > f->n) {
        f->bad = true;
        return 0;
    }
    size_t size = (size_t)pz_flat_uint(f, (size_t)vtable, 2), slot = 4 + 2 * (size_t)id;
    if (f->bad || slot + 2 > size)
        return 0;
    size_t offset = (size_t)pz_flat_uint(f, (size_t)vtable + slot, 2);
    return f->bad || offset == 0 ? 0 : table + offset;
}

int32_t pz_flat_i32(struct pz_flat *f, size_t table, int id, int32_t absent)
{
    size_t at = pz_flat_field(f, table, id);
    return at ? (int32_t)pz_flat_uint(f, at, 4) : absent;
}

int pz_flat_u8(struct pz_flat *f, size_t table, int id, int absent)
{
    size_t at = pz_flat_field(f, table, id);
    return at ? (int)pz_flat_uint(f, at, 1) : absent;
}

size_t pz_flat_table(struct pz_flat *f, size_t table, int id)
{
    size_t at = pz_flat_field(f, table, id);
    return at ? follow(f, at) : 0;
}

struct pz_flat_vec pz_flat_vector(struct pz_flat *f, size_t table, int id, size_t item_bytes)
{
    size_t at = pz_flat_table(f, table, id);
    if (!at)
        return (struct pz_flat_vec){0, 0};
    size_t n = (size_t)pz_flat_uint(f, at, 4);
    if (f->bad || n > (f->n - at - 4) / item_bytes) {
        f->bad = true;
        return (struct pz_flat_vec){0, 0};
    }
    return (struct pz_flat_vec){at + 4, n};
}

size_t pz_flat_item_table(struct pz_flat *f, struct pz_flat_vec v, size_t i)
{
    if (i >= v.n) {
        f->bad = true;
        return 0;
    }
    return follow(f, v.at + 4 * i);
}

void pz_flat_text(struct pz_flat *f, size_t table, int id, char *out, size_t n)
{
    struct pz_flat_vec v = pz_flat_vector(f, table, id, 1);
    size_t m = v.n < n ? v.n : n - 1;
    if (m)
        memcpy(out, f->d + v.at, m);
    out[m] = '\0';
}

/* ---- FlexBuffers ------------------------------------------------------------------------------------------
 */

enum {
    FLEX_INT = 1,
    FLEX_UINT,
    FLEX_FLOAT,
    FLEX_INDIRECT_INT = 6,
    FLEX_INDIRECT_UINT,
    FLEX_INDIRECT_FLOAT,
    FLEX_MAP,
    FLEX_VECTOR,
    FLEX_VECTOR_INT,
    FLEX_VECTOR_UINT
};

struct flex {
    size_t at;               /* where the value lies */
    int type, parent, child; /* widths in bytes: of the slot, and of what it points to */
};

/* Offsets of FlexBuffers point backwards. */
static size_t back(struct pz_flat *f, size_t at, int width)
{
    uint64_t o = pz_flat_uint(f, at, width);
    if (f->bad || o > at) {
        f->bad = true;
        return 0;
    }
    return at - (size_t)o;
}

static bool lookup(struct pz_flat *f, const char *key, struct flex *out)
{
    if (f->n < 3)
        return false;
    int root_width = f->d[f->n - 1], packed = f->d[f->n - 2];
    if ((root_width != 1 && root_width != 2 && root_width != 4 && root_width != 8) ||
        packed >> 2 != FLEX_MAP || f->n < 2 + (size_t)root_width)
        return false;
    int w = 1 << (packed & 3);
    size_t map = back(f, f->n - 2 - (size_t)root_width, root_width);
    if (f->bad || map < 3 * (size_t)w)
        return false;
    uint64_t n = pz_flat_uint(f, map - (size_t)w, w), kw = pz_flat_uint(f, map - 2 * (size_t)w, w);
    size_t keys = back(f, map - 3 * (size_t)w, w);
    if (f->bad || n > f->n || (kw != 1 && kw != 2 && kw != 4 && kw != 8))
        return false;
    size_t len = strlen(key) + 1;
    for (size_t i = 0; i < n && !f->bad; i++) {
        size_t k = back(f, keys + i * (size_t)kw, (int)kw);
        if (f->bad || k > f->n || len > f->n - k || memcmp(f->d + k, key, len) != 0)
            continue;
        int p = (int)pz_flat_uint(f, map + (size_t)n * (size_t)w + i, 1);
        *out = (struct flex){map + i * (size_t)w, p >> 2, w, 1 << (p & 3)};
        return !f->bad;
    }
    return false;
}

static double number(struct pz_flat *f, size_t at, int width, int type)
{
    uint64_t v = pz_flat_uint(f, at, width);
    if (type == FLEX_FLOAT) {
        if (width == 4) {
            uint32_t u = (uint32_t)v;
            float x;
            memcpy(&x, &u, 4);
            return (double)x;
        }
        double x = 0;
        if (width == 8)
            memcpy(&x, &v, 8);
        else
            f->bad = true;
        return x;
    }
    if (type == FLEX_INT && width < 8 && v >> (8 * width - 1))
        v |= ~UINT64_C(0) << (8 * width);
    return type == FLEX_INT ? (double)(int64_t)v : (double)v;
}

bool pz_flex_number(const uint8_t *data, size_t n, const char *key, double *out)
{
    struct pz_flat f = {data, n, false};
    struct flex v;
    *out = 0;
    if (!lookup(&f, key, &v))
        return false;
    if (v.type >= FLEX_INT && v.type <= FLEX_FLOAT)
        *out = number(&f, v.at, v.parent, v.type);
    else if (v.type >= FLEX_INDIRECT_INT && v.type <= FLEX_INDIRECT_FLOAT)
        *out = number(&f, back(&f, v.at, v.parent), v.child, v.type - FLEX_INDIRECT_INT + FLEX_INT);
    else
        return false;
    return !f.bad && isfinite(*out);
}

int pz_flex_ints(const uint8_t *data, size_t n, const char *key, int *out, int cap)
{
    struct pz_flat f = {data, n, false};
    struct flex v;
    if (!lookup(&f, key, &v) || v.type < FLEX_VECTOR || v.type > FLEX_VECTOR_UINT)
        return -1;
    size_t at = back(&f, v.at, v.parent), w = (size_t)v.child;
    uint64_t count = at >= w ? pz_flat_uint(&f, at - w, (int)w) : 0;
    if (f.bad || count > n)
        return -1;
    for (size_t i = 0; i < count && i < (size_t)cap; i++) {
        int type = v.type - FLEX_VECTOR_INT + FLEX_INT;
        if (v.type == FLEX_VECTOR) {
            type = (int)pz_flat_uint(&f, at + (size_t)count * w + i, 1) >> 2;
            if (type != FLEX_INT && type != FLEX_UINT)
                return -1;
        }
        double x = number(&f, at + i * w, (int)w, type);
        if (f.bad || x < -2147483648.0 || x > 2147483647.0)
            return -1;
        out[i] = (int)x;
    }
    return (int)count;
}
