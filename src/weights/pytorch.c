/*
 * PyTorch's two containers: a zip with data.pkl and one member a storage (torch ≥ 1.6), and the older stream
 * of five pickles followed by the storages. Finds the storages' bytes; pytorch_collect.c lists the tensors.
 * Source: spec/wav2lip.md §1.2, §1.3. Does not read tar containers (torch < 0.1.10).
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "weights/pytorch_collect.h"
#include "weights/zip.h"

/* ---- zip ---- */

struct archive {
    struct pz_zip zip;
    const char *top; /* "folder/" all members lie in */
    size_t n_top;
};

static bool ends(const struct pz_zip_member *m, const char *s)
{
    size_t n = strlen(s);
    return m->n_name > n && memcmp(m->name + m->n_name - n, s, n) == 0;
}

/* Member `top` + a + b. */
static const struct pz_zip_member *member(const struct archive *a, const char *dir, const char *name,
                                          size_t n)
{
    char path[512];
    size_t n_dir = strlen(dir);
    if (n > sizeof path || a->n_top + n_dir > sizeof path - n)
        return NULL;
    memcpy(path, a->top, a->n_top);
    memcpy(path + a->n_top, dir, n_dir);
    memcpy(path + a->n_top + n_dir, name, n);
    return pz_zip_find(&a->zip, path, a->n_top + n_dir + n);
}

static bool zip_storage(const void *user, const char *key, size_t n_key, const uint8_t **data, size_t *n)
{
    const struct pz_zip_member *m = member(user, "data/", key, n_key);
    if (!m || !m->stored)
        return false;
    *data = m->data;
    *n = m->n_bytes;
    return true;
}

static bool is_text(const struct pz_zip_member *m, const char *s)
{
    return m && m->n_bytes == strlen(s) && memcmp(m->data, s, m->n_bytes) == 0;
}

static enum pz_status load_archive(struct pz_checkpoint *c, struct archive *a, struct pz_pickle *p)
{
    const struct pz_zip_member *pkl = NULL;
    for (int i = 0; i < a->zip.n_members; i++) {
        const struct pz_zip_member *m = &a->zip.members[i];
        if (!m->stored)
            return pz_fail(
                c->log, PZ_ERR_UNSUPPORTED,
                "'%s': member '%.*s' is compressed or encrypted; PyTorch stores its members as they are",
                c->path, m->n_name < 200 ? (int)m->n_name : 200, m->name);
        if (ends(m, "/data.pkl") && (!pkl || m->n_name < pkl->n_name))
            pkl = m;
    }
    if (!pkl)
        return pz_fail(c->log, PZ_ERR_INPUT,
                       "'%s' is a zip archive, but holds no PyTorch checkpoint (no data.pkl)", c->path);
    a->top = pkl->name;
    a->n_top = pkl->n_name - strlen("data.pkl");
    if (pkl->n_bytes > PZ_PICKLE_MAX_BYTES)
        return pz_fail(c->log, PZ_ERR_FORMAT, "'%s': its data.pkl has %zu bytes, at most %zu are read",
                       c->path, pkl->n_bytes, PZ_PICKLE_MAX_BYTES);
    const struct pz_zip_member *order = member(a, "", "byteorder", strlen("byteorder"));
    if (order && !is_text(order, "little") && !is_text(order, "big"))
        return pz_fail(c->log, PZ_ERR_FORMAT, "'%s': its byte order is neither little nor big", c->path);
    enum pz_status st = pz_pickle_read(p, c->log, c->path, pkl->data, pkl->n_bytes);
    if (st < PZ_OK)
        return st;
    return pz_pytorch_collect(c, p, order && is_text(order, "big"), zip_storage, a);
}

