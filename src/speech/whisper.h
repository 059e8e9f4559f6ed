/**
 * The ears of Whisper: a whole film's sound to words with times.
 *
 * Windows of 30 s slide along; memory does not grow with the film but for the words. A model may be used by
 * one thread at a time. Source  spec/whisper.md §7–§9.
 */
#ifndef PZ_SPEECH_WHISPER_H
#define PZ_SPEECH_WHISPER_H

#include "speech/line.h"
#include "speech/whisper_times.h"

#define PZ_WHISPER_BEAMS 5 /* of the reference's command line */

struct pz_whisper_ears;

/**
 * Load a model: `model` is a size ("tiny", "base.en", "large", "turbo", …) looked for as
 * `models_dir/whisper/SIZE.pt` or `.safetensors`, or the path of a checkpoint, or of a folder with a
 * `model.safetensors`. The words (`multilingual.tiktoken`, `gpt2.tiktoken`) lie beside it or in
 * `models_dir/whisper`. `beams` 1: greedy. `plan`: where and in what numbers it computes, NULL: this
 * processor, F32. `job` must outlive the ears.
 *
 * Errors: WEIGHTS (missing: one line with what to do; or another network), FORMAT, NOMEM, DEVICE.
 */
PZ_NODISCARD enum pz_status pz_whisper_ears_open(const char *model, const char *models_dir, int beams,
                                                 const struct pz_plan_params *plan, const struct pz_job *job,
                                                 struct pz_whisper_ears **e);

/** Is this file a complete Whisper model, is that one its words? Errors: WEIGHTS (the first wrong tensor is
 * named), INPUT, FORMAT, NOMEM. */
PZ_NODISCARD enum pz_status pz_whisper_verify(const char *path, const struct pz_job *job);
PZ_NODISCARD enum pz_status pz_whisper_verify_words(const char *path, const struct pz_job *job);

/** The same of a model by its options (rows and width are set here) and words, which are taken over, also on
 * failure. `name` picks the heads of the alignment, see pz_whisper_heads(). */
PZ_NODISCARD enum pz_status pz_whisper_ears_make(const struct pz_whisper_options *o, const char *name,
                                                 int beams, struct pz_whisper_vocab **words,
                                                 const struct pz_job *job, struct pz_whisper_ears **e);
void pz_whisper_ears_close(struct pz_whisper_ears **e);

/** What was made of a sound. */
struct pz_whisper_heard {
    struct pz_whisper_words words; /**< film seconds */
    int language;                  /**< place in pz_whisper_languages */
    float language_probability;
};
void pz_whisper_heard_free(struct pz_whisper_heard *h);

struct pz_whisper_listen_params {
    const char *language; /**< code, or NULL: told from the first window */
    bool cold;            /**< temperature 0 only, whatever comes out */
};

/** Listen to a whole tap. Errors: USAGE (a language nobody has), the tap's, NOMEM, DEVICE, CANCELLED. `*out`
 * is zeroed on failure. */
PZ_NODISCARD enum pz_status pz_whisper_listen(struct pz_whisper_ears *e, const struct pz_tap *sound,
                                              const struct pz_whisper_listen_params *p,
                                              const struct pz_job *job, struct pz_whisper_heard *out);

/** Words of a short piece of mono PZ_SPEECH_RATE sound, appended with `at` added to their times: what a film
 * is heard by, piece by piece. The language is told from the first piece that has words and kept. Errors:
 * NOMEM, DEVICE, CANCELLED. */
PZ_NODISCARD enum pz_status pz_whisper_hear(struct pz_whisper_ears *e, const float *samples, int64_t n,
                                            int64_t at, struct pz_words *words);

/** Forget the language: another film follows. */
void pz_whisper_forget(struct pz_whisper_ears *e);

/** Code of the language told by pz_whisper_hear(), NULL before. */
const char *pz_whisper_language(const struct pz_whisper_ears *e);

/** The same words as the rest of this folder has them: samples at PZ_SPEECH_RATE, lower case, without spaces
 * and punctuation around them; words of nothing else are left out. Appended. Errors: NOMEM. */
PZ_NODISCARD enum pz_status pz_whisper_plain_words(const struct pz_whisper_words *w, struct pz_words *out);

#endif
