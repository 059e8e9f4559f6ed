/** Table of engines and weights behind `personalize models`. */
#ifndef PZ_API_MODELS_H
#define PZ_API_MODELS_H

#include "pipeline/pipeline.h"

/** Engines, weight files, licences, what runs here: JSON (pz_free). Errors: NOMEM. */
PZ_NODISCARD enum pz_status pz_api_models_describe(struct pz_pipeline *p, char **json);

/** Check sizes and SHA-256 of the weights of `name` (NULL = all). JSON file by file (pz_free), also on
 * WEIGHTS. Errors: USAGE (unknown name), WEIGHTS (missing or different), NOMEM. */
PZ_NODISCARD enum pz_status pz_api_models_verify(struct pz_pipeline *p, const char *name, char **json);

/** Folder of downloaded weights: the given one, $PERSONALIZE_MODELS, or the user's cache. On the heap
 * (pz_free). */
char *pz_api_models_dir(const char *given);

#endif
