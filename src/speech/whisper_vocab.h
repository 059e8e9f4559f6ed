/**
 * Whisper's words: byte-pair tokens, the special ones, and text both ways.
 *
 * Ranks come from the files OpenAI ships beside its code (`multilingual.tiktoken`, `gpt2.tiktoken`: a line
 * "base64 rank" a token); the special tokens follow them in fixed order, as many languages as the model's
 * vocabulary has room for. Immutable once open, may be shared by threads. Source  spec/whisper.md §6.
 */
#ifndef PZ_SPEECH_WHISPER_VOCAB_H
#define PZ_SPEECH_WHISPER_VOCAB_H

#include <stdbool.h>
#include <stddef.h>

#include "base/log.h"

#define PZ_WHISPER_LANGUAGES 100
#define PZ_WHISPER_TIMESTAMPS 1501 /**< 0.00 … 30.00 s in steps of 0.02 */

/** ISO codes in the order of their tokens. */
extern const char *const pz_whisper_languages[PZ_WHISPER_LANGUAGES];

/** Place of a code in that list, −1 when unknown. */
int pz_whisper_language_find(const char *code);

struct pz_whisper_special {
    int end_of_text, start, first_language, n_languages, translate, transcribe, start_of_lm, start_of_prev,
        no_speech, no_timestamps, first_timestamp;
    bool multilingual; /**< false: no languages and no task to choose, start stands alone */
};

struct pz_whisper_vocab;

/** Read a rank file for a model of `n_vocab` tokens. Errors: WEIGHTS (missing, or ranks of another model;
 * logged), FORMAT (broken; logged with the line), NOMEM. */
PZ_NODISCARD enum pz_status pz_whisper_vocab_open(struct pz_log *log, const char *path, int n_vocab,
                                                  struct pz_whisper_vocab **v);
/** The same from `n` bytes in memory; `name` is used in messages. */
PZ_NODISCARD enum pz_status pz_whisper_vocab_parse(struct pz_log *log, const char *text, size_t n,
                                                   const char *name, int n_vocab,
                                                   struct pz_whisper_vocab **v);
void pz_whisper_vocab_close(struct pz_whisper_vocab **v);

const struct pz_whisper_special *pz_whisper_vocab_special(const struct pz_whisper_vocab *v);
int pz_whisper_vocab_size(const struct pz_whisper_vocab *v);

/** Tokens of `n` bytes of UTF-8: at most `max` are written to `ids`, the number there are is returned; −1 on
 * no memory. Special tokens are never made of text. */
int pz_whisper_vocab_encode(const struct pz_whisper_vocab *v, const char *text, size_t n, int *ids, int max);

/** Text of tokens, timestamps left out; what is no UTF-8 becomes U+FFFD (one for each longest broken piece).
 * On the heap (pz_free), NULL on no memory. */
char *pz_whisper_vocab_decode(const struct pz_whisper_vocab *v, const int *ids, int n);

/** Tokens that stand for no speech (brackets, notes, …), ascending: at most `max`, returns how many; −1 on no
 * memory. */
int pz_whisper_vocab_silent(const struct pz_whisper_vocab *v, int *ids, int max);

/** Words that `n` text tokens make: ends[i] is the token after word i's last; returns the number of words
 * (≤ n), −1 on no memory. `language` NULL or a code; languages written without spaces are split at every
 * character that is complete. */
int pz_whisper_vocab_words(const struct pz_whisper_vocab *v, const char *language, const int *ids, int n,
                           int *ends);

#endif
