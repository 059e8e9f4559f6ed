/*
 * Checkpoint: which kind of file it is, the list of its tensors, their names. Formats are read by
 * safetensors.c, pytorch.c and checkpoint_index.c; values are copied by checkpoint_read.c.
 */
#include "weights/checkpoint.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/mem.h"
#include "weights/checkpoint_impl.h"
#include "weights/zip.h"

#define BLOCK_BYTES 65536
#define MAX_NUMBERS 4096

struct pz_name_block {
    struct pz_name_block *next;
    size_t used;
    char text[BLOCK_BYTES - 2 * sizeof(size_t)];
};

enum pz_status pz_checkpoint_room(struct pz_checkpoint *c, void *array, int n, int *cap, size_t size)
{
    if (n < *cap)
        return PZ_OK;
    int want = *cap ? *cap * 2 : 64;
    void *old;
    memcpy(&old, array, sizeof old);
    void *p = pz_regrow(old, (size_t)*cap, (size_t)want, size);
    if (!p)
        return pz_fail(c->log, PZ_ERR_NOMEM, "no memory for %d tensors of '%s'", want, c->path);
    memcpy(array, &p, sizeof p);
    *cap = want;
    return PZ_OK;
}

/* A lasting copy of `name` without any occurrence of `without`. NULL: no memory, or too long. */
static const char *keep_name(struct pz_checkpoint *c, const char *name, const char *without)
{
    size_t n = strlen(name), skip = without ? strlen(without) : 0;
    if (n >= PZ_CHECKPOINT_MAX_NAME)
        return NULL;
    struct pz_name_block *b = c->names;
    if (!b || sizeof b->text - b->used < n + 1) {
        b = pz_calloc(1, sizeof *b);
        if (!b)
            return NULL;
        b->next = c->names;
        c->names = b;
    }
    char *at = b->text + b->used, *to = at;
    while (*name) {
        if (skip && strncmp(name, without, skip) == 0)
            name += skip;
        else
            *to++ = *name++;
    }
    *to = '\0';
    b->used += (size_t)(to - at) + 1;
    return at;
}

static bool is_contiguous(const struct pz_checkpoint_tensor *t)
{
    int64_t want = 1;
    for (int i = t->rank - 1; i >= 0; i--) {
        if (t->shape[i] == 0)
            return true;
        if (t->shape[i] != 1 && t->strides[i] != want)
            return false;
        want *= t->shape[i];
    }
    return true;
}

enum pz_status pz_checkpoint_add(struct pz_checkpoint *c, const struct pz_checkpoint_tensor *t)
{
    if (c->n_tensors >= PZ_CHECKPOINT_MAX_TENSORS)
        return pz_fail(c->log, PZ_ERR_FORMAT, "'%s' holds more than %d tensors", c->path,
                       PZ_CHECKPOINT_MAX_TENSORS);
    if (c->n_tensors % 256 == 0 && pz_job_cancelled(c->job))
        return PZ_ERR_CANCELLED;
    enum pz_status st = pz_checkpoint_room(c, &c->tensors, c->n_tensors, &c->cap_tensors, sizeof *c->tensors);
    if (st < PZ_OK)
        return st;
    const char *name = keep_name(c, t->name, c->options.remove);
    if (!name)
        return pz_fail(c->log, PZ_ERR_NOMEM, "'%s': no memory for the name '%.200s'", c->path, t->name);
    if (!*name)
        return pz_fail(c->log, PZ_ERR_FORMAT, "'%s': tensor '%.200s' is left without a name", c->path,
                       t->name);
    struct pz_checkpoint_tensor *to = &c->tensors[c->n_tensors++];
    *to = *t;
    to->name = name;
    to->contiguous = is_contiguous(to);
    return PZ_OK;
}

enum pz_status pz_checkpoint_add_number(struct pz_checkpoint *c, const char *name, double value)
{
    if (c->n_numbers >= MAX_NUMBERS || strlen(name) >= PZ_CHECKPOINT_MAX_NAME)
        return PZ_OK;
    enum pz_status st = pz_checkpoint_room(c, &c->numbers, c->n_numbers, &c->cap_numbers, sizeof *c->numbers);
    if (st < PZ_OK)
        return st;
    const char *kept = keep_name(c, name, NULL);
    if (!kept)
        return pz_fail(c->log, PZ_ERR_NOMEM, "'%s': no memory for the name '%.200s'", c->path, name);
    c->numbers[c->n_numbers++] = (struct pz_checkpoint_number){kept, value};
    return PZ_OK;
}

