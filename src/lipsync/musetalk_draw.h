/**
 * MuseTalk's pictures in order: UNet ahead of the decoder, a filter over time between them, both in batches.
 *
 * The filter (against mouths that shake from frame to frame although nothing moves): each place of a latent
 * takes part of its neighbours in time, weighted by exp(−d²/2σ²) of their distance there, so that what
 * flickers is averaged and what moves is left alone.
 */
#ifndef PZ_LIPSYNC_MUSETALK_DRAW_H
#define PZ_LIPSYNC_MUSETALK_DRAW_H

#include <pthread.h>

#include "lipsync/latents.h"
#include "lipsync/musetalk_model.h"

/** The filter on one latent [32][32][4]; `before`, `after` may be NULL. `out` may be none of the inputs. */
void pz_musetalk_calm(const float *before, const float *z, const float *after, float *out);

struct pz_musetalk_artist;

/** What a picture is made from. The latents of pictures that are not known before they are drawn are NULL. */
struct pz_musetalk_sitter {
    const float *masked, *reference;
};

struct pz_musetalk_artist_params {
    struct pz_musetalk_unet_run *unet;
    struct pz_latent_coder *decoder; /**< of any batch */
    pthread_mutex_t *networks;       /**< held while either of them runs, on whatever thread */
    bool calm;
    bool overlap;                            /**< the next batch is made while this one's pictures are used */
    int n;                                   /**< pictures */
    const struct pz_musetalk_sitter *sitter; /**< [n], borrowed */
    /** Window of picture i, [tokens][width]. Called on the thread that makes the batch. */
    void (*hear)(void *user, int i, float *out);
    void *user;
    size_t heard; /**< floats of a window */
};

/** Errors: NOMEM. */
PZ_NODISCARD enum pz_status pz_musetalk_artist_create(const struct pz_musetalk_artist_params *p,
                                                      struct pz_musetalk_artist **a);
void pz_musetalk_artist_destroy(struct pz_musetalk_artist **a);

/** Picture i, [3][256][256] in [0,1], until the next call. `own`: its latents where sitter[i] has none.
 * `pool` must last as long as the artist. One thread at a time. Errors: DEVICE, USAGE (no latents). */
PZ_NODISCARD enum pz_status pz_musetalk_artist_draw(struct pz_musetalk_artist *a, int i,
                                                    const struct pz_musetalk_sitter *own,
                                                    struct pz_pool *pool, const float **picture);

#endif
