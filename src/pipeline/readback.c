/*
 * Read-back of a render: the recogniser listens to the finished words on threads of its own, beside the
 * pictures where there are cores to spare, else beside the comparison of the files; what it needs is read
 * while the words are still being said. It reads the output's sound through its own decoder; results are
 * handed over when the thread is joined.
 */
#include <pthread.h>
#include <string.h>

#include "base/mem.h"
#include "base/pool.h"
#include "pipeline/render.h"

#define SPARE 4 /* threads from which listening does not hold up the pictures */

enum order { WAIT, LISTEN, LEAVE };

struct pz_render_readback {
    struct pz_render *x;
    pthread_mutex_t lock;
    pthread_cond_t ordered;
    enum order order;
    struct pz_film_sound sound; /* the template's, this thread's own */
    struct pz_job job;          /* without progress: that belongs to the calling thread */
    pthread_t thread;
    struct pz_readback *results; /* [x->n_works] */
    enum pz_status st;
};

static enum pz_status out_read(void *user, int64_t at, float *out, int64_t n)
{
    struct pz_render_readback *r = user;
    int ch = r->sound.tap.channels;
    memset(out, 0, (size_t)(n * ch) * sizeof *out);
    if (at < 0) {
        int64_t skip = -at < n ? -at : n;
        out += skip * ch;
        n -= skip;
        at = 0;
    }
    if (n > r->x->timeline.out_len - at)
        n = r->x->timeline.out_len - at;
    return n > 0 ? pz_render_sound(r->x, &r->sound.tap, at, out, n) : PZ_OK;
}

/* A value in a script the lexicon cannot read is listened for by the phones its voice spoke. False: the
 * lexicon can. */
static bool spoken_phones(const struct pz_slot_work *w, struct pz_pron *pron)
{
    const struct pz_dub *d = &w->dub;
    for (const char *c = w->value; *c; c++)
        if ((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9'))
            return false;
    *pron = (struct pz_pron){0};
    for (int i = 0; i < d->phones.n && pron->n < PZ_PRON_MAX; i++) {
        const struct pz_phone *p = &d->phones.items[i];
        int64_t mid = (p->start + p->end) / 2;
        if (mid >= d->word_start && mid < d->word_end && p->id != PZ_PH_SIL)
            pron->phones[pron->n++] = (uint8_t)p->id;
    }
    return pron->n > 0;
}

static void listen(struct pz_render_readback *r)
{
    struct pz_render *x = r->x;
    struct pz_tap out = {.user = r,
                         .rate = r->sound.tap.rate,
                         .channels = r->sound.tap.channels,
                         .n = x->timeline.out_len,
                         .read = out_read};
    struct pz_rational film = {1, x->timeline.rate}, ear = {1, PZ_SPEECH_RATE};
    if (pz_pool_threads(x->p->job.pool) > 1)
        r->job.pool = pz_pool_create(2); /* NULL does too; the pipeline's own belongs to the pictures */
    for (int k = 0; k < x->n_works && r->st >= PZ_OK; k++) {
        struct pz_slot_work *w = &x->works[k];
        if (w->kept)
            continue;
        struct pz_pron said = w->pron;
        bool given = w->pron.n > 0 || spoken_phones(w, &said);
        int64_t at = w->out_a + w->dub.plan.word_at;
        r->st = pz_speech_readback(x->p->ears, &out, pz_rescale(at, film, ear),
                                   pz_rescale(at + w->dub.plan.word_n, film, ear), w->value,
                                   given ? &said : NULL, w->slot->spoken, &r->job, &r->results[k]);
    }
    pz_pool_destroy(&r->job.pool);
}

static void *work(void *v)
{
    struct pz_render_readback *r = v;
    pz_ears_warm(r->x->p->ears);
    pthread_mutex_lock(&r->lock);
    while (r->order == WAIT)
        pthread_cond_wait(&r->ordered, &r->lock);
    enum order order = r->order;
    pthread_mutex_unlock(&r->lock);
    if (order == LISTEN)
        listen(r);
    return NULL;
}

static void tell(struct pz_render_readback *r, enum order order)
{
    pthread_mutex_lock(&r->lock);
    if (r->order == WAIT)
        r->order = order;
    pthread_cond_signal(&r->ordered);
    pthread_mutex_unlock(&r->lock);
}

bool pz_render_readback_early(const struct pz_render *x)
{
    return pz_pool_threads(x->p->job.pool) >= SPARE;
}

static void free_readback(struct pz_render_readback *r)
{
    pthread_mutex_destroy(&r->lock);
    pthread_cond_destroy(&r->ordered);
    pz_film_sound_close(&r->sound);
    pz_free(r->results);
    pz_free(r);
}

enum pz_status pz_render_readback_open(struct pz_render *x, struct pz_render_readback **out)
{
    enum pz_status st = PZ_OK;
    struct pz_ears *ears;
    *out = NULL;
    if (x->r->n_given > 0)
        return PZ_OK; /* sound alone has no words that were asked for */
    PZ_TRY(pz_pipeline_ears(x->p, &ears));
    struct pz_render_readback *r = pz_calloc(1, sizeof *r);
    if (!r)
        return pz_fail(x->p->job.log, PZ_ERR_NOMEM, "no memory to listen to the result");
    r->x = x;
    r->job = x->p->job;
    r->job.progress = NULL;
    r->job.pool = NULL;
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->ordered, NULL);
    if (pthread_create(&r->thread, NULL, work, r) != 0) {
        free_readback(r);
        return pz_fail(x->p->job.log, PZ_ERR_DEVICE, "no thread to listen to the result");
    }
    *out = r;
fail:
    return st;
}

enum pz_status pz_render_readback_start(struct pz_render_readback *r)
{
    enum pz_status st = PZ_OK;
    if (!r)
        return PZ_OK;
    struct pz_render *x = r->x;
    r->results = pz_calloc((size_t)x->n_works + 1, sizeof *r->results);
    if (!r->results)
        return pz_fail(x->p->job.log, PZ_ERR_NOMEM, "no memory to listen to the result");
    PZ_TRY(pz_film_sound_open(x->t->film_path, 0, 0, x->t->info->n_samples, &r->job, &r->sound));
    tell(r, LISTEN);
fail:
    return st;
}

enum pz_status pz_render_readback_join(struct pz_render_readback **readback)
{
    struct pz_render_readback *r = *readback;
    if (!r)
        return PZ_OK;
    *readback = NULL;
    tell(r, LEAVE); /* when it was never started */
    pthread_join(r->thread, NULL);
    enum pz_status st = r->st;
    struct pz_render *x = r->x;
    for (int k = 0; st >= PZ_OK && r->order == LISTEN && k < x->n_works; k++) {
        if (x->works[k].kept)
            continue;
        pz_qc_readback(x->qc, r->results[k].text, r->results[k].score);
        if (r->results[k].score < PZ_READBACK_REVIEW)
            pz_render_warn(
                x,
                "slot '%s': the recogniser does not hear the new word clearly (score %.2f); listen to "
                "it (review), or help with --say",
                x->works[k].name, (double)r->results[k].score);
    }
    free_readback(r);
    return st;
}
