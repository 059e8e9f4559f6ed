/*
 * Following persons from frame to frame, and finding them again. Who somebody is is told by looks
 * (likeness.h), by place only where nothing speaks against it: after a cut, a loss or an occlusion a face
 * continues the person it looks like, and a tracker that slid onto somebody else is noticed.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/pool.h"
#include "face/pose.h"
#include "face/topology.h"
#include "face/tracker_impl.h"

#define MESH 468
#define MIN_PRESENCE 0.5f
#define MEET_DOUBT 0.06f /* faces of the clips: 0.023 to 0.03; walls and shoulders mostly above 0.07 */
#define MEET_RESIDUAL                                                                                        \
    0.085f                 /* of the rigid points against the mean face; faces of the clips: 0.04 to 0.055 */
#define SECOND_SCORE 0.75f /* a face beside others must be surer: hair and hands reach 0.7 */
#define CANDIDATES 3
#define LOST_DOUBT 0.12f
#define TILES_EVERY 10 /* searches between those that also look at parts of the picture */
#define LYING 1.05f    /* radians of roll from which on a film is taken to lie on its side */
#define SAME_PLACE 25  /* frames for which a place tells who it is */

float pz_tracker_distance(const float *a, const float *b)
{
    float d = 0;
    for (int k = 0; k < 3; k++)
        d += (a[k] - b[k]) * (a[k] - b[k]);
    return sqrtf(d);
}

static const float (*xyz_of(const struct pz_raw_face *r))[3]
{
    return (const float(*)[3])r->points.xyz;
}

/* How unsure a landmarker is of its points, over interocular distance; 0 when it does not say. */
static float doubt(const struct pz_face_tracker *t, const struct pz_raw_face *r)
{
    float sum = 0, io = fmaxf(pz_tracker_distance(r->points.xyz[33], r->points.xyz[263]), 1e-3f);
    if (!pz_landmarker_measures(t->landmarker))
        return 0;
    for (int i = 0; i < MESH; i++)
        sum += r->points.sigma[i];
    return sum / (MESH * io);
}

/* Run the landmarker on a region; true when a face is there. */
static bool measure(struct pz_face_tracker *t, int session, const struct pz_picture *pic,
                    const struct pz_face_rect *roi, struct pz_pool *pool, struct pz_raw_face *rec,
                    enum pz_status *st)
{
    *st = pz_landmarker_run(t->landmarker, session, pic, roi, pool, &rec->points);
    return *st == PZ_OK && rec->points.presence >= MIN_PRESENCE && doubt(t, rec) < LOST_DOUBT;
}

/* Take the measured points as this frame's record. */
static void accept(struct pz_face_tracker *t, struct pz_person *p, int64_t frame)
{
    if (!p->live || p->run != t->run)
        p->steady.any = false;
    pz_face_points_box(xyz_of(&p->rec), p->box);
    p->roi = pz_landmarker_roi(t->landmarker, xyz_of(&p->rec));
    if (pz_landmarker_steady(t->landmarker))
        pz_steady_roi(&p->steady, frame, &p->roi);
    p->live = true;
    p->last = frame;
    p->run = t->run;
}

struct live_job {
    struct pz_face_tracker *t;
    const struct pz_picture *pic;
    struct pz_person *who[PZ_TRACK_PERSONS];
    bool found[PZ_TRACK_PERSONS];
    struct pz_pool *inner;
};

static void live_task(void *user, int index, int worker)
{
    struct live_job *j = user;
    struct pz_person *p = j->who[index];
    j->found[index] = measure(j->t, index, j->pic, &p->roi, j->inner, &p->rec, &p->st);
}

static bool in_picture(const struct pz_picture *pic, const float box[4])
{
    float x = (box[0] + box[2]) / 2, y = (box[1] + box[3]) / 2;
    return x > 0 && y > 0 && x < (float)pic->width && y < (float)pic->height;
}

/* Two trackers that slid onto one face: the one it looks like stays, between equals the one with the longer
 * history. */
static void part(struct pz_face_tracker *t)
{
    for (int a = 0; a < t->n_persons; a++)
        for (int b = 0; b < t->n_persons; b++) {
            struct pz_person *p = &t->persons[a], *q = &t->persons[b];
            if (a == b || !p->live || !q->live || pz_face_iou(p->box, q->box) <= 0.5f)
                continue;
            float d = p->has_look ? pz_album_distance(&p->album, &p->look) : 1,
                  e = q->has_look ? pz_album_distance(&q->album, &q->look) : 1;
            if (d < e - 0.1f || (fabsf(d - e) <= 0.1f && p->n >= q->n))
                q->live = false;
        }
}

