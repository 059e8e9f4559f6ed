/**
 * Quality control of one finished film: the `qc` object of the report.
 *
 * Streams beside the render: `before` sees a touched frame as the film has it, `after` as it was made;
 * `finish` compares the files. Costs little: figures come from the mouth box and the paste ring only,
 * untouched frames are sampled. Threads: one thread at a time.
 */
#ifndef PZ_PIPELINE_QC_H
#define PZ_PIPELINE_QC_H

#include <jansson.h>

#include "face/face.h"
#include "image/paste.h"
#include "media/media.h"

struct pz_qc;

/** `topology` NULL when no picture is touched. Both must outlive the object. Errors: NOMEM. */
PZ_NODISCARD enum pz_status pz_qc_create(const struct pz_film_info *info,
                                         const struct pz_face_topology *topology, struct pz_qc **qc);
void pz_qc_destroy(struct pz_qc **qc);

/** Output frame `i` before and after pasting. `face` is the template's. Errors: NOMEM. */
PZ_NODISCARD enum pz_status pz_qc_before(struct pz_qc *qc, int64_t i, const struct pz_picture *pic,
                                         const struct pz_face *face, const struct pz_paste_patch *patch);
PZ_NODISCARD enum pz_status pz_qc_after(struct pz_qc *qc, int64_t i, const struct pz_picture *pic,
                                        const struct pz_face *face, const struct pz_paste_patch *patch);

/** The opening the engine aimed at on a frame (over interocular distance), and whether its sound is silence
 * there. */
void pz_qc_opening(struct pz_qc *qc, float lip_gap, bool silent);

/** A word was listened to. The lowest score of all slots is reported, texts are joined with " | ". */
void pz_qc_readback(struct pz_qc *qc, const char *text, float score);

/** Compare the finished file with the source: PSNR of a sample of untouched frames (at most 8), A/V offset
 * of the output against the source from the positions of sound and picture that were not touched. Errors:
 * INPUT, INTERNAL, CANCELLED. */
PZ_NODISCARD enum pz_status pz_qc_finish(struct pz_qc *qc, const char *source, const char *output,
                                         const struct pz_out_frame *frames, int64_t n_frames,
                                         const struct pz_job *job);

/** Meaning of the figures
 *   av_offset_ms       how late the output's sound is against its picture, the source being 0; the worst
 * window seam_delta_e       pz_metric_seam() of every fifth touched frame, mean sharpness_ratio    variance
 * of the Laplacian in the mouth box (outer lips × 1.5), made / film on the same frames jitter_ratio mean
 * |second difference in time| of luma on a 64×64 grid that moves with the patch, made / film silence_opening
 * mean of pz_qc_opening() in silence untouched_psnr_db  see pz_qc_finish()
 *  `{av_offset_ms, seam_delta_e, sharpness_ratio, jitter_ratio, silence_opening, untouched_psnr_db,
 * readback{text, score}}`; figures that do not apply are null. New reference. */
json_t *pz_qc_json(const struct pz_qc *qc);

#endif
