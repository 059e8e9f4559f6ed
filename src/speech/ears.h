/**
 * Inside of the ears: PocketSphinx behind two plain calls. Private to src/speech.
 */
#ifndef PZ_SPEECH_EARS_H
#define PZ_SPEECH_EARS_H

#include "speech/speech.h"
#include "speech/spot.h"

struct pz_acoustic;
struct pz_sounds;

/** Samples from the start of the sound to the boundary before feature frame 0: frames are 10 ms apart and
 * each looks at 25.6 ms, so frame f stands for the 10 ms around its centre. */
#define PZ_EARS_HOP 160
#define PZ_EARS_SHIFT 125
/** Longest sound one call may take: one minute. */
#define PZ_EARS_MAX_SAMPLES (60 * PZ_SPEECH_RATE)

/** One arc of a phone graph. */
struct pz_ears_arc {
    int from, to; /**< states */
    int phone;    /**< enum pz_phone_id, −1 = no sound (empty arc) */
    float logp;   /**< natural logarithm of its probability, ≤ 0 */
    int tag;      /**< the caller's, comes back in the path */
};

/** A graph of phones: starts in state 0, ends in state n_states − 1. */
struct pz_ears_graph {
    int n_states;
    struct pz_ears_arc *arcs;
    int n_arcs, cap;
};

/** Append an arc. Errors: NOMEM. */
PZ_NODISCARD enum pz_status pz_ears_arc_add(struct pz_ears_graph *g, struct pz_ears_arc arc);
void pz_ears_graph_free(struct pz_ears_graph *g);

struct pz_ears_step {
    int arc;            /**< index into the graph's arcs */
    int64_t start, end; /**< samples of the sound given */
    double score;       /**< acoustic log-likelihood (natural) */
};

struct pz_ears_path {
    struct pz_ears_step *steps;
    int n;
    bool complete; /**< the final state was reached */
};

/** Best path of a graph through mono PZ_SPEECH_RATE sound of at most PZ_EARS_MAX_SAMPLES. Errors: NOMEM,
 * INTERNAL. Free with pz_ears_path_free(). */
PZ_NODISCARD enum pz_status pz_ears_search(struct pz_ears *ears, const float *samples, int64_t n,
                                           const struct pz_ears_graph *g, struct pz_ears_path *path);
void pz_ears_path_free(struct pz_ears_path *path);

/** Free recognition of mono PZ_SPEECH_RATE sound, appended to `words` with times moved by `at`. `heard`: what
 * the network of words heard of it, noise and all; needed when words are expected, else NULL. Errors: NOMEM,
 * INTERNAL, WEIGHTS. */
PZ_NODISCARD enum pz_status pz_ears_words(struct pz_ears *ears, const float *samples, int64_t n, int64_t at,
                                          const struct pz_sounds *heard, struct pz_words *words);

/** From now on pz_ears_words() expects keywords `k` [n] to be said, each way of saying one `share` of all
 * words; keyword i is written "@i" (speech/expected.h), and sound is scored by both of our ears
 * (speech/hybrid.h). Nothing happens when some are expected already, or Whisper listens. Errors: NOMEM,
 * INTERNAL, WEIGHTS. */
PZ_NODISCARD enum pz_status pz_ears_expect(struct pz_ears *ears, const struct pz_keyword *const *k, int n,
                                           double share);
/** Nothing is expected any longer. */
void pz_ears_expect_nothing(struct pz_ears *ears);

/** Graph of free phones with a bigram-free loop: every phone may follow every phone at `logp` each. */
PZ_NODISCARD enum pz_status pz_ears_phone_loop(struct pz_ears_graph *g, int state, float logp, int tag);

/** Decode phones with the phone language model: steps' `arc` holds the phone id. Errors: NOMEM, INTERNAL,
 * WEIGHTS. */
PZ_NODISCARD enum pz_status pz_ears_allphone(struct pz_ears *ears, const float *samples, int64_t n,
                                             struct pz_ears_path *path);

/** True while Whisper recognises the words. */
bool pz_ears_uses_whisper(const struct pz_ears *ears);
/** True when it does and has found another language than English. */
bool pz_ears_hears_foreign(const struct pz_ears *ears);

struct pz_log *pz_ears_log(const struct pz_ears *ears);

/** The acoustic model behind the searches; opened at first need, the ears' own. Errors: NOMEM, WEIGHTS. */
PZ_NODISCARD enum pz_status pz_ears_acoustic(struct pz_ears *ears, struct pz_acoustic **acoustic);

/** Sound as the recogniser takes it: 16 bits, on the heap (pz_free()); NULL on no memory. */
int16_t *pz_ears_pcm(const float *samples, int64_t n);

#endif
