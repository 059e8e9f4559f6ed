/*
 * The index of a sharded checkpoint: {"metadata": …, "weight_map": {"tensor": "file", …}} beside its shards,
 * as Hugging Face writes it for safetensors and PyTorch files. Reads just the JSON such files hold; escapes
 * beyond the simple ones are refused in names.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "weights/checkpoint_impl.h"

#define MAX_INDEX ((size_t)64 << 20)
#define MAX_SHARDS 1000
#define MAX_DEPTH 32

struct text {
    const char *p, *end;
};

static bool take(struct text *t, char ch)
{
    while (t->p < t->end && (*t->p == ' ' || *t->p == '\t' || *t->p == '\n' || *t->p == '\r'))
        t->p++;
    if (t->p >= t->end || *t->p != ch)
        return false;
    t->p++;
    return true;
}

/* A string into `out` (NULL: only skipped); false when broken or longer than `cap` - 1 bytes. */
static bool string(struct text *t, char *out, size_t cap)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    size_t n = 0;
    if (!take(t, '"'))
        return false;
    while (t->p < t->end) {
        char ch = *t->p++;
        if (ch == '"') {
            if (out)
                out[n] = '\0';
            return true;
        }
        if ((unsigned char)ch < 0x20)
            return false;
        if (ch == '\\') {
            if (t->p >= t->end)
                return false;
            ch = *t->p++;
            const char *hit = ch ? strchr(from, ch) : NULL;
            if (hit)
                ch = to[hit - from];
            else if (out || ch != 'u')
                return false;
        }
        if (out && n + 1 >= cap)
            return false;
        if (out)
            out[n] = ch;
        n++;
    }
    return false;
}

static bool skip_value(struct text *t, int depth)
{
    if (depth > MAX_DEPTH)
        return false;
    if (take(t, '{') || take(t, '[')) {
        char open = t->p[-1], close = open == '{' ? '}' : ']';
        if (take(t, close))
            return true;
        do {
            if (open == '{' && (!string(t, NULL, 0) || !take(t, ':')))
                return false;
            if (!skip_value(t, depth + 1))
                return false;
        } while (take(t, ','));
        return take(t, close);
    }
    if (t->p < t->end && *t->p == '"')
        return string(t, NULL, 0);
    const char *start = t->p;
    while (t->p < t->end && *t->p && strchr("+-.0123456789abcdefghijklmnopqrstuvwxyzE", *t->p))
        t->p++;
    return t->p > start;
}

/* The shard `file` in the folder of the index, opened once. */
static enum pz_status open_shard(struct pz_checkpoint *c, const char *file, struct pz_checkpoint **out)
{
    const char *slash = strrchr(c->path, '/');
    char *path = slash ? pz_asprintf("%.*s/%s", (int)(slash - c->path), c->path, file) : pz_strdup(file);
    enum pz_status st = PZ_OK;
    *out = NULL;
    if (!path)
        return pz_fail(c->log, PZ_ERR_NOMEM, "no memory to open '%s'", file);
    for (int i = 0; i < c->n_shards; i++)
        if (strcmp(c->shards[i]->path, path) == 0) {
            *out = c->shards[i];
            goto fail;
        }
    if (c->n_shards >= MAX_SHARDS) {
        st = pz_fail(c->log, PZ_ERR_FORMAT, "'%s' names more than %d files", c->path, MAX_SHARDS);
        goto fail;
    }
    PZ_TRY(pz_checkpoint_room(c, &c->shards, c->n_shards, &c->cap_shards, sizeof *c->shards));
    /* Names of the index are those in the files: nothing may be removed before they are looked up. */
    const struct pz_checkpoint_options whole = {.root = c->options.root};
    PZ_TRY(pz_checkpoint_open_shard(path, &whole, c->job, out));
    c->shards[c->n_shards++] = *out;
fail:
    pz_free(path);
    return st;
}

static enum pz_status add_entry(struct pz_checkpoint *c, const char *name, const char *file)
{
    struct pz_checkpoint *shard;
    if (!*file || *file == '.' || strchr(file, '/'))
        return pz_fail(c->log, PZ_ERR_FORMAT,
                       "'%s': '%.200s' is said to lie in '%.200s', which is no file beside it", c->path, name,
                       file);
    enum pz_status st = open_shard(c, file, &shard);
    if (st < PZ_OK)
        return st;
    const struct pz_checkpoint_tensor *t = pz_checkpoint_find(shard, name);
    if (!t)
        return pz_fail(c->log, PZ_ERR_FORMAT, "'%s': tensor '%.200s' is not in '%.200s'", c->path, name,
                       file);
    return pz_checkpoint_add(c, t);
}

static enum pz_status read_map(struct pz_checkpoint *c, struct text *t)
{
    char name[PZ_CHECKPOINT_MAX_NAME], file[256];
    if (!take(t, '{'))
        return pz_fail(c->log, PZ_ERR_FORMAT, "'%s': its weight_map is no object", c->path);
    if (take(t, '}'))
        return PZ_OK;
    do {
        if (!string(t, name, sizeof name) || !take(t, ':') || !string(t, file, sizeof file))
            return pz_fail(c->log, PZ_ERR_FORMAT, "'%s': broken JSON in its weight_map", c->path);
        enum pz_status st = add_entry(c, name, file);
        if (st < PZ_OK)
            return st;
    } while (take(t, ','));
    if (!take(t, '}'))
        return pz_fail(c->log, PZ_ERR_FORMAT, "'%s': its weight_map does not end", c->path);
    return PZ_OK;
}

enum pz_status pz_checkpoint_index_load(struct pz_checkpoint *c, const char *text, size_t n)
{
    struct text t = {text, text + n};
    char key[64];
    bool seen = false;
    c->format = "sharded";
    if (n > MAX_INDEX || !take(&t, '{'))
        return pz_fail(c->log, PZ_ERR_INPUT, "'%s' is no checkpoint this program knows, nor an index of one",
                       c->path);
    do {
        if (!string(&t, key, sizeof key) || !take(&t, ':'))
            return pz_fail(c->log, PZ_ERR_FORMAT, "'%s': broken JSON", c->path);
        if (strcmp(key, "weight_map") == 0) {
            if (seen)
                return pz_fail(c->log, PZ_ERR_FORMAT, "'%s' has two weight_maps", c->path);
            seen = true;
            enum pz_status st = read_map(c, &t);
            if (st < PZ_OK)
                return st;
        } else {
            if (!skip_value(&t, 0))
                return pz_fail(c->log, PZ_ERR_FORMAT, "'%s': broken JSON", c->path);
        }
    } while (take(&t, ','));
    if (!take(&t, '}') || !seen)
        return pz_fail(c->log, PZ_ERR_FORMAT, "'%s' %s", c->path,
                       seen ? "does not end" : "is JSON, but no index of a checkpoint (no weight_map)");
    return PZ_OK;
}
