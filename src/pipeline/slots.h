/**
 * Slot work: the speech of one customer, slot by slot — values checked, words said, fitted and ready to be
 * spliced.
 */
#ifndef PZ_PIPELINE_SLOTS_H
#define PZ_PIPELINE_SLOTS_H

#include "pipeline/film.h"
#include "pipeline/pipeline.h"
#include "pipeline/timeline.h"
#include "speech/dub.h"

/** One slot of one render. */
struct pz_slot_work {
    const struct pz_template_slot *slot; /**< NULL for sound given by the caller */
    const char *name, *value;            /**< borrowed */
    bool kept;                           /**< the film already says this value: nothing is touched */
    struct pz_pron pron;                 /**< of `--say`, n = 0 when not given */
    struct pz_dub dub;                   /**< zero when kept */
    int64_t out_a;                       /**< output position of dub.plan.a, film sound rate */
    int64_t first, last;                 /**< touched output frames [first, last) */
    const char *skipped;                 /**< why the picture stays as it is, or NULL */
    /* the engine's view of [first, last) */
    double *times;
    const struct pz_face **faces;
    int *row; /**< [last − first] index into times/faces, −1 where the frame has no face */
    int n_rows;
    void *session;
};

/** All slots of a template for a request: values resolved, words said and fitted. `*works` [*n], ascending;
 * freed with pz_slot_works_free(). Errors: USAGE (value missing or unknown name), INPUT, UNUSABLE, those of
 * pz_dub_make(). */
PZ_NODISCARD enum pz_status pz_slot_works_say(struct pz_pipeline *p, struct pz_prepared *t,
                                              const struct pz_render_request *r, const struct pz_tap *sound,
                                              struct pz_slot_work **works, int *n);

/** The same for sound given by the caller (lip-sync alone). Errors: USAGE (order, length), NOMEM. */
PZ_NODISCARD enum pz_status pz_slot_works_given(struct pz_pipeline *p, struct pz_prepared *t,
                                                const struct pz_render_request *r, const struct pz_tap *sound,
                                                struct pz_slot_work **works, int *n);

void pz_slot_works_free(struct pz_slot_work **works, int n);

#endif
