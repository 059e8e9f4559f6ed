/*
 * Tracker: finds persons, follows each with the landmarker from frame to frame, and keeps their records in
 * temporary files without a name (nothing is left behind when the process dies). Judging and filtering come
 * later, in solve.c.
 */
#include "face/track.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/pool.h"
#include "face/detector.h"
#include "face/topology.h"
#include "face/track_impl.h"

#define MAX_PERSONS 6
#define MIN_PRESENCE 0.5f
#define LOOK_EVERY 12  /* frames between searches for new persons */
#define TILES_EVERY 10 /* searches between those that also look at parts of the picture */
#define JUMP 6         /* frames skipped that make a new run */

struct tick {
    int64_t frame;
    float interocular, gap; /* raw, for summaries */
};

struct person {
    FILE *file;
    struct tick *ticks;
    int64_t n, cap;
    bool live;
    float box[4];
    struct pz_face_rect roi;
    /* of the frame at hand */
    struct pz_raw_face rec;
    enum pz_status st;
};

struct pz_face_tracker {
    struct pz_job job;
    struct pz_face_detector *detector;
    struct pz_landmarker *landmarker;
    struct person persons[MAX_PERSONS];
    int n_persons;
    int order[MAX_PERSONS], n_order; /* after finish */
    int64_t n_pushed, last_frame;
    int32_t run;
    int searches, since_search;
};

static enum pz_status load_models(struct pz_face_tracker *t, const struct pz_face_tracker_params *p)
{
    enum pz_status st = pz_face_detector_create(p->kind, p->models_dir, t->job.log, &t->detector);
    if (st == PZ_OK)
        st = pz_landmarker_create(p->kind, p->models_dir, MAX_PERSONS, t->job.log, &t->landmarker);
    if (st == PZ_OK)
        st = pz_face_detector_profile(t->detector, t->job.profile);
    if (st == PZ_OK)
        st = pz_landmarker_profile(t->landmarker, t->job.profile);
    return st;
}

enum pz_status pz_face_tracker_create(const struct pz_face_tracker_params *p, const struct pz_job *job,
                                      struct pz_face_tracker **out)
{
    *out = NULL;
    struct pz_face_tracker *t = pz_calloc(1, sizeof *t);
    if (!t)
        return pz_fail(job ? job->log : NULL, PZ_ERR_NOMEM, "no memory for the face tracker");
    if (job)
        t->job = *job;
    enum pz_status st = load_models(t, p ? p : &(struct pz_face_tracker_params){0});
    if (st < PZ_OK)
        pz_face_tracker_destroy(&t);
    *out = t;
    return st;
}

void pz_face_tracker_destroy(struct pz_face_tracker **tp)
{
    if (!tp || !*tp)
        return;
    struct pz_face_tracker *t = *tp;
    for (int i = 0; i < t->n_persons; i++) {
        if (t->persons[i].file)
            fclose(t->persons[i].file);
        pz_free(t->persons[i].ticks);
    }
    pz_face_detector_destroy(&t->detector);
    pz_landmarker_destroy(&t->landmarker);
    pz_free(t);
    *tp = NULL;
}

static float distance(const float *a, const float *b)
{
    float d = 0;
    for (int k = 0; k < 3; k++)
        d += (a[k] - b[k]) * (a[k] - b[k]);
    return sqrtf(d);
}

