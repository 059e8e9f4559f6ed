/** Inside of acoustic.c and acoustic_model.c. */
#ifndef PZ_SPEECH_ACOUSTIC_IMPL_H
#define PZ_SPEECH_ACOUSTIC_IMPL_H

#include <pthread.h>
#include <sphinxbase/fe.h>

#include "speech/acoustic.h"

#define STREAMS 3 /* cepstra, their slopes and the slopes of those */
#define CEPSTRA 13
#define DENSITIES 128 /* of one phone's sounds in one stream */
#define STATES PZ_ACOUSTIC_STATES
#define POSITIONS 4 /* in a word: inside, first, last, alone */

struct pz_acoustic {
    struct pz_log *log;
    fe_t *fe[PZ_ACOUSTIC_WARPS];
    pthread_mutex_t busy; /* of the front ends */
    int n_plain, n_states, n_sequences;
    int phone_of[PZ_PH_COUNT];
    int32_t *triphones;          /* [n_plain: the phone][left][right][POSITIONS]: its sequence, −1 = none */
    int32_t *plain;              /* [n_plain]: sequence of a phone without context */
    uint16_t *sequences;         /* [n_sequences][STATES] */
    uint16_t *sound_of;          /* [n_states]: whose densities a state mixes */
    float *square, *line, *base; /* of the densities' logarithms: [n_plain][STREAMS][CEPSTRA][DENSITIES], as
                                    factors of x² and x; [n_plain][STREAMS][DENSITIES] */
    uint8_t *mix;                /* [STREAMS][DENSITIES][n_states]: weights, in MIX_UNIT nats below 0 */
};

#define MIX_UNIT (1024.0 * 9.9995000333308e-05) /* 2^10 ln 1.0001 */

/** Read what `a` needs from folder `dir`. Errors: NOMEM, WEIGHTS. */
PZ_NODISCARD enum pz_status pz_acoustic_read(struct pz_acoustic *a, const char *dir);

#endif
