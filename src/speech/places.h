/** Places where wanted words may be said, by sound. Private to src/speech. */
#ifndef PZ_SPEECH_PLACES_H
#define PZ_SPEECH_PLACES_H

#include "speech/acoustic.h"
#include "speech/sounds.h"
#include "speech/spot.h"

/** A place and what speaks for it. Fits are nats a 10 ms that phones lose there against the best of all
 * phones: about 0 at best, −5 where nothing fits. */
struct pz_place {
    int64_t start, end;             /**< samples of the sound given */
    int keyword;                    /**< which one */
    int phones;                     /**< of the pronunciation that fits */
    float fit;                      /**< mean over all frames, by the recogniser's model */
    float even;                     /**< mean over phones, however long each is */
    float network;                  /**< what pz_sounds_fit() says: our own network */
    float worst_heard;              /**< the two phones that it hears least */
    float best_heard;               /**< mean over phones of the frame that it hears best in each */
    float usual_fit, usual_network; /**< of the keyword at places that are hardly it: what chance gives */
    float rival; /**< mean over all frames of what the words that the recogniser wrote there lose;
                    pz_places_rival() */
};

/** For each of keywords `k` [n_keywords] the places that fit it best and do not overlap each other (three or
 * more, one every few seconds; weak ones are among them) in mono sound `samples` [n] of at most
 * PZ_EARS_MAX_SAMPLES, noise taken out; `heard` in it before that. `*warp` receives the warp of acoustic.h
 * that the keywords fit best with. `*places` on the heap, pz_free(). Errors: NOMEM, INTERNAL. */
PZ_NODISCARD enum pz_status pz_places_find(struct pz_acoustic *a, const float *samples, int64_t n,
                                           const struct pz_sounds *heard, const struct pz_keyword *const *k,
                                           int n_keywords, int *warp, struct pz_place **places,
                                           int *n_places);

/** A word that the recogniser wrote. */
struct pz_written {
    struct pz_keyword keyword;
    int64_t start, end; /**< samples of the sound given */
};

/** Set the rivals of `places` [n_places], found in the same sound. Where nothing was written it is a pause.
 * Errors: NOMEM, INTERNAL. */
PZ_NODISCARD enum pz_status pz_places_rival(struct pz_acoustic *a, int warp, const float *samples, int64_t n,
                                            const struct pz_written *written, int n_written,
                                            struct pz_place *places, int n_places);

/** How far apart two stretches of sound are: `a` [na] and `b` [nb] as pz_acoustic_look() gives them, time
 * warped. 0.4–0.8 for the same word of a speaker, 0.7–1.2 for others. Errors: NOMEM. */
PZ_NODISCARD enum pz_status pz_places_apart(const float *a, int na, const float *b, int nb, float *distance);

#endif
