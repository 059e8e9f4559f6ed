/** Table of engines and weights behind `personalize models`. */
#ifndef PZ_API_MODELS_H
#define PZ_API_MODELS_H

#include "pipeline/pipeline.h"

/** A file of weights. */
struct pz_weight_file {
    const char *model;  /**< group, as on the command line */
    const char *path;   /**< below the models folder, or absolute */
    const char *url;    /**< official address, NULL = not a single file one can fetch */
    int64_t n_bytes;    /**< 0 = not known */
    const char *sha256; /**< all 64 digits or the first few, NULL = not known */
    const char *licence, *used_for, *how;
    bool inside; /**< part of the program: nothing to fetch; `path` names it */
    bool either; /**< one of the model's files so marked is enough */
    enum pz_status (*check)(const char *path,
                            const struct pz_job *job); /**< looks at its tensors; NULL = none */
};

/** Row `i` of the table, NULL behind the end. */
const struct pz_weight_file *pz_weight_file_at(int i);

/** Where a row's file belongs. On the heap (pz_free), NULL on no memory. */
char *pz_weight_file_locate(const struct pz_weight_file *f, const char *dir);

/** Log that there are no weights of that name, and which there are. Returns USAGE. */
enum pz_status pz_api_models_unknown(struct pz_log *log, const char *name);

/** Licence of a model's weights (pz_free) and whether it was accepted before in this models folder. Errors:
 * USAGE. */
PZ_NODISCARD enum pz_status pz_api_models_licence(struct pz_pipeline *p, const char *name, char **licence,
                                                  bool *accepted);

/** Fetch what of `name` is missing and can be fetched; `accept` notes that its licence was accepted. JSON
 * file by file (pz_free). Errors: USAGE (unknown name, licence not accepted), INPUT, WEIGHTS, WRITE,
 * CANCELLED. */
PZ_NODISCARD enum pz_status pz_api_models_download(struct pz_pipeline *p, const char *name, bool accept,
                                                   char **json);

/** Take a local file as a model's weights: checked by its tensors, then copied (or linked) into the models
 * folder. JSON (pz_free). Errors: USAGE, WEIGHTS (the first wrong tensor is named), INPUT, WRITE. */
PZ_NODISCARD enum pz_status pz_api_models_add(struct pz_pipeline *p, const char *name, const char *file,
                                              char **json);

/** Engines, weight files, licences, what runs here: JSON (pz_free). Errors: NOMEM. */
PZ_NODISCARD enum pz_status pz_api_models_describe(struct pz_pipeline *p, char **json);

/** Check sizes and SHA-256 of the weights of `name` (NULL = all). JSON file by file (pz_free), also on
 * WEIGHTS. Errors: USAGE (unknown name), WEIGHTS (missing or different), NOMEM. */
PZ_NODISCARD enum pz_status pz_api_models_verify(struct pz_pipeline *p, const char *name, char **json);

/** Folder of downloaded weights: the given one, $PERSONALIZE_MODELS, or the user's cache. On the heap
 * (pz_free). */
char *pz_api_models_dir(const char *given);

#endif
