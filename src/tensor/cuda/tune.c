/* The file of choices: a line that says what it is, the device's line, lines "key choice", and "end N" with
 * their number, so that half a file is noticed. Nothing in it can do worse than choose a slow engine. */
#include "tensor/cuda/tune.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"

#define HEAD "personalize engine choices 2"
#define KEY_MAX 191
#define FILE_MAX ((size_t)4 << 20)

struct choice {
    char key[KEY_MAX + 1];
    int what;
};

struct pz_tune {
    struct choice *list;
    int n, cap;
    bool changed;
    char *dir, *path, *device;
};

static uint64_t fnv(const char *s)
{
    uint64_t h = 1469598103934665603u;
    for (; *s; s++)
        h = (h ^ (unsigned char)*s) * 1099511628211u;
    return h;
}

static bool add(struct pz_tune *t, const char *key, int what)
{
    if (t->n == t->cap) {
        int cap = t->cap ? 2 * t->cap : 64;
        struct choice *list = pz_calloc((size_t)cap, sizeof *list);
        if (!list)
            return false;
        if (t->n)
            memcpy(list, t->list, (size_t)t->n * sizeof *list);
        pz_free(t->list);
        t->list = list;
        t->cap = cap;
    }
    struct choice *c = &t->list[t->n++];
    snprintf(c->key, sizeof c->key, "%s", key);
    c->what = what;
    return true;
}

/* The next line of `*at`, without its end; NULL at the end of the text or when a line has no end. */
static char *line(char **at)
{
    char *from = *at, *end = strchr(from, '\n');
    if (!end)
        return NULL;
    *end = 0;
    *at = end + 1;
    return from;
}

/* False: damaged. */
static bool parse(struct pz_tune *t, char *text)
{
    char *s = line(&text);
    if (!s || strcmp(s, HEAD) != 0)
        return false;
    s = line(&text);
    if (!s || strcmp(s, t->device) != 0)
        return false;
    while ((s = line(&text)) != NULL) {
        char *blank = strchr(s, ' '), *stop = NULL;
        if (!blank || blank == s || blank - s > KEY_MAX)
            return false;
        *blank = 0;
        long what = strtol(blank + 1, &stop, 10);
        if (stop == blank + 1 || *stop || what < 0 || what > 9999)
            return false;
        if (strcmp(s, "end") == 0)
            return what == t->n && *text == 0;
        if (!add(t, s, (int)what))
            return false;
    }
    return false;
}

static void load(struct pz_tune *t, struct pz_log *log)
{
    char *text = NULL;
    size_t n = 0;
    if (!pz_file_exists(t->path))
        return;
    if (pz_file_read(log, t->path, FILE_MAX, &text, &n) < PZ_OK)
        return;
    if (strlen(text) != n || !parse(t, text)) {
        pz_log_write(log, PZ_LOG_WARNING, "%s is damaged or not of this device: ignored", t->path);
        t->n = 0;
        t->changed = true;
    }
    pz_free(text);
}

static char *copy(const char *s)
{
    char *d = pz_calloc(strlen(s) + 1, 1);
    if (d)
        memcpy(d, s, strlen(s));
    return d;
}

struct pz_tune *pz_tune_open(struct pz_log *log, const char *dir, const char *device)
{
    struct pz_tune *t = pz_calloc(1, sizeof *t);
    char name[64];
    if (!t)
        return NULL;
    t->device = copy(device);
    if (dir && t->device) {
        snprintf(name, sizeof name, "engines-%016llx.txt", (unsigned long long)fnv(device));
        t->dir = copy(dir);
        t->path = pz_path_join(dir, name);
        if (t->dir && t->path)
            load(t, log);
    }
    if (!t->device || (dir && (!t->dir || !t->path))) {
        pz_tune_close(t);
        return NULL;
    }
    return t;
}

int pz_tune_get(const struct pz_tune *t, const char *key)
{
    for (int i = 0; i < t->n; i++)
        if (strcmp(t->list[i].key, key) == 0)
            return t->list[i].what;
    return -1;
}

void pz_tune_put(struct pz_tune *t, const char *key, int choice)
{
    if (strlen(key) > KEY_MAX || choice < 0 || choice > 9999)
        return;
    for (int i = 0; i < t->n; i++)
        if (strcmp(t->list[i].key, key) == 0) {
            t->changed = t->changed || t->list[i].what != choice;
            t->list[i].what = choice;
            return;
        }
    if (add(t, key, choice))
        t->changed = true;
}

void pz_tune_save(struct pz_tune *t, struct pz_log *log)
{
    size_t room = 256 + strlen(t->device) + (size_t)t->n * (KEY_MAX + 8), at = 0;
    if (!t->path || !t->changed)
        return;
    char *text = pz_calloc(room, 1);
    if (!text)
        return;
    at += (size_t)snprintf(text, room, HEAD "\n%s\n", t->device);
    for (int i = 0; i < t->n; i++)
        at += (size_t)snprintf(text + at, room - at, "%s %d\n", t->list[i].key, t->list[i].what);
    at += (size_t)snprintf(text + at, room - at, "end %d\n", t->n);
    if (pz_make_dirs(log, t->dir) < PZ_OK || pz_file_write(log, t->path, text, at) < PZ_OK)
        pz_log_write(log, PZ_LOG_WARNING, "engine choices are not kept: %s cannot be written", t->path);
    t->changed = false;
    pz_free(text);
}

void pz_tune_close(struct pz_tune *t)
{
    if (!t)
        return;
    pz_free(t->list);
    pz_free(t->dir);
    pz_free(t->path);
    pz_free(t->device);
    pz_free(t);
}
