/* Getting weights: from their official address, or from a file the user has. Licences are accepted once a
 * models folder; that is noted in its licences.json. */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "api/download.h"
#include "api/models.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"

#define LICENCES "licences.json"

/* First row of a model, NULL when unknown. */
static const struct pz_weight_file *first_of(const char *name)
{
    const struct pz_weight_file *f;
    for (int i = 0; name && (f = pz_weight_file_at(i)); i++)
        if (strcmp(f->model, name) == 0)
            return f;
    return NULL;
}

static json_t *read_accepted(const char *dir)
{
    char *path = pz_path_join(dir, LICENCES);
    json_t *o = path ? json_load_file(path, 0, NULL) : NULL;
    pz_free(path);
    if (o && !json_is_object(o)) {
        json_decref(o);
        o = NULL;
    }
    return o ? o : json_object();
}

/* Accepted is a licence word for word: another one must be accepted anew. */
static bool is_accepted(const char *dir, const struct pz_weight_file *f)
{
    json_t *o = read_accepted(dir);
    const char *was = json_string_value(json_object_get(json_object_get(o, f->model), "licence"));
    bool yes = was && strcmp(was, f->licence) == 0;
    json_decref(o);
    return yes;
}

static enum pz_status note_accepted(struct pz_log *log, const char *dir, const struct pz_weight_file *f)
{
    char when[32] = "", *path = pz_path_join(dir, LICENCES), *text = NULL;
    time_t now = time(NULL);
    struct tm tm;
    if (gmtime_r(&now, &tm))
        strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &tm);
    json_t *o = read_accepted(dir);
    if (o)
        json_object_set_new(o, f->model, json_pack("{s:s, s:s}", "licence", f->licence, "accepted", when));
    text = o ? json_dumps(o, JSON_INDENT(2)) : NULL;
    enum pz_status st =
        path && text ? pz_make_dirs(log, dir) : pz_fail(log, PZ_ERR_NOMEM, "no memory for a licence");
    if (st >= PZ_OK)
        st = pz_file_write(log, path, text, strlen(text));
    free(text);
    json_decref(o);
    pz_free(path);
    return st;
}

enum pz_status pz_api_models_licence(struct pz_pipeline *p, const char *name, char **licence, bool *accepted)
{
    const struct pz_weight_file *f = first_of(name);
    char *dir = pz_api_models_dir(p->models_dir);
    *licence = NULL;
    *accepted = false;
    if (!f || !dir) {
        pz_free(dir);
        return f ? pz_fail(p->job.log, PZ_ERR_NOMEM, "no memory for a licence")
                 : pz_api_models_unknown(p->job.log, name);
    }
    *licence = pz_strdup(f->licence);
    *accepted = is_accepted(dir, f);
    pz_free(dir);
    return *licence ? PZ_OK : pz_fail(p->job.log, PZ_ERR_NOMEM, "no memory for a licence");
}

static json_t *done_json(const struct pz_weight_file *f, const char *path, const char *what)
{
    char sha[65];
    struct stat sb;
    json_t *o = json_pack("{s:s, s:s, s:s}", "model", f->model, "file", path, "state", what);
    if (o && stat(path, &sb) == 0)
        json_object_set_new(o, "bytes", json_integer((json_int_t)sb.st_size));
    if (o && pz_sha256_file(NULL, path, sha) == PZ_OK)
        json_object_set_new(o, "sha256", json_string(sha));
    if (o && !f->sha256)
        json_object_set_new(o, "checked_by",
                            json_string(f->check ? "its tensors (no hash is published)" : "nothing"));
    return o;
}

/* One file: there already, or fetched and looked at. */
static enum pz_status get_one(struct pz_pipeline *p, const struct pz_weight_file *f, const char *dir,
                              json_t *list)
{
    enum pz_status st = PZ_OK;
    const char *what = "here already";
    char *path = pz_weight_file_locate(f, dir);
    if (!path)
        return pz_fail(p->job.log, PZ_ERR_NOMEM, "no memory for a path");
    if (!pz_file_exists(path)) {
        struct pz_download d = {.url = f->url, .path = path, .n_bytes = f->n_bytes, .sha256 = f->sha256};
        PZ_TRY(pz_download_file(&d, &p->job));
        what = "downloaded";
        st = f->check ? f->check(path, &p->job) : PZ_OK;
        if (st < PZ_OK && st != PZ_ERR_CANCELLED)
            unlink(path); // whatever came is not these weights
        if (st < PZ_OK)
            goto fail;
    }
    json_array_append_new(list, done_json(f, path, what));
fail:
    pz_free(path);
    return st;
}

