/** Films of the speech bench: sentences of the linked voices with the synthesiser's own word times. */
#ifndef PZ_BENCH_SPEECH_SOUND_H
#define PZ_BENCH_SPEECH_SOUND_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "speech/line.h"

struct said_word {
    char text[64];
    int64_t start, end; /**< samples at PZ_SPEECH_RATE, silences not included */
    int first, last;    /**< phones at its edges, enum pz_phone_id */
};

/** Sound at PZ_SPEECH_RATE and what is said in it. Plain owned: said_free(). */
struct said {
    float *samples;
    int64_t n;
    struct said_word *words;
    int n_words;
    struct pz_phone_line phones; /**< the synthesiser's own, silences left out */
    bool timed;                  /**< false: word times are not known (espeak-ng) */
};

/** A speaker: a voice, the size of its head as a factor on all times (and 1/factor on all pitches), and a
 * factor on the times alone (voices with known times only). */
struct speaker {
    const char *name, *voice; /**< "slt", "rms", "awb", "kal16", "espeak:NAME" */
    double size, pace;
};

/** Say sentences one after the other with pauses between. Errors: INTERNAL, NOMEM, those of the voice. */
PZ_NODISCARD enum pz_status said_make(const struct speaker *s, const char *const *sentences, int n,
                                      struct said *out);
void said_free(struct said *s);

enum room { ROOM_CLEAN, ROOM_NOISE, ROOM_WHITE, ROOM_PINK, ROOM_BABBLE, ROOM_MUSIC, ROOM_REVERB };

/** Put a speaker into a room, in place: noise of a speech-like colour, white, pink, six other people talking
 * at once, music-like chords with a beat, or reverberation (RT60 0.45 s, its energy `snr_db` below the direct
 * sound) with noise at 25 dB. `snr_db` is over the speech alone. */
PZ_NODISCARD enum pz_status said_place(struct said *s, enum room room, double snr_db, uint64_t seed);

#endif
