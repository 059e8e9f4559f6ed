/**
 * Lexicon: how words are pronounced, as phones.
 *
 * Order of sources: what the user said (`--say`), the CMU dictionary of PocketSphinx, flite's letter-to-sound
 * rules (any Latin spelling, so names always get a pronunciation). Threads: an open lexicon is immutable and
 * may be shared; letter-to-sound takes turns on a lock, flite being one big static.
 */
#ifndef PZ_SPEECH_LEXICON_H
#define PZ_SPEECH_LEXICON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"
#include "speech/phones.h"

#define PZ_PRON_MAX 48 /**< phones of one word at most */

struct pz_pron {
    uint8_t phones[PZ_PRON_MAX]; /**< enum pz_phone_id, never SIL */
    int n;
};

struct pz_lexicon;

/** Open the dictionary (`dict_path` NULL: PocketSphinx's own en-us). Errors: WEIGHTS (missing, with the
 * package to install), FORMAT, NOMEM. */
PZ_NODISCARD enum pz_status pz_lexicon_open(struct pz_log *log, const char *dict_path,
                                            struct pz_lexicon **lex);
void pz_lexicon_close(struct pz_lexicon **lex);

/** Is this word (any case, ASCII) in the dictionary? */
bool pz_lexicon_has(const struct pz_lexicon *lex, const char *word);

/** The language spoken, as espeak-ng names it ("hi", "de", "pt-br"); NULL or "en…" = English. Words of
 * another language are pronounced by espeak-ng (the program) and the dictionary is not asked. Call before
 * sharing. Errors: USAGE (no such name; logged), UNSUPPORTED (espeak-ng is not installed). */
PZ_NODISCARD enum pz_status pz_lexicon_set_language(struct pz_lexicon *lex, struct pz_log *log,
                                                    const char *language);

/** Pronunciations of one word, best first, at most `max`. Words of another script are read by espeak-ng when
 * it is installed; names that the dictionary lacks also get a reading as they are spelled. Returns how many
 * were written (≥ 1 for any word that has a letter or digit that can be spoken, 0 otherwise). */
int pz_lexicon_pronounce(const struct pz_lexicon *lex, const char *word, struct pz_pron *out, int max);

/** Parse what `--say NAME=…` gives: ARPAbet ("AH N UW JH"), IPA ("/əˈnuːdʒ/", "[…]" or any text with IPA
 * letters), or a respelling in plain letters ("uh-NOOJ"), which is read by letter-to-sound. Errors: INPUT
 * (logged). */
PZ_NODISCARD enum pz_status pz_say_parse(const struct pz_lexicon *lex, struct pz_log *log, const char *text,
                                         struct pz_pron *out);

/** IPA (UTF-8) to phones; false when a letter is unknown or it is too long. Stress, length and tie marks are
 * ignored. */
bool pz_ipa_parse(const char *utf8, struct pz_pron *out);

/** Phonetic likeness of two phone strings in [0,1]: 1 − weighted edit distance / longer length. Articulation
 * classes make close substitutions (B/P, IH/IY, …) cheap. Both empty: 1. */
float pz_phones_likeness(const uint8_t *a, int na, const uint8_t *b, int nb);

#endif
