// Cutting a film and its sound into SyncNet's windows. The network and the score are nn/syncnet.c.
#include "lipsync/lse.h"

#include <math.h>
#include <string.h>

#include "audio/features.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/pool.h"
#include "image/warp.h"
#include "tensor/plan.h"
#include "tensor/profile.h"

#define SIDE PZ_SYNCNET_SIDE
#define PIXELS ((size_t)SIDE * SIDE)
#define FRAMES PZ_SYNCNET_FRAMES
#define RATE 25
#define GREY (110 / 255.0f)

struct pz_lse_model {
    struct pz_plan *audio, *lip;
};

struct pz_lse {
    const struct pz_lse_model *m;
    struct pz_pool *pool;
    struct pz_session *audio, *lip;
    float *mfcc; /* [n_mfcc][13] */
    int64_t n_mfcc;
    float *ring; /* [FRAMES][PIXELS][3] blue, green, red, 0…255; sample k lies at k % FRAMES */
    struct pz_rgb crop;
    struct pz_affine before; /* crop of the picture before */
    bool have;
    double last;          /* time of the last picture */
    int64_t next;         /* next twenty-fifth to be filled */
    int64_t run;          /* the first of this run */
    float *lips, *sounds; /* [n][PZ_SYNCNET_WIDTH] */
    int n, cap;
};

char *pz_lse_find(const char *models_dir)
{
    static const char *const names[] = {"syncnet/syncnet_v2.model", "syncnet_v2.model"};
    for (size_t i = 0; models_dir && i < sizeof names / sizeof names[0]; i++) {
        char *path = pz_path_join(models_dir, names[i]);
        if (path && pz_file_exists(path))
            return path;
        pz_free(path);
    }
    return NULL;
}

static int build(struct pz_params *p, bool lip)
{
    struct pz_graph *g = pz_params_graph(p);
    struct pz_shape mfcc = {.rank = 4, .dim = {1, PZ_MFCC_COEFFS, PZ_SYNCNET_COLUMNS, 1}};
    struct pz_shape frames = {.rank = 4, .dim = {1, SIDE, SIDE, 3 * FRAMES}};
    return lip ? pz_syncnet_lip(p, &pz_syncnet_published, pz_graph_input(g, "x", frames))
               : pz_syncnet_audio(p, &pz_syncnet_published, pz_graph_input(g, "x", mfcc));
}

/* One branch bound to a file; `plan` NULL: check only, both branches. */
static enum pz_status bind(const struct pz_checkpoint *c, const char *path, bool lip,
                           const struct pz_job *job, struct pz_plan **plan)
{
    enum pz_status st = PZ_OK;
    struct pz_log *log = job ? job->log : NULL;
    struct pz_params_options o = {.checkpoint = c, .file = path};
    if (plan)
        o.ignore = lip ? pz_syncnet_audio_names : pz_syncnet_lip_names;
    struct pz_graph *g = pz_graph_create(log);
    struct pz_params *p = g ? pz_params_create(g, &o, log) : NULL;
    if (!p) {
        st = pz_fail(log, PZ_ERR_NOMEM, "no memory for a network");
        goto fail;
    }
    if (!plan)
        pz_graph_output(g, "other", build(p, !lip));
    pz_graph_output(g, "y", build(p, lip));
    PZ_TRY(pz_params_finish(p));
    if (plan) {
        struct pz_plan_params pp = pz_plan_default;
        pp.threads = job && job->pool ? pz_pool_threads(job->pool) : 1;
        PZ_TRY(pz_plan_create(&g, &pp, log, plan));
    }
fail:
    pz_params_destroy(&p);
    pz_graph_destroy(&g);
    return st;
}

enum pz_status pz_lse_verify(const char *path, const struct pz_job *job)
{
    struct pz_checkpoint *c;
    enum pz_status st = pz_checkpoint_open(path, job, &c);
    if (st >= PZ_OK)
        st = bind(c, path, true, job, NULL);
    pz_checkpoint_close(&c);
    return st;
}

