/** Inside the Gaussian head: the landmark mesh that Gaussians are sown on, and the sowing itself. */
#ifndef PZ_LIPSYNC_GS_MESH_H
#define PZ_LIPSYNC_GS_MESH_H

#include "lipsync/gs_model.h"

/**
 * Lay out a new model: outlines from the landmark set, the face set on the triangulated mean points (extended
 * below the jaw, where landmarks end), the mouth set behind the lips. Colours and sizes of the film are not
 * known yet.
 *
 * `px_per_unit` patch px per head unit; the model's k, focus, rigid points are filled too. `max_face` is the
 * room of the face set. Errors: NOMEM, UNUSABLE (the landmark set has no usable mouth).
 */
PZ_NODISCARD enum pz_status pz_gs_mesh_sow(struct pz_gs_model *m, const struct pz_motion_space *space,
                                           const struct pz_face_topology *topo, float px_per_unit,
                                           int max_face, struct pz_log *log);

/** Head units covered by a patch's sides (half of them), from the landmark set alone, and the patch's middle.
 */
void pz_gs_mesh_extent(const struct pz_motion_space *space, const struct pz_face_topology *topo,
                       float half[2], float focus[3]);

#endif
