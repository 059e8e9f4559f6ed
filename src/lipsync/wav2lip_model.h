/**
 * Wav2Lip's network ready to run: weights found, checked tensor by tensor, and planned for a device.
 *
 * The generator is split in two: what hears (one embedding a picture, in batches, when a slot begins) and
 * what draws. A model is immutable and may be shared by threads; a run object belongs to one.
 */
#ifndef PZ_LIPSYNC_WAV2LIP_MODEL_H
#define PZ_LIPSYNC_WAV2LIP_MODEL_H

#include "lipsync/engine.h"
#include "nn/wav2lip.h"

struct pz_wav2lip_model;

/** Path of the weights in a models folder: wav2lip/wav2lip_gan.pth, wav2lip/wav2lip.pth, or these names right
 * in the folder. `*path` on the heap (pz_free). Errors: WEIGHTS (none; logged with what to do), NOMEM. */
PZ_NODISCARD enum pz_status pz_wav2lip_find(const char *models_dir, struct pz_log *log, char **path);

/** Check that a file holds a whole generator of the family, without reading its values. `config` may be NULL.
 * Errors: WEIGHTS (the first wrong tensor is named), INPUT, FORMAT, UNSUPPORTED, NOMEM; logged. */
PZ_NODISCARD enum pz_status pz_wav2lip_verify(const char *path, const struct pz_job *job,
                                              struct pz_wav2lip_config *config);

/** Load, for the device and in the numbers of engine_plan.h, but in F32 on the CPU when nothing else is asked
 * for. Errors: as pz_wav2lip_verify(), DEVICE. */
PZ_NODISCARD enum pz_status pz_wav2lip_model_open(const char *path, const struct pz_engine_open_params *p,
                                                  const struct pz_job *job, struct pz_wav2lip_model **m);
void pz_wav2lip_model_close(struct pz_wav2lip_model **m);

/** "cpu" or "cuda"; "f32", "f16" or "bf16". Static. */
void pz_wav2lip_model_runs_on(const struct pz_wav2lip_model *m, const char **device, const char **precision);

/** Side of its pictures, px, and length of an embedding. */
int pz_wav2lip_model_size(const struct pz_wav2lip_model *m);
int pz_wav2lip_model_width(const struct pz_wav2lip_model *m);

/** Pictures drawn at a time: at 96 px 64 on a device, 8 in BF16 and 4 in F32 on the CPU (where more are no
 * quicker); of larger networks, whose layers are large enough alone, 16 and 1. */
int pz_wav2lip_model_batch(const struct pz_wav2lip_model *m);

/**
 * Embeddings of `n` pictures shown at times[i] seconds of the sound: out [n][width]. The window of a picture
 * is the one the published code would take at that time, whatever the film's frame rate. Errors: NOMEM,
 * DEVICE.
 */
PZ_NODISCARD enum pz_status pz_wav2lip_hear(const struct pz_wav2lip_model *m, const float *speech,
                                            int64_t n_speech, const double *times, int n,
                                            const struct pz_job *job, float *out);

struct pz_wav2lip_run;

PZ_NODISCARD enum pz_status pz_wav2lip_run_create(const struct pz_wav2lip_model *m, const struct pz_job *job,
                                                  struct pz_wav2lip_run **r);
void pz_wav2lip_run_destroy(struct pz_wav2lip_run **r);

/**
 * Pictures are made some at a time: put them in places 0 … n − 1, make them all, take them out. What was
 * made can be taken until the next make, also while new ones are put.
 *
 * Shapes    embedding [width]; pose, reference, out: [3][size][size] planes R, G, B in [0,1]. `pose` is the
 * face to be given a mouth (its lower half is not looked at), `reference` shows how the person looks; the
 * published code gives the same picture for both.
 */
void pz_wav2lip_put(struct pz_wav2lip_run *r, int place, const float *embedding, const float *pose,
                    const float *reference);
/** Make what lies in the places. A part-filled batch costs as much as a full one. Errors: DEVICE. */
PZ_NODISCARD enum pz_status pz_wav2lip_make(struct pz_wav2lip_run *r);
void pz_wav2lip_take(const struct pz_wav2lip_run *r, int place, float *out);

#endif
