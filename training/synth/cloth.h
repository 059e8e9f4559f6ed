/** Clothes: a lofted torso with an open shirt and a blazer in relief, and a folded shirt collar as a mesh of
 * its own. */
#ifndef PZ_SYN_CLOTH_H
#define PZ_SYN_CLOTH_H

#include "base/pool.h"
#include "person.h"

/** Channels of the cloth map. */
enum { PZ_SYN_CL_R, PZ_SYN_CL_G, PZ_SYN_CL_B, PZ_SYN_CL_H, PZ_SYN_CL_AO, PZ_SYN_CL_SHEEN, PZ_SYN_CL_N };

struct pz_syn_cloth {
    int n_vert, n_tri;
    struct v3 *pos, *nrm; /**< rest positions; normals of the smooth body, relief comes from the map */
    uint32_t *tri;
    float
        *uv; /**< [n_tri][3][2]: x,y of the pattern in cm for the torso; run and depth (cm) for the collar */
    uint8_t *mat; /**< PZ_SYN_CLOTH or PZ_SYN_COLLAR */
    int map_w, map_h;
    float map_x0, map_y0, map_scale; /**< cm of texel (0,0), texels per cm */
    float *map;                      /**< [map_h][map_w][PZ_SYN_CL_N] */
};

PZ_NODISCARD enum pz_status pz_syn_cloth_make(struct pz_log *log, struct pz_pool *pool,
                                              const struct pz_syn_person *p, struct pz_syn_cloth *c);
void pz_syn_cloth_close(struct pz_syn_cloth *c);
/** Bilinear map at pattern point (x, y) cm; *dx, *dy the height's slope. */
void pz_syn_cloth_get(const struct pz_syn_cloth *c, float x, float y, float *out, float *dx, float *dy);

#endif
