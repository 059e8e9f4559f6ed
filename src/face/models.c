/* Names of the kinds, and the look-up of weight files. Never downloads. */
#include "face/models.h"

#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "face/embedded.h"

static const char *const names[] = {"auto", "embedded", "mediapipe", "mtcnn"};

bool pz_face_kind_find(const char *name, enum pz_face_kind *kind)
{
    *kind = PZ_FACE_AUTO;
    for (size_t i = 0; name && i < sizeof names / sizeof names[0]; i++)
        if (strcmp(name, names[i]) == 0) {
            *kind = (enum pz_face_kind)i;
            return true;
        }
    return !name;
}

const char *pz_face_kind_name(enum pz_face_kind kind)
{
    return names[kind];
}

enum pz_face_kind pz_face_kind_resolve(enum pz_face_kind kind, const char *models_dir)
{
    size_t n;
    if (kind != PZ_FACE_AUTO)
        return kind;
    return pz_embedded_data(PZ_EMBEDDED_LANDMARKS, &n) ? PZ_FACE_EMBEDDED : PZ_FACE_MEDIAPIPE;
}

enum pz_status pz_face_model_path(const char *models_dir, const char *folder, const char *name,
                                  struct pz_log *log, char **path)
{
    char *dir = pz_weights_dir(models_dir);
    *path = NULL;
    if (!dir)
        return pz_fail(log, PZ_ERR_NOMEM, "no memory for a path");
    for (int i = 0; i < 2; i++) {
        char *p = pz_asprintf("%s/%s%s%s", dir, i ? "" : folder, i ? "" : "/", name);
        if (p && pz_file_exists(p)) {
            *path = p;
            pz_free(dir);
            return PZ_OK;
        }
        pz_free(p);
    }
    enum pz_status st =
        strcmp(folder, "mediapipe") == 0
            ? pz_fail(log, PZ_ERR_WEIGHTS,
                      "the face model '%s' is not in '%s/mediapipe': fetch it with "
                      "scripts/setup --mediapipe",
                      name, dir)
            : pz_fail(log, PZ_ERR_WEIGHTS, "the face model '%s' is not in '%s/%s'", name, dir, folder);
    pz_free(dir);
    return st;
}
