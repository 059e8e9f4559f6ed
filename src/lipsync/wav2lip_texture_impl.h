/** Inside of the wav2lip engine's texture; for wav2lip_texture.c and wav2lip_detail.c only. */
#ifndef PZ_LIPSYNC_WAV2LIP_TEXTURE_IMPL_H
#define PZ_LIPSYNC_WAV2LIP_TEXTURE_IMPL_H

#include "lipsync/wav2lip_face.h"
#include "lipsync/wav2lip_texture.h"

struct pz_wav2lip_texture {
    int size, side, n; /**< of the network's picture, of a patch, moments */
    int row;           /**< first row of `high` in a patch */
    float *crop;       /**< [n][3][size][size] */
    float *high;       /**< [n][side − row][side] luma */
    float *pose;       /**< [n][2] yaw, pitch, degrees */
};

static inline size_t pz_wav2lip_crop_floats(const struct pz_wav2lip_texture *t)
{
    return (size_t)3 * (size_t)t->size * (size_t)t->size;
}

static inline size_t pz_wav2lip_high_floats(const struct pz_wav2lip_texture *t)
{
    return (size_t)(t->side - t->row) * (size_t)t->side;
}

/** Fine luma layer of a patch below `row`: the patch less its small view enlarged. `out` has room for twice
 * the result: [side − row][side], then as much again to work in. */
void pz_wav2lip_high(const float *seen, int size, const float *frame, int side, int row, float *out);

#endif
