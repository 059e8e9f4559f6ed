/* Writers of PyTorch checkpoints for tests. Out of memory and full disks end the test program. */
#include "test_pytorch_make.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void put(struct buf *b, const void *p, size_t n)
{
    if (b->n + n > b->cap) {
        b->cap = 2 * (b->n + n) + 64;
        b->p = realloc(b->p, b->cap);
        if (!b->p)
            abort();
    }
    if (n)
        memcpy(b->p + b->n, p, n);
    b->n += n;
}

void put_u8(struct buf *b, uint8_t v)
{
    put(b, &v, 1);
}

void put_uint(struct buf *b, uint64_t v, int n_bytes)
{
    for (int i = 0; i < n_bytes; i++)
        put_u8(b, i < 8 ? (uint8_t)(v >> (8 * i)) : 0);
}

void put_f32(struct buf *b, float v)
{
    uint32_t u;
    memcpy(&u, &v, 4);
    put_uint(b, u, 4);
}

void buf_free(struct buf *b)
{
    free(b->p);
    *b = (struct buf){0};
}

void op_text(struct buf *b, const char *s)
{
    put_u8(b, 'X');
    put_uint(b, strlen(s), 4);
    put(b, s, strlen(s));
}

void op_int(struct buf *b, int64_t v)
{
    if (v >= INT32_MIN && v <= INT32_MAX) {
        put_u8(b, 'J');
        put_uint(b, (uint64_t)v, 4);
    } else {
        put(b, "\x8a\x08", 2);
        put_uint(b, (uint64_t)v, 8);
    }
}

void op_global(struct buf *b, const char *module, const char *name)
{
    put_u8(b, 'c');
    put(b, module, strlen(module));
    put_u8(b, '\n');
    put(b, name, strlen(name));
    put_u8(b, '\n');
}

static void storage_tuple(struct buf *b, const char *type, const char *key, int64_t numel)
{
    put_u8(b, '(');
    op_text(b, "storage");
    op_global(b, "torch", type);
    op_text(b, key);
    op_text(b, "cuda:0");
    op_int(b, numel);
}

void op_storage(struct buf *b, const char *type, const char *key, int64_t numel)
{
    storage_tuple(b, type, key, numel);
    put(b, "tQ", 2);
}

static void tensor_tail(struct buf *b, int64_t offset, int rank, const int64_t *shape, const int64_t *stride)
{
    op_int(b, offset);
    put_u8(b, '(');
    for (int i = 0; i < rank; i++)
        op_int(b, shape[i]);
    put(b, "t(", 2);
    for (int i = 0; i < rank; i++)
        op_int(b, stride[i]);
    put(b, "t\x89", 2);
    op_global(b, "collections", "OrderedDict");
    put(b, ")RtR", 4);
}

void op_tensor(struct buf *b, const char *type, const char *key, int64_t numel, int64_t offset, int rank,
               const int64_t *shape, const int64_t *stride)
{
    op_global(b, "torch._utils", "_rebuild_tensor_v2");
    put_u8(b, '(');
    op_storage(b, type, key, numel);
    tensor_tail(b, offset, rank, shape, stride);
}

void make_pickle(struct buf *b, const char *name, const char *type, const char *key, int64_t numel,
                 int64_t offset, int rank, const int64_t *shape, const int64_t *stride)
{
    put(b, "\x80\x02", 2);
    op_global(b, "collections", "OrderedDict");
    put(b, ")Rq\x00", 4);
    op_text(b, name);
    op_tensor(b, type, key, numel, offset, rank, shape, stride);
    put(b, "s}b.", 4); /* SETITEM, then BUILD with an empty dict: what _metadata looks like */
}

void make_pickle_view(struct buf *b, const char *name, const char *key, int64_t numel, int64_t from,
                      int64_t n)
{
    put(b, "\x80\x02}", 3);
    op_text(b, name);
    op_global(b, "torch._utils", "_rebuild_tensor_v2");
    put_u8(b, '(');
    storage_tuple(b, "FloatStorage", key, numel);
    op_text(b, "view");
    op_int(b, from);
    op_int(b, n);
    put(b, "\x87tQ", 3);
    tensor_tail(b, 0, 1, &n, (int64_t[]){1});
    put(b, "s.", 2);
}

void zip_begin(struct zip_writer *w, struct buf *out, const struct zip_opts *o)
{
    *w = (struct zip_writer){.out = out, .o = *o};
}