/* ---- kinds ---- */

static enum pz_status load_safetensors(struct pz_checkpoint *c, const uint8_t *data, size_t n)
{
    enum pz_status st = pz_safetensors_parse(c->log, data, n, c->path, &c->st);
    c->format = "safetensors";
    for (int i = 0; st >= PZ_OK && i < pz_safetensors_count(c->st); i++) {
        const struct pz_stored_tensor *s = pz_safetensors_at(c->st, i);
        if (strlen(s->name) >= PZ_CHECKPOINT_MAX_NAME)
            return pz_fail(c->log, PZ_ERR_FORMAT, "'%s': the name '%.100s…' is too long", c->path, s->name);
        struct pz_checkpoint_tensor t = {
            .name = s->name, .dtype = s->dtype, .rank = s->rank, .data = s->data, .n_bytes = s->n_bytes};
        int64_t stride = 1;
        for (int k = s->rank - 1; k >= 0; k--) {
            t.shape[k] = s->shape[k];
            t.strides[k] = stride;
            stride *= s->shape[k] ? s->shape[k] : 1;
        }
        st = pz_checkpoint_add(c, &t);
    }
    return st;
}

static bool is_safetensors(const uint8_t *d, size_t n)
{
    uint64_t len = 0;
    if (n < 10 || d[8] != '{')
        return false;
    for (int i = 7; i >= 0; i--)
        len = len << 8 | d[i];
    return len >= 2 && len <= (uint64_t)1 << 32; /* longer than the file: told as truncated by its reader */
}

static bool is_tar(const uint8_t *d, size_t n)
{
    return n >= 512 && memcmp(d + 257, "ustar", 5) == 0;
}

static enum pz_status load(struct pz_checkpoint *c, const uint8_t *d, size_t n, bool may_index)
{
    if (n == 0)
        return pz_fail(c->log, PZ_ERR_INPUT, "'%s' is empty", c->path);
    if (is_safetensors(d, n))
        return load_safetensors(c, d, n);
    if (pz_zip_is(d, n))
        return pz_pytorch_zip_load(c, d, n);
    if (is_tar(d, n))
        return pz_fail(
            c->log, PZ_ERR_UNSUPPORTED,
            "'%s' is a tar checkpoint of torch before 0.1.10; load and save it again with a newer torch",
            c->path);
    if (d[0] == 0x80)
        return pz_pytorch_legacy_load(c, d, n);
    if (d[0] == '{' || d[0] == '\n' || d[0] == ' ') {
        if (!may_index)
            return pz_fail(c->log, PZ_ERR_UNSUPPORTED,
                           "'%s' is text, perhaps an index of shards, where tensors are needed", c->path);
        return pz_checkpoint_index_load(c, (const char *)d, n);
    }
    return pz_fail(c->log, PZ_ERR_INPUT,
                   "'%s' is no checkpoint this program knows (safetensors, PyTorch, or an index of shards)",
                   c->path);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct pz_checkpoint_tensor *)a)->name,
                  ((const struct pz_checkpoint_tensor *)b)->name);
}

static enum pz_status finish(struct pz_checkpoint *c)
{
    if (c->n_tensors)
        qsort(c->tensors, (size_t)c->n_tensors, sizeof *c->tensors, by_name);
    for (int i = 1; i < c->n_tensors; i++)
        if (strcmp(c->tensors[i - 1].name, c->tensors[i].name) == 0)
            return pz_fail(c->log, PZ_ERR_FORMAT, "'%s': tensor '%.200s' appears twice", c->path,
                           c->tensors[i].name);
    return pz_job_cancelled(c->job) ? PZ_ERR_CANCELLED : PZ_OK;
}

static enum pz_status begin(const char *path, const struct pz_checkpoint_options *options,
                            const struct pz_job *job, struct pz_checkpoint **out)
{
    struct pz_log *log = job ? job->log : NULL;
    *out = NULL;
    struct pz_checkpoint *c = pz_calloc(1, sizeof *c);
    char *copy = pz_strdup(path);
    if (!c || !copy) {
        pz_free(c);
        pz_free(copy);
        return pz_fail(log, PZ_ERR_NOMEM, "no memory to open '%s'", path);
    }
    c->path = copy;
    c->job = job;
    c->log = log;
    if (options)
        c->options = *options;
    *out = c;
    return PZ_OK;
}

