/* Landmarkers: the choice among kinds. */
#include "face/landmarker.h"

#include <math.h>

#include "face/landmarker_impl.h"

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

void pz_landmarker_destroy(struct pz_landmarker **l)
{
    if (l && *l)
        (*l)->destroy(*l);
    if (l)
        *l = NULL;
}

enum pz_status pz_landmarker_profile(struct pz_landmarker *l, struct pz_profile *p)
{
    return l->profile(l, p);
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
