/**
 * What a fit needs beside draw and gradient: image loss, Adam over a set, and changing the number of
 * Gaussians.
 */
#ifndef PZ_SPLAT_FIT_H
#define PZ_SPLAT_FIT_H

#include "base/rng.h"
#include "splat/splat.h"

/* ---- loss -------------------------------------------------------------------------------------------------
 */

struct pz_splat_loss;

/** Scratch of the loss for images of a size; one thread at a time. Errors: NOMEM. */
PZ_NODISCARD enum pz_status pz_splat_loss_create(int width, int height, enum pz_splat_rung rung,
                                                 struct pz_splat_loss **loss);
void pz_splat_loss_destroy(struct pz_splat_loss **loss);

/**
 * L = (1−λ) Σ ω·charbonnier(rgb − truth) / (3 Σω) + λ (1 − Σ ω·SSIM(luma) / Σω), and its exact gradient.
 *
 * Shapes   rgb, truth, g_rgb [3][H][W]; weight [H][W] ≥ 0
 * Units    charbonnier √(x² + ε²) − ε with ε = 1e-3; SSIM with an 11-tap Gaussian, σ = 1.5 px, C1 = 1e-4, C2
 * = 9e-4, on the luma 0.299 R + 0.587 G + 0.114 B, zero outside the image Returns  L; 0 with a zero gradient
 * when the weights sum to nothing Source   Wang et al. 2004 (SSIM); mixture as in Kerbl et al. 2023
 */
double pz_splat_loss_value(struct pz_splat_loss *l, const float *rgb, const float *truth, const float *weight,
                           float lambda, float *g_rgb);

/* ---- Adam -------------------------------------------------------------------------------------------------
 */

/** Moments of every parameter of a set, and the step count. */
struct pz_splat_optimiser {
    struct pz_splat_set first, second;
    int64_t step;
};

PZ_NODISCARD enum pz_status pz_splat_optimiser_create(struct pz_splat_optimiser *o,
                                                      const struct pz_splat_set *s);
void pz_splat_optimiser_free(struct pz_splat_optimiser *o);

/** Learning rates of one step, by kind of parameter; 0 leaves the kind as it is. */
struct pz_splat_rates {
    float pos, opacity, color, rot, scale;
    float move_pos, move_opacity, move_color; /**< motion components */
    int move_pos_k,
        move_color_k; /**< components that learn position, and opacity and colour; the rest stay */
    float move_decay; /**< share of opacity and colour components taken off each step, decoupled (AdamW) */
};

/**
 * One Adam step from a batch of gradients (β 0.9, 0.99; ε 1e-15), summed in the order of the batch whatever
 * the threads.
 *
 * Shapes   blended [batch] pointers to [14][cap]; m [batch] pointers to [k]
 */
void pz_splat_step(struct pz_splat_optimiser *o, struct pz_splat_set *s, const struct pz_splat_rates *r,
                   int batch, const float *const *blended, const float *const *m, enum pz_splat_rung rung,
                   struct pz_pool *pool);

#define PZ_SPLAT_MAX_BATCH 16

/* ---- number of Gaussians ----------------------------------------------------------------------------------
 */

/**
 * Split or clone the Gaussians with the highest score, at most `budget` and while there is room. A Gaussian
 * whose largest deviation is above `split_above` (head units) becomes two at ±0.7σ along its longest
 * axis, 1.6 times smaller; a smaller one is copied. Opacity is shared so that the pair covers as much as the
 * one did. `score` [cap] ≥ 0; the new rows take part with score 0. Returns the number added.
 */
int pz_splat_densify(struct pz_splat_set *s, struct pz_splat_optimiser *o, float *score, int budget,
                     float split_above, struct pz_rng *rng);

/** Remove rows where `drop[i]` is not 0, keeping the order. Returns the number removed. */
int pz_splat_prune(struct pz_splat_set *s, struct pz_splat_optimiser *o, const uint8_t *drop);

#endif
