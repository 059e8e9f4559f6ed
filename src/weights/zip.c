/*
 * Central directory reader for stored zip archives. Does not inflate, does not verify checksums, does not
 * read archives of several volumes or with bytes before their first member.
 */
#include "weights/zip.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define MAX_MEMBERS 1000000
#define END_BYTES 22
#define LOCAL_BYTES 30
#define ENTRY_BYTES 46

static uint64_t get(const uint8_t *p, int n)
{
    uint64_t v = 0;
    while (n-- > 0)
        v = v << 8 | p[n];
    return v;
}

bool pz_zip_is(const uint8_t *data, size_t n)
{
    return n >= 4 && get(data, 4) == 0x04034b50;
}

struct directory {
    uint64_t at, n_bytes, n_members;
};

/* The zip64 record, found through its locator directly before the end record. */
static const char *find_zip64(const uint8_t *data, size_t end, struct directory *d)
{
    if (end < 20 || get(data + end - 20, 4) != 0x07064b50)
        return "its zip64 directory is missing";
    uint64_t at = get(data + end - 12, 8);
    if (at > end - 20 || end - 20 - at < 56 || get(data + at, 4) != 0x06064b50)
        return "its zip64 directory lies outside the file";
    if (get(data + at + 16, 4) != 0 || get(data + at + 20, 4) != 0)
        return "it has several volumes";
    d->n_members = get(data + at + 32, 8);
    d->n_bytes = get(data + at + 40, 8);
    d->at = get(data + at + 48, 8);
    return NULL;
}

static const char *find_directory(const uint8_t *data, size_t n, struct directory *d)
{
    if (n < END_BYTES)
        return "it is too short";
    size_t end = n - END_BYTES, stop = end > 65535 ? end - 65535 : 0;
    while (get(data + end, 4) != 0x06054b50 || get(data + end + 20, 2) != n - END_BYTES - end)
        if (end-- == stop)
            return "it has no directory (is it truncated?)";
    if (get(data + end + 4, 2) != 0 && get(data + end + 4, 2) != 0xffff)
        return "it has several volumes";
    d->n_members = get(data + end + 10, 2);
    d->n_bytes = get(data + end + 12, 4);
    d->at = get(data + end + 16, 4);
    if (d->n_members == 0xffff || d->n_bytes == 0xffffffff || d->at == 0xffffffff) {
        const char *bad = find_zip64(data, end, d);
        if (bad)
            return bad;
    }
    if (d->at > end || d->n_bytes > end - d->at)
        return "its directory lies outside the file";
    return NULL;
}

/* Sizes and offset that did not fit 32 bits, from the zip64 extra field, in this order. */
static bool widen(const uint8_t *extra, size_t n, uint64_t *v[3])
{
    if (*v[0] != 0xffffffff && *v[1] != 0xffffffff && *v[2] != 0xffffffff)
        return true;
    for (size_t i = 0; i + 4 <= n;) {
        size_t len = (size_t)get(extra + i + 2, 2), at = i + 4;
        if (len > n - at)
            return false;
        if (get(extra + i, 2) == 1) {
            for (int k = 0; k < 3; k++) {
                if (*v[k] != 0xffffffff)
                    continue;
                if (len < 8)
                    return false;
                *v[k] = get(extra + at, 8);
                at += 8, len -= 8;
            }
            return true;
        }
        i = at + len;
    }
    return false;
}

/* One directory entry of `left` bytes; its length in `*used`. */
static const char *read_member(const uint8_t *data, const struct directory *d, const uint8_t *e,
                               uint64_t left, struct pz_zip_member *m, uint64_t *used)
{
    if (left < ENTRY_BYTES || get(e, 4) != 0x02014b50)
        return "has a broken directory entry";
    size_t n_name = (size_t)get(e + 28, 2), n_extra = (size_t)get(e + 30, 2);
    *used = ENTRY_BYTES + n_name + n_extra + get(e + 32, 2);
    if (*used > left)
        return "has a directory entry that does not end";
    m->name = (const char *)e + ENTRY_BYTES;
    m->n_name = n_name;
    uint64_t method = get(e + 10, 2), flags = get(e + 8, 2);
    uint64_t packed = get(e + 20, 4), size = get(e + 24, 4), at = get(e + 42, 4);
    if (!widen(e + ENTRY_BYTES + n_name, n_extra, (uint64_t *[3]){&size, &packed, &at}))
        return "has a broken zip64 field";
    if (at > d->at || d->at - at < LOCAL_BYTES || get(data + at, 4) != 0x04034b50)
        return "has no header where the directory says";
    const uint8_t *local = data + at;
    uint64_t n_local = get(local + 26, 2), head = LOCAL_BYTES + n_local + get(local + 28, 2);
    if (head > d->at - at || packed > d->at - at - head)
        return "is larger than the file (is it truncated?)";
    if (n_local != n_name || memcmp(local + LOCAL_BYTES, m->name, n_name) != 0 || get(local + 8, 2) != method)
        return "has two headers that differ";
    m->stored = method == 0 && !(flags & 1);
    if (m->stored && size != packed)
        return "is stored with two sizes";
    m->data = local + head;
    m->n_bytes = (size_t)packed;
    return NULL;
}

