// Batches of MuseTalk's two networks over a slot, and the filter between them. Keeps two batches of latents
// and of pictures, whatever the slot's length: while the pictures of one are pasted and encoded, a thread of
// the artist's own makes the next. What is made, and in which batches, is the same as without that thread.
#include "lipsync/musetalk_draw.h"

#include <math.h>
#include <pthread.h>
#include <string.h>

#include "base/mem.h"
#include "lipsync/musetalk_look.h"

#define FLOATS ((size_t)PZ_MUSETALK_FLOATS)
#define PICTURE ((size_t)3 * PZ_MUSETALK_SIDE * PZ_MUSETALK_SIDE)
#define CALM_SIGMA 0.25f /* of latents as the network gives them, whose deviation is about 1 */
#define CALM_SHARE 0.5f  /* of a neighbour that is the same */

/* Pictures [from, to) of the film, [batch][3][256][256]. */
struct batch {
    int from, to;
    float *pictures;
};

enum errand { IDLE, ASKED, DONE, STOP };

struct pz_musetalk_artist {
    struct pz_musetalk_artist_params p;
    int batch, room;
    /* Of whoever computes: the helper between ASKED and DONE, else the caller. */
    int z0, z1;  /* latents of pictures [z0, z1) are in the ring */
    float *ring; /* [room][floats], picture i at i % room */
    float *calmed, *heard, *out;
    const float **pointers; /* [3][batch] */
    /* The caller's. */
    struct batch shown, coming;
    bool helped; /* the helper runs */
    pthread_t helper;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t turn;
    enum errand errand;
    enum pz_status st; /* of the errand that is DONE */
    struct pz_pool *pool;
};

static float nearness(const float *a, const float *b)
{
    float d = 0;
    for (int k = 0; k < 4; k++)
        d += (a[k] - b[k]) * (a[k] - b[k]) / 4;
    return CALM_SHARE * expf(-d / (2 * CALM_SIGMA * CALM_SIGMA));
}

void pz_musetalk_calm(const float *before, const float *z, const float *after, float *out)
{
    for (size_t i = 0; i < FLOATS; i += 4) {
        float w = before ? nearness(before + i, z + i) : 0, v = after ? nearness(after + i, z + i) : 0;
        for (size_t k = i; k < i + 4; k++)
            out[k] = (z[k] + (before ? w * before[k] : 0) + (after ? v * after[k] : 0)) / (1 + w + v);
    }
}

enum pz_status pz_musetalk_artist_create(const struct pz_musetalk_artist_params *p,
                                         struct pz_musetalk_artist **out)
{
    struct pz_musetalk_artist *a = pz_calloc(1, sizeof *a);
    *out = NULL;
    if (!a)
        return PZ_ERR_NOMEM;
    a->p = *p;
    a->batch = pz_musetalk_unet_batch(p->unet);
    a->room = 2 * a->batch + 2; // one before the batch that is decoded, and a batch ahead of it
    size_t n = (size_t)a->batch;
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->turn, NULL);
    a->ring = pz_calloc((size_t)a->room, FLOATS * sizeof *a->ring);
    a->shown.pictures = pz_calloc(n, PICTURE * sizeof(float));
    a->coming.pictures = pz_calloc(n, PICTURE * sizeof(float));
    a->calmed = pz_calloc(n, FLOATS * sizeof *a->calmed);
    a->out = pz_calloc(n, FLOATS * sizeof *a->out);
    a->heard = pz_calloc(n, p->heard * sizeof *a->heard);
    a->pointers = pz_calloc(3 * n, sizeof *a->pointers);
    if (!a->ring || !a->shown.pictures || !a->coming.pictures || !a->calmed || !a->out || !a->heard ||
        !a->pointers)
        pz_musetalk_artist_destroy(&a);
    *out = a;
    return a ? PZ_OK : PZ_ERR_NOMEM;
}

void pz_musetalk_artist_destroy(struct pz_musetalk_artist **artist)
{
    struct pz_musetalk_artist *a = *artist;
    if (!a)
        return;
    if (a->helped) {
        pthread_mutex_lock(&a->lock);
        while (a->errand == ASKED)
            pthread_cond_wait(&a->turn, &a->lock);
        a->errand = STOP;
        pthread_cond_broadcast(&a->turn);
        pthread_mutex_unlock(&a->lock);
        pthread_join(a->helper, NULL);
    }
    pthread_mutex_destroy(&a->lock);
    pthread_cond_destroy(&a->turn);
    pz_free(a->ring);
    pz_free(a->shown.pictures);
    pz_free(a->coming.pictures);
    pz_free(a->calmed);
    pz_free(a->heard);
    pz_free(a->out);
    pz_free(a->pointers);
    pz_free(a);
    *artist = NULL;
}

static float *latent(const struct pz_musetalk_artist *a, int i)
{
    return i >= a->z0 && i < a->z1 ? a->ring + (size_t)(i % a->room) * FLOATS : NULL;
}

static bool known(const struct pz_musetalk_artist *a, int i)
{
    return i < a->p.n && a->p.sitter[i].masked && a->p.sitter[i].reference;
}

