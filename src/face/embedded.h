/**
 * Our own face networks (docs/notes/face-networks.md), trained on synthetic people, their weights inside the
 * program: a detector, a landmarker with depth and uncertainty, a parser of face parts.
 */
#ifndef PZ_FACE_EMBEDDED_H
#define PZ_FACE_EMBEDDED_H

#include "face/crop.h"
#include "face/landmarker.h"
#include "tensor/plan.h"
#include "weights/checkpoint.h"

enum pz_embedded_file { PZ_EMBEDDED_DETECTOR, PZ_EMBEDDED_LANDMARKS, PZ_EMBEDDED_PARTS };

/** "face_detector.safetensors", … Static. */
const char *pz_embedded_name(enum pz_embedded_file which);

/** The bytes inside the program; NULL when this build carries none. Static. */
const void *pz_embedded_data(enum pz_embedded_file which, size_t *n_bytes);

/** Open a weight file: DIR/embedded/NAME of the models folder where there is one (weights on trial), else the
 * bytes inside the program. Errors: WEIGHTS, FORMAT, NOMEM. */
PZ_NODISCARD enum pz_status pz_embedded_open(enum pz_embedded_file which, const char *models_dir,
                                             struct pz_log *log, struct pz_checkpoint **c);

/** Plans of the networks. `dir` as models_dir above. The landmarker's outputs: "landmarks" [batch,2108], with
 * `parts` also "parts" [batch,96,96,12]; the detector's: "h20", "h10". Errors: WEIGHTS, NOMEM. */
PZ_NODISCARD enum pz_status pz_embedded_plan_landmarks(const char *dir, int batch, bool parts,
                                                       struct pz_log *log, struct pz_plan **plan);
PZ_NODISCARD enum pz_status pz_embedded_plan_detector(const char *dir, struct pz_log *log,
                                                      struct pz_plan **plan);

/** Region of interest by the rule the networks were trained with, from the middles of the eyes and of the
 * mouth: [0] subject's right, [1] left. */
struct pz_face_rect pz_embedded_roi(const float eye[2][2], const float mouth[2]);

/** The same from points of the mesh (eyes are the middles of their corners). */
struct pz_face_rect pz_embedded_roi_from_points(const float (*xyz)[3]);

/* ---- parts ---- */

enum pz_face_part {
    PZ_PART_BACKGROUND,
    PZ_PART_SKIN,
    PZ_PART_LIPS,
    PZ_PART_INNER_MOUTH,
    PZ_PART_TEETH,
    PZ_PART_EYES,
    PZ_PART_BROWS,
    PZ_PART_HAIR,
    PZ_PART_GLASSES,
    PZ_PART_OCCLUDER,
    PZ_PART_CLOTHES,
    PZ_PART_HAT,
    PZ_PARTS
};

struct pz_face_parts;

/** One thread at a time. Errors: WEIGHTS, NOMEM. */
PZ_NODISCARD enum pz_status pz_face_parts_create(const char *models_dir, struct pz_log *log,
                                                 struct pz_face_parts **p);
void pz_face_parts_destroy(struct pz_face_parts **p);

/** Parts of the face with these points (px of `pic`): `map` [96][96] of enum pz_face_part covers `*roi`.
 * Errors: NOMEM. */
PZ_NODISCARD enum pz_status pz_face_parts_run(struct pz_face_parts *p, const struct pz_picture *pic,
                                              const float (*xyz)[3], struct pz_pool *pool,
                                              uint8_t map[96][96], struct pz_face_rect *roi);

/** The same, but the probability of one part in [0,1] (softmax). Errors: NOMEM. */
PZ_NODISCARD enum pz_status pz_face_parts_share(struct pz_face_parts *p, const struct pz_picture *pic,
                                                const float (*xyz)[3], enum pz_face_part part,
                                                struct pz_pool *pool, float share[96][96],
                                                struct pz_face_rect *roi);

#endif
