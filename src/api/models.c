/* What can run here and what it needs. Downloading is not done by the library: scripts/setup fetches what
 * there is. */
#include "api/models.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"

struct weight_file {
    const char *model;  /* group, as on the command line */
    const char *path;   /* below the models folder, or absolute */
    int64_t n_bytes;    /* 0 = any */
    const char *sha256; /* NULL = any */
    const char *licence, *used_for, *how;
};

#define MP_LICENCE "Apache-2.0 (Google MediaPipe)"
#define MP_HOW "scripts/fetch-mediapipe"
#define PS_DIR "/usr/share/pocketsphinx/model/en-us/"

static const struct weight_file files[] = {
    {"mediapipe", "mediapipe/face_detection_short_range.tflite", 229714,
     "bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8", MP_LICENCE, "face detection",
     MP_HOW},
    {"mediapipe", "mediapipe/face_landmark_with_attention.tflite", 2495106,
     "e06a804e0144f9929eda782122916b35d60c697c3c9344013ca2bbe76a6ce2b4", MP_LICENCE, "face landmarks",
     MP_HOW},
    {"pocketsphinx", PS_DIR "en-us/mdef", 0, NULL, "BSD-2-Clause (CMU)", "recognition and alignment",
     "Debian package pocketsphinx-en-us"},
    {"pocketsphinx", PS_DIR "cmudict-en-us.dict", 0, NULL, "BSD-2-Clause (CMU)", "pronunciations",
     "Debian package pocketsphinx-en-us"},
};
#define N_FILES ((int)(sizeof files / sizeof files[0]))

struct engine_row {
    const char *name, *needs, *weights;
};

static const struct engine_row engines[] = {
    {"gaussian_splatting", "mediapipe", "fitted to the speaker at prepare"},
    {"wav2lip", NULL, "official, research and non-commercial use"},
    {"musetalk", NULL, "official, MIT"},
    {"latentsync", NULL, "official, OpenRAIL++"},
    {"vasa1", NULL, "never published; own weights"},
    {"emo", NULL, "never published; own weights"},
};
#define N_ENGINES ((int)(sizeof engines / sizeof engines[0]))

char *pz_api_models_dir(const char *given)
{
    const char *env = getenv("PERSONALIZE_MODELS"), *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (given)
        return pz_strdup(given);
    if (env && *env)
        return pz_strdup(env);
    if (xdg && *xdg)
        return pz_asprintf("%s/personalize/models", xdg);
    return pz_asprintf("%s/.cache/personalize/models", home && *home ? home : "/tmp");
}

static char *locate(const struct weight_file *f, const char *dir)
{
    return f->path[0] == '/' ? pz_strdup(f->path) : pz_path_join(dir, f->path);
}

/* "ok", "missing" or "different". `hash`: compare the bytes, not only the size. */
static const char *state_of(struct pz_log *log, const struct weight_file *f, const char *dir, bool hash)
{
    char *path = locate(f, dir), sha[65];
    struct stat sb;
    const char *state = "ok";
    if (!path || stat(path, &sb) != 0 || !S_ISREG(sb.st_mode))
        state = "missing";
    else if (f->n_bytes && (int64_t)sb.st_size != f->n_bytes)
        state = "different";
    else if (hash && f->sha256 && (pz_sha256_file(log, path, sha) != PZ_OK || strcmp(sha, f->sha256) != 0))
        state = "different";
    pz_free(path);
    return state;
}

static json_t *file_json(const struct weight_file *f, const char *dir, const char *state)
{
    char *path = locate(f, dir);
    json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "model", f->model, "file", path ? path : f->path,
                          "state", state, "licence", f->licence, "used_for", f->used_for, "from", f->how);
    if (o && f->sha256)
        json_object_set_new(o, "sha256", json_string(f->sha256));
    pz_free(path);
    return o;
}

static enum pz_status dump(struct pz_log *log, json_t *root, char **json)
{
    char *text = root ? json_dumps(root, JSON_INDENT(2) | JSON_PRESERVE_ORDER) : NULL;
    *json = pz_strdup(text);
    free(text);
    json_decref(root);
    return *json ? PZ_OK : pz_fail(log, PZ_ERR_NOMEM, "no memory for the answer");
}

static bool have_all(struct pz_log *log, const char *model, const char *dir)
{
    for (int i = 0; i < N_FILES; i++)
        if (model && strcmp(files[i].model, model) == 0 &&
            strcmp(state_of(log, &files[i], dir, false), "ok") != 0)
            return false;
    return true;
}

enum pz_status pz_api_models_describe(struct pz_pipeline *p, char **json)
{
    struct pz_log *log = p->job.log;
    char *dir = pz_api_models_dir(p->models_dir);
    *json = NULL;
    if (!dir)
        return pz_fail(log, PZ_ERR_NOMEM, "no memory for the answer");
    json_t *root = json_pack("{s:s, s:[], s:[]}", "models_dir", dir, "engines", "weights");
    for (int i = 0; i < N_ENGINES; i++) {
        const struct engine_row *e = &engines[i];
        bool built = pz_engine_find(e->name) != NULL;
        const char *status = !built                         ? "not in this build"
                             : have_all(log, e->needs, dir) ? "ready"
                                                            : "weights missing";
        json_array_append_new(json_object_get(root, "engines"),
                              json_pack("{s:s, s:s, s:s, s:o}", "name", e->name, "status", status, "weights",
                                        e->weights, "devices",
                                        built ? json_pack("[s]", "cpu") : json_array()));
    }
    for (int i = 0; i < N_FILES; i++)
        json_array_append_new(json_object_get(root, "weights"),
                              file_json(&files[i], dir, state_of(log, &files[i], dir, false)));
    pz_free(dir);
    return dump(log, root, json);
}

enum pz_status pz_api_models_verify(struct pz_pipeline *p, const char *name, char **json)
{
    struct pz_log *log = p->job.log;
    enum pz_status st = PZ_OK;
    char *dir = pz_api_models_dir(p->models_dir);
    json_t *list = json_array();
    int n = 0;
    const struct weight_file *bad = NULL;
    *json = NULL;
    for (int i = 0; dir && i < N_FILES; i++) {
        if (name && strcmp(files[i].model, name) != 0)
            continue;
        const char *state = state_of(log, &files[i], dir, true);
        json_array_append_new(list, file_json(&files[i], dir, state));
        if (strcmp(state, "ok") != 0 && !bad)
            bad = &files[i];
        n++;
    }
    if (n == 0) {
        json_decref(list);
        st = dir ? pz_fail(log, PZ_ERR_USAGE, "no weights called '%s'; there are: mediapipe, pocketsphinx",
                           name ? name : "")
                 : pz_fail(log, PZ_ERR_NOMEM, "no memory for the answer");
    } else {
        st = dump(log, json_pack("{s:o}", "files", list), json);
    }
    if (st == PZ_OK && bad)
        st = pz_fail(log, PZ_ERR_WEIGHTS, "%s is missing or not the expected file; get it with %s", bad->path,
                     bad->how);
    pz_free(dir);
    return st;
}