/* The lost person a face looks like; -1 when none. `place`: it was found there, NULL = looks alone. */
static int who_is(const struct pz_face_tracker *t, const struct pz_likeness *look, const float *place,
                  int64_t frame)
{
    int best = -1, near = -1;
    float least = 2, overlap = 0.3f;
    for (int i = 0; i < t->n_persons; i++) {
        const struct pz_person *p = &t->persons[i];
        if (p->live || p->n == 0)
            continue;
        float d = pz_album_distance(&p->album, look);
        if (d < least) {
            least = d;
            best = i;
        }
        if (place && p->run == t->run && frame - p->last <= SAME_PLACE && d < 2 * PZ_LIKENESS_OTHER &&
            pz_face_iou(p->box, place) > overlap) {
            overlap = pz_face_iou(p->box, place);
            near = i;
        }
    }
    if (least < PZ_LIKENESS_SAME)
        return best;
    if (near >= 0)
        return near;
    return place && t->n_persons == 1 && least < PZ_LIKENESS_OTHER ? best : -1;
}

/* Look at a person anew: is it still the same one? False when somebody else is there now. */
static bool still(struct pz_face_tracker *t, struct pz_person *p, const struct pz_picture *pic, int64_t frame)
{
    struct pz_likeness look;
    if (pz_likeness_take(pic, xyz_of(&p->rec), &t->scratch, &look) < PZ_OK)
        return true;
    float d = p->album.n ? pz_album_distance(&p->album, &look) : 0,
          step = p->has_look ? pz_likeness_distance(&p->look, &look) : 0;
    p->look = look;
    p->has_look = true;
    if (d < PZ_LIKENESS_SAME || (d < PZ_LIKENESS_OTHER && step < 0.5f * PZ_LIKENESS_SAME))
        pz_album_add(&p->album, &look);
    if (d < PZ_LIKENESS_OTHER)
        return true;
    int other = who_is(t, &look, NULL, frame);
    if (other >= 0) { /* slid onto one who had been lost: that one goes on from here */
        struct pz_person *q = &t->persons[other];
        q->rec = p->rec;
        q->look = look;
        q->has_look = true;
        accept(t, q, frame);
        return false;
    }
    return step < PZ_LIKENESS_OTHER; /* a hand comes before a face in steps, another person at once */
}

enum pz_status pz_tracker_follow(struct pz_face_tracker *t, int64_t frame, const struct pz_picture *pic,
                                 bool *lost)
{
    struct live_job j = {.t = t, .pic = pic};
    int n = 0;
    for (int i = 0; i < t->n_persons && n < PZ_TRACK_LIVE; i++)
        if (t->persons[i].live)
            j.who[n++] = &t->persons[i];
    j.inner = n == 1 ? t->job.pool : NULL;
    pz_pool_run(n > 1 ? t->job.pool : NULL, live_task, &j, n);
    for (int k = 0; k < n; k++) {
        struct pz_person *p = j.who[k];
        if (p->st < PZ_OK)
            return p->st;
        if (j.found[k])
            accept(t, p, frame);
        if (!j.found[k] || !in_picture(pic, p->box) || !still(t, p, pic, frame)) {
            p->live = false;
            *lost = true;
        }
    }
    part(t);
    return PZ_OK;
}

/* ---- finding ---- */

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

/* Is what was measured a face at all? Told by how sure the points are, and by their shape. */
static bool looks_like_one(const struct pz_face_tracker *t, const struct pz_raw_face *rec)
{
    const struct pz_face_topology *topo = pz_face_topology_mesh();
    struct pz_head_fit fit;
    if (!pz_landmarker_measures(t->landmarker))
        return true;
    pz_head_fit_points(topo->mean, xyz_of(rec), topo->rigid, NULL, topo->n_rigid, &fit);
    return doubt(t, rec) < MEET_DOUBT && fit.scale > 0 && fit.residual < MEET_RESIDUAL;
}

