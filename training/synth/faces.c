/* Makes shards of stills. Does: share people among threads, one person and all its looks on one thread; write
 * records in place. Does not: draw (quick_render.c). */
#include "faces.h"

#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "png.h"
#include "points.h"
#include "quick_render.h"
#include "shard.h"

enum { SLOTS = 3 };

/** A shard while it is filled. */
struct slot {
    struct pz_shard shard;
    int number;     /**< of the shard it holds, −1: free */
    int left;       /**< people still to be drawn */
    uint64_t first; /**< number of the shard's first picture */
};

struct job {
    struct pz_log *log;
    const struct pz_faces_options *o;
    const struct pz_q_head *head;
    struct pz_q_work *work; /**< [threads] */
    pthread_mutex_t lock;   /**< guards slots and status; taken twice a person */
    pthread_cond_t freed;
    struct slot slot[SLOTS];
    enum pz_status status;
    int people; /**< of a shard */
    uint8_t *sheet;
    int columns, n;
};

static enum pz_status open_works(struct pz_log *log, struct pz_pool *pool, struct job *j)
{
    int n = pz_pool_threads(pool);
    j->work = pz_calloc((size_t)n, sizeof *j->work);
    if (!j->work)
        return pz_fail(log, PZ_ERR_NOMEM, "faces: out of memory");
    for (int i = 0; i < n; i++) {
        enum pz_status st = pz_q_work_open(log, j->head, j->o->size, &j->work[i]);
        if (st < PZ_OK)
            return st;
    }
    return PZ_OK;
}

static void close_works(struct pz_pool *pool, struct job *j)
{
    for (int i = 0; j->work && i < pz_pool_threads(pool); i++)
        pz_q_work_close(&j->work[i]);
    pz_free(j->work);
}

/** Picture `g` of the stream: its person is g / looks. A work that holds the person already keeps it. */
static void draw(struct pz_q_work *w, const struct pz_faces_options *o, uint64_t g, uint8_t *rgb,
                 const struct pz_q_label *label)
{
    uint64_t person = g / (uint64_t)o->looks, n = g % (uint64_t)o->looks;
    struct pz_q_state st;
    int kind;
    if (!w->rig.base || w->person.id != person || w->person.seed != o->seed)
        pz_q_work_person(w, o->seed, person);
    pz_q_work_look(w, n, o->margin);
    pz_q_state_draw(&st, &w->person, &w->rig, n, &kind);
    pz_q_work_render(w, &st, n, rgb, label);
}

int pz_faces_fields(struct pz_shard_field *f, int size, int heads)
{
    const int64_t S = size, L = PZ_SYN_N_MARKS;
    const struct pz_shard_field k[] = {
        {.name = "image", .dtype = "U8", .rank = 3, .shape = {S, S, 3}},
        {.name = "landmarks", .dtype = "F32", .rank = 2, .shape = {L, 3}},
        {.name = "visible", .dtype = "U8", .rank = 1, .shape = {L}},
        {.name = "pose", .dtype = "F32", .rank = 1, .shape = {7}},
        {.name = "weights", .dtype = "F32", .rank = 1, .shape = {PZ_Q_N_WEIGHT}},
        {.name = "gap", .dtype = "F32", .rank = 0},
        {.name = "gaze", .dtype = "F32", .rank = 1, .shape = {4}},
        {.name = "focal", .dtype = "F32", .rank = 0},
        {.name = "centre", .dtype = "F32", .rank = 1, .shape = {2}},
        {.name = "box", .dtype = "F32", .rank = 1, .shape = {4}},
        {.name = "parts", .dtype = "U8", .rank = 2, .shape = {S / 2, S / 2}},
        {.name = "depth", .dtype = "F16", .rank = 2, .shape = {S / 4, S / 4}},
        {.name = "attributes", .dtype = "U8", .rank = 1, .shape = {PZ_Q_N_ATTRIBUTE}},
        {.name = "person", .dtype = "I32", .rank = 0},
        {.name = "frame", .dtype = "I32", .rank = 0},
    };
    memcpy(f, k, sizeof k);
    int n = (int)(sizeof k / sizeof *k);
    static const char *const each = " landmarks visible pose weights gap gaze focal centre box attributes ";
    for (int i = 0; heads > 1 && i < n; i++) {
        char word[24];
        snprintf(word, sizeof word, " %s ", f[i].name);
        if (!strstr(each, word))
            continue;
        memmove(f[i].shape + 1, f[i].shape, (size_t)f[i].rank * sizeof f[i].shape[0]);
        f[i].shape[0] = heads;
        f[i].rank++;
    }
    if (heads > 1)
        f[n++] = (struct pz_shard_field){.name = "count", .dtype = "I32", .rank = 0};
    return n;
}

