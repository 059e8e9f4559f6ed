/**
 * What every 5 ms of sound is, and where phones meet: a small network of our own that knows the 39 phones and
 * silence in noise, music, echo and among other voices (training/sounds says how it was taught), and edges
 * moved to where it and the usual lengths of phones agree. Words are not its business: which phones there
 * are, and in what order, the aligner has found. Private to src/speech.
 */
#ifndef PZ_SPEECH_SOUNDS_H
#define PZ_SPEECH_SOUNDS_H

#include "speech/band_net.h"
#include "speech/ears.h"
#include "speech/line.h"
#include "speech/spot.h"

/** Samples between two frames; frame t stands for the sound around sample t · PZ_SOUNDS_HOP. */
#define PZ_SOUNDS_HOP 80

/** What was heard. Plain owned: pz_sounds_free(). PZ_PH_AX has AH's values. */
struct pz_sounds {
    int64_t frames;
    float *values; /**< [frames][3][PZ_PH_COUNT]: natural logarithms of the probabilities of all phones; how
                      likely each ends, and each starts, just before the frame (natural logarithms without a
                      common level: to be compared between frames, for one pair of phones) */
};

/** Row `head` (0 phones, 1 ends, 2 starts) of a frame. */
static inline const float *pz_sounds_at(const struct pz_sounds *s, int64_t frame, int head)
{
    return s->values + (frame * 3 + head) * PZ_PH_COUNT;
}

/** The first of the two frames in the middle of the recogniser's frame `frame`, which is twice as long. */
static inline int64_t pz_sounds_under(int64_t frame)
{
    return (frame * PZ_EARS_HOP + PZ_EARS_SHIFT) / PZ_SOUNDS_HOP + 1;
}

/** Which network: one places edges better, the other, taught with more disguise, knows better what unheard
 * voices say. */
enum pz_sounds_for { PZ_SOUNDS_EDGES = PZ_BAND_NET_EDGES, PZ_SOUNDS_WORDS = PZ_BAND_NET_WORDS };

/** Listen to mono PZ_SPEECH_RATE sound, noise and all, of one speaker at one level: n / PZ_SOUNDS_HOP frames,
 * the same for every `pool` (NULL: this thread alone). Errors: NOMEM. */
PZ_NODISCARD enum pz_status pz_sounds_listen(const float *samples, int64_t n, enum pz_sounds_for what,
                                             struct pz_pool *pool, struct pz_sounds *out);
void pz_sounds_free(struct pz_sounds *s);

/** How well a keyword fits what was heard, anywhere between samples `from` and `to`: nats a 10 ms against the
 * likeliest phone of every frame, less what unusual lengths cost; about 0 at best, −0.2 … −1.5 where it is
 * said, −5 where nothing fits. Errors: NOMEM. */
PZ_NODISCARD enum pz_status pz_sounds_fit(const struct pz_sounds *heard, const struct pz_keyword *k,
                                          int64_t from, int64_t to, float *margin);

/** Move the edges of phones [first_phone, end) and words [first_word, end) of a stretch of sound (`n`
 * samples, sample 0 at film time `at`) that the aligner has placed; `heard`: what pz_sounds_listen() said of
 * it for edges, which can be asked while the aligner is still at work; `snr_db` as pz_quiet() says. Pauses
 * may vanish, and appear between words. The words' first_phone and n_phones are kept right. Errors: NOMEM. */
PZ_NODISCARD enum pz_status pz_sounds_settle_heard(const struct pz_sounds *heard, int64_t n, int64_t at,
                                                   double snr_db, struct pz_phone_line *phones,
                                                   int first_phone, struct pz_words *words, int first_word);

/** The same of `samples` [n]: listens itself. */
PZ_NODISCARD enum pz_status pz_sounds_settle(const float *samples, int64_t n, int64_t at, double snr_db,
                                             struct pz_phone_line *phones, int first_phone,
                                             struct pz_words *words, int first_word);

#endif
