/* MediaPipe's face mesh: crop, run, merge the refined points into the mesh, project back into the picture. */
#include "face/landmarker_impl.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "face/topology.h"
#include "tensor/plan.h"
#include "weights/tflite.h"

#define SIDE 192
#define MESH 468

/* Which points the second looks replace, in the order of the network's outputs. Facts of
 * modules/face_landmark/tensors_to_face_landmarks_with_attention.pbtxt. */
static const uint16_t lips[80] = {
    61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 185, 40, 39, 37, 0,  267, 269, 270, 409,
    78, 95,  88, 178, 87, 14, 317, 402, 318, 324, 308, 191, 80, 81, 82, 13, 312, 311, 310, 415,
    76, 77,  90, 180, 85, 16, 315, 404, 320, 307, 306, 184, 74, 73, 72, 11, 302, 303, 304, 408,
    62, 96,  89, 179, 86, 15, 316, 403, 319, 325, 292, 183, 42, 41, 38, 12, 268, 271, 272, 407};
static const uint16_t right_eye[71] = {
    33,  7,   163, 144, 145, 153, 154, 155, 133, 246, 161, 160, 159, 158, 157, 173, 130, 25,
    110, 24,  23,  22,  26,  112, 243, 247, 30,  29,  27,  28,  56,  190, 226, 31,  228, 229,
    230, 231, 232, 233, 244, 113, 225, 224, 223, 222, 221, 189, 35,  124, 46,  53,  52,  65,
    143, 111, 117, 118, 119, 120, 121, 128, 245, 156, 70,  63,  105, 66,  107, 55,  193};
static const uint16_t left_eye[71] = {
    263, 249, 390, 373, 374, 380, 381, 382, 362, 466, 388, 387, 386, 385, 384, 398, 359, 255,
    339, 254, 253, 252, 256, 341, 463, 467, 260, 259, 257, 258, 286, 414, 446, 261, 448, 449,
    450, 451, 452, 453, 464, 342, 445, 444, 443, 442, 441, 413, 265, 353, 276, 283, 282, 295,
    372, 340, 346, 347, 348, 349, 350, 357, 465, 383, 300, 293, 334, 296, 336, 285, 417};
static const uint16_t right_iris[5] = {468, 469, 470, 471, 472}, left_iris[5] = {473, 474, 475, 476, 477};

/* MediaPipe's "left eye" is the one on the left of an unmirrored picture: the subject's right. */
static const struct {
    const char *output;
    const uint16_t *index;
    int n;
} parts[5] = {{"output_lips", lips, 80},
              {"output_left_eye", right_eye, 71},
              {"output_right_eye", left_eye, 71},
              {"output_left_iris", right_iris, 5},
              {"output_right_iris", left_iris, 5}};

struct mesh {
    struct pz_landmarker base;
    uint8_t kind[PZ_FACE_MESH_POINTS]; /* 0 skin, 1 looked at twice, 2 contour */
};

static bool fits(struct pz_session *s)
{
    struct pz_view in = pz_session_input(s, NULL, 0), mesh = pz_session_output(s, "output_mesh_identity", 0),
                   flag = pz_session_output(s, "conv_faceflag", 0);
    bool ok = in.data && mesh.data && flag.data && pz_shape_count(&in.shape) == SIDE * SIDE * 3 &&
              pz_shape_count(&mesh.shape) == 3 * MESH && pz_shape_count(&flag.shape) == 1;
    for (int i = 0; i < 5; i++) {
        struct pz_view v = pz_session_output(s, parts[i].output, 0);
        ok = ok && v.data && pz_shape_count(&v.shape) == 2 * (size_t)parts[i].n;
    }
    return ok;
}

