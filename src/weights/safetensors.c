/*
 * safetensors reader: a strict parser for the little JSON such headers may hold, then bounds, overlap and
 * hole checks as the format demands. Does not convert (but for read_f32), does not follow indices over
 * several files.
 */
#include "weights/safetensors.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "tensor/half.h"

#define MAX_HEADER ((uint64_t)100 << 20)
#define MAX_TENSORS 1000000

struct pz_safetensors {
    struct pz_map map;
    char *name;    /* for messages */
    char *strings; /* decoded names, keys and values; never longer than the header */
    struct pz_stored_tensor *tensors;
    int n_tensors, cap_tensors;
    struct pz_stored_text *meta;
    int n_meta, cap_meta;
};

struct cursor {
    const char *p, *end;
    char *out; /* next free byte of `strings` */
    struct pz_safetensors *st;
    const uint8_t *data; /* the tensor section */
    size_t n_data;
};

static void skip_space(struct cursor *c)
{
    while (c->p < c->end && (*c->p == ' ' || *c->p == '\t' || *c->p == '\n' || *c->p == '\r'))
        c->p++;
}

static bool take(struct cursor *c, char ch)
{
    skip_space(c);
    if (c->p >= c->end || *c->p != ch)
        return false;
    c->p++;
    return true;
}

static bool hex4(struct cursor *c, uint32_t *v)
{
    if (c->end - c->p < 4)
        return false;
    *v = 0;
    for (int i = 0; i < 4; i++) {
        char ch = *c->p++;
        uint32_t d;
        if (ch >= '0' && ch <= '9')
            d = (uint32_t)(ch - '0');
        else if (ch >= 'a' && ch <= 'f')
            d = (uint32_t)(ch - 'a' + 10);
        else if (ch >= 'A' && ch <= 'F')
            d = (uint32_t)(ch - 'A' + 10);
        else
            return false;
        *v = *v * 16 + d;
    }
    return true;
}

static bool put_code_point(struct cursor *c)
{
    uint32_t u, lo;
    if (!hex4(c, &u) || u == 0)
        return false;
    if (u >= 0xd800 && u < 0xdc00) {
        if (c->end - c->p < 6 || c->p[0] != '\\' || c->p[1] != 'u')
            return false;
        c->p += 2;
        if (!hex4(c, &lo) || lo < 0xdc00 || lo > 0xdfff)
            return false;
        u = 0x10000 + ((u - 0xd800) << 10) + (lo - 0xdc00);
    } else if (u >= 0xdc00 && u < 0xe000) {
        return false;
    }
    if (u <
        0x80) { /* an escape is 6 or 12 bytes long, so the UTF-8 form always fits its place in `strings` */
        *c->out++ = (char)u;
    } else if (u < 0x800) {
        *c->out++ = (char)(0xc0 | (u >> 6));
        *c->out++ = (char)(0x80 | (u & 63));
    } else if (u < 0x10000) {
        *c->out++ = (char)(0xe0 | (u >> 12));
        *c->out++ = (char)(0x80 | ((u >> 6) & 63));
        *c->out++ = (char)(0x80 | (u & 63));
    } else {
        *c->out++ = (char)(0xf0 | (u >> 18));
        *c->out++ = (char)(0x80 | ((u >> 12) & 63));
        *c->out++ = (char)(0x80 | ((u >> 6) & 63));
        *c->out++ = (char)(0x80 | (u & 63));
    }
    return true;
}

/* A JSON string, decoded into `strings`. Zero bytes are refused: names are C strings here. */
static const char *parse_string(struct cursor *c)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (!take(c, '"'))
        return NULL;
    const char *start = c->out;
    while (c->p < c->end) {
        char ch = *c->p++;
        if (ch == '"') {
            *c->out++ = '\0'; /* takes the place of the opening quote, so there is room */
            return start;
        }
        if ((unsigned char)ch < 0x20)
            return NULL;
        if (ch != '\\') {
            *c->out++ = ch;
            continue;
        }
        if (c->p >= c->end)
            return NULL;
        ch = *c->p++;
        if (ch == 'u') {
            if (!put_code_point(c))
                return NULL;
            continue;
        }
        const char *hit = ch ? strchr(from, ch) : NULL;
        if (!hit)
            return NULL;
        *c->out++ = to[hit - from];
    }
    return NULL;
}

static bool parse_u63(struct cursor *c, int64_t *v)
{
    skip_space(c);
    if (c->p >= c->end || *c->p < '0' || *c->p > '9')
        return false;
    *v = 0;
    while (c->p < c->end && *c->p >= '0' && *c->p <= '9')
        if (__builtin_mul_overflow(*v, (int64_t)10, v) ||
            __builtin_add_overflow(*v, (int64_t)(*c->p++ - '0'), v))
            return false;
    return true;
}

