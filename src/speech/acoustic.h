/**
 * The recogniser's acoustic model, read from its own files: how well every 10 ms of sound fits states of
 * phones in context. PocketSphinx asks it anew for every search and looks at phones as words of their own,
 * beside silence; here one pass over the sound answers for all words that are looked for, with the neighbours
 * each phone really has. Private to src/speech.
 */
#ifndef PZ_SPEECH_ACOUSTIC_H
#define PZ_SPEECH_ACOUSTIC_H

#include "base/log.h"
#include "speech/lexicon.h"

#define PZ_ACOUSTIC_STATES 3 /* of a phone, one after the other */

/** Heads of other sizes than those the model knows have other formants: features may be made with the
 * frequencies of a smaller head, as they are, or of a larger one. */
#define PZ_ACOUSTIC_WARPS 3
#define PZ_ACOUSTIC_AS_IS 1

struct pz_acoustic;

/** Open the model in folder `dir` (mdef, means, variances, sendump, feat.params). Errors: NOMEM, WEIGHTS (a
 * file is missing or is none of this kind; logged). */
PZ_NODISCARD enum pz_status pz_acoustic_open(struct pz_log *log, const char *dir, struct pz_acoustic **a);
void pz_acoustic_close(struct pz_acoustic **a);

/** States of the phones `pron`, said in a row after and before a pause: `states` [3 · pron->n]. */
void pz_acoustic_chain(const struct pz_acoustic *a, const struct pz_pron *pron, uint16_t *states);

/** Scores of some states. Plain owned: pz_scores_free(). */
struct pz_scores {
    int64_t frames; /**< PZ_EARS_HOP samples apart; frame 0 begins PZ_EARS_SHIFT samples into the sound */
    int n;
    float *values; /**< [frames][n]: nats against the best state of any phone without context; −40 at least */
};

void pz_scores_free(struct pz_scores *s);

/** Receives the scores of frame `t`: `row` [n_states], as pz_scores has them. */
typedef void pz_acoustic_row(void *user, int64_t t, const float *row);

/** Score `states` [n_states] over mono PZ_SPEECH_RATE sound of at most PZ_EARS_MAX_SAMPLES and of one
 * speaker, frame by frame in order. Safe on several threads. Errors: NOMEM, INTERNAL. */
PZ_NODISCARD enum pz_status pz_acoustic_rows(struct pz_acoustic *a, int warp, const float *samples, int64_t n,
                                             const uint16_t *states, int n_states, pz_acoustic_row *take,
                                             void *user);

/** The same, kept. */
PZ_NODISCARD enum pz_status pz_acoustic_score(struct pz_acoustic *a, int warp, const float *samples,
                                              int64_t n, const uint16_t *states, int n_states,
                                              struct pz_scores *out);

#define PZ_LOOK 26 /* numbers a frame */

/** What sound looks like, for comparing stretches of it: cepstra and their slopes, each as wide as any other
 * over the sound. `*looks` [*frames][PZ_LOOK] on the heap, pz_free(); NULL for too short a sound. Errors: as
 * pz_acoustic_score(). */
PZ_NODISCARD enum pz_status pz_acoustic_look(struct pz_acoustic *a, const float *samples, int64_t n,
                                             float **looks, int64_t *frames);

#endif