void zip_add(struct zip_writer *w, const char *name, const void *data, uint64_t n)
{
    struct buf *b = w->out, *d = &w->dir;
    uint64_t at = w->base + b->n;
    size_t n_name = strlen(name), extra = (64 - (at + 30 + n_name + 4) % 64) % 64 + 4;
    put(b, "PK\x03\x04\x00\x00\x00\x00", 8);
    put_uint(b, (uint64_t)w->o.method, 2);
    put_uint(b, 0, 8); /* time, date, checksum */
    put_uint(b, n, 4);
    put_uint(b, n, 4);
    put_uint(b, n_name, 2);
    put_uint(b, extra, 2);
    put(b, name, n_name);
    put(b, "FB", 2); /* PyTorch's padding field */
    put_uint(b, extra - 4, 2);
    for (size_t i = 4; i < extra; i++)
        put_u8(b, 'Z');
    if (data)
        put(b, data, (size_t)n);

    put(d, "PK\x01\x02\x00\x00\x00\x00\x00\x00", 10);
    put_uint(d, (uint64_t)w->o.method, 2);
    put_uint(d, 0, 8);
    put_uint(d, w->o.zip64 ? 0xffffffff : n, 4);
    put_uint(d, w->o.zip64 ? 0xffffffff : n, 4);
    put_uint(d, n_name, 2);
    put_uint(d, w->o.zip64 ? 28 : 0, 2);
    put_uint(d, 0, 10); /* comment, volume, attributes */
    put_uint(d, w->o.zip64 ? 0xffffffff : at, 4);
    put(d, name, n_name);
    if (w->o.zip64) {
        put_uint(d, 1, 2);
        put_uint(d, 24, 2);
        put_uint(d, n, 8);
        put_uint(d, n, 8);
        put_uint(d, at, 8);
    }
    w->n_members++;
}

void zip_end(struct zip_writer *w)
{
    struct buf *b = w->out;
    uint64_t at = w->base + b->n, n_dir = w->dir.n, end = at + n_dir;
    const char *comment = w->o.comment ? w->o.comment : "";
    put(b, w->dir.p, w->dir.n);
    if (w->o.zip64) {
        put(b, "PK\x06\x06", 4);
        put_uint(b, 44, 8);
        put_uint(b, 0, 4);
        put_uint(b, 0, 8);
        put_uint(b, w->n_members, 8);
        put_uint(b, w->n_members, 8);
        put_uint(b, n_dir, 8);
        put_uint(b, at, 8);
        put(b, "PK\x06\x07\x00\x00\x00\x00", 8);
        put_uint(b, end, 8);
        put_uint(b, 1, 4);
    }
    put(b, "PK\x05\x06\x00\x00\x00\x00", 8);
    put_uint(b, w->o.zip64 ? 0xffff : w->n_members, 2);
    put_uint(b, w->o.zip64 ? 0xffff : w->n_members, 2);
    put_uint(b, w->o.zip64 ? 0xffffffff : n_dir, 4);
    put_uint(b, w->o.zip64 ? 0xffffffff : at, 4);
    put_uint(b, strlen(comment), 2);
    put(b, comment, strlen(comment));
    buf_free(&w->dir);
}

void make_zip(struct buf *b, const struct zip_opts *o, const struct buf *pkl, const struct buf *storage)
{
    struct zip_writer w;
    zip_begin(&w, b, o);
    zip_add(&w, "top/data.pkl", pkl->p, pkl->n);
    if (o->byteorder)
        zip_add(&w, "top/byteorder", o->byteorder, strlen(o->byteorder));
    zip_add(&w, "top/data/0", storage->p ? storage->p : (const uint8_t *)"", storage->n);
    zip_add(&w, "top/version", "3\n", 2);
    zip_end(&w);
}

void make_legacy(struct buf *b, const struct buf *pkl, const char *key, int64_t numel,
                 const struct buf *storage, bool big_endian)
{
    put(b, "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", 15);
    put(b, "\x80\x02M\xe9\x03.", 6);
    put(b, "\x80\x02}", 3);
    op_text(b, "little_endian");
    put_u8(b, big_endian ? 0x89 : 0x88);
    put(b, "s.", 2);
    put(b, pkl->p, pkl->n);
    put(b, "\x80\x02](", 4);
    op_text(b, key);
    put(b, "e.", 2);
    for (int i = 0; i < 8; i++)
        put_u8(b, (uint8_t)((uint64_t)numel >> (8 * (big_endian ? 7 - i : i))));
    put(b, storage->p, storage->n);
}

void make_large_zip(const char *path, int n, uint64_t each)
{
    struct buf out = {0}, pkl = {0};
    struct zip_writer w;
    FILE *f = fopen(path, "wb");
    if (!f)
        abort();
    put(&pkl, "\x80\x02}", 3);
    for (int i = 0; i < n; i++) {
        char name[24], key[24];
        snprintf(name, sizeof name, "t%d", i);
        snprintf(key, sizeof key, "%d", i);
        op_text(&pkl, name);
        op_tensor(&pkl, "FloatStorage", key, (int64_t)(each / 4), 0, 1, (int64_t[]){(int64_t)(each / 4)},
                  (int64_t[]){1});
        put_u8(&pkl, 's');
    }
    put_u8(&pkl, '.');
    zip_begin(&w, &out, &(struct zip_opts){.zip64 = true});
    zip_add(&w, "large/data.pkl", pkl.p, pkl.n);
    for (int i = 0; i < n; i++) {
        char name[40];
        float last = (float)i;
        snprintf(name, sizeof name, "large/data/%d", i);
        zip_add(&w, name, NULL, each);
        if (fwrite(out.p, 1, out.n, f) != out.n || fseek(f, (long)each - 4, SEEK_CUR) != 0 ||
            fwrite(&last, 4, 1, f) != 1)
            abort();
        w.base += out.n + each;
        out.n = 0;
    }
    zip_end(&w);
    if (fwrite(out.p, 1, out.n, f) != out.n || fclose(f) != 0)
        abort();
    buf_free(&out);
    buf_free(&pkl);
}
