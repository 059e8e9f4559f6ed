/**
 * Speech: the ears. What is said in a film, when, and where its variables are.
 *
 * Chapters
 *   ears      the recogniser and its models; one object, one thread at a time
 *   analyse   everything `prepare` needs: words, phones, pauses, slots
 *   pieces    recognise, align, phones alone
 *   read-back was the new word understood?
 *
 * Built on PocketSphinx with its en-us model. Sound comes through a tap at any rate; memory does not grow
 * with the length of the film except for words and phones. Times: samples at PZ_SPEECH_RATE from film zero.
 */
#ifndef PZ_SPEECH_SPEECH_H
#define PZ_SPEECH_SPEECH_H

#include "base/job.h"
#include "speech/lexicon.h"
#include "speech/line.h"
#include "speech/transcript.h"

/* ---- ears -------------------------------------------------------------------------------------------------
 */

struct pz_ears;

/** Load the models (`model_dir` NULL: /usr/share/pocketsphinx/model/en-us). The language model is loaded at
 * first need. Errors: WEIGHTS (a file is missing, with the package to install), NOMEM. */
PZ_NODISCARD enum pz_status pz_ears_open(const char *model_dir, const struct pz_job *job,
                                         struct pz_ears **ears);
void pz_ears_close(struct pz_ears **ears);
/** From here on words are recognised by Whisper (borrowed), or by PocketSphinx again with NULL; aligning,
 * looking for words by sound and read-back's scores stay PocketSphinx's. */
struct pz_whisper_ears;
void pz_ears_use_whisper(struct pz_ears *ears, struct pz_whisper_ears *whisper);
/** The language of what will be heard: pz_lexicon_set_language(). The acoustic model stays the English one:
 * alignment of a transcript and spotting work across languages, free recognition does not. */
PZ_NODISCARD enum pz_status pz_ears_set_language(struct pz_ears *ears, const char *language);
/** The ears' lexicon, borrowed. */
const struct pz_lexicon *pz_ears_lexicon(const struct pz_ears *ears);

/* ---- analyse ----------------------------------------------------------------------------------------------
 */

/** `--spoken NAME=WORDS`: every occurrence of WORDS in the sound is variable NAME. */
struct pz_spoken {
    const char *name;
    const char *words;
    const char *say; /**< pronunciation of WORDS as `--say` writes it, or NULL */
};

/** A place where a variable is spoken. */
struct pz_slot {
    char name[65];
    char spoken[256];
    int64_t start, end;      /**< edges on energy minima and zero crossings */
    int first_word, n_words; /**< into pz_analysis.words */
    int64_t pause_before,
        pause_after;  /**< samples of silence that touch the slot, 0 = the neighbour joins on */
    float confidence; /**< [0,1] */
};

struct pz_analysis {
    struct pz_words words;       /**< of the whole film, with their phones */
    struct pz_phone_line phones; /**< covers [0, n_samples) completely */
    struct pz_slot *slots;       /**< ascending, not overlapping */
    int n_slots;
    int64_t n_samples;   /**< length of the film's sound at PZ_SPEECH_RATE */
    bool aligned;        /**< words come from a transcript, not from recognition */
    char recogniser[64]; /**< who recognised, for the caller to set */
    char *text;          /**< recognised text, or the transcript's, in plain words */
};

struct pz_analyse_params {
    const struct pz_transcript *transcript; /**< NULL: recognise */
    const struct pz_spoken *spoken;         /**< may be combined with a transcript */
    int n_spoken;
    bool missing_ok; /**< spoken words that are nowhere in the sound give no slot instead of an error */
};

/** Listen to a film. Cost ≈ 0.3 × real time on one core without a transcript, less with one.
 *  Errors: UNUSABLE (a spoken word is nowhere in the sound; one line names it and what was heard; no sound at
 * all while something is looked for), INPUT (the transcript cannot be this sound's), CANCELLED, NOMEM,
 * INTERNAL, or the tap's.
 *  `*out` is zeroed on failure; free with pz_analysis_free(). */
PZ_NODISCARD enum pz_status pz_speech_analyse(struct pz_ears *ears, const struct pz_tap *sound,
                                              const struct pz_analyse_params *p, const struct pz_job *job,
                                              struct pz_analysis *out);
void pz_analysis_free(struct pz_analysis *a);

/* ---- pieces -----------------------------------------------------------------------------------------------
 */

/** One word to be aligned. Exactly one source of pronunciation: `pron` when n > 0, else the lexicon's for
 * `text`. */
struct pz_align_word {
    const char *text;
    struct pz_pron pron;
};

/** Forced alignment of at most 60 s of mono PZ_SPEECH_RATE sound to known words: words (with confidence) and
 * phones, in samples from `samples[0]`, both appended; silences between words are found and explicit. Errors:
 * INPUT (the words do not fit this sound at all), NOMEM, INTERNAL. */
PZ_NODISCARD enum pz_status pz_speech_align(struct pz_ears *ears, const float *samples, int64_t n,
                                            const struct pz_align_word *words, int n_words,
                                            const struct pz_job *job, struct pz_words *out_words,
                                            struct pz_phone_line *out_phones);

/** Phones of sound whose words are unknown, covering [0, n) (for films and recordings in any language: words
 * are recognised and aligned where the recogniser is sure, elsewhere phones are decoded directly). */
PZ_NODISCARD enum pz_status pz_speech_phones(struct pz_ears *ears, const struct pz_tap *sound,
                                             const struct pz_job *job, struct pz_phone_line *out);

/** Read what recognising words needs (a third of a second of work) if it has not been read. May run on a
 * thread of its own beside every other use of the ears; what goes wrong is told by who listens. */
void pz_ears_warm(struct pz_ears *ears);

/* ---- read-back --------------------------------------------------------------------------------------------
 */

/** Scores below this want a person's ear: see docs/notes/speech.md for what was measured. */
#define PZ_READBACK_REVIEW 0.50f

struct pz_readback {
    char text[256]; /**< what a free recogniser hears in the span */
    float score;    /**< [0,1]: how well the sound of the span is the wanted word (see .c) */
    float likeness; /**< [0,1]: phonetic likeness of freely decoded phones to the wanted ones */
};

/** Was `value` understood? Listens to [start, end) of `sound` (times at PZ_SPEECH_RATE) with up to 1 s of
 * surroundings. `value_pron` NULL: pronounced by the lexicon. `rival` (the word that stood there, may be
 * NULL) competes in the grammar. Two threads of the job's pool are used. Errors: NOMEM, INTERNAL, the tap's.
 */
PZ_NODISCARD enum pz_status pz_speech_readback(struct pz_ears *ears, const struct pz_tap *sound,
                                               int64_t start, int64_t end, const char *value,
                                               const struct pz_pron *value_pron, const char *rival,
                                               const struct pz_job *job, struct pz_readback *out);

#endif
