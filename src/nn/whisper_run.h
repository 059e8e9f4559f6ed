/**
 * Whisper at work: the plans of one model, the audio it listens to and the rows of its tokens.
 *
 * The cache is a pool of rows, one a token. An item of a step names the row it is to be kept in and the rows
 * it stands on, so that beams share what they have in common and are reordered without copying anything.
 *
 *     pz_whisper_encode(w, mel);
 *     item = {.token = sot, .row = 0, .logits = a};                     pz_whisper_step(w, &item, 1);
 *     item = {.token = en, .rows = (int[]){0}, .n_rows = 1, .row = 1, …}; pz_whisper_step(w, &item, 1);
 *
 * Memory  the encoder's weights once, the decoder's twice (steps of `width` tokens and of 32), once when it
 * is large. Threads  one at a time; the job's pool is used inside. Source  spec/whisper.md §5.
 */
#ifndef PZ_NN_WHISPER_RUN_H
#define PZ_NN_WHISPER_RUN_H

#include "base/job.h"
#include "nn/whisper.h"
#include "tensor/plan.h"

struct pz_whisper;

struct pz_whisper_options {
    const struct pz_checkpoint *checkpoint; /**< needed until pz_whisper_open() returns; NULL: hash rule */
    const char *file;                       /**< its name in messages */
    struct pz_whisper_dims dims;            /**< pz_whisper_dims_read() gives them */
    struct pz_plan_params plan;             /**< pz_plan_default, or a device's */
    int width;                              /**< tokens of a usual step: 1, or as many as there are beams */
    int rows;                               /**< rows kept, at least dims.text_ctx; 0 = that */
};

/** Make the plans. `job`'s log and pool are used until pz_whisper_close(). Errors: WEIGHTS (a tensor is
 * missing or misshapen), NOMEM, DEVICE, INTERNAL. */
PZ_NODISCARD enum pz_status pz_whisper_open(const struct pz_whisper_options *o, const struct pz_job *job,
                                            struct pz_whisper **w);
void pz_whisper_close(struct pz_whisper **w);

const struct pz_whisper_dims *pz_whisper_sizes(const struct pz_whisper *w);
int pz_whisper_rows(const struct pz_whisper *w);

/** Listen: mel [2·audio_ctx][bands]. Rows of earlier tokens are meaningless from here on. Errors: DEVICE. */
PZ_NODISCARD enum pz_status pz_whisper_encode(struct pz_whisper *w, const float *mel);

/** What was heard: [audio_ctx][audio_state], until the next pz_whisper_encode(). */
const float *pz_whisper_audio(const struct pz_whisper *w);

/** Keys of the cross attention of one decoder layer: [audio_ctx][text_state]. */
const float *pz_whisper_audio_keys(const struct pz_whisper *w, int layer);

struct pz_whisper_item {
    int token;
    const int *rows; /**< rows of all tokens before it, of earlier steps or of earlier items of this one */
    int n_rows;      /**< their number: the token's position */
    int row;        /**< row it is kept in; not one that another item of this step reads the old content of */
    float *logits;  /**< [vocab], or NULL */
    float *queries; /**< [text_layers][text_state]: queries of the cross attention, not scaled; or NULL */
};

/** Take `n` items, in order. Errors: INTERNAL (a token, row or position outside; logged), DEVICE. */
PZ_NODISCARD enum pz_status pz_whisper_step(struct pz_whisper *w, const struct pz_whisper_item *items, int n);

#endif
