/* Landmarkers: the choice among kinds, and what all kinds hold. */
#include "face/landmarker.h"

#include <math.h>

#include "base/mem.h"
#include "face/landmarker_impl.h"
#include "tensor/profile.h"

enum pz_status pz_landmarker_create(enum pz_face_kind kind, const char *models_dir, int n_sessions,
                                    struct pz_log *log, struct pz_landmarker **l)
{
    *l = NULL;
    switch (pz_face_kind_resolve(kind == PZ_FACE_MTCNN ? PZ_FACE_AUTO : kind, models_dir)) {
    case PZ_FACE_EMBEDDED:
        return pz_embedded_landmarker_create(models_dir, n_sessions, log, l);
    default:
        return pz_mesh_create(models_dir, n_sessions, log, l);
    }
}

enum pz_status pz_landmarker_seat(struct pz_landmarker *l, struct pz_plan *plan, int n)
{
    enum pz_status st = PZ_OK;
    l->plan = plan;
    l->sessions = pz_calloc((size_t)n, sizeof *l->sessions);
    l->scratch = pz_calloc((size_t)n, sizeof *l->scratch);
    if (!l->sessions || !l->scratch)
        return pz_fail(l->log, PZ_ERR_NOMEM, "no memory for the face landmarker");
    for (l->n = 0; l->n < n && st >= PZ_OK; l->n++)
        st = pz_session_create(plan, l->log, &l->sessions[l->n]);
    return st;
}

void pz_landmarker_destroy(struct pz_landmarker **l)
{
    if (!l || !*l)
        return;
    for (int i = 0; i < (*l)->n; i++) {
        pz_session_destroy(&(*l)->sessions[i]);
        pz_crop_scratch_free(&(*l)->scratch[i]);
    }
    pz_free((*l)->sessions);
    pz_free((*l)->scratch);
    pz_plan_destroy(&(*l)->plan);
    pz_free(*l);
    *l = NULL;
}

enum pz_status pz_landmarker_profile(struct pz_landmarker *l, struct pz_profile *p)
{
    enum pz_status st = PZ_OK;
    for (int i = 0; i < l->n && st >= PZ_OK; i++)
        st = pz_session_profile(l->sessions[i], p, l->name);
    return st;
}

enum pz_status pz_landmarker_run(struct pz_landmarker *l, int session, const struct pz_picture *pic,
                                 const struct pz_face_rect *roi, struct pz_pool *pool,
                                 struct pz_face_points *out)
{
    return l->run(l, session, pic, roi, pool, out);
}

struct pz_face_rect pz_landmarker_roi(const struct pz_landmarker *l, const float (*xyz)[3])
{
    return l->roi(xyz);
}

struct pz_face_rect pz_landmarker_roi_first(const struct pz_landmarker *l, const struct pz_face_detection *d)
{
    return l->roi_first(d);
}

bool pz_landmarker_measures(const struct pz_landmarker *l)
{
    return l->measures;
}

bool pz_landmarker_steady(const struct pz_landmarker *l)
{
    return l->steady;
}

void pz_face_points_box(const float (*xyz)[3], float box[4])
{
    box[0] = box[1] = INFINITY;
    box[2] = box[3] = -INFINITY;
    for (int i = 0; i < PZ_FACE_MESH_POINTS; i++) {
        box[0] = fminf(box[0], xyz[i][0]);
        box[1] = fminf(box[1], xyz[i][1]);
        box[2] = fmaxf(box[2], xyz[i][0]);
        box[3] = fmaxf(box[3], xyz[i][1]);
    }
}