void pz_faces_label(const struct pz_shard *s, int i, struct pz_q_label *l)
{
    *l = (struct pz_q_label){
        .landmark = pz_shard_at(s, "landmarks", i),
        .visible = pz_shard_at(s, "visible", i),
        .pose = pz_shard_at(s, "pose", i),
        .weights = pz_shard_at(s, "weights", i),
        .gap = pz_shard_at(s, "gap", i),
        .gaze = pz_shard_at(s, "gaze", i),
        .focal = pz_shard_at(s, "focal", i),
        .centre = pz_shard_at(s, "centre", i),
        .box = pz_shard_at(s, "box", i),
        .parts = pz_shard_at(s, "parts", i),
        .depth = pz_shard_at(s, "depth", i),
        .attribute = pz_shard_at(s, "attributes", i),
    };
}

/** Places of head k of a scene's record. */
static void scene_label(const struct pz_shard *s, int i, int k, struct pz_q_label *l)
{
    pz_faces_label(s, i, l);
    l->landmark += k * PZ_SYN_N_MARKS;
    l->visible += k * PZ_SYN_N_MARKS;
    l->pose += 7 * k;
    l->weights += PZ_Q_N_WEIGHT * k;
    l->gap += k;
    l->gaze += 4 * k;
    l->focal += k;
    l->centre += 2 * k;
    l->box += 4 * k;
    l->attribute += PZ_Q_N_ATTRIBUTE * k;
}

static void draw_scene(struct pz_q_work *w, const struct pz_faces_options *o, const struct slot *slot, int i)
{
    const struct pz_shard *s = &slot->shard;
    struct pz_q_label l[PZ_Q_HEADS];
    uint64_t g = slot->first + (uint64_t)i;
    for (int k = 0; k < s->n_field; k++)
        memset(pz_shard_at(s, s->field[k].name, i), 0, s->field[k].n_bytes);
    for (int k = 0; k < PZ_Q_HEADS; k++)
        scene_label(s, i, k, &l[k]);
    int32_t n = pz_q_work_scene(w, o->seed, g, pz_shard_at(s, "image", i), l), id = (int32_t)g;
    memcpy(pz_shard_at(s, "count", i), &n, 4);
    memcpy(pz_shard_at(s, "person", i), &id, 4);
    memset(pz_shard_at(s, "frame", i), 0, 4);
}

/** Begin a shard in a free slot. Under the lock. */
static enum pz_status fill_slot(struct job *j, struct slot *s, int number)
{
    const struct pz_faces_options *o = j->o;
    struct pz_shard_field f[PZ_SHARD_MAX];
    int n_field = pz_faces_fields(f, o->size, o->scene ? PZ_Q_HEADS : 1);
    char name[64], about[160];
    snprintf(name, sizeof name, o->scene ? "scenes-%05d.safetensors" : "faces-%05d.safetensors", number);
    snprintf(about, sizeof about, "synthetic people, seed %llu, shard %d", o->seed, number);
    char *path = pz_path_join(o->out, name);
    if (!path)
        return pz_fail(j->log, PZ_ERR_NOMEM, "faces: out of memory");
    enum pz_status st = pz_shard_open(j->log, path, f, n_field, o->records, about, &s->shard);
    pz_free(path);
    s->number = st < PZ_OK ? -1 : number;
    s->left = j->people;
    s->first = (uint64_t)number * (uint64_t)j->people * (uint64_t)o->looks;
    return st;
}

/** The slot of a shard, NULL after an error. Tasks are handed out in order, so those a slot waits for are
 * being drawn by others. */
