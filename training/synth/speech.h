/** Speech of the generator: flite through its C API, with true phone and word times, as 48 kHz mono in a
 * quiet room. */
#ifndef PZ_SYN_SPEECH_H
#define PZ_SYN_SPEECH_H

#include "base/log.h"
#include "base/status.h"

enum { PZ_SYN_RATE = 48000, PZ_SYN_MAX_PHONE = 512, PZ_SYN_MAX_WORD = 128 };

struct pz_syn_phone {
    char name[8];     /**< flite's: aa ae … pau */
    float start, end; /**< seconds */
    float energy;     /**< RMS over the phone */
    int stress;       /**< 1 on vowels of stressed syllables */
    int word;         /**< index, −1 in pauses */
};

struct pz_syn_word {
    char text[32];     /**< as written */
    char variable[32]; /**< name of the variable it fills, or "" */
    float start, end;
};

struct pz_syn_speech {
    int n_samples;
    float *pcm; /**< [n_samples] at 48 kHz */
    int n_phone, n_word;
    struct pz_syn_phone phone[PZ_SYN_MAX_PHONE];
    struct pz_syn_word word[PZ_SYN_MAX_WORD];
    char transcript[1024]; /**< with {name=word} marks */
};

/** Speak `script`: words separated by spaces; `{name=word}` marks a variable; `word[say]` gives flite another
 * spelling;
 *  `~N` before a word inserts N ms of silence there, at a word border. Sentences end with . ! ?
 *  `voice` rms, awb or slt; `stretch` of durations; `seed` of the room tone; loudness −20 LUFS; room tone −60
 * dBFS. Owner: free with pz_syn_speech_close(). Errors: INPUT (script), INTERNAL (flite), NOMEM. Threads:
 * flite is not re-entrant; call from one thread at a time. */
PZ_NODISCARD enum pz_status pz_syn_speak(struct pz_log *log, const char *script, const char *voice,
                                         float stretch, unsigned long seed, struct pz_syn_speech *s);
void pz_syn_speech_close(struct pz_syn_speech *s);
/** 16-bit PCM WAV, written atomically. Errors: WRITE. */
PZ_NODISCARD enum pz_status pz_syn_wav_write(struct pz_log *log, const char *path, const float *pcm, int n,
                                             int rate);

#endif