enum pz_status pz_pytorch_zip_load(struct pz_checkpoint *c, const uint8_t *data, size_t n)
{
    struct archive a = {0};
    struct pz_pickle p = {0};
    c->format = "PyTorch zip";
    enum pz_status st = pz_zip_open(c->log, c->path, data, n, &a.zip);
    if (st >= PZ_OK)
        st = load_archive(c, &a, &p);
    pz_pickle_free(&p);
    pz_zip_close(&a.zip);
    return st;
}

/* ---- legacy ---- */

struct span {
    const char *key;
    size_t n_key;
    const uint8_t *data;
    size_t n_bytes, elem;
};

struct spans {
    struct span *items;
    size_t n;
};

static int by_key(const void *a, const void *b)
{
    const struct span *x = a, *y = b;
    size_t n = x->n_key < y->n_key ? x->n_key : y->n_key;
    int c = n ? memcmp(x->key, y->key, n) : 0;
    return c ? c : (x->n_key > y->n_key) - (x->n_key < y->n_key);
}

static struct span *find_span(const struct spans *s, const char *key, size_t n_key)
{
    struct span want = {.key = key, .n_key = n_key};
    return s->n ? bsearch(&want, s->items, s->n, sizeof want, by_key) : NULL;
}

static bool legacy_storage(const void *user, const char *key, size_t n_key, const uint8_t **data, size_t *n)
{
    const struct span *s = find_span(user, key, n_key);
    if (!s || !s->data)
        return false;
    *data = s->data;
    *n = s->n_bytes;
    return true;
}

/* The distinct storages the pickle names, with their element sizes, sorted by key. */
static enum pz_status list_storages(struct pz_checkpoint *c, const struct pz_pickle *p, struct spans *s)
{
    s->items = pz_calloc((size_t)p->n_storages + 1, sizeof *s->items);
    if (!s->items)
        return pz_fail(c->log, PZ_ERR_NOMEM, "no memory for the storages of '%s'", c->path);
    for (uint32_t i = 0; i < p->n_storages; i++) {
        const struct pz_pickle_storage *st = &p->storages[i];
        if (st->elem == 0) {
            char type[128];
            pz_pickle_class_name(p, &p->nodes[st->type], type, sizeof type);
            return pz_fail(c->log, PZ_ERR_UNSUPPORTED,
                           "'%s' holds a storage of type %s, which this program does not read", c->path,
                           type);
        }
        s->items[i] =
            (struct span){.key = (const char *)p->data + st->key, .n_key = st->n_key, .elem = st->elem};
    }
    if (p->n_storages)
        qsort(s->items, p->n_storages, sizeof *s->items, by_key);
    for (uint32_t i = 0; i < p->n_storages; i++) {
        if (s->n && by_key(&s->items[s->n - 1], &s->items[i]) == 0) {
            if (s->items[s->n - 1].elem != s->items[i].elem)
                return pz_fail(c->log, PZ_ERR_FORMAT, "'%s': one of its storages has two types", c->path);
            continue;
        }
        s->items[s->n++] = s->items[i];
    }
    return PZ_OK;
}

