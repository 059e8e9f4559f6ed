/**
 * The embedded network of wav2lip:embedded ready to run. Its weights are part of the program; a file of the
 * same form may stand in for them. A model is immutable and may be shared by threads; a run object belongs to
 * one.
 */
#ifndef PZ_LIPSYNC_WAV2LIP_BEND_MODEL_H
#define PZ_LIPSYNC_WAV2LIP_BEND_MODEL_H

#include "lipsync/engine.h"
#include "nn/wav2lip_bend.h"

struct pz_wav2lip_bend;

/** Load, for the device and in the numbers of engine_plan.h. `path` NULL: the program's own weights. Errors:
 * WEIGHTS (the first wrong tensor is named), INPUT, FORMAT, DEVICE, NOMEM. */
PZ_NODISCARD enum pz_status pz_wav2lip_bend_open(const char *path, const struct pz_engine_open_params *p,
                                                 const struct pz_job *job, struct pz_wav2lip_bend **m);
void pz_wav2lip_bend_close(struct pz_wav2lip_bend **m);

/** "cpu" or "cuda"; "f32", "f16" or "bf16". Static. */
void pz_wav2lip_bend_runs_on(const struct pz_wav2lip_bend *m, const char **device, const char **precision);

/** Pictures drawn at a time. */
int pz_wav2lip_bend_batch(const struct pz_wav2lip_bend *m);

/** What the weights say of their training (their file's metadata `trained_on`), or NULL. */
const char *pz_wav2lip_bend_story(const struct pz_wav2lip_bend *m);

/** Mouths of `n` pictures shown at times[i] seconds of the sound, as the shipped ear hears them: out [n][82],
 * see nn/wav2lip_bend.h. The window of a picture
 * are the mel frames from 0.2 s before to 0.2 s behind it, moved inwards at the ends of the sound. Errors:
 * NOMEM, DEVICE. */
PZ_NODISCARD enum pz_status pz_wav2lip_bend_hear(const struct pz_wav2lip_bend *m, const float *speech,
                                                 int64_t n_speech, const double *times, int n,
                                                 const struct pz_job *job, float *out);

struct pz_wav2lip_bend_run;

PZ_NODISCARD enum pz_status pz_wav2lip_bend_run_create(const struct pz_wav2lip_bend *m,
                                                       const struct pz_job *job,
                                                       struct pz_wav2lip_bend_run **r);
void pz_wav2lip_bend_run_destroy(struct pz_wav2lip_bend_run **r);

/** Put a picture into a place: `wish` [164]; `pose` the upper rows of the face to be given a mouth,
 * [3][PZ_W2L_BEND_HIDDEN][128]; `rest`, `open` the moments, [4][128][128] (R, G, B, lips); `lips` [128][128]
 * the lips wished for. */
void pz_wav2lip_bend_put(struct pz_wav2lip_bend_run *r, int place, const float *wish, const float *pose,
                         const float *rest, const float *open, const float *lips);
/** Make what lies in the places. Errors: DEVICE. */
PZ_NODISCARD enum pz_status pz_wav2lip_bend_make(struct pz_wav2lip_bend_run *r);
/** What was made last in a place, [128][128][4] and [64][64][20]; valid until the next make. */
void pz_wav2lip_bend_take(const struct pz_wav2lip_bend_run *r, int place, const float **flow,
                          const float **look);

#endif
