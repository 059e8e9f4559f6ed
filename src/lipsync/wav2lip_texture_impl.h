/** Inside of the wav2lip engine's texture; for wav2lip_texture.c and wav2lip_detail.c only. */
#ifndef PZ_LIPSYNC_WAV2LIP_TEXTURE_IMPL_H
#define PZ_LIPSYNC_WAV2LIP_TEXTURE_IMPL_H

#include "image/area.h"
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

/** What both users of pz_wav2lip_high() need: the plan and two planes to work in. */
struct pz_wav2lip_high_work {
    struct pz_enlarge *cubic; /**< size → side, rows from `row` on */
    float *luma;              /**< [size][size] */
    float *room;              /**< [side − row][side] */
};

PZ_NODISCARD enum pz_status pz_wav2lip_high_open(struct pz_wav2lip_high_work *w, int size, int side, int row);
void pz_wav2lip_high_close(struct pz_wav2lip_high_work *w);

/** Fine layer of a patch below its first row: the frame's luma there less the small view's enlarged, in units
 * of R'G'B'. out [side − row][side]. */
void pz_wav2lip_high(struct pz_wav2lip_high_work *w, const float *seen, int size,
                     const struct pz_picture *frame, const struct pz_affine *to_frame, int side, int row,
                     float *out);

#endif
