/**
 * Faces: what the rest of the program knows of a face, whatever detector and landmarker found it.
 *
 * Coordinates: x, y in px of the upright picture (pixel centres at +½, x right, y down); z in px of the same
 * scale, smaller = nearer to the camera, zero at the head origin (between the outer eye corners). "Left" and
 * "right" are the subject's. Head space: units of the subject's own interocular distance (outer eye corners,
 * frontal) = 1; x to the subject's left, y up, z out of the face; origin between the eyes. Weak-perspective
 * camera: `p_px = scale * (R * p_head)_xy * (1, -1) + (tx, ty)`.
 */
#ifndef PZ_FACE_FACE_H
#define PZ_FACE_FACE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/job.h"
#include "image/picture.h"

#define PZ_FACE_MAX_POINTS 512

struct pz_face_pose {
    float r[9];   /**< rotation, row-major, head → camera axes (x right of the picture = subject left when
                     frontal) */
    float scale;  /**< px per head unit */
    float tx, ty; /**< px, the picture position of the head origin */
    float yaw, pitch, roll; /**< degrees, for gates and reports; positive yaw = subject turns to their left */
};

/** One face in one frame. A fixed-size record: tracks are files of these, memory-mapped. */
struct pz_face {
    int64_t frame;   /**< frame index in presentation order */
    int32_t present; /**< 1 measured, 2 bridged over a short gap, 0 absent (rest of the record undefined) */
    float score;     /**< presence probability in [0,1] */
    float box[4];    /**< x0, y0, x1, y1 px, tight around the points */
    struct pz_face_pose pose;
    float interocular; /**< px, outer eye corners, corrected for yaw (= pose.scale) */
    float lip_gap;     /**< inner-lip opening over interocular distance, ≥ 0 */
    float sharpness;   /**< variance of the Laplacian of luma in the mouth box */
    float covered;     /**< share of the mouth or of the skin around it that something stands before */
    float residual;    /**< rms reprojection of the rigid points, px over interocular */
    int32_t n_points;
    float xyz[PZ_FACE_MAX_POINTS][3]; /**< px */
    float sigma[PZ_FACE_MAX_POINTS];  /**< per-point uncertainty, px, 1-sigma */
};

/** What the point indices of a landmark set mean. Static data owned by the landmarker. */
struct pz_face_topology {
    const char *name; /**< "mediapipe-468", "lm-320", … : tracks of different sets do not mix */
    int n_points;
    const int *outer_lip; /**< closed ring, clockwise in the picture from the subject's right corner */
    int n_outer_lip;
    const int *inner_lip; /**< closed ring, the same start and direction */
    int n_inner_lip;
    const int (*lip_pairs)[2]; /**< inner upper, inner lower vertical pairs, middle first */
    int n_lip_pairs;
    const int *oval; /**< closed ring: forehead and jaw contour */
    int n_oval;
    const int *rigid; /**< points that do not move with speech (eyes, nose bridge, forehead) */
    int n_rigid;
    int eye_outer[2], eye_inner[2]; /**< [0] subject's right, [1] left */
    int nose_tip, chin, mouth_corner[2];
    const uint16_t (
        *triangles)[3]; /**< triangulation of the skin and lips without the mouth hole, counter-clockwise seen
                             from the front; points of the irises are in none */
    int n_triangles;
    const uint16_t (*mouth_triangles)[3]; /**< the mouth hole: the polygon of the inner lip */
    int n_mouth_triangles;
    const float (*mean)[3]; /**< [n_points] mean face with resting lips, head space */
};

#endif
