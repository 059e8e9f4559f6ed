/*
 * safetensors writer: header built in memory, data streamed from where it lies, renamed into place when
 * complete. Tensors are laid out by falling element size, so that each is aligned without holes (which the
 * format forbids).
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "weights/safetensors.h"

#define DATA_ALIGN 64

struct item {
    const struct pz_stored_tensor *t;
    size_t n_bytes;
    int index;
};

static int by_element_size(const void *a, const void *b)
{
    const struct item *x = a, *y = b;
    size_t sx = pz_dtype_size(x->t->dtype), sy = pz_dtype_size(y->t->dtype);
    if (sx != sy)
        return sx > sy ? -1 : 1;
    return x->index - y->index;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void put_string(FILE *f, const char *s)
{
    fputc('"', f);
    for (; *s; s++) {
        unsigned char ch = (unsigned char)*s;
        if (ch == '"' || ch == '\\')
            fprintf(f, "\\%c", ch);
        else if (ch < 0x20)
            fprintf(f, "\\u%04x", ch);
        else
            fputc(ch, f);
    }
    fputc('"', f);
}

static enum pz_status check_names(struct pz_log *log, const struct pz_stored_tensor *t, int n)
{
    const char **names = pz_calloc((size_t)n + 1, sizeof *names);
    if (!names)
        return pz_fail(log, PZ_ERR_NOMEM, "no memory for %d tensor names", n);
    enum pz_status st = PZ_OK;
    for (int i = 0; i < n; i++) {
        names[i] = t[i].name ? t[i].name : "";
        if (!names[i][0] || strcmp(names[i], "__metadata__") == 0)
            st = pz_fail(log, PZ_ERR_USAGE, "tensor %d has no usable name", i);
    }
    if (n)
        qsort(names, (size_t)n, sizeof *names, by_text);
    for (int i = 1; i < n && st == PZ_OK; i++)
        if (strcmp(names[i - 1], names[i]) == 0)
            st = pz_fail(log, PZ_ERR_USAGE, "two tensors are called '%s'", names[i]);
    pz_free(names);
    return st;
}

static enum pz_status measure(struct pz_log *log, const struct pz_stored_tensor *t, size_t *out)
{
    size_t bytes = pz_dtype_size(t->dtype);
    bool ok = bytes > 0 && t->rank >= 0 && t->rank <= PZ_SAFETENSORS_MAX_RANK;
    for (int i = 0; ok && i < t->rank; i++)
        ok = t->shape[i] >= 0 && pz_mul(bytes, (size_t)t->shape[i], &bytes);
    if (!ok || bytes > PTRDIFF_MAX || (bytes && !t->data))
        return pz_fail(log, PZ_ERR_USAGE, "tensor '%s' has a bad type, rank or shape, or no data", t->name);
    *out = bytes;
    return PZ_OK;
}

static void put_header(FILE *f, const struct item *items, int n, const struct pz_stored_text *meta,
                       int n_meta)
{
    size_t at = 0;
    bool first = true;
    fputc('{', f);
    if (n_meta) {
        fputs("\"__metadata__\":{", f);
        for (int i = 0; i < n_meta; i++) {
            if (i)
                fputc(',', f);
            put_string(f, meta[i].key);
            fputc(':', f);
            put_string(f, meta[i].value);
        }
        fputc('}', f);
        first = false;
    }
    for (int i = 0; i < n; i++) {
        const struct pz_stored_tensor *t = items[i].t;
        if (!first)
            fputc(',', f);
        first = false;
        put_string(f, t->name);
        fprintf(f, ":{\"dtype\":\"%s\",\"shape\":[", pz_dtype_name(t->dtype));
        for (int k = 0; k < t->rank; k++)
            fprintf(f, "%s%lld", k ? "," : "", (long long)t->shape[k]);
        fprintf(f, "],\"data_offsets\":[%zu,%zu]}", at, at + items[i].n_bytes);
        at += items[i].n_bytes;
    }
    fputc('}', f);
    while ((ftell(f) + 8) % DATA_ALIGN != 0)
        fputc(' ', f);
}

static enum pz_status write_all(struct pz_log *log, const char *path, const char *head, size_t n_head,
                                const struct item *items, int n)
{
    char *tmp = pz_temp_name(path);
    FILE *f = tmp ? fopen(tmp, "wb") : NULL;
    int err = errno;
    enum pz_status st = PZ_OK;
    if (!f) {
        st = tmp ? pz_fail(log, PZ_ERR_WRITE, "cannot write '%s': %s", path, strerror(err))
                 : pz_fail(log, PZ_ERR_NOMEM, "no memory to write '%s'", path);
        pz_free(tmp);
        return st;
    }
    uint8_t len[8];
    for (int i = 0; i < 8; i++)
        len[i] = (uint8_t)((uint64_t)n_head >> (8 * i));
    bool ok = fwrite(len, 1, 8, f) == 8 && fwrite(head, 1, n_head, f) == n_head;
    for (int i = 0; ok && i < n; i++)
        ok = items[i].n_bytes == 0 || fwrite(items[i].t->data, 1, items[i].n_bytes, f) == items[i].n_bytes;
    err = errno;
    if (fclose(f) != 0 && ok) {
        ok = false;
        err = errno;
    }
    if (ok) {
        st = pz_commit_file(log, tmp, path);
    } else {
        unlink(tmp);
        st = pz_fail(log, PZ_ERR_WRITE, "cannot write '%s': %s", path, strerror(err));
    }
    pz_free(tmp);
    return st;
}

enum pz_status pz_safetensors_write(struct pz_log *log, const char *path,
                                    const struct pz_stored_tensor *tensors, int n_tensors,
                                    const struct pz_stored_text *meta, int n_meta)
{
    enum pz_status st = PZ_OK;
    char *head = NULL;
    size_t n_head = 0;
    struct item *items = pz_calloc((size_t)(n_tensors > 0 ? n_tensors : 0) + 1, sizeof *items);
    if (!items)
        return pz_fail(log, PZ_ERR_NOMEM, "no memory to write '%s'", path);
    PZ_TRY(check_names(log, tensors, n_tensors));
    for (int i = 0; i < n_tensors; i++) {
        items[i] = (struct item){.t = &tensors[i], .index = i};
        PZ_TRY(measure(log, &tensors[i], &items[i].n_bytes));
    }
    if (n_tensors)
        qsort(items, (size_t)n_tensors, sizeof *items, by_element_size);
    FILE *f = open_memstream(&head, &n_head);
    if (!f) {
        st = pz_fail(log, PZ_ERR_NOMEM, "no memory for the header of '%s'", path);
        goto fail;
    }
    put_header(f, items, n_tensors, meta, n_meta);
    bool bad = ferror(f) != 0;
    if (fclose(f) != 0 || bad) {
        st = pz_fail(log, PZ_ERR_NOMEM, "no memory for the header of '%s'", path);
        goto fail;
    }
    PZ_TRY(write_all(log, path, head, n_head, items, n_tensors));
fail:
    free(head);
    pz_free(items);
    return st;
}
