/* Reading tracks back, and judging whether frames are fit for lip-sync. A track file is mapped and trusted in
 * nothing. */
#include "face/track.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/order.h"
#include "face/topology.h"
#include "face/track_impl.h"

/* Limits of the verdict. Degrees, px, and variance of the Laplacian over code values. */
#define YAW_RISKY 25
#define YAW_UNUSABLE 35
#define PITCH_RISKY 25
#define SMALL_RISKY 60
#define SMALL_UNUSABLE 35
#define BLUR_RISKY 6
#define MISSING_RISKY 0.02f
#define MISSING_UNUSABLE 0.25f
#define COVERED_RISKY 0.05f
#define HIDDEN 0.7f /* covered so far, nothing worth drawing is seen of a mouth */
#define HIDDEN_UNUSABLE 0.5f
#define JUDGED_MAX 4096

struct pz_face_track {
    struct pz_map map;
    const struct pz_face_topology *topo;
    const struct pz_face *records;
    int64_t n;
};

enum pz_status pz_face_track_open(const char *path, struct pz_log *log, struct pz_face_track **out)
{
    *out = NULL;
    struct pz_track_header h;
    struct pz_face_track *t = pz_calloc(1, sizeof *t);
    if (!t)
        return pz_fail(log, PZ_ERR_NOMEM, "no memory to open '%s'", path);
    enum pz_status st = pz_map_open(log, path, &t->map);
    if (st < PZ_OK)
        goto fail;
    st = PZ_ERR_FORMAT;
    if (t->map.n_bytes < sizeof h) {
        pz_fail(log, st, "'%s' is no face track", path);
        goto fail;
    }
    memcpy(&h, t->map.data, sizeof h);
    size_t body = t->map.n_bytes - sizeof h;
    bool named = memchr(h.topology, 0, sizeof h.topology) != NULL;
    t->topo = named ? pz_face_topology_find(h.topology) : NULL;
    if (memcmp(h.magic, PZ_TRACK_MAGIC, sizeof h.magic) != 0 || h.record_bytes != sizeof(struct pz_face) ||
        !t->topo || h.n_points != (uint32_t)t->topo->n_points || h.n_records < 0 ||
        body % sizeof(struct pz_face) != 0 || (uint64_t)h.n_records != body / sizeof(struct pz_face)) {
        pz_fail(log, st, "'%s' is no face track of this version, or is cut short", path);
        goto fail;
    }
    t->records = (const struct pz_face *)(const void *)(t->map.data + sizeof h);
    t->n = h.n_records;
    *out = t;
    return PZ_OK;
fail:
    pz_face_track_close(&t);
    return st;
}

void pz_face_track_close(struct pz_face_track **t)
{
    if (!t || !*t)
        return;
    pz_map_close(&(*t)->map);
    pz_free(*t);
    *t = NULL;
}

const struct pz_face_topology *pz_face_track_topology(const struct pz_face_track *t)
{
    return t->topo;
}

/* Whether a record can be worked with: everything finite, sizes positive. */
static bool sane(const struct pz_face_track *t, const struct pz_face *f)
{
    const float *pose = f->pose.r;
    float sum = f->score + f->lip_gap + f->sharpness + f->residual + f->interocular + f->covered;
    if ((f->present != 1 && f->present != 2) || f->n_points != t->topo->n_points)
        return false;
    for (size_t i = 0; i < sizeof f->pose / sizeof *pose; i++)
        sum += pose[i];
    for (int i = 0; i < 4; i++)
        sum += f->box[i];
    for (int i = 0; i < f->n_points; i++)
        sum += f->xyz[i][0] + f->xyz[i][1] + f->xyz[i][2] + f->sigma[i];
    return isfinite(sum) && f->pose.scale > 0 && f->interocular > 0;
}

