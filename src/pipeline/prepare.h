/** Steps of `prepare` that `detect`, `check` and `evaluate` use too. */
#ifndef PZ_PIPELINE_PREPARE_H
#define PZ_PIPELINE_PREPARE_H

#include "face/track.h"
#include "pipeline/pipeline.h"

/** The transcript a request means: its text, its file, or VIDEO's stem + ".txt"; NULL when there is none.
 * Freed with pz_free(). Errors: INPUT. */
PZ_NODISCARD enum pz_status pz_prepare_transcript(struct pz_pipeline *p, const struct pz_prepare_request *r,
                                                  char **text);

/** Listen to a film for a request. Errors: INPUT (no sound), USAGE (nothing to look for), UNUSABLE (word not
 * spoken) … */
PZ_NODISCARD enum pz_status pz_prepare_listen(struct pz_pipeline *p, const struct pz_prepare_request *r,
                                              const char *film_path, const struct pz_film_info *info,
                                              const char *transcript, struct pz_analysis *out);

/** Copy words, slots and phones into a template. Errors: NOMEM (nothing is logged). */
PZ_NODISCARD enum pz_status pz_prepare_take_analysis(const struct pz_analysis *a, struct pz_template_data *d);

/** Window of the film an engine learns from, samples at PZ_SPEECH_RATE: all of a film of up to 90 s, else 60
 * s around the first slot. */
void pz_prepare_window(const struct pz_film_info *info, const struct pz_template_data *d, int64_t *start,
                       int64_t *end);

/** Fill the face verdict of every slot; slots that are not "ok" are warned about. */
void pz_prepare_verdicts(const struct pz_film_info *info, const struct pz_face_track *track,
                         struct pz_template_data *d, struct pz_log *log);

/** True when `n` bytes are a JSON object. */
bool pz_json_is_object(const char *text, size_t n);

#endif
