/**
 * Dub: put a new word into a slot so that it sounds as if the speaker had said it there.
 *
 * One call does: say → match (pitch, spectrum, loudness, room) → fit (borrow, stretch, retime) → join. The
 * result is a short stretch of sound at the film's own rate and channels that replaces template samples [a,
 * b), and the same on the output's time line for the lip-sync engine.
 */
#ifndef PZ_SPEECH_DUB_H
#define PZ_SPEECH_DUB_H

#include "base/rational.h"
#include "speech/speech.h"
#include "speech/voice.h"

enum pz_fit { PZ_FIT_AUTO, PZ_FIT_STRETCH, PZ_FIT_BORROW, PZ_FIT_RETIME, PZ_FIT_COUNT };

/** "auto", "stretch", "borrow", "retime"; -1 when `name` is none of them. */
int pz_fit_from_name(const char *name);
const char *pz_fit_name(int fit);

struct pz_dub_params {
    const struct pz_tap *sound;    /**< template sound at its own rate and channels */
    const struct pz_phone *phones; /**< of the whole template (PZ_SPEECH_RATE); they show where pauses are */
    int n_phones;
    const struct pz_slot *slot;
    struct pz_say say; /**< text, voice, pronunciation, recording; f0_hz 0 = measured here */
    enum pz_fit fit;
    /** Samples (at the tap's rate) that may be touched at most: normally the ends of the neighbouring slots.
     */
    int64_t limit_start, limit_end; /**< both 0 = the whole film */
    /** Seconds of one frame, num/den: a retime adds or drops whole frames. {0,1}: any length. */
    struct pz_rational frame;
    uint64_t seed;
};

struct pz_fit_plan {
    enum pz_fit fit; /**< what was done (never AUTO); BORROW also when the word simply fits */
    double stretch;  /**< duration factor applied to the new word by sonic, 0.85–1.15; 1 = none */
    int64_t a, b;    /**< replaced template samples [a, b), tap rate */
    int64_t n;       /**< sample frames that replace them */
    int64_t delta;   /**< n − (b − a): > 0 the film gets longer after the slot; 0 unless fit is RETIME */
    int64_t delta_frames;    /**< delta in whole frames when `frame` was given */
    int64_t word_at, word_n; /**< the new word inside the n samples */
};

struct pz_dub {
    struct pz_fit_plan plan;
    float *sound; /**< [plan.n][channels] interleaved, tap rate; its first and last samples continue the
                     template's */
    int channels, rate;
    /** The span for the engine: mono at PZ_SPEECH_RATE, plan.n's stretch with context_before samples of the
     * template in front and up to 0.5 s behind. speech[context_before] is template time a (= output time of
     * a). */
    float *speech;
    int64_t n_speech, context_before;
    struct pz_phone_line phones;  /**< of `speech`, times relative to speech[0], complete */
    int64_t word_start, word_end; /**< the new word in `speech` */
    char voice[64];
    double f0_template_hz, f0_voice_hz, f0_result_hz; /**< medians, 0 = unvoiced */
    double loudness_template_lufs, loudness_result_lufs,
        loudness_delta_lu; /**< word against its surroundings */
    double spectrum_before_db,
        spectrum_after_db; /**< mean distance of third-octave levels to the speaker's, 100 Hz–7 kHz */
    char warning[256];     /**< "" or one line the report should carry */
};

/** Make the sound of one slot for one value. `ears` may be NULL when the voice is flite or espeak.
 *  Errors: what pz_voice_say() gives; UNUSABLE (the word cannot be fitted in the way asked for: says how much
 * is missing and which
 *  --fit would do); INPUT; NOMEM; CANCELLED; the tap's. `*out` zeroed on failure; free with pz_dub_free(). */
PZ_NODISCARD enum pz_status pz_dub_make(const struct pz_dub_params *p, struct pz_ears *ears,
                                        const struct pz_job *job, struct pz_dub *out);
void pz_dub_free(struct pz_dub *d);

#endif