static struct slot *take_slot(struct job *j, int number)
{
    struct slot *s = &j->slot[number % SLOTS];
    pthread_mutex_lock(&j->lock);
    while (j->status >= PZ_OK && s->number != number && s->number != -1)
        pthread_cond_wait(&j->freed, &j->lock);
    if (j->status >= PZ_OK && s->number == -1)
        j->status = fill_slot(j, s, number);
    if (j->status < PZ_OK)
        pthread_cond_broadcast(&j->freed);
    enum pz_status st = j->status;
    pthread_mutex_unlock(&j->lock);
    return st < PZ_OK ? NULL : s;
}

/** The last one to leave a shard writes it, while others draw the next. */
static void leave_slot(struct job *j, struct slot *s)
{
    pthread_mutex_lock(&j->lock);
    int last = --s->left == 0;
    pthread_mutex_unlock(&j->lock);
    if (!last)
        return;
    enum pz_status st = pz_shard_commit(j->log, NULL, &s->shard);
    pthread_mutex_lock(&j->lock);
    s->number = -1;
    j->status = st < PZ_OK ? st : j->status;
    pthread_cond_broadcast(&j->freed);
    pthread_mutex_unlock(&j->lock);
}

/** One person in all their looks. */
static void draw_records(void *user, int index, int worker)
{
    struct job *j = user;
    const struct pz_faces_options *o = j->o;
    struct slot *slot = take_slot(j, o->first_shard + index / j->people);
    if (!slot)
        return;
    int from = index % j->people * o->looks;
    for (int i = from; i < from + o->looks && i < o->records; i++) {
        const struct pz_shard *s = &slot->shard;
        struct pz_q_label l;
        if (o->scene) {
            draw_scene(&j->work[worker], o, slot, i);
            continue;
        }
        pz_faces_label(s, i, &l);
        uint64_t g = slot->first + (uint64_t)i;
        draw(&j->work[worker], o, g, pz_shard_at(s, "image", i), &l);
        int32_t id = (int32_t)(g / (uint64_t)o->looks), n = (int32_t)(g % (uint64_t)o->looks);
        memcpy(pz_shard_at(s, "person", i), &id, 4);
        memcpy(pz_shard_at(s, "frame", i), &n, 4);
    }
    leave_slot(j, slot);
}

enum pz_status pz_faces_make(struct pz_log *log, struct pz_pool *pool, const struct pz_q_head *h,
                             const struct pz_faces_options *o, double *seconds)
{
    struct job j = {.log = log, .o = o, .head = h};
    enum pz_status st = PZ_OK;
    if (o->shards < 1 || o->records < 1 || o->records > 1000000 || o->looks < 1 || o->first_shard < 0)
        return pz_fail(log, PZ_ERR_USAGE, "faces: shards, records and looks must be at least 1");
    j.people = (o->records + o->looks - 1) / o->looks;
    if (o->shards > INT_MAX / j.people || o->first_shard > INT_MAX - o->shards)
        return pz_fail(log, PZ_ERR_USAGE, "faces: too many shards");
    for (int i = 0; i < SLOTS; i++)
        j.slot[i].number = -1;
    if (pthread_mutex_init(&j.lock, NULL))
        return pz_fail(log, PZ_ERR_NOMEM, "faces: no lock");
    if (pthread_cond_init(&j.freed, NULL)) {
        pthread_mutex_destroy(&j.lock);
        return pz_fail(log, PZ_ERR_NOMEM, "faces: no lock");
    }
    PZ_TRY(pz_make_dirs(log, o->out));
    PZ_TRY(open_works(log, pool, &j));
    double t0 = pz_now();
    pz_pool_run(pool, draw_records, &j, o->shards * j.people);
    *seconds = pz_now() - t0;
    PZ_TRY(j.status);
fail:
    for (int i = 0; i < SLOTS; i++)
        pz_shard_close(&j.slot[i].shard);
    pthread_cond_destroy(&j.freed);
    pthread_mutex_destroy(&j.lock);
    close_works(pool, &j);
    return st;
}

static void draw_tile(void *user, int index, int worker)
{
    struct job *j = user;
    const struct pz_faces_options *o = j->o;
    struct pz_q_work *w = &j->work[worker];
    size_t S = (size_t)o->size, row = S * 3, all = row * (size_t)j->columns;
    uint8_t *rgb = pz_calloc(S * S, 3);
    if (!rgb)
        return;
    if (o->scene)
        pz_q_work_scene(w, o->seed, (uint64_t)o->first_shard * (uint64_t)j->n + (uint64_t)index, rgb, NULL);
    else
        draw(w, o, (uint64_t)o->first_shard * (uint64_t)j->n + (uint64_t)index, rgb, NULL);
    uint8_t *at = j->sheet + (size_t)(index / j->columns) * S * all + (size_t)(index % j->columns) * row;
    for (size_t y = 0; y < S; y++)
        memcpy(at + y * all, rgb + y * row, row);
    pz_free(rgb);
}

