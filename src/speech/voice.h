/**
 * Voices: text to speech with phone times.
 *
 *   flite[:slt|rms|awb|kal16]   linked; phones come from the synthesiser; without a name the voice nearest to
 * the speaker's pitch is taken espeak[:VOICE]              espeak-ng as a program, found on PATH; any
 * language and script; phones by its own --pho command:PROGRAM             text on stdin, WAV on stdout;
 * killed after a time limit; phones by alignment recording                   samples the caller read from a
 * file; phones by alignment
 *
 * Threads: flite is one big static, so its calls take turns on a lock; the rest is independent.
 */
#ifndef PZ_SPEECH_VOICE_H
#define PZ_SPEECH_VOICE_H

#include "base/job.h"
#include "speech/lexicon.h"
#include "speech/line.h"

struct pz_ears;

/** Speech made for one value. */
struct pz_utterance {
    float *samples; /**< mono, [-1,1] */
    int64_t n;
    int rate;
    struct pz_phone_line phones; /**< times at PZ_SPEECH_RATE relative to samples[0]; covers it completely */
    char voice[64];              /**< "flite:rms" */
};

void pz_utterance_free(struct pz_utterance *u);

struct pz_say {
    const char
        *voice; /**< as on the command line; NULL = flite, or espeak when the text is not in Latin letters */
    const char *text;           /**< UTF-8, already checked with pz_value_check() */
    const struct pz_pron *pron; /**< from `--say`, or NULL */
    const char *before, *after; /**< words spoken around it, for prosody; may be NULL */
    double f0_hz;               /**< median pitch of the speaker, 0 = unknown */
    double rate_words;          /**< wanted speed relative to the voice's own, 0 = 1.0; 0.7–1.5 */
    const float *recording;     /**< mono samples to use instead of a voice, or NULL */
    int64_t recording_n;
    int recording_rate;
};

/** Say it. `ears` are needed for command: and recordings (alignment) and may be NULL for the others.
 *  The result is cut tightly: it starts and ends with the word's own sound plus at most 10 ms.
 *  Errors: USAGE (unknown voice; logged with those there are), INPUT (nothing to say, recording empty),
 * UNSUPPORTED (espeak-ng or the program is not installed), INTERNAL (the program failed: exit code and its
 * stderr in the line), CANCELLED. */
PZ_NODISCARD enum pz_status pz_voice_say(const struct pz_say *s, struct pz_ears *ears,
                                         const struct pz_job *job, struct pz_utterance *out);

/** Parse a RIFF/WAVE file in memory (PCM 8/16/24/32 bit, float 32; up to 8 channels, mixed to mono; ≤ 10
 * min). Every byte is hostile. `*samples` freed with pz_free(). Errors: FORMAT, UNSUPPORTED (logged), NOMEM.
 */
PZ_NODISCARD enum pz_status pz_wav_parse(struct pz_log *log, const uint8_t *data, size_t n_bytes,
                                         float **samples, int64_t *n, int *rate);

#endif
