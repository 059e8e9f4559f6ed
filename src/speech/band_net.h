/**
 * Small networks that listen to sound in 32 bands, all of one shape: log powers of the bands and their floor
 * and top over the whole stretch go through a convolution over time, some blocks (a filter a channel, farther
 * and farther apart, then two dense layers, added to what came in) and one dense layer. What comes out is the
 * caller's. Their weights are in sounds_net.bin (sounds_net.h). Private to src/speech.
 */
#ifndef PZ_SPEECH_BAND_NET_H
#define PZ_SPEECH_BAND_NET_H

#include <stdint.h>

#include "base/pool.h"
#include "base/status.h"

#define PZ_BANDS 32
#define PZ_BAND_BINS 257  /* of a spectrum of 512 samples */
#define PZ_BAND_BLOCKS 12 /* at most */
#define PZ_BAND_TILE 32   /* outputs side by side */

/** Weights as numbers: `tiles` pieces [in][PZ_BAND_TILE] of the transposed matrix, so that sums run over
 * outputs and what is read lies side by side. */
struct pz_band_layer {
    int in, out, tiles;
    float *w, *bias;
};

/** A network. Plain owned: pz_band_net_free(). */
struct pz_band_net {
    int width, n_blocks, heads;
    int dilations[PZ_BAND_BLOCKS];
    struct pz_band_layer first, level, last, out; /* last: a factor and a bias a channel */
    struct {
        struct pz_band_layer around, up, down;
    } blocks[PZ_BAND_BLOCKS];
};

/** What a network is asked for: edges of phones, phones, and what of a band is speech (see sounds_net.h). */
enum pz_band_net_for { PZ_BAND_NET_EDGES, PZ_BAND_NET_WORDS, PZ_BAND_NET_NOISE };

/** Unpack the first network (in the file's order) that is asked for `what`, at or behind number `*i`, which
 * becomes the number behind it; net->width 0: there is none. Errors: NOMEM. */
PZ_NODISCARD enum pz_status pz_band_net_next(enum pz_band_net_for what, int *i, struct pz_band_net *net);
void pz_band_net_free(struct pz_band_net *net);

/** Room for one stretch of sound. Plain owned: pz_band_room_free(). */
struct pz_band_room {
    int64_t frames;
    struct pz_pool *pool; /* borrowed */
    float *power;         /* [frames][PZ_BAND_BINS] */
    float *logs, *x, *y, *rows;
    float *out; /* [frames][heads]: what the network says */
};

/** Powers of `samples` [n], mono PZ_SPEECH_RATE, one frame every PZ_SOUNDS_HOP samples; `pool` (NULL: the
 * calling thread alone) will run the network and stays the caller's. Errors: NOMEM. */
PZ_NODISCARD enum pz_status pz_band_room_make(const float *samples, int64_t n, const struct pz_band_net *net,
                                              struct pz_pool *pool, struct pz_band_room *r);
void pz_band_room_free(struct pz_band_room *r);

/** How much of bin `k` band `b` takes (a triangle on the mel scale), of a throat whose resonances lie at
 * 1 / `warp` of the usual places. */
float pz_band_share(double warp, int b, int k);

/** Let the network listen through the bands of such a throat: r->out, the same for every pool. Errors: NOMEM.
 */
PZ_NODISCARD enum pz_status pz_band_net_run(const struct pz_band_net *net, double warp,
                                            struct pz_band_room *r);

#endif