/* Variance of the Laplacian of luma around the mouth. */
static float mouth_sharpness(const struct pz_picture *pic, const float (*xyz)[3])
{
    const struct pz_face_topology *topo = pz_face_topology_mesh();
    float x0 = INFINITY, y0 = INFINITY, x1 = -INFINITY, y1 = -INFINITY;
    for (int i = 0; i < topo->n_outer_lip; i++) {
        const float *p = xyz[topo->outer_lip[i]];
        x0 = fminf(x0, p[0]);
        x1 = fmaxf(x1, p[0]);
        y0 = fminf(y0, p[1]);
        y1 = fmaxf(y1, p[1]);
    }
    float mx = 0.1f * (x1 - x0), my = 0.1f * (y1 - y0);
    int ax = (int)fmaxf(x0 - mx, 1), ay = (int)fmaxf(y0 - my, 1);
    int bx = (int)fminf(x1 + mx, (float)(pic->width - 2)), by = (int)fminf(y1 + my, (float)(pic->height - 2));
    double sum = 0, square = 0;
    int64_t n = 0;
    for (int y = ay; y <= by; y++) {
        const uint8_t *p = pic->plane[0] + (size_t)y * (size_t)pic->stride[0];
        for (int x = ax; x <= bx; x++, n++) {
            int l = 4 * p[x] - p[x - 1] - p[x + 1] - p[x - pic->stride[0]] - p[x + pic->stride[0]];
            sum += l;
            square += (double)l * l;
        }
    }
    return n > 0 ? (float)(square / (double)n - (sum / (double)n) * (sum / (double)n)) : 0;
}

/* Run the landmarker on a region; true when a face is there. The record is filled but not stored. */
static bool measure(struct pz_face_tracker *t, int i, const struct pz_picture *pic, struct pz_pool *pool)
{
    struct person *p = &t->persons[i];
    p->st = pz_landmarker_run(t->landmarker, i, pic, &p->roi, pool, &p->rec.points);
    return p->st == PZ_OK && p->rec.points.presence >= MIN_PRESENCE;
}

/* Take the measured points as this frame's record. */
static void accept(struct pz_face_tracker *t, struct person *p)
{
    const float(*xyz)[3] = (const float(*)[3])p->rec.points.xyz;
    pz_face_points_box(xyz, p->box);
    p->roi = pz_landmarker_roi(t->landmarker, xyz);
    p->live = true;
}

static enum pz_status store(struct pz_face_tracker *t, struct person *p, int64_t frame,
                            const struct pz_picture *pic)
{
    const float(*xyz)[3] = (const float(*)[3])p->rec.points.xyz;
    p->rec.frame = frame;
    p->rec.run = t->run;
    p->rec.measures = pz_landmarker_measures(t->landmarker);
    p->rec.sharpness = mouth_sharpness(pic, xyz);
    pz_face_look_take(pic, xyz, &p->rec.look);
    if (p->n == p->cap) {
        int64_t want = p->cap ? 2 * p->cap : 256;
        struct tick *q = pz_regrow(p->ticks, (size_t)p->n, (size_t)want, sizeof *q);
        if (!q)
            return pz_fail(t->job.log, PZ_ERR_NOMEM, "no memory for %lld face records", (long long)want);
        p->ticks = q;
        p->cap = want;
    }
    float io = distance(xyz[33], xyz[263]);
    p->ticks[p->n++] = (struct tick){frame, io, distance(xyz[13], xyz[14]) / fmaxf(io, 1e-3f)};
    if (fwrite(&p->rec, sizeof p->rec, 1, p->file) != 1)
        return pz_fail(t->job.log, PZ_ERR_WRITE, "cannot write a temporary file of face records: %s",
                       strerror(errno));
    return PZ_OK;
}

static FILE *nameless_file(void)
{
    const char *dir = getenv("TMPDIR");
    char *path = pz_asprintf("%s/personalize-faces-XXXXXX", dir && dir[0] ? dir : "/tmp");
    int fd = path ? mkstemp(path) : -1;
    if (fd >= 0)
        unlink(path);
    FILE *f = fd >= 0 ? fdopen(fd, "w+b") : NULL;
    if (!f && fd >= 0)
        close(fd);
    pz_free(path);
    return f;
}

struct live_job {
    struct pz_face_tracker *t;
    const struct pz_picture *pic;
    int who[MAX_PERSONS];
    bool found[MAX_PERSONS];
    struct pz_pool *inner;
};

static void live_task(void *user, int index, int worker)
{
    struct live_job *j = user;
    j->found[index] = measure(j->t, j->who[index], j->pic, j->inner);
}

