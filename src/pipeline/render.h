/** State of one render, shared by render.c (pictures, sound) and report.c (what was done). Internal to the
 * pipeline. */
#ifndef PZ_PIPELINE_RENDER_H
#define PZ_PIPELINE_RENDER_H

#include <jansson.h>

#include "face/occluder.h"
#include "image/paste.h"
#include "pipeline/pipeline.h"
#include "pipeline/qc.h"
#include "pipeline/slots.h"
#include "pipeline/timeline.h"

#define PZ_RENDER_MAX_WARNINGS 64

struct pz_render {
    struct pz_pipeline *p;
    struct pz_prepared *t;
    const struct pz_render_request *r;
    const struct pz_engine_vtable *engine; /**< NULL = sound only */
    struct pz_film_sound sound;            /**< template's sound at its own rate and channels */
    struct pz_slot_work *works;
    int n_works;
    struct pz_timeline timeline;
    int *edit_work; /**< [timeline.n_edits] which work an edit belongs to */
    struct pz_out_frame *frames;
    int64_t n_frames;
    struct pz_paste *paste;
    struct pz_face_occluder *occluder; /**< made when a covered mouth is first met */
    int current;                       /**< work whose session is open, −1 = none */
    int n_shown;                       /**< frames fed to it and not drawn yet */
    struct pz_qc *qc;
    struct pz_splice_report splice;
    struct {
        double speech, lipsync, composite, total;
    } seconds;
    json_t *warnings;
};

/** Note something the user should know: into the report and the log. */
void pz_render_warn(struct pz_render *x, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/** Output sound: new words from their buffers, everything else sample for sample from `film` (the template's
 * sound at its own rate and channels). Threads: safe with distinct taps once the timeline is laid out.
 * Errors: the tap's. */
PZ_NODISCARD enum pz_status pz_render_sound(const struct pz_render *x, const struct pz_tap *film, int64_t at,
                                            float *out, int64_t n);

struct pz_render_readback;

/** Shall listening start before the pictures are made? With few cores it would take theirs: then behind them,
 * beside pz_qc_finish(). */
bool pz_render_readback_early(const struct pz_render *x);

/** Get ready to listen on threads of their own; `*out` NULL when there is nothing to listen to. The
 * pipeline's recogniser may be used beside it until the start. Errors: WEIGHTS, NOMEM, DEVICE. */
PZ_NODISCARD enum pz_status pz_render_readback_open(struct pz_render *x, struct pz_render_readback **out);
/** Start listening to the new words, once the timeline is laid out; NULL is allowed. The pipeline's
 * recogniser must be left alone until the join. Errors: NOMEM, those of the sound. */
PZ_NODISCARD enum pz_status pz_render_readback_start(struct pz_render_readback *readback);
/** Wait, note results and warnings if it was started, free. NULL inside is allowed. Errors: those of
 * pz_speech_readback(). */
PZ_NODISCARD enum pz_status pz_render_readback_join(struct pz_render_readback **readback);

/** The report of a finished render as JSON text (pz_free); NULL on no memory. */
char *pz_render_report(struct pz_render *x);

/** Output time in seconds of an output sound sample. */
double pz_render_seconds(const struct pz_render *x, int64_t sample);

#endif
