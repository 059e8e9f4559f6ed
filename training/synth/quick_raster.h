/**
 * Small rasteriser of the quick generator: four samples a pixel, ids and 1/depth, one thread.
 *
 * Samples lie on a turned grid at kept offsets (PZ_Q_SX, PZ_Q_SY), so that edges in any direction get four
 * steps. A work space belongs to one thread.
 */
#ifndef PZ_SYN_QUICK_RASTER_H
#define PZ_SYN_QUICK_RASTER_H

#include <stdint.h>

#include "base/log.h"
#include "base/status.h"
#include "vec.h"

struct pz_q_head;
struct pz_q_arena;

extern const float PZ_Q_SX[4], PZ_Q_SY[4];

/** A projected point in pixels (centres at +½) and 1/depth (1/cm), larger is nearer. */
struct pz_q_pt {
    float x, y, q;
};

struct pz_q_vis {
    int w, h;
    float *q;           /**< [h][w][4] */
    uint32_t *id;       /**< [h][w][4] 0 nothing */
    int x0, y0, x1, y1; /**< pixels touched since the last clear */
};

/** Memory is of `a`. Errors: NOMEM. */
PZ_NODISCARD enum pz_status pz_q_vis_open(struct pz_log *log, struct pz_q_arena *a, int w, int h,
                                          struct pz_q_vis *v);
/** Empty what was touched. */
void pz_q_vis_clear(struct pz_q_vis *v);

/** An id names what a sample shows: 0 nothing; triangle of the head + 1, with its material in the top byte;
 * or triangle of a thing, with 0x80 and its object in the top byte. */
enum { PZ_Q_ID_KEY = 24, PZ_Q_ID_INDEX = (1 << 24) - 1 };

/** Draw triangles [n][3] into `pt` with ids first_id, first_id + 1, … With `key` [n], a triangle's key goes
 * into the top byte and triangles whose key is a bit of `skip` are left out. `one_sided`: only triangles that
 * face the camera. */
void pz_q_draw(struct pz_q_vis *v, const struct pz_q_pt *pt, const uint32_t *tri, const uint8_t *key,
               uint32_t skip, int n, uint32_t first_id, int one_sided);

/** Draw one triangle whose coverage fades: `alpha` and `uv` at its corners, streaks along v from the head's
 * noise tile; `grain` streaks a unit of u. */
void pz_q_draw_faded(struct pz_q_vis *v, const struct pz_q_head *h, const struct pz_q_pt *const p[3],
                     const float *alpha, const float *uv, float grain, uint32_t id);

/** Depth of triangles seen along an axis: map [res][res] keeps the largest z. Points are in texels, z in cm.
 * `one_sided`: only triangles whose front looks along +z. */
void pz_q_depth_draw(float *map, int res, const struct v3 *pt, const uint32_t *tri, int n, int one_sided);

#endif
