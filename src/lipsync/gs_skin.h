/**
 * Real skin on a Gaussian head: the finest detail (beard, pores, wrinkles of the lips) of one frame of the
 * film, carried along by the moving face. Gaussians average hundreds of frames that never lie exactly on each
 * other, so their own finest detail is weak and, when amplified, grainy; a single frame's is sharp and moves
 * as skin does.
 *
 * A net of nodes, even in the frontal plane, takes its motion from the landmark mesh. Each node knows where
 * it lay in the chosen frame; between nodes the map is affine. There is no skin inside the open mouth.
 */
#ifndef PZ_LIPSYNC_GS_SKIN_H
#define PZ_LIPSYNC_GS_SKIN_H

#include "lipsync/gs_view.h"

#define PZ_GS_SKIN_MAX 16384 /* nodes */

/** Where the skin of a frame comes from: [height][width], drawing memory. */
struct pz_gs_skin_map {
    float *detail; /**< detail of the luma, in [−1,1] */
    float *cover;  /**< 1 where `detail` holds skin, 0 elsewhere */
};

/** Keep the finest detail of a picture (`luma` [H][W] of the model's patch size) as the skin of a model whose
 * net is laid out: seen by `cam` under motion `m` (internal units). `mask` [H][W]: 0 where the picture shows
 * no skin. Errors: NOMEM. */
PZ_NODISCARD enum pz_status pz_gs_skin_take(struct pz_gs_model *g, const float *luma, const float *mask,
                                            const struct pz_splat_camera *cam, const float *m);

/** Lay the skin on a head under `cam` and motion `m`; `nodes` [g->skin.net.n][2] is scratch. Nothing is
 * covered for a model without skin. */
void pz_gs_skin_lay(const struct pz_gs_model *g, const struct pz_splat_camera *cam, const float *m,
                    float (*nodes)[2], const struct pz_gs_skin_map *map);

/** Put it on a picture [3][H][W] in place: where skin covers, the picture's own finest detail makes room for
 * the real one; elsewhere `share` of half its own is added. `share` 1 = as sharp as the frame the skin was
 * taken from. `hole` [H][W]: 1 inside the open mouth. `luma`, `own`, `tmp`: [H][W] scratch. */
void pz_gs_skin_apply(const struct pz_gs_model *g, const struct pz_gs_skin_map *map, const float *hole,
                      float share, float *rgb, float *luma, float *own, float *tmp);

#endif
