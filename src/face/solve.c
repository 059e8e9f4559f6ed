/*
 * The batch pass over one person: mean shape, pose of every frame, filtering without lag, bridging.
 *
 * 1. Mean shape in head space: first with axes from eyes, forehead and chin, then twice by Procrustes on the
 * rigid points; frontal frames count more.
 * 2. Where the landmarker is our own: every point's depth is moved to where its motion in the picture says it
 * lies (depth.c), in turns with shape and pose.
 * 3. Poses against that shape, smoothed by local quadratic regression over ±3 frames; what exceeds three
 * times the usual deviation is motion, not noise, and is put back.
 * 4. Points in head space, averaged over ±2 frames with weights that fall with the distance between the
 * frames' points: a resting point is averaged, a moving one (a lip that closes) is left as measured. Then
 * projected with the smooth pose. Memory: 64 bytes a frame for poses, five records for the window. Records
 * stream from file to file.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/order.h"
#include "face/depth.h"
#include "face/pose.h"
#include "face/topology.h"
#include "face/track_impl.h"

#define N PZ_FACE_MESH_POINTS
#define HALF 3             /* frames of the pose regression on either side */
#define WINDOW 2           /* frames of the point average on either side */
#define POINT_NOISE 0.004f /* head units: network jitter of resting points (docs/notes/face.md) */
#define LIP_GAP_PAIRS 3
#define DEPTH_TURNS 2

struct entry {
    int64_t frame;
    int32_t run;
    float covered;
    float size; /* px of a head unit when depth was judged */
    struct pz_head_fit raw, smooth;
};

struct point_set {
    float p[N][3];
};

struct solver {
    FILE *raw;
    int64_t n;
    const struct pz_job *job;
    const struct pz_face_topology *topo;
    struct entry *e;
    struct pz_raw_face *rec; /* [2·WINDOW+1], ring */
    struct point_set *head;  /* the same, head space */
    struct point_set *mean, *sum;
    bool is_lip[N];
    struct pz_depth *judge;
    float depth[N]; /* head units that are added to a point's depth */
    struct pz_face *out, *last;
    struct pz_face_usual *usual;
    struct point_set *now, *before; /* filtered head points of this and the previous output frame */
};

static enum pz_status read_raw(struct solver *s, int64_t i, struct pz_raw_face *r)
{
    if (fseeko(s->raw, (off_t)i * (off_t)sizeof *r, SEEK_SET) != 0 || fread(r, sizeof *r, 1, s->raw) != 1)
        return pz_fail(s->job->log, PZ_ERR_WRITE, "the temporary file of face records cannot be read back");
    return PZ_OK;
}

/* A record with the depth that was found for its points. */
static enum pz_status read_at(struct solver *s, int64_t i, struct pz_raw_face *r)
{
    enum pz_status st = read_raw(s, i, r);
    for (int p = 0; st == PZ_OK && p < N; p++)
        r->points.xyz[p][2] -= s->depth[p] * s->e[i].size;
    return st;
}

/* Bring a shape to head-space conventions: eyes' outer corners one apart, origin between them. */
static void normalise(struct point_set *m)
{
    float o[3], d = 0;
    for (int k = 0; k < 3; k++) {
        o[k] = (m->p[33][k] + m->p[263][k]) / 2;
        d += (m->p[263][k] - m->p[33][k]) * (m->p[263][k] - m->p[33][k]);
    }
    d = sqrtf(d);
    for (int i = 0; i < N; i++)
        for (int k = 0; k < 3; k++)
            m->p[i][k] = (m->p[i][k] - o[k]) / (d > 1e-6f ? d : 1);
}

static enum pz_status mean_pass(struct solver *s, bool by_axes)
{
    double weight = 0;
    memset(s->sum, 0, sizeof *s->sum);
    for (int64_t i = 0; i < s->n; i++) {
        struct pz_head_fit f;
        struct pz_face_pose pose;
        enum pz_status st = read_at(s, i, &s->rec[0]);
        if (st < PZ_OK)
            return st;
        const float(*xyz)[3] = (const float(*)[3])s->rec[0].points.xyz;
        if (by_axes)
            pz_head_fit_axes(xyz, &f);
        else
            pz_head_fit_points((const float(*)[3])s->mean->p, xyz, s->topo->rigid, NULL, s->topo->n_rigid,
                               &f);
        if (!(f.scale > 0))
            continue;
        pz_head_pose(&f, &pose);
        float c = fmaxf(cosf(pose.yaw / 57.3f) * cosf(pose.pitch / 57.3f), 0.1f), w = c * c * c * c;
        for (int p = 0; p < N; p++) {
            float h[3];
            pz_head_from_px(&f, xyz[p], h);
            for (int k = 0; k < 3; k++)
                s->sum->p[p][k] += w * h[k];
        }
        weight += w;
    }
    if (weight <= 0) {
        memcpy(s->mean->p, s->topo->mean, sizeof s->mean->p);
        return PZ_OK;
    }
    for (int p = 0; p < N; p++)
        for (int k = 0; k < 3; k++)
            s->mean->p[p][k] = s->sum->p[p][k] / (float)weight;
    normalise(s->mean);
    return PZ_OK;
}