static enum pz_status answer(struct pz_log *log, json_t *list, char **json)
{
    json_t *root = json_pack("{s:O}", "files", list);
    char *text = root ? json_dumps(root, JSON_INDENT(2) | JSON_PRESERVE_ORDER) : NULL;
    *json = pz_strdup(text);
    free(text);
    json_decref(root);
    return *json ? PZ_OK : pz_fail(log, PZ_ERR_NOMEM, "no memory for the answer");
}

enum pz_status pz_api_models_download(struct pz_pipeline *p, const char *name, bool accept, char **json)
{
    enum pz_status st = PZ_OK;
    struct pz_log *log = p->job.log;
    const struct pz_weight_file *f = first_of(name);
    char *dir = pz_api_models_dir(p->models_dir);
    json_t *list = json_array();
    int n = 0;
    *json = NULL;
    if (!f || !dir || !list) {
        st = f ? pz_fail(log, PZ_ERR_NOMEM, "no memory for a download") : pz_api_models_unknown(log, name);
        goto fail;
    }
    if (!accept && !is_accepted(dir, f)) {
        st = pz_fail(log, PZ_ERR_USAGE, "licence of '%s' not accepted: %s; accept it with --accept-licence",
                     name, f->licence);
        goto fail;
    }
    if (accept && !is_accepted(dir, f))
        PZ_TRY(note_accepted(log, dir, f));
    for (int i = 0; (f = pz_weight_file_at(i)); i++)
        if (strcmp(f->model, name) == 0 && f->url) {
            PZ_TRY(get_one(p, f, dir, list));
            n++;
        }
    if (!n) {
        st = pz_fail(log, PZ_ERR_USAGE, "'%s' is not fetched this way; get it with %s", name,
                     first_of(name)->how);
        goto fail;
    }
    st = answer(log, list, json);
fail:
    json_decref(list);
    pz_free(dir);
    return st;
}

static enum pz_status copy(struct pz_log *log, const char *from, const char *to)
{
    char buffer[1 << 16], *tmp = pz_temp_name(to);
    FILE *in = fopen(from, "rb"), *out = tmp ? fopen(tmp, "wb") : NULL;
    bool ok = in && out;
    for (size_t n; ok && (n = fread(buffer, 1, sizeof buffer, in)) > 0;)
        ok = fwrite(buffer, 1, n, out) == n;
    ok = ok && !ferror(in);
    int why = errno;
    if (in)
        fclose(in);
    if (out && fclose(out) != 0)
        ok = false;
    enum pz_status st =
        ok ? pz_commit_file(log, tmp, to)
           : pz_fail(log, PZ_ERR_WRITE, "'%s' cannot be copied to '%s': %s", from, to, strerror(why));
    if (!ok && tmp)
        unlink(tmp);
    pz_free(tmp);
    return st;
}

/* The row a file belongs to: the one of the same file name, else the model's first. */
static const struct pz_weight_file *row_for(const char *name, const char *file)
{
    const char *slash = strrchr(file, '/'), *base = slash ? slash + 1 : file;
    const struct pz_weight_file *f;
    for (int i = 0; (f = pz_weight_file_at(i)); i++) {
        const char *end = strrchr(f->path, '/');
        if (strcmp(f->model, name) == 0 && strcmp(end ? end + 1 : f->path, base) == 0)
            return f;
    }
    return first_of(name);
}

enum pz_status pz_api_models_add(struct pz_pipeline *p, const char *name, const char *file, char **json)
{
    enum pz_status st = PZ_OK;
    struct pz_log *log = p->job.log;
    char *dir = pz_api_models_dir(p->models_dir), *path = NULL, *slash, *parent = NULL;
    json_t *list = json_array();
    *json = NULL;
    const struct pz_weight_file *f = first_of(name) ? row_for(name, file) : NULL;
    if (!f) {
        st = pz_api_models_unknown(log, name);
        goto fail;
    }
    if (!f->check) {
        st = pz_fail(log, PZ_ERR_USAGE, "'%s' is not added by hand; get it with %s", name, f->how);
        goto fail;
    }
    PZ_TRY(f->check(file, &p->job));
    path = dir ? pz_weight_file_locate(f, dir) : NULL;
    parent = pz_strdup(path);
    if (!parent || !list) {
        st = pz_fail(log, PZ_ERR_NOMEM, "no memory for a path");
        goto fail;
    }
    if ((slash = strrchr(parent, '/')))
        *slash = '\0';
    PZ_TRY(pz_make_dirs(log, parent));
    if (pz_file_exists(path)) {
        st = pz_fail(log, PZ_ERR_WRITE, "'%s' is there already; remove it first", path);
        goto fail;
    }
    if (link(file, path) != 0)
        PZ_TRY(copy(log, file, path));
    json_array_append_new(list, done_json(f, path, "added"));
    st = answer(log, list, json);
fail:
    json_decref(list);
    pz_free(parent);
    pz_free(path);
    pz_free(dir);
    return st;
}
