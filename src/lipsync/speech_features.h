/**
 * What diffusion-type lip-sync networks hear: all layers of a small Whisper's encoder over a whole sound, and
 * the windows that belong to pictures.
 *
 * A model is immutable once open, but its session is not: one thread at a time. Source  spec/musetalk.md §6,
 * spec/whisper.md §3–4.
 */
#ifndef PZ_LIPSYNC_SPEECH_FEATURES_H
#define PZ_LIPSYNC_SPEECH_FEATURES_H

#include "base/job.h"
#include "nn/whisper.h"
#include "tensor/plan.h"

/** Steps a second: two mel columns each. */
#define PZ_SPEECH_STEPS 50

struct pz_speech_features;

/** Path of Whisper's weights in a models folder: whisper/pytorch_model.bin, whisper/model.safetensors or
 * whisper/tiny.pt. `*path` is NULL when there are none. Errors: NOMEM. */
PZ_NODISCARD enum pz_status pz_speech_features_find(const char *models_dir, struct pz_log *log, char **path);

/** Check a file tensor by tensor without reading values; `d` may be NULL. Errors: WEIGHTS (first wrong tensor
 * named), INPUT, FORMAT, NOMEM. */
PZ_NODISCARD enum pz_status pz_speech_features_verify(const char *path, const struct pz_job *job,
                                                      struct pz_whisper_dims *d);

/** Make ready. `last_norm`: the last layer behind the encoder's norm (MuseTalk) or before it (LatentSync).
 * Errors: as above, DEVICE. */
PZ_NODISCARD enum pz_status pz_speech_features_open(const char *path, const struct pz_plan_params *pp,
                                                    bool last_norm, const struct pz_job *job,
                                                    struct pz_speech_features **f);
void pz_speech_features_close(struct pz_speech_features **f);

/** Layers a step (blocks + 1) and values a layer. */
int pz_speech_features_layers(const struct pz_speech_features *f);
int pz_speech_features_width(const struct pz_speech_features *f);

/**
 * Features of a sound (mono 16 kHz), heard in pieces of 30 s, each filled with silence before its mel bands:
 * `*out` [steps][layers][width] on the heap (pz_free), `*steps` = n·50/16000. Errors: NOMEM, CANCELLED,
 * DEVICE.
 */
PZ_NODISCARD enum pz_status pz_speech_features_run(struct pz_speech_features *f, const float *speech,
                                                   int64_t n, const struct pz_job *job, float **out,
                                                   int64_t *steps);

/** Steps [first, first + count) as one window [count·layers][width]; outside [0, steps) it is zero. */
void pz_speech_features_window(const struct pz_speech_features *f, const float *features, int64_t steps,
                               int64_t first, int count, float *out);

/** Steps of one MuseTalk window. */
#define PZ_MUSETALK_STEPS 10

/**
 * First step of MuseTalk's window for the picture shown at `seconds`, of a film of `fps` pictures a second:
 * floor(50 seconds) − 2 ceil(50 / fps). With `seconds` = i/fps and a whole fps it is what the published code
 * takes for picture i (it counts in int(fps); here the true time decides, so nothing drifts at 29.97).
 */
int64_t pz_musetalk_window_first(double seconds, int fps);

/** int(fps) of a film from its frames' times, ascending: the median distance; 25 with fewer than two. Errors
 * none. */
int pz_musetalk_fps(const double *times, int n);

#endif
