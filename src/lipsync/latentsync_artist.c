// LatentSync's windows ahead of its frames. One thread draws; the other one runs a window's steps and nothing
// else: inputs are laid out for it and its result is taken by the thread that draws.
#include "lipsync/latentsync_artist.h"

#include <string.h>

#include "base/mem.h"

enum stage { IDLE, ASKED, READY };

struct pz_latentsync_artist {
    struct pz_latentsync_artist_params p;
    size_t floats;
    int done;      /* windows added to `latent` */
    float *latent; /* [n][floats], windows added up */
    float *noise, *made;
    int made_first, made_n; /* frames `made` holds */
    /* what a window is sampled from and into; the thread's while it is ASKED */
    struct pz_latentsync_frame frames[PZ_LATENTSYNC_WINDOW];
    float *z, *work;
    struct pz_job job;
    enum pz_status st;
    /* the thread */
    pthread_t thread;
    bool threaded, quit, asked; /* asked: a window is being made; known to the thread that draws alone */
    enum stage stage;           /* under `lock` where there is a thread */
    pthread_mutex_t lock;
    pthread_cond_t change;
};

/* ---- a window's steps ---- */

static bool stopped(void *user)
{
    struct pz_latentsync_artist *a = user;
    pthread_mutex_lock(&a->lock);
    bool quit = a->quit;
    pthread_mutex_unlock(&a->lock);
    return quit || pz_job_cancelled(a->p.job);
}

static void sample(struct pz_latentsync_artist *a)
{
    struct pz_latentsync_net net = pz_latentsync_run_net(a->p.run);
    for (size_t i = 0; i < PZ_LATENTSYNC_WINDOW; i++)
        memcpy(a->z + i * a->floats, a->noise, a->floats * sizeof *a->z);
    pthread_mutex_lock(a->p.run_lock);
    pz_latentsync_run_window(a->p.run, a->p.mask, a->frames);
    a->st = pz_latentsync_sample(a->p.way, &net, PZ_LATENTSYNC_WINDOW * a->floats, &a->job, a->work, a->z);
    pthread_mutex_unlock(a->p.run_lock);
}

static void *work(void *user)
{
    struct pz_latentsync_artist *a = user;
    pthread_mutex_lock(&a->lock);
    while (!a->quit) {
        if (a->stage != ASKED) {
            pthread_cond_wait(&a->change, &a->lock);
            continue;
        }
        pthread_mutex_unlock(&a->lock);
        sample(a);
        pthread_mutex_lock(&a->lock);
        a->stage = READY;
        pthread_cond_signal(&a->change);
    }
    pthread_mutex_unlock(&a->lock);
    return NULL;
}

/* ---- the thread that draws ---- */

/* Set the next window's frames; true when all that will ever be known of them is. */
static bool lay(struct pz_latentsync_artist *a)
{
    bool all = true;
    for (int i = 0; i < PZ_LATENTSYNC_WINDOW; i++) {
        bool final = true;
        a->p.frame(a->p.user, pz_latentsync_window_frame(a->p.n, a->done, i), &a->frames[i], &final);
        all = all && final;
    }
    return all;
}

static void ask(struct pz_latentsync_artist *a)
{
    a->asked = true;
    if (!a->threaded) {
        sample(a);
        return;
    }
    pthread_mutex_lock(&a->lock);
    a->stage = ASKED;
    pthread_cond_signal(&a->change);
    pthread_mutex_unlock(&a->lock);
}

/* Wait for the window being made and add it to its frames by weight. */
static enum pz_status take(struct pz_latentsync_artist *a)
{
    if (a->threaded) {
        pthread_mutex_lock(&a->lock);
        while (a->stage != READY)
            pthread_cond_wait(&a->change, &a->lock);
        a->stage = IDLE;
        pthread_mutex_unlock(&a->lock);
    }
    a->asked = false;
    int n = a->p.n, first = pz_latentsync_window_first(n, a->done);
    for (int i = 0; i < PZ_LATENTSYNC_WINDOW && first + i < n && a->st >= PZ_OK; i++) {
        float w = pz_latentsync_window_weight(n, a->done, first + i);
        float *to = a->latent + (size_t)(first + i) * a->floats;
        const float *from = a->z + (size_t)i * a->floats;
        for (size_t k = 0; k < a->floats; k++)
            to[k] += w * from[k];
    }
    a->done++;
    return a->st;
}

