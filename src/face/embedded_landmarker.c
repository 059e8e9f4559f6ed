/* Our landmarker behind the landmarkers' face: crop, run, points and their uncertainty back in the picture.
 */
#include <math.h>

#include "base/mem.h"
#include "face/embedded.h"
#include "face/embedded_net.h"
#include "face/landmarker_impl.h"
#include "face/topology_tables.h"

#define SIDE PZ_EMBEDDED_CROP

/* The second picture of a batch is the first one mirrored. */
static void add_mirrored(float *in)
{
    float *out = in + SIDE * SIDE * 3;
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++)
            for (int c = 0; c < 3; c++)
                out[(y * SIDE + x) * 3 + c] = in[(y * SIDE + SIDE - 1 - x) * 3 + c];
}

static enum pz_status run(struct pz_landmarker *l, int session, const struct pz_picture *pic,
                          const struct pz_face_rect *roi, struct pz_pool *pool, struct pz_face_points *out)
{
    struct pz_session *s = l->sessions[session];
    float *in = pz_session_input(s, NULL, 0).data;
    enum pz_status st =
        pz_face_crop(pic, roi, -1, 1, PZ_CROP_BLACK | PZ_CROP_FINE, &l->scratch[session], in, SIDE, SIDE);
    if (st < PZ_OK)
        return pz_fail(l->log, st, "no memory to crop a face");
    add_mirrored(in);
    pz_session_run(s, pool);
    const float *o = pz_session_output(s, "landmarks", 0).data, *twin = o + PZ_EMBEDDED_OUT;
    float scale = roi->w / SIDE;
    out->presence = 1 / (1 + expf(-(o[PZ_EMBEDDED_PRESENCE] + twin[PZ_EMBEDDED_PRESENCE]) / 2));
    for (int i = 0; i < PZ_FACE_MESH_POINTS; i++) {
        const float *a = o + 4 * i, *b = twin + 4 * pz_face_mesh_mirror[i];
        float q[4] = {(a[0] - b[0]) / 2, (a[1] + b[1]) / 2, (a[2] + b[2]) / 2, (a[3] + b[3]) / 2};
        float *p = out->xyz[i];
        pz_face_rect_point(roi, 0.5f + 0.5f * q[0], 0.5f + 0.5f * q[1], &p[0], &p[1]);
        p[2] = SIDE / 2 * q[2] * scale;
        out->sigma[i] = expf(fminf(fmaxf(q[3], -3), 3)) * scale;
        if (!isfinite(p[0] + p[1] + p[2] + out->sigma[i] + out->presence)) {
            out->presence = 0;
            return PZ_OK;
        }
    }
    return PZ_OK;
}

static struct pz_face_rect roi_first(const struct pz_face_detection *d)
{
    float mouth[2], w = d->box[2] - d->box[0];
    if (d->has_mouth) {
        for (int k = 0; k < 2; k++)
            mouth[k] = (d->mouth[0][k] + d->mouth[1][k]) / 2;
    } else { /* a face's proportions: the mouth lies 1.1 eye distances below the middle of the eyes */
        float e[2] = {d->eye[1][0] - d->eye[0][0], d->eye[1][1] - d->eye[0][1]};
        float n = fmaxf(hypotf(e[0], e[1]), 1e-3f), far = fmaxf(1.1f * n, 0.35f * w);
        mouth[0] = (d->eye[0][0] + d->eye[1][0]) / 2 - far * e[1] / n;
        mouth[1] = (d->eye[0][1] + d->eye[1][1]) / 2 + far * e[0] / n;
    }
    return pz_embedded_roi((const float(*)[2])d->eye, mouth);
}

enum pz_status pz_embedded_landmarker_create(const char *models_dir, int n_sessions, struct pz_log *log,
                                             struct pz_landmarker **out)
{
    enum pz_status st = PZ_OK;
    struct pz_plan *plan = NULL;
    struct pz_landmarker *l = pz_calloc(1, sizeof *l);
    *out = l;
    if (!l)
        return pz_fail(log, PZ_ERR_NOMEM, "no memory for the face landmarker");
    *l = (struct pz_landmarker){.run = run,
                                .roi = pz_embedded_roi_from_points,
                                .roi_first = roi_first,
                                .measures = true,
                                .steady = true,
                                .name = "face points",
                                .log = log};
    PZ_TRY(pz_embedded_plan_landmarks(models_dir, 2, false, log, &plan));
    PZ_TRY(pz_landmarker_seat(l, plan, n_sessions));
    return PZ_OK;
fail:
    pz_landmarker_destroy(out);
    return st;
}