static enum pz_status end(enum pz_status st, struct pz_checkpoint *c, struct pz_checkpoint **out)
{
    if (st >= PZ_OK)
        st = finish(c);
    c->job = NULL;
    c->log = NULL;
    c->options = (struct pz_checkpoint_options){0};
    *out = st >= PZ_OK ? c : NULL;
    if (st < PZ_OK)
        pz_checkpoint_close(&c);
    return st < PZ_OK ? st : PZ_OK;
}

/* A hint about page faults to come; refused hints do not matter. */
static void advise(const struct pz_map *map, int how)
{
    if (map->data)
        (void)posix_madvise((void *)(uintptr_t)map->data, map->n_bytes, how);
}

static enum pz_status open_file(const char *path, const struct pz_checkpoint_options *options,
                                const struct pz_job *job, bool may_index, struct pz_checkpoint **out)
{
    struct pz_checkpoint *c;
    enum pz_status st = begin(path, options, job, out);
    if (st < PZ_OK)
        return st;
    c = *out;
    st = pz_map_open(c->log, path, &c->map);
    if (st >= PZ_OK) {
        /* Headers lie between the tensors: reading around each would read most of the file. */
        advise(&c->map, POSIX_MADV_RANDOM);
        st = load(c, c->map.data, c->map.n_bytes, may_index);
        advise(&c->map, POSIX_MADV_NORMAL);
    }
    return end(st, c, out);
}

enum pz_status pz_checkpoint_open_with(const char *path, const struct pz_checkpoint_options *options,
                                       const struct pz_job *job, struct pz_checkpoint **out)
{
    return open_file(path, options, job, true, out);
}

enum pz_status pz_checkpoint_open_shard(const char *path, const struct pz_checkpoint_options *options,
                                        const struct pz_job *job, struct pz_checkpoint **out)
{
    return open_file(path, options, job, false, out);
}

enum pz_status pz_checkpoint_open(const char *path, const struct pz_job *job, struct pz_checkpoint **out)
{
    return pz_checkpoint_open_with(path, NULL, job, out);
}

enum pz_status pz_checkpoint_parse(const void *data, size_t n, const char *name,
                                   const struct pz_checkpoint_options *options, const struct pz_job *job,
                                   struct pz_checkpoint **out)
{
    enum pz_status st = begin(name, options, job, out);
    if (st < PZ_OK)
        return st;
    struct pz_checkpoint *c = *out;
    return end(load(c, data, n, false), c, out);
}

void pz_checkpoint_close(struct pz_checkpoint **checkpoint)
{
    if (!checkpoint || !*checkpoint)
        return;
    struct pz_checkpoint *c = *checkpoint;
    for (int i = 0; i < c->n_shards; i++)
        pz_checkpoint_close(&c->shards[i]);
    pz_free(c->shards);
    pz_safetensors_close(&c->st);
    pz_map_close(&c->map);
    for (struct pz_name_block *b = c->names, *next; b; b = next) {
        next = b->next;
        pz_free(b);
    }
    pz_free(c->tensors);
    pz_free(c->numbers);
    pz_free(c->path);
    pz_free(c);
    *checkpoint = NULL;
}

const char *pz_checkpoint_format(const struct pz_checkpoint *c)
{
    return c->format;
}

int pz_checkpoint_count(const struct pz_checkpoint *c)
{
    return c->n_tensors;
}

const struct pz_checkpoint_tensor *pz_checkpoint_at(const struct pz_checkpoint *c, int i)
{
    return i >= 0 && i < c->n_tensors ? &c->tensors[i] : NULL;
}

const struct pz_checkpoint_tensor *pz_checkpoint_find(const struct pz_checkpoint *c, const char *name)
{
    struct pz_checkpoint_tensor key = {.name = name};
    if (!c->n_tensors)
        return NULL;
    return bsearch(&key, c->tensors, (size_t)c->n_tensors, sizeof key, by_name);
}

bool pz_checkpoint_number(const struct pz_checkpoint *c, const char *name, double *value)
{
    for (int i = 0; i < c->n_numbers; i++)
        if (strcmp(c->numbers[i].name, name) == 0) {
            *value = c->numbers[i].value;
            return true;
        }
    return false;
}