/* Measure a detected face into `rec`; PZ_END when it is none. */
static enum pz_status meet(struct pz_face_tracker *t, const struct pz_picture *pic,
                           const struct pz_face_detection *d, struct pz_raw_face *rec)
{
    enum pz_status st;
    struct pz_face_rect roi = pz_landmarker_roi_first(t->landmarker, d);
    bool found = measure(t, 0, pic, &roi, t->job.pool, rec, &st);
    if (found) { /* once more from its own points: the detector's box is coarse */
        roi = pz_landmarker_roi(t->landmarker, xyz_of(rec));
        found = measure(t, 0, pic, &roi, t->job.pool, rec, &st);
    }
    return st < PZ_OK ? st : found && looks_like_one(t, rec) ? PZ_OK : PZ_END;
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

static enum pz_status welcome(struct pz_face_tracker *t, int64_t frame, const struct pz_picture *pic,
                              const struct pz_face_detection *d)
{
    struct pz_likeness look;
    float box[4];
    int live = 0;
    for (int i = 0; i < t->n_persons; i++)
        live += t->persons[i].live;
    if (known(t, d->box) || live >= PZ_TRACK_LIVE ||
        (live && pz_landmarker_measures(t->landmarker) && d->score < SECOND_SCORE))
        return PZ_OK;
    enum pz_status st = meet(t, pic, d, &t->guest);
    if (st != PZ_OK)
        return st < PZ_OK ? st : PZ_OK;
    pz_face_points_box(xyz_of(&t->guest), box);
    if (known(t, box) || !in_picture(pic, box))
        return PZ_OK;
    if (pz_likeness_take(pic, xyz_of(&t->guest), &t->scratch, &look) < PZ_OK)
        return pz_fail(t->job.log, PZ_ERR_NOMEM, "no memory to look at a face");
    int i = who_is(t, &look, box, frame);
    if (i < 0) {
        if (t->n_persons == PZ_TRACK_PERSONS)
            return PZ_OK;
        i = t->n_persons;
        t->persons[i].file = nameless_file();
        if (!t->persons[i].file)
            return pz_fail(t->job.log, PZ_ERR_WRITE, "cannot make a temporary file for face records: %s",
                           strerror(errno));
        t->n_persons++;
    }
    struct pz_person *p = &t->persons[i];
    p->rec = t->guest;
    p->look = look;
    p->has_look = true;
    if (!p->album.n || pz_album_distance(&p->album, &look) < PZ_LIKENESS_OTHER)
        pz_album_add(&p->album, &look);
    accept(t, p, frame);
    return PZ_OK;
}

/* With nobody known in the picture, the surest face comes first: parts of it that were detected, too, are
 * then its own. */
static enum pz_status surest_first(struct pz_face_tracker *t, const struct pz_picture *pic,
                                   struct pz_face_detection *found, int n)
{
    float best = INFINITY;
    int which = 0;
    for (int i = 0; i < n && i < CANDIDATES; i++) {
        enum pz_status st = meet(t, pic, &found[i], &t->guest);
        if (st < PZ_OK)
            return st;
        float d = st == PZ_OK ? doubt(t, &t->guest) : INFINITY;
        if (d < best) {
            best = d;
            which = i;
        }
    }
    struct pz_face_detection first = found[which];
    memmove(&found[1], &found[0], (size_t)which * sizeof *found);
    found[0] = first;
    return PZ_OK;
}

enum pz_status pz_tracker_search(struct pz_face_tracker *t, int64_t frame, const struct pz_picture *pic)
{
    struct pz_face_detection found[PZ_FACE_MAX_DETECTIONS];
    int n = 0;
    bool thorough = t->searches++ % TILES_EVERY == 0;
    unsigned how = thorough ? PZ_DETECT_PARTS : 0;
    for (int i = 0; i < t->n_persons; i++)
        how |= fabsf(t->persons[i].roi.angle) > LYING ? PZ_DETECT_TURNED : 0;
    t->since_search = 0;
    enum pz_status st = pz_face_detector_run(t->detector, pic, how, t->job.pool, found, &n);
    bool any = false;
    for (int i = 0; i < t->n_persons; i++)
        any = any || t->persons[i].live;
    if (st == PZ_OK && n > 1 && !any && pz_landmarker_measures(t->landmarker))
        st = surest_first(t, pic, found, n);
    for (int i = 0; st == PZ_OK && i < n; i++)
        st = welcome(t, frame, pic, &found[i]);
    if (st == PZ_OK && thorough && t->n_persons == 0) { /* is the film lying on its side? */
        st = pz_face_detector_run(t->detector, pic, PZ_DETECT_TURNED, t->job.pool, found, &n);
        for (int i = 0; st == PZ_OK && i < n; i++)
            st = welcome(t, frame, pic, &found[i]);
    }
    return st;
}

enum pz_status pz_tracker_portrait(struct pz_face_tracker *t, const struct pz_picture *pic,
                                   struct pz_raw_face *rec, struct pz_likeness *look)
{
    struct pz_face_detection found[PZ_FACE_MAX_DETECTIONS];
    int n;
    enum pz_status st = pz_face_detector_run(t->detector, pic, PZ_DETECT_PARTS, t->job.pool, found, &n);
    if (st == PZ_OK)
        st = n ? meet(t, pic, &found[0], rec) : PZ_END;
    if (st == PZ_OK && pz_likeness_take(pic, xyz_of(rec), &t->scratch, look) < PZ_OK)
        st = pz_fail(t->job.log, PZ_ERR_NOMEM, "no memory to look at a face");
    return st;
}
