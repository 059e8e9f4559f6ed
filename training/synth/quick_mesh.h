/** Everything in a picture that is not the head itself: hair, clothes, glasses, hats, hands, as one growing
 * triangle mesh with objects (materials) per triangle. Belongs to one thread; reset for every picture. */
#ifndef PZ_SYN_QUICK_MESH_H
#define PZ_SYN_QUICK_MESH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"
#include "base/status.h"
#include "quick_raster.h"
#include "vec.h"

enum { PZ_Q_MAX_OBJ = 32 };

/** How an object is shaded. */
enum pz_q_kind { PZ_Q_STRANDS, PZ_Q_FABRIC, PZ_Q_PLASTIC, PZ_Q_FLESH, PZ_Q_LENS };

/** Parts of the face, as written to shards (shard.h). */
enum pz_q_part {
    PZ_Q_BACKGROUND,
    PZ_Q_SKIN,
    PZ_Q_LIPS,
    PZ_Q_MOUTH,
    PZ_Q_TEETH,
    PZ_Q_EYES,
    PZ_Q_BROWS,
    PZ_Q_HAIR,
    PZ_Q_GLASSES,
    PZ_Q_OCCLUDER,
    PZ_Q_CLOTHES,
    PZ_Q_HAT
};

struct pz_q_obj {
    enum pz_q_kind kind;
    enum pz_q_part part;
    struct v3 colour, colour2;
    float gloss, power, grain;
    int pattern; /**< 0 plain, 1 stripes along u, 2 along v, 3 checks, 4 knit, 5 blotches */
    float freq;
    bool faded; /**< triangles have alpha: drawn by pz_q_draw_faded() */
    bool no_shadow;
    bool one_sided; /**< seen from outside only */
    uint32_t seed;
};

/** Which frame a vertex is given in. */
enum pz_q_space { PZ_Q_ON_HEAD, PZ_Q_ON_BODY, PZ_Q_IN_WORLD };

/** All that a pixel of a thing needs of a vertex. */
struct pz_q_thin {
    struct v3 light; /**< diffuse */
    float u;
    struct v3 shine; /**< highlights */
    float v;
};

struct pz_q_mesh {
    int n_v, cap_v, n_t, cap_t, n_obj;
    struct v3 *pos, *nrm;
    float (*uv)[2];
    float *alpha;
    struct pz_q_thin *thin; /**< set while shading */
    uint8_t *vertex_obj;    /**< object of a vertex, set while shading */
    uint8_t *space;
    struct pz_q_pt *pt;
    uint32_t *tri; /**< [n_t][3] */
    uint8_t *obj;  /**< [n_t] */
    struct pz_q_obj object[PZ_Q_MAX_OBJ];
};

/** Memory is of `a`. Errors: NOMEM. */
PZ_NODISCARD enum pz_status pz_q_mesh_open(struct pz_log *log, struct pz_q_arena *a, int cap_v, int cap_t,
                                           struct pz_q_mesh *m);
static inline void pz_q_mesh_reset(struct pz_q_mesh *m)
{
    m->n_v = m->n_t = m->n_obj = 0;
}
/** New object with these basics; returns its number. When there are too many the last one is used again. */
int pz_q_mesh_object(struct pz_q_mesh *m, enum pz_q_kind kind, enum pz_q_part part, struct v3 colour);
/** Add a vertex; returns its number (the last one when full). */
uint32_t pz_q_mesh_vertex(struct pz_q_mesh *m, enum pz_q_space space, struct v3 p, float u, float v,
                          float alpha);
/** Add a triangle; nothing when full. */
void pz_q_mesh_triangle(struct pz_q_mesh *m, int obj, uint32_t a, uint32_t b, uint32_t c);
/** Triangles of a grid of vertices [rows][cols] that begin at `first`; `closed`: the last column meets the
 * first. */
void pz_q_mesh_grid(struct pz_q_mesh *m, int obj, uint32_t first, int rows, int cols, int closed);
/** A tube through n points with radii; `sides` ≥ 3. */
void pz_q_mesh_tube(struct pz_q_mesh *m, int obj, enum pz_q_space space, const struct v3 *p, const float *r,
                    int n, int sides);
/** An ellipsoid with half axes a, b, c (vectors). */
void pz_q_mesh_ellipsoid(struct pz_q_mesh *m, int obj, enum pz_q_space space, struct v3 o, struct v3 a,
                         struct v3 b, struct v3 c);
/** A box, half axes as vectors. */
void pz_q_mesh_box(struct pz_q_mesh *m, int obj, enum pz_q_space space, struct v3 o, struct v3 a, struct v3 b,
                   struct v3 c);
/** Normals of all vertices from their triangles, after placing. */
void pz_q_mesh_normals(struct pz_q_mesh *m);

#endif
