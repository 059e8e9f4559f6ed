/**
 * LatentSync's pictures in order: windows are sampled as frames are asked for, decoded in batches, and, where
 * a device computes, the next window is sampled on a thread of its own while the frames of this one are
 * pasted and encoded.
 */
#ifndef PZ_LIPSYNC_LATENTSYNC_ARTIST_H
#define PZ_LIPSYNC_LATENTSYNC_ARTIST_H

#include <pthread.h>

#include "lipsync/latents.h"
#include "lipsync/latentsync_model.h"

struct pz_latentsync_artist;

struct pz_latentsync_artist_params {
    struct pz_latentsync_run *run;
    struct pz_latent_coder *decoder;
    int batch; /**< of the decoder */
    const struct pz_latentsync_way *way;
    const float *mask; /**< at latent size, borrowed */
    int n;             /**< frames */
    /** Latents and sound of frame `i`, which must stay where they are until frames 16 further on are drawn.
     * `final` false: nothing better than a stand-in is known yet. Asked on the thread that draws. */
    void (*frame)(void *user, int i, struct pz_latentsync_frame *out, bool *final);
    void *user;
    pthread_mutex_t *run_lock, *decoder_lock; /**< of the networks, which sessions share; borrowed */
    bool ahead;                               /**< on a thread of its own, as above */
    const struct pz_job *job;                 /**< borrowed */
};

/** Errors: NOMEM (logged). */
PZ_NODISCARD enum pz_status pz_latentsync_artist_create(const struct pz_latentsync_artist_params *p,
                                                        struct pz_latentsync_artist **a);
/** Stops what is being made. */
void pz_latentsync_artist_destroy(struct pz_latentsync_artist **a);

/** Picture of frame `i`, [size][size][3], neither clipped nor rounded, until the next call. Cheapest in
 * ascending order. Errors: DEVICE, CANCELLED. */
PZ_NODISCARD enum pz_status pz_latentsync_artist_draw(struct pz_latentsync_artist *a, int i,
                                                      const float **picture);

#endif