enum pz_status pz_lse_open(const char *path, const struct pz_job *job, struct pz_lse_model **out)
{
    enum pz_status st = PZ_OK;
    struct pz_checkpoint *c = NULL;
    struct pz_lse_model *m = pz_calloc(1, sizeof *m);
    *out = NULL;
    if (!m)
        return pz_fail(job->log, PZ_ERR_NOMEM, "no memory for a network");
    PZ_TRY(pz_checkpoint_open(path, job, &c));
    PZ_TRY(bind(c, path, false, job, &m->audio));
    PZ_TRY(bind(c, path, true, job, &m->lip));
    pz_checkpoint_close(&c);
    *out = m;
    return PZ_OK;
fail:
    pz_checkpoint_close(&c);
    pz_lse_close(&m);
    return st;
}

void pz_lse_close(struct pz_lse_model **m)
{
    if (!*m)
        return;
    pz_plan_destroy(&(*m)->audio);
    pz_plan_destroy(&(*m)->lip);
    pz_free(*m);
    *m = NULL;
}

static enum pz_status hear(struct pz_lse *l, const float *speech, int64_t n, struct pz_log *log)
{
    struct pz_mfcc *front = NULL;
    l->n_mfcc = pz_mfcc_frames(n);
    l->mfcc = pz_calloc((size_t)l->n_mfcc, PZ_MFCC_COEFFS * sizeof *l->mfcc);
    if (!l->mfcc || pz_mfcc_create(log, &front) < PZ_OK)
        return PZ_ERR_NOMEM;
    pz_mfcc_run(front, speech, n, 0, l->n_mfcc, l->mfcc);
    pz_mfcc_destroy(&front);
    return PZ_OK;
}

enum pz_status pz_lse_create(const struct pz_lse_model *m, const float *speech, int64_t n_speech,
                             const struct pz_job *job, struct pz_lse **out)
{
    enum pz_status st = PZ_ERR_NOMEM;
    struct pz_lse *l = pz_calloc(1, sizeof *l);
    *out = NULL;
    if (!l)
        goto fail;
    l->m = m;
    l->pool = job->pool;
    l->ring = pz_calloc(FRAMES * PIXELS, 3 * sizeof *l->ring);
    if (!l->ring || pz_rgb_alloc(&l->crop, SIDE, SIDE) < PZ_OK)
        goto fail;
    PZ_TRY(hear(l, speech, n_speech, job->log));
    PZ_TRY(pz_session_create(m->audio, job->log, &l->audio));
    PZ_TRY(pz_session_create(m->lip, job->log, &l->lip));
    PZ_TRY(pz_session_profile(l->audio, job->profile, "syncnet sound"));
    PZ_TRY(pz_session_profile(l->lip, job->profile, "syncnet lips"));
    *out = l;
    return PZ_OK;
fail:
    pz_lse_destroy(&l);
    return pz_fail(job->log, st, "no memory to compare lips and sound");
}

void pz_lse_destroy(struct pz_lse **lp)
{
    struct pz_lse *l = *lp;
    if (!l)
        return;
    pz_session_destroy(&l->audio);
    pz_session_destroy(&l->lip);
    pz_rgb_free(&l->crop);
    pz_free(l->mfcc);
    pz_free(l->ring);
    pz_free(l->lips);
    pz_free(l->sounds);
    pz_free(l);
    *lp = NULL;
}

/* Frame px of a crop px, calmed by the one before. */
static struct pz_affine crop_of(struct pz_lse *l, const struct pz_face *f, bool calm)
{
    float w = f->box[2] - f->box[0], h = f->box[3] - f->box[1], s = fmaxf(w, h) / 2;
    float cx = (f->box[0] + f->box[2]) / 2, cy = (f->box[1] + f->box[3]) / 2, scale = 2.8f * s / SIDE;
    struct pz_affine now = {scale, 0, cx - 1.4f * s, 0, scale, cy - s};
    const float keep = 0.8f;
    if (calm) {
        now.a = now.e = keep * l->before.a + (1 - keep) * now.a;
        now.c = keep * l->before.c + (1 - keep) * now.c;
        now.f = keep * l->before.f + (1 - keep) * now.f;
    }
    l->before = now;
    return now;
}