/* Weights of the rigid points by what the network says of them; NULL when it says nothing. */
static const float *weights_of(const struct solver *s, const struct pz_raw_face *r, float w[N])
{
    float sum = 0;
    if (!r->measures)
        return NULL;
    for (int i = 0; i < s->topo->n_rigid; i++) {
        float v = r->points.sigma[s->topo->rigid[i]];
        w[i] = 1 / fmaxf(v * v, 1e-6f);
        sum += w[i];
    }
    for (int i = 0; i < s->topo->n_rigid; i++)
        w[i] *= (float)s->topo->n_rigid / sum;
    return w;
}

static enum pz_status pose_pass(struct solver *s)
{
    float w[N];
    for (int64_t i = 0; i < s->n; i++) {
        enum pz_status st = read_at(s, i, &s->rec[0]);
        if (st < PZ_OK)
            return st;
        struct entry *e = &s->e[i];
        e->frame = s->rec[0].frame;
        e->run = s->rec[0].run;
        e->covered = s->rec[0].covered;
        pz_head_fit_points((const float(*)[3])s->mean->p, (const float(*)[3])s->rec[0].points.xyz,
                           s->topo->rigid, weights_of(s, &s->rec[0], w), s->topo->n_rigid, &e->raw);
    }
    return PZ_OK;
}

/* Depth from motion, then shape and poses that go with it. */
static enum pz_status depth_turn(struct solver *s)
{
    enum pz_status st = PZ_OK;
    pz_depth_begin(s->judge);
    for (int64_t i = 0; i < s->n; i++) {
        PZ_TRY(read_raw(s, i, &s->rec[0]));
        if (!s->rec[0].measures)
            return PZ_OK;
        pz_depth_add(s->judge, &s->e[i].raw, (const float(*)[3])s->rec[0].points.xyz);
        s->e[i].size = s->e[i].raw.scale;
    }
    pz_depth_solve(s->judge, s->depth);
    PZ_TRY(mean_pass(s, false));
    PZ_TRY(pose_pass(s));
fail:
    return st;
}

/* The eight numbers of a fit that are smoothed; scale as a logarithm. */
static void unpack(const struct pz_head_fit *f, const float q0[4], double v[8])
{
    float dot = f->q[0] * q0[0] + f->q[1] * q0[1] + f->q[2] * q0[2] + f->q[3] * q0[3];
    for (int k = 0; k < 4; k++)
        v[k] = (double)(dot < 0 ? -f->q[k] : f->q[k]);
    v[4] = log(fmax((double)f->scale, 1e-6));
    for (int k = 0; k < 3; k++)
        v[5 + k] = (double)f->t[k];
}

static void pack(const double v[8], float residual, struct pz_head_fit *f)
{
    double n = sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2] + v[3] * v[3]);
    for (int k = 0; k < 4; k++)
        f->q[k] = (float)(v[k] / (n > 0 ? n : 1));
    f->scale = (float)exp(v[4]);
    for (int k = 0; k < 3; k++)
        f->t[k] = (float)v[5 + k];
    f->residual = residual;
}

