/** Inside the Gaussian head: the pictures a fit learns from, and the drawing of both layers with gradients.
 */
#ifndef PZ_LIPSYNC_GS_TRAIN_H
#define PZ_LIPSYNC_GS_TRAIN_H

#include "lipsync/gs_view.h"
#include "splat/fit.h"

enum { PZ_GS_POSE = 6 }; /**< ω (3), log scale, tx, ty */

/** One crop of the film. */
struct pz_gs_sample {
    int64_t frame;
    bool held;                      /**< kept out of the fit, for measuring */
    float gap;                      /**< tracked lip gap */
    float chance;                   /**< how often it is looked at, sums to 1 over the fitted samples */
    struct pz_splat_camera tracked; /**< patch px */
    float tracked_m[PZ_MOTION_MAX]; /**< internal units */
    float pose[PZ_GS_POSE], m[PZ_MOTION_MAX]; /**< internal units; refined: change of the pose, motion */
    float mo[PZ_GS_POSE + PZ_MOTION_MAX], ve[PZ_GS_POSE + PZ_MOTION_MAX];
    int steps;
    int box[4];      /**< mouth box (outer lips × 1.5) in patch px, x0 y0 x1 y1 */
    uint8_t *rgb;    /**< [3][H][W] */
    uint8_t *weight; /**< [H][W] of the loss, 32 = 1 */
    uint8_t *hole;   /**< [H][W] coverage of the inner-lip line, 255 = 1 */
};

struct pz_gs_samples {
    int n;
    struct pz_gs_sample *s;
    uint8_t *block; /**< the pictures of all samples */
};

/** Choose frames, decode and crop each once; the model learns the range of its motion. Every 10th is held
 * out. Errors: UNUSABLE, NOMEM, CANCELLED, the film's. */
PZ_NODISCARD enum pz_status pz_gs_samples_load(struct pz_gs_model *m, const struct pz_film *film,
                                               const struct pz_motion_space *space, int max_frames,
                                               const struct pz_job *job, struct pz_gs_samples *out);
void pz_gs_samples_free(struct pz_gs_samples *s);

/** Camera of a sample with its refinement. */
void pz_gs_sample_camera(const struct pz_gs_sample *s, struct pz_splat_camera *cam);

/** First colours: the median over samples of the pixel under each Gaussian, and the darkest of the open
 * mouth. */
PZ_NODISCARD enum pz_status pz_gs_first_colors(struct pz_gs_model *m, const struct pz_gs_samples *s);

/** Scratch of one thread. */
struct pz_gs_bench {
    struct pz_splat_work *face, *mouth;
    struct pz_splat_loss *loss;
    float *block;                                       /**< the planes below */
    float *inner, *back, *rgb, *g_rgb, *g_back, *truth; /**< [3][H][W] */
    float *weight, *hole;                               /**< [H][W] */
};

PZ_NODISCARD enum pz_status pz_gs_bench_create(const struct pz_gs_model *m, enum pz_splat_rung rung,
                                               struct pz_gs_bench *b);
void pz_gs_bench_free(struct pz_gs_bench *b);

/** Draw a sample into b->rgb with `behind` as the colour outside the mouth. */
PZ_NODISCARD enum pz_status pz_gs_bench_draw(struct pz_gs_bench *b, const struct pz_gs_model *m,
                                             const struct pz_gs_sample *s, const struct pz_splat_camera *cam,
                                             const float *motion, const float behind[3]);

/** Take the skin of the fitted model from its sharpest frame near the middle of poses and motions, and
 * measure how much of it makes held-out mouths as sharp as the film (crisp). Errors: NOMEM. */
PZ_NODISCARD enum pz_status pz_gs_choose_skin(struct pz_gs_model *m, const struct pz_gs_samples *all,
                                              struct pz_gs_bench *b, struct pz_log *log);

/** Squared error and count inside the mouth box of the last draw against the sample. */
void pz_gs_bench_error(const struct pz_gs_bench *b, const struct pz_gs_model *m, const struct pz_gs_sample *s,
                       double *sse, double *count);

#endif
