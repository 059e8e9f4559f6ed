/**
 * Motion model: from sound and phones to the motion of one subject's mouth, calibrated on the film's own
 * pairs.
 *
 * Two heads share the visemes' targets T (21 × K), a ridge solution pulled towards a generic table of gap and
 * width: full    m = ½ W T + ½ mean + Σ_j α_j k(sound, phones; j)   kernel ridge on short cepstra and viseme
 * shares W phones  m =   W T          + Σ_j β_j k(phones; j)          for sound that is not the subject's own
 * Phones given by a synthesiser (score 1) are exact while their sound is foreign: there the phone head leads.
 * Everything that could be tuned (lag, how much phones and ridge weigh, gain, what head pose does to the
 * posture) is chosen by blocked cross-validation inside the fit frames.
 *
 * Lifetime: fit or load, then immutable; may be shared by threads. Prediction keeps no state.
 */
#ifndef PZ_LIPSYNC_MOTION_MODEL_H
#define PZ_LIPSYNC_MOTION_MODEL_H

#include <stdbool.h>

#include "base/job.h"
#include "lipsync/engine.h"
#include "lipsync/motion_sound.h"
#include "lipsync/motion_space.h"
#include "lipsync/viseme.h"

#define PZ_MOTION_MAX_SAMPLES 900

struct pz_motion_model {
    int k;              /**< components, those of the space it was fitted in */
    int n;              /**< samples kept, ≤ PZ_MOTION_MAX_SAMPLES */
    float *sound;       /**< [n][PZ_SOUND_DIM] */
    float *phones;      /**< [n][PZ_VIS_COUNT] */
    float *alpha;       /**< [n][k] full head */
    float *beta;        /**< [n][k] phone head */
    float sound_gain;   /**< kernel exponents, per squared distance */
    float phone_gain;   /**< of the full head; 0 = the film's phones were of no use */
    float phone_gain_2; /**< of the phone head */
    float targets[PZ_VIS_COUNT][PZ_MOTION_MAX];
    float mean[PZ_MOTION_MAX];   /**< of the fit frames */
    float center[PZ_MOTION_MAX]; /**< mean of the cross-validated prediction: gain works around it */
    float gain[PZ_MOTION_MAX];
    float phone_share; /**< weight of the phone head for recognised phones, in [0,1] */
    float lag_s;       /**< sound of t + lag_s explains the mouth at t */
    float cep_mean[PZ_SOUND_CEPSTRA], cep_std[PZ_SOUND_CEPSTRA];
    float pose_mean[3],
        pose_gain[3][PZ_MOTION_MAX]; /**< degrees; m per 5 degrees; all zero when it did not help */
    float anchored;                  /**< 1: the lower face follows motion_anchor.h, 0: that did not help */
    float rest[PZ_MOTION_MAX];       /**< posture in silence, anchor not counted */
    float quiet;                     /**< energy below which sound may be silence */
    float cv_r, cv_error;            /**< of the fit: correlation of the gap; rms error over rms motion */
};

/** Calibrate on the fit frames of a film. `film->phones` may be NULL: then sound alone is used.
 * Deterministic. Errors: UNUSABLE (fewer than 50 usable frames; logged), FORMAT (phones out of order), NOMEM,
 * CANCELLED.
 *  `*out` is NULL on failure; free with pz_motion_model_free(). */
PZ_NODISCARD enum pz_status pz_motion_model_fit(const struct pz_film *film,
                                                const struct pz_motion_space *space, const struct pz_job *job,
                                                struct pz_motion_model **out);

/** Empty model with room for `n` samples, for loaders. NULL on no memory or sizes out of range. */
struct pz_motion_model *pz_motion_model_create(int n, int k);
void pz_motion_model_free(struct pz_motion_model **m);

/** Motion of every frame of a span: `m_out` [span->n_frames][space->n_components]. Frame i is seen at its
 *  frame_times[i] and uses the sound around exactly that time.
 *  Guarantees: inside the box of the space; p, b, m closed (linear gap ≤ the subject's closed gap) on the
 * frame nearest to the middle of each of them whatever the frame rate and phase, unless it lies in a blended
 * border and except for phones recognised with a score below 0.2; silence of more than 180 ms goes to the
 * rest posture. Errors: USAGE (the model belongs to another space), FORMAT (phones or frame times out of
 * order), UNUSABLE (no sound), NOMEM, CANCELLED. */
PZ_NODISCARD enum pz_status pz_motion_predict(const struct pz_motion_model *model,
                                              const struct pz_motion_space *space,
                                              const struct pz_speech_span *span, const struct pz_job *job,
                                              float *m_out);

/** Both heads at one moment, before gain, pose, rest and smoothing: `m` [k]. `row` [n] is scratch. */
void pz_motion_model_eval(const struct pz_motion_model *m, const float sound[PZ_SOUND_DIM],
                          const float visemes[PZ_VIS_COUNT], double phone_share, double *row, double *out);

/** Save space and model as one safetensors file, atomically. Errors: WRITE, NOMEM (logged). */
PZ_NODISCARD enum pz_status pz_motion_save(const char *path, const struct pz_motion_space *space,
                                           const struct pz_motion_model *model, struct pz_log *log);

/** Load what pz_motion_save() wrote. The file is treated as hostile: every size, index and number is checked.
 *  Errors: INPUT (missing), FORMAT (logged), NOMEM. Both results are NULL on failure. */
PZ_NODISCARD enum pz_status pz_motion_load(const char *path, struct pz_log *log,
                                           struct pz_motion_space **space, struct pz_motion_model **model);

#endif