static int by_place(const void *a, const void *b)
{
    const struct pz_zip_member *x = a, *y = b;
    if (x->data != y->data)
        return (uintptr_t)x->data < (uintptr_t)y->data ? -1 : 1;
    return (x->n_bytes > y->n_bytes) - (x->n_bytes < y->n_bytes);
}

static int by_name(const void *a, const void *b)
{
    const struct pz_zip_member *x = a, *y = b;
    size_t n = x->n_name < y->n_name ? x->n_name : y->n_name;
    int c = n ? memcmp(x->name, y->name, n) : 0;
    return c ? c : (x->n_name > y->n_name) - (x->n_name < y->n_name);
}

static int shown(const struct pz_zip_member *m)
{
    return m->n_name < 200 ? (int)m->n_name : 200;
}

enum pz_status pz_zip_open(struct pz_log *log, const char *file, const uint8_t *data, size_t n,
                           struct pz_zip *z)
{
    struct directory d;
    enum pz_status st = PZ_OK;
    *z = (struct pz_zip){0};
    const char *bad = find_directory(data, n, &d);
    if (bad)
        return pz_fail(log, PZ_ERR_FORMAT, "'%s' is a broken zip archive: %s", file, bad);
    if (d.n_members > MAX_MEMBERS || d.n_members > d.n_bytes / ENTRY_BYTES)
        return pz_fail(log, PZ_ERR_FORMAT,
                       "'%s' is a broken zip archive: its directory has no room for %llu members", file,
                       (unsigned long long)d.n_members);
    z->members = pz_calloc((size_t)d.n_members + 1, sizeof *z->members);
    if (!z->members)
        return pz_fail(log, PZ_ERR_NOMEM, "no memory to read '%s'", file);
    uint64_t at = d.at, used = 0;
    for (uint64_t i = 0; i < d.n_members; i++, at += used) {
        struct pz_zip_member *m = &z->members[i];
        *m = (struct pz_zip_member){.name = ""};
        bad = read_member(data, &d, data + at, d.at + d.n_bytes - at, m, &used);
        if (bad) {
            st = pz_fail(log, PZ_ERR_FORMAT, "'%s' is a broken zip archive: member %llu '%.*s' %s", file,
                         (unsigned long long)i, shown(m), m->name, bad);
            goto fail;
        }
    }
    z->n_members = (int)d.n_members;
    qsort(z->members, (size_t)z->n_members, sizeof *z->members, by_place);
    for (int i = 1; i < z->n_members; i++)
        if (z->members[i - 1].data + z->members[i - 1].n_bytes > z->members[i].data) {
            st = pz_fail(
                log, PZ_ERR_FORMAT, "'%s' is a broken zip archive: members '%.*s' and '%.*s' overlap", file,
                shown(&z->members[i - 1]), z->members[i - 1].name, shown(&z->members[i]), z->members[i].name);
            goto fail;
        }
    qsort(z->members, (size_t)z->n_members, sizeof *z->members, by_name);
    for (int i = 1; i < z->n_members; i++)
        if (by_name(&z->members[i - 1], &z->members[i]) == 0) {
            st = pz_fail(log, PZ_ERR_FORMAT, "'%s' is a broken zip archive: member '%.*s' appears twice",
                         file, shown(&z->members[i]), z->members[i].name);
            goto fail;
        }
    return PZ_OK;
fail:
    pz_zip_close(z);
    return st;
}

void pz_zip_close(struct pz_zip *z)
{
    pz_free(z->members);
    *z = (struct pz_zip){0};
}

const struct pz_zip_member *pz_zip_find(const struct pz_zip *z, const char *name, size_t n_name)
{
    struct pz_zip_member key = {.name = name, .n_name = n_name};
    if (!z->n_members)
        return NULL;
    return bsearch(&key, z->members, (size_t)z->n_members, sizeof key, by_name);
}
