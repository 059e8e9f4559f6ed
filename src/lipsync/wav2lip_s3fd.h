/**
 * Boxes by S3FD, Wav2Lip's own face detector, in place of our tracker's (`--face-detector s3fd`): looked for
 * at `prepare`, on the frames that will be drawn and the moments that are kept.
 *
 * As published: the network, its decoding, boxes in whole px with 10 px below, and the mean over five boxes
 * (pz_wav2lip_smooth_published). Not as published: pictures are shrunk by a whole number until their long
 * side is at most 640 px (published: an option, off; 1080×1920 px would take seconds a picture on a CPU), by
 * averaging; of several faces the one that overlaps the tracked person most is taken, not the surest; where
 * none does, the tracker's box stands in (published: an error); smoothing does not cross gaps between slots.
 */
#ifndef PZ_LIPSYNC_WAV2LIP_S3FD_H
#define PZ_LIPSYNC_WAV2LIP_S3FD_H

#include "lipsync/engine.h"
#include "lipsync/wav2lip_face.h"

/** Weights in a models folder: s3fd/s3fd-619a316812.pth, or that name right in it. `*path` on the heap
 * (pz_free). Errors: WEIGHTS (none; logged with what to do), NOMEM. */
PZ_NODISCARD enum pz_status pz_wav2lip_s3fd_find(const char *models_dir, struct pz_log *log, char **path);

/** Check them tensor by tensor. Errors: WEIGHTS (the first wrong tensor is named), INPUT, FORMAT, NOMEM. */
PZ_NODISCARD enum pz_status pz_wav2lip_s3fd_verify(const char *path, const struct pz_job *job);

struct pz_wav2lip_s3fd;

/** For pictures of `width` × `height` px, on the device that `p` names, in F32. Errors: as verify, DEVICE,
 * UNSUPPORTED (a picture too small). */
PZ_NODISCARD enum pz_status pz_wav2lip_s3fd_open(const char *path, const struct pz_engine_open_params *p,
                                                 int width, int height, const struct pz_job *job,
                                                 struct pz_wav2lip_s3fd **d);
void pz_wav2lip_s3fd_close(struct pz_wav2lip_s3fd **d);

/** The box of a tracked face, whole px with the published pad, within the picture; `*found` tells whether
 * S3FD saw that face (else `box` is the tracker's). Errors: DEVICE, NOMEM, USAGE (another size). */
PZ_NODISCARD enum pz_status pz_wav2lip_s3fd_box(struct pz_wav2lip_s3fd *d, const struct pz_picture *pic,
                                                const struct pz_face *face, int box[4], bool *found);

/* ---- kept boxes ---- */

struct pz_wav2lip_places;

/** Boxes of the film's asked frames, smoothed. Errors: those above, the film's, CANCELLED. */
PZ_NODISCARD enum pz_status pz_wav2lip_places_fit(const struct pz_film *film, struct pz_wav2lip_s3fd *d,
                                                  const struct pz_job *job, struct pz_wav2lip_places **p);
PZ_NODISCARD enum pz_status pz_wav2lip_places_save(const struct pz_wav2lip_places *p, const char *path,
                                                   struct pz_log *log);
/** Errors: INPUT, FORMAT, NOMEM. */
PZ_NODISCARD enum pz_status pz_wav2lip_places_load(const char *path, struct pz_log *log,
                                                   struct pz_wav2lip_places **p);
void pz_wav2lip_places_free(struct pz_wav2lip_places **p);
/** Box of a film frame; false when none is kept. `p` may be NULL. */
bool pz_wav2lip_places_at(const struct pz_wav2lip_places *p, int64_t frame, struct pz_wav2lip_box *box);

#endif
