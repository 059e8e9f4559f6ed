/**
 * Whisper's choice of tokens for one window of 30 s: rules, greedy and beam search, sampling, fallback.
 *
 * Deterministic for a seed. One thread at a time. Source  spec/whisper.md §7.
 */
#ifndef PZ_SPEECH_WHISPER_DECODE_H
#define PZ_SPEECH_WHISPER_DECODE_H

#include "nn/whisper_run.h"
#include "speech/whisper_vocab.h"

/* ---- rules ---- */

struct pz_whisper_rules {
    const struct pz_whisper_special *special;
    int n_vocab;
    const int *suppressed; /**< tokens never chosen */
    int n_suppressed;
    int blank;       /**< the token " ", not chosen first */
    bool timestamps; /**< off: no rule of theirs applies */
};

/** Set to −∞ what may not follow `n` sampled tokens; `logits` [n_vocab]. */
void pz_whisper_filter(const struct pz_whisper_rules *r, const int *sampled, int n, float *logits);

/** logits[i] − logsumexp(logits) of one token; −∞ stays. */
double pz_whisper_log_sum(const float *logits, int n);

/** Bytes of `text` (white space at both ends left out) over those zlib makes of it; 0 on no memory. */
double pz_whisper_compression(const char *text);

/* ---- one window ---- */

struct pz_whisper_decoder;

/** `w`, `v` and `job` must outlive it. `beams` is the most that will be asked for; the model must have been
 * opened with pz_whisper_decoder_rows() rows. Errors: NOMEM, WEIGHTS (sizes of model and vocabulary differ).
 */
PZ_NODISCARD enum pz_status pz_whisper_decoder_create(struct pz_whisper *w, const struct pz_whisper_vocab *v,
                                                      int beams, const struct pz_job *job,
                                                      struct pz_whisper_decoder **d);
void pz_whisper_decoder_destroy(struct pz_whisper_decoder **d);

/** Rows that `beams` beams of a model need. */
int pz_whisper_decoder_rows(const struct pz_whisper_dims *dims, int beams);

struct pz_whisper_try {
    int language; /**< place in pz_whisper_languages; ignored by English-only models */
    bool translate, no_timestamps;
    float temperature;
    int beams;            /**< at temperature 0; ≤ 1: greedy */
    int best_of;          /**< sequences sampled above 0; ≤ 1: one */
    float length_penalty; /**< α; < 0: score over length */
    const int *prompt;    /**< tokens said before; the last 223 are used */
    int n_prompt;
    uint64_t seed;
};

struct pz_whisper_said {
    int *tokens; /**< text and timestamps, without end of text; on the heap */
    int n;
    char *text;
    double average; /**< log-probability a token */
    double no_speech, compression;
    float temperature;
};

void pz_whisper_said_free(struct pz_whisper_said *s);

/** Decode the window the model has encoded, once. Errors: NOMEM, DEVICE, CANCELLED. */
PZ_NODISCARD enum pz_status pz_whisper_decode(struct pz_whisper_decoder *d, const struct pz_whisper_try *t,
                                              struct pz_whisper_said *out);

/** The same with growing temperature (0 … 1 in steps of 0.2) until the text is neither repetitive
 * (compression > 2.4) nor unsure (average < −1), or it is silence. t->temperature is ignored. */
PZ_NODISCARD enum pz_status pz_whisper_decode_surely(struct pz_whisper_decoder *d,
                                                     const struct pz_whisper_try *t,
                                                     struct pz_whisper_said *out);

/** The language of the window: place in pz_whisper_languages, its probability among them. 0 and 1 for
 * English-only models. */
PZ_NODISCARD enum pz_status pz_whisper_detect_language(struct pz_whisper_decoder *d, int *language,
                                                       float *probability);

/** Tokens that stand before the sampled ones: start, language, task, (no timestamps). Returns how many (≤ 4).
 */
int pz_whisper_start_tokens(const struct pz_whisper_vocab *v, int language, bool translate,
                            bool no_timestamps, int out[4]);

#endif
