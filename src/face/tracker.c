/*
 * Tracker: looks at one frame after the other, and keeps every person's records in temporary files without a
 * name (nothing is left behind when the process dies). Following is in follow.c; choosing and writing in
 * people.c; judging and filtering come later, in solve.c.
 */
#include "face/track.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "face/topology.h"
#include "face/tracker_impl.h"

#define LOOK_EVERY 10 /* frames between searches for new persons */
#define JUMP 6        /* frames skipped that make a new run */

static enum pz_status load_models(struct pz_face_tracker *t, const struct pz_face_tracker_params *p)
{
    enum pz_status st = pz_face_detector_create(p->kind, p->models_dir, t->job.log, &t->detector);
    if (st == PZ_OK)
        st = pz_landmarker_create(p->kind, p->models_dir, PZ_TRACK_LIVE, t->job.log, &t->landmarker);
    if (st == PZ_OK && pz_landmarker_measures(t->landmarker)) /* our own */
        st = pz_face_occluder_create(p->models_dir, t->job.log, &t->occluder);
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
    pz_face_occluder_destroy(&t->occluder);
    pz_crop_scratch_free(&t->scratch);
    pz_free(t);
    *tp = NULL;
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

static enum pz_status store(struct pz_face_tracker *t, struct pz_person *p, int64_t frame,
                            const struct pz_picture *pic)
{
    const float(*xyz)[3] = (const float(*)[3])p->rec.points.xyz;
    p->rec.frame = frame;
    p->rec.run = t->run;
    p->rec.measures = pz_landmarker_measures(t->landmarker);
    p->rec.sharpness = mouth_sharpness(pic, xyz);
    pz_face_look_take(pic, xyz, &p->rec.look);
    if (t->occluder && (p->n % PZ_TRACK_ASK == 0 || p->asked_run != t->run)) {
        enum pz_status st = pz_face_occluder_share(t->occluder, pic, xyz, t->job.pool, &p->covered);
        if (st < PZ_OK)
            return st;
        p->asked_run = t->run;
    }
    p->rec.covered = p->covered;
    if (p->n == p->cap) {
        int64_t want = p->cap ? 2 * p->cap : 256;
        struct pz_tick *q = pz_regrow(p->ticks, (size_t)p->n, (size_t)want, sizeof *q);
        if (!q)
            return pz_fail(t->job.log, PZ_ERR_NOMEM, "no memory for %lld face records", (long long)want);
        p->ticks = q;
        p->cap = want;
    }
    float io = pz_tracker_distance(xyz[33], xyz[263]);
    p->ticks[p->n++] = (struct pz_tick){frame,
                                        io,
                                        pz_tracker_distance(xyz[13], xyz[14]) / fmaxf(io, 1e-3f),
                                        {p->box[0], p->box[1], p->box[2], p->box[3]}};
    if (fwrite(&p->rec, sizeof p->rec, 1, p->file) != 1)
        return pz_fail(t->job.log, PZ_ERR_WRITE, "cannot write a temporary file of face records: %s",
                       strerror(errno));
    return PZ_OK;
}

enum pz_status pz_face_tracker_push(struct pz_face_tracker *t, int64_t frame, const struct pz_picture *pic)
{
    enum pz_status st = PZ_OK;
    bool lost = false, any = false;
    if (t->n_pushed > 0 && frame <= t->last_frame)
        return pz_fail(t->job.log, PZ_ERR_USAGE, "frame %lld was pushed after frame %lld", (long long)frame,
                       (long long)t->last_frame);
    bool cut = pz_cut_seen(&t->cut, pic);
    bool jump = t->n_pushed == 0 || frame - t->last_frame > JUMP;
    t->n_cuts += cut && !jump;
    if (jump || cut) {
        t->run++;
        lost = true;
        for (int i = 0; i < t->n_persons; i++)
            t->persons[i].live = false;
    }
    t->n_pushed++;
    t->last_frame = frame;
    PZ_TRY(pz_tracker_follow(t, frame, pic, &lost));
    for (int i = 0; i < t->n_persons; i++)
        any = any || t->persons[i].live;
    if (lost || !any || ++t->since_search >= LOOK_EVERY)
        PZ_TRY(pz_tracker_search(t, frame, pic));
    for (int i = 0; i < t->n_persons; i++)
        if (t->persons[i].live)
            PZ_TRY(store(t, &t->persons[i], frame, pic));
fail:
    return st;
}

int64_t pz_face_tracker_cuts(const struct pz_face_tracker *t)
{
    return t->n_cuts;
}
