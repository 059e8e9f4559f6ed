/**
 * Transcript: what is said in the film, with its variables marked as they are spoken.
 *
 *     Hi {customer_name=Anuj}, I'll help plan your {destination=Bali} trip.
 *
 * `{name=words}` marks spoken words as a variable; `{{` and `}}` are literal braces. Text is UTF-8; anything
 * else is refused. Words are split at white space; punctuation around words is dropped, apostrophes inside
 * are kept. Hostile input: at most PZ_TRANSCRIPT_MAX_BYTES, PZ_TRANSCRIPT_MAX_WORDS, names
 * [A-Za-z_][A-Za-z0-9_-]{0,63}.
 */
#ifndef PZ_SPEECH_TRANSCRIPT_H
#define PZ_SPEECH_TRANSCRIPT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/log.h"

#define PZ_TRANSCRIPT_MAX_BYTES (1 << 20)
#define PZ_TRANSCRIPT_MAX_WORDS 100000
#define PZ_VALUE_MAX_CHARS 200 /**< code points of one variable's value or spoken words */

struct pz_transcript_word {
    char text[64];    /**< as written, without punctuation around it */
    int variable;     /**< index into `variables`, -1 = plain */
    bool pause_after; /**< punctuation that usually makes a pause followed */
};

struct pz_transcript_variable {
    char name[65];
    char spoken[256]; /**< the words in the film */
    int first_word, n_words;
};

struct pz_transcript {
    struct pz_transcript_word *words;
    int n_words;
    struct pz_transcript_variable *variables; /**< one for every occurrence, in order */
    int n_variables;
};

/** Parse `n` bytes. Errors: INPUT (logged with byte position and what to do), NOMEM. Free with
 * pz_transcript_free(). */
PZ_NODISCARD enum pz_status pz_transcript_parse(struct pz_log *log, const char *text, size_t n,
                                                struct pz_transcript *t);
void pz_transcript_free(struct pz_transcript *t);

/** Check a value that is to be spoken: valid UTF-8, no control characters, something to say in it, at most
 *  PZ_VALUE_MAX_CHARS code points. `name` is for the message. Errors: INPUT (logged). */
PZ_NODISCARD enum pz_status pz_value_check(struct pz_log *log, const char *name, const char *value);

/** Name of a variable as the command line writes it ("customer-name") to its canonical form
 * ("customer_name"): checks the letters, '-' becomes '_'. Errors: INPUT (logged). */
PZ_NODISCARD enum pz_status pz_variable_name(struct pz_log *log, const char *in, char out[65]);

/** Strict UTF-8 check of `n` bytes (no overlong forms, no surrogates, no NUL). */
bool pz_utf8_valid(const char *s, size_t n);

#endif