static bool parse_ints(struct cursor *c, int64_t *v, int cap, int *n)
{
    *n = 0;
    if (!take(c, '['))
        return false;
    if (take(c, ']'))
        return true;
    do {
        if (*n >= cap || !parse_u63(c, &v[*n]))
            return false;
        (*n)++;
    } while (take(c, ','));
    return take(c, ']');
}

static bool shape_bytes(const struct pz_stored_tensor *t, size_t *bytes)
{
    size_t n = pz_dtype_size(t->dtype);
    for (int i = 0; i < t->rank; i++)
        if (t->shape[i] < 0 || !pz_mul(n, (size_t)t->shape[i], &n))
            return false;
    *bytes = n;
    return n <= PTRDIFF_MAX;
}

/* {"dtype": …, "shape": […], "data_offsets": [a, b]}; NULL = fine, else what is wrong. */
static const char *parse_tensor(struct cursor *c, struct pz_stored_tensor *t)
{
    unsigned seen = 0;
    int64_t span[2] = {0, 0};
    int n;
    if (!take(c, '{'))
        return "is not an object";
    do {
        const char *key = parse_string(c);
        if (!key || !take(c, ':'))
            return "has broken JSON";
        if (strcmp(key, "dtype") == 0) {
            const char *v = parse_string(c);
            if (!v)
                return "has broken JSON";
            t->dtype = pz_dtype_from_name(v, strlen(v));
            if (t->dtype == PZ_DTYPE_COUNT)
                return "has a type this program does not read";
            seen |= 1;
        } else if (strcmp(key, "shape") == 0) {
            if (!parse_ints(c, t->shape, PZ_SAFETENSORS_MAX_RANK, &t->rank))
                return "has a bad shape";
            seen |= 2;
        } else if (strcmp(key, "data_offsets") == 0) {
            if (!parse_ints(c, span, 2, &n) || n != 2)
                return "has bad offsets";
            seen |= 4;
        } else {
            return "has an unknown field";
        }
    } while (take(c, ','));
    if (!take(c, '}') || seen != 7)
        return "is incomplete";
    if (span[0] > span[1] || (uint64_t)span[1] > c->n_data)
        return "lies outside the file";
    if (!shape_bytes(t, &t->n_bytes) || t->n_bytes != (size_t)(span[1] - span[0]))
        return "has a size that does not match its shape";
    t->data = c->data + span[0];
    return NULL;
}

static enum pz_status grow(struct pz_log *log, void **array, int n, int *cap, size_t size)
{
    if (n < *cap)
        return PZ_OK;
    int want = *cap ? *cap * 2 : 64;
    void *p = pz_regrow(*array, (size_t)n, (size_t)want, size);
    if (!p)
        return pz_fail(log, PZ_ERR_NOMEM, "no memory for a list of %d tensors", want);
    *array = p;
    *cap = want;
    return PZ_OK;
}

static enum pz_status parse_meta(struct pz_log *log, struct cursor *c)
{
    struct pz_safetensors *st = c->st;
    if (!take(c, '{'))
        return pz_fail(log, PZ_ERR_FORMAT, "'%s': its __metadata__ is not an object", st->name);
    if (take(c, '}'))
        return PZ_OK;
    do {
        void *p = st->meta;
        enum pz_status e = grow(log, &p, st->n_meta, &st->cap_meta, sizeof *st->meta);
        st->meta = p;
        if (e < PZ_OK)
            return e;
        const char *k = parse_string(c);
        const char *v = k && take(c, ':') ? parse_string(c) : NULL;
        if (!v)
            return pz_fail(log, PZ_ERR_FORMAT, "'%s': its __metadata__ holds broken JSON", st->name);
        st->meta[st->n_meta++] = (struct pz_stored_text){k, v};
    } while (take(c, ','));
    if (!take(c, '}'))
        return pz_fail(log, PZ_ERR_FORMAT, "'%s': its __metadata__ does not end", st->name);
    return PZ_OK;
}