/* Follow everybody from the frame before. `*lost` is set when somebody went missing. */
static enum pz_status follow(struct pz_face_tracker *t, const struct pz_picture *pic, bool *lost)
{
    struct live_job j = {.t = t, .pic = pic};
    int n = 0;
    for (int i = 0; i < t->n_persons; i++)
        if (t->persons[i].live)
            j.who[n++] = i;
    j.inner = n == 1 ? t->job.pool : NULL;
    pz_pool_run(n > 1 ? t->job.pool : NULL, live_task, &j, n);
    for (int k = 0; k < n; k++) {
        struct person *p = &t->persons[j.who[k]];
        if (p->st < PZ_OK)
            return p->st;
        if (j.found[k]) {
            accept(t, p);
        } else {
            p->live = false;
            *lost = true;
        }
    }
    /* two trackers that slid onto one face: the one with the longer history stays */
    for (int a = 0; a < t->n_persons; a++)
        for (int b = 0; b < t->n_persons; b++)
            if (a != b && t->persons[a].live && t->persons[b].live && t->persons[a].n >= t->persons[b].n &&
                pz_face_iou(t->persons[a].box, t->persons[b].box) > 0.5f)
                t->persons[b].live = false;
    return PZ_OK;
}

static bool inside(const float box[4], float x, float y)
{
    return x > box[0] && x < box[2] && y > box[1] && y < box[3];
}

/* Does a live person already stand where this face was found? */
static bool known(const struct pz_face_tracker *t, const float box[4])
{
    float cx = (box[0] + box[2]) / 2, cy = (box[1] + box[3]) / 2;
    for (int i = 0; i < t->n_persons; i++)
        if (t->persons[i].live &&
            (inside(t->persons[i].box, cx, cy) || pz_face_iou(t->persons[i].box, box) > 0.3f))
            return true;
    return false;
}

/* The lost person a new face most likely is: the one that was last seen there, else one of about the same
 * size. */
static int lost_person(const struct pz_face_tracker *t, const float box[4])
{
    int best = -1;
    float best_score = 0;
    for (int i = 0; i < t->n_persons; i++) {
        const struct person *p = &t->persons[i];
        if (p->live || p->n == 0)
            continue;
        float ratio = (box[2] - box[0]) / fmaxf(p->box[2] - p->box[0], 1);
        float score = pz_face_iou(p->box, box) + (ratio > 0.6f && ratio < 1.6f ? 0.05f : 0);
        if (score > best_score) {
            best = i;
            best_score = score;
        }
    }
    return best;
}

static enum pz_status welcome(struct pz_face_tracker *t, const struct pz_picture *pic,
                              const struct pz_face_detection *d)
{
    if (known(t, d->box))
        return PZ_OK;
    int i = lost_person(t, d->box);
    bool fresh = i < 0;
    if (fresh && t->n_persons == MAX_PERSONS)
        return PZ_OK;
    i = fresh ? t->n_persons : i;
    struct person *p = &t->persons[i];
    struct person before = *p;
    p->roi = pz_landmarker_roi_first(t->landmarker, d);
    bool found = measure(t, i, pic, t->job.pool);
    if (found) { /* once more from its own points: the detector's box is coarse */
        p->roi = pz_landmarker_roi(t->landmarker, (const float(*)[3])p->rec.points.xyz);
        found = measure(t, i, pic, t->job.pool);
    }
    enum pz_status st = p->st;
    float box[4];
    pz_face_points_box((const float(*)[3])p->rec.points.xyz, box);
    if (st < PZ_OK || !found || known(t, box)) {
        *p = before;
        return st;
    }
    if (fresh) {
        p->file = nameless_file();
        if (!p->file)
            return pz_fail(t->job.log, PZ_ERR_WRITE, "cannot make a temporary file for face records: %s",
                           strerror(errno));
        t->n_persons++;
    }
    accept(t, p);
    return PZ_OK;
}

static enum pz_status search(struct pz_face_tracker *t, const struct pz_picture *pic)
{
    struct pz_face_detection found[PZ_FACE_MAX_DETECTIONS];
    int n = 0;
    bool tiles = t->searches++ % TILES_EVERY == 0;
    t->since_search = 0;
    enum pz_status st = pz_face_detector_run(t->detector, pic, tiles, t->job.pool, found, &n);
    for (int i = 0; st == PZ_OK && i < n; i++)
        st = welcome(t, pic, &found[i]);
    return st;
}

