/**
 * Gaussian splatting with linear motion: draw a set of 3-D Gaussians that follow a short motion vector, and
 * give the exact gradient of any image loss with respect to everything that made the image.
 *
 * Chapters
 *   set     the Gaussians: 14 base parameters each, and K motion components on position, opacity and colour
 *   camera  scaled orthographic (weak perspective), as src/face/face.h describes a head pose
 *   work    scratch memory of one image in flight: one thread at a time, reused from frame to frame
 *   draw    blend → project → sort by depth → bin into 16×16 tiles → composite front to back
 *   fit     gradient, loss (Charbonnier, SSIM), Adam, densify and prune
 *
 * Layout: structure of arrays. A set is (14 + 7 K) planes of `cap` floats; plane j of Gaussian i is
 * `data[j * cap + i]`. Planes 0–13: see enum pz_splat_plane. Planes 14 + 7 k …: position (3), opacity logit
 * (1) and colour (3) per unit of motion component k. Image planes are [3][height][width] R, G, B or
 * [height][width]. Units: positions in head units, colour in gamma-encoded [0,1], image coordinates in px
 * with centres at +½. Threads: a set is read by many threads at once, changed by one; a work belongs to one
 * thread at a time. Source: Kerbl et al. 2023 (3-D Gaussian splatting), Zwicker et al. 2001 (EWA), Ma et al.
 * 2024 (linear Gaussian blendshapes); formulas re-derived for the orthographic camera and checked by central
 * differences in tests/splat.
 */
#ifndef PZ_SPLAT_SPLAT_H
#define PZ_SPLAT_SPLAT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/pool.h"
#include "base/status.h"

#define PZ_SPLAT_TILE 16
#define PZ_SPLAT_MAX_MOTION 24

enum pz_splat_plane {
    PZ_SPLAT_POS = 0,     /**< 3: mean at rest, head units */
    PZ_SPLAT_OPACITY = 3, /**< 1: logit */
    PZ_SPLAT_COLOR = 4,   /**< 3: R, G, B */
    PZ_SPLAT_ROT = 7,     /**< 4: quaternion w, x, y, z; normalised where used */
    PZ_SPLAT_SCALE = 11,  /**< 3: log standard deviation, head units */
    PZ_SPLAT_BASE = 14,
    PZ_SPLAT_MOVING = 7 /**< the first seven planes have motion components */
};

/* ---- set --------------------------------------------------------------------------------------------------
 */

struct pz_splat_set {
    int n;   /**< Gaussians in use */
    int cap; /**< room, a multiple of 16; rows n … cap−1 are zero or stale and never drawn */
    int k;   /**< motion components, [0, PZ_SPLAT_MAX_MOTION] */
    float *data;
};

/** Room for `cap` (rounded up to 16) Gaussians with `k` motion components, all zero. Errors: USAGE, NOMEM;
 * `*s` is zero then. Free with pz_splat_set_free(). */
PZ_NODISCARD enum pz_status pz_splat_set_alloc(struct pz_splat_set *s, int cap, int k);
void pz_splat_set_free(struct pz_splat_set *s);

/** Number of planes: 14 + 7 k. */
int pz_splat_planes(const struct pz_splat_set *s);

/** Plane `j` of the set, [cap]. */
float *pz_splat_plane(const struct pz_splat_set *s, int j);

/* ---- camera -----------------------------------------------------------------------------------------------
 */

/** x = scale·(R μ)_x + tx, y = −scale·(R μ)_y + ty; larger (R μ)_z is nearer. */
struct pz_splat_camera {
    float r[9]; /**< row-major rotation */
    float scale, tx, ty;
};

/* ---- work -------------------------------------------------------------------------------------------------
 */

/** Instruction sets the kernels are written for. */
enum pz_splat_rung { PZ_SPLAT_REF = 0, PZ_SPLAT_AVX2 = 1, PZ_SPLAT_AVX512 = 2 };

/** The best rung this processor runs, at most `highest` (tests force a lower one). */
enum pz_splat_rung pz_splat_rung_best(enum pz_splat_rung highest);

struct pz_splat_work;

/** Scratch for sets of up to `cap` Gaussians and images of `width` × `height` px (multiples of 16, [16,
 * 4096]). `rung` is clipped to what the processor has. Errors: USAGE, NOMEM. Free with
 * pz_splat_work_destroy(). */
PZ_NODISCARD enum pz_status pz_splat_work_create(int cap, int width, int height, enum pz_splat_rung rung,
                                                 struct pz_splat_work **work);
void pz_splat_work_destroy(struct pz_splat_work **work);

/* ---- draw -------------------------------------------------------------------------------------------------
 */

/**
 * Draw the set: out = Σ αᵢ Tᵢ cᵢ + T·bg, front to back.
 *
 * Shapes   m [k] or NULL when k = 0; bg [3][H][W] or NULL for black; rgb [3][H][W]; through [H][W] receives
 * the final transmittance T in [0,1] (1 = nothing drawn), may be NULL Numerics alpha below 1/255 is skipped
 * and capped at 0.99; a pixel stops before T would fall to 1e-4; low-pass of 0.3 px² on the projected
 * covariance. Rungs agree within 1/255 on at least 99.9 % of pixels. Threads  with a pool, tiles are shared
 * out; the result does not depend on the number of threads Errors   NOMEM (tile lists grow on first use
 * only), USAGE (set larger than the work's cap)
 */
PZ_NODISCARD enum pz_status pz_splat_draw(struct pz_splat_work *w, const struct pz_splat_set *s,
                                          const struct pz_splat_camera *cam, const float *m, const float *bg,
                                          float *rgb, float *through, struct pz_pool *pool);

/** Where a Gaussian of the last draw fell: centre in px and the larger radius in px (0 = not drawn). */
void pz_splat_where(const struct pz_splat_work *w, int i, float *x, float *y, float *radius);

/* ---- gradient ---------------------------------------------------------------------------------------------
 */

/** What pz_splat_gradient() returns; every array is overwritten, NULL fields are not wanted. */
struct pz_splat_gradient {
    float *
        blended; /**< [14][cap]: with respect to the parameters after the motion was blended in; never NULL */
    float *m;    /**< [k] */
    float pose[6]; /**< left rotation increment ω (3, radians, R ← exp(ω) R), log scale, tx, ty */
    float *bg;     /**< [3][H][W] */
    float *screen; /**< [cap]: |∂L/∂(x,y)|, px⁻¹, the measure densification uses */
};

/**
 * Gradient of a loss after pz_splat_draw() with the same work, set, camera, m and bg.
 *
 * Shapes   g_rgb [3][H][W] = ∂L/∂rgb; g_through [H][W] = ∂L/∂through or NULL
 * Threads  runs on the calling thread (a fit draws one image per thread)
 * Numerics exact for the piecewise smooth image function; thresholds count as constants
 */
void pz_splat_gradient(struct pz_splat_work *w, const struct pz_splat_set *s,
                       const struct pz_splat_camera *cam, const float *m, const float *bg, const float *g_rgb,
                       const float *g_through, struct pz_splat_gradient *out);

#endif
