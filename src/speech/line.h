/**
 * Lines of speech: taps of sound, words and phones with times. Shared by everything in this folder.
 *
 * Times are samples at PZ_SPEECH_RATE from film zero unless said otherwise; intervals are half-open.
 */
#ifndef PZ_SPEECH_LINE_H
#define PZ_SPEECH_LINE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/job.h"
#include "speech/phones.h"

/** Random access to sound without holding it: implemented by the caller (the pipeline, over pz_sound_read()).
 */
struct pz_tap {
    void *user;
    int rate;     /**< Hz, 8000–192000 */
    int channels; /**< 1–8 */
    int64_t n;    /**< sample frames there are */
    /** Fill `n` interleaved frames from sample `at`, [-1,1]. What lies outside [0, tap.n) must read as zeros.
     *  Called on the thread that called into speech; mostly ascending. */
    enum pz_status (*read)(void *user, int64_t at, float *interleaved, int64_t n);
};

/** A tap over samples in memory, which must outlive it. `samples` interleaved. */
struct pz_tap_memory {
    const float *samples;
    int64_t n;
    int channels;
};
/** `*mem` is filled here and is the tap's `user`: both must stay where they are while the tap is used. */
struct pz_tap pz_tap_from_memory(struct pz_tap_memory *mem, const float *samples, int64_t n, int rate,
                                 int channels);

/** Read a stretch of a tap mixed to mono (mean of the channels). `out` [n]. Errors: those of the tap, NOMEM.
 */
PZ_NODISCARD enum pz_status pz_tap_read_mono(const struct pz_tap *tap, int64_t at, float *out, int64_t n);

/** The same, resampled: `at` and `n` count samples at PZ_SPEECH_RATE. Stretches that follow each other join
 * exactly. Errors: those of the tap, NOMEM, USAGE (a rate nobody has). */
PZ_NODISCARD enum pz_status pz_tap_read_speech(const struct pz_tap *tap, int64_t at, float *out, int64_t n);

/** Length of a tap in samples at PZ_SPEECH_RATE. */
int64_t pz_tap_speech_length(const struct pz_tap *tap);

struct pz_word {
    char text[64];             /**< UTF-8, lower case for recognised words, as written for transcripts */
    int64_t start, end;        /**< samples at PZ_SPEECH_RATE */
    float confidence;          /**< [0,1] */
    int first_phone, n_phones; /**< into the phone line found with it; 0, 0 when there is none */
};

struct pz_words {
    struct pz_word *items;
    int n, cap;
};

/** Append a word (copied). Errors: NOMEM. Start from a zeroed struct; free with pz_words_free(). */
PZ_NODISCARD enum pz_status pz_words_add(struct pz_words *w, const struct pz_word *word);
void pz_words_free(struct pz_words *w);

struct pz_phone_line {
    struct pz_phone *items;
    int n, cap;
};

/** Append a phone. Errors: NOMEM. Start from a zeroed struct; free with pz_phone_line_free(). */
PZ_NODISCARD enum pz_status pz_phone_line_add(struct pz_phone_line *l, struct pz_phone p);
void pz_phone_line_free(struct pz_phone_line *l);

/** Make a line whole: sorts, clips to [start, end), fills every gap with SIL, joins touching SILs. Errors:
 * NOMEM. */
PZ_NODISCARD enum pz_status pz_phone_line_cover(struct pz_phone_line *l, int64_t start, int64_t end);

#endif