enum pz_status pz_face_tracker_push(struct pz_face_tracker *t, int64_t frame, const struct pz_picture *pic)
{
    enum pz_status st = PZ_OK;
    bool lost = false, any = false;
    if (t->n_pushed > 0 && frame <= t->last_frame)
        return pz_fail(t->job.log, PZ_ERR_USAGE, "frame %lld was pushed after frame %lld", (long long)frame,
                       (long long)t->last_frame);
    if (t->n_pushed == 0 || frame - t->last_frame > JUMP) {
        t->run++;
        lost = true;
        for (int i = 0; i < t->n_persons; i++)
            t->persons[i].live = false;
    }
    t->n_pushed++;
    t->last_frame = frame;
    PZ_TRY(follow(t, pic, &lost));
    for (int i = 0; i < t->n_persons; i++)
        any = any || t->persons[i].live;
    if (lost || !any || ++t->since_search >= LOOK_EVERY)
        PZ_TRY(search(t, pic));
    for (int i = 0; i < t->n_persons; i++)
        if (t->persons[i].live)
            PZ_TRY(store(t, &t->persons[i], frame, pic));
fail:
    return st;
}

/* ---- after the last frame
 * ---------------------------------------------------------------------------------- */

static int by_float(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static enum pz_status median_interocular(const struct pz_face_tracker *t, const struct person *p, float *out)
{
    float *v = pz_calloc((size_t)p->n + 1, sizeof *v);
    if (!v)
        return pz_fail(t->job.log, PZ_ERR_NOMEM, "no memory to sum up a face");
    for (int64_t i = 0; i < p->n; i++)
        v[i] = p->ticks[i].interocular;
    qsort(v, (size_t)p->n, sizeof *v, by_float);
    *out = v[p->n / 2];
    pz_free(v);
    return PZ_OK;
}

static enum pz_status sum_up(const struct pz_face_tracker *t, const struct person *p,
                             struct pz_face_summary *o)
{
    double sum = 0, square = 0;
    *o = (struct pz_face_summary){.first = p->ticks[0].frame,
                                  .last = p->ticks[p->n - 1].frame,
                                  .n_present = p->n,
                                  .presence = (float)p->n / (float)t->n_pushed};
    for (int64_t i = 0; i < p->n; i++) {
        sum += (double)p->ticks[i].gap;
        square += (double)p->ticks[i].gap * (double)p->ticks[i].gap;
    }
    o->lip_activity = (float)sqrt(fmax(square / (double)p->n - sum / (double)p->n * sum / (double)p->n, 0));
    return median_interocular(t, p, &o->interocular);
}

enum pz_status pz_face_tracker_finish(struct pz_face_tracker *t)
{
    float rank[MAX_PERSONS];
    t->n_order = 0;
    for (int i = 0; i < t->n_persons; i++) {
        struct pz_face_summary s;
        struct person *p = &t->persons[i];
        if (p->n == 0 || (p->n < 5 && p->n * 50 < t->n_pushed)) /* a flicker, not a person */
            continue;
        if (fflush(p->file) != 0)
            return pz_fail(t->job.log, PZ_ERR_WRITE, "cannot write a temporary file of face records: %s",
                           strerror(errno));
        enum pz_status st = sum_up(t, p, &s);
        if (st < PZ_OK)
            return st;
        rank[i] = s.interocular * s.interocular * s.presence;
        int k = t->n_order++;
        while (k > 0 && rank[t->order[k - 1]] < rank[i]) {
            t->order[k] = t->order[k - 1];
            k--;
        }
        t->order[k] = i;
    }
    return PZ_OK;
}

int pz_face_tracker_count(const struct pz_face_tracker *t)
{
    return t->n_order;
}

enum pz_status pz_face_tracker_summary(const struct pz_face_tracker *t, int person,
                                       struct pz_face_summary *out)
{
    *out = (struct pz_face_summary){0};
    if (person < 0 || person >= t->n_order)
        return pz_fail(t->job.log, PZ_ERR_USAGE, "there is no face %d: %d were found", person, t->n_order);
    return sum_up(t, &t->persons[t->order[person]], out);
}

static enum pz_status no_rivals(const struct pz_face_tracker *t)
{
    struct pz_face_summary best, s;
    char list[256] = "";
    size_t n = 0;
    int rivals = 0;
    enum pz_status st = sum_up(t, &t->persons[t->order[0]], &best);
    for (int i = 0; st == PZ_OK && i < t->n_order; i++) {
        st = sum_up(t, &t->persons[t->order[i]], &s);
        if (i > 0 && (s.interocular < 0.5f * best.interocular || s.presence < 0.2f))
            continue;
        rivals += i > 0;
        const float *b = t->persons[t->order[i]].box;
        int w = snprintf(list + n, sizeof list - n, "%s%d (at %.0f,%.0f, %.0f px, %.0f %% of the frames)",
                         i ? "; " : "", i, (double)((b[0] + b[2]) / 2), (double)((b[1] + b[3]) / 2),
                         (double)s.interocular, (double)(100 * s.presence));
        n = w > 0 && n + (size_t)w < sizeof list ? n + (size_t)w : n;
    }
    if (st == PZ_OK && rivals)
        st = pz_fail(t->job.log, PZ_ERR_UNUSABLE, "%d faces could be meant, choose one with --face: %s",
                     rivals + 1, list);
    return st;
}

enum pz_status pz_face_tracker_choose(const struct pz_face_tracker *t, const char *choice, int *person)
{
    *person = 0;
    if (t->n_order == 0)
        return pz_fail(t->job.log, PZ_ERR_UNUSABLE, "no face was found in the film");
    if (!choice)
        return no_rivals(t);
    if (strcmp(choice, "largest") == 0)
        return PZ_OK;
    char *end;
    long v = strtol(choice, &end, 10);
    if (end == choice || *end || v < 0 || v >= t->n_order)
        return pz_fail(t->job.log, PZ_ERR_USAGE, "there is no face '%.40s': choose largest or 0 to %d",
                       choice, t->n_order - 1);
    *person = (int)v;
    return PZ_OK;
}

enum pz_status pz_face_tracker_write(struct pz_face_tracker *t, int person, const char *path)
{
    if (person < 0 || person >= t->n_order)
        return pz_fail(t->job.log, PZ_ERR_USAGE, "there is no face %d: %d were found", person, t->n_order);
    struct person *p = &t->persons[t->order[person]];
    const struct pz_face_topology *topo = pz_face_topology_mesh();
    struct pz_track_header head = {.record_bytes = sizeof(struct pz_face), .n_points = PZ_FACE_MESH_POINTS};
    memcpy(head.magic, PZ_TRACK_MAGIC, sizeof head.magic);
    snprintf(head.topology, sizeof head.topology, "%s", topo->name);
    char *tmp = pz_temp_name(path);
    FILE *f = tmp ? fopen(tmp, "w+b") : NULL;
    enum pz_status st = PZ_OK;
    if (!f) {
        st = tmp ? pz_fail(t->job.log, PZ_ERR_WRITE, "cannot write '%s': %s", path, strerror(errno))
                 : pz_fail(t->job.log, PZ_ERR_NOMEM, "no memory to write '%s'", path);
        pz_free(tmp);
        return st;
    }
    bool ok = fwrite(&head, sizeof head, 1, f) == 1;
    if (ok)
        st = pz_face_solve(p->file, p->n, &t->job, f, &head.n_records);
    ok = ok && st == PZ_OK && fseeko(f, 0, SEEK_SET) == 0 && fwrite(&head, sizeof head, 1, f) == 1;
    int err = errno;
    if (fclose(f) != 0 && ok) {
        ok = false;
        err = errno;
    }
    if (ok) {
        st = pz_commit_file(t->job.log, tmp, path);
    } else {
        unlink(tmp);
        if (st == PZ_OK)
            st = pz_fail(t->job.log, PZ_ERR_WRITE, "cannot write '%s': %s", path, strerror(err));
    }
    pz_free(tmp);
    return st;
}
