/**
 * How the film's speaker moves the mouth when speaking, for wav2lip:embedded: the ear adapted to the speaker.
 *
 * The shipped ear knows synthetic voices and the mouths of rendered heads. The film itself holds what it
 * lacks: this speaker's sound beside this speaker's tracked lips. `prepare` fits the motion space and the
 * motion model (motion_model.h: kernel ridge on short cepstra and visemes, everything chosen by blocked
 * cross-validation inside the fit frames) to those pairs. Where the cross-validated lip gap follows the true
 * one (r of at least PZ_WAV2LIP_SPEAKER_R), the model is kept and heard with; else (too few faces, a mouth
 * that does not follow the sound, noise, a dubbed film) the shipped ear is.
 *
 * Either way the answer is the same: 41 points (nn/wav2lip_bend.h) in head space for every frame.
 * Lifetime: fit or load, then immutable; may be shared by threads.
 */
#ifndef PZ_LIPSYNC_WAV2LIP_SPEAKER_H
#define PZ_LIPSYNC_WAV2LIP_SPEAKER_H

#include "lipsync/engine.h"
#include "lipsync/motion_model.h"
#include "nn/wav2lip_bend.h"

/** Cross-validated correlation of the lip gap from which on the speaker's own ear is taken. */
#define PZ_WAV2LIP_SPEAKER_R 0.2f

struct pz_wav2lip_speaker {
    struct pz_motion_space *space;     /**< NULL: the shipped ear hears */
    struct pz_motion_model *motion;    /**< beside `space` */
    float rest[PZ_W2L_BEND_POINTS][3]; /**< where the mouth rests, head space; for the shipped ear */
    int n_rigid;                       /**< points that tie head space to tracked faces … */
    int32_t rigid[PZ_MOTION_MAX_RIGID];
    float center[3]; /**< … and where their centroid belongs, head space */
};

/** Learn from the film's fit frames. Errors: UNSUPPORTED (landmarks), UNUSABLE (no measured face), NOMEM,
 * CANCELLED; that the speaker's own ear cannot be had is none. */
PZ_NODISCARD enum pz_status pz_wav2lip_speaker_fit(const struct pz_film *film, const struct pz_job *job,
                                                   struct pz_wav2lip_speaker **s);
/** Write `speaker.safetensors` and, where there is a model, `motion.safetensors` into a folder. Errors:
 * WRITE, NOMEM. */
PZ_NODISCARD enum pz_status pz_wav2lip_speaker_save(const struct pz_wav2lip_speaker *s, const char *folder,
                                                    struct pz_log *log);
/** Read them; both are treated as hostile. Errors: INPUT, FORMAT (logged), NOMEM. */
PZ_NODISCARD enum pz_status pz_wav2lip_speaker_load(const char *folder, struct pz_log *log,
                                                    struct pz_wav2lip_speaker **s);
void pz_wav2lip_speaker_free(struct pz_wav2lip_speaker **s);

/** Mouths of a span's frames, head [n_frames][41][3]. `heard` [n_frames][82]: what the shipped ear says; may
 * be NULL where `space` is not. Errors: those of pz_motion_predict(); NOMEM. */
PZ_NODISCARD enum pz_status pz_wav2lip_speaker_mouths(const struct pz_wav2lip_speaker *s,
                                                      const struct pz_speech_span *span, const float *heard,
                                                      const struct pz_job *job,
                                                      float (*head)[PZ_W2L_BEND_POINTS][3]);

/** The mouth a tracked face has, px of its frame, as mouths of this speaker are described: through the motion
 * space where there is one, so that it can be compared with pz_wav2lip_speaker_mouths(). Errors: NOMEM. */
PZ_NODISCARD enum pz_status pz_wav2lip_speaker_seen(const struct pz_wav2lip_speaker *s,
                                                    const struct pz_face_topology *topo,
                                                    const struct pz_face *face, float (*px)[2]);

/** Where those mouths lie in the crops (wav2lip_crop.h) of the frames they are for, px [n][41][2]: under the
 * faces' poses, averaged over ±0.1 s of the frames' own times like the crops themselves; NaN where no face
 * is. */
void pz_wav2lip_speaker_place(const struct pz_wav2lip_speaker *s, const struct pz_face *const *faces,
                              const double *times, int n, const float (*head)[PZ_W2L_BEND_POINTS][3],
                              float (*px)[PZ_W2L_BEND_POINTS][2]);

#endif
