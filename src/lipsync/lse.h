/**
 * LSE-D, LSE-C and offset of a film, by the published SyncNet.
 *
 * Pictures are pushed as they come; five of them, 1/25 s apart, make a window, whatever the film's rate (the
 * picture shown at each twenty-fifth is taken). Crops are those of the published pipeline for real films
 * around our tracker's box: half the longer side as the unit s, from s above to 1.8 s below its middle, 1.4 s
 * to both sides, grey outside. Left out of it: re-encoding to 25 fps, the JPEG each picture went through, and
 * its own face tracker. Source  spec/wav2lip.md §9; joonson/syncnet_python.
 */
#ifndef PZ_LIPSYNC_LSE_H
#define PZ_LIPSYNC_LSE_H

#include "base/job.h"
#include "face/face.h"
#include "nn/syncnet.h"

struct pz_lse_model;

/** Path of the weights in a models folder (pz_free), NULL when they are not there or on no memory. Logs
 * nothing. */
char *pz_lse_find(const char *models_dir);

/** Check a file by its tensors. Errors: WEIGHTS (the first wrong one is named), those of the reader; logged.
 */
PZ_NODISCARD enum pz_status pz_lse_verify(const char *path, const struct pz_job *job);

/** Load for the cpu, full width. Errors: as above, NOMEM. Immutable, may be shared. */
PZ_NODISCARD enum pz_status pz_lse_open(const char *path, const struct pz_job *job, struct pz_lse_model **m);
void pz_lse_close(struct pz_lse_model **m);

struct pz_lse;

/** Start a film: mono 16 kHz, [-1,1]; borrowed until the end. Errors: NOMEM. */
PZ_NODISCARD enum pz_status pz_lse_create(const struct pz_lse_model *m, const float *speech, int64_t n_speech,
                                          const struct pz_job *job, struct pz_lse **l);
void pz_lse_destroy(struct pz_lse **l);

/** The next picture, shown from `seconds` of the sound on; times ascend. A gap of more than 0.2 s begins a
 * new run of windows. Errors: NOMEM. */
PZ_NODISCARD enum pz_status pz_lse_push(struct pz_lse *l, double seconds, const struct pz_picture *picture,
                                        const struct pz_face *face);

/** Score of what was pushed; false when it was too short for a window. */
bool pz_lse_score(struct pz_lse *l, struct pz_syncnet_score *score);

#endif