/* Value at 0 of the least-squares parabola through (t, y); a line or mean where there are too few points. */
static double parabola_at_0(const double *t, const double *y, int n)
{
    double s[5] = {0}, b[3] = {0};
    for (int i = 0; i < n; i++) {
        double p = 1;
        for (int k = 0; k < 5; k++, p *= t[i]) {
            s[k] += p;
            if (k < 3)
                b[k] += p * y[i];
        }
    }
    if (n >= 5) {
        double det = s[0] * (s[2] * s[4] - s[3] * s[3]) - s[1] * (s[1] * s[4] - s[2] * s[3]) +
                     s[2] * (s[1] * s[3] - s[2] * s[2]);
        if (fabs(det) > 1e-9)
            return (b[0] * (s[2] * s[4] - s[3] * s[3]) - s[1] * (b[1] * s[4] - b[2] * s[3]) +
                    s[2] * (b[1] * s[3] - b[2] * s[2])) /
                   det;
    }
    double det = s[0] * s[2] - s[1] * s[1];
    return n >= 3 && fabs(det) > 1e-9 ? (b[0] * s[2] - b[1] * s[1]) / det : y[n / 2];
}

/* Entries [*a, *b) around i that belong to the same run without a gap that is not bridged. */
static void neighbours(const struct solver *s, int64_t i, int half, int64_t *a, int64_t *b)
{
    *a = i;
    *b = i + 1;
    while (*a > 0 && s->e[*a - 1].run == s->e[i].run && s->e[i].frame - s->e[*a - 1].frame <= half)
        --*a;
    while (*b < s->n && s->e[*b].run == s->e[i].run && s->e[*b].frame - s->e[i].frame <= half)
        ++*b;
}

static void smooth_one(const struct solver *s, int64_t i, double raw[8], double smooth[8])
{
    double t[2 * HALF + 1], y[8][2 * HALF + 1];
    int64_t a, b;
    int n = 0;
    neighbours(s, i, HALF, &a, &b);
    unpack(&s->e[i].raw, s->e[i].raw.q, raw);
    for (int64_t j = a; j < b && n < 2 * HALF + 1; j++, n++) {
        double v[8];
        unpack(&s->e[j].raw, s->e[i].raw.q, v);
        t[n] = (double)(s->e[j].frame - s->e[i].frame);
        for (int k = 0; k < 8; k++)
            y[k][n] = v[k];
    }
    for (int k = 0; k < 8; k++)
        smooth[k] = b - a >= 3 ? parabola_at_0(t, y[k], n) : raw[k];
}

static enum pz_status smooth_poses(struct solver *s)
{
    float *dev = pz_calloc((size_t)s->n, 8 * sizeof *dev);
    if (!dev)
        return pz_fail(s->job->log, PZ_ERR_NOMEM, "no memory to smooth %lld poses", (long long)s->n);
    double noise[8];
    for (int64_t i = 0; i < s->n; i++) {
        double raw[8], smooth[8];
        smooth_one(s, i, raw, smooth);
        for (int k = 0; k < 8; k++)
            dev[(size_t)k * (size_t)s->n + (size_t)i] = (float)fabs(raw[k] - smooth[k]);
    }
    for (int k = 0; k < 8; k++) {
        float *d = dev + (size_t)k * (size_t)s->n;
        qsort(d, (size_t)s->n, sizeof *d, pz_by_float);
        noise[k] = 1.4826 * (double)d[s->n / 2];
    }
    pz_free(dev);
    for (int64_t i = 0; i < s->n; i++) {
        double raw[8], smooth[8];
        smooth_one(s, i, raw, smooth);
        for (int k = 0; k < 8; k++) {
            double d = raw[k] - smooth[k], over = fabs(d) - 3 * noise[k];
            if (over > 0)
                smooth[k] += d > 0 ? over : -over;
        }
        pack(smooth, s->e[i].raw.residual, &s->e[i].smooth);
    }
    return PZ_OK;
}

/* Load record i into its ring place, in px and in head space of its own raw pose. */
static enum pz_status load_window(struct solver *s, int64_t i)
{
    int slot = (int)(i % (2 * WINDOW + 1));
    enum pz_status st = read_at(s, i, &s->rec[slot]);
    for (int p = 0; st == PZ_OK && p < N; p++)
        pz_head_from_px(&s->e[i].raw, s->rec[slot].points.xyz[p], s->head[slot].p[p]);
    return st;
}

