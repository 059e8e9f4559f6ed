/**
 * BiSeNet, MuseTalk's face parser (`79999_iter.pth`): 19 classes of CelebAMask-HQ.
 *
 * Source: Yu et al. 2018, arXiv:1808.00897; spec/musetalk.md §8.
 */
#ifndef PZ_NN_BISENET_H
#define PZ_NN_BISENET_H

#include "nn/param.h"

#define PZ_BISENET_CLASSES 19
#define PZ_BISENET_SIDE 512

/** Only the first is used for making pictures. */
struct pz_bisenet_outputs {
    int main, aux16, aux32; /**< logits [B,H,W,19] */
};

/** x [B,H,W,3], R, G, B normalised by mean .485 .456 .406 and deviation .229 .224 .225; H, W multiples of 32.
 * `aux` false: the two training outputs are PZ_NONE and their parameters left out (give pz_bisenet_aux_names
 * to ignore). */
void pz_bisenet_build(struct pz_params *p, bool aux, int x, struct pz_bisenet_outputs *out);

extern const char *const pz_bisenet_aux_names[];

#endif