static enum pz_status run(struct pz_landmarker *base, int session, const struct pz_picture *pic,
                          const struct pz_face_rect *roi, struct pz_pool *pool, struct pz_face_points *out)
{
    const struct mesh *l = (const struct mesh *)base;
    float(*xyz)[3] = out->xyz;
    struct pz_session *s = base->sessions[session];
    enum pz_status st = pz_face_crop(pic, roi, 0, 1, 0, &base->scratch[session],
                                     pz_session_input(s, NULL, 0).data, SIDE, SIDE);
    if (st < PZ_OK)
        return pz_fail(base->log, st, "no memory to crop a face");
    pz_session_run(s, pool);
    const float *mesh = pz_session_output(s, "output_mesh_identity", 0).data;
    memcpy(xyz, mesh, MESH * sizeof *xyz);
    for (int p = 0; p < 5; p++) {
        const float *v = pz_session_output(s, parts[p].output, 0).data;
        float z = 0;
        for (int i = 0; i < 16; i++) /* the eye's own contour gives the iris its depth */
            z += p < 3 ? 0 : mesh[3 * (p == 3 ? right_eye[i] : left_eye[i]) + 2] / 16;
        for (int i = 0; i < parts[p].n; i++) {
            float *q = xyz[parts[p].index[i]];
            q[0] = v[2 * i];
            q[1] = v[2 * i + 1];
            q[2] = p < 3 ? q[2] : z;
        }
    }
    for (int i = 0; i < PZ_FACE_MESH_POINTS; i++) {
        float x, y;
        pz_face_rect_point(roi, xyz[i][0] / SIDE, xyz[i][1] / SIDE, &x, &y);
        xyz[i][0] = x;
        xyz[i][1] = y;
        xyz[i][2] *= roi->w / SIDE;
        /* half a network pixel where the net looks twice, one elsewhere, two along the contour */
        out->sigma[i] = (l->kind[i] == 1 ? 0.5f : l->kind[i] == 2 ? 2.0f : 1.0f) * roi->w / SIDE;
        if (!isfinite(x + y + xyz[i][2])) { /* a device fault must not travel on as a face */
            out->presence = 0;
            return PZ_OK;
        }
    }
    const float *flag = pz_session_output(s, "conv_faceflag", 0).data;
    out->presence = 1 / (1 + expf(-fminf(fmaxf(flag[0], -100), 100)));
    return PZ_OK;
}

static struct pz_face_rect square(const float box[4], const float *right, const float *left)
{
    float side = 1.5f * fmaxf(box[2] - box[0], box[3] - box[1]);
    return (struct pz_face_rect){(box[0] + box[2]) / 2, (box[1] + box[3]) / 2, side, side,
                                 atan2f(left[1] - right[1], left[0] - right[0])};
}

static struct pz_face_rect roi_from_points(const float (*xyz)[3])
{
    float box[4];
    pz_face_points_box(xyz, box);
    return square(box, xyz[33], xyz[263]);
}

static struct pz_face_rect roi_from_detection(const struct pz_face_detection *d)
{
    return square(d->box, d->eye[0], d->eye[1]);
}

static enum pz_status load(struct pz_landmarker *l, int n_sessions, const char *path)
{
    enum pz_status st = PZ_OK;
    struct pz_graph *g = NULL;
    struct pz_plan *plan = NULL;
    PZ_TRY(pz_tflite_load(l->log, path, &g));
    PZ_TRY(pz_plan_create(&g, &pz_plan_default, l->log, &plan));
    PZ_TRY(pz_landmarker_seat(l, plan, n_sessions));
    if (!fits(l->sessions[0]))
        st = pz_fail(l->log, PZ_ERR_WEIGHTS, "'%s' is not the face mesh with attention", path);
fail:
    return st == PZ_ERR_FORMAT || st == PZ_ERR_UNSUPPORTED ? PZ_ERR_WEIGHTS : st;
}

static void mark_points(struct mesh *l)
{
    const struct pz_face_topology *t = pz_face_topology_mesh();
    for (int i = 0; i < t->n_oval; i++)
        l->kind[t->oval[i]] = 2;
    for (int i = 0; i < t->n_outer_lip; i++)
        l->kind[t->outer_lip[i]] = 1;
    for (int i = 0; i < t->n_inner_lip; i++)
        l->kind[t->inner_lip[i]] = 1;
    for (int i = MESH; i < PZ_FACE_MESH_POINTS; i++)
        l->kind[i] = 1;
}

enum pz_status pz_mesh_create(const char *models_dir, int n_sessions, struct pz_log *log,
                              struct pz_landmarker **out)
{
    char *path = NULL;
    enum pz_status st =
        pz_face_model_path(models_dir, "mediapipe", "face_landmark_with_attention.tflite", log, &path);
    struct mesh *l = st == PZ_OK ? pz_calloc(1, sizeof *l) : NULL;
    if (st == PZ_OK && !l)
        st = pz_fail(log, PZ_ERR_NOMEM, "no memory for the face mesh");
    if (st == PZ_OK) {
        l->base = (struct pz_landmarker){.run = run,
                                         .roi = roi_from_points,
                                         .roi_first = roi_from_detection,
                                         .name = "face mesh",
                                         .log = log};
        mark_points(l);
        *out = &l->base;
        st = load(*out, n_sessions, path);
    }
    if (st < PZ_OK)
        pz_landmarker_destroy(out);
    pz_free(path);
    return st;
}
