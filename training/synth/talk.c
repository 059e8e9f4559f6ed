/* Makes talking sequences. Does: choose who says what and how they move, one clip a thread, frames in order.
 * Does not: the mouth itself (viseme.c, behave.c) or the drawing (quick_render.c). */
#include "talk.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "behave.h"
#include "faces.h"
#include "png.h"
#include "points.h"
#include "quick_render.h"
#include "shard.h"

struct talk_job {
    struct pz_log *log;
    const struct pz_talk_options *o;
    const struct pz_q_head *head;
    const struct pz_syn_bank *bank;
    struct pz_q_work *work;
    struct pz_shard *shard; /**< [threads] */
    enum pz_status *status; /**< [clips] */
};

/** Where and how a clip happens. */
struct setting {
    int entry, first; /**< of the speech; first frame from its start */
    float yaw, pitch, roll, swing;
    struct pz_syn_manner manner;
};

/** Looks of stills, less what a talking film would not have: things before the mouth, extreme light. */
static void calm(struct pz_q_look *l, struct pz_rng *r)
{
    if (l->block != PZ_Q_MIC_BOOM)
        l->block = PZ_Q_NOTHING;
    l->exposure = pz_clampf(l->exposure, .28f, .78f);
    if (l->saturation == 0.f)
        l->saturation = 1.f;
    l->side = pz_q_uni(r, 21.f, 27.f);
    l->dist = fmaxf(l->dist, 45.f);
    l->cx = .5f + .02f * pz_rng_normal(r);
    l->cy = .5f + .02f * pz_rng_normal(r);
    l->px = .5f + .25f * pz_rng_normal(r) * l->side / l->dist;
    l->py = .5f + .25f * pz_rng_normal(r) * l->side / l->dist;
    if (l->glasses == 3)
        l->glasses = 0;
}

static void choose(const struct talk_job *j, int clip, struct setting *s, struct pz_rng *r)
{
    const struct pz_syn_bank *b = j->bank;
    pz_rng_init(r, j->o->seed, 0x7a1c000000000000u + (uint64_t)clip);
    s->entry = (int)pz_rng_below(r, (uint32_t)b->n);
    float end = b->phone_end[b->phone_offset[s->entry + 1] - 1];
    int n = (int)(end * j->o->fps), spare = n - j->o->frames;
    s->first = spare > 0 ? (int)pz_rng_below(r, (uint32_t)spare + 1u) : 0;
    s->yaw = pz_clampf(.16f * pz_rng_normal(r), -.5f, .5f);
    s->pitch = pz_clampf(.08f * pz_rng_normal(r), -.22f, .22f);
    s->roll = pz_clampf(.05f * pz_rng_normal(r), -.14f, .14f);
    s->swing = pz_q_uni(r, .4f, 1.8f);
    s->manner.style = pz_q_uni(r, .7f, 2.3f);
    s->manner.smile = pz_q_chance(r, .5f) ? pz_q_uni(r, -.1f, .05f) : pz_q_uni(r, 0.f, .22f);
    s->manner.lids = pz_q_uni(r, -.05f, .15f);
}

static void to_state(const struct setting *s, const struct pz_syn_state *in, struct pz_q_state *o)
{
    memset(o, 0, sizeof *o);
    o->face = in->face;
    o->yaw = s->yaw + s->swing * in->yaw;
    o->pitch = s->pitch + s->swing * in->pitch;
    o->roll = s->roll + s->swing * in->roll;
    o->body_yaw = .7f * s->yaw;
    o->body_pitch = .5f * s->pitch;
    o->body_roll = .3f * s->roll;
    o->shift = v3_scale(in->shift, s->swing);
    o->breath = in->breath;
    o->steady = 1;
    o->aim_yaw = s->yaw;
    o->aim_pitch = s->pitch;
    o->aim_roll = s->roll;
}

/** Person, look and all states of a clip. states [first + frames] is the caller's to free. */
static struct pz_syn_state *stage(const struct talk_job *j, struct pz_q_work *w, int clip, struct setting *s)
{
    struct pz_rng r;
    choose(j, clip, s, &r);
    pz_q_work_person(w, j->o->seed, 0x40000000u + (uint64_t)clip);
    pz_q_look_draw(&w->look, &w->person, 0, 1.f);
    calm(&w->look, &r);
    pz_q_work_paint(w);
    struct pz_syn_speech *sp = pz_calloc(1, sizeof *sp);
    int n = s->first + j->o->frames;
    struct pz_syn_state *st = pz_calloc((size_t)n, sizeof *st);
    if (sp && st) {
        pz_syn_bank_speech(j->bank, s->entry, sp);
        if (pz_syn_behave(j->log, &w->rig, sp, &s->manner, j->o->seed, (uint64_t)clip, j->o->fps, n, st) <
            PZ_OK) {
            pz_free(st);
            st = NULL;
        }
    } else {
        pz_free(st);
        st = NULL;
    }
    pz_free(sp);
    return st;
}

