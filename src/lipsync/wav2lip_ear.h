/**
 * The half of a Wav2Lip network that hears: sound to mel bands, one window and one embedding a picture, in
 * batches. Serves the published networks and wav2lip:embedded, which differ in the window alone.
 */
#ifndef PZ_LIPSYNC_WAV2LIP_EAR_H
#define PZ_LIPSYNC_WAV2LIP_EAR_H

#include "base/job.h"
#include "tensor/plan.h"

/** Windows heard at a time: dimension 0 of the plan's input. */
#define PZ_WAV2LIP_EAR_BATCH 8

struct pz_wav2lip_ear {
    const struct pz_plan *plan; /**< input "mel" [8][80][columns], output "embedding" [8][width] */
    const char *name;           /**< in a profile */
    int columns;                /**< mel frames of a window */
    int before;                 /**< of which so many lie before the picture's time */
    int width;                  /**< of an embedding */
};

/**
 * Embeddings of `n` pictures shown at times[i] seconds of the sound (16 kHz): out [n][width]. A sound shorter
 * than a window is followed by silence; a window beyond an end is moved back to it. Thread-safe. Errors:
 * NOMEM, DEVICE; logged.
 */
PZ_NODISCARD enum pz_status pz_wav2lip_ear_hear(const struct pz_wav2lip_ear *e, const float *speech,
                                                int64_t n_speech, const double *times, int n,
                                                const struct pz_job *job, float *out);

#endif
