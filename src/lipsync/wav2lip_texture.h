/**
 * The speaker's own texture: what a small network cannot draw is put back from the film.
 *
 * `prepare` keeps a few moments of the film that differ in mouth opening and head pose, each as the network
 * sees it
 * ("crop", S px) and as the fine layer that view has lost ("high", luma, patch px). When a made mouth is
 * shown larger than it was made, two fine layers are added to it: film      the frame's own, where the made
 * picture agrees with what the frame shows (skin, chin, neck) moments   those of the moments whose mouths are
 * most like the made one, where they agree with it (lips, teeth) Weights follow the likeness continuously,
 * and from frame to frame they are smoothed as long as frames come in order. Nothing is made up: where
 * neither agrees the picture stays as soft as the network made it.
 */
#ifndef PZ_LIPSYNC_WAV2LIP_TEXTURE_H
#define PZ_LIPSYNC_WAV2LIP_TEXTURE_H

#include "lipsync/engine.h"

struct pz_wav2lip_texture;

struct pz_wav2lip_s3fd;

/** Learn from the film's fit frames for a network of `size` px. `finder`: takes the kept moments' boxes;
 * NULL: the tracker's. Errors: UNUSABLE (no face on them), NOMEM, the film's. */
PZ_NODISCARD enum pz_status pz_wav2lip_texture_fit(const struct pz_film *film, int size,
                                                   struct pz_wav2lip_s3fd *finder, const struct pz_job *job,
                                                   struct pz_wav2lip_texture **t);
PZ_NODISCARD enum pz_status pz_wav2lip_texture_save(const struct pz_wav2lip_texture *t, const char *path,
                                                    struct pz_log *log);
/** Errors: INPUT, FORMAT (also when it was made for another size of network), NOMEM. */
PZ_NODISCARD enum pz_status pz_wav2lip_texture_load(const char *path, int size, struct pz_log *log,
                                                    struct pz_wav2lip_texture **t);
void pz_wav2lip_texture_free(struct pz_wav2lip_texture **t);

/** Side of patches, px: the median height of the face in the film, in steps of 32 from 96 to 768. */
int pz_wav2lip_texture_side(const struct pz_wav2lip_texture *t);

/** The kept moment, [3][size][size], whose head pose is most like this face's: a reference for the network
 * that does not show the very mouth it shall make (self-reenactment). */
const float *pz_wav2lip_texture_reference(const struct pz_wav2lip_texture *t, const struct pz_face *face);

struct pz_wav2lip_detail;

/** Work memory and the state that smooths weights; one a session. `t` must outlive it. NULL on no memory. */
struct pz_wav2lip_detail *pz_wav2lip_detail_create(const struct pz_wav2lip_texture *t);
void pz_wav2lip_detail_destroy(struct pz_wav2lip_detail **d);

/**
 * Enlarge a made picture to a patch and put texture back.
 *
 * made, seen   [3][size][size]: what the network made, and the frame as it saw it
 * frame        the frame, or NULL: no texture of the frame itself (self-reenactment)
 * to_frame     patch px → frame px
 * index        number of the frame; weights are smoothed when it is the last one plus one
 * out          [3][side][side]
 */
void pz_wav2lip_detail_apply(struct pz_wav2lip_detail *d, const float *made, const float *seen,
                             const struct pz_picture *frame, const struct pz_affine *to_frame, int index,
                             float *out);

#endif
