/* Gathers shards in memory and writes them. A mapped file was easier, but its page faults cost more than the
 * pictures on virtual machines. Source: safetensors format, section of its README. */
#include "shard.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

static size_t size_of(const char *dtype)
{
    return !strcmp(dtype, "U8") ? 1 : !strcmp(dtype, "F16") ? 2 : !strcmp(dtype, "F64") ? 8 : 4;
}

/** JSON header padded with blanks to a multiple of 64 together with its length word; sets the offsets. */
static char *header(struct pz_shard *s, const char *text, size_t *n)
{
    size_t cap = 512 + strlen(text) + 256 * (size_t)s->n_field, o = 0, at = 0;
    char *b = pz_calloc(cap + 64, 1);
    if (!b)
        return NULL;
    o += (size_t)snprintf(b, cap, "{\"__metadata__\":{\"about\":\"%s\"}", text);
    for (int i = 0; i < s->n_field; i++) {
        struct pz_shard_field *f = &s->field[i];
        f->n_bytes = size_of(f->dtype);
        for (int k = 0; k < f->rank; k++)
            f->n_bytes *= (size_t)f->shape[k];
        size_t all = f->n_bytes * (f->single ? 1u : (size_t)s->n_record);
        o += (size_t)snprintf(b + o, cap - o, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[", f->name, f->dtype);
        if (!f->single)
            o += (size_t)snprintf(b + o, cap - o, "%d%s", s->n_record, f->rank ? "," : "");
        for (int k = 0; k < f->rank; k++)
            o += (size_t)snprintf(b + o, cap - o, "%lld%s", (long long)f->shape[k],
                                  k + 1 < f->rank ? "," : "");
        o += (size_t)snprintf(b + o, cap - o, "],\"data_offsets\":[%zu,%zu]}", at, at + all);
        f->offset = at;
        at += all;
    }
    b[o++] = '}';
    while ((o + 8) % 64)
        b[o++] = ' ';
    *n = o;
    s->n_bytes = 8 + o + at;
    for (int i = 0; i < s->n_field; i++)
        s->field[i].offset += 8 + o;
    return b;
}

enum pz_status pz_shard_open(struct pz_log *log, const char *path, const struct pz_shard_field *f,
                             int n_field, int n_record, const char *text, struct pz_shard *s)
{
    if (n_field < 1 || n_field > PZ_SHARD_MAX || n_record < 1)
        return pz_fail(log, PZ_ERR_USAGE, "shard: %d fields, %d records", n_field, n_record);
    memcpy(s->field, f, (size_t)n_field * sizeof *f);
    s->n_field = n_field;
    s->n_record = n_record;
    s->path = pz_strdup(path);
    s->tmp = pz_temp_name(path);
    size_t n = 0;
    char *h = header(s, text, &n);
    enum pz_status st = PZ_OK;
    if (!s->path || !s->tmp || !h)
        PZ_TRY(pz_fail(log, PZ_ERR_NOMEM, "shard: out of memory"));
    if (s->n_bytes > s->n_map) {
        pz_q_arena_close(&s->arena);
        s->n_map = 0;
        PZ_TRY(pz_q_arena_open(log, s->n_bytes, &s->arena));
        s->n_map = s->n_bytes;
        s->map = s->arena.at;
    }
    uint64_t n64 = n;
    memcpy(s->map, &n64, 8);
    memcpy(s->map + 8, h, n);
fail:
    pz_free(h);
    if (st < PZ_OK)
        pz_shard_close(s);
    return st;
}

void *pz_shard_at(const struct pz_shard *s, const char *name, int i)
{
    for (int k = 0; k < s->n_field; k++)
        if (!strcmp(s->field[k].name, name))
            return s->map + s->field[k].offset + (size_t)i * s->field[k].n_bytes;
    return NULL;
}

struct writing {
    const struct pz_shard *s;
    int fd, bad;
};

enum { SLICE = 4 << 20 };

static void write_slice(void *user, int index, int worker)
{
    (void)worker;
    struct writing *w = user;
    size_t at = (size_t)index * SLICE, end = at + SLICE < w->s->n_bytes ? at + SLICE : w->s->n_bytes;
    while (at < end) {
        ssize_t n = pwrite(w->fd, w->s->map + at, end - at, (off_t)at);
        if (n <= 0) {
            if (n < 0 && errno == EINTR)
                continue;
            w->bad = n < 0 ? errno : EIO;
            return;
        }
        at += (size_t)n;
    }
}

enum pz_status pz_shard_commit(struct pz_log *log, struct pz_pool *pool, struct pz_shard *s)
{
    enum pz_status st = PZ_OK;
    struct writing w = {.s = s, .fd = open(s->tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)};
    if (w.fd < 0)
        w.bad = errno;
    else
        pz_pool_run(pool, write_slice, &w, (int)((s->n_bytes + SLICE - 1) / SLICE));
    if (w.fd >= 0 && close(w.fd) && !w.bad)
        w.bad = errno;
    if (!w.bad && rename(s->tmp, s->path))
        w.bad = errno;
    if (w.bad) {
        st = pz_fail(log, PZ_ERR_WRITE, "%s: cannot write: %s", s->path, strerror(w.bad));
        unlink(s->tmp);
    }
    pz_free(s->path);
    pz_free(s->tmp);
    s->path = s->tmp = NULL;
    return st;
}

void pz_shard_close(struct pz_shard *s)
{
    pz_q_arena_close(&s->arena);
    pz_free(s->path);
    pz_free(s->tmp);
    memset(s, 0, sizeof *s);
}