/* The picture's crop with grey where the frame ends, into l->crop. */
static void cut(struct pz_lse *l, const struct pz_picture *p, const struct pz_affine *m)
{
    pz_warp_picture_to_rgb(p, m, PZ_FILTER_BILINEAR, PZ_BORDER_REPLICATE, &l->crop);
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++) {
            float fx = m->a * ((float)x + 0.5f) + m->c, fy = m->e * ((float)y + 0.5f) + m->f;
            if (fx >= 0 && fy >= 0 && fx < (float)p->width && fy < (float)p->height)
                continue;
            for (size_t k = 0; k < 3; k++)
                l->crop.data[k * PIXELS + (size_t)y * SIDE + (size_t)x] = GREY;
        }
}

static void keep_sample(struct pz_lse *l, int64_t k)
{
    float *to = l->ring + (size_t)(k % FRAMES) * PIXELS * 3;
    for (size_t i = 0; i < PIXELS; i++)
        for (size_t c = 0; c < 3; c++)
            to[i * 3 + c] = rintf(fminf(fmaxf(l->crop.data[(2 - c) * PIXELS + i], 0), 1) * 255);
}

static bool reserve(struct pz_lse *l)
{
    if (l->n < l->cap)
        return true;
    int cap = l->cap ? 2 * l->cap : 64;
    size_t row = PZ_SYNCNET_WIDTH * sizeof *l->lips;
    float *a = pz_regrow(l->lips, (size_t)l->n, (size_t)cap, row);
    if (!a)
        return false;
    l->lips = a;
    a = pz_regrow(l->sounds, (size_t)l->n, (size_t)cap, row);
    if (!a)
        return false;
    l->sounds = a;
    l->cap = cap;
    return true;
}

/* The window of the last five samples, the first of which is `first`; none where the sound has ended. */
static enum pz_status window(struct pz_lse *l, int64_t first)
{
    int64_t column = first * 4;
    if (column < 0 || column + PZ_SYNCNET_COLUMNS > l->n_mfcc)
        return PZ_OK;
    if (!reserve(l))
        return PZ_ERR_NOMEM;
    float *x = pz_session_input(l->audio, "x", 0).data, *y = pz_session_input(l->lip, "x", 0).data;
    for (int c = 0; c < PZ_MFCC_COEFFS; c++)
        for (int t = 0; t < PZ_SYNCNET_COLUMNS; t++)
            x[c * PZ_SYNCNET_COLUMNS + t] = l->mfcc[(column + t) * PZ_MFCC_COEFFS + c];
    for (size_t d = 0; d < FRAMES; d++) {
        const float *from = l->ring + (size_t)((first + (int64_t)d) % FRAMES) * PIXELS * 3;
        for (size_t i = 0; i < PIXELS; i++)
            memcpy(y + i * 3 * FRAMES + d * 3, from + i * 3, 3 * sizeof *y);
    }
    enum pz_status st = pz_session_run(l->audio, l->pool);
    if (st >= PZ_OK)
        st = pz_session_run(l->lip, l->pool);
    if (st < PZ_OK)
        return st;
    size_t row = PZ_SYNCNET_WIDTH;
    memcpy(l->sounds + (size_t)l->n * row, pz_session_output(l->audio, "y", 0).data, row * sizeof *l->sounds);
    memcpy(l->lips + (size_t)l->n * row, pz_session_output(l->lip, "y", 0).data, row * sizeof *l->lips);
    l->n++;
    return PZ_OK;
}

enum pz_status pz_lse_push(struct pz_lse *l, double seconds, const struct pz_picture *picture,
                           const struct pz_face *face)
{
    enum pz_status st = PZ_OK;
    bool gap = !l->have || seconds - l->last > 0.2;
    // Twenty-fifths nearer to the picture before than to this one still show that one: it lies in l->crop.
    while (!gap && st >= PZ_OK && (double)l->next / RATE < (l->last + seconds) / 2) {
        keep_sample(l, l->next++);
        if (l->next - l->run >= FRAMES)
            st = window(l, l->next - FRAMES);
    }
    if (gap)
        l->run = l->next = (int64_t)ceil(fmax(seconds, 0) * RATE - 1e-6);
    struct pz_affine m = crop_of(l, face, !gap);
    cut(l, picture, &m);
    l->last = seconds;
    l->have = true;
    return st;
}

bool pz_lse_score(struct pz_lse *l, struct pz_syncnet_score *score)
{
    *score = (struct pz_syncnet_score){0};
    if (l->n < 1)
        return false;
    pz_syncnet_score(l->lips, l->sounds, l->n, PZ_SYNCNET_WIDTH, score);
    return true;
}
