/** Face parsing for masks: BiSeNet ready to run on 512 px pictures. One thread at a time. */
#ifndef PZ_LIPSYNC_FACE_PARSER_H
#define PZ_LIPSYNC_FACE_PARSER_H

#include "base/job.h"
#include "nn/bisenet.h"
#include "tensor/plan.h"

struct pz_face_parser;

/** Its weights in a models folder: face-parse-bisent/79999_iter.pth. `*path` NULL when there are none.
 * Errors: NOMEM. */
PZ_NODISCARD enum pz_status pz_face_parser_find(const char *models_dir, struct pz_log *log, char **path);

/** Check tensor by tensor. Errors: WEIGHTS (first wrong tensor named), INPUT, FORMAT, NOMEM. */
PZ_NODISCARD enum pz_status pz_face_parser_verify(const char *path, const struct pz_job *job);

/** Errors: as verify, DEVICE. */
PZ_NODISCARD enum pz_status pz_face_parser_open(const char *path, const struct pz_plan_params *pp,
                                                const struct pz_job *job, struct pz_face_parser **p);
void pz_face_parser_close(struct pz_face_parser **p);

/** picture [512][512][3] R, G, B → class [512][512] in [0, 19). Errors: DEVICE. */
PZ_NODISCARD enum pz_status pz_face_parser_run(struct pz_face_parser *p, const uint8_t *picture,
                                               struct pz_pool *pool, uint8_t *classes);

#endif
