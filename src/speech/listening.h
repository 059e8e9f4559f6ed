/** What the network for edges hears in a chunk, on a thread of its own: it needs nothing from the aligner.
 * Private to src/speech. */
#ifndef PZ_SPEECH_LISTENING_H
#define PZ_SPEECH_LISTENING_H

#include <pthread.h>

#include "speech/sounds.h"

/** Somebody who listens. Start from a zeroed one, or from pz_listening_start(). */
struct pz_listening {
    const float *raw;
    int64_t n;
    struct pz_pool *pool;
    struct pz_sounds heard; /**< the caller's to free */
    enum pz_status st;
    bool beside;
    pthread_t thread;
};

/** Begin with `raw` [n] of a chunk, noise and all, which must stay until pz_listening_end(). `pool` (NULL:
 * none) helps. */
void pz_listening_start(struct pz_listening *l, const float *raw, int64_t n, struct pz_pool *pool);

/** Wait; l->heard is there also after an error. One that was not started is at its end. Errors: NOMEM. */
PZ_NODISCARD enum pz_status pz_listening_end(struct pz_listening *l);

#endif
