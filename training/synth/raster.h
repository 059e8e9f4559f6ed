/**
 * Software rasteriser: a visibility buffer of super-samples, and shadow maps of an area light.
 *
 * Every buffer is split into bands of rows; a task owns one band (or one shadow map), so the result does not
 * depend on the number of threads.
 */
#ifndef PZ_SYN_RASTER_H
#define PZ_SYN_RASTER_H

#include <stdint.h>

#include "base/pool.h"
#include "base/log.h"
#include "base/status.h"
#include "vec.h"

#define PZ_SYN_STRAND 0x80000000u /**< set in ids that name a hair segment */

/** Pinhole camera on the z axis at `dist`, looking along −z; principal point at (cx, cy) in samples. */
struct pz_syn_camera {
    float focal; /**< samples */
    float cx, cy, dist;
};

/** A projected point: sample position and 1/depth (1/cm), larger is nearer. */
struct pz_syn_point {
    float x, y, q;
};

struct pz_syn_vis {
    int w, h;     /**< samples */
    uint32_t *id; /**< [h][w] 0 nothing, triangle + 1, or PZ_SYN_STRAND | segment */
    float *q;     /**< [h][w] 1/depth */
};

/** Hair segments in samples: segment i joins point a[i] and a[i]+1. */
struct pz_syn_segs {
    int n;
    const int *a;
    const struct pz_syn_point *pt;
    const float *width; /**< [n] samples */
};

PZ_NODISCARD enum pz_status pz_syn_vis_open(struct pz_log *log, int w, int h, struct pz_syn_vis *vis);
void pz_syn_vis_close(struct pz_syn_vis *vis);

static inline struct pz_syn_point pz_syn_project(const struct pz_syn_camera *c, struct v3 p)
{
    float q = 1.f / (c->dist - p.z);
    return (struct pz_syn_point){c->cx + c->focal * p.x * q, c->cy - c->focal * p.y * q, q};
}

/** Clear and draw all triangles ([n_tri][3] into `pt`) and hair segments. */
void pz_syn_vis_draw(struct pz_syn_vis *vis, struct pz_pool *pool, const uint32_t *tri, int n_tri,
                     const struct pz_syn_point *pt, const struct pz_syn_segs *segs);

/** Parallel-light depth maps. */
struct pz_syn_shadow {
    int n, res;
    float size; /**< half width covered, cm */
    struct v3 centre;
    struct v3 dir[16], u[16], v[16]; /**< towards the light, and the map's axes */
    float *map[16];                  /**< [res][res] largest coordinate along dir */
    float *hair[16];                 /**< the same for hair points, or NULL */
};

PZ_NODISCARD enum pz_status pz_syn_shadow_open(struct pz_log *log, int n, int res, float size,
                                               struct v3 centre, int hair, struct pz_syn_shadow *s);
void pz_syn_shadow_close(struct pz_syn_shadow *s);
/** Point map i at `dir` (normalised inside). */
void pz_syn_shadow_aim(struct pz_syn_shadow *s, int i, struct v3 dir);
/** Draw the meshes and, each third, the hair points into map i. */
void pz_syn_shadow_draw(struct pz_syn_shadow *s, int i, const uint32_t *tri, int n_tri, const struct v3 *pos,
                        const struct v3 *hair, int n_hair);
/** Share of map i's light that reaches p: 0…1, bilinear. `bias` cm along the light. */
float pz_syn_shadow_get(const struct pz_syn_shadow *s, int i, struct v3 p, float bias);
/** Depth (cm, ≥ 0) of p below the first hair that map i's light meets; large numbers mean deep in the hair.
 */
float pz_syn_shadow_hair(const struct pz_syn_shadow *s, int i, struct v3 p);

#endif
