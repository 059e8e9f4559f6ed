/** Where the face networks' files lie. */
#ifndef PZ_FACE_MODELS_H
#define PZ_FACE_MODELS_H

#include "base/log.h"

/**
 * Path of a MediaPipe file ("face_detection_short_range.tflite"), on the heap (pz_free). Looked for in
 * DIR/mediapipe and DIR, where DIR is `models_dir` if given, else $PERSONALIZE_MODELS, else
 * $XDG_CACHE_HOME/personalize/models, else
 * ~/.cache/personalize/models. Errors: WEIGHTS (the line says which command fetches it), NOMEM.
 */
PZ_NODISCARD enum pz_status pz_face_model_path(const char *models_dir, const char *name, struct pz_log *log,
                                               char **path);

#endif