/* Latents of the next pictures behind z1: those known in advance, or one whose latents are given. */
static enum pz_status go_on(struct pz_musetalk_artist *a, const struct pz_musetalk_sitter *own,
                            struct pz_pool *pool)
{
    const float **masked = a->pointers, **reference = masked + a->batch, **heard = reference + a->batch;
    int n = 0;
    do {
        const struct pz_musetalk_sitter *s = own ? own : &a->p.sitter[a->z1 + n];
        masked[n] = s->masked;
        reference[n] = s->reference;
        heard[n] = a->heard + (size_t)n * a->p.heard;
        a->p.hear(a->p.user, a->z1 + n, a->heard + (size_t)n * a->p.heard);
        n++;
    } while (!own && n < a->batch && known(a, a->z1 + n));
    enum pz_status st = pz_musetalk_unet_run(a->p.unet, masked, reference, heard, n, pool, a->out);
    if (st < PZ_OK)
        return st;
    for (int k = 0; k < n; k++)
        memcpy(a->ring + (size_t)((a->z1 + k) % a->room) * FLOATS, a->out + (size_t)k * FLOATS,
               FLOATS * sizeof *a->out);
    a->z1 += n;
    return PZ_OK;
}

/* Pictures [i, last]: calmed and decoded. */
static enum pz_status decode(struct pz_musetalk_artist *a, int i, int last, struct pz_pool *pool,
                             struct batch *b)
{
    int n = last - i + 1;
    for (int k = 0; k < n; k++) {
        const float *z = latent(a, i + k);
        if (a->p.calm)
            pz_musetalk_calm(latent(a, i + k - 1), z, latent(a, i + k + 1), a->calmed + (size_t)k * FLOATS);
        else
            memcpy(a->calmed + (size_t)k * FLOATS, z, FLOATS * sizeof *z);
    }
    enum pz_status st = pz_latent_decode(a->p.decoder, a->calmed, n, pool, b->pictures);
    b->from = i;
    b->to = st >= PZ_OK ? i + n : i;
    return st;
}

/* The batch that starts with picture i. */
static enum pz_status make(struct pz_musetalk_artist *a, int i, const struct pz_musetalk_sitter *own,
                           struct pz_pool *pool, struct batch *b)
{
    enum pz_status st = PZ_OK;
    bool ahead = known(a, i);
    b->from = b->to = 0;
    pthread_mutex_lock(a->p.networks);
    if (i < a->z0 || i > a->z1)
        a->z0 = a->z1 = i;
    if (a->z0 < i - 1)
        a->z0 = i - 1;
    while (a->z1 <= i)
        PZ_TRY(go_on(a, ahead ? NULL : own, pool));
    if (a->z1 == i + 1 && a->p.calm && known(a, a->z1))
        PZ_TRY(go_on(a, NULL, pool));
    // The newest latent waits for the one behind it, where there is one to come.
    int last = a->p.calm && known(a, a->z1) && a->z1 - 1 > i ? a->z1 - 2 : a->z1 - 1;
    last = last - i < a->batch ? last : i + a->batch - 1;
    PZ_TRY(decode(a, i, last, pool, b));
fail:
    pthread_mutex_unlock(a->p.networks);
    return st;
}

/* ---- the next batch, meanwhile ---- */

static void *help(void *artist)
{
    struct pz_musetalk_artist *a = artist;
    pthread_mutex_lock(&a->lock);
    while (a->errand != STOP) {
        if (a->errand != ASKED) {
            pthread_cond_wait(&a->turn, &a->lock);
            continue;
        }
        pthread_mutex_unlock(&a->lock);
        enum pz_status st = make(a, a->shown.to, NULL, a->pool, &a->coming);
        pthread_mutex_lock(&a->lock);
        a->st = st;
        a->errand = DONE;
        pthread_cond_broadcast(&a->turn);
    }
    pthread_mutex_unlock(&a->lock);
    return NULL;
}

/* Have the batch behind the one that is shown made, where its latents are known. Without a thread it is made
 * when it is drawn. */
static void send_helper(struct pz_musetalk_artist *a, struct pz_pool *pool)
{
    if (!a->p.overlap || !known(a, a->shown.to))
        return;
    if (!a->helped)
        a->helped = pthread_create(&a->helper, NULL, help, a) == 0;
    if (!a->helped)
        return;
    pthread_mutex_lock(&a->lock);
    a->pool = pool;
    a->errand = ASKED;
    pthread_cond_broadcast(&a->turn);
    pthread_mutex_unlock(&a->lock);
}

/* Wait for the helper; false when it had nothing to do. */
static bool helper_is_back(struct pz_musetalk_artist *a)
{
    pthread_mutex_lock(&a->lock);
    while (a->errand == ASKED)
        pthread_cond_wait(&a->turn, &a->lock);
    bool back = a->errand == DONE;
    if (back)
        a->errand = IDLE;
    pthread_mutex_unlock(&a->lock);
    return back;
}

enum pz_status pz_musetalk_artist_draw(struct pz_musetalk_artist *a, int i,
                                       const struct pz_musetalk_sitter *own, struct pz_pool *pool,
                                       const float **picture)
{
    enum pz_status st = PZ_OK;
    if (i < 0 || i >= a->p.n || (!known(a, i) && !own))
        return PZ_ERR_USAGE;
    if (i < a->shown.from || i >= a->shown.to) {
        bool back = helper_is_back(a);
        if (back && (a->st < PZ_OK || (i >= a->coming.from && i < a->coming.to))) {
            struct batch b = a->shown;
            a->shown = a->coming;
            a->coming = b;
            st = a->st;
        } else
            st = make(a, i, known(a, i) ? NULL : own, pool, &a->shown);
        if (st < PZ_OK)
            return st;
        send_helper(a, pool);
    }
    *picture = a->shown.pictures + (size_t)(i - a->shown.from) * PICTURE;
    return PZ_OK;
}