static enum pz_status parse_header(struct pz_log *log, struct cursor *c)
{
    struct pz_safetensors *st = c->st;
    if (!take(c, '{'))
        return pz_fail(log, PZ_ERR_FORMAT, "'%s': the header is not a JSON object", st->name);
    if (take(c, '}'))
        return PZ_OK;
    do {
        const char *key = parse_string(c);
        if (!key || !take(c, ':'))
            return pz_fail(log, PZ_ERR_FORMAT, "'%s': broken JSON in the header", st->name);
        if (strcmp(key, "__metadata__") == 0) {
            enum pz_status e = parse_meta(log, c);
            if (e < PZ_OK)
                return e;
            continue;
        }
        if (st->n_tensors >= MAX_TENSORS)
            return pz_fail(log, PZ_ERR_FORMAT, "'%s': more than %d tensors", st->name, MAX_TENSORS);
        void *p = st->tensors;
        enum pz_status e = grow(log, &p, st->n_tensors, &st->cap_tensors, sizeof *st->tensors);
        st->tensors = p;
        if (e < PZ_OK)
            return e;
        struct pz_stored_tensor t = {.name = key};
        const char *bad = parse_tensor(c, &t);
        if (bad)
            return pz_fail(log, PZ_ERR_FORMAT, "'%s': tensor '%.200s' %s", st->name, key, bad);
        st->tensors[st->n_tensors++] = t;
    } while (take(c, ','));
    if (!take(c, '}'))
        return pz_fail(log, PZ_ERR_FORMAT, "'%s': the header does not end", st->name);
    skip_space(c);
    if (c->p != c->end)
        return pz_fail(log, PZ_ERR_FORMAT, "'%s': bytes behind the header's JSON", st->name);
    return PZ_OK;
}

static int by_offset(const void *a, const void *b)
{
    const struct pz_stored_tensor *x = a, *y = b;
    if (x->data != y->data)
        return (uintptr_t)x->data < (uintptr_t)y->data ? -1 : 1;
    return (x->n_bytes > y->n_bytes) - (x->n_bytes < y->n_bytes);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct pz_stored_tensor *)a)->name, ((const struct pz_stored_tensor *)b)->name);
}

/* The format wants the data section filled without holes or overlaps: foreign content cannot hide in it. */
static enum pz_status check_layout(struct pz_log *log, struct cursor *c)
{
    struct pz_safetensors *st = c->st;
    if (st->n_tensors)
        qsort(st->tensors, (size_t)st->n_tensors, sizeof *st->tensors, by_offset);
    const uint8_t *at = c->data;
    for (int i = 0; i < st->n_tensors; i++) {
        if (st->tensors[i].data != at)
            return pz_fail(log, PZ_ERR_FORMAT, "'%s': tensor '%.200s' overlaps another or leaves a hole",
                           st->name, st->tensors[i].name);
        at += st->tensors[i].n_bytes;
    }
    if ((size_t)(at - c->data) != c->n_data)
        return pz_fail(log, PZ_ERR_FORMAT, "'%s': %zu bytes belong to no tensor", st->name,
                       c->n_data - (size_t)(at - c->data));
    if (st->n_tensors)
        qsort(st->tensors, (size_t)st->n_tensors, sizeof *st->tensors, by_name);
    for (int i = 1; i < st->n_tensors; i++)
        if (strcmp(st->tensors[i - 1].name, st->tensors[i].name) == 0)
            return pz_fail(log, PZ_ERR_FORMAT, "'%s': tensor '%.200s' appears twice", st->name,
                           st->tensors[i].name);
    return PZ_OK;
}

enum pz_status pz_safetensors_parse(struct pz_log *log, const void *data, size_t n_bytes, const char *name,
                                    struct pz_safetensors **out)
{
    *out = NULL;
    enum pz_status st = PZ_OK;
    const uint8_t *d = data;
    uint64_t len = 0;
    if (n_bytes < 8)
        return pz_fail(log, PZ_ERR_FORMAT, "'%s' is too short for a safetensors file", name);
    for (int i = 7; i >= 0; i--)
        len = len << 8 | d[i];
    if (len > MAX_HEADER || len > n_bytes - 8)
        return pz_fail(log, PZ_ERR_FORMAT, "'%s' is not a safetensors file (or is truncated)", name);
    struct pz_safetensors *s = pz_calloc(1, sizeof *s);
    if (!s)
        return pz_fail(log, PZ_ERR_NOMEM, "no memory to read '%s'", name);
    s->name = pz_strdup(name);
    s->strings = pz_calloc((size_t)len + 1, 1);
    if (!s->name || !s->strings) {
        st = pz_fail(log, PZ_ERR_NOMEM, "no memory to read '%s'", name);
        goto fail;
    }
    struct cursor c = {.p = (const char *)d + 8,
                       .end = (const char *)d + 8 + len,
                       .out = s->strings,
                       .st = s,
                       .data = d + 8 + len,
                       .n_data = n_bytes - 8 - (size_t)len};
    PZ_TRY(parse_header(log, &c));
    PZ_TRY(check_layout(log, &c));
    *out = s;
    return PZ_OK;
fail:
    pz_safetensors_close(&s);
    return st;
}