static enum pz_status one_clip(struct talk_job *j, int clip, struct pz_q_work *w, struct pz_shard *sh)
{
    const struct pz_talk_options *o = j->o;
    struct pz_shard_field f[PZ_SHARD_MAX];
    /* Readers want every tensor aligned to its element: the widest goes first. */
    f[0] = (struct pz_shard_field){.name = "start", .dtype = "F64", .rank = 1, .shape = {1}, .single = 1};
    int n_field = 1 + pz_faces_fields(f + 1, o->size, 1);
    f[n_field++] =
        (struct pz_shard_field){.name = "speech", .dtype = "I32", .rank = 1, .shape = {1}, .single = 1};
    f[n_field++] =
        (struct pz_shard_field){.name = "fps", .dtype = "F32", .rank = 1, .shape = {1}, .single = 1};
    char name[64], about[128];
    snprintf(name, sizeof name, "talk-%05d.safetensors", clip);
    snprintf(about, sizeof about, "a synthetic person talks, seed %llu, clip %d", o->seed, clip);
    struct setting s;
    char *path = pz_path_join(o->out, name);
    struct pz_syn_state *st = path ? stage(j, w, clip, &s) : NULL;
    enum pz_status r = st ? pz_shard_open(j->log, path, f, n_field, o->frames, about, sh)
                          : pz_fail(j->log, PZ_ERR_NOMEM, "talk: out of memory");
    for (int i = 0; r >= PZ_OK && i < o->frames; i++) {
        struct pz_q_label l;
        struct pz_q_state q;
        int32_t person = clip, frame = i;
        pz_faces_label(sh, i, &l);
        to_state(&s, &st[s.first + i], &q);
        pz_q_work_render(w, &q, (uint64_t)i, pz_shard_at(sh, "image", i), &l);
        memcpy(pz_shard_at(sh, "person", i), &person, 4);
        memcpy(pz_shard_at(sh, "frame", i), &frame, 4);
    }
    if (r >= PZ_OK) {
        int32_t e = s.entry;
        double start = (double)s.first / (double)o->fps;
        memcpy(pz_shard_at(sh, "speech", 0), &e, 4);
        memcpy(pz_shard_at(sh, "start", 0), &start, 8);
        memcpy(pz_shard_at(sh, "fps", 0), &o->fps, 4);
        r = pz_shard_commit(j->log, NULL, sh);
    }
    pz_free(st);
    pz_free(path);
    return r;
}

static void clip_task(void *user, int index, int worker)
{
    struct talk_job *j = user;
    j->status[index] = one_clip(j, j->o->first_clip + index, &j->work[worker], &j->shard[worker]);
}

enum pz_status pz_talk_make(struct pz_log *log, struct pz_pool *pool, const struct pz_q_head *h,
                            const struct pz_syn_bank *b, const struct pz_talk_options *o, double *seconds)
{
    enum pz_status st = PZ_OK;
    int n = pz_pool_threads(pool);
    struct talk_job j = {.log = log, .o = o, .head = h, .bank = b};
    if (o->clips < 1 || o->frames < 1 || o->frames > 10000 || o->first_clip < 0 ||
        !(o->fps > 1.f && o->fps < 240.f))
        return pz_fail(log, PZ_ERR_USAGE, "talk: clips, frames and fps must be positive");
    PZ_TRY(pz_make_dirs(log, o->out));
    j.work = pz_calloc((size_t)n, sizeof *j.work);
    j.shard = pz_calloc((size_t)n, sizeof *j.shard);
    j.status = pz_calloc((size_t)o->clips, sizeof *j.status);
    if (!j.work || !j.shard || !j.status)
        PZ_TRY(pz_fail(log, PZ_ERR_NOMEM, "talk: out of memory"));
    for (int i = 0; i < n; i++)
        PZ_TRY(pz_q_work_open(log, h, o->size, &j.work[i]));
    double t0 = pz_now();
    pz_pool_run(pool, clip_task, &j, o->clips);
    *seconds = pz_now() - t0;
    for (int i = 0; i < o->clips; i++)
        PZ_TRY(j.status[i]);
fail:
    for (int i = 0; j.work && i < n; i++)
        pz_q_work_close(&j.work[i]);
    for (int i = 0; j.shard && i < n; i++)
        pz_shard_close(&j.shard[i]);
    pz_free(j.shard);
    pz_free(j.work);
    pz_free(j.status);
    return st;
}

enum pz_status pz_talk_sheet(struct pz_log *log, const struct pz_q_head *h, const struct pz_syn_bank *b,
                             const struct pz_talk_options *o, int columns, int step, const char *png)
{
    enum pz_status st = PZ_OK;
    struct pz_q_work w = {0};
    struct talk_job j = {.log = log, .o = o, .head = h, .bank = b, .work = &w};
    size_t S = (size_t)o->size, row = S * 3, all = row * (size_t)columns;
    uint8_t *sheet = pz_calloc(all * S, (size_t)o->clips), *rgb = pz_calloc(S * S, 3);
    if (!sheet || !rgb)
        PZ_TRY(pz_fail(log, PZ_ERR_NOMEM, "talk: out of memory"));
    PZ_TRY(pz_q_work_open(log, h, o->size, &w));
    for (int c = 0; c < o->clips; c++) {
        struct setting s;
        struct pz_syn_state *states = stage(&j, &w, o->first_clip + c, &s);
        if (!states)
            PZ_TRY(pz_fail(log, PZ_ERR_NOMEM, "talk: out of memory"));
        for (int k = 0; k < columns && k * step < o->frames; k++) {
            struct pz_q_state q;
            to_state(&s, &states[s.first + k * step], &q);
            pz_q_work_render(&w, &q, (uint64_t)(k * step), rgb, NULL);
            for (size_t y = 0; y < S; y++)
                memcpy(sheet + ((size_t)c * S + y) * all + (size_t)k * row, rgb + y * row, row);
        }
        pz_free(states);
    }
    PZ_TRY(pz_syn_png_write(log, png, sheet, columns * o->size, o->clips * o->size));
fail:
    pz_q_work_close(&w);
    pz_free(sheet);
    pz_free(rgb);
    return st;
}
