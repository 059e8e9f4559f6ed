/** Which face networks there are, and where their files lie. */
#ifndef PZ_FACE_MODELS_H
#define PZ_FACE_MODELS_H

#include <stdbool.h>

#include "base/log.h"

/** Whose networks find and measure faces. */
enum pz_face_kind {
    PZ_FACE_AUTO,      /**< the usual ones */
    PZ_FACE_EMBEDDED,  /**< our own, inside the program */
    PZ_FACE_MEDIAPIPE, /**< BlazeFace and the face mesh with attention */
    PZ_FACE_MTCNN      /**< MTCNN detects; points by the usual landmarker */
};

/** Kind by its name on the command line ("auto", "embedded", "mediapipe", "mtcnn"; NULL is "auto"). False
 * when there is none of that name. */
bool pz_face_kind_find(const char *name, enum pz_face_kind *kind);
const char *pz_face_kind_name(enum pz_face_kind kind);

/** What AUTO means here and now; other kinds are themselves. */
enum pz_face_kind pz_face_kind_resolve(enum pz_face_kind kind, const char *models_dir);

/**
 * Path of a weight file ("mediapipe", "face_detection_short_range.tflite"), on the heap (pz_free). Looked for
 * in DIR/FOLDER and DIR, where DIR is pz_weights_dir(models_dir). Errors: WEIGHTS (the line says how to get
 * it), NOMEM.
 */
PZ_NODISCARD enum pz_status pz_face_model_path(const char *models_dir, const char *folder, const char *name,
                                               struct pz_log *log, char **path);

#endif