enum pz_status pz_safetensors_open(struct pz_log *log, const char *path, struct pz_safetensors **out)
{
    *out = NULL;
    struct pz_map map;
    enum pz_status st = pz_map_open(log, path, &map);
    if (st < PZ_OK)
        return st;
    static const uint8_t nothing[1];
    st = pz_safetensors_parse(log, map.data ? map.data : nothing, map.n_bytes, path, out);
    if (st < PZ_OK)
        pz_map_close(&map);
    else
        (*out)->map = map;
    return st;
}

void pz_safetensors_close(struct pz_safetensors **st)
{
    if (!st || !*st)
        return;
    struct pz_safetensors *s = *st;
    pz_map_close(&s->map);
    pz_free(s->name);
    pz_free(s->strings);
    pz_free(s->tensors);
    pz_free(s->meta);
    pz_free(s);
    *st = NULL;
}

int pz_safetensors_count(const struct pz_safetensors *st)
{
    return st->n_tensors;
}

const struct pz_stored_tensor *pz_safetensors_at(const struct pz_safetensors *st, int i)
{
    return i >= 0 && i < st->n_tensors ? &st->tensors[i] : NULL;
}

const struct pz_stored_tensor *pz_safetensors_find(const struct pz_safetensors *st, const char *name)
{
    struct pz_stored_tensor key = {.name = name};
    if (!st->n_tensors)
        return NULL;
    return bsearch(&key, st->tensors, (size_t)st->n_tensors, sizeof key, by_name);
}

const char *pz_safetensors_text(const struct pz_safetensors *st, const char *key)
{
    for (int i = 0; i < st->n_meta; i++)
        if (strcmp(st->meta[i].key, key) == 0)
            return st->meta[i].value;
    return NULL;
}

size_t pz_stored_count(const struct pz_stored_tensor *t)
{
    size_t n = 1;
    for (int i = 0; i < t->rank; i++)
        n *= (size_t)t->shape[i];
    return n;
}

enum pz_status pz_safetensors_expect(struct pz_log *log, const struct pz_safetensors *st, const char *name,
                                     enum pz_dtype dtype, int rank, const int64_t *shape,
                                     const struct pz_stored_tensor **out)
{
    *out = NULL;
    const struct pz_stored_tensor *t = pz_safetensors_find(st, name);
    if (!t)
        return pz_fail(log, PZ_ERR_FORMAT, "'%s' holds no tensor '%s'", st->name, name);
    bool same = t->dtype == dtype && t->rank == rank;
    for (int i = 0; same && i < rank; i++)
        same = shape[i] < 0 || shape[i] == t->shape[i];
    if (!same)
        return pz_fail(log, PZ_ERR_FORMAT, "'%s': tensor '%s' has another type or shape than expected",
                       st->name, name);
    if ((uintptr_t)t->data % pz_dtype_size(dtype) != 0)
        return pz_fail(log, PZ_ERR_FORMAT, "'%s': tensor '%s' is not aligned", st->name, name);
    *out = t;
    return PZ_OK;
}

enum pz_status pz_safetensors_read_f32(struct pz_log *log, const struct pz_stored_tensor *t, float *out,
                                       size_t n)
{
    if (pz_stored_count(t) != n)
        return pz_fail(log, PZ_ERR_FORMAT, "tensor '%s' has %zu elements, %zu were expected", t->name,
                       pz_stored_count(t), n);
    const uint8_t *s = t->data;
    switch ((int)t->dtype) {
    case PZ_DTYPE_F32:
        if (n)
            memcpy(out, s, n * 4);
        return PZ_OK;
    case PZ_DTYPE_F16:
        pz_f16_to_f32_array(s, out, n);
        return PZ_OK;
    case PZ_DTYPE_BF16:
        for (size_t i = 0; i < n; i++) {
            uint16_t h;
            memcpy(&h, s + 2 * i, 2);
            out[i] = pz_bf16_to_f32(h);
        }
        return PZ_OK;
    case PZ_DTYPE_F64:
        for (size_t i = 0; i < n; i++) {
            double v;
            memcpy(&v, s + 8 * i, 8);
            out[i] = (float)v;
        }
        return PZ_OK;
    default:
        return pz_fail(log, PZ_ERR_FORMAT, "tensor '%s' is %s, a float type was expected", t->name,
                       pz_dtype_name(t->dtype));
    }
}
