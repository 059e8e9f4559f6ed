/** Other ways to pronounce a word than the dictionary's. Private to src/speech. */
#ifndef PZ_SPEECH_SPELL_H
#define PZ_SPEECH_SPELL_H

#include <stdbool.h>

#include "base/job.h"
#include "speech/lexicon.h"

/** As it is spelled: vowels as in most languages ("Anuj": AA N UW JH), digraphs as Latin spellings of names
 * use them. Latin letters only, marks dropped. False when it holds nothing else than other signs. */
bool pz_spell_plain(const char *word, struct pz_pron *out);

/** espeak-ng's voice for the script of the first letter that is not Latin; NULL when all are. */
const char *pz_script_voice(const char *text);

/** Phones of a text by espeak-ng (the program) in `voice`; *switched: it could not read the script and spelt
 * it out in another language. Errors: UNSUPPORTED (not installed), INTERNAL, CANCELLED, INPUT; logged unless
 * `job` has no log. */
PZ_NODISCARD enum pz_status pz_espeak_phones(const char *voice, const char *text, const struct pz_job *job,
                                             struct pz_pron *pron, bool *switched);

#endif
