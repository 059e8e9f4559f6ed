/**
 * Evaluate: how good are the lips?
 *
 * One film: self-reenactment. The engine learns from the first 70 % of the film (at most its first 90 s are
 * used), makes the mouth of the last 30 % from that part's sound alone — phones come from the recogniser,
 * never from a transcript — and the result is compared with the true frames. The controls go the same way
 * through the compositor: `closed` holds the mouth of the nearest silent frame of the part that could be
 * learned from, `closed_any` that of the nearest silent frame anywhere (it has seen truth the model has not),
 * `shifted` is the engine driven by the sound of 0.8 s earlier. Engines are given faces tracked with the
 * true mouths of the held-out part hidden. Landmarks of made frames come from the face tracker; with `judge`
 * from another one, so that two trackers' films can be measured by the same eyes.
 *
 * Two films: the second is a render of the first; its touched frames are compared (qc.h has the meaning of
 * the figures).
 *
 * Figures of the first form
 *   r_aperture       Pearson correlation of inner-lip opening over interocular distance, true against made
 *   lmd              mean mouth-landmark distance, % of the interocular distance, aligned on eye corners and
 * nose tip psnr_mouth       dB, R'G'B', outer-lip box × 1.5 of the true face; mean over frames ssim_mouth
 * luma of that box; mean over frames sharpness_ratio  variance of the Laplacian of luma in that box, made /
 * true (sums over frames) jitter_ratio     mean absolute second difference of mouth landmarks, made / true
 *   seam_delta_e     pz_metric_seam(), mean of every third frame
 *   fps              frames made a second: draw and paste, not the tracking
 *   lse_d, lse_c, lse_offset   by the published SyncNet (lipsync/lse.h), only when its weights are in the
 * models folder: of the made frames and of the displaced control, with the true frames' own as "ground_truth"
 * Figures that cannot be computed are null.
 */
#ifndef PZ_PIPELINE_EVALUATE_H
#define PZ_PIPELINE_EVALUATE_H

#include "pipeline/pipeline.h"

struct pz_evaluate_request {
    const char *video;
    const char *made;   /**< NULL = self-reenactment, else the finished film to be compared with `video` */
    const char *engine; /**< name, "auto" or NULL */
    const char *face;   /**< "largest", an index, or NULL */
    const char *judge;  /**< whose face networks measure, as pz_pipeline.face_detector; NULL = the same */
    const char *strip;  /**< PNG for human eyes: true mouths above, made ones below; NULL = none */
};

/** Figures as JSON text (pz_free). Errors: USAGE, INPUT (too short, no sound), UNUSABLE (no face), WEIGHTS,
 * DEVICE, WRITE (strip), NOMEM, CANCELLED. */
PZ_NODISCARD enum pz_status pz_pipeline_evaluate(struct pz_pipeline *p, const struct pz_evaluate_request *r,
                                                 char **json);

#endif
