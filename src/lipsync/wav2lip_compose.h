/**
 * Puts the mouth of wav2lip:embedded together at the film's own resolution: two moments of the speaker, each
 * bent by its flow field, mixed and touched up as the network says. What is shown are the film's own pixels,
 * wherever the paint is not opaque.
 */
#ifndef PZ_LIPSYNC_WAV2LIP_COMPOSE_H
#define PZ_LIPSYNC_WAV2LIP_COMPOSE_H

#include "base/pool.h"
#include "image/picture.h"

struct pz_wav2lip_compose;

/** Work memory for patches of `side` px. NULL on no memory. Not shared by threads. */
struct pz_wav2lip_compose *pz_wav2lip_compose_create(int side);
void pz_wav2lip_compose_destroy(struct pz_wav2lip_compose **c);

/**
 * Make a patch.
 *
 * flow     [128][128][4] in units of PZ_W2L_BEND_FLOW crop px: x, y of the rest moment, x, y of the open one
 * look     [64][64][20]: squares of 2 × 2 px; share of the open moment, opacity of paint, paint R, G, B of
 * the upper left, upper right, lower left, lower right one turn     crop px → crop px of the moment: where
 * its head, turned like the frame's, has what is asked for fine     the two moments, [side][side][4] R, G, B,
 * unused; 8-bit alpha    [128][128] opacity of the patch pool     may be NULL rgb      [3][side][side]:
 * pixels that `alpha` does not reach are left as they are large    [side][side]: alpha enlarged
 */
void pz_wav2lip_compose_run(struct pz_wav2lip_compose *c, const float *flow, const float *look,
                            const struct pz_affine turn[2], const uint8_t *const fine[2], const float *alpha,
                            struct pz_pool *pool, float *rgb, float *large);

#endif
