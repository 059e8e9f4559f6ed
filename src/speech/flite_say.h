/** flite behind a lock. Private to src/speech. Threads: all calls take turns. */
#ifndef PZ_SPEECH_FLITE_SAY_H
#define PZ_SPEECH_FLITE_SAY_H

#include <stdbool.h>

#include "speech/lexicon.h"
#include "speech/voice.h"

/** Phones of a text by flite's text analysis and letter-to-sound. Latin letters with marks are folded to
 * plain ones. False when there is nothing to say or more than PZ_PRON_MAX phones. */
bool pz_flite_spell(const char *text, struct pz_pron *out);

/** Names of the linked voices, NULL-terminated, and the median pitch each speaks with. */
struct pz_flite_voice {
    const char *name;
    double f0_hz;
};
extern const struct pz_flite_voice pz_flite_voices[];

/** Say `s->text` in its carrier and cut it out. `voice` is one of pz_flite_voices. Errors: INPUT, NOMEM,
 * INTERNAL. */
PZ_NODISCARD enum pz_status pz_flite_say(const struct pz_say *s, const char *voice, struct pz_log *log,
                                         struct pz_utterance *out);

/** Fold UTF-8 to ASCII letters: Latin letters lose their marks, typographic quotes become plain, anything
 * else becomes a space. Returns how many letters of other scripts were dropped. */
int pz_fold_ascii(const char *utf8, char *out, size_t out_bytes);

#endif