/* All windows that show frame `i`: they begin with it at the latest. */
static enum pz_status make_windows(struct pz_latentsync_artist *a, int i)
{
    int all = pz_latentsync_windows(a->p.n);
    enum pz_status st = a->asked ? PZ_OK : a->st;
    while (st >= PZ_OK && a->done < all && pz_latentsync_window_first(a->p.n, a->done) <= i) {
        if (!a->asked) {
            lay(a);
            ask(a);
        }
        st = take(a);
    }
    if (st >= PZ_OK && a->threaded && !a->asked && a->done < all && lay(a))
        ask(a);
    return st;
}

enum pz_status pz_latentsync_artist_draw(struct pz_latentsync_artist *a, int i, const float **picture)
{
    if (i < 0 || i >= a->p.n)
        return PZ_ERR_USAGE;
    size_t px = 48 * a->floats; // 8×8 pixels of three values a place of four
    bool there = i >= a->made_first && i < a->made_first + a->made_n;
    enum pz_status st = there ? PZ_OK : make_windows(a, i);
    if (st >= PZ_OK && !there) {
        int whole =
            a->done < pz_latentsync_windows(a->p.n) ? pz_latentsync_window_first(a->p.n, a->done) : a->p.n;
        int n = whole - i < a->p.batch ? whole - i : a->p.batch;
        pthread_mutex_lock(a->p.decoder_lock);
        st = pz_latent_decode_floats(a->p.decoder, a->latent + (size_t)i * a->floats, n, a->p.job->pool,
                                     a->made);
        pthread_mutex_unlock(a->p.decoder_lock);
        a->made_first = i;
        a->made_n = st >= PZ_OK ? n : 0;
    }
    *picture = st >= PZ_OK ? a->made + (size_t)(i - a->made_first) * px : NULL;
    return st;
}

/* ---- life ---- */

static bool start_thread(struct pz_latentsync_artist *a)
{
    if (!a->p.ahead || pz_latentsync_windows(a->p.n) < 2)
        return true;
    a->threaded = pthread_create(&a->thread, NULL, work, a) == 0;
    return a->threaded;
}

enum pz_status pz_latentsync_artist_create(const struct pz_latentsync_artist_params *p,
                                           struct pz_latentsync_artist **out)
{
    struct pz_latentsync_artist *a = pz_calloc(1, sizeof *a);
    *out = NULL;
    if (!a)
        return pz_fail(p->job->log, PZ_ERR_NOMEM, "no memory for %d mouths", p->n);
    a->p = *p;
    a->floats = pz_latentsync_run_floats(p->run);
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->change, NULL);
    // The steps are stopped by the caller's word or by the end of the session.
    a->job = *p->job;
    a->job.cancelled = stopped;
    a->job.user = a;
    a->job.progress = NULL;
    a->latent = pz_calloc((size_t)p->n + 1, a->floats * sizeof *a->latent);
    a->noise = pz_calloc(a->floats, sizeof *a->noise);
    a->z = pz_calloc(a->floats, PZ_LATENTSYNC_WINDOW * sizeof *a->z);
    a->work = pz_calloc(a->floats, (size_t)PZ_LATENTSYNC_WORK * PZ_LATENTSYNC_WINDOW * sizeof *a->work);
    a->made = pz_calloc((size_t)p->batch, 48 * a->floats * sizeof *a->made);
    if (!a->latent || !a->noise || !a->z || !a->work || !a->made || !start_thread(a)) {
        pz_latentsync_artist_destroy(&a);
        return pz_fail(p->job->log, PZ_ERR_NOMEM, "no memory for %d mouths", p->n);
    }
    pz_latentsync_noise(p->job->seed, a->floats, a->noise);
    *out = a;
    return PZ_OK;
}

void pz_latentsync_artist_destroy(struct pz_latentsync_artist **artist)
{
    struct pz_latentsync_artist *a = *artist;
    if (!a)
        return;
    if (a->threaded) {
        pthread_mutex_lock(&a->lock);
        a->quit = true;
        pthread_cond_signal(&a->change);
        pthread_mutex_unlock(&a->lock);
        pthread_join(a->thread, NULL);
    }
    pthread_cond_destroy(&a->change);
    pthread_mutex_destroy(&a->lock);
    pz_free(a->latent);
    pz_free(a->noise);
    pz_free(a->z);
    pz_free(a->work);
    pz_free(a->made);
    pz_free(a);
    *artist = NULL;
}
