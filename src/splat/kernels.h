/**
 * Inside the splat module: the kernels that exist once per rung, and the records they share.
 */
#ifndef PZ_SPLAT_KERNELS_H
#define PZ_SPLAT_KERNELS_H

#include <stdint.h>

#include "splat/splat.h"

/** One projected Gaussian in depth order, as the tile kernels read it. */
struct pz_splat_item {
    float x, y;    /**< px */
    float a, b, c; /**< conic: s = ½(a dx² + c dy²) + b dx dy */
    float alpha;   /**< peak opacity */
    float rgb[3];
    float rx, ry; /**< half extent in px inside which alpha can reach 1/255 */
    int32_t id;
};

#define PZ_SPLAT_MAX_SIDE 4096

/** Screen-space planes of one set, each [cap]. */
struct pz_splat_screen {
    int cap;
    float *x, *y, *a, *b, *c, *alpha, *rx, *ry, *depth;
};

/** One 16×16 tile in both directions. Pixel arrays are rows of 16. */
struct pz_splat_tile {
    const struct pz_splat_item *items;
    const int32_t *list; /**< [n_list] indices into items, front to back */
    int n_list;
    int x0, y0; /**< px of the tile's corner */
};

/** State of the 256 pixels of a tile. `last` is the number of list entries that reached the pixel, as a
 * float. */
struct pz_splat_pixels {
    float t[256] __attribute__((aligned(64)));
    float rgb[3][256] __attribute__((aligned(64)));
    float last[256] __attribute__((aligned(64)));
};

/** Gradient sums of one Gaussian over one tile. */
enum {
    PZ_SUM_R,
    PZ_SUM_G,
    PZ_SUM_B,
    PZ_SUM_ALPHA,
    PZ_SUM_VX,
    PZ_SUM_VY,
    PZ_SUM_VXX,
    PZ_SUM_VXY,
    PZ_SUM_VYY,
    PZ_SUM_COUNT
};

/** Adam on one parameter plane, gradient = Σ_b weight[b]·g[b][i] (batch folded in fixed order). */
struct pz_splat_adam {
    float rate, beta1, beta2, epsilon;
    float correct1, correct2; /**< 1/(1−β1^t), 1/(1−β2^t) */
    float decay;              /**< share of p taken off, decoupled from the gradient (AdamW) */
};

struct pz_splat_kernels {
    /** Blend: out[7][cap] = base + Σ m_k motion_k for rows [0, n). */
    void (*blend)(const struct pz_splat_set *s, const float *m, float *out);
    void (*project)(const struct pz_splat_set *s, const float *blended, const struct pz_splat_camera *cam,
                    const struct pz_splat_screen *out);
    void (*project_back)(const struct pz_splat_set *s, const float *blended,
                         const struct pz_splat_camera *cam, const struct pz_splat_screen *screen,
                         const float *g_screen, float *g_blended, double g_q[8]);
    void (*tile)(const struct pz_splat_tile *t, struct pz_splat_pixels *p);
    /** `p->t` holds final transmittance and is consumed; `behind` [256] starts as T·(bg·g − g_through);
     *  adds into sums[id * PZ_SUM_COUNT + …]. */
    void (*tile_back)(const struct pz_splat_tile *t, struct pz_splat_pixels *p, float *behind,
                      const float *g_rgb, float *sums);
    /** Update p[0..n) with moments mo, ve. */
    void (*adam)(const struct pz_splat_adam *a, int n, int batch, const float *const *g, const float *weight,
                 float *p, float *mo, float *ve);
    /** Vertical then horizontal 11-tap blur of a [h][w] plane, zero outside; `tmp` [h][w]. */
    void (*blur11)(const float *taps, const float *in, float *tmp, float *out, int w, int h);
};

extern const struct pz_splat_kernels pz_splat_kernels_ref;
#if defined(__x86_64__)
extern const struct pz_splat_kernels pz_splat_kernels_avx2;
extern const struct pz_splat_kernels pz_splat_kernels_avx512;
#endif

/** Kernels of a rung; the rung must have come from pz_splat_rung_best(). */
const struct pz_splat_kernels *pz_splat_kernels_of(enum pz_splat_rung rung);

#endif