/* The storages' bytes, in the order of the list of keys: int64 count, then the elements. */
static enum pz_status place_storages(struct pz_checkpoint *c, const struct pz_pickle *keys, bool swapped,
                                     const uint8_t *d, size_t n, struct spans *s)
{
    const struct pz_pickle_node *list = &keys->nodes[keys->root];
    if (list->kind != PZ_PICKLE_LIST)
        return pz_fail(c->log, PZ_ERR_FORMAT, "'%s': its list of storages is missing", c->path);
    size_t at = 0;
    for (uint32_t cell = list->u.items.head; cell; cell = keys->cells[cell].next) {
        const struct pz_pickle_node *k = &keys->nodes[keys->cells[cell].node];
        if (k->kind != PZ_PICKLE_STRING)
            return pz_fail(c->log, PZ_ERR_FORMAT, "'%s': its list of storages holds something else", c->path);
        const char *key = (const char *)keys->data + k->u.text.off;
        int shown = k->u.text.len < 100 ? (int)k->u.text.len : 100;
        struct span *span = find_span(s, key, k->u.text.len);
        if (!span || span->data)
            return pz_fail(c->log, PZ_ERR_FORMAT, "'%s': storage '%.*s' %s", c->path, shown, key,
                           span ? "is listed twice" : "belongs to no tensor, so its size is unknown");
        if (n - at < 8)
            return pz_fail(c->log, PZ_ERR_FORMAT, "'%s' is truncated: storage '%.*s' is missing", c->path,
                           shown, key);
        uint64_t numel = 0;
        for (int i = 0; i < 8; i++)
            numel = numel << 8 | d[at + (size_t)(swapped ? i : 7 - i)];
        at += 8;
        if (numel > (n - at) / span->elem)
            return pz_fail(c->log, PZ_ERR_FORMAT,
                           "'%s' is truncated: storage '%.*s' has %" PRIu64
                           " elements of %zu bytes, %zu bytes are left",
                           c->path, shown, key, numel, span->elem, n - at);
        span->data = d + at;
        span->n_bytes = (size_t)numel * span->elem;
        at += span->n_bytes;
    }
    if (at != n)
        return pz_fail(c->log, PZ_ERR_FORMAT, "'%s': %zu bytes behind its last storage", c->path, n - at);
    return PZ_OK;
}

static bool is_magic(const struct pz_pickle *p)
{
    static const uint8_t magic[10] = {0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19};
    const struct pz_pickle_node *v = &p->nodes[p->root];
    return v->kind == PZ_PICKLE_BIGINT && v->u.text.len == sizeof magic &&
           memcmp(p->data + v->u.text.off, magic, sizeof magic) == 0;
}

/* Magic number, version, description of the writing machine. */
static enum pz_status read_prologue(struct pz_checkpoint *c, const uint8_t *d, size_t n, size_t *at,
                                    bool *swapped)
{
    enum pz_status st = PZ_OK;
    *at = 0;
    *swapped = false;
    for (int i = 0; i < 3 && st >= PZ_OK; i++) {
        struct pz_pickle p;
        st = pz_pickle_read(&p, c->log, c->path, d + *at, n - *at);
        if (st >= PZ_OK) {
            const struct pz_pickle_node *v = &p.nodes[p.root];
            *at += p.at;
            if (i == 0 && !is_magic(&p))
                st = pz_fail(c->log, PZ_ERR_INPUT, "'%s' is a pickle, but no PyTorch checkpoint", c->path);
            else if (i == 1 && (v->kind != PZ_PICKLE_INT || v->u.i != 1001))
                st = pz_fail(c->log, PZ_ERR_UNSUPPORTED,
                             "'%s' is of a version of PyTorch's old format other than 1001", c->path);
            if (i == 2) {
                v = pz_pickle_get(&p, v, "little_endian");
                *swapped = v && v->kind == PZ_PICKLE_BOOL && !v->u.i;
            }
        }
        pz_pickle_free(&p);
    }
    return st;
}

enum pz_status pz_pytorch_legacy_load(struct pz_checkpoint *c, const uint8_t *data, size_t n)
{
    struct pz_pickle p = {0}, keys = {0};
    struct spans spans = {0};
    size_t at;
    bool swapped;
    enum pz_status st;
    c->format = "PyTorch legacy";
    PZ_TRY(read_prologue(c, data, n, &at, &swapped));
    PZ_TRY(pz_pickle_read(&p, c->log, c->path, data + at, n - at));
    at += p.at;
    PZ_TRY(pz_pickle_read(&keys, c->log, c->path, data + at, n - at));
    at += keys.at;
    PZ_TRY(list_storages(c, &p, &spans));
    PZ_TRY(place_storages(c, &keys, swapped, data + at, n - at, &spans));
    PZ_TRY(pz_pytorch_collect(c, &p, swapped, legacy_storage, &spans));
fail:
    pz_free(spans.items);
    pz_pickle_free(&p);
    pz_pickle_free(&keys);
    return st;
}
