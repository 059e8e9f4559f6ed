/** Skin: procedural maps baked once per person in the UV space of the two skin tiles. */
#ifndef PZ_SYN_SKIN_H
#define PZ_SYN_SKIN_H

#include "base/pool.h"
#include "person.h"
#include "rig.h"

/** Channels of a texel. */
enum {
    PZ_SYN_TEX_R,
    PZ_SYN_TEX_G,
    PZ_SYN_TEX_B,
    PZ_SYN_TEX_HEIGHT,
    PZ_SYN_TEX_GLOSS,
    PZ_SYN_TEX_ROUGH,
    PZ_SYN_TEX_LIP,
    PZ_SYN_TEX_N
};

struct pz_syn_skin {
    int res;        /**< texels per tile side */
    float *tile[2]; /**< [res][res][PZ_SYN_TEX_N]; linear colour, height in cm */
};

/** iBUG landmark i (0…67) as a vertex number of the head. */
int pz_syn_landmark(int i);
/** 1 where head hair grows at rest position p of the person's head, with a soft, ragged edge. */
float pz_syn_scalp_mask(const struct pz_syn_person *p, struct v3 pos);
/** Height of a point of the neutral head above the mean hairline, cm. */
float pz_syn_hairline_height(struct v3 pos);
/** 1 where a beard would grow. `lm` are the person's 68 landmark positions. */
float pz_syn_beard_mask(const struct v3 *lm, struct v3 pos);

PZ_NODISCARD enum pz_status pz_syn_skin_bake(struct pz_log *log, struct pz_pool *pool,
                                             const struct pz_syn_person *p, const struct pz_syn_rig *rig,
                                             int res, struct pz_syn_skin *skin);
void pz_syn_skin_close(struct pz_syn_skin *skin);
/** Bilinear texel of tile 0 or 1; out [PZ_SYN_TEX_N]; *du, *dv height differences per texel (cm). */
void pz_syn_skin_get(const struct pz_syn_skin *skin, int tile, float u, float v, float *out, float *du,
                     float *dv);

#endif