static void filter_points(struct solver *s, int64_t i)
{
    static const float fall[WINDOW + 1] = {1.0f, 0.7f, 0.35f};
    int64_t a, b;
    neighbours(s, i, WINDOW, &a, &b);
    const struct point_set *mid = &s->head[i % (2 * WINDOW + 1)];
    for (int p = 0; p < N; p++) {
        float sum[3] = {0}, weight = 0;
        for (int64_t j = a; j < b; j++) {
            const float *h = s->head[j % (2 * WINDOW + 1)].p[p], *m = mid->p[p];
            float d2 = (h[0] - m[0]) * (h[0] - m[0]) + (h[1] - m[1]) * (h[1] - m[1]);
            int64_t dt = llabs(s->e[j].frame - s->e[i].frame);
            float reach = (s->is_lip[p] ? 1.5f : 2.5f) * POINT_NOISE;
            float w = fall[dt < WINDOW ? dt : WINDOW] * expf(-d2 / (2 * reach * reach));
            for (int k = 0; k < 3; k++)
                sum[k] += w * h[k];
            weight += w;
        }
        for (int k = 0; k < 3; k++)
            s->now->p[p][k] = sum[k] / weight;
    }
}

/* Fill a record from filtered head points and a pose. */
static void compose(const struct solver *s, const struct point_set *head, const struct pz_head_fit *f,
                    const struct pz_raw_face *r, struct pz_face *o)
{
    o->n_points = N;
    pz_head_pose(f, &o->pose);
    o->interocular = f->scale;
    o->residual = f->residual;
    float turn = r->measures ? 0 : fabsf(o->pose.yaw) / 30;
    o->box[0] = o->box[1] = INFINITY;
    o->box[2] = o->box[3] = -INFINITY;
    for (int p = 0; p < N; p++) {
        float *q = o->xyz[p];
        pz_head_to_px(f, head->p[p], q);
        o->box[0] = fminf(o->box[0], q[0]);
        o->box[1] = fminf(o->box[1], q[1]);
        o->box[2] = fmaxf(o->box[2], q[0]);
        o->box[3] = fmaxf(o->box[3], q[1]);
        /* the far side of a turned head is guessed rather than seen */
        float far = head->p[p][0] * (o->pose.yaw > 0 ? 1 : -1) > 0.1f ? 1 + turn : 1;
        o->sigma[p] = r->points.sigma[p] * far;
    }
    float gap = 0;
    for (int i = 0; i < LIP_GAP_PAIRS; i++)
        gap += head->p[s->topo->lip_pairs[i][0]][1] - head->p[s->topo->lip_pairs[i][1]][1];
    o->lip_gap = fmaxf(gap / LIP_GAP_PAIRS, 0);
}

static enum pz_status put(struct solver *s, FILE *out, int64_t *written)
{
    if (fwrite(s->out, sizeof *s->out, 1, out) != 1)
        return pz_fail(s->job->log, PZ_ERR_WRITE, "the face track cannot be written");
    ++*written;
    return PZ_OK;
}

/* Frames between the last record and the next one: halfway points and poses. */
static enum pz_status bridge(struct solver *s, int64_t i, const struct pz_raw_face *r, FILE *out,
                             int64_t *written)
{
    const struct entry *a = &s->e[i - 1], *b = &s->e[i];
    struct pz_face next = *s->out;
    for (int64_t f = a->frame + 1; f < b->frame; f++) {
        float u = (float)(f - a->frame) / (float)(b->frame - a->frame);
        double va[8], vb[8];
        struct pz_head_fit fit;
        struct point_set *mix = s->sum;
        unpack(&a->smooth, a->smooth.q, va);
        unpack(&b->smooth, a->smooth.q, vb);
        for (int k = 0; k < 8; k++)
            va[k] += (double)u * (vb[k] - va[k]);
        pack(va, fmaxf(a->smooth.residual, b->smooth.residual), &fit);
        for (int p = 0; p < N; p++)
            for (int k = 0; k < 3; k++)
                mix->p[p][k] = s->before->p[p][k] + u * (s->now->p[p][k] - s->before->p[p][k]);
        *s->out = (struct pz_face){.frame = f,
                                   .present = 2,
                                   .score = fminf(s->last->score, next.score),
                                   .sharpness = fminf(s->last->sharpness, next.sharpness),
                                   .covered = fmaxf(s->last->covered, next.covered)};
        compose(s, mix, &fit, r, s->out);
        for (int p = 0; p < N; p++)
            s->out->sigma[p] *= 2;
        enum pz_status st = put(s, out, written);
        if (st < PZ_OK)
            return st;
    }
    *s->out = next;
    return PZ_OK;
}

/* How much of the mouth is covered: by the skin's colours, or by the parser. It was asked about every
 * PZ_TRACK_ASK-th record; between two answers the smaller one holds. */