enum pz_status pz_faces_sheet(struct pz_log *log, struct pz_pool *pool, const struct pz_q_head *h,
                              const struct pz_faces_options *o, int columns, int rows, const char *png)
{
    struct job j = {.o = o, .head = h, .columns = columns, .n = columns * rows};
    enum pz_status st = PZ_OK;
    size_t n = (size_t)(columns * rows) * (size_t)o->size * (size_t)o->size;
    j.sheet = pz_calloc(n, 3);
    if (!j.sheet)
        PZ_TRY(pz_fail(log, PZ_ERR_NOMEM, "faces: out of memory"));
    PZ_TRY(open_works(log, pool, &j));
    pz_pool_run(pool, draw_tile, &j, columns * rows);
    PZ_TRY(pz_syn_png_write(log, png, j.sheet, columns * o->size, rows * o->size));
fail:
    close_works(pool, &j);
    pz_free(j.sheet);
    return st;
}

struct bench {
    struct job *j;
    struct pz_q_label *label; /**< [threads] */
    uint8_t **rgb;
};

static void bench_task(void *user, int index, int worker)
{
    struct bench *b = user;
    for (int i = 0; i < b->j->o->looks; i++)
        draw(&b->j->work[worker], b->j->o, (uint64_t)index * (uint64_t)b->j->o->looks + (uint64_t)i,
             b->rgb[worker], &b->label[worker]);
}

enum pz_status pz_faces_bench(struct pz_log *log, struct pz_pool *pool, const struct pz_q_head *h,
                              const struct pz_faces_options *o, int n)
{
    static const char *const step[10] = {"pose",    "place", "things",     "shadow", "head",
                                         "strands", "shade", "background", "finish", "labels"};
    enum pz_status st = PZ_OK;
    int threads = pz_pool_threads(pool), done = (n + o->looks - 1) / o->looks * o->looks;
    struct job j = {.o = o, .head = h};
    struct bench b = {.j = &j};
    b.label = pz_calloc((size_t)threads, sizeof *b.label);
    b.rgb = pz_calloc((size_t)threads, sizeof *b.rgb);
    if (!b.label || !b.rgb)
        PZ_TRY(pz_fail(log, PZ_ERR_NOMEM, "faces: out of memory"));
    for (int i = 0; i < threads; i++) {
        b.rgb[i] = pz_calloc((size_t)o->size * (size_t)o->size, 3);
        b.label[i].landmark = pz_calloc(PZ_SYN_N_MARKS, 12);
        b.label[i].parts = pz_calloc((size_t)o->size * (size_t)o->size, 1);
        b.label[i].depth = pz_calloc((size_t)o->size * (size_t)o->size, 1);
        if (!b.rgb[i] || !b.label[i].landmark || !b.label[i].parts || !b.label[i].depth)
            PZ_TRY(pz_fail(log, PZ_ERR_NOMEM, "faces: out of memory"));
    }
    PZ_TRY(open_works(log, pool, &j));
    double t0 = pz_now();
    pz_pool_run(pool, bench_task, &b, done / o->looks);
    double t1 = pz_now();
    pz_info(log, "%d pictures, %.0f a second on %d threads, not written", done, (double)done / (t1 - t0),
            threads);
    for (int k = 0; k < 10; k++) {
        double s = 0;
        for (int i = 0; i < threads; i++)
            s += j.work[i].spent[k];
        pz_info(log, "  %-10s %.2f ms", step[k], 1e3 * s / done);
    }
fail:
    close_works(pool, &j);
    for (int i = 0; b.rgb && b.label && i < threads; i++) {
        pz_free(b.rgb[i]);
        pz_free(b.label[i].landmark);
        pz_free(b.label[i].parts);
        pz_free(b.label[i].depth);
    }
    pz_free(b.label);
    pz_free(b.rgb);
    return st;
}