/* First record not before `frame`. */
static int64_t lower(const struct pz_face_track *t, int64_t frame)
{
    int64_t lo = 0, hi = t->n;
    while (lo < hi) {
        int64_t mid = lo + (hi - lo) / 2;
        if (t->records[mid].frame < frame)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

const struct pz_face *pz_face_track_at(const struct pz_face_track *t, int64_t frame)
{
    int64_t lo = lower(t, frame);
    return lo < t->n && t->records[lo].frame == frame && sane(t, &t->records[lo]) ? &t->records[lo] : NULL;
}

static void worsen(struct pz_face_verdict *v, enum pz_face_grade grade, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Keep the first reason of the worst grade. */
static void worsen(struct pz_face_verdict *v, enum pz_face_grade grade, const char *fmt, ...)
{
    va_list ap;
    if (grade <= v->grade)
        return;
    v->grade = grade;
    va_start(ap, fmt);
    vsnprintf(v->reason, sizeof v->reason, fmt, ap);
    va_end(ap);
}

/* What is looked at of each frame; at most JUDGED_MAX frames, evenly taken. */
struct sums {
    int n, covered, hidden;
    double yaw, pitch, roll;
    float size[JUDGED_MAX], turn[JUDGED_MAX], sharp[JUDGED_MAX];
};

static void gather(const struct pz_face_track *t, int64_t a, int64_t b, struct sums *s)
{
    int64_t step = (b - a + JUDGED_MAX - 1) / JUDGED_MAX;
    for (int64_t i = a; i < b && s->n<JUDGED_MAX; i += step> 0 ? step : 1) {
        const struct pz_face *f = &t->records[i];
        if (!sane(t, f))
            continue;
        s->yaw += (double)f->pose.yaw;
        s->pitch += (double)f->pose.pitch;
        s->roll += (double)f->pose.roll;
        s->covered += f->covered >= PZ_FACE_COVERED;
        s->hidden += f->covered >= HIDDEN;
        s->size[s->n] = f->interocular;
        s->turn[s->n] = fabsf(f->pose.yaw);
        s->sharp[s->n++] = f->sharpness;
    }
}

/* Share of [first, last) without a record, leaving out stretches that lie wholly between looked-at spans: a
 * track may cover samples of a film only, so that a hole of more than a second says nothing. */
static float missing_share(const struct pz_face_track *t, int64_t a, int64_t b, int64_t first, int64_t last)
{
    int64_t missing = 0, present = b - a, at = first;
    for (int64_t i = a; i <= b; i++) {
        int64_t next = i < b ? t->records[i].frame : last, hole = next - at;
        if (hole > 0 && (hole <= 60 || a == b))
            missing += hole;
        at = next + 1;
    }
    return present + missing > 0 ? (float)missing / (float)(present + missing) : 1;
}

struct pz_face_verdict pz_face_track_verdict(const struct pz_face_track *t, int64_t first, int64_t last)
{
    struct pz_face_verdict v = {.grade = PZ_FACE_OK};
    int64_t a = lower(t, first), b = lower(t, last);
    struct sums *s = pz_calloc(1, sizeof *s);
    if (!s || a >= b) {
        worsen(&v, PZ_FACE_UNUSABLE, s ? "no face is seen" : "no memory to judge the face");
        pz_free(s);
        return v;
    }
    gather(t, a, b, s);
    if (s->n == 0) {
        worsen(&v, PZ_FACE_UNUSABLE, "the face records are damaged");
        pz_free(s);
        return v;
    }
    v.yaw = (float)(s->yaw / s->n);
    v.pitch = (float)(s->pitch / s->n);
    v.roll = (float)(s->roll / s->n);
    qsort(s->size, (size_t)s->n, sizeof(float), pz_by_float);
    qsort(s->turn, (size_t)s->n, sizeof(float), pz_by_float);
    qsort(s->sharp, (size_t)s->n, sizeof(float), pz_by_float);
    v.interocular = s->size[s->n / 2];
    float turn = s->turn[s->n * 9 / 10], sharp = s->sharp[s->n / 2],
          missing = missing_share(t, a, b, first, last);
    float covered = (float)s->covered / (float)s->n, hidden = (float)s->hidden / (float)s->n;
    v.occluded = covered > COVERED_RISKY;
    if (missing > MISSING_UNUSABLE)
        worsen(&v, PZ_FACE_UNUSABLE, "the face is missing in %.0f %% of the frames", (double)(100 * missing));
    if (turn > YAW_UNUSABLE)
        worsen(&v, PZ_FACE_UNUSABLE, "turned away by %.0f degrees", (double)turn);
    if (v.interocular < SMALL_UNUSABLE)
        worsen(&v, PZ_FACE_UNUSABLE, "the face is too small: %.0f px between the eyes",
               (double)v.interocular);
    if (hidden > HIDDEN_UNUSABLE)
        worsen(&v, PZ_FACE_UNUSABLE, "the mouth is hidden in %.0f %% of the frames", (double)(100 * hidden));
    if (v.occluded)
        worsen(&v, PZ_FACE_RISKY, "something is before the mouth in %.0f %% of the frames",
               (double)(100 * covered));
    if (turn > YAW_RISKY)
        worsen(&v, PZ_FACE_RISKY, "turned away by %.0f degrees", (double)turn);
    if (fabsf(v.pitch) > PITCH_RISKY)
        worsen(&v, PZ_FACE_RISKY, "looking %s by %.0f degrees", v.pitch > 0 ? "up" : "down",
               (double)fabsf(v.pitch));
    if (v.interocular < SMALL_RISKY)
        worsen(&v, PZ_FACE_RISKY, "the face is small: %.0f px between the eyes", (double)v.interocular);
    if (missing > MISSING_RISKY)
        worsen(&v, PZ_FACE_RISKY, "the face is missing in %.0f %% of the frames", (double)(100 * missing));
    if (sharp < BLUR_RISKY)
        worsen(&v, PZ_FACE_RISKY, "the mouth is blurred");
    pz_free(s);
    return v;
}

const char *pz_face_verdict_name(enum pz_face_grade grade)
{
    return grade == PZ_FACE_OK ? "ok" : grade == PZ_FACE_RISKY ? "risky" : "unusable";
}
