/** Bring a new word to the speaker. Private to src/speech. */
#ifndef PZ_SPEECH_MATCH_H
#define PZ_SPEECH_MATCH_H

#include "audio/shape.h"
#include "speech/dub.h"

/** What the speaker sounds like around a slot. */
struct pz_speaker {
    double f0_hz, f0_slot_hz; /**< medians of the surroundings and of the old word, 0 = unvoiced */
    double range_st;          /**< 10–90 % range in semitones */
    double phones_per_s;      /**< speed, 0 = unknown */
    double ltas_db[PZ_LTAS_BANDS];
    double lufs; /**< of the mono mix, speech parts */
    float *mono; /**< [n] tap rate, template samples from `at` */
    int64_t at, n;
};

/** Measure up to 5 s on both sides. Free with pz_speaker_free(). Errors: NOMEM, the tap's. */
PZ_NODISCARD enum pz_status pz_speaker_measure(const struct pz_dub_params *p, struct pz_speaker *s);
void pz_speaker_free(struct pz_speaker *s);

/** Pitch level and range of the utterance to the speaker's, in place. `before`, `after` receive medians in Hz
 * (0 = unvoiced). Errors: NOMEM. */
PZ_NODISCARD enum pz_status pz_match_pitch(struct pz_utterance *u, const struct pz_speaker *s, double *before,
                                           double *after);

/** Equaliser from a voice's reference speech to the speaker: gain_db, at most ±12 dB, its mean over the bands
 * of speech taken out. `share` scales it (1 = all). Distances before and after are mean absolute level
 * differences, dB. Errors: NOMEM. */
PZ_NODISCARD enum pz_status pz_match_spectrum(const struct pz_utterance *reference,
                                              const struct pz_speaker *s, double share,
                                              double gain_db[PZ_LTAS_BANDS], double *before, double *after);

#endif
