/**
 * Pipeline: from a film and a list of values to a customer's film.
 *
 * Chapters
 *   pipeline   what is kept between calls: threads, folders, the recogniser
 *   prepared   an open template
 *   prepare, render, detect, check
 *
 * Threads: a pipeline and its templates belong to one thread at a time.
 * Memory: render holds one slot's speech and a few pictures; nothing grows with the film's length but its
 * frame index.
 */
#ifndef PZ_PIPELINE_PIPELINE_H
#define PZ_PIPELINE_PIPELINE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/job.h"
#include "face/track.h"
#include "lipsync/engine.h"
#include "media/media.h"
#include "pipeline/template.h"
#include "speech/speech.h"

struct pz_name_value {
    const char *name, *value;
};

/** Filled by the caller, read-only for all calls below except `ears`, which is opened at first need. */
struct pz_pipeline {
    struct pz_job job;
    const char *models_dir;    /**< weights; NULL = the default search */
    const char *cache_dir;     /**< templates prepared without a name; NULL = $XDG_CACHE_HOME/personalize or
                                  ~/.cache/personalize */
    const char *device;        /**< "auto", "cpu", "cuda[:N]" */
    const char *precision;     /**< NULL = the engine's default */
    bool no_smooth;            /**< engines: no filter over time against a shaking mouth */
    const char *face_detector; /**< "auto", "embedded", "mediapipe", "mtcnn", "s3fd"; NULL = auto */
    const char *quality;       /**< these five: struct pz_engine_open_params */
    int steps, size;
    float guidance;
    double memory;
    struct pz_ears *ears;
    struct pz_whisper_ears *whisper; /**< opened when a request asks for it */
    char whisper_model[256];         /**< which one that is */
};

/** Device in words for reports: "cpu" or "cuda[:N]". Static or borrowed from `p`. */
static inline const char *pz_pipeline_device(const struct pz_pipeline *p)
{
    return p->device && p->device[0] != 'a' ? p->device : "cpu";
}

/** Free what the pipeline opened itself (the recogniser). */
void pz_pipeline_close(struct pz_pipeline *p);

/** The recogniser, opened once. Errors: WEIGHTS, NOMEM. */
PZ_NODISCARD enum pz_status pz_pipeline_ears(struct pz_pipeline *p, struct pz_ears **ears);

/* ---- prepared
 * ---------------------------------------------------------------------------------------------- */

struct pz_prepared {
    char *dir;
    char *film_path;
    struct pz_template_data data;
    struct pz_film_info *info;
    struct pz_face_track *track;           /**< NULL when no face was looked for */
    const struct pz_engine_vtable *engine; /**< NULL = sound only */
    void *engine_state;                    /**< opened at first need */
    double prepare_s; /**< time this process spent preparing it, 0 when it came from disk */
};

/** Open a prepared template. Errors: INPUT, FORMAT, NOMEM. */
PZ_NODISCARD enum pz_status pz_prepared_open(struct pz_pipeline *p, const char *dir,
                                             struct pz_prepared **out);
void pz_prepared_close(struct pz_prepared **t);

struct pz_prepare_request {
    const char *video;
    const char *transcript, *transcript_file;
    const struct pz_name_value *spoken;
    int n_spoken;
    const char *engine;     /**< name, "auto", "none" or NULL = "auto" */
    const char *recogniser; /**< "auto", "pocketsphinx", "whisper[:SIZE]"; NULL = "auto" */
    const char *face;       /**< "largest", an index, or NULL */
    const char *consent_file;
    const char *language; /**< spoken in the film, as espeak-ng names it; NULL = English */
    const char
        *slots_file;     /**< slots corrected by hand: a template.json or what detect printed; NULL = none */
    const char *plot;    /**< detect: PNG to draw what was heard into, or NULL */
    bool slots_optional; /**< no variable at all is fine (lip-sync alone, or slots to be written by hand) */
};

/** Prepare into `output` (a folder name), or into the cache when NULL; a cached one is reused. `*out` is
 * open. */
PZ_NODISCARD enum pz_status pz_pipeline_prepare(struct pz_pipeline *p, const struct pz_prepare_request *r,
                                                const char *output, struct pz_prepared **out);

/** Words and slots only, as JSON (pz_free). */
PZ_NODISCARD enum pz_status pz_pipeline_detect(struct pz_pipeline *p, const struct pz_prepare_request *r,
                                               char **json);

/** What a template holds: template.json without its phones, with the film's own figures ("fps", "film_info").
 * JSON (pz_free). */
PZ_NODISCARD enum pz_status pz_pipeline_describe(struct pz_pipeline *p, const struct pz_prepared *t,
                                                 char **json);

/** Is the footage usable? JSON (pz_free). */
PZ_NODISCARD enum pz_status pz_pipeline_check(struct pz_pipeline *p, const struct pz_prepare_request *r,
                                              char **json);

/** Engine of a command-line name: "auto" and NULL give the best one that runs here, "none" gives NULL.
 *  Errors: USAGE (unknown name, listing the known ones). */
PZ_NODISCARD enum pz_status pz_pipeline_engine(struct pz_pipeline *p, const char *name,
                                               const struct pz_engine_vtable **engine);

/** Whose networks look for faces. Borrows the pipeline's strings; "s3fd" is wav2lip's own matter. */
static inline struct pz_face_tracker_params pz_pipeline_faces(const struct pz_pipeline *p)
{
    struct pz_face_tracker_params f = {.models_dir = p->models_dir};
    (void)pz_face_kind_find(p->face_detector, &f.kind);
    return f;
}

/** What an engine is opened or prepared with. Borrows the pipeline's strings. */
static inline struct pz_engine_open_params pz_pipeline_open_params(const struct pz_pipeline *p,
                                                                   const char *artifact_dir)
{
    return (struct pz_engine_open_params){.artifact_dir = artifact_dir,
                                          .models_dir = p->models_dir,
                                          .device = p->device,
                                          .precision = p->precision,
                                          .cache_dir = p->cache_dir,
                                          .no_smooth = p->no_smooth,
                                          .face_detector = p->face_detector,
                                          .quality = p->quality,
                                          .steps = p->steps,
                                          .guidance = p->guidance,
                                          .size = p->size,
                                          .memory = p->memory};
}

/* ---- render
 * ------------------------------------------------------------------------------------------------ */

/** Sound given by the caller for a stretch that keeps its length (lip-sync alone). */
struct pz_given_sound {
    int64_t start, end;   /**< film sound rate */
    const float *samples; /**< mono at `rate`; NULL = the film's own */
    int64_t n;
    int rate;
};

struct pz_render_request {
    const struct pz_name_value *values, *say, *audio;
    int n_values, n_say, n_audio;
    const struct pz_given_sound *given; /**< instead of values: [n_given] ascending */
    int n_given;
    const char *voice, *fit;
    const char *engine; /**< NULL = the template's; "none" */
    const char *output;
    int crf;
    const char *preset;
    bool keep_names_out;
    const char *command; /**< for the report: "render", "personalize", … */
};

/** Make one film and its report (`OUT.json` beside it; text in `*report`, pz_free). */
PZ_NODISCARD enum pz_status pz_pipeline_render(struct pz_pipeline *p, struct pz_prepared *t,
                                               const struct pz_render_request *r, char **report);

#endif
