/* Inside of evaluate: what evaluate.c (inputs, JSON), evaluate_run.c (one variant), evaluate_pair.c (two
 * films) and evaluate_strip.c (picture for people) share. */
#ifndef PZ_PIPELINE_EVALUATE_STATE_H
#define PZ_PIPELINE_EVALUATE_STATE_H

#include <jansson.h>

#include "face/track.h"
#include "image/paste.h"
#include "lipsync/lse.h"
#include "pipeline/evaluate.h"
#include "pipeline/film.h"
#include "pipeline/qc_mouth.h"

enum pz_evaluate_variant {
    PZ_EVALUATE_MODEL,
    PZ_EVALUATE_CLOSED, /**< the real mouth of the nearest silent frame the model might learn from, held */
    PZ_EVALUATE_CLOSED_ANY, /**< the same, from the held-out part too: it has seen truth the model has not */
    PZ_EVALUATE_SHIFTED,
    PZ_EVALUATE_VARIANTS
};

/** Holds a real mouth by cutting it out; for engines that cannot hold one. `engine` is the struct pz_evaluate
 * itself. */
extern const struct pz_engine_vtable pz_evaluate_hold;

/** Figures of one variant; NAN where there is none. */
struct pz_figures {
    double r_aperture, lmd, psnr, ssim, sharpness, jitter, seam, fps;
    int64_t n_frames, n_lost; /**< frames made; those on which the tracker found no face */
    bool has_sync;            /**< SyncNet's weights are there and the film is long enough */
    struct pz_syncnet_score sync;
};

/** Pairs of mouth crops, collected over time. */
struct pz_strip;

struct pz_evaluate {
    struct pz_pipeline *p;
    const struct pz_evaluate_request *r;
    struct pz_film_info *info;
    struct pz_face_track *track;
    char *dir;                 /**< temporary folder */
    float *speech;             /**< [n_speech] mono, PZ_SPEECH_RATE, the window from film zero */
    int64_t n_speech, fit_end; /**< samples; everything from fit_end on is held out */
    int64_t heard_from;        /**< sample at which the held-out phone line starts */
    struct pz_phone_line fit_phones, held_phones; /**< relative to 0 and to heard_from */
    const struct pz_engine_vtable *engine;
    void *state;
    int64_t *frames;              /**< [n_held] held-out frames with a face, ascending */
    const struct pz_face **faces; /**< true: for measuring only */
    const struct pz_face **seen;  /**< [n_held] what engines are given: tracked with the true mouths hidden */
    struct pz_face_track *hidden; /**< owner of `seen` */
    double *times;                /**< seconds from film zero */
    struct pz_face_track *judge_track; /**< NULL: `track` judges */
    const struct pz_face **judged;     /**< [n_held] true, by whoever measures */
    int n_held;
    struct pz_strip *strip;   /**< NULL when none is wanted */
    struct pz_lse_model *lse; /**< NULL without weights */
    struct pz_figures truth;  /**< of the true frames: sync only */
    double fit_s;
};

/** Whose networks measure. */
struct pz_face_tracker_params pz_evaluate_judge(const struct pz_evaluate *e);

/** Make and measure one variant. Errors: those of engine, tracker, reader; NOMEM, CANCELLED. */
PZ_NODISCARD enum pz_status pz_evaluate_run(struct pz_evaluate *e, enum pz_evaluate_variant v,
                                            struct pz_figures *f);

/** Track the film once more with the mouths of the held-out part hidden under a held, silent one of the part
 * before, and give these faces to engines from now on (e->seen): landmarks and pose of a true frame know its
 * mouth, even those above it. A frame on which the face is then not found keeps its true record. Errors: as
 * pz_evaluate_run(). */
PZ_NODISCARD enum pz_status pz_evaluate_hide(struct pz_evaluate *e);

/** For every held-out frame the nearest silent frame with a face: of the part before it, or (`any`) of the
 * whole film. held, source: [n_held]. Errors: UNUSABLE (no face at all). */
PZ_NODISCARD enum pz_status pz_evaluate_held(const struct pz_evaluate *e, bool any,
                                             const struct pz_face **held, int64_t *source);

/** The two-film form. */
PZ_NODISCARD enum pz_status pz_evaluate_pair(struct pz_pipeline *p, const struct pz_evaluate_request *r,
                                             char **json);

/** Track-based figures of `n` frames: true and made records (NULL = no face), consecutive where frames[] are.
 * Fills r_aperture, lmd, jitter, n_lost. Errors: NOMEM. */
PZ_NODISCARD enum pz_status pz_evaluate_tracks(const struct pz_face_topology *topo, const int64_t *frames,
                                               const struct pz_face *const *truth,
                                               const struct pz_face *const *made, int n,
                                               struct pz_figures *f);

/** A strip for `n` frames in all. Errors: NOMEM. */
PZ_NODISCARD enum pz_status pz_strip_create(int n, struct pz_strip **s);
void pz_strip_destroy(struct pz_strip **s);
/** Offer frame k of n with its true and made picture; some are kept. */
void pz_strip_add(struct pz_strip *s, int k, const struct pz_picture *truth, const struct pz_picture *made,
                  const struct pz_face *face, const struct pz_face_topology *topo);
PZ_NODISCARD enum pz_status pz_strip_write(struct pz_strip *s, struct pz_log *log, const char *path);

/** JSON text with order kept, on the heap (pz_free); takes the reference. NULL on no memory. */
char *pz_evaluate_text(json_t *root);

/** Last part of a path. */
const char *pz_evaluate_base(const char *path);

#endif