static float covered(const struct solver *s, int64_t i, const struct pz_raw_face *r)
{
    int64_t next = (i + PZ_TRACK_ASK - 1) / PZ_TRACK_ASK * PZ_TRACK_ASK;
    float seen = s->e[i].covered;
    if (next < s->n && s->e[next].run == s->e[i].run)
        seen = fminf(seen, s->e[next].covered);
    return fmaxf(pz_face_usual_covered(s->usual, &r->look), seen);
}

/* What the skin around the mouth usually looks like. */
static enum pz_status look_pass(struct solver *s)
{
    enum pz_status st = PZ_OK;
    for (int64_t i = 0; i < s->n && st == PZ_OK; i++) {
        st = read_at(s, i, &s->rec[0]);
        if (st == PZ_OK)
            pz_face_usual_add(s->usual, &s->rec[0].look);
    }
    pz_face_usual_finish(s->usual);
    return st;
}

static enum pz_status point_pass(struct solver *s, FILE *out, int64_t *written)
{
    enum pz_status st = PZ_OK;
    for (int64_t i = 0; i < s->n && i < WINDOW; i++)
        PZ_TRY(load_window(s, i));
    for (int64_t i = 0; i < s->n; i++) {
        if (pz_job_cancelled(s->job))
            return PZ_ERR_CANCELLED;
        if (i + WINDOW < s->n)
            PZ_TRY(load_window(s, i + WINDOW));
        const struct pz_raw_face *r = &s->rec[i % (2 * WINDOW + 1)];
        filter_points(s, i);
        *s->out = (struct pz_face){.frame = r->frame,
                                   .present = 1,
                                   .score = r->points.presence,
                                   .sharpness = r->sharpness,
                                   .covered = covered(s, i, r)};
        compose(s, s->now, &s->e[i].smooth, r, s->out);
        int64_t gap = i > 0 ? s->e[i].frame - s->e[i - 1].frame - 1 : 0;
        if (gap > 0 && gap <= PZ_TRACK_BRIDGE && s->e[i].run == s->e[i - 1].run)
            PZ_TRY(bridge(s, i, r, out, written));
        PZ_TRY(put(s, out, written));
        *s->last = *s->out;
        struct point_set *t = s->before;
        s->before = s->now;
        s->now = t;
    }
fail:
    return st;
}

enum pz_status pz_face_solve(FILE *raw, int64_t n, const struct pz_job *job, FILE *out, int64_t *written)
{
    enum pz_status st = PZ_OK;
    static const struct pz_job no_job = {0};
    struct solver s = {.raw = raw, .n = n, .job = job ? job : &no_job, .topo = pz_face_topology_mesh()};
    struct point_set *sets = pz_calloc(4, sizeof *sets);
    *written = 0;
    s.e = pz_calloc((size_t)n + 1, sizeof *s.e);
    s.rec = pz_calloc(2 * WINDOW + 1, sizeof *s.rec);
    s.head = pz_calloc(2 * WINDOW + 1, sizeof *s.head);
    s.out = pz_calloc(2, sizeof *s.out);
    s.usual = pz_face_usual_create();
    s.judge = pz_depth_create();
    if (!sets || !s.usual || !s.judge || !s.e || !s.rec || !s.head || !s.out) {
        st = pz_fail(s.job->log, PZ_ERR_NOMEM, "no memory to solve %lld frames of a face", (long long)n);
        goto fail;
    }
    s.last = s.out + 1;
    s.mean = &sets[0];
    s.sum = &sets[1];
    s.now = &sets[2];
    s.before = &sets[3];
    for (int i = 0; i < s.topo->n_outer_lip; i++)
        s.is_lip[s.topo->outer_lip[i]] = true;
    for (int i = 0; i < s.topo->n_inner_lip; i++)
        s.is_lip[s.topo->inner_lip[i]] = true;
    PZ_TRY(mean_pass(&s, true));
    PZ_TRY(mean_pass(&s, false));
    PZ_TRY(mean_pass(&s, false));
    PZ_TRY(pose_pass(&s));
    for (int k = 0; k < DEPTH_TURNS; k++)
        PZ_TRY(depth_turn(&s));
    PZ_TRY(smooth_poses(&s));
    PZ_TRY(look_pass(&s));
    PZ_TRY(point_pass(&s, out, written));
fail:
    pz_face_usual_destroy(&s.usual);
    pz_depth_destroy(&s.judge);
    pz_free(s.out);
    pz_free(s.head);
    pz_free(s.rec);
    pz_free(s.e);
    pz_free(sets);
    return st;
}
