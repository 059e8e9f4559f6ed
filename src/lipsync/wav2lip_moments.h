/**
 * What `prepare` keeps of a film for wav2lip:embedded: moments of the speaker with lips at rest and with lips
 * open, in different head poses, as fine as the film has them. New mouths are bent out of them.
 */
#ifndef PZ_LIPSYNC_WAV2LIP_MOMENTS_H
#define PZ_LIPSYNC_WAV2LIP_MOMENTS_H

#include "lipsync/engine.h"
#include "lipsync/wav2lip_crop.h"
#include "lipsync/wav2lip_speaker.h"

#define PZ_WAV2LIP_MOMENTS 10 /**< of each of the two kinds, at most */

struct pz_wav2lip_moments {
    int side;            /**< of the fine pictures, px */
    int n[2];            /**< at rest, open */
    uint8_t *fine[2];    /**< [n][side][side][4]: R, G, B, unused */
    float *view[2];      /**< [n][4][128][128]: R, G, B in [0,1], lips marked */
    float (*pose[2])[2]; /**< [n] yaw, pitch, degrees */
    float *gap[2];       /**< [n] lip gap over interocular distance */
    /** [n] where the head\'s turn alone puts the lower face, crop px */
    float (*anchor[2])[PZ_WAV2LIP_ANCHORS][2];
    float (*mouth[2])[PZ_W2L_BEND_POINTS][2]; /**< [n] pz_wav2lip_speaker_seen(), crop px */
};

/** Learn from the film's fit frames. Errors: UNUSABLE (too few faces on them), UNSUPPORTED (landmarks),
 * NOMEM, the film's, CANCELLED. */
PZ_NODISCARD enum pz_status pz_wav2lip_moments_fit(const struct pz_film *film,
                                                   const struct pz_wav2lip_speaker *speaker,
                                                   const struct pz_job *job, struct pz_wav2lip_moments **m);
PZ_NODISCARD enum pz_status pz_wav2lip_moments_save(const struct pz_wav2lip_moments *m, const char *path,
                                                    struct pz_log *log);
/** Errors: INPUT, FORMAT, NOMEM. */
PZ_NODISCARD enum pz_status pz_wav2lip_moments_load(const char *path, struct pz_log *log,
                                                    struct pz_wav2lip_moments **m);
void pz_wav2lip_moments_free(struct pz_wav2lip_moments **m);

/**
 * Moments for `n` frames: for each kind those whose heads are turned alike and whose lips are as wide as
 * those wished for (mouth [n], crop px), so that the two of a frame lie on each other and not beside;
 * changing as seldom as is worth it (the cheapest path through distances and changes). chosen [n][2]. Errors:
 * NOMEM.
 */
PZ_NODISCARD enum pz_status pz_wav2lip_moments_choose(const struct pz_wav2lip_moments *m,
                                                      const struct pz_face *const *faces,
                                                      const float (*mouth)[PZ_W2L_BEND_POINTS][2], int n,
                                                      int (*chosen)[2]);

#endif
