/* Look-up of weight files. Never downloads. */
#include "face/models.h"

#include <stdlib.h>

#include "base/file.h"
#include "base/mem.h"

/* The folder that is meant, on the heap. */
static char *folder(const char *models_dir)
{
    const char *env = getenv("PERSONALIZE_MODELS"), *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (models_dir)
        return pz_strdup(models_dir);
    if (env && env[0])
        return pz_strdup(env);
    if (cache && cache[0])
        return pz_asprintf("%s/personalize/models", cache);
    return pz_asprintf("%s/.cache/personalize/models", home && home[0] ? home : "/root");
}

enum pz_status pz_face_model_path(const char *models_dir, const char *name, struct pz_log *log, char **path)
{
    char *dir = folder(models_dir);
    *path = NULL;
    if (!dir)
        return pz_fail(log, PZ_ERR_NOMEM, "no memory for a path");
    for (int i = 0; i < 2; i++) {
        char *p = pz_asprintf("%s/%s%s", dir, i ? "" : "mediapipe/", name);
        if (p && pz_file_exists(p)) {
            *path = p;
            pz_free(dir);
            return PZ_OK;
        }
        pz_free(p);
    }
    enum pz_status st = pz_fail(
        log, PZ_ERR_WEIGHTS,
        "the face model '%s' is not in '%s/mediapipe': fetch it with scripts/fetch-mediapipe", name, dir);
    pz_free(dir);
    return st;
}
